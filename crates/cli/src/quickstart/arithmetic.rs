//! Sums and differences worked column by column, as children learn them.
//!
//! A completion is its steps, each behind a space. For `37+58-9=`:
//!
//! ```text
//!  7+8=15 3+5+1=9 95 15-9=6 9-0-1=8 86
//! ```
//!
//! A column adds its two digits and the carry; a column that is too small to
//! subtract from borrows ten, which the next one pays back. Behind the columns
//! of an operation comes the running total; the last total is the answer.

use rand::{Rng, RngExt};

/// The chance that a problem has three numbers instead of two.
const THREE_NUMBERS: f64 = 0.5;

/// Numbers go from 1 to this one.
const LARGEST: u32 = 99;

/// The chance that a number which can be subtracted is.
const SUBTRACTED: f64 = 0.7;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Add,
    Subtract,
}

/// Two or three numbers to add and subtract, from left to right. No total on
/// the way is negative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    first: u32,
    rest: Vec<(Operation, u32)>,
}

/// What may happen while a problem is worked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slip {
    /// A carry is not added.
    ForgottenCarry,
    /// A borrow is not paid back.
    ForgottenBorrow,
    /// A column's result is one too small.
    Miscounted,
    /// A step is written twice.
    Repeated,
}

impl Problem {
    pub(crate) fn random(rng: &mut impl Rng) -> Self {
        let first = rng.random_range(1..=LARGEST);
        let mut total = first;
        let count = if rng.random_bool(THREE_NUMBERS) { 2 } else { 1 };
        let rest = (0..count)
            .map(|_| {
                let number = rng.random_range(1..=LARGEST);
                if number <= total && rng.random_bool(SUBTRACTED) {
                    total -= number;
                    (Operation::Subtract, number)
                } else {
                    total += number;
                    (Operation::Add, number)
                }
            })
            .collect();
        Self { first, rest }
    }

    /// For example `37+58-9=`.
    pub(crate) fn prompt(&self) -> String {
        let mut prompt = self.first.to_string();
        for (operation, number) in &self.rest {
            prompt.push(operation.sign());
            prompt += &number.to_string();
        }
        prompt + "="
    }

    /// The problem with this prompt, if it is one.
    pub(crate) fn parse(prompt: &str) -> Option<Self> {
        let mut text = prompt.strip_suffix('=')?;
        let number = |text: &mut &str| {
            let end = text.find(['+', '-']).unwrap_or(text.len());
            let (digits, rest) = text.split_at(end);
            *text = rest;
            let number: u32 = digits.parse().ok()?;
            (number <= LARGEST).then_some(number)
        };
        let first = number(&mut text)?;
        let (mut total, mut rest) = (first, Vec::new());
        while let Some(sign) = text.chars().next() {
            text = &text[1..];
            let operand = number(&mut text)?;
            let operation = match sign {
                '+' => Operation::Add,
                _ => Operation::Subtract,
            };
            total = match operation {
                Operation::Add => total.checked_add(operand)?,
                Operation::Subtract => total.checked_sub(operand)?,
            };
            rest.push((operation, operand));
        }
        Some(Self { first, rest })
    }

    pub(crate) fn answer(&self) -> u32 {
        self.rest
            .iter()
            .fold(self.first, |total, (operation, number)| match operation {
                Operation::Add => total + number,
                Operation::Subtract => total - number,
            })
    }

    /// The steps of somebody to whom each slip happens when `slips` says so.
    /// What follows a slip is worked on from what was written.
    pub(crate) fn steps(&self, mut slips: impl FnMut(Slip) -> bool) -> Vec<String> {
        let mut steps = Vec::new();
        let mut total = self.first;
        for &(operation, number) in &self.rest {
            let mut write = |step: String, slips: &mut dyn FnMut(Slip) -> bool| {
                if slips(Slip::Repeated) {
                    steps.push(step.clone());
                }
                steps.push(step);
            };
            let mut left = 0;
            let mut digits = Vec::new();
            for place in 0..places(total).max(places(number)) {
                let (top, bottom) = (digit(total, place), digit(number, place));
                let forgotten = match operation {
                    Operation::Add => Slip::ForgottenCarry,
                    Operation::Subtract => Slip::ForgottenBorrow,
                };
                if left > 0 && slips(forgotten) {
                    left = 0;
                }
                let (top, mut result) = match operation {
                    Operation::Add => (top, top + bottom + left),
                    Operation::Subtract if top < bottom + left => {
                        (top + 10, top + 10 - bottom - left)
                    }
                    Operation::Subtract => (top, top - bottom - left),
                };
                if result > 0 && slips(Slip::Miscounted) {
                    result -= 1;
                }
                let sign = operation.sign();
                let carried = if left > 0 {
                    format!("{sign}{left}")
                } else {
                    String::new()
                };
                write(format!("{top}{sign}{bottom}{carried}={result}"), &mut slips);
                digits.push(result % 10);
                left = match operation {
                    Operation::Add => result / 10,
                    Operation::Subtract => u32::from(top >= 10),
                };
            }
            if operation == Operation::Add {
                digits.push(left);
            }
            total = digits
                .iter()
                .rev()
                .fold(0, |value, digit| 10 * value + digit);
            write(total.to_string(), &mut slips);
        }
        steps
    }

