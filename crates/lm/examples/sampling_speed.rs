//! Tokens a second of generation, for one to many sequences at once.
//!
//! `sampling_speed TOKENIZER_FOLDER [MODEL_FOLDER]`: a model folder, or without
//! one random models of about 0.5, 5 and 30 million parameters.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

use iwsft_engine::{Policy, Tensor};
use iwsft_lm::{
    Decoder, Generation, LanguageModel, MemoryPlan, ModelConfig, Room, Sampling, TokenRequest,
    Tokenizer, weights,
};
use serde_json::json;

/// Hidden size, feed-forward size, layers, vocabulary.
const RANDOM: [[usize; 4]; 3] = [[96, 256, 4, 48], [256, 704, 6, 2048], [512, 1408, 8, 8192]];

fn main() -> Result<(), Box<dyn Error>> {
    let mut folders = std::env::args().skip(1).map(PathBuf::from);
    let tokenizer = folders
        .next()
        .ok_or("usage: sampling_speed TOKENIZER_FOLDER [MODEL_FOLDER]")?;
    let tokenizer = Tokenizer::from_folder(&tokenizer)?;
    if let Some(folder) = folders.next() {
        let model = model(ModelConfig::from_folder(&folder)?);
        let parameters = weights::load(&folder, model.layout())?;
        return measure(&model, parameters, &tokenizer);
    }
    for sizes in RANDOM {
        let model = model(random_config(sizes)?);
        let noise = |i: usize| ((i as f32 * 0.618).fract() - 0.5) * 0.1;
        let mut parameters: Vec<f32> = (0..model.layout().len()).map(noise).collect();
        for norm in model
            .layout()
            .parameters()
            .iter()
            .filter(|each| !each.decay)
        {
            parameters[norm.range.clone()].fill(1.0);
        }
        measure(&model, parameters, &tokenizer)?;
    }
    Ok(())
}

fn model(config: ModelConfig) -> LanguageModel {
    LanguageModel::new(config, MemoryPlan::default())
}

fn random_config([d, f, layers, v]: [usize; 4]) -> Result<ModelConfig, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": d,
        "intermediate_size": f, "num_hidden_layers": layers, "num_attention_heads": d / 32,
        "num_key_value_heads": d / 32, "vocab_size": v, "max_position_embeddings": 1024,
        "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "tie_word_embeddings": true,
        "hidden_act": "silu",
    });
    std::fs::write(
        Path::new(folder.path()).join("config.json"),
        config.to_string(),
    )?;
    Ok(ModelConfig::from_folder(folder.path())?)
}

#[allow(clippy::print_stdout)]
fn measure(
    model: &LanguageModel,
    parameters: Vec<f32>,
    tokenizer: &Tokenizer,
) -> Result<(), Box<dyn Error>> {
    let parameters = Tensor::from_vec(parameters);
    let mut decoder = Decoder::new(model, &parameters);
    let millions = model.parameter_count() as f64 / 1e6;
    for slots in [1, 4, 16, 64, 256] {
        let sampling = Sampling {
            max_tokens: 128,
            ..Sampling::default()
        };
        let v = model.config().vocab_size as u32;
        let requests: Vec<TokenRequest> = (0..slots as u32 * 2)
            .map(|i| TokenRequest {
                prompt: (0..16).map(|t| (i / 4 * 7 + t * 11) % v).collect(),
                draw: u64::from(i % 4),
            })
            .collect();
        let room = Room {
            slots,
            ..Room::default()
        };
        let start = Instant::now();
        let mut work = Generation::new(&mut decoder, tokenizer, &requests, &sampling, room)?;
        let (mut tokens, mut steps) = (0, 0);
        while work.step()? {
            steps += 1;
            tokens += work
                .finished()
                .map(|(_, each)| each.tokens.len())
                .sum::<usize>();
        }
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{millions:.2} M parameters, {slots} at once: {:.0} tokens/s, {:.0} us a step",
            tokens as f64 / seconds,
            1e6 * seconds / f64::from(steps),
        );
    }
    Ok(())
}
