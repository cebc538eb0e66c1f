//! A figure and its 95 % interval.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::{OUTSIDE, Z, bootstrap};

/// A mean and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// The mean.
    pub value: f64,
    /// Its 95 % interval.
    pub interval: [f64; 2],
    /// How the interval was found.
    pub method: Method,
}

/// How an interval was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Wilson's score interval of a share.
    Wilson,
    /// BCa bootstrap over problems.
    Bootstrap,
    /// Student's t over seeds.
    StudentT,
    /// The interval for paired shares after Bonett and Price.
    BonettPrice,
}

/// Wilson's 95 % interval of a share of which `share` of `count` were seen.
///
/// Formula: E. B. Wilson, Journal of the American Statistical Association 22
/// (1927), 209-212.
///
/// # Panics
/// If `count` is 0.
pub fn wilson(share: f64, count: usize) -> [f64; 2] {
    assert!(count > 0, "nothing was counted");
    let (n, z2) = (count as f64, Z * Z);
    let centre = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z / (1.0 + z2 / n) * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    // Rounding must not put the share outside.
    [
        (centre - half).clamp(0.0, share),
        (centre + half).clamp(share, 1.0),
    ]
}

impl Estimate {
    /// Mean of problems' values in 0..=1, as if the problems were drawn from
    /// many like them.
    ///
    /// Where all values are 0 or 1 the interval is Wilson's; else a BCa bootstrap
    /// over problems with this seed. Where all values are equal resampling would
    /// claim certainty, so Wilson's formula is used there too: values in 0..=1
    /// spread the most when they are 0 and 1, so it is wide enough.
    ///
    /// # Panics
    /// If there are no values.
    pub fn of_problems(values: &[f64], seed: u64) -> Self {
        assert!(!values.is_empty(), "no problems, no mean");
        let value = mean(values);
        let shares = values.iter().all(|&value| value == 0.0 || value == 1.0);
        let resampled = if shares {
            None
        } else {
            bootstrap::interval(values, seed)
        };
        match resampled {
            Some(interval) => Self {
                value,
                interval,
                method: Method::Bootstrap,
            },
            None => Self {
                value,
                interval: wilson(value.clamp(0.0, 1.0), values.len()),
                method: Method::Wilson,
            },
        }
    }

    /// Mean of the same figure over independent seeds, with Student's t interval
    /// (n - 1 degrees of freedom). For two methods on the same seeds, give the
    /// differences: the interval then says whether they differ. `None` below two
    /// seeds, from which nothing can be said.
    pub fn over_seeds(values: &[f64]) -> Option<Self> {
        let (value, error, student) = standard_error(values)?;
        let half = student.inverse_cdf(1.0 - OUTSIDE / 2.0) * error;
        Some(Self {
            value,
            interval: [value - half, value + half],
            method: Method::StudentT,
        })
    }
}

/// Two-sided p-value of Student's paired t-test: how often chance alone makes the
/// mean of such `differences`, one a seed, as large in either direction. `None`
/// below two seeds.
pub fn paired_t_test(differences: &[f64]) -> Option<f64> {
    let (mean, error, student) = standard_error(differences)?;
    if mean == 0.0 {
        return Some(1.0);
    }
    // Without any spread the quotient is infinite, and p is 0.
    Some(2.0 * student.sf((mean / error).abs()))
}

