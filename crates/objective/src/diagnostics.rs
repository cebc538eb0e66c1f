//! Sums over trajectories, and what is reported from them.

use serde::Serialize;

use crate::histogram::Histogram;
use crate::ratio::Clipped;
use crate::steps::Trajectory;

/// Sums over the trajectories of a micro-batch. Merge those of all
/// micro-batches of a step, in any grouping, before dividing by anything.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// `-sum(c log p)`.
    loss: f64,
    denominator: f64,
    trajectories: f64,
    steps: f64,
    /// Sum of the step weights.
    step_weights: f64,
    /// `-sum(a log p)`.
    nll: f64,
    /// `sum(a (log p - log ref))`.
    log_ratio: f64,
    /// `sum(a k3)`, and the step weights that it is of.
    divergence: f64,
    divergence_weights: f64,
    weights: f64,
    weight_sum: f64,
    weight_squares: f64,
    weight_min: f64,
    weight_max: f64,
    histogram: Histogram,
    clipped_low: f64,
    clipped_high: f64,
    /// Trajectories with a reference: the bounds are reported when all have.
    referenced: f64,
    ratio_sum: f64,
    return_sum: f64,
    sft_bound: f64,
    iw_sft_bound: f64,
}

impl Default for Summary {
    fn default() -> Self {
        Self {
            loss: 0.0,
            denominator: 0.0,
            trajectories: 0.0,
            steps: 0.0,
            step_weights: 0.0,
            nll: 0.0,
            log_ratio: 0.0,
            divergence: 0.0,
            divergence_weights: 0.0,
            weights: 0.0,
            weight_sum: 0.0,
            weight_squares: 0.0,
            weight_min: f64::INFINITY,
            weight_max: f64::NEG_INFINITY,
            histogram: Histogram::default(),
            clipped_low: 0.0,
            clipped_high: 0.0,
            referenced: 0.0,
            ratio_sum: 0.0,
            return_sum: 0.0,
            sft_bound: 0.0,
            iw_sft_bound: 0.0,
        }
    }
}

impl Summary {
    /// Adds the sums of another micro-batch of the same objective.
    pub fn merge(&mut self, other: &Self) {
        self.loss += other.loss;
        self.denominator += other.denominator;
        self.trajectories += other.trajectories;
        self.steps += other.steps;
        self.step_weights += other.step_weights;
        self.nll += other.nll;
        self.log_ratio += other.log_ratio;
        self.divergence += other.divergence;
        self.divergence_weights += other.divergence_weights;
        self.weights += other.weights;
        self.weight_sum += other.weight_sum;
        self.weight_squares += other.weight_squares;
        self.weight_min = self.weight_min.min(other.weight_min);
        self.weight_max = self.weight_max.max(other.weight_max);
        self.histogram.merge(&other.histogram);
        self.clipped_low += other.clipped_low;
        self.clipped_high += other.clipped_high;
        self.referenced += other.referenced;
        self.ratio_sum += other.ratio_sum;
        self.return_sum += other.return_sum;
        self.sft_bound += other.sft_bound;
        self.iw_sft_bound += other.iw_sft_bound;
    }

    /// What the sum of the coefficients' losses is divided by; see
    /// [`crate::Objective::coefficients`]. 0 for an empty batch, and under
    /// self-normalisation where every weight is 0.
    pub fn denominator(&self) -> f64 {
        self.denominator
    }

    /// The factor on gradients accumulated with the unnormalised coefficients:
    /// `1 / denominator`, and 0 where the denominator is 0, so that a step
    /// without loss changes nothing.
    pub fn scale(&self) -> f64 {
        ratio(1.0, self.denominator)
    }

