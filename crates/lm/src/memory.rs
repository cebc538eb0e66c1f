//! Working memory of a model: activations that the backward pass needs, and
//! scratch that every layer shares. It grows to the largest micro-batch and is
//! then used again, so that a warm step allocates nothing.

use iwsft_engine::Tensor;
use iwsft_engine::ops::log_prob::LogProbBuffer;

use crate::ModelConfig;

/// What is kept between the forward and the backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Keep only the input of every block and compute the block again in the
    /// backward pass: about a third more time for a fraction of the memory.
    pub recompute: bool,
    /// Most logits held at once; those beyond it are computed twice.
    pub logits: usize,
}

impl Default for MemoryPlan {
    /// Everything kept, and up to 2^25 logits (128 MiB).
    fn default() -> Self {
        Self {
            recompute: false,
            logits: 1 << 25,
        }
    }
}

/// Activations of one block, kept for its backward pass.
#[derive(Debug, Default)]
pub(crate) struct BlockActivations {
    /// `[n]`: reciprocal root mean square of the block's input.
    pub(crate) attention_rstd: Tensor,
    /// `[n, (h + 2k) e]`: before the heads' norms, where the model has them.
    pub(crate) qkv_raw: Tensor,
    /// `[n, h + k]`: reciprocal root mean squares of those heads.
    pub(crate) head_rstd: Tensor,
    /// `[n, (h + 2k) e]`: queries, keys (both turned) and values.
    pub(crate) qkv: Tensor,
    /// `[n, h e]`: attention's output.
    pub(crate) attention: Tensor,
    /// `[h, n]`: log-sum-exp of the attention scores.
    pub(crate) log_sum: Tensor,
    /// `[n, d]`: residual stream between attention and feed-forward.
    pub(crate) middle: Tensor,
    /// `[n]`: reciprocal root mean square of `middle`.
    pub(crate) mlp_rstd: Tensor,
    /// `[n, 2f]`: gates and ups.
    pub(crate) gate_up: Tensor,
}

impl BlockActivations {
    fn reserve(&mut self, config: &ModelConfig, n: usize) {
        let heads = config.head_layout();
        self.attention_rstd.reserve(n);
        if config.qk_norm {
            self.qkv_raw.reserve(n * heads.row());
            self.head_rstd.reserve(n * (heads.queries + heads.keys));
        }
        self.qkv.reserve(n * heads.row());
        self.attention.reserve(n * heads.queries * heads.width);
        self.log_sum.reserve(n * heads.queries);
        self.middle.reserve(n * config.hidden_size);
        self.mlp_rstd.reserve(n);
        self.gate_up.reserve(n * 2 * config.feed_forward);
    }
}

/// Buffers that hold nothing from one block to the next, each with several uses
/// one after the other.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// `[n, d]`: normalised residual stream, then its gradient; `[n, h e]`:
    /// gradient of attention's output.
    pub(crate) narrow: Tensor,
    /// `[n, f]`: feed-forward activation and its gradient; `[n, (h + 2k) e]`:
    /// gradient of `qkv`.
    pub(crate) wide: Tensor,
}

/// The rows that carry loss, after the last block.
#[derive(Debug)]
pub(crate) struct Head {
    /// `[s, d]`: residual stream at the scored rows.
    pub(crate) hidden: Tensor,
    /// `[s]`: reciprocal root mean square of `hidden`.
    pub(crate) rstd: Tensor,
    /// `[s, d]`: after the final norm; then the gradient of `hidden`.
    pub(crate) normed: Tensor,
    /// `[s, d]`: gradient of `normed`.
    pub(crate) dnormed: Tensor,
    pub(crate) log_prob: LogProbBuffer,
}

/// All of a model's working memory.
#[derive(Debug)]
pub(crate) struct Memory {
    /// `[layers + 1][n, d]`: residual stream before each block and after the
    /// last. The backward pass turns the last one into the stream's gradient.
    pub(crate) residual: Vec<Tensor>,
    /// One for each block that is kept.
    pub(crate) blocks: Vec<BlockActivations>,
    pub(crate) scratch: Scratch,
    pub(crate) head: Head,
}

impl Memory {
    pub(crate) fn new(plan: MemoryPlan) -> Self {
        Self {
            residual: Vec::new(),
            blocks: Vec::new(),
            scratch: Scratch::default(),
            head: Head {
                hidden: Tensor::default(),
                rstd: Tensor::default(),
                normed: Tensor::default(),
                dnormed: Tensor::default(),
                log_prob: LogProbBuffer::new(plan.logits),
            },
        }
    }

    /// Room for a forward pass over `n` tokens with `s` scored steps, keeping
    /// the inputs of `inputs` blocks and the activations of `kept` blocks.
    pub(crate) fn reserve_forward(
        &mut self,
        config: &ModelConfig,
        [n, s]: [usize; 2],
        inputs: usize,
        kept: usize,
    ) {
        let d = config.hidden_size;
        if self.residual.len() < inputs + 1 {
            self.residual.resize_with(inputs + 1, Tensor::default);
        }
        if self.blocks.len() < kept {
            self.blocks.resize_with(kept, BlockActivations::default);
        }
        self.residual[..=inputs]
            .iter_mut()
            .for_each(|residual| residual.reserve(n * d));
        self.blocks[..kept]
            .iter_mut()
            .for_each(|block| block.reserve(config, n));
        let heads = config.head_layout();
        self.scratch
            .narrow
            .reserve(n * d.max(heads.queries * heads.width));
        self.scratch
            .wide
            .reserve(n * config.feed_forward.max(heads.row()));
        self.head.hidden.reserve(s * d);
        self.head.rstd.reserve(s);
        self.head.normed.reserve(s * d);
    }
}
