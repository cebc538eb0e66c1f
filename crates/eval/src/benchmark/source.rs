//! Where a benchmark's data is found.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Benchmark, BenchmarkError};

/// Where the problems of a benchmark are: a file, or files of a data set of the
/// Hugging Face hub.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// A file, relative to the benchmark's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// A data set's name on the hub, `owner/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    /// Its configuration: the folder of its files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// Its split: what its files' names begin with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
    /// Its files, where configuration and split do not tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

/// The folder in which the hub's tools keep what they download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubCache(PathBuf);

impl HubCache {
    /// The folder as `HF_HUB_CACHE`, `HF_HOME`, `XDG_CACHE_HOME` or `HOME` have
    /// it, in this order.
    pub fn from_environment(variable: impl Fn(&str) -> Option<OsString>) -> Option<Self> {
        let path = |name| {
            variable(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        path("HF_HUB_CACHE")
            .or_else(|| Some(path("HF_HOME")?.join("hub")))
            .or_else(|| Some(path("XDG_CACHE_HOME")?.join("huggingface/hub")))
            .or_else(|| Some(path("HOME")?.join(".cache/huggingface/hub")))
            .map(Self)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The data set's snapshots: the one that `main` stands for first.
    fn snapshots(&self, dataset: &str) -> Vec<PathBuf> {
        let folder = self
            .0
            .join(format!("datasets--{}", dataset.replace('/', "--")));
        let main = fs::read_to_string(folder.join("refs/main")).unwrap_or_default();
        let mut snapshots: Vec<PathBuf> = entries(&folder.join("snapshots"));
        snapshots.sort_by_key(|path| (!path.ends_with(main.trim()), path.clone()));
        snapshots
    }
}

impl Benchmark {
    /// The files with the problems: `data.path`, or those of the data set in the
    /// hub's cache.
    ///
    /// # Errors
    /// [`BenchmarkError::NoData`] with what to download, and how.
    pub fn locate(&self, cache: Option<&HubCache>) -> Result<Vec<PathBuf>, BenchmarkError> {
        if let Some(path) = &self.data.path {
            return Ok(vec![path.clone()]);
        }
        let found = match (&self.data.dataset, cache) {
            (Some(dataset), Some(cache)) => cache
                .snapshots(dataset)
                .iter()
                .find_map(|snapshot| self.data.files_in(snapshot)),
            _ => None,
        };
        found.ok_or_else(|| BenchmarkError::NoData {
            benchmark: self.name.clone(),
            reason: self.data.remedy(cache),
        })
    }
}

impl Source {
    /// Where the data is looked for, in words.
    pub fn describe(&self) -> String {
        match (&self.path, &self.dataset) {
            (Some(path), _) => path.display().to_string(),
            (None, None) => "your own file (--data)".to_owned(),
            (None, Some(dataset)) => {
                let parts = [Some(dataset), self.config.as_ref(), self.split.as_ref()];
                let parts = parts.into_iter().flatten().chain(&self.files);
                parts.map(String::as_str).collect::<Vec<_>>().join(" ")
            }
        }
    }

    fn files_in(&self, snapshot: &Path) -> Option<Vec<PathBuf>> {
        if !self.files.is_empty() {
            let files: Vec<_> = self.files.iter().map(|file| snapshot.join(file)).collect();
            return files.iter().all(|file| file.is_file()).then_some(files);
        }
        // `test.jsonl`, `data/test-00000-of-00001.parquet`, `main/test-...`.
        let folders = match &self.config {
            Some(config) => vec![snapshot.join(config)],
            None => vec![snapshot.to_owned(), snapshot.join("data")],
        };
        let split = self.split.as_deref().unwrap_or("test");
        let is_data = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let rest = name.strip_prefix(split);
            let ends = |end| name.ends_with(end);
            let known = [".jsonl", ".jsonl.gz", ".json", ".parquet", ".csv"];
            rest.is_some_and(|rest| rest.starts_with(['.', '-'])) && known.into_iter().any(ends)
        };
        folders.iter().find_map(|folder| {
            let mut files: Vec<_> = entries(folder).into_iter().filter(is_data).collect();
            files.sort();
            (!files.is_empty()).then_some(files)
        })
    }

    fn remedy(&self, cache: Option<&HubCache>) -> String {
        let Some(dataset) = &self.dataset else {
            return "name the file with --data FILE, or as `data.path` in the benchmark".to_owned();
        };
        let place = cache.map_or("no cache of the hub is known".to_owned(), |cache| {
            format!("{dataset} is not in {}", cache.path().display())
        });
        format!(
            "{place}; download it with `hf download --repo-type dataset {dataset}` \
             (https://huggingface.co/datasets/{dataset}), \
             or give your own copy with --data FILE (.jsonl, .json, .parquet or .csv)"
        )
    }
}

/// What is in a folder; nothing where there is none.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.flatten().map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, file: &str) -> PathBuf {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "x").unwrap();
        path
    }

