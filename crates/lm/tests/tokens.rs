//! Tokenizers, chat templates and plain rows, against transformers
//! (`scripts/fixtures/chat.py`) and published vectors.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod chat_fixtures;
mod small_tokenizers;

use std::collections::BTreeMap;
use std::fs;

use chat_fixtures::{Fixtures, list, options, read, shared};
use iwsft_lm::{
    ChatTemplate, LmError, RenderOptions, Tokenizer, encode_prompt_completion, encode_text,
};
use serde_json::{Value, json};
use small_tokenizers::{Kind, write};

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
fn a_template_that_does_not_parse_is_refused_with_its_line() {
    let error = ChatTemplate::new("ok\n{% for x %}", "broken.jinja", &BTreeMap::new()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("broken.jinja") && text.contains("line 2"),
        "{text}"
    );
}

#[test]
fn the_day_that_a_template_sees_can_be_fixed() {
    let template =
        ChatTemplate::new("{{ strftime_now('%d %b %Y') }}", "day", &BTreeMap::new()).unwrap();
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
fn a_plain_text_carries_loss_on_all_tokens_but_the_first() {
    let Fixtures { tokenizer, .. } = Fixtures::load();
    let row = encode_text(&tokenizer, "What is 2+2?", true).unwrap();
    assert_eq!(row.step_weight[0], 0.0);
    assert!(row.step_weight[1..].iter().all(|weight| *weight == 1.0));
    assert_eq!(row.tokens.last().copied(), tokenizer.eos_token());
    let error = encode_text(&tokenizer, "4", false).unwrap_err();
    assert!(matches!(error, LmError::MaskEmpty { .. }));
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

/// A tokenizer's folder with further files; its tokens end with 296.
fn declaring(files: &[(&str, Value)]) -> Result<Tokenizer, LmError> {
    let folder = Kind::Bytes.folder(true);
    for (name, value) in files {
        write(folder.path(), name, value);
    }
    Tokenizer::from_folder(folder.path())
}

fn token(text: &str, special: bool) -> Value {
    json!({ "content": text, "special": special, "normalized": false,
        "lstrip": false, "rstrip": false, "single_word": false })
}

#[test]
fn tokens_that_only_a_file_beside_the_tokenizer_declares_are_tokens() {
    let last = declaring(&[]).unwrap().vocabulary_len() as u32;
    let config = "tokenizer_config.json";
    let numbered = |id: u32| json!({ "eos_token": "</s>", "added_tokens_decoder": { id.to_string(): token("<tool>", true) } });
    let listed = |key: &str| json!({ "eos_token": "</s>", key: ["<turn>", "<tool>"] });
    for (files, special) in [
        (vec![(config, numbered(last))], true),
        (vec![(config, listed("additional_special_tokens"))], true),
        (vec![(config, listed("extra_special_tokens"))], true),
        (
            vec![(
                config,
                json!({ "extra_special_tokens": { "tool_token": "<tool>" } }),
            )],
            true,
        ),
        (
            vec![(
                "special_tokens_map.json",
                json!({ "additional_special_tokens": [token("<tool>", true)] }),
            )],
            true,
        ),
        (
            vec![("added_tokens.json", json!({ "<tool>": last, "</s>": 2 }))],
            false,
        ),
    ] {
        let tokenizer = declaring(&files).unwrap();
        let tokens = tokenizer.encode("ab<tool>cd", false).unwrap();
        assert_eq!(tokens[1..tokens.len() - 1], [last], "{files:?}");
        let text = tokenizer.decode(&tokens, false).unwrap();
        assert_eq!(
            text,
            if special { "abcd" } else { "ab<tool>cd" },
            "{files:?}"
        );
        let error = tokenizer
            .check_vocab_size(last as usize)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("<tool>") && error.contains(&last.to_string()),
            "{error}"
        );
    }
}

#[test]
fn a_token_of_the_vocabulary_that_a_file_declares_is_matched_as_a_whole() {
    let letters = declaring(&[]).unwrap().encode("dab", false).unwrap();
    assert_eq!(letters.len(), 2, "`d` and `ab`");
    let da = json!({ "added_tokens_decoder": { letters[0].to_string(): token("d", false) } });
    let tokenizer = declaring(&[("tokenizer_config.json", da)]).unwrap();
    assert_eq!(
        tokenizer.encode("cd", false).unwrap()[1],
        letters[0],
        "and no `cd`"
    );
}

#[test]
fn a_declared_token_that_contradicts_the_tokenizer_is_refused_with_both_sides() {
    let last = declaring(&[]).unwrap().vocabulary_len();
    let declare = |id: usize, text: &str| {
        let value = json!({ "added_tokens_decoder": { id.to_string(): token(text, true) } });
        declaring(&[("tokenizer_config.json", value)])
            .unwrap_err()
            .to_string()
    };
    for (id, text, said) in [
        (3, "<tool>", "its token 3 is \"<turn>\"".to_owned()),
        (9, "<turn>", "it has \"<turn>\" as token 3".to_owned()),
        (
            last + 4,
            "<tool>",
            format!("the next token that it can take up is {last}"),
        ),
    ] {
        let error = declare(id, text);
        assert!(error.contains("tokenizer_config.json"), "{error}");
        assert!(
            error.contains(&format!("\"{text}\" as token {id}")) && error.contains(&said),
            "{error}"
        );
    }
    let files = [("added_tokens.json", json!({ "<tool>": "one" }))];
    let error = declaring(&files).unwrap_err().to_string();
    assert!(error.contains("added_tokens.json"), "{error}");
}

#[test]
fn a_padding_token_without_a_row_in_the_model_is_none_and_an_end_token_must_exist() {
    let last = declaring(&[]).unwrap().vocabulary_len();
    let pad = |rows: usize| {
        let files = [
            ("tokenizer_config.json", json!({ "pad_token": "[PAD]" })),
            ("config.json", json!({ "vocab_size": rows })),
        ];
        declaring(&files).unwrap().pad_token()
    };
    assert_eq!(pad(last), None);
    assert_eq!(pad(last + 1), Some(last as u32));
    let files = [("tokenizer_config.json", json!({ "eos_token": "</t>" }))];
    let error = declaring(&files).unwrap_err().to_string();
    assert!(error.contains("</t>"), "{error}");
}

/// A small tokenizer's file with `change` made to it, in a folder.
fn changed(change: impl FnOnce(&mut Value)) -> tempfile::TempDir {
    let folder = Kind::Bytes.folder(true);
    let path = folder.path().join("tokenizer.json");
    let mut json: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut json);
    fs::write(path, json.to_string()).unwrap();
    folder
}

