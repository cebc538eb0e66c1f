//! Which episodes to train on, by their returns.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why returns do not select anything.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum SelectionError {
    /// There are no returns.
    #[error("there are no episodes to select from, expected at least one")]
    NoEpisodes,
    /// A return is NaN or infinite.
    #[error("the return of episode {index} is {found}, expected a finite number")]
    NotFinite {
        /// The episode, from 0.
        index: usize,
        /// Its return.
        found: f64,
    },
    /// A percentile is not between 0 and 100.
    #[error("percentile {found}, expected a number from 0 to 100")]
    Percentile {
        /// The number found.
        found: f64,
    },
    /// A share is not between 0 and 1.
    #[error("top share {found}, expected a number above 0 and at most 1")]
    Share {
        /// The number found.
        found: f64,
    },
    /// No return exceeds any of the percentiles.
    #[error(
        "none of the {count} episodes has a return above percentile {lowest}, which is {value}; \
         lower the percentiles, or take all episodes"
    )]
    NoneAbove {
        /// Number of episodes.
        count: usize,
        /// The lowest percentile.
        lowest: f64,
        /// The return at it.
        value: f64,
    },
    /// A shifted return is below 0.
    #[error(
        "the return of episode {index} is {found}, and with {shift} added still below 0; shift by \
         more, or use min-max"
    )]
    Negative {
        /// The episode, from 0.
        index: usize,
        /// Its return.
        found: f64,
        /// What was added.
        shift: f64,
    },
}

/// The number that `percent` of the values lie below, interpolated between the
/// two values beside it: `numpy.percentile` with its default method, `linear`.
///
/// # Errors
/// [`SelectionError`] if there are no values, one is not finite, or `percent`
/// is not from 0 to 100.
pub fn percentile(values: &[f64], percent: f64) -> Result<f64, SelectionError> {
    let mut sorted = checked(values)?.to_vec();
    sorted.sort_by(f64::total_cmp);
    of_sorted(&sorted, percent)
}

fn of_sorted(sorted: &[f64], percent: f64) -> Result<f64, SelectionError> {
    if !(0.0..=100.0).contains(&percent) {
        return Err(SelectionError::Percentile { found: percent });
    }
    let place = percent / 100.0 * (sorted.len() - 1) as f64;
    let below = sorted[place.floor() as usize];
    let above = sorted[place.ceil() as usize];
    let between = place.fract();
    // From the nearer end, as NumPy does: a percentile that falls on a value
    // is that value, and "above it" does not depend on rounding.
    Ok(if between < 0.5 {
        below + (above - below) * between
    } else {
        above - (above - below) * (1.0 - between)
    })
}

/// The episodes whose return exceeds the first percentile of all returns, then
/// those that exceed the second, and so on: of percentiles 90, 95 and 98, the
/// best twentieth or so comes twice and the best fiftieth three times. This is
/// the curated data of iw-SFT's control experiments (arXiv 2507.12856).
///
/// # Errors
/// [`SelectionError`], also if no episode is left.
pub fn above_percentiles(
    returns: &[f64],
    percentiles: &[f64],
) -> Result<Vec<usize>, SelectionError> {
    let mut sorted = checked(returns)?.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut selected = Vec::new();
    for &percent in percentiles {
        let least = of_sorted(&sorted, percent)?;
        selected.extend((0..returns.len()).filter(|&index| returns[index] > least));
    }
    if selected.is_empty() {
        let lowest = percentiles.iter().copied().fold(100.0, f64::min);
        return Err(SelectionError::NoneAbove {
            count: returns.len(),
            lowest,
            value: of_sorted(&sorted, lowest)?,
        });
    }
    Ok(selected)
}

/// The best `share` of the episodes, best first, at least one: BC-10% is
/// `share = 0.1`. Of equal ones the earlier is better.
///
/// # Errors
/// [`SelectionError`] if there is no episode, or the share is not above 0 and
/// at most 1.
pub fn top_share(returns: &[f64], share: f64) -> Result<Vec<usize>, SelectionError> {
    let mut best = best_first(returns, share)?;
    best.truncate(((share * returns.len() as f64) as usize).max(1));
    Ok(best)
}

/// The best episodes, best first, at least one, as long as all of them together
/// have at most `share` of the steps. This is how the Decision Transformer
/// (arXiv 2106.01345) counts the share of %BC.
///
/// # Errors
/// As [`top_share`].
///
/// # Panics
/// If there are not as many lengths as returns.
pub fn top_share_of_steps(
    returns: &[f64],
    lengths: &[usize],
    share: f64,
) -> Result<Vec<usize>, SelectionError> {
    assert_eq!(returns.len(), lengths.len(), "a length for each return");
    let best = best_first(returns, share)?;
    let all: usize = lengths.iter().sum();
    let most = (share * all as f64) as usize;
    let mut steps = lengths[best[0]];
    let others = best[1..].iter().take_while(|&&index| {
        steps += lengths[index];
        steps <= most
    });
    let count = 1 + others.count();
    Ok(best[..count].to_vec())
}

fn best_first(returns: &[f64], share: f64) -> Result<Vec<usize>, SelectionError> {
    checked(returns)?;
    if !(share > 0.0 && share <= 1.0) {
        return Err(SelectionError::Share { found: share });
    }
    let mut best: Vec<_> = (0..returns.len()).collect();
    best.sort_by(|&a, &b| returns[b].total_cmp(&returns[a]));
    Ok(best)
}

/// How a return becomes a quality.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReturnQuality {
    /// `(return - min) / (max - min)`: the worst episode is never drawn. Where
    /// all returns are equal, 1.
    MinMax,
    /// `return + shift`, which must be at least 0 for every episode.
    Shifted(f64),
}

/// The quality of each episode by its return: what
/// [`iwsft_objective::Resampler`] draws in proportion to.
///
/// # Errors
/// [`SelectionError`] if there is no episode, a return is not finite, or a
/// shifted one is below 0.
pub fn quality(returns: &[f64], by: ReturnQuality) -> Result<Vec<f32>, SelectionError> {
    checked(returns)?;
    match by {
        ReturnQuality::MinMax => {
            let min = returns.iter().copied().fold(f64::INFINITY, f64::min);
            let max = returns.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let of = |total: &f64| match max > min {
                true => ((total - min) / (max - min)) as f32,
                false => 1.0,
            };
            Ok(returns.iter().map(of).collect())
        }
        ReturnQuality::Shifted(shift) => returns
            .iter()
            .enumerate()
            .map(|(index, &found)| match found + shift {
                shifted if shifted >= 0.0 => Ok(shifted as f32),
                _ => Err(SelectionError::Negative {
                    index,
                    found,
                    shift,
                }),
            })
            .collect(),
    }
}

fn checked(returns: &[f64]) -> Result<&[f64], SelectionError> {
    if returns.is_empty() {
        return Err(SelectionError::NoEpisodes);
    }
    match returns.iter().position(|total| !total.is_finite()) {
        Some(index) => Err(SelectionError::NotFinite {
            index,
            found: returns[index],
        }),
        None => Ok(returns),
    }
}

#[cfg(test)]
#[path = "selection_tests.rs"]
mod tests;
