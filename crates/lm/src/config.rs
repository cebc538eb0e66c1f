//! What a model is: the sizes and switches of its `config.json`.
//!
//! Dimension letters (`d`, `h`, `k`, `e`, `f`, `v`) follow the legend in
//! [`iwsft_engine`]. Reading the file is in [`read`](self::read), and is strict:
//! a field that this crate does not compute as transformers does is an error,
//! because training a slightly different model would go unnoticed.

mod fields;
mod harmless;
mod read;

use std::f64::consts::PI;

use iwsft_engine::Layout;
use serde_json::{Map, Value};

/// The block structure of a causal language model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Llama 2, Llama 3 and everything that shares their blocks.
    Llama,
    /// Qwen2 and Qwen2.5: as Llama, with biases on q, k and v.
    Qwen2,
    /// Qwen3 (dense): as Llama, with an RMS norm on every head of q and k.
    Qwen3,
    /// Mistral: as Llama, with an optional sliding attention window.
    Mistral,
}

impl Family {
    /// Every family, in the order in which messages list them.
    pub const ALL: [Self; 4] = [Self::Llama, Self::Qwen2, Self::Qwen3, Self::Mistral];

    /// The value of `model_type` in `config.json`.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Mistral => "mistral",
        }
    }

    /// The entry of `architectures` in `config.json`.
    pub fn architecture(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
            Self::Mistral => "MistralForCausalLM",
        }
    }
}

/// How Llama 3.1 and later stretch the rotary embedding to long contexts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Llama3RopeScaling {
    /// Divisor of the frequencies whose wavelength exceeds the old context.
    pub factor: f64,
    /// Wavelengths above `original_max_position_embeddings / low_freq_factor` are divided.
    pub low_freq_factor: f64,
    /// Wavelengths below `original_max_position_embeddings / high_freq_factor` stay.
    pub high_freq_factor: f64,
    /// Context length before the stretch, in tokens.
    pub original_max_position_embeddings: usize,
}

/// A model's configuration, checked: every combination held here can be computed.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// Block structure.
    pub family: Family,
    /// `d`: width of the residual stream.
    pub hidden_size: usize,
    /// Number of blocks.
    pub layers: usize,
    /// `h`: query heads; a multiple of `kv_heads`.
    pub heads: usize,
    /// `k`: key/value heads.
    pub kv_heads: usize,
    /// `e`: width of one head; even. `h * e` need not equal `d`.
    pub head_dim: usize,
    /// `f`: width of the feed-forward layer.
    pub feed_forward: usize,
    /// `v`: rows of the embedding matrix.
    pub vocab_size: usize,
    /// Added to the mean square inside every RMS norm.
    pub rms_norm_eps: f32,
    /// Base of the rotary embedding's frequencies.
    pub rope_theta: f64,
    /// Llama 3 scaling of those frequencies, where the model has it.
    pub rope_scaling: Option<Llama3RopeScaling>,
    /// Longest context that the model declares, in tokens.
    pub max_position: usize,
    /// Whether the output matrix is the embedding matrix.
    pub tied_head: bool,
    /// Whether q, k and v have biases.
    pub qkv_bias: bool,
    /// Whether each head of q and k passes an RMS norm before rotation.
    pub qk_norm: bool,
    /// With `Some(w)` a token attends to itself and the `w - 1` before it.
    pub sliding_window: Option<usize>,
    /// First token of a sequence, where the model declares one.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a sequence, as far as `config.json` names them.
    pub eos_token_ids: Vec<u32>,
    /// The file as read; it goes back into checkpoints unchanged.
    pub raw: Map<String, Value>,
}

impl ModelConfig {
    /// Angle per position of each pair of dimensions of a head, `[e/2]`.
    ///
    /// `theta^(-2i/e)`, and with Llama 3 scaling as in transformers
    /// (`_compute_llama3_parameters`): wavelengths `2 pi / f` above
    /// `old / low_freq_factor` become `f / factor`, those below
    /// `old / high_freq_factor` stay, and between them the two are blended
    /// linearly in `old / wavelength`.
    pub fn rope_inverse_frequencies(&self) -> Vec<f64> {
        let width = self.head_dim as f64;
        (0..self.head_dim / 2)
            .map(|pair| {
                let frequency = self.rope_theta.powf(-2.0 * pair as f64 / width);
                self.rope_scaling
                    .map_or(frequency, |scaling| scaling.apply(frequency))
            })
            .collect()
    }

    /// The parameters under their checkpoint names, in memory order.
    ///
    /// q, k and v lie next to each other, and so do gate and up, so that each
    /// group is one matrix (`[(h + 2k) e, d]` and `[2f, d]`) for one matmul.
    pub fn layout(&self) -> Layout {
        let (d, f, v) = (self.hidden_size, self.feed_forward, self.vocab_size);
        let q = self.heads * self.head_dim;
        let kv = self.kv_heads * self.head_dim;
        let mut layout = Layout::default();
        layout.push("model.embed_tokens.weight", &[v, d]);
        for layer in 0..self.layers {
            let mut push = |name: &str, shape: &[usize]| {
                layout.push(format!("model.layers.{layer}.{name}"), shape);
            };
            push("input_layernorm.weight", &[d]);
            push("self_attn.q_proj.weight", &[q, d]);
            push("self_attn.k_proj.weight", &[kv, d]);
            push("self_attn.v_proj.weight", &[kv, d]);
            if self.qkv_bias {
                push("self_attn.q_proj.bias", &[q]);
                push("self_attn.k_proj.bias", &[kv]);
                push("self_attn.v_proj.bias", &[kv]);
            }
            if self.qk_norm {
                push("self_attn.q_norm.weight", &[self.head_dim]);
                push("self_attn.k_norm.weight", &[self.head_dim]);
            }
            push("self_attn.o_proj.weight", &[d, q]);
            push("post_attention_layernorm.weight", &[d]);
            push("mlp.gate_proj.weight", &[f, d]);
            push("mlp.up_proj.weight", &[f, d]);
            push("mlp.down_proj.weight", &[d, f]);
        }
        layout.push("model.norm.weight", &[d]);
        if !self.tied_head {
            layout.push("lm_head.weight", &[v, d]);
        }
        layout
    }
}

impl Llama3RopeScaling {
    fn apply(&self, frequency: f64) -> f64 {
        let old = self.original_max_position_embeddings as f64;
        let wavelength = 2.0 * PI / frequency;
        if wavelength < old / self.high_freq_factor {
            frequency
        } else if wavelength > old / self.low_freq_factor {
            frequency / self.factor
        } else {
            let blend = (old / wavelength - self.low_freq_factor)
                / (self.high_freq_factor - self.low_freq_factor);
            (1.0 - blend) * frequency / self.factor + blend * frequency
        }
    }
}
