//! Watching a run: event files, the record of its machines, the full screen.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod fixture;

use std::collections::BTreeMap;
use std::fs;

use fixture::{Workplace, number};

/// What an event file says.
#[derive(Default)]
struct Events {
    version: Option<String>,
    /// Steps from which on everything earlier is to be forgotten.
    restarts: Vec<u64>,
    /// Values by tag and step.
    scalars: BTreeMap<String, BTreeMap<u64, f32>>,
    /// Counts by step.
    histograms: BTreeMap<u64, Vec<f64>>,
}

/// Fields of a protocol buffer: number and content.
enum Content<'a> {
    Whole(u64),
    Fixed(&'a [u8]),
    Bytes(&'a [u8]),
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (first, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return value;
        }
    }
    unreachable!()
}

fn fields(mut bytes: &[u8]) -> Vec<(u64, Content<'_>)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let length = match key & 7 {
            0 => {
                fields.push((key >> 3, Content::Whole(varint(&mut bytes))));
                continue;
            }
            1 => 8,
            2 => varint(&mut bytes) as usize,
            5 => 4,
            other => panic!("wire type {other}"),
        };
        let (content, rest) = bytes.split_at(length);
        bytes = rest;
        let content = if key & 7 == 2 {
            Content::Bytes(content)
        } else {
            Content::Fixed(content)
        };
        fields.push((key >> 3, content));
    }
    fields
}

/// CRC-32C bit by bit, unlike the program's.
fn masked_crc(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0x82f6_3b78
            } else {
                crc >> 1
            };
        }
    }
    let crc = !crc;
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().unwrap())
}

/// Reads the event files of a run in the order of their names, as TensorBoard
/// does, and forgets what a restart says.
fn events(place: &Workplace, run: &str) -> Events {
    let folder = place.path(run).join("tensorboard");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    let mut events = Events::default();
    for file in files {
        let file = fs::read(file).unwrap();
        let mut bytes = &file[..];
        while !bytes.is_empty() {
            let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            assert_eq!(word(&bytes[8..12]), masked_crc(&bytes[..8]));
            let content = &bytes[12..12 + length];
            assert_eq!(word(&bytes[12 + length..16 + length]), masked_crc(content));
            bytes = &bytes[16 + length..];
            take(content, &mut events);
        }
    }
    events
}

fn take(event: &[u8], events: &mut Events) {
    let mut step = 0;
    for (field, content) in fields(event) {
        match (field, content) {
            (1, Content::Fixed(time)) => assert_eq!(time.len(), 8),
            (2, Content::Whole(whole)) => step = whole,
            (3, Content::Bytes(text)) => {
                events.version = Some(String::from_utf8_lossy(text).into())
            }
            (5, Content::Bytes(summary)) => {
                for (_, value) in fields(summary) {
                    let Content::Bytes(value) = value else {
                        panic!("a value is a message")
                    };
                    take_value(step, value, events);
                }
            }
            (7, Content::Bytes(_)) => {
                events.restarts.push(step);
                events
                    .scalars
                    .values_mut()
                    .for_each(|values| values.retain(|at, _| *at < step));
                events.histograms.retain(|at, _| *at < step);
            }
            (other, _) => panic!("field {other} of an event"),
        }
    }
}

fn take_value(step: u64, value: &[u8], events: &mut Events) {
    let mut tag = String::new();
    for (field, content) in fields(value) {
        match (field, content) {
            (1, Content::Bytes(text)) => tag = String::from_utf8(text.to_vec()).unwrap(),
            (2, Content::Fixed(value)) => {
                let value = f32::from_bits(word(value));
                let before = events
                    .scalars
                    .entry(tag.clone())
                    .or_default()
                    .insert(step, value);
                assert_eq!(before, None, "{tag} twice at step {step}");
            }
            (5, Content::Bytes(histogram)) => {
                for (field, content) in fields(histogram) {
                    if let (7, Content::Bytes(counts)) = (field, content) {
                        let (counts, _) = counts.as_chunks();
                        let counts = counts.iter().map(|count| f64::from_le_bytes(*count));
                        events.histograms.insert(step, counts.collect());
                    }
                }
            }
            (other, _) => panic!("field {other} of a value"),
        }
    }
}

