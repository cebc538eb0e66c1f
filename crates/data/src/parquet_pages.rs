//! How much a row group holds, before any of it is unpacked: a kilobyte of Parquet
//! can promise two hundred million numbers in a row, or a page of gigabytes.

use std::fs::File;
use std::io::{self, BufReader, Error, Read, Seek, SeekFrom};
use std::sync::Arc;

use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::basic::Encoding;
use parquet::column::page::{Page, PageReader};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::serialized_reader::SerializedPageReader;

use crate::DataError;
use crate::json_text::{MAX_ROW_BYTES, MAX_ROW_VALUES};
use crate::parquet_rows::guarded;
use crate::row::Location;

/// The columns that are read of a row group, as their pages say.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct GroupSize {
    pub(crate) rows: u64,
    /// Unpacked.
    pub(crate) bytes: u64,
    pub(crate) values: u64,
    /// Bytes of the largest page, unpacked.
    pub(crate) largest_page: u64,
    /// Values of the longest row, of the column where it is longest; 0 where all
    /// rows together are no more than one may be.
    pub(crate) longest_row: u64,
}

/// Measures a row group.
///
/// # Errors
/// If a page or a row is larger than what is read, or a page's header is damaged.
pub(crate) fn group_size(
    at: &Location,
    from: &File,
    metadata: &ArrowReaderMetadata,
    group: usize,
    columns: &ProjectionMask,
) -> Result<GroupSize, DataError> {
    let group = metadata.metadata().row_group(group);
    let rows = u64::try_from(group.num_rows()).unwrap_or(0);
    let mut size = GroupSize {
        rows,
        ..GroupSize::default()
    };
    for (leaf, chunk) in group.columns().iter().enumerate() {
        if !columns.leaf_included(leaf) {
            continue;
        }
        let values = pages(at, from, chunk, &mut size)?;
        let repeats = chunk.column_descr().max_rep_level() > 0;
        if repeats && values.saturating_sub(rows) > MAX_ROW_VALUES as u64 {
            let longest = guarded(at, || longest_row(from, chunk, group.num_rows()))?;
            if longest.values > MAX_ROW_VALUES as u64 {
                return Err(DataError::TooManyValues {
                    at: Location {
                        line: at.line + longest.row,
                        ..at.clone()
                    },
                    limit: MAX_ROW_VALUES,
                });
            }
            size.longest_row = size.longest_row.max(longest.values);
        }
    }
    Ok(size)
}

/// Walks over the headers of a column's pages, and returns the number of values.
fn pages(
    at: &Location,
    from: &File,
    chunk: &ColumnChunkMetaData,
    size: &mut GroupSize,
) -> Result<u64, DataError> {
    let broken = |reason: String| DataError::Parquet {
        at: at.clone(),
        reason: format!("column `{}`: {reason}", chunk.column_path().string()),
    };
    let damaged = |error: Error| broken(format!("a page's header is damaged: {error}"));
    let (start, length) = guarded(at, || Ok(chunk.byte_range()))?;
    let mut from = BufReader::new(from.try_clone().map_err(damaged)?);
    from.seek(SeekFrom::Start(start)).map_err(damaged)?;
    let mut values = 0_u64;
    loop {
        let place = from.stream_position().map_err(damaged)?;
        if place >= start.saturating_add(length) {
            return Ok(values);
        }
        let page = PageHeader::read(&mut from).map_err(damaged)?;
        if page.unpacked > MAX_ROW_BYTES as u64 {
            return Err(broken(format!(
                "a page has {} bytes when unpacked, and at most {MAX_ROW_BYTES} are read; write \
                 it with smaller pages or shorter rows",
                page.unpacked
            )));
        }
        size.bytes = size.bytes.saturating_add(page.unpacked);
        size.largest_page = size.largest_page.max(page.unpacked);
        size.values = size.values.saturating_add(page.values);
        values = values.saturating_add(page.values);
        let packed = i64::try_from(page.packed).map_err(|_| damaged(too_large()))?;
        from.seek_relative(packed).map_err(damaged)?;
    }
}

fn too_large() -> Error {
    Error::other("a size is too large")
}

/// What is wanted of a page's header.
#[derive(Debug, PartialEq, Eq)]
struct PageHeader {
    unpacked: u64,
    packed: u64,
    /// None in a dictionary.
    values: u64,
}

/// A field of a structure in Thrift's compact protocol.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Field {
    id: i64,
    kind: u8,
}

const INTEGER: u8 = 5;
const STRUCTURE: u8 = 12;

