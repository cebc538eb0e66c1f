//! A pointer that tasks of one operation share.

use crate::matmul::Strided;

/// The beginning of memory in which each task of an operation has its own elements.
#[derive(Clone, Copy)]
pub(super) struct Shared(*mut f32);

// SAFETY: a plain address. Every dereference is justified where it happens, by
// tasks that touch disjoint elements of memory which outlives them.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    pub(super) fn new(values: &mut [f32]) -> Self {
        Self(values.as_mut_ptr())
    }

    /// Of memory that is only read.
    pub(super) fn reading(values: &[f32]) -> Self {
        Self(values.as_ptr().cast_mut())
    }

    /// Writes one element.
    ///
    /// # Safety
    /// `index` must lie inside the memory, and no other task may use it.
    pub(super) unsafe fn write(self, index: usize, value: f32) {
        // SAFETY: the caller's promise.
        unsafe { self.0.add(index).write(value) };
    }

    /// The elements from `start` on.
    ///
    /// # Safety
    /// They must lie inside the memory, which outlives `'a`, and no other task
    /// may use them meanwhile.
    pub(super) unsafe fn slice<'a>(self, start: usize, length: usize) -> &'a mut [f32] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(start), length) }
    }

    /// The matrix that begins at `row`, `column` of rows `stride` apart.
    pub(super) fn at(self, row: usize, column: usize, stride: usize) -> Strided {
        Strided {
            pointer: self.0.wrapping_add(row * stride + column),
            row_stride: stride,
            column_stride: 1,
        }
    }
}
