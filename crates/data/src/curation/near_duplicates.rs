//! Keep one of rows that say nearly the same.
//!
//! Rows are compared as sets of runs of words (shingles) by the Jaccard index,
//! what they share over what either has. MinHash with locality-sensitive
//! hashing (Broder 1997; Indyk and Motwani 1998) finds the pairs to compare:
//! equal parts of the signature put two rows into one bucket.

use std::array;

use rayon::prelude::*;

use crate::curation::duplicates::best_of_each;
use crate::curation::words::{Words, mix, runs};
use crate::curation::{Candidates, CurationError, Kept, Rule};

/// Hash functions of a signature.
const HASHES: usize = 128;

/// How often a pair at the threshold may be missed.
const MISSED: f64 = 1e-3;

/// Of rows that are nearly the same, keeps the best by score, then by reward;
/// of equals the first.
///
/// Two rows are nearly the same if both their prompts and their completions
/// have a Jaccard index of at least the threshold: a long prompt does not make
/// two short answers alike. Rows that are linked through others are taken
/// together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NearDuplicates {
    /// Above 0, up to 1.
    pub threshold: f64,
    /// Words of a run.
    pub shingle: usize,
}

impl Default for NearDuplicates {
    fn default() -> Self {
        Self {
            threshold: 0.8,
            shingle: 5,
        }
    }
}

impl Rule for NearDuplicates {
    fn name(&self) -> &'static str {
        "dedup"
    }

    fn setting(&self) -> String {
        let Self { threshold, shingle } = self;
        format!("near, Jaccard index from {threshold}, runs of {shingle} words")
    }

    fn apply(&self, rows: &Candidates, kept: &[usize]) -> Result<Kept, CurationError> {
        let shingles: Vec<Shingles> = kept
            .par_iter()
            .map(|&index| {
                let row = rows.row(index);
                Shingles {
                    prompt: shingles(&row.prompt, self.shingle),
                    completion: shingles(&row.completion, self.shingle),
                }
            })
            .collect();
        let (bands, width) = bands(self.threshold);
        let keys: Vec<u32> = shingles
            .par_iter()
            .flat_map_iter(|shingles| shingles.band_keys(bands, width))
            .collect();
        let mut clusters = Clusters::new(kept.len());
        for band in 0..bands {
            let key = |row: u32| keys[row as usize * bands + band];
            let mut order: Vec<u32> = (0..kept.len() as u32).collect();
            order.par_sort_unstable_by_key(|&row| (key(row), row));
            let buckets: Vec<&[u32]> = order
                .chunk_by(|&a, &b| key(a) == key(b))
                .filter(|bucket| bucket.len() > 1)
                .collect();
            let roots = clusters.roots();
            let links: Vec<(u32, u32)> = buckets
                .into_par_iter()
                .flat_map_iter(|bucket| self.links(bucket, &roots, &shingles, &keys, bands, band))
                .collect();
            for (a, b) in links {
                clusters.join(a, b);
            }
        }
        let roots: Vec<usize> = clusters.roots().iter().map(|&root| root as usize).collect();
        Ok(best_of_each(rows, kept, &roots, kept.len()).into())
    }
}

impl NearDuplicates {
    /// Pairs of a bucket that are near and not in one cluster yet. Every pair
    /// of rows is compared once at most, in the first band that they share.
    fn links(
        &self,
        bucket: &[u32],
        roots: &[u32],
        shingles: &[Shingles],
        keys: &[u32],
        bands: usize,
        band: usize,
    ) -> Vec<(u32, u32)> {
        let mut links = Vec::new();
        // The cluster of each row of the bucket, as far as it is known here.
        let mut cluster: Vec<u32> = bucket.iter().map(|&row| roots[row as usize]).collect();
        let earlier = |row: u32| &keys[row as usize * bands..][..band];
        for (j, &b) in bucket.iter().enumerate() {
            for (i, &a) in bucket.iter().enumerate().take(j) {
                if cluster[i] == cluster[j]
                    || std::iter::zip(earlier(a), earlier(b)).any(|(a, b)| a == b)
                {
                    continue;
                }
                if shingles[a as usize].is_near(&shingles[b as usize], self.threshold) {
                    links.push((a, b));
                    let (from, to) = (cluster[j], cluster[i]);
                    for cluster in cluster.iter_mut().filter(|cluster| **cluster == from) {
                        *cluster = to;
                    }
                }
            }
        }
        links
    }
}

