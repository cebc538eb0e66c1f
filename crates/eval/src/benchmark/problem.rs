//! From rows of data to problems.

use std::collections::HashSet;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value};

use super::prompt::letters;
use super::{Benchmark, BenchmarkError, Message, Names};
use crate::grade::{self, Gold, GoldError};

/// A problem, ready to be asked and graded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its name, unique in the benchmark.
    pub id: String,
    /// What the model is asked.
    pub messages: Vec<Message>,
    /// The right answer, or several; of multiple choice, its letter.
    pub answer: Gold,
}

/// A row of data and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// File and row, for messages.
    pub at: String,
    /// The columns.
    pub columns: Map<String, Value>,
}

impl Benchmark {
    /// The problems of `rows`, in order. Choices are shuffled by `seed` and the
    /// row's number, so that a problem does not depend on how many are asked.
    ///
    /// # Errors
    /// If a column is missing or holds something else than text or a number, if a
    /// problem has several right answers and the grader does not say what that
    /// means, or if two problems have the same name.
    pub fn problems(
        &self,
        rows: impl IntoIterator<Item = Row>,
        seed: u64,
    ) -> Result<Vec<Problem>, BenchmarkError> {
        let mut ids = HashSet::new();
        let mut problems = Vec::new();
        for (index, row) in rows.into_iter().enumerate() {
            let problem = self.problem(&row, index, seed)?;
            if !ids.insert(problem.id.clone()) {
                let (at, id) = (row.at, problem.id);
                return Err(BenchmarkError::SameId { at, id });
            }
            problems.push(problem);
        }
        Ok(problems)
    }

    fn problem(&self, row: &Row, index: usize, seed: u64) -> Result<Problem, BenchmarkError> {
        let columns = &self.columns;
        let question = row.text(&columns.question)?;
        // A name is useful and not needed: other copies of a benchmark have none.
        let id = columns.id.iter().filter(|id| row.columns.contains_key(*id));
        let id = id.map(|id| row.value(id)).next().transpose()?;
        let mut choices = Vec::new();
        let answer = if columns.wrong.is_empty() {
            row.gold(&columns.answer, self)?
        } else {
            let right = row.text(&columns.answer)?;
            choices.push(right.clone());
            for wrong in &columns.wrong {
                choices.push(row.text(&Names(vec![wrong.clone()]))?);
            }
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(index as u64);
            choices.shuffle(&mut random);
            let place = choices.iter().position(|choice| *choice == right);
            let letter = place.and_then(|place| letters().nth(place));
            Gold::One(letter.map(String::from).unwrap_or_default())
        };
        Ok(Problem {
            id: id.unwrap_or_else(|| (index + 1).to_string()),
            messages: self.ask(&question, &choices),
            answer,
        })
    }
}

