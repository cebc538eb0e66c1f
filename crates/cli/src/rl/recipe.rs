//! A recipe of `iwsft rl`.

use std::path::{Path, PathBuf};

use iwsft_lm::{Room, Sampling, Tokenizer};
use iwsft_objective::PolicyGradientSpec;
use iwsft_train::{Rounds, TrainConfig};
use serde::{Deserialize, Serialize};

use crate::eval::EvalSection;
use crate::grade::GradeSection;
use crate::mistake::Mistake;
use crate::recipe::{ModelSection, RecipeFile};
use crate::sample::prompts::PromptsSection;

/// A recipe as written, with its paths made absolute.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RlRecipe {
    /// The folder of the run; `runs/NAME` beside the recipe where it has none.
    pub(crate) run: Option<PathBuf>,
    pub(crate) model: ModelSection,
    pub(crate) prompts: PromptsSection,
    #[serde(default)]
    pub(crate) grade: GradeSection,
    #[serde(default)]
    pub(crate) rollout: RolloutSection,
    #[serde(default)]
    pub(crate) objective: PolicyGradientSpec,
    #[serde(default)]
    pub(crate) train: TrainConfig,
    /// Present: a benchmark is taken from time to time; `every` counts rounds.
    pub(crate) eval: Option<EvalSection>,
}

/// `[rollout]`: what a round draws, and how often it is trained on.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RolloutSection {
    /// Rounds of the run.
    pub(crate) rounds: u64,
    /// Prompts of a round.
    pub(crate) prompts: usize,
    /// Completions of each prompt.
    pub(crate) group: usize,
    /// Optimizer steps of a pass over a round's completions.
    pub(crate) updates: u64,
    /// Passes over a round's completions.
    pub(crate) passes: u64,
    /// Most tokens of a completion.
    pub(crate) max_tokens: usize,
    /// Texts that end a completion.
    pub(crate) stop: Vec<String>,
    /// Tokens that end a completion, as text or number.
    pub(crate) stop_tokens: Vec<String>,
    /// Completions in work at once; no result depends on it.
    pub(crate) batch: usize,
    /// Most memory for keys and values, in GiB.
    pub(crate) cache_memory: usize,
}

impl Default for RolloutSection {
    fn default() -> Self {
        Self {
            rounds: 100,
            prompts: 32,
            group: 8,
            updates: 1,
            passes: 1,
            max_tokens: 256,
            stop: Vec::new(),
            stop_tokens: Vec::new(),
            batch: 256,
            cache_memory: 4,
        }
    }
}

impl RlRecipe {
    /// Reads `path` (a recipe, or a run folder with its `recipe.toml`) and
    /// applies `sets`, each `dotted.key=value`.
    pub(crate) fn read(path: &Path, sets: &[String]) -> anyhow::Result<Self> {
        let file = RecipeFile::open(path)?;
        let mut recipe: Self = file.parse(sets)?;
        recipe.run = Some(file.run_folder(recipe.run.as_deref()));
        let folder = &file.folder;
        recipe.model.path = folder.join(&recipe.model.path);
        recipe.prompts.file = folder.join(&recipe.prompts.file);
        if let Some(template) = &mut recipe.model.chat_template {
            *template = folder.join(&template);
        }
        if let Some(eval) = &mut recipe.eval {
            eval.resolve(folder);
        }
        recipe.check()?;
        Ok(recipe)
    }

    fn check(&self) -> anyhow::Result<()> {
        self.objective.resolve()?;
        self.grade.check()?;
        self.rollout.check()?;
        self.train.validate()?;
        let default = TrainConfig::default();
        let unused = [
            ("epochs", self.train.epochs.is_some(), "rollout.rounds"),
            ("steps", self.train.steps.is_some(), "rollout.rounds"),
            (
                "batch_size",
                self.train.batch_size != default.batch_size,
                "rollout.updates, which splits the completions of a round",
            ),
            (
                "validate_every",
                self.train.validate_every != default.validate_every,
                "[eval], which counts right answers",
            ),
        ];
        match unused.into_iter().find(|(_, is_set, _)| *is_set) {
            None => Ok(()),
            Some((key, _, instead)) => Err(Mistake::new(format!(
                "`train.{key}` has no effect in `iwsft rl`; remove it, and use {instead}"
            ))
            .into()),
        }
    }

    /// The recipe as TOML.
    pub(crate) fn to_toml(&self) -> anyhow::Result<String> {
        Ok(toml::to_string(self)?)
    }

    /// The folder of the run.
    pub(crate) fn run_folder(&self) -> &Path {
        self.run.as_deref().unwrap_or(Path::new("runs/run"))
    }
}

impl RolloutSection {
    fn check(&self) -> anyhow::Result<()> {
        let least = [
            ("rounds", self.rounds, 1),
            ("prompts", self.prompts as u64, 1),
            // One completion has nothing to be compared with.
            ("group", self.group as u64, 2),
            ("updates", self.updates, 1),
            ("passes", self.passes, 1),
            ("max_tokens", self.max_tokens as u64, 1),
            ("batch", self.batch as u64, 1),
            ("cache_memory", self.cache_memory as u64, 1),
        ];
        if let Some((key, found, least)) = least.into_iter().find(|(_, n, least)| n < least) {
            let message = format!("`rollout.{key}` is {found}; expected {least} or more");
            return Err(Mistake::new(message).into());
        }
        let completions = self.prompts.saturating_mul(self.group) as u64;
        if self.updates > completions {
            return Err(Mistake::new(format!(
                "`rollout.updates` is {}, and a round has {completions} completions ({} prompts of \
                 {}); expected at most as many updates",
                self.updates, self.prompts, self.group
            ))
            .into());
        }
        Ok(())
    }

    pub(super) fn rounds(&self) -> Rounds {
        Rounds {
            rounds: self.rounds,
            updates: self.updates,
            passes: self.passes,
        }
    }

    pub(super) fn room(&self) -> Room {
        Room {
            slots: self.batch,
            cache_bytes: self.cache_memory << 30,
        }
    }

    /// Completions come from the policy as it is: temperature 1, nothing cut off,
    /// so that their log-probabilities are the policy's.
    pub(super) fn sampling(&self, tokenizer: &Tokenizer) -> anyhow::Result<Sampling> {
        let token = |text: &String| {
            let token = tokenizer.token(text).or_else(|| text.parse().ok());
            token.ok_or_else(|| {
                Mistake::new(format!(
                    "`rollout.stop_tokens` has `{text}`, which is not a token of the model; to end \
                     at a text, use rollout.stop"
                ))
            })
        };
        let sampling = Sampling {
            max_tokens: self.max_tokens,
            stop: self.stop.clone(),
            stop_tokens: self
                .stop_tokens
                .iter()
                .map(token)
                .collect::<Result<_, _>>()?,
            ..Sampling::default()
        };
        sampling.check()?;
        Ok(sampling)
    }
}
