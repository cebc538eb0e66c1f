//! What can go wrong with a model's files, tokens and templates.

use std::path::PathBuf;

use iwsft_files::Looks;

/// An error of this crate. Every message names the place, what was found,
/// what was expected and, where there is one, the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LmError {
    /// A file or folder could not be read or written.
    #[error("{path}: cannot {action}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried: `read`, `write`, ...
        action: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file is something else than what its name says.
    #[error("{}: {looks}", path.display())]
    Disguised {
        /// The file.
        path: PathBuf,
        /// What it is.
        looks: Looks,
    },
    /// A file does not hold valid JSON.
    #[error("{path}: not valid JSON: {source}")]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why parsing stopped.
        source: serde_json::Error,
    },
    /// A field of `config.json` has a value that is not supported.
    #[error("{path}: `{key}` is {found}, but {expected}")]
    ConfigValue {
        /// The file.
        path: PathBuf,
        /// The field, with dots for nested ones.
        key: String,
        /// The value as JSON.
        found: String,
        /// What is supported.
        expected: String,
    },
    /// A required field of `config.json` is missing.
    #[error("{path}: `{key}` is missing; it must be {expected}")]
    ConfigMissing {
        /// The file.
        path: PathBuf,
        /// The field, with dots for nested ones.
        key: String,
        /// What it must hold.
        expected: String,
    },
    /// `config.json` has a field that this program does not know.
    #[error(
        "{path}: unknown field `{key}` (value {found}) for a {family} model; \
         it may change what the model computes, so it is not ignored. \
         If it does not matter, remove it from the file"
    )]
    ConfigUnknown {
        /// The file.
        path: PathBuf,
        /// The field, with dots for nested ones.
        key: String,
        /// The value as JSON.
        found: String,
        /// `model_type` of the file.
        family: &'static str,
    },
    /// A model folder has no weights in a format that can be read.
    #[error(
        "{folder}: no weights found; expected model.safetensors or model.safetensors.index.json{hint}"
    )]
    NoWeights {
        /// The model folder.
        folder: PathBuf,
        /// What was found instead, or nothing.
        hint: String,
    },
    /// A weights file is damaged or not in safetensors format.
    #[error("{path}: not a readable safetensors file: {source}")]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// The format error.
        source: safetensors::SafeTensorError,
    },
    /// A shard index does not describe its shards.
    #[error("{path}: {reason}")]
    ShardIndex {
        /// The index file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A parameter of the model is not among the weights.
    #[error("{path}: tensor `{name}` of shape {expected:?} is missing")]
    TensorMissing {
        /// The weights file or shard index.
        path: PathBuf,
        /// The parameter.
        name: String,
        /// Its shape by config.json.
        expected: Vec<usize>,
    },
    /// A tensor's shape is not what `config.json` implies.
    #[error("{path}: tensor `{name}` has shape {found:?}, but config.json implies {expected:?}")]
    TensorShape {
        /// The weights file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// Its shape by config.json.
        expected: Vec<usize>,
    },
    /// A tensor has an element type that is not supported.
    #[error("{path}: tensor `{name}` has type {found}; supported are F32, BF16 and F16")]
    TensorType {
        /// The weights file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The element type.
        found: String,
    },
    /// A weights file holds a tensor that is no parameter of the model.
    #[error(
        "{path}: tensor `{name}` of shape {found:?} is no parameter of the model that config.json describes"
    )]
    TensorUnexpected {
        /// The weights file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
    },
    /// A tied output matrix was stored and is not the embedding matrix.
    #[error(
        "{path}: `tie_word_embeddings` is true, but `lm_head.weight` differs from `model.embed_tokens.weight`; \
         set `tie_word_embeddings` to false in config.json to keep both, or remove `lm_head.weight`"
    )]
    TiedHeadDiffers {
        /// The weights file that holds `lm_head.weight`.
        path: PathBuf,
    },
    /// A weight is too large for the element type that it is to be stored in.
    #[error(
        "{path}: tensor `{name}` holds {value}, which {kind} cannot represent; save as bfloat16 or float32"
    )]
    TensorOverflow {
        /// The file that was not written.
        path: PathBuf,
        /// The parameter.
        name: String,
        /// The value.
        value: f32,
        /// The element type.
        kind: &'static str,
    },
    /// The parameter buffer does not have the length of its layout.
    #[error("the parameter buffer has {found} elements, but the layout has {expected}")]
    BufferLength {
        /// Elements given.
        found: usize,
        /// Elements of the layout.
        expected: usize,
    },
    /// A tokenizer's files cannot be used.
    #[error("{path}: {reason}")]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A text could not be turned into tokens, or tokens into text.
    #[error("cannot {action}: {reason}")]
    Tokenization {
        /// `encode` or `decode`.
        action: &'static str,
        /// The tokenizer's reason.
        reason: String,
    },
    /// A chat template does not parse or refuses the conversation.
    #[error("chat template {template}: {reason}")]
    Template {
        /// Where the template comes from.
        template: String,
        /// The engine's or the template's own message.
        reason: String,
    },
    /// A conversation needs a chat template, and the model has none.
    #[error(
        "{folder}: the model has no chat template (neither chat_template.jinja nor `chat_template` \
         in tokenizer_config.json); name a template file, or use plain text"
    )]
    NoChatTemplate {
        /// The model folder.
        folder: PathBuf,
    },
    /// A conversation cannot be used as given.
    #[error("messages: {reason}")]
    Messages {
        /// What is wrong with it.
        reason: String,
    },
    /// Which tokens of a rendering are the assistant's cannot be told.
    #[error(
        "chat template {template}: the loss mask of message {message} cannot be derived: {reason}. \
         {remedy}"
    )]
    MaskNotDerivable {
        /// Where the template comes from.
        template: String,
        /// Index of the message, from 0.
        message: usize,
        /// Why not.
        reason: String,
        /// What to do.
        remedy: &'static str,
    },
    /// What a message wants learnt is not in the text that the template makes of it.
    #[error(
        "chat template {template} leaves out what message {message} wants learnt: {words:?} of its \
         `{field}` is not in the text. Use a template that writes it (model.chat_template), correct \
         the row, or give the message \"weight\": 0"
    )]
    Unlearnable {
        /// Where the template comes from.
        template: String,
        /// Index of the message, from 0.
        message: usize,
        /// The field of the message, with the path inside it.
        field: String,
        /// The first words that are missing.
        words: String,
    },
    /// No token of a row would carry loss.
    #[error("no token carries loss: {reason}")]
    MaskEmpty {
        /// Why.
        reason: String,
    },
    /// The tokens of a completion are not those of its text.
    #[error(
        "`completion_tokens` {reason}; they are another model's tokens, or the text was changed: \
         remove the column to train on the text"
    )]
    DrawnTokens {
        /// What does not fit.
        reason: String,
    },
    /// A sampling setting makes no sense.
    #[error("`{key}` is {found}, but it must be {expected}")]
    Sampling {
        /// The setting.
        key: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A prompt is empty or leaves no room for a completion.
    #[error(
        "the prompt has {found} tokens; it needs at least 1, and 1 more must have its place \
         behind it, while the model has room for {context}"
    )]
    PromptLength {
        /// Tokens of the prompt.
        found: usize,
        /// Tokens of the model's context.
        context: usize,
    },
    /// The model computed NaN or infinity.
    #[error("the model's logits are not finite: its weights are damaged, or too large for 32 bits")]
    LogitsNotFinite,
}
