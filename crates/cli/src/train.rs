//! `iwsft train`: from a recipe to a Hugging Face folder.

mod summary;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use iwsft_data::{Dataset, Mixture};
use iwsft_engine::{CpuPath, Policy, Precision, Tensor};
use iwsft_lm::{LanguageModel, MemoryPlan};
use iwsft_objective::{Objective, Proposal, Quality};
use iwsft_train::{
    Job, LogProbs, Outcome, PolicyFiles, RunFolder, Training, score, write_atomically,
};

use crate::eval::TrainingExam;
use crate::interrupt;
use crate::language::{HuggingFaceFiles, Loaded, ModelFolder, TokenTrajectories};
use crate::mistake::Mistake;
use crate::progress::{Progress, say};
use crate::prompting::TrainedOn;
use crate::recipe::{Recipe, ReferenceSection};
use crate::run::in_folder;
use crate::table::print_json;
use crate::watch::Watch;
pub(crate) use summary::Summary;

/// Fine-tune a model as a recipe says.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  iwsft train recipe.toml
  iwsft train recipe.toml --set train.learning_rate=3e-5 --set objective.preset=iw-sft-llm
  iwsft train runs/recipe --resume
  iwsft train recipe.toml --tui --tensorboard

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
    #[command(flatten)]
    watch: Watch,
    /// Print the result as a line of JSON on standard output.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    args.watch.check()?;
    let mut recipe = Recipe::read(&args.recipe, &args.sets)?;
    if let Some(run) = &args.run {
        recipe.run = Some(std::path::absolute(run)?);
    }
    let run = recipe.run_folder().to_owned();
    recipe.model.settle_today(|| {
        let kept = args.resume.then(|| Recipe::read(&run, &[]).ok())?;
        Some(kept?.model)
    });
    let stop = interrupt::flag(
        "stopping after this step; press Ctrl-C again to stop at once and lose what is not saved",
    )?;
    let Some(summary) = train(&recipe, args.resume, args.watch, stop)? else {
        say(&format!(
            "resume with: iwsft train {} --resume",
            run.display()
        ));
        std::process::exit(interrupt::STATUS);
    };
    if args.json {
        print_json(&summary)?;
    } else {
        summary.print()?;
    }
    for remark in summary.remarks() {
        say(&remark);
    }
    Ok(())
}

/// Trains; `None` if it was asked to stop before the end.
pub(crate) fn train(
    recipe: &Recipe,
    resume: bool,
    watch: Watch,
    stop: &'static AtomicBool,
) -> anyhow::Result<Option<Summary>> {
    let objective = recipe.objective.resolve()?;
    recipe.train.validate()?;
    in_folder(recipe.run_folder(), resume, |folder| {
        train_in(folder, recipe, objective, resume, watch, stop)
    })
}

