//! Completions from any server that speaks OpenAI's protocol: vLLM, SGLang,
//! llama.cpp, `transformers serve`, or a service.
//!
//! One [`Endpoint`] asks one model. It keeps several requests in flight, keeps
//! below the rates it was given, and asks again when a server is busy, restarts
//! or hangs up; what asking again cannot change is an [`EndpointError`] at once.
//! A query that fails does not keep the others from being answered.

mod address;
mod answer;
mod ask;
mod backoff;
mod client;
mod error;
mod events;
mod finish;
mod forward;
mod http;
mod lenient;
mod log_probs;
mod models;
mod notice;
mod pace;
mod proxy;
mod query;
mod refusal;
mod secrets;
mod words;
mod work;

pub use client::{Endpoint, Event, Settings};
pub use error::EndpointError;
pub use notice::Notice;
pub use query::{Prompt, Query};
