//! Answers as the servers' documentation has them.

use super::*;

/// Reads an answer to a request for at most 5 tokens behind `prefix`.
fn read_behind(prefix: &str, body: &[u8]) -> Result<Answer, Failure> {
    let asked = Asked {
        prefix,
        max_tokens: 5,
        secrets: &Secrets::new(["s3cret".to_owned()]),
    };
    let reply = Reply {
        body: body.into(),
        ..Reply::default()
    };
    read(&asked, &reply)
}

fn answer(body: &str) -> Answer {
    read_behind("", body.as_bytes()).unwrap()
}

fn completion(body: &str) -> Completion {
    answer(body).completion
}

/// What is said of an answer.
fn said(body: &str) -> Vec<String> {
    answer(body).notices.iter().map(Notice::to_string).collect()
}

#[track_caller]
fn passing(body: &str, reason: &str) {
    match read_behind("", body.as_bytes()) {
        Err(Failure::Passing { reason: said, .. }) => assert!(said.contains(reason), "{said}"),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn unusable(body: &str, reason: &str) {
    match read_behind("", body.as_bytes()) {
        Err(Failure::Unusable { reason: said, .. }) => assert!(said.contains(reason), "{said}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_chat_answer_of_openai_has_log_probs_without_token_ids() {
    let body = r#"{"id": "c-1", "object": "chat.completion", "choices": [{"index": 0,
        "message": {"role": "assistant", "content": "4", "refusal": null, "annotations": []},
        "logprobs": {"content": [{"token": "4", "logprob": -0.25, "bytes": [52],
            "top_logprobs": [{"token": "4", "logprob": -0.25, "bytes": [52]}]}], "refusal": null},
        "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 1, "total_tokens": 13}}"#;
    let answer = answer(body);
    assert_eq!(answer.used, Some(13));
    let expected = Completion {
        text: "4".into(),
        tokens: vec![],
        log_probs: vec![-0.25],
        finish: Finish::Stop,
    };
    assert_eq!(answer.completion, expected);
}

#[test]
fn a_text_answer_of_vllm_has_token_ids_and_the_older_log_probs() {
    let body = r#"{"object": "text_completion", "choices": [{"index": 0, "text": " 4\n",
        "logprobs": {"text_offset": [0, 2], "token_logprobs": [-0.5, -1.5],
            "tokens": [" 4", "\n"], "top_logprobs": [{" 4": -0.5}, {"\n": -1.5}]},
        "finish_reason": "length", "stop_reason": null,
        "token_ids": [604, 198], "prompt_token_ids": [1, 2]}], "usage": null}"#;
    let expected = Completion {
        text: " 4\n".into(),
        tokens: vec![604, 198],
        log_probs: vec![-0.5, -1.5],
        finish: Finish::Length,
    };
    assert_eq!(completion(body), expected);
}

#[test]
fn llama_cpp_tells_token_ids_beside_log_probs() {
    let body = r#"{"choices": [{"finish_reason": "stop", "index": 0,
        "message": {"role": "assistant", "content": "ab"},
        "logprobs": {"content": [
            {"id": 7, "token": "a", "bytes": [97], "logprob": -1.0, "top_logprobs": []},
            {"id": 9, "token": "b", "bytes": [98], "logprob": -2.0, "top_logprobs": []}]}}]}"#;
    let read = completion(body);
    assert_eq!(
        (read.tokens, read.log_probs),
        (vec![7, 9], vec![-1.0, -2.0])
    );
}

#[test]
fn an_answer_without_log_probs_is_text_alone() {
    let body =
        r#"{"choices": [{"index": 0, "text": "x", "logprobs": null, "finish_reason": null}]}"#;
    let read = completion(body);
    assert_eq!(read.text, "x");
    assert!(read.tokens.is_empty() && read.log_probs.is_empty());
}

#[test]
fn log_probs_with_a_gap_or_beside_tokens_of_another_count_are_none() {
    let gap = r#"{"choices": [{"text": "x", "finish_reason": "stop",
        "logprobs": {"token_logprobs": [null, -1.0]}}]}"#;
    assert!(completion(gap).log_probs.is_empty());
    assert!(said(gap)[0].contains("missing"), "{:?}", said(gap));
    let other = r#"{"choices": [{"text": "x", "finish_reason": "stop", "token_ids": [1, 2, 3],
        "logprobs": {"token_logprobs": [-1.0, -1.0]}}]}"#;
    let read = completion(other);
    assert!(read.tokens.is_empty() && read.log_probs.is_empty());
    assert!(
        said(other)[0].contains("2 of them and 3 tokens"),
        "{:?}",
        said(other)
    );
    let counted = other.replace("]}}]}", "]}}], \"usage\": {\"completion_tokens\": 3}}");
    let read = completion(&counted);
    assert_eq!((read.tokens.len(), read.log_probs.len()), (3, 0));
    let names = r#"{"choices": [{"text": "x", "finish_reason": "stop",
        "logprobs": {"tokens": ["a"], "token_logprobs": [-1.0, -1.0]}}]}"#;
    assert!(completion(names).log_probs.is_empty());
}

