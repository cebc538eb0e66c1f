//! Causal language models as policies.

mod batch;
mod block;
mod chat;
mod config;
mod decoder;
mod error;
mod file;
mod generate;
pub mod mask;
mod memory;
mod model;
mod prompt;
mod reading;
mod sampling;
mod stop;
mod tokenizer;
mod turn_frame;
pub mod weights;

pub use batch::TokenBatch;
pub use chat::{ChatTemplate, RenderOptions, today};
pub use config::{Family, Llama3RopeScaling, ModelConfig};
pub use decoder::Decoder;
pub use error::LmError;
pub use generate::{Generation, Room, TokenRequest};
pub use mask::{
    Masked, encode_drawn, encode_messages, encode_prompt_completion,
    encode_prompt_completion_messages, encode_text,
};
pub use memory::MemoryPlan;
pub use model::LanguageModel;
pub use prompt::{Following, Prompt};
pub use reading::Reading;
pub use sampling::{Completion, Finish, Sampling};
pub use tokenizer::Tokenizer;
pub use turn_frame::TurnFrame;
