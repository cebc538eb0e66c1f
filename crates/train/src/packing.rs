//! Splitting trajectories into forward passes.

use iwsft_data::MicroBatch;

use crate::Trajectories;

/// Packs `indices` into as few micro-batches of at most `micro_tokens` rows as
/// best-fit decreasing finds; a longer trajectory is alone in its own.
pub(crate) fn micro_batches<T: Trajectories>(
    trajectories: &T,
    indices: &[usize],
    micro_tokens: usize,
) -> Vec<MicroBatch> {
    let lengths: Vec<_> = indices
        .iter()
        .map(|&index| (index, trajectories.length(index)))
        .collect();
    iwsft_data::pack(&lengths, micro_tokens)
}
