//! `iwsft control record`, `train` and `eval` as a user runs them.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod fixture;

use std::fs;

use fixture::{Ended, Workplace, number};
use iwsft_data::episodes::{
    End, Episode, EpisodeColumns, Tail, read_episodes, write_d4rl, write_minari,
};

const RECIPE: &str = r#"
run = "run"
seeds = 2

[data]
path = "pendulum.hdf5"
percentiles = [50, 75]

[policy]
hidden = [8, 8]

[behaviour_cloning]
steps = 6
batch_size = 4

[objective]
preset = "iw-sft-control"

[train]
steps = 6
batch_size = 4
learning_rate = 1e-3
warmup = 2
checkpoint_every = 2

[environment]
name = "Pendulum-v1"
every = 3
episodes = 2
final_episodes = 3
"#;

/// Little data, and a recipe that is done in no time.
fn prepared() -> Workplace {
    let place = Workplace::new();
    let data = place.path("pendulum.hdf5");
    let args = ["control", "record", data.to_str().unwrap(), "--json"];
    let told = place
        .iwsft(&[&args[..], &["--episodes", "12"]].concat())
        .succeeds()
        .json();
    assert_eq!(
        (&told[0]["episodes"], &told[0]["steps"]),
        (&12.into(), &2400.into())
    );
    place.write("control.toml", RECIPE);
    place
}

fn train(place: &Workplace, run: &str, sets: &[&str]) -> Ended {
    let recipe = place.path("control.toml");
    let run = place.path(run);
    let mut args = vec!["control", "train", recipe.to_str().unwrap()];
    args.extend(["--json", "--run", run.to_str().unwrap()]);
    for set in sets {
        args.extend(["--set", set]);
    }
    place.iwsft(&args)
}

#[test]
fn collected_episodes_become_evaluated_policies() {
    let place = prepared();
    let told = train(&place, "run", &[]).succeeds();
    let result = &told.json()[0];
    assert_eq!(result["seeds"].as_array().unwrap().len(), 2);
    for policy in ["start", "last", "best"] {
        let found = result[policy]["return"]["value"].as_f64().unwrap();
        assert!((-2000.0..0.0).contains(&found), "{policy}: {found}");
    }
    assert_eq!(result["seeds"][0]["seed"], 0);
    assert_ne!(result["seeds"][0]["last"], result["seeds"][1]["last"]);

    // The log has every step, the weights' effective size, and evaluations
    // before the first step, by schedule and behind the last.
    let steps = place.metrics("run/seed-1/training", "step");
    assert_eq!(steps.len(), 6);
    assert!(number(&steps[5], "effective_share") > 0.0);
    let evaluations = place.metrics("run/seed-1/training", "eval");
    let at: Vec<_> = evaluations
        .iter()
        .map(|line| line["step"].clone())
        .collect();
    assert_eq!(at, [0, 3, 6]);

    // A report draws both, and says what the run came to.
    let run = place.path("run");
    let page = place.path("report.html");
    let args = ["report", run.to_str().unwrap(), "--json", "--out"];
    let told = place
        .iwsft(&[&args[..], &[page.to_str().unwrap()]].concat())
        .succeeds()
        .json();
    assert_eq!(told[0]["results"]["last"], result["last"]);
    let text = fs::read_to_string(&page).unwrap();
    let html = roxmltree::Document::parse_with_options(
        &text,
        roxmltree::ParsingOptions {
            allow_dtd: true,
            ..Default::default()
        },
    )
    .unwrap();
    let ids: Vec<_> = html
        .descendants()
        .filter_map(|node| node.attribute("id"))
        .collect();
    for id in ["scores", "learning", "nll", "recipes"] {
        assert!(ids.contains(&id), "no {id} in {ids:?}");
    }

    // The trained policy fares as the run says it does: the same episodes.
    let model = place.path("run/seed-0/model");
    let args = ["control", "eval", model.to_str().unwrap()];
    let places = ["--environment", "Pendulum-v1", "--episodes", "3"];
    let again = place
        .iwsft(&[&args[..], &places, &["--seed", "1000002", "--json"]].concat())
        .succeeds()
        .json();
    let expected = result["seeds"][0]["last"]["return"].as_f64().unwrap();
    let found = again[0]["return"]["value"].as_f64().unwrap();
    assert!((found - expected).abs() < 1e-6, "{found} {expected}");
}

#[test]
fn a_seed_is_the_same_alone_and_beside_others_and_resumed() {
    let place = prepared();
    train(&place, "both", &[]).succeeds();
    train(&place, "one", &["seeds=1", "train.seed=1"]).succeeds();
    let weights = |run: &str| fs::read(place.path(format!("{run}/seed-1/model/model.safetensors")));
    let expected = weights("both").unwrap();
    assert_eq!(weights("one").unwrap(), expected);

    // As if the run had been killed behind its fourth step.
    let seed = place.path("one/seed-1");
    fs::remove_file(seed.join("results.json")).unwrap();
    fs::remove_dir_all(seed.join("model")).unwrap();
    fs::remove_dir_all(seed.join("training/checkpoints/step-00000006")).unwrap();
    let run = place.path("one");
    let resume = ["control", "train", run.to_str().unwrap(), "--resume"];
    place.iwsft(&resume).succeeds();
    assert_eq!(weights("one").unwrap(), expected);
}

