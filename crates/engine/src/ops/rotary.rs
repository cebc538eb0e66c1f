//! Rotary position embedding (Su et al., arXiv 2104.09864) in the convention of
//! Hugging Face checkpoints: element `i` of a head turns together with element
//! `i + e/2` by the angle `position * inverse_frequency[i]`.

use rayon::prelude::*;

use super::attention::Heads;
use crate::ViewMut;

/// Cosines and sines for every position up to a limit.
#[derive(Debug, Clone, Default)]
pub struct RotaryTable {
    /// `[positions, e]`: per position `e/2` cosines, then `e/2` sines.
    values: Vec<f32>,
    inverse_frequencies: Vec<f64>,
}

impl RotaryTable {
    /// An empty table; `inverse_frequencies [e/2]` in radians per position.
    pub fn new(inverse_frequencies: Vec<f64>) -> Self {
        Self {
            values: Vec::new(),
            inverse_frequencies,
        }
    }

    /// Number of positions the table reaches.
    pub fn positions(&self) -> usize {
        self.values.len() / (2 * self.inverse_frequencies.len())
    }

    /// Makes the table reach `positions`.
    pub fn extend_to(&mut self, positions: usize) {
        for position in self.positions()..positions {
            // The angle is rounded to f32 first, as the models were trained.
            let angle = |frequency: &f64| f64::from((position as f32) * (*frequency as f32));
            let (frequencies, values) = (&self.inverse_frequencies, &mut self.values);
            values.extend(frequencies.iter().map(|f| angle(f).cos() as f32));
            values.extend(frequencies.iter().map(|f| angle(f).sin() as f32));
        }
    }
}

/// Turns query and key heads of `qkv [n, (h + 2k) e]` in place.
///
/// # Panics
/// If a position is beyond the table.
pub fn forward(qkv: ViewMut<'_>, positions: &[u32], table: &RotaryTable, heads: Heads) {
    turn(qkv, positions, table, heads, 1.0);
}

/// Turns the gradient back: the transpose of a rotation is its inverse.
pub fn backward(dqkv: ViewMut<'_>, positions: &[u32], table: &RotaryTable, heads: Heads) {
    turn(dqkv, positions, table, heads, -1.0);
}

fn turn(qkv: ViewMut<'_>, positions: &[u32], table: &RotaryTable, heads: Heads, sign: f32) {
    let e = heads.width;
    qkv.host()
        .par_chunks_mut(heads.row() * 16)
        .zip(positions.par_chunks(16))
        .for_each(|(rows, positions)| {
            for (row, &position) in rows.chunks_exact_mut(heads.row()).zip(positions) {
                let angles = &table.values[position as usize * e..(position as usize + 1) * e];
                let (cosines, sines) = angles.split_at(e / 2);
                let turned = (heads.queries + heads.keys) * e;
                for head in row[..turned].chunks_exact_mut(e) {
                    let (low, high) = head.split_at_mut(e / 2);
                    for (((a, b), &cosine), &sine) in
                        low.iter_mut().zip(high).zip(cosines).zip(sines)
                    {
                        let (x, y, sine) = (*a, *b, sine * sign);
                        *a = x * cosine - y * sine;
                        *b = y * cosine + x * sine;
                    }
                }
            }
        });
}
