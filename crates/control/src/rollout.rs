//! Episodes acted out by a policy, several at a time.

use crate::environment::{Environment, Step};
use crate::error::ControlError;

/// Acts out one episode in each of `environments`, all of one kind; number `i`
/// begins as `reset` with the seed `seed + i` has it.
///
/// `act` gets the observations `[m, o]` of the `m` episodes that go on, and the
/// numbers of their environments `[m]`, and writes their actions `[m, a]`. What
/// each step saw, did and led to is given to `record`: the environment's number,
/// the observation `[o]` before it, the action `[a]`, the step and the
/// observation `[o]` behind it.
///
/// # Errors
/// If an action cannot be done. What `act` and `record` fail with ends it, too.
pub fn rollout<E: From<ControlError>>(
    environments: &mut [Environment],
    seed: u64,
    mut act: impl FnMut(&[f32], &[usize], &mut [f32]) -> Result<(), E>,
    mut record: impl FnMut(usize, &[f32], &[f32], Step, &[f32]),
) -> Result<(), E> {
    let Some(first) = environments.first() else {
        return Ok(());
    };
    let (o, a) = (first.spec().observation_size(), first.spec().action_size());
    let mut seen = vec![0.0; o];
    let single = |seen: &[f64], to: &mut [f32]| {
        for (to, &from) in to.iter_mut().zip(seen) {
            *to = from as f32;
        }
    };
    let mut running: Vec<usize> = (0..environments.len()).collect();
    let mut observations = vec![0.0_f32; running.len() * o];
    let starts = environments
        .iter_mut()
        .zip(observations.chunks_exact_mut(o));
    for (index, (environment, row)) in (0..).zip(starts) {
        environment.reset(Some(seed.wrapping_add(index)), &mut seen)?;
        single(&seen, row);
    }
    let mut actions = vec![0.0_f32; running.len() * a];
    let mut next = vec![0.0_f32; o];
    while !running.is_empty() {
        actions.truncate(running.len() * a);
        act(&observations, &running, &mut actions)?;
        let mut kept = Vec::with_capacity(running.len());
        for (row, &index) in running.iter().enumerate() {
            let action = &actions[row * a..(row + 1) * a];
            let step = environments[index].step(action, &mut seen)?;
            single(&seen, &mut next);
            let before = &observations[row * o..(row + 1) * o];
            record(index, before, action, step, &next);
            if !step.is_last() {
                // Rows only move up, over those that have been dealt with.
                let to = kept.len() * o;
                observations[to..to + o].copy_from_slice(&next);
                kept.push(index);
            }
        }
        observations.truncate(kept.len() * o);
        running = kept;
    }
    Ok(())
}
