//! `iwsft sample` with a server: a real one where `IWSFT_TEST_ENDPOINT` names its
//! address (`IWSFT_TEST_MODEL` its model), and a socket that answers as each test
//! says, for what real servers do too seldom.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod fixture;

use std::fs;
use std::net::TcpListener;
use std::process::Command;
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
    place.run(without_environment(
        place.command(&[&file[..], options].concat()),
    ))
}

/// A command that knows nothing of this machine's keys and proxies.
fn without_environment(mut command: Command) -> Command {
    for proxy in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(proxy).env_remove(proxy.to_uppercase());
    }
    command.env_remove("OPENAI_API_KEY");
    command
}

/// Samples with variables of the environment.
fn sample_in(place: &Workplace, url: &str, options: &[&str], variables: &[(&str, &str)]) -> Ended {
    let file = ["sample", "--prompts", "prompts.jsonl", "--out", "out.jsonl"];
    let options = [&file[..], &["--restart", "--endpoint", url], options].concat();
    let mut command = without_environment(place.command(&options));
    command.envs(variables.iter().copied());
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
    /// Of all requests.
    heads: Arc<Mutex<Vec<String>>>,
}

impl Socket {
    fn new(answer: impl Fn(usize, &str) -> (u16, Value) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let prompts = Arc::new(Mutex::new(Vec::new()));
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (seen, heard) = (prompts.clone(), heads.clone());
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let (head, body) = http::read_whole(&stream);
                heard.lock().unwrap().push(head);
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
        Self {
            url,
            prompts,
            heads,
        }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
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

#[test]
fn a_proxy_is_taken_by_the_scheme_of_the_server_and_named() {
    let place = Workplace::new();
    prompts(&place);
    let server = Socket::working();
    // Nobody listens at port 9.
    let https = [("HTTPS_PROXY", "http://127.0.0.1:9")];
    sample_in(&place, &server.url, &[], &https).succeeds();
    let (user, dead) = ("http://me:s3cret@127.0.0.1:9", ("NO_PROXY", "10.0.0.0/8"));
    let ended = sample_in(&place, &server.url, &[], &[("HTTP_PROXY", user), dead]);
    let ended = ended.fails(
        2,
        &[
            "the proxy http://***@127.0.0.1:9 (HTTP_PROXY)",
            "refused",
            "NO_PROXY=127.0.0.1",
        ],
    );
    assert!(!ended.stderr.contains("s3cret"), "{ended}");
    for exception in ["127.0.0.1", "*", "127.0.0.0/8"] {
        let past = [("HTTP_PROXY", user), ("NO_PROXY", exception)];
        sample_in(&place, &server.url, &[], &past).succeeds();
    }
    let wrong = [("all_proxy", "ftp://me:s3cret@proxy")];
    let ended = sample_in(&place, &server.url, &[], &wrong).fails(2, &["all_proxy"]);
    assert!(!ended.stderr.contains("s3cret"), "{ended}");
}

#[test]
fn a_proxy_forwards_plain_http_with_the_whole_address() {
    let place = Workplace::new();
    prompts(&place);
    // The proxy answers by itself; nobody else knows the server.
    let proxy = Socket::working();
    let root = proxy
        .url
        .trim_start_matches("http://")
        .trim_end_matches("/v1");
    let variables = [
        ("http_proxy", &*format!("http://me:s3cret@{root}")),
        ("OPENAI_API_KEY", "sk-12345"),
    ];
    let ended = sample_in(&place, "http://gpu.invalid:8000", &[], &variables).succeeds();
    assert!(
        ended.stderr.contains("through the proxy http://***@"),
        "{ended}"
    );
    assert_eq!(place.lines("out.jsonl").len(), 8);
    for head in proxy.heads() {
        let head = head.to_lowercase();
        let line = head.lines().next().unwrap();
        assert!(line.contains(" http://gpu.invalid:8000/v1/"), "{head}");
        assert!(head.contains("\nhost: gpu.invalid:8000\r"), "{head}");
        assert!(head.contains("\nproxy-authorization: basic "), "{head}");
        assert!(
            head.contains("\nauthorization: bearer sk-12345\r"),
            "{head}"
        );
    }
    // The key is readable on the way, which is said once.
    assert_eq!(ended.stderr.matches("plain http").count(), 1, "{ended}");
    assert!(ended.stderr.contains("gpu.invalid"), "{ended}");
    assert!(
        !ended.stderr.contains("sk-12345") && !ended.stderr.contains("s3cret"),
        "{ended}"
    );
}

#[test]
fn secrets_are_nowhere_in_what_is_said_or_kept() {
    let place = Workplace::new();
    prompts(&place);
    let server = Socket::new(|number, prompt| match number {
        0..4 => (200, completion(prompt)),
        // A server that repeats the key.
        _ => (
            401,
            json!({"error": {"message": "who is s3cret or sk-12345?"}}),
        ),
    });
    let with_password = server.url.replace("http://", "http://me:s3cret@");
    let key = [("OPENAI_API_KEY", "sk-12345")];
    for (url, variables) in [(&with_password, &[][..]), (&server.url, &key)] {
        let ended = sample_in(&place, url, &["--concurrency", "1"], variables);
        let ended = ended.fails(2, &["401", "***"]);
        let journal = place.read("out.jsonl.journal");
        for text in [&ended.stdout, &ended.stderr, &journal] {
            let secret = if variables.is_empty() {
                "s3cret"
            } else {
                "sk-12345"
            };
            assert!(!text.contains(secret), "{text}");
        }
        // This machine needs no warning.
        assert!(!ended.stderr.contains("plain http"), "{ended}");
    }
    let queried = format!("{}?api_key=s3cret", server.url);
    let ended = sample(&place, &queried, &[]).fails(2, &["--api-key-env"]);
    assert!(!ended.stderr.contains("s3cret"), "{ended}");
}

#[test]
fn one_bad_answer_ends_that_answer_and_the_same_command_asks_for_it_again() {
    let place = Workplace::new();
    prompts(&place);
    let server = Socket::new(|_, prompt| match prompt {
        "3 + 1 =" => (400, json!({"error": {"message": "too long"}})),
        "5 + 1 =" => (200, json!({"choices": []})),
        _ => (200, completion(prompt)),
    });
    let ended = sample(&place, &server.url, &["--retries", "1"]);
    let ended = ended.fails(
        2,
        &[
            "2 of 8 completions are missing",
            "prompts.jsonl:4 (4-0)",
            "400: too long",
            "prompts.jsonl:6 (6-0)",
            "no choices",
            "--skip-failed",
        ],
    );
    assert!(ended.stderr.contains("asking again"), "{ended}");
    assert!(!place.exists("out.jsonl"));
    // Only the missing ones are asked for again.
    let asked = server.asked();
    sample(&place, &server.url, &["--retries", "0"]).fails(2, &["2 of 8"]);
    assert_eq!(server.asked(), asked + 2);
    let skipping = ["--retries", "0", "--skip-failed", "--json"];
    let ended = sample(&place, &server.url, &skipping).succeeds();
    assert_eq!(ended.json()[0]["missing"], 2);
    assert_eq!(ended.json()[0]["completions"], 6);
    assert!(
        ended.stderr.contains("2 of 8 completions failed"),
        "{ended}"
    );
    let rows = place.lines("out.jsonl");
    let ids: Vec<&Value> = rows.iter().map(|row| &row["id"]).collect();
    assert_eq!(ids, ["1-0", "2-0", "3-0", "5-0", "7-0", "8-0"]);
    assert!(!place.exists("out.jsonl.journal"));
    // Where there is nothing else, nothing is written.
    let refusing = Socket::new(|_, _| (400, json!("no")));
    let all = ["--skip-failed", "--restart"];
    sample(&place, &refusing.url, &all).fails(2, &["all 8 completions", "400: no"]);
}

#[test]
fn ends_that_are_cut_are_told_from_those_that_are_not() {
    let place = Workplace::new();
    prompts(&place);
    let finishes = |reason: Value, tokens: usize| {
        let server = Socket::new(move |_, prompt| {
            let mut answer = completion(prompt);
            answer["choices"][0]["finish_reason"] = reason.clone();
            answer["choices"][0]["logprobs"] = Value::Null;
            answer["choices"][0]["token_ids"] = Value::Null;
            answer["usage"] = json!({"completion_tokens": tokens});
            (200, answer)
        });
        let once = ["--retries", "0", "--concurrency", "1"];
        let options = [&["--restart", "--max-tokens", "6"], &once[..]].concat();
        sample(&place, &server.url, &options)
    };
    for (reason, tokens, finish) in [
        (json!("model_length"), 6, "length"),
        (json!("MAX_TOKENS"), 4, "length"),
        (json!("eos_token"), 6, "stop"),
        (json!(null), 6, "length"),
        (json!(null), 5, "stop"),
        (json!("unheard-of"), 5, "stop"),
    ] {
        let ended = finishes(reason.clone(), tokens).succeeds();
        for row in place.lines("out.jsonl") {
            assert_eq!(row["finish"], finish, "{reason} {tokens}");
        }
        let is_told = reason.as_str().is_some_and(|reason| reason != "unheard-of");
        let untold = !is_told && finish == "stop";
        assert_eq!(
            ended.stderr.contains("of 8 completions it is not known"),
            untold,
            "{ended}"
        );
    }
    for reason in ["timeout", "cancelled", "content_filter"] {
        finishes(json!(reason), 6).fails(
            if reason == "content_filter" { 2 } else { 1 },
            &[reason, "prompts.jsonl:1 (1-0)"],
        );
    }
}

#[test]
fn log_probabilities_that_cannot_be_are_left_out_and_the_journal_stays_readable() {
    let place = Workplace::new();
    prompts(&place);
    let server = Socket::new(|number, prompt| {
        let mut answer = completion(prompt);
        match number {
            0 => answer["choices"][0]["logprobs"]["token_logprobs"][0] = json!(-1e300),
            1 => answer["choices"][0]["logprobs"]["token_logprobs"][0] = json!(0.7),
            6 => return (401, json!("stop here")),
            _ => {}
        }
        (200, answer)
    });
    let one = ["--concurrency", "1"];
    let ended = sample(&place, &server.url, &one).fails(2, &["stop here", "prompts.jsonl:7"]);
    assert!(
        ended.stderr.contains("prompts.jsonl:1 (1-0): log-prob"),
        "{ended}"
    );
    assert!(
        ended.stderr.contains("-1e300") || ended.stderr.contains("-1000000"),
        "{ended}"
    );
    assert!(ended.stderr.contains("of 2 completions"), "{ended}");
    let ended = sample(&place, &server.url, &one).succeeds();
    assert!(ended.stderr.contains("6 of 8"), "{ended}");
    let rows = place.lines("out.jsonl");
    for (index, row) in rows.iter().enumerate() {
        assert_eq!(row["completion_tokens"], json!([5, 0]));
        assert_eq!(row.get("model_log_probs").is_none(), index < 2, "{row}");
    }
}

#[test]
fn a_line_of_the_journal_that_cannot_be_read_loses_that_completion_alone() {
    let place = Workplace::new();
    prompts(&place);
    let failing = Socket::new(|number, prompt| match number {
        0..5 => (200, completion(prompt)),
        _ => (401, json!("enough")),
    });
    sample(&place, &failing.url, &["--concurrency", "1"]).fails(2, &["enough"]);
    let journal = place.read("out.jsonl.journal");
    let mut lines: Vec<&str> = journal.lines().collect();
    lines[3] = "{\"index\":2,\"completion\":{\"text\":\"a\",\"tokens\":[],\"log_probs\":[null]";
    place.write("out.jsonl.journal", &(lines.join("\n") + "\n"));
    let working = Socket::working();
    let ended = sample(&place, &working.url, &[]).succeeds();
    assert!(ended.stderr.contains("out.jsonl.journal:4"), "{ended}");
    assert!(ended.stderr.contains("is drawn again"), "{ended}");
    assert!(ended.stderr.contains("4 of 8"), "{ended}");
    assert_eq!(working.asked(), 4);
    assert_eq!(place.lines("out.jsonl").len(), 8);
}

#[test]
fn problems_without_an_answer_are_told_and_count_as_wrong_where_that_is_wanted() {
    let place = Workplace::new();
    let problems: String = (0..4)
        .map(|n| {
            format!(
                "{}\n",
                json!({"id": format!("p{n}"), "question": format!("{n}?"), "answer": "1"})
            )
        })
        .collect();
    place.write("problems.jsonl", &problems);
    let server = Socket::new(|_, prompt| match prompt {
        "2?" => (
            400,
            json!({"detail": [{"loc": ["body", "prompt"], "msg": "no"}]}),
        ),
        _ => (
            200,
            json!({"choices": [{"text": "\\boxed{1}", "finish_reason": "length"}]}),
        ),
    });
    let evaluate = |more: &[&str]| {
        let options = [
            "eval",
            "--endpoint",
            &server.url,
            "--plain",
            "--problems",
            "problems.jsonl",
            "--out",
            "results",
            "--json",
        ];
        let command = place.command(&[&options[..], more].concat());
        place.run(without_environment(command))
    };
    evaluate(&[]).fails(
        2,
        &[
            "1 of 4 answers are missing",
            "problems, problem 3, draw 0",
            "body.prompt: no",
        ],
    );
    assert!(!place.exists("results/results.json"));
    // The journal of one answer is damaged meanwhile.
    let journal = place.read("results/answers.jsonl.journal");
    let damaged = journal.replacen("\"number\":0", "\"number\":", 1);
    assert!(damaged != journal);
    place.write("results/answers.jsonl.journal", &damaged);
    let asked = server.asked();
    let ended = evaluate(&["--skip-failed"]).succeeds();
    assert!(
        ended.stderr.contains("its answer is drawn again"),
        "{ended}"
    );
    assert_eq!(server.asked(), asked + 2);
    let result = &ended.json()[0];
    assert_eq!(
        (&result["failed"], &result["cut_off"]),
        (&json!(1), &json!(3))
    );
    assert_eq!(result["value"], 0.75);
    assert_eq!(place.lines("results/answers.jsonl").len(), 3);
    let results = fs::read_to_string(place.path("results/results.json")).unwrap();
    assert!(results.contains("\"failed\": 1"), "{results}");
}
