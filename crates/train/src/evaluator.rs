//! A look at the policy while it trains, beyond the loss.

use iwsft_engine::{Policy, Tensor};
use serde_json::{Map, Value};

use crate::SourceError;

/// Looks at the policy from time to time: has it answer questions, say, or walk.
/// An [`Observer`](crate::Observer) is only told figures.
///
/// It sees the policy and its parameters and cannot change them, so a run with
/// evaluations has the same numbers as one without. What it returns is logged as
/// a record of kind `eval` in `metrics.jsonl` and shown by the run's observer.
pub trait Evaluator<P: Policy> {
    /// Evaluates the policy with these parameters; `None` where that was broken
    /// off and there is nothing to log.
    ///
    /// # Errors
    /// Whatever should end the run.
    fn evaluate(
        &mut self,
        policy: &P,
        parameters: &Tensor,
    ) -> Result<Option<Map<String, Value>>, SourceError>;
}
