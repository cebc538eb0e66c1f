//! Completions from a model in this process.

use std::sync::Arc;

use anyhow::Context;
use iwsft_engine::Tensor;
use iwsft_eval::grade::leaves_open;
use iwsft_lm::{Completion, Decoder, Generation, LanguageModel, Room, Sampling, TokenRequest};

use crate::generator::{Generator, Prompt, Request};
use crate::language::ModelFolder;

/// Tokens at the end of a prompt that may open the model's thoughts.
const LAST_TOKENS: usize = 64;

impl ModelFolder {
    /// A request's tokens, as the model gets them.
    fn tokens(&self, request: &Request) -> anyhow::Result<TokenRequest> {
        let prompt = match &request.prompt {
            Prompt::Text(text) => self.plain_prompt(text)?,
            Prompt::Messages(messages) => self.chat_prompt(messages, None)?,
        };
        let prefix = match request.prefix.as_str() {
            "" => Vec::new(),
            prefix => {
                let lead = self.lead(&request.prompt);
                prompt.followed_by(&format!("{lead}{prefix}"))?.tokens
            }
        };
        Ok(TokenRequest {
            prompt: [prompt.tokens(), &prefix].concat().into(),
            draw: request.draw,
        })
    }

    /// A request's tokens, if the model has room for them.
    pub(crate) fn request(&self, request: &Request) -> anyhow::Result<TokenRequest> {
        let request = self.tokens(request)?;
        request.check(self.config.max_position)?;
        Ok(request)
    }
}

/// A model folder, ready to draw from.
pub(crate) struct Embedded {
    pub(crate) folder: ModelFolder,
    decoder: Decoder,
    room: Room,
}

impl Embedded {
    /// A model that is loaded already; `parameters` are not needed afterwards.
    pub(crate) fn new(
        folder: ModelFolder,
        model: &LanguageModel,
        parameters: &Tensor,
        room: Room,
    ) -> Self {
        Self {
            folder,
            decoder: Decoder::new(model, parameters),
            room,
        }
    }

    /// A request's tokens, if the model has room for them.
    pub(crate) fn check(&self, request: &Request) -> anyhow::Result<TokenRequest> {
        self.folder.request(request)
    }

    /// Draws a completion for each request, as [`Generator::complete`] does.
    pub(crate) fn complete_tokens(
        &mut self,
        requests: &[TokenRequest],
        sampling: &Sampling,
        on_completion: &mut dyn FnMut(usize, Completion) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let tokenizer = &self.folder.tokenizer;
        let mut work =
            Generation::new(&mut self.decoder, tokenizer, requests, sampling, self.room)?;
        while work.step()? {
            for (index, completion) in work.finished() {
                on_completion(index, completion)?;
            }
        }
        Ok(())
    }

    /// Completes one request; `on_tokens` sees all tokens that are there so far,
    /// after each that came.
    pub(crate) fn stream(
        &mut self,
        request: TokenRequest,
        sampling: &Sampling,
        mut on_tokens: impl FnMut(&[u32]) -> anyhow::Result<()>,
    ) -> anyhow::Result<Completion> {
        let requests = [request];
        let tokenizer = &self.folder.tokenizer;
        let mut work =
            Generation::new(&mut self.decoder, tokenizer, &requests, sampling, self.room)?;
        while work.step()? {
            on_tokens(work.drawn(0))?;
        }
        let (_, completion) = work.finished().next().context("a request was lost")?;
        Ok(completion)
    }
}

impl Generator for Embedded {
    fn name(&self) -> String {
        self.folder.path.display().to_string()
    }

    fn require_room(&self, request: &Request) -> anyhow::Result<()> {
        self.check(request).map(drop)
    }

    fn opens_thoughts(&self, prompt: &Prompt) -> anyhow::Result<bool> {
        let request = Request {
            name: String::new(),
            prompt: prompt.clone(),
            prefix: String::new(),
            draw: 0,
        };
        let tokens = self.folder.tokens(&request)?.prompt;
        let end = &tokens[tokens.len().saturating_sub(LAST_TOKENS)..];
        Ok(leaves_open(&self.folder.tokenizer.decode(end, true)?))
    }

    fn complete(
        &mut self,
        requests: &[Request],
        sampling: &Sampling,
        on_drawn: &mut dyn FnMut(usize, anyhow::Result<Completion>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut encoded: Vec<TokenRequest> = Vec::with_capacity(requests.len());
        for (index, request) in requests.iter().enumerate() {
            // Draws of one prompt stand together; it is encoded once.
            let before = index.checked_sub(1).map(|before| &requests[before]);
            let same = before.filter(|before| {
                before.prompt == request.prompt && before.prefix == request.prefix
            });
            encoded.push(match same {
                Some(_) => TokenRequest {
                    prompt: Arc::clone(&encoded[index - 1].prompt),
                    draw: request.draw,
                },
                None => self.folder.tokens(request)?,
            });
        }
        let leads: Vec<String> = requests
            .iter()
            .map(|request| self.folder.lead(&request.prompt).to_owned())
            .collect();
        self.complete_tokens(&encoded, sampling, &mut |index, mut completion| {
            if requests[index].prefix.is_empty()
                && let Some(words) = completion.text.strip_prefix(&leads[index])
            {
                completion.text = words.to_owned();
            }
            on_drawn(index, Ok(completion))
        })
    }
}
