//! AdamW against its formula, written out in f64.

use iwsft_engine::optim::{AdamW, AdamWConfig, ema};
use iwsft_engine::{Layout, Tensor};

const CONFIG: AdamWConfig = AdamWConfig {
    beta1: 0.9,
    beta2: 0.95,
    eps: 1e-8,
    weight_decay: 0.1,
};
/// More elements than one task, and a rest.
const MATRIX: [usize; 2] = [170, 200];

fn layout() -> Layout {
    let mut layout = Layout::default();
    layout.push("matrix", &MATRIX);
    layout.push("bias", &[10]);
    layout
}

fn gradient(step: u64, i: usize) -> f32 {
    ((i as f32 + 1.0) * 0.37 * step as f32).sin()
}

#[test]
fn five_steps_agree_with_the_formula_with_and_without_a_clip() {
    let layout = layout();
    for max_norm in [None, Some(1.5)] {
        let mut expected: Vec<[f64; 3]> = (0..layout.len())
            .map(|i| [(i as f64 * 0.1).cos(), 0.0, 0.0])
            .collect();
        let mut parameters = Tensor::from_vec(expected.iter().map(|e| e[0] as f32).collect());
        let mut gradients = Tensor::zeros(layout.len());
        let mut optimizer = AdamW::new(&layout, CONFIG);
        for step in 1..=5u64 {
            let scaled: Vec<f64> = (0..layout.len())
                .map(|i| 0.25 * f64::from(gradient(step, i)))
                .collect();
            let norm = scaled.iter().map(|g| g * g).sum::<f64>().sqrt();
            let clip = max_norm.map_or(1.0, |limit: f64| (limit / norm).min(1.0));
            for (i, ([p, m, v], g)) in expected.iter_mut().zip(scaled).enumerate() {
                let (g, t) = (g * clip, step as i32);
                let decay = if i < MATRIX[0] * MATRIX[1] { 0.1 } else { 0.0 };
                *m = 0.9 * *m + 0.1 * g;
                *v = 0.95 * *v + 0.05 * g * g;
                let (m, v) = (*m / (1.0 - 0.9f64.powi(t)), *v / (1.0 - 0.95f64.powi(t)));
                *p -= 1e-2 * (decay * *p + m / (v.sqrt() + 1e-8));
            }
            let host: Vec<f32> = (0..layout.len()).map(|i| gradient(step, i)).collect();
            gradients.copy_from_host(0, &host);
            let report = optimizer
                .step(
                    &layout,
                    &mut parameters,
                    &mut gradients,
                    step,
                    1e-2,
                    0.25,
                    max_norm,
                )
                .expect("a finite gradient");
            assert!((report.grad_norm - norm).abs() < 1e-5 * norm);
            assert_eq!(report.clipped, clip < 1.0);
            assert!(
                gradients.to_host().iter().all(|&g| g == 0.0),
                "gradients are cleared"
            );
        }
        for (i, (found, expected)) in parameters.to_host().iter().zip(&expected).enumerate() {
            let error = (f64::from(*found) - expected[0]).abs();
            assert!(
                error < 2e-6,
                "parameter {i}: found {found}, expected {}",
                expected[0]
            );
        }
    }
}

#[test]
fn untouched_rows_only_decay_and_their_moments_stay_zero() {
    let mut layout = Layout::default();
    layout.push("embedding", &[64, 512]);
    let mut parameters = Tensor::from_vec(vec![1.0; layout.len()]);
    let mut gradients = Tensor::zeros(layout.len());
    gradients.copy_from_host(512 * 3, &[1.0; 512]);
    let mut optimizer = AdamW::new(&layout, CONFIG);
    for step in 1..=2 {
        optimizer
            .step(
                &layout,
                &mut parameters,
                &mut gradients,
                step,
                0.5,
                1.0,
                None,
            )
            .expect("finite");
    }
    let decayed = (1.0f32 - 0.05) * (1.0 - 0.05);
    let (p, m) = (parameters.to_host(), optimizer.m.to_host());
    for row in (0..64).filter(|&row| row != 3) {
        assert!(
            (p[row * 512] - decayed).abs() < 1e-6,
            "row {row}: {}",
            p[row * 512]
        );
        assert_eq!(m[row * 512], 0.0);
    }
    assert!(
        (p[3 * 512] - decayed).abs() > 0.1,
        "the touched row moved: {}",
        p[3 * 512]
    );
}

#[test]
fn a_gradient_that_is_not_finite_changes_nothing() {
    let layout = layout();
    for bad in [f32::NAN, f32::INFINITY] {
        let mut parameters = Tensor::from_vec(vec![1.0; layout.len()]);
        let mut gradients = Tensor::from_vec(vec![0.5; layout.len()]);
        gradients.copy_from_host(77, &[bad]);
        let mut optimizer = AdamW::new(&layout, CONFIG);
        let result = optimizer.step(
            &layout,
            &mut parameters,
            &mut gradients,
            1,
            0.1,
            1.0,
            Some(1.0),
        );
        assert!(result.is_err(), "a gradient with {bad} was accepted");
        assert!(parameters.to_host().iter().all(|&p| p == 1.0));
        assert!(optimizer.m.to_host().iter().all(|&m| m == 0.0));
        assert_eq!(gradients.to_host()[0], 0.5);
    }
}

#[test]
fn ema_moves_by_its_share() {
    let mut average = Tensor::from_vec(vec![1.0, 2.0]);
    ema(&mut average, &Tensor::from_vec(vec![3.0, -2.0]), 0.75);
    assert_eq!(average.to_host(), [1.5, 1.0]);
}
