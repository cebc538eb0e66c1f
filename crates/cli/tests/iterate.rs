//! `iwsft iterate`: rounds of ordinary commands on ordinary files.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod fixture;

use std::fs;

use fixture::{Ended, Workplace, number};
use serde_json::{Value, json};

/// Whatever is asked, 7 is the answer.
const ITERATE: &str = r#"
run = "run"
rounds = 2

[model]
path = "model"

[prompts]
file = "prompts.jsonl"

[sample]
k = 16
max_tokens = 3

[grade]
extract = ["last-number"]

[objective]
preset = "sft"

[train]
steps = 20
learning_rate = 1e-2
warmup = 0

[eval]
every = 1
problems = "problems.jsonl"
plain = true
k = 8
sampling = { max_tokens = 3, temperature = 1.0 }
"#;

fn place() -> Workplace {
    let place = Workplace::new();
    let row = |i: usize, column: &str| {
        let mut row = json!({"answer": 7});
        row[column] = json!(format!("{i}+1="));
        format!("{row}\n")
    };
    let rows = |from: usize, to: usize, column: &str| -> String {
        (from..to).map(|i| row(i, column)).collect()
    };
    place.write("prompts.jsonl", &rows(0, 24, "prompt"));
    place.write("problems.jsonl", &rows(30, 34, "question"));
    place.write("iterate.toml", ITERATE);
    place
}

fn iterate(place: &Workplace, run: &str, sets: &[&str]) -> Ended {
    let mut args = vec!["iterate", "iterate.toml", "--run", run, "--json"];
    args.extend(sets.iter().flat_map(|set| ["--set", set]));
    place.iwsft(&args)
}

fn rewards(table: &[Value]) -> Vec<f64> {
    table[1..].iter().map(|row| number(row, "reward")).collect()
}

#[test]
fn each_round_draws_from_the_last_ones_model_and_the_reward_rises() {
    let place = place();
    let ended = iterate(&place, "run", &[]).succeeds();
    let table = ended.json();
    assert_eq!(table.len(), 3, "the start and two rounds");
    let evaluation = |row: &Value| row["evaluation"]["value"].as_f64().unwrap();
    assert!(
        evaluation(&table[2]) > evaluation(&table[0]) + 0.2,
        "{ended}"
    );
    let found = rewards(&table);
    assert!(found[1] > found[0] + 0.2, "{found:?}");

    for (round, row) in table.iter().enumerate().skip(1) {
        let folder = format!("run/round-{round:03}");
        let samples = place.lines(&format!("{folder}/samples.jsonl"));
        assert_eq!(number(row, "samples"), samples.len() as f64);
        let tokens = |row: &Value| row["completion_tokens"].as_array().unwrap().len();
        let drawn: usize = samples.iter().map(tokens).sum();
        assert_eq!(number(row, "tokens_sampled"), drawn as f64);
        let graded = place.lines(&format!("{folder}/graded.jsonl"));
        let mean = graded.iter().map(|row| number(row, "reward")).sum::<f64>();
        assert!((number(row, "reward") - mean / graded.len() as f64).abs() < 1e-9);
        let kept = place.lines(&format!("{folder}/kept.jsonl"));
        assert_eq!(number(row, "kept"), kept.len() as f64);
        assert!(kept.iter().all(|row| number(row, "reward") == 1.0));
        let log = place.metrics(&format!("{folder}/run"), "step");
        assert_eq!(number(row, "steps"), log.len() as f64);
        let trained: f64 = log.iter().map(|step| number(step, "tokens")).sum();
        assert_eq!(number(row, "tokens_trained"), trained);
        // The reference is the policy that drew the rows, which a round starts from.
        assert!(number(&log[0], "log_ratio").abs() < 1e-4, "{}", log[0]);
    }
    let log = place.read("run/round-002/log.txt");
    assert!(log.contains("round-001/run/model"), "{log}");
    let results: Value = serde_json::from_str(&place.read("run/results.json")).unwrap();
    assert_eq!(results.as_array().unwrap(), &table);

    // The same command again finds all of it done; more rounds go on.
    let weights = place.weights("run/round-002/run");
    let again = iterate(&place, "run", &[]).succeeds();
    assert_eq!(again.json(), table);
    let longer = iterate(&place, "run", &["rounds=3"]).succeeds().json();
    assert_eq!((longer.len(), &longer[..3]), (4, &table[..]));
    assert!(weights == place.weights("run/round-002/run"));
    // The folder of a run is a recipe too.
    let shown = place.iwsft(&["iterate", "run"]).succeeds();
    assert!(shown.stdout.contains("evaluation (95 %)"), "{shown}");

    let other = iterate(&place, "run", &["sample.k=8"]);
    other.fails(
        2,
        &["another recipe", "sample.k was 16, now it is 8", "--run"],
    );
}

