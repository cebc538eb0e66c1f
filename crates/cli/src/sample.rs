//! `iwsft sample`: completions from a model.

mod file;
pub(crate) mod prompts;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use iwsft_lm::{Completion, MemoryPlan, Reading, Sampling};
use serde_json::json;

use crate::embedded::Embedded;
use crate::endpoint::ServerArgs;
use crate::generator::{Generator, Prompt, Request};
use crate::language::ModelFolder;
use crate::sampling::SamplingArgs;
use crate::table::print_json;
use crate::terminal;
use file::Job;
use prompts::{PromptArgs, PromptRow};

/// Draw completions from a model: of one prompt, or of a file of them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  iwsft sample runs/recipe/model --prompt 'Once upon a time'
  iwsft sample runs/recipe/model --chat --prompt 'What is 12 + 30?' --temperature 0.7
  iwsft sample MODEL --prompts gsm8k.jsonl --prompt-column question --chat -k 8 --out samples.jsonl
  iwsft sample MODEL --prompts rows.jsonl --template 'Q: {question}\\nA:' --stop 'Q:' --out out.jsonl
  iwsft sample --endpoint http://localhost:8000/v1 --prompts gsm8k.jsonl --chat --out samples.jsonl

A single prompt is shown as it grows, with the likeliest tokens unless a
temperature is given. A file of prompts gives a row for each completion, in the
order of the prompts, with the tokens that were drawn and their log-probabilities
in `ref_log_probs`, for iw-SFT to train on. Ctrl-C keeps what is done; the same
command goes on from there.")]
pub(crate) struct Args {
    /// A Hugging Face model folder.
    #[arg(required_unless_present = "endpoint", conflicts_with = "endpoint")]
    model: Option<PathBuf>,
    /// The text to continue.
    #[arg(long, value_name = "TEXT", required_unless_present = "prompts")]
    prompt: Option<String>,
    /// A file whose rows have prompts: .jsonl, .json or .parquet.
    #[arg(long, value_name = "FILE", requires = "out", conflicts_with = "prompt")]
    prompts: Option<PathBuf>,
    /// Where the completions of a file of prompts go.
    #[arg(long, value_name = "FILE", requires = "prompts")]
    out: Option<PathBuf>,
    /// Completions of each prompt of a file.
    #[arg(short = 'k', long = "completions", default_value_t = 1, value_name = "K",
          requires = "prompts", value_parser = clap::value_parser!(u32).range(1..))]
    completions: u32,
    /// Begin anew, whatever is there already.
    #[arg(long, requires = "prompts")]
    restart: bool,
    /// A chat template to use instead of the model's own.
    #[arg(long, value_name = "FILE", conflicts_with = "endpoint")]
    chat_template: Option<PathBuf>,
    /// Print the result as a line of JSON on standard output.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    from: PromptArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    match (&args.prompts, &args.out) {
        (Some(prompts), Some(out)) => many(&args, prompts, out),
        _ => one(&args, args.prompt.as_deref().unwrap_or_default()),
    }
}

impl Args {
    fn folder(&self) -> anyhow::Result<ModelFolder> {
        let path = self.model.as_deref().unwrap_or(Path::new(""));
        ModelFolder::open(path, self.chat_template.as_deref())
    }
}

/// Completions of a file's prompts.
fn many(args: &Args, prompts: &Path, out: &Path) -> anyhow::Result<()> {
    if let Some(mut server) = args.server.connect()? {
        let sampling = args.sampling.sampling(1.0, None)?;
        let rows = args.from.read(prompts)?;
        let name = server.name();
        return draw(args, &mut server, &name, &rows, &sampling, out);
    }
    let folder = args.folder()?;
    if args.from.chat {
        folder.say_new_end();
    }
    let sampling = args.sampling.sampling(1.0, Some(&folder.tokenizer))?;
    let rows = args.from.read(prompts)?;
    say_mismatch(&folder, &args.from, rows.iter().map(|row| &row.prompt));
    let (model, parameters) = folder.load(MemoryPlan::default())?;
    let weights = folder.model_hash(&parameters)?;
    let mut model = Embedded::new(folder, &model, &parameters, args.sampling.room());
    drop(parameters);
    for row in &rows {
        let request = Request {
            name: row.at.to_string(),
            prompt: row.prompt.clone(),
            prefix: String::new(),
            draw: 0,
        };
        model.check(&request).with_context(|| row.at.to_string())?;
    }
    draw(args, &mut model, &weights, &rows, &sampling, out)
}

