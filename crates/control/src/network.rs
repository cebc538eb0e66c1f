//! The network behind every policy and critic: linear layers with ReLU between
//! them, and LayerNorm behind each ReLU where asked for.
//!
//! A [`Network`] is a shape; a [`Pass`] is the memory of one way through it. So a
//! network and its target share the shape, and several passes can be kept.

use std::ops::Range;

use iwsft_engine::ops::{layer_norm, linear, relu};
use iwsft_engine::{Layout, Precision, Tensor, View, ViewMut};

use crate::random::Generator;

/// What LayerNorm adds to a variance, as the networks of ReBRAC have it.
const NORM_EPS: f32 = 1e-6;

/// Linear layers and what lies between them; the last one's output is as it is.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    layers: Vec<Layer>,
    /// That of the matrix products.
    pub(crate) precision: Precision,
}

/// Where a layer's parameters are, and its widths.
#[derive(Debug, Clone)]
struct Layer {
    weight: Range<usize>,
    bias: Range<usize>,
    /// Weight and bias of the LayerNorm behind it.
    norm: Option<[Range<usize>; 2]>,
    input: usize,
    output: usize,
}

/// Memory of one way through a network; it grows to the largest batch.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    /// Rows.
    n: usize,
    /// What each layer sees, `[n, input]`, and the output of the last one.
    inputs: Vec<Tensor>,
    /// What LayerNorm sees, behind each layer that has one.
    before_norm: Vec<Tensor>,
    /// Means and inverse deviations of its rows, `[n, 2]`.
    statistics: Vec<Tensor>,
    /// Gradients of two neighbouring activations; the first begins with that of
    /// the output, and each operation backwards swaps them.
    gradients: [Tensor; 2],
}

impl Network {
    /// Adds a network's parameters to `layout`, their names beginning with
    /// `prefix`: from `widths[0]` inputs through hidden layers to the last width.
    pub(crate) fn new(layout: &mut Layout, prefix: &str, widths: &[usize], norm: bool) -> Self {
        let count = widths.len() - 1;
        let layers = widths.windows(2).enumerate().map(|(index, pair)| {
            let [input, output] = [pair[0], pair[1]];
            let mut push = |name: &str, shape: &[usize]| {
                layout.push(format!("{prefix}layers.{index}.{name}"), shape)
            };
            Layer {
                weight: push("weight", &[output, input]),
                bias: push("bias", &[output]),
                norm: (norm && index + 1 < count)
                    .then(|| ["norm.weight", "norm.bias"].map(|name| push(name, &[output]))),
                input,
                output,
            }
        });
        Self {
            layers: layers.collect(),
            precision: Precision::F32,
        }
    }

    /// Writes parameters to start from: weights and biases even in
    /// `+-1 / sqrt(inputs)`, as PyTorch's linear layers have them.
    pub(crate) fn initialise(&self, random: &mut Generator, parameters: &mut [f32]) {
        for layer in &self.layers {
            let bound = 1.0 / (layer.input as f64).sqrt();
            for range in [&layer.weight, &layer.bias] {
                for value in &mut parameters[range.clone()] {
                    *value = random.uniform(-bound, bound) as f32;
                }
            }
            if let Some([weight, bias]) = &layer.norm {
                parameters[weight.clone()].fill(1.0);
                parameters[bias.clone()].fill(0.0);
            }
        }
    }

    /// Where the last layer's weight `[out, in]` and bias `[out]` are.
    pub(crate) fn last(&self) -> [Range<usize>; 2] {
        let layer = &self.layers[self.layers.len() - 1];
        [layer.weight.clone(), layer.bias.clone()]
    }

    /// Memory for passes through this network.
    pub(crate) fn pass(&self) -> Pass {
        let tensors = |count: usize| (0..count).map(|_| Tensor::default()).collect();
        Pass {
            n: 0,
            inputs: tensors(self.layers.len() + 1),
            before_norm: tensors(self.layers.len()),
            statistics: tensors(self.layers.len()),
            gradients: Default::default(),
        }
    }

    fn input(&self) -> usize {
        self.layers[0].input
    }

    fn output(&self) -> usize {
        self.layers[self.layers.len() - 1].output
    }

