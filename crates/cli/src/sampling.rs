//! Options of the commands that draw completions.

use iwsft_lm::{Room, Sampling, Tokenizer};

use crate::escapes::escaped;
use crate::mistake::Mistake;

/// How completions are drawn.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct SamplingArgs {
    /// What logits are divided by; 0 takes the likeliest token. [default: 1 for
    /// a file of prompts, 0 for a single one]
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    temperature: Option<f64>,
    /// Draw from the likeliest tokens that hold this share of the probability.
    #[arg(
        long,
        default_value_t = 1.0,
        value_name = "P",
        allow_negative_numbers = true
    )]
    top_p: f64,
    /// Draw from so many likeliest tokens.
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,
    /// Leave out tokens with less than this share of the likeliest one's probability.
    #[arg(
        long,
        default_value_t = 0.0,
        value_name = "P",
        allow_negative_numbers = true
    )]
    min_p: f64,
    /// Most tokens of a completion.
    #[arg(long, default_value_t = 256, value_name = "N")]
    max_tokens: usize,
    /// A text that ends a completion and is not part of it; may be repeated. `\n` is
    /// a line break, `\t` a tab, `\\` a backslash.
    #[arg(long, value_name = "TEXT", value_parser = escaped())]
    stop: Vec<String>,
    /// A token that ends a completion, as text or number, beside the model's own
    /// end tokens; may be repeated.
    #[arg(long, value_name = "TOKEN")]
    stop_token: Vec<String>,
    /// Decides what is drawn.
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Completions in work at once; no result depends on it.
    #[arg(long, default_value_t = 256, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Most memory for keys and values, in GiB; it bounds the batch.
    #[arg(long, default_value_t = 4, value_name = "GIB",
          value_parser = clap::value_parser!(u32).range(1..))]
    cache_memory: u32,
}

impl SamplingArgs {
    /// The settings, with `temperature` where none was given. Without a
    /// `tokenizer`, tokens are numbers.
    pub(crate) fn sampling(
        &self,
        temperature: f64,
        tokenizer: Option<&Tokenizer>,
    ) -> anyhow::Result<Sampling> {
        let token = |text: &String| {
            let known = tokenizer.and_then(|tokenizer| tokenizer.token(text));
            let token = known.or_else(|| text.parse().ok());
            token.ok_or_else(|| {
                let message = format!(
                    "--stop-token {text}: not a token of the model (a server's model has numbers only); to end at a text, use --stop"
                );
                Mistake::new(message)
            })
        };
        let sampling = Sampling {
            temperature: self.temperature.unwrap_or(temperature),
            top_p: self.top_p,
            top_k: self.top_k,
            min_p: self.min_p,
            max_tokens: self.max_tokens,
            stop: self.stop.clone(),
            stop_tokens: self
                .stop_token
                .iter()
                .map(token)
                .collect::<Result<_, _>>()?,
            seed: self.seed,
        };
        sampling.check()?;
        Ok(sampling)
    }

    pub(crate) fn room(&self) -> Room {
        Room {
            slots: self.batch as usize,
            cache_bytes: (self.cache_memory as usize) << 30,
        }
    }
}
