//! Agreement with the labels of 13,352 answers of real models, and gold answers
//! of public benchmarks beside themselves. The data lies beside the repository;
//! without it nothing is tested here.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use iwsft_eval::grade::{Grader, Mode};
use serde_json::Value;

/// A file of the data beside the repository, where it is there.
fn data(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data")
        .join(name);
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

/// `GRADE_SHOW=1 cargo test -p iwsft-eval --test grade_traces -- --nocapture`
/// also prints the answers on which grader and label differ.
#[test]
fn verdicts_agree_with_the_labels_of_real_answers() {
    let Some(path) = data("traces/scored_answers.jsonl.gz") else {
        return;
    };
    let show = std::env::var_os("GRADE_SHOW").is_some();
    let grader = Grader::default();
    let mut counts: BTreeMap<String, [usize; 4]> = BTreeMap::new();
    for line in BufReader::new(GzDecoder::new(File::open(path).unwrap())).lines() {
        let row: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let text = |key: &str| row[key].as_str().unwrap();
        let verdict = grader.grade(text("gold"), text("completion"));
        let labelled = row["reward"] == 1;
        let source = format!("{} {}", text("dataset"), text("model"));
        let count = counts.entry(source).or_default();
        count[2 * usize::from(labelled) + usize::from(verdict.right)] += 1;
        if show && verdict.right != labelled {
            let completion = text("completion");
            let start = completion
                .char_indices()
                .rev()
                .nth(150)
                .map_or(0, |(at, _)| at);
            println!(
                "{} labelled {labelled}: gold {:?}, their {:?}, ours {:?} {:?} {:?} in {:?}",
                text("model"),
                text("gold"),
                text("pred"),
                verdict.extracted,
                verdict.found_by,
                verdict.reason,
                &completion[start..],
            );
        }
    }
    let (mut agreed, mut all) = (0, 0);
    for (source, [both_wrong, ours_alone, theirs_alone, both_right]) in counts {
        let same = both_wrong + both_right;
        let rows = same + ours_alone + theirs_alone;
        (agreed, all) = (agreed + same, all + rows);
        println!(
            "{source}: {same} of {rows} agree ({:.2} %); right for us alone {ours_alone}, for the label alone {theirs_alone}",
            100.0 * same as f64 / rows as f64,
        );
    }
    println!(
        "all: {agreed} of {all} ({:.2} %)",
        100.0 * agreed as f64 / all as f64
    );
    assert!(agreed * 100 >= all * 98, "{agreed} of {all}");
}

#[test]
fn gold_answers_of_benchmarks_are_right_as_they_are_and_reformatted() {
    for (name, column) in [
        ("math/gsm8k_test.jsonl", "answer"),
        ("math/math500.jsonl", "answer"),
        ("math/aime24.jsonl", "answer"),
        ("math/amc23.jsonl", "answer"),
    ] {
        let Some(path) = data(name) else {
            return;
        };
        for line in fs::read_to_string(path).unwrap().lines() {
            let row: Value = serde_json::from_str(line).unwrap();
            let gold = match &row[column] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let short = gold.rsplit("####").next().unwrap().trim();
            let plain = short
                .replace("\\left", "")
                .replace("\\right", "")
                .replace("\\!", "");
            let display = short.replace("\\frac", "\\dfrac").replace(' ', "  ");
            for mode in [Mode::Lenient, Mode::Strict] {
                let grader = Grader {
                    mode,
                    ..Grader::default()
                };
                for answer in [
                    gold.clone(),
                    format!("So we get $\\boxed{{{short}}}$."),
                    format!("The answer is ${short}$."),
                    format!("Thus\n\\[ x = 1 \\]\n# Final Answer\n\\[ {display} \\]"),
                    format!("so it is\n$$\\boxed{{ {plain} }}.$$ Done."),
                ] {
                    let verdict = grader.grade(&gold, &answer);
                    assert!(
                        verdict.right,
                        "{name} {mode:?}: {short} in {answer}: {verdict:?}"
                    );
                }
            }
        }
    }
}
