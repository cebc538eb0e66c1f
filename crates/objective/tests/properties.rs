//! What holds for every batch.

use iwsft_objective::{Method, Objective, ObjectiveSpec, Proposal, Steps, Summary};
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Step {
    log_p: f32,
    log_q: f32,
    log_ref: f32,
    weight: f32,
}

#[derive(Clone, Debug)]
struct Trajectory {
    steps: Vec<Step>,
    reward: f32,
    quality: f32,
}

fn step() -> impl Strategy<Value = Step> {
    let weight = prop_oneof![1 => Just(0.0_f32), 2 => Just(1.0_f32), 2 => 0.1_f32..3.0];
    (-8.0_f32..0.0, -8.0_f32..0.0, -8.0_f32..0.0, weight).prop_map(
        |(log_p, log_q, log_ref, weight)| Step {
            log_p,
            log_q,
            log_ref,
            weight,
        },
    )
}

fn trajectory() -> impl Strategy<Value = Trajectory> {
    (
        prop::collection::vec(step(), 0..8),
        0.0_f32..4.0,
        0.0_f32..4.0,
    )
        .prop_map(|(steps, reward, quality)| Trajectory {
            steps,
            reward,
            quality,
        })
}

fn batch() -> impl Strategy<Value = Vec<Trajectory>> {
    prop::collection::vec(trajectory(), 0..10)
}

/// An objective of every method, with every reduction, length and
/// normalisation.
fn objective() -> impl Strategy<Value = Objective> {
    let method = prop::sample::select(vec![
        "method = 'sft'",
        "method = 'iw-sft'",
        "method = 'iw-sft-step'",
        "method = 'dft'",
        "method = 'p-alpha'\nalpha = 0.5",
        "method = 'psft'",
        "method = 'asft'\nlambda = 0.3",
    ]);
    let length = prop::sample::select(vec!["mean", "sum"]);
    let reduction = prop::sample::select(vec!["trajectory-mean", "token"]);
    (method, length, reduction, any::<bool>(), 0.1_f64..10.0).prop_map(
        |(method, length, reduction, self_normalise, temperature)| {
            // Coefficients of ASFT may be negative, and their sum 0.
            let self_normalise = self_normalise && !method.contains("asft");
            let toml = format!(
                "{method}\nlength = '{length}'\nreduction = '{reduction}'\n\
                 self_normalise = {self_normalise}\ntemperature = {temperature}"
            );
            let spec: ObjectiveSpec = toml::from_str(&toml).expect("a spec");
            spec.resolve().expect("a valid objective")
        },
    )
}

fn evaluate(objective: &Objective, batch: &[Trajectory], with_q: bool) -> (Vec<f32>, Summary) {
    let mut cu_steps = vec![0];
    for trajectory in batch {
        cu_steps.push(cu_steps[cu_steps.len() - 1] + trajectory.steps.len());
    }
    let column =
        |f: fn(&Step) -> f32| -> Vec<f32> { batch.iter().flat_map(|t| &t.steps).map(f).collect() };
    let (log_p, log_q) = (column(|s| s.log_p), column(|s| s.log_q));
    let (log_ref, weight) = (column(|s| s.log_ref), column(|s| s.weight));
    let reward: Vec<f32> = batch.iter().map(|t| t.reward).collect();
    let quality: Vec<f32> = batch.iter().map(|t| t.quality).collect();
    let steps = Steps::new(
        &cu_steps,
        &log_p,
        with_q.then_some(&log_q),
        Some(&log_ref),
        &weight,
        &reward,
        &quality,
    )
    .expect("a valid batch");
    let mut out = vec![f32::NAN; steps.len()];
    let summary = objective
        .coefficients(&steps, &mut out)
        .expect("everything it needs");
    (out, summary)
}

/// Every number of the diagnostics, in order.
fn numbers(summary: &Summary) -> Vec<f64> {
    let value = serde_json::to_value(summary.diagnostics()).expect("diagnostics as JSON");
    let mut numbers = vec![summary.denominator()];
    for value in value.as_object().expect("an object").values() {
        match value {
            serde_json::Value::Array(counts) => {
                numbers.extend(counts.iter().filter_map(serde_json::Value::as_f64));
            }
            other => numbers.push(other.as_f64().unwrap_or(0.0)),
        }
    }
    numbers
}

/// Equal up to the rounding of sums in another order. J and its bounds are
/// differences of terms up to `scale`.
fn same(a: &Summary, b: &Summary) -> Result<(), TestCaseError> {
    let scale = [a, b]
        .map(|s| {
            let d = s.diagnostics();
            let bounds = [d.j, d.sft_bound, d.iw_sft_bound];
            bounds
                .into_iter()
                .flatten()
                .fold(1.0, |m: f64, v| m.max(v.abs()))
        })
        .into_iter()
        .fold(1.0, f64::max);
    for (a, b) in numbers(a).into_iter().zip(numbers(b)) {
        prop_assert!((a - b).abs() <= 1e-10 * (scale + a.abs()), "{a} is not {b}");
    }
    Ok(())
}

