//! `iwsft control train`: from recorded episodes to evaluated policies.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use anyhow::Context;
use iwsft_control::baseline::Baseline;
use iwsft_control::{Actions, Bounds, GaussianConfig, GaussianPolicy, Spec, make};
use iwsft_data::episodes::{Episodes, Normaliser};
use iwsft_engine::Policy;
use iwsft_files::Lock;
use iwsft_objective::Preset;
use iwsft_train::{TrainConfig, Trajectories};

use super::baseline::{self, BaselineRun};
use super::conclusion::SeedResult;
use super::episodes::{self, EpisodeTrajectories};
use super::recipe::ControlRecipe;
use super::seed::{Shared, SharedProgress, open_start};
use super::summary::{print, summarise};
use crate::interrupt;
use crate::mistake::Mistake;
use crate::progress::say;
use crate::run::{hold, holds_something};
use crate::table::print_json;

/// Train policies on recorded episodes as a recipe says, and evaluate them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  iwsft control train recipes/pendulum/iw-sft.toml
  iwsft control train recipe.toml --set seeds=5 --set objective.preset=sft --run runs/sft
  iwsft control train runs/iw-sft --resume

Seeds run side by side, each on one thread, so results do not depend on how many
there are. Ctrl-C finishes the steps, saves, and says how to resume.")]
pub(crate) struct Args {
    /// The recipe, or the folder of a run to resume.
    recipe: PathBuf,
    /// Change a value of the recipe, for example train.steps=500; KEY= removes it.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Folder of the run, instead of the recipe's.
    #[arg(long, value_name = "FOLDER")]
    run: Option<PathBuf>,
    /// Go on behind the newest checkpoints of the run.
    #[arg(long)]
    resume: bool,
    /// Print the result as a line of JSON on standard output.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let mut recipe = ControlRecipe::read(&args.recipe, &args.sets)?;
    if let Some(run) = &args.run {
        recipe.set_run_folder(std::path::absolute(run)?);
    }
    let run = recipe.run_folder().to_owned();
    let holds_something = holds_something(&run).unwrap_or(false);
    if holds_something && !args.resume {
        return Err(Mistake::new(format!(
            "{}: the folder is not empty; resume the run with --resume, or choose another with --run",
            run.display()
        ))
        .into());
    }
    if !holds_something && args.resume {
        let message = format!("{}: no run to resume; leave out --resume", run.display());
        return Err(Mistake::new(message).into());
    }
    // Everything that can be wrong is found before anything is written.
    let spec = make(&recipe.environment.name)?.spec().clone();
    let episodes = episodes::read(&recipe.data, &spec)?;
    let chosen = episodes::choose(&recipe.data, &episodes)?;
    let config = policy_config(&recipe, &spec, &episodes)?;
    let policy = GaussianPolicy::new(config.clone())
        .map_err(|error| Mistake::new(format!("[policy] of {}: {error}", args.recipe.display())))?;
    say(&decisions(&recipe, &policy, &episodes, &chosen));
    let left_out_steps = episodes.left_out();
    let job = Job {
        recipe: &recipe,
        config,
        episodes: &episodes,
        chosen,
    };
    let results = match &recipe.baseline {
        Some(baseline) => job.compare(baseline)?,
        None => job.train()?,
    };
    let Some(results) = results else {
        say(&format!(
            "resume with: iwsft control train {} --resume",
            run.display()
        ));
        std::process::exit(interrupt::STATUS);
    };
    let summary = summarise(&recipe, left_out_steps, &results);
    let path = run.join("results.json");
    iwsft_files::write_atomically(&path, &serde_json::to_vec_pretty(&summary)?)
        .with_context(|| path.display().to_string())?;
    if args.json {
        return print_json(&summary);
    }
    print(&summary)
}

/// A recipe and what it is about.
struct Job<'a> {
    recipe: &'a ControlRecipe,
    config: GaussianConfig,
    episodes: &'a Episodes,
    chosen: Vec<usize>,
}

