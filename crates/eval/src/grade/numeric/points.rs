//! The points: values of unknowns that depend on their names alone.

/// Which unknowns are negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Minus<'a> {
    None,
    One(&'a str),
    All,
}

/// Values of the unknowns at one of the points.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point<'a> {
    number: u64,
    /// The range of their absolute values.
    range: (f64, f64),
    pub(super) minus: Minus<'a>,
    integers: &'a [String],
    /// Positive and of no special size, where most expressions have a value.
    pub(super) is_usual: bool,
}

/// Ranges of positive points, with the number of points in each. Functions like
/// |x - 20| differ from others far out only.
const POSITIVE: [((f64, f64), u64); 4] = [
    ((0.3, 2.7), 6),
    ((0.05, 0.95), 3),
    ((3.0, 40.0), 3),
    ((50.0, 2000.0), 2),
];

/// The same for points at which one unknown is negative, or all are.
const NEGATIVE: [((f64, f64), u64); 3] = [((0.3, 2.7), 2), ((3.0, 40.0), 1), ((50.0, 2000.0), 1)];

/// Most unknowns that are negative by themselves.
const MOST_UNKNOWNS: usize = 8;

/// The points for unknowns, of which some are whole numbers; a single one
/// without unknowns.
pub(super) fn points<'a>(unknowns: &'a [String], integers: &'a [String]) -> Vec<Point<'a>> {
    if unknowns.is_empty() {
        return vec![Point::usual()];
    }
    let mut points = Vec::new();
    let mut add = |ranges: &[((f64, f64), u64)], minus: Minus<'a>| {
        for &(range, count) in ranges {
            for _ in 0..count {
                points.push(Point {
                    number: points.len() as u64,
                    range,
                    minus,
                    integers,
                    is_usual: minus == Minus::None && range == POSITIVE[0].0,
                });
            }
        }
    };
    add(&POSITIVE, Minus::None);
    for name in unknowns.iter().take(MOST_UNKNOWNS) {
        add(&NEGATIVE, Minus::One(name));
    }
    if unknowns.len() > 1 {
        add(&NEGATIVE, Minus::All);
    }
    points
}

impl Point<'_> {
    /// The first point.
    pub(super) fn usual() -> Self {
        Self {
            number: 0,
            range: POSITIVE[0].0,
            minus: Minus::None,
            integers: &[],
            is_usual: true,
        }
    }

    /// The value of an unknown.
    pub(super) fn of(&self, name: &str) -> f64 {
        let (low, high) = self.range;
        let mut value = low + (high - low) * self.random(name);
        if self.integers.iter().any(|integer| integer == name) {
            value = value.floor() + 1.0;
        }
        let minus = match self.minus {
            Minus::None => false,
            Minus::One(negative) => negative == name,
            Minus::All => true,
        };
        if minus { -value } else { value }
    }

    /// A number from 0 to 1 that depends on the point and the name alone.
    pub(super) fn random(&self, name: &str) -> f64 {
        // FNV-1a, and the finalizer of SplitMix64 for its weak high bits.
        let mut hash = 0xcbf2_9ce4_8422_2325 ^ self.number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in name.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (hash >> 11) as f64 / (1_u64 << 53) as f64
    }
}