#[test]
fn every_objective_trains_a_policy() {
    let place = prepared();
    for (run, sets) in [
        ("step", &["objective.preset=iw-sft-control-step"][..]),
        (
            "sft-q",
            &[
                "objective={preset=\"sft\",quality=\"resample\"}",
                "data.percentiles=",
            ],
        ),
        (
            "iw-sft-q",
            &[
                "objective.quality=weight",
                "data.percentiles=",
                "data.quality=min-max",
            ],
        ),
        (
            "share",
            &[
                "objective.preset=sft",
                "behaviour_cloning=",
                "data.percentiles=",
                "data.top_share=0.25",
            ],
        ),
    ] {
        let sets = [&["seeds=1", "train.steps=2"], sets].concat();
        let told = train(&place, run, &sets).succeeds();
        let result = &told.json()[0];
        assert_eq!(result["start"].is_null(), run == "share", "{told}");
        assert!(
            result["last"]["return"]["interval"].is_null(),
            "one seed: {told}"
        );
    }
    // Products in bf16 give other numbers, and close ones.
    let sets = [
        "seeds=1",
        "train.precision=bf16",
        "behaviour_cloning.precision=bf16",
    ];
    let [single, half] = [("f32", &sets[..1]), ("bf16", &sets[..])].map(|(run, sets)| {
        train(&place, run, sets).succeeds();
        number(
            &place.metrics(&format!("{run}/seed-0/training"), "step")[5],
            "nll",
        )
    });
    assert!(
        single != half && (single - half).abs() < 0.02,
        "{single} {half}"
    );
    // A run's policies are where other runs may start.
    let sets = [
        "seeds=1",
        "train.steps=2",
        "behaviour_cloning=",
        "policy.start=share",
    ];
    train(&place, "started", &sets).succeeds();
    let sets = [&sets[..], &["policy.hidden=[9]"]].concat();
    train(&place, "differs", &sets).fails(2, &["share/seed-0/model", "differs", "widths"]);
}

/// What turns the recipe into one of a baseline.
const AS_BASELINE: [&str; 5] = [
    "objective=",
    "behaviour_cloning=",
    "policy=",
    "train=",
    "environment.every=4",
];

#[test]
fn every_baseline_trains_a_policy_and_goes_on_bit_for_bit() {
    let place = prepared();
    for algorithm in ["td3-bc", "iql", "awac", "cql", "rebrac"] {
        let baseline =
            format!("baseline={{algorithm=\"{algorithm}\",steps=8,batch_size=8,hidden=[8,8]}}");
        let sets = [&AS_BASELINE[..], &["data.percentiles=", &baseline]].concat();
        let told = train(&place, algorithm, &sets).succeeds();
        let result = &told.json()[0];
        assert_eq!(result["method"], algorithm);
        assert!(result["start"].is_null(), "{told}");
        let found = result["last"]["return"]["value"].as_f64().unwrap();
        assert!((-2000.0..0.0).contains(&found), "{algorithm}: {found}");
        let training = format!("{algorithm}/seed-1/training");
        let at: Vec<_> = place
            .metrics(&training, "eval")
            .iter()
            .map(|line| line["step"].clone())
            .collect();
        assert_eq!(at, [4, 8]);
        let update = &place.metrics(&training, "update")[0];
        assert!(number(update, "critic_loss").is_finite());

        // As if it had been killed in its last evaluation.
        let expected = place.weights(&format!("{algorithm}/seed-1"));
        let seed = place.path(algorithm).join("seed-1");
        fs::remove_file(seed.join("results.json")).unwrap();
        fs::remove_dir_all(seed.join("model")).unwrap();
        let run = place.path(algorithm);
        let resume = ["control", "train", run.to_str().unwrap(), "--resume"];
        place.iwsft(&resume).succeeds();
        assert_eq!(place.weights(&format!("{algorithm}/seed-1")), expected);
    }
}

