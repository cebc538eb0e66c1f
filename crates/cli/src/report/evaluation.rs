//! Results of benchmarks, with their intervals.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::axis::{Axis, LENGTH};
use super::markup::{escape, number};
use super::plot::Figure;
use super::run::{Run, name};
use crate::mistake::Mistake;

/// One figure of one benchmark.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Evaluation {
    /// Of the benchmark.
    pub(super) name: String,
    pub(super) metric: String,
    /// Steps made before it, where it was measured in training.
    pub(super) step: Option<u64>,
    pub(super) value: f64,
    pub(super) interval: Option<[f64; 2]>,
    pub(super) problems: Option<u64>,
}

/// A folder that `iwsft eval` wrote.
pub(super) struct Results {
    pub(super) name: String,
    /// Of its colour.
    pub(super) class: String,
    pub(super) evaluations: Vec<Evaluation>,
}

impl Results {
    pub(super) fn read(folder: &Path) -> anyhow::Result<Self> {
        let file = folder.join("results.json");
        let refuse = |reason: String| Mistake::new(format!("{}: {reason}", file.display()));
        let text = std::fs::read_to_string(&file).map_err(|error| {
            refuse(format!(
                "{error}; expected the folder that `iwsft eval` wrote"
            ))
        })?;
        let value: Value =
            serde_json::from_str(&text).map_err(|error| refuse(format!("not JSON: {error}")))?;
        let evaluations = find(&value);
        if evaluations.is_empty() {
            return Err(refuse("no figure with a `value` and an `interval` in it".into()).into());
        }
        Ok(Self {
            name: name(folder),
            class: "other".to_owned(),
            evaluations,
        })
    }
}

/// Results that lie in a run's own folder, and those in an `eval` folder beside its
/// `runs` that are of its model.
pub(super) fn results(run: &Path) -> Vec<Evaluation> {
    let read = |path: &Path| -> Option<Value> {
        serde_json::from_slice(&std::fs::read(path.join("results.json")).ok()?).ok()
    };
    let mut evaluations = Vec::new();
    for value in [run.to_owned()].iter().chain(&folders_in(run)) {
        evaluations.extend(read(value).iter().flat_map(find));
    }
    let model = Path::new(&name(run)).join("model");
    let beside = run.parent().and_then(Path::parent);
    for folder in beside
        .map(|folder| folders_in(&folder.join("eval")))
        .unwrap_or_default()
    {
        let results = read(&folder).filter(|results| {
            let of = results["model"].as_str();
            of.is_some_and(|of| Path::new(of).ends_with(&model))
        });
        evaluations.extend(results.iter().flat_map(find));
    }
    evaluations
}

/// The folders in a folder, in order; none where it cannot be read.
fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let inside = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = inside
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

/// Every object inside `value` that has a number `value` and an `interval`.
/// What it lacks of name, metric, step and number of problems is taken from
/// the objects around it, and from its own key.
pub(super) fn find(value: &Value) -> Vec<Evaluation> {
    let mut found = Vec::new();
    search(value, "", &Evaluation::default(), &mut found);
    found
}

fn search(value: &Value, key: &str, around: &Evaluation, found: &mut Vec<Evaluation>) {
    match value {
        Value::Array(values) => values
            .iter()
            .for_each(|value| search(value, key, around, found)),
        Value::Object(object) => {
            let text = |keys: [&str; 2]| {
                let values = keys.iter().filter_map(|key| object.get(*key));
                values.filter_map(Value::as_str).map(str::to_owned).next()
            };
            let whole = |key| object.get(key).and_then(Value::as_u64);
            let this = Evaluation {
                name: text(["benchmark", "name"]).unwrap_or_else(|| around.name.clone()),
                metric: text(["metric", "measure"]).unwrap_or_else(|| key.to_owned()),
                step: whole("step").or(around.step),
                problems: whole("problems").or(around.problems),
                ..Evaluation::default()
            };
            let interval = object.get("interval").and_then(interval);
            if let (Some(value), Some(interval)) =
                (object.get("value").and_then(Value::as_f64), interval)
            {
                found.push(Evaluation {
                    value,
                    interval: Some(interval),
                    ..this
                });
                return;
            }
            for (key, value) in object {
                search(value, key, &this, found);
            }
        }
        _ => {}
    }
}

fn interval(value: &Value) -> Option<[f64; 2]> {
    Some([value.get(0)?.as_f64()?, value.get(1)?.as_f64()?])
}

/// A row of the figure: who, in which colour, and what.
struct Row<'a> {
    model: &'a str,
    class: String,
    evaluation: &'a Evaluation,
}

