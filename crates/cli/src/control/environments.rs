//! `iwsft control environments`: what there is to act in.

use iwsft_control::{Actions, Spec, environments};
use serde_json::json;

use crate::table::{Table, print_json};

/// List the environments with their sizes and time limits.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  iwsft control environments
  iwsft control environments --json")]
pub(crate) struct Args {
    /// Print the table as JSON lines.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    if args.json {
        return environments().try_for_each(|spec| {
            print_json(&json!({
                "environment": spec.name,
                "observation_size": spec.observation_size(),
                "action_size": spec.action_size(),
                "choices": choices(&spec),
                "time_limit": spec.time_limit,
                "needs_mujoco": spec.needs_mujoco,
            }))
        });
    }
    let mut table = Table::new(["environment", "observation", "action", "steps", "needs"]);
    for spec in environments() {
        table.row([
            spec.name.to_owned(),
            spec.observation_size().to_string(),
            match choices(&spec) {
                Some(count) => format!("one of {count}"),
                None => spec.action_size().to_string(),
            },
            spec.time_limit.to_string(),
            if spec.needs_mujoco { "MuJoCo" } else { "" }.to_owned(),
        ]);
    }
    table.print()
}

/// Number of choices, where an action is one of them.
fn choices(spec: &Spec) -> Option<usize> {
    match spec.actions {
        Actions::Discrete(count) => Some(count),
        Actions::Continuous(_) => None,
    }
}
