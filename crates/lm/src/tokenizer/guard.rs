//! What a tokenizer's file can do to this program: nothing but an error.
//!
//! The library for tokenizers panics at some files and texts: a regular expression
//! that gives up after ten million tries, a damaged table of a normaliser. Here a
//! panic becomes an error of that text. And a normaliser or decoder may make a text
//! larger and larger, which is bounded before it is tried.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use serde_json::Value;

use crate::error::LmError;

/// Most bytes that a text may have once it is normalised.
const MOST_BYTES: f64 = (1u64 << 31) as f64;

/// How many times longer a text may become at all; real ones stay below 50.
const MOST_GROWTH: f64 = 4096.0;

thread_local! {
    /// Whether this thread is inside the library, where a panic is told as an error.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a function of the library's; `action` is what messages call it.
pub(super) fn guarded<T>(
    action: &'static str,
    run: impl FnOnce() -> tokenizers::Result<T>,
) -> Result<T, LmError> {
    quiet_panics();
    let outer = GUARDED.replace(true);
    let ended = catch_unwind(AssertUnwindSafe(run));
    GUARDED.set(outer);
    let reason = match ended {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => error.to_string(),
        Err(panic) => format!("the tokenizer gave up: {}", told(&*panic)),
    };
    Err(LmError::Tokenization { action, reason })
}

/// Keeps the panics of guarded code off the screen; all others are told as before.
fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = take_hook();
        set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                report(panic);
            }
        }));
    });
}

fn told(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("for no reason that it told").to_owned()
}

/// How many times longer a normaliser (or decoder) can make a text, by its entry in
/// tokenizer.json: the product over what is applied one after the other.
fn growth(step: Option<&Value>) -> f64 {
    let Some(step) = step.filter(|step| !step.is_null()) else {
        return 1.0;
    };
    for list in ["normalizers", "decoders", "pretokenizers"] {
        if let Some(steps) = step.get(list).and_then(Value::as_array) {
            return steps.iter().map(|step| growth(Some(step))).product();
        }
    }
    match step.get("type").and_then(Value::as_str) {
        Some("Replace") => {
            let length = |value: Option<&Value>| value.and_then(Value::as_str).map(str::len);
            let content = length(step.get("content")).unwrap_or(0) as f64;
            // An expression may match a single byte, or nothing at all beside each.
            let pattern = length(
                step.get("pattern")
                    .and_then(|pattern| pattern.get("String")),
            );
            match pattern.filter(|length| *length > 0) {
                Some(pattern) => (content / pattern as f64).max(1.0),
                None => content + 1.0,
            }
        }
        // The longest decompositions of Unicode in UTF-8, and tables of the same.
        Some("NFC" | "NFD" | "BertNormalizer") => 3.0,
        Some("NFKC" | "NFKD" | "Precompiled") => 11.0,
        // A space becomes three bytes, a byte two.
        Some("Metaspace") => 3.0,
        Some("ByteLevel") => 2.0,
        Some("Prepend") => {
            let added = step
                .get("prepend")
                .and_then(Value::as_str)
                .map_or(0, str::len);
            1.0 + added as f64
        }
        _ => 1.5,
    }
}

/// Refuses a step that could make a text longer out of all proportion; returns how
/// much longer.
pub(super) fn modest_growth(name: &str, step: Option<&Value>) -> Result<f64, String> {
    let growth = growth(step);
    match growth <= MOST_GROWTH {
        true => Ok(growth),
        false => Err(format!(
            "its {name} can make a text {growth:.0} times longer, which no tokenizer needs"
        )),
    }
}

/// Refuses a text that could be too long once it is normalised.
pub(super) fn require_room(text: &str, growth: f64) -> Result<(), LmError> {
    match text.len() as f64 * growth <= MOST_BYTES {
        true => Ok(()),
        false => Err(LmError::Tokenization {
            action: "encode",
            reason: format!(
                "a text of {} bytes can become {growth:.0} times longer by the tokenizer's \
                 normaliser, beyond the limit of {MOST_BYTES} bytes",
                text.len()
            ),
        }),
    }
}
