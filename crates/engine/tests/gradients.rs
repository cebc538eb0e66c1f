//! Every operation against its formula in f64: the forward pass directly, the
//! backward pass by central differences of that formula.

use std::f64::consts::PI;

use iwsft_engine::ops::attention::{self, Heads};
use iwsft_engine::ops::cached_attention::{self, KeyValueCache, Place};
use iwsft_engine::ops::log_prob::{self, LogProbBuffer};
use iwsft_engine::ops::rotary::{self, RotaryTable};
use iwsft_engine::ops::{
    embedding, gaussian, head_norm, layer_norm, linear, relu, rms_norm, rows, swiglu, tanh,
};
use iwsft_engine::{Precision, Tensor};

/// Deterministic values in about [-1, 1], different for every `seed`.
fn noise(length: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    (0..length)
        .map(|_| f64::from((uniform() * 2.0 - 1.0) as f32))
        .collect()
}

fn tensor(values: &[f64]) -> Tensor {
    Tensor::from_vec(values.iter().map(|&value| value as f32).collect())
}

fn assert_close(what: &str, found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}: length");
    let scale = expected
        .iter()
        .fold(1e-3f64, |max, value| max.max(value.abs()));
    for (i, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(found) - expected).abs() / scale;
        assert!(
            error <= tolerance,
            "{what}[{i}]: found {found}, expected {expected}"
        );
    }
}

/// The gradient of `sum_i dy_i y_i(inputs)` for one of the inputs.
fn differences(
    formula: impl Fn(&[Vec<f64>]) -> Vec<f64>,
    inputs: &[Vec<f64>],
    which: usize,
    dy: &[f64],
) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let loss =
        |inputs: &[Vec<f64>]| -> f64 { formula(inputs).iter().zip(dy).map(|(y, dy)| y * dy).sum() };
    (0..inputs[which].len())
        .map(|i| {
            let [below, above] = [-STEP, STEP].map(|step| {
                let mut inputs = inputs.to_vec();
                inputs[which][i] += step;
                loss(&inputs)
            });
            (above - below) / (2.0 * STEP)
        })
        .collect()
}

#[test]
fn linear_with_bias() {
    let [n, input, output] = [5, 7, 3];
    let formula = |inputs: &[Vec<f64>]| -> Vec<f64> {
        let [x, w, bias] = inputs else { unreachable!() };
        (0..n * output)
            .map(|at| {
                let (row, column) = (at / output, at % output);
                bias[column]
                    + (0..input)
                        .map(|i| x[row * input + i] * w[column * input + i])
                        .sum::<f64>()
            })
            .collect()
    };
    let inputs = [
        noise(n * input, 1),
        noise(output * input, 2),
        noise(output, 3),
    ];
    let dy = noise(n * output, 4);
    let [x, w, bias] = inputs.each_ref().map(|values| tensor(values));
    let (mut y, sizes) = (Tensor::zeros(n * output), [n, input, output]);
    linear::forward(
        x.all(),
        w.all(),
        Some(bias.all()),
        y.all_mut(),
        sizes,
        false,
        Precision::F32,
    );
    assert_close("y", &y.to_host(), &formula(&inputs), 1e-6);

    let upstream = tensor(&dy);
    let (mut dx, mut dw, mut db) = (
        Tensor::zeros(n * input),
        Tensor::zeros(output * input),
        Tensor::zeros(output),
    );
    linear::backward_input(
        upstream.all(),
        w.all(),
        dx.all_mut(),
        sizes,
        false,
        Precision::F32,
    );
    linear::backward_weight(upstream.all(), x.all(), dw.all_mut(), sizes, Precision::F32);
    linear::backward_bias(upstream.all(), db.all_mut());
    for (which, (name, found)) in [("dx", &dx), ("dw", &dw), ("db", &db)]
        .into_iter()
        .enumerate()
    {
        assert_close(
            name,
            &found.to_host(),
            &differences(formula, &inputs, which, &dy),
            1e-6,
        );
    }

    // The residual form and gradient accumulation add to what is there.
    let doubled: Vec<f64> = differences(formula, &inputs, 1, &dy)
        .iter()
        .map(|value| 2.0 * value)
        .collect();
    linear::backward_weight(upstream.all(), x.all(), dw.all_mut(), sizes, Precision::F32);
    assert_close("accumulated dw", &dw.to_host(), &doubled, 1e-6);
    let before = y.to_host();
    linear::forward(
        x.all(),
        w.all(),
        None,
        y.all_mut(),
        sizes,
        true,
        Precision::F32,
    );
    let without_bias = formula(&[inputs[0].clone(), inputs[1].clone(), vec![0.0; output]]);
    let sums: Vec<f64> = before
        .iter()
        .zip(without_bias)
        .map(|(&a, b)| f64::from(a) + b)
        .collect();
    assert_close("y + x w", &y.to_host(), &sums, 1e-6);
}

