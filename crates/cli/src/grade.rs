//! `iwsft grade`: rewards for completions, by comparing their answers with gold
//! answers or by a program of the user's.

mod advice;
mod program;
mod reasons;
mod report;
mod rows;
mod section;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use iwsft_data::{Object, RowWriter};
use iwsft_eval::grade::{Extraction, Grader, Kind, Mode, Several};
use iwsft_files::Journal;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::interrupt;
use crate::missing;
use crate::mistake::Mistake;
use crate::progress::{Progress, say};
use program::Program;
pub(crate) use reasons::Reasons;
use report::Report;
use rows::{Answer, Row, Rows};
pub(crate) use section::{Completed, GradeSection};

/// Columns that a program adds to a row.
type Columns = Object;

/// What a program answered, as the journal keeps it.
#[derive(Serialize)]
#[serde(untagged)]
enum Entry {
    Row(Graded),
    /// Of earlier versions: the answer to the row of its line.
    Columns(Columns),
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The numbers of columns are in their text.
        let text = Box::<RawValue>::deserialize(deserializer)?;
        serde_json::from_str(text.get())
            .map(Self::Row)
            .or_else(|_| serde_json::from_str(text.get()).map(Self::Columns))
            .map_err(serde::de::Error::custom)
    }
}

/// An answer and the number of its row, from 0.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Graded {
    row: u64,
    columns: Columns,
}

/// Seconds that a program may be silent.
const SILENCE: f64 = 60.0;

/// Grade completions: add rewards to the rows of a file.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  iwsft grade samples.jsonl --out graded.jsonl
  iwsft grade samples.jsonl --out graded.jsonl --extract boxed,last-number --show-wrong 5
  iwsft grade answers.parquet --out graded.jsonl --kind choice --answer-column label
  iwsft grade samples.jsonl --out graded.jsonl --command 'python3 judge.py --strict'

A row has its completion in `completion` (text or messages) or `messages`, and
the gold answer in the answer column: text, a number, or a list (--gold). What a
completion thinks (<think>...</think> and its like) is not its answer. The
program of --command reads one row of JSON a line and writes one line for each,
in order: a number, true or false, or an object with `reward` and other columns
to add.")]
pub(crate) struct Args {
    /// Rows with completions and gold answers.
    data: PathBuf,
    /// Where the graded rows go: .jsonl or .jsonl.gz.
    #[arg(long, value_name = "FILE", required_unless_present = "in_place")]
    out: Option<PathBuf>,
    /// Replace the file of --out where it is there already.
    #[arg(long)]
    force: bool,
    /// Put the graded rows in the place of DATA.
    #[arg(long, conflicts_with = "out")]
    in_place: bool,
    /// What answers are: math, choice or exact.
    #[arg(long, default_value = "math", value_parser = named::<Kind>)]
    kind: Kind,
    /// How much may differ: lenient or strict.
    #[arg(long, default_value = "lenient", value_parser = named::<Mode>)]
    mode: Mode,
    /// Rules that find the answer, in order: boxed, final-answer, hash,
    /// answer-phrase, formula, last-number, last-math, last-line, letter, line,
    /// whole. Where nothing is said, those that suit the kind.
    #[arg(long, value_name = "RULES", value_delimiter = ',', value_parser = named::<Extraction>)]
    extract: Vec<Extraction>,
    /// What a list of gold answers means: any (each is right alone) or all.
    #[arg(long, value_name = "MEANING", value_parser = named::<Several>)]
    gold: Option<Several>,
    /// Decimals that an answer needs to count as an exact value rounded.
    #[arg(long, value_name = "N", default_value_t = Grader::default().decimals)]
    decimals: u32,
    /// Most seconds for a row: 1, or of silence of a program 60.
    #[arg(long, value_name = "SECONDS")]
    time_limit: Option<f64>,
    /// A program that grades, instead of all the rules above. It is started
    /// once, without a shell.
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["extract", "gold", "decimals", "mode", "kind"])]
    command: Option<String>,
    /// Column of the gold answer. GSM8K's `#### 42` is understood.
    #[arg(long, value_name = "NAME", default_value = "answer")]
    answer_column: String,
    /// Column of the completion, instead of `completion` or `messages`.
    #[arg(long, value_name = "NAME")]
    completion_column: Option<String>,
    /// Column that the reward goes to.
    #[arg(long, value_name = "NAME", default_value = "reward")]
    reward_column: String,
    /// Column that the answer as found goes to.
    #[arg(long, value_name = "NAME", default_value = "extracted")]
    extracted_column: String,
    /// Replace columns that rows have already.
    #[arg(long)]
    replace: bool,
    /// Forget what a program graded before it was interrupted.
    #[arg(long, requires = "command")]
    restart: bool,
    /// Show the first N wrong answers.
    #[arg(long, value_name = "N", default_value_t = 0)]
    show_wrong: usize,
    /// Print the result as a line of JSON on standard output.
    #[arg(long)]
    json: bool,
}

