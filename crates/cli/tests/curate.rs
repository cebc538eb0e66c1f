//! `iwsft curate`, run as a user runs it.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod fixture;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use fixture::{Workplace, conversations, number};
use iwsft_data::read_objects;
use serde_json::{Map, Value, json};

fn rows(path: &Path) -> Vec<Map<String, Value>> {
    let rows = read_objects(path).unwrap();
    rows.map(|row| row.unwrap().1.into_values()).collect()
}

/// Attempts at prompts, as `iwsft grade` leaves them: of prompt `i` the first
/// `right[i]` of 4 are right.
fn graded(right: &[usize]) -> String {
    let mut text = String::new();
    for (prompt, &right) in right.iter().enumerate() {
        for attempt in 0..4 {
            let row = json!({
                "prompt": format!("What is {prompt} plus {prompt}?"),
                "completion": format!("Attempt {attempt} at {prompt}{}", " so".repeat(attempt)),
                "reward": u8::from(attempt < right),
                "ref_log_probs": [-0.5, -0.25],
                "completion_tokens": vec![7; attempt + 1],
                "from": {"model": "tiny"},
            });
            text += &format!("{row}\n");
        }
    }
    text
}

/// Files of a folder that a command may have left behind.
fn listing(place: &Workplace) -> BTreeSet<String> {
    let entries = fs::read_dir(place.root()).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn rules_from_the_command_line_and_from_a_file_give_the_same_rows_and_table() {
    let place = Workplace::new();
    place.write("graded.jsonl", &graded(&[0, 1, 2, 3, 4]));
    let options = [
        "--min-reward",
        "1",
        "--pass-rate",
        "0.2..0.8",
        "--best-of-k",
        "2",
        "--max-chars",
        "20",
    ];
    let direct = [
        &["curate", "graded.jsonl", "--out", "a.jsonl", "--json"][..],
        &options,
    ]
    .concat();
    let direct = place.iwsft(&direct).succeeds();
    let file = "best_of_k = 2\nmin_reward = 1.0\npass_rate = '0.2..0.8'\nmax_chars = 20\n";
    place.write("rules/rules.toml", file);
    let args = [
        "curate",
        "graded.jsonl",
        "--out",
        "b.jsonl",
        "--json",
        "--rules",
        "rules/rules.toml",
    ];
    let by_file = place.iwsft(&args).succeeds();
    assert_eq!(place.read("a.jsonl"), place.read("b.jsonl"));
    let lines = direct.json();
    assert_eq!(lines[..4], by_file.json()[..4]);

    let names: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["rule"].as_str())
        .collect();
    assert_eq!(names, ["chars", "pass-rate", "reward", "best-of-k"]);
    let removed: Vec<f64> = lines[..4]
        .iter()
        .map(|line| number(line, "removed"))
        .collect();
    // "Attempt 3 at 0 so so so" is too long, of each prompt.
    assert_eq!(removed, [5.0, 6.0, 3.0, 1.0]);
    assert_eq!(lines[1]["details"], json!({"too hard": 3, "too easy": 3}));
    assert_eq!(lines[4]["read"], json!({"rows": 20, "prompts": 5}));
    assert_eq!(lines[4]["train"], json!({"rows": 5, "prompts": 3}));

    // Every column, and the order, as they were.
    let all = rows(&place.path("graded.jsonl"));
    let kept = rows(&place.path("a.jsonl"));
    let expected: Vec<_> = [4, 8, 9, 12, 13].map(|row| all[row].clone()).to_vec();
    assert_eq!(kept, expected);
}

