//! Telling a user's mistake (exit status 2) from a failure (exit status 1).

use iwsft_control::{ControlError, LearnedError, PolicyError};
use iwsft_data::DataError;
use iwsft_data::curation::CurationError;
use iwsft_data::episodes::EpisodeError;
use iwsft_endpoint::EndpointError;
use iwsft_eval::benchmark::BenchmarkError;
use iwsft_files::{JournalError, LockError};
use iwsft_lm::LmError;
use iwsft_objective::ObjectiveError;
use iwsft_objective::policy_gradient::PolicyGradientError;
use iwsft_train::TrainError;

/// Something that the user can put right, as the message says.
#[derive(Debug)]
pub(crate) struct Mistake(String);

impl Mistake {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Mistake {}

/// The error and its causes as one line. Many errors tell their cause already;
/// nobody needs to read it twice.
pub(crate) fn message(error: &anyhow::Error) -> String {
    let mut message = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !message.contains(&cause) {
            message += &format!(": {cause}");
        }
    }
    message
}

/// Whether writing failed only because nobody reads on (`| head`).
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.root_cause().downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// The exit status for an error: 2 where the user's input is at fault. The
/// outermost error that can tell does: a checkpoint that cannot be written is
/// a failure, whatever the writer of the model's files says.
pub(crate) fn exit_status(error: &anyhow::Error) -> u8 {
    match error.chain().find_map(is_mistake) {
        Some(true) => 2,
        Some(false) | None => 1,
    }
}

fn is_mistake(error: &(dyn std::error::Error + 'static)) -> Option<bool> {
    if let Some(error) = error.downcast_ref::<TrainError>() {
        return Some(!matches!(
            error,
            TrainError::NonFinite { .. } | TrainError::Save { .. } | TrainError::Io { .. }
        ));
    }
    if let Some(error) = error.downcast_ref::<LmError>() {
        return Some(!matches!(error, LmError::Io { action, .. } if *action != "read"));
    }
    if let Some(error) = error.downcast_ref::<JournalError>() {
        return Some(match error {
            JournalError::Io { .. } => false,
            JournalError::Lock(error) => is_in_the_way(error),
            JournalError::OtherWork { .. } | JournalError::Entry { .. } => true,
        });
    }
    if let Some(error) = error.downcast_ref::<LockError>() {
        return Some(is_in_the_way(error));
    }
    if let Some(error) = error.downcast_ref::<EndpointError>() {
        return Some(error.is_mistake());
    }
    if let Some(error) = error.downcast_ref::<ControlError>() {
        return Some(matches!(
            error,
            ControlError::UnknownEnvironment { .. }
                | ControlError::Mujoco { .. }
                | ControlError::Camera { .. }
                | ControlError::NoRule { .. }
        ));
    }
    if let Some(error) = error.downcast_ref::<PolicyError>() {
        return Some(!matches!(error, PolicyError::Io { action, .. } if *action != "read"));
    }
    if let Some(error) = error.downcast_ref::<LearnedError>() {
        return Some(!matches!(error, LearnedError::Io { action, .. } if *action != "read"));
    }
    if let Some(error) = error.downcast_ref::<EpisodeError>() {
        return Some(!matches!(error, EpisodeError::Write { .. }));
    }
    let others = error.is::<Mistake>()
        || error.is::<DataError>()
        || error.is::<CurationError>()
        || error.is::<ObjectiveError>()
        || error.is::<PolicyGradientError>()
        || error.is::<BenchmarkError>();
    others.then_some(true)
}

/// Whether a lock cannot be had for another process, or for what lies in its
/// place.
fn is_in_the_way(error: &LockError) -> bool {
    match error {
        LockError::Held { .. } => true,
        LockError::Open { source, .. } => source.kind() == std::io::ErrorKind::InvalidInput,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full_disk(action: &'static str) -> LmError {
        LmError::Io {
            path: "model".into(),
            action,
            source: std::io::Error::other("no space left"),
        }
    }

    #[test]
    fn a_write_that_fails_is_a_failure_and_a_read_that_fails_a_mistake() {
        let save = TrainError::Save {
            path: "run".into(),
            last_good: None,
            source: Box::new(full_disk("write")),
        };
        assert_eq!(exit_status(&save.into()), 1);
        assert_eq!(exit_status(&full_disk("write").into()), 1);
        assert_eq!(exit_status(&full_disk("read").into()), 2);
        let mistake = anyhow::Error::from(Mistake::new("no")).context("while reading");
        assert_eq!(exit_status(&mistake), 2);
        assert_eq!(exit_status(&anyhow::anyhow!("unheard of")), 1);
    }

    #[test]
    fn a_cause_that_the_error_tells_itself_is_told_once() {
        let error = anyhow::Error::from(full_disk("write")).context("the run ended");
        assert_eq!(
            message(&error),
            "the run ended: model: cannot write: no space left"
        );
    }
}
