//! Writes episodes as D4RL and Minari lay them out.

use std::path::Path;

use hdf5_pure::{
    AttrValue, DatasetBuilder, EnumTypeBuilder, FileBuilder, GroupBuilder, make_i8_type,
};
use iwsft_files::{AtomicFile, write_atomically};
use serde_json::json;

use super::EpisodeError;
use super::minari::{MAIN, METADATA};
use super::steps::{End, Episode, Episodes};

/// Numbers in a compressed chunk: 256 KiB.
const CHUNK: u64 = 1 << 16;

/// Writes one table of all steps, as D4RL v2 has it: `observations`, `actions`,
/// `rewards`, `terminals`, `timeouts`, `next_observations` (if all of them are
/// known), and further columns as `infos/...`; chunked, shuffled and gzipped.
/// The file is there in full or not at all. [`super::read_episodes`] and h5py
/// read it.
///
/// Steps at the end of the last episode whose end is [`End::Unfinished`] are
/// the file's unfinished tail; one that others follow ends by timeout, as the
/// layout has no other way to say so.
///
/// # Errors
/// If there is no episode, or nothing can be written there.
pub fn write_d4rl(path: &Path, episodes: &Episodes) -> Result<(), EpisodeError> {
    refuse_nothing(path, episodes)?;
    let (o, a) = (episodes.observation_size(), episodes.action_size());
    let n = episodes.step_count();
    let mut terminals = vec![false; n];
    let mut timeouts = vec![false; n];
    for (index, end) in episodes.ends().iter().enumerate() {
        let step = episodes.starts()[index + 1] - 1;
        match end {
            End::Terminal => terminals[step] = true,
            End::Timeout => timeouts[step] = true,
            End::Unfinished => timeouts[step] = step + 1 < n,
        }
    }
    let n = n as u64;
    let (o, a) = (o as u64, a as u64);
    let mut file = FileBuilder::new();
    let mut put = |name: &str, column: &[f32], shape: &[u64]| {
        put_packed(file.create_dataset(name), shape).with_f32_data(column);
    };
    put("observations", episodes.observations(), &[n, o]);
    put("actions", episodes.actions(), &[n, a]);
    put("rewards", episodes.rewards(), &[n]);
    if (0..episodes.len()).all(|index| episodes.knows_last(index)) {
        put("next_observations", episodes.next_observations(), &[n, o]);
    }
    for (name, flags) in [("terminals", &terminals), ("timeouts", &timeouts)] {
        put_flags(path, put_packed(file.create_dataset(name), &[n]), flags)?;
    }
    if !episodes.info_names().is_empty() {
        let mut infos = file.create_group("infos");
        for (name, column, k) in episodes.infos() {
            put_packed(infos.create_dataset(last_part(name)), &shape(n, k)).with_f32_data(column);
        }
        file.add_group(infos.finish());
    }
    commit(path, file)
}

/// Writes a Minari folder, `data/main_data.hdf5` and `data/metadata.json`, under
/// the name `id` (`walker/mixed-v0`). `metadata.json` comes last: a folder
/// without it is not finished, and is refused by readers.
///
/// # Errors
/// If there is no episode, if an episode lacks the observation behind its last
/// step, if the folder holds a data set already, or nothing can be written
/// there.
pub fn write_minari(folder: &Path, episodes: &Episodes, id: &str) -> Result<(), EpisodeError> {
    refuse_nothing(folder, episodes)?;
    let data = folder.join("data");
    let metadata = data.join(METADATA);
    if metadata.exists() {
        return Err(EpisodeError::Exists { path: metadata });
    }
    if let Some(index) = (0..episodes.len()).find(|&index| !episodes.knows_last(index)) {
        return Err(EpisodeError::Write {
            path: folder.to_owned(),
            reason: format!(
                "episode {index} lacks the observation behind its last step, which Minari stores; \
                 read it from a file with next_observations, or write the D4RL layout"
            ),
        });
    }
    std::fs::create_dir_all(&data).map_err(|error| write_error(&data, error))?;
    let main = data.join(MAIN);
    let mut file = FileBuilder::new();
    for (index, episode) in episodes.iter().enumerate() {
        let mut group = file.create_group(&format!("episode_{index}"));
        group.set_attr("id", AttrValue::I64(index as i64));
        group.set_attr("total_steps", AttrValue::I64(episode.length() as i64));
        put_episode(&main, &mut group, episodes, &episode)?;
        put_infos(&mut group, episodes, index);
        file.add_group(group.finish());
    }
    commit(&main, file)?;
    // Minari reads spaces from JSON inside a string.
    let space = |size: usize| {
        let (low, high) = (vec!["-Infinity"; size], vec!["Infinity"; size]);
        format!(
            "{{\"type\": \"Box\", \"dtype\": \"float32\", \"shape\": [{size}], \"low\": [{}], \
             \"high\": [{}]}}",
            low.join(", "),
            high.join(", ")
        )
    };
    let content = json!({
        "total_episodes": episodes.len(),
        "total_steps": episodes.step_count(),
        "data_format": "hdf5",
        "observation_space": space(episodes.observation_size()),
        "action_space": space(episodes.action_size()),
        "dataset_id": id,
        "minari_version": MINARI_VERSION,
    });
    write_atomically(&metadata, content.to_string().as_bytes())
        .map_err(|error| write_error(&metadata, error))
}

