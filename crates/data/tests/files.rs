//! Whole files that must be read right.
// The lint knows tests by their attribute, not their helpers.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use iwsft_data::{Columns, Content, MAX_DEPTH, Row, RowWriter, Text, read, read_objects};
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

fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    folder.join(name)
}

fn objects(name: &str) -> Vec<serde_json::Value> {
    read_objects(&fixture(name))
        .unwrap()
        .map(|row| row.unwrap().1.into_values().into())
        .collect()
}

#[test]
fn a_null_inside_a_struct_is_an_absent_key_but_for_the_content_of_a_message() {
    let call = |arguments| json!([{"name": "write", "arguments": arguments}]);
    let rows = objects("tools.parquet");
    let read = json!([{"name": "read", "arguments": {"path": "a.txt"}}]);
    for (row, calls, parameters) in [
        (&rows[0], read, json!({"path": {"type": "string"}})),
        (
            &rows[1],
            call(json!({"path": "b", "content": "c"})),
            json!({"path": {"type": "string"}, "content": {"type": "string"}}),
        ),
    ] {
        let answer = json!({"role": "assistant", "content": null, "tool_calls": calls});
        assert_eq!(row["messages"][1], answer);
        assert_eq!(row["tools"][0]["parameters"], parameters);
        assert_eq!(row["messages"][0].as_object().unwrap().len(), 2);
    }
}

#[test]
fn texts_of_json_type_are_what_they_say_wherever_they_stand() {
    let (of_json, of_structs) = (objects("json.parquet"), objects("tools.parquet"));
    for (json, structs) in of_json.iter().zip(&of_structs) {
        assert_eq!(json["messages"], structs["messages"]);
        assert_eq!(json["tools"], structs["tools"]);
    }
    // Where a text of JSON says null, it is said.
    assert_eq!(of_json[0]["of"], json!({"json": {"a": [1, null]}}));
    assert_eq!(of_json[1]["of"], json!({}));
    assert_eq!(
        read_all(&fixture("json.parquet"), &Columns::default()).len(),
        2
    );
}

#[test]
fn content_in_parts_has_the_keys_of_each_part() {
    let messages = objects("parts.parquet").remove(0)["messages"].take();
    let text = json!({"type": "text", "text": "What is this?"});
    let image = json!({"type": "image", "url": "x.png"});
    assert_eq!(messages[0]["content"], json!([text, image]));
    assert_eq!(messages[1]["content"], json!([text]));
}

#[test]
fn every_type_that_json_has_a_word_for_is_read() {
    let rows = objects("types.parquet");
    let text = "a text that is longer than twelve bytes";
    let expected = json!({
        "large_string": text, "string_view": text, "dictionary": text,
        "large_list": [1, null], "fixed_list": [1.5, 2.5], "list_view": ["a"],
        "map": {"a": 1, "b": null}, "unsigned": u64::MAX, "half": 1.5,
        "date": "2024-02-29", "seconds": "2024-02-29T12:30:01",
        "zone": "2024-02-29T12:30:01.500Z", "nanoseconds": "2024-02-29T12:30:01.500000001",
        "time": "12:30:01.500", "decimal": -12.5, "wide_decimal": 0.25,
        "whole_decimal": 9_007_199_254_740_993_i64, "none": null,
    });
    assert_eq!(rows[0], expected);
    let row = rows[1].as_object().unwrap();
    assert_eq!(row.len(), 18);
    assert!(row.values().all(serde_json::Value::is_null));
}