/// Trains into `folder`.
fn train_in(
    folder: RunFolder,
    recipe: &Recipe,
    objective: Objective,
    resume: bool,
    watch: Watch,
    stop: &'static AtomicBool,
) -> anyhow::Result<Option<Summary>> {
    let run = folder.path().to_owned();
    let model_folder = ModelFolder::of_recipe(&recipe.model)?;
    let data = Data::read(recipe, &model_folder)?;
    let mut exam = recipe
        .eval
        .as_ref()
        .map(|section| TrainingExam::new(section, ModelFolder::of_recipe(&recipe.model)?, stop))
        .transpose()?;
    if let (Some(exam), Some(trained_on)) = (&exam, &data.trained_on) {
        exam.say_mismatch(trained_on);
    }
    let plan = MemoryPlan {
        recompute: recipe.model.recompute,
        ..MemoryPlan::default()
    };
    let (mut model, parameters) = model_folder.load(plan)?;
    model.set_precision(recipe.train.precision);
    say(&decisions(recipe, &objective, &model));
    model_folder.say_ends();
    let Data {
        train,
        mixture,
        validation,
        trained_on,
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
    let (layout, weight_type) = (model.layout().clone(), recipe.model.save_as.into());
    let files = HuggingFaceFiles::new(&model_folder, layout, weight_type, trained_on);
    let weights = model_folder.model_hash(&parameters)?;
    let settings = BTreeMap::from([("model.weights".to_owned(), weights)]);
    let job = Job {
        policy: &mut model,
        parameters,
        train: &train,
        validation: validation.as_ref(),
        mixture,
        objective,
        config: recipe.train.clone(),
        reference: reference.map(|scored| scored.log_probs),
        files: &files,
        settings,
    };
    let mut training = if resume {
        Training::resume(job, folder)?
    } else {
        Training::new(job, folder)?
    };
    if let (Some(exam), Some(section)) = (&mut exam, &recipe.eval) {
        training.evaluate_every(section.every, exam);
    }
    // A run that was killed before its recipe was written gets it on resuming.
    let kept = run.join("recipe.toml");
    if !kept.exists() {
        let mut settled = recipe.clone();
        settled.data.settle_chat(model_folder.template.is_some());
        write_atomically(&kept, settled.to_toml()?.as_bytes())?;
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

/// Training and validation data.
struct Data {
    train: Dataset,
    mixture: Mixture,
    validation: Option<Dataset>,
    trained_on: Option<TrainedOn>,
}

impl Data {
    fn read(recipe: &Recipe, folder: &ModelFolder) -> anyhow::Result<Self> {
        let Loaded {
            dataset: train,
            mixture,
            report,
            wrapped,
            trained_on,
        } = folder.dataset(&recipe.data.train, &recipe.data)?;
        say(&format!("training data\n{report}"));
        wrapped.iter().for_each(|line| say(line));
        let validation = match &recipe.data.validation {
            None => None,
            Some(files) => {
                let Loaded {
                    dataset, report, ..
                } = folder.dataset(files, &recipe.data)?;
                say(&format!("validation data\n{report}"));
                Some(dataset)
            }
        };
        Ok(Self {
            train,
            mixture,
            validation,
            trained_on,
        })
    }
}

/// Log-probabilities of the training data under the reference, and their cache:
/// read from it, or computed now and written to it. Without a path in the recipe
/// the cache lies beside the run, where other runs on the same data find it. `None` where nothing needs them, or where they
/// are a column of the data.
pub(crate) fn reference(
    recipe: &Recipe,
    objective: &Objective,
    folder: &ModelFolder,
    model: &mut LanguageModel,
    parameters: &Tensor,
    data: &Dataset,
) -> anyhow::Result<Option<Scored>> {
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
            model.set_precision(recipe.train.precision);
            scored(recipe, &section, &other, &mut model, &parameters, data).map(Some)
        }
    }
}

/// Reference log-probabilities and the file that keeps them.
pub(crate) struct Scored {
    pub(crate) log_probs: LogProbs,
    pub(crate) cache: PathBuf,
}

fn scored(
    recipe: &Recipe,
    section: &ReferenceSection,
    folder: &ModelFolder,
    model: &mut LanguageModel,
    parameters: &Tensor,
    data: &Dataset,
) -> anyhow::Result<Scored> {
    let key = folder.reference_key(parameters, data, model.precision())?;
    let cache = section.cache.clone().unwrap_or_else(|| {
        let name = format!("reference-{}.safetensors", &key.digest()[..16]);
        recipe.run_folder().with_file_name(name)
    });
    if let Some(log_probs) = LogProbs::load(&cache, &key)? {
        say(&format!("reference log-probs: from {}", cache.display()));
        return Ok(Scored { log_probs, cache });
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
    Ok(Scored { log_probs, cache })
}

/// The numbers that a model computes with, in words.
pub(crate) fn precision(model: &LanguageModel) -> &'static str {
    match model.precision() {
        Precision::F32 => "f32",
        Precision::Bf16 if Precision::Bf16.is_native() => "f32 with matrix products in bf16",
        Precision::Bf16 => {
            "f32 with matrix products in bf16, which this processor only emulates (f32 is faster here)"
        }
    }
}

/// What was resolved, for the user to check.
fn decisions(recipe: &Recipe, objective: &Objective, model: &LanguageModel) -> String {
    let config = model.config();
    let q = match objective.q {
        Proposal::Current => "current".to_owned(),
        Proposal::Ema(ema) => format!("moving average ({ema})"),
        Proposal::Lagged(lagged) => format!("copied every {lagged} steps"),
    };
    let clip = match objective.clip {
        None => "no clip".to_owned(),
        Some([low, high]) if high.is_infinite() => format!("clipped from {low}"),
        Some([low, high]) => format!("clipped to {low} to {high}"),
    };
    let quality = match objective.quality {
        Quality::Off => "no quality",
        Quality::Resample => "rows drawn by quality",
        Quality::Weight => "loss weighted by quality",
    };
    let precision = precision(model);
    format!(
        "model: {} with {:.2} M parameters, {}{}, on {} threads with {}\n\
         objective: {}, T = {}, {clip}, q {q}, {quality}",
        config.family.architecture(),
        model.parameter_count() as f64 / 1e6,
        precision,
        if recipe.model.recompute {
            ", blocks computed again"
        } else {
            ""
        },
        rayon::current_num_threads(),
        CpuPath::current(),
        objective.method.name(),
        objective.temperature,
    )
}

/// Writes the trained model into `RUN/model`.
pub(crate) fn export(
    run: &Path,
    files: &HuggingFaceFiles,
    parameters: &Tensor,
) -> anyhow::Result<PathBuf> {
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
