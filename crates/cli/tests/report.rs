//! `iwsft report`: the page is whole, needs nothing else, and shows what is there.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod fixture;

use fixture::{Workplace, number};
use roxmltree::{Document, Node, ParsingOptions};
use serde_json::json;

/// The page of a report, which must be well-formed XML.
fn parse(page: &str) -> Document<'_> {
    let options = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    Document::parse_with_options(page, options).unwrap_or_else(|error| panic!("{error}"))
}

fn element<'a>(page: &'a Document<'_>, id: &str) -> Option<Node<'a, 'a>> {
    page.descendants()
        .find(|node| node.attribute("id") == Some(id))
}

/// All text below a node.
fn text(node: Node<'_, '_>) -> String {
    node.descendants()
        .filter(Node::is_text)
        .filter_map(|each| each.text())
        .collect()
}

/// Everything that must hold for any report.
fn assert_sound(page: &str) {
    let document = parse(page);
    for node in document.descendants() {
        for attribute in node.attributes() {
            let (name, value) = (attribute.name(), attribute.value());
            assert!(!["src", "href", "action"].contains(&name), "{name}={value}");
            assert!(!name.starts_with("on"), "{name}={value}");
            if name == "d" {
                let numbers = value.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-'));
                for number in numbers.filter(|number| !number.is_empty()) {
                    let number: f64 = number
                        .parse()
                        .unwrap_or_else(|_| panic!("{number} in {value}"));
                    assert!((-2000.0..=4000.0).contains(&number), "{number}");
                }
                assert!(value.starts_with('M') || value.is_empty(), "{value}");
            }
            if name == "data-readout" && !value.is_empty() {
                let data: serde_json::Value = serde_json::from_str(value).unwrap();
                let places = data["x"].as_array().unwrap().len();
                for row in data["rows"].as_array().unwrap() {
                    assert_eq!(row["y"].as_array().unwrap().len(), places);
                }
            }
        }
        let name = node.tag_name().name();
        assert!(
            !["link", "img", "iframe", "object", "base"].contains(&name),
            "<{name}>"
        );
    }
    for loads in [
        "url(",
        "@import",
        "fetch(",
        "XMLHttpRequest",
        "NaN",
        "inf\"",
    ] {
        assert!(!page.contains(loads), "{loads}");
    }
    // The only address is the name of the markup language.
    assert_eq!(page.matches("http").count(), 1);
    assert!(page.contains("prefers-color-scheme: dark"));
    for figure in document
        .descendants()
        .filter(|node| node.has_tag_name("figure"))
    {
        let caption = figure
            .children()
            .find(|node| node.tag_name().name() == "figcaption");
        assert!(text(caption.unwrap()).len() > 20, "a figure without a word");
    }
}

#[test]
fn a_report_of_two_runs_has_every_figure_and_loads_nothing() {
    let place = Workplace::new();
    let sets = ["train.validate_every=4"];
    place.train("runs/plain", &sets).succeeds();
    place
        .train(
            "runs/weighted",
            &[
                sets[0],
                "objective.preset=iw-sft-llm",
                "objective.q={ ema = 0.5 }",
            ],
        )
        .succeeds();
    let ended = place
        .iwsft(&["report", "runs", "--samples", "2"])
        .succeeds();
    assert!(ended.stdout.contains("weighted"), "{ended}");
    assert!(
        ended.stderr.contains("report written to runs/report.html"),
        "{ended}"
    );

    let page = place.read("runs/report.html");
    assert_sound(&page);
    let document = parse(&page);
    for id in [
        "bounds",
        "weights",
        "nll",
        "gaps",
        "loss",
        "effective",
        "distance",
        "gradient",
        "rate",
        "speed",
        "time",
        "samples",
        "recipes",
        "environment",
        "show-0",
        "show-1",
    ] {
        assert!(element(&document, id).is_some(), "no #{id}");
    }
    let bounds = text(element(&document, "bounds").unwrap());
    for words in [
        "weighted",
        "iw-SFT bound",
        "SFT bound",
        "for want of a reference: plain",
    ] {
        assert!(bounds.contains(words), "no {words:?} in {bounds}");
    }
    // Only what differs is marked, and the folders' own names do not count.
    let recipes = element(&document, "recipes").unwrap();
    let marked: Vec<String> = recipes
        .descendants()
        .filter(|node| node.attribute("class") == Some("differs"))
        .map(|row| text(row.first_element_child().unwrap()))
        .collect();
    assert_eq!(marked, ["objective.preset", "objective.q.ema"]);
    assert_eq!(page.matches("<article class=\"sample").count(), 4);
    assert!(text(element(&document, "environment").unwrap()).contains("GiB"));
}

