//! Single completions that cannot be had, and single entries of journals that
//! cannot be read: they are counted and told, and the work goes on.

use iwsft_files::LostEntry;

use crate::mistake::message;
use crate::progress::say;

/// So many are told one by one.
const TOLD: usize = 5;

/// Completions that were asked for in vain.
#[derive(Default)]
pub(crate) struct Missing {
    count: usize,
    first: Option<anyhow::Error>,
}

impl Missing {
    /// Counts one, and says why it is missing.
    pub(crate) fn add(&mut self, error: anyhow::Error) {
        if self.count < TOLD {
            say(&format!("failed: {}", message(&error)));
        } else if self.count == TOLD {
            say("more have failed; they are counted only");
        }
        self.count += 1;
        self.first.get_or_insert(error);
    }

    /// How many of `total` `things` are missing, where some may be.
    ///
    /// # Errors
    /// The first one's, if any is missing; with `may_skip`, if all are.
    pub(crate) fn end(self, things: &str, total: usize, may_skip: bool) -> anyhow::Result<usize> {
        let count = self.count;
        match self.first {
            Some(_) if may_skip && count < total => {
                say(&format!(
                    "{count} of {total} {things} failed and are left out"
                ));
                Ok(count)
            }
            Some(first) if count == total => Err(first.context(format!(
                "all {total} {things} are missing; the same command asks for them again. The \
                 first that failed"
            ))),
            Some(first) => Err(first.context(format!(
                "{count} of {total} {things} are missing. The others are kept: the same command \
                 asks for the missing ones again, and --skip-failed goes on without them. The \
                 first that failed"
            ))),
            None => Ok(0),
        }
    }
}

/// The entries of a journal that can be read. Says which cannot, and what is done
/// about them.
pub(crate) fn readable<T>(entries: Vec<Result<T, LostEntry>>, remedy: &str) -> Vec<T> {
    let mut lost = 0;
    let readable = entries.into_iter().filter_map(|entry| {
        entry
            .inspect_err(|error| {
                if lost < TOLD {
                    say(&format!("{error}; {remedy}"));
                }
                lost += 1;
            })
            .ok()
    });
    let readable: Vec<T> = readable.collect();
    if lost > TOLD {
        say(&format!("{lost} entries of the journal cannot be read"));
    }
    readable
}
