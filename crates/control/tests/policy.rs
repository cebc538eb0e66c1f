//! The Gaussian policy: its density, its gradient, its files, and the rule that
//! makes data.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use std::fs;

use iwsft_control::{
    ControlError, GaussianConfig, GaussianFiles, GaussianPolicy, Generator, PolicyError, StepBatch,
    SwingUp, make, rollout,
};
use iwsft_engine::{Policy, Tensor};

fn config() -> GaussianConfig {
    GaussianConfig {
        hidden: vec![5, 4],
        observation_mean: vec![0.5, -1.0, 2.0],
        observation_deviation: vec![2.0, 0.5, 1.0],
        action_low: vec![-2.0, 0.0],
        action_high: vec![2.0, 1.0],
    }
}

/// `n` steps, of actions within the bounds.
fn batch(n: usize, seed: u64) -> StepBatch {
    let mut random = Generator::new(seed);
    let mut draw = |low: f64, high: f64, count: usize| -> Vec<f32> {
        (0..count)
            .map(|_| random.uniform(low, high) as f32)
            .collect()
    };
    StepBatch {
        observations: draw(-2.0, 2.0, 3 * n),
        actions: draw(0.1, 0.9, 2 * n),
        steps: n,
    }
}

/// Parameters with deviations that are not 1.
fn parameters(policy: &GaussianPolicy) -> Vec<f32> {
    let mut values = policy.initial(3).to_host();
    let log_std = policy.layout().get("log_std").unwrap().range.clone();
    values[log_std].copy_from_slice(&[-0.5, 0.25]);
    values
}

#[test]
fn the_density_is_that_of_the_mean_action_in_units_of_the_bounds() {
    let mut policy = GaussianPolicy::new(config()).unwrap();
    let values = Tensor::from_vec(parameters(&policy));
    let batch = batch(6, 1);
    let (mut means, mut found) = (vec![0.0; 12], vec![0.0; 6]);
    policy.act(&values, &batch.observations, &mut means);
    policy.log_probs(&values, &batch, &mut found);
    for (t, &found) in found.iter().enumerate() {
        let element = |i: usize, half: f32, log_std: f32| {
            let z = (batch.actions[2 * t + i] - means[2 * t + i]) / half / log_std.exp();
            -0.5 * z * z - log_std - 0.5 * std::f32::consts::TAU.ln()
        };
        let expected = element(0, 2.0, -0.5) + element(1, 0.5, 0.25);
        assert!((found - expected).abs() < 1e-4, "{found} {expected}");
        assert!(means[2 * t].abs() <= 2.0 && (0.0..=1.0).contains(&means[2 * t + 1]));
    }
}

#[test]
fn the_gradient_is_that_of_the_loss_by_differences() {
    let mut policy = GaussianPolicy::new(config()).unwrap();
    let values = parameters(&policy);
    let batch = batch(7, 2);
    let coefficients = [1.0, 0.5, 0.0, 2.0, 0.25, 1.0, 3.0];
    let mut log_probs = [0.0; 7];
    let mut gradients = Tensor::zeros(values.len());
    let at = Tensor::from_host(&values);
    policy.forward(&at, &batch, &mut log_probs);
    policy.backward(&at, &mut gradients, &batch, &coefficients);
    let mut loss = |values: &[f32]| -> f64 {
        policy.forward(&Tensor::from_host(values), &batch, &mut log_probs);
        let terms = log_probs.iter().zip(coefficients);
        -terms
            .map(|(&p, c)| f64::from(p) * f64::from(c))
            .sum::<f64>()
    };
    const STEP: f32 = 2e-3;
    for (index, &found) in gradients.to_host().iter().enumerate() {
        let [below, above] = [-STEP, STEP].map(|step| {
            let mut moved = values.clone();
            moved[index] += step;
            loss(&moved)
        });
        let expected = (above - below) / f64::from(2.0 * STEP);
        let error = (f64::from(found) - expected).abs();
        assert!(
            error < 0.02 * expected.abs().max(1.0),
            "parameter {index}: {found}, by differences {expected}"
        );
    }
}

