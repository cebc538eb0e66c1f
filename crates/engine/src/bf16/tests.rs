//! Products against f64, and every kernel, blocking and number of threads
//! against the others, bit for bit.

use proptest::prelude::*;

use super::*;
use crate::bf16::pack::bf16;

/// Deterministic values in about [-1, 1], different for every `seed`.
fn noise(length: usize, seed: usize) -> Vec<f32> {
    let value = |i: usize| ((i * 7919 + seed * 104_729) as f32 * 0.37).sin();
    (0..length).map(value).collect()
}

/// Sizes and options of one product.
#[derive(Debug, Clone, Copy)]
struct Case {
    sizes: [usize; 3],
    /// Whether the operands lie in memory column after column.
    transposed: [bool; 2],
    before: usize,
    after: usize,
}

/// The numbers of one product.
struct Operands {
    left: Vec<f32>,
    right: Vec<f32>,
    bias: Vec<f32>,
    destination: Vec<f32>,
    outputs: Vec<f32>,
}

impl Case {
    fn operands(&self) -> Operands {
        let [m, n, k] = self.sizes;
        Operands {
            left: noise(m * k, 1),
            right: noise(k * n, 2),
            bias: noise(n, 3),
            destination: noise(m * n, 4),
            outputs: noise(m * n, 5),
        }
    }

    fn run(&self, operands: &Operands, kernel: Kernel) -> Vec<f32> {
        let [m, n, k] = self.sizes;
        let matrix = |values, rows, columns, transposed| match transposed {
            true => Matrix::new(values, columns, rows).transposed(),
            false => Matrix::new(values, rows, columns),
        };
        let product = Product {
            left: matrix(&operands.left, m, k, self.transposed[0]),
            right: matrix(&operands.right, k, n, self.transposed[1]),
            before: [
                Before::Nothing,
                Before::Itself,
                Before::Bias(&operands.bias),
            ][self.before],
            after: [
                After::Nothing,
                After::Relu,
                After::WhereAboveZero(&operands.outputs),
            ][self.after],
        };
        let mut destination = operands.destination.clone();
        product.run(&mut destination, kernel);
        destination
    }

    /// What the product must be, and how far f32 sums may be from it.
    fn expected(&self, operands: &Operands) -> Vec<(f64, f64)> {
        let [m, n, k] = self.sizes;
        let rounded = |value: f32| f64::from(f32::from_bits(u32::from(bf16(value)) << 16));
        let left = |row: usize, i: usize| match self.transposed[0] {
            true => rounded(operands.left[i * m + row]),
            false => rounded(operands.left[row * k + i]),
        };
        let right = |i: usize, column: usize| match self.transposed[1] {
            true => rounded(operands.right[column * k + i]),
            false => rounded(operands.right[i * n + column]),
        };
        (0..m * n)
            .map(|at| {
                let (row, column) = (at / n, at % n);
                let before = match self.before {
                    0 => 0.0,
                    1 => f64::from(operands.destination[at]),
                    _ => f64::from(operands.bias[column]),
                };
                let terms = (0..k).map(|i| left(row, i) * right(i, column));
                let (sum, size) = terms.fold((before, before.abs()), |(sum, size), term| {
                    (sum + term, size + term.abs())
                });
                let sum = match self.after {
                    0 => sum,
                    1 => sum.max(0.0),
                    _ if operands.outputs[at] > 0.0 => sum,
                    _ => 0.0,
                };
                // Each of the additions errs by half a unit of what is summed up.
                (sum, size * (k + 1) as f64 * f64::from(f32::EPSILON) / 2.0)
            })
            .collect()
    }

    /// Checks every kernel against f64 and against the others.
    fn check(&self) {
        let operands = self.operands();
        let expected = self.expected(&operands);
        let results: Vec<Vec<u32>> = Kernel::available()
            .into_iter()
            .map(|kernel| {
                let found = self.run(&operands, kernel);
                for (at, (&found, &(expected, tolerance))) in
                    found.iter().zip(&expected).enumerate()
                {
                    assert!(
                        (f64::from(found) - expected).abs() <= tolerance,
                        "{self:?}, {kernel:?}, element {at}: found {found}, expected {expected}"
                    );
                }
                found.into_iter().map(f32::to_bits).collect()
            })
            .collect();
        for result in &results[1..] {
            assert_eq!(&results[0], result, "{self:?}: bits of two kernels");
        }
    }
}

