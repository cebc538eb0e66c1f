//! Linear layer for few rows at a time, as generation has them: `y = x W^T`.
//!
//! Every element of `y` is one chain of fused multiply-adds over the inputs,
//! first to last. So the bits of a row depend on nothing but the row: neither on
//! how many others there are, nor on threads or instruction set. The weights are
//! stored anew, `WIDTH` outputs side by side, such that this order of additions
//! is also the fast one.

use std::ops::Range;

use pulp::Simd;
use rayon::prelude::*;

use super::Shared;
use crate::{CpuPath, View, ViewMut};

/// Outputs that are computed side by side: two vectors of AVX-512.
const WIDTH: usize = 32;

/// Rows that meet a panel of weights together; their sums stay in registers.
const ROWS: usize = 12;

/// Rows of one task, a multiple of [`ROWS`].
const ROWS_PER_TASK: usize = 8 * ROWS;

/// Multiply-adds that are worth a task of their own.
const WORK_PER_TASK: usize = 1 << 16;

/// A weight matrix `[out, in]` in panels of `WIDTH` outputs.
#[derive(Debug)]
pub struct PackedMatrix {
    /// `[out / WIDTH, in, WIDTH]`, zero behind the last output.
    panels: Vec<f32>,
    input: usize,
    output: usize,
}

impl PackedMatrix {
    /// Packs `weight [out, in]`.
    ///
    /// # Panics
    /// If the size disagrees.
    pub fn new(weight: View<'_>, [input, output]: [usize; 2]) -> Self {
        let weight = weight.host();
        assert_eq!(weight.len(), input * output, "weight of {output} x {input}");
        let mut panels = vec![0.0; output.div_ceil(WIDTH) * input * WIDTH];
        panels
            .par_chunks_mut(input * WIDTH)
            .zip(weight.par_chunks(input * WIDTH))
            .for_each(|(panel, rows)| {
                for (column, row) in rows.chunks_exact(input).enumerate() {
                    for (values, &value) in panel.chunks_exact_mut(WIDTH).zip(row) {
                        values[column] = value;
                    }
                }
            });
        Self {
            panels,
            input,
            output,
        }
    }

    /// Number of outputs.
    pub fn output(&self) -> usize {
        self.output
    }

    fn panel(&self, panel: usize) -> &[f32] {
        &self.panels[panel * self.input * WIDTH..(panel + 1) * self.input * WIDTH]
    }
}

/// `y = x W^T + bias`, or `y += x W^T` if `accumulate` (a residual connection).
///
/// `x [n, in]`, `bias [out]`, `y [n, out]`.
///
/// # Panics
/// If the sizes disagree.
pub fn forward(
    x: View<'_>,
    weight: &PackedMatrix,
    bias: Option<View<'_>>,
    y: ViewMut<'_>,
    accumulate: bool,
) {
    let (x, y, input, output) = (x.host(), y.host(), weight.input, weight.output);
    let n = x.len() / input;
    assert_eq!(x.len(), n * input, "x of {n} rows of {input}");
    assert_eq!(y.len(), n * output, "y of {n} rows of {output}");
    let bias = bias.map(View::host);
    if let Some(bias) = bias {
        assert!(!accumulate, "a biased linear layer does not accumulate");
        assert_eq!(bias.len(), output, "bias of {output}");
    }
    let addend = match (bias, accumulate) {
        (Some(bias), _) => Addend::Bias(bias),
        (None, true) => Addend::Itself,
        (None, false) => Addend::Nothing,
    };
    let blocks = n.div_ceil(ROWS_PER_TASK);
    let tasks = blocks * output.div_ceil(WIDTH);
    let y = Shared::new(y);
    // Panel by panel, so that a thread's panel stays in its cache.
    let task = |index: usize| {
        let (panel, block) = (index / blocks, index % blocks);
        let rows = block * ROWS_PER_TASK..((block + 1) * ROWS_PER_TASK).min(n);
        let columns = panel * WIDTH..((panel + 1) * WIDTH).min(output);
        let task = Task {
            x,
            panel: weight.panel(panel),
            input,
            addend,
        };
        task.run(rows, &mut |row, sums| {
            // SAFETY: row and columns lie inside `y`, as checked above, and no
            // other task has this block of rows and columns.
            let y = unsafe { y.slice(row * output + columns.start, columns.len()) };
            task.write(sums, &columns, y);
        });
    };
    let work = n.min(ROWS_PER_TASK) * input * WIDTH;
    let least = WORK_PER_TASK.div_ceil(work.max(1));
    if tasks <= least {
        (0..tasks).for_each(task);
    } else {
        (0..tasks)
            .into_par_iter()
            .with_min_len(least)
            .for_each(task);
    }
}