#[test]
fn log_probs_that_cannot_be_are_none_and_the_rest_of_the_answer_is_kept() {
    for impossible in [
        "0.7",
        "-9999.0",
        "-1e300",
        "-1e999",
        "1e999",
        "NaN",
        "-Infinity",
        "Infinity",
        "null",
        "\"-0.5\"",
        "{}",
    ] {
        let body = r#"{"choices": [{"text": "x", "finish_reason": "stop", "token_ids": [1, 2],
            "logprobs": {"tokens": ["a", "b"], "token_logprobs": [-0.5, IMPOSSIBLE]}}],
            "usage": {"completion_tokens": 2}}"#;
        let body = body.replace("IMPOSSIBLE", impossible);
        let read = completion(&body);
        assert_eq!(read.text, "x", "{impossible}");
        assert!(read.log_probs.is_empty(), "{impossible}");
        assert_eq!(said(&body).len(), 1, "{impossible}: {:?}", said(&body));
    }
}

#[test]
fn the_end_of_a_completion_is_told_in_many_words() {
    let body = |reason: &str, tokens: usize| {
        format!(
            r#"{{"choices": [{{"text": "x", "finish_reason": {reason}}}],
                "usage": {{"completion_tokens": {tokens}}}}}"#
        )
    };
    let finish = |reason: &str, tokens| completion(&body(reason, tokens)).finish;
    for length in [
        "\"length\"",
        "\"max_tokens\"",
        "\"model_length\"",
        r#"{"type": "length"}"#,
    ] {
        assert_eq!(finish(length, 2), Finish::Length, "{length}");
    }
    for stop in ["\"stop\"", "\"eos_token\"", "\"end_turn\""] {
        assert_eq!(finish(stop, 5), Finish::Stop, "{stop}");
        assert!(said(&body(stop, 2)).is_empty());
    }
    // What is not told is seen from the tokens, of which there may be 5.
    for untold in ["null", "\"\"", "\"null\"", "\"magic\"", "7"] {
        assert_eq!(finish(untold, 5), Finish::Length, "{untold}");
        assert!(said(&body(untold, 5)).is_empty(), "{untold}");
        assert_eq!(finish(untold, 4), Finish::Stop, "{untold}");
        let notices = said(&body(untold, 4));
        assert!(
            notices[0].contains("fewer tokens than --max-tokens"),
            "{notices:?}"
        );
    }
    assert!(said(&body("\"magic\"", 4))[0].contains("\"magic\""));
    let missing = r#"{"choices": [{"text": "x"}]}"#;
    assert_eq!(completion(missing).finish, Finish::Stop);
    assert!(
        said(missing)[0].contains("may be cut off"),
        "{:?}",
        said(missing)
    );
    let told =
        r#"{"choices": [{"text": "x", "logprobs": {"token_logprobs": [-1, -1, -1, -1, -1]}}]}"#;
    assert_eq!(completion(told).finish, Finish::Length);
}

