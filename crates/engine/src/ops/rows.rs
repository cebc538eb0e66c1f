//! Copies of activations: whole, and only the rows that carry loss.

use rayon::prelude::*;

use crate::{View, ViewMut};

/// `y = x`.
pub fn copy(x: View<'_>, y: ViewMut<'_>) {
    let x = x.host();
    let length = x.len().div_ceil(rayon::current_num_threads()).max(1 << 14);
    y.host()
        .par_chunks_mut(length)
        .zip(x.par_chunks(length))
        .for_each(|(y, x)| y.copy_from_slice(x));
}

/// `y[i] = x[rows[i]]`; `x [n, d]`, `y [s, d]`.
///
/// # Panics
/// If a row is not below `n`.
pub fn gather(x: View<'_>, rows: &[u32], y: ViewMut<'_>, d: usize) {
    let x = x.host();
    y.host().par_chunks_mut(d).zip(rows).for_each(|(y, &row)| {
        let start = row as usize * d;
        y.copy_from_slice(&x[start..start + d]);
    });
}

/// The gradient of [`gather`], where all of `dx` comes from it: `dx = 0`, then
/// `dx[rows[i]] += dy[i]`.
pub fn scatter(dy: View<'_>, rows: &[u32], dx: ViewMut<'_>, d: usize) {
    let dx = dx.host();
    dx.par_chunks_mut(1 << 14).for_each(|dx| dx.fill(0.0));
    for (dy, &row) in dy.host().chunks_exact(d).zip(rows) {
        let start = row as usize * d;
        for (sum, value) in dx[start..start + d].iter_mut().zip(dy) {
            *sum += value;
        }
    }
}