/// A value by the name that it has in files.
fn named<T: DeserializeOwned>(name: &str) -> Result<T, String> {
    serde_json::from_value(Value::from(name)).map_err(|error| error.to_string())
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let out = args.out()?;
    let limit = args.limit()?;
    let rows = Rows {
        path: args.data.clone(),
        completion: args.completion_column.clone(),
        answer: args.answer(limit),
    };
    // A row that cannot be graded is found before the work begins.
    let count = rows.check(&args.added(), args.replace)?;
    let mut writer = RowWriter::create(&out)?;
    let report = match &args.command {
        None => {
            let report = by_rules(&args, &rows, count, &mut writer)?;
            writer.finish()?;
            report
        }
        Some(command) => {
            interrupt::ends(format!(
                "stopped; what is graded is kept in {}: the same command goes on from there",
                Journal::path_for(&out).display()
            ))?;
            let program = Program::start(command, limit, &args.reward_column)?;
            let (report, journal) = by_program(
                &args,
                program,
                args.journal(command, &out)?,
                &rows,
                count,
                &mut writer,
            )?;
            writer.finish()?;
            journal.remove()?;
            report
        }
    };
    report.print(&out, args.json)
}

impl Args {
    /// The file to write, which is not the one that is read.
    fn out(&self) -> anyhow::Result<PathBuf> {
        let Some(out) = &self.out else {
            return Ok(self.data.clone());
        };
        let same = |a: &Path, b: &Path| matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b);
        if same(out, &self.data) {
            let message = format!(
                "--out {} is the file that is graded; choose another one, or --in-place to replace it",
                out.display()
            );
            return Err(Mistake::new(message).into());
        }
        if out.exists() && !self.force {
            return Err(Mistake::new(format!(
                "{}: is there already; choose another --out, or use --force to replace it",
                out.display()
            ))
            .into());
        }
        Ok(out.clone())
    }

    /// Where rules find the gold answer, and how they compare.
    fn answer(&self, limit: Duration) -> Option<Answer> {
        let grader = Grader {
            kind: self.kind,
            mode: self.mode,
            extract: self.extract.clone(),
            gold: self.gold,
            decimals: self.decimals,
            time_limit_ms: milliseconds(limit),
        };
        self.command.is_none().then(|| Answer {
            column: self.answer_column.clone(),
            grader,
        })
    }

    fn limit(&self) -> anyhow::Result<Duration> {
        time_limit(self.time_limit, self.command.is_some()).ok_or_else(|| {
            let seconds = self.time_limit.unwrap_or_default();
            let message = format!("--time-limit {seconds}: expected seconds, more than 0");
            Mistake::new(message).into()
        })
    }

    /// The journal of a program's answers, and those of an earlier attempt by the
    /// number of their row, from 0.
    fn journal(
        &self,
        command: &str,
        out: &Path,
    ) -> anyhow::Result<(Journal, BTreeMap<u64, Columns>)> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(std::fs::File::open(&self.data)?)?;
        let work = json!({
            "data": hasher.finalize().to_hex().as_str(),
            "command": command,
            "reward_column": self.reward_column,
        });
        let (journal, entries) = Journal::open::<Entry>(out, &work, self.restart)?;
        crate::run::warn_of_journal(&journal, out);
        let places = entries.into_iter().zip(0..).map(|(entry, place)| {
            entry.map(|entry| match entry {
                Entry::Row(Graded { row, columns }) => (row, columns),
                Entry::Columns(columns) => (place, columns),
            })
        });
        let entries = missing::readable(places.collect(), "its row is graded again");
        Ok((journal, entries.into_iter().collect()))
    }

    /// Columns that are added to every row.
    fn added(&self) -> Vec<&str> {
        match self.command {
            Some(_) => vec![&self.reward_column],
            None => vec![&self.reward_column, &self.extracted_column],
        }
    }
}