/// Estimates and intervals, benchmark by benchmark; `None` without any.
pub(super) fn figure(runs: &[Run], results: &[Results]) -> Option<Figure> {
    let of_runs = runs
        .iter()
        .enumerate()
        .map(|(index, run)| (&run.name, format!("r{index}"), latest(&run.evaluations)));
    let of_results = results.iter().map(|results| {
        (
            &results.name,
            results.class.clone(),
            results.evaluations.iter().collect(),
        )
    });
    let models: Vec<(&String, String, Vec<&Evaluation>)> = of_runs.chain(of_results).collect();
    let mut groups: Vec<(String, Vec<Row<'_>>)> = Vec::new();
    for (model, class, evaluations) in &models {
        for evaluation in evaluations {
            let title = format!("{}, {}", evaluation.name, evaluation.metric);
            let row = Row {
                model,
                class: class.clone(),
                evaluation,
            };
            match groups.iter_mut().find(|(name, _)| *name == title) {
                Some((_, rows)) => rows.push(row),
                None => groups.push((title, vec![row])),
            }
        }
    }
    if groups.is_empty() {
        return None;
    }
    let body = groups
        .iter()
        .map(|(title, rows)| group(title, rows))
        .collect();
    Some(Figure {
        id: "evaluation",
        title: "Evaluation",
        says: "Dots are what was measured, bars the 95% intervals: where two bars overlap widely, \
               chance alone could explain the difference."
            .to_owned(),
        body,
    })
}

/// Of what was measured several times in training, the last.
fn latest(evaluations: &[Evaluation]) -> Vec<&Evaluation> {
    let same = |a: &Evaluation, b: &Evaluation| a.name == b.name && a.metric == b.metric;
    let mut kept: Vec<&Evaluation> = Vec::new();
    for evaluation in evaluations {
        match kept.iter_mut().find(|other| same(other, evaluation)) {
            Some(other) if other.step <= evaluation.step => *other = evaluation,
            Some(_) => {}
            None => kept.push(evaluation),
        }
    }
    kept
}

fn group(title: &str, rows: &[Row<'_>]) -> String {
    let ends = rows.iter().flat_map(|row| {
        let value = row.evaluation.value;
        let [low, high] = row.evaluation.interval.unwrap_or([value, value]);
        [low, value, high]
    });
    let axis = Axis::around(ends, false);
    let mut html = format!("<h4>{}</h4>\n<table class=\"intervals\">\n", escape(title));
    for Row {
        model,
        class,
        evaluation,
    } in rows
    {
        let Evaluation {
            value,
            interval,
            step,
            problems,
            ..
        } = evaluation;
        let place = |value: f64| axis.at(value) / LENGTH * 100.0;
        let [low, high] = interval.unwrap_or([*value, *value]);
        let mut about = problems.map_or(String::new(), |count| format!("{count} problems"));
        if let Some(step) = step {
            about += &format!("{}step {step}", if about.is_empty() { "" } else { ", " });
        }
        let _ = writeln!(
            html,
            "<tr class=\"{class}\"><th scope=\"row\"><i class=\"chip {class}\"></i>{model}</th>\
             <td class=\"num\">{value}</td><td class=\"num\">{low_text} to {high_text}</td>\
             <td class=\"range\"><span class=\"bar {class}\" style=\"left:{left:.1}%;width:{width:.1}%\"></span>\
             <span class=\"dot {class}\" style=\"left:{dot:.1}%\"></span></td><td class=\"about\">{about}</td></tr>",
            model = escape(model),
            value = number(*value),
            low_text = number(low),
            high_text = number(high),
            left = place(low),
            width = (place(high) - place(low)).max(0.0),
            dot = place(*value),
        );
    }
    html += "</table>\n";
    html
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn estimates_are_found_wherever_they_stand() {
        let estimate = json!({"value": 0.5, "interval": [0.4, 0.6], "method": "wilson"});
        let expected = Evaluation {
            name: "gsm8k".into(),
            metric: "avg@4".into(),
            step: None,
            value: 0.5,
            interval: Some([0.4, 0.6]),
            problems: Some(200),
        };
        let nested = json!({"benchmarks": [
            {"benchmark": "gsm8k", "problems": 200, "metrics": {"avg@4": estimate}}
        ]});
        assert_eq!(find(&nested), std::slice::from_ref(&expected));
        let flat = json!({"kind": "eval", "step": 7, "name": "gsm8k", "metric": "avg@4",
                          "problems": 200, "value": 0.5, "interval": [0.4, 0.6]});
        assert_eq!(
            find(&flat),
            [Evaluation {
                step: Some(7),
                ..expected
            }]
        );
        for nothing in [
            json!(null),
            json!({"value": 1}),
            json!([[{"interval": [0, 1]}]]),
        ] {
            assert_eq!(find(&nothing), []);
        }
    }

    #[test]
    fn of_repeated_measurements_the_last_step_counts() {
        let at = |step, value| Evaluation {
            step,
            value,
            ..Evaluation::default()
        };
        let all = [at(Some(1), 0.1), at(Some(9), 0.9), at(Some(5), 0.5)];
        assert_eq!(latest(&all), [&all[1]]);
    }
}
