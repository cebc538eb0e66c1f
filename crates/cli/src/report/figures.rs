//! Curves of all runs in one plot each.

use super::axis::Axis;
use super::curve::smooth;
use super::plot::{Figure, Plot};
use super::run::{Rollouts, Run, Step};

/// A figure of one curve a run.
struct Curve {
    id: &'static str,
    title: &'static str,
    says: &'static str,
    value: Value,
    /// Whether a logarithmic axis makes sense.
    logarithmic: bool,
    /// Whether single steps say little, so that their average is shown.
    noisy: bool,
}

/// What a curve shows: of steps, or of rounds of rollouts.
enum Value {
    Step(fn(&Step) -> Option<f64>),
    Rollouts(fn(&Rollouts) -> Option<f64>),
}

impl Value {
    fn points(&self, run: &Run) -> Vec<[f64; 2]> {
        match self {
            Self::Step(value) => run.curve(value),
            Self::Rollouts(value) => run.rollouts_curve(value),
        }
    }
}

const CURVES: [Curve; 12] = [
    Curve {
        id: "reward",
        title: "Mean reward of the rollouts",
        says: "What the policy earns on the prompts that it trains on, as it is in that round.",
        value: Value::Rollouts(|round| round.reward),
        logarithmic: false,
        noisy: true,
    },
    Curve {
        id: "signal",
        title: "Groups without signal, %",
        says: "Prompts whose completions all earned the same: nothing is learned from them.",
        value: Value::Rollouts(|round| round.no_signal.map(|share| 100.0 * share)),
        logarithmic: false,
        noisy: true,
    },
    Curve {
        id: "length",
        title: "Tokens of a completion",
        says: "Mean length of what the policy wrote.",
        value: Value::Rollouts(|round| round.mean_tokens),
        logarithmic: false,
        noisy: true,
    },
    Curve {
        id: "loss",
        title: "Loss",
        says: "What is optimised; comparable only between runs of one objective.",
        value: Value::Step(|step| step.loss),
        logarithmic: true,
        noisy: true,
    },
    Curve {
        id: "effective",
        title: "Effective sample, % of the batch",
        says: "How many equally weighted examples the weights are worth: near 100 they hardly \
               matter, near 0 a few examples decide everything.",
        value: Value::Step(|step| step.effective_share.map(|share| 100.0 * share)),
        logarithmic: false,
        noisy: true,
    },
    Curve {
        id: "distance",
        title: "Distance from the reference, nats per token",
        says: "How much likelier the policy makes the data than the reference did.",
        value: Value::Step(|step| step.log_ratio),
        logarithmic: false,
        noisy: true,
    },
    Curve {
        id: "kl",
        title: "KL divergence from the reference, nats per token",
        says: "What the objective holds down, as estimated at the chosen tokens.",
        value: Value::Step(|step| step.kl),
        logarithmic: false,
        noisy: true,
    },
    Curve {
        id: "clipped",
        title: "Clipped weights, %",
        says: "The share of weights that the clip cut off at either end.",
        value: Value::Step(|step| step.clipped.map(|share| 100.0 * share)),
        logarithmic: false,
        noisy: true,
    },
    Curve {
        id: "gradient",
        title: "Gradient norm",
        says: "Before clipping; spikes mean that a batch disagreed with the rest.",
        value: Value::Step(|step| step.grad_norm),
        logarithmic: true,
        noisy: true,
    },
    Curve {
        id: "rate",
        title: "Learning rate",
        says: "The size of a step, as the schedule has it.",
        value: Value::Step(|step| step.learning_rate),
        logarithmic: false,
        noisy: false,
    },
    Curve {
        id: "speed",
        title: "Tokens per second",
        says: "Prompts included; a dip means that something else used the machine.",
        value: Value::Step(|step| step.tokens_per_second),
        logarithmic: false,
        noisy: true,
    },
    Curve {
        id: "time",
        title: "Minutes of training",
        says: "Time spent in steps, over all sessions.",
        value: Value::Step(|step| step.seconds.map(|seconds| seconds / 60.0)),
        logarithmic: false,
        noisy: false,
    },
];

/// Which curves say nothing where every run is flat at one value.
const SILENT_WHEN_FLAT: [&str; 2] = ["clipped", "distance"];

/// All plots of curves, the likelihood first.
pub(super) fn figures(runs: &[Run]) -> Vec<Figure> {
    let mut figures = vec![likelihood(runs)];
    figures.extend(gaps(runs));
    figures.extend(CURVES.iter().filter_map(|curve| single(curve, runs)));
    figures
}

