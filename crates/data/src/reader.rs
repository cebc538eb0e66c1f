//! Opens a data file by its ending and hands out its rows one by one.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek};
use std::path::Path;
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;
use iwsft_files::{Looks, SNIFFED};

use crate::DataError;
use crate::columns::Columns;
use crate::csv_rows::CsvRows;
use crate::json_lines::JsonLines;
use crate::json_list::JsonList;
use crate::json_text::Keep;
use crate::object::Object;
use crate::parquet_rows::ParquetRows;
use crate::row::{Location, Row};

/// A row and where it stands.
pub(crate) type ReadObject = Result<(Location, Object), DataError>;

/// Opens a file and reads its rows in order: `.jsonl` (one object a line),
/// `.json` (one list of objects) and `.csv` (its first row names the columns, all
/// values are text), each also as `.gz`, and `.parquet`. Holds one row at a time,
/// for Parquet one batch of rows.
///
/// # Errors
/// If the file is missing, a folder, empty, or of an unknown format. What is
/// wrong with single rows is said by the iterator.
pub fn read(path: &Path, columns: &Columns) -> Result<Rows, DataError> {
    Ok(Rows {
        objects: open(path, Some(columns))?,
        columns: columns.clone(),
    })
}

/// Opens a file as [`read`] does and hands out its rows as they are: objects with
/// all of their columns, to be looked at and written again unchanged.
///
/// # Errors
/// As [`read`].
pub fn read_objects(path: &Path) -> Result<Objects, DataError> {
    open(path, None)
}

/// Opens a file for its rows, or, of formats that allow it, for only the
/// `columns` of its rows.
fn open(path: &Path, columns: Option<&Columns>) -> Result<Objects, DataError> {
    let open_error = |reason| DataError::Open {
        path: path.to_owned(),
        reason,
    };
    let metadata = std::fs::metadata(path).map_err(open_error)?;
    if metadata.is_dir() {
        return Err(DataError::Folder {
            path: path.to_owned(),
        });
    }
    let format = Format::of(path)?;
    if metadata.is_file() && metadata.len() == 0 {
        return Err(DataError::NoRows {
            path: path.to_owned(),
        });
    }
    let mut file = BufReader::new(File::open(path).map_err(open_error)?);
    let expected = match format {
        Format::Parquet => Some(Looks::Parquet),
        _ if format.is_packed() => Some(Looks::Gzip),
        _ => None,
    };
    match looks(&mut file) {
        found if found == expected => {}
        Some(looks) => return Err(disguised(path, looks)),
        None if format.is_packed() => {
            return Err(DataError::NotPacked {
                path: path.to_owned(),
            });
        }
        None => {}
    }
    let name: Arc<Path> = Arc::from(path);
    let keep = match columns {
        Some(_) => Keep::Values,
        None => Keep::Texts,
    };
    let from: Box<dyn Iterator<Item = ReadObject> + Send> = match format {
        Format::Parquet => {
            file.rewind().map_err(open_error)?;
            Box::new(ParquetRows::open(file.into_inner(), name.clone(), columns)?)
        }
        Format::JsonLines { gz } => {
            Box::new(JsonLines::new(text(file, path, gz)?, name.clone(), keep))
        }
        Format::JsonList { gz } => {
            Box::new(JsonList::new(text(file, path, gz)?, name.clone(), keep))
        }
        Format::Csv { gz } => Box::new(CsvRows::open(text(file, path, gz)?, name.clone())?),
    };
    Ok(Objects {
        from,
        file: name,
        state: State::Fresh,
    })
}

fn text(
    file: BufReader<File>,
    path: &Path,
    gz: bool,
) -> Result<Box<dyn BufRead + Send>, DataError> {
    if !gz {
        return Ok(Box::new(file));
    }
    let mut unpacked = BufReader::new(MultiGzDecoder::new(file));
    match looks(&mut unpacked) {
        Some(looks) => Err(disguised(path, looks)),
        None => Ok(Box::new(unpacked)),
    }
}

/// What the next bytes are, where they are not text. Nothing, and what cannot be
/// read, is for the readers to say.
fn looks(from: &mut impl BufRead) -> Option<Looks> {
    let start = from.fill_buf().ok()?;
    let looks = Looks::of(&start[..start.len().min(SNIFFED)]);
    looks.filter(|&looks| looks != Looks::Empty)
}

fn disguised(path: &Path, looks: Looks) -> DataError {
    DataError::Disguised {
        path: path.to_owned(),
        looks,
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Format {
    JsonLines { gz: bool },
    JsonList { gz: bool },
    Csv { gz: bool },
    Parquet,
}

impl Format {
    fn is_packed(self) -> bool {
        match self {
            Self::JsonLines { gz } | Self::JsonList { gz } | Self::Csv { gz } => gz,
            Self::Parquet => false,
        }
    }

    pub(crate) fn of(path: &Path) -> Result<Format, DataError> {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().to_lowercase())
            .unwrap_or_default();
        let (stem, gz) = match name.strip_suffix(".gz") {
            Some(stem) => (stem, true),
            None => (name.as_str(), false),
        };
        match stem.rsplit_once('.').map(|(_, extension)| extension) {
            Some("jsonl") => Ok(Format::JsonLines { gz }),
            Some("json") => Ok(Format::JsonList { gz }),
            Some("csv") => Ok(Format::Csv { gz }),
            Some("parquet") if !gz => Ok(Format::Parquet),
            extension => Err(DataError::Extension {
                path: path.to_owned(),
                found: match (extension, gz) {
                    (None, false) => "no extension".to_owned(),
                    (None, true) => "the extension .gz".to_owned(),
                    (Some(extension), false) => format!("the extension .{extension}"),
                    (Some(extension), true) => format!("the extension .{extension}.gz"),
                },
            }),
        }
    }
}

/// The rows of one file, in order; see [`read`].
///
/// After an error about one row's columns, or about one line of JSONL, the
/// next call goes on with the next row.
pub struct Rows {
    objects: Objects,
    columns: Columns,
}

impl Iterator for Rows {
    type Item = Result<Row, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let object = self.objects.next()?;
        Some(object.and_then(|(at, object)| Row::parse(at, object.into_values(), &self.columns)))
    }
}

/// The rows of one file as JSON objects, in order; see [`read_objects`]. A file
/// without any row is an error.
pub struct Objects {
    from: Box<dyn Iterator<Item = ReadObject> + Send>,
    file: Arc<Path>,
    state: State,
}

/// What has come out of the file so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Fresh,
    Going,
    Over,
}

impl Iterator for Objects {
    type Item = Result<(Location, Object), DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Over {
            return None;
        }
        let object = self.from.next();
        let fresh = self.state == State::Fresh;
        self.state = match object {
            Some(_) => State::Going,
            None => State::Over,
        };
        match object {
            None if fresh => Some(Err(DataError::NoRows {
                path: self.file.to_path_buf(),
            })),
            object => object,
        }
    }
}
