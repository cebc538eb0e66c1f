//! Log-probabilities of a whole data set under one set of parameters.

use iwsft_engine::{Policy, Tensor};

use crate::{TrainError, Trajectories, micro_batches};

/// Log-probabilities of every step of every trajectory.
#[derive(Debug, Clone, PartialEq)]
pub struct LogProbs {
    /// Trajectory `i` owns `values[starts[i]..starts[i + 1]]`.
    pub(crate) starts: Vec<usize>,
    pub(crate) values: Vec<f32>,
}

impl LogProbs {
    /// Those of trajectory `index`, one for each of its steps.
    ///
    /// # Panics
    /// If there is no such trajectory.
    pub fn get(&self, index: usize) -> &[f32] {
        &self.values[self.starts[index]..self.starts[index + 1]]
    }

    /// Number of trajectories.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there is no trajectory.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The plain negative log-likelihood per step, in nats: `-sum(log p) / s`
    /// over the `s` steps of `trajectories` whose weight is not 0, each
    /// counting the same.
    pub fn nll<T: Trajectories>(&self, trajectories: &T) -> f64 {
        let mut weights = Vec::new();
        let (mut sum, mut steps) = (0.0, 0_u64);
        for index in 0..self.len() {
            let values = self.get(index);
            weights.resize(values.len(), 1.0);
            trajectories.step_weight(index, &mut weights);
            for (&value, _) in values.iter().zip(&weights).filter(|(_, w)| **w > 0.0) {
                sum += f64::from(value);
                steps += 1;
            }
        }
        -sum / steps.max(1) as f64
    }

    /// A hash of every value and of where each trajectory starts.
    pub fn fingerprint(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        for start in &self.starts {
            hasher.update(&(*start as u64).to_le_bytes());
        }
        for value in &self.values {
            hasher.update(&value.to_le_bytes());
        }
        hasher.finalize()
    }

    /// Refuses log-probabilities that do not belong to `trajectories`.
    ///
    /// # Errors
    /// [`TrainError::Data`] naming the first row whose number of steps differs.
    pub fn check<T: Trajectories>(&self, trajectories: &T) -> Result<(), TrainError> {
        if self.len() != trajectories.len() {
            return Err(TrainError::Data(format!(
                "there are log-probabilities of {} trajectories and {} trajectories; score this data again",
                self.len(),
                trajectories.len()
            )));
        }
        let steps = |index| trajectories.steps(index);
        match (0..self.len()).find(|&index| self.get(index).len() != steps(index)) {
            None => Ok(()),
            Some(index) => Err(TrainError::Data(format!(
                "{} has {} steps with loss and {} log-probabilities; score this data again",
                trajectories.describe(index),
                steps(index),
                self.get(index).len()
            ))),
        }
    }
}

/// Computes the log-probabilities of all `trajectories` under `parameters`, in
/// passes of at most `micro_tokens` rows. `progress` gets the number of
/// trajectories done after each pass.
pub fn score<P, T>(
    policy: &mut P,
    parameters: &Tensor,
    trajectories: &T,
    micro_tokens: usize,
    progress: &mut dyn FnMut(usize),
) -> LogProbs
where
    P: Policy,
    T: Trajectories<Batch = P::Batch>,
{
    let indices: Vec<_> = (0..trajectories.len()).collect();
    let mut starts = vec![0];
    let mut end = 0;
    for &index in &indices {
        end += trajectories.steps(index);
        starts.push(end);
    }
    let mut values = vec![0.0; end];

    let mut scores = Vec::new();
    let mut done = 0;
    for part in micro_batches(trajectories, &indices, micro_tokens) {
        let part = &part.trajectories;
        let batch = trajectories.batch(part);
        scores.resize(P::steps(&batch), 0.0);
        policy.log_probs(parameters, &batch, &mut scores);
        let mut rest = scores.as_slice();
        for &index in part {
            let (own, after) = rest.split_at(trajectories.steps(index));
            values[starts[index]..starts[index + 1]].copy_from_slice(own);
            rest = after;
        }
        done += part.len();
        progress(done);
    }
    LogProbs { starts, values }
}
