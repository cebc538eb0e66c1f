//! Where prompt and answer meet: tokens, text, and the token that ends a turn.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod small_tokenizers;

use std::collections::BTreeMap;

use iwsft_lm::{
    ChatTemplate, Following, LmError, Prompt, Reading, RenderOptions, Tokenizer, TurnFrame,
    encode_drawn, encode_messages, encode_prompt_completion, encode_text,
};
use proptest::prelude::*;
use serde_json::json;
use small_tokenizers::{KINDS, Kind};

fn spellings(tokenizer: &Tokenizer, tokens: &[u32]) -> Vec<String> {
    let spelling = |token: &u32| tokenizer.spelling(*token).unwrap();
    tokens.iter().map(spelling).collect()
}

/// The tokens of a row that carry loss.
fn learnt(tokenizer: &Tokenizer, prompt: &str, completion: &str) -> Vec<String> {
    let row = encode_prompt_completion(tokenizer, prompt, completion, false).unwrap();
    let weighted = row.tokens.iter().zip(&row.step_weight);
    let tokens: Vec<u32> = weighted
        .filter(|(_, weight)| **weight > 0.0)
        .map(|(token, _)| *token)
        .collect();
    spellings(tokenizer, &tokens)
}

#[test]
fn no_space_comes_before_a_completion_that_does_not_begin_with_one() {
    for (kind, spaced) in [
        (Kind::Prepend, "▁cd"),
        (Kind::First, "▁cd"),
        (Kind::Always, "▁cd"),
        (Kind::Bytes, "Ġcd"),
        (Kind::SpacedBytes, "Ġcd"),
    ] {
        let tokenizer = kind.tokenizer(true);
        assert_eq!(learnt(&tokenizer, "a:", " cd"), [spaced], "{kind:?}");
        assert_eq!(learnt(&tokenizer, "a:", "cd"), ["cd"], "{kind:?}");
        assert_eq!(learnt(&tokenizer, "a\n", "cd"), ["cd"], "{kind:?}");
        // Without a prompt the text begins there.
        let alone = spellings(&tokenizer, &tokenizer.encode("cd", false).unwrap());
        assert_eq!(learnt(&tokenizer, "", "cd"), alone, "{kind:?}");
    }
    let words = Kind::Words.tokenizer(true);
    assert_eq!(learnt(&words, "a", " cd"), ["cd"]);
    assert_eq!(learnt(&words, "a", "cd"), ["##cd"]);
}

#[test]
fn a_token_across_the_border_is_noted_and_the_prompt_keeps_its_own() {
    for (kind, prompt, completion, expected) in [
        (Kind::Prepend, "z ", "cd", "cd"),
        (Kind::First, "z ", "cd", "cd"),
        (Kind::Always, "z ", "cd", "cd"),
        (Kind::Bytes, "z ", "cd", "cd"),
        (Kind::SpacedBytes, "z ", "cd", "cd"),
        (Kind::Bytes, "za", "b", "b"),
        (Kind::Prepend, "za", "b", "b"),
        (Kind::Words, "a", "b", "##b"),
    ] {
        let tokenizer = kind.tokenizer(true);
        let alone = tokenizer.encode_opening(prompt).unwrap();
        let row = encode_prompt_completion(&tokenizer, prompt, completion, false).unwrap();
        assert!(row.straddles, "{kind:?}");
        assert!(row.tokens.starts_with(&alone), "{kind:?}");
        assert_eq!(
            learnt(&tokenizer, prompt, completion),
            [expected],
            "{kind:?}"
        );
        let free = encode_prompt_completion(&tokenizer, "z", completion, false).unwrap();
        assert!(!free.straddles, "{kind:?}");
    }
}

const PIECES: [&str; 14] = [
    " ", "a", "ab", "b", "cd", "c", "4", "0", ".", ":", "\n", "é", "😀", "h",
];

fn text(kind: Kind) -> impl Strategy<Value = String> {
    // This one knows no letter but its own, and nothing of line breaks.
    let pieces = if matches!(kind, Kind::Words | Kind::Pieces) {
        &PIECES[..10]
    } else {
        &PIECES[..]
    };
    let piece = prop::sample::select(pieces);
    prop::collection::vec(piece, 0..7).prop_map(|pieces| pieces.concat())
}

