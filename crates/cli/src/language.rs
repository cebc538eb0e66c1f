//! Language models and their data as the training loop sees them: this is where
//! the crates that know nothing of each other meet.

use std::path::{Path, PathBuf};

use anyhow::Context;
use iwsft_data::{Content, Dataset, Encoded, Message, Mixture, Report, Row, Text};
use iwsft_engine::{Policy, Precision, Tensor};
use iwsft_lm::mask::{self, Masked};
use iwsft_lm::weights::{self, WeightType};
use iwsft_lm::{
    ChatTemplate, LanguageModel, LmError, MemoryPlan, ModelConfig, Prompt, RenderOptions,
    TokenBatch, Tokenizer, TurnFrame,
};
use iwsft_objective::{Objective, Quality};
use iwsft_train::{PolicyFiles, ReferenceKey, SourceError, Trajectories};
use serde_json::Value;

use crate::generator;
use crate::mistake::Mistake;
use crate::not_a_model;
use crate::progress::say;
use crate::prompting::{self, Asking, Marks, Place, TrainedOn};
use crate::recipe::{DataSection, EndToken, Files, ModelSection};

/// A model folder's configuration, tokenizer and chat template.
pub(crate) struct ModelFolder {
    pub(crate) path: PathBuf,
    pub(crate) config: ModelConfig,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) template: Option<ChatTemplate>,
    /// White space that the template writes before the assistant's words.
    lead: String,
    /// The token with which the template ends turns, where the model's files name it
    /// nowhere as an end token. Here it is one of the tokenizer's all the same.
    new_end: Option<u32>,
    /// Tokens with which rows end, and which the model's files do not name where
    /// other programs look for end tokens.
    unnamed_ends: Vec<u32>,
    /// What the template gets besides messages and tools.
    render: RenderOptions,
}

impl ModelFolder {
    pub(crate) fn open(path: &Path, chat_template: Option<&Path>) -> anyhow::Result<Self> {
        Self::open_with(path, chat_template, RenderOptions::default())
    }

    fn open_with(
        path: &Path,
        chat_template: Option<&Path>,
        render: RenderOptions,
    ) -> anyhow::Result<Self> {
        if let Some(refusal) = not_a_model::refusal(path) {
            return Err(refusal.into());
        }
        let config = ModelConfig::from_folder(path)?;
        let mut tokenizer = Tokenizer::from_folder(path)?;
        tokenizer.check_vocab_size(config.vocab_size)?;
        let template = match chat_template {
            None => tokenizer.chat_template(false)?,
            Some(file) => {
                let source = iwsft_files::read_text(file)
                    .map_err(|error| Mistake::new(format!("{}: {error}", file.display())))?;
                let origin = file.display().to_string();
                Some(ChatTemplate::new(
                    &source,
                    &origin,
                    tokenizer.special_tokens(),
                )?)
            }
        };
        let TurnFrame { lead, end } = match &template {
            Some(template) => TurnFrame::of(&tokenizer, template, &render)?,
            None => TurnFrame::default(),
        };
        let new_end = end.filter(|token| !tokenizer.end_tokens().contains(token));
        if let Some(token) = new_end {
            tokenizer.add_end_token(token);
        }
        let mut unnamed_ends: Vec<u32> = tokenizer.eos_token().into_iter().collect();
        unnamed_ends.extend(end.filter(|token| Some(*token) != tokenizer.eos_token()));
        unnamed_ends.retain(|token| !tokenizer.generation_end_tokens().contains(token));
        Ok(Self {
            path: path.to_owned(),
            config,
            tokenizer,
            template,
            lead,
            new_end,
            unnamed_ends,
            render,
        })
    }

    pub(crate) fn of_recipe(section: &ModelSection) -> anyhow::Result<Self> {
        let render = RenderOptions {
            variables: section.chat_variables.clone(),
            today: section.today.clone(),
            ..RenderOptions::default()
        };
        Self::open_with(&section.path, section.chat_template.as_deref(), render)
    }

    /// Says where completions end that the model's own files let go on.
    pub(crate) fn say_new_end(&self) {
        if let Some(token) = self.new_end {
            say(&format!(
                "the chat template ends turns with {}, which is none of the model's end tokens: \
                 completions end there too",
                self.named(token)
            ));
        }
    }

