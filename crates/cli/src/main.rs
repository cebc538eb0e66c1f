//! `iwsft`: fine-tune policies on curated data.

fn main() {}
