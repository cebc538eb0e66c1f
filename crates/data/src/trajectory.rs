//! Trajectories of tokens, and a whole data set of them in flat memory.

use crate::DataError;
use crate::row::Location;

/// What an encoder makes of a row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Encoded {
    /// The row's tokens.
    pub tokens: Vec<u32>,
    /// One number a token: above 0 where predicting this token carries loss, 0
    /// for context. The first is taken as 0, for nothing predicts it.
    pub step_weight: Vec<f32>,
    /// Whether a token straddles the border between what carries loss and what
    /// stands before it, which a report counts.
    pub straddles: bool,
    /// Why the row cannot teach what it wants to, where that is so: some of its words
    /// are not among the tokens.
    pub unlearnable: Option<String>,
}

/// One row as tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Trajectory {
    /// The tokens.
    pub tokens: Vec<u32>,
    /// As in [`Encoded`].
    pub step_weight: Vec<f32>,
    /// How well it did.
    pub reward: Option<f32>,
    /// Its quality, >= 0.
    pub score: Option<f32>,
    /// Factor on its loss, >= 0.
    pub weight: f32,
    /// log pi_ref of each token that carries loss.
    pub ref_log_probs: Option<Vec<f32>>,
    /// The row it comes from.
    pub at: Location,
}

/// All trajectories of a training run, end to end in a few flat lists, so that
/// a million rows cost no million allocations.
///
/// Trajectory `i` owns `tokens[starts[i]..starts[i + 1]]`; every one has at
/// least one token that carries loss, and never the first.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// `[sum of lengths]`
    tokens: Vec<u32>,
    /// `[sum of lengths]`
    step_weight: Vec<f32>,
    /// `[n + 1]`
    starts: Vec<usize>,
    /// `[n]`
    steps: Vec<usize>,
    /// `[n]`
    reward: Vec<Option<f32>>,
    /// `[n]`
    score: Vec<Option<f32>>,
    /// `[n]`
    weight: Vec<f32>,
    /// `[sum of steps, of the trajectories that have them]`
    ref_log_probs: Vec<f32>,
    /// `[n + 1]`; an empty span where a trajectory has none.
    ref_starts: Vec<usize>,
    /// `[n]`
    at: Vec<Location>,
}

impl Default for Dataset {
    fn default() -> Self {
        Dataset {
            tokens: Vec::new(),
            step_weight: Vec::new(),
            starts: vec![0],
            steps: Vec::new(),
            reward: Vec::new(),
            score: Vec::new(),
            weight: Vec::new(),
            ref_log_probs: Vec::new(),
            ref_starts: vec![0],
            at: Vec::new(),
        }
    }
}

impl Dataset {
    /// A data set without trajectories.
    pub fn new() -> Dataset {
        Dataset::default()
    }

    /// Adds a trajectory at the end.
    ///
    /// # Errors
    /// If its lists differ in length, a number is NaN, infinite or negative
    /// where it may not be, or no token carries loss. Nothing is added then.
    pub fn push(&mut self, mut trajectory: Trajectory) -> Result<(), DataError> {
        if let Some(first) = trajectory.step_weight.first_mut() {
            *first = 0.0;
        }
        let steps = check(&trajectory)?;
        self.tokens.extend(&trajectory.tokens);
        self.step_weight.extend(&trajectory.step_weight);
        self.starts.push(self.tokens.len());
        self.steps.push(steps);
        self.reward.push(trajectory.reward);
        self.score.push(trajectory.score);
        self.weight.push(trajectory.weight);
        self.ref_log_probs
            .extend(trajectory.ref_log_probs.iter().flatten());
        self.ref_starts.push(self.ref_log_probs.len());
        self.at.push(trajectory.at);
        Ok(())
    }

    /// Adds the trajectories of another data set at the end.
    pub fn append(&mut self, other: Dataset) {
        let (tokens, refs) = (self.tokens.len(), self.ref_log_probs.len());
        self.starts
            .extend(other.starts[1..].iter().map(|start| start + tokens));
        self.ref_starts
            .extend(other.ref_starts[1..].iter().map(|start| start + refs));
        self.tokens.extend(other.tokens);
        self.step_weight.extend(other.step_weight);
        self.steps.extend(other.steps);
        self.reward.extend(other.reward);
        self.score.extend(other.score);
        self.weight.extend(other.weight);
        self.ref_log_probs.extend(other.ref_log_probs);
        self.at.extend(other.at);
    }

