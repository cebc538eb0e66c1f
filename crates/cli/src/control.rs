//! `iwsft control`: environments for control, and what they need.

mod doctor;
mod environments;

/// Environments for control, and what they need.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Doctor(doctor::Args),
    Environments(environments::Args),
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Doctor(args) => doctor::run(args),
        Command::Environments(args) => environments::run(args),
    }
}
