//! Which vector instructions the element-wise kernels use.
//!
//! Kernels are plain loops. [`run`] calls one inside a function that is
//! compiled for the widest instruction set of this processor, so the compiler
//! vectorises the same source several times over. Reductions run in
//! [`LANES`] fixed lanes and multiply-adds are fused everywhere, so that every
//! path gives the same bits.

use std::fmt;
use std::sync::OnceLock;

/// Name of the environment variable that forces a path: `avx512`, `avx2` or
/// `portable`. (Matrix products in f32 choose their own kernels in the `gemm` crate;
/// those in bf16 use instructions of their own only with `avx512`.)
pub const CPU_VARIABLE: &str = "IWSFT_CPU";

/// Width of every reduction, whatever the instruction set.
pub(crate) const LANES: usize = 16;

/// An instruction set for element-wise kernels.
#[derive(Debug, Clone, Copy)]
pub enum CpuPath {
    /// AVX-512 (F, BW, CD, DQ, VL).
    #[cfg(target_arch = "x86_64")]
    Avx512(pulp::x86::V4),
    /// AVX2 with fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3),
    /// What the compiler's default target has.
    Portable,
}

/// The environment asks for an instruction set that cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "{CPU_VARIABLE}={asked}: not available on this processor; set it to one of {available}, or unset it"
)]
pub struct UnavailableCpuPath {
    asked: String,
    available: String,
}

impl CpuPath {
    /// The paths this processor can run, best first.
    pub fn available() -> Vec<Self> {
        let mut paths = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            paths.extend(pulp::x86::V4::try_new().map(Self::Avx512));
            paths.extend(pulp::x86::V3::try_new().map(Self::Avx2));
        }
        paths.push(Self::Portable);
        paths
    }

    /// The path that the environment asks for, or else the best one.
    ///
    /// # Errors
    /// If [`CPU_VARIABLE`] names none of [`CpuPath::available`].
    pub fn from_environment() -> Result<Self, UnavailableCpuPath> {
        let available = Self::available();
        match std::env::var(CPU_VARIABLE) {
            Err(_) => Ok(available[0]),
            Ok(asked) => available
                .iter()
                .find(|path| path.to_string() == asked)
                .copied()
                .ok_or_else(|| UnavailableCpuPath {
                    asked,
                    available: available
                        .iter()
                        .map(Self::to_string)
                        .collect::<Vec<_>>()
                        .join(", "),
                }),
        }
    }

    /// The path in use: chosen once per process. A wrong [`CPU_VARIABLE`] falls
    /// back to the best path here; programs report it by calling
    /// [`CpuPath::from_environment`] at their start.
    pub fn current() -> Self {
        static CURRENT: OnceLock<CpuPath> = OnceLock::new();
        *CURRENT.get_or_init(|| Self::from_environment().unwrap_or(Self::available()[0]))
    }
}

impl fmt::Display for CpuPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
            Self::Portable => "portable",
        })
    }
}

/// Runs `kernel` compiled for the current path. Mark the closure and what it
/// calls `#[inline(always)]`, or it keeps the default instruction set.
#[inline]
pub(crate) fn run<R>(kernel: impl FnOnce() -> R) -> R {
    match CpuPath::current() {
        #[cfg(target_arch = "x86_64")]
        CpuPath::Avx512(path) => path.vectorize(kernel),
        #[cfg(target_arch = "x86_64")]
        CpuPath::Avx2(path) => path.vectorize(kernel),
        CpuPath::Portable => kernel(),
    }
}

/// `sum_i f(i-th elements)` in fixed lanes, so the order of additions does not
/// depend on the instruction set.
#[inline(always)]
pub(crate) fn sum2(a: &[f32], b: &[f32], f: impl Fn(f32, f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..LANES {
            lanes[lane] = f(a[lane], b[lane], lanes[lane]);
        }
    }
    for (lane, (&a, &b)) in a_rest.iter().zip(b_rest).enumerate() {
        lanes[lane] = f(a, b, lanes[lane]);
    }
    lanes.iter().sum()
}

/// `sum_i a_i b_i`.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum2(a, b, |a, b, sum| a.mul_add(b, sum))
}

/// The largest element (`-inf` for none); a NaN is skipped.
#[inline(always)]
pub(crate) fn max(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (blocks, rest) = values.as_chunks::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            lanes[lane] = if block[lane] > lanes[lane] {
                block[lane]
            } else {
                lanes[lane]
            };
        }
    }
    rest.iter()
        .chain(&lanes)
        .copied()
        .fold(f32::NEG_INFINITY, f32::max)
}

