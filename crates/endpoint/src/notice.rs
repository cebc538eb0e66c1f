//! What a user may want to know while nothing is lost.

use std::fmt;
use std::time::Duration;

/// What the user may want to know.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// A request failed and will be repeated.
    Retry {
        /// Why it failed.
        reason: String,
        /// When it is repeated.
        wait: Duration,
        /// Which repetition this will be, from 1.
        repetition: u32,
        /// How many there are at most.
        retries: u32,
    },
    /// The server does not take these fields; they are left out from now on.
    Without(Vec<&'static str>),
    /// A completion comes without log-probabilities, or without its tokens too,
    /// because those that the server told cannot be right: for this reason.
    LogProbs(String),
    /// The server does not say why a completion ended, or in a word that is not
    /// known. It counts as ended by itself, as it has fewer tokens than it may.
    Untold {
        /// What it says.
        word: Option<String>,
        /// Whether its tokens could be counted.
        is_counted: bool,
    },
    /// The key goes to another machine unencrypted.
    KeyInClear {
        /// Which one.
        host: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry {
                reason,
                wait,
                repetition,
                retries,
            } => {
                let seconds = wait.as_secs_f64();
                write!(
                    f,
                    "{reason}; asking again in {seconds:.1} s ({repetition} of {retries})"
                )
            }
            Self::Without(fields) => {
                let mut consequences: Vec<&str> =
                    fields.iter().map(|field| consequence(field)).collect();
                consequences.sort_unstable();
                consequences.dedup();
                write!(
                    f,
                    "the server does not take {}: {}",
                    fields.join(", "),
                    consequences.join("; ")
                )
            }
            Self::LogProbs(reason) => write!(
                f,
                "log-probabilities of a completion are left out, as they cannot be right: {reason}"
            ),
            Self::Untold { word, is_counted } => {
                match word {
                    None => write!(f, "the server does not say why a completion ended")?,
                    Some(word) => write!(
                        f,
                        "the server says that a completion ended with {word:?}, which is not known"
                    )?,
                }
                match is_counted {
                    true => write!(
                        f,
                        "; it has fewer tokens than --max-tokens, and counts as ended by itself"
                    ),
                    false => write!(
                        f,
                        ", nor how many tokens it has; it counts as ended by itself, though it may be cut off"
                    ),
                }
            }
            Self::KeyInClear { host } => write!(
                f,
                "warning: the key goes to {host} over plain http, where others on the way can read \
                 it; use an address with https, or a tunnel to this machine"
            ),
        }
    }
}

/// What it means that a server does not take a field.
fn consequence(field: &str) -> &'static str {
    match field {
        "logprobs" => "completions come without log-probabilities",
        "return_token_ids" => "completions may come without token ids",
        "seed" => "the same command will not draw the same again",
        "max_tokens" => "it gets max_completion_tokens instead",
        "n" | "stream" => "it is asked without",
        _ => "its own defaults hold, which may truncate what is drawn",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_told_with_what_that_means() {
        let said = Notice::Without(vec!["top_k", "seed", "min_p", "n"]).to_string();
        assert_eq!(said.matches("its own defaults").count(), 1, "{said}");
        assert!(said.contains("top_k, seed, min_p, n:"), "{said}");
        assert!(said.contains("will not draw the same"), "{said}");
    }
}
