//! A recipe: everything that decides a training run, in one TOML file.
//!
//! Paths in a recipe are relative to the recipe's own folder, so that it means
//! the same wherever it is run from. `--set key=value` changes single values;
//! the recipe as resolved goes into the run folder.

use std::path::{Path, PathBuf};

use iwsft_data::{Columns, EmptyMask, Rules, Source, Template, TooLong, Unlearnable};
use iwsft_lm::weights::WeightType;
use iwsft_objective::ObjectiveSpec;
use iwsft_train::TrainConfig;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::eval::EvalSection;
use crate::mistake::Mistake;
use crate::prompting::{Chat, Prompting, PromptingArgs};
use crate::suggestion::nearest_key;

/// A recipe as written, with its paths made absolute.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recipe {
    /// The folder of the run; `runs/NAME` beside the recipe where it has none.
    pub(crate) run: Option<PathBuf>,
    pub(crate) model: ModelSection,
    pub(crate) data: DataSection,
    pub(crate) objective: ObjectiveSpec,
    /// Present: log-probabilities of the reference are computed even where the
    /// objective can do without, so that J and the bounds are reported.
    pub(crate) reference: Option<ReferenceSection>,
    #[serde(default)]
    pub(crate) train: TrainConfig,
    /// Present: a benchmark is taken from time to time.
    pub(crate) eval: Option<EvalSection>,
}

/// `[model]`: the policy to start from.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelSection {
    /// A Hugging Face model folder.
    pub(crate) path: PathBuf,
    /// A chat template to use instead of the folder's own.
    pub(crate) chat_template: Option<PathBuf>,
    /// Further variables for the template, such as `enable_thinking = false`.
    #[serde(default)]
    pub(crate) chat_variables: serde_json::Map<String, serde_json::Value>,
    /// The day (`2026-07-26`) that a template which prints dates is told; the
    /// day on which the run starts where nothing is said.
    pub(crate) today: Option<String>,
    /// Keep only the inputs of blocks and compute them again: less memory,
    /// about a third more time.
    #[serde(default)]
    pub(crate) recompute: bool,
    /// How checkpoints store the weights.
    #[serde(default)]
    pub(crate) save_as: SaveAs,
}

impl ModelSection {
    /// Settles the day that templates are told: where the recipe gives none, that of
    /// the run which goes on, or else today.
    pub(crate) fn settle_today(&mut self, kept: impl FnOnce() -> Option<Self>) {
        if self.today.is_none() {
            // Kept with the run, so that resuming it tomorrow sees the same text.
            let day = kept().and_then(|section| section.today);
            self.today = Some(day.unwrap_or_else(iwsft_lm::today));
        }
    }
}

/// Element type of saved weights.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SaveAs {
    #[default]
    F32,
    Bf16,
    F16,
}

impl From<SaveAs> for WeightType {
    fn from(save_as: SaveAs) -> Self {
        match save_as {
            SaveAs::F32 => Self::F32,
            SaveAs::Bf16 => Self::Bf16,
            SaveAs::F16 => Self::F16,
        }
    }
}

/// `[data]`: curated rows, and what to do with difficult ones.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DataSection {
    pub(crate) train: Files,
    pub(crate) validation: Option<Files>,
    /// Column names for files that do not give their own.
    #[serde(default)]
    pub(crate) columns: Columns,
    /// Whether plain prompts are put into the model's chat template, as a user's
    /// messages: where it has one, if nothing is said.
    #[serde(default)]
    pub(crate) chat: Chat,
    /// The message of the system for conversations that have none.
    pub(crate) system: Option<String>,
    /// The prompt's text, with columns of the row in braces.
    pub(crate) template: Option<Template>,
    /// Keep rows with at least this reward.
    pub(crate) min_reward: Option<f32>,
    /// Longest row in tokens; the model's context where nothing is said.
    pub(crate) max_length: Option<usize>,
    #[serde(default)]
    pub(crate) too_long: TooLong,
    #[serde(default)]
    pub(crate) unlearnable: Unlearnable,
    #[serde(default)]
    pub(crate) empty_mask: EmptyMask,
    #[serde(default)]
    pub(crate) end_token: EndToken,
}

/// What happens at the end of a plain completion or text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum EndToken {
    /// The tokenizer's end token is appended.
    #[default]
    Append,
    /// Rows of any form must end in an end token.
    Require,
    /// Rows are taken as they are.
    AsIs,
}

/// One file, several files, or files with shares and columns.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(
    untagged,
    expecting = "expected a file, a list of files, or a list of tables such as { path = \"a.jsonl\", share = 0.5 }"
)]
pub(crate) enum Files {
    One(PathBuf),
    Several(Vec<PathBuf>),
    Sources(Vec<SourceSection>),
}

