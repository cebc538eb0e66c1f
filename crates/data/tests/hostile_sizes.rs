//! Small files that promise much must be refused before memory is taken. Alone in its
//! file, because the measure is the whole process. The files are made by
//! `scripts/fixtures/sizes.py`.
// The lint knows tests by their attribute, not their helpers.
#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::{Result, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use iwsft_data::episodes::{EpisodeColumns, Tail, read_episodes};
use iwsft_data::{Columns, read, read_objects};

/// The most memory the process ever had, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kibibytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kibibytes.parse::<u64>().unwrap() * 1024
}

/// The first error of a file, and how much memory it took to find it.
fn refusal(path: &Path) -> (String, u64) {
    let before = peak();
    let error = match read(path, &Columns::default()) {
        Err(error) => error,
        Ok(mut rows) => rows.find_map(std::result::Result::err).unwrap(),
    };
    let also = read_objects(path).and_then(|mut rows| rows.next().unwrap());
    assert!(also.is_err(), "{}", path.display());
    (error.to_string(), peak() - before)
}

fn packed(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) {
    let mut to = GzEncoder::new(File::create(path).unwrap(), Compression::fast());
    write(&mut to).unwrap();
    to.finish().unwrap();
}

fn repeated(to: &mut dyn Write, piece: &str, times: usize) -> Result<()> {
    let many = piece.repeat(1000);
    (0..times / 1000).try_for_each(|_| to.write_all(many.as_bytes()))
}

#[test]
fn a_small_file_that_promises_much_is_refused_before_memory_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    packed(&path("lists.jsonl.gz"), |to| {
        to.write_all(b"{\"text\": \"a\", \"x\": [[]")?;
        repeated(to, ",[]", 83_000_000)?;
        to.write_all(b"]}\n")
    });
    packed(&path("lists.json.gz"), |to| {
        to.write_all(b"[{\"text\": \"a\", \"x\": [0")?;
        repeated(to, ",{}", 83_000_000)?;
        to.write_all(b"]}]\n")
    });
    packed(&path("header.csv.gz"), |to| repeated(to, "a,", 100_000_000));
    packed(&path("quote.csv.gz"), |to| {
        to.write_all(b"text,x\n\"")?;
        repeated(to, "long ", 80_000_000)
    });
    packed(&path("line.jsonl.gz"), |to| {
        to.write_all(b"{\"text\": \"")?;
        repeated(to, "long ", 80_000_000)
    });
    let promised = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile_sizes");
    const MIB: u64 = 1 << 20;
    for (path, place, part, most) in [
        (
            path("lists.jsonl.gz"),
            ":1: ",
            "more than 4194304 values",
            64 * MIB,
        ),
        (
            path("lists.json.gz"),
            ":1: ",
            "more than 4194304 values",
            64 * MIB,
        ),
        (
            path("header.csv.gz"),
            ":1: ",
            "more than 4194304 values",
            300 * MIB,
        ),
        (
            promised.join("numbers.parquet"),
            ": row 1: ",
            "more than 4194304 values",
            64 * MIB,
        ),
        (
            promised.join("one_long_row.parquet"),
            ": row 100000: ",
            "more than 4194304 values",
            64 * MIB,
        ),
        (
            promised.join("repeated_text.parquet"),
            ": row 1: ",
            "longer than 268435456 bytes",
            300 * MIB,
        ),
        (
            promised.join("long_text.parquet"),
            ": row 1: ",
            "at most 268435456",
            64 * MIB,
        ),
        (
            path("quote.csv.gz"),
            ":2: ",
            "longer than 268435456 bytes",
            900 * MIB,
        ),
        (
            path("line.jsonl.gz"),
            ":1: ",
            "longer than 268435456 bytes",
            700 * MIB,
        ),
    ] {
        let (message, grown) = refusal(&path);
        let start = format!("{}{place}", path.display());
        assert!(
            message.starts_with(&start) && message.contains(part),
            "{message}"
        );
        assert!(grown < most, "{}: {} MiB", path.display(), grown / MIB);
    }
    let before = peak();
    let chunk = promised.join("chunk.hdf5");
    let error = read_episodes(&chunk, &EpisodeColumns::default(), Tail::Drop).unwrap_err();
    assert!(error.to_string().contains("too large to unpack"), "{error}");
    assert!(peak() - before < 64 * MIB);
}
