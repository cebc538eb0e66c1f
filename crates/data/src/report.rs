//! What became of the rows.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::DataError;
use crate::findings::Findings;
use crate::row::Location;

/// Rows listed by name in a report or an error; the others are counted.
pub const LISTED: usize = 10;

/// What was read, kept and dropped. `rows_read` is the sum of `kept` and of
/// what the rules dropped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Rows in the files.
    pub rows_read: usize,
    /// Rows that became trajectories.
    pub kept: usize,
    /// Dropped: reward below `min_reward`.
    pub below_min_reward: usize,
    /// Dropped: longer than `max_length`.
    pub too_long: usize,
    /// Dropped: some of what they want learnt is not among their tokens.
    pub unlearnable: usize,
    /// Dropped: no token carries loss.
    pub empty_mask: usize,
    /// Dropped: every token that carries loss was behind `max_length`.
    pub truncated_away: usize,
    /// Kept, but cut to `max_length`.
    pub truncated: usize,
    /// Tokens cut from those.
    pub tokens_cut: usize,
    /// Tokens kept.
    pub tokens: usize,
    /// Tokens kept that carry loss.
    pub loss_tokens: usize,
    /// Length of the longest trajectory kept.
    pub longest: usize,
    /// Length of the shortest trajectory kept.
    pub shortest: usize,
    /// The first rows without a token that carries loss, as `path:line`.
    #[serde(serialize_with = "as_text")]
    pub empty_mask_at: Vec<Location>,
    /// Kept, with a token that straddles the border of prompt and answer.
    pub straddling: usize,
    /// The first of those, as `path:line`.
    #[serde(serialize_with = "as_text")]
    pub straddling_at: Vec<Location>,
    /// The first rows that cannot be learnt from, as `path:line`, and why not.
    #[serde(serialize_with = "as_texts")]
    pub unlearnable_at: Vec<(Location, String)>,
    /// What is to be said of the file's rows; of one file, not of several.
    #[serde(skip)]
    pub findings: Findings,
}

fn as_text<S: serde::Serializer>(list: &[Location], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(Location::to_string))
}

fn as_texts<S: serde::Serializer>(
    list: &[(Location, String)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(|(at, reason)| format!("{at}: {reason}")))
}

impl Report {
    /// Counts a trajectory that was kept.
    pub(crate) fn keep(&mut self, length: usize, steps: usize) {
        self.longest = self.longest.max(length);
        self.shortest = match self.kept {
            0 => length,
            _ => self.shortest.min(length),
        };
        self.kept += 1;
        self.tokens += length;
        self.loss_tokens += steps;
    }

    pub(crate) fn empty(&mut self, at: &Location) {
        self.empty_mask += 1;
        if self.empty_mask_at.len() < LISTED {
            self.empty_mask_at.push(at.clone());
        }
    }

    pub(crate) fn straddle(&mut self, at: &Location) {
        self.straddling += 1;
        if self.straddling_at.len() < LISTED {
            self.straddling_at.push(at.clone());
        }
    }

    pub(crate) fn cannot_learn(&mut self, at: &Location, reason: String) {
        self.unlearnable += 1;
        if self.unlearnable_at.len() < LISTED {
            self.unlearnable_at.push((at.clone(), reason));
        }
    }

    /// Adds the counts of another file.
    pub fn merge(&mut self, other: &Report) {
        self.longest = self.longest.max(other.longest);
        self.shortest = match (self.kept, other.kept) {
            (0, _) => other.shortest,
            (_, 0) => self.shortest,
            _ => self.shortest.min(other.shortest),
        };
        self.rows_read += other.rows_read;
        self.kept += other.kept;
        self.below_min_reward += other.below_min_reward;
        self.too_long += other.too_long;
        self.unlearnable += other.unlearnable;
        self.empty_mask += other.empty_mask;
        self.truncated_away += other.truncated_away;
        self.truncated += other.truncated;
        self.tokens_cut += other.tokens_cut;
        self.tokens += other.tokens;
        self.loss_tokens += other.loss_tokens;
        self.empty_mask_at.extend_from_slice(&other.empty_mask_at);
        self.empty_mask_at.truncate(LISTED);
        self.straddling += other.straddling;
        self.straddling_at.extend_from_slice(&other.straddling_at);
        self.straddling_at.truncate(LISTED);
        self.unlearnable_at.extend_from_slice(&other.unlearnable_at);
        self.unlearnable_at.truncate(LISTED);
    }

    /// The error for a file of which nothing is left.
    pub(crate) fn nothing_kept(&self, path: &Path) -> DataError {
        let reasons: Vec<String> = self
            .drops()
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(rule, count)| format!("{rule}: {count}"))
            .collect();
        DataError::NothingKept {
            path: path.to_owned(),
            rows_read: self.rows_read,
            reasons: reasons.join(", "),
        }
    }

    fn drops(&self) -> [(&'static str, usize); 5] {
        [
            ("below min_reward", self.below_min_reward),
            ("too long", self.too_long),
            ("cannot be learnt", self.unlearnable),
            ("no loss tokens", self.empty_mask),
            ("no loss tokens left when cut", self.truncated_away),
        ]
    }
}

impl fmt::Display for Report {
    /// A table of two columns, without a line break at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![("rows read".to_owned(), self.rows_read)];
        lines.extend(
            self.drops()
                .map(|(rule, count)| (format!("  dropped, {rule}"), count)),
        );
        lines.extend(
            [
                ("rows kept", self.kept),
                ("  cut to max_length", self.truncated),
                ("  tokens cut off", self.tokens_cut),
                ("tokens", self.tokens),
                ("  with loss", self.loss_tokens),
                ("longest row", self.longest),
                ("shortest row", self.shortest),
            ]
            .map(|(label, count)| (label.to_owned(), count)),
        );
        // What did not happen is not worth a line.
        lines.retain(|(label, count)| *count > 0 || !label.starts_with(' '));
        let label = lines
            .iter()
            .map(|(label, _)| label.len())
            .max()
            .unwrap_or(0);
        let digits = |count: &usize| count.to_string().len();
        let number = lines
            .iter()
            .map(|(_, count)| digits(count))
            .max()
            .unwrap_or(0);
        for (i, (name, count)) in lines.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{name:label$}  {count:>number$}")?;
        }
        if let Some(first) = self.straddling_at.first() {
            let rows = match self.straddling {
                1 => "1 row has".to_owned(),
                count => format!("{count} rows have"),
            };
            write!(
                f,
                "\n{rows} a token that straddles the border of prompt and answer (the first is \
                 {first}): a plain prompt keeps the tokens that it has alone, and in a conversation \
                 such a token carries no loss; often a space or line break ends the prompt that \
                 should begin the answer"
            )?;
        }
        let reasons = self.unlearnable_at.iter();
        let reasons = reasons.map(|(at, reason)| format!("{at}: {reason}"));
        listing(f, "cannot be learnt", reasons, self.unlearnable)?;
        let places = self.empty_mask_at.iter().map(Location::to_string);
        listing(f, "no loss tokens", places, self.empty_mask)
    }
}

/// The first of `count` rows that a rule dropped, if there are any.
fn listing(
    f: &mut fmt::Formatter<'_>,
    rule: &str,
    rows: impl ExactSizeIterator<Item = String>,
    count: usize,
) -> fmt::Result {
    let listed = rows.len();
    if listed > 0 {
        write!(f, "\n{rule}:")?;
    }
    for row in rows {
        write!(f, "\n  {row}")?;
    }
    if count > listed {
        write!(f, "\n  and {} more", count - listed)?;
    }
    Ok(())
}