#[test]
fn rms_norm_of_rows() {
    let (n, d, eps) = (70, 5, 1e-5f32);
    let formula = |inputs: &[Vec<f64>]| -> Vec<f64> {
        let rows = inputs[0].chunks(d).flat_map(|x| {
            let mean = x.iter().map(|x| x * x).sum::<f64>() / d as f64;
            let r = 1.0 / (mean + f64::from(eps)).sqrt();
            x.iter()
                .zip(&inputs[1])
                .map(move |(x, w)| x * r * w)
                .collect::<Vec<_>>()
        });
        rows.collect()
    };
    let inputs = [noise(n * d, 5), noise(d, 6)];
    let (dy, residual) = (noise(n * d, 7), noise(n * d, 8));
    let [x, w] = inputs.each_ref().map(|values| tensor(values));
    let (mut y, mut rstd) = (Tensor::zeros(n * d), Tensor::zeros(n));
    rms_norm::forward(x.all(), w.all(), eps, y.all_mut(), rstd.all_mut());
    assert_close("y", &y.to_host(), &formula(&inputs), 1e-6);
    let mut again = Tensor::zeros(n * d);
    rms_norm::again(x.all(), w.all(), rstd.all(), again.all_mut());
    assert_eq!(y.to_host(), again.to_host(), "the recomputed rows differ");

    let (mut dx, mut dw) = (tensor(&residual), Tensor::zeros(d));
    rms_norm::backward(
        x.all(),
        w.all(),
        rstd.all(),
        tensor(&dy).all(),
        dx.all_mut(),
        dw.all_mut(),
    );
    let expected: Vec<f64> = differences(formula, &inputs, 0, &dy)
        .iter()
        .zip(&residual)
        .map(|(gradient, residual)| gradient + residual)
        .collect();
    assert_close("dx + residual", &dx.to_host(), &expected, 1e-5);
    assert_close(
        "dw",
        &dw.to_host(),
        &differences(formula, &inputs, 1, &dy),
        1e-5,
    );
}

#[test]
fn swiglu_in_place() {
    let (n, f) = (9, 6);
    let formula = |inputs: &[Vec<f64>]| -> Vec<f64> {
        inputs[0]
            .chunks(2 * f)
            .flat_map(|row| {
                let (gate, up) = row.split_at(f);
                gate.iter()
                    .zip(up)
                    .map(|(g, u)| g / (1.0 + (-g).exp()) * u)
                    .collect::<Vec<_>>()
            })
            .collect()
    };
    let inputs = [noise(n * 2 * f, 9)
        .iter()
        .map(|x| 4.0 * x)
        .collect::<Vec<_>>()];
    let dy = noise(n * f, 10);
    let (mut gate_up, mut y) = (tensor(&inputs[0]), Tensor::zeros(n * f));
    swiglu::forward(gate_up.all(), y.all_mut(), f);
    assert_close("y", &y.to_host(), &formula(&inputs), 1e-6);
    let mut activation = tensor(&dy);
    swiglu::backward_in_place(gate_up.all_mut(), activation.all_mut(), f);
    assert_close(
        "dgate_up",
        &gate_up.to_host(),
        &differences(formula, &inputs, 0, &dy),
        1e-5,
    );
    assert_close("activation", &activation.to_host(), &formula(&inputs), 1e-6);
}