fn steps(runs: &[Run]) -> Axis {
    let last = |run: &Run| run.steps.last().map_or(1, |step| step.step);
    Axis::exactly(0.0, runs.iter().map(last).max().unwrap_or(1) as f64)
}

fn single(curve: &Curve, runs: &[Run]) -> Option<Figure> {
    let raw: Vec<_> = runs.iter().map(|run| curve.value.points(run)).collect();
    let heights = || raw.iter().flatten().map(|[_, y]| *y);
    let first = heights().next()?;
    if SILENT_WHEN_FLAT.contains(&curve.id) && heights().all(|y| y == first) {
        return None;
    }
    let y = Axis::around(heights(), curve.logarithmic);
    let mut plot = Plot::new(steps(runs), y, format!("{} over the steps", curve.title));
    for (index, points) in raw.iter().enumerate().filter(|_| curve.noisy) {
        plot.line(&format!("r{index} raw"), points);
    }
    for (index, (points, run)) in raw.iter().zip(runs).enumerate() {
        let class = format!("r{index}");
        let smoothed = if curve.noisy {
            smooth(points)
        } else {
            points.clone()
        };
        plot.line(&class, &smoothed);
        plot.readout(&class, &run.name, &smoothed);
    }
    Some(Figure {
        id: curve.id,
        title: curve.title,
        says: curve.says.to_owned(),
        body: plot.html(),
    })
}

/// Negative log-likelihood in training and, as dots, on the validation data.
fn likelihood(runs: &[Run]) -> Figure {
    let raw: Vec<_> = runs.iter().map(|run| run.curve(|step| step.nll)).collect();
    let validations: Vec<Vec<_>> = runs
        .iter()
        .map(|run| {
            let point = |each: &super::run::Validation| Some([each.step as f64, each.nll?]);
            run.validations.iter().filter_map(point).collect()
        })
        .collect();
    let heights = raw.iter().chain(&validations).flatten().map(|[_, y]| *y);
    let y = Axis::around(heights, true);
    let mut plot = Plot::new(steps(runs), y, "Negative log-likelihood over the steps");
    for (index, points) in raw.iter().enumerate() {
        plot.line(&format!("r{index} raw"), points);
    }
    for (index, (run, (points, validation))) in
        runs.iter().zip(raw.iter().zip(&validations)).enumerate()
    {
        let class = format!("r{index}");
        let smoothed = smooth(points);
        plot.line(&class, &smoothed);
        plot.line(&format!("{class} dashed"), validation);
        plot.dots(&class, validation);
        plot.readout(&class, &run.name, &smoothed);
        if !validation.is_empty() {
            plot.readout(&class, &format!("{}, validation", run.name), validation);
        }
    }
    let seen = validations.iter().any(|points| !points.is_empty());
    let dots = if seen {
        " Dots are the validation data, which is never trained on."
    } else {
        ""
    };
    Figure {
        id: "nll",
        title: "Negative log-likelihood, nats per token",
        says: format!(
            "How surprised the model is by the right answers, whatever the objective: comparable between runs on the same data.{dots}"
        ),
        body: plot.html(),
    }
}

/// Both gaps of every run that tells them.
fn gaps(runs: &[Run]) -> Option<Figure> {
    if !runs.iter().any(Run::has_bounds) {
        return None;
    }
    let curves = |value: fn(&Step) -> Option<f64>| -> Vec<_> {
        runs.iter().map(|run| smooth(&run.curve(value))).collect()
    };
    let (sft, iw) = (curves(|step| step.sft_gap), curves(|step| step.iw_sft_gap));
    let heights = sft.iter().chain(&iw).flatten().map(|[_, y]| *y);
    let mut plot = Plot::new(
        steps(runs),
        Axis::around(heights.chain([0.0]), false),
        "Gaps of the bounds over the steps",
    );
    for (index, run) in runs.iter().enumerate().filter(|(_, run)| run.has_bounds()) {
        let class = format!("r{index}");
        plot.line(&format!("{class} dashed"), &sft[index]);
        plot.line(&class, &iw[index]);
        plot.readout(&class, &format!("{}, SFT", run.name), &sft[index]);
        plot.readout(&class, &format!("{}, iw-SFT", run.name), &iw[index]);
    }
    Some(Figure {
        id: "gaps",
        title: "What the bounds miss",
        says: "J minus each bound, dashed for SFT's and solid for iw-SFT's: 0 is a bound that misses nothing."
            .to_owned(),
        body: plot.html(),
    })
}
