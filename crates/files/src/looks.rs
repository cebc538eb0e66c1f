//! What a file is by its first bytes, where that is not what its name says.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes from the start of a file that tell what it is.
pub const SNIFFED: usize = 512;

/// Something that is not the text, table or weights one looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looks {
    /// Nothing at all.
    Empty,
    /// What Git keeps in place of a large file.
    LfsPointer,
    /// A page of a web site, mostly one that says why there is no file.
    Html,
    /// Text in 16-bit units.
    Utf16,
    /// Text in 32-bit units.
    Utf32,
    /// Zero bytes: room was made for the content, which never came.
    Zeros,
    /// Compressed with gzip.
    Gzip,
    /// Compressed with Zstandard.
    Zstd,
    /// Compressed with xz.
    Xz,
    /// Compressed with bzip2.
    Bzip2,
    /// A ZIP archive, among them `.npz` and PyTorch's `.pt` and `.bin`.
    Zip,
    /// A 7z archive.
    SevenZip,
    /// A table of Parquet.
    Parquet,
    /// A table of Arrow or Feather.
    Arrow,
    /// HDF5.
    Hdf5,
    /// A NumPy array.
    Numpy,
    /// A pickle of Python.
    Pickle,
    /// A model of llama.cpp.
    Gguf,
    /// PDF.
    Pdf,
}

impl Looks {
    /// What content with this start looks like; `None` for plain text, and for
    /// what is not known. A start is [`SNIFFED`] bytes, or all there are.
    pub fn of(start: &[u8]) -> Option<Self> {
        const MAGIC: [(&[u8], Looks); 13] = [
            (b"\x1f\x8b", Looks::Gzip),
            (b"\x28\xb5\x2f\xfd", Looks::Zstd),
            (b"\xfd7zXZ\0", Looks::Xz),
            (b"BZh", Looks::Bzip2),
            (b"PK\x03\x04", Looks::Zip),
            (b"PK\x05\x06", Looks::Zip),
            (b"7z\xbc\xaf\x27\x1c", Looks::SevenZip),
            (b"PAR1", Looks::Parquet),
            (b"ARROW1", Looks::Arrow),
            (b"\x89HDF\r\n\x1a\n", Looks::Hdf5),
            (b"\x93NUMPY", Looks::Numpy),
            (b"GGUF", Looks::Gguf),
            (b"%PDF-", Looks::Pdf),
        ];
        if start.is_empty() {
            return Some(Self::Empty);
        }
        let magic = MAGIC.iter().find(|(magic, _)| start.starts_with(magic));
        if let Some((_, looks)) = magic {
            return Some(*looks);
        }
        if let [0x80, 2..=5, ..] = start {
            return Some(Self::Pickle);
        }
        if start.len() >= 16 && start.iter().all(|&byte| byte == 0) {
            return Some(Self::Zeros);
        }
        wide_text(start).or_else(|| narrow_text(start))
    }

    /// The same of a file; `None` also for one that cannot be read.
    pub fn of_file(path: &Path) -> Option<Self> {
        let mut start = Vec::new();
        let file = File::open(path).ok()?;
        if !file.metadata().ok()?.is_file() {
            return None;
        }
        file.take(SNIFFED as u64).read_to_end(&mut start).ok()?;
        Self::of(&start)
    }

    /// What it is, behind the file's name: `is a Git LFS pointer, not the file`.
    pub fn found(self) -> &'static str {
        match self {
            Self::Empty => "is empty",
            Self::LfsPointer => "is a Git LFS pointer, not the file",
            Self::Html => "is a page of a web site (HTML), not the file",
            Self::Utf16 => "is text in UTF-16",
            Self::Utf32 => "is text in UTF-32",
            Self::Zeros => "begins with zero bytes",
            Self::Gzip => "is compressed with gzip",
            Self::Zstd => "is compressed with Zstandard",
            Self::Xz => "is compressed with xz",
            Self::Bzip2 => "is compressed with bzip2",
            Self::Zip => "is a ZIP archive",
            Self::SevenZip => "is a 7z archive",
            Self::Parquet => "is a Parquet file",
            Self::Arrow => "is an Arrow file",
            Self::Hdf5 => "is an HDF5 file",
            Self::Numpy => "is a single NumPy array",
            Self::Pickle => "is a pickle of Python",
            Self::Gguf => "is a GGUF model",
            Self::Pdf => "is a PDF document",
        }
    }

    /// What to do about it.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Empty => "fetch or write it again",
            Self::LfsPointer => "git lfs pull fetches the file",
            Self::Html => {
                "fetch it again, from an address that gives the file itself, and log in where \
                 that is asked for"
            }
            Self::Utf16 | Self::Utf32 => "save it as UTF-8",
            Self::Zeros => "it was not written or fetched to its end: fetch it again",
            Self::Gzip => "unpack it, or let its name end in .gz where that is read",
            Self::Zstd => "unpack it with `zstd -d`",
            Self::Xz => "unpack it with `xz -d`",
            Self::Bzip2 => "unpack it with `bzip2 -d`",
            Self::Zip | Self::SevenZip => "unpack it, and name the file inside",
            Self::Parquet => "let its name end in .parquet where rows are read",
            Self::Arrow => "write it as .parquet or .jsonl",
            Self::Hdf5 | Self::Numpy => "check the path",
            Self::Pickle => "write its content in another format",
            Self::Gguf => "take the model's safetensors files",
            Self::Pdf => "check the path",
        }
    }
}

