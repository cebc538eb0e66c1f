//! Which trajectories an epoch visits, in which order.

use iwsft_objective::Resampler;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::DataError;
use crate::mixture::{Mixture, Pool};

/// The order of every epoch, as a pure function of the seed and the epoch's
/// number: the same on every machine, and a resumed run needs no state.
#[derive(Debug, Clone)]
pub struct EpochOrder {
    seed: u64,
    mixture: Mixture,
    /// One a pool, if trajectories are drawn by quality.
    resamplers: Option<Vec<Resampler>>,
}

impl EpochOrder {
    /// Without `quality`, each pool of the mixture is walked through in random
    /// order, over epochs where an epoch takes only a part of it: no
    /// trajectory comes a second time before all of its pool came once.
    ///
    /// With `quality` (one number a trajectory, see
    /// [`crate::Dataset::qualities`]), every epoch draws from each pool in
    /// proportion to quality, by systematic resampling over an order that is
    /// shuffled anew for every epoch: trajectories of high quality come several
    /// times, and those of quality 0 never, and which ones come does not depend on
    /// where they stand in the file.
    ///
    /// # Errors
    /// If a quality is not a number of at least 0, or a pool has none above 0.
    ///
    /// # Panics
    /// If `quality` is shorter than the mixture's data set.
    pub fn new(
        mixture: Mixture,
        quality: Option<&[f32]>,
        seed: u64,
    ) -> Result<EpochOrder, DataError> {
        let resamplers = quality.map(|quality| {
            mixture
                .pools()
                .iter()
                .map(|Pool { trajectories, .. }| {
                    Resampler::new(&quality[trajectories.clone()]).map_err(|reason| {
                        DataError::Quality {
                            first: trajectories.start,
                            last: trajectories.end.saturating_sub(1),
                            reason,
                        }
                    })
                })
                .collect::<Result<Vec<_>, _>>()
        });
        Ok(EpochOrder {
            seed,
            resamplers: resamplers.transpose()?,
            mixture,
        })
    }

    /// Number of trajectories in an epoch, repeated ones counted.
    pub fn epoch_length(&self) -> usize {
        self.mixture.epoch_length()
    }

    /// Indices of the trajectories of an epoch (from 0), in the order of
    /// training: `[epoch_length]`.
    pub fn epoch(&self, epoch: u64) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.epoch_length());
        for (k, pool) in self.mixture.pools().iter().enumerate() {
            let k = k as u64;
            let start = pool.trajectories.start;
            match &self.resamplers {
                Some(resamplers) => {
                    let offset = unit(&mut self.random("quality", k, epoch));
                    let mut indices: Vec<usize> = (0..pool.trajectories.len()).collect();
                    shuffle(&mut indices, &mut self.random("quality order", k, epoch));
                    let drawn = resamplers[k as usize].draw_in(&indices, pool.draws, offset);
                    order.extend(drawn.into_iter().map(|i| start + i));
                }
                None => order.extend(self.walk(pool, k, epoch)),
            }
        }
        shuffle(&mut order, &mut self.random("order", 0, epoch));
        order
    }

    /// The stretch of an endless row of shuffled passes through the pool that
    /// belongs to this epoch. A stretch is at most one pass long, so it
    /// touches at most two.
    fn walk(&self, pool: &Pool, k: u64, epoch: u64) -> Vec<usize> {
        let n = pool.trajectories.len();
        // In 128 bits no epoch number overflows.
        let before = u128::from(epoch) * pool.draws as u128;
        let (pass, skip) = (before / n as u128, (before % n as u128) as usize);
        let mut stretch = self.pass(pool, k, pass as u64);
        stretch.drain(..skip);
        if stretch.len() < pool.draws {
            stretch.extend(self.pass(pool, k, pass as u64 + 1));
        }
        stretch.truncate(pool.draws);
        stretch
    }

    fn pass(&self, pool: &Pool, k: u64, pass: u64) -> Vec<usize> {
        let mut indices: Vec<usize> = pool.trajectories.clone().collect();
        shuffle(&mut indices, &mut self.random("pass", k, pass));
        indices
    }

    /// A random stream of its own for each purpose, so that one more draw
    /// somewhere does not move all the others.
    fn random(&self, purpose: &str, pool: u64, turn: u64) -> ChaCha8Rng {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"iwsft epoch order, version 1\0");
        hasher.update(purpose.as_bytes());
        for number in [self.seed, pool, turn] {
            hasher.update(&number.to_le_bytes());
        }
        ChaCha8Rng::from_seed(*hasher.finalize().as_bytes())
    }
}

/// Uniform on [0, 1), in steps of 2^-53.
fn unit(random: &mut ChaCha8Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Fisher-Yates, written out so that no release of a library changes the
/// order of a run that someone wants to repeat.
fn shuffle(indices: &mut [usize], random: &mut ChaCha8Rng) {
    for i in (1..indices.len()).rev() {
        let j = below(i as u64 + 1, random) as usize;
        indices.swap(i, j);
    }
}

/// Uniform on `0..n`: numbers of the last, incomplete run of n are drawn again.
fn below(n: u64, random: &mut ChaCha8Rng) -> u64 {
    let end = u64::MAX - u64::MAX % n;
    loop {
        let number = random.next_u64();
        if number < end {
            return number % n;
        }
    }
}

#[cfg(test)]
#[path = "epoch_tests.rs"]
mod tests;
