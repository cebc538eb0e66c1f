//! Recorded episodes that must be read right, and written so that they are.
// The lint knows tests by their attribute, not their helpers.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use iwsft_data::episodes::{
    End, Episode, EpisodeColumns, EpisodeError, EpisodeReader, Episodes, Normaliser,
    ReferenceReturns, ReturnQuality, Tail, above_percentiles, quality, read_episodes, top_share,
    write_d4rl, write_minari,
};
use iwsft_objective::Resampler;
use proptest::prelude::*;

/// Folders of files by several versions of h5py, see
/// `scripts/fixtures/episodes.py`.
fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/episodes");
    let versions: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(versions.len() >= 2, "{versions:?}");
    versions
}

fn columns(names: serde_json::Value) -> EpisodeColumns {
    serde_json::from_value(names).unwrap()
}

/// The fixtures' steps `from..to`, ending thus.
fn expected(episodes: &mut Episodes, from: usize, to: usize, end: End) {
    let mut observations = Vec::new();
    let mut actions = Vec::new();
    let mut rewards = Vec::new();
    for step in from..to {
        let t = step as f32;
        observations.extend([t, t / 4.0, -t]);
        actions.extend([t / 8.0, 1.0 - t]);
        rewards.push((step % 7) as f32 - 3.0);
    }
    let mut next_observations = observations[3..].to_vec();
    next_observations.extend(
        observations[observations.len() - 3..]
            .iter()
            .map(|x| x + 0.5),
    );
    episodes.push(Episode {
        observations: &observations,
        actions: &actions,
        rewards: &rewards,
        next_observations: &next_observations,
        end,
    });
}

fn all_expected() -> Episodes {
    let mut episodes = Episodes::new(3, 2);
    expected(&mut episodes, 0, 5, End::Terminal);
    expected(&mut episodes, 5, 10, End::Timeout);
    expected(&mut episodes, 10, 18, End::Terminal);
    episodes
}

fn assert_same(found: &Episodes, expected: &Episodes, what: &Path) {
    assert_eq!(found.starts(), expected.starts(), "{}", what.display());
    for (index, (found, expected)) in found.iter().zip(expected.iter()).enumerate() {
        assert_eq!(found, expected, "{}: episode {index}", what.display());
    }
}

#[test]
fn every_layout_and_version_gives_the_same_episodes() {
    for folder in fixtures() {
        for name in [
            "d4rl_earliest.hdf5",
            "d4rl_v108.hdf5",
            "d4rl_latest.hdf5",
            "table.npz",
            "minari",
            "minari/data",
            "minari/data/main_data.hdf5",
        ] {
            let path = folder.join(name);
            let mut with_tail = all_expected();
            expected(&mut with_tail, 18, 23, End::Unfinished);
            // A group of Minari's is an episode, marked as over or not.
            let without = match name.starts_with("minari") {
                true => &with_tail,
                false => &all_expected(),
            };
            let found = read_episodes(&path, &EpisodeColumns::default(), Tail::Drop).unwrap();
            assert_same(&found, without, &path);
            let left_out = with_tail.step_count() - without.step_count();
            assert_eq!(found.left_out(), left_out, "{name}");

            let found = read_episodes(&path, &EpisodeColumns::default(), Tail::Keep).unwrap();
            assert_same(&found, &with_tail, &path);
        }
    }
}

#[test]
fn an_unfinished_tail_is_counted_where_it_is_dropped() {
    for name in ["d4rl_v108.hdf5", "table.npz"] {
        let path = fixtures()[0].join(name);
        let columns = EpisodeColumns::default();
        let mut reader = EpisodeReader::open(&path, &columns, Tail::Drop).unwrap();
        let episodes: usize = reader.by_ref().map(|some| some.unwrap().len()).sum();
        assert_eq!((episodes, reader.dropped()), (3, 5), "{name}");
        assert_eq!((reader.observation_size(), reader.action_size()), (3, 2));
    }
}

/// Written by h5py, see
/// `scripts/fixtures/episode_links.py`.
#[test]
fn columns_are_found_behind_links_and_in_every_storage_that_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/links");
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let found = read_episodes(&path, &EpisodeColumns::default(), Tail::Drop).unwrap();
        let minari = path.ends_with("minari.hdf5");
        let returns = if minari {
            vec![3.0, 12.0, 12.0]
        } else {
            vec![3.0, 12.0]
        };
        assert_eq!(found.returns(), returns, "{}", path.display());
        let steps: Vec<f32> = (0..6).flat_map(|t| [t as f32, 10.0 * t as f32]).collect();
        assert_eq!(found.observations()[..12], steps, "{}", path.display());
        assert_eq!(found.ends()[1], End::Terminal, "{}", path.display());
        count += 1;
    }
    assert_eq!(count, 16);
    // Under the names that only links have, too.
    for (name, value) in [
        ("hard", 0.125),
        ("other/inner/rewards", 1.0),
        ("other/again", 1.0),
    ] {
        let names = columns(serde_json::json!({"infos": [name]}));
        let path = folder.join("chain_latest.hdf5");
        let found = read_episodes(&path, &names, Tail::Drop).unwrap();
        assert_eq!(found.info(name).unwrap().0[1], value, "{name}");
    }
}

