//! What holds for every environment.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use iwsft_control::{
    Actions, ControlError, Environment, Generator, VectorEnvironment, environments, library, make,
};

/// Names of the environments that can be made here; says which ones cannot.
fn names() -> Vec<&'static str> {
    let has_all = library().is_ok_and(|library| library.is_pinned());
    let can_be_made = |name: &&str| match make(name) {
        Err(ControlError::Mujoco { source, .. }) if !has_all => {
            eprintln!("skipped for {name}: {source}");
            false
        }
        made => {
            made.unwrap_or_else(|error| panic!("{error}"));
            true
        }
    };
    environments()
        .map(|spec| spec.name)
        .filter(can_be_made)
        .collect()
}

/// An action within the bounds.
fn random_action(actions: &Actions, random: &mut Generator) -> Vec<f32> {
    match actions {
        Actions::Discrete(count) => vec![random.index(*count) as f32],
        Actions::Continuous(bounds) => (bounds.low.iter().zip(&bounds.high))
            .map(|(&low, &high)| random.uniform(low.into(), high.into()) as f32)
            .collect(),
    }
}

fn observation_of(environment: &Environment) -> Vec<f64> {
    vec![0.0; environment.spec().observation_size()]
}

#[test]
fn an_unknown_name_is_answered_with_the_nearest_one() {
    for (name, expected) in [
        ("hopper-v4", "Hopper-v4"),
        ("HalfChetah-v5", "HalfCheetah-v5"),
        ("Pendulum-v0", "Pendulum-v1"),
        ("PointMaze_UMaze-v3", "PointMaze-UMaze-v0"),
    ] {
        let error = make(name).err().unwrap();
        let ControlError::UnknownEnvironment { nearest, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(*nearest, Some(expected), "{name}");
        assert!(
            error
                .to_string()
                .contains(&format!("did you mean `{expected}`?"))
        );
    }
    let message = make("Breakout-v5").err().unwrap().to_string();
    assert!(!message.contains("did you mean"), "{message}");
    assert!(message.contains("iwsft control environments"), "{message}");
}

#[test]
fn a_seed_decides_the_whole_episode() {
    for name in names() {
        let episode = |seed: u64| {
            let mut environment = make(name).unwrap();
            let mut observation = observation_of(&environment);
            let mut seen = Vec::new();
            environment.reset(Some(seed), &mut observation).unwrap();
            seen.extend_from_slice(&observation);
            let mut random = Generator::new(1);
            for _ in 0..20 {
                let action = random_action(&environment.spec().actions, &mut random);
                let step = environment.step(&action, &mut observation).unwrap();
                seen.extend_from_slice(&observation);
                seen.push(step.reward);
                if step.is_last() {
                    break;
                }
            }
            seen
        };
        assert_eq!(episode(3), episode(3), "{name}");
        assert_ne!(episode(3), episode(4), "{name}");
    }
}

#[test]
fn an_episode_ends_at_its_time_limit_and_no_step_follows() {
    let mut environment = make("Pendulum-v1").unwrap();
    let mut observation = observation_of(&environment);
    let none = ControlError::NoEpisode {
        name: "Pendulum-v1",
    };
    assert_eq!(
        environment.step(&[0.0], &mut observation),
        Err(none.clone())
    );
    environment.reset(Some(0), &mut observation).unwrap();
    for step in 1..=200 {
        let outcome = environment.step(&[0.0], &mut observation).unwrap();
        assert_eq!(
            (outcome.terminated, outcome.truncated),
            (false, step == 200)
        );
    }
    assert_eq!(environment.step(&[0.0], &mut observation), Err(none));
    environment.reset(None, &mut observation).unwrap();
    environment.step(&[0.0], &mut observation).unwrap();
}

#[test]
fn a_step_that_is_refused_changes_nothing() {
    let mut environment = make("Pendulum-v1").unwrap();
    let mut observation = observation_of(&environment);
    environment.reset(Some(0), &mut observation).unwrap();
    let before = environment.state().to_vec();
    let refused = [
        environment.step(&[f32::NAN], &mut observation),
        environment.step(&[0.0, 0.0], &mut observation),
        environment.step(&[0.0], &mut [0.0; 2]),
    ];
    let messages: Vec<String> = refused.map(|error| error.unwrap_err().to_string()).into();
    assert_eq!(
        messages,
        [
            "Pendulum-v1: element 0 of the action is NaN; it must be finite",
            "Pendulum-v1: the action has 2 numbers; it must have 1",
            "Pendulum-v1: the observation has 2 numbers; it must have 3",
        ]
    );
    assert_eq!(environment.state(), before);
    let error = environment.set_state(&[0.0, f64::INFINITY], &mut observation);
    assert!(
        matches!(error, Err(ControlError::State { index: 1, .. })),
        "{error:?}"
    );
    assert_eq!(environment.state(), before);
}

#[test]
fn a_choice_is_a_whole_number_below_their_count() {
    let mut environment = make("CartPole-v1").unwrap();
    let mut observation = observation_of(&environment);
    environment.reset(Some(0), &mut observation).unwrap();
    for wrong in [-1.0, 0.5, 2.0, f32::NAN] {
        let error = environment.step(&[wrong], &mut observation).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("it must be a whole number from 0 to 1"),
            "{error}"
        );
    }
    for right in [0.0, 1.0] {
        environment.step(&[right], &mut observation).unwrap();
    }
}

