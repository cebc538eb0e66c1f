//! What the training loop needs to know of a data set.

/// Curated trajectories, addressed by index.
///
/// The loop never looks at tokens or observations. It asks for lengths to
/// pack, for a packed batch to hand to the policy, and for the numbers that an
/// objective weighs a trajectory with.
pub trait Trajectories {
    /// A packed micro-batch, as the policy takes it.
    type Batch;

    /// Number of trajectories.
    fn len(&self) -> usize;

    /// Whether there is no trajectory.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rows (tokens, time steps) that trajectory `index` takes of a
    /// micro-batch, prompt included.
    fn length(&self, index: usize) -> usize;

    /// Steps of trajectory `index` that carry loss: `1..=length(index)`.
    fn steps(&self, index: usize) -> usize;

    /// Writes a weight for each step of trajectory `index` into `out`, which
    /// has `steps(index)` elements. 1 unless the data says otherwise.
    fn step_weight(&self, index: usize, out: &mut [f32]) {
        let _ = index;
        out.fill(1.0);
    }

    /// Reward of trajectory `index` where the data has one.
    fn reward(&self, index: usize) -> Option<f32> {
        let _ = index;
        None
    }

    /// Quality of trajectory `index`, at least 0; 1 where the data has none.
    fn quality(&self, index: usize) -> f32 {
        let _ = index;
        1.0
    }

    /// Weight of trajectory `index`, at least 0; 1 where the data has none.
    fn weight(&self, index: usize) -> f32 {
        let _ = index;
        1.0
    }

    /// Log-probabilities of the steps of trajectory `index` under the
    /// reference policy, where they are a column of the data itself.
    fn reference(&self, index: usize) -> Option<&[f32]> {
        let _ = index;
        None
    }

    /// Log-probabilities of the steps of trajectory `index` under the policy
    /// that drew it, where it is a rollout.
    fn behaviour(&self, index: usize) -> Option<&[f32]> {
        let _ = index;
        None
    }

    /// Advantage of trajectory `index`, where it is a rollout.
    fn advantage(&self, index: usize) -> f32 {
        let _ = index;
        0.0
    }

    /// Where trajectory `index` came from, for messages: `answers.jsonl:17`.
    fn describe(&self, index: usize) -> String;

    /// Packs the trajectories `indices`, in this order, into one micro-batch.
    fn batch(&self, indices: &[usize]) -> Self::Batch;

    /// A hash of everything that training can see of the data. Two data sets
    /// with one fingerprint give the same run.
    fn fingerprint(&self) -> blake3::Hash;
}
