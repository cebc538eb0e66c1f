//! The data: problems without overlap, and traces of mixed quality.

use std::collections::HashSet;

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;

use super::arithmetic::{Problem, Slip, completion};
use super::judge::{Grade, judge};

/// A problem and somebody's work on it: a line of a data file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Trace {
    pub(crate) prompt: String,
    pub(crate) completion: String,
    pub(crate) reward: f64,
    pub(crate) score: f64,
}

/// A problem and its answer: a line of a data file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Question {
    pub(crate) prompt: String,
    pub(crate) answer: String,
}

/// How many of each there are to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) traces: usize,
    pub(crate) problems: usize,
    pub(crate) validation: usize,
    pub(crate) test: usize,
}

/// All data of a seed. No prompt occurs twice.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Task {
    /// Written carelessly; the base model imitates them.
    pub(crate) traces: Vec<Trace>,
    /// For the base model to try.
    pub(crate) problems: Vec<Question>,
    /// Written without slips.
    pub(crate) validation: Vec<Trace>,
    pub(crate) test: Vec<Question>,
}

impl Task {
    /// The same for the same seed and sizes. The test problems depend on
    /// their number alone, so that more traces are tested on the same.
    pub(crate) fn new(seed: u64, sizes: Sizes) -> Self {
        let mut seen = HashSet::new();
        let mut problems = |stream, count| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(stream);
            let unseen = std::iter::repeat_with(|| Problem::random(&mut rng))
                .filter(|problem| seen.insert(problem.prompt()));
            unseen.take(count).collect::<Vec<_>>()
        };
        let test = problems(0, sizes.test);
        let validation = problems(1, sizes.validation);
        let traces = problems(2, sizes.traces);
        let tried = problems(4, sizes.problems);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(3);
        Self {
            traces: traces
                .iter()
                .map(|problem| Trace::of(problem, problem.steps(|slip| happens(slip, &mut rng))))
                .collect(),
            problems: tried.iter().map(Question::of).collect(),
            validation: validation
                .iter()
                .map(|problem| Trace::of(problem, problem.right_steps()))
                .collect(),
            test: test.iter().map(Question::of).collect(),
        }
    }
}

impl Trace {
    fn of(problem: &Problem, steps: Vec<String>) -> Self {
        let completion = completion(&steps);
        let Grade { reward, score } = judge(problem, &completion);
        Self {
            prompt: problem.prompt(),
            completion,
            reward,
            score,
        }
    }
}

impl Question {
    fn of(problem: &Problem) -> Self {
        Self {
            prompt: problem.prompt(),
            answer: problem.answer().to_string(),
        }
    }
}

/// The writers of the traces forget most of what they borrow. A model
/// that imitates all of them therefore learns to forget it, and one that
/// imitates the traces with a right answer does not.
fn happens(slip: Slip, rng: &mut impl Rng) -> bool {
    rng.random_bool(match slip {
        Slip::ForgottenCarry => 0.1,
        Slip::ForgottenBorrow => 0.65,
        Slip::Miscounted => 0.01,
        Slip::Repeated => 0.03,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: Sizes = Sizes {
        traces: 3000,
        problems: 500,
        validation: 200,
        test: 300,
    };

    /// The answer, computed from the prompt's text.
    fn answer(prompt: &str) -> i64 {
        let terms = prompt.trim_end_matches('=').replace('-', "+-");
        terms
            .split('+')
            .map(|term| term.parse::<i64>().unwrap())
            .sum()
    }

    #[test]
    fn every_answer_is_right_and_every_reward_says_whether_the_last_number_is_it() {
        let task = Task::new(7, SIZES);
        for question in task.problems.iter().chain(&task.test) {
            assert_eq!(question.answer, answer(&question.prompt).to_string());
        }
        for trace in task.traces.iter().chain(&task.validation) {
            let last = trace.completion.rsplit([' ', '=']).next().unwrap();
            let right = last.parse::<i64>().unwrap() == answer(&trace.prompt);
            assert_eq!(trace.reward, f64::from(right), "{trace:?}");
        }
        assert!(task.validation.iter().all(|trace| trace.score == 1.0));
    }

    #[test]
    fn traces_are_of_mixed_quality_and_scores_say_more_than_rewards() {
        let traces = Task::new(7, SIZES).traces;
        let right = traces.iter().map(|trace| trace.reward).sum::<f64>() / traces.len() as f64;
        assert!((0.3..0.8).contains(&right), "{right}");
        let mut scores = traces.iter().map(|trace| trace.score);
        assert!(scores.all(|score| (0.0..=1.0).contains(&score)));
        let scores: HashSet<u64> = traces.iter().map(|t| t.score.to_bits()).collect();
        assert!(scores.len() > 20, "{}", scores.len());
        // Half of it is the answer.
        let bounded = |trace: &Trace| trace.reward == 1.0 || trace.score <= 0.5;
        assert!(traces.iter().all(bounded));
    }

    #[test]
    fn a_seed_gives_the_same_data_and_another_seed_gives_other_data() {
        let task = Task::new(7, SIZES);
        assert_eq!(task, Task::new(7, SIZES));
        assert_ne!(task, Task::new(8, SIZES));
        let more = Sizes {
            traces: 4000,
            ..SIZES
        };
        assert_eq!(task.test, Task::new(7, more).test);
    }

    #[test]
    fn no_prompt_occurs_twice() {
        let task = Task::new(7, SIZES);
        let written = task.traces.iter().chain(&task.validation);
        let asked = task.problems.iter().chain(&task.test);
        let prompts: Vec<&String> = written
            .map(|trace| &trace.prompt)
            .chain(asked.map(|question| &question.prompt))
            .collect();
        let distinct: HashSet<&&String> = prompts.iter().collect();
        assert_eq!((prompts.len(), distinct.len()), (4000, 4000));
    }
}
