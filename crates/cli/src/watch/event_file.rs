//! Event files as TensorBoard reads them.
//!
//! A file is a row of records: the length of the content (8 bytes, little
//! endian), a checksum of the length, the content, a checksum of the content.
//! The content is a protocol buffer `Event`; its fields are those of
//! `event.proto` and `summary.proto` of TensorFlow. So few are needed that they
//! are written by hand.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use iwsft_objective::{Diagnostics, HISTOGRAM_EDGES};
use iwsft_train::{
    EvaluationMetrics, Observer, Plan, RolloutMetrics, StepMetrics, ValidationMetrics,
};

use crate::progress::say;

/// Histograms of a run, at most.
const HISTOGRAMS: u64 = 200;

/// The event file of one session of a run. A resumed run begins another one,
/// which tells TensorBoard to forget what it has of the steps made again.
pub(super) struct EventFile {
    file: File,
    /// Whether earlier sessions left files.
    is_later: bool,
    /// Steps from one histogram to the next.
    histogram_every: u64,
    /// Said once; the run itself is not at stake.
    failed: bool,
}

impl EventFile {
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let earlier = fs::read_dir(folder)?
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().contains("tfevents"))
            .count();
        // TensorBoard reads files in the order of their names.
        let name = format!(
            "events.out.tfevents.{:010}.iwsft.{earlier:04}",
            now() as u64
        );
        let options = OpenOptions::new().write(true).create_new(true).clone();
        let mut file = Self {
            file: options.open(folder.join(name))?,
            is_later: earlier > 0,
            histogram_every: 1,
            failed: false,
        };
        let mut event = event(0);
        bytes(&mut event, field::FILE_VERSION, b"brain.Event:2");
        file.file.write_all(&record(&event))?;
        Ok(file)
    }

    fn write(&mut self, event: &[u8]) {
        if self.failed {
            return;
        }
        if let Err(error) = self.file.write_all(&record(event)) {
            self.failed = true;
            say(&format!("no more event files for TensorBoard: {error}"));
        }
    }

    fn write_values(&mut self, step: u64, values: &[Vec<u8>]) {
        let mut summary = Vec::new();
        for value in values {
            bytes(&mut summary, field::SUMMARY_VALUE, value);
        }
        let mut event = event(step);
        bytes(&mut event, field::SUMMARY, &summary);
        self.write(&event);
    }
}

impl Observer for EventFile {
    fn on_start(&mut self, plan: &Plan, step: u64) {
        self.histogram_every = plan.total_steps.div_ceil(HISTOGRAMS).max(1);
        if self.is_later {
            // The starting policy is validated again only before step 1.
            let again = if step == 0 { 0 } else { step + 1 };
            let mut event = event(again);
            let mut session = Vec::new();
            whole(&mut session, field::SESSION_STATUS, field::SESSION_START);
            bytes(&mut event, field::SESSION_LOG, &session);
            self.write(&event);
        }
    }

    fn on_rollouts(&mut self, metrics: &RolloutMetrics) {
        let values = [
            ("rollouts/reward", metrics.reward),
            ("rollouts/no_signal", metrics.no_signal),
            ("rollouts/mean_tokens", metrics.mean_tokens),
            ("rollouts/cut", metrics.cut),
            ("speed/sampled_per_second", metrics.tokens_per_second),
        ];
        let values = values.map(|(tag, value)| scalar(tag, value));
        self.write_values(metrics.step, &values);
    }

    fn on_step(&mut self, metrics: &StepMetrics) {
        let diagnostics = &metrics.diagnostics;
        let mut values: Vec<_> = scalars(metrics)
            .into_iter()
            .filter_map(|(tag, value)| Some(scalar(tag, value?)))
            .collect();
        if (metrics.step - 1).is_multiple_of(self.histogram_every) {
            values.push(histogram("weights/histogram", diagnostics));
        }
        self.write_values(metrics.step, &values);
    }

    fn on_validation(&mut self, metrics: &ValidationMetrics) {
        self.write_values(metrics.step, &[scalar("nll/validation", metrics.nll)]);
    }

    fn on_evaluation(&mut self, metrics: &EvaluationMetrics) {
        let benchmark = metrics.found["benchmark"].as_str().unwrap_or("eval");
        let figures = metrics.found["metrics"].as_array().into_iter().flatten();
        let values: Vec<_> = figures
            .filter_map(|figure| {
                let tag = format!("{benchmark}/{}", figure["metric"].as_str()?);
                Some(scalar(&tag, figure["value"].as_f64()?))
            })
            .collect();
        self.write_values(metrics.step, &values);
    }
}

