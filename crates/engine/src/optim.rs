//! AdamW (Loshchilov & Hutter, arXiv 1711.05101) with the global-norm clip, the
//! loss's denominator and the clearing of gradients fused into it.

use rayon::prelude::*;

use crate::{Layout, Tensor, cpu};

/// Elements of one task of the norm; fixed, so it does not depend on the threads.
const NORM_TASK: usize = 1 << 15;

/// Elements of one task that goes element by element.
const TASK: usize = 1 << 13;

/// What AdamW keeps fixed during a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWConfig {
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Share of a parameter that decays a step, times the learning rate.
    pub weight_decay: f32,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.95,
            eps: 1e-8,
            weight_decay: 1e-4,
        }
    }
}

/// The optimizer's state: two moments laid out like the parameters.
///
/// Parameters whose gradient and moments have always been zero (embedding rows
/// of tokens that never occurred) are only decayed, and the memory of their
/// moments is never touched; the result is that of the dense formula.
#[derive(Debug)]
pub struct AdamW {
    /// First moment.
    pub m: Tensor,
    /// Second moment.
    pub v: Tensor,
    /// The constants.
    pub config: AdamWConfig,
}

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// Norm of the whole gradient, after the scale and before the clip.
    pub grad_norm: f64,
    /// Whether the norm was above the limit.
    pub clipped: bool,
}

/// The gradient has a NaN or an infinite element; nothing was changed.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the gradient's norm is {norm}: no update was made")]
pub struct NonFiniteGradient {
    /// The norm as computed.
    pub norm: f64,
}

impl AdamW {
    /// A fresh optimizer for parameters laid out as `layout`.
    pub fn new(layout: &Layout, config: AdamWConfig) -> Self {
        Self {
            m: Tensor::zeros(layout.len()),
            v: Tensor::zeros(layout.len()),
            config,
        }
    }

    /// One update, number `step` counted from 1, and cleared gradients.
    ///
    /// With `g = scale * gradient`, and `g *= max_norm / |g|` where the norm is
    /// larger: `m = beta1 m + (1 - beta1) g`, `v = beta2 v + (1 - beta2) g^2`,
    /// `p = p (1 - rate * decay) - rate * m^ / (sqrt(v^) + eps)`, with the
    /// bias-corrected `m^ = m / (1 - beta1^step)`, `v^ = v / (1 - beta2^step)`.
    /// `scale` is one over the loss's denominator, known only once all
    /// micro-batches of a step have been seen.
    ///
    /// # Errors
    /// If the norm is not finite; parameters, moments and gradients stay as
    /// they are.
    #[allow(clippy::too_many_arguments)]
    pub fn step(
        &mut self,
        layout: &Layout,
        parameters: &mut Tensor,
        gradients: &mut Tensor,
        step: u64,
        learning_rate: f64,
        scale: f64,
        max_norm: Option<f64>,
    ) -> Result<StepReport, NonFiniteGradient> {
        let grad_norm = norm(gradients) * scale.abs();
        if !grad_norm.is_finite() {
            return Err(NonFiniteGradient { norm: grad_norm });
        }
        let clip = max_norm.map_or(1.0, |max_norm| (max_norm / grad_norm.max(1e-300)).min(1.0));
        let AdamWConfig {
            beta1,
            beta2,
            eps,
            weight_decay,
        } = self.config;
        let corrections = [beta1, beta2]
            .map(|beta| 1.0 - f64::from(beta).powi(i32::try_from(step).unwrap_or(i32::MAX)));
        let update = Update {
            scale: (scale * clip) as f32,
            beta1,
            beta2,
            step_size: (learning_rate / corrections[0]) as f32,
            second_scale: (1.0 / corrections[1].sqrt()) as f32,
            eps,
            keep: 1.0,
        };
        let (mut p, mut g) = (parameters.all_mut().host(), gradients.all_mut().host());
        let (mut m, mut v) = (self.m.all_mut().host(), self.v.all_mut().host());
        for parameter in layout.parameters() {
            let decay = if parameter.decay { weight_decay } else { 0.0 };
            let update = Update {
                keep: (1.0 - learning_rate * f64::from(decay)) as f32,
                ..update
            };
            let length = parameter.range.len();
            let parts = (
                take(&mut p, length),
                take(&mut g, length),
                take(&mut m, length),
                take(&mut v, length),
            );
            let parts = parts
                .0
                .par_chunks_mut(TASK)
                .zip(parts.1.par_chunks_mut(TASK))
                .zip(parts.2.par_chunks_mut(TASK))
                .zip(parts.3.par_chunks_mut(TASK));
            parts.for_each(|(((p, g), m), v)| update.apply(p, g, m, v));
        }
        Ok(StepReport {
            grad_norm,
            clipped: clip < 1.0,
        })
    }
}

