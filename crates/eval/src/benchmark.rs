//! Benchmarks: problems, how a model is asked, and how its answers are judged.
//!
//! A benchmark is a TOML file. Those that come along are embedded
//! ([`Benchmark::embedded`]); one's own is written in the same way:
//!
//! ```
//! use iwsft_eval::benchmark::Benchmark;
//!
//! let text = r#"
//!     name = "sums"
//!     version = 1
//!     prompt = "What is {question}? Put the answer within \\boxed{}."
//!     [data]
//!     path = "sums.jsonl"
//!     [columns]
//!     question = "sum"
//!     answer = "result"
//! "#;
//! let sums = Benchmark::parse(text, "sums.toml".as_ref())?;
//! assert_eq!(sums.k, 1);
//! # Ok::<(), iwsft_eval::benchmark::BenchmarkError>(())
//! ```

mod error;
mod metric;
mod problem;
mod prompt;
mod source;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use error::BenchmarkError;
pub use metric::{Graded, Metric};
pub use problem::{Problem, Row};
pub use prompt::{Message, Role};
pub use source::{HubCache, Source};

use crate::grade::Grader;

/// The benchmarks that come along, as TOML.
const EMBEDDED: [(&str, &str); 6] = [
    ("gsm8k", include_str!("../benchmarks/gsm8k.toml")),
    ("math500", include_str!("../benchmarks/math500.toml")),
    ("aime24", include_str!("../benchmarks/aime24.toml")),
    ("aime25", include_str!("../benchmarks/aime25.toml")),
    ("amc23", include_str!("../benchmarks/amc23.toml")),
    (
        "gpqa-diamond",
        include_str!("../benchmarks/gpqa-diamond.toml"),
    ),
];

/// A benchmark as its TOML file says it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Benchmark {
    /// What it is called.
    pub name: String,
    /// Counts up whenever results before and after a change cannot be compared.
    pub version: u32,
    /// What it is, in a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// What the user asks, with `{question}` and `{choices}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// A conversation instead of `prompt`, for examples before the question.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<Message>,
    /// A system message before `prompt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// What is reported; the first one is what models are compared by.
    #[serde(default = "average_alone")]
    pub metrics: Vec<Metric>,
    /// Answers to each problem.
    #[serde(default = "one")]
    pub k: usize,
    /// Where the problems are.
    #[serde(default)]
    pub data: Source,
    /// What their columns are called.
    pub columns: Columns,
    /// How answers are judged.
    #[serde(default)]
    pub grader: Grader,
    /// How answers are drawn, where the user does not say otherwise.
    #[serde(default)]
    pub sampling: Sampling,
}

/// Which columns hold a problem. A list of names means the first that a row has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Columns {
    /// What is asked: text.
    pub question: Names,
    /// The right answer: text or a number. Of multiple choice, the right choice.
    pub answer: Names,
    /// Of multiple choice, the wrong choices, each in a column of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wrong: Vec<String>,
    /// The problem's name; its number from 1 where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// A column's name, or several that it may have.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "OneOrMore")]
pub struct Names(pub Vec<String>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a column's name or a list of names")]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl From<OneOrMore> for Names {
    fn from(names: OneOrMore) -> Self {
        match names {
            OneOrMore::One(name) => Self(vec![name]),
            OneOrMore::More(names) => Self(names),
        }
    }
}

/// How answers are drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// What logits are divided by; 0 takes the likeliest token.
    pub temperature: f64,
    /// Share of the probability to draw from.
    pub top_p: f64,
    /// Likeliest tokens to draw from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
    /// Share of the likeliest token's probability that a token needs.
    pub min_p: f64,
    /// Most tokens of an answer.
    pub max_tokens: usize,
    /// Texts that end an answer and are not part of it.
    pub stop: Vec<String>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_p: 1.0,
            top_k: None,
            min_p: 0.0,
            max_tokens: 1024,
            stop: Vec::new(),
        }
    }
}

fn average_alone() -> Vec<Metric> {
    vec![Metric::Average]
}

fn one() -> usize {
    1
}

