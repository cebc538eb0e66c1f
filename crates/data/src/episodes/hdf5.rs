//! HDF5 files, and their columns.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use hdf5_reader::error::Error;
use hdf5_reader::group::Group;
use hdf5_reader::messages::HdfMessage;
use hdf5_reader::{
    BlockCacheStorage, ByteOrder, Dataset, Datatype, ExternalLinkResolver, FileStorage, H5Type,
    Hdf5File, OpenOptions, SliceInfo, SliceInfoElem,
};

use iwsft_files::Looks;

use super::EpisodeError;
use super::filters::{self, registry};
use super::table::{Column, ColumnFile, MAX_EXPANSION, Numbers};

/// Largest chunk that is unpacked; libraries write chunks of a few MiB.
const MAX_CHUNK_BYTES: u64 = 256 << 20;

/// What the layout of a virtual data set is called in a file.
const VIRTUAL: u8 = 3;

/// Largest header of an object, which are a few KiB.
const MAX_HEADER_BYTES: usize = 4 << 20;

/// Pieces of the file that are kept, as headers lie together.
const PIECE_BYTES: usize = 4096;
const PIECES: usize = 256;

/// An open file, or a group in it.
pub(super) struct Hdf5 {
    path: PathBuf,
    /// Size of the file.
    bytes: u64,
    /// Where in the file: "" or "episode_0/".
    prefix: String,
    file: Arc<Hdf5File>,
    group: Group,
    elsewhere: Arc<Elsewhere>,
}

/// Notes which other files links lead to. They are not followed: a file that
/// someone sent must not open others.
#[derive(Default)]
struct Elsewhere(Mutex<Vec<String>>);

impl Elsewhere {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ExternalLinkResolver for Elsewhere {
    fn resolve_external_link(&self, name: &str) -> Result<Option<Hdf5File>, Error> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.push(name.to_owned());
        Ok(None)
    }
}

impl Hdf5 {
    pub(super) fn open(path: &Path) -> Result<Self, EpisodeError> {
        let open_error = |reason| EpisodeError::Open {
            path: path.to_owned(),
            reason,
        };
        let bytes = std::fs::metadata(path).map_err(open_error)?.len();
        if let (false, Some(looks)) = (is_hdf5(path), Looks::of_file(path)) {
            return Err(EpisodeError::Disguised {
                path: path.to_owned(),
                looks,
            });
        }
        let elsewhere = Arc::new(Elsewhere::default());
        let options = OpenOptions {
            // Columns keep what they have unpacked themselves.
            chunk_cache_bytes: 0,
            filter_registry: Some(registry()),
            external_link_resolver: Some(elsewhere.clone()),
            max_chunk_bytes: (MAX_CHUNK_BYTES.min(most_unpacked(bytes))) as usize,
            max_object_header_bytes: MAX_HEADER_BYTES,
            ..OpenOptions::default()
        };
        let (file, group) = guarded(path, "the file", || {
            let file =
                BlockCacheStorage::new(Arc::new(FileStorage::open(path)?), PIECE_BYTES, PIECES);
            let file = Hdf5File::from_storage_with_options(Arc::new(file), options)?;
            let group = file.root_group()?;
            Ok((file, group))
        })?;
        Ok(Self {
            path: path.to_owned(),
            bytes,
            prefix: String::new(),
            file: Arc::new(file),
            group,
            elsewhere,
        })
    }

    /// Names of the groups, each with a `/`, and of the columns.
    pub(super) fn names(&self) -> Result<Vec<String>, EpisodeError> {
        names(&self.path, &self.group)
    }

    /// Whether there is a group of this name.
    pub(super) fn has_group(&self, name: &str) -> bool {
        guarded(&self.path, "the file", || self.group.group(name)).is_ok()
    }

