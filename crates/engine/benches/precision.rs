//! Matrix products of the linear layer in f32 and in bf16, at the sizes of a
//! control policy's networks (256 states a batch) and of its evaluation in bulk.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use iwsft_engine::ops::linear;
use iwsft_engine::{Precision, Tensor};

/// `[n, in, out]`.
const SIZES: [[usize; 3]; 4] = [
    [256, 256, 256],
    [256, 23, 256],
    [256, 256, 6],
    [4096, 256, 256],
];

fn noise(length: usize) -> Tensor {
    Tensor::from_vec((0..length).map(|i| ((i as f32) * 0.7).sin()).collect())
}

fn linear_layer(criterion: &mut Criterion) {
    for sizes in SIZES {
        let [n, input, output] = sizes;
        let (x, w, bias, dy) = (
            noise(n * input),
            noise(output * input),
            noise(output),
            noise(n * output),
        );
        let (mut y, mut dx, mut dw) = (
            Tensor::zeros(n * output),
            Tensor::zeros(n * input),
            Tensor::zeros(output * input),
        );
        let mut group = criterion.benchmark_group(format!("{n}x{input}x{output}"));
        group.throughput(Throughput::Elements((2 * n * input * output) as u64));
        for precision in Precision::ALL {
            group.bench_function(BenchmarkId::new("forward + ReLU", precision), |bencher| {
                bencher.iter(|| {
                    linear::forward_relu(
                        x.all(),
                        w.all(),
                        bias.all(),
                        y.all_mut(),
                        sizes,
                        precision,
                    );
                });
            });
            group.bench_function(BenchmarkId::new("input's gradient", precision), |bencher| {
                bencher.iter(|| {
                    linear::backward_input_relu(
                        dy.all(),
                        w.all(),
                        x.all(),
                        dx.all_mut(),
                        sizes,
                        precision,
                    );
                });
            });
            group.bench_function(
                BenchmarkId::new("weight's gradient", precision),
                |bencher| {
                    bencher.iter(|| {
                        linear::backward_weight(dy.all(), x.all(), dw.all_mut(), sizes, precision);
                    });
                },
            );
        }
        group.finish();
    }
}

criterion_group! {
    name = precision;
    config = Criterion::default().sample_size(30);
    targets = linear_layer
}
criterion_main!(precision);
