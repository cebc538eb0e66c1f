//! The rules as options on the command line, or as keys of a TOML file.

use std::path::{Path, PathBuf};

use iwsft_data::curation::{
    BalanceDifficulty, BestOfK, Contamination, Duplicates, Length, LengthUnit, MaxPerPrompt,
    NearDuplicates, PassRate, PercentileOf, Percentiles, RewardRange, Rule, problem_texts,
};
use iwsft_data::{Columns, Template, read_objects};
use serde::{Deserialize, Serialize};

use crate::curate::source::Source;
use crate::mistake::Mistake;
use crate::prompting::Chat;
use crate::suggestion::nearest_key;

/// What is kept. Keys of the file have the names of the options, with `_` for
/// `-`: `min_reward = 0.5`.
#[derive(Debug, Clone, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Rules, in the order in which they apply")]
pub(crate) struct Options {
    /// Shortest completion, in characters.
    #[arg(long, value_name = "N")]
    min_chars: Option<usize>,
    /// Longest completion, in characters.
    #[arg(long, value_name = "N")]
    max_chars: Option<usize>,
    /// Shortest completion, in words.
    #[arg(long, value_name = "N")]
    min_words: Option<usize>,
    /// Longest completion, in words.
    #[arg(long, value_name = "N")]
    max_words: Option<usize>,
    /// Shortest completion, in tokens of --model, or as the column
    /// `completion_tokens` has them.
    #[arg(long, value_name = "N")]
    min_tokens: Option<usize>,
    /// Longest completion, in tokens.
    #[arg(long, value_name = "N")]
    max_tokens: Option<usize>,
    /// Model folder whose tokenizer and chat template count tokens.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) model: Option<PathBuf>,

    /// Remove rows whose prompt shares a run of words with a problem of these
    /// evaluation files.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) decontaminate: Vec<PathBuf>,
    /// Words of a run [default: 13].
    #[arg(long, value_name = "N")]
    ngram: Option<usize>,
    /// Columns of the evaluation files that have the problems
    /// [default: problem, question, prompt and the like].
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    eval_column: Vec<String>,
    /// Search completions too, not only prompts.
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    decontaminate_completions: bool,

    /// Of rows that are the same, or nearly, keep the best.
    #[arg(long, value_name = "HOW")]
    dedup: Option<Dedup>,
    /// Jaccard index from which prompts and completions are nearly the same
    /// [default: 0.8].
    #[arg(long, value_name = "X")]
    near_threshold: Option<f64>,

    /// Keep prompts whose pass rate, the mean reward of all of their rows, is
    /// in this range, for example 0.1..0.9.
    #[arg(long, value_name = "LOW..HIGH")]
    pass_rate: Option<String>,

    /// Keep rows with at least this reward.
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    min_reward: Option<f32>,
    /// Keep rows with at most this reward.
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    max_reward: Option<f32>,

    /// Keep the best N rows of each prompt, by score, then by reward.
    #[arg(long, value_name = "N")]
    best_of_k: Option<usize>,
    /// Keep N rows of each prompt, drawn at random.
    #[arg(long, value_name = "N")]
    max_per_prompt: Option<usize>,

    /// Keep as many prompts of each of so many bins of pass rate as the
    /// smallest bin has.
    #[arg(long, value_name = "BINS")]
    balance_difficulty: Option<usize>,

    /// Keep a row once for each percentile of reward that it exceeds, for
    /// example 90,95,98.
    #[arg(long, value_name = "P,P,...", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    percentiles: Vec<f64>,
    /// What percentiles are of [default: reward].
    #[arg(long, value_name = "WHAT")]
    percentile_of: Option<RankedBy>,

    /// Share of the prompts that goes to a validation file.
    #[arg(long, value_name = "SHARE")]
    pub(crate) split: Option<f64>,
    /// Seed of whatever is drawn at random [default: 0].
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Add the pass rate of its prompt to every row, as column `pass_rate`.
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) write_pass_rate: bool,
    /// Names of the columns, for example prompt=problem,reward=correct.
    #[arg(long, value_name = "NAME=COLUMN,...", value_parser = parse_columns)]
    pub(crate) columns: Option<Columns>,
    /// With --model: put plain prompts into its chat template as user messages:
    /// true, false, or auto, which does where there is a template [default: auto].
    #[arg(
        long,
        value_name = "WHETHER",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub(crate) chat: Option<Chat>,
    /// With --model: the message of the system for conversations that have none.
    #[arg(long, value_name = "TEXT")]
    pub(crate) system: Option<String>,
    /// The prompt's text, with columns of the row in braces: 'Q: {question}'.
    #[arg(long, value_name = "TEXT")]
    pub(crate) template: Option<Template>,
}

