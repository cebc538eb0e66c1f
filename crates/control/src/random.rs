//! The random numbers of NumPy: `reset(seed)` begins where Gymnasium's does.
//!
//! Gymnasium draws initial states from `np.random.Generator(PCG64(seed))`. Here
//! is as much of it as the environments use, bit for bit: the seed sequence
//! after O'Neill, "Simple Portable C++ Seed Entropy" (2015); the generator PCG
//! XSL RR 128/64 after O'Neill (2014); uniform numbers of 53 bits; and normal
//! ones by the ziggurat of Marsaglia and Tsang (2000).

mod ziggurat;

use ziggurat::{ACCEPTED, HEIGHT, TAIL, WIDTH};

/// NumPy's default generator, in as far as environments need it.
#[derive(Debug, Clone)]
pub struct Generator {
    state: u128,
    increment: u128,
}

const MULTIPLIER: u128 = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645;

/// What NumPy multiplies by, instead of dividing by [`TAIL`].
const INVERSE_TAIL: f64 = 0.273_661_237_329_758_3;

impl Generator {
    /// What `np.random.default_rng(seed)` begins with.
    pub fn new(seed: u64) -> Self {
        let [a, b, c, d] = seed_words(seed).map(u128::from);
        let (start, stream) = (a << 64 | b, c << 64 | d);
        let increment = stream << 1 | 1;
        let mut generator = Self {
            state: increment.wrapping_add(start),
            increment,
        };
        generator.advance();
        generator
    }

    /// Random numbers that belong to a step, whatever came before it: a run needs no
    /// state of a generator to go on.
    pub fn of_step(seed: u64, step: u64) -> Self {
        Self::new(seed ^ (step + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn advance(&mut self) {
        self.state = self
            .state
            .wrapping_mul(MULTIPLIER)
            .wrapping_add(self.increment);
    }

    fn next(&mut self) -> u64 {
        self.advance();
        let folded = (self.state >> 64) as u64 ^ self.state as u64;
        folded.rotate_right((self.state >> 122) as u32)
    }

    /// A number in `[0, 1)`, a multiple of 2^-53: `Generator.random`.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// A number between `low` and `high`: `Generator.uniform`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// An index below `count`. (NumPy draws integers otherwise.)
    pub fn index(&mut self, count: usize) -> usize {
        (self.unit() * count as f64) as usize
    }

    /// A number of the standard normal distribution: `Generator.standard_normal`.
    pub fn normal(&mut self) -> f64 {
        loop {
            let bits = self.next();
            let layer = (bits & 0xff) as usize;
            let magnitude = bits >> 9 & ((1 << 52) - 1);
            let x = magnitude as f64 * WIDTH[layer];
            let x = if bits >> 8 & 1 == 1 { -x } else { x };
            if magnitude < ACCEPTED[layer] {
                return x;
            }
            if layer == 0 {
                return self.tail(magnitude >> 8 & 1 == 1);
            }
            let height = (HEIGHT[layer - 1] - HEIGHT[layer]) * self.unit() + HEIGHT[layer];
            if height < (-0.5 * x * x).exp() {
                return x;
            }
        }
    }

    /// A normal number beyond [`TAIL`].
    fn tail(&mut self, negative: bool) -> f64 {
        loop {
            let x = -INVERSE_TAIL * (-self.unit()).ln_1p();
            let y = -(-self.unit()).ln_1p();
            if y + y > x * x {
                return if negative { -(TAIL + x) } else { TAIL + x };
            }
        }
    }
}

/// `np.random.SeedSequence(seed).generate_state(4, np.uint64)`.
fn seed_words(seed: u64) -> [u64; 4] {
    let mut hash = 0x43b0_d7e5_u32;
    let mut scramble = |value: u32| {
        let value = value ^ hash;
        hash = hash.wrapping_mul(0x931e_8875);
        let value = value.wrapping_mul(hash);
        value ^ value >> 16
    };
    let mut pool = [seed as u32, (seed >> 32) as u32, 0, 0].map(&mut scramble);
    for from in 0..4 {
        for to in 0..4 {
            if from != to {
                let left = pool[to].wrapping_mul(0xca01_f9dd);
                let right = scramble(pool[from]).wrapping_mul(0x4973_f715);
                let mixed = left.wrapping_sub(right);
                pool[to] = mixed ^ mixed >> 16;
            }
        }
    }
    let mut hash = 0x8b51_f9dd_u32;
    let mut half = |index: usize| {
        let value = pool[index % 4] ^ hash;
        hash = hash.wrapping_mul(0x58f3_8ded);
        let value = value.wrapping_mul(hash);
        u64::from(value ^ value >> 16)
    };
    std::array::from_fn(|word| half(2 * word) | half(2 * word + 1) << 32)
}