#[test]
fn embedding_rows() {
    let (v, d, tokens) = (11, 3, [4u32, 0, 10, 4, 4]);
    let formula = |inputs: &[Vec<f64>]| -> Vec<f64> {
        tokens
            .iter()
            .flat_map(|&t| inputs[0][t as usize * d..][..d].to_vec())
            .collect()
    };
    let inputs = [noise(v * d, 11)];
    let dy = noise(tokens.len() * d, 12);
    let mut y = Tensor::zeros(tokens.len() * d);
    embedding::forward(&tokens, tensor(&inputs[0]).all(), y.all_mut(), d);
    assert_close("y", &y.to_host(), &formula(&inputs), 0.0);
    let mut dtable = Tensor::zeros(v * d);
    embedding::backward(&tokens, tensor(&dy).all(), dtable.all_mut(), d);
    assert_close(
        "dtable",
        &dtable.to_host(),
        &differences(formula, &inputs, 0, &dy),
        1e-6,
    );
}

#[test]
fn gathered_rows() {
    let (n, d, chosen) = (6, 4, [5u32, 1, 1, 0]);
    let formula = |inputs: &[Vec<f64>]| -> Vec<f64> {
        chosen
            .iter()
            .flat_map(|&row| inputs[0][row as usize * d..][..d].to_vec())
            .collect()
    };
    let inputs = [noise(n * d, 13)];
    let dy = noise(chosen.len() * d, 14);
    let mut y = Tensor::zeros(chosen.len() * d);
    rows::gather(tensor(&inputs[0]).all(), &chosen, y.all_mut(), d);
    assert_close("y", &y.to_host(), &formula(&inputs), 0.0);
    let mut dx = tensor(&noise(n * d, 15));
    rows::scatter(tensor(&dy).all(), &chosen, dx.all_mut(), d);
    assert_close(
        "dx",
        &dx.to_host(),
        &differences(formula, &inputs, 0, &dy),
        1e-6,
    );
}

const HEADS: Heads = Heads {
    queries: 4,
    keys: 2,
    width: 6,
};

#[test]
fn rotary_turns_pairs() {
    let positions = [0u32, 1, 2, 0, 1, 17];
    let frequencies: Vec<f64> = (0..3)
        .map(|i| 10f64.powf(-2.0 * f64::from(i) / 6.0))
        .collect();
    let formula = |inputs: &[Vec<f64>]| -> Vec<f64> {
        let mut y = inputs[0].clone();
        for (row, &position) in y.chunks_mut(HEADS.row()).zip(&positions) {
            for head in row[..6 * HEADS.width].chunks_mut(HEADS.width) {
                for i in 0..3 {
                    let (sine, cosine) = (f64::from(position) * frequencies[i]).sin_cos();
                    let (a, b) = (head[i], head[i + 3]);
                    (head[i], head[i + 3]) = (a * cosine - b * sine, b * cosine + a * sine);
                }
            }
        }
        y
    };
    let mut table = RotaryTable::new(frequencies.clone());
    table.extend_to(18);
    let inputs = [noise(positions.len() * HEADS.row(), 16)];
    let dy = noise(inputs[0].len(), 17);
    let mut y = tensor(&inputs[0]);
    rotary::forward(y.all_mut(), &positions, &table, HEADS);
    assert_close("y", &y.to_host(), &formula(&inputs), 2e-6);
    let mut dx = tensor(&dy);
    rotary::backward(dx.all_mut(), &positions, &table, HEADS);
    assert_close(
        "dx",
        &dx.to_host(),
        &differences(formula, &inputs, 0, &dy),
        2e-6,
    );
}

