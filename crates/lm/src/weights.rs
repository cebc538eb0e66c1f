//! A model's parameters on disk: safetensors, whole or in shards, in f32, bf16 or f16.
//!
//! Files are streamed: beside the f32 buffer itself, loading and saving hold a
//! chunk of one tensor and nothing more.

mod copy;
mod load;
mod save;

pub use copy::{copy_model_files, save_end_tokens};
pub use load::{check, load};
pub use save::save;

use safetensors::Dtype;

/// Name of a checkpoint's only weights file.
const WHOLE_FILE: &str = "model.safetensors";
/// Name of the file that says which shard holds which tensor.
const INDEX_FILE: &str = "model.safetensors.index.json";
/// The output matrix; with tied embeddings no parameter of its own.
const HEAD: &str = "lm_head.weight";
/// The embedding matrix.
const EMBEDDING: &str = "model.embed_tokens.weight";
/// Bytes in front of a safetensors header: its length.
const LENGTH_BYTES: usize = 8;
/// Elements converted at a time.
const CHUNK: usize = 1 << 18;

/// An element type that weights may be stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightType {
    /// 32-bit IEEE floats: what training holds, exactly.
    F32,
    /// bfloat16: the range of f32 with 8 bits of precision.
    Bf16,
    /// 16-bit IEEE floats: 11 bits of precision, nothing above 65504.
    F16,
}

impl WeightType {
    /// The type's name in `config.json` (`dtype`, formerly `torch_dtype`).
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::Bf16 => "bfloat16",
            Self::F16 => "float16",
        }
    }

    /// Bytes of one element.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 | Self::F16 => 2,
        }
    }

    fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::Bf16 => Dtype::BF16,
            Self::F16 => Dtype::F16,
        }
    }

    fn from_dtype(dtype: Dtype) -> Option<Self> {
        [Self::F32, Self::Bf16, Self::F16]
            .into_iter()
            .find(|kind| kind.dtype() == dtype)
    }
}