    /// Number of trajectories, n.
    pub fn len(&self) -> usize {
        self.at.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    /// Tokens of trajectory `i`: `[length(i)]`.
    pub fn tokens(&self, i: usize) -> &[u32] {
        &self.tokens[self.starts[i]..self.starts[i + 1]]
    }

    /// Loss weight of each token of trajectory `i`: `[length(i)]`, 0 for
    /// context.
    pub fn step_weight(&self, i: usize) -> &[f32] {
        &self.step_weight[self.starts[i]..self.starts[i + 1]]
    }

    /// Number of tokens of trajectory `i`.
    pub fn length(&self, i: usize) -> usize {
        self.starts[i + 1] - self.starts[i]
    }

    /// Number of tokens of trajectory `i` that carry loss, at least 1.
    pub fn steps(&self, i: usize) -> usize {
        self.steps[i]
    }

    /// Reward of trajectory `i`.
    pub fn reward(&self, i: usize) -> Option<f32> {
        self.reward[i]
    }

    /// Quality score of trajectory `i`, >= 0.
    pub fn score(&self, i: usize) -> Option<f32> {
        self.score[i]
    }

    /// Factor on the loss of trajectory `i`, >= 0.
    pub fn weight(&self, i: usize) -> f32 {
        self.weight[i]
    }

    /// log pi_ref of trajectory `i` as the file gives it: `[steps(i)]`.
    pub fn ref_log_probs(&self, i: usize) -> Option<&[f32]> {
        let span = self.ref_starts[i]..self.ref_starts[i + 1];
        (!span.is_empty()).then(|| &self.ref_log_probs[span])
    }

    /// Row that trajectory `i` comes from.
    pub fn at(&self, i: usize) -> &Location {
        &self.at[i]
    }

    /// Number of tokens of all trajectories.
    pub fn total_tokens(&self) -> usize {
        self.tokens.len()
    }

    /// Quality of each trajectory, `[n]`: the score where the data has scores,
    /// otherwise the reward. One column for all, because the two need not be
    /// on the same scale.
    ///
    /// # Errors
    /// If a row lacks the column, or its reward is negative.
    pub fn qualities(&self) -> Result<Vec<f32>, DataError> {
        let (column, values) = if self.score.iter().any(Option::is_some) {
            ("score", &self.score)
        } else {
            ("reward", &self.reward)
        };
        values
            .iter()
            .zip(&self.at)
            .map(|(value, at)| match *value {
                Some(quality) if quality < 0.0 => Err(DataError::Negative {
                    at: at.clone(),
                    column: column.to_owned(),
                    found: f64::from(quality),
                }),
                Some(quality) => Ok(quality),
                None => Err(DataError::NoQuality {
                    at: at.clone(),
                    column,
                }),
            })
            .collect()
    }

    /// Hash of everything a training run sees of the data: tokens, loss
    /// weights, rewards, scores, weights and stored log-probabilities, in
    /// order. Where the rows were read from is not part of it, so moved files
    /// keep their fingerprint.
    pub fn fingerprint(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"iwsft data set, version 1");
        hasher.update(&(self.len() as u64).to_le_bytes());
        for i in 0..self.len() {
            hasher.update(&(self.length(i) as u64).to_le_bytes());
            hash_words(&mut hasher, self.tokens(i).iter().copied());
            hash_words(&mut hasher, bits(self.step_weight(i)));
            for number in [self.reward(i), self.score(i), Some(self.weight(i))] {
                hash_words(&mut hasher, bits(number.as_slice()));
                hasher.update(&[u8::from(number.is_some())]);
            }
            let stored = self.ref_log_probs(i).unwrap_or_default();
            hasher.update(&(stored.len() as u64).to_le_bytes());
            hash_words(&mut hasher, bits(stored));
        }
        hasher.finalize()
    }
}

fn bits(numbers: &[f32]) -> impl Iterator<Item = u32> {
    numbers.iter().map(|number| number.to_bits())
}

fn hash_words(hasher: &mut blake3::Hasher, words: impl Iterator<Item = u32>) {
    let bytes: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
    hasher.update(&bytes);
}

/// Number of tokens that carry loss, if the trajectory is sound.
fn check(trajectory: &Trajectory) -> Result<usize, DataError> {
    let at = &trajectory.at;
    if trajectory.tokens.len() != trajectory.step_weight.len() {
        return Err(DataError::Misaligned {
            at: at.clone(),
            tokens: trajectory.tokens.len(),
            weights: trajectory.step_weight.len(),
        });
    }
    let refs = trajectory.ref_log_probs.as_deref().unwrap_or_default();
    let lists = [
        ("step_weight", trajectory.step_weight.as_slice(), true),
        ("ref_log_probs", refs, false),
        ("reward", trajectory.reward.as_slice(), false),
        ("score", trajectory.score.as_slice(), true),
        ("weight", std::slice::from_ref(&trajectory.weight), true),
    ];
    for (name, numbers, at_least_zero) in lists {
        for (i, &number) in numbers.iter().enumerate() {
            // Written only once something is wrong: this runs for every token.
            let column = || match name {
                "step_weight" | "ref_log_probs" => format!("{name}[{i}]"),
                _ => name.to_owned(),
            };
            if !number.is_finite() {
                return Err(DataError::NotFinite {
                    at: at.clone(),
                    column: column(),
                    found: number.to_string(),
                });
            }
            if at_least_zero && number < 0.0 {
                return Err(DataError::Negative {
                    at: at.clone(),
                    column: column(),
                    found: f64::from(number),
                });
            }
        }
    }
    let steps = count_steps(&trajectory.step_weight);
    if steps == 0 {
        return Err(DataError::EmptyMask {
            count: 1,
            first: vec![at.clone()],
        });
    }
    if trajectory.ref_log_probs.is_some() && refs.len() != steps {
        return Err(DataError::RefLogProbs {
            at: at.clone(),
            found: refs.len(),
            expected: steps,
        });
    }
    Ok(steps)
}

/// Number of tokens that carry loss.
pub(crate) fn count_steps(step_weight: &[f32]) -> usize {
    step_weight.iter().filter(|&&weight| weight > 0.0).count()
}

#[cfg(test)]
#[path = "trajectory_tests.rs"]
mod tests;
