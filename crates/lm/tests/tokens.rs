//! Tokenizers, chat templates and loss masks against transformers
//! (`scripts/fixtures/chat.py`) and against each other.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use iwsft_lm::{
    ChatTemplate, Encoded, LmError, RenderOptions, Tokenizer, encode_messages,
    encode_prompt_completion, encode_prompt_completion_messages, encode_text,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/chat")
}

fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")).join(path);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: shared data {} is absent", path.display());
    None
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// The fixtures' tokenizer, templates and cases.
struct Fixtures {
    tokenizer: Tokenizer,
    templates: Value,
    cases: Vec<Value>,
}

impl Fixtures {
    fn load() -> Self {
        let file: Value = serde_json::from_str(&read(&fixtures().join("cases.json"))).unwrap();
        Self {
            tokenizer: Tokenizer::from_folder(&fixtures()).unwrap(),
            templates: file["templates"].clone(),
            cases: file["cases"].as_array().unwrap().clone(),
        }
    }

    fn source(&self, name: &str) -> &str {
        self.templates[name].as_str().unwrap()
    }

    fn template(&self, name: &str) -> ChatTemplate {
        ChatTemplate::new(name, self.source(name), self.tokenizer.special_tokens()).unwrap()
    }

    /// The cases without generation prompt of one template.
    fn of<'a>(&'a self, template: &'a str) -> impl Iterator<Item = &'a Value> {
        self.cases
            .iter()
            .filter(move |case| case["template"] == template)
            .filter(|case| case["add_generation_prompt"] == false)
    }

    fn encode(&self, template: &str, messages: &Value) -> Result<Encoded, LmError> {
        let options = RenderOptions::default();
        let template = self.template(template);
        encode_messages(&self.tokenizer, &template, list(messages), &[], &options)
    }

    /// The texts of the unbroken runs of tokens that carry loss.
    fn loss_texts(&self, encoded: &Encoded) -> Vec<String> {
        let mut runs = Vec::new();
        let mut run = Vec::new();
        for (token, weight) in encoded.tokens.iter().zip(&encoded.step_weight) {
            if *weight > 0.0 {
                run.push(*token);
            } else if !run.is_empty() {
                runs.push(std::mem::take(&mut run));
            }
        }
        runs.extend((!run.is_empty()).then_some(run));
        runs.iter()
            .map(|run| self.tokenizer.decode(run, true).unwrap())
            .collect()
    }
}

fn list(messages: &Value) -> &[Value] {
    messages.as_array().unwrap()
}

fn options(case: &Value) -> RenderOptions {
    RenderOptions {
        tools: (!case["tools"].is_null()).then(|| case["tools"].clone()),
        variables: case["variables"].as_object().unwrap().clone(),
        ..RenderOptions::default()
    }
}

fn without_tags(source: &str) -> String {
    source
        .replace("{%- generation -%}", "{%- if true -%}")
        .replace("{%- endgeneration -%}", "{%- endif -%}")
}

