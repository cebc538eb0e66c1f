//! Roots of numbers, and functions that have an exact value or a normal form.

use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::{
    Atoms, Form, Fraction, MOST_BITS, Monomial, NoForm, is_one, normal_form, rational_power, symbol,
};
use crate::grade::budget::Budget;
use crate::grade::expression::Expression;

/// Primes whose powers are taken out of roots.
const LARGEST_PRIME: u32 = 1000;

/// Most factors of a binomial coefficient or a factorial's part that are
/// multiplied out.
const MOST_FACTORS: i64 = 20;

/// A root of a number: a factor times roots of primes and of what has no small
/// ones. `None` where it is too large.
pub(super) fn root(
    value: &BigRational,
    degree: u32,
    atoms: &mut Atoms,
    budget: &mut Budget,
) -> Form<Option<Fraction>> {
    // The root of a/b is that of a b^(n-1), divided by b.
    let whole = rational_power(
        &BigRational::from_integer(value.denom().clone()),
        i64::from(degree) - 1,
        budget,
    )?;
    let Some(mut rest) = (value.numer() * whole.numer()).to_i128() else {
        return Ok(None);
    };
    let mut result = Fraction::constant(BigRational::new(BigInt::one(), value.denom().clone()));
    if rest == 0 {
        return Ok(Some(Fraction::constant(BigRational::zero())));
    }
    if rest < 0 {
        rest = -rest;
        if degree == 2 {
            result = result.times(&symbol("i", atoms)?, atoms, budget)?;
        } else if degree % 2 == 1 {
            let minus = Fraction::constant(-BigRational::one());
            result = result.times(&minus, atoms, budget)?;
        } else {
            return Ok(None);
        }
    }
    let mut factor = |radicand: i128, count: u32, atoms: &mut Atoms, budget: &mut Budget| {
        let radicand = BigRational::from_integer(BigInt::from(radicand));
        let outside = rational_power(&radicand, i64::from(count / degree), budget)?;
        result = result.times(&Fraction::constant(outside), atoms, budget)?;
        if !count.is_multiple_of(degree) {
            let name = format!("root {degree} of {radicand}");
            let atom = Fraction::atom(atoms.atom(name, Some((degree, radicand))));
            let inside = atom.power(i64::from(count % degree), atoms, budget)?;
            result = result.times(&inside, atoms, budget)?;
        }
        Ok::<(), NoForm>(())
    };
    for prime in 2..=LARGEST_PRIME {
        let prime = i128::from(prime);
        let mut count = 0;
        while rest % prime == 0 {
            rest /= prime;
            count += 1;
        }
        if count > 0 {
            factor(prime, count, atoms, budget)?;
        }
        if prime * prime > rest {
            break;
        }
    }
    if rest > 1 {
        let square = rest.isqrt();
        if degree == 2 && square * square == rest {
            factor(square, 2, atoms, budget)?;
        } else {
            factor(rest, 1, atoms, budget)?;
        }
    }
    // Roots of different degrees, and of numbers not split into primes, have
    // relations among each other.
    atoms.bound = true;
    budget.spend(LARGEST_PRIME as usize)?;
    Ok(Some(result))
}

pub(super) fn function(
    name: &str,
    arguments: &[Expression],
    atoms: &mut Atoms,
    budget: &mut Budget,
) -> Form {
    let forms: Vec<Fraction> = arguments
        .iter()
        .map(|argument| normal_form(argument, atoms, budget))
        .collect::<Form<_>>()?;
    let values: Option<Vec<BigRational>> = forms.iter().map(Fraction::as_rational).collect();
    if let Some(value) = values.and_then(|values| function_value(name, &values)) {
        return Ok(Fraction::constant(value));
    }
    if let Some(form) = combinations(name, &forms, atoms, budget)? {
        return Ok(form);
    }
    atoms.bound = true;
    let names: Vec<String> = forms
        .iter()
        .map(|form| form.name(budget))
        .collect::<Form<_>>()?;
    let name = format!("{name}({})", names.join(","));
    Ok(Fraction::atom(atoms.atom(name, None)))
}