    #[test]
    fn the_cache_is_where_the_hubs_own_tools_have_it() {
        let of = |set: &[(&str, &str)]| {
            let value = |name: &str| set.iter().find(|(known, _)| *known == name);
            HubCache::from_environment(|name| value(name).map(|(_, value)| value.into()))
        };
        let home = ("HOME", "/home/me");
        let is = |path: &str| Some(HubCache(path.into()));
        assert_eq!(of(&[home]), is("/home/me/.cache/huggingface/hub"));
        assert_eq!(of(&[home, ("HF_HOME", "/hf")]), is("/hf/hub"));
        assert_eq!(of(&[("HF_HUB_CACHE", "/c"), ("HF_HOME", "/hf")]), is("/c"));
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn files_are_found_by_configuration_and_split_in_the_snapshot_of_main() {
        let root = tempfile::tempdir().unwrap();
        let cache = HubCache(root.path().to_owned());
        let gsm8k = Benchmark::embedded("gsm8k").unwrap();
        let folder = root.path().join("datasets--openai--gsm8k");
        put(&folder, "snapshots/aaa/main/test-00000-of-00001.parquet");
        put(&folder, "snapshots/bbb/main/train-00000-of-00001.parquet");
        put(
            &folder,
            "snapshots/bbb/socratic/test-00000-of-00001.parquet",
        );
        put(&folder, "snapshots/bbb/README.md");
        let test = put(&folder, "snapshots/bbb/main/test-00000-of-00001.parquet");
        put(&folder, "refs/main");
        fs::write(folder.join("refs/main"), "bbb\n").unwrap();
        assert_eq!(gsm8k.locate(Some(&cache)).unwrap(), [test]);

        let math = put(
            root.path(),
            "datasets--HuggingFaceH4--MATH-500/snapshots/c/test.jsonl",
        );
        let math500 = Benchmark::embedded("math500").unwrap();
        assert_eq!(math500.locate(Some(&cache)).unwrap(), [math]);
        let aime =
            "datasets--HuggingFaceH4--aime_2024/snapshots/d/data/train-00000-of-00001.parquet";
        let aime = put(root.path(), aime);
        let aime24 = Benchmark::embedded("aime24").unwrap();
        assert_eq!(aime24.locate(Some(&cache)).unwrap(), [aime]);
        let gpqa = put(
            root.path(),
            "datasets--Idavidrein--gpqa/snapshots/e/gpqa_diamond.csv",
        );
        let diamond = Benchmark::embedded("gpqa-diamond").unwrap();
        assert_eq!(diamond.locate(Some(&cache)).unwrap(), [gpqa]);
    }

    #[test]
    fn data_that_is_missing_is_asked_for_by_name() {
        let root = tempfile::tempdir().unwrap();
        let cache = HubCache(root.path().to_owned());
        let gsm8k = Benchmark::embedded("gsm8k").unwrap();
        let message = gsm8k.locate(Some(&cache)).unwrap_err().to_string();
        assert!(
            message.contains("hf download --repo-type dataset openai/gsm8k"),
            "{message}"
        );
        assert!(message.contains(&root.path().display().to_string()));
        assert!(gsm8k.locate(None).is_err());
    }
}
