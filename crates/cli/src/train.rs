//! `iwsft train`: from a recipe to a Hugging Face folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use iwsft_data::{Dataset, Mixture};
use iwsft_engine::{CpuPath, Policy, Tensor};
use iwsft_lm::{LanguageModel, MemoryPlan};
use iwsft_objective::{Objective, Proposal};
use iwsft_train::{Job, LogProbs, Outcome, PolicyFiles, RunFolder, Training, score};

use crate::language::{HuggingFaceFiles, ModelFolder, TokenTrajectories};
use crate::mistake::Mistake;
use crate::progress::{Progress, TrainingProgress, duration, say};
use crate::recipe::{Recipe, ReferenceSection};
use crate::table::{Table, print_json};

/// Fine-tune a model as a recipe says.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  iwsft train recipe.toml
  iwsft train recipe.toml --set train.learning_rate=3e-5 --set objective.preset=iw-sft-llm
  iwsft train runs/recipe --resume

Ctrl-C finishes the step, saves, and says how to resume.")]
pub(crate) struct Args {
    /// The recipe, or the folder of a run to resume.
    recipe: PathBuf,
    /// Change a value of the recipe, for example train.epochs=2; KEY= removes it.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Folder of the run, instead of the recipe's.
    #[arg(long, value_name = "FOLDER")]
    run: Option<PathBuf>,
    /// Go on behind the newest checkpoint of the run.
    #[arg(long)]
    resume: bool,
    /// Print the result as a line of JSON on standard output.
    #[arg(long)]
    json: bool,
}

/// What a finished run comes to.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Summary {
    pub(crate) model: PathBuf,
    pub(crate) steps: u64,
    pub(crate) seconds: f64,
    pub(crate) tokens: u64,
    pub(crate) tokens_per_second: f64,
    pub(crate) loss: f64,
    pub(crate) nll: f64,
    pub(crate) effective_share: f64,
    pub(crate) weight_min: f64,
    pub(crate) weight_max: f64,
    pub(crate) validation_nll_before: Option<f64>,
    pub(crate) validation_nll: Option<f64>,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let mut recipe = Recipe::read(&args.recipe, &args.sets)?;
    // Kept with the run, so that resuming it tomorrow sees the same text.
    recipe.model.today.get_or_insert_with(iwsft_lm::today);
    if let Some(run) = &args.run {
        recipe.run = Some(std::path::absolute(run)?);
    }
    let stop: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
    ctrlc::set_handler(move || {
        if stop.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        say(
            "stopping after this step; press Ctrl-C again to stop at once and lose what is not saved",
        );
    })?;
    let Some(summary) = train(&recipe, args.resume, stop)? else {
        say(&format!(
            "resume with: iwsft train {} --resume",
            recipe.run_folder().display()
        ));
        std::process::exit(130);
    };
    if args.json {
        print_json(&summary)
    } else {
        print(&summary)
    }
}

/// Trains; `None` if it was asked to stop before the end.
pub(crate) fn train(
    recipe: &Recipe,
    resume: bool,
    stop: &AtomicBool,
) -> anyhow::Result<Option<Summary>> {
    let objective = recipe.objective.resolve()?;
    recipe.train.validate()?;
    // Before anything slow: a run that cannot be written is not worth starting.
    let run = recipe.run_folder().to_owned();
    let folder = if resume {
        RunFolder::open(&run)?
    } else {
        RunFolder::create(&run)?
    };

    let model_folder = ModelFolder::of_recipe(&recipe.model)?;
    let data = Data::read(recipe, &model_folder)?;
    let plan = MemoryPlan {
        recompute: recipe.model.recompute,
        ..MemoryPlan::default()
    };
    let (mut model, parameters) = model_folder.load(plan)?;
    say(&decisions(recipe, &objective, &model));
    let Data {
        train,
        mixture,
        validation,
    } = data;
    let reference = reference(
        recipe,
        &objective,
        &model_folder,
        &mut model,
        &parameters,
        &train,
    )?;
    let column = recipe
        .reference
        .as_ref()
        .is_some_and(|reference| reference.column);
    let train = TokenTrajectories::new(train, &objective, column)?;
    let validation = validation.map(TokenTrajectories::plain);
    if !resume {
        write_atomically(&run.join("recipe.toml"), &recipe.to_toml()?)?;
    }
    let files = HuggingFaceFiles {
        base: model_folder.path.clone(),
        layout: model.layout().clone(),
        weight_type: recipe.model.save_as.into(),
    };
    let settings = BTreeMap::from([(
        "model.path".to_owned(),
        model_folder
            .reference_key(&parameters, &Dataset::new())?
            .model,
    )]);
    let job = Job {
        policy: &mut model,
        parameters,
        train: &train,
        validation: validation.as_ref(),
        mixture,
        objective,
        config: recipe.train.clone(),
        reference,
        files: &files,
        settings,
    };
    let mut training = if resume {
        Training::resume(job, folder)?
    } else {
        Training::new(job, folder)?
    };
    let mut progress = TrainingProgress::default();
    let outcome = training.run(&mut progress, stop)?;
    let Outcome::Finished { step, .. } = outcome else {
        return Ok(None);
    };
    let model = export(&run, &files, training.parameters())?;
    Ok(Some(summary(model, step, &progress)))
}

