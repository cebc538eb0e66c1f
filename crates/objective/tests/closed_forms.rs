//! Coefficients and diagnostics against values worked out by hand.

use iwsft_objective::{
    Diagnostics, EXPONENT_CAP, Method, Objective, ObjectiveSpec, Preset, Proposal, Steps,
    StepsError,
};

/// ln 2, ln 4: ratios of powers of two are exact enough to read off.
const L2: f32 = std::f32::consts::LN_2;

fn objective(toml: &str) -> Objective {
    let spec: ObjectiveSpec = toml::from_str(toml).expect("a spec");
    spec.resolve().expect("a valid objective")
}

struct Batch {
    cu_steps: Vec<usize>,
    log_p: Vec<f32>,
    log_q: Option<Vec<f32>>,
    log_ref: Option<Vec<f32>>,
    step_weight: Vec<f32>,
    reward: Vec<f32>,
    quality: Vec<f32>,
}

impl Batch {
    /// Trajectories of 2 and 3 steps. The policy is 2 times as likely as the
    /// reference at each step of the first and 1/2, 1/2, 1 times at those of
    /// the second.
    fn new() -> Self {
        Self {
            cu_steps: vec![0, 2, 5],
            log_p: vec![-L2, -2.0 * L2, -3.0 * L2, -L2, -2.0 * L2],
            log_q: None,
            log_ref: Some(vec![-2.0 * L2, -3.0 * L2, -2.0 * L2, 0.0, -2.0 * L2]),
            step_weight: vec![1.0; 5],
            reward: vec![1.0; 2],
            quality: vec![1.0; 2],
        }
    }

    fn coefficients(&self, objective: &Objective) -> (Vec<f64>, Diagnostics, f64) {
        let steps = Steps::new(
            &self.cu_steps,
            &self.log_p,
            self.log_q.as_deref(),
            self.log_ref.as_deref(),
            &self.step_weight,
            &self.reward,
            &self.quality,
        )
        .expect("a valid batch");
        let mut out = vec![f32::NAN; steps.len()];
        let summary = objective
            .coefficients(&steps, &mut out)
            .expect("everything it needs");
        let out = out.into_iter().map(f64::from).collect();
        (out, summary.diagnostics(), summary.denominator())
    }
}

fn assert_all(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() < 1e-6, "{found:?} is not {expected:?}");
    }
}

#[test]
fn sft_spreads_one_over_each_trajectory_or_counts_every_token_as_one() {
    let batch = Batch::new();
    let third = 1.0 / 3.0;
    let (c, _, denominator) = batch.coefficients(&objective("preset = 'sft'"));
    assert_all(&c, &[0.5, 0.5, third, third, third]);
    assert_eq!(denominator, 2.0);
    let token = objective("preset = 'sft'\nreduction = 'token'");
    let (c, d, denominator) = batch.coefficients(&token);
    assert_all(&c, &[1.0; 5]);
    assert_eq!(denominator, 5.0);
    assert!((d.loss - 9.0 / 5.0 * f64::from(L2)).abs() < 1e-6);
    assert_eq!(d.loss, d.nll);
}

#[test]
fn iw_sft_weighs_a_trajectory_by_the_power_of_its_mean_log_ratio() {
    // Mean log2 ratios: 1 and -2/3. Sums: 2 and -2.
    let batch = Batch::new();
    let w = 2.0_f64.powf(-2.0 / 3.0);
    let (c, d, _) = batch.coefficients(&objective("preset = 'iw-sft-llm'"));
    assert_all(&c, &[1.0, 1.0, w / 3.0, w / 3.0, w / 3.0]);
    assert!((d.weight_max - 2.0).abs() < 1e-6);
    assert!((d.weight_min - w).abs() < 1e-6);
    let sum = objective("preset = 'iw-sft-llm'\nlength = 'sum'");
    let (c, _, _) = batch.coefficients(&sum);
    assert_all(&c, &[2.0, 2.0, 1.0 / 12.0, 1.0 / 12.0, 1.0 / 12.0]);
    let hot = objective("preset = 'iw-sft-llm'\ntemperature = 3.0");
    let (c, _, _) = batch.coefficients(&hot);
    assert_all(&c, &[4.0, 4.0, 1.0 / 12.0, 1.0 / 12.0, 1.0 / 12.0]);
}