    /// Says if this program has trained the model in another way than it is asked
    /// now: `chat` if through its chat template. The others say how to ask as then.
    pub(crate) fn say_mismatch(&self, chat: bool, template: &str, plain: &str) {
        let trained_on = self
            .template
            .as_ref()
            .and_then(|_| TrainedOn::of(&self.path));
        if let Some(mismatch) = trained_on.and_then(|it| it.mismatch(chat, template, plain)) {
            say(&format!("warning: {} {mismatch}", self.path.display()));
        }
    }

    /// Says if conversations began with a message of the system when the model was
    /// trained, and begin without it now; `option` would give it.
    pub(crate) fn say_other_system(&self, chat: bool, system: Option<&str>, option: &str) {
        if let Some(then) = TrainedOn::of(&self.path).and_then(|it| it.system)
            && chat
            && system.is_none()
        {
            say(&format!(
                "warning: {} was trained with the message of the system {then:?}; {option} gives it",
                self.path.display()
            ));
        }
    }

    /// As [`Self::say_new_end`], and what becomes of the files of a trained model.
    pub(crate) fn say_ends(&self) {
        self.say_new_end();
        if !self.unnamed_ends.is_empty() {
            let ends: Vec<String> = self
                .unnamed_ends
                .iter()
                .map(|end| self.named(*end))
                .collect();
            say(&format!(
                "{} will be in the trained model's generation_config.json, where other programs look \
                 for end tokens",
                ends.join(" and ")
            ));
        }
    }

    /// A token as a message calls it.
    fn named(&self, token: u32) -> String {
        let text = self.tokenizer.spelling(token).unwrap_or_default();
        format!("{text} ({token})")
    }

    /// The network and the folder's weights.
    pub(crate) fn load(&self, plan: MemoryPlan) -> anyhow::Result<(LanguageModel, Tensor)> {
        if let Some(refusal) = not_a_model::without_weights(&self.path) {
            return Err(refusal.into());
        }
        // Before anything as large as config.json says is made.
        weights::check(&self.path, &self.config.layout())?;
        let model = LanguageModel::new(self.config.clone(), plan);
        let parameters = weights::load(&self.path, model.layout())?;
        Ok((model, Tensor::from_vec(parameters)))
    }

    /// Tokens of a row and which of them carry loss. A row without any comes
    /// back empty: what to do with it is for the data's rules to say.
    pub(crate) fn encode(
        &self,
        row: &Row,
        end: EndToken,
        asking: &Asking,
    ) -> Result<Encoded, LmError> {
        let append_end = end == EndToken::Append;
        let plain = |prompt: &str, completion: &str| {
            mask::encode_prompt_completion(&self.tokenizer, prompt, completion, append_end)
        };
        let masked = match &row.content {
            Content::Text(text) => mask::encode_text(&self.tokenizer, text, append_end),
            Content::PromptCompletion { prompt, completion } if row.completion_tokens.is_some() => {
                asking.count_drawn(row, prompt, completion)?;
                self.encode_drawn(row, prompt, completion)
            }
            Content::PromptCompletion {
                prompt: Text::Plain(prompt),
                completion: Text::Plain(completion),
            } => match asking.place(row, prompt, completion)? {
                // Nothing is to be learnt, not to say nothing.
                Place::Template(_) if completion.is_empty() => Err(LmError::MaskEmpty {
                    reason: "the completion is empty".into(),
                }),
                Place::Plain => plain(prompt, completion),
                Place::Template(system) => {
                    let asked = system.into_iter().chain([Message::new("user", prompt)]);
                    let answer = Message::new("assistant", completion);
                    self.encode_turns(row, of_messages(&asked.chain([answer]).collect::<Vec<_>>()))
                }
            },
            Content::PromptCompletion { prompt, completion } => {
                let (prompt, completion) = (messages_of(prompt), messages_of(completion));
                let opening = asking.opening(row, prompt.first());
                // What the assistant said before the completion carries no loss.
                let prompt = opening.iter().chain(prompt);
                let prompt = prompt.map(|message| (message.value.clone(), Some(0.0)));
                self.encode_turns(row, prompt.chain(of_messages(completion)))
            }
            Content::Messages(messages) => match row.plain_pair() {
                Some((prompt, completion)) if asking.stays_plain()? => plain(&prompt, &completion),
                _ => {
                    let opening = asking.opening(row, messages.first());
                    let messages = opening.iter().chain(messages);
                    self.encode_turns(row, messages.map(turn))
                }
            },
        };
        match masked {
            Ok(Masked {
                tokens,
                step_weight,
                straddles,
            }) => Ok(Encoded {
                tokens,
                step_weight,
                straddles,
                unlearnable: None,
            }),
            Err(LmError::MaskEmpty { .. }) => Ok(Encoded::default()),
            Err(error) => Err(error),
        }
    }

