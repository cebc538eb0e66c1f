//! RMSNorm of every query and key head by itself (Qwen3), values untouched.

use rayon::prelude::*;

use super::attention::Heads;
use super::rms_norm::{add_scaled_products, mean_projection, reciprocal_rms, scale_row};
use super::{COLUMNS_PER_TASK, ROWS_PER_TASK};
use crate::{View, ViewMut, cpu};

/// `y` is `qkv [n, (h + 2k) e]` with each query head normalised and scaled by
/// the first half of `weights [2e]`, each key head by the second. `rstd
/// [n, h + k]` receives the reciprocal root mean squares.
pub fn forward(
    qkv: View<'_>,
    weights: View<'_>,
    eps: f32,
    y: ViewMut<'_>,
    rstd: ViewMut<'_>,
    heads: Heads,
) {
    let (e, normalised) = (heads.width, heads.queries + heads.keys);
    let (query_weight, key_weight) = weights.host().split_at(e);
    let task = heads.row() * ROWS_PER_TASK;
    qkv.host()
        .par_chunks(task)
        .zip(y.host().par_chunks_mut(task))
        .zip(rstd.host().par_chunks_mut(normalised * ROWS_PER_TASK))
        .for_each(|((x, y), rstd)| {
            cpu::run(
                #[inline(always)]
                || {
                    for ((x, y), rstd) in x
                        .chunks_exact(heads.row())
                        .zip(y.chunks_exact_mut(heads.row()))
                        .zip(rstd.chunks_exact_mut(normalised))
                    {
                        let (x, x_values) = x.split_at(normalised * e);
                        let (y, y_values) = y.split_at_mut(normalised * e);
                        y_values.copy_from_slice(x_values);
                        for (head, ((x, y), rstd)) in x
                            .chunks_exact(e)
                            .zip(y.chunks_exact_mut(e))
                            .zip(rstd)
                            .enumerate()
                        {
                            let weight = if head < heads.queries {
                                query_weight
                            } else {
                                key_weight
                            };
                            *rstd = reciprocal_rms(x, eps);
                            scale_row(x, *rstd, weight, y);
                        }
                    }
                },
            );
        });
}

/// Turns `dqkv` (gradient of `y`) into the gradient of `qkv` in place and adds
/// to `dweights [2e]`; the formulas are those of [`super::rms_norm::backward`].
pub fn backward(
    qkv: View<'_>,
    weights: View<'_>,
    rstd: View<'_>,
    dqkv: ViewMut<'_>,
    dweights: ViewMut<'_>,
    heads: Heads,
) {
    let (qkv, rstd, dqkv) = (qkv.host(), rstd.host(), dqkv.host());
    let (dquery_weight, dkey_weight) = dweights.host().split_at_mut(heads.width);
    add_weight_gradient(qkv, rstd, dqkv, dquery_weight, heads, 0..heads.queries);
    let keys = heads.queries..heads.queries + heads.keys;
    add_weight_gradient(qkv, rstd, dqkv, dkey_weight, heads, keys);

    let (e, normalised) = (heads.width, heads.queries + heads.keys);
    let (query_weight, key_weight) = weights.host().split_at(e);
    let task = heads.row() * ROWS_PER_TASK;
    qkv.par_chunks(task)
        .zip(dqkv.par_chunks_mut(task))
        .zip(rstd.par_chunks(normalised * ROWS_PER_TASK))
        .for_each(|((x, dy), rstd)| {
            cpu::run(
                #[inline(always)]
                || {
                    for ((x, dy), rstd) in x
                        .chunks_exact(heads.row())
                        .zip(dy.chunks_exact_mut(heads.row()))
                        .zip(rstd.chunks_exact(normalised))
                    {
                        for (head, ((x, dy), &rstd)) in x
                            .chunks_exact(e)
                            .zip(dy.chunks_exact_mut(e))
                            .zip(rstd)
                            .enumerate()
                        {
                            let weight = if head < heads.queries {
                                query_weight
                            } else {
                                key_weight
                            };
                            let mean = mean_projection(x, weight, rstd, dy);
                            for ((dy, &x), &weight) in dy.iter_mut().zip(x).zip(weight) {
                                *dy = rstd * x.mul_add(-mean, weight * *dy);
                            }
                        }
                    }
                },
            );
        });
}

/// Adds the gradient of the weight that `of_heads` share; each task owns a block
/// of its columns and walks all rows in order.
fn add_weight_gradient(
    qkv: &[f32],
    rstd: &[f32],
    dqkv: &[f32],
    dweight: &mut [f32],
    heads: Heads,
    of_heads: std::ops::Range<usize>,
) {
    let normalised = heads.queries + heads.keys;
    dweight
        .par_chunks_mut(COLUMNS_PER_TASK)
        .enumerate()
        .for_each(|(task, dweight)| {
            cpu::run(
                #[inline(always)]
                || {
                    for ((x, dy), rstd) in qkv
                        .chunks_exact(heads.row())
                        .zip(dqkv.chunks_exact(heads.row()))
                        .zip(rstd.chunks_exact(normalised))
                    {
                        for head in of_heads.clone() {
                            let first = head * heads.width + task * COLUMNS_PER_TASK;
                            add_scaled_products(dweight, &x[first..], &dy[first..], rstd[head]);
                        }
                    }
                },
            );
        });
}
