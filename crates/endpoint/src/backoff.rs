//! How long to wait before asking again.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;

/// Wait before the first repetition; every further one doubles it.
const FIRST: Duration = Duration::from_millis(500);

/// Longest wait that nobody asked for.
const LONGEST: Duration = Duration::from_secs(30);

/// Wait before repetition `repetition`, counted from 0. `jitter` in [0, 1)
/// takes off up to half, so that requests that failed together do not come back
/// together. What the server asked for is waited in full.
pub(crate) fn delay(repetition: u32, asked: Option<Duration>, jitter: f64) -> Duration {
    let doubled = FIRST.saturating_mul(2u32.saturating_pow(repetition));
    let own = doubled.min(LONGEST).mul_f64(1.0 - 0.5 * jitter);
    asked.unwrap_or_default().max(own)
}

/// The wait that a `Retry-After` header asks for: seconds, or a date
/// (RFC 9110, section 10.2.3). `None` where it is neither.
pub(crate) fn retry_after(header: &str, now: Timestamp) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = rfc2822::parse(header)
        .map(|date| date.timestamp())
        .or_else(|_| old_date(header))
        .ok()?;
    Some(Duration::try_from(date - now).unwrap_or_default())
}

/// The two older forms of dates that HTTP has (RFC 9110, section 5.6.7).
fn old_date(header: &str) -> Result<Timestamp, jiff::Error> {
    let read = |form, text: &str| DateTime::strptime(form, text);
    let date = read("%A, %d-%b-%y %H:%M:%S GMT", header)
        .or_else(|_| read("%a %b %e %H:%M:%S %Y", header))?;
    Ok(date.to_zoned(TimeZone::UTC)?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_jitter_takes_off_at_most_half() {
        let waits: Vec<f64> = (0..8).map(|n| delay(n, None, 0.0).as_secs_f64()).collect();
        assert_eq!(waits, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]);
        assert_eq!(delay(2, None, 0.5), Duration::from_millis(1500));
        assert_eq!(delay(u32::MAX, None, 0.0), LONGEST);
    }

    #[test]
    fn what_the_server_asks_for_is_waited_in_full() {
        let asked = Some(Duration::from_secs(70));
        assert_eq!(delay(0, asked, 0.9), Duration::from_secs(70));
        assert_eq!(delay(6, Some(Duration::ZERO), 0.0), LONGEST);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2015-10-21T07:27:30Z".parse().unwrap();
        let seconds = |header| retry_after(header, now).map(|wait| wait.as_secs_f64());
        assert_eq!(seconds("120"), Some(120.0));
        assert_eq!(seconds(" 0.5 "), Some(0.5));
        assert_eq!(seconds("Wed, 21 Oct 2015 07:28:00 GMT"), Some(30.0));
        assert_eq!(seconds("Wednesday, 21-Oct-15 07:28:00 GMT"), Some(30.0));
        assert_eq!(seconds("Wed Oct 21 07:28:00 2015"), Some(30.0));
        // A date that has passed.
        assert_eq!(seconds("Wed, 21 Oct 2015 07:20:00 GMT"), Some(0.0));
        assert_eq!(seconds("soon"), None);
        assert_eq!(seconds("-3"), None);
        assert_eq!(seconds("inf"), None);
    }
}
