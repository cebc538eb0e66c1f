//! Exact normal forms: quotients of polynomials with rational coefficients.
//!
//! The unknowns ("atoms") are variables, the imaginary unit, roots of whole
//! numbers, and whatever else is not a polynomial, by its normal form. Powers
//! of `i` and of roots are reduced (`i^2 = -1`, `sqrt(8) = 2 sqrt(2)`).

mod functions;

use std::collections::{BTreeMap, HashMap};

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, ToPrimitive, Zero};

use self::functions::{function, in_base, root};
use super::budget::{Budget, Spent};
use super::expression::Expression;

/// Largest exponent that is multiplied out.
const LARGEST_POWER: u64 = 64;

/// Most terms of a polynomial.
const MOST_TERMS: usize = 2000;

/// Most bits of a coefficient.
const MOST_BITS: u64 = 20_000;

/// Largest degree of a root that is reduced.
const LARGEST_DEGREE: u32 = 12;

/// Atoms with their exponents, not zero, in order.
type Monomial = Vec<(u32, i32)>;

/// Terms with their coefficients, not zero.
type Polynomial = BTreeMap<Monomial, BigRational>;

/// A numerator and a denominator. A denominator of one term is one: its atoms
/// stand in the numerator with negative exponents.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fraction {
    over: Polynomial,
    under: Polynomial,
}

/// No normal form: not a value, too large, or divided by zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoForm {
    Unfit,
    Spent,
}

impl From<Spent> for NoForm {
    fn from(_: Spent) -> Self {
        Self::Spent
    }
}

type Form<T = Fraction> = Result<T, NoForm>;

/// The unknowns that have been met.
#[derive(Debug, Default)]
pub(super) struct Atoms {
    numbers: HashMap<String, u32>,
    /// `degree` and `radicand` where a power of the atom is a number.
    roots: Vec<Option<(u32, BigRational)>>,
    /// Whether an atom has relations that the normal form does not know.
    pub(super) bound: bool,
}

impl Atoms {
    fn atom(&mut self, name: String, root: Option<(u32, BigRational)>) -> u32 {
        let next = self.roots.len() as u32;
        let number = *self.numbers.entry(name).or_insert(next);
        if number == next {
            self.roots.push(root);
        }
        number
    }
}

fn constant(value: BigRational) -> Polynomial {
    let mut polynomial = Polynomial::new();
    if !value.is_zero() {
        polynomial.insert(Monomial::new(), value);
    }
    polynomial
}

fn is_one(polynomial: &Polynomial) -> bool {
    polynomial.len() == 1 && polynomial.get(&Monomial::new()).is_some_and(One::is_one)
}

impl Fraction {
    fn constant(value: BigRational) -> Self {
        Self {
            over: constant(value),
            under: constant(BigRational::one()),
        }
    }

    fn atom(atom: u32) -> Self {
        Self {
            over: BTreeMap::from([(vec![(atom, 1)], BigRational::one())]),
            under: constant(BigRational::one()),
        }
    }

    /// The value, where it is a number.
    pub(super) fn as_rational(&self) -> Option<BigRational> {
        if !is_one(&self.under) {
            return None;
        }
        match self.over.len() {
            0 => Some(BigRational::zero()),
            1 => self.over.get(&Monomial::new()).cloned(),
            _ => None,
        }
    }

    pub(super) fn is_zero(&self) -> bool {
        self.over.is_empty()
    }

    /// The factor by which this is a multiple of `other`, where it is one.
    pub(super) fn factor_of(
        &self,
        other: &Self,
        atoms: &Atoms,
        budget: &mut Budget,
    ) -> Form<Option<BigRational>> {
        let left = multiply(&self.over, &other.under, atoms, budget)?;
        let right = multiply(&other.over, &self.under, atoms, budget)?;
        let (Some((term, own)), true) = (left.iter().next(), left.len() == right.len()) else {
            return Ok(None);
        };
        let Some(factor) = right.get(term).map(|other| own / other) else {
            return Ok(None);
        };
        let same = left
            .iter()
            .zip(&right)
            .all(|((a, x), (b, y))| a == b && *x == y * &factor);
        Ok(same.then_some(factor))
    }

    pub(super) fn equals(&self, other: &Self, atoms: &Atoms, budget: &mut Budget) -> Form<bool> {
        if self == other {
            return Ok(true);
        }
        let left = multiply(&self.over, &other.under, atoms, budget)?;
        let right = multiply(&other.over, &self.under, atoms, budget)?;
        Ok(left == right)
    }

