//! What an evaluation leaves behind: `results.json` and `answers.jsonl`.

use std::path::{Path, PathBuf};

use iwsft_data::RowWriter;
use iwsft_eval::benchmark::{Benchmark, Graded, Metric};
use iwsft_eval::grade::Reason;
use iwsft_eval::statistics::{Estimate, Method};
use iwsft_files::write_atomically;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::attempt::{Attempt, Forcing};
use super::exam::{DataFile, Exam};
use super::model::OpenModel;
use crate::generator::Prompt;
use crate::grade::Reasons;
use crate::mistake::Mistake;
use crate::progress::say;
use crate::table::Table;

/// `results.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Results {
    /// Of this file's form.
    version: u32,
    /// Version of the program.
    iwsft: String,
    pub(crate) model: String,
    /// A hash of the model's weights; none for a server.
    weights: Option<String>,
    /// Whether problems were put into a chat template.
    chat: bool,
    pub(crate) benchmarks: Vec<BenchmarkResults>,
}

/// Form of `results.json`; others are refused.
const VERSION: u32 = 1;

/// What one benchmark came to.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BenchmarkResults {
    /// The benchmark's name.
    pub(crate) benchmark: String,
    /// Number of problems.
    pub(crate) problems: usize,
    /// The benchmark as it was taken.
    pub(crate) definition: Benchmark,
    pub(crate) data: Vec<DataFile>,
    pub(crate) seed: u64,
    pub(crate) forcing: Option<Forcing>,
    /// A hash of what was asked and of the right answers.
    pub(crate) fingerprint: String,
    pub(crate) metrics: Vec<MetricResult>,
    /// Answers in which none was found.
    pub(crate) without_answer: usize,
    /// Answers that ended for lack of room.
    pub(crate) cut_off: usize,
    /// Answers that could not be had; they count as wrong.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) failed: usize,
    /// Mean tokens of an answer; 0 where a server does not tell.
    pub(crate) tokens: f64,
    pub(crate) by_problem: Vec<ProblemResult>,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// A metric over all problems.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MetricResult {
    /// Its name with k put in: `avg@4`.
    pub(crate) metric: String,
    /// What was asked for: `avg@k`.
    pub(crate) asked: Metric,
    pub(crate) value: f64,
    pub(crate) interval: [f64; 2],
    pub(crate) method: Method,
}

/// What one problem came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProblemResult {
    pub(crate) id: String,
    /// One for each metric.
    pub(crate) values: Vec<f64>,
}

/// An answer and its verdict.
struct GradedAttempt<'a> {
    attempt: &'a Attempt,
    graded: Graded,
    reason: Reason,
}

impl BenchmarkResults {
    /// Grades the attempts of an exam; `thinks` as in [`Attempt::answer`].
    pub(crate) fn of(exam: &Exam, attempts: &[Attempt], thinks: bool) -> Self {
        Self::of_graded(exam, &grade(exam, attempts, thinks))
    }

    fn of_graded(exam: &Exam, answers: &[GradedAttempt]) -> Self {
        let Benchmark {
            metrics, grader, k, ..
        } = &exam.benchmark;
        let by_problem: Vec<ProblemResult> = exam
            .problems
            .iter()
            .zip(answers.chunks(*k))
            .map(|(problem, answers)| {
                let graded: Vec<Graded> = answers.iter().map(|a| a.graded.clone()).collect();
                ProblemResult {
                    id: problem.id.clone(),
                    values: metrics.iter().map(|m| m.value(&graded, grader)).collect(),
                }
            })
            .collect();
        let metric = |(index, &metric): (usize, &Metric)| {
            let values: Vec<f64> = by_problem.iter().map(|p| p.values[index]).collect();
            let Estimate {
                value,
                interval,
                method,
            } = Estimate::of_problems(&values, exam.seed);
            MetricResult {
                metric: metric.name(*k),
                asked: metric,
                value,
                interval,
                method,
            }
        };
        let tokens: usize = answers.iter().map(|a| a.attempt.tokens).sum();
        Self {
            benchmark: exam.name().to_owned(),
            problems: exam.problems.len(),
            definition: exam.benchmark.clone(),
            data: exam.files.clone(),
            seed: exam.seed,
            forcing: exam.forcing.clone(),
            fingerprint: exam.fingerprint(),
            metrics: metrics.iter().enumerate().map(metric).collect(),
            without_answer: count(answers, |a| a.graded.extracted.is_none()),
            cut_off: count(answers, |a| a.attempt.is_cut()),
            failed: count(answers, |a| a.attempt.is_failed()),
            tokens: tokens as f64 / answers.len() as f64,
            by_problem,
        }
    }

