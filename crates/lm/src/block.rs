//! One transformer block, forward and backward side by side:
//!
//! `middle = input + W_o attention(rotary(W_qkv norm(input)))`,
//! `output = middle + W_down swiglu(W_gate_up norm(middle))`.

use std::ops::Range;

use iwsft_engine::ops::attention::Heads;
use iwsft_engine::ops::rotary::RotaryTable;
use iwsft_engine::ops::{attention, head_norm, linear, rms_norm, rotary, rows, swiglu};
use iwsft_engine::{Layout, Precision, Tensor, View, ViewMut};

use crate::ModelConfig;
use crate::memory::{BlockActivations, Scratch};

/// Where one block's parameters lie in the flat buffer; neighbours that one
/// matrix product serves are one range.
#[derive(Debug, Clone)]
pub(crate) struct BlockRanges {
    pub(crate) attention_norm: Range<usize>,
    /// `[(h + 2k) e, d]`.
    pub(crate) qkv: Range<usize>,
    /// `[(h + 2k) e]`.
    pub(crate) qkv_bias: Option<Range<usize>>,
    /// `[2e]`: query norm, key norm.
    pub(crate) head_norms: Option<Range<usize>>,
    /// `[d, h e]`.
    pub(crate) output: Range<usize>,
    pub(crate) mlp_norm: Range<usize>,
    /// `[2f, d]`.
    pub(crate) gate_up: Range<usize>,
    /// `[d, f]`.
    pub(crate) down: Range<usize>,
}

impl BlockRanges {
    pub(crate) fn new(config: &ModelConfig, layout: &Layout, layer: usize) -> Self {
        let span = |first: &str, last: &str| {
            let range = |name: &str| {
                let name = format!("model.layers.{layer}.{name}");
                layout
                    .get(&name)
                    .map(|parameter| parameter.range.clone())
                    .unwrap_or_default()
            };
            range(first).start..range(last).end
        };
        let one = |name: &str| span(name, name);
        Self {
            attention_norm: one("input_layernorm.weight"),
            qkv: span("self_attn.q_proj.weight", "self_attn.v_proj.weight"),
            qkv_bias: config
                .qkv_bias
                .then(|| span("self_attn.q_proj.bias", "self_attn.v_proj.bias")),
            head_norms: config
                .qk_norm
                .then(|| span("self_attn.q_norm.weight", "self_attn.k_norm.weight")),
            output: one("self_attn.o_proj.weight"),
            mlp_norm: one("post_attention_layernorm.weight"),
            gate_up: span("mlp.gate_proj.weight", "mlp.up_proj.weight"),
            down: one("mlp.down_proj.weight"),
        }
    }
}

/// One block of a model, with what it needs for a micro-batch.
pub(crate) struct Block<'a> {
    pub(crate) config: &'a ModelConfig,
    pub(crate) ranges: &'a BlockRanges,
    pub(crate) parameters: &'a Tensor,
    pub(crate) table: &'a RotaryTable,
    pub(crate) positions: &'a [u32],
    /// Of the products with matrices; attention's own are f32.
    pub(crate) precision: Precision,
}

