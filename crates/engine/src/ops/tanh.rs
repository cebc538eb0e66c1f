//! `y = tanh(x)`, in place.

use rayon::prelude::*;

use crate::{View, ViewMut, cpu};

/// Elements of one task.
const TASK: usize = 1 << 13;

/// `x` becomes `tanh(x)`.
pub fn forward_in_place(x: ViewMut<'_>) {
    x.host().par_chunks_mut(TASK).for_each(|x| {
        cpu::run(
            #[inline(always)]
            || {
                for x in x {
                    *x = cpu::tanh(*x);
                }
            },
        );
    });
}

/// `dy`, the gradient of `y`, becomes that of `x`: `dx = dy (1 - y^2)`.
///
/// # Panics
/// If the sizes disagree.
pub fn backward_in_place(y: View<'_>, dy: ViewMut<'_>) {
    assert_eq!(y.len(), dy.len(), "sizes of tanh's output and its gradient");
    y.host()
        .par_chunks(TASK)
        .zip(dy.host().par_chunks_mut(TASK))
        .for_each(|(y, dy)| {
            cpu::run(
                #[inline(always)]
                || {
                    for (&y, dy) in y.iter().zip(dy) {
                        *dy *= (-y).mul_add(y, 1.0);
                    }
                },
            );
        });
}
