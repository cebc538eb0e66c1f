//! Time of each fused operation, forward and backward, at the sizes of a small
//! model (1024 tokens, d = 896, 14 query heads, 2 key heads, f = 4864, v = 32000).

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use iwsft_engine::ops::attention::{self, Heads};
use iwsft_engine::ops::log_prob::{self, LogProbBuffer};
use iwsft_engine::ops::{linear, rms_norm, swiglu};
use iwsft_engine::optim::{AdamW, AdamWConfig};
use iwsft_engine::{Layout, Precision, Tensor};

const N: usize = 1024;
const D: usize = 896;
const F: usize = 4864;
const V: usize = 32_000;
const HEADS: Heads = Heads {
    queries: 14,
    keys: 2,
    width: 64,
};

fn noise(length: usize) -> Tensor {
    Tensor::from_vec((0..length).map(|i| ((i as f32) * 0.7).sin()).collect())
}

fn linear_layer(criterion: &mut Criterion) {
    let (x, w, sizes) = (noise(N * D), noise(2 * F * D), [N, D, 2 * F]);
    let (mut y, mut dx, mut dw) = (
        Tensor::zeros(N * 2 * F),
        Tensor::zeros(N * D),
        Tensor::zeros(2 * F * D),
    );
    criterion.bench_function("linear forward", |bencher| {
        bencher.iter(|| {
            linear::forward(
                x.all(),
                w.all(),
                None,
                y.all_mut(),
                sizes,
                false,
                Precision::F32,
            )
        });
    });
    criterion.bench_function("linear backward", |bencher| {
        bencher.iter(|| {
            linear::backward_input(y.all(), w.all(), dx.all_mut(), sizes, false, Precision::F32);
            linear::backward_weight(y.all(), x.all(), dw.all_mut(), sizes, Precision::F32);
        });
    });
}

fn row_wise(criterion: &mut Criterion) {
    let (x, w, dy) = (noise(N * D), noise(D), noise(N * D));
    let (mut y, mut rstd, mut dw) = (Tensor::zeros(N * D), Tensor::zeros(N), Tensor::zeros(D));
    criterion.bench_function("rms_norm forward", |bencher| {
        bencher.iter(|| rms_norm::forward(x.all(), w.all(), 1e-6, y.all_mut(), rstd.all_mut()));
    });
    criterion.bench_function("rms_norm backward", |bencher| {
        let mut dx = Tensor::zeros(N * D);
        bencher.iter(|| {
            rms_norm::backward(
                x.all(),
                w.all(),
                rstd.all(),
                dy.all(),
                dx.all_mut(),
                dw.all_mut(),
            );
        });
    });
    let (gate_up, mut act) = (noise(N * 2 * F), Tensor::zeros(N * F));
    criterion.bench_function("swiglu forward", |bencher| {
        bencher.iter(|| swiglu::forward(gate_up.all(), act.all_mut(), F));
    });
    // In place: its own output would be no input of a usual size for long.
    criterion.bench_function("swiglu backward", |bencher| {
        bencher.iter_batched_ref(
            || (noise(N * 2 * F), noise(N * F)),
            |(gate_up, dy)| swiglu::backward_in_place(gate_up.all_mut(), dy.all_mut(), F),
            BatchSize::PerIteration,
        );
    });
}

fn causal_attention(criterion: &mut Criterion) {
    let attended = HEADS.queries * HEADS.width;
    let (qkv, dout) = (noise(N * HEADS.row()), noise(N * attended));
    let (mut out, mut log_sum) = (
        Tensor::zeros(N * attended),
        Tensor::zeros(N * HEADS.queries),
    );
    let mut dqkv = Tensor::zeros(qkv.len());
    let cu_seqlens = [0, N / 2, N];
    criterion.bench_function("attention forward", |bencher| {
        bencher.iter(|| {
            attention::forward(
                qkv.all(),
                &cu_seqlens,
                HEADS,
                None,
                out.all_mut(),
                log_sum.all_mut(),
            );
        });
    });
    criterion.bench_function("attention backward", |bencher| {
        bencher.iter(|| {
            attention::backward(
                qkv.all(),
                &cu_seqlens,
                HEADS,
                None,
                out.all(),
                log_sum.all(),
                dout.all(),
                dqkv.all_mut(),
            );
        });
    });
}

fn chosen_log_probs(criterion: &mut Criterion) {
    let (hidden, table) = (noise(N * D), noise(V * D));
    let targets: Vec<u32> = (0..N as u32).map(|i| i * 31 % V as u32).collect();
    let (mut log_probs, coefficients) = (vec![0.0; N], vec![1.0; N]);
    let (mut dhidden, mut dtable) = (Tensor::zeros(N * D), Tensor::zeros(V * D));
    for (name, budget) in [("log_prob", 1 << 25), ("log_prob in chunks", 1 << 23)] {
        let mut buffer = LogProbBuffer::new(budget);
        criterion.bench_function(&format!("{name} forward and backward"), |bencher| {
            bencher.iter(|| {
                log_prob::forward(
                    hidden.all(),
                    table.all(),
                    &targets,
                    &mut buffer,
                    &mut log_probs,
                    D,
                );
                log_prob::backward(
                    hidden.all(),
                    table.all(),
                    &targets,
                    black_box(&coefficients),
                    &mut buffer,
                    dhidden.all_mut(),
                    dtable.all_mut(),
                    D,
                );
            });
        });
    }
}

fn optimizer(criterion: &mut Criterion) {
    let mut layout = Layout::default();
    layout.push("matrix", &[V, D]);
    let mut parameters = noise(layout.len());
    let mut gradients = noise(layout.len());
    let mut adamw = AdamW::new(&layout, AdamWConfig::default());
    let mut step = 0;
    criterion.bench_function("adamw of 28.7 M parameters", |bencher| {
        bencher.iter(|| {
            step += 1;
            gradients.copy_from_host(0, &[1.0]);
            adamw
                .step(
                    &layout,
                    &mut parameters,
                    &mut gradients,
                    step,
                    1e-4,
                    1.0,
                    Some(1.0),
                )
                .expect("a finite gradient")
        });
    });
}

criterion_group! {
    name = operations;
    config = Criterion::default().sample_size(10);
    targets = linear_layer, row_wise, causal_attention, chosen_log_probs, optimizer
}
criterion_main!(operations);
