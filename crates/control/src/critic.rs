//! Critics: networks that say what an action in a state is worth, in pairs.

use iwsft_engine::{Layout, Precision, Tensor};

use crate::baseline::discount_to_targets;
use crate::learned::{Diverged, Learned};
use crate::network::{Network, Pass};
use crate::random::Generator;
use crate::replay::Transitions;

/// A network with one output, what it learns with, and memory for its passes.
#[derive(Debug)]
pub(crate) struct Critic {
    network: Network,
    pub(crate) learned: Learned,
    /// The pass that is learnt from.
    pass: Pass,
    /// Passes of other inputs, or through the target.
    other: Pass,
}

impl Critic {
    /// A critic of `inputs` numbers.
    pub(crate) fn new(
        name: &'static str,
        inputs: usize,
        hidden: &[usize],
        norm: bool,
        random: &mut Generator,
    ) -> Self {
        let widths = [&[inputs], hidden, &[1]].concat();
        let mut layout = Layout::default();
        let network = Network::new(&mut layout, "", &widths, norm);
        let mut parameters = vec![0.0; layout.len()];
        network.initialise(random, &mut parameters);
        Self {
            pass: network.pass(),
            other: network.pass(),
            network,
            learned: Learned::new(name, layout, Tensor::from_vec(parameters)),
        }
    }

    /// Multiplies in this precision from now on.
    pub(crate) fn set_precision(&mut self, precision: Precision) {
        self.network.precision = precision;
    }

    /// What `inputs` are worth `[n]`; kept, to be learnt from.
    pub(crate) fn values(&mut self, inputs: &[f32], values: &mut Vec<f32>) {
        let parameters = &self.learned.parameters;
        let output = self.network.forward(parameters, &mut self.pass, inputs);
        values.resize(output.len(), 0.0);
        self.network.outputs(&self.pass).copy_to_host(values);
    }

    /// What `inputs` are worth `[n]`, to nobody's memory; by the target if there is
    /// one.
    pub(crate) fn other_values(&mut self, inputs: &[f32], values: &mut Vec<f32>) {
        let learned = &self.learned;
        let parameters = learned.target.as_ref().unwrap_or(&learned.parameters);
        let output = self.network.forward(parameters, &mut self.other, inputs);
        values.resize(output.len(), 0.0);
        self.network.outputs(&self.other).copy_to_host(values);
    }

    /// One update along `dvalues [n]`, the gradient of the values found last.
    pub(crate) fn learn(&mut self, dvalues: &[f32], learning_rate: f64) -> Result<(), Diverged> {
        let (_, mut gradient) = self.network.output_and_gradient(&mut self.pass);
        gradient.copy_from_host(dvalues);
        let Learned {
            parameters,
            gradients,
            ..
        } = &mut self.learned;
        self.network.backward(parameters, gradients, &mut self.pass);
        self.learned.update(learning_rate)
    }

    /// What the values found last make of `dvalues [n]`: the gradient of the last
    /// `a` of each row's inputs, `[n, a]`.
    fn pull(&mut self, dvalues: &[f32], a: usize, dactions: &mut Vec<f32>) {
        let (_, mut gradient) = self.network.output_and_gradient(&mut self.pass);
        gradient.copy_from_host(dvalues);
        let parameters = &self.learned.parameters;
        let dinputs = self.network.backward_input(parameters, &mut self.pass);
        let dinputs = dinputs.to_host();
        let width = dinputs.len() / dvalues.len().max(1);
        dactions.clear();
        for row in dinputs.chunks_exact(width) {
            dactions.extend_from_slice(&row[width - a..]);
        }
    }
}

/// Two critics of states and actions; the lower of their values is believed
/// (Fujimoto et al., arXiv 1802.09477).
#[derive(Debug)]
pub(crate) struct TwinCritic {
    pub(crate) pair: [Critic; 2],
    /// Numbers of an observation and of an action.
    sizes: [usize; 2],
    /// Rows of observation and action, `[n, o + a]`.
    rows: Vec<f32>,
    /// What the pair was last fitted to, `[n]`.
    targets: Vec<f32>,
    values: [Vec<f32>; 2],
    dvalues: [Vec<f32>; 2],
    dactions: [Vec<f32>; 2],
}

impl TwinCritic {
    /// Critics of observations of `o` and actions of `a` numbers, with targets.
    pub(crate) fn new(
        [o, a]: [usize; 2],
        hidden: &[usize],
        norm: bool,
        random: &mut Generator,
    ) -> Self {
        let pair = ["critic_1", "critic_2"].map(|name| {
            let mut critic = Critic::new(name, o + a, hidden, norm, random);
            critic.learned = critic.learned.with_target();
            critic
        });
        Self {
            pair,
            sizes: [o, a],
            rows: Vec::new(),
            targets: Vec::new(),
            values: Default::default(),
            dvalues: Default::default(),
            dactions: Default::default(),
        }
    }

