//! Drawing trajectories in proportion to their quality.

use thiserror::Error;

/// Systematic resampling by quality: SFT(Q) and iw-SFT(Q) as the default has
/// it.
///
/// One random offset places `count` equally spaced marks on the line of
/// cumulated qualities, and each mark draws the trajectory that it falls on.
/// So a trajectory with share `v` of the quality is drawn
/// `floor(v * count)` or `ceil(v * count)` times, and `v * count` times on
/// average over a uniform offset, with the least variance of the usual
/// schemes.
///
/// Marks and qualities must not share a rhythm: of rows that are good and bad in
/// turn, half as many marks as rows fall on the good ones alone or on all. So the
/// qualities are cumulated in a random order.
#[derive(Clone, Debug, PartialEq)]
pub struct Resampler {
    qualities: Vec<f32>,
}

/// Why qualities cannot be sampled from.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum ResampleError {
    /// A quality is negative, infinite or not a number.
    #[error("quality {index} is {found}; it must be finite and at least 0")]
    Quality {
        /// Its index.
        index: usize,
        /// The value found.
        found: f32,
    },
    /// No quality is above 0.
    #[error(
        "none of the {count} qualities is above 0, so there is nothing to draw; check the \
         `score` column, or switch `objective.quality` off"
    )]
    Nothing {
        /// How many there are.
        count: usize,
    },
}

impl Resampler {
    /// Prepares drawing from trajectories with these qualities.
    ///
    /// # Errors
    ///
    /// [`ResampleError`] when a quality is negative or not finite, or none is
    /// above 0.
    pub fn new(qualities: &[f32]) -> Result<Self, ResampleError> {
        if let Some(index) = qualities.iter().position(|q| !q.is_finite() || *q < 0.0) {
            return Err(ResampleError::Quality {
                index,
                found: qualities[index],
            });
        }
        let total: f64 = qualities.iter().copied().map(f64::from).sum();
        if total == 0.0 {
            return Err(ResampleError::Nothing {
                count: qualities.len(),
            });
        }
        Ok(Self {
            qualities: qualities.to_vec(),
        })
    }

    /// Draws `count` indices, in ascending order: [`Resampler::draw_in`] the order
    /// of the qualities themselves, for callers that know it to be without rhythm.
    pub fn draw(&self, count: usize, offset: f64) -> Vec<usize> {
        let order: Vec<usize> = (0..self.qualities.len()).collect();
        self.draw_in(&order, count, offset)
    }

    /// Draws `count` indices; shuffle them before use. `order` has every index
    /// once, best in random order; indices are drawn in it.
    ///
    /// `offset` is uniform on `0 <= offset < 1`; of any other number the
    /// fractional part is taken, and 0 of one that is not finite.
    ///
    /// # Panics
    ///
    /// If `order` has an index that is none.
    pub fn draw_in(&self, order: &[usize], count: usize, offset: f64) -> Vec<usize> {
        let fraction = offset - offset.floor();
        let offset = if (0.0..1.0).contains(&fraction) {
            fraction
        } else {
            0.0
        };
        let quality = |index: &usize| f64::from(self.qualities[*index]);
        // In this order, so that the last share is 1 whatever was rounded.
        let total: f64 = order.iter().map(quality).sum();
        let mut drawn = Vec::with_capacity(count);
        let mut sum = 0.0;
        for index in order {
            sum += quality(index);
            let end = snap(sum / total * count as f64);
            // The marks are at k + offset; index owns those below `end`.
            while drawn.len() < count && (drawn.len() as f64) + offset < end {
                drawn.push(*index);
            }
        }
        drawn
    }
}

/// An end within rounding of a whole number is that number; otherwise equal
/// qualities would not always give equal copies.
fn snap(end: f64) -> f64 {
    let whole = end.round();
    if (end - whole).abs() <= 1e-12 * whole.max(1.0) {
        whole
    } else {
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn copies(drawn: &[usize], n: usize) -> Vec<usize> {
        let mut copies = vec![0; n];
        for index in drawn {
            copies[*index] += 1;
        }
        copies
    }

    #[test]
    fn whole_expected_copies_are_given_exactly_at_every_offset() {
        let resampler = Resampler::new(&[0.1, 0.0, 0.2, 0.3]).unwrap();
        for k in 0..100 {
            let drawn = resampler.draw_in(&[2, 0, 3, 1], 12, f64::from(k) / 100.0);
            assert_eq!(copies(&drawn, 4), [2, 0, 4, 6]);
        }
    }

    #[test]
    fn copies_average_to_the_share_of_quality() {
        let qualities = [0.3, 1.1, 0.05, 2.0];
        let total: f64 = qualities.iter().copied().map(f64::from).sum();
        let resampler = Resampler::new(&qualities).unwrap();
        let offsets = 10_000;
        let mut sums = [0.0; 4];
        for k in 0..offsets {
            let offset = (f64::from(k) + 0.5) / f64::from(offsets);
            let drawn = resampler.draw_in(&[3, 1, 0, 2], 7, offset);
            for (sum, copies) in sums.iter_mut().zip(copies(&drawn, 4)) {
                *sum += copies as f64;
            }
        }
        for (sum, quality) in sums.iter().zip(qualities) {
            let expected = 7.0 * f64::from(quality) / total;
            assert!((sum / f64::from(offsets) - expected).abs() < 1e-3);
        }
    }

    #[test]
    fn an_offset_outside_the_unit_interval_counts_by_its_fraction() {
        let resampler = Resampler::new(&[1.0, 2.0, 4.0]).unwrap();
        let draw = |offset| resampler.draw(5, offset);
        assert_eq!(draw(3.25), draw(0.25));
        assert_eq!(draw(-0.75), draw(0.25));
        assert_eq!(draw(f64::NAN).len(), 5);
        assert_eq!(draw(-1e-300).len(), 5);
    }

    #[test]
    fn qualities_that_cannot_be_drawn_from_are_refused() {
        assert_eq!(
            Resampler::new(&[1.0, -0.5]),
            Err(ResampleError::Quality {
                index: 1,
                found: -0.5
            })
        );
        assert!(matches!(
            Resampler::new(&[f32::NAN]),
            Err(ResampleError::Quality { index: 0, .. })
        ));
        assert_eq!(
            Resampler::new(&[0.0, 0.0]),
            Err(ResampleError::Nothing { count: 2 })
        );
        assert_eq!(
            Resampler::new(&[]),
            Err(ResampleError::Nothing { count: 0 })
        );
    }

    proptest! {
        #[test]
        fn each_index_gets_floor_or_ceil_of_its_expected_copies(
            qualities in proptest::collection::vec(prop_oneof![Just(0.0_f32), 0.0_f32..10.0], 1..40),
            count in 0_usize..100,
            offset in 0.0_f64..1.0,
            turned in any::<proptest::sample::Index>(),
        ) {
            let total: f64 = qualities.iter().copied().map(f64::from).sum();
            prop_assume!(total > 0.0);
            let mut order: Vec<usize> = (0..qualities.len()).collect();
            order.rotate_left(turned.index(qualities.len()));
            let drawn = Resampler::new(&qualities).unwrap().draw_in(&order, count, offset);
            prop_assert_eq!(drawn.len(), count);
            for (copies, quality) in copies(&drawn, qualities.len()).into_iter().zip(&qualities) {
                let expected = f64::from(*quality) / total * count as f64;
                prop_assert!(copies as f64 >= (expected - 1e-9).floor());
                prop_assert!(copies as f64 <= (expected + 1e-9).ceil());
                prop_assert!(*quality > 0.0 || copies == 0);
            }
        }
    }
}
