//! From rows to trajectories: encoding in parallel, and the rules that drop,
//! cut or refuse.

use std::error::Error;
use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::DataError;
use crate::report::Report;
use crate::row::Row;
use crate::trajectory::{Dataset, Encoded, Trajectory, count_steps};

/// Rows in memory at a time while encoding.
const CHUNK: usize = 1024;

/// What to do with a trajectory longer than `max_length`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TooLong {
    /// Stop with an error.
    #[default]
    Error,
    /// Leave the row out, and count it.
    Drop,
    /// Cut tokens from the right, and count it; a row of which no token with
    /// loss is left is dropped.
    Truncate,
}

/// What to do with a row of which no token carries loss.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmptyMask {
    /// Read to the end, then stop with an error that lists them.
    #[default]
    Error,
    /// Leave the row out, and list it in the report.
    Skip,
}

/// What to do with a row some of whose words do not get into its tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unlearnable {
    /// Read to the end, then stop with an error that lists them.
    #[default]
    Error,
    /// Leave the row out, and list it in the report.
    Skip,
}

/// Which rows become trajectories. The rules apply in the order of the fields,
/// `min_reward` before a row is encoded at all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Keeps rows whose reward is at least this; a row without one is an error.
    pub min_reward: Option<f32>,
    /// What to do with a row that wants learnt what is not among its tokens.
    pub unlearnable: Unlearnable,
    /// What to do with a row of which no token carries loss.
    pub empty_mask: EmptyMask,
    /// The last token with loss must be one of these, before any cut. A recipe
    /// asks for it in words; the tokenizer knows the tokens.
    #[serde(skip)]
    pub require_end: Option<Vec<u32>>,
    /// Longest trajectory, in tokens.
    pub max_length: Option<usize>,
    /// What to do with longer ones.
    pub too_long: TooLong,
}

impl Dataset {
    /// Encodes rows on all cores and keeps what the rules keep, in the order
    /// of the rows. `path` only names the data in messages.
    ///
    /// # Errors
    /// The first error of a row, of `encode`, or of a rule, in the order of
    /// the rows; rows that cannot be learnt or have no loss, and that no row is
    /// left, are only known at the end.
    pub fn build<E>(
        path: &Path,
        rows: impl IntoIterator<Item = Result<Row, DataError>>,
        encode: impl Fn(&Row) -> Result<Encoded, E> + Sync,
        rules: &Rules,
    ) -> Result<(Dataset, Report), DataError>
    where
        E: Into<Box<dyn Error + Send + Sync>> + Send,
    {
        let mut dataset = Dataset::new();
        let mut report = Report::default();
        let mut rows = rows.into_iter();
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            // Held back until the rows before it had their say.
            let mut failure = None;
            let mut ended = false;
            while chunk.len() < CHUNK && failure.is_none() && !ended {
                match rows.next() {
                    Some(Ok(row)) => {
                        report.rows_read += 1;
                        report.findings.add(&row);
                        match rewarded(&row, rules) {
                            Ok(true) => chunk.push(row),
                            Ok(false) => report.below_min_reward += 1,
                            Err(error) => failure = Some(error),
                        }
                    }
                    Some(Err(error)) => failure = Some(error),
                    None => ended = true,
                }
            }
            let encoded: Vec<_> = chunk.par_iter().map(&encode).collect();
            for (row, encoded) in chunk.into_iter().zip(encoded) {
                let encoded = encoded.map_err(|reason| DataError::Encode {
                    at: row.at.clone(),
                    reason: reason.into(),
                })?;
                admit(row, encoded, rules, &mut dataset, &mut report)?;
            }
            if let Some(error) = failure {
                return Err(error);
            }
            if ended {
                break;
            }
        }
        if report.unlearnable > 0 && rules.unlearnable == Unlearnable::Error {
            return Err(DataError::Unlearnable {
                count: report.unlearnable,
                first: report.unlearnable_at,
            });
        }
        if report.empty_mask > 0 && rules.empty_mask == EmptyMask::Error {
            return Err(DataError::EmptyMask {
                count: report.empty_mask,
                first: report.empty_mask_at,
            });
        }
        if dataset.is_empty() {
            return Err(report.nothing_kept(path));
        }
        Ok((dataset, report))
    }
}

fn rewarded(row: &Row, rules: &Rules) -> Result<bool, DataError> {
    match (rules.min_reward, row.reward) {
        (None, _) => Ok(true),
        (Some(least), Some(reward)) => Ok(reward >= least),
        (Some(min_reward), None) => Err(DataError::NoReward {
            at: row.at.clone(),
            min_reward,
        }),
    }
}

/// Applies the rules to one encoded row, and adds it if they let it pass.
fn admit(
    row: Row,
    encoded: Encoded,
    rules: &Rules,
    dataset: &mut Dataset,
    report: &mut Report,
) -> Result<(), DataError> {
    let Encoded {
        mut tokens,
        mut step_weight,
        straddles,
        unlearnable,
    } = encoded;
    let at = row.at;
    if let Some(reason) = unlearnable {
        report.cannot_learn(&at, reason);
        return Ok(());
    }
    if tokens.len() != step_weight.len() {
        return Err(DataError::Misaligned {
            at,
            tokens: tokens.len(),
            weights: step_weight.len(),
        });
    }
    if let Some(first) = step_weight.first_mut() {
        *first = 0.0;
    }
    // Other than 0, not above it: NaN and negative weights are for `push` to
    // refuse, not to be taken for context.
    let Some(last) = step_weight.iter().rposition(|&weight| weight != 0.0) else {
        report.empty(&at);
        return Ok(());
    };
    if let Some(ends) = &rules.require_end
        && !ends.contains(&tokens[last])
    {
        return Err(DataError::NoEnd {
            at,
            found: tokens[last],
            expected: ends.clone(),
        });
    }
    let mut steps = count_steps(&step_weight);
    let mut ref_log_probs = row.ref_log_probs;
    if let Some(stored) = &ref_log_probs
        && stored.len() != steps
    {
        return Err(DataError::RefLogProbs {
            at,
            found: stored.len(),
            expected: steps,
        });
    }
    let length = tokens.len();
    if let Some(max_length) = rules.max_length
        && length > max_length
    {
        match rules.too_long {
            TooLong::Error => {
                return Err(DataError::TooLong {
                    at,
                    length,
                    max_length,
                });
            }
            TooLong::Drop => {
                report.too_long += 1;
                return Ok(());
            }
            TooLong::Truncate => {
                tokens.truncate(max_length);
                step_weight.truncate(max_length);
                steps = count_steps(&step_weight);
                if steps == 0 {
                    report.truncated_away += 1;
                    return Ok(());
                }
                if let Some(stored) = &mut ref_log_probs {
                    stored.truncate(steps);
                }
                report.truncated += 1;
                report.tokens_cut += length - max_length;
            }
        }
    }
    report.keep(tokens.len(), steps);
    if straddles {
        report.straddle(&at);
    }
    dataset.push(Trajectory {
        tokens,
        step_weight,
        reward: row.reward,
        score: row.score,
        weight: row.weight,
        ref_log_probs,
        at,
    })
}

#[cfg(test)]
#[path = "encode_tests.rs"]
mod tests;