#[test]
fn every_layout_addend_and_activation_at_the_edges_of_tiles_and_blocks() {
    let sizes = [
        [1, 1, 1],
        [8, 32, 2],
        [7, 31, 3],
        [9, 33, 31],
        [65, 16, 32],
        [3, 129, 33],
        [70, 17, 2 * PAIRS_PER_BLOCK + 1],
        [130, 40, 2 * PAIRS_PER_BLOCK],
    ];
    for sizes in sizes {
        for options in 0..36 {
            Case {
                sizes,
                transposed: [options % 2 == 1, options / 2 % 2 == 1],
                before: options / 4 % 3,
                after: options / 12,
            }
            .check();
        }
    }
}

#[test]
fn an_empty_sum_is_what_it_is_added_to() {
    let case = Case {
        sizes: [5, 7, 0],
        transposed: [false, true],
        before: 2,
        after: 1,
    };
    case.check();
    for sizes in [[0, 3, 4], [3, 0, 4]] {
        Case { sizes, ..case }.check();
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    // Large enough for several tasks, and not a multiple of anything.
    for sizes in [[203, 301, 67], [1001, 70, 150], [37, 1203, 300]] {
        let case = Case {
            sizes,
            transposed: [false, true],
            before: 1,
            after: 0,
        };
        let operands = case.operands();
        let results = [1, 2, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| case.run(&operands, Kernel::current()))
        });
        assert!(
            results.iter().all(|result| *result == results[0]),
            "{case:?}"
        );
    }
}

#[test]
fn kernels_agree_on_subnormal_infinite_and_missing_numbers() {
    let odd = [
        0.0,
        -0.0,
        1.0,
        -1.5,
        1e-19,
        -1.1e-19,
        1e-20,
        f32::MIN_POSITIVE,
        f32::MIN_POSITIVE / 3.0,
        -f32::MIN_POSITIVE,
        3e38,
        f32::MAX,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
    ];
    // 1 product, then 3, so that numbers meet sums of every kind.
    for k in [1, 2, 3, 6] {
        let case = Case {
            sizes: [odd.len(), odd.len(), k],
            transposed: [false, true],
            before: 1,
            after: 0,
        };
        for shift in 0..odd.len() {
            let mut operands = case.operands();
            let numbers = |stride: usize| odd.iter().cycle().step_by(stride).skip(shift);
            operands
                .left
                .iter_mut()
                .zip(numbers(1))
                .for_each(|(to, from)| *to = *from);
            operands
                .right
                .iter_mut()
                .zip(numbers(2))
                .for_each(|(to, from)| *to = *from);
            operands
                .destination
                .iter_mut()
                .zip(numbers(4))
                .for_each(|(to, from)| *to = *from);
            for after in 0..3 {
                let case = Case { after, ..case };
                let results = Kernel::available().into_iter().map(|kernel| {
                    let bits = |value: f32| match value.is_nan() {
                        // Which of several NaNs comes out is nobody's business.
                        true => f32::NAN.to_bits(),
                        false => value.to_bits(),
                    };
                    case.run(&operands, kernel).into_iter().map(bits).collect()
                });
                let results: Vec<Vec<u32>> = results.collect();
                for result in &results[1..] {
                    assert_eq!(&results[0], result, "{case:?}");
                }
            }
        }
    }
}

#[test]
fn no_number_is_hidden_by_relu_if_it_is_missing() {
    let nan = [f32::NAN];
    let mut destination = [0.0];
    for kernel in Kernel::available() {
        let product = Product {
            left: Matrix::new(&nan, 1, 1),
            right: Matrix::new(&[1.0], 1, 1),
            before: Before::Nothing,
            after: After::Relu,
        };
        product.run(&mut destination, kernel);
        assert!(destination[0].is_nan(), "{kernel:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_sizes(
        sizes in [1usize..80, 1usize..140, 0usize..300],
        transposed in any::<[bool; 2]>(),
        before in 0usize..3,
        after in 0usize..3,
    ) {
        Case { sizes, transposed, before, after }.check();
    }
}
