//! `iwsft curate`: from graded rows to rows worth learning from.

mod card;
mod options;
mod source;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use iwsft_data::curation::{Candidate, Candidates, Step, curate, pass_rates, split};
use iwsft_data::{Columns, Findings, Object, Row, RowWriter, read_objects};
use iwsft_files::write_atomically;
use rayon::prelude::*;
use serde_json::{Map, Value, json};

use crate::curate::card::Card;
pub(crate) use crate::curate::options::Options;
use crate::curate::options::RuleSet;
use crate::curate::source::Source;
use crate::language::ModelFolder;
use crate::mistake::Mistake;
use crate::progress::say;
use crate::prompting::{Asking, Prompting, said_of_all};
use crate::recipe::EndToken;
use crate::table::{Table, print_json};
use crate::terminal;

/// Rows that are looked at together on all cores.
const CHUNK: usize = 1024;

/// Choose the rows of graded data that are worth learning from.
///
/// Rules apply in a fixed order, that of the options below: lengths,
/// decontamination, duplicates, pass rate, reward, best of k, most per prompt,
/// balance, percentiles, split. Rows keep their columns and their order.
/// Beside the data goes a card that says how it came to be. Files that are there
/// already are replaced with --force only.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  iwsft curate graded.jsonl --min-reward 1 --dedup near --out train.jsonl
  iwsft curate graded.jsonl --percentiles 90,95,98 --out best.parquet
  iwsft curate graded.jsonl --min-reward 1 --best-of-k 4 --pass-rate 0.1..0.9 \\
      --decontaminate math500.jsonl aime24.jsonl --split 0.05 --out train.jsonl
  iwsft curate a.jsonl b.parquet --rules rules.toml --dry-run --examples 2

