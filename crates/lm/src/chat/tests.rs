//! Renderings compared with Jinja2's, as far as the shared data is present.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use std::fs;
use std::path::PathBuf;

use iwsft_jinja::{RenderOptions, Template};
use serde_json::{Value, json};

fn shared(path: &str) -> Option<String> {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data"));
    let text = fs::read_to_string(root.join(path)).ok();
    if text.is_none() {
        eprintln!("skipped: shared data {path} is absent");
    }
    text
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Renders with exactly the variables in `data`.
fn render(source: &str, data: &Value) -> Result<String, String> {
    let options = RenderOptions {
        // The day on which the reference renderings were made.
        now: Some(super::midnight("2024-07-26").unwrap()),
        ..RenderOptions::default()
    };
    Template::parse(source)
        .and_then(|template| template.render(data.as_object().unwrap(), &options))
        .map_err(|error| error.to_string())
}

/// Where the rendering of a row parts from its target, if it does.
fn difference(row: &Value, found: &Result<String, String>) -> Option<String> {
    let target = row["target"].as_str().unwrap();
    match found {
        Ok(found) if found == target => None,
        Ok(found) => {
            let same = found
                .chars()
                .zip(target.chars())
                .take_while(|(f, t)| f == t);
            let at: usize = same.map(|(f, _)| f.len_utf8()).sum();
            let end = |text: &str| text[at..].chars().take(80).collect::<String>();
            Some(format!(
                "{}: {:?} instead of {:?}",
                row["id"],
                end(found),
                end(target)
            ))
        }
        Err(error) => Some(format!("{}: {error}", row["id"])),
    }
}

#[test]
fn the_renderings_of_well_known_templates_are_those_of_jinja2() {
    let (Some(templates), Some(rows)) = (
        shared("chat/chat_templates.json"),
        shared("chat/chat_goldens_jinja2.jsonl"),
    ) else {
        return;
    };
    let templates: Value = serde_json::from_str(&templates).unwrap();
    let mut failures = Vec::new();
    let rows = lines(&rows);
    for row in &rows {
        let source = templates[row["template"].as_str().unwrap()]
            .as_str()
            .unwrap();
        failures.extend(difference(row, &render(source, &row["data"])));
    }
    assert!(rows.len() >= 156, "only {} rows", rows.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_vectors_of_hugging_face_render_as_jinja2_renders_them() {
    let Some(rows) = shared("chat/chat_vectors_hf_jinja.jsonl") else {
        return;
    };
    let mut failures = Vec::new();
    for row in lines(&rows) {
        // Three targets are huggingface.js's own: it writes tools as JSON where Python
        // writes `str()`, reads a day of its own, and knows no `{% generation %}`.
        if row["jinja2_agrees"] != json!(true) {
            continue;
        }
        let found = render(row["chat_template"].as_str().unwrap(), &row["data"]);
        failures.extend(difference(&row, &found));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