/// `exp(x)` to about one unit in the last place, in a form that vectorises.
/// Arguments below -87.3 give about 1e-38 instead of a subnormal, and
/// arguments above 88.3 give about 2e38; NaN stays NaN.
///
/// Writes `x = j ln 2 + r` with `|r| <= ln 2 / 2`, evaluates the Taylor
/// polynomial of `exp(r)` and puts `j` into the exponent's bits.
#[inline(always)]
#[allow(clippy::excessive_precision, clippy::manual_clamp)]
pub(crate) fn exp(x: f32) -> f32 {
    // Adding and subtracting 1.5 * 2^23 rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_375;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // `max` and `min` would drop a NaN; comparisons that fail let it through.
    let x = if x < -87.3 { -87.3 } else { x };
    let x = if x > 88.3 { 88.3 } else { x };
    let j = x.mul_add(std::f32::consts::LOG2_E, ROUND) - ROUND;
    let r = j.mul_add(-LN2_LOW, j.mul_add(-LN2_HIGH, x));
    let mut p = 1.0 / 5040.0;
    p = r.mul_add(p, 1.0 / 720.0);
    p = r.mul_add(p, 1.0 / 120.0);
    p = r.mul_add(p, 1.0 / 24.0);
    p = r.mul_add(p, 1.0 / 6.0);
    p = r.mul_add(p, 0.5);
    p = r.mul_add(p, 1.0);
    p = r.mul_add(p, 1.0);
    // `as` maps a NaN to 0; then `p` carries it.
    p * f32::from_bits(((j as i32).wrapping_add(127) as u32) << 23)
}

/// `tanh(x)` with a relative error below 5e-7, in a form that vectorises: near zero
/// the Taylor polynomial, which is exact where the quotient cancels.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let square = x * x;
    let mut p = -1382.0 / 155_925.0;
    p = square.mul_add(p, 62.0 / 2835.0);
    p = square.mul_add(p, -17.0 / 315.0);
    p = square.mul_add(p, 2.0 / 15.0);
    p = square.mul_add(p, -1.0 / 3.0);
    let near = (x * square).mul_add(p, x);
    let far = 1.0 - 2.0 / (exp(2.0 * x.abs()) + 1.0);
    if x.abs() < 0.35 {
        near
    } else {
        far.copysign(x)
    }
}

/// `1 / (1 + exp(-x))`.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_agrees_with_f64_over_its_range() {
        for i in -87_000..88_000 {
            let x = i as f32 * 1e-3;
            let expected = f64::from(x).exp();
            let relative = (f64::from(exp(x)) - expected).abs() / expected;
            assert!(relative < 3e-7, "exp({x}): relative error {relative:e}");
        }
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(f32::NEG_INFINITY) < 2e-38);
        assert!(exp(200.0) > 1e38);
    }

    #[test]
    fn tanh_agrees_with_f64_over_its_range() {
        for i in -100_000..100_000 {
            let x = i as f32 * 2e-4;
            let expected = f64::from(x).tanh();
            let off = (f64::from(tanh(x)) - expected).abs();
            assert!(off <= 5e-7 * expected.abs(), "tanh({x}): off by {off:e}");
        }
        assert_eq!([tanh(f32::INFINITY), tanh(-1e30)], [1.0, -1.0]);
        assert_eq!(tanh(-1e-30), -1e-30);
        assert!(tanh(f32::NAN).is_nan());
    }

    #[test]
    fn every_available_path_gives_the_same_bits() {
        let a: Vec<f32> = (0..1003).map(|i| (i as f32 * 0.37).sin()).collect();
        let b: Vec<f32> = (0..1003).map(|i| (i as f32 * 0.11).cos()).collect();
        let kernel = || {
            let exp: f32 = a.iter().map(|&a| exp(a)).sum();
            let tanh: f32 = a.iter().map(|&a| tanh(a)).sum();
            [dot(&a, &b), exp, tanh, max(&b)].map(f32::to_bits)
        };
        let expected = kernel();
        #[cfg(target_arch = "x86_64")]
        for path in CpuPath::available() {
            let found = match path {
                CpuPath::Avx512(path) => path.vectorize(kernel),
                CpuPath::Avx2(path) => path.vectorize(kernel),
                CpuPath::Portable => kernel(),
            };
            assert_eq!(expected, found, "path {path}");
        }
        assert_eq!(expected, run(kernel));
    }
}