/// How alike rows must be to count as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Dedup {
    /// The same text, white space and Unicode's forms aside.
    Exact,
    /// Nearly the same words in the same order.
    Near,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RankedBy {
    Reward,
    Score,
}

/// What options come to.
pub(crate) struct RuleSet {
    /// In the order in which they apply.
    pub(crate) rules: Vec<Box<dyn Rule>>,
    /// The evaluation files that decontamination has read.
    pub(crate) evaluations: Vec<Source>,
}

impl Options {
    /// The options of a file, and over them those of the command line.
    pub(crate) fn over(self, file: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = file else { return Ok(self) };
        let refused = |message: &str| {
            let message = message.trim_end();
            let hint = nearest_key(message).unwrap_or_default();
            Mistake::new(format!("{}: {message}{hint}", path.display()))
        };
        let text = iwsft_files::read_text(path)
            .map_err(|error| refused(&format!("cannot read the rules: {error}")))?;
        let mut options: Self =
            toml::from_str(&text).map_err(|error| refused(&error.to_string()))?;
        // Paths in the file are relative to its folder.
        options.resolve(path.parent().unwrap_or(Path::new("")));
        let mut table = toml::Table::try_from(options)?;
        table.extend(toml::Table::try_from(self)?);
        Ok(Self::deserialize(table)?)
    }

    /// The rows of reward 1 and more.
    pub(crate) fn right_answers() -> Self {
        Self {
            min_reward: Some(1.0),
            ..Self::default()
        }
    }

    /// Makes paths relative to `folder` absolute, or relative to where it is.
    pub(crate) fn resolve(&mut self, folder: &Path) {
        for path in self.model.iter_mut().chain(&mut self.decontaminate) {
            *path = folder.join(&path);
        }
    }

    /// Whether any rule counts tokens.
    pub(crate) fn count_tokens(&self) -> bool {
        self.min_tokens.is_some() || self.max_tokens.is_some()
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed.unwrap_or(0)
    }

    /// The rules; reads the evaluation files.
    pub(crate) fn rules(&self) -> anyhow::Result<RuleSet> {
        self.check()?;
        let mut rules: Vec<Box<dyn Rule>> = Vec::new();
        for (unit, min, max) in [
            (LengthUnit::Chars, self.min_chars, self.max_chars),
            (LengthUnit::Words, self.min_words, self.max_words),
            (LengthUnit::Tokens, self.min_tokens, self.max_tokens),
        ] {
            if min.is_some() || max.is_some() {
                rules.push(Box::new(Length { unit, min, max }));
            }
        }
        let mut evaluations = Vec::new();
        if !self.decontaminate.is_empty() {
            let ngram = self.ngram.unwrap_or(13);
            let mut rule = Contamination::new(ngram, self.decontaminate_completions);
            for path in &self.decontaminate {
                let problems = read_problems(path, &self.eval_column)?;
                let texts = problems.iter().flatten().map(String::as_str);
                rule.add(&path.display().to_string(), texts);
                evaluations.push(Source::of(path, problems.len())?);
            }
            rules.push(Box::new(rule));
        }
        match self.dedup {
            Some(Dedup::Exact) => rules.push(Box::new(Duplicates)),
            Some(Dedup::Near) => {
                let mut near = NearDuplicates::default();
                near.threshold = self.near_threshold.unwrap_or(near.threshold);
                rules.push(Box::new(near));
            }
            None => {}
        }
        if let Some(range) = &self.pass_rate {
            let (min, max) = pass_range(range)?;
            rules.push(Box::new(PassRate { min, max }));
        }
        let (min, max) = (self.min_reward, self.max_reward);
        if min.is_some() || max.is_some() {
            rules.push(Box::new(RewardRange { min, max }));
        }
        let seed = self.seed();
        if let Some(at_most) = self.best_of_k {
            rules.push(Box::new(BestOfK { at_most }));
        }
        if let Some(at_most) = self.max_per_prompt {
            rules.push(Box::new(MaxPerPrompt { at_most, seed }));
        }
        if let Some(bins) = self.balance_difficulty {
            rules.push(Box::new(BalanceDifficulty { bins, seed }));
        }
        if !self.percentiles.is_empty() {
            rules.push(Box::new(Percentiles {
                above: self.percentiles.clone(),
                of: match self.percentile_of {
                    None | Some(RankedBy::Reward) => PercentileOf::Reward,
                    Some(RankedBy::Score) => PercentileOf::Score,
                },
            }));
        }
        Ok(RuleSet { rules, evaluations })
    }

