//! Answers graded, and what can be said of a model from them.

pub mod benchmark;
pub mod grade;
pub mod statistics;
