//! What a server is asked to continue.

use serde_json::{Value, json};

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
    /// Which of several completions of the same prompt this is. It, the prompt and
    /// the sampling's seed make the seed that the server gets.
    pub draw: u64,
}

/// The seed of a query, of 31 bits, which every server accepts: some read the
/// seed as a signed or unsigned 32-bit number, and llama.cpp takes the largest
/// unsigned one for "choose one yourself". The prompt is part of it: with the same
/// seed, servers draw the same random numbers, and the completions of different
/// prompts would go right and wrong together.
pub(crate) fn seed(seed: u64, query: &Query) -> u64 {
    let prompt = match &query.prompt {
        Prompt::Text(text) => json!(text),
        Prompt::Messages(messages) => json!(messages),
    };
    // FNV-1a.
    let hash = prompt
        .to_string()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    mix(mix(mix(seed) ^ hash).wrapping_add(query.draw)) >> 33
}

/// The mixer of SplitMix64 (Steele, Lea and Flood 2014): neighbouring numbers
/// get nothing in common.
fn mix(z: u64) -> u64 {
    let z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str, draw: u64) -> Query {
        Query {
            prompt: Prompt::Text(text.into()),
            prefix: String::new(),
            draw,
        }
    }

    #[test]
    fn prompts_draws_and_seeds_have_seeds_of_their_own_in_31_bits() {
        let mut seeds = Vec::new();
        for of in 0..20 {
            for text in ["", "a", "b", "aa", "1 + 1 ="] {
                seeds.extend((0..20).map(|draw| seed(of, &query(text, draw))));
            }
        }
        assert!(seeds.iter().all(|&seed| seed < 1 << 31));
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), 2000);
        assert_eq!(seed(7, &query("a", 3)), seed(7, &query("a", 3)));
    }
}
