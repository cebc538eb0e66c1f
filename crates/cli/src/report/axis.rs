//! From values to places, and the ticks between.

use super::markup::number;

/// Length of an axis in units of the drawing.
pub(super) const LENGTH: f64 = 1000.0;

/// Larger values (and, on a logarithmic axis, smaller ones than its inverse) are
/// of a run that went astray; no axis is stretched to show them.
const IMMENSE: f64 = 1e100;

/// An axis of a plot, linear or logarithmic.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Axis {
    /// From `low` to `high` as they are.
    pub(super) fn exactly(low: f64, high: f64) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        Self {
            low,
            high,
            logarithmic: false,
        }
    }

    /// Around all `values`, with some air. Logarithmic where it was asked for
    /// and they span more than a factor of 30, all above 0.
    pub(super) fn around(values: impl Iterator<Item = f64>, may_be_logarithmic: bool) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| value.abs() < IMMENSE) {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            return Self::exactly(0.0, 1.0);
        }
        if may_be_logarithmic && low > 1.0 / IMMENSE && high / low > 30.0 {
            let air = (high / low).powf(0.05);
            return Self {
                low: low / air,
                high: high * air,
                logarithmic: true,
            };
        }
        // Values that differ by rounding only are one value.
        let span = (high - low).max(1e-3 * high.abs().max(low.abs())).max(1e-9);
        let air = 0.06 * span;
        let floor = if low >= 0.0 && low < 0.25 * span {
            0.0
        } else {
            low - air
        };
        Self {
            low: floor,
            high: high.max(low + span) + air,
            logarithmic: false,
        }
    }

    /// Where `value` lies, 0 at the low end and [`LENGTH`] at the high one.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = if self.logarithmic {
            let value = value.max(self.low / 10.0);
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        // A drawing with numbers in the millions is not what anyone asked for.
        (share * LENGTH).clamp(-LENGTH, 2.0 * LENGTH)
    }

    /// The value at a share of the axis, 0 to 1.
    pub(super) fn value(&self, share: f64) -> f64 {
        if self.logarithmic {
            self.low * (self.high / self.low).powf(share)
        } else {
            self.low + share * (self.high - self.low)
        }
    }

    /// About `count` round values and what to call them.
    pub(super) fn ticks(&self, count: usize) -> Vec<(f64, String)> {
        let values = if self.logarithmic {
            self.decades(count)
        } else {
            self.round_steps(count)
        };
        let label = |value: f64| {
            // -0 and 1e-17 are 0.
            let zero = value.abs() < 1e-9 * (self.high - self.low).abs();
            if zero && !self.logarithmic {
                "0".to_owned()
            } else {
                number(value)
            }
        };
        values
            .into_iter()
            .map(|value| (value, label(value)))
            .collect()
    }

    fn round_steps(&self, count: usize) -> Vec<f64> {
        let rough = (self.high - self.low) / count as f64;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .map(|factor| factor * power)
            .into_iter()
            .find(|step| *step >= rough)
            .unwrap_or(rough);
        let first = (self.low / step - 1e-9).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        (first..=last).map(|k| k as f64 * step).collect()
    }

    fn decades(&self, count: usize) -> Vec<f64> {
        let [first, last] = [self.low.log10().ceil(), self.high.log10().floor()].map(|x| x as i32);
        let every = ((last - first + 1).max(1) as usize).div_ceil(count) as i32;
        let powers = (first..=last).filter(|power| (power - first) % every == 0);
        let mut values: Vec<f64> = powers.map(|power| 10f64.powi(power)).collect();
        if values.len() < 3 {
            for power in first - 1..=last {
                values.extend([2.0, 5.0].map(|factor| factor * 10f64.powi(power)));
            }
            values.retain(|value| (self.low..=self.high).contains(value));
            values.sort_by(f64::total_cmp);
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks(5).into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(
            labels(&Axis::exactly(0.0, 1.0)),
            ["0", "0.2", "0.4", "0.6", "0.8", "1"]
        );
        assert_eq!(labels(&Axis::exactly(1.0, 150.0)), ["50", "100", "150"]);
        for axis in [
            Axis::around([0.5, 900.0].into_iter(), true),
            Axis::exactly(-3.1, 7.7),
        ] {
            let ticks = axis.ticks(5);
            assert!((2..=9).contains(&ticks.len()), "{ticks:?}");
            for (value, _) in ticks {
                assert!((0.0..=LENGTH).contains(&axis.at(value)), "{value}");
            }
        }
        assert_eq!(
            labels(&Axis::around([1e-3, 1e3].into_iter(), true)).len(),
            4
        );
    }

    #[test]
    fn places_and_values_are_inverse() {
        for axis in [
            Axis::exactly(-2.0, 6.0),
            Axis::around([0.01, 40.0].into_iter(), true),
        ] {
            for share in [0.0, 0.3, 1.0] {
                assert!((axis.at(axis.value(share)) - share * LENGTH).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn an_axis_around_nothing_or_one_value_can_still_be_drawn() {
        for values in [&[][..], &[2.0, 2.0], &[0.0], &[f64::NAN], &[-5e300, 5e300]] {
            for logarithmic in [false, true] {
                let axis = Axis::around(values.iter().copied(), logarithmic);
                assert!(values.iter().all(|v| v.is_nan() || axis.at(*v).is_finite()));
                assert!(!axis.ticks(5).is_empty(), "{values:?}");
            }
        }
    }
}
