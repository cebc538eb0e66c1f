//! The linear layer in both precisions: against f64, and fused against apart.

use iwsft_engine::ops::{linear, relu};
use iwsft_engine::{Precision, Tensor};
use proptest::prelude::*;

/// Deterministic values in about [-1, 1], different for every `seed`.
fn noise(length: usize, seed: u64) -> Tensor {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u32 << 24) as f32
    };
    Tensor::from_vec((0..length).map(|_| uniform() * 2.0 - 1.0).collect())
}

/// Largest relative error of a product of two numbers in each precision. Rounding
/// to the 8 significant bits of bf16 is off by up to 2^-8 of the number, for each
/// of the two; 1 part in 100 more than that covers the product of both errors.
fn unit(precision: Precision) -> f64 {
    match precision {
        Precision::F32 => 2f64.powi(-24),
        Precision::Bf16 => 2.0 * 1.01 * 2f64.powi(-8),
    }
}

/// Checks `found [rows, columns]` against `before + sum_k term(row, column, k)`.
fn check(
    what: &str,
    precision: Precision,
    found: &Tensor,
    columns: usize,
    before: impl Fn(usize) -> f64,
    (length, term): (usize, impl Fn(usize, usize, usize) -> f64),
) {
    for (at, found) in found.to_host().into_iter().enumerate() {
        let terms = (0..length).map(|k| term(at / columns, at % columns, k));
        let (sum, size) = terms.fold((before(at), 0.0), |(sum, size), term| {
            (sum + term, size + term.abs())
        });
        let sums = (length + 1) as f64 * 2f64.powi(-24) * (size + before(at).abs());
        let tolerance = unit(precision) * size + sums;
        assert!(
            (f64::from(found) - sum).abs() <= tolerance,
            "{what} in {precision}, element {at}: found {found}, expected {sum} +- {tolerance}"
        );
    }
}

fn check_layer([n, input, output]: [usize; 3], precision: Precision) {
    let sizes = [n, input, output];
    let (x, weight, bias) = (
        noise(n * input, 1),
        noise(output * input, 2),
        noise(output, 3),
    );
    let (dy, before) = (noise(n * output, 4), noise(n * input.max(output), 5));
    let [xs, weights, biases, dys, befores] =
        [&x, &weight, &bias, &dy, &before].map(|tensor| tensor.to_host());
    let number = |values: &[f32], at: usize| f64::from(values[at]);
    let product = |row: usize, column: usize, k: usize| {
        number(&xs, row * input + k) * number(&weights, column * input + k)
    };

    let mut y = Tensor::zeros(n * output);
    let biased = Some(bias.all());
    linear::forward(
        x.all(),
        weight.all(),
        biased,
        y.all_mut(),
        sizes,
        false,
        precision,
    );
    let addend = |at: usize| number(&biases, at % output);
    check("y", precision, &y, output, addend, (input, product));

    let mut fused = Tensor::zeros(n * output);
    let (fused_y, bias) = (fused.all_mut(), bias.all());
    linear::forward_relu(x.all(), weight.all(), bias, fused_y, sizes, precision);
    relu::forward_in_place(y.all_mut());
    assert_eq!(fused.to_host(), y.to_host(), "ReLU in {precision}");

    let mut sum = Tensor::from_host(&befores[..n * output]);
    linear::forward(
        x.all(),
        weight.all(),
        None,
        sum.all_mut(),
        sizes,
        true,
        precision,
    );
    let addend = |at: usize| number(&befores, at);
    check("y + x w", precision, &sum, output, addend, (input, product));

    let gradient = |row: usize, column: usize, k: usize| {
        number(&dys, row * output + k) * number(&weights, k * input + column)
    };
    for accumulate in [false, true] {
        let mut dx = Tensor::from_host(&befores[..n * input]);
        linear::backward_input(
            dy.all(),
            weight.all(),
            dx.all_mut(),
            sizes,
            accumulate,
            precision,
        );
        let addend = |at: usize| {
            if accumulate {
                number(&befores, at)
            } else {
                0.0
            }
        };
        check("dx", precision, &dx, input, addend, (output, gradient));
    }
    let (mut dx, mut fused) = (Tensor::zeros(n * input), Tensor::zeros(n * input));
    linear::backward_input(
        dy.all(),
        weight.all(),
        dx.all_mut(),
        sizes,
        false,
        precision,
    );
    relu::backward_in_place(x.all(), dx.all_mut());
    let fused_dx = fused.all_mut();
    linear::backward_input_relu(dy.all(), weight.all(), x.all(), fused_dx, sizes, precision);
    assert_eq!(
        fused.to_host(),
        dx.to_host(),
        "ReLU's gradient in {precision}"
    );

    let start = noise(output * input, 6);
    let (mut dw, starts) = (Tensor::from_host(&start.to_host()), start.to_host());
    linear::backward_weight(dy.all(), x.all(), dw.all_mut(), sizes, precision);
    let addend = |at: usize| number(&starts, at);
    let gradient = |row: usize, column: usize, k: usize| {
        number(&dys, k * output + row) * number(&xs, k * input + column)
    };
    check("dw", precision, &dw, input, addend, (n, gradient));
}

#[test]
fn a_policys_sizes() {
    // Two of them large enough to be computed by several threads.
    for sizes in [
        [256, 256, 256],
        [256, 23, 256],
        [256, 256, 6],
        [5000, 24, 1],
        [300, 100, 90],
    ] {
        for precision in Precision::ALL {
            check_layer(sizes, precision);
        }
    }
}

#[test]
fn bf16_rounds_its_operands_and_f32_does_not() {
    // 1 + 2^-8 is half way to the next bf16 number, 1 + 2^-7; ties go to even.
    let x = Tensor::from_vec(vec![1.0 + 1.0 / 256.0]);
    let product = |outputs, precision| {
        let weight = Tensor::from_vec(vec![1.0; outputs]);
        let mut y = Tensor::zeros(outputs);
        linear::forward(
            x.all(),
            weight.all(),
            None,
            y.all_mut(),
            [1, 1, outputs],
            false,
            precision,
        );
        y.to_host()[0]
    };
    assert_eq!(product(2, Precision::F32), 1.0 + 1.0 / 256.0);
    assert_eq!(product(2, Precision::Bf16), 1.0);
    // A layer of one output is no matrix product, and never rounded.
    assert_eq!(product(1, Precision::Bf16), 1.0 + 1.0 / 256.0);
}

#[test]
#[should_panic(expected = "destination of a matrix product")]
fn sizes_that_disagree_are_a_mistake_of_the_program() {
    let (x, weight, mut y) = (Tensor::zeros(6), Tensor::zeros(12), Tensor::zeros(7));
    let y = y.all_mut();
    linear::forward(
        x.all(),
        weight.all(),
        None,
        y,
        [2, 3, 4],
        false,
        Precision::Bf16,
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_sizes(sizes in [1usize..70, 1usize..70, 1usize..70], bf16 in any::<bool>()) {
        check_layer(sizes, Precision::ALL[usize::from(bf16)]);
    }
}