    /// What to report for the step.
    pub fn diagnostics(&self) -> Diagnostics {
        let n = self.trajectories;
        let referenced = n > 0.0 && self.referenced == n;
        let known = |value: f64| referenced.then_some(value);
        let j = self.return_sum / n;
        let sft_bound = self.sft_bound / n;
        let iw_sft_bound = self.iw_sft_bound / n;
        let effective = ratio(self.weight_sum * self.weight_sum, self.weight_squares);
        let weighed = self.weights > 0.0;
        Diagnostics {
            loss: self.loss * self.scale(),
            nll: ratio(self.nll, self.step_weights),
            j: known(j),
            j_self_normalised: known(self.return_sum / self.ratio_sum),
            sft_bound: known(sft_bound),
            iw_sft_bound: known(iw_sft_bound),
            sft_gap: known(j - sft_bound),
            iw_sft_gap: known(j - iw_sft_bound),
            effective_sample_size: effective,
            effective_share: ratio(effective, self.weights),
            weight_min: if weighed { self.weight_min } else { 0.0 },
            weight_mean: ratio(self.weight_sum, self.weights),
            weight_max: if weighed { self.weight_max } else { 0.0 },
            weight_histogram: self
                .histogram
                .counts()
                .iter()
                .map(|count| *count as u64)
                .collect(),
            clipped: ratio(self.clipped_low + self.clipped_high, self.weights),
            clipped_low: ratio(self.clipped_low, self.weights),
            clipped_high: ratio(self.clipped_high, self.weights),
            log_ratio: known(self.log_ratio / self.step_weights),
            kl: (self.divergence_weights > 0.0).then(|| self.divergence / self.divergence_weights),
            trajectories: n as u64,
            steps: self.steps as u64,
        }
    }

    pub(crate) fn add_weight(&mut self, weight: Clipped, quality: f64) {
        let w = weight.value * quality;
        self.weights += 1.0;
        self.weight_sum += w;
        self.weight_squares += w * w;
        self.weight_min = self.weight_min.min(w);
        self.weight_max = self.weight_max.max(w);
        self.histogram.add(w);
        self.clipped_low += f64::from(u8::from(weight.low));
        self.clipped_high += f64::from(u8::from(weight.high));
    }

    /// Adds an unmasked step and its unnormalised loss.
    pub(crate) fn add_step(&mut self, trajectory: &Trajectory<'_>, t: usize, loss: f64) {
        let log_p = f64::from(trajectory.log_p[t]);
        let step_weight = f64::from(trajectory.step_weight[t]);
        self.loss += loss;
        self.nll -= step_weight * log_p;
        self.step_weights += step_weight;
        self.steps += 1.0;
        if let Some(log_ref) = trajectory.log_ref {
            self.log_ratio += step_weight * (log_p - f64::from(log_ref[t]));
        }
    }

    /// Adds a step's divergence from the reference, which counts by its
    /// `step_weight` in the mean and by `factor` in the loss.
    pub(crate) fn add_divergence(&mut self, step_weight: f64, divergence: f64, factor: f64) {
        self.divergence += step_weight * divergence;
        self.divergence_weights += step_weight;
        self.loss += factor * divergence;
    }

    /// Counts a trajectory that adds nothing to the loss, in the denominator
    /// only.
    pub(crate) fn add_idle(&mut self, denominator: f64) {
        self.denominator += denominator;
    }

    /// Counts a trajectory with at least one unmasked step.
    pub(crate) fn add_trajectory(&mut self, denominator: f64) {
        self.trajectories += 1.0;
        self.denominator += denominator;
    }

    /// Adds a trajectory's terms of J and the bounds, where `p` and `q` are
    /// the logarithms of its ratios to the reference, capped.
    pub(crate) fn add_bounds(&mut self, reward: f64, density: f64, p: f64, q: f64) {
        self.referenced += 1.0;
        self.ratio_sum += p.exp() / density;
        let reward = reward / density;
        self.return_sum += reward * p.exp();
        self.sft_bound += reward * (1.0 + p);
        self.iw_sft_bound += reward * q.exp() * (1.0 + (p - q));
    }
}

