//! Small computations whose results are known: a processor, a compiler or a
//! build that gets them wrong would train nonsense.

use iwsft_engine::{Precision, Tensor, ops::linear};
use iwsft_objective::bandit::{self, Config, Method};

use super::{Check, State};

pub(super) fn all() -> [Check; 3] {
    [
        products("matrix product", Precision::F32),
        products("product in bf16", Precision::Bf16),
        bandit(),
    ]
}

/// Largest error of a matrix product relative to its largest element: a few
/// units in the last place of f32, in which sums run.
const PRODUCT_ERROR: f64 = 1e-5;

/// A matrix product by the engine against one in f64, of numbers that both
/// precisions hold exactly.
fn products(name: &'static str, precision: Precision) -> Check {
    let [n, input, output] = [61, 257, 67];
    let values = |len: usize, pace: f64| -> Vec<f32> {
        let number = |i: usize| (i as f64 * pace).sin() as f32;
        (0..len)
            .map(|i| (number(i) * 128.0).round() / 128.0)
            .collect()
    };
    let (x, weight) = (values(n * input, 0.7), values(output * input, 1.3));
    let mut y = Tensor::zeros(n * output);
    let (x_tensor, weight_tensor) = (Tensor::from_host(&x), Tensor::from_host(&weight));
    let sizes = [n, input, output];
    linear::forward(
        x_tensor.all(),
        weight_tensor.all(),
        None,
        y.all_mut(),
        sizes,
        false,
        precision,
    );

    let (mut error, mut largest) = (0.0f64, 0.0f64);
    for (index, found) in y.to_host().into_iter().enumerate() {
        let (row, column) = (index / output, index % output);
        let (a, b) = (
            &x[row * input..][..input],
            &weight[column * input..][..input],
        );
        let exact: f64 = a
            .iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum();
        error = error.max((f64::from(found) - exact).abs());
        largest = largest.max(exact.abs());
    }
    let relative = error / largest;
    let check = Check::ok(name, format!("relative error {relative:.1e} against f64"));
    // A NaN is not below anything either.
    if relative < PRODUCT_ERROR {
        check
    } else {
        let advice =
            format!("expected less than {PRODUCT_ERROR:.0e}; do not train on this machine");
        check.with(State::Wrong, advice)
    }
}

/// The bandit of the paper, trained by both methods, against its closed forms.
fn bandit() -> Check {
    const NAME: &str = "bandit";
    let config = Config {
        updates: 4000,
        learning_rate: 0.25,
        refresh: 1,
    };
    let points = match bandit::run(&config) {
        Ok(points) => points,
        Err(error) => {
            return Check::ok(NAME, error.to_string())
                .with(State::Wrong, "the objectives refuse their own presets");
        }
    };
    let off = |method: Method| {
        let end = points.iter().rev().find(|point| point.method == method);
        end.map_or(f64::NAN, |point| {
            (point.policy[1] - method.limit()[1]).abs()
        })
    };
    let (sft, iw_sft) = (off(Method::Sft), off(Method::IwSft));
    let check = Check::ok(
        NAME,
        format!("SFT {sft:.0e} from 2/3, iw-SFT {iw_sft:.0e} from 1"),
    );
    // iw-SFT approaches its end as 1 over the number of updates.
    if sft < 1e-4 && iw_sft < 2e-3 {
        check
    } else {
        check.with(
            State::Wrong,
            "training does not arrive where it must; do not trust this build",
        )
    }
}
