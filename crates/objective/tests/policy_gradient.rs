//! Policy gradients: coefficients against the surrogate's finite differences,
//! values worked out by hand, and what holds for every batch.

use iwsft_objective::policy_gradient::{PolicyGradient, PolicyGradientPreset, PolicyGradientSpec};
use iwsft_objective::{Reduction, Steps, Summary};

/// Differences of 2^-9 at multiples of it: exact in f32.
const H: f32 = 1.0 / 512.0;

const CU_STEPS: [usize; 4] = [0, 2, 5, 6];
const LOG_OLD: [f32; 6] = [-1.0, -2.5, -0.75, -1.5, -2.0, -1.0];
const LOG_REF: [f32; 6] = [-1.5, -2.0, -0.5, -1.25, -2.5, -1.0];
/// Ratios on both sides of any clip: exp of 1/2, -1/2, 1/16, -1/16, 0, 1/4.
const LOG_P: [f32; 6] = [-0.5, -3.0, -0.6875, -1.5625, -2.0, -0.75];
const ADVANTAGE: [f32; 3] = [1.5, -0.75, 0.25];
const WEIGHT: [f32; 6] = [1.0, 2.0, 1.0, 0.0, 1.0, 0.5];

fn evaluate(rule: &PolicyGradient, log_p: &[f32]) -> (Vec<f64>, Summary) {
    let steps = Steps::new(
        &CU_STEPS,
        log_p,
        Some(&LOG_OLD),
        rule.needs_reference().then_some(&LOG_REF),
        &WEIGHT,
        &[1.0; 3],
        &[1.0; 3],
    )
    .expect("a valid batch");
    let mut c = [f32::NAN; 6];
    let summary = rule
        .coefficients(&steps, &ADVANTAGE, &mut c)
        .expect("everything it needs");
    (c.iter().map(|c| f64::from(*c)).collect(), summary)
}

fn rules() -> Vec<PolicyGradient> {
    let mut rules = Vec::new();
    for clip in [None, Some([0.2, 0.2]), Some([0.1, 0.5]), Some([0.45, 1.0])] {
        for beta in [0.0, 0.3] {
            for reduction in [Reduction::Token, Reduction::TrajectoryMean] {
                rules.push(PolicyGradient {
                    clip,
                    beta,
                    reduction,
                });
            }
        }
    }
    rules
}

#[test]
fn coefficients_are_minus_the_gradient_of_the_surrogate() {
    for rule in rules() {
        let (c, summary) = evaluate(&rule, &LOG_P);
        for (t, c) in c.iter().enumerate() {
            let at = |h: f32| {
                let mut log_p = LOG_P;
                log_p[t] += h;
                evaluate(&rule, &log_p).1.diagnostics().loss
            };
            let slope = (at(H) - at(-H)) / f64::from(2.0 * H);
            let c = c * summary.scale();
            assert!((slope + c).abs() < 1e-5, "{rule:?}, step {t}: {slope} {c}");
        }
    }
}

#[test]
fn a_step_is_clipped_only_where_it_would_go_further() {
    let rule = PolicyGradient {
        clip: Some([0.2, 0.2]),
        beta: 0.0,
        reduction: Reduction::Token,
    };
    let (c, summary) = evaluate(&rule, &LOG_P);
    let r = |t: usize| f64::from(LOG_P[t] - LOG_OLD[t]).exp();
    // Step 0: A > 0 and r = 1.65 is clipped; step 1: A > 0 and r = 0.61 is not.
    // The masked step 3 counts nowhere; step 5: A > 0 and r = 1.28 is clipped.
    let expected = [0.0, 1.5 * 2.0 * r(1), -0.75 * r(2), 0.0, -0.75, 0.0];
    for (found, expected) in c.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6, "{c:?}");
    }
    let told = summary.diagnostics();
    assert_eq!((told.clipped_high, told.clipped_low), (2.0 / 5.0, 0.0));
    let surrogate = 1.2 * 1.5 + 1.5 * 2.0 * r(1) - 0.75 * (r(2) + 1.0) + 0.5 * 0.25 * 1.2;
    assert!((told.loss + surrogate / 5.5).abs() < 1e-6, "{}", told.loss);
    assert_eq!(summary.denominator(), 5.5);
    assert_eq!(told.kl, None);
}

#[test]
fn on_policy_every_ratio_is_one_and_the_coefficient_is_the_advantage() {
    for rule in rules().into_iter().filter(|rule| rule.beta == 0.0) {
        let (c, summary) = evaluate(&rule, &LOG_OLD);
        let told = summary.diagnostics();
        assert_eq!((told.weight_min, told.weight_max), (1.0, 1.0));
        assert_eq!(told.clipped, 0.0);
        assert!((told.effective_share - 1.0).abs() < 1e-12);
        let share = |t: usize| match rule.reduction {
            Reduction::Token => f64::from(WEIGHT[t]),
            Reduction::TrajectoryMean => f64::from(WEIGHT[t]) / [3.0, 2.0, 0.5][owner(t)],
        };
        for (t, c) in c.iter().enumerate() {
            let expected = f64::from(ADVANTAGE[owner(t)]) * share(t);
            assert!((c - expected).abs() < 1e-6, "{rule:?}: {c} {expected}");
        }
    }
}

fn owner(t: usize) -> usize {
    CU_STEPS[1..].partition_point(|end| *end <= t)
}

