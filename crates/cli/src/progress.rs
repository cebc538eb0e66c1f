//! What long work shows: a moving line on a terminal, plain lines elsewhere.
//! All of it goes to standard error; standard output is for results.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::terminal;
use indicatif::{ProgressBar, ProgressStyle};
use iwsft_train::{
    EvaluationMetrics, Observer, Plan, RolloutMetrics, StepMetrics, ValidationMetrics,
};

/// Time between plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// Work of a known size.
pub(crate) struct Progress {
    what: &'static str,
    bar: Option<ProgressBar>,
    total: u64,
    done: u64,
    start: Instant,
    last_line: Instant,
}

impl Progress {
    pub(crate) fn new(what: &'static str, total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total);
            let style = ProgressStyle::with_template(
                "{prefix} {wide_bar:.cyan/dim} {pos}/{len} {msg} {eta_precise} left",
            );
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_prefix(what);
            bar
        });
        let now = Instant::now();
        Self {
            what,
            bar,
            total,
            done: 0,
            start: now,
            last_line: now,
        }
    }

    /// Begins with `done` of the work behind it.
    pub(crate) fn starting_at(what: &'static str, total: u64, done: u64) -> Self {
        let mut progress = Self::new(what, total);
        progress.done = done;
        if let Some(bar) = &progress.bar {
            bar.set_position(done);
            bar.reset_eta();
        }
        progress
    }

    /// `done` of the work is done; `note` says how it goes.
    pub(crate) fn at(&mut self, done: u64, note: impl FnOnce() -> String) {
        let begun = self.done;
        if let Some(bar) = &self.bar {
            bar.set_message(terminal::in_line(&note()).into_owned());
            bar.set_position(done);
            return;
        }
        if self.last_line.elapsed() >= PLAIN_EVERY || done == self.total {
            self.last_line = Instant::now();
            let rate = (done - begun) as f64 / self.start.elapsed().as_secs_f64().max(1e-9);
            let left = (self.total - done) as f64 / rate.max(1e-9);
            let (what, total, note) = (self.what, self.total, note());
            say(&format!(
                "{what} {done}/{total} {note} {} left",
                duration(left)
            ));
        }
    }

    /// A line of its own, above the bar.
    pub(crate) fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(text)),
            None => say(text),
        }
    }

    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Writes a line to standard error, with nothing in it that commands a terminal; a
/// closed one is no reason to stop.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", terminal::plain(text));
}

/// Seconds as people write them.
pub(crate) fn duration(seconds: f64) -> String {
    let seconds = seconds.round().min(1e9) as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}h{minutes:02}m")
    } else if minutes > 0 {
        format!("{minutes}m{seconds:02}s")
    } else {
        format!("{seconds}s")
    }
}

/// Shows a training run.
#[derive(Default)]
pub(crate) struct TrainingProgress {
    progress: Option<Progress>,
    /// Steps made.
    step: u64,
    validation_nll: Option<f64>,
    /// Mean reward of the last rollouts.
    reward: Option<f64>,
}

impl Observer for TrainingProgress {
    fn on_start(&mut self, plan: &Plan, step: u64) {
        if step > 0 {
            say(&format!("resuming behind step {step}"));
        }
        self.step = step;
        self.progress = Some(Progress::starting_at("training", plan.total_steps, step));
    }

    fn on_drawing(&mut self, done: u64, total: u64) {
        let (step, reward) = (self.step, self.reward);
        if let Some(progress) = &mut self.progress {
            progress.at(step, || {
                let note = format!("drawing {done}/{total}");
                reward.map_or(note.clone(), |reward| format!("reward {reward:.3} {note}"))
            });
        }
    }

    fn on_rollouts(&mut self, metrics: &RolloutMetrics) {
        self.reward = Some(metrics.reward);
    }

    fn on_step(&mut self, metrics: &StepMetrics) {
        let (validation, reward) = (self.validation_nll, self.reward);
        self.step = metrics.step;
        if let Some(progress) = &mut self.progress {
            progress.at(metrics.step, || {
                let mut note = format!(
                    "loss {:.4} nll {:.4} ess {:.0}% {:.0} tok/s",
                    metrics.diagnostics.loss,
                    metrics.diagnostics.nll,
                    100.0 * metrics.diagnostics.effective_share,
                    metrics.tokens_per_second,
                );
                if let Some(nll) = validation {
                    note += &format!(" val {nll:.4}");
                }
                if let Some(reward) = reward {
                    note = format!("reward {reward:.3} {note}");
                }
                note
            });
        }
    }

    fn on_validation(&mut self, metrics: &ValidationMetrics) {
        self.validation_nll = Some(metrics.nll);
        self.on_message(&format!(
            "step {}: validation nll {:.4}",
            metrics.step, metrics.nll
        ));
    }

    fn on_evaluation(&mut self, metrics: &EvaluationMetrics) {
        let told = crate::eval::in_words(&metrics.found);
        self.on_message(&format!("step {}: {told}", metrics.step));
    }

    fn on_checkpoint(&mut self, path: &Path, step: u64) {
        self.on_message(&format!("step {step}: saved {}", path.display()));
    }

    fn on_message(&mut self, message: &str) {
        match &self.progress {
            Some(progress) => progress.line(message),
            None => say(message),
        }
    }
}

impl Drop for TrainingProgress {
    fn drop(&mut self) {
        if let Some(progress) = &self.progress {
            progress.finish();
        }
    }
}
