//! `iwsft iterate`: rounds of sampling, grading, curating and training.
//!
//! One round is rejection-sampling fine-tuning; several are expert iteration.
//! Every part is a command of this program on ordinary files, so that each can be
//! looked at, changed and run again.

mod recipe;
mod round;

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use iwsft_data::{Object, read_objects};
use iwsft_files::{Lock, write_atomically};
use serde_json::{Map, Value};

use crate::interrupt;
use crate::language::ModelFolder;
use crate::mistake::Mistake;
use crate::progress::{Progress, duration, say};
use crate::prompting::TrainedOn;
use crate::run::{hold, holds_something};
use crate::steps::Halt;
use crate::table::{Table, print_json};
use recipe::IterateRecipe;
use round::{COMMANDS, RoundResult, Rounds, in_words};

/// Let a model learn from its own good answers, round by round: rejection
/// sampling fine-tuning, expert iteration.
///
/// Each round draws completions from the latest model, grades and curates them,
/// and trains on what is left, from the latest model or from the start, with any
/// objective of `iwsft train`. Run again, it goes on where it stopped; with more
/// rounds, behind the last.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  iwsft iterate expert.toml
  iwsft iterate expert.toml --set rounds=1 --run runs/rejection-sampling
  iwsft iterate expert.toml --set objective.preset=iw-sft-llm --run runs/iw-expert --json
  iwsft report runs/expert/round-*/run

Each round's files and the log of its commands are in RUN/round-NNN.")]
pub(crate) struct Args {
    /// The recipe, or the folder of a run to go on with.
    recipe: PathBuf,
    /// Change a value of the recipe, for example sample.k=8; KEY= removes it.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Folder of all rounds, instead of the recipe's.
    #[arg(long, value_name = "FOLDER")]
    run: Option<PathBuf>,
    /// Print the table as lines of JSON on standard output, one a round.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args, threads: Option<usize>) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut recipe = IterateRecipe::read(&args.recipe, &args.sets)?;
    if let Some(run) = &args.run {
        recipe.run = Some(std::path::absolute(run)?);
    }
    let prompts = prompts(&recipe)?;
    say_mismatch(&recipe, &prompts)?;
    let _lock = take(&recipe)?;
    let stop = interrupt::flag("stopping after this step; press Ctrl-C again to stop at once")?;
    let total = u64::from(recipe.rounds) * COMMANDS + 1;
    let mut progress = Progress::new("rounds", total);
    let mut rounds = Rounds {
        recipe: &recipe,
        prompts: &prompts,
        threads,
        stop,
        progress: &mut progress,
        done: 0,
    };
    let results = match all(&mut rounds) {
        Ok(results) => results,
        Err(Halt::Failed(error)) => return Err(error),
        Err(Halt::Stopped) => {
            progress.finish();
            say("stopped; the same command goes on from here");
            std::process::exit(interrupt::STATUS);
        }
    };
    progress.finish();
    let run = recipe.run_folder();
    let path = run.join("results.json");
    let text = serde_json::to_string_pretty(&results)? + "\n";
    write_atomically(&path, text.as_bytes()).with_context(|| path.display().to_string())?;
    say("");
    match args.json {
        true => results.iter().try_for_each(print_json)?,
        false => print(&results)?,
    }
    let seconds = duration(start.elapsed().as_secs_f64());
    say(&format!(
        "\nAll of it took {seconds}; files of each round are in {}/round-*",
        run.display()
    ));
    Ok(())
}

/// All rounds, the start first.
fn all(rounds: &mut Rounds<'_>) -> Result<Vec<RoundResult>, Halt> {
    let mut results = vec![rounds.start()?];
    for round in 1..=rounds.recipe.rounds {
        let latest = results[results.len() - 1].model.clone();
        results.push(rounds.round(round, &latest)?);
    }
    Ok(results)
}

/// Rows of the prompts' file. Whether they can be asked and graded, the commands
/// say.
fn prompts(recipe: &IterateRecipe) -> anyhow::Result<Vec<Object>> {
    let section = &recipe.prompts;
    let limit = section.limit.map_or(usize::MAX, |limit| limit as usize);
    let mut rows = Vec::new();
    for row in read_objects(&section.file)?.take(limit) {
        let (at, row) = row?;
        recipe.grade.check_row(&at, &row)?;
        rows.push(row);
    }
    let (wanted, found) = (recipe.sample.prompts.unwrap_or(1), rows.len());
    if wanted > found {
        return Err(Mistake::new(format!(
            "`sample.prompts` is {wanted}, and {} has {found} prompts; expected at most as many",
            section.file.display()
        ))
        .into());
    }
    Ok(rows)
}

