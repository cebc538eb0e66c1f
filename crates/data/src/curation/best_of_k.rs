//! Keep the best answers to each prompt.

use crate::curation::candidate::marked;
use crate::curation::{Candidates, CurationError, Kept, Rule};

/// Keeps the best rows of each prompt: by score, then by reward; of equals the
/// one with the shorter completion, in characters, and then the one that comes
/// first. A row that has neither score nor reward is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BestOfK {
    /// Rows to keep of each prompt.
    pub at_most: usize,
}

impl Rule for BestOfK {
    fn name(&self) -> &'static str {
        "best-of-k"
    }

    fn setting(&self) -> String {
        format!("the best {} of each prompt", self.at_most)
    }

    fn apply(&self, rows: &Candidates, kept: &[usize]) -> Result<Kept, CurationError> {
        for row in kept.iter().map(|&index| rows.row(index)) {
            if row.score.is_none() && row.reward.is_none() {
                return Err(CurationError::NoQuality {
                    at: row.at.clone(),
                    rule: self.name(),
                });
            }
        }
        let lengths: Vec<usize> = kept
            .iter()
            .map(|&index| rows.row(index).completion.chars().count())
            .collect();
        let mut best = vec![false; kept.len()];
        for mut positions in rows.by_prompt(kept) {
            // A stable sort: of equals the first stays first.
            positions.sort_by(|&a, &b| {
                let better = rows.row(kept[b]).by_quality(rows.row(kept[a]));
                better.then(lengths[a].cmp(&lengths[b]))
            });
            for position in positions.into_iter().take(self.at_most) {
                best[position] = true;
            }
        }
        Ok(marked(kept, &best).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curation::Candidate;

    fn rows(list: &[(&str, &str, f32, Option<f32>)]) -> Candidates {
        let row = |&(prompt, completion, reward, score): &(&str, &str, f32, _)| Candidate {
            prompt: prompt.to_owned(),
            completion: completion.to_owned(),
            reward: Some(reward),
            score,
            ..Candidate::default()
        };
        Candidates::new(list.iter().map(row).collect())
    }

    #[test]
    fn score_comes_before_reward_and_short_before_long() {
        let rows = rows(&[
            ("p", "long answer", 1.0, Some(0.1)),
            ("p", "short", 1.0, Some(0.1)),
            ("q", "a", 0.0, None),
            ("p", "wrong", 0.0, Some(0.9)),
            ("q", "b", 0.0, None),
        ]);
        let all = [0, 1, 2, 3, 4];
        let left = |at_most| BestOfK { at_most }.apply(&rows, &all).unwrap().rows;
        assert_eq!(left(1), [2, 3]);
        assert_eq!(left(2), [1, 2, 3, 4]);
        assert_eq!(left(3), all);
    }

    #[test]
    fn the_shorter_completion_has_fewer_characters_not_bytes() {
        let rows = rows(&[
            ("p", "four", 1.0, None),
            ("p", "\u{56db}\u{4e2a}\u{5b57}", 1.0, None),
        ]);
        let left = BestOfK { at_most: 1 }.apply(&rows, &[0, 1]).unwrap();
        assert_eq!(left.rows, [1]);
    }

    #[test]
    fn a_row_that_nobody_graded_is_an_error() {
        let rows = Candidates::new(vec![Candidate::default()]);
        assert!(BestOfK { at_most: 1 }.apply(&rows, &[0]).is_err());
    }
}
