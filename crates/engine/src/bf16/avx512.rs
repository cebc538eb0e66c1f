//! Packing and multiplying with AVX512_BF16.

use std::arch::x86_64::*;
use std::ops::Range;

use super::kernel::{After, Before, Tile};
use super::{COLUMNS, ROWS};
use crate::matmul::Matrix;

/// Proof that this processor has AVX-512 (F, BW) and AVX512_BF16.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx512Bf16(());

/// How far ahead of their use neighbouring rows are asked for: memory is read in
/// strides that the processor does not foresee.
const PAIRS_AHEAD: usize = 8;

/// Numbers of a vector.
const LANES: usize = 16;

impl Avx512Bf16 {
    pub(super) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512bf16");
        found.then_some(Self(()))
    }

    /// As [`super::pack::pack`].
    pub(super) fn pack<const WIDTH: usize>(
        self,
        matrix: Matrix<'_>,
        first: usize,
        pairs: Range<usize>,
        packed: &mut [u32],
    ) {
        let part = Part::<WIDTH> {
            matrix,
            first,
            rows: packed.len() / pairs.len(),
            pairs,
        };
        // SAFETY: `self` proves that the processor has the instructions.
        unsafe {
            if matrix.columns() == 0 {
                packed.fill(0);
            } else if matrix.column_stride() == 1 {
                part.pack_rows(packed);
            } else if matrix.row_stride() == 1 {
                part.pack_columns(packed);
            } else {
                super::pack::pack::<WIDTH>(matrix, first, part.pairs, packed);
            }
        }
    }

    /// `destination = after(before + left right)`.
    pub(super) fn tile(self, tile: &Tile<'_>, destination: &mut [f32]) {
        // SAFETY: `self` proves that the processor has the instructions.
        unsafe {
            match tile.columns > LANES {
                true => multiply::<2>(tile, destination),
                false => multiply::<1>(tile, destination),
            }
        }
    }
}

/// The part of a matrix that is packed.
struct Part<'a, const WIDTH: usize> {
    matrix: Matrix<'a>,
    /// First row.
    first: usize,
    /// Rows, in whole vectors; those behind the matrix are zero.
    rows: usize,
    pairs: Range<usize>,
}

