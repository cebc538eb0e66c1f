//! Drawing completions, many at a time.
//!
//! A fixed number of slots each hold one sequence. A step takes up the last token
//! of every sequence and a share of the prompts that came new, and draws one token
//! for each sequence whose prompt is through. A completion that ends frees its
//! slot for the next request at once, so that short ones do not wait for long ones.
//!
//! What is drawn depends on the model, the prompt, the draw and the seed alone:
//! each completion has random numbers of its own, and a row of a step has the same
//! bits whatever else is in the step. For the same reason the beginning that a
//! prompt shares with what a slot has seen can be copied instead of computed.

use std::sync::Arc;

use iwsft_engine::ops::cached_attention::Place;
use iwsft_engine::ops::draw::Drawn;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::decoder::{Decoder, Rows};
use crate::error::LmError;
use crate::sampling::{Completion, Finish, Sampling};
use crate::stop::StopTexts;
use crate::tokenizer::Tokenizer;

/// Most tokens of prompts in one step, beside one token of each sequence.
const PROMPT_TOKENS: usize = 512;

/// A prompt to continue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// The prompt, at least one token.
    pub prompt: Arc<[u32]>,
    /// Which of several completions of this prompt it is.
    pub draw: u64,
}

impl TokenRequest {
    /// Checks that a model with room for `context` tokens can continue the prompt.
    ///
    /// # Errors
    /// If there is nothing to continue, or no room behind it.
    pub fn check(&self, context: usize) -> Result<(), LmError> {
        if self.prompt.is_empty() || self.prompt.len() >= context {
            return Err(LmError::PromptLength {
                found: self.prompt.len(),
                context,
            });
        }
        Ok(())
    }
}

/// How many sequences are in work at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Most sequences.
    pub slots: usize,
    /// Most bytes of keys and values, counted as if every sequence grew to its
    /// limit; one sequence always fits.
    pub cache_bytes: usize,
}

impl Default for Room {
    /// 256 sequences in 4 GiB.
    fn default() -> Self {
        Self {
            slots: 256,
            cache_bytes: 4 << 30,
        }
    }
}

/// Completions in the making. Call [`Generation::step`] until it returns `false`.
#[derive(Debug)]
pub struct Generation<'a> {
    decoder: &'a mut Decoder,
    tokenizer: &'a Tokenizer,
    sampling: &'a Sampling,
    requests: &'a [TokenRequest],
    /// The next request that no slot has taken.
    next: usize,
    slots: Vec<Slot<'a>>,
    /// Completions that [`Generation::finished`] has not handed out.
    finished: Vec<(usize, Completion)>,
    rows: Rows,
    /// `[s]`: slots that a token is drawn for.
    drawing: Vec<usize>,
    uniform: Vec<f64>,
    drawn: Vec<Drawn>,
}

/// Room for one sequence. When its completion is done the tokens stay, for a
/// prompt that begins with them.
#[derive(Debug, Default)]
struct Slot<'a> {
    /// Prompt and what was drawn.
    tokens: Vec<u32>,
    /// Tokens whose keys and values are in the cache.
    taken_up: usize,
    work: Option<Work<'a>>,
}

/// A completion in the making.
#[derive(Debug)]
struct Work<'a> {
    request: usize,
    /// Tokens of the prompt.
    prompt: usize,
    /// Most tokens to draw.
    limit: usize,
    log_probs: Vec<f32>,
    random: ChaCha8Rng,
    stop: StopTexts<'a>,
    /// The slot to copy so many tokens from once it has taken them up.
    waits_for: Option<(usize, usize)>,
}

