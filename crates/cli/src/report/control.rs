//! Runs of `iwsft control train`: scores and learning curves over seeds.

use std::fs;
use std::path::{Path, PathBuf};

use iwsft_eval::statistics::Estimate;
use serde::Deserialize;
use serde_json::{Value, json};

use super::axis::Axis;
use super::evaluation::{self, Evaluation, Results};
use super::plot::{Figure, Plot};
use super::run::{self, Run};
use crate::mistake::Mistake;
use crate::table::{Table, print_json};

/// A run of several seeds.
pub(super) struct ControlRun {
    pub(super) name: String,
    path: PathBuf,
    /// `[seed]`, each a curve of step and figure.
    curves: Vec<Vec<[f64; 2]>>,
    /// What the figures are: `score` where D4RL knows the task, else `return`.
    metric: &'static str,
    /// `results.json`; null while the run goes on.
    results: Value,
}

/// A line of a seed's log about an evaluation.
#[derive(Deserialize)]
struct Line {
    kind: String,
    step: u64,
    #[serde(default)]
    metrics: Vec<Metric>,
}

#[derive(Deserialize)]
struct Metric {
    metric: String,
    value: f64,
}

/// The logs of the seeds in a folder, in their order.
pub(super) fn logs(folder: &Path) -> Vec<PathBuf> {
    let seed = |path: &Path| -> Option<u64> {
        let name = path.file_name()?.to_str()?;
        name.strip_prefix("seed-")?.parse().ok()
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut seeds: Vec<(u64, PathBuf)> = entries
        .filter_map(|entry| Some((seed(&entry.path())?, entry.path().join("training"))))
        .filter(|(_, training)| training.join("metrics.jsonl").is_file())
        .collect();
    seeds.sort();
    seeds.into_iter().map(|(_, training)| training).collect()
}

impl ControlRun {
    /// Reads the run in `folder`.
    pub(super) fn read(folder: &Path) -> anyhow::Result<Self> {
        let curves: Vec<_> = logs(folder).iter().map(|log| evaluations(log)).collect();
        let results = fs::read(folder.join("results.json"))
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or(Value::Null);
        let has_scores = curves.iter().flatten().all(|(_, _, score)| score.is_some());
        let curves: Vec<Vec<[f64; 2]>> = curves
            .into_iter()
            .map(|curve| {
                let points = curve.into_iter();
                let figure = |(step, earned, score): (u64, f64, Option<f64>)| {
                    [step as f64, score.filter(|_| has_scores).unwrap_or(earned)]
                };
                points.map(figure).collect()
            })
            .collect();
        if curves.iter().all(Vec::is_empty) {
            return Err(Mistake::new(format!(
                "{}: no evaluation is logged yet; wait until the run has made one, or leave it out",
                folder.display()
            ))
            .into());
        }
        Ok(Self {
            name: run::name(folder),
            path: folder.to_owned(),
            curves,
            metric: if has_scores { "score" } else { "return" },
            results,
        })
    }

    /// What the log of the first seed tells of bound and weights, where it does: that
    /// of a baseline does not.
    pub(super) fn training(&self) -> Option<Run> {
        let mut found = Run::read(logs(&self.path).first()?).ok()?;
        found.name.clone_from(&self.name);
        found.recipe = run::recipe(&self.path).ok()?;
        Some(found)
    }

    /// LAST and BEST with their intervals over seeds.
    fn evaluations(&self) -> Vec<Evaluation> {
        let environment = self.results["environment"].as_str().unwrap_or_default();
        let named = ["last", "best"].map(|which| {
            json!({
                "name": environment,
                "metric": format!("{} {}", which.to_uppercase(), self.metric),
                "value": self.results[which][self.metric]["value"],
                "interval": self.results[which][self.metric]["interval"],
            })
        });
        evaluation::find(&named.to_vec().into())
    }

    /// Each step that all seeds have reached, with the interval's lower end, the mean and
    /// its upper end.
    fn mean(&self) -> Vec<(f64, [f64; 3])> {
        let seeds = || self.curves.iter().filter(|curve| !curve.is_empty());
        let Some(first) = seeds().next() else {
            return Vec::new();
        };
        let at = |step: f64| -> Option<(f64, [f64; 3])> {
            let values = seeds()
                .map(|curve| curve.iter().find(|[x, _]| *x == step).map(|[_, y]| *y))
                .collect::<Option<Vec<f64>>>()?;
            let found = Estimate::over_seeds(&values).map(|found| {
                let [low, high] = found.interval;
                [low, found.value, high]
            });
            // One seed has no interval.
            Some((step, found.unwrap_or([values[0]; 3])))
        };
        first.iter().filter_map(|[step, _]| at(*step)).collect()
    }
}

/// Step, return and score of each evaluation in a log.
fn evaluations(training: &Path) -> Vec<(u64, f64, Option<f64>)> {
    let text = fs::read_to_string(training.join("metrics.jsonl")).unwrap_or_default();
    let lines = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Line>(line).ok());
    lines
        .filter(|line| line.kind == "eval")
        .filter_map(|line| {
            let find = |name: &str| {
                let found = line.metrics.iter().find(|each| each.metric == name);
                found.map(|each| each.value)
            };
            Some((line.step, find("return")?, find("score")))
        })
        .collect()
}

