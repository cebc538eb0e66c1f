//! Agreement with four public graders on the 343 examples of their own tests.
//! The examples are data beside the repository; without them nothing is tested
//! here.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use std::fs;
use std::path::Path;

use iwsft_eval::grade::{Extraction, Grader, Kind, Mode};
use serde_json::Value;

const VECTORS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../../shared/data/grader/grader_vectors.jsonl"
);

/// The grader whose rules are those of the public one that an example tests.
fn grader(vector: &Value) -> Grader {
    let mut grader = Grader::default();
    let strict = vector["allow_set_relation_comp"] == false;
    grader.mode = if strict { Mode::Strict } else { Mode::Lenient };
    if let Some(precision) = vector["precision"].as_u64() {
        grader.decimals = precision as u32;
    }
    let mathematics = [
        Extraction::FinalAnswer,
        Extraction::Boxed,
        Extraction::AnswerPhrase,
        Extraction::LastMath,
    ];
    match vector["mode"].as_str() {
        Some("latex") => grader.extract = mathematics.to_vec(),
        Some("NativeLetters") => grader.kind = Kind::Choice,
        // Graders of whole answers, which extract nothing.
        Some("hendrycks_is_equiv") => grader.extract = vec![Extraction::Whole],
        None if vector["source"].as_str().unwrap().contains("NeMo") => {
            grader.extract = vec![Extraction::Whole];
        }
        _ => {}
    }
    grader
}

/// The last characters of a text.
fn tail(text: &str) -> String {
    let start = text.char_indices().rev().nth(120).map_or(0, |(at, _)| at);
    text[start..].to_owned()
}

#[test]
fn at_least_97_percent_of_the_public_examples_are_graded_as_expected() {
    if !Path::new(VECTORS).exists() {
        eprintln!("skipped: {VECTORS} is not there");
        return;
    }
    let text = fs::read_to_string(VECTORS).unwrap();
    let vectors: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut agreed = 0;
    for (number, vector) in vectors.iter().enumerate() {
        let [gold, answer] = ["gold", "pred"].map(|key| vector[key].as_str().unwrap());
        let verdict = grader(vector).grade(gold, answer);
        if verdict.right == vector["equal"] {
            agreed += 1;
            continue;
        }
        println!(
            "line {}: {} expected {}: {:?} | {:?} -> {verdict:?}",
            number + 1,
            vector["test"],
            vector["equal"],
            tail(gold),
            tail(answer),
        );
    }
    println!("{agreed} of {}", vectors.len());
    assert!(
        agreed * 100 >= vectors.len() * 97,
        "{agreed} of {}",
        vectors.len()
    );
}
