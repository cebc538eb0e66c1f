//! Operands rounded to bf16 and laid out in panels.

use std::ops::Range;

use super::PAIRS_PER_BLOCK;
use crate::matmul::Matrix;

/// Rows of an operand (columns, of the right one) are packed in multiples of this.
pub(super) const ROUND: usize = 16;

/// A packed operand: panels of `width` rows in each block of the inner dimension,
/// `[pairs / PAIRS_PER_BLOCK, rows / width, PAIRS_PER_BLOCK, width]`, the last block
/// as short as it is; zero behind the last row and in half of the last pair of an
/// odd inner dimension.
pub(super) struct Panels<'a> {
    values: &'a [u32],
    width: usize,
    /// Rows, with those that are zero.
    rows: usize,
    pub(super) pairs: usize,
}

impl<'a> Panels<'a> {
    pub(super) fn new(values: &'a [u32], width: usize, pairs: usize) -> Self {
        Self {
            values,
            width,
            rows: values.len() / pairs,
            pairs,
        }
    }

    /// The panel that begins with row `first` in one block of pairs, `[pairs, width]`.
    pub(super) fn panel(&self, first: usize, block: usize) -> &'a [u32] {
        let start = block * PAIRS_PER_BLOCK;
        let pairs = PAIRS_PER_BLOCK.min(self.pairs - start);
        // The panels before it hold `first` rows.
        &self.values[start * self.rows + first * pairs..][..pairs * self.width]
    }
}

/// Packs rows of `matrix` from `first` on, of their columns those in `pairs`, in
/// panels of `WIDTH`. `packed` is `[rows / WIDTH, pairs, WIDTH]`.
pub(super) fn pack<const WIDTH: usize>(
    matrix: Matrix<'_>,
    first: usize,
    pairs: Range<usize>,
    packed: &mut [u32],
) {
    let (rows, columns) = (matrix.rows(), matrix.columns());
    let element = |row: usize, column: usize| match row < rows && column < columns {
        true => bf16(matrix.at(row, column)),
        false => 0,
    };
    for (panel, packed) in packed.chunks_exact_mut(WIDTH * pairs.len()).enumerate() {
        for (pair, packed) in pairs.clone().zip(packed.chunks_exact_mut(WIDTH)) {
            for (row, packed) in packed.iter_mut().enumerate() {
                let row = first + panel * WIDTH + row;
                let [low, high] = [element(row, 2 * pair), element(row, 2 * pair + 1)];
                *packed = u32::from(low) | u32::from(high) << 16;
            }
        }
    }
}

/// The nearest bf16 number, of two as near the even one, as `vcvtneps2bf16` has
/// it: subnormal numbers become zeros, what is not a number stays so.
pub(super) fn bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    if value.abs() < f32::MIN_POSITIVE {
        return (bits >> 16) as u16 & 0x8000;
    }
    ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_goes_to_the_nearest_and_then_to_the_even_number() {
        let rounded = |value: f32| f32::from_bits(u32::from(bf16(value)) << 16);
        // One unit in the last place of bf16 at 1 is 2^-7.
        let unit = 1.0 / 128.0;
        for (value, expected) in [
            (1.0, 1.0),
            (-1.0, -1.0),
            (1.0 + 0.49 * unit, 1.0),
            (1.0 + 0.5 * unit, 1.0),
            (1.0 + 0.51 * unit, 1.0 + unit),
            (1.0 + 1.5 * unit, 1.0 + 2.0 * unit),
            (f32::MAX, f32::INFINITY),
            (f32::NEG_INFINITY, f32::NEG_INFINITY),
            (f32::MIN_POSITIVE / 2.0, 0.0),
        ] {
            assert_eq!(rounded(value), expected, "{value}");
        }
        assert!(rounded(f32::NAN).is_nan());
        // The payload's upper half is zero: rounding must not make it infinite.
        assert!(rounded(f32::from_bits(0x7F80_0001)).is_nan());
    }
}
