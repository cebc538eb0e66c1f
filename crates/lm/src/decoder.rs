//! A model as generation runs it: some tokens a step, each somewhere in some
//! sequence, with the keys and values of what came before.
//!
//! A step is a list of rows, one token each. A row's result depends on its own
//! sequence alone, bit by bit: see [`packed_linear`] and [`cached_attention`]. So
//! it is all the same whether a prompt comes at once, in pieces or token by token,
//! and what else is in the batch.

use std::ops::Range;

use iwsft_engine::ops::cached_attention::{self, KeyValueCache, Place};
use iwsft_engine::ops::draw::{self, Drawn, Truncation};
use iwsft_engine::ops::packed_linear::{self, PackedMatrix};
use iwsft_engine::ops::rotary::{self, RotaryTable};
use iwsft_engine::ops::{embedding, head_norm, rms_norm, rows, swiglu};
use iwsft_engine::{Tensor, View};

use crate::block::BlockRanges;
use crate::{LanguageModel, ModelConfig};

/// Most logits held at once.
const LOGITS: usize = 1 << 24;

/// A language model's weights, laid out for generation, its key/value cache and
/// its working memory.
#[derive(Debug)]
pub struct Decoder {
    config: ModelConfig,
    /// `[v, d]`, where the head is not the embedding as well.
    embedding: Option<Tensor>,
    blocks: Vec<DecoderBlock>,
    /// `[d]`.
    norm: Tensor,
    /// `[v, d]`.
    head: PackedMatrix,
    table: RotaryTable,
    /// One for each block.
    caches: Vec<KeyValueCache>,
    slots: usize,
    capacity: usize,
    buffers: Buffers,
}

/// Weights of one block.
#[derive(Debug)]
struct DecoderBlock {
    attention_norm: Tensor,
    qkv: PackedMatrix,
    qkv_bias: Option<Tensor>,
    head_norms: Option<Tensor>,
    output: PackedMatrix,
    mlp_norm: Tensor,
    gate_up: PackedMatrix,
    down: PackedMatrix,
}

/// Activations of one step.
#[derive(Debug, Default)]
struct Buffers {
    positions: Vec<u32>,
    /// `[n, d]`: residual stream.
    residual: Tensor,
    /// `[n, d]`: after a norm.
    normed: Tensor,
    /// `[n, h + k]`: reciprocal root mean squares, which only training needs.
    rstd: Tensor,
    /// `[n, (h + 2k) e]`: before the heads' norms, where the model has them.
    qkv_raw: Tensor,
    /// `[n, (h + 2k) e]`.
    qkv: Tensor,
    /// `[n, h e]`.
    attention: Tensor,
    /// `[n, 2f]`.
    gate_up: Tensor,
    /// `[n, f]`.
    activation: Tensor,
    /// `[s, d]`: residual stream of the rows that are continued.
    continued: Tensor,
    /// `[rows of a chunk, v]`.
    logits: Tensor,
}

/// The tokens of a step.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// `[n]`.
    pub(crate) tokens: Vec<u32>,
    /// `[n]`: each behind all that its slot has taken up before.
    pub(crate) places: Vec<Place>,
    /// `[s]`: rows that a next token is drawn for.
    pub(crate) continued: Vec<u32>,
}

impl Decoder {
    /// Lays out the weights of `model`; `parameters` are not needed afterwards.
    pub fn new(model: &LanguageModel, parameters: &Tensor) -> Self {
        let config = model.config().clone();
        let copy = |view: View<'_>| Tensor::from_vec(view.to_host());
        let (d, v) = (config.hidden_size, config.vocab_size);
        let ranges = &model.ranges;
        let blocks = ranges
            .blocks
            .iter()
            .map(|ranges| DecoderBlock::new(&config, ranges, parameters))
            .collect();
        Self {
            embedding: (!config.tied_head).then(|| copy(parameters.view(ranges.embedding.clone()))),
            blocks,
            norm: copy(parameters.view(ranges.norm.clone())),
            head: PackedMatrix::new(parameters.view(ranges.head.clone()), [d, v]),
            table: RotaryTable::new(config.rope_inverse_frequencies()),
            caches: Vec::new(),
            slots: 0,
            capacity: 0,
            buffers: Buffers::default(),
            config,
        }
    }

