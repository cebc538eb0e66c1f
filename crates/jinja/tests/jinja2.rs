//! Small templates, compared with what transformers' Jinja2 makes of them
//! (`scripts/fixtures/jinja.py`).

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use iwsft_jinja::{JinjaError, RenderOptions, Template};
use serde_json::{Map, Value, json};

fn fixture() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/cases.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn render(source: &str, context: &Map<String, Value>) -> Result<String, JinjaError> {
    Template::parse(source)?.render(context, &RenderOptions::default())
}

#[test]
fn small_templates_give_the_text_of_jinja2_or_fail_where_it_fails() {
    let fixture = fixture();
    let context = fixture["context"].as_object().unwrap();
    let cases = fixture["cases"].as_array().unwrap();
    assert!(cases.len() > 1100, "{} cases", cases.len());
    let mut different = Vec::new();
    for case in cases {
        let source = case["source"].as_str().unwrap();
        let found = render(source, context);
        if found.as_deref().ok() != case["text"].as_str() {
            different.push(format!("{source:?}\n  {:?}\n  {found:?}", case["text"]));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn what_stands_in_generation_comes_out_between_marks_where_they_are_asked_for() {
    let template = Template::parse(
        "a{% generation %}b{{ 1 }}{% endgeneration %}c{% set x %}{% generation %}d{% endgeneration %}{% endset %}{{ x }}",
    )
    .unwrap();
    assert!(template.marks_generation());
    let context = Map::new();
    let plain = template.render(&context, &RenderOptions::default());
    assert_eq!(plain.unwrap(), "ab1cd");
    let options = RenderOptions {
        marks: Some(('<', '>')),
        ..RenderOptions::default()
    };
    assert_eq!(template.render(&context, &options).unwrap(), "a<b1>c<d>");
    for source in [
        "{# {% generation %} #}",
        "{{ '{% generation %}' }}",
        "{% raw %}{% generation %}{% endraw %}",
        "{% set generation = 1 %}",
    ] {
        assert!(!Template::parse(source).unwrap().marks_generation());
    }
}

#[test]
fn the_time_that_a_template_sees_can_be_fixed() {
    let options = RenderOptions {
        now: Some(jiff::civil::date(2024, 7, 26).at(0, 0, 0, 0)),
        ..RenderOptions::default()
    };
    let template = Template::parse("{{ strftime_now('%d %b %Y') }}").unwrap();
    assert_eq!(
        template.render(&Map::new(), &options).unwrap(),
        "26 Jul 2024"
    );
}

#[test]
fn errors_say_where_and_what_much_as_python_does() {
    let context = json!({ "d": { "a": 1 }, "nil": null });
    let context = context.as_object().unwrap();
    for (source, line, reason) in [
        ("a\n{{ x.y }}", 2, "'x' is undefined"),
        ("{{ d.b.c }}", 1, "'dict object' has no attribute 'b'"),
        ("{{ 'a' + 1 }}", 1, "'str' and 'int'"),
        (
            "\n\n{% for i in nil %}{% endfor %}",
            3,
            "'NoneType' object is not iterable",
        ),
        ("{{ d.update({}) }}", 1, "unsafe"),
        ("{{ 1 | nope }}", 1, "No filter named 'nope'"),
        ("{% for x %}", 1, "expected `in`"),
        ("a\n{% if 1 %}", 2, "ends before"),
        ("{% include 'x' %}", 1, "one file"),
    ] {
        let error = render(source, context).unwrap_err().to_string();
        assert!(error.contains(&format!("line {line}")), "{source}: {error}");
        assert!(error.contains(reason), "{source}: {error}");
    }
    let raised = render("{{ raise_exception('no ' ~ 1) }}", context).unwrap_err();
    assert!(matches!(raised, JinjaError::Raised { message } if message == "no 1"));
}

#[test]
fn templates_are_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Template>();
}
