//! What a finished run comes to.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use iwsft_train::Checkpoints;

use crate::progress::duration;
use crate::table::Table;

/// What a finished run comes to.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Summary {
    pub(crate) model: PathBuf,
    pub(crate) steps: u64,
    pub(crate) seconds: f64,
    pub(crate) tokens: u64,
    pub(crate) tokens_per_second: f64,
    pub(crate) loss: f64,
    pub(crate) nll: f64,
    pub(crate) effective_share: f64,
    pub(crate) weight_min: f64,
    pub(crate) weight_max: f64,
    /// J and how far the bounds lie below it, where there is a reference.
    pub(crate) j: Option<f64>,
    pub(crate) sft_gap: Option<f64>,
    pub(crate) iw_sft_gap: Option<f64>,
    pub(crate) validation_nll_before: Option<f64>,
    pub(crate) validation_nll: Option<f64>,
    /// The lowest that was trained, its step, and the checkpoint that has it.
    pub(crate) best_validation_nll: Option<f64>,
    pub(crate) best_validation_step: Option<u64>,
    pub(crate) best_checkpoint: Option<PathBuf>,
    /// Whether every validation was above the one before the first step.
    pub(crate) validation_rose: bool,
}

impl Summary {
    /// What the log of the run says about its end.
    pub(super) fn read(run: &Path, model: PathBuf) -> anyhow::Result<Self> {
        let log = run.join("metrics.jsonl");
        let text = fs::read_to_string(&log).with_context(|| log.display().to_string())?;
        let records: Vec<Record> = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        let last = records.iter().rev().find(|record| record.kind == "step");
        let last = last.with_context(|| format!("{}: no step is logged", log.display()))?;
        let validations: Vec<&Record> = records
            .iter()
            .filter(|record| record.kind == "validation")
            .collect();
        let before = validations.first().filter(|record| record.step == 0);
        let trained = || validations.iter().filter(|record| record.step > 0);
        let best = trained().min_by(|a, b| a.nll.total_cmp(&b.nll));
        let kept = Checkpoints::of_run(run).list()?;
        let best_checkpoint = best.and_then(|best| {
            let mut kept = kept.into_iter();
            kept.find(|checkpoint| checkpoint.record.step == best.step)
        });
        Ok(Self {
            model,
            steps: last.step,
            seconds: last.seconds,
            tokens: last.total_tokens,
            tokens_per_second: last.total_tokens as f64 / last.seconds,
            loss: last.loss,
            nll: last.nll,
            effective_share: last.effective_share,
            weight_min: last.weight_min,
            weight_max: last.weight_max,
            j: last.j,
            sft_gap: last.sft_gap,
            iw_sft_gap: last.iw_sft_gap,
            validation_nll_before: validations.first().map(|record| record.nll),
            validation_nll: validations.last().map(|record| record.nll),
            best_validation_nll: best.map(|record| record.nll),
            best_validation_step: best.map(|record| record.step),
            best_checkpoint: best_checkpoint.map(|checkpoint| checkpoint.path),
            validation_rose: before
                .zip(best)
                .is_some_and(|(before, best)| best.nll > before.nll),
        })
    }

    pub(super) fn print(&self) -> anyhow::Result<()> {
        let mut table = Table::new(["", ""]);
        let number = |value: f64| format!("{value:.4}");
        let nll = |value: Option<f64>| value.map_or("-".to_owned(), number);
        table.row(["steps".into(), self.steps.to_string()]);
        table.row(["time".into(), duration(self.seconds)]);
        table.row(["tokens/s".into(), format!("{:.0}", self.tokens_per_second)]);
        table.row(["loss, last step".into(), number(self.loss)]);
        table.row(["nll, last step".into(), number(self.nll)]);
        table.row([
            "weights, last step".into(),
            format!("{:.3} to {:.3}", self.weight_min, self.weight_max),
        ]);
        table.row([
            "effective sample".into(),
            format!("{:.1}% of the batch", 100.0 * self.effective_share),
        ]);
        if let (Some(j), Some(sft), Some(iw_sft)) = (self.j, self.sft_gap, self.iw_sft_gap) {
            table.row(["J, last step".into(), number(j)]);
            table.row(["gap to SFT's bound".into(), number(sft)]);
            table.row(["gap to iw-SFT's bound".into(), number(iw_sft)]);
        }
        table.row([
            "validation nll before".into(),
            nll(self.validation_nll_before),
        ]);
        table.row(["validation nll after".into(), nll(self.validation_nll)]);
        if let (Some(best), Some(step)) = (self.best_validation_nll, self.best_validation_step) {
            table.row([
                "validation nll at best".into(),
                format!("{best:.4} at step {step}"),
            ]);
        }
        table.row(["model".into(), self.model.display().to_string()]);
        table.print()
    }

    /// What of the validation is worth a word: that it rose from the start, or that
    /// the last step is not the best, and where the best one is.
    pub(super) fn remarks(&self) -> Vec<String> {
        let (Some(nll), Some(best), Some(step)) = (
            self.validation_nll,
            self.best_validation_nll,
            self.best_validation_step,
        ) else {
            return Vec::new();
        };
        let mut remarks = Vec::new();
        if let (true, Some(before)) = (self.validation_rose, self.validation_nll_before) {
            remarks.push(format!(
                "validation rose from the start: its NLL was {before:.4} before the first step and \
                 never as low after it; check that training and validation data are alike, or try \
                 a lower learning rate"
            ));
        }
        if step < self.steps {
            let found = match &self.best_checkpoint {
                Some(path) => format!(
                    "that model is in {}; use it as you would use {}",
                    path.display(),
                    self.model.display()
                ),
                None => "that model was not kept; `train.keep_best = true` keeps it".to_owned(),
            };
            remarks.push(format!(
                "validation was best at step {step} of {} (NLL {best:.4}, {nll:.4} at the end): {found}",
                self.steps
            ));
        }
        remarks
    }
}

/// A line of `metrics.jsonl`, as far as the summary needs it.
#[derive(serde::Deserialize)]
struct Record {
    kind: String,
    step: u64,
    nll: f64,
    seconds: f64,
    #[serde(default)]
    total_tokens: u64,
    #[serde(default)]
    loss: f64,
    #[serde(default)]
    effective_share: f64,
    #[serde(default)]
    weight_min: f64,
    #[serde(default)]
    weight_max: f64,
    j: Option<f64>,
    sft_gap: Option<f64>,
    iw_sft_gap: Option<f64>,
}
