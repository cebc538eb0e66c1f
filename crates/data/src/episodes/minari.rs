//! Minari folders: `data/main_data.hdf5` with one group an episode, and
//! `data/metadata.json`.

use std::path::{Path, PathBuf};
use std::vec;

use serde_json::Value;

use super::EpisodeError;
use super::columns::{EpisodeColumns, Tail};
use super::hdf5::Hdf5;
use super::steps::{End, Episodes, Steps};
use super::table::{Column, ColumnFile, end_of};

/// The file of all steps, and the one that says what they are.
pub(super) const MAIN: &str = "main_data.hdf5";
pub(super) const METADATA: &str = "metadata.json";

/// Episodes from one group each.
pub(super) struct Minari {
    path: PathBuf,
    episodes: vec::IntoIter<(u64, Hdf5)>,
    layout: Layout,
    tail: Tail,
    dropped: usize,
    found_any: bool,
}

/// What every episode must have.
struct Layout {
    columns: EpisodeColumns,
    observation_size: usize,
    action_size: usize,
    info_sizes: Vec<usize>,
}

impl Minari {
    /// Whether the file has groups of episodes.
    pub(super) fn is_layout_of(file: &Hdf5) -> Result<bool, EpisodeError> {
        let names = file.names()?;
        Ok(names
            .iter()
            .filter_map(|name| name.strip_suffix('/'))
            .any(|group| number(group).is_some()))
    }

    pub(super) fn open_folder(
        folder: &Path,
        columns: &EpisodeColumns,
        tail: Tail,
    ) -> Result<Self, EpisodeError> {
        let inner = folder.join("data");
        let inner = if inner.is_dir() { &inner } else { folder };
        let main = inner.join(MAIN);
        let metadata = inner.join(METADATA);
        if !main.exists() && !metadata.exists() {
            return Err(EpisodeError::Format {
                path: folder.to_owned(),
                found: format!("is a folder without data/{MAIN}"),
            });
        }
        let refuse = |reason: String| EpisodeError::Metadata {
            path: metadata.clone(),
            reason,
        };
        let text = std::fs::read_to_string(&metadata).map_err(|reason| {
            refuse(format!(
                "cannot be read ({reason}), expected it beside {MAIN}; copy the whole folder again"
            ))
        })?;
        let values: Value = serde_json::from_str(&text)
            .map_err(|error| refuse(format!("is no JSON ({error}); copy the folder again")))?;
        let format = values.get("data_format").and_then(Value::as_str);
        if let Some(format) = format.filter(|&format| format != "hdf5") {
            return Err(refuse(format!(
                "`data_format` is {format:?}, expected \"hdf5\"; convert the data set with Minari"
            )));
        }
        let minari = Self::open(&main, &Hdf5::open(&main)?, columns, tail)?;
        let found = minari.episodes.len() as u64;
        let expected = values.get("total_episodes").and_then(Value::as_u64);
        match expected.filter(|&expected| expected != found) {
            None => Ok(minari),
            Some(expected) => Err(refuse(format!(
                "`total_episodes` is {expected}, but {MAIN} has {found}; the two do not belong \
                 together, copy the folder again"
            ))),
        }
    }

    pub(super) fn open(
        path: &Path,
        file: &Hdf5,
        columns: &EpisodeColumns,
        tail: Tail,
    ) -> Result<Self, EpisodeError> {
        let mut episodes: Vec<_> = file
            .groups()?
            .into_iter()
            .filter_map(|(name, group)| Some((number(&name)?, group)))
            .collect();
        episodes.sort_by_key(|&(number, _)| number);
        let Some((_, first)) = episodes.first() else {
            return Err(EpisodeError::NoSteps {
                path: path.to_owned(),
                place: "the file".to_owned(),
                remedy: "record some episodes, or leave the file out",
            });
        };
        let layout = Layout {
            observation_size: first
                .column(columns.observations(), "observations")?
                .width(),
            action_size: first.column(columns.actions(), "actions")?.width(),
            info_sizes: columns
                .infos
                .iter()
                .map(|name| Ok(first.column(name, "infos")?.width()))
                .collect::<Result<_, _>>()?,
            columns: columns.clone(),
        };
        Ok(Self {
            path: path.to_owned(),
            episodes: episodes.into_iter(),
            layout,
            tail,
            dropped: 0,
            found_any: false,
        })
    }

