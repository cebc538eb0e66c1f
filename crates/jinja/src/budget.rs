//! What a template may use: steps, memory, depth.

use crate::error::{Fault, Result};

/// How much a rendering may do before it is an error.
///
/// A template comes with a model that was downloaded, so it may be hostile, or
/// broken. Limits are in steps and bytes and not in seconds, so that a row renders
/// or not whatever the machine does meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Expressions and statements evaluated, items visited.
    pub steps: u64,
    /// Bytes of all texts and lists that are made on the way, and of the output.
    pub bytes: u64,
    /// Expressions, statements and macros within each other.
    pub depth: u32,
}

impl Limits {
    /// Limits for variables of so many bytes of JSON: a thousand times what templates
    /// need. The few that walk over the conversation for each message have room for
    /// thousands of messages.
    pub fn for_input(bytes: usize) -> Self {
        let bytes = bytes as u64;
        Self {
            steps: 10_000_000 + 200 * bytes,
            bytes: (64 << 20) + 500 * bytes,
            depth: 400,
        }
    }
}

/// What is left of the [`Limits`].
#[derive(Debug)]
pub(crate) struct Budget {
    limits: Limits,
    steps: u64,
    bytes: u64,
    depth: u32,
}

/// Containers within each other, so that values can be walked over recursively.
pub(crate) const VALUE_DEPTH: u32 = 400;

/// Bytes that are looked at in one step.
const BYTES_A_STEP: usize = 64;

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            steps: limits.steps,
            bytes: limits.bytes,
            depth: 0,
        }
    }

    /// Pays for `steps`.
    pub(crate) fn spend(&mut self, steps: usize) -> Result<()> {
        match self.steps.checked_sub(steps as u64) {
            Some(rest) => {
                self.steps = rest;
                Ok(())
            }
            None => {
                self.steps = 0;
                Err(Fault::limit(format!(
                    "the template takes more than {} steps",
                    self.limits.steps
                )))
            }
        }
    }

    /// Pays for looking at a text.
    pub(crate) fn read(&mut self, bytes: usize) -> Result<()> {
        self.spend(1 + bytes / BYTES_A_STEP)
    }

    /// Pays for a text of so many bytes, before it is made.
    pub(crate) fn allocate(&mut self, bytes: usize) -> Result<()> {
        match self.bytes.checked_sub(bytes as u64) {
            Some(rest) => {
                self.bytes = rest;
                self.read(bytes)
            }
            None => {
                self.bytes = 0;
                Err(Fault::limit(format!(
                    "the template makes more than {} bytes of text and lists",
                    self.limits.bytes
                )))
            }
        }
    }

    /// Pays for a list of so many items, before it is made.
    pub(crate) fn items(&mut self, count: usize) -> Result<()> {
        self.allocate(count.saturating_mul(size_of::<crate::value::Value>()))
    }

    /// Enters an expression, a statement or a macro.
    pub(crate) fn enter(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > self.limits.depth {
            return Err(Fault::limit(format!(
                "the template is nested more than {} deep, or calls itself without end",
                self.limits.depth
            )));
        }
        self.spend(1)
    }

    /// Leaves what was entered last.
    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Refuses containers that are nested too deeply.
    pub(crate) fn check_depth(depth: u32) -> Result<()> {
        if depth > VALUE_DEPTH {
            return Err(Fault::limit(format!(
                "lists and dictionaries are nested more than {VALUE_DEPTH} deep"
            )));
        }
        Ok(())
    }
}
