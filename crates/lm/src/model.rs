//! A causal language model as a policy: tokens in, log-probabilities of the
//! scored tokens out, and gradients back.

use std::ops::Range;

use iwsft_engine::ops::rotary::RotaryTable;
use iwsft_engine::ops::{embedding, log_prob, rms_norm, rows};
use iwsft_engine::{Layout, Policy, Precision, Tensor};

use crate::block::{Block, BlockRanges};
use crate::memory::{Memory, MemoryPlan};
use crate::{ModelConfig, TokenBatch};

/// The network of a causal language model and its working memory. Parameters
/// are handed to each call.
#[derive(Debug)]
pub struct LanguageModel {
    pub(crate) config: ModelConfig,
    layout: Layout,
    plan: MemoryPlan,
    precision: Precision,
    pub(crate) memory: Memory,
    pub(crate) ranges: ModelRanges,
    pub(crate) table: RotaryTable,
}

/// Where the parameters lie in the flat buffer.
#[derive(Debug)]
pub(crate) struct ModelRanges {
    /// `[v, d]`.
    pub(crate) embedding: Range<usize>,
    pub(crate) blocks: Vec<BlockRanges>,
    /// `[d]`.
    pub(crate) norm: Range<usize>,
    /// `[v, d]`: the embedding's own range where the head is tied.
    pub(crate) head: Range<usize>,
}

impl LanguageModel {
    /// The network that `config` describes.
    pub fn new(config: ModelConfig, plan: MemoryPlan) -> Self {
        let layout = config.layout();
        let range = |name: &str| {
            layout
                .get(name)
                .map(|parameter| parameter.range.clone())
                .unwrap_or_default()
        };
        let embedding = range("model.embed_tokens.weight");
        let ranges = ModelRanges {
            head: if config.tied_head {
                embedding.clone()
            } else {
                range("lm_head.weight")
            },
            embedding,
            blocks: (0..config.layers)
                .map(|layer| BlockRanges::new(&config, &layout, layer))
                .collect(),
            norm: range("model.norm.weight"),
        };
        let table = RotaryTable::new(config.rope_inverse_frequencies());
        Self {
            config,
            layout,
            plan,
            precision: Precision::F32,
            memory: Memory::new(plan),
            ranges,
            table,
        }
    }

    /// From now on computes products of the blocks' matrices in this precision, f32
    /// at first. Attention and the head, whose probabilities are the result, stay f32.
    pub fn set_precision(&mut self, precision: Precision) {
        self.precision = precision;
    }

    /// The precision of products of the blocks' matrices.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Number of parameters.
    pub fn parameter_count(&self) -> usize {
        self.layout.len()
    }

    /// Logits of every row, `[n, v]` on the host: for inspection, not training.
    pub fn logits(&mut self, parameters: &Tensor, tokens: &[u32]) -> Vec<f32> {
        self.blocks_forward(parameters, &TokenBatch::of_sequence(tokens), Keep::Nothing);
        let residual = &self.memory.residual[self.config.layers % 2];
        let hidden = residual
            .view(0..tokens.len() * self.config.hidden_size)
            .to_host();
        self.logits_of(parameters, &Tensor::from_vec(hidden))
    }

    /// Logits `[rows, v]` of residual-stream rows `hidden [rows, d]` behind the
    /// last block.
    pub(crate) fn logits_of(&self, parameters: &Tensor, hidden: &Tensor) -> Vec<f32> {
        let (d, v) = (self.config.hidden_size, self.config.vocab_size);
        let rows = hidden.len() / d;
        let mut normed = Tensor::zeros(rows * d);
        let mut logits = Tensor::zeros(rows * v);
        rms_norm::forward(
            hidden.all(),
            parameters.view(self.ranges.norm.clone()),
            self.config.rms_norm_eps,
            normed.all_mut(),
            Tensor::zeros(rows).all_mut(),
        );
        let head = parameters.view(self.ranges.head.clone());
        log_prob::logits(normed.all(), head, logits.all_mut(), d);
        logits.to_host()
    }

    /// Runs all blocks. The residual stream before block `l` is then in
    /// `residual[l]`, or, where nothing is kept, in `residual[l % 2]`.
    fn blocks_forward(&mut self, parameters: &Tensor, batch: &TokenBatch, keep: Keep) {
        let (config, layers) = (&self.config, self.config.layers);
        let (n, d) = (batch.tokens(), config.hidden_size);
        let (inputs, kept) = match keep {
            Keep::Everything => (layers, layers),
            Keep::Inputs => (layers, 1),
            Keep::Nothing => (1, 1),
        };
        self.memory
            .reserve_forward(config, [n, batch.steps()], inputs, kept);
        self.table.extend_to(batch.longest());
        let Memory {
            residual,
            blocks,
            scratch,
            ..
        } = &mut self.memory;
        let first = residual[0].view_mut(0..n * d);
        embedding::forward(
            &batch.tokens,
            parameters.view(self.ranges.embedding.clone()),
            first,
            d,
        );
        for (layer, ranges) in self.ranges.blocks.iter().enumerate() {
            let block = Block {
                config,
                ranges,
                parameters,
                table: &self.table,
                positions: &batch.positions,
                precision: self.precision,
            };
            let [input, output] = match keep {
                Keep::Nothing => neighbours(&mut residual[..2], layer % 2),
                Keep::Everything | Keep::Inputs => neighbours(residual, layer),
            };
            block.forward(
                input.view(0..n * d),
                &batch.cu_seqlens,
                &mut blocks[layer % kept],
                scratch,
                Some(output.view_mut(0..n * d)),
            );
        }
    }