    /// A plain prompt, as at inference.
    pub(crate) fn plain_prompt(&self, prompt: &str) -> Result<Prompt<'_>, LmError> {
        Prompt::plain(&self.tokenizer, prompt)
    }

    /// A conversation up to where the assistant begins to answer.
    pub(crate) fn chat_prompt(
        &self,
        messages: &[Value],
        tools: Option<&Value>,
    ) -> Result<Prompt<'_>, LmError> {
        let options = RenderOptions {
            tools: tools.cloned(),
            ..self.render.clone()
        };
        let text = self.template()?.render(messages, true, &options)?;
        Prompt::rendered(&self.tokenizer, text)
    }

    /// What a model draws before the words of its answer, and a template writes again.
    pub(crate) fn lead(&self, prompt: &generator::Prompt) -> &str {
        match prompt {
            generator::Prompt::Text(_) => "",
            generator::Prompt::Messages(_) => &self.lead,
        }
    }

    /// A row with the tokens that a model drew: the prompt as it had it, then those.
    fn encode_drawn(&self, row: &Row, prompt: &Text, completion: &Text) -> Result<Masked, LmError> {
        let drawn = row.completion_tokens.as_deref().unwrap_or_default();
        if let Some(token) = drawn
            .iter()
            .find(|&&t| t as usize >= self.config.vocab_size)
        {
            let size = self.config.vocab_size;
            return Err(LmError::DrawnTokens {
                reason: format!("has {token}, but the model has {size} tokens"),
            });
        }
        let prompt = match prompt {
            Text::Plain(prompt) => self.plain_prompt(prompt)?,
            Text::Messages(messages) => {
                let messages: Vec<_> = messages.iter().map(|each| each.value.clone()).collect();
                self.chat_prompt(&messages, row.tools.as_ref())?
            }
        };
        let (text, weight) = match completion {
            Text::Plain(text) => (Some(text.as_str()), None),
            Text::Messages(messages) => match &messages[..] {
                [answer] => (answer.value["content"].as_str(), answer.weight),
                _ => (None, None),
            },
        };
        let text = text.ok_or_else(|| LmError::DrawnTokens {
            reason: "go with one message of plain text, which the completion is not".into(),
        })?;
        let (prompt, weight) = (prompt.into_tokens(), weight.unwrap_or(1.0));
        mask::encode_drawn(&self.tokenizer, prompt, drawn, text, weight)
    }

    fn template(&self) -> Result<&ChatTemplate, LmError> {
        self.template
            .as_ref()
            .ok_or_else(|| LmError::NoChatTemplate {
                folder: self.path.clone(),
            })
    }

    fn encode_turns(
        &self,
        row: &Row,
        turns: impl IntoIterator<Item = Turn>,
    ) -> Result<Masked, LmError> {
        let (messages, weights): (Vec<_>, Vec<_>) = turns.into_iter().unzip();
        let options = RenderOptions {
            tools: row.tools.clone(),
            ..self.render.clone()
        };
        mask::encode_messages(
            &self.tokenizer,
            self.template()?,
            &messages,
            &weights,
            &options,
        )
    }

    /// By which texts are known that the chat template has rendered.
    pub(crate) fn marks(&self) -> Option<Marks> {
        let template = self.template.as_ref()?;
        Some(Marks::of(template, &self.tokenizer, &self.render))
    }

    /// Reads, encodes and filters files, and says what is to be said of them.
    pub(crate) fn dataset(&self, files: &Files, section: &DataSection) -> anyhow::Result<Loaded> {
        let rules = section.rules(self.tokenizer.end_tokens(), self.config.max_position);
        let (sources, promptings): (Vec<_>, Vec<_>) = section.sources(files).into_iter().unzip();
        let askings = promptings
            .iter()
            .map(|prompting| Asking::new(self, prompting))
            .collect::<Result<Vec<_>, _>>()?;
        // Rows that cannot be learnt are for the data's rules to count and list.
        let encode = |source: usize, row: &Row| match self.encode(
            row,
            section.end_token,
            &askings[source],
        ) {
            Err(error @ LmError::Unlearnable { .. }) => Ok(Encoded {
                unlearnable: Some(error.to_string()),
                ..Encoded::default()
            }),
            encoded => encoded,
        };
        let (dataset, mixture, reports) = Mixture::load(&sources, encode, &rules)?;
        let mut report = Report::default();
        for ((source, asking), each) in sources.iter().zip(&askings).zip(&reports) {
            for line in each.findings.lines().into_iter().chain(asking.lines()) {
                say(&format!("{}: {line}", source.path.display()));
            }
            report.merge(each);
        }
        Ok(Loaded {
            dataset,
            mixture,
            report,
            wrapped: prompting::said_of_all(&askings, "data.chat = false"),
            trained_on: prompting::trained_on(&askings),
        })
    }

    /// A hash of the configuration and of `parameters`.
    pub(crate) fn model_hash(&self, parameters: &Tensor) -> anyhow::Result<String> {
        const PIECE: usize = 1 << 18;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&serde_json::to_vec(&self.config.raw)?);
        for start in (0..parameters.len()).step_by(PIECE) {
            let end = (start + PIECE).min(parameters.len());
            let values = parameters.view(start..end).to_host();
            hasher.update(
                &values
                    .iter()
                    .flat_map(|value| value.to_le_bytes())
                    .collect::<Vec<_>>(),
            );
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// What reference log-probabilities of `data` under this model depend on.
    pub(crate) fn reference_key(
        &self,
        parameters: &Tensor,
        data: &Dataset,
        precision: Precision,
    ) -> anyhow::Result<ReferenceKey> {
        // Log-probabilities in f32 are kept under the name that they always had.
        let model = self.model_hash(parameters)?;
        let model = match precision {
            Precision::F32 => model,
            other => blake3::hash(format!("{model} {other}").as_bytes())
                .to_hex()
                .to_string(),
        };
        let tokenizer = self.path.join("tokenizer.json");
        let tokenizer =
            std::fs::read(&tokenizer).with_context(|| tokenizer.display().to_string())?;
        let template = self.template.as_ref().map_or("", ChatTemplate::source);
        Ok(ReferenceKey {
            model,
            tokenizer: blake3::hash(&tokenizer).to_hex().to_string(),
            template: blake3::hash(template.as_bytes()).to_hex().to_string(),
            data: data.fingerprint().to_hex().to_string(),
        })
    }
}

