//! Renderings compared with Jinja2's, as far as the shared data is present.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{NAME, environment, generation_tag, python};

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
    let (source, _) = generation_tag::replace(source);
    // The day on which the reference renderings were made.
    let mut environment = environment::on_day(&environment::hugging_face(false), "2024-07-26")
        .map_err(|error| error.to_string())?;
    environment
        .add_template_owned(NAME, source)
        .map_err(|error| format!("{error:#}"))?;
    let template = environment.get_template(NAME).unwrap();
    template
        .render(python::from_json(data))
        .map_err(|error| format!("{error:#}"))
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

#[test]
fn the_tag_is_rewritten_as_a_tag_and_left_alone_elsewhere() {
    let rewritten = |source: &str| generation_tag::replace(source).0;
    assert_eq!(
        rewritten("a {%- generation -%} b {%+ endgeneration %} c"),
        "a {%- filter __generation %}{% with -%} b {%+ endwith %}{% endfilter %} c"
    );
    for untouched in [
        "{# {% generation %} #}",
        "{{ '{% generation %}' }}",
        r#"{% if x == "a\"{% generation %}" %}{% endif %}"#,
        "{% raw %}{% generation %}{% endraw %}",
        "{% set generation = 1 %}{ % generation % }",
        "{% generation",
        "{",
        "é{é",
    ] {
        assert_eq!(
            generation_tag::replace(untouched),
            (untouched.into(), false)
        );
    }
}

#[test]
fn what_stands_in_the_tag_comes_out_between_marks_only_when_asked() {
    let (source, found) = generation_tag::replace("a{% generation %}b{{ 1 }}{% endgeneration %}c");
    assert!(found);
    for (marking, expected) in [(false, "ab1c"), (true, "a\u{10FFFC}b1\u{10FFFD}c")] {
        let mut environment = environment::hugging_face(marking);
        environment
            .add_template_owned(NAME, source.clone())
            .unwrap();
        let text = environment.get_template(NAME).unwrap().render(()).unwrap();
        assert_eq!(text, expected);
    }
}
