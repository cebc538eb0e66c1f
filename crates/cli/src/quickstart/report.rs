//! The results over all seeds: a table, and in words what it shows.

use std::io::Write;

use anyhow::Context;
use iwsft_eval::statistics::{Estimate, SIGNIFICANT, paired_t_test};
use serde::Serialize;
use serde_json::Value;

use crate::table::Table;

/// The models of one seed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SeedResult {
    seed: u64,
    models: Vec<ModelResult>,
}

/// One model of one seed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ModelResult {
    model: &'static str,
    /// Share of right answers to the test problems among those drawn at
    /// temperature 1: the expected reward J that the objectives are about.
    drawn: f64,
    /// Share of right answers with the likeliest token each time.
    greedy: f64,
    /// Negative log-likelihood per token of right work on other problems.
    validation_nll: f64,
    /// Of the last step, as a share of its trajectories.
    effective_share: f64,
    /// Smallest and largest weight of the last step.
    weights: [f64; 2],
    /// How far SFT's bound on J lies below J, at the last step.
    sft_gap: Option<f64>,
    /// How far iw-SFT's bound on J lies below J, at the last step.
    iw_sft_gap: Option<f64>,
}

impl SeedResult {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            models: Vec::new(),
        }
    }

    /// Adds a model from what `iwsft train` and `iwsft eval` printed of it.
    pub(crate) fn push(
        &mut self,
        model: &'static str,
        trained: &Value,
        greedy: &Value,
        drawn: &Value,
    ) -> anyhow::Result<()> {
        let number = |value: &Value, key: &str| {
            let number = value[key].as_f64();
            number.with_context(|| format!("a step's result has no number `{key}`: {value}"))
        };
        self.models.push(ModelResult {
            model,
            drawn: number(drawn, "value")?,
            greedy: number(greedy, "value")?,
            validation_nll: number(trained, "validation_nll")?,
            effective_share: number(trained, "effective_share")?,
            weights: [
                number(trained, "weight_min")?,
                number(trained, "weight_max")?,
            ],
            sft_gap: trained["sft_gap"].as_f64(),
            iw_sft_gap: trained["iw_sft_gap"].as_f64(),
        });
        Ok(())
    }

    fn of(&self, model: &str) -> Option<&ModelResult> {
        self.models.iter().find(|result| result.model == model)
    }
}

/// A row of the table: one model over all seeds.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ModelRow {
    model: &'static str,
    seeds: usize,
    drawn: Mean,
    greedy: Mean,
    validation_nll: Mean,
    effective_share: f64,
    /// Smallest and largest of all seeds.
    weights: [f64; 2],
    sft_gap: Option<f64>,
    iw_sft_gap: Option<f64>,
}

/// A mean over seeds; one seed has no interval.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Mean {
    value: f64,
    interval: Option<[f64; 2]>,
}

impl Mean {
    fn of(values: &[f64]) -> Self {
        Self {
            value: mean(values),
            interval: Estimate::over_seeds(values).map(|estimate| estimate.interval),
        }
    }

