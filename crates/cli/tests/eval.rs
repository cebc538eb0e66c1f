//! `iwsft eval`, and evaluations while a model is trained.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod fixture;

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::thread;

use fixture::{Ended, Workplace, http, number, write_model};
use serde_json::{Value, json};

/// Sums to ask, with their answers.
fn questions(place: &Workplace, name: &str, count: usize) {
    let row = |i: usize| {
        let (a, b) = (i % 10, 3 * i % 7);
        json!({"question": format!("{a}+{b}="), "answer": a + b, "number": i})
    };
    let rows: Vec<String> = (0..count).map(|i| format!("{}\n", row(i))).collect();
    place.write(name, &rows.concat());
}

/// A benchmark of these questions, which the tiny tokenizer can spell.
const SUMS: &str = r#"
name = "sums"
version = 1
prompt = "{question}"
metrics = ["avg@k", "pass@k", "majority@k"]
k = 3
data = { path = "questions.jsonl" }
columns = { question = "question", answer = "answer", id = "number" }
sampling = { temperature = 1.0, max_tokens = 12 }
"#;

/// A workplace with 24 questions and their benchmark.
fn place() -> Workplace {
    let place = Workplace::new();
    questions(&place, "questions.jsonl", 24);
    place.write("sums.toml", SUMS);
    place
}

fn eval(place: &Workplace, model: &str, out: &str, options: &[&str]) -> Ended {
    let args = ["eval", model, "--out", out];
    place.iwsft(&[&args, options].concat())
}

fn sums(place: &Workplace, out: &str, options: &[&str]) -> Ended {
    let benchmark = ["--benchmark", "sums.toml"];
    eval(place, "model", out, &[&benchmark, options].concat())
}

fn results(place: &Workplace, out: &str) -> Value {
    serde_json::from_str(&place.read(&format!("{out}/results.json"))).unwrap()
}