fn case() -> impl Strategy<Value = (Kind, String, String)> {
    let kind = prop::sample::select(&KINDS[..]);
    kind.prop_flat_map(|kind| (Just(kind), text(kind), text(kind)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_row_has_the_tokens_of_its_whole_text_behind_those_of_its_prompt(
        (kind, prompt, completion) in case()
    ) {
        let tokenizer = kind.tokenizer(true);
        let whole = tokenizer.encode_opening(&format!("{prompt}{completion}")).unwrap();
        let alone = Prompt::plain(&tokenizer, &prompt).unwrap();
        let Following { tokens, straddles } = alone.followed_by(&completion).unwrap();
        let all = [alone.tokens(), &tokens].concat();
        prop_assert_eq!(straddles, !whole.starts_with(alone.tokens()));
        if !straddles {
            prop_assert_eq!(&all, &whole);
        }
        // Either way it reads as the whole does, together and apart.
        let read = |tokens: &[u32]| tokenizer.decode(tokens, false).unwrap();
        prop_assert_eq!(read(&all), read(&whole));
        let behind = tokenizer.decode_behind(alone.tokens(), &tokens).unwrap();
        prop_assert_eq!(read(alone.tokens()) + &behind, read(&whole));
        // And the text alone says the same: drawn tokens go with it.
        let row = encode_drawn(&tokenizer, alone.tokens().to_vec(), &tokens, &behind, 1.0);
        prop_assert!(tokens.is_empty() || row.is_ok(), "{:?}", row);
    }

    #[test]
    fn tokens_that_are_read_one_by_one_read_as_they_do_together(
        kind in prop::sample::select(&KINDS[..]),
        prompt in prop::collection::vec(0u32..320, 0..12),
        tokens in prop::collection::vec(0u32..320, 0..24),
    ) {
        let tokenizer = kind.tokenizer(true);
        let mut reading = Reading::behind(&tokenizer, &prompt).unwrap();
        let mut seen = String::new();
        for token in &tokens {
            reading.push(*token).unwrap();
            prop_assert!(reading.text().starts_with(&seen), "what is read is not taken back");
            seen = reading.text().to_owned();
        }
        let whole = tokenizer.decode_behind(&prompt, &tokens).unwrap();
        prop_assert_eq!(seen + reading.open_text(), whole);
    }
}

#[test]
fn a_completion_reads_with_the_space_that_it_begins_with() {
    for kind in [Kind::Prepend, Kind::First, Kind::Always] {
        let tokenizer = kind.tokenizer(true);
        let token = |text: &str| tokenizer.token(text).unwrap();
        let read = |prompt: &str, tokens: &[u32]| {
            let prompt = tokenizer.encode_opening(prompt).unwrap();
            tokenizer.decode_behind(&prompt, tokens).unwrap()
        };
        let tokens = [token("▁a"), token("▁cd"), token("</s>")];
        assert_eq!(read("z", &tokens), " a cd", "{kind:?}");
        assert_eq!(read("", &tokens), "a cd", "a text begins there ({kind:?})");
        // Behind a special token, text begins where the tokenizer puts a space there.
        let behind = if kind == Kind::First { " a cd" } else { "a cd" };
        assert_eq!(read("z<turn>", &tokens), behind, "{kind:?}");
        assert_eq!(read("<turn>", &tokens), behind, "{kind:?}");
    }
}

#[test]
fn characters_of_several_bytes_read_whole_across_every_border() {
    let tokenizer = Kind::Prepend.tokenizer(true);
    let byte = |byte: u8| tokenizer.token(&format!("<0x{byte:02X}>")).unwrap();
    let prompt = tokenizer.encode_opening("z é").unwrap();
    let face: Vec<u32> = "😀".bytes().map(byte).collect();
    let read = |tokens: &[u32]| tokenizer.decode_behind(&prompt, tokens).unwrap();
    assert_eq!(read(&face), "😀");
    // An incomplete character spoils neither the prompt's bytes nor those before it.
    assert_eq!(read(&face[..2]), "\u{FFFD}\u{FFFD}");
    assert_eq!(
        read(&[&face[..], &face[..3]].concat()),
        "😀\u{FFFD}\u{FFFD}\u{FFFD}"
    );
    let mut reading = Reading::behind(&tokenizer, &prompt).unwrap();
    for (index, token) in face.iter().enumerate() {
        reading.push(*token).unwrap();
        assert_eq!(reading.text(), if index < 3 { "" } else { "😀" });
    }
    assert_eq!(reading.open_text(), "");
}

#[test]
fn drawn_tokens_go_with_the_text_that_they_read_as() {
    let tokenizer = Kind::Prepend.tokenizer(true);
    let prompt = tokenizer.encode_opening("z").unwrap();
    let drawn = [
        tokenizer.token("▁cd").unwrap(),
        tokenizer.token("a").unwrap(),
    ];
    let encode = |text: &str| encode_drawn(&tokenizer, prompt.clone(), &drawn, text, 1.0);
    for text in [" cda", " c", "", "cda", "c"] {
        // The last two are as older versions wrote them.
        let row = encode(text).unwrap();
        assert_eq!(row.tokens[prompt.len()..], drawn, "{text:?}");
    }
    for text in ["  cda", "da", " cdb", "xcda"] {
        let error = encode(text).unwrap_err();
        assert!(
            matches!(error, LmError::DrawnTokens { .. }),
            "{text:?} {error}"
        );
    }
}

#[test]
fn a_text_that_begins_with_the_begin_token_gets_no_second_one() {
    for kind in KINDS {
        let tokenizer = kind.tokenizer(true);
        let begin = tokenizer.bos_token().unwrap();
        let count = |tokens: &[u32]| tokens.iter().filter(|token| **token == begin).count();
        let text = encode_text(&tokenizer, "<s>ab cd</s>", true).unwrap();
        assert_eq!(
            (text.tokens[0], count(&text.tokens)),
            (begin, 1),
            "{kind:?}"
        );
        assert_eq!((text.step_weight[0], text.step_weight[1]), (0.0, 1.0));
        let row = encode_prompt_completion(&tokenizer, "<s>ab", " cd", true).unwrap();
        assert_eq!((row.tokens[0], count(&row.tokens)), (begin, 1), "{kind:?}");
        let bare = encode_prompt_completion(&tokenizer, "", "<s>ab", true).unwrap();
        assert_eq!(
            (bare.tokens[0], count(&bare.tokens)),
            (begin, 1),
            "{kind:?}"
        );
        // One that stands elsewhere stays.
        let inner = encode_text(&tokenizer, "ab<s>cd", true).unwrap();
        assert_eq!(
            (inner.tokens[0], count(&inner.tokens)),
            (begin, 2),
            "{kind:?}"
        );
    }
}

#[test]
fn white_space_that_a_template_writes_before_the_words_is_none_of_them() {
    let tokenizer = Kind::Prepend.tokenizer(true);
    let lead = |source: &str| {
        let template = template(source);
        let turn = TurnFrame::of(&tokenizer, &template, &RenderOptions::default()).unwrap();
        turn.lead
    };
    let turns = "{% for m in messages %}{% if m.role == 'user' %}{{ '[' + m.content + ']' }}\
        {% else %}{{ ' ' + m.content + '</s>' }}{% endif %}{% endfor %}";
    assert_eq!(lead(turns), " ");
    let prompted = format!("{turns}{{% if add_generation_prompt %}}{{{{ ' ' }}}}{{% endif %}}");
    assert_eq!(lead(&prompted), "");
    assert_eq!(lead(&turns.replace("' ' + m", "'think ' + m")), "");
    // The tokens have it all the same.
    let prompt = tokenizer.encode("<s>[z]", false).unwrap();
    let drawn = [tokenizer.token("▁cd").unwrap()];
    for words in [" cd", "cd"] {
        assert!(encode_drawn(&tokenizer, prompt.clone(), &drawn, words, 1.0).is_ok());
    }
}

fn template(source: &str) -> ChatTemplate {
    let special = BTreeMap::from([("eos_token".to_owned(), "</s>".to_owned())]);
    ChatTemplate::new(source, "a template", &special).unwrap()
}

#[test]
fn a_token_across_the_border_of_a_turn_is_noted() {
    let tokenizer = Kind::Bytes.tokenizer(true);
    let messages = |said: &str| {
        [
            json!({ "role": "user", "content": "c" }),
            json!({ "role": "assistant", "content": said }),
        ]
    };
    let source = "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% else %}\
        {{ 'z:' + m.content + '</s>' }}{% endif %}{% endfor %}\
        {% if add_generation_prompt %}{{ 'z:' }}{% endif %}";
    let template = template(source);
    let encode = |said: &str| {
        let options = RenderOptions::default();
        encode_messages(&tokenizer, &template, &messages(said), &[], &options).unwrap()
    };
    assert!(!encode(" cd").straddles);
    // There is a token `:.`, which is neither the prompt's nor the answer's.
    let row = encode(". cd");
    assert!(row.straddles);
    let at = row
        .tokens
        .iter()
        .position(|t| *t == tokenizer.token(":.").unwrap());
    assert_eq!(row.step_weight[at.unwrap()], 0.0);
}

#[test]
fn the_token_that_ends_turns_is_an_end_token_or_the_first_that_was_added() {
    let turn = |source: &str| {
        let tokenizer = Kind::Bytes.tokenizer(true);
        let turn = TurnFrame::of(&tokenizer, &template(source), &RenderOptions::default()).unwrap();
        turn.end.map(|token| tokenizer.spelling(token).unwrap())
    };
    let found = Some("<turn>".to_owned());
    let each = "{% for m in messages %}{{ m.role + ':' + m.content + '<turn>\n' }}{% endfor %}";
    assert_eq!(turn(each), found);
    // Whatever else the template needs, or writes behind the turn.
    let strict =
        "{% if messages[0].role != 'system' %}{{ raise_exception('no system') }}{% endif %}";
    assert_eq!(turn(&format!("{strict}{each}")), found);
    let parts = each.replace("m.content", "m.content[0].text");
    assert_eq!(turn(&parts), found);
    assert_eq!(turn(&format!("{each}{{{{ 'assistant:' }}}}")), found);
    // An end token of the model, text, or nothing at all ends the turn otherwise.
    let end = Some("</s>".to_owned());
    assert_eq!(turn(&each.replace("<turn>", "</s>")), end);
    assert_eq!(turn(&format!("{each}{{{{ eos_token }}}}")), end);
    assert_eq!(turn(&each.replace("<turn>", "<stop>")), None);
    assert_eq!(turn(&each.replace("<turn>\n", "")), None);
    assert_eq!(turn("{{ raise_exception('never') }}"), None);
}
