//! Renders templates as `scripts/fixtures/jinja.py --against` asks: a line of JSON with
//! `source` and `context` in, a line with `text` or `error` out.

use std::io::{self, BufRead, Write};

use iwsft_jinja::{RenderOptions, Template};
use serde_json::{Value, json};

fn main() -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let case: Value = serde_json::from_str(&line?)?;
        let source = case["source"].as_str().unwrap_or_default();
        let context = case["context"].as_object().cloned().unwrap_or_default();
        let rendered = Template::parse(source)
            .and_then(|template| template.render(&context, &RenderOptions::default()));
        let answer = match rendered {
            Ok(text) => json!({ "text": text }),
            Err(error) => json!({ "error": error.to_string() }),
        };
        writeln!(out, "{answer}")?;
    }
    out.flush()
}
