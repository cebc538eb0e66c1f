//! Importance-weighted objectives.
