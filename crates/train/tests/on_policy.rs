//! Runs on rollouts: what they learn, what they log, and that a run that was
//! stopped or killed ends like one that was not.

// Clippy takes only `#[test]` functions for tests, not what they call.
#![allow(clippy::unwrap_used)]

mod tabular;

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use iwsft_engine::Tensor;
use iwsft_objective::policy_gradient::{Advantages, PolicyGradientPreset};
use iwsft_objective::{PolicyGradient, PolicyGradientSpec, Reduction};
use iwsft_train::{
    Observer, OnPolicy, OnPolicyJob, Outcome, RolloutMetrics, Rollouts, Round, Rounds, RunFolder,
    SourceError, StepMetrics, TrainConfig, TrainError, Trajectories, checkpoint,
};
use serde_json::Value;
use tabular::{Raw, Sequences, Tabular, V, read_policy, row};

/// Completions of two tokens after a prompt; right where the first of them is the
/// prompt's successor.
struct Successors {
    groups: usize,
    group: usize,
    advantages: Advantages,
    /// Set while drawing this round: the drawing is broken off.
    give_up_in: Option<u64>,
    fail_in: Option<u64>,
}

struct Drawn {
    sequences: Sequences,
    behaviour: Vec<Vec<f32>>,
    advantage: Vec<f32>,
}

impl Trajectories for Drawn {
    type Batch = Vec<Vec<usize>>;

    fn len(&self) -> usize {
        self.sequences.len()
    }
    fn length(&self, index: usize) -> usize {
        self.sequences.length(index)
    }
    fn steps(&self, index: usize) -> usize {
        self.sequences.steps(index)
    }
    fn behaviour(&self, index: usize) -> Option<&[f32]> {
        Some(&self.behaviour[index])
    }
    fn advantage(&self, index: usize) -> f32 {
        self.advantage[index]
    }
    fn describe(&self, index: usize) -> String {
        self.sequences.describe(index)
    }
    fn batch(&self, indices: &[usize]) -> Self::Batch {
        self.sequences.batch(indices)
    }
    fn fingerprint(&self) -> blake3::Hash {
        self.sequences.fingerprint()
    }
}

/// The same number in 0..1 for the same place.
fn uniform(place: [u64; 4]) -> f64 {
    let bytes: Vec<u8> = place.iter().flat_map(|x| x.to_le_bytes()).collect();
    let hash = blake3::hash(&bytes);
    let word = u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap());
    (word >> 11) as f64 / (1_u64 << 53) as f64
}

fn choose(p: &[f64; V], u: f64) -> usize {
    let mut sum = 0.0;
    p.iter()
        .position(|p| {
            sum += p;
            u < sum
        })
        .unwrap_or(V - 1)
}

impl Rollouts<Tabular> for Successors {
    type Drawn = Drawn;

    fn draw(
        &mut self,
        _: &Tabular,
        parameters: &Tensor,
        round: u64,
        _: &mut dyn Observer,
    ) -> Result<Option<Round<Drawn>>, SourceError> {
        if self.give_up_in == Some(round) {
            return Ok(None);
        }
        if self.fail_in == Some(round) {
            return Err("the judge is asleep".into());
        }
        let logits = parameters.to_host();
        let (mut tokens, mut behaviour) = (Vec::new(), Vec::new());
        let (mut rewards, mut advantage) = (Vec::new(), Vec::new());
        let mut no_signal = 0;
        for prompt in 0..self.groups {
            let begin = rewards.len();
            for draw in 0..self.group {
                let mut sequence = vec![prompt % V];
                let mut log_probs = Vec::new();
                for t in 0..2 {
                    let p = row(&logits, sequence[t]);
                    let place = [round, prompt as u64, draw as u64, t as u64];
                    let token = choose(&p, uniform(place));
                    log_probs.push(p[token].ln() as f32);
                    sequence.push(token);
                }
                rewards.push(f32::from(u8::from(sequence[1] == (prompt + 1) % V)));
                tokens.push(sequence);
                behaviour.push(log_probs);
            }
            advantage.resize(rewards.len(), 0.0);
            let own = &mut advantage[begin..];
            self.advantages.of(&rewards[begin..], own);
            no_signal += u64::from(own.iter().all(|a| *a == 0.0));
        }
        let count = rewards.len();
        Ok(Some(Round {
            groups: self.groups as u64,
            reward: f64::from(rewards.iter().sum::<f32>()) / count as f64,
            no_signal,
            tokens: 2 * count as u64,
            cut: 0,
            rollouts: Drawn {
                sequences: Sequences::new(tokens),
                behaviour,
                advantage,
            },
        }))
    }
}

