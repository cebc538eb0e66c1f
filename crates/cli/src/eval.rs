//! `iwsft eval`: how many problems a model solves, and how sure that is.

mod attempt;
mod compare;
mod exam;
mod list;
mod model;
mod results;
mod training;

use std::path::PathBuf;

use iwsft_eval::grade;
use iwsft_files::Journal;
use serde_json::json;

use crate::endpoint::ServerArgs;
use crate::interrupt;
use crate::missing::{self, Missing};
use crate::mistake::Mistake;
use crate::progress::{Progress, say};
use crate::run::warn_of_journal;
use crate::table::print_json;

use attempt::{Attempt, Forcing, Piece};
use exam::{ColumnOverrides, Exam, Overrides, SamplingOverrides};
use model::{ModelArgs, OpenModel};
use results::Results;
pub(crate) use training::{EvalSection, TrainingExam, in_words};

/// Draw answers to a benchmark's problems, grade them, and say how sure the result is.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:
  iwsft eval runs/recipe/model --benchmark gsm8k --out results/recipe
  iwsft eval runs/recipe/model --benchmark aime24 --benchmark amc23 -k 8 --out results/hard
  iwsft eval runs/recipe/model --benchmark my.toml --limit 100 --out results/my
  iwsft eval runs/recipe/model --benchmark math500 --data olympiad.jsonl \\
      --answer-column final_answer --gold all --out results/olympiad
  iwsft eval runs/recipe/model --problems questions.jsonl --prompt-column question \\
      --answer-column answer --out results/questions
  iwsft eval compare results/base results/recipe
  iwsft eval list

The folder gets results.json and answers.jsonl. An interrupted evaluation goes on
where it stopped when the same command is run again."
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    model: ModelArgs,
    /// A benchmark's name (see `iwsft eval list`) or TOML file; may be repeated.
    #[arg(long = "benchmark", value_name = "NAME|FILE")]
    benchmarks: Vec<String>,
    /// A benchmark's data, where it is not in the hub's cache; NAME=FILE with
    /// several benchmarks.
    #[arg(long, value_name = "[NAME=]FILE")]
    data: Vec<String>,
    /// Problems of your own instead of a benchmark.
    #[arg(long, value_name = "FILE", conflicts_with = "benchmarks")]
    problems: Option<PathBuf>,
    /// Column with what is asked, where it is not the benchmark's; `question` of
    /// --problems. NAME=COLUMN with several benchmarks.
    #[arg(long, value_name = "[NAME=]COLUMN")]
    prompt_column: Vec<String>,
    /// Column with the right answer, where it is not the benchmark's; `answer` of
    /// --problems. NAME=COLUMN with several benchmarks.
    #[arg(long, value_name = "[NAME=]COLUMN")]
    answer_column: Vec<String>,
    /// How answers to --problems are compared: math, choice or exact.
    #[arg(long, value_name = "KIND", default_value = "math", value_parser = grader_kind, requires = "problems")]
    grader: grade::Kind,
    #[command(flatten)]
    overrides: Overrides,
    /// Folder for the results.
    #[arg(long, value_name = "FOLDER", required = true)]
    out: Option<PathBuf>,
    /// Throw away what an earlier attempt left in the folder.
    #[arg(long)]
    restart: bool,
    /// Print the results as lines of JSON on standard output.
    #[arg(long)]
    json: bool,
    /// Most tokens of thinking; then it is ended, and the answer drawn.
    #[arg(long, value_name = "N", help_heading = FORCING)]
    thinking_tokens: Option<usize>,
    /// So many times, where the model would end thinking, let it go on.
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = FORCING)]
    wait: usize,
    /// What ends thinking.
    #[arg(long, value_name = "TEXT", default_value = "</think>", help_heading = FORCING)]
    end_of_thinking: String,
    /// What --wait puts in its place.
    #[arg(long, value_name = "TEXT", default_value = "Wait", help_heading = FORCING)]
    wait_text: String,
    #[command(flatten)]
    sampling: SamplingOverrides,
    #[command(flatten)]
    server: ServerArgs,
}

const FORCING: &str = "Budget forcing, for models that think";

#[derive(Debug, clap::Subcommand)]
enum Command {
    Compare(compare::Args),
    List(list::Args),
}

fn grader_kind(text: &str) -> Result<grade::Kind, String> {
    serde_json::from_value(json!(text)).map_err(|error| error.to_string())
}

impl Args {
    fn forcing(&self) -> Result<Option<Forcing>, Mistake> {
        if self.thinking_tokens.is_none() && self.wait == 0 {
            return Ok(None);
        }
        if self.end_of_thinking.is_empty() {
            return Err(Mistake::new(
                "--end-of-thinking is empty; give the text with which the model ends its thinking",
            ));
        }
        if self.thinking_tokens == Some(0) {
            return Err(Mistake::new(
                "--thinking-tokens 0: give at least 1, or put the end of thinking into the prompt",
            ));
        }
        Ok(Some(Forcing {
            thinking_tokens: self.thinking_tokens,
            wait: self.wait,
            end: self.end_of_thinking.clone(),
            wait_text: self.wait_text.clone(),
        }))
    }

