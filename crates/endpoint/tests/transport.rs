//! What becomes of requests when a server is busy, slow, broken or gone. The
//! server here is no model: it is a socket that answers what each test says.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use iwsft_endpoint::{Endpoint, EndpointError, Event, Notice, Prompt, Query, Settings};
use iwsft_lm::Sampling;
use serde_json::{Value, json};

const MODELS: &str = r#"{"object": "list", "data": [{"id": "tiny"}]}"#;

/// A request as it came in.
#[derive(Debug, Clone)]
struct Asked {
    line: String,
    headers: String,
    body: Value,
    at: Instant,
}

/// A socket that answers the n-th POST with what `answer` writes for n, and
/// lists one model.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    fn new(answer: impl Fn(usize, &Asked, &mut TcpStream) + Send + Sync + 'static) -> Self {
        Self::with_list(|stream| reply(stream, "200 OK", "", MODELS), answer)
    }

    /// With what `list` writes where it is asked for its models.
    fn with_list(
        list: impl Fn(&mut TcpStream) + Send + Sync + 'static,
        answer: impl Fn(usize, &Asked, &mut TcpStream) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, answers) = (asked.clone(), Arc::new((list, answer)));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, answers) = (seen.clone(), answers.clone());
                thread::spawn(move || serve(stream, &seen, &answers.0, &answers.1));
            }
        });
        Self { url, asked }
    }

    fn posts(&self) -> Vec<Asked> {
        let mut asked = self.asked.lock().unwrap().clone();
        asked.retain(|request| request.line.starts_with("POST"));
        asked
    }

    fn settings(&self) -> Settings {
        Settings {
            url: self.url.clone(),
            retries: 3,
            timeout: Duration::from_secs(20),
            ..Settings::default()
        }
    }

    fn endpoint(&self) -> Endpoint {
        connect(self.settings()).unwrap()
    }
}

/// One request; the connection is closed behind it.
fn serve(
    mut stream: TcpStream,
    seen: &Mutex<Vec<Asked>>,
    list: &dyn Fn(&mut TcpStream),
    answer: &dyn Fn(usize, &Asked, &mut TcpStream),
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut line, mut headers, mut length) = (String::new(), String::new(), 0);
    reader.read_line(&mut line).unwrap();
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).unwrap() <= 2 {
            break;
        }
        let header = header.to_lowercase();
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        headers += &header;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let asked = Asked {
        line,
        headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
        at: Instant::now(),
    };
    let post = asked.line.starts_with("POST");
    let number = {
        let mut seen = seen.lock().unwrap();
        seen.push(asked.clone());
        seen.iter()
            .filter(|each| each.line.starts_with("POST"))
            .count()
    };
    match post {
        true => answer(number - 1, &asked, &mut stream),
        false => list(&mut stream),
    }
}

/// Writes an answer; `headers` are whole lines.
fn reply(stream: &mut TcpStream, status: &str, headers: &str, body: &str) {
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
    );
    // The client may have gone.
    let _ = stream.write_all(text.as_bytes());
}

fn connect(settings: Settings) -> Result<Endpoint, EndpointError> {
    Endpoint::connect(settings, |_| {})
}

fn complete(text: &str) -> String {
    json!({"choices": [{"text": text, "finish_reason": "stop"}]}).to_string()
}

/// Answers with the prompt itself.
fn echo(asked: &Asked, stream: &mut TcpStream) {
    let text = asked.body["prompt"].as_str().unwrap();
    reply(stream, "200 OK", "", &complete(text));
}

fn queries(count: u64) -> Vec<Query> {
    (0..count)
        .map(|draw| Query {
            prompt: Prompt::Text(format!("prompt {draw}")),
            prefix: String::new(),
            draw,
        })
        .collect()
}

#[derive(Debug, Default)]
struct Outcome {
    texts: Vec<Option<String>>,
    failed: Vec<(usize, EndpointError)>,
    notices: Vec<Notice>,
}

fn draw(endpoint: &Endpoint, count: u64) -> (Outcome, Result<(), EndpointError>) {
    let never = AtomicBool::new(false);
    draw_until(endpoint, count, &never)
}

