//! What a server is asked to continue.

use serde_json::Value;

/// What a language model is asked to continue.
#[derive(Debug, Clone, PartialEq)]
pub enum Prompt {
    /// Plain text, continued as it is.
    Text(String),
    /// A conversation, to be answered by the assistant.
    Messages(Vec<Value>),
}

/// One completion to ask for.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// What to continue.
    pub prompt: Prompt,
    /// What the completion begins with already; mostly empty. It does not come
    /// back with the completion.
    pub prefix: String,
    /// Which of several completions of the same prompt this is; it changes the
    /// seed that the server gets.
    pub draw: u64,
}

/// The seed of a draw. 31 bits, which every server accepts: some read the seed
/// as a signed or unsigned 32-bit number, and llama.cpp takes the largest
/// unsigned one for "choose one yourself".
pub(crate) fn seed(seed: u64, draw: u64) -> u64 {
    // The mixer of SplitMix64 (Steele, Lea and Flood 2014), twice, so that
    // neighbouring seeds and draws do not share numbers.
    let mix = |mut z: u64| {
        z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    mix(mix(seed).wrapping_add(draw)) >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_and_seeds_have_seeds_of_their_own_in_31_bits() {
        let mut seeds = Vec::new();
        for of in 0..50 {
            seeds.extend((0..50).map(|draw| seed(of, draw)));
        }
        assert!(seeds.iter().all(|&seed| seed < 1 << 31));
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), 2500);
        assert_eq!(seed(7, 3), seed(7, 3));
    }
}
