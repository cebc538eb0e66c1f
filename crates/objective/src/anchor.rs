//! Divergence from the reference, estimated from the chosen steps alone.
//!
//! A policy gives the log-probability of the step that was taken, not the whole
//! distribution. With one step drawn from one of the two distributions, the
//! estimator k3 (Schulman, "Approximating KL divergence", 2020) is unbiased and
//! never negative: with `x` the ratio of the *other* distribution to the one
//! that drew the step,
//!
//! ```text
//! k3 = x - 1 - log x,     E[k3] = KL(drawn from || other)
//! ```
//!
//! because the mean of `x` is 1. Which distribution drew the step decides which
//! divergence it is: data come from the reference, rollouts from the policy.

use crate::ratio::{cap, capped_exp};

/// An estimate at one step, and its part of the step's coefficient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Divergence {
    /// The estimate, in nats, at least 0.
    pub value: f64,
    /// Minus its derivative in `log p`: what it adds to the coefficient `c` of
    /// a loss `-c log p`.
    pub coefficient: f64,
}

/// `KL(ref || p)` from a step of the reference's: with `x = p / ref`,
/// value `x - 1 - log x` and coefficient `1 - x`.
///
/// `log_ratio` is `log p - log ref`.
pub fn forward(log_ratio: f64) -> Divergence {
    let x = capped_exp(log_ratio);
    Divergence {
        value: x - 1.0 - cap(log_ratio),
        coefficient: 1.0 - x,
    }
}

/// `KL(p || ref)` from a step of the policy's own: with `x = ref / p`,
/// value `x - 1 - log x` and coefficient `x - 1`.
///
/// `log_ratio` is `log p - log ref`. As in GRPO (arXiv 2402.03300), the
/// derivative is that of the estimate at the step, not of its expectation.
pub fn reverse(log_ratio: f64) -> Divergence {
    let x = capped_exp(-log_ratio);
    Divergence {
        value: x - 1.0 + cap(log_ratio),
        coefficient: x - 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `sum_a drawn(a) value(a)` over a whole distribution.
    fn expected(
        drawn: [f64; 3],
        p: [f64; 3],
        reference: [f64; 3],
        of: fn(f64) -> Divergence,
    ) -> f64 {
        let each = |a: usize| drawn[a] * of(p[a].ln() - reference[a].ln()).value;
        (0..3).map(each).sum()
    }

    fn kl(a: [f64; 3], b: [f64; 3]) -> f64 {
        (0..3).map(|i| a[i] * (a[i] / b[i]).ln()).sum()
    }

    #[test]
    fn their_expectations_are_the_two_divergences() {
        let (p, reference) = ([0.7, 0.2, 0.1], [0.3, 0.3, 0.4]);
        let found = expected(reference, p, reference, forward);
        assert!((found - kl(reference, p)).abs() < 1e-12);
        let found = expected(p, p, reference, reverse);
        assert!((found - kl(p, reference)).abs() < 1e-12);
    }

    #[test]
    fn coefficients_are_minus_the_derivatives() {
        const H: f64 = 1e-6;
        for of in [forward, reverse] {
            for log_ratio in [-3.0, -0.5, 0.0, 0.2, 2.0] {
                let slope = (of(log_ratio + H).value - of(log_ratio - H).value) / (2.0 * H);
                let Divergence { value, coefficient } = of(log_ratio);
                assert!((slope + coefficient).abs() < 1e-7, "{log_ratio}: {slope}");
                assert!(value >= 0.0);
            }
            assert_eq!(of(0.0).value, 0.0);
        }
    }

    #[test]
    fn a_ratio_beyond_all_numbers_stays_finite() {
        for of in [forward, reverse] {
            for log_ratio in [-1e4, 1e4] {
                let Divergence { value, coefficient } = of(log_ratio);
                assert!((value as f32).is_finite() && (coefficient as f32).is_finite());
            }
        }
    }
}
