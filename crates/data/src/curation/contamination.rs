//! Keep rows away that show what an evaluation asks.

use std::collections::HashMap;

use rayon::prelude::*;
use serde_json::{Map, Value};

use crate::curation::words::{Words, runs};
use crate::curation::{Candidates, CurationError, Kept, Rule};
use crate::row::Location;

/// Columns in which evaluation files have their problems, in small letters.
pub const PROBLEM_COLUMNS: [&str; 11] = [
    "problem",
    "question",
    "prompt",
    "instruction",
    "input",
    "query",
    "body",
    "text",
    "messages",
    "conversations",
    "turns",
];

/// Removes rows that share a run of words (an n-gram) with a problem of an
/// evaluation. Words are letters and digits; spellings of a word are alike, and
/// so are small and capital letters. A problem of fewer words than that only
/// matches a text that has the same words from start to end. Of a conversation,
/// every message of the user is searched, the later ones too.
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
                let questions = row.questions.iter().map(String::as_str);
                let answer =
                    (self.completions && !row.prompt.is_empty()).then_some(&*row.completion);
                std::iter::once(row.asked())
                    .chain(questions)
                    .chain(answer)
                    .find_map(|text| self.file_of(text))
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
/// [`PROBLEM_COLUMNS`]; small and capital letters are alike). Of a conversation,
/// in either of the usual forms, these are the user's messages; of a list of
/// texts, each.
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
            Value::Array(items) => texts.extend(items.iter().flat_map(asked)),
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

/// The texts of an item of a list: of a text itself, of a message what the user
/// says in it.
fn asked(item: &Value) -> Vec<String> {
    let is_user = |key: &str| item[key] == "user" || item[key] == "human";
    let content = match item {
        Value::String(_) => item,
        _ if is_user("role") => &item["content"],
        _ if is_user("from") => &item["value"],
        _ => return Vec::new(),
    };
    match content {
        Value::String(text) => vec![text.clone()],
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str().map(str::to_owned))
            .collect(),
        _ => Vec::new(),
    }
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
    fn every_question_of_a_conversation_is_searched() {
        let row = |prompt: &str, question: &str| Candidate {
            prompt: prompt.to_owned(),
            questions: vec![question.to_owned()],
            completion: "a".to_owned(),
            ..Candidate::default()
        };
        let rows = Candidates::new(vec![
            row("Hi", PROBLEM),
            row("Be brief.\n\nWhat is 2 + 2?", "What is 2 + 2?"),
            row("Hi", "What is 2 + 3?"),
        ]);
        let left = rule(false).apply(&rows, &[0, 1, 2]).unwrap();
        assert_eq!(left.rows, [2]);
        let details = [("a.jsonl".to_owned(), 1), ("b.jsonl".to_owned(), 1)];
        assert_eq!(left.details, details);
    }

    #[test]
    fn a_problem_is_found_in_every_spelling() {
        let problem = "O\u{f9} est-il apr\u{e8}s trois heures, et o\u{f9} sera-t-il arriv\u{e9} exactement ce soir?";
        let decomposed = problem
            .replace('\u{e9}', "e\u{301}")
            .replace('\u{e8}', "e\u{300}");
        let decomposed = decomposed.replace('\u{f9}', "u\u{300}");
        for (of_rule, of_row) in [(problem, &*decomposed), (&decomposed, problem)] {
            let mut rule = Contamination::new(13, false);
            rule.add("a.jsonl", [of_rule]);
            let rows = rows(&[(&of_row.to_uppercase(), ""), (of_row, "")]);
            assert!(rule.apply(&rows, &[0, 1]).unwrap().rows.is_empty());
        }
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
        for row in [
            json!({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "a"}]}]}),
            json!({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}),
            json!({"turns": ["a"]}),
            json!({"instruction": "a", "input": ""}),
        ] {
            assert_eq!(
                problem_texts(&at, &object(row.clone()), &[]).unwrap(),
                ["a"],
                "{row}"
            );
        }
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
