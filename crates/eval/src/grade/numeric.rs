//! Values in floating point, at points that are random but always the same.

use num_complex::Complex64;
use num_traits::ToPrimitive;

use super::budget::{Budget, Spent};
use super::expression::Expression;

/// Values of the variables at one of the points.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point(pub(super) u64);

impl Point {
    /// The value of a variable: positive, so that roots and logarithms of it
    /// are real, and of no special size.
    fn of(self, name: &str) -> f64 {
        0.3 + 2.4 * self.random(name)
    }

    /// A number from 0 to 1 that depends on the point and the name alone.
    fn random(self, name: &str) -> f64 {
        // FNV-1a, and the finalizer of SplitMix64 for its weak high bits.
        let mut hash = 0xcbf2_9ce4_8422_2325 ^ self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in name.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (hash >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The value of an expression; `None` where it has none, or none that is finite.
pub(super) fn value(
    expression: &Expression,
    point: Point,
    budget: &mut Budget,
) -> Result<Option<Complex64>, Spent> {
    budget.spend(8)?;
    let mut of = |expression: &Expression| value(expression, point, budget);
    let result = match expression {
        Expression::Number(number) => number.value.to_f64().map(Complex64::from),
        Expression::Symbol(name) => symbol(name, point),
        Expression::Sum(terms) => {
            let mut sum = Complex64::ZERO;
            for term in terms {
                let Some(term) = of(term)? else {
                    return Ok(None);
                };
                sum += term;
            }
            Some(sum)
        }
        Expression::Product(factors) => {
            let mut product = Complex64::ONE;
            for factor in factors {
                let Some(factor) = of(factor)? else {
                    return Ok(None);
                };
                product *= factor;
            }
            Some(product)
        }
        Expression::Power(base, exponent) => match (of(base)?, of(exponent)?) {
            (Some(base), Some(exponent)) => Some(power(base, exponent)),
            _ => None,
        },
        Expression::Function(name, arguments) => {
            let mut values = Vec::with_capacity(arguments.len());
            for argument in arguments {
                let Some(argument) = of(argument)? else {
                    return Ok(None);
                };
                values.push(argument);
            }
            function(name, &values, point)
        }
        Expression::Percent(inner) => of(inner)?.map(|inner| inner / 100.0),
        Expression::Quantity(inner, _) => of(inner)?,
        Expression::Ratio(members) => match &members[..] {
            [over, under] => match (of(over)?, of(under)?) {
                (Some(over), Some(under)) => Some(over / under),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    Ok(result.filter(|value| value.re.is_finite() && value.im.is_finite()))
}

fn symbol(name: &str, point: Point) -> Option<Complex64> {
    Some(match name {
        "infinity" => return None,
        "e" => std::f64::consts::E.into(),
        "pi" => std::f64::consts::PI.into(),
        "i" => Complex64::I,
        name => point.of(name).into(),
    })
}

/// The principal value, but the real root of a negative number where the
/// exponent is a fraction of odd denominator.
fn power(base: Complex64, exponent: Complex64) -> Complex64 {
    if exponent.im == 0.0 {
        let exponent = exponent.re;
        if exponent.fract() == 0.0 && exponent.abs() <= 64.0 {
            return base.powi(exponent as i32);
        }
        if base.im == 0.0 && base.re >= 0.0 {
            return base.re.powf(exponent).into();
        }
        let odd = (3..=9).step_by(2).find(|&degree| {
            let over = exponent * f64::from(degree);
            (over - over.round()).abs() < 1e-12
        });
        if let (true, Some(degree)) = (base.im == 0.0, odd) {
            let over = (exponent * f64::from(degree)).round();
            let sign = if over % 2.0 == 0.0 { 1.0 } else { -1.0 };
            return (sign * base.re.abs().powf(exponent)).into();
        }
    }
    base.powc(exponent)
}

fn function(name: &str, arguments: &[Complex64], point: Point) -> Option<Complex64> {
    let real = |value: Complex64| (value.im.abs() < 1e-9).then_some(value.re);
    let result = match (name, arguments) {
        ("sin", [x]) => x.sin(),
        ("cos", [x]) => x.cos(),
        ("tan", [x]) => x.tan(),
        ("cot", [x]) => x.tan().inv(),
        ("sec", [x]) => x.cos().inv(),
        ("csc", [x]) => x.sin().inv(),
        ("arcsin" | "asin", [x]) => x.asin(),
        ("arccos" | "acos", [x]) => x.acos(),
        ("arctan" | "atan", [x]) => x.atan(),
        ("arccot", [x]) => x.inv().atan(),
        ("arcsec", [x]) => x.inv().acos(),
        ("arccsc", [x]) => x.inv().asin(),
        ("sinh", [x]) => x.sinh(),
        ("cosh", [x]) => x.cosh(),
        ("tanh", [x]) => x.tanh(),
        ("coth", [x]) => x.tanh().inv(),
        ("arcsinh", [x]) => x.asinh(),
        ("arccosh", [x]) => x.acosh(),
        ("arctanh", [x]) => x.atanh(),
        ("ln" | "log", [x]) => x.ln(),
        ("log", [x, base]) => x.ln() / base.ln(),
        ("abs", [x]) => x.norm().into(),
        ("floor", [x]) => real(*x)?.floor().into(),
        ("ceil", [x]) => real(*x)?.ceil().into(),
        ("factorial", [x]) => {
            let of = real(*x).filter(|of| of.fract() == 0.0 && (0.0..=170.0).contains(of))?;
            (1..=of as u32).map(f64::from).product::<f64>().into()
        }
        _ => unknown_function(name, arguments, point),
    };
    Some(result)
}

/// Some smooth function of the arguments, the same wherever the name is.
fn unknown_function(name: &str, arguments: &[Complex64], point: Point) -> Complex64 {
    let mut value = Complex64::from(point.random(name));
    for (index, argument) in arguments.iter().enumerate() {
        let scale = 0.5 + point.random(&format!("{name} {index}"));
        value += (argument * scale + scale).sin() * scale;
    }
    value
}
