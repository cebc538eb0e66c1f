//! Whole runs in a folder: interruption, resume, checkpoints, refusals.

// Clippy takes only `#[test]` functions for tests, not what they call.
#![allow(clippy::unwrap_used)]

mod tabular;

use std::cell::Cell;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use iwsft_data::{EpochOrder, Mixture};
use iwsft_engine::Tensor;
use iwsft_objective::{Objective, ObjectiveSpec, Preset, Proposal, Quality};
use iwsft_train::{
    Job, Observer, Outcome, RunFolder, StepMetrics, TrainConfig, TrainError, TrainerRecord,
    Training, ValidationMetrics, checkpoint,
};
use serde_json::Value;
use tabular::{Raw, Sequences, Tabular, config, job, objective, read_policy, spec};

/// Asks for a stop, or dies, after a step.
#[derive(Default)]
struct Watcher<'a> {
    stop_after: Option<(u64, &'a AtomicBool)>,
    die_after: Option<u64>,
    steps: Vec<StepMetrics>,
    validations: Vec<ValidationMetrics>,
    messages: Vec<String>,
}

impl Observer for Watcher<'_> {
    fn on_step(&mut self, metrics: &StepMetrics) {
        self.steps.push(metrics.clone());
        if let Some((step, stop)) = self.stop_after
            && step == metrics.step
        {
            stop.store(true, Ordering::Relaxed);
        }
        assert!(self.die_after != Some(metrics.step), "killed, as planned");
    }

    fn on_validation(&mut self, metrics: &ValidationMetrics) {
        self.validations.push(metrics.clone());
    }

    fn on_message(&mut self, message: &str) {
        self.messages.push(message.to_owned());
    }
}

/// What a run leaves behind, without its timings.
fn remains(run: &Path) -> (Vec<u8>, Vec<u8>, TrainerRecord, Vec<Value>) {
    let mut last = checkpoint::latest(run).unwrap().unwrap();
    last.record.seconds = 0.0;
    let log = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines = log.lines().map(|line| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        for timing in ["seconds", "tokens_per_second"] {
            value.as_object_mut().unwrap().remove(timing);
        }
        value
    });
    (
        fs::read(last.path.join("policy")).unwrap(),
        fs::read(last.path.join("trainer.safetensors")).unwrap(),
        last.record,
        lines.collect(),
    )
}

fn with_validation<'a>(
    mut job: Job<'a, Tabular, Sequences>,
    validation: &'a Sequences,
) -> Job<'a, Tabular, Sequences> {
    job.validation = Some(validation);
    job
}

fn never() -> AtomicBool {
    AtomicBool::new(false)
}

fn objectives() -> Vec<Objective> {
    let lagged = ObjectiveSpec {
        q: Some(Proposal::Lagged(4)),
        ..Preset::IwSftLlm.spec()
    };
    let drawn = ObjectiveSpec {
        quality: Some(Quality::Resample),
        ..Preset::Sft.spec()
    };
    vec![
        objective(Preset::IwSftLlm),
        objective(Preset::IwSftControl),
        spec(lagged),
        spec(drawn),
    ]
}

fn data() -> (Sequences, Sequences) {
    let mut train = Sequences::random(14, 1);
    for (index, quality) in train.quality.iter_mut().enumerate() {
        *quality = (index % 4) as f32;
    }
    (train, Sequences::random(5, 2))
}

fn run_config() -> TrainConfig {
    TrainConfig {
        validate_every: 2,
        checkpoint_every: 3,
        ..config()
    }
}

#[test]
fn a_run_stopped_after_any_step_and_resumed_equals_an_uninterrupted_one_bit_for_bit() {
    let (train, validation) = data();
    let config = run_config();
    for objective in objectives() {
        let files = if objective.needs_q() {
            Raw::exact()
        } else {
            Raw::rounded()
        };
        let home = tempfile::tempdir().unwrap();
        let mut policy = Tabular::new();
        let mut session = |path: &Path, watcher: &mut Watcher<'_>, stop: &AtomicBool| {
            let job = job(&mut policy, &train, &objective, &config, &files);
            let job = with_validation(job, &validation);
            let mut training = if path.exists() {
                Training::resume(job, RunFolder::open(path).unwrap())
            } else {
                Training::new(job, RunFolder::create(path).unwrap())
            };
            training.as_mut().unwrap().run(watcher, stop).unwrap()
        };
        let whole = home.path().join("whole");
        let outcome = session(&whole, &mut Watcher::default(), &never());
        // 14 trajectories in batches of 4, twice over.
        let total = 8;
        assert!(matches!(outcome, Outcome::Finished { step, .. } if step == total));
        let expected = remains(&whole);

        for step in 1..total {
            let path = home.path().join(step.to_string());
            let stop = never();
            let mut watcher = Watcher {
                stop_after: Some((step, &stop)),
                ..Watcher::default()
            };
            match session(&path, &mut watcher, &stop) {
                Outcome::Stopped { step: at, .. } => assert_eq!(at, step),
                other => panic!("{other:?}"),
            }
            session(&path, &mut Watcher::default(), &never());
            assert!(remains(&path) == expected, "step {step} of {objective:?}");
        }
    }
}

