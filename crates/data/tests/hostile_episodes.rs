//! Recorded episodes that must each be refused with the right message, and
//! damaged bytes that must never bring the reader down.
// The lint knows tests by their attribute, not their helpers.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use iwsft_data::episodes::{EpisodeColumns, EpisodeError, EpisodeReader, Tail, read_episodes};
use proptest::prelude::*;

/// File or folder, and a part of what its message says.
const REFUSED: &[(&str, &str)] = &[
    ("array.npy", "is a single NumPy array"),
    (
        "blosc.hdf5",
        "`actions` is compressed with Blosc (filter 32001), which is not read; the file is whole: write the column again with gzip",
    ),
    (
        "by_column.npz",
        "`observations` is stored column by column; save numpy.ascontiguousarray",
    ),
    (
        "bzip2.hdf5",
        "`actions` is compressed with bzip2 (filter 307), which is not read; the file is whole",
    ),
    (
        "checksum.npz",
        "`observations` cannot be read (its checksum is wrong)",
    ),
    ("complex_actions.hdf5", "`actions` holds records of r, i"),
    (
        "cut.hdf5",
        "the file cannot be read (child 'rewards' at 0x22f8: unexpected end of data",
    ),
    ("cut.npz", "the archive cannot be read"),
    (
        "damaged_chunk.hdf5",
        "`observations` cannot be read (decompression error: DEFLATE",
    ),
    (
        "deep_header.npz",
        "`actions` cannot be read (could not parse Python expression",
    ),
    (
        "dict_observations.hdf5",
        "is a group (it has: goal), expected a column of numbers; name one in it: columns = { observations = \"observations/...\" }",
    ),
    ("empty.hdf5", "is empty"),
    (
        "fewer_observations.hdf5",
        "`observations` has 3 rows, expected 4, as many as `actions`",
    ),
    ("fewer_timeouts.hdf5", "`timeouts` has 2 rows, expected 4"),
    ("flag_nan.hdf5", "`timeouts[0]` is NaN"),
    ("flag_two.hdf5", "`terminals[2]` is 2, expected 0 or 1"),
    ("half_actions.hdf5", "`actions` holds 16-bit floats"),
    (
        "huge_and_hollow.hdf5",
        "`actions` has the shape [1099511627776, 1], expected as many numbers as the file can hold",
    ),
    (
        "images.hdf5",
        "`observations` has the shape [4, 2, 2], expected [steps, numbers]; flatten",
    ),
    (
        "infinite_reward.hdf5",
        "`rewards[1]` is -inf, expected a finite",
    ),
    ("long_header.npz", "`observations` has 9 rows, expected 4"),
    (
        "lz4.hdf5",
        "`actions` is compressed with LZ4 (filter 32004), which is not read; the file is whole",
    ),
    ("lzma.npz", "is compressed otherwise than NumPy does"),
    (
        "minari_arrow",
        "metadata.json: `data_format` is \"arrow\", expected \"hdf5\"",
    ),
    (
        "minari_broken_metadata",
        "metadata.json: is no JSON (EOF while parsing",
    ),
    (
        "minari_count",
        "`total_episodes` is 7, but main_data.hdf5 has 1",
    ),
    ("minari_no_data", "main_data.hdf5: cannot be opened"),
    (
        "minari_no_last",
        "`episode_0/observations` has 4 rows, expected 5, one more than `episode_0/actions`",
    ),
    ("minari_no_metadata", "metadata.json: cannot be read"),
    (
        "minari_no_steps",
        "`episode_0` holds no steps, expected at least one; remove the episode",
    ),
    (
        "minari_short",
        "`episode_0/rewards` has 3 rows, expected 4, as many as `episode_0/actions`",
    ),
    (
        "minari_widths",
        "`episode_1/observations` has the shape [5, 5], expected 2 numbers a row, as in the first",
    ),
    (
        "nan_action.hdf5",
        "`actions[2, 0]` is NaN, expected a finite",
    ),
    ("nan_observation.npz", "`observations[1, 1]` is NaN"),
    (
        "next_width.hdf5",
        "`next_observations` has the shape [4, 3], expected [4, 2], as `observations`",
    ),
    (
        "no_columns.hdf5",
        "has no column `actions` (it has: nothing)",
    ),
    (
        "no_ends.hdf5",
        "none of the 4 steps is a terminal or timeout",
    ),
    (
        "no_rewards.hdf5",
        "has no column `rewards` (it has: actions, observations, terminals, timeouts)",
    ),
    (
        "no_steps.hdf5",
        "the file holds no steps, expected at least one",
    ),
    (
        "no_terminals.npz",
        "has no column `terminals` (it has: observations, actions, rewards, timeouts)",
    ),
    ("objects.npz", "`actions` holds |O, expected integers"),
    (
        "other_file.hdf5",
        "`rewards` is a link to another file (rewards.hdf5), which is not followed; the file is whole",
    ),
    (
        "raw_elsewhere.hdf5",
        "`rewards` keeps its numbers in another file, which is not read; the file is whole",
    ),
    (
        "scalar_reward.hdf5",
        "`rewards` has the shape [], expected [steps, numbers]",
    ),
    ("signature.hdf5", "the file cannot be read ("),
    (
        "text.hdf5",
        "is none of the formats of episodes, expected an HDF5 file (D4RL), a folder",
    ),
    (
        "text_actions.hdf5",
        "`actions` holds text, expected integers",
    ),
    ("text_actions.npz", "`actions` holds <U2, expected integers"),
    (
        "too_large_for_32_bits.hdf5",
        "`rewards[3]` is inf, expected a finite 32-bit number",
    ),
    (
        "two_rewards.hdf5",
        "`rewards` has the shape [4, 2], expected [steps], one number a step",
    ),
    (
        "virtual.hdf5",
        "`rewards` is a virtual data set, which shows numbers of others, and is not read; the file is whole",
    ),
    (
        "zero_width.hdf5",
        "`observations` has the shape [4, 0], expected 1 to 1048576",
    ),
    (
        "zstd.hdf5",
        "f.create_dataset(\"actions\", data=x, compression=\"gzip\")",
    ),
];

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn refusal(path: &Path) -> Option<EpisodeError> {
    read_episodes(path, &EpisodeColumns::default(), Tail::Drop).err()
}

