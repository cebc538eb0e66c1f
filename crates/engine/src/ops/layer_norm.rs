//! LayerNorm: `y = (x - mean) r * w + b` with `r = 1 / sqrt(variance + eps)`, mean
//! and variance (the biased one) of a row (Ba et al., arXiv 1607.06450).

use rayon::prelude::*;

use super::{COLUMNS_PER_TASK, ROWS_PER_TASK};
use crate::{View, ViewMut, cpu};

/// Normalises every row.
///
/// `x [n, d]`, `weight [d]`, `bias [d]`, `y [n, d]`; `statistics [n, 2]` receives
/// each row's mean and `r` for the backward pass.
///
/// # Panics
/// If the sizes disagree.
pub fn forward(
    x: View<'_>,
    weight: View<'_>,
    bias: View<'_>,
    eps: f32,
    y: ViewMut<'_>,
    statistics: ViewMut<'_>,
) {
    let (x, weight, bias, d) = (x.host(), weight.host(), bias.host(), weight.len());
    assert_eq!([x.len(), bias.len()], [y.len(), d], "sizes of LayerNorm");
    x.par_chunks(ROWS_PER_TASK * d)
        .zip(y.host().par_chunks_mut(ROWS_PER_TASK * d))
        .zip(statistics.host().par_chunks_mut(ROWS_PER_TASK * 2))
        .for_each(|((x, y), statistics)| {
            let (statistics, _) = statistics.as_chunks_mut::<2>();
            cpu::run(
                #[inline(always)]
                || {
                    let rows = x.chunks_exact(d).zip(y.chunks_exact_mut(d));
                    for ((x, y), statistics) in rows.zip(statistics) {
                        let mean = sum(x) / d as f32;
                        for (y, &x) in y.iter_mut().zip(x) {
                            *y = x - mean;
                        }
                        let r = 1.0 / (cpu::dot(y, y) / d as f32 + eps).sqrt();
                        for ((y, &weight), &bias) in y.iter_mut().zip(weight).zip(bias) {
                            *y = (*y * r).mul_add(weight, bias);
                        }
                        *statistics = [mean, r];
                    }
                },
            );
        });
}

/// Overwrites `dx` and adds to `dweight` and `dbias`. With `h = (x - mean) r`:
///
/// `dx = r (w dy - mean(w dy) - h mean(w dy h))`, `dw += sum over rows of dy h`,
/// `db += sum over rows of dy`. `parameters` are `None` where only `dx` is wanted.
///
/// # Panics
/// If the sizes disagree.
pub fn backward(
    x: View<'_>,
    weight: View<'_>,
    statistics: View<'_>,
    dy: View<'_>,
    dx: ViewMut<'_>,
    parameters: Option<[ViewMut<'_>; 2]>,
) {
    let (x, weight, dy, d) = (x.host(), weight.host(), dy.host(), weight.len());
    let (statistics, _) = statistics.host().as_chunks::<2>();
    assert_eq!(
        [x.len(), dy.len(), dx.len()],
        [statistics.len() * d; 3],
        "sizes of LayerNorm's backward pass"
    );
    x.par_chunks(ROWS_PER_TASK * d)
        .zip(dy.par_chunks(ROWS_PER_TASK * d))
        .zip(statistics.par_chunks(ROWS_PER_TASK))
        .zip(dx.host().par_chunks_mut(ROWS_PER_TASK * d))
        .for_each(|(((x, dy), statistics), dx)| {
            cpu::run(
                #[inline(always)]
                || {
                    let rows = x.chunks_exact(d).zip(dy.chunks_exact(d));
                    let rows = rows.zip(statistics).zip(dx.chunks_exact_mut(d));
                    for (((x, dy), &[mean, r]), dx) in rows {
                        for ((dx, &dy), &weight) in dx.iter_mut().zip(dy).zip(weight) {
                            *dx = dy * weight;
                        }
                        let average = sum(dx) / d as f32;
                        let product = |dx: f32, x: f32, sum: f32| dx.mul_add(x - mean, sum);
                        let projection = r * cpu::sum2(dx, x, product) / d as f32;
                        for (dx, &x) in dx.iter_mut().zip(x) {
                            let h = (x - mean) * r;
                            *dx = r * h.mul_add(-projection, *dx - average);
                        }
                    }
                },
            );
        });
    let Some([dweight, dbias]) = parameters else {
        return;
    };
    dweight
        .host()
        .par_chunks_mut(COLUMNS_PER_TASK)
        .zip(dbias.host().par_chunks_mut(COLUMNS_PER_TASK))
        .enumerate()
        .for_each(|(task, (dweight, dbias))| {
            let first = task * COLUMNS_PER_TASK;
            cpu::run(
                #[inline(always)]
                || {
                    let rows = x.chunks_exact(d).zip(dy.chunks_exact(d)).zip(statistics);
                    for ((x, dy), &[mean, r]) in rows {
                        let columns = dweight.iter_mut().zip(dbias.iter_mut());
                        let values = x[first..].iter().zip(&dy[first..]);
                        for ((dweight, dbias), (&x, &dy)) in columns.zip(values) {
                            *dweight = (dy * r).mul_add(x - mean, *dweight);
                            *dbias += dy;
                        }
                    }
                },
            );
        });
}

#[inline(always)]
fn sum(values: &[f32]) -> f32 {
    cpu::sum2(values, values, |value, _, sum| sum + value)
}
