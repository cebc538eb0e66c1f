//! Some prompts for validation, the others for training.

use crate::curation::Candidates;
use crate::curation::candidate::draw;
use crate::curation::spelling::caseless;

/// Splits `kept` into rows for training and for validation. A prompt goes to
/// one of them with all of its rows, by a hash of its text: it stays there when
/// rows are added or removed. Prompts that differ in spelling alone, or in small
/// and capital letters, go the same way: what is validated is not what was
/// learnt. About `fraction` of the prompts are for validation.
pub fn split(
    rows: &Candidates,
    kept: &[usize],
    fraction: f64,
    seed: u64,
) -> (Vec<usize>, Vec<usize>) {
    kept.iter().partition(|&&index| {
        let key = caseless(&rows.row(index).prompt_key());
        let hash = draw("split", seed, &[&key]);
        // The upper 53 bits, as a number from 0 up to 1.
        let place = (hash >> 11) as f64 / (1_u64 << 53) as f64;
        place >= fraction
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curation::Candidate;
    use proptest::prelude::*;

    fn rows(prompts: &[u8]) -> Candidates {
        let row = |prompt: &u8| Candidate {
            prompt: format!("prompt {prompt}"),
            completion: "answer".to_owned(),
            ..Candidate::default()
        };
        Candidates::new(prompts.iter().map(row).collect())
    }

    #[test]
    fn about_the_fraction_is_for_validation() {
        let prompts: Vec<u8> = (0..=255).collect();
        let kept: Vec<usize> = (0..256).collect();
        let (_, validation) = split(&rows(&prompts), &kept, 0.25, 0);
        assert!(
            (40..=90).contains(&validation.len()),
            "{}",
            validation.len()
        );
    }

    #[test]
    fn spellings_of_a_prompt_are_on_one_side() {
        let spellings = [
            "O\u{f9} est le  caf\u{e9} ?",
            "Ou\u{300} est le cafe\u{301}\u{A0}?\n",
            "o\u{f9} est le CAF\u{c9} ?",
            "\u{FEFF}\u{FF2F}\u{f9} est\tle caf\u{e9} ?",
        ];
        let row = |prompt: &&str| Candidate {
            prompt: (*prompt).to_owned(),
            ..Candidate::default()
        };
        let rows = Candidates::new(spellings.iter().map(row).collect());
        for seed in 0..20 {
            let (train, validation) = split(&rows, &[0, 1, 2, 3], 0.5, seed);
            assert!(train.is_empty() || validation.is_empty(), "{validation:?}");
        }
    }

    proptest! {
        #[test]
        fn no_prompt_is_on_both_sides_and_none_moves_when_rows_are_added(
            prompts in prop::collection::vec(any::<u8>(), 0..60),
            more in prop::collection::vec(any::<u8>(), 0..60),
            seed in any::<u64>(),
        ) {
            let all = [prompts.clone(), more].concat();
            let kept: Vec<usize> = (0..prompts.len()).collect();
            let kept_all: Vec<usize> = (0..all.len()).collect();
            let (train, validation) = split(&rows(&prompts), &kept, 0.3, seed);
            let (train_all, validation_all) = split(&rows(&all), &kept_all, 0.3, seed);
            for &row in &train_all {
                prop_assert!(validation_all.iter().all(|&other| all[other] != all[row]));
            }
            prop_assert!(train.iter().all(|row| train_all.contains(row)));
            prop_assert!(validation.iter().all(|row| validation_all.contains(row)));
            prop_assert_eq!(train.len() + validation.len(), kept.len());
        }
    }
}
