//! `iwsft control`: policies that act, their data and their environments.

mod collect;
mod doctor;
mod environments;
mod episodes;
mod eval;
mod evaluation;
mod recipe;
mod seed;
mod train;

/// Policies that act: record data, train, evaluate; and their environments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Collect(collect::Args),
    Train(train::Args),
    Eval(eval::Args),
    Doctor(doctor::Args),
    Environments(environments::Args),
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Collect(args) => collect::run(args),
        Command::Train(args) => train::run(args),
        Command::Eval(args) => eval::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Environments(args) => environments::run(args),
    }
}
