//! What all seeds of a run come to: `results.json`, and a table.

use iwsft_control::make;
use iwsft_eval::statistics::Estimate;
use serde_json::{Map, Value, json};

use super::conclusion::SeedResult;
use super::evaluation::Figure;
use super::recipe::ControlRecipe;
use crate::progress::say;
use crate::table::Table;

/// Means over seeds, and each seed.
pub(super) fn summarise(
    recipe: &ControlRecipe,
    left_out_steps: usize,
    results: &[SeedResult],
) -> Value {
    let figure = |of: &dyn Fn(&SeedResult) -> Option<Figure>| -> Value {
        let figures: Option<Vec<Figure>> = results.iter().map(of).collect();
        let Some(figures) = figures else {
            return Value::Null;
        };
        let estimate = |values: Vec<f64>| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let interval = Estimate::over_seeds(&values).map(|found| found.interval);
            json!({"value": mean, "interval": interval})
        };
        let mut fields = Map::new();
        let returns = figures.iter().map(|figure| figure.mean_return).collect();
        fields.insert("return".into(), estimate(returns));
        let scores: Option<Vec<f64>> = figures.iter().map(|figure| figure.score).collect();
        fields.insert("score".into(), scores.map_or(Value::Null, estimate));
        fields.into()
    };
    json!({
        "environment": recipe.environment.name,
        "mujoco": make(&recipe.environment.name)
            .ok()
            .and_then(|environment| super::mujoco_version(environment.spec())),
        "method": recipe.method(),
        "episodes": recipe.environment.final_episodes,
        "run": recipe.run_folder().display().to_string(),
        "start": figure(&|result| result.start),
        "last": figure(&|result| Some(result.last)),
        "best": figure(&|result| Some(result.best)),
        "left_out_steps": left_out_steps,
        "seeds": results,
    })
}

pub(super) fn print(summary: &Value) -> anyhow::Result<()> {
    let mut table = Table::new(["policy", "return", "95% over seeds", "score", "95%"]);
    let number = |value: &Value| value.as_f64().map(|value| format!("{value:.1}"));
    let cells = |figure: &Value| {
        let mean = number(&figure["value"]).unwrap_or("-".into());
        let ends = [0, 1].map(|end| number(&figure["interval"][end]));
        let interval = match ends {
            [Some(low), Some(high)] => format!("{low} to {high}"),
            _ => "-".into(),
        };
        [mean, interval]
    };
    for (key, name) in [("start", "start"), ("last", "LAST"), ("best", "BEST")] {
        if !summary[key].is_null() {
            let [mean, interval] = cells(&summary[key]["return"]);
            let [score, score_interval] = cells(&summary[key]["score"]);
            table.row([name.into(), mean, interval, score, score_interval]);
        }
    }
    table.print()?;
    if let Some(steps @ 1..) = summary["left_out_steps"].as_u64() {
        say(&format!(
            "{steps} steps of the data had no end and were left out (data.tail = \"keep\" keeps them)"
        ));
    }
    let run = summary["run"].as_str().unwrap_or_default();
    say(&format!("policies: {run}/seed-*/model"));
    Ok(())
}