#[test]
fn percentiles_repeat_the_best_rows_and_parquet_takes_them() {
    let place = Workplace::new();
    let row = |i| json!({"prompt": format!("p{i}"), "completion": "c", "reward": i});
    let text: String = (0..100).map(|i| format!("{}\n", row(i))).collect();
    place.write("graded.jsonl", &text);
    let args = [
        "curate",
        "graded.jsonl",
        "--percentiles",
        "90,95,98",
        "--out",
        "best.parquet",
    ];
    let told = place.iwsft(&args).succeeds();
    assert!(told.stdout.contains("reward above 90, 95, 98"), "{told}");
    let rewards: Vec<f64> = rows(&place.path("best.parquet"))
        .iter()
        .map(|row| row["reward"].as_f64().unwrap())
        .collect();
    let mut expected = Vec::new();
    for (reward, times) in
        (90..95)
            .map(|r| (r, 1))
            .chain([(95, 2), (96, 2), (97, 2), (98, 3), (99, 3)])
    {
        expected.extend(vec![f64::from(reward); times]);
    }
    assert_eq!(rewards, expected);
    let card = place.read("best.parquet.card.md");
    for part in [
        "| rows | 17 |",
        "| different rows | 10 |",
        "--percentiles 90,95,98",
    ] {
        assert!(card.contains(part), "{part} in {card}");
    }
}

#[test]
fn duplicates_and_evaluation_problems_go_and_prompts_are_split() {
    let place = Workplace::new();
    let problem = |i: usize| {
        format!(
            "A farmer has {i} fields with {} trees each and sells every tree for {i} coins; how many coins?",
            i + 1
        )
    };
    let mut text = String::new();
    for i in 0..60 {
        for completion in [
            format!("It is {i}."),
            format!("it is  {i} ."),
            format!("No, {i}!"),
        ] {
            let message = |role, content: &str| json!({"role": role, "content": content});
            let messages = [
                message("user", &problem(i)),
                message("assistant", &completion),
            ];
            text += &format!("{}\n", json!({"messages": messages}));
        }
    }
    place.write("chat.jsonl", &text);
    let evaluation = |i| json!({"Question": format!("Solve. {}", problem(i).to_uppercase())});
    let evaluation: String = (0..10).map(|i| format!("{}\n", evaluation(i))).collect();
    place.write("evaluation.jsonl", &evaluation);
    let args = [
        "curate",
        "chat.jsonl",
        "--dedup",
        "near",
        "--decontaminate",
        "evaluation.jsonl",
        "--split",
        "0.2",
        "--out",
        "out.jsonl.gz",
        "--examples",
        "1",
    ];
    let told = place.iwsft(&args).succeeds();
    for part in ["evaluation.jsonl: 30", "chat.jsonl:1\n", "validation"] {
        assert!(told.stdout.contains(part), "{part} in {told}");
    }
    let train = rows(&place.path("out.jsonl.gz"));
    let validation = rows(&place.path("out.validation.jsonl.gz"));
    assert_eq!(train.len() + validation.len(), 100);
    let prompts = |rows: &[Map<String, Value>]| -> BTreeSet<String> {
        rows.iter()
            .map(|row| row["messages"][0].to_string())
            .collect()
    };
    assert!(prompts(&train).is_disjoint(&prompts(&validation)));
    assert_eq!(prompts(&train).len() + prompts(&validation).len(), 50);
    let card = place.read("out.jsonl.gz.card.md");
    for file in ["chat.jsonl", "evaluation.jsonl", "out.validation.jsonl.gz"] {
        let hash = blake3::hash(&fs::read(place.path(file)).unwrap()).to_hex();
        assert!(card.contains(hash.as_str()), "{file} in {card}");
    }
    // The same again gives the same files.
    let first = fs::read(place.path("out.jsonl.gz")).unwrap();
    let again = [&args[..], &["--force"]].concat();
    place.iwsft(&again).succeeds();
    assert_eq!(fs::read(place.path("out.jsonl.gz")).unwrap(), first);
    let command = |card: &str| card.replace(" --force", "");
    assert_eq!(command(&place.read("out.jsonl.gz.card.md")), card);
}

