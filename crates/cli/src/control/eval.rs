//! `iwsft control eval`: returns of a trained policy.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use iwsft_control::make;
use iwsft_data::episodes::ReferenceReturns;
use iwsft_eval::statistics::Estimate;
use serde_json::json;

use super::evaluation::Rollouts;
use crate::table::{Table, print_json};

/// Act out episodes with a policy's mean actions.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  iwsft control eval runs/iw-sft/seed-0/model --environment Pendulum-v1
  iwsft control eval runs/hopper/seed-0/best --environment Hopper-v4 --episodes 100 --json")]
pub(crate) struct Args {
    /// Folder of a policy that `iwsft control train` wrote.
    model: PathBuf,
    /// Where to act.
    #[arg(long, value_name = "NAME")]
    environment: String,
    /// Episodes to act out.
    #[arg(long, default_value_t = 100, value_name = "N",
          value_parser = clap::value_parser!(u32).range(2..=100_000))]
    episodes: u32,
    /// The first episode begins as a reset with this seed, the next with the one
    /// behind it.
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Print the result as a line of JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let spec = make(&args.environment)?.spec().clone();
    super::episodes::require_continuous(&spec)?;
    let (policy, parameters) = super::actor::open(&args.model, &spec)?;
    let mut rollouts = Rollouts::new(policy, spec.name, args.episodes as usize)?;
    let never = AtomicBool::new(false);
    let returns = rollouts.returns(&parameters, args.seed, &never)?;
    let returns = returns.unwrap_or_default();
    let Some(found) = Estimate::over_seeds(&returns) else {
        return Ok(());
    };
    let score = |value| ReferenceReturns::of(spec.name).map(|known| known.score(value));
    if args.json {
        return print_json(&json!({
            "environment": spec.name,
            "episodes": returns.len(),
            "seed": args.seed,
            "return": {"value": found.value, "interval": found.interval},
            "score": score(found.value).map(|value| json!({
                "value": value, "interval": found.interval.map(score),
            })),
            "returns": returns,
        }));
    }
    let mut table = Table::new(["", "mean", "95% over episodes"]);
    let mut row = |name: &str, mean: f64, [low, high]: [f64; 2]| {
        let interval = format!("{low:.1} to {high:.1}");
        table.row([name.to_owned(), format!("{mean:.1}"), interval]);
    };
    row("return", found.value, found.interval);
    if let Some(known) = ReferenceReturns::of(spec.name) {
        let interval = found.interval.map(|end| known.score(end));
        row("score", known.score(found.value), interval);
    }
    table.print()
}
