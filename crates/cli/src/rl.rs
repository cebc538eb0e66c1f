//! `iwsft rl`: reinforcement learning from rewards of the model's own answers.

mod recipe;
mod rollouts;
mod summary;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use iwsft_engine::{CpuPath, Policy, Precision};
use iwsft_lm::{LanguageModel, MemoryPlan};
use iwsft_objective::policy_gradient::ResolvedPolicyGradient;
use iwsft_train::{OnPolicy, OnPolicyJob, Outcome, RunFolder, TrainConfig, write_atomically};
use serde_json::{Value, json};

use crate::eval::TrainingExam;
use crate::interrupt;
use crate::language::{HuggingFaceFiles, ModelFolder};
use crate::progress::say;
use crate::run::in_folder;
use crate::table::{self, print_json};
use crate::train::{export, precision};
use crate::watch::Watch;
use recipe::RlRecipe;
use rollouts::GroupRollouts;
use summary::Summary;

/// Train a model on rewards of its own answers: GRPO, Dr. GRPO or REINFORCE.
///
/// Each round draws a group of completions to each of some prompts from the
/// model as it is, grades them, and makes a few optimizer steps that raise the
/// probability of those better than their group and lower that of the others.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  iwsft rl grpo.toml
  iwsft rl grpo.toml --set objective.preset=reinforce --set rollout.group=16 --run runs/reinforce
  iwsft rl runs/grpo --resume
  iwsft report runs/grpo

Ctrl-C finishes the round's steps (or gives up the round that is being drawn),
saves, and says how to resume.")]
pub(crate) struct Args {
    /// The recipe, or the folder of a run to resume.
    recipe: PathBuf,
    /// Change a value of the recipe, for example rollout.rounds=20; KEY= removes it.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Folder of the run, instead of the recipe's.
    #[arg(long, value_name = "FOLDER")]
    run: Option<PathBuf>,
    /// Go on behind the newest checkpoint of the run.
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    watch: Watch,
    /// Print the result as a line of JSON on standard output.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    args.watch.check()?;
    let mut recipe = RlRecipe::read(&args.recipe, &args.sets)?;
    if let Some(run) = &args.run {
        recipe.run = Some(std::path::absolute(run)?);
    }
    let run = recipe.run_folder().to_owned();
    recipe.model.settle_today(|| {
        let kept = args.resume.then(|| RlRecipe::read(&run, &[]).ok())?;
        Some(kept?.model)
    });
    let stop = interrupt::flag(
        "stopping after this round's steps; press Ctrl-C again to stop at once and lose what is not saved",
    )?;
    let trained = in_folder(&run, args.resume, |folder| {
        train_in(folder, &recipe, args.resume, args.watch, stop)
    })?;
    let Some(summary) = trained else {
        say(&format!("resume with: iwsft rl {} --resume", run.display()));
        std::process::exit(interrupt::STATUS);
    };
    match args.json {
        true => print_json(&summary),
        false => summary.print(),
    }
}

