//! `iwsft completions` and `iwsft man`: what shells and `man` want to know of
//! the command line.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap_complete::Shell;
use clap_mangen::Man;
use iwsft_files::write_atomically;

use crate::progress::say;

/// Print completions for a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  iwsft completions bash > ~/.local/share/bash-completion/completions/iwsft
  iwsft completions zsh > ~/.zfunc/_iwsft
  iwsft completions fish > ~/.config/fish/completions/iwsft.fish

For zsh, ~/.zfunc must be in fpath before compinit is called.")]
pub(crate) struct Args {
    shell: Shell,
}

/// Prints the completions of `command`.
pub(crate) fn run(args: Args, mut command: clap::Command) -> anyhow::Result<()> {
    // First into memory: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "iwsft", &mut script);
    Ok(std::io::stdout().lock().write_all(&script)?)
}

/// Write a man page for every command.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  iwsft man --out ~/.local/share/man/man1
  man iwsft-train")]
pub(crate) struct ManArgs {
    /// The folder to write to; it is made where it is missing.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

/// Writes a page for `command` and each of its subcommands.
pub(crate) fn man(args: ManArgs, mut command: clap::Command) -> anyhow::Result<()> {
    let folder = &args.out;
    std::fs::create_dir_all(folder)
        .with_context(|| format!("{}: cannot make the folder", folder.display()))?;
    command.build();
    let pages = write_pages(folder, &command)?;
    say(&format!("{pages} pages written to {}", folder.display()));
    Ok(())
}

fn write_pages(folder: &Path, command: &clap::Command) -> anyhow::Result<usize> {
    let page = Man::new(command.clone());
    let mut text = Vec::new();
    page.render(&mut text)?;
    let path = folder.join(page.get_filename());
    write_atomically(&path, &text)
        .with_context(|| format!("{}: cannot write the page", path.display()))?;
    let mut pages = 1;
    let own = |each: &&clap::Command| each.get_name() != "help" && !each.is_hide_set();
    for subcommand in command.get_subcommands().filter(own) {
        pages += write_pages(folder, subcommand)?;
    }
    Ok(pages)
}