impl fmt::Display for Looks {
    /// `is text in UTF-16: save it as UTF-8`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.found(), self.remedy())
    }
}

impl std::error::Error for Looks {}

/// Text of 16 or 32 bits a character, by its mark, or by the zero bytes of its first
/// two letters, digits or brackets: text in UTF-8 has none.
fn wide_text(start: &[u8]) -> Option<Looks> {
    if start.starts_with(b"\xff\xfe\0\0") || start.starts_with(b"\0\0\xfe\xff") {
        return Some(Looks::Utf32);
    }
    if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
        return Some(Looks::Utf16);
    }
    // Where the one byte of a unit stands that is not zero.
    let latin = |width: usize, place: usize| {
        let units = start.chunks_exact(width).take(2);
        units.len() == 2
            && units
                .flat_map(|unit| unit.iter().enumerate())
                .all(|(at, &byte)| (byte != 0) == (at == place))
    };
    if latin(4, 0) || latin(4, 3) {
        return Some(Looks::Utf32);
    }
    (latin(2, 0) || latin(2, 1)).then_some(Looks::Utf16)
}

/// Pointers and pages, which are text of one byte a character.
fn narrow_text(start: &[u8]) -> Option<Looks> {
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    let start = start.trim_ascii_start();
    if start.starts_with(b"version https://git-lfs.github.com/")
        || start.starts_with(b"version https://hawser.github.com/")
    {
        return Some(Looks::LfsPointer);
    }
    let begins = |with: &[u8]| {
        let head = start.get(..with.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(with))
    };
    (begins(b"<!doctype") || begins(b"<html") || begins(b"<head") || begins(b"<?xml"))
        .then_some(Looks::Html)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str, unit: impl Fn(u16) -> Vec<u8>) -> Vec<u8> {
        text.encode_utf16().flat_map(unit).collect()
    }

    #[test]
    fn what_stands_in_for_a_file_is_recognised() {
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
        for (start, looks) in [
            (&b""[..], Looks::Empty),
            (pointer, Looks::LfsPointer),
            (b"\n<!DOCTYPE html><html>", Looks::Html),
            (b"\xef\xbb\xbf<HTML lang=en>", Looks::Html),
            (b"PK\x03\x04....", Looks::Zip),
            (b"\x28\xb5\x2f\xfd...", Looks::Zstd),
            (&[0; 64], Looks::Zeros),
            (b"PAR1....", Looks::Parquet),
        ] {
            assert_eq!(Looks::of(start), Some(looks));
        }
    }

    #[test]
    fn wide_text_is_recognised_with_and_without_its_mark() {
        let text = "{\"漢字\": \"Größe\"}\n";
        let little = encoded(text, |unit| unit.to_le_bytes().to_vec());
        let big = encoded(text, |unit| unit.to_be_bytes().to_vec());
        for wide in [&little, &big] {
            assert_eq!(Looks::of(wide), Some(Looks::Utf16));
        }
        for (mark, wide) in [(b"\xff\xfe", &little), (b"\xfe\xff", &big)] {
            assert_eq!(Looks::of(&[&mark[..], wide].concat()), Some(Looks::Utf16));
        }
        let quarter: Vec<u8> = text
            .chars()
            .flat_map(|letter| u32::from(letter).to_le_bytes())
            .collect();
        assert_eq!(Looks::of(&quarter), Some(Looks::Utf32));
    }

    #[test]
    fn plain_text_looks_like_nothing_else() {
        for start in [
            "{\"text\": \"a\"}",
            "[]",
            "\u{feff}{}",
            "prompt,completion\n",
            "{",
            "漢字",
            "version: 1",
            "<s>[INST]",
        ] {
            assert_eq!(Looks::of(start.as_bytes()), None, "{start}");
        }
    }
}
