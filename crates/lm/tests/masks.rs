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
    let template = fixtures.template("reasoning");
    // Earlier reasoning is left out, so what had it is context.
    let expected = [
        (
            "thought",
            vec![],
            vec!["<think>\ntwo and two\n</think>\n\n4<|end|>"],
        ),
        (
            "thoughts",
            vec![None, Some(0.0), None, None],
            vec!["<think>\nthree and three\n</think>\n\nsix<|end|>"],
        ),
        (
            "tools",
            vec![None, Some(0.0), None, None, None, None],
            vec![
                "It is 3.5.<|end|>",
                "<think>\nIt was right.\n</think>\n\nYes.<|end|>",
            ],
        ),
    ];
    for (chat, weights, texts) in expected {
        let case = fixtures
            .of("reasoning")
            .find(|case| case["chat"] == chat)
            .unwrap();
        let options = RenderOptions::default();
        let messages = list(&case["messages"]);
        let encoded =
            encode_messages(&fixtures.tokenizer, &template, messages, &weights, &options).unwrap();
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
    // These two leave the reasoning of earlier turns out, so the first must be context.
    let last = vec![both[1].clone()];
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
        let all = learnt(&fixtures, &template, &messages, &[]);
        let texts = if *expected == last {
            assert_eq!(left_out(all).0, 1, "{name}");
            learnt(
                &fixtures,
                &template,
                &messages,
                &[None, Some(0.0), None, None],
            )
        } else {
            all
        };
        let texts = texts.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(&texts, expected, "{name}");
    }
}

/// A template of our own, compiled with the fixtures' special tokens.
fn template(fixtures: &Fixtures, name: &str, source: &str) -> ChatTemplate {
    ChatTemplate::new(source, name, fixtures.tokenizer.special_tokens()).unwrap()
}

/// The texts with loss, or the error.
fn learnt(
    fixtures: &Fixtures,
    template: &ChatTemplate,
    messages: &Value,
    weights: &[Option<f32>],
) -> Result<Vec<String>, LmError> {
    let options = RenderOptions::default();
    let messages = list(messages);
    encode_messages(&fixtures.tokenizer, template, messages, weights, &options)
        .map(|encoded| fixtures.loss_texts(&encoded))
}

/// Field and words of what the template leaves out.
fn left_out(result: Result<Vec<String>, LmError>) -> (usize, String, String) {
    match result {
        Err(LmError::Unlearnable {
            message,
            field,
            words,
            ..
        }) => (message, field, words),
        other => panic!("{other:?}"),
    }
}

const TURNS: &str = "{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}\
    {% if add_generation_prompt %}<|start|>assistant\n{% endif %}";

#[test]
fn words_that_a_template_cuts_away_are_refused_and_not_left_out_in_silence() {
    let fixtures = Fixtures::load();
    let turn = |content: &str| {
        format!(
            "{{% for m in messages %}}<|start|>{{{{ m.role }}}}\n{content}<|end|>\n{{% endfor %}}\
             {{% if add_generation_prompt %}}<|start|>assistant\n{{% endif %}}"
        )
    };
    let said = "<think>\nTwo and two.\n</think>\n\n4";
    let question = json!({ "role": "user", "content": "2+2? Not two and two." });
    for (name, content, message, missing) in [
        (
            "cut",
            "{{ m.content.split('</think>')[-1].lstrip() }}",
            json!({ "role": "assistant", "content": said }),
            ("content", "Two and two."),
        ),
        (
            "unknown",
            "{{ m.content }}",
            json!({ "role": "assistant", "content": "4", "reasoning_content": "Two and two." }),
            ("reasoning_content", "Two and two."),
        ),
        (
            "lower",
            "{{ m.content | lower }}",
            json!({ "role": "assistant", "content": "It is Four." }),
            ("content", "It is Four."),
        ),
        (
            "one line",
            "{{ m.content.split() | join(' ') }}",
            json!({ "role": "assistant", "content": "a:\n    b" }),
            ("content", "a:\n    b"),
        ),
        (
            "no calls",
            "{{ m.content }}",
            json!({ "role": "assistant", "content": "I look.", "tool_calls": [
                { "type": "function", "function": { "name": "sky", "arguments": { "city": "Oslo" } } }
            ] }),
            ("tool_calls[0].function.name", "sky"),
        ),
        (
            "calls without arguments",
            "{{ m.content }}{% for c in m.tool_calls %}{{ c.function.name }}{% endfor %}",
            json!({ "role": "assistant", "content": "", "tool_calls": [
                { "type": "function", "function": { "name": "sky", "arguments": "{\"city\": \"Oslo\"}" } }
            ] }),
            ("tool_calls[0].function.arguments.city", "city"),
        ),
        (
            "either content or calls",
            "{% if m.tool_calls %}{{ m.tool_calls | tojson }}{% else %}{{ m.content }}{% endif %}",
            json!({ "role": "assistant", "content": "I look.", "tool_calls": [
                { "name": "sky", "arguments": { "n": 3.5 } }
            ] }),
            ("content", "I look."),
        ),
    ] {
        let template = template(&fixtures, name, &turn(content));
        let messages = json!([question, message]);
        let (index, field, words) = left_out(learnt(&fixtures, &template, &messages, &[]));
        assert_eq!(
            (index, field.as_str(), words.as_str()),
            (1, missing.0, missing.1),
            "{name}"
        );
        let more = json!([question, message, question, { "role": "assistant", "content": "yes" }]);
        let weights = [None, Some(0.0), None, None];
        let texts = learnt(&fixtures, &template, &more, &weights).unwrap();
        assert_eq!(texts, ["yes<|end|>"], "{name}: context may be cut");
    }
}

