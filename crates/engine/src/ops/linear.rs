//! Linear layer: `y = x W^T + bias`, with `W` as checkpoints store it, `[out, in]`.

use rayon::prelude::*;

use super::COLUMNS_PER_TASK;
use crate::matmul::{Matrix, multiply};
use crate::{View, ViewMut};

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
) {
    let y = y.host();
    if let Some(bias) = bias {
        assert!(!accumulate, "a biased linear layer does not accumulate");
        y.par_chunks_mut(output)
            .for_each(|row| row.copy_from_slice(bias.host()));
    }
    multiply(
        y,
        Matrix::new(x.host(), n, input),
        Matrix::new(weight.host(), output, input).transposed(),
        accumulate || bias.is_some(),
    );
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
) {
    multiply(
        dx.host(),
        Matrix::new(dy.host(), n, output),
        Matrix::new(weight.host(), output, input),
        accumulate,
    );
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
) {
    multiply(
        dweight.host(),
        Matrix::new(dy.host(), n, output).transposed(),
        Matrix::new(x.host(), n, input),
        true,
    );
}

/// `dbias [out] += sum over rows of dy`.
pub fn backward_bias(dy: View<'_>, dbias: ViewMut<'_>) {
    let (dy, output) = (dy.host(), dbias.len());
    dbias
        .host()
        .par_chunks_mut(COLUMNS_PER_TASK)
        .enumerate()
        .for_each(|(block, dbias)| {
            for row in dy.chunks_exact(output) {
                for (sum, value) in dbias.iter_mut().zip(&row[block * COLUMNS_PER_TASK..]) {
                    *sum += value;
                }
            }
        });
}
