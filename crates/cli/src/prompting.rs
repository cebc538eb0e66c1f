//! How the plain prompts of a model with a chat template are put: into the template,
//! as a user's message, or as they are.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};

use iwsft_data::{Message, Row, Template, Text};
use iwsft_files::write_atomically;
use iwsft_lm::{ChatTemplate, LmError, RenderOptions, Tokenizer};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::json;

use crate::language::ModelFolder;
use crate::mistake::Mistake;

/// Whether plain prompts are put into the chat template: `data.chat`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Chat {
    /// Where the model has a template.
    #[default]
    Auto,
    Yes,
    No,
}

impl FromStr for Chat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "true" => Ok(Self::Yes),
            "false" => Ok(Self::No),
            _ => Err("expected true, false or auto".to_owned()),
        }
    }
}

impl Serialize for Chat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Yes => serializer.serialize_bool(true),
            Self::No => serializer.serialize_bool(false),
        }
    }
}

impl<'de> Deserialize<'de> for Chat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl Visitor<'_> for Written {
            type Value = Chat;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false or \"auto\"")
            }

            fn visit_bool<E: Error>(self, chat: bool) -> Result<Chat, E> {
                Ok(if chat { Chat::Yes } else { Chat::No })
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Chat, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Written)
    }
}

/// How rows become prompts, as options of commands that read rows.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Prompts")]
pub(crate) struct PromptingArgs {
    /// Put plain prompts into the model's chat template as user messages: true,
    /// false, or auto, which does where there is a template [default: auto].
    #[arg(
        long,
        value_name = "WHETHER",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub(crate) chat: Option<Chat>,
    /// The message of the system for conversations that have none.
    #[arg(long, value_name = "TEXT")]
    pub(crate) system: Option<String>,
    /// The prompt's text, with columns of the row in braces: 'Q: {question}\nA:'.
    #[arg(long, value_name = "TEXT")]
    pub(crate) template: Option<Template>,
}

/// How the rows of a file are put, as the recipe says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Prompting {
    pub(crate) chat: Chat,
    /// The message of the system for conversations that have none.
    pub(crate) system: Option<String>,
}

/// What a model was trained on, as far as whoever asks it should know: in its folder
/// as [`TrainedOn::FILE`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TrainedOn {
    /// Whether prompts went through the chat template.
    pub(crate) chat: bool,
    /// The message of the system that all conversations without one began with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) system: Option<String>,
}

impl TrainedOn {
    pub(crate) const FILE: &str = "iwsft.json";

    /// What the model in `folder` was trained on, if this program has trained it.
    pub(crate) fn of(folder: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(folder.join(Self::FILE)).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Writes it into a model's folder.
    pub(crate) fn write(&self, folder: &Path) -> std::io::Result<()> {
        let text = serde_json::to_string(self)? + "\n";
        write_atomically(&folder.join(Self::FILE), text.as_bytes())
    }

    /// What is odd about asking the model through its chat template (`chat`) or not.
    /// `template` and `plain` say how to ask the way it was trained.
    pub(crate) fn mismatch(&self, chat: bool, template: &str, plain: &str) -> Option<String> {
        match (self.chat, chat) {
            (true, false) => Some(format!(
                "was trained on prompts in its chat template, and is asked in plain text here; {template}"
            )),
            (false, true) => Some(format!(
                "was trained on plain prompts, and is asked through its chat template here; {plain}"
            )),
            _ => None,
        }
    }
}

/// How the rows of a file are put to one model, and what became of them.
pub(crate) struct Asking {
    /// By which texts are known that the template has rendered; `None` without one.
    marks: Option<Marks>,
    /// Whether plain prompts are put into the template.
    wraps: bool,
    chosen: Chat,
    system: Option<String>,
    wrapped: AtomicUsize,
    rendered: AtomicUsize,
    plain: AtomicUsize,
    conversations: AtomicUsize,
    lost_systems: AtomicUsize,
}

/// A plain pair's place.
pub(crate) enum Place {
    /// In the chat template, perhaps behind a message of the system.
    Template(Option<Message>),
    /// By itself.
    Plain,
}

impl Asking {
    /// How `folder`'s model is asked.
    pub(crate) fn new(folder: &ModelFolder, prompting: &Prompting) -> Result<Self, Mistake> {
        let Prompting { chat, system } = prompting.clone();
        if chat == Chat::Yes && folder.template.is_none() {
            return Err(Mistake::new(format!(
                "{}: the model has no chat template to put prompts into; name a file with \
                 `model.chat_template`, or leave out `chat`",
                folder.path.display()
            )));
        }
        Ok(Self {
            wraps: chat != Chat::No && folder.template.is_some(),
            chosen: chat,
            marks: folder.marks(),
            system,
            wrapped: AtomicUsize::new(0),
            rendered: AtomicUsize::new(0),
            plain: AtomicUsize::new(0),
            conversations: AtomicUsize::new(0),
            lost_systems: AtomicUsize::new(0),
        })
    }

