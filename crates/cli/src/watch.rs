//! Ways to watch a run: lines or a full screen on the terminal, and files for
//! TensorBoard.

mod event_file;
pub(crate) mod screen;
mod view;

use std::io::IsTerminal;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use iwsft_train::Observer;

use crate::environment::SessionLog;
use crate::mistake::Mistake;
use crate::progress::TrainingProgress;
use event_file::EventFile;
use screen::Screen;

/// How a run is watched.
#[derive(Debug, Default, Clone, Copy, clap::Args)]
pub(crate) struct Watch {
    /// Show the run's curves on the full screen of the terminal; q stops as
    /// Ctrl-C does.
    #[arg(long)]
    tui: bool,
    /// Write event files for TensorBoard into the run's folder tensorboard/.
    #[arg(long)]
    tensorboard: bool,
}

impl Watch {
    /// Refuses what cannot be had, before anything slow.
    pub(crate) fn check(self) -> anyhow::Result<()> {
        if self.tui && !std::io::stderr().is_terminal() {
            return Err(Mistake::new(
                "--tui draws on standard error, which is no terminal here; leave --tui out, or do not redirect it",
            )
            .into());
        }
        Ok(())
    }

    /// Whoever is to be told of the run in `run`; `stop` asks it to stop.
    pub(crate) fn observers(
        self,
        run: &Path,
        stop: &'static AtomicBool,
    ) -> anyhow::Result<Vec<Box<dyn Observer>>> {
        let mut observers: Vec<Box<dyn Observer>> = vec![Box::new(SessionLog::of(run))];
        if self.tensorboard {
            let folder = run.join("tensorboard");
            let file = EventFile::create(&folder)
                .with_context(|| format!("{}: cannot write event files", folder.display()))?;
            observers.push(Box::new(file));
        }
        observers.push(if self.tui {
            let screen = Screen::take(run, stop).context("cannot draw on the terminal")?;
            Box::new(screen)
        } else {
            Box::new(TrainingProgress::default())
        });
        Ok(observers)
    }
}
