//! How completions are drawn, and what comes back.

use serde::{Deserialize, Serialize};

/// How completions are drawn from a language model, embedded or behind a server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// What logits are divided by; 0 takes the likeliest token.
    pub temperature: f64,
    /// Draw from the smallest set of likeliest tokens that holds this share of
    /// the probability; 1 for all.
    pub top_p: f64,
    /// Draw from so many likeliest tokens.
    pub top_k: Option<usize>,
    /// Leave out tokens with less than this share of the likeliest one's
    /// probability; 0 for none.
    pub min_p: f64,
    /// Most tokens of a completion.
    pub max_tokens: usize,
    /// Texts that end a completion; they are not part of its text.
    pub stop: Vec<String>,
    /// Tokens that end a completion, beside the model's own end tokens.
    pub stop_tokens: Vec<u32>,
    /// Decides what is drawn.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_p: 1.0,
            top_k: None,
            min_p: 0.0,
            max_tokens: 256,
            stop: Vec::new(),
            stop_tokens: Vec::new(),
            seed: 0,
        }
    }
}

/// Why a completion ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finish {
    /// An end token, or a stop text or token.
    Stop,
    /// `max_tokens`, or the model's context.
    Length,
}

/// What a model made of a prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Completion {
    /// The text, without the end token or stop text that ended it.
    pub text: String,
    /// Every token that was drawn, an end token included; empty where a server
    /// does not tell them.
    pub tokens: Vec<u32>,
    /// Log-probability of each token under the distribution that it was drawn
    /// from (temperature and truncation applied); under the model itself at
    /// temperature 0 and where it comes from a server. Empty where a server does
    /// not tell them.
    pub log_probs: Vec<f32>,
    /// Why it ended.
    pub finish: Finish,
}
