//! A recipe of `iwsft iterate`.

use std::path::{Path, PathBuf};

use iwsft_lm::Sampling;
use iwsft_objective::ObjectiveSpec;
use iwsft_train::TrainConfig;
use serde::{Deserialize, Serialize};

use crate::curate;
use crate::escapes::escape;
use crate::eval::EvalSection;
use crate::grade::GradeSection;
use crate::mistake::Mistake;
use crate::recipe::{ModelSection, RecipeFile};
use crate::sample::prompts::PromptsSection;

/// A recipe as written, with its paths made absolute.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IterateRecipe {
    /// The folder of all rounds; `runs/NAME` beside the recipe where it has none.
    pub(super) run: Option<PathBuf>,
    /// Rounds of sampling, grading, curating and training.
    pub(super) rounds: u32,
    #[serde(default)]
    pub(super) from: From,
    #[serde(default)]
    pub(super) data: Rows,
    pub(super) model: ModelSection,
    pub(super) prompts: PromptsSection,
    #[serde(default)]
    pub(super) sample: SampleSection,
    #[serde(default)]
    pub(super) grade: GradeSection,
    /// The rules of `iwsft curate`.
    #[serde(default = "curate::Options::right_answers")]
    pub(super) curate: curate::Options,
    pub(super) objective: ObjectiveSpec,
    #[serde(default)]
    pub(super) reference: Reference,
    #[serde(default)]
    pub(super) train: TrainConfig,
    /// Present: every model is evaluated, the start too; `every` counts rounds.
    pub(super) eval: Option<EvalSection>,
}

/// The model that a round's training starts from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum From {
    /// The last round's result.
    #[default]
    Latest,
    /// The model that the first round started from.
    Start,
}

/// The rows that a round trains on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Rows {
    /// Those that it drew itself.
    #[default]
    Latest,
    /// Those of all rounds so far.
    All,
}

/// The reference of a round's training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Reference {
    /// The policy that drew each row: the log-probabilities that sampling kept.
    #[default]
    Behaviour,
    /// The model that the round's training starts from.
    RoundStart,
}

/// `[sample]`: what a round draws. The keys are the options of `iwsft sample`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SampleSection {
    /// Prompts of a round; all of the file where nothing is said.
    pub(super) prompts: Option<usize>,
    /// Completions of each.
    pub(super) k: u32,
    pub(super) temperature: f64,
    pub(super) top_p: f64,
    pub(super) top_k: Option<usize>,
    pub(super) min_p: f64,
    pub(super) max_tokens: usize,
    pub(super) stop: Vec<String>,
    pub(super) stop_tokens: Vec<String>,
    /// Completions in work at once; no result depends on it.
    pub(super) batch: u32,
    /// Most memory for keys and values, in GiB.
    pub(super) cache_memory: u32,
}

impl Default for SampleSection {
    fn default() -> Self {
        let Sampling {
            temperature,
            top_p,
            top_k,
            min_p,
            max_tokens,
            ..
        } = Sampling::default();
        Self {
            prompts: None,
            k: 4,
            temperature,
            top_p,
            top_k,
            min_p,
            max_tokens,
            stop: Vec::new(),
            stop_tokens: Vec::new(),
            batch: 256,
            cache_memory: 4,
        }
    }
}

impl IterateRecipe {
    /// Reads `path` (a recipe, or a run folder with its `recipe.toml`) and
    /// applies `sets`, each `dotted.key=value`.
    pub(super) fn read(path: &Path, sets: &[String]) -> anyhow::Result<Self> {
        let file = RecipeFile::open(path)?;
        let mut recipe: Self = file.parse(sets)?;
        recipe.run = Some(file.run_folder(recipe.run.as_deref()));
        let folder = &file.folder;
        recipe.model.path = folder.join(&recipe.model.path);
        recipe.prompts.file = folder.join(&recipe.prompts.file);
        if let Some(template) = &mut recipe.model.chat_template {
            *template = folder.join(&template);
        }
        recipe.curate.resolve(folder);
        if let Some(eval) = &mut recipe.eval {
            eval.resolve(folder);
        }
        recipe.check()?;
        Ok(recipe)
    }

    fn check(&self) -> anyhow::Result<()> {
        let refuse = |message: &str| Err(Mistake::new(message).into());
        self.objective.resolve()?;
        self.grade.check()?;
        self.train.validate()?;
        self.curate.rules()?;
        if let Some(eval) = &self.eval {
            eval.check()?;
        }
        if self.rounds == 0 {
            return refuse("`rounds` is 0; expected 1 or more");
        }
        if self.sample.k == 0 || self.sample.prompts == Some(0) {
            return refuse("`sample.k` and `sample.prompts` must be 1 or more");
        }
        if self.sample.batch == 0 || self.sample.cache_memory == 0 {
            return refuse("`sample.batch` and `sample.cache_memory` must be 1 or more");
        }
        if !self.model.chat_variables.is_empty() {
            return refuse(
                "`model.chat_variables` has no effect on what `iwsft iterate` samples; give a \
                 `model.chat_template` that has the values in it",
            );
        }
        if self.curate.split.is_some() {
            return refuse(
                "`curate.split` would keep rows for validation, which rounds do not look at; \
                 remove it, and use [eval]",
            );
        }
        let sampling = Sampling {
            temperature: self.sample.temperature,
            top_p: self.sample.top_p,
            top_k: self.sample.top_k,
            min_p: self.sample.min_p,
            max_tokens: self.sample.max_tokens,
            stop: self.sample.stop.clone(),
            ..Sampling::default()
        };
        sampling.check()?;
        Ok(())
    }

    /// The recipe as TOML.
    pub(super) fn to_toml(&self) -> anyhow::Result<String> {
        Ok(toml::to_string(self)?)
    }

    /// The folder of all rounds.
    pub(super) fn run_folder(&self) -> &Path {
        self.run.as_deref().unwrap_or(Path::new("runs/run"))
    }
}

impl SampleSection {
    /// The options of `iwsft sample` that say the same.
    pub(super) fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![
            format!("--completions={}", self.k),
            format!("--temperature={}", self.temperature),
            format!("--top-p={}", self.top_p),
            format!("--min-p={}", self.min_p),
            format!("--max-tokens={}", self.max_tokens),
            format!("--batch={}", self.batch),
            format!("--cache-memory={}", self.cache_memory),
        ];
        arguments.extend(self.top_k.map(|k| format!("--top-k={k}")));
        let stop = self.stop.iter().map(|text| escape(text));
        arguments.extend(stop.map(|text| format!("--stop={text}")));
        let tokens = self.stop_tokens.iter();
        arguments.extend(tokens.map(|token| format!("--stop-token={token}")));
        arguments
    }
}
