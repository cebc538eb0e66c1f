//! Where an algorithm stands, in a folder: `state.json`, which is written last, and
//! the parameters that belong to it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use iwsft_control::baseline::Algorithm;
use iwsft_control::{load_learned, save_learned};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::mistake::Mistake;

fn state(folder: &Path) -> PathBuf {
    folder.join("state.json")
}

fn learned(folder: &Path, step: u64) -> PathBuf {
    folder.join(format!("learned-{step}.safetensors"))
}

/// The record in `folder`, if one was saved.
pub(super) fn read<R: DeserializeOwned>(folder: &Path) -> anyhow::Result<Option<R>> {
    let path = state(folder);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    let record = serde_json::from_slice(&text).map_err(|error| {
        Mistake::new(format!(
            "{}: {error}; not the state of such a run, choose another folder",
            path.display()
        ))
    })?;
    Ok(Some(record))
}

/// Brings an algorithm to where it stood after `step` steps.
pub(super) fn load(folder: &Path, step: u64, algorithm: &mut dyn Algorithm) -> anyhow::Result<()> {
    Ok(load_learned(&learned(folder, step), algorithm.learned())?)
}

/// Saves an algorithm after `step` steps, and then the record of it.
pub(super) fn save(
    folder: &Path,
    step: u64,
    algorithm: &mut dyn Algorithm,
    record: &impl Serialize,
) -> anyhow::Result<()> {
    let kept = learned(folder, step);
    save_learned(&kept, algorithm.learned())?;
    let path = state(folder);
    iwsft_files::write_atomically(&path, &serde_json::to_vec_pretty(record)?)
        .with_context(|| path.display().to_string())?;
    // What no record names any more; a file that stays behind does no harm.
    for path in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = path.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let is_learned =
            name.is_some_and(|name| name.starts_with("learned-") && name.ends_with(".safetensors"));
        if is_learned && path != kept {
            let _ = fs::remove_file(path);
        }
    }
    Ok(())
}
