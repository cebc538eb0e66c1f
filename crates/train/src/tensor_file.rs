//! Flat tensors in one safetensors file, written and read a piece at a time:
//! the optimizer's state is larger than the model, so no copy of it as a whole
//! is ever held.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use iwsft_engine::Tensor;
use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, SafeTensorError};

use crate::TrainError;

/// Elements converted at a time.
const PIECE: usize = 1 << 18;

/// The longest header that the format allows.
const MAX_HEADER: u64 = 100_000_000;

const REMEDY: &str = "resume from an earlier checkpoint by removing this one";

/// Writes the named tensors to `path`, each of shape `[len]`, in f32, and
/// flushes them to the disk.
pub(crate) fn write(path: &Path, tensors: &[(&str, &Tensor)]) -> io::Result<()> {
    let header = header(tensors).map_err(io::Error::other)?;
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&header)?;
    for (_, tensor) in tensors {
        for start in (0..tensor.len()).step_by(PIECE) {
            let end = (start + PIECE).min(tensor.len());
            for value in tensor.view(start..end).to_host() {
                file.write_all(&value.to_le_bytes())?;
            }
        }
    }
    file.into_inner()?.sync_all()
}

/// The header of the format, padded so that the data is aligned.
fn header(tensors: &[(&str, &Tensor)]) -> Result<Vec<u8>, SafeTensorError> {
    const ALIGNMENT: usize = 8;
    let mut end = 0;
    let entries = tensors.iter().map(|(name, tensor)| {
        let start = end;
        end += size_of::<f32>() * tensor.len();
        let (shape, data_offsets) = (vec![tensor.len()], (start, end));
        let info = TensorInfo {
            dtype: Dtype::F32,
            shape,
            data_offsets,
        };
        ((*name).to_owned(), info)
    });
    let mut text = serde_json::to_vec(&Metadata::new(None, entries.collect())?)?;
    text.resize(text.len().next_multiple_of(ALIGNMENT), b' ');
    Ok(text)
}

/// Overwrites each named tensor with what `path` holds under that name.
///
/// # Errors
/// If the file cannot be read, is cut short, or lacks a tensor of that name
/// with as many elements.
pub(crate) fn read(path: &Path, tensors: &mut [(&str, &mut Tensor)]) -> Result<(), TrainError> {
    let damaged = |reason: String| TrainError::Damaged {
        path: path.to_owned(),
        reason,
        remedy: REMEDY,
    };
    let fail = || TrainError::io("read", path);

    let file = File::open(path).map_err(fail())?;
    let size = file.metadata().map_err(fail())?.len();
    let mut file = BufReader::new(file);
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(fail())?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER.min(size.saturating_sub(8)) {
        return Err(damaged(format!(
            "its header claims {length} bytes of a file of {size}"
        )));
    }
    let mut header = vec![0; length as usize];
    file.read_exact(&mut header).map_err(fail())?;
    let metadata: Metadata = serde_json::from_slice(&header)
        .map_err(|error| damaged(format!("its header is not valid ({error})")))?;
    let expected = 8 + length + metadata.data_len() as u64;
    if size != expected {
        return Err(damaged(format!("it has {size} bytes, expected {expected}")));
    }

    for (name, tensor) in tensors {
        let info = metadata
            .info(name)
            .ok_or_else(|| damaged(format!("it has no tensor `{name}`")))?;
        if info.dtype != Dtype::F32 || info.shape != [tensor.len()] {
            return Err(damaged(format!(
                "tensor `{name}` is {:?} {:?}, expected F32 [{}]",
                info.dtype,
                info.shape,
                tensor.len()
            )));
        }
        let start = 8 + length + info.data_offsets.0 as u64;
        file.seek(SeekFrom::Start(start)).map_err(fail())?;
        read_values(&mut file, tensor).map_err(fail())?;
    }
    Ok(())
}

fn read_values(file: &mut impl Read, tensor: &mut Tensor) -> io::Result<()> {
    let mut bytes = vec![0; PIECE.min(tensor.len()) * size_of::<f32>()];
    let mut values = Vec::with_capacity(PIECE.min(tensor.len()));
    let mut start = 0;
    while start < tensor.len() {
        let count = PIECE.min(tensor.len() - start);
        let bytes = &mut bytes[..count * size_of::<f32>()];
        file.read_exact(bytes)?;
        values.clear();
        let (words, _) = bytes.as_chunks::<4>();
        values.extend(words.iter().map(|word| f32::from_le_bytes(*word)));
        tensor.copy_from_host(start, &values);
        start += count;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_survive_a_round_trip_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.safetensors");
        let long: Vec<f32> = (0..PIECE + 3).map(|i| 1.0 / (i as f32 + 0.3)).collect();
        let odd = [f32::MIN_POSITIVE / 4.0, -0.0, f32::MAX];
        write(
            &path,
            &[
                ("m", &Tensor::from_host(&long)),
                ("v", &Tensor::from_host(&odd)),
            ],
        )
        .unwrap();
        let (mut m, mut v) = (Tensor::zeros(long.len()), Tensor::zeros(odd.len()));
        read(&path, &mut [("v", &mut v), ("m", &mut m)]).unwrap();
        let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&m.to_host()), bits(&long));
        assert_eq!(bits(&v.to_host()), bits(&odd));
    }

    #[test]
    fn a_file_cut_anywhere_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.safetensors");
        write(&path, &[("m", &Tensor::from_host(&[1.0, 2.0]))]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let result = read(&path, &mut [("m", &mut Tensor::zeros(2))]);
            assert!(result.is_err(), "{length} of {} bytes", whole.len());
        }
    }

    #[test]
    fn a_tensor_of_another_size_is_refused_with_both_sizes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.safetensors");
        write(&path, &[("m", &Tensor::zeros(2))]).unwrap();
        let error = read(&path, &mut [("m", &mut Tensor::zeros(3))]).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("[2]") && message.contains("[3]"),
            "{message}"
        );
    }
}
