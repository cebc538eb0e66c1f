//! `iwsft quickstart`: the whole data loop on a task that needs no download.
//!
//! A tiny model learns arithmetic from traces of mixed quality, draws answers
//! to new problems, and is fine-tuned on the good ones in four ways. Every part
//! is a command of this program on ordinary files, so that each can be looked
//! at, changed and run again.

mod arithmetic;
pub(crate) mod judge;
mod random_model;
mod recipes;
mod report;
mod traces;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use iwsft_files::{Lock, write_atomically};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::interrupt;
use crate::mistake::Mistake;
use crate::progress::{Progress, duration, say};
use crate::run::{hold, holds_something};
use crate::steps::{Halt, Steps, anew, replaced};
use crate::table::print_json;
use recipes::{Budget, FINE_TUNINGS, NamedRecipe, recipes};
use report::{Report, SeedResult};
use traces::{Sizes, Task};

/// The whole loop on a toy task, without a download: sample, grade, curate,
/// fine-tune in four ways, evaluate.
///
/// For each of several seeds: makes arithmetic problems with worked steps, some
/// of them wrong; trains a small Llama from random weights on all of them; draws
/// answers to new problems from it, grades and curates them; fine-tunes it on
/// them with SFT, iw-SFT, SFT(Q) and iw-SFT(Q); and lets every model answer
/// problems that none has seen. Run again, it goes on where it stopped.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  iwsft quickstart
  iwsft quickstart --seeds 10 --folder quickstart-10
  iwsft quickstart --json > results.jsonl")]
pub(crate) struct Args {
    /// Where everything goes; a new or empty folder, or one of the same settings.
    #[arg(long, default_value = "quickstart", value_name = "FOLDER")]
    folder: PathBuf,
    #[command(flatten)]
    settings: Settings,
    /// Print the results as JSON lines on standard output.
    #[arg(long)]
    json: bool,
}

/// Everything that decides the results; kept in `quickstart.json`.
#[derive(Debug, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// Repetitions of all of it, each with its own problems, weights and order.
    #[arg(long, default_value_t = 3, value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0, value_name = "N",
          value_parser = clap::value_parser!(u64).range(..=1 << 53))]
    seed: u64,
    /// Traces that the base model imitates.
    #[arg(long, default_value_t = 10_000, value_name = "N",
          value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    traces: u32,
    /// Problems that the base model tries.
    #[arg(long, default_value_t = 1500, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    problems: u32,
    /// Answers to each of them.
    #[arg(long, default_value_t = 4, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    draws: u32,
    /// Test problems.
    #[arg(long, default_value_t = 500, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    test: u32,
    /// Training steps of the base model.
    #[arg(long, default_value_t = 800, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..))]
    base_steps: u32,
    /// Training steps of each fine-tuning.
    #[arg(long, default_value_t = 150, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
}

const VALIDATION_TRACES: usize = 300;

/// More than the longest right work has.
const MOST_TOKENS: &str = "128";

/// The test, as `iwsft eval` takes it. At temperature 1 answers come from the
/// policy as it is: their share of right ones estimates its expected reward.
const BENCHMARK: &str = r#"name = "arithmetic"
version = 1
prompt = "{question}"
metrics = ["avg@k"]
k = 4

[data]
path = "test.jsonl"

[columns]
question = "prompt"
answer = "answer"

[grader]
kind = "math"
extract = ["last-number"]

[sampling]
temperature = 1.0
max_tokens = 128
"#;

pub(crate) fn run(args: Args, threads: Option<usize>) -> anyhow::Result<()> {
    let start = Instant::now();
    let Settings { seeds, seed, .. } = args.settings;
    let _lock = take(&args.folder, &args.settings)?;
    let stop = interrupt::flag("stopping after this step; press Ctrl-C again to stop at once")?;
    let mut progress = Progress::new("quickstart", seeds * WORK_A_SEED);
    let mut results = Vec::new();
    for (index, seed) in (seed..seed + seeds).enumerate() {
        let folder = args.folder.join(format!("seed-{seed}"));
        progress.line(&format!("\nseed {seed}"));
        let begun = index as u64 * WORK_A_SEED;
        let steps = Steps::new(&folder, threads, stop)?;
        let mut pipeline = Pipeline {
            folder,
            seed,
            settings: &args.settings,
            steps,
            progress: &mut progress,
            done: begun,
        };
        match pipeline.run() {
            Ok(result) => results.push(result),
            Err(Halt::Failed(error)) => return Err(error),
            Err(Halt::Stopped) => {
                progress.finish();
                say("stopped; the same command goes on from here");
                std::process::exit(interrupt::STATUS);
            }
        }
    }
    progress.finish();
    let report = Report::new(results);
    let path = args.folder.join("results.json");
    write_atomically(&path, report.to_json()?.as_bytes())
        .with_context(|| path.display().to_string())?;
    say("");
    if args.json {
        report.rows().iter().try_for_each(print_json)?;
        say(&report.findings().join("\n"));
    } else {
        report.print()?;
    }
    let seconds = duration(start.elapsed().as_secs_f64());
    let next = next(&args.folder.join(format!("seed-{seed}")));
    say(&format!("\nAll of it took {seconds}. {next}"));
    Ok(())
}

