//! `iwsft logits`: a model's raw output, to compare with other programs.

use std::path::PathBuf;

use iwsft_lm::MemoryPlan;
use iwsft_train::write_atomically;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use crate::language::ModelFolder;
use crate::mistake::Mistake;

/// Write the logits of a text to a safetensors file.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  iwsft logits runs/recipe/model --text 'Once upon a time' --out logits.safetensors

The file has `tokens` [n] (u32) and `logits` [n, vocabulary] (f32).")]
pub(crate) struct Args {
    /// A Hugging Face model folder.
    model: PathBuf,
    /// The text.
    #[arg(long)]
    text: String,
    /// The file to write.
    #[arg(long)]
    out: PathBuf,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let folder = ModelFolder::open(&args.model, None)?;
    let tokens = folder.tokenizer.encode_opening(&args.text)?;
    if tokens.is_empty() {
        return Err(Mistake::new("--text has no tokens; give some text").into());
    }
    let (mut model, parameters) = folder.load(MemoryPlan::default())?;
    let logits = model.logits(&parameters, &tokens);
    let token_bytes = tokens
        .iter()
        .flat_map(|token| token.to_le_bytes())
        .collect::<Vec<u8>>();
    let logit_bytes = logits
        .iter()
        .flat_map(|logit| logit.to_le_bytes())
        .collect::<Vec<u8>>();
    let shape = vec![tokens.len(), folder.config.vocab_size];
    let tensors = [
        (
            "tokens",
            TensorView::new(Dtype::U32, vec![tokens.len()], &token_bytes)?,
        ),
        ("logits", TensorView::new(Dtype::F32, shape, &logit_bytes)?),
    ];
    let bytes = safetensors::serialize(tensors, None)?;
    Ok(write_atomically(&args.out, &bytes)?)
}
