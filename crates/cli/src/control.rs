//! `iwsft control`: policies that act, their data and their environments.

mod actor;
mod baseline;
mod collect;
mod conclusion;
mod doctor;
mod environments;
mod episodes;
mod eval;
mod evaluation;
mod recipe;
mod record;
mod recording;
mod render;
mod seed;
mod standing;
mod summary;
mod train;

/// Policies that act: record data, train, evaluate; and their environments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Record(record::Args),
    Collect(collect::Args),
    Train(train::Args),
    Eval(eval::Args),
    Render(render::Args),
    Doctor(doctor::Args),
    Environments(environments::Args),
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Record(args) => record::run(args),
        Command::Collect(args) => collect::run(args),
        Command::Train(args) => train::run(args),
        Command::Eval(args) => eval::run(args),
        Command::Render(args) => render::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Environments(args) => environments::run(args),
    }
}

/// The version of MuJoCo that an environment runs on; `None` if it needs none.
fn mujoco_version(spec: &iwsft_control::Spec) -> Option<String> {
    let needs = spec.needs_mujoco;
    needs.then(|| {
        iwsft_control::library()
            .ok()
            .map(|found| found.version().to_string())
    })?
}
