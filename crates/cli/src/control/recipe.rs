//! A recipe of `iwsft control train`.

use std::path::{Path, PathBuf};

use iwsft_control::baseline::Baseline;
use iwsft_data::episodes::{EpisodeColumns, ReturnQuality, Tail};
use iwsft_objective::{Objective, ObjectiveSpec};
use iwsft_train::TrainConfig;
use serde::{Deserialize, Deserializer, Serialize};

use crate::mistake::Mistake;
use crate::recipe::parse;

/// A recipe as written, with its paths made absolute.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ControlRecipe {
    /// The folder of the run; `runs/NAME` beside the recipe where it has none.
    run: Option<PathBuf>,
    /// Independent runs; the first one has the seed `train.seed`.
    #[serde(default = "one")]
    pub(super) seeds: u64,
    pub(super) data: EpisodeSection,
    #[serde(default)]
    pub(super) policy: PolicySection,
    /// Present: the policy first learns to do as all of the data does, and
    /// training begins there. That policy is the reference.
    #[serde(
        default,
        deserialize_with = "behaviour_cloning",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) behaviour_cloning: Option<TrainConfig>,
    /// What is trained by weighted log-likelihood; a recipe has this or a baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) objective: Option<ObjectiveSpec>,
    /// The algorithm to compare with, instead of an objective.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) baseline: Option<Baseline>,
    #[serde(default = "fine_tuning_defaults", deserialize_with = "fine_tuning")]
    pub(super) train: TrainConfig,
    pub(super) environment: EnvironmentSection,
}

/// `[data]`: recorded episodes, and which of them are trained on.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EpisodeSection {
    pub(super) path: PathBuf,
    #[serde(default)]
    pub(super) tail: Tail,
    /// The actions are multiplied by this to be in the environment's units.
    #[serde(default = "unscaled")]
    pub(super) action_scale: f32,
    /// Episodes with a return above each of these percentiles, once for each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) percentiles: Option<Vec<f64>>,
    /// The best share of the episodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) top_share: Option<f64>,
    /// The best episodes that have this share of the steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) top_share_of_steps: Option<f64>,
    /// How a return becomes a quality, for `objective.quality`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) quality: Option<ReturnQuality>,
    #[serde(default)]
    pub(super) columns: EpisodeColumns,
}

/// `[policy]`: the network.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PolicySection {
    /// Widths of its hidden layers.
    pub(super) hidden: Vec<usize>,
    /// Whether observations get the mean 0 and the deviation 1 of the data.
    pub(super) normalise: bool,
    /// A policy's folder to start from, or a run: then each seed starts from
    /// that seed's policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) start: Option<PathBuf>,
}

impl Default for PolicySection {
    fn default() -> Self {
        Self {
            hidden: vec![256; 3],
            normalise: true,
            start: None,
        }
    }
}

/// `[environment]`: where the policy acts, and how often.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EnvironmentSection {
    pub(super) name: String,
    /// Steps between evaluations; see [`ControlRecipe::evaluate_every`].
    #[serde(skip_serializing_if = "Option::is_none")]
    every: Option<u64>,
    /// Episodes of an evaluation while it trains.
    #[serde(default = "episodes")]
    pub(super) episodes: usize,
    /// Episodes of the evaluation at the end.
    #[serde(default = "final_episodes")]
    pub(super) final_episodes: usize,
    /// Decides where episodes begin: the same for every policy and seed.
    #[serde(default = "environment_seed")]
    pub(super) seed: u64,
}

fn one() -> u64 {
    1
}

fn unscaled() -> f32 {
    1.0
}

fn episodes() -> usize {
    10
}

fn final_episodes() -> usize {
    100
}

/// Far from 0, where most data sets begin to count.
fn environment_seed() -> u64 {
    1_000_000
}

/// The authors' fine-tuning: plain Adam, and a cosine to 0 after a warm-up.
const FINE_TUNING: &str = "
    steps = 2000
    batch_size = 256
    learning_rate = 4e-5
    warmup = 300
    beta2 = 0.999
    weight_decay = 0.0
    max_grad_norm = 0.0
";

/// Their behaviour cloning: plain Adam at a constant rate.
const BEHAVIOUR_CLONING: &str = "
    steps = 10000
    batch_size = 128
    learning_rate = 1e-3
    schedule = \"constant\"
    warmup = 0
    beta2 = 0.999
    weight_decay = 0.0
    max_grad_norm = 0.0