#[test]
fn idle_trajectories_count_in_the_denominator_only() {
    for rule in rules().into_iter().filter(|rule| rule.beta == 0.0) {
        let steps = |cu: &'static [usize], n: usize, b: usize| {
            let ones = &[1.0; 3][..b];
            Steps::new(
                cu,
                &LOG_P[..n],
                Some(&LOG_OLD[..n]),
                None,
                &WEIGHT[..n],
                ones,
                ones,
            )
            .expect("a valid batch")
        };
        let advantage = [1.5, -0.75, 0.0];
        let mut c = [0.0; 6];
        let whole = rule
            .coefficients(&steps(&CU_STEPS, 6, 3), &advantage, &mut c)
            .expect("a valid batch");
        let mut kept = rule
            .coefficients(&steps(&CU_STEPS[..3], 5, 2), &advantage[..2], &mut c[..5])
            .expect("a valid batch");
        assert!(rule.is_idle(advantage[2]) && !rule.is_idle(advantage[1]));
        rule.count_idle(0.5, &mut kept);
        assert_eq!(whole.denominator(), kept.denominator());
        assert_eq!(whole.diagnostics().loss, kept.diagnostics().loss);
    }
    let anchored = PolicyGradient {
        clip: None,
        beta: 0.1,
        reduction: Reduction::Token,
    };
    assert!(
        !anchored.is_idle(0.0),
        "the anchor pulls at every trajectory"
    );
}

#[test]
fn micro_batches_merge_to_the_whole() {
    for rule in rules() {
        let (_, whole) = evaluate(&rule, &LOG_P);
        let mut merged = Summary::default();
        for i in 0..3 {
            let range = CU_STEPS[i]..CU_STEPS[i + 1];
            let cu = [0, range.len()];
            let steps = Steps::new(
                &cu,
                &LOG_P[range.clone()],
                Some(&LOG_OLD[range.clone()]),
                rule.needs_reference().then(|| &LOG_REF[range.clone()]),
                &WEIGHT[range.clone()],
                &[1.0],
                &[1.0],
            )
            .expect("a valid batch");
            let mut c = vec![0.0; range.len()];
            let part = rule
                .coefficients(&steps, &ADVANTAGE[i..=i], &mut c)
                .expect("everything it needs");
            merged.merge(&part);
        }
        let (a, b) = (whole.diagnostics(), merged.diagnostics());
        assert!((a.loss - b.loss).abs() < 1e-12);
        assert_eq!(whole.denominator(), merged.denominator());
        assert_eq!((a.clipped, a.steps), (b.clipped, b.steps));
    }
}

#[test]
fn what_is_missing_or_not_finite_is_refused() {
    let rule = PolicyGradient {
        clip: None,
        beta: 0.1,
        reduction: Reduction::Token,
    };
    let steps = Steps::new(&[0, 1], &[-1.0], None, None, &[1.0], &[1.0], &[1.0]);
    let steps = steps.expect("a valid batch");
    let refusal = |rule: &PolicyGradient, advantage: &[f32]| {
        let mut c = [0.0];
        let error = rule.coefficients(&steps, advantage, &mut c);
        error.expect_err("a refusal").to_string()
    };
    assert!(refusal(&rule, &[1.0]).contains("log_ref"));
    let rule = PolicyGradient { beta: 0.0, ..rule };
    assert!(refusal(&rule, &[f32::NAN]).contains("`advantage`[0]"));
    assert!(refusal(&rule, &[]).contains("`advantage` has 0"));
}

#[test]
fn recipes_name_a_preset_and_change_single_keys() {
    let resolve = |text: &str| {
        let spec: PolicyGradientSpec = toml::from_str(text).expect("a spec");
        spec.resolve()
    };
    let grpo = resolve("").expect("the default");
    assert_eq!(Ok(grpo.clone()), resolve("preset = 'grpo'"));
    assert_eq!(
        (grpo.gradient.clip, grpo.gradient.beta),
        (Some([0.2, 0.2]), 0.04)
    );
    let wide = resolve("preset = 'dr-grpo'\nepsilon_high = 0.28").expect("a valid spec");
    assert_eq!(wide.gradient.clip, Some([0.2, 0.28]));
    let reinforce = resolve("preset = 'reinforce'").expect("a preset");
    assert_eq!(reinforce.gradient.clip, None);
    let clipped = resolve("preset = 'reinforce'\nclip = 'ratio'").expect("a valid spec");
    assert_eq!(clipped.gradient.clip, Some([0.2, 0.2]));
    for (text, key) in [
        ("preset = 'reinforce'\nepsilon_low = 0.1", "epsilon_low"),
        ("clip = 'none'\nepsilon_high = 0.1", "epsilon_high"),
        ("epsilon_low = 1.5", "epsilon_low"),
        ("epsilon_high = inf", "epsilon_high"),
        ("beta = -1.0", "beta"),
    ] {
        let message = resolve(text).expect_err(text).to_string();
        assert!(message.contains(key), "{text}: {message}");
    }
    for preset in [
        PolicyGradientPreset::Grpo,
        PolicyGradientPreset::DrGrpo,
        PolicyGradientPreset::Reinforce,
    ] {
        let spec: PolicyGradientSpec =
            toml::from_str(&format!("preset = '{}'", preset.name())).expect("a preset");
        assert_eq!(spec.preset, preset);
        let text = toml::to_string(&spec).expect("TOML");
        assert_eq!(
            toml::from_str::<PolicyGradientSpec>(&text).expect(&text),
            spec
        );
    }
}
