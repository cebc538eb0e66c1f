//! `y = tanh(x)`, in place. For the few numbers of an action, so it does not
//! vectorise.

use crate::{View, ViewMut};

/// `x` becomes `tanh(x)`.
pub fn forward_in_place(x: ViewMut<'_>) {
    for x in x.host() {
        *x = x.tanh();
    }
}

/// `dy`, the gradient of `y`, becomes that of `x`: `dx = dy (1 - y^2)`.
///
/// # Panics
/// If the sizes disagree.
pub fn backward_in_place(y: View<'_>, dy: ViewMut<'_>) {
    assert_eq!(y.len(), dy.len(), "sizes of tanh's output and its gradient");
    for (&y, dy) in y.host().iter().zip(dy.host()) {
        *dy *= (-y).mul_add(y, 1.0);
    }
}
