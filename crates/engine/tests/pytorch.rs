//! Every operation against what PyTorch computed for it, stored by
//! `scripts/fixtures/engine.py`.

use std::path::Path;

use iwsft_engine::ops::attention::{self, Heads};
use iwsft_engine::ops::log_prob::{self, LogProbBuffer};
use iwsft_engine::ops::rotary::{self, RotaryTable};
use iwsft_engine::ops::{embedding, head_norm, linear, rms_norm, swiglu};
use iwsft_engine::optim::{AdamW, AdamWConfig};
use iwsft_engine::{Layout, Precision, Tensor};
use safetensors::SafeTensors;

/// One fixture file.
struct Fixture {
    bytes: Vec<u8>,
}

impl Fixture {
    fn open(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let path = folder.join(format!("{name}.safetensors"));
        Self {
            bytes: std::fs::read(&path).unwrap_or_else(|error| panic!("{path:?}: {error}")),
        }
    }

    fn words(&self, name: &str) -> (Vec<[u8; 4]>, Vec<usize>) {
        let file = SafeTensors::deserialize(&self.bytes).expect("a safetensors file");
        let tensor = file
            .tensor(name)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        (
            tensor.data().as_chunks::<4>().0.to_vec(),
            tensor.shape().to_vec(),
        )
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        self.words(name)
            .0
            .into_iter()
            .map(f32::from_le_bytes)
            .collect()
    }

    fn tensor(&self, name: &str) -> Tensor {
        Tensor::from_vec(self.floats(name))
    }

    fn integers(&self, name: &str) -> Vec<u32> {
        self.words(name)
            .0
            .into_iter()
            .map(u32::from_le_bytes)
            .collect()
    }

    fn shape(&self, name: &str) -> Vec<usize> {
        self.words(name).1
    }

    /// Largest difference relative to the largest expected value.
    fn assert_equal(&self, name: &str, found: &Tensor) {
        let (found, expected) = (found.to_host(), self.floats(name));
        assert_eq!(found.len(), expected.len(), "{name}: length");
        let scale = expected
            .iter()
            .fold(1e-6f32, |max, value| max.max(value.abs()));
        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let error = (found - expected).abs() / scale;
            assert!(
                error < 1e-5,
                "{name}[{i}]: found {found}, PyTorch has {expected}"
            );
        }
    }
}

#[test]
fn linear_with_bias() {
    let fixture = Fixture::open("linear");
    let (x, w, dy) = (
        fixture.tensor("input"),
        fixture.tensor("weight"),
        fixture.tensor("output_gradient"),
    );
    let sizes = [
        fixture.shape("input")[0],
        fixture.shape("input")[1],
        fixture.shape("weight")[0],
    ];
    let bias = fixture.tensor("bias");
    let mut y = Tensor::zeros(dy.len());
    linear::forward(
        x.all(),
        w.all(),
        Some(bias.all()),
        y.all_mut(),
        sizes,
        false,
        Precision::F32,
    );
    fixture.assert_equal("output", &y);
    let (mut dx, mut dw, mut db) = (
        Tensor::zeros(x.len()),
        Tensor::zeros(w.len()),
        Tensor::zeros(bias.len()),
    );
    linear::backward_input(
        dy.all(),
        w.all(),
        dx.all_mut(),
        sizes,
        false,
        Precision::F32,
    );
    linear::backward_weight(dy.all(), x.all(), dw.all_mut(), sizes, Precision::F32);
    linear::backward_bias(dy.all(), db.all_mut());
    fixture.assert_equal("input_gradient", &dx);
    fixture.assert_equal("weight_gradient", &dw);
    fixture.assert_equal("bias_gradient", &db);
}

#[test]
fn rms_norm_of_rows() {
    let fixture = Fixture::open("rms_norm");
    let (x, w, dy) = (
        fixture.tensor("input"),
        fixture.tensor("weight"),
        fixture.tensor("output_gradient"),
    );
    let (mut y, mut rstd) = (
        Tensor::zeros(x.len()),
        Tensor::zeros(fixture.shape("input")[0]),
    );
    rms_norm::forward(
        x.all(),
        w.all(),
        fixture.floats("eps")[0],
        y.all_mut(),
        rstd.all_mut(),
    );
    fixture.assert_equal("output", &y);
    let (mut dx, mut dw) = (Tensor::zeros(x.len()), Tensor::zeros(w.len()));
    rms_norm::backward(
        x.all(),
        w.all(),
        rstd.all(),
        dy.all(),
        dx.all_mut(),
        dw.all_mut(),
    );
    fixture.assert_equal("input_gradient", &dx);
    fixture.assert_equal("weight_gradient", &dw);
}

