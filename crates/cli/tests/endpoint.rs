//! `iwsft sample` with a server: a real one where `IWSFT_TEST_ENDPOINT` names its
//! address (`IWSFT_TEST_MODEL` its model), and a socket that answers as each test
//! says, for what real servers do too seldom.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod fixture;

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use fixture::{Ended, Workplace, http};
use serde_json::{Value, json};

/// Eight prompts.
fn prompts(place: &Workplace) {
    let lines: String = (0..8)
        .map(|n| format!("{}\n", json!({"prompt": format!("{n} + 1 ="), "level": n})))
        .collect();
    place.write("prompts.jsonl", &lines);
}

fn sample(place: &Workplace, url: &str, options: &[&str]) -> Ended {
    let file = [
        "sample",
        "--endpoint",
        url,
        "--prompts",
        "prompts.jsonl",
        "--out",
        "out.jsonl",
    ];
    let mut command = place.command(&[&file[..], options].concat());
    command.env_remove("OPENAI_API_KEY");
    place.run(command)
}

// ---- a real server ----

/// Options for the real server, or a message that there is none.
fn real() -> Option<(String, Vec<String>)> {
    let Ok(url) = std::env::var("IWSFT_TEST_ENDPOINT") else {
        eprintln!("skipped: IWSFT_TEST_ENDPOINT names no server");
        return None;
    };
    let model = std::env::var("IWSFT_TEST_MODEL").ok();
    let options = model.into_iter().flat_map(|name| ["--model".into(), name]);
    Some((url, options.collect()))
}

#[test]
fn a_real_server_completes_texts_and_answers_conversations() {
    let Some((url, model)) = real() else { return };
    let model: Vec<&str> = model.iter().map(String::as_str).collect();
    for chat in [&[][..], &["--chat"]] {
        let place = Workplace::new();
        prompts(&place);
        let options = [&model[..], chat, &["-k", "3", "--max-tokens", "12"]].concat();
        sample(&place, &url, &options).succeeds();
        let rows = place.lines("out.jsonl");
        assert_eq!(rows.len(), 24);
        for (index, row) in rows.iter().enumerate() {
            assert_eq!(row["level"], index / 3);
            assert_eq!(row["draw"], index % 3);
            let text = match chat.is_empty() {
                true => &row["completion"],
                false => &row["completion"][0]["content"],
            };
            assert!(text.is_string(), "{row}");
        }
    }
}

#[test]
fn a_real_server_answers_a_single_prompt() {
    let Some((url, model)) = real() else { return };
    let model: Vec<&str> = model.iter().map(String::as_str).collect();
    let place = Workplace::new();
    let prompt = [
        "sample",
        "--endpoint",
        &url,
        "--prompt",
        "1 + 1 =",
        "--max-tokens",
        "4",
        "--json",
    ];
    let ended = place.iwsft(&[&prompt[..], &model].concat()).succeeds();
    assert_eq!(ended.json()[0]["prompt"], "1 + 1 =");
    assert!(ended.json()[0]["completion"].is_string());
}

// ---- a socket ----

/// Answers the n-th completion request with the status and body that `answer`
/// gives for n and the prompt; serves one model, `tiny`.
struct Socket {
    url: String,
    prompts: Arc<Mutex<Vec<String>>>,
}

impl Socket {
    fn new(answer: impl Fn(usize, &str) -> (u16, Value) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let prompts = Arc::new(Mutex::new(Vec::new()));
        let seen = prompts.clone();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let body = http::read(&stream);
                let (status, body) = match body["prompt"].as_str() {
                    None => (200, json!({"data": [{"id": "tiny"}]})),
                    Some(prompt) => {
                        let mut seen = seen.lock().unwrap();
                        seen.push(prompt.to_owned());
                        answer(seen.len() - 1, prompt)
                    }
                };
                http::answer(&mut stream, status, &body);
            }
        });
        Self { url, prompts }
    }

    /// A server that works, and tells two tokens of each completion.
    fn working() -> Self {
        Self::new(|_, prompt| (200, completion(prompt)))
    }

    fn asked(&self) -> usize {
        self.prompts.lock().unwrap().len()
    }
}

fn completion(prompt: &str) -> Value {
    json!({"choices": [{
        "text": format!("{prompt} yes"), "finish_reason": "stop", "token_ids": [5, 0],
        "logprobs": {"token_logprobs": [-0.5, -0.25]},
    }]})
}