#[test]
fn the_ratio_is_the_policy_over_the_reference_and_not_the_reverse() {
    let batch = Batch::new();
    let (c, _, _) = batch.coefficients(&objective("method = 'iw-sft'"));
    assert!(c[0] > 0.5, "the policy likes trajectory 0 more: {c:?}");
    assert!(c[2] < 1.0 / 3.0, "and trajectory 1 less: {c:?}");
}

#[test]
fn iw_sft_step_weighs_each_step_and_clips_both_ends() {
    let batch = Batch::new();
    let step = objective("method = 'iw-sft-step'\nclip = [0.6, 1.5]");
    let (c, d, _) = batch.coefficients(&step);
    assert_all(&c, &[0.75, 0.75, 0.2, 0.2, 1.0 / 3.0]);
    assert_eq!((d.clipped_low, d.clipped_high, d.clipped), (0.4, 0.4, 0.8));
}

#[test]
fn every_weight_is_one_while_the_policy_is_the_reference() {
    let mut batch = Batch::new();
    batch.log_ref = Some(batch.log_p.clone());
    for preset in [
        Preset::IwSftLlm,
        Preset::IwSftLlmStep,
        Preset::IwSftControl,
        Preset::IwSftControlStep,
    ] {
        let mut objective = preset.spec().resolve().expect("a preset");
        objective.q = Proposal::Current;
        let (_, d, _) = batch.coefficients(&objective);
        assert_eq!((d.weight_min, d.weight_max), (1.0, 1.0), "{preset:?}");
        assert_eq!(d.effective_share, 1.0);
        assert_eq!((d.sft_gap, d.iw_sft_gap), (Some(0.0), Some(0.0)));
    }
}

#[test]
fn dft_weighs_by_probability_and_p_alpha_by_its_power() {
    let batch = Batch::new();
    let (c, _, _) = batch.coefficients(&objective("preset = 'dft'"));
    assert_all(&c, &[0.5, 0.25, 0.125, 0.5, 0.25]);
    let (c, _, _) = batch.coefficients(&objective("preset = 'p-alpha'\nalpha = 2.0"));
    assert_all(&c, &[0.25, 1.0 / 16.0, 1.0 / 64.0, 0.25, 1.0 / 16.0]);
    let zero = objective("preset = 'p-alpha'\nalpha = 0.0");
    let (c, _, _) = batch.coefficients(&zero);
    assert_all(&c, &[1.0; 5]);
}

#[test]
fn psft_weighs_by_the_ratio_to_q_and_drops_steps_beyond_the_trust_region() {
    let mut batch = Batch::new();
    let up = 1.25_f32.ln();
    batch.log_q = Some(vec![-L2 - up, -3.0 * L2, -2.0 * L2, -L2, -2.0 * L2]);
    let (c, d, _) = batch.coefficients(&objective("preset = 'psft'"));
    assert_all(&c, &[1.25, 0.0, 0.5, 1.0, 1.0]);
    assert_eq!(d.clipped_high, 0.2);
}

#[test]
fn quality_and_step_weights_multiply() {
    let mut batch = Batch::new();
    batch.quality = vec![3.0, 0.5];
    batch.step_weight = vec![1.0, 3.0, 2.0, 0.0, 2.0];
    let (c, d, _) = batch.coefficients(&objective("preset = 'sft'"));
    assert_all(&c, &[0.75, 2.25, 0.25, 0.0, 0.25]);
    assert_eq!((d.trajectories, d.steps), (2, 4));
    assert_eq!((d.weight_min, d.weight_max), (0.5, 3.0));
    // NLL by step weight alone: (1*1 + 3*2 + 2*3 + 2*2) / 8 halvings.
    assert!((d.nll - 17.0 / 8.0 * f64::from(L2)).abs() < 1e-6);
    // (sum w)^2 / sum w^2.
    assert!((d.effective_sample_size - 12.25 / 9.25).abs() < 1e-12);
}

