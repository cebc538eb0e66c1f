//! Where MuJoCo's library may be.

use std::ffi::OsString;
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
    let places = Places::new(|name| std::env::var_os(name), ask_python);
    if let Some(path) = places.files.first() {
        return Library::open(path);
    }
    if !places.is_named {
        let name = libloading::library_filename("mujoco");
        match Library::open(Path::new(&name)) {
            // As a rule because there is none.
            Err(MujocoError::Load { .. }) => {}
            found => return found,
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
fn ask_python() -> Vec<PathBuf> {
    const QUESTION: &str = "import site, sysconfig\n\
        print(sysconfig.get_path('platlib'))\n\
        print(site.getusersitepackages())";
    for python in ["python3", "python"] {
        let answer = Command::new(python).args(["-c", QUESTION]).output();
        if let Ok(answer) = answer
            && answer.status.success()
        {
            let text = String::from_utf8_lossy(&answer.stdout);
            return text.lines().map(PathBuf::from).collect();
        }
    }
    Vec::new()
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
}
