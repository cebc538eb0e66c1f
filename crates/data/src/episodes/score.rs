//! Returns on a scale from 0, a random policy, to 100, an expert.

/// Returns of a task that count as 0 and as 100.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReferenceReturns {
    /// The task, as the names of D4RL's data sets begin: `hopper`.
    pub task: &'static str,
    /// Mean return of a random policy.
    pub random: f64,
    /// Mean return of an expert.
    pub expert: f64,
}

/// D4RL's numbers for the locomotion tasks of Gym, the same for all data sets
/// and versions of a task (Farama-Foundation/D4RL, `d4rl/infos.py`, Apache-2.0).
pub const D4RL_GYM: [ReferenceReturns; 4] = [
    ReferenceReturns {
        task: "halfcheetah",
        random: -280.178953,
        expert: 12135.0,
    },
    ReferenceReturns {
        task: "hopper",
        random: -20.272305,
        expert: 3234.3,
    },
    ReferenceReturns {
        task: "walker2d",
        random: 1.629008,
        expert: 4592.3,
    },
    ReferenceReturns {
        task: "ant",
        random: -325.6,
        expert: 3879.7,
    },
];

impl ReferenceReturns {
    /// The numbers for a data set or environment of D4RL's Gym tasks:
    /// `hopper-medium-v2`, `Hopper-v4` and `hopper` are all the hopper.
    pub fn of(name: &str) -> Option<Self> {
        let task = name.split('-').next()?.to_lowercase();
        D4RL_GYM.into_iter().find(|known| known.task == task)
    }

    /// `100 (return - random) / (expert - random)`
    pub fn score(&self, total_reward: f64) -> f64 {
        100.0 * (total_reward - self.random) / (self.expert - self.random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_policy_scores_0_and_an_expert_100() {
        for task in D4RL_GYM {
            assert_eq!(task.score(task.random), 0.0);
            assert_eq!(task.score(task.expert), 100.0);
        }
    }

    #[test]
    fn data_sets_and_environments_are_known_by_their_task() {
        for name in ["ant-medium-v2", "Ant-v4", "ant"] {
            assert_eq!(
                ReferenceReturns::of(name).map(|known| known.task),
                Some("ant")
            );
        }
        for name in ["antmaze-umaze-v2", "", "Pendulum-v1"] {
            assert_eq!(ReferenceReturns::of(name), None);
        }
    }
}
