//! One tile of the destination: 8 rows by 32 columns of sums in registers.
//!
//! The instruction `vdpbf16ps` adds a pair of products to each sum `c`. By Intel's
//! manual (volume 2, VDPBF16PS), and as found on Zen 4 for 40 million random
//! arguments, that is
//!
//! `c := flush(a1 b1 + flush(c))`, `c := flush(a0 b0 + c)`,
//!
//! the second of the pair first, each a fused multiply-add rounded to nearest even,
//! where `flush` makes zeros of subnormal numbers. So any processor can give the same
//! bits, which is what [`Kernel::Emulated`] does.

use std::ops::Range;

use super::pack;
use super::{COLUMNS, ROWS};
use crate::matmul::Matrix;
use crate::{CpuPath, cpu};

/// What the sums begin with.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Before<'a> {
    Nothing,
    /// The destination: `+=`.
    Itself,
    /// One number for each column.
    Bias(&'a [f32]),
}

impl<'a> Before<'a> {
    pub(super) fn check(self, columns: usize) {
        if let Self::Bias(bias) = self {
            assert_eq!(
                bias.len(),
                columns,
                "bias of a product of {columns} columns"
            );
        }
    }

    /// The same for the columns from `column` on.
    pub(super) fn at(self, column: usize) -> Self {
        match self {
            Self::Bias(bias) => Self::Bias(&bias[column..]),
            other => other,
        }
    }
}

/// What becomes of the sums before they are written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum After<'a> {
    Nothing,
    /// `max(sum, 0)`.
    Relu,
    /// The sum where these numbers, laid out as the destination is, are above 0;
    /// zero elsewhere.
    WhereAboveZero(&'a [f32]),
}

impl<'a> After<'a> {
    pub(super) fn check(self, size: usize) {
        if let Self::WhereAboveZero(numbers) = self {
            assert_eq!(numbers.len(), size, "outputs of the ReLU behind a product");
        }
    }

    /// The same for the elements from `start` on.
    pub(super) fn at(self, start: usize) -> Self {
        match self {
            Self::WhereAboveZero(numbers) => Self::WhereAboveZero(&numbers[start..]),
            other => other,
        }
    }
}

/// What one call of a kernel works on. The destination is handed over beside it,
/// from the tile's first element on.
pub(super) struct Tile<'a> {
    /// `[pairs, ROWS]`, zero behind the last row.
    pub(super) left: &'a [u32],
    /// `[pairs, COLUMNS]`, zero behind the last column.
    pub(super) right: &'a [u32],
    /// Rows that are written, at most [`ROWS`].
    pub(super) rows: usize,
    /// Columns that are written, at most [`COLUMNS`].
    pub(super) columns: usize,
    /// From one row of the destination to the next.
    pub(super) stride: usize,
    pub(super) before: Before<'a>,
    pub(super) after: After<'a>,
}

impl Tile<'_> {
    /// Panics unless everything that a kernel touches lies inside its slice.
    pub(super) fn check(&self, destination: &[f32]) {
        let reached = (self.rows - 1) * self.stride + self.columns;
        assert!(self.rows <= ROWS && self.columns <= COLUMNS.min(self.stride));
        assert_eq!(self.left.len() / ROWS, self.right.len() / COLUMNS);
        assert!(reached <= destination.len());
        match self.before {
            Before::Bias(bias) => assert!(self.columns <= bias.len()),
            Before::Nothing | Before::Itself => {}
        }
        match self.after {
            After::WhereAboveZero(numbers) => assert!(reached <= numbers.len()),
            After::Nothing | After::Relu => {}
        }
    }
}

/// Who multiplies.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kernel {
    /// The instructions of AVX512_BF16.
    #[cfg(target_arch = "x86_64")]
    Avx512(super::avx512::Avx512Bf16),
    /// Plain loops that give the same bits.
    Emulated,
}

