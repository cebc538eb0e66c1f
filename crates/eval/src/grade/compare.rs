//! Whether two answers are the same.

use super::budget::Budget;
use super::{Mode, Reason, fold};

/// Compares an answer with the gold answer.
pub(super) fn compare(
    gold: &str,
    answer: &str,
    _mode: Mode,
    _decimals: u32,
    _budget: &mut Budget,
) -> Reason {
    let number = |text: &str| {
        text.replace([',', '$', '\\', ' '], "")
            .trim_end_matches('.')
            .parse::<f64>()
            .ok()
    };
    if fold::words(gold) == fold::words(answer) {
        return Reason::SameText;
    }
    match (number(gold), number(answer)) {
        (Some(gold), Some(answer)) if gold == answer => Reason::Exact,
        (Some(_), Some(_)) => Reason::Different,
        _ => Reason::Unreadable,
    }
}
