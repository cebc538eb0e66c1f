//! How much work one answer may take.

use std::time::{Duration, Instant};

/// Units of work for one answer: a unit is about a node visited, a term
/// multiplied or a word of a long number. A million take some ten milliseconds.
const UNITS: u64 = 5_000_000;

/// Units between looks at the clock.
const LOOK_EVERY: u64 = 1 << 10;

/// There is no work left to spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spent;

/// Work that is left for one answer. The count makes verdicts reproducible; the
/// clock is for machines slower than anybody thought of.
#[derive(Debug)]
pub(super) struct Budget {
    left: u64,
    look_at: u64,
    deadline: Option<Instant>,
}

impl Budget {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            left: UNITS,
            look_at: UNITS,
            deadline: Instant::now().checked_add(limit),
        }
    }

    /// Takes `units` of the work that is left.
    pub(super) fn spend(&mut self, units: usize) -> Result<(), Spent> {
        self.left = self.left.checked_sub(units as u64).ok_or(Spent)?;
        if self.left <= self.look_at {
            self.look_at = self.left.saturating_sub(LOOK_EVERY);
            if self.deadline.is_some_and(|at| Instant::now() >= at) {
                self.left = 0;
                return Err(Spent);
            }
        }
        Ok(())
    }
}
