//! `iwsft control render`: an episode as a picture that moves.
//!
//! An SVG file: a few strokes, each of whose ends is animated. Any browser shows it,
//! and it needs neither a graphics library nor a screen.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Context;
use iwsft_control::{Actions, Generator, Part, Scenery, Stroke, make};
use serde_json::json;

use super::actor::Actor;
use crate::progress::say;
use crate::table::print_json;

/// Draw an episode from the side, as an animated picture (SVG).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  iwsft control render swing-up.svg --policy recipes/pendulum/runs/iw-sft/seed-0/model
  iwsft control render gait.svg --environment Hopper-v4 --policy runs/hopper/seed-0/best
  iwsft control render chance.svg --environment Walker2d-v4 --policy random

Open it in a browser.")]
pub(crate) struct Args {
    /// The picture to write.
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
    /// Print what was drawn as a line of JSON.
    #[arg(long)]
    json: bool,
}

/// Frames a second that are enough, as what lies between is drawn as well.
const FRAMES: f64 = 25.0;

/// Pixels a metre, in the picture's own size.
const SCALE: f64 = 160.0;

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
    let mut frames = vec![environment.sketch()];
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
            frames.push(environment.sketch());
        }
        if step.is_last() {
            break;
        }
    }
    let seconds = done as f64 * scenery.seconds;
    let title = format!(
        "{} of {}: return {earned:.1}",
        args.environment, args.policy
    );
    let picture = picture(&title, &scenery, &frames, seconds);
    iwsft_files::write_atomically(&args.out, picture.as_bytes())
        .with_context(|| args.out.display().to_string())?;
    if args.json {
        return print_json(&json!({
            "file": args.out.display().to_string(), "environment": args.environment,
            "steps": done, "seconds": seconds, "frames": frames.len(), "return": earned,
        }));
    }
    say(&format!(
        "{}: {seconds:.1} s of {}, {done} steps, return {earned:.1}",
        args.out.display(),
        args.environment
    ));
    Ok(())
}

/// The whole file.
fn picture(title: &str, scenery: &Scenery, frames: &[Vec<Stroke>], seconds: f64) -> String {
    let [[left, bottom], [right, top]] = scenery.view;
    let (width, height) = (right - left, top - bottom);
    let mut svg = String::new();
    let mut put = |text: std::fmt::Arguments<'_>| {
        // Writing to a string does not fail.
        let _ = svg.write_fmt(text);
    };
    put(format_args!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{:.0}\" height=\"{:.0}\" \
         viewBox=\"{left:.3} {:.3} {width:.3} {height:.3}\">\n<title>{}</title>\n\
         <style>line{{stroke-linecap:round;stroke:#3b6ea8}}.o{{stroke:#d08a3c}}.g{{stroke:#3d9a5b}}\
         .w{{stroke:#9aa3ad;stroke-linecap:square}}</style>\n\
         <rect x=\"{left:.3}\" y=\"{:.3}\" width=\"100%\" height=\"100%\" fill=\"#f7f8fa\"/>\n<g>\n",
        SCALE * width,
        SCALE * height,
        -top,
        escape(title),
        -top,
    ));
    let duration = format!("dur=\"{seconds:.2}s\" repeatCount=\"indefinite\"");
    let place = |frame: &Vec<Stroke>| frame.first().map_or(0.0, |stroke| stroke.from[0]);
    if scenery.follows {
        let shifts: Vec<String> = frames
            .iter()
            .map(|frame| format!("{:.3} 0", -place(frame)))
            .collect();
        put(format_args!(
            "<animateTransform attributeName=\"transform\" type=\"translate\" values=\"{}\" {duration}/>\n",
            shifts.join(";")
        ));
        let ends = frames.iter().map(place);
        let [first, last] = [f64::min as fn(f64, f64) -> f64, f64::max]
            .map(|of| ends.clone().reduce(of).unwrap_or(0.0));
        put(format_args!(
            "<line class=\"w\" stroke-width=\"0.02\" x1=\"{:.2}\" y1=\"0.01\" x2=\"{:.2}\" y2=\"0.01\"/>\n",
            first - width,
            last + width
        ));
        // A mark each metre: how far it has come.
        for metre in (first - width).floor() as i64..=(last + width).ceil() as i64 {
            put(format_args!(
                "<line class=\"w\" stroke-width=\"0.02\" x1=\"{metre}\" y1=\"0.01\" x2=\"{metre}\" y2=\"0.08\"/>\n"
            ));
        }
    }
    for stroke in &scenery.strokes {
        put(format_args!("{}/>\n", opening(stroke)));
    }
    for (index, stroke) in frames[0].iter().enumerate() {
        put(format_args!("{}>", opening(stroke)));
        type End = fn(&Stroke) -> f64;
        let ends: [(&str, End); 4] = [
            ("x1", |stroke| stroke.from[0]),
            ("y1", |stroke| -stroke.from[1]),
            ("x2", |stroke| stroke.to[0]),
            ("y2", |stroke| -stroke.to[1]),
        ];
        for (name, of) in ends {
            let values: Vec<String> = frames
                .iter()
                .map(|frame| format!("{:.3}", of(&frame[index])))
                .collect();
            put(format_args!(
                "<animate attributeName=\"{name}\" values=\"{}\" {duration}/>",
                values.join(";")
            ));
        }
        put(format_args!("</line>\n"));
    }
    put(format_args!("</g>\n</svg>\n"));
    svg
}

/// The beginning of a stroke's element. A line without length is not drawn by all, so
/// a disc gets a little.
fn opening(stroke: &Stroke) -> String {
    let class = match stroke.part {
        Part::Body => "",
        Part::OtherSide => " class=\"o\"",
        Part::Goal => " class=\"g\"",
        Part::World => " class=\"w\"",
    };
    let ([x1, y1], [x2, y2]) = (stroke.from, stroke.to);
    format!(
        "<line{class} stroke-width=\"{:.3}\" x1=\"{x1:.3}\" y1=\"{:.3}\" x2=\"{:.3}\" y2=\"{:.3}\"",
        2.0 * stroke.radius,
        -y1,
        if stroke.from == stroke.to {
            x2 + 1e-3
        } else {
            x2
        },
        -y2
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