#[test]
fn infos_are_kept_beside_the_observation_of_the_same_number() {
    for folder in fixtures() {
        for name in ["d4rl_earliest.hdf5", "d4rl_latest.hdf5", "minari"] {
            let names = columns(serde_json::json!({"infos": ["infos/qpos"]}));
            let episodes = read_episodes(&folder.join(name), &names, Tail::Keep).unwrap();
            let (qpos, size) = episodes.info("infos/qpos").unwrap();
            let expected: Vec<f32> = (0..23)
                .flat_map(|t| [2.0 * t as f32, 3.0 * t as f32])
                .collect();
            assert_eq!((qpos, size), (&expected[..], 2), "{name}");
            let chosen = episodes.select(&[2, 0]);
            let (qpos, _) = chosen.info("infos/qpos").unwrap();
            assert_eq!(qpos[..2], [20.0, 30.0]);
            assert_eq!(qpos[16..18], [0.0, 0.0]);
        }
    }
}

#[test]
fn episodes_are_told_apart_by_number_where_columns_are_named() {
    let names = columns(serde_json::json!({
        "observations": "obs", "actions": "act", "rewards": "rew", "terminals": "done",
    }));
    for folder in fixtures() {
        let path = folder.join("numbered.npz");
        let episodes = read_episodes(&path, &names, Tail::Drop).unwrap();
        assert_eq!(episodes.starts(), [0, 5, 10, 18, 23]);
        let ends = [End::Terminal, End::Timeout, End::Terminal, End::Timeout];
        assert_eq!(episodes.ends(), ends);
        // Without stored next observations the last one is not known, and
        // repeated where it does not matter.
        assert_eq!(
            episodes.episode(0).next_observations[12..],
            [4.0, 1.0, -4.0]
        );
        let last = episodes.episode(1).next_observations;
        assert_eq!(last[..3], [6.0, 1.5, -6.0]);
        assert!(last[12..].iter().all(|number| number.is_nan()));

        let transitions = episodes.transitions();
        let missing: Vec<_> = (0..23).filter(|t| !transitions.steps.contains(t)).collect();
        assert_eq!(missing, [9, 22]);
        let terminals: Vec<_> = transitions
            .steps
            .iter()
            .zip(&transitions.terminals)
            .filter_map(|(step, &terminal)| terminal.then_some(*step))
            .collect();
        assert_eq!(terminals, [4, 17]);
    }
}

#[test]
fn what_is_written_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut episodes = all_expected();
    expected(&mut episodes, 18, 23, End::Unfinished);
    let d4rl = folder.path().join("a.hdf5");
    write_d4rl(&d4rl, &episodes).unwrap();
    let minari = folder.path().join("minari");
    write_minari(&minari, &episodes, "walker/mixed-v0").unwrap();
    for path in [&d4rl, &minari] {
        let found = read_episodes(path, &EpisodeColumns::default(), Tail::Keep).unwrap();
        assert_same(&found, &episodes, path);
    }
    // Whole files only, and none of a failed one.
    assert!(write_d4rl(&folder.path().join("no/a.hdf5"), &episodes).is_err());
    assert!(write_d4rl(&folder.path().join("b.hdf5"), &Episodes::new(1, 1)).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    let again = write_minari(&minari, &episodes, "walker/mixed-v0").unwrap_err();
    assert!(matches!(again, EpisodeError::Exists { .. }), "{again}");
}

