//! One token from each row of logits: the likeliest, or one drawn from what
//! temperature and truncation leave of the distribution.
//!
//! The order is the one of Hugging Face's transformers: logits are divided by
//! the temperature; of the tokens the `top_k` likeliest stay; of these,
//! renormalised, the fewest likeliest that hold `top_p` of the probability; of
//! these the ones with at least `min_p` of the likeliest one's probability. What
//! equals the last that stays, stays too. One number of `[0, 1)` a row then picks
//! a token by the cumulative probabilities in the order of the vocabulary.

use std::cell::RefCell;

use rayon::prelude::*;

use crate::{ViewMut, cpu};

/// What is left of a distribution before a token is drawn from it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Truncation {
    /// What logits are divided by, above 0; 0 takes the likeliest token.
    pub temperature: f32,
    /// Likeliest tokens that stay, at least 1; `None` for all.
    pub top_k: Option<usize>,
    /// Share of the probability that stays, above 0; 1 for all.
    pub top_p: f32,
    /// Least share of the likeliest token's probability; 0 for none.
    pub min_p: f32,
}

/// A token and its log-probability.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Drawn {
    /// The token.
    pub token: u32,
    /// Its log-probability under the distribution that it was drawn from; under
    /// the logits themselves at temperature 0. NaN where the logits are not finite.
    pub log_prob: f32,
}

/// Tokens whose weights are summed together.
const BLOCK: usize = 256;

