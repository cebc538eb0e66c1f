//! Commands of this program, run one after the other as a user would run them:
//! those of a quickstart, or of expert iteration. The result of a command is kept,
//! and a command whose result is there already is not run again.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use iwsft_files::write_atomically;
use serde_json::Value;

use crate::interrupt::{self, children::Followed};

/// Runs commands of this program for one folder of files.
pub(crate) struct Steps<'a> {
    /// This program.
    program: PathBuf,
    threads: Option<usize>,
    /// Holds the results, as `NAME.json`.
    results: PathBuf,
    /// Takes the messages of all commands.
    log: PathBuf,
    stop: &'a AtomicBool,
}

/// Why the commands did not come to their end.
pub(crate) enum Halt {
    /// The user asked for it.
    Stopped,
    /// A command failed, or its result makes no sense.
    Failed(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl<'a> Steps<'a> {
    /// Keeps results and messages in `folder`.
    pub(crate) fn new(
        folder: &Path,
        threads: Option<usize>,
        stop: &'a AtomicBool,
    ) -> anyhow::Result<Self> {
        let results = folder.join("steps");
        fs::create_dir_all(&results).with_context(|| results.display().to_string())?;
        Ok(Self {
            program: std::env::current_exe().context("cannot find this program's own file")?,
            threads,
            results,
            log: folder.join("log.txt"),
            stop,
        })
    }

    /// This program, for commands that start it themselves.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Runs `iwsft ARGUMENTS --json` and returns the last line that it printed.
    /// `name` is unique among the steps of a folder.
    pub(crate) fn run(&self, name: &str, arguments: &[&str]) -> Result<Value, Halt> {
        let kept = self.results.join(format!("{name}.json"));
        if let Ok(text) = fs::read_to_string(&kept) {
            let value = serde_json::from_str(&text);
            return Ok(value.with_context(|| format!("{}: not JSON", kept.display()))?);
        }
        if self.stop.load(Ordering::Relaxed) {
            return Err(Halt::Stopped);
        }
        let shown = format!("iwsft {}", shell_words::join(arguments));
        let mut log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| self.log.display().to_string())?;
        writeln!(log, "\n$ {shown}")?;
        let mut command = Command::new(&self.program);
        command.args(arguments).arg("--json");
        if let Some(threads) = self.threads {
            command.args(["--threads", &threads.to_string()]);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {shown}"))?;
        // A signal that only this process gets is the command's as well.
        let _followed = Followed::process(&child);
        let output = child
            .wait_with_output()
            .with_context(|| format!("cannot wait for {shown}"))?;
        match output.status.code() {
            Some(0) => {}
            Some(interrupt::STATUS) => return Err(Halt::Stopped),
            _ if self.stop.load(Ordering::Relaxed) => return Err(Halt::Stopped),
            _ => return Err(self.failure(&shown, output.status).into()),
        }
        let printed = String::from_utf8(output.stdout).context("the result is not UTF-8")?;
        let last = printed.lines().last().unwrap_or("null");
        let value: Value = serde_json::from_str(last)
            .with_context(|| format!("{shown} printed no JSON but {last:?}"))?;
        write_atomically(&kept, format!("{value:#}\n").as_bytes())
            .with_context(|| kept.display().to_string())?;
        Ok(value)
    }

    /// A command that failed, with the last that it said.
    fn failure(&self, shown: &str, status: ExitStatus) -> anyhow::Error {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
        let log = self.log.display();
        anyhow::anyhow!("{shown} ended with {status}; {log} ends with\n{last}")
    }
}

/// What makes a command replace an output that is there although it never came
/// to its end.
pub(crate) fn anew(output: &Path) -> &'static [&'static str] {
    match output.exists() {
        true => &["--restart"],
        false => &[],
    }
}

/// The same for commands that keep nothing of what they began.
pub(crate) fn replaced(output: &Path) -> &'static [&'static str] {
    match output.exists() {
        true => &["--force"],
        false => &[],
    }
}

/// Lines of the log that are shown when a command fails.
const LAST_LINES: usize = 5;
