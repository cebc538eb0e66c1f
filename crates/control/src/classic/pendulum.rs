//! `Pendulum-v1`: swing a pendulum up and hold it there.

use std::f64::consts::{PI, TAU};

use super::{observe_f32, square};
use crate::environment::Task;
use crate::random::Generator;
use crate::sketch::{Part, Scenery, Stroke};
use crate::spec::{Actions, Bounds, Spec};

/// Largest angular speed in rad/s.
const MAX_SPEED: f64 = 8.0;
/// Largest torque in N m.
const MAX_TORQUE: f32 = 2.0;
/// Seconds a step.
const STEP: f64 = 0.05;
/// `3 g / (2 l)` with g = 10 m/s^2 and l = 1 m.
const GRAVITY: f64 = 15.0;

/// A rod of 1 kg and 1 m on a hinge with a motor. The angle is 0 at the top.
pub(crate) struct Pendulum {
    /// Angle in rad and angular speed in rad/s.
    state: [f64; 2],
}

impl Pendulum {
    pub(crate) fn new() -> Self {
        Self { state: [0.0; 2] }
    }

    pub(crate) fn spec(name: &'static str) -> Spec {
        Spec {
            name,
            observations: Bounds::symmetric(vec![1.0, 1.0, MAX_SPEED as f32]),
            actions: Actions::Continuous(Bounds::symmetric(vec![MAX_TORQUE])),
            state_size: 2,
            time_limit: 200,
            needs_mujoco: false,
        }
    }
}

impl Task for Pendulum {
    fn initial_state(&mut self, random: &mut Generator) -> Vec<f64> {
        vec![random.uniform(-PI, PI), random.uniform(-1.0, 1.0)]
    }

    fn set_state(&mut self, state: &[f64]) {
        self.state.copy_from_slice(state);
    }

    fn state(&self) -> &[f64] {
        &self.state
    }

    fn step(&mut self, action: &[f32]) -> (f64, bool) {
        let [angle, speed] = self.state;
        let torque = action[0].clamp(-MAX_TORQUE, MAX_TORQUE);
        let from_top = (angle + PI).rem_euclid(TAU) - PI;
        // NumPy keeps what stems from the f32 action in f32, up to each sum.
        let cost =
            square(from_top) + 0.1 * square(speed) + f64::from(0.001_f32 * (torque * torque));
        let acceleration = GRAVITY * angle.sin() + f64::from(3.0 * torque);
        let speed = (speed + acceleration * STEP).clamp(-MAX_SPEED, MAX_SPEED);
        self.state = [angle + speed * STEP, speed];
        (-cost, false)
    }

    fn observe(&self, observation: &mut [f64]) {
        let [angle, speed] = self.state;
        observe_f32(&[angle.cos(), angle.sin(), speed], observation);
    }

    fn scenery(&self) -> Scenery {
        Scenery {
            strokes: vec![Stroke::disc(Part::World, [0.0; 2], 0.12)],
            seconds: STEP,
            view: [[-1.25, -1.25], [1.25, 1.25]],
            follows: false,
        }
    }

    fn sketch(&self) -> Vec<Stroke> {
        let (sin, cos) = self.state[0].sin_cos();
        // Turning is counted against the clock, from the top.
        vec![Stroke::line(Part::Body, [0.0; 2], [-sin, cos], 0.08)]
    }
}
