//! A tiny Llama with random weights, in a Hugging Face folder like any other.

use std::path::Path;

use anyhow::Context;
use iwsft_engine::{Layout, Tensor};
use iwsft_lm::ModelConfig;
use iwsft_lm::weights::{self, WeightType};
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::{Value, json};
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer};

use iwsft_train::write_atomically;

/// Ends every completion.
const END: &str = "<|end|>";

/// One token for each byte, so that any text has tokens; the end token follows.
const BYTES: u32 = 256;

/// Longest sequence, in tokens.
pub(crate) const CONTEXT: usize = 256;

/// Standard deviation of the matrices' elements, as in the Llama models.
const DEVIATION: f64 = 0.02;

/// Writes configuration, tokenizer and weights into `folder`, which must exist.
pub(crate) fn create(folder: &Path, seed: u64) -> anyhow::Result<()> {
    let config = config();
    write_json(&folder.join("config.json"), &config)?;
    let tokenizer = tokenizer()
        .and_then(|tokenizer| tokenizer.to_string(true))
        .map_err(anyhow::Error::from_boxed)
        .context("cannot make a tokenizer")?;
    write_atomically(&folder.join("tokenizer.json"), tokenizer.as_bytes())?;
    let tokenizer_config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "model_max_length": CONTEXT,
        "clean_up_tokenization_spaces": false,
    });
    write_json(&folder.join("tokenizer_config.json"), &tokenizer_config)?;
    let generation = json!({ "eos_token_id": BYTES });
    write_json(&folder.join("generation_config.json"), &generation)?;
    let layout = ModelConfig::from_folder(folder)?.layout();
    let values = random_weights(&layout, seed);
    weights::save(
        folder,
        &layout,
        Tensor::from_vec(values).all(),
        WeightType::F32,
        usize::MAX,
    )?;
    Ok(())
}

fn config() -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": 128,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "head_dim": 32,
        "intermediate_size": 256,
        "hidden_act": "silu",
        "vocab_size": BYTES + 1,
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": false,
        "bos_token_id": null,
        "eos_token_id": BYTES,
        "initializer_range": DEVIATION,
        "torch_dtype": "float32",
    })
}

/// Every byte is a token: byte-pair encoding without any pair.
fn tokenizer() -> tokenizers::Result<Tokenizer> {
    let mut alphabet: Vec<char> = ByteLevel::alphabet().into_iter().collect();
    alphabet.sort_unstable();
    let vocabulary = (0..BYTES).map(|id| (alphabet[id as usize].to_string(), id));
    let model = BPE::new(vocabulary.collect(), Vec::new());
    let bytes = ByteLevel::new(false, false, false);
    let mut tokenizer = Tokenizer::new(model);
    tokenizer
        .with_pre_tokenizer(Some(bytes))
        .with_decoder(Some(bytes));
    tokenizer.add_special_tokens(&[AddedToken::from(END, true)]);
    Ok(tokenizer)
}

/// Norms are 1, everything else is normal.
fn random_weights(layout: &Layout, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut values = vec![1.0; layout.len()];
    for parameter in layout.parameters() {
        if parameter.shape.len() > 1 {
            for value in &mut values[parameter.range.clone()] {
                *value = (DEVIATION * normal(&mut rng)) as f32;
            }
        }
    }
    values
}

/// A standard normal number, by Box and Muller's transform.
fn normal(rng: &mut impl Rng) -> f64 {
    let (radius, angle): (f64, f64) = (rng.random(), rng.random());
    // 1 - radius is never 0.
    (-2.0 * (1.0 - radius).ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

fn write_json(path: &Path, value: &Value) -> anyhow::Result<()> {
    Ok(write_atomically(path, format!("{value:#}\n").as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::ModelFolder;
    use iwsft_lm::MemoryPlan;

    fn created(seed: u64) -> (tempfile::TempDir, ModelFolder) {
        let folder = tempfile::tempdir().unwrap();
        create(folder.path(), seed).unwrap();
        let model = ModelFolder::open(folder.path(), None).unwrap();
        (folder, model)
    }

    #[test]
    fn the_tokenizer_has_a_token_for_each_byte_and_gives_any_text_back() {
        let (_folder, model) = created(0);
        let tokenizer = &model.tokenizer;
        for text in [
            "37+58-9= 7+8=15 86",
            "two\nlines\t and  caf\u{e9} \u{1f642}",
        ] {
            let tokens = tokenizer.encode(text, true).unwrap();
            assert_eq!(tokens.len(), text.len());
            assert_eq!(tokenizer.decode(&tokens, false).unwrap(), text);
        }
        let end = tokenizer.encode(END, true).unwrap();
        assert_eq!(end, [BYTES]);
        assert_eq!(tokenizer.end_tokens(), end);
        assert_eq!(tokenizer.decode(&end, false).unwrap(), "");
    }

    #[test]
    fn the_folder_loads_and_the_untrained_model_knows_nothing() {
        let (_folder, folder) = created(3);
        let (mut model, parameters) = folder.load(MemoryPlan::default()).unwrap();
        let logits = model.logits(&parameters, &[1, 2, 3]);
        assert_eq!(logits.len(), 3 * 257);
        assert!(logits.iter().all(|logit| logit.abs() < 2.0));
    }

    #[test]
    fn weights_are_normal_norms_are_one_and_the_seed_decides() {
        let layout = ModelConfig::from_json(&config().to_string(), Path::new("config.json"))
            .unwrap()
            .layout();
        let values = random_weights(&layout, 5);
        assert_eq!(values, random_weights(&layout, 5));
        assert_ne!(values, random_weights(&layout, 6));
        let of = |name: &str| &values[layout.get(name).unwrap().range.clone()];
        assert!(of("model.norm.weight").iter().all(|&value| value == 1.0));
        let matrix = of("model.layers.1.mlp.up_proj.weight");
        let moment = |power| {
            let sum: f64 = matrix.iter().map(|&x| f64::from(x).powi(power)).sum();
            sum / matrix.len() as f64
        };
        assert!(moment(1).abs() < 1e-3);
        assert!((moment(2).sqrt() / DEVIATION - 1.0).abs() < 0.02);
        let kurtosis = moment(4) / moment(2).powi(2);
        assert!((kurtosis - 3.0).abs() < 0.15, "{kurtosis}");
    }
}