/// What is told of a step, by TensorBoard's tags.
fn scalars(metrics: &StepMetrics) -> [(&'static str, Option<f64>); 18] {
    let diagnostics = &metrics.diagnostics;
    [
        ("loss/optimised", Some(diagnostics.loss)),
        ("nll/train", Some(diagnostics.nll)),
        ("bounds/j", diagnostics.j),
        ("bounds/j_self_normalised", diagnostics.j_self_normalised),
        ("bounds/sft", diagnostics.sft_bound),
        ("bounds/iw_sft", diagnostics.iw_sft_bound),
        ("gaps/sft", diagnostics.sft_gap),
        ("gaps/iw_sft", diagnostics.iw_sft_gap),
        ("weights/effective_share", Some(diagnostics.effective_share)),
        ("weights/min", Some(diagnostics.weight_min)),
        ("weights/mean", Some(diagnostics.weight_mean)),
        ("weights/max", Some(diagnostics.weight_max)),
        ("weights/clipped", Some(diagnostics.clipped)),
        ("reference/log_ratio", diagnostics.log_ratio),
        ("reference/kl", diagnostics.kl),
        ("optimizer/learning_rate", Some(metrics.learning_rate)),
        ("optimizer/grad_norm", Some(metrics.grad_norm)),
        ("speed/tokens_per_second", Some(metrics.tokens_per_second)),
    ]
}

/// Numbers of the fields, and of a value.
mod field {
    // Event
    pub(super) const WALL_TIME: u64 = 1;
    pub(super) const STEP: u64 = 2;
    pub(super) const FILE_VERSION: u64 = 3;
    pub(super) const SUMMARY: u64 = 5;
    pub(super) const SESSION_LOG: u64 = 7;
    // SessionLog
    pub(super) const SESSION_STATUS: u64 = 1;
    pub(super) const SESSION_START: u64 = 1;
    // Summary and Summary.Value
    pub(super) const SUMMARY_VALUE: u64 = 1;
    pub(super) const TAG: u64 = 1;
    pub(super) const SIMPLE_VALUE: u64 = 2;
    pub(super) const HISTOGRAM: u64 = 5;
    // HistogramProto
    pub(super) const MIN: u64 = 1;
    pub(super) const MAX: u64 = 2;
    pub(super) const NUMBER: u64 = 3;
    pub(super) const SUM: u64 = 4;
    pub(super) const SUM_OF_SQUARES: u64 = 5;
    pub(super) const BUCKET_LIMIT: u64 = 6;
    pub(super) const BUCKET: u64 = 7;
}

/// An `Event` with nothing but its time and step.
fn event(step: u64) -> Vec<u8> {
    let mut event = Vec::new();
    double(&mut event, field::WALL_TIME, now());
    whole(&mut event, field::STEP, step);
    event
}

fn scalar(tag: &str, value: f64) -> Vec<u8> {
    let mut summary = Vec::new();
    bytes(&mut summary, field::TAG, tag.as_bytes());
    varint(&mut summary, field::SIMPLE_VALUE << 3 | 5);
    summary.extend((value as f32).to_le_bytes());
    summary
}

/// The histogram of a step's weights over the edges that the log uses.
fn histogram(tag: &str, diagnostics: &Diagnostics) -> Vec<u8> {
    let counts = &diagnostics.weight_histogram;
    let number = counts.iter().sum::<u64>() as f64;
    let sum = diagnostics.weight_mean * number;
    let squares = sum * sum / diagnostics.effective_sample_size.max(f64::MIN_POSITIVE);
    let mut histogram = Vec::new();
    double(&mut histogram, field::MIN, diagnostics.weight_min);
    double(&mut histogram, field::MAX, diagnostics.weight_max);
    double(&mut histogram, field::NUMBER, number);
    double(&mut histogram, field::SUM, sum);
    double(&mut histogram, field::SUM_OF_SQUARES, squares);
    let limits = HISTOGRAM_EDGES.iter().copied().chain([f64::MAX]);
    let packed: Vec<u8> = limits.flat_map(f64::to_le_bytes).collect();
    bytes(&mut histogram, field::BUCKET_LIMIT, &packed);
    let counts = counts.iter().map(|count| *count as f64);
    let packed: Vec<u8> = counts.flat_map(f64::to_le_bytes).collect();
    bytes(&mut histogram, field::BUCKET, &packed);

    let mut summary = Vec::new();
    bytes(&mut summary, field::TAG, tag.as_bytes());
    bytes(&mut summary, field::HISTOGRAM, &histogram);
    summary
}

/// Content with its length and checksums.
fn record(content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(content.len() + 16);
    record.extend(length);
    record.extend(checksum(&length).to_le_bytes());
    record.extend(content);
    record.extend(checksum(content).to_le_bytes());
    record
}

/// CRC-32C, turned and shifted so that the checksum of a checksum is none that
/// occurs by itself (TensorFlow's `crc32c.h`).
fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn whole(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3);
    varint(out, value);
}

fn double(out: &mut Vec<u8>, field: u64, value: f64) {
    varint(out, field << 3 | 1);
    out.extend(value.to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u64, content: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, content.len() as u64);
    out.extend(content);
}

/// Seconds since 1970.
fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standard_and_of_tensorflow() {
        // RFC 3720, appendix B.4.
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c::crc32c(&[0xff; 32]), 0x62a8_ab43);
        // The first record of every event file that TensorFlow writes begins
        // with the length 24 and this checksum of it.
        assert_eq!(
            checksum(&24u64.to_le_bytes()).to_le_bytes(),
            [0xa3, 0x7f, 0x4b, 0x22]
        );
    }

    #[test]
    fn numbers_are_written_seven_bits_at_a_time() {
        let of = |value| {
            let mut out = Vec::new();
            varint(&mut out, value);
            out
        };
        assert_eq!(of(0), [0]);
        assert_eq!(of(127), [127]);
        assert_eq!(of(300), [0xac, 0x02]);
        assert_eq!(of(u64::MAX).len(), 10);
    }
}
