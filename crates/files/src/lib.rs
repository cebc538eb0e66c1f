//! Files that are there in full or not at all, journals of long work, and locks.

mod atomic;
mod journal;
mod lock;

pub use atomic::{AtomicFile, UNFINISHED, sync_folder, write_atomically};
pub use journal::{Journal, JournalError, LostEntry};
pub use lock::{FOLDER_LOCK, Lock, LockError};
