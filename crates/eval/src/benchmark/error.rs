//! Everything that can be wrong with a benchmark and its data.

use std::path::PathBuf;

use crate::grade::GoldError;

/// Why a benchmark cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum BenchmarkError {
    /// The file cannot be read.
    #[error("{}: cannot read the benchmark ({reason}); check the path", path.display())]
    Read {
        /// The benchmark's file.
        path: PathBuf,
        /// What the operating system said.
        reason: std::io::Error,
    },
    /// The file is no TOML, or not that of a benchmark.
    #[error("{}: {reason}", path.display())]
    Toml {
        /// The benchmark's file.
        path: PathBuf,
        /// What was expected, and where.
        reason: Box<toml::de::Error>,
    },
    /// Its values do not fit together.
    #[error("{}: {reason}", path.display())]
    Invalid {
        /// The benchmark's file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The data is nowhere.
    #[error("{benchmark}: there is no data: {reason}")]
    NoData {
        /// The benchmark's name.
        benchmark: String,
        /// Where it was looked for, and what to do.
        reason: String,
    },
    /// A row lacks a column.
    #[error(
        "{at}: the row has no column {expected}; it has {found}; \
         name the right one with --prompt-column or --answer-column, or in `columns` of the benchmark"
    )]
    Column {
        /// File and row.
        at: String,
        /// The names that were looked for.
        expected: String,
        /// The names that are there.
        found: String,
    },
    /// A column holds something else than it should.
    #[error("{at}: column `{column}` is {found}, expected {expected}")]
    Value {
        /// File and row.
        at: String,
        /// The column.
        column: String,
        /// What it holds.
        found: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
    /// A column holds no right answer.
    #[error("{at}: column `{column}`, the right answer, is {reason}")]
    Answer {
        /// File and row.
        at: String,
        /// The column.
        column: String,
        /// What it holds, and what it should.
        reason: GoldError,
    },
    /// Two rows have the same name.
    #[error(
        "{at}: another problem is called `{id}` too; \
         give each its own, or leave out `columns.id` to number them"
    )]
    SameId {
        /// File and row.
        at: String,
        /// The name.
        id: String,
    },
}