/// LAST and BEST of every run, side by side; `None` while none is finished.
pub(super) fn scores(controls: &[ControlRun]) -> Option<Figure> {
    let results: Vec<Results> = controls
        .iter()
        .enumerate()
        .map(|(index, run)| Results {
            name: run.name.clone(),
            class: format!("r{index}"),
            evaluations: run.evaluations(),
        })
        .collect();
    let mut figure = evaluation::figure(&[], &results)?;
    figure.id = "scores";
    figure.title = "Scores";
    figure.says = "LAST is the policy behind the last step, BEST that of the best evaluation in \
                   training; both measured on other episodes. Bars are 95% intervals over seeds."
        .to_owned();
    Some(figure)
}

/// How the policies fared while they learnt.
pub(super) fn curves(controls: &[ControlRun]) -> Figure {
    let means: Vec<Vec<(f64, [f64; 3])>> = controls.iter().map(ControlRun::mean).collect();
    let all = || means.iter().flatten();
    let steps = all().map(|(step, _)| *step);
    let last = steps.fold(1.0, f64::max);
    let heights = all().flat_map(|(_, found)| *found);
    let (x, y) = (Axis::exactly(0.0, last), Axis::around(heights, false));
    let mut plot = Plot::new(
        x,
        y,
        "return or score of the policies over steps of training",
    );
    for (index, (run, mean)) in controls.iter().zip(&means).enumerate() {
        let class = format!("r{index}");
        let [lower, points, upper] = [0, 1, 2].map(|which: usize| -> Vec<[f64; 2]> {
            let heights = mean.iter().map(|(step, found)| [*step, found[which]]);
            heights.collect()
        });
        plot.band(&format!("seeds {class}"), &upper, &lower);
        plot.line(&class, &points);
        if let Some([_, y]) = points.last() {
            plot.end_label(&class, *y, run.name.clone());
        }
        plot.readout(&class, &run.name, &points);
    }
    let is_scored = controls.iter().all(|run| run.metric == "score");
    Figure {
        id: "learning",
        title: if is_scored {
            "Normalised score over training"
        } else {
            "Return over training"
        },
        says: "Mean over seeds of the scheduled evaluations, with its 95% interval. Steps of \
               different methods are different work."
            .to_owned(),
        body: plot.html(),
    }
}

/// The runs as a table, or as lines of JSON.
pub(super) fn print(controls: &[ControlRun], as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return controls.iter().try_for_each(|run| {
            print_json(&json!({"run": run.name, "seeds": run.curves.len(), "results": run.results}))
        });
    }
    let mut table = Table::new(["run", "seeds", "LAST", "95%", "BEST", "95%"]);
    for run in controls {
        let mut cells = vec![run.name.clone(), run.curves.len().to_string()];
        let found = run.evaluations();
        for which in ["LAST", "BEST"] {
            let this = found.iter().find(|each| each.metric.starts_with(which));
            cells.push(this.map_or("-".into(), |each| format!("{:.1}", each.value)));
            let interval = this.and_then(|each| each.interval);
            cells.push(interval.map_or("-".into(), |[a, b]| format!("{a:.1} to {b:.1}")));
        }
        let row: [String; 6] = cells.try_into().unwrap_or_default();
        table.row(row);
    }
    table.print()
}
