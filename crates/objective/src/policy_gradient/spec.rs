//! A policy gradient as a recipe writes it.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Advantages, Baseline, Normalise, PolicyGradient};
use crate::objective::Reduction;

/// The `[objective]` of a recipe for reinforcement learning: a preset, and the
/// keys that differ from it.
///
/// ```
/// use iwsft_objective::PolicyGradientSpec;
///
/// let spec: PolicyGradientSpec = toml::from_str("preset = 'grpo'\nbeta = 0.0")?;
/// let resolved = spec.resolve()?;
/// assert_eq!(resolved.gradient.clip, Some([0.2, 0.2]));
/// assert!(!resolved.gradient.needs_reference());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyGradientSpec {
    /// Where the values come from that no other key gives. Default `grpo`.
    pub preset: PolicyGradientPreset,
    /// See [`Baseline`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// See [`Normalise`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalise: Option<Normalise>,
    /// Whether the ratio is clipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip: Option<ClipName>,
    /// How far below 1 the ratio counts for negative advantages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epsilon_low: Option<f64>,
    /// How far above 1 the ratio counts for positive advantages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epsilon_high: Option<f64>,
    /// See [`PolicyGradient::beta`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta: Option<f64>,
    /// See [`Reduction`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reduction: Option<Reduction>,
}

/// Policy gradients under the names of where they come from.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyGradientPreset {
    /// arXiv 2402.03300: advantages divided by the group's standard deviation,
    /// clip 0.2, beta 0.04, each completion's loss a mean over its tokens.
    #[default]
    Grpo,
    /// arXiv 2503.20783: nothing divided by the standard deviation or by a
    /// completion's length, no KL. (The paper divides by a constant instead of
    /// the step's tokens: a factor, which Adam hardly sees.)
    DrGrpo,
    /// REINFORCE with the mean of the group's other completions as the baseline
    /// (RLOO, arXiv 2402.14740): no clip, no KL, each completion's loss a sum
    /// over its tokens, divided by the step's tokens.
    Reinforce,
}

/// Whether the ratio is clipped.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClipName {
    /// To `1 - epsilon_low ..= 1 + epsilon_high`.
    Ratio,
    /// No.
    None,
}

/// A [`PolicyGradientSpec`] with every value filled in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ResolvedPolicyGradient {
    /// From rewards to advantages.
    pub advantages: Advantages,
    /// From advantages to coefficients.
    pub gradient: PolicyGradient,
}

/// Why a recipe's `[objective]` is refused.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum PolicyGradientError {
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
    /// An epsilon without a clip.
    #[error("`objective.{key}` has no effect without a clip; remove it, or write clip = \"ratio\"")]
    Unclipped {
        /// The key.
        key: &'static str,
    },
}

impl PolicyGradientPreset {
    /// The name in a recipe.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grpo => "grpo",
            Self::DrGrpo => "dr-grpo",
            Self::Reinforce => "reinforce",
        }
    }

    fn values(self) -> ResolvedPolicyGradient {
        let grpo = ResolvedPolicyGradient {
            advantages: Advantages {
                baseline: Baseline::Mean,
                normalise: Normalise::Std,
            },
            gradient: PolicyGradient {
                clip: Some([0.2, 0.2]),
                beta: 0.04,
                reduction: Reduction::TrajectoryMean,
            },
        };
        let plain = |baseline, clip| ResolvedPolicyGradient {
            advantages: Advantages {
                baseline,
                normalise: Normalise::None,
            },
            gradient: PolicyGradient {
                clip,
                beta: 0.0,
                reduction: Reduction::Token,
            },
        };
        match self {
            Self::Grpo => grpo,
            Self::DrGrpo => plain(Baseline::Mean, Some([0.2, 0.2])),
            Self::Reinforce => plain(Baseline::LeaveOneOut, None),
        }
    }
}

impl PolicyGradientSpec {
    /// Fills in the preset's values and checks the result. A key that is
    /// written out and has no effect is refused.
    ///
    /// # Errors
    /// [`PolicyGradientError`] naming the key at fault.
    pub fn resolve(&self) -> Result<ResolvedPolicyGradient, PolicyGradientError> {
        let ResolvedPolicyGradient {
            mut advantages,
            mut gradient,
        } = self.preset.values();
        advantages.baseline = self.baseline.unwrap_or(advantages.baseline);
        advantages.normalise = self.normalise.unwrap_or(advantages.normalise);
        gradient.beta = self.beta.unwrap_or(gradient.beta);
        gradient.reduction = self.reduction.unwrap_or(gradient.reduction);
        let epsilons = [
            ("epsilon_low", self.epsilon_low),
            ("epsilon_high", self.epsilon_high),
        ];
        gradient.clip = match self.clip {
            Some(ClipName::None) => None,
            Some(ClipName::Ratio) => Some(gradient.clip.unwrap_or([0.2, 0.2])),
            None => gradient.clip,
        };
        for (end, (key, given)) in epsilons.into_iter().enumerate() {
            match (&mut gradient.clip, given) {
                (_, None) => {}
                (Some(clip), Some(epsilon)) => clip[end] = epsilon,
                (None, Some(_)) => return Err(PolicyGradientError::Unclipped { key }),
            }
        }
        let range = |key, found: f64, good: bool, expected| match good && found.is_finite() {
            true => Ok(()),
            false => Err(PolicyGradientError::Range {
                key,
                found,
                expected,
            }),
        };
        range(
            "beta",
            gradient.beta,
            gradient.beta >= 0.0,
            "a finite number of at least 0",
        )?;
        if let Some([low, high]) = gradient.clip {
            range(
                "epsilon_low",
                low,
                (0.0..=1.0).contains(&low),
                "a number from 0 to 1",
            )?;
            range(
                "epsilon_high",
                high,
                high >= 0.0,
                "a finite number of at least 0",
            )?;
        }
        Ok(ResolvedPolicyGradient {
            advantages,
            gradient,
        })
    }
}
