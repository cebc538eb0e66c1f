//! The model that an evaluation asks.

use std::path::PathBuf;

use iwsft_lm::{MemoryPlan, Room};

use crate::embedded::Embedded;
use crate::endpoint;
use crate::generator::Generator;
use crate::language::ModelFolder;
use crate::mistake::Mistake;

/// A model folder, or a server.
#[derive(Debug, clap::Args)]
pub(crate) struct ModelArgs {
    /// A Hugging Face model folder; not with --endpoint.
    model: Option<PathBuf>,
    /// Ask in plain text, without the model's chat template.
    #[arg(long)]
    plain: bool,
    #[command(flatten)]
    server: endpoint::Args,
}

/// A model that is ready to answer.
pub(crate) struct OpenModel {
    pub(crate) generator: Box<dyn Generator>,
    /// A hash of the weights; none of a server's.
    pub(crate) weights: Option<String>,
    /// Whether it takes messages.
    pub(crate) chat: bool,
}

impl ModelArgs {
    pub(crate) fn open(&self) -> anyhow::Result<OpenModel> {
        let path = match (&self.model, self.server.connect()?) {
            (Some(path), Some(_)) => {
                return Err(Mistake::new(format!(
                    "{}: a model folder and --endpoint are two different models; \
                     keep one (--model NAME is the server's model)",
                    path.display()
                ))
                .into());
            }
            (None, Some(server)) => {
                return Ok(OpenModel {
                    generator: Box::new(server),
                    weights: None,
                    chat: !self.plain,
                });
            }
            (None, None) => {
                return Err(
                    Mistake::new("no model; give a folder, or a server by --endpoint").into(),
                );
            }
            (Some(path), None) => path,
        };
        let folder = ModelFolder::open(path, None)?;
        let (model, parameters) = folder.load(MemoryPlan::default())?;
        Ok(OpenModel {
            weights: Some(folder.model_hash(&parameters)?),
            chat: folder.template.is_some() && !self.plain,
            generator: Box::new(Embedded::new(folder, &model, &parameters, Room::default())),
        })
    }
}