/// Trains into `folder`; `None` if it was asked to stop before the end.
fn train_in(
    folder: RunFolder,
    recipe: &RlRecipe,
    resume: bool,
    watch: Watch,
    stop: &'static AtomicBool,
) -> anyhow::Result<Option<Summary>> {
    let run = folder.path().to_owned();
    let objective = recipe.objective.resolve()?;
    let open = || ModelFolder::of_recipe(&recipe.model);
    let model_folder = open()?;
    let mut rollouts = GroupRollouts::new(recipe, objective.advantages, open()?, stop)?;
    let mut exam = recipe
        .eval
        .as_ref()
        .map(|section| TrainingExam::new(section, open()?, stop))
        .transpose()?;
    let plan = MemoryPlan {
        recompute: recipe.model.recompute,
        ..MemoryPlan::default()
    };
    let (mut model, parameters) = model_folder.load(plan)?;
    model.set_precision(recipe.train.precision);
    say(&decisions(recipe, &objective, &model));
    model_folder.say_ends();
    let trained_on = rollouts.trained_on(&recipe.prompts);
    if let Some(now) = &trained_on {
        let (template, plain) = (
            "`prompts.chat = true` puts prompts into it",
            "`prompts.chat = false` asks so",
        );
        model_folder.say_mismatch(now.chat, template, plain);
        model_folder.say_other_system(now.chat, now.system.as_deref(), "`prompts.system`");
        if let Some(exam) = &exam {
            exam.say_mismatch(now);
        }
    }
    let (layout, weight_type) = (model.layout().clone(), recipe.model.save_as.into());
    let files = HuggingFaceFiles::new(&model_folder, layout, weight_type, trained_on);
    let mut settings = settings(recipe, &objective);
    if model.precision() != Precision::F32 {
        // Runs of earlier versions have `train.precision` and computed in f32.
        let used = model.precision().to_string();
        settings.insert("model.precision".to_owned(), used);
    }
    settings.insert("prompts".to_owned(), rollouts.fingerprint());
    let weights = model_folder.model_hash(&parameters)?;
    settings.insert("model.weights".to_owned(), weights);
    let job = OnPolicyJob {
        policy: &mut model,
        parameters,
        rollouts: &mut rollouts,
        gradient: objective.gradient,
        config: recipe.train.clone(),
        rounds: recipe.rollout.rounds(),
        files: &files,
        settings,
    };
    let mut training = match resume {
        true => OnPolicy::resume(job, folder)?,
        false => OnPolicy::new(job, folder)?,
    };
    if let (Some(exam), Some(section)) = (&mut exam, &recipe.eval) {
        training.evaluate_every(section.every, exam);
    }
    // A run that was killed before its recipe was written gets it on resuming.
    let kept = run.join("recipe.toml");
    if !kept.exists() {
        write_atomically(&kept, recipe.to_toml()?.as_bytes())?;
    }
    if training.step() == training.plan().total_steps {
        say("the run is finished already; its model is written again");
    }
    let mut observers = watch.observers(&run, stop)?;
    let outcome = training.run(&mut observers, stop);
    drop(observers);
    let Outcome::Finished { .. } = outcome? else {
        return Ok(None);
    };
    let model = export(&run, &files, training.parameters())?;
    Ok(Some(Summary::read(&run, model)?))
}

/// What decides the result, beside what the loop knows itself.
fn settings(recipe: &RlRecipe, objective: &ResolvedPolicyGradient) -> BTreeMap<String, String> {
    let rollout = &recipe.rollout;
    let values = [
        ("objective.baseline", json!(objective.advantages.baseline)),
        ("objective.normalise", json!(objective.advantages.normalise)),
        ("rollout.prompts", json!(rollout.prompts)),
        ("rollout.group", json!(rollout.group)),
        ("rollout.max_tokens", json!(rollout.max_tokens)),
        ("rollout.stop", json!(rollout.stop)),
        ("rollout.stop_tokens", json!(rollout.stop_tokens)),
        ("grade", json!(recipe.grade)),
    ];
    values
        .into_iter()
        .map(|(key, value)| {
            let value = match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
            (key.to_owned(), value)
        })
        .collect()
}

/// What was resolved, for the user to check.
fn decisions(
    recipe: &RlRecipe,
    objective: &ResolvedPolicyGradient,
    model: &LanguageModel,
) -> String {
    let (rollout, gradient) = (&recipe.rollout, &objective.gradient);
    let clip = match gradient.clip {
        Some([low, high]) => format!("ratio clipped to {} to {}", 1.0 - low, 1.0 + high),
        None => "no clip".to_owned(),
    };
    let TrainConfig { learning_rate, .. } = recipe.train;
    format!(
        "model: {} with {:.2} M parameters, {}, on {} threads with {}\n\
         objective: {}, baseline {}, divided by {}, {clip}, beta {}, {}\n\
         {} rounds of {} prompts with {} completions each, {} steps a round, learning rate {learning_rate}",
        model.config().family.architecture(),
        model.parameter_count() as f64 / 1e6,
        precision(model),
        rayon::current_num_threads(),
        CpuPath::current(),
        recipe.objective.preset.name(),
        table::name(&objective.advantages.baseline),
        table::name(&objective.advantages.normalise),
        gradient.beta,
        table::name(&gradient.reduction),
        rollout.rounds,
        rollout.prompts,
        rollout.group,
        rollout.updates * rollout.passes,
    )
}