    /// The steps without any slip.
    pub(crate) fn right_steps(&self) -> Vec<String> {
        self.steps(|_| false)
    }
}

/// Steps as a completion.
pub(crate) fn completion(steps: &[String]) -> String {
    steps.iter().map(|step| format!(" {step}")).collect()
}

impl Operation {
    fn sign(self) -> char {
        match self {
            Self::Add => '+',
            Self::Subtract => '-',
        }
    }
}

/// Number of decimal digits; 0 has one.
fn places(number: u32) -> u32 {
    number.checked_ilog10().unwrap_or(0) + 1
}

fn digit(number: u32, place: u32) -> u32 {
    number / 10_u32.pow(place) % 10
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn problem(first: u32, rest: &[(Operation, u32)]) -> Problem {
        let rest = rest.to_vec();
        Problem { first, rest }
    }

    /// Computes a prompt or the left side of a step from its text alone.
    fn value(text: &str) -> i64 {
        let mut terms = Vec::new();
        for character in text.chars() {
            match character {
                '+' => terms.push((1, 0)),
                '-' => terms.push((-1, 0)),
                digit => {
                    if terms.is_empty() {
                        terms.push((1, 0));
                    }
                    let last = terms.last_mut().unwrap();
                    last.1 = 10 * last.1 + i64::from(digit.to_digit(10).unwrap());
                }
            }
        }
        terms.iter().map(|(sign, value)| sign * value).sum()
    }

    #[test]
    fn columns_carry_and_borrow() {
        use Operation::{Add, Subtract};
        let work = |first, rest: &[_]| completion(&problem(first, rest).right_steps());
        assert_eq!(
            work(37, &[(Add, 58), (Subtract, 9)]),
            " 7+8=15 3+5+1=9 95 15-9=6 9-0-1=8 86"
        );
        assert_eq!(work(95, &[(Add, 9)]), " 5+9=14 9+0+1=10 104");
        assert_eq!(work(100, &[(Subtract, 99)]), " 10-9=1 10-9-1=0 1-0-1=0 1");
        assert_eq!(work(0, &[(Subtract, 0)]), " 0-0=0 0");
    }

    #[test]
    fn every_right_step_is_a_true_equation_and_the_last_is_the_answer() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..2000 {
            let problem = Problem::random(&mut rng);
            let prompt = problem.prompt();
            let answer = value(prompt.strip_suffix('=').unwrap());
            assert!(answer >= 0, "{prompt}");
            assert_eq!(i64::from(problem.answer()), answer, "{prompt}");
            let steps = problem.right_steps();
            assert_eq!(steps.last().unwrap(), &answer.to_string(), "{prompt}");
            for (left, right) in steps.iter().filter_map(|step| step.split_once('=')) {
                assert_eq!(value(left), value(right), "{prompt} {left}={right}");
            }
        }
    }

    #[test]
    fn each_slip_shows_in_the_steps() {
        use Operation::{Add, Subtract};
        let only = |slip| move |happens| happens == slip;
        let work = |problem: &Problem, slip| completion(&problem.steps(only(slip)));
        let (sum, difference) = (problem(37, &[(Add, 58)]), problem(95, &[(Subtract, 9)]));
        assert_eq!(work(&sum, Slip::ForgottenCarry), " 7+8=15 3+5=8 85");
        assert_eq!(work(&difference, Slip::ForgottenBorrow), " 15-9=6 9-0=9 96");
        assert_eq!(work(&sum, Slip::Miscounted), " 7+8=14 3+5+1=8 84");
        assert_eq!(
            work(&sum, Slip::Repeated),
            " 7+8=15 7+8=15 3+5+1=9 3+5+1=9 95 95"
        );
    }

    #[test]
    fn slips_never_stop_the_work() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for _ in 0..2000 {
            let problem = Problem::random(&mut rng);
            let steps = problem.steps(|_| rng.random_bool(0.4));
            let written: u32 = steps.last().unwrap().parse().unwrap();
            assert!(written < 10_000, "{steps:?}");
        }
    }

    #[test]
    fn a_prompt_reads_back_as_its_problem_and_nothing_else_reads() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..200 {
            let problem = Problem::random(&mut rng);
            assert_eq!(Problem::parse(&problem.prompt()), Some(problem));
        }
        for text in [
            "",
            "=",
            "3",
            "3+=",
            "+3=",
            "3+x=",
            "3-4=",
            "3*4=",
            "4294967296+1=",
            "3+4\u{e9}=",
        ] {
            assert_eq!(Problem::parse(text), None, "{text}");
        }
    }
}
