//! Causal grouped-query attention over packed sequences of any length.
//!
//! For a query head `a` and its key head `g = a k / h`, within one sequence:
//! `out_i = sum_{j <= i} P_ij v_j`, `P_i = softmax_j(q_i . k_j / sqrt(e))`,
//! with `j > i - window` if there is a sliding window. A block of
//! `BLOCK` (64) query rows at a time meets all its keys at once, so the working
//! memory is `BLOCK x length` a thread, never `length x length`, and the
//! backward pass recomputes `P` from the stored log-sum-exp.

use std::cell::RefCell;

use gemm::Parallelism;
use rayon::prelude::*;

use super::Shared;
use crate::matmul::multiply_strided;
use crate::{View, ViewMut, cpu};

/// Query rows that are worked on together.
const BLOCK: usize = 64;

/// How the columns of `qkv [n, (h + 2k) e]` divide into heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// `h`: query heads, first in a row.
    pub queries: usize,
    /// `k`: key heads, after the queries; as many value heads follow.
    pub keys: usize,
    /// `e`: width of one head.
    pub width: usize,
}

impl Heads {
    /// Columns of `qkv`.
    pub fn row(&self) -> usize {
        (self.queries + 2 * self.keys) * self.width
    }

    pub(super) fn key_column(&self, key_head: usize) -> usize {
        (self.queries + key_head) * self.width
    }

    pub(super) fn value_column(&self, key_head: usize) -> usize {
        (self.queries + self.keys + key_head) * self.width
    }

    pub(super) fn scale(&self) -> f32 {
        1.0 / (self.width as f32).sqrt()
    }
}

