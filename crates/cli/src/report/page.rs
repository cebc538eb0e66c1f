//! The page around the figures.

use std::fmt::Write;

use super::control::{self, ControlRun};
use super::evaluation::{self, Results};
use super::markup::{escape, maybe, number, percent};
use super::plot::Figure;
use super::run::Run;
use super::samples::{self, Sample};
use super::summary::Summary;
use super::{bounds, figures, setting, weights};
use crate::machine::bytes;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Runs that have a colour of their own; those beyond begin again, dashed.
const COLOURS: usize = 7;

/// The whole page. It is well-formed XML too, so that a test can read it.
pub(super) fn page(
    title: &str,
    runs: &[Run],
    summaries: &[Summary],
    results: &[Results],
    samples: &[Sample],
    controls: &[ControlRun],
) -> String {
    let mut main = String::new();
    let mut section = |id: &str, heading: &str, body: &str| {
        let _ = write!(
            main,
            "<section id=\"{id}\">\n<h2>{heading}</h2>\n{body}</section>\n"
        );
    };
    let html = |figure: Option<Figure>| figure.map(|figure| figure.html());
    if !controls.is_empty() {
        let scores = html(control::scores(controls)).unwrap_or_default();
        let body = scores + &control::curves(controls).html();
        section("policies", "Policies", &body);
    }
    if !runs.is_empty() {
        section("glance", "At a glance", &glance(runs, summaries));
    }
    let heart: String = [bounds::figure(runs, summaries), weights::figure(runs)]
        .into_iter()
        .filter_map(html)
        .collect();
    if !heart.is_empty() {
        section("method", "The bound and the weights", &heart);
    }
    let is_told = !controls.is_empty();
    if let Some(figure) = html(evaluation::figure(runs, results)).filter(|_| !is_told) {
        section("results", "Results", &figure);
    }
    let curves: String = figures::figures(runs).iter().map(Figure::html).collect();
    if !curves.is_empty() {
        section(
            "curves",
            "Curves",
            &format!("<div class=\"grid\">\n{curves}</div>\n"),
        );
    }
    if !samples.is_empty() {
        let body = format!(
            "<p>The first prompts of the data, each continued with the likeliest tokens.</p>\n{}",
            samples::html(samples, runs)
        );
        section("samples", "Samples", &body);
    }
    let recipe = if runs.len() == 1 { "Recipe" } else { "Recipes" };
    if !runs.is_empty() {
        section("recipes", recipe, &setting::recipes(runs));
    }
    if let Some(body) = setting::environments(runs) {
        section("environment", "Environment", &body);
    }

    // Runs with steps are the first of the controls, so that colours agree.
    let names: Vec<&str> = match controls {
        [] => runs.iter().map(|run| run.name.as_str()).collect(),
        _ => controls.iter().map(|run| run.name.as_str()).collect(),
    };
    let title = escape(title);
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n\
         <meta charset=\"utf-8\"/>\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n<meta name=\"generator\" content=\"iwsft {version}\"/>\n\
         <title>{title}</title>\n<style>/*<![CDATA[*/\n{STYLE}{hiding}/*]]>*/</style>\n</head>\n<body>\n\
         <header>\n<h1>{title}</h1>\n{legend}</header>\n<main>\n{main}</main>\n\
         <footer>Made by iwsft {version}. Faint lines are single steps, strong ones their moving average.</footer>\n\
         <script>//<![CDATA[\n{SCRIPT}//]]></script>\n</body>\n</html>\n",
        hiding = hiding(names.len()),
        legend = legend(&names),
    )
}

/// Names in their colours; with several runs each can be hidden.
fn legend(names: &[&str]) -> String {
    if names.len() < 2 {
        return String::new();
    }
    let entry = |(index, name): (usize, &&str)| {
        format!(
            "<label><input type=\"checkbox\" id=\"show-{index}\" checked=\"checked\"/>\
             <i class=\"chip r{index}\"></i>{}</label>\n",
            escape(name)
        )
    };
    let entries: String = names.iter().enumerate().map(entry).collect();
    format!("<nav class=\"legend\" aria-label=\"Runs\">\n{entries}</nav>\n")
}

