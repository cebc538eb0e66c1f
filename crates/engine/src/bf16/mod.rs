//! Matrix products of bf16 numbers with f32 sums.
//!
//! Operands come as f32. They are rounded to bf16 (to nearest, ties to even) and
//! laid out in panels in one pass, so that the kernel reads memory in order:
//! 8 rows of the left operand, 32 columns of the right one, and two neighbours
//! `k`, `k + 1` of the inner dimension as the halves of 32 bits, which is what
//! the instruction `vdpbf16ps` multiplies.
//!
//! Every element of the destination is one chain of fused multiply-adds, pair by
//! pair, begun with what it is added to. How the work is cut into blocks and
//! tasks changes no bit of it, and neither does the number of threads; the
//! [kernel](kernel) for other processors gives the same bits too.

#[cfg(target_arch = "x86_64")]
mod avx512;
mod kernel;
mod pack;

use std::cell::Cell;

use rayon::prelude::*;

use crate::matmul::Matrix;
pub(crate) use kernel::{After, Before};
use kernel::{Kernel, Tile};
use pack::{Panels, ROUND};

/// Rows of the left operand in one panel.
const ROWS: usize = 8;

/// Columns of the right operand in one panel.
const COLUMNS: usize = 32;

/// Columns of the destination that are worked on together: their panels of the
/// right operand meet every row of a task while they are in the second cache.
const COLUMNS_PER_BLOCK: usize = 4 * COLUMNS;

/// Pairs of the inner dimension that are summed before the next tile's turn, so
/// that a panel of the right operand (16 KiB) stays in the first cache.
const PAIRS_PER_BLOCK: usize = 128;

/// Most rows of one task.
const ROWS_PER_TASK: usize = 64;

/// Multiply-adds that are worth waking other threads.
const WORK_PER_TASK: usize = 1 << 20;

/// Whether this processor multiplies bf16 numbers itself, and may.
pub(crate) fn is_native() -> bool {
    Kernel::current().is_native()
}

/// `destination = after(before + left right)`, `destination` dense row-major of
/// `left.rows x right.columns`.
pub(crate) fn multiply(
    destination: &mut [f32],
    left: Matrix<'_>,
    right: Matrix<'_>,
    before: Before<'_>,
    after: After<'_>,
) {
    let product = Product {
        left,
        right,
        before,
        after,
    };
    product.run(destination, Kernel::current());
}

/// One product, before its operands are packed.
struct Product<'a> {
    left: Matrix<'a>,
    right: Matrix<'a>,
    before: Before<'a>,
    after: After<'a>,
}

impl Product<'_> {
    fn run(&self, destination: &mut [f32], kernel: Kernel) {
        let [m, n, k] = [self.left.rows(), self.right.columns(), self.left.columns()];
        assert_eq!(k, self.right.rows(), "inner dimensions of a matrix product");
        assert_eq!(destination.len(), m * n, "destination of a matrix product");
        self.before.check(n);
        self.after.check(m * n);
        if m * n == 0 {
            return;
        }
        with_memory(|memory| {
            let parallel = m * n * k >= 2 * WORK_PER_TASK && rayon::current_num_threads() > 1;
            match parallel {
                // Enter the pool once, not for each of the two loops.
                true => rayon::scope(|_| self.steps(destination, kernel, memory, true)),
                false => self.steps(destination, kernel, memory, false),
            }
        });
    }

    /// Packs, then multiplies.
    fn steps(
        &self,
        destination: &mut [f32],
        kernel: Kernel,
        memory: &mut Vec<u32>,
        parallel: bool,
    ) {
        let (m, n) = (self.left.rows(), self.right.columns());
        // An empty sum is a sum of one pair of zeros.
        let pairs = self.left.columns().div_ceil(2).max(1);
        // Each round of 32 rows or columns takes as much memory as any other.
        let (round, left_rounds) = (ROUND * pairs, m.div_ceil(ROUND));
        let rounds = left_rounds + n.div_ceil(ROUND);
        let packed = aligned(memory, rounds * round);
        let pack = |(index, packed): (usize, &mut [u32])| match index.checked_sub(left_rounds) {
            None => kernel.pack::<ROWS>(self.left, index * ROUND, packed),
            Some(index) => kernel.pack::<COLUMNS>(self.right.transposed(), index * ROUND, packed),
        };
        match parallel {
            true => packed.par_chunks_mut(round).enumerate().for_each(pack),
            false => packed.chunks_mut(round).enumerate().for_each(pack),
        }

        let (left, right) = packed.split_at(left_rounds * round);
        let task = Task {
            left: Panels::new(left, ROWS, pairs),
            right: Panels::new(right, COLUMNS, pairs),
            before: self.before,
            after: self.after,
            kernel,
            columns: n,
        };
        match parallel {
            true => {
                let share = m.div_ceil(4 * rayon::current_num_threads());
                let rows = share.next_multiple_of(ROWS).min(ROWS_PER_TASK);
                destination
                    .par_chunks_mut(rows * n)
                    .enumerate()
                    .for_each(|(index, destination)| task.run(index * rows, destination));
            }
            false => destination
                .chunks_mut(ROWS_PER_TASK * n)
                .enumerate()
                .for_each(|(index, destination)| task.run(index * ROWS_PER_TASK, destination)),
        }
    }
}

