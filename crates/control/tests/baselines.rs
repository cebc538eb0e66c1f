//! Every algorithm on a task of one step, whose answer is known: two states, and a
//! reward of `1 - (action - best)^2` with another best action in each.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use std::fs;

use iwsft_control::baseline::{Algorithm, Baseline};
use iwsft_control::sac::{self, Sac};
use iwsft_control::{
    Diverged, GaussianConfig, GaussianPolicy, Generator, LearnedError, Transitions, load_learned,
    save_learned,
};
use iwsft_engine::Tensor;

/// The best action of the states -1 and 1.
const BEST: [f32; 2] = [-0.5, 0.5];

/// Random actions, and what they earned. Nothing follows.
fn data(count: usize) -> Transitions {
    let mut random = Generator::new(9);
    let mut data = Transitions::default();
    for index in 0..count {
        let which = index % 2;
        let state = [-1.0, 1.0][which];
        let action = random.uniform(-1.0, 1.0) as f32;
        data.observations.push(state);
        data.next_observations.push(state);
        data.actions.push(action);
        data.next_actions.push(action);
        data.rewards.push(1.0 - (action - BEST[which]).powi(2));
        data.goes_on.push(0.0);
    }
    data
}

fn settings(algorithm: &str, further: &str) -> Baseline {
    let text = format!("algorithm = '{algorithm}'\nhidden = [32, 32]\nbatch_size = 64\n{further}");
    toml::from_str(&text).unwrap()
}

fn train(algorithm: &mut dyn Algorithm, steps: std::ops::Range<u64>) {
    let data = data(2000);
    let mut batch = Transitions::default();
    for step in steps {
        let mut random = Generator::new(step);
        data.draw(64, &mut random, &mut batch);
        algorithm.update(&batch, &mut random).unwrap();
    }
}

/// What the policy does in each state.
fn actions(algorithm: &dyn Algorithm) -> [f32; 2] {
    let mut policy = GaussianPolicy::new(GaussianConfig {
        hidden: vec![32, 32],
        observation_mean: vec![0.0],
        observation_deviation: vec![1.0],
        action_low: vec![-1.0],
        action_high: vec![1.0],
    })
    .unwrap();
    let parameters = Tensor::from_vec(algorithm.policy());
    let mut actions = [0.0; 2];
    policy.act(&parameters, &[-1.0, 1.0], &mut actions);
    actions
}

/// Cloning all of the data would do nothing, 0, in both states: what is learnt lies
/// at least `share` of the way from there to the best, and not much beyond.
fn assert_learns(name: &str, found: [f32; 2], share: f32) {
    for (found, best) in found.into_iter().zip(BEST) {
        let reached = found / best;
        assert!(
            (share..1.25).contains(&reached),
            "{name}: {found} where {best} is best"
        );
    }
}

#[test]
fn every_baseline_finds_the_better_actions() {
    for (name, further, share) in [
        // Half of its loss pulls it to the data's mean.
        ("td3-bc", "learning_rate = 1e-3\nalpha = 10.0", 0.5),
        ("iql", "learning_rate = 1e-3\nbeta = 10.0", 0.5),
        ("awac", "learning_rate = 1e-3\nlambda = 0.1", 0.5),
        (
            "cql",
            "actor_learning_rate = 1e-3\ncritic_learning_rate = 1e-3\nalpha = 0.1\nactions = 4",
            0.5,
        ),
        ("rebrac", "learning_rate = 1e-3", 0.75),
    ] {
        let baseline = settings(name, further);
        let mut algorithm = baseline.begin([1, 1], 3).unwrap();
        train(algorithm.as_mut(), 0..1500);
        assert_learns(name, actions(algorithm.as_ref()), share);
        let metrics = algorithm.metrics();
        assert!(
            metrics.iter().all(|(_, value)| value.is_finite()),
            "{metrics:?}"
        );
    }
}

#[test]
fn sac_finds_the_better_actions() {
    let settings = sac::Settings {
        hidden: vec![32, 32],
        learning_rate: 1e-3,
        ..sac::Settings::default()
    };
    let mut sac = Sac::new(&settings, [1, 1], 3).unwrap();
    train(&mut sac, 0..2000);
    assert_learns("sac", actions(&sac), 0.75);
}

#[test]
fn what_was_learnt_goes_on_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("learned.safetensors");
    for name in ["td3-bc", "iql", "awac", "cql", "rebrac"] {
        let baseline = settings(name, "");
        let mut whole = baseline.begin([1, 1], 3).unwrap();
        train(whole.as_mut(), 0..21);
        let mut first = baseline.begin([1, 1], 3).unwrap();
        train(first.as_mut(), 0..10);
        save_learned(&path, first.learned()).unwrap();
        // Another seed: nothing of the beginning may matter.
        let mut second = baseline.begin([1, 1], 4).unwrap();
        load_learned(&path, second.learned()).unwrap();
        train(second.as_mut(), 10..21);
        assert_eq!(whole.policy(), second.policy(), "{name}");
    }
}

#[test]
fn the_file_of_other_networks_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("learned.safetensors");
    let mut iql = settings("iql", "").begin([1, 1], 3).unwrap();
    save_learned(&path, iql.learned()).unwrap();
    let mut wider = settings("iql", "").begin([2, 1], 3).unwrap();
    let error = load_learned(&path, wider.learned()).unwrap_err();
    assert!(matches!(error, LearnedError::Damaged { .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains("actor.parameters"), "{message}");
    let mut other = settings("td3-bc", "").begin([1, 1], 3).unwrap();
    assert!(load_learned(&path, other.learned()).is_err());
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(load_learned(&path, iql.learned()).is_err());
}

#[test]
fn a_gradient_that_is_not_finite_is_told_and_changes_nothing() {
    let mut iql = settings("iql", "").begin([1, 1], 3).unwrap();
    let mut batch = data(64);
    batch.rewards[5] = f32::NAN;
    let before = iql.learned()[2].state().tensors[0].1.to_host();
    let error = iql.update(&batch, &mut Generator::new(0)).unwrap_err();
    let expected = Diverged {
        network: "critic_1",
        update: 1,
    };
    assert_eq!(error, expected);
    assert_eq!(before, iql.learned()[2].state().tensors[0].1.to_host());
}

#[test]
fn settings_are_the_published_ones_unless_a_recipe_changes_them() {
    let baseline: Baseline = toml::from_str("algorithm = 'rebrac'\nactor_penalty = 0.05").unwrap();
    assert_eq!((baseline.steps(), baseline.batch_size()), (1_000_000, 1024));
    assert_eq!(baseline.hidden(), [256; 3]);
    let Baseline::Rebrac(settings) = &baseline else {
        unreachable!()
    };
    assert_eq!(
        (settings.actor_penalty, settings.critic_penalty),
        (0.05, 0.01)
    );
    let error = toml::from_str::<Baseline>("algorithm = 'iql'\nexpectil = 0.5").unwrap_err();
    assert!(error.to_string().contains("expectil"), "{error}");
    assert!(settings_of("iql").begin([3, 0], 0).is_err());
}

fn settings_of(algorithm: &str) -> Baseline {
    toml::from_str(&format!("algorithm = '{algorithm}'")).unwrap()
}