impl Benchmark {
    /// Names of the benchmarks that come along.
    pub fn names() -> impl Iterator<Item = &'static str> {
        EMBEDDED.iter().map(|(name, _)| *name)
    }

    /// The benchmark of this name that comes along.
    pub fn embedded(name: &str) -> Option<Self> {
        let (_, text) = EMBEDDED.iter().find(|(known, _)| *known == name)?;
        // A test parses all of them.
        Self::parse(text, Path::new(name)).ok()
    }

    /// Reads a TOML file; a data path in it is relative to its folder.
    ///
    /// # Errors
    /// If it cannot be read, or as [`Benchmark::parse`].
    pub fn read(path: &Path) -> Result<Self, BenchmarkError> {
        let text = std::fs::read_to_string(path).map_err(|reason| BenchmarkError::Read {
            path: path.to_owned(),
            reason,
        })?;
        let mut benchmark = Self::parse(&text, path)?;
        if let (Some(data), Some(folder)) = (&mut benchmark.data.path, path.parent()) {
            *data = folder.join(&*data);
        }
        Ok(benchmark)
    }

    /// A benchmark from TOML; `path` is for messages.
    ///
    /// # Errors
    /// If a key is unknown or missing, or what they say does not fit together.
    pub fn parse(text: &str, path: &Path) -> Result<Self, BenchmarkError> {
        let benchmark: Self = toml::from_str(text).map_err(|reason| BenchmarkError::Toml {
            path: path.to_owned(),
            reason: Box::new(reason),
        })?;
        benchmark
            .check()
            .map_err(|reason| BenchmarkError::Invalid {
                path: path.to_owned(),
                reason,
            })?;
        Ok(benchmark)
    }

    /// What is wrong with it, in words.
    fn check(&self) -> Result<(), String> {
        if self.columns.question.0.is_empty() || self.columns.answer.0.is_empty() {
            return Err(
                "`columns.question` and `columns.answer` need at least one name each".to_owned(),
            );
        }
        if self.metrics.is_empty() {
            return Err("`metrics` is empty; name at least one, such as \"avg@k\"".to_owned());
        }
        for metric in &self.metrics {
            metric.check(self.k)?;
        }
        self.check_prompt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_benchmark_parses_under_its_name() {
        for (name, text) in EMBEDDED {
            let benchmark = Benchmark::parse(text, name.as_ref()).unwrap();
            assert_eq!(benchmark.name, name);
            assert!(benchmark.about.is_some() && benchmark.data.dataset.is_some());
            assert_eq!(Benchmark::embedded(name), Some(benchmark));
        }
        assert_eq!(Benchmark::embedded("gsm9k"), None);
    }

    const SUMS: &str = "
        name = 'sums'
        version = 1
        prompt = '{question}='
        columns = { question = 'sum', answer = ['result', 'answer'] }
    ";

    fn refused(text: &str) -> String {
        let error = Benchmark::parse(text, "sums.toml".as_ref()).unwrap_err();
        error.to_string()
    }

    #[test]
    fn a_benchmark_that_makes_no_sense_is_refused_with_its_file() {
        assert!(Benchmark::parse(SUMS, "sums.toml".as_ref()).is_ok());
        let cases = [
            ("metric = 'avg'\n", "unknown field `metric`"),
            ("metrics = []\n", "`metrics` is empty"),
            (
                "metrics = ['pass@3']\n",
                "pass@3 needs 3 answers to each problem, k is 1",
            ),
            ("metrics = ['median']\n", "`median` is no metric"),
            ("k = 0\n", "`k` is 0"),
            (
                "messages = [{ role = 'user', content = '{question}' }]\n",
                "keep one",
            ),
        ];
        for (line, expected) in cases {
            let message = refused(&format!("{line}{SUMS}"));
            assert!(message.contains("sums.toml"), "{message}");
            assert!(message.contains(expected), "{message}");
        }
        let no_question = refused(&SUMS.replace("{question}", "{frage}"));
        assert!(no_question.contains("{question}"), "{no_question}");
        let no_prompt = refused(&SUMS.replace("prompt = '{question}='", ""));
        assert!(no_prompt.contains("`prompt`"), "{no_prompt}");
    }

    #[test]
    fn a_data_path_is_relative_to_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sums.toml");
        std::fs::write(&path, format!("{SUMS}\ndata = {{ path = 'sums.jsonl' }}")).unwrap();
        let sums = Benchmark::read(&path).unwrap();
        assert_eq!(sums.data.path, Some(folder.path().join("sums.jsonl")));
    }
}