impl Job<'_> {
    /// Trains by the recipe's objective; `None` if it was asked to stop.
    fn train(self) -> anyhow::Result<Option<Vec<SeedResult>>> {
        let recipe = self.recipe;
        let objective = recipe.objective.clone().unwrap_or_default().resolve()?;
        let cloning = Preset::Sft.spec().resolve()?;
        let everything = (0..self.episodes.len()).collect();
        let all = EpisodeTrajectories::new(&recipe.data, self.episodes, everything, &cloning)?;
        let chosen =
            EpisodeTrajectories::new(&recipe.data, self.episodes, self.chosen, &objective)?;
        if let Some(start) = &recipe.policy.start {
            for index in 0..recipe.seeds {
                open_start(start, recipe.train.seed.wrapping_add(index), &self.config)?;
            }
        }
        let (stop, _lock) = begin(recipe)?;
        let steps = |config: &TrainConfig, data: &EpisodeTrajectories<'_>| {
            config.plan(data.len()).total_steps
        };
        let cloning_steps = recipe.behaviour_cloning.as_ref();
        let total =
            steps(&recipe.train, &chosen) + cloning_steps.map_or(0, |section| steps(section, &all));
        let shared = Shared {
            recipe,
            config: self.config,
            objective,
            chosen,
            all,
            stop,
            progress: SharedProgress::of(recipe, total),
        };
        let results = train_all(recipe, stop, |seed| shared.train(seed));
        SharedProgress::finish(&shared.progress);
        results
    }

    /// Trains the recipe's baseline; `None` if it was asked to stop.
    fn compare(self, baseline: &Baseline) -> anyhow::Result<Option<Vec<SeedResult>>> {
        let recipe = self.recipe;
        let episodes = self.episodes.select(&self.chosen);
        let scale = recipe.data.action_scale;
        let transitions = baseline::transitions(baseline, &self.config, &episodes, scale)?;
        let sizes = [self.config.observation_size(), self.config.action_size()];
        baseline
            .begin(sizes, 0)
            .map_err(|error| Mistake::new(format!("[baseline]: {error}")))?;
        let (stop, _lock) = begin(recipe)?;
        let run = BaselineRun {
            recipe,
            baseline,
            config: self.config,
            transitions,
            stop,
            progress: SharedProgress::of(recipe, baseline.steps()),
        };
        let results = train_all(recipe, stop, |seed| run.train(seed));
        SharedProgress::finish(&run.progress);
        results
    }
}

/// Makes the folder of the run and holds it, and a flag that Ctrl-C sets.
fn begin(recipe: &ControlRecipe) -> anyhow::Result<(&'static AtomicBool, Lock)> {
    let run = recipe.run_folder();
    fs::create_dir_all(run).with_context(|| run.display().to_string())?;
    let lock = hold(run)?;
    let kept = run.join("recipe.toml");
    if !kept.exists() {
        iwsft_files::write_atomically(&kept, recipe.to_toml()?.as_bytes())
            .with_context(|| kept.display().to_string())?;
    }
    let stop = interrupt::flag(
        "stopping after this step; press Ctrl-C again to stop at once and lose what is not saved",
    )?;
    Ok((stop, lock))
}

