//! The data: problems without overlap, and training traces of mixed quality.

use std::collections::HashSet;

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;

use super::arithmetic::{Problem, Slip, completion};
use super::grade::{Grade, grade};

/// A line of a data file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Trace {
    pub(crate) prompt: String,
    pub(crate) completion: String,
    pub(crate) reward: f64,
    pub(crate) score: f64,
}

/// How many of each there are to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) train: usize,
    pub(crate) validation: usize,
    pub(crate) test: usize,
}

/// All data of a quickstart. No prompt occurs twice.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Task {
    /// Written carelessly.
    pub(crate) train: Vec<Trace>,
    /// Written without slips.
    pub(crate) validation: Vec<Trace>,
    pub(crate) test: Vec<Problem>,
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
        let train = problems(2, sizes.train);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(3);
        Self {
            train: train
                .iter()
                .map(|problem| Trace::of(problem, problem.steps(|slip| happens(slip, &mut rng))))
                .collect(),
            validation: validation
                .iter()
                .map(|problem| Trace::of(problem, problem.right_steps()))
                .collect(),
            test,
        }
    }
}

impl Task {
    /// The test problems with right work, as they go into a file.
    pub(crate) fn worked_test(&self) -> Vec<Trace> {
        let work = |problem: &Problem| Trace::of(problem, problem.right_steps());
        self.test.iter().map(work).collect()
    }
}

impl Trace {
    fn of(problem: &Problem, steps: Vec<String>) -> Self {
        Self::graded(problem, completion(&steps))
    }

    /// What somebody, or a model, made of a problem.
    pub(crate) fn graded(problem: &Problem, completion: String) -> Self {
        let Grade { reward, score } = grade(problem, &completion);
        Self {
            prompt: problem.prompt(),
            completion,
            reward,
            score,
        }
    }
}

/// The writers of the training traces forget most of what they borrow. A model
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
        train: 3000,
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
    fn every_reward_says_whether_the_last_number_is_the_answer() {
        let task = Task::new(7, SIZES);
        for trace in task.train.iter().chain(&task.validation) {
            let last = trace.completion.rsplit([' ', '=']).next().unwrap();
            let right = last.parse::<i64>().unwrap() == answer(&trace.prompt);
            assert_eq!(trace.reward, f64::from(right), "{trace:?}");
        }
        assert!(task.validation.iter().all(|trace| trace.score == 1.0));
    }

    #[test]
    fn traces_are_of_mixed_quality_and_scores_say_more_than_rewards() {
        let task = Task::new(7, SIZES);
        let mean = |of: fn(&Trace) -> f64| {
            task.train.iter().map(of).sum::<f64>() / task.train.len() as f64
        };
        let right = mean(|trace| trace.reward);
        assert!((0.3..0.8).contains(&right), "{right}");
        assert!(
            task.train
                .iter()
                .all(|trace| (0.0..=1.0).contains(&trace.score))
        );
        let scores: HashSet<u64> = task.train.iter().map(|t| t.score.to_bits()).collect();
        assert!(scores.len() > 20, "{}", scores.len());
        // Half of it is the answer.
        assert!(
            task.train
                .iter()
                .all(|trace| trace.reward == 1.0 || trace.score <= 0.5)
        );
    }

    #[test]
    fn a_seed_gives_the_same_data_and_another_seed_gives_other_data() {
        let task = Task::new(7, SIZES);
        assert_eq!(task, Task::new(7, SIZES));
        assert_ne!(task, Task::new(8, SIZES));
        let more = Sizes {
            train: 4000,
            ..SIZES
        };
        assert_eq!(task.test, Task::new(7, more).test);
    }

    #[test]
    fn no_prompt_occurs_twice() {
        let task = Task::new(7, SIZES);
        let written = task.train.iter().chain(&task.validation);
        let prompts = written.map(|trace| trace.prompt.clone());
        let prompts: Vec<String> = prompts
            .chain(task.test.iter().map(Problem::prompt))
            .collect();
        let distinct: HashSet<&String> = prompts.iter().collect();
        assert_eq!(prompts.len(), 3500);
        assert_eq!(distinct.len(), 3500);
    }
}
