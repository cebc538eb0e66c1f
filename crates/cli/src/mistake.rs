//! Telling a user's mistake (exit status 2) from a failure (exit status 1).

use iwsft_data::DataError;
use iwsft_lm::LmError;
use iwsft_objective::ObjectiveError;
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

/// The exit status for an error: 2 where the user's input is at fault.
pub(crate) fn exit_status(error: &anyhow::Error) -> u8 {
    let is_mistake = error.chain().any(|cause| {
        cause.is::<Mistake>()
            || cause.is::<DataError>()
            || cause.is::<LmError>()
            || cause.is::<ObjectiveError>()
            || cause.downcast_ref::<TrainError>().is_some_and(|error| {
                !matches!(
                    error,
                    TrainError::NonFinite { .. } | TrainError::Save { .. } | TrainError::Io { .. }
                )
            })
    });
    if is_mistake { 2 } else { 1 }
}