/// The mean of independent values, its standard error, and the distribution of
/// their quotient; `None` below two values.
fn standard_error(values: &[f64]) -> Option<(f64, f64, StudentsT)> {
    let n = values.len() as f64;
    let value = mean(values);
    let spread = values.iter().map(|x| (x - value).powi(2)).sum::<f64>();
    let student = StudentsT::new(0.0, 1.0, n - 1.0).ok()?;
    Some((value, (spread / (n - 1.0) / n).sqrt(), student))
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn wilsons_interval_solves_its_equation() {
        for (right, count) in [(0, 10), (1, 10), (7, 10), (250, 500), (500, 500)] {
            let share = f64::from(right) / f64::from(count);
            let interval = wilson(share, count as usize);
            for bound in interval {
                // |share - p| = z sqrt(p (1 - p) / n) defines both ends.
                let left = (share - bound).powi(2);
                let right = Z * Z * bound * (1.0 - bound) / f64::from(count);
                assert!((left - right).abs() < 1e-12, "{share} {bound}");
            }
            assert!(interval[0] <= share && share <= interval[1] && interval[0] < interval[1]);
        }
    }

    #[test]
    fn intervals_are_those_of_scipy() {
        // scipy 1.17.1: stats.binomtest(37, 50).proportion_ci(method="wilson")
        let wilson = wilson(37.0 / 50.0, 50);
        assert_close(wilson, [0.604_468_427_4, 0.841_284_725_1], 1e-9);
        // stats.t.interval(0.95, 4, loc=mean(x), scale=stats.sem(x))
        let seeds = Estimate::over_seeds(&[0.61, 0.58, 0.66, 0.6, 0.63]).unwrap();
        let expected = [0.578_134_337_2, 0.653_865_662_8];
        assert_close(seeds.interval, expected, 1e-9);
        // stats.bootstrap((x,), np.mean, n_resamples=1_000_000, method="BCa",
        //   rng=0) with x as here; ours has 10,000 resamples.
        let values = skewed();
        let found = Estimate::of_problems(&values, 0);
        assert_eq!(found.method, Method::Bootstrap);
        assert_close(found.interval, [0.131_25, 0.343_75], 0.006);
    }

    /// 40 problems, 4 answers each, most of them wrong.
    fn skewed() -> Vec<f64> {
        let rights = [0.0, 0.0, 0.0, 0.25, 0.0, 1.0, 0.0, 0.5];
        (0..40).map(|i| rights[i % 8]).collect()
    }

    #[track_caller]
    fn assert_close(found: [f64; 2], expected: [f64; 2], tolerance: f64) {
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() <= tolerance, "{found:?}, not {expected:?}");
        }
    }

    #[test]
    fn one_answer_a_problem_gets_wilsons_interval_and_equal_values_are_not_certain() {
        let found = Estimate::of_problems(&[1.0, 0.0, 1.0, 1.0], 0);
        assert_eq!((found.value, found.method), (0.75, Method::Wilson));
        assert_eq!(found.interval, wilson(0.75, 4));
        for value in [0.0, 0.5, 1.0] {
            let [low, high] = Estimate::of_problems(&[value; 20], 0).interval;
            assert!(low <= value && value <= high && high - low > 0.1, "{value}");
        }
    }

    #[test]
    fn the_paired_t_test_is_scipys() {
        // scipy 1.17.1: stats.ttest_1samp([0.02, 0.035, 0.011, 0.04], 0).pvalue
        let p = paired_t_test(&[0.02, 0.035, 0.011, 0.04]).unwrap();
        assert!((p - 0.028_727_402_9).abs() < 1e-9, "{p}");
        assert_eq!(paired_t_test(&[0.25; 3]), Some(0.0));
        assert_eq!(paired_t_test(&[0.0, 0.0]), Some(1.0));
        assert_eq!(paired_t_test(&[0.25]), None);
    }

    #[test]
    fn one_seed_says_nothing_and_equal_seeds_have_no_spread() {
        assert_eq!(Estimate::over_seeds(&[]), None);
        assert_eq!(Estimate::over_seeds(&[0.5]), None);
        let equal = Estimate::over_seeds(&[0.5, 0.5]).unwrap();
        assert_eq!((equal.value, equal.interval), (0.5, [0.5, 0.5]));
    }

    /// Share of `trials` in which the interval holds the truth: `values` draws
    /// the values of some problems, whose expectation is `truth`.
    fn coverage(
        trials: u64,
        truth: f64,
        mut values: impl FnMut(&mut ChaCha8Rng) -> Vec<f64>,
    ) -> f64 {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let held = (0..trials).filter(|&seed| {
            let values = values(&mut random);
            let [low, high] = Estimate::of_problems(&values, seed).interval;
            low <= truth && truth <= high
        });
        held.count() as f64 / trials as f64
    }

    #[test]
    fn intervals_hold_the_truth_about_as_often_as_they_say() {
        // One answer each to 60 problems of the same difficulty.
        let shares = coverage(2000, 0.3, |random| {
            (0..60)
                .map(|_| f64::from(u8::from(random.random_bool(0.3))))
                .collect()
        });
        assert!((0.93..0.97).contains(&shares), "{shares}");
        // Four answers each to 60 problems, each with a difficulty of its own:
        // the chance is u^2, u uniform, 1/3 on average.
        let clustered = coverage(150, 1.0 / 3.0, |random| {
            (0..60)
                .map(|_| {
                    let chance = random.random::<f64>().powi(2);
                    let right = (0..4).filter(|_| random.random_bool(chance)).count();
                    right as f64 / 4.0
                })
                .collect()
        });
        assert!((0.90..0.99).contains(&clustered), "{clustered}");
    }
}
