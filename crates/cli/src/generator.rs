//! Where completions come from: a model in this process, or a server.

use iwsft_eval::grade::leaves_open;
use iwsft_lm::{Completion, Sampling};
use serde_json::Value;

/// What a language model is asked to continue.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Prompt {
    /// Plain text, continued as it is.
    Text(String),
    /// A conversation, to be answered by the assistant.
    Messages(Vec<Value>),
}

/// One completion to draw.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    /// What messages call it: where its row is, and which draw of it this is.
    pub(crate) name: String,
    pub(crate) prompt: Prompt,
    /// What the completion begins with already; mostly empty. It is not part of
    /// the [`Completion`] that comes back.
    pub(crate) prefix: String,
    /// Which of several completions of the same prompt this is. Together with
    /// the prompt and the seed it decides what is drawn, so that a completion
    /// does not depend on what else is drawn, or in which order.
    pub(crate) draw: u64,
}

/// A language model to draw completions from.
pub(crate) trait Generator {
    /// What the model is called in results: a folder, or a server's name for it.
    fn name(&self) -> String;

    /// Why the log-probabilities of completions are not those of the distribution
    /// that the completions are drawn from, if they are not.
    fn log_probs_differ(&self, _sampling: &Sampling) -> Option<&'static str> {
        None
    }

    /// Refuses a request that there is no room for in the model's context. A
    /// server knows its model, and refuses later.
    fn require_room(&self, request: &Request) -> anyhow::Result<()> {
        let _ = request;
        Ok(())
    }

    /// Whether the model begins to answer a prompt within its thoughts: the
    /// templates of some open them. What a server's template does is not known.
    fn opens_thoughts(&self, prompt: &Prompt) -> anyhow::Result<bool> {
        Ok(matches!(prompt, Prompt::Text(text) if leaves_open(text)))
    }

    /// Draws a completion for each request and hands it over as soon as it is
    /// complete, with the request's index, in any order; or else, where only this
    /// one cannot be had, the error, which has the request's name. An error of
    /// `on_drawn` ends the work and is returned.
    fn complete(
        &mut self,
        requests: &[Request],
        sampling: &Sampling,
        on_drawn: &mut dyn FnMut(usize, anyhow::Result<Completion>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()>;
}
