//! `iwsft report`: one HTML file that shows one run, or several side by side.
//!
//! The file needs nothing but itself: styles, drawings and the few lines of
//! script for read-outs are inside it, and it can be read without the script.

mod axis;
mod bounds;
mod control;
mod curve;
mod evaluation;
mod figures;
mod markup;
mod page;
mod plot;
mod run;
mod samples;
mod setting;
mod summary;
mod weights;

use std::path::{Path, PathBuf};

use anyhow::Context;
use iwsft_files::write_atomically;

use crate::mistake::Mistake;
use crate::progress::say;
use crate::table::print_json;
use control::ControlRun;
use evaluation::Results;
use run::Run;
use summary::Summary;

/// Show runs as one HTML file: curves, bounds, weights, evaluation, recipes.
///
/// Several runs are drawn over one another, with the differences between their
/// recipes. A folder without a run of its own stands for the runs in it, or in
/// its `runs/`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  iwsft report runs/answers
  iwsft report runs/sft runs/iw-sft --out comparison.html
  iwsft report quickstart/seed-0
  iwsft report runs/answers --samples 5

The file opens from disk in any browser and loads nothing.")]
pub(crate) struct Args {
    /// Folders of runs, or folders of such folders.
    #[arg(required = true, value_name = "FOLDER")]
    folders: Vec<PathBuf>,
    /// The file to write; report.html in the folder, or here for several.
    #[arg(long, value_name = "FILE.html")]
    out: Option<PathBuf>,
    /// What stands at the top.
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Show the results in this folder of `iwsft eval` too; may be repeated.
    #[arg(long = "eval", value_name = "FOLDER")]
    evals: Vec<PathBuf>,
    /// Let the starting and the trained model continue this many prompts of the
    /// validation data (or of the training data where there is none).
    #[arg(long, default_value_t = 0, value_name = "N",
          value_parser = clap::value_parser!(u32).range(0..=50))]
    samples: u32,
    /// Most tokens of a sample.
    #[arg(long, default_value_t = 128, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    sample_tokens: u32,
    /// Print the summary of each run as a line of JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let mut runs = Vec::new();
    let mut controls = Vec::new();
    for folder in &args.folders {
        for path in run_folders(folder)? {
            match is_control(&path) {
                true => controls.push(ControlRun::read(&path)?),
                false => runs.push(Run::read(&path)?),
            }
        }
    }
    if !controls.is_empty() && !runs.is_empty() {
        let message = "runs of `iwsft control train` and of `iwsft train` share no figure; make a \
                       report of each";
        return Err(Mistake::new(message).into());
    }
    // Those whose logs tell of bound and weights come first.
    let (mut controls, without): (Vec<_>, Vec<_>) = controls
        .into_iter()
        .map(|run| (run.training(), run))
        .partition(|(training, _)| training.is_some());
    controls.extend(without);
    let (trainings, controls): (Vec<_>, Vec<ControlRun>) = controls.into_iter().unzip();
    runs.extend(trainings.into_iter().flatten());
    run::tell_apart(&mut runs);
    let results = args.evals.iter().map(|folder| Results::read(folder));
    let results: Vec<Results> = results.collect::<anyhow::Result<_>>()?;
    let samples = match args.samples {
        0 => Vec::new(),
        count => samples::of_runs(&runs, count as usize, args.sample_tokens as usize)?,
    };
    let out = match (&args.out, &args.folders[..]) {
        (Some(out), _) => out.clone(),
        (None, [folder]) => folder.join("report.html"),
        (None, _) => PathBuf::from("report.html"),
    };
    let title = args.title.unwrap_or_else(|| {
        let names: Vec<&str> = match &controls[..] {
            [] => runs.iter().map(|run| run.name.as_str()).collect(),
            controls => controls.iter().map(|run| run.name.as_str()).collect(),
        };
        names.join(", ")
    });
    let summaries: Vec<Summary> = runs.iter().map(Summary::of).collect();
    let page = page::page(&title, &runs, &summaries, &results, &samples, &controls);
    write_atomically(&out, page.as_bytes())
        .with_context(|| format!("{}: cannot write the report", out.display()))?;
    if !controls.is_empty() {
        control::print(&controls, args.json)?;
    } else if args.json {
        summaries.iter().try_for_each(print_json)?;
    } else {
        summary::print(&summaries)?;
    }
    say(&format!("report written to {}", out.display()));
    Ok(())
}

/// The runs that a folder stands for: itself, or those in it or in its `runs/`.
fn run_folders(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let is_run = |path: &Path| path.join("metrics.jsonl").is_file() || is_control(path);
    if is_run(folder) {
        return Ok(vec![folder.to_owned()]);
    }
    for parent in [folder.to_owned(), folder.join("runs")] {
        let entries = std::fs::read_dir(&parent).into_iter().flatten().flatten();
        let mut runs: Vec<PathBuf> = entries
            .map(|entry| entry.path())
            .filter(|path| is_run(path))
            .collect();
        if !runs.is_empty() {
            // In the order in which they were made, as far as can be told.
            runs.sort_by_key(|run| (run::begun(run), run.clone()));
            return Ok(runs);
        }
    }
    Err(Mistake::new(format!(
        "{}: no run here; expected a folder with the metrics.jsonl that `iwsft train` writes, one of `iwsft control train`, or a folder of such folders",
        folder.display()
    ))
    .into())
}

/// Whether a folder is a run of `iwsft control train`.
fn is_control(folder: &Path) -> bool {
    !control::logs(folder).is_empty()
}
