//! Environments by name.

use crate::classic::{CartPole, Layout, MountainCar, Pendulum, PointMaze};
use crate::environment::{Environment, Task};
use crate::error::ControlError;
use crate::mujoco::{Locomotion, MujocoError, Robot, Rules};
use crate::spec::Spec;

/// What an environment's name stands for.
#[derive(Clone, Copy)]
enum Kind {
    Pendulum,
    CartPole,
    MountainCar,
    PointMaze(Layout),
    Locomotion(Robot, Rules),
}

const ENVIRONMENTS: [(&str, Kind); 14] = [
    ("CartPole-v1", Kind::CartPole),
    ("MountainCarContinuous-v0", Kind::MountainCar),
    ("Pendulum-v1", Kind::Pendulum),
    ("PointMaze-UMaze-v0", Kind::PointMaze(Layout::U)),
    ("PointMaze-Medium-v0", Kind::PointMaze(Layout::MEDIUM)),
    ("PointMaze-Large-v0", Kind::PointMaze(Layout::LARGE)),
    ("Hopper-v4", Kind::Locomotion(Robot::Hopper, Rules::V4)),
    ("Hopper-v5", Kind::Locomotion(Robot::Hopper, Rules::V5)),
    (
        "HalfCheetah-v4",
        Kind::Locomotion(Robot::HalfCheetah, Rules::V4),
    ),
    (
        "HalfCheetah-v5",
        Kind::Locomotion(Robot::HalfCheetah, Rules::V5),
    ),
    ("Walker2d-v4", Kind::Locomotion(Robot::Walker2d, Rules::V4)),
    ("Walker2d-v5", Kind::Locomotion(Robot::Walker2d, Rules::V5)),
    ("Ant-v4", Kind::Locomotion(Robot::Ant, Rules::V4)),
    ("Ant-v5", Kind::Locomotion(Robot::Ant, Rules::V5)),
];

impl Kind {
    fn spec(self, name: &'static str) -> Spec {
        match self {
            Self::Pendulum => Pendulum::spec(name),
            Self::CartPole => CartPole::spec(name),
            Self::MountainCar => MountainCar::spec(name),
            Self::PointMaze(layout) => PointMaze::spec(name, layout),
            Self::Locomotion(robot, rules) => Locomotion::spec(name, robot, rules),
        }
    }

    fn task(self) -> Result<Box<dyn Task>, MujocoError> {
        Ok(match self {
            Self::Pendulum => Box::new(Pendulum::new()),
            Self::CartPole => Box::new(CartPole::new()),
            Self::MountainCar => Box::new(MountainCar::new()),
            Self::PointMaze(layout) => Box::new(PointMaze::new(layout)),
            Self::Locomotion(robot, rules) => Box::new(Locomotion::new(robot, rules)?),
        })
    }
}

/// All environments, those that need MuJoCo last.
pub fn environments() -> impl Iterator<Item = Spec> {
    ENVIRONMENTS.into_iter().map(|(name, kind)| kind.spec(name))
}

/// Makes an environment by its name, as `Hopper-v4`.
///
/// # Errors
/// If there is none of this name, or it needs MuJoCo, which cannot be used.
pub fn make(name: &str) -> Result<Environment, ControlError> {
    let Some((name, kind)) = ENVIRONMENTS.into_iter().find(|known| known.0 == name) else {
        return Err(ControlError::UnknownEnvironment {
            name: name.to_owned(),
            nearest: nearest(name),
        });
    };
    let task = kind
        .task()
        .map_err(|source| ControlError::Mujoco { name, source })?;
    Ok(Environment::new(kind.spec(name), task))
}

/// The name most like `name`, whatever the case of its letters, if one is like it.
fn nearest(name: &str) -> Option<&'static str> {
    const LIKE: f64 = 0.85;
    let name = name.to_lowercase();
    let likeness = |known: &str| strsim::jaro_winkler(&name, &known.to_lowercase());
    let names = ENVIRONMENTS.map(|(known, _)| known).into_iter();
    names
        .map(|known| (likeness(known), known))
        .filter(|(likeness, _)| *likeness > LIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}