/// Says if the start was trained on prompts that were put to it in another way than
/// the rounds put theirs, or if it is evaluated in another way.
fn say_mismatch(recipe: &IterateRecipe, prompts: &[Object]) -> anyhow::Result<()> {
    let folder = ModelFolder::of_recipe(&recipe.model)?;
    if folder.template.is_none() {
        return Ok(());
    }
    let section = &recipe.prompts;
    let column = section.prompt_column.as_deref().unwrap_or("prompt");
    let is_text =
        |row: &Object| section.template.is_some() || row.get(column).is_some_and(Value::is_string);
    let texts = prompts.iter().filter(|row| is_text(row)).count();
    let chat = match (texts, section.chat) {
        (0, _) | (_, true) => true,
        (texts, false) if texts == prompts.len() => false,
        _ => return Ok(()),
    };
    let (template, plain) = (
        "`prompts.chat = true` puts prompts into it",
        "`prompts.chat = false` asks so",
    );
    folder.say_mismatch(chat, template, plain);
    folder.say_other_system(chat, section.system.as_deref(), "`prompts.system`");
    let (template, plain) = (
        "`eval.plain = false` asks so",
        "`eval.plain = true` asks so",
    );
    let rounds = TrainedOn { chat, system: None };
    if let Some(eval) = &recipe.eval
        && let Some(mismatch) = rounds.mismatch(!eval.plain, template, plain)
    {
        say(&format!(
            "warning: in [eval] the model of a round {mismatch}"
        ));
    }
    Ok(())
}

/// Makes the run's folder, or takes an empty one, or one of the same recipe,
/// whose number of rounds may be another.
fn take(recipe: &IterateRecipe) -> anyhow::Result<Lock> {
    let folder = recipe.run_folder();
    let cannot = |what| format!("{}: cannot {what} the folder", folder.display());
    fs::create_dir_all(folder).with_context(|| cannot("make"))?;
    let refused = |why: String| {
        Mistake::new(format!(
            "{}: {why}; choose another folder with --run, or remove this one",
            folder.display()
        ))
    };
    let kept = folder.join("recipe.toml");
    let is_foreign = || anyhow::Ok(!kept.exists() && holds_something(folder)?);
    if is_foreign().with_context(|| cannot("read"))? {
        return Err(refused("the folder is not empty".into()).into());
    }
    let lock = hold(folder)?;
    if kept.exists() {
        let was = IterateRecipe::read(folder, &[])?;
        let [was, is] = [&was, recipe].map(serde_json::to_value);
        if let Some(difference) = difference("", &was?, &is?) {
            return Err(refused(format!("the folder is of another recipe ({difference})")).into());
        }
    }
    write_atomically(&kept, recipe.to_toml()?.as_bytes()).with_context(|| cannot("write to"))?;
    Ok(lock)
}

/// The first setting that differs, in words. More rounds change none of those
/// that are made.
fn difference(key: &str, was: &Value, is: &Value) -> Option<String> {
    if key == ".rounds" || was == is {
        return None;
    }
    let (Some(a), Some(b)) = (was.as_object(), is.as_object()) else {
        return Some(format!("{} was {was}, now it is {is}", &key[1..]));
    };
    let keys = a.keys().chain(b.keys());
    let of = |map: &Map<String, Value>, name: &String| map.get(name).cloned().unwrap_or_default();
    keys.into_iter()
        .find_map(|name| difference(&format!("{key}.{name}"), &of(a, name), &of(b, name)))
}

fn print(results: &[RoundResult]) -> anyhow::Result<()> {
    let mut table = Table::new([
        "round",
        "samples",
        "mean reward",
        "kept",
        "tokens sampled",
        "steps",
        "tokens trained",
        "evaluation (95 %)",
    ]);
    let count = |count: Option<u64>| count.map_or("-".to_owned(), |count| count.to_string());
    for result in results {
        table.row([
            match result.round {
                0 => "start".to_owned(),
                round => round.to_string(),
            },
            count(result.samples),
            result.reward.map_or("-".to_owned(), |x| format!("{x:.3}")),
            count(result.kept),
            count(result.tokens_sampled),
            count(result.steps),
            count(result.tokens_trained),
            result.evaluation.as_ref().map_or("-".to_owned(), in_words),
        ]);
    }
    table.print()
}
