//! Reading checkpoints into one flat buffer.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use iwsft_engine::Layout;
use safetensors::SafeTensorError;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::Deserialize;

use super::{CHUNK, EMBEDDING, HEAD, INDEX_FILE, LENGTH_BYTES, WHOLE_FILE, WeightType};
use crate::error::LmError;
use crate::file::{io_error, json_if_present};

/// Headers beyond this are refused, as by safetensors itself.
const MAX_HEADER: u64 = 100_000_000;

/// Reads the weights of the model in `folder` as f32, in the order of `layout`.
///
/// `model.safetensors` is taken where it exists, `model.safetensors.index.json`
/// with its shards otherwise, as transformers does.
///
/// # Errors
/// When there are no weights, a file is damaged, a parameter is missing, twice
/// there or of another shape or type, or a tensor is no parameter. Stored
/// rotary frequencies are skipped, and so is an `lm_head.weight` that equals the
/// embedding when the layout has no such parameter (tied embeddings).
pub fn load(folder: &Path, layout: &Layout) -> Result<Vec<f32>, LmError> {
    let mut loading = Loading {
        layout,
        values: vec![0.0; layout.len()],
        loaded: HashSet::new(),
        stray_head: None,
    };
    let whole = folder.join(WHOLE_FILE);
    let listing = if whole.is_file() {
        loading.read_file(&whole)?;
        whole
    } else {
        let index = folder.join(INDEX_FILE);
        let Some(content) = json_if_present::<ShardIndex>(&index)? else {
            return Err(no_weights(folder));
        };
        for shard in content.shards(&index)? {
            loading.read_file(&folder.join(shard))?;
        }
        index
    };
    loading.finish(&listing)
}

/// The content of `model.safetensors.index.json`, as far as it matters.
#[derive(Deserialize)]
struct ShardIndex {
    weight_map: HashMap<String, String>,
}

impl ShardIndex {
    /// The shards' file names, each once.
    fn shards(&self, index: &Path) -> Result<BTreeSet<&str>, LmError> {
        let shards: BTreeSet<&str> = self.weight_map.values().map(String::as_str).collect();
        // A name with a folder in it could reach any file of the machine.
        let plain = |name: &str| Path::new(name).file_name() == Some(name.as_ref());
        let reason = match shards.iter().find(|name| !plain(name)) {
            Some(name) => format!("shard `{name}` must be a file name without a folder"),
            None if shards.is_empty() => "`weight_map` names no shard".into(),
            None => return Ok(shards),
        };
        Err(LmError::ShardIndex {
            path: index.to_path_buf(),
            reason,
        })
    }
}

struct Loading<'a> {
    layout: &'a Layout,
    values: Vec<f32>,
    loaded: HashSet<String>,
    /// A stored output matrix that the layout has no place for.
    stray_head: Option<Stored>,
}

/// One tensor inside a file.
struct Stored {
    path: PathBuf,
    kind: WeightType,
    offset: u64,
    elements: usize,
}

impl Loading<'_> {
    fn read_file(&mut self, path: &Path) -> Result<(), LmError> {
        let mut file = File::open(path).map_err(io_error(path, "read"))?;
        let (start, metadata) = header(&mut file, path)?;
        // In the order of the file, so that the disk is read once from front to back.
        for name in metadata.offset_keys() {
            let Some(info) = metadata.info(&name) else {
                continue;
            };
            if name.ends_with("rotary_emb.inv_freq") {
                continue;
            }
            self.place(&mut file, path, start, &name, info)?;
        }
        Ok(())
    }

    fn place(
        &mut self,
        file: &mut File,
        path: &Path,
        start: u64,
        name: &str,
        info: &TensorInfo,
    ) -> Result<(), LmError> {
        let tied_head = name == HEAD && self.layout.get(HEAD).is_none();
        let wanted = if tied_head { EMBEDDING } else { name };
        let Some(parameter) = self.layout.get(wanted) else {
            return Err(LmError::TensorUnexpected {
                path: path.to_path_buf(),
                name: name.into(),
                found: info.shape.clone(),
            });
        };
        if parameter.shape != info.shape {
            return Err(LmError::TensorShape {
                path: path.to_path_buf(),
                name: name.into(),
                found: info.shape.clone(),
                expected: parameter.shape.clone(),
            });
        }
        let Some(kind) = WeightType::from_dtype(info.dtype) else {
            return Err(LmError::TensorType {
                path: path.to_path_buf(),
                name: name.into(),
                found: info.dtype.to_string(),
            });
        };
        if !self.loaded.insert(name.into()) {
            return Err(LmError::ShardIndex {
                path: path.to_path_buf(),
                reason: format!("tensor `{name}` is in another shard as well"),
            });
        }
        let stored = Stored {
            path: path.to_path_buf(),
            kind,
            offset: start + info.data_offsets.0 as u64,
            elements: parameter.range.len(),
        };
        if tied_head {
            self.stray_head = Some(stored);
            return Ok(());
        }
        stored.copy_to(file, &mut self.values[parameter.range.clone()])
    }

    fn finish(mut self, listing: &Path) -> Result<Vec<f32>, LmError> {
        // Of two tied matrices a checkpoint may hold either one.
        if let (Some(head), Some(embedding)) = (&self.stray_head, self.layout.get(EMBEDDING))
            && self.loaded.insert(EMBEDDING.into())
        {
            let mut file = File::open(&head.path).map_err(io_error(&head.path, "read"))?;
            head.copy_to(&mut file, &mut self.values[embedding.range.clone()])?;
            self.stray_head = None;
        }
        let missing = self
            .layout
            .parameters()
            .iter()
            .find(|parameter| !self.loaded.contains(&parameter.name));
        if let Some(parameter) = missing {
            return Err(LmError::TensorMissing {
                path: listing.to_path_buf(),
                name: parameter.name.clone(),
                expected: parameter.shape.clone(),
            });
        }
        if let (Some(head), Some(embedding)) = (self.stray_head, self.layout.get(EMBEDDING)) {
            let mut file = File::open(&head.path).map_err(io_error(&head.path, "read"))?;
            let mut rest = &self.values[embedding.range.clone()];
            let equal = head.stream(&mut file, |chunk| {
                let (front, tail) = rest.split_at(chunk.len());
                rest = tail;
                front == chunk
            })?;
            if !equal {
                return Err(LmError::TiedHeadDiffers { path: head.path });
            }
        }
        Ok(self.values)
    }
}

