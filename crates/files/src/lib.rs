//! Files that are there in full or not at all, and journals of long work.

mod atomic;
mod journal;

pub use atomic::{AtomicFile, UNFINISHED, sync_folder, write_atomically};
pub use journal::{Journal, JournalError, LostEntry};
