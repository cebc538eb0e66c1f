//! `iwsft sample`: continue a prompt with a model.

use std::io::Write;
use std::path::PathBuf;

use iwsft_lm::{Room, Sampling, Tokenizer};
use serde_json::json;

use crate::embedded::Embedded;
use crate::generator::{Prompt, Request};
use crate::table::print_json;

/// Continue a prompt with the likeliest tokens.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  iwsft sample runs/recipe/model --prompt 'Once upon a time'
  iwsft sample runs/recipe/model --chat --prompt 'What is 12 + 30?'")]
pub(crate) struct Args {
    /// A Hugging Face model folder.
    model: PathBuf,
    /// The text to continue.
    #[arg(long)]
    prompt: String,
    /// Put the prompt into the model's chat template as a user's message.
    #[arg(long)]
    chat: bool,
    /// Most tokens to generate.
    #[arg(long, default_value_t = 256)]
    max_tokens: usize,
    /// Print the result as a line of JSON on standard output.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let mut model = Embedded::open(&args.model, None, Room::default())?;
    let request = Request {
        prompt: match args.chat {
            true => Prompt::Messages(vec![json!({"role": "user", "content": args.prompt})]),
            false => Prompt::Text(args.prompt.clone()),
        },
        prefix: String::new(),
        draw: 0,
    };
    let request = model.tokens(&request)?;
    let sampling = Sampling {
        temperature: 0.0,
        max_tokens: args.max_tokens,
        ..Sampling::default()
    };
    let mut shown = Shown::default();
    let tokenizer = model.folder.tokenizer.clone();
    let completion = model.stream(request, &sampling, |tokens| match args.json {
        true => Ok(()),
        false => shown.show(&tokenizer, tokens),
    })?;
    if args.json {
        return print_json(
            &json!({"prompt": args.prompt, "completion": completion.text, "tokens": completion.tokens}),
        );
    }
    shown.rest(&completion.text)
}

/// Prints text as it grows; a character may take several tokens.
#[derive(Default)]
struct Shown {
    printed: usize,
}

impl Shown {
    fn show(&mut self, tokenizer: &Tokenizer, tokens: &[u32]) -> anyhow::Result<()> {
        let text = tokenizer.decode(tokens, false)?;
        if !text.ends_with('\u{FFFD}')
            && let Some(new) = text.get(self.printed..)
        {
            let mut out = std::io::stdout().lock();
            write!(out, "{new}")?;
            out.flush()?;
            self.printed = text.len();
        }
        Ok(())
    }

    fn rest(&self, text: &str) -> anyhow::Result<()> {
        let rest = text.get(self.printed..).unwrap_or_default();
        Ok(writeln!(std::io::stdout().lock(), "{rest}")?)
    }
}
