//! What a path is that should be a model's folder and is none, and what to name
//! instead.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use iwsft_eval::benchmark::HubCache;

use crate::mistake::Mistake;

/// Why `path` is no model's folder; `None` where it has a `config.json`.
pub(crate) fn refusal(path: &Path) -> Option<Mistake> {
    if is_model(path) {
        return None;
    }
    let why = if path.is_dir() {
        folder(path)
    } else if path.exists() {
        file(path)
    } else {
        missing(path)
    };
    Some(Mistake::new(format!("{}: {why}", path.display())))
}

/// Why the model's folder `path` has no weights to read; `None` where it has them.
pub(crate) fn without_weights(path: &Path) -> Option<Mistake> {
    let there = ["model.safetensors", "model.safetensors.index.json"];
    if there.iter().any(|name| path.join(name).is_file()) {
        return None;
    }
    let other = other_format(path)?;
    Some(Mistake::new(format!("{}: {other}", path.display())))
}

fn is_model(path: &Path) -> bool {
    path.join("config.json").is_file()
}

const EXPECTED: &str = "expected config.json, tokenizer.json and model.safetensors in it";

fn missing(path: &Path) -> String {
    if let Some(name) = hub_name(path) {
        let (_, short) = name.split_once('/').unwrap_or(("", &name));
        return match cached(&name) {
            Some(snapshot) => format!(
                "no such model folder; the model {name} is in the hub's cache, as {}: name that folder",
                snapshot.display()
            ),
            None => format!(
                "no such model folder; if this is a model of the Hugging Face hub, download it first: \
                 `hf download {name} --local-dir models/{short}`, and name that folder"
            ),
        };
    }
    if let Some(run) = path
        .parent()
        .filter(|run| run.join("recipe.toml").is_file())
        && let Some(checkpoint) = newest(&run.join("checkpoints"), "step-")
    {
        return format!(
            "no such model folder: the run has not written its model yet; its newest checkpoint is {}",
            checkpoint.display()
        );
    }
    format!("no such model folder; {EXPECTED}")
}

fn file(path: &Path) -> String {
    match path.extension().and_then(OsStr::to_str) {
        Some("gguf") => format!("no such model folder: {}", gguf("this file")),
        Some("toml") => "no such model folder: this is a recipe".to_owned(),
        _ => format!("no such model folder: this is a file; name the folder, with {EXPECTED}"),
    }
}

fn folder(path: &Path) -> String {
    let model = path.join("model");
    let checkpoints = path.join("checkpoints");
    let of_round = newest(path, "round-").map(|round| round.join("run/model"));
    if path.join("recipe.toml").is_file() {
        if is_model(&model) {
            return format!("is a run's folder; its model is in {}", model.display());
        }
        if let Some(model) = of_round.filter(|model| is_model(model)) {
            return format!(
                "is a folder of rounds; the newest round's model is in {}",
                model.display()
            );
        }
        return match newest(&checkpoints, "step-") {
            Some(step) => format!(
                "is a run's folder, and the run has not written its model yet; its newest checkpoint is {}",
                step.display()
            ),
            None => "is a run's folder without a language model".to_owned(),
        };
    }
    if let Some(step) = newest(path, "step-").filter(|step| is_model(step)) {
        return format!(
            "is a folder of checkpoints; name one, such as {}",
            step.display()
        );
    }
    let snapshots = entries(&path.join("snapshots"));
    if let Some(snapshot) = snapshots.iter().find(|snapshot| is_model(snapshot)) {
        return format!(
            "is a folder of the hub's cache; the model is in {}",
            snapshot.display()
        );
    }
    if let Some(other) = other_format(path) {
        return other;
    }
    let below: Vec<PathBuf> = entries(path)
        .into_iter()
        .filter(|each| is_model(each))
        .collect();
    match &below[..] {
        [model] => format!("has no config.json; the model is in {}", model.display()),
        _ => format!("has no config.json; {EXPECTED}"),
    }
}

/// The newest of the numbered folders of `folder` whose names begin with `prefix`.
fn newest(folder: &Path, prefix: &str) -> Option<PathBuf> {
    let number = |path: &PathBuf| -> Option<u64> {
        let name = path.file_name()?.to_str()?;
        name.strip_prefix(prefix)?.parse().ok()
    };
    let numbered = entries(folder).into_iter();
    let numbered = numbered.filter_map(|path| Some((number(&path)?, path)));
    numbered
        .max_by_key(|(number, _)| *number)
        .map(|(_, path)| path)
}

/// What lies in a folder, by name; nothing where it cannot be read.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    entries.sort();
    entries
}

/// Weights of a folder that are in no format that is read.
fn other_format(path: &Path) -> Option<String> {
    let names: Vec<String> = entries(path)
        .iter()
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .collect();
    let with = |endings: &[&str]| {
        let ends = |name: &&String| endings.iter().any(|ending| name.ends_with(ending));
        names.iter().find(ends)
    };
    if names.iter().any(|name| name.starts_with("adapter_")) {
        return Some(
            "holds a LoRA adapter, not a model; merge it into its base model first (peft's \
             `merge_and_unload`, then `save_pretrained`)"
                .to_owned(),
        );
    }
    if let Some(name) = with(&[".gguf"]) {
        return Some(gguf(&format!("`{name}`")));
    }
    let name = with(&[
        ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx", ".npz",
    ])?;
    Some(format!(
        "its weights are in `{name}`, and only safetensors are read; load them with transformers and \
         write them with `save_pretrained`, or download the model's safetensors"
    ))
}