#[test]
fn a_round_that_was_broken_off_goes_on_and_ends_the_same() {
    let place = place();
    let whole = iterate(&place, "whole", &[]).succeeds().json();
    iterate(&place, "broken", &["rounds=1"]).succeeds();
    // As if it had been killed while it trained.
    let folder = place.path("broken/round-001");
    for step in ["train", "eval"] {
        fs::remove_file(folder.join(format!("steps/{step}.json"))).unwrap();
    }
    fs::remove_dir_all(folder.join("run/model")).unwrap();
    let resumed = iterate(&place, "broken", &[]).succeeds().json();
    let without_paths = |table: &[Value]| {
        let mut table = table.to_vec();
        for row in &mut table {
            for key in ["model", "evaluation"] {
                row.as_object_mut().unwrap().remove(key);
            }
        }
        table
    };
    assert_eq!(without_paths(&resumed), without_paths(&whole));
    let trained = |run: &str| place.weights(&format!("{run}/round-002/run"));
    assert!(trained("whole") == trained("broken"));
}

#[test]
fn rounds_may_start_anew_keep_all_rows_and_weigh_them_as_iw_sft_does() {
    let place = place();
    let sets = [
        "from=start",
        "data=all",
        "sample.prompts=18",
        "objective.preset=iw-sft-llm",
        "eval=",
    ];
    let table = iterate(&place, "run", &sets).succeeds().json();
    assert_eq!(number(&table[1], "samples"), 18.0 * 16.0);
    assert!(table[2]["evaluation"].is_null());
    let recipe = place.read("run/round-002/train.toml");
    for part in [
        "round-001/kept.jsonl",
        "round-002/kept.jsonl",
        "column = true",
    ] {
        assert!(recipe.contains(part), "no {part} in\n{recipe}");
    }
    let start = place.path("model").display().to_string();
    assert!(recipe.contains(&format!("path = \"{start}\"")), "{recipe}");
    // Rows of the second round were drawn by a policy that is not the start: at the
    // first step their weights are not 1.
    let first = &place.metrics("run/round-002/run", "step")[0];
    assert!(number(first, "weight_min") < 0.99, "{first}");
    let only = iterate(
        &place,
        "start",
        &["reference=round-start", "rounds=1", "eval="],
    );
    only.succeeds();
    let first = &place.metrics("start/round-001/run", "step")[0];
    assert!(number(first, "log_ratio").abs() < 1e-5, "{first}");
    // The second round's prompts begin with those that the first left out.
    let prompts = |round: u32| {
        let rows = place.lines(&format!("run/round-{round:03}/problems.jsonl"));
        rows.iter()
            .map(|row| row["prompt"].to_string())
            .collect::<Vec<_>>()
    };
    let (one, two) = (prompts(1), prompts(2));
    assert_eq!(two.iter().filter(|prompt| !one.contains(prompt)).count(), 6);
}

#[test]
fn wrong_recipes_are_refused_and_a_round_without_a_right_answer_says_so() {
    let place = place();
    for (sets, fragments) in [
        (vec!["rounds=0"], vec!["`rounds` is 0"]),
        (
            vec!["sample.prompts=25"],
            vec!["`sample.prompts` is 25", "24 prompts"],
        ),
        (vec!["sample.k=0"], vec!["sample.k"]),
        (vec!["sample.temperature=-1"], vec!["temperature"]),
        (vec!["from=last"], vec!["last", "did you mean `latest`?"]),
        (
            vec!["curate.min_rewrad=1"],
            vec!["min_rewrad", "did you mean `min_reward`?"],
        ),
        (vec!["curate={ split = 0.1 }"], vec!["`curate.split`"]),
        (vec!["objective.preset=grpo"], vec!["grpo"]),
        (vec!["eval.every=0"], vec!["`eval.every` is 0"]),
        (
            vec!["grade.answer_column=gold"],
            vec!["prompts.jsonl:1", "`gold`"],
        ),
        (
            vec!["model.chat_variables={ thinking = false }"],
            vec!["chat_variables"],
        ),
    ] {
        iterate(&place, "run", &sets).fails(2, &fragments);
        assert!(!place.exists("run"), "{sets:?} leaves nothing behind");
    }
    place.write("run/thesis.txt", "mine");
    iterate(&place, "run", &[]).fails(2, &["not empty", "--run"]);
    let hopeless = iterate(&place, "hopeless", &["curate={ min_reward = 2 }", "eval="]);
    hopeless.fails(1, &["iwsft curate", "reward (at least 2)"]);
}
