//! Loss masks of conversations, against transformers (`scripts/fixtures/chat.py`)
//! and against what the assistant said.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod chat_fixtures;

use chat_fixtures::{Fixtures, list, read, shared};
use iwsft_lm::{
    ChatTemplate, LmError, RenderOptions, Tokenizer, encode_messages,
    encode_prompt_completion_messages,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn without_tags(source: &str) -> String {
    source
        .replace("{%- generation -%}", "{%- if true -%}")
        .replace("{%- endgeneration -%}", "{%- endif -%}")
}

#[test]
fn with_the_end_token_inside_of_the_tag_the_mask_is_that_of_transformers() {
    let fixtures = Fixtures::load();
    let mut compared = 0;
    for case in fixtures.of("tagged") {
        let encoded = fixtures.encode("tagged", &case["messages"]).unwrap();
        assert_eq!(json!(encoded.tokens), case["tokens"]);
        let mask: Vec<u32> = encoded.step_weight.iter().map(|w| *w as u32).collect();
        assert_eq!(json!(mask), case["mask"], "{}", case["chat"]);
        compared += 1;
    }
    assert!(compared >= 8);
}

#[test]
fn an_end_token_right_behind_the_tag_carries_loss_too() {
    let fixtures = Fixtures::load();
    let end = fixtures.tokenizer.token("<|end|>").unwrap();
    for case in fixtures.of("tagged_words") {
        let encoded = fixtures.encode("tagged_words", &case["messages"]).unwrap();
        let mask = list(&case["mask"]);
        for (index, weight) in encoded.step_weight.iter().enumerate() {
            let closes = index > 0 && mask[index - 1] == 1 && encoded.tokens[index] == end;
            let expected = mask[index] == 1 || closes;
            assert_eq!(*weight > 0.0, expected, "{} token {index}", case["chat"]);
        }
    }
}

#[test]
fn without_its_tags_a_template_gives_the_same_mask_by_prefixes() {
    let fixtures = Fixtures::load();
    let special = fixtures.tokenizer.special_tokens();
    let words = fixtures.source("tagged_words");
    // Outside of a tag the variable would not be local any more.
    let words = words.replace("set note = 'inner'", "set _ = 'inner'");
    let headers = fixtures.source("headers").replace(
        "+ message['content'] | trim + '<|end|>' }}",
        "}}{%- if message.role == 'assistant' -%}{%- generation -%}\
         {{- message['content'] | trim + '<|end|>' }}{%- endgeneration -%}\
         {%- else -%}{{- message['content'] | trim + '<|end|>' }}{%- endif -%}",
    );
    for (name, tagged) in [("tagged_words", words), ("headers", headers)] {
        let plain = ChatTemplate::new(&without_tags(&tagged), name, special).unwrap();
        let tagged = ChatTemplate::new(&tagged, name, special).unwrap();
        assert!(tagged.marks_generation() && !plain.marks_generation());
        for case in fixtures.of(name) {
            let encode = |template| {
                let options = RenderOptions::default();
                let messages = list(&case["messages"]);
                encode_messages(&fixtures.tokenizer, template, messages, &[], &options).unwrap()
            };
            assert_eq!(encode(&tagged), encode(&plain), "{name} {}", case["chat"]);
        }
    }
}

#[test]
fn by_prefixes_the_words_of_the_assistant_and_the_end_token_carry_loss() {
    let fixtures = Fixtures::load();
    for name in ["plain", "headers", "bracketed"] {
        for case in fixtures.of(name) {
            let encoded = fixtures.encode(name, &case["messages"]).unwrap();
            let expected: Vec<String> = list(&case["messages"])
                .iter()
                .filter(|message| message["role"] == "assistant")
                .map(|message| {
                    let said = message["content"].as_str().unwrap();
                    match name {
                        "plain" => format!("{said}<|end|>"),
                        "headers" => format!("{}<|end|>", said.trim()),
                        _ => format!(" {}<|end|>", said.trim()),
                    }
                })
                .collect();
            assert_eq!(
                fixtures.loss_texts(&encoded),
                expected,
                "{name} {}",
                case["chat"]
            );
        }
    }
}

#[test]
fn a_token_that_ends_the_conversation_belongs_to_its_last_turn_only() {
    let fixtures = Fixtures::load();
    for (chat, texts) in [
        ("one", vec!["4<|stop|>\n<|end|>"]),
        (
            "two",
            vec!["Hello there!\n<|stop|>", "6, I think.<|stop|>\n<|end|>"],
        ),
        ("open", vec!["Yes.<|stop|>"]),
    ] {
        let case = fixtures
            .of("closing")
            .find(|case| case["chat"] == chat)
            .unwrap();
        let encoded = fixtures.encode("closing", &case["messages"]).unwrap();
        assert_eq!(fixtures.loss_texts(&encoded), texts, "{chat}");
    }
}

#[test]
fn a_prompt_that_no_turn_begins_with_is_an_error_until_its_variable_is_set() {
    let fixtures = Fixtures::load();
    let source = "{% for m in messages %}<|start|>{{ m.role }}\n{% if m.role == 'assistant' %}\
        {{ '<think>\n' + (m.thinking or '') + '\n</think>' }}{% endif %}{{ m.content }}<|end|>{% endfor %}\
        {% if add_generation_prompt %}{{ '<|start|>assistant\n<think>\n' }}\
        {% if not open %}{{ '\n</think>' }}{% endif %}{% endif %}";
    let template = ChatTemplate::new(source, "open", fixtures.tokenizer.special_tokens()).unwrap();
    let messages = [
        json!({ "role": "user", "content": "2+2?" }),
        json!({ "role": "assistant", "content": "4", "thinking": "two and two" }),
    ];
    let encode = |open: bool| {
        let options = RenderOptions {
            variables: json!({ "open": open }).as_object().unwrap().clone(),
            ..RenderOptions::default()
        };
        encode_messages(&fixtures.tokenizer, &template, &messages, &[], &options)
    };
    let error = encode(false).unwrap_err();
    assert!(
        matches!(error, LmError::MaskNotDerivable { message: 1, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("variable"), "{error}");
    let texts = fixtures.loss_texts(&encode(true).unwrap());
    assert_eq!(texts, ["two and two\n</think>4<|end|>"]);
}

#[test]
fn where_history_is_written_differently_the_mask_fits_the_text_as_written() {
    let fixtures = Fixtures::load();
    let expected = [
        (
            "thought",
            vec!["<think>\ntwo and two\n</think>\n\n4<|end|>"],
        ),
        (
            "thoughts",
            vec![
                "4<|end|>",
                "<think>\nthree and three\n</think>\n\nsix<|end|>",
            ],
        ),
        (
            "tools",
            vec![
                "<call>{\"a\": 1, \"b\": [2.5, null, \"<é>\"]}</call><|end|>",
                "It is 3.5.<|end|>",
                "<think>\nIt was right.\n</think>\n\nYes.<|end|>",
            ],
        ),
    ];
    for (chat, texts) in expected {
        let case = fixtures
            .of("reasoning")
            .find(|case| case["chat"] == chat)
            .unwrap();
        let encoded = fixtures.encode("reasoning", &case["messages"]).unwrap();
        assert_eq!(json!(encoded.tokens), case["tokens"], "{chat}");
        assert_eq!(fixtures.loss_texts(&encoded), texts, "{chat}");
    }
}

#[test]
fn what_the_generation_prompt_already_says_carries_no_loss() {
    let fixtures = Fixtures::load();
    let template = fixtures.template("reasoning");
    let options = RenderOptions {
        variables: json!({ "enable_thinking": false })
            .as_object()
            .unwrap()
            .clone(),
        ..RenderOptions::default()
    };
    let messages = [
        json!({ "role": "user", "content": "2+2?" }),
        json!({ "role": "assistant", "content": "<b>4</b>" }),
        json!({ "role": "user", "content": "3+3?" }),
        json!({ "role": "assistant", "content": "6" }),
    ];
    let encoded =
        encode_messages(&fixtures.tokenizer, &template, &messages, &[], &options).unwrap();
    // The empty block stands in the prompt of the last turn; the first has none.
    assert_eq!(
        fixtures.loss_texts(&encoded),
        ["<b>4</b><|end|>", "6<|end|>"]
    );
}

#[test]
fn a_message_weight_scales_the_loss_of_that_message_alone() {
    let fixtures = Fixtures::load();
    let messages = json!([
        { "role": "user", "content": "a" },
        { "role": "assistant", "content": "b" },
        { "role": "user", "content": "c" },
        { "role": "assistant", "content": "d" },
    ]);
    for name in [
        "plain",
        "tagged",
        "tagged_words",
        "headers",
        "bracketed",
        "reasoning",
    ] {
        let template = fixtures.template(name);
        let encode = |weights: &[Option<f32>]| {
            let options = RenderOptions::default();
            encode_messages(
                &fixtures.tokenizer,
                &template,
                list(&messages),
                weights,
                &options,
            )
        };
        let all = encode(&[]).unwrap();
        let first = encode(&[None, None, None, Some(0.0)]).unwrap();
        let mixed = encode(&[None, Some(0.25), None, Some(3.0)]).unwrap();
        assert!(first.step_weight.iter().sum::<f32>() > 0.0, "{name}");
        for (index, weight) in all.step_weight.iter().enumerate() {
            let expected = if first.step_weight[index] > 0.0 {
                0.25
            } else {
                3.0 * weight
            };
            assert!(
                (mixed.step_weight[index] - expected).abs() < 1e-6,
                "{name} token {index}"
            );
            assert!(first.step_weight[index] <= *weight);
        }
        let error = encode(&[None, Some(0.0), None, Some(0.0)]).unwrap_err();
        assert!(
            matches!(error, LmError::MaskEmpty { .. }),
            "{name}: {error}"
        );
        let error = encode(&[Some(1.0), None, None, None]).unwrap_err();
        assert!(
            error.to_string().contains("only the assistant's"),
            "{name}: {error}"
        );
        let error = encode(&[None, Some(f32::NAN), None, None]).unwrap_err();
        assert!(error.to_string().contains("NaN"), "{name}: {error}");
        let error = encode(&[None]).unwrap_err();
        assert!(
            error.to_string().contains("4 messages and 1 weights"),
            "{name}: {error}"
        );
    }
}

#[test]
fn a_tag_that_makes_two_spans_of_a_message_keeps_their_weights_apart() {
    let fixtures = Fixtures::load();
    let source = "{% for m in messages %}{{ m.role }}: {% if m.role == 'assistant' %}\
        {% if m.plan %}{% generation %}{{ m.plan }}{% endgeneration %} / {% endif %}\
        {% generation %}{{ m.content }}<|end|>{% endgeneration %}\
        {% else %}{{ m.content }}{% endif %}\n\n{% endfor %}";
    let template = ChatTemplate::new(source, "spans", fixtures.tokenizer.special_tokens()).unwrap();
    let messages = json!([
        { "role": "user", "content": "a" },
        { "role": "assistant", "content": "b", "plan": "p" },
        { "role": "assistant", "content": "d" },
    ]);
    let weights = [None, Some(0.0), Some(2.0)];
    let options = RenderOptions::default();
    let encoded = encode_messages(
        &fixtures.tokenizer,
        &template,
        list(&messages),
        &weights,
        &options,
    );
    let encoded = encoded.unwrap();
    assert_eq!(fixtures.loss_texts(&encoded), ["d<|end|>"]);
    let encoded = encode_messages(
        &fixtures.tokenizer,
        &template,
        list(&messages),
        &[],
        &options,
    )
    .unwrap();
    assert_eq!(fixtures.loss_texts(&encoded), ["p", "b<|end|>", "d<|end|>"]);
}

#[test]
fn a_mask_that_cannot_be_derived_is_an_error_that_names_template_and_message() {
    let fixtures = Fixtures::load();
    let special = fixtures.tokenizer.special_tokens();
    let messages = json!([
        { "role": "user", "content": "a" },
        { "role": "assistant", "content": "b" },
        { "role": "user", "content": "c" },
        { "role": "assistant", "content": "d" },
    ]);
    let hostile = [
        // Counts the messages, so no beginning of the conversation is one of the text.
        (
            "counting",
            "{{ messages | length }}{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}",
        ),
        // Writes the answers before the questions.
        (
            "reversed",
            "{% for m in messages | reverse %}{{ m.role }}:{{ m.content }};{% endfor %}",
        ),
        // Leaves out all answers.
        (
            "silent",
            "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}",
        ),
        // Writes the answer twice.
        (
            "twice",
            "{{ messages[-1].content }}{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}",
        ),
        // Has the tag and never uses it.
        (
            "unused",
            "{% for m in messages %}{{ m.content }}{% endfor %}{% if false %}{% generation %}{% endgeneration %}{% endif %}",
        ),
        // Marks what the user says.
        (
            "all",
            "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}",
        ),
        // Takes the marked text apart.
        (
            "length",
            "{% for m in messages %}{% set t %}{% generation %}{{ m.content }}{% endgeneration %}{% endset %}{{ t }}{{ t | length }}{% endfor %}",
        ),
    ];
    for (name, source) in hostile {
        let template = ChatTemplate::new(source, name, special).unwrap();
        let options = RenderOptions::default();
        let result = encode_messages(
            &fixtures.tokenizer,
            &template,
            list(&messages),
            &[],
            &options,
        );
        match result {
            Err(LmError::MaskNotDerivable { template, .. }) => assert_eq!(template, name),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn malformed_conversations_are_refused() {
    let fixtures = Fixtures::load();
    let reason = |messages: Value| fixtures.encode("plain", &messages).unwrap_err().to_string();
    assert!(reason(json!([{ "content": "a" }])).contains("message 0"));
    assert!(reason(json!(["a"])).contains("message 0"));
    assert!(reason(json!([{ "role": "user", "content": "a" }])).contains("assistant"));
    assert!(reason(json!([])).contains("no token carries loss"));
    let raised = fixtures
        .encode(
            "bracketed",
            &json!([{ "role": "assistant", "content": "a" }]),
        )
        .unwrap_err();
    assert!(
        raised.to_string().contains("roles must alternate"),
        "{raised}"
    );
    let marked = fixtures.encode(
        "tagged",
        &json!([{ "role": "user", "content": "\u{10FFFC}" }, { "role": "assistant", "content": "a" }]),
    );
    assert!(marked.unwrap_err().to_string().contains("U+10FFFC"));
}

#[test]
fn a_completion_of_messages_carries_the_loss_and_its_prompt_does_not() {
    let fixtures = Fixtures::load();
    let message = |role: &str, content: &str| json!({ "role": role, "content": content });
    let encoded = encode_prompt_completion_messages(
        &fixtures.tokenizer,
        &fixtures.template("plain"),
        &[
            message("user", "a"),
            message("assistant", "b"),
            message("user", "c"),
        ],
        &[message("assistant", "d")],
        &RenderOptions::default(),
    )
    .unwrap();
    assert_eq!(fixtures.loss_texts(&encoded), ["d<|end|>"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_the_messages_say_exactly_the_answers_carry_loss(
        said in prop::collection::vec(("[a-z0-9 \\n<>{}%|é六🚀]{0,12}", "[a-z0-9 \\n<>{}%|é六🚀]{0,12}"), 1..4),
    ) {
        let fixtures = Fixtures::load();
        let mut messages = Vec::new();
        for (question, answer) in &said {
            messages.push(json!({ "role": "user", "content": question }));
            messages.push(json!({ "role": "assistant", "content": answer }));
        }
        let encoded = fixtures.encode("plain", &json!(messages)).unwrap();
        let expected: Vec<String> =
            said.iter().map(|(_, answer)| format!("{answer}<|end|>")).collect();
        prop_assert_eq!(fixtures.loss_texts(&encoded), expected);
    }
}

#[test]
fn masks_of_well_known_templates_cover_the_answers_and_their_ends() {
    let (Some(templates), Some(folder)) = (
        shared("chat/chat_templates.json"),
        shared("tokenizer/qwen3"),
    ) else {
        return;
    };
    let templates: Value = serde_json::from_str(&read(&templates)).unwrap();
    let fixtures = Fixtures {
        tokenizer: Tokenizer::from_folder(&folder).unwrap(),
        templates: Value::Null,
        cases: Vec::new(),
    };
    let messages = json!([
        { "role": "user", "content": "What is 2+2?" },
        { "role": "assistant", "content": "<think>\ntwo and two\n</think>\n\nIt is 4." },
        { "role": "user", "content": "And 3+3?" },
        { "role": "assistant", "content": "<think>\nthree and three\n</think>\n\nIt is 6." },
    ]);
    let thought =
        |reason: &str, answer: &str| format!("<think>\n{reason}\n</think>\n\n{answer}<|im_end|>");
    let both = vec![
        thought("two and two", "It is 4."),
        thought("three and three", "It is 6."),
    ];
    let last = vec!["It is 4.<|im_end|>".to_owned(), both[1].clone()];
    // These two say themselves what carries loss, line breaks included; transformers'
    // `return_assistant_tokens_mask` gives the same texts.
    let with = |before: &str| {
        both.iter()
            .map(|text| format!("{before}{text}\n"))
            .collect()
    };
    let (qwen2_5_training, qwen3_training): (Vec<_>, Vec<_>) = (with("\n"), with(""));
    for (name, expected) in [
        ("qwen2.5", &both),
        ("trl/qwen2_5", &both),
        ("trl/qwen2_5_training", &qwen2_5_training),
        ("qwen3", &last),
        ("trl/qwen3", &last),
        ("trl/qwen3_training", &qwen3_training),
        ("trl/qwen3_instruct_2507", &both),
    ] {
        let source = templates[name].as_str().unwrap();
        let template =
            ChatTemplate::new(source, name, fixtures.tokenizer.special_tokens()).unwrap();
        let options = RenderOptions::default();
        let encoded = encode_messages(
            &fixtures.tokenizer,
            &template,
            list(&messages),
            &[],
            &options,
        )
        .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(&fixtures.loss_texts(&encoded), expected, "{name}");
    }
}
