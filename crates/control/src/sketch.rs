//! What an environment looks like from the side, as strokes.

/// What a stroke shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What acts.
    Body,
    /// What acts, on its other side, to tell a left leg from a right one.
    OtherSide,
    /// Where it is to go.
    Goal,
    /// What does not move; its ends are square, so a wall is a disc.
    World,
}

/// A thick line with round ends, in metres: x to the right, z up (y, in a picture
/// from above). A disc where both ends are the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stroke {
    /// One end.
    pub from: [f64; 2],
    /// The other.
    pub to: [f64; 2],
    /// Half the width.
    pub radius: f64,
    /// What it shows.
    pub part: Part,
}

impl Stroke {
    pub(crate) fn line(part: Part, from: [f64; 2], to: [f64; 2], radius: f64) -> Self {
        Self {
            from,
            to,
            radius,
            part,
        }
    }

    pub(crate) fn disc(part: Part, centre: [f64; 2], radius: f64) -> Self {
        Self::line(part, centre, centre, radius)
    }
}

/// What does not change during an episode.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenery {
    /// What stands still.
    pub strokes: Vec<Stroke>,
    /// Seconds that a step takes.
    pub seconds: f64,
    /// The lower left and the upper right corner of what is to be seen.
    pub view: [[f64; 2]; 2],
    /// Whether the view moves along x with the first stroke, over a floor.
    pub follows: bool,
}