    /// In percent, with half the width of its interval.
    fn percent(self) -> String {
        let value = format!("{:.1}%", 100.0 * self.value);
        match self.interval {
            None => value,
            Some([low, high]) => format!("{value} \u{b1} {:.1}", 50.0 * (high - low)),
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Two models over all seeds: the second's `drawn` minus the first's.
#[derive(Debug, Clone, Serialize)]
struct Pair {
    first: &'static str,
    second: &'static str,
    difference: Mean,
    /// Of the paired t-test over seeds; none for fewer than two.
    p: Option<f64>,
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

/// Below this p-value a difference is claimed: the usual one, divided by the
/// number of comparisons.
const CLAIMED: f64 = SIGNIFICANT / PAIRS.len() as f64;

/// An effective sample above this share means that the weights hardly differ.
const NEARLY_EQUAL: f64 = 0.95;

/// Everything that `results.json` holds.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    seeds: Vec<SeedResult>,
    models: Vec<ModelRow>,
    pairs: Vec<Pair>,
    findings: Vec<String>,
}

impl Report {
    pub(crate) fn new(seeds: Vec<SeedResult>) -> Self {
        let names = seeds.first().map(|seed| &seed.models[..]);
        let names = names.unwrap_or_default().iter().map(|model| model.model);
        let models: Vec<ModelRow> = names.map(|name| row(name, &seeds)).collect();
        let pairs: Vec<Pair> = PAIRS
            .iter()
            .filter_map(|&names| pair(names, &seeds))
            .collect();
        let findings = findings(seeds.len(), &models, &pairs);
        Self {
            seeds,
            models,
            pairs,
            findings,
        }
    }

    pub(crate) fn to_json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    pub(crate) fn rows(&self) -> &[ModelRow] {
        &self.models
    }

    pub(crate) fn findings(&self) -> &[String] {
        &self.findings
    }

    pub(crate) fn print(&self) -> anyhow::Result<()> {
        let mut table = Table::new([
            "model",
            "right, drawn",
            "right, greedy",
            "validation nll",
            "effective sample",
            "weights",
            "gap to SFT's bound",
            "to iw-SFT's",
        ]);
        for row in &self.models {
            let [least, most] = row.weights;
            let gap = |gap: Option<f64>| gap.map_or("-".into(), |gap| format!("{gap:.4}"));
            table.row([
                row.model.into(),
                row.drawn.percent(),
                row.greedy.percent(),
                format!("{:.4}", row.validation_nll.value),
                format!("{:.1}%", 100.0 * row.effective_share),
                format!("{least:.2} to {most:.2}"),
                gap(row.sft_gap),
                gap(row.iw_sft_gap),
            ]);
        }
        table.print()?;
        // With the table, not with the messages: they are results.
        writeln!(std::io::stdout(), "\n{}", self.findings.join("\n"))?;
        Ok(())
    }
}

fn row(name: &'static str, seeds: &[SeedResult]) -> ModelRow {
    let models: Vec<&ModelResult> = seeds.iter().filter_map(|seed| seed.of(name)).collect();
    let values = |of: fn(&ModelResult) -> f64| -> Vec<f64> {
        models.iter().map(|model| of(model)).collect()
    };
    let gap = |of: fn(&ModelResult) -> Option<f64>| {
        let gaps: Option<Vec<f64>> = models.iter().map(|model| of(model)).collect();
        gaps.map(|gaps| mean(&gaps))
    };
    let (least, most) = (values(|m| m.weights[0]), values(|m| m.weights[1]));
    ModelRow {
        model: name,
        seeds: models.len(),
        drawn: Mean::of(&values(|m| m.drawn)),
        greedy: Mean::of(&values(|m| m.greedy)),
        validation_nll: Mean::of(&values(|m| m.validation_nll)),
        effective_share: mean(&values(|m| m.effective_share)),
        weights: [
            least.into_iter().fold(f64::INFINITY, f64::min),
            most.into_iter().fold(f64::NEG_INFINITY, f64::max),
        ],
        sft_gap: gap(|m| m.sft_gap),
        iw_sft_gap: gap(|m| m.iw_sft_gap),
    }
}

fn pair([first, second]: [&'static str; 2], seeds: &[SeedResult]) -> Option<Pair> {
    let differences: Option<Vec<f64>> = seeds
        .iter()
        .map(|seed| Some(seed.of(second)?.drawn - seed.of(first)?.drawn))
        .collect();
    let differences = differences?;
    Some(Pair {
        first,
        second,
        difference: Mean::of(&differences),
        p: paired_t_test(&differences),
    })
}

/// What the figures show, whichever way, and what they do not.
fn findings(seeds: usize, models: &[ModelRow], pairs: &[Pair]) -> Vec<String> {
    let mut findings: Vec<String> = pairs.iter().map(|pair| finding(pair, seeds)).collect();
    let weighted = models.iter().filter(|row| row.model.starts_with("iw-"));
    findings.extend(weighted.map(|row| {
        let [least, most] = row.weights;
        let weights = format!(
            "{}'s weights ended between {least:.2} and {most:.2}, an effective sample of {:.1}%",
            row.model,
            100.0 * row.effective_share
        );
        if row.effective_share > NEARLY_EQUAL {
            format!("{weights}: nearly equal, so that it trains almost as it would without them.")
        } else {
            format!("{weights}.")
        }
    }));
    findings
}

fn finding(pair: &Pair, seeds: usize) -> String {
    let (a, b) = (pair.first, pair.second);
    let points = 100.0 * pair.difference.value;
    let (Some([low, high]), Some(p)) = (pair.difference.interval, pair.p) else {
        return format!(
            "{b} and {a}: {points:+.1} points; one seed does not tell whether they differ (--seeds 3 does more)."
        );
    };
    let [low, high] = [low, high].map(|bound| 100.0 * bound);
    let p = if p < 0.001 {
        "p < 0.001".to_owned()
    } else {
        format!("p = {p:.3}")
    };
    let evidence = format!(
        "{points:+.1} points over {seeds} seeds, 95% interval {low:+.1} to {high:+.1}, {p}"
    );
    match pair.p {
        Some(p) if p < CLAIMED && points > 0.0 => format!("{b} is better than {a}: {evidence}."),
        Some(p) if p < CLAIMED => format!("{b} is worse than {a}: {evidence}."),
        _ => format!("{b} and {a}: no difference can be told: {evidence}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Three seeds of three models, from their shares of right answers.
    fn report(base: [f64; 3], sft: [f64; 3], iw_sft: [f64; 3], effective_share: f64) -> Report {
        let trained = json!({
            "validation_nll": 0.5, "effective_share": effective_share,
            "weight_min": 0.5, "weight_max": 2.0, "sft_gap": 0.25, "iw_sft_gap": null,
        });
        let seeds = (0..3).map(|seed| {
            let mut result = SeedResult::new(seed);
            for (name, drawn) in [("base", base), ("sft", sft), ("iw-sft", iw_sft)] {
                let value = json!({ "value": drawn[seed as usize] });
                result.push(name, &trained, &value, &value).unwrap();
            }
            result
        });
        Report::new(seeds.collect())
    }

    #[test]
    fn a_difference_is_only_claimed_where_seeds_agree_and_in_its_direction() {
        let base = [0.500, 0.510, 0.505];
        let sft = [0.800, 0.812, 0.803];
        let report = report(base, sft, [0.81, 0.79, 0.805], 0.5);
        let said = report.findings();
        assert!(
            said[0].starts_with("sft is better than base: +30.0 points"),
            "{said:?}"
        );
        assert!(
            said[2].starts_with("iw-sft and sft: no difference can be told"),
            "{said:?}"
        );
        assert_eq!(said.len(), 4);
        let worse = self::report(sft, base, sft, 0.5);
        assert!(worse.findings()[0].starts_with("sft is worse than base: -30.0"));
    }

    #[test]
    fn a_single_seed_claims_nothing() {
        let mut report = report([0.5; 3], [0.9; 3], [0.9; 3], 0.5);
        report.seeds.truncate(1);
        let report = Report::new(report.seeds);
        assert!(report.findings()[0].contains("one seed does not tell"));
        assert!(report.rows()[0].drawn.interval.is_none());
    }

    #[test]
    fn weights_that_hardly_differ_are_called_so() {
        let of = |share| report([0.5; 3], [0.6; 3], [0.7; 3], share).findings()[3].clone();
        assert!(of(0.99).contains("nearly equal"));
        assert!(!of(0.5).contains("nearly equal"));
    }

    #[test]
    fn a_gap_is_shown_where_every_seed_has_it() {
        let report = report([0.5; 3], [0.6; 3], [0.7; 3], 0.5);
        assert_eq!(report.rows()[1].sft_gap, Some(0.25));
        assert_eq!(report.rows()[1].iw_sft_gap, None);
    }
}