    /// Refuses values without a meaning, and options that change nothing.
    fn check(&self) -> Result<(), Mistake> {
        let needs = |option: &str, given: bool, other: &str, has: bool| match given && !has {
            true => Err(Mistake::new(format!(
                "--{option} has no effect by itself: add --{other}"
            ))),
            false => Ok(()),
        };
        let (file, found) = ("decontaminate FILE", !self.decontaminate.is_empty());
        needs("ngram", self.ngram.is_some(), file, found)?;
        needs("eval-column", !self.eval_column.is_empty(), file, found)?;
        let completions = self.decontaminate_completions;
        needs("decontaminate-completions", completions, file, found)?;
        let near = self.dedup == Some(Dedup::Near);
        let threshold = self.near_threshold.is_some();
        needs("near-threshold", threshold, "dedup near", near)?;
        let (of, ranks) = (self.percentile_of.is_some(), !self.percentiles.is_empty());
        needs("percentile-of", of, "percentiles 90,95,98", ranks)?;
        let (model, counts) = (self.model.is_some(), self.count_tokens());
        needs("model", model, "max-tokens N", counts)?;
        needs("chat", self.chat.is_some(), "model FOLDER", model)?;
        needs("system", self.system.is_some(), "model FOLDER", model)?;
        for (option, value) in [
            ("ngram", self.ngram),
            ("best-of-k", self.best_of_k),
            ("max-per-prompt", self.max_per_prompt),
            ("balance-difficulty", self.balance_difficulty),
        ] {
            if value == Some(0) {
                return Err(Mistake::new(format!("--{option} 0: expected at least 1")));
            }
        }
        let of_range = |option: &str, value: f64, expected: &str| {
            Mistake::new(format!("--{option} {value}: expected {expected}"))
        };
        if let Some(x) = self.near_threshold.filter(|&x| !(x > 0.0 && x <= 1.0)) {
            let expected = "a number above 0, up to 1, such as 0.8";
            return Err(of_range("near-threshold", x, expected));
        }
        if let Some(x) = self.split.filter(|&x| !(x > 0.0 && x < 1.0)) {
            let expected = "a share between 0 and 1, such as 0.05";
            return Err(of_range("split", x, expected));
        }
        if let Some(&x) = self
            .percentiles
            .iter()
            .find(|x| !(0.0..=100.0).contains(*x))
        {
            return Err(of_range("percentiles", x, "numbers from 0 to 100"));
        }
        for (option, value) in [
            ("min-reward", self.min_reward),
            ("max-reward", self.max_reward),
        ] {
            if let Some(x) = value.filter(|x| !x.is_finite()) {
                return Err(of_range(option, x.into(), "a finite number"));
            }
        }
        let length = |x: Option<usize>| x.map(|x| x as f64);
        for (what, min, max) in [
            ("chars", length(self.min_chars), length(self.max_chars)),
            ("words", length(self.min_words), length(self.max_words)),
            ("tokens", length(self.min_tokens), length(self.max_tokens)),
            (
                "reward",
                self.min_reward.map(f64::from),
                self.max_reward.map(f64::from),
            ),
        ] {
            if let (Some(low), Some(high)) = (min, max)
                && low > high
            {
                return Err(Mistake::new(format!(
                    "--min-{what} {low} is above --max-{what} {high}: no row can be kept"
                )));
            }
        }
        Ok(())
    }
}

/// The problems of an evaluation file, each with its texts.
fn read_problems(path: &Path, columns: &[String]) -> anyhow::Result<Vec<Vec<String>>> {
    read_objects(path)?
        .map(|object| {
            let (at, object) = object?;
            Ok(problem_texts(&at, &object, columns)?)
        })
        .collect()
}

