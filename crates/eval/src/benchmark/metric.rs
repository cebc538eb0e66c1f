//! What is reported of the answers.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::grade::Grader;
use crate::statistics::{average, majority, pass_at_k};

/// A figure that a problem's answers come to. In TOML `"avg@k"`, `"pass@k"`,
/// `"majority@k"`, where k is the number of answers that are drawn, or
/// `"pass@8"`, of which more than 8 may be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Metric {
    /// Share of right answers.
    Average,
    /// Whether one of so many answers is right, without bias; `None`: of all.
    Pass(Option<usize>),
    /// Whether the most frequent answer is right.
    Majority,
}

/// A graded answer, as metrics see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graded {
    /// Whether it is right.
    pub right: bool,
    /// The answer that was found in the text.
    pub extracted: Option<String>,
}

impl Metric {
    /// Whether `k` answers are enough; if not, why.
    pub fn check(self, k: usize) -> Result<(), String> {
        if k == 0 {
            return Err("`k` is 0; at least one answer to each problem is needed".to_owned());
        }
        match self {
            Self::Pass(Some(most)) if most > k => Err(format!(
                "pass@{most} needs {most} answers to each problem, k is {k}; \
                 draw more, or ask for pass@{k}"
            )),
            _ => Ok(()),
        }
    }

    /// The metric's name where `k` answers are drawn: `avg@4`.
    pub fn name(self, k: usize) -> String {
        match self {
            Self::Average => format!("avg@{k}"),
            Self::Pass(most) => format!("pass@{}", most.unwrap_or(k)),
            Self::Majority => format!("majority@{k}"),
        }
    }

    /// The value, 0..=1, of one problem's answers. Answers vote together where
    /// `grader` finds them equal.
    ///
    /// # Panics
    /// If the answers are fewer than [`Metric::check`] asks for.
    pub fn value(self, answers: &[Graded], grader: &Grader) -> f64 {
        let right: Vec<bool> = answers.iter().map(|answer| answer.right).collect();
        match self {
            Self::Average => average(&right),
            Self::Pass(most) => pass_at_k(&right, most.unwrap_or(right.len())),
            Self::Majority => {
                let answers: Vec<_> = answers.iter().map(|a| a.extracted.as_deref()).collect();
                majority(&answers, &right, |a, b| {
                    a == b || grader.compare(a, b).is_right()
                })
            }
        }
    }
}

impl TryFrom<String> for Metric {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number = |text: &str| text.parse().ok().filter(|&most| most > 0);
        match text.split_once('@') {
            Some(("avg", "k")) => Ok(Self::Average),
            Some(("pass", "k")) => Ok(Self::Pass(None)),
            Some(("majority", "k")) => Ok(Self::Majority),
            Some(("pass", most)) if number(most).is_some() => Ok(Self::Pass(number(most))),
            _ => Err(format!(
                "`{text}` is no metric; there are avg@k, pass@k, majority@k, and pass@N for a number N"
            )),
        }
    }
}

impl std::str::FromStr for Metric {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.to_owned().try_into()
    }
}

impl From<Metric> for String {
    fn from(metric: Metric) -> Self {
        metric.to_string()
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Average => f.write_str("avg@k"),
            Self::Pass(None) => f.write_str("pass@k"),
            Self::Pass(Some(most)) => write!(f, "pass@{most}"),
            Self::Majority => f.write_str("majority@k"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graded(answers: &[(&str, bool)]) -> Vec<Graded> {
        let graded = |&(extracted, right): &(&str, bool)| Graded {
            right,
            extracted: Some(extracted.to_owned()),
        };
        answers.iter().map(graded).collect()
    }

    #[test]
    fn metrics_are_read_as_they_are_written() {
        for text in ["avg@k", "pass@k", "pass@8", "majority@k"] {
            let metric: Metric = text.parse().unwrap();
            assert_eq!(metric.to_string(), text);
        }
        for text in ["avg", "avg@4", "pass@0", "pass@-1", "majority@3", "", "@"] {
            assert!(text.parse::<Metric>().is_err(), "{text}");
        }
    }

    #[test]
    fn one_problem_has_a_value_under_each_metric() {
        let answers = graded(&[
            ("7", true),
            ("8", false),
            ("8", false),
            ("7", true),
            ("9", false),
        ]);
        let grader = Grader::default();
        let value = |metric: Metric| metric.value(&answers, &grader);
        assert!((value(Metric::Average) - 0.4).abs() < 1e-12);
        assert_eq!(value(Metric::Pass(None)), 1.0);
        // All but the 3 of 10 pairs that are wrong twice.
        assert!((value(Metric::Pass(Some(2))) - 0.7).abs() < 1e-12);
        assert_eq!(value(Metric::Majority), 0.5);
        assert_eq!(Metric::Pass(Some(2)).name(5), "pass@2");
        assert_eq!(Metric::Majority.name(5), "majority@5");
    }
}