/// What is reported of an optimizer step, or of an evaluation.
///
/// # J and its bounds
///
/// A trajectory's ratio to the reference is
/// `x = exp(T * mean_t[log p_t - log ref_t])` with the objective's own
/// temperature `T` and length (`mean` or `sum`), over the unmasked steps; `y`
/// is the same for q. With `T = 1` and `length = "sum"` these are the
/// probability ratios `p/pi_ref` and `q/pi_ref`, and J is an unbiased estimate
/// of the return of p; otherwise it is the return in the same measure by which
/// the objective weighs trajectories. No clipping applies. Over `n`
/// trajectories with rewards `R >= 0`:
///
/// ```text
/// J           = 1/n sum R x
/// J, self-n.  = sum R x / sum x
/// SFT bound   = 1/n sum R (1 + log x)               <= J, equal where p = pi_ref
/// iw-SFT      = 1/n sum R y (1 + log x - log y)     <= J, equal where p = q
/// ```
///
/// With qualities, R is the quality. Where trajectories were drawn in proportion to
/// it, each is divided by the density `d` with which it was drawn, its quality
/// over the mean quality of all rows: `R/d` is that mean, and quality counts
/// once, as the drawing. J is then the mean quality times the mean of x over what
/// was drawn, and self-normalised `sum R x / d / sum x / d`.
///
/// The bounds hold because `z >= 1 + log z` for every `z > 0`, here `x` and `x/y`,
/// for each trajectory, whatever `T` and the length, and also under
/// [`crate::EXPONENT_CAP`]. Without a q of its own (q current, or a method
/// without q) the iw-SFT bound equals J.
///
/// Those that need the reference are `None` when any trajectory lacks it.
/// Means over nothing are 0.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diagnostics {
    /// The loss that is optimised.
    pub loss: f64,
    /// Plain negative log-likelihood in nats per step, averaged by step
    /// weight and by nothing else: comparable between objectives.
    pub nll: f64,
    /// Importance-sampling estimate of J.
    pub j: Option<f64>,
    /// The same with the ratios divided by their mean: biased, less variance.
    pub j_self_normalised: Option<f64>,
    /// The SFT bound on J.
    pub sft_bound: Option<f64>,
    /// The iw-SFT bound on J.
    pub iw_sft_bound: Option<f64>,
    /// J minus the SFT bound.
    pub sft_gap: Option<f64>,
    /// J minus the iw-SFT bound.
    pub iw_sft_gap: Option<f64>,
    /// `(sum w)^2 / sum w^2`: how many equally weighted samples the weights
    /// are worth. Weights are clipped and include the quality factor; they
    /// are one a trajectory or one a step, as the method has it.
    pub effective_sample_size: f64,
    /// The same as a share of the number of weights, in 0..=1.
    pub effective_share: f64,
    /// Smallest weight.
    pub weight_min: f64,
    /// Mean weight.
    pub weight_mean: f64,
    /// Largest weight.
    pub weight_max: f64,
    /// Weights by [`crate::HISTOGRAM_EDGES`], `[HISTOGRAM_BINS]`.
    pub weight_histogram: Vec<u64>,
    /// Share of weights clipped at either end.
    pub clipped: f64,
    /// Share raised to the lower end.
    pub clipped_low: f64,
    /// Share cut to the upper end; for PSFT, dropped beyond the trust region.
    pub clipped_high: f64,
    /// Mean of `log p - log ref` in nats per step, averaged like
    /// [`Diagnostics::nll`].
    pub log_ratio: Option<f64>,
    /// Estimate of the KL divergence that the objective holds down, in nats per
    /// step, averaged like [`Diagnostics::nll`]: `KL(ref || p)` for `asft`,
    /// `KL(p || ref)` for policy gradients. `None` for other objectives.
    pub kl: Option<f64>,
    /// Trajectories with at least one unmasked step.
    pub trajectories: u64,
    /// Unmasked steps.
    pub steps: u64,
}

/// `a / b`, and 0 where there is nothing to divide by.
fn ratio(a: f64, b: f64) -> f64 {
    if b == 0.0 { 0.0 } else { a / b }
}
