//! Episodes in memory: all steps end to end, a column each.

/// How an episode ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The task ended: what follows is worth nothing. A step that is both
    /// terminal and timeout counts as this.
    Terminal,
    /// Recording stopped, but the task would have gone on.
    Timeout,
    /// The file ended before the episode did, see [`super::Tail`]; or a group of
    /// Minari's is over, and nothing says how.
    Unfinished,
}

/// One episode of `t` steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Episode<'a> {
    /// What the policy saw before each step, `[t, o]`.
    pub observations: &'a [f32],
    /// What it did, `[t, a]`.
    pub actions: &'a [f32],
    /// What it got for it, `[t]`.
    pub rewards: &'a [f32],
    /// What it saw after each step, `[t, o]`. Where the file does not say what
    /// that was for the last step, it is NaN, or, behind a terminal, where
    /// nothing depends on it, the observation again.
    pub next_observations: &'a [f32],
    /// How it ended.
    pub end: End,
}

impl Episode<'_> {
    /// Number of steps `t`.
    pub fn length(&self) -> usize {
        self.rewards.len()
    }

    /// Sum of the rewards, undiscounted.
    pub fn total_reward(&self) -> f64 {
        self.rewards.iter().copied().map(f64::from).sum()
    }
}

/// Columns of steps, whatever episodes they belong to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Steps {
    pub(super) observations: Vec<f32>,
    pub(super) actions: Vec<f32>,
    pub(super) rewards: Vec<f32>,
    pub(super) next_observations: Vec<f32>,
    /// One `[n, k]` for each of the infos.
    pub(super) infos: Vec<Vec<f32>>,
}

impl Steps {
    pub(super) fn extend(&mut self, other: &Steps) {
        self.observations.extend_from_slice(&other.observations);
        self.actions.extend_from_slice(&other.actions);
        self.rewards.extend_from_slice(&other.rewards);
        self.next_observations
            .extend_from_slice(&other.next_observations);
        for (to, from) in self.infos.iter_mut().zip(&other.infos) {
            to.extend_from_slice(from);
        }
    }

    /// Takes the first `count` of `n` steps.
    pub(super) fn take_first(&mut self, count: usize) -> Steps {
        let n = self.rewards.len();
        let take = |column: &mut Vec<f32>| {
            let width = column.len() / n.max(1);
            let rest = column.split_off(count * width);
            std::mem::replace(column, rest)
        };
        Steps {
            observations: take(&mut self.observations),
            actions: take(&mut self.actions),
            rewards: take(&mut self.rewards),
            next_observations: take(&mut self.next_observations),
            infos: self.infos.iter_mut().map(take).collect(),
        }
    }
}

/// Episodes, their `n` steps end to end. Episode `i` owns the steps
/// `starts[i]..starts[i + 1]`.
#[derive(Debug, Clone)]
pub struct Episodes {
    observation_size: usize,
    action_size: usize,
    steps: Steps,
    starts: Vec<usize>,
    ends: Vec<End>,
    info_names: Vec<String>,
    left_out: usize,
}

impl Episodes {
    /// No episode yet, of `observation_size` (`o`) numbers seen and
    /// `action_size` (`a`) numbers done a step.
    pub fn new(observation_size: usize, action_size: usize) -> Self {
        Self::with_infos(observation_size, action_size, &[])
    }

    pub(super) fn with_infos(
        observation_size: usize,
        action_size: usize,
        info_names: &[String],
    ) -> Self {
        Self {
            observation_size,
            action_size,
            steps: Steps {
                infos: vec![Vec::new(); info_names.len()],
                ..Steps::default()
            },
            starts: vec![0],
            ends: Vec::new(),
            info_names: info_names.to_vec(),
            left_out: 0,
        }
    }

    /// Adds an episode.
    ///
    /// # Panics
    /// If it is empty, its columns differ in their number of steps, or these
    /// episodes were read with further columns (`infos`), which it has not.
    pub fn push(&mut self, episode: Episode<'_>) {
        let length = episode.length();
        assert!(length > 0, "an episode has at least one step");
        assert_eq!(
            [
                episode.observations.len(),
                episode.next_observations.len(),
                episode.actions.len(),
                self.info_names.len(),
            ],
            [
                length * self.observation_size,
                length * self.observation_size,
                length * self.action_size,
                0,
            ],
            "numbers in observations, next observations and actions, and infos"
        );
        self.steps
            .observations
            .extend_from_slice(episode.observations);
        self.steps.actions.extend_from_slice(episode.actions);
        self.steps.rewards.extend_from_slice(episode.rewards);
        self.steps
            .next_observations
            .extend_from_slice(episode.next_observations);
        self.close(episode.end);
    }

    /// These steps, with the number of steps up to the end of each episode, and
    /// how it ended.
    pub(super) fn of_steps(mut self, steps: Steps, cuts: &[(usize, End)]) -> Self {
        self.steps = steps;
        self.starts.extend(cuts.iter().map(|&(step, _)| step));
        self.ends.extend(cuts.iter().map(|&(_, end)| end));
        self
    }

    fn close(&mut self, end: End) {
        self.starts.push(self.step_count());
        self.ends.push(end);
    }

    /// Adds all episodes of `other`, read from the same file or from one with
    /// the same columns.
    ///
    /// # Panics
    /// If observations, actions or infos differ in size.
    pub fn append(&mut self, other: &Episodes) {
        assert_eq!(
            (self.observation_size, self.action_size, &self.info_names),
            (other.observation_size, other.action_size, &other.info_names),
            "sizes of observations and actions, and infos"
        );
        let before = self.step_count();
        self.steps.extend(&other.steps);
        self.starts
            .extend(other.starts[1..].iter().map(|start| before + start));
        self.ends.extend_from_slice(&other.ends);
    }

