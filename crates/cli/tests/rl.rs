//! `iwsft rl`: what a run learns and leaves behind, and that it resumes.

#![cfg(unix)] // Signals, and a program that is a shell script.
#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod fixture;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use fixture::{Ended, Workplace, number};
use serde_json::{Value, json};

/// Whatever is asked, 7 is the answer: soon learned, and by chance right at first.
const RL: &str = r#"
run = "run"

[model]
path = "model"

[prompts]
file = "prompts.jsonl"

[grade]
extract = ["last-number"]

[rollout]
rounds = 18
prompts = 8
group = 16
max_tokens = 3

[objective]
preset = "dr-grpo"

[train]
learning_rate = 1e-2
warmup = 0
schedule = "constant"
"#;

fn place() -> Workplace {
    let place = Workplace::new();
    let row = |i: usize| format!("{}\n", json!({"prompt": format!("{i}+1="), "answer": 7}));
    let rows: Vec<String> = (0..20).map(row).collect();
    place.write("prompts.jsonl", &rows.concat());
    place.write("rl.toml", RL);
    place
}

fn rl(place: &Workplace, run: &str, sets: &[&str], options: &[&str]) -> Ended {
    let mut args = vec!["rl", "rl.toml", "--run", run];
    args.extend(sets.iter().flat_map(|set| ["--set", set]));
    args.extend(options);
    place.iwsft(&args)
}

/// The log of a run, without times.
fn log(place: &Workplace, run: &str) -> Vec<Value> {
    let mut lines = place.lines(&format!("{run}/metrics.jsonl"));
    for line in &mut lines {
        let line = line.as_object_mut().unwrap();
        let times = ["seconds", "round_seconds", "tokens_per_second"];
        line.retain(|key, _| !times.contains(&key.as_str()));
    }
    lines
}

#[test]
fn a_policy_learns_what_is_rewarded_and_leaves_a_run_like_any_other() {
    let place = place();
    place.write(
        "problems.jsonl",
        "{\"question\": \"3+4=\", \"answer\": 7}\n",
    );
    let sets = [
        "eval={ every = 9, problems = 'problems.jsonl', plain = true, k = 8, \
         sampling = { max_tokens = 3, temperature = 1.0 } }",
    ];
    let ended = rl(&place, "run", &sets, &["--json", "--tensorboard"]).succeeds();
    let told = &ended.json()[0];
    assert!(number(told, "reward_first") < 0.3, "{told}");
    assert!(number(told, "reward_end") > 0.8, "{told}");
    assert_eq!(number(told, "completions"), 18.0 * 8.0 * 16.0);
    assert_eq!(
        (number(told, "rounds"), number(told, "steps")),
        (18.0, 18.0)
    );

    let rounds = place.metrics("run", "rollouts");
    let sum = |key: &str| rounds.iter().map(|round| number(round, key)).sum::<f64>();
    assert_eq!(sum("tokens"), number(told, "tokens_sampled"));
    assert_eq!(
        number(rounds.last().unwrap(), "total_tokens"),
        sum("tokens")
    );
    let steps = place.metrics("run", "step");
    assert_eq!(steps.len(), 18);
    let trained: f64 = steps.iter().map(|step| number(step, "tokens")).sum();
    assert_eq!(trained, number(told, "tokens_trained"));
    // One update a round: the policy is the one that drew, so what the sampler
    // said of its tokens is what training finds.
    for step in &steps {
        for end in ["weight_min", "weight_max"] {
            assert!((number(step, end) - 1.0).abs() < 1e-3, "{step}");
        }
        assert!(step["kl"].is_null());
    }
    // Groups without signal are not trained on, and the log says so.
    let last = rounds.last().unwrap();
    if number(last, "no_signal") > 0.0 {
        let step = steps.last().unwrap();
        assert!(number(step, "trajectories") < 128.0, "{step}");
    }
    let evaluations = place.metrics("run", "eval");
    let at: Vec<f64> = evaluations
        .iter()
        .map(|each| number(each, "step"))
        .collect();
    assert_eq!(at, [0.0, 9.0, 18.0]);
    let value = |each: &Value| each["metrics"][0]["value"].as_f64().unwrap();
    assert!(value(&evaluations[2]) > value(&evaluations[0]));
    assert!(told["evaluation"]["metrics"].is_array());

    // The model answers, the report shows the reward.
    let args = [
        "sample",
        "run/model",
        "--prompt",
        "2+2=",
        "--max-tokens",
        "3",
        "--json",
    ];
    let answer = place.iwsft(&args).succeeds();
    assert!(
        answer.json()[0]["completion"]
            .as_str()
            .unwrap()
            .contains('7')
    );
    place.iwsft(&["report", "run"]).succeeds();
    let report = place.read("run/report.html");
    for part in [
        "the mean reward of its rollouts rose",
        "Mean reward of the rollouts",
        "Groups without signal",
        "dr-grpo",
    ] {
        assert!(report.contains(part), "{part}");
    }
    assert!(place.exists("run/tensorboard"));
    let recipe = place.read("run/recipe.toml");
    assert!(recipe.contains("group = 16"), "{recipe}");
    let again = rl(&place, "run", &[], &[]);
    again.fails(2, &["run", "already holds a run", "resume"]);
}