impl<'a> Generation<'a> {
    /// Begins to draw a completion for each of the `requests`.
    ///
    /// # Errors
    /// If `sampling` makes no sense, or a prompt is empty or fills the model's
    /// context.
    pub fn new(
        decoder: &'a mut Decoder,
        tokenizer: &'a Tokenizer,
        requests: &'a [TokenRequest],
        sampling: &'a Sampling,
        room: Room,
    ) -> Result<Self, LmError> {
        sampling.check()?;
        let context = decoder.config().max_position;
        let mut capacity = 1;
        for request in requests {
            request.check(context)?;
            capacity = capacity.max(request.prompt.len() + sampling.max_tokens);
        }
        let capacity = capacity.min(context);
        let fitting = room.cache_bytes / decoder.cache_bytes(capacity).max(1);
        let slots = room.slots.min(fitting).min(requests.len()).max(1);
        decoder.make_room(slots, capacity);
        Ok(Self {
            decoder,
            tokenizer,
            sampling,
            requests,
            next: 0,
            slots: (0..slots).map(|_| Slot::default()).collect(),
            finished: Vec::new(),
            rows: Rows::default(),
            drawing: Vec::new(),
            uniform: Vec::new(),
            drawn: Vec::new(),
        })
    }

    /// Draws a token for every sequence whose prompt is through. `false` once
    /// there is nothing left to do.
    ///
    /// # Errors
    /// If the model's logits are not finite or a completion cannot be decoded.
    pub fn step(&mut self) -> Result<bool, LmError> {
        self.copy_what_was_waited_for();
        self.fill_slots()?;
        self.gather();
        if self.rows.tokens.is_empty() {
            return Ok(false);
        }
        let truncation = self.sampling.truncation();
        self.drawn.clear();
        self.drawn.resize(self.drawing.len(), Drawn::default());
        self.decoder
            .step(&self.rows, &truncation, &self.uniform, &mut self.drawn);
        for row in 0..self.drawing.len() {
            self.take(self.drawing[row], self.drawn[row])?;
        }
        Ok(true)
    }

