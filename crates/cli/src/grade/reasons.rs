//! How verdicts came about, counted.

use std::collections::BTreeMap;
use std::fmt;

use iwsft_eval::grade::Reason;
use serde::Serialize;

use crate::table::name;

/// Answers by how their verdict came about.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Reasons(BTreeMap<String, usize>);

impl Reasons {
    const UNREAD: [Reason; 4] = [
        Reason::NoAnswer,
        Reason::ThoughtsOnly,
        Reason::Unreadable,
        Reason::Limit,
    ];

    pub(crate) fn add(&mut self, reason: Reason) {
        *self.0.entry(name(&reason)).or_default() += 1;
    }

    pub(crate) fn of(&self, reason: Reason) -> usize {
        self.0.get(&name(&reason)).copied().unwrap_or(0)
    }

    /// Answers that could not be read.
    pub(crate) fn unread(&self) -> usize {
        Self::UNREAD.iter().map(|&reason| self.of(reason)).sum()
    }
}

/// Why answers could not be read: `no answer 2, unreadable 5`.
impl fmt::Display for Reasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unread = Self::UNREAD.iter().filter(|&&reason| self.of(reason) > 0);
        let counts: Vec<String> = unread
            .map(|&reason| format!("{} {}", name(&reason).replace('-', " "), self.of(reason)))
            .collect();
        f.write_str(&counts.join(", "))
    }
}
