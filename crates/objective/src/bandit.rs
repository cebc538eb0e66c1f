//! The two-armed bandit of arXiv 2507.12856, computed exactly.
//!
//! A reference policy pulls each arm half of the time. The left arm succeeds
//! with probability 0.5, the right one always; the curated data D+ are the
//! pulls that succeeded, one third of them left and two thirds right. A
//! softmax over two logits is fitted to D+ by gradient ascent.
//!
//! SFT maximises the likelihood of D+ and so lands on its shares, 1/3 : 2/3.
//! iw-SFT maximises `E_{D+}[(q/pi_ref) log p]`, whose maximum for a fixed q is
//! `p ~ q R`: every refresh of q doubles the odds of the right arm, until the
//! policy pulls nothing else.
//!
//! There is no sampling: an arm is one trajectory of one step whose quality is
//! its share of D+. The coefficients, J and the bounds come from the same code
//! that trains language models.

use serde::Serialize;

use crate::objective::ObjectiveError;
use crate::presets::Preset;
use crate::steps::{Steps, StepsError};
use crate::{Diagnostics, Objective};

/// Arms: left, right.
const ARMS: usize = 2;

/// How often the reference pulls each arm.
pub const REFERENCE: [f64; ARMS] = [0.5, 0.5];

/// How often each arm succeeds.
pub const SUCCESS: [f64; ARMS] = [0.5, 1.0];

/// How the bandit is run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Number of gradient steps.
    pub updates: usize,
    /// Their size. The fit of SFT oscillates above 2.25 and does not converge
    /// from 4.5 on.
    pub learning_rate: f64,
    /// q is copied from the policy before every `refresh`-th update, starting
    /// with the first; 0 counts as 1.
    pub refresh: usize,
}

impl Default for Config {
    /// 4000 updates of size 0.25, q refreshed before each: small enough to see
    /// both curves bend, long enough for iw-SFT to pull right 999 times of 1000.
    fn default() -> Self {
        Self {
            updates: 4000,
            learning_rate: 0.25,
            refresh: 1,
        }
    }
}

/// What the bandit is trained by.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Supervised fine-tuning on the successes.
    Sft,
    /// The same, importance weighted.
    IwSft,
}

impl Method {
    /// Both, in the order in which [`run`] goes through them.
    pub const ALL: [Self; 2] = [Self::Sft, Self::IwSft];

    /// The policy it converges to, in closed form.
    pub fn limit(self) -> [f64; ARMS] {
        match self {
            Self::Sft => curated(),
            Self::IwSft => [0.0, 1.0],
        }
    }

    fn objective(self) -> Result<Objective, ObjectiveError> {
        match self {
            Self::Sft => Preset::Sft.spec().resolve(),
            Self::IwSft => Preset::IwSftLlm.spec().resolve(),
        }
    }
}

/// One policy on the way.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// What it is trained by.
    pub method: Method,
    /// Updates made so far.
    pub update: usize,
    /// Probability of pulling each arm, left and right.
    pub policy: [f64; ARMS],
    /// True return: the probability of success.
    pub j: f64,
    /// The SFT bound on it. Like the next, it is computed from `f32`
    /// log-probabilities, so at a tight spot it may exceed J in the 7th digit.
    pub sft_bound: f64,
    /// The iw-SFT bound, with the q that the last update used.
    pub iw_sft_bound: f64,
}

