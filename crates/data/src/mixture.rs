//! Several files in one training run, and how much of each an epoch takes.

use std::error::Error;
use std::ops::Range;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::DataError;
use crate::columns::Columns;
use crate::encode::Rules;
use crate::reader::read;
use crate::report::Report;
use crate::row::Row;
use crate::trajectory::{Dataset, Encoded};

/// One data file of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// Its share of every epoch's trajectories, relative to the other sources:
    /// shares of 3 and 1 are the same as 0.75 and 0.25.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// Names of its columns.
    #[serde(default)]
    pub columns: Columns,
}

/// How many trajectories of each source make an epoch.
///
/// Without shares, an epoch is every trajectory of every source once.
///
/// With shares `p_k` (made to sum to 1) and `n_k` trajectories in source `k`,
/// an epoch has `T = min_k n_k / p_k` trajectories, rounded down, of which
/// `round(p_k T)`, at least one, come from source `k`. So the source that runs
/// out first is seen once per epoch as a whole, and the others in part: each
/// goes on in the next epoch where this one stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mixture {
    pools: Vec<Pool>,
}

/// Trajectories among which an epoch draws a fixed number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Their indices in the data set; not empty.
    pub trajectories: Range<usize>,
    /// Number drawn per epoch: at least 1, at most as many as there are.
    pub draws: usize,
}

impl Mixture {
    /// Every one of `n` trajectories once per epoch.
    pub fn whole(n: usize) -> Mixture {
        let pool = Pool {
            trajectories: 0..n,
            draws: n,
        };
        Mixture {
            pools: if n == 0 { Vec::new() } else { vec![pool] },
        }
    }

    /// A mixture of sources that lie one after the other in the data set.
    /// `counts` are their numbers of trajectories, each at least 1.
    ///
    /// # Errors
    /// If some sources have a share and some have none, or a share is not a
    /// positive number.
    pub fn new(sources: &[Source], counts: &[usize]) -> Result<Mixture, DataError> {
        let with = sources.iter().find(|source| source.share.is_some());
        let without = sources.iter().find(|source| source.share.is_none());
        match (with, without) {
            (None, _) => return Ok(Mixture::whole(counts.iter().sum())),
            (Some(with), Some(without)) => {
                return Err(DataError::ShareMissing {
                    with: with.path.clone(),
                    without: without.path.clone(),
                });
            }
            (Some(_), None) => {}
        }
        for source in sources {
            if let Some(share) = source.share
                && !(share.is_finite() && share > 0.0)
            {
                return Err(DataError::Share {
                    path: source.path.clone(),
                    found: share,
                });
            }
        }
        // Dividing by the largest first keeps the sum finite.
        let largest = sources.iter().filter_map(|s| s.share).fold(0.0, f64::max);
        let relative: Vec<f64> = sources
            .iter()
            .filter_map(|source| source.share)
            .map(|share| share / largest)
            .collect();
        let sum: f64 = relative.iter().sum();
        let total = relative
            .iter()
            .zip(counts)
            .map(|(share, &count)| count as f64 / (share / sum))
            .fold(f64::INFINITY, f64::min);
        // Without the tolerance, 3 / 0.3 may round to just below 10.
        let total = (total * (1.0 + 1e-12)).floor();
        let mut start = 0;
        let pools = relative
            .iter()
            .zip(counts)
            .map(|(share, &count)| {
                let trajectories = start..start + count;
                start += count;
                Pool {
                    trajectories,
                    draws: ((share / sum * total).round() as usize).clamp(1, count.max(1)),
                }
            })
            .collect();
        Ok(Mixture { pools })
    }

    /// Reads all sources, in the order given, into one data set, and returns
    /// a report for each. `encode` gets the number of a row's source and the row.
    ///
    /// # Errors
    /// As [`read`], [`Dataset::build`] and [`Mixture::new`]; also if there is
    /// no source.
    pub fn load<E>(
        sources: &[Source],
        encode: impl Fn(usize, &Row) -> Result<Encoded, E> + Sync,
        rules: &Rules,
    ) -> Result<(Dataset, Mixture, Vec<Report>), DataError>
    where
        E: Into<Box<dyn Error + Send + Sync>> + Send,
    {
        if sources.is_empty() {
            return Err(DataError::NoSources);
        }
        // A wrong share is the recipe's fault: say so before hours of reading.
        Mixture::new(sources, &vec![1; sources.len()])?;
        let mut all = Dataset::new();
        let mut counts = Vec::new();
        let mut reports = Vec::new();
        for (number, source) in sources.iter().enumerate() {
            let rows = read(&source.path, &source.columns)?;
            let encode = |row: &Row| encode(number, row);
            let (dataset, report) = Dataset::build(&source.path, rows, encode, rules)?;
            counts.push(dataset.len());
            all.append(dataset);
            reports.push(report);
        }
        Ok((all, Mixture::new(sources, &counts)?, reports))
    }

    /// What an epoch draws from, in the order of the data set.
    pub fn pools(&self) -> &[Pool] {
        &self.pools
    }

    /// Number of trajectories in an epoch.
    pub fn epoch_length(&self) -> usize {
        self.pools.iter().map(|pool| pool.draws).sum()
    }
}

#[cfg(test)]
#[path = "mixture_tests.rs"]
mod tests;
