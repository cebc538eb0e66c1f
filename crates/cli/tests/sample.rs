//! `iwsft sample` on files of prompts, as a user runs it.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod fixture;

use std::fs;
use std::time::{Duration, Instant};

use fixture::{Workplace, number, write_weights};
use serde_json::{Value, json};

const PROMPTS: &str = r#"{"prompt": "1+1=", "answer": 2, "reward": 1}
{"id": "named", "prompt": "2+3=", "answer": 5, "completion": "an older one"}
{"prompt": "so ", "answer": 0}
"#;

fn place() -> Workplace {
    let place = Workplace::new();
    place.write("prompts.jsonl", PROMPTS);
    place
}

fn sample<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let begin = [
        "sample",
        "model",
        "--prompts",
        "prompts.jsonl",
        "--out",
        out,
    ];
    [&begin[..], &["--max-tokens", "20"], more].concat()
}

#[test]
fn a_row_comes_for_each_completion_in_the_order_of_the_prompts() {
    let place = place();
    let ended = place
        .iwsft(&sample("out.jsonl", &["-k", "3", "--json"]))
        .succeeds();
    let rows = place.lines("out.jsonl");
    let ids: Vec<&str> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
    let expected = [
        "1-0", "1-1", "1-2", "named-0", "named-1", "named-2", "3-0", "3-1", "3-2",
    ];
    assert_eq!(ids, expected);
    for (index, row) in rows.iter().enumerate() {
        let prompt = ["1+1=", "2+3=", "so "][index / 3];
        assert_eq!(
            (&row["prompt"], &row["draw"]),
            (&json!(prompt), &json!(index % 3))
        );
        assert_eq!(
            row["answer"],
            [2, 5, 0][index / 3],
            "other columns go along"
        );
        assert!(row["reward"].is_null(), "it was of another completion");
        let tokens = row["completion_tokens"].as_array().unwrap();
        let log_probs = row["ref_log_probs"].as_array().unwrap();
        assert_eq!(tokens.len(), log_probs.len());
        assert!(log_probs.iter().all(|p| p.as_f64().unwrap() <= 0.0));
        let text = row["completion"].as_str().unwrap();
        let ends = row["finish"] == "stop";
        // The model knows more tokens than the tokenizer, which have no text.
        let characters = text.chars().count() + usize::from(ends);
        assert!(characters <= tokens.len(), "{row}");
        assert_eq!(ends, tokens.last() == Some(&json!(0)));
        assert!(ends || tokens.len() == 20);
    }
    assert_ne!(rows[0]["completion"], rows[1]["completion"]);
    let [summary] = &ended.json()[..] else {
        panic!("{ended}");
    };
    assert_eq!(
        (number(summary, "prompts"), number(summary, "completions")),
        (3.0, 9.0)
    );
    assert!((number(summary, "stopped") + number(summary, "cut") - 1.0).abs() < 1e-9);
    assert!(!place.exists("out.jsonl.journal"));
    let table = place.iwsft(&sample("again.jsonl", &["-k", "3"])).succeeds();
    for word in [
        "completions",
        "ended by themselves",
        "tokens/s",
        "again.jsonl",
    ] {
        assert!(table.stdout.contains(word), "{table}");
    }
    assert_eq!(place.read("out.jsonl"), place.read("again.jsonl"));
}

#[test]
fn the_batch_and_the_order_change_nothing_and_the_seed_everything() {
    let place = place();
    let draw = |out, more: &[&'static str]| {
        place
            .iwsft(&sample(out, &[&["-k", "4"], more].concat()))
            .succeeds();
        place.lines(out)
    };
    let many = draw("many.jsonl", &[]);
    let one = draw("one.jsonl", &["--batch", "1"]);
    assert_eq!(many, one);
    let other = draw("other.jsonl", &["--seed", "1"]);
    assert_ne!(many[0]["completion_tokens"], other[0]["completion_tokens"]);
    let mut lines: Vec<&str> = PROMPTS.lines().collect();
    lines.reverse();
    place.write("prompts.jsonl", &(lines.join("\n") + "\n"));
    let reversed = draw("reversed.jsonl", &[]);
    for row in reversed {
        let same = many
            .iter()
            .find(|each| each["prompt"] == row["prompt"] && each["draw"] == row["draw"]);
        assert_eq!(same.unwrap()["ref_log_probs"], row["ref_log_probs"]);
    }
}

