//! Why a template does not parse or render.

/// What is wrong with a template, or with what it was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JinjaError {
    /// The source is no template.
    #[error("line {line}: {reason}")]
    Syntax {
        /// The line, from 1.
        line: u32,
        /// What was found, and what was expected.
        reason: String,
    },
    /// The template does something that fails.
    #[error("line {line}: {reason}")]
    Failed {
        /// The line, from 1.
        line: u32,
        /// What failed, much as Python says it.
        reason: String,
    },
    /// The template calls `raise_exception`.
    #[error("{message}")]
    Raised {
        /// The template's own message.
        message: String,
    },
    /// The template needs more than it is allowed.
    #[error("line {line}: {reason}")]
    Limit {
        /// The line, from 1.
        line: u32,
        /// Which limit was reached.
        reason: String,
    },
}

/// A failure on its way out, before it has its line.
#[derive(Debug)]
pub(crate) struct Fault(Box<Kind>);

#[derive(Debug)]
enum Kind {
    Failed(String),
    Raised(String),
    Limit(String),
}

pub(crate) type Result<T> = std::result::Result<T, Fault>;

impl Fault {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self(Box::new(Kind::Failed(reason.into())))
    }

    pub(crate) fn raised(message: String) -> Self {
        Self(Box::new(Kind::Raised(message)))
    }

    pub(crate) fn limit(reason: impl Into<String>) -> Self {
        Self(Box::new(Kind::Limit(reason.into())))
    }

    /// Whether the template may not go on, whatever it would do about a failure.
    pub(crate) fn is_limit(&self) -> bool {
        matches!(*self.0, Kind::Limit(_))
    }

    pub(crate) fn at(self, line: u32) -> JinjaError {
        match *self.0 {
            Kind::Failed(reason) => JinjaError::Failed { line, reason },
            Kind::Raised(message) => JinjaError::Raised { message },
            Kind::Limit(reason) => JinjaError::Limit { line, reason },
        }
    }
}

/// Returns with a [`Fault`] whose reason is formatted.
macro_rules! fail {
    ($($reason:tt)*) => {
        return Err($crate::error::Fault::new(format!($($reason)*)))
    };
}
pub(crate) use fail;
