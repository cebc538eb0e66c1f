//! Curated trajectories.