/// Binomial coefficients with a small number below, or a small difference, as
/// products: `n (n - 1) / 2`. Factorials of a sum as multiples of one without a
/// whole number in it: `(n + 1)! = (n + 1) n!`.
fn combinations(
    name: &str,
    of: &[Fraction],
    atoms: &mut Atoms,
    budget: &mut Budget,
) -> Form<Option<Fraction>> {
    let number = |value: i64| Fraction::constant(BigRational::from_integer(BigInt::from(value)));
    match (name, of) {
        ("binomial", [of, choose]) => {
            let rest = choose.times(&number(-1), atoms, budget)?;
            let rest = of.plus(&rest, atoms, budget)?;
            let small = |form: &Fraction| {
                let value = form.as_rational().filter(|value| value.is_integer())?;
                value
                    .to_i64()
                    .filter(|value| (0..=MOST_FACTORS).contains(value))
            };
            let Some(count) = small(choose).or_else(|| small(&rest)) else {
                return Ok(None);
            };
            let mut product = number(1);
            for step in 0..count {
                let factor = of.plus(&number(-step), atoms, budget)?;
                product = product.times(&factor, atoms, budget)?;
                let divisor = number(step + 1).inverse(atoms, budget)?;
                product = product.times(&divisor, atoms, budget)?;
            }
            Ok(Some(product))
        }
        ("factorial", [of]) if is_one(&of.under) => {
            let constant = of.over.get(&Monomial::new()).map(BigRational::floor);
            let whole = constant.and_then(|constant| constant.to_i64());
            let Some(whole) = whole.filter(|whole| (1..=MOST_FACTORS).contains(&whole.abs()))
            else {
                return Ok(None);
            };
            let base = of.plus(&number(-whole), atoms, budget)?;
            atoms.bound = true;
            let name = format!("factorial({})", base.name(budget)?);
            let mut product = Fraction::atom(atoms.atom(name, None));
            for step in 1..=whole {
                let factor = base.plus(&number(step), atoms, budget)?;
                product = product.times(&factor, atoms, budget)?;
            }
            for step in whole + 1..=0 {
                let divisor = base
                    .plus(&number(step), atoms, budget)?
                    .inverse(atoms, budget)?;
                product = product.times(&divisor, atoms, budget)?;
            }
            Ok(Some(product))
        }
        _ => Ok(None),
    }
}

/// The value of a function that is exact for numbers.
fn function_value(name: &str, arguments: &[BigRational]) -> Option<BigRational> {
    let integer = |value: &BigRational| value.is_integer().then(|| value.to_i64()).flatten();
    match (name, arguments) {
        ("abs", [value]) => Some(value.abs()),
        ("floor", [value]) => Some(value.floor()),
        ("ceil", [value]) => Some(value.ceil()),
        ("max", [first, rest @ ..]) => rest.iter().max().max(Some(first)).cloned(),
        ("min", [first, rest @ ..]) => Some(
            rest.iter()
                .fold(first, |least, next| least.min(next))
                .clone(),
        ),
        ("gcd" | "lcm", [first, rest @ ..]) if arguments.iter().all(BigRational::is_integer) => {
            let first = first.numer().abs();
            let all = rest.iter().fold(first, |all, next| match name {
                "gcd" => all.gcd(next.numer()),
                _ => all.lcm(next.numer()),
            });
            (all.bits() <= MOST_BITS).then(|| BigRational::from_integer(all))
        }
        ("double factorial", [value]) => {
            let of = integer(value).filter(|of| (0..=500).contains(of))?;
            let product: BigInt = (1..=of).rev().step_by(2).map(BigInt::from).product();
            Some(BigRational::from_integer(product))
        }
        ("factorial", [value]) => {
            let of = integer(value).filter(|of| (0..=500).contains(of))?;
            let product: BigInt = (1..=of).map(BigInt::from).product();
            Some(BigRational::from_integer(product))
        }
        ("binomial", [of, choose]) => {
            let of = integer(of).filter(|of| (0..=500).contains(of))?;
            let choose = integer(choose).filter(|choose| (0..=of).contains(choose))?;
            let mut value = BigInt::one();
            for step in 0..choose {
                value = value * BigInt::from(of - step) / BigInt::from(step + 1);
            }
            Some(BigRational::from_integer(value))
        }
        _ => None,
    }
}

/// The value of digits in a base, 2 to 36.
pub(super) fn in_base(digits: &str, base: u32) -> Option<BigInt> {
    if !(2..=36).contains(&base) || !digits.chars().all(|digit| digit.is_digit(base)) {
        return None;
    }
    BigInt::parse_bytes(digits.as_bytes(), base)
}
