//! Recipes side by side, and the machines that the runs were made on.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::markup::escape;
use super::run::Run;
use crate::machine::bytes;

/// Keys that say where things lie, not what is done.
const PLACES: [&str; 2] = ["run", "reference.cache"];

/// All recipes as one table, rows that differ marked.
pub(super) fn recipes(runs: &[Run]) -> String {
    let keys: BTreeSet<&String> = runs.iter().flat_map(|run| run.recipe.keys()).collect();
    if keys.is_empty() {
        return "<p>No recipe is in the folder yet.</p>\n".to_owned();
    }
    let mut rows = String::new();
    let mut differing = 0;
    for key in keys {
        let values: Vec<Option<&String>> = runs.iter().map(|run| run.recipe.get(key)).collect();
        let differs =
            !PLACES.contains(&key.as_str()) && values.iter().any(|value| *value != values[0]);
        differing += usize::from(differs);
        let class = if differs { "differs" } else { "same" };
        let _ = write!(
            rows,
            "<tr class=\"{class}\"><th scope=\"row\"><code>{}</code></th>",
            escape(key)
        );
        for value in values {
            let text = value.map_or_else(|| "–".to_owned(), |value| breakable(value));
            let _ = write!(rows, "<td>{text}</td>");
        }
        rows += "</tr>\n";
    }
    let note = match (runs.len(), differing) {
        (1, _) => String::new(),
        (_, 0) => "<p>The recipes are the same.</p>\n".to_owned(),
        (_, count) => format!(
            "<p class=\"toggle\"><label><input type=\"checkbox\" id=\"only-differing\"/> \
             only the {count} that differ</label></p>\n"
        ),
    };
    format!("{note}{}", table(runs, &rows))
}

/// Sessions of all runs, as one table.
pub(super) fn environments(runs: &[Run]) -> Option<String> {
    let rows: Vec<(&str, Vec<String>)> = vec![
        ("started", each(runs, |session| session.started.clone())),
        (
            "after step",
            each(runs, |session| session.after_step.to_string()),
        ),
        ("iwsft", each(runs, |session| session.version.clone())),
        ("system", each(runs, |session| session.system.clone())),
        ("processor", each(runs, |session| session.processor.clone())),
        (
            "threads of cores",
            each(runs, |session| {
                format!("{} of {}", session.threads, session.cores)
            }),
        ),
        ("kernels", each(runs, |session| session.cpu_path.clone())),
        ("memory", each(runs, |session| bytes(session.memory))),
        (
            "most memory held",
            each(runs, |session| {
                session.peak_memory.map_or_else(|| "–".to_owned(), bytes)
            }),
        ),
    ];
    if runs.iter().all(|run| run.sessions.is_empty()) {
        return None;
    }
    let mut html = String::new();
    for (name, values) in rows {
        let _ = write!(html, "<tr><th scope=\"row\">{name}</th>");
        for value in values {
            let _ = write!(html, "<td>{}</td>", escape(&value));
        }
        html += "</tr>\n";
    }
    Some(table(runs, &html))
}

/// What the sessions of each run say; once where all say the same.
fn each(runs: &[Run], tell: impl Fn(&crate::environment::Session) -> String) -> Vec<String> {
    let of_run = |run: &Run| {
        let mut said: Vec<String> = run.sessions.iter().map(&tell).collect();
        said.dedup();
        if said.is_empty() {
            "–".to_owned()
        } else {
            said.join(", ")
        }
    };
    runs.iter().map(of_run).collect()
}

fn table(runs: &[Run], rows: &str) -> String {
    let mut head = "<tr><td></td>".to_owned();
    for (index, run) in runs.iter().enumerate() {
        let _ = write!(
            head,
            "<th scope=\"col\"><i class=\"chip r{index}\"></i>{}</th>",
            escape(&run.name)
        );
    }
    format!(
        "<div class=\"wide\"><table class=\"keys\">\n<thead>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n"
    )
}

/// A value whose long paths may break at their slashes.
fn breakable(value: &str) -> String {
    escape(value).replace('/', "/<wbr/>")
}