impl PageHeader {
    fn read(from: &mut impl Read) -> io::Result<Self> {
        let (mut unpacked, mut packed, mut values) = (None, None, 0);
        let mut before = 0;
        while let Some(field) = field(from, &mut before)? {
            match field {
                Field {
                    id: 2,
                    kind: INTEGER,
                } => unpacked = Some(size(from)?),
                Field {
                    id: 3,
                    kind: INTEGER,
                } => packed = Some(size(from)?),
                // The header of a data page, of either version.
                Field {
                    id: 5 | 8,
                    kind: STRUCTURE,
                } => {
                    let mut before = 0;
                    while let Some(inner) = self::field(from, &mut before)? {
                        match inner {
                            Field {
                                id: 1,
                                kind: INTEGER,
                            } => values = size(from)?,
                            other => skip(from, other.kind, 0)?,
                        }
                    }
                }
                other => skip(from, other.kind, 0)?,
            }
        }
        match (unpacked, packed) {
            (Some(unpacked), Some(packed)) => Ok(Self {
                unpacked,
                packed,
                values,
            }),
            _ => Err(Error::other("it names no size")),
        }
    }
}

fn byte(from: &mut impl Read) -> io::Result<u8> {
    let mut byte = [0];
    from.read_exact(&mut byte)?;
    Ok(byte[0])
}

/// An integer of seven bits a byte, the lowest first.
fn varint(from: &mut impl Read) -> io::Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = byte(from)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(too_large())
}

/// The same with the sign in the lowest bit.
fn zigzag(from: &mut impl Read) -> io::Result<i64> {
    let value = varint(from)?;
    Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
}

fn size(from: &mut impl Read) -> io::Result<u64> {
    u64::try_from(zigzag(from)?).map_err(|_| Error::other("a size is below 0"))
}

/// The next field of a structure; none at its end.
fn field(from: &mut impl Read, before: &mut i64) -> io::Result<Option<Field>> {
    let head = byte(from)?;
    let kind = head & 0x0f;
    if kind == 0 {
        return Ok(None);
    }
    *before = match head >> 4 {
        0 => zigzag(from)?,
        step => before.saturating_add(step.into()),
    };
    Ok(Some(Field { id: *before, kind }))
}

/// Passes over a value of Thrift's compact protocol.
fn skip(from: &mut impl Read, kind: u8, depth: usize) -> io::Result<()> {
    const DEEPEST: usize = 16;
    if depth > DEEPEST {
        return Err(Error::other("it is too deep"));
    }
    let pass = |from: &mut dyn Read, count: u64| {
        let passed = io::copy(&mut from.take(count), &mut io::sink())?;
        match passed == count {
            true => Ok(()),
            false => Err(Error::from(io::ErrorKind::UnexpectedEof)),
        }
    };
    match kind {
        // The kind of a bool is its value.
        1 | 2 => Ok(()),
        3 => pass(from, 1),
        4..=6 => varint(from).map(|_| ()),
        7 => pass(from, 8),
        8 => {
            let length = varint(from)?;
            pass(from, length)
        }
        9 | 10 => {
            let head = byte(from)?;
            let count = match head >> 4 {
                15 => varint(from)?,
                count => count.into(),
            };
            for _ in 0..count {
                match head & 0x0f {
                    1 | 2 => pass(from, 1)?,
                    kind => skip(from, kind, depth + 1)?,
                }
            }
            Ok(())
        }
        STRUCTURE => {
            let mut before = 0;
            while let Some(field) = field(from, &mut before)? {
                skip(from, field.kind, depth + 1)?;
            }
            Ok(())
        }
        _ => Err(Error::other("it has a value of an unknown kind")),
    }
}

/// The row with the most values of a column.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Longest {
    /// From 0, in the row group.
    row: u64,
    values: u64,
}

