//! `iwsft control doctor`: what was found, what works and how fast.

use std::io::Write;
use std::time::{Duration, Instant};

use iwsft_control::{
    Actions, ControlError, Generator, Library, MUJOCO_INSTALL, MUJOCO_VERSION, MujocoError, Spec,
    VectorEnvironment, environments, library, make,
};
use rayon::ThreadPoolBuilder;
use serde_json::json;

use crate::mistake::Mistake;
use crate::progress::Progress;
use crate::table::{Table, print_json};
use crate::terminal;

/// Say which MuJoCo was found, make and step every environment, and time it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  iwsft control doctor
  iwsft control doctor --environment Hopper-v4 --seconds 5
  LIBMUJOCO=/opt/mujoco/lib/libmujoco.so iwsft control doctor --json

MuJoCo's library is looked for in LIBMUJOCO, in the active virtual environment,
in the packages of the Python on the path, and in the system's libraries.")]
pub(crate) struct Args {
    /// An environment to try; may be repeated. All of them where none is named.
    #[arg(long, value_name = "NAME")]
    environment: Vec<String>,
    /// How long to time each environment, once on one thread and once on all.
    #[arg(long, default_value_t = 0.2, value_name = "X")]
    seconds: f64,
    /// Environments that are stepped together.
    #[arg(long, default_value_t = 8, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=65536))]
    count: u32,
    /// Print what was found as lines of JSON.
    #[arg(long)]
    json: bool,
}

/// What became of an environment: steps a second on one thread and on all.
type Trial = Result<[f64; 2], ControlError>;

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    if !(0.0..=3600.0).contains(&args.seconds) {
        let message = format!("--seconds {}: expected 0 to 3600", args.seconds);
        return Err(Mistake::new(message).into());
    }
    let specs = wanted(&args.environment)?;
    let duration = Duration::from_secs_f64(args.seconds);
    let one_thread = ThreadPoolBuilder::new().num_threads(1).build()?;
    let mut progress = Progress::new("trying", specs.len() as u64);
    let mut trials: Vec<(Spec, Trial)> = Vec::new();
    for spec in specs {
        let time = || steps_per_second(spec.name, args.count as usize, duration);
        // From inside of the pool, as everything else that steps: entering it costs
        // waking up, for each step anew.
        let trial = one_thread
            .install(time)
            .and_then(|one| Ok([one, rayon::scope(|_| time())?]));
        trials.push((spec, trial));
        progress.at(trials.len() as u64, String::new);
    }
    progress.finish();
    if args.json {
        return print_lines(&trials);
    }
    writeln!(
        std::io::stdout().lock(),
        "{}\n",
        terminal::plain(&found(library()))
    )?;
    table(&trials).print()?;
    for error in trials.iter().filter_map(|(_, trial)| trial.as_ref().err()) {
        if library().is_ok() {
            writeln!(
                std::io::stdout().lock(),
                "\n{}.",
                terminal::plain(&error.to_string())
            )?;
        }
    }
    Ok(())
}

/// The environments of these names; all of them for none.
fn wanted(names: &[String]) -> anyhow::Result<Vec<Spec>> {
    for name in names {
        // Only for its error: that MuJoCo is missing is no reason to stop.
        if let Err(error @ ControlError::UnknownEnvironment { .. }) = make(name) {
            return Err(error.into());
        }
    }
    let is_wanted = |spec: &Spec| names.is_empty() || names.iter().any(|name| name == spec.name);
    Ok(environments().filter(is_wanted).collect())
}

/// Steps environments side by side with random actions for so long.
fn steps_per_second(name: &str, count: usize, duration: Duration) -> Result<f64, ControlError> {
    let mut environments = VectorEnvironment::make(name, count)?;
    environments.reset(Some(0))?;
    let kind = environments.spec().actions.clone();
    let mut actions = vec![0.0; count * kind.size()];
    let mut random = Generator::new(0);
    let (start, mut steps) = (Instant::now(), 0);
    loop {
        draw(&kind, &mut random, &mut actions);
        environments.step(&actions)?;
        steps += count;
        let elapsed = start.elapsed();
        if elapsed >= duration {
            return Ok(steps as f64 / elapsed.as_secs_f64().max(1e-9));
        }
    }
}

/// Draws actions `[n, a]` evenly from what is allowed.
fn draw(kind: &Actions, random: &mut Generator, actions: &mut [f32]) {
    for action in actions.chunks_exact_mut(kind.size()) {
        match kind {
            Actions::Discrete(count) => action[0] = random.index(*count) as f32,
            Actions::Continuous(bounds) => {
                let bounds = bounds.low.iter().zip(&bounds.high);
                for (element, (&low, &high)) in action.iter_mut().zip(bounds) {
                    *element = random.uniform(low.into(), high.into()) as f32;
                }
            }
        }
    }
}

/// What was found of MuJoCo, in a sentence.
fn found(library: Result<&Library, MujocoError>) -> String {
    match library {
        Err(error) => format!("MuJoCo: {error}."),
        Ok(library) => {
            let advice = if library.is_pinned() {
                "the version that results are made with".to_owned()
            } else {
                format!(
                    "results are made with {MUJOCO_VERSION} and differ from this version's; \
                     `{MUJOCO_INSTALL}` installs it"
                )
            };
            let (version, path) = (library.version(), library.path().display());
            format!("MuJoCo {version}: {path} ({advice})")
        }
    }
}

fn table(trials: &[(Spec, Trial)]) -> Table<4> {
    let threads = rayon::current_num_threads();
    let all = format!("on {threads}");
    let mut table = Table::new(["environment", "works", "steps/s on 1 thread", &all]);
    for (spec, trial) in trials {
        let name = spec.name.to_owned();
        table.row(match trial {
            Ok([one, all]) => [name, "yes".into(), format!("{one:.0}"), format!("{all:.0}")],
            // Why not is told above the table, or below it.
            Err(_) if library().is_err() => [name, "needs MuJoCo".into(), "-".into(), "-".into()],
            Err(_) => [name, "no".into(), "-".into(), "-".into()],
        });
    }
    table
}

fn print_lines(trials: &[(Spec, Trial)]) -> anyhow::Result<()> {
    let library = library();
    let found = library.as_ref().ok();
    print_json(&json!({
        "mujoco": found.map(|library| library.version()),
        "path": found.map(|library| library.path()),
        "expected": MUJOCO_VERSION,
        "install": MUJOCO_INSTALL,
        "error": library.as_ref().err().map(ToString::to_string),
    }))?;
    for (spec, trial) in trials {
        let rates = trial.as_ref().ok();
        print_json(&json!({
            "environment": spec.name,
            "works": trial.is_ok(),
            "steps_per_second_one_thread": rates.map(|rates| rates[0].round()),
            "steps_per_second": rates.map(|rates| rates[1].round()),
            "threads": rayon::current_num_threads(),
            "error": trial.as_ref().err().map(ToString::to_string),
        }))?;
    }
    Ok(())
}
