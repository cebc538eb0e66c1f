//! A benchmark taken from time to time while a model is trained.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use iwsft_engine::Tensor;
use iwsft_eval::benchmark::Metric;
use iwsft_eval::grade::Several;
use iwsft_lm::{LanguageModel, Room};
use iwsft_train::{Evaluator, SourceError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::exam::{self, ColumnOverrides, Exam, Overrides, SamplingOverrides};
use super::results::BenchmarkResults;
use crate::embedded::Embedded;
use crate::generator::Generator;
use crate::language::ModelFolder;
use crate::missing::Missing;
use crate::mistake::Mistake;
use crate::progress::say;
use crate::prompting::TrainedOn;

/// `[eval]` of a recipe.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EvalSection {
    /// Steps between evaluations; there is one before the first step and one
    /// after the last, too.
    pub(crate) every: u64,
    /// A benchmark's name, or its TOML file.
    pub(crate) benchmark: Option<String>,
    /// The benchmark's data, where it is not in the hub's cache.
    pub(crate) data: Option<PathBuf>,
    /// A file of problems instead of a benchmark.
    pub(crate) problems: Option<PathBuf>,
    /// Column with what is asked, where it is not the benchmark's; `question` of
    /// `problems`.
    pub(crate) prompt_column: Option<String>,
    /// Column with the right answer, where it is not the benchmark's; `answer` of
    /// `problems`.
    pub(crate) answer_column: Option<String>,
    /// What a list of right answers means: any or all.
    pub(crate) gold: Option<Several>,
    /// Ask in plain text, without the model's chat template.
    #[serde(default)]
    pub(crate) plain: bool,
    /// Answers to each problem.
    pub(crate) k: Option<usize>,
    /// What is reported.
    pub(crate) metrics: Option<Vec<Metric>>,
    /// Ask only the first problems.
    pub(crate) limit: Option<usize>,
    /// Decides what is drawn: the same at each evaluation.
    pub(crate) seed: Option<u64>,
    /// How answers are drawn, where it is not as the benchmark says.
    #[serde(default)]
    pub(crate) sampling: SamplingOverrides,
}

impl EvalSection {
    /// Makes paths absolute.
    pub(crate) fn resolve(&mut self, folder: &Path) {
        for path in self.data.iter_mut().chain(&mut self.problems) {
            *path = folder.join(&path);
        }
        if let Some(benchmark) = &mut self.benchmark
            && benchmark.ends_with(".toml")
        {
            *benchmark = folder.join(&benchmark).display().to_string();
        }
    }

    /// The options of `iwsft eval` that say the same.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        let mut option = |name: &str, value: Option<String>| {
            arguments.extend(value.map(|value| format!("--{name}={value}")));
        };
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        option("benchmark", self.benchmark.clone());
        option("data", path(&self.data));
        option("problems", path(&self.problems));
        option("prompt-column", self.prompt_column.clone());
        option("answer-column", self.answer_column.clone());
        let gold = self.gold.map(|gold| json!(gold));
        option(
            "gold",
            gold.and_then(|gold| Some(gold.as_str()?.to_owned())),
        );
        option("limit", self.limit.map(|limit| limit.to_string()));
        option("seed", self.seed.map(|seed| seed.to_string()));
        for metric in self.metrics.iter().flatten() {
            option("metric", Some(metric.to_string()));
        }
        if let Some(k) = self.k {
            arguments.extend(["-k".to_owned(), k.to_string()]);
        }
        if self.plain {
            arguments.push("--plain".to_owned());
        }
        arguments.extend(self.sampling.arguments());
        arguments
    }

    /// Refuses what could not be evaluated, before anything slow.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        self.exam().map(drop)
    }

    /// Reads the problems.
    fn exam(&self) -> anyhow::Result<Exam> {
        if self.every == 0 {
            let message =
                "`eval.every` is 0; give the steps between evaluations, or leave out [eval]";
            return Err(Mistake::new(message).into());
        }
        let overrides = Overrides {
            k: self.k,
            metrics: self.metrics.clone(),
            limit: self.limit,
            seed: self.seed,
            gold: self.gold,
        };
        let mut benchmark = match (&self.benchmark, &self.problems) {
            (Some(name), None) => exam::benchmark(name)?,
            (None, Some(problems)) => exam::own(problems, Default::default()),
            _ => {
                let message = "[eval] needs either `benchmark` or `problems`";
                return Err(Mistake::new(message).into());
            }
        };
        let columns = ColumnOverrides {
            prompt_column: self.prompt_column.clone(),
            answer_column: self.answer_column.clone(),
        };
        columns.apply(&mut benchmark);
        Exam::open(
            benchmark,
            self.data.clone(),
            &overrides,
            &self.sampling,
            None,
        )
    }
}

