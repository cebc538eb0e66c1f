//! `iwsft eval list`: the benchmarks that come along.

use iwsft_eval::benchmark::{Benchmark, HubCache};
use serde_json::json;

use crate::table::{Table, print_json};

/// List the benchmarks that come along, and where their data is looked for.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print them as lines of JSON on standard output.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let cache = HubCache::from_environment(|name| std::env::var_os(name));
    let mut table = Table::new(["benchmark", "version", "k", "metrics", "data", "found"]);
    for benchmark in Benchmark::names().filter_map(Benchmark::embedded) {
        let found = benchmark.locate(cache.as_ref()).unwrap_or_default();
        let metrics: Vec<String> = benchmark
            .metrics
            .iter()
            .map(|m| m.name(benchmark.k))
            .collect();
        if args.json {
            print_json(&json!({
                "benchmark": benchmark.name,
                "version": benchmark.version,
                "about": benchmark.about,
                "k": benchmark.k,
                "metrics": metrics,
                "data": benchmark.data,
                "found": found,
            }))?;
            continue;
        }
        table.row([
            benchmark.name.clone(),
            benchmark.version.to_string(),
            benchmark.k.to_string(),
            metrics.join(", "),
            benchmark.data.describe(),
            match &found[..] {
                [] => "no; give --data FILE".to_owned(),
                [file, ..] => file.display().to_string(),
            },
        ]);
    }
    match args.json {
        true => Ok(()),
        false => table.print(),
    }
}