#[test]
fn what_was_given_up_or_held_back_is_no_completion() {
    let body =
        |reason: &str| format!(r#"{{"choices": [{{"text": "x", "finish_reason": "{reason}"}}]}}"#);
    for given_up in ["timeout", "abort", "cancelled", "error"] {
        passing(&body(given_up), given_up);
    }
    for held_back in ["content_filter", "SAFETY"] {
        match read_behind("", body(held_back).as_bytes()) {
            Err(Failure::Unusable {
                may_pass: false,
                reason,
            }) => assert!(reason.contains(held_back), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn json_of_loose_writers_is_read() {
    let text = |body: &str| completion(body).text;
    let twice = r#"{"choices": [{"text": "a", "text": "b", "finish_reason": "stop"}]}"#;
    assert_eq!(text(twice), "b");
    let half = r#"{"choices": [{"text": "4\ud83d", "finish_reason": "stop"}]}"#;
    assert_eq!(text(half), "4\u{fffd}");
    let marked = "\u{feff}{\"choices\": [{\"text\": \"4\", \"finish_reason\": \"stop\"}]}";
    assert_eq!(text(marked), "4");
    let both =
        r#"{"choices": [{"message": {"content": "4"}, "delta": {}, "finish_reason": "stop"}]}"#;
    assert_eq!(text(both), "4");
    let floats = r#"{"choices": [{"index": "0", "text": "4", "finish_reason": "stop"}],
        "usage": {"completion_tokens": 2.0, "total_tokens": 5.0}}"#;
    assert_eq!(answer(floats).used, Some(5));
    let odd = r#"{"choices": [{"text": "4", "finish_reason": "stop", "logprobs": [1],
        "token_ids": ["a"]}], "usage": 7}"#;
    assert_eq!(text(odd), "4");
    assert!(
        said(odd)[0].contains("no form that is known"),
        "{:?}",
        said(odd)
    );
    let refused = r#"{"choices": [{"message": {"content": null, "refusal": "no"},
        "finish_reason": "stop"}]}"#;
    assert_eq!(text(refused), "no");
}

#[test]
fn tokens_and_log_probs_of_a_part_of_the_completion_are_none() {
    let body = |count: usize, finish: &str| {
        completion(&format!(
            r#"{{"choices": [{{"text": "ab", "finish_reason": "{finish}", "logprobs": {{"content":
                [{{"id": 7, "logprob": -1.0}}, {{"id": 9, "logprob": -2.0}}]}}}}],
                "usage": {{"completion_tokens": {count}}}}}"#
        ))
    };
    let told = |read: Completion| (read.tokens.len(), read.log_probs.len());
    assert_eq!(told(body(2, "stop")), (2, 2));
    // Without the end token.
    assert_eq!(told(body(3, "stop")), (0, 2));
    assert_eq!(told(body(3, "length")), (0, 0));
    assert_eq!(told(body(5, "stop")), (0, 0));
}

#[test]
fn a_prefix_that_the_server_repeats_is_taken_off() {
    let body = |text: &str, tokens: [&str; 2]| {
        let content = tokens.map(|token| serde_json::json!({"token": token, "logprob": -1.0}));
        let choice =
            serde_json::json!({"message": {"content": text}, "logprobs": {"content": content}});
        let body = serde_json::json!({"choices": [choice]}).to_string();
        let answer = read_behind("ab", body.as_bytes());
        answer.unwrap().completion.text
    };
    assert_eq!(body("abcd", ["c", "d"]), "cd");
    // The model began with the same letters.
    assert_eq!(body("abcd", ["ab", "cd"]), "abcd");
    assert_eq!(body("cd", ["c", "d"]), "cd");
}

#[test]
fn reasoning_goes_back_before_the_answer() {
    let body = |reasoning: &str, content: &str, key: &str| {
        let message = serde_json::json!({"content": content, key: reasoning});
        completion(&serde_json::json!({"choices": [{"message": message}]}).to_string()).text
    };
    // As a server that strips hands it over, and one that does not.
    let whole = "<think>\n2 and 2.\n</think>\n\n4";
    assert_eq!(body("2 and 2.", "4", "reasoning_content"), whole);
    assert_eq!(body("\n2 and 2.\n", "\n\n4", "reasoning"), whole);
    assert_eq!(body("", "4", "reasoning_content"), "4");
    let thinking = r#"{"choices": [{"message": {"content": null, "reasoning_content": "2 and"},
        "finish_reason": "length"}]}"#;
    assert_eq!(completion(thinking).text, "<think>\n2 and\n</think>");
}

#[test]
fn a_stream_is_put_together() {
    let body = r#"data: {"choices":[{"delta":{"role":"assistant","content":""},"index":0}]}

: a comment
data: {"choices":[{"delta":{"content":"4"},"index":0,"logprobs":{"content":[{"token":"4","logprob":-0.5,"id":3}]}}]}

data: {"choices":[{"delta":{"content":"2"},"index":0,"logprobs":{"content":[{"token":"2","logprob":-0.25,"id":8}]}}]}

data: {"choices":[{"delta":{},"index":0,"finish_reason":"length"}]}

data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}

data: [DONE]

