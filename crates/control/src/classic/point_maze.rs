//! `PointMaze-*-v0`: push a ball through a maze to a goal.
//!
//! The mazes, the ball, the goal's radius, the reward and the time limits are
//! those of D4RL's and Gymnasium-Robotics' PointMaze. Off the walls the ball
//! moves as MuJoCo moves it. At a wall it does not: here the ball is a square
//! that stops dead and slides along, there it is a sphere against soft walls.
//! So results are not comparable digit for digit, and the names differ.

use crate::environment::Task;
use crate::random::Generator;
use crate::sketch::{Part, Scenery, Stroke};
use crate::spec::{Actions, Bounds, Spec};

/// Radius of the ball in m; a cell is 1 m wide.
const RADIUS: f64 = 0.1;
/// kg: a sphere of 1000 kg/m^3.
const MASS: f64 = 1000.0 * 4.0 / 3.0 * std::f64::consts::PI * RADIUS * RADIUS * RADIUS;
/// Force of a full action in N.
const FORCE: f64 = 100.0;
/// Friction in N s/m.
const DAMPING: f64 = 1.0;
/// Seconds a step.
const STEP: f64 = 0.01;
/// Speed along an axis in m/s, to which the ball is slowed before a step.
const MAX_SPEED: f64 = 5.0;
/// The goal is reached within this distance in m.
const GOAL_RADIUS: f64 = 0.45;
/// Start and goal lie this far, in m, from the middle of a cell, at most.
const NOISE: f64 = 0.25;

/// A maze, `#` for a wall. Row 0 is at the top, where y is largest; the middle
/// is at 0, 0.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    rows: &'static [&'static [u8]],
    time_limit: usize,
}

impl Layout {
    pub(crate) const U: Self = Self {
        rows: &[b"#####", b"#   #", b"### #", b"#   #", b"#####"],
        time_limit: 300,
    };

    pub(crate) const MEDIUM: Self = Self {
        rows: &[
            b"########",
            b"#  ##  #",
            b"#  #   #",
            b"##   ###",
            b"#  #   #",
            b"# #  # #",
            b"#   #  #",
            b"########",
        ],
        time_limit: 600,
    };

    pub(crate) const LARGE: Self = Self {
        rows: &[
            b"############",
            b"#    #     #",
            b"# ## # # # #",
            b"#      #   #",
            b"# #### ### #",
            b"#  # #     #",
            b"## # # # ###",
            b"#  #   #   #",
            b"############",
        ],
        time_limit: 800,
    };

    /// Half of the width and half of the height in m.
    fn half(self) -> [f64; 2] {
        [self.rows[0].len(), self.rows.len()].map(|cells| cells as f64 / 2.0)
    }

    /// Whether there is a wall at a point, or the maze ends before it.
    fn is_wall(self, [x, y]: [f64; 2]) -> bool {
        let [half_width, half_height] = self.half();
        let (row, column) = ((half_height - y).floor(), (x + half_width).floor());
        if row < 0.0 || column < 0.0 {
            return true;
        }
        let row = self.rows.get(row as usize);
        row.and_then(|row| row.get(column as usize)) != Some(&b' ')
    }

    /// The middle of each cell without a wall.
    fn cells(self) -> Vec<[f64; 2]> {
        let [half_width, half_height] = self.half();
        let middle = |row, column| {
            [
                column as f64 + 0.5 - half_width,
                half_height - row as f64 - 0.5,
            ]
        };
        let rows = self.rows.iter().enumerate();
        rows.flat_map(|(row, cells)| (0..cells.len()).map(move |column| middle(row, column)))
            .filter(|&cell| !self.is_wall(cell))
            .collect()
    }
}

/// The ball in a maze. An action is a force along x and y; the observation is
/// the position, the velocity and the goal. Each step within the goal's radius
/// is worth 1, every other one 0. Nothing ends an episode but its time limit.
pub(crate) struct PointMaze {
    layout: Layout,
    /// Position, velocity and goal, each x and y.
    state: [f64; 6],
}

impl PointMaze {
    pub(crate) fn new(layout: Layout) -> Self {
        Self {
            layout,
            state: [0.0; 6],
        }
    }

    pub(crate) fn spec(name: &'static str, layout: Layout) -> Spec {
        Spec {
            name,
            observations: Bounds::none(6),
            actions: Actions::Continuous(Bounds::symmetric(vec![1.0; 2])),
            state_size: 6,
            time_limit: layout.time_limit,
            needs_mujoco: false,
        }
    }

    /// Moves along `axis` up to the next wall. A step is shorter than the ball,
    /// so that no wall is jumped over.
    fn slide(&mut self, axis: usize) {
        let velocity = self.state[2 + axis];
        let mut centre = [self.state[0], self.state[1]];
        centre[axis] += STEP * velocity;
        let is_blocked = [-RADIUS, RADIUS].iter().any(|&side| {
            let mut corner = centre;
            corner[axis] += RADIUS.copysign(velocity);
            // Just inside of the ball: touching is not overlapping.
            corner[1 - axis] += side * (1.0 - 1e-9);
            self.layout.is_wall(corner)
        });
        if !is_blocked {
            self.state[axis] = centre[axis];
            return;
        }
        // Walls are at multiples of a cell from the maze's edge.
        let half = self.layout.half()[axis];
        let front = self.state[axis] + RADIUS.copysign(velocity) + half;
        let gap = if velocity > 0.0 {
            (front - 1e-9).ceil() - front
        } else {
            (front + 1e-9).floor() - front
        };
        self.state[axis] += gap;
        self.state[2 + axis] = 0.0;
    }

    fn reaches_goal(&self) -> bool {
        let [x, y, _, _, goal_x, goal_y] = self.state;
        (x - goal_x).hypot(y - goal_y) <= GOAL_RADIUS
    }
}

