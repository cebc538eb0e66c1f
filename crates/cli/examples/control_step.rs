//! Gradient steps of a control algorithm on given data, driven over standard input,
//! so that a benchmark can alternate them with another program's.
//!
//! `control_step NAME INPUTS.safetensors [bf16]` (`td3-bc`, `iql`, `bc` or `iw-sft`)
//! reads lines: `steps N` makes N steps and answers
//! `{"losses": [...], "seconds": ...}`, `quit` ends. What the file has in it, and what the
//! other program computes: `scripts/bench/control_step.py`.

use std::error::Error;
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

use iwsft_control::baseline::Baseline;
use iwsft_control::{
    GaussianConfig, GaussianPolicy, Generator, StepBatch, Transitions, load_learned,
};
use iwsft_engine::optim::{AdamW, AdamWConfig};
use iwsft_engine::{Policy, Precision, Tensor};
use iwsft_objective::Preset;
use iwsft_train::{State, Stepper, TrainConfig, Trajectories, score};
use safetensors::SafeTensors;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, inputs, further @ ..] = arguments.as_slice() else {
        return Err("usage: control_step NAME INPUTS.safetensors [bf16]".into());
    };
    let precision = match further {
        [] => Precision::F32,
        [word, ..] => word.parse()?,
    };
    let bytes = std::fs::read(inputs)?;
    let file = SafeTensors::deserialize(&bytes)?;
    // From inside of the pool, as `control train` works: joining costs no waking up.
    let pool = rayon::ThreadPoolBuilder::new().build()?;
    pool.install(|| match name.as_str() {
        "td3-bc" | "iql" => baseline(name, Path::new(inputs), &file, precision),
        "bc" | "iw-sft" => trajectories(name == "iw-sft", &file, precision),
        _ => Err(format!("{name}: expected td3-bc, iql, bc or iw-sft").into()),
    })
}

/// Answers `steps N` with the losses of as many steps.
fn serve(mut step: impl FnMut() -> Result<f64, Failure>) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let count = match line.trim().split_once(' ') {
            Some(("steps", count)) => count.parse::<usize>()?,
            _ if line.trim() == "quit" => return Ok(()),
            _ => return Err(format!("unknown command {line:?}").into()),
        };
        let start = Instant::now();
        let losses = (0..count).map(|_| step()).collect::<Result<Vec<_>, _>>()?;
        let seconds = start.elapsed().as_secs_f64();
        writeln!(
            out,
            "{}",
            serde_json::json!({"losses": losses, "seconds": seconds})
        )?;
        out.flush()?;
    }
    Ok(())
}

fn floats(file: &SafeTensors<'_>, name: &str) -> Result<Vec<f32>, Failure> {
    let tensor = file.tensor(name)?;
    let (words, _) = tensor.data().as_chunks::<4>();
    Ok(words.iter().map(|&word| f32::from_le_bytes(word)).collect())
}

/// Transitions, parameters to start from, and the order of the batches.
fn baseline(
    name: &str,
    path: &Path,
    file: &SafeTensors<'_>,
    precision: Precision,
) -> Result<(), Failure> {
    let data = Transitions {
        observations: floats(file, "observations")?,
        actions: floats(file, "actions")?,
        rewards: floats(file, "rewards")?,
        next_observations: floats(file, "next_observations")?,
        next_actions: Vec::new(),
        goes_on: floats(file, "goes_on")?,
    };
    let sizes = ["observations", "actions"].map(|column| file.tensor(column).map(|t| t.shape()[1]));
    let [o, a] = sizes;
    let noise = if name == "td3-bc" {
        "policy_noise = 0.0"
    } else {
        ""
    };
    let settings: Baseline = toml::from_str(&format!("algorithm = '{name}'\n{noise}"))?;
    let mut algorithm = settings.begin([o?, a?], 0)?;
    algorithm.set_precision(precision);
    load_learned(path, algorithm.learned())?;
    let mut random = Generator::new(0);
    let mut batch = Transitions::default();
    serve(|| {
        data.draw(settings.batch_size(), &mut random, &mut batch);
        algorithm.update(&batch, &mut random)?;
        Ok(algorithm.metrics()[0].1)
    })
}

/// Trajectories of different lengths.
struct Episodes {
    observations: Vec<f32>,
    actions: Vec<f32>,
    /// Where each begins, and where the last one ends.
    starts: Vec<usize>,
    o: usize,
    a: usize,
}

impl Trajectories for Episodes {
    type Batch = StepBatch;

    fn len(&self) -> usize {
        self.starts.len() - 1
    }

    fn length(&self, index: usize) -> usize {
        self.starts[index + 1] - self.starts[index]
    }

    fn steps(&self, index: usize) -> usize {
        self.length(index)
    }

    fn describe(&self, index: usize) -> String {
        format!("episode {index}")
    }

    fn batch(&self, indices: &[usize]) -> StepBatch {
        let mut batch = StepBatch::default();
        for &index in indices {
            let range = self.starts[index]..self.starts[index + 1];
            batch.steps += range.len();
            let rows = |values: &[f32], width: usize| {
                values[range.start * width..range.end * width].to_vec()
            };
            batch.observations.extend(rows(&self.observations, self.o));
            batch.actions.extend(rows(&self.actions, self.a));
        }
        batch
    }

    fn fingerprint(&self) -> blake3::Hash {
        blake3::hash(b"the benchmark's episodes")
    }
}

/// Episodes, all of them in each batch, and parameters to start from.
fn trajectories(
    weighted: bool,
    file: &SafeTensors<'_>,
    precision: Precision,
) -> Result<(), Failure> {
    let lengths = floats(file, "lengths")?;
    let mut starts = vec![0];
    starts.extend(lengths.iter().scan(0, |end, length| {
        *end += *length as usize;
        Some(*end)
    }));
    let [o, a] =
        ["observations", "actions"].map(|column| file.tensor(column).map(|t| t.shape()[1]));
    let (o, a) = (o?, a?);
    let episodes = Episodes {
        observations: floats(file, "observations")?,
        actions: floats(file, "actions")?,
        starts,
        o,
        a,
    };
    let mut policy = GaussianPolicy::new(GaussianConfig {
        hidden: vec![256; 3],
        observation_mean: vec![0.0; o],
        observation_deviation: vec![1.0; o],
        action_low: vec![-1.0; a],
        action_high: vec![1.0; a],
    })?;
    policy.set_precision(precision);
    let parameters = Tensor::from_vec(floats(file, "actor.parameters")?);
    let preset = if weighted {
        Preset::IwSftControl
    } else {
        Preset::Sft
    };
    let objective = preset.spec().resolve()?;
    let micro_tokens = TrainConfig::default().micro_tokens;
    let reference = weighted.then(|| {
        score(
            &mut policy,
            &parameters,
            &episodes,
            micro_tokens,
            &mut |_| {},
        )
    });
    let adam = AdamWConfig {
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.0,
    };
    let optimizer = AdamW::new(policy.layout(), adam);
    let mut state = State::new(parameters, optimizer, &objective);
    let mut stepper = Stepper::new(
        &mut policy,
        &episodes,
        objective,
        reference,
        micro_tokens,
        None,
    )?;
    let all: Vec<usize> = (0..episodes.len()).collect();
    serve(|| Ok(stepper.step(&mut state, &all, 4e-5)?.diagnostics.nll))
}
