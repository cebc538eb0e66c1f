//! The model that an evaluation asks.

use std::path::{Path, PathBuf};

use iwsft_lm::{MemoryPlan, Room};

use crate::embedded::Embedded;
use crate::endpoint::ServerArgs;
use crate::generator::Generator;
use crate::language::ModelFolder;

/// A model folder, and how it is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct ModelArgs {
    /// A Hugging Face model folder.
    #[arg(required_unless_present = "endpoint", conflicts_with = "endpoint")]
    model: Option<PathBuf>,
    /// A chat template to use instead of the model's own.
    #[arg(long, value_name = "FILE", conflicts_with = "endpoint")]
    chat_template: Option<PathBuf>,
    /// Ask in plain text, without the model's chat template.
    #[arg(long)]
    plain: bool,
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
    /// The server's model where one is named, else the folder's.
    pub(crate) fn open(&self, server: &ServerArgs) -> anyhow::Result<OpenModel> {
        if let Some(server) = server.connect()? {
            return Ok(OpenModel {
                generator: Box::new(server),
                weights: None,
                chat: !self.plain,
            });
        }
        let path = self.model.as_deref().unwrap_or(Path::new(""));
        let folder = ModelFolder::open(path, self.chat_template.as_deref())?;
        let (model, parameters) = folder.load(MemoryPlan::default())?;
        let chat = folder.template.is_some() && !self.plain;
        if chat {
            folder.say_new_end();
        }
        folder.say_mismatch(chat, "leave out --plain to ask so", "--plain asks so");
        Ok(OpenModel {
            weights: Some(folder.model_hash(&parameters)?),
            chat,
            generator: Box::new(Embedded::new(folder, &model, &parameters, Room::default())),
        })
    }
}