#[test]
fn a_run_killed_after_any_step_and_resumed_equals_an_uninterrupted_one_bit_for_bit() {
    let (train, validation) = data();
    let (config, files) = (run_config(), Raw::exact());
    let objective = objective(Preset::IwSftControl);
    let home = tempfile::tempdir().unwrap();
    let mut policy = Tabular::new();
    let mut session = |path: &Path, die_after| {
        let job = job(&mut policy, &train, &objective, &config, &files);
        let job = with_validation(job, &validation);
        // With or without checkpoints, the folder is the run's own.
        let folder = RunFolder::create(path).or_else(|_| RunFolder::open(path));
        let mut training = Training::resume(job, folder.unwrap()).unwrap();
        let mut watcher = Watcher {
            die_after,
            ..Watcher::default()
        };
        let run = AssertUnwindSafe(|| training.run(&mut watcher, &never()).unwrap());
        let died = catch_unwind(run).is_err();
        assert_eq!(died, die_after.is_some());
    };
    let whole = home.path().join("whole");
    session(&whole, None);
    let expected = remains(&whole);
    for step in 1..8 {
        let path = home.path().join(step.to_string());
        session(&path, Some(step));
        let unfinished = path.join("checkpoints/.step-00000099.tmp");
        fs::create_dir(&unfinished).unwrap();
        session(&path, None);
        assert!(remains(&path) == expected, "killed after step {step}");
        assert!(!unfinished.exists());
    }
}

#[test]
fn each_pass_trains_on_every_trajectory_once_and_the_last_step_on_the_rest() {
    let train = Sequences::random(14, 1);
    let (files, config) = (Raw::exact(), config());
    let mut policy = Tabular::new();
    let home = tempfile::tempdir().unwrap();
    let folder = RunFolder::create(&home.path().join("run")).unwrap();
    let sft = objective(Preset::Sft);
    let job = job(&mut policy, &train, &sft, &config, &files);
    let mut watcher = Watcher::default();
    let mut training = Training::new(job, folder).unwrap();
    training.run(&mut watcher, &never()).unwrap();
    let sizes = watcher
        .steps
        .iter()
        .map(|step| step.diagnostics.trajectories);
    assert_eq!(sizes.collect::<Vec<_>>(), [4, 4, 4, 2, 4, 4, 4, 2]);
    let pass: u64 = train.tokens.iter().map(|tokens| tokens.len() as u64).sum();
    let tokens: Vec<_> = watcher.steps.iter().map(|step| step.tokens).collect();
    assert_eq!(tokens[..4].iter().sum::<u64>(), pass);
    assert_eq!(tokens[4..].iter().sum::<u64>(), pass);
    assert_eq!(watcher.steps[7].total_tokens, 2 * pass);
}

#[test]
fn half_an_epoch_is_half_of_its_steps_and_resumes_like_any_run() {
    let (train, validation) = data();
    let sft = objective(Preset::Sft);
    // 14 trajectories in steps of 4 are 4 steps: 6 steps are 1.5 epochs, and 1.4
    // epochs are 5.6 steps.
    for (epochs, steps, said) in [
        (1.5, 6, true),
        (1.4, 6, true),
        (0.5, 2, true),
        (1.0, 4, false),
    ] {
        let config = TrainConfig {
            epochs: Some(epochs),
            ..run_config()
        };
        let files = Raw::exact();
        let home = tempfile::tempdir().unwrap();
        let train_to = |run: &Path, stop_after: Option<u64>| {
            let stop = never();
            let mut policy = Tabular::new();
            let job = job(&mut policy, &train, &sft, &config, &files);
            let job = with_validation(job, &validation);
            let mut watcher = Watcher {
                stop_after: stop_after.map(|step| (step, &stop)),
                ..Watcher::default()
            };
            let mut training = match run.exists() {
                true => Training::resume(job, RunFolder::open(run).unwrap()).unwrap(),
                false => Training::new(job, RunFolder::create(run).unwrap()).unwrap(),
            };
            training.run(&mut watcher, &stop).unwrap();
            watcher.messages
        };
        let [whole, parts] = ["whole", "parts"].map(|name| home.path().join(name));
        let messages = train_to(&whole, None);
        let told = messages
            .iter()
            .any(|message| message.contains("rounded up"));
        assert_eq!(told, said, "{messages:?}");
        train_to(&parts, Some(1));
        train_to(&parts, None);
        assert_eq!(remains(&whole), remains(&parts));
        assert_eq!(remains(&whole).2.step, steps, "{epochs}");
    }
}