thread_local! {
    /// Probabilities and their gradients of one block of rows.
    static TILES: RefCell<[Vec<f32>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

/// One block of query rows of one sequence.
#[derive(Clone, Copy)]
struct Block {
    /// First row of the sequence within the batch.
    sequence: usize,
    /// First query row, counted within the sequence.
    first: usize,
    /// Number of query rows.
    rows: usize,
    /// First key that any row of the block sees, counted within the sequence.
    first_key: usize,
}

impl Block {
    fn of(start: usize, end: usize, first: usize, window: Option<usize>) -> Self {
        let rows = BLOCK.min(end - start - first);
        let first_key = window.map_or(0, |window| (first + 1).saturating_sub(window));
        Self {
            sequence: start,
            first,
            rows,
            first_key,
        }
    }

    fn keys(&self) -> usize {
        self.first + self.rows - self.first_key
    }

    /// Columns of the tile that `row` of the block attends to.
    fn visible(&self, row: usize, window: Option<usize>) -> std::ops::Range<usize> {
        let query = self.first + row;
        let oldest = window.map_or(0, |window| (query + 1).saturating_sub(window));
        oldest.max(self.first_key) - self.first_key..query + 1 - self.first_key
    }
}

/// `out [n, h e]` and, for the backward pass, `log_sum [h, n]`.
///
/// # Panics
/// If the sizes disagree.
pub fn forward(
    qkv: View<'_>,
    cu_seqlens: &[usize],
    heads: Heads,
    window: Option<usize>,
    out: ViewMut<'_>,
    log_sum: ViewMut<'_>,
) {
    let n = check(cu_seqlens, heads, qkv.len(), out.len(), log_sum.len());
    let (columns, out_columns) = (heads.row(), heads.queries * heads.width);
    let qkv = Shared::reading(qkv.host());
    let (out, log_sum) = (Shared::new(out.host()), Shared::new(log_sum.host()));
    let blocks = cu_seqlens.par_windows(2).flat_map(|bounds| {
        let (start, end) = (bounds[0], bounds[1]);
        let blocks = (end - start).div_ceil(BLOCK);
        (0..blocks)
            .into_par_iter()
            .map(move |b| Block::of(start, end, b * BLOCK, window))
    });
    let tasks = blocks.flat_map(|block| {
        (0..heads.queries)
            .into_par_iter()
            .map(move |head| (block, head))
    });
    tasks.for_each(|(block, head)| {
        TILES.with_borrow_mut(|[tile, _]| {
            let (e, keys) = (heads.width, block.keys());
            let tile = grown(tile, block.rows * keys);
            let key_head = head * heads.keys / heads.queries;
            let (row, key_row) = (
                block.sequence + block.first,
                block.sequence + block.first_key,
            );
            // SAFETY: `check` proved that all rows and columns of these heads lie
            // inside `qkv`; the tile was grown to rows x keys and is this thread's.
            unsafe {
                multiply_strided(
                    Shared::new(tile).at(0, 0, keys),
                    qkv.at(row, head * e, columns),
                    qkv.at(key_row, heads.key_column(key_head), columns)
                        .transposed(),
                    [block.rows, keys, e],
                    heads.scale(),
                    false,
                    Parallelism::None,
                );
            }
            cpu::run(
                #[inline(always)]
                || {
                    for (r, scores) in tile.chunks_exact_mut(keys).enumerate() {
                        let log_sum_of_row = softmax_row(scores, block.visible(r, window));
                        // SAFETY: element (head, row + r) of [h, n]; only this
                        // task has this head and this row.
                        unsafe { log_sum.write(head * n + row + r, log_sum_of_row) };
                    }
                },
            );
            // SAFETY: as above; this task alone writes these rows and columns of
            // `out`, and the tile now holds probabilities, zero where unseen. Its
            // pointer is made anew: the softmax wrote through the slice.
            unsafe {
                multiply_strided(
                    out.at(row, head * e, out_columns),
                    Shared::new(tile).at(0, 0, keys),
                    qkv.at(key_row, heads.value_column(key_head), columns),
                    [block.rows, e, keys],
                    1.0,
                    false,
                    Parallelism::None,
                );
            }
        });
    });
}

/// Writes `dqkv [n, (h + 2k) e]` from `dout [n, h e]` and what the forward pass
/// had and left.
///
/// With `D_i = dout_i . out_i`: `dS_ij = P_ij (dout_i . v_j - D_i) / sqrt(e)`,
/// `dq_i = sum_j dS_ij k_j`, `dk_j = sum_i dS_ij q_i`, `dv_j = sum_i P_ij dout_i`.
///
/// # Panics
/// If the sizes disagree.
#[allow(clippy::too_many_arguments)]
pub fn backward(
    qkv: View<'_>,
    cu_seqlens: &[usize],
    heads: Heads,
    window: Option<usize>,
    out: View<'_>,
    log_sum: View<'_>,
    dout: View<'_>,
    dqkv: ViewMut<'_>,
) {
    let n = check(cu_seqlens, heads, qkv.len(), out.len(), log_sum.len());
    check(cu_seqlens, heads, dqkv.len(), dout.len(), log_sum.len());
    let forward = Forward {
        qkv: Shared::reading(qkv.host()),
        out: out.host(),
        dout: dout.host(),
        log_sum: log_sum.host(),
        heads,
        window,
        n,
    };
    let dqkv = Shared::new(dqkv.host());
    // A task owns one key head of one sequence, with all query heads that
    // share it: its key and value gradients need no other task's.
    let tasks = cu_seqlens.par_windows(2).flat_map(|bounds| {
        (0..heads.keys)
            .into_par_iter()
            .map(move |head| (bounds, head))
    });
    tasks.for_each(|(bounds, key_head)| forward.backward_of_key_head(bounds, key_head, dqkv));
}

/// What the backward pass reads.
struct Forward<'a> {
    qkv: Shared,
    out: &'a [f32],
    dout: &'a [f32],
    log_sum: &'a [f32],
    heads: Heads,
    window: Option<usize>,
    n: usize,
}

impl Forward<'_> {
    fn backward_of_key_head(&self, bounds: &[usize], key_head: usize, dqkv: Shared) {
        let (heads, e, columns) = (self.heads, self.heads.width, self.heads.row());
        let (start, end) = (bounds[0], bounds[1]);
        let (key, value) = (heads.key_column(key_head), heads.value_column(key_head));
        for row in start..end {
            for column in [key, value] {
                // SAFETY: row and columns lie inside `dqkv` (checked), and only
                // this task touches this key head of this sequence.
                unsafe { dqkv.at(row, column, columns).pointer.write_bytes(0, e) };
            }
        }
        let group = heads.queries / heads.keys;
        for head in key_head * group..(key_head + 1) * group {
            for first in (0..end - start).step_by(BLOCK) {
                let block = Block::of(start, end, first, self.window);
                TILES.with_borrow_mut(|[p, ds]| {
                    let size = block.rows * block.keys();
                    self.backward_of_block(
                        block,
                        head,
                        key_head,
                        grown(p, size),
                        grown(ds, size),
                        dqkv,
                    );
                });
            }
        }
    }

    fn backward_of_block(
        &self,
        block: Block,
        head: usize,
        key_head: usize,
        p: &mut [f32],
        ds: &mut [f32],
        dqkv: Shared,
    ) {
        let (heads, e, columns) = (self.heads, self.heads.width, self.heads.row());
        let (rows, keys, out_columns) = (block.rows, block.keys(), heads.queries * e);
        let (row, key_row) = (
            block.sequence + block.first,
            block.sequence + block.first_key,
        );
        let (key, value) = (heads.key_column(key_head), heads.value_column(key_head));
        let dout = Shared::reading(self.dout).at(row, head * e, out_columns);
        let product = |destination, left, right, sizes, alpha, accumulate| {
            // SAFETY: `check` proved that all rows and columns of these heads lie
            // inside `qkv`, `dqkv` and `dout`; both tiles hold rows x keys and are
            // this thread's; in `dqkv`, this task alone writes its query heads'
            // rows and its key head's keys and values.
            unsafe {
                multiply_strided(
                    destination,
                    left,
                    right,
                    sizes,
                    alpha,
                    accumulate,
                    Parallelism::None,
                );
            }
        };
        let queries = self.qkv.at(row, head * e, columns);
        let keys_matrix = self.qkv.at(key_row, key, columns);
        let values = self.qkv.at(key_row, value, columns);
        product(
            Shared::new(p).at(0, 0, keys),
            queries,
            keys_matrix.transposed(),
            [rows, keys, e],
            heads.scale(),
            false,
        );
        product(
            Shared::new(ds).at(0, 0, keys),
            dout,
            values.transposed(),
            [rows, keys, e],
            1.0,
            false,
        );
        cpu::run(
            #[inline(always)]
            || {
                for (r, (p, ds)) in p
                    .chunks_exact_mut(keys)
                    .zip(ds.chunks_exact_mut(keys))
                    .enumerate()
                {
                    let at = (row + r) * out_columns + head * e;
                    let d = cpu::dot(&self.out[at..at + e], &self.dout[at..at + e]);
                    let log_sum = self.log_sum[head * self.n + row + r];
                    softmax_row_backward(
                        p,
                        ds,
                        block.visible(r, self.window),
                        log_sum,
                        d,
                        heads.scale(),
                    );
                }
            },
        );
        // Pointers to the tiles anew: the softmax wrote through the slices.
        let p_matrix = Shared::new(p).at(0, 0, keys);
        let ds_matrix = Shared::new(ds).at(0, 0, keys);
        product(
            dqkv.at(row, head * e, columns),
            ds_matrix,
            keys_matrix,
            [rows, e, keys],
            1.0,
            false,
        );
        let dkeys = dqkv.at(key_row, key, columns);
        product(
            dkeys,
            ds_matrix.transposed(),
            queries,
            [keys, e, rows],
            1.0,
            true,
        );
        let dvalues = dqkv.at(key_row, value, columns);
        product(
            dvalues,
            p_matrix.transposed(),
            dout,
            [keys, e, rows],
            1.0,
            true,
        );
    }
}

