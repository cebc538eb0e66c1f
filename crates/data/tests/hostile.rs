//! A folder of files that must each be refused with the right message, and
//! damaged bytes that must never bring the reader down.
// The lint knows tests by their attribute, not their helpers.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use iwsft_data::{Columns, DataError, read};
use proptest::prelude::*;

/// File, the line or row its message names ("" for the file as a whole), and
/// a part of what it says.
const REFUSED: &[(&str, &str, &str)] = &[
    ("binary_text.parquet", ": row 1", "`text` is binary"),
    ("binary_view.parquet", ": row 1", "`text` is binary"),
    ("blank.json", "", "holds no rows"),
    ("blank.jsonl", "", "holds no rows"),
    ("brackets.json", ":1", "column 15 (trailing characters)"),
    (
        "broken_json.parquet",
        ": row 1",
        "`text` is a column of JSON by its type, but not JSON (EOF",
    ),
    ("broken.json", ":1", "column 26 (expected value)"),
    (
        "broken.jsonl",
        ":3",
        "column 17 (EOF while parsing a string)",
    ),
    ("comma_at_end.json", ":4", "a comma stands before"),
    (
        "content_number.jsonl",
        ":1",
        "`messages[0].content` is the number 4",
    ),
    ("cut.jsonl", ":2", "EOF while parsing a string"),
    ("cut.jsonl.gz", ":982", "may be cut off"),
    ("cut.parquet", "", "Corrupt footer"),
    ("deep.jsonl", ":1", "recursion limit exceeded"),
    ("element_number.json", ":1", "the row is the number 7"),
    ("empty.jsonl", "", "holds no rows"),
    ("fixed_binary.parquet", ": row 1", "`text` is binary"),
    ("footer_only.parquet", "", "not readable as Parquet"),
    ("from_and_value.jsonl", ":1", "narrator"),
    ("id_bool.jsonl", ":1", "`id` is the bool true"),
    (
        "infinite_in_list.jsonl",
        ":1",
        "`ref_log_probs` is Infinity",
    ),
    (
        "infinite_in_list.parquet",
        ": row 1",
        "`ref_log_probs[1]` is -inf",
    ),
    ("infinite_reward.jsonl", ":1", "`reward` is -Infinity"),
    ("latin1.jsonl", ":2", "byte 14 of the row is not UTF-8"),
    ("lines.json", ":1", "name it .jsonl"),
    (
        "long_decimal.parquet",
        ": row 1",
        "`text` is the decimal 12345678901234567890.5, which has more digits",
    ),
    (
        "map_of_numbers.parquet",
        ": row 1",
        "`text` is a map whose keys are no text",
    ),
    (
        "message_text.jsonl",
        ":1",
        "`messages[0]` is the string \"hello\"",
    ),
    (
        "messages_text.jsonl",
        ":1",
        "`messages` is the string \"hello\"",
    ),
    (
        "mixed_pair.jsonl",
        ":1",
        "`completion` is a list of 1, expected a string",
    ),
    (
        "mixed_pair_reversed.jsonl",
        ":1",
        "expected a list of messages, as the prompt",
    ),
    ("nan_score.json", ":5", "`score` is NaN"),
    ("nan_score.jsonl", ":2", "`score` is NaN"),
    ("nan_score.parquet", ": row 2", "`score` is NaN"),
    (
        "negative_message_weight.jsonl",
        ":1",
        "`messages[1].weight` is -2",
    ),
    ("negative_score.jsonl", ":1", "`score` is -0.25"),
    ("negative_weight.jsonl", ":1", "`weight` is -1"),
    ("no_columns.jsonl", ":1", "(its columns: none)"),
    ("no_comma.json", ":3", "broken JSON at column 3"),
    (
        "no_completion.jsonl",
        ":1",
        "has `prompt` but no `completion`",
    ),
    (
        "no_content.jsonl",
        ":1",
        "`messages[1]` has no content and no tool_calls",
    ),
    ("no_extension", "", "the name has no extension"),
    ("no_messages.jsonl", ":1", "`messages` is an empty list"),
    ("no_prompt.jsonl", ":1", "has `completion` but no `prompt`"),
    (
        "no_prompt_messages.jsonl",
        ":1",
        "`prompt` is an empty list",
    ),
    ("no_role.jsonl", ":1", "`messages[0]` has no role"),
    ("no_rows.json", "", "holds no rows"),
    ("no_rows.parquet", "", "holds no rows"),
    (
        "no_tool_calls.jsonl",
        ":1",
        "its fields: role, content (null), tool_calls",
    ),
    ("null_text.parquet", ": row 2", "its columns: text (null)"),
    (
        "nulls.jsonl",
        ":1",
        "its columns: text (null), messages (null)",
    ),
    ("other_columns.jsonl", ":1", "its columns: question, answer"),
    ("other_columns.parquet", "", "its columns: question"),
    (
        "pair_and_text.jsonl",
        ":1",
        "columns = { prompt = \"prompt\" }",
    ),
    ("pair_numbers.jsonl", ":1", "`prompt` is the number 1"),
    (
        "ref_log_probs_null.jsonl",
        ":1",
        "`ref_log_probs[1]` is null",
    ),
    (
        "ref_log_probs_text.jsonl",
        ":1",
        "expected a list of numbers",
    ),
    ("reward_text.jsonl", ":1", "expected a number or a bool"),
    (
        "role_number.jsonl",
        ":1",
        "`messages[0].role` is the number 3",
    ),
    ("row_list.jsonl", ":1", "the row is a list of 2"),
    ("row_number.jsonl", ":1", "the row is the number 42"),
    ("rows.xlsx", "", "the name has the extension .xlsx"),
    ("score_bool.jsonl", ":1", "`score` is the bool true"),
    (
        "score_text.jsonl",
        ":2",
        "`score` is the string \"0.5\", expected a number",
    ),
    ("text.jsonl.gz", "", "is not compressed with gzip"),
    ("text.parquet", "", "not readable as Parquet"),
    ("text_behind.json", ":2", "text follows the list"),
    ("text_number.json", ":3", "`text` is the number 5"),
    ("text_object.jsonl", ":1", "`text` is an object"),
    (
        "too_large_for_32_bits.jsonl",
        ":1",
        "`score` is 1e+300 (too large",
    ),
    ("too_large_for_json.jsonl", ":1", "number out of range"),
    ("tools_text.jsonl", ":1", "`tools` is the string \"[{\""),
    ("two_forms.jsonl", ":1", "has both `messages` and `prompt`"),
    (
        "two_on_a_line.jsonl",
        ":1",
        "column 15 (trailing characters)",
    ),
    ("unclosed.json", ":2", "the file ends inside the list"),
    ("utf16.jsonl", "", "is text in UTF-16: save it as UTF-8"),
    ("weight_list.jsonl", ":1", "`weight` is a list of 1"),
];

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn first_error(path: &Path) -> Option<DataError> {
    match read(path, &Columns::default()) {
        Err(error) => Some(error),
        Ok(mut rows) => rows.find_map(Result::err),
    }
}

