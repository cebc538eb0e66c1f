//! From hidden states to the log-probability of chosen tokens, without ever
//! holding the logits of all rows:
//! `log_prob_i = z_i[target_i] - log sum_j exp z_ij`, `z = hidden W^T`.
//!
//! Only rows that carry loss come here. They are worked on in chunks that share
//! one buffer of a fixed budget. The chunk that the forward pass leaves in it
//! needs no recomputation in the backward pass: a micro-batch that fits the
//! budget costs three matrix products, a larger one a fourth for its other
//! chunks.

use std::ops::Range;

use rayon::prelude::*;

use crate::matmul::{Matrix, multiply};
use crate::{Tensor, View, ViewMut, cpu};

/// Memory of one [`forward`] and [`backward`] pair.
#[derive(Debug)]
pub struct LogProbBuffer {
    /// `[rows of a chunk, v]`: `exp(z - max)`.
    exponentials: Tensor,
    /// `[rows of a chunk]`: one over the row's sum of exponentials.
    reciprocals: Vec<f32>,
    /// `[rows of a chunk]`: log-probabilities of a chunk that is computed again.
    known: Vec<f32>,
    budget: usize,
}

impl LogProbBuffer {
    /// A buffer that holds at most `budget` logits, or one row if that is more.
    pub fn new(budget: usize) -> Self {
        Self {
            exponentials: Tensor::default(),
            reciprocals: Vec::new(),
            known: Vec::new(),
            budget,
        }
    }

    /// The rows of each chunk of `s` rows, first to last.
    fn chunks(&self, s: usize, v: usize) -> impl DoubleEndedIterator<Item = Range<usize>> + use<> {
        let rows = (self.budget / v).max(1);
        (0..s.div_ceil(rows)).map(move |chunk| chunk * rows..((chunk + 1) * rows).min(s))
    }

    /// Fills the buffer with `exp(z - max)` for one chunk and writes its
    /// log-probabilities.
    fn fill(
        &mut self,
        hidden: View<'_>,
        table: View<'_>,
        targets: &[u32],
        log_probs: &mut [f32],
        [d, v]: [usize; 2],
    ) {
        let s = targets.len();
        self.exponentials.reserve(s * v);
        self.reciprocals.resize(s, 0.0);
        let exponentials = self.exponentials.view_mut(0..s * v).host();
        multiply(
            exponentials,
            Matrix::new(hidden.host(), s, d),
            Matrix::new(table.host(), v, d).transposed(),
            false,
        );
        exponentials
            .par_chunks_exact_mut(v)
            .zip(&mut self.reciprocals)
            .zip(targets.par_iter().zip(log_probs))
            .for_each(|((row, reciprocal), (&target, log_prob))| {
                cpu::run(
                    #[inline(always)]
                    || {
                        let max = cpu::max(row);
                        let chosen = row[target as usize] - max;
                        for z in row.iter_mut() {
                            *z = cpu::exp(*z - max);
                        }
                        let sum = cpu::sum2(row, row, |exp, _, sum| sum + exp);
                        *reciprocal = 1.0 / sum;
                        *log_prob = chosen - sum.ln();
                    },
                );
            });
    }
}

/// `log_probs[i] = log softmax(hidden_i W^T)[targets[i]]`.
///
/// `hidden [s, d]`, `table` (`W`) `[v, d]`, `targets [s]`, `log_probs [s]` on
/// the host.
///
/// # Panics
/// If the sizes disagree or a target is not below `v`.
pub fn forward(
    hidden: View<'_>,
    table: View<'_>,
    targets: &[u32],
    buffer: &mut LogProbBuffer,
    log_probs: &mut [f32],
    d: usize,
) {
    let v = table.len() / d;
    for rows in buffer.chunks(targets.len(), v) {
        let hidden = hidden.slice(rows.start * d..rows.end * d);
        buffer.fill(
            hidden,
            table,
            &targets[rows.clone()],
            &mut log_probs[rows],
            [d, v],
        );
    }
}

/// Gradient of `-sum_i coefficients[i] log_probs[i]`, right after [`forward`]
/// with the same arguments: writes `dhidden [s, d]`, adds to `dtable [v, d]`.
///
/// `dz_i = c_i (softmax(z_i) - onehot(target_i))`, `dhidden = dz W`,
/// `dW += dz^T hidden`.
///
/// # Panics
/// If the sizes disagree or a target is not below `v`.
#[allow(clippy::too_many_arguments)]
pub fn backward(
    hidden: View<'_>,
    table: View<'_>,
    targets: &[u32],
    coefficients: &[f32],
    buffer: &mut LogProbBuffer,
    mut dhidden: ViewMut<'_>,
    mut dtable: ViewMut<'_>,
    d: usize,
) {
    let v = table.len() / d;
    for (order, rows) in buffer.chunks(targets.len(), v).rev().enumerate() {
        let hidden = hidden.slice(rows.start * d..rows.end * d);
        let (targets, coefficients) = (&targets[rows.clone()], &coefficients[rows.clone()]);
        let s = rows.len();
        if order > 0 {
            let mut known = std::mem::take(&mut buffer.known);
            known.resize(s, 0.0);
            buffer.fill(hidden, table, targets, &mut known, [d, v]);
            buffer.known = known;
        }
        let dz = buffer.exponentials.view_mut(0..s * v).host();
        dz.par_chunks_exact_mut(v)
            .zip(&buffer.reciprocals)
            .zip(targets.par_iter().zip(coefficients))
            .for_each(|((row, reciprocal), (&target, &coefficient))| {
                let scale = coefficient * reciprocal;
                cpu::run(
                    #[inline(always)]
                    || row.iter_mut().for_each(|value| *value *= scale),
                );
                row[target as usize] -= coefficient;
            });
        let dhidden = dhidden
            .reborrow()
            .slice(rows.start * d..rows.end * d)
            .host();
        multiply(
            dhidden,
            Matrix::new(dz, s, v),
            Matrix::new(table.host(), v, d),
            false,
        );
        let dz = Matrix::new(dz, s, v).transposed();
        multiply(
            dtable.reborrow().host(),
            dz,
            Matrix::new(hidden.host(), s, d),
            true,
        );
    }
}

/// All logits: `z [s, v] = hidden W^T`, for generation and inspection.
///
/// # Panics
/// If the sizes disagree.
pub fn logits(hidden: View<'_>, table: View<'_>, z: ViewMut<'_>, d: usize) {
    let (s, v) = (hidden.len() / d, table.len() / d);
    multiply(
        z.host(),
        Matrix::new(hidden.host(), s, d),
        Matrix::new(table.host(), v, d).transposed(),
        false,
    );
}