#[test]
fn what_is_there_already_is_replaced_with_force_only() {
    let place = Workplace::new();
    place.write("graded.jsonl", &graded(&[1, 2, 3, 4, 2, 1]));
    let args = [
        "curate",
        "graded.jsonl",
        "--split",
        "0.5",
        "--out",
        "out.jsonl",
    ];
    for there in ["out.jsonl", "out.validation.jsonl", "out.jsonl.card.md"] {
        place.write(there, "precious");
        place.iwsft(&args).fails(2, &[there, "--force"]);
        assert_eq!(place.read(there), "precious");
        place
            .iwsft(&[&args[..], &["--dry-run"]].concat())
            .succeeds();
        fs::remove_file(place.path(there)).unwrap();
    }
    place.iwsft(&args).succeeds();
    place.iwsft(&args).fails(2, &["out.jsonl", "--force"]);
    place.iwsft(&[&args[..], &["--force"]].concat()).succeeds();
}

#[test]
fn spellings_of_a_text_are_one_text_to_every_rule_and_are_written_as_they_were() {
    let place = Workplace::new();
    let row = |prompt: &str, completion: &str, reward: u8| json!({"prompt": prompt, "completion": completion, "reward": reward});
    // Composed, decomposed, and with a space of no width.
    let [prompt, decomposed, seamed] = [
        "O\u{f9} va le train de No\u{eb}l ?",
        "Ou\u{300} va le train de Noe\u{308}l ?",
        "O\u{f9} va le  train de No\u{200B}\u{eb}l\u{A0}?",
    ];
    let other = "Wie lautet die L\u{f6}sung?";
    let list = [
        row(prompt, "\u{c0} P\u{e2}ques, \u{e9}videmment.", 1),
        row(decomposed, "A\u{300} Pa\u{302}ques, e\u{301}videmment.", 0),
        row(seamed, "Je ne sais pas.", 0),
        row(other, "\u{FF11}\u{FF12}", 1),
    ];
    let text: String = list.iter().map(|row| format!("{row}\n")).collect();
    place.write("graded.jsonl", &text);
    let evaluation = json!({"problem": "Wie lautet die LO\u{308}SUNG?"});
    place.write("evaluation.jsonl", &format!("{evaluation}\n"));
    let kept = |more: &[&str]| {
        let args = ["curate", "graded.jsonl", "--out", "out.jsonl", "--force"];
        place.iwsft(&[&args[..], more].concat()).succeeds();
        rows(&place.path("out.jsonl"))
    };
    let expected = |numbers: &[usize]| -> Vec<_> {
        let rows = numbers
            .iter()
            .map(|&row| list[row].as_object().unwrap().clone());
        rows.collect()
    };
    assert_eq!(kept(&["--dedup", "exact"]), expected(&[0, 2, 3]));
    assert_eq!(kept(&["--dedup", "near"]), expected(&[0, 2, 3]));
    let found = kept(&["--decontaminate", "evaluation.jsonl"]);
    assert_eq!(found, expected(&[0, 1, 2]));
    assert_eq!(kept(&["--best-of-k", "1"]), expected(&[0, 3]));
    assert_eq!(kept(&["--pass-rate", "0.3..0.4"]), expected(&[0, 1, 2]));
}

#[test]
fn every_question_of_a_conversation_is_searched_for_problems_of_an_evaluation() {
    let place = Workplace::new();
    let problem = "Tom reads 12 pages on each of 7 days and then 30 pages more; how many in all?";
    let message = |role: &str, content: &str| json!({"role": role, "content": content});
    let chat = |question: &str| {
        json!([
            message("user", "Hello"),
            message("assistant", "Hi."),
            message("user", question),
            message("assistant", "114")
        ])
    };
    let turns = chat(problem);
    let list = [
        json!({"messages": turns}),
        json!({"prompt": [turns[0], turns[1], turns[2]], "completion": [turns[3]]}),
        json!({"prompt": [turns[0]], "completion": [turns[1], turns[2], turns[3]]}),
        json!({"messages": chat("Tom reads 12 pages on each of 7 days.")}),
    ];
    let text: String = list.iter().map(|row| format!("{row}\n")).collect();
    place.write("chat.jsonl", &text);
    place.write(
        "test.jsonl",
        &format!(
            "{}\n",
            json!({"conversations": [{"from": "human", "value": problem}]})
        ),
    );
    let args = [
        "curate",
        "chat.jsonl",
        "--decontaminate",
        "test.jsonl",
        "--out",
        "out.jsonl",
    ];
    place.iwsft(&args).succeeds();
    let kept = rows(&place.path("out.jsonl"));
    assert_eq!(kept, [list[3].as_object().unwrap().clone()]);
}