/// `0.1..0.9`
fn pass_range(text: &str) -> Result<(f64, f64), Mistake> {
    let parsed = text
        .split_once("..")
        .and_then(|(low, high)| Some((low.trim().parse().ok()?, high.trim().parse().ok()?)));
    match parsed {
        Some((low, high)) if 0.0 <= low && low <= high && high <= 1.0 => Ok((low, high)),
        _ => Err(Mistake::new(format!(
            "--pass-rate {text}: expected two numbers from 0 to 1, such as 0.1..0.9"
        ))),
    }
}

/// `prompt=problem,reward=correct`
fn parse_columns(text: &str) -> Result<Columns, String> {
    let mut names = serde_json::Map::new();
    for pair in text.split(',') {
        let Some((name, column)) = pair.split_once('=') else {
            return Err(format!(
                "`{pair}`: expected NAME=COLUMN, such as prompt=problem"
            ));
        };
        names.insert(name.trim().to_owned(), column.trim().into());
    }
    serde_json::from_value(names.into()).map_err(|error| {
        let message = error.to_string();
        let hint = nearest_key(&message).unwrap_or_default();
        message + &hint
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(toml: &str) -> Options {
        toml::from_str(toml).unwrap()
    }

    fn refusal(toml: &str) -> String {
        with(toml)
            .rules()
            .err()
            .map_or(String::new(), |error| error.to_string())
    }

    #[test]
    fn rules_apply_in_the_order_of_the_options_whatever_the_order_they_come_in() {
        let options = with(
            "percentiles = [90]\nbest_of_k = 1\nmin_reward = 1\ndedup = 'near'\nmax_chars = 9\n\
             balance_difficulty = 3\npass_rate = '0.1..0.9'\nmax_per_prompt = 2",
        );
        let RuleSet { rules, .. } = options.rules().unwrap();
        let names: Vec<&str> = rules.iter().map(|rule| rule.name()).collect();
        assert_eq!(
            names,
            [
                "chars",
                "dedup",
                "pass-rate",
                "reward",
                "best-of-k",
                "max-per-prompt",
                "balance-difficulty",
                "percentiles"
            ]
        );
    }

    #[test]
    fn the_command_line_goes_over_the_file_whose_paths_are_relative_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules.toml");
        let text = "min_reward = 0.5\nmax_reward = 0.9\ndecontaminate = ['a.jsonl', '/b.jsonl']";
        std::fs::write(&path, text).unwrap();
        let options = with("max_reward = 0.7\nseed = 0")
            .over(Some(&path))
            .unwrap();
        let mut expected = with("min_reward = 0.5\nmax_reward = 0.7\nseed = 0");
        expected.decontaminate = vec![folder.path().join("a.jsonl"), "/b.jsonl".into()];
        assert_eq!(options, expected);
    }

    #[test]
    fn a_misspelt_key_is_refused_with_the_nearest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules.toml");
        std::fs::write(&path, "seed = 1\nmin_rewards = 0.5").unwrap();
        let error = Options::default()
            .over(Some(&path))
            .unwrap_err()
            .to_string();
        assert!(error.contains("did you mean `min_reward`?"), "{error}");
        assert!(error.contains("line 2"), "{error}");
        let error = parse_columns("promt=problem").unwrap_err();
        assert!(error.contains("did you mean `prompt`?"), "{error}");
    }

    #[test]
    fn values_without_a_meaning_and_options_without_effect_are_refused() {
        for (toml, part) in [
            ("near_threshold = 0.8", "--dedup near"),
            ("ngram = 8", "--decontaminate"),
            ("model = 'm'", "--max-tokens"),
            ("percentile_of = 'score'", "--percentiles"),
            ("best_of_k = 0", "at least 1"),
            ("split = 1.0", "between 0 and 1"),
            ("percentiles = [90, 101]", "0 to 100"),
            ("dedup = 'near'\nnear_threshold = 0", "above 0"),
            ("min_reward = nan", "finite"),
            ("pass_rate = '0.5'", "0.1..0.9"),
            ("pass_rate = '0.9..0.1'", "0.1..0.9"),
            ("min_chars = 9\nmax_chars = 3", "no row can be kept"),
        ] {
            let message = refusal(toml);
            assert!(message.contains(part), "{toml}: {message}");
        }
    }
}