    /// Hands out the completions that ended since the last call, each with its
    /// request's index.
    pub fn finished(&mut self) -> std::vec::Drain<'_, (usize, Completion)> {
        self.finished.drain(..)
    }

    /// What has been drawn so far for a request that is in work.
    pub fn drawn(&self, request: usize) -> &[u32] {
        let of = |slot: &&Slot<'_>| slot.work.as_ref().is_some_and(|w| w.request == request);
        let slot = self.slots.iter().find(of);
        slot.map_or(&[], |slot| {
            let prompt = slot.work.as_ref().map_or(0, |work| work.prompt);
            &slot.tokens[prompt..]
        })
    }

    fn copy_what_was_waited_for(&mut self) {
        for slot in 0..self.slots.len() {
            let work = self.slots[slot].work.as_ref();
            if let Some((from, tokens)) = work.and_then(|work| work.waits_for)
                && self.slots[from].taken_up >= tokens
            {
                self.copy(from, slot, tokens);
            }
        }
    }

    fn copy(&mut self, from: usize, to: usize, tokens: usize) {
        if from != to {
            self.decoder.copy(from, to, tokens);
        }
        let slot = &mut self.slots[to];
        slot.taken_up = tokens;
        if let Some(work) = &mut slot.work {
            work.waits_for = None;
        }
    }

    /// Gives free slots the next requests.
    fn fill_slots(&mut self) -> Result<(), LmError> {
        while self.next < self.requests.len() {
            let prompt = &self.requests[self.next].prompt;
            // The longest beginning that some slot has, and the free slot whose
            // own is longest; where they are equal nothing needs to be copied.
            let (mut source, mut target) = ((0, 0), None);
            for (index, slot) in self.slots.iter().enumerate() {
                let shared = slot.shares(prompt);
                if shared > source.1 {
                    source = (index, shared);
                }
                if slot.work.is_none() && target.is_none_or(|(_, own)| shared > own) {
                    target = Some((index, shared));
                }
            }
            let Some((target, own)) = target else { break };
            let (source, shared) = if own < source.1 {
                source
            } else {
                (target, own)
            };
            self.begin(target, source, shared)?;
        }
        Ok(())
    }

    /// Begins the next request in slot `target` with `shared` tokens of `source`.
    fn begin(&mut self, target: usize, source: usize, shared: usize) -> Result<(), LmError> {
        let request = &self.requests[self.next];
        let room = self.decoder.config().max_position - request.prompt.len();
        let limit = self.sampling.max_tokens.min(room);
        let work = Work {
            request: self.next,
            prompt: request.prompt.len(),
            limit,
            log_probs: Vec::with_capacity(limit),
            random: random_numbers(self.sampling.seed, request),
            stop: StopTexts::new(&self.sampling.stop, self.tokenizer, &request.prompt)?,
            waits_for: Some((source, shared)),
        };
        self.next += 1;
        let there = self.slots[source].taken_up >= shared;
        let slot = &mut self.slots[target];
        slot.tokens.clear();
        slot.tokens.reserve(request.prompt.len() + limit);
        slot.tokens.extend_from_slice(&request.prompt);
        slot.taken_up = 0;
        slot.work = Some(work);
        if there {
            self.copy(source, target, shared);
        }
        Ok(())
    }

    /// The rows of the next step.
    fn gather(&mut self) {
        let Rows {
            tokens,
            places,
            continued,
        } = &mut self.rows;
        tokens.clear();
        places.clear();
        continued.clear();
        self.drawing.clear();
        self.uniform.clear();
        let mut of_prompts = PROMPT_TOKENS;
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let Some(work) = &mut slot.work else { continue };
            if work.waits_for.is_some() {
                continue;
            }
            let mut taken = slot.tokens.len() - slot.taken_up;
            if taken > 1 {
                taken = taken.min(of_prompts);
                of_prompts -= taken;
            }
            let now = slot.taken_up..slot.taken_up + taken;
            tokens.extend_from_slice(&slot.tokens[now.clone()]);
            places.extend(now.clone().map(|position| Place {
                slot: index as u32,
                position: position as u32,
            }));
            slot.taken_up = now.end;
            if slot.taken_up == slot.tokens.len() {
                continued.push(tokens.len() as u32 - 1);
                self.drawing.push(index);
                self.uniform.push(uniform(&mut work.random));
            }
        }
    }

    /// Adds a token to the sequence of a slot, and ends it if that is due.
    fn take(&mut self, slot: usize, drawn: Drawn) -> Result<(), LmError> {
        let (tokenizer, sampling) = (self.tokenizer, self.sampling);
        let Slot { tokens, work, .. } = &mut self.slots[slot];
        let Some(current) = work else { return Ok(()) };
        if !drawn.log_prob.is_finite() {
            return Err(LmError::LogitsNotFinite);
        }
        tokens.push(drawn.token);
        current.log_probs.push(drawn.log_prob);
        let ends = |tokens: &[u32]| tokens.contains(&drawn.token);
        let (prompt, all) = tokens.split_at(current.prompt);
        let (text, finish) = if ends(tokenizer.end_tokens()) || ends(&sampling.stop_tokens) {
            (&all[..all.len() - 1], Finish::Stop)
        } else if current.stop.end_with(drawn.token)? {
            (all, Finish::Stop)
        } else if all.len() >= current.limit {
            (all, Finish::Length)
        } else {
            return Ok(());
        };
        let completion = Completion {
            text: current.stop.cut(tokenizer.decode_behind(prompt, text)?),
            tokens: all.to_vec(),
            log_probs: std::mem::take(&mut current.log_probs),
            finish,
        };
        self.finished.push((current.request, completion));
        *work = None;
        Ok(())
    }
}

impl Slot<'_> {
    /// Tokens at the beginning of `prompt` whose keys and values are here or will
    /// be; never its last, whose logits have to be computed.
    fn shares(&self, prompt: &[u32]) -> usize {
        let sure = match &self.work {
            Some(work) => self.taken_up.max(work.prompt),
            None => self.taken_up,
        };
        let most = sure.min(prompt.len() - 1);
        let both = self.tokens.iter().zip(prompt).take(most);
        both.take_while(|(a, b)| a == b).count()
    }
}

/// The random numbers of one completion.
fn random_numbers(seed: u64, request: &TokenRequest) -> ChaCha8Rng {
    let mut key = blake3::Hasher::new();
    key.update(b"iwsft sampling, version 1");
    key.update(&seed.to_le_bytes());
    key.update(&request.draw.to_le_bytes());
    for token in request.prompt.iter() {
        key.update(&token.to_le_bytes());
    }
    ChaCha8Rng::from_seed(*key.finalize().as_bytes())
}

/// A number of `[0, 1)` with 53 bits.
fn uniform(random: &mut ChaCha8Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}
