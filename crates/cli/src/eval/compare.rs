//! `iwsft eval compare`: two models on the same problems.

use std::path::PathBuf;

use iwsft_eval::benchmark::Metric;
use iwsft_eval::statistics::{Comparison, SIGNIFICANT};
use serde_json::{Value, json};

use super::results::{BenchmarkResults, Results};
use crate::mistake::Mistake;
use crate::table::{Table, print_json};
use crate::terminal;

/// Say whether the second model is better than the first, problem by problem.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  iwsft eval compare results/base results/recipe

Both must have been asked the same problems. A model is called better only where
chance alone makes such a difference in less than 5 of 100 cases; with several
benchmarks, less than 5 divided by their number.")]
pub(crate) struct Args {
    /// Results folder of the first model.
    first: PathBuf,
    /// Results folder of the second model.
    second: PathBuf,
    /// Compare by this metric, instead of each benchmark's first.
    #[arg(long, value_name = "METRIC")]
    metric: Option<Metric>,
    /// Print the comparisons as lines of JSON on standard output.
    #[arg(long)]
    json: bool,
}

/// A benchmark that both models took.
struct Compared {
    benchmark: String,
    metric: String,
    comparison: Comparison,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let (first, second) = (Results::read(&args.first)?, Results::read(&args.second)?);
    // Two results of one model are told apart by their folders.
    let names = match first.model == second.model {
        true => [&args.first, &args.second].map(|path| path.display().to_string()),
        false => [first.model.clone(), second.model.clone()],
    };
    let pairs = pairs(&args, &first, &second)?;
    let significant = SIGNIFICANT / pairs.len() as f64;
    let compared = pairs
        .into_iter()
        .map(|[a, b]| compare(&args, [a, b], significant))
        .collect::<Result<Vec<_>, _>>()?;
    let [a, b] = &names;
    let sentence = |compared: &Compared| {
        let Compared {
            benchmark, metric, ..
        } = compared;
        format!(
            "{benchmark}, {metric}: {}",
            compared.comparison.sentence(a, b)
        )
    };
    if args.json {
        return compared.iter().try_for_each(|compared| {
            let mut line = json!({
                "benchmark": compared.benchmark,
                "metric": compared.metric,
                "first_model": a,
                "second_model": b,
            });
            if let (Value::Object(line), Value::Object(comparison)) =
                (&mut line, json!(compared.comparison))
            {
                line.extend(comparison);
                line.insert("sentence".to_owned(), sentence(compared).into());
            }
            print_json(&line)
        });
    }
    print(&compared)?;
    let mut out = std::io::stdout().lock();
    for compared in &compared {
        std::io::Write::write_all(
            &mut out,
            format!("\n{}\n", terminal::plain(&sentence(compared))).as_bytes(),
        )?;
    }
    Ok(())
}

/// Benchmarks of the same name.
fn pairs<'a>(
    args: &Args,
    first: &'a Results,
    second: &'a Results,
) -> anyhow::Result<Vec<[&'a BenchmarkResults; 2]>> {
    let name = |results: &'a BenchmarkResults| results.benchmark.as_str();
    let pairs: Vec<_> = first
        .benchmarks
        .iter()
        .filter_map(|a| {
            let b = second.benchmarks.iter().find(|b| name(b) == name(a))?;
            Some([a, b])
        })
        .collect();
    if pairs.is_empty() {
        let of = |results: &'a Results| {
            let names: Vec<_> = results.benchmarks.iter().map(name).collect();
            names.join(", ")
        };
        return Err(Mistake::new(format!(
            "no benchmark is in both: {} has {}, {} has {}",
            args.first.display(),
            of(first),
            args.second.display(),
            of(second)
        ))
        .into());
    }
    Ok(pairs)
}