#[test]
fn swiglu_of_gates_and_ups() {
    let fixture = Fixture::open("swiglu");
    let f = fixture.shape("output")[1];
    let (mut gate_up, mut dy) = (fixture.tensor("gate_up"), fixture.tensor("output_gradient"));
    let mut y = Tensor::zeros(dy.len());
    swiglu::forward(gate_up.all(), y.all_mut(), f);
    fixture.assert_equal("output", &y);
    swiglu::backward_in_place(gate_up.all_mut(), dy.all_mut(), f);
    fixture.assert_equal("gate_up_gradient", &gate_up);
    fixture.assert_equal("output", &dy);
}

#[test]
fn embedding_of_tokens() {
    let fixture = Fixture::open("embedding");
    let (tokens, table) = (fixture.integers("tokens"), fixture.tensor("table"));
    let (d, dy) = (fixture.shape("table")[1], fixture.tensor("output_gradient"));
    let (mut y, mut dtable) = (Tensor::zeros(dy.len()), Tensor::zeros(table.len()));
    embedding::forward(&tokens, table.all(), y.all_mut(), d);
    fixture.assert_equal("output", &y);
    embedding::backward(&tokens, dy.all(), dtable.all_mut(), d);
    fixture.assert_equal("table_gradient", &dtable);
}

fn cu_seqlens(fixture: &Fixture) -> Vec<usize> {
    fixture
        .integers("cu_seqlens")
        .into_iter()
        .map(|end| end as usize)
        .collect()
}

#[test]
fn rotary_over_packed_sequences() {
    let fixture = Fixture::open("rotary");
    let heads = Heads {
        queries: 4,
        keys: 2,
        width: 8,
    };
    let frequencies = fixture.floats("inverse_frequencies");
    let mut table = RotaryTable::new(frequencies.iter().map(|&f| f64::from(f)).collect());
    let bounds = cu_seqlens(&fixture);
    let positions: Vec<u32> = bounds
        .windows(2)
        .flat_map(|bounds| 0..(bounds[1] - bounds[0]) as u32)
        .collect();
    table.extend_to(positions.len());
    let (mut qkv, mut dqkv) = (fixture.tensor("qkv"), fixture.tensor("output_gradient"));
    rotary::forward(qkv.all_mut(), &positions, &table, heads);
    fixture.assert_equal("output", &qkv);
    rotary::backward(dqkv.all_mut(), &positions, &table, heads);
    fixture.assert_equal("qkv_gradient", &dqkv);
}

#[test]
fn head_norm_of_queries_and_keys() {
    let fixture = Fixture::open("head_norm");
    let heads = Heads {
        queries: 4,
        keys: 2,
        width: 6,
    };
    let eps = fixture.floats("eps")[0];
    let both = |query: &str, key: &str| [fixture.floats(query), fixture.floats(key)].concat();
    let weights = Tensor::from_vec(both("query_weight", "key_weight"));
    let (qkv, mut dqkv) = (fixture.tensor("qkv"), fixture.tensor("output_gradient"));
    let (mut y, mut dweights) = (Tensor::zeros(qkv.len()), Tensor::zeros(weights.len()));
    let mut rstd = Tensor::zeros(fixture.shape("qkv")[0] * 6);
    head_norm::forward(
        qkv.all(),
        weights.all(),
        eps,
        y.all_mut(),
        rstd.all_mut(),
        heads,
    );
    fixture.assert_equal("output", &y);
    head_norm::backward(
        qkv.all(),
        weights.all(),
        rstd.all(),
        dqkv.all_mut(),
        dweights.all_mut(),
        heads,
    );
    fixture.assert_equal("qkv_gradient", &dqkv);
    let dweights = dweights.to_host();
    fixture.assert_equal(
        "query_weight_gradient",
        &Tensor::from_host(&dweights[..heads.width]),
    );
    fixture.assert_equal(
        "key_weight_gradient",
        &Tensor::from_host(&dweights[heads.width..]),
    );
}