    /// The lower of the targets' values `[n]` of actions `[n, a]` in states `[n, o]`.
    pub(crate) fn lower_target(
        &mut self,
        observations: &[f32],
        actions: &[f32],
        lower: &mut Vec<f32>,
    ) {
        self.join(observations, actions);
        self.both(|critic, rows, values, _| critic.other_values(rows, values));
        self.lower(lower);
    }

    /// The lower of the critics' values `[n]`.
    pub(crate) fn lower_value(
        &mut self,
        observations: &[f32],
        actions: &[f32],
        lower: &mut Vec<f32>,
    ) {
        self.join(observations, actions);
        self.both(|critic, rows, values, _| critic.values(rows, values));
        self.lower(lower);
    }

    /// One update of both towards `targets [n]`, by the squared error's mean over
    /// rows times `weight`. Returns the mean squared error of the two.
    pub(crate) fn fit(
        &mut self,
        observations: &[f32],
        actions: &[f32],
        targets: &[f32],
        weight: f32,
        learning_rate: f64,
    ) -> Result<f64, Diverged> {
        let scale = 2.0 * weight / targets.len() as f32;
        self.join(observations, actions);
        self.learn(learning_rate, |values, dvalues| {
            let errors = values.iter().zip(targets).map(|(value, y)| value - y);
            dvalues.clear();
            dvalues.extend(errors.map(|error| scale * error));
        })?;
        let errors = self
            .values
            .iter()
            .flat_map(|values| values.iter().zip(targets));
        let squares: f64 = errors.map(|(value, y)| f64::from(value - y).powi(2)).sum();
        Ok(squares / (2.0 * targets.len() as f64))
    }

    /// Bellman's targets, where `next [n, a]` is done next; what that is worth by the
    /// targets, `adjust` may change first. Kept for [`TwinCritic::targets`].
    pub(crate) fn look_ahead(
        &mut self,
        batch: &Transitions,
        next: &[f32],
        discount: f32,
        adjust: impl FnOnce(&mut [f32]),
    ) {
        let mut worth = std::mem::take(&mut self.targets);
        self.lower_target(&batch.next_observations, next, &mut worth);
        adjust(&mut worth);
        discount_to_targets(batch, discount, &mut worth);
        self.targets = worth;
    }

    /// [`TwinCritic::look_ahead`], and one update of both towards it by the squared
    /// error. Returns the mean squared error of the two.
    pub(crate) fn learn_ahead(
        &mut self,
        batch: &Transitions,
        next: &[f32],
        discount: f32,
        learning_rate: f64,
        adjust: impl FnOnce(&mut [f32]),
    ) -> Result<f64, Diverged> {
        self.look_ahead(batch, next, discount, adjust);
        let targets = std::mem::take(&mut self.targets);
        let loss = self.fit(
            &batch.observations,
            &batch.actions,
            &targets,
            1.0,
            learning_rate,
        );
        self.targets = targets;
        loss
    }

    /// The targets `[n]` that were found last.
    pub(crate) fn targets(&self) -> &[f32] {
        &self.targets
    }

    /// Makes rows of observations and actions, and lets `further` append some, for
    /// [`TwinCritic::learn`].
    pub(crate) fn lay_out(
        &mut self,
        observations: &[f32],
        actions: &[f32],
        further: impl FnOnce(&mut Vec<f32>),
    ) {
        self.join(observations, actions);
        further(&mut self.rows);
    }

    /// One update of both on the rows that were laid out last: `gradient` writes that
    /// of the loss from a critic's values.
    pub(crate) fn learn(
        &mut self,
        learning_rate: f64,
        gradient: impl Fn(&[f32], &mut Vec<f32>) + Sync,
    ) -> Result<(), Diverged> {
        let results = self.both(|critic, rows, values, dvalues| {
            critic.values(rows, values);
            gradient(values, dvalues);
            critic.learn(dvalues, learning_rate)
        });
        results.into_iter().collect()
    }

    /// What one of the two last found.
    pub(crate) fn values(&self, which: usize) -> &[f32] {
        &self.values[which]
    }

    /// The values `[n]` of the first critic, and their gradient with regard to the
    /// actions, `[n, a]`.
    pub(crate) fn first_and_gradient(
        &mut self,
        observations: &[f32],
        actions: &[f32],
        values: &mut Vec<f32>,
        dactions: &mut Vec<f32>,
    ) {
        self.join(observations, actions);
        let [critic, _] = &mut self.pair;
        critic.values(&self.rows, values);
        let ones = &mut self.dvalues[0];
        ones.clear();
        ones.resize(values.len(), 1.0);
        critic.pull(ones, self.sizes[1], dactions);
    }

