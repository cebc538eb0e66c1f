//! One environment: episodes of a task, with the rules that all tasks share.

use crate::error::ControlError;
use crate::mujoco::{Camera, MujocoError};
use crate::random::Generator;
use crate::sketch::{Scenery, Stroke};
use crate::spec::{Actions, Spec};

/// The dynamics and the reward of a task. What a caller may do wrong is
/// checked by [`Environment`], so none of these can fail.
pub trait Task: Send {
    /// Draws the state that an episode begins in.
    fn initial_state(&mut self, random: &mut Generator) -> Vec<f64>;

    /// Begins an episode in `state`.
    fn set_state(&mut self, state: &[f64]);

    /// The state as it is now. Some tasks carry more from step to step than
    /// this (a single precision, a solver's warm start).
    fn state(&self) -> &[f64];

    /// Does one step of `action` and returns the reward and whether the episode
    /// has ended.
    fn step(&mut self, action: &[f32]) -> (f64, bool);

    /// Writes the observation `[o]`.
    fn observe(&self, observation: &mut [f64]);

    /// What does not move in a picture of it.
    fn scenery(&self) -> Scenery;

    /// What it looks like as it is now; always as many strokes.
    fn sketch(&self) -> Vec<Stroke>;

    /// A camera for it, if it is one of MuJoCo's.
    fn camera(&self, _size: [usize; 2]) -> Option<Result<Camera, MujocoError>> {
        None
    }

    /// What its camera sees now; nothing where it has none.
    fn photograph(&self, _camera: &mut Camera) -> Vec<u8> {
        Vec::new()
    }
}

/// What a step led to, beside the observation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The reward.
    pub reward: f64,
    /// The task is over: nothing follows, so the value of what follows is 0.
    pub terminated: bool,
    /// The time limit is reached; the task itself would go on.
    pub truncated: bool,
}

impl Step {
    /// Whether the episode is over, for whichever reason.
    pub fn is_last(&self) -> bool {
        self.terminated || self.truncated
    }
}

/// An environment, as [`crate::make`] makes it.
///
/// Observations are f64, the precision that MuJoCo computes in. Tasks that
/// Gymnasium observes in f32 are rounded to that first.
///
/// ```
/// let mut pendulum = iwsft_control::make("Pendulum-v1")?;
/// let mut observation = [0.0; 3];
/// pendulum.reset(Some(7), &mut observation)?;
/// let step = pendulum.step(&[0.5], &mut observation)?;
/// assert!(step.reward < 0.0 && !step.is_last());
/// # Ok::<(), iwsft_control::ControlError>(())
/// ```
pub struct Environment {
    spec: Spec,
    task: Box<dyn Task>,
    random: Generator,
    /// Steps of the episode; none where no episode is running.
    elapsed: Option<usize>,
}

impl Environment {
    pub(crate) fn new(spec: Spec, task: Box<dyn Task>) -> Self {
        Self {
            spec,
            task,
            random: Generator::new(0),
            elapsed: None,
        }
    }

    /// Name, sizes and bounds.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Begins an episode in a random state and writes its observation `[o]`.
    ///
    /// A seed leads to the state that Gymnasium's `reset(seed=...)` leads to.
    /// Without one the random numbers go on where they were; a new environment
    /// is as one with seed 0.
    ///
    /// # Errors
    /// If `observation` has another length.
    pub fn reset(
        &mut self,
        seed: Option<u64>,
        observation: &mut [f64],
    ) -> Result<(), ControlError> {
        self.check_observation(observation)?;
        if let Some(seed) = seed {
            self.random = Generator::new(seed);
        }
        let state = self.task.initial_state(&mut self.random);
        self.begin(&state, observation);
        Ok(())
    }