#[test]
fn every_hostile_file_is_refused_where_and_as_expected() {
    let folder = tests().join("hostile");
    let mut expected: BTreeMap<_, _> = REFUSED
        .iter()
        .map(|&(name, place, part)| (name, (place, part)))
        .collect();
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let path = folder.join(&name);
        let Some((place, part)) = expected.remove(name.as_str()) else {
            wrong.push(format!("{name}: not in the table"));
            continue;
        };
        let message = match first_error(&path) {
            Some(error) => error.to_string(),
            None => "no error".to_owned(),
        };
        let start = format!("{}{place}: ", path.display());
        if !message.starts_with(&start) || !message.contains(part) {
            wrong.push(format!("{name}: {message}"));
        }
    }
    wrong.extend(expected.keys().map(|name| format!("{name}: missing")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_missing_file_and_a_folder_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.jsonl");
    assert!(matches!(
        first_error(&missing),
        Some(DataError::Open { path, .. }) if path == missing
    ));
    let inner = folder.path().join("folder.jsonl");
    std::fs::create_dir(&inner).unwrap();
    assert!(matches!(
        first_error(&inner),
        Some(DataError::Folder { path }) if path == inner
    ));
}

#[test]
fn rows_behind_a_bad_line_can_still_be_read() {
    let path = tests().join("hostile/broken.jsonl");
    let rows = read(&path, &Columns::default()).unwrap();
    let good: Vec<bool> = rows.map(|row| row.is_ok()).collect();
    assert_eq!(good, [true, false, true]);
}

/// Reads to the end whatever comes, and returns how many items there were.
fn drain(name: &str, bytes: &[u8], columns: &Columns) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    match read(&path, columns) {
        Ok(rows) => rows.count(),
        Err(_) => 1,
    }
}

/// Pieces of JSON, so that random bytes get past the first character.
fn json_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        proptest::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"",
            "\\",
            "\n",
            " ",
            "NaN",
            "-",
            "1e999",
            "null",
            "true",
            "\"text\"",
            "\"messages\"",
            "\"role\"",
            "\"content\"",
            "\"prompt\"",
            "\"score\"",
            "é",
        ])
        .prop_map(|piece| piece.as_bytes().to_vec()),
        any::<u8>().prop_map(|byte| vec![byte]),
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

proptest! {
    #[test]
    fn arbitrary_bytes_give_rows_or_errors_and_never_silence(bytes in json_like()) {
        for name in ["a.jsonl", "a.json", "a.jsonl.gz", "a.parquet"] {
            prop_assert!(drain(name, &bytes, &Columns::default()) >= 1);
        }
        for name in ["a.jsonl.gz", "a.json.gz"] {
            prop_assert!(drain(name, &compressed(&bytes), &Columns::default()) >= 1);
        }
    }

    #[test]
    fn damaged_parquet_gives_rows_or_an_error(
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = std::fs::read(tests().join("fixtures/rows.parquet")).unwrap();
        let columns = Columns { messages: Some("conversation".to_owned()), ..Columns::default() };
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        prop_assert!(drain("a.parquet", &bytes, &columns) >= 1);
    }

    #[test]
    fn damaged_gzip_gives_rows_or_an_error(
        place: proptest::sample::Index,
        byte: u8,
    ) {
        let mut bytes = compressed("{\"text\": \"some text\"}\n".repeat(50).as_bytes());
        let place = place.index(bytes.len());
        bytes[place] = byte;
        prop_assert!(drain("a.jsonl.gz", &bytes, &Columns::default()) >= 1);
    }
}