/// What a product is added to.
#[derive(Clone, Copy)]
enum Addend<'a> {
    Nothing,
    Bias(&'a [f32]),
    Itself,
}

/// One panel of weights and the rows that meet it.
struct Task<'a> {
    x: &'a [f32],
    panel: &'a [f32],
    input: usize,
    addend: Addend<'a>,
}

impl Task<'_> {
    /// Hands over the sums of every row. Sums must stay in registers, which the
    /// compiler does for vectors that have a name and not for arrays; how many
    /// fit decides the rows that are worked on together, not the result.
    fn run(&self, rows: Range<usize>, write: &mut impl FnMut(usize, &[f32; WIDTH])) {
        match CpuPath::current() {
            #[cfg(target_arch = "x86_64")]
            CpuPath::Avx512(simd) => simd.vectorize(
                #[inline(always)]
                || self.rows::<_, 2, ROWS>(simd, rows, write),
            ),
            #[cfg(target_arch = "x86_64")]
            CpuPath::Avx2(simd) => simd.vectorize(
                #[inline(always)]
                || self.rows::<_, 4, 3>(simd, rows, write),
            ),
            CpuPath::Portable => self.rows::<_, WIDTH, 1>(pulp::Scalar, rows, write),
        }
    }

    /// A panel is `V` vectors wide; at most `MOST` rows meet it together.
    #[inline(always)]
    fn rows<S: Simd, const V: usize, const MOST: usize>(
        &self,
        simd: S,
        rows: Range<usize>,
        write: &mut impl FnMut(usize, &[f32; WIDTH]),
    ) {
        let mut row = rows.start;
        while row < rows.end {
            row += match (rows.end - row).min(MOST) {
                1 => self.tile::<S, V, 1>(simd, row, write),
                2 => self.tile::<S, V, 2>(simd, row, write),
                3 => self.tile::<S, V, 3>(simd, row, write),
                4 | 5 if MOST > 3 => self.tile::<S, V, 4>(simd, row, write),
                6 | 7 if MOST > 3 => self.tile::<S, V, 6>(simd, row, write),
                8..ROWS if MOST > 3 => self.tile::<S, V, 8>(simd, row, write),
                _ => self.tile::<S, V, MOST>(simd, row, write),
            };
        }
    }

    /// `R` rows from `first` on; returns `R`.
    #[inline(always)]
    fn tile<S: Simd, const V: usize, const R: usize>(
        &self,
        simd: S,
        first: usize,
        write: &mut impl FnMut(usize, &[f32; WIDTH]),
    ) -> usize {
        let input = self.input;
        let x: [&[f32]; R] = std::array::from_fn(
            #[inline(always)]
            |r| &self.x[(first + r) * input..][..input],
        );
        let weights = &self.panel.as_chunks::<WIDTH>().0[..input];
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        for i in 0..input {
            let (weights, _) = S::as_simd_f32s(&weights[i]);
            let weights: [S::f32s; V] = std::array::from_fn(
                #[inline(always)]
                |v| weights[v],
            );
            for r in 0..R {
                let x = simd.splat_f32s(x[r][i]);
                for v in 0..V {
                    sums[r][v] = simd.mul_add_f32s(x, weights[v], sums[r][v]);
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            let mut values = [0.0; WIDTH];
            S::as_mut_simd_f32s(&mut values).0.copy_from_slice(sums);
            write(first + r, &values);
        }
        R
    }

    #[inline(always)]
    fn write(&self, sums: &[f32; WIDTH], columns: &Range<usize>, y: &mut [f32]) {
        match self.addend {
            Addend::Nothing => y.copy_from_slice(&sums[..y.len()]),
            Addend::Bias(bias) => {
                for ((y, sum), bias) in y.iter_mut().zip(sums).zip(&bias[columns.clone()]) {
                    *y = sum + bias;
                }
            }
            Addend::Itself => {
                for (y, sum) in y.iter_mut().zip(sums) {
                    *y += sum;
                }
            }
        }
    }
}

/// Rows `tokens` of a packed embedding: `y[i] = W[tokens[i]]`, `y [n, in]`.
///
/// # Panics
/// If a token is not a row.
pub fn embed(tokens: &[u32], table: &PackedMatrix, y: ViewMut<'_>) {
    let y = y.host();
    for (&token, y) in tokens.iter().zip(y.chunks_exact_mut(table.input)) {
        let token = token as usize;
        assert!(token < table.output, "token {token} of {}", table.output);
        let values = table.panel(token / WIDTH).chunks_exact(WIDTH);
        for (y, values) in y.iter_mut().zip(values) {
            *y = values[token % WIDTH];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tensor;

    fn noise(length: usize, seed: f32) -> Tensor {
        Tensor::from_vec((0..length).map(|i| (i as f32 * seed).sin()).collect())
    }

    /// One chain of additions for each element.
    fn expected(x: &[f32], w: &[f32], bias: &[f32], input: usize) -> Vec<f32> {
        let chain = |x: &[f32], w: &[f32]| {
            let products = x.iter().zip(w);
            products.fold(0.0, |sum, (&x, &w)| f32::mul_add(x, w, sum))
        };
        x.chunks_exact(input)
            .flat_map(|x| {
                w.chunks_exact(input)
                    .zip(bias)
                    .map(move |(w, bias)| chain(x, w) + bias)
            })
            .collect()
    }

    #[test]
    fn every_element_is_one_chain_of_additions_whatever_the_batch() {
        for (input, output) in [(1, 1), (7, 31), (128, 32), (96, 65), (300, 200)] {
            let (w, bias) = (noise(input * output, 0.37), noise(output, 0.11));
            let packed = PackedMatrix::new(w.all(), [input, output]);
            for n in [1, 2, 3, 4, 5, 7, 8, 11, 12, 13, 37, 96, 97, 200] {
                let x = noise(n * input, 0.73);
                let expected = expected(&x.to_host(), &w.to_host(), &bias.to_host(), input);
                let mut y = Tensor::zeros(n * output);
                forward(x.all(), &packed, Some(bias.all()), y.all_mut(), false);
                assert_eq!(y.to_host(), expected, "{n} x {input} x {output}");

                let mut y = Tensor::zeros(n * output);
                for row in y.all_mut().host().chunks_exact_mut(output) {
                    row.copy_from_slice(bias.all().host());
                }
                forward(x.all(), &packed, None, y.all_mut(), true);
                assert_eq!(
                    y.to_host(),
                    expected,
                    "{n} x {input} x {output}, accumulated"
                );
            }
        }
    }

    #[test]
    fn a_packed_embedding_gives_its_rows() {
        let (input, output) = (5, 70);
        let w = noise(input * output, 0.37);
        let packed = PackedMatrix::new(w.all(), [input, output]);
        let tokens = [0, 31, 32, 69];
        let mut y = Tensor::zeros(tokens.len() * input);
        embed(&tokens, &packed, y.all_mut());
        for (token, y) in tokens.into_iter().zip(y.to_host().chunks_exact(input)) {
            let start = token as usize * input;
            assert_eq!(y, &w.to_host()[start..start + input]);
        }
    }
}
