//! A run in one row.

use serde::Serialize;

use super::curve::last_tenth;
use super::markup::{maybe, number, percent};
use super::run::{Run, Step};
use crate::progress::duration;
use crate::table::Table;

/// What a run comes to. `end` means the mean over the last tenth of its steps.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    pub(super) run: String,
    pub(super) objective: String,
    pub(super) steps: u64,
    pub(super) epochs: Option<f64>,
    pub(super) seconds: Option<f64>,
    pub(super) tokens: Option<u64>,
    pub(super) tokens_per_second: Option<f64>,
    /// Of a run on rollouts.
    pub(super) tokens_sampled: Option<u64>,
    pub(super) reward_first: Option<f64>,
    pub(super) reward_end: Option<f64>,
    pub(super) kl_end: Option<f64>,
    pub(super) nll_end: Option<f64>,
    pub(super) validation_nll_before: Option<f64>,
    pub(super) validation_nll: Option<f64>,
    pub(super) validation_nll_best: Option<f64>,
    pub(super) j_end: Option<f64>,
    pub(super) sft_bound_end: Option<f64>,
    pub(super) iw_sft_bound_end: Option<f64>,
    pub(super) sft_gap_end: Option<f64>,
    pub(super) iw_sft_gap_end: Option<f64>,
    pub(super) effective_share_end: Option<f64>,
    pub(super) weights: [Option<f64>; 2],
    pub(super) clipped_end: Option<f64>,
    pub(super) peak_memory: Option<u64>,
}

impl Summary {
    pub(super) fn of(run: &Run) -> Self {
        let end = |value: fn(&Step) -> Option<f64>| last_tenth(&run.curve(value));
        let last = run.steps.last().cloned().unwrap_or_default();
        let validations = || run.validations.iter().filter_map(|each| each.nll);
        let trained = run.validations.iter().filter(|each| each.step > 0);
        let extreme = |value: fn(&Step) -> Option<f64>, pick: fn(f64, f64) -> f64| {
            let values = run.curve(value).into_iter().map(|[_, y]| y);
            values.reduce(pick)
        };
        let seconds = last.seconds.filter(|seconds| *seconds > 0.0);
        Self {
            run: run.name.clone(),
            objective: run.objective(),
            steps: last.step,
            epochs: last.epoch,
            seconds,
            tokens: last.total_tokens,
            tokens_per_second: last
                .total_tokens
                .and_then(|tokens| Some(tokens as f64 / seconds?)),
            tokens_sampled: run.rollouts.last().and_then(|round| round.total_tokens),
            reward_first: run.rollouts.first().and_then(|round| round.reward),
            reward_end: last_tenth(&run.rollouts_curve(|round| round.reward)),
            kl_end: end(|step| step.kl),
            nll_end: end(|step| step.nll),
            validation_nll_before: run
                .validations
                .iter()
                .find(|each| each.step == 0)
                .and_then(|each| each.nll),
            validation_nll: validations().next_back(),
            validation_nll_best: trained.filter_map(|each| each.nll).reduce(f64::min),
            j_end: end(|step| step.j),
            sft_bound_end: end(|step| step.sft_bound),
            iw_sft_bound_end: end(|step| step.iw_sft_bound),
            sft_gap_end: end(|step| step.sft_gap),
            iw_sft_gap_end: end(|step| step.iw_sft_gap),
            effective_share_end: end(|step| step.effective_share),
            weights: [
                extreme(|step| step.weight_min, f64::min),
                extreme(|step| step.weight_max, f64::max),
            ],
            clipped_end: end(|step| step.clipped),
            peak_memory: run
                .sessions
                .iter()
                .filter_map(|each| each.peak_memory)
                .max(),
        }
    }

    /// Least and greatest weight of the whole run.
    pub(super) fn weight_range(&self) -> String {
        match self.weights {
            [Some(least), Some(most)] => format!("{} to {}", number(least), number(most)),
            _ => "–".to_owned(),
        }
    }

    /// A gap; what rounding leaves is none.
    pub(super) fn gap(gap: Option<f64>) -> String {
        maybe(gap.map(|gap| if gap.abs() < 1e-6 { 0.0 } else { gap }))
    }

    pub(super) fn time(&self) -> String {
        self.seconds.map_or_else(|| "–".to_owned(), duration)
    }
}

/// The summaries as a table on standard output.
pub(super) fn print(summaries: &[Summary]) -> anyhow::Result<()> {
    let mut table = Table::new([
        "run",
        "objective",
        "steps",
        "time",
        "nll",
        "validation nll",
        "J",
        "sft gap",
        "iw-sft gap",
        "effective sample",
        "weights",
    ]);
    for summary in summaries {
        table.row([
            summary.run.clone(),
            summary.objective.clone(),
            summary.steps.to_string(),
            summary.time(),
            maybe(summary.nll_end),
            maybe(summary.validation_nll),
            maybe(summary.j_end),
            Summary::gap(summary.sft_gap_end),
            Summary::gap(summary.iw_sft_gap_end),
            percent(summary.effective_share_end),
            summary.weight_range(),
        ]);
    }
    table.print()
}
