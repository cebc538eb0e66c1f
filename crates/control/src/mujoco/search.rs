//! Where MuJoCo's library may be.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Library, MujocoError};

/// The environment variable that names the library.
const VARIABLE: &str = "LIBMUJOCO";

/// Finds the library and loads it. In this order: `LIBMUJOCO` (then nothing
/// else), an active virtual or Conda environment, the Python on the path, and
/// where the system's loader looks. A library that cannot be loaded ends the
/// search: going on would hide what is wrong with it.
pub(super) fn find() -> Result<Library, MujocoError> {
    let mut places = Places::new(|name| std::env::var_os(name), ask_python);
    if let Some(path) = places.files.first() {
        return Library::open(path);
    }
    if !places.is_named {
        let name = libloading::library_filename("mujoco");
        if let Some(file) = in_working_folder(&name) {
            places.searched.push(format!(
                "{} (in the working folder, of which nothing is opened unless {VARIABLE} names it)",
                file.display()
            ));
        } else {
            match Library::open(Path::new(&name)) {
                // As a rule because there is none.
                Err(MujocoError::Load { .. }) => {}
                found => return found,
            }
        }
    }
    Err(MujocoError::NotFound {
        searched: places.searched.join(", "),
    })
}

/// The files that were found, best first, and where they were looked for.
#[derive(Debug, Default, PartialEq)]
struct Places {
    files: Vec<PathBuf>,
    searched: Vec<String>,
    /// Whether `LIBMUJOCO` says where to look.
    is_named: bool,
}

impl Places {
    fn new(
        variable: impl Fn(&str) -> Option<OsString>,
        ask_python: impl FnOnce() -> Vec<PathBuf>,
    ) -> Self {
        let mut places = Self::default();
        let set = |name| variable(name).filter(|value| !value.is_empty());
        if let Some(named) = set(VARIABLE).map(PathBuf::from) {
            places.is_named = true;
            places
                .searched
                .push(format!("{VARIABLE}={}", named.display()));
            if named.is_dir() {
                places.files.extend(libraries(&named));
            } else if named.exists() {
                places.files.push(named);
            }
            return places;
        }
        for name in ["VIRTUAL_ENV", "CONDA_PREFIX"] {
            match set(name).map(PathBuf::from) {
                Some(prefix) => {
                    places.searched.push(format!("{name}={}", prefix.display()));
                    for folder in site_packages(&prefix) {
                        places.files.extend(libraries(&folder.join("mujoco")));
                    }
                    places.files.extend(libraries(&prefix.join("lib")));
                }
                None => places.searched.push(format!("{name} (not set)")),
            }
        }
        if places.files.is_empty() {
            let folders = ask_python();
            for folder in &folders {
                places.searched.push(folder.display().to_string());
                places.files.extend(libraries(&folder.join("mujoco")));
            }
            if folders.is_empty() {
                places.searched.push("python3 (not found)".to_owned());
            }
        }
        places.searched.push("the system's libraries".to_owned());
        places
    }
}

/// Where an environment's Python keeps packages.
fn site_packages(prefix: &Path) -> Vec<PathBuf> {
    let mut folders = vec![prefix.join("Lib").join("site-packages")];
    for entry in sorted(&prefix.join("lib")) {
        folders.push(entry.join("site-packages"));
    }
    folders
}

/// Libraries of MuJoCo's in a folder, highest name first.
fn libraries(folder: &Path) -> Vec<PathBuf> {
    let is_library = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libmujoco.so")
            || (name.starts_with("libmujoco.") && name.ends_with(".dylib"))
            || name == "mujoco.dll"
    };
    sorted(folder)
        .into_iter()
        .rev()
        .filter(is_library)
        .collect()
}

/// What is in a folder, by name; nothing where it cannot be read.
fn sorted(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Where the Python on the path keeps packages, the user's own included. It is
/// asked, because it may be a wrapper (as pyenv's) that stands somewhere else.
/// Asked in isolation (`-I`), it runs nothing of the working folder, and neither
/// does a path that leads there.
fn ask_python() -> Vec<PathBuf> {
    const QUESTION: &str = "import site, sysconfig\n\
        print(sysconfig.get_path('platlib'))\n\
        print(site.getusersitepackages())";
    let path = std::env::var_os("PATH").unwrap_or_default();
    for python in ["python3", "python"] {
        let Some(python) = on_path(&path, python) else {
            continue;
        };
        let answer = Command::new(python).args(["-I", "-c", QUESTION]).output();
        if let Ok(answer) = answer
            && answer.status.success()
        {
            let text = String::from_utf8_lossy(&answer.stdout);
            let folders = text.lines().map(PathBuf::from);
            return folders.filter(|folder| folder.is_absolute()).collect();
        }
    }
    Vec::new()
}

/// The first program `name` in the absolute folders of a search path. An empty or
/// relative one means the working folder, of which nothing is run.
fn on_path(path: &OsStr, name: &str) -> Option<PathBuf> {
    std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
        .find(|program| program.is_file())
}

/// The file that the system's loader would take from the working folder for
/// `name`: where `LD_LIBRARY_PATH` has an empty or relative entry, as it easily
/// comes by a colon at its end.
pub(super) fn in_working_folder(name: &OsStr) -> Option<PathBuf> {
    let path = ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"]
        .into_iter()
        .filter_map(std::env::var_os)
        .filter(|path| !path.is_empty());
    let entries: Vec<PathBuf> = path
        .flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>())
        .collect();
    found_relative(&entries, name)
}

