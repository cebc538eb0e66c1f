//! What Ctrl-C does to long work.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::progress::say;
use crate::watch::screen;

/// Exit status of a program that Ctrl-C ended.
pub(crate) const STATUS: i32 = 130;

/// A flag that Ctrl-C sets, with a `message`; pressed again, it ends the program.
pub(crate) fn flag(message: &'static str) -> anyhow::Result<&'static AtomicBool> {
    let stop: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
    ctrlc::set_handler(move || {
        if stop.swap(true, Ordering::Relaxed) {
            screen::give_back();
            std::process::exit(STATUS);
        }
        if !screen::is_taken() {
            say(message);
        }
    })?;
    Ok(stop)
}

/// Lets Ctrl-C end the program at once, with a `message`: for work whose journal
/// has all that is done.
pub(crate) fn ends(message: String) -> anyhow::Result<()> {
    Ok(ctrlc::set_handler(move || {
        say(&message);
        std::process::exit(STATUS);
    })?)
}
