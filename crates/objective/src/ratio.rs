//! Probability ratios in log space, safe from overflow.

use crate::objective::Length;
use crate::steps::Trajectory;

/// Largest absolute value of an exponent before `exp` is taken: a ratio never
/// leaves `e^-80 ..= e^80` (about 1.8e-35 to 5.5e34).
///
/// A long trajectory under `length = "sum"` easily has a log-ratio of a
/// thousand, whose exponential is infinite. Within the cap a ratio is finite
/// as `f32` and its square as `f64`, so neither a coefficient nor an effective
/// sample size becomes infinite. The cap acts on the log-ratio, before `exp`
/// and before the bounds use it, so `x >= 1 + log x` still holds exactly.
/// A value that is not a number passes through.
pub const EXPONENT_CAP: f64 = 80.0;

pub(crate) fn cap(exponent: f64) -> f64 {
    exponent.clamp(-EXPONENT_CAP, EXPONENT_CAP)
}

pub(crate) fn capped_exp(exponent: f64) -> f64 {
    cap(exponent).exp()
}

/// `clip` of a ratio, with which side it was clipped on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Clipped {
    pub(crate) value: f64,
    pub(crate) low: bool,
    pub(crate) high: bool,
}

impl Clipped {
    pub(crate) fn free(value: f64) -> Self {
        Self {
            value,
            low: false,
            high: false,
        }
    }

    pub(crate) fn to(value: f64, [lo, hi]: [f64; 2]) -> Self {
        Self {
            // Not `clamp`, which panics where lo > hi.
            value: if value < lo {
                lo
            } else if value > hi {
                hi
            } else {
                value
            },
            low: value < lo,
            high: value > hi,
        }
    }
}

/// `T * mean_t[numerator_t - denominator_t]` over the steps that are not
/// masked, or the sum instead of the mean; capped to [`EXPONENT_CAP`]. A ratio
/// is between whole trajectories, so each step counts once here, however much
/// its loss weighs. A trajectory without steps has the log-ratio 0.
pub(crate) fn trajectory_log_ratio(
    trajectory: &Trajectory<'_>,
    numerator: &[f32],
    denominator: &[f32],
    temperature: f64,
    length: Length,
) -> f64 {
    let mut sum = 0.0;
    let mut steps = 0.0;
    for ((n, d), weight) in numerator
        .iter()
        .zip(denominator)
        .zip(trajectory.step_weight)
    {
        if *weight > 0.0 {
            sum += f64::from(*n) - f64::from(*d);
            steps += 1.0;
        }
    }
    if steps == 0.0 {
        return 0.0;
    }
    cap(match length {
        Length::Mean => temperature * sum / steps,
        Length::Sum => temperature * sum,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_ratio_is_finite_in_f32_and_its_square_in_f64() {
        let largest = capped_exp(f64::INFINITY);
        assert!((largest as f32).is_finite());
        assert!((largest * largest).is_finite());
        assert!(capped_exp(f64::NEG_INFINITY) as f32 > 0.0);
        assert!(capped_exp(f64::NAN).is_nan());
    }

    #[test]
    fn clipping_reports_only_values_outside_the_range() {
        let range = [0.5, 2.0];
        for (value, expected, low, high) in [
            (0.25, 0.5, true, false),
            (0.5, 0.5, false, false),
            (2.0, 2.0, false, false),
            (3.0, 2.0, false, true),
        ] {
            let clipped = Clipped::to(value, range);
            assert_eq!(
                clipped,
                Clipped {
                    value: expected,
                    low,
                    high
                }
            );
        }
        assert!(Clipped::to(f64::NAN, range).value.is_nan());
    }
}
