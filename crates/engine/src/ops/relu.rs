//! ReLU: `y = max(x, 0)`, in place.

use rayon::prelude::*;

use crate::{View, ViewMut, cpu};

/// Elements of one task.
const TASK: usize = 1 << 14;

/// `x` becomes `max(x, 0)`; a NaN stays one.
pub fn forward_in_place(x: ViewMut<'_>) {
    x.host().par_chunks_mut(TASK).for_each(|x| {
        cpu::run(
            #[inline(always)]
            || {
                for x in x {
                    *x = if *x < 0.0 { 0.0 } else { *x };
                }
            },
        );
    });
}

/// `dy`, the gradient of `y`, becomes that of `x`: `dx = dy` where `y > 0`, else 0.
///
/// # Panics
/// If the sizes disagree.
pub fn backward_in_place(y: View<'_>, dy: ViewMut<'_>) {
    assert_eq!(y.len(), dy.len(), "sizes of ReLU's output and its gradient");
    y.host()
        .par_chunks(TASK)
        .zip(dy.host().par_chunks_mut(TASK))
        .for_each(|(y, dy)| {
            cpu::run(
                #[inline(always)]
                || {
                    for (&y, dy) in y.iter().zip(dy) {
                        *dy = if y > 0.0 { *dy } else { 0.0 };
                    }
                },
            );
        });
}