impl Row {
    /// The first of these columns that is there.
    fn column<'a>(&self, names: &'a Names) -> Result<&'a str, BenchmarkError> {
        let there = names.0.iter().find(|name| self.columns.contains_key(*name));
        there
            .map(String::as_str)
            .ok_or_else(|| BenchmarkError::Column {
                at: self.at.clone(),
                expected: listed(names.0.iter(), " or "),
                found: listed(self.columns.keys(), ", "),
            })
    }

    /// What it holds, as text.
    fn text(&self, names: &Names) -> Result<String, BenchmarkError> {
        self.value(self.column(names)?)
    }

    /// The right answers that it holds.
    fn gold(&self, names: &Names, benchmark: &Benchmark) -> Result<Gold, BenchmarkError> {
        let name = self.column(names)?;
        let value = self.columns.get(name).unwrap_or(&Value::Null);
        let wrong = |reason| BenchmarkError::Answer {
            at: self.at.clone(),
            column: name.to_owned(),
            reason,
        };
        let gold = Gold::read(value, &benchmark.grader).map_err(wrong)?;
        match gold.answers().iter().any(|answer| answer.trim().is_empty()) {
            true => Err(wrong(GoldError::NoAnswer("empty"))),
            false => Ok(gold.trimmed()),
        }
    }

    fn value(&self, name: &str) -> Result<String, BenchmarkError> {
        let wrong = |found| BenchmarkError::Value {
            at: self.at.clone(),
            column: name.to_owned(),
            found,
            expected: "text or a number",
        };
        match self.columns.get(name) {
            Some(Value::String(text)) if text.trim().is_empty() => Err(wrong("empty")),
            Some(Value::String(text)) => Ok(text.trim().to_owned()),
            Some(Value::Number(number)) => Ok(grade::plain(number)),
            Some(Value::Bool(_)) => Err(wrong("true or false")),
            Some(Value::Array(_)) => Err(wrong("a list")),
            Some(Value::Object(_)) => Err(wrong("an object")),
            Some(Value::Null) | None => Err(wrong("null")),
        }
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a String>, separator: &str) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(separator),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grade::Several;
    use serde_json::json;

    fn row(value: Value) -> Row {
        let Value::Object(columns) = value else {
            panic!("{value} is no row");
        };
        let at = "data.jsonl:1".to_owned();
        Row { at, columns }
    }

    fn problem(benchmark: &str, value: Value) -> Result<Problem, BenchmarkError> {
        let benchmark = Benchmark::embedded(benchmark).unwrap();
        Ok(benchmark.problems([row(value)], 0)?.remove(0))
    }

    #[test]
    fn the_embedded_benchmarks_read_the_columns_of_their_data_sets() {
        let cases = [
            (
                "gsm8k",
                json!({"question": "q", "answer": "so\n#### 5"}),
                "so\n#### 5",
            ),
            (
                "math500",
                json!({"problem": "q", "answer": "5", "unique_id": "u"}),
                "5",
            ),
            (
                "aime24",
                json!({"id": 60, "problem": "q", "answer": "204"}),
                "204",
            ),
            ("aime25", json!({"question": "q", "answer": 70}), "70"),
            (
                "amc23",
                json!({"id": 0, "problem": "q", "answer": 27.0}),
                "27",
            ),
        ];
        for (name, row, answer) in cases {
            let problem = problem(name, row).unwrap();
            assert_eq!(problem.answer, Gold::from(answer), "{name}");
            let asked = &problem.messages[0].content;
            assert!(
                asked.starts_with("q\n\n") && asked.contains(r"\boxed{}"),
                "{asked}"
            );
        }
    }

    fn diamond() -> Value {
        json!({
            "Record ID": "rec1", "Question": "Which?", "Correct Answer": "right\n",
            "Incorrect Answer 1": "w1", "Incorrect Answer 2": "w2", "Incorrect Answer 3": "w3"
        })
    }

    #[test]
    fn choices_are_shuffled_by_seed_and_problem_and_the_letter_goes_along() {
        let benchmark = Benchmark::embedded("gpqa-diamond").unwrap();
        let rows = |n: usize| {
            (0..n).map(|i| {
                let mut row = row(diamond());
                row.columns.insert("Record ID".into(), json!(i));
                row
            })
        };
        let problems = benchmark.problems(rows(40), 0).unwrap();
        for problem in &problems {
            let right = format!("{}. right\n", problem.answer);
            assert!(problem.messages[0].content.contains(&right), "{problem:?}");
        }
        let letters = |seed, n| -> Vec<String> {
            let problems = benchmark.problems(rows(n), seed).unwrap();
            let letters = problems.into_iter().map(|problem| problem.answer);
            letters.map(|letter| letter.to_string()).collect()
        };
        assert_eq!(letters(0, 40)[..10], letters(0, 10));
        assert_ne!(letters(0, 40), letters(1, 40));
        for letter in ["A", "B", "C", "D"] {
            assert!(
                letters(0, 40).iter().any(|found| found == letter),
                "{letter}"
            );
        }
    }

    #[test]
    fn right_answers_may_be_a_list_of_one_or_of_as_many_as_the_grader_says() {
        let mut benchmark = Benchmark::embedded("math500").unwrap();
        let answer = |benchmark: &Benchmark, answers: Value| {
            let row = row(json!({"problem": "q", "answer": answers}));
            benchmark.problems([row], 0).unwrap().remove(0).answer
        };
        assert_eq!(answer(&benchmark, json!(["$5$"])), Gold::from("$5$"));
        benchmark.grader.gold = Some(Several::All);
        for answers in [json!(["5", " 6 "]), json!(r#"["5", "6"]"#)] {
            let expected = Gold::Several(vec!["5".to_owned(), "6".to_owned()], Several::All);
            assert_eq!(answer(&benchmark, answers), expected);
        }
    }

    #[test]
    fn a_row_that_does_not_fit_is_refused_with_what_it_has() {
        let missing = problem("gsm8k", json!({"prompt": "q", "answer": "5"})).unwrap_err();
        let message = missing.to_string();
        assert!(message.starts_with("data.jsonl:1: the row has no column `question`"));
        assert!(message.contains("it has `prompt`, `answer`"), "{message}");
        let list = problem("math500", json!({"problem": ["q"], "answer": "5"})).unwrap_err();
        assert!(
            list.to_string()
                .contains("`problem` is a list, expected text")
        );
        let empty = problem("math500", json!({"problem": "q", "answer": " "})).unwrap_err();
        assert!(empty.to_string().contains("the right answer, is empty"));
        let several = problem("math500", json!({"problem": "q", "answer": ["5", "6"]}));
        let message = several.unwrap_err().to_string();
        assert!(message.contains("2 answers") && message.contains("gold = \"any\""));
        let benchmark = Benchmark::embedded("gpqa-diamond").unwrap();
        let twice = benchmark.problems([row(diamond()), row(diamond())], 0);
        assert!(twice.unwrap_err().to_string().contains("called `rec1` too"));
    }
}