#[test]
fn tokens_are_those_of_the_model_or_else_those_of_the_row() {
    let place = Workplace::new();
    place.write("graded.jsonl", &graded(&[1]));
    let kept = |more: &[&str]| {
        let args = ["curate", "graded.jsonl", "--out", "out.jsonl", "--force"];
        let args = [&args[..], more].concat();
        place.iwsft(&args).succeeds();
        rows(&place.path("out.jsonl")).len()
    };
    assert_eq!(kept(&["--max-tokens", "2"]), 2);

    // One token a character, and the end token: 3 for "12".
    let row = |completion| json!({"prompt": "6+6=", "completion": completion});
    let text = ["1", "12", "123"].map(|completion| format!("{}\n", row(completion)));
    place.write("graded.jsonl", &text.concat());
    let plain = ["--max-tokens", "3", "--model", "model", "--chat=false"];
    assert_eq!(kept(&plain), 2);
    // In the chat template a space comes before the answer.
    assert_eq!(kept(&plain[..4]), 1);
    place.write("graded.jsonl", &conversations(1, 8));
    assert_eq!(kept(&["--min-tokens", "1", "--model", "model"]), 8);
}

#[test]
fn a_dry_run_tells_all_and_writes_nothing() {
    let place = Workplace::new();
    place.write("graded.jsonl", &graded(&[1, 2]));
    let before = listing(&place);
    let args = ["curate", "graded.jsonl", "--min-reward", "1", "--dry-run"];
    let told = place.iwsft(&args).succeeds();
    assert!(told.stdout.contains("at least 1"), "{told}");
    assert_eq!(listing(&place), before);
}

#[test]
fn the_pass_rate_counts_every_row_and_can_be_written() {
    let place = Workplace::new();
    place.write("graded.jsonl", &graded(&[1, 4, 0]));
    let args = [
        "curate",
        "graded.jsonl",
        "--min-reward",
        "1",
        "--write-pass-rate",
        "--out",
        "out.parquet",
    ];
    place.iwsft(&args).succeeds();
    let kept = rows(&place.path("out.parquet"));
    let rates: Vec<f64> = kept
        .iter()
        .map(|row| row["pass_rate"].as_f64().unwrap())
        .collect();
    assert_eq!(rates, [0.25, 1.0, 1.0, 1.0, 1.0]);
    assert_eq!(kept[0]["ref_log_probs"], json!([-0.5, -0.25]));
    assert_eq!(kept[0]["from"], json!({"model": "tiny"}));
}

#[test]
fn curated_parquet_is_trained_on() {
    let place = Workplace::new();
    let args = [
        "curate",
        "train.jsonl",
        "--min-reward",
        "1",
        "--out",
        "kept.parquet",
    ];
    place.iwsft(&args).succeeds();
    let sets = ["data.train=kept.parquet", "train.steps=1"];
    place.train("run", &sets).succeeds();
    assert_eq!(place.metrics("run", "step").len(), 1);
}