    /// Where a plain pair goes. What was drawn stays as it was drawn, and what the
    /// template has rendered already is not rendered twice.
    pub(crate) fn place(
        &self,
        row: &Row,
        prompt: &str,
        completion: &str,
    ) -> Result<Place, LmError> {
        let marked = |marks: &Marks| marks.are_in_prompt(prompt) || marks.are_in_answer(completion);
        let rendered = self.marks.as_ref().is_some_and(marked);
        let count = match rendered {
            true => &self.rendered,
            false if self.wraps && !row.is_drawn() => {
                add(&self.wrapped);
                let system = row.system.as_ref().or(self.system.as_ref());
                return Ok(Place::Template(
                    system.map(|text| Message::new("system", text)),
                ));
            }
            false => &self.plain,
        };
        add(count);
        if !row.is_drawn() && !rendered {
            self.refuse_system()?;
        }
        if row.system.is_some() {
            add(&self.lost_systems);
        }
        Ok(Place::Plain)
    }

    /// Counts a row whose tokens were drawn.
    pub(crate) fn count_drawn(
        &self,
        row: &Row,
        prompt: &Text,
        completion: &Text,
    ) -> Result<(), LmError> {
        match (prompt, completion) {
            (Text::Plain(prompt), Text::Plain(completion)) => {
                self.place(row, prompt, completion).map(drop)
            }
            _ => {
                add(&self.conversations);
                Ok(())
            }
        }
    }

    /// Whether a row that can be either is plain text: one of Alpaca's.
    pub(crate) fn stays_plain(&self) -> Result<bool, LmError> {
        if !self.wraps {
            add(&self.plain);
            self.refuse_system()?;
        }
        Ok(!self.wraps)
    }

    /// The message of the system that a conversation is to begin with.
    pub(crate) fn opening(&self, row: &Row, first: Option<&Message>) -> Option<Message> {
        add(&self.conversations);
        let has_one = first.is_some_and(|first| first.is_of("system"));
        match &self.system {
            Some(system) if !has_one && !row.is_drawn() => Some(Message::new("system", system)),
            _ => None,
        }
    }

    fn refuse_system(&self) -> Result<(), LmError> {
        match self.system {
            None => Ok(()),
            Some(_) => Err(LmError::Messages {
                reason:
                    "the prompt stays plain text, which has no place for `system`; leave it out, \
                         or put prompts into the chat template (chat = true)"
                        .into(),
            }),
        }
    }

    /// What is to be said of a file, beside what [`said_of_all`] says.
    pub(crate) fn lines(&self) -> Vec<String> {
        let of = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        let mut lines = Vec::new();
        let rendered = of(&self.rendered);
        if rendered > 0 && self.wraps {
            let pairs = rendered + of(&self.wrapped) + of(&self.plain);
            lines.push(format!(
                "{rendered} of {pairs} plain prompts have the marks of a chat template in them already, \
                 and stay as they are"
            ));
        }
        let lost = of(&self.lost_systems);
        if lost > 0 {
            lines.push(format!(
                "{lost} rows have a message of the system, which a plain prompt has no place for: it is \
                 not read"
            ));
        }
        lines
    }
}

/// What is to be said once of all files; `key` is how the choice is called.
pub(crate) fn said_of_all<'a>(
    all: impl IntoIterator<Item = &'a Asking>,
    key: &str,
) -> Option<String> {
    let wrapped =
        |asking: &Asking| asking.chosen == Chat::Auto && asking.wrapped.load(Ordering::Relaxed) > 0;
    all.into_iter().any(wrapped).then(|| {
        format!(
            "the model has a chat template: plain prompts are put into it as user messages \
             ({key} leaves them as they are)"
        )
    })
}

