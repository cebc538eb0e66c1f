//! Which column of a file holds what.

use serde::{Deserialize, Serialize};

/// Names of the columns to read, where they differ from the defaults.
/// `columns = { observations = "observations/achieved_goal" }` in a recipe; a
/// `/` leads into a group, and `""` turns an optional column off.
///
/// | field | default | shape | |
/// | --- | --- | --- | --- |
/// | `observations` | `observations` | `[n, o]`; in Minari one row more | required |
/// | `actions` | `actions` | `[n, a]` | required |
/// | `rewards` | `rewards` | `[n]` | required |
/// | `terminals` | `terminals`, in Minari `terminations` | `[n]` of 0 and 1 | required |
/// | `timeouts` | `timeouts`, in Minari `truncations` | `[n]` of 0 and 1 | if there |
/// | `next_observations` | `next_observations` | `[n, o]` | if there; not in Minari |
/// | `episode` | `episode` | `[n]` of numbers | if there; not in Minari |
/// | `infos` | none | `[n]` or `[n, k]` | required where named |
///
/// `[n]` stands for `[n, 1]` too, and the reverse. An optional column that is
/// named here must be there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EpisodeColumns {
    /// What the policy sees before it acts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observations: Option<String>,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actions: Option<String>,
    /// What it gets for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rewards: Option<String>,
    /// Whether the task ended with this step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminals: Option<String>,
    /// Whether recording stopped with this step, though the task went on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<String>,
    /// What the policy sees after it acted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_observations: Option<String>,
    /// A number that is the same for all steps of an episode: where it changes,
    /// and at the end of the file, an episode ends by timeout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub episode: Option<String>,
    /// Further columns to keep, such as `infos/qpos`. In Minari a column of
    /// `T + 1` rows loses the last, so that a row belongs to the observation of
    /// the same number.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub infos: Vec<String>,
}

/// What becomes of the steps of a table behind the last terminal or timeout, which
/// may be the beginning of an episode whose end nobody recorded. In Minari a group is
/// an episode, and all of its steps are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tail {
    /// They are left out, as D4RL's `sequence_dataset` has it: their return is
    /// not that of an episode.
    #[default]
    Drop,
    /// They are an episode with [`super::End::Unfinished`].
    Keep,
}

/// A column to look for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) name: &'a str,
    pub(super) required: bool,
}

impl EpisodeColumns {
    pub(super) fn observations(&self) -> &str {
        self.observations.as_deref().unwrap_or("observations")
    }

    pub(super) fn actions(&self) -> &str {
        self.actions.as_deref().unwrap_or("actions")
    }

    pub(super) fn rewards(&self) -> &str {
        self.rewards.as_deref().unwrap_or("rewards")
    }

    pub(super) fn terminals<'a>(&'a self, default: &'a str) -> &'a str {
        self.terminals.as_deref().unwrap_or(default)
    }

    pub(super) fn timeouts<'a>(&'a self, default: &'a str) -> Option<Wanted<'a>> {
        optional(&self.timeouts, default)
    }

    pub(super) fn next_observations(&self) -> Option<Wanted<'_>> {
        optional(&self.next_observations, "next_observations")
    }

    pub(super) fn episode(&self) -> Option<Wanted<'_>> {
        optional(&self.episode, "episode")
    }
}

fn optional<'a>(given: &'a Option<String>, default: &'a str) -> Option<Wanted<'a>> {
    match given.as_deref() {
        None => Some(Wanted {
            name: default,
            required: false,
        }),
        Some("") => None,
        Some(name) => Some(Wanted {
            name,
            required: true,
        }),
    }
}