#[test]
fn results_agree_with_the_answers_and_those_can_be_trained_on() {
    let place = place();
    let ended = sums(&place, "out", &["--json"]).succeeds();
    let rows = place.lines("out/answers.jsonl");
    assert_eq!(rows.len(), 24 * 3);
    let mut right: BTreeMap<String, f64> = BTreeMap::new();
    for row in &rows {
        let id = row["id"].as_str().unwrap().to_owned();
        *right.entry(id).or_default() += number(row, "reward");
        assert!(row["extracted"].is_string() || row["reward"] == 0, "{row}");
        assert!(row["prompt"][0]["content"].as_str().unwrap().contains('+'));
    }
    let average = right.values().sum::<f64>() / 72.0;
    let any = right.values().filter(|&&count| count > 0.0).count() as f64 / 24.0;

    let lines = ended.json();
    let names: Vec<_> = lines
        .iter()
        .map(|line| line["metric"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["avg@3", "pass@3", "majority@3"]);
    assert!((number(&lines[0], "value") - average).abs() < 1e-12);
    assert!((number(&lines[1], "value") - any).abs() < 1e-12);
    for line in &lines {
        let value = number(line, "value");
        let [low, high] = [0, 1].map(|end| line["interval"][end].as_f64().unwrap());
        assert!(low <= value && value <= high && low < high, "{line}");
    }

    let results = results(&place, "out");
    let sums = &results["benchmarks"][0];
    assert_eq!(sums["definition"]["sampling"]["temperature"], 1.0);
    assert_eq!(sums["data"][0]["blake3"].as_str().unwrap().len(), 64);
    assert_eq!(results["weights"].as_str().unwrap().len(), 64);
    assert_eq!(sums["by_problem"].as_array().unwrap().len(), 24);
    assert!(!place.exists("out/answers.jsonl.journal"));

    let shown = place.iwsft(&[
        "inspect",
        "out/answers.jsonl",
        "--model",
        "model",
        "--rows",
        "72",
    ]);
    assert_eq!(shown.succeeds().stdout.matches("with loss").count(), 72);
}

#[test]
fn a_table_says_what_the_results_say() {
    let place = place();
    let table = sums(
        &place,
        "out",
        &["--metric", "avg@k", "-k", "1", "--temperature", "0"],
    );
    let table = table.succeeds().stdout;
    assert!(table.starts_with("benchmark  problems  metric"), "{table}");
    let row = table.lines().nth(2).unwrap();
    assert!(row.starts_with("sums       24        avg@1"), "{table}");
    let value = results(&place, "out")["benchmarks"][0]["metrics"][0]["value"].clone();
    let value = format!("{:.1}%", 100.0 * value.as_f64().unwrap());
    assert!(row.contains(&value), "{table}");
}

#[test]
fn the_same_seed_gives_the_same_answers_however_many_problems_are_asked() {
    let place = place();
    sums(&place, "all", &[]).succeeds();
    sums(&place, "few", &["--limit", "5"]).succeeds();
    sums(&place, "other", &["--limit", "5", "--seed", "1"]).succeeds();
    let all = place.lines("all/answers.jsonl");
    assert_eq!(all[..15], place.lines("few/answers.jsonl"));
    assert_ne!(all[..15], place.lines("other/answers.jsonl"));
}

#[test]
fn an_interrupted_evaluation_goes_on_and_ends_with_the_same_files() {
    let place = place();
    sums(&place, "whole", &[]).succeeds();
    // Answers that cannot be put in place leave the journal behind.
    fs::create_dir_all(place.path("out/answers.jsonl/x")).unwrap();
    assert_eq!(sums(&place, "out", &[]).status, Some(2));
    fs::remove_dir_all(place.path("out/answers.jsonl")).unwrap();
    let journal = place.read("out/answers.jsonl.journal");
    let kept: Vec<&str> = journal.split_inclusive('\n').take(30).collect();
    place.write(
        "out/answers.jsonl.journal",
        &format!("{}{{\"ex", kept.concat()),
    );

    let other = sums(&place, "out", &["--seed", "9"]);
    other.fails(2, &["answers.jsonl.journal", "--restart"]);
    let ended = sums(&place, "out", &[]).succeeds();
    assert!(ended.stderr.contains("29 of 72 answers"), "{ended}");
    for file in ["answers.jsonl", "results.json"] {
        let of = |out: &str| place.read(&format!("{out}/{file}"));
        assert_eq!(of("whole"), of("out"), "{file}");
    }
    assert!(!place.exists("out/answers.jsonl.journal"));

    sums(&place, "out", &[]).fails(2, &["finished results", "--restart"]);
    sums(&place, "out", &["--restart", "--seed", "9"]).succeeds();
}

/// Asks `model` with the right answers being those of `model`, which are taken
/// from an evaluation of it.
fn questions_for(place: &Workplace, model: &str) {
    let options = ["--problems", "questions.jsonl", "--max-tokens", "12"];
    eval(place, model, "learn", &options).succeeds();
    let rows = place.lines("learn/answers.jsonl");
    let known: Vec<String> = rows
        .iter()
        .filter(|row| row["extracted"].is_string())
        .map(|row| {
            let question = &row["prompt"][0]["content"];
            format!(
                "{}\n",
                json!({"question": question, "answer": row["extracted"]})
            )
        })
        .collect();
    assert!(known.len() >= 10, "{} answers", known.len());
    place.write("known.jsonl", &known.concat());
}

#[test]
fn better_is_said_of_the_model_that_answers_right_and_of_no_other() {
    let place = place();
    questions(&place, "questions.jsonl", 70);
    write_model(&place.path("other"), 2);
    questions_for(&place, "model");
    for model in ["model", "other"] {
        let options = ["--problems", "known.jsonl", "--max-tokens", "12"];
        eval(&place, model, &format!("of-{model}"), &options).succeeds();
    }
    let compare = |a: &str, b: &str, options: &[&str]| {
        place.iwsft(&[&["eval", "compare", a, b], options].concat())
    };
    let said = compare("of-other", "of-model", &[]).succeeds().stdout;
    assert!(
        said.contains("model is better than other: 100.0% against"),
        "{said}"
    );
    assert!(said.contains("McNemar's exact test, p < 0.001"), "{said}");
    let said = compare("of-model", "of-other", &[]).succeeds().stdout;
    assert!(said.contains("other is worse than model"), "{said}");

    let same = compare("of-model", "of-model", &["--json"])
        .succeeds()
        .json();
    assert_eq!(
        (&same[0]["verdict"], &same[0]["p"]),
        (&json!("cannot-tell"), &json!(1.0))
    );
    let sentence = same[0]["sentence"].as_str().unwrap();
    assert!(sentence.contains("no difference can be told"), "{sentence}");
}

#[test]
fn results_of_different_problems_are_not_compared() {
    let place = place();
    sums(&place, "all", &[]).succeeds();
    sums(&place, "few", &["--limit", "5"]).succeeds();
    sums(&place, "one", &["-k", "1", "--metric", "avg@k"]).succeeds();
    let compare = |a: &str, b: &str, options: &[&str]| {
        place.iwsft(&[&["eval", "compare", a, b], options].concat())
    };
    compare("all", "few", &[]).fails(2, &["problem `5` is only in the first"]);
    compare("few", "all", &[]).fails(2, &["problem `5` is only in the second"]);
    // An average of three answers and of one mean the same.
    let said = compare("all", "one", &[]).succeeds().stdout;
    assert!(said.contains("avg@3 against avg@1"), "{said}");
    compare("all", "one", &["--metric", "pass@k"]).fails(2, &["one has no pass@k; it has avg@k"]);
    sums(&place, "two", &["-k", "2"]).succeeds();
    compare("all", "two", &["--metric", "pass@k"]).fails(2, &["pass@3 and pass@2"]);

    place.write(
        "questions.jsonl",
        &place
            .read("questions.jsonl")
            .replace("\"answer\":3", "\"answer\":4"),
    );
    sums(&place, "changed", &[]).succeeds();
    compare("all", "changed", &[]).fails(2, &["different texts or answers"]);
    place.write("sums.toml", &SUMS.replace("version = 1", "version = 2"));
    sums(&place, "newer", &[]).succeeds();
    compare("changed", "newer", &[]).fails(2, &["version 1 and version 2"]);
    place.write("sums.toml", &SUMS.replace("\"sums\"", "\"adding\""));
    sums(&place, "named", &[]).succeeds();
    compare("all", "named", &[]).fails(
        2,
        &["no benchmark is in both: all has sums, named has adding"],
    );
}

#[test]
fn results_that_are_damaged_or_missing_are_refused_by_name() {
    let place = place();
    sums(&place, "good", &["--limit", "3"]).succeeds();
    let good = place.read("good/results.json");
    let cases = [
        (
            good[..good.len() / 2].to_owned(),
            "is not what `iwsft eval` writes",
        ),
        (
            good.replace(
                "\"version\": 1,\n  \"iwsft\"",
                "\"version\": 9,\n  \"iwsft\"",
            ),
            "has form 9",
        ),
        (
            good.replacen("\"problems\": 3", "\"problems\": 4", 1),
            "do not have a value for each metric",
        ),
        (
            good.replacen("\"model\"", "\"modell\"", 1),
            "unknown field `modell`",
        ),
        (String::new(), "is not what `iwsft eval` writes"),
        ("[]".to_owned(), "is not what `iwsft eval` writes"),
    ];
    for (text, expected) in cases {
        place.write("bad/results.json", &text);
        let ended = place.iwsft(&["eval", "compare", "good", "bad"]);
        ended.fails(2, &["bad/results.json", expected]);
    }
    place
        .iwsft(&["eval", "compare", "good", "nowhere"])
        .fails(2, &["nowhere/results.json"]);
}

#[test]
fn mistakes_about_what_is_asked_are_told_before_anything_is_loaded() {
    let place = place();
    let benchmark = |name: &str, options: &[&str]| {
        eval(
            &place,
            "model",
            "out",
            &[&["--benchmark", name], options].concat(),
        )
    };
    eval(&place, "model", "out", &[]).fails(2, &["nothing to evaluate", "--benchmark"]);
    benchmark("gsm9k", &[]).fails(2, &["did you mean `gsm8k`?", "gpqa-diamond"]);
    benchmark("none.toml", &[]).fails(2, &["none.toml", "check the path"]);
    benchmark("sums.toml", &["--metric", "pass@8"]).fails(2, &["pass@8 needs 8 answers", "k is 3"]);
    benchmark("sums.toml", &["--metric", "best"]).fails(2, &["no metric"]);
    benchmark("sums.toml", &["--temperature", "0"]).fails(2, &["the same at temperature 0"]);
    benchmark("sums.toml", &["--temperature", "-1"]).fails(2, &["temperature"]);
    benchmark("sums.toml", &["-k", "0"]).fails(2, &["`k` is 0"]);
    benchmark("sums.toml", &["--limit", "0"]).fails(2, &["limit is 0"]);
    benchmark("sums.toml", &["--thinking-tokens", "0"]).fails(2, &["--thinking-tokens 0"]);
    benchmark("sums.toml", &["--benchmark", "sums.toml"]).fails(2, &["is given twice"]);
    benchmark("sums.toml", &["--data", "a", "--data", "b"]).fails(2, &["has one already"]);
    let missing = ["--data", "missing.jsonl"];
    benchmark("sums.toml", &missing).fails(2, &["missing.jsonl", "check the path"]);
    place.write("empty.jsonl", "");
    benchmark("sums.toml", &["--data", "empty.jsonl"]).fails(2, &["empty.jsonl", "no rows"]);
    let ended = benchmark("sums.toml", &["--data", "train.jsonl"]);
    ended.fails(
        2,
        &["train.jsonl:1", "no column `question`", "it has `prompt`"],
    );
    place.write("odd.toml", &SUMS.replace("prompt =", "promt ="));
    benchmark("odd.toml", &[]).fails(2, &["odd.toml", "promt"]);
    assert!(!place.exists("out"));
    place
        .iwsft(&["eval", "model", "--benchmark", "sums.toml"])
        .fails_to_parse("--out");
    place
        .iwsft(&["eval", "--benchmark", "sums.toml", "--out", "out"])
        .fails_to_parse("MODEL");
}

impl Ended {
    /// Requires that the command line itself was refused.
    #[track_caller]
    fn fails_to_parse(self, fragment: &str) {
        assert_eq!(self.status, Some(2), "{self}");
        assert!(self.stderr.contains(fragment), "{self}");
    }
}

#[test]
fn a_benchmark_without_data_says_what_to_download_and_finds_it_there() {
    let place = place();
    let home = place.path("hf");
    let run = |args: &[&str]| {
        let mut command = place.command(args);
        command.env("HF_HOME", &home).env_remove("HF_HUB_CACHE");
        place.run(command)
    };
    let gsm8k = [
        "eval",
        "model",
        "--benchmark",
        "gsm8k",
        "--out",
        "out",
        "--max-tokens",
        "4",
    ];
    run(&gsm8k).fails(
        2,
        &[
            "hf download --repo-type dataset openai/gsm8k",
            "--data FILE",
        ],
    );
    let list = run(&["eval", "list"]).succeeds().stdout;
    assert!(
        list.contains("gsm8k") && list.contains("no; give --data FILE"),
        "{list}"
    );

    let row = json!({"question": "1+1=", "answer": "one and one\n#### 2"});
    let file = "hf/hub/datasets--openai--gsm8k/snapshots/a/main/test.jsonl";
    place.write(file, &format!("{row}\n"));
    run(&gsm8k).succeeds();
    let listed = run(&["eval", "list", "--json"]).succeeds().json();
    assert_eq!(listed[0]["benchmark"], "gsm8k");
    assert_eq!(listed[0]["found"][0], json!(place.path(file)));
    let golds: Vec<_> = place
        .lines("out/answers.jsonl")
        .iter()
        .map(|row| row["gold"].clone())
        .collect();
    assert_eq!(golds, ["one and one\n#### 2"]);
}

#[test]
fn columns_and_lists_of_answers_are_the_users_also_for_benchmarks_that_come_along() {
    let place = place();
    let rows: Vec<String> = (0..6)
        .map(|i| {
            let answers = json!([(3 * i).to_string(), format!("{}+{i}", 2 * i)]);
            format!(
                "{}\n",
                json!({"body": format!("{i}+{i}+{i}="), "final_answer": answers})
            )
        })
        .collect();
    place.write("mine.jsonl", &rows.concat());
    let run = |out: &str, options: &[&str]| {
        let base = [
            "--benchmark",
            "math500",
            "--data",
            "mine.jsonl",
            "--max-tokens",
            "4",
        ];
        eval(&place, "model", out, &[&base, options].concat())
    };
    let refused = run("out", &[]);
    refused.fails(
        2,
        &[
            "no column `problem` or `question`",
            "--prompt-column",
            "--answer-column",
        ],
    );
    let columns = ["--prompt-column", "body", "--answer-column", "final_answer"];
    run("out", &columns).fails(2, &["mine.jsonl:1", "a list of 2 answers", "--gold any"]);
    run("out", &[&columns[..], &["--gold", "any"]].concat()).succeeds();
    let answers = place.lines("out/answers.jsonl");
    assert_eq!(answers[1]["gold"], json!(["3", "2+1"]));
    let asked = answers[1]["prompt"][0]["content"].as_str().unwrap();
    assert!(asked.starts_with("1+1+1="), "{asked}");
    let definition = &results(&place, "out")["benchmarks"][0]["definition"];
    assert_eq!(definition["columns"]["answer"], json!(["final_answer"]));
    assert_eq!(definition["grader"]["gold"], "any");

    // Of several benchmarks, each has its own.
    let several = [
        "--benchmark",
        "sums.toml",
        "--benchmark",
        "math500",
        "--data",
        "math500=mine.jsonl",
    ];
    let unnamed = [&several[..], &["--answer-column", "final_answer"]].concat();
    eval(&place, "model", "two", &unnamed).fails(2, &["--answer-column NAME=final_answer"]);
    let named = [
        "--prompt-column",
        "math500=body",
        "--answer-column",
        "math500=final_answer",
        "--gold",
        "all",
        "--limit",
        "2",
        "--max-tokens",
        "4",
    ];
    eval(&place, "model", "two", &[&several[..], &named].concat()).succeeds();
}

#[test]
fn forced_thoughts_are_not_graded_whatever_ends_them() {
    let place = place();
    let options = [
        "-k",
        "1",
        "--metric",
        "avg@k",
        "--limit",
        "8",
        "--thinking-tokens",
        "20",
    ];
    let ends = ["--end-of-thinking", "::", "--max-tokens", "1"];
    sums(&place, "out", &[&options[..], &ends].concat()).succeeds();
    for row in place.lines("out/answers.jsonl") {
        let text = row["completion"][0]["content"].as_str().unwrap();
        let (_, answer) = text.split_once("::").unwrap();
        if let Some(found) = row["extracted"].as_str() {
            assert!(answer.contains(found), "{row}");
        }
    }
}

#[test]
fn answers_that_never_leave_the_thoughts_which_the_template_opens_are_none() {
    let place = place();
    let mut tokenizer: Value = serde_json::from_str(&place.read("model/tokenizer.json")).unwrap();
    tokenizer["added_tokens"]
        .as_array_mut()
        .unwrap()
        .push(json!({
            "id": 47, "content": "<think>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": false
        }));
    fixture::write_json(&place.path("model/tokenizer.json"), &tokenizer);
    let template = fixture::CHAT_TEMPLATE.replace("assistant:{%", "assistant:<think>\n{%");
    place.write("model/chat_template.jinja", &template);
    let ended = sums(&place, "out", &[]).succeeds();
    for row in place.lines("out/answers.jsonl") {
        assert_eq!(
            (&row["extracted"], &row["reward"]),
            (&Value::Null, &json!(0))
        );
    }
    let said = "sums: 72 of 72 answers cannot be read (thoughts only";
    assert!(ended.stderr.contains(said), "{ended}");
    // Without the template nothing is opened.
    sums(&place, "plain", &["--plain"]).succeeds();
    let rows = place.lines("plain/answers.jsonl");
    assert!(rows.iter().any(|row| row["extracted"].is_string()));
}

#[test]
fn multiple_choice_is_read_from_the_users_csv_and_shuffled_by_seed() {
    let place = place();
    let head = "Record ID,Question,Correct Answer,Incorrect Answer 1,Incorrect Answer 2,Incorrect Answer 3\n";
    let rows: Vec<String> = (0..12)
        .map(|i| format!("r{i},\"a, or b?\",yes,no,nay,nope\n"))
        .collect();
    place.write("my.csv", &format!("{head}{}", rows.concat()));
    let golds = |out: &str, options: &[&str]| -> Vec<Value> {
        let base = [
            "--benchmark",
            "gpqa-diamond",
            "--data",
            "my.csv",
            "-k",
            "1",
            "--max-tokens",
            "4",
            "--metric",
            "avg@k",
        ];
        eval(&place, "model", out, &[&base, options].concat()).succeeds();
        let rows = place.lines(&format!("{out}/answers.jsonl"));
        rows.iter().map(|row| row["gold"].clone()).collect()
    };
    let first = golds("first", &[]);
    assert_eq!(first, golds("again", &[]));
    assert_ne!(first, golds("other", &["--seed", "5"]));
    assert!(
        first
            .iter()
            .all(|gold| ["A", "B", "C", "D"].map(Value::from).contains(gold))
    );
    let compare = place.iwsft(&["eval", "compare", "first", "other"]);
    compare.fails(2, &["--seed 0 and --seed 5 shuffle choices differently"]);
}

#[test]
fn forced_thinking_ends_at_its_cap_and_waits_as_often_as_told() {
    let place = place();
    let one = [
        "-k",
        "1",
        "--metric",
        "avg@k",
        "--limit",
        "6",
        "--wait-text",
        "wait",
    ];
    let texts = |out: &str, options: &[&str]| -> Vec<String> {
        sums(&place, out, &[&one, options].concat()).succeeds();
        let rows = place.lines(&format!("{out}/answers.jsonl"));
        let text = |row: &Value| row["completion"][0]["content"].as_str().unwrap().to_owned();
        rows.iter().map(text).collect()
    };
    for text in texts(
        "capped",
        &["--thinking-tokens", "5", "--end-of-thinking", "::"],
    ) {
        let (thought, answer) = text.split_once("::").unwrap();
        assert!(thought.chars().count() <= 5, "{text:?}");
        assert!(answer.chars().count() <= 12, "{text:?}");
    }
    // Every token is a character, and any of these few ends the thinking.
    let mut waited = 0;
    for text in texts(
        "waited",
        &[
            "--thinking-tokens",
            "60",
            "--wait",
            "2",
            "--end-of-thinking",
            "a",
        ],
    ) {
        waited += text.matches("wait").count();
        assert!(text.matches("wait").count() <= 2, "{text:?}");
    }
    assert!(waited > 0);
    let results = results(&place, "waited");
    assert_eq!(results["benchmarks"][0]["forcing"]["wait"], 2);
}

/// Answers every conversation with `The answer is 3.`
fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let message = json!({"role": "assistant", "content": "the answer is 3."});
            let answer = match http::read(&stream) {
                Value::Null => json!({"data": [{"id": "tiny"}]}),
                _ => json!({"choices": [{"message": message, "finish_reason": "stop"}]}),
            };
            http::answer(&mut stream, 200, &answer);
        }
    });
    url
}

