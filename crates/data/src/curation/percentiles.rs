//! Keep rows above percentiles, the better ones more often.

use crate::curation::{Candidate, Candidates, CurationError, Kept, Rule};

/// What is ranked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PercentileOf {
    /// [`Candidate::reward`].
    #[default]
    Reward,
    /// [`Candidate::score`].
    Score,
}

/// Keeps a row once for every percentile that it exceeds. With 90, 95 and 98,
/// rows of the best tenth come once to three times: the data of the control
/// recipe.
///
/// Percentiles are those of the rows that earlier rules left, with linear
/// interpolation between ranks, and a row must be above one, not at it.
#[derive(Debug, Clone, PartialEq)]
pub struct Percentiles {
    /// Each from 0 to 100.
    pub above: Vec<f64>,
    /// What is ranked.
    pub of: PercentileOf,
}

impl Percentiles {
    fn value(&self, row: &Candidate) -> Result<f64, CurationError> {
        let (at, rule) = (|| row.at.clone(), self.name());
        let value = match self.of {
            PercentileOf::Reward => row
                .reward
                .ok_or_else(|| CurationError::NoReward { at: at(), rule })?,
            PercentileOf::Score => row
                .score
                .ok_or_else(|| CurationError::NoScore { at: at(), rule })?,
        };
        Ok(f64::from(value))
    }
}

impl Rule for Percentiles {
    fn name(&self) -> &'static str {
        "percentiles"
    }

    fn setting(&self) -> String {
        let list: Vec<String> = self.above.iter().map(f64::to_string).collect();
        let of = match self.of {
            PercentileOf::Reward => "reward",
            PercentileOf::Score => "score",
        };
        format!("{of} above {}", list.join(", "))
    }

    fn apply(&self, rows: &Candidates, kept: &[usize]) -> Result<Kept, CurationError> {
        let values: Vec<f64> = kept
            .iter()
            .map(|&index| self.value(rows.row(index)))
            .collect::<Result<_, _>>()?;
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        let thresholds: Vec<f64> = self
            .above
            .iter()
            .map(|&percent| percentile(&sorted, percent))
            .collect();
        let mut left = Vec::new();
        for (&index, &value) in kept.iter().zip(&values) {
            let times = thresholds.iter().filter(|&&least| value > least).count();
            left.extend(std::iter::repeat_n(index, times));
        }
        let details = self.above.iter().zip(&thresholds).map(|(percent, least)| {
            let above = values.iter().filter(|&value| value > least).count();
            (format!("above {least} ({percent} %)"), above)
        });
        Ok(Kept {
            rows: left,
            details: details.collect(),
        })
    }
}

/// A percentile of ascending values as NumPy computes it by default.
fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let rank = (sorted.len().saturating_sub(1)) as f64 * percent / 100.0;
    let value = |rank: f64| sorted.get(rank as usize).copied().unwrap_or_default();
    let (low, high, between) = (value(rank.floor()), value(rank.ceil()), rank.fract());
    // From the nearer end, so that equal ends give exactly their value.
    if between < 0.5 {
        low + (high - low) * between
    } else {
        high - (high - low) * (1.0 - between)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curation::tests::rewarded;

    #[test]
    fn percentiles_are_those_of_numpy() {
        // np.percentile([1, 2, 4, 8, 16], p)
        let values = [1.0, 2.0, 4.0, 8.0, 16.0];
        for (percent, expected) in [
            (0.0, 1.0),
            (10.0, 1.4),
            (50.0, 4.0),
            (90.0, 12.8),
            (95.0, 14.4),
            (100.0, 16.0),
        ] {
            let found = percentile(&values, percent);
            assert!((found - expected).abs() < 1e-12, "{percent}: {found}");
        }
        assert_eq!(percentile(&[3.0], 98.0), 3.0);
    }

    #[test]
    fn the_control_recipe_takes_rows_once_twice_and_three_times() {
        let rewards: Vec<f32> = (0..100).map(|i| i as f32).collect();
        let rows = rewarded(&rewards);
        let rule = Percentiles {
            above: vec![90.0, 95.0, 98.0],
            of: PercentileOf::Reward,
        };
        let kept: Vec<usize> = (0..100).collect();
        let left = rule.apply(&rows, &kept).unwrap();
        let times = |row| left.rows.iter().filter(|&&r| r == row).count();
        let found: Vec<usize> = [89, 90, 94, 95, 97, 98, 99].map(times).to_vec();
        assert_eq!(found, [0, 1, 1, 2, 2, 3, 3]);
        assert!(left.rows.is_sorted());
        let counts: Vec<usize> = left.details.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [10, 5, 2]);
    }

    #[test]
    fn a_row_at_the_percentile_is_not_above_it() {
        let rows = rewarded(&[0.0, 1.0, 1.0]);
        let rule = Percentiles {
            above: vec![50.0],
            of: PercentileOf::Reward,
        };
        assert!(rule.apply(&rows, &[0, 1, 2]).unwrap().rows.is_empty());
    }
}