#[derive(Default)]
struct Watcher<'a> {
    stop_after: Option<(u64, &'a AtomicBool)>,
    die_after: Option<u64>,
    steps: Vec<StepMetrics>,
    rounds: Vec<RolloutMetrics>,
    messages: Vec<String>,
}

impl Observer for Watcher<'_> {
    fn on_message(&mut self, message: &str) {
        self.messages.push(message.to_owned());
    }

    fn on_rollouts(&mut self, metrics: &RolloutMetrics) {
        self.rounds.push(metrics.clone());
    }

    fn on_step(&mut self, metrics: &StepMetrics) {
        self.steps.push(metrics.clone());
        if let Some((step, stop)) = self.stop_after
            && step == metrics.step
        {
            stop.store(true, Ordering::Relaxed);
        }
        assert!(self.die_after != Some(metrics.step), "killed, as planned");
    }
}

fn preset(preset: PolicyGradientPreset) -> (Advantages, PolicyGradient) {
    let spec = PolicyGradientSpec {
        preset,
        ..PolicyGradientSpec::default()
    };
    let resolved = spec.resolve().unwrap();
    (resolved.advantages, resolved.gradient)
}

fn successors(advantages: Advantages) -> Successors {
    Successors {
        groups: 10,
        group: 8,
        advantages,
        give_up_in: None,
        fail_in: None,
    }
}

fn config() -> TrainConfig {
    TrainConfig {
        micro_tokens: 24,
        learning_rate: 0.1,
        weight_decay: 0.0,
        checkpoint_every: 2,
        ..TrainConfig::default()
    }
}

const ROUNDS: Rounds = Rounds {
    rounds: 8,
    updates: 2,
    passes: 2,
};

fn job<'a>(
    policy: &'a mut Tabular,
    rollouts: &'a mut Successors,
    gradient: &PolicyGradient,
    config: &TrainConfig,
    rounds: Rounds,
    files: &'a Raw,
) -> OnPolicyJob<'a, Tabular, Successors> {
    OnPolicyJob {
        policy,
        parameters: Tabular::start(),
        rollouts,
        gradient: gradient.clone(),
        config: config.clone(),
        rounds,
        files,
        settings: BTreeMap::new(),
    }
}

/// Checkpoint and log, without timings.
fn remains(run: &Path) -> (Vec<u8>, Vec<u8>, u64, Vec<Value>) {
    let last = checkpoint::latest(run).unwrap().unwrap();
    let log = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines = log.lines().map(|line| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        for timing in ["seconds", "round_seconds", "tokens_per_second"] {
            value.as_object_mut().unwrap().remove(timing);
        }
        value
    });
    (
        fs::read(last.path.join("policy")).unwrap(),
        fs::read(last.path.join("trainer.safetensors")).unwrap(),
        last.record.drawn,
        lines.collect(),
    )
}

const PRESETS: [PolicyGradientPreset; 3] = [
    PolicyGradientPreset::Grpo,
    PolicyGradientPreset::DrGrpo,
    PolicyGradientPreset::Reinforce,
];

#[test]
fn rounds_without_anything_to_learn_from_are_said() {
    let (advantages, gradient) = preset(PolicyGradientPreset::Grpo);
    // A single answer has nothing to be compared with.
    for (group, expected) in [(1, vec!["3 rounds", "6 rounds", "8 rounds"]), (8, vec![])] {
        let home = tempfile::tempdir().unwrap();
        let mut policy = Tabular::new();
        let mut rollouts = Successors {
            group,
            ..successors(advantages)
        };
        let (files, config) = (Raw::exact(), config());
        let folder = RunFolder::create(&home.path().join("run")).unwrap();
        let job = job(
            &mut policy,
            &mut rollouts,
            &gradient,
            &config,
            ROUNDS,
            &files,
        );
        let mut watcher = Watcher::default();
        let mut training = OnPolicy::new(job, folder).unwrap();
        training.run(&mut watcher, &AtomicBool::new(false)).unwrap();
        assert_eq!(watcher.messages.len(), expected.len());
        for (message, expected) in watcher.messages.iter().zip(expected) {
            assert!(message.starts_with(expected), "{message}");
            assert!(message.contains("same reward"), "{message}");
        }
    }
}

