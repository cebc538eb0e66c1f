//! Whole files that must be read right.
// The lint knows tests by their attribute, not their helpers.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use iwsft_data::{Columns, Content, Row, Text, read};
use serde_json::json;

fn columns(names: serde_json::Value) -> Columns {
    serde_json::from_value(names).unwrap()
}

fn read_all(path: &Path, columns: &Columns) -> Vec<Row> {
    let rows = read(path, columns).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

fn written(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// Written by Apache Arrow's writer, see `fixtures/make_files.py`.
#[test]
fn parquet_gives_the_rows_that_json_would() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rows.parquet");
    let names = columns(json!({"messages": "conversation", "reward": "correct"}));
    let rows = read_all(&path, &names);
    let expected = [
        json!({"id": "7", "reward": 1.0, "score": 0.5, "ref_log_probs": [-0.5, -1.0], "messages": [
            {"role": "user", "content": "2 + 2?"},
            {"role": "assistant", "content": "4", "weight": 0.5},
        ]}),
        json!({"id": "8", "reward": 0.0, "messages": [
            {"role": "user", "content": "Größe? 漢字"},
            {"role": "assistant", "content": null,
             "tool_calls": [{"name": "add", "arguments": {"a": 2}}]},
            {"role": "tool", "content": ""},
        ]}),
        json!({"id": "9", "score": 2.0, "ref_log_probs": [-2.0], "messages": [
            {"role": "assistant", "content": "hm"},
        ]}),
    ];
    let found: Vec<serde_json::Value> = rows.iter().map(|row| row.to_object().into()).collect();
    assert_eq!(found, expected);
    let lines: Vec<u64> = rows.iter().map(|row| row.at.line).collect();
    assert_eq!(lines, [1, 2, 3]);
    assert!(rows[2].at.to_string().ends_with("rows.parquet: row 3"));
}

#[test]
fn lines_are_counted_through_blank_ones_and_both_kinds_of_line_end() {
    let folder = tempfile::tempdir().unwrap();
    let text = "\u{feff}{\"text\": \"a\"}\r\n\r\n  \n{\"text\": \"b\"}\n{\"text\": \"no end\"}";
    let rows = read_all(&written(&folder, "a.JSONL", text), &Columns::default());
    let lines: Vec<u64> = rows.iter().map(|row| row.at.line).collect();
    assert_eq!(lines, [1, 4, 5]);
    assert_eq!(rows[2].content, Content::Text("no end".to_owned()));
}

#[test]
fn a_list_may_be_laid_out_in_any_way() {
    let folder = tempfile::tempdir().unwrap();
    let text =
        "\u{feff}\n [{\"text\": \"] , [ \\\" }\"},{\"text\":\n\"b\"}\n\n,\n{\"text\": \"c\"} ]\n";
    let rows = read_all(&written(&folder, "a.json", text), &Columns::default());
    let found: Vec<_> = rows
        .into_iter()
        .map(|row| (row.at.line, row.content))
        .collect();
    let content = |text: &str| Content::Text(text.to_owned());
    assert_eq!(
        found,
        [
            (2, content("] , [ \" }")),
            (2, content("b")),
            (6, content("c"))
        ]
    );
}

#[test]
fn gzip_of_several_members_is_read_to_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let member = |text: &str| {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let path = folder.path().join("a.jsonl.gz");
    let bytes = [member("{\"text\": \"a\"}\n{\"te"), member("xt\": \"b\"}\n")].concat();
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(read_all(&path, &Columns::default()).len(), 2);
}

#[test]
fn real_graded_answers_are_read_whole() {
    let path = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/data/traces/scored_answers.jsonl.gz"
    ));
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return;
    }
    let names = columns(json!({
        "prompt": "problem", "completion": "completion", "reward": "reward"
    }));
    let mut right = 0;
    let mut count = 0;
    for row in read(path, &names).unwrap() {
        let row = row.unwrap();
        count += 1;
        assert_eq!(row.at.line, count);
        match row.reward {
            Some(1.0) => right += 1,
            Some(0.0) => {}
            other => panic!("{}: reward {other:?}", row.at),
        }
        let Content::PromptCompletion {
            prompt: Text::Plain(prompt),
            completion: Text::Plain(_),
        } = row.content
        else {
            panic!("{}", row.at);
        };
        assert!(!prompt.is_empty(), "{}", row.at);
    }
    assert_eq!(count, 13_352);
    assert!((1..count).contains(&right), "{right} of {count} are right");
}