/// Files as training takes them.
pub(crate) struct Loaded {
    pub(crate) dataset: Dataset,
    pub(crate) mixture: Mixture,
    pub(crate) report: Report,
    /// What is to be said where the program has decided to use the chat template.
    pub(crate) wrapped: Option<String>,
    /// How their prompts were put to the model.
    pub(crate) trained_on: Option<TrainedOn>,
}

/// A message as the template takes it, and the weight of its loss.
type Turn = (Value, Option<f32>);

fn turn(message: &Message) -> Turn {
    (message.value.clone(), message.weight)
}

fn of_messages(messages: &[Message]) -> Vec<Turn> {
    messages.iter().map(turn).collect()
}

/// The messages of a half of a pair; none of plain text, which is no half of such a pair.
fn messages_of(text: &Text) -> &[Message] {
    match text {
        Text::Plain(_) => &[],
        Text::Messages(messages) => messages,
    }
}

/// A data set of token sequences for the training loop.
pub(crate) struct TokenTrajectories {
    dataset: Dataset,
    /// `[trajectories]`; empty where the objective asks for none.
    qualities: Vec<f32>,
    /// Whether the column `ref_log_probs` is the reference.
    reference_column: bool,
}

impl TokenTrajectories {
    pub(crate) fn new(
        dataset: Dataset,
        objective: &Objective,
        reference_column: bool,
    ) -> anyhow::Result<Self> {
        let qualities = match objective.quality {
            Quality::Off => Vec::new(),
            Quality::Resample | Quality::Weight => dataset.qualities()?,
        };
        Ok(Self {
            dataset,
            qualities,
            reference_column,
        })
    }

