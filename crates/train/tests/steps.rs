//! Single optimizer steps against what they must equal.

// Clippy takes only `#[test]` functions for tests, not what they call.
#![allow(clippy::unwrap_used)]

mod tabular;

use iwsft_data::{EpochOrder, Mixture};
use iwsft_engine::optim::AdamW;
use iwsft_engine::{Policy, Tensor};
use iwsft_objective::{Objective, ObjectiveSpec, Preset, Proposal, Quality};
use iwsft_train::{State, StepOutcome, Stepper, TrainConfig, Trajectories};
use proptest::prelude::*;
use tabular::{Sequences, Tabular, V, config, objective, reference, row, spec};

/// Makes steps on consecutive batches and returns every outcome, the last
/// state, and the parameters before each step.
fn run(
    train: &Sequences,
    objective: &Objective,
    config: &TrainConfig,
    steps: usize,
) -> (Vec<StepOutcome>, State, Vec<Vec<f32>>) {
    let mut policy = Tabular::new();
    let optimizer = AdamW::new(policy.layout(), config.adamw());
    let mut state = State::new(Tabular::start(), optimizer, objective);
    let reference = objective.needs_reference().then(|| reference(train));
    let (micro_tokens, clip) = (config.micro_tokens, config.clip());
    let mut stepper = Stepper::new(
        &mut policy,
        train,
        objective.clone(),
        reference,
        micro_tokens,
        clip,
    )
    .unwrap();
    let indices: Vec<_> = (0..train.tokens.len()).collect();
    let batches = indices.chunks(config.batch_size).cycle();
    let mut before = Vec::new();
    let outcomes = batches
        .take(steps)
        .map(|batch| {
            before.push(state.parameters.to_host());
            let rate = config.learning_rate;
            stepper.step(&mut state, batch, rate).unwrap()
        })
        .collect();
    (outcomes, state, before)
}