#[test]
fn environments_side_by_side_do_what_each_does_alone() {
    for name in names() {
        let count = 3;
        let mut together = VectorEnvironment::make(name, count).unwrap();
        let mut alone: Vec<Environment> = (0..count).map(|_| make(name).unwrap()).collect();
        let (o, a) = (
            together.spec().observation_size(),
            together.spec().action_size(),
        );
        let mut expected = vec![0.0; count * o];
        for (index, (environment, row)) in alone
            .iter_mut()
            .zip(expected.chunks_exact_mut(o))
            .enumerate()
        {
            environment.reset(Some(5 + index as u64), row).unwrap();
        }
        assert_eq!(together.reset(Some(5)).unwrap(), expected, "{name}");
        let mut random = Generator::new(0);
        let mut ends = 0;
        for _ in 0..60 {
            let actions: Vec<f32> = (0..count)
                .flat_map(|_| random_action(&alone[0].spec().actions, &mut random))
                .collect();
            let outcomes = together.step(&actions).unwrap();
            for (index, environment) in alone.iter_mut().enumerate() {
                let row = index * o..(index + 1) * o;
                let (mut last, action) = (vec![0.0; o], &actions[index * a..(index + 1) * a]);
                let step = environment.step(action, &mut last).unwrap();
                assert_eq!(outcomes.steps[index], step, "{name}");
                assert_eq!(outcomes.last_observations[row.clone()], last, "{name}");
                if step.is_last() {
                    ends += 1;
                    environment.reset(None, &mut last).unwrap();
                }
                assert_eq!(outcomes.observations[row], last, "{name}");
            }
        }
        if ["CartPole-v1", "Hopper-v4"].contains(&name) {
            assert!(ends > 0, "{name}: nothing was reset");
        }
    }
}

#[test]
fn one_bad_action_keeps_all_environments_from_stepping() {
    let mut pendulums = VectorEnvironment::make("Pendulum-v1", 2).unwrap();
    assert!(matches!(
        pendulums.step(&[0.0, 0.0]),
        Err(ControlError::NoEpisode { .. })
    ));
    pendulums.reset(Some(0)).unwrap();
    assert!(matches!(
        pendulums.step(&[0.0, f32::NAN]),
        Err(ControlError::Action { .. })
    ));
    assert!(matches!(
        pendulums.step(&[0.0]),
        Err(ControlError::Length { found: 1, .. })
    ));
    let observations = pendulums.step(&[0.0, 0.0]).unwrap().observations.clone();
    let mut untouched = VectorEnvironment::make("Pendulum-v1", 2).unwrap();
    untouched.reset(Some(0)).unwrap();
    assert_eq!(
        untouched.step(&[0.0, 0.0]).unwrap().observations,
        observations
    );
}

#[test]
fn the_ball_of_a_maze_gets_from_the_top_of_the_u_to_its_bottom() {
    let mut maze = make("PointMaze-UMaze-v0").unwrap();
    let mut seen = observation_of(&maze);
    // From the upper left cell to the lower left one, around the wall.
    maze.set_state(&[-1.0, 1.0, 0.0, 0.0, -1.0, -1.0], &mut seen)
        .unwrap();
    let (mut waypoints, mut rewards) = (vec![[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0]], 0.0);
    for _ in 0..300 {
        let [x, y] = waypoints[waypoints.len() - 1];
        if (seen[0] - x).hypot(seen[1] - y) < 0.3 && waypoints.len() > 1 {
            waypoints.pop();
        }
        let towards = |at: f64, goal: f64, speed: f64| (4.0 * (goal - at) - speed) as f32;
        let action = [towards(seen[0], x, seen[2]), towards(seen[1], y, seen[3])];
        rewards += maze.step(&action, &mut seen).unwrap().reward;
    }
    assert!(rewards > 50.0, "{rewards} steps at the goal");
}

#[test]
fn two_cameras_do_not_disturb_each_other() {
    const SIZE: [usize; 2] = [64, 48];
    let begin = |name| -> Result<_, ControlError> {
        let mut environment = make(name)?;
        let mut observation = observation_of(&environment);
        environment.reset(Some(0), &mut observation)?;
        let camera = environment.camera(SIZE)?;
        Ok((environment, camera))
    };
    let (hopper, mut of_hopper) = match begin("Hopper-v4") {
        Ok(begun) => begun,
        // No MuJoCo, or no OpenGL.
        Err(ControlError::Mujoco { source, .. }) => return eprintln!("skipped: {source}"),
        Err(error) => panic!("{error}"),
    };
    let alone = hopper.photograph(&mut of_hopper);
    let (ant, mut of_ant) = begin("Ant-v5").unwrap();
    let other = ant.photograph(&mut of_ant);
    assert_eq!(hopper.photograph(&mut of_hopper), alone);
    drop(of_hopper);
    assert_eq!(ant.photograph(&mut of_ant), other);
    assert_eq!(alone.len(), 3 * SIZE[0] * SIZE[1]);
    assert_ne!(alone, other);
    assert!(matches!(
        make("Pendulum-v1").unwrap().camera(SIZE),
        Err(ControlError::Camera { .. })
    ));
}
