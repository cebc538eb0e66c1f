//! Grades worked arithmetic: is the answer right, and how good is the work?

use super::arithmetic::Problem;

/// What a completion is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Grade {
    /// 1 if the answer is exactly right, otherwise 0.
    pub(crate) reward: f64,
    /// From 0 to 1: half for the answer and half for the share of the steps
    /// that come before the first mistake, times the share of steps that were
    /// needed. A right answer by the shortest way has 1.
    pub(crate) score: f64,
}

/// Grades `completion` by its text alone.
pub(crate) fn grade(problem: &Problem, completion: &str) -> Grade {
    let needed = problem.right_steps();
    let written: Vec<&str> = completion.split_whitespace().collect();
    let mut right = 0;
    for step in &written {
        if needed.get(right).is_some_and(|next| next == step) {
            right += 1;
        } else if right == 0 || needed[right - 1] != *step {
            break; // not even the last step once more
        }
    }
    let answer = problem.answer().to_string();
    let reward = f64::from(written.last().is_some_and(|last| *last == answer));
    let progress = right as f64 / needed.len() as f64;
    let brevity = needed.len() as f64 / written.len().max(needed.len()) as f64;
    Grade {
        reward,
        score: (reward + progress) / 2.0 * brevity,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quickstart::arithmetic::completion;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    /// `14+9=`, whose steps are `4+9=13 1+0+1=2 23`.
    fn problem() -> Problem {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        loop {
            let problem = Problem::random(&mut rng);
            if completion(&problem.right_steps()) == " 4+9=13 1+0+1=2 23" {
                return problem;
            }
        }
    }

    #[test]
    fn the_score_counts_the_answer_the_steps_before_a_mistake_and_brevity() {
        let problem = problem();
        let graded = |text| grade(&problem, text);
        let expect = |text, reward, score| assert_eq!(graded(text), Grade { reward, score });
        expect(" 4+9=13 1+0+1=2 23", 1.0, 1.0);
        expect(" 4+9=13 1+0=1 13", 0.0, 1.0 / 6.0);
        expect(" 4+9=13 4+9=13 4+9=13 1+0+1=2 1+0+1=2 23", 1.0, 0.5);
        expect("23", 1.0, 0.5);
        expect(" 4+9=13 1+0+1=2 23 23", 1.0, 0.75);
        expect("", 0.0, 0.0);
    }

    #[test]
    fn only_the_exact_answer_at_the_end_is_right() {
        let problem = problem();
        for text in [
            " 4+9=13 1+0+1=2",
            " 23 4",
            " 023",
            " +23",
            " 23.",
            " 1+22=23",
        ] {
            assert_eq!(grade(&problem, text).reward, 0.0, "{text}");
        }
    }
}
