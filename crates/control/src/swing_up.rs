//! A written rule for `Pendulum-v1`, no learnt policy: it makes data of known
//! origin where nothing is installed.

use crate::environment::Environment;
use crate::error::ControlError;

/// Acceleration by gravity, `3 g / (2 l)`, and by a torque, `3 / (m l^2)`, as
/// `Pendulum-v1` has them.
const GRAVITY: f32 = 15.0;
const TORQUE: f32 = 3.0;
/// The strongest torque in N m.
const STRONGEST: f32 = 2.0;
/// Angle in rad and speed in rad/s up to which the pendulum is held, not swung.
const HOLD_ANGLE: f32 = 0.35;
const HOLD_SPEED: f32 = 2.5;
/// Torque for an angle, for a speed, and for missing energy times speed.
const ANGLE_GAIN: f32 = 9.0;
const SPEED_GAIN: f32 = 2.5;
const ENERGY_GAIN: f32 = 1.0;

/// Swings the pendulum up by pumping energy (Åström and Furuta, Automatica 36
/// (2000), 287-295) and holds it at the top by a torque against angle and speed.
#[derive(Debug, Clone, Copy)]
pub struct SwingUp(());

impl SwingUp {
    /// The rule, for an environment that it is made for.
    ///
    /// # Errors
    /// If that is not `Pendulum-v1`.
    pub fn of(environment: &Environment) -> Result<Self, ControlError> {
        let name = environment.spec().name;
        match name {
            "Pendulum-v1" => Ok(Self(())),
            _ => Err(ControlError::NoRule { name }),
        }
    }

    /// The torque for an observation: cosine and sine of the angle, and speed.
    pub fn act(self, observation: [f32; 3]) -> f32 {
        let [cos, sin, speed] = observation;
        let angle = sin.atan2(cos);
        let torque = if angle.abs() < HOLD_ANGLE && speed.abs() < HOLD_SPEED {
            -(ANGLE_GAIN * angle + SPEED_GAIN * speed)
        } else {
            // Per moment of inertia, and 0 for rest at the top. It changes by
            // TORQUE * torque * speed.
            let energy = 0.5 * speed * speed + GRAVITY * (cos - 1.0);
            // From rest at the bottom any torque is a start.
            let push = if speed == 0.0 { 1.0 } else { speed };
            -ENERGY_GAIN * TORQUE * energy * push
        };
        torque.clamp(-STRONGEST, STRONGEST)
    }
}
