//! Hopper, HalfCheetah, Walker2d and Ant: robots that are to run forward.

use std::ops::{Add, Mul};

use super::limbs::limbs;
use super::simulation::{FORCE_SIZE, Simulation, Sizes};
use super::{Camera, MujocoError, library};
use crate::environment::Task;
use crate::random::Generator;
use crate::sketch::{Part, Scenery, Stroke};
use crate::spec::{Actions, Bounds, Spec};

/// Which robot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Robot {
    Hopper,
    HalfCheetah,
    Walker2d,
    Ant,
}

/// Gymnasium's version of a task.
///
/// v4 has the rules of v2, and so of D4RL: being healthy is worth 1 in every
/// step, that in which the robot falls included; Ant knows nothing of contacts.
/// In v5 a fall is worth nothing, Ant observes contact forces and pays for
/// them, and both feet of Walker2d are equally rough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    V4,
    V5,
}

/// What tells one robot from another.
struct Build {
    file: &'static str,
    text: &'static str,
    positions: usize,
    velocities: usize,
    controls: usize,
    bodies: usize,
    /// Seconds of a simulation step, as the file has it.
    timestep: f64,
    /// Simulation steps a step.
    frame_skip: usize,
    /// Spread of initial states.
    noise: f64,
    /// What the sum of squared controls costs.
    control_cost: f32,
    /// Positions that are not observed: where the robot is on the ground.
    hidden: usize,
}

macro_rules! model {
    ($file:literal) => {
        ($file, include_str!(concat!("../../assets/", $file)))
    };
}

impl Robot {
    fn build(self, rules: Rules) -> Build {
        let (file, text) = match (self, rules) {
            (Self::Hopper, _) => model!("hopper.xml"),
            (Self::HalfCheetah, _) => model!("half_cheetah.xml"),
            (Self::Walker2d, Rules::V4) => model!("walker2d.xml"),
            (Self::Walker2d, Rules::V5) => model!("walker2d_v5.xml"),
            (Self::Ant, _) => model!("ant.xml"),
        };
        let hopper = Build {
            file,
            text,
            positions: 6,
            velocities: 6,
            controls: 3,
            bodies: 5,
            timestep: 0.002,
            frame_skip: 4,
            noise: 0.005,
            control_cost: 1e-3,
            hidden: 1,
        };
        let walker = Build {
            positions: 9,
            velocities: 9,
            controls: 6,
            bodies: 8,
            ..hopper
        };
        match self {
            Self::Hopper => hopper,
            Self::Walker2d => walker,
            Self::HalfCheetah => Build {
                timestep: 0.01,
                frame_skip: 5,
                noise: 0.1,
                control_cost: 0.1,
                ..walker
            },
            Self::Ant => Build {
                positions: 15,
                velocities: 14,
                controls: 8,
                bodies: 14,
                timestep: 0.01,
                frame_skip: 5,
                noise: 0.1,
                control_cost: 0.5,
                hidden: 2,
                ..hopper
            },
        }
    }

    /// Whether contact forces are observed and cost something.
    fn feels_contacts(self, rules: Rules) -> bool {
        (self, rules) == (Self::Ant, Rules::V5)
    }
}

/// The torso of Ant among its bodies; body 0 is the world.
const TORSO: usize = 1;

/// What the sum of squared contact forces costs.
const CONTACT_COST: f64 = 5e-4;

/// A robot in its simulation.
pub(crate) struct Locomotion {
    robot: Robot,
    rules: Rules,
    build: Build,
    simulation: Simulation,
    /// Positions, then velocities, as they are now.
    state: Vec<f64>,
    /// The same in the model's own pose.
    rest: Vec<f64>,
    controls: Vec<f64>,
    /// How far the robot is, along x.
    x: f64,
    /// External forces on all bodies, between -1 and 1; empty where they do not
    /// matter.
    forces: Vec<f64>,
}

impl Locomotion {
    pub(crate) fn new(robot: Robot, rules: Rules) -> Result<Self, MujocoError> {
        let build = robot.build(rules);
        let feels_contacts = robot.feels_contacts(rules);
        let sizes = Sizes {
            state: build.positions + build.velocities,
            controls: build.controls,
            bodies: build.bodies,
        };
        let simulation =
            Simulation::new(library()?, build.file, build.text, sizes, feels_contacts)?;
        let mut rest = vec![0.0; sizes.state];
        simulation.state(&mut rest);
        let forces = if feels_contacts {
            FORCE_SIZE * build.bodies
        } else {
            0
        };
        Ok(Self {
            state: rest.clone(),
            rest,
            controls: vec![0.0; build.controls],
            x: 0.0,
            forces: vec![0.0; forces],
            robot,
            rules,
            build,
            simulation,
        })
    }

    pub(crate) fn spec(name: &'static str, robot: Robot, rules: Rules) -> Spec {
        let build = robot.build(rules);
        let state_size = build.positions + build.velocities;
        let mut observed = state_size - build.hidden;
        if robot.feels_contacts(rules) {
            observed += FORCE_SIZE * (build.bodies - 1);
        }
        Spec {
            name,
            observations: Bounds::none(observed),
            actions: Actions::Continuous(Bounds::symmetric(vec![1.0; build.controls])),
            state_size,
            time_limit: 1000,
            needs_mujoco: true,
        }
    }