/// Why the bandit cannot run: never with the presets as they are.
#[derive(Debug, thiserror::Error)]
pub enum BanditError {
    /// A preset does not resolve.
    #[error(transparent)]
    Objective(#[from] ObjectiveError),
    /// The batch is refused.
    #[error(transparent)]
    Steps(#[from] StepsError),
}

/// The return of a policy: its probability of success.
pub fn true_return(policy: [f64; ARMS]) -> f64 {
    (0..ARMS).map(|a| policy[a] * SUCCESS[a]).sum()
}

/// Trains by each method and returns `updates + 1` points for each, update 0
/// being the reference.
///
/// # Errors
///
/// [`BanditError`].
pub fn run(config: &Config) -> Result<Vec<Point>, BanditError> {
    let mut points = Vec::with_capacity(Method::ALL.len() * (config.updates + 1));
    for method in Method::ALL {
        let objective = method.objective()?;
        let mut logits = REFERENCE.map(f64::ln);
        let mut q = REFERENCE;
        for update in 0..=config.updates {
            let policy = softmax(logits);
            let (_, diagnostics) = evaluate(&objective, policy, q)?;
            points.push(Point {
                method,
                update,
                policy,
                j: true_return(policy),
                sft_bound: diagnostics.sft_bound.unwrap_or(f64::NAN),
                iw_sft_bound: diagnostics.iw_sft_bound.unwrap_or(f64::NAN),
            });
            if update % config.refresh.max(1) == 0 {
                q = policy;
            }
            let (coefficients, _) = evaluate(&objective, policy, q)?;
            let sum: f64 = coefficients.iter().sum();
            for a in 0..ARMS {
                // d/dlogit_a of sum_i c_i log p_i.
                logits[a] += config.learning_rate * (coefficients[a] - policy[a] * sum);
            }
        }
    }
    Ok(points)
}

/// Each arm's coefficient, and the bounds of the policy. Qualities are shares
/// of D+, so the plain sum over arms is the expectation over D+.
fn evaluate(
    objective: &Objective,
    policy: [f64; ARMS],
    q: [f64; ARMS],
) -> Result<([f64; ARMS], Diagnostics), StepsError> {
    let log = |p: [f64; ARMS]| p.map(|p| p.ln() as f32);
    // J and the bounds are means over trajectories: a reward that carries the
    // arm's share of the reference's pulls makes them expectations.
    let reward = [0, 1].map(|a| (ARMS as f64 * REFERENCE[a] * SUCCESS[a]) as f32);
    let quality = curated().map(|share| share as f32);
    let (log_p, log_q, log_ref) = (log(policy), log(q), log(REFERENCE));
    let steps = Steps::new(
        &[0, 1, 2],
        &log_p,
        Some(&log_q),
        Some(&log_ref),
        &[1.0; ARMS],
        &reward,
        &quality,
    )?;
    let mut coefficients = [0.0; ARMS];
    let summary = objective.coefficients(&steps, &mut coefficients)?;
    Ok((coefficients.map(f64::from), summary.diagnostics()))
}

/// Each arm's share of the successes.
fn curated() -> [f64; ARMS] {
    let successes = [0, 1].map(|a| REFERENCE[a] * SUCCESS[a]);
    let total: f64 = successes.iter().sum();
    successes.map(|s| s / total)
}

fn softmax(logits: [f64; ARMS]) -> [f64; ARMS] {
    let largest = logits.into_iter().fold(f64::NEG_INFINITY, f64::max);
    let exps = logits.map(|l| (l - largest).exp());
    let total: f64 = exps.iter().sum();
    exps.map(|e| e / total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(points: &[Point], method: Method) -> Point {
        *points.iter().rfind(|p| p.method == method).unwrap()
    }

    #[test]
    fn sft_lands_on_the_shares_of_the_curated_data() {
        let points = run(&Config::default()).unwrap();
        let policy = last(&points, Method::Sft).policy;
        assert!((policy[0] - 1.0 / 3.0).abs() < 1e-6, "{policy:?}");
        assert!((policy[1] - 2.0 / 3.0).abs() < 1e-6, "{policy:?}");
        assert_eq!(Method::Sft.limit(), [1.0 / 3.0, 2.0 / 3.0]);
    }

    #[test]
    fn iw_sft_lands_on_the_better_arm_alone() {
        let points = run(&Config::default()).unwrap();
        let end = last(&points, Method::IwSft);
        assert!(end.policy[1] > 0.999, "{:?}", end.policy);
    }

    #[test]
    fn with_q_current_iw_sft_climbs_the_return_at_the_known_rate() {
        // Its gradient is that of the return over 3/4, the reference's return;
        // so 1 - p falls like 3 / (4 * rate * t).
        let config = Config {
            updates: 10_000,
            learning_rate: 2.0,
            refresh: 1,
        };
        let policy = last(&run(&config).unwrap(), Method::IwSft).policy;
        let expected = 3.0 / (4.0 * 2.0 * 10_000.0);
        assert!((policy[0] / expected - 1.0).abs() < 0.01, "{policy:?}");
    }

    #[test]
    fn fitting_to_convergence_between_refreshes_doubles_the_odds_each_time() {
        // Odds 2^k : 1 after k refreshes, the first being SFT's 2 : 1.
        let refresh = 400;
        let config = Config {
            updates: 4 * refresh,
            learning_rate: 2.0,
            refresh,
        };
        let points = run(&config).unwrap();
        for k in 1..=4_usize {
            let point = points
                .iter()
                .find(|p| p.method == Method::IwSft && p.update == k * refresh)
                .unwrap();
            let odds = point.policy[1] / point.policy[0];
            let expected = f64::from(1_u32 << k);
            assert!((odds / expected - 1.0).abs() < 1e-5, "{k}: {odds}");
        }
    }

    #[test]
    fn the_estimate_of_j_is_the_true_return_and_no_bound_exceeds_it() {
        let config = Config {
            refresh: 25,
            ..Config::default()
        };
        for point in run(&config).unwrap() {
            let objective = point.method.objective().unwrap();
            let (_, diagnostics) = evaluate(&objective, point.policy, point.policy).unwrap();
            assert!((diagnostics.j.unwrap() - point.j).abs() < 1e-6);
            assert!(point.sft_bound <= point.j + 1e-6);
            assert!(point.iw_sft_bound <= point.j + 1e-6);
        }
    }

    #[test]
    fn at_the_end_the_iw_sft_bound_is_tight_where_the_sft_bound_is_loose() {
        let end = last(&run(&Config::default()).unwrap(), Method::IwSft);
        assert!(end.j - end.iw_sft_bound < 1e-6);
        assert!(end.j - end.sft_bound > 0.5);
    }

    #[test]
    fn both_runs_start_at_the_reference_with_every_bound_tight() {
        for point in run(&Config::default())
            .unwrap()
            .iter()
            .filter(|p| p.update == 0)
        {
            assert_eq!(point.policy, REFERENCE);
            assert_eq!(point.j, 0.75);
            assert!((point.sft_bound - 0.75).abs() < 1e-7);
            assert!((point.iw_sft_bound - 0.75).abs() < 1e-7);
        }
    }
}