impl<const WIDTH: usize> Part<'_, WIDTH> {
    /// Where 16 rows are neighbours in memory: column after column.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn pack_columns(&self, packed: &mut [u32]) {
        let columns = self.matrix.transposed();
        // Halves of a vector, one element of each in turn.
        let interleave: [u16; 32] = std::array::from_fn(|i| (i / 2 + i % 2 * LANES) as u16);
        // SAFETY: the array is as large as the vector.
        let interleave = unsafe { _mm512_loadu_si512(interleave.as_ptr().cast()) };
        for pair in self.pairs.clone() {
            let (low, high) = (
                self.neighbours(columns, 2 * pair),
                self.neighbours(columns, 2 * pair + 1),
            );
            let ahead = PAIRS_AHEAD * 2 * columns.row_stride();
            for row in (0..self.rows).step_by(LANES) {
                prefetch(low.as_ptr().wrapping_add(row + ahead));
                prefetch(high.as_ptr().wrapping_add(row + ahead));
                let values = _mm512_cvtne2ps_pbh(load(high, row), load(low, row));
                let values = _mm512_permutexvar_epi16(interleave, bits(values));
                self.store(packed, row, pair, values);
            }
        }
    }

    /// One column of the part, if it exists and as far as it reaches.
    #[inline(always)]
    fn neighbours<'b>(&self, columns: Matrix<'b>, column: usize) -> &'b [f32] {
        if column < columns.rows() {
            &columns.row(column)[self.first.min(columns.columns())..]
        } else {
            &[]
        }
    }

    /// Where the columns of a row are neighbours in memory: vectors along 16 rows,
    /// which are then transposed.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn pack_rows(&self, packed: &mut [u32]) {
        for row in (0..self.rows).step_by(LANES) {
            let here = self.first + row;
            let rows = self.matrix.rows().saturating_sub(here).min(LANES);
            for start in self.pairs.clone().step_by(LANES) {
                let mut vectors = [_mm512_setzero_si512(); LANES];
                for (i, vector) in vectors.iter_mut().enumerate() {
                    if i < rows {
                        let values = &self.matrix.row(here + i)[2 * start..];
                        // What the next 16 rows will read.
                        let next = values
                            .as_ptr()
                            .wrapping_add(LANES * self.matrix.row_stride());
                        prefetch(next);
                        prefetch(next.wrapping_add(LANES));
                        *vector = bits(_mm512_cvtne2ps_pbh(load(values, LANES), load(values, 0)));
                    }
                }
                let vectors = transposed(vectors);
                for (pair, vector) in (start..self.pairs.end).zip(vectors) {
                    self.store(packed, row, pair, vector);
                }
            }
        }
    }

    /// Writes one pair of the 16 rows from `row` on.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn store(&self, packed: &mut [u32], row: usize, pair: usize, values: __m512i) {
        const { assert!(WIDTH == 8 || WIDTH.is_multiple_of(LANES)) };
        let (pair, pairs) = (pair - self.pairs.start, self.pairs.len());
        let place = |row: usize| row / WIDTH * WIDTH * pairs + pair * WIDTH + row % WIDTH;
        if WIDTH == 8 {
            let upper = _mm512_extracti64x4_epi64::<1>(values);
            let halves = [_mm512_castsi512_si256(values), upper];
            for (half, start) in halves.into_iter().zip([row, row + 8].map(place)) {
                let packed = &mut packed[start..start + 8];
                // SAFETY: the slice holds 8 numbers.
                unsafe { _mm256_storeu_si256(packed.as_mut_ptr().cast(), half) };
            }
        } else {
            let start = place(row);
            let packed = &mut packed[start..start + LANES];
            // SAFETY: the slice holds 16 numbers.
            unsafe { _mm512_storeu_si512(packed.as_mut_ptr().cast(), values) };
        }
    }
}

/// The first `count` of 16 lanes.
#[inline(always)]
fn lanes(count: usize) -> __mmask16 {
    match count {
        LANES.. => !0,
        _ => (1 << count) - 1,
    }
}

/// Loads 16 numbers from `start` on, zeros behind the last one.
#[inline]
#[target_feature(enable = "avx512f")]
fn load(values: &[f32], start: usize) -> __m512 {
    let from = values.as_ptr().wrapping_add(start);
    // SAFETY: lanes behind the slice are masked, and masked lanes are not read.
    unsafe { _mm512_maskz_loadu_ps(lanes(values.len().saturating_sub(start)), from) }
}

/// Asks for the cache line at an address, which need not exist.
#[inline(always)]
fn prefetch(address: *const f32) {
    // SAFETY: prefetching has no effect but on time, whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
}

/// The vector as integers.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn bits(values: __m512bh) -> __m512i {
    // SAFETY: both are 64 bytes of which every value is allowed.
    unsafe { std::mem::transmute(values) }
}

/// The vector as pairs of bf16 numbers.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn pairs(values: __m512i) -> __m512bh {
    // SAFETY: both are 64 bytes of which every value is allowed.
    unsafe { std::mem::transmute(values) }
}