    /// Trajectories that are only scored: no quality, no reference.
    pub(crate) fn plain(dataset: Dataset) -> Self {
        Self {
            dataset,
            qualities: Vec::new(),
            reference_column: false,
        }
    }
}

impl Trajectories for TokenTrajectories {
    type Batch = TokenBatch;

    fn len(&self) -> usize {
        self.dataset.len()
    }

    fn length(&self, index: usize) -> usize {
        self.dataset.length(index)
    }

    fn steps(&self, index: usize) -> usize {
        self.dataset.steps(index)
    }

    fn step_weight(&self, index: usize, out: &mut [f32]) {
        let scored = self
            .dataset
            .step_weight(index)
            .iter()
            .filter(|&&weight| weight > 0.0);
        for (out, &weight) in out.iter_mut().zip(scored) {
            *out = weight;
        }
    }

    fn reward(&self, index: usize) -> Option<f32> {
        self.dataset.reward(index)
    }

    fn quality(&self, index: usize) -> f32 {
        self.qualities.get(index).copied().unwrap_or(1.0)
    }

    fn weight(&self, index: usize) -> f32 {
        self.dataset.weight(index)
    }

    fn reference(&self, index: usize) -> Option<&[f32]> {
        if self.reference_column {
            self.dataset.ref_log_probs(index)
        } else {
            None
        }
    }

    fn describe(&self, index: usize) -> String {
        self.dataset.at(index).to_string()
    }

    fn batch(&self, indices: &[usize]) -> TokenBatch {
        let mut batch = TokenBatch::new();
        for &index in indices {
            let step_weight = self.dataset.step_weight(index);
            batch.push(self.dataset.tokens(index), |i| step_weight[i] > 0.0);
        }
        batch
    }

    fn fingerprint(&self) -> blake3::Hash {
        self.dataset.fingerprint()
    }
}

/// Checkpoints as Hugging Face folders.
pub(crate) struct HuggingFaceFiles {
    /// The folder whose tokenizer and configuration go along.
    pub(crate) base: PathBuf,
    pub(crate) layout: iwsft_engine::Layout,
    pub(crate) weight_type: WeightType,
    /// The end tokens of its generation, where they are not the base's.
    pub(crate) end_tokens: Option<Vec<u32>>,
    /// How prompts were put to the model, for whoever asks it.
    pub(crate) trained_on: Option<TrainedOn>,
}

impl HuggingFaceFiles {
    /// Files of a model that was opened from `base`.
    pub(crate) fn new(
        base: &ModelFolder,
        layout: iwsft_engine::Layout,
        weight_type: WeightType,
        trained_on: Option<TrainedOn>,
    ) -> Self {
        Self {
            base: base.path.clone(),
            layout,
            weight_type,
            end_tokens: match &base.unnamed_ends[..] {
                [] => None,
                unnamed => Some([base.tokenizer.generation_end_tokens(), unnamed].concat()),
            },
            trained_on,
        }
    }
}

/// Largest weights file, as Hugging Face's tools split them.
const SHARD_BYTES: usize = 5_000_000_000;

impl PolicyFiles for HuggingFaceFiles {
    fn exact(&self) -> bool {
        self.weight_type == WeightType::F32
    }

    fn save(&self, folder: &Path, parameters: &Tensor) -> Result<(), SourceError> {
        weights::save(
            folder,
            &self.layout,
            parameters.all(),
            self.weight_type,
            SHARD_BYTES,
        )?;
        weights::copy_model_files(&self.base, folder, self.weight_type)?;
        if let Some(end_tokens) = &self.end_tokens {
            weights::save_end_tokens(folder, end_tokens)?;
        }
        if let Some(trained_on) = &self.trained_on {
            trained_on.write(folder)?;
        }
        Ok(())
    }

    fn load(&self, folder: &Path, parameters: &mut Tensor) -> Result<(), SourceError> {
        *parameters = Tensor::from_vec(weights::load(folder, &self.layout)?);
        Ok(())
    }
}
