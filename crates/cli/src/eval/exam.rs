//! A benchmark with its problems and settings, ready to be taken.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use iwsft_eval::benchmark::{
    self, Benchmark, Columns, HubCache, Metric, Names, Problem, Row, Source,
};
use iwsft_eval::grade::{self, Grader, Several};
use iwsft_lm::Sampling;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::attempt::{Attempt, Draw, Forcing, Piece};
use crate::escapes::{escape, escaped};
use crate::generator::{Generator, Prompt, Request};
use crate::missing::Missing;
use crate::mistake::Mistake;
use crate::suggestion::near;

/// What is changed of a benchmark, by options or in a recipe.
#[derive(Debug, Clone, Default, PartialEq, clap::Args, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Overrides {
    /// Answers to each problem, instead of the benchmark's number.
    #[arg(short, value_name = "N")]
    pub(crate) k: Option<usize>,
    /// Report this (avg@k, pass@k, pass@N, majority@k); may be repeated.
    #[arg(long = "metric", value_name = "METRIC")]
    pub(crate) metrics: Option<Vec<Metric>>,
    /// Ask only the first problems.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Decides what is drawn, and how choices are shuffled.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// What a list of right answers means: any (each is right alone) or all.
    #[arg(long, value_name = "MEANING", value_parser = meaning)]
    pub(crate) gold: Option<Several>,
}

fn meaning(text: &str) -> Result<Several, String> {
    serde_json::from_value(json!(text)).map_err(|error| error.to_string())
}

/// What is changed of the columns of a benchmark.
#[derive(Debug, Default)]
pub(crate) struct ColumnOverrides {
    pub(crate) prompt_column: Option<String>,
    pub(crate) answer_column: Option<String>,
}

impl ColumnOverrides {
    pub(crate) fn apply(self, benchmark: &mut Benchmark) {
        let columns = &mut benchmark.columns;
        if let Some(name) = self.prompt_column {
            columns.question = Names(vec![name]);
        }
        if let Some(name) = self.answer_column {
            columns.answer = Names(vec![name]);
        }
    }
}

/// What is changed of how a benchmark draws answers.
#[derive(Debug, Clone, Default, PartialEq, clap::Args, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Sampling, where it is not the benchmark's")]
pub(crate) struct SamplingOverrides {
    /// What logits are divided by; 0 takes the likeliest token.
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    temperature: Option<f64>,
    /// Draw from the likeliest tokens that hold this share of the probability.
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    top_p: Option<f64>,
    /// Draw from so many likeliest tokens.
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,
    /// Leave out tokens with less than this share of the likeliest one's probability.
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    min_p: Option<f64>,
    /// Most tokens of an answer, beside the thinking that --thinking-tokens caps.
    #[arg(long, value_name = "N")]
    max_tokens: Option<usize>,
    /// A text that ends an answer and is not part of it; may be repeated. `\n` is a
    /// line break, `\t` a tab, `\\` a backslash.
    #[arg(long, value_name = "TEXT", value_parser = escaped())]
    stop: Option<Vec<String>>,
}

impl SamplingOverrides {
    /// The options of `iwsft eval` that say the same.
    pub(super) fn arguments(&self) -> Vec<String> {
        fn option(name: &str, value: &Option<impl ToString>) -> Option<String> {
            value
                .as_ref()
                .map(|value| format!("--{name}={}", value.to_string()))
        }
        let options = [
            option("temperature", &self.temperature),
            option("top-p", &self.top_p),
            option("top-k", &self.top_k),
            option("min-p", &self.min_p),
            option("max-tokens", &self.max_tokens),
        ];
        let stop = self.stop.iter().flatten();
        options
            .into_iter()
            .flatten()
            .chain(stop.map(|text| format!("--stop={}", escape(text))))
            .collect()
    }
}

/// A file of problems.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct DataFile {
    pub(crate) path: PathBuf,
    pub(crate) blake3: String,
}

/// A benchmark as it is taken.
pub(crate) struct Exam {
    /// The benchmark, with what the user changed.
    pub(crate) benchmark: Benchmark,
    pub(crate) files: Vec<DataFile>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) seed: u64,
    pub(crate) forcing: Option<Forcing>,
}