/// Training and validation data.
struct Data {
    train: Dataset,
    mixture: Mixture,
    validation: Option<Dataset>,
}

impl Data {
    fn read(recipe: &Recipe, folder: &ModelFolder) -> anyhow::Result<Self> {
        let (train, mixture, report) = folder.dataset(&recipe.data.train, &recipe.data)?;
        say(&format!("training data\n{report}"));
        let validation = match &recipe.data.validation {
            None => None,
            Some(files) => {
                let (validation, _, report) = folder.dataset(files, &recipe.data)?;
                say(&format!("validation data\n{report}"));
                Some(validation)
            }
        };
        Ok(Self {
            train,
            mixture,
            validation,
        })
    }
}

/// Log-probabilities of the training data under the reference: from the cache,
/// or computed now and cached. `None` where nothing needs them, or where they
/// are a column of the data.
pub(crate) fn reference(
    recipe: &Recipe,
    objective: &Objective,
    folder: &ModelFolder,
    model: &mut LanguageModel,
    parameters: &Tensor,
    data: &Dataset,
) -> anyhow::Result<Option<LogProbs>> {
    let section = match &recipe.reference {
        Some(section) if section.column && section.model.is_some() => {
            return Err(Mistake::new(
                "`reference.column` and `reference.model` are two different references; keep one",
            )
            .into());
        }
        Some(section) if section.column => return Ok(None),
        Some(section) => section.clone(),
        None if objective.needs_reference() => ReferenceSection::default(),
        None => return Ok(None),
    };
    match &section.model {
        None => scored(recipe, &section, folder, model, parameters, data).map(Some),
        Some(path) => {
            let other = ModelFolder::open(path, recipe.model.chat_template.as_deref())?;
            if other.config.vocab_size != folder.config.vocab_size {
                return Err(Mistake::new(format!(
                    "{}: the reference has a vocabulary of {}, the model of {}; they must share a tokenizer",
                    path.display(),
                    other.config.vocab_size,
                    folder.config.vocab_size
                ))
                .into());
            }
            let (mut model, parameters) = other.load(MemoryPlan::default())?;
            scored(recipe, &section, &other, &mut model, &parameters, data).map(Some)
        }
    }
}

fn scored(
    recipe: &Recipe,
    section: &ReferenceSection,
    folder: &ModelFolder,
    model: &mut LanguageModel,
    parameters: &Tensor,
    data: &Dataset,
) -> anyhow::Result<LogProbs> {
    let key = folder.reference_key(parameters, data)?;
    let cache = section.cache.clone().unwrap_or_else(|| {
        let name = format!("reference-{}.safetensors", &key.digest()[..16]);
        recipe.run_folder().join(name)
    });
    if let Some(log_probs) = LogProbs::load(&cache, &key)? {
        say(&format!("reference log-probs: from {}", cache.display()));
        return Ok(log_probs);
    }
    // Before the work, not after it.
    if let Some(folder) = cache.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("{}: cannot make the cache's folder", folder.display()))?;
    }
    let trajectories = TokenTrajectories::plain(data.clone());
    let mut progress = Progress::new("reference log-probs", data.len() as u64);
    let budget = recipe.train.micro_tokens;
    let log_probs = score(model, parameters, &trajectories, budget, &mut |done| {
        progress.at(done as u64, String::new);
    });
    progress.finish();
    log_probs.save(&cache, &key)?;
    say(&format!(
        "reference log-probs: computed, in {}",
        cache.display()
    ));
    Ok(log_probs)
}