    /// The configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Bytes of keys and values for one sequence of `capacity` tokens.
    pub fn cache_bytes(&self, capacity: usize) -> usize {
        let of_layer = KeyValueCache::slot_len(self.config.head_layout(), capacity);
        self.config.layers * of_layer * size_of::<f32>()
    }

    /// Makes room for `slots` sequences of `capacity` tokens. What was there is
    /// forgotten.
    pub(crate) fn make_room(&mut self, slots: usize, capacity: usize) {
        if self.slots >= slots && self.capacity >= capacity {
            return;
        }
        let heads = self.config.head_layout();
        self.caches.clear();
        self.caches
            .extend((0..self.config.layers).map(|_| KeyValueCache::new(heads, slots, capacity)));
        (self.slots, self.capacity) = (slots, capacity);
        self.table.extend_to(capacity);
    }

    /// Copies what slot `from` holds of its first `positions` to slot `to`.
    pub(crate) fn copy(&mut self, from: usize, to: usize, positions: usize) {
        for cache in &mut self.caches {
            cache.copy(from, to, positions);
        }
    }

    /// Takes up `rows` and draws a token behind each continued one:
    /// `uniform [s]` in `[0, 1)`, `drawn [s]`.
    pub(crate) fn step(
        &mut self,
        rows: &Rows,
        truncation: &Truncation,
        uniform: &[f64],
        drawn: &mut [Drawn],
    ) {
        // Inside of the pool, where small operations start at once.
        rayon::scope(|_| {
            self.take_up(rows);
            self.draw(truncation, uniform, drawn);
        });
    }

    /// Runs all blocks, and the last norm on the rows that are continued.
    fn take_up(
        &mut self,
        Rows {
            tokens,
            places,
            continued,
        }: &Rows,
    ) {
        let (config, buffers) = (&self.config, &mut self.buffers);
        let (n, s, d) = (tokens.len(), continued.len(), config.hidden_size);
        buffers.reserve(config, [n, s]);
        buffers.positions.clear();
        buffers
            .positions
            .extend(places.iter().map(|place| place.position));
        let residual = buffers.residual.view_mut(0..n * d);
        match &self.embedding {
            Some(table) => embedding::forward(tokens, table.all(), residual, d),
            None => packed_linear::embed(tokens, &self.head, residual),
        }
        for (block, cache) in self.blocks.iter().zip(&mut self.caches) {
            block.forward(config, &self.table, places, cache, buffers);
        }
        rows::gather(
            buffers.residual.view(0..n * d),
            continued,
            buffers.continued.view_mut(0..s * d),
            d,
        );
        rms_norm::forward(
            buffers.continued.view(0..s * d),
            self.norm.all(),
            config.rms_norm_eps,
            buffers.normed.view_mut(0..s * d),
            buffers.rstd.view_mut(0..s),
        );
    }

    /// Draws from the logits of the continued rows, so many rows at a time.
    fn draw(&mut self, truncation: &Truncation, uniform: &[f64], drawn: &mut [Drawn]) {
        let (s, d, v) = (drawn.len(), self.config.hidden_size, self.head.output());
        let rows = (LOGITS / v).clamp(1, s.max(1));
        let Buffers { normed, logits, .. } = &mut self.buffers;
        logits.reserve(rows * v);
        for (chunk, drawn) in drawn.chunks_mut(rows).enumerate() {
            let (first, rows) = (chunk * rows, drawn.len());
            packed_linear::forward(
                normed.view(first * d..(first + rows) * d),
                &self.head,
                None,
                logits.view_mut(0..rows * v),
                false,
            );
            draw::draw(
                logits.view_mut(0..rows * v),
                truncation,
                &uniform[first..first + rows],
                drawn,
            );
        }
    }
}

