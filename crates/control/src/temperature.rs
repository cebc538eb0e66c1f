//! The weight of entropy, learnt such that a policy keeps as much as is wanted
//! (Haarnoja et al., arXiv 1812.05905).

use iwsft_engine::{Layout, Tensor};

use crate::learned::{Diverged, Learned};

/// One number, kept as its logarithm.
#[derive(Debug)]
pub(crate) struct Temperature {
    pub(crate) learned: Learned,
    /// The entropy that is wanted.
    target: f64,
    /// That of the actions it last learnt from.
    entropy: f64,
}

impl Temperature {
    /// Begins at 1, for actions of `a` numbers: the entropy wanted is `-a`.
    pub(crate) fn new(a: usize) -> Self {
        let mut layout = Layout::default();
        layout.push("log_temperature", &[1]);
        Self {
            learned: Learned::new("temperature", layout, Tensor::zeros(1)),
            target: -(a as f64),
            entropy: f64::NAN,
        }
    }

    pub(crate) fn value(&self) -> f32 {
        self.learned.parameters.to_host()[0].exp()
    }

    /// The entropy of the actions that it last learnt from.
    pub(crate) fn entropy(&self) -> f64 {
        self.entropy
    }

    /// One update of `-mean log temperature (log p + target)`.
    pub(crate) fn learn(&mut self, log_probs: &[f32], learning_rate: f64) -> Result<(), Diverged> {
        let mean = super::baseline::mean(log_probs);
        self.entropy = -mean;
        let gradient = -(mean + self.target) as f32;
        self.learned.gradients.copy_from_host(0, &[gradient]);
        self.learned.update(learning_rate)
    }
}
