//! Completions from any server that speaks OpenAI's protocol: vLLM, SGLang,
//! llama.cpp, `transformers serve`, or a service.
//!
//! One [`Endpoint`] asks one model. It keeps several requests in flight, keeps
//! below the rates it was given, and asks again when a server is busy, restarts
//! or hangs up; what asking again cannot change is an [`EndpointError`] at once.

mod answer;
mod ask;
mod backoff;
mod client;
mod error;
mod http;
mod pace;
mod query;

pub use client::{Endpoint, Event, Notice, Settings};
pub use error::EndpointError;
pub use query::{Prompt, Query};