A file of rules has the options as keys, with _ for -:
  min_reward = 1.0
  best_of_k = 4
  decontaminate = [\"math500.jsonl\"]
  columns = { prompt = \"problem\" }
Its paths are relative to its own folder, and the command line goes over it.")]
pub(crate) struct Args {
    /// Files of rows: .jsonl, .json, both also as .gz, or .parquet.
    #[arg(required = true, value_name = "DATA")]
    data: Vec<PathBuf>,
    /// The curated rows: .jsonl, .jsonl.gz or .parquet.
    #[arg(long, value_name = "FILE", required_unless_present = "dry_run")]
    out: Option<PathBuf>,
    /// The rows for validation, with --split [default: `.validation` before
    /// the ending of --out].
    #[arg(long, value_name = "FILE")]
    validation_out: Option<PathBuf>,
    /// A TOML file of rules.
    #[arg(long, value_name = "FILE.toml")]
    rules: Option<PathBuf>,
    /// Say what the rules would do, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Replace files that are there already.
    #[arg(long)]
    force: bool,
    /// Show so many of the rows that each rule removed.
    #[arg(long, default_value_t = 0, value_name = "N")]
    examples: usize,
    /// Print the table as lines of JSON on standard output, one a rule, and
    /// last the result.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    options: Box<Options>,
}

pub(crate) fn run(mut args: Args) -> anyhow::Result<()> {
    let options = std::mem::take(&mut *args.options).over(args.rules.as_deref())?;
    let outputs = Outputs::begin(&args, &options)?;
    let RuleSet { rules, evaluations } = options.rules()?;
    let data = Data::read(&args.data, &options)?;
    let curated = curate(&data.candidates, &rules)?;
    let (train, validation) = match options.split {
        Some(share) => split(&data.candidates, &curated.kept, share, options.seed()),
        None => (curated.kept.clone(), Vec::new()),
    };
    if let Some(share) = options.split {
        check_split(&data.candidates, share, &train, &validation)?;
    }
    let pass_rates = match options.write_pass_rate {
        true => Some(pass_rates(&data.candidates, "write-pass-rate")?),
        false => None,
    };
    let results = match outputs {
        Some(outputs) => outputs.write(&data, &train, &validation, pass_rates.as_deref())?,
        None => Vec::new(),
    };
    let card = match (&args.out, results.is_empty()) {
        (Some(out), false) => {
            let path = card_path(out);
            let card = Card {
                rows: &data.candidates,
                sources: &data.sources,
                evaluations: &evaluations,
                steps: &curated.steps,
                split: options.split.map(|share| {
                    let seed = options.seed();
                    format!("Of the prompts, a share of {share} went to validation, seed {seed}.")
                }),
                results: &results,
            };
            write_atomically(&path, card.markdown()?.as_bytes())
                .with_context(|| format!("{}: cannot be written", path.display()))?;
            Some(path)
        }
        _ => None,
    };
    let report = Report {
        data: &data,
        steps: &curated.steps,
        examples: args.examples,
        train: &train,
        validation: options.split.is_some().then_some(&validation[..]),
    };
    if args.json {
        report.print_json(&results, card.as_deref())?;
    } else {
        report.print()?;
    }
    for (file, _) in &results {
        say(&format!("{}: {} rows", file.path.display(), file.rows));
    }
    if let Some(card) = card {
        say(&format!("{}: the data card", card.display()));
    }
    Ok(())
}

fn check_split(
    rows: &Candidates,
    share: f64,
    train: &[usize],
    validation: &[usize],
) -> Result<(), Mistake> {
    let (empty, remedy) = match (train.is_empty(), validation.is_empty()) {
        (true, _) => ("training", "lower"),
        (_, true) => ("validation", "raise"),
        _ => return Ok(()),
    };
    let prompts = rows.prompts_of(train).max(rows.prompts_of(validation));
    Err(Mistake::new(format!(
        "--split {share} of {prompts} prompts leaves none for {empty}; {remedy} the share, or try another --seed"
    )))
}

/// The rows as they are, and as rules see them.
struct Data {
    objects: Vec<Object>,
    candidates: Candidates,
    sources: Vec<Source>,
}

impl Data {
    fn read(files: &[PathBuf], options: &Options) -> anyhow::Result<Self> {
        let columns = Columns {
            template: options.template.clone(),
            ..options.columns.clone().unwrap_or_default()
        };
        let prompting = Prompting {
            chat: options.chat.unwrap_or_default(),
            system: options.system.clone(),
        };
        let model = match &options.model {
            Some(folder) => {
                let folder = ModelFolder::open(folder, None)?;
                let asking = Asking::new(&folder, &prompting)?;
                Some((folder, asking))
            }
            None => None,
        };
        let (mut objects, mut candidates, mut sources) = (Vec::new(), Vec::new(), Vec::new());
        for path in files {
            let before = objects.len();
            let mut findings = Findings::default();
            let mut rows = read_objects(path)?.fuse();
            loop {
                let chunk: Vec<_> = rows.by_ref().take(CHUNK).collect::<Result<_, _>>()?;
                if chunk.is_empty() {
                    break;
                }
                let chunk: Vec<_> = chunk
                    .into_par_iter()
                    .map(|(at, object)| {
                        let row = Row::parse(at, (*object).clone(), &columns)?;
                        let candidate = candidate(&row, &object, model.as_ref())?;
                        anyhow::Ok((object, row, candidate))
                    })
                    .collect::<Result<_, _>>()?;
                for (object, row, candidate) in chunk {
                    findings.add(&row);
                    objects.push(object);
                    candidates.push(candidate);
                }
            }
            let rows = objects.len() - before;
            say(&format!("{}: {rows} rows", path.display()));
            for line in findings.lines() {
                say(&format!("{}: {line}", path.display()));
            }
            sources.push(Source::of(path, rows)?);
        }
        if let Some((_, asking)) = &model {
            let wrapped = said_of_all([asking], "--chat=false");
            asking
                .lines()
                .iter()
                .chain(&wrapped)
                .for_each(|line| say(line));
        }
        Ok(Self {
            objects,
            candidates: Candidates::new(candidates),
            sources,
        })
    }

    /// A row as it is to be written.
    fn row(&self, index: usize, pass_rates: Option<&[f64]>) -> Object {
        let mut row = self.objects[index].clone();
        if let Some(rates) = pass_rates {
            let rate = rates[self.candidates.prompt(index)];
            row.insert("pass_rate", rate.into());
        }
        row
    }
}

/// What rules go by in a row. Its tokens are those that carry loss, counted by
/// the model's tokenizer, or else those that the row brings.
fn candidate(
    row: &Row,
    object: &Map<String, Value>,
    model: Option<&(ModelFolder, Asking)>,
) -> anyhow::Result<Candidate> {
    let mut candidate = Candidate::of(row);
    candidate.tokens = match model {
        Some((model, asking)) => {
            let encoded = model
                .encode(row, EndToken::default(), asking)
                .with_context(|| row.at.to_string())?;
            let weights = encoded.step_weight.iter();
            Some(weights.filter(|&&weight| weight > 0.0).count())
        }
        None => object
            .get("completion_tokens")
            .and_then(Value::as_array)
            .map(Vec::len),
    };
    Ok(candidate)
}

/// The files to write.
struct Outputs {
    train: (PathBuf, RowWriter),
    validation: Option<(PathBuf, RowWriter)>,
}

impl Outputs {
    /// Begins the files, so that one that cannot be written is known before the
    /// work is done. None in a dry run.
    fn begin(args: &Args, options: &Options) -> anyhow::Result<Option<Self>> {
        if args.validation_out.is_some() && options.split.is_none() {
            let message = "--validation-out has no effect by itself: add --split SHARE";
            return Err(Mistake::new(message).into());
        }
        let Some(out) = args.out.as_ref().filter(|_| !args.dry_run) else {
            return Ok(None);
        };
        let validation = options.split.map(|_| match &args.validation_out {
            Some(path) => path.clone(),
            None => validation_path(out),
        });
        let same = |a: &Path, b: &Path| match (a.canonicalize(), b.canonicalize()) {
            (Ok(a), Ok(b)) => a == b,
            _ => a == b,
        };
        for path in std::iter::once(out).chain(&validation) {
            let read = args.data.iter().chain(&options.decontaminate);
            if let Some(read) = read.chain(&args.rules).find(|read| same(read, path)) {
                let message = "is read and cannot be written too; name another --out";
                return Err(Mistake::new(format!("{}: {message}", read.display())).into());
            }
        }
        if validation.as_deref().is_some_and(|path| same(path, out)) {
            let message = "is both --out and --validation-out; name two files";
            return Err(Mistake::new(format!("{}: {message}", out.display())).into());
        }
        if !args.force {
            let card = card_path(out);
            let outputs = std::iter::once(out).chain(&validation).chain([&card]);
            if let Some(there) = outputs.into_iter().find(|path| path.exists()) {
                return Err(Mistake::new(format!(
                    "{}: is there already; choose another --out, or use --force to replace it",
                    there.display()
                ))
                .into());
            }
        }
        let begin = |path: PathBuf| RowWriter::create(&path).map(|writer| (path, writer));
        Ok(Some(Self {
            train: begin(out.clone())?,
            validation: validation.map(begin).transpose()?,
        }))
    }

    /// Writes the rows, all files before any is put in place.
    fn write<'a>(
        self,
        data: &Data,
        train: &'a [usize],
        validation: &'a [usize],
        pass_rates: Option<&[f64]>,
    ) -> anyhow::Result<Vec<(Source, &'a [usize])>> {
        let files = std::iter::once((self.train, train));
        let files = files.chain(self.validation.map(|file| (file, validation)));
        let mut written = Vec::new();
        for ((path, mut writer), rows) in files {
            for &row in rows {
                writer.write(&data.row(row, pass_rates))?;
            }
            written.push((path, writer, rows));
        }
        let mut results = Vec::new();
        for (path, writer, rows) in written {
            writer.finish()?;
            results.push((Source::of(&path, rows.len())?, rows));
        }
        Ok(results)
    }
}

/// `rows.jsonl.gz` becomes `rows.validation.jsonl.gz`.
fn validation_path(out: &Path) -> PathBuf {
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    let whole = name.strip_suffix(".gz").unwrap_or(&name);
    let stem = whole.rsplit_once('.').map_or(whole, |(stem, _)| stem);
    out.with_file_name(format!("{stem}.validation{}", &name[stem.len()..]))
}

/// `rows.jsonl` has the card `rows.jsonl.card.md`.
fn card_path(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".card.md");
    name.into()
}