#[test]
fn the_figures_of_a_report_are_those_of_the_log() {
    let place = Workplace::new();
    place
        .train("run", &["objective.preset=iw-sft-llm"])
        .succeeds();
    let ended = place.iwsft(&["report", "run", "--json"]).succeeds();
    let [summary] = &ended.json()[..] else {
        panic!("{ended}")
    };
    let (steps, validations) = (
        place.metrics("run", "step"),
        place.metrics("run", "validation"),
    );
    assert_eq!(summary["run"], "run");
    assert_eq!(summary["steps"], 12);
    // A tenth of 12 steps, rounded up.
    let end = |key| (number(&steps[10], key) + number(&steps[11], key)) / 2.0;
    for (key, expected) in [
        ("nll_end", end("nll")),
        ("j_end", end("j")),
        ("sft_gap_end", end("sft_gap")),
        ("validation_nll_before", number(&validations[0], "nll")),
        ("validation_nll", number(&validations[1], "nll")),
    ] {
        assert!((number(summary, key) - expected).abs() < 1e-12, "{key}");
    }
    assert!(number(summary, "peak_memory") > 1e6);
    assert_sound(&place.read("run/report.html"));
}

/// A log of `steps` steps, with J and weights.
fn log(steps: u64) -> String {
    let mut lines = String::new();
    for step in 1..=steps {
        let (j, mut histogram) = (1.0 + (step as f64 * 0.1).sin(), vec![0; 34]);
        histogram[(step % 34) as usize] = 6;
        let line = json!({
            "kind": "step", "step": step, "loss": 2.0 / step as f64, "nll": 1.0, "j": j,
            "sft_bound": j - 0.5, "iw_sft_bound": j, "sft_gap": 0.5, "iw_sft_gap": 0.0,
            "effective_share": 0.9, "weight_min": 0.5, "weight_mean": 1.0, "weight_max": 2.0,
            "weight_histogram": histogram, "seconds": step, "total_tokens": 10 * step,
        });
        lines += &format!("{line}\n");
    }
    lines
}

#[test]
fn names_cannot_become_markup() {
    let place = Workplace::new();
    let name = "<script>alert(1)</script> & \"x\" 'y'";
    // A slash would be a folder.
    let name = name.replace('/', "|");
    place.write(&format!("{name}/metrics.jsonl"), &log(3));
    place.write(
        &format!("{name}/recipe.toml"),
        "[model]\npath = \"<img src='x'> & ]]>\"\n\"<b>\" = 1\n",
    );
    place
        .iwsft(&["report", &name, "--out", "r.html"])
        .succeeds();
    let page = place.read("r.html");
    assert_sound(&page);
    let document = parse(&page);
    let heading = document.descendants().find(|node| node.has_tag_name("h1"));
    assert_eq!(text(heading.unwrap()), name);
    let scripts = document
        .descendants()
        .filter(|node| node.has_tag_name("script"));
    assert_eq!(scripts.count(), 1);

    place
        .iwsft(&["report", &name, "--title", "a < b & c", "--out", "t.html"])
        .succeeds();
    let page = place.read("t.html");
    assert!(page.contains("<title>a &lt; b &amp; c</title>"));
}

