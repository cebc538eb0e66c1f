//! The smallest policy with every property of a language model: the next token
//! is drawn by a table of logits, one row for each token before it.

// Each test file uses a part of this.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use iwsft_data::Mixture;
use iwsft_engine::{Layout, Policy, Tensor};
use iwsft_objective::{Objective, ObjectiveSpec, Preset};
use iwsft_train::{Job, LogProbs, PolicyFiles, SourceError, TrainConfig, Trajectories};

/// Tokens of the vocabulary.
pub const V: usize = 5;

/// `log p(token | previous) = logits[previous, token] - logsumexp`.
pub struct Tabular {
    layout: Layout,
    /// A token whose log-probability is NaN.
    pub poison: Option<usize>,
    /// Makes every gradient infinite.
    pub infinite_gradients: bool,
}

impl Tabular {
    pub fn new() -> Self {
        let mut layout = Layout::default();
        layout.push("logits", &[V, V]);
        Self {
            layout,
            poison: None,
            infinite_gradients: false,
        }
    }

    /// Parameters that are no fixed point of anything.
    pub fn start() -> Tensor {
        let logits: Vec<f32> = (0..V * V).map(|i| ((i * 7) % 11) as f32 / 9.0).collect();
        Tensor::from_host(&logits)
    }
}

/// The distribution after token `previous`.
pub fn row(logits: &[f32], previous: usize) -> [f64; V] {
    let logits = &logits[previous * V..][..V];
    let sum: f64 = logits.iter().map(|&x| f64::from(x).exp()).sum();
    std::array::from_fn(|token| f64::from(logits[token]).exp() / sum)
}

impl Policy for Tabular {
    type Batch = Vec<Vec<usize>>;

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn steps(batch: &Self::Batch) -> usize {
        batch.iter().map(|tokens| tokens.len() - 1).sum()
    }

    fn forward(&mut self, parameters: &Tensor, batch: &Self::Batch, log_probs: &mut [f32]) {
        self.log_probs(parameters, batch, log_probs);
    }

    fn backward(
        &mut self,
        parameters: &Tensor,
        gradients: &mut Tensor,
        batch: &Self::Batch,
        coefficients: &[f32],
    ) {
        let logits = parameters.to_host();
        let mut sums = gradients.to_host();
        let pairs = batch.iter().flat_map(|tokens| tokens.windows(2));
        for (pair, &c) in pairs.zip(coefficients) {
            for (token, p) in row(&logits, pair[0]).into_iter().enumerate() {
                let hit = f64::from(u8::from(token == pair[1]));
                sums[pair[0] * V + token] -= c * (hit - p) as f32;
            }
        }
        if self.infinite_gradients {
            sums[0] = f32::INFINITY;
        }
        gradients.copy_from_host(0, &sums);
    }

    fn log_probs(&mut self, parameters: &Tensor, batch: &Self::Batch, log_probs: &mut [f32]) {
        let logits = parameters.to_host();
        let pairs = batch.iter().flat_map(|tokens| tokens.windows(2));
        for (pair, out) in pairs.zip(log_probs) {
            *out = match self.poison {
                Some(token) if token == pair[1] => f32::NAN,
                _ => row(&logits, pair[0])[pair[1]].ln() as f32,
            };
        }
    }
}

/// Token sequences; the first token of each is the prompt.
#[derive(Clone)]
pub struct Sequences {
    pub tokens: Vec<Vec<usize>>,
    pub quality: Vec<f32>,
    pub reward: Vec<f32>,
    pub weight: Vec<f32>,
}

impl Sequences {
    pub fn new(tokens: Vec<Vec<usize>>) -> Self {
        Self {
            quality: vec![1.0; tokens.len()],
            reward: vec![1.0; tokens.len()],
            weight: vec![1.0; tokens.len()],
            tokens,
        }
    }

    /// `count` sequences of 2 to 9 tokens, the same for the same seed.
    pub fn random(count: usize, seed: u64) -> Self {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut below = |n: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 33) as usize % n
        };
        let tokens = (0..count)
            .map(|_| (0..2 + below(8)).map(|_| below(V)).collect())
            .collect();
        Self::new(tokens)
    }
}