#[test]
fn attention_with_and_without_a_window() {
    let narrow = Heads {
        queries: 4,
        keys: 2,
        width: 8,
    };
    let wide = Heads {
        queries: 2,
        keys: 1,
        width: 16,
    };
    for (name, heads) in [
        ("attention_full", narrow),
        ("attention_window", narrow),
        ("attention_long", wide),
        ("attention_long_window", wide),
    ] {
        let fixture = Fixture::open(name);
        let window = name
            .ends_with("window")
            .then(|| fixture.integers("window")[0] as usize);
        let (qkv, dy, bounds) = (
            fixture.tensor("qkv"),
            fixture.tensor("output_gradient"),
            cu_seqlens(&fixture),
        );
        let n = fixture.shape("qkv")[0];
        let (mut y, mut log_sum) = (Tensor::zeros(dy.len()), Tensor::zeros(n * heads.queries));
        attention::forward(
            qkv.all(),
            &bounds,
            heads,
            window,
            y.all_mut(),
            log_sum.all_mut(),
        );
        fixture.assert_equal("output", &y);
        let mut dqkv = Tensor::zeros(qkv.len());
        attention::backward(
            qkv.all(),
            &bounds,
            heads,
            window,
            y.all(),
            log_sum.all(),
            dy.all(),
            dqkv.all_mut(),
        );
        fixture.assert_equal("qkv_gradient", &dqkv);
    }
}

#[test]
fn log_prob_of_targets() {
    let fixture = Fixture::open("log_prob");
    let (hidden, table) = (fixture.tensor("hidden"), fixture.tensor("table"));
    let (targets, d) = (fixture.integers("targets"), fixture.shape("hidden")[1]);
    let mut buffer = LogProbBuffer::new(10 * fixture.shape("table")[0]);
    let mut log_probs = vec![0.0; targets.len()];
    log_prob::forward(
        hidden.all(),
        table.all(),
        &targets,
        &mut buffer,
        &mut log_probs,
        d,
    );
    fixture.assert_equal("log_probs", &Tensor::from_host(&log_probs));
    let (mut dhidden, mut dtable) = (Tensor::zeros(hidden.len()), Tensor::zeros(table.len()));
    let coefficients = fixture.floats("coefficients");
    log_prob::backward(
        hidden.all(),
        table.all(),
        &targets,
        &coefficients,
        &mut buffer,
        dhidden.all_mut(),
        dtable.all_mut(),
        d,
    );
    fixture.assert_equal("hidden_gradient", &dhidden);
    fixture.assert_equal("table_gradient", &dtable);
}

#[test]
fn adamw_with_clipping_and_decay() {
    let fixture = Fixture::open("adamw");
    let one = |name: &str| fixture.floats(name)[0];
    let decayed = fixture.integers("decayed")[0] as usize;
    let mut layout = Layout::default();
    layout.push("decayed", &[decayed, 1]);
    layout.push("not decayed", &[fixture.shape("initial")[0] - decayed]);
    let config = AdamWConfig {
        beta1: one("beta1"),
        beta2: one("beta2"),
        eps: one("eps"),
        weight_decay: one("weight_decay"),
    };
    let mut optimizer = AdamW::new(&layout, config);
    let mut parameters = fixture.tensor("initial");
    let (gradients, expected) = (fixture.floats("gradients"), fixture.floats("parameters"));
    let max_norm = Some(f64::from(one("max_norm")));
    let size = layout.len();
    for (step, rate) in fixture.floats("learning_rates").into_iter().enumerate() {
        let at = step * size..(step + 1) * size;
        let mut gradient = Tensor::from_host(&gradients[at.clone()]);
        let report = optimizer
            .step(
                &layout,
                &mut parameters,
                &mut gradient,
                step as u64 + 1,
                rate.into(),
                1.0,
                max_norm,
            )
            .expect("a finite gradient");
        let norm = f64::from(fixture.floats("norms")[step]);
        assert!(
            (report.grad_norm - norm).abs() < 1e-5 * norm,
            "norm of step {step}"
        );
        for (i, (found, expected)) in parameters.to_host().iter().zip(&expected[at]).enumerate() {
            assert!(
                (found - expected).abs() < 1e-6,
                "step {step}, parameter {i}: {found} {expected}"
            );
        }
    }
}
