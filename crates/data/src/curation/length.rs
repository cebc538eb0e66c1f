//! Keep rows by the length of their completion.

use std::fmt::Display;

use crate::curation::{Candidates, CurationError, Kept, Rule};

/// What a length counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LengthUnit {
    /// Unicode characters.
    Chars,
    /// Whatever stands between white space.
    Words,
    /// Tokens, where [`super::Candidate::tokens`] says how many.
    Tokens,
}

/// Keeps rows whose completion is as long as this, ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// What is counted.
    pub unit: LengthUnit,
    /// The shortest completion.
    pub min: Option<usize>,
    /// The longest completion.
    pub max: Option<usize>,
}

impl Rule for Length {
    fn name(&self) -> &'static str {
        match self.unit {
            LengthUnit::Chars => "chars",
            LengthUnit::Words => "words",
            LengthUnit::Tokens => "tokens",
        }
    }

    fn setting(&self) -> String {
        range(self.min, self.max)
    }

    fn apply(&self, rows: &Candidates, kept: &[usize]) -> Result<Kept, CurationError> {
        let (mut left, mut short, mut long) = (Vec::new(), 0, 0);
        for &index in kept {
            let row = rows.row(index);
            let length = match self.unit {
                LengthUnit::Chars => row.completion.chars().count(),
                LengthUnit::Words => row.completion.split_whitespace().count(),
                LengthUnit::Tokens => row.tokens.ok_or_else(|| CurationError::NoTokens {
                    at: row.at.clone(),
                    rule: self.name(),
                })?,
            };
            if self.min.is_some_and(|min| length < min) {
                short += 1;
            } else if self.max.is_some_and(|max| length > max) {
                long += 1;
            } else {
                left.push(index);
            }
        }
        let mut details = vec![
            ("too short".to_owned(), short),
            ("too long".to_owned(), long),
        ];
        details.retain(|(_, count)| *count > 0);
        Ok(Kept {
            rows: left,
            details,
        })
    }
}

/// "at least 1", "at most 5", or "1 to 5".
pub(super) fn range<T: Display>(min: Option<T>, max: Option<T>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("{min} to {max}"),
        (Some(min), None) => format!("at least {min}"),
        (None, Some(max)) => format!("at most {max}"),
        (None, None) => "any".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curation::tests::answers;

    #[test]
    fn each_unit_counts_its_own_and_both_ends_are_included() {
        let rows = answers(&["", "größer", "two words", "three more words"]);
        let left = |unit, min, max| {
            let rule = Length { unit, min, max };
            rule.apply(&rows, &[0, 1, 2, 3]).unwrap()
        };
        assert_eq!(left(LengthUnit::Chars, Some(6), Some(9)).rows, [1, 2]);
        let words = left(LengthUnit::Words, Some(1), Some(2));
        assert_eq!(words.rows, [1, 2]);
        let details = [("too short".to_owned(), 1), ("too long".to_owned(), 1)];
        assert_eq!(words.details, details);
    }

    #[test]
    fn tokens_that_nobody_counted_are_an_error() {
        let rule = Length {
            unit: LengthUnit::Tokens,
            min: None,
            max: Some(3),
        };
        assert!(rule.apply(&answers(&["a"]), &[0]).is_err());
        let mut row = answers(&["a"]).row(0).clone();
        row.tokens = Some(3);
        let rows = Candidates::new(vec![row]);
        assert_eq!(rule.apply(&rows, &[0]).unwrap().rows, [0]);
    }
}
