//! Completions for a file of prompts: into a file, resumable.

use std::path::{Path, PathBuf};
use std::time::Instant;

use iwsft_data::{Object, RowWriter};
use iwsft_files::Journal;
use iwsft_lm::{Completion, Finish, Sampling};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::prompts::PromptRow;
use crate::generator::{Generator, Prompt, Request};
use crate::interrupt;
use crate::missing::{self, Missing};
use crate::mistake::Mistake;
use crate::progress::{Progress, duration, say};
use crate::run::warn_of_journal;
use crate::table::Table;

/// What is to be drawn, and where it goes.
pub(crate) struct Job<'a> {
    pub(crate) rows: &'a [PromptRow],
    /// Completions of each prompt.
    pub(crate) completions: usize,
    pub(crate) sampling: &'a Sampling,
    pub(crate) out: &'a Path,
    /// Throw away what an interrupted attempt has done.
    pub(crate) restart: bool,
    /// Write the others where some cannot be had.
    pub(crate) skip_failed: bool,
}

/// A finished completion in the journal.
#[derive(Serialize, Deserialize)]
struct Entry {
    /// Of all requests: prompt by prompt, draw by draw.
    index: usize,
    completion: Completion,
}

/// What came of it.
#[derive(Serialize)]
pub(crate) struct Summary {
    model: String,
    out: PathBuf,
    prompts: usize,
    completions: usize,
    /// Completions that failed and were left out.
    missing: usize,
    /// All tokens, where every completion's are known.
    tokens: Option<usize>,
    /// Where every completion's tokens are known.
    mean_tokens: Option<f64>,
    /// Share that an end token or stop text ended.
    stopped: f64,
    /// Share that the limit or the context ended.
    cut: f64,
    /// Of this attempt.
    seconds: f64,
    /// Of this attempt, where tokens are known.
    tokens_per_second: Option<f64>,
}

/// Draws what is missing and writes the file. `weights` identifies the model.
pub(crate) fn sample(
    generator: &mut dyn Generator,
    weights: &str,
    job: &Job<'_>,
) -> anyhow::Result<Summary> {
    let out = job.out;
    let is_finished = || out.exists() && !job.restart;
    let finished = || {
        Mistake::new(format!(
            "{}: is there already; choose another --out, or use --restart to replace it",
            out.display()
        ))
    };
    if is_finished() && !Journal::path_for(out).exists() {
        return Err(finished().into());
    }
    // A file that cannot be written is not worth the work.
    drop(RowWriter::create(out)?);
    let (mut journal, entries) = Journal::open::<Entry>(out, &work(weights, job), job.restart)?;
    warn_of_journal(&journal, out);
    // Another process may have come to its end in the meantime.
    if journal.is_new() && is_finished() {
        journal.remove()?;
        return Err(finished().into());
    }
    let total = job.rows.len() * job.completions;
    let mut completions: Vec<Option<Completion>> = vec![None; total];
    for entry in missing::readable(entries, "its completion is drawn again") {
        if let Some(place) = completions.get_mut(entry.index) {
            *place = Some(entry.completion);
        }
    }
    let undone: Vec<usize> = (0..total)
        .filter(|&index| completions[index].is_none())
        .collect();
    let mut done = total - undone.len();
    if done > 0 {
        say(&format!("{done} of {total} completions are there already"));
    }
    interrupt::ends(format!(
        "stopped; what is done is kept in {}: the same command goes on from there",
        Journal::path_for(out).display()
    ))?;
    let requests: Vec<Request> = undone
        .iter()
        .map(|index| {
            let (row, draw) = (&job.rows[index / job.completions], index % job.completions);
            Request {
                name: format!("{} ({})", row.at, id(row, draw)),
                prompt: row.prompt.clone(),
                prefix: String::new(),
                draw: draw as u64,
            }
        })
        .collect();
    let mut progress = Progress::starting_at("sampling", total as u64, done as u64);
    let (start, mut tokens) = (Instant::now(), 0);
    let per_second = |tokens: usize| tokens as f64 / start.elapsed().as_secs_f64().max(1e-9);
    let mut missing = Missing::default();
    generator.complete(&requests, job.sampling, &mut |request, drawn| {
        let index = undone[request];
        let mut completion = match drawn {
            Ok(completion) => completion,
            Err(error) => {
                missing.add(error);
                return Ok(());
            }
        };
        tokens += count(&completion);
        done += 1;
        // JSON has no other numbers.
        if !completion.log_probs.iter().all(|value| value.is_finite()) {
            completion.log_probs.clear();
        }
        let entry = Entry { index, completion };
        journal.append(&entry)?;
        completions[index] = Some(entry.completion);
        progress.at(done as u64, || match tokens {
            0 => String::new(),
            _ => format!("{:.0} tok/s", per_second(tokens)),
        });
        Ok(())
    })?;
    progress.finish();
    let seconds = start.elapsed().as_secs_f64();
    let missing = missing.end("completions", total, job.skip_failed)?;
    let drawn: Vec<&Completion> = completions.iter().flatten().collect();
    anyhow::ensure!(drawn.len() + missing == total, "a completion was lost");
    let column = log_probs_column(generator, job.sampling, &drawn);
    write(job, column, &completions)?;
    journal.remove()?;

    let total = drawn.len();
    let all: usize = drawn.iter().map(|each| count(each)).sum();
    let all_known = drawn.iter().all(|each| count(each) > 0);
    let stopped = drawn
        .iter()
        .filter(|each| each.finish == Finish::Stop)
        .count();
    Ok(Summary {
        model: generator.name(),
        out: out.to_owned(),
        prompts: job.rows.len(),
        completions: total,
        missing,
        tokens: all_known.then_some(all),
        mean_tokens: all_known.then_some(all as f64 / total as f64),
        stopped: stopped as f64 / total as f64,
        cut: (total - stopped) as f64 / total as f64,
        seconds,
        tokens_per_second: all_known.then_some(tokens as f64 / seconds),
    })
}

