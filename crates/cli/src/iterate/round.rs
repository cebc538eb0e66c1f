//! The commands of a round, and what came of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use iwsft_data::{EpochOrder, Mixture, Object};
use iwsft_files::write_atomically;
use serde::Serialize;
use serde_json::{Value, json};

use super::recipe::{From, IterateRecipe, Reference, Rows};
use crate::progress::{Progress, duration};
use crate::prompting::Chat;
use crate::recipe::{DataSection, Files, ModelSection, Recipe, ReferenceSection};
use crate::steps::{Halt, Steps, anew, replaced};

/// What came of a round. Round 0 is the start, which is only evaluated.
#[derive(Debug, Default, Serialize)]
pub(super) struct RoundResult {
    pub(super) round: u32,
    pub(super) model: PathBuf,
    /// Completions drawn, and their tokens.
    pub(super) samples: Option<u64>,
    pub(super) tokens_sampled: Option<u64>,
    /// Mean reward of the samples: with rules, the share of right ones.
    pub(super) reward: Option<f64>,
    /// Rows left after curation.
    pub(super) kept: Option<u64>,
    /// Optimizer steps, and tokens that went through the model, prompts included.
    pub(super) steps: Option<u64>,
    pub(super) tokens_trained: Option<u64>,
    /// How even the weights of the last step were.
    pub(super) effective_share: Option<f64>,
    /// What the round's model achieves, as `iwsft eval` says it.
    pub(super) evaluation: Option<Value>,
}

/// All commands of all rounds.
pub(super) struct Rounds<'a> {
    pub(super) recipe: &'a IterateRecipe,
    /// Rows of the prompts' file.
    pub(super) prompts: &'a [Object],
    pub(super) threads: Option<usize>,
    pub(super) stop: &'a AtomicBool,
    pub(super) progress: &'a mut Progress,
    pub(super) done: u64,
}

/// The commands of a round: sample, grade, curate, train, and eval.
pub(super) const COMMANDS: u64 = 5;

