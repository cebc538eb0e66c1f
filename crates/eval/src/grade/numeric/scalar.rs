//! Complex numbers of two precisions: 53 bits, and 256.

use std::cell::RefCell;

use dashu_cmplx::round::mode::HalfEven;
use dashu_cmplx::{CBig, ConstCache, Context, FBig};
use dashu_int::ops::UnsignedAbs;
use dashu_int::{IBig, Sign};
use num_bigint::BigInt;
use num_complex::Complex64;
use num_rational::BigRational;
use num_traits::{One, ToPrimitive};

/// A complex number. Operations have no value where it is not finite or too large
/// to be computed soon.
pub(super) trait Scalar: Clone {
    /// Bits of a result that are right.
    const BITS: f64;
    /// Units of work of a product, and of an exponential or logarithm.
    const PRODUCT: usize;
    const FUNCTION: usize;

    fn rational(value: &BigRational) -> Option<Self>;
    /// The number with these parts.
    fn new(re: f64, im: f64) -> Option<Self>;
    fn pi() -> Option<Self>;
    fn plus(&self, other: &Self) -> Option<Self>;
    fn times(&self, other: &Self) -> Option<Self>;
    fn inverse(&self) -> Option<Self>;
    fn exp(&self) -> Option<Self>;
    /// The principal logarithm.
    fn ln(&self) -> Option<Self>;
    fn sqrt(&self) -> Option<Self>;
    fn abs(&self) -> Option<Self>;
    /// The largest whole number that is not larger than the real part.
    fn floor(&self) -> Self;
    fn re(&self) -> Self;
    fn im(&self) -> Self;
    fn is_real(&self) -> bool;
    /// The real part, rounded.
    fn to_f64(&self) -> f64;
    /// The binary logarithm of the absolute value, to half a bit; minus infinity
    /// for zero.
    fn magnitude(&self) -> f64;
}

fn finite(value: Complex64) -> Option<Complex64> {
    (value.re.is_finite() && value.im.is_finite()).then_some(value)
}

impl Scalar for Complex64 {
    // Functions are not rounded correctly.
    const BITS: f64 = 48.0;
    const PRODUCT: usize = 2;
    const FUNCTION: usize = 8;

    fn rational(value: &BigRational) -> Option<Self> {
        finite(value.to_f64()?.into())
    }

    fn new(re: f64, im: f64) -> Option<Self> {
        finite(Self { re, im })
    }

    fn pi() -> Option<Self> {
        Some(std::f64::consts::PI.into())
    }

    fn plus(&self, other: &Self) -> Option<Self> {
        finite(self + other)
    }

    fn times(&self, other: &Self) -> Option<Self> {
        finite(self * other)
    }

    fn inverse(&self) -> Option<Self> {
        finite(match self.is_real() {
            true => self.re.recip().into(),
            false => self.inv(),
        })
    }

    fn exp(&self) -> Option<Self> {
        // The remainder of a large angle has no bits left.
        let fits = self.im.abs() < 1e12;
        finite(Complex64::exp(*self)).filter(|_| fits)
    }

    fn ln(&self) -> Option<Self> {
        finite(Complex64::ln(*self))
    }

    fn sqrt(&self) -> Option<Self> {
        finite(Complex64::sqrt(*self))
    }

    fn abs(&self) -> Option<Self> {
        finite(self.norm().into())
    }

    fn floor(&self) -> Self {
        self.re.floor().into()
    }

    fn re(&self) -> Self {
        self.re.into()
    }

    fn im(&self) -> Self {
        self.im.into()
    }

    fn is_real(&self) -> bool {
        self.im == 0.0
    }

    fn to_f64(&self) -> f64 {
        self.re
    }

    fn magnitude(&self) -> f64 {
        self.norm().log2()
    }
}

/// Bits of a precise number: 77 decimal digits.
const PRECISION: usize = 256;

/// Largest binary logarithm of the real part, and of the imaginary part, of what
/// is exponentiated.
const LARGEST_EXPONENT: f64 = 24.0;
const LARGEST_ANGLE: f64 = 100.0;

type Float = FBig<HalfEven, 2>;

/// A number of [`PRECISION`] bits.
#[derive(Clone)]
pub(super) struct Precise(CBig<HalfEven, 2>);

const CONTEXT: Context<HalfEven> = Context::new(PRECISION);

thread_local! {
    /// Constants that logarithms and exponentials need, once they are known.
    static CONSTANTS: RefCell<ConstCache> = const { RefCell::new(ConstCache::new()) };
}

