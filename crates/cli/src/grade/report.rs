//! What is said of graded rows.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use anstyle::Style;
use iwsft_eval::grade::{Gold, Grader, Reason, Verdict};
use iwsft_eval::statistics::wilson;
use serde::Serialize;
use serde_json::{Value, json};

use super::advice::{Advice, MOST_TRIED, advice};
use super::reasons::Reasons;
use super::rows::Row;
use crate::progress::say;
use crate::table::{Table, name, print_json};
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
    /// Of rules: rows by how their verdict came about.
    reasons: Reasons,
    wrong: Vec<Wrong>,
    show_wrong: usize,
    /// The first wrong rows, to try other rules on.
    tried: Vec<Row>,
    advice: Option<Advice>,
}

/// A wrong answer, to look at.
#[derive(Serialize)]
pub(super) struct Wrong {
    at: String,
    gold: Gold,
    extracted: Option<String>,
    reason: Reason,
    /// The end of the completion.
    completion: String,
}

impl Wrong {
    fn new(row: &Row, verdict: &Verdict) -> Self {
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
    /// Of rules; the first `show_wrong` wrong answers are shown.
    pub(super) fn rules(show_wrong: usize) -> Self {
        Self {
            rows: 0,
            rewards: 0.0,
            found: Some(BTreeMap::new()),
            reasons: Reasons::default(),
            wrong: Vec::new(),
            show_wrong,
            tried: Vec::new(),
            advice: None,
        }
    }

    pub(super) fn program() -> Self {
        Self {
            found: None,
            ..Self::rules(0)
        }
    }

    pub(super) fn add(&mut self, row: &Row, verdict: &Verdict) {
        self.rows += 1;
        self.rewards += f64::from(u8::from(verdict.right));
        self.reasons.add(verdict.reason);
        if let Some(found) = &mut self.found {
            let rule = match verdict.found_by {
                Some(rule) => name(&rule),
                None => "none".to_owned(),
            };
            *found.entry(rule).or_default() += 1;
        }
        if verdict.right {
            return;
        }
        if self.wrong.len() < self.show_wrong {
            self.wrong.push(Wrong::new(row, verdict));
        }
        if self.tried.len() < MOST_TRIED {
            self.tried.push(row.clone());
        }
    }

    /// Where most answers cannot be read, or none is right, says so, and which
    /// option would help.
    pub(super) fn advise(&mut self, grader: &Grader) {
        let most = 2 * self.reasons.unread() > self.rows;
        let none = self.rows > 0 && self.rewards == 0.0;
        if !most && !none {
            return;
        }
        self.advice = advice(grader, &self.tried, most);
        let (rows, reasons) = (self.rows, &self.reasons);
        let unread = reasons.unread();
        let said = match most {
            true => format!("{unread} of {rows} answers cannot be read ({reasons})"),
            false => "no answer is right".to_owned(),
        };
        match &self.advice {
            Some(advice) => say(&format!("{said}; {advice}")),
            None if most => say(&format!(
                "{said}; --show-wrong 3 shows some, and --extract names where answers stand"
            )),
            None => {}
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
                    "reasons": self.reasons,
                    "limited": self.reasons.of(Reason::Limit),
                    "advice": self.advice,
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
                if self.reasons.unread() > 0 {
                    let why = format!("{} ({})", self.reasons.unread(), self.reasons);
                    table.row(["not read".into(), why]);
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
                "\n{heading}{}{heading:#}: gold {}, found {}: {}",
                terminal::plain(&wrong.at.to_string()),
                json!(wrong.gold),
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
