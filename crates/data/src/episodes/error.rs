//! Everything that can be wrong with recorded episodes.

use std::io;
use std::path::PathBuf;

use iwsft_files::Looks;

/// Why episodes could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum EpisodeError {
    /// The file does not exist or may not be read.
    #[error("{}: cannot be opened ({reason}); check the path", path.display())]
    Open {
        /// The file asked for.
        path: PathBuf,
        /// What the operating system said.
        reason: io::Error,
    },
    /// The file has none of the formats.
    #[error(
        "{}: {found}, expected an HDF5 file (D4RL), a folder with data/main_data.hdf5 (Minari), \
         or a .npz file; check the path, or convert the file",
        path.display()
    )]
    Format {
        /// The file asked for.
        path: PathBuf,
        /// What it is.
        found: String,
    },
    /// The file is something else than its name says.
    #[error("{}: {looks}", path.display())]
    Disguised {
        /// The file asked for.
        path: PathBuf,
        /// What it is.
        looks: Looks,
    },
    /// A file cannot be decoded.
    #[error(
        "{}: {place} cannot be read ({reason}); the file may be cut off or damaged, fetch it again",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The column, or "the file".
        place: String,
        /// What the decoder said.
        reason: String,
    },
    /// A file is stored in a way that is not read.
    #[error("{}: {place} {found}; {remedy}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The column, or "the file".
        place: String,
        /// What is not supported.
        found: String,
        /// How to write it otherwise.
        remedy: String,
    },
    /// `metadata.json` of a Minari folder does not fit.
    #[error("{}: {reason}", path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// What was found, what was expected, and what to do.
        reason: String,
    },
    /// A column is not there.
    #[error(
        "{}: has no column `{column}` (it has: {found}); say in `columns` what the file calls it",
        path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// The column looked for.
        column: String,
        /// The columns and groups beside it.
        found: String,
    },
    /// A column is a group of columns.
    #[error(
        "{}: `{column}` is a group (it has: {found}), expected a column of numbers; name one in \
         it: columns = {{ {field} = \"{column}/...\" }}",
        path.display()
    )]
    Group {
        /// The file.
        path: PathBuf,
        /// The column looked for.
        column: String,
        /// What `columns` calls it.
        field: &'static str,
        /// What the group has.
        found: String,
    },
    /// A column does not hold numbers.
    #[error(
        "{}: `{column}` holds {found}, expected integers, 32- or 64-bit floats, or bools; \
         convert it",
        path.display()
    )]
    Type {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The type found.
        found: String,
    },
    /// A column has the wrong number of dimensions, or of numbers in a row.
    #[error("{}: `{column}` has the shape {found:?}, expected {expected}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// Its shape.
        found: Vec<u64>,
        /// The shapes accepted, and what to do.
        expected: String,
    },
    /// Two columns differ in their number of rows.
    #[error(
        "{}: `{column}` has {found} rows, expected {expected}, {why}; the file may be cut off or \
         mixed from two, write it again",
        path.display()
    )]
    Rows {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// Its number of rows.
        found: u64,
        /// The number it should have.
        expected: u64,
        /// "as many as `actions`"
        why: String,
    },
    /// A number is NaN, infinite, or too large for 32 bits.
    #[error(
        "{}: `{place}` is {found}, expected a finite 32-bit number; remove the episode or correct \
         it",
        path.display()
    )]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The column, row and place in the row, counted from 0 as in NumPy:
        /// `actions[17, 2]`.
        place: String,
        /// The number found.
        found: f32,
    },
    /// A terminal or timeout is neither true nor false.
    #[error(
        "{}: `{column}[{row}]` is {found}, expected 0 or 1; is it another column?",
        path.display()
    )]
    Flag {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The row, from 0 as in NumPy.
        row: u64,
        /// The number found.
        found: f32,
    },
    /// There is no step in the file, or in an episode of it.
    #[error("{}: {place} holds no steps, expected at least one; {remedy}", path.display())]
    NoSteps {
        /// The file.
        path: PathBuf,
        /// "the file", or an episode.
        place: String,
        /// What to do.
        remedy: &'static str,
    },
    /// No step ends an episode.
    #[error(
        "{}: none of the {steps} steps is a terminal or timeout, so no episode is finished; name \
         the column that ends them (columns = {{ timeouts = \"...\" }} or {{ episode = \"...\" }}), \
         or keep unfinished episodes (tail = \"keep\")",
        path.display()
    )]
    NoEpisodes {
        /// The file.
        path: PathBuf,
        /// Number of steps read.
        steps: usize,
    },
    /// A file cannot be written.
    #[error("{}: cannot be written ({reason})", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system or the encoder said.
        reason: String,
    },
    /// There is something where a folder is to be written.
    #[error("{}: exists already; choose another name, or remove it first", path.display())]
    Exists {
        /// The path.
        path: PathBuf,
    },
}
