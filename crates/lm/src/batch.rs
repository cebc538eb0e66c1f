//! A packed micro-batch of token sequences.

/// Whole sequences end to end, and which of their tokens are scored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenBatch {
    /// `[n]`: all tokens.
    pub(crate) tokens: Vec<u32>,
    /// `[n]`: index of each token within its sequence.
    pub(crate) positions: Vec<u32>,
    /// `[b + 1]`: where sequences begin and end.
    pub(crate) cu_seqlens: Vec<usize>,
    /// `[s]`: rows whose next token is scored.
    pub(crate) rows: Vec<u32>,
    /// `[s]`: the tokens that follow those rows.
    pub(crate) targets: Vec<u32>,
    /// `[b + 1]`: where each sequence's scored steps begin and end.
    pub(crate) cu_steps: Vec<usize>,
}

impl TokenBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self {
            cu_seqlens: vec![0],
            cu_steps: vec![0],
            ..Self::default()
        }
    }

    /// Appends a sequence. `scored(i)` says whether predicting its token `i`
    /// carries loss; the first token has nothing that predicts it and never does.
    pub fn push(&mut self, tokens: &[u32], scored: impl Fn(usize) -> bool) {
        let first = self.tokens.len() as u32;
        self.tokens.extend_from_slice(tokens);
        self.positions.extend(0..tokens.len() as u32);
        for (i, &token) in tokens.iter().enumerate().skip(1) {
            if scored(i) {
                self.rows.push(first + i as u32 - 1);
                self.targets.push(token);
            }
        }
        self.cu_seqlens.push(self.tokens.len());
        self.cu_steps.push(self.rows.len());
    }

    /// A batch of one sequence, every token but the first scored.
    pub fn of_sequence(tokens: &[u32]) -> Self {
        let mut batch = Self::new();
        batch.push(tokens, |_| true);
        batch
    }

    /// `n`: number of tokens.
    pub fn tokens(&self) -> usize {
        self.tokens.len()
    }

    /// `s`: number of scored steps.
    pub fn steps(&self) -> usize {
        self.rows.len()
    }

    /// `[b + 1]`: where each sequence's scored steps begin and end.
    pub fn cu_steps(&self) -> &[usize] {
        &self.cu_steps
    }

    /// Length of the longest sequence.
    pub(crate) fn longest(&self) -> usize {
        self.cu_seqlens
            .windows(2)
            .map(|bounds| bounds[1] - bounds[0])
            .max()
            .unwrap_or(0)
    }
}