impl Block<'_> {
    fn parameter(&self, range: &Range<usize>) -> View<'_> {
        self.parameters.view(range.clone())
    }

    /// Sizes for [`linear`]: `[n, in, out]`.
    fn sizes(&self) -> Sizes {
        let (n, d, f) = (
            self.positions.len(),
            self.config.hidden_size,
            self.config.feed_forward,
        );
        let heads = self.config.head_layout();
        let attended = heads.queries * heads.width;
        Sizes {
            n,
            d,
            f,
            heads,
            qkv: [n, d, heads.row()],
            output: [n, attended, d],
            gate_up: [n, d, 2 * f],
            down: [n, f, d],
        }
    }

    /// Writes `output [n, d]` if there is one (a block that is computed again
    /// for its backward pass needs none) and fills `kept`.
    pub(crate) fn forward(
        &self,
        input: View<'_>,
        cu_seqlens: &[usize],
        kept: &mut BlockActivations,
        scratch: &mut Scratch,
        output: Option<ViewMut<'_>>,
    ) {
        let Sizes { n, d, f, heads, .. } = self.sizes();
        let (ranges, eps, sizes) = (self.ranges, self.config.rms_norm_eps, self.sizes());
        let qkv_size = 0..n * heads.row();
        let mut normed = scratch.narrow.view_mut(0..n * d);
        rms_norm::forward(
            input,
            self.parameter(&ranges.attention_norm),
            eps,
            normed.reborrow(),
            kept.attention_rstd.view_mut(0..n),
        );
        let projected = match &ranges.head_norms {
            Some(_) => &mut kept.qkv_raw,
            None => &mut kept.qkv,
        };
        linear::forward(
            scratch.narrow.view(0..n * d),
            self.parameter(&ranges.qkv),
            ranges.qkv_bias.as_ref().map(|bias| self.parameter(bias)),
            projected.view_mut(qkv_size.clone()),
            sizes.qkv,
            false,
            self.precision,
        );
        if let Some(weights) = &ranges.head_norms {
            let raw = kept.qkv_raw.view(qkv_size.clone());
            let qkv = kept.qkv.view_mut(qkv_size.clone());
            let rstd = kept.head_rstd.view_mut(0..n * (heads.queries + heads.keys));
            head_norm::forward(raw, self.parameter(weights), eps, qkv, rstd, heads);
        }
        rotary::forward(
            kept.qkv.view_mut(qkv_size),
            self.positions,
            self.table,
            heads,
        );
        attention::forward(
            kept.qkv.view(0..n * heads.row()),
            cu_seqlens,
            heads,
            self.config.sliding_window,
            kept.attention.view_mut(0..n * heads.queries * heads.width),
            kept.log_sum.view_mut(0..n * heads.queries),
        );
        rows::copy(input, kept.middle.view_mut(0..n * d));
        linear::forward(
            kept.attention.view(0..n * heads.queries * heads.width),
            self.parameter(&ranges.output),
            None,
            kept.middle.view_mut(0..n * d),
            sizes.output,
            true,
            self.precision,
        );
        rms_norm::forward(
            kept.middle.view(0..n * d),
            self.parameter(&ranges.mlp_norm),
            eps,
            scratch.narrow.view_mut(0..n * d),
            kept.mlp_rstd.view_mut(0..n),
        );
        linear::forward(
            scratch.narrow.view(0..n * d),
            self.parameter(&ranges.gate_up),
            None,
            kept.gate_up.view_mut(0..n * 2 * f),
            sizes.gate_up,
            false,
            self.precision,
        );
        let Some(mut output) = output else { return };
        swiglu::forward(
            kept.gate_up.view(0..n * 2 * f),
            scratch.wide.view_mut(0..n * f),
            f,
        );
        rows::copy(kept.middle.view(0..n * d), output.reborrow());
        linear::forward(
            scratch.wide.view(0..n * f),
            self.parameter(&ranges.down),
            None,
            output,
            sizes.down,
            true,
            self.precision,
        );
    }

    /// Turns `dresidual [n, d]` from the gradient of the block's output into
    /// that of its `input`, and adds to the parameters' `gradients`. Uses up
    /// what the forward pass `kept`.
    pub(crate) fn backward(
        &self,
        input: View<'_>,
        cu_seqlens: &[usize],
        kept: &mut BlockActivations,
        scratch: &mut Scratch,
        dresidual: &mut Tensor,
        gradients: &mut Tensor,
    ) {
        self.backward_feed_forward(kept, scratch, dresidual, gradients);
        self.backward_attention(input, cu_seqlens, kept, scratch, dresidual, gradients);
    }

    fn backward_feed_forward(
        &self,
        kept: &mut BlockActivations,
        scratch: &mut Scratch,
        dresidual: &mut Tensor,
        gradients: &mut Tensor,
    ) {
        let Sizes {
            n,
            d,
            f,
            gate_up,
            down,
            ..
        } = self.sizes();
        let ranges = self.ranges;
        linear::backward_input(
            dresidual.view(0..n * d),
            self.parameter(&ranges.down),
            scratch.wide.view_mut(0..n * f),
            down,
            false,
            self.precision,
        );
        swiglu::backward_in_place(
            kept.gate_up.view_mut(0..n * 2 * f),
            scratch.wide.view_mut(0..n * f),
            f,
        );
        linear::backward_weight(
            dresidual.view(0..n * d),
            scratch.wide.view(0..n * f),
            gradients.view_mut(ranges.down.clone()),
            down,
            self.precision,
        );
        let layer = NormedLinear {
            x: kept.middle.view(0..n * d),
            rstd: kept.mlp_rstd.view(0..n),
            norm: &ranges.mlp_norm,
            weight: &ranges.gate_up,
            bias: None,
            sizes: gate_up,
        };
        let dgate_up = kept.gate_up.view(0..n * 2 * f);
        self.backward_normed_linear(layer, dgate_up, &mut scratch.narrow, dresidual, gradients);
    }

    fn backward_attention(
        &self,
        input: View<'_>,
        cu_seqlens: &[usize],
        kept: &mut BlockActivations,
        scratch: &mut Scratch,
        dresidual: &mut Tensor,
        gradients: &mut Tensor,
    ) {
        let Sizes {
            n,
            d,
            heads,
            qkv,
            output,
            ..
        } = self.sizes();
        let ranges = self.ranges;
        let (attended, qkv_size) = (0..n * heads.queries * heads.width, 0..n * heads.row());
        linear::backward_input(
            dresidual.view(0..n * d),
            self.parameter(&ranges.output),
            scratch.narrow.view_mut(attended.clone()),
            output,
            false,
            self.precision,
        );
        linear::backward_weight(
            dresidual.view(0..n * d),
            kept.attention.view(attended.clone()),
            gradients.view_mut(ranges.output.clone()),
            output,
            self.precision,
        );
        attention::backward(
            kept.qkv.view(qkv_size.clone()),
            cu_seqlens,
            heads,
            self.config.sliding_window,
            kept.attention.view(attended.clone()),
            kept.log_sum.view(0..n * heads.queries),
            scratch.narrow.view(attended),
            scratch.wide.view_mut(qkv_size.clone()),
        );
        let mut dqkv = scratch.wide.view_mut(qkv_size.clone());
        rotary::backward(dqkv.reborrow(), self.positions, self.table, heads);
        if let Some(weights) = &ranges.head_norms {
            head_norm::backward(
                kept.qkv_raw.view(qkv_size.clone()),
                self.parameter(weights),
                kept.head_rstd.view(0..n * (heads.queries + heads.keys)),
                dqkv,
                gradients.view_mut(weights.clone()),
                heads,
            );
        }
        let layer = NormedLinear {
            x: input,
            rstd: kept.attention_rstd.view(0..n),
            norm: &ranges.attention_norm,
            weight: &ranges.qkv,
            bias: ranges.qkv_bias.as_ref(),
            sizes: qkv,
        };
        let dqkv = scratch.wide.view(qkv_size);
        self.backward_normed_linear(layer, dqkv, &mut scratch.narrow, dresidual, gradients);
    }

    /// From the gradient `dy` of `y = W norm(x) + bias` to that of `x`, which is
    /// added to `dresidual`. The norm's output is computed again in `narrow`,
    /// which then takes its gradient.
    fn backward_normed_linear(
        &self,
        NormedLinear {
            x,
            rstd,
            norm,
            weight,
            bias,
            sizes,
        }: NormedLinear<'_>,
        dy: View<'_>,
        narrow: &mut Tensor,
        dresidual: &mut Tensor,
        gradients: &mut Tensor,
    ) {
        let (rows, gain) = (0..x.len(), self.parameter(norm));
        rms_norm::again(x, gain, rstd, narrow.view_mut(rows.clone()));
        let normed = narrow.view(rows.clone());
        linear::backward_weight(
            dy,
            normed,
            gradients.view_mut(weight.clone()),
            sizes,
            self.precision,
        );
        if let Some(bias) = bias {
            linear::backward_bias(dy, gradients.view_mut(bias.clone()));
        }
        let dnormed = narrow.view_mut(rows.clone());
        linear::backward_input(
            dy,
            self.parameter(weight),
            dnormed,
            sizes,
            false,
            self.precision,
        );
        let (dnormed, dx) = (narrow.view(rows.clone()), dresidual.view_mut(rows));
        rms_norm::backward(x, gain, rstd, dnormed, dx, gradients.view_mut(norm.clone()));
    }
}

/// A norm and the linear layer behind it, for their common backward pass.
struct NormedLinear<'a> {
    /// `[n, d]`: input of the norm, which is the residual stream.
    x: View<'a>,
    /// `[n]`: what the norm's forward pass left.
    rstd: View<'a>,
    norm: &'a Range<usize>,
    weight: &'a Range<usize>,
    bias: Option<&'a Range<usize>>,
    /// `[n, in, out]` of the linear layer.
    sizes: [usize; 3],
}

/// Sizes of one block for a micro-batch; the arrays are `[n, in, out]`.
struct Sizes {
    n: usize,
    d: usize,
    f: usize,
    heads: Heads,
    qkv: [usize; 3],
    output: [usize; 3],
    gate_up: [usize; 3],
    down: [usize; 3],
}

impl ModelConfig {
    /// How the columns of `qkv` divide into heads.
    pub(crate) fn head_layout(&self) -> Heads {
        Heads {
            queries: self.heads,
            keys: self.kv_heads,
            width: self.head_dim,
        }
    }
}
