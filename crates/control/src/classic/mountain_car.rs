//! `MountainCarContinuous-v0`: gather speed in a valley to get up its right side.

use super::observe_f32;
use crate::environment::Task;
use crate::random::Generator;
use crate::sketch::{Part, Scenery, Stroke};
use crate::spec::{Actions, Bounds, Spec};

/// Where the valley ends on both sides.
const ENDS: [f64; 2] = [-1.2, 0.6];
const MAX_SPEED: f64 = 0.07;
/// The flag on the right side.
const GOAL: f64 = 0.45;
/// Acceleration by the engine and by gravity, a step.
const POWER: f64 = 0.0015;
const GRAVITY: f64 = 0.0025;

/// The car. Gymnasium begins an episode in f64 and goes on in f32 after the
/// first step; so does this.
pub(crate) struct MountainCar {
    /// Position and speed.
    state: [f64; 2],
    /// Whether the next step is the episode's first.
    is_first: bool,
}

impl MountainCar {
    pub(crate) fn new() -> Self {
        Self {
            state: [-0.5, 0.0],
            is_first: true,
        }
    }

    pub(crate) fn spec(name: &'static str) -> Spec {
        let [left, right] = ENDS.map(|end| end as f32);
        let speed = MAX_SPEED as f32;
        Spec {
            name,
            observations: Bounds {
                low: vec![left, -speed],
                high: vec![right, speed],
            },
            actions: Actions::Continuous(Bounds::symmetric(vec![1.0])),
            state_size: 2,
            time_limit: 999,
            needs_mujoco: false,
        }
    }

    /// Rounds to the precision of this step.
    fn round(&self, x: f64) -> f64 {
        if self.is_first {
            x
        } else {
            f64::from(x as f32)
        }
    }

    /// What a step of this action adds to the speed.
    fn acceleration(&self, action: f32) -> f64 {
        let gravity = GRAVITY * self.round(3.0 * self.state[0]).cos();
        if action.abs() > 1.0 {
            // A clipped force is Python's own number, an f64.
            return self.round(f64::from(action.signum()) * POWER - gravity);
        }
        // One within the bounds stays an f32, and so does its difference.
        f64::from(action * POWER as f32 - gravity as f32)
    }
}

impl Task for MountainCar {
    fn initial_state(&mut self, random: &mut Generator) -> Vec<f64> {
        vec![random.uniform(-0.6, -0.4), 0.0]
    }

    fn set_state(&mut self, state: &[f64]) {
        self.state.copy_from_slice(state);
        self.is_first = true;
    }

    fn state(&self) -> &[f64] {
        &self.state
    }

    fn step(&mut self, action: &[f32]) -> (f64, bool) {
        // A sum of two f32, taken in f64 and rounded, is rounded
        // as f32 arithmetic rounds it. Limits are compared in the same precision.
        let limit = self.round(MAX_SPEED);
        let [left, right] = ENDS.map(|end| self.round(end));
        let mut speed = self.round(self.state[1] + self.acceleration(action[0]));
        speed = speed.clamp(-limit, limit);
        let mut position = self.round(self.state[0] + speed);
        position = position.clamp(left, right);
        if position == left && speed < 0.0 {
            speed = 0.0;
        }
        let is_over = position >= self.round(GOAL) && speed >= 0.0;
        let effort = f64::from(action[0]) * f64::from(action[0]);
        let prize = if is_over { 100.0 } else { 0.0 };
        self.state = [position, speed].map(|number| f64::from(number as f32));
        self.is_first = false;
        (prize - effort * 0.1, is_over)
    }

    fn observe(&self, observation: &mut [f64]) {
        observe_f32(&self.state, observation);
    }

    fn scenery(&self) -> Scenery {
        const PIECES: u32 = 60;
        let [left, right] = ENDS;
        let point = |piece: u32| hill(left + (right - left) * f64::from(piece) / f64::from(PIECES));
        let pieces = (0..PIECES)
            .map(|piece| Stroke::line(Part::World, point(piece), point(piece + 1), 0.01));
        let [x, z] = hill(GOAL);
        let flag = Stroke::line(Part::Goal, [x, z], [x, z + 0.2], 0.01);
        Scenery {
            strokes: pieces.chain([flag]).collect(),
            seconds: 1.0 / 30.0,
            view: [[left, 0.0], [right, 1.3]],
            follows: false,
        }
    }

    fn sketch(&self) -> Vec<Stroke> {
        let [x, z] = hill(self.state[0]);
        vec![Stroke::disc(Part::Body, [x, z + 0.05], 0.05)]
    }
}

/// The road at `x`, as Gymnasium draws it.
fn hill(x: f64) -> [f64; 2] {
    [x, 0.45 * (3.0 * x).sin() + 0.55]
}
