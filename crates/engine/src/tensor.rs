//! Device memory: a flat run of f32 that only the engine's kernels look into.

use std::ops::Range;

/// An owned, flat buffer of `f32` on the engine's device.
#[derive(Debug, Default)]
pub struct Tensor {
    values: Vec<f32>,
}

/// A borrowed range of a [`Tensor`].
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    values: &'a [f32],
}

/// A mutably borrowed range of a [`Tensor`].
#[derive(Debug)]
pub struct ViewMut<'a> {
    values: &'a mut [f32],
}

impl Tensor {
    /// A buffer of `len` zeros.
    pub fn zeros(len: usize) -> Self {
        Self {
            values: vec![0.0; len],
        }
    }

    /// A buffer holding a copy of `values`.
    pub fn from_host(values: &[f32]) -> Self {
        Self {
            values: values.to_vec(),
        }
    }

    /// A buffer that takes over `values`; no copy where the device is the host.
    pub fn from_vec(values: Vec<f32>) -> Self {
        Self { values }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether the buffer has no elements.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Makes room for at least `len` elements; what was there is lost if it grows.
    pub fn reserve(&mut self, len: usize) {
        if self.values.len() < len {
            self.values = vec![0.0; len];
        }
    }

    /// The elements in `range`.
    ///
    /// # Panics
    /// If `range` reaches beyond the buffer.
    pub fn view(&self, range: Range<usize>) -> View<'_> {
        View {
            values: &self.values[range],
        }
    }

    /// The elements in `range`, to be written.
    ///
    /// # Panics
    /// If `range` reaches beyond the buffer.
    pub fn view_mut(&mut self, range: Range<usize>) -> ViewMut<'_> {
        ViewMut {
            values: &mut self.values[range],
        }
    }

    /// All elements.
    pub fn all(&self) -> View<'_> {
        View {
            values: &self.values,
        }
    }

    /// All elements, to be written.
    pub fn all_mut(&mut self) -> ViewMut<'_> {
        ViewMut {
            values: &mut self.values,
        }
    }

    /// Copies the elements to the host.
    pub fn to_host(&self) -> Vec<f32> {
        self.values.clone()
    }

    /// Overwrites the elements from `start` on with `values`.
    ///
    /// # Panics
    /// If `values` reaches beyond the buffer.
    pub fn copy_from_host(&mut self, start: usize, values: &[f32]) {
        self.values[start..start + values.len()].copy_from_slice(values);
    }

    /// Overwrites all elements with those of a buffer of the same length.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn copy_from(&mut self, other: &Tensor) {
        self.values.copy_from_slice(&other.values);
    }

    /// Sets every element to zero.
    pub fn zero(&mut self) {
        self.values.fill(0.0);
    }
}

impl<'a> View<'a> {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether the view has no elements.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Copies the elements to the host.
    pub fn to_host(&self) -> Vec<f32> {
        self.values.to_vec()
    }

    /// Copies the elements into `values`.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn copy_to_host(self, values: &mut [f32]) {
        values.copy_from_slice(self.values);
    }

    /// The elements in `range`.
    ///
    /// # Panics
    /// If `range` reaches beyond the view.
    pub fn slice(self, range: Range<usize>) -> View<'a> {
        View {
            values: &self.values[range],
        }
    }

    /// The host slice; only kernels may look.
    pub(crate) fn host(self) -> &'a [f32] {
        self.values
    }
}

impl<'a> ViewMut<'a> {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether the view has no elements.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The elements in `range`, to be written.
    ///
    /// # Panics
    /// If `range` reaches beyond the view.
    pub fn slice(self, range: Range<usize>) -> ViewMut<'a> {
        ViewMut {
            values: &mut self.values[range],
        }
    }

    /// Overwrites the elements with `values`.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn copy_from_host(&mut self, values: &[f32]) {
        self.values.copy_from_slice(values);
    }

    /// The first `length` elements, and the others.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn split_at(self, length: usize) -> [ViewMut<'a>; 2] {
        let (first, second) = self.values.split_at_mut(length);
        [first, second].map(|values| ViewMut { values })
    }

    /// The same range, borrowed for a shorter time.
    pub fn reborrow(&mut self) -> ViewMut<'_> {
        ViewMut {
            values: self.values,
        }
    }

    /// The host slice; only kernels may write.
    pub(crate) fn host(self) -> &'a mut [f32] {
        self.values
    }
}
