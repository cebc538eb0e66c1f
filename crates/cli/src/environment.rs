//! `environment.json`: on what a run was made, one session for each time that
//! it was started or resumed. Nothing in it decides the result.

use std::path::{Path, PathBuf};

use iwsft_engine::CpuPath;
use iwsft_files::write_atomically;
use iwsft_train::{Observer, Plan, StepMetrics};
use serde::{Deserialize, Serialize};

use crate::machine::Machine;

const FILE: &str = "environment.json";

/// One start of a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Session {
    /// When, in universal time.
    pub(crate) started: String,
    /// Steps that were made before.
    pub(crate) after_step: u64,
    /// Version of the program.
    pub(crate) version: String,
    pub(crate) system: String,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    /// Threads that were computed on.
    pub(crate) threads: usize,
    /// Instruction set of the element-wise kernels.
    pub(crate) cpu_path: String,
    /// Memory of the machine in bytes.
    pub(crate) memory: u64,
    /// The most memory that the process held after a step, in bytes; written
    /// with every checkpoint.
    pub(crate) peak_memory: Option<u64>,
}

impl Session {
    fn begin(after_step: u64) -> Self {
        let machine = Machine::here();
        Self {
            started: jiff::Timestamp::now()
                .strftime("%Y-%m-%dT%H:%M:%SZ")
                .to_string(),
            after_step,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            system: machine.system,
            processor: machine.processor,
            cores: machine.cores,
            threads: rayon::current_num_threads(),
            cpu_path: CpuPath::current().to_string(),
            memory: machine.memory,
            peak_memory: None,
        }
    }
}

/// The sessions of a run; none where it does not tell.
pub(crate) fn sessions(run: &Path) -> Vec<Session> {
    let text = std::fs::read(run.join(FILE)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Keeps the file of a run that goes on.
pub(crate) struct SessionLog {
    run: PathBuf,
    sessions: Vec<Session>,
}

impl SessionLog {
    pub(crate) fn of(run: &Path) -> Self {
        let (run, sessions) = (run.to_owned(), Vec::new());
        Self { run, sessions }
    }

    /// Not a word if this fails: the run itself is not at stake, and a disk that
    /// cannot be written to is reported by all else that is.
    fn write(&self) {
        if let Ok(text) = serde_json::to_vec_pretty(&self.sessions) {
            let _ = write_atomically(&self.run.join(FILE), &text);
        }
    }
}

impl Observer for SessionLog {
    fn on_start(&mut self, _: &Plan, step: u64) {
        self.sessions = sessions(&self.run);
        self.sessions.push(Session::begin(step));
        self.write();
    }

    fn on_step(&mut self, _: &StepMetrics) {
        if let (Some(session), Some(memory)) =
            (self.sessions.last_mut(), memory_stats::memory_stats())
        {
            let held = memory.physical_mem as u64;
            session.peak_memory = session.peak_memory.max(Some(held));
        }
    }

    fn on_checkpoint(&mut self, _: &Path, _: u64) {
        self.write();
    }
}