#[test]
fn a_batch_is_its_trajectories_one_by_one() {
    let mut policy = GaussianPolicy::new(config()).unwrap();
    let values = Tensor::from_vec(parameters(&policy));
    let (first, second) = (batch(3, 1), batch(4, 2));
    let both = StepBatch {
        observations: [&first.observations[..], &second.observations].concat(),
        actions: [&first.actions[..], &second.actions].concat(),
        steps: 7,
    };
    let mut together = [0.0; 7];
    let mut apart = [0.0; 7];
    policy.log_probs(&values, &both, &mut together);
    policy.log_probs(&values, &first, &mut apart[..3]);
    policy.log_probs(&values, &second, &mut apart[3..]);
    for (a, b) in together.iter().zip(apart) {
        assert!((a - b).abs() < 1e-5, "{together:?} {apart:?}");
    }
}

#[test]
fn a_policy_survives_a_round_trip_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let policy = GaussianPolicy::new(config()).unwrap();
    let values = policy.initial(1);
    let files = GaussianFiles::of(&policy);
    files.save(folder.path(), &values).unwrap();
    let (again, parameters) = GaussianPolicy::open(folder.path()).unwrap();
    assert_eq!(again.config(), policy.config());
    assert_eq!(parameters.to_host(), values.to_host());
}

#[test]
fn folders_that_hold_no_policy_are_refused_with_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let policy = GaussianPolicy::new(config()).unwrap();
    let files = GaussianFiles::of(&policy);
    files.save(folder.path(), &policy.initial(1)).unwrap();
    let weights = folder.path().join("model.safetensors");
    let whole = fs::read(&weights).unwrap();
    for length in [0, 7, 100, whole.len() - 1] {
        fs::write(&weights, &whole[..length]).unwrap();
        let error = GaussianPolicy::open(folder.path()).err().unwrap();
        assert!(matches!(error, PolicyError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("model.safetensors"), "{error}");
    }
    fs::write(&weights, &whole).unwrap();
    let config = folder.path().join("config.json");
    let text = fs::read_to_string(&config).unwrap();
    for (from, to) in [
        ("\"hidden\"", "\"hiden\""),
        ("-2.0", "3.0"),
        ("2.0", "1e40"),
        ("{", ""),
    ] {
        fs::write(&config, text.replacen(from, to, 1)).unwrap();
        let error = GaussianPolicy::open(folder.path()).err().unwrap();
        assert!(error.to_string().contains("config.json"), "{to}: {error}");
    }
    let wider = GaussianConfig {
        hidden: vec![5, 6],
        ..self::config()
    };
    let error = GaussianFiles::of(&GaussianPolicy::new(wider).unwrap())
        .load(folder.path())
        .unwrap_err();
    assert!(error.to_string().contains("[4, 5]"), "{error}");
}

#[test]
fn the_rule_swings_the_pendulum_up_and_keeps_it_there() {
    let mut environments: Vec<_> = (0..20).map(|_| make("Pendulum-v1").unwrap()).collect();
    let rule = SwingUp::of(&environments[0]).unwrap();
    let mut last = [[0.0_f32; 3]; 20];
    rollout::<ControlError>(
        &mut environments,
        0,
        |observations, _, actions| {
            for (action, seen) in actions.iter_mut().zip(observations.as_chunks::<3>().0) {
                *action = rule.act(*seen);
            }
            Ok(())
        },
        |index, _, _, _, seen| last[index].copy_from_slice(seen),
    )
    .unwrap();
    for [cos, _, speed] in last {
        assert!(cos > 0.99 && speed.abs() < 0.5, "{cos} {speed}");
    }
    let other = make("CartPole-v1").unwrap();
    assert!(SwingUp::of(&other).is_err());
}

#[test]
fn a_rollout_ends_each_episode_by_itself() {
    // CartPole falls early, and in each environment at another time.
    let mut environments: Vec<_> = (0..6).map(|_| make("CartPole-v1").unwrap()).collect();
    let mut lengths = [0; 6];
    let mut ended = [0; 6];
    rollout::<ControlError>(
        &mut environments,
        5,
        |observations, running, actions| {
            assert_eq!(observations.len(), 4 * running.len());
            actions.fill(1.0);
            Ok(())
        },
        |index, _, _, step, _| {
            lengths[index] += 1;
            ended[index] += usize::from(step.is_last());
        },
    )
    .unwrap();
    assert_eq!(ended, [1; 6]);
    for (index, &length) in lengths.iter().enumerate() {
        let mut alone = make("CartPole-v1").unwrap();
        let mut seen = [0.0; 4];
        alone.reset(Some(5 + index as u64), &mut seen).unwrap();
        let mut steps = 1;
        while !alone.step(&[1.0], &mut seen).unwrap().is_last() {
            steps += 1;
        }
        assert_eq!(length, steps, "environment {index}");
    }
}
