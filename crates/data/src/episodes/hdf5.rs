//! HDF5 files, and their columns.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use hdf5_pure::{
    ChunkCacheConfig, DType, Dataset, Error, File, FileAccessProperties, FormatError, Group,
};

use super::EpisodeError;
use super::table::{Column, ColumnFile, Numbers};

/// Bytes of unpacked chunks that are kept for the next block, a column.
const CACHE_BYTES: usize = 1 << 20;

/// An open file, or a group in it.
pub(super) struct Hdf5 {
    path: PathBuf,
    /// Size of the file.
    bytes: u64,
    /// Where in the file: "" or "episode_0/".
    prefix: String,
    group: Group,
}

impl Hdf5 {
    pub(super) fn open(path: &Path) -> Result<Self, EpisodeError> {
        let bytes = std::fs::metadata(path)
            .map_err(|reason| EpisodeError::Open {
                path: path.to_owned(),
                reason,
            })?
            .len();
        let access = FileAccessProperties::new()
            .with_chunk_cache(ChunkCacheConfig::from_h5p_cache(521, CACHE_BYTES));
        let group = guarded(path, "the file", || {
            File::open_streaming_with_options(path, access).map(|file| file.root())
        })?;
        Ok(Self {
            path: path.to_owned(),
            bytes,
            prefix: String::new(),
            group,
        })
    }

    /// Names of the groups and columns.
    pub(super) fn names(&self) -> Result<Vec<String>, EpisodeError> {
        names(&self.path, &self.group)
    }

    /// The groups with their names.
    pub(super) fn groups(&self) -> Result<Vec<(String, Hdf5)>, EpisodeError> {
        let groups = guarded(&self.path, "the file", || self.group.iter_groups())?;
        Ok(groups
            .map(|(name, group)| {
                let hdf5 = Hdf5 {
                    path: self.path.clone(),
                    bytes: self.bytes,
                    prefix: format!("{}{name}/", self.prefix),
                    group,
                };
                (name, hdf5)
            })
            .collect())
    }

    fn missing(&self, name: &str) -> EpisodeError {
        match self.names() {
            Ok(names) => EpisodeError::Missing {
                path: self.path.clone(),
                column: format!("{}{name}", self.prefix),
                found: listed(&names),
            },
            Err(error) => error,
        }
    }
}

impl ColumnFile for Hdf5 {
    fn column(&self, name: &str, field: &'static str) -> Result<Column, EpisodeError> {
        let full = format!("{}{name}", self.prefix);
        let place = format!("`{full}`");
        let found = guarded(&self.path, &place, || match self.group.dataset(name) {
            Ok(dataset) => {
                // Refuses a layout that could not be read later.
                dataset.layout()?;
                Ok(Some(Ok((dataset.shape()?, dataset.dtype()?, dataset))))
            }
            Err(Error::NotADataset(_)) => self.group.group(name).map(|group| Some(Err(group))),
            Err(Error::NotAGroup(_) | Error::Format(FormatError::PathNotFound(_))) => Ok(None),
            Err(error) => Err(error),
        })?;
        let (shape, dtype, dataset) = match found {
            Some(Ok(found)) => found,
            Some(Err(group)) => {
                return Err(EpisodeError::Group {
                    found: listed(&names(&self.path, &group)?),
                    path: self.path.clone(),
                    column: full,
                    field,
                });
            }
            None => return Err(self.missing(name)),
        };
        let numeric = matches!(
            dtype,
            DType::F32
                | DType::F64
                | DType::I8
                | DType::I16
                | DType::I32
                | DType::I64
                | DType::U8
                | DType::U16
                | DType::U32
                | DType::U64
                // h5py stores bools as one of FALSE and TRUE.
                | DType::Enum(_)
        );
        if !numeric {
            return Err(EpisodeError::Type {
                path: self.path.clone(),
                column: full,
                found: dtype.to_string(),
            });
        }
        Column::new(&self.path, &full, &shape, self.bytes, Box::new(dataset))
    }
}

impl Numbers for Dataset {
    fn read(&mut self, from: u64, count: u64) -> Result<Vec<f32>, String> {
        caught(|| self.read_f32_rows(from, count)).map_err(|(reason, _)| reason)
    }
}

/// Whether the file begins as HDF5 does.
pub(super) fn is_hdf5(path: &Path) -> bool {
    hdf5_pure::is_hdf5(path).unwrap_or(false)
}

fn names(path: &Path, group: &Group) -> Result<Vec<String>, EpisodeError> {
    guarded(path, "the file", || {
        let mut names = group.datasets()?;
        names.extend(group.groups()?.into_iter().map(|name| name + "/"));
        names.sort();
        Ok(names)
    })
}

/// The first names, and how many there are more.
pub(super) fn listed(names: &[String]) -> String {
    const LISTED: usize = 12;
    match names.len() {
        0 => "nothing".to_owned(),
        count if count > LISTED => {
            format!("{} and {} more", names[..LISTED].join(", "), count - LISTED)
        }
        _ => names.join(", "),
    }
}

/// Runs the decoder. It returns errors for damaged files; should it ever panic
/// on one, to the user that is the same.
fn caught<T>(decode: impl FnOnce() -> Result<T, Error>) -> Result<T, (String, Option<Error>)> {
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(Ok(decoded)) => Ok(decoded),
        Ok(Err(error)) => {
            let reason = error.to_string().replace("HDF5 format error: ", "");
            Err((reason, Some(error)))
        }
        Err(_) => Err(("the decoder gave up on damaged content".to_owned(), None)),
    }
}

fn guarded<T>(
    path: &Path,
    place: &str,
    decode: impl FnOnce() -> Result<T, Error>,
) -> Result<T, EpisodeError> {
    caught(decode).map_err(|(reason, error)| match error {
        // HDF5 2.0 writes it where it is asked for its own newest format.
        Some(Error::Format(FormatError::InvalidLayoutVersion(5))) => EpisodeError::Unsupported {
            path: path.to_owned(),
            place: place.to_owned(),
            found: "is laid out as only HDF5 2.0 and later do",
            remedy: "write the file with libver=\"v114\" or without libver, or run h5repack on it",
        },
        _ => EpisodeError::Damaged {
            path: path.to_owned(),
            place: place.to_owned(),
            reason,
        },
    })
}
