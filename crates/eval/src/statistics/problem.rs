//! One problem's value from several answers to it.

/// Share of right answers: avg@n.
///
/// # Panics
/// If there are no answers.
pub fn average(right: &[bool]) -> f64 {
    assert!(!right.is_empty(), "a problem without answers has no value");
    count(right) as f64 / right.len() as f64
}

/// Probability that at least one of `k` answers, drawn without replacement from
/// these n, is right: 1 - C(n - c, k) / C(n, k) with c right ones, which is
/// unbiased for pass@k (arXiv 2107.03374, section 2.1). The quotient of binomial
/// coefficients is a product of factors below 1, so nothing overflows.
///
/// # Panics
/// If `k` is 0 or above the number of answers.
pub fn pass_at_k(right: &[bool], k: usize) -> f64 {
    let (n, c) = (right.len(), count(right));
    assert!(0 < k && k <= n, "pass@{k} needs {k} answers, there are {n}");
    if n - c < k {
        return 1.0;
    }
    let none = (n - c + 1..=n).map(|i| 1.0 - k as f64 / i as f64);
    1.0 - none.product::<f64>()
}

/// Whether the most frequent answer is right: majority@n. Where several answers
/// are equally frequent, one of them is taken by chance, and this is the
/// expected value. Answers that could not be read (`None`) have no vote; without
/// any vote the value is 0. `same` tells whether two answers mean the same; it
/// is asked once for each answer and each kind of answer found before.
///
/// # Panics
/// If `answers` and `right` differ in length.
pub fn majority<T>(
    answers: &[Option<T>],
    right: &[bool],
    mut same: impl FnMut(&T, &T) -> bool,
) -> f64 {
    assert_eq!(answers.len(), right.len(), "a verdict for each answer");
    // The first answer of each kind, its votes, and how many of them are right.
    let mut kinds: Vec<(&T, usize, usize)> = Vec::new();
    for (answer, &right) in answers.iter().zip(right) {
        let Some(answer) = answer else { continue };
        let known = kinds.iter().position(|(first, ..)| same(first, answer));
        let index = known.unwrap_or_else(|| {
            kinds.push((answer, 0, 0));
            kinds.len() - 1
        });
        kinds[index].1 += 1;
        kinds[index].2 += usize::from(right);
    }
    let most = kinds.iter().map(|kind| kind.1).max().unwrap_or(0);
    let tied: Vec<_> = kinds.iter().filter(|kind| kind.1 == most).collect();
    if tied.is_empty() {
        return 0.0;
    }
    // Answers that mean the same are all right or all wrong, unless the grader
    // is at odds with itself; then the share counts.
    let value = tied.iter().map(|kind| kind.2 as f64 / kind.1 as f64);
    value.sum::<f64>() / tied.len() as f64
}

fn count(right: &[bool]) -> usize {
    right.iter().filter(|right| **right).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answers(right: usize, n: usize) -> Vec<bool> {
        (0..n).map(|i| i < right).collect()
    }

    #[test]
    fn pass_at_k_is_the_share_of_subsets_with_a_right_answer() {
        for n in 1..=8usize {
            for c in 0..=n {
                let right = answers(c, n);
                for k in 1..=n {
                    let subsets = (0u32..1 << n).filter(|set| set.count_ones() as usize == k);
                    let lucky = |set: &u32| set & ((1 << c) - 1) != 0;
                    let all = subsets.clone().count() as f64;
                    let expected = subsets.filter(lucky).count() as f64 / all;
                    let found = pass_at_k(&right, k);
                    assert!((found - expected).abs() < 1e-12, "{c} of {n}, k = {k}");
                }
            }
        }
    }

    #[test]
    fn pass_at_k_stays_exact_where_binomial_coefficients_overflow() {
        // 1 - C(9900, 1000) / C(10000, 1000):
        // python3 -c "from math import comb; from fractions import Fraction as F;
        //   print(float(1 - F(comb(9900, 1000), comb(10000, 1000))))"
        let found = pass_at_k(&answers(100, 10_000), 1000);
        assert!((found - 0.999_974_869_786_977_5).abs() < 1e-12, "{found}");
        assert_eq!(pass_at_k(&answers(0, 10_000), 1000), 0.0);
    }

    proptest! {
        #[test]
        fn pass_at_1_is_the_average_and_pass_never_falls_with_k(
            right in prop::collection::vec(any::<bool>(), 1..40)
        ) {
            prop_assert!((pass_at_k(&right, 1) - average(&right)).abs() < 1e-12);
            let values: Vec<f64> = (1..=right.len()).map(|k| pass_at_k(&right, k)).collect();
            prop_assert!(values.is_sorted_by(|a, b| *a <= *b + 1e-12));
            let any = f64::from(u8::from(right.contains(&true)));
            prop_assert_eq!(values[right.len() - 1], any);
        }
    }

    fn vote(answers: &[&str], gold: &str) -> f64 {
        let right: Vec<bool> = answers.iter().map(|answer| *answer == gold).collect();
        let answers: Vec<_> = answers
            .iter()
            .map(|answer| (!answer.is_empty()).then_some(*answer))
            .collect();
        majority(&answers, &right, |a, b| a == b)
    }

    #[test]
    fn the_majority_decides_ties_are_shared_and_silence_has_no_vote() {
        assert_eq!(vote(&["7", "8", "7"], "7"), 1.0);
        assert_eq!(vote(&["7", "8", "8"], "7"), 0.0);
        assert_eq!(vote(&["7", "8"], "7"), 0.5);
        assert_eq!(vote(&["7", "8", "9"], "7"), 1.0 / 3.0);
        assert_eq!(vote(&["", "", "7"], "7"), 1.0);
        assert_eq!(vote(&["", ""], "7"), 0.0);
    }

    #[test]
    fn answers_that_mean_the_same_vote_together() {
        let answers = [Some("1/2"), Some("0.5"), Some("3"), Some("3"), Some("50%")];
        let half = |answer: &str| answer != "3";
        let right: Vec<bool> = answers.iter().map(|a| a.is_some_and(half)).collect();
        let together = majority(&answers, &right, |a, b| half(a) == half(b));
        assert_eq!(together, 1.0);
        let apart = majority(&answers, &right, |a, b| a == b);
        assert_eq!(apart, 0.0);
    }
}
