//! Where each named parameter lives inside one flat buffer.
//!
//! Parameters, gradients, optimizer moments and a moving-average policy are
//! each a single [`crate::Tensor`] with the same layout, so that an optimizer
//! step, a norm or an average is one pass over contiguous memory.

use std::collections::HashMap;
use std::ops::Range;

/// One named parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Name as in the checkpoint, for example `model.layers.0.mlp.up_proj.weight`.
    pub name: String,
    /// Shape as in the checkpoint, for example `[out, in]`.
    pub shape: Vec<usize>,
    /// Elements of the flat buffer that hold it.
    pub range: Range<usize>,
    /// Whether weight decay applies (matrices yes; biases and norms no).
    pub decay: bool,
}

/// The parameters of a policy, in the order in which they lie in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    parameters: Vec<Parameter>,
    /// Where each name stands in `parameters`.
    places: HashMap<String, usize>,
}

impl Layout {
    /// Appends a parameter behind the ones that are there and returns its range.
    /// Weight decay applies to it when it has two or more dimensions.
    pub fn push(&mut self, name: impl Into<String>, shape: &[usize]) -> Range<usize> {
        let start = self.len();
        let range = start..start + shape.iter().product::<usize>();
        let name = name.into();
        // Of two with one name the first is found.
        let place = self.parameters.len();
        self.places.entry(name.clone()).or_insert(place);
        self.parameters.push(Parameter {
            name,
            shape: shape.to_vec(),
            range: range.clone(),
            decay: shape.len() > 1,
        });
        range
    }

    /// All parameters in memory order.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The parameter called `name`.
    pub fn get(&self, name: &str) -> Option<&Parameter> {
        self.places.get(name).map(|&place| &self.parameters[place])
    }

    /// Number of elements of the flat buffer.
    pub fn len(&self) -> usize {
        self.parameters
            .last()
            .map_or(0, |parameter| parameter.range.end)
    }

    /// Whether there is no parameter.
    pub fn is_empty(&self) -> bool {
        self.parameters.is_empty()
    }
}
