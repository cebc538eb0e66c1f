//! Packing trajectories into micro-batches of bounded size.

use std::cmp::Reverse;
use std::collections::BTreeSet;

/// Trajectories that are computed together, end to end without padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MicroBatch {
    /// Their indices, as given to [`pack`].
    pub trajectories: Vec<usize>,
    /// Sum of their lengths, in tokens.
    pub tokens: usize,
}

/// Packs `(index, length)` pairs into micro-batches of at most `budget` tokens
/// each, by best fit in decreasing length: the longest first, each into the
/// fullest micro-batch that has room for it. That needs at most 11/9 of the
/// fewest micro-batches possible, plus one.
///
/// A trajectory longer than `budget` gets a micro-batch of its own. Equal
/// lengths are taken in the order given, so the result depends on nothing but
/// the arguments.
pub fn pack(trajectories: &[(usize, usize)], budget: usize) -> Vec<MicroBatch> {
    let mut by_length: Vec<(usize, usize)> = trajectories.to_vec();
    // A stable sort: equal lengths keep their order.
    by_length.sort_by_key(|&(_, length)| Reverse(length));

    let mut batches: Vec<MicroBatch> = Vec::new();
    // (room left, batch), so that the fullest batch with enough room is the
    // first one from (length, 0) on.
    let mut open: BTreeSet<(usize, usize)> = BTreeSet::new();
    for (index, length) in by_length {
        let fit = open.range((length, 0)..).next().copied();
        let (room, batch) = match fit {
            Some(found) => {
                open.remove(&found);
                found
            }
            None => {
                batches.push(MicroBatch {
                    trajectories: Vec::new(),
                    tokens: 0,
                });
                (budget.max(length), batches.len() - 1)
            }
        };
        batches[batch].trajectories.push(index);
        batches[batch].tokens += length;
        // A batch above the budget is closed, even to trajectories of length 0.
        if length <= budget {
            open.insert((room - length, batch));
        }
    }
    batches
}

#[cfg(test)]
#[path = "pack_tests.rs"]
mod tests;