/// Counts the values of each row, one page in memory at a time.
fn longest_row(
    from: &File,
    chunk: &ColumnChunkMetaData,
    rows: i64,
) -> parquet::errors::Result<Longest> {
    let from = Arc::new(from.try_clone()?);
    let rows = usize::try_from(rows).unwrap_or(0);
    let mut pages = SerializedPageReader::new(from, chunk, rows, None)?;
    let width = u16::BITS
        - chunk
            .column_descr()
            .max_rep_level()
            .cast_unsigned()
            .leading_zeros();
    let mut counting = Counting::default();
    while let Some(page) = pages.get_next_page()? {
        let unreadable = || {
            parquet::errors::ParquetError::General(
                "the levels of a page are damaged, or packed as only old writers do".to_owned(),
            )
        };
        let (levels, count) = match &page {
            Page::DataPage {
                buf,
                num_values,
                rep_level_encoding: Encoding::RLE,
                ..
            } => {
                let length = buf.first_chunk().map(|length| u32::from_le_bytes(*length));
                let length = length.ok_or_else(unreadable)? as usize;
                (buf.get(4..4 + length), *num_values)
            }
            Page::DataPageV2 {
                buf,
                num_values,
                rep_levels_byte_len,
                ..
            } => (buf.get(..*rep_levels_byte_len as usize), *num_values),
            Page::DataPage { .. } => (None, 0),
            Page::DictionaryPage { .. } => continue,
        };
        let levels = levels.ok_or_else(unreadable)?;
        counting
            .page(levels, width, count)
            .map_err(|_| unreadable())?;
    }
    Ok(counting.end())
}

/// Counts values by their repetition levels: a row begins with each 0.
#[derive(Default)]
struct Counting {
    longest: Longest,
    /// Rows begun so far, and values of the last of them.
    rows: u64,
    values: u64,
}

impl Counting {
    /// Takes a page of levels, runs of one level and packs of eight in turn.
    fn page(&mut self, mut levels: &[u8], width: u32, count: u32) -> io::Result<()> {
        let mut left = u64::from(count);
        while left > 0 {
            let head = varint(&mut levels)?;
            if head & 1 == 0 {
                let mut level = 0;
                for place in 0..width.div_ceil(8) {
                    level |= u64::from(byte(&mut levels)?) << (8 * place);
                }
                let run = (head >> 1).min(left);
                self.run(level, run);
                left -= run;
                if run == 0 {
                    return Err(Error::other("a run of none"));
                }
                continue;
            }
            let mut bits = 0_u64;
            let mut known = 0;
            let packed = (head >> 1).saturating_mul(8).min(left);
            for _ in 0..packed {
                while known < width {
                    bits |= u64::from(byte(&mut levels)?) << known;
                    known += 8;
                }
                self.run(bits & ((1 << width) - 1), 1);
                bits >>= width;
                known -= width;
            }
            // What fills the last pack up is not there.
            let unread = (head >> 1)
                .saturating_mul(width.into())
                .saturating_sub((packed * u64::from(width)).div_ceil(8));
            io::copy(&mut (&mut levels).take(unread), &mut io::sink())?;
            left -= packed;
            if packed == 0 {
                return Err(Error::other("a pack of none"));
            }
        }
        Ok(())
    }

    fn run(&mut self, level: u64, count: u64) {
        if level > 0 {
            self.values += count;
        } else if count > 0 {
            self.end();
            // All but the last are rows of one value.
            self.rows += count;
            self.values = 1;
        }
    }

    /// The row that was going on is over.
    fn end(&mut self) -> Longest {
        if self.values > self.longest.values {
            self.longest = Longest {
                row: self.rows.saturating_sub(1),
                values: self.values,
            };
        }
        self.longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_header_tells_its_sizes_whatever_else_it_has() {
        // Type 0, 300 bytes unpacked, 20 packed, a checksum, and a data page's
        // header of 4 values with statistics.
        let bytes = [
            0x15, 0x00, 0x15, 0xd8, 0x04, 0x15, 0x28, 0x15, 0x02, 0x1c, 0x15, 0x08, 0x15, 0x00,
            0x15, 0x06, 0x15, 0x06, 0x1c, 0x18, 0x01, 0x61, 0x00, 0x00, 0x00,
        ];
        let header = PageHeader::read(&mut &bytes[..]).unwrap();
        let expected = PageHeader {
            unpacked: 300,
            packed: 20,
            values: 4,
        };
        assert_eq!(header, expected);
        for cut in 0..bytes.len() {
            assert!(PageHeader::read(&mut &bytes[..cut]).is_err());
        }
    }

    #[test]
    fn the_longest_row_is_counted_through_runs_and_packs() {
        let mut counting = Counting::default();
        // 0 0, then 0 1 1 1 1 1 1 1 in a pack, then 300 times 1.
        counting
            .page(&[4, 0, 3, 0b1111_1110, 0xd8, 4, 1], 1, 310)
            .unwrap();
        // A new page goes on with the row, and begins another.
        counting.page(&[2, 1, 4, 0], 1, 3).unwrap();
        let expected = Longest {
            row: 2,
            values: 309,
        };
        assert_eq!(counting.end(), expected);
        assert!(counting.page(&[3], 1, 8).is_err());
    }
}