#[test]
fn infos_and_unknown_ends_survive_the_d4rl_layout() {
    let folder = tempfile::tempdir().unwrap();
    let numbered = fixtures()[0].join("numbered.npz");
    let names = columns(serde_json::json!({
        "observations": "obs", "actions": "act", "rewards": "rew", "terminals": "done",
        "infos": ["rew", "obs"],
    }));
    let episodes = read_episodes(&numbered, &names, Tail::Drop).unwrap();
    let path = folder.path().join("a.hdf5");
    write_d4rl(&path, &episodes).unwrap();
    let names = columns(serde_json::json!({"infos": ["infos/obs", "infos/rew"]}));
    let found = read_episodes(&path, &names, Tail::Drop).unwrap();
    assert_eq!(found.ends(), episodes.ends());
    assert_eq!(
        found.info("infos/obs").unwrap(),
        (episodes.observations(), 3)
    );
    assert_eq!(found.info("infos/rew").unwrap(), (episodes.rewards(), 1));
    assert!(found.episode(1).next_observations[14].is_nan());

    let refused = write_minari(&folder.path().join("m"), &episodes, "a-v0").unwrap_err();
    assert!(refused.to_string().contains("episode 1 lacks"), "{refused}");
}

/// From curated data to what is drawn, on real recordings where they are.
#[test]
fn recorded_pendulum_and_locomotion_are_read_and_curated() {
    let shared = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/data/rl"
    ));
    if !shared.exists() {
        eprintln!("skipped: {} is not there", shared.display());
        return;
    }
    let read = |name: &str| {
        read_episodes(&shared.join(name), &EpisodeColumns::default(), Tail::Drop).unwrap()
    };
    let replay = read("pendulum/pendulum_replay_v1.1.0.npz");
    assert_eq!((replay.len(), replay.step_count()), (500, 99_500));
    assert!(replay.ends().iter().all(|end| *end == End::Timeout));
    let returns = replay.returns();
    let best = above_percentiles(&returns, &[90.0, 95.0, 98.0]).unwrap();
    assert_eq!(best.len(), 50 + 25 + 10);
    let mean =
        |list: &[usize]| list.iter().map(|&index| returns[index]).sum::<f64>() / list.len() as f64;
    let all: Vec<_> = (0..replay.len()).collect();
    assert!(mean(&best) > mean(&all));
    assert!(mean(&top_share(&returns, 0.02).unwrap()) > mean(&best));
    let drawn = Resampler::new(&quality(&returns, ReturnQuality::MinMax).unwrap())
        .unwrap()
        .draw(500, 0.5);
    assert!(mean(&drawn) > mean(&all));

    let numbered = read("pendulum/enormous.npz");
    assert_eq!((numbered.len(), numbered.step_count()), (82, 16_231));
    assert_eq!(numbered.episode(0).length(), 63);

    let hopper = read("cs285/expert_Hopper-v4.npz");
    assert_eq!((hopper.len(), hopper.observation_size()), (2, 11));
    assert_eq!(hopper.ends(), [End::Terminal; 2]);
    let scores = ReferenceReturns::of("Hopper-v4").unwrap();
    for total in hopper.returns() {
        assert!((100.0..130.0).contains(&scores.score(total)), "{total}");
    }
    let mut observations = hopper.observations().to_vec();
    Normaliser::of(&hopper).apply(&mut observations);
    assert!(observations.iter().all(|number| number.abs() < 30.0));
}

prop_compose! {
    /// Lengths and ends of some episodes; only the last may be unfinished.
    fn shapes()(
        mut list in proptest::collection::vec((1_usize..30, any::<bool>()), 1..40),
        unfinished: bool,
    ) -> Vec<(usize, End)> {
        let last = list.pop().unwrap();
        let end = |(length, terminal)| (length, if terminal { End::Terminal } else { End::Timeout });
        let mut shapes: Vec<_> = list.into_iter().map(end).collect();
        shapes.push(if unfinished { (last.0, End::Unfinished) } else { end(last) });
        shapes
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn written_episodes_are_cut_exactly_where_they_ended(shapes in shapes()) {
        let mut episodes = Episodes::new(2, 1);
        let mut t = 0.0;
        for (length, end) in shapes {
            let observations: Vec<f32> = (0..2 * length).map(|i| t + i as f32).collect();
            let rewards: Vec<f32> = (0..length).map(|i| t - i as f32).collect();
            t += 1000.0;
            let mut next = observations[2..].to_vec();
            next.extend([t, t]);
            episodes.push(Episode {
                observations: &observations,
                actions: &rewards,
                rewards: &rewards,
                next_observations: &next,
                end,
            });
        }
        let folder = tempfile::tempdir().unwrap();
        let paths = [folder.path().join("a.hdf5"), folder.path().join("m")];
        write_d4rl(&paths[0], &episodes).unwrap();
        write_minari(&paths[1], &episodes, "a/b-v0").unwrap();
        for path in paths {
            let found = read_episodes(&path, &EpisodeColumns::default(), Tail::Keep).unwrap();
            assert_same(&found, &episodes, &path);
            prop_assert_eq!(found.returns(), episodes.returns());
        }
    }
}