    /// From the residual stream to log-probabilities at the scored rows.
    fn head_forward(
        &mut self,
        parameters: &Tensor,
        batch: &TokenBatch,
        residual: usize,
        log_probs: &mut [f32],
    ) {
        let (n, s, d) = (batch.tokens(), batch.steps(), self.config.hidden_size);
        let Memory {
            residual: residuals,
            head,
            ..
        } = &mut self.memory;
        let hidden = head.hidden.view_mut(0..s * d);
        rows::gather(residuals[residual].view(0..n * d), &batch.rows, hidden, d);
        rms_norm::forward(
            head.hidden.view(0..s * d),
            parameters.view(self.ranges.norm.clone()),
            self.config.rms_norm_eps,
            head.normed.view_mut(0..s * d),
            head.rstd.view_mut(0..s),
        );
        log_prob::forward(
            head.normed.view(0..s * d),
            parameters.view(self.ranges.head.clone()),
            &batch.targets,
            &mut head.log_prob,
            log_probs,
            d,
        );
    }

    /// From the coefficients to the gradient of the residual stream behind the
    /// last block, which replaces that stream.
    fn head_backward(
        &mut self,
        parameters: &Tensor,
        gradients: &mut Tensor,
        batch: &TokenBatch,
        coefficients: &[f32],
    ) {
        let (n, s, d) = (batch.tokens(), batch.steps(), self.config.hidden_size);
        let Memory { residual, head, .. } = &mut self.memory;
        head.dnormed.reserve(s * d);
        log_prob::backward(
            head.normed.view(0..s * d),
            parameters.view(self.ranges.head.clone()),
            &batch.targets,
            coefficients,
            &mut head.log_prob,
            head.dnormed.view_mut(0..s * d),
            gradients.view_mut(self.ranges.head.clone()),
            d,
        );
        let dhidden = &mut head.normed;
        dhidden.zero();
        rms_norm::backward(
            head.hidden.view(0..s * d),
            parameters.view(self.ranges.norm.clone()),
            head.rstd.view(0..s),
            head.dnormed.view(0..s * d),
            dhidden.view_mut(0..s * d),
            gradients.view_mut(self.ranges.norm.clone()),
        );
        let dresidual = residual[self.config.layers].view_mut(0..n * d);
        rows::scatter(dhidden.view(0..s * d), &batch.rows, dresidual, d);
    }
}

impl Policy for LanguageModel {
    type Batch = TokenBatch;

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn steps(batch: &TokenBatch) -> usize {
        batch.steps()
    }

    fn forward(&mut self, parameters: &Tensor, batch: &TokenBatch, log_probs: &mut [f32]) {
        let keep = if self.plan.recompute {
            Keep::Inputs
        } else {
            Keep::Everything
        };
        self.blocks_forward(parameters, batch, keep);
        self.head_forward(parameters, batch, self.config.layers, log_probs);
    }

    fn backward(
        &mut self,
        parameters: &Tensor,
        gradients: &mut Tensor,
        batch: &TokenBatch,
        coefficients: &[f32],
    ) {
        let (n, d) = (batch.tokens(), self.config.hidden_size);
        self.head_backward(parameters, gradients, batch, coefficients);
        let Memory {
            residual,
            blocks,
            scratch,
            ..
        } = &mut self.memory;
        let (inputs, last) = residual.split_at_mut(self.config.layers);
        let dresidual = &mut last[0];
        for (layer, ranges) in self.ranges.blocks.iter().enumerate().rev() {
            let block = Block {
                config: &self.config,
                ranges,
                parameters,
                table: &self.table,
                positions: &batch.positions,
                precision: self.precision,
            };
            let input = inputs[layer].view(0..n * d);
            let kept = &mut blocks[if self.plan.recompute { 0 } else { layer }];
            // The last block's activations are still there from the forward pass.
            if self.plan.recompute && layer + 1 < self.config.layers {
                block.forward(input, &batch.cu_seqlens, kept, scratch, None);
            }
            block.backward(
                input,
                &batch.cu_seqlens,
                kept,
                scratch,
                dresidual,
                gradients,
            );
        }
        embedding::backward(
            &batch.tokens,
            dresidual.view(0..n * d),
            gradients.view_mut(self.ranges.embedding.clone()),
            d,
        );
    }

    fn log_probs(&mut self, parameters: &Tensor, batch: &TokenBatch, log_probs: &mut [f32]) {
        self.blocks_forward(parameters, batch, Keep::Nothing);
        self.head_forward(parameters, batch, self.config.layers % 2, log_probs);
    }
}

/// What a forward pass leaves for a backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    Everything,
    /// Only each block's input.
    Inputs,
    Nothing,
}

/// Element `input` and the one after it (or, of two, the other one).
fn neighbours(residual: &mut [Tensor], input: usize) -> [&mut Tensor; 2] {
    if input + 1 < residual.len() {
        let (before, after) = residual.split_at_mut(input + 1);
        [&mut before[input], &mut after[0]]
    } else {
        let (before, after) = residual.split_at_mut(input);
        [&mut after[0], &mut before[0]]
    }
}