#[test]
fn numbers_pass_through_every_text_format_as_they_stand() {
    let folder = tempfile::tempdir().unwrap();
    let row = r#"{"x":10928588.983213553,"n":12345678901234567890123,"l":[1e-05,1.10,-0]}"#;
    let path = written(&folder, "a.jsonl", &format!("{row}\n"));
    for (from, name) in [
        (path, "b.jsonl"),
        (folder.path().join("b.jsonl"), "c.jsonl.gz"),
    ] {
        let to = folder.path().join(name);
        let mut writer = RowWriter::create(&to).unwrap();
        for object in read_objects(&from).unwrap() {
            writer.write(&object.unwrap().1).unwrap();
        }
        writer.finish().unwrap();
        let (_, object) = read_objects(&to).unwrap().next().unwrap().unwrap();
        assert_eq!(serde_json::to_string(&object).unwrap(), row, "{name}");
    }
    let list = written(&folder, "d.json", &format!("[\n{row}]"));
    let (_, object) = read_objects(&list).unwrap().next().unwrap().unwrap();
    assert_eq!(object.written("n").unwrap(), "12345678901234567890123");
    // Parquet has no type for all of them, and says so.
    let mut writer = RowWriter::create(&folder.path().join("e.parquet")).unwrap();
    let error = writer.write(&object).unwrap_err().to_string();
    for part in [
        "e.parquet: row 1",
        "`n`",
        "12345678901234567890123",
        ".jsonl",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn nothing_is_written_that_cannot_be_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let nested = |depth: usize| {
        let text = format!(
            "{{\"text\":{}1{}}}",
            "[".repeat(depth - 1),
            "]".repeat(depth - 1)
        );
        serde_json::from_str::<serde_json::Value>(&text)
    };
    let serde_json::Value::Object(deepest) = nested(MAX_DEPTH).unwrap() else {
        panic!("an object");
    };
    assert!(nested(MAX_DEPTH + 1).is_err());
    let mut deeper = deepest.clone();
    deeper["text"] = json!([deeper["text"].take()]);
    for name in ["a.jsonl", "a.jsonl.gz", "a.parquet"] {
        let path = folder.path().join(name);
        let mut writer = RowWriter::create(&path).unwrap();
        writer.write(&deepest.clone().into()).unwrap();
        let error = writer
            .write(&deeper.clone().into())
            .unwrap_err()
            .to_string();
        assert!(error.contains("128 deep; at most 127"), "{error}");
        let mut writer = RowWriter::create(&path).unwrap();
        writer.write(&deepest.clone().into()).unwrap();
        writer.finish().unwrap();
        let (_, object) = read_objects(&path).unwrap().next().unwrap().unwrap();
        assert_eq!(object.into_values(), deepest, "{name}");
    }
}

#[test]
fn what_stands_in_place_of_a_file_is_told() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";
    let wide = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
    let big = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_be_bytes).collect() };
    let folder = tempfile::tempdir().unwrap();
    let packed = |bytes: &[u8]| {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let row = "{\"text\": \"a\"}\n";
    let lfs = "is a Git LFS pointer, not the file: git lfs pull";
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("a.jsonl", pointer.into(), lfs),
        ("a.json", pointer.into(), lfs),
        ("a.csv", pointer.into(), lfs),
        ("a.parquet", pointer.into(), lfs),
        ("a.jsonl.gz", pointer.into(), lfs),
        ("b.jsonl", wide(row), "is text in UTF-16: save it as UTF-8"),
        ("b.json", big("[{}]"), "is text in UTF-16"),
        (
            "b.csv",
            wide("\u{feff}prompt,completion\n"),
            "is text in UTF-16",
        ),
        ("b.jsonl.gz", packed(&wide(row)), "is text in UTF-16"),
        (
            "c.jsonl",
            b"<!DOCTYPE html>\n<html>".to_vec(),
            "is a page of a web site (HTML)",
        ),
        ("d.jsonl", b"PK\x03\x04\x14\0".to_vec(), "is a ZIP archive"),
        ("e.jsonl", b"\xfd7zXZ\0\0".to_vec(), "is compressed with xz"),
        (
            "f.jsonl",
            b"\x28\xb5\x2f\xfd\x04".to_vec(),
            "is compressed with Zstandard",
        ),
        ("g.jsonl", packed(row.as_bytes()), "is compressed with gzip"),
        (
            "h.jsonl.gz",
            row.into(),
            "is not compressed with gzip, as the name says",
        ),
        ("i.jsonl", vec![0; 64], "begins with zero bytes"),
        (
            "j.jsonl",
            std::fs::read(fixture("rows.parquet")).unwrap(),
            "is a Parquet file",
        ),
    ];
    for (name, bytes, part) in cases {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        for error in [
            read(&path, &Columns::default()).err().unwrap(),
            read_objects(&path).err().unwrap(),
        ] {
            let message = error.to_string();
            let start = format!("{}: ", path.display());
            assert!(
                message.starts_with(&start) && message.contains(part),
                "{message}"
            );
        }
    }
}

#[test]
fn half_a_character_is_explained_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let whole = r#"{"text": "\ud83d\ude00 \\ud83d \u00e9"}"#;
    for (text, place) in [
        (r#"{"text": "cut \ud83d"}"#, "`\\ud83d` at column 15"),
        (r#"{"text": "\ude00 lone"}"#, "`\\ude00` at column 11"),
        (
            r#"{"text": "\ud83d\ude00\ud83d then"}"#,
            "`\\ud83d` at column 23",
        ),
        (r#"{"text": "\uD83Dx"}"#, "`\\uD83D` at column 11"),
        (r#"{"text": "\ud83d\n"}"#, "`\\ud83d` at column 11"),
    ] {
        let path = written(&folder, "a.jsonl", &format!("{whole}\n{text}\n"));
        let mut rows = read(&path, &Columns::default()).unwrap();
        let Content::Text(good) = rows.next().unwrap().unwrap().content else {
            panic!("a text");
        };
        assert_eq!(good, "😀 \\ud83d é");
        let error = rows.next().unwrap().unwrap_err().to_string();
        assert!(
            error.contains("a.jsonl:2: ") && error.contains(place),
            "{error}"
        );
        assert!(error.contains("half a character"), "{error}");
    }
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
