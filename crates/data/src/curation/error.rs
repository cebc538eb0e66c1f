//! What can be wrong with rows that are to be curated.

use crate::row::Location;

/// Why rows could not be curated.
#[derive(Debug, thiserror::Error)]
pub enum CurationError {
    /// A rule goes by the reward, and a row has none.
    #[error(
        "{at}: has no reward, expected one because of {rule}; grade the rows first, or name the \
         column that has it"
    )]
    NoReward {
        /// The row.
        at: Location,
        /// The rule.
        rule: &'static str,
    },
    /// A rule goes by the score, and a row has none.
    #[error("{at}: has no score, expected one because of {rule}; add it, or go by the reward")]
    NoScore {
        /// The row.
        at: Location,
        /// The rule.
        rule: &'static str,
    },
    /// A rule ranks rows, and a row has nothing to rank it by.
    #[error(
        "{at}: has neither a score nor a reward, expected one because of {rule}; grade the rows \
         first, or name the column that has it"
    )]
    NoQuality {
        /// The row.
        at: Location,
        /// The rule.
        rule: &'static str,
    },
    /// A reward from which no pass rate can come.
    #[error(
        "{at}: the reward is {found}, expected one from 0 to 1 because of {rule}: a pass rate is \
         a mean of rewards; scale them first"
    )]
    NotAPassRate {
        /// The row.
        at: Location,
        /// The rule.
        rule: &'static str,
        /// The reward found.
        found: f32,
    },
    /// Rows are chosen by their number of tokens, and this one's is not known.
    #[error(
        "{at}: the number of its tokens is not known, expected one because of {rule}; name the \
         model that counts them, or give the row its `completion_tokens`"
    )]
    NoTokens {
        /// The row.
        at: Location,
        /// The rule.
        rule: &'static str,
    },
    /// An evaluation problem without text.
    #[error(
        "{at}: has no text in {expected} (its columns: {found}); name the columns of the \
         evaluation's problems"
    )]
    NoProblem {
        /// The problem.
        at: Location,
        /// The columns looked for.
        expected: String,
        /// The columns found.
        found: String,
    },
    /// The rules removed every row.
    #[error(
        "none of the {rows} rows is left, expected at least one; {rule} ({setting}) removed the \
         most, {removed}: relax it"
    )]
    NothingLeft {
        /// Rows before the first rule.
        rows: usize,
        /// The rule that removed the most.
        rule: &'static str,
        /// Its setting.
        setting: String,
        /// How many it removed.
        removed: usize,
    },
}
