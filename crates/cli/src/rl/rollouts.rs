//! Completions of the policy as it is, rewarded, for the loop to train on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use iwsft_data::{EpochOrder, Mixture};
use iwsft_engine::Tensor;
use iwsft_lm::{Completion, Finish, LanguageModel, Room, Sampling, TokenBatch, TokenRequest};
use iwsft_objective::policy_gradient::Advantages;
use iwsft_train::{Observer, Rollouts, Round, SourceError, Trajectories};
use serde_json::{Value, json};

use super::recipe::RlRecipe;
use crate::embedded::Embedded;
use crate::generator::{Prompt, Request};
use crate::grade::{Completed, GradeSection};
use crate::language::ModelFolder;
use crate::mistake::Mistake;
use crate::prompting::TrainedOn;
use crate::sample::prompts::{PromptRow, PromptsSection};

/// Draws groups of completions and rewards them.
pub(super) struct GroupRollouts<'a> {
    problems: Vec<Problem>,
    order: EpochOrder,
    seed: u64,
    /// Problems of a round, and completions of each.
    prompts: usize,
    group: usize,
    sampling: Sampling,
    room: Room,
    grade: GradeSection,
    advantages: Advantages,
    /// Lent to the generator while completions are drawn.
    folder: Option<ModelFolder>,
    stop: &'a AtomicBool,
}

/// A row to draw completions for.
struct Problem {
    row: PromptRow,
    /// The prompt as a grading program gets it.
    prompt: Value,
    tokens: Arc<[u32]>,
}

/// Why a drawing ended early: the user wants the run to stop.
#[derive(Debug, thiserror::Error)]
#[error("stopped")]
struct Stopped;

impl<'a> GroupRollouts<'a> {
    /// Reads the problems of a recipe and checks that each can be asked and
    /// graded. `folder` has tokenizer and chat template.
    pub(super) fn new(
        recipe: &RlRecipe,
        advantages: Advantages,
        folder: ModelFolder,
        stop: &'a AtomicBool,
    ) -> anyhow::Result<Self> {
        let rollout = &recipe.rollout;
        let problems = recipe
            .prompts
            .args()
            .read(&recipe.prompts.file)?
            .into_iter()
            .map(|row| Problem::new(row, &folder, &recipe.grade))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let (wanted, found) = (rollout.prompts, problems.len());
        if wanted > found {
            return Err(Mistake::new(format!(
                "`rollout.prompts` is {wanted}, and {} has {found} prompts; expected at most as many",
                recipe.prompts.file.display()
            ))
            .into());
        }
        Ok(Self {
            order: EpochOrder::new(Mixture::whole(found), None, recipe.train.seed)?,
            problems,
            seed: recipe.train.seed,
            prompts: wanted,
            group: rollout.group,
            sampling: rollout.sampling(&folder.tokenizer)?,
            room: rollout.room(),
            grade: recipe.grade.clone(),
            advantages,
            folder: Some(folder),
            stop,
        })
    }

    /// How the problems are put to the model; `None` where some are in its chat
    /// template and some are not.
    pub(super) fn trained_on(&self, section: &PromptsSection) -> Option<TrainedOn> {
        let chats = self
            .problems
            .iter()
            .filter(|problem| problem.prompt.is_array());
        let chat = match chats.count() {
            0 => false,
            all if all == self.problems.len() => true,
            _ => return None,
        };
        let system = section.system.clone().filter(|_| chat);
        Some(TrainedOn { chat, system })
    }

    /// A hash of the problems: what else decides the result than the recipe.
    pub(super) fn fingerprint(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for problem in &self.problems {
            let row = serde_json::to_vec(&(&problem.prompt, &problem.row.kept)).unwrap_or_default();
            hasher.update(&(row.len() as u64).to_le_bytes());
            hasher.update(&row);
        }
        hasher.finalize().to_hex().to_string()
    }

    /// The problems of a round: all come once, in random order, before any comes
    /// again.
    fn problems_of(&self, round: u64) -> Vec<usize> {
        let count = self.problems.len() as u64;
        let (mut epoch, mut order) = (u64::MAX, Vec::new());
        let first = round * self.prompts as u64;
        (first..first + self.prompts as u64)
            .map(|place| {
                if epoch != place / count {
                    epoch = place / count;
                    order = self.order.epoch(epoch);
                }
                order[(place % count) as usize]
            })
            .collect()
    }

    /// Completions of a round, prompt by prompt, draw by draw.
    fn complete(
        &self,
        generator: &mut Embedded,
        problems: &[usize],
        round: u64,
        observer: &mut dyn Observer,
    ) -> anyhow::Result<Vec<Completion>> {
        let total = problems.len() * self.group;
        // A problem may come twice in a round, at the end of one pass and at the
        // beginning of the next: draws are numbered through the round, so that
        // its completions differ.
        let requests: Vec<TokenRequest> = (0..total)
            .map(|index| TokenRequest {
                prompt: Arc::clone(&self.problems[problems[index / self.group]].tokens),
                draw: index as u64,
            })
            .collect();
        let sampling = Sampling {
            seed: seed_of(self.seed, round),
            ..self.sampling.clone()
        };
        let mut completions: Vec<Option<Completion>> = vec![None; total];
        let mut done = 0;
        generator.complete_tokens(&requests, &sampling, &mut |index, completion| {
            completions[index] = Some(completion);
            done += 1;
            observer.on_drawing(done, total as u64);
            match self.stop.load(Ordering::Relaxed) {
                true => Err(Stopped.into()),
                false => Ok(()),
            }
        })?;
        let completions: Vec<Completion> = completions.into_iter().flatten().collect();
        anyhow::ensure!(completions.len() == total, "a completion was lost");
        Ok(completions)
    }

