//! The folder of a policy: `config.json` and `model.safetensors`.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use iwsft_engine::{Layout, Policy, Tensor};
use iwsft_files::write_atomically;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};

use super::{GaussianConfig, GaussianPolicy, PolicyError};

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";

/// Writes and reads parameters of one Gaussian policy, every bit of them.
#[derive(Debug, Clone)]
pub struct GaussianFiles {
    config: GaussianConfig,
    layout: Layout,
}

impl GaussianFiles {
    /// Of this policy's shape.
    pub fn of(policy: &GaussianPolicy) -> Self {
        Self {
            config: policy.config().clone(),
            layout: policy.layout().clone(),
        }
    }

    /// Writes the policy with these parameters into `folder`, which is made
    /// where it is missing.
    ///
    /// # Errors
    /// [`PolicyError::Io`] if a file cannot be written.
    pub fn save(&self, folder: &Path, parameters: &Tensor) -> Result<(), PolicyError> {
        fs::create_dir_all(folder).map_err(PolicyError::io("write", folder))?;
        let path = folder.join(CONFIG);
        let text = serde_json::to_vec_pretty(&self.config)
            .map_err(|error| PolicyError::io("write", &path)(io::Error::other(error)))?;
        write_atomically(&path, &text).map_err(PolicyError::io("write", &path))?;

        let path = folder.join(WEIGHTS);
        let other =
            |error: SafeTensorError| PolicyError::io("write", &path)(io::Error::other(error));
        let values = parameters.to_host();
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let mut views = Vec::new();
        for parameter in self.layout.parameters() {
            let range = parameter.range.start * 4..parameter.range.end * 4;
            let view = TensorView::new(Dtype::F32, parameter.shape.clone(), &bytes[range])
                .map_err(other)?;
            views.push((parameter.name.as_str(), view));
        }
        let about = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let bytes = safetensors::serialize(views, Some(about)).map_err(other)?;
        write_atomically(&path, &bytes).map_err(PolicyError::io("write", &path))
    }

    /// Reads parameters that [`GaussianFiles::save`] wrote.
    ///
    /// # Errors
    /// [`PolicyError`] naming the file, also where its tensors have other shapes.
    pub fn load(&self, folder: &Path) -> Result<Tensor, PolicyError> {
        let path = folder.join(WEIGHTS);
        let bytes = fs::read(&path).map_err(PolicyError::io("read", &path))?;
        let damaged = |reason: String| PolicyError::damaged(&path, &bytes, reason);
        let file = SafeTensors::deserialize(&bytes).map_err(|error| damaged(error.to_string()))?;
        // Before memory is taken for what the configuration claims.
        for parameter in self.layout.parameters() {
            let name = &parameter.name;
            let view = file
                .tensor(name)
                .map_err(|_| damaged(format!("it has no tensor `{name}`")))?;
            if view.dtype() != Dtype::F32 || view.shape() != parameter.shape {
                return Err(damaged(format!(
                    "`{name}` is {:?} {:?}, and by config.json F32 {:?}",
                    view.dtype(),
                    view.shape(),
                    parameter.shape
                )));
            }
        }
        let mut parameters = Tensor::zeros(self.layout.len());
        for parameter in self.layout.parameters() {
            if let Ok(view) = file.tensor(&parameter.name) {
                let (words, _) = view.data().as_chunks::<4>();
                let values: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
                if values.iter().any(|value| !value.is_finite()) {
                    return Err(damaged(format!(
                        "`{}` has a number that is not finite",
                        parameter.name
                    )));
                }
                parameters.copy_from_host(parameter.range.start, &values);
            }
        }
        Ok(parameters)
    }
}

impl GaussianPolicy {
    /// Reads the policy in `folder` and its parameters.
    ///
    /// # Errors
    /// [`PolicyError`] naming the file that is missing or not of a policy.
    pub fn open(folder: &Path) -> Result<(Self, Tensor), PolicyError> {
        let path = folder.join(CONFIG);
        let text = fs::read(&path).map_err(PolicyError::io("read", &path))?;
        let damaged = |reason: String| PolicyError::damaged(&path, &text, reason);
        let config: GaussianConfig =
            serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        let policy = Self::new(config).map_err(|error| damaged(error.to_string()))?;
        let parameters = GaussianFiles::of(&policy).load(folder)?;
        Ok((policy, parameters))
    }
}
