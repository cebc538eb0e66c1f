//! `iwsft control render`: an episode as a picture that moves.
//!
//! A sketch as SVG needs neither a graphics library nor a screen, and is sharp at any
//! size; MuJoCo's own renderer makes an animated PNG.

mod png;
mod svg;

use std::path::PathBuf;

use anyhow::Context;
use iwsft_control::{Actions, Camera, Environment, Generator, Scenery, Stroke, make};
use serde_json::json;

use super::actor::Actor;
use crate::mistake::Mistake;
use crate::progress::{Progress, say};
use crate::table::print_json;

/// Draw an episode from the side, as an animated picture (SVG or PNG).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  iwsft control render swing-up.svg --policy recipes/pendulum/runs/iw-sft/seed-0/model
  iwsft control render gait.svg --environment Hopper-v4 --policy runs/hopper/seed-0/best
  iwsft control render chance.png --environment Walker2d-v4 --policy random

FILE.svg is a sketch in thick lines. FILE.png is drawn by MuJoCo's own renderer, for its
robots; that needs OpenGL, as from Debian's libegl1 (or libosmesa6 and MUJOCO_GL=osmesa),
but no screen. Open either in a browser.")]
pub(crate) struct Args {
    /// The picture to write, with the ending .svg or .png.
    out: PathBuf,
    /// Where to act.
    #[arg(long, default_value = "Pendulum-v1", value_name = "NAME")]
    environment: String,
    /// The folder of a policy, `energy` or `random`.
    #[arg(long, default_value = "energy", value_name = "POLICY")]
    policy: String,
    /// The episode begins as a reset with this seed.
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Seconds to show at most.
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS")]
    seconds: f64,
    /// Pixels from left to right in a PNG; three quarters as many from top to bottom.
    #[arg(long, default_value_t = 400, value_name = "N")]
    width: usize,
    /// Print what was drawn as a line of JSON.
    #[arg(long)]
    json: bool,
}

/// Frames a second that are enough, as what lies between is drawn as well.
const FRAMES: f64 = 25.0;

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let mut environment = make(&args.environment)?;
    let spec = environment.spec().clone();
    super::episodes::require_continuous(&spec)?;
    let mut actor = Actor::of(&args.policy, &environment)?;
    let Actions::Continuous(bounds) = &spec.actions else {
        return Ok(());
    };
    let scenery = environment.scenery();
    let every = (1.0 / (FRAMES * scenery.seconds)).round().max(1.0) as usize;
    let steps = (args.seconds / scenery.seconds).ceil().max(1.0) as usize;
    let mut seen = vec![0.0; spec.observation_size()];
    environment.reset(Some(args.seed), &mut seen)?;
    let mut random = Generator::new(args.seed);
    let mut film = Film::new(&args, &environment)?;
    film.take(&environment);
    let mut progress = Progress::new("acting", steps as u64);
    let (mut earned, mut done) = (0.0, 0);
    while done < steps {
        let single: Vec<f32> = seen.iter().map(|&x| x as f32).collect();
        let mut action: Vec<f32> = bounds
            .low
            .iter()
            .zip(&bounds.high)
            .map(|(&low, &high)| random.uniform(low.into(), high.into()) as f32)
            .collect();
        actor.act(&single, &mut action);
        let step = environment.step(&action, &mut seen)?;
        earned += step.reward;
        done += 1;
        if done % every == 0 || step.is_last() {
            film.take(&environment);
        }
        progress.at(done as u64, String::new);
        if step.is_last() {
            break;
        }
    }
    progress.finish();
    let seconds = done as f64 * scenery.seconds;
    let title = format!(
        "{} of {}: return {earned:.1}",
        args.environment, args.policy
    );
    let picture = film.develop(&title, &scenery, seconds)?;
    iwsft_files::write_atomically(&args.out, &picture)
        .with_context(|| args.out.display().to_string())?;
    if args.json {
        return print_json(&json!({
            "file": args.out.display().to_string(), "environment": args.environment,
            "steps": done, "seconds": seconds, "frames": film.frames(), "return": earned,
        }));
    }
    say(&format!(
        "{}: {seconds:.1} s of {}, {done} steps, return {earned:.1}",
        args.out.display(),
        args.environment
    ));
    Ok(())
}

/// What was seen so far.
enum Film {
    Sketches(Vec<Vec<Stroke>>),
    Photographs {
        camera: Box<Camera>,
        size: [usize; 2],
        frames: Vec<Vec<u8>>,
    },
}

impl Film {
    /// By the picture's ending.
    fn new(args: &Args, environment: &Environment) -> anyhow::Result<Self> {
        let ending = args.out.extension().unwrap_or_default();
        match ending.to_string_lossy().to_lowercase().as_str() {
            "svg" => Ok(Self::Sketches(Vec::new())),
            "png" => {
                let [widest, _] = Camera::LARGEST;
                if !(16..=widest).contains(&args.width) {
                    let message = format!("--width {}: expected 16 to {widest}", args.width);
                    return Err(Mistake::new(message).into());
                }
                let size = [args.width, args.width * 3 / 4];
                Ok(Self::Photographs {
                    camera: Box::new(environment.camera(size)?),
                    size,
                    frames: Vec::new(),
                })
            }
            _ => {
                let out = args.out.display();
                let message =
                    format!("{out}: expected a name that ends in .svg (a sketch) or .png");
                Err(Mistake::new(message).into())
            }
        }
    }

    /// One more frame.
    fn take(&mut self, environment: &Environment) {
        match self {
            Self::Sketches(frames) => frames.push(environment.sketch()),
            Self::Photographs { camera, frames, .. } => {
                frames.push(environment.photograph(camera));
            }
        }
    }

    fn frames(&self) -> usize {
        match self {
            Self::Sketches(frames) => frames.len(),
            Self::Photographs { frames, .. } => frames.len(),
        }
    }

    /// The whole file.
    fn develop(&self, title: &str, scenery: &Scenery, seconds: f64) -> anyhow::Result<Vec<u8>> {
        Ok(match self {
            Self::Sketches(frames) => svg::picture(title, scenery, frames, seconds).into_bytes(),
            Self::Photographs { size, frames, .. } => {
                png::picture(title, *size, frames, seconds / frames.len() as f64)?
            }
        })
    }
}
