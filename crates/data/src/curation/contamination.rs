//! Keep rows away that show what an evaluation asks.

use std::collections::HashMap;

use rayon::prelude::*;
use serde_json::{Map, Value};

use crate::curation::words::{Words, runs};
use crate::curation::{Candidates, CurationError, Kept, Rule};
use crate::row::Location;

/// Columns in which evaluation files have their problems, in small letters.
pub const PROBLEM_COLUMNS: [&str; 8] = [
    "problem",
    "question",
    "prompt",
    "instruction",
    "query",
    "body",
    "text",
    "messages",
];

/// Removes rows that share a run of words (an n-gram) with a problem of an
/// evaluation. Words are letters and digits; small and capital letters are
/// alike. A problem of fewer words than that only matches a text that has the
/// same words from start to end.
#[derive(Debug, Clone)]
pub struct Contamination {
    ngram: usize,
    completions: bool,
    files: Vec<String>,
    /// For the hash of each run, the first file that has it.
    runs: HashMap<u64, usize>,
    /// The same for problems that are shorter than a run.
    short: HashMap<u64, usize>,
}

impl Contamination {
    /// A rule with runs of `ngram` words (13 is usual) and no problems yet.
    /// `completions` are searched too, not only prompts. A row that is one
    /// text is searched in any case.
    pub fn new(ngram: usize, completions: bool) -> Self {
        Self {
            ngram: ngram.max(1),
            completions,
            files: Vec::new(),
            runs: HashMap::new(),
            short: HashMap::new(),
        }
    }

    /// Adds the problems of a file; `name` is for the report.
    pub fn add<'a>(&mut self, name: &str, problems: impl IntoIterator<Item = &'a str>) {
        let file = self.files.len();
        self.files.push(name.to_owned());
        for problem in problems {
            let words = Words::Alphanumeric.of(problem);
            let found = if words.len() < self.ngram {
                &mut self.short
            } else {
                &mut self.runs
            };
            for run in runs(&words, self.ngram) {
                found.entry(run).or_insert(file);
            }
        }
    }

    /// The first file that has a problem of which the text shows a run.
    fn file_of(&self, text: &str) -> Option<usize> {
        let words = Words::Alphanumeric.of(text);
        let known = if words.len() < self.ngram {
            &self.short
        } else {
            &self.runs
        };
        runs(&words, self.ngram)
            .filter_map(|run| known.get(&run).copied())
            .min()
    }
}

impl Rule for Contamination {
    fn name(&self) -> &'static str {
        "decontaminate"
    }

    fn setting(&self) -> String {
        let of = if self.completions {
            "prompts and completions"
        } else {
            "prompts"
        };
        format!("{of}, runs of {} words", self.ngram)
    }

    fn apply(&self, rows: &Candidates, kept: &[usize]) -> Result<Kept, CurationError> {
        let found: Vec<Option<usize>> = kept
            .par_iter()
            .map(|&index| {
                let row = rows.row(index);
                let of_prompt = self.file_of(row.prompt_key());
                let search = self.completions && !row.prompt.is_empty();
                let of_completion = || search.then(|| self.file_of(&row.completion)).flatten();
                of_prompt.or_else(of_completion)
            })
            .collect();
        let mut details: Vec<(String, usize)> =
            self.files.iter().map(|file| (file.clone(), 0)).collect();
        let mut left = Vec::new();
        for (&index, found) in kept.iter().zip(found) {
            match found {
                Some(file) => details[file].1 += 1,
                None => left.push(index),
            }
        }
        Ok(Kept {
            rows: left,
            details,
        })
    }
}

