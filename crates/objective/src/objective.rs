//! What is optimised: a method and the choices around it.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::spec::ObjectiveSpec;

/// A resolved objective. [`Objective::coefficients`] turns log-probabilities
/// into coefficients by it.
///
/// In a recipe it is written as an [`ObjectiveSpec`], and it is read and
/// written through one: what is serialised is a recipe that resolves to the
/// same objective, and what is deserialised has been checked.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(try_from = "ObjectiveSpec", into = "ObjectiveSpec")]
pub struct Objective {
    /// What a step's coefficient is.
    pub method: Method,
    /// `T` in every ratio to the reference: the weights of iw-SFT, J and the
    /// bounds.
    pub temperature: f64,
    /// Smallest and largest weight. `None` for methods that do not clip.
    pub clip: Option<[f64; 2]>,
    /// How a trajectory's log-ratio is taken over its steps. For methods
    /// without a trajectory's ratio this shapes J and the bounds only.
    pub length: Length,
    /// How steps are averaged into the loss.
    pub reduction: Reduction,
    /// Divide by the sum of the coefficients (so that they average to 1)
    /// instead of by the number of trajectories or steps.
    pub self_normalise: bool,
    /// The proposal q. `Current` for methods without one.
    pub q: Proposal,
    /// What the rows' quality scores do.
    pub quality: Quality,
}

/// The coefficient of a step before normalisation, detached from the gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// 1: plain supervised fine-tuning, behaviour cloning.
    Sft,
    /// `clip(exp(T * mean_t[log q_t - log ref_t]))`, one weight a trajectory
    /// (arXiv 2507.12856). The mean is a sum under [`Length::Sum`].
    IwSft,
    /// `clip(exp(T * (log q_t - log ref_t)))`, one weight a step.
    IwSftStep,
    /// `p_t` (arXiv 2508.05629).
    Dft,
    /// `p_t^alpha` (arXiv 2510.00526): 0 is SFT, 1 is DFT.
    PAlpha {
        /// The exponent, at least 0.
        alpha: f64,
    },
    /// `r_t * 1[r_t <= 1 + epsilon]` with `r_t = p_t / q_t`
    /// (arXiv 2508.17784), where q is an older copy of the policy.
    Psft {
        /// Width of the trust region, at least 0.
        epsilon: f64,
    },
    /// `p_t + lambda (1 - p_t / ref_t)` (arXiv 2509.23753): DFT, anchored by
    /// `lambda` times an estimate of `KL(ref || p)` at the data's tokens, see
    /// [`crate::anchor`].
    Asft {
        /// Weight of the anchor, at least 0.
        lambda: f64,
    },
}

impl Method {
    /// The name in a recipe.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sft => "sft",
            Self::IwSft => "iw-sft",
            Self::IwSftStep => "iw-sft-step",
            Self::Dft => "dft",
            Self::PAlpha { .. } => "p-alpha",
            Self::Psft { .. } => "psft",
            Self::Asft { .. } => "asft",
        }
    }

    /// Whether the coefficient depends on the reference.
    pub fn uses_reference(self) -> bool {
        matches!(self, Self::IwSft | Self::IwSftStep | Self::Asft { .. })
    }

    /// Whether the coefficient depends on the proposal q.
    pub fn uses_q(self) -> bool {
        matches!(self, Self::IwSft | Self::IwSftStep | Self::Psft { .. })
    }

    /// Whether the coefficient is clipped to a range.
    pub fn clips(self) -> bool {
        matches!(self, Self::IwSft | Self::IwSftStep)
    }
}

/// How a trajectory's log-ratio is taken over its steps.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Length {
    /// The mean over its steps: the ratio does not depend on the length.
    #[default]
    Mean,
    /// The sum: the ratio of the trajectories' probabilities.
    Sum,
}

/// How steps are averaged into the loss.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reduction {
    /// Within a trajectory first: each trajectory counts the same, whatever
    /// its length.
    #[default]
    TrajectoryMean,
    /// Over all steps at once: each step counts the same.
    Token,
}

/// The proposal q, by which the data are weighed.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proposal {
    /// The policy as it is now, detached: no extra forward pass.
    #[default]
    Current,
    /// A moving average of the parameters, `q <- decay * q + (1 - decay) * p`,
    /// taken before every optimizer step.
    Ema(
        /// The decay, in `0 <= decay < 1`.
        f64,
    ),
    /// A copy of the policy, renewed every so many optimizer steps.
    Lagged(
        /// Steps between copies, at least 1.
        u64,
    ),
}

/// What the rows' quality scores do.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quality {
    /// Nothing.
    #[default]
    Off,
    /// Rows are drawn in proportion to quality ([`crate::Resampler`]).
    Resample,
    /// A row's coefficients are multiplied by its quality.
    Weight,
}