fn compare(
    args: &Args,
    [a, b]: [&BenchmarkResults; 2],
    significant: f64,
) -> Result<Compared, Mistake> {
    let name = &a.benchmark;
    if let Some(difference) = difference(a, b) {
        return Err(Mistake::new(format!(
            "{name}: {} and {} cannot be compared: {difference}; evaluate both on the same problems",
            args.first.display(),
            args.second.display(),
        )));
    }
    let wanted = args.metric.unwrap_or(a.metrics[0].asked);
    // The average, and pass@N for a given N, mean the same whatever is drawn.
    let same = |results: &BenchmarkResults| {
        let found = results
            .metrics
            .iter()
            .position(|metric| metric.asked == wanted)?;
        let label = match wanted {
            Metric::Average | Metric::Pass(Some(_)) => wanted.to_string(),
            _ => results.metrics[found].metric.clone(),
        };
        let values: Vec<f64> = results.by_problem.iter().map(|p| p.values[found]).collect();
        Some((values, label, results.metrics[found].metric.clone()))
    };
    let missing = |path: &PathBuf, results: &BenchmarkResults| {
        let has: Vec<_> = results
            .metrics
            .iter()
            .map(|m| m.asked.to_string())
            .collect();
        Mistake::new(format!(
            "{name}: {} has no {wanted}; it has {}",
            path.display(),
            has.join(", ")
        ))
    };
    let (first, label, called) = same(a).ok_or_else(|| missing(&args.first, a))?;
    let (second, other, also) = same(b).ok_or_else(|| missing(&args.second, b))?;
    if label != other {
        return Err(Mistake::new(format!(
            "{name}: {label} and {other} are different things; draw equally many answers, or compare by avg@k"
        )));
    }
    Ok(Compared {
        benchmark: name.clone(),
        metric: match called == also {
            true => called,
            false => format!("{called} against {also}"),
        },
        comparison: Comparison::new([&first, &second], significant, a.seed),
    })
}

/// What keeps two results from being those of the same problems.
fn difference(a: &BenchmarkResults, b: &BenchmarkResults) -> Option<String> {
    let (version, other) = (a.definition.version, b.definition.version);
    if version != other {
        return Some(format!(
            "the benchmark has version {version} and version {other}"
        ));
    }
    let only = |a: &BenchmarkResults, b: &BenchmarkResults| {
        let has = |id: &String| b.by_problem.iter().any(|problem| problem.id == *id);
        a.by_problem
            .iter()
            .map(|p| &p.id)
            .find(|id| !has(id))
            .cloned()
    };
    let (n, m) = (a.problems, b.problems);
    if let Some(id) = only(a, b) {
        return Some(format!(
            "problem `{id}` is only in the first ({n} problems and {m})"
        ));
    }
    if let Some(id) = only(b, a) {
        return Some(format!(
            "problem `{id}` is only in the second ({n} problems and {m})"
        ));
    }
    if a.fingerprint != b.fingerprint {
        let seeds = match a.seed == b.seed {
            true => String::new(),
            false => format!(
                " (--seed {} and --seed {} shuffle choices differently)",
                a.seed, b.seed
            ),
        };
        return Some(format!(
            "problems of the same names have different texts or answers{seeds}"
        ));
    }
    None
}

fn print(compared: &[Compared]) -> anyhow::Result<()> {
    let mut table = Table::new([
        "benchmark",
        "metric",
        "problems",
        "first",
        "second",
        "difference",
        "95% interval",
        "p",
    ]);
    for Compared {
        benchmark,
        metric,
        comparison,
    } in compared
    {
        let percent = |share: f64| format!("{:.1}%", 100.0 * share);
        let points = |share: f64| format!("{:+.1}", 100.0 * share);
        let [low, high] = comparison.difference.interval;
        table.row([
            benchmark.clone(),
            metric.clone(),
            comparison.problems.to_string(),
            percent(comparison.first),
            percent(comparison.second),
            points(comparison.difference.value),
            format!("{} to {}", points(low), points(high)),
            format!("{:.4}", comparison.p),
        ]);
    }
    table.print()
}
