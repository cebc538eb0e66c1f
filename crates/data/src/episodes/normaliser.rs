//! Observations of mean 0 and deviation 1.

use super::Episodes;

/// Added to every deviation, as the programs of D4RL's algorithms do (TD3+BC,
/// IQL and those after them), so that a constant number stays finite.
const DEVIATION_FLOOR: f64 = 1e-3;

/// Shifts and scales each of an observation's `o` numbers by its mean and
/// standard deviation over the steps of a data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Normaliser {
    /// Mean of each number.
    pub mean: Vec<f32>,
    /// Standard deviation of each number (of the population, as `numpy.std`),
    /// plus 0.001.
    pub deviation: Vec<f32>,
}

impl Normaliser {
    /// From the observations of all steps. Of no steps, it changes nothing.
    pub fn of(episodes: &Episodes) -> Self {
        let o = episodes.observation_size();
        let n = episodes.step_count();
        if n == 0 {
            return Self {
                mean: vec![0.0; o],
                deviation: vec![1.0; o],
            };
        }
        let average = |mut of: Box<dyn FnMut(usize, f32) -> f64>| -> Vec<f64> {
            let mut sums = vec![0.0_f64; o];
            for row in episodes.observations().chunks_exact(o) {
                for (index, (sum, &number)) in sums.iter_mut().zip(row).enumerate() {
                    *sum += of(index, number);
                }
            }
            sums.into_iter().map(|sum| sum / n as f64).collect()
        };
        let mean = average(Box::new(|_, number| f64::from(number)));
        let centre = mean.clone();
        let variance = average(Box::new(move |index, number| {
            (f64::from(number) - centre[index]).powi(2)
        }));
        Self {
            mean: mean.into_iter().map(|mean| mean as f32).collect(),
            deviation: variance
                .into_iter()
                .map(|variance| (variance.sqrt() + DEVIATION_FLOOR) as f32)
                .collect(),
        }
    }

    /// Normalises observations `[n, o]` in place.
    ///
    /// # Panics
    /// If they are not whole rows.
    pub fn apply(&self, observations: &mut [f32]) {
        let o = self.mean.len();
        assert_eq!(observations.len() % o, 0, "numbers in rows of {o}");
        for row in observations.chunks_exact_mut(o) {
            for ((number, mean), deviation) in row.iter_mut().zip(&self.mean).zip(&self.deviation) {
                *number = (*number - mean) / deviation;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::episodes::{End, Episode};

    fn of(observations: &[f32], o: usize) -> Normaliser {
        let t = observations.len() / o;
        let mut episodes = Episodes::new(o, 1);
        episodes.push(Episode {
            observations,
            actions: &vec![0.0; t],
            rewards: &vec![0.0; t],
            next_observations: observations,
            end: End::Timeout,
        });
        Normaliser::of(&episodes)
    }

    #[test]
    fn mean_and_deviation_are_those_of_numpy() {
        // numpy.std([1, 2, 6]) is sqrt(14 / 3); a constant has none.
        let found = of(&[1.0, 5.0, 2.0, 5.0, 6.0, 5.0], 2);
        assert_eq!(found.mean, [3.0, 5.0]);
        let expected = [(14.0_f64 / 3.0).sqrt() + 1e-3, 1e-3].map(|std| std as f32);
        assert_eq!(found.deviation, expected);
        let mut rows = [3.0, 5.0, 3.0 + found.deviation[0], 5.0];
        found.apply(&mut rows);
        assert_eq!([rows[0], rows[1], rows[3]], [0.0; 3]);
        assert!((rows[2] - 1.0).abs() < 1e-6, "{rows:?}");
    }

    #[test]
    fn a_large_offset_does_not_hide_the_deviation() {
        let found = of(&[1e6, 1e6 + 1.0], 1);
        assert!((found.deviation[0] - 0.501).abs() < 1e-6, "{found:?}");
    }
}