    /// Reads what the simulation has come to.
    fn read(&mut self) {
        self.simulation.state(&mut self.state);
        self.x = match self.robot {
            Robot::Ant => self.simulation.body_position(TORSO)[0],
            _ => self.state[0],
        };
        if !self.forces.is_empty() {
            self.simulation.contact_forces(&mut self.forces);
            for force in &mut self.forces {
                *force = force.clamp(-1.0, 1.0);
            }
        }
    }

    /// Whether the robot stands as it should. HalfCheetah may do as it likes.
    fn is_healthy(&self) -> bool {
        let inside = |x: f64, low: f64, high: f64| low < x && x < high;
        let state = &self.state;
        match self.robot {
            Robot::Hopper => {
                state[2..].iter().all(|&x| inside(x, -100.0, 100.0))
                    && inside(state[1], 0.7, f64::INFINITY)
                    && inside(state[2], -0.2, 0.2)
            }
            Robot::Walker2d => inside(state[1], 0.8, 2.0) && inside(state[2], -1.0, 1.0),
            Robot::Ant => state.iter().all(|x| x.is_finite()) && (0.2..=1.0).contains(&state[2]),
            Robot::HalfCheetah => true,
        }
    }

    /// What a step is worth beside the way that was made.
    fn healthy_reward(&self, is_healthy: bool) -> f64 {
        match (self.robot, self.rules) {
            (Robot::HalfCheetah, _) => 0.0,
            (_, Rules::V4) => 1.0,
            (_, Rules::V5) => f64::from(is_healthy),
        }
    }
}

impl Task for Locomotion {
    fn initial_state(&mut self, random: &mut Generator) -> Vec<f64> {
        let noise = self.build.noise;
        let velocities_are_normal = matches!(self.robot, Robot::HalfCheetah | Robot::Ant);
        let draw = |(index, rest): (usize, &f64)| {
            if index >= self.build.positions && velocities_are_normal {
                rest + noise * random.normal()
            } else {
                rest + random.uniform(-noise, noise)
            }
        };
        self.rest.iter().enumerate().map(draw).collect()
    }

    fn set_state(&mut self, state: &[f64]) {
        self.simulation.set_state(state);
        self.read();
    }

    fn state(&self) -> &[f64] {
        &self.state
    }

    fn step(&mut self, action: &[f32]) -> (f64, bool) {
        for (control, &action) in self.controls.iter_mut().zip(action) {
            *control = f64::from(action);
        }
        let before = self.x;
        self.simulation.step(&self.controls, self.build.frame_skip);
        self.read();
        let seconds = self.build.timestep * self.build.frame_skip as f64;
        let speed = (self.x - before) / seconds;
        let is_healthy = self.is_healthy();
        // NumPy multiplies and adds f32 actions in f32.
        let mut cost = f64::from(self.build.control_cost * sum_of_squares(action));
        if !self.forces.is_empty() {
            cost += CONTACT_COST * sum_of_squares(&self.forces);
        }
        let reward = speed + self.healthy_reward(is_healthy) - cost;
        (reward, !is_healthy)
    }

    fn observe(&self, observation: &mut [f64]) {
        let (state, forces) = observation.split_at_mut(self.state.len() - self.build.hidden);
        state.copy_from_slice(&self.state[self.build.hidden..]);
        if matches!(self.robot, Robot::Hopper | Robot::Walker2d) {
            for velocity in &mut state[self.build.positions - self.build.hidden..] {
                *velocity = velocity.clamp(-10.0, 10.0);
            }
        }
        // Those on the world are left out.
        if !forces.is_empty() {
            forces.copy_from_slice(&self.forces[FORCE_SIZE..]);
        }
    }

    fn scenery(&self) -> Scenery {
        Scenery {
            strokes: Vec::new(),
            seconds: self.build.timestep * self.build.frame_skip as f64,
            view: [[-1.6, -0.2], [1.6, 1.8]],
            follows: true,
        }
    }

    fn camera(&self, size: [usize; 2]) -> Option<Result<Camera, MujocoError>> {
        Some(library().and_then(|library| Camera::new(library, &self.simulation, size)))
    }

    fn photograph(&self, camera: &mut Camera) -> Vec<u8> {
        camera.photograph(&self.simulation)
    }

    fn sketch(&self) -> Vec<Stroke> {
        let limbs = limbs(self.build.text).into_iter().map(|limb| {
            let ends = limb.ends.map(|end| {
                let [x, _, z] = self.simulation.body_point(limb.body, end);
                [x, z]
            });
            let part = match limb.is_other_side {
                true => Part::OtherSide,
                false => Part::Body,
            };
            Stroke::line(part, ends[0], ends[1], limb.radius)
        });
        limbs.collect()
    }
}

/// `np.sum(np.square(x))`, in NumPy's order of additions for up to 128
/// elements: eight sums side by side, which are then added in pairs.
fn sum_of_squares<T>(x: &[T]) -> T
where
    T: Copy + Default + Add<Output = T> + Mul<Output = T>,
{
    let (blocks, rest) = x.as_chunks::<8>();
    let sum = blocks
        .iter()
        .map(|block| block.map(|x| x * x))
        .reduce(|sums, squares| std::array::from_fn(|lane| sums[lane] + squares[lane]))
        .map(|[a, b, c, d, e, f, g, h]| ((a + b) + (c + d)) + ((e + f) + (g + h)));
    rest.iter()
        .fold(sum.unwrap_or_default(), |sum, &x| sum + x * x)
}