/// Takes an exam with the parameters as they are.
pub(crate) struct TrainingExam<'a> {
    exam: Exam,
    /// Lent to the generator while answers are drawn.
    folder: Option<ModelFolder>,
    chat: bool,
    stop: &'a AtomicBool,
}

/// Why an evaluation ended early: the user wants the run to stop.
#[derive(Debug, thiserror::Error)]
#[error("stopped")]
struct Stopped;

impl Evaluator<LanguageModel> for TrainingExam<'_> {
    fn evaluate(
        &mut self,
        model: &LanguageModel,
        parameters: &Tensor,
    ) -> Result<Option<Map<String, Value>>, SourceError> {
        let Some(folder) = self.folder.take() else {
            return Ok(None);
        };
        let mut generator = Embedded::new(folder, model, parameters, Room::default());
        let taken = self.take(&mut generator);
        self.folder = Some(generator.folder);
        match taken {
            Ok(record) => Ok(Some(record)),
            Err(error) if error.is::<Stopped>() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl<'a> TrainingExam<'a> {
    /// Reads the problems; `folder` has tokenizer and chat template.
    pub(crate) fn new(
        section: &EvalSection,
        folder: ModelFolder,
        stop: &'a AtomicBool,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            exam: section.exam()?,
            chat: folder.template.is_some() && !section.plain,
            folder: Some(folder),
            stop,
        })
    }

    /// Says if the run trains in another way than it is evaluated.
    pub(crate) fn say_mismatch(&self, trained_on: &TrainedOn) {
        let has_template = |folder: &ModelFolder| folder.template.is_some();
        if !self.folder.as_ref().is_some_and(has_template) {
            return;
        }
        let (template, plain) = (
            "`eval.plain = false` asks so",
            "`eval.plain = true` asks so",
        );
        if let Some(mismatch) = trained_on.mismatch(self.chat, template, plain) {
            say(&format!("warning: in [eval] the model {mismatch}"));
        }
    }

    fn take(&self, generator: &mut dyn Generator) -> anyhow::Result<Map<String, Value>> {
        let exam = &self.exam;
        exam.require_room(generator, self.chat)?;
        let mut attempts = exam.attempts();
        let mut missing = Missing::default();
        exam.draw(
            generator,
            self.chat,
            &mut attempts,
            &mut |_, _, _, _| match self.stop.load(Ordering::Relaxed) {
                true => Err(Stopped.into()),
                false => Ok(()),
            },
            &mut missing,
        )?;
        missing.end("answers", attempts.len(), false)?;
        let thinks = exam.opens_thoughts(generator, self.chat)?;
        let results = BenchmarkResults::of(exam, &attempts, thinks);
        let metrics = results.metrics.iter().map(|metric| {
            json!({
                "metric": metric.metric,
                "value": metric.value,
                "interval": metric.interval,
            })
        });
        let mut record = Map::new();
        record.insert("benchmark".into(), exam.name().into());
        record.insert("problems".into(), exam.problems.len().into());
        record.insert("metrics".into(), metrics.collect());
        record.insert("cut_off".into(), results.cut_off.into());
        Ok(record)
    }
}

/// What an evaluation found, as a line.
pub(crate) fn in_words(found: &Map<String, Value>) -> String {
    let percent = |value: &Value| format!("{:.1}%", 100.0 * value.as_f64().unwrap_or(f64::NAN));
    let metrics = found.get("metrics").and_then(Value::as_array);
    let metrics: Vec<String> = metrics
        .into_iter()
        .flatten()
        .map(|metric| {
            let name = metric["metric"].as_str().unwrap_or_default();
            let [low, high] = [0, 1].map(|end| percent(&metric["interval"][end]));
            format!("{name} {} ({low} to {high})", percent(&metric["value"]))
        })
        .collect();
    let benchmark = found.get("benchmark").and_then(Value::as_str);
    format!("{} {}", benchmark.unwrap_or_default(), metrics.join(", "))
}