/// Why a recipe's `[objective]` is refused.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum ObjectiveError {
    /// Neither `preset` nor `method` is given.
    #[error("`objective` names neither `preset` nor `method`; for a start write preset = \"sft\"")]
    NoMethod,
    /// A key that has no effect with the method.
    #[error("`objective.{key}` has no effect with method \"{method}\"; remove it{remedy}")]
    Unused {
        /// The key.
        key: &'static str,
        /// The method's name.
        method: &'static str,
        /// An alternative to removing the key.
        remedy: &'static str,
    },
    /// A number outside its range.
    #[error("`objective.{key}` is {found}; expected {expected}")]
    Range {
        /// The key.
        key: &'static str,
        /// The value found.
        found: f64,
        /// The range.
        expected: &'static str,
    },
    /// A clip range that is none.
    #[error(
        "`objective.clip` is [{lo}, {hi}]; expected [low, high] with 0 <= low <= high and high > 0 \
         (inf for no upper limit)"
    )]
    Clip {
        /// The lower end found.
        lo: f64,
        /// The upper end found.
        hi: f64,
    },
    /// p^alpha without its exponent.
    #[error(
        "method \"p-alpha\" needs `objective.alpha`; 0 is SFT, 1 is DFT, and the larger, the more \
         likely tokens dominate"
    )]
    NoAlpha,
    /// PSFT against the current policy.
    #[error(
        "method \"psft\" with q = \"current\" is SFT, because its ratio p/q is always 1; write \
         q = {{ lagged = 8 }} or q = {{ ema = 0.9 }}"
    )]
    PsftCurrent,
    /// Self-normalisation by a sum that may be 0 or negative.
    #[error(
        "`objective.self_normalise` divides by the sum of the coefficients, which method \"asft\" \
         can make 0 or negative; remove it"
    )]
    AsftNormalised,
}

impl Objective {
    /// Whether the coefficients need the reference's log-probabilities.
    /// Without them J, the bounds and the log-ratio are not reported either.
    pub fn needs_reference(&self) -> bool {
        self.method.uses_reference()
    }

    /// Whether a policy besides the current one has to be kept as q and
    /// evaluated on every batch.
    pub fn needs_q(&self) -> bool {
        self.method.uses_q() && self.q != Proposal::Current
    }

    /// Checks every value and combination of values. Objectives that come from
    /// [`ObjectiveSpec::resolve`] or from a file have been checked.
    ///
    /// # Errors
    ///
    /// [`ObjectiveError`] naming the key at fault.
    pub fn validate(&self) -> Result<(), ObjectiveError> {
        let range = |key, found: f64, good: bool, expected| match good && found.is_finite() {
            true => Ok(()),
            false => Err(ObjectiveError::Range {
                key,
                found,
                expected,
            }),
        };
        let temperature = self.temperature;
        range(
            "temperature",
            temperature,
            temperature > 0.0,
            "a finite number above 0",
        )?;
        let method = self.method.name();
        if let Some([lo, hi]) = self.clip {
            if !self.method.clips() {
                return Err(ObjectiveError::Unused {
                    key: "clip",
                    method,
                    remedy: "",
                });
            }
            if !(0.0 <= lo && lo <= hi && hi > 0.0) || lo.is_infinite() {
                return Err(ObjectiveError::Clip { lo, hi });
            }
        }
        if self.q != Proposal::Current && !self.method.uses_q() {
            return Err(ObjectiveError::Unused {
                key: "q",
                method,
                remedy: ", or use \"iw-sft\", \"iw-sft-step\" or \"psft\"",
            });
        }
        match self.q {
            Proposal::Current => {}
            Proposal::Ema(decay) => range(
                "q.ema",
                decay,
                (0.0..1.0).contains(&decay),
                "a decay from 0 to below 1",
            )?,
            Proposal::Lagged(every) => range(
                "q.lagged",
                every as f64,
                every > 0,
                "at least 1 optimizer step",
            )?,
        }
        match self.method {
            Method::PAlpha { alpha } => range(
                "alpha",
                alpha,
                alpha >= 0.0,
                "a finite number of at least 0",
            ),
            Method::Psft { epsilon } => {
                range(
                    "epsilon",
                    epsilon,
                    epsilon >= 0.0,
                    "a finite number of at least 0",
                )?;
                if self.q == Proposal::Current {
                    return Err(ObjectiveError::PsftCurrent);
                }
                Ok(())
            }
            Method::Asft { lambda } => {
                range(
                    "lambda",
                    lambda,
                    lambda >= 0.0,
                    "a finite number of at least 0",
                )?;
                if self.self_normalise {
                    return Err(ObjectiveError::AsftNormalised);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