    /// Number of episodes.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no episode.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Steps of the file that are not here, as they are of an episode whose end
    /// nobody recorded ([`super::Tail::Drop`]).
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    pub(super) fn set_left_out(&mut self, steps: usize) {
        self.left_out = steps;
    }

    /// Number of steps `n` of all episodes.
    pub fn step_count(&self) -> usize {
        self.steps.rewards.len()
    }

    /// Numbers in an observation, `o`.
    pub fn observation_size(&self) -> usize {
        self.observation_size
    }

    /// Numbers in an action, `a`.
    pub fn action_size(&self) -> usize {
        self.action_size
    }

    /// What the policy saw before each step, `[n, o]`.
    pub fn observations(&self) -> &[f32] {
        &self.steps.observations
    }

    /// What it did, `[n, a]`.
    pub fn actions(&self) -> &[f32] {
        &self.steps.actions
    }

    /// What it got for it, `[n]`.
    pub fn rewards(&self) -> &[f32] {
        &self.steps.rewards
    }

    /// What it saw after each step, `[n, o]`; see
    /// [`Episode::next_observations`].
    pub fn next_observations(&self) -> &[f32] {
        &self.steps.next_observations
    }

    /// A further column `[n, k]` that was asked for, and its `k`.
    pub fn info(&self, name: &str) -> Option<(&[f32], usize)> {
        let index = self.info_names.iter().position(|info| info == name)?;
        let column = &self.steps.infos[index];
        Some((column, column.len() / self.step_count().max(1)))
    }

    /// The further columns: name, `[n, k]` and `k`.
    pub(super) fn infos(&self) -> impl Iterator<Item = (&str, &[f32], usize)> {
        self.info_names.iter().filter_map(|name| {
            let (column, k) = self.info(name)?;
            Some((name.as_str(), column, k))
        })
    }

    /// Names of the further columns that were asked for.
    pub fn info_names(&self) -> &[String] {
        &self.info_names
    }

    /// First step of each episode, and the number of all steps: as many
    /// numbers as episodes, and one more.
    pub fn starts(&self) -> &[usize] {
        &self.starts
    }

    /// How each episode ended.
    pub fn ends(&self) -> &[End] {
        &self.ends
    }

    /// Episode `index`, counted from 0.
    ///
    /// # Panics
    /// If there is none.
    pub fn episode(&self, index: usize) -> Episode<'_> {
        let (from, to) = (self.starts[index], self.starts[index + 1]);
        let (o, a) = (self.observation_size, self.action_size);
        Episode {
            observations: &self.steps.observations[from * o..to * o],
            actions: &self.steps.actions[from * a..to * a],
            rewards: &self.steps.rewards[from..to],
            next_observations: &self.steps.next_observations[from * o..to * o],
            end: self.ends[index],
        }
    }

    /// The episodes in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Episode<'_>> {
        (0..self.len()).map(|index| self.episode(index))
    }

    /// Sum of the rewards of each episode, undiscounted.
    pub fn returns(&self) -> Vec<f64> {
        self.iter().map(|episode| episode.total_reward()).collect()
    }

    /// Number of steps of each episode.
    pub fn lengths(&self) -> Vec<usize> {
        self.iter().map(|episode| episode.length()).collect()
    }

    /// The episodes of these indices, in this order and as often as they are
    /// named.
    ///
    /// # Panics
    /// If there is no episode of an index.
    pub fn select(&self, indices: &[usize]) -> Episodes {
        let mut selected =
            Self::with_infos(self.observation_size, self.action_size, &self.info_names);
        for &index in indices {
            let episode = self.episode(index);
            let (from, to) = (self.starts[index], self.starts[index + 1]);
            selected.steps.extend(&Steps {
                observations: episode.observations.to_vec(),
                actions: episode.actions.to_vec(),
                rewards: episode.rewards.to_vec(),
                next_observations: episode.next_observations.to_vec(),
                infos: self
                    .steps
                    .infos
                    .iter()
                    .map(|column| {
                        let k = column.len() / self.step_count();
                        column[from * k..to * k].to_vec()
                    })
                    .collect(),
            });
            selected.close(episode.end);
        }
        selected
    }

    /// Whether the last next observation of episode `index` is known.
    pub(super) fn knows_last(&self, index: usize) -> bool {
        let next = self.episode(index).next_observations;
        !next[next.len() - self.observation_size].is_nan()
    }

    /// Single steps for temporal-difference learning. Steps whose next
    /// observation matters and is not known are left out, as D4RL's
    /// `qlearning_dataset` does: the last ones of episodes that did not end by
    /// a terminal, in files without `next_observations`.
    pub fn transitions(&self) -> Transitions {
        let mut transitions = Transitions {
            steps: Vec::with_capacity(self.step_count()),
            terminals: Vec::with_capacity(self.step_count()),
        };
        for index in 0..self.len() {
            let terminal = self.ends[index] == End::Terminal;
            let last = self.starts[index + 1] - 1;
            transitions.steps.extend(self.starts[index]..last);
            if self.knows_last(index) {
                transitions.steps.push(last);
            }
            transitions.terminals.resize(transitions.steps.len(), false);
            if terminal {
                transitions.terminals.pop();
                transitions.terminals.push(true);
            }
        }
        transitions
    }
}

/// Steps to learn from one by one; see [`Episodes::transitions`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transitions {
    /// Their numbers: rows of [`Episodes::observations`] and the other columns.
    pub steps: Vec<usize>,
    /// Whether nothing follows; the next observation then means nothing.
    pub terminals: Vec<bool>,
}

#[cfg(test)]
#[path = "steps_tests.rs"]
mod tests;