/// What a model is trained on; `None` where there are no prompts, or of both kinds.
pub(crate) fn trained_on(all: &[Asking]) -> Option<TrainedOn> {
    let sum = |of: fn(&Asking) -> &AtomicUsize| -> usize {
        all.iter()
            .map(|asking| of(asking).load(Ordering::Relaxed))
            .sum()
    };
    let plain = sum(|asking| &asking.plain);
    let templated = sum(|asking| &asking.wrapped)
        + sum(|asking| &asking.rendered)
        + sum(|asking| &asking.conversations);
    let chat = match (templated, plain) {
        (1.., 0) => true,
        (0, 1..) => false,
        _ => return None,
    };
    let system = all.first().and_then(|first| first.system.clone());
    let same = all.iter().all(|asking| asking.system == system);
    Some(TrainedOn {
        chat,
        system: system.filter(|_| chat && same),
    })
}

fn add(count: &AtomicUsize) {
    count.fetch_add(1, Ordering::Relaxed);
}

/// What a chat template leaves in a text.
pub(crate) struct Marks {
    /// The token that every text begins with.
    begin: Option<String>,
    /// Tokens that end turns and texts.
    ends: Vec<String>,
    /// Tokens that stand in conversations.
    turns: Vec<String>,
    /// What stands before and behind a user's only message.
    around: Option<(String, String)>,
}

/// Turns of well-known templates: a prompt with them is rendered, if by another
/// model's template.
const KNOWN: [&str; 9] = [
    "<|im_start|>",
    "<|start_header_id|>",
    "<start_of_turn>",
    "[INST]",
    "<|user|>",
    "<|assistant|>",
    "<|start_of_role|>",
    "<|START_OF_TURN_TOKEN|>",
    "<\u{ff5c}User\u{ff5c}>",
];

impl Marks {
    pub(crate) fn of(
        template: &ChatTemplate,
        tokenizer: &Tokenizer,
        options: &RenderOptions,
    ) -> Self {
        const QUESTION: &str = "x7 question x7";
        let render = |messages: &[serde_json::Value], prompt| {
            template
                .render(messages, prompt, options)
                .unwrap_or_default()
        };
        let user = json!({"role": "user", "content": QUESTION});
        let answer = json!({"role": "assistant", "content": "answer"});
        let asked = render(std::slice::from_ref(&user), true);
        let answered = render(&[user, answer], false);
        let begin = tokenizer.special_tokens().get("bos_token").cloned();
        let ends: Vec<String> = tokenizer
            .end_tokens()
            .iter()
            .filter_map(|&token| tokenizer.spelling(token))
            .collect();
        // `<s>` and `</s>` stand in HTML as well.
        let says_something =
            |text: &str| text.len() > "</s>".len() && Some(text) != begin.as_deref();
        let turns = tokenizer
            .special_texts()
            .filter(|text| {
                says_something(text) && (asked.contains(text) || answered.contains(text))
            })
            .map(str::to_owned)
            .collect();
        let around = asked.split_once(QUESTION).and_then(|(before, behind)| {
            let before = before.trim_start();
            let before = before
                .strip_prefix(begin.as_deref().unwrap_or(""))
                .unwrap_or(before);
            let (before, behind) = (before.trim(), behind.trim());
            let both = !before.is_empty() && !behind.is_empty();
            both.then(|| (before.to_owned(), behind.to_owned()))
        });
        Self {
            begin,
            ends,
            turns,
            around,
        }
    }

    /// Whether a prompt was rendered by a template.
    pub(crate) fn are_in_prompt(&self, text: &str) -> bool {
        let text = text.trim();
        let begin = self.begin.as_deref().filter(|begin| !begin.is_empty());
        let begins = begin.is_some_and(|begin| text.starts_with(begin));
        let stands_in = |(before, behind): &(String, String)| {
            text.starts_with(before.as_str()) && text.ends_with(behind.as_str())
        };
        begins || self.are_in_answer(text) || self.around.as_ref().is_some_and(stands_in)
    }

    /// Whether an answer ends as in a template, or goes on with further turns.
    pub(crate) fn are_in_answer(&self, text: &str) -> bool {
        let has = |mark: &str| text.contains(mark);
        let ends = self
            .ends
            .iter()
            .any(|end| text.trim_end().ends_with(end.as_str()));
        ends || self.turns.iter().any(|mark| has(mark)) || KNOWN.into_iter().any(has)
    }
}
