//! An episode while it is acted out.

use iwsft_control::{ControlError, Environment, Step, rollout};
use iwsft_data::episodes::{End, Episode};

/// What happened so far.
#[derive(Default)]
pub(super) struct Recording {
    observations: Vec<f32>,
    actions: Vec<f32>,
    rewards: Vec<f32>,
    next_observations: Vec<f32>,
    terminated: bool,
}

impl Recording {
    pub(super) fn add(&mut self, before: &[f32], action: &[f32], step: Step, behind: &[f32]) {
        self.observations.extend_from_slice(before);
        self.actions.extend_from_slice(action);
        self.rewards.push(step.reward as f32);
        self.next_observations.extend_from_slice(behind);
        self.terminated |= step.terminated;
    }

    pub(super) fn as_episode(&self) -> Episode<'_> {
        Episode {
            observations: &self.observations,
            actions: &self.actions,
            rewards: &self.rewards,
            next_observations: &self.next_observations,
            end: if self.terminated {
                End::Terminal
            } else {
                End::Timeout
            },
        }
    }
}

/// Acts out one episode in each of `environments` and records them; see [`rollout`].
pub(super) fn act_out(
    environments: &mut [Environment],
    seed: u64,
    act: impl FnMut(&[f32], &[usize], &mut [f32]) -> Result<(), ControlError>,
) -> Result<Vec<Recording>, ControlError> {
    let mut recordings: Vec<Recording> =
        environments.iter().map(|_| Recording::default()).collect();
    rollout(
        environments,
        seed,
        act,
        |index, before, action, step, behind| {
            recordings[index].add(before, action, step, behind);
        },
    )?;
    Ok(recordings)
}