#[test]
fn head_norm_of_queries_and_keys() {
    let (n, eps) = (66, 1e-5f32);
    let formula = |inputs: &[Vec<f64>]| -> Vec<f64> {
        let mut y = inputs[0].clone();
        for row in y.chunks_mut(HEADS.row()) {
            for (head, x) in row.chunks_mut(HEADS.width).take(6).enumerate() {
                let weights = &inputs[1][if head < 4 { 0 } else { HEADS.width }..];
                let mean = x.iter().map(|x| x * x).sum::<f64>() / HEADS.width as f64;
                let r = 1.0 / (mean + f64::from(eps)).sqrt();
                x.iter_mut().zip(weights).for_each(|(x, w)| *x *= r * w);
            }
        }
        y
    };
    // Differences over every element of a long batch would take a while: the
    // weights' gradient sees all rows, the activations' the first rows only.
    let inputs = [noise(n * HEADS.row(), 18), noise(2 * HEADS.width, 19)];
    let dy = noise(inputs[0].len(), 20);
    let [x, w] = inputs.each_ref().map(|values| tensor(values));
    let mut y = Tensor::zeros(x.len());
    let mut rstd = Tensor::zeros(n * 6);
    head_norm::forward(x.all(), w.all(), eps, y.all_mut(), rstd.all_mut(), HEADS);
    assert_close("y", &y.to_host(), &formula(&inputs), 2e-6);
    let (mut dx, mut dw) = (tensor(&dy), Tensor::zeros(w.len()));
    head_norm::backward(
        x.all(),
        w.all(),
        rstd.all(),
        dx.all_mut(),
        dw.all_mut(),
        HEADS,
    );
    assert_close(
        "dw",
        &dw.to_host(),
        &differences(formula, &inputs, 1, &dy),
        1e-5,
    );
    let first = 2 * HEADS.row();
    let start = [inputs[0][..first].to_vec(), inputs[1].clone()];
    let expected = differences(formula, &start, 0, &dy[..first]);
    assert_close("dx", &dx.to_host()[..first], &expected, 1e-5);
}

/// Attention by its definition, one query at a time.
fn attention_formula(
    qkv: &[f64],
    cu_seqlens: &[usize],
    heads: Heads,
    window: Option<usize>,
) -> Vec<f64> {
    let (e, columns, n) = (heads.width, heads.row(), cu_seqlens[cu_seqlens.len() - 1]);
    let mut out = vec![0.0; n * heads.queries * e];
    for bounds in cu_seqlens.windows(2) {
        for i in bounds[0]..bounds[1] {
            for head in 0..heads.queries {
                let key = (heads.queries + head * heads.keys / heads.queries) * e;
                let value = key + heads.keys * e;
                let oldest = window
                    .map_or(0, |w| (i + 1).saturating_sub(w))
                    .max(bounds[0]);
                let scores: Vec<f64> = (oldest..=i)
                    .map(|j| {
                        let dot: f64 = (0..e)
                            .map(|c| qkv[i * columns + head * e + c] * qkv[j * columns + key + c])
                            .sum();
                        (dot / (e as f64).sqrt()).exp()
                    })
                    .collect();
                let sum: f64 = scores.iter().sum();
                for (j, score) in (oldest..=i).zip(&scores) {
                    for c in 0..e {
                        out[(i * heads.queries + head) * e + c] +=
                            score / sum * qkv[j * columns + value + c];
                    }
                }
            }
        }
    }
    out
}

#[test]
fn attention_within_packed_sequences() {
    for window in [None, Some(3), Some(100)] {
        let cu_seqlens = [0, 5, 5, 6, 13];
        let formula =
            |inputs: &[Vec<f64>]| attention_formula(&inputs[0], &cu_seqlens, HEADS, window);
        check_attention(formula, 13, &cu_seqlens, window, true);
    }
}

/// Longer than a block of queries, so that blocks of keys come into play.
#[test]
fn attention_across_blocks() {
    for window in [None, Some(10), Some(70)] {
        let cu_seqlens = [0, 130, 150];
        let formula =
            |inputs: &[Vec<f64>]| attention_formula(&inputs[0], &cu_seqlens, HEADS, window);
        check_attention(formula, 150, &cu_seqlens, window, false);
    }
}

