//! What is said of graded rows.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use anstyle::Style;
use iwsft_eval::grade::{Reason, Verdict};
use iwsft_eval::statistics::wilson;
use serde::Serialize;
use serde_json::{Value, json};

use super::rows::Row;
use crate::table::{Table, print_json};
use crate::terminal;

/// Characters of a completion's end that are shown.
const SHOWN: usize = 300;

/// Counts of graded rows.
pub(super) struct Report {
    pub(super) rows: usize,
    /// Sum of the rewards.
    rewards: f64,
    /// Of rules: rows by the rule that found their answer.
    found: Option<BTreeMap<String, usize>>,
    limited: usize,
    pub(super) wrong: Vec<Wrong>,
}

/// A wrong answer, to look at.
#[derive(Serialize)]
pub(super) struct Wrong {
    at: String,
    gold: String,
    extracted: Option<String>,
    reason: Reason,
    /// The end of the completion.
    completion: String,
}

impl Wrong {
    pub(super) fn new(row: &Row, verdict: &Verdict) -> Self {
        let text = row.completion.trim_end();
        let start = text.char_indices().rev().nth(SHOWN).map_or(0, |(at, _)| at);
        Self {
            at: row.at.to_string(),
            gold: row.gold.clone(),
            extracted: verdict.extracted.clone(),
            reason: verdict.reason,
            completion: text[start..].to_owned(),
        }
    }
}

impl Report {
    pub(super) fn rules() -> Self {
        Self {
            rows: 0,
            rewards: 0.0,
            found: Some(BTreeMap::new()),
            limited: 0,
            wrong: Vec::new(),
        }
    }

    pub(super) fn program() -> Self {
        Self {
            found: None,
            ..Self::rules()
        }
    }

    pub(super) fn add(&mut self, verdict: &Verdict) {
        self.rows += 1;
        self.rewards += f64::from(u8::from(verdict.right));
        self.limited += usize::from(verdict.reason == Reason::Limit);
        if let Some(found) = &mut self.found {
            let rule = match verdict.found_by {
                Some(rule) => name(&rule),
                None => "none".to_owned(),
            };
            *found.entry(rule).or_default() += 1;
        }
    }

    /// Adds a reward that a program gave.
    pub(super) fn add_reward(&mut self, reward: Option<&Value>) {
        self.rows += 1;
        self.rewards += reward.and_then(Value::as_f64).unwrap_or(0.0);
    }

    /// Mean reward, of rules the share of right answers.
    pub(super) fn share(&self) -> f64 {
        self.rewards / self.rows.max(1) as f64
    }

    /// Prints a table, or one line of JSON.
    pub(super) fn print(&self, out: &Path, as_json: bool) -> anyhow::Result<()> {
        let interval = || wilson(self.share(), self.rows);
        if as_json {
            return match &self.found {
                Some(found) => print_json(&json!({
                    "rows": self.rows,
                    "right": self.rewards as u64,
                    "share": self.share(),
                    "interval": interval(),
                    "found": found,
                    "limited": self.limited,
                    "out": out,
                    "wrong": self.wrong,
                })),
                None => print_json(&json!({
                    "rows": self.rows,
                    "mean_reward": self.share(),
                    "out": out,
                })),
            };
        }
        let mut table = Table::new(["", ""]);
        table.row(["rows".into(), self.rows.to_string()]);
        match &self.found {
            None => table.row(["mean reward".into(), format!("{:.4}", self.share())]),
            Some(found) => {
                let percent = |share: f64| format!("{:.1}", 100.0 * share);
                let [low, high] = interval();
                table.row(["right".into(), format!("{}", self.rewards as u64)]);
                table.row([
                    "share".into(),
                    format!(
                        "{} % (95 %: {} to {})",
                        percent(self.share()),
                        percent(low),
                        percent(high)
                    ),
                ]);
                for (rule, count) in found {
                    table.row([format!("found by {rule}"), count.to_string()]);
                }
                if self.limited > 0 {
                    table.row(["at the limit".into(), self.limited.to_string()]);
                }
            }
        }
        table.row(["written to".into(), out.display().to_string()]);
        table.print()?;
        self.print_wrong()
    }

    fn print_wrong(&self) -> anyhow::Result<()> {
        let mut to = anstream::stdout().lock();
        let heading = Style::new().bold();
        for wrong in &self.wrong {
            writeln!(
                to,
                "\n{heading}{}{heading:#}: gold {:?}, found {}: {}",
                terminal::plain(&wrong.at.to_string()),
                wrong.gold,
                match &wrong.extracted {
                    Some(answer) => format!("{answer:?}"),
                    None => "nothing".to_owned(),
                },
                name(&wrong.reason),
            )?;
            writeln!(to, "{}", terminal::plain(&wrong.completion))?;
        }
        Ok(())
    }
}

/// The name that a value has in files.
fn name(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(name)) => name,
        _ => String::new(),
    }
}
