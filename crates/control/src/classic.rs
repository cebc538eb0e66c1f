//! Classic tasks, which need nothing installed.

mod cart_pole;
mod mountain_car;
mod pendulum;
mod point_maze;

pub(crate) use cart_pole::CartPole;
pub(crate) use mountain_car::MountainCar;
pub(crate) use pendulum::Pendulum;
pub(crate) use point_maze::{Layout, PointMaze};

/// `x ** 2` as NumPy computes it for a single f64: by the C library's `pow`,
/// whose last bit is not always that of `x * x`. The compiler must not know the
/// exponent, or it multiplies.
fn square(x: f64) -> f64 {
    x.powf(std::hint::black_box(2.0))
}

/// The f32 nearest to each number, as an observation of f32 is kept.
fn observe_f32(numbers: &[f64], observation: &mut [f64]) {
    for (observed, &number) in observation.iter_mut().zip(numbers) {
        *observed = f64::from(number as f32);
    }
}
