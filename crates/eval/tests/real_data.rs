//! The embedded benchmarks on public data, which lies beside the repository;
//! without it nothing is tested here.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use std::path::Path;

use iwsft_eval::benchmark::{Benchmark, Row};

fn rows(name: &str) -> Option<Vec<Row>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/math");
    let path = folder.join(name);
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    };
    let row = |(index, line)| Row {
        at: format!("{name}:{}", index + 1),
        columns: serde_json::from_str(line).unwrap(),
    };
    Some(text.lines().enumerate().map(row).collect())
}

#[test]
fn embedded_benchmarks_read_copies_of_their_data_and_their_graders_its_answers() {
    for (name, file, count) in [
        ("gsm8k", "gsm8k_test.jsonl", 1319),
        ("math500", "math500.jsonl", 500),
        ("aime24", "aime24.jsonl", 30),
        ("amc23", "amc23.jsonl", 40),
    ] {
        let Some(rows) = rows(file) else { continue };
        let benchmark = Benchmark::embedded(name).unwrap();
        let problems = benchmark.problems(rows, 0).unwrap();
        assert_eq!(problems.len(), count, "{name}");
        let graded = problems.iter().filter(|problem| {
            let gold = problem.answer.to_string();
            let answer = gold.rsplit("####").next().unwrap().trim();
            let text = format!("So it is \\boxed{{{answer}}}.");
            benchmark.grader.grade_against(&problem.answer, &text).right
        });
        assert_eq!(graded.count(), count, "{name}");
    }
}
