//! The recipes that come with the program are ones that it takes.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Recipes of runs on language models, with the command that each is for.
fn recipes() -> Vec<(&'static str, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes");
    let of = |name: &str| fs::read_dir(folder.join(name)).unwrap();
    let files = ["arithmetic", "gsm8k", "rl", "story"].map(of);
    let paths = files
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path());
    let tomls = paths.filter(|path| path.extension().is_some_and(|end| end == "toml"));
    tomls
        .filter_map(|path| match path.file_stem().unwrap().to_str().unwrap() {
            "benchmark" => None,
            "grpo" => Some(("rl", path)),
            "expert-iteration" => Some(("iterate", path)),
            _ => Some(("train", path)),
        })
        .collect()
}

/// A file that is not there is only missed once all keys and values are known to be
/// good: that is the mistake to be told of.
#[test]
fn every_recipe_is_refused_for_its_missing_model_alone() {
    let recipes = recipes();
    assert!(recipes.len() > 10, "{recipes:?}");
    for (command, recipe) in recipes {
        let missing = match command {
            "iterate" => "prompts.file=nowhere",
            _ => "model.path=nowhere",
        };
        let out = Command::new(env!("CARGO_BIN_EXE_iwsft"))
            .args([command, recipe.to_str().unwrap()])
            .args(["--set", missing, "--set", "eval="])
            .output()
            .unwrap();
        let said = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(2), "{}: {said}", recipe.display());
        assert!(said.contains("nowhere: "), "{}: {said}", recipe.display());
    }
}

/// The test of a replication, as `iwsft eval` reads it.
#[test]
fn every_benchmark_is_refused_for_its_missing_problems_alone() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes");
    let out = tempfile::tempdir().unwrap();
    for (task, data) in [("arithmetic", "test.jsonl"), ("gsm8k", "dev.jsonl")] {
        let benchmark = folder.join(task).join("benchmark.toml");
        let ended = Command::new(env!("CARGO_BIN_EXE_iwsft"))
            .args([
                "eval",
                "nowhere",
                "--benchmark",
                benchmark.to_str().unwrap(),
            ])
            .args(["--out", out.path().join(task).to_str().unwrap()])
            .output()
            .unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(2), "{task}: {said}");
        assert!(said.contains(data), "{task}: {said}");
    }
}