/// Hashes of the shingles of a row, each list ascending and without repeats.
struct Shingles {
    prompt: Vec<u32>,
    completion: Vec<u32>,
}

fn shingles(text: &str, n: usize) -> Vec<u32> {
    let mut hashes: Vec<u32> = runs(&Words::WithSigns.of(text), n)
        .map(|hash| (hash >> 32) as u32)
        .collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

impl Shingles {
    fn is_near(&self, other: &Self, threshold: f64) -> bool {
        jaccard(&self.completion, &other.completion) >= threshold
            && jaccard(&self.prompt, &other.prompt) >= threshold
    }

    /// A key for each band of the signature. The Jaccard index of the two
    /// lists together is at least the smaller one of them alone, so that no
    /// near pair is lost by signing both at once.
    fn band_keys(&self, bands: usize, width: usize) -> Vec<u32> {
        const MULTIPLIERS: [u64; HASHES] = multipliers();
        let mut least = [u32::MAX; HASHES];
        let prompt = self.prompt.iter().map(|&hash| u64::from(hash) | 1 << 32);
        let completion = self.completion.iter().map(|&hash| u64::from(hash));
        for hash in prompt.chain(completion).map(mix) {
            let image: [u32; HASHES] =
                array::from_fn(|i| (hash.wrapping_mul(MULTIPLIERS[i]) >> 32) as u32);
            for (least, image) in least.iter_mut().zip(image) {
                *least = image.min(*least);
            }
        }
        least
            .chunks_exact(width)
            .take(bands)
            .map(|band| {
                let key = band.iter().fold(0, |key, &hash| mix(key ^ u64::from(hash)));
                (key >> 32) as u32
            })
            .collect()
    }
}

/// Odd numbers without a pattern.
const fn multipliers() -> [u64; HASHES] {
    let mut numbers = [0; HASHES];
    let mut state = 0x1234_5678_9ABC_DEF1_u64;
    let mut i = 0;
    while i < HASHES {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        numbers[i] = state | 1;
        i += 1;
    }
    numbers
}

/// What two ascending lists share, over what either has; 1 where both are empty.
fn jaccard(a: &[u32], b: &[u32]) -> f64 {
    let (mut i, mut j, mut shared) = (0, 0, 0_usize);
    while i < a.len() && j < b.len() {
        shared += usize::from(a[i] == b[j]);
        let (next_a, next_b) = (a[i] <= b[j], b[j] <= a[i]);
        i += usize::from(next_a);
        j += usize::from(next_b);
    }
    match a.len() + b.len() - shared {
        0 => 1.0,
        either => shared as f64 / either as f64,
    }
}

/// How many bands, and hashes in each: the widest bands, which make the fewest
/// comparisons, that miss few enough pairs at the threshold.
fn bands(threshold: f64) -> (usize, usize) {
    let misses = |width: usize| {
        let bands = HASHES / width;
        (1.0 - threshold.powi(width as i32)).powi(bands as i32)
    };
    let width = (1..=16).rev().find(|&width| misses(width) <= MISSED);
    let width = width.unwrap_or(1);
    (HASHES / width, width)
}

/// Disjoint sets of rows.
struct Clusters {
    parents: Vec<u32>,
}

impl Clusters {
    fn new(rows: usize) -> Self {
        Self {
            parents: (0..rows as u32).collect(),
        }
    }

    fn root(&mut self, mut row: u32) -> u32 {
        while self.parents[row as usize] != row {
            let above = self.parents[self.parents[row as usize] as usize];
            self.parents[row as usize] = above;
            row = above;
        }
        row
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        self.parents[a.max(b) as usize] = a.min(b);
    }

    /// `[rows]`: the first row of each row's cluster.
    fn roots(&mut self) -> Vec<u32> {
        (0..self.parents.len() as u32)
            .map(|row| self.root(row))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curation::Candidate;
    use crate::curation::tests::answers;
    use proptest::prelude::*;

    fn left(rows: &Candidates, threshold: f64) -> Vec<usize> {
        let rule = NearDuplicates {
            threshold,
            ..NearDuplicates::default()
        };
        let all: Vec<usize> = (0..rows.len()).collect();
        rule.apply(rows, &all).unwrap().rows
    }

    fn words(seed: u64, count: usize) -> Vec<String> {
        let word = |i| format!("w{}", mix(seed << 32 | i) % 5000);
        (0..count as u64).map(word).collect()
    }

    #[test]
    fn bands_miss_less_than_one_pair_in_a_thousand() {
        assert_eq!(bands(0.8), (25, 5));
        assert_eq!(bands(1.0), (8, 16));
        for threshold in [0.3, 0.5, 0.7, 0.9] {
            let (bands, width) = bands(threshold);
            let missed = (1.0 - threshold.powi(width as i32)).powi(bands as i32);
            assert!(missed <= MISSED && bands * width <= HASHES);
        }
    }

    #[test]
    fn the_jaccard_index_is_exact() {
        assert_eq!(jaccard(&[1, 2, 3], &[2, 3, 4]), 0.5);
        assert_eq!(jaccard(&[1], &[2]), 0.0);
        assert_eq!(jaccard(&[], &[]), 1.0);
        assert_eq!(jaccard(&[], &[1]), 0.0);
    }

    #[test]
    fn planted_near_duplicates_are_found_and_distinct_rows_stay() {
        let mut texts = Vec::new();
        for seed in 0..200 {
            let mut text = words(seed, 120);
            texts.push(text.join(" "));
            // One word of 120 lies in 5 of 116 runs.
            text[60] = "other".to_owned();
            texts.push(text.join("  ").to_uppercase());
        }
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let expected: Vec<usize> = (0..400).step_by(2).collect();
        assert_eq!(left(&answers(&texts), 0.8), expected);
    }

    #[test]
    fn a_long_prompt_does_not_make_short_answers_alike() {
        let row = |completion: &str| Candidate {
            prompt: words(1, 300).join(" "),
            completion: completion.to_owned(),
            ..Candidate::default()
        };
        let rows = Candidates::new(vec![row("It is 5."), row("It is 7."), row("it is  5 .")]);
        assert_eq!(left(&rows, 0.8), [0, 1]);
    }

    #[test]
    fn of_a_cluster_the_best_row_stays_and_links_carry_over() {
        let mut text = words(7, 100);
        let mut rows = Vec::new();
        for (i, reward) in [0.0, 1.0, 1.0].into_iter().enumerate() {
            rows.push(Candidate {
                completion: text.join(" "),
                prompt: "same".to_owned(),
                reward: Some(reward),
                ..Candidate::default()
            });
            // Neighbours are near; the first and the last are not.
            for word in &mut text[40 * i..40 * i + 5] {
                word.push('x');
            }
        }
        assert_eq!(left(&Candidates::new(rows), 0.8), [1]);
    }

    #[test]
    fn a_thousand_copies_are_one_row() {
        let copies = vec!["the same words once more and again"; 1000];
        assert_eq!(left(&answers(&copies), 0.8), [0]);
        assert_eq!(left(&answers(&["", "", "a"]), 0.8), [0, 2]);
    }

    proptest! {
        #[test]
        fn no_two_rows_that_are_left_are_near_and_a_second_pass_removes_nothing(
            texts in prop::collection::vec("([abc] ){0,12}", 0..30),
            threshold in 0.3..1.0_f64,
        ) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let rows = answers(&texts);
            let left = left(&rows, threshold);
            let set = |row: usize| shingles(texts[row], 5);
            // The hashes are fixed, so that a miss would be one every time;
            // pairs well above the threshold are not missed.
            for (i, &a) in left.iter().enumerate() {
                for &b in &left[..i] {
                    prop_assert!(jaccard(&set(a), &set(b)) < threshold + 0.1);
                }
            }
            let again = Candidates::new(left.iter().map(|&row| rows.row(row).clone()).collect());
            let all: Vec<usize> = (0..left.len()).collect();
            prop_assert_eq!(super::tests::left(&again, threshold), all);
        }
    }
}
