//! What the threads of one piece of work share: what is next, and whether to go on.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use iwsft_lm::Sampling;

use crate::error::EndpointError;
use crate::query::Query;

/// How often a waiting thread looks whether it should stop.
pub(crate) const GLANCE: Duration = Duration::from_millis(50);

/// One piece of work.
pub(crate) struct Work<'a> {
    pub(crate) queries: &'a [Query],
    pub(crate) sampling: &'a Sampling,
    next: AtomicUsize,
    /// The caller wants to stop.
    stop: &'a AtomicBool,
    /// Something went wrong; what is in flight is still awaited.
    over: AtomicBool,
    tally: Mutex<Tally>,
}

/// How the server has done so far.
#[derive(Debug, Default)]
struct Tally {
    completions: u64,
    /// Gravity of the failures since the last completion.
    gravity: u32,
}

impl<'a> Work<'a> {
    pub(crate) fn new(queries: &'a [Query], sampling: &'a Sampling, stop: &'a AtomicBool) -> Self {
        Self {
            queries,
            sampling,
            next: AtomicUsize::new(0),
            stop,
            over: AtomicBool::new(false),
            tally: Mutex::default(),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.over.load(Ordering::Relaxed)
    }

    /// Nothing more is asked for.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// The next query.
    pub(crate) fn take(&self) -> Option<usize> {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        (index < self.queries.len() && !self.is_over()).then_some(index)
    }

    pub(crate) fn wait(&self, duration: Duration) -> Result<(), EndpointError> {
        let until = Instant::now() + duration;
        loop {
            if self.is_over() {
                return Err(EndpointError::Stopped);
            }
            match until.saturating_duration_since(Instant::now()) {
                Duration::ZERO => return Ok(()),
                left => thread::sleep(left.min(GLANCE)),
            }
        }
    }

    /// Completions that have come.
    pub(crate) fn completions(&self) -> u64 {
        self.tally().completions
    }

    pub(crate) fn succeeded(&self) {
        let mut tally = self.tally();
        tally.completions += 1;
        tally.gravity = 0;
    }

    /// Notes that a query failed for which the work began when so many
    /// `completions` had come, and returns whether to end the work. What was
    /// asked for in vain while others were answered is at fault itself.
    pub(crate) fn failed(&self, error: &EndpointError, completions: u64) -> bool {
        let mut tally = self.tally();
        let gave_up = matches!(error, EndpointError::GaveUp { .. });
        tally.gravity += match gave_up && tally.completions > completions {
            true => 1,
            false => error.gravity(),
        };
        let ends = tally.gravity >= EndpointError::HOPELESS;
        if ends {
            self.end();
        }
        ends
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        // Nothing in here panics half-way.
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16) -> EndpointError {
        EndpointError::Refused {
            url: String::new(),
            status,
            message: String::new(),
            remedy: String::new(),
        }
    }

    fn gave_up() -> EndpointError {
        EndpointError::GaveUp {
            url: String::new(),
            reason: String::new(),
            attempts: 1,
        }
    }

    #[test]
    fn what_holds_for_all_ends_the_work_and_single_failures_do_not() {
        let (sampling, stop) = (Sampling::default(), AtomicBool::new(false));
        let work = || Work::new(&[], &sampling, &stop);
        for status in [308, 401, 402, 404, 407, 429, 501] {
            assert!(work().failed(&refused(status), 0), "{status}");
        }
        let one_by_one = work();
        for _ in 0..1000 {
            assert!(!one_by_one.failed(&refused(400), 0));
            one_by_one.succeeded();
        }
        let all = work();
        let until_end = (1..).find(|_| all.failed(&refused(422), 0));
        assert_eq!(until_end, Some(100));
        assert!(all.is_over());
    }

    #[test]
    fn a_server_that_answers_nobody_ends_the_work_and_one_that_answers_others_does_not() {
        let (sampling, stop) = (Sampling::default(), AtomicBool::new(false));
        let dead = Work::new(&[], &sampling, &stop);
        assert!(!dead.failed(&gave_up(), 0));
        assert!(dead.failed(&gave_up(), 0));
        let busy = Work::new(&[], &sampling, &stop);
        busy.succeeded();
        assert!((0..20).all(|_| !busy.failed(&gave_up(), 0)));
    }
}
