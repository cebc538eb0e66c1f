//! Gaussian policies, and environments that policies act in: classic tasks in plain Rust, and MuJoCo's
//! robots through a library that is found when the program runs.
//!
//! Names, rules and numbers are Gymnasium's: an environment that is reset with
//! the same seed and given the same f32 actions observes and earns the same
//! bits. That holds for the C library and the processor that the traces in
//! `tests/fixtures` were made with (glibc on x86-64), and for MuJoCo of the
//! version [`MUJOCO_VERSION`]. The point mazes are our own.
//!
//! [`GaussianPolicy`] is a policy that `iwsft-train` trains, and [`rollout`] acts
//! out episodes with one.
//!
//! [`make`] makes one [`Environment`] by its name, [`VectorEnvironment`]
//! several that are stepped on all threads, and [`environments`] lists them.
//!
//! | letter | meaning |
//! | --- | --- |
//! | `n` | environments that are stepped together |
//! | `o` | numbers of an observation |
//! | `a` | numbers of an action |

mod actor;
pub mod baseline;
mod classic;
mod critic;
mod environment;
mod error;
mod learned;
mod mujoco;
mod network;
mod policy;
mod random;
mod registry;
mod replay;
mod rollout;
pub mod sac;
mod sketch;
mod spec;
mod swing_up;
mod temperature;
mod vector;

pub use environment::{Environment, Step, Task};
pub use error::ControlError;
pub use learned::{Diverged, Learned, LearnedError, LearnedState, load_learned, save_learned};
pub use mujoco::{Camera, Library, MUJOCO_INSTALL, MUJOCO_VERSION, MujocoError, library};
pub use policy::{GaussianConfig, GaussianFiles, GaussianPolicy, PolicyError, StepBatch};
pub use random::Generator;
pub use registry::{environments, make};
pub use replay::Transitions;
pub use rollout::rollout;
pub use sketch::{Part, Scenery, Stroke};
pub use spec::{Actions, Bounds, Spec};
pub use swing_up::SwingUp;
pub use vector::{Outcomes, VectorEnvironment};
