//! How completions are drawn, and what comes back.

use iwsft_engine::ops::draw::Truncation;
use serde::{Deserialize, Serialize};

use crate::error::LmError;

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

impl Sampling {
    /// Checks that every value makes sense.
    ///
    /// # Errors
    /// Names the first that does not, and what is expected.
    pub fn check(&self) -> Result<(), LmError> {
        let finite = |value: f64| value.is_finite() && value >= 0.0;
        let checks = [
            (
                "temperature",
                self.temperature,
                finite(self.temperature),
                "0 (for the likeliest token) or more",
            ),
            (
                "top_p",
                self.top_p,
                self.top_p > 0.0 && self.top_p <= 1.0,
                "above 0 and at most 1 (for all tokens)",
            ),
            (
                "top_k",
                self.top_k.unwrap_or(1) as f64,
                self.top_k != Some(0),
                "1 or more; leave it out for all tokens",
            ),
            (
                "min_p",
                self.min_p,
                (0.0..=1.0).contains(&self.min_p),
                "between 0 (for all tokens) and 1",
            ),
            (
                "max_tokens",
                self.max_tokens as f64,
                self.max_tokens > 0,
                "1 or more",
            ),
        ];
        for (key, found, right, expected) in checks {
            if !right {
                return Err(LmError::Sampling {
                    key,
                    found: found.to_string(),
                    expected,
                });
            }
        }
        if self.stop.iter().any(String::is_empty) {
            return Err(LmError::Sampling {
                key: "stop",
                found: "an empty text".into(),
                expected: "a text that can be found",
            });
        }
        Ok(())
    }

    pub(crate) fn truncation(&self) -> Truncation {
        Truncation {
            temperature: self.temperature as f32,
            top_k: self.top_k,
            top_p: self.top_p as f32,
            min_p: self.min_p as f32,
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
    /// The text as it reads behind the prompt's, a space between them included,
    /// without the end token or stop text that ended it.
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
