//! Agreement with Gymnasium, `scripts/fixtures/environments.py`, bit for bit.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use std::fs;
use std::path::{Path, PathBuf};

use iwsft_control::{Actions, Bounds, Environment, Generator, environments, library, make};
use safetensors::{Dtype, SafeTensors};

/// A file of episodes.
struct Traces {
    bytes: Vec<u8>,
}

impl Traces {
    fn read(folder: &Path, file: &str) -> Self {
        let path = folder.join(file);
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { bytes }
    }

    fn fixture(file: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        Self::read(&folder, file)
    }

    fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).unwrap()
    }

    /// Elements of a tensor, each of `N` bytes; none where there is no such.
    fn words<const N: usize>(&self, name: &str, dtype: Dtype) -> Option<Vec<[u8; N]>> {
        let tensors = self.tensors();
        let tensor = tensors.tensor(name).ok()?;
        assert_eq!(tensor.dtype(), dtype, "{name}");
        Some(tensor.data().as_chunks::<N>().0.to_vec())
    }

    fn f64s(&self, name: &str) -> Vec<f64> {
        let words = self.words(name, Dtype::F64);
        let words = words.unwrap_or_else(|| panic!("{name} is missing"));
        words.into_iter().map(f64::from_le_bytes).collect()
    }

    fn f32s(&self, name: &str) -> Vec<f32> {
        let words = self.words(name, Dtype::F32);
        let words = words.unwrap_or_else(|| panic!("{name} is missing"));
        words.into_iter().map(f32::from_le_bytes).collect()
    }

    fn number(&self, name: &str) -> Option<u64> {
        let words = self.words(name, Dtype::U64)?;
        Some(u64::from_le_bytes(words[0]))
    }

    /// Whether the last step of an episode terminated and truncated it.
    fn end(&self, episode: &str) -> [bool; 2] {
        let words = self.words(&format!("{episode}/end"), Dtype::U8).unwrap();
        [words[0] != [0], words[1] != [0]]
    }

    /// How many episodes of an environment there are.
    fn episodes(&self, name: &str) -> usize {
        let has = |number: &usize| {
            self.tensors()
                .tensor(&format!("{name}/{number}/start"))
                .is_ok()
        };
        (0..).take_while(has).count()
    }
}

fn bits(numbers: &[f64]) -> Vec<u64> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

fn bounds(low_high: &[f64]) -> Bounds {
    let (low, high) = low_high.split_at(low_high.len() / 2);
    let [low, high] = [low, high].map(|side| side.iter().map(|&x| x as f32).collect());
    Bounds { low, high }
}

/// Goes through an episode that has begun, and compares every number.
fn follow(traces: &Traces, episode: &str, environment: &mut Environment, observation: &mut [f64]) {
    let (o, a) = (
        environment.spec().observation_size(),
        environment.spec().action_size(),
    );
    let observations = traces.f64s(&format!("{episode}/observations"));
    let actions = traces.f32s(&format!("{episode}/actions"));
    let rewards = traces.f64s(&format!("{episode}/rewards"));
    assert_eq!(
        bits(observation),
        bits(&observations[..o]),
        "{episode}: the first observation"
    );
    for (index, action) in actions.chunks_exact(a).enumerate() {
        let step = environment.step(action, observation).unwrap();
        let expected = &observations[(index + 1) * o..(index + 2) * o];
        assert_eq!(bits(observation), bits(expected), "{episode}: step {index}");
        assert_eq!(
            step.reward.to_bits(),
            rewards[index].to_bits(),
            "{episode}: step {index}: reward {} is not {}",
            step.reward,
            rewards[index]
        );
        let end = if index + 1 == rewards.len() {
            traces.end(episode)
        } else {
            [false; 2]
        };
        assert_eq!(
            [step.terminated, step.truncated],
            end,
            "{episode}: step {index}"
        );
    }
}

/// Compares all episodes of an environment, from the seed and from the state.
fn compare(traces: &Traces, name: &str) {
    let mut environment = make(name).unwrap();
    let spec = environment.spec().clone();
    assert_eq!(
        traces.number(&format!("{name}/time_limit")),
        Some(spec.time_limit as u64)
    );
    let observed = traces.f64s(&format!("{name}/observation_bounds"));
    assert_eq!(bounds(&observed), spec.observations, "{name}");
    if let Actions::Continuous(actions) = &spec.actions {
        let expected = traces.f32s(&format!("{name}/action_bounds"));
        let expected: Vec<f64> = expected.into_iter().map(f64::from).collect();
        assert_eq!(&bounds(&expected), actions, "{name}");
    }
    let mut observation = vec![0.0; spec.observation_size()];
    let count = traces.episodes(name);
    assert!(count >= 3, "{name}: {count} episodes");
    for number in 0..count {
        let episode = format!("{name}/{number}");
        let seed = traces.number(&format!("{episode}/seed"));
        environment.reset(seed, &mut observation).unwrap();
        let start = traces.f64s(&format!("{episode}/start"));
        assert_eq!(
            bits(environment.state()),
            bits(&start),
            "{episode}: the initial state"
        );
        follow(traces, &episode, &mut environment, &mut observation);
        environment.set_state(&start, &mut observation).unwrap();
        follow(traces, &episode, &mut environment, &mut observation);
    }
}