impl Kernel {
    /// All that this processor can run, best first.
    #[cfg(test)]
    pub(super) fn available() -> Vec<Self> {
        let mut kernels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        kernels.extend(super::avx512::Avx512Bf16::detect().map(Self::Avx512));
        kernels.push(Self::Emulated);
        kernels
    }

    /// The one in use: instructions if the processor has them and the
    /// environment forces no lesser [`CpuPath`].
    pub(super) fn current() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let CpuPath::Avx512(_) = CpuPath::current()
            && let Some(found) = super::avx512::Avx512Bf16::detect()
        {
            return Self::Avx512(found);
        }
        Self::Emulated
    }

    pub(super) fn is_native(self) -> bool {
        !matches!(self, Self::Emulated)
    }

    /// As [`pack::pack`].
    pub(super) fn pack<const WIDTH: usize>(
        self,
        matrix: Matrix<'_>,
        first: usize,
        pairs: Range<usize>,
        packed: &mut [u32],
    ) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(kernel) => kernel.pack::<WIDTH>(matrix, first, pairs, packed),
            Self::Emulated => pack::pack::<WIDTH>(matrix, first, pairs, packed),
        }
    }

    /// `destination = after(before + left right)`.
    pub(super) fn tile(self, tile: &Tile<'_>, destination: &mut [f32]) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(kernel) => kernel.tile(tile, destination),
            Self::Emulated => cpu::run(
                #[inline(always)]
                || emulated_tile(tile, destination),
            ),
        }
    }
}

#[inline(always)]
fn emulated_tile(tile: &Tile<'_>, destination: &mut [f32]) {
    let mut sums = [[0.0f32; COLUMNS]; ROWS];
    let (rows, columns) = (tile.rows, tile.columns);
    for (sums, destination) in sums[..rows].iter_mut().zip(destination.chunks(tile.stride)) {
        match tile.before {
            Before::Nothing => {}
            Before::Itself => sums[..columns].copy_from_slice(&destination[..columns]),
            Before::Bias(bias) => sums[..columns].copy_from_slice(&bias[..columns]),
        }
        for sum in sums {
            *sum = flush(*sum);
        }
    }
    let (left, right) = (
        tile.left.as_chunks::<ROWS>(),
        tile.right.as_chunks::<COLUMNS>(),
    );
    for (left, right) in left.0.iter().zip(right.0) {
        for (sums, &left) in sums.iter_mut().zip(left) {
            for (sum, &right) in sums.iter_mut().zip(right) {
                *sum = flush(second(left).mul_add(second(right), *sum));
                *sum = flush(first(left).mul_add(first(right), *sum));
            }
        }
    }
    for (row, sums) in sums[..rows].iter().enumerate() {
        let at = row * tile.stride;
        let sums = sums[..columns].iter().copied();
        let destination = destination[at..][..columns].iter_mut();
        match tile.after {
            After::Nothing => destination.zip(sums).for_each(|(y, sum)| *y = sum),
            After::Relu => destination
                .zip(sums)
                .for_each(|(y, sum)| *y = if sum < 0.0 { 0.0 } else { sum }),
            After::WhereAboveZero(numbers) => destination
                .zip(sums)
                .zip(&numbers[at..])
                .for_each(|((y, sum), &number)| *y = if number > 0.0 { sum } else { 0.0 }),
        }
    }
}

/// The first bf16 number of a pair.
#[inline(always)]
fn first(pair: u32) -> f32 {
    f32::from_bits(pair << 16)
}

/// The second bf16 number of a pair.
#[inline(always)]
fn second(pair: u32) -> f32 {
    f32::from_bits(pair & 0xFFFF_0000)
}

/// Zero of the same sign for a subnormal number.
#[inline(always)]
fn flush(value: f32) -> f32 {
    if value.abs() < f32::MIN_POSITIVE {
        0.0f32.copysign(value)
    } else {
        value
    }
}