#[test]
fn renderings_and_tokens_are_those_of_transformers() {
    let fixtures = Fixtures::load();
    for case in &fixtures.cases {
        let name = case["template"].as_str().unwrap();
        let text = fixtures
            .template(name)
            .render(
                list(&case["messages"]),
                case["add_generation_prompt"] == true,
                &options(case),
            )
            .unwrap_or_else(|error| panic!("{name} {}: {error}", case["chat"]));
        assert_eq!(text, case["text"], "{name} {}", case["chat"]);
        let tokens = fixtures.tokenizer.encode(&text, false).unwrap();
        assert_eq!(json!(tokens), case["tokens"], "{name} {}", case["chat"]);
    }
    assert!(fixtures.cases.len() > 70);
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
        "}}{%- generation -%}{{- message['content'] | trim + '<|end|>' }}{%- endgeneration -%}",
    );
    for (name, tagged) in [("tagged_words", words), ("headers", headers)] {
        let plain = ChatTemplate::new(name, &without_tags(&tagged), special).unwrap();
        let tagged = ChatTemplate::new(name, &tagged, special).unwrap();
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
    let template = ChatTemplate::new("spans", source, fixtures.tokenizer.special_tokens()).unwrap();
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
        // Takes the marked text apart.
        (
            "length",
            "{% for m in messages %}{% set t %}{% generation %}{{ m.content }}{% endgeneration %}{% endset %}{{ t }}{{ t | length }}{% endfor %}",
        ),
    ];
    for (name, source) in hostile {
        let template = ChatTemplate::new(name, source, special).unwrap();
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
fn a_template_that_does_not_parse_is_refused_with_its_line() {
    let error = ChatTemplate::new("broken.jinja", "ok\n{% for x %}", &BTreeMap::new()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("broken.jinja") && text.contains("line 2"),
        "{text}"
    );
}

#[test]
fn the_day_that_a_template_sees_can_be_fixed() {
    let template =
        ChatTemplate::new("day", "{{ strftime_now('%d %b %Y') }}", &BTreeMap::new()).unwrap();
    let on = |today: &str| RenderOptions {
        today: Some(today.into()),
        ..RenderOptions::default()
    };
    assert_eq!(
        template.render(&[], false, &on("2024-07-06")).unwrap(),
        "06 Jul 2024"
    );
    let error = template.render(&[], false, &on("yesterday")).unwrap_err();
    assert!(error.to_string().contains("2024-07-26"), "{error}");
    assert_ne!(
        template
            .render(&[], false, &RenderOptions::default())
            .unwrap(),
        "06 Jul 2024"
    );
}

#[test]
fn a_prompt_keeps_its_tokens_whatever_completion_follows() {
    let Fixtures { tokenizer, .. } = Fixtures::load();
    let end = tokenizer.eos_token().unwrap();
    let prompt = tokenizer.encode("What is 2+2? ", false).unwrap();
    for completion in ["4", " 4", "44<|end|>"] {
        let row = encode_prompt_completion(&tokenizer, "What is 2+2? ", completion, true).unwrap();
        assert_eq!(row.tokens[..prompt.len()], prompt);
        assert_eq!(row.tokens.iter().filter(|token| **token == end).count(), 1);
        assert_eq!(row.tokens.last(), Some(&end));
        let loss: Vec<f32> = (0..row.tokens.len())
            .map(|index| f32::from(index >= prompt.len()))
            .collect();
        assert_eq!(row.step_weight, loss);
        let open = encode_prompt_completion(&tokenizer, "What is 2+2? ", "4", false).unwrap();
        assert_ne!(open.tokens.last(), Some(&end));
    }
    let error = encode_prompt_completion(&tokenizer, "a", "", true).unwrap_err();
    assert!(matches!(error, LmError::MaskEmpty { .. }));
    // Without a prompt and a first token, nothing predicts the completion's first.
    let bare = encode_prompt_completion(&tokenizer, "", "4 5", false).unwrap();
    assert_eq!(bare.step_weight[0], 0.0);
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

#[test]
fn a_plain_text_carries_loss_on_all_tokens_but_the_first() {
    let Fixtures { tokenizer, .. } = Fixtures::load();
    let row = encode_text(&tokenizer, "What is 2+2?", true).unwrap();
    assert_eq!(row.step_weight[0], 0.0);
    assert!(row.step_weight[1..].iter().all(|weight| *weight == 1.0));
    assert_eq!(row.tokens.last().copied(), tokenizer.eos_token());
    let error = encode_text(&tokenizer, "4", false).unwrap_err();
    assert!(matches!(error, LmError::MaskEmpty { .. }));
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
fn published_token_vectors_are_reproduced() {
    let Some(vectors) = shared("tokenizer/vectors/tokenizer_vectors.jsonl") else {
        return;
    };
    let mut compared = 0;
    for (kind, folder) in [
        ("qwen2", "tokenizer/qwen2.5"),
        ("qwen2", "tokenizer/qwen3"),
        ("Xenova/Qwen1.5-0.5B-Chat", "tokenizer/qwen2.5"),
    ] {
        let Some(folder) = shared(folder) else {
            return;
        };
        let tokenizer = Tokenizer::from_folder(&folder).unwrap();
        for line in read(&vectors).lines() {
            let row: Value = serde_json::from_str(line).unwrap();
            if row["tokenizer"] != kind {
                continue;
            }
            let tokens = tokenizer
                .encode(row["text"].as_str().unwrap(), false)
                .unwrap();
            assert_eq!(json!(tokens), row["ids"], "{}", row["text"]);
            compared += 1;
        }
    }
    assert_eq!(compared, 2 * 47 + 25);
}

#[test]
fn real_tokenizers_name_their_special_tokens_and_templates() {
    let expected = [
        ("tokenizer/qwen2.5", None, "<|im_end|>", true),
        ("tokenizer/qwen3", None, "<|im_end|>", true),
        ("tokenizer/phi-3", Some("<s>"), "<|endoftext|>", true),
        (
            "weights/story_656k",
            Some("<|start_story|>"),
            "<|end_story|>",
            false,
        ),
    ];
    for (folder, bos, eos, chats) in expected {
        let Some(folder) = shared(folder) else {
            continue;
        };
        let tokenizer = Tokenizer::from_folder(&folder).unwrap();
        assert_eq!(
            tokenizer.bos_token(),
            bos.and_then(|text| tokenizer.token(text))
        );
        assert_eq!(tokenizer.end_tokens(), [tokenizer.token(eos).unwrap()]);
        assert_eq!(tokenizer.chat_template(false).unwrap().is_some(), chats);
    }
}

#[test]
fn a_first_token_stands_before_the_prompt_where_the_tokenizer_puts_one() {
    let Some(folder) = shared("weights/story_656k") else {
        return;
    };
    let tokenizer = Tokenizer::from_folder(&folder).unwrap();
    tokenizer.check_vocab_size(2048).unwrap();
    assert!(
        tokenizer
            .check_vocab_size(100)
            .unwrap_err()
            .to_string()
            .contains("2047")
    );
    let row = encode_prompt_completion(&tokenizer, "Once", " upon", true).unwrap();
    assert_eq!(row.tokens.first().copied(), tokenizer.bos_token());
    assert_eq!(row.tokens.last().copied(), tokenizer.eos_token());
    let bare = encode_prompt_completion(&tokenizer, "", "Once", false).unwrap();
    assert_eq!(bare.tokens.first().copied(), tokenizer.bos_token());
    assert_eq!(bare.step_weight[..2], [0.0, 1.0]);
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
            ChatTemplate::new(name, source, fixtures.tokenizer.special_tokens()).unwrap();
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