/// Whether MuJoCo is there in the version of the traces; says why not.
fn has_mujoco(traces: &Traces) -> bool {
    let (_, metadata) = SafeTensors::read_metadata(&traces.bytes).unwrap();
    let wanted = &metadata.metadata().as_ref().unwrap()["mujoco"];
    match library() {
        Ok(library) if library.version() == wanted => return true,
        Ok(library) => eprintln!(
            "skipped: MuJoCo is {}, the traces are of {wanted}",
            library.version()
        ),
        Err(error) => eprintln!("skipped: {error}"),
    }
    false
}

fn names(needs_mujoco: bool) -> Vec<&'static str> {
    let wanted = environments().filter(|spec| spec.needs_mujoco == needs_mujoco);
    // The mazes are our own.
    let names = wanted.map(|spec| spec.name);
    names
        .filter(|name| !name.starts_with("PointMaze"))
        .collect()
}

#[test]
fn classic_tasks_are_gymnasiums_bit_for_bit() {
    let traces = Traces::fixture("classic.safetensors");
    for name in names(false) {
        compare(&traces, name);
    }
}

#[test]
fn robots_are_gymnasiums_bit_for_bit() {
    let traces = Traces::fixture("mujoco.safetensors");
    if has_mujoco(&traces) {
        for name in names(true) {
            compare(&traces, name);
        }
    }
}

#[test]
fn the_traces_end_and_begin_in_every_way() {
    let mut ends = Vec::new();
    for (file, needs_mujoco) in [("classic.safetensors", false), ("mujoco.safetensors", true)] {
        let traces = Traces::fixture(file);
        for name in names(needs_mujoco) {
            for number in 0..traces.episodes(name) {
                ends.push((name, traces.end(&format!("{name}/{number}"))));
            }
        }
    }
    // Both rules of what a fall is worth are seen at work.
    for name in ["CartPole-v1", "Hopper-v4", "Hopper-v5"] {
        assert!(ends.contains(&(name, [true, false])), "{name}: {ends:?}");
    }
}

#[test]
fn longer_episodes_agree_too_where_there_are_any() {
    let Some(folder) = std::env::var_os("IWSFT_TRACES").map(PathBuf::from) else {
        eprintln!("skipped: IWSFT_TRACES names no folder of longer episodes");
        return;
    };
    let traces = Traces::read(&folder, "classic.safetensors");
    for name in names(false) {
        compare(&traces, name);
    }
    let traces = Traces::read(&folder, "mujoco.safetensors");
    if has_mujoco(&traces) {
        for name in names(true) {
            compare(&traces, name);
        }
    }
}

#[test]
fn random_numbers_are_numpys_bit_for_bit() {
    let traces = Traces::fixture("classic.safetensors");
    for seed in [0, 7, (1 << 40) + 12345] {
        let name = |what: &str| format!("random/{seed}/{what}");
        let mut generator = Generator::new(seed);
        let uniform: Vec<f64> = (0..8).map(|_| generator.uniform(-0.1, 0.1)).collect();
        assert_eq!(
            bits(&uniform),
            bits(&traces.f64s(&name("uniform"))),
            "seed {seed}"
        );
        let normal: Vec<f64> = (0..20_000).map(|_| generator.normal()).collect();
        assert_eq!(
            bits(&normal[..40]),
            bits(&traces.f64s(&name("normal"))),
            "seed {seed}"
        );
        let at = traces.words(&name("largest_at"), Dtype::U64).unwrap();
        let largest = at
            .into_iter()
            .map(|word| normal[u64::from_le_bytes(word) as usize]);
        let largest: Vec<f64> = largest.collect();
        assert_eq!(
            bits(&largest),
            bits(&traces.f64s(&name("largest"))),
            "seed {seed}"
        );
        assert!(largest[7].abs() > 3.66, "seed {seed}: none of the tail");
        let after: Vec<f64> = (0..4).map(|_| generator.unit()).collect();
        assert_eq!(
            bits(&after),
            bits(&traces.f64s(&name("uniform_after"))),
            "seed {seed}"
        );
    }
}