    /// The groups with their names.
    pub(super) fn groups(&self) -> Result<Vec<(String, Hdf5)>, EpisodeError> {
        let groups = guarded(&self.path, "the file", || self.group.groups())?;
        Ok(groups
            .into_iter()
            .map(|group| {
                let name = group.name().to_owned();
                let hdf5 = Hdf5 {
                    path: self.path.clone(),
                    bytes: self.bytes,
                    prefix: format!("{}{name}/", self.prefix),
                    file: self.file.clone(),
                    group,
                    elsewhere: self.elsewhere.clone(),
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

    /// What stands under a name, behind all links within the file.
    fn find(&self, name: &str) -> Result<Option<Found>, Error> {
        let mut parts = name.split('/').filter(|part| !part.is_empty()).peekable();
        let mut group = self.group.clone();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return match group.dataset(part) {
                    Ok(dataset) => Ok(Some(Found::Dataset(Box::new(dataset)))),
                    Err(error) if is_absent(&error) => match group.group(part) {
                        Ok(group) => Ok(Some(Found::Group(group))),
                        Err(error) if is_absent(&error) => Ok(None),
                        Err(error) => Err(error),
                    },
                    Err(error) => Err(error),
                };
            }
            group = match group.group(part) {
                Ok(group) => group,
                Err(error) if is_absent(&error) => return Ok(None),
                Err(error) => return Err(error),
            };
        }
        Ok(None)
    }

    /// Refuses a column that is stored in a way that is not read.
    fn check_storage(&self, place: &str, dataset: &Dataset) -> Result<(), EpisodeError> {
        let header = guarded(&self.path, place, || {
            self.file.get_or_parse_header(dataset.address())
        })?;
        for message in &header.messages {
            let found = match message {
                HdfMessage::ExternalFiles(_) => {
                    "keeps its numbers in another file, which is not read".to_owned()
                }
                HdfMessage::FilterPipeline(pipeline) => {
                    match pipeline.filters.iter().find_map(filters::unknown) {
                        Some(name) => format!("is compressed with {name}, which is not read"),
                        None => continue,
                    }
                }
                _ => continue,
            };
            return Err(unsupported(&self.path, place, found));
        }
        Ok(())
    }
}

enum Found {
    Dataset(Box<Dataset>),
    Group(Group),
}

impl ColumnFile for Hdf5 {
    fn column(&self, name: &str, field: &'static str) -> Result<Column, EpisodeError> {
        let full = format!("{}{name}", self.prefix);
        let place = format!("`{full}`");
        self.elsewhere.take();
        let dataset = match guarded(&self.path, &place, || self.find(name))? {
            Some(Found::Dataset(dataset)) => dataset,
            Some(Found::Group(group)) => {
                return Err(EpisodeError::Group {
                    found: listed(&names(&self.path, &group)?),
                    path: self.path.clone(),
                    column: full,
                    field,
                });
            }
            None => {
                return Err(match self.elsewhere.take().pop() {
                    Some(other) => unsupported(
                        &self.path,
                        &place,
                        format!("is a link to another file ({other}), which is not followed"),
                    ),
                    None => self.missing(name),
                });
            }
        };
        if decoder(dataset.dtype()).is_none() {
            return Err(EpisodeError::Type {
                path: self.path.clone(),
                column: full,
                found: described(dataset.dtype()),
            });
        }
        self.check_storage(&place, &dataset)?;
        let shape = dataset.shape().to_vec();
        let rows = Rows {
            path: self.path.clone(),
            place,
            rows: shape.first().copied().unwrap_or(0),
            width: shape.get(1).copied(),
            band: dataset
                .chunks()
                .and_then(|chunk| chunk.first().copied())
                .unwrap_or(1)
                .into(),
            dataset: *dataset,
            kept: Vec::new(),
        };
        Column::new(&self.path, &full, &shape, self.bytes, Box::new(rows))
    }
}

/// Bytes that a file of so many may hold when unpacked.
fn most_unpacked(bytes: u64) -> u64 {
    bytes.saturating_mul(MAX_EXPANSION).saturating_add(1 << 16)
}

/// A data set's rows from the top down, each chunk unpacked once.
struct Rows {
    path: PathBuf,
    place: String,
    dataset: Dataset,
    rows: u64,
    /// Numbers in a row of two dimensions.
    width: Option<u64>,
    /// Rows of a chunk.
    band: u64,
    /// The numbers behind those that were asked for, to the end of their chunks.
    kept: Vec<f32>,
}

impl Numbers for Rows {
    fn read(&mut self, from: u64, count: u64) -> Result<Vec<f32>, EpisodeError> {
        let width = self.width.unwrap_or(1);
        // Within bounds: the column's size was checked against the file's.
        let wanted = (count * width) as usize;
        let mut numbers = std::mem::take(&mut self.kept);
        if numbers.len() < wanted {
            let first = from + numbers.len() as u64 / width.max(1);
            let last = (from + count)
                .next_multiple_of(self.band.max(1))
                .min(self.rows);
            let read = guarded(&self.path, &self.place, || self.slice(first, last))?;
            match numbers.is_empty() {
                true => numbers = read,
                false => numbers.extend(read),
            }
        }
        self.kept = numbers.split_off(wanted.min(numbers.len()));
        Ok(numbers)
    }
}

impl Rows {
    fn slice(&self, first: u64, last: u64) -> Result<Vec<f32>, Error> {
        let range = |start, end| SliceInfoElem::Slice {
            start,
            end,
            step: 1,
        };
        let mut selections = vec![range(first, last)];
        selections.extend(self.width.map(|width| range(0, width)));
        let numbers = self
            .dataset
            .read_slice::<Single>(&SliceInfo { selections })?;
        Ok(numbers.into_iter().map(|single| single.0).collect())
    }
}

/// Any number as a 32-bit float.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Single(f32);

impl H5Type for Single {
    fn hdf5_type() -> Datatype {
        f32::hdf5_type()
    }

    fn from_bytes(bytes: &[u8], of: &Datatype) -> Result<Self, Error> {
        let decoded = Self::decode_vec(bytes, of, 1).transpose()?;
        let first = decoded.and_then(|numbers| numbers.first().copied());
        first.ok_or_else(|| Error::InvalidData("no number".to_owned()))
    }

    fn element_size(of: &Datatype) -> usize {
        decoder(of).map_or(1, |(size, _)| size)
    }

    fn decode_vec(raw: &[u8], of: &Datatype, count: usize) -> Option<Result<Vec<Self>, Error>> {
        let (size, decode) = decoder(of)?;
        let raw = raw.get(..count.checked_mul(size)?)?;
        Some(Ok(raw
            .chunks_exact(size)
            .map(|number| Self(decode(number)))
            .collect()))
    }

    fn native_copy_compatible(of: &Datatype) -> bool {
        *of == f32::hdf5_type()
    }
}

/// Makes a number of its bytes.
type Decode = fn(&[u8]) -> f32;

/// Bytes of a number, and how to decode it; none for what is no number.
fn decoder(of: &Datatype) -> Option<(usize, Decode)> {
    macro_rules! number {
        ($number:ty, $order:expr) => {{
            let decode: Decode = match $order {
                ByteOrder::BigEndian => |bytes| <$number>::from_be_bytes(first(bytes)) as f32,
                ByteOrder::LittleEndian => |bytes| <$number>::from_le_bytes(first(bytes)) as f32,
            };
            Some((size_of::<$number>(), decode))
        }};
    }
    match of {
        // h5py stores bools as one of FALSE and TRUE.
        Datatype::Enum { base, .. } => decoder(base),
        Datatype::FloatingPoint { size, byte_order } => match size {
            4 => number!(f32, byte_order),
            8 => number!(f64, byte_order),
            _ => None,
        },
        Datatype::FixedPoint {
            size,
            signed,
            byte_order,
        } => match (size, signed) {
            (1, true) => number!(i8, byte_order),
            (2, true) => number!(i16, byte_order),
            (4, true) => number!(i32, byte_order),
            (8, true) => number!(i64, byte_order),
            (1, false) => number!(u8, byte_order),
            (2, false) => number!(u16, byte_order),
            (4, false) => number!(u32, byte_order),
            (8, false) => number!(u64, byte_order),
            _ => None,
        },
        // PyTables stores bools so.
        Datatype::Bitfield {
            size: 1,
            byte_order,
        } => number!(u8, byte_order),
        _ => None,
    }
}

fn first<const SIZE: usize>(bytes: &[u8]) -> [u8; SIZE] {
    let mut first = [0; SIZE];
    first.copy_from_slice(&bytes[..SIZE]);
    first
}

/// A type in words.
fn described(of: &Datatype) -> String {
    match of {
        Datatype::FloatingPoint { size, .. } => format!("{}-bit floats", 8 * u32::from(*size)),
        Datatype::FixedPoint { size, .. } => format!("{}-bit integers", 8 * u32::from(*size)),
        Datatype::String { .. } => "text".to_owned(),
        Datatype::Compound { fields, .. } => {
            let names: Vec<_> = fields.iter().map(|field| field.name.clone()).collect();
            format!("records of {}", listed(&names))
        }
        Datatype::Array { .. } => "arrays".to_owned(),
        Datatype::Enum { base, .. } => described(base),
        Datatype::VarLen { .. } => "lists or texts of any length".to_owned(),
        Datatype::Opaque { .. } => "opaque bytes".to_owned(),
        Datatype::Reference { .. } => "references".to_owned(),
        Datatype::Bitfield { .. } => "bit fields".to_owned(),
    }
}

/// Whether the file begins as HDF5 does, behind a block of the user's or not.
pub(super) fn is_hdf5(path: &Path) -> bool {
    hdf5_pure::is_hdf5(path).unwrap_or(false)
}

fn names(path: &Path, group: &Group) -> Result<Vec<String>, EpisodeError> {
    guarded(path, "the file", || {
        let (groups, mut names) = group.member_names()?;
        names.extend(groups.into_iter().map(|name| name + "/"));
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

fn is_absent(error: &Error) -> bool {
    match error {
        Error::GroupNotFound(_) | Error::DatasetNotFound(_) => true,
        Error::Context { source, .. } => is_absent(source),
        _ => false,
    }
}

/// Runs the decoder. It returns errors for damaged files; should it ever panic
/// on one, to the user that is the same.
fn guarded<T>(
    path: &Path,
    place: &str,
    decode: impl FnOnce() -> Result<T, Error>,
) -> Result<T, EpisodeError> {
    let damaged = |reason: String| EpisodeError::Damaged {
        path: path.to_owned(),
        place: place.to_owned(),
        reason,
    };
    let error = match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(Ok(decoded)) => return Ok(decoded),
        Ok(Err(error)) => error,
        Err(_) => return Err(damaged("the decoder gave up on damaged content".to_owned())),
    };
    let (within, innermost) = innermost(&error);
    let (place, found) = match innermost {
        Error::UnsupportedLayoutClass(VIRTUAL) => (
            // Where names are listed, the library says at which it stopped.
            within.and_then(child).unwrap_or(place.to_owned()),
            "is a virtual data set, which shows numbers of others, and is not read".to_owned(),
        ),
        Error::ResourceLimit(limit) => (
            place.to_owned(),
            format!("is stored in pieces too large to unpack ({limit})"),
        ),
        Error::UnsupportedEncoding(what) => (place.to_owned(), format!("is not read ({what})")),
        _ => return Err(damaged(error.to_string())),
    };
    Err(unsupported(path, &place, found))
}

/// The error behind its contexts, and the innermost of these.
fn innermost(error: &Error) -> (Option<&str>, &Error) {
    let (mut within, mut error) = (None, error);
    while let Error::Context { path, source } = error {
        (within, error) = (Some(path.as_str()), source);
    }
    (within, error)
}

/// The name in `child 'rewards' at 0x60f`.
fn child(within: &str) -> Option<String> {
    let (name, _) = within.strip_prefix("child '")?.rsplit_once("' at ")?;
    Some(format!("`{name}`"))
}

/// A column that h5py reads and this crate does not, and how to write it again.
fn unsupported(path: &Path, place: &str, found: String) -> EpisodeError {
    let name = place.trim_matches('`');
    EpisodeError::Unsupported {
        path: path.to_owned(),
        place: place.to_owned(),
        found,
        remedy: format!(
            "the file is whole: write the column again with gzip, in Python on a copy of it: \
             import h5py, hdf5plugin; f = h5py.File(\"copy.hdf5\", \"r+\"); x = f[\"{name}\"][()]; del f[\"{name}\"]; \
             f.create_dataset(\"{name}\", data=x, compression=\"gzip\")"
        ),
    }
}
