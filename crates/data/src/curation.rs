//! Curation: which of many graded rows a policy is to learn from.
//!
//! [`Candidates`] are rows as rules see them: prompt, completion, reward. A
//! [`Rule`] says which of them stay; [`curate`] applies rules one after the
//! other and tells in [`Step`]s what each removed; [`split`] takes some prompts
//! away for validation. Nothing here reads or writes files, and the same rows
//! and rules give the same result everywhere: what is drawn at random is drawn
//! by a hash of its text and a seed.
//!
//! These rules choose rows. What happens to a chosen row on its way to tokens
//! is for [`crate::Rules`] to say.
//!
//! ```
//! use iwsft_data::curation::{BestOfK, Candidate, Candidates, RewardRange, Rule, curate};
//!
//! let row = |completion: &str, reward| Candidate {
//!     prompt: "2 + 2?".into(),
//!     completion: completion.into(),
//!     reward: Some(reward),
//!     ..Candidate::default()
//! };
//! let rows = Candidates::new(vec![row("5", 0.0), row("It is 4.", 1.0), row("4", 1.0)]);
//! let rules: [Box<dyn Rule>; 2] = [
//!     Box::new(RewardRange { min: Some(1.0), max: None }),
//!     Box::new(BestOfK { at_most: 1 }),
//! ];
//! let curated = curate(&rows, &rules)?;
//! assert_eq!(curated.kept, [2]);
//! assert_eq!(curated.steps[0].removed, [0]);
//! # Ok::<(), iwsft_data::curation::CurationError>(())
//! ```

mod best_of_k;
mod candidate;
mod contamination;
mod difficulty;
mod duplicates;
mod error;
mod length;
mod max_per_prompt;
mod near_duplicates;
mod pass_rate;
mod percentiles;
mod reward_range;
mod shingles;
mod spelling;
mod split;
mod words;

pub use best_of_k::BestOfK;
pub use candidate::{Candidate, Candidates};
pub use contamination::{Contamination, PROBLEM_COLUMNS, problem_texts};
pub use difficulty::BalanceDifficulty;
pub use duplicates::Duplicates;
pub use error::CurationError;
pub use length::{Length, LengthUnit};
pub use max_per_prompt::MaxPerPrompt;
pub use near_duplicates::NearDuplicates;
pub use pass_rate::{PassRate, pass_rates};
pub use percentiles::{PercentileOf, Percentiles};
pub use reward_range::RewardRange;
pub use split::split;

use std::collections::HashSet;

/// A rule that says which rows stay.
pub trait Rule {
    /// What the rule is called, as on the command line.
    fn name(&self) -> &'static str;

    /// How it is set, in words.
    fn setting(&self) -> String;

    /// Those of the rows `kept` (indices into `rows`, ascending) that stay, in
    /// order. Only [`Percentiles`] may name a row more than once, and comes
    /// last for that reason: the others count every row once.
    ///
    /// # Errors
    /// When a row lacks what the rule goes by.
    fn apply(&self, rows: &Candidates, kept: &[usize]) -> Result<Kept, CurationError>;
}

/// What a rule leaves.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Kept {
    /// Indices of rows, ascending.
    pub rows: Vec<usize>,
    /// Counts that explain it, each with a name.
    pub details: Vec<(String, usize)>,
}

impl From<Vec<usize>> for Kept {
    fn from(rows: Vec<usize>) -> Self {
        Self {
            rows,
            details: Vec::new(),
        }
    }
}

/// What one rule did.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The rule's name.
    pub rule: &'static str,
    /// Its setting.
    pub setting: String,
    /// Rows before the rule.
    pub before: usize,
    /// The rows that the rule removed, ascending.
    pub removed: Vec<usize>,
    /// Rows behind the rule, each as often as it occurs.
    pub left: usize,
    /// Prompts that still have a row.
    pub prompts_left: usize,
    /// Counts that explain it.
    pub details: Vec<(String, usize)>,
}

/// Rows that every rule let pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Curated {
    /// Indices of rows, ascending; a row occurs as often as it is to be kept.
    pub kept: Vec<usize>,
    /// What each rule did, in order.
    pub steps: Vec<Step>,
}

/// Applies the rules in the order given.
///
/// # Errors
/// The first error of a rule, or that no row is left.
pub fn curate(rows: &Candidates, rules: &[Box<dyn Rule>]) -> Result<Curated, CurationError> {
    let mut kept: Vec<usize> = (0..rows.len()).collect();
    let mut steps = Vec::new();
    for rule in rules {
        let left = rule.apply(rows, &kept)?;
        steps.push(step(rule.as_ref(), rows, &kept, &left));
        kept = left.rows;
        if kept.is_empty() {
            return Err(nothing_left(rows, &steps));
        }
    }
    Ok(Curated { kept, steps })
}

fn step(rule: &dyn Rule, rows: &Candidates, before: &[usize], left: &Kept) -> Step {
    let stays: HashSet<usize> = left.rows.iter().copied().collect();
    let mut removed: Vec<usize> = before.to_vec();
    removed.retain(|row| !stays.contains(row));
    removed.dedup();
    Step {
        rule: rule.name(),
        setting: rule.setting(),
        before: before.len(),
        removed,
        left: left.rows.len(),
        prompts_left: rows.prompts_of(&left.rows),
        details: left.details.clone(),
    }
}

fn nothing_left(rows: &Candidates, steps: &[Step]) -> CurationError {
    // Of equals the last: it saw the fewest rows.
    let most = steps.iter().max_by_key(|step| step.removed.len());
    CurationError::NothingLeft {
        rows: rows.len(),
        rule: most.map_or("", |step| step.rule),
        setting: most.map(|step| step.setting.clone()).unwrap_or_default(),
        removed: most.map_or(0, |step| step.removed.len()),
    }
}

#[cfg(test)]
#[path = "curation_tests.rs"]
mod tests;
