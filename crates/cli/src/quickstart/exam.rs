//! Lets a model answer the test problems, the likeliest token each time.

use std::path::Path;

use iwsft_lm::{Room, Sampling};

use super::arithmetic::Problem;
use super::traces::Trace;
use crate::embedded::Embedded;
use crate::generator::{Generator, Prompt, Request};

/// More than the longest right work has.
const MOST_TOKENS: usize = 128;

/// What the model in `folder` makes of each problem, in their order.
pub(crate) fn answers(folder: &Path, problems: &[Problem]) -> anyhow::Result<Vec<Trace>> {
    let mut model = Embedded::open(folder, None, Room::default())?;
    let request = |problem: &Problem| Request {
        prompt: Prompt::Text(problem.prompt()),
        prefix: String::new(),
        draw: 0,
    };
    let requests: Vec<Request> = problems.iter().map(request).collect();
    let sampling = Sampling {
        temperature: 0.0,
        max_tokens: MOST_TOKENS,
        ..Sampling::default()
    };
    let mut answers = vec![String::new(); problems.len()];
    model.complete(&requests, &sampling, &mut |index, completion| {
        answers[index] = completion.text;
        Ok(())
    })?;
    let graded = problems.iter().zip(answers);
    Ok(graded
        .map(|(problem, answer)| Trace::graded(problem, answer))
        .collect())
}
