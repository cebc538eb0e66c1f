//! The weight carries no gradient: coefficients are the derivative of the
//! loss with frozen weights, and not that of the loss with live ones.

use iwsft_objective::{Objective, ObjectiveSpec, Steps};

/// Differences of 2^-9 at multiples of it: exact in f32.
const H: f32 = 1.0 / 512.0;

fn objective(toml: &str) -> Objective {
    let spec: ObjectiveSpec = toml::from_str(toml).expect("a spec");
    spec.resolve().expect("a valid objective")
}

/// Loss and coefficients over trajectories of 2 and 3 steps.
fn evaluate(objective: &Objective, log_p: &[f32], log_q: Option<&[f32]>) -> (f64, Vec<f64>) {
    let log_ref = [-1.5, -2.0, -0.5, -1.25, -2.5];
    let steps = Steps::new(
        &[0, 2, 5],
        log_p,
        log_q,
        Some(&log_ref),
        &[1.0, 2.0, 1.0, 0.5, 1.0],
        &[1.0, 1.0],
        &[1.0, 2.0],
    )
    .expect("a valid batch");
    let mut c = [0.0; 5];
    let summary = objective
        .coefficients(&steps, &mut c)
        .expect("everything it needs");
    let scale = summary.scale();
    let loss = summary.diagnostics().loss;
    (loss, c.iter().map(|c| f64::from(*c) * scale).collect())
}

const LOG_P: [f32; 5] = [-1.0, -2.5, -0.75, -1.5, -2.0];

/// Central differences of the loss in each log-probability. Frozen: q stays
/// at the start, so the weight does too. Live: q is the policy.
fn differences(objective: &Objective, frozen: bool) -> Vec<f64> {
    (0..5)
        .map(|t| {
            let at = |h: f32| {
                let mut log_p = LOG_P;
                log_p[t] += h;
                evaluate(objective, &log_p, frozen.then_some(&LOG_P)).0
            };
            (at(H) - at(-H)) / f64::from(2.0 * H)
        })
        .collect()
}

#[test]
fn coefficients_are_the_gradient_with_frozen_weights_and_not_with_live_ones() {
    for toml in [
        "preset = 'iw-sft-llm'",
        "preset = 'iw-sft-llm'\nself_normalise = true",
        "method = 'iw-sft-step'\nclip = [0.0, 16.0]",
        "preset = 'iw-sft-llm'\ntemperature = 2.0\nlength = 'sum'\nreduction = 'token'",
    ] {
        let objective = objective(toml);
        let (_, c) = evaluate(&objective, &LOG_P, None);
        let frozen = differences(&objective, true);
        let live = differences(&objective, false);
        for t in 0..5 {
            assert!((frozen[t] + c[t]).abs() < 1e-6, "{toml}: {frozen:?} {c:?}");
            assert!((live[t] + c[t]).abs() > 1e-2, "{toml}: {live:?} {c:?}");
        }
    }
}

#[test]
fn through_a_softmax_the_frozen_loss_descends_where_coefficients_say() {
    // Three tokens, one logit each; trajectory i observes token i % 3.
    let tokens = [0, 1, 2, 0, 2];
    let logits = [0.3_f64, -0.4, 0.1];
    let softmax = |logits: [f64; 3]| {
        let total: f64 = logits.iter().map(|l| l.exp()).sum();
        logits.map(|l| l.exp() / total)
    };
    let log_p = |logits: [f64; 3]| tokens.map(|k| softmax(logits)[k].ln() as f32);
    let objective = objective("preset = 'iw-sft-llm'");
    let start = log_p(logits);
    let (_, c) = evaluate(&objective, &start, None);
    let p = softmax(logits);
    let total: f64 = c.iter().sum();
    // d/dlogit_k of -sum_t c_t log p_{token t}.
    let gradient = [0, 1, 2].map(|k| {
        let chosen: f64 = (0..5).filter(|t| tokens[*t] == k).map(|t| c[t]).sum();
        p[k] * total - chosen
    });
    let distance = |frozen: bool| -> f64 {
        let difference = |k: usize| {
            let at = |h: f64| {
                let mut moved = logits;
                moved[k] += h;
                evaluate(&objective, &log_p(moved), frozen.then_some(&start)).0
            };
            (at(1e-3) - at(-1e-3)) / 2e-3
        };
        (0..3)
            .map(|k| (difference(k) - gradient[k]).powi(2))
            .sum::<f64>()
            .sqrt()
    };
    assert!(distance(true) < 1e-3, "{}", distance(true));
    assert!(distance(false) > 0.1, "{}", distance(false));
}

#[test]
fn a_live_weight_would_flip_the_sign_once_the_mean_nll_exceeds_one() {
    // d(-e^(m - r) m)/dm = -e^(m - r) (1 + m): positive for m < -1, where it
    // would push the likelihood of good data down.
    let objective = objective("preset = 'iw-sft-llm'");
    let loss = |mean: f32, q: Option<f32>| {
        let log_q = q.map(|q| [q]);
        let log_q = log_q.as_ref().map(<[f32; 1]>::as_slice);
        let log_p = [mean];
        let steps = Steps::new(
            &[0, 1],
            &log_p,
            log_q,
            Some(&[-2.0]),
            &[1.0],
            &[1.0],
            &[1.0],
        )
        .expect("a valid batch");
        let mut c = [0.0];
        let summary = objective
            .coefficients(&steps, &mut c)
            .expect("everything it needs");
        (summary.diagnostics().loss, c[0])
    };
    for (mean, flips) in [(-0.5, false), (-2.0, true), (-4.0, true)] {
        let slope = |q| (loss(mean + H, q).0 - loss(mean - H, q).0) / f64::from(2.0 * H);
        assert!(loss(mean, None).1 > 0.0);
        assert!(slope(Some(mean)) < 0.0, "frozen, at mean {mean}");
        assert_eq!(slope(None) > 0.0, flips, "live, at mean {mean}");
    }
}

#[test]
fn the_anchor_of_asft_is_the_gradient_of_its_own_loss() {
    for reduction in ["token", "trajectory-mean"] {
        let of =
            |method: &str| objective(&format!("preset = '{method}'\nreduction = '{reduction}'"));
        let (dft, mut asft) = (of("dft"), of("asft"));
        asft.method = iwsft_objective::Method::Asft { lambda: 0.5 };
        let anchor = |log_p: &[f32]| evaluate(&asft, log_p, None).0 - evaluate(&dft, log_p, None).0;
        let (_, with) = evaluate(&asft, &LOG_P, None);
        let (_, without) = evaluate(&dft, &LOG_P, None);
        for t in 0..5 {
            let at = |h: f32| {
                let mut log_p = LOG_P;
                log_p[t] += h;
                anchor(&log_p)
            };
            let slope = (at(H) - at(-H)) / f64::from(2.0 * H);
            let pull = with[t] - without[t];
            assert!(
                (slope + pull).abs() < 1e-5,
                "step {t}, {reduction}: {slope} {pull}"
            );
        }
    }
}
