//! Matrix products of bf16 numbers with f32 sums.
//!
//! Operands come as f32. They are rounded to bf16 (to nearest, ties to even) and
//! laid out in panels in one pass, so that the kernel reads memory in order:
//! 8 rows of the left operand, 32 columns of the right one, and two neighbours
//! `k`, `k + 1` of the inner dimension as the halves of 32 bits, which is what
//! the instruction `vdpbf16ps` multiplies. The right operand is packed first, as a
//! whole; each task packs its own rows of the left one, which then are in its cache.
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

/// Columns of the right operand that one task packs: neighbours in memory, if
/// columns are, so that whole cache lines are read.
const COLUMNS_PER_PACKING: usize = 2 * COLUMNS;

/// Most rows of one task.
const ROWS_PER_TASK: usize = 128;

/// Multiply-adds that are worth waking other threads.
const WORK_PER_TASK: usize = 1 << 19;

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
        let threads = rayon::current_num_threads();
        match m * n * k >= 2 * WORK_PER_TASK && threads > 1 {
            // Enter the pool once, not for each of the two loops.
            true => rayon::scope(|_| self.steps(destination, kernel, threads)),
            false => self.steps(destination, kernel, 1),
        }
    }

    /// Packs the right operand, then multiplies it with the rows of the left one.
    fn steps(&self, destination: &mut [f32], kernel: Kernel, threads: usize) {
        let (m, n) = (self.left.rows(), self.right.columns());
        // An empty sum is a sum of one pair of zeros.
        let pairs = self.left.columns().div_ceil(2).max(1);
        let rounded = n.next_multiple_of(COLUMNS);
        with_memory(&RIGHT, rounded * pairs, |packed| {
            let columns = self.right.transposed();
            for (index, packed) in packed.chunks_mut(rounded * PAIRS_PER_BLOCK).enumerate() {
                let first_pair = index * PAIRS_PER_BLOCK;
                let pairs = first_pair..pairs.min(first_pair + PAIRS_PER_BLOCK);
                let part = COLUMNS_PER_PACKING * pairs.len();
                let pack = |(part, packed): (usize, &mut [u32])| {
                    let first = part * COLUMNS_PER_PACKING;
                    kernel.pack::<COLUMNS>(columns, first, pairs.clone(), packed);
                };
                match threads {
                    1 => packed.chunks_mut(part).enumerate().for_each(pack),
                    _ => packed.par_chunks_mut(part).enumerate().for_each(pack),
                }
            }
            let task = Task {
                left: self.left,
                right: Panels::new(packed, COLUMNS, pairs),
                before: self.before,
                after: self.after,
                kernel,
                columns: n,
            };
            match threads {
                1 => destination
                    .chunks_mut(ROWS_PER_TASK * n)
                    .enumerate()
                    .for_each(|(index, destination)| task.run(index * ROWS_PER_TASK, destination)),
                _ => {
                    let share = m.div_ceil(4 * threads);
                    let rows = share.next_multiple_of(ROUND).min(ROWS_PER_TASK);
                    destination
                        .par_chunks_mut(rows * n)
                        .enumerate()
                        .for_each(|(index, destination)| task.run(index * rows, destination));
                }
            }
        });
    }
}

/// A product whose right operand is packed.
struct Task<'a> {
    left: Matrix<'a>,
    right: Panels<'a>,
    before: Before<'a>,
    after: After<'a>,
    kernel: Kernel,
    /// Of the destination.
    columns: usize,
}

impl Task<'_> {
    /// Whole rows of the destination, from `first` on.
    fn run(&self, first: usize, destination: &mut [f32]) {
        let rows = destination.len() / self.columns;
        let pairs = self.right.pairs;
        let rounded = rows.next_multiple_of(ROUND);
        with_memory(&LEFT, rounded * pairs, |packed| {
            for (index, packed) in packed.chunks_mut(rounded * PAIRS_PER_BLOCK).enumerate() {
                let first_pair = index * PAIRS_PER_BLOCK;
                let pairs = first_pair..pairs.min(first_pair + PAIRS_PER_BLOCK);
                self.kernel.pack::<ROWS>(self.left, first, pairs, packed);
            }
            let left = Panels::new(packed, ROWS, pairs);
            for column in (0..self.columns).step_by(COLUMNS_PER_BLOCK) {
                for block in 0..pairs.div_ceil(PAIRS_PER_BLOCK) {
                    self.block(&left, first, column, block, destination);
                }
            }
        });
    }

    /// Adds one block of the inner dimension to one block of columns.
    fn block(
        &self,
        left: &Panels<'_>,
        first: usize,
        start: usize,
        block: usize,
        destination: &mut [f32],
    ) {
        let n = self.columns;
        let rows = destination.len() / n;
        let last = (block + 1) * PAIRS_PER_BLOCK >= left.pairs;
        for column in (start..n.min(start + COLUMNS_PER_BLOCK)).step_by(COLUMNS) {
            let right = self.right.panel(column, block);
            for row in (0..rows).step_by(ROWS) {
                let at = row * n + column;
                let tile = Tile {
                    left: left.panel(row, block),
                    right,
                    rows: ROWS.min(rows - row),
                    columns: COLUMNS.min(n - column),
                    stride: n,
                    before: match block {
                        0 => self.before.at(column),
                        _ => Before::Itself,
                    },
                    after: match last {
                        true => self.after.at(first * n + at),
                        false => After::Nothing,
                    },
                };
                self.kernel.tile(&tile, &mut destination[at..]);
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
    /// Where a thread packs right operands.
    static RIGHT: Cell<Vec<u32>> = const { Cell::new(Vec::new()) };
    /// Where a task packs its rows of the left operand.
    static LEFT: Cell<Vec<u32>> = const { Cell::new(Vec::new()) };
}

/// Lends `length` numbers of a thread's memory. It is taken away meanwhile: a
/// thread that waits for its tasks may begin another product, which then has its own.
fn with_memory<R>(
    memory: &'static std::thread::LocalKey<Cell<Vec<u32>>>,
    length: usize,
    run: impl FnOnce(&mut [u32]) -> R,
) -> R {
    let mut taken = memory.take();
    let result = run(aligned(&mut taken, length));
    memory.set(taken);
    result
}

#[cfg(test)]
mod tests;