/// The time limit of a row, or of a program's silence; `None` where `seconds` is
/// no time.
fn time_limit(seconds: Option<f64>, of_program: bool) -> Option<Duration> {
    let default = if of_program { SILENCE } else { 1.0 };
    let limit = Duration::try_from_secs_f64(seconds.unwrap_or(default)).ok();
    limit.filter(|limit| !limit.is_zero())
}

/// A time limit as the rules count it.
fn milliseconds(limit: Duration) -> u64 {
    u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).max(1)
}

fn by_rules(
    args: &Args,
    rows: &Rows,
    count: u64,
    writer: &mut RowWriter,
) -> anyhow::Result<Report> {
    let Some(Answer { grader, .. }) = &rows.answer else {
        return Err(anyhow::anyhow!("there are no rules to grade by"));
    };
    let mut report = Report::rules(args.show_wrong);
    let mut progress = Progress::new("grading", count);
    for (done, row) in (1..).zip(rows.open()?) {
        let row = row?;
        let verdict = grader.grade_against(&row.gold, &row.said());
        report.add(&row, &verdict);
        let mut object = row.object;
        let reward = u8::from(verdict.right);
        object.insert(args.reward_column.clone(), reward.into());
        object.insert(args.extracted_column.clone(), verdict.extracted.into());
        writer.write(&object)?;
        progress.at(done, || format!("{:.1} % right", 100.0 * report.share()));
    }
    progress.finish();
    report.advise(grader);
    Ok(report)
}

/// Rows that an earlier, interrupted attempt wrote down have their answers; the
/// others go to the program.
fn by_program(
    args: &Args,
    mut program: Program,
    (mut journal, mut before): (Journal, BTreeMap<u64, Columns>),
    rows: &Rows,
    count: u64,
    writer: &mut RowWriter,
) -> anyhow::Result<(Report, Journal)> {
    let done = before.len() as u64;
    if done > 0 && before.keys().copied().eq(0..done) {
        say(&format!("resuming behind row {done}"));
    } else if done > 0 {
        say(&format!("{done} of {count} rows are graded already"));
    }
    let mut report = Report::program();
    let mut progress = Progress::starting_at("grading", count, done);
    let mut finish = |row: Row, columns: Columns| -> anyhow::Result<()> {
        report.add_reward(columns.get(&args.reward_column));
        let mut object = row.object;
        let taken = columns.keys().find(|name| object.contains_key(*name));
        if let (Some(name), false) = (taken, args.replace) {
            return Err(rows::has_column(&row.at, name).into());
        }
        object.extend(columns);
        writer.write(&object)?;
        progress.at(report.rows as u64, || {
            format!("mean reward {:.3}", report.share())
        });
        Ok(())
    };
    // Rows that the program does not get wait for those before them.
    let queue: RefCell<VecDeque<Queued>> = RefCell::default();
    let unknown = (0..).zip(rows.open()?).filter_map(|(number, row)| {
        let known = before.remove(&number);
        match (row, known) {
            (Ok(row), Some(columns)) => {
                let known = Some((row, columns));
                queue.borrow_mut().push_back(Queued { number, known });
                None
            }
            (row, _) => {
                let known = None;
                queue.borrow_mut().push_back(Queued { number, known });
                Some(row)
            }
        }
    });
    let finish_known = |finish: &mut dyn FnMut(Row, Columns) -> anyhow::Result<()>| {
        loop {
            let Some(next) = queue.borrow_mut().pop_front() else {
                return anyhow::Ok(None);
            };
            match next.known {
                Some((row, columns)) => finish(row, columns)?,
                None => return Ok(Some(next.number)),
            }
        }
    };
    let graded = program.grade(unknown, |row, columns| {
        let number = finish_known(&mut finish)?.context("an answer to no row")?;
        journal.append(&Graded {
            row: number,
            columns: columns.clone(),
        })?;
        finish(row, columns)
    });
    if let Err(error) = graded {
        if done == 0 && program.answered() == 0 {
            journal.remove()?; // there is nothing to go on from
        }
        return Err(error);
    }
    finish_known(&mut finish)?;
    progress.finish();
    Ok((report, journal))
}

/// A row on its way to the output.
struct Queued {
    /// From 0.
    number: u64,
    /// With its answer, where the program is not asked for it.
    known: Option<(Row, Columns)>,
}