/// Takes the first `length` elements off a slice.
fn take<'a>(rest: &mut &'a mut [f32], length: usize) -> &'a mut [f32] {
    let (taken, left) = std::mem::take(rest).split_at_mut(length);
    *rest = left;
    taken
}

/// The Euclidean norm of all elements, summed in f64.
pub fn norm(values: &Tensor) -> f64 {
    let sums: Vec<f64> = values
        .all()
        .host()
        .par_chunks(NORM_TASK)
        .map(|values| {
            cpu::run(
                #[inline(always)]
                || {
                    // A loop: the closure of a `map` would keep the default
                    // instruction set, without a fused multiply-add.
                    let mut sum = 0.0;
                    for block in values.chunks(1 << 9) {
                        sum += f64::from(cpu::dot(block, block));
                    }
                    sum
                },
            )
        })
        .collect();
    sums.iter().sum::<f64>().sqrt()
}

/// `average = decay * average + (1 - decay) * value`.
///
/// # Panics
/// If the lengths differ.
pub fn ema(average: &mut Tensor, value: &Tensor, decay: f32) {
    assert_eq!(
        average.len(),
        value.len(),
        "a moving average of another layout"
    );
    let tasks = average
        .all_mut()
        .host()
        .par_chunks_mut(TASK)
        .zip(value.all().host().par_chunks(TASK));
    tasks.for_each(|(average, value)| {
        cpu::run(
            #[inline(always)]
            || {
                for (average, &value) in average.iter_mut().zip(value) {
                    *average = decay.mul_add(*average - value, value);
                }
            },
        );
    });
}

/// The constants of one update.
#[derive(Clone, Copy)]
struct Update {
    scale: f32,
    beta1: f32,
    beta2: f32,
    step_size: f32,
    second_scale: f32,
    eps: f32,
    keep: f32,
}

impl Update {
    fn apply(&self, p: &mut [f32], g: &mut [f32], m: &mut [f32], v: &mut [f32]) {
        /// Elements that are skipped together: a page of memory.
        const PAGE: usize = 1024;
        cpu::run(
            #[inline(always)]
            || {
                for (((p, g), m), v) in p
                    .chunks_mut(PAGE)
                    .zip(g.chunks_mut(PAGE))
                    .zip(m.chunks_mut(PAGE))
                    .zip(v.chunks_mut(PAGE))
                {
                    let idle = all_zero(g) && all_zero(m) && all_zero(v);
                    if !idle {
                        self.apply_dense(p, g, m, v);
                    } else if self.keep != 1.0 {
                        p.iter_mut().for_each(|p| *p *= self.keep);
                    }
                }
            },
        );
    }

    #[inline(always)]
    fn apply_dense(&self, p: &mut [f32], g: &mut [f32], m: &mut [f32], v: &mut [f32]) {
        for (((p, g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
            let gradient = *g * self.scale;
            *g = 0.0;
            *m = self.beta1.mul_add(*m - gradient, gradient);
            *v = self
                .beta2
                .mul_add(*v, (1.0 - self.beta2) * gradient * gradient);
            let root = v.sqrt().mul_add(self.second_scale, self.eps);
            *p = (-self.step_size).mul_add(*m / root, *p * self.keep);
        }
    }
}

/// Whether all elements are zero; most often the first one tells.
#[inline(always)]
fn all_zero(values: &[f32]) -> bool {
    values.first().is_none_or(|&first| first == 0.0)
        && values
            .chunks(64)
            .all(|block| block.iter().fold(0, |bits, value| bits | value.to_bits()) == 0)
}
