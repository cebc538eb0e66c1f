//! NumPy's `.npz`: a ZIP archive of arrays.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use flate2::CrcReader;
use flate2::read::DeflateDecoder;
use npyz::{NpyHeader, Order};
use zip::{CompressionMethod, ZipArchive};

use super::EpisodeError;
use super::hdf5::listed;
use super::table::{Column, ColumnFile, Numbers};

/// An archive, and where its arrays are.
pub(super) struct Npz {
    path: PathBuf,
    /// Size of the archive.
    bytes: u64,
    members: Vec<Member>,
}

/// One array of the archive.
struct Member {
    name: String,
    start: u64,
    compressed_size: u64,
    deflated: bool,
    crc: u32,
}

impl Npz {
    pub(super) fn open(path: &Path) -> Result<Self, EpisodeError> {
        let open_error = |reason| EpisodeError::Open {
            path: path.to_owned(),
            reason,
        };
        let damaged = |reason: String| EpisodeError::Damaged {
            path: path.to_owned(),
            place: "the archive".to_owned(),
            reason,
        };
        let unsupported = |name: &str, found: &str, remedy: &str| EpisodeError::Unsupported {
            path: path.to_owned(),
            place: format!("`{name}`"),
            found: found.to_owned(),
            remedy: remedy.to_owned(),
        };
        let file = File::open(path).map_err(open_error)?;
        let bytes = file.metadata().map_err(open_error)?.len();
        let mut archive =
            ZipArchive::new(BufReader::new(file)).map_err(|error| damaged(error.to_string()))?;
        let mut members = Vec::new();
        for index in 0..archive.len() {
            let entry = archive
                .by_index_raw(index)
                .map_err(|error| damaged(error.to_string()))?;
            let name = entry.name().map_err(|error| damaged(error.to_string()))?;
            let Some(name) = name.strip_suffix(".npy").map(str::to_owned) else {
                continue;
            };
            let deflated = match entry.compression() {
                CompressionMethod::Stored => false,
                CompressionMethod::Deflated => true,
                _ => {
                    return Err(unsupported(
                        &name,
                        "is compressed otherwise than NumPy does",
                        "write it with numpy.savez_compressed",
                    ));
                }
            };
            if entry.encrypted() {
                return Err(unsupported(&name, "is encrypted", "decrypt the archive"));
            }
            members.push(Member {
                start: entry
                    .data_start()
                    .ok_or_else(|| damaged(format!("`{name}` has no beginning")))?,
                compressed_size: entry.compressed_size(),
                crc: entry.crc32(),
                name,
                deflated,
            });
        }
        Ok(Self {
            path: path.to_owned(),
            bytes,
            members,
        })
    }

    fn reader(&self, member: &Member) -> io::Result<CrcReader<Box<dyn Read + Send>>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(member.start))?;
        let packed = BufReader::new(file.take(member.compressed_size));
        Ok(CrcReader::new(if member.deflated {
            Box::new(BufReader::new(DeflateDecoder::new(packed)))
        } else {
            Box::new(packed)
        }))
    }
}

impl ColumnFile for Npz {
    fn column(&self, name: &str, _: &'static str) -> Result<Column, EpisodeError> {
        let Some(member) = self.members.iter().find(|member| member.name == name) else {
            let names: Vec<_> = self.members.iter().map(|m| m.name.clone()).collect();
            return Err(EpisodeError::Missing {
                path: self.path.clone(),
                column: name.to_owned(),
                found: listed(&names),
            });
        };
        let damaged = |reason: String| EpisodeError::Damaged {
            path: self.path.clone(),
            place: format!("`{name}`"),
            reason,
        };
        let mut reader = self
            .reader(member)
            .map_err(|error| damaged(error.to_string()))?;
        let header = header(&mut reader).map_err(damaged)?;
        let shape = header.shape();
        if header.order() == Order::Fortran && shape.len() > 1 {
            return Err(EpisodeError::Unsupported {
                path: self.path.clone(),
                place: format!("`{name}`"),
                found: "is stored column by column".to_owned(),
                remedy: "save numpy.ascontiguousarray of it".to_owned(),
            });
        }
        let dtype = header.dtype().descr();
        let dtype = dtype.trim_matches('\'');
        let Some((size, decode)) = element(dtype) else {
            return Err(EpisodeError::Type {
                path: self.path.clone(),
                column: name.to_owned(),
                found: dtype.to_owned(),
            });
        };
        let array = Array {
            path: self.path.clone(),
            name: name.to_owned(),
            reader,
            size,
            decode,
            crc: member.crc,
            rows: shape.first().copied().unwrap_or(0),
            width: shape.iter().skip(1).product(),
        };
        Column::new(&self.path, name, shape, self.bytes, Box::new(array))
    }
}

