//! Recorded episodes as the training loop sees them.

use std::path::Path;

use iwsft_control::{Actions, Spec, StepBatch};
use iwsft_data::episodes::{
    Episodes, ReturnQuality, above_percentiles, quality, read_episodes, top_share,
    top_share_of_steps,
};
use iwsft_objective::{Objective, Quality};
use iwsft_train::Trajectories;

use super::recipe::EpisodeSection;
use crate::mistake::Mistake;

/// Reads the episodes of a recipe, which must be of this environment.
pub(super) fn read(section: &EpisodeSection, spec: &Spec) -> anyhow::Result<Episodes> {
    let episodes = read_episodes(&section.path, &section.columns, section.tail)?;
    require_continuous(spec)?;
    let sizes = [
        (
            "observations",
            episodes.observation_size(),
            spec.observation_size(),
        ),
        ("actions", episodes.action_size(), spec.action_size()),
    ];
    for (what, found, expected) in sizes {
        if found != expected {
            return Err(Mistake::new(format!(
                "{}: {what} have {found} numbers, those of {} have {expected}; choose the environment that the data was recorded in",
                section.path.display(),
                spec.name
            ))
            .into());
        }
    }
    Ok(episodes)
}

/// Refuses environments in which a Gaussian policy cannot act.
pub(super) fn require_continuous(spec: &Spec) -> anyhow::Result<()> {
    match spec.actions {
        Actions::Continuous(_) => Ok(()),
        Actions::Discrete(count) => Err(Mistake::new(format!(
            "an action in {} is one of {count} choices; a Gaussian policy needs numbers, choose another environment",
            spec.name
        ))
        .into()),
    }
}

/// Which episodes are trained on, each as often as it is named.
pub(super) fn choose(section: &EpisodeSection, episodes: &Episodes) -> anyhow::Result<Vec<usize>> {
    let returns = episodes.returns();
    let chosen = match (
        &section.percentiles,
        section.top_share,
        section.top_share_of_steps,
    ) {
        (None, None, None) => return Ok((0..episodes.len()).collect()),
        (Some(percentiles), None, None) => above_percentiles(&returns, percentiles),
        (None, Some(share), None) => top_share(&returns, share),
        (None, None, Some(share)) => top_share_of_steps(&returns, &episodes.lengths(), share),
        _ => {
            let message = "`data.percentiles`, `data.top_share` and `data.top_share_of_steps` \
                           exclude each other; keep one";
            return Err(Mistake::new(message).into());
        }
    };
    chosen.map_err(|error| Mistake::new(format!("{}: {error}", section.path.display())).into())
}

/// Episodes to train on.
pub(super) struct EpisodeTrajectories<'a> {
    path: &'a Path,
    episodes: &'a Episodes,
    action_scale: f32,
    /// `[trajectories]`
    chosen: Vec<usize>,
    /// `[trajectories]`; empty where the objective asks for none.
    qualities: Vec<f32>,
    fingerprint: blake3::Hash,
}

impl<'a> EpisodeTrajectories<'a> {
    /// The `chosen` of the `episodes`.
    pub(super) fn new(
        section: &'a EpisodeSection,
        episodes: &'a Episodes,
        chosen: Vec<usize>,
        objective: &Objective,
    ) -> anyhow::Result<Self> {
        let qualities = match objective.quality {
            Quality::Off => Vec::new(),
            Quality::Resample | Quality::Weight => {
                let returns = episodes.returns();
                let returns: Vec<f64> = chosen.iter().map(|&index| returns[index]).collect();
                let by = section.quality.unwrap_or(ReturnQuality::MinMax);
                quality(&returns, by)
                    .map_err(|error| Mistake::new(format!("{}: {error}", section.path.display())))?
            }
        };
        let mut hasher = blake3::Hasher::new();
        let mut add = |numbers: &[f32]| {
            hasher.update(&(numbers.len() as u64).to_le_bytes());
            let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
            hasher.update(&bytes);
        };
        for &index in &chosen {
            let episode = episodes.episode(index);
            add(episode.observations);
            add(episode.actions);
        }
        add(&qualities);
        add(&[section.action_scale]);
        Ok(Self {
            path: &section.path,
            episodes,
            action_scale: section.action_scale,
            chosen,
            qualities,
            fingerprint: hasher.finalize(),
        })
    }
}

impl Trajectories for EpisodeTrajectories<'_> {
    type Batch = StepBatch;

    fn len(&self) -> usize {
        self.chosen.len()
    }

    fn length(&self, index: usize) -> usize {
        self.episodes.episode(self.chosen[index]).length()
    }

    fn steps(&self, index: usize) -> usize {
        self.length(index)
    }

    fn quality(&self, index: usize) -> f32 {
        self.qualities.get(index).copied().unwrap_or(1.0)
    }

    fn describe(&self, index: usize) -> String {
        format!("{}: episode {}", self.path.display(), self.chosen[index])
    }

    fn batch(&self, indices: &[usize]) -> StepBatch {
        let mut batch = StepBatch::default();
        for &index in indices {
            let episode = self.episodes.episode(self.chosen[index]);
            batch.observations.extend_from_slice(episode.observations);
            let actions = episode.actions.iter().map(|x| x * self.action_scale);
            batch.actions.extend(actions);
            batch.steps += episode.length();
        }
        batch
    }

    fn fingerprint(&self) -> blake3::Hash {
        self.fingerprint
    }
}
