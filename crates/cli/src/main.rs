//! `iwsft`: fine-tune policies on curated data.

mod bandit;
mod completions;
mod control;
mod curate;
mod doctor;
mod embedded;
mod endpoint;
mod environment;
mod escapes;
mod eval;
mod generator;
mod grade;
mod inspect;
mod interrupt;
mod iterate;
mod language;
mod logits;
mod machine;
mod missing;
mod mistake;
mod not_a_model;
mod progress;
mod prompting;
mod quickstart;
mod recipe;
mod report;
mod rl;
mod run;
mod sample;
mod sampling;
mod score;
mod steps;
mod suggestion;
mod table;
mod terminal;
mod train;
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

/// Fine-tune policies on curated data with importance-weighted SFT.
#[derive(Debug, clap::Parser)]
#[command(name = "iwsft", version, long_version = doctor::long_version())]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Threads to compute on; all cores where nothing is said.
    #[arg(long, global = true, value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

#[derive(Debug, clap::Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one, parsed once")]
enum Command {
    Quickstart(quickstart::Args),
    Train(train::Args),
    Rl(rl::Args),
    Iterate(iterate::Args),
    Curate(curate::Args),
    Score(score::Args),
    Inspect(inspect::Args),
    Sample(sample::Args),
    Eval(eval::Args),
    Grade(grade::Args),
    Logits(logits::Args),
    Bandit(bandit::Args),
    /// Judge a quickstart's rows; a program for `iwsft grade --command`.
    #[command(hide = true)]
    JudgeArithmetic(quickstart::judge::Args),
    Report(report::Args),
    Doctor(doctor::Args),
    Completions(completions::Args),
    Man(completions::ManArgs),
    Control(control::Args),
}

fn main() -> ExitCode {
    interrupt::survive_size_limits();
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if mistake::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            progress::say(&format!("error: {}", mistake::message(&error)));
            ExitCode::from(mistake::exit_status(&error))
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    iwsft_engine::CpuPath::from_environment()
        .map_err(|error| mistake::Mistake::new(error.to_string()))?;
    let threads = cli.threads.map(usize::from);
    if let Some(threads) = threads {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build_global()?;
    }
    match cli.command {
        Command::Quickstart(args) => quickstart::run(args, threads),
        Command::JudgeArithmetic(args) => quickstart::judge::run(args),
        Command::Train(args) => train::run(args),
        Command::Rl(args) => rl::run(args),
        Command::Iterate(args) => iterate::run(args, threads),
        Command::Curate(args) => curate::run(args),
        Command::Score(args) => score::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Sample(args) => sample::run(args),
        Command::Eval(args) => eval::run(args),
        Command::Grade(args) => grade::run(args),
        Command::Logits(args) => logits::run(args),
        Command::Bandit(args) => bandit::run(args),
        Command::Report(args) => report::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Completions(args) => completions::run(args, Cli::command()),
        Command::Man(args) => completions::man(args, Cli::command()),
        Command::Control(args) => control::run(args),
    }
}
