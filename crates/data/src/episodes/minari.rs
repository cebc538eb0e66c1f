//! Minari folders: `data/main_data.hdf5` with one group an episode, and
//! `data/metadata.json`. A group is an episode, as in Minari itself.

use std::path::{Path, PathBuf};
use std::vec;

use iwsft_files::{Looks, read_text};
use serde_json::Value;

use super::EpisodeError;
use super::columns::EpisodeColumns;
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
        match file.names() {
            Ok(names) => Ok(names
                .iter()
                .filter_map(|name| name.strip_suffix('/'))
                .any(|group| number(group).is_some())),
            // A column that is not read keeps the others from being listed, but not
            // from being found.
            Err(EpisodeError::Unsupported { .. }) => Ok(file.has_group("episode_0")),
            Err(error) => Err(error),
        }
    }

    pub(super) fn open_folder(
        folder: &Path,
        columns: &EpisodeColumns,
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
        let text = read_text(&metadata).map_err(|reason| {
            if let Some(looks) = Looks::of_file(&metadata) {
                return EpisodeError::Disguised {
                    path: metadata.clone(),
                    looks,
                };
            }
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
        let minari = Self::open(&main, &Hdf5::open(&main)?, columns)?;
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
        })
    }

    pub(super) fn observation_size(&self) -> usize {
        self.layout.observation_size
    }

    pub(super) fn action_size(&self) -> usize {
        self.layout.action_size
    }

    /// The next group's episode, whole whether its last step is marked as an end or
    /// not; more than one, if it has terminals or timeouts before.
    pub(super) fn next(&mut self) -> Result<Option<Episodes>, EpisodeError> {
        let Some((number, group)) = self.episodes.next() else {
            return Ok(None);
        };
        let (steps, ends) = self.layout.read(&self.path, number, &group)?;
        let cuts: Vec<_> = ends
            .iter()
            .enumerate()
            .filter(|&(step, end)| *end != End::Unfinished || step + 1 == ends.len())
            .map(|(step, &end)| (step + 1, end))
            .collect();
        let none = Episodes::with_infos(
            self.layout.observation_size,
            self.layout.action_size,
            &self.layout.columns.infos,
        );
        Ok(Some(none.of_steps(steps, &cuts)))
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
