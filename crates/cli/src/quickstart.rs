//! `iwsft quickstart`: the whole job on a task that needs no download.
//!
//! A tiny model learns arithmetic from traces of mixed quality and is then
//! fine-tuned on the good ones, in four ways. Data, models and recipes are
//! ordinary files, so that each part can be looked at, changed and run again.

mod arithmetic;
mod comparison;
mod exam;
mod grade;
mod random_model;
mod recipes;
mod report;
mod traces;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Context;
use iwsft_train::write_atomically;
use serde::Serialize;

use crate::mistake::Mistake;
use crate::progress::{duration, say};
use crate::recipe::Recipe;
use crate::table::print_json;
use crate::train::train;
use crate::watch::Watch;
use comparison::Comparison;
use recipes::{Budget, NamedRecipe, recipes};
use report::{ModelRow, comparisons, findings, print_table, rights};
use traces::{Sizes, Task, Trace};

/// Make a tiny model, fine-tune it in four ways and compare: needs no download.
///
/// Generates arithmetic problems with worked steps, some of them wrong; trains
/// a small Llama from random weights on all of them; fine-tunes it with SFT,
/// iw-SFT, SFT(Q) and iw-SFT(Q); and lets every model answer problems that
/// none has seen.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  iwsft quickstart
  iwsft quickstart --seed 1 --folder quickstart-1
  iwsft quickstart --json > results.jsonl")]
pub(crate) struct Args {
    /// Where everything goes; a folder that does not exist yet, or is empty.
    #[arg(long, default_value = "quickstart", value_name = "FOLDER")]
    folder: PathBuf,
    /// Decides problems, mistakes, weights and order.
    #[arg(long, default_value_t = 0, value_name = "N",
          value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seed: u64,
    /// Training traces.
    #[arg(long, default_value_t = 12_000, value_name = "N",
          value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    traces: u32,
    /// Test problems.
    #[arg(long, default_value_t = 500, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    problems: u32,
    /// Training steps of the base model.
    #[arg(long, default_value_t = 1000, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..))]
    base_steps: u32,
    /// Training steps of each fine-tuning.
    #[arg(long, default_value_t = 150, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// Print the table as JSON lines on standard output.
    #[arg(long)]
    json: bool,
}

/// What is kept of a quickstart, in `results.json`.
#[derive(Serialize)]
struct Results<'a> {
    seed: u64,
    models: &'a [ModelRow],
    comparisons: &'a [Comparison],
    findings: &'a [String],
}

const VALIDATION_TRACES: usize = 300;

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let start = Instant::now();
    let folder = &args.folder;
    take(folder)?;
    let sizes = Sizes {
        train: args.traces as usize,
        validation: VALIDATION_TRACES,
        test: args.problems as usize,
    };
    let budget = Budget {
        base_steps: args.base_steps,
        steps: args.steps,
        seed: args.seed,
    };
    let task = Task::new(args.seed, sizes);
    let recipes = recipes(budget);
    write_inputs(folder, &task, &recipes, args.seed)?;
    say(&about(folder, &task));

    let stop = stop_on_ctrl_c()?;
    let (mut rows, mut answered) = (Vec::new(), Vec::new());
    for NamedRecipe { name, .. } in &recipes {
        let path = folder.join(format!("{name}.toml"));
        say(&format!("\n== {name}: iwsft train {}", path.display()));
        let mut recipe = Recipe::read(&path, &[])?;
        recipe.model.today.get_or_insert_with(iwsft_lm::today);
        let Some(summary) = train(&recipe, false, Watch::default(), stop)? else {
            say(&format!(
                "stopped; finish this model with: iwsft train {} --resume",
                path.display()
            ));
            std::process::exit(130);
        };
        let answers = exam::answers(&summary.model, &task.test)?;
        write_rows(&folder.join(format!("answers/{name}.jsonl")), &answers)?;
        let row = ModelRow::new(name, &answers, &summary);
        let (right, problems) = (row.right, row.problems);
        say(&format!(
            "{right} of {problems} test problems answered right"
        ));
        answered.push((*name, rights(&answers)));
        rows.push(row);
    }

    let comparisons = comparisons(&answered);
    let findings = findings(&rows, &comparisons);
    let results = Results {
        seed: args.seed,
        models: &rows,
        comparisons: &comparisons,
        findings: &findings,
    };
    let results = serde_json::to_string_pretty(&results)? + "\n";
    write_atomically(&folder.join("results.json"), results.as_bytes())?;
    say("");
    if args.json {
        rows.iter().try_for_each(print_json)?;
        say(&format!("{}\n", findings.join("\n")));
    } else {
        print_table(&rows)?;
        // With the table, not with the messages: they are results.
        writeln!(std::io::stdout(), "\n{}\n", findings.join("\n"))?;
    }
    let seconds = duration(start.elapsed().as_secs_f64());
    say(&format!("All of it took {seconds}. {}", next(folder)));
    Ok(())
}