/// Colours of the runs, and rules that hide a run whose box is not ticked.
fn hiding(runs: usize) -> String {
    let mut rules = String::new();
    for index in 0..runs {
        let _ = writeln!(rules, ".r{index} {{ --own: var(--c{}); }}", index % COLOURS);
        if index >= COLOURS {
            let _ = writeln!(rules, ".line.r{index} {{ stroke-dasharray: 9 3 2 3; }}");
        }
        let _ = writeln!(
            rules,
            "body:has(#show-{index}:not(:checked)) main .r{index} {{ display: none; }}"
        );
    }
    rules
}

/// A sentence and a row for each run.
fn glance(runs: &[Run], summaries: &[Summary]) -> String {
    let mut html = String::new();
    for (index, summary) in summaries.iter().enumerate() {
        let name = escape(&summary.run);
        let _ = writeln!(
            html,
            "<p class=\"finding r{index}\"><i class=\"chip r{index}\"></i><b>{name}</b> {}</p>",
            finding(summary)
        );
    }
    html += "<div class=\"wide\"><table class=\"summary\">\n<thead><tr><th></th><th>objective</th>\
        <th>steps</th><th>time</th><th>tokens/s</th><th>memory</th><th>nll</th>\
        <th>validation nll</th><th>J</th><th>SFT misses</th><th>iw-SFT misses</th>\
        <th>effective</th><th>weights</th></tr></thead>\n<tbody>\n";
    for (index, summary) in summaries.iter().enumerate() {
        let validation = match (summary.validation_nll_before, summary.validation_nll) {
            (Some(before), Some(after)) => format!("{before:.4} → {after:.4}"),
            (_, after) => maybe(after),
        };
        let cells = [
            summary.steps.to_string(),
            summary.time(),
            summary
                .tokens_per_second
                .map_or_else(|| "–".to_owned(), |rate| format!("{rate:.0}")),
            summary.peak_memory.map_or_else(|| "–".to_owned(), bytes),
            maybe(summary.nll_end),
            validation,
            maybe(summary.j_end),
            Summary::gap(summary.sft_gap_end),
            Summary::gap(summary.iw_sft_gap_end),
            percent(summary.effective_share_end),
            summary.weight_range(),
        ];
        let cells: String = cells
            .iter()
            .map(|cell| format!("<td class=\"num\">{cell}</td>"))
            .collect();
        let _ = writeln!(
            html,
            "<tr class=\"r{index}\"><th scope=\"row\"><i class=\"chip r{index}\"></i>{}</th><td>{}</td>{cells}</tr>",
            escape(&summary.run),
            escape(&summary.objective),
        );
    }
    html += "</tbody>\n</table></div>\n<p class=\"note\">Losses, J, gaps and shares are means over the \
        last tenth of the steps; weights are the least and the greatest of the whole run.</p>\n";
    let unreadable: usize = runs.iter().map(|run| run.unreadable).sum();
    if unreadable > 0 {
        let _ = writeln!(
            html,
            "<p class=\"note\">{unreadable} lines of the logs could not be read and are left out.</p>"
        );
    }
    html
}

/// What a run came to, in a sentence of figures.
fn finding(summary: &Summary) -> String {
    let mut parts = Vec::new();
    if let (Some(first), Some(end)) = (summary.reward_first, summary.reward_end) {
        let verb = if end > first { "rose" } else { "fell" };
        parts.push(format!(
            "the mean reward of its rollouts {verb} from {} to {}",
            number(first),
            number(end)
        ));
    }
    if let (Some(before), Some(after)) = (summary.validation_nll_before, summary.validation_nll) {
        let verb = if after < before { "fell" } else { "rose" };
        parts.push(format!(
            "validation NLL {verb} from {} to {}",
            number(before),
            number(after)
        ));
        if let Some(best) = summary
            .validation_nll_best
            .filter(|best| after - best > 0.01 * best.abs())
        {
            parts.push(format!("its best was {}", number(best)));
        }
    } else if let Some(nll) = summary.nll_end {
        parts.push(format!("NLL ended at {}", number(nll)));
    }
    if summary.sft_gap_end.is_some() {
        parts.push(format!(
            "SFT's bound misses {} of J = {}, iw-SFT's {}",
            Summary::gap(summary.sft_gap_end),
            maybe(summary.j_end),
            Summary::gap(summary.iw_sft_gap_end),
        ));
    }
    match summary.weights {
        [Some(least), Some(most)] if most - least > 1e-6 => parts.push(format!(
            "its weights leave an effective sample of {}",
            percent(summary.effective_share_end)
        )),
        _ => parts.push("all weights are equal".to_owned()),
    }
    format!("{}.", parts.join("; "))
}