#[test]
fn a_server_is_evaluated_like_a_folder() {
    let place = place();
    let url = server();
    let args = [
        "eval",
        "--endpoint",
        &url,
        "--benchmark",
        "sums.toml",
        "--out",
        "out",
    ];
    let lines = place
        .iwsft(&[&args[..], &["--json"]].concat())
        .succeeds()
        .json();
    assert_eq!(lines[0]["model"], "tiny");
    let rows = place.lines("questions.jsonl");
    let right = rows.iter().filter(|row| row["answer"] == 3).count() as f64;
    assert!(right > 0.0);
    for line in &lines {
        assert!(
            (number(line, "value") - right / 24.0).abs() < 1e-12,
            "{line}"
        );
    }
    assert_eq!(results(&place, "out")["weights"], Value::Null);
    let folder = place.iwsft(&[&args[..], &["model"]].concat());
    folder.fails_to_parse("--endpoint");
}

/// Settings of `[eval]` for a run of 12 steps.
const WHILE_TRAINING: [&str; 4] = [
    "eval.every=5",
    "eval.benchmark=sums.toml",
    "eval.limit=6",
    "eval.sampling.max_tokens=8",
];

#[test]
fn evaluations_are_logged_at_their_steps_and_do_not_change_the_training() {
    let place = place();
    place.train("plain", &[]).succeeds();
    let ended = place.train("watched", &WHILE_TRAINING).succeeds();
    assert_eq!(place.weights("plain"), place.weights("watched"));
    let loss = |run: &str| -> Vec<f64> {
        place
            .metrics(run, "step")
            .iter()
            .map(|line| number(line, "loss"))
            .collect()
    };
    assert_eq!(loss("plain"), loss("watched"));
    let records = place.metrics("watched", "eval");
    let steps: Vec<_> = records
        .iter()
        .map(|record| record["step"].as_u64())
        .collect();
    assert_eq!(steps, [0, 5, 10, 12].map(Some));
    for record in &records {
        assert_eq!(
            (&record["benchmark"], &record["problems"]),
            (&json!("sums"), &json!(6))
        );
        assert_eq!(record["metrics"][1]["metric"], "pass@3");
        assert!(record["metrics"][0]["value"].is_number(), "{record}");
    }
    assert!(ended.stderr.contains("step 5: sums avg@3 "), "{ended}");

    // The last record is what `iwsft eval` says of the trained model.
    let options = [
        "--benchmark",
        "sums.toml",
        "--limit",
        "6",
        "--max-tokens",
        "8",
    ];
    let ended = eval(
        &place,
        "watched/model",
        "out",
        &[&options[..], &["--json"]].concat(),
    );
    assert_eq!(
        ended.succeeds().json()[0]["value"],
        records[3]["metrics"][0]["value"]
    );
}