/// The benchmark of a name or file.
pub(crate) fn benchmark(name: &str) -> anyhow::Result<Benchmark> {
    if let Some(benchmark) = Benchmark::embedded(name) {
        return Ok(benchmark);
    }
    let path = Path::new(name);
    if path.extension().is_some_and(|end| end == "toml") || path.is_file() {
        return Ok(Benchmark::read(path)?);
    }
    let known: Vec<&str> = Benchmark::names().collect();
    let guess = near(name, known.iter().copied())
        .map_or(String::new(), |known| format!("; did you mean `{known}`?"));
    Err(Mistake::new(format!(
        "--benchmark {name}: there is no such benchmark{guess}; there are {}, and your own as a .toml file",
        known.join(", ")
    ))
    .into())
}

/// A benchmark of one's own problems, asked as they are.
pub(crate) fn own(problems: &Path, kind: grade::Kind) -> Benchmark {
    let name = problems.file_stem().unwrap_or_default();
    Benchmark {
        name: name.to_string_lossy().into_owned(),
        version: 1,
        about: None,
        prompt: Some("{question}".to_owned()),
        messages: Vec::new(),
        system: None,
        metrics: vec![Metric::Average],
        k: 1,
        data: Source {
            path: Some(problems.to_owned()),
            ..Source::default()
        },
        columns: Columns {
            question: Names(vec!["question".to_owned()]),
            answer: Names(vec!["answer".to_owned()]),
            ..Columns::default()
        },
        grader: Grader {
            kind,
            ..Grader::default()
        },
        sampling: Default::default(),
    }
}

/// For each benchmark what `option` says of it, as VALUE or NAME=VALUE.
pub(crate) fn of_each(
    option: &str,
    benchmarks: &[String],
    given: &[String],
) -> Result<Vec<Option<String>>, Mistake> {
    let mut values = vec![None; benchmarks.len()];
    for given in given {
        let named = given.split_once('=').and_then(|(name, value)| {
            let index = benchmarks.iter().position(|benchmark| benchmark == name)?;
            Some((index, value))
        });
        let (index, value) = match (named, benchmarks.len()) {
            (Some(named), _) => named,
            (None, 1) => (0, given.as_str()),
            (None, _) => {
                return Err(Mistake::new(format!(
                    "{option} {given}: which benchmark's? With several, write {option} NAME={given}"
                )));
            }
        };
        if values[index].replace(value.to_owned()).is_some() {
            return Err(Mistake::new(format!(
                "{option} {given}: the benchmark has one already"
            )));
        }
    }
    Ok(values)
}

impl Exam {
    /// Reads the problems; `data` comes before where the benchmark has them.
    pub(crate) fn open(
        mut benchmark: Benchmark,
        data: Option<PathBuf>,
        overrides: &Overrides,
        sampling: &SamplingOverrides,
        forcing: Option<Forcing>,
    ) -> anyhow::Result<Self> {
        sampling.apply(&mut benchmark.sampling);
        let seed = overrides.apply(&mut benchmark)?;
        if let Some(path) = data {
            benchmark.data.path = Some(path);
        }
        let cache = HubCache::from_environment(|name| std::env::var_os(name));
        let (mut files, mut rows) = (Vec::new(), Vec::new());
        for path in benchmark.locate(cache.as_ref())? {
            for row in iwsft_data::read_objects(&path)? {
                let (at, row) = row?;
                let (at, columns) = (at.to_string(), row.spelt().into_owned());
                rows.push(Row { at, columns });
            }
            let content = std::fs::read(&path)?;
            let blake3 = blake3::hash(&content).to_hex().to_string();
            files.push(DataFile { path, blake3 });
        }
        rows.truncate(overrides.limit.unwrap_or(usize::MAX));
        let exam = Self {
            problems: benchmark.problems(rows, seed)?,
            benchmark,
            files,
            seed,
            forcing,
        };
        exam.sampling().check()?;
        Ok(exam)
    }

