//! Times of day: `3 p.m.` is 15:00 and not 3 a.m.

use std::sync::LazyLock;

use regex::Regex;

use super::prose::pattern;
use super::words::prose;

/// A time of day; `afternoon` where the text says which half of the day it is.
#[derive(Debug, Clone, Copy)]
struct Time {
    hour: u32,
    /// Minutes and seconds.
    rest: (u32, u32),
    afternoon: Option<bool>,
}

static TIME: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"^(?:at )?(?P<h>\d{1,2})(?: ?: ?(?P<m>\d{2}))?(?: ?: ?(?P<s>\d{2}))?(?: o'clock)?",
        r"(?: ?(?:(?P<am>a\.? ?m|in the morning)|(?P<pm>p\.? ?m|in the (?:afternoon|evening))",
        r"|(?P<noon>noon)|(?P<midnight>midnight)))?$",
    ))
});

/// Whether two times of day are the same, where at least one text says which
/// half of the day it means; `None` otherwise. For the lenient (`may_omit`) the
/// other may leave that out.
pub(super) fn same(gold: &str, answer: &str, may_omit: bool) -> Option<bool> {
    let (own, other) = (time(gold)?, time(answer)?);
    if own.rest != other.rest {
        return own.afternoon.or(other.afternoon).map(|_| false);
    }
    match (own.afternoon, other.afternoon) {
        (None, None) => None,
        (Some(half), Some(half_of_other)) => {
            Some(own.hour % 12 == other.hour % 12 && half == half_of_other)
        }
        (Some(half), None) => Some(says(own.hour, half, other.hour, may_omit)),
        (None, Some(half)) => Some(says(other.hour, half, own.hour, may_omit)),
    }
}

/// Whether an hour without its half of the day may be this one: of 24 hours, or
/// of 12 with the half left out.
fn says(hour: u32, afternoon: bool, bare: u32, may_omit: bool) -> bool {
    let of_24 = hour % 12 + if afternoon { 12 } else { 0 };
    let omitted = may_omit && (1..=12).contains(&bare) && bare % 12 == hour % 12;
    bare % 24 == of_24 || omitted
}

fn time(text: &str) -> Option<Time> {
    let prose = prose(text)?;
    match prose.as_str() {
        "noon" | "midday" => {
            return Some(Time {
                hour: 12,
                rest: (0, 0),
                afternoon: Some(true),
            });
        }
        "midnight" => {
            return Some(Time {
                hour: 12,
                rest: (0, 0),
                afternoon: Some(false),
            });
        }
        _ => {}
    }
    let found = TIME.captures(&prose)?;
    let number = |name: &str| match found.name(name) {
        Some(digits) => digits.as_str().parse().ok(),
        None => Some(0),
    };
    let (hour, rest) = (number("h")?, (number("m")?, number("s")?));
    let says = |name: &str| found.name(name).is_some();
    let afternoon = if says("pm") || says("noon") {
        Some(true)
    } else if says("am") || says("midnight") {
        Some(false)
    } else {
        None
    };
    let most = if afternoon.is_some() { 12 } else { 24 };
    let fits = hour <= most && rest.0 < 60 && rest.1 < 60;
    fits.then_some(Time {
        hour,
        rest,
        afternoon,
    })
}