fn draw_until(
    endpoint: &Endpoint,
    count: u64,
    stop: &AtomicBool,
) -> (Outcome, Result<(), EndpointError>) {
    let queries = queries(count);
    let mut outcome = Outcome {
        texts: vec![None; queries.len()],
        ..Outcome::default()
    };
    let result = endpoint.complete(&queries, &Sampling::default(), stop, |event| {
        match event {
            Event::Completion { index, completion } => {
                assert!(outcome.texts[index].replace(completion.text).is_none());
            }
            Event::Failed { error, ends, .. } if ends || count == 1 => return Err(error),
            Event::Failed { index, error, .. } => outcome.failed.push((index, error)),
            Event::Notice { notice, .. } => outcome.notices.push(notice),
        }
        Ok::<(), EndpointError>(())
    });
    (outcome, result)
}

#[track_caller]
fn assert_all(outcome: &Outcome) {
    for (index, text) in outcome.texts.iter().enumerate() {
        assert_eq!(text.as_deref(), Some(format!("prompt {index}").as_str()));
    }
}

#[test]
fn every_query_is_answered_with_as_many_in_flight_as_asked_for() {
    let (flying, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let peak = most.clone();
    let server = Server::new(move |_, asked, stream| {
        most.fetch_max(flying.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(30));
        flying.fetch_sub(1, Ordering::SeqCst);
        echo(asked, stream);
    });
    let endpoint = connect(Settings {
        concurrency: 5,
        ..server.settings()
    });
    let endpoint = endpoint.unwrap();
    assert_eq!(endpoint.model(), "tiny");
    let (outcome, result) = draw(&endpoint, 40);
    result.unwrap();
    assert_all(&outcome);
    assert_eq!(peak.load(Ordering::SeqCst), 5);
    // Every draw has a seed of its own.
    let mut seeds: Vec<u64> = server
        .posts()
        .iter()
        .map(|asked| asked.body["seed"].as_u64().unwrap())
        .collect();
    seeds.sort_unstable();
    seeds.dedup();
    assert_eq!(seeds.len(), 40);
}

#[test]
fn failures_that_pass_are_asked_again() {
    type Answer = fn(&Asked, &mut TcpStream);
    let failures: [(&str, Answer); 7] = [
        ("500", |_, stream| {
            reply(stream, "500 Oops", "", r#"{"error": "worker died"}"#)
        }),
        ("503", |_, stream| reply(stream, "503 Busy", "", "loading")),
        ("nothing", |_, _| {}),
        ("a body that ends early", |_, stream| {
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"choices\": [{\"te");
        }),
        ("chunks that end early", |_, stream| {
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"cho");
        }),
        ("JSON that ends early", |_, stream| {
            reply(stream, "200 OK", "", "{\"choices\": [")
        }),
        ("no HTTP", |_, stream| {
            let _ = stream.write_all(b"\x00\x01\x02");
        }),
    ];
    thread::scope(|scope| {
        for (what, failure) in failures {
            scope.spawn(move || {
                let server = Server::new(move |number, asked, stream| match number {
                    0 => failure(asked, stream),
                    _ => echo(asked, stream),
                });
                let (outcome, result) = draw(&server.endpoint(), 1);
                result.unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_all(&outcome);
                assert_eq!(outcome.notices.len(), 1, "{what}");
                let again = outcome.notices[0].to_string();
                assert!(again.contains("asking again in"), "{what}: {again}");
            });
        }
    });
}

#[test]
fn too_many_requests_hold_all_requests_for_as_long_as_the_server_asks() {
    let server = Server::new(|number, asked, stream| match number {
        0 => reply(
            stream,
            "429 Slow",
            "retry-after: 1\r\n",
            r#"{"error": {"message": "slow down"}}"#,
        ),
        _ => echo(asked, stream),
    });
    let endpoint = connect(Settings {
        concurrency: 1,
        ..server.settings()
    });
    let (outcome, result) = draw(&endpoint.unwrap(), 3);
    result.unwrap();
    assert_all(&outcome);
    let posts = server.posts();
    assert!(posts[1].at - posts[0].at >= Duration::from_secs(1));
    assert!(outcome.notices[0].to_string().contains("slow down"));
}