fn every_objective() -> Vec<Objective> {
    let mut all: Vec<_> = Preset::ALL
        .into_iter()
        .filter(|preset| *preset != Preset::PAlpha)
        .map(objective)
        .collect();
    all.push(spec(ObjectiveSpec {
        alpha: Some(0.5),
        ..Preset::PAlpha.spec()
    }));
    all.push(spec(ObjectiveSpec {
        quality: Some(Quality::Weight),
        self_normalise: Some(true),
        ..Preset::IwSftLlm.spec()
    }));
    all
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f32 {
    let (a, b) = (a.to_host(), b.to_host());
    let pairs = a.iter().zip(&b);
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    // The last batch of a pass is a partial one for most of these sizes.
    #[test]
    fn micro_batches_of_any_size_give_the_same_policy(
        count in 1_usize..20,
        batch_size in 1_usize..9,
        micro_tokens in 1_usize..60,
        seed in any::<u64>(),
    ) {
        let mut train = Sequences::random(count, seed);
        for (index, quality) in train.quality.iter_mut().enumerate() {
            *quality = (index % 3) as f32 + 0.5;
        }
        let steps = 2 * count.div_ceil(batch_size);
        for objective in every_objective() {
            let whole = TrainConfig { batch_size, micro_tokens: 1 << 20, ..config() };
            let (one, packed, _) = run(&train, &objective, &whole, steps);
            prop_assert!(one.iter().all(|outcome| outcome.micro_batches == 1));
            for micro_tokens in [1, micro_tokens] {
                let parts = TrainConfig { micro_tokens, ..whole.clone() };
                let (many, split, _) = run(&train, &objective, &parts, steps);
                let difference = largest_difference(&packed.parameters, &split.parameters);
                prop_assert!(difference < 2e-5, "{objective:?}: {difference}");
                for (one, many) in one.iter().zip(&many) {
                    prop_assert_eq!(one.tokens, many.tokens);
                    let (a, b) = (one.diagnostics.loss, many.diagnostics.loss);
                    prop_assert!((a - b).abs() < 1e-4 * a.abs().max(1.0), "{a} {b}");
                }
            }
        }
    }

    // The same, against the gradient written down directly.
    #[test]
    fn the_gradient_of_sft_is_the_mean_over_all_trajectories_of_the_step(
        count in 1_usize..12,
        micro_tokens in 1_usize..40,
        seed in any::<u64>(),
    ) {
        let train = Sequences::random(count, seed);
        let config = TrainConfig {
            batch_size: count,
            micro_tokens,
            max_grad_norm: 0.0,
            ..config()
        };
        let (outcomes, _, before) = run(&train, &objective(Preset::Sft), &config, 1);
        let mut gradient = [0.0_f64; V * V];
        for tokens in &train.tokens {
            let share = 1.0 / (count * (tokens.len() - 1)) as f64;
            for pair in tokens.windows(2) {
                for (token, p) in row(&before[0], pair[0]).into_iter().enumerate() {
                    let hit = if token == pair[1] { 1.0 } else { 0.0 };
                    gradient[pair[0] * V + token] -= share * (hit - p);
                }
            }
        }
        let norm = gradient.iter().map(|x| x * x).sum::<f64>().sqrt();
        let found = outcomes[0].grad_norm;
        prop_assert!((found - norm).abs() < 1e-5 * norm.max(1.0), "{found} {norm}");
    }
}

#[test]
fn every_weight_of_the_llm_preset_is_exactly_1_at_the_first_step() {
    let train = Sequences::random(8, 3);
    for preset in [Preset::IwSftLlm, Preset::IwSftLlmStep] {
        let (outcomes, ..) = run(&train, &objective(preset), &config(), 3);
        let first = &outcomes[0].diagnostics;
        assert_eq!(
            [first.weight_min, first.weight_mean, first.weight_max],
            [1.0; 3]
        );
        let later = &outcomes[2].diagnostics;
        assert!(later.weight_min < later.weight_max, "{later:?}");
    }
}

#[test]
fn the_moving_average_takes_in_the_policy_before_every_step() {
    let train = Sequences::random(9, 5);
    let objective = objective(Preset::IwSftControl);
    assert_eq!(objective.q, Proposal::Ema(0.9));
    let (_, state, before) = run(&train, &objective, &config(), 7);
    // Starting from the policy, the first average is the policy itself.
    let mut expected: Vec<f64> = before[0].iter().map(|&x| x.into()).collect();
    for parameters in &before {
        for (q, &p) in expected.iter_mut().zip(parameters) {
            *q = 0.9 * *q + 0.1 * f64::from(p);
        }
    }
    let proposal = state.proposal.unwrap().to_host();
    for (found, expected) in proposal.iter().zip(&expected) {
        let found = f64::from(*found);
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }
    assert_ne!(proposal, state.parameters.to_host());
}

#[test]
fn a_lagged_proposal_is_the_policy_of_the_last_renewal() {
    let train = Sequences::random(9, 6);
    let objective = spec(ObjectiveSpec {
        q: Some(Proposal::Lagged(3)),
        ..Preset::IwSftLlm.spec()
    });
    for steps in 1..=8 {
        let (_, state, before) = run(&train, &objective, &config(), steps);
        // Copied before the steps 1, 4, 7, ...
        let renewed = (steps - 1) / 3 * 3;
        assert_eq!(state.proposal.unwrap().to_host(), before[renewed]);
    }
}

#[test]
fn the_current_policy_as_proposal_keeps_no_copy() {
    let train = Sequences::random(4, 6);
    let (_, state, _) = run(&train, &objective(Preset::IwSftLlm), &config(), 1);
    assert!(state.proposal.is_none());
}

#[test]
fn a_weight_of_two_equals_the_row_listed_twice() {
    let spec = ObjectiveSpec {
        quality: Some(Quality::Weight),
        self_normalise: Some(true),
        ..Preset::Sft.spec()
    };
    let objective = tabular::spec(spec);
    let mut weighted = Sequences::random(5, 9);
    let mut listed = weighted.clone();
    weighted.quality[2] = 2.0;
    listed.tokens.push(listed.tokens[2].clone());
    let listed = Sequences::new(listed.tokens);
    let config = TrainConfig {
        batch_size: 6,
        ..config()
    };
    let (_, one, _) = run(&weighted, &objective, &config, 4);
    let (_, two, _) = run(&listed, &objective, &config, 4);
    assert!(largest_difference(&one.parameters, &two.parameters) < 1e-5);
}

/// J and its SFT bound, for qualities that are drawn by or weighed by: the mean
/// over `indices` of `r` times each trajectory's ratio, and of its bound.
fn expected_j(train: &Sequences, indices: &[usize], r: impl Fn(usize) -> f64) -> [f64; 2] {
    let (mut policy, start) = (Tabular::new(), Tabular::start());
    let own = iwsft_train::score(&mut policy, &start, train, 64, &mut |_| {});
    let mut sums = [0.0; 2];
    for &index in indices {
        let mean: f64 =
            own.get(index).iter().map(|&p| f64::from(p)).sum::<f64>() / own.get(index).len() as f64;
        let log_ratio = mean - REFERENCE;
        sums[0] += r(index) * log_ratio.exp();
        sums[1] += r(index) * (1.0 + log_ratio);
    }
    sums.map(|sum| sum / indices.len() as f64)
}

/// The log-probability of every step under a made-up reference.
const REFERENCE: f64 = -1.25;

/// A step on `indices` with qualities that work as said.
fn step_by_quality(train: &Sequences, quality: Quality, indices: &[usize]) -> StepOutcome {
    let objective = spec(ObjectiveSpec {
        quality: Some(quality),
        ..Preset::Sft.spec()
    });
    let mut policy = Tabular::new();
    let config = config();
    let optimizer = AdamW::new(policy.layout(), config.adamw());
    let mut state = State::new(Tabular::start(), optimizer, &objective);
    let referred = Referred(train.clone());
    let mut stepper = Stepper::new(&mut policy, &referred, objective, None, 16, None).unwrap();
    stepper.drawn_from(&Mixture::whole(train.tokens.len()));
    stepper.step(&mut state, indices, 0.1).unwrap()
}

/// Sequences with the reference as a column.
struct Referred(Sequences);

impl Trajectories for Referred {
    type Batch = Vec<Vec<usize>>;

    fn len(&self) -> usize {
        self.0.len()
    }
    fn length(&self, index: usize) -> usize {
        self.0.length(index)
    }
    fn steps(&self, index: usize) -> usize {
        self.0.steps(index)
    }
    fn reward(&self, index: usize) -> Option<f32> {
        self.0.reward(index)
    }
    fn quality(&self, index: usize) -> f32 {
        self.0.quality(index)
    }
    fn reference(&self, index: usize) -> Option<&[f32]> {
        const COLUMN: [f32; 16] = [REFERENCE as f32; 16];
        Some(&COLUMN[..self.steps(index)])
    }
    fn describe(&self, index: usize) -> String {
        self.0.describe(index)
    }
    fn batch(&self, indices: &[usize]) -> Self::Batch {
        self.0.batch(indices)
    }
    fn fingerprint(&self) -> blake3::Hash {
        self.0.fingerprint()
    }
}

#[test]
fn quality_counts_once_in_j_whether_rows_are_weighed_or_drawn_by_it() {
    let mut train = Sequences::random(12, 3);
    train.quality = (0..12).map(|i| [3.0, 0.5, 1.0, 0.0][i % 4]).collect();
    // With qualities, rewards are not looked at.
    train.reward = vec![-1.0; 12];
    let mean = train.quality.iter().copied().map(f64::from).sum::<f64>() / 12.0;
    let quality = |index: usize| f64::from(train.quality[index]);
    let close = |found: Option<f64>, expected: f64| {
        let found = found.unwrap();
        assert!(
            (found - expected).abs() < 1e-5 * expected.abs(),
            "{found} {expected}"
        );
    };

    let all: Vec<usize> = (0..12).collect();
    let weighed = step_by_quality(&train, Quality::Weight, &all).diagnostics;
    let [j, bound] = expected_j(&train, &all, quality);
    close(weighed.j, j);
    close(weighed.sft_bound, bound);
    close(weighed.sft_gap, j - bound);

    let drawn = EpochOrder::new(Mixture::whole(12), Some(&train.quality), 1).unwrap();
    let drawn = drawn.epoch(0);
    let by_drawing = step_by_quality(&train, Quality::Resample, &drawn).diagnostics;
    let [j, bound] = expected_j(&train, &drawn, |_| mean);
    close(by_drawing.j, j);
    close(by_drawing.sft_bound, bound);
    // The same self-normalised estimate of E_p[Q] as from all rows, drawn evenly.
    let [drawn_ratios, _] = expected_j(&train, &drawn, |index| mean / quality(index));
    close(by_drawing.j_self_normalised, j / drawn_ratios);
}

#[test]
fn sft_converges_to_the_frequencies_of_the_data() {
    // After token 0: token 1 twice, 2 once, 3 five times, in single steps.
    let tokens = [1, 1, 2, 3, 3, 3, 3, 3].map(|token| vec![0, token]);
    let train = Sequences::new(tokens.to_vec());
    let config = TrainConfig {
        batch_size: 8,
        learning_rate: 0.1,
        weight_decay: 0.0,
        eps: 1e-8,
        ..config()
    };
    let (outcomes, state, _) = run(&train, &objective(Preset::Sft), &config, 600);
    let found = row(&state.parameters.to_host(), 0);
    let expected = [0.0, 0.25, 0.125, 0.625, 0.0];
    for (found, expected) in found.into_iter().zip(expected) {
        assert!((found - expected).abs() < 2e-3, "{found} {expected}");
    }
    // The loss ends at the entropy of the frequencies.
    let entropy: f64 = expected
        .iter()
        .filter(|p| **p > 0.0)
        .map(|p| -p * p.ln())
        .sum();
    let loss = outcomes[599].diagnostics.loss;
    assert!((loss - entropy).abs() < 2e-3, "{loss} {entropy}");
}

#[test]
fn a_step_after_a_failed_one_is_as_if_that_had_not_been_tried() {
    let mut train = Sequences::random(5, 4);
    for token in train.tokens.iter_mut().flatten() {
        *token = (*token).min(V - 2);
    }
    train.tokens[4] = vec![0, V - 1];
    let one_each = TrainConfig {
        micro_tokens: 1,
        ..config()
    };
    let sft = objective(Preset::Sft);
    let mut after = Vec::new();
    for fail in [false, true] {
        let mut policy = Tabular::new();
        policy.poison = Some(V - 1);
        let optimizer = AdamW::new(policy.layout(), one_each.adamw());
        let mut state = State::new(Tabular::start(), optimizer, &sft);
        let mut stepper = Stepper::new(&mut policy, &train, sft.clone(), None, 1, None).unwrap();
        if fail {
            stepper.step(&mut state, &[0, 1, 4], 0.5).unwrap_err();
            assert_eq!(state.step, 0);
        }
        stepper.step(&mut state, &[0, 1, 2, 3], 0.5).unwrap();
        after.push(state.parameters.to_host());
    }
    assert_eq!(after[0], after[1]);
}