fn check_attention(
    formula: impl Fn(&[Vec<f64>]) -> Vec<f64>,
    n: usize,
    cu_seqlens: &[usize],
    window: Option<usize>,
    every_element: bool,
) {
    let inputs = [noise(n * HEADS.row(), 21)
        .iter()
        .map(|x| 3.0 * x)
        .collect::<Vec<_>>()];
    let attended = n * HEADS.queries * HEADS.width;
    let dy = noise(attended, 22);
    let qkv = tensor(&inputs[0]);
    let (mut out, mut log_sum) = (Tensor::zeros(attended), Tensor::zeros(n * HEADS.queries));
    attention::forward(
        qkv.all(),
        cu_seqlens,
        HEADS,
        window,
        out.all_mut(),
        log_sum.all_mut(),
    );
    assert_close("out", &out.to_host(), &formula(&inputs), 1e-5);
    let mut dqkv = tensor(&noise(qkv.len(), 23));
    attention::backward(
        qkv.all(),
        cu_seqlens,
        HEADS,
        window,
        out.all(),
        log_sum.all(),
        tensor(&dy).all(),
        dqkv.all_mut(),
    );
    let dqkv = dqkv.to_host();
    if every_element {
        assert_close("dqkv", &dqkv, &differences(&formula, &inputs, 0, &dy), 1e-5);
    } else {
        // The derivative along a random direction covers every element at once.
        let direction = noise(inputs[0].len(), 24);
        let along = |step: f64| -> f64 {
            let moved = inputs[0]
                .iter()
                .zip(&direction)
                .map(|(x, v)| x + step * v)
                .collect();
            formula(&[moved])
                .iter()
                .zip(&dy)
                .map(|(y, dy)| y * dy)
                .sum()
        };
        let expected = (along(1e-5) - along(-1e-5)) / 2e-5;
        let found: f64 = dqkv
            .iter()
            .zip(&direction)
            .map(|(&g, v)| f64::from(g) * v)
            .sum();
        assert!(
            (found - expected).abs() < 1e-4 * expected.abs().max(1.0),
            "{found} {expected}"
        );
    }
}

#[test]
fn attention_to_a_cache_is_the_same_attention_however_the_rows_come() {
    const N: usize = 150;
    let attended = HEADS.queries * HEADS.width;
    let qkv = tensor(&noise(N * HEADS.row(), 25));
    for window in [None, Some(4), Some(100)] {
        let (mut all, mut log_sum) = (
            Tensor::zeros(N * attended),
            Tensor::zeros(N * HEADS.queries),
        );
        attention::forward(
            qkv.all(),
            &[0, N],
            HEADS,
            window,
            all.all_mut(),
            log_sum.all_mut(),
        );
        let expected: Vec<f64> = all.to_host().into_iter().map(f64::from).collect();
        let mut of_pieces = Vec::new();
        for piece in [1, 7, N] {
            let mut cache = KeyValueCache::new(HEADS, 3, N);
            let mut out = Tensor::zeros(N * attended);
            for first in (0..N).step_by(piece) {
                let end = N.min(first + piece);
                let places: Vec<Place> = (first as u32..end as u32)
                    .map(|position| Place { slot: 1, position })
                    .collect();
                cached_attention::forward(
                    qkv.view(first * HEADS.row()..end * HEADS.row()),
                    &places,
                    &mut cache,
                    window,
                    out.view_mut(first * attended..end * attended),
                );
                // Another slot goes on from here with the same last row.
                if end == N {
                    cache.copy(1, 2, N - 1);
                    let mut last = Tensor::zeros(attended);
                    let place = Place {
                        slot: 2,
                        position: N as u32 - 1,
                    };
                    let row = qkv.view((N - 1) * HEADS.row()..N * HEADS.row());
                    cached_attention::forward(row, &[place], &mut cache, window, last.all_mut());
                    assert_eq!(last.to_host(), out.to_host()[(N - 1) * attended..]);
                }
            }
            assert_close("out", &out.to_host(), &expected, 1e-6);
            of_pieces.push(out.to_host());
        }
        assert_eq!(of_pieces[0], of_pieces[1], "window {window:?}");
        assert_eq!(of_pieces[0], of_pieces[2], "window {window:?}");
    }
}