#[test]
fn tokens_and_log_probs_are_the_reference_if_nothing_was_tempered_or_truncated() {
    let place = Workplace::new();
    prompts(&place);
    let server = Socket::working();
    sample(&place, &server.url, &[]).succeeds();
    let rows = place.lines("out.jsonl");
    assert_eq!(rows.len(), 8);
    for (index, row) in rows.iter().enumerate() {
        assert_eq!(row["completion"], format!("{index} + 1 = yes"));
        assert_eq!(row["completion_tokens"], json!([5, 0]));
        assert_eq!(row["ref_log_probs"], json!([-0.5, -0.25]));
    }
    for (option, value) in [
        ("--temperature", "0.7"),
        ("--top-p", "0.9"),
        ("--top-k", "5"),
        ("--min-p", "0.1"),
    ] {
        let ended = sample(&place, &server.url, &["--restart", option, value]).succeeds();
        assert!(ended.stderr.contains("model_log_probs"), "{ended}");
        for row in place.lines("out.jsonl") {
            assert_eq!(row["model_log_probs"], json!([-0.5, -0.25]), "{option}");
            assert!(row.get("ref_log_probs").is_none(), "{option}");
        }
    }
}

#[test]
fn a_completion_without_tokens_makes_the_reference_incomplete() {
    let place = Workplace::new();
    prompts(&place);
    let server = Socket::new(|number, prompt| {
        let mut answer = completion(prompt);
        if number == 3 {
            answer["choices"][0]["token_ids"] = Value::Null;
        }
        (200, answer)
    });
    let ended = sample(&place, &server.url, &[]).succeeds();
    assert!(ended.stderr.contains("model_log_probs"), "{ended}");
    let rows = place.lines("out.jsonl");
    assert!(rows.iter().all(|row| row.get("ref_log_probs").is_none()));
    assert!(rows.iter().all(|row| row.get("model_log_probs").is_some()));
}

#[test]
fn a_server_that_refuses_to_be_told_not_to_truncate_gives_no_reference() {
    let place = Workplace::new();
    prompts(&place);
    // Refuses the first request; later ones come without the field.
    let server = Socket::new(|number, prompt| match number {
        0 => (
            400,
            json!({"error": "Unrecognized request argument supplied: top_k"}),
        ),
        _ => (200, completion(prompt)),
    });
    let ended = sample(&place, &server.url, &["--concurrency", "1"]).succeeds();
    assert!(ended.stderr.contains("does not take top_k"), "{ended}");
    assert!(ended.stderr.contains("model_log_probs"), "{ended}");
    assert!(place.lines("out.jsonl")[0].get("ref_log_probs").is_none());
}

#[test]
fn a_command_that_failed_goes_on_at_another_address_and_asks_only_for_the_rest() {
    let place = Workplace::new();
    prompts(&place);
    let failing = Socket::new(|number, prompt| match number {
        0..5 => (200, completion(prompt)),
        _ => (400, json!({"error": {"message": "out of credits"}})),
    });
    sample(&place, &failing.url, &["--concurrency", "1"])
        .fails(2, &["400", "out of credits", &failing.url]);
    assert!(!place.exists("out.jsonl"));

    let working = Socket::working();
    let ended = sample(&place, &working.url, &[]).succeeds();
    assert!(ended.stderr.contains("5 of 8"), "{ended}");
    assert_eq!(working.asked(), 3);
    assert_eq!(place.lines("out.jsonl").len(), 8);
    assert!(!place.exists("out.jsonl.journal"));
}

#[test]
fn a_server_that_stays_away_is_a_failure_and_keeps_what_is_done() {
    let place = Workplace::new();
    prompts(&place);
    let server = Socket::new(|number, prompt| match number {
        0..2 => (200, completion(prompt)),
        _ => (503, json!({"error": "overloaded"})),
    });
    let gently = ["--retries", "1", "--concurrency", "1"];
    sample(&place, &server.url, &gently)
        .fails(1, &["503", "overloaded", "asked 2 times", "--retries"]);
    let working = Socket::working();
    sample(&place, &working.url, &[]).succeeds();
    assert_eq!(working.asked(), 6);
}

#[test]
fn mistakes_about_the_server_are_told() {
    let place = Workplace::new();
    prompts(&place);
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    sample(&place, &format!("http://{nobody}/v1"), &[]).fails(2, &["is the server running"]);
    sample(&place, "localhost:8000", &[]).fails(2, &["localhost:8000", "http://"]);
    let denied = Socket::new(|_, _| (401, json!({"error": "no key"})));
    sample(&place, &denied.url, &[]).fails(2, &["401", "no key", "--api-key-env"]);
    let unset = ["--api-key-env", "IWSFT_NO_SUCH_VARIABLE"];
    sample(&place, &denied.url, &unset).fails(2, &["IWSFT_NO_SUCH_VARIABLE", "not set"]);
    let unknown = Socket::new(|_, _| (404, json!({"error": "The model `x` does not exist"})));
    sample(&place, &unknown.url, &["--model", "x", "--restart"])
        .fails(2, &["does not exist", "models: tiny"]);
    // A folder and a server at once.
    place
        .iwsft(&[
            "sample",
            "model",
            "--endpoint",
            &denied.url,
            "--prompt",
            "x",
        ])
        .fails(2, &["cannot be used with"]);
}
