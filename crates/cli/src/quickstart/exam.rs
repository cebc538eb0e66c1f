//! Lets a model answer the test problems, the likeliest token each time.

use std::path::Path;

use iwsft_lm::{LanguageModel, MemoryPlan};
use rayon::prelude::*;

use super::arithmetic::Problem;
use super::traces::Trace;
use crate::language::ModelFolder;

/// More than the longest right work has.
const MOST_TOKENS: usize = 128;

/// What the model in `folder` makes of each problem, in their order.
pub(crate) fn answers(folder: &Path, problems: &[Problem]) -> anyhow::Result<Vec<Trace>> {
    let folder = ModelFolder::open(folder, None)?;
    let (_, parameters) = folder.load(MemoryPlan::default())?;
    let model = || LanguageModel::new(folder.config.clone(), MemoryPlan::default());
    problems
        .par_iter()
        .map_init(model, |model, problem| {
            let prompt = folder.tokenizer.encode(&problem.prompt(), true)?;
            let stop = folder.tokenizer.end_tokens();
            let tokens =
                model.generate_greedily(&parameters, &prompt, MOST_TOKENS, stop, |_token| {});
            let completion = folder.tokenizer.decode(&tokens, false)?;
            Ok(Trace::graded(problem, completion))
        })
        .collect()
}
