//! In which numbers matrix products multiply.

use std::fmt;
use std::str::FromStr;

use crate::bf16;

/// The numbers that a matrix product multiplies. Sums, parameters, gradients and
/// activations are f32 either way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// f32 as it is.
    #[default]
    F32,
    /// Operands are rounded to bf16 (8 significant bits, the exponents of f32) on
    /// their way into the product. On processors with AVX512_BF16 that is up to
    /// twice as fast; on others it gives the same bits, slowly.
    Bf16,
}

/// A word that names no [`Precision`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no precision {0:?}; it is \"f32\" or \"bf16\"")]
pub struct UnknownPrecision(String);

impl Precision {
    /// Both, f32 first.
    pub const ALL: [Self; 2] = [Self::F32, Self::Bf16];

    /// Whether products in this precision use instructions made for it. Where
    /// bf16 has none it is emulated, and f32 is the faster choice.
    pub fn is_native(self) -> bool {
        match self {
            Self::F32 => true,
            Self::Bf16 => bf16::is_native(),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        })
    }
}

impl FromStr for Precision {
    type Err = UnknownPrecision;

    fn from_str(word: &str) -> Result<Self, UnknownPrecision> {
        Self::ALL
            .into_iter()
            .find(|precision| precision.to_string() == word)
            .ok_or_else(|| UnknownPrecision(word.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for precision in Precision::ALL {
            assert_eq!(precision.to_string().parse(), Ok(precision));
        }
        let error = "fp16".parse::<Precision>().unwrap_err().to_string();
        assert!(error.contains("fp16") && error.contains("bf16"), "{error}");
    }
}