#[test]
fn every_hostile_file_is_refused_as_expected() {
    let folder = tests().join("hostile_episodes");
    let mut expected: BTreeMap<_, _> = REFUSED.iter().copied().collect();
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let path = folder.join(&name);
        let message = match refusal(&path) {
            Some(error) => error.to_string(),
            None => "no error".to_owned(),
        };
        let named = message.starts_with(&path.display().to_string());
        match expected.remove(name.as_str()) {
            Some(part) if named && message.contains(part) => {}
            Some(_) => wrong.push(format!("{name}: {message}")),
            None => wrong.push(format!("{name} is not in the table: {message}")),
        }
    }
    wrong.extend(expected.keys().map(|name| format!("{name}: missing")));
    wrong.sort();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_missing_file_and_a_folder_of_something_else_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.hdf5");
    assert!(matches!(
        refusal(&missing),
        Some(EpisodeError::Open { path, .. }) if path == missing
    ));
    assert!(matches!(
        refusal(folder.path()),
        Some(EpisodeError::Format { path, .. }) if path == folder.path()
    ));
}

#[test]
fn a_column_that_is_named_must_be_there() {
    let path = tests().join("fixtures/episodes/h5py-3.16.0/d4rl_earliest.hdf5");
    for (columns, missing) in [
        (r#"{"timeouts": "time_limits"}"#, "time_limits"),
        (r#"{"next_observations": "next"}"#, "next"),
        (r#"{"episode": "number"}"#, "number"),
        (r#"{"infos": ["infos/qvel"]}"#, "infos/qvel"),
        (r#"{"rewards": "actions/left"}"#, "actions/left"),
    ] {
        let columns: EpisodeColumns = serde_json::from_str(columns).unwrap();
        let error = read_episodes(&path, &columns, Tail::Drop).unwrap_err();
        assert!(
            matches!(&error, EpisodeError::Missing { column, .. } if column == missing),
            "{error}"
        );
    }
    let error = serde_json::from_str::<EpisodeColumns>(r#"{"reward": "x"}"#).unwrap_err();
    assert!(error.to_string().contains("expected one of"), "{error}");
}

#[test]
fn what_stands_in_place_of_a_file_is_told() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    for (name, text, part) in [
        (
            "a.hdf5",
            pointer,
            "is a Git LFS pointer, not the file: git lfs pull",
        ),
        (
            "a.npz",
            pointer,
            "is a Git LFS pointer, not the file: git lfs pull",
        ),
        (
            "b.hdf5",
            "<!doctype html><title>Sign in</title>",
            "is a page of a web site",
        ),
        ("c.hdf5", "", "is empty"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let error = refusal(&path).unwrap().to_string();
        assert!(error.contains(part), "{error}");
    }
    for (main, metadata) in [(pointer, "{}"), ("", pointer)] {
        std::fs::write(data.join("main_data.hdf5"), main).unwrap();
        std::fs::write(data.join("metadata.json"), metadata).unwrap();
        let error = refusal(folder.path()).unwrap().to_string();
        assert!(error.contains("git lfs pull"), "{error}");
    }
}

/// Reads to the end whatever comes: episodes or one error.
fn drain(name: &str, bytes: &[u8]) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    match EpisodeReader::open(&path, &EpisodeColumns::default(), Tail::Keep) {
        Ok(reader) => reader.count(),
        Err(_) => 1,
    }
}

proptest! {
    #[test]
    fn damaged_files_give_episodes_or_an_error(
        file in proptest::sample::select(vec![
            "d4rl_earliest.hdf5",
            "d4rl_v108.hdf5",
            "d4rl_latest.hdf5",
            "minari/data/main_data.hdf5",
            "table.npz",
            "numbered.npz",
            "../../links/chain_earliest.hdf5",
            "../../links/many_latest.hdf5",
            "../../links/newest.hdf5",
            "../../links/lzf.hdf5",
            "../../links/scale_offset.hdf5",
            "../../links/szip.hdf5",
        ]),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..5),
        near_the_start: bool,
        cut in proptest::option::weighted(0.1, any::<proptest::sample::Index>()),
    ) {
        let folder = tests().join("fixtures/episodes/h5py-3.16.0");
        let mut bytes = std::fs::read(folder.join(file)).unwrap();
        let reach = if near_the_start { bytes.len().min(2048) } else { bytes.len() };
        for (place, byte) in damage {
            bytes[place.index(reach)] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        prop_assert!(drain("a", &bytes) >= 1);
    }

    #[test]
    fn arbitrary_bytes_behind_a_signature_give_an_error(
        start in proptest::sample::select(vec![&b"\x89HDF\r\n\x1a\n"[..], b"PK\x03\x04", b""]),
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        prop_assert_eq!(drain("a", &[start, &bytes].concat()), 1);
    }
}
