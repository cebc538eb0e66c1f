//! Functions of complex numbers by exponentials, logarithms and square roots.

use std::sync::LazyLock;

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Zero};

use super::Point;
use super::ball::Ball;
use super::scalar::Scalar;

/// The value of a known function or of any other.
pub(super) fn value<S: Scalar>(name: &str, of: &[Ball<S>], point: &Point) -> Option<Ball<S>> {
    match (name, of) {
        ("sin", [x]) => Some(sin_cos(x)?.0),
        ("cos", [x]) => Some(sin_cos(x)?.1),
        ("tan", [x]) => tan(x),
        ("cot", [x]) => tan(x)?.inverse(),
        ("sec", [x]) => sin_cos(x)?.1.inverse(),
        ("csc", [x]) => sin_cos(x)?.0.inverse(),
        ("cis", [x]) => Ball::i()?.times(x)?.exp(),
        ("arcsin" | "asin", [x]) => arcsin(x),
        ("arccos" | "acos", [x]) => arccos(x),
        ("arctan" | "atan", [x]) => arctan(x),
        ("arccot", [x]) => arctan(&x.inverse()?),
        ("arcsec", [x]) => arccos(&x.inverse()?),
        ("arccsc", [x]) => arcsin(&x.inverse()?),
        ("sinh", [x]) => sinh_cosh(x)?.0.halved(),
        ("cosh", [x]) => sinh_cosh(x)?.1.halved(),
        ("tanh", [x]) => tanh(x),
        ("coth", [x]) => tanh(x)?.inverse(),
        ("arcsinh", [x]) => {
            let root = x.times(x)?.plus(&Ball::real(1.0)?)?.sqrt()?;
            root.plus(x)?.ln()
        }
        ("arccosh", [x]) => {
            let one = Ball::real(1.0)?;
            let roots = x.plus(&one)?.sqrt()?.times(&x.minus(&one)?.sqrt()?)?;
            roots.plus(x)?.ln()
        }
        ("arctanh", [x]) => {
            let one = Ball::real(1.0)?;
            one.plus(x)?.ln()?.minus(&one.minus(x)?.ln()?)?.halved()
        }
        ("ln" | "log", [x]) => x.ln(),
        ("log", [x, base]) => x.ln()?.over(&base.ln()?),
        ("abs", [x]) => x.abs(),
        ("sgn", [x]) if x.is_real() => x.over(&x.abs()?),
        ("floor", [x]) => floor(x),
        ("ceil", [x]) => floor(&x.negative()?)?.negative(),
        ("max" | "min", [first, rest @ ..]) if of.iter().all(Ball::is_real) => {
            rest.iter().try_fold(first.clone(), |best, next| {
                let larger = !next.minus(&best)?.is_negative();
                Some(if larger == (name == "max") {
                    next.clone()
                } else {
                    best
                })
            })
        }
        ("factorial", [x]) => gamma(&x.plus(&Ball::real(1.0)?)?),
        ("binomial", [n, k]) => binomial(n, k),
        _ => unknown(name, of, point),
    }
}

impl<S: Scalar> Ball<S> {
    fn halved(&self) -> Option<Self> {
        self.times(&Self::real(0.5)?)
    }
}

fn sin_cos<S: Scalar>(x: &Ball<S>) -> Option<(Ball<S>, Ball<S>)> {
    let turned = Ball::i()?.times(x)?;
    let forth = turned.exp()?;
    if x.is_real() {
        return Some((forth.im(), forth.re()));
    }
    let back = turned.negative()?.exp()?;
    let minus_half_i = Ball::new(S::new(0.0, -0.5)?);
    Some((
        forth.minus(&back)?.times(&minus_half_i)?,
        forth.plus(&back)?.halved()?,
    ))
}

fn tan<S: Scalar>(x: &Ball<S>) -> Option<Ball<S>> {
    let (sin, cos) = sin_cos(x)?;
    sin.over(&cos)
}

/// Twice the hyperbolic sine and cosine.
fn sinh_cosh<S: Scalar>(x: &Ball<S>) -> Option<(Ball<S>, Ball<S>)> {
    let (forth, back) = (x.exp()?, x.negative()?.exp()?);
    Some((forth.minus(&back)?, forth.plus(&back)?))
}

fn tanh<S: Scalar>(x: &Ball<S>) -> Option<Ball<S>> {
    let (sinh, cosh) = sinh_cosh(x)?;
    sinh.over(&cosh)
}

/// `-i ln(i x + sqrt(1 - x^2))`, an angle where `x` is from -1 to 1.
fn arcsin<S: Scalar>(x: &Ball<S>) -> Option<Ball<S>> {
    let root = Ball::real(1.0)?.minus(&x.times(x)?)?.sqrt()?;
    let turned = Ball::i()?.times(x)?.plus(&root)?.ln()?;
    if x.is_real() && root.is_real() {
        return Some(turned.im());
    }
    Ball::i()?.negative()?.times(&turned)
}

fn arccos<S: Scalar>(x: &Ball<S>) -> Option<Ball<S>> {
    Ball::new(S::pi()?).halved()?.minus(&arcsin(x)?)
}