#[test]
fn a_baseline_with_settings_that_are_not_its_own_is_refused() {
    let place = prepared();
    let baseline = "baseline={algorithm=\"iql\",steps=4,hidden=[8]}";
    for (sets, expected) in [
        (&[baseline][..], &["either [objective] or [baseline]"][..]),
        (&["objective="], &["either [objective] or [baseline]"]),
        (
            &["objective=", "behaviour_cloning=", "train=", baseline],
            &["[policy]", "no effect"],
        ),
        (
            &["objective=", "policy=", "train=", baseline],
            &["[behaviour_cloning]", "no effect"],
        ),
        (
            &["objective=", "policy=", "behaviour_cloning=", baseline],
            &["[train]", "no effect"],
        ),
    ] {
        train(&place, "refused", sets).fails(2, expected);
        assert!(!place.exists("refused"), "{sets:?}");
    }
    let sets = [&AS_BASELINE[..], &[baseline, "baseline.expectil=0.5"]].concat();
    train(&place, "refused", &sets).fails(2, &["expectil"]);
    let sets = [&AS_BASELINE[..], &[baseline, "baseline.hidden=[0]"]].concat();
    train(&place, "refused", &sets).fails(2, &["0 numbers"]);
}

#[test]
fn what_cannot_be_trained_is_refused_before_anything_is_written() {
    let place = prepared();
    for (sets, expected) in [
        (
            &["environment.name=Hopper-v4x"][..],
            &["did you mean `Hopper-v4`"][..],
        ),
        (
            &["environment.name=MountainCarContinuous-v0"],
            &[
                "pendulum.hdf5",
                "observations have 3",
                "MountainCarContinuous-v0 have 2",
            ],
        ),
        (
            &["environment.name=CartPole-v1"],
            &["CartPole-v1", "one of 2 choices"],
        ),
        (
            &["data.percentiles=[100]"],
            &["pendulum.hdf5", "none of the 12 episodes"],
        ),
        (&["data.top_share=0.1"], &["exclude each other"]),
        (
            &["behaviour_cloning="],
            &["reference", "[behaviour_cloning]"],
        ),
        (
            &["data.quality=min-max"],
            &["data.quality", "objective.quality"],
        ),
        (&["train.bach_size=2"], &["did you mean `batch_size`?"]),
        (&["policy.hidden=[0]"], &["[policy]", "0 numbers"]),
        (
            &["data.path=nothing.hdf5"],
            &["nothing.hdf5", "check the path"],
        ),
    ] {
        train(&place, "refused", sets).fails(2, expected);
        assert!(!place.exists("refused"), "{sets:?}");
    }
}

#[test]
fn what_cannot_act_or_be_recorded_is_refused() {
    let place = prepared();
    let nowhere = place.path("nowhere");
    let args = [
        "control",
        "eval",
        nowhere.to_str().unwrap(),
        "--environment",
    ];
    place
        .iwsft(&[&args[..], &["Pendulum-v1"]].concat())
        .fails(2, &["nowhere/config.json", "cannot read"]);
    place
        .iwsft(&[&args[..], &["CartPole-v1"]].concat())
        .fails(2, &["choices"]);
    let out = place.path("out.hdf5");
    let args = ["control", "record", out.to_str().unwrap()];
    for (more, expected) in [
        (
            &["--environment", "PointMaze-UMaze-v0"][..],
            "swings up Pendulum-v1",
        ),
        (&["--policy", "clever"], "expected energy, random"),
        (&["--noise", "2"], "expected 0 to 1"),
    ] {
        place
            .iwsft(&[&args[..], more].concat())
            .fails(2, &[expected]);
        assert!(!out.exists());
    }
}

#[test]
fn steps_without_an_end_are_counted_before_training_and_in_the_results() {
    let place = prepared();
    let data = place.path("pendulum.hdf5");
    let columns = EpisodeColumns::default();
    let recorded = read_episodes(&data, &columns, Tail::Keep).unwrap();
    let mut cut = recorded.select(&[0, 1]);
    let last = recorded.episode(2);
    let (o, a) = (recorded.observation_size(), recorded.action_size());
    cut.push(Episode {
        observations: &last.observations[..5 * o],
        actions: &last.actions[..5 * a],
        rewards: &last.rewards[..5],
        next_observations: &last.next_observations[..5 * o],
        end: End::Unfinished,
    });
    write_d4rl(&place.path("cut.hdf5"), &cut).unwrap();
    let sets = ["data.path=cut.hdf5", "data.percentiles=", "seeds=1"];
    let ended = train(&place, "cut", &sets).succeeds();
    let said = "2 of 3 episodes; 5 steps behind the last end were left out (data.tail = \"keep\" keeps them)";
    assert!(ended.stderr.contains(said), "{ended}");
    let results: serde_json::Value = serde_json::from_str(&place.read("cut/results.json")).unwrap();
    assert_eq!(results["left_out_steps"], 5);

    // Of Minari a group is an episode, over or not.
    write_minari(&place.path("cut-v0"), &cut, "cut-v0").unwrap();
    let sets = ["data.path=cut-v0", "data.percentiles=", "seeds=1"];
    let ended = train(&place, "whole", &sets).succeeds();
    assert!(ended.stderr.contains("data: 3 episodes"), "{ended}");
    assert!(!ended.stderr.contains("left out"), "{ended}");
}