proptest! {
    #[test]
    fn summaries_of_any_split_merge_to_that_of_the_whole(
        objective in objective(),
        batch in batch(),
        cuts in prop::collection::vec(0_usize..10, 0..4),
    ) {
        let (whole_c, whole) = evaluate(&objective, &batch, true);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(batch.len())).collect();
        cuts.extend([0, batch.len()]);
        cuts.sort_unstable();
        let mut split_c = Vec::new();
        let mut parts = Vec::new();
        for pair in cuts.windows(2) {
            let (c, summary) = evaluate(&objective, &batch[pair[0]..pair[1]], true);
            split_c.extend(c);
            parts.push(summary);
        }
        prop_assert_eq!(whole_c, split_c, "coefficients do not depend on the split");
        let merged = |parts: &[Summary]| {
            let mut sum = Summary::default();
            parts.iter().for_each(|part| sum.merge(part));
            sum
        };
        same(&whole, &merged(&parts))?;
        // Another grouping: halves first, the later half in front.
        let (left, right) = parts.split_at(parts.len() / 2);
        let mut regrouped = merged(right);
        regrouped.merge(&merged(left));
        same(&whole, &regrouped)?;
    }

    #[test]
    fn masked_steps_never_matter(objective in objective(), batch in batch(), with_q: bool) {
        let with_q = with_q || objective.needs_q();
        let (full_c, full) = evaluate(&objective, &batch, with_q);
        let mut garbage = batch.clone();
        for step in garbage.iter_mut().flat_map(|t| &mut t.steps).filter(|s| s.weight == 0.0) {
            (step.log_p, step.log_q, step.log_ref) = (f32::NAN, f32::INFINITY, 1e30);
        }
        let (garbage_c, garbage) = evaluate(&objective, &garbage, with_q);
        prop_assert_eq!(&full_c, &garbage_c);
        prop_assert_eq!(&full, &garbage);
        let mut removed = batch.clone();
        for trajectory in &mut removed {
            trajectory.steps.retain(|step| step.weight > 0.0);
        }
        let (removed_c, removed) = evaluate(&objective, &removed, with_q);
        let kept: Vec<f32> = batch
            .iter()
            .flat_map(|t| &t.steps)
            .zip(&full_c)
            .filter_map(|(step, c)| (step.weight > 0.0).then_some(*c))
            .collect();
        prop_assert_eq!(kept, removed_c);
        prop_assert_eq!(&full, &removed);
        let masked = batch.iter().flat_map(|t| &t.steps).zip(&full_c);
        for (step, c) in masked {
            prop_assert!(step.weight > 0.0 || *c == 0.0);
        }
    }

    #[test]
    fn a_permutation_of_trajectories_permutes_their_coefficients(
        objective in objective(),
        (batch, order) in batch().prop_flat_map(|batch| {
            let order: Vec<usize> = (0..batch.len()).collect();
            (Just(batch), Just(order).prop_shuffle())
        }),
    ) {
        let (c, summary) = evaluate(&objective, &batch, true);
        let shuffled: Vec<Trajectory> = order.iter().map(|i| batch[*i].clone()).collect();
        let (shuffled_c, shuffled_summary) = evaluate(&objective, &shuffled, true);
        let mut rest = shuffled_c.as_slice();
        for i in order {
            let start: usize = batch[..i].iter().map(|t| t.steps.len()).sum();
            let n = batch[i].steps.len();
            let (head, tail) = rest.split_at(n);
            prop_assert_eq!(head, &c[start..start + n]);
            rest = tail;
        }
        same(&summary, &shuffled_summary)?;
    }

    #[test]
    fn neither_bound_exceeds_j_and_the_iw_bound_equals_it_at_q_equal_p(
        objective in objective(),
        batch in batch(),
    ) {
        let (_, summary) = evaluate(&objective, &batch, true);
        let d = summary.diagnostics();
        let Some((j, sft, iw)) = d.j.zip(d.sft_bound).zip(d.iw_sft_bound).map(|((j, s), i)| (j, s, i))
        else {
            prop_assert_eq!(d.trajectories, 0);
            return Ok(());
        };
        let tolerance = 1e-12 * (j.abs() + sft.abs() + iw.abs());
        prop_assert!(j >= sft - tolerance, "J {j}, SFT bound {sft}");
        prop_assert!(j >= iw - tolerance, "J {j}, iw-SFT bound {iw}");

        let mut current = objective.clone();
        if objective.method.uses_reference() {
            current.q = Proposal::Current;
        }
        if !current.needs_q() {
            let (_, summary) = evaluate(&current, &batch, false);
            let d = summary.diagnostics();
            prop_assert_eq!(d.iw_sft_bound, d.j);
        }

        let mut at_reference = batch.clone();
        for step in at_reference.iter_mut().flat_map(|t| &mut t.steps) {
            step.log_ref = step.log_p;
        }
        let d = evaluate(&objective, &at_reference, true).1.diagnostics();
        prop_assert_eq!(d.sft_bound, d.j);
    }

    #[test]
    fn the_loss_is_the_scaled_sum_of_coefficients_times_nll(
        objective in objective(),
        batch in batch(),
    ) {
        // The anchor's loss is a divergence, not its coefficient times log p.
        prop_assume!(!matches!(objective.method, Method::Asft { .. }));
        let (c, summary) = evaluate(&objective, &batch, true);
        let log_p = batch.iter().flat_map(|t| &t.steps).map(|s| f64::from(s.log_p));
        let sum: f64 = c.iter().zip(log_p).map(|(c, log_p)| -f64::from(*c) * log_p).sum();
        let loss = summary.diagnostics().loss;
        prop_assert!((loss - sum * summary.scale()).abs() <= 1e-6 * (1e-6 + loss.abs()));
        let share = summary.diagnostics().effective_share;
        prop_assert!((0.0..=1.0 + 1e-12).contains(&share));
    }
}
