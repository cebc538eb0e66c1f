//! Matrix products on the CPU: f32 through the `gemm` crate, bf16 by [`crate::bf16`].

use gemm::Parallelism;

/// A matrix that lies somewhere inside a borrowed slice.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A dense row-major matrix.
    pub(crate) fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(values.len(), rows * columns, "matrix of {rows} x {columns}");
        Self {
            values,
            rows,
            columns,
            row_stride: columns,
            column_stride: 1,
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// From one row to the next.
    pub(crate) fn row_stride(&self) -> usize {
        self.row_stride
    }

    /// From one column to the next.
    pub(crate) fn column_stride(&self) -> usize {
        self.column_stride
    }

    /// One element.
    pub(crate) fn at(&self, row: usize, column: usize) -> f32 {
        self.values[row * self.row_stride + column * self.column_stride]
    }

    /// One row of a matrix whose columns are neighbours in memory.
    pub(crate) fn row(&self, row: usize) -> &'a [f32] {
        debug_assert_eq!(self.column_stride, 1);
        &self.values[row * self.row_stride..][..self.columns]
    }

    /// Where the matrix begins, from `row` on.
    fn strided(&self, row: usize) -> Strided {
        Strided {
            pointer: self
                .values
                .as_ptr()
                .wrapping_add(row * self.row_stride)
                .cast_mut(),
            row_stride: self.row_stride,
            column_stride: self.column_stride,
        }
    }

    /// The same memory, rows and columns exchanged.
    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// `destination = left right`, or `+=` if `accumulate`; `destination` is dense
/// row-major of `left.rows x right.columns`. Runs on all threads of the pool.
pub(crate) fn multiply(
    destination: &mut [f32],
    left: Matrix<'_>,
    right: Matrix<'_>,
    accumulate: bool,
) {
    let (m, n, k) = (left.rows, right.columns, left.columns);
    assert_eq!(k, right.rows, "inner dimensions of a matrix product");
    assert_eq!(destination.len(), m * n, "destination of a matrix product");
    let right = right.strided(0);
    for (block, destination) in destination
        .chunks_mut(ROWS_PER_PRODUCT * n.max(1))
        .enumerate()
    {
        let rows = destination.len() / n;
        let left = left.strided(block * ROWS_PER_PRODUCT);
        let destination = Strided {
            pointer: destination.as_mut_ptr(),
            row_stride: n,
            column_stride: 1,
        };
        let sizes = [rows, n, k];
        // SAFETY: `Matrix::new` checked that every element of `left` and `right`
        // lies inside its slice, the destination was checked above, and it cannot
        // overlap the operands because it is borrowed mutably.
        unsafe {
            multiply_strided(
                destination,
                left,
                right,
                sizes,
                1.0,
                accumulate,
                Parallelism::Rayon(0),
            );
        }
    }
}

/// Rows of the destination that are computed together. `gemm` packs a copy of
/// as many columns of the other operand, which for the gradient of a vocabulary
/// matrix would be larger than all its other memory.
const ROWS_PER_PRODUCT: usize = 4096;

/// Where a strided matrix begins; sizes are given with each product.
#[derive(Clone, Copy)]
pub(crate) struct Strided {
    pub(crate) pointer: *mut f32,
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

impl Strided {
    /// The same memory, rows and columns exchanged.
    pub(crate) fn transposed(self) -> Self {
        Self {
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// `destination = alpha left right`, or `+=`, for `[m, n, k]` where `left` is
/// `m x k` and `right` is `k x n`.
///
/// # Safety
/// Every element that the sizes and strides reach must be valid for reads
/// (`left`, `right`) or for writes by this thread alone (`destination`), and
/// the destination must not overlap the operands.
pub(crate) unsafe fn multiply_strided(
    destination: Strided,
    left: Strided,
    right: Strided,
    [m, n, k]: [usize; 3],
    alpha: f32,
    accumulate: bool,
    parallelism: Parallelism,
) {
    // SAFETY: the caller's promise is exactly what `gemm` asks for. It computes
    // `dst = alpha' dst + beta' lhs rhs` with `alpha' = 1` read only on request.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            destination.pointer,
            destination.column_stride as isize,
            destination.row_stride as isize,
            accumulate,
            left.pointer,
            left.column_stride as isize,
            left.row_stride as isize,
            right.pointer,
            right.column_stride as isize,
            right.row_stride as isize,
            1.0,
            alpha,
            false,
            false,
            false,
            parallelism,
        );
    }
}
