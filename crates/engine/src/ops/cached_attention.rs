//! Attention of new tokens to what their sequences have said before, kept as
//! keys and values: the attention of generation.
//!
//! For a query head `a` of a token at position `i`: `out = sum_j P_j v_j` with
//! `P = softmax_{j <= i}(q . k_j / sqrt(e))`, as in [`super::attention`]. Each sum
//! runs in an order that only the token's own sequence decides, so that a row has
//! the same bits in every batch.

use std::cell::RefCell;

use pulp::Simd;
use rayon::prelude::*;

use super::attention::{Heads, softmax_row};
use crate::{CpuPath, View, ViewMut};

/// Positions whose keys lie side by side, so that a query meets all of them at
/// once and no sum runs across a vector.
const BLOCK: usize = 64;

/// Columns of values that are summed together, in as many [`CHAINS`].
const COLUMNS: usize = 16;

/// Chains of additions of one sum over positions: position `j` goes to chain
/// `j % CHAINS`. One alone would wait for each addition to end.
const CHAINS: usize = 4;

/// Multiply-adds that are worth a task of their own.
const WORK_PER_TASK: usize = 1 << 15;

/// Where a row of the batch stands: the slot of its sequence, and its position
/// there, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Slot of the sequence.
    pub slot: u32,
    /// Index of the token in its sequence.
    pub position: u32,
}

/// Keys and values of one layer for a fixed number of slots, each of which has
/// room for one sequence. Memory that no sequence has reached is not touched.
#[derive(Debug)]
pub struct KeyValueCache {
    /// `[slots, k]`: keys `[capacity / BLOCK, e, BLOCK]`, values `[capacity, e]`.
    values: Vec<f32>,
    heads: Heads,
    slots: usize,
    /// Positions of a slot, a multiple of [`BLOCK`].
    capacity: usize,
}

impl KeyValueCache {
    /// Room for sequences of `capacity` tokens in `slots` slots.
    pub fn new(heads: Heads, slots: usize, capacity: usize) -> Self {
        Self {
            // Zeros come from the operating system untouched.
            values: vec![0.0; slots * Self::slot_len(heads, capacity)],
            heads,
            slots,
            capacity: capacity.next_multiple_of(BLOCK),
        }
    }

    /// Elements that a slot takes.
    pub fn slot_len(heads: Heads, capacity: usize) -> usize {
        2 * heads.keys * heads.width * capacity.next_multiple_of(BLOCK)
    }

    /// Copies the first `positions` of slot `from` to slot `to`.
    ///
    /// # Panics
    /// If a slot or position does not exist.
    pub fn copy(&mut self, from: usize, to: usize, positions: usize) {
        let (e, half) = (self.heads.width, self.head_len() / 2);
        assert!(from < self.slots && to < self.slots && positions <= self.capacity);
        for head in 0..self.heads.keys {
            let (source, target) = (self.start(from, head), self.start(to, head));
            let keys = positions.next_multiple_of(BLOCK) * e;
            self.values.copy_within(source..source + keys, target);
            let values = source + half..source + half + positions * e;
            self.values.copy_within(values, target + half);
        }
    }

    /// Elements of one key head of one slot.
    fn head_len(&self) -> usize {
        2 * self.capacity * self.heads.width
    }

    /// Where a key head of a slot begins.
    fn start(&self, slot: usize, head: usize) -> usize {
        (slot * self.heads.keys + head) * self.head_len()
    }
}