thread_local! {
    /// Weights of the tokens that are left while a row is truncated.
    static CANDIDATES: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Writes `drawn [n]` from `logits [n, v]`, which are used up, and `uniform [n]`
/// in `[0, 1)`.
///
/// # Panics
/// If the sizes disagree.
pub fn draw(logits: ViewMut<'_>, truncation: &Truncation, uniform: &[f64], drawn: &mut [Drawn]) {
    let logits = logits.host();
    let v = logits.len() / drawn.len().max(1);
    assert_eq!(
        logits.len(),
        v * drawn.len(),
        "logits of {} rows",
        drawn.len()
    );
    assert_eq!(uniform.len(), drawn.len(), "one number a row");
    let least = (1 << 14) / v.max(1) + 1;
    logits
        .par_chunks_mut(v)
        .zip(drawn)
        .zip(uniform)
        .with_min_len(least)
        .for_each(|((logits, drawn), &uniform)| {
            *drawn = if truncation.temperature == 0.0 {
                likeliest(logits)
            } else {
                from_row(logits, truncation, uniform)
            };
        });
}

/// The largest logit, the first of equals.
fn likeliest(logits: &mut [f32]) -> Drawn {
    let mut drawn = Drawn::default();
    cpu::run(
        #[inline(always)]
        || {
            let max = cpu::max(logits);
            let first = logits.iter().position(|&logit| logit == max);
            drawn.token = first.unwrap_or(0) as u32;
            let sum = exponentials(logits, max, 1.0);
            drawn.log_prob = -(sum.ln() as f32);
        },
    );
    drawn
}

fn from_row(logits: &mut [f32], truncation: &Truncation, uniform: f64) -> Drawn {
    let (mut max, mut sum) = (0.0, 0.0);
    cpu::run(
        #[inline(always)]
        || {
            max = cpu::max(logits);
            sum = exponentials(logits, max, 1.0 / truncation.temperature);
        },
    );
    let weights = logits;
    let Truncation {
        top_k,
        top_p,
        min_p,
        ..
    } = *truncation;
    let mut least = min_p;
    if top_k.is_some_and(|k| k < weights.len()) || top_p < 1.0 {
        let last = CANDIDATES.with_borrow_mut(|left| last_weight(weights, top_k, top_p, left));
        least = least.max(last);
    }
    if least > 0.0 {
        cpu::run(
            #[inline(always)]
            || sum = keep_from(weights, least),
        );
    }
    pick(weights, sum, uniform)
}

/// The smallest weight that `top_k` and `top_p` leave.
fn last_weight(weights: &[f32], top_k: Option<usize>, top_p: f32, left: &mut Vec<f32>) -> f32 {
    let descending = |a: &f32, b: &f32| b.total_cmp(a);
    left.clear();
    left.extend(weights.iter().filter(|&&weight| weight > 0.0));
    let mut last = 0.0;
    if let Some(k) = top_k
        && k < left.len()
    {
        last = *left.select_nth_unstable_by(k - 1, descending).1;
        left.retain(|&weight| weight >= last);
    }
    if top_p >= 1.0 {
        return last;
    }
    let sum = |weights: &[f32]| weights.iter().map(|&weight| f64::from(weight)).sum::<f64>();
    let total = sum(left);
    // All tokens this rare together do not hold what may be left out.
    let rare = (1.0 - f64::from(top_p)) * total / left.len() as f64;
    left.retain(|&weight| f64::from(weight) >= rare);
    // Of ever smaller parts, the one in which the share is reached.
    let (mut left, mut wanted) = (&mut left[..], f64::from(top_p) * total);
    while !left.is_empty() {
        let (above, middle, below) = left.select_nth_unstable_by(left.len() / 2, descending);
        let held = sum(above);
        if held >= wanted {
            left = above;
            continue;
        }
        last = *middle;
        wanted -= held + f64::from(*middle);
        if wanted <= 0.0 {
            break;
        }
        left = below;
    }
    last
}

/// Sets weights below `least` to zero and returns the sum of the others.
#[inline(always)]
fn keep_from(weights: &mut [f32], least: f32) -> f64 {
    let mut sum = 0.0;
    for block in weights.chunks_mut(BLOCK) {
        for weight in block.iter_mut() {
            *weight = if *weight < least { 0.0 } else { *weight };
        }
        sum += block_sum(block);
    }
    sum
}

/// The token at which the cumulative weight passes `uniform` of the `sum`.
fn pick(weights: &[f32], sum: f64, uniform: f64) -> Drawn {
    let mut wanted = uniform * sum;
    let (mut start, mut last) = (0, 0);
    // By blocks at first; what rounding leaves over falls to the last token.
    for block in weights.chunks(BLOCK) {
        let held = cpu::run(
            #[inline(always)]
            || block_sum(block),
        );
        if held > 0.0 {
            last = start;
        }
        if held > wanted {
            break;
        }
        wanted -= held;
        start += block.len();
    }
    let mut token = last;
    for (index, &weight) in weights[last..].iter().take(BLOCK).enumerate() {
        if weight > 0.0 {
            token = last + index;
            wanted -= f64::from(weight);
            if wanted < 0.0 {
                break;
            }
        }
    }
    Drawn {
        token: token as u32,
        log_prob: (f64::from(weights[token]).ln() - sum.ln()) as f32,
    }
}

/// Turns logits into weights `exp((z - max) scale)`, the largest of which is 1,
/// and returns their sum.
#[inline(always)]
fn exponentials(logits: &mut [f32], max: f32, scale: f32) -> f64 {
    let mut sum = 0.0;
    for block in logits.chunks_mut(BLOCK) {
        for z in block.iter_mut() {
            let x = (*z - max) * scale;
            // The exponential of a very small number is not 0, but the
            // probability of an impossible token is.
            *z = if x < -87.0 { 0.0 } else { cpu::exp(x) };
        }
        sum += block_sum(block);
    }
    sum
}

#[inline(always)]
fn block_sum(block: &[f32]) -> f64 {
    f64::from(cpu::sum2(block, block, |weight, _, sum| sum + weight))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tensor;

    const ALL: Truncation = Truncation {
        temperature: 1.0,
        top_k: None,
        top_p: 1.0,
        min_p: 0.0,
    };

    /// The distribution by its definition, with a sort.
    fn expected(logits: &[f32], truncation: &Truncation) -> Vec<f64> {
        let temperature = f64::from(truncation.temperature);
        let mut p: Vec<f64> = logits
            .iter()
            .map(|&z| (f64::from(z) / temperature).exp())
            .collect();
        let keep = |p: &mut Vec<f64>, least: f64| {
            p.iter_mut()
                .for_each(|p| *p = if *p < least { 0.0 } else { *p });
            let sum: f64 = p.iter().sum();
            p.iter_mut().for_each(|p| *p /= sum);
        };
        let descending = |p: &[f64]| {
            let mut sorted = p.to_vec();
            sorted.sort_by(|a, b| b.total_cmp(a));
            sorted
        };
        keep(&mut p, 0.0);
        if let Some(k) = truncation.top_k {
            let least = descending(&p)[k.min(p.len()) - 1];
            keep(&mut p, least);
        }
        let mut held = 0.0;
        let enough = descending(&p).into_iter().find(|p| {
            held += p;
            held >= f64::from(truncation.top_p)
        });
        if truncation.top_p < 1.0 {
            keep(&mut p, enough.expect("a share below 1"));
        }
        let least = descending(&p)[0] * f64::from(truncation.min_p);
        keep(&mut p, least);
        p
    }

    fn drawn(logits: &[f32], truncation: &Truncation, uniform: &[f64]) -> Vec<Drawn> {
        let mut rows = Tensor::from_vec(logits.repeat(uniform.len()));
        let mut drawn = vec![Drawn::default(); uniform.len()];
        draw(rows.all_mut(), truncation, uniform, &mut drawn);
        drawn
    }

    /// `n` numbers spread evenly over `[0, 1)`.
    fn grid(n: usize) -> Vec<f64> {
        (0..n).map(|i| (i as f64 + 0.5) / n as f64).collect()
    }

    fn noise(v: usize) -> Vec<f32> {
        (0..v).map(|i| 4.0 * (i as f32 * 1.37).sin()).collect()
    }

    const TRUNCATIONS: [Truncation; 7] = [
        ALL,
        Truncation {
            temperature: 0.5,
            ..ALL
        },
        Truncation {
            temperature: 2.0,
            top_k: Some(5),
            ..ALL
        },
        Truncation { top_p: 0.8, ..ALL },
        Truncation { min_p: 0.3, ..ALL },
        Truncation {
            temperature: 1.5,
            top_k: Some(20),
            top_p: 0.9,
            min_p: 0.1,
        },
        Truncation {
            top_k: Some(1),
            ..ALL
        },
    ];

    #[test]
    fn tokens_come_as_often_as_the_definition_says_with_its_log_probs() {
        for v in [1, 3, 40, 256, 1000] {
            let logits = noise(v);
            for truncation in &TRUNCATIONS {
                let p = expected(&logits, truncation);
                let n = 4000;
                let mut counts = vec![0; v];
                for drawn in drawn(&logits, truncation, &grid(n)) {
                    let token = drawn.token as usize;
                    counts[token] += 1;
                    let difference = f64::from(drawn.log_prob) - p[token].ln();
                    assert!(difference.abs() < 2e-6, "{truncation:?}, {v}: {difference}");
                }
                for (token, (count, p)) in counts.iter().zip(p).enumerate() {
                    // An even grid hits an interval as often as it is long.
                    let expected = p * n as f64;
                    assert!(
                        (f64::from(*count) - expected).abs() < 1.5,
                        "{truncation:?}, {v}: token {token} came {count} times, not {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_likeliest_token_comes_with_its_probability_under_the_model() {
        let greedy = Truncation {
            temperature: 0.0,
            ..ALL
        };
        let logits = [0.5, 2.0, -1.0, 2.0];
        let sum: f64 = logits.iter().map(|&z| f64::from(z).exp()).sum();
        for drawn in drawn(&logits, &greedy, &[0.1, 0.99]) {
            assert_eq!(drawn.token, 1, "the first of equals");
            assert!((f64::from(drawn.log_prob) - (2.0 - sum.ln())).abs() < 1e-6);
        }
    }

    #[test]
    fn impossible_tokens_never_come_and_broken_logits_show() {
        let logits = [f32::NEG_INFINITY, 1.0, f32::NEG_INFINITY];
        for drawn in drawn(&logits, &ALL, &[0.0, 0.5, 1.0 - 1e-16]) {
            assert_eq!(
                drawn,
                Drawn {
                    token: 1,
                    log_prob: 0.0
                }
            );
        }
        for broken in [f32::NAN, f32::INFINITY] {
            for truncation in TRUNCATIONS.iter().chain([&Truncation {
                temperature: 0.0,
                ..ALL
            }]) {
                let drawn = drawn(&[0.0, broken, 1.0], truncation, &[0.5])[0];
                assert!(
                    drawn.log_prob.is_nan(),
                    "{broken}, {truncation:?}: {drawn:?}"
                );
            }
        }
    }
}
