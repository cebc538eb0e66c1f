//! Templates that would run without end, take all memory or overflow the stack: each is
//! an error with the template's name, within moments.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use iwsft_lm::{ChatTemplate, LmError, RenderOptions};
use serde_json::json;

/// What becomes of a template; no template may take long.
fn outcome(name: &str, source: &str) -> Result<String, LmError> {
    let start = Instant::now();
    let result = ChatTemplate::new(source, name, &BTreeMap::new()).and_then(|template| {
        let messages = [
            json!({ "role": "user", "content": "2+2?" }),
            json!({ "role": "assistant", "content": "4" }),
        ];
        template.render(&messages, false, &RenderOptions::default())
    });
    let took = start.elapsed();
    assert!(took < Duration::from_secs(30), "{name} took {took:?}");
    result
}

/// Asserts that a template is refused, with its name and a reason.
fn refused(name: &str, source: &str) {
    match outcome(name, source) {
        Err(LmError::Template { template, reason }) => {
            assert_eq!(template, name);
            assert!(
                !reason.is_empty() && reason.len() < 1000,
                "{name}: {reason}"
            );
        }
        Ok(text) => panic!("{name}: {} bytes", text.len()),
        Err(error) => panic!("{name}: {error}"),
    }
}

#[test]
fn templates_that_loop_without_end_run_out_of_steps() {
    for (name, source) in [
        (
            "nested loops",
            "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
        ),
        (
            "macros",
            "{% macro m(n) %}{% if n > 0 %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
        ),
        (
            "a macro without end",
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        ),
        (
            "recursive loop",
            "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        ),
        ("long range", "{{ range(1000000000000) | list | length }}"),
        (
            "sorting",
            "{% for i in range(100000) %}{% for j in range(100000) | sort(reverse=true) %}{% endfor %}{% endfor %}",
        ),
    ] {
        refused(name, source);
    }
}

#[test]
fn templates_that_want_all_memory_are_stopped_before_they_take_it() {
    for (name, source) in [
        ("width", "{{ '%1000000000d' | format(1) }}"),
        ("operator", "{{ 'x' * 10 ** 9 }}"),
        ("list", "{{ ([1] * 10 ** 9) | list | length }}"),
        ("center", "{{ 'x' | center(10 ** 9) }}"),
        (
            "indent",
            "{{ 'x\\ny' | indent(10 ** 9) | length }}{{ 'x\\ny' | indent(10 ** 9) }}",
        ),
        (
            "doubling",
            "{% set ns = namespace(x='x') %}{% for i in range(100) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        ),
        (
            "doubling by join",
            "{% set ns = namespace(x='xx') %}{% for i in range(100) %}{% set ns.x = ns.x | join(ns.x) %}{% endfor %}",
        ),
        (
            "doubling by replace",
            "{% set ns = namespace(x='xxxxxxxx') %}{% for i in range(100) %}{% set ns.x = ns.x | replace('x', ns.x) %}{% endfor %}",
        ),
        (
            "output",
            "{% for i in range(100000) %}{% for j in range(1000) %}{{ 'a long text that is written again and again' }}{% endfor %}{% endfor %}",
        ),
    ] {
        refused(name, source);
    }
}

#[test]
fn templates_that_nest_without_end_do_not_overflow_the_stack() {
    let many = |piece: &str| piece.repeat(100_000);
    for (name, source) in [
        ("not", format!("{{{{ {}1 }}}}", many("not "))),
        ("minus", format!("{{{{ {}1 }}}}", many("- "))),
        ("signs", format!("{{{{ {}1 }}}}", many("-"))),
        (
            "parentheses",
            format!("{{{{ {}1{} }}}}", many("("), many(")")),
        ),
        ("brackets", format!("{{{{ {}1{} }}}}", many("["), many("]"))),
        (
            "braces",
            format!("{{{{ {}1{} }}}}", many("{'a':"), many("}")),
        ),
        ("sum", format!("{{{{ {}1 }}}}", many("1+"))),
        ("tildes", format!("{{{{ {}1 }}}}", many("1~"))),
        ("filters", format!("{{{{ 1{} }}}}", many("|int"))),
        ("attributes", format!("{{{{ a{} }}}}", many(".a"))),
        ("choices", format!("{{{{ {}1 }}}}", many("1 if 0 else "))),
        ("tests", format!("{{{{ 1{} }}}}", many(" is number"))),
        ("ifs", many("{% if 1 %}") + &many("{% endif %}")),
        ("loops", many("{% for i in [1] %}") + &many("{% endfor %}")),
        (
            "elifs",
            format!("{{% if 0 %}}{}{{% endif %}}", many("{% elif 0 %}")),
        ),
        ("sets", many("{% set x %}") + &many("{% endset %}")),
        ("a large source", "x".repeat(3 << 20)),
    ] {
        refused(name, &source);
    }
}

#[test]
fn values_that_contain_themselves_do_not_overflow_the_stack() {
    for (name, source) in [
        (
            "printed",
            "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}",
        ),
        (
            "json",
            "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns | tojson }}",
        ),
        (
            "lists",
            "{% set ns = namespace(x=[]) %}{% for i in range(100000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}",
        ),
    ] {
        // Whether that is an error or some text does not matter, as long as it ends.
        if let Ok(text) = outcome(name, source) {
            assert!(text.len() < 1000, "{name}");
        }
    }
}

#[test]
fn what_templates_do_every_day_is_far_from_the_bounds() {
    let source = "{% set ns = namespace(found=false, text='') %}{% for m in messages %}\
        {% for other in messages[loop.index:] %}{% if other.role == 'tool' %}{% set ns.found = true %}{% endif %}{% endfor %}\
        {% set ns.text = ns.text + m.role + '\n' + (m.content | trim) %}{% endfor %}{{ ns.text }}";
    let template = ChatTemplate::new(source, "quadratic", &BTreeMap::new()).unwrap();
    let messages: Vec<_> = (0..600)
        .map(|i| json!({ "role": "user", "content": format!("message {i} with some words") }))
        .collect();
    let text = template
        .render(&messages, false, &RenderOptions::default())
        .unwrap();
    assert!(text.ends_with("message 599 with some words"));
}