/// A file with what differs from `[data]` for it.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceSection {
    pub(crate) path: PathBuf,
    /// Its share of every epoch's trajectories.
    pub(crate) share: Option<f64>,
    #[serde(default)]
    pub(crate) columns: Columns,
    pub(crate) chat: Option<Chat>,
    pub(crate) system: Option<String>,
    pub(crate) template: Option<Template>,
}

impl From<&PathBuf> for SourceSection {
    fn from(path: &PathBuf) -> Self {
        Self {
            path: path.clone(),
            share: None,
            columns: Columns::default(),
            chat: None,
            system: None,
            template: None,
        }
    }
}

impl Files {
    fn paths_mut(&mut self) -> Vec<&mut PathBuf> {
        match self {
            Self::One(path) => vec![path],
            Self::Several(paths) => paths.iter_mut().collect(),
            Self::Sources(sources) => sources.iter_mut().map(|source| &mut source.path).collect(),
        }
    }

    /// Each file with what is said of it alone.
    fn sections(&self) -> Vec<SourceSection> {
        match self {
            Self::One(path) => vec![path.into()],
            Self::Several(paths) => paths.iter().map(SourceSection::from).collect(),
            Self::Sources(sources) => sources.clone(),
        }
    }
}

/// `[reference]`: the policy that produced the data.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReferenceSection {
    /// Another model folder; the starting model where nothing is said.
    pub(crate) model: Option<PathBuf>,
    /// Take the log-probabilities from the data's column `ref_log_probs`.
    #[serde(default)]
    pub(crate) column: bool,
    /// File of the cached log-probabilities; beside the run folder otherwise.
    pub(crate) cache: Option<PathBuf>,
}

impl Recipe {
    /// Reads `path` (a recipe, or a run folder with its `recipe.toml`) and
    /// applies `sets`, each `dotted.key=value`.
    pub(crate) fn read(path: &Path, sets: &[String]) -> anyhow::Result<Self> {
        let file = RecipeFile::open(path)?;
        let mut recipe: Self = file.parse(sets)?;
        recipe.run = Some(file.run_folder(recipe.run.as_deref()));
        for path in recipe.paths_mut() {
            *path = file.folder.join(&path);
        }
        if let Some(eval) = &mut recipe.eval {
            eval.resolve(&file.folder);
        }
        // Runs say what was decided. Those that do not are of a time when plain
        // prompts always stayed as they are.
        if file.is_run && recipe.data.chat == Chat::Auto {
            recipe.data.chat = Chat::No;
        }
        Ok(recipe)
    }

    /// The recipe as TOML.
    pub(crate) fn to_toml(&self) -> anyhow::Result<String> {
        Ok(toml::to_string(self)?)
    }

    /// The folder of the run.
    pub(crate) fn run_folder(&self) -> &Path {
        self.run.as_deref().unwrap_or(Path::new("runs/run"))
    }

    fn paths_mut(&mut self) -> Vec<&mut PathBuf> {
        let mut paths = vec![&mut self.model.path];
        paths.extend(&mut self.run);
        paths.extend(&mut self.model.chat_template);
        paths.extend(self.data.train.paths_mut());
        paths.extend(
            self.data
                .validation
                .as_mut()
                .map(Files::paths_mut)
                .unwrap_or_default(),
        );
        if let Some(reference) = &mut self.reference {
            paths.extend(&mut reference.model);
            paths.extend(&mut reference.cache);
        }
        paths
    }
}

/// A recipe's file, of any command.
pub(crate) struct RecipeFile {
    path: PathBuf,
    text: String,
    /// The folder that its paths are relative to.
    pub(crate) folder: PathBuf,
    /// Whether it is the `recipe.toml` of a run's folder.
    is_run: bool,
}

impl RecipeFile {
    /// Opens `path`, a recipe, or a run folder with its `recipe.toml`.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let is_run = path.is_dir();
        let path = match is_run {
            true => path.join("recipe.toml"),
            false => path.to_owned(),
        };
        let text = iwsft_files::read_text(&path).map_err(|error| {
            Mistake::new(format!(
                "{}: cannot read the recipe: {error}",
                path.display()
            ))
        })?;
        let absolute = std::path::absolute(&path)?;
        Ok(Self {
            folder: absolute.parent().map(Path::to_owned).unwrap_or_default(),
            path,
            text,
            is_run,
        })
    }

    pub(crate) fn parse<R: DeserializeOwned>(&self, sets: &[String]) -> Result<R, Mistake> {
        parse(&self.path, &self.text, sets)
    }

    /// The run's folder: where the recipe says, or `runs/NAME` beside it.
    pub(crate) fn run_folder(&self, said: Option<&Path>) -> PathBuf {
        match said {
            // A run goes on where it lies now, even if it was moved.
            _ if self.is_run => self.folder.clone(),
            Some(run) => self.folder.join(run),
            None => {
                let name = self.path.file_stem().unwrap_or_default();
                self.folder.join("runs").join(name)
            }
        }
    }
}