thread_local! {
    /// Scores of one query head.
    static SCORES: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Takes up the keys and values of `qkv [n, (h + 2k) e]` at `places [n]`, then
/// writes `out [n, h e]`. A token attends to itself and to all before it in its
/// slot, or with a `window` to the last so many. What comes before it must have
/// been taken up, now or earlier.
///
/// # Panics
/// If the sizes disagree, or a place does not exist.
pub fn forward(
    qkv: View<'_>,
    places: &[Place],
    cache: &mut KeyValueCache,
    window: Option<usize>,
    out: ViewMut<'_>,
) {
    let (qkv, out, heads) = (qkv.host(), out.host(), cache.heads);
    assert_eq!(qkv.len(), places.len() * heads.row(), "qkv");
    let columns = heads.queries * heads.width;
    assert_eq!(out.len(), places.len() * columns, "out");
    for place in places {
        assert!(
            (place.slot as usize) < cache.slots && (place.position as usize) < cache.capacity,
            "{place:?} of {} slots of {}",
            cache.slots,
            cache.capacity
        );
    }
    store(qkv, places, cache);
    let cache = &*cache;
    let group = columns / heads.keys;
    let longest = places.iter().map(|place| place.position).max().unwrap_or(0) as usize + 1;
    let least = WORK_PER_TASK.div_ceil(2 * longest * group);
    let task = |(index, out): (usize, &mut [f32])| {
        let (row, head) = (index / heads.keys, index % heads.keys);
        let queries = &qkv[row * heads.row() + head * group..][..group];
        let task = Task {
            queries,
            place: places[row],
            head,
            cache,
            window,
        };
        SCORES.with_borrow_mut(|scores| task.run(scores, out));
    };
    if places.len() * heads.keys <= least {
        out.chunks_mut(group).enumerate().for_each(task);
    } else {
        out.par_chunks_mut(group)
            .with_min_len(least)
            .enumerate()
            .for_each(task);
    }
}

/// Keys and values of `qkv` into the cache.
fn store(qkv: &[f32], places: &[Place], cache: &mut KeyValueCache) {
    let (heads, e) = (cache.heads, cache.heads.width);
    let (half, keys) = (cache.head_len() / 2, heads.keys);
    let row_len = heads.row();
    let (first_key, first_value) = (heads.key_column(0), heads.value_column(0));
    for (row, place) in qkv.chunks_exact(row_len).zip(places) {
        let position = place.position as usize;
        for head in 0..keys {
            let start = cache.start(place.slot as usize, head);
            let slot = &mut cache.values[start..start + 2 * half];
            let (to_keys, to_values) = slot.split_at_mut(half);
            let block = &mut to_keys[position / BLOCK * BLOCK * e..][..BLOCK * e];
            let key = &row[first_key + head * e..][..e];
            for (to, &key) in block.chunks_exact_mut(BLOCK).zip(key) {
                to[position % BLOCK] = key;
            }
            let value = &row[first_value + head * e..][..e];
            to_values[position * e..(position + 1) * e].copy_from_slice(value);
        }
    }
}

/// The query heads of one key head for one token.
struct Task<'a> {
    /// `[h / k, e]`.
    queries: &'a [f32],
    place: Place,
    /// The key head.
    head: usize,
    cache: &'a KeyValueCache,
    window: Option<usize>,
}

