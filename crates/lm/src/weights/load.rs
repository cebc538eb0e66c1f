//! Reading checkpoints into one flat buffer.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use iwsft_engine::Layout;
use iwsft_files::Looks;
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
    let listing = Listing::read(folder, layout)?;
    // Only now: a folder that lies about its sizes takes no memory.
    let mut values = vec![0.0; layout.len()];
    let mut open: Option<(&Path, File)> = None;
    for (stored, range) in &listing.tensors {
        let file = match &mut open {
            Some((path, file)) if *path == stored.path => file,
            other => &mut other.insert((&stored.path, open_file(&stored.path)?)).1,
        };
        stored.copy_to(file, &mut values[range.clone()])?;
    }
    listing.require_tied(layout, &values)?;
    Ok(values)
}

/// Checks that the weights in `folder` are those of `layout`, by their headers
/// alone: nothing is allocated that the folder's files do not hold.
///
/// # Errors
/// As [`load`], but for what only the weights themselves show.
pub fn check(folder: &Path, layout: &Layout) -> Result<(), LmError> {
    Listing::read(folder, layout).map(drop)
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

/// What the headers of a folder's weights say, checked against a layout.
struct Listing {
    /// Tensors in the order of the files, each with its place in the layout.
    tensors: Vec<(Stored, Range<usize>)>,
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

impl Listing {
    fn read(folder: &Path, layout: &Layout) -> Result<Self, LmError> {
        let mut listing = Self {
            tensors: Vec::new(),
            stray_head: None,
        };
        let mut names = HashSet::new();
        let whole = folder.join(WHOLE_FILE);
        let path = if whole.is_file() {
            listing.add_file(&whole, layout, &mut names)?;
            whole
        } else {
            let index = folder.join(INDEX_FILE);
            let Some(content) = json_if_present::<ShardIndex>(&index)? else {
                return Err(no_weights(folder));
            };
            for shard in content.shards(&index)? {
                listing.add_file(&folder.join(shard), layout, &mut names)?;
            }
            index
        };
        // Of two tied matrices a checkpoint may hold either one.
        if let Some(embedding) = layout.get(EMBEDDING)
            && !names.contains(EMBEDDING)
            && let Some(head) = listing.stray_head.take()
        {
            listing.tensors.push((head, embedding.range.clone()));
            names.insert(EMBEDDING.into());
        }
        let mut parameters = layout.parameters().iter();
        match parameters.find(|parameter| !names.contains(&parameter.name)) {
            None => Ok(listing),
            Some(missing) => Err(LmError::TensorMissing {
                path,
                name: missing.name.clone(),
                expected: missing.shape.clone(),
            }),
        }
    }

    /// Adds the tensors of one file.
    fn add_file(
        &mut self,
        path: &Path,
        layout: &Layout,
        names: &mut HashSet<String>,
    ) -> Result<(), LmError> {
        let (start, metadata) = header(&mut open_file(path)?, path)?;
        // In the order of the file, so that the disk is read once from front to back.
        for name in metadata.offset_keys() {
            let Some(info) = metadata.info(&name) else {
                continue;
            };
            if name.ends_with("rotary_emb.inv_freq") {
                continue;
            }
            self.add(path, start, &name, info, layout)?;
            if !names.insert(name.clone()) {
                return Err(LmError::ShardIndex {
                    path: path.to_path_buf(),
                    reason: format!("tensor `{name}` is in another shard as well"),
                });
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        path: &Path,
        start: u64,
        name: &str,
        info: &TensorInfo,
        layout: &Layout,
    ) -> Result<(), LmError> {
        let tied_head = name == HEAD && layout.get(HEAD).is_none();
        let wanted = if tied_head { EMBEDDING } else { name };
        let Some(parameter) = layout.get(wanted) else {
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
        let stored = Stored {
            path: path.to_path_buf(),
            kind,
            offset: start + info.data_offsets.0 as u64,
            elements: parameter.range.len(),
        };
        if tied_head {
            self.stray_head = Some(stored);
        } else {
            self.tensors.push((stored, parameter.range.clone()));
        }
        Ok(())
    }

    /// Refuses an output matrix that is stored beside the embedding and differs,
    /// where the model has one for both.
    fn require_tied(self, layout: &Layout, values: &[f32]) -> Result<(), LmError> {
        let (Some(head), Some(embedding)) = (self.stray_head, layout.get(EMBEDDING)) else {
            return Ok(());
        };
        let mut rest = &values[embedding.range.clone()];
        let equal = head.stream(&mut open_file(&head.path)?, |chunk| {
            let (front, tail) = rest.split_at(chunk.len());
            rest = tail;
            front == chunk
        })?;
        match equal {
            true => Ok(()),
            false => Err(LmError::TiedHeadDiffers { path: head.path }),
        }
    }
}

fn open_file(path: &Path) -> Result<File, LmError> {
    File::open(path).map_err(io_error(path, "read"))
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
    let damaged = |source| match Looks::of_file(path) {
        Some(looks) => LmError::Disguised {
            path: path.to_path_buf(),
            looks,
        },
        None => LmError::Safetensors {
            path: path.to_path_buf(),
            source,
        },
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
