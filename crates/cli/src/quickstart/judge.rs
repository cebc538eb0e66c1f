//! Judges worked arithmetic: is the answer right, and how good is the work?
//!
//! `iwsft judge-arithmetic` is a program as `iwsft grade --command` takes one.

use std::io::{BufRead, Write};

use serde::{Deserialize, Serialize};

use super::arithmetic::Problem;
use crate::mistake::Mistake;
use crate::table::print_json;

/// Read rows of a quickstart from standard input, one JSON object a line, and
/// write a reward and a score for each: what `iwsft grade --command` asks for.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// JSON lines are all that there is to print.
    #[arg(long, hide = true)]
    json: bool,
}

/// What is read of a row.
#[derive(Deserialize)]
struct Row {
    prompt: String,
    completion: String,
}

pub(crate) fn run(_: Args) -> anyhow::Result<()> {
    for (line, text) in (1..).zip(std::io::stdin().lock().lines()) {
        let refused = |what: String| Mistake::new(format!("line {line}: {what}"));
        let row: Row = serde_json::from_str(&text?).map_err(|error| {
            refused(format!(
                "{error}; expected an object with a prompt and a completion"
            ))
        })?;
        let problem = Problem::parse(&row.prompt).ok_or_else(|| {
            let prompt = &row.prompt;
            refused(format!(
                "the prompt is {prompt:?}, expected one such as \"37+58-9=\""
            ))
        })?;
        print_json(&judge(&problem, &row.completion))?;
        // The reader may be waiting for this line.
        std::io::stdout().flush()?;
    }
    Ok(())
}

/// What a completion is worth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Grade {
    /// 1 if the answer is exactly right, otherwise 0.
    pub(crate) reward: f64,
    /// From 0 to 1: half for the answer and half for the share of the steps
    /// that come before the first mistake, times the share of steps that were
    /// needed. A right answer by the shortest way has 1.
    pub(crate) score: f64,
}

/// Judges `completion` by its text alone.
pub(crate) fn judge(problem: &Problem, completion: &str) -> Grade {
    let needed = problem.right_steps();
    let written: Vec<&str> = completion.split_whitespace().collect();
    let mut right = 0;
    for step in &written {
        if needed.get(right).is_some_and(|next| next == step) {
            right += 1;
        } else if right == 0 || needed[right - 1] != *step {
            break; // not even the last step once more
        }
    }
    let answer = problem.answer().to_string();
    let reward = f64::from(written.last().is_some_and(|last| *last == answer));
    let progress = right as f64 / needed.len() as f64;
    let brevity = needed.len() as f64 / written.len().max(needed.len()) as f64;
    Grade {
        reward,
        score: (reward + progress) / 2.0 * brevity,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its steps are `4+9=13 1+0+1=2 23`.
    fn problem() -> Problem {
        Problem::parse("14+9=").unwrap()
    }

    #[test]
    fn the_score_counts_the_answer_the_steps_before_a_mistake_and_brevity() {
        let problem = problem();
        let graded = |text| judge(&problem, text);
        let expect = |text, reward, score| assert_eq!(graded(text), Grade { reward, score });
        expect(" 4+9=13 1+0+1=2 23", 1.0, 1.0);
        expect(" 4+9=13 1+0=1 13", 0.0, 1.0 / 6.0);
        expect(" 4+9=13 4+9=13 4+9=13 1+0+1=2 1+0+1=2 23", 1.0, 0.5);
        expect("23", 1.0, 0.5);
        expect(" 4+9=13 1+0+1=2 23 23", 1.0, 0.75);
        expect("", 0.0, 0.0);
    }

    #[test]
    fn only_the_exact_answer_at_the_end_is_right() {
        let problem = problem();
        for text in [
            " 4+9=13 1+0+1=2",
            " 23 4",
            " 023",
            " +23",
            " 23.",
            " 1+22=23",
        ] {
            assert_eq!(judge(&problem, text).reward, 0.0, "{text}");
        }
    }
}