    fn plus(&self, other: &Self, atoms: &Atoms, budget: &mut Budget) -> Form {
        let (left, right, under) = if self.under == other.under {
            (self.over.clone(), other.over.clone(), self.under.clone())
        } else {
            (
                multiply(&self.over, &other.under, atoms, budget)?,
                multiply(&other.over, &self.under, atoms, budget)?,
                multiply(&self.under, &other.under, atoms, budget)?,
            )
        };
        let mut over = left;
        for (monomial, coefficient) in right {
            budget.spend(1)?;
            add(&mut over, monomial, coefficient);
        }
        Ok(Self { over, under })
    }

    fn times(&self, other: &Self, atoms: &Atoms, budget: &mut Budget) -> Form {
        Ok(Self {
            over: multiply(&self.over, &other.over, atoms, budget)?,
            under: multiply(&self.under, &other.under, atoms, budget)?,
        })
    }

    fn inverse(&self, atoms: &Atoms, budget: &mut Budget) -> Form {
        if self.over.is_empty() {
            return Err(NoForm::Unfit);
        }
        if let (1, Some((monomial, coefficient))) = (self.over.len(), self.over.iter().next()) {
            let inverse: Option<Monomial> = monomial
                .iter()
                .map(|&(atom, exponent)| Some((atom, exponent.checked_neg()?)))
                .collect();
            let inverse = BTreeMap::from([(inverse.ok_or(NoForm::Unfit)?, coefficient.recip())]);
            return Ok(Self {
                over: multiply(&self.under, &inverse, atoms, budget)?,
                under: constant(BigRational::one()),
            });
        }
        Ok(Self {
            over: self.under.clone(),
            under: self.over.clone(),
        })
    }

    fn power(&self, exponent: i64, atoms: &Atoms, budget: &mut Budget) -> Form {
        if let Some(value) = self.as_rational() {
            return Ok(Self::constant(rational_power(&value, exponent, budget)?));
        }
        if exponent.unsigned_abs() > LARGEST_POWER {
            return Err(NoForm::Unfit);
        }
        let base = match exponent < 0 {
            true => self.inverse(atoms, budget)?,
            false => self.clone(),
        };
        let mut power = Self::constant(BigRational::one());
        for _ in 0..exponent.unsigned_abs() {
            power = power.times(&base, atoms, budget)?;
        }
        Ok(power)
    }

    /// A text that is the same for the same normal form.
    fn name(&self, budget: &mut Budget) -> Form<String> {
        let mut name = String::new();
        for (monomial, coefficient) in self.over.iter().chain(&self.under) {
            let bits = coefficient.numer().bits() + coefficient.denom().bits();
            budget.spend(8 + bits as usize / 8)?;
            name += &format!("{coefficient}{monomial:?}+");
        }
        // Where the denominator begins.
        name += &self.over.len().to_string();
        Ok(name)
    }
}

fn rational_power(value: &BigRational, exponent: i64, budget: &mut Budget) -> Form<BigRational> {
    if value.is_zero() && exponent < 0 {
        return Err(NoForm::Unfit);
    }
    let bits = value.numer().bits().max(value.denom().bits());
    if bits > 1 && bits.saturating_mul(exponent.unsigned_abs()) > MOST_BITS {
        return Err(NoForm::Unfit);
    }
    budget.spend(64 + (bits * exponent.unsigned_abs()) as usize / 64)?;
    let exponent = i32::try_from(exponent % (1 << 30)).map_err(|_| NoForm::Unfit)?;
    Ok(value.pow(exponent))
}

fn add(polynomial: &mut Polynomial, monomial: Monomial, coefficient: BigRational) {
    let entry = polynomial.entry(monomial);
    match entry {
        std::collections::btree_map::Entry::Vacant(vacant) => {
            if !coefficient.is_zero() {
                vacant.insert(coefficient);
            }
        }
        std::collections::btree_map::Entry::Occupied(mut occupied) => {
            *occupied.get_mut() += coefficient;
            if occupied.get().is_zero() {
                occupied.remove();
            }
        }
    }
}

fn multiply(
    a: &Polynomial,
    b: &Polynomial,
    atoms: &Atoms,
    budget: &mut Budget,
) -> Form<Polynomial> {
    if is_one(b) {
        return Ok(a.clone());
    }
    let mut product = Polynomial::new();
    for (left, x) in a {
        for (right, y) in b {
            let bits = x.numer().bits() + x.denom().bits() + y.numer().bits() + y.denom().bits();
            budget.spend(2 + left.len() + right.len() + bits as usize / 64)?;
            let (monomial, factor) = combined(left, right, atoms, budget)?;
            let coefficient = x * y * factor;
            if coefficient.numer().bits().max(coefficient.denom().bits()) > MOST_BITS {
                return Err(NoForm::Unfit);
            }
            add(&mut product, monomial, coefficient);
        }
        if product.len() > MOST_TERMS {
            return Err(NoForm::Unfit);
        }
    }
    Ok(product)
}

