//! Training steps of one model on one batch, driven over standard input, so
//! that a benchmark can alternate them with another program's.
//!
//! `lm_step MODEL_FOLDER TOKENS.safetensors` reads lines: `step` makes one step
//! and answers `{"loss": ..., "seconds": ...}`, `memory` answers the process's
//! peak and what it had before the model was loaded, `quit` ends. With `--iw`
//! the objective is iw-SFT with reference log-probs of the start, computed once.
//! The step is the trainer's own, packing and all.

use std::error::Error;
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

use iwsft_engine::optim::AdamW;
use iwsft_engine::{Policy, Precision, Tensor};
use iwsft_lm::{LanguageModel, MemoryPlan, ModelConfig, TokenBatch, weights};
use iwsft_objective::Preset;
use iwsft_train::{State, Stepper, TrainConfig, Trajectories, score};
use safetensors::SafeTensors;

/// Sequences of one length, every token but the first scored.
struct Sequences {
    tokens: Vec<u32>,
    length: usize,
}

impl Trajectories for Sequences {
    type Batch = TokenBatch;

    fn len(&self) -> usize {
        self.tokens.len() / self.length
    }

    fn length(&self, _: usize) -> usize {
        self.length
    }

    fn steps(&self, _: usize) -> usize {
        self.length - 1
    }

    fn describe(&self, index: usize) -> String {
        format!("sequence {index}")
    }

    fn batch(&self, indices: &[usize]) -> TokenBatch {
        let mut batch = TokenBatch::new();
        for &index in indices {
            batch.push(&self.tokens[index * self.length..][..self.length], |_| true);
        }
        batch
    }

    fn fingerprint(&self) -> blake3::Hash {
        blake3::hash(b"the benchmark's tokens")
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, tokens, options @ ..] = arguments.as_slice() else {
        return Err(
            "usage: lm_step MODEL TOKENS.safetensors [--iw] [--recompute] [--bf16] [N tokens a pass]".into(),
        );
    };
    let baseline = status_bytes("VmRSS:");
    let has = |option: &str| options.iter().any(|given| given == option);
    let defaults = TrainConfig::default();
    let micro_tokens = options
        .iter()
        .find_map(|option| option.parse().ok())
        .unwrap_or(defaults.micro_tokens);
    let config = ModelConfig::from_folder(Path::new(folder))?;
    let plan = MemoryPlan {
        recompute: has("--recompute"),
        ..MemoryPlan::default()
    };
    let mut model = LanguageModel::new(config, plan);
    if has("--bf16") {
        model.set_precision(Precision::Bf16);
    }
    let parameters = Tensor::from_vec(weights::load(Path::new(folder), model.layout())?);
    let sequences = read_sequences(Path::new(tokens))?;
    let preset = if has("--iw") {
        Preset::IwSftLlm
    } else {
        Preset::Sft
    };
    let objective = preset.spec().resolve()?;
    let reference = has("--iw").then(|| {
        score(
            &mut model,
            &parameters,
            &sequences,
            micro_tokens,
            &mut |_| {},
        )
    });
    let optimizer = AdamW::new(model.layout(), defaults.adamw());
    let mut state = State::new(parameters, optimizer, &objective);
    let mut stepper = Stepper::new(
        &mut model,
        &sequences,
        objective,
        reference,
        micro_tokens,
        Some(1.0),
    )?;
    let all: Vec<usize> = (0..sequences.len()).collect();
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        match line?.trim() {
            "step" => {
                let start = Instant::now();
                let loss = stepper.step(&mut state, &all, 1e-4)?.diagnostics.nll;
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
    Ok(())
}

/// The tensor `tokens [b, t]`.
fn read_sequences(path: &Path) -> Result<Sequences, Box<dyn Error>> {
    let bytes = std::fs::read(path)?;
    let file = SafeTensors::deserialize(&bytes)?;
    let tensor = file.tensor("tokens")?;
    let &[_, length] = tensor.shape() else {
        return Err("tokens is not [b, t]".into());
    };
    let (words, _) = tensor.data().as_chunks::<4>();
    Ok(Sequences {
        tokens: words.iter().map(|&word| u32::from_le_bytes(word)).collect(),
        length,
    })
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
