//! `iwsft inspect`: rows as the model sees them.

use std::io::Write;
use std::path::PathBuf;

use anstyle::{AnsiColor, Style};
use iwsft_data::{Columns, Encoded, Findings, Row, Source, read};
use serde::Serialize;

use crate::language::ModelFolder;
use crate::mistake::Mistake;
use crate::progress::say;
use crate::prompting::{Asking, Prompting, PromptingArgs, said_of_all};
use crate::recipe::{DataSection, EndToken, Recipe};
use crate::table::print_json;
use crate::terminal;

/// Show rows as tokens: which carry loss, with what weight, and where they are cut.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  iwsft inspect recipe.toml --row 3
  iwsft inspect answers.jsonl --model Qwen2.5-0.5B-Instruct --rows 5

Tokens with loss are green on a terminal, and stand in [[ ]] elsewhere; what is
cut off is red, or stands in {{ }}.")]
pub(crate) struct Args {
    /// A recipe, or a data file.
    input: PathBuf,
    /// Model folder, where the input is a data file.
    #[arg(long, value_name = "FOLDER")]
    model: Option<PathBuf>,
    /// First row to show, counted from 1.
    #[arg(long, default_value_t = 1, value_name = "N")]
    row: usize,
    /// Number of rows to show.
    #[arg(long, default_value_t = 1, value_name = "N")]
    rows: usize,
    /// Change a value of the recipe.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    #[command(flatten)]
    prompting: PromptingArgs,
    /// Print rows as lines of JSON on standard output.
    #[arg(long)]
    json: bool,
}

/// A row as it will be trained on.
#[derive(Serialize)]
struct Inspected {
    at: String,
    tokens: Vec<u32>,
    /// What each token is called in the vocabulary.
    spelling: Vec<String>,
    step_weight: Vec<f32>,
    length: usize,
    loss_tokens: usize,
    /// Whether a token straddles the border of prompt and answer.
    straddles: bool,
    /// Tokens that are kept, where the row is too long.
    cut_at: Option<usize>,
    reward: Option<f32>,
    score: Option<f32>,
    weight: f32,
}

/// What decides how rows are read and encoded.
struct Setting {
    folder: ModelFolder,
    files: Vec<File>,
    end_token: EndToken,
    max_length: usize,
}

/// A file, and what was found in the rows that were read of it.
struct File {
    path: PathBuf,
    columns: Columns,
    asking: Asking,
    findings: Findings,
}

impl Setting {
    fn of(args: &Args) -> anyhow::Result<Self> {
        let is_recipe = args.input.is_dir()
            || args
                .input
                .extension()
                .is_some_and(|extension| extension == "toml");
        let (folder, mut data) = if is_recipe {
            let recipe = Recipe::read(&args.input, &args.sets)?;
            (ModelFolder::of_recipe(&recipe.model)?, recipe.data)
        } else {
            let Some(model) = &args.model else {
                return Err(Mistake::new(format!(
                    "{}: a data file needs --model FOLDER, whose tokenizer and chat template apply; a recipe ends in .toml",
                    args.input.display()
                ))
                .into());
            };
            (
                ModelFolder::open(model, None)?,
                DataSection::of_file(&args.input),
            )
        };
        data.over(&args.prompting);
        let file = |(source, prompting): (Source, Prompting)| {
            Ok(File {
                path: source.path,
                columns: source.columns,
                asking: Asking::new(&folder, &prompting)?,
                findings: Findings::default(),
            })
        };
        let files = data.sources(&data.train).into_iter().map(file);
        Ok(Self {
            files: files.collect::<Result<_, Mistake>>()?,
            max_length: data.max_length.unwrap_or(folder.config.max_position),
            end_token: data.end_token,
            folder,
        })
    }