#[test]
fn a_regular_expression_that_gives_up_is_an_error_of_that_text() {
    let folder = changed(|json| {
        json["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
        ]});
    });
    let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
    let error = tokenizer.encode(&format!("{}!", "a".repeat(40)), false);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("gave up"), "{error}");
    assert!(tokenizer.encode("ab", false).is_ok());
}

#[test]
fn a_normaliser_that_multiplies_a_text_or_is_damaged_is_refused_at_opening() {
    let many = json!({"type": "Replace", "pattern": {"String": "1"}, "content": "1".repeat(64)});
    let normalizers = vec![many; 6];
    let folder = changed(|json| {
        json["normalizer"] = json!({"type": "Sequence", "normalizers": normalizers});
    });
    let error = Tokenizer::from_folder(folder.path())
        .unwrap_err()
        .to_string();
    assert!(error.contains("times longer"), "{error}");

    for map in ["", "AAAA", "/////w==", "not base64"] {
        let folder = changed(|json| {
            json["normalizer"] = json!({"type": "Precompiled", "precompiled_charsmap": map});
        });
        // A map may be broken in a way that only a text shows.
        let tokenizer = Tokenizer::from_folder(folder.path());
        let _ = tokenizer.and_then(|tokenizer| tokenizer.encode("a text", false));
    }
}

#[test]
fn a_token_beyond_the_vocabulary_is_found_at_opening() {
    let folder = changed(|json| {
        json["post_processor"] = json!({
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [99999], "tokens": ["<s>"]}},
        });
    });
    let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
    let size = tokenizer.vocabulary_len();
    let error = tokenizer.check_vocab_size(size).unwrap_err().to_string();
    assert!(error.contains("99999"), "{error}");
}
