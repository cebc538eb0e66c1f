//! What can go wrong with an environment.

use crate::mujoco::MujocoError;

/// An error of this crate. Every message says what was found, what was
/// expected and, where there is one, the remedy.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// There is no environment of this name.
    #[error(
        "there is no environment `{name}`; {}`iwsft control environments` lists them all",
        nearest.map_or(String::new(), |nearest| format!("did you mean `{nearest}`? "))
    )]
    UnknownEnvironment {
        /// What was asked for.
        name: String,
        /// The most similar name, if any is similar.
        nearest: Option<&'static str>,
    },
    /// MuJoCo cannot be used.
    #[error("{name} needs MuJoCo: {source}")]
    Mujoco {
        /// The environment.
        name: &'static str,
        /// Why not.
        source: MujocoError,
    },
    /// There is nothing that its camera could be.
    #[error("{name} is drawn as a sketch, not by MuJoCo; let the picture's name end in .svg")]
    Camera {
        /// The environment.
        name: &'static str,
    },
    /// A slice does not have the length that an environment has it with.
    #[error("{name}: the {what} has {found} numbers; it must have {expected}")]
    Length {
        /// The environment.
        name: &'static str,
        /// `action`, `observation` or `state`.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length that it must have.
        expected: usize,
    },
    /// An action has an element that is not finite, or is none of the choices.
    #[error("{name}: element {index} of the action is {found}; it must be {expected}")]
    Action {
        /// The environment.
        name: &'static str,
        /// Index of the element, from 0.
        index: usize,
        /// The element.
        found: f32,
        /// What it must be.
        expected: String,
    },
    /// A state has an element that is not finite.
    #[error("{name}: element {index} of the state is {found}; it must be finite")]
    State {
        /// The environment.
        name: &'static str,
        /// Index of the element, from 0.
        index: usize,
        /// The element.
        found: f64,
    },
    /// A step was asked for outside of an episode.
    #[error("{name}: no episode is running; reset the environment before the next step")]
    NoEpisode {
        /// The environment.
        name: &'static str,
    },
    /// There is no written rule for an environment.
    #[error("there is no written rule for {name}; the one there is swings up Pendulum-v1")]
    NoRule {
        /// The environment.
        name: &'static str,
    },
}
