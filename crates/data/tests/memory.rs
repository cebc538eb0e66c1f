//! Reading holds one row at a time. Alone in its file, because the measure is
//! the whole process.
// The lint knows tests by their attribute, not their helpers.
#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

use std::io::Write;

use iwsft_data::{Columns, read};

/// The most memory the process ever had, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kibibytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kibibytes.parse::<u64>().unwrap() * 1024
}

#[test]
fn memory_does_not_grow_with_the_number_of_rows() {
    const ROWS: usize = 100_000;
    let folder = tempfile::tempdir().unwrap();
    let row = format!("{{\"text\": \"{}\"}}", "word ".repeat(200));
    for (name, before, between, after) in [
        ("a.jsonl.gz", "", "\n", "\n"),
        ("a.json.gz", "[", ",\n", "]"),
    ] {
        let path = folder.path().join(name);
        let file = std::fs::File::create(&path).unwrap();
        let mut to = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        to.write_all(before.as_bytes()).unwrap();
        for i in 0..ROWS {
            let separator = if i == 0 { "" } else { between };
            write!(to, "{separator}{row}").unwrap();
        }
        to.write_all(after.as_bytes()).unwrap();
        to.finish().unwrap();

        let start = peak();
        let rows = read(&path, &Columns::default()).unwrap();
        assert_eq!(rows.filter(|row| row.is_ok()).count(), ROWS);
        let (grown, size) = (peak() - start, (ROWS * row.len()) as u64);
        assert!(
            grown < size / 10,
            "{name}: {size} bytes of rows took {grown} bytes of memory"
        );
    }
}