/// Requires the event files to say what the log says.
fn assert_told(place: &Workplace, run: &str) {
    let events = events(place, run);
    assert_eq!(events.version.as_deref(), Some("brain.Event:2"));
    for (tag, kind, key) in [
        ("loss/optimised", "step", "loss"),
        ("nll/train", "step", "nll"),
        ("nll/validation", "validation", "nll"),
        ("bounds/j", "step", "j"),
        ("gaps/iw_sft", "step", "iw_sft_gap"),
        ("weights/max", "step", "weight_max"),
        ("optimizer/learning_rate", "step", "learning_rate"),
    ] {
        let logged: BTreeMap<u64, f32> = place
            .metrics(run, kind)
            .iter()
            .map(|line| (number(line, "step") as u64, number(line, key) as f32))
            .collect();
        assert_eq!(events.scalars[tag], logged, "{tag}");
    }
    for line in place.metrics(run, "step") {
        let counts = line["weight_histogram"].as_array().unwrap();
        let counts: Vec<f64> = counts.iter().map(|count| count.as_f64().unwrap()).collect();
        assert_eq!(events.histograms[&(number(&line, "step") as u64)], counts);
    }
}

const WEIGHTED: [&str; 3] = [
    "objective.preset=iw-sft-llm",
    "train.validate_every=5",
    "train.checkpoint_every=5",
];

#[test]
fn event_files_say_what_the_log_says_and_change_nothing() {
    let place = Workplace::new();
    place.train("plain", &WEIGHTED).succeeds();
    let mut args = vec!["train", "recipe.toml", "--run", "told", "--tensorboard"];
    args.extend(WEIGHTED.iter().flat_map(|set| ["--set", *set]));
    place.iwsft(&args).succeeds();
    assert!(place.weights("plain") == place.weights("told"));
    assert!(!place.exists("plain/tensorboard"));
    assert_told(&place, "told");
    assert!(events(&place, "told").restarts.is_empty());
}

#[test]
fn a_resumed_run_tells_no_step_twice() {
    let place = Workplace::new();
    let mut args = vec!["train", "recipe.toml", "--run", "run", "--tensorboard"];
    args.extend(WEIGHTED.iter().flat_map(|set| ["--set", *set]));
    place.iwsft(&args).succeeds();
    // As if it had been killed behind step 10, whose checkpoint it had written.
    fs::remove_dir_all(place.path("run/checkpoints/step-00000012")).unwrap();
    place
        .iwsft(&["train", "run", "--resume", "--tensorboard"])
        .succeeds();
    assert_eq!(events(&place, "run").restarts, [11]);
    assert_told(&place, "run");
}

#[test]
fn the_run_folder_says_on_what_the_run_was_made() {
    let place = Workplace::new();
    place.train("run", &WEIGHTED).succeeds();
    fs::remove_dir_all(place.path("run/checkpoints/step-00000012")).unwrap();
    place.iwsft(&["train", "run", "--resume"]).succeeds();
    let sessions: serde_json::Value =
        serde_json::from_str(&place.read("run/environment.json")).unwrap();
    let sessions = sessions.as_array().unwrap();
    assert_eq!(sessions.len(), 2);
    for (session, after) in sessions.iter().zip([0, 10]) {
        assert_eq!(session["after_step"], after);
        assert_eq!(session["threads"], 1);
        assert!(number(session, "peak_memory") > 1e6, "{session}");
        assert!(session["started"].as_str().unwrap().ends_with('Z'));
    }
}

#[test]
fn the_full_screen_is_refused_where_there_is_none() {
    let place = Workplace::new();
    let ended = place.iwsft(&["train", "recipe.toml", "--tui"]);
    ended.fails(2, &["--tui", "no terminal"]);
    assert!(!place.exists("run"));
}