#[test]
fn every_gradient_learns_and_beta_holds_the_policy_to_its_start() {
    let place = place();
    let reward = |run: &str, sets: &[&str]| {
        let ended = rl(&place, run, sets, &["--json"]).succeeds();
        ended.json().remove(0)
    };
    let grpo = reward(
        "grpo",
        &[
            "objective.preset=grpo",
            "objective.beta=0",
            "rollout.updates=2",
        ],
    );
    let reinforce = reward("reinforce", &["objective.preset=reinforce"]);
    for told in [&grpo, &reinforce] {
        assert!(number(told, "reward_end") > 0.6, "{told}");
        assert!(told["kl_end"].is_null());
    }
    let held = reward("held", &["objective.preset=grpo", "objective.beta=5"]);
    let free = reward("free", &["objective.preset=grpo", "objective.beta=0.001"]);
    assert!(
        number(&held, "kl_end") < 0.2 * number(&free, "kl_end"),
        "{held} {free}"
    );
    let first = &place.metrics("held", "step")[0];
    assert!(
        number(first, "kl").abs() < 1e-6,
        "the start is the reference"
    );
    // With the anchor even a group without signal is trained on.
    for step in place.metrics("held", "step") {
        assert_eq!(number(&step, "trajectories"), 128.0);
    }
}

#[test]
fn no_result_depends_on_how_completions_are_batched_or_runs_are_packed() {
    let place = place();
    let short = "rollout.rounds=4";
    rl(&place, "whole", &[short], &[]).succeeds();
    rl(&place, "batched", &[short, "rollout.batch=3"], &[]).succeeds();
    assert!(place.weights("whole") == place.weights("batched"));
    assert_eq!(log(&place, "whole"), log(&place, "batched"));
    rl(&place, "packed", &[short, "train.micro_tokens=8"], &[]).succeeds();
    let first = |run: &str| log(&place, run)[0].clone();
    assert_eq!(
        first("whole"),
        first("packed"),
        "the first round is the same"
    );
    rl(&place, "other", &[short, "train.seed=1"], &[]).succeeds();
    assert_ne!(first("whole"), first("other"));
}

#[test]
fn a_run_killed_at_any_moment_and_resumed_ends_with_the_same_bytes() {
    let place = place();
    let sets = [
        "rollout.rounds=60",
        "rollout.updates=2",
        "rollout.passes=2",
        "objective.beta=0.01",
        "train.checkpoint_every=4",
        "model.save_as=bf16",
    ];
    rl(&place, "whole", &sets, &[]).succeeds();
    for (attempt, steps) in [(0, 3), (1, 40), (2, 90)] {
        let run = format!("killed-{attempt}");
        let mut args = vec!["rl", "rl.toml", "--run", &run];
        args.extend(sets.iter().flat_map(|set| ["--set", set]));
        let mut child = place.spawn(&args);
        let start = Instant::now();
        let logged = || {
            let log = fs::read_to_string(place.path(&run).join("metrics.jsonl"));
            log.unwrap_or_default().matches("\"kind\":\"step\"").count()
        };
        while logged() < steps {
            assert!(start.elapsed() < Duration::from_secs(60));
            assert!(child.try_wait().unwrap().is_none(), "the run was over");
            std::thread::sleep(Duration::from_micros(200));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        place.iwsft(&["rl", &run, "--resume"]).succeeds();
        assert!(place.weights(&run) == place.weights("whole"), "{run}");
        assert_eq!(log(&place, &run), log(&place, "whole"), "{run}");
    }
    let other = ["rl", "whole", "--resume", "--set", "rollout.group=8"];
    place
        .iwsft(&other)
        .fails(2, &["`rollout.group` was 16 and is 8"]);
}

#[test]
fn precision_is_honoured_recorded_and_resumed_with_the_same_bytes() {
    let place = place();
    let bf16 = ["train.precision=bf16", "rollout.rounds=6"];
    let ended = rl(&place, "whole", &bf16, &[]).succeeds();
    assert!(ended.stderr.contains("matrix products in bf16"), "{ended}");
    rl(&place, "f32", &bf16[1..], &[]).succeeds();
    assert!(place.weights("whole") != place.weights("f32"));
    let settings = |run: &str| {
        let record = place.read(&format!("{run}/checkpoints/step-00000006/trainer.json"));
        serde_json::from_str::<Value>(&record).unwrap()["settings"].clone()
    };
    assert_eq!(settings("whole")["model.precision"], "bf16");
    assert_eq!(settings("f32")["model.precision"], Value::Null);

    // In two halves, at a rate that does not depend on the length.
    let half = ["train.precision=bf16", "rollout.rounds=3"];
    rl(&place, "halves", &half, &[]).succeeds();
    rl(&place, "halves", &bf16, &["--resume"]).succeeds();
    assert!(place.weights("halves") == place.weights("whole"));
    assert_eq!(log(&place, "halves"), log(&place, "whole"));
    let other = rl(&place, "halves", &bf16[1..], &["--resume"]);
    other.fails(2, &["precision"]);
}

#[test]
fn an_interrupted_run_saves_and_says_how_to_resume() {
    let place = place();
    let args = ["rl", "rl.toml", "--set", "rollout.rounds=4000"];
    let mut command = place.command(&args);
    let errors = place.path("said.txt");
    command.stderr(fs::File::create(&errors).unwrap());
    let mut child = command.spawn().unwrap();
    let start = Instant::now();
    while !place.exists("run/metrics.jsonl") || place.metrics("run", "step").len() < 5 {
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(1));
    }
    let pid = child.id().to_string();
    let killed = std::process::Command::new("kill")
        .args(["-INT", &pid])
        .status();
    assert!(killed.unwrap().success());
    let status = child.wait().unwrap();
    let said = fs::read_to_string(errors).unwrap();
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(said.contains("resume with: iwsft rl"), "{said}");
    let last = place.metrics("run", "step").len() as u64;
    assert_eq!(place.checkpoints("run").pop(), Some(last));
}

