//! Two models on the same problems.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, DiscreteCDF};

use super::estimate::mean;
use super::{Estimate, Method, Z, bootstrap};

/// Below this p-value a difference is claimed, where a single comparison is
/// made. Who makes m of them passes this over m (Bonferroni).
pub const SIGNIFICANT: f64 = 0.05;

/// Sign patterns that are tried, or all where there are no more.
const FLIPS: usize = 20_000;

/// Two models on the same problems: how much better the second is than the
/// first, and whether that is more than chance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// Number of problems.
    pub problems: usize,
    /// Mean value of the first model.
    pub first: f64,
    /// Mean value of the second model.
    pub second: f64,
    /// Mean of second minus first, with its interval over problems.
    pub difference: Estimate,
    /// Problems on which the first does better.
    pub only_first: usize,
    /// Problems on which the second does better.
    pub only_second: usize,
    /// How often chance alone makes a difference as large, in either direction.
    pub p: f64,
    /// Where `p` comes from.
    pub test: Test,
    /// What may be said.
    pub verdict: Verdict,
}

/// A test of two models on the same problems. Both ask how often the difference
/// would be as large if, on each problem, the models changed places by a coin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Test {
    /// McNemar's exact test: problems that only one of them gets right, against
    /// a fair coin.
    McNemar,
    /// Signs of the differences flipped: all patterns where they are few, else a
    /// random sample of them.
    SignFlip,
}

/// What may be said of the second model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is better than the first.
    Better,
    /// It is worse than the first.
    Worse,
    /// These problems do not tell.
    CannotTell,
}

impl Comparison {
    /// Compares the values (0..=1) that two models reach on the same problems,
    /// in the same order. A difference is claimed where p < `significant`.
    ///
    /// Where every problem is right or wrong the test is McNemar's and the
    /// interval is that of D. G. Bonett and R. M. Price, Journal of Educational
    /// and Behavioral Statistics 37 (2012), 479-488; else signs are flipped and
    /// the interval is a paired BCa bootstrap.
    ///
    /// # Panics
    /// If there are no problems, or not the same number of both.
    pub fn new([first, second]: [&[f64]; 2], significant: f64, seed: u64) -> Self {
        assert_eq!(first.len(), second.len(), "values of the same problems");
        assert!(!first.is_empty(), "no problems, no comparison");
        let differences: Vec<f64> = first.iter().zip(second).map(|(a, b)| b - a).collect();
        let only_first = differences.iter().filter(|&&d| d < 0.0).count();
        let only_second = differences.iter().filter(|&&d| d > 0.0).count();
        let shares = differences.iter().all(|&d| d == 0.0 || d.abs() == 1.0);
        let (test, p) = if shares {
            (Test::McNemar, mcnemar(only_first, only_second))
        } else {
            (Test::SignFlip, sign_flip(&differences, seed))
        };
        let resampled = if shares {
            None
        } else {
            bootstrap::interval(&differences, seed)
        };
        let (interval, method) = match resampled {
            Some(interval) => (interval, Method::Bootstrap),
            None => (
                bonett_price(only_first, only_second, differences.len()),
                Method::BonettPrice,
            ),
        };
        let value = mean(&differences);
        Self {
            problems: differences.len(),
            first: mean(first),
            second: mean(second),
            difference: Estimate {
                value,
                interval,
                method,
            },
            only_first,
            only_second,
            p,
            test,
            verdict: match p < significant {
                true if value > 0.0 => Verdict::Better,
                true => Verdict::Worse,
                false => Verdict::CannotTell,
            },
        }
    }

    /// The verdict and its evidence as a sentence, with the models' names.
    pub fn sentence(&self, first: &str, second: &str) -> String {
        let n = self.problems;
        let problems = if n == 1 { "problem" } else { "problems" };
        let [low, high] = self.difference.interval.map(|bound| 100.0 * bound);
        let (a, b) = (100.0 * self.first, 100.0 * self.second);
        let test = match self.test {
            Test::McNemar => "McNemar's exact test",
            Test::SignFlip => "sign-flip test",
        };
        let p = if self.p < 0.001 {
            "p < 0.001".to_owned()
        } else {
            format!("p = {:.3}", self.p)
        };
        let evidence = format!(
            "{b:.1}% against {a:.1}% on {n} {problems}, difference {:+.1} points, \
             95% interval {low:+.1} to {high:+.1}; better on {}, worse on {}; {test}, {p}",
            100.0 * self.difference.value,
            self.only_second,
            self.only_first,
        );
        match self.verdict {
            Verdict::Better => format!("{second} is better than {first}: {evidence}."),
            Verdict::Worse => format!("{second} is worse than {first}: {evidence}."),
            Verdict::CannotTell => {
                format!("{second} and {first}: no difference can be told: {evidence}.")
            }
        }
    }
}