    /// Begins an episode in a given state and writes its observation `[o]`. For
    /// MuJoCo's robots a state is the positions, then the velocities.
    ///
    /// # Errors
    /// If a slice has another length, or a number is not finite.
    pub fn set_state(
        &mut self,
        state: &[f64],
        observation: &mut [f64],
    ) -> Result<(), ControlError> {
        self.check_observation(observation)?;
        self.check_length("state", state.len(), self.spec.state_size)?;
        if let Some(index) = state.iter().position(|number| !number.is_finite()) {
            return Err(ControlError::State {
                name: self.spec.name,
                index,
                found: state[index],
            });
        }
        self.begin(state, observation);
        Ok(())
    }

    /// The state as it is now. Setting it begins a new episode there; that it
    /// then goes on with the same bits is not promised.
    pub fn state(&self) -> &[f64] {
        self.task.state()
    }

    /// What does not move in a picture of it.
    pub fn scenery(&self) -> Scenery {
        self.task.scenery()
    }

    /// What it looks like as it is now; always as many strokes.
    pub fn sketch(&self) -> Vec<Stroke> {
        self.task.sketch()
    }

    /// A camera of MuJoCo's own renderer, for pictures of `[width, height]` pixels, at
    /// most [`Camera::LARGEST`].
    ///
    /// # Errors
    /// [`ControlError::Camera`] if this is no robot of MuJoCo's, and
    /// [`ControlError::Mujoco`] if nothing can be drawn here.
    ///
    /// # Panics
    /// If the pictures would be larger.
    pub fn camera(&self, size: [usize; 2]) -> Result<Camera, ControlError> {
        let name = self.spec.name;
        let camera = self
            .task
            .camera(size)
            .ok_or(ControlError::Camera { name })?;
        camera.map_err(|source| ControlError::Mujoco { name, source })
    }

    /// What its camera sees now: `[height, width, 3]` of red, green and blue.
    ///
    /// # Panics
    /// If the camera is another environment's.
    pub fn photograph(&self, camera: &mut Camera) -> Vec<u8> {
        self.task.photograph(camera)
    }

    /// Does one step and writes the observation `[o]` that it led to.
    ///
    /// # Errors
    /// If no episode is running, a slice has another length, or the action is
    /// not a finite one. Then nothing has happened.
    pub fn step(&mut self, action: &[f32], observation: &mut [f64]) -> Result<Step, ControlError> {
        self.check_observation(observation)?;
        let elapsed = self.check_step(action)? + 1;
        let (reward, terminated) = self.task.step(action);
        self.task.observe(observation);
        let step = Step {
            reward,
            terminated,
            truncated: elapsed >= self.spec.time_limit,
        };
        self.elapsed = (!step.is_last()).then_some(elapsed);
        Ok(step)
    }

    fn begin(&mut self, state: &[f64], observation: &mut [f64]) {
        self.task.set_state(state);
        self.task.observe(observation);
        self.elapsed = Some(0);
    }

    /// Whether `action` can be done now: the steps behind it, or why not.
    pub(crate) fn check_step(&self, action: &[f32]) -> Result<usize, ControlError> {
        let name = self.spec.name;
        let elapsed = self.elapsed.ok_or(ControlError::NoEpisode { name })?;
        self.check_length("action", action.len(), self.spec.action_size())?;
        let bad = |&number: &f32| match self.spec.actions {
            Actions::Continuous(_) => !number.is_finite(),
            Actions::Discrete(count) => !(0..count).any(|choice| choice as f32 == number),
        };
        let Some(index) = action.iter().position(bad) else {
            return Ok(elapsed);
        };
        Err(ControlError::Action {
            name,
            index,
            found: action[index],
            expected: match self.spec.actions {
                Actions::Continuous(_) => "finite".to_owned(),
                Actions::Discrete(count) => format!("a whole number from 0 to {}", count - 1),
            },
        })
    }

    fn check_observation(&self, observation: &[f64]) -> Result<(), ControlError> {
        self.check_length(
            "observation",
            observation.len(),
            self.spec.observation_size(),
        )
    }

    fn check_length(
        &self,
        what: &'static str,
        found: usize,
        expected: usize,
    ) -> Result<(), ControlError> {
        if found == expected {
            return Ok(());
        }
        Err(ControlError::Length {
            name: self.spec.name,
            what,
            found,
            expected,
        })
    }
}