impl DecoderBlock {
    fn new(config: &ModelConfig, ranges: &BlockRanges, parameters: &Tensor) -> Self {
        let copy =
            |range: &Range<usize>| Tensor::from_vec(parameters.view(range.clone()).to_host());
        let pack =
            |range: &Range<usize>, sizes| PackedMatrix::new(parameters.view(range.clone()), sizes);
        let (d, f, heads) = (
            config.hidden_size,
            config.feed_forward,
            config.head_layout(),
        );
        Self {
            attention_norm: copy(&ranges.attention_norm),
            qkv: pack(&ranges.qkv, [d, heads.row()]),
            qkv_bias: ranges.qkv_bias.as_ref().map(copy),
            head_norms: ranges.head_norms.as_ref().map(copy),
            output: pack(&ranges.output, [heads.queries * heads.width, d]),
            mlp_norm: copy(&ranges.mlp_norm),
            gate_up: pack(&ranges.gate_up, [d, 2 * f]),
            down: pack(&ranges.down, [f, d]),
        }
    }

    /// As [`crate::block::Block::forward`], in place on the residual stream.
    fn forward(
        &self,
        config: &ModelConfig,
        table: &RotaryTable,
        places: &[Place],
        cache: &mut KeyValueCache,
        buffers: &mut Buffers,
    ) {
        let (n, d, f) = (places.len(), config.hidden_size, config.feed_forward);
        let (heads, eps) = (config.head_layout(), config.rms_norm_eps);
        let (qkv_size, attended) = (0..n * heads.row(), 0..n * heads.queries * heads.width);
        rms_norm::forward(
            buffers.residual.view(0..n * d),
            self.attention_norm.all(),
            eps,
            buffers.normed.view_mut(0..n * d),
            buffers.rstd.view_mut(0..n),
        );
        let projected = match &self.head_norms {
            Some(_) => &mut buffers.qkv_raw,
            None => &mut buffers.qkv,
        };
        packed_linear::forward(
            buffers.normed.view(0..n * d),
            &self.qkv,
            self.qkv_bias.as_ref().map(Tensor::all),
            projected.view_mut(qkv_size.clone()),
            false,
        );
        if let Some(weights) = &self.head_norms {
            let raw = buffers.qkv_raw.view(qkv_size.clone());
            let qkv = buffers.qkv.view_mut(qkv_size.clone());
            let rstd = buffers.rstd.view_mut(0..n * (heads.queries + heads.keys));
            head_norm::forward(raw, weights.all(), eps, qkv, rstd, heads);
        }
        rotary::forward(
            buffers.qkv.view_mut(qkv_size.clone()),
            &buffers.positions,
            table,
            heads,
        );
        cached_attention::forward(
            buffers.qkv.view(qkv_size),
            places,
            cache,
            config.sliding_window,
            buffers.attention.view_mut(attended.clone()),
        );
        packed_linear::forward(
            buffers.attention.view(attended),
            &self.output,
            None,
            buffers.residual.view_mut(0..n * d),
            true,
        );
        rms_norm::forward(
            buffers.residual.view(0..n * d),
            self.mlp_norm.all(),
            eps,
            buffers.normed.view_mut(0..n * d),
            buffers.rstd.view_mut(0..n),
        );
        packed_linear::forward(
            buffers.normed.view(0..n * d),
            &self.gate_up,
            None,
            buffers.gate_up.view_mut(0..n * 2 * f),
            false,
        );
        swiglu::forward(
            buffers.gate_up.view(0..n * 2 * f),
            buffers.activation.view_mut(0..n * f),
            f,
        );
        packed_linear::forward(
            buffers.activation.view(0..n * f),
            &self.down,
            None,
            buffers.residual.view_mut(0..n * d),
            true,
        );
    }
}

impl Buffers {
    /// Room for `n` rows of which `s` are continued.
    fn reserve(&mut self, config: &ModelConfig, [n, s]: [usize; 2]) {
        let (d, f, heads) = (
            config.hidden_size,
            config.feed_forward,
            config.head_layout(),
        );
        self.residual.reserve(n * d);
        self.normed.reserve(n * d);
        self.rstd.reserve(n * (heads.queries + heads.keys));
        if config.qk_norm {
            self.qkv_raw.reserve(n * heads.row());
        }
        self.qkv.reserve(n * heads.row());
        self.attention.reserve(n * heads.queries * heads.width);
        self.gate_up.reserve(n * 2 * f);
        self.activation.reserve(n * f);
        self.continued.reserve(s * d);
    }
}