    fn round(
        &self,
        generator: &mut Embedded,
        round: u64,
        observer: &mut dyn Observer,
    ) -> anyhow::Result<Round<Completions>> {
        let problems = self.problems_of(round);
        let completions = self.complete(generator, &problems, round, observer)?;
        let completed: Vec<Completed<'_>> = completions
            .iter()
            .enumerate()
            .map(|(index, completion)| {
                let problem = &self.problems[problems[index / self.group]];
                Completed {
                    at: &problem.row.at,
                    row: &problem.row.kept,
                    prompt: &problem.prompt,
                    text: &completion.text,
                }
            })
            .collect();
        let rewards = self.grade.rewards(&completed)?;
        let mut advantages = vec![0.0; rewards.len()];
        let mut no_signal = 0;
        let groups = rewards.chunks(self.group);
        for (rewards, advantages) in groups.zip(advantages.chunks_mut(self.group)) {
            self.advantages.of(rewards, advantages);
            no_signal += u64::from(advantages.iter().all(|advantage| *advantage == 0.0));
        }
        let cut = completions.iter().filter(|c| c.finish == Finish::Length);
        let sum: f64 = rewards.iter().copied().map(f64::from).sum();
        Ok(Round {
            groups: problems.len() as u64,
            reward: sum / rewards.len().max(1) as f64,
            no_signal,
            tokens: completions.iter().map(|c| c.tokens.len() as u64).sum(),
            cut: cut.count() as u64,
            rollouts: Completions {
                prompts: problems
                    .iter()
                    .map(|&index| {
                        let problem = &self.problems[index];
                        (Arc::clone(&problem.tokens), problem.row.at.to_string())
                    })
                    .collect(),
                group: self.group,
                completions,
                advantages,
                round,
            },
        })
    }
}

impl Problem {
    fn new(row: PromptRow, folder: &ModelFolder, grade: &GradeSection) -> anyhow::Result<Self> {
        grade.check_row(&row.at, &row.kept)?;
        let request = Request {
            name: row.at.to_string(),
            prompt: row.prompt.clone(),
            prefix: String::new(),
            draw: 0,
        };
        let request = folder
            .request(&request)
            .with_context(|| row.at.to_string())?;
        Ok(Self {
            prompt: match &row.prompt {
                Prompt::Text(text) => json!(text),
                Prompt::Messages(messages) => json!(messages),
            },
            tokens: request.prompt,
            row,
        })
    }
}

/// The seed of a round's completions.
fn seed_of(seed: u64, round: u64) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"iwsft rollouts, version 1");
    hasher.update(&seed.to_le_bytes());
    hasher.update(&round.to_le_bytes());
    let mut word = [0; 8];
    hasher.finalize_xof().fill(&mut word);
    u64::from_le_bytes(word)
}

impl Rollouts<LanguageModel> for GroupRollouts<'_> {
    type Drawn = Completions;

    fn draw(
        &mut self,
        model: &LanguageModel,
        parameters: &Tensor,
        round: u64,
        observer: &mut dyn Observer,
    ) -> Result<Option<Round<Completions>>, SourceError> {
        let folder = self.folder.take().ok_or("the tokenizer is lent out")?;
        let mut generator = Embedded::new(folder, model, parameters, self.room);
        let drawn = self.round(&mut generator, round, observer);
        self.folder = Some(generator.folder);
        match drawn {
            Ok(round) => Ok(Some(round)),
            Err(error) if error.is::<Stopped>() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// A round's completions as trajectories.
#[derive(Debug)]
pub(super) struct Completions {
    /// Tokens of each prompt, and where it stands.
    prompts: Vec<(Arc<[u32]>, String)>,
    group: usize,
    completions: Vec<Completion>,
    advantages: Vec<f32>,
    round: u64,
}

impl Completions {
    fn prompt(&self, index: usize) -> &[u32] {
        &self.prompts[index / self.group].0
    }
}

impl Trajectories for Completions {
    type Batch = TokenBatch;

    fn len(&self) -> usize {
        self.completions.len()
    }

    fn length(&self, index: usize) -> usize {
        self.prompt(index).len() + self.steps(index)
    }

    fn steps(&self, index: usize) -> usize {
        self.completions[index].tokens.len()
    }

    fn behaviour(&self, index: usize) -> Option<&[f32]> {
        Some(&self.completions[index].log_probs)
    }

    fn advantage(&self, index: usize) -> f32 {
        self.advantages[index]
    }

    fn describe(&self, index: usize) -> String {
        let (round, draw) = (self.round + 1, index % self.group + 1);
        let at = &self.prompts[index / self.group].1;
        format!("{at} (round {round}, completion {draw})")
    }

    fn batch(&self, indices: &[usize]) -> TokenBatch {
        let mut batch = TokenBatch::new();
        let mut tokens = Vec::new();
        for &index in indices {
            let prompt = self.prompt(index);
            tokens.clear();
            tokens.extend_from_slice(prompt);
            tokens.extend_from_slice(&self.completions[index].tokens);
            batch.push(&tokens, |i| i >= prompt.len());
        }
        batch
    }

    fn fingerprint(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        for index in 0..self.len() {
            hasher.update(&(self.length(index) as u64).to_le_bytes());
            let tokens = self.prompt(index).iter();
            for token in tokens.chain(&self.completions[index].tokens) {
                hasher.update(&token.to_le_bytes());
            }
        }
        hasher.finalize()
    }
}
