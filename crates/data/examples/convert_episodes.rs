//! Converts recorded episodes: any layout that is read to D4RL (a name that
//! ends in `.hdf5`) or Minari (any other: a folder).
//!
//! ```sh
//! cargo run -p iwsft-data --example convert_episodes -- replay.npz replay.hdf5
//! ```

use std::error::Error;
use std::path::Path;

use iwsft_data::episodes::{EpisodeColumns, Tail, read_episodes, write_d4rl, write_minari};

fn main() -> Result<(), Box<dyn Error>> {
    let names: Vec<_> = std::env::args().skip(1).collect();
    let [from, to] = names.as_slice() else {
        return Err("expected two names: what to read, and what to write".into());
    };
    let (from, to) = (Path::new(from), Path::new(to));
    let episodes = read_episodes(from, &EpisodeColumns::default(), Tail::Keep)?;
    match to.extension() {
        Some(extension) if extension == "hdf5" => write_d4rl(to, &episodes)?,
        _ => write_minari(to, &episodes, "converted-v0")?,
    }
    eprintln!(
        "{} episodes, {} steps, mean return {:.2}",
        episodes.len(),
        episodes.step_count(),
        episodes.returns().iter().sum::<f64>() / episodes.len() as f64,
    );
    Ok(())
}
