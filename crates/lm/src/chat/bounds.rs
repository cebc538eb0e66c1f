//! Bounds of a template: it comes with a model that was downloaded, and may be hostile.
//!
//! Steps and memory of a rendering are paid in the engine's fuel, by what it is given,
//! so that a row renders or not whatever the machine does meanwhile. Parser, engine
//! and values recurse, so both compiling and rendering have a stack of their own.

use std::panic::resume_unwind;
use std::thread;

use serde_json::Value;

/// Bytes of a template's source.
const SOURCE: usize = 1 << 20;
/// Words and signs in one tag, and tags that go on with `elif`: each may be a level.
const LEVELS: usize = 10_000;
/// Bytes of a stack for compiling or rendering; what is not used takes no memory.
const STACK: usize = 512 << 20;

/// Fuel for variables of so many bytes: each unit pays a step or 64 bytes of text.
pub(super) fn fuel(context: &Value) -> u64 {
    const BASE: u64 = 2_000_000;
    const A_BYTE: u64 = 20;
    const MOST: u64 = 100_000_000;
    (BASE + A_BYTE * size(context)).min(MOST)
}

/// Roughly the bytes of a value as JSON.
fn size(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.len() as u64 + 2,
        Value::Array(items) => items.iter().map(|item| size(item) + 1).sum::<u64>() + 2,
        Value::Object(map) => {
            let fields = map.iter();
            fields
                .map(|(key, item)| key.len() as u64 + 4 + size(item))
                .sum::<u64>()
                + 2
        }
        _ => 5,
    }
}

/// Does work that recurses on a stack of its own.
///
/// # Errors
/// When there is no memory for another stack.
pub(super) fn on_own_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, String> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .stack_size(STACK)
            .spawn_scoped(scope, work)
            .map_err(|error| format!("there is no room for its stack ({error})"))?;
        // A panic goes on where it would have.
        Ok(thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

/// Refuses a source that nests so deeply that no stack would do.
pub(super) fn check_source(source: &str) -> Result<(), String> {
    if source.len() > SOURCE {
        return Err(format!(
            "it has {} bytes, but a template may have {SOURCE}",
            source.len()
        ));
    }
    let mut continued = 0;
    for tag in super::generation_tag::tags(source) {
        let levels = levels(tag);
        continued += usize::from(
            tag.trim_start_matches(['{', '%', '-', '+', ' '])
                .starts_with("elif"),
        );
        if levels.max(continued) > LEVELS {
            return Err(format!(
                "it nests too deeply: more than {LEVELS} words and signs in one tag, or as many `elif`"
            ));
        }
    }
    Ok(())
}

/// Words and signs of a tag outside of its strings.
fn levels(tag: &str) -> usize {
    let (mut levels, mut quote, mut escaped, mut word) = (0, None, false, false);
    for character in tag.chars() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if character == '\\' => escaped = true,
            Some(open) if character == open => quote = None,
            Some(_) => {}
            None => {
                let in_word = character.is_alphanumeric() || character == '_';
                levels += usize::from(!(character.is_whitespace() || in_word && word));
                word = in_word;
                if matches!(character, '"' | '\'') {
                    quote = Some(character);
                }
            }
        }
    }
    levels
}