/// The release of Minari whose layout this is; that and later ones read it.
const MINARI_VERSION: &str = "0.5.0";

fn put_episode(
    path: &Path,
    group: &mut GroupBuilder,
    episodes: &Episodes,
    episode: &Episode<'_>,
) -> Result<(), EpisodeError> {
    let (o, a) = (episodes.observation_size(), episodes.action_size());
    let t = episode.length() as u64;
    let next = episode.next_observations;
    let seen = [episode.observations, &next[next.len() - o..]].concat();
    let mut put = |name: &str, column: &[f32], shape: &[u64]| {
        group
            .create_dataset(name)
            .with_shape(shape)
            .with_f32_data(column);
    };
    put("observations", &seen, &[t + 1, o as u64]);
    put("actions", episode.actions, &[t, a as u64]);
    put("rewards", episode.rewards, &[t]);
    for (name, kind) in [
        ("terminations", End::Terminal),
        ("truncations", End::Timeout),
    ] {
        let mut flags = vec![false; episode.length()];
        flags[episode.length() - 1] = episode.end == kind;
        put_flags(path, group.create_dataset(name), &flags)?;
    }
    Ok(())
}

fn put_infos(group: &mut GroupBuilder, episodes: &Episodes, index: usize) {
    if episodes.info_names().is_empty() {
        return;
    }
    let (from, to) = (episodes.starts()[index], episodes.starts()[index + 1]);
    let mut infos = group.create_group("infos");
    for (name, column, k) in episodes.infos() {
        infos
            .create_dataset(last_part(name))
            .with_shape(&shape((to - from) as u64, k))
            .with_f32_data(&column[from * k..to * k]);
    }
    group.add_group(infos.finish());
}

/// "qpos" of "infos/qpos".
fn last_part(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// One number a row needs no second dimension.
fn shape(rows: u64, width: usize) -> Vec<u64> {
    match width {
        1 => vec![rows],
        _ => vec![rows, width as u64],
    }
}

/// A compressed column of this shape.
fn put_packed<'a>(to: &'a mut DatasetBuilder, shape: &[u64]) -> &'a mut DatasetBuilder {
    let mut chunk = shape.to_vec();
    let width: u64 = shape[1..].iter().product();
    chunk[0] = (CHUNK / width).clamp(1, shape[0]);
    to.with_shape(shape)
        .with_chunks(&chunk)
        .with_shuffle()
        .with_deflate(4)
}

/// Bools as h5py stores them: one byte each, with names.
fn put_flags(path: &Path, to: &mut DatasetBuilder, flags: &[bool]) -> Result<(), EpisodeError> {
    let bool_type = EnumTypeBuilder::with_base(make_i8_type())
        .value("FALSE", 0)
        .value("TRUE", 1)
        .build()
        .map_err(|error| write_error(path, error))?;
    let bytes = flags.iter().map(|&flag| u8::from(flag)).collect();
    to.with_raw_data(bool_type, bytes, flags.len() as u64);
    Ok(())
}

fn refuse_nothing(path: &Path, episodes: &Episodes) -> Result<(), EpisodeError> {
    if episodes.is_empty() {
        return Err(EpisodeError::Write {
            path: path.to_owned(),
            reason: "there are no episodes to write".to_owned(),
        });
    }
    Ok(())
}

fn commit(path: &Path, file: FileBuilder) -> Result<(), EpisodeError> {
    let mut to = AtomicFile::create(path).map_err(|error| write_error(path, error))?;
    file.finish_to(&mut to)
        .map_err(|error| write_error(path, error))?;
    to.commit().map_err(|error| write_error(path, error))
}

fn write_error(path: &Path, reason: impl ToString) -> EpisodeError {
    EpisodeError::Write {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}