/// What was resolved, for the user to check.
fn decisions(recipe: &Recipe, objective: &Objective, model: &LanguageModel) -> String {
    let config = model.config();
    let q = match objective.q {
        Proposal::Current => "current".to_owned(),
        Proposal::Ema(ema) => format!("moving average ({ema})"),
        Proposal::Lagged(lagged) => format!("copied every {lagged} steps"),
    };
    format!(
        "model: {} with {:.2} M parameters, f32{}, on {} threads with {}\n\
         objective: {}, T = {}, clip {:?}, q {q}, quality {:?}",
        config.family.architecture(),
        model.parameter_count() as f64 / 1e6,
        if recipe.model.recompute {
            ", blocks computed again"
        } else {
            ""
        },
        rayon::current_num_threads(),
        CpuPath::current(),
        objective.method.name(),
        objective.temperature,
        objective.clip.unwrap_or([0.0, f64::INFINITY]),
        objective.quality,
    )
}

/// Writes the trained model into `RUN/model`.
fn export(run: &Path, files: &HuggingFaceFiles, parameters: &Tensor) -> anyhow::Result<PathBuf> {
    let (model, beside) = (run.join("model"), run.join(".model.tmp"));
    let result = (|| -> anyhow::Result<()> {
        let _ = fs::remove_dir_all(&beside);
        fs::create_dir(&beside)?;
        files
            .save(&beside, parameters)
            .map_err(anyhow::Error::from_boxed)?;
        if model.exists() {
            fs::remove_dir_all(&model)?;
        }
        Ok(fs::rename(&beside, &model)?)
    })();
    result.with_context(|| format!("{}: cannot write the trained model", model.display()))?;
    Ok(model)
}

fn write_atomically(path: &Path, text: &str) -> anyhow::Result<()> {
    let beside = path.with_extension("tmp");
    let write = || {
        let mut file = fs::File::create(&beside)?;
        std::io::Write::write_all(&mut file, text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().with_context(|| format!("{}: cannot write", path.display()))
}

fn summary(model: PathBuf, steps: u64, progress: &TrainingProgress) -> Summary {
    let last = progress.last_step.as_ref();
    let of = |value: fn(&iwsft_train::StepMetrics) -> f64| last.map_or(f64::NAN, value);
    let validation = |metrics: Option<&iwsft_train::ValidationMetrics>| metrics.map(|m| m.nll);
    let (seconds, tokens) = (of(|m| m.seconds), last.map_or(0, |m| m.total_tokens));
    Summary {
        model,
        steps,
        seconds,
        tokens,
        tokens_per_second: tokens as f64 / seconds,
        loss: of(|m| m.diagnostics.loss),
        nll: of(|m| m.diagnostics.nll),
        effective_share: of(|m| m.diagnostics.effective_share),
        weight_min: of(|m| m.diagnostics.weight_min),
        weight_max: of(|m| m.diagnostics.weight_max),
        validation_nll_before: validation(progress.validations.first()),
        validation_nll: validation(progress.validations.last()),
    }
}

fn print(summary: &Summary) -> anyhow::Result<()> {
    let mut table = Table::new(["", ""]);
    let number = |value: f64| format!("{value:.4}");
    let nll = |value: Option<f64>| value.map_or("-".to_owned(), number);
    table.row(["steps".into(), summary.steps.to_string()]);
    table.row(["time".into(), duration(summary.seconds)]);
    table.row([
        "tokens/s".into(),
        format!("{:.0}", summary.tokens_per_second),
    ]);
    table.row(["loss, last step".into(), number(summary.loss)]);
    table.row(["nll, last step".into(), number(summary.nll)]);
    table.row([
        "weights, last step".into(),
        format!("{:.3} to {:.3}", summary.weight_min, summary.weight_max),
    ]);
    table.row([
        "effective sample".into(),
        format!("{:.1}% of the batch", 100.0 * summary.effective_share),
    ]);
    table.row([
        "validation nll before".into(),
        nll(summary.validation_nll_before),
    ]);
    table.row(["validation nll after".into(), nll(summary.validation_nll)]);
    table.row(["model".into(), summary.model.display().to_string()]);
    table.print()
}