    pub(crate) fn name(&self) -> &str {
        &self.benchmark.name
    }

    /// Everything that decides the answers, but the model.
    pub(crate) fn settings(&self) -> Value {
        // Where the problems lie does not matter; their fingerprint does.
        let mut benchmark = self.benchmark.clone();
        benchmark.data = Source::default();
        json!({
            "benchmark": benchmark,
            "problems": self.fingerprint(),
            "seed": self.seed,
            "forcing": self.forcing,
        })
    }

    /// A hash of what is asked and of the right answers.
    pub(crate) fn fingerprint(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        let mut add = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        for problem in &self.problems {
            add(&problem.id);
            problem
                .messages
                .iter()
                .for_each(|message| add(&message.content));
            let answers = problem.answer.answers().iter();
            answers.for_each(|answer| add(answer));
        }
        hasher.finalize().to_hex().to_string()
    }

    /// How a whole answer is drawn.
    pub(crate) fn sampling(&self) -> Sampling {
        let benchmark::Sampling {
            temperature,
            top_p,
            top_k,
            min_p,
            max_tokens,
            ref stop,
        } = self.benchmark.sampling;
        Sampling {
            temperature,
            top_p,
            top_k,
            min_p,
            max_tokens,
            stop: stop.clone(),
            stop_tokens: Vec::new(),
            seed: self.seed,
        }
    }

    /// An answer to be drawn, k for each problem in turn.
    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        let max_tokens = self.benchmark.sampling.max_tokens;
        let attempt = Attempt::new(max_tokens, self.forcing.as_ref());
        vec![attempt; self.problems.len() * self.benchmark.k]
    }

    /// What problem `index` asks, as messages, or as text for a model that has no
    /// chat template.
    pub(crate) fn prompt(&self, index: usize, chat: bool) -> Prompt {
        let messages = &self.problems[index].messages;
        if chat {
            return Prompt::Messages(messages.iter().map(|message| json!(message)).collect());
        }
        let texts: Vec<&str> = messages.iter().map(|m| m.content.as_str()).collect();
        Prompt::Text(texts.join("\n\n"))
    }

    /// Whether answers begin within thoughts that the prompt has opened.
    pub(crate) fn opens_thoughts(
        &self,
        generator: &dyn Generator,
        chat: bool,
    ) -> anyhow::Result<bool> {
        match self.problems.is_empty() {
            true => Ok(false),
            false => generator.opens_thoughts(&self.prompt(0, chat)),
        }
    }

    /// Draws until all attempts are complete or have failed. `on_piece` gets each
    /// attempt's index, the number of the piece, what was drawn, and whether the
    /// attempt is complete now; `missing` those that failed.
    pub(crate) fn draw(
        &self,
        generator: &mut dyn Generator,
        chat: bool,
        attempts: &mut [Attempt],
        on_piece: &mut dyn FnMut(usize, usize, Piece, bool) -> anyhow::Result<()>,
        missing: &mut Missing,
    ) -> anyhow::Result<()> {
        loop {
            // Those that are drawn alike are drawn together.
            let mut alike: BTreeMap<Draw, Vec<usize>> = BTreeMap::new();
            for (index, attempt) in attempts.iter_mut().enumerate() {
                // Forced thinking may have left no room for an answer.
                if !attempt.text.is_empty()
                    && attempt.next().is_some()
                    && generator
                        .require_room(&self.request(index, attempt, chat))
                        .is_err()
                {
                    attempt.cut();
                }
                if let Some(draw) = attempt.next() {
                    alike.entry(draw).or_default().push(index);
                }
            }
            if alike.is_empty() {
                return Ok(());
            }
            for (draw, indices) in alike {
                let mut sampling = self.sampling();
                sampling.max_tokens = draw.max_tokens;
                sampling.stop.extend(draw.stop);
                let requests: Vec<Request> = indices
                    .iter()
                    .map(|&index| self.request(index, &attempts[index], chat))
                    .collect();
                generator.complete(&requests, &sampling, &mut |at, drawn| {
                    let index = indices[at];
                    let piece = match drawn {
                        Ok(completion) => Piece::from(completion),
                        Err(error) => {
                            attempts[index].fail();
                            missing.add(error);
                            return Ok(());
                        }
                    };
                    let attempt = &mut attempts[index];
                    let number = attempt.pieces;
                    attempt.push(piece.clone());
                    on_piece(index, number, piece, attempt.is_done())
                })?;
            }
        }
    }

    /// What is asked so that attempt `index` goes on.
    fn request(&self, index: usize, attempt: &Attempt, chat: bool) -> Request {
        let k = self.benchmark.k;
        Request {
            name: format!("{}, draw {}", self.called(index / k), index % k),
            prompt: self.prompt(index / k, chat),
            prefix: attempt.text.clone(),
            draw: (index % k) as u64,
        }
    }

    /// What messages call a problem.
    fn called(&self, index: usize) -> String {
        format!("{}, problem {}", self.name(), self.problems[index].id)
    }

    /// Requires that the model has room for every problem.
    pub(crate) fn require_room(&self, generator: &dyn Generator, chat: bool) -> anyhow::Result<()> {
        for index in 0..self.problems.len() {
            let request = Request {
                name: self.called(index),
                prompt: self.prompt(index, chat),
                prefix: String::new(),
                draw: 0,
            };
            generator
                .require_room(&request)
                .with_context(|| self.called(index))?;
        }
        Ok(())
    }
}

