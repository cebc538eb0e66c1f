//! Whole models against transformers: tiny random models of each family,
//! stored by `scripts/fixtures/models.py`.

use std::path::{Path, PathBuf};

use iwsft_engine::{Policy, Tensor};
use iwsft_lm::{LanguageModel, MemoryPlan, ModelConfig, TokenBatch, weights};
use safetensors::SafeTensors;

const MODELS: [&str; 6] = [
    "llama",
    "llama_tied",
    "llama3",
    "qwen2_bf16",
    "qwen3_sharded",
    "mistral_f16",
];

struct Expected {
    bytes: Vec<u8>,
}

impl Expected {
    fn of(folder: &Path) -> Self {
        Self {
            bytes: std::fs::read(folder.join("expected.safetensors")).expect("the fixture"),
        }
    }

    fn words(&self, name: &str) -> Vec<[u8; 4]> {
        let file = SafeTensors::deserialize(&self.bytes).expect("a safetensors file");
        let tensor = file
            .tensor(name)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        tensor.data().as_chunks::<4>().0.to_vec()
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        self.words(name)
            .into_iter()
            .map(f32::from_le_bytes)
            .collect()
    }

    fn integers(&self, name: &str) -> Vec<u32> {
        self.words(name)
            .into_iter()
            .map(u32::from_le_bytes)
            .collect()
    }

    fn sequences(&self) -> Vec<Vec<u32>> {
        let (tokens, bounds) = (self.integers("tokens"), self.integers("cu_seqlens"));
        bounds
            .windows(2)
            .map(|b| tokens[b[0] as usize..b[1] as usize].to_vec())
            .collect()
    }
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/models")
        .join(name)
}

fn load(name: &str, plan: MemoryPlan) -> (LanguageModel, Tensor, Expected) {
    let folder = folder(name);
    let config =
        ModelConfig::from_folder(&folder).unwrap_or_else(|error| panic!("{name}: {error}"));
    let model = LanguageModel::new(config, plan);
    let parameters =
        weights::load(&folder, model.layout()).unwrap_or_else(|e| panic!("{name}: {e}"));
    (model, Tensor::from_vec(parameters), Expected::of(&folder))
}

fn packed(sequences: &[Vec<u32>]) -> TokenBatch {
    let mut batch = TokenBatch::new();
    for sequence in sequences {
        batch.push(sequence, |_| true);
    }
    batch
}

/// Largest difference relative to the largest expected value.
fn relative_error(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len(), "lengths");
    let scale = expected
        .iter()
        .fold(f32::MIN_POSITIVE, |max, value| max.max(value.abs()));
    let difference = found
        .iter()
        .zip(expected)
        .fold(0.0f32, |max, (a, b)| max.max((a - b).abs()));
    difference / scale
}

#[test]
fn logits_agree() {
    for name in MODELS {
        let (mut model, parameters, expected) = load(name, MemoryPlan::default());
        let logits: Vec<f32> = expected
            .sequences()
            .iter()
            .flat_map(|sequence| model.logits(&parameters, sequence))
            .collect();
        let error = relative_error(&logits, &expected.floats("logits"));
        assert!(
            error < 1e-4,
            "{name}: relative error of the logits {error:e}"
        );
    }
}

#[test]
fn log_probs_and_every_gradient_agree_packed_and_recomputed() {
    for name in MODELS {
        for (recompute, logits) in [(false, 1 << 25), (true, 1 << 25), (false, 200)] {
            let (mut model, parameters, expected) = load(name, MemoryPlan { recompute, logits });
            let batch = packed(&expected.sequences());
            let mut log_probs = vec![0.0; batch.steps()];
            let mut gradients = Tensor::zeros(parameters.len());
            model.forward(&parameters, &batch, &mut log_probs);
            model.backward(
                &parameters,
                &mut gradients,
                &batch,
                &expected.floats("coefficients"),
            );
            let error = relative_error(&log_probs, &expected.floats("log_probs"));
            assert!(
                error < 1e-4,
                "{name}: relative error of the log-probs {error:e}"
            );
            for parameter in model.layout().parameters() {
                let found = gradients.view(parameter.range.clone()).to_host();
                let of = format!("gradients.{}", parameter.name);
                let error = relative_error(&found, &expected.floats(&of));
                assert!(error < 1e-3, "{name}: relative error of {of} {error:e}");
            }
            let mut again = vec![0.0; batch.steps()];
            model.log_probs(&parameters, &batch, &mut again);
            assert_eq!(
                again, log_probs,
                "{name}: log_probs without a backward pass"
            );
        }
    }
}

#[test]
fn a_mask_keeps_only_the_scored_steps() {
    let (mut model, parameters, expected) = load("llama", MemoryPlan::default());
    let sequences = expected.sequences();
    let all = packed(&sequences);
    let mut batch = TokenBatch::new();
    for sequence in &sequences {
        batch.push(sequence, |i| i % 3 == 1);
    }
    let (mut of_all, mut scored) = (vec![0.0; all.steps()], vec![0.0; batch.steps()]);
    model.log_probs(&parameters, &all, &mut of_all);
    model.log_probs(&parameters, &batch, &mut scored);
    let chosen: Vec<f32> = all
        .cu_steps()
        .windows(2)
        .flat_map(|bounds| of_all[bounds[0]..bounds[1]].iter().step_by(3).copied())
        .collect();
    assert!(relative_error(&scored, &chosen) < 1e-6);

    // A step that is not scored, and one with coefficient zero, are the same.
    let mut coefficients = vec![0.0; all.steps()];
    for bounds in all.cu_steps().windows(2) {
        coefficients[bounds[0]..bounds[1]]
            .iter_mut()
            .step_by(3)
            .for_each(|c| *c = 1.0);
    }
    let gradient = |model: &mut LanguageModel, batch: &TokenBatch, coefficients: &[f32]| {
        let mut gradients = Tensor::zeros(parameters.len());
        let mut log_probs = vec![0.0; batch.steps()];
        model.forward(&parameters, batch, &mut log_probs);
        model.backward(&parameters, &mut gradients, batch, coefficients);
        gradients.to_host()
    };
    let masked = gradient(&mut model, &batch, &vec![1.0; batch.steps()]);
    let zeroed = gradient(&mut model, &all, &coefficients);
    assert!(relative_error(&masked, &zeroed) < 1e-5);
}
