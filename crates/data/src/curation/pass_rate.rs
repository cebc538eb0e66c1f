//! How hard a prompt is, and prompts that are neither too easy nor too hard.

use crate::curation::{Candidates, CurationError, Kept, Rule};

/// Keeps the rows of prompts whose pass rate is within the range, ends
/// included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PassRate {
    /// The least pass rate.
    pub min: f64,
    /// The greatest pass rate.
    pub max: f64,
}

impl Rule for PassRate {
    fn name(&self) -> &'static str {
        "pass-rate"
    }

    fn setting(&self) -> String {
        super::length::range(Some(self.min), Some(self.max))
    }

    fn apply(&self, rows: &Candidates, kept: &[usize]) -> Result<Kept, CurationError> {
        let rates = pass_rates(rows, self.name())?;
        let (mut left, mut hard, mut easy) = (Vec::new(), 0, 0);
        for &index in kept {
            let rate = rates[rows.prompt(index)];
            if rate < self.min {
                hard += 1;
            } else if rate > self.max {
                easy += 1;
            } else {
                left.push(index);
            }
        }
        let mut details = vec![("too hard".to_owned(), hard), ("too easy".to_owned(), easy)];
        details.retain(|(_, count)| *count > 0);
        Ok(Kept {
            rows: left,
            details,
        })
    }
}

/// The pass rate of each prompt (`[prompts]`): the mean reward of all of its
/// rows, whatever rules have removed. `rule` is the one that asks.
///
/// # Errors
/// When a row has no reward, or one outside of 0 to 1.
pub fn pass_rates(rows: &Candidates, rule: &'static str) -> Result<Vec<f64>, CurationError> {
    let mut sums = vec![(0.0, 0.0); rows.prompt_count()];
    for (index, row) in rows.rows().iter().enumerate() {
        let at = || row.at.clone();
        let found = row
            .reward
            .ok_or_else(|| CurationError::NoReward { at: at(), rule })?;
        if !(0.0..=1.0).contains(&found) {
            return Err(CurationError::NotAPassRate {
                at: at(),
                rule,
                found,
            });
        }
        let (sum, count) = &mut sums[rows.prompt(index)];
        *sum += f64::from(found);
        *count += 1.0;
    }
    Ok(sums.into_iter().map(|(sum, count)| sum / count).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curation::tests::attempts;

    #[test]
    fn rates_count_rows_that_earlier_rules_removed() {
        // Prompts that 0 to 4 of 4 attempts solve.
        let rows = attempts(&[[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1]]);
        let rates = pass_rates(&rows, "test").unwrap();
        assert_eq!(rates, [0.0, 0.25, 0.5, 1.0]);
        let rule = PassRate {
            min: 0.25,
            max: 0.75,
        };
        // Of the second and third prompt only the right answers came so far.
        let left = rule.apply(&rows, &[0, 4, 8, 9, 12]).unwrap();
        assert_eq!(left.rows, [4, 8, 9]);
        let details = [("too hard".to_owned(), 1), ("too easy".to_owned(), 1)];
        assert_eq!(left.details, details);
    }

    #[test]
    fn rewards_that_are_no_shares_are_refused() {
        let mut row = attempts(&[[1, 1, 1, 1]]).row(0).clone();
        for reward in [None, Some(1.5), Some(-0.5)] {
            row.reward = reward;
            assert!(pass_rates(&Candidates::new(vec![row.clone()]), "test").is_err());
        }
    }
}