impl Precise {
    fn of(value: CBig<HalfEven, 2>) -> Option<Self> {
        value.is_finite().then_some(Self(value))
    }

    fn of_real(value: Float) -> Self {
        let value = value.with_precision(PRECISION).value();
        Self(CBig::from_parts(value, Float::ZERO))
    }

    fn parts(&self) -> (Float, Float) {
        self.0.clone().into_parts()
    }

    /// The real part, exactly.
    pub(super) fn to_rational(&self) -> BigRational {
        let (significand, exponent) = self.parts().0.into_repr().into_parts();
        let negative = significand.sign() == Sign::Negative;
        let bytes = significand.unsigned_abs().to_le_bytes();
        let sign = if negative {
            num_bigint::Sign::Minus
        } else {
            num_bigint::Sign::Plus
        };
        let power = BigInt::one() << exponent.unsigned_abs();
        let significand = BigInt::from_bytes_le(sign, &bytes);
        match exponent < 0 {
            true => BigRational::new(significand, power),
            false => BigRational::from_integer(significand * power),
        }
    }
}

fn integer(value: &BigInt) -> IBig {
    let (sign, bytes) = value.to_bytes_le();
    let magnitude = dashu_int::UBig::from_le_bytes(&bytes);
    let sign = match sign {
        num_bigint::Sign::Minus => Sign::Negative,
        _ => Sign::Positive,
    };
    IBig::from_parts(sign, magnitude)
}

/// The binary logarithm of a real number.
fn magnitude(value: &Float) -> f64 {
    match value.repr().significand().is_zero() {
        true => f64::NEG_INFINITY,
        false => value.repr().digits() as f64 + value.repr().exponent() as f64 - 0.5,
    }
}

impl Scalar for Precise {
    const BITS: f64 = 250.0;
    const PRODUCT: usize = 20;
    const FUNCTION: usize = 4000;

    fn rational(value: &BigRational) -> Option<Self> {
        let real = |value: &BigInt| Self::of_real(Float::from(integer(value)));
        let (over, under) = (real(value.numer()), real(value.denom()));
        Self::of(CONTEXT.div(&over.0, &under.0).ok()?.value())
    }

    fn new(re: f64, im: f64) -> Option<Self> {
        let part = |value: f64| Some(Self::of_real(Float::try_from(value).ok()?).parts().0);
        Self::of(CBig::from_parts(part(re)?, part(im)?))
    }

    fn pi() -> Option<Self> {
        // The argument of -1.
        let minus_one = Self::new(-1.0, 0.0)?;
        Some(minus_one.ln()?.im())
    }

    fn plus(&self, other: &Self) -> Option<Self> {
        Self::of(CONTEXT.add(&self.0, &other.0).ok()?.value())
    }

    fn times(&self, other: &Self) -> Option<Self> {
        Self::of(CONTEXT.mul(&self.0, &other.0).ok()?.value())
    }

    fn inverse(&self) -> Option<Self> {
        if self.0.is_zero() {
            return None;
        }
        Self::of(CONTEXT.inv(&self.0).ok()?.value())
    }

    fn exp(&self) -> Option<Self> {
        let (re, im) = self.parts();
        if magnitude(&re) > LARGEST_EXPONENT || magnitude(&im) > LARGEST_ANGLE {
            return None;
        }
        let result = CONSTANTS
            .with_borrow_mut(|constants| CONTEXT.exp(&self.0, Some(constants)))
            .ok()?;
        Self::of(result.value())
    }

    fn ln(&self) -> Option<Self> {
        if self.0.is_zero() {
            return None;
        }
        let result = CONSTANTS
            .with_borrow_mut(|constants| CONTEXT.log(&self.0, Some(constants)))
            .ok()?;
        Self::of(result.value())
    }

    fn sqrt(&self) -> Option<Self> {
        Self::of(CONTEXT.sqrt(&self.0).ok()?.value())
    }

    fn abs(&self) -> Option<Self> {
        Some(Self::of_real(CONTEXT.abs(&self.0).ok()?.value()))
    }

    fn floor(&self) -> Self {
        Self::of_real(self.parts().0.floor())
    }

    fn re(&self) -> Self {
        Self::of_real(self.parts().0)
    }

    fn im(&self) -> Self {
        Self::of_real(self.parts().1)
    }

    fn is_real(&self) -> bool {
        self.0.im().significand().is_zero()
    }

    fn to_f64(&self) -> f64 {
        self.parts().0.to_f64().value()
    }

    fn magnitude(&self) -> f64 {
        let (re, im) = self.parts();
        magnitude(&re).max(magnitude(&im))
    }
}