#[test]
fn whatever_a_run_lacks_is_left_out() {
    let place = Workplace::new();
    let broken = [
        "{\"kind\":\"step\",\"step\":1,\"loss\":null,\"nll\":2.5}",
        "{\"kind\":\"of a later program\",\"step\":1}",
        "{\"kind\":\"step\",\"step\":2,\"nll\":1e300,\"weight_histogram\":[1,2]}",
        "not json",
        "{\"kind\":\"validation\",\"step\":2,\"nll\":null}",
        "{\"kind\":\"step\",\"st",
    ];
    place.write("broken/metrics.jsonl", &broken.join("\n"));
    place.write("broken/environment.json", "[{\"started\": \"once\"}, 7]");
    place.write("broken/results.json", "{");
    place.iwsft(&["report", "broken"]).succeeds();
    let page = place.read("broken/report.html");
    assert_sound(&page);
    let document = parse(&page);
    assert!(page.contains("2 lines of the logs could not be read"));
    for id in ["bounds", "weights", "evaluation", "environment", "loss"] {
        assert!(element(&document, id).is_none(), "#{id}");
    }
    assert!(element(&document, "nll").is_some());
}

#[test]
fn evaluations_are_shown_with_their_intervals() {
    let place = Workplace::new();
    let eval = |step, value: f64| {
        json!({"kind": "eval", "step": step, "name": "sums", "metric": "avg@4", "problems": 50,
               "value": value, "interval": [value - 0.125, value + 0.125]})
    };
    let lines = format!("{}{}\n{}\n", log(4), eval(2, 0.25), eval(4, 0.5));
    place.write("a/metrics.jsonl", &lines);
    place.write("b/metrics.jsonl", &log(4));
    let results = json!({"benchmark": "sums", "problems": 50,
                         "metrics": {"avg@4": {"value": 0.75, "interval": [0.625, 0.875]}}});
    place.write("b/eval/results.json", &results.to_string());
    place.write("elsewhere/results.json", &results.to_string());
    place
        .iwsft(&["report", "a", "b", "--eval", "elsewhere"])
        .succeeds();
    let page = place.read("report.html");
    assert_sound(&page);
    let document = parse(&page);
    let rows: Vec<String> = element(&document, "evaluation")
        .unwrap()
        .descendants()
        .filter(|node| node.has_tag_name("tr"))
        .map(text)
        .collect();
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert!(
        rows[0].contains("a0.50.375 to 0.62550 problems, step 4"),
        "{rows:?}"
    );
    assert!(rows[1].contains("b0.750.625 to 0.875"), "{rows:?}");
    assert!(rows[2].contains("elsewhere0.75"), "{rows:?}");

    place
        .iwsft(&["report", "a", "--eval", "b"])
        .fails(2, &["b/results.json", "iwsft eval"]);
}

#[test]
fn a_long_run_makes_a_page_of_ordinary_size() {
    let place = Workplace::new();
    place.write("long/metrics.jsonl", &log(20_000));
    place.iwsft(&["report", "long"]).succeeds();
    let page = place.read("long/report.html");
    assert_sound(&page);
    assert!(page.len() < 600_000, "{} bytes", page.len());
}

#[test]
fn a_folder_that_is_no_run_is_refused_with_what_was_expected() {
    let place = Workplace::new();
    place
        .iwsft(&["report", "model"])
        .fails(2, &["model", "no run here", "metrics.jsonl"]);
    place
        .iwsft(&["report", "nowhere"])
        .fails(2, &["nowhere", "no run here"]);
    place.write("empty/metrics.jsonl", "");
    place
        .iwsft(&["report", "empty"])
        .fails(2, &["empty/metrics.jsonl", "no step is logged"]);
    place.write("half/metrics.jsonl", &log(2));
    place.write("half/recipe.toml", &place.read("recipe.toml"));
    place
        .iwsft(&["report", "half", "--samples", "1"])
        .fails(2, &["half/model", "--resume", "--samples"]);
    place.write("half/recipe.toml", "= no toml");
    place
        .iwsft(&["report", "half"])
        .fails(2, &["half/recipe.toml"]);
    place.write("taken", "a letter");
    place.write("half/recipe.toml", "");
    let ended = place.iwsft(&["report", "half", "--out", "taken/report.html"]);
    ended.fails(1, &["taken/report.html", "cannot write the report"]);
    assert_eq!(place.read("taken"), "a letter");
}
