//! Log-probabilities as servers tell them, and which of them can be.

/// How far above 0 rounding may bring the logarithm of 1.
const ROUNDING: f64 = 1e-5;

/// No token is ever drawn at or below this. Servers write -9999, -1e300 and the
/// like where they do not know.
const IMPOSSIBLE: f64 = -500.0;

/// The log-probabilities of a whole completion.
///
/// # Errors
/// Says why they are none, if one of them cannot be what it should.
pub(crate) fn checked(told: &[Option<f64>]) -> Result<Vec<f32>, String> {
    let check = |told: &Option<f64>| match *told {
        None => Err("one of them is missing or is not a number".to_owned()),
        Some(value) if value.is_nan() => Err("one of them is not a number".to_owned()),
        Some(value) if value > ROUNDING => Err(format!("{value} is above 0")),
        Some(value) if value <= IMPOSSIBLE => {
            Err(format!("{value} is no value of a token that was drawn"))
        }
        Some(value) => Ok(value.min(0.0) as f32),
    };
    told.iter().map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_probability_is_at_most_0_and_of_a_token_that_can_be_drawn() {
        let read = |told: &[f64]| checked(&told.iter().copied().map(Some).collect::<Vec<_>>());
        assert_eq!(read(&[-0.5, -30.0, 0.0]), Ok(vec![-0.5, -30.0, 0.0]));
        // Rounded up.
        assert_eq!(read(&[1e-6, 1.2e-7]), Ok(vec![0.0, 0.0]));
        for (wrong, said) in [
            (0.7, "0.7 is above 0"),
            (1e-3, "above 0"),
            (f64::INFINITY, "above 0"),
            (f64::NAN, "not a number"),
            (f64::NEG_INFINITY, "no value"),
            (-9999.0, "-9999"),
            (-1000.0, "no value"),
            (-1e300, "no value"),
            (f64::from(f32::MIN), "no value"),
        ] {
            let reason = read(&[-0.5, wrong]).unwrap_err();
            assert!(reason.contains(said), "{reason}");
        }
        assert!(checked(&[None]).unwrap_err().contains("missing"));
        assert_eq!(checked(&[]), Ok(vec![]));
    }
}
