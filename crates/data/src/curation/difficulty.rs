//! As many hard prompts as easy ones.

use crate::curation::candidate::draw;
use crate::curation::pass_rate::pass_rates;
use crate::curation::{Candidates, CurationError, Kept, Rule};

/// Puts the prompts that are left into bins of equal width by their pass rate,
/// and keeps as many prompts of each bin as the smallest one has that is not
/// empty, drawn at random. All rows of a kept prompt stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BalanceDifficulty {
    /// Number of bins between a pass rate of 0 and of 1.
    pub bins: usize,
    /// Decides which prompts are drawn.
    pub seed: u64,
}

impl Rule for BalanceDifficulty {
    fn name(&self) -> &'static str {
        "balance-difficulty"
    }

    fn setting(&self) -> String {
        format!("{} bins of pass rate, seed {}", self.bins, self.seed)
    }

    fn apply(&self, rows: &Candidates, kept: &[usize]) -> Result<Kept, CurationError> {
        let rates = pass_rates(rows, self.name())?;
        // Prompts of each bin with the draw that orders them.
        let mut bins: Vec<Vec<(u64, usize)>> = vec![Vec::new(); self.bins];
        for (prompt, positions) in rows.by_prompt(kept).into_iter().enumerate() {
            if let Some(&first) = positions.first() {
                let bin = (rates[prompt] * self.bins as f64) as usize;
                let key = rows.row(kept[first]).prompt_key();
                let order = draw(self.name(), self.seed, &[&key]);
                bins[bin.min(self.bins - 1)].push((order, prompt));
            }
        }
        let filled = bins.iter().filter(|bin| !bin.is_empty());
        let target = filled.map(Vec::len).min().unwrap_or(0);
        let details = bins.iter().enumerate().map(|(i, bin)| {
            let edge = |i: usize| i as f64 / self.bins as f64;
            let range = format!(
                "prompts of pass rate {:.2} to {:.2} before",
                edge(i),
                edge(i + 1)
            );
            (range, bin.len())
        });
        let details = details.collect();
        let mut stays = vec![false; rows.prompt_count()];
        for bin in &mut bins {
            bin.sort_unstable();
            for &(_, prompt) in bin.iter().take(target) {
                stays[prompt] = true;
            }
        }
        let mut left = kept.to_vec();
        left.retain(|&index| stays[rows.prompt(index)]);
        Ok(Kept {
            rows: left,
            details,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curation::tests::attempts;

    #[test]
    fn every_filled_bin_keeps_as_many_prompts_as_the_smallest() {
        let mut prompts = vec![[1, 1, 1, 1]; 10];
        prompts.extend(vec![[0, 0, 0, 0]; 5]);
        prompts.extend(vec![[1, 1, 0, 0]; 2]);
        let rows = attempts(&prompts);
        let all: Vec<usize> = (0..rows.len()).collect();
        let rule = BalanceDifficulty { bins: 4, seed: 0 };
        let left = rule.apply(&rows, &all).unwrap();
        let counts: Vec<usize> = left.details.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [5, 0, 2, 10]);
        // Two prompts of each, with all of their rows.
        assert_eq!(rows.prompts_of(&left.rows), 6);
        assert_eq!(left.rows.len(), 24);
        let easy = left.rows.iter().filter(|&&row| row < 40).count();
        assert_eq!(easy, 8);
        assert_eq!(rule.apply(&rows, &left.rows).unwrap().rows, left.rows);
    }
}
