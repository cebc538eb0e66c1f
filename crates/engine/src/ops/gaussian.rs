//! Log-density of actions under a Gaussian with one deviation for all states:
//! `log p = -sum_i (z_i^2 / 2 + s_i) - a / 2 log(2 pi)` with
//! `z_i = (action_i - mean_i) / exp(s_i)` and `s = clamp(log_std, -5, 2)`.
//!
//! `mean [n, a]`, `actions [n, a]`, `log_std [a]`, `log_probs [n]`; `a` is the
//! size of an action.

use std::ops::RangeInclusive;

use crate::{View, ViewMut, cpu};

/// What a log-deviation is clamped to (as the control program of arXiv
/// 2507.12856 does); outside it has no gradient.
pub const LOG_STD: RangeInclusive<f32> = -5.0..=2.0;

/// Half of `log(2 pi)`.
const HALF_LOG_TWO_PI: f32 = 0.918_938_5;

/// Writes the log-density of each action, summed over its elements.
///
/// # Panics
/// If the sizes disagree.
pub fn log_prob(mean: View<'_>, log_std: View<'_>, actions: View<'_>, log_probs: ViewMut<'_>) {
    let a = check(mean, log_std, actions, log_probs.len());
    let scales = scales(log_std.host());
    let constant: f32 = scales.iter().map(|scale| scale.s + HALF_LOG_TWO_PI).sum();
    let rows = mean.host().chunks_exact(a).zip(actions.host().chunks(a));
    for ((mean, action), log_prob) in rows.zip(log_probs.host()) {
        let squares = mean.iter().zip(action).zip(&scales);
        let squares = squares.map(|((mean, action), scale)| {
            let z = (action - mean) * scale.inverse;
            z * z
        });
        *log_prob = -0.5 * squares.sum::<f32>() - constant;
    }
}

/// The gradient of `-sum_t c_t log p_t`: overwrites
/// `dmean = -c z / exp(s)` and adds to `dlog_std` the sum over steps of
/// `-c (z^2 - 1)`, where `log_std` is inside the clamp.
///
/// # Panics
/// If the sizes disagree.
pub fn backward(
    mean: View<'_>,
    log_std: View<'_>,
    actions: View<'_>,
    coefficients: View<'_>,
    dmean: ViewMut<'_>,
    dlog_std: ViewMut<'_>,
) {
    let a = check(mean, log_std, actions, coefficients.len());
    assert_eq!(dmean.len(), mean.len(), "size of the mean's gradient");
    let scales = scales(log_std.host());
    // Few columns and many rows: sums in f64 keep what f32 would lose.
    let mut sums = vec![0.0_f64; a];
    let rows = mean.host().chunks_exact(a).zip(actions.host().chunks(a));
    let rows = rows.zip(coefficients.host());
    let rows = rows.zip(dmean.host().chunks_exact_mut(a));
    cpu::run(
        #[inline(always)]
        || {
            for (((mean, action), &c), dmean) in rows {
                for i in 0..a {
                    let z = (action[i] - mean[i]) * scales[i].inverse;
                    dmean[i] = -c * z * scales[i].inverse;
                    sums[i] -= f64::from(c * z.mul_add(z, -1.0));
                }
            }
        },
    );
    let inside = log_std.host().iter().map(|s| LOG_STD.contains(s));
    for ((sum, inside), dlog_std) in sums.into_iter().zip(inside).zip(dlog_std.host()) {
        if inside {
            *dlog_std += sum as f32;
        }
    }
}

/// A clamped log-deviation and the inverse of its deviation.
struct Scale {
    s: f32,
    inverse: f32,
}

fn scales(log_std: &[f32]) -> Vec<Scale> {
    let clamped = log_std
        .iter()
        .map(|s| s.clamp(*LOG_STD.start(), *LOG_STD.end()));
    clamped
        .map(|s| Scale {
            s,
            inverse: (-s).exp(),
        })
        .collect()
}

/// The size `a` of an action.
fn check(mean: View<'_>, log_std: View<'_>, actions: View<'_>, n: usize) -> usize {
    let a = log_std.len();
    let sizes = [mean.len(), actions.len()];
    assert_eq!(sizes, [n * a; 2], "sizes of {n} means and actions of {a}");
    a
}