/// Trains all seeds, as many at a time as there are threads; `None` if they were
/// asked to stop.
fn train_all(
    recipe: &ControlRecipe,
    stop: &AtomicBool,
    train: impl Fn(u64) -> anyhow::Result<Option<SeedResult>> + Sync,
) -> anyhow::Result<Option<Vec<SeedResult>>> {
    let (first, seeds) = (recipe.train.seed, recipe.seeds);
    let next = AtomicU64::new(0);
    let outcomes = Mutex::new(Vec::new());
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= seeds {
                return;
            }
            let outcome =
                one_thread().and_then(|pool| pool.install(|| train(first.wrapping_add(index))));
            if outcome.is_err() {
                // The others save what they have.
                stop.store(true, Ordering::Relaxed);
            }
            if let Ok(mut outcomes) = outcomes.lock() {
                outcomes.push(outcome);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..seeds.min(rayon::current_num_threads() as u64) {
            scope.spawn(work);
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_default();
    let results: Option<Vec<_>> = outcomes
        .into_iter()
        .collect::<anyhow::Result<Vec<_>>>()?
        .into_iter()
        .collect();
    Ok(results.map(|mut results| {
        results.sort_by_key(|result| result.seed);
        results
    }))
}

fn one_thread() -> anyhow::Result<rayon::ThreadPool> {
    Ok(rayon::ThreadPoolBuilder::new().num_threads(1).build()?)
}

fn policy_config(
    recipe: &ControlRecipe,
    spec: &Spec,
    episodes: &Episodes,
) -> anyhow::Result<GaussianConfig> {
    let bounds = match &spec.actions {
        Actions::Continuous(bounds) => bounds.clone(),
        Actions::Discrete(_) => Bounds::none(0),
    };
    let o = episodes.observation_size();
    let baseline = recipe.baseline.as_ref();
    let normalise = baseline.map_or(recipe.policy.normalise, Baseline::normalises);
    let hidden = baseline.map_or(&recipe.policy.hidden[..], Baseline::hidden);
    let (mean, deviation) = match normalise {
        true => {
            let found = Normaliser::of(episodes);
            (found.mean, found.deviation)
        }
        false => (vec![0.0; o], vec![1.0; o]),
    };
    Ok(GaussianConfig {
        hidden: hidden.to_vec(),
        observation_mean: mean,
        observation_deviation: deviation,
        action_low: bounds.low,
        action_high: bounds.high,
    })
}

/// What is not trained on because no end of it was recorded.
fn left_out(path: &Path, episodes: &Episodes) -> Option<String> {
    let (steps, count) = (episodes.left_out(), episodes.len());
    (steps > 0).then(|| {
        format!(
            "{}: {count} of {} episodes; {steps} steps behind the last end were left out \
             (data.tail = \"keep\" keeps them)",
            path.display(),
            count + 1
        )
    })
}

/// What was resolved, for the user to check.
fn decisions(
    recipe: &ControlRecipe,
    policy: &GaussianPolicy,
    episodes: &Episodes,
    chosen: &[usize],
) -> String {
    let returns = episodes.returns();
    let mean = |indices: &mut dyn Iterator<Item = usize>| {
        let (sum, count) = indices.fold((0.0, 0_u32), |(sum, count), index| {
            (sum + returns[index], count + 1)
        });
        sum / f64::from(count.max(1))
    };
    let distinct: std::collections::BTreeSet<_> = chosen.iter().collect();
    let mut told = left_out(&recipe.data.path, episodes)
        .map(|words| words + "\n")
        .unwrap_or_default();
    told += &format!(
        "data: {} episodes, mean return {:.1}; trained on {} ({} distinct), mean return {:.1}\n\
         policy: {} parameters, one thread a seed, {} seeds",
        episodes.len(),
        mean(&mut (0..episodes.len())),
        chosen.len(),
        distinct.len(),
        mean(&mut chosen.iter().copied()),
        policy.layout().len(),
        recipe.seeds,
    );
    let config = policy.config();
    let scale = recipe.data.action_scale;
    let beyond = episodes
        .actions()
        .chunks_exact(config.action_size())
        .filter(|action| {
            let bounds = config.action_low.iter().zip(&config.action_high);
            let mut elements = action.iter().zip(bounds);
            // Rounding on the bound is no reason to speak.
            elements.any(|(x, (low, high))| {
                let slack = 1e-3 * (high - low);
                !(low - slack..=high + slack).contains(&(x * scale))
            })
        })
        .count();
    if beyond > 0 {
        told += &format!(
            "\nnote: {beyond} of {} actions lie beyond the bounds of {}, which the policy's mean cannot reach",
            episodes.step_count(),
            recipe.environment.name
        );
    }
    told
}