";

/// The settings of a section, with what it lacks taken from `defaults`.
fn with_defaults<E: serde::de::Error>(
    mut table: toml::Table,
    defaults: &str,
) -> Result<TrainConfig, E> {
    let defaults: toml::Table = toml::from_str(defaults).map_err(E::custom)?;
    for (key, value) in defaults {
        if !(key == "steps" && table.contains_key("epochs")) {
            table.entry(key).or_insert(value);
        }
    }
    TrainConfig::deserialize(table).map_err(|error| E::custom(error.message()))
}

fn fine_tuning<'de, D: Deserializer<'de>>(section: D) -> Result<TrainConfig, D::Error> {
    with_defaults(toml::Table::deserialize(section)?, FINE_TUNING)
}

fn behaviour_cloning<'de, D: Deserializer<'de>>(
    section: D,
) -> Result<Option<TrainConfig>, D::Error> {
    with_defaults(toml::Table::deserialize(section)?, BEHAVIOUR_CLONING).map(Some)
}

fn fine_tuning_defaults() -> TrainConfig {
    with_defaults::<toml::de::Error>(toml::Table::new(), FINE_TUNING).unwrap_or_default()
}

impl ControlRecipe {
    /// Reads `path` (a recipe, or a run folder with its `recipe.toml`) and
    /// applies `sets`, each `dotted.key=value`.
    pub(super) fn read(path: &Path, sets: &[String]) -> anyhow::Result<Self> {
        let is_run = path.is_dir();
        let path = match is_run {
            true => path.join("recipe.toml"),
            false => path.to_owned(),
        };
        let text = iwsft_files::read_text(&path).map_err(|error| {
            Mistake::new(format!(
                "{}: cannot read the recipe: {error}",
                path.display()
            ))
        })?;
        let mut recipe: Self = parse(&path, &text, sets)?;
        let absolute = std::path::absolute(&path)?;
        let folder = absolute.parent().unwrap_or(Path::new("."));
        let run = match (&recipe.run, is_run) {
            // A run goes on where it lies now, even if it was moved.
            (_, true) => folder.to_owned(),
            (Some(run), false) => folder.join(run),
            (None, false) => folder
                .join("runs")
                .join(path.file_stem().unwrap_or_default()),
        };
        recipe.run = Some(run);
        recipe.data.path = folder.join(&recipe.data.path);
        recipe.policy.start = recipe.policy.start.map(|start| folder.join(start));
        recipe.validate()?;
        Ok(recipe)
    }

    fn validate(&self) -> anyhow::Result<()> {
        let refuse = |message: &str| Err(Mistake::new(message).into());
        match (&self.objective, &self.baseline) {
            (Some(objective), None) => self.validate_objective(&objective.resolve()?)?,
            (None, Some(baseline)) => {
                baseline
                    .validate()
                    .map_err(|error| Mistake::new(error.to_string()))?;
                self.validate_baseline()?;
            }
            _ => {
                return refuse(
                    "a recipe has either [objective] or [baseline]; see docs/guide/control.md",
                );
            }
        }
        if !(self.data.action_scale.is_finite() && self.data.action_scale != 0.0) {
            return refuse("`data.action_scale` must be a finite number other than 0");
        }
        let environment = &self.environment;
        if self.seeds == 0 || environment.every == Some(0) {
            return refuse("`seeds` and `environment.every` must be 1 or more");
        }
        if !(2..=100_000).contains(&environment.episodes)
            || !(2..=100_000).contains(&environment.final_episodes)
        {
            return refuse(
                "`environment.episodes` and `environment.final_episodes` must be from 2, for an \
                 interval, to 100000",
            );
        }
        Ok(())
    }

