//! Recorded episodes of a continuous policy: what a robot saw, did and got.
//!
//! # Files
//! | file | layout |
//! | --- | --- |
//! | HDF5 | D4RL: one table of all steps |
//! | folder | Minari: `data/main_data.hdf5` with one group an episode, and `data/metadata.json` |
//! | `.npz` | the same table as D4RL, one array a column |
//!
//! The content decides which it is, not the name. [`EpisodeColumns`] says what
//! each column is called. A file that is not as described is refused with the
//! column, what was found, what was expected, and what to do: [`EpisodeError`].
//!
//! # From file to training data
//! [`read_episodes`] reads a whole file, [`EpisodeReader`] streams it. Either
//! gives [`Episodes`]: steps end to end, cut right behind each terminal or
//! timeout. [`above_percentiles`], [`top_share`] and [`quality`] choose among
//! them by return, [`Episodes::select`] takes the chosen ones, and
//! [`Normaliser`] scales what the policy sees.
//!
//! ```
//! use iwsft_data::episodes::{
//!     EpisodeColumns, Episodes, End, Episode, Tail, above_percentiles, read_episodes, write_d4rl,
//! };
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = &folder.path().join("walk.hdf5");
//! let mut recorded = Episodes::new(1, 1);
//! for reward in 0..100 {
//!     recorded.push(Episode {
//!         observations: &[0.0, 1.0],
//!         actions: &[0.5, 0.5],
//!         rewards: &[0.0, reward as f32],
//!         next_observations: &[1.0, 2.0],
//!         end: End::Timeout,
//!     });
//! }
//! write_d4rl(path, &recorded)?;
//!
//! let episodes = read_episodes(path, &EpisodeColumns::default(), Tail::Drop)?;
//! let best = above_percentiles(&episodes.returns(), &[90.0, 95.0, 98.0])?;
//! // The best ten, the best five again, the best two once more.
//! assert_eq!(episodes.select(&best).len(), 10 + 5 + 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod columns;
mod error;
mod filters;
mod hdf5;
mod minari;
mod normaliser;
mod npz;
mod reader;
mod score;
mod selection;
mod steps;
mod table;
mod write;

pub use columns::{EpisodeColumns, Tail};
pub use error::EpisodeError;
pub use normaliser::Normaliser;
pub use reader::{EpisodeReader, read_episodes};
pub use score::{D4RL_GYM, ReferenceReturns};
pub use selection::{
    ReturnQuality, SelectionError, above_percentiles, percentile, quality, top_share,
    top_share_of_steps,
};
pub use steps::{End, Episode, Episodes, Transitions};
pub use write::{write_d4rl, write_minari};