/// Tokens of a completion; 0 where a server does not tell.
fn count(completion: &Completion) -> usize {
    completion.tokens.len().max(completion.log_probs.len())
}

/// Where log-probabilities go: training takes `ref_log_probs` for those of every
/// token that was drawn, under the distribution it was drawn from.
fn log_probs_column(
    generator: &dyn Generator,
    sampling: &Sampling,
    completions: &[&Completion],
) -> &'static str {
    let is_whole =
        |each: &&&Completion| !each.tokens.is_empty() && each.tokens.len() == each.log_probs.len();
    let (whole, all) = (
        completions.iter().filter(is_whole).count(),
        completions.len(),
    );
    let reason = match generator.log_probs_differ(sampling) {
        Some(reason) => reason.to_owned(),
        None if whole < all => {
            let without = all - whole;
            format!("{without} of {all} completions came without tokens or log-probabilities")
        }
        None => return "ref_log_probs",
    };
    say(
        &match completions.iter().any(|each| !each.log_probs.is_empty()) {
            true => {
                format!("log-probabilities go to `model_log_probs`, not `ref_log_probs`: {reason}")
            }
            false => "the server gave no log-probabilities; training computes the reference".into(),
        },
    );
    "model_log_probs"
}

/// Everything that decides the result.
fn work(weights: &str, job: &Job<'_>) -> Value {
    let mut hasher = blake3::Hasher::new();
    for row in job.rows {
        let prompt = prompt_value(&row.prompt);
        let row = serde_json::to_vec(&(&row.id, prompt, &row.kept)).unwrap_or_default();
        hasher.update(&row);
        hasher.update(b"\n");
    }
    let mut work = json!({
        "model": weights,
        "prompts": hasher.finalize().to_hex().to_string(),
        "completions": job.completions,
    });
    if let (Some(work), Value::Object(sampling)) = (work.as_object_mut(), json!(job.sampling)) {
        work.extend(sampling);
    }
    work
}

fn write(job: &Job<'_>, column: &str, completions: &[Option<Completion>]) -> anyhow::Result<()> {
    let mut writer = RowWriter::create(job.out)?;
    for (index, completion) in completions.iter().enumerate() {
        let Some(completion) = completion else {
            continue;
        };
        let (row, draw) = (&job.rows[index / job.completions], index % job.completions);
        writer.write(&output(row, draw, column, completion))?;
    }
    Ok(writer.finish()?)
}

/// A row of the output, such that training reads the tokens that were drawn.
fn output(row: &PromptRow, draw: usize, log_probs: &str, completion: &Completion) -> Object {
    let text = match &row.prompt {
        Prompt::Text(_) => json!(completion.text),
        Prompt::Messages(_) => json!([{"role": "assistant", "content": completion.text}]),
    };
    let mut object = Object::default();
    object.insert("id", json!(id(row, draw)));
    object.insert("prompt", prompt_value(&row.prompt));
    object.insert("completion", text);
    object.extend(row.kept.clone());
    object.insert("draw", json!(draw));
    object.insert("finish", json!(completion.finish));
    if !completion.tokens.is_empty() {
        object.insert("completion_tokens", json!(completion.tokens));
    }
    if !completion.log_probs.is_empty() {
        object.insert(log_probs, json!(completion.log_probs));
    }
    object
}

/// What a completion is called in the output.
fn id(row: &PromptRow, draw: usize) -> String {
    format!("{}-{draw}", row.id)
}

fn prompt_value(prompt: &Prompt) -> Value {
    match prompt {
        Prompt::Text(text) => json!(text),
        Prompt::Messages(messages) => json!(messages),
    }
}

impl Summary {
    pub(crate) fn print(&self) -> anyhow::Result<()> {
        let mut table = Table::new(["", ""]);
        let percent = |share: f64| format!("{:.1}%", 100.0 * share);
        table.row(["model".into(), self.model.clone()]);
        table.row(["prompts".into(), self.prompts.to_string()]);
        table.row(["completions".into(), self.completions.to_string()]);
        if self.missing > 0 {
            table.row(["failed, left out".into(), self.missing.to_string()]);
        }
        if let Some(mean) = self.mean_tokens {
            table.row(["tokens, mean".into(), format!("{mean:.1}")]);
        }
        table.row(["ended by themselves".into(), percent(self.stopped)]);
        table.row(["cut by a limit".into(), percent(self.cut)]);
        table.row(["time".into(), duration(self.seconds)]);
        if let Some(rate) = self.tokens_per_second {
            table.row(["tokens/s".into(), format!("{rate:.0}")]);
        }
        table.row(["out".into(), self.out.display().to_string()]);
        table.print()
    }
}
