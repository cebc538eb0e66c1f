//! Training with products in bf16 goes the way that training in f32 goes.

use std::path::Path;

use iwsft_engine::optim::{AdamW, AdamWConfig};
use iwsft_engine::{Policy, Precision, Tensor};
use iwsft_lm::{LanguageModel, MemoryPlan, ModelConfig, TokenBatch, weights};

const STEPS: u64 = 30;

/// Largest difference of the two losses of a step, as a share of the first loss
/// (the later ones go towards zero: the few tokens are learnt by heart). It was
/// 0.1 to 0.9 % for the three models when this was written.
const TOLERANCE: f32 = 2e-2;

/// The loss before each step and after the last one, and the first step's gradients.
fn train(name: &str, recompute: bool, precision: Precision) -> (Vec<f32>, Vec<f32>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/models")
        .join(name);
    let config = ModelConfig::from_folder(&folder).expect("a configuration");
    let plan = MemoryPlan {
        recompute,
        ..MemoryPlan::default()
    };
    let mut model = LanguageModel::new(config, plan);
    model.set_precision(precision);
    let mut parameters = Tensor::from_vec(weights::load(&folder, model.layout()).expect("weights"));
    let mut gradients = Tensor::zeros(parameters.len());
    let layout = model.layout().clone();
    let mut optimizer = AdamW::new(&layout, AdamWConfig::default());
    let mut batch = TokenBatch::new();
    for length in [40, 23, 61] {
        let tokens: Vec<u32> = (0..length).map(|i| i * i * 7 % 61).collect();
        batch.push(&tokens, |_| true);
    }
    let mut log_probs = vec![0.0; batch.steps()];
    let coefficients = vec![1.0 / batch.steps() as f32; batch.steps()];
    let loss = |log_probs: &[f32]| -log_probs.iter().sum::<f32>() / log_probs.len() as f32;
    let (mut losses, mut first) = (Vec::new(), Vec::new());
    for step in 1..=STEPS {
        model.forward(&parameters, &batch, &mut log_probs);
        losses.push(loss(&log_probs));
        model.backward(&parameters, &mut gradients, &batch, &coefficients);
        if step == 1 {
            first = gradients.to_host();
        }
        optimizer
            .step(
                &layout,
                &mut parameters,
                &mut gradients,
                step,
                3e-3,
                1.0,
                Some(1.0),
            )
            .expect("a finite gradient");
    }
    model.log_probs(&parameters, &batch, &mut log_probs);
    losses.push(loss(&log_probs));
    (losses, first)
}

#[test]
fn losses_and_gradients_in_bf16_stay_close_to_those_in_f32() {
    for (name, recompute) in [
        ("llama", false),
        ("qwen2_bf16", false),
        ("qwen3_sharded", true),
    ] {
        let (f32, f32_gradients) = train(name, recompute, Precision::F32);
        let (bf16, bf16_gradients) = train(name, recompute, Precision::Bf16);
        assert!(
            f32[30] < 0.9 * f32[0],
            "{name}: nothing was learnt: {f32:?}"
        );
        let largest = f32
            .iter()
            .zip(&bf16)
            .fold(0.0f32, |most, (f32, bf16)| most.max((f32 - bf16).abs()))
            / f32[0];
        println!("{name}: largest difference of a loss {largest:e} of the first one");
        assert!(
            largest < TOLERANCE,
            "{name}: {f32:?} in f32, {bf16:?} in bf16"
        );
        assert_ne!(f32, bf16, "{name}: bf16 was not used");

        let dot = |a: &[f32], b: &[f32]| -> f64 {
            let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
            products.sum()
        };
        let norms = dot(&f32_gradients, &f32_gradients) * dot(&bf16_gradients, &bf16_gradients);
        let cosine = dot(&f32_gradients, &bf16_gradients) / norms.sqrt();
        println!("{name}: cosine of the gradients {cosine}");
        assert!(cosine > 0.998, "{name}: cosine of the gradients {cosine}");
    }
}
