//! The data card: what a curated file holds and how it came to be, for whoever
//! uses it next.

use std::fmt::Write;

use iwsft_data::curation::{Candidates, Step};

use crate::curate::source::Source;
use crate::terminal;

/// Widest bar of a histogram.
const BAR: usize = 40;

/// Rewards that are listed one by one before they are put into bins.
const LISTED: usize = 10;

/// Everything that a card tells.
pub(crate) struct Card<'a> {
    pub(crate) rows: &'a Candidates,
    pub(crate) sources: &'a [Source],
    pub(crate) evaluations: &'a [Source],
    pub(crate) steps: &'a [Step],
    pub(crate) split: Option<String>,
    /// Files written, with their rows.
    pub(crate) results: &'a [(Source, &'a [usize])],
}

impl Card<'_> {
    /// The card as Markdown.
    pub(crate) fn markdown(&self) -> Result<String, std::fmt::Error> {
        let mut card = String::new();
        let name = self
            .results
            .first()
            .and_then(|(file, _)| file.path.file_name());
        let name = name.unwrap_or_default().to_string_lossy();
        writeln!(card, "# Data card: {}\n", escaped(&name))?;
        writeln!(card, "Made by iwsft {} with\n", env!("CARGO_PKG_VERSION"))?;
        fenced(&mut card, &command_line())?;
        card.push_str("\n## Sources\n\n");
        files(&mut card, self.sources)?;
        if !self.evaluations.is_empty() {
            card.push_str("\nEvaluations that the data was searched for:\n\n");
            files(&mut card, self.evaluations)?;
        }
        card.push_str("\n## Rules\n\n");
        self.rules(&mut card)?;
        for (file, rows) in self.results {
            self.result(&mut card, file, rows)?;
        }
        Ok(card)
    }

    fn rules(&self, card: &mut String) -> std::fmt::Result {
        if self.steps.is_empty() {
            card.push_str("None: every row was kept.\n");
        } else {
            card.push_str(
                "| rule | setting | rows before | removed | rows left | prompts left |\n",
            );
            card.push_str("| --- | --- | ---: | ---: | ---: | ---: |\n");
        }
        for step in self.steps {
            let Step {
                rule,
                setting,
                before,
                left,
                prompts_left,
                ..
            } = step;
            let (setting, removed) = (escaped(setting), step.removed.len());
            writeln!(
                card,
                "| {rule} | {setting} | {before} | {removed} | {left} | {prompts_left} |"
            )?;
        }
        let mut first = true;
        for step in self.steps {
            for (name, count) in &step.details {
                if std::mem::take(&mut first) {
                    card.push('\n');
                }
                writeln!(card, "- {}, {}: {count}", step.rule, escaped(name))?;
            }
        }
        if let Some(split) = &self.split {
            writeln!(card, "\n{split}")?;
        }
        Ok(())
    }

    fn result(&self, card: &mut String, file: &Source, rows: &[usize]) -> std::fmt::Result {
        writeln!(card, "\n## {}\n", escaped(&file.path.to_string_lossy()))?;
        let mut distinct = rows.to_vec();
        distinct.dedup();
        writeln!(card, "| | |\n| --- | ---: |")?;
        writeln!(card, "| rows | {} |", rows.len())?;
        if distinct.len() < rows.len() {
            writeln!(card, "| different rows | {} |", distinct.len())?;
        }
        writeln!(card, "| prompts | {} |", self.rows.prompts_of(rows))?;
        writeln!(card, "| blake3 | `{}` |", file.blake3)?;
        let rewards: Vec<f64> = rows
            .iter()
            .filter_map(|&row| self.rows.row(row).reward.map(f64::from))
            .collect();
        if !rewards.is_empty() {
            card.push_str("\nRewards");
            summary(card, &rewards)?;
            histogram(card, &reward_bins(&rewards))?;
        }
        let lengths: Vec<f64> = rows
            .iter()
            .map(|&row| self.rows.row(row).completion.chars().count() as f64)
            .collect();
        card.push_str("\nCharacters of completions");
        summary(card, &lengths)?;
        histogram(card, &length_bins(&lengths))
    }
}

fn files(card: &mut String, files: &[Source]) -> std::fmt::Result {
    card.push_str("| file | rows | blake3 |\n| --- | ---: | --- |\n");
    for file in files {
        let path = escaped(&file.path.to_string_lossy());
        let (rows, hash) = (file.rows, &file.blake3);
        writeln!(card, "| {path} | {rows} | `{hash}` |")?;
    }
    Ok(())
}

/// A text of the outside world, such that Markdown shows it as it is.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in terminal::in_line(text).chars() {
        if "\\`*[]<>|&#!~$".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// A command in a block of its own, whose fence is longer than any in it.
fn fenced(card: &mut String, command: &str) -> std::fmt::Result {
    let runs = command.split(|c| c != '`').map(str::len);
    let fence = "`".repeat(runs.max().unwrap_or(0).max(2) + 1);
    writeln!(card, "{fence}sh\n{}\n{fence}", terminal::in_line(command))
}