#[test]
fn rows_that_nothing_is_learnt_from_are_counted_and_said() {
    let (mut train, _) = data();
    train.weight[3] = 0.0;
    let files = Raw::exact();
    let (mut policy, sft, config) = (Tabular::new(), objective(Preset::Sft), config());
    let home = tempfile::tempdir().unwrap();
    let folder = RunFolder::create(&home.path().join("run")).unwrap();
    let job = job(&mut policy, &train, &sft, &config, &files);
    let mut watcher = Watcher::default();
    let mut training = Training::new(job, folder).unwrap();
    training.run(&mut watcher, &never()).unwrap();
    let told = "nothing is learnt from 1 of 14 trajectories (1 with weight 0)";
    assert_eq!(watcher.messages, [told]);
}

#[test]
fn the_last_k_checkpoints_and_the_best_validated_one_are_kept() {
    let train = Sequences::new(vec![vec![0, 1]; 4]);
    // Validation prefers another token: the longer the training, the worse.
    let validation = Sequences::new(vec![vec![0, 2]]);
    let config = TrainConfig {
        epochs: Some(6.0),
        warmup: iwsft_train::Warmup::Steps(0),
        validate_every: 1,
        checkpoint_every: 1,
        keep_last: 2,
        ..config()
    };
    let files = Raw::exact();
    let mut policy = Tabular::new();
    let home = tempfile::tempdir().unwrap();
    let run = home.path().join("run");
    let folder = RunFolder::create(&run).unwrap();
    let sft = objective(Preset::Sft);
    let job = job(&mut policy, &train, &sft, &config, &files);
    let job = with_validation(job, &validation);
    let mut watcher = Watcher::default();
    Training::new(job, folder)
        .unwrap()
        .run(&mut watcher, &never())
        .unwrap();
    let kept = iwsft_train::Checkpoints::of_run(&run).list().unwrap();
    let steps: Vec<_> = kept.iter().map(|one| one.record.step).collect();
    assert_eq!(steps, [1, 5, 6]);
    let best = checkpoint::best(&run).unwrap().unwrap();
    assert_eq!(best.record.step, 1);
    // Validation is the plain negative log-likelihood.
    let logits = read_policy(&best.path);
    let expected = -tabular::row(&logits, 0)[2].ln();
    let found = best.record.validation_nll.unwrap();
    assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    assert_eq!(watcher.validations.len(), 7);
}

#[test]
fn a_nan_stops_the_run_names_the_row_and_keeps_the_last_checkpoint() {
    // Only row 6 holds token 4.
    let mut tokens = vec![vec![0, 1, 2]; 8];
    tokens[5] = vec![0, 4];
    let train = Sequences::new(tokens);
    let config = TrainConfig {
        batch_size: 3,
        checkpoint_every: 1,
        seed: (0..).find(|&seed| comes_late(5, &train, seed)).unwrap(),
        ..config()
    };
    let files = Raw::exact();
    let mut policy = Tabular::new();
    policy.poison = Some(4);
    let home = tempfile::tempdir().unwrap();
    let run = home.path().join("run");
    let folder = RunFolder::create(&run).unwrap();
    let sft = objective(Preset::Sft);
    let job = job(&mut policy, &train, &sft, &config, &files);
    let mut training = Training::new(job, folder).unwrap();
    let error = training.run(&mut (), &never()).unwrap_err();
    let last = checkpoint::latest(&run).unwrap().unwrap();
    let saved = Tensor::from_host(&read_policy(&last.path));
    assert_eq!(bits(training.parameters()), bits(&saved));
    assert_eq!(last.record.step, training.step());
    let message = error.to_string();
    match error {
        TrainError::NonFinite {
            rows,
            step,
            last_good,
            ..
        } => {
            assert_eq!(rows, ["sequences.jsonl:6"]);
            assert_eq!(step, training.step() + 1);
            assert_eq!(last_good, Some(last.path));
        }
        other => panic!("{other}"),
    }
    assert!(message.contains("sequences.jsonl:6"), "{message}");
}

