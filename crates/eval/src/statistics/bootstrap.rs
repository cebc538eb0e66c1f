//! The bootstrap interval of a mean.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use statrs::distribution::{ContinuousCDF, Normal};

use super::OUTSIDE;

/// Resamples of the problems.
const RESAMPLES: usize = 10_000;

/// 95 % interval of the mean of `values` from resampling them with replacement:
/// bias-corrected and accelerated (BCa), after B. Efron, "Better bootstrap
/// confidence intervals", Journal of the American Statistical Association 82
/// (1987), 171-185. For a mean, the jackknife's acceleration is
/// `sum((x - m)^3) / (6 sum((x - m)^2)^1.5)`.
///
/// `None` where all values are equal: then resampling tells nothing.
pub(super) fn interval(values: &[f64], seed: u64) -> Option<[f64; 2]> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let moment = |power| values.iter().map(|x| (x - mean).powi(power)).sum::<f64>();
    let spread = moment(2);
    if values.windows(2).all(|pair| pair[0] == pair[1]) || spread <= 0.0 {
        return None;
    }
    let acceleration = moment(3) / (6.0 * spread.powf(1.5));

    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let drawn = values
                .iter()
                .map(|_| values[random.random_range(0..values.len())]);
            drawn.sum::<f64>() / n
        })
        .collect();
    means.sort_unstable_by(f64::total_cmp);

    // Means are sums of few different numbers: rounding must not decide which
    // side of the mean they are on, and those that are equal count half.
    let close = 1e-12 * mean.abs().max(1.0);
    let below = means.partition_point(|&other| other < mean - close);
    let up_to = means.partition_point(|&other| other <= mean + close);
    let share = (below + up_to) as f64 / (2 * RESAMPLES) as f64;
    let normal = Normal::standard();
    let bias = normal.inverse_cdf(share);
    if !bias.is_finite() {
        return Some([means[0], means[RESAMPLES - 1]]);
    }
    Some([OUTSIDE / 2.0, 1.0 - OUTSIDE / 2.0].map(|level| {
        let z = bias + normal.inverse_cdf(level);
        let level = normal.cdf(bias + z / (1.0 - acceleration * z));
        quantile(&means, level)
    }))
}

/// Quantile of sorted values, linear between them.
fn quantile(sorted: &[f64], level: f64) -> f64 {
    let place = level.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    sorted[low] + (place - low as f64) * (sorted[high] - sorted[low])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_lies_between_its_neighbours() {
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.5), 2.0);
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.75), 3.0);
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 1.0), 4.0);
    }

    #[test]
    fn equal_values_tell_nothing_and_the_same_seed_the_same() {
        assert_eq!(interval(&[0.1; 30], 0), None);
        let values: Vec<f64> = (1..30).map(|i| 1.0 / f64::from(i)).collect();
        assert_eq!(interval(&values, 1), interval(&values, 1));
        assert_ne!(interval(&values, 1), interval(&values, 2));
    }
}
