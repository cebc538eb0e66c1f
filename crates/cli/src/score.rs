//! `iwsft score`: the reference's log-probabilities of the training data.

use std::path::PathBuf;

use iwsft_lm::MemoryPlan;

use crate::language::{Loaded, ModelFolder, TokenTrajectories};
use crate::mistake::Mistake;
use crate::progress::say;
use crate::prompting::PromptingArgs;
use crate::recipe::{Recipe, ReferenceSection};
use crate::table::{Table, print_json};
use crate::train;

/// Compute and cache the reference log-probabilities of a recipe's data.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  iwsft score recipe.toml --out reference.safetensors
  iwsft train recipe.toml --set reference.cache=reference.safetensors

A cache belongs to one model, tokenizer, template and data set; `iwsft train`
refuses it when any of them has changed.")]
pub(crate) struct Args {
    /// The recipe.
    recipe: PathBuf,
    /// Change a value of the recipe.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    #[command(flatten)]
    prompting: PromptingArgs,
    /// Where the cache goes, instead of the recipe's `reference.cache`.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print the result as a line of JSON on standard output.
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Scored {
    cache: PathBuf,
    trajectories: usize,
    nll: f64,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let mut recipe = Recipe::read(&args.recipe, &args.sets)?;
    recipe.data.over(&args.prompting);
    let objective = recipe.objective.resolve()?;
    let section = recipe
        .reference
        .get_or_insert_with(ReferenceSection::default);
    if let Some(out) = &args.out {
        section.cache = Some(std::path::absolute(out)?);
    }
    let folder = ModelFolder::of_recipe(&recipe.model)?;
    let Loaded {
        dataset: data,
        wrapped,
        ..
    } = folder.dataset(&recipe.data.train, &recipe.data)?;
    wrapped.iter().for_each(|line| say(line));
    let (mut model, parameters) = folder.load(MemoryPlan::default())?;
    model.set_precision(recipe.train.precision);
    let scored = train::reference(&recipe, &objective, &folder, &mut model, &parameters, &data)?;
    let Some(scored) = scored else {
        let message = "`reference.column` is set: the data has its log-probabilities already";
        return Err(Mistake::new(message).into());
    };
    let data = TokenTrajectories::plain(data);
    let scored = Scored {
        trajectories: scored.log_probs.len(),
        nll: scored.log_probs.nll(&data),
        cache: scored.cache,
    };
    if args.json {
        return print_json(&scored);
    }
    let mut table = Table::new(["", ""]);
    table.row(["trajectories".into(), scored.trajectories.to_string()]);
    table.row(["nll per token".into(), format!("{:.4}", scored.nll)]);
    table.row(["cache".into(), scored.cache.display().to_string()]);
    table.print()
}