#[test]
fn log_prob_whatever_the_budget() {
    let (s, d, v, targets) = (7, 5, 13, [3u32, 12, 0, 3, 7, 1, 9]);
    let formula = |inputs: &[Vec<f64>]| -> Vec<f64> {
        let [hidden, table] = inputs else {
            unreachable!()
        };
        (0..s)
            .map(|i| {
                let z: Vec<f64> = (0..v)
                    .map(|j| (0..d).map(|c| hidden[i * d + c] * table[j * d + c]).sum())
                    .collect();
                z[targets[i] as usize] - z.iter().map(|z| z.exp()).sum::<f64>().ln()
            })
            .collect()
    };
    let inputs = [noise(s * d, 26), noise(v * d, 27)];
    let coefficients = noise(s, 28);
    let dy: Vec<f64> = coefficients.iter().map(|c| -c).collect();
    let [hidden, table] = inputs.each_ref().map(|values| tensor(values));
    let coefficients: Vec<f32> = coefficients.iter().map(|&c| c as f32).collect();
    // One row at a time, two chunks of three and a rest, everything at once.
    for budget in [1, 3 * v, 100 * v] {
        let mut buffer = LogProbBuffer::new(budget);
        let mut found = vec![0.0; s];
        log_prob::forward(
            hidden.all(),
            table.all(),
            &targets,
            &mut buffer,
            &mut found,
            d,
        );
        assert_close("log_prob", &found, &formula(&inputs), 1e-6);
        let (mut dhidden, mut dtable) = (Tensor::zeros(s * d), Tensor::zeros(v * d));
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
        assert_close(
            "dhidden",
            &dhidden.to_host(),
            &differences(formula, &inputs, 0, &dy),
            1e-5,
        );
        assert_close(
            "dtable",
            &dtable.to_host(),
            &differences(formula, &inputs, 1, &dy),
            1e-5,
        );
    }
}

#[test]
fn rotary_table_has_the_angles_of_its_frequencies() {
    let mut table = RotaryTable::new(vec![PI / 2.0]);
    table.extend_to(2);
    let heads = Heads {
        queries: 1,
        keys: 1,
        width: 2,
    };
    let mut row = Tensor::from_vec(vec![1.0, 0.0, 0.0, 1.0, 5.0, 6.0]);
    rotary::forward(row.all_mut(), &[1], &table, heads);
    assert_close(
        "a quarter turn",
        &row.to_host(),
        &[0.0, 1.0, -1.0, 0.0, 5.0, 6.0],
        1e-7,
    );
}

#[test]
fn layer_norm_of_rows() {
    let (n, d, eps) = (70, 21, 1e-5f32);
    let formula = |inputs: &[Vec<f64>]| -> Vec<f64> {
        let rows = inputs[0].chunks(d).flat_map(|x| {
            let mean = x.iter().sum::<f64>() / d as f64;
            let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / d as f64;
            let r = 1.0 / (variance + f64::from(eps)).sqrt();
            let columns = x.iter().zip(&inputs[1]).zip(&inputs[2]);
            columns
                .map(|((x, w), b)| (x - mean) * r * w + b)
                .collect::<Vec<_>>()
        });
        rows.collect()
    };
    // Far from 0, where a careless variance would cancel.
    let x: Vec<f64> = noise(n * d, 5).iter().map(|x| x + 3.0).collect();
    let inputs = [x, noise(d, 6), noise(d, 7)];
    let dy = noise(n * d, 8);
    let [x, w, b] = inputs.each_ref().map(|values| tensor(values));
    let (mut y, mut statistics) = (Tensor::zeros(n * d), Tensor::zeros(2 * n));
    layer_norm::forward(
        x.all(),
        w.all(),
        b.all(),
        eps,
        y.all_mut(),
        statistics.all_mut(),
    );
    assert_close("y", &y.to_host(), &formula(&inputs), 2e-6);
    let upstream = tensor(&dy);
    let mut found = [n * d, d, d, n * d].map(Tensor::zeros);
    let [dx, dw, db, alone] = &mut found;
    let parameters = Some([dw.all_mut(), db.all_mut()]);
    for (dx, parameters) in [(dx, parameters), (alone, None)] {
        layer_norm::backward(
            x.all(),
            w.all(),
            statistics.all(),
            upstream.all(),
            dx.all_mut(),
            parameters,
        );
    }
    for (which, what) in ["dx", "dw", "db"].into_iter().enumerate() {
        let expected = differences(formula, &inputs, which, &dy);
        assert_close(what, &found[which].to_host(), &expected, 1e-5);
    }
    assert_eq!(found[0].to_host(), found[3].to_host(), "dx alone");
}

