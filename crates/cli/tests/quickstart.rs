//! `iwsft quickstart` as a user runs it, only much smaller.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use serde_json::{Value, json};

const MODELS: [&str; 5] = ["base", "sft", "iw-sft", "sft-q", "iw-sft-q"];

fn iwsft(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::cargo_bin("iwsft").expect("the program is built");
    command
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("the program runs")
}

fn small(folder: &Path, more: &[&str]) -> Output {
    let sizes = "quickstart --seeds 2 --traces 200 --problems 12 --draws 2 --test 6 \
                 --base-steps 4 --steps 2";
    let arguments: Vec<&str> = sizes
        .split_whitespace()
        .chain(more.iter().copied())
        .collect();
    iwsft(folder, &arguments)
}

fn succeeded(output: Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn json_lines(text: &str) -> Vec<Value> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect()
}

fn rows(path: &Path) -> Vec<Value> {
    json_lines(&fs::read_to_string(path).unwrap())
}

/// Puts right answers into a file of samples, as if a better model had drawn them.
/// Each byte is a token, and the end token follows.
fn put_right_answers(path: &Path) {
    let mut lines = String::new();
    for mut row in rows(path) {
        let text = format!(" {}", row["answer"].as_str().unwrap());
        row["ref_log_probs"] = json!(vec![-0.5; text.len() + 1]);
        row["completion_tokens"] = Value::Null;
        row["completion"] = json!(text);
        row["finish"] = json!("stop");
        lines += &format!("{row}\n");
    }
    fs::write(path, lines).unwrap();
}

#[test]
fn the_loop_stops_where_nothing_is_right_and_goes_on_to_a_table_of_models() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("quickstart");

    // Four steps teach nothing: no sample is right, and curation says so.
    for seed in ["seed-0", "seed-1"] {
        let output = small(scratch.path(), &["--json"]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains("iwsft curate"), "{error}");
        assert!(error.contains("min-reward"), "{error}");
        let seed = folder.join(seed);
        assert_eq!(rows(&seed.join("samples.jsonl")).len(), 24);
        put_right_answers(&seed.join("samples.jsonl"));
        for step in ["grade", "judge"] {
            fs::remove_file(seed.join(format!("steps/{step}.json"))).unwrap();
        }
    }

    // With right answers the same command goes on from there.
    let kept = fs::read(folder.join("seed-0/runs/base/model/model.safetensors")).unwrap();
    let table = json_lines(&succeeded(small(scratch.path(), &["--json"])));
    let again = fs::read(folder.join("seed-0/runs/base/model/model.safetensors")).unwrap();
    assert!(kept == again, "the base model was trained again");
    let names: Vec<&str> = table
        .iter()
        .map(|row| row["model"].as_str().unwrap())
        .collect();
    assert_eq!(names, MODELS);
    for row in &table {
        assert_eq!(row["seeds"], 2);
        let drawn = row["drawn"]["value"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&drawn), "{row}");
        assert!(row["validation_nll"]["value"].as_f64().unwrap() > 0.0);
        assert_eq!(row["sft_gap"].is_number(), row["model"] != "base", "{row}");
    }
    let results: Value =
        serde_json::from_slice(&fs::read(folder.join("results.json")).unwrap()).unwrap();
    assert_eq!(results["models"].as_array().unwrap(), &table);
    assert_eq!(results["seeds"].as_array().unwrap().len(), 2);

    let seed = folder.join("seed-1");
    for row in rows(&seed.join("judged.jsonl")) {
        assert_eq!(row["reward"].as_f64(), Some(1.0), "{row}");
        assert!(row["score"].as_f64().unwrap() >= 0.25, "{row}");
    }
    let read = |name: &str| rows(&seed.join(name));
    let all = [
        "traces.jsonl",
        "problems.jsonl",
        "validation.jsonl",
        "test.jsonl",
    ]
    .map(read);
    let prompts: Vec<&str> = all
        .iter()
        .flatten()
        .map(|row| row["prompt"].as_str().unwrap())
        .collect();
    let distinct: HashSet<&&str> = prompts.iter().collect();
    assert_eq!((prompts.len(), distinct.len()), (518, 518));

    // Every command can be run by hand on what is there.
    let by_hand = |arguments: &[&str]| succeeded(iwsft(&seed, arguments));
    let sampled = by_hand(&[
        "sample",
        "runs/iw-sft/model",
        "--prompt",
        "37+58=",
        "--json",
    ]);
    assert_eq!(json_lines(&sampled)[0]["prompt"], "37+58=");
    let again = by_hand(&["train", "iw-sft-q.toml", "--run", "runs/again", "--json"]);
    assert_eq!(json_lines(&again)[0]["steps"], 2);
    by_hand(&["eval", "compare", "eval/sft-drawn", "eval/iw-sft-drawn"]);
    by_hand(&["report", "runs/sft", "runs/iw-sft", "--out", "report.html"]);
    let report = fs::read_to_string(seed.join("report.html")).unwrap();
    for part in ["iw-sft", "arithmetic", "avg@4"] {
        assert!(report.contains(part), "{part}");
    }
}

#[test]
fn a_folder_that_holds_something_is_left_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("mine");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("thesis.txt"), "mine").unwrap();
    let output = small(scratch.path(), &["--folder", "mine"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("mine: the folder is not empty"), "{error}");
    assert!(error.contains("--folder"), "{error}");
    let names: Vec<_> = fs::read_dir(&folder).unwrap().collect();
    assert_eq!(names.len(), 1);
}

#[test]
fn a_folder_of_other_settings_is_left_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("quickstart");
    fs::create_dir(&folder).unwrap();
    let settings = json!({
        "seeds": 2, "seed": 0, "traces": 200, "problems": 12, "draws": 2, "test": 6,
        "base_steps": 5, "steps": 2,
    });
    fs::write(folder.join("quickstart.json"), settings.to_string()).unwrap();
    let output = small(scratch.path(), &[]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("base_steps was 5, now it is 4"), "{error}");
}

#[test]
fn the_judge_reads_rows_and_refuses_what_is_no_problem() {
    let judge = |input: &str| {
        let mut command = Command::cargo_bin("iwsft").expect("the program is built");
        command
            .arg("judge-arithmetic")
            .write_stdin(input)
            .output()
            .expect("the program runs")
    };
    let row = r#"{"prompt": "14+9=", "completion": " 4+9=13 1+0+1=2 23", "other": []}"#;
    let grades = json_lines(&succeeded(judge(&format!("{row}\n{row}\n"))));
    assert_eq!(grades, vec![json!({"reward": 1.0, "score": 1.0}); 2]);
    for bad in ["{}", "nonsense", r#"{"prompt": "1*1=", "completion": "1"}"#] {
        let output = judge(&format!("{row}\n{bad}\n"));
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains("line 2"), "{error}");
    }
}
