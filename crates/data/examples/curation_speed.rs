//! How long curation takes: `cargo run --example curation_speed -- [ROWS...]`.
//!
//! The rows are short graded answers, four to a prompt; of the answers one in
//! four is a copy of another, and one in four a copy with a word changed. Beside
//! them, worst cases: rows that are all the same, rows that differ in one number
//! only, and one prompt for all rows.

// A program's output is what it prints.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use iwsft_data::curation::{
    Candidate, Candidates, Contamination, Duplicates, NearDuplicates, Rule, split,
};

fn main() {
    let sizes: Vec<usize> = std::env::args()
        .skip(1)
        .filter_map(|size| size.parse().ok())
        .collect();
    let sizes = if sizes.is_empty() {
        vec![10_000, 100_000]
    } else {
        sizes
    };
    println!(
        "{:>9}  {:<24} {:>9} {:>9}",
        "rows", "what", "seconds", "left"
    );
    for size in sizes {
        let begun = Instant::now();
        let rows = Candidates::new((0..size).map(answer).collect());
        told(size, "read: prompts numbered", begun, rows.prompt_count());
        let all: Vec<usize> = (0..size).collect();
        time(size, "dedup exact", &Duplicates, &rows, &all);
        time(size, "dedup near", &NearDuplicates::default(), &rows, &all);
        let mut contamination = Contamination::new(13, false);
        let problems: Vec<String> = (0..1000).map(|i| answer(i).prompt).collect();
        contamination.add("problems", problems.iter().map(String::as_str));
        time(size, "decontaminate", &contamination, &rows, &all);
        let begun = Instant::now();
        let (train, _) = split(&rows, &all, 0.05, 0);
        told(size, "split", begun, train.len());
        let worst = |name: &str, row: fn(usize) -> Candidate| {
            let rows = Candidates::new((0..size).map(row).collect());
            time(size, name, &NearDuplicates::default(), &rows, &all);
        };
        worst("near: all the same", same);
        worst("near: one number differs", numbered);
        worst("near: one prompt for all", one_prompt);
    }
}

fn time(size: usize, name: &str, rule: &dyn Rule, rows: &Candidates, all: &[usize]) {
    let begun = Instant::now();
    let left = rule.apply(rows, all).map_or(0, |kept| kept.rows.len());
    told(size, name, begun, left);
}

fn told(size: usize, name: &str, begun: Instant, left: usize) {
    let seconds = begun.elapsed().as_secs_f64();
    println!("{size:>9}  {name:<24} {seconds:>9.2} {left:>9}");
}

/// A number that looks random.
fn random(seed: usize) -> usize {
    let mut x = (seed as u64).wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (x ^ (x >> 31)) as usize >> 1
}

/// Words of which, as in language, few are frequent.
fn words(seed: usize, count: usize) -> String {
    let word = |i| {
        let uniform = random(seed * 1000 + i) % 1_000_000;
        format!("w{}", (f64::from(uniform as u32) / 1e6).powi(3) * 20_000.0)
    };
    let words: Vec<String> = (0..count)
        .map(|i| word(i).split('.').next().unwrap_or("w").to_owned())
        .collect();
    words.join(" ")
}

fn answer(row: usize) -> Candidate {
    let (prompt, attempt) = (row / 4, row % 4);
    let completion = match attempt {
        2 => words(2 * prompt, 40),
        3 => words(2 * prompt, 40) + " changed",
        _ => words(2 * prompt + attempt, 40),
    };
    Candidate {
        prompt: format!("Answer this: {}", words(prompt + 1_000_000_000, 15)),
        completion,
        reward: Some((random(row) % 2) as f32),
        ..Candidate::default()
    }
}

fn same(_: usize) -> Candidate {
    Candidate {
        prompt: "The same prompt".to_owned(),
        completion: words(1, 40),
        ..Candidate::default()
    }
}

/// A long template with one number in it, which alone makes rows near, and an
/// answer that tells them apart.
fn numbered(row: usize) -> Candidate {
    Candidate {
        prompt: format!("{} What comes behind {row}?", words(2, 60)),
        completion: format!("We add one to {row} and find that it is {} then.", row + 1),
        ..Candidate::default()
    }
}

fn one_prompt(row: usize) -> Candidate {
    Candidate {
        prompt: words(3, 100),
        completion: words(row, 12),
        ..Candidate::default()
    }
}
