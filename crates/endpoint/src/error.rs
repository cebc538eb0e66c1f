//! What can go wrong between this program and a server.

use std::time::Duration;

/// An error of this crate. Every message names the address, what happened and
/// what to do; none shows a key or password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// The address cannot be one of a server.
    #[error("{url}: {reason}; expected an address like http://localhost:8000/v1")]
    Address {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A variable names a proxy that cannot be one.
    #[error(
        "{variable} is {value}: not the address of a proxy; expected one like \
         http://proxy:3128 or socks5://proxy:1080, or nothing for none"
    )]
    Proxy {
        /// The environment variable.
        variable: String,
        /// What it holds.
        value: String,
    },
    /// Nothing answers at the address.
    #[error(
        "{url}: no answer: {reason}; is the server running, and is this its address and port? \
         Many take minutes to load a model: wait until it says that it is ready"
    )]
    Unreachable {
        /// What was asked for.
        url: String,
        /// The system's reason.
        reason: String,
    },
    /// The server's certificate is not trusted.
    #[error(
        "{url}: {reason}; the certificate is not one that this machine trusts. \
         SSL_CERT_FILE names a file with certificates to trust instead"
    )]
    Certificate {
        /// What was asked for.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The server does not do what it is asked to.
    #[error("{url}: the server answered {status}: {message}{remedy}")]
    Refused {
        /// What was asked for.
        url: String,
        /// HTTP status.
        status: u16,
        /// The server's own words.
        message: String,
        /// What to do, with what separates it from the message; may be empty.
        remedy: String,
    },
    /// No model was named, and the server does not serve exactly one.
    #[error("{url}: {reason}; name one with --model")]
    NoModel {
        /// Where the server lists its models.
        url: String,
        /// What it serves.
        reason: String,
    },
    /// The answer is not one of this protocol, or not a completion.
    #[error("{url}: not an answer that can be used: {reason}")]
    Answer {
        /// What was asked for.
        url: String,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// The server asks for more patience than makes sense within one command.
    #[error(
        "{url}: {reason}; the server asks to wait for {} s. Run the same command again after that: \
         it goes on where it stopped", wait.as_secs()
    )]
    ComeBackLater {
        /// What was asked for.
        url: String,
        /// What it answered.
        reason: String,
        /// How long it asks to wait.
        wait: Duration,
    },
    /// Asking again did not help.
    #[error(
        "{url}: {reason} (asked {attempts} times). When the server is well again, run the same \
         command: it goes on where it stopped. --retries asks more often, --concurrency with a \
         smaller number asks more gently"
    )]
    GaveUp {
        /// What was asked for.
        url: String,
        /// Why the last attempt failed.
        reason: String,
        /// Attempts in all.
        attempts: u32,
    },
    /// The caller asked to stop before everything was complete.
    #[error("stopped before all completions were there")]
    Stopped,
}

impl EndpointError {
    /// Whether the user can put it right, rather than whoever runs the server.
    pub fn is_mistake(&self) -> bool {
        match self {
            Self::Address { .. }
            | Self::Proxy { .. }
            | Self::Unreachable { .. }
            | Self::Certificate { .. }
            | Self::NoModel { .. }
            | Self::Answer { .. } => true,
            Self::Refused { status, .. } => *status < 500,
            Self::ComeBackLater { .. } | Self::GaveUp { .. } | Self::Stopped => false,
        }
    }

    /// How much it speaks against asking for anything else, of
    /// [`HOPELESS`](Self::HOPELESS). What is the fault of one request speaks
    /// little, what holds for all of them speaks all.
    pub(crate) fn gravity(&self) -> u32 {
        match self {
            // A prompt that is too long or not allowed, or a setting.
            Self::Refused { status, .. } => match status {
                403 => 10,
                400 | 408..=418 | 421..=425 | 431 | 451 => 1,
                _ => Self::HOPELESS,
            },
            Self::Answer { .. } => 10,
            Self::GaveUp { .. } => 50,
            _ => Self::HOPELESS,
        }
    }

    /// The gravity of failures in a row at which the work ends.
    pub(crate) const HOPELESS: u32 = 100;
}
