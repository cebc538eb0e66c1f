//! RMSNorm of every query and key head by itself (Qwen3), values untouched.

use rayon::prelude::*;

use super::ROWS_PER_TASK;
use super::attention::Heads;
use super::rms_norm::{reciprocal_rms, scale_row};
use crate::{View, ViewMut, cpu};

/// `y` is `qkv [n, (h + 2k) e]` with each query head normalised and scaled by
/// the first half of `weights [2e]`, each key head by the second.
pub fn forward(qkv: View<'_>, weights: View<'_>, eps: f32, y: ViewMut<'_>, heads: Heads) {
    let e = heads.width;
    let (query_weight, key_weight) = weights.host().split_at(e);
    let (rows, task) = (heads.row(), heads.row() * ROWS_PER_TASK);
    qkv.host()
        .par_chunks(task)
        .zip(y.host().par_chunks_mut(task))
        .for_each(|(x, y)| {
            cpu::run(
                #[inline(always)]
                || {
                    for (x, y) in x.chunks_exact(rows).zip(y.chunks_exact_mut(rows)) {
                        for (head, (x, y)) in
                            x.chunks_exact(e).zip(y.chunks_exact_mut(e)).enumerate()
                        {
                            if head < heads.queries {
                                scale_row(x, reciprocal_rms(x, eps), query_weight, y);
                            } else if head < heads.queries + heads.keys {
                                scale_row(x, reciprocal_rms(x, eps), key_weight, y);
                            } else {
                                y.copy_from_slice(x);
                            }
                        }
                    }
                },
            );
        });
}

/// Turns `dqkv` (gradient of `y`) into the gradient of `qkv` in place and adds
/// to `dweights [2e]`.
pub fn backward(
    qkv: View<'_>,
    weights: View<'_>,
    eps: f32,
    dqkv: ViewMut<'_>,
    dweights: ViewMut<'_>,
    heads: Heads,
) {
    let e = heads.width;
    let (query_weight, key_weight) = weights.host().split_at(e);
    let (rows, task) = (heads.row(), heads.row() * ROWS_PER_TASK);
    let normalised = heads.queries + heads.keys;
    let partial: Vec<Vec<f32>> = qkv
        .host()
        .par_chunks(task)
        .zip(dqkv.host().par_chunks_mut(task))
        .map(|(x, dy)| {
            let mut sums = vec![0.0; 2 * e];
            let (dquery, dkey) = sums.split_at_mut(e);
            cpu::run(
                #[inline(always)]
                || {
                    for (x, dy) in x.chunks_exact(rows).zip(dy.chunks_exact_mut(rows)) {
                        let heads_of_row = x.chunks_exact(e).zip(dy.chunks_exact_mut(e));
                        for (head, (x, dy)) in heads_of_row.take(normalised).enumerate() {
                            if head < heads.queries {
                                backward_head(x, query_weight, eps, dy, dquery);
                            } else {
                                backward_head(x, key_weight, eps, dy, dkey);
                            }
                        }
                    }
                },
            );
            sums
        })
        .collect();
    let dweights = dweights.host();
    for partial in partial {
        for (sum, value) in dweights.iter_mut().zip(partial) {
            *sum += value;
        }
    }
}

#[inline(always)]
fn backward_head(x: &[f32], weight: &[f32], eps: f32, dy: &mut [f32], dweight: &mut [f32]) {
    let rstd = reciprocal_rms(x, eps);
    let mut mean = 0.0f32;
    for ((&x, &dy), &weight) in x.iter().zip(dy.iter()).zip(weight) {
        mean = (x * dy).mul_add(weight, mean);
    }
    mean *= rstd * rstd / x.len() as f32;
    for (((dy, dweight), &x), &weight) in dy.iter_mut().zip(dweight).zip(x).zip(weight) {
        *dweight = (*dy * x).mul_add(rstd, *dweight);
        *dy = rstd * x.mul_add(-mean, weight * *dy);
    }
}
