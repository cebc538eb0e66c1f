//! Agreement with the formulas in PyTorch, `scripts/fixtures/objective.py`.

use iwsft_objective::{Diagnostics, ObjectiveSpec, Steps};
use serde_json::Value;

const FIXTURE: &str = include_str!("fixtures/objective.json");

fn floats(value: &Value) -> Vec<f64> {
    let array = value.as_array().expect("an array");
    array
        .iter()
        .map(|v| v.as_f64().expect("a number"))
        .collect()
}

fn f32s(value: &Value) -> Vec<f32> {
    floats(value).into_iter().map(|v| v as f32).collect()
}

struct Case {
    name: String,
    trajectories: usize,
    coefficients: Vec<f32>,
    scale: f64,
    diagnostics: Diagnostics,
    expected: Value,
}

fn cases() -> Vec<Case> {
    let fixture: Value = serde_json::from_str(FIXTURE).expect("the fixture is JSON");
    let cases = fixture["cases"].as_array().expect("cases");
    cases.iter().map(|case| run(&fixture, case)).collect()
}

fn run(fixture: &Value, case: &Value) -> Case {
    let batch = &fixture["batches"][case["batch"].as_u64().expect("an index") as usize];
    let mut cu_steps = vec![0];
    for length in floats(&batch["lengths"]) {
        cu_steps.push(cu_steps[cu_steps.len() - 1] + length as usize);
    }
    let [log_p, log_q, log_ref, step_weight, reward, quality] = [
        "log_p",
        "log_q",
        "log_ref",
        "step_weight",
        "reward",
        "quality",
    ]
    .map(|key| f32s(&batch[key]));
    let use_q = case["use_q"].as_bool().expect("a switch");
    let steps = Steps::new(
        &cu_steps,
        &log_p,
        use_q.then_some(&log_q),
        Some(&log_ref),
        &step_weight,
        &reward,
        &quality,
    )
    .expect("a valid batch");
    let spec: ObjectiveSpec = serde_json::from_value(case["spec"].clone()).expect("a spec");
    let objective = spec.resolve().expect("a valid objective");
    let mut coefficients = vec![0.0; steps.len()];
    let summary = objective
        .coefficients(&steps, &mut coefficients)
        .expect("everything it needs");
    Case {
        name: format!("{} on batch {}, q {use_q}", case["spec"], batch["name"]),
        trajectories: steps.trajectories(),
        coefficients,
        scale: summary.scale(),
        diagnostics: summary.diagnostics(),
        expected: case.clone(),
    }
}

fn assert_close(found: f64, expected: f64, relative: f64, what: &str) {
    let tolerance = relative * expected.abs().max(1e-9);
    assert!(
        (found - expected).abs() <= tolerance,
        "{what}: found {found}, PyTorch has {expected}"
    );
}

#[test]
fn normalised_coefficients_are_the_gradients_that_autograd_finds() {
    for case in cases() {
        let expected = floats(&case.expected["coefficients"]);
        assert_eq!(case.coefficients.len(), expected.len());
        for (t, (c, expected)) in case.coefficients.iter().zip(expected).enumerate() {
            let what = format!("step {t} of {}", case.name);
            assert_close(f64::from(*c) * case.scale, expected, 2e-7, &what);
        }
    }
}

#[test]
fn diagnostics_agree_with_pytorch() {
    for case in cases() {
        let found = serde_json::to_value(&case.diagnostics).expect("diagnostics as JSON");
        let expected = case.expected["diagnostics"].as_object().expect("an object");
        assert!(expected.len() >= 6);
        for (key, expected) in expected {
            let what = format!("{key} of {}", case.name);
            let found = found[key].as_f64().expect(key);
            assert_close(found, expected.as_f64().expect(key), 1e-9, &what);
        }
    }
}

#[test]
fn weights_fall_into_the_histogram_as_pytorch_has_them() {
    for case in cases() {
        let mut expected = vec![0; iwsft_objective::HISTOGRAM_BINS];
        for weight in floats(&case.expected["weights"]) {
            let edges = &iwsft_objective::HISTOGRAM_EDGES;
            expected[edges.iter().filter(|edge| **edge <= weight).count()] += 1;
        }
        assert_eq!(case.diagnostics.weight_histogram, expected, "{}", case.name);
    }
}

#[test]
fn presets_agree_with_the_authors_programs_up_to_their_constant_factor() {
    let mut compared = 0;
    for case in cases() {
        let Some(authors) = case.expected.get("authors").map(floats) else {
            continue;
        };
        let preset = case.expected["spec"]["preset"].as_str().expect("a preset");
        let ours: Vec<f64> = case
            .coefficients
            .iter()
            .map(|c| f64::from(*c) * case.scale)
            .collect();
        let factor = match preset {
            // Weights divided by their sum, and then a mean over trajectories.
            "iw-sft-control" => case.trajectories as f64,
            // Here the sum runs over steps, not over trajectories' means.
            "iw-sft-control-step" => ours.iter().sum::<f64>() / authors.iter().sum::<f64>(),
            _ => 1.0,
        };
        for (t, (ours, authors)) in ours.iter().zip(&authors).enumerate() {
            let what = format!("step {t} of {}", case.name);
            assert_close(*ours, factor * authors, 3e-7, &what);
        }
        compared += 1;
    }
    assert_eq!(compared, 4 * 3, "four presets on three batches");
}