/// Softmax over the `visible` scores, zero elsewhere; returns the log-sum-exp.
#[inline(always)]
pub(super) fn softmax_row(scores: &mut [f32], visible: std::ops::Range<usize>) -> f32 {
    scores[..visible.start].fill(0.0);
    scores[visible.end..].fill(0.0);
    let scores = &mut scores[visible];
    let max = cpu::max(scores);
    for score in scores.iter_mut() {
        *score = cpu::exp(*score - max);
    }
    let sum = cpu::sum2(scores, scores, |score, _, sum| sum + score);
    let reciprocal = 1.0 / sum;
    for score in scores.iter_mut() {
        *score *= reciprocal;
    }
    max + sum.ln()
}

/// Turns scores into probabilities and the probabilities' gradient in `ds` into
/// the scores' gradient, zero where unseen.
#[inline(always)]
fn softmax_row_backward(
    p: &mut [f32],
    ds: &mut [f32],
    visible: std::ops::Range<usize>,
    log_sum: f32,
    d: f32,
    scale: f32,
) {
    for row in [&mut *p, &mut *ds] {
        row[..visible.start].fill(0.0);
        row[visible.end..].fill(0.0);
    }
    for (p, ds) in p[visible.clone()].iter_mut().zip(&mut ds[visible]) {
        *p = cpu::exp(*p - log_sum);
        *ds = *p * (*ds - d) * scale;
    }
}

/// The first `length` elements of a buffer that grows when needed.
fn grown(buffer: &mut Vec<f32>, length: usize) -> &mut [f32] {
    if buffer.len() < length {
        buffer.resize(length, 0.0);
    }
    &mut buffer[..length]
}

/// Proves that all heads of all rows lie inside the buffers; returns `n`.
fn check(cu_seqlens: &[usize], heads: Heads, qkv: usize, out: usize, log_sum: usize) -> usize {
    let n = *cu_seqlens.last().expect("cu_seqlens begins with 0");
    assert!(
        cu_seqlens[0] == 0 && cu_seqlens.is_sorted(),
        "cu_seqlens {cu_seqlens:?}"
    );
    assert!(
        heads.keys > 0 && heads.queries.is_multiple_of(heads.keys),
        "{heads:?}"
    );
    assert_eq!(qkv, n * heads.row(), "qkv of {n} rows and {heads:?}");
    assert_eq!(
        out,
        n * heads.queries * heads.width,
        "out of {n} rows and {heads:?}"
    );
    assert_eq!(
        log_sum,
        n * heads.queries,
        "log_sum of {n} rows and {heads:?}"
    );
    n
}
