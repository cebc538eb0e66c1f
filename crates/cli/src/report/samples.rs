//! What the models of a run write: before and after, the likeliest tokens.

use std::fmt::Write;

use iwsft_data::Dataset;
use iwsft_lm::{Decoder, Generation, MemoryPlan, Room, Sampling, TokenRequest};

use super::markup::escape;
use super::run::Run;
use crate::language::ModelFolder;
use crate::mistake::Mistake;
use crate::progress::Progress;
use crate::recipe::Recipe;

/// Tokens that stand for the prompt where loss is on everything.
const OPENING: usize = 16;

/// A prompt and its continuations.
pub(super) struct Sample {
    /// Of which run.
    pub(super) run: usize,
    prompt: String,
    /// What the data has.
    data: String,
    before: String,
    after: String,
}

/// The first `count` prompts of the validation data of each run (or of its
/// training data), each continued by up to `tokens` tokens.
pub(super) fn of_runs(runs: &[Run], count: usize, tokens: usize) -> anyhow::Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        let recipe = Recipe::read(&run.path, &[])?;
        let trained = run.path.join("model");
        if !trained.is_dir() {
            return Err(Mistake::new(format!(
                "{}: the run has no model yet; finish it with `iwsft train {} --resume`, or leave out --samples",
                trained.display(),
                run.path.display()
            ))
            .into());
        }
        let before = ModelFolder::of_recipe(&recipe.model)?;
        let files = recipe
            .data
            .validation
            .as_ref()
            .unwrap_or(&recipe.data.train);
        let data = before.dataset(files, &recipe.data)?.dataset;
        let prompts: Vec<Prompt> = (0..count.min(data.len()))
            .map(|row| Prompt::of(&data, row))
            .collect();
        let after = ModelFolder::open(&trained, recipe.model.chat_template.as_deref())?;
        let mut progress = Progress::new("samples", 2 * prompts.len() as u64);
        let mut written = Vec::new();
        for (done, folder) in [&before, &after].into_iter().enumerate() {
            let done = (done * prompts.len()) as u64;
            let mut at = |more: u64| progress.at(done + more, || run.name.clone());
            written.push(continuations(folder, &prompts, tokens, &mut at)?);
        }
        progress.finish();
        let tokenizer = &before.tokenizer;
        for (prompt, (before, after)) in prompts.iter().zip(written[0].iter().zip(&written[1])) {
            samples.push(Sample {
                run: index,
                prompt: tokenizer.decode(&prompt.tokens, false)?,
                data: tokenizer.decode_behind(&prompt.tokens, &prompt.rest)?,
                before: before.clone(),
                after: after.clone(),
            });
        }
    }
    Ok(samples)
}

/// A row's tokens, cut where its loss begins.
struct Prompt {
    tokens: Vec<u32>,
    rest: Vec<u32>,
}

impl Prompt {
    fn of(data: &Dataset, row: usize) -> Self {
        let (tokens, weights) = (data.tokens(row), data.step_weight(row));
        let scored = weights.iter().position(|weight| *weight > 0.0).unwrap_or(0);
        let cut = if scored > 1 {
            scored
        } else {
            OPENING.min(tokens.len() / 2).max(1)
        };
        let (tokens, rest) = tokens.split_at(cut.min(tokens.len()));
        Self {
            tokens: tokens.to_vec(),
            rest: rest.to_vec(),
        }
    }
}

fn continuations(
    folder: &ModelFolder,
    prompts: &[Prompt],
    tokens: usize,
    at: &mut dyn FnMut(u64),
) -> anyhow::Result<Vec<String>> {
    let (model, parameters) = folder.load(MemoryPlan::default())?;
    let mut decoder = Decoder::new(&model, &parameters);
    let requests: Vec<TokenRequest> = prompts
        .iter()
        .map(|prompt| TokenRequest {
            prompt: prompt.tokens.as_slice().into(),
            draw: 0,
        })
        .collect();
    let sampling = Sampling {
        temperature: 0.0,
        max_tokens: tokens,
        ..Sampling::default()
    };
    let (tokenizer, room) = (&folder.tokenizer, Room::default());
    let mut work = Generation::new(&mut decoder, tokenizer, &requests, &sampling, room)?;
    let (mut texts, mut done) = (vec![String::new(); prompts.len()], 0);
    while work.step()? {
        for (index, completion) in work.finished() {
            texts[index] = completion.text;
            done += 1;
            at(done);
        }
    }
    Ok(texts)
}

/// The samples as part of the page.
pub(super) fn html(samples: &[Sample], runs: &[Run]) -> String {
    let mut html = String::new();
    for Sample {
        run,
        prompt,
        data,
        before,
        after,
    } in samples
    {
        let text = |text: &str| escape(text.trim_end());
        let _ = writeln!(
            html,
            "<article class=\"sample r{run}\">\n<h4><i class=\"chip r{run}\"></i>{name}</h4>\n\
             <pre class=\"prompt\">{prompt}</pre>\n<dl><dt>before</dt><dd><pre>{before}</pre></dd>\
             <dt>after</dt><dd><pre>{after}</pre></dd><dt>in the data</dt><dd><pre>{data}</pre></dd></dl>\n</article>",
            name = escape(&runs[*run].name),
            prompt = text(prompt),
            before = text(before),
            after = text(after),
            data = text(data),
        );
    }
    html
}
