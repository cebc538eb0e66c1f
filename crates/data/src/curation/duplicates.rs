//! Keep one of rows that say the same.

use std::collections::HashMap;

use rayon::prelude::*;

use crate::curation::spelling::spelling;
use crate::curation::{Candidates, CurationError, Kept, Rule};

/// Of rows with the same prompt and completion, white space and Unicode's forms
/// aside, keeps the best by score, then by reward; of equals the first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Duplicates;

impl Rule for Duplicates {
    fn name(&self) -> &'static str {
        "dedup"
    }

    fn setting(&self) -> String {
        "exact".to_owned()
    }

    fn apply(&self, rows: &Candidates, kept: &[usize]) -> Result<Kept, CurationError> {
        let hashes: Vec<blake3::Hash> = kept
            .par_iter()
            .map(|&index| {
                let row = rows.row(index);
                let mut hasher = blake3::Hasher::new();
                for text in [&row.prompt, &row.completion] {
                    hasher.update(spelling(text).as_bytes()).update(b"\n");
                }
                hasher.finalize()
            })
            .collect();
        let mut groups: HashMap<blake3::Hash, usize> = HashMap::new();
        let numbers: Vec<usize> = hashes
            .into_iter()
            .map(|hash| {
                let next = groups.len();
                *groups.entry(hash).or_insert(next)
            })
            .collect();
        Ok(best_of_each(rows, kept, &numbers, groups.len()).into())
    }
}

/// The best row of each group, in order. `numbers` (`[kept]`) has each row's
/// group, below `count`.
pub(super) fn best_of_each(
    rows: &Candidates,
    kept: &[usize],
    numbers: &[usize],
    count: usize,
) -> Vec<usize> {
    let mut best: Vec<Option<usize>> = vec![None; count];
    for (&index, &number) in kept.iter().zip(numbers) {
        let better = best[number].is_none_or(|best| {
            let order = rows.row(index).by_quality(rows.row(best));
            order == std::cmp::Ordering::Greater
        });
        if better {
            best[number] = Some(index);
        }
    }
    let mut left: Vec<usize> = best.into_iter().flatten().collect();
    left.sort_unstable();
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curation::Candidate;
    use crate::curation::tests::answers;

    #[test]
    fn the_best_of_equal_rows_stays_and_prompts_tell_rows_apart() {
        let row = |prompt: &str, completion: &str, reward| Candidate {
            prompt: prompt.to_owned(),
            completion: completion.to_owned(),
            reward,
            ..Candidate::default()
        };
        let rows = Candidates::new(vec![
            row("p", "a  b", Some(0.0)),
            row("p ", "a\nb\n", Some(1.0)),
            row("p", "a b", Some(1.0)),
            row("q", "a b", None),
            row("p", "A b", None),
            row("p a", "b", None),
        ]);
        let left = Duplicates.apply(&rows, &[0, 1, 2, 3, 4, 5]).unwrap();
        assert_eq!(left.rows, [1, 3, 4, 5]);
        assert_eq!(Duplicates.apply(&rows, &left.rows).unwrap(), left);
    }

    #[test]
    fn normal_forms_of_a_text_are_the_same_and_powers_are_not_digits() {
        let rows = answers(&["l'\u{e9}t\u{e9}", "l'e\u{301}te\u{301}", "2\u{B2}", "22"]);
        let left = Duplicates.apply(&rows, &[0, 1, 2, 3]).unwrap();
        assert_eq!(left.rows, [0, 2, 3]);
    }
}
