//! Parameters that Adam moves, and the slow copy that targets are computed with.

mod files;

use iwsft_engine::optim::{self, AdamW, AdamWConfig};
use iwsft_engine::{Layout, Tensor};

pub use files::{LearnedError, load_learned, save_learned};

/// Adam as the published programs have it.
const ADAM: AdamWConfig = AdamWConfig {
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    weight_decay: 0.0,
};

/// A gradient was NaN or infinite; nothing was changed by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the {network}'s gradient is not finite in its update {update}; lower the learning rate")]
pub struct Diverged {
    /// Whose.
    pub network: &'static str,
    /// Which of its updates it was, from 1.
    pub update: u64,
}

/// Parameters, their gradient and Adam's moments.
#[derive(Debug)]
pub struct Learned {
    name: &'static str,
    layout: Layout,
    pub(crate) parameters: Tensor,
    pub(crate) gradients: Tensor,
    optimizer: AdamW,
    /// The target network's parameters, for those that have one.
    pub(crate) target: Option<Tensor>,
    updates: u64,
}

/// What has to be kept of [`Learned`] to go on with it.
#[derive(Debug)]
pub struct LearnedState<'a> {
    /// Name and values of each part.
    pub tensors: Vec<(&'static str, &'a mut Tensor)>,
    /// Updates made.
    pub updates: &'a mut u64,
}

impl Learned {
    pub(crate) fn new(name: &'static str, layout: Layout, parameters: Tensor) -> Self {
        Self {
            gradients: Tensor::zeros(layout.len()),
            optimizer: AdamW::new(&layout, ADAM),
            name,
            layout,
            parameters,
            target: None,
            updates: 0,
        }
    }

    /// With a target that begins as the parameters do.
    pub(crate) fn with_target(mut self) -> Self {
        self.target = Some(Tensor::from_host(&self.parameters.to_host()));
        self
    }

    /// What its parts are called after.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Updates made.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// One step of Adam along the gradient, which is cleared.
    pub(crate) fn update(&mut self, learning_rate: f64) -> Result<(), Diverged> {
        let update = self.updates + 1;
        let result = self.optimizer.step(
            &self.layout,
            &mut self.parameters,
            &mut self.gradients,
            update,
            learning_rate,
            1.0,
            None,
        );
        if result.is_err() {
            let network = self.name;
            return Err(Diverged { network, update });
        }
        self.updates = update;
        Ok(())
    }

    /// Moves the target by the share `tau` of its way to the parameters.
    pub(crate) fn follow(&mut self, tau: f64) {
        if let Some(target) = &mut self.target {
            optim::ema(target, &self.parameters, (1.0 - tau) as f32);
        }
    }

    /// Everything that decides how it goes on.
    pub fn state(&mut self) -> LearnedState<'_> {
        let mut tensors = vec![
            ("parameters", &mut self.parameters),
            ("m", &mut self.optimizer.m),
            ("v", &mut self.optimizer.v),
        ];
        tensors.extend(self.target.as_mut().map(|target| ("target", target)));
        LearnedState {
            tensors,
            updates: &mut self.updates,
        }
    }
}