    /// The lower values `[n]`, and their gradient with regard to the actions.
    pub(crate) fn lower_and_gradient(
        &mut self,
        observations: &[f32],
        actions: &[f32],
        lower: &mut Vec<f32>,
        dactions: &mut Vec<f32>,
    ) {
        self.lower_value(observations, actions, lower);
        let a = self.sizes[1];
        let [first, second] = &self.values;
        let is_first = first
            .iter()
            .zip(second)
            .map(|(first, second)| first <= second);
        let [of_first, of_second] = &mut self.dvalues;
        of_first.clear();
        of_first.extend(is_first.map(|is_first| f32::from(u8::from(is_first))));
        of_second.clear();
        of_second.extend(of_first.iter().map(|share| 1.0 - share));
        let [one, two] = &mut self.pair;
        let [of_one, of_two] = &mut self.dactions;
        rayon::join(
            || one.pull(&self.dvalues[0], a, of_one),
            || two.pull(&self.dvalues[1], a, of_two),
        );
        dactions.clear();
        dactions.extend(of_one.iter().zip(&*of_two).map(|(one, two)| one + two));
    }

    /// Moves both targets.
    pub(crate) fn follow(&mut self, tau: f64) {
        let [one, two] = &mut self.pair;
        rayon::join(|| one.learned.follow(tau), || two.learned.follow(tau));
    }

    /// Multiplies in this precision from now on.
    pub(crate) fn set_precision(&mut self, precision: Precision) {
        self.pair
            .iter_mut()
            .for_each(|critic| critic.set_precision(precision));
    }

    /// Both critics' parameters.
    pub(crate) fn learned(&mut self) -> impl Iterator<Item = &mut Learned> {
        self.pair.iter_mut().map(|critic| &mut critic.learned)
    }

    /// Both at once on the rows, each with room for its values and their gradient.
    fn both<T: Send>(
        &mut self,
        act: impl Fn(&mut Critic, &[f32], &mut Vec<f32>, &mut Vec<f32>) -> T + Sync,
    ) -> [T; 2] {
        let rows = &self.rows;
        let [one, two] = &mut self.pair;
        let [values_one, values_two] = &mut self.values;
        let [dvalues_one, dvalues_two] = &mut self.dvalues;
        let results = rayon::join(
            || act(one, rows, values_one, dvalues_one),
            || act(two, rows, values_two, dvalues_two),
        );
        results.into()
    }

    /// Puts observations `[n, o]` and actions `[n, a]` side by side.
    fn join(&mut self, observations: &[f32], actions: &[f32]) {
        let [o, a] = self.sizes;
        self.rows.clear();
        for (observation, action) in observations.chunks_exact(o).zip(actions.chunks_exact(a)) {
            self.rows.extend_from_slice(observation);
            self.rows.extend_from_slice(action);
        }
    }

    fn lower(&self, lower: &mut Vec<f32>) {
        let [first, second] = &self.values;
        lower.clear();
        lower.extend(first.iter().zip(second).map(|(one, two)| one.min(*two)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two critics, and four states of 3 numbers with actions of 2 for them.
    fn critics(norm: bool) -> (TwinCritic, Vec<f32>, Vec<f32>) {
        let mut random = Generator::new(5);
        let critics = TwinCritic::new([3, 2], &[32, 24], norm, &mut random);
        let mut draw = |count: usize| -> Vec<f32> {
            let numbers = (0..count).map(|_| random.uniform(-1.0, 1.0) as f32);
            numbers.collect()
        };
        (critics, draw(4 * 3), draw(4 * 2))
    }

    #[test]
    fn the_gradient_of_the_lower_value_is_that_by_differences() {
        const STEP: f32 = 1e-2;
        for norm in [false, true] {
            let (mut critics, seen, done) = critics(norm);
            let (mut values, mut dactions) = (Vec::new(), Vec::new());
            critics.lower_and_gradient(&seen, &done, &mut values, &mut dactions);
            let [first, second] = [0, 1].map(|which| critics.values(which).to_vec());
            assert!(first != second, "two critics begin apart");
            for (row, value) in values.iter().enumerate() {
                assert_eq!(*value, first[row].min(second[row]));
            }
            for index in 0..8 {
                let [below, above] = [-STEP, STEP].map(|step| {
                    let mut moved = done.clone();
                    moved[index] += step;
                    let mut values = Vec::new();
                    critics.lower_value(&seen, &moved, &mut values);
                    values[index / 2]
                });
                let expected = (above - below) / (2.0 * STEP);
                let found = dactions[index];
                assert!((found - expected).abs() < 5e-3, "{found} {expected}");
            }
        }
    }

    #[test]
    fn critics_come_to_their_targets_and_targets_follow() {
        let (mut critics, seen, done) = critics(true);
        let targets = [1.0, -1.0, 0.5, 2.0];
        let first = critics.fit(&seen, &done, &targets, 1.0, 3e-3).unwrap();
        let mut last = first;
        for _ in 0..600 {
            last = critics.fit(&seen, &done, &targets, 1.0, 3e-3).unwrap();
        }
        assert!(last < 1e-3 && first > 0.1, "{first} {last}");
        let mut values = Vec::new();
        critics.lower_target(&seen, &done, &mut values);
        assert!((values[3] - 2.0).abs() > 0.1, "targets have not moved yet");
        (0..2000).for_each(|_| critics.follow(0.005));
        critics.lower_target(&seen, &done, &mut values);
        for (value, target) in values.iter().zip(targets) {
            assert!((value - target).abs() < 0.05, "{values:?}");
        }
    }
}
