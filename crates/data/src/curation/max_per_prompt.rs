//! Keep no more than so many answers to each prompt.

use crate::curation::candidate::{draw, marked};
use crate::curation::{Candidates, CurationError, Kept, Rule};

/// Keeps at most so many rows of each prompt, drawn at random: files are often
/// sorted, by model or by reward, and the first rows are then not like the
/// others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxPerPrompt {
    /// Rows to keep of each prompt.
    pub at_most: usize,
    /// Decides which.
    pub seed: u64,
}

impl Rule for MaxPerPrompt {
    fn name(&self) -> &'static str {
        "max-per-prompt"
    }

    fn setting(&self) -> String {
        format!("{} of each prompt, seed {}", self.at_most, self.seed)
    }

    fn apply(&self, rows: &Candidates, kept: &[usize]) -> Result<Kept, CurationError> {
        let mut drawn = vec![false; kept.len()];
        for mut positions in rows.by_prompt(kept) {
            if positions.len() > self.at_most {
                // Cached: one hash a row.
                positions.sort_by_cached_key(|&position| {
                    let row = rows.row(kept[position]);
                    draw(self.name(), self.seed, &[&row.prompt, &row.completion])
                });
            }
            for position in positions.into_iter().take(self.at_most) {
                drawn[position] = true;
            }
        }
        Ok(marked(kept, &drawn).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curation::Candidate;

    fn rows() -> Candidates {
        let row = |i: usize| Candidate {
            prompt: format!("prompt {}", i % 10),
            completion: format!("answer {i}"),
            ..Candidate::default()
        };
        Candidates::new((0..100).map(row).collect())
    }

    #[test]
    fn every_prompt_keeps_as_many_as_it_may_and_a_seed_always_the_same() {
        let rows = rows();
        let all: Vec<usize> = (0..100).collect();
        let left = |seed| {
            let rule = MaxPerPrompt { at_most: 3, seed };
            rule.apply(&rows, &all).unwrap().rows
        };
        assert_eq!(left(1).len(), 30);
        assert_eq!(rows.prompts_of(&left(1)), 10);
        assert_eq!(left(1), left(1));
        assert_ne!(left(1), left(2));
        assert_ne!(left(1), all[..30], "not simply the first");
    }
}