#[test]
fn an_interrupted_file_goes_on_to_the_same_rows() {
    let place = place();
    // Enough completions that there is time to kill it.
    let rows: String = (0..40)
        .map(|row| format!("{{\"prompt\": \"{row}+1=\"}}\n"))
        .collect();
    place.write("prompts.jsonl", &rows);
    // A temperature of 17 digits, as a search over settings makes them, is the same
    // when the journal is read again.
    let settings = [
        "-k",
        "20",
        "--batch",
        "8",
        "--temperature",
        "0.9452706955539223",
    ];
    let args = |out| sample(out, &settings);
    place.iwsft(&args("whole.jsonl")).succeeds();
    let mut child = place.spawn(&args("out.jsonl"));
    let journal = place.path("out.jsonl.journal");
    let lines = || fs::read_to_string(&journal).map_or(0, |text| text.lines().count());
    let start = Instant::now();
    while lines() < 20 {
        assert!(start.elapsed() < Duration::from_secs(60), "no completions");
        assert!(
            child.try_wait().unwrap().is_none(),
            "ended too soon to tell"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!place.exists("out.jsonl"));
    // Other settings would make other rows.
    let mut other = args("out.jsonl");
    other.extend(["--seed", "1"]);
    place.iwsft(&other).fails(
        2,
        &["out.jsonl.journal", "seed = 0, now it is 1", "--restart"],
    );
    let ended = place.iwsft(&args("out.jsonl")).succeeds();
    assert!(
        ended
            .stderr
            .contains("of 800 completions are there already"),
        "{ended}"
    );
    assert_eq!(place.read("out.jsonl"), place.read("whole.jsonl"));
    assert!(!journal.exists());
    place
        .iwsft(&args("out.jsonl"))
        .fails(2, &["out.jsonl: is there already", "--restart"]);
}

/// What was drawn is what training sees: with the sampled log-probs as the
/// reference every weight begins at 1.
#[test]
fn sampled_rows_train_with_their_own_log_probs_as_the_reference() {
    let place = place();
    for (name, more) in [
        ("plain", &[][..]),
        ("chat", &["--chat", "--system", "so"]),
        ("stop", &["--stop", "1"]),
    ] {
        let out = format!("{name}.jsonl");
        place
            .iwsft(&sample(&out, &[&["-k", "2"], more].concat()))
            .succeeds();
        let run = format!("run-{name}");
        let train = format!("data.train={}", place.path(&out).display());
        place
            .train(
                &run,
                &[
                    "objective.preset=iw-sft-llm",
                    "reference.column=true",
                    "train.steps=1",
                    &train,
                ],
            )
            .succeeds();
        let first = &place.metrics(&run, "step")[0];
        for key in ["weight_min", "weight_mean", "weight_max"] {
            assert!((number(first, key) - 1.0).abs() < 1e-4, "{name}: {first}");
        }
        // The loss per token is what was sampled, too.
        let rows = place.lines(&out);
        let of = |row: &Value| row["ref_log_probs"].as_array().unwrap().clone();
        let all: Vec<f64> = rows
            .iter()
            .flat_map(of)
            .map(|p| p.as_f64().unwrap())
            .collect();
        let mean = -all.iter().sum::<f64>() / all.len() as f64;
        assert!(all.len() > 20, "{name}: {}", all.len());
        if name == "plain" {
            assert!(
                (number(first, "nll") - mean).abs() < 1e-3,
                "{first}: {mean}"
            );
        }
    }
    // A text that was changed is not what was drawn.
    let changed = place
        .read("plain.jsonl")
        .replacen("\"completion\":\"", "\"completion\":\"~", 1);
    place.write("changed.jsonl", &changed);
    let train = format!("data.train={}", place.path("changed.jsonl").display());
    place.train("run-changed", &[&train]).fails(
        2,
        &["changed.jsonl:1", "completion_tokens", "remove the column"],
    );
}

#[test]
fn prompts_come_from_columns_templates_and_conversations() {
    let place = Workplace::new();
    let prompts_of = |rows: &str, more: &[&str]| -> Vec<Value> {
        place.write("prompts.jsonl", rows);
        let restart = ["--restart", "--max-tokens", "1"];
        let begin = [
            "sample",
            "model",
            "--prompts",
            "prompts.jsonl",
            "--out",
            "out.jsonl",
        ];
        place
            .iwsft(&[&begin[..], &restart, more].concat())
            .succeeds();
        let lines = place.lines("out.jsonl");
        lines.into_iter().map(|row| row["prompt"].clone()).collect()
    };
    let question = "{\"question\": \"1+1\", \"n\": 3}\n";
    assert_eq!(
        prompts_of(question, &["--prompt-column", "question"]),
        [json!("1+1")]
    );
    assert_eq!(
        prompts_of(question, &["--template", "{n}:{question}="]),
        [json!("3:1+1=")]
    );
    // As a shell hands over what stands in single quotes.
    assert_eq!(
        prompts_of(question, &["--template", r"Q:\t{question}\nA: \boxed\\n"]),
        [json!("Q:\t1+1\nA: \\boxed\\n")]
    );
    let user = json!({"role": "user", "content": "1+1"});
    let system = json!({"role": "system", "content": "so"});
    let chat = ["--prompt-column", "question", "--chat", "--system", "so"];
    assert_eq!(prompts_of(question, &chat), [json!([system, user])]);
    let answered = json!({"messages": [user, {"role": "assistant", "content": "2"}]});
    assert_eq!(prompts_of(&format!("{answered}\n"), &[]), [json!([user])]);
    let answer = &place.lines("out.jsonl")[0]["completion"];
    assert_eq!(answer[0]["role"], "assistant");
    let three = "{\"prompt\": \"1\"}\n{\"prompt\": \"2\"}\n{\"prompt\": \"3\"}\n";
    assert_eq!(prompts_of(three, &["--limit", "2"]).len(), 2);
}

#[test]
fn mistakes_are_named_with_their_place() {
    let place = place();
    let refuses = |rows: &str, more: &[&str], said: &[&str]| {
        place.write("prompts.jsonl", rows);
        place.iwsft(&sample("out.jsonl", more)).fails(2, said);
        assert!(!place.exists("out.jsonl") && !place.exists("out.jsonl.journal"));
    };
    let fine = "{\"prompt\": \"1\"}\n";
    refuses("", &[], &["prompts.jsonl", "holds no rows"]);
    refuses(
        "{\"prompt\": \"\"}\n",
        &[],
        &["prompts.jsonl:1", "0 tokens"],
    );
    let long = format!("{fine}{{\"prompt\": \"{}\"}}\n", "1".repeat(128));
    refuses(
        &long,
        &[],
        &["prompts.jsonl:2", "128 tokens", "room for 128"],
    );
    refuses(
        "{\"a\": 1}\n",
        &[],
        &["prompts.jsonl:1", "no column `prompt` or `messages`", "`a`"],
    );
    refuses(
        fine,
        &["--prompt-column", "q"],
        &["no column `q`", "the row has `prompt`"],
    );
    refuses(
        "{\"prompt\": 3}\n",
        &[],
        &["prompts.jsonl:1", "the prompt is 3"],
    );
    refuses(
        "{\"prompt\": [{}]}\n",
        &[],
        &["prompts.jsonl:1", "message 0", "no role"],
    );
    refuses(
        fine,
        &["--template", "{q}"],
        &["prompts.jsonl:1", "no column `q`"],
    );
    refuses(
        fine,
        &["--template", "{prompt"],
        &["--template", "not closed"],
    );
    refuses(
        fine,
        &["--system", "so"],
        &["prompts.jsonl:1", "use --chat"],
    );
    for (option, value, said) in [
        ("--top-p", "0", "`top_p` is 0"),
        ("--top-p", "2", "`top_p` is 2"),
        ("--temperature", "-1", "`temperature` is -1"),
        ("--temperature", "nan", "`temperature` is NaN"),
        ("--top-k", "0", "`top_k` is 0"),
        ("--min-p", "1.5", "`min_p` is 1.5"),
        ("--stop", "", "`stop` is an empty text"),
        ("--stop-token", "<no>", "--stop-token <no>: not a token"),
    ] {
        refuses(fine, &[option, value], &[said]);
    }
    let place = Workplace::new();
    place.write("prompts.jsonl", fine);
    place
        .iwsft(&sample("out.jsonl", &["-k", "0"]))
        .fails(2, &["--completions"]);
    place.iwsft(&sample("out.txt", &[])).fails(2, &["out.txt"]);
    place
        .iwsft(&["sample", "model", "--prompts", "prompts.jsonl"])
        .fails(2, &["--out"]);
    place.iwsft(&["sample", "model"]).fails(2, &["--prompt"]);
    write_weights(&place.path("model"), 1, |_| f32::NAN);
    place
        .iwsft(&sample("out.jsonl", &[]))
        .fails(2, &["logits are not finite"]);
}

#[test]
fn rows_of_older_versions_without_the_space_that_a_completion_begins_with_still_train() {
    let place = place();
    let mut tokenizer: Value = serde_json::from_str(&place.read("model/tokenizer.json")).unwrap();
    tokenizer["decoder"] = json!({ "type": "Sequence", "decoders": [
        { "type": "Fuse" }, { "type": "Strip", "content": " ", "start": 1, "stop": 0 } ] });
    place.write("model/tokenizer.json", &tokenizer.to_string());
    // Token 37 is the space, 2 is `1`.
    let row =
        |text: &str| json!({ "prompt": "so", "completion": text, "completion_tokens": [37, 2, 0] });
    let inspect = |text: &str| {
        place.write("rows.jsonl", &row(text).to_string());
        place.iwsft(&["inspect", "rows.jsonl", "--model", "model", "--json"])
    };
    for text in [" 1", "1"] {
        let ended = inspect(text).succeeds();
        assert_eq!(
            ended.json()[0]["tokens"],
            json!([29, 25, 37, 2, 0]),
            "{text:?}"
        );
    }
    inspect("2").fails(2, &["completion_tokens", "\" 1\""]);
}

#[test]
fn columns_that_go_along_keep_their_numbers_as_they_stand() {
    let place = Workplace::new();
    let kept = r#""n":12345678901234567890123,"x":10928588.983213553,"l":[1e-05,1.10]"#;
    let row = format!("{{\"id\":98765432109876543210,\"prompt\":\"1+1=\",{kept}}}\n");
    place.write("prompts.jsonl", &row);
    place
        .iwsft(&sample("out.jsonl", &["--template", "{n}+"]))
        .succeeds();
    let text = place.read("out.jsonl");
    for part in [
        kept,
        r#""id":"98765432109876543210-0""#,
        r#""prompt":"12345678901234567890123+""#,
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
}