#[test]
fn every_preset_raises_the_reward_it_is_given() {
    for name in PRESETS {
        let (advantages, gradient) = preset(name);
        let home = tempfile::tempdir().unwrap();
        let (mut policy, mut rollouts) = (Tabular::new(), successors(advantages));
        let files = Raw::exact();
        let rounds = Rounds {
            rounds: 40,
            ..ROUNDS
        };
        let job = job(
            &mut policy,
            &mut rollouts,
            &gradient,
            &config(),
            rounds,
            &files,
        );
        let folder = RunFolder::create(&home.path().join("run")).unwrap();
        let mut run = OnPolicy::new(job, folder).unwrap();
        let mut watcher = Watcher::default();
        run.run(&mut watcher, &AtomicBool::new(false)).unwrap();
        let reward = |index: usize| watcher.rounds[index].reward;
        assert!(reward(0) < 0.4, "{}", reward(0));
        assert!(reward(39) > 0.9, "{name:?}: {}", reward(39));
        assert_eq!(watcher.steps.len(), 160);
        let told = watcher.rounds.last().unwrap();
        assert_eq!((told.step, told.round), (157, 40));
        assert_eq!(told.total_tokens, 40 * 10 * 8 * 2);
        let kl = watcher.steps.last().unwrap().diagnostics.kl;
        assert_eq!(kl.is_some(), name == PolicyGradientPreset::Grpo);
    }
}

#[test]
fn a_run_stopped_after_any_step_and_resumed_equals_an_uninterrupted_one_bit_for_bit() {
    let (advantages, gradient) = preset(PolicyGradientPreset::Grpo);
    let files = Raw::rounded();
    let home = tempfile::tempdir().unwrap();
    let (mut policy, mut rollouts) = (Tabular::new(), successors(advantages));
    let config = config();
    let mut session = |path: &Path, watcher: &mut Watcher<'_>, stop: &AtomicBool| {
        let job = job(
            &mut policy,
            &mut rollouts,
            &gradient,
            &config,
            ROUNDS,
            &files,
        );
        let mut run = if path.exists() {
            OnPolicy::resume(job, RunFolder::open(path).unwrap())
        } else {
            OnPolicy::new(job, RunFolder::create(path).unwrap())
        };
        run.as_mut().unwrap().run(watcher, stop).unwrap()
    };
    let whole = home.path().join("whole");
    session(&whole, &mut Watcher::default(), &AtomicBool::new(false));
    let expected = remains(&whole);
    for step in [1, 4, 7, 12, 21] {
        let path = home.path().join(format!("stopped-{step}"));
        let stop = AtomicBool::new(false);
        let mut watcher = Watcher {
            stop_after: Some((step, &stop)),
            ..Watcher::default()
        };
        let outcome = session(&path, &mut watcher, &stop);
        let Outcome::Stopped { step: at, .. } = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(at, step.next_multiple_of(4), "stops at the end of a round");
        session(&path, &mut Watcher::default(), &AtomicBool::new(false));
        assert!(remains(&path) == expected, "stopped after {step}");

        let path = home.path().join(format!("killed-{step}"));
        let mut watcher = Watcher {
            die_after: Some(step),
            ..Watcher::default()
        };
        let never = AtomicBool::new(false);
        let died = catch_unwind(AssertUnwindSafe(|| session(&path, &mut watcher, &never)));
        assert!(died.is_err());
        session(&path, &mut Watcher::default(), &never);
        assert!(remains(&path) == expected, "killed after {step}");
    }
}

#[test]
fn a_drawing_that_is_broken_off_ends_at_the_round_before_it() {
    let (advantages, gradient) = preset(PolicyGradientPreset::DrGrpo);
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("run");
    let (mut policy, mut rollouts) = (Tabular::new(), successors(advantages));
    rollouts.give_up_in = Some(3);
    let files = Raw::exact();
    let config = config();
    let first = job(
        &mut policy,
        &mut rollouts,
        &gradient,
        &config,
        ROUNDS,
        &files,
    );
    let mut run = OnPolicy::new(first, RunFolder::create(&path).unwrap()).unwrap();
    let outcome = run.run(&mut (), &AtomicBool::new(false)).unwrap();
    assert!(
        matches!(outcome, Outcome::Stopped { step: 12, .. }),
        "{outcome:?}"
    );
    drop(run);

    rollouts.give_up_in = None;
    rollouts.fail_in = Some(5);
    let again = job(
        &mut policy,
        &mut rollouts,
        &gradient,
        &config,
        ROUNDS,
        &files,
    );
    let mut run = OnPolicy::resume(again, RunFolder::open(&path).unwrap()).unwrap();
    let error = run.run(&mut (), &AtomicBool::new(false)).unwrap_err();
    assert!(matches!(error, TrainError::Rollouts { round: 5, .. }));
    assert!(error.to_string().contains("round 6: the judge is asleep"));
}