/// Two-sided p-value of `a` against `b` under a fair coin.
fn mcnemar(a: usize, b: usize) -> f64 {
    match Binomial::new(0.5, (a + b) as u64) {
        Ok(coin) if a != b => (2.0 * coin.cdf(a.min(b) as u64)).min(1.0),
        _ => 1.0,
    }
}

/// Two-sided p-value of a mean of `differences`, each of which might as well have
/// had the other sign. A random sample of patterns counts the one that was seen
/// too, so that p is never too small (B. Phipson and G. K. Smyth, Statistical
/// Applications in Genetics and Molecular Biology 9 (2010), article 39).
fn sign_flip(differences: &[f64], seed: u64) -> f64 {
    let differing: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
    let seen = differing.iter().sum::<f64>().abs();
    // Sums of the same numbers in another order round differently.
    let as_large = |sum: f64| sum.abs() >= seen - 1e-9;
    let sum = |signs: &mut dyn Iterator<Item = bool>| -> f64 {
        let flipped = differing.iter().zip(signs);
        flipped.map(|(d, sign)| if sign { *d } else { -d }).sum()
    };
    let m = differing.len();
    if m < usize::BITS as usize && 1 << m <= FLIPS {
        let patterns = 1usize << m;
        let large = (0..patterns)
            .filter(|pattern| as_large(sum(&mut (0..m).map(|bit| pattern >> bit & 1 == 1))));
        return large.count() as f64 / patterns as f64;
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let large = (0..FLIPS).filter(|_| {
        let mut word = 0u64;
        as_large(sum(&mut (0..m).map(|index| {
            if index % 64 == 0 {
                word = random.next_u64();
            }
            word >> (index % 64) & 1 == 1
        })))
    });
    (1 + large.count()) as f64 / (1 + FLIPS) as f64
}

/// 95 % interval of (b - a) / n, where `a` problems only the first gets right
/// and `b` only the second: Wald's with one more of each.
fn bonett_price(a: usize, b: usize, n: usize) -> [f64; 2] {
    let n = n as f64 + 2.0;
    let [a, b] = [a, b].map(|count| (count as f64 + 1.0) / n);
    let half = Z * ((a + b - (b - a).powi(2)) / n).sqrt();
    [(b - a - half).max(-1.0), (b - a + half).min(1.0)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    fn rights(pattern: &str) -> Vec<f64> {
        pattern
            .chars()
            .map(|sign| f64::from(u8::from(sign == '1')))
            .collect()
    }

    fn compare(first: &[f64], second: &[f64]) -> Comparison {
        Comparison::new([first, second], SIGNIFICANT, 0)
    }

    #[test]
    fn mcnemars_test_counts_coins() {
        assert_eq!(mcnemar(0, 0), 1.0);
        assert_eq!(mcnemar(3, 3), 1.0);
        assert!((mcnemar(0, 5) - 2.0 / 32.0).abs() < 1e-12);
        assert!((mcnemar(1, 5) - 2.0 * 7.0 / 64.0).abs() < 1e-12);
        assert_eq!(mcnemar(9, 2), mcnemar(2, 9));
        let many = mcnemar(0, 5000);
        assert!((0.0..1e-300).contains(&many), "{many}");
        // scipy: stats.binomtest(480, 1000).pvalue
        assert!((mcnemar(480, 520) - 0.217_448_293_204_141_5).abs() < 1e-9);
    }

    #[test]
    fn flipping_signs_of_equal_differences_is_mcnemars_test() {
        for (a, b) in [(0, 5), (1, 5), (4, 9), (7, 7)] {
            let mut differences = vec![0.25; b];
            differences.extend(vec![-0.25; a]);
            differences.extend(vec![0.0; 6]);
            let found = sign_flip(&differences, 0);
            assert!((found - mcnemar(a, b)).abs() < 1e-12, "{a} {b}: {found}");
        }
    }

    #[test]
    fn flipped_signs_give_scipys_p() {
        // d = [((7 * i) % 11 - 4) / 8 for i in range(30)]; scipy:
        // stats.permutation_test((d,), np.sum, permutation_type="samples",
        //   n_resamples=1_000_000, rng=0).pvalue, two-sided; ours draws 20,000.
        let differences: Vec<f64> = (0..30).map(|i| f64::from(7 * i % 11 - 4) / 8.0).collect();
        let p = sign_flip(&differences, 0);
        assert!((p - 0.091_76).abs() < 0.006, "{p}");
    }

    #[test]
    fn better_is_said_only_when_it_is_and_worse_in_the_other_direction() {
        let (weak, strong) = (rights("1000000000"), rights("0111111111"));
        let better = compare(&weak, &strong);
        assert_eq!((better.only_first, better.only_second), (1, 9));
        assert_eq!(better.verdict, Verdict::Better);
        assert_eq!(compare(&strong, &weak).verdict, Verdict::Worse);
        let unsure = compare(&rights("1100000000"), &rights("0111110000"));
        assert_eq!(unsure.verdict, Verdict::CannotTell);
        assert!(
            unsure
                .sentence("base", "sft")
                .starts_with("sft and base: no difference can be told: 50.0% against 20.0%"),
            "{}",
            unsure.sentence("base", "sft")
        );
        let said = better.sentence("base", "sft");
        assert!(
            said.starts_with("sft is better than base: 90.0% against 10.0%"),
            "{said}"
        );
        assert!(said.contains("McNemar's exact test, p = 0.021"), "{said}");
    }

    #[test]
    fn several_answers_are_compared_problem_by_problem() {
        // Both halves of the pairs differ widely from problem to problem, and
        // the second is always a little better.
        let first: Vec<f64> = (0..12).map(|i| f64::from(i % 4) / 4.0).collect();
        let second: Vec<f64> = first.iter().map(|value| value + 0.25).collect();
        let found = compare(&first, &second);
        assert_eq!(found.test, Test::SignFlip);
        assert_eq!(found.verdict, Verdict::Better);
        assert!((found.p - 2.0 / 4096.0).abs() < 1e-12);
    }

    #[test]
    fn equal_answers_are_no_proof_of_equality() {
        let found = compare(&rights("1010101010"), &rights("1010101010"));
        assert_eq!((found.p, found.verdict), (1.0, Verdict::CannotTell));
        let [low, high] = found.difference.interval;
        assert!(low < -0.05 && 0.05 < high);
        assert_eq!(compare(&[0.5; 8], &[0.5; 8]).verdict, Verdict::CannotTell);
    }

    #[test]
    fn models_that_are_alike_are_seldom_called_different() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut answers = |k: u32| -> Vec<f64> {
            let right =
                |random: &mut ChaCha8Rng| (0..k).filter(|_| random.random_bool(0.4)).count();
            (0..40)
                .map(|_| right(&mut random) as f64 / f64::from(k))
                .collect()
        };
        for (k, trials) in [(1, 1000), (4, 60)] {
            let wrong = (0..trials)
                .filter(|_| compare(&answers(k), &answers(k)).verdict != Verdict::CannotTell)
                .count();
            // 5 % expected at most; a trial in ten of 60 would be 3.5 deviations.
            assert!(wrong * 10 <= trials, "k = {k}: {wrong} of {trials}");
        }
    }

    #[test]
    fn the_interval_of_paired_shares_is_bonett_and_prices() {
        // (7 + 1) and (2 + 1) of 40 + 2: 5/42 +- z sqrt((11/42 - (5/42)^2) / 42).
        let [low, high] = bonett_price(2, 7, 40);
        let (middle, half) = (
            5.0 / 42.0,
            ((11.0 / 42.0 - 25.0 / 1764.0) / 42.0_f64).sqrt(),
        );
        assert!((low - (middle - Z * half)).abs() < 1e-12);
        assert!((high - (middle + Z * half)).abs() < 1e-12);
    }
}
