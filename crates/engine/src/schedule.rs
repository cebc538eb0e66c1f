//! Learning-rate schedules: warm-up from zero, then constant, linear or cosine.

/// How the learning rate moves after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Stays at the peak.
    Constant,
    /// Falls in a straight line.
    Linear,
    /// Falls along half a cosine.
    Cosine,
}

/// A learning rate for every step of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// What follows the warm-up.
    pub shape: Shape,
    /// Steps over which the rate rises in a straight line from zero.
    pub warmup_steps: u64,
    /// Share of the peak that is left after the last step.
    pub final_ratio: f64,
}

impl Schedule {
    /// The rate of step `step` of `total`, counted from 1, given the `peak`.
    ///
    /// Step `i` of a warm-up of `w` steps has `peak (i - 1) / w`, as in
    /// transformers, where the rate of the first step is zero. After it, progress
    /// `x = (i - 1 - w) / (total - w)` leads from the peak at `x = 0` towards
    /// `final_ratio * peak` at `x = 1`, just beyond the last step.
    pub fn learning_rate(&self, step: u64, total: u64, peak: f64) -> f64 {
        let done = step.saturating_sub(1);
        if done < self.warmup_steps {
            return peak * done as f64 / self.warmup_steps as f64;
        }
        let span = total.saturating_sub(self.warmup_steps).max(1);
        let progress = ((done - self.warmup_steps) as f64 / span as f64).min(1.0);
        let falling = match self.shape {
            Shape::Constant => return peak,
            Shape::Linear => 1.0 - progress,
            Shape::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
        };
        peak * (self.final_ratio + (1.0 - self.final_ratio) * falling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(shape: Shape) -> Vec<f64> {
        let schedule = Schedule {
            shape,
            warmup_steps: 4,
            final_ratio: 0.1,
        };
        (1..=12)
            .map(|step| schedule.learning_rate(step, 12, 2.0))
            .collect()
    }

    #[test]
    fn warm_up_rises_from_zero_to_the_peak() {
        for shape in [Shape::Constant, Shape::Linear, Shape::Cosine] {
            assert_eq!(rates(shape)[..5], [0.0, 0.5, 1.0, 1.5, 2.0]);
        }
    }

    #[test]
    fn shapes_pass_through_their_closed_forms() {
        assert!(rates(Shape::Constant)[4..].iter().all(|&rate| rate == 2.0));
        assert!((rates(Shape::Linear)[8] - (0.2 + 1.8 * 0.5)).abs() < 1e-12);
        assert!((rates(Shape::Cosine)[8] - (0.2 + 1.8 * 0.5)).abs() < 1e-12);
        let schedule = Schedule {
            shape: Shape::Cosine,
            warmup_steps: 4,
            final_ratio: 0.1,
        };
        assert!((schedule.learning_rate(13, 12, 2.0) - 0.2).abs() < 1e-12);
        assert!((schedule.learning_rate(99, 12, 2.0) - 0.2).abs() < 1e-12);
    }
}