#[test]
fn a_wait_beyond_all_patience_ends_the_work_at_once() {
    let server = Server::new(|_, _, stream| {
        reply(stream, "429 Slow", "retry-after: 86400\r\n", "daily limit");
    });
    let (_, result) = draw(&server.endpoint(), 1);
    let error = result.unwrap_err();
    assert!(
        matches!(error, EndpointError::ComeBackLater { .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("86400 s") && !error.is_mistake(),
        "{error}"
    );
    assert_eq!(server.posts().len(), 1);
}

#[test]
fn a_server_that_stays_broken_ends_the_work_after_the_retries() {
    let server = Server::new(|_, _, stream| reply(stream, "500 Oops", "", "out of memory"));
    let endpoint = connect(Settings {
        retries: 1,
        ..server.settings()
    });
    let (outcome, result) = draw(&endpoint.unwrap(), 1);
    let error = result.unwrap_err();
    assert!(
        matches!(error, EndpointError::GaveUp { attempts: 2, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("out of memory") && !error.is_mistake());
    assert_eq!(outcome.notices.len(), 1);
    assert_eq!(server.posts().len(), 2);
}

#[test]
fn a_slow_answer_is_given_up_and_asked_again() {
    let server = Server::new(|number, asked, stream| {
        if number == 0 {
            thread::sleep(Duration::from_secs(2));
        }
        echo(asked, stream);
    });
    let endpoint = connect(Settings {
        timeout: Duration::from_millis(500),
        ..server.settings()
    });
    let (outcome, result) = draw(&endpoint.unwrap(), 1);
    result.unwrap();
    assert_all(&outcome);
    assert!(outcome.notices[0].to_string().contains("--timeout"));
}

#[test]
fn what_asking_again_cannot_change_is_an_error_at_once() {
    for (status, says) in [
        ("401 Unauthorized", "--api-key-env"),
        ("404 Not Found", "tiny"),
        ("400 Bad Request", "no such thing"),
        ("308 Moved", "http://elsewhere/v1"),
    ] {
        let server = Server::new(move |_, _, stream| {
            reply(
                stream,
                status,
                "location: http://elsewhere/v1\r\n",
                r#"{"error": {"message": "no such thing"}}"#,
            );
        });
        let (outcome, result) = draw(&server.endpoint(), 1);
        let error = result.unwrap_err();
        assert!(
            error.is_mistake() && error.to_string().contains(says),
            "{error}"
        );
        assert!(error.to_string().contains(&status[..3]), "{error}");
        assert!(outcome.notices.is_empty());
        assert_eq!(server.posts().len(), 1);
    }
    let server = Server::new(|_, _, stream| reply(stream, "200 OK", "", "<html>hello</html>"));
    let error = draw(&server.endpoint(), 1).1.unwrap_err();
    assert!(error.to_string().contains("<html>"), "{error}");
}

#[test]
fn an_error_that_holds_for_all_ends_the_work_but_what_is_in_flight_is_handed_over() {
    let server = Server::new(|_, asked, stream| {
        if asked.body["prompt"] == "prompt 3" {
            return reply(stream, "401 Unauthorized", "", "no more");
        }
        thread::sleep(Duration::from_millis(200));
        echo(asked, stream);
    });
    let endpoint = connect(Settings {
        concurrency: 4,
        ..server.settings()
    });
    let (outcome, result) = draw(&endpoint.unwrap(), 100);
    assert!(result.unwrap_err().to_string().contains("no more"));
    assert_eq!(outcome.texts.iter().flatten().count(), 3);
    assert!(server.posts().len() < 10);
}

#[test]
fn a_caller_that_fails_ends_the_work_with_its_own_error() {
    let server = Server::new(|_, asked, stream| echo(asked, stream));
    let queries = queries(50);
    let mut calls = 0;
    let result = server.endpoint().complete(
        &queries,
        &Sampling::default(),
        &AtomicBool::new(false),
        |_| {
            calls += 1;
            Err::<(), Box<dyn std::error::Error>>("disk full".into())
        },
    );
    assert_eq!(result.unwrap_err().to_string(), "disk full");
    assert_eq!(calls, 1);
}

#[test]
fn work_stops_when_told_to_also_while_it_waits() {
    let server = Server::new(|number, asked, stream| match number {
        0 => echo(asked, stream),
        _ => reply(stream, "503 Busy", "retry-after: 300\r\n", ""),
    });
    let endpoint = connect(Settings {
        concurrency: 2,
        ..server.settings()
    });
    let stop = Arc::new(AtomicBool::new(false));
    let signal = stop.clone();
    let waiter = thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        signal.store(true, Ordering::Relaxed);
    });
    let start = Instant::now();
    let (outcome, result) = draw_until(&endpoint.unwrap(), 10, &stop);
    waiter.join().unwrap();
    assert!(matches!(result, Err(EndpointError::Stopped)), "{result:?}");
    assert_eq!(outcome.texts.iter().flatten().count(), 1);
    assert!(start.elapsed() < Duration::from_secs(100));
}

#[test]
fn fields_that_a_server_does_not_know_are_left_out_once_for_all() {
    let server = Server::new(|_, asked, stream| {
        if asked.body.get("top_k").is_some() {
            let body = r#"{"detail": "Unexpected fields in the request: {'min_p', 'top_k'}"}"#;
            return reply(stream, "422 Unprocessable", "", body);
        }
        if asked.body.get("logprobs").is_some() {
            return reply(stream, "400 Bad Request", "", "logprobs are not supported");
        }
        echo(asked, stream);
    });
    let endpoint = connect(Settings {
        concurrency: 1,
        ..server.settings()
    })
    .unwrap();
    assert!(endpoint.takes_truncation());
    let (outcome, result) = draw(&endpoint, 5);
    result.unwrap();
    assert_all(&outcome);
    let expected = [vec!["top_k", "min_p"], vec!["logprobs"]].map(Notice::Without);
    assert_eq!(outcome.notices, expected);
    assert_eq!(server.posts().len(), 5 + 2);
    assert!(!endpoint.takes_truncation());
}

#[test]
fn requests_keep_to_the_rate() {
    let server = Server::new(|_, asked, stream| echo(asked, stream));
    let endpoint = connect(Settings {
        requests_per_minute: Some(300.0),
        ..server.settings()
    });
    let start = Instant::now();
    let (outcome, result) = draw(&endpoint.unwrap(), 10);
    result.unwrap();
    assert_all(&outcome);
    // Five at once, then five a second.
    assert!(start.elapsed() >= Duration::from_millis(990));
}

#[test]
fn the_key_goes_along_with_every_request() {
    let server = Server::new(|_, asked, stream| echo(asked, stream));
    let endpoint = connect(Settings {
        api_key: Some("sesame".into()),
        ..server.settings()
    });
    draw(&endpoint.unwrap(), 1).1.unwrap();
    let asked = server.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 2);
    for request in asked {
        assert!(
            request.headers.contains("authorization: bearer sesame"),
            "{request:?}"
        );
        assert!(request.line.contains(" /v1/"), "{request:?}");
    }
}

#[test]
fn an_address_where_nobody_is_is_told_at_once() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let connect = |url: &str| {
        self::connect(Settings {
            url: url.into(),
            ..Settings::default()
        })
        .unwrap_err()
    };
    let error = connect(&format!("http://127.0.0.1:{port}/v1"));
    assert!(
        matches!(error, EndpointError::Unreachable { .. }),
        "{error}"
    );
    assert!(error.is_mistake());
    for (url, reason) in [
        ("localhost:8000", "http://"),
        ("ftp://localhost", "http://"),
        ("http:///v1", "no host"),
        ("http://host/v1?key=1", "query"),
        ("", "http://"),
    ] {
        let error = connect(url);
        assert!(matches!(error, EndpointError::Address { .. }), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn addresses_are_taken_in_every_spelling() {
    let server = Server::new(|_, asked, stream| echo(asked, stream));
    let root = server.url.trim_end_matches("/v1");
    for suffix in [
        "",
        "/",
        "/v1",
        "/v1/",
        "/v1/chat/completions",
        "/v1/completions",
    ] {
        let endpoint = connect(Settings {
            url: format!("{root}{suffix}"),
            ..server.settings()
        });
        assert_eq!(endpoint.unwrap().address(), server.url, "{suffix}");
    }
}

/// Answers the list of models with what `list` writes, and completions by echo.
fn listing(list: impl Fn(usize, &mut TcpStream) + Send + Sync + 'static) -> Server {
    let asked = AtomicUsize::new(0);
    Server::with_list(
        move |stream| list(asked.fetch_add(1, Ordering::SeqCst), stream),
        |_, asked, stream| echo(asked, stream),
    )
}

#[test]
fn a_server_that_is_not_ready_is_waited_for() {
    let server = listing(|number, stream| match number {
        0 => reply(
            stream,
            "503 X",
            "",
            r#"{"error": {"message": "Loading model"}}"#,
        ),
        1 => reply(stream, "429 X", "retry-after: 1\r\n", "slow down"),
        _ => reply(stream, "200 OK", "", MODELS),
    });
    let mut notices = Vec::new();
    let endpoint = Endpoint::connect(server.settings(), |notice| {
        notices.push(notice.to_string());
    });
    draw(&endpoint.unwrap(), 1).1.unwrap();
    assert_eq!(notices.len(), 2);
    assert!(notices[0].contains("503: Loading model"), "{notices:?}");
    assert!(notices[1].contains("429: slow down"), "{notices:?}");
}

#[test]
fn a_server_without_a_list_says_why_and_needs_none_where_the_model_is_named() {
    let cases = [
        (
            "503 X",
            "",
            r#"{"error": "Loading model"}"#,
            "503: Loading model (asked 2 times)",
        ),
        ("404 X", "", r#"{"detail": "Not Found"}"#, "404: Not Found"),
        (
            "308 X",
            "location: /v2/models\r\n",
            "",
            "/v2: give --endpoint",
        ),
        (
            "308 X",
            "location: https://u:pass@h/v1/models?key=pass\r\n",
            "",
            "to https://***@h/v1",
        ),
        (
            "200 OK",
            "",
            "<html><title>Log in</title>",
            "an HTML page: Log in",
        ),
        ("200 OK", "", "", "is empty"),
        (
            "200 OK",
            "",
            r#"{"object": "list", "data": []}"#,
            "lists no models",
        ),
        (
            "200 OK",
            "",
            r#"{"data": [{"id": "a"}, {"id": "b"}]}"#,
            "several models: a, b",
        ),
        ("200 OK", "", r#"{"message": "hm"}"#, "hm"),
    ];
    for (status, headers, body, says) in cases {
        let server = listing(move |_, stream| reply(stream, status, headers, body));
        let error = connect(Settings {
            retries: 1,
            ..server.settings()
        });
        let error = error.unwrap_err().to_string();
        assert!(error.contains(says), "{says}: {error}");
        assert!(!error.contains("pass"), "{error}");
        let named = connect(Settings {
            model: Some("mine".into()),
            ..server.settings()
        });
        let (outcome, result) = draw(&named.unwrap(), 2);
        result.unwrap();
        assert_all(&outcome);
        assert_eq!(server.posts()[0].body["model"], "mine");
    }
}

#[test]
fn one_bad_answer_ends_that_answer_alone() {
    let server = Server::new(|_, asked, stream| match asked.body["prompt"].as_str() {
        Some("prompt 3") => reply(stream, "400 Bad Request", "", "too long"),
        Some("prompt 5") => reply(stream, "200 OK", "", r#"{"choices": 7}"#),
        Some("prompt 6") => reply(stream, "500 Oops", "", "crashed"),
        Some("prompt 7") => reply(
            stream,
            "200 OK",
            "",
            r#"{"choices": [{"text": "", "finish_reason": "content_filter"}]}"#,
        ),
        _ => echo(asked, stream),
    });
    let endpoint = connect(Settings {
        retries: 1,
        concurrency: 2,
        ..server.settings()
    });
    let (mut outcome, result) = draw(&endpoint.unwrap(), 12);
    result.unwrap();
    outcome.failed.sort_by_key(|(index, _)| *index);
    let failed: Vec<(usize, String)> = outcome
        .failed
        .iter()
        .map(|(index, error)| (*index, error.to_string()))
        .collect();
    let expected = [
        (3, "400: too long"),
        (5, "cannot be used"),
        (5, "can be used: invalid type"),
        (6, "500: crashed (asked 2 times)"),
        (7, "content_filter"),
    ];
    for (index, says) in expected {
        let found = failed.iter().find(|(failed, _)| *failed == index);
        let says = says.replace("cannot be used", "not an answer");
        assert!(
            found.is_some_and(|(_, said)| said.contains(&says)),
            "{says}: {failed:?}"
        );
    }
    assert_eq!(failed.len(), 4);
    assert_eq!(outcome.texts.iter().flatten().count(), 8);
    // What may pass was asked for again, what cannot was not.
    let count = |prompt: &str| {
        let posts = server.posts();
        posts
            .iter()
            .filter(|asked| asked.body["prompt"] == prompt)
            .count()
    };
    let counts = ["prompt 3", "prompt 5", "prompt 6", "prompt 7"].map(count);
    assert_eq!(counts, [1, 2, 2, 1]);
}

#[test]
fn a_server_that_answers_nothing_that_can_be_used_is_not_asked_for_everything() {
    let server = Server::new(|_, _, stream| reply(stream, "400 Bad Request", "", "out of credits"));
    let endpoint = connect(Settings {
        concurrency: 1,
        ..server.settings()
    });
    let (outcome, result) = draw(&endpoint.unwrap(), 1000);
    assert!(result.unwrap_err().to_string().contains("out of credits"));
    assert_eq!((server.posts().len(), outcome.failed.len()), (100, 99));
}

#[test]
fn an_answer_beyond_all_proportion_is_none() {
    let server = Server::new(|_, asked, stream| {
        // Longer than what 256 tokens can be, and shorter.
        let length = match asked.body["prompt"].as_str() {
            Some("prompt 1") => 8 << 20,
            _ => 100 << 10,
        };
        reply(stream, "200 OK", "", &complete(&"x".repeat(length)));
    });
    let endpoint = connect(Settings {
        retries: 0,
        ..server.settings()
    });
    let (outcome, result) = draw(&endpoint.unwrap(), 2);
    result.unwrap();
    assert_eq!(outcome.texts[0].as_deref().map(str::len), Some(100 << 10));
    let (index, error) = &outcome.failed[0];
    assert!(
        *index == 1 && error.to_string().contains("longer than"),
        "{error}"
    );

    let heads = Server::new(|_, _, stream| {
        reply(
            stream,
            "200 OK",
            &format!("x: {}\r\n", "y".repeat(100_000)),
            "{}",
        );
    });
    let endpoint = connect(Settings {
        retries: 0,
        ..heads.settings()
    });
    let error = draw(&endpoint.unwrap(), 1).1.unwrap_err().to_string();
    assert!(error.contains("its head is longer"), "{error}");
    // The words of a refusal are at its beginning.
    let pages = Server::new(|_, _, stream| {
        reply(
            stream,
            "400 X",
            "",
            &format!("no room {}", "z".repeat(60 << 20)),
        );
    });
    let error = draw(&pages.endpoint(), 1).1.unwrap_err().to_string();
    assert!(
        error.contains("400: no room z") && error.len() < 2000,
        "{error}"
    );
}

#[test]
fn compressed_answers_are_read() {
    // `{"choices": [{"text": "prompt 0", "finish_reason": "stop"}]}`, by gzip.
    let server = Server::new(|_, _, stream| {
        let packed: &[u8] = &[
            0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xab, 0x56, 0x4a, 0xce,
            0xc8, 0xcf, 0x4c, 0x4e, 0x2d, 0x56, 0xb2, 0x52, 0x88, 0xae, 0x56, 0x2a, 0x49, 0xad,
            0x28, 0x01, 0xb2, 0x94, 0x0a, 0x8a, 0xf2, 0x73, 0x0b, 0x4a, 0x14, 0x0c, 0x94, 0x74,
            0x14, 0x94, 0xd2, 0x32, 0xf3, 0x32, 0x8b, 0x33, 0xe2, 0x8b, 0x52, 0x13, 0x8b, 0xf3,
            0xf3, 0x40, 0x92, 0xc5, 0x25, 0xf9, 0x05, 0x4a, 0xb5, 0xb1, 0xb5, 0x00, 0xb1, 0xc5,
            0x11, 0x68, 0x3c, 0x00, 0x00, 0x00,
        ];
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            packed.len()
        );
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(packed);
    });
    let (outcome, result) = draw(&server.endpoint(), 1);
    result.unwrap();
    assert_all(&outcome);
}

#[test]
fn keys_and_passwords_are_not_repeated() {
    // A server that says everything that it hears.
    let server = Server::new(|_, asked, stream| {
        let said = json!({"error": {"message": format!("who is {}?", asked.headers)}});
        reply(stream, "400 Bad Request", "", &said.to_string());
    });
    let root = server.url.trim_start_matches("http://");
    for (url, key) in [
        (format!("http://{root}"), Some("Sk-S3cret")),
        (format!("http://me:S3cret@{root}"), None),
        (format!("http://S3cretKey@{root}"), None),
    ] {
        let endpoint = connect(Settings {
            url,
            // Headers of the test's server are in small letters.
            api_key: key.map(str::to_lowercase),
            ..server.settings()
        });
        let endpoint = endpoint.unwrap();
        assert_eq!(endpoint.address(), server.url);
        let error = draw(&endpoint, 1).1.unwrap_err().to_string();
        assert!(error.contains("authorization: "), "{error}");
        assert!(!error.to_lowercase().contains("s3cret"), "{error}");
    }
    let heard = server.posts()[1].headers.clone();
    assert!(heard.contains("authorization: basic "), "{heard}");
}