/// ": 3 values from 0 to 1, mean 0.5, median 0.5"
fn summary(card: &mut String, values: &[f64]) -> std::fmt::Result {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let value = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    let (count, last) = (sorted.len(), sorted.len().saturating_sub(1));
    writeln!(
        card,
        ": {count} from {} to {}, mean {:.4}, median {}.\n",
        value(0),
        value(last),
        sorted.iter().sum::<f64>() / count as f64,
        value(last / 2),
    )
}

/// Each value with its count where there are few, else ten bins of equal width.
fn reward_bins(rewards: &[f64]) -> Vec<(String, usize)> {
    let mut sorted = rewards.to_vec();
    sorted.sort_by(f64::total_cmp);
    let runs: Vec<&[f64]> = sorted.chunk_by(|a, b| a == b).collect();
    if runs.len() <= LISTED {
        return runs
            .iter()
            .map(|run| (run[0].to_string(), run.len()))
            .collect();
    }
    let (low, high) = (sorted[0], sorted[sorted.len() - 1]);
    let width = (high - low) / LISTED as f64;
    let mut counts = [0; LISTED];
    for reward in sorted {
        counts[(((reward - low) / width) as usize).min(LISTED - 1)] += 1;
    }
    let edge = |i: usize| low + width * i as f64;
    let bin = |(i, count)| (format!("{:.3} to {:.3}", edge(i), edge(i + 1)), count);
    counts.into_iter().enumerate().map(bin).collect()
}

/// Bins that double: 0, 1, 2-3, 4-7, and so on, from the first that is filled
/// to the last.
fn length_bins(lengths: &[f64]) -> Vec<(String, usize)> {
    let mut counts = vec![0; 65];
    for &length in lengths {
        counts[(u64::BITS - (length as u64).leading_zeros()) as usize] += 1;
    }
    let name = |i: usize| match i {
        0 | 1 => i.to_string(),
        i => format!("{}-{}", 1_u128 << (i - 1), (1_u128 << i) - 1),
    };
    let mut bins: Vec<_> = counts
        .into_iter()
        .enumerate()
        .map(|(i, n)| (name(i), n))
        .collect();
    let filled = |(_, count): &(String, usize)| *count > 0;
    let last = bins.iter().rposition(filled).map_or(0, |last| last + 1);
    bins.truncate(last);
    bins.drain(..bins.iter().position(filled).unwrap_or(0));
    bins
}

fn histogram(card: &mut String, bins: &[(String, usize)]) -> std::fmt::Result {
    let most = bins
        .iter()
        .map(|(_, count)| *count)
        .max()
        .unwrap_or(0)
        .max(1);
    let name = bins.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let digits = most.to_string().len();
    card.push_str("```text\n");
    for (bin, count) in bins {
        // Whatever is there is seen.
        let bar = "#".repeat((count * BAR).div_ceil(most));
        writeln!(
            card,
            "{}",
            format!("{bin:>name$}  {count:>digits$}  {bar}").trim_end()
        )?;
    }
    card.push_str("```\n");
    Ok(())
}

/// The command as it was typed, quoted for a shell.
fn command_line() -> String {
    let quoted = |arg: String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+@%".contains(c);
        if !arg.is_empty() && arg.chars().all(plain) {
            arg
        } else {
            format!("'{}'", arg.replace('\'', r"'\''"))
        }
    };
    let args = std::env::args_os().skip(1);
    let args = args.map(|arg| quoted(arg.to_string_lossy().into_owned()));
    std::iter::once("iwsft".to_owned())
        .chain(args)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_rewards_are_listed_and_many_put_into_bins() {
        let few = reward_bins(&[1.0, 0.0, 1.0]);
        assert_eq!(few, [("0".to_owned(), 1), ("1".to_owned(), 2)]);
        let values: Vec<f64> = (0..=100).map(f64::from).collect();
        let many = reward_bins(&values);
        assert_eq!(many.len(), 10);
        assert_eq!(many[9], ("90.000 to 100.000".to_owned(), 11));
    }

    #[test]
    fn what_files_and_settings_are_called_cannot_write_the_card() {
        let name = "a|b [x](javascript:y) <script> `c`\n# d\x1b";
        let expected = r"a\|b \[x\](javascript:y) \<script\> \`c\`\\n\# d\\u{1b}";
        assert_eq!(escaped(name), expected);
        let mut card = String::new();
        fenced(&mut card, "iwsft curate '````\n# d'").unwrap();
        assert_eq!(card, "`````sh\niwsft curate '````\\n# d'\n`````\n");
    }

    #[test]
    fn lengths_fall_into_bins_that_double() {
        let bins = length_bins(&[2.0, 3.0, 9.0]);
        let expected = [("2-3", 2), ("4-7", 0), ("8-15", 1)];
        assert_eq!(bins, expected.map(|(name, count)| (name.to_owned(), count)));
        assert_eq!(length_bins(&[0.0]), [("0".to_owned(), 1)]);
    }

    #[test]
    fn bars_are_in_proportion_and_never_empty_for_something() {
        let mut text = String::new();
        let bins = [
            ("a".to_owned(), 400),
            ("bc".to_owned(), 1),
            ("d".to_owned(), 0),
        ];
        histogram(&mut text, &bins).unwrap();
        let bar = "#".repeat(40);
        assert_eq!(
            text,
            format!("```text\n a  400  {bar}\nbc    1  #\n d    0\n```\n")
        );
    }
}
