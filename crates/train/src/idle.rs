//! Rows that carry no loss, said before a run begins.

use iwsft_objective::Quality;

use crate::{TrainError, Trajectories};

/// Trajectories that no step can learn from, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Idle {
    trajectories: usize,
    /// With `weight = 0`.
    weight: usize,
    /// With quality 0, where the objective looks at it.
    quality: usize,
    /// Without a step whose weight is above 0.
    masked: usize,
}

impl Idle {
    pub(crate) fn of<T: Trajectories>(data: &T, quality: Quality) -> Self {
        let mut idle = Self {
            trajectories: data.len(),
            weight: 0,
            quality: 0,
            masked: 0,
        };
        let mut weights = Vec::new();
        for index in 0..data.len() {
            weights.resize(data.steps(index), 1.0);
            data.step_weight(index, &mut weights);
            if data.weight(index) == 0.0 {
                idle.weight += 1;
            } else if quality != Quality::Off && data.quality(index) == 0.0 {
                idle.quality += 1;
            } else if weights.iter().all(|&weight| weight == 0.0) {
                idle.masked += 1;
            }
        }
        idle
    }

    fn count(self) -> usize {
        self.weight + self.quality + self.masked
    }

    pub(crate) fn any(self) -> bool {
        self.count() > 0
    }

    /// Refuses data that nothing at all can be learnt from.
    pub(crate) fn leave_something(self) -> Result<(), TrainError> {
        if self.count() < self.trajectories {
            return Ok(());
        }
        Err(TrainError::Data(format!(
            "nothing can be learnt from {self}; check the columns `weight` and `score` (or \
             `reward`), the weights of messages, and `objective.quality`"
        )))
    }
}

impl std::fmt::Display for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (count, all) = (self.count(), self.trajectories);
        let reasons: Vec<String> = [
            (self.weight, "with weight 0"),
            (self.quality, "with quality 0"),
            (self.masked, "whose steps all have weight 0"),
        ]
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
        write!(f, "{count} of {all} trajectories ({})", reasons.join(", "))
    }
}