    /// The output `[n, out]` for `input [n, in]`, kept for a backward pass.
    ///
    /// # Panics
    /// If `input` is not a number of rows.
    pub(crate) fn forward<'a>(
        &self,
        parameters: &Tensor,
        pass: &'a mut Pass,
        input: &[f32],
    ) -> ViewMut<'a> {
        let n = input.len() / self.input();
        assert_eq!(input.len(), n * self.input(), "inputs of {n} rows");
        pass.n = n;
        pass.inputs[0].reserve(input.len());
        pass.inputs[0].copy_from_host(0, input);
        let last = self.layers.len() - 1;
        for (index, layer) in self.layers.iter().enumerate() {
            let (before, behind) = pass.inputs.split_at_mut(index + 1);
            let (x, y) = (before[index].view(0..n * layer.input), &mut behind[0]);
            let size = n * layer.output;
            y.reserve(size);
            let weight = parameters.view(layer.weight.clone());
            let bias = parameters.view(layer.bias.clone());
            let sizes = [n, layer.input, layer.output];
            let precision = self.precision;
            if index == last {
                let y = y.view_mut(0..size);
                linear::forward(x, weight, Some(bias), y, sizes, false, precision);
                continue;
            }
            let Some([norm_weight, norm_bias]) = &layer.norm else {
                linear::forward_relu(x, weight, bias, y.view_mut(0..size), sizes, precision);
                continue;
            };
            let (h, statistics) = (&mut pass.before_norm[index], &mut pass.statistics[index]);
            h.reserve(size);
            statistics.reserve(2 * n);
            linear::forward_relu(x, weight, bias, h.view_mut(0..size), sizes, precision);
            layer_norm::forward(
                h.view(0..size),
                parameters.view(norm_weight.clone()),
                parameters.view(norm_bias.clone()),
                NORM_EPS,
                y.view_mut(0..size),
                statistics.view_mut(0..2 * n),
            );
        }
        pass.inputs[last + 1].view_mut(0..n * self.output())
    }

    /// The output `[n, out]` of the last forward pass.
    pub(crate) fn outputs<'a>(&self, pass: &'a Pass) -> View<'a> {
        pass.inputs[self.layers.len()].view(0..pass.n * self.output())
    }

    /// The output `[n, out]` of the last forward pass, and room for its gradient,
    /// which is to be written before a backward pass.
    pub(crate) fn output_and_gradient<'a>(&self, pass: &'a mut Pass) -> (View<'a>, ViewMut<'a>) {
        let widths = self
            .layers
            .iter()
            .flat_map(|each| [each.input, each.output]);
        let widest = widths.max().unwrap_or(1);
        pass.gradients
            .iter_mut()
            .for_each(|each| each.reserve(pass.n * widest));
        let range = 0..pass.n * self.output();
        let output = pass.inputs[self.layers.len()].view(range.clone());
        (output, pass.gradients[0].view_mut(range))
    }

    /// Adds to the parameters' `gradients` what the gradient of the output makes
    /// of them.
    pub(crate) fn backward(&self, parameters: &Tensor, gradients: &mut Tensor, pass: &mut Pass) {
        self.backward_to(parameters, Some(gradients), pass, false);
    }

    /// The gradient of the input `[n, in]`; that of the parameters is not computed.
    pub(crate) fn backward_input<'a>(&self, parameters: &Tensor, pass: &'a mut Pass) -> View<'a> {
        self.backward_to(parameters, None, pass, true);
        let norms = self.layers.iter().filter(|layer| layer.norm.is_some());
        let swaps = self.layers.len() + norms.count();
        pass.gradients[swaps % 2].view(0..pass.n * self.input())
    }

    fn backward_to(
        &self,
        parameters: &Tensor,
        mut gradients: Option<&mut Tensor>,
        pass: &mut Pass,
        wants_input: bool,
    ) {
        let n = pass.n;
        let [first, second] = &mut pass.gradients;
        let (mut dy, mut dx) = (first, second);
        for (index, layer) in self.layers.iter().enumerate().rev() {
            let sizes = [n, layer.input, layer.output];
            let size = n * layer.output;
            if let Some([weight, bias]) = &layer.norm {
                let h = pass.before_norm[index].view(0..size);
                let parts = gradients
                    .as_deref_mut()
                    .map(|gradients| gradients.view_mut(weight.start..bias.end));
                layer_norm::backward(
                    h,
                    parameters.view(weight.clone()),
                    pass.statistics[index].view(0..2 * n),
                    dy.view(0..size),
                    dx.view_mut(0..size),
                    parts.map(|parts| parts.split_at(weight.len())),
                );
                std::mem::swap(&mut dy, &mut dx);
                relu::backward_in_place(h, dy.view_mut(0..size));
            }
            let upstream = dy.view(0..size);
            let x = pass.inputs[index].view(0..n * layer.input);
            let precision = self.precision;
            if let Some(gradients) = gradients.as_deref_mut() {
                let dweight = gradients.view_mut(layer.weight.clone());
                linear::backward_weight(upstream, x, dweight, sizes, precision);
                linear::backward_bias(upstream, gradients.view_mut(layer.bias.clone()));
            }
            if index == 0 && !wants_input {
                return;
            }
            let weight = parameters.view(layer.weight.clone());
            let dinput = dx.view_mut(0..n * layer.input);
            // What the layer sees is a ReLU's output, unless it is the input or a
            // LayerNorm's.
            if index > 0 && self.layers[index - 1].norm.is_none() {
                linear::backward_input_relu(upstream, weight, x, dinput, sizes, precision);
            } else {
                linear::backward_input(upstream, weight, dinput, sizes, false, precision);
            }
            std::mem::swap(&mut dy, &mut dx);
        }
    }
}
