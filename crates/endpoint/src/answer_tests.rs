//! Answers as the servers' documentation has them.

use super::*;

fn completion(body: &str) -> Completion {
    read("http://x/v1", body.as_bytes(), "").unwrap().completion
}

#[track_caller]
fn passing(body: &str, reason: &str) {
    match read("http://x/v1", body.as_bytes(), "") {
        Err(Failure::Passing { reason: said, .. }) => assert!(said.contains(reason), "{said}"),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn lasting(body: &str, reason: &str) {
    match read("http://x/v1", body.as_bytes(), "") {
        Err(Failure::Lasting(error)) => {
            assert!(error.to_string().contains(reason), "{error}");
            assert!(error.is_mistake());
        }
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
    let answer = read("http://x/v1", body.as_bytes(), "").unwrap();
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
fn log_probs_with_a_gap_are_none_and_tokens_of_another_count_are_none() {
    let gap = r#"{"choices": [{"text": "x", "logprobs": {"token_logprobs": [null, -1.0]}}]}"#;
    assert!(completion(gap).log_probs.is_empty());
    let other = r#"{"choices": [{"text": "x", "token_ids": [1, 2, 3],
        "logprobs": {"token_logprobs": [-1.0, -1.0]}}]}"#;
    let read = completion(other);
    assert!(read.tokens.is_empty());
    assert_eq!(read.log_probs.len(), 2);
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
        read("http://x/v1", body.as_bytes(), "ab")
            .unwrap()
            .completion
            .text
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
    let answer = read("http://x/v1", body.as_bytes(), "").unwrap();
    let expected = Completion {
        text: "42".into(),
        tokens: vec![3, 8],
        log_probs: vec![-0.5, -0.25],
        finish: Finish::Length,
    };
    assert_eq!((answer.completion, answer.used), (expected, Some(5)));

    let text = "data: {\"choices\":[{\"text\":\"a\"}]}\n\ndata: {\"choices\":[{\"text\":\"b\",\"finish_reason\":\"stop\"}]}\n\n";
    assert_eq!(completion(text).text, "ab");
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
fn what_is_no_answer_is_an_error_at_once() {
    lasting("<!doctype html><title>Welcome</title>", "<!doctype html>");
    lasting("{}", "no choices");
    lasting(r#"{"choices": []}"#, "no choices");
    lasting(
        r#"{"choices": [{"finish_reason": "stop"}]}"#,
        "neither text nor message",
    );
    lasting(r#"{"choices": [{"text": 3}]}"#, "invalid type");
    lasting(
        r#"{"choices": [{"message": {"content": null, "tool_calls": [{"id": "1"}]}}]}"#,
        "without a tool parser",
    );
}

proptest::proptest! {
    #[test]
    fn no_body_makes_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let _ = read("http://x/v1", &bytes, "ab");
    }

    #[test]
    fn a_chat_answer_brings_back_any_text(text in "\\PC*") {
        let body = serde_json::json!({"choices": [{"message": {"content": text}}]}).to_string();
        proptest::prop_assert_eq!(completion(&body).text, text);
    }
}