/// Rows and columns of a 16 x 16 matrix exchanged, in four steps that exchange
/// blocks of 1, 2, 4 and 8.
#[inline]
#[target_feature(enable = "avx512f")]
fn transposed(r: [__m512i; LANES]) -> [__m512i; LANES] {
    let mut s = r;
    for i in (0..LANES).step_by(2) {
        s[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        s[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    let mut t = s;
    for i in (0..LANES).step_by(4) {
        t[i] = _mm512_unpacklo_epi64(s[i], s[i + 2]);
        t[i + 1] = _mm512_unpackhi_epi64(s[i], s[i + 2]);
        t[i + 2] = _mm512_unpacklo_epi64(s[i + 1], s[i + 3]);
        t[i + 3] = _mm512_unpackhi_epi64(s[i + 1], s[i + 3]);
    }
    // Now `t[4 i + j]` holds column `4 q + j` of rows `4 i..4 i + 4` in quarter `q`.
    let mut u = t;
    for half in [0, 8] {
        for j in 0..4 {
            let (low, high) = (t[half + j], t[half + 4 + j]);
            u[half + j] = _mm512_shuffle_i32x4::<0x88>(low, high);
            u[half + 4 + j] = _mm512_shuffle_i32x4::<0xDD>(low, high);
        }
    }
    let mut out = u;
    for j in 0..8 {
        let (low, high) = (u[j], u[8 + j]);
        // `u[j]` has quarters 0 and 2 for `j < 4`, 1 and 3 above.
        out[j] = _mm512_shuffle_i32x4::<0x88>(low, high);
        out[8 + j] = _mm512_shuffle_i32x4::<0xDD>(low, high);
    }
    out
}

/// A tile of `VECTORS` vectors of columns; sums stay in registers.
#[target_feature(enable = "avx512f,avx512bf16")]
fn multiply<const VECTORS: usize>(tile: &Tile<'_>, destination: &mut [f32]) {
    tile.check(destination);
    let masks: [__mmask16; VECTORS] =
        std::array::from_fn(|v| lanes(tile.columns.saturating_sub(v * LANES)));
    let mut sums = [[_mm512_setzero_ps(); VECTORS]; ROWS];
    for (row, sums) in sums.iter_mut().enumerate() {
        for (v, sum) in sums.iter_mut().enumerate() {
            let from = match tile.before {
                Before::Itself if row < tile.rows => destination[row * tile.stride..].as_ptr(),
                Before::Bias(bias) => bias.as_ptr(),
                Before::Nothing | Before::Itself => continue,
            };
            // SAFETY: `check` saw to it that the row's columns lie inside; lanes
            // that are masked are not read.
            *sum = unsafe { _mm512_maskz_loadu_ps(masks[v], from.wrapping_add(v * LANES)) };
        }
    }
    // The sums take long enough for these to arrive.
    for row in 0..tile.rows {
        for v in 0..VECTORS {
            let at = row * tile.stride + v * LANES;
            prefetch(destination.as_ptr().wrapping_add(at));
            if let After::WhereAboveZero(numbers) = tile.after {
                prefetch(numbers.as_ptr().wrapping_add(at));
            }
        }
    }
    let left = tile.left.as_chunks::<ROWS>().0;
    let right = tile.right.as_chunks::<COLUMNS>().0;
    for (left, right) in left.iter().zip(right) {
        let right: [__m512bh; VECTORS] = std::array::from_fn(
            #[inline(always)]
            |v| {
                // SAFETY: both vectors lie inside the 32 numbers.
                let values = unsafe { _mm512_loadu_si512(right.as_ptr().add(v * LANES).cast()) };
                pairs(values)
            },
        );
        for (sums, &left) in sums.iter_mut().zip(left) {
            let left = pairs(_mm512_set1_epi32(left.cast_signed()));
            for (sum, &right) in sums.iter_mut().zip(&right) {
                *sum = _mm512_dpbf16_ps(*sum, left, right);
            }
        }
    }
    for (row, sums) in sums.iter().enumerate() {
        if row >= tile.rows {
            break;
        }
        for (v, &sum) in sums.iter().enumerate() {
            let at = row * tile.stride + v * LANES;
            let sum = match tile.after {
                After::Nothing => sum,
                // Of two that do not compare, the instruction takes the second.
                After::Relu => _mm512_max_ps(_mm512_setzero_ps(), sum),
                After::WhereAboveZero(numbers) => {
                    let from = numbers.as_ptr().wrapping_add(at);
                    // SAFETY: as above.
                    let numbers = unsafe { _mm512_maskz_loadu_ps(masks[v], from) };
                    let above = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(numbers, _mm512_setzero_ps());
                    _mm512_maskz_mov_ps(above, sum)
                }
            };
            let to = destination.as_mut_ptr().wrapping_add(at);
            // SAFETY: as above; lanes that are masked are not written.
            unsafe { _mm512_mask_storeu_ps(to, masks[v], sum) };
        }
    }
}