#[test]
fn a_resumed_run_logs_each_evaluation_once() {
    let place = place();
    let mut sets = WHILE_TRAINING.to_vec();
    sets.extend([
        "train.checkpoint_every=5",
        "train.schedule=constant",
        "train.warmup=0",
    ]);
    place.train("whole", &sets).succeeds();
    let short = [&sets[..], &["train.steps=5"]].concat();
    place.train("run", &short).succeeds();
    place
        .iwsft(&["train", "run", "--resume", "--set", "train.steps=12"])
        .succeeds();
    let records = |run: &str| -> Vec<(Value, Value)> {
        let of = |record: &Value| (record["step"].clone(), record["metrics"].clone());
        place.metrics(run, "eval").iter().map(of).collect()
    };
    assert_eq!(records("whole"), records("run"));
    assert_eq!(records("run").len(), 4);
}

#[test]
fn mistakes_in_the_recipes_evaluation_stop_the_run_before_it_begins() {
    let place = place();
    let train = |sets: &[&str]| place.train("run", sets);
    train(&["eval.every=5"]).fails(2, &["[eval] needs either `benchmark` or `problems`"]);
    train(&["eval.every=0", "eval.benchmark=sums.toml"]).fails(2, &["`eval.every` is 0"]);
    train(&["eval.benchmark=sums.toml"]).fails(2, &["every"]);
    train(&["eval.every=5", "eval.problems=none.jsonl"]).fails(2, &["none.jsonl"]);
    let misspelt = ["eval.every=5", "eval.benchmark=sums.toml", "eval.limt=3"];
    train(&misspelt).fails(2, &["did you mean `limit`?"]);
    assert!(!place.exists("run"));
}
