//! Keep one of rows that say nearly the same.

use std::collections::HashSet;

use rayon::prelude::*;

use crate::curation::shingles::{Texts, words_hash};
use crate::curation::{Candidate, Candidates, CurationError, Kept, Rule};

/// Rows that a row is compared with at most. Few have more that share a rare run
/// of words with them, and in a file of nothing else the work for a row must not
/// grow with the file.
const COMPARED: usize = 4096;

/// Keeps a row unless it is near to one that is kept already, the best first: by
/// score, then by reward, and of equals the one that comes first. So a row that
/// is removed is near to one that stays, and no two rows that stay are near.
///
/// Two rows are near if both their prompts and their completions have a Jaccard
/// index of at least the threshold, as sets of runs of words: a long prompt does
/// not make two short answers alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NearDuplicates {
    /// Above 0, up to 1.
    pub threshold: f64,
    /// Words of a run.
    pub shingle: usize,
}

impl Default for NearDuplicates {
    fn default() -> Self {
        Self {
            threshold: 0.8,
            shingle: 5,
        }
    }
}

impl Rule for NearDuplicates {
    fn name(&self) -> &'static str {
        "dedup"
    }

    fn setting(&self) -> String {
        let Self { threshold, shingle } = self;
        format!("near, Jaccard index from {threshold}, runs of {shingle} words")
    }

    fn apply(&self, rows: &Candidates, kept: &[usize]) -> Result<Kept, CurationError> {
        let best = best_first(rows, kept);
        let side = |text: fn(&Candidate) -> &str, hash: fn(&Words) -> u64| {
            let texts = best
                .iter()
                .map(|words| (text(rows.row(words.row)), hash(words)));
            Texts::new(texts, self.shingle, self.threshold)
        };
        let mut search = Search {
            threshold: self.threshold,
            prompts: side(|row| &row.prompt, |words| words.prompt),
            completions: side(|row| &row.completion, |words| words.completion),
            seen: vec![u32::MAX; best.len()],
            cut: 0,
        };
        let mut left = Vec::new();
        for (number, words) in (0..).zip(&best) {
            if !search.finds_near(number) {
                search.prompts.add(number);
                search.completions.add(number);
                left.push(words.row);
            }
        }
        left.sort_unstable();
        let mut details = Vec::new();
        if search.cut > 0 {
            let name = format!("compared with {COMPARED} of more similar rows");
            details.push((name, search.cut));
        }
        Ok(Kept {
            rows: left,
            details,
        })
    }
}

/// A row and hashes of the words of its texts.
struct Words {
    row: usize,
    prompt: u64,
    completion: u64,
}

/// The best of the rows that have the same words, however many they are; the best
/// of these come first.
fn best_first(rows: &Candidates, kept: &[usize]) -> Vec<Words> {
    let mut all: Vec<Words> = kept
        .par_iter()
        .map(|&row| {
            let Candidate {
                prompt, completion, ..
            } = rows.row(row);
            Words {
                row,
                prompt: words_hash(prompt),
                completion: words_hash(completion),
            }
        })
        .collect();
    // Stable: of equals the first stays first.
    all.par_sort_by(|a, b| rows.row(b.row).by_quality(rows.row(a.row)));
    let mut seen = HashSet::with_capacity(all.len());
    all.retain(|words| seen.insert((words.prompt, words.completion)));
    all
}

/// The rows that are kept so far.
struct Search {
    threshold: f64,
    prompts: Texts,
    completions: Texts,
    /// `[rows]`: the last row that each was compared with.
    seen: Vec<u32>,
    /// Rows that were not compared with all that they might be near to.
    cut: usize,
}

