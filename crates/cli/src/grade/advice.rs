//! Which option would read answers that the rules as they are do not.

use std::fmt;

use iwsft_eval::grade::{Extraction, Grader, Kind};
use serde::Serialize;

use super::rows::Row;

/// Wrong rows that other rules are tried on.
pub(super) const MOST_TRIED: usize = 200;

/// An option, and what it does to the rows that it was tried on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Advice {
    option: &'static str,
    tried: usize,
    read: usize,
    right: usize,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            option,
            tried,
            read,
            right,
        } = self;
        write!(
            f,
            "{option} reads {read} of the first {tried} wrong ones, and {right} of these are right"
        )
    }
}

/// The option with which most of these wrong answers are right, or, where they
/// are `unread`, with which most can be read; `None` where none helps.
pub(super) fn advice(grader: &Grader, rows: &[Row], unread: bool) -> Option<Advice> {
    use Extraction::{Boxed, FinalAnswer, Hash, LastLine, LastMath, LastNumber};
    let by = |kind: Kind, rule: Option<Extraction>| Grader {
        kind,
        extract: rule.into_iter().collect(),
        ..grader.clone()
    };
    let others = [
        ("--extract boxed", by(grader.kind, Some(Boxed))),
        ("--extract final-answer", by(grader.kind, Some(FinalAnswer))),
        ("--extract hash", by(grader.kind, Some(Hash))),
        ("--extract last-number", by(grader.kind, Some(LastNumber))),
        ("--extract last-math", by(grader.kind, Some(LastMath))),
        ("--extract last-line", by(grader.kind, Some(LastLine))),
        ("--kind math", by(Kind::Math, None)),
        ("--kind choice", by(Kind::Choice, None)),
        ("--kind exact", by(Kind::Exact, None)),
        (
            "--kind exact --extract last-line",
            by(Kind::Exact, Some(LastLine)),
        ),
    ];
    let tried = others.iter().map(|(option, other)| {
        let verdicts = rows
            .iter()
            .map(|row| other.grade_against(&row.gold, &row.said()));
        let (mut read, mut right) = (0, 0);
        for verdict in verdicts {
            read += usize::from(!verdict.reason.is_unread());
            right += usize::from(verdict.right);
        }
        // Any text can be read as text.
        let reads = unread && other.kind == grader.kind && 2 * read > rows.len();
        let helps = reads || 10 * right >= rows.len() && right > 0;
        let advice = Advice {
            option,
            tried: rows.len(),
            read,
            right,
        };
        helps.then_some(advice)
    });
    // The first of the best: `max_by_key` would take the last.
    tried
        .flatten()
        .fold(None, |best: Option<Advice>, next| match best {
            Some(best) if (best.right, best.read) >= (next.right, next.read) => Some(best),
            _ => Some(next),
        })
}
