//! What an algorithm has learnt, in one safetensors file, every bit of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use iwsft_files::write_atomically;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};

use super::Learned;

/// The file of what was learnt cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LearnedError {
    /// It cannot be read or written.
    #[error("{}: cannot {action} ({source})", path.display())]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not of these networks.
    #[error(
        "{}: {reason}; the run was begun with other settings, or the file is damaged: begin again \
         in another folder", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        reason: String,
    },
}

/// Writes parameters, moments, targets and numbers of updates.
///
/// # Errors
/// [`LearnedError::Io`] if the file cannot be written.
pub fn save_learned(path: &Path, learned: Vec<&mut Learned>) -> Result<(), LearnedError> {
    let mut parts = Vec::new();
    for each in learned {
        let name = each.name();
        let state = each.state();
        parts.push((
            format!("{name}.updates"),
            Dtype::U64,
            state.updates.to_le_bytes().to_vec(),
        ));
        for (part, tensor) in state.tensors {
            let values = tensor.to_host();
            let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
            parts.push((format!("{name}.{part}"), Dtype::F32, bytes));
        }
    }
    let failed = |error: SafeTensorError| LearnedError::Io {
        action: "write",
        path: path.to_owned(),
        source: io::Error::other(error),
    };
    let views = parts.iter().map(|(name, dtype, bytes)| {
        let count = bytes.len() * 8 / dtype.bitsize();
        let view = TensorView::new(*dtype, vec![count], bytes)?;
        Ok((name.as_str(), view))
    });
    let views = views
        .collect::<Result<Vec<_>, SafeTensorError>>()
        .map_err(failed)?;
    let bytes = safetensors::serialize(views, None).map_err(failed)?;
    write_atomically(path, &bytes).map_err(|source| LearnedError::Io {
        action: "write",
        path: path.to_owned(),
        source,
    })
}

/// Reads what [`save_learned`] wrote of the same networks.
///
/// # Errors
/// [`LearnedError`] naming the file and what is wrong with it.
pub fn load_learned(path: &Path, learned: Vec<&mut Learned>) -> Result<(), LearnedError> {
    let bytes = fs::read(path).map_err(|source| LearnedError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    let damaged = |reason: String| LearnedError::Damaged {
        path: path.to_owned(),
        reason,
    };
    let file = SafeTensors::deserialize(&bytes).map_err(|error| damaged(error.to_string()))?;
    let find = |name: &str, dtype: Dtype, count: usize| {
        let view = file
            .tensor(name)
            .map_err(|_| damaged(format!("it has no tensor `{name}`")))?;
        if view.dtype() != dtype || view.shape() != [count] {
            return Err(damaged(format!(
                "`{name}` is {:?} {:?}, expected {dtype:?} [{count}]",
                view.dtype(),
                view.shape()
            )));
        }
        Ok(view)
    };
    for each in learned {
        let name = each.name();
        let state = each.state();
        let view = find(&format!("{name}.updates"), Dtype::U64, 1)?;
        let (words, _) = view.data().as_chunks::<8>();
        *state.updates = u64::from_le_bytes(words[0]);
        for (part, tensor) in state.tensors {
            let view = find(&format!("{name}.{part}"), Dtype::F32, tensor.len())?;
            let (words, _) = view.data().as_chunks::<4>();
            let values: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
            tensor.copy_from_host(0, &values);
        }
    }
    Ok(())
}