/// Says if the model was trained on prompts that were put to it in another way.
fn say_mismatch<'p>(
    folder: &ModelFolder,
    from: &PromptArgs,
    prompts: impl IntoIterator<Item = &'p Prompt>,
) {
    let marks = folder.marks();
    let in_template = |prompt: &Prompt| match prompt {
        Prompt::Messages(_) => true,
        Prompt::Text(text) => marks
            .as_ref()
            .is_some_and(|marks| marks.are_in_prompt(text)),
    };
    let mut ways = prompts.into_iter().map(in_template);
    let Some(first) = ways.next() else { return };
    if ways.any(|way| way != first) {
        return;
    }
    folder.say_mismatch(
        first,
        "--chat puts prompts into it",
        "ask in plain text, without --chat",
    );
    folder.say_other_system(first, from.system.as_deref(), "--system TEXT");
}

/// `identity` is what a resumed command must have in common.
fn draw(
    args: &Args,
    model: &mut dyn Generator,
    identity: &str,
    rows: &[PromptRow],
    sampling: &Sampling,
    out: &Path,
) -> anyhow::Result<()> {
    let job = Job {
        rows,
        completions: args.completions as usize,
        sampling,
        out,
        restart: args.restart,
        skip_failed: args.server.skip_failed,
    };
    let summary = file::sample(model, identity, &job)?;
    if args.json {
        print_json(&summary)
    } else {
        summary.print()
    }
}

/// A completion of one prompt, shown as it grows.
fn one(args: &Args, text: &str) -> anyhow::Result<()> {
    let request = Request {
        name: "--prompt".into(),
        prompt: args.from.single(text)?,
        prefix: String::new(),
        draw: 0,
    };
    if let Some(mut server) = args.server.connect()? {
        let sampling = args.sampling.sampling(0.0, None)?;
        return server.complete(
            &[request],
            &sampling,
            &mut |_, completion| match args.json {
                true => print_completion(text, completion?),
                false => Ok(writeln!(
                    std::io::stdout().lock(),
                    "{}",
                    terminal::for_output(&completion?.text)
                )?),
            },
        );
    }
    let folder = args.folder()?;
    if args.from.chat {
        folder.say_new_end();
    }
    say_mismatch(&folder, &args.from, [&request.prompt]);
    let sampling = args.sampling.sampling(0.0, Some(&folder.tokenizer))?;
    let (model, parameters) = folder.load(MemoryPlan::default())?;
    let mut model = Embedded::new(folder, &model, &parameters, args.sampling.room());
    drop(parameters);
    let lead = model.folder.lead(&request.prompt).to_owned();
    let request = model.check(&request).context("--prompt")?;
    let tokenizer = model.folder.tokenizer.clone();
    let mut shown = Shown {
        reading: Reading::behind(&tokenizer, &request.prompt)?,
        lead: &lead,
        read: 0,
        printed: 0,
        // What might become a stop text is not shown before it is clear.
        held: sampling.stop.iter().map(String::len).max().unwrap_or(0),
    };
    let mut completion = model.stream(request, &sampling, |tokens| match args.json {
        true => Ok(()),
        false => shown.grow(tokens),
    })?;
    if !args.json {
        return shown.end(&completion.text);
    }
    if let Some(words) = completion.text.strip_prefix(&lead) {
        completion.text = words.to_owned();
    }
    print_completion(text, completion)
}

fn print_completion(prompt: &str, completion: Completion) -> anyhow::Result<()> {
    let Completion {
        text: completion,
        tokens,
        log_probs,
        finish,
    } = completion;
    print_json(&json!({
        "prompt": prompt, "completion": completion, "finish": finish,
        "tokens": tokens, "log_probs": log_probs,
    }))
}

/// Prints text as it grows; a character may take several tokens.
struct Shown<'a> {
    reading: Reading<'a>,
    /// What is not printed at the beginning.
    lead: &'a str,
    /// Tokens that are read.
    read: usize,
    /// Bytes that are printed.
    printed: usize,
    /// Bytes at the end that are held back.
    held: usize,
}

impl Shown<'_> {
    /// Prints what is clear of a completion of so many tokens.
    fn grow(&mut self, tokens: &[u32]) -> anyhow::Result<()> {
        for token in tokens.iter().skip(self.read) {
            self.reading.push(*token)?;
            self.read += 1;
        }
        let text = self.reading.text();
        let end = text.floor_char_boundary(text.len().saturating_sub(self.held));
        if end < self.lead.len() {
            return Ok(());
        }
        if self.printed == 0 && text.starts_with(self.lead) {
            self.printed = self.lead.len();
        }
        if let Some(new) = text.get(self.printed..end) {
            let mut out = std::io::stdout().lock();
            write!(out, "{}", terminal::for_output(new))?;
            out.flush()?;
            self.printed = end;
        }
        Ok(())
    }

    fn end(&self, text: &str) -> anyhow::Result<()> {
        let rest = match self.printed {
            0 => text.strip_prefix(self.lead).unwrap_or(text),
            printed => text.get(printed..).unwrap_or_default(),
        };
        Ok(writeln!(
            std::io::stdout().lock(),
            "{}",
            terminal::for_output(rest)
        )?)
    }
}
