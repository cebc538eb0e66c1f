//! Transitions to learn from: a memory of them, and batches drawn from it.

use crate::random::Generator;

/// Steps of the past, one row each. Observations are as networks see them, and
/// actions are in units of their bounds, from -1 to 1.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Transitions {
    /// What was seen, `[n, o]`.
    pub observations: Vec<f32>,
    /// What was done, `[n, a]`.
    pub actions: Vec<f32>,
    /// What it earned, `[n]`.
    pub rewards: Vec<f32>,
    /// What was seen then, `[n, o]`.
    pub next_observations: Vec<f32>,
    /// What was done then, `[n, a]`; nothing where no algorithm asks for it.
    pub next_actions: Vec<f32>,
    /// 1 where the episode went on, 0 where it ended for good, `[n]`.
    pub goes_on: Vec<f32>,
}

impl Transitions {
    /// Number of transitions.
    pub fn len(&self) -> usize {
        self.rewards.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rewards.is_empty()
    }

    /// Draws `n` of them, each time from all, into `batch`.
    ///
    /// # Panics
    /// If there is none.
    pub fn draw(&self, n: usize, random: &mut Generator, batch: &mut Self) {
        let count = self.len();
        assert!(count > 0, "a batch of no transitions");
        batch.clear();
        for _ in 0..n {
            let row = random.index(count);
            let copy = |from: &[f32], to: &mut Vec<f32>| {
                let width = from.len() / count;
                to.extend_from_slice(&from[row * width..(row + 1) * width]);
            };
            copy(&self.observations, &mut batch.observations);
            copy(&self.actions, &mut batch.actions);
            copy(&self.rewards, &mut batch.rewards);
            copy(&self.next_observations, &mut batch.next_observations);
            copy(&self.next_actions, &mut batch.next_actions);
            copy(&self.goes_on, &mut batch.goes_on);
        }
    }

    fn clear(&mut self) {
        for column in [
            &mut self.observations,
            &mut self.actions,
            &mut self.rewards,
            &mut self.next_observations,
            &mut self.next_actions,
            &mut self.goes_on,
        ] {
            column.clear();
        }
    }
}