impl Task<'_> {
    /// Sums stay in registers only as vectors that have a name, as in
    /// [`super::packed_linear`]. The closures use `self` up: others are called
    /// through a shim, which is compiled for the default instruction set.
    fn run(self, scores: &mut Vec<f32>, out: &mut [f32]) {
        match CpuPath::current() {
            #[cfg(target_arch = "x86_64")]
            CpuPath::Avx512(simd) => simd.vectorize(
                #[inline(always)]
                || self.attend::<_, 4, 1>(simd, scores, out),
            ),
            #[cfg(target_arch = "x86_64")]
            CpuPath::Avx2(simd) => simd.vectorize(
                #[inline(always)]
                || self.attend::<_, 8, 2>(simd, scores, out),
            ),
            CpuPath::Portable => self.attend::<_, BLOCK, COLUMNS>(pulp::Scalar, scores, out),
        }
    }

    /// A block is `B` vectors wide, the columns of a sum `C`.
    #[inline(always)]
    fn attend<S: Simd, const B: usize, const C: usize>(
        self,
        simd: S,
        scores: &mut Vec<f32>,
        out: &mut [f32],
    ) {
        let (cache, e) = (self.cache, self.cache.heads.width);
        let length = self.place.position as usize + 1;
        let oldest = self
            .window
            .map_or(0, |window| length.saturating_sub(window));
        let (start, half) = (
            cache.start(self.place.slot as usize, self.head),
            cache.head_len() / 2,
        );
        let keys = &cache.values[start..start + half];
        let values = &cache.values[start + half..][oldest * e..length * e];
        // Whole blocks of scores, of which the ones in sight are used.
        let (first, end) = (oldest / BLOCK, length.div_ceil(BLOCK));
        if scores.len() < end * BLOCK {
            scores.resize(end * BLOCK, 0.0);
        }
        for (query, out) in self.queries.chunks_exact(e).zip(out.chunks_exact_mut(e)) {
            let (of_blocks, _) = scores[first * BLOCK..end * BLOCK].as_chunks_mut::<BLOCK>();
            let blocks = keys[first * BLOCK * e..end * BLOCK * e].chunks_exact(BLOCK * e);
            for (scores, block) in of_blocks.iter_mut().zip(blocks) {
                let sums = products::<S, B>(simd, query, block);
                let scale = simd.splat_f32s(cache.heads.scale());
                for (score, sum) in S::as_mut_simd_f32s(scores).0.iter_mut().zip(sums) {
                    *score = simd.mul_f32s(sum, scale);
                }
            }
            let seen = &mut scores[oldest..length];
            let all = 0..seen.len();
            softmax_row(seen, all);
            let (parts, rest) = out.as_chunks_mut::<COLUMNS>();
            let rest_at = parts.len() * COLUMNS;
            for (part, out) in parts.iter_mut().enumerate() {
                let sums = weighted::<S, C>(simd, seen, values, e, part * COLUMNS);
                S::as_mut_simd_f32s(out).0.copy_from_slice(&sums);
            }
            rest.fill(0.0);
            for (&p, row) in seen.iter().zip(values.chunks_exact(e)) {
                for (sum, &value) in rest.iter_mut().zip(&row[rest_at..]) {
                    *sum = p.mul_add(value, *sum);
                }
            }
        }
    }
}

/// `query . key` for each key of a `block [e, BLOCK]`.
#[inline(always)]
fn products<S: Simd, const B: usize>(simd: S, query: &[f32], block: &[f32]) -> [S::f32s; B] {
    let mut sums = [simd.splat_f32s(0.0); B];
    for (&query, keys) in query.iter().zip(block.as_chunks::<BLOCK>().0) {
        let (keys, _) = S::as_simd_f32s(keys);
        let query = simd.splat_f32s(query);
        for b in 0..B {
            sums[b] = simd.mul_add_f32s(query, keys[b], sums[b]);
        }
    }
    sums
}

/// `sum_j p_j v_j` for [`COLUMNS`] columns from `first` on of the rows `values
/// [positions, e]`.
#[inline(always)]
fn weighted<S: Simd, const C: usize>(
    simd: S,
    p: &[f32],
    values: &[f32],
    e: usize,
    first: usize,
) -> [S::f32s; C] {
    let mut sums = [[simd.splat_f32s(0.0); C]; CHAINS];
    let columns = first..first + COLUMNS;
    let (fours, rest) = p.as_chunks::<CHAINS>();
    let mut rows = values.chunks_exact(CHAINS * e);
    for (p, rows) in fours.iter().zip(&mut rows) {
        for chain in 0..CHAINS {
            let row = &rows[chain * e..(chain + 1) * e][columns.clone()];
            accumulate(simd, &mut sums[chain], p[chain], row);
        }
    }
    let rest = rest.iter().zip(rows.remainder().chunks_exact(e));
    for (chain, (&p, row)) in rest.enumerate() {
        accumulate(simd, &mut sums[chain], p, &row[columns.clone()]);
    }
    let [a, b, c, d] = sums;
    std::array::from_fn(
        #[inline(always)]
        |i| simd.add_f32s(simd.add_f32s(a[i], b[i]), simd.add_f32s(c[i], d[i])),
    )
}

/// `sums += p row`.
#[inline(always)]
fn accumulate<S: Simd, const C: usize>(simd: S, sums: &mut [S::f32s; C], p: f32, row: &[f32]) {
    let (row, _) = S::as_simd_f32s(row);
    let p = simd.splat_f32s(p);
    for c in 0..C {
        sums[c] = simd.mul_add_f32s(p, row[c], sums[c]);
    }
}