/// The base model, samples, two kinds of grades, two curated files, four
/// fine-tunings, and two tests of five models.
const WORK_A_SEED: u64 = BASE_WORK + 1 + 2 + 2 + 4 + 2 * 5;

/// Training the base model takes about as long as so many of the other steps.
const BASE_WORK: u64 = 12;

/// Makes the folder, or takes an empty one, or one of the same settings.
fn take(folder: &Path, settings: &Settings) -> anyhow::Result<Lock> {
    let cannot = |what| format!("{}: cannot {what} the folder", folder.display());
    fs::create_dir_all(folder).with_context(|| cannot("make"))?;
    let kept = folder.join("quickstart.json");
    let refused = |why: String| {
        Mistake::new(format!(
            "{}: {why}; remove it, or choose another one with --folder",
            folder.display()
        ))
    };
    let is_foreign = || anyhow::Ok(!kept.exists() && holds_something(folder)?);
    if is_foreign().with_context(|| cannot("read"))? {
        return Err(refused("the folder is not empty".into()).into());
    }
    let lock = hold(folder)?;
    match fs::read_to_string(&kept) {
        Ok(text) => {
            let was: Settings = serde_json::from_str(&text)
                .map_err(|error| Mistake::new(format!("{}: {error}", kept.display())))?;
            let [was, is] = [&was, settings].map(serde_json::to_value);
            return match difference(&was?, &is?) {
                None => Ok(lock),
                Some(difference) => {
                    let why = format!("the folder is of other settings ({difference})");
                    Err(refused(why).into())
                }
            };
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| kept.display().to_string()),
    }
    let text = serde_json::to_string_pretty(settings)? + "\n";
    write_atomically(&kept, text.as_bytes()).with_context(|| cannot("write to"))?;
    Ok(lock)
}

/// The first setting that differs, in words.
fn difference(was: &Value, is: &Value) -> Option<String> {
    let (was, is) = (was.as_object()?, is.as_object()?);
    let (key, value) = is
        .iter()
        .find(|(key, value)| was.get(*key) != Some(value))?;
    let was = was.get(key).map_or("nothing".to_owned(), Value::to_string);
    Some(format!("{key} was {was}, now it is {value}"))
}

/// All commands of one seed.
struct Pipeline<'a> {
    folder: PathBuf,
    seed: u64,
    settings: &'a Settings,
    steps: Steps<'a>,
    progress: &'a mut Progress,
    done: u64,
}

