//! `iwsft control record`: data from a policy, good and bad.

use std::path::PathBuf;

use iwsft_control::{Actions, ControlError, Generator, make};
use iwsft_data::episodes::{Episodes, write_d4rl};
use serde_json::json;

use super::actor::Actor;
use super::recording::act_out;
use crate::mistake::Mistake;
use crate::progress::{Progress, say};
use crate::table::print_json;

/// Episodes acted out side by side.
const TOGETHER: usize = 64;

/// Record episodes of a written rule, of chance, or of a policy, with noise.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  iwsft control record pendulum.hdf5
  iwsft control record hopper.hdf5 --environment Hopper-v4 --policy runs/bc/seed-0/model --noise 0.3

In each episode a share of the actions, between 0 and --noise and drawn anew for
each episode, is replaced by random ones: so there are good and bad episodes.

`energy` is a rule that swings up Pendulum-v1 by pumping energy and holds it at
the top. Nothing has learnt it: it stands for a robot's controller.")]
pub(crate) struct Args {
    /// The file to write, in the layout of D4RL.
    out: PathBuf,
    /// Where to act.
    #[arg(long, default_value = "Pendulum-v1", value_name = "NAME")]
    environment: String,
    /// `energy`, `random`, or the folder of a policy.
    #[arg(long, default_value = "energy", value_name = "POLICY")]
    policy: String,
    /// Episodes to record.
    #[arg(long, default_value_t = 500, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    episodes: u32,
    /// The largest share of random actions, from 0 to 1.
    #[arg(long, default_value_t = 1.0, value_name = "SHARE")]
    noise: f64,
    /// Decides where episodes begin and what is random.
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Print what was recorded as a line of JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    if !(0.0..=1.0).contains(&args.noise) {
        let message = format!("--noise {}: expected 0 to 1", args.noise);
        return Err(Mistake::new(message).into());
    }
    let first = make(&args.environment)?;
    let spec = first.spec().clone();
    super::episodes::require_continuous(&spec)?;
    let mut actor = Actor::of(&args.policy, &first)?;
    let Actions::Continuous(bounds) = &spec.actions else {
        return Ok(());
    };
    let mut random = Generator::new(args.seed);
    let (a, count) = (spec.action_size(), args.episodes as usize);
    let mut environments = (0..TOGETHER.min(count))
        .map(|_| make(spec.name))
        .collect::<Result<Vec<_>, ControlError>>()?;
    let mut recorded = Episodes::new(spec.observation_size(), a);
    let mut progress = Progress::new("recording", count as u64);
    while recorded.len() < count {
        let some = environments.len().min(count - recorded.len());
        let shares: Vec<f64> = (0..some)
            .map(|_| actor.share(random.uniform(0.0, args.noise)))
            .collect();
        let recordings = act_out(
            &mut environments[..some],
            args.seed.wrapping_add(recorded.len() as u64),
            |observations, running, actions| {
                actor.act(observations, actions);
                for (action, &index) in actions.chunks_exact_mut(a).zip(running) {
                    if random.unit() < shares[index] {
                        let bounds = bounds.low.iter().zip(&bounds.high);
                        for (x, (&low, &high)) in action.iter_mut().zip(bounds) {
                            *x = random.uniform(low.into(), high.into()) as f32;
                        }
                    }
                }
                Ok(())
            },
        )?;
        for recording in &recordings {
            recorded.push(recording.as_episode());
        }
        progress.at(recorded.len() as u64, String::new);
    }
    progress.finish();
    write_d4rl(&args.out, &recorded)?;
    let returns = recorded.returns();
    let mean = returns.iter().sum::<f64>() / returns.len() as f64;
    let [low, high] = [f64::min as fn(f64, f64) -> f64, f64::max]
        .map(|of| returns.iter().copied().reduce(of).unwrap_or(mean));
    if args.json {
        return print_json(&json!({
            "file": args.out.display().to_string(), "environment": spec.name, "episodes": recorded.len(),
            "steps": recorded.step_count(), "return_mean": mean,
            "return_min": low, "return_max": high,
        }));
    }
    say(&format!(
        "{}: {} episodes of {}, {} steps, returns from {low:.1} to {high:.1}, mean {mean:.1}",
        args.out.display(),
        recorded.len(),
        spec.name,
        recorded.step_count(),
    ));
    Ok(())
}
