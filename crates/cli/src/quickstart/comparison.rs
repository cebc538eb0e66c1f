//! What a number of right answers allows to say: intervals and paired tests.

use serde::Serialize;

/// 97.5 % quantile of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// Wilson's 95 % interval for a share of which `right` of `count` were seen.
///
/// Formula: E. B. Wilson, Journal of the American Statistical Association 22
/// (1927), 209-212. `count` must be above 0.
pub(crate) fn wilson(right: usize, count: usize) -> [f64; 2] {
    let (n, share) = (count as f64, right as f64 / count as f64);
    let z2 = Z * Z;
    let centre = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z / (1.0 + z2 / n) * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    [(centre - half).max(0.0), (centre + half).min(1.0)]
}

/// Two models on the same problems.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Comparison {
    pub(crate) first: &'static str,
    pub(crate) second: &'static str,
    /// Problems that only the first answers right.
    pub(crate) only_first: usize,
    /// Problems that only the second answers right.
    pub(crate) only_second: usize,
    /// Of the two-sided sign test: how often chance alone divides the
    /// problems that one of them gets right as unevenly as that.
    pub(crate) p: f64,
}

/// A p-value from which on nothing is claimed. Six pairs are compared, so each
/// is held to less than the usual 0.05.
const SIGNIFICANT: f64 = 0.01;

impl Comparison {
    /// `first` and `second` say which problems were answered right.
    pub(crate) fn new([first, second]: [&'static str; 2], [rights, other]: [&[bool]; 2]) -> Self {
        let only = |a: &[bool], b: &[bool]| a.iter().zip(b).filter(|(a, b)| **a && !**b).count();
        let (only_first, only_second) = (only(rights, other), only(other, rights));
        Self {
            first,
            second,
            only_first,
            only_second,
            p: sign_test(only_first, only_second),
        }
    }

    pub(crate) fn differs(&self) -> bool {
        self.p < SIGNIFICANT
    }
}

/// Two-sided p-value of `a` against `b` under a fair coin.
fn sign_test(a: usize, b: usize) -> f64 {
    let (few, n) = (a.min(b), a + b);
    // ln of the binomial coefficients over 2^n, one after the other.
    let mut ln_probability = -(n as f64) * std::f64::consts::LN_2;
    let mut tail = 0.0;
    for k in 0..=few {
        tail += ln_probability.exp();
        ln_probability += ((n - k) as f64 / (k + 1) as f64).ln();
    }
    (2.0 * tail).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilsons_interval_solves_its_equation() {
        for (right, count) in [
            (0, 10),
            (1, 10),
            (7, 10),
            (250, 500),
            (499, 500),
            (500, 500),
        ] {
            let share = right as f64 / count as f64;
            for bound in wilson(right, count) {
                // |share - p| = z sqrt(p (1 - p) / n) defines both ends.
                let left = (share - bound).powi(2);
                let right = Z * Z * bound * (1.0 - bound) / count as f64;
                assert!((left - right).abs() < 1e-12, "{share} {bound}");
            }
            let [low, high] = wilson(right, count);
            assert!(low <= share && share <= high && low < high);
        }
    }

    #[test]
    fn the_sign_test_counts_coins() {
        assert_eq!(sign_test(0, 0), 1.0);
        assert_eq!(sign_test(3, 3), 1.0);
        assert!((sign_test(0, 5) - 2.0 / 32.0).abs() < 1e-12);
        assert!((sign_test(1, 5) - 2.0 * 7.0 / 64.0).abs() < 1e-12);
        assert_eq!(sign_test(9, 2), sign_test(2, 9));
        let many = sign_test(0, 5000);
        assert!((0.0..1e-300).contains(&many), "{many}");
    }

    #[test]
    fn a_comparison_counts_the_problems_that_only_one_gets_right() {
        let first = [true, true, false, false, true];
        let second = [true, false, true, false, false];
        let comparison = Comparison::new(["a", "b"], [&first, &second]);
        assert_eq!((comparison.only_first, comparison.only_second), (2, 1));
        assert!(!comparison.differs());
    }
}