fn found_relative(entries: &[PathBuf], name: &OsStr) -> Option<PathBuf> {
    entries
        .iter()
        .filter(|entry| !entry.is_absolute())
        .map(|entry| Path::new(".").join(entry).join(name))
        .find(|file| file.exists())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// An environment with `libmujoco` of each version.
    fn environment(python: &str, versions: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let package = folder
            .path()
            .join(format!("lib/{python}/site-packages/mujoco"));
        fs::create_dir_all(&package).unwrap();
        fs::write(package.join("mujoco.py"), "").unwrap();
        for version in versions {
            fs::write(package.join(format!("libmujoco.so.{version}")), "").unwrap();
        }
        folder
    }

    fn names(places: &Places) -> Vec<String> {
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        places.files.iter().map(name).collect()
    }

    #[test]
    fn the_named_library_is_taken_before_all_others_and_instead_of_them() {
        let active = environment("python3.11", &["4.0.0"]);
        let named = environment("python3.9", &["3.3.7"]);
        let file = named
            .path()
            .join("lib/python3.9/site-packages/mujoco/libmujoco.so.3.3.7");
        for value in [file.as_path(), file.parent().unwrap()] {
            let places = Places::new(
                |name| match name {
                    VARIABLE => Some(value.into()),
                    _ => Some(active.path().into()),
                },
                || panic!("Python need not be asked"),
            );
            assert_eq!(names(&places), ["libmujoco.so.3.3.7"]);
        }
        let places = Places::new(|_| Some("/nowhere".into()), Vec::new);
        assert!(places.is_named && places.files.is_empty());
        assert_eq!(places.searched, ["LIBMUJOCO=/nowhere"]);
    }

    #[test]
    fn an_active_environment_is_searched_before_the_python_on_the_path() {
        let active = environment("python3.11", &["3.3.7", "4.0.0"]);
        let other = environment("python3.12", &["3.17.0"]);
        let site = other.path().join("lib/python3.12/site-packages");
        let places = Places::new(
            |name| (name == "VIRTUAL_ENV").then(|| active.path().into()),
            || panic!("Python need not be asked"),
        );
        assert_eq!(names(&places), ["libmujoco.so.4.0.0", "libmujoco.so.3.3.7"]);
        let places = Places::new(|_| None, || vec![site.clone()]);
        assert_eq!(names(&places), ["libmujoco.so.3.17.0"]);
        assert!(places.searched.contains(&site.display().to_string()));
    }

    #[test]
    fn every_place_that_was_searched_is_told() {
        let places = Places::new(|_| None, Vec::new);
        let text = MujocoError::NotFound {
            searched: places.searched.join(", "),
        }
        .to_string();
        for part in [
            "VIRTUAL_ENV",
            "CONDA_PREFIX",
            "python3",
            "system",
            "pip install mujoco==",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_search_path_that_leads_to_the_working_folder_runs_nothing_there() {
        let folder = tempfile::tempdir().unwrap();
        let name = format!("python3{}", std::env::consts::EXE_SUFFIX);
        fs::write(folder.path().join(&name), "").unwrap();
        let path = std::env::join_paths([Path::new(""), Path::new("."), folder.path()]).unwrap();
        let found = on_path(&path, "python3").unwrap();
        assert_eq!(found, folder.path().join(name));
        assert_eq!(on_path(OsStr::new(":.:bin"), "python3"), None);
    }

    #[test]
    fn a_relative_entry_of_the_loaders_path_is_found_out() {
        // Tests run in the folder of the crate.
        let entries = [PathBuf::from("/usr/lib"), PathBuf::from("")];
        let found = found_relative(&entries, OsStr::new("Cargo.toml"));
        assert!(found.is_some_and(|file| file.ends_with("Cargo.toml")));
        assert_eq!(
            found_relative(&entries[..1], OsStr::new("Cargo.toml")),
            None
        );
    }
}
