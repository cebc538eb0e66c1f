//! The sets that a collection consists of, recorded from its policies.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use iwsft_control::sac::Sac;
use iwsft_control::{ControlError, Generator, make};
use iwsft_data::episodes::{EpisodeColumns, Episodes, Tail, read_episodes, write_d4rl};
use serde::Serialize;

use super::learner::{Learner, Tiers};
use crate::control::evaluation::Figure;
use crate::control::recording::act_out;
use crate::progress::Progress;

/// Episodes acted out side by side.
const TOGETHER: usize = 32;

/// Episodes of sets begin where none that was learnt from does.
const FIRST_SEED: u64 = 2_000_000;

/// A file of the collection.
#[derive(Debug, Serialize)]
pub(super) struct Set {
    pub(super) name: &'static str,
    pub(super) steps: usize,
    pub(super) episodes: usize,
    /// The mean return of its episodes.
    #[serde(flatten)]
    pub(super) figure: Figure,
}

/// Writes the sets that are missing; `None` if it was stopped.
pub(super) fn write_all(
    folder: &Path,
    learner: &mut Learner,
    tiers: &Tiers,
    steps: u64,
    stop: &AtomicBool,
) -> anyhow::Result<Option<Vec<Set>>> {
    let mut recorded = Vec::new();
    let actors = [
        ("random", None),
        ("medium", Some(tiers.medium.step)),
        ("expert", Some(tiers.expert.step)),
    ];
    for (seed, (name, step)) in (0..).zip(actors) {
        let actor = step.map(|step| learner.snapshot(step)).transpose()?;
        let path = folder.join(format!("{name}.hdf5"));
        let episodes = match path.exists() {
            true => read(&path)?,
            false => {
                let Some(episodes) = record(learner, name, actor, steps, seed, stop)? else {
                    return Ok(None);
                };
                write_d4rl(&path, &episodes)?;
                // What the file says: what later readers will see.
                read(&path)?
            }
        };
        recorded.push((name, episodes));
    }
    let mut both = recorded[1].1.clone();
    both.append(&recorded[2].1);
    let replay = learner.replay(tiers.medium.step)?;
    for (name, episodes) in [("medium-expert", both), ("medium-replay", replay)] {
        let path = folder.join(format!("{name}.hdf5"));
        if !path.exists() {
            write_d4rl(&path, &episodes)?;
        }
        recorded.push((name, episodes));
    }
    let environment = &learner.settings().environment;
    let sets = recorded.into_iter().map(|(name, episodes)| {
        let returns = episodes.returns();
        let mean = returns.iter().sum::<f64>() / returns.len() as f64;
        Set {
            name,
            steps: episodes.step_count(),
            episodes: episodes.len(),
            figure: Figure::of(environment, mean),
        }
    });
    Ok(Some(sets.collect()))
}

fn read(path: &Path) -> anyhow::Result<Episodes> {
    let columns = EpisodeColumns::default();
    Ok(read_episodes(path, &columns, Tail::default())?)
}

/// Acts out whole episodes until there are `steps` steps, with the policy's random
/// actions, or those of chance.
fn record(
    learner: &Learner,
    name: &'static str,
    mut actor: Option<Sac>,
    steps: u64,
    seed: u64,
    stop: &AtomicBool,
) -> anyhow::Result<Option<Episodes>> {
    let settings = learner.settings();
    let mut environments = (0..TOGETHER)
        .map(|_| make(&settings.environment))
        .collect::<Result<Vec<_>, ControlError>>()?;
    let spec = environments[0].spec().clone();
    let mut random = Generator::new(settings.seed.wrapping_add(FIRST_SEED + seed));
    let mut recorded = Episodes::new(spec.observation_size(), spec.action_size());
    let mut progress = Progress::new(name, steps);
    let mut first = FIRST_SEED.wrapping_mul(seed + 1);
    while (recorded.step_count() as u64) < steps {
        let mut units = Vec::new();
        let recordings = act_out(&mut environments, first, |observations, _, actions| {
            match &mut actor {
                Some(actor) => {
                    actor.draw(observations, &mut random, &mut units);
                    actions.copy_from_slice(&units);
                }
                None => actions.fill_with(|| random.uniform(-1.0, 1.0) as f32),
            }
            learner.policy().unscale_actions(actions);
            Ok(())
        })?;
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        for recording in &recordings {
            if (recorded.step_count() as u64) < steps {
                recorded.push(recording.as_episode());
            }
        }
        progress.at((recorded.step_count() as u64).min(steps), String::new);
        first = first.wrapping_add(TOGETHER as u64);
    }
    progress.finish();
    Ok(Some(recorded))
}
