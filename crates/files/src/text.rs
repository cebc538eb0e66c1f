//! Text files that people and programs wrote.

use std::fs;
use std::io;
use std::path::Path;

use crate::Looks;

/// Reads a text file as a whole, without the byte order mark that some editors put
/// at its start.
///
/// # Errors
/// If it cannot be read, or is something else than text in UTF-8; what it looks like
/// is then in the error, as [`Looks`] or in words.
pub fn read_text(path: &Path) -> io::Result<String> {
    let bytes = fs::read(path)?;
    if let Some(looks) = Looks::of(&bytes[..bytes.len().min(crate::SNIFFED)])
        && looks != Looks::Empty
    {
        return Err(io::Error::new(io::ErrorKind::InvalidData, looks));
    }
    match String::from_utf8(bytes) {
        Ok(text) => match text.strip_prefix('\u{feff}') {
            Some(text) => Ok(text.to_owned()),
            None => Ok(text),
        },
        Err(error) => {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + good.iter().filter(|&&byte| byte == b'\n').count();
            let before = good.iter().rposition(|&byte| byte == b'\n');
            let byte = good.len() - before.map_or(0, |end| end + 1) + 1;
            let words = format!("byte {byte} of line {line} is not UTF-8; save it as UTF-8 text");
            Err(io::Error::new(io::ErrorKind::InvalidData, words))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, bytes).unwrap();
        read_text(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn text_is_read_without_its_mark() {
        assert_eq!(read("\u{feff}a é\n".as_bytes()).unwrap(), "a é\n");
        assert_eq!(read(b"").unwrap(), "");
    }

    #[test]
    fn what_is_no_text_says_what_it_is_or_where() {
        let error = read(b"ab\nc\xff\n").unwrap_err();
        assert!(error.contains("byte 2 of line 2"), "{error}");
        let error = read(b"version https://git-lfs.github.com/spec/v1\n").unwrap_err();
        assert!(error.contains("git lfs pull"), "{error}");
    }
}
