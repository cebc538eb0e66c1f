//! Files that are there in full or not at all, journals of long work, locks, and what
//! a file is that is not what it should be.

mod atomic;
mod journal;
mod lock;
mod looks;
mod text;

pub use atomic::{AtomicFile, UNFINISHED, sync_folder, write_atomically};
pub use journal::{Journal, JournalError, LostEntry};
pub use lock::{FOLDER_LOCK, Lock, LockError};
pub use looks::{Looks, SNIFFED};
pub use text::read_text;