    /// Number of answers.
    pub(crate) fn answers(&self) -> usize {
        self.problems * self.definition.k
    }
}

fn count(answers: &[GradedAttempt], is: impl Fn(&GradedAttempt) -> bool) -> usize {
    answers.iter().filter(|answer| is(answer)).count()
}

fn grade<'a>(exam: &Exam, attempts: &'a [Attempt], thinks: bool) -> Vec<GradedAttempt<'a>> {
    let Benchmark { k, grader, .. } = &exam.benchmark;
    attempts
        .par_iter()
        .enumerate()
        .map(|(index, attempt)| {
            let gold = &exam.problems[index / k].answer;
            let verdict = grader.grade_against(gold, &attempt.answer(thinks));
            let graded = Graded {
                right: verdict.right,
                extracted: verdict.extracted,
            };
            GradedAttempt {
                attempt,
                graded,
                reason: verdict.reason,
            }
        })
        .collect()
}

/// Grades all answers and writes both files.
pub(crate) fn write(
    out: &Path,
    model: &OpenModel,
    exams: &[Exam],
    attempts: &[Vec<Attempt>],
) -> anyhow::Result<Results> {
    let mut writer = RowWriter::create(&answers_in(out))?;
    let mut benchmarks = Vec::new();
    for (exam, attempts) in exams.iter().zip(attempts) {
        let thinks = exam.opens_thoughts(&*model.generator, model.chat)?;
        let answers = grade(exam, attempts, thinks);
        say_unread(out, exam, &answers);
        for (index, answer) in answers.iter().enumerate() {
            if answer.attempt.is_failed() {
                continue;
            }
            if let Value::Object(row) = row(exam, model.chat, index, answer) {
                writer.write(&row.into())?;
            }
        }
        benchmarks.push(BenchmarkResults::of_graded(exam, &answers));
    }
    writer.finish()?;
    let results = Results {
        version: VERSION,
        iwsft: env!("CARGO_PKG_VERSION").to_owned(),
        model: model.generator.name(),
        weights: model.weights.clone(),
        chat: model.chat,
        benchmarks,
    };
    let mut text = serde_json::to_vec_pretty(&results)?;
    text.push(b'\n');
    write_atomically(&Results::path_in(out), &text)?;
    Ok(results)
}

/// Says so where most answers cannot be read.
fn say_unread(out: &Path, exam: &Exam, answers: &[GradedAttempt]) {
    let mut reasons = Reasons::default();
    answers.iter().for_each(|answer| reasons.add(answer.reason));
    let (unread, all) = (reasons.unread(), answers.len());
    if 2 * unread > all {
        say(&format!(
            "{}: {unread} of {all} answers cannot be read ({reasons}); which rules would read them, \
             `iwsft grade {} --answer-column gold --replace --out FILE` tells",
            exam.name(),
            answers_in(out).display()
        ));
    }
}

/// A line of `answers.jsonl`, which can be trained on as it is.
fn row(exam: &Exam, chat: bool, index: usize, answer: &GradedAttempt) -> Value {
    let k = exam.benchmark.k;
    let problem = &exam.problems[index / k];
    let prompt = match exam.prompt(index / k, chat) {
        Prompt::Text(text) => Value::from(text),
        Prompt::Messages(messages) => Value::from(messages),
    };
    let said = &answer.attempt.text;
    let completion = match chat {
        true => json!([{"role": "assistant", "content": said}]),
        false => json!(said),
    };
    json!({
        "benchmark": exam.name(),
        "id": problem.id,
        "draw": index % k,
        "prompt": prompt,
        "completion": completion,
        "reward": u8::from(answer.graded.right),
        "extracted": answer.graded.extracted,
        "gold": problem.answer,
        "tokens": answer.attempt.tokens,
        "finish": answer.attempt.finish(),
    })
}