impl Pipeline<'_> {
    fn run(&mut self) -> Result<SeedResult, Halt> {
        self.write_inputs()?;
        let mut trained = vec![("base", self.train("base")?)];
        self.sample()?;
        self.grade()?;
        self.curate()?;
        for name in FINE_TUNINGS {
            trained.push((name, self.train(name)?));
        }
        let mut result = SeedResult::new(self.seed);
        for (name, trained) in trained {
            let drawn = self.evaluate(name, "drawn", &[])?;
            let greedy = self.evaluate(name, "greedy", &["--temperature", "0", "-k", "1"])?;
            result.push(name, &trained, &greedy, &drawn)?;
        }
        Ok(result)
    }

    /// Data, recipes and the model with random weights: the same every time.
    fn write_inputs(&self) -> anyhow::Result<()> {
        let Settings {
            traces,
            problems,
            test,
            base_steps,
            steps,
            ..
        } = *self.settings;
        let sizes = Sizes {
            traces: traces as usize,
            problems: problems as usize,
            validation: VALIDATION_TRACES,
            test: test as usize,
        };
        let task = Task::new(self.seed, sizes);
        write_rows(&self.folder.join("traces.jsonl"), &task.traces)?;
        write_rows(&self.folder.join("problems.jsonl"), &task.problems)?;
        write_rows(&self.folder.join("validation.jsonl"), &task.validation)?;
        write_rows(&self.folder.join("test.jsonl"), &task.test)?;
        write_file(&self.folder.join("arithmetic.toml"), BENCHMARK.as_bytes())?;
        let budget = Budget {
            base_steps,
            steps,
            seed: self.seed,
        };
        for NamedRecipe { name, text } in recipes(budget) {
            write_file(&self.folder.join(format!("{name}.toml")), text.as_bytes())?;
        }
        let random = self.folder.join("random");
        if !random.join("model.safetensors").exists() {
            fs::create_dir_all(&random).with_context(|| random.display().to_string())?;
            random_model::create(&random, self.seed)?;
        }
        Ok(())
    }

    fn train(&mut self, name: &str) -> Result<Value, Halt> {
        let recipe = self.path(&format!("{name}.toml"));
        let mut arguments = vec!["train", &recipe];
        if self.folder.join("runs").join(name).exists() {
            arguments.push("--resume");
        }
        self.step(&format!("train-{name}"), &arguments, |result| {
            let nll = result["validation_nll"].as_f64().unwrap_or(f64::NAN);
            format!("validation nll {nll:.4}")
        })
    }

    fn sample(&mut self) -> Result<(), Halt> {
        let (draws, seed) = (self.settings.draws.to_string(), self.seed.to_string());
        let out = self.path("samples.jsonl");
        let model = self.path("runs/base/model");
        let prompts = self.path("problems.jsonl");
        let what = ["sample", &model, "--prompts", &prompts, "--out", &out];
        let how = ["-k", &draws, "--seed", &seed, "--max-tokens", MOST_TOKENS];
        let arguments = [&what[..], &how[..], anew(Path::new(&out))].concat();
        self.step("sample", &arguments, |result| {
            let of = |key: &str| result[key].as_f64().unwrap_or(f64::NAN);
            format!(
                "{} completions, {:.0} tokens/s",
                of("completions"),
                of("tokens_per_second")
            )
        })?;
        Ok(())
    }

    /// Rewards from the answers, as for any task with answers; and scores from
    /// the steps, by a program that knows this one.
    fn grade(&mut self) -> Result<(), Halt> {
        let program = self.steps.program().display().to_string();
        let judge = shell_words::join([&program, "judge-arithmetic"]);
        let [samples, graded, judged] =
            ["samples", "graded", "judged"].map(|name| self.path(&format!("{name}.jsonl")));
        let answers = [
            "grade",
            &samples,
            "--extract",
            "last-number",
            "--out",
            &graded,
        ];
        let again = |out: &str| replaced(Path::new(out));
        let answers = [&answers[..], again(&graded)].concat();
        self.step("grade", &answers, |result| {
            let right = 100.0 * result["share"].as_f64().unwrap_or(f64::NAN);
            format!("{right:.1}% of the answers are right")
        })?;
        let scores = [
            "grade",
            &graded,
            "--command",
            &judge,
            "--replace",
            "--out",
            &judged,
        ];
        let scores = [&scores[..], again(&judged)].concat();
        self.step("judge", &scores, |_| {
            "a score for each answer's steps".into()
        })?;
        Ok(())
    }

    fn curate(&mut self) -> Result<(), Halt> {
        let path = |name: &str| self.path(&format!("{name}.jsonl"));
        let [judged, right, scored, test] = ["judged", "right", "scored", "test"].map(path);
        let common = [
            "curate",
            &judged,
            "--dedup",
            "exact",
            "--decontaminate",
            &test,
        ];
        let for_sft = ["--min-reward", "1", "--out", &right];
        let for_quality = ["--out", &scored];
        let kept = |result: &Value| format!("{} rows", result["train"]["rows"]);
        let again = |out: &str| replaced(Path::new(out));
        let for_sft = [&common[..], &for_sft, again(&right)].concat();
        self.step("curate-right", &for_sft, kept)?;
        let for_quality = [&common[..], &for_quality, again(&scored)].concat();
        self.step("curate-scored", &for_quality, kept)?;
        Ok(())
    }

    fn evaluate(&mut self, name: &str, how: &str, sampling: &[&str]) -> Result<Value, Halt> {
        let model = self.path(&format!("runs/{name}/model"));
        let benchmark = self.path("arithmetic.toml");
        let out = self.path(&format!("eval/{name}-{how}"));
        let what = ["eval", &model, "--benchmark", &benchmark, "--out", &out];
        let anew = anew(&Path::new(&out).join("results.json"));
        let arguments = [&what[..], sampling, anew].concat();
        self.step(&format!("eval-{name}-{how}"), &arguments, |result| {
            format!(
                "{:.1}% right",
                100.0 * result["value"].as_f64().unwrap_or(f64::NAN)
            )
        })
    }

    /// Runs a command and says what came of it.
    fn step(
        &mut self,
        name: &str,
        arguments: &[&str],
        outcome: impl FnOnce(&Value) -> String,
    ) -> Result<Value, Halt> {
        let start = Instant::now();
        let result = self.steps.run(name, arguments)?;
        self.done += if name == "train-base" { BASE_WORK } else { 1 };
        let (seconds, outcome) = (start.elapsed().as_secs_f64(), outcome(&result));
        self.progress
            .line(&format!("  {name:<20} {:>6}  {outcome}", duration(seconds)));
        let seed = self.seed;
        self.progress
            .at(self.done, || format!("seed {seed}: {name}"));
        Ok(result)
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }
}

fn write_rows(path: &Path, rows: &[impl Serialize]) -> anyhow::Result<()> {
    let mut lines = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut lines, row)?;
        lines.push(b'\n');
    }
    write_file(path, &lines)
}

fn write_file(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    write_atomically(path, content).with_context(|| path.display().to_string())
}

/// What to look at next.
fn next(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "Look further:
  {folder}/log.txt                    every command, and what it said
  {folder}/judged.jsonl               what the base model wrote, graded
  {folder}/iw-sft.toml                a recipe: change it and run it with iwsft train
  iwsft inspect {folder}/iw-sft.toml --rows 3
  iwsft report {folder}
  iwsft eval compare {folder}/eval/sft-drawn {folder}/eval/iw-sft-drawn
  iwsft sample {folder}/runs/iw-sft/model --prompt '37+58='
  iwsft train {folder}/iw-sft.toml --run {folder}/runs/sharper --set objective.temperature=10"
    )
}