/// An array's numbers, behind its header.
struct Array {
    path: PathBuf,
    name: String,
    reader: CrcReader<Box<dyn Read + Send>>,
    /// Bytes of a number.
    size: usize,
    decode: Decode,
    crc: u32,
    rows: u64,
    width: u64,
}

impl Numbers for Array {
    fn read(&mut self, from: u64, count: u64) -> Result<Vec<f32>, EpisodeError> {
        self.numbers(from, count)
            .map_err(|reason| EpisodeError::Damaged {
                path: self.path.clone(),
                place: format!("`{}`", self.name),
                reason,
            })
    }
}

impl Array {
    fn numbers(&mut self, from: u64, count: u64) -> Result<Vec<f32>, String> {
        let failed = |error: io::Error| error.to_string();
        // Within bounds: the column's size was checked against the file's.
        let expected = (count * self.width) as usize * self.size;
        let mut bytes = Vec::new();
        let read = (&mut self.reader)
            .take(expected as u64)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        if read < expected {
            return Err(format!("it ends after {read} of {expected} bytes"));
        }
        if from + count == self.rows {
            let behind = io::copy(&mut self.reader, &mut io::sink()).map_err(failed)?;
            if behind > 0 {
                return Err(format!("{behind} bytes follow the array"));
            }
            if self.reader.crc().sum() != self.crc {
                return Err("its checksum is wrong".to_owned());
            }
        }
        Ok(bytes.chunks_exact(self.size).map(self.decode).collect())
    }
}

/// Makes a number of its bytes.
type Decode = fn(&[u8]) -> f32;

/// Bytes of a number of a NumPy type such as `<f4`, and how to decode it.
fn element(dtype: &str) -> Option<(usize, Decode)> {
    macro_rules! number {
        ($number:ty) => {{
            const SIZE: usize = size_of::<$number>();
            let decode: Decode = if dtype.starts_with('>') {
                |bytes| <$number>::from_be_bytes(first::<SIZE>(bytes)) as f32
            } else {
                |bytes| <$number>::from_le_bytes(first::<SIZE>(bytes)) as f32
            };
            Some((SIZE, decode))
        }};
    }
    match dtype.get(1..)? {
        "f4" => number!(f32),
        "f8" => number!(f64),
        "i1" => number!(i8),
        "i2" => number!(i16),
        "i4" => number!(i32),
        "i8" => number!(i64),
        "b1" | "u1" => number!(u8),
        "u2" => number!(u16),
        "u4" => number!(u32),
        "u8" => number!(u64),
        _ => None,
    }
}

fn first<const SIZE: usize>(bytes: &[u8]) -> [u8; SIZE] {
    let mut first = [0; SIZE];
    first.copy_from_slice(&bytes[..SIZE]);
    first
}

/// Bytes of a header, which NumPy fills up to a multiple of 64.
const LONGEST_HEADER: u64 = 1 << 20;

/// The parser returns errors for damaged headers, but computes sizes without
/// a check for overflow.
fn header(reader: &mut impl Read) -> Result<NpyHeader, String> {
    match catch_unwind(AssertUnwindSafe(|| {
        NpyHeader::from_reader(&mut reader.take(LONGEST_HEADER))
    })) {
        Ok(Ok(header)) => Ok(header),
        Ok(Err(error)) => {
            // Of a syntax error, the line that points into the header is left out.
            let reason = error.to_string();
            Err(reason.lines().next().unwrap_or_default().to_owned())
        }
        Err(_) => Err("the decoder gave up on a damaged header".to_owned()),
    }
}