/// What the command tells.
struct Report<'a> {
    data: &'a Data,
    steps: &'a [Step],
    examples: usize,
    train: &'a [usize],
    validation: Option<&'a [usize]>,
}

impl Report<'_> {
    fn print(&self) -> anyhow::Result<()> {
        let rows = &self.data.candidates;
        let head = [
            "rule",
            "setting",
            "before",
            "removed",
            "rows left",
            "prompts left",
        ];
        let mut table = Table::new(head);
        let none = String::new;
        let count = |rows: usize| rows.to_string();
        let side = |name: &str, side: &[usize]| {
            let prompts = rows.prompts_of(side);
            [
                name.into(),
                none(),
                none(),
                none(),
                count(side.len()),
                count(prompts),
            ]
        };
        let (all, prompts) = (rows.len(), rows.prompt_count());
        table.row([
            "read".into(),
            none(),
            none(),
            none(),
            count(all),
            count(prompts),
        ]);
        for step in self.steps {
            table.row([
                step.rule.to_owned(),
                step.setting.clone(),
                count(step.before),
                count(step.removed.len()),
                count(step.left),
                count(step.prompts_left),
            ]);
            for (name, number) in &step.details {
                let name = format!("  {name}: {number}");
                table.row([none(), name, none(), none(), none(), none()]);
            }
        }
        match self.validation {
            None => table.row(side("kept", self.train)),
            Some(validation) => {
                table.row(side("train", self.train));
                table.row(side("validation", validation));
            }
        }
        table.print()?;
        let mut out = std::io::stdout().lock();
        for step in self.steps.iter().filter(|_| self.examples > 0) {
            if !step.removed.is_empty() {
                writeln!(out, "\n{} removed, for example", step.rule)?;
            }
            for &index in step.removed.iter().take(self.examples) {
                write!(out, "{}", terminal::plain(&example(rows.row(index))?))?;
            }
        }
        Ok(())
    }

    fn print_json(
        &self,
        results: &[(Source, &[usize])],
        card: Option<&Path>,
    ) -> anyhow::Result<()> {
        let rows = &self.data.candidates;
        for step in self.steps {
            let examples = step.removed.iter().take(self.examples);
            let details: Map<String, Value> = step
                .details
                .iter()
                .map(|(name, count)| (name.clone(), (*count).into()))
                .collect();
            print_json(&json!({
                "rule": step.rule,
                "setting": step.setting,
                "before": step.before,
                "removed": step.removed.len(),
                "rows_left": step.left,
                "prompts_left": step.prompts_left,
                "details": details,
                "examples": examples.map(|&row| rows.row(row).at.to_string()).collect::<Vec<_>>(),
            }))?;
        }
        let files: Vec<&Source> = results.iter().map(|(file, _)| file).collect();
        let side = |side: &[usize]| json!({"rows": side.len(), "prompts": rows.prompts_of(side)});
        print_json(&json!({
            "read": {"rows": rows.len(), "prompts": rows.prompt_count()},
            "train": side(self.train),
            "validation": self.validation.map(side),
            "files": files,
            "card": card,
        }))
    }
}

/// A row in a few lines.
fn example(row: &Candidate) -> Result<String, std::fmt::Error> {
    const SHOWN: usize = 100;
    let mut text = format!("  {}", row.at);
    for (name, value) in [("reward", row.reward), ("score", row.score)] {
        if let Some(value) = value {
            write!(text, ", {name} {value}")?;
        }
    }
    text.push('\n');
    for part in [&row.prompt, &row.completion] {
        let line = part.split_whitespace().collect::<Vec<_>>().join(" ");
        let start: String = line.chars().take(SHOWN).collect();
        let more = if start.len() < line.len() { "..." } else { "" };
        writeln!(text, "    {start}{more}")?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_validation_file_keeps_the_ending() {
        for (out, expected) in [
            ("a/b.jsonl", "a/b.validation.jsonl"),
            ("b.c.jsonl.gz", "b.c.validation.jsonl.gz"),
            ("b.parquet", "b.validation.parquet"),
        ] {
            assert_eq!(validation_path(Path::new(out)), Path::new(expected));
        }
    }
}