impl Search {
    /// Whether a row that is kept is near to `row`.
    fn finds_near(&mut self, row: u32) -> bool {
        // Either text names all rows that may be near, one often fewer of them.
        let Self {
            threshold,
            prompts,
            completions,
            seen,
            cut,
        } = self;
        let (prompts, completions) = (&*prompts, &*completions);
        let by_prompt = prompts.candidate_count(row) < completions.candidate_count(row);
        let text = if by_prompt { prompts } else { completions };
        let mut compared = 0;
        for other in text.candidates(row) {
            if std::mem::replace(&mut seen[other as usize], row) == row {
                continue;
            }
            if compared == COMPARED {
                *cut += 1;
                return false;
            }
            compared += 1;
            if [completions, prompts]
                .iter()
                .all(|text| text.are_near(row, other, *threshold))
            {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curation::shingles::{are_near, shingles};
    use crate::curation::tests::answers;
    use crate::curation::words::mix;
    use proptest::prelude::*;

    fn left(rows: &Candidates, threshold: f64) -> Vec<usize> {
        let rule = NearDuplicates {
            threshold,
            ..NearDuplicates::default()
        };
        let all: Vec<usize> = (0..rows.len()).collect();
        rule.apply(rows, &all).unwrap().rows
    }

    fn words(seed: u64, count: usize) -> Vec<String> {
        let word = |i| format!("w{}", mix(seed << 32 | i) % 5000);
        (0..count as u64).map(word).collect()
    }

    #[test]
    fn planted_near_duplicates_are_found_and_distinct_rows_stay() {
        let mut texts = Vec::new();
        for seed in 0..200 {
            let mut text = words(seed, 120);
            texts.push(text.join(" "));
            // One word of 120 lies in 5 of 116 runs.
            text[60] = "other".to_owned();
            texts.push(text.join("  ").to_uppercase());
        }
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let expected: Vec<usize> = (0..400).step_by(2).collect();
        assert_eq!(left(&answers(&texts), 0.8), expected);
    }

    #[test]
    fn a_long_prompt_does_not_make_short_answers_alike() {
        let row = |completion: &str| Candidate {
            prompt: words(1, 300).join(" "),
            completion: completion.to_owned(),
            ..Candidate::default()
        };
        let rows = Candidates::new(vec![row("It is 5."), row("It is 7."), row("it is  5 .")]);
        assert_eq!(left(&rows, 0.8), [0, 1]);
    }

    /// Rows of which neighbours are near, and others are not.
    fn chain(rewards: &[f32]) -> Candidates {
        let text = words(7, 60 + 2 * rewards.len());
        let row = |(i, &reward): (usize, &f32)| Candidate {
            prompt: "same".to_owned(),
            completion: text[2 * i..][..60].join(" "),
            reward: Some(reward),
            ..Candidate::default()
        };
        Candidates::new(rewards.iter().enumerate().map(row).collect())
    }

    #[test]
    fn of_a_chain_the_rows_stay_that_are_near_to_none_that_stays() {
        // Rows i and j share 56 - 2 |i - j| of 56 + 2 |i - j| runs.
        assert_eq!(left(&chain(&[1.0; 12]), 0.8), [0, 4, 8]);
        assert_eq!(left(&chain(&[0.0, 1.0, 0.0]), 0.8), [1]);
        let mut rewards = [0.0; 12];
        rewards[5] = 1.0;
        assert_eq!(left(&chain(&rewards), 0.8), [0, 5, 9]);
    }

    #[test]
    fn many_copies_are_one_row_in_no_time() {
        let begun = std::time::Instant::now();
        let copies = vec!["the same words once more and again"; 40_000];
        assert_eq!(left(&answers(&copies), 0.8), [0]);
        assert_eq!(left(&answers(&["", "", "a"]), 0.8), [0, 2]);
        // Every pair would take minutes.
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    }

    #[test]
    fn spellings_and_normal_forms_are_near() {
        let texts = [
            "Le caf\u{e9} est ferm\u{e9} \u{e0} No\u{eb}l",
            "LE CAFE\u{301} EST FERME\u{301} A\u{300} NOE\u{308}L",
            "\u{FF2C}e caf\u{e9} est\u{A0}ferm\u{e9} \u{e0} No\u{200B}\u{eb}l",
            "Le cafe est ferme a Noel",
        ];
        assert_eq!(left(&answers(&texts), 0.8), [0, 3]);
    }

    #[test]
    fn where_all_rows_are_similar_each_is_compared_with_so_many_and_that_is_said() {
        let texts: Vec<String> = (0..5000).map(|i| format!("word {i}")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let rows = answers(&texts);
        let all: Vec<usize> = (0..rows.len()).collect();
        // They share one word of three.
        let rule = NearDuplicates {
            threshold: 0.4,
            shingle: 1,
        };
        let kept = rule.apply(&rows, &all).unwrap();
        assert_eq!(kept.rows, all);
        assert_eq!(kept.details.len(), 1);
        assert_eq!(kept.details[0].1, 5000 - COMPARED - 1);
    }

    fn rows() -> impl Strategy<Value = Candidates> {
        let row = ("([ab] ){0,7}", "([abc] ){0,12}", 0..3_u8);
        let row = row.prop_map(|(prompt, completion, reward)| Candidate {
            prompt,
            completion,
            reward: Some(reward.into()),
            ..Candidate::default()
        });
        prop::collection::vec(row, 0..30).prop_map(Candidates::new)
    }

    proptest! {
        #[test]
        fn rows_that_stay_are_those_of_a_comparison_of_every_pair(
            rows in rows(),
            threshold in 0.2..=1.0_f64,
            shingle in 1..6_usize,
        ) {
            let near = |a: &Candidate, b: &Candidate| {
                let set = |text: &str| shingles(text, shingle);
                are_near(&set(&a.prompt), &set(&b.prompt), threshold)
                    && are_near(&set(&a.completion), &set(&b.completion), threshold)
            };
            let mut best: Vec<usize> = (0..rows.len()).collect();
            best.sort_by(|&a, &b| rows.row(b).by_quality(rows.row(a)));
            let mut expected: Vec<usize> = Vec::new();
            for row in best {
                if !expected.iter().any(|&other| near(rows.row(row), rows.row(other))) {
                    expected.push(row);
                }
            }
            expected.sort_unstable();
            let all: Vec<usize> = (0..rows.len()).collect();
            let rule = NearDuplicates { threshold, shingle };
            prop_assert_eq!(rule.apply(&rows, &all).unwrap().rows, expected);
        }
    }
}