    /// What is asked, before anything slow.
    fn exams(&self) -> anyhow::Result<Vec<Exam>> {
        let forcing = self.forcing()?;
        if let Some(problems) = &self.problems {
            let mut own = exam::own(problems, self.grader);
            let alone = [own.name.clone()];
            for columns in self.columns(&alone)? {
                columns.apply(&mut own);
            }
            return Ok(vec![Exam::open(
                own,
                None,
                &self.overrides,
                &self.sampling,
                forcing,
            )?]);
        }
        if self.benchmarks.is_empty() {
            return Err(Mistake::new(
                "nothing to evaluate; name a --benchmark (`iwsft eval list` shows them), or give your own --problems",
            )
            .into());
        }
        let data = exam::of_each("--data", &self.benchmarks, &self.data)?;
        let columns = self.columns(&self.benchmarks)?;
        let mut exams = Vec::new();
        for ((name, data), columns) in self.benchmarks.iter().zip(data).zip(columns) {
            let mut benchmark = exam::benchmark(name)?;
            columns.apply(&mut benchmark);
            let exam = Exam::open(
                benchmark,
                data.map(PathBuf::from),
                &self.overrides,
                &self.sampling,
                forcing.clone(),
            )?;
            if exams.iter().any(|other: &Exam| other.name() == exam.name()) {
                let message = format!("--benchmark {name}: is given twice");
                return Err(Mistake::new(message).into());
            }
            exams.push(exam);
        }
        Ok(exams)
    }

    /// What is said of each benchmark's columns.
    fn columns(&self, benchmarks: &[String]) -> Result<Vec<ColumnOverrides>, Mistake> {
        let prompt = exam::of_each("--prompt-column", benchmarks, &self.prompt_column)?;
        let answer = exam::of_each("--answer-column", benchmarks, &self.answer_column)?;
        let pairs = prompt.into_iter().zip(answer);
        let columns = pairs.map(|(prompt_column, answer_column)| ColumnOverrides {
            prompt_column,
            answer_column,
        });
        Ok(columns.collect())
    }
}

/// An answer's next piece, as the journal keeps it.
#[derive(serde::Serialize, serde::Deserialize)]
struct Entry {
    exam: usize,
    attempt: usize,
    /// Which piece of the attempt it is, from 0; earlier versions did not say.
    number: Option<usize>,
    piece: Piece,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Some(Command::Compare(args)) => return compare::run(args),
        Some(Command::List(args)) => return list::run(args),
        None => {}
    }
    let exams = args.exams()?;
    let out = args.out.clone().unwrap_or_default();
    std::fs::create_dir_all(&out).map_err(|error| {
        Mistake::new(format!(
            "{}: cannot make the folder: {error}",
            out.display()
        ))
    })?;
    require_unfinished(&out, args.restart)?;
    let mut model = args.model.open(&args.server)?;
    let skip_failed = args.server.skip_failed;
    let results = evaluate(&mut model, &exams, &out, args.restart, skip_failed)?;
    say(&format!("results: {}", out.display()));
    match args.json {
        true => results.lines().iter().try_for_each(print_json),
        false => results.print(),
    }
}

/// Refuses a folder that holds results, unless they are to be replaced.
fn require_unfinished(out: &std::path::Path, restart: bool) -> Result<(), Mistake> {
    if Results::path_in(out).exists() && !restart {
        return Err(Mistake::new(format!(
            "{}: holds finished results; choose another --out, or replace them with --restart",
            out.display()
        )));
    }
    Ok(())
}

/// Draws what the journal of `out` does not have yet, and writes the results.
fn evaluate(
    model: &mut OpenModel,
    exams: &[Exam],
    out: &std::path::Path,
    restart: bool,
    skip_failed: bool,
) -> anyhow::Result<Results> {
    let answers = results::answers_in(out);
    let settings: Vec<_> = exams.iter().map(Exam::settings).collect();
    let work = json!({
        "model": model.generator.name(),
        "weights": model.weights,
        "chat": model.chat,
        "benchmarks": settings,
    });
    for exam in exams {
        exam.require_room(&*model.generator, model.chat)?;
    }
    let (mut journal, entries) = Journal::open::<Entry>(&answers, &work, restart)?;
    warn_of_journal(&journal, out);
    // Another process may have come to its end in the meantime.
    if journal.is_new()
        && let Err(finished) = require_unfinished(out, restart)
    {
        journal.remove()?;
        return Err(finished.into());
    }
    let mut attempts: Vec<Vec<Attempt>> = exams.iter().map(Exam::attempts).collect();
    for entry in missing::readable(entries, "its answer is drawn again") {
        let attempts = attempts.get_mut(entry.exam);
        if let Some(attempt) = attempts.and_then(|attempts| attempts.get_mut(entry.attempt)) {
            // Behind a piece that is lost, the others are of no use.
            if entry.number.is_none_or(|number| number == attempt.pieces) {
                attempt.push(entry.piece);
            }
        }
    }
    let of = |attempts: &[Vec<Attempt>]| attempts.iter().flatten().filter(|a| a.is_done()).count();
    let total: usize = attempts.iter().map(Vec::len).sum();
    let mut done = of(&attempts);
    if done > 0 {
        say(&format!("going on behind {done} of {total} answers"));
    }
    interrupt::ends(format!(
        "stopped; what is done is kept in {}: the same command goes on from there",
        Journal::path_for(&answers).display()
    ))?;
    let mut progress = Progress::starting_at("answers", total as u64, done as u64);
    let mut missing = Missing::default();
    for (index, exam) in exams.iter().enumerate() {
        let generator = &mut *model.generator;
        exam.draw(
            generator,
            model.chat,
            &mut attempts[index],
            &mut |attempt, number, piece, complete| {
                journal.append(&Entry {
                    exam: index,
                    attempt,
                    number: Some(number),
                    piece,
                })?;
                done += usize::from(complete);
                progress.at(done as u64, || exam.name().to_owned());
                Ok(())
            },
            &mut missing,
        )?;
    }
    progress.finish();
    missing.end("answers", total, skip_failed)?;
    let results = results::write(out, model, exams, &attempts)?;
    journal.remove()?;
    Ok(results)
}