fn arctan<S: Scalar>(x: &Ball<S>) -> Option<Ball<S>> {
    let (one, turned) = (Ball::real(1.0)?, Ball::i()?.times(x)?);
    let above = one.plus(&turned)?.ln()?;
    if x.is_real() {
        return Some(above.im());
    }
    let difference = above.minus(&one.minus(&turned)?.ln()?)?;
    difference.times(&Ball::new(S::new(0.0, -0.5)?))
}

/// The largest whole number that is not larger; what is whole but for its error
/// is whole.
fn floor<S: Scalar>(x: &Ball<S>) -> Option<Ball<S>> {
    if !x.is_real() || x.error > -3.0 {
        return None;
    }
    let value = match x.near_integer() {
        Some(whole) => whole,
        None => x.value.floor(),
    };
    Some(Ball {
        left_reals: x.left_reals,
        ..Ball::new(value)
    })
}

/// From where on Stirling's series gives 256 bits with its [`TERMS`].
const STIRLING_FROM: f64 = 60.0;
const TERMS: usize = 40;

/// The coefficients of Stirling's series: `B_2k / (2k (2k - 1))`.
static STIRLING: LazyLock<Vec<BigRational>> = LazyLock::new(|| {
    let ratio =
        |over: usize, under: usize| BigRational::new(BigInt::from(over), BigInt::from(under));
    // Bernoulli's numbers: the sum of binomial(m + 1, k) B_k for k up to m is 0.
    let mut bernoulli = vec![BigRational::one()];
    for m in 1..=2 * TERMS {
        let mut binomial = BigRational::one();
        let mut sum = BigRational::zero();
        for (k, number) in bernoulli.iter().enumerate() {
            sum += &binomial * number;
            binomial *= ratio(m + 1 - k, k + 1);
        }
        bernoulli.push(-sum / ratio(m + 1, 1));
    }
    let even = (1..=TERMS).map(|k| &bernoulli[2 * k] / ratio(2 * k * (2 * k - 1), 1));
    even.collect()
});

/// The gamma function: far to the right by Stirling's series, elsewhere by
/// `gamma(z + 1) = z gamma(z)` and by reflection.
fn gamma<S: Scalar>(z: &Ball<S>) -> Option<Ball<S>> {
    let (one, pi) = (Ball::real(1.0)?, Ball::new(S::pi()?));
    let re = z.value.to_f64();
    if !re.is_finite() || re.abs() > 1e9 {
        return None;
    }
    if re < 0.5 {
        let sin = sin_cos(&pi.times(z)?)?.0;
        return pi.over(&sin.times(&gamma(&one.minus(z)?)?)?);
    }
    let mut shifted = z.clone();
    let mut product = one.clone();
    for _ in 0..(STIRLING_FROM - re).max(0.0).ceil() as usize {
        product = product.times(&shifted)?;
        shifted = shifted.plus(&one)?;
    }
    let inverse = shifted.inverse()?;
    let square = inverse.times(&inverse)?;
    let mut power = inverse;
    let mut logarithm = shifted.minus(&Ball::real(0.5)?)?.times(&shifted.ln()?)?;
    logarithm = logarithm.minus(&shifted)?;
    let two_pi = pi.plus(&pi)?;
    logarithm = logarithm.plus(&two_pi.ln()?.halved()?)?;
    for coefficient in STIRLING.iter() {
        let term = power.times(&Ball::new(S::rational(coefficient)?))?;
        if term.value.magnitude() < logarithm.error - 4.0 {
            break;
        }
        logarithm = logarithm.plus(&term)?;
        power = power.times(&square)?;
    }
    logarithm.exp()?.over(&product)
}

/// Most factors of a binomial coefficient that are multiplied.
const MOST_FACTORS: f64 = 64.0;

/// `n (n - 1) ... (n - k + 1) / k!`, or by the gamma function.
fn binomial<S: Scalar>(n: &Ball<S>, k: &Ball<S>) -> Option<Ball<S>> {
    let one = Ball::real(1.0)?;
    let whole = k.near_integer().map(|k| k.to_f64());
    if let Some(count @ 0.0..=MOST_FACTORS) = whole.filter(|_| k.is_real()) {
        let mut product = one;
        for step in 0..count as u32 {
            let factor = n.minus(&Ball::real(f64::from(step))?)?;
            product = product
                .times(&factor)?
                .over(&Ball::real(f64::from(step + 1))?)?;
        }
        return Some(product);
    }
    let under = gamma(&k.plus(&one)?)?.times(&gamma(&n.minus(k)?.plus(&one)?)?)?;
    gamma(&n.plus(&one)?)?.over(&under)
}

/// Some smooth function of the arguments, the same wherever the name is.
fn unknown<S: Scalar>(name: &str, of: &[Ball<S>], point: &Point) -> Option<Ball<S>> {
    let mut value = Ball::real(point.random(name))?;
    for (index, argument) in of.iter().enumerate() {
        let scale = Ball::real(0.5 + point.random(&format!("{name} {index}")))?;
        let (sin, _) = sin_cos(&argument.times(&scale)?.plus(&scale)?)?;
        value = value.plus(&sin.times(&scale)?)?;
    }
    Some(value)
}
