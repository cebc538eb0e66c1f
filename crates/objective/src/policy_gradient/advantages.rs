//! Rewards of a group to advantages.

use serde::{Deserialize, Serialize};

/// What is added to the standard deviation before dividing by it.
const EPSILON: f64 = 1e-6;

/// How the rewards of a group of completions become advantages:
/// `A_i = (R_i - baseline_i) / scale`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Advantages {
    /// What is subtracted.
    pub baseline: Baseline,
    /// What it is divided by.
    pub normalise: Normalise,
}

/// What is subtracted from a completion's reward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Baseline {
    /// The mean of the group (GRPO, arXiv 2402.03300).
    #[default]
    Mean,
    /// The mean of the other completions of the group (RLOO, arXiv 2402.14740),
    /// which does not depend on the completion itself, so that the gradient is
    /// unbiased. It is `G / (G - 1)` times the other advantage.
    LeaveOneOut,
}

/// What advantages are divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalise {
    /// The sample standard deviation (divided by `G - 1`) of the group's
    /// rewards, plus 1e-6, as GRPO's programs have it.
    #[default]
    Std,
    /// Nothing (Dr. GRPO, arXiv 2503.20783): groups that are nearly all right or
    /// nearly all wrong are not blown up.
    None,
}

impl Advantages {
    /// Writes the advantages of a group with these `rewards`. A group of equal
    /// rewards has none: all are exactly 0.
    ///
    /// # Panics
    /// If `out` has not the length of `rewards`.
    pub fn of(self, rewards: &[f32], out: &mut [f32]) {
        assert_eq!(rewards.len(), out.len());
        if rewards.windows(2).all(|pair| pair[0] == pair[1]) {
            out.fill(0.0);
            return;
        }
        let n = rewards.len() as f64;
        let mean = rewards.iter().copied().map(f64::from).sum::<f64>() / n;
        let centred = |reward: f32| f64::from(reward) - mean;
        let squares: f64 = rewards.iter().map(|&reward| centred(reward).powi(2)).sum();
        let scale = match self.normalise {
            Normalise::Std => (squares / (n - 1.0)).sqrt() + EPSILON,
            Normalise::None => 1.0,
        };
        let others = match self.baseline {
            Baseline::Mean => 1.0,
            Baseline::LeaveOneOut => n / (n - 1.0),
        };
        for (out, &reward) in out.iter_mut().zip(rewards) {
            *out = (others * centred(reward) / scale) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advantages(rewards: &[f32], baseline: Baseline, normalise: Normalise) -> Vec<f32> {
        let mut out = vec![f32::NAN; rewards.len()];
        let rule = Advantages {
            baseline,
            normalise,
        };
        rule.of(rewards, &mut out);
        out
    }

    #[test]
    fn a_group_is_compared_with_its_mean_or_with_the_others() {
        let rewards = [1.0, 0.0, 0.0, 0.0];
        let mean = advantages(&rewards, Baseline::Mean, Normalise::None);
        assert_eq!(mean, [0.75, -0.25, -0.25, -0.25]);
        let others = advantages(&rewards, Baseline::LeaveOneOut, Normalise::None);
        let third = -1.0 / 3.0;
        for (found, expected) in others.iter().zip([1.0, third, third, third]) {
            assert!((found - expected).abs() < 1e-6, "{others:?}");
        }
        // Sample variance 1/4: standard deviation 1/2.
        let scaled = advantages(&rewards, Baseline::Mean, Normalise::Std);
        for (found, expected) in scaled.iter().zip([1.5, -0.5, -0.5, -0.5]) {
            assert!((found - expected).abs() < 1e-5, "{scaled:?}");
        }
    }

    #[test]
    fn a_group_of_equal_rewards_has_no_signal_whatever_rounding_does() {
        for normalise in [Normalise::Std, Normalise::None] {
            for rewards in [&[0.1_f32; 7][..], &[1.0; 3], &[-2.5; 2], &[0.3], &[]] {
                let found = advantages(rewards, Baseline::LeaveOneOut, normalise);
                assert!(found.iter().all(|a| *a == 0.0), "{rewards:?}");
            }
        }
    }

    #[test]
    fn advantages_sum_to_zero_and_do_not_see_a_shift() {
        let rewards = [0.2, 1.0, -0.7, 0.4, 0.4];
        let shifted = rewards.map(|reward: f32| reward + 3.0);
        for baseline in [Baseline::Mean, Baseline::LeaveOneOut] {
            for normalise in [Normalise::Std, Normalise::None] {
                let a = advantages(&rewards, baseline, normalise);
                assert!(a.iter().sum::<f32>().abs() < 1e-5, "{a:?}");
                let b = advantages(&shifted, baseline, normalise);
                assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-4));
            }
        }
    }
}
