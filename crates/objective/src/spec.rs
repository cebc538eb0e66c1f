//! An objective as a recipe writes it.

use serde::{Deserialize, Serialize};

use crate::objective::{Length, Method, Objective, ObjectiveError, Proposal, Quality, Reduction};
use crate::presets::Preset;

/// The `[objective]` of a recipe: a preset or a method, and the keys that
/// differ from it. [`ObjectiveSpec::resolve`] fills in the rest.
///
/// ```
/// use iwsft_objective::ObjectiveSpec;
///
/// let spec: ObjectiveSpec = toml::from_str(
///     r#"
///     preset = "iw-sft-llm"
///     clip = [0.0, 4.0]
///     q = { ema = 0.9 }
///     "#,
/// )?;
/// let objective = spec.resolve()?;
/// assert_eq!(objective.clip, Some([0.0, 4.0]));
/// assert_eq!(objective.temperature, 1.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectiveSpec {
    /// Where the values come from that no other key gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// What a step's coefficient is. Without a preset, the other values are
    /// those of the preset of the same name; `iw-sft` and `iw-sft-step` take
    /// `iw-sft-llm` and `iw-sft-llm-step`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<MethodName>,
    /// The exponent of `p-alpha`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// The width of `psft`'s trust region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f64>,
    /// The weight of `asft`'s anchor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lambda: Option<f64>,
    /// See [`Objective::temperature`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// See [`Objective::clip`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<[f64; 2]>,
    /// See [`Objective::length`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<Length>,
    /// See [`Objective::reduction`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reduction: Option<Reduction>,
    /// See [`Objective::self_normalise`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_normalise: Option<bool>,
    /// See [`Objective::q`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q: Option<Proposal>,
    /// See [`Objective::quality`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
}

/// A [`Method`] by name, its parameters being keys of their own.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MethodName {
    /// [`Method::Sft`]
    Sft,
    /// [`Method::IwSft`]
    IwSft,
    /// [`Method::IwSftStep`]
    IwSftStep,
    /// [`Method::Dft`]
    Dft,
    /// [`Method::PAlpha`]
    PAlpha,
    /// [`Method::Psft`]
    Psft,
    /// [`Method::Asft`]
    Asft,
}

impl ObjectiveSpec {
    /// Fills in the preset's values and checks the result.
    ///
    /// When `method` overrides the preset's, the preset's values apply as far
    /// as the method has a use for them. A key that is written out and has no
    /// effect is refused.
    ///
    /// # Errors
    ///
    /// [`ObjectiveError`] naming the key at fault.
    pub fn resolve(&self) -> Result<Objective, ObjectiveError> {
        let values = match (self.preset, self.method) {
            (Some(preset), _) => preset.values(),
            (None, Some(method)) => Preset::of_method(method).values(),
            (None, None) => return Err(ObjectiveError::NoMethod),
        };
        let name = self.method.unwrap_or(values.method);
        let method = match name {
            MethodName::Sft => Method::Sft,
            MethodName::IwSft => Method::IwSft,
            MethodName::IwSftStep => Method::IwSftStep,
            MethodName::Dft => Method::Dft,
            MethodName::PAlpha => Method::PAlpha {
                alpha: self.alpha.ok_or(ObjectiveError::NoAlpha)?,
            },
            MethodName::Psft => Method::Psft {
                epsilon: self.epsilon.unwrap_or(values.epsilon),
            },
            MethodName::Asft => Method::Asft {
                lambda: self.lambda.unwrap_or(values.lambda),
            },
        };
        let unused = |key, remedy| ObjectiveError::Unused {
            key,
            method: method.name(),
            remedy,
        };
        if self.alpha.is_some() && name != MethodName::PAlpha {
            return Err(unused("alpha", ", or use \"p-alpha\""));
        }
        if self.epsilon.is_some() && name != MethodName::Psft {
            return Err(unused("epsilon", ", or use \"psft\""));
        }
        if self.lambda.is_some() && name != MethodName::Asft {
            return Err(unused("lambda", ", or use \"asft\""));
        }
        let inherited_clip = method.clips().then_some(values.clip);
        let inherited_q = if method.uses_q() {
            values.q
        } else {
            Proposal::Current
        };
        let objective = Objective {
            method,
            temperature: self.temperature.unwrap_or(values.temperature),
            clip: self.clip.or(inherited_clip),
            length: self.length.unwrap_or(values.length),
            reduction: self.reduction.unwrap_or(values.reduction),
            self_normalise: self.self_normalise.unwrap_or(values.self_normalise),
            q: self.q.unwrap_or(inherited_q),
            quality: self.quality.unwrap_or(values.quality),
        };
        objective.validate()?;
        Ok(objective)
    }
}

impl TryFrom<ObjectiveSpec> for Objective {
    type Error = ObjectiveError;

    fn try_from(spec: ObjectiveSpec) -> Result<Self, ObjectiveError> {
        spec.resolve()
    }
}

/// The spec that gives every value, without a preset.
impl From<Objective> for ObjectiveSpec {
    fn from(objective: Objective) -> Self {
        let (mut alpha, mut epsilon, mut lambda) = (None, None, None);
        let name = match objective.method {
            Method::Sft => MethodName::Sft,
            Method::IwSft => MethodName::IwSft,
            Method::IwSftStep => MethodName::IwSftStep,
            Method::Dft => MethodName::Dft,
            Method::PAlpha { alpha: value } => {
                alpha = Some(value);
                MethodName::PAlpha
            }
            Method::Psft { epsilon: value } => {
                epsilon = Some(value);
                MethodName::Psft
            }
            Method::Asft { lambda: value } => {
                lambda = Some(value);
                MethodName::Asft
            }
        };
        Self {
            preset: None,
            method: Some(name),
            alpha,
            epsilon,
            lambda,
            temperature: Some(objective.temperature),
            clip: objective.clip,
            length: Some(objective.length),
            reduction: Some(objective.reduction),
            self_normalise: Some(objective.self_normalise),
            q: objective.method.uses_q().then_some(objective.q),
            quality: Some(objective.quality),
        }
    }
}
