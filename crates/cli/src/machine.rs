//! What the machine has that the program runs on.

use std::env::consts::{ARCH, OS};
use std::path::Path;

use serde::Serialize;
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

/// A machine, as far as it can be asked.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    pub(crate) system: String,
    pub(crate) processor: String,
    /// Cores that this process may use.
    pub(crate) cores: usize,
    /// Bytes.
    pub(crate) memory: u64,
    /// Bytes that a program can still get.
    pub(crate) memory_available: u64,
}

impl Machine {
    pub(crate) fn here() -> Self {
        let what = RefreshKind::nothing()
            .with_memory(MemoryRefreshKind::nothing().with_ram())
            .with_cpu(CpuRefreshKind::nothing());
        let system = System::new_with_specifics(what).ok();
        let of = |ask: fn(&System) -> u64| system.as_ref().map_or(0, ask);
        // A container may have less than the machine around it.
        let limits = system.as_ref().and_then(System::cgroup_limits);
        let limit = |of_machine: u64, of_container: Option<u64>| {
            of_container.map_or(of_machine, |limit| limit.min(of_machine))
        };
        Self {
            system: os(),
            processor: system
                .as_ref()
                .and_then(processor)
                .unwrap_or_else(|| ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory: limit(
                of(System::total_memory),
                limits.as_ref().map(|limits| limits.total_memory),
            ),
            memory_available: limit(
                of(System::available_memory),
                limits.as_ref().map(|limits| limits.free_memory),
            ),
        }
    }
}

fn os() -> String {
    System::long_os_version().unwrap_or_else(|_| OS.to_owned())
}

fn processor(system: &System) -> Option<String> {
    let brand = system.cpus().first()?.brand().trim();
    (!brand.is_empty()).then(|| brand.to_owned())
}

/// A tile or vector instruction set that matters here, and whether the
/// processor has it.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Instructions {
    pub(crate) name: &'static str,
    pub(crate) found: bool,
}

/// Instruction sets of this processor; none to tell of where it is no x86-64.
#[cfg(target_arch = "x86_64")]
pub(crate) fn instructions() -> Vec<Instructions> {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    // Intel's manual, volume 2, CPUID leaf 7: EDX bits 22 and 24 are AMX-BF16
    // and AMX-TILE. The standard library's detection of them is not stable yet.
    let leaf_7 = (__cpuid(0).eax >= 7).then(|| __cpuid_count(7, 0).edx);
    let amx = leaf_7.is_some_and(|edx| edx & (1 << 22) != 0 && edx & (1 << 24) != 0);
    let found = |name, found| Instructions { name, found };
    vec![
        found(
            "AVX2",
            is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
        ),
        found("AVX-512", is_x86_feature_detected!("avx512f")),
        found("AVX-512 BF16", is_x86_feature_detected!("avx512bf16")),
        found("AMX BF16", amx),
    ]
}

/// Instruction sets of this processor; none to tell of where it is no x86-64.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn instructions() -> Vec<Instructions> {
    Vec::new()
}

/// The NVIDIA driver, where one is loaded.
pub(crate) fn nvidia_driver() -> Option<String> {
    let text = std::fs::read_to_string("/proc/driver/nvidia/version").ok()?;
    let first = text.lines().next()?.trim();
    let about = first.strip_prefix("NVRM version:").unwrap_or(first).trim();
    Some(about.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Bytes free where `path` lies.
pub(crate) fn free_space(path: &Path) -> Option<u64> {
    fs4::available_space(path).ok()
}

/// Bytes as people write them.
pub(crate) fn bytes(bytes: u64) -> String {
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    if mebibytes < 1024.0 {
        format!("{mebibytes:.0} MiB")
    } else {
        format!("{:.1} GiB", mebibytes / 1024.0)
    }
}