impl DataSection {
    /// The rows of one file, with every default.
    pub(crate) fn of_file(path: &Path) -> Self {
        Self {
            train: Files::One(path.to_owned()),
            validation: None,
            columns: Columns::default(),
            chat: Chat::default(),
            system: None,
            template: None,
            min_reward: None,
            max_length: None,
            too_long: TooLong::default(),
            empty_mask: EmptyMask::default(),
            end_token: EndToken::default(),
            unlearnable: Unlearnable::default(),
        }
    }

    /// `files`, and how their rows are put to the model.
    pub(crate) fn sources(&self, files: &Files) -> Vec<(Source, Prompting)> {
        let source = |section: SourceSection| {
            let columns = match section.columns == Columns::default() {
                true => self.columns.clone(),
                false => section.columns,
            };
            let source = Source {
                path: section.path,
                share: section.share,
                columns: Columns {
                    template: section.template.or(self.template.clone()),
                    ..columns
                },
            };
            let prompting = Prompting {
                chat: section.chat.unwrap_or(self.chat),
                system: section.system.or(self.system.clone()),
            };
            (source, prompting)
        };
        files.sections().into_iter().map(source).collect()
    }

    /// Options of the command line go over what is written.
    pub(crate) fn over(&mut self, args: &PromptingArgs) {
        self.chat = args.chat.unwrap_or(self.chat);
        self.system = args.system.clone().or(self.system.take());
        self.template = args.template.clone().or(self.template.take());
    }

    /// Settles what is decided by whether the model has a chat template, so that a
    /// run's recipe tells how it was trained.
    pub(crate) fn settle_chat(&mut self, has_template: bool) {
        let settle = |chat: &mut Chat| {
            if *chat == Chat::Auto {
                *chat = if has_template { Chat::Yes } else { Chat::No };
            }
        };
        settle(&mut self.chat);
        for files in std::iter::once(&mut self.train).chain(&mut self.validation) {
            if let Files::Sources(sources) = files {
                sources
                    .iter_mut()
                    .flat_map(|source| &mut source.chat)
                    .for_each(settle);
            }
        }
    }

    /// The rules for rows, where `end_tokens` end a row and the model has room
    /// for `context` tokens.
    pub(crate) fn rules(&self, end_tokens: &[u32], context: usize) -> Rules {
        Rules {
            min_reward: self.min_reward,
            unlearnable: self.unlearnable,
            empty_mask: self.empty_mask,
            require_end: (self.end_token == EndToken::Require).then(|| end_tokens.to_vec()),
            max_length: Some(self.max_length.unwrap_or(context)),
            too_long: self.too_long,
        }
    }
}

/// Reads the recipe `text` of the file `path` and applies `sets`.
pub(crate) fn parse<R: DeserializeOwned>(
    path: &Path,
    text: &str,
    sets: &[String],
) -> Result<R, Mistake> {
    let refused = |error: toml::de::Error| {
        let message = error.to_string();
        let hint = nearest_key(&message).unwrap_or_default();
        Mistake::new(format!("{}: {}{hint}", path.display(), message.trim_end()))
    };
    if sets.is_empty() {
        return toml::from_str(text).map_err(refused);
    }
    let mut table: toml::Table = toml::from_str(text).map_err(refused)?;
    for set in sets {
        apply(&mut table, set)?;
    }
    R::deserialize(table).map_err(|error| {
        let message = error.to_string();
        let hint = nearest_key(&message).unwrap_or_default();
        let sets = sets.join(" --set ");
        Mistake::new(format!(
            "{} with --set {sets}: {}{hint}",
            path.display(),
            message.trim_end()
        ))
    })
}

