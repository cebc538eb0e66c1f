//! A linear layer of one output, as a critic's last one: dot products, which are read
//! once and not worth packing. In f32, whatever the precision of other layers.

use rayon::prelude::*;

use super::COLUMNS_PER_TASK;
use crate::cpu;

/// Rows of one task: about a million multiply-adds for common widths.
const ROWS_PER_TASK: usize = 1 << 12;

/// `y [n] = x w + bias`, or `y += x w` if `accumulate`, for `x [n, in]`, `weight [in]`.
///
/// # Panics
/// If the sizes disagree, as all functions here do.
pub(super) fn forward(x: &[f32], weight: &[f32], bias: f32, y: &mut [f32], accumulate: bool) {
    let width = weight.len();
    check(y, x, width);
    y.par_chunks_mut(ROWS_PER_TASK)
        .zip(x.par_chunks(ROWS_PER_TASK * width))
        .for_each(|(y, x)| {
            cpu::run(
                #[inline(always)]
                || {
                    for (y, x) in y.iter_mut().zip(x.chunks_exact(width)) {
                        let before = if accumulate { *y } else { bias };
                        *y = before + cpu::dot(x, weight);
                    }
                },
            );
        });
}

/// `dx = dy w`, or `dx += dy w` if `accumulate`, for `dy [n]`.
pub(super) fn backward_input(dy: &[f32], weight: &[f32], dx: &mut [f32], accumulate: bool) {
    let width = weight.len();
    check(dy, dx, width);
    dx.par_chunks_mut(ROWS_PER_TASK * width)
        .zip(dy.par_chunks(ROWS_PER_TASK))
        .for_each(|(dx, dy)| {
            cpu::run(
                #[inline(always)]
                || {
                    for (dx, &dy) in dx.chunks_exact_mut(width).zip(dy) {
                        for (dx, &weight) in dx.iter_mut().zip(weight) {
                            let before = if accumulate { *dx } else { 0.0 };
                            *dx = dy.mul_add(weight, before);
                        }
                    }
                },
            );
        });
}

/// `dw += sum over rows of dy x`.
pub(super) fn backward_weight(dy: &[f32], x: &[f32], dweight: &mut [f32]) {
    let width = dweight.len();
    check(dy, x, width);
    dweight
        .par_chunks_mut(COLUMNS_PER_TASK)
        .enumerate()
        .for_each(|(task, dweight)| {
            let first = task * COLUMNS_PER_TASK;
            cpu::run(
                #[inline(always)]
                || {
                    for (x, &dy) in x.chunks_exact(width).zip(dy) {
                        for (sum, &x) in dweight.iter_mut().zip(&x[first..]) {
                            *sum = dy.mul_add(x, *sum);
                        }
                    }
                },
            );
        });
}

fn check(output: &[f32], input: &[f32], width: usize) {
    let rows = output.len();
    assert_eq!(input.len(), rows * width, "{rows} rows of {width} numbers");
}