impl Stored {
    /// Reads all elements into `values`.
    fn copy_to(&self, file: &mut File, values: &mut [f32]) -> Result<(), LmError> {
        let mut rest = values;
        self.stream(file, |chunk| {
            let (head, tail) = std::mem::take(&mut rest).split_at_mut(chunk.len());
            head.copy_from_slice(chunk);
            rest = tail;
            true
        })?;
        Ok(())
    }

    /// Hands the elements to `take` as f32, chunk by chunk, until it says false;
    /// returns what it said last.
    fn stream(
        &self,
        file: &mut File,
        mut take: impl FnMut(&[f32]) -> bool,
    ) -> Result<bool, LmError> {
        file.seek(SeekFrom::Start(self.offset))
            .map_err(io_error(&self.path, "read"))?;
        let mut bytes = vec![0u8; CHUNK.min(self.elements) * self.kind.bytes()];
        let mut values = vec![0f32; CHUNK.min(self.elements)];
        let mut left = self.elements;
        while left > 0 {
            let count = left.min(CHUNK);
            let bytes = &mut bytes[..count * self.kind.bytes()];
            file.read_exact(bytes)
                .map_err(io_error(&self.path, "read"))?;
            widen(self.kind, bytes, &mut values[..count]);
            if !take(&values[..count]) {
                return Ok(false);
            }
            left -= count;
        }
        Ok(true)
    }
}

/// Little-endian elements to f32; exact for every supported type.
fn widen(kind: WeightType, bytes: &[u8], values: &mut [f32]) {
    match kind {
        WeightType::F32 => {
            let (words, _) = bytes.as_chunks();
            for (value, word) in values.iter_mut().zip(words) {
                *value = f32::from_le_bytes(*word);
            }
        }
        WeightType::Bf16 => {
            let (words, _) = bytes.as_chunks();
            for (value, word) in values.iter_mut().zip(words) {
                *value = bf16::from_le_bytes(*word).to_f32();
            }
        }
        WeightType::F16 => {
            let (words, _) = bytes.as_chunks();
            let halves: Vec<f16> = words.iter().map(|word| f16::from_le_bytes(*word)).collect();
            halves.convert_to_f32_slice(values);
        }
    }
}

/// Reads and checks a safetensors header; returns where the data starts.
///
/// The format's crate wants the whole file in memory, so the frame (length,
/// JSON, padding) is read here and the JSON's meaning is checked there.
fn header(file: &mut File, path: &Path) -> Result<(u64, Metadata), LmError> {
    let damaged = |source| LmError::Safetensors {
        path: path.to_path_buf(),
        source,
    };
    let file_bytes = file.metadata().map_err(io_error(path, "read"))?.len();
    let mut length = [0u8; LENGTH_BYTES];
    file.read_exact(&mut length)
        .map_err(|_| damaged(SafeTensorError::HeaderTooSmall))?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER {
        return Err(damaged(SafeTensorError::HeaderTooLarge));
    }
    let start = LENGTH_BYTES as u64 + length;
    if start > file_bytes {
        return Err(damaged(SafeTensorError::InvalidHeaderLength));
    }
    let mut text = Vec::new();
    file.take(length)
        .read_to_end(&mut text)
        .map_err(io_error(path, "read"))?;
    let metadata: Metadata = serde_json::from_slice(&text)
        .map_err(|error| damaged(SafeTensorError::InvalidHeaderDeserialization(error)))?;
    if start + metadata.data_len() as u64 != file_bytes {
        return Err(damaged(SafeTensorError::MetadataIncompleteBuffer));
    }
    Ok((start, metadata))
}

/// The error for a folder without weights, with a hint at what is there instead.
fn no_weights(folder: &Path) -> LmError {
    let other = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .find(|name| {
            [".bin", ".pt", ".pth", ".gguf", ".safetensors"]
                .iter()
                .any(|end| name.ends_with(end))
        });
    LmError::NoWeights {
        folder: folder.to_path_buf(),
        hint: other.map_or_else(String::new, |name| {
            format!(" (found {name}; convert it by loading the model with transformers and `save_pretrained`)")
        }),
    }
}
