//! Objectives under the names of where they come from.

use serde::{Deserialize, Serialize};

use crate::objective::{Length, Proposal, Quality, Reduction};
use crate::spec::{MethodName, ObjectiveSpec};

/// A named set of values for every key of an objective.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Plain supervised fine-tuning. Each trajectory counts the same, as in
    /// the iw-SFT presets, so the two differ by the weight only.
    Sft,
    /// SFT(Q): SFT on rows that are drawn in proportion to their quality.
    SftQ,
    /// The language-model program of arXiv 2507.12856: one weight a
    /// trajectory, `T = 1`, clip `[0, 16]`, q = the current policy, the
    /// reference is the starting checkpoint. Each trajectory's loss is its
    /// weight times its mean NLL; no normalisation over the batch.
    IwSftLlm,
    /// iw-SFT(Q): the same on rows that are drawn in proportion to their quality.
    IwSftQ,
    /// The language-model program with one weight a step, clip `[0.2, 1.8]`.
    IwSftLlmStep,
    /// The control program of arXiv 2507.12856: one weight a trajectory,
    /// `T = 10`, clip `[0, 1000]`, q = moving average with decay 0.9, weights
    /// divided by their sum. (The authors also divide by the number of
    /// trajectories: a constant, which Adam cancels.)
    IwSftControl,
    /// The same with one weight a step, clip `[0, 2]`. Masked steps do not
    /// count in the normalisation; in the authors' program padding does.
    IwSftControlStep,
    /// Dynamic fine-tuning, arXiv 2508.05629, averaged over tokens.
    Dft,
    /// p^alpha, arXiv 2510.00526, averaged over tokens. `alpha` has to be
    /// chosen: the paper's point is that it depends on the model.
    PAlpha,
    /// Proximal SFT, arXiv 2508.17784, averaged over tokens, with the values
    /// of its authors' recipe: epsilon 0.28, and the old policy renewed every
    /// 8 updates (256 prompts in mini-batches of 32).
    Psft,
    /// Anchored SFT, arXiv 2509.23753: DFT and 0.05 times a KL divergence to
    /// the reference, averaged over tokens.
    Asft,
}

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 11] = [
        Self::Sft,
        Self::SftQ,
        Self::IwSftLlm,
        Self::IwSftQ,
        Self::IwSftLlmStep,
        Self::IwSftControl,
        Self::IwSftControlStep,
        Self::Dft,
        Self::PAlpha,
        Self::Psft,
        Self::Asft,
    ];

    /// The name in a recipe.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sft => "sft",
            Self::SftQ => "sft-q",
            Self::IwSftLlm => "iw-sft-llm",
            Self::IwSftQ => "iw-sft-q",
            Self::IwSftLlmStep => "iw-sft-llm-step",
            Self::IwSftControl => "iw-sft-control",
            Self::IwSftControlStep => "iw-sft-control-step",
            Self::Dft => "dft",
            Self::PAlpha => "p-alpha",
            Self::Psft => "psft",
            Self::Asft => "asft",
        }
    }

    /// The recipe that says `preset = "..."` and nothing else.
    pub fn spec(self) -> ObjectiveSpec {
        ObjectiveSpec {
            preset: Some(self),
            ..ObjectiveSpec::default()
        }
    }

    /// The preset whose values a recipe gets that names only a method.
    pub(crate) fn of_method(method: MethodName) -> Self {
        match method {
            MethodName::Sft => Self::Sft,
            MethodName::IwSft => Self::IwSftLlm,
            MethodName::IwSftStep => Self::IwSftLlmStep,
            MethodName::Dft => Self::Dft,
            MethodName::PAlpha => Self::PAlpha,
            MethodName::Psft => Self::Psft,
            MethodName::Asft => Self::Asft,
        }
    }

    /// The values.
    pub(crate) fn values(self) -> Values {
        let llm = Values {
            method: MethodName::IwSft,
            temperature: 1.0,
            clip: [0.0, 16.0],
            length: Length::Mean,
            reduction: Reduction::TrajectoryMean,
            self_normalise: false,
            q: Proposal::Current,
            quality: Quality::Off,
            epsilon: 0.28,
            lambda: 0.05,
        };
        let control = Values {
            temperature: 10.0,
            clip: [0.0, 1000.0],
            self_normalise: true,
            q: Proposal::Ema(0.9),
            ..llm
        };
        let token = |method| Values {
            method,
            reduction: Reduction::Token,
            ..llm
        };
        let sft = Values {
            method: MethodName::Sft,
            ..llm
        };
        let by_quality = |values| Values {
            quality: Quality::Resample,
            ..values
        };
        match self {
            Self::Sft => sft,
            Self::SftQ => by_quality(sft),
            Self::IwSftLlm => llm,
            Self::IwSftQ => by_quality(llm),
            Self::IwSftLlmStep => Values {
                method: MethodName::IwSftStep,
                clip: [0.2, 1.8],
                ..llm
            },
            Self::IwSftControl => control,
            Self::IwSftControlStep => Values {
                method: MethodName::IwSftStep,
                clip: [0.0, 2.0],
                ..control
            },
            Self::Dft => token(MethodName::Dft),
            Self::PAlpha => token(MethodName::PAlpha),
            Self::Psft => Values {
                q: Proposal::Lagged(8),
                ..token(MethodName::Psft)
            },
            Self::Asft => token(MethodName::Asft),
        }
    }
}

/// A value for every key. `clip`, `q`, `epsilon` and `lambda` are used where the
/// method has a use for them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Values {
    pub(crate) method: MethodName,
    pub(crate) temperature: f64,
    pub(crate) clip: [f64; 2],
    pub(crate) length: Length,
    pub(crate) reduction: Reduction,
    pub(crate) self_normalise: bool,
    pub(crate) q: Proposal,
    pub(crate) quality: Quality,
    pub(crate) epsilon: f64,
    pub(crate) lambda: f64,
}
