//! `iwsft sample`: continue a prompt with a model.

use std::io::Write;
use std::path::PathBuf;

use iwsft_lm::{MemoryPlan, RenderOptions};
use serde_json::json;

use crate::language::ModelFolder;
use crate::mistake::Mistake;
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
    let folder = ModelFolder::open(&args.model, None)?;
    let prompt = if args.chat {
        let template = folder.template.as_ref().ok_or_else(|| {
            Mistake::new(format!(
                "{}: the model has no chat template",
                args.model.display()
            ))
        })?;
        let messages = [json!({"role": "user", "content": args.prompt})];
        let text = template.render(&messages, true, &RenderOptions::default())?;
        folder.tokenizer.encode(&text, false)?
    } else {
        folder.tokenizer.encode(&args.prompt, true)?
    };
    if prompt.is_empty() {
        return Err(Mistake::new("--prompt has no tokens; give some text").into());
    }
    let room = folder.config.max_position.saturating_sub(prompt.len());
    if room == 0 {
        let (found, most) = (prompt.len(), folder.config.max_position);
        let message = format!("--prompt has {found} tokens; the model has room for {most}");
        return Err(Mistake::new(message).into());
    }
    let (mut model, parameters) = folder.load(MemoryPlan::default())?;
    let (limit, stop) = (args.max_tokens.min(room), folder.tokenizer.end_tokens());
    let mut shown = Stream::default();
    let mut result = Ok(());
    let generated = model.generate_greedily(&parameters, &prompt, limit, stop, |token| {
        if !args.json && result.is_ok() {
            result = shown.push(&folder, token);
        }
    });
    result?;
    if args.json {
        let text = folder.tokenizer.decode(&generated, false)?;
        return print_json(
            &json!({"prompt": args.prompt, "completion": text, "tokens": generated}),
        );
    }
    writeln!(std::io::stdout().lock())?;
    Ok(())
}

/// Prints text as it grows; a character may take several tokens.
#[derive(Default)]
struct Stream {
    tokens: Vec<u32>,
    printed: usize,
}

impl Stream {
    fn push(&mut self, folder: &ModelFolder, token: u32) -> anyhow::Result<()> {
        self.tokens.push(token);
        let text = folder.tokenizer.decode(&self.tokens, false)?;
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
}