    pub(super) fn observation_size(&self) -> usize {
        self.layout.observation_size
    }

    pub(super) fn action_size(&self) -> usize {
        self.layout.action_size
    }

    pub(super) fn dropped(&self) -> usize {
        self.dropped
    }

    /// The next group's episode; more than one, if it has terminals or timeouts
    /// before its last step.
    pub(super) fn next(&mut self) -> Result<Option<Episodes>, EpisodeError> {
        for (number, group) in self.episodes.by_ref() {
            let (mut steps, ends) = self.layout.read(&self.path, number, &group)?;
            let mut cuts: Vec<_> = ends
                .iter()
                .enumerate()
                .filter(|(_, end)| **end != End::Unfinished)
                .map(|(index, &end)| (index + 1, end))
                .collect();
            let whole = cuts.last().map_or(0, |&(step, _)| step);
            if whole < ends.len() {
                match self.tail {
                    Tail::Keep => cuts.push((ends.len(), End::Unfinished)),
                    Tail::Drop => {
                        self.dropped += ends.len() - whole;
                        steps = steps.take_first(whole);
                    }
                }
            }
            if cuts.is_empty() {
                continue;
            }
            let none = Episodes::with_infos(
                self.layout.observation_size,
                self.layout.action_size,
                &self.layout.columns.infos,
            );
            self.found_any = true;
            return Ok(Some(none.of_steps(steps, &cuts)));
        }
        if self.found_any {
            return Ok(None);
        }
        Err(EpisodeError::NoEpisodes {
            path: self.path.clone(),
            steps: self.dropped,
        })
    }
}

impl Layout {
    /// The `t` steps of a group, and what ends with each.
    fn read(
        &self,
        path: &Path,
        number: u64,
        group: &Hdf5,
    ) -> Result<(Steps, Vec<End>), EpisodeError> {
        let columns = &self.columns;
        let like_first = |size: usize| format!("{size} numbers a row, as in the first episode");
        let mut actions = group
            .column(columns.actions(), "actions")?
            .of_width(self.action_size, &like_first(self.action_size))?;
        let t = actions.rows();
        if t == 0 {
            return Err(EpisodeError::NoSteps {
                path: path.to_owned(),
                place: format!("`episode_{number}`"),
                remedy: "remove the episode",
            });
        }
        let as_many = format!("as many as `episode_{number}/{}`", columns.actions());
        let one = |column: Column| column.of_rows(t, &as_many)?.single();
        let mut observations = group
            .column(columns.observations(), "observations")?
            .of_width(self.observation_size, &like_first(self.observation_size))?
            .of_rows(
                t + 1,
                &format!("one more than `episode_{number}/{}`", columns.actions()),
            )?;
        let mut rewards = one(group.column(columns.rewards(), "rewards")?)?;
        let mut terminals = one(group.column(columns.terminals("terminations"), "terminals")?)?;
        let timeouts = group
            .optional(columns.timeouts("truncations"), "timeouts")?
            .map(|column| one(column)?.read_flags(t))
            .transpose()?
            .unwrap_or_else(|| vec![false; t as usize]);
        let mut infos = Vec::new();
        for (name, &size) in columns.infos.iter().zip(&self.info_sizes) {
            let mut column = group
                .column(name, "infos")?
                .of_width(size, &like_first(size))?;
            if column.rows() != t + 1 {
                column = column.of_rows(t, &as_many)?;
            }
            infos.push(column.read(t)?);
        }
        let mut seen = observations.read(t + 1)?;
        let next_observations = seen[self.observation_size..].to_vec();
        seen.truncate(next_observations.len());
        let ends = terminals.read_flags(t)?.into_iter().zip(timeouts);
        let steps = Steps {
            observations: seen,
            actions: actions.read(t)?,
            rewards: rewards.read(t)?,
            next_observations,
            infos,
        };
        Ok((steps, ends.map(end_of).collect()))
    }
}

/// The number of the episode that a group is called after.
fn number(group: &str) -> Option<u64> {
    group.strip_prefix("episode_")?.parse().ok()
}