fn gguf(what: &str) -> String {
    format!(
        "{what} is of the GGUF format, and only safetensors are read; download the model that it was \
         made from"
    )
}

/// The name on the hub that a path which is not there seems to be: `Qwen/Qwen2.5-0.5B`,
/// perhaps behind the folder of a recipe, or the model's address.
fn hub_name(path: &Path) -> Option<String> {
    const FOLDERS: [&str; 9] = [
        "models",
        "model",
        "runs",
        "run",
        "checkpoints",
        "data",
        "output",
        "outputs",
        "results",
    ];
    let text = path.to_str()?;
    let address = ["huggingface.co/", "hf.co/"]
        .iter()
        .find_map(|site| Some(text.split_once(site)?.1));
    let (owner, name) = match address {
        Some(rest) => {
            let mut parts = rest.split('/');
            (parts.next()?, parts.next()?)
        }
        None => {
            let parent = path.parent()?;
            let above = parent.parent()?;
            // Where the owner's folder is there, the path is one with a slip in it.
            let stands_here = above.as_os_str().is_empty() || above.is_dir();
            if parent.is_dir() || !stands_here {
                return None;
            }
            (parent.file_name()?.to_str()?, path.file_name()?.to_str()?)
        }
    };
    let is_name = |part: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !part.is_empty() && !part.starts_with('.') && part.chars().all(fits)
    };
    let fits = is_name(owner) && is_name(name) && !FOLDERS.contains(&owner);
    fits.then(|| format!("{owner}/{name}"))
}

/// A model's files in the hub's cache.
fn cached(name: &str) -> Option<PathBuf> {
    let cache = HubCache::from_environment(|variable| std::env::var_os(variable))?;
    let folder = cache
        .path()
        .join(format!("models--{}", name.replace('/', "--")));
    let snapshots = entries(&folder.join("snapshots"));
    snapshots.into_iter().find(|snapshot| is_model(snapshot))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_the_hub_is_told_from_a_path() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("there")).unwrap();
        let name = |path: &str| hub_name(Path::new(path));
        let qwen = Some("Qwen/Qwen2.5-0.5B".to_owned());
        assert_eq!(name("Qwen/Qwen2.5-0.5B"), qwen);
        assert_eq!(hub_name(&folder.path().join("Qwen/Qwen2.5-0.5B")), qwen);
        for site in [
            "https://huggingface.co",
            "https://hf.co",
            "/home/me/https://huggingface.co",
        ] {
            assert_eq!(name(&format!("{site}/Qwen/Qwen2.5-0.5B/tree/main")), qwen);
        }
        for path in [
            "qwen",
            "./qwen",
            "models/qwen",
            "runs/a",
            "../Qwen/x y",
            "/nowhere/at/all/x",
        ] {
            assert_eq!(name(path), None, "{path}");
        }
        assert_eq!(hub_name(&folder.path().join("there/modle")), None);
    }

    #[test]
    fn a_folder_that_is_no_model_says_what_to_name() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let write = |name: &str| {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        };
        for name in [
            "done/recipe.toml",
            "done/model/config.json",
            "begun/recipe.toml",
            "begun/checkpoints/step-9/config.json",
            "begun/checkpoints/step-10/config.json",
            "rounds/recipe.toml",
            "rounds/round-002/run/model/config.json",
            "control/recipe.toml",
            "cache/snapshots/abc/config.json",
            "above/it/config.json",
            "adapter/adapter_config.json",
            "old/pytorch_model.bin",
            "llama/model-q4.gguf",
            "empty/notes.txt",
            "whole/config.json",
            "whole/model.safetensors",
        ] {
            write(name);
        }
        for (name, said) in [
            ("done", "is a run's folder; its model is in ROOT/done/model"),
            (
                "begun",
                "newest checkpoint is ROOT/begun/checkpoints/step-10",
            ),
            (
                "begun/model",
                "newest checkpoint is ROOT/begun/checkpoints/step-10",
            ),
            (
                "begun/checkpoints",
                "name one, such as ROOT/begun/checkpoints/step-10",
            ),
            (
                "rounds",
                "the newest round's model is in ROOT/rounds/round-002/run/model",
            ),
            ("control", "a run's folder without a language model"),
            ("cache", "the model is in ROOT/cache/snapshots/abc"),
            ("above", "the model is in ROOT/above/it"),
            ("adapter", "LoRA adapter"),
            ("old", "`pytorch_model.bin`, and only safetensors are read"),
            ("llama", "`model-q4.gguf` is of the GGUF format"),
            ("llama/model-q4.gguf", "GGUF"),
            (
                "empty",
                "has no config.json; expected config.json, tokenizer.json",
            ),
            ("nowhere", "no such model folder; expected"),
        ] {
            let message = refusal(&root.join(name)).unwrap().to_string();
            let said = said.replace("ROOT", &root.display().to_string());
            assert!(message.contains(&said), "{name}: {message}");
        }
        assert!(refusal(&root.join("whole")).is_none());
        assert!(refusal(&root.join("begun/checkpoints/step-9")).is_none());
        assert!(without_weights(&root.join("whole")).is_none());
        assert!(without_weights(&root.join("old")).is_some());
    }
}