impl Rounds<'_> {
    /// Evaluates the start.
    pub(super) fn start(&mut self) -> Result<RoundResult, Halt> {
        let folder = self.folder(0);
        let model = self.recipe.model.path.clone();
        let evaluation = match &self.recipe.eval {
            Some(_) => Some(self.evaluate(&folder, &model)?),
            None => None,
        };
        Ok(RoundResult {
            model,
            evaluation,
            ..RoundResult::default()
        })
    }

    /// Makes round `round`, from 1, with samples of `latest`.
    pub(super) fn round(&mut self, round: u32, latest: &Path) -> Result<RoundResult, Halt> {
        let folder = self.folder(round);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        self.progress.line(&format!("\nround {round}"));
        let sampled = self.sample(round, &folder, latest)?;
        let graded = self.grade(&folder)?;
        let curated = self.curate(&folder)?;
        let trained = self.train(round, &folder, latest)?;
        let model = folder.join("run/model");
        let every = self.recipe.eval.as_ref().map(|eval| eval.every);
        let is_due = |every| round == self.recipe.rounds || u64::from(round).is_multiple_of(every);
        let evaluation = match every.filter(|every| is_due(*every)) {
            Some(_) => Some(self.evaluate(&folder, &model)?),
            None => None,
        };
        Ok(RoundResult {
            round,
            model,
            samples: sampled["completions"].as_u64(),
            tokens_sampled: sampled["tokens"].as_u64(),
            reward: share(&graded),
            kept: curated["train"]["rows"].as_u64(),
            steps: trained["steps"].as_u64(),
            tokens_trained: trained["tokens"].as_u64(),
            effective_share: trained["effective_share"].as_f64(),
            evaluation,
        })
    }

    fn folder(&self, round: u32) -> PathBuf {
        self.recipe.run_folder().join(format!("round-{round:03}"))
    }

    fn sample(&mut self, round: u32, folder: &Path, model: &Path) -> Result<Value, Halt> {
        let (problems, out) = (folder.join("problems.jsonl"), folder.join("samples.jsonl"));
        let mut rows = Vec::new();
        for index in self.prompts_of(round)? {
            rows.extend(serde_json::to_vec(&self.prompts[index]).map_err(anyhow::Error::from)?);
            rows.push(b'\n');
        }
        write_atomically(&problems, &rows).with_context(|| problems.display().to_string())?;
        let recipe = self.recipe;
        let mut arguments = vec![
            "sample".to_owned(),
            model.display().to_string(),
            format!("--prompts={}", problems.display()),
            format!("--out={}", out.display()),
            format!("--seed={}", seed_of(recipe.train.seed, round)),
        ];
        arguments.extend(recipe.prompts.arguments());
        arguments.extend(recipe.sample.arguments());
        if let Some(template) = &recipe.model.chat_template {
            arguments.push(format!("--chat-template={}", template.display()));
        }
        arguments.extend(anew(&out).iter().map(|&option| option.to_owned()));
        self.step(folder, "sample", &arguments, |result| {
            let of = |key: &str| result[key].as_f64().unwrap_or(f64::NAN);
            format!(
                "{} completions, {:.0} tokens/s",
                of("completions"),
                of("tokens_per_second")
            )
        })
    }

    /// The rows of a round: all come once, in random order, before any comes
    /// again.
    fn prompts_of(&self, round: u32) -> anyhow::Result<Vec<usize>> {
        let count = self.prompts.len();
        let wanted = self.recipe.sample.prompts.unwrap_or(count);
        let order = EpochOrder::new(Mixture::whole(count), None, self.recipe.train.seed)?;
        let first = (round as usize - 1) * wanted;
        let mut places: Vec<usize> = (first..first + wanted)
            .map(|place| order.epoch((place / count) as u64)[place % count])
            .collect();
        // At the border of two passes one may come twice, with the same draws.
        places.sort_unstable();
        places.dedup();
        Ok(places)
    }

    fn grade(&mut self, folder: &Path) -> Result<Value, Halt> {
        let (samples, graded) = (folder.join("samples.jsonl"), folder.join("graded.jsonl"));
        let mut arguments = vec![
            "grade".to_owned(),
            samples.display().to_string(),
            format!("--out={}", graded.display()),
        ];
        arguments.extend(self.recipe.grade.arguments());
        arguments.extend(replaced(&graded).iter().map(|&option| option.to_owned()));
        self.step(folder, "grade", &arguments, |result| {
            let reward = share(result).unwrap_or(f64::NAN);
            format!("mean reward {reward:.3}")
        })
    }

    fn curate(&mut self, folder: &Path) -> Result<Value, Halt> {
        let rules = folder.join("curate.toml");
        let text = toml::to_string(&self.recipe.curate).context("cannot write the rules")?;
        write_atomically(&rules, text.as_bytes()).with_context(|| rules.display().to_string())?;
        let out = folder.join("kept.jsonl");
        let mut arguments = vec![
            "curate".to_owned(),
            folder.join("graded.jsonl").display().to_string(),
            format!("--rules={}", rules.display()),
            format!("--out={}", out.display()),
        ];
        arguments.extend(replaced(&out).iter().map(|&option| option.to_owned()));
        self.step(folder, "curate", &arguments, |result| {
            format!("{} rows", result["train"]["rows"])
        })
    }

    fn train(&mut self, round: u32, folder: &Path, latest: &Path) -> Result<Value, Halt> {
        let recipe = self.recipe;
        let first = match recipe.data {
            Rows::Latest => round,
            Rows::All => 1,
        };
        let files = (first..=round).map(|round| self.folder(round).join("kept.jsonl"));
        let start = match recipe.from {
            From::Latest => latest,
            From::Start => &recipe.model.path,
        };
        let inner = Recipe {
            run: Some(folder.join("run")),
            model: ModelSection {
                path: start.to_owned(),
                ..recipe.model.clone()
            },
            data: DataSection {
                train: Files::Several(files.collect()),
                // Rows are put as they were drawn.
                chat: match recipe.prompts.chat {
                    true => Chat::Auto,
                    false => Chat::No,
                },
                ..DataSection::of_file(Path::new(""))
            },
            objective: recipe.objective.clone(),
            reference: Some(ReferenceSection {
                column: recipe.reference == Reference::Behaviour,
                ..ReferenceSection::default()
            }),
            train: recipe.train.clone(),
            eval: None,
        };
        let path = folder.join("train.toml");
        write_atomically(&path, inner.to_toml()?.as_bytes())
            .with_context(|| path.display().to_string())?;
        let mut arguments = vec!["train".to_owned(), path.display().to_string()];
        if folder.join("run").exists() {
            arguments.push("--resume".to_owned());
        }
        self.step(folder, "train", &arguments, |result| {
            let loss = result["loss"].as_f64().unwrap_or(f64::NAN);
            format!("{} steps, loss {loss:.4}", result["steps"])
        })
    }

    fn evaluate(&mut self, folder: &Path, model: &Path) -> Result<Value, Halt> {
        let out = folder.join("eval");
        let mut arguments = vec![
            "eval".to_owned(),
            model.display().to_string(),
            format!("--out={}", out.display()),
        ];
        let recipe = self.recipe;
        arguments.extend(recipe.eval.iter().flat_map(|eval| eval.arguments()));
        if let Some(template) = &recipe.model.chat_template {
            arguments.push(format!("--chat-template={}", template.display()));
        }
        let restart = anew(&out.join("results.json"));
        arguments.extend(restart.iter().map(|&option| option.to_owned()));
        self.step(folder, "eval", &arguments, in_words)
    }

    /// Runs a command and says what came of it.
    fn step(
        &mut self,
        folder: &Path,
        name: &str,
        arguments: &[String],
        outcome: impl FnOnce(&Value) -> String,
    ) -> Result<Value, Halt> {
        let begun = std::time::Instant::now();
        let steps = Steps::new(folder, self.threads, self.stop)?;
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let result = steps.run(name, &arguments)?;
        self.done += 1;
        let seconds = duration(begun.elapsed().as_secs_f64());
        let outcome = outcome(&result);
        self.progress
            .line(&format!("  {name:<8} {seconds:>6}  {outcome}"));
        self.progress.at(self.done, || name.to_owned());
        Ok(result)
    }
}

/// Mean reward, as `iwsft grade` says it of rules or of a program.
fn share(graded: &Value) -> Option<f64> {
    graded["share"].as_f64().or(graded["mean_reward"].as_f64())
}

/// An evaluation's figure with its interval.
pub(super) fn in_words(evaluation: &Value) -> String {
    let percent = |value: &Value| format!("{:.1}%", 100.0 * value.as_f64().unwrap_or(f64::NAN));
    let interval = &evaluation["interval"];
    let value = percent(&evaluation["value"]);
    format!(
        "{value} ({} to {})",
        percent(&interval[0]),
        percent(&interval[1])
    )
}

/// The seed of a round's samples.
fn seed_of(seed: u64, round: u32) -> u64 {
    let key = json!(["iwsft iterate, version 1", seed, round]).to_string();
    let hash = blake3::hash(key.as_bytes());
    let mut word = [0; 8];
    word.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_le_bytes(word)
}