#[test]
fn self_normalised_coefficients_sum_to_one_under_either_reduction() {
    let batch = Batch::new();
    for reduction in ["trajectory-mean", "token"] {
        let objective = objective(&format!(
            "preset = 'iw-sft-control'\nq = 'current'\nreduction = '{reduction}'"
        ));
        let (c, _, denominator) = batch.coefficients(&objective);
        let sum: f64 = c.iter().sum();
        assert!((sum / denominator - 1.0).abs() < 1e-6);
    }
}

#[test]
fn j_and_the_bounds_follow_their_formulas() {
    let mut batch = Batch::new();
    batch.reward = vec![1.0, 4.0];
    batch.log_q = batch.log_ref.clone();
    let sum = objective("preset = 'iw-sft-llm'\nlength = 'sum'\nq = { lagged = 3 }");
    let (_, d, _) = batch.coefficients(&sum);
    // Ratios 4 and 1/4; q is the reference, so iw-SFT's bound is SFT's.
    let l = f64::from(L2);
    let sft = ((1.0 + 2.0 * l) + 4.0 * (1.0 - 2.0 * l)) / 2.0;
    for (found, expected) in [
        (d.j, 2.5),
        (d.j_self_normalised, 5.0 / 4.25),
        (d.sft_bound, sft),
        (d.iw_sft_bound, sft),
        (d.sft_gap, 2.5 - sft),
        (d.log_ratio, 0.0),
    ] {
        let found = found.expect("there is a reference");
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }
    batch.log_q = None;
    let mut current = sum;
    current.q = Proposal::Current;
    let (_, d, _) = batch.coefficients(&current);
    assert_eq!(d.iw_sft_bound, d.j);
}

#[test]
fn without_a_reference_what_needs_it_is_absent_and_the_rest_is_there() {
    let mut batch = Batch::new();
    batch.log_ref = None;
    let (_, d, _) = batch.coefficients(&objective("preset = 'sft'"));
    assert_eq!(d.j, None);
    assert_eq!(d.j_self_normalised, None);
    assert_eq!((d.sft_bound, d.sft_gap), (None, None));
    assert_eq!((d.iw_sft_bound, d.iw_sft_gap), (None, None));
    assert_eq!(d.log_ratio, None);
    assert_eq!(d.effective_sample_size, 2.0);
    assert!(d.nll > 0.0);
}

#[test]
fn log_probabilities_that_an_objective_needs_are_demanded() {
    let batch = Batch::new();
    let (p, w) = (&batch.log_p, &batch.step_weight);
    let steps = Steps::new(&[0, 2, 5], p, None, None, w, &[1.0; 2], &[1.0; 2]).expect("valid");
    let mut out = [0.0; 5];
    let iw = objective("preset = 'iw-sft-llm'");
    assert_eq!(
        iw.coefficients(&steps, &mut out),
        Err(StepsError::MissingReference { method: "iw-sft" })
    );
    let psft = objective("preset = 'psft'");
    assert_eq!(
        psft.coefficients(&steps, &mut out),
        Err(StepsError::MissingProposal)
    );
    let sft = objective("preset = 'sft'");
    let short = sft.coefficients(&steps, &mut out[..4]);
    assert!(matches!(short, Err(StepsError::Length { name: "out", .. })));
}