/// A product whose operands are packed.
struct Task<'a> {
    left: Panels<'a>,
    right: Panels<'a>,
    before: Before<'a>,
    after: After<'a>,
    kernel: Kernel,
    /// Of the destination.
    columns: usize,
}

impl Task<'_> {
    /// Whole rows of the destination, the first being `row`, a multiple of [`ROWS`].
    fn run(&self, row: usize, destination: &mut [f32]) {
        let (n, pairs) = (self.columns, self.left.pairs);
        let rows = destination.len() / n;
        for block in (0..n).step_by(COLUMNS_PER_BLOCK) {
            for pair in (0..pairs).step_by(PAIRS_PER_BLOCK) {
                let pairs = pair..(pair + PAIRS_PER_BLOCK).min(pairs);
                for column in (block..n.min(block + COLUMNS_PER_BLOCK)).step_by(COLUMNS) {
                    let right = self.right.panel(column, pairs.clone());
                    for tile_row in (0..rows).step_by(ROWS) {
                        let at = tile_row * n + column;
                        let tile = Tile {
                            left: self.left.panel(row + tile_row, pairs.clone()),
                            right,
                            rows: ROWS.min(rows - tile_row),
                            columns: COLUMNS.min(n - column),
                            stride: n,
                            before: match pairs.start {
                                0 => self.before.at(column),
                                _ => Before::Itself,
                            },
                            after: match pairs.end == self.left.pairs {
                                true => self.after.at(row * n + at),
                                false => After::Nothing,
                            },
                        };
                        self.kernel.tile(&tile, &mut destination[at..]);
                    }
                }
            }
        }
    }
}

/// Numbers of a cache line.
const LINE: usize = 16;

/// The first `length` numbers of `memory` that begin with a cache line.
fn aligned(memory: &mut Vec<u32>, length: usize) -> &mut [u32] {
    if memory.len() < length + LINE {
        // No need to copy what was there.
        *memory = vec![0; length + LINE];
    }
    let start = memory.as_ptr().align_offset(LINE * size_of::<u32>());
    &mut memory[start..start + length]
}

thread_local! {
    /// Where a thread packs operands. A product takes it away and puts it back:
    /// a thread that waits for its tasks may begin another product.
    static MEMORY: Cell<Vec<u32>> = const { Cell::new(Vec::new()) };
}

fn with_memory<R>(run: impl FnOnce(&mut Vec<u32>) -> R) -> R {
    let mut memory = MEMORY.take();
    let result = run(&mut memory);
    MEMORY.set(memory);
    result
}

#[cfg(test)]
mod tests;