#[test]
fn relu_and_tanh_in_place() {
    // Away from ReLU's corner, where there is no derivative.
    let x: Vec<f64> = noise(40, 1).iter().map(|x| x + 0.01 * x.signum()).collect();
    let dy = noise(40, 2);
    type Operation = (
        fn(iwsft_engine::ViewMut<'_>),
        fn(iwsft_engine::View<'_>, iwsft_engine::ViewMut<'_>),
        fn(f64) -> f64,
    );
    let operations: [Operation; 2] = [
        (relu::forward_in_place, relu::backward_in_place, |x| {
            x.max(0.0)
        }),
        (tanh::forward_in_place, tanh::backward_in_place, f64::tanh),
    ];
    for (forward, backward, function) in operations {
        let formula =
            |inputs: &[Vec<f64>]| -> Vec<f64> { inputs[0].iter().map(|&x| function(x)).collect() };
        let inputs = [x.clone()];
        let (mut y, mut gradient) = (tensor(&x), tensor(&dy));
        forward(y.all_mut());
        assert_close("y", &y.to_host(), &formula(&inputs), 1e-6);
        backward(y.all(), gradient.all_mut());
        let expected = differences(formula, &inputs, 0, &dy);
        assert_close("dx", &gradient.to_host(), &expected, 1e-6);
    }
    let mut odd = Tensor::from_host(&[f32::NAN]);
    relu::forward_in_place(odd.all_mut());
    assert!(odd.to_host()[0].is_nan(), "a NaN is not hidden");
}

#[test]
fn gaussian_log_prob_of_actions() {
    let (n, a) = (9, 4);
    let formula = |inputs: &[Vec<f64>]| -> Vec<f64> {
        let [mean, log_std, actions] = inputs else {
            unreachable!()
        };
        let element = |t: usize, i: usize| {
            let s = log_std[i].clamp(-5.0, 2.0);
            let z = (actions[t * a + i] - mean[t * a + i]) / s.exp();
            -0.5 * z * z - s - 0.5 * (2.0 * PI).ln()
        };
        (0..n)
            .map(|t| (0..a).map(|i| element(t, i)).sum())
            .collect()
    };
    // Inside the clamp, and beyond either end of it.
    let log_std = vec![-0.75, 0.5, 2.25, -5.125];
    let mean = noise(n * a, 1);
    // A deviation of exp(-5) magnifies: keep the actions close to the mean there.
    let near = |(at, noise): (usize, f64)| match at % a {
        3 => f64::from((mean[at] + 0.01 * noise) as f32),
        _ => noise,
    };
    let actions = noise(n * a, 2).into_iter().enumerate().map(near).collect();
    let inputs = [mean.clone(), log_std, actions];
    let [mean, log_std, actions] = inputs.each_ref().map(|values| tensor(values));
    let mut log_probs = Tensor::zeros(n);
    gaussian::log_prob(
        mean.all(),
        log_std.all(),
        actions.all(),
        log_probs.all_mut(),
    );
    assert_close("log p", &log_probs.to_host(), &formula(&inputs), 1e-5);

    let coefficients = noise(n, 3);
    let loss: Vec<f64> = coefficients.iter().map(|c| -c).collect();
    let (mut dmean, mut dlog_std) = (Tensor::zeros(n * a), Tensor::from_host(&[1.0; 4]));
    gaussian::backward(
        mean.all(),
        log_std.all(),
        actions.all(),
        tensor(&coefficients).all(),
        dmean.all_mut(),
        dlog_std.all_mut(),
    );
    let expected = differences(formula, &inputs, 0, &loss);
    assert_close("dmean", &dmean.to_host(), &expected, 1e-5);
    let expected: Vec<f64> = differences(formula, &inputs, 1, &loss)
        .iter()
        .map(|gradient| 1.0 + gradient)
        .collect();
    assert_close("1 + dlog_std", &dlog_std.to_host(), &expected, 1e-5);
    assert_eq!(dlog_std.to_host()[2..], [1.0, 1.0], "no gradient outside");
}
