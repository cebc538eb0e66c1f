//! RMSNorm: `y = x * r * w` with `r = 1 / sqrt(mean(x^2) + eps)` per row
//! (Zhang & Sennrich, arXiv 1910.07467).

use rayon::prelude::*;

use super::ROWS_PER_TASK;
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
    let (x, weight, dy, d) = (x.host(), weight.host(), dy.host(), weight.len());
    let partial: Vec<Vec<f32>> = x
        .par_chunks(ROWS_PER_TASK * d)
        .zip(dy.par_chunks(ROWS_PER_TASK * d))
        .zip(rstd.host().par_chunks(ROWS_PER_TASK))
        .zip(dx.host().par_chunks_mut(ROWS_PER_TASK * d))
        .map(|(((x, dy), rstd), dx)| {
            let mut dweight = vec![0.0; d];
            cpu::run(
                #[inline(always)]
                || {
                    for (((x, dy), &rstd), dx) in x
                        .chunks_exact(d)
                        .zip(dy.chunks_exact(d))
                        .zip(rstd)
                        .zip(dx.chunks_exact_mut(d))
                    {
                        backward_row(x, weight, rstd, dy, dx, &mut dweight);
                    }
                },
            );
            dweight
        })
        .collect();
    let dweight = dweight.host();
    for partial in partial {
        for (sum, value) in dweight.iter_mut().zip(partial) {
            *sum += value;
        }
    }
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

#[inline(always)]
fn backward_row(
    x: &[f32],
    weight: &[f32],
    rstd: f32,
    dy: &[f32],
    dx: &mut [f32],
    dweight: &mut [f32],
) {
    let mut lanes = [0.0f32; cpu::LANES];
    for (i, ((&x, &dy), &weight)) in x.iter().zip(dy).zip(weight).enumerate() {
        let lane = &mut lanes[i % cpu::LANES];
        *lane = (x * dy).mul_add(weight, *lane);
    }
    let mean = lanes.iter().sum::<f32>() * rstd * rstd / x.len() as f32;
    for ((((dx, dweight), &x), &dy), &weight) in dx
        .iter_mut()
        .zip(dweight.iter_mut())
        .zip(x)
        .zip(dy)
        .zip(weight)
    {
        *dweight = (dy * x).mul_add(rstd, *dweight);
        *dx += rstd * x.mul_add(-mean, weight * dy);
    }
}