/// Sets one `dotted.key=value`; a value that is not TOML is a string, and no
/// value at all removes the key.
fn apply(table: &mut toml::Table, set: &str) -> Result<(), Mistake> {
    let Some((key, text)) = set.split_once('=') else {
        return Err(Mistake::new(format!(
            "--set {set}: expected key=value, for example --set train.learning_rate=1e-4"
        )));
    };
    let value = toml::from_str::<toml::Table>(&format!("value = {text}"))
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| toml::Value::String(text.to_owned()));
    let mut keys: Vec<&str> = key.trim().split('.').collect();
    let last = keys.pop().unwrap_or_default();
    let mut table = table;
    for key in keys {
        let entry = table
            .entry(key.to_owned())
            .or_insert_with(|| toml::Value::Table(toml::Table::new()));
        let found = entry.type_str();
        table = entry.as_table_mut().ok_or_else(|| {
            Mistake::new(format!(
                "--set {set}: `{key}` is a {found} in the recipe, not a table"
            ))
        })?;
    }
    if text.trim().is_empty() {
        table.remove(last);
    } else {
        table.insert(last.to_owned(), value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPE: &str = r#"
        [model]
        path = "base"
        [data]
        train = ["a.jsonl", "/b.jsonl"]
        [objective]
        preset = "sft"
    "#;

    fn parsed(text: &str, sets: &[&str]) -> Result<Recipe, Mistake> {
        let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
        parse(Path::new("recipe.toml"), text, &sets)
    }

    #[test]
    fn set_changes_values_by_dotted_keys_and_guesses_strings() {
        let sets = [
            "train.learning_rate=3e-4",
            "objective.preset=iw-sft-llm",
            "data.max_length=9",
        ];
        let recipe = parsed(RECIPE, &sets).unwrap();
        assert_eq!(recipe.train.learning_rate, 3e-4);
        assert_eq!(recipe.data.max_length, Some(9));
        assert_eq!(recipe.objective.resolve().unwrap().method.name(), "iw-sft");
    }

    #[test]
    fn set_without_a_value_removes_the_key() {
        let recipe = parsed(
            &format!("{RECIPE}\n[train]\nepochs = 3"),
            &["train.epochs="],
        );
        assert_eq!(recipe.unwrap().train.epochs, None);
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_valid_one() {
        let misspelt = format!("{RECIPE}\n[train]\nlearning_rat = 1");
        let message = parsed(&misspelt, &[]).unwrap_err().to_string();
        assert!(
            message.contains("did you mean `learning_rate`?"),
            "{message}"
        );
        assert!(message.contains("line 10"), "{message}");
        let message = parsed(RECIPE, &["train.bach_size=2"])
            .unwrap_err()
            .to_string();
        assert!(message.contains("did you mean `batch_size`?"), "{message}");
        assert!(message.contains("--set"), "{message}");
    }

    #[test]
    fn paths_are_relative_to_the_recipe() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("try.toml");
        std::fs::write(&path, RECIPE).unwrap();
        let recipe = Recipe::read(&path, &[]).unwrap();
        assert_eq!(recipe.model.path, folder.path().join("base"));
        assert_eq!(recipe.run_folder(), folder.path().join("runs/try"));
        let sources = recipe.data.sources(&recipe.data.train);
        assert_eq!(sources[0].0.path, folder.path().join("a.jsonl"));
        assert_eq!(sources[1].0.path, Path::new("/b.jsonl"));
        let again: Recipe = toml::from_str(&recipe.to_toml().unwrap()).unwrap();
        assert_eq!(again.run_folder(), recipe.run_folder());
    }

    #[test]
    fn a_file_says_for_itself_what_differs_from_the_section() {
        let text = r#"
            [model]
            path = "base"
            [data]
            train = [{ path = "a.jsonl" }, { path = "b.jsonl", chat = false, template = "{q}" }]
            chat = true
            system = "Be kind."
            template = "{p}"
            [objective]
            preset = "sft"
        "#;
        let mut recipe = parsed(text, &[]).unwrap();
        let sources = recipe.data.sources(&recipe.data.train);
        let of = |index: usize| {
            let (source, prompting) = &sources[index];
            let template = source.columns.template.clone().map(String::from);
            (template, prompting.chat, prompting.system.clone())
        };
        let kind = Some("Be kind.".to_owned());
        assert_eq!(of(0), (Some("{p}".to_owned()), Chat::Yes, kind.clone()));
        assert_eq!(of(1), (Some("{q}".to_owned()), Chat::No, kind));
        for (chat, has_template, settled) in [
            (Chat::Auto, true, Chat::Yes),
            (Chat::Auto, false, Chat::No),
            (Chat::No, true, Chat::No),
        ] {
            recipe.data.chat = chat;
            recipe.data.settle_chat(has_template);
            assert_eq!(recipe.data.chat, settled);
        }
        let again: Recipe = toml::from_str(&recipe.to_toml().unwrap()).unwrap();
        assert_eq!(again.data.chat, Chat::No);
        let message = parsed(text, &["data.chat=perhaps"])
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("expected true, false or auto"),
            "{message}"
        );
    }

    #[test]
    fn a_set_that_is_not_one_is_explained() {
        assert!(
            parsed(RECIPE, &["train"])
                .unwrap_err()
                .to_string()
                .contains("key=value")
        );
        let message = parsed(RECIPE, &["model.path.x=1"]).unwrap_err().to_string();
        assert!(message.contains("`path` is a string"), "{message}");
    }
}
