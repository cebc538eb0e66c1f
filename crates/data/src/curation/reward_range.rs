//! Keep rows by their reward.

use crate::curation::{Candidates, CurationError, Kept, Rule};

/// Keeps rows whose reward is within the range, ends included. A row without a
/// reward is an error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RewardRange {
    /// The least reward.
    pub min: Option<f32>,
    /// The greatest reward.
    pub max: Option<f32>,
}

impl Rule for RewardRange {
    fn name(&self) -> &'static str {
        "reward"
    }

    fn setting(&self) -> String {
        super::length::range(self.min, self.max)
    }

    fn apply(&self, rows: &Candidates, kept: &[usize]) -> Result<Kept, CurationError> {
        let mut left = Vec::new();
        for &index in kept {
            let row = rows.row(index);
            let reward = row.reward.ok_or_else(|| CurationError::NoReward {
                at: row.at.clone(),
                rule: self.name(),
            })?;
            let low = self.min.is_some_and(|min| reward < min);
            let high = self.max.is_some_and(|max| reward > max);
            if !low && !high {
                left.push(index);
            }
        }
        Ok(left.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curation::tests::rewarded;

    #[test]
    fn both_ends_are_included() {
        let rows = rewarded(&[0.0, 0.5, 0.7, 1.0]);
        let rule = |min, max| RewardRange { min, max };
        let left = |rule: RewardRange| rule.apply(&rows, &[0, 1, 2, 3]).unwrap().rows;
        assert_eq!(left(rule(Some(0.5), None)), [1, 2, 3]);
        assert_eq!(left(rule(None, Some(0.5))), [0, 1]);
        assert_eq!(left(rule(Some(0.7), Some(0.7))), [2]);
        assert_eq!(rule(Some(0.7), None).setting(), "at least 0.7");
    }

    #[test]
    fn a_row_without_a_reward_is_named() {
        let mut row = rewarded(&[1.0]).row(0).clone();
        row.reward = None;
        row.at.line = 3;
        let rule = RewardRange {
            min: Some(0.0),
            max: None,
        };
        let error = rule.apply(&Candidates::new(vec![row]), &[0]).unwrap_err();
        assert!(error.to_string().contains(":3: has no reward"), "{error}");
    }
}