#[test]
fn a_program_may_give_the_rewards() {
    let place = place();
    let judge = "#!/bin/sh\nwhile read -r row; do\n  case \"$row\" in\n    \
                 *'\"completion\":\"7'*'\"answer\":7'*) echo 0.5 ;;\n    *) echo -0.25 ;;\n  \
                 esac\ndone\n";
    let path = place.write("judge.sh", judge);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let command = format!("grade={{ command = '{}' }}", path.display());
    let ended = rl(&place, "run", &[&command], &["--json"]).succeeds();
    let told = &ended.json()[0];
    assert!(number(told, "reward_first") < 0.0, "{told}");
    assert!(number(told, "reward_end") > 0.2, "{told}");

    let asleep = rl(&place, "asleep", &["grade={ command = 'false' }"], &[]);
    asleep.fails(2, &["round 1", "`false`"]);
    assert!(place.exists("asleep/metrics.jsonl"), "it had begun");
}

#[test]
fn wrong_recipes_are_refused_by_key_and_remedy() {
    let place = place();
    for (sets, fragments) in [
        (
            vec!["rollout.group=1"],
            vec!["`rollout.group` is 1", "2 or more"],
        ),
        (
            vec!["rollout.prompts=21"],
            vec!["`rollout.prompts` is 21", "20 prompts"],
        ),
        (
            vec!["rollout.updates=129"],
            vec!["`rollout.updates` is 129", "128"],
        ),
        (
            vec!["train.steps=5"],
            vec!["`train.steps`", "rollout.rounds"],
        ),
        (
            vec!["train.batch_size=4"],
            vec!["`train.batch_size`", "rollout.updates"],
        ),
        (
            vec!["objective.preset=gpro"],
            vec!["gpro", "did you mean `grpo`?"],
        ),
        (
            vec!["objective.clip=none", "objective.epsilon_low=0.1"],
            vec!["epsilon_low", "clip"],
        ),
        (vec!["objective.beta=-1"], vec!["`objective.beta` is -1"]),
        (
            vec!["grade.answer_column=gold"],
            vec!["prompts.jsonl:1", "`gold`", "`answer`"],
        ),
        (vec!["grade.time_limit=0"], vec!["`grade.time_limit` is 0"]),
        (
            vec!["grade.command=judge"],
            vec!["`grade.command`", "`extract`"],
        ),
        (
            vec!["rollout.stop_tokens=['<end>']"],
            vec!["stop_tokens", "<end>"],
        ),
        (
            vec!["prompts.prompt_column=text"],
            vec!["prompts.jsonl:1", "`text`"],
        ),
        (vec!["rollout.tempreture=2"], vec!["tempreture"]),
        (vec!["eval={ every = 2 }"], vec!["[eval]", "problems"]),
        (
            vec!["model.path=nowhere"],
            vec!["nowhere", "no such model folder"],
        ),
    ] {
        let ended = rl(&place, "run", &sets, &[]);
        ended.fails(2, &fragments);
        assert!(!place.exists("run"), "{sets:?} leaves nothing behind");
    }
}
