//! The table of a quickstart, and in words what its figures show.

use serde::Serialize;

use super::comparison::{Comparison, wilson};
use super::traces::Trace;
use crate::progress::duration;
use crate::table::Table;
use crate::train::Summary;

/// A model: a row of the table.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ModelRow {
    pub(crate) model: &'static str,
    /// Test problems, and how many of them were answered right.
    pub(crate) problems: usize,
    pub(crate) right: usize,
    pub(crate) accuracy: f64,
    /// Wilson's 95 % interval of the accuracy.
    pub(crate) interval: [f64; 2],
    /// Mean score of the answers.
    pub(crate) score: f64,
    /// Negative log-likelihood per token of right work on other problems.
    pub(crate) validation_nll: Option<f64>,
    /// Of the last step, as a share of its trajectories.
    pub(crate) effective_share: f64,
    /// Smallest and largest weight of the last step.
    pub(crate) weights: [f64; 2],
    pub(crate) steps: u64,
    /// Of the training steps.
    pub(crate) seconds: f64,
}

impl ModelRow {
    pub(crate) fn new(model: &'static str, answers: &[Trace], summary: &Summary) -> Self {
        let (right, problems) = (
            rights(answers).iter().filter(|r| **r).count(),
            answers.len(),
        );
        let score: f64 = answers.iter().map(|answer| answer.score).sum();
        Self {
            model,
            problems,
            right,
            accuracy: right as f64 / problems as f64,
            interval: wilson(right, problems),
            score: score / problems as f64,
            validation_nll: summary.validation_nll,
            effective_share: summary.effective_share,
            weights: [summary.weight_min, summary.weight_max],
            steps: summary.steps,
            seconds: summary.seconds,
        }
    }
}

/// Which answers are right.
pub(crate) fn rights(answers: &[Trace]) -> Vec<bool> {
    answers.iter().map(|answer| answer.reward == 1.0).collect()
}

/// What each model is compared with: fine-tuned models with the base model,
/// importance-weighted ones with their plain counterparts.
const PAIRS: [[&str; 2]; 6] = [
    ["base", "sft"],
    ["base", "iw-sft"],
    ["base", "sft-q"],
    ["base", "iw-sft-q"],
    ["sft", "iw-sft"],
    ["sft-q", "iw-sft-q"],
];

/// The comparisons between the models that are there.
pub(crate) fn comparisons(answers: &[(&'static str, Vec<bool>)]) -> Vec<Comparison> {
    let of = |name| answers.iter().find(|(model, _)| *model == name);
    PAIRS
        .iter()
        .filter_map(|[first, second]| {
            let ((first, a), (second, b)) = (of(*first)?, of(*second)?);
            Some(Comparison::new([first, second], [a, b]))
        })
        .collect()
}

pub(crate) fn print_table(rows: &[ModelRow]) -> anyhow::Result<()> {
    let mut table = Table::new([
        "model",
        "right answers",
        "95% interval",
        "validation nll",
        "effective sample",
        "weights",
        "trained",
    ]);
    for row in rows {
        let [low, high] = row.interval.map(|bound| 100.0 * bound);
        let [least, most] = row.weights;
        table.row([
            row.model.into(),
            format!("{:.1}%", 100.0 * row.accuracy),
            format!("{low:.1}% to {high:.1}%"),
            row.validation_nll
                .map_or("-".into(), |nll| format!("{nll:.4}")),
            format!("{:.1}%", 100.0 * row.effective_share),
            format!("{least:.3} to {most:.3}"),
            duration(row.seconds),
        ]);
    }
    table.print()
}

/// An effective sample above this share means that the weights hardly differ.
const NEARLY_EQUAL: f64 = 0.95;

/// What the figures show, whichever way, and what they do not.
pub(crate) fn findings(rows: &[ModelRow], comparisons: &[Comparison]) -> Vec<String> {
    let mut findings: Vec<String> = comparisons
        .iter()
        .filter_map(|comparison| {
            let of = |name| rows.iter().find(|row| row.model == name);
            Some(finding(
                comparison,
                of(comparison.first)?,
                of(comparison.second)?,
            ))
        })
        .collect();
    let weighted = rows.iter().filter(|row| row.model.starts_with("iw-"));
    findings.extend(weighted.map(|row| {
        let [least, most] = row.weights;
        let weights = format!(
            "{}'s weights ended between {least:.3} and {most:.3}, an effective sample of {:.1}%",
            row.model,
            100.0 * row.effective_share
        );
        if row.effective_share > NEARLY_EQUAL {
            format!("{weights}: nearly equal, so that it trains almost as it would without them.")
        } else {
            format!("{weights}.")
        }
    }));
    findings.push("All of this is one seed; try others with --seed.".to_owned());
    findings
}

fn finding(comparison: &Comparison, first: &ModelRow, second: &ModelRow) -> String {
    let Comparison {
        only_first,
        only_second,
        p,
        ..
    } = comparison;
    let (a, b, n) = (first.model, second.model, first.problems);
    let (share_a, share_b) = (100.0 * first.accuracy, 100.0 * second.accuracy);
    let p = if *p < 0.001 {
        "p < 0.001".to_owned()
    } else {
        format!("p = {p:.3}")
    };
    let evidence = format!(
        "{only_second} of {n} problems only {b} gets right, {only_first} only {a}; sign test {p}"
    );
    if !comparison.differs() {
        format!("{b} and {a}: no difference can be told on {n} problems ({evidence}).")
    } else if second.right > first.right {
        format!("{b} is better than {a}: {share_b:.1}% against {share_a:.1}% ({evidence}).")
    } else {
        format!("{b} is worse than {a}: {share_b:.1}% against {share_a:.1}% ({evidence}).")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(model: &'static str, right: usize, effective_share: f64) -> ModelRow {
        ModelRow {
            model,
            problems: 100,
            right,
            accuracy: right as f64 / 100.0,
            interval: wilson(right, 100),
            score: 0.5,
            validation_nll: None,
            effective_share,
            weights: [0.5, 2.0],
            steps: 1,
            seconds: 1.0,
        }
    }

    fn said(rights: [usize; 3], effective_share: f64) -> Vec<String> {
        let names = ["base", "sft", "iw-sft"];
        let rows: Vec<_> = std::iter::zip(names, rights)
            .map(|(name, right)| row(name, right, effective_share))
            .collect();
        // Each model gets the first so many problems right.
        let answers: Vec<_> = std::iter::zip(names, rights)
            .map(|(name, right)| (name, (0..100).map(|i| i < right).collect()))
            .collect();
        findings(&rows, &comparisons(&answers))
    }

    #[test]
    fn a_difference_is_only_claimed_where_there_is_evidence_and_in_its_direction() {
        let said = said([50, 80, 78], 0.5);
        assert!(said[0].starts_with("sft is better than base: 80.0% against 50.0%"));
        assert!(said[1].starts_with("iw-sft is better than base"));
        assert!(said[2].starts_with("iw-sft and sft: no difference can be told on 100 problems"));
        assert_eq!(said.len(), 5);
        let worse = self::said([80, 50, 80], 0.5);
        assert!(worse[0].starts_with("sft is worse than base"), "{worse:?}");
        assert!(worse[2].starts_with("iw-sft is better than sft"));
    }

    #[test]
    fn weights_that_hardly_differ_are_called_so() {
        let of = |share| said([50, 50, 50], share)[3].clone();
        assert!(of(0.99).contains("nearly equal"));
        assert!(!of(0.5).contains("nearly equal"));
    }
}
