//! RMSNorm: `y = x * r * w` with `r = 1 / sqrt(mean(x^2) + eps)` per row
//! (Zhang & Sennrich, arXiv 1910.07467).

use rayon::prelude::*;

use super::{COLUMNS_PER_TASK, ROWS_PER_TASK};
use crate::{View, ViewMut, cpu};

/// Normalises every row.
///
/// `x [n, d]`, `weight [d]`, `y [n, d]`, `rstd [n]` receives `r` for the
/// backward pass.
pub fn forward(x: View<'_>, weight: View<'_>, eps: f32, y: ViewMut<'_>, rstd: ViewMut<'_>) {
    let (x, weight, d) = (x.host(), weight.host(), weight.len());
    x.par_chunks(ROWS_PER_TASK * d)
        .zip(y.host().par_chunks_mut(ROWS_PER_TASK * d))
        .zip(rstd.host().par_chunks_mut(ROWS_PER_TASK))
        .for_each(|((x, y), rstd)| {
            cpu::run(
                #[inline(always)]
                || {
                    for ((x, y), rstd) in x
                        .chunks_exact(d)
                        .zip(y.chunks_exact_mut(d))
                        .zip(rstd.iter_mut())
                    {
                        *rstd = reciprocal_rms(x, eps);
                        scale_row(x, *rstd, weight, y);
                    }
                },
            );
        });
}

/// Recomputes `y` from `x` and the stored `rstd`, which is cheaper to do than
/// `y` is to keep.
pub fn again(x: View<'_>, weight: View<'_>, rstd: View<'_>, y: ViewMut<'_>) {
    let (x, weight, d) = (x.host(), weight.host(), weight.len());
    x.par_chunks(ROWS_PER_TASK * d)
        .zip(y.host().par_chunks_mut(ROWS_PER_TASK * d))
        .zip(rstd.host().par_chunks(ROWS_PER_TASK))
        .for_each(|((x, y), rstd)| {
            cpu::run(
                #[inline(always)]
                || {
                    for ((x, y), &rstd) in x.chunks_exact(d).zip(y.chunks_exact_mut(d)).zip(rstd) {
                        scale_row(x, rstd, weight, y);
                    }
                },
            );
        });
}

/// Adds to `dx` (which carries the residual's gradient) and to `dweight`:
///
/// `dx += r (w dy - x r^2 mean(w dy x))`, `dw += sum over rows of dy x r`.
pub fn backward(
    x: View<'_>,
    weight: View<'_>,
    rstd: View<'_>,
    dy: View<'_>,
    dx: ViewMut<'_>,
    dweight: ViewMut<'_>,
) {
    let (x, weight, rstd, dy) = (x.host(), weight.host(), rstd.host(), dy.host());
    let d = weight.len();
    x.par_chunks(ROWS_PER_TASK * d)
        .zip(dy.par_chunks(ROWS_PER_TASK * d))
        .zip(rstd.par_chunks(ROWS_PER_TASK))
        .zip(dx.host().par_chunks_mut(ROWS_PER_TASK * d))
        .for_each(|(((x, dy), rstd), dx)| {
            cpu::run(
                #[inline(always)]
                || {
                    for (((x, dy), &rstd), dx) in x
                        .chunks_exact(d)
                        .zip(dy.chunks_exact(d))
                        .zip(rstd)
                        .zip(dx.chunks_exact_mut(d))
                    {
                        let mean = mean_projection(x, weight, rstd, dy);
                        for (((dx, &x), &dy), &weight) in dx.iter_mut().zip(x).zip(dy).zip(weight) {
                            *dx += rstd * x.mul_add(-mean, weight * dy);
                        }
                    }
                },
            );
        });
    // Each task owns a block of columns and walks all rows in order: no partial
    // sums to store, and the same result on any number of threads.
    dweight
        .host()
        .par_chunks_mut(COLUMNS_PER_TASK)
        .enumerate()
        .for_each(|(task, dweight)| {
            let first = task * COLUMNS_PER_TASK;
            cpu::run(
                #[inline(always)]
                || {
                    for ((x, dy), &rstd) in x.chunks_exact(d).zip(dy.chunks_exact(d)).zip(rstd) {
                        add_scaled_products(dweight, &x[first..], &dy[first..], rstd);
                    }
                },
            );
        });
}

/// `1 / sqrt(mean(x^2) + eps)`.
#[inline(always)]
pub(super) fn reciprocal_rms(x: &[f32], eps: f32) -> f32 {
    1.0 / (cpu::dot(x, x) / x.len() as f32 + eps).sqrt()
}

#[inline(always)]
pub(super) fn scale_row(x: &[f32], rstd: f32, weight: &[f32], y: &mut [f32]) {
    for ((y, &x), &weight) in y.iter_mut().zip(x).zip(weight) {
        *y = x * rstd * weight;
    }
}

/// `r^2 mean(w dy x)`: what the norm takes from the gradient along `x`.
#[inline(always)]
pub(super) fn mean_projection(x: &[f32], weight: &[f32], rstd: f32, dy: &[f32]) -> f32 {
    let mut lanes = [0.0f32; cpu::LANES];
    let (x_blocks, x_rest) = x.as_chunks::<{ cpu::LANES }>();
    let (dy_blocks, dy_rest) = dy.as_chunks::<{ cpu::LANES }>();
    let (weight_blocks, weight_rest) = weight.as_chunks::<{ cpu::LANES }>();
    for ((x, dy), weight) in x_blocks.iter().zip(dy_blocks).zip(weight_blocks) {
        for lane in 0..cpu::LANES {
            lanes[lane] = (x[lane] * dy[lane]).mul_add(weight[lane], lanes[lane]);
        }
    }
    for (lane, ((x, dy), weight)) in x_rest.iter().zip(dy_rest).zip(weight_rest).enumerate() {
        lanes[lane] = (x * dy).mul_add(*weight, lanes[lane]);
    }
    lanes.iter().sum::<f32>() * rstd * rstd / x.len() as f32
}

/// `sums += scale a b`, element by element.
#[inline(always)]
pub(super) fn add_scaled_products(sums: &mut [f32], a: &[f32], b: &[f32], scale: f32) {
    for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
        *sum = (a * b).mul_add(scale, *sum);
    }
}