#[test]
fn another_gradient_or_number_of_updates_does_not_resume() {
    let (advantages, gradient) = preset(PolicyGradientPreset::DrGrpo);
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("run");
    let (mut policy, mut rollouts) = (Tabular::new(), successors(advantages));
    let (files, config) = (Raw::exact(), config());
    let first = job(
        &mut policy,
        &mut rollouts,
        &gradient,
        &config,
        ROUNDS,
        &files,
    );
    let mut run = OnPolicy::new(first, RunFolder::create(&path).unwrap()).unwrap();
    run.run(&mut (), &AtomicBool::new(false)).unwrap();
    drop(run);
    let other = PolicyGradient {
        clip: None,
        ..gradient.clone()
    };
    let updates = Rounds {
        updates: 4,
        passes: 1,
        ..ROUNDS
    };
    for (gradient, rounds, key) in [
        (&other, ROUNDS, "objective.clip"),
        (&gradient, updates, "rollout.updates"),
    ] {
        let again = job(
            &mut policy,
            &mut rollouts,
            gradient,
            &config,
            rounds,
            &files,
        );
        let error = OnPolicy::resume(again, RunFolder::open(&path).unwrap());
        let message = error.err().unwrap().to_string();
        assert!(message.contains(key), "{message}");
    }
}

/// One step of plain gradient descent is what REINFORCE says: the mean over all
/// tokens, those of groups without signal too, of `A grad log p`.
#[test]
fn a_first_step_follows_the_policy_gradient_whatever_the_micro_batches() {
    let gradient = PolicyGradient {
        clip: None,
        beta: 0.0,
        reduction: Reduction::Token,
    };
    let (advantages, _) = preset(PolicyGradientPreset::DrGrpo);
    // The first moment after one step is (1 - beta1) times the gradient.
    let rounds = Rounds {
        rounds: 1,
        updates: 1,
        passes: 1,
    };
    let mut found = Vec::new();
    for micro_tokens in [1, 30, 1 << 20] {
        let config = TrainConfig {
            micro_tokens,
            max_grad_norm: 0.0,
            warmup: iwsft_train::Warmup::Steps(0),
            ..config()
        };
        let home = tempfile::tempdir().unwrap();
        let (mut policy, mut rollouts) = (Tabular::new(), successors(advantages));
        let files = Raw::exact();
        let job = job(
            &mut policy,
            &mut rollouts,
            &gradient,
            &config,
            rounds,
            &files,
        );
        let path = home.path().join("run");
        let mut run = OnPolicy::new(job, RunFolder::create(&path).unwrap()).unwrap();
        let mut watcher = Watcher::default();
        run.run(&mut watcher, &AtomicBool::new(false)).unwrap();
        drop(run);
        let last = checkpoint::latest(&path).unwrap().unwrap();
        assert_eq!(read_policy(&last.path).len(), V * V);
        let norm = watcher.steps[0].grad_norm;

        let start = Tabular::start().to_host();
        let round = rollouts
            .draw(&policy, &Tabular::start(), 0, &mut ())
            .unwrap()
            .unwrap();
        let drawn = round.rollouts;
        let mut expected = [0.0; V * V];
        let mut tokens = 0.0;
        for (sequence, a) in drawn.sequences.tokens.iter().zip(&drawn.advantage) {
            for pair in sequence.windows(2) {
                tokens += 1.0;
                for (token, p) in row(&start, pair[0]).into_iter().enumerate() {
                    let hit = f64::from(u8::from(token == pair[1]));
                    expected[pair[0] * V + token] -= f64::from(*a) * (hit - p);
                }
            }
        }
        let expected = expected.map(|g| g / tokens);
        let length = expected.iter().map(|g| g * g).sum::<f64>().sqrt();
        assert!((norm - length).abs() < 1e-5, "{norm} {length}");
        // Adam's first step is the sign of the gradient times the rate.
        let trained = read_policy(&last.path);
        for ((g, before), after) in expected.iter().zip(&start).zip(&trained) {
            if g.abs() > 1e-4 {
                let moved = f64::from(after - before);
                assert!((moved + 0.1 * g.signum()).abs() < 1e-3, "{g} {moved}");
            }
        }
        found.push(trained);
    }
    for other in &found[1..] {
        for (a, b) in found[0].iter().zip(other) {
            assert!((a - b).abs() < 2e-4, "{a} {b}");
        }
    }
}
