//! Tables for people and JSON lines for programs, on standard output.

use std::io::Write;

use serde::Serialize;
use serde_json::Value;

use crate::terminal;

/// A plain table whose columns are as wide as they need to be.
pub(crate) struct Table<const COLUMNS: usize> {
    rows: Vec<[String; COLUMNS]>,
    has_head: bool,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// A table with a head; empty names make one without.
    pub(crate) fn new(head: [&str; COLUMNS]) -> Self {
        let has_head = head.iter().any(|name| !name.is_empty());
        let rows = if has_head {
            vec![head.map(str::to_owned)]
        } else {
            Vec::new()
        };
        Self { rows, has_head }
    }

    pub(crate) fn row(&mut self, row: [String; COLUMNS]) {
        self.rows
            .push(row.map(|cell| terminal::in_line(&cell).into_owned()));
    }

    pub(crate) fn print(&self) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
            self.rows
                .iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        });
        for (index, row) in self.rows.iter().enumerate() {
            let cells: Vec<String> = row
                .iter()
                .zip(widths)
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            writeln!(out, "{}", cells.join("  ").trim_end())?;
            if index == 0 && self.has_head {
                let rules: Vec<String> = widths.iter().map(|&width| "-".repeat(width)).collect();
                writeln!(out, "{}", rules.join("  "))?;
            }
        }
        Ok(())
    }
}

/// One line of JSON.
pub(crate) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    let line = serde_json::to_string(value)?;
    writeln!(std::io::stdout().lock(), "{}", terminal::json(&line))?;
    Ok(())
}

/// The name that a value has in files.
pub(crate) fn name(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(name)) => name,
        _ => String::new(),
    }
}
