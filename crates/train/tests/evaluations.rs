//! Looks at the policy while it trains.

// Clippy takes only `#[test]` functions for tests, not what they call.
#![allow(clippy::unwrap_used)]

mod tabular;

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use iwsft_engine::Tensor;
use iwsft_objective::Preset;
use iwsft_train::{
    EvaluationMetrics, Evaluator, Observer, RunFolder, SourceError, TrainError, Training,
};
use serde_json::{Map, Value, json};
use tabular::{Raw, Sequences, Tabular, config, job, objective};

/// Reports the first parameter; breaks off or fails at its n-th evaluation.
#[derive(Default)]
struct FirstParameter {
    evaluations: usize,
    breaks_off_at: Option<usize>,
    fails_at: Option<usize>,
}

impl Evaluator<Tabular> for FirstParameter {
    fn evaluate(
        &mut self,
        _policy: &Tabular,
        parameters: &Tensor,
    ) -> Result<Option<Map<String, Value>>, SourceError> {
        self.evaluations += 1;
        if self.fails_at == Some(self.evaluations) {
            return Err("nobody answers".into());
        }
        let mut found = Map::new();
        found.insert("first".into(), json!(parameters.all().to_host()[0]));
        Ok((self.breaks_off_at != Some(self.evaluations)).then_some(found))
    }
}

#[derive(Default)]
struct Watcher {
    evaluations: Vec<EvaluationMetrics>,
    messages: Vec<String>,
}

impl Observer for Watcher {
    fn on_evaluation(&mut self, metrics: &EvaluationMetrics) {
        self.evaluations.push(metrics.clone());
    }

    fn on_message(&mut self, message: &str) {
        self.messages.push(message.to_owned());
    }
}

/// Runs 8 steps and evaluates every 3.
fn run(folder: &Path, evaluator: &mut FirstParameter) -> (Watcher, Result<(), TrainError>) {
    let (train, files, config) = (Sequences::random(14, 1), Raw::exact(), config());
    let sft = objective(Preset::Sft);
    let mut policy = Tabular::new();
    let job = job(&mut policy, &train, &sft, &config, &files);
    let mut training = Training::new(job, RunFolder::create(folder).unwrap()).unwrap();
    training.evaluate_every(3, evaluator);
    let mut watcher = Watcher::default();
    let result = training.run(&mut watcher, &AtomicBool::new(false));
    (watcher, result.map(drop))
}

/// Steps of the log's evaluations.
fn logged(folder: &Path) -> Vec<u64> {
    let log = fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    let lines = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .filter(|line| line["kind"] == "eval")
        .map(|line| line["step"].as_u64().unwrap())
        .collect()
}

#[test]
fn the_policy_is_seen_as_it_is_at_the_beginning_every_so_many_steps_and_at_the_end() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("run");
    let (watcher, result) = run(&path, &mut FirstParameter::default());
    result.unwrap();
    assert_eq!(logged(&path), [0, 3, 6, 8]);
    let steps: Vec<u64> = watcher.evaluations.iter().map(|each| each.step).collect();
    assert_eq!(steps, [0, 3, 6, 8]);
    let first = |index: usize| watcher.evaluations[index].found["first"].as_f64().unwrap();
    assert_eq!(first(0), f64::from(Tabular::start().all().to_host()[0]));
    assert!((1..4).all(|index| first(index) != first(index - 1)));
}

#[test]
fn an_evaluation_that_is_broken_off_is_told_and_not_logged() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("run");
    let mut evaluator = FirstParameter {
        breaks_off_at: Some(2),
        ..FirstParameter::default()
    };
    let (watcher, result) = run(&path, &mut evaluator);
    result.unwrap();
    assert_eq!(logged(&path), [0, 6, 8]);
    assert!(
        watcher.messages[0].contains("broken off"),
        "{:?}",
        watcher.messages
    );
}

#[test]
fn an_evaluation_that_fails_ends_the_run_with_its_step() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("run");
    let mut evaluator = FirstParameter {
        fails_at: Some(3),
        ..FirstParameter::default()
    };
    let (_, result) = run(&path, &mut evaluator);
    let message = result.unwrap_err().to_string();
    assert!(
        message.contains("after step 6: nobody answers"),
        "{message}"
    );
    assert_eq!(logged(&path), [0, 3]);
}