/// The texts of an evaluation's problem: those of `columns`, or where none is
/// named, of every column that is called as problems usually are (see
/// [`PROBLEM_COLUMNS`]; small and capital letters are alike). Of a conversation
/// these are the user's messages.
///
/// # Errors
/// If there is no text.
pub fn problem_texts(
    at: &Location,
    object: &Map<String, Value>,
    columns: &[String],
) -> Result<Vec<String>, CurationError> {
    let is_asked = |name: &str| {
        if columns.is_empty() {
            PROBLEM_COLUMNS.contains(&name.to_lowercase().as_str())
        } else {
            columns.iter().any(|column| column == name)
        }
    };
    let mut texts = Vec::new();
    for (_, value) in object.iter().filter(|(name, _)| is_asked(name)) {
        match value {
            Value::String(text) => texts.push(text.clone()),
            Value::Array(messages) => {
                let asked = messages.iter().filter(|message| message["role"] == "user");
                let asked = asked.filter_map(|message| message["content"].as_str());
                texts.extend(asked.map(str::to_owned));
            }
            _ => {}
        }
    }
    texts.retain(|text| text.chars().any(char::is_alphanumeric));
    if texts.is_empty() {
        let found: Vec<&str> = object.keys().map(String::as_str).collect();
        return Err(CurationError::NoProblem {
            at: at.clone(),
            expected: if columns.is_empty() {
                PROBLEM_COLUMNS.join(", ")
            } else {
                columns.join(", ")
            },
            found: found.join(", "),
        });
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curation::Candidate;
    use serde_json::json;

    const PROBLEM: &str = "Ann has 3 apples and buys 4 more. How many apples does Ann have now?";

    fn rows(list: &[(&str, &str)]) -> Candidates {
        let row = |&(prompt, completion): &(&str, &str)| Candidate {
            prompt: prompt.to_owned(),
            completion: completion.to_owned(),
            ..Candidate::default()
        };
        Candidates::new(list.iter().map(row).collect())
    }

    fn rule(completions: bool) -> Contamination {
        let mut rule = Contamination::new(13, completions);
        rule.add("a.jsonl", [PROBLEM]);
        rule.add("b.jsonl", [PROBLEM, "What is 2 + 2?"]);
        rule
    }

    #[test]
    fn a_shared_run_is_found_within_any_wording_around_it() {
        let template = format!("Solve this:\n{}\nThink first.", PROBLEM.to_uppercase());
        let rows = rows(&[
            (&template, ""),
            ("Ann has 3 apples and buys 4 more.", ""),
            ("what is 2+2", ""),
            ("What is 2 + 2? Think first.", ""),
            ("", PROBLEM),
            ("Another prompt", PROBLEM),
        ]);
        let all = [0, 1, 2, 3, 4, 5];
        let left = rule(false).apply(&rows, &all).unwrap();
        assert_eq!(left.rows, [1, 3, 5]);
        let details = [("a.jsonl".to_owned(), 2), ("b.jsonl".to_owned(), 1)];
        assert_eq!(left.details, details);
        assert_eq!(rule(true).apply(&rows, &all).unwrap().rows, [1, 3]);
    }

    #[test]
    fn shorter_runs_find_more() {
        let rows = rows(&[("Ann has 3 apples and buys 4 pears.", "")]);
        let mut rule = Contamination::new(5, false);
        rule.add("a.jsonl", [PROBLEM]);
        assert!(rule.apply(&rows, &[0]).unwrap().rows.is_empty());
    }

    #[test]
    fn problems_are_found_by_the_usual_names_or_those_given() {
        let at = Candidate::default().at;
        let object = |value: Value| value.as_object().unwrap().clone();
        let row = object(json!({"Body": "a", "Question": "b", "answer": "c", "id": 1}));
        assert_eq!(problem_texts(&at, &row, &[]).unwrap(), ["a", "b"]);
        let named = ["answer".to_owned()];
        assert_eq!(problem_texts(&at, &row, &named).unwrap(), ["c"]);
        let chat = json!({"messages": [
            {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
        ]});
        assert_eq!(problem_texts(&at, &object(chat), &[]).unwrap(), ["a"]);
        let error = problem_texts(&at, &object(json!({"task": "a"})), &[]).unwrap_err();
        assert!(error.to_string().contains("task"), "{error}");
    }
}
