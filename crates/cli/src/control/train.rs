//! `iwsft control train`: from recorded episodes to evaluated policies.

use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use anyhow::Context;
use iwsft_control::{Actions, Bounds, GaussianConfig, GaussianPolicy, Spec, make};
use iwsft_data::episodes::{Episodes, Normaliser};
use iwsft_engine::Policy;
use iwsft_eval::statistics::Estimate;
use iwsft_objective::Preset;
use iwsft_train::{TrainConfig, Trajectories};
use serde_json::{Map, Value, json};

use super::episodes::{self, EpisodeTrajectories};
use super::evaluation::Figure;
use super::recipe::ControlRecipe;
use super::seed::{SeedResult, Shared, SharedProgress, open_start};
use crate::interrupt;
use crate::mistake::Mistake;
use crate::progress::{Progress, say};
use crate::table::{Table, print_json};

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
    let holds_something = fs::read_dir(&run).is_ok_and(|mut entries| entries.next().is_some());
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
    let objective = recipe.objective.resolve()?;
    let config = policy_config(&recipe, &spec, &episodes)?;
    let policy = GaussianPolicy::new(config.clone())
        .map_err(|error| Mistake::new(format!("[policy] of {}: {error}", args.recipe.display())))?;
    say(&decisions(&recipe, &policy, &episodes, &chosen));
    let cloning = Preset::Sft.spec().resolve()?;
    let everything = (0..episodes.len()).collect();
    let all = EpisodeTrajectories::new(&recipe.data, &episodes, everything, &cloning)?;
    let chosen = EpisodeTrajectories::new(&recipe.data, &episodes, chosen, &objective)?;
    if let Some(start) = &recipe.policy.start {
        for index in 0..recipe.seeds {
            open_start(start, recipe.train.seed.wrapping_add(index), &config)?;
        }
    }
    fs::create_dir_all(&run).with_context(|| run.display().to_string())?;
    let kept = run.join("recipe.toml");
    if !kept.exists() {
        iwsft_files::write_atomically(&kept, recipe.to_toml()?.as_bytes())
            .with_context(|| kept.display().to_string())?;
    }

    let stop = interrupt::flag(
        "stopping after this step; press Ctrl-C again to stop at once and lose what is not saved",
    )?;
    let steps =
        |config: &TrainConfig, data: &EpisodeTrajectories<'_>| config.plan(data.len()).total_steps;
    let cloning_steps = recipe.behaviour_cloning.as_ref();
    let total =
        steps(&recipe.train, &chosen) + cloning_steps.map_or(0, |section| steps(section, &all));
    let shared = Shared {
        recipe: &recipe,
        config,
        objective,
        chosen,
        all,
        stop,
        progress: Mutex::new(SharedProgress {
            bar: Progress::new("training", recipe.seeds.saturating_mul(total)),
            done: 0,
        }),
    };
    let results = train_all(&shared, stop)?;
    if let Ok(progress) = shared.progress.lock() {
        progress.bar.finish();
    }
    let Some(results) = results else {
        say(&format!(
            "resume with: iwsft control train {} --resume",
            run.display()
        ));
        std::process::exit(interrupt::STATUS);
    };
    let summary = summary(&recipe, &results);
    let path = run.join("results.json");
    iwsft_files::write_atomically(&path, &serde_json::to_vec_pretty(&summary)?)
        .with_context(|| path.display().to_string())?;
    if args.json {
        return print_json(&summary);
    }
    print(&summary)
}

/// Trains all seeds, as many at a time as there are threads; `None` if they were
/// asked to stop.
fn train_all(shared: &Shared<'_>, stop: &AtomicBool) -> anyhow::Result<Option<Vec<SeedResult>>> {
    let (first, seeds) = (shared.recipe.train.seed, shared.recipe.seeds);
    let next = AtomicU64::new(0);
    let outcomes = Mutex::new(Vec::new());
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= seeds {
                return;
            }
            let outcome = one_thread()
                .and_then(|pool| pool.install(|| shared.train(first.wrapping_add(index))));
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
    let (mean, deviation) = match recipe.policy.normalise {
        true => {
            let found = Normaliser::of(episodes);
            (found.mean, found.deviation)
        }
        false => (vec![0.0; o], vec![1.0; o]),
    };
    Ok(GaussianConfig {
        hidden: recipe.policy.hidden.clone(),
        observation_mean: mean,
        observation_deviation: deviation,
        action_low: bounds.low,
        action_high: bounds.high,
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
    let mut told = format!(
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

/// Means over seeds, and each seed.
fn summary(recipe: &ControlRecipe, results: &[SeedResult]) -> Value {
    let figure = |of: &dyn Fn(&SeedResult) -> Option<Figure>| -> Value {
        let figures: Option<Vec<Figure>> = results.iter().map(of).collect();
        let Some(figures) = figures else {
            return Value::Null;
        };
        let estimate = |values: Vec<f64>| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let interval = Estimate::over_seeds(&values).map(|found| found.interval);
            json!({"value": mean, "interval": interval})
        };
        let mut fields = Map::new();
        let returns = figures.iter().map(|figure| figure.mean_return).collect();
        fields.insert("return".into(), estimate(returns));
        let scores: Option<Vec<f64>> = figures.iter().map(|figure| figure.score).collect();
        fields.insert("score".into(), scores.map_or(Value::Null, estimate));
        fields.into()
    };
    json!({
        "environment": recipe.environment.name,
        "episodes": recipe.environment.final_episodes,
        "run": recipe.run_folder().display().to_string(),
        "start": figure(&|result| result.start),
        "last": figure(&|result| Some(result.last)),
        "best": figure(&|result| Some(result.best)),
        "seeds": results,
    })
}

fn print(summary: &Value) -> anyhow::Result<()> {
    let mut table = Table::new(["policy", "return", "95% over seeds", "score", "95%"]);
    let number = |value: &Value| value.as_f64().map(|value| format!("{value:.1}"));
    let cells = |figure: &Value| {
        let mean = number(&figure["value"]).unwrap_or("-".into());
        let ends = [0, 1].map(|end| number(&figure["interval"][end]));
        let interval = match ends {
            [Some(low), Some(high)] => format!("{low} to {high}"),
            _ => "-".into(),
        };
        [mean, interval]
    };
    for (key, name) in [("start", "start"), ("last", "LAST"), ("best", "BEST")] {
        if !summary[key].is_null() {
            let [mean, interval] = cells(&summary[key]["return"]);
            let [score, score_interval] = cells(&summary[key]["score"]);
            table.row([name.into(), mean, interval, score, score_interval]);
        }
    }
    table.print()?;
    let run = summary["run"].as_str().unwrap_or_default();
    say(&format!("policies: {run}/seed-*/model"));
    Ok(())
}
