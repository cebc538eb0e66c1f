//! A warm step of training or generation allocates (next to) nothing: its memory was planned.
//! The packing buffers of matrix products are not counted: the `gemm` crate asks
//! for them anew each time, aligned to cache lines, which nothing else here is.

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use iwsft_engine::optim::{AdamW, AdamWConfig};
use iwsft_engine::{Policy, Tensor};
use iwsft_lm::{
    Decoder, Generation, LanguageModel, MemoryPlan, ModelConfig, Room, Sampling, TokenBatch,
    TokenRequest, Tokenizer, weights,
};

/// Counts the bytes that are asked for, but for packing buffers and what is too
/// small to hold activations (the bookkeeping of products and of the thread pool).
struct Counting;

/// Smallest alignment of a packing buffer.
const CACHE_LINE: usize = 64;

/// Less than this is not counted.
const SMALL: usize = 2 << 10;

static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() < CACHE_LINE && layout.size() >= SMALL {
            BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        }
        // SAFETY: the caller's promise, handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, handed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// One test, for the count is of the whole process.
#[test]
fn a_warm_step_allocates_nothing() {
    training();
    generation();
}

fn training() {
    for (name, recompute) in [
        ("llama", false),
        ("qwen3_sharded", true),
        ("qwen2_bf16", false),
    ] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/models")
            .join(name);
        let config = ModelConfig::from_folder(&folder).expect("a configuration");
        let mut model = LanguageModel::new(
            config,
            MemoryPlan {
                recompute,
                logits: 1000,
            },
        );
        let mut parameters =
            Tensor::from_vec(weights::load(&folder, model.layout()).expect("weights"));
        let mut gradients = Tensor::zeros(parameters.len());
        let layout = model.layout().clone();
        let mut optimizer = AdamW::new(&layout, AdamWConfig::default());
        let mut batch = TokenBatch::new();
        for length in [200, 90, 37] {
            let tokens: Vec<u32> = (0..length).map(|i| i * 7 % 64).collect();
            batch.push(&tokens, |_| true);
        }
        let mut log_probs = vec![0.0; batch.steps()];
        let coefficients = vec![1.0; batch.steps()];
        let mut asked = Vec::new();
        for step in 1..=6 {
            let before = BYTES.load(Ordering::Relaxed);
            model.forward(&parameters, &batch, &mut log_probs);
            model.backward(&parameters, &mut gradients, &batch, &coefficients);
            optimizer
                .step(
                    &layout,
                    &mut parameters,
                    &mut gradients,
                    step,
                    1e-3,
                    1e-2,
                    Some(1.0),
                )
                .expect("a finite gradient");
            asked.push(BYTES.load(Ordering::Relaxed) - before);
        }
        // The first steps make room, also on threads that had no work at first.
        assert_eq!(
            asked[2..].iter().min(),
            Some(&0),
            "{name}: bytes by step: {asked:?}"
        );
    }
}

fn generation() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let tokenizer = Tokenizer::from_folder(&fixtures.join("chat")).expect("a tokenizer");
    let folder = fixtures.join("models/llama");
    let config = ModelConfig::from_folder(&folder).expect("a configuration");
    let model = LanguageModel::new(config, MemoryPlan::default());
    let parameters = Tensor::from_vec(weights::load(&folder, model.layout()).expect("weights"));
    let mut decoder = Decoder::new(&model, &parameters);
    let requests: Vec<TokenRequest> = (0..40)
        .map(|draw| TokenRequest {
            prompt: [9, 8, 7].into(),
            draw,
        })
        .collect();
    let sampling = Sampling {
        top_p: 0.95,
        max_tokens: 100,
        ..Sampling::default()
    };
    let room = Room::default();
    let mut work =
        Generation::new(&mut decoder, &tokenizer, &requests, &sampling, room).expect("requests");
    let mut asked = Vec::new();
    for _ in 0..90 {
        let before = BYTES.load(Ordering::Relaxed);
        work.step().expect("a step");
        let asked_now = BYTES.load(Ordering::Relaxed) - before;
        // A completion that ends becomes a text, which takes memory.
        if work.finished().count() == 0 {
            asked.push(asked_now);
        }
    }
    assert_eq!(asked[20..].iter().sum::<usize>(), 0, "by step: {asked:?}");
}
