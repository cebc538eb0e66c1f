//! `iwsft quickstart` as a user runs it, only much smaller.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;

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
    let sizes = "quickstart --traces 200 --problems 6 --base-steps 4 --steps 2";
    let arguments: Vec<&str> = sizes.split(' ').chain(more.iter().copied()).collect();
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

#[test]
fn one_command_makes_models_that_load_and_a_table_of_them() {
    let scratch = tempfile::tempdir().unwrap();
    let rows = json_lines(&succeeded(small(scratch.path(), &["--json"])));
    let folder = scratch.path().join("quickstart");

    let names: Vec<&str> = rows
        .iter()
        .map(|row| row["model"].as_str().unwrap())
        .collect();
    assert_eq!(names, MODELS);
    for row in &rows {
        let right = row["right"].as_f64().unwrap();
        assert_eq!(row["problems"], 6);
        assert_eq!(row["accuracy"], right / 6.0);
        assert!(row["validation_nll"].as_f64().unwrap() > 0.0);
        let steps = if row["model"] == "base" { 4 } else { 2 };
        assert_eq!(row["steps"], steps);
    }
    let results: Value =
        serde_json::from_slice(&fs::read(folder.join("results.json")).unwrap()).unwrap();
    assert_eq!(results["models"].as_array().unwrap(), &rows);

    let read = |name: String| json_lines(&fs::read_to_string(folder.join(name)).unwrap());
    let problems = read("test.jsonl".into());
    for model in MODELS {
        let answers = read(format!("answers/{model}.jsonl"));
        let right = answers.iter().filter(|answer| answer["reward"] == 1.0);
        let row = rows.iter().find(|row| row["model"] == model).unwrap();
        assert_eq!(row["right"], right.count());
        for (answer, problem) in answers.iter().zip(&problems) {
            assert_eq!(answer["prompt"], problem["prompt"]);
        }
    }
    let files = ["train.jsonl", "validation.jsonl", "test.jsonl"];
    let rows: Vec<Value> = files.iter().flat_map(|file| read((*file).into())).collect();
    let prompts: HashSet<&str> = rows
        .iter()
        .map(|row| row["prompt"].as_str().unwrap())
        .collect();
    assert_eq!((rows.len(), prompts.len()), (506, 506));

    let model = folder.join("runs/iw-sft/model");
    let sampled = iwsft(
        scratch.path(),
        &[
            "sample",
            model.to_str().unwrap(),
            "--prompt",
            "37+58=",
            "--max-tokens",
            "3",
            "--json",
        ],
    );
    let sampled = json_lines(&succeeded(sampled));
    assert_eq!(sampled[0]["prompt"], "37+58=");

    // Each recipe can be run again, from its file.
    let recipe = folder.join("iw-sft-q.toml");
    let again = folder.join("runs/again");
    let run = [
        "train",
        recipe.to_str().unwrap(),
        "--run",
        again.to_str().unwrap(),
        "--json",
    ];
    let again = json_lines(&succeeded(iwsft(scratch.path(), &run)));
    assert_eq!(again[0]["steps"], 2);
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
