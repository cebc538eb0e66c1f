//! Texts as sets of runs of words (shingles), and which sets are near.
//!
//! Sets are compared by the Jaccard index, what they share over what either has.
//! Of a set of n, an index of t or more leaves no more than n - ceil(t n) members
//! unshared. So with all members in one order, two such sets share one of the
//! first n - ceil(t n) + 1 members of each: the prefix (Chaudhuri, Ganti and
//! Kaushik 2006; Bayardo, Ma and Srikant 2007). With the rarest members first,
//! few sets share one, and only these need be compared.

use std::collections::HashMap;

use rayon::prelude::*;

use crate::curation::words::{Words, mix, runs};

/// Stands for the only member of an empty text's set, so that empty texts are
/// near to each other and to nothing else.
const EMPTY: u32 = 0;

/// No row, in lists of them.
const NONE: u32 = u32::MAX;

/// A hash of the words of a text, in order.
pub(super) fn words_hash(text: &str) -> u64 {
    let words = Words::WithSigns.of(text);
    runs(&words, words.len()).next().unwrap_or(0)
}

/// Hashes of the runs of `n` words of a text, ascending and without repeats.
pub(super) fn shingles(text: &str, n: usize) -> Vec<u32> {
    let mut hashes: Vec<u32> = runs(&Words::WithSigns.of(text), n)
        .map(|hash| (hash >> 32) as u32)
        .collect();
    if hashes.is_empty() {
        hashes.push(EMPTY);
    }
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

/// Whether two ascending sets have a Jaccard index of at least the threshold.
pub(super) fn are_near(a: &[u32], b: &[u32], threshold: f64) -> bool {
    let total = (a.len() + b.len()) as f64;
    // With m members in one of them alone the index is (total - m) / (total + m).
    let most_alone = total * (1.0 - threshold) / (1.0 + threshold) + 1e-6;
    let (mut i, mut j, mut shared) = (0, 0, 0_usize);
    while i < a.len() && j < b.len() {
        shared += usize::from(a[i] == b[j]);
        let (next_a, next_b) = (a[i] <= b[j], b[j] <= a[i]);
        i += usize::from(next_a);
        j += usize::from(next_b);
        if (i + j - 2 * shared) as f64 > most_alone {
            return false;
        }
    }
    let either = a.len() + b.len() - shared;
    shared as f64 / either as f64 >= threshold
}

/// One text of each row, and rows to be found again by it.
pub(super) struct Texts {
    /// `[rows]`: number of the row's text among the different ones.
    of: Vec<u32>,
    /// `[different texts]`
    sets: Vec<Vec<u32>>,
    /// `[different texts]`: those of the prefix that another row has as well.
    prefixes: Vec<Vec<u32>>,
    /// For a member, the newest row added with it in its prefix, as a place in
    /// `added`, and how many there are.
    newest: HashMap<u32, (u32, u32)>,
    /// A row and the place of the one before with the same member.
    added: Vec<(u32, u32)>,
}

impl Texts {
    /// The text of each row, and a hash of its words.
    pub(super) fn new<'t>(
        texts: impl Iterator<Item = (&'t str, u64)>,
        shingle: usize,
        threshold: f64,
    ) -> Self {
        let mut numbers = HashMap::new();
        let mut different = Vec::new();
        let (mut of, mut rows_of) = (Vec::new(), Vec::new());
        for (text, hash) in texts {
            let number = *numbers.entry(hash).or_insert_with(|| {
                different.push(text);
                rows_of.push(0_u32);
                different.len() - 1
            });
            rows_of[number] += 1;
            of.push(number as u32);
        }
        let sets: Vec<Vec<u32>> = different
            .into_par_iter()
            .map(|text| shingles(text, shingle))
            .collect();
        let rarity = Rarity::of(&sets, &rows_of);
        let prefixes = sets
            .par_iter()
            .map(|set| rarity.prefix(set, threshold))
            .collect();
        Self {
            of,
            sets,
            prefixes,
            newest: HashMap::new(),
            added: Vec::new(),
        }
    }

    /// Whether the texts of two rows are near.
    pub(super) fn are_near(&self, a: u32, b: u32, threshold: f64) -> bool {
        let [a, b] = [a, b].map(|row| self.of[row as usize] as usize);
        a == b || are_near(&self.sets[a], &self.sets[b], threshold)
    }

    /// The added rows among which are all whose text is near to that of `row`,
    /// the newest first for each member of the prefix; a row may come again.
    pub(super) fn candidates(&self, row: u32) -> impl Iterator<Item = u32> {
        self.newest_of(row).flat_map(move |(newest, _)| {
            let mut at = newest;
            std::iter::from_fn(move || {
                let (row, before) = *self.added.get(at as usize)?;
                at = before;
                Some(row)
            })
        })
    }

    /// How many [`Self::candidates`] gives.
    pub(super) fn candidate_count(&self, row: u32) -> u64 {
        self.newest_of(row).map(|(_, count)| u64::from(count)).sum()
    }

    fn newest_of(&self, row: u32) -> impl Iterator<Item = (u32, u32)> {
        let prefix = &self.prefixes[self.of[row as usize] as usize];
        prefix
            .iter()
            .filter_map(|member| self.newest.get(member).copied())
    }

    /// Lets a row be found.
    pub(super) fn add(&mut self, row: u32) {
        for &member in &self.prefixes[self.of[row as usize] as usize] {
            let place = self.added.len() as u32;
            let (newest, count) = self.newest.entry(member).or_insert((NONE, 0));
            self.added.push((row, *newest));
            (*newest, *count) = (place, *count + 1);
        }
    }
}

/// How many rows have a member, by the lower bits of its hash: as many counters
/// as members, so that one now and then counts for two.
struct Rarity {
    counts: Vec<u32>,
}

impl Rarity {
    /// `rows_of` (`[sets]`): rows that have the set.
    fn of(sets: &[Vec<u32>], rows_of: &[u32]) -> Self {
        let members: usize = sets.iter().map(Vec::len).sum();
        let size = (2 * members).next_power_of_two().clamp(1 << 8, 1 << 26);
        let mut rarity = Self {
            counts: vec![0; size],
        };
        for (set, &rows) in sets.iter().zip(rows_of) {
            for &member in set {
                let slot = rarity.slot(member);
                rarity.counts[slot] = rarity.counts[slot].saturating_add(rows);
            }
        }
        rarity
    }

    fn slot(&self, member: u32) -> usize {
        mix(member.into()) as usize & (self.counts.len() - 1)
    }

    fn count(&self, member: u32) -> u32 {
        self.counts[self.slot(member)]
    }

    /// The prefix of a set, without members that no other row has.
    fn prefix(&self, set: &[u32], threshold: f64) -> Vec<u32> {
        // What rounding adds makes the prefix longer, which loses nothing.
        let shared = (threshold * set.len() as f64 - 1e-6).ceil().max(1.0) as usize;
        let length = set.len() - shared + 1;
        let mut members: Vec<(u32, u32)> = set
            .iter()
            .map(|&member| (self.count(member), member))
            .collect();
        if length < members.len() {
            members.select_nth_unstable(length - 1);
            members.truncate(length);
        }
        members.retain(|&(count, _)| count > 1);
        members.into_iter().map(|(_, member)| member).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn jaccard(a: &[u32], b: &[u32]) -> f64 {
        let shared = a.iter().filter(|member| b.contains(member)).count();
        shared as f64 / (a.len() + b.len() - shared) as f64
    }

    #[test]
    fn the_index_counts_what_is_shared_over_what_either_has() {
        assert!(are_near(&[1, 2, 3], &[2, 3, 4], 0.5));
        assert!(!are_near(&[1, 2, 3], &[2, 3, 4], 0.5 + 1e-9));
        assert!(!are_near(&[1], &[2], 1e-9));
        let [empty, word] = ["", "a"].map(|text| shingles(text, 5));
        assert!(are_near(&empty, &empty, 1.0) && !are_near(&empty, &word, 0.1));
    }

    proptest! {
        #[test]
        fn near_sets_are_found_by_their_prefixes_and_nothing_else_counts(
            sets in prop::collection::vec(prop::collection::btree_set(1..12_u32, 1..9), 2..20),
            threshold in 0.05..=1.0_f64,
        ) {
            let sets: Vec<Vec<u32>> = sets.into_iter().map(|set| set.into_iter().collect()).collect();
            let rarity = Rarity::of(&sets, &vec![1; sets.len()]);
            for a in &sets {
                for b in &sets {
                    let near = jaccard(a, b) >= threshold;
                    prop_assert_eq!(are_near(a, b, threshold), near);
                    let prefix = rarity.prefix(b, threshold);
                    let share = rarity.prefix(a, threshold).iter().any(|x| prefix.contains(x));
                    // A set alone has members that no other row has.
                    prop_assert!(share || !near || std::ptr::eq(a, b), "{a:?} {b:?}");
                }
            }
        }
    }
}