    fn inspect(&self, row: &Row, asking: &Asking) -> anyhow::Result<Inspected> {
        let encoded = self
            .folder
            .encode(row, self.end_token, asking)
            .map_err(|error| anyhow::Error::from(error).context(format!("{}", row.at)))?;
        let Encoded {
            tokens,
            step_weight,
            straddles,
            ..
        } = encoded;
        let spelling = tokens
            .iter()
            .map(|&token| self.folder.tokenizer.spelling(token).unwrap_or_default())
            .collect();
        Ok(Inspected {
            at: row.at.to_string(),
            spelling,
            length: tokens.len(),
            loss_tokens: step_weight.iter().filter(|&&weight| weight > 0.0).count(),
            straddles,
            cut_at: (tokens.len() > self.max_length).then_some(self.max_length),
            tokens,
            step_weight,
            reward: row.reward,
            score: row.score,
            weight: row.weight,
        })
    }
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    if args.row == 0 {
        return Err(Mistake::new("--row 0: rows are counted from 1").into());
    }
    let mut setting = Setting::of(&args)?;
    let mut files = std::mem::take(&mut setting.files);
    let shown = show(&setting, &mut files, &args);
    // Of the rows that were read, whether or not the next could be.
    for File {
        path,
        findings,
        asking,
        ..
    } in &files
    {
        for line in findings.lines().into_iter().chain(asking.lines()) {
            say(&format!("{}: {line}", path.display()));
        }
    }
    let key = match args
        .input
        .extension()
        .is_some_and(|ending| ending == "toml")
    {
        true => "data.chat = false",
        false => "--chat=false",
    };
    if let Some(line) = said_of_all(files.iter().map(|file| &file.asking), key) {
        say(&line);
    }
    shown
}

/// Shows the rows that are asked for.
fn show(setting: &Setting, files: &mut [File], args: &Args) -> anyhow::Result<()> {
    let mut seen = 0;
    for file in files {
        for row in read(&file.path, &file.columns)? {
            seen += 1;
            if seen < args.row {
                continue;
            }
            if seen >= args.row + args.rows {
                return Ok(());
            }
            let row = row?;
            file.findings.add(&row);
            let inspected = setting.inspect(&row, &file.asking)?;
            if args.json {
                print_json(&inspected)?
            } else {
                print(&setting.folder, &inspected)?
            }
        }
    }
    if seen < args.row {
        let message = format!("--row {}: there are only {seen} rows", args.row);
        return Err(Mistake::new(message).into());
    }
    Ok(())
}

fn print(folder: &ModelFolder, row: &Inspected) -> anyhow::Result<()> {
    let heading = Style::new().bold();
    let mut out = anstream::stdout().lock();
    let optional = |value: Option<f32>| value.map_or("-".to_owned(), |value| value.to_string());
    write!(
        out,
        "{heading}{}{heading:#}: {} tokens, {} with loss, weight {}, reward {}, score {}",
        terminal::plain(&row.at.to_string()),
        row.length,
        row.loss_tokens,
        row.weight,
        optional(row.reward),
        optional(row.score),
    )?;
    if row.straddles {
        write!(out, ", a token straddles the border of prompt and answer")?;
    }
    match row.cut_at {
        Some(kept) => writeln!(out, ", cut behind token {kept}")?,
        None => writeln!(out)?,
    }
    let coloured = !matches!(
        anstream::AutoStream::choice(&std::io::stdout()),
        anstream::ColorChoice::Never
    );
    for (kind, text) in runs(folder, row)? {
        let (open, close, style) = match kind {
            Kind::Context => ("", "", Style::new().dimmed()),
            Kind::Loss => ("[[", "]]", AnsiColor::Green.on_default().bold()),
            Kind::Cut => ("{{", "}}", AnsiColor::Red.on_default().strikethrough()),
        };
        let (open, close) = if coloured { ("", "") } else { (open, close) };
        let text = terminal::plain(&text);
        write!(out, "{style}{open}{text}{close}{style:#}")?;
    }
    writeln!(out, "\n")?;
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Context,
    Loss,
    Cut,
}

/// Neighbouring tokens of one kind as one text: what the text up to their end
/// has more than the text up to their start, because a character may span
/// several tokens and some tokenizers treat the first one differently.
fn runs(folder: &ModelFolder, row: &Inspected) -> anyhow::Result<Vec<(Kind, String)>> {
    let kind = |index: usize| {
        if row.cut_at.is_some_and(|kept| index >= kept) {
            Kind::Cut
        } else if row.step_weight[index] > 0.0 {
            Kind::Loss
        } else {
            Kind::Context
        }
    };
    let mut runs = Vec::new();
    let (mut before, mut end) = (String::new(), 0);
    while end < row.length {
        let this = kind(end);
        end += (end..row.length)
            .take_while(|&index| kind(index) == this)
            .count();
        let text = folder.tokenizer.decode(&row.tokens[..end], true)?;
        let new = text.strip_prefix(&before).unwrap_or(&text).to_owned();
        runs.push((this, new));
        before = text;
    }
    Ok(runs)
}
