//! SwiGLU: `y = silu(gate) * up` with `silu(g) = g / (1 + exp(-g))`
//! (Shazeer, arXiv 2002.05202).
//!
//! `gate_up [n, 2f]` holds, per row, `f` gates and then `f` ups, as one matrix
//! product with the adjacent gate and up projections leaves them.

use rayon::prelude::*;

use crate::{View, ViewMut, cpu};

/// `y [n, f] = silu(gate) * up`.
pub fn forward(gate_up: View<'_>, y: ViewMut<'_>, f: usize) {
    gate_up
        .host()
        .par_chunks(2 * f * 8)
        .zip(y.host().par_chunks_mut(f * 8))
        .for_each(|(gate_up, y)| {
            cpu::run(
                #[inline(always)]
                || {
                    for (gate_up, y) in gate_up.chunks_exact(2 * f).zip(y.chunks_exact_mut(f)) {
                        let (gate, up) = gate_up.split_at(f);
                        for ((y, &gate), &up) in y.iter_mut().zip(gate).zip(up) {
                            *y = gate * cpu::sigmoid(gate) * up;
                        }
                    }
                },
            );
        });
}

/// In place, to save two activations of the widest layer: `gate_up` becomes
/// its own gradient, and `dy` becomes the activation `y` again, which the down
/// projection's weight gradient needs.
///
/// With `s = sigmoid(gate)`: `dup = dy gate s`,
/// `dgate = dy up s (1 + gate (1 - s))`.
pub fn backward_in_place(gate_up: ViewMut<'_>, dy: ViewMut<'_>, f: usize) {
    gate_up
        .host()
        .par_chunks_mut(2 * f * 8)
        .zip(dy.host().par_chunks_mut(f * 8))
        .for_each(|(gate_up, dy)| {
            cpu::run(
                #[inline(always)]
                || {
                    for (gate_up, dy) in gate_up.chunks_exact_mut(2 * f).zip(dy.chunks_exact_mut(f))
                    {
                        let (gate, up) = gate_up.split_at_mut(f);
                        for ((dy, gate), up) in dy.iter_mut().zip(gate).zip(up) {
                            let s = cpu::sigmoid(*gate);
                            let silu = *gate * s;
                            let y = silu * *up;
                            let dgate = *dy * *up * s * (*gate).mul_add(1.0 - s, 1.0);
                            *up = *dy * silu;
                            *gate = dgate;
                            *dy = y;
                        }
                    }
                },
            );
        });
}
