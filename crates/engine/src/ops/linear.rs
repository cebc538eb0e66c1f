//! Linear layer: `y = x W^T + bias`, with `W` as checkpoints store it, `[out, in]`.
//! A layer of one output is computed in f32 in every precision.

use rayon::prelude::*;

use super::{COLUMNS_PER_TASK, one_output, relu};
use crate::bf16::{self, After, Before};
use crate::matmul::{Matrix, multiply};
use crate::{Precision, View, ViewMut, cpu};

/// `y = x W^T + bias`, or `y += x W^T` if `accumulate` (a residual connection).
///
/// `x [n, in]`, `weight [out, in]`, `bias [out]`, `y [n, out]`.
///
/// # Panics
/// If the sizes disagree.
pub fn forward(
    x: View<'_>,
    weight: View<'_>,
    bias: Option<View<'_>>,
    y: ViewMut<'_>,
    [n, input, output]: [usize; 3],
    accumulate: bool,
    precision: Precision,
) {
    assert!(
        !(accumulate && bias.is_some()),
        "a biased linear layer does not accumulate"
    );
    let y = y.host();
    if output == 1 {
        let bias = bias.map_or(0.0, |bias| bias.host()[0]);
        return one_output::forward(x.host(), weight.host(), bias, y, accumulate);
    }
    let x = Matrix::new(x.host(), n, input);
    let weight = Matrix::new(weight.host(), output, input).transposed();
    match precision {
        Precision::F32 => {
            if let Some(bias) = bias {
                y.par_chunks_mut(output)
                    .for_each(|row| row.copy_from_slice(bias.host()));
            }
            multiply(y, x, weight, accumulate || bias.is_some());
        }
        Precision::Bf16 => {
            let before = bias.map_or(begin(accumulate), |bias| Before::Bias(bias.host()));
            bf16::multiply(y, x, weight, before, After::Nothing);
        }
    }
}

/// `y = max(x W^T + bias, 0)`: [`forward`] and [`relu::forward_in_place`] in one.
///
/// # Panics
/// If the sizes disagree.
pub fn forward_relu(
    x: View<'_>,
    weight: View<'_>,
    bias: View<'_>,
    mut y: ViewMut<'_>,
    sizes: [usize; 3],
    precision: Precision,
) {
    let [n, input, output] = sizes;
    match precision {
        Precision::Bf16 if output > 1 => {
            bf16::multiply(
                y.host(),
                Matrix::new(x.host(), n, input),
                Matrix::new(weight.host(), output, input).transposed(),
                Before::Bias(bias.host()),
                After::Relu,
            );
        }
        Precision::F32 | Precision::Bf16 => {
            forward(x, weight, Some(bias), y.reborrow(), sizes, false, precision);
            relu::forward_in_place(y);
        }
    }
}

/// `dx = dy W`, or `dx += dy W` if `accumulate`.
///
/// # Panics
/// If the sizes disagree.
pub fn backward_input(
    dy: View<'_>,
    weight: View<'_>,
    dx: ViewMut<'_>,
    [n, input, output]: [usize; 3],
    accumulate: bool,
    precision: Precision,
) {
    if output == 1 {
        return one_output::backward_input(dy.host(), weight.host(), dx.host(), accumulate);
    }
    let dy = Matrix::new(dy.host(), n, output);
    let weight = Matrix::new(weight.host(), output, input);
    match precision {
        Precision::F32 => multiply(dx.host(), dy, weight, accumulate),
        Precision::Bf16 => {
            bf16::multiply(dx.host(), dy, weight, begin(accumulate), After::Nothing);
        }
    }
}

/// `dx = dy W` where `x > 0`, else 0: [`backward_input`] and
/// [`relu::backward_in_place`] in one, for an `x [n, in]` that is a ReLU's output.
///
/// # Panics
/// If the sizes disagree.
pub fn backward_input_relu(
    dy: View<'_>,
    weight: View<'_>,
    x: View<'_>,
    mut dx: ViewMut<'_>,
    sizes: [usize; 3],
    precision: Precision,
) {
    let [n, input, output] = sizes;
    match precision {
        Precision::Bf16 if output > 1 => {
            bf16::multiply(
                dx.host(),
                Matrix::new(dy.host(), n, output),
                Matrix::new(weight.host(), output, input),
                Before::Nothing,
                After::WhereAboveZero(x.host()),
            );
        }
        Precision::F32 | Precision::Bf16 => {
            backward_input(dy, weight, dx.reborrow(), sizes, false, precision);
            relu::backward_in_place(x, dx);
        }
    }
}

/// `dW += dy^T x`.
///
/// # Panics
/// If the sizes disagree.
pub fn backward_weight(
    dy: View<'_>,
    x: View<'_>,
    dweight: ViewMut<'_>,
    [n, input, output]: [usize; 3],
    precision: Precision,
) {
    if output == 1 {
        return one_output::backward_weight(dy.host(), x.host(), dweight.host());
    }
    let dy = Matrix::new(dy.host(), n, output).transposed();
    let x = Matrix::new(x.host(), n, input);
    match precision {
        Precision::F32 => multiply(dweight.host(), dy, x, true),
        Precision::Bf16 => bf16::multiply(dweight.host(), dy, x, Before::Itself, After::Nothing),
    }
}

fn begin(accumulate: bool) -> Before<'static> {
    match accumulate {
        true => Before::Itself,
        false => Before::Nothing,
    }
}

/// `dbias [out] += sum over rows of dy`.
pub fn backward_bias(dy: View<'_>, dbias: ViewMut<'_>) {
    let (dy, output) = (dy.host(), dbias.len());
    dbias
        .host()
        .par_chunks_mut(COLUMNS_PER_TASK)
        .enumerate()
        .for_each(|(block, dbias)| {
            cpu::run(
                #[inline(always)]
                || {
                    for row in dy.chunks_exact(output) {
                        let values = &row[block * COLUMNS_PER_TASK..];
                        for (sum, value) in dbias.iter_mut().zip(values) {
                            *sum += value;
                        }
                    }
                },
            );
        });
}