/// `answers.jsonl` of a results folder.
pub(crate) fn answers_in(out: &Path) -> PathBuf {
    out.join("answers.jsonl")
}

impl Results {
    /// `results.json` of a results folder.
    pub(crate) fn path_in(out: &Path) -> PathBuf {
        out.join("results.json")
    }

    pub(crate) fn read(out: &Path) -> anyhow::Result<Self> {
        let path = Self::path_in(out);
        let mistake = |what: String| Mistake::new(format!("{}: {what}", path.display()));
        let text = std::fs::read_to_string(&path).map_err(|error| {
            mistake(format!(
                "cannot read the results ({error}); give a folder that `iwsft eval --out` has finished"
            ))
        })?;
        let broken = |error: serde_json::Error| {
            mistake(format!(
                "is not what `iwsft eval` writes ({error}); evaluate again with --restart"
            ))
        };
        let value: Value = serde_json::from_str(&text).map_err(broken)?;
        match value.get("version").and_then(Value::as_u64) {
            Some(version) if version != u64::from(VERSION) => {
                return Err(mistake(format!(
                    "has form {version}, this program reads {VERSION}; evaluate again with --restart"
                ))
                .into());
            }
            _ => {}
        }
        let results: Self = serde_json::from_value(value).map_err(broken)?;
        let fits = results.benchmarks.iter().all(|benchmark| {
            let complete = |p: &ProblemResult| p.values.len() == benchmark.metrics.len();
            benchmark.problems > 0
                && !benchmark.metrics.is_empty()
                && benchmark.problems == benchmark.by_problem.len()
                && benchmark.by_problem.iter().all(complete)
        });
        match fits {
            true => Ok(results),
            false => Err(mistake(
                "its problems do not have a value for each metric; evaluate again with --restart"
                    .to_owned(),
            )
            .into()),
        }
    }

    /// A line of JSON for each benchmark and metric.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let line = |benchmark: &BenchmarkResults, metric: &MetricResult| {
            json!({
                "model": self.model,
                "benchmark": benchmark.benchmark,
                "version": benchmark.definition.version,
                "problems": benchmark.problems,
                "k": benchmark.definition.k,
                "metric": metric.metric,
                "value": metric.value,
                "interval": metric.interval,
                "method": metric.method,
                "without_answer": benchmark.without_answer,
                "cut_off": benchmark.cut_off,
                "failed": benchmark.failed,
                "tokens": benchmark.tokens,
            })
        };
        let benchmarks = self.benchmarks.iter();
        benchmarks
            .flat_map(|b| b.metrics.iter().map(move |metric| line(b, metric)))
            .collect()
    }

    pub(crate) fn print(&self) -> anyhow::Result<()> {
        let mut table = Table::new([
            "benchmark",
            "problems",
            "metric",
            "value",
            "95% interval",
            "no answer",
            "cut off",
            "tokens",
        ]);
        for benchmark in &self.benchmarks {
            let answers = benchmark.answers() as f64;
            let share = |count: usize| format!("{:.1}%", 100.0 * count as f64 / answers);
            for metric in &benchmark.metrics {
                let [low, high] = metric.interval.map(|bound| 100.0 * bound);
                table.row([
                    benchmark.benchmark.clone(),
                    benchmark.problems.to_string(),
                    metric.metric.clone(),
                    format!("{:.1}%", 100.0 * metric.value),
                    format!("{low:.1}% to {high:.1}%"),
                    share(benchmark.without_answer),
                    share(benchmark.cut_off),
                    format!("{:.0}", benchmark.tokens),
                ]);
            }
        }
        table.print()
    }
}
