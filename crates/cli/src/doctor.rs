//! `iwsft doctor`: what this machine has, and what that means for training.

mod self_check;

use std::path::{Path, PathBuf};

use anyhow::bail;
use iwsft_engine::{CPU_VARIABLE, CpuPath, Precision};
use serde::Serialize;

use crate::machine::{self, Instructions, Machine, bytes};
use crate::progress::say;
use crate::table::{Table, print_json};

/// Look at this machine: processor, memory, disk, and whether the sums are right.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  iwsft doctor
  iwsft --threads 4 doctor --json

Exit status 1 if something is wrong, 0 if it is only worth knowing.")]
pub(crate) struct Args {
    /// Print each check as a line of JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    /// Worth knowing.
    Note,
    Wrong,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    state: State,
    found: String,
    advice: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            state: State::Ok,
            found: found.into(),
            advice: None,
        }
    }

    /// The same with something to say about it.
    fn with(self, state: State, advice: impl Into<String>) -> Self {
        Self {
            state,
            advice: Some(advice.into()),
            ..self
        }
    }
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let machine = Machine::here();
    let mut checks = vec![
        Check::ok("program", build()),
        Check::ok("system", machine.system.clone()),
        threads(&machine),
        kernels(),
        memory(&machine),
        disk(Path::new(".")),
        gpu(),
        mujoco(),
    ];
    checks.extend(self_check::all());
    if args.json {
        checks.iter().try_for_each(print_json)?;
    } else {
        print(&checks)?;
    }
    match checks
        .iter()
        .filter(|check| check.state == State::Wrong)
        .count()
    {
        0 => Ok(()),
        wrong => bail!("{wrong} of {} checks failed", checks.len()),
    }
}

fn print(checks: &[Check]) -> anyhow::Result<()> {
    let mut table = Table::new(["check", "state", "found"]);
    for check in checks {
        let state = match check.state {
            State::Ok => "ok",
            State::Note => "note",
            State::Wrong => "WRONG",
        };
        table.row([check.name.into(), state.into(), check.found.clone()]);
    }
    table.print()?;
    for check in checks {
        if let Some(advice) = &check.advice {
            say(&format!("\n{}: {advice}", check.name));
        }
    }
    Ok(())
}

/// Version, target and profile.
fn build() -> String {
    let profile = if cfg!(debug_assertions) {
        "development"
    } else {
        "release"
    };
    let (version, os) = (env!("CARGO_PKG_VERSION"), std::env::consts::OS);
    // Packagers set it; a plain build does not know its commit.
    let commit = option_env!("IWSFT_COMMIT").map_or(String::new(), |commit| format!(" ({commit})"));
    format!(
        "{version}{commit}, {}-{os}, {profile} build",
        std::env::consts::ARCH
    )
}

/// What `iwsft --version` says.
pub(crate) fn long_version() -> String {
    let paths: Vec<String> = CpuPath::available()
        .iter()
        .map(CpuPath::to_string)
        .collect();
    format!(
        "{}\ncompute: f32 on the CPU; {}\nkernels: {} (found: {})\nprocessor: {}",
        build(),
        bf16_products(),
        CpuPath::current(),
        paths.join(", "),
        instruction_sets(&machine::instructions()),
    )
}

/// What multiplies in bf16.
fn bf16_products() -> &'static str {
    if Precision::Bf16.is_native() {
        "matrix products in bf16 too, by AVX-512 BF16"
    } else {
        "matrix products in bf16 are emulated, slower than in f32"
    }
}

fn instruction_sets(found: &[Instructions]) -> String {
    let words = found.iter().map(|each| {
        let has = if each.found { "yes" } else { "no" };
        format!("{} {has}", each.name)
    });
    let words: Vec<String> = words.collect();
    if words.is_empty() {
        "nothing special is looked for".into()
    } else {
        words.join(", ")
    }
}

fn threads(machine: &Machine) -> Check {
    let (threads, cores) = (rayon::current_num_threads(), machine.cores);
    let check = Check::ok(
        "processor",
        format!("{}, {cores} cores, {threads} threads", machine.processor),
    );
    if threads > cores {
        check.with(
            State::Note,
            format!("more threads than cores slow training down; use --threads {cores} or none"),
        )
    } else if threads < cores {
        check.with(
            State::Note,
            format!(
                "{} cores stand idle, because of --threads or RAYON_NUM_THREADS",
                cores - threads
            ),
        )
    } else {
        check
    }
}

fn kernels() -> Check {
    let (path, best) = (
        CpuPath::current().to_string(),
        CpuPath::available()[0].to_string(),
    );
    let check = Check::ok(
        "kernels",
        format!(
            "{path} in use; {}; {}",
            instruction_sets(&machine::instructions()),
            bf16_products()
        ),
    );
    if path != best {
        check.with(
            State::Note,
            format!("{CPU_VARIABLE} forces {path}; unset it to use {best}"),
        )
    } else if path == "portable" {
        check.with(
            State::Note,
            "neither AVX2 nor AVX-512 was found; training works, and is slow",
        )
    } else {
        check
    }
}

