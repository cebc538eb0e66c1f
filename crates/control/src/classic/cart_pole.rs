//! `CartPole-v1`: keep a pole upright on a cart that is pushed left or right.

use std::f64::consts::PI;

use super::observe_f32;
use crate::environment::Task;
use crate::random::Generator;
use crate::sketch::{Part, Scenery, Stroke};
use crate::spec::{Actions, Bounds, Spec};

/// Masses in kg.
const POLE: f64 = 0.1;
const CART_AND_POLE: f64 = POLE + 1.0;
/// Half of the pole's length in m.
const HALF_LENGTH: f64 = 0.5;
const POLE_MOMENT: f64 = POLE * HALF_LENGTH;
/// Push in N.
const FORCE: f64 = 10.0;
/// Seconds a step.
const STEP: f64 = 0.02;
/// The episode ends where the pole leans by more than 12 degrees...
const MAX_ANGLE: f64 = 12.0 * 2.0 * PI / 360.0;
/// ... or the cart is farther from the middle than so many m.
const MAX_POSITION: f64 = 2.4;

/// The cart and its pole. Action 0 pushes to the left, action 1 to the right.
pub(crate) struct CartPole {
    /// Position and speed of the cart, angle and angular speed of the pole.
    state: [f64; 4],
}

impl CartPole {
    pub(crate) fn new() -> Self {
        Self { state: [0.0; 4] }
    }

    pub(crate) fn spec(name: &'static str) -> Spec {
        let (position, angle) = (2.0 * MAX_POSITION, 2.0 * MAX_ANGLE);
        let high = vec![position as f32, f32::INFINITY, angle as f32, f32::INFINITY];
        Spec {
            name,
            observations: Bounds::symmetric(high),
            actions: Actions::Discrete(2),
            state_size: 4,
            time_limit: 500,
            needs_mujoco: false,
        }
    }
}

impl Task for CartPole {
    fn initial_state(&mut self, random: &mut Generator) -> Vec<f64> {
        (0..4).map(|_| random.uniform(-0.05, 0.05)).collect()
    }

    fn set_state(&mut self, state: &[f64]) {
        self.state.copy_from_slice(state);
    }

    fn state(&self) -> &[f64] {
        &self.state
    }

    /// Equations of motion after Florian, "Correct equations for the dynamics
    /// of the cart-pole system" (2007), without friction, by Euler's method.
    fn step(&mut self, action: &[f32]) -> (f64, bool) {
        let [position, speed, angle, turn] = self.state;
        let force = if action[0] == 1.0 { FORCE } else { -FORCE };
        let (sin, cos) = (angle.sin(), angle.cos());
        let push = (force + POLE_MOMENT * (turn * turn) * sin) / CART_AND_POLE;
        let inertia = HALF_LENGTH * (4.0 / 3.0 - POLE * (cos * cos) / CART_AND_POLE);
        let turn_rate = (9.8 * sin - cos * push) / inertia;
        let acceleration = push - POLE_MOMENT * turn_rate * cos / CART_AND_POLE;
        self.state = [
            position + STEP * speed,
            speed + STEP * acceleration,
            angle + STEP * turn,
            turn + STEP * turn_rate,
        ];
        let is_over = self.state[0].abs() > MAX_POSITION || self.state[2].abs() > MAX_ANGLE;
        (1.0, is_over)
    }

    fn observe(&self, observation: &mut [f64]) {
        observe_f32(&self.state, observation);
    }

    fn scenery(&self) -> Scenery {
        let [left, right] = [-MAX_POSITION, MAX_POSITION].map(|x| [x, 0.0]);
        Scenery {
            strokes: vec![Stroke::line(Part::World, left, right, 0.01)],
            seconds: STEP,
            view: [[-2.8, -0.5], [2.8, 1.4]],
            follows: false,
        }
    }

    fn sketch(&self) -> Vec<Stroke> {
        let [x, _, angle, _] = self.state;
        let (sin, cos) = angle.sin_cos();
        let top = [x + 2.0 * HALF_LENGTH * sin, 2.0 * HALF_LENGTH * cos];
        vec![
            Stroke::line(Part::Body, [x - 0.15, 0.0], [x + 0.15, 0.0], 0.1),
            Stroke::line(Part::OtherSide, [x, 0.0], top, 0.04),
        ]
    }
}