/// The product of two monomials, with the powers of roots that are numbers.
fn combined(
    a: &Monomial,
    b: &Monomial,
    atoms: &Atoms,
    budget: &mut Budget,
) -> Form<(Monomial, BigRational)> {
    let mut exponents: BTreeMap<u32, i32> = a.iter().copied().collect();
    for &(atom, exponent) in b {
        let sum = exponents.entry(atom).or_insert(0);
        *sum = sum.checked_add(exponent).ok_or(NoForm::Unfit)?;
    }
    let mut factor = BigRational::one();
    for (&atom, exponent) in &mut exponents {
        if let Some((degree, radicand)) = &atoms.roots[atom as usize] {
            let degree = *degree as i32;
            let whole = exponent.div_euclid(degree);
            *exponent = exponent.rem_euclid(degree);
            if whole != 0 {
                factor *= rational_power(radicand, i64::from(whole), budget)?;
            }
        }
    }
    exponents.retain(|_, exponent| *exponent != 0);
    Ok((exponents.into_iter().collect(), factor))
}

/// The normal form of a value.
pub(super) fn normal_form(expression: &Expression, atoms: &mut Atoms, budget: &mut Budget) -> Form {
    budget.spend(8)?;
    match expression {
        Expression::Number(number) => Ok(Fraction::constant(number.value.clone())),
        Expression::Symbol(name) => symbol(name, atoms),
        Expression::Based { digits, base } => {
            let value = in_base(digits, *base).ok_or(NoForm::Unfit)?;
            Ok(Fraction::constant(BigRational::from_integer(value)))
        }
        Expression::Sum(terms) => {
            let mut sum = Fraction::constant(BigRational::zero());
            for term in terms {
                sum = sum.plus(&normal_form(term, atoms, budget)?, atoms, budget)?;
            }
            Ok(sum)
        }
        Expression::Product(factors) => {
            let mut product = Fraction::constant(BigRational::one());
            for factor in factors {
                product = product.times(&normal_form(factor, atoms, budget)?, atoms, budget)?;
            }
            Ok(product)
        }
        Expression::Power(base, exponent) => {
            let base = normal_form(base, atoms, budget)?;
            let exponent = normal_form(exponent, atoms, budget)?;
            power(&base, &exponent, atoms, budget)
        }
        Expression::Function(name, arguments) => function(name, arguments, atoms, budget),
        Expression::Percent(inner) => {
            let inner = normal_form(inner, atoms, budget)?;
            let hundredth = BigRational::new(BigInt::one(), BigInt::from(100));
            inner.times(&Fraction::constant(hundredth), atoms, budget)
        }
        Expression::Quantity(inner, _) => normal_form(inner, atoms, budget),
        Expression::Ratio(members) => match &members[..] {
            [over, under] => {
                let under = normal_form(under, atoms, budget)?.inverse(atoms, budget)?;
                normal_form(over, atoms, budget)?.times(&under, atoms, budget)
            }
            _ => Err(NoForm::Unfit),
        },
        _ => Err(NoForm::Unfit),
    }
}

fn symbol(name: &str, atoms: &mut Atoms) -> Form {
    let root = match name {
        "infinity" => return Err(NoForm::Unfit),
        "i" => Some((2, -BigRational::one())),
        _ => None,
    };
    Ok(Fraction::atom(atoms.atom(name.to_owned(), root)))
}

fn power(base: &Fraction, exponent: &Fraction, atoms: &mut Atoms, budget: &mut Budget) -> Form {
    if let Some(exponent) = exponent.as_rational() {
        let over = exponent.numer().to_i64();
        let under = exponent.denom().to_u32();
        if let (Some(over), Some(1)) = (over, under) {
            match base.power(over, atoms, budget) {
                Err(NoForm::Unfit) if !base.is_zero() => {}
                result => return result,
            }
        } else if let (Some(over), Some(under)) = (over, under)
            && let Some(value) = base.as_rational()
            && under <= LARGEST_DEGREE
            && let Some(root) = root(&value, under, atoms, budget)?
        {
            return root.power(over, atoms, budget);
        }
    }
    atoms.bound = true;
    let name = format!("({})^({})", base.name(budget)?, exponent.name(budget)?);
    Ok(Fraction::atom(atoms.atom(name, None)))
}