/// Whether trajectory `index` is in the last batch of three of the first pass.
fn comes_late(index: usize, train: &Sequences, seed: u64) -> bool {
    let order = EpochOrder::new(Mixture::whole(train.tokens.len()), None, seed).unwrap();
    order.epoch(0)[6..].contains(&index)
}

#[test]
fn an_infinite_gradient_stops_the_run_and_changes_no_parameter() {
    let train = Sequences::random(4, 1);
    let (files, config) = (Raw::exact(), config());
    let mut policy = Tabular::new();
    policy.infinite_gradients = true;
    let home = tempfile::tempdir().unwrap();
    let folder = RunFolder::create(&home.path().join("run")).unwrap();
    let sft = objective(Preset::Sft);
    let job = job(&mut policy, &train, &sft, &config, &files);
    let mut training = Training::new(job, folder).unwrap();
    let error = training.run(&mut (), &never()).unwrap_err();
    assert!(error.to_string().contains("gradient"), "{error}");
    assert!(error.to_string().contains("sequences.jsonl:3"), "{error}");
    assert_eq!(bits(training.parameters()), bits(&Tabular::start()));
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    tensor.to_host().iter().map(|x| x.to_bits()).collect()
}

#[test]
fn a_full_disk_keeps_the_earlier_checkpoints_and_the_run_can_be_resumed() {
    let train = Sequences::random(14, 1);
    let config = TrainConfig {
        checkpoint_every: 2,
        ..config()
    };
    let sft = objective(Preset::Sft);
    let home = tempfile::tempdir().unwrap();
    let (run, whole) = (home.path().join("run"), home.path().join("whole"));
    let files = Raw {
        room: Cell::new(2),
        ..Raw::exact()
    };
    let mut policy = Tabular::new();
    let folder = RunFolder::create(&run).unwrap();
    let first = job(&mut policy, &train, &sft, &config, &files);
    let mut training = Training::new(first, folder).unwrap();
    let error = training.run(&mut (), &never()).unwrap_err();
    drop(training);
    let message = error.to_string();
    assert!(matches!(error, TrainError::Save { .. }), "{message}");
    assert!(message.contains("no space left"), "{message}");
    assert!(message.contains("step-00000004"), "{message}");
    let names = fs::read_dir(run.join("checkpoints")).unwrap();
    let mut names: Vec<_> = names.map(|name| name.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["step-00000002", "step-00000004"]);

    files.room.set(usize::MAX);
    let second = job(&mut policy, &train, &sft, &config, &files);
    let folder = RunFolder::open(&run).unwrap();
    let mut training = Training::resume(second, folder).unwrap();
    assert_eq!(training.step(), 4);
    training.run(&mut (), &never()).unwrap();
    drop(training);
    let third = job(&mut policy, &train, &sft, &config, &files);
    let folder = RunFolder::create(&whole).unwrap();
    let mut training = Training::new(third, folder).unwrap();
    training.run(&mut (), &never()).unwrap();
    assert!(remains(&run) == remains(&whole));
}

#[test]
fn rewards_below_0_are_told_and_count_as_successes() {
    let mut train = Sequences::random(8, 1);
    train.reward[3] = -1.0;
    let (files, config) = (Raw::exact(), config());
    let mut policy = Tabular::new();
    let home = tempfile::tempdir().unwrap();
    let folder = RunFolder::create(&home.path().join("run")).unwrap();
    let iw_sft = objective(Preset::IwSftLlm);
    let job = job(&mut policy, &train, &iw_sft, &config, &files);
    let mut watcher = Watcher::default();
    Training::new(job, folder)
        .unwrap()
        .run(&mut watcher, &never())
        .unwrap();
    assert!(
        watcher.messages[0].contains("below 0"),
        "{:?}",
        watcher.messages
    );
    // At the first step p is the reference, so J is the mean reward.
    assert_eq!(watcher.steps[0].diagnostics.j, Some(1.0));
}
