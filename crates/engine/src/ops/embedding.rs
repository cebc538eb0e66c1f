//! Token embedding: row `token` of the vocabulary matrix.

use rayon::prelude::*;

use crate::{View, ViewMut};

/// `y[i] = table[tokens[i]]`; `table [v, d]`, `y [n, d]`.
///
/// # Panics
/// If a token is not below `v`.
pub fn forward(tokens: &[u32], table: View<'_>, y: ViewMut<'_>, d: usize) {
    let table = table.host();
    y.host()
        .par_chunks_mut(d)
        .zip(tokens)
        .for_each(|(y, &token)| {
            let start = token as usize * d;
            y.copy_from_slice(&table[start..start + d]);
        });
}

/// `dtable[tokens[i]] += dy[i]`.
///
/// Each task owns a block of vocabulary rows and adds in the order of tokens,
/// so the result does not depend on the number of threads.
pub fn backward(tokens: &[u32], dy: View<'_>, dtable: ViewMut<'_>, d: usize) {
    let (dy, dtable) = (dy.host(), dtable.host());
    let tasks = rayon::current_num_threads() * 4;
    let rows = (dtable.len() / d).div_ceil(tasks);
    dtable
        .par_chunks_mut(rows * d)
        .enumerate()
        .for_each(|(task, dtable)| {
            let first = task * rows;
            for (dy, &token) in dy.chunks_exact(d).zip(tokens) {
                let Some(row) = (token as usize).checked_sub(first) else {
                    continue;
                };
                if let Some(sums) = dtable.get_mut(row * d..(row + 1) * d) {
                    for (sum, value) in sums.iter_mut().zip(dy) {
                        *sum += value;
                    }
                }
            }
        });
}
