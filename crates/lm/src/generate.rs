//! Continuing a text token by token with a key/value cache.

use iwsft_engine::Tensor;
use iwsft_engine::ops::embedding;

use crate::LanguageModel;
use crate::block::{Block, Context};
use crate::model::neighbours;

/// Keys and values of one growing sequence.
#[derive(Debug)]
pub struct Session {
    /// `[layers][capacity, 2 k e]`.
    caches: Vec<Tensor>,
    capacity: usize,
    /// Tokens seen so far.
    length: usize,
}

impl Session {
    /// Room for `capacity` tokens of `model`.
    pub fn new(model: &LanguageModel, capacity: usize) -> Self {
        let config = model.config();
        let columns = 2 * config.kv_heads * config.head_dim;
        Self {
            caches: (0..config.layers)
                .map(|_| Tensor::zeros(capacity * columns))
                .collect(),
            capacity,
            length: 0,
        }
    }

    /// Number of tokens seen.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Number of tokens there is room for.
    pub fn capacity(&self) -> usize {
        self.capacity
    }
}

impl LanguageModel {
    /// Appends `tokens` to `session` and returns the logits `[v]` of the token
    /// that follows them.
    ///
    /// # Panics
    /// If there are no tokens, or more than the session has room for.
    pub fn extend(
        &mut self,
        parameters: &Tensor,
        session: &mut Session,
        tokens: &[u32],
    ) -> Vec<f32> {
        assert!(!tokens.is_empty(), "nothing to extend a session with");
        assert!(
            session.length + tokens.len() <= session.capacity,
            "{} tokens do not fit behind {} of {}",
            tokens.len(),
            session.length,
            session.capacity
        );
        if session.length == 0 {
            self.run(parameters, session, tokens)
        } else {
            tokens.iter().fold(Vec::new(), |_, &token| {
                self.run(parameters, session, &[token])
            })
        }
    }

    /// A whole prompt into an empty session, or one token into any.
    fn run(&mut self, parameters: &Tensor, session: &mut Session, tokens: &[u32]) -> Vec<f32> {
        let (n, d, start) = (tokens.len(), self.config.hidden_size, session.length);
        self.memory.reserve_forward(&self.config, [n, 0], 1, 1);
        self.table.extend_to(session.capacity);
        let positions: Vec<u32> = (start as u32..(start + n) as u32).collect();
        let cu_seqlens = [0, n];
        let memory = &mut self.memory;
        let table = parameters.view(self.ranges.embedding.clone());
        embedding::forward(tokens, table, memory.residual[0].view_mut(0..n * d), d);
        for (layer, ranges) in self.ranges.blocks.iter().enumerate() {
            let block = Block {
                config: &self.config,
                ranges,
                parameters,
                table: &self.table,
                positions: &positions,
            };
            let cache = &mut session.caches[layer];
            let context = if start == 0 {
                Context::Prompt {
                    cu_seqlens: &cu_seqlens,
                    cache,
                }
            } else {
                Context::Cached {
                    cache,
                    position: start,
                }
            };
            let [input, output] = neighbours(&mut memory.residual[..2], layer % 2);
            block.forward(
                input.view(0..n * d),
                context,
                &mut memory.blocks[0],
                &mut memory.scratch,
                Some(output.view_mut(0..n * d)),
            );
        }
        session.length += n;
        let residual = &self.memory.residual[self.config.layers % 2];
        let last = Tensor::from_vec(residual.view((n - 1) * d..n * d).to_host());
        self.logits_of(parameters, &last)
    }

    /// Continues `prompt` with the likeliest token each time, until one of
    /// `stop` (which is returned too) or `limit` tokens.
    ///
    /// # Panics
    /// If the prompt is empty.
    pub fn generate_greedily(
        &mut self,
        parameters: &Tensor,
        prompt: &[u32],
        limit: usize,
        stop: &[u32],
        mut on_token: impl FnMut(u32),
    ) -> Vec<u32> {
        let mut session = Session::new(self, prompt.len() + limit);
        let mut generated = Vec::new();
        let mut next = prompt.to_vec();
        while generated.len() < limit {
            let logits = self.extend(parameters, &mut session, &next);
            let token = likeliest(&logits);
            generated.push(token);
            on_token(token);
            if stop.contains(&token) {
                break;
            }
            next = vec![token];
        }
        generated
    }
}

/// Index of the largest logit, the first of equals.
fn likeliest(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (token, &logit) in logits.iter().enumerate() {
        if logit > logits[best] {
            best = token;
        }
    }
    best as u32
}
