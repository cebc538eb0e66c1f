//! `iwsft control collect`: data sets like D4RL's, for those who cannot download them.

mod learner;
mod sets;

use std::path::PathBuf;

use anyhow::Context;
use iwsft_control::{MUJOCO_VERSION, make, sac};
use iwsft_engine::Precision;
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::learner::{Learner, Outcome};
use crate::interrupt;
use crate::mistake::Mistake;
use crate::progress::say;
use crate::run::hold;
use crate::table::{Table, print_json};

/// Learn to act by SAC, and keep what a beginner, a learner and an expert do.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  iwsft control collect data/hopper --environment Hopper-v4
  iwsft control collect data/pendulum --environment Pendulum-v1 --steps 20000 --set-steps 20000

Writes into the folder, in the layout and the sense of D4RL:
  random.hdf5         actions of chance
  medium-replay.hdf5  everything that was done until the policy was medium
  medium.hdf5         a policy a third of the way from chance to the expert
  expert.hdf5         the best policy that was found
  medium-expert.hdf5  the steps of the last two

Ctrl-C saves at the end of the episode; the same command goes on from there.")]
pub(crate) struct Args {
    /// The folder to write.
    folder: PathBuf,
    /// Where to act.
    #[arg(long, default_value = "Pendulum-v1", value_name = "NAME")]
    environment: String,
    /// Steps in the environment while it learns; as many gradient steps.
    #[arg(long, default_value_t = 1_000_000, value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    steps: u64,
    /// Steps of random actions before it begins to learn.
    #[arg(long, default_value_t = 5_000, value_name = "N")]
    random_steps: u64,
    /// Steps of each set that is recorded from one policy.
    #[arg(long, default_value_t = 1_000_000, value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    set_steps: u64,
    /// Steps between evaluations; the policy of each is kept.
    #[arg(long, default_value_t = 10_000, value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..))]
    evaluate_every: u64,
    /// Episodes of an evaluation.
    #[arg(long, default_value_t = 10, value_name = "N",
          value_parser = clap::value_parser!(u32).range(2..=10_000))]
    episodes: u32,
    /// Transitions of a gradient step.
    #[arg(long, default_value_t = 256, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch_size: u32,
    /// Widths of the hidden layers of actor and critics.
    #[arg(
        long,
        default_value = "256,256",
        value_delimiter = ',',
        value_name = "N,N"
    )]
    hidden: Vec<usize>,
    /// Precision of matrix products while it learns, f32 or bf16.
    #[arg(long, default_value_t = Precision::F32, value_name = "PRECISION")]
    precision: Precision,
    /// Decides everything that is random.
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Print what was collected as a line of JSON.
    #[arg(long)]
    json: bool,
}

/// What decides a collection; a folder goes on only with the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    environment: String,
    /// Of the library that was used; none where the environment needs none.
    mujoco: Option<String>,
    random_steps: u64,
    evaluate_every: u64,
    episodes: u32,
    seed: u64,
    sac: sac::Settings,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let environment = make(&args.environment)?;
    super::episodes::require_continuous(environment.spec())?;
    let settings = Settings {
        environment: environment.spec().name.to_owned(),
        mujoco: super::mujoco_version(environment.spec()),
        random_steps: args.random_steps,
        evaluate_every: args.evaluate_every,
        episodes: args.episodes,
        seed: args.seed,
        sac: sac::Settings {
            batch_size: args.batch_size as usize,
            hidden: args.hidden,
            ..sac::Settings::default()
        },
    };
    if let Some(version) = &settings.mujoco
        && version != MUJOCO_VERSION
    {
        say(&format!(
            "note: MuJoCo {version}; results of this project are made with {MUJOCO_VERSION}"
        ));
    }
    std::fs::create_dir_all(&args.folder).with_context(|| args.folder.display().to_string())?;
    let _lock = hold(&args.folder)?;
    let stop = interrupt::flag(
        "stopping at the end of this episode; press Ctrl-C again to stop at once and lose what is not saved",
    )?;
    let mut learner = Learner::open(&args.folder, settings, environment, args.precision)?;
    if let Outcome::Stopped = learner.run(args.steps, stop)? {
        say("the same command goes on from here");
        std::process::exit(interrupt::STATUS);
    }
    let tiers = learner.tiers()?;
    let Some(sets) = sets::write_all(&args.folder, &mut learner, &tiers, args.set_steps, stop)?
    else {
        say("the same command goes on from here");
        std::process::exit(interrupt::STATUS);
    };
    let summary = json!({
        "folder": args.folder.display().to_string(),
        "environment": args.environment,
        "mujoco": learner.settings().mujoco,
        "learned_steps": learner.steps(),
        "medium": tiers.medium, "expert": tiers.expert,
        "evaluations": learner.evaluations(),
        "sets": sets,
    });
    let path = args.folder.join("collection.json");
    iwsft_files::write_atomically(&path, &serde_json::to_vec_pretty(&summary)?)
        .with_context(|| path.display().to_string())?;
    if args.json {
        return print_json(&summary);
    }
    let mut table = Table::new(["set", "steps", "episodes", "mean return", "score"]);
    for set in &sets {
        let score = set.figure.score.map(|score| format!("{score:.1}"));
        table.row([
            set.name.to_owned(),
            set.steps.to_string(),
            set.episodes.to_string(),
            format!("{:.1}", set.figure.mean_return),
            score.unwrap_or("-".into()),
        ]);
    }
    table.print()
}

/// A refusal to mix two collections.
fn other_settings(folder: &std::path::Path) -> anyhow::Error {
    Mistake::new(format!(
        "{}: the folder holds a collection with other settings; choose another folder, or the settings in its state.json",
        folder.display()
    ))
    .into()
}
