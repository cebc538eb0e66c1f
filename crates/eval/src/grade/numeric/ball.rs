//! Values that know how far off they may be.

use super::scalar::Scalar;

/// A value with a bound of its error. The bound is of first order: what is lost
/// by cancellation is known, rounding is counted generously.
#[derive(Clone)]
pub(super) struct Ball<S> {
    pub(super) value: S,
    /// The binary logarithm of the largest error.
    pub(super) error: f64,
    /// Whether a function on the way was not real at a real argument: the square
    /// root or logarithm of a negative number.
    pub(super) left_reals: bool,
}

/// The logarithm of a sum of powers of two.
fn sum(logarithms: &[f64]) -> f64 {
    let largest = logarithms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest.is_infinite() {
        return largest;
    }
    let sum: f64 = logarithms.iter().map(|log| (log - largest).exp2()).sum();
    largest + sum.log2()
}

impl<S: Scalar> Ball<S> {
    pub(super) fn new(value: S) -> Self {
        Self {
            error: value.magnitude() - S::BITS,
            value,
            left_reals: false,
        }
    }

    pub(super) fn real(value: f64) -> Option<Self> {
        S::new(value, 0.0).map(Self::new)
    }

    pub(super) fn i() -> Option<Self> {
        S::new(0.0, 1.0).map(Self::new)
    }

    fn of(value: S, errors: &[f64], left_reals: bool) -> Self {
        let rounding = value.magnitude() - S::BITS;
        Self {
            error: sum(&[errors, &[rounding]].concat()),
            value,
            left_reals,
        }
    }

    fn magnitude(&self) -> f64 {
        self.value.magnitude()
    }

    /// Whether it may be zero.
    pub(super) fn is_near_zero(&self) -> bool {
        self.error >= self.magnitude() - 2.0
    }

    pub(super) fn is_real(&self) -> bool {
        self.value.is_real()
    }

    /// Whether its imaginary part is nothing but error.
    pub(super) fn is_almost_real(&self) -> bool {
        self.value.im().magnitude() <= self.error + 1.0
    }

    pub(super) fn is_negative(&self) -> bool {
        self.value.to_f64() < 0.0
    }

    pub(super) fn plus(&self, other: &Self) -> Option<Self> {
        let value = self.value.plus(&other.value)?;
        let rounding = self.magnitude().max(other.magnitude()) - S::BITS;
        let left = self.left_reals || other.left_reals;
        Some(Self::of(value, &[self.error, other.error, rounding], left))
    }

    pub(super) fn times(&self, other: &Self) -> Option<Self> {
        let value = self.value.times(&other.value)?;
        let errors = [
            self.magnitude() + other.error,
            self.error + other.magnitude(),
            self.error + other.error,
        ];
        Some(Self::of(
            value,
            &errors,
            self.left_reals || other.left_reals,
        ))
    }

    pub(super) fn negative(&self) -> Option<Self> {
        self.times(&Self {
            error: f64::NEG_INFINITY,
            ..Self::real(-1.0)?
        })
    }

    pub(super) fn minus(&self, other: &Self) -> Option<Self> {
        self.plus(&other.negative()?)
    }

    pub(super) fn inverse(&self) -> Option<Self> {
        if self.is_near_zero() {
            return None;
        }
        let error = self.error - 2.0 * self.magnitude() + 2.0;
        Some(Self::of(self.value.inverse()?, &[error], self.left_reals))
    }

    pub(super) fn over(&self, other: &Self) -> Option<Self> {
        self.times(&other.inverse()?)
    }

    pub(super) fn exp(&self) -> Option<Self> {
        if self.error > -3.0 {
            return None;
        }
        let value = self.value.exp()?;
        let error = value.magnitude() + self.error + 1.0;
        Some(Self::of(value, &[error], self.left_reals))
    }

    /// The value without an imaginary part that is nothing but error, so that it
    /// is on one side of the branch cut.
    fn snapped(&self) -> S {
        let im = self.value.im();
        match self.is_negative() && im.magnitude() <= self.error + 1.0 {
            true => self.value.re(),
            false => self.value.clone(),
        }
    }

    pub(super) fn ln(&self) -> Option<Self> {
        if self.is_near_zero() {
            return None;
        }
        let value = self.snapped().ln()?;
        let error = self.error - self.magnitude() + 2.0;
        let left = self.left_reals || self.is_real() && self.is_negative();
        Some(Self::of(value, &[error, -S::BITS], left))
    }

    pub(super) fn sqrt(&self) -> Option<Self> {
        if self.is_near_zero() {
            return Some(Self {
                error: self.error.max(self.magnitude()) / 2.0 + 1.0,
                ..Self::real(0.0)?
            });
        }
        let value = self.snapped().sqrt()?;
        let error = self.error - value.magnitude() + 1.0;
        let left = self.left_reals || self.is_real() && self.is_negative();
        Some(Self::of(value, &[error], left))
    }

    pub(super) fn abs(&self) -> Option<Self> {
        Some(Self::of(self.value.abs()?, &[self.error], self.left_reals))
    }

    /// The real part alone.
    pub(super) fn re(&self) -> Self {
        Self {
            value: self.value.re(),
            ..self.clone()
        }
    }

    /// The imaginary part, as a real number.
    pub(super) fn im(&self) -> Self {
        Self {
            value: self.value.im(),
            ..self.clone()
        }
    }

    /// The whole number that this is, but for its error.
    pub(super) fn near_integer(&self) -> Option<S> {
        let half = S::new(0.5, 0.0)?;
        let nearest = self.value.plus(&half)?.floor();
        let off = nearest.times(&S::new(-1.0, 0.0)?)?.plus(&self.value)?;
        (off.magnitude() <= self.error + 1.0).then_some(nearest)
    }

    /// The integral power, by squaring.
    pub(super) fn power(&self, exponent: u64) -> Option<Self> {
        let mut power = Self {
            error: f64::NEG_INFINITY,
            ..Self::real(1.0)?
        };
        for bit in (0..u64::BITS - exponent.leading_zeros()).rev() {
            power = power.times(&power)?;
            if exponent >> bit & 1 == 1 {
                power = power.times(self)?;
            }
        }
        Some(power)
    }

    /// How far two values are apart.
    pub(super) fn beside(&self, other: &Self) -> Distance {
        let Some(difference) = self.minus(other) else {
            return Distance::Doubtful;
        };
        let apart = difference.magnitude();
        let size = self.magnitude().max(other.magnitude());
        if apart > difference.error + 2.0 {
            let near = self
                .value
                .inverse()
                .and_then(|one| one.times(&difference.value)?.abs());
            let near = near.is_some_and(|near| near.to_f64() <= NEAR);
            return if near {
                Distance::Near
            } else {
                Distance::Apart
            };
        }
        let fine = difference.error <= size - S::BITS / 3.0 || difference.error <= -S::BITS / 2.0;
        if fine {
            Distance::None
        } else {
            Distance::Doubtful
        }
    }
}

/// Relative difference of values that are near: nine digits.
const NEAR: f64 = 1e-9;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Distance {
    /// No more than the error.
    None,
    /// Different from the tenth digit on.
    Near,
    Apart,
    /// The error is too large to say.
    Doubtful,
}