impl Overrides {
    /// Changes the benchmark, checks it, and returns the seed.
    fn apply(&self, benchmark: &mut Benchmark) -> anyhow::Result<u64> {
        if self.limit == Some(0) {
            return Err(Mistake::new("limit is 0; ask at least 1 problem").into());
        }
        benchmark.k = self.k.unwrap_or(benchmark.k);
        benchmark.grader.gold = self.gold.or(benchmark.grader.gold);
        if let Some(metrics) = &self.metrics {
            benchmark.metrics = metrics.clone();
        }
        for metric in &benchmark.metrics {
            metric.check(benchmark.k).map_err(Mistake::new)?;
        }
        if benchmark.k > 1 && benchmark.sampling.temperature == 0.0 {
            return Err(Mistake::new(format!(
                "{}: {} answers to each problem would all be the same at temperature 0; \
                 draw one (k = 1), or set a temperature such as 0.6",
                benchmark.name, benchmark.k
            ))
            .into());
        }
        Ok(self.seed.unwrap_or(0))
    }
}

impl SamplingOverrides {
    fn apply(&self, sampling: &mut benchmark::Sampling) {
        sampling.temperature = self.temperature.unwrap_or(sampling.temperature);
        sampling.top_p = self.top_p.unwrap_or(sampling.top_p);
        sampling.top_k = self.top_k.or(sampling.top_k);
        sampling.min_p = self.min_p.unwrap_or(sampling.min_p);
        sampling.max_tokens = self.max_tokens.unwrap_or(sampling.max_tokens);
        if let Some(stop) = &self.stop {
            sampling.stop = stop.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_belongs_to_the_benchmark_that_is_named() {
        let benchmarks = ["gsm8k".to_owned(), "amc23".to_owned()];
        let of = |benchmarks: &[String], data: &[&str]| {
            let data: Vec<String> = data.iter().map(|&data| data.to_owned()).collect();
            of_each("--data", benchmarks, &data).map_err(|error| error.to_string())
        };
        let named = of(&benchmarks, &["amc23=a=b.jsonl"]);
        assert_eq!(named.unwrap(), [None, Some("a=b.jsonl".into())]);
        let alone = of(&benchmarks[..1], &["x=y.jsonl"]);
        assert_eq!(alone.unwrap(), [Some("x=y.jsonl".into())]);
        let unnamed = of(&benchmarks, &["a.jsonl"]).unwrap_err();
        assert!(unnamed.contains("--data NAME=a.jsonl"), "{unnamed}");
        let twice = of(&benchmarks[..1], &["a", "b"]).unwrap_err();
        assert!(twice.contains("already"), "{twice}");
    }
}