impl Trajectories for Sequences {
    type Batch = Vec<Vec<usize>>;

    fn len(&self) -> usize {
        self.tokens.len()
    }

    fn length(&self, index: usize) -> usize {
        self.tokens[index].len()
    }

    fn steps(&self, index: usize) -> usize {
        self.tokens[index].len() - 1
    }

    fn reward(&self, index: usize) -> Option<f32> {
        Some(self.reward[index])
    }

    fn quality(&self, index: usize) -> f32 {
        self.quality[index]
    }

    fn weight(&self, index: usize) -> f32 {
        self.weight[index]
    }

    fn describe(&self, index: usize) -> String {
        format!("sequences.jsonl:{}", index + 1)
    }

    fn batch(&self, indices: &[usize]) -> Self::Batch {
        indices.iter().map(|&i| self.tokens[i].clone()).collect()
    }

    fn fingerprint(&self) -> blake3::Hash {
        blake3::hash(format!("{:?}{:?}", self.tokens, self.quality).as_bytes())
    }
}

/// Parameters as raw bytes: exact f32, or halved to the upper 16 bits.
pub struct Raw {
    pub exact: bool,
    /// Saves that succeed before the disk is full.
    pub room: Cell<usize>,
}

impl Raw {
    pub fn exact() -> Self {
        Self {
            exact: true,
            room: Cell::new(usize::MAX),
        }
    }

    pub fn rounded() -> Self {
        Self {
            exact: false,
            ..Self::exact()
        }
    }
}

impl PolicyFiles for Raw {
    fn exact(&self) -> bool {
        self.exact
    }

    fn save(&self, folder: &Path, parameters: &Tensor) -> Result<(), SourceError> {
        let keep = if self.exact { u32::MAX } else { 0xFFFF_0000 };
        let values = parameters.to_host();
        let bytes = values
            .iter()
            .flat_map(|x| (x.to_bits() & keep).to_le_bytes());
        fs::write(folder.join("policy"), bytes.collect::<Vec<_>>())?;
        match self.room.get() {
            0 => Err("no space left on device".into()),
            room => {
                self.room.set(room - 1);
                Ok(())
            }
        }
    }

    fn load(&self, folder: &Path, parameters: &mut Tensor) -> Result<(), SourceError> {
        parameters.copy_from_host(0, &read_policy(folder));
        Ok(())
    }
}

/// The parameters that [`Raw`] wrote.
pub fn read_policy(folder: &Path) -> Vec<f32> {
    let bytes = fs::read(folder.join("policy")).unwrap();
    let words = bytes.chunks_exact(4);
    words
        .map(|word| f32::from_le_bytes(word.try_into().unwrap()))
        .collect()
}

pub fn objective(preset: Preset) -> Objective {
    spec(preset.spec())
}

pub fn spec(spec: ObjectiveSpec) -> Objective {
    spec.resolve().unwrap()
}

/// Reference log-probabilities under the start.
pub fn reference(train: &Sequences) -> LogProbs {
    let (mut policy, start) = (Tabular::new(), Tabular::start());
    iwsft_train::score(&mut policy, &start, train, 64, &mut |_| {})
}

/// Small numbers, and an epsilon that makes the update a smooth function of
/// the gradient: without it, Adam turns a rounding error into a whole step
/// wherever the true gradient is 0.
pub fn config() -> TrainConfig {
    TrainConfig {
        epochs: Some(2.0),
        batch_size: 4,
        micro_tokens: 16,
        learning_rate: 0.5,
        eps: 1.0,
        weight_decay: 0.01,
        ..TrainConfig::default()
    }
}

/// A job without validation, from the usual start.
pub fn job<'a>(
    policy: &'a mut Tabular,
    train: &'a Sequences,
    objective: &Objective,
    config: &TrainConfig,
    files: &'a dyn PolicyFiles,
) -> Job<'a, Tabular, Sequences> {
    Job {
        policy,
        parameters: Tabular::start(),
        train,
        validation: None,
        mixture: Mixture::whole(train.len()),
        reference: objective.needs_reference().then(|| reference(train)),
        objective: objective.clone(),
        config: config.clone(),
        files,
        settings: BTreeMap::new(),
    }
}
