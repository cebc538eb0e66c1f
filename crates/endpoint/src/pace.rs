//! Not asking faster than the server allows.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A token bucket: it fills at a steady rate up to one second's worth, and what
/// is taken must have flowed in before.
#[derive(Debug)]
struct Bucket {
    /// What flows in each second.
    rate: f64,
    /// Most that it holds.
    capacity: f64,
    level: f64,
    filled: Instant,
}

impl Bucket {
    /// `least` is the smallest amount that is ever taken; a bucket that cannot
    /// hold it would never give it.
    fn new(per_minute: f64, least: f64, now: Instant) -> Self {
        let rate = per_minute / 60.0;
        let capacity = rate.max(least);
        Self {
            rate,
            capacity,
            level: capacity,
            filled: now,
        }
    }

    /// How long until `amount` can be taken; zero if it can now. An amount that
    /// the bucket cannot hold can be taken when it is full, and leaves a debt.
    fn wait(&mut self, amount: f64, now: Instant) -> Duration {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.level = (self.level + passed * self.rate).min(self.capacity);
        self.filled = now;
        let missing = amount.min(self.capacity) - self.level;
        if missing <= 0.0 {
            return Duration::ZERO;
        }
        // Rounded up, or one would wake a moment too early for ever.
        Duration::from_secs_f64((missing / self.rate).min(3600.0)) + Duration::from_micros(1)
    }
}

/// The pace of all requests to one server.
#[derive(Debug)]
pub(crate) struct Pace {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    /// Before this, the server does not want to be asked.
    closed_until: Instant,
}

impl Pace {
    /// Limits for a minute; `None` for none.
    pub(crate) fn new(requests: Option<f64>, tokens: Option<f64>, now: Instant) -> Self {
        let state = State {
            requests: requests.map(|rate| Bucket::new(rate, 1.0, now)),
            tokens: tokens.map(|rate| Bucket::new(rate, 1.0, now)),
            closed_until: now,
        };
        Self {
            state: Mutex::new(state),
        }
    }

    /// Takes what a request of so many tokens costs and returns zero, or takes
    /// nothing and returns how long to wait before trying again.
    pub(crate) fn admit(&self, tokens: f64, now: Instant) -> Duration {
        let mut state = self.lock();
        let closed = state.closed_until.saturating_duration_since(now);
        let request = wait(&mut state.requests, 1.0, now);
        let wait = closed
            .max(request)
            .max(wait(&mut state.tokens, tokens, now));
        if wait.is_zero() {
            take(&mut state.requests, 1.0);
            take(&mut state.tokens, tokens);
        }
        wait
    }

    /// Corrects what was taken for a request once its real cost is known.
    pub(crate) fn settle(&self, taken: f64, used: f64) {
        take(&mut self.lock().tokens, used - taken);
    }

    /// Nobody asks before `until`: a server that says "too many" to one request
    /// says so to all.
    pub(crate) fn close(&self, until: Instant) {
        let mut state = self.lock();
        state.closed_until = state.closed_until.max(until);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wait(bucket: &mut Option<Bucket>, amount: f64, now: Instant) -> Duration {
    bucket
        .as_mut()
        .map_or(Duration::ZERO, |bucket| bucket.wait(amount, now))
}

fn take(bucket: &mut Option<Bucket>, amount: f64) {
    if let Some(bucket) = bucket {
        bucket.level = (bucket.level - amount).min(bucket.capacity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks as often as it may until `seconds` have passed on a clock that only
    /// moves when somebody waits; returns when each request went out.
    fn sent(pace: &Pace, start: Instant, seconds: f64, tokens: f64) -> Vec<f64> {
        let (mut now, mut times) = (start, Vec::new());
        while (now - start).as_secs_f64() < seconds {
            match pace.admit(tokens, now) {
                Duration::ZERO => times.push((now - start).as_secs_f64()),
                wait => now += wait,
            }
        }
        times
    }

    #[test]
    fn requests_go_out_at_the_rate_that_was_given_without_a_burst_beyond_a_second() {
        let start = Instant::now();
        let pace = Pace::new(Some(120.0), None, start);
        let times = sent(&pace, start, 60.0, 0.0);
        // A second's worth at once, the rest half a second apart.
        assert_eq!(times.len(), 121);
        assert!(
            times[1] == 0.0 && (times[2] - 0.5).abs() < 1e-3,
            "{times:?}"
        );
        let slow = Pace::new(Some(6.0), None, start);
        assert_eq!(sent(&slow, start, 60.0, 0.0).len(), 6);
    }

    #[test]
    fn tokens_are_limited_and_a_request_beyond_the_bucket_is_paid_for_afterwards() {
        let start = Instant::now();
        let pace = Pace::new(None, Some(6000.0), start);
        // 100 tokens a second; each request costs five seconds.
        let times = sent(&pace, start, 60.0, 500.0);
        assert!((12..=13).contains(&times.len()), "{times:?}");
        assert!((times[1] - 5.0).abs() < 1e-3, "{times:?}");
    }

    #[test]
    fn what_a_request_did_not_use_is_given_back() {
        let start = Instant::now();
        let pace = Pace::new(None, Some(6000.0), start);
        assert_eq!(pace.admit(1000.0, start), Duration::ZERO);
        assert!(pace.admit(10.0, start) > Duration::from_secs(9));
        pace.settle(1000.0, 40.0);
        assert_eq!(pace.admit(10.0, start), Duration::ZERO);
        // Giving back does not fill the bucket beyond what it holds.
        pace.settle(1e6, 0.0);
        assert_eq!(pace.admit(100.0, start), Duration::ZERO);
        assert!(pace.admit(100.0, start) > Duration::from_millis(900));
    }

    #[test]
    fn a_closed_server_is_asked_by_nobody_and_a_wait_takes_nothing() {
        let start = Instant::now();
        let pace = Pace::new(Some(60.0), None, start);
        pace.close(start + Duration::from_secs(20));
        pace.close(start + Duration::from_secs(5));
        assert_eq!(pace.admit(1.0, start), Duration::from_secs(20));
        let open = start + Duration::from_secs(20);
        assert_eq!(pace.admit(1.0, open), Duration::ZERO);
        assert!(pace.admit(1.0, open) > Duration::from_millis(900));
    }

    #[test]
    fn without_limits_nobody_waits() {
        let now = Instant::now();
        let pace = Pace::new(None, None, now);
        assert!((0..1000).all(|_| pace.admit(1e9, now).is_zero()));
    }
}