"#;
    let answer = answer(body);
    let expected = Completion {
        text: "42".into(),
        tokens: vec![3, 8],
        log_probs: vec![-0.5, -0.25],
        finish: Finish::Length,
    };
    assert_eq!((answer.completion, answer.used), (expected, Some(5)));

    let text = "data: {\"choices\":[{\"text\":\"a\"}]}\n\ndata: {\"choices\":[{\"text\":\"b\",\"finish_reason\":\"stop\"}]}\n\n";
    for begin in [
        "",
        ": PROCESSING\n\n",
        "id: 1\n",
        "retry: 3000\n\n",
        "\n\n",
        "event: message\n",
        "\u{feff}",
    ] {
        for end in ["\n", "\r\n", "\r"] {
            let stream = format!("{begin}{text}").replace('\n', end);
            assert_eq!(completion(&stream).text, "ab", "{stream:?}");
        }
    }
    // Events without an empty line between them, words to keep the connection
    // alive, and another choice.
    let odd = "data: {\"choices\":[{\"text\":\"a\"}]}\ndata: {\"choices\":[{\"index\":1,\"text\":\"x\"}]}\n\nevent: ping\ndata: ping\n\ndata: {\"choices\":[{\"text\":\"b\"}]}\n\ndata: [DONE]\n";
    assert_eq!(completion(odd).text, "ab");
}

#[test]
fn an_error_inside_of_an_answer_is_told_in_the_servers_words() {
    let begun = "data: {\"choices\":[{\"text\":\"a\"}]}\n\n";
    for (body, words) in [
        (
            r#"{"error": {"message": "overloaded", "code": 529}}"#,
            "overloaded",
        ),
        (
            r#"{"object": "error", "message": "CUDA", "code": 50002}"#,
            "CUDA",
        ),
        (r#"{"object": "error", "message": "busy"}"#, "busy"),
        (
            "data: {\"error\": {\"message\": \"died\", \"code\": 500}}\n\n",
            "died",
        ),
        ("event: error\ndata: {\"message\": \"died\"}\n\n", "died"),
        (
            "data: {\"error\": {\"message\": \"cut\"}, \"choices\": [{\"text\": \"\", \"finish_reason\": \"error\"}]}\n\n",
            "cut",
        ),
    ] {
        passing(body, words);
        if body.starts_with(['d', 'e']) {
            passing(&format!("{begun}{body}"), words);
        }
    }
    for (body, status) in [
        (
            r#"{"error": {"message": "too long s3cret", "code": 400}}"#,
            400,
        ),
        (
            r#"{"object": "error", "message": "too long", "code": 40303}"#,
            400,
        ),
        (
            r#"{"error": {"message": "too long", "type": "invalid_request_error"}}"#,
            400,
        ),
    ] {
        match read_behind("", body.as_bytes()) {
            Err(Failure::Refused {
                status: told,
                words,
                ..
            }) => {
                assert_eq!(told, status);
                assert!(words.starts_with("too long") && !words.contains("s3cret"));
            }
            other => panic!("{other:?}"),
        }
    }
    unusable(r#"{"detail": "internal"}"#, "The server says: internal");
    unusable(r#"{"message": "why s3cret"}"#, "The server says: why ***");
}

#[test]
fn what_was_cut_off_is_asked_again() {
    passing("", "cut off");
    passing(r#"{"choices": [{"text": "a"#, "cut off");
    passing("data: {\"choices\":[{\"text\":\"a\"}]}\n\n", "cut off");
    passing(
        r#"{"choices": [{"text": "a", "finish_reason": "abort"}]}"#,
        "gave up",
    );
    passing("data: {\"error\": \"out of memory\"}\n\n", "out of memory");
    passing(r#"{"error": {"message": "busy"}}"#, "busy");
}

#[test]
fn what_is_no_answer_says_what_it_is() {
    unusable("<!doctype html><title>Welcome</title>", "<!doctype html>");
    unusable(
        "<!doctype html><title>Welcome</title>",
        "an HTML page: Welcome",
    );
    unusable("{}", "no choices");
    unusable(r#"{"choices": []}"#, "no choices");
    unusable(
        r#"{"choices": [{"finish_reason": "stop"}]}"#,
        "neither text nor message",
    );
    unusable(r#"{"choices": [{"text": 3}]}"#, "invalid type");
    unusable(
        r#"{"choices": [{"message": {"content": null, "tool_calls": [{"id": "1"}]}}]}"#,
        "without a tool parser",
    );
}

proptest::proptest! {
    #[test]
    fn no_body_makes_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let _ = read_behind("ab", &bytes);
    }

    #[test]
    fn a_chat_answer_brings_back_any_text(text in "\\PC*") {
        let body = serde_json::json!({"choices": [{"message": {"content": text}}]}).to_string();
        proptest::prop_assert_eq!(completion(&body).text, text);
    }
}