/// Bytes of memory that training takes for each parameter, without activations:
/// the parameter, its gradient and two moments, in f32.
const BYTES_PER_PARAMETER: f64 = 16.0;

/// Share of the memory that is left for activations and everything else.
const FOR_THE_REST: f64 = 0.25;

fn memory(machine: &Machine) -> Check {
    let available = machine.memory_available;
    let check = Check::ok(
        "memory",
        format!("{}, {} available", bytes(machine.memory), bytes(available)),
    );
    let parameters = (1.0 - FOR_THE_REST) * available as f64 / BYTES_PER_PARAMETER;
    let advice = format!(
        "enough to train models of up to about {} parameters: 16 bytes each, and a quarter kept for activations; \
         recompute = true in [model] needs less of those, a moving average or a lagged copy as q 4 bytes a parameter more",
        people(parameters)
    );
    check.with(State::Note, advice)
}

/// A count of parameters as people say it.
fn people(parameters: f64) -> String {
    match parameters {
        ..1e9 => format!("{:.0} million", parameters / 1e6),
        ..1e10 => format!("{:.1} billion", parameters / 1e9),
        _ => format!("{:.0} billion", parameters / 1e9),
    }
}

/// Less free space than this is worth a word.
const LITTLE_SPACE: u64 = 10 << 30;

fn disk(path: &Path) -> Check {
    let Some(free) = machine::free_space(path) else {
        return Check::ok("disk", "unknown").with(
            State::Note,
            "the free space of this folder cannot be asked for",
        );
    };
    let check = Check::ok("disk", format!("{} free in this folder", bytes(free)));
    if free < LITTLE_SPACE {
        check.with(State::Note, "a checkpoint takes about 12 bytes a parameter, and a run keeps up to four; train.keep_last = 1 keeps fewer")
    } else {
        check
    }
}

fn gpu() -> Check {
    match machine::nvidia_driver() {
        None => Check::ok("GPU", "no NVIDIA driver; none is needed"),
        Some(driver) => Check::ok("GPU", driver).with(
            State::Note,
            "iwsft computes on the CPU and does not use it yet",
        ),
    }
}

fn mujoco() -> Check {
    match mujoco_library() {
        Some(path) => Check::ok("MuJoCo", path.display().to_string()),
        None => Check::ok(
            "MuJoCo",
            "not found in the usual places; only control environments need it",
        ),
    }
}

/// `libmujoco` in the linker's usual folders, beside them, or where
/// `MUJOCO_PATH` points.
fn mujoco_library() -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for variable in ["MUJOCO_PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"] {
        let value = std::env::var_os(variable).unwrap_or_default();
        for folder in std::env::split_paths(&value).filter(|path| !path.as_os_str().is_empty()) {
            folders.push(folder.join("lib"));
            folders.push(folder);
        }
    }
    folders.extend(
        [
            "/usr/local/lib",
            "/usr/lib",
            "/usr/lib64",
            "/opt/mujoco/lib",
        ]
        .map(PathBuf::from),
    );
    folders.push(format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH).into());
    if let Some(home) = std::env::home_dir() {
        // ~/.mujoco/mujoco-3.2.6/lib
        let versions = std::fs::read_dir(home.join(".mujoco"))
            .into_iter()
            .flatten()
            .flatten();
        folders.extend(versions.map(|entry| entry.path().join("lib")));
    }
    let files = folders.into_iter().flat_map(|folder| {
        std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
    });
    files.into_iter().find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libmujoco.") && (name.contains(".so") || name.ends_with(".dylib"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_self_check_passes_here() {
        for check in self_check::all() {
            assert_eq!(check.state, State::Ok, "{check:?}");
        }
    }

    #[test]
    fn idle_cores_and_too_many_threads_are_told() {
        let mut machine = Machine::here();
        let threads_now = rayon::current_num_threads();
        for (cores, state) in [
            (threads_now, State::Ok),
            (threads_now + 3, State::Note),
            (threads_now - 1, State::Note),
        ] {
            machine.cores = cores;
            assert_eq!(threads(&machine).state, state, "{cores}");
        }
    }

    #[test]
    fn the_memory_says_how_large_a_model_may_be() {
        let mut machine = Machine::here();
        machine.memory_available = 64_000_000_000;
        let advice = memory(&machine).advice.unwrap();
        assert!(advice.contains("3.0 billion parameters"), "{advice}");
        assert_eq!(people(5e8), "500 million");
        assert_eq!(people(7e10), "70 billion");
    }
}
