//! Training steps of one model on one batch, driven over standard input, so
//! that a benchmark can alternate them with another program's.
//!
//! `lm_step MODEL_FOLDER TOKENS.safetensors` reads lines: `step` makes one step
//! and answers `{"loss": ..., "seconds": ...}`, `memory` answers the process's
//! peak and what it had before the model was loaded, `quit` ends. With `--iw`
//! the objective is iw-SFT with reference log-probs of the start, computed once.

use std::error::Error;
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

use iwsft_engine::optim::{AdamW, AdamWConfig};
use iwsft_engine::{Policy, Tensor};
use iwsft_lm::{LanguageModel, MemoryPlan, ModelConfig, TokenBatch, weights};
use safetensors::SafeTensors;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, tokens, options @ ..] = arguments.as_slice() else {
        return Err("usage: lm_step MODEL_FOLDER TOKENS.safetensors [--iw] [--recompute]".into());
    };
    let baseline = status_bytes("VmRSS:");
    let config = ModelConfig::from_folder(Path::new(folder))?;
    let plan = MemoryPlan {
        recompute: options.iter().any(|option| option == "--recompute"),
        ..MemoryPlan::default()
    };
    let mut model = LanguageModel::new(config, plan);
    let mut parameters = Tensor::from_vec(weights::load(Path::new(folder), model.layout())?);
    let mut gradients = Tensor::zeros(parameters.len());
    let mut optimizer = AdamW::new(model.layout(), AdamWConfig::default());
    let batch = read_batch(Path::new(tokens))?;
    let mut log_probs = vec![0.0; batch.steps()];
    let mut coefficients = vec![1.0; batch.steps()];
    let scale = 1.0 / batch.steps() as f64;
    let mut reference = log_probs.clone();
    let importance = options.iter().any(|option| option == "--iw");
    if importance {
        model.log_probs(&parameters, &batch, &mut reference);
    }
    let mut out = std::io::stdout().lock();
    let mut steps = 0;
    for line in std::io::stdin().lock().lines() {
        match line?.trim() {
            "step" => {
                let start = Instant::now();
                steps += 1;
                model.forward(&parameters, &batch, &mut log_probs);
                model.backward(&parameters, &mut gradients, &batch, &coefficients);
                let layout = model.layout().clone();
                optimizer.step(
                    &layout,
                    &mut parameters,
                    &mut gradients,
                    steps,
                    1e-4,
                    scale,
                    Some(1.0),
                )?;
                let loss = -log_probs.iter().map(|&l| f64::from(l)).sum::<f64>() * scale;
                let seconds = start.elapsed().as_secs_f64();
                writeln!(out, "{{\"loss\": {loss}, \"seconds\": {seconds}}}")?;
            }
            "memory" => {
                let peak = status_bytes("VmHWM:");
                writeln!(
                    out,
                    "{{\"peak_bytes\": {peak}, \"baseline_bytes\": {baseline}}}"
                )?;
            }
            "quit" => break,
            other => return Err(format!("unknown command {other:?}").into()),
        }
        out.flush()?;
    }
    let _ = &mut coefficients;
    Ok(())
}

/// The tensor `tokens [b, t]` as one packed batch.
fn read_batch(path: &Path) -> Result<TokenBatch, Box<dyn Error>> {
    let bytes = std::fs::read(path)?;
    let file = SafeTensors::deserialize(&bytes)?;
    let tensor = file.tensor("tokens")?;
    let &[_, length] = tensor.shape() else {
        return Err("tokens is not [b, t]".into());
    };
    let (words, _) = tensor.data().as_chunks::<4>();
    let tokens: Vec<u32> = words.iter().map(|&word| u32::from_le_bytes(word)).collect();
    let mut batch = TokenBatch::new();
    for sequence in tokens.chunks_exact(length) {
        batch.push(sequence, |_| true);
    }
    Ok(batch)
}

/// A line of `/proc/self/status` in bytes; 0 where there is none.
fn status_bytes(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(key))
        .unwrap_or("0");
    line.trim()
        .trim_end_matches(" kB")
        .parse::<u64>()
        .unwrap_or(0)
        * 1024
}
