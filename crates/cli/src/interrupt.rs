//! What signals do to long work, and to the processes that it has started.
//!
//! Ctrl-C, SIGTERM and SIGHUP ask long work to stop after its step. One that was
//! ignored when the program began (`nohup`) stays ignored. Only Ctrl-C pressed again,
//! at least a second later, ends the program at once: programs that stop others send
//! a signal twice (GNU `timeout` to the process and to its group).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::progress::say;
use crate::watch::screen;

/// Exit status of a program that Ctrl-C ended.
pub(crate) const STATUS: i32 = 130;

/// Ctrl-C within this time of the first is the same wish, told twice.
const SAME_WISH: Duration = Duration::from_secs(1);

/// When the work was first asked to stop.
static ASKED: OnceLock<Instant> = OnceLock::new();

/// A flag that a signal sets, with a `message`.
pub(crate) fn flag(message: &'static str) -> anyhow::Result<&'static AtomicBool> {
    let stop: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
    handle(move |pressed| {
        let first = !stop.load(Ordering::Relaxed);
        ask(stop, pressed);
        if first && !screen::is_taken() {
            say(message);
        }
    })?;
    Ok(stop)
}

/// Sets `stop`. Where it was set at least a second ago and a key was `pressed`, the
/// program ends at once.
pub(crate) fn ask(stop: &AtomicBool, pressed: bool) {
    let first = ASKED.get_or_init(Instant::now);
    if stop.swap(true, Ordering::Relaxed) && pressed && first.elapsed() >= SAME_WISH {
        screen::give_back();
        children::kill();
        std::process::exit(STATUS);
    }
}

/// Lets a signal end the program at once, with a `message`: for work whose journal
/// has all that is done.
pub(crate) fn ends(message: String) -> anyhow::Result<()> {
    handle(move |_| {
        say(&message);
        children::kill();
        std::process::exit(STATUS);
    })
}

/// Calls `then` for every signal that asks the program to stop, with whether it was
/// Ctrl-C, after the children got the same one.
#[cfg(unix)]
fn handle(mut then: impl FnMut(bool) + Send + 'static) -> anyhow::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let ignored = ignored();
    let ours = [SIGINT, SIGTERM, SIGHUP]
        .into_iter()
        .filter(|signal| ignored & (1 << (signal - 1)) == 0);
    let mut signals = signal_hook::iterator::Signals::new(ours)?;
    thread::spawn(move || {
        for signal in signals.forever() {
            children::pass_on(signal);
            then(signal == SIGINT);
        }
    });
    Ok(())
}

#[cfg(not(unix))]
fn handle(mut then: impl FnMut(bool) + Send + 'static) -> anyhow::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let asked = std::sync::Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, asked.clone())?;
    }
    thread::spawn(move || {
        loop {
            if asked.swap(false, Ordering::Relaxed) {
                then(true);
            }
            thread::sleep(Duration::from_millis(50));
        }
    });
    Ok(())
}

/// The signals that this process was started to ignore, a bit each from SIGHUP.
/// Only Linux tells; elsewhere none is known to be.
#[cfg(unix)]
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

/// A file that reaches the size allowed (`ulimit -f`) is an error of the write, told
/// as such, and not the end of the process.
#[cfg(unix)]
pub(crate) fn survive_size_limits() {
    let seen = std::sync::Arc::new(AtomicBool::new(false));
    // Where it cannot be had, the system's own behaviour stays.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, seen);
}

#[cfg(not(unix))]
pub(crate) fn survive_size_limits() {}

/// Processes that this one has started and that must not outlive it.
pub(crate) mod children {
    use std::process::{Child, Command};

    use super::*;

    /// Process ids, and whether each leads a group of its own.
    static RUNNING: Mutex<Vec<(u32, bool)>> = Mutex::new(Vec::new());

    fn running() -> MutexGuard<'static, Vec<(u32, bool)>> {
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A child that gets the signals of this process until dropped.
    pub(crate) struct Followed {
        id: u32,
        is_group: bool,
    }

    impl Followed {
        /// Follows a process of this program, which shares the terminal.
        pub(crate) fn process(child: &Child) -> Self {
            Self::new(child.id(), false)
        }

        /// Starts `command` at the head of a group of its own, so that whatever it
        /// starts ends with it.
        pub(crate) fn spawn_group(command: &mut Command) -> std::io::Result<(Child, Self)> {
            #[cfg(unix)]
            std::os::unix::process::CommandExt::process_group(command, 0);
            let child = command.spawn()?;
            let followed = Self::new(child.id(), cfg!(unix));
            Ok((child, followed))
        }

        fn new(id: u32, is_group: bool) -> Self {
            running().push((id, is_group));
            Self { id, is_group }
        }
    }

    impl Drop for Followed {
        fn drop(&mut self) {
            if self.is_group {
                send(self.id, true, None);
            }
            running().retain(|(id, _)| *id != self.id);
        }
    }

    /// Passes a signal on to all.
    #[cfg(unix)]
    pub(super) fn pass_on(signal: i32) {
        for &(id, is_group) in running().iter() {
            send(id, is_group, Some(signal));
        }
    }

    /// Ends all groups at once. Processes of this program end theirs themselves, by
    /// the signal that was passed on.
    pub(super) fn kill() {
        for &(id, _) in running().iter().filter(|(_, is_group)| *is_group) {
            send(id, true, None);
        }
    }

    /// Sends `signal`, or the one that nothing survives. Who is gone already is none
    /// to send it to.
    #[cfg(unix)]
    fn send(id: u32, is_group: bool, signal: Option<i32>) {
        use nix::sys::signal::{Signal, kill, killpg};
        let signal = signal.map_or(Ok(Signal::SIGKILL), Signal::try_from);
        let (Ok(signal), Ok(id)) = (signal, i32::try_from(id)) else {
            return;
        };
        let pid = nix::unistd::Pid::from_raw(id);
        let _ = match is_group {
            true => killpg(pid, signal),
            false => kill(pid, signal),
        };
    }

    #[cfg(not(unix))]
    fn send(_: u32, _: bool, _: Option<i32>) {}
}