#[test]
fn reasoning_of_earlier_turns_that_a_template_drops_is_refused_unless_it_has_no_weight() {
    let fixtures = Fixtures::load();
    let case = fixtures
        .of("reasoning")
        .find(|case| case["chat"] == "thoughts")
        .unwrap();
    let template = fixtures.template("reasoning");
    let result = learnt(&fixtures, &template, &case["messages"], &[]);
    let error = result.as_ref().unwrap_err().to_string();
    for part in [
        "message 1",
        "`content`",
        "model.chat_template",
        "\"weight\": 0",
    ] {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(left_out(result).0, 1);
    let weights = [None, Some(0.0), None, None];
    let texts = learnt(&fixtures, &template, &case["messages"], &weights).unwrap();
    assert_eq!(texts, ["<think>\nthree and three\n</think>\n\nsix<|end|>"]);
}

#[test]
fn white_space_around_texts_and_tags_is_the_templates_business() {
    let fixtures = Fixtures::load();
    let turns = "{% for m in messages %}{% set c = m.content %}<|start|>{{ m.role }}\n\
        {% if '</think>' in c %}{% set t = c.split('</think>')[0].split('<think>')[-1].strip() %}\
        {% set c = c.split('</think>')[-1].strip() %}\
        {% if t %}{{ '<think>\n' + t + '\n</think>\n\n' }}{% endif %}{% endif %}{{ c | trim }}<|end|>\n{% endfor %}\
        {% if add_generation_prompt %}<|start|>assistant\n{% endif %}";
    let template = template(&fixtures, "spaced", turns);
    for (content, text) in [
        ("  4\n", "4<|end|>"),
        (
            "<think> two </think>4",
            "<think>\ntwo\n</think>\n\n4<|end|>",
        ),
        ("<think>\n\n</think>\n\n4", "4<|end|>"),
        ("a < b and <b>c</b>", "a < b and <b>c</b><|end|>"),
        ("", "<|end|>"),
    ] {
        let messages = json!([
            { "role": "user", "content": "2+2?" },
            { "role": "assistant", "content": content },
        ]);
        assert_eq!(
            learnt(&fixtures, &template, &messages, &[]).unwrap(),
            [text]
        );
    }
}

#[test]
fn what_the_generation_prompt_says_of_a_message_is_in_the_text() {
    let fixtures = Fixtures::load();
    let turns = "{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}<|end|>{% endfor %}\
        {% if add_generation_prompt %}<|start|>assistant\n<think>\n{% endif %}";
    let template = template(&fixtures, "open", turns);
    let messages = json!([
        { "role": "user", "content": "2+2?" },
        { "role": "assistant", "content": "<think>\ntwo\n</think>\n\n4" },
    ]);
    let texts = learnt(&fixtures, &template, &messages, &[]).unwrap();
    assert_eq!(texts, ["two\n</think>\n\n4<|end|>"]);
}

#[test]
fn text_parts_are_joined_where_a_template_reads_strings_and_left_where_it_reads_parts() {
    let fixtures = Fixtures::load();
    let turn = |content: &str| TURNS.replace("{{ m.content }}", content);
    let part = |text: &str| json!({ "type": "text", "text": text });
    let messages = json!([
        { "role": "user", "content": [part("2 + "), part("2?")] },
        { "role": "assistant", "content": [part("It is"), " 4."] },
    ]);
    for (name, content, expected) in [
        ("strings", "{{ m.content + '' }}", "It is 4.<|end|>"),
        (
            "silent",
            "{% if m.content is string %}{{ m.content }}{% endif %}",
            "It is 4.<|end|>",
        ),
        ("printing", "{{ m.content }}", "It is 4.<|end|>"),
        (
            "both",
            "{% if m.content is string %}{{ m.content }}{% else %}\
             {% for p in m.content %}{{ p.text or p }}{% if not loop.last %}/{% endif %}{% endfor %}{% endif %}",
            "It is/ 4.<|end|>",
        ),
        (
            "parts",
            "{% for p in m.content %}[{{ p.text or p }}]{% endfor %}",
            "[It is][ 4.]<|end|>",
        ),
    ] {
        let template = template(&fixtures, name, &turn(content));
        let texts = learnt(&fixtures, &template, &messages, &[]).unwrap();
        assert_eq!(texts, [expected], "{name}");
        let prompt = template.render(&list(&messages)[..1], true, &RenderOptions::default());
        assert!(prompt.unwrap().contains("2 +"), "{name}");
    }
    let silent = template(
        &fixtures,
        "mute",
        &turn("{% if m.content is number %}{{ m.content }}{% endif %}"),
    );
    let error = learnt(&fixtures, &silent, &messages, &[])
        .unwrap_err()
        .to_string();
    assert!(error.contains("mute") && error.contains("parts"), "{error}");
}

#[test]
fn parts_that_are_no_text_are_refused_with_their_type() {
    let fixtures = Fixtures::load();
    let messages = json!([
        { "role": "user", "content": [
            { "type": "text", "text": "What is it?" },
            { "type": "image_url", "image_url": { "url": "data:..." } },
        ] },
        { "role": "assistant", "content": "A cat." },
    ]);
    let error = fixtures.encode("plain", &messages).unwrap_err().to_string();
    for part in ["part 1", "message 0", "image_url", "only text"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn arguments_given_as_json_text_are_objects_for_templates_that_want_objects() {
    let fixtures = Fixtures::load();
    let turn = |call: &str| {
        TURNS.replace(
            "{{ m.content }}",
            &format!("{{{{ m.content }}}}{{% for c in m.tool_calls or [] %}}{call}{{% endfor %}}"),
        )
    };
    let text = r#"{"city":"Oslo","n":1}"#;
    let call = |arguments: Value| json!({ "function": { "name": "sky", "arguments": arguments } });
    let flat = |arguments: Value| json!({ "name": "sky", "arguments": arguments });
    let object = json!({ "city": "Oslo", "n": 1 });
    let dumped = r#"sky{"city": "Oslo", "n": 1}<|end|>"#;
    let given = format!("sky{text}<|end|>");
    let name = "{% set c = c.function or c %}{{ c.name }}";
    for (template_name, written, from_text, from_object) in [
        ("json", "{{ c.arguments | tojson }}", dumped, dumped),
        ("text", "{{ '' + c.arguments }}", given.as_str(), dumped),
        ("prints", "{{ c.arguments }}", given.as_str(), dumped),
        (
            "either",
            "{% if c.arguments is string %}{{ c.arguments }}{% else %}{{ c.arguments | tojson }}{% endif %}",
            dumped,
            dumped,
        ),
        (
            "items",
            "{% for k, v in c.arguments.items() %} {{ k }}={{ v }}{% endfor %}",
            "sky city=Oslo n=1<|end|>",
            "sky city=Oslo n=1<|end|>",
        ),
    ] {
        let template = template(&fixtures, template_name, &turn(&format!("{name}{written}")));
        for (calls, expected) in [
            (json!([call(json!(text))]), from_text),
            (json!([flat(json!(text))]), from_text),
            (json!([call(object.clone())]), from_object),
            (json!([flat(object.clone())]), from_object),
        ] {
            let messages = json!([
                { "role": "user", "content": "Weather?" },
                { "role": "assistant", "content": "", "tool_calls": calls },
            ]);
            let texts = learnt(&fixtures, &template, &messages, &[]).unwrap();
            assert_eq!(texts, [expected], "{template_name} {calls}");
        }
    }
}

#[test]
fn a_span_behind_the_loop_counts_as_the_assistants_where_all_its_messages_count_alike() {
    let fixtures = Fixtures::load();
    let source = "{% for m in messages %}<|start|>{{ m.role }}\n{% if m.role == 'assistant' %}\
        {% generation %}{{ m.content }}<|stop|>{% endgeneration %}{% else %}{{ m.content }}<|stop|>{% endif %}\
        {% endfor %}{% if add_generation_prompt %}<|start|>assistant\n{% else %}\
        {% generation %}<|end|>{% endgeneration %}{% endif %}";
    let template = template(&fixtures, "behind", source);
    let messages = json!([
        { "role": "user", "content": "2+2?" },
        { "role": "assistant", "content": "It is 4." },
        { "role": "user", "content": "Sure?" },
        { "role": "assistant", "content": "Yes." },
    ]);
    let texts = learnt(&fixtures, &template, &messages, &[]).unwrap();
    assert_eq!(texts, ["It is 4.<|stop|>", "Yes.<|stop|><|end|>"]);
    // What the last message ends with is its own, and has its weight.
    let weights = [None, Some(0.5), None, Some(0.0)];
    let texts = learnt(&fixtures, &template, &messages, &weights).unwrap();
    assert_eq!(texts, ["It is 4.<|stop|>"]);
    // Behind a question the token is no message's.
    let open = json!([
        messages[0],
        messages[1],
        messages[2],
        messages[3],
        messages[2]
    ]);
    let texts = learnt(&fixtures, &template, &open, &[]).unwrap();
    assert_eq!(texts, ["It is 4.<|stop|>", "Yes.<|stop|>", "<|end|>"]);
    let weights = [None, Some(0.5), None, None, None];
    let error = learnt(&fixtures, &template, &open, &weights)
        .unwrap_err()
        .to_string();
    assert!(error.contains("different weights"), "{error}");
    assert!(error.contains("the same weight"), "{error}");
}
