//! What a text thinks, and what it says in the end.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Match, Regex};

use super::boxes::is_placeholder;
use super::prose::pattern;

/// Marks that begin and end thoughts, and those of gpt-oss's channels, of which
/// only `final` is said.
static MARK: LazyLock<Regex> = LazyLock::new(|| {
    const THOUGHT: &str =
        "(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|scratchpad|analysis)";
    pattern(&format!(
        concat!(
            r"(?i)(?P<close></(?:\w+[:_])?{0}>|(?-i:\[/THINK(?:ING)?\])|◁/think▷",
            r"|<\|end_of_{0}\|>|<\|end_{0}\|>|<\|{0}_end\|>|<\|/think\|>|<\|inner_suffix\|>|<channel\|>",
            r"|<unused95>|(?:^|\n)[*\s]*here(?: is|'s|’s) my response:)",
            r"|(?P<open><(?:\w+[:_])?{0}(?:\s[^<>\n]*)?>|(?-i:\[THINK(?:ING)?\])|◁think▷",
            r"|<\|begin_of_{0}\|>|<\|start_{0}\|>|<\|{0}_start\|>|<\|think\|>|<\|inner_prefix\|>",
            r"|<\|channel>|<unused94>|^[*\s]*here(?: is|'s|’s) my thought process:)",
            r"|(?:<\|start\|>\w+)?<\|channel\|>\s*(?P<channel>\w+)(?:[^<]|<\|constrain\|>)*<\|message\|>",
            // Neither changes what is said.
            r"|<\|(?:begin|end)_of_solution\|>|<\|(?:start|end)_response\|>|<\|(?:end|return|call)\|>",
        ),
        THOUGHT
    ))
});

/// Tags around the answer itself.
static ANSWER_TAG: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)<(?P<close>/)?(?:final_)?answer>"));

/// What a text says outside of its thoughts: between none of the marks, behind a
/// closing mark that none opened, and nothing behind an opening mark that none
/// closes.
pub(super) fn said(text: &str) -> Cow<'_, str> {
    if let Some(said) = without_marks(text) {
        return Cow::Borrowed(said);
    }
    let mut parts: Vec<&str> = Vec::new();
    let (mut speaking, mut from) = (true, 0);
    for (index, mark) in MARK.captures_iter(text).enumerate() {
        let Some(whole) = mark.get(0) else { break };
        if speaking {
            parts.push(&text[from..whole.start()]);
        }
        from = whole.end();
        if mark.name("open").is_some() {
            speaking = false;
        } else if mark.name("close").is_some() {
            if index == 0 {
                parts.clear(); // the prompt opened it
            }
            speaking = true;
        } else if let Some(channel) = mark.name("channel") {
            speaking = channel.as_str().eq_ignore_ascii_case("final");
        }
    }
    if from == 0 {
        return Cow::Borrowed(text);
    }
    if speaking {
        parts.push(&text[from..]);
    }
    parts.retain(|part| !part.trim().is_empty());
    match parts[..] {
        [] => Cow::Borrowed(""),
        [part] => Cow::Borrowed(part),
        _ => Cow::Owned(parts.join("\n\n")),
    }
}

/// What gpt-oss says where its marks were dropped in decoding: `analysisWe add
/// ...assistantfinalIt is 7`.
fn without_marks(text: &str) -> Option<&str> {
    let thoughts = text.trim_start().strip_prefix("analysis")?;
    match thoughts.rsplit_once("assistantfinal") {
        Some((_, said)) => Some(said),
        None => thoughts
            .starts_with(|next: char| next.is_ascii_uppercase())
            .then_some(""),
    }
}

/// Whether a prompt ends with a mark that opens thoughts, as the templates of some
/// models do: a completion of it begins with thoughts.
pub fn leaves_open(prompt: &str) -> bool {
    let prompt = prompt.trim_end();
    let last = MARK.captures_iter(prompt).last();
    last.is_some_and(|mark| {
        let ends = mark.get(0).is_some_and(|whole| whole.end() == prompt.len());
        ends && mark.name("open").is_some()
    })
}

/// The content of the last `<answer>` that has one, closed or not.
pub(super) fn tagged(text: &str) -> Option<&str> {
    let tags: Vec<(Match<'_>, bool)> = ANSWER_TAG
        .captures_iter(text)
        .filter_map(|tag| Some((tag.get(0)?, tag.name("close").is_some())))
        .collect();
    let contents = tags.iter().enumerate().rev().filter(|(_, tag)| !tag.1);
    contents
        .map(|(index, (open, _))| {
            let end = tags.get(index + 1).map_or(text.len(), |tag| tag.0.start());
            &text[open.end()..end]
        })
        .find(|content| !is_placeholder(content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_stands_outside_of_the_thoughts() {
        for (text, expected) in [
            ("It is 7.", "It is 7."),
            ("<think>6?</think>7", "7"),
            ("6? No.</think>7", "7"),
            ("<think>6?", ""),
            ("7<think>6?", "7"),
            ("<think></think>7", "7"),
            ("<think>5</think>A<think>6</think>B", "A\n\nB"),
            ("<think>I <think> of 6</think>7", "7"),
            ("<thinking>6</thinking>7", "7"),
            ("<THINK>6</THINK>7", "7"),
            ("<reasoning effort=\"high\">6</reasoning>7", "7"),
            ("<seed:think>6</seed:think>7", "7"),
            ("<longcat_think>6</longcat_think>7", "7"),
            ("[THINK]6[/THINK]7", "7"),
            ("[think] of 6", "[think] of 6"),
            ("◁think▷6◁/think▷7", "7"),
            (
                "<|begin_of_thought|>6<|end_of_thought|><|begin_of_solution|>7<|end_of_solution|>",
                "7",
            ),
            (
                "<|START_THINKING|>6<|END_THINKING|><|START_RESPONSE|>7<|END_RESPONSE|>",
                "7",
            ),
            (
                "<|channel|>analysis<|message|>6?<|end|><|start|>assistant<|channel|>final<|message|>7<|return|>",
                "7",
            ),
            ("<|channel|>analysis<|message|>6?", ""),
            (
                "<|channel|>commentary to=functions.add <|constrain|>json<|message|>{}<|call|>",
                "",
            ),
            ("<|channel>thought\n6<channel|>7", "7"),
            ("analysisIs it 6? No.assistantfinalIt is 7", "It is 7"),
            ("analysisIs it 6?", ""),
            ("analysis of 6 numbers: 7", "analysis of 6 numbers: 7"),
            (
                "Here is my thought process:\n6?\nHere is my response:\n7",
                "\n7",
            ),
            ("a < b <thinker> 7", "a < b <thinker> 7"),
        ] {
            assert_eq!(said(text), expected, "{text}");
        }
    }

    #[test]
    fn a_prompt_may_leave_the_thoughts_open() {
        assert!(leaves_open("What is 3+4?<|assistant|><think>\n"));
        assert!(!leaves_open("Think in <think>...</think>."));
        assert!(!leaves_open("Begin with <think>. What is 3+4?"));
        assert!(!leaves_open("What is 3+4?"));
    }

    #[test]
    fn an_answer_may_stand_in_tags() {
        assert_eq!(tagged("5 <answer> 7 </answer> 9"), Some(" 7 "));
        assert_eq!(tagged("<answer>7"), Some("7"));
        assert_eq!(
            tagged("<answer>7</answer>, as <answer>...</answer>"),
            Some("7")
        );
        assert_eq!(tagged("no tags"), None);
    }
}
