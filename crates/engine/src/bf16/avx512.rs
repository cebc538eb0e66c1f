//! Packing and multiplying with AVX512_BF16.

use std::arch::x86_64::*;

use super::kernel::{After, Before, Tile};
use super::pack::ROUND;
use super::{COLUMNS, ROWS};
use crate::matmul::Matrix;

/// Proof that this processor has AVX-512 (F, BW) and AVX512_BF16.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx512Bf16(());

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
        packed: &mut [u32],
    ) {
        if matrix.columns() == 0 || matrix.rows() == 0 {
            return packed.fill(0);
        }
        let pairs = packed.len() / ROUND;
        for half in 0..ROUND / LANES {
            let row = first + half * LANES;
            let out = Packed::<WIDTH> {
                first: half * LANES,
                pairs,
            };
            // SAFETY: `self` proves that the processor has the instructions.
            unsafe {
                if matrix.column_stride() == 1 {
                    pack_rows(matrix, row, out, packed);
                } else if matrix.row_stride() == 1 {
                    pack_columns(matrix, row, out, packed);
                } else {
                    return super::pack::pack::<WIDTH>(matrix, first, packed);
                }
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

/// Where the pairs of 16 neighbouring rows go.
#[derive(Clone, Copy)]
struct Packed<const WIDTH: usize> {
    /// Of the 16 rows, within the round.
    first: usize,
    pairs: usize,
}

impl<const WIDTH: usize> Packed<WIDTH> {
    /// Writes `values`, pair number `pair` of each row.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn store(self, packed: &mut [u32], pair: usize, values: __m512i) {
        let panel = |row: usize| row / WIDTH * WIDTH * self.pairs + pair * WIDTH + row % WIDTH;
        match WIDTH {
            8 => {
                let [low, high] = [self.first, self.first + 8].map(panel);
                let (low, high) = (low..low + 8, high..high + 8);
                let upper = _mm512_extracti64x4_epi64::<1>(values);
                // SAFETY: the slices hold 8 numbers each.
                unsafe {
                    let at = packed[low].as_mut_ptr();
                    _mm256_storeu_si256(at.cast(), _mm512_castsi512_si256(values));
                    let at = packed[high].as_mut_ptr();
                    _mm256_storeu_si256(at.cast(), upper);
                }
            }
            _ => {
                let start = panel(self.first);
                let packed = &mut packed[start..start + LANES];
                // SAFETY: the slice holds 16 numbers.
                unsafe { _mm512_storeu_si512(packed.as_mut_ptr().cast(), values) };
            }
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

/// Loads up to 16 numbers from the beginning of `values`, zeros behind them.
#[inline]
#[target_feature(enable = "avx512f")]
fn load(values: &[f32]) -> __m512 {
    // SAFETY: masked lanes are not read.
    unsafe { _mm512_maskz_loadu_ps(lanes(values.len()), values.as_ptr()) }
}

/// 16 rows whose columns are neighbours in memory: vectors along the columns,
/// which are then transposed.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn pack_rows<const WIDTH: usize>(
    matrix: Matrix<'_>,
    first: usize,
    out: Packed<WIDTH>,
    packed: &mut [u32],
) {
    let rows = matrix.rows().saturating_sub(first).min(LANES);
    for start in (0..out.pairs).step_by(LANES) {
        let mut vectors = [_mm512_setzero_si512(); LANES];
        for (row, vector) in vectors.iter_mut().enumerate() {
            if row < rows {
                let values = &matrix.row(first + row)[2 * start..];
                let (low, high) = values.split_at(values.len().min(LANES));
                *vector = bits(_mm512_cvtne2ps_pbh(load(high), load(low)));
            }
        }
        let vectors = transposed(vectors);
        for (pair, vector) in (start..out.pairs).zip(vectors) {
            out.store(packed, pair, vector);
        }
    }
}

/// 16 rows that are neighbours in memory, column after column.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn pack_columns<const WIDTH: usize>(
    matrix: Matrix<'_>,
    first: usize,
    out: Packed<WIDTH>,
    packed: &mut [u32],
) {
    let columns = matrix.transposed();
    let rows = matrix.rows().saturating_sub(first).min(LANES);
    // Halves of the vector, one element of each in turn.
    let interleave: [u16; 32] = std::array::from_fn(|i| (i / 2 + i % 2 * LANES) as u16);
    // SAFETY: the array is as large as the vector.
    let interleave = unsafe { _mm512_loadu_si512(interleave.as_ptr().cast()) };
    for pair in 0..out.pairs {
        let column = |column: usize| match column < columns.rows() && rows > 0 {
            true => &columns.row(column)[first..first + rows],
            false => &[],
        };
        let (low, high) = (load(column(2 * pair)), load(column(2 * pair + 1)));
        let pairs = bits(_mm512_cvtne2ps_pbh(high, low));
        out.store(packed, pair, _mm512_permutexvar_epi16(interleave, pairs));
    }
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