#[test]
fn mistakes_are_refused_with_the_remedy_and_leave_nothing_behind() {
    let place = Workplace::new();
    place.write("graded.jsonl", &graded(&[1, 2]));
    place.write(
        "ungraded.jsonl",
        "{\"prompt\": \"p\", \"completion\": \"c\"}\n",
    );
    place.write(
        "scored.jsonl",
        "{\"prompt\": \"p\", \"completion\": \"c\", \"reward\": 7}\n",
    );
    place.write("problem.jsonl", "{\"task\": \"1 + 1\"}\n");
    place.write("misspelt.toml", "min_rewad = 1");
    let before = listing(&place);
    let cases: &[(&[&str], &[&str])] = &[
        (
            &["graded.jsonl", "--min-reward", "2"],
            &["none of the 8 rows", "reward (at least 2)", "relax"],
        ),
        (
            &["ungraded.jsonl", "--min-reward", "1"],
            &["ungraded.jsonl:1", "no reward", "grade"],
        ),
        (
            &["ungraded.jsonl", "--best-of-k", "1"],
            &["ungraded.jsonl:1", "neither a score nor a reward"],
        ),
        (
            &["ungraded.jsonl", "--max-tokens", "9"],
            &["ungraded.jsonl:1", "completion_tokens"],
        ),
        (
            &["scored.jsonl", "--balance-difficulty", "3"],
            &["scored.jsonl:1", "from 0 to 1"],
        ),
        (
            &[
                "graded.jsonl",
                "--percentiles",
                "90",
                "--percentile-of",
                "score",
            ],
            &["no score"],
        ),
        (
            &["graded.jsonl", "--rules", "misspelt.toml"],
            &["misspelt.toml", "did you mean `min_reward`?"],
        ),
        (
            &["graded.jsonl", "--rules", "no.toml"],
            &["no.toml", "cannot read the rules"],
        ),
        (
            &["graded.jsonl", "--decontaminate", "problem.jsonl"],
            &["problem.jsonl:1", "task"],
        ),
        (
            &["graded.jsonl", "--decontaminate", "no.jsonl"],
            &["no.jsonl", "check the path"],
        ),
        (
            &["graded.jsonl", "--split", "0.000001"],
            &["--split", "raise the share"],
        ),
        (
            &["graded.jsonl", "--near-threshold", "0.7"],
            &["--dedup near"],
        ),
        (
            &["graded.jsonl", "--max-tokens", "9", "--model", "no"],
            &["no such model folder"],
        ),
        (
            &["graded.jsonl", "--validation-out", "v.jsonl"],
            &["--split"],
        ),
        (
            &["graded.jsonl", "--columns", "prompt=problem"],
            &["graded.jsonl:1", "completion"],
        ),
    ];
    for (args, parts) in cases {
        let args = [&["curate"], *args, &["--out", "out.jsonl"]].concat();
        place.iwsft(&args).fails(2, parts);
    }
    place.write("evaluation.jsonl", "{\"problem\": \"1 + 1\"}\n");
    let args = [
        "curate",
        "graded.jsonl",
        "--decontaminate",
        "evaluation.jsonl",
        "--force",
    ];
    let args = [&args[..], &["--out", "evaluation.jsonl"]].concat();
    place.iwsft(&args).fails(2, &["evaluation.jsonl: is read"]);
    fs::remove_file(place.path("evaluation.jsonl")).unwrap();
    for (out, part) in [
        ("graded.jsonl", "another --out"),
        ("out.json", ".parquet"),
        ("out.csv", ".csv"),
        ("no/out.jsonl", "no/out.jsonl"),
    ] {
        place
            .iwsft(&["curate", "graded.jsonl", "--out", out])
            .fails(2, &[part]);
    }
    assert_eq!(listing(&place), before);
}

#[test]
fn real_answers_are_curated_and_the_test_set_is_found_in_itself() {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let answers = format!("{data}/traces/scored_answers.jsonl.gz");
    let problems = format!("{data}/math/gsm8k_test.jsonl");
    if !Path::new(&answers).exists() || !Path::new(&problems).exists() {
        eprintln!("skipped: {answers} or {problems} is not there");
        return;
    }
    let place = Workplace::new();
    let args = [
        "curate",
        &answers,
        "--columns",
        "prompt=problem",
        "--decontaminate",
        &problems,
        "--dedup",
        "near",
        "--json",
        "--dry-run",
    ];
    let lines = place.iwsft(&args).succeeds().json();
    let all = rows(Path::new(&answers));
    let test = all
        .iter()
        .filter(|row| row["dataset"] == "gsm8k_test")
        .count();
    assert_eq!(lines[0]["removed"], json!(test), "{}", lines[0]);
    assert!(number(&lines[1], "removed") > 0.0, "{}", lines[1]);
}
