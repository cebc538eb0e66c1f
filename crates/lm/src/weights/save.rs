//! Writing checkpoints that transformers and other programs load as they are.

use std::fs;
use std::path::Path;

use half::{bf16, f16};
use iwsft_engine::{Layout, Parameter, View};
use safetensors::tensor::{Metadata, TensorInfo};
use serde_json::{Map, json};

use super::{CHUNK, INDEX_FILE, LENGTH_BYTES, WHOLE_FILE, WeightType};
use crate::error::LmError;
use crate::file::{io_error, write_atomically};

/// Writes `values` (in the order of `layout`) into `folder`, which must exist.
///
/// One `model.safetensors` when it fits into `max_shard_bytes`, otherwise shards
/// with an index; a tensor is never split, so a single larger one makes a larger
/// file. Each file appears whole or not at all, the index last. Weights files of
/// an earlier save that are not part of this one are removed.
///
/// # Errors
/// When the buffer does not match the layout, a finite value does not fit into
/// `kind`, or a file cannot be written.
pub fn save(
    folder: &Path,
    layout: &Layout,
    values: View<'_>,
    kind: WeightType,
    max_shard_bytes: usize,
) -> Result<(), LmError> {
    if values.len() != layout.len() {
        return Err(LmError::BufferLength {
            found: values.len(),
            expected: layout.len(),
        });
    }
    let shards = split(layout.parameters(), kind, max_shard_bytes);
    let names: Vec<String> = match shards.len() {
        0 | 1 => vec![WHOLE_FILE.into()],
        count => (1..=count)
            .map(|shard| format!("model-{shard:05}-of-{count:05}.safetensors"))
            .collect(),
    };
    for (name, parameters) in names.iter().zip(&shards) {
        write_file(&folder.join(name), parameters, values, kind)?;
    }
    if shards.len() > 1 {
        write_index(&folder.join(INDEX_FILE), layout, &shards, &names, kind)?;
    }
    remove_stale(folder, &names)
}

/// Consecutive runs of parameters, each of at most `max_bytes` where possible.
fn split(parameters: &[Parameter], kind: WeightType, max_bytes: usize) -> Vec<&[Parameter]> {
    let mut shards = Vec::new();
    let mut start = 0;
    let mut bytes = 0;
    for (index, parameter) in parameters.iter().enumerate() {
        let size = parameter.range.len() * kind.bytes();
        if index > start && bytes + size > max_bytes {
            shards.push(&parameters[start..index]);
            (start, bytes) = (index, 0);
        }
        bytes += size;
    }
    shards.push(&parameters[start..]);
    shards
}

fn write_file(
    path: &Path,
    parameters: &[Parameter],
    values: View<'_>,
    kind: WeightType,
) -> Result<(), LmError> {
    let header = header(parameters, kind).map_err(|source| LmError::Safetensors {
        path: path.to_path_buf(),
        source,
    })?;
    write_atomically(path, |writer| {
        let mut write = |bytes: &[u8]| writer.write_all(bytes).map_err(io_error(path, "write"));
        write(&(header.len() as u64).to_le_bytes())?;
        write(&header)?;
        let mut bytes = Vec::with_capacity(CHUNK * kind.bytes());
        for parameter in parameters {
            for start in parameter.range.clone().step_by(CHUNK) {
                let end = (start + CHUNK).min(parameter.range.end);
                let chunk = values.slice(start..end).to_host();
                bytes.clear();
                narrow(kind, &chunk, &mut bytes).map_err(|value| LmError::TensorOverflow {
                    path: path.to_path_buf(),
                    name: parameter.name.clone(),
                    value,
                    kind: kind.name(),
                })?;
                write(&bytes)?;
            }
        }
        Ok(())
    })
}

/// The JSON header, padded with spaces so that the data is aligned.
fn header(
    parameters: &[Parameter],
    kind: WeightType,
) -> Result<Vec<u8>, safetensors::SafeTensorError> {
    let mut offset = 0;
    let tensors = parameters
        .iter()
        .map(|parameter| {
            let start = offset;
            offset += parameter.range.len() * kind.bytes();
            let info = TensorInfo {
                dtype: kind.dtype(),
                shape: parameter.shape.clone(),
                data_offsets: (start, offset),
            };
            (parameter.name.clone(), info)
        })
        .collect();
    // Without this entry transformers refuses the file.
    let about = [("format".to_owned(), "pt".to_owned())].into();
    let mut text = serde_json::to_vec(&Metadata::new(Some(about), tensors)?)?;
    text.resize(text.len().next_multiple_of(LENGTH_BYTES), b' ');
    Ok(text)
}

/// Appends `values` as little-endian elements, rounded to nearest even.
/// Fails with the first finite value that would become infinite.
fn narrow(kind: WeightType, values: &[f32], bytes: &mut Vec<u8>) -> Result<(), f32> {
    for &value in values {
        let finite = match kind {
            WeightType::F32 => {
                bytes.extend_from_slice(&value.to_le_bytes());
                true
            }
            WeightType::Bf16 => {
                let narrow = bf16::from_f32(value);
                bytes.extend_from_slice(&narrow.to_le_bytes());
                narrow.is_finite()
            }
            WeightType::F16 => {
                let narrow = f16::from_f32(value);
                bytes.extend_from_slice(&narrow.to_le_bytes());
                narrow.is_finite()
            }
        };
        if !finite && value.is_finite() {
            return Err(value);
        }
    }
    Ok(())
}

fn write_index(
    path: &Path,
    layout: &Layout,
    shards: &[&[Parameter]],
    names: &[String],
    kind: WeightType,
) -> Result<(), LmError> {
    let mut weight_map = Map::new();
    for (parameters, name) in shards.iter().zip(names) {
        for parameter in *parameters {
            weight_map.insert(parameter.name.clone(), json!(name));
        }
    }
    let index = json!({
        "metadata": {
            "total_parameters": layout.len(),
            "total_size": layout.len() * kind.bytes(),
        },
        "weight_map": weight_map,
    });
    write_atomically(path, |writer| {
        writeln!(writer, "{index:#}").map_err(io_error(path, "write"))
    })
}

/// Removes weights files that would shadow or outlive those in `names`.
fn remove_stale(folder: &Path, names: &[String]) -> Result<(), LmError> {
    for entry in fs::read_dir(folder).map_err(io_error(folder, "read"))? {
        let entry = entry.map_err(io_error(folder, "read"))?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let shard =
            name.starts_with("model-") && name.contains("-of-") && name.ends_with(".safetensors");
        let index = name == INDEX_FILE && names.len() == 1;
        if (shard || index || name == WHOLE_FILE) && !names.contains(&name) {
            fs::remove_file(entry.path()).map_err(io_error(&entry.path(), "remove"))?;
        }
    }
    Ok(())
}