impl Task for PointMaze {
    fn initial_state(&mut self, random: &mut Generator) -> Vec<f64> {
        let cells = self.layout.cells();
        let goal = random.index(cells.len());
        // Another cell than the goal's.
        let start = (goal + 1 + random.index(cells.len() - 1)) % cells.len();
        let mut near =
            |cell: usize| cells[cell].map(|middle| middle + random.uniform(-NOISE, NOISE));
        let ([goal_x, goal_y], [x, y]) = (near(goal), near(start));
        vec![x, y, 0.0, 0.0, goal_x, goal_y]
    }

    fn set_state(&mut self, state: &[f64]) {
        self.state.copy_from_slice(state);
    }

    fn state(&self) -> &[f64] {
        &self.state
    }

    fn step(&mut self, action: &[f32]) -> (f64, bool) {
        for (axis, &action) in action.iter().enumerate() {
            let force = FORCE * f64::from(action.clamp(-1.0, 1.0));
            let velocity = self.state[2 + axis].clamp(-MAX_SPEED, MAX_SPEED);
            // MuJoCo's Euler step: friction is taken at the step's end.
            let acceleration = (force - DAMPING * velocity) / (MASS + STEP * DAMPING);
            self.state[2 + axis] = velocity + STEP * acceleration;
        }
        self.slide(0);
        self.slide(1);
        (f64::from(self.reaches_goal()), false)
    }

    fn observe(&self, observation: &mut [f64]) {
        observation.copy_from_slice(&self.state);
    }

    fn scenery(&self) -> Scenery {
        let [half_width, half_height] = self.layout.half();
        let rows = self.layout.rows.iter().enumerate();
        let walls = rows.flat_map(|(row, cells)| {
            let y = half_height - row as f64 - 0.5;
            let columns = cells.iter().enumerate();
            columns
                .filter(|(_, cell)| **cell == b'#')
                .map(move |(column, _)| {
                    let x = column as f64 + 0.5 - half_width;
                    Stroke::disc(Part::World, [x, y], 0.5)
                })
        });
        Scenery {
            strokes: walls.collect(),
            seconds: STEP,
            view: [[-half_width, -half_height], [half_width, half_height]],
            follows: false,
        }
    }

    fn sketch(&self) -> Vec<Stroke> {
        let [x, y, _, _, goal_x, goal_y] = self.state;
        vec![
            Stroke::disc(Part::Goal, [goal_x, goal_y], 0.15),
            Stroke::disc(Part::Body, [x, y], RADIUS),
        ]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn off_the_walls_the_ball_moves_by_its_closed_form() {
        let mut maze = PointMaze::new(Layout::U);
        maze.set_state(&[-1.0, 1.0, 0.5, 0.0, 1.0, 1.0]);
        // v' = k v + (1 - k) F / D, with k = M / (M + h D): a geometric series.
        let k = MASS / (MASS + STEP * DAMPING);
        let limit = FORCE * 0.01 / DAMPING;
        for step in 1..=50 {
            maze.step(&[0.01, 0.0]);
            let expected = limit + (0.5 - limit) * k.powi(step);
            assert!((maze.state[2] - expected).abs() < 1e-7, "step {step}");
        }
        assert!(maze.state[0] > -0.8 && maze.state[1] == 1.0);
    }

    #[test]
    fn a_ball_stops_at_a_wall_and_slides_along_it() {
        let mut maze = PointMaze::new(Layout::U);
        maze.set_state(&[0.0, 1.0, 0.0, 0.0, 1.0, 1.0]);
        for _ in 0..30 {
            maze.step(&[0.2, -1.0]);
        }
        // The wall's upper face is at y = 0.5.
        assert!(
            (maze.state[1] - (0.5 + RADIUS)).abs() < 1e-9,
            "{:?}",
            maze.state
        );
        assert!(
            maze.state[0] > 0.1 && maze.state[2] > 0.5,
            "{:?}",
            maze.state
        );
    }

    proptest! {
        #[test]
        fn no_part_of_the_ball_enters_a_wall(
            seed in any::<u64>(),
            pushes in proptest::collection::vec((-2.0..2.0f32, -2.0..2.0f32, 1..60usize), 1..20),
            layout in prop::sample::select(vec![Layout::U, Layout::MEDIUM, Layout::LARGE]),
        ) {
            let mut maze = PointMaze::new(layout);
            let start = maze.initial_state(&mut Generator::new(seed));
            maze.set_state(&start);
            for (x, y, steps) in pushes {
                for _ in 0..steps {
                    maze.step(&[x, y]);
                    let side = RADIUS - 1e-9;
                    for corner in [[-side, -side], [-side, side], [side, -side], [side, side]] {
                        let point = [maze.state[0] + corner[0], maze.state[1] + corner[1]];
                        prop_assert!(!layout.is_wall(point), "{:?}", maze.state);
                    }
                }
            }
        }

        #[test]
        fn start_and_goal_lie_in_different_free_cells(
            seed in any::<u64>(),
            layout in prop::sample::select(vec![Layout::U, Layout::MEDIUM, Layout::LARGE]),
        ) {
            let mut maze = PointMaze::new(layout);
            let start = maze.initial_state(&mut Generator::new(seed));
            let (ball, goal) = ([start[0], start[1]], [start[4], start[5]]);
            prop_assert!(!layout.is_wall(ball) && !layout.is_wall(goal));
            let cell = |at: [f64; 2]| {
                let [half_width, half_height] = layout.half();
                [(at[0] + half_width).floor(), (half_height - at[1]).floor()]
            };
            prop_assert_ne!(cell(ball), cell(goal));
        }
    }
}
