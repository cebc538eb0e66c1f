//! `[grade]` of a recipe: rewards for completions that were just drawn.

use std::time::Duration;

use iwsft_data::{Location, Object};
use iwsft_eval::grade::{Extraction, Grader, Kind, Mode, Several};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::program::Program;
use super::rows::{Row, gold, said};
use super::{milliseconds, time_limit};
use crate::mistake::Mistake;

/// How completions are rewarded; the keys are the options of `iwsft grade`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GradeSection {
    /// What answers are: math, choice or exact.
    pub(crate) kind: Kind,
    /// How much may differ: lenient or strict.
    pub(crate) mode: Mode,
    /// Rules that find the answer, in order; those that suit the kind where
    /// there are none.
    pub(crate) extract: Vec<Extraction>,
    /// What a list of gold answers means: any or all.
    pub(crate) gold: Option<Several>,
    /// Decimals that an answer needs to count as an exact value rounded.
    pub(crate) decimals: u32,
    /// Most seconds for a row: 1, or of silence of a program 60.
    pub(crate) time_limit: Option<f64>,
    /// A program that grades, instead of all the rules above.
    pub(crate) command: Option<String>,
    /// Column of the gold answer.
    pub(crate) answer_column: String,
}

impl Default for GradeSection {
    fn default() -> Self {
        let grader = Grader::default();
        Self {
            kind: grader.kind,
            mode: grader.mode,
            extract: grader.extract,
            gold: grader.gold,
            decimals: grader.decimals,
            time_limit: None,
            command: None,
            answer_column: "answer".to_owned(),
        }
    }
}

/// A completion to reward.
pub(crate) struct Completed<'a> {
    /// Where its prompt stands.
    pub(crate) at: &'a Location,
    /// The prompt's other columns, the gold answer among them.
    pub(crate) row: &'a Object,
    /// The prompt, as a program gets it.
    pub(crate) prompt: &'a Value,
    pub(crate) text: &'a str,
}

impl GradeSection {
    /// Refuses what cannot grade.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        self.limit()?;
        let default = Grader {
            time_limit_ms: milliseconds(self.limit()?),
            ..Grader::default()
        };
        if self.command.is_some() && self.grader()? != default {
            return Err(Mistake::new(
                "`grade.command` grades instead of the rules; remove `kind`, `mode`, `extract`, \
                 `gold` and `decimals`, or the command",
            )
            .into());
        }
        Ok(())
    }

    /// The options of `iwsft grade` that say the same.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let name = |value: Value| value.as_str().unwrap_or_default().to_owned();
        let mut arguments = Vec::new();
        match &self.command {
            Some(command) => arguments.push(format!("--command={command}")),
            None => {
                arguments.push(format!("--kind={}", name(json!(self.kind))));
                arguments.push(format!("--mode={}", name(json!(self.mode))));
                arguments.push(format!("--decimals={}", self.decimals));
                arguments.push(format!("--answer-column={}", self.answer_column));
                if let Some(gold) = self.gold {
                    arguments.push(format!("--gold={}", name(json!(gold))));
                }
                if !self.extract.is_empty() {
                    let rules: Vec<String> =
                        self.extract.iter().map(|rule| name(json!(rule))).collect();
                    arguments.push(format!("--extract={}", rules.join(",")));
                }
            }
        }
        if let Some(seconds) = self.time_limit {
            arguments.push(format!("--time-limit={seconds}"));
        }
        arguments
    }

    /// Refuses a row of prompts that completions could not be graded for.
    pub(crate) fn check_row(&self, at: &Location, row: &Object) -> anyhow::Result<()> {
        if self.command.is_none() {
            gold(at, row, &self.answer_column, &self.grader()?)?;
        }
        Ok(())
    }

    /// The reward of each completion, in order: 1 for right and 0 for wrong, or
    /// what the program says.
    pub(crate) fn rewards(&self, completions: &[Completed<'_>]) -> anyhow::Result<Vec<f32>> {
        match &self.command {
            Some(command) => self.by_program(command, completions),
            None => self.by_rules(completions),
        }
    }

    fn by_rules(&self, completions: &[Completed<'_>]) -> anyhow::Result<Vec<f32>> {
        let grader = self.grader()?;
        completions
            .par_iter()
            .map(|each| {
                let gold = gold(each.at, each.row, &self.answer_column, &grader)?;
                let verdict = grader.grade_against(&gold, &said(each.prompt, each.text));
                Ok(f32::from(u8::from(verdict.right)))
            })
            .collect()
    }

    /// The program is started anew, and gets all rows.
    fn by_program(&self, command: &str, completions: &[Completed<'_>]) -> anyhow::Result<Vec<f32>> {
        const REWARD: &str = "reward";
        let rows = completions.iter().map(|each| {
            let mut object = Object::default();
            object.insert("prompt", each.prompt.clone());
            object.insert("completion", each.text.into());
            object.extend(each.row.clone());
            Ok(Row::whole(each.at.clone(), object))
        });
        let mut rewards = Vec::with_capacity(completions.len());
        let mut program = Program::start(command, self.limit()?, REWARD)?;
        program.grade(rows, |row, columns| {
            let reward = columns.get(REWARD).and_then(Value::as_f64);
            let reward = reward.map(|reward| reward as f32);
            rewards.push(reward.filter(|reward| reward.is_finite()).ok_or_else(|| {
                let at = row.at;
                Mistake::new(format!(
                    "{at}: the program of `grade.command` gave no finite reward"
                ))
            })?);
            Ok(())
        })?;
        Ok(rewards)
    }

    fn grader(&self) -> anyhow::Result<Grader> {
        Ok(Grader {
            kind: self.kind,
            mode: self.mode,
            extract: self.extract.clone(),
            gold: self.gold,
            decimals: self.decimals,
            time_limit_ms: milliseconds(self.limit()?),
        })
    }

    fn limit(&self) -> anyhow::Result<Duration> {
        time_limit(self.time_limit, self.command.is_some()).ok_or_else(|| {
            let seconds = self.time_limit.unwrap_or_default();
            Mistake::new(format!(
                "`grade.time_limit` is {seconds}; expected seconds, more than 0"
            ))
            .into()
        })
    }
}
