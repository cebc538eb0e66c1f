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
        ("calls", format!("{{{{ {}1{} }}}}", many("a("), many(")"))),
        ("indices", format!("{{{{ {}1{} }}}}", many("a["), many("]"))),
        ("attributes", format!("{{{{ a{} }}}}", many(".a"))),
        ("choices", format!("{{{{ {}1 }}}}", many("1 if 0 else "))),
        ("conditions", format!("{{{{ 1{} }}}}", many(" if 1"))),
        (
            "targets",
            format!("{{% set {}a{} = 1 %}}", many("("), many(")")),
        ),
        ("ifs", many("{% if 1 %}") + &many("{% endif %}")),
        ("loops", many("{% for i in [1] %}") + &many("{% endfor %}")),
        ("sets", many("{% set x %}") + &many("{% endset %}")),
        ("a large source", "x".repeat(3 << 20)),
    ] {
        refused(name, &source);
    }
}

#[test]
fn long_chains_are_no_nesting() {
    let many = |piece: &str| piece.repeat(50_000);
    for (name, source, expected) in [
        ("sum", format!("{{{{ {}1 }}}}", many("1+")), "50001"),
        ("filters", format!("{{{{ 1{} }}}}", many("|int")), "1"),
        ("and", format!("{{{{ {}1 }}}}", many("1 and ")), "1"),
        ("less", format!("{{{{ {}1 }}}}", many("1 <= ")), "True"),
        (
            "elifs",
            format!("{{% if 0 %}}{}{{% endif %}}", many("{% elif 0 %}")),
            "",
        ),
        (
            "tildes",
            format!("{{{{ ({}'') | length }}}}", many("1~")),
            "50000",
        ),
    ] {
        assert_eq!(outcome(name, &source).unwrap(), expected, "{name}");
    }
}

#[test]
fn calls_without_end_fit_a_small_stack_whatever_stands_around_them() {
    let around = |open: &str, close: &str| {
        let call = format!("{}m(){}", open.repeat(80), close.repeat(80));
        format!("{{% macro m() %}}{{{{ {call} }}}}{{% endmacro %}}{{{{ m() }}}}")
    };
    let block = |open: &str, close: &str| {
        let call = format!("{}{{{{ m() }}}}{}", open.repeat(80), close.repeat(80));
        format!("{{% macro m() %}}{call}{{% endmacro %}}{{{{ m() }}}}")
    };
    let sources = [
        around("[", "]"),
        around("(1, ", ")"),
        around("{1: ", "}"),
        around("not ", ""),
        around("(1 + ", ")"),
        around("('a' ~ ", ")"),
        around("(1 < ", ")"),
        around("(0 or ", ")"),
        around("(1 if 1 else 1 if ", " else 2)"),
        around("[1][", "]"),
        around("dict(a=", ")"),
        around("(1 | default(", "))"),
        around("(1 is eq(", "))"),
        block("{% if 1 %}", "{% endif %}"),
        block("{% for i in [1] %}", "{% endfor %}"),
        block("{% set x %}", "{% endset %}{{ x }}"),
        block("{% filter upper %}", "{% endfilter %}"),
        block("{% with %}", "{% endwith %}"),
        block("{% generation %}", "{% endgeneration %}"),
        "{% macro n() %}{{ caller() }}{% endmacro %}{% macro m() %}{% call n() %}{{ m() }}{% endcall %}{% endmacro %}{{ m() }}".into(),
        "{% macro m() %}{% for x in [1] recursive %}{{ loop([1]) }}{{ m() }}{% endfor %}{% endmacro %}{{ m() }}".into(),
        "{% macro m() %}{{ [1] | map('default', m()) | list }}{% endmacro %}{{ m() }}".into(),
    ];
    // Threads of the encoder have 2 MiB.
    let small = std::thread::Builder::new().stack_size(3 << 19);
    let all = small.spawn(move || {
        for (index, source) in sources.iter().enumerate() {
            refused(&format!("call {index}"), source);
        }
    });
    all.unwrap().join().unwrap();
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