/// Makes the folder, or takes an empty one.
fn take(folder: &Path) -> anyhow::Result<()> {
    let cannot = |what| format!("{}: cannot {what} the folder", folder.display());
    fs::create_dir_all(folder).with_context(|| cannot("make"))?;
    let mut entries = fs::read_dir(folder).with_context(|| cannot("read"))?;
    if entries.next().is_some() {
        return Err(Mistake::new(format!(
            "{}: the folder is not empty; remove it, or choose another one with --folder",
            folder.display()
        ))
        .into());
    }
    for part in ["random", "answers"] {
        fs::create_dir(folder.join(part)).with_context(|| cannot("write to"))?;
    }
    Ok(())
}

/// Data, recipes and the model with random weights.
fn write_inputs(
    folder: &Path,
    task: &Task,
    recipes: &[NamedRecipe],
    seed: u64,
) -> anyhow::Result<()> {
    write_rows(&folder.join("train.jsonl"), &task.train)?;
    write_rows(&folder.join("validation.jsonl"), &task.validation)?;
    write_rows(&folder.join("test.jsonl"), &task.worked_test())?;
    for NamedRecipe { name, text } in recipes {
        write_atomically(&folder.join(format!("{name}.toml")), text.as_bytes())?;
    }
    random_model::create(&folder.join("random"), seed)
}

fn write_rows(path: &Path, rows: &[Trace]) -> anyhow::Result<()> {
    let mut lines = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut lines, row)?;
        lines.push(b'\n');
    }
    Ok(write_atomically(path, &lines)?)
}

/// What was generated, with an example that shows a mistake.
fn about(folder: &Path, task: &Task) -> String {
    let right = task
        .train
        .iter()
        .filter(|trace| trace.reward == 1.0)
        .count();
    let mut about = format!(
        "{}: {} training traces, {:.1}% of them with a right answer; {} test problems",
        folder.display(),
        task.train.len(),
        100.0 * right as f64 / task.train.len() as f64,
        task.test.len(),
    );
    let of = |reward| task.train.iter().find(|trace| trace.reward == reward);
    for trace in [of(1.0), of(0.0)].into_iter().flatten() {
        let Trace {
            prompt,
            completion,
            reward,
            score,
        } = trace;
        about += &format!("\n  {prompt}{completion}   reward {reward}, score {score:.2}");
    }
    about
}

/// What to look at next.
fn next(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "Look further:
  {folder}/iw-sft.toml                a recipe: change it and run it with iwsft train
  {folder}/answers/iw-sft.jsonl       what the model wrote, graded
  iwsft inspect {folder}/iw-sft.toml --rows 3
  iwsft sample {folder}/runs/iw-sft/model --prompt '37+58='
  iwsft train {folder}/iw-sft.toml --run {folder}/runs/sharper --set objective.temperature=10"
    )
}

/// A flag that Ctrl-C sets; pressed again, it ends the program.
fn stop_on_ctrl_c() -> anyhow::Result<&'static AtomicBool> {
    let stop: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
    ctrlc::set_handler(move || {
        if stop.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        say("stopping after this step; press Ctrl-C again to stop at once");
    })?;
    Ok(stop)
}
