//! What an environment looks like from outside: its sizes and bounds.

/// The smallest and largest value of each element, both inclusive.
#[derive(Debug, Clone, PartialEq)]
pub struct Bounds {
    /// Smallest values, one an element.
    pub low: Vec<f32>,
    /// Largest values, one an element.
    pub high: Vec<f32>,
}

impl Bounds {
    /// Bounds of `-high` and `high`.
    pub fn symmetric(high: Vec<f32>) -> Self {
        let low = high.iter().map(|high| -high).collect();
        Self { low, high }
    }

    /// `count` elements without bounds.
    pub fn none(count: usize) -> Self {
        Self::symmetric(vec![f32::INFINITY; count])
    }
}

/// What can be done in an environment.
#[derive(Debug, Clone, PartialEq)]
pub enum Actions {
    /// `a` numbers. Beyond the bounds is allowed: as in Gymnasium, what then
    /// happens is the task's matter (mostly the force is clipped and its cost
    /// is not).
    Continuous(Bounds),
    /// One of so many choices, given as a whole number from 0.
    Discrete(usize),
}

impl Actions {
    /// Numbers of an action: `a`, or 1 for a choice.
    pub fn size(&self) -> usize {
        match self {
            Self::Continuous(bounds) => bounds.low.len(),
            Self::Discrete(_) => 1,
        }
    }
}

/// An environment's name, sizes and bounds; known without making it.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// The name, as Gymnasium has it.
    pub name: &'static str,
    /// Bounds of an observation `[o]`.
    pub observations: Bounds,
    /// Kind and bounds of an action `[a]`.
    pub actions: Actions,
    /// Numbers of a state, as [`crate::Environment::set_state`] takes it.
    pub state_size: usize,
    /// Steps after which an episode is truncated.
    pub time_limit: usize,
    /// Whether it needs MuJoCo.
    pub needs_mujoco: bool,
}

impl Spec {
    /// Numbers of an observation, `o`.
    pub fn observation_size(&self) -> usize {
        self.observations.low.len()
    }

    /// Numbers of an action, `a`.
    pub fn action_size(&self) -> usize {
        self.actions.size()
    }
}