    /// A baseline has its own steps, widths and rates; those of others are not for it.
    fn validate_baseline(&self) -> anyhow::Result<()> {
        let others = TrainConfig {
            seed: fine_tuning_defaults().seed,
            precision: fine_tuning_defaults().precision,
            ..self.train.clone()
        };
        let given = [
            ("[policy]", self.policy != PolicySection::default()),
            ("[behaviour_cloning]", self.behaviour_cloning.is_some()),
            ("[train]", others != fine_tuning_defaults()),
            ("`data.quality`", self.data.quality.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((what, _)) => Err(Mistake::new(format!(
                "{what} has no effect on a [baseline], whose settings are its own; remove it \
                 (of [train], `seed` and `precision` may stay)"
            ))
            .into()),
            None => Ok(()),
        }
    }

    fn validate_objective(&self, objective: &Objective) -> anyhow::Result<()> {
        let refuse = |message: &str| Err(Mistake::new(message).into());
        self.train.validate()?;
        if let Some(section) = &self.behaviour_cloning {
            section.validate()?;
        }
        let starts = self.behaviour_cloning.is_some() || self.policy.start.is_some();
        if self.behaviour_cloning.is_some() && self.policy.start.is_some() {
            return refuse(
                "`policy.start` and [behaviour_cloning] are two different starts; keep one",
            );
        }
        if objective.needs_reference() && !starts {
            return refuse(
                "the objective weighs by a reference, which is the policy that training starts from; \
                 add [behaviour_cloning], or `policy.start`",
            );
        }
        if self.data.quality.is_some() && objective.quality == iwsft_objective::Quality::Off {
            return refuse(
                "`data.quality` has no effect while `objective.quality` is \"off\"; remove it, or \
                 set `objective.quality` to \"resample\" or \"weight\"",
            );
        }
        Ok(())
    }

    pub(super) fn to_toml(&self) -> anyhow::Result<String> {
        Ok(toml::to_string(self)?)
    }

    /// The objective or the baseline, in a word.
    pub(super) fn method(&self) -> String {
        if let Some(baseline) = &self.baseline {
            return baseline.name().to_owned();
        }
        let objective = self.objective.clone().unwrap_or_default();
        let Ok(resolved) = objective.resolve() else {
            return String::new();
        };
        let quality = match resolved.quality {
            iwsft_objective::Quality::Off => "",
            _ => "(q)",
        };
        format!("{}{quality}", resolved.method.name())
    }

    /// Steps between evaluations: by default 500, as the authors have it, and 5000 for
    /// a baseline, whose steps are far smaller and more.
    pub(super) fn evaluate_every(&self) -> u64 {
        let default = if self.baseline.is_some() { 5000 } else { 500 };
        self.environment.every.unwrap_or(default)
    }

    /// Moves the run to another folder.
    pub(super) fn set_run_folder(&mut self, run: PathBuf) {
        self.run = Some(run);
    }

    /// The folder of the run, which has a folder for each seed.
    pub(super) fn run_folder(&self) -> &Path {
        self.run.as_deref().unwrap_or(Path::new("runs/run"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPE: &str = "
        [data]
        path = 'a.hdf5'
        [objective]
        preset = 'iw-sft-control'
        [environment]
        name = 'Hopper-v4'
    ";

    #[test]
    fn what_a_recipe_leaves_out_is_as_the_authors_have_it() {
        let text = format!("{RECIPE}\n[behaviour_cloning]\nbatch_size = 7");
        let recipe: ControlRecipe = parse(Path::new("r.toml"), &text, &[]).unwrap();
        let (train, cloning) = (&recipe.train, recipe.behaviour_cloning.as_ref().unwrap());
        assert_eq!((train.steps, cloning.steps), (Some(2000), Some(10_000)));
        assert_eq!((train.learning_rate, cloning.learning_rate), (4e-5, 1e-3));
        assert_eq!((train.batch_size, cloning.batch_size), (256, 7));
        assert_eq!((train.beta2, train.weight_decay), (0.999, 0.0));
        assert_eq!(train.plan(1).warmup_steps, 300);
        let again: ControlRecipe = toml::from_str(&recipe.to_toml().unwrap()).unwrap();
        assert_eq!(&again.train, train);
        assert_eq!(again.behaviour_cloning, recipe.behaviour_cloning);
    }

    #[test]
    fn epochs_take_the_place_of_steps_and_unknown_keys_are_refused() {
        let text = format!("{RECIPE}\n[train]\nepochs = 2");
        let recipe: ControlRecipe = parse(Path::new("r.toml"), &text, &[]).unwrap();
        assert_eq!((recipe.train.epochs, recipe.train.steps), (Some(2.0), None));
        let text = format!("{RECIPE}\n[train]\nbach_size = 2");
        let error = parse::<ControlRecipe>(Path::new("r.toml"), &text, &[]).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("did you mean `batch_size`?"), "{message}");
    }
}