#[test]
fn an_empty_batch_scales_gradients_by_zero_and_reports_numbers() {
    for preset in [Preset::Sft, Preset::IwSftControl, Preset::Dft] {
        let mut objective = preset.spec().resolve().expect("a preset");
        objective.q = Proposal::Current;
        let steps = Steps::new(
            &[0, 1],
            &[-1.0],
            None,
            Some(&[-2.0]),
            &[0.0],
            &[1.0],
            &[1.0],
        );
        let mut out = [f32::NAN];
        let summary = objective
            .coefficients(&steps.expect("valid"), &mut out)
            .expect("everything it needs");
        assert_eq!(out, [0.0]);
        assert_eq!((summary.denominator(), summary.scale()), (0.0, 0.0));
        let d = summary.diagnostics();
        assert_eq!((d.loss, d.nll, d.trajectories), (0.0, 0.0, 0));
        assert_eq!((d.weight_min, d.weight_max), (0.0, 0.0));
    }
}

#[test]
fn ratios_beyond_the_exponents_cap_stay_finite() {
    let mut batch = Batch::new();
    batch.log_ref = Some(vec![-1e4, -1e4, 0.0, 1e4, 0.0]);
    let open = objective("preset = 'iw-sft-llm'\nlength = 'sum'\nclip = [0.0, inf]");
    let (c, d, _) = batch.coefficients(&open);
    assert!(c.iter().all(|c| c.is_finite()), "{c:?}");
    assert!((d.weight_max.ln() - EXPONENT_CAP).abs() < 1e-9);
    assert!((d.weight_min.ln() + EXPONENT_CAP).abs() < 1e-9);
    assert!(d.effective_sample_size >= 1.0);
    assert!(d.iw_sft_gap == Some(0.0));
}

#[test]
fn a_log_probability_that_is_not_a_number_shows_in_the_loss() {
    let mut batch = Batch::new();
    batch.log_p[3] = f32::NAN;
    for toml in ["preset = 'sft'", "preset = 'iw-sft-llm'", "preset = 'dft'"] {
        let (_, d, _) = batch.coefficients(&objective(toml));
        assert!(d.loss.is_nan() && d.nll.is_nan(), "{toml}");
    }
}

#[test]
fn the_methods_say_what_they_need() {
    for preset in Preset::ALL {
        let mut spec = preset.spec();
        if preset == Preset::PAlpha {
            spec.alpha = Some(0.5);
        }
        let objective = spec.resolve().expect("a preset");
        let refers = matches!(
            objective.method,
            Method::IwSft | Method::IwSftStep | Method::Asft { .. }
        );
        assert_eq!(objective.needs_reference(), refers, "{preset:?}");
        let keeps_q = matches!(
            preset,
            Preset::IwSftControl | Preset::IwSftControlStep | Preset::Psft
        );
        assert_eq!(objective.needs_q(), keeps_q, "{preset:?}");
    }
}

#[test]
fn asft_adds_to_dft_an_anchor_at_the_tokens_of_the_data() {
    let batch = Batch::new();
    let asft = objective("preset = 'asft'\nlambda = 0.5");
    let (c, d, denominator) = batch.coefficients(&asft);
    // p, plus 0.5 (1 - p/ref) with ratios 2, 2, 1/2, 1/2, 1.
    let expected = [0.5 - 0.5, 0.25 - 0.5, 0.125 + 0.25, 0.5 + 0.25, 0.25 + 0.0];
    assert_all(&c, &expected);
    assert_eq!(denominator, 5.0);
    // x - 1 - log x: 1 - ln 2 twice, ln 2 - 1/2 twice, 0.
    let l2 = f64::from(L2);
    let kl = (2.0 * (1.0 - l2) + 2.0 * (l2 - 0.5)) / 5.0;
    assert!((d.kl.expect("a divergence") - kl).abs() < 1e-6);
    let (dft_c, dft, _) = batch.coefficients(&objective("preset = 'dft'"));
    assert!((d.loss - dft.loss - 0.5 * kl).abs() < 1e-6);
    assert_eq!(dft.kl, None);
    // Weights are those of DFT, whatever the anchor does.
    assert_eq!(
        (d.weight_min, d.weight_max),
        (dft.weight_min, dft.weight_max)
    );
    let (without, _, _) = batch.coefficients(&objective("preset = 'asft'\nlambda = 0.0"));
    assert_eq!(without, dft_c);
}
