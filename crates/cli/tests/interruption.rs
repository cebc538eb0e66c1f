//! Runs that are killed, interrupted or robbed of their folder: resumed, they
//! end with the very bytes of a run that nobody disturbed.

#![cfg(unix)] // Signals.
#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod fixture;

use std::fs;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use fixture::{Random, Workplace, number, sums};
use iwsft_files::Lock;

/// A long run: 120 steps, 7 an epoch, a checkpoint after every third.
const LONG: [&str; 4] = [
    "train.steps=120",
    "train.checkpoint_every=3",
    "train.validate_every=50",
    "train.learning_rate=1e-3",
];

/// Objectives that differ in what has to be restored.
const OBJECTIVES: [(&str, &[&str]); 3] = [
    ("sft", &["model.save_as=bf16", "train.precision=bf16"]),
    (
        "ema",
        &[
            "objective.preset=iw-sft-llm",
            "objective.q={ ema = 0.9 }",
            "objective.quality=resample",
        ],
    ),
    (
        "lagged",
        &[
            "objective.preset=iw-sft-llm-step",
            "objective.q={ lagged = 10 }",
        ],
    ),
];

/// `train recipe.toml` into `run` with the settings of a long run.
fn arguments<'a>(run: &'a str, objective: &[&'a str]) -> Vec<&'a str> {
    let sets = LONG.iter().chain(objective);
    let mut args = vec!["train", "recipe.toml", "--run", run];
    args.extend(sets.flat_map(|set| ["--set", *set]));
    args
}

/// Steps that the log of a run has reached.
fn logged(place: &Workplace, run: &str) -> usize {
    let log = fs::read_to_string(place.path(run).join("metrics.jsonl")).unwrap_or_default();
    log.matches("\"kind\":\"step\"").count()
}

/// Waits until `ready`; the run must not be over by then.
fn wait_for(child: &mut Child, what: &str, mut ready: impl FnMut() -> bool) {
    let start = Instant::now();
    while !ready() {
        if let Some(status) = child.try_wait().unwrap() {
            panic!("the run was over ({status}) before {what}; make it longer");
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Kills a run as `kill -9` does, and makes sure that it had not ended.
fn kill(place: &Workplace, run: &str, mut child: Child) {
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), None, "the run ended by itself");
    assert!(!place.exists(&format!("{run}/model")));
}

/// Requires the weights of a run, and its log but for times, to be another's.
#[track_caller]
fn assert_same(place: &Workplace, run: &str, whole: &str) {
    assert!(
        place.weights(run) == place.weights(whole),
        "{run}: other bytes"
    );
    let log = |run: &str| {
        let mut lines = place.lines(&format!("{run}/metrics.jsonl"));
        for line in &mut lines {
            let line = line.as_object_mut().unwrap();
            line.retain(|key, _| !["seconds", "tokens_per_second"].contains(&key.as_str()));
        }
        lines
    };
    assert_eq!(log(run), log(whole), "{run}");
}

#[test]
fn a_run_killed_at_any_moment_and_resumed_ends_with_the_same_bytes() {
    let place = Workplace::new();
    let mut random = Random::new(11);
    for (name, objective) in OBJECTIVES {
        place.iwsft(&arguments(name, objective)).succeeds();
        for attempt in 0..2 {
            let run = format!("{name}-{attempt}");
            let mut child = place.spawn(&arguments(&run, objective));
            // Also before the first checkpoint, and at any place between two.
            let step = 1 + random.below([5, 60][attempt]) as usize;
            wait_for(&mut child, "the kill", || logged(&place, &run) >= step);
            std::thread::sleep(Duration::from_micros(random.below(3000)));
            kill(&place, &run, child);
            let checkpoint = place.checkpoints(&run).pop();

            // The settings are in the run folder.
            let ended = place.iwsft(&["train", &run, "--resume"]).succeeds();
            let step = checkpoint.map(|step| format!("resuming behind step {step}\n"));
            match step {
                Some(resuming) => assert!(ended.stderr.contains(&resuming), "{ended}"),
                None => assert!(!ended.stderr.contains("resuming"), "{ended}"),
            }
            assert_same(&place, &run, name);
        }
    }
}

#[test]
fn a_run_killed_twice_and_amid_a_checkpoint_ends_with_the_same_bytes() {
    let place = Workplace::new();
    let (_, objective) = OBJECTIVES[1];
    place.iwsft(&arguments("whole", objective)).succeeds();

    let unfinished = || {
        let entries = fs::read_dir(place.path("run/checkpoints"));
        let mut names = entries.into_iter().flatten().flatten();
        names.any(|entry| entry.file_name().to_string_lossy().ends_with(".tmp"))
    };
    let mut child = place.spawn(&arguments("run", objective));
    wait_for(&mut child, "a checkpoint", || {
        logged(&place, "run") > 20 && unfinished()
    });
    kill(&place, "run", child);
    let first = place.checkpoints("run");

    let mut child = place.spawn(&["train", "run", "--resume"]);
    wait_for(&mut child, "the second kill", || logged(&place, "run") > 60);
    kill(&place, "run", child);
    assert!(place.checkpoints("run").last() > first.last());

    // The way back to the recipe works as well as the run folder.
    let resume = [&arguments("run", objective)[..], &["--resume"]].concat();
    place.iwsft(&resume).succeeds();
    assert_same(&place, "run", "whole");
    assert!(!unfinished(), "half a checkpoint is left");
}

#[test]
fn an_interrupted_run_saves_says_how_to_resume_and_ends_with_the_same_bytes() {
    let place = Workplace::new();
    let (_, objective) = OBJECTIVES[2];
    place.iwsft(&arguments("whole", objective)).succeeds();
    for (run, signal) in [("int", "-INT"), ("term", "-TERM")] {
        let mut command = place.command(&arguments(run, objective));
        let errors = place.path(format!("{run}.txt"));
        command.stderr(fs::File::create(&errors).unwrap());
        let mut child = command.spawn().unwrap();
        wait_for(&mut child, signal, || logged(&place, run) > 50);
        let pid = child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
        let status = child.wait().unwrap();
        let said = fs::read_to_string(errors).unwrap();
        assert_eq!(status.code(), Some(130), "{said}");
        let how = format!(
            "resume with: iwsft train {} --resume",
            place.path(run).display()
        );
        assert!(said.contains(&how), "{said}");
        // The step in progress was finished and saved, whether or not one was due.
        let last = place.checkpoints(run).pop();
        assert_eq!(last, Some(logged(&place, run) as u64));
        assert!(!place.exists(&format!("{run}/model")));

        place.iwsft(&["train", run, "--resume"]).succeeds();
        assert_same(&place, run, "whole");
    }
}

#[test]
fn a_run_killed_before_its_first_step_can_be_started_again() {
    let place = Workplace::new();
    // Enough rows that the reference takes a while.
    place.write("train.jsonl", &sums(1, 6000));
    let args = [
        "train",
        "recipe.toml",
        "--set",
        "objective.preset=iw-sft-llm",
    ];
    let mut child = place.spawn(&args);
    wait_for(&mut child, "the run folder", || {
        place.exists("run/checkpoints")
    });
    kill(&place, "run", child);
    assert!(
        !place.exists("run/metrics.jsonl"),
        "killed too late to tell"
    );
    place.iwsft(&args).succeeds();
}

/// A file that cannot grow fails as a full disk does, and needs no disk.
#[test]
fn a_checkpoint_that_does_not_fit_leaves_the_earlier_ones_and_the_run_goes_on() {
    let place = Workplace::new();
    let (_, objective) = OBJECTIVES[1];
    place.iwsft(&arguments("whole", objective)).succeeds();
    let mut child = place.spawn(&arguments("run", objective));
    wait_for(&mut child, "two checkpoints", || logged(&place, "run") > 9);
    kill(&place, "run", child);
    let before = place.checkpoints("run");

    let limited = "trap '' XFSZ; ulimit -f 150; exec \"$0\" \"$@\"";
    let resume = place.command(&["train", "run", "--resume"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", limited]).arg(resume.get_program());
    shell.args(resume.get_args()).current_dir(place.root());
    let last = before.last().unwrap();
    let ended = place.run(shell).fails(
        1,
        &[
            "cannot write checkpoint",
            "the last good checkpoint is",
            &format!("step-{last:08}"),
        ],
    );
    assert_eq!(place.checkpoints("run"), before, "{ended}");

    place.iwsft(&["train", "run", "--resume"]).succeeds();
    assert_same(&place, "run", "whole");
}

#[test]
fn two_processes_do_not_train_into_one_folder() {
    let place = Workplace::new();
    let args = arguments("run", &[]);
    let mut child = place.spawn(&args);
    wait_for(&mut child, "a step", || logged(&place, "run") > 5);
    place
        .iwsft(&["train", "run", "--resume"])
        .fails(2, &["another process is training into", "run"]);
    kill(&place, "run", child);
    place.iwsft(&["train", "run", "--resume"]).succeeds();
}

/// Everything but `iwsft train`, which the test above is about.
#[test]
fn two_processes_do_not_share_a_run_of_any_other_kind() {
    let place = Workplace::new();
    let prompts = "{\"prompt\": \"1+1=\", \"answer\": 2}\n";
    place.write("prompts.jsonl", prompts);
    place.write("problems.jsonl", &prompts.replace("prompt", "question"));
    let head = "[model]\npath = 'model'\n[prompts]\nfile = 'prompts.jsonl'\n";
    let sft = "[objective]\npreset = 'sft'\n";
    place.write(
        "iterate.toml",
        &format!("run = 'run'\nrounds = 1\n{head}{sft}"),
    );
    let rollout = "[rollout]\nrounds = 1\nprompts = 1\n[objective]\npreset = 'grpo'\n";
    place.write("rl.toml", &format!("run = 'run'\n{head}{rollout}"));
    let record = ["control", "record", "pendulum.hdf5", "--episodes", "2"];
    place.iwsft(&record).succeeds();
    let control = format!(
        "run = 'run'\n[data]\npath = 'pendulum.hdf5'\n[policy]\nhidden = [8]\n[train]\nsteps = 2\n\
         [environment]\nname = 'Pendulum-v1'\n{sft}"
    );
    place.write("control.toml", &control);
    let baseline = "run = 'run'\n[data]\npath = 'pendulum.hdf5'\n[baseline]\nalgorithm = 'iql'\n\
                    [environment]\nname = 'Pendulum-v1'\n";
    place.write("baseline.toml", baseline);
    let args: &[(&str, &[&str])] = &[
        ("run/.lock", &["rl", "rl.toml"]),
        ("run/.lock", &["iterate", "iterate.toml"]),
        ("run/.lock", &["control", "train", "control.toml"]),
        ("run/.lock", &["control", "train", "baseline.toml"]),
        ("run/.lock", &["control", "collect", "run"]),
        ("run/.lock", &["quickstart", "--folder", "run"]),
        (
            "out.jsonl.journal",
            &[
                "sample",
                "model",
                "--prompts",
                "prompts.jsonl",
                "--out",
                "out.jsonl",
            ],
        ),
        (
            "run/answers.jsonl.journal",
            &[
                "eval",
                "model",
                "--problems",
                "problems.jsonl",
                "--plain",
                "--out",
                "run",
            ],
        ),
    ];
    fs::create_dir(place.path("run")).unwrap();
    for (lock, args) in args {
        let held = Lock::take(&place.path(lock)).unwrap();
        let own = format!("process {}", std::process::id());
        let mut parts = vec!["another process"];
        if cfg!(target_os = "linux") {
            parts.push(&own);
        }
        place.iwsft(args).fails(2, &parts);
        drop(held);
        fs::remove_file(place.path(lock)).unwrap();
        assert_eq!(
            fs::read_dir(place.path("run")).unwrap().count(),
            0,
            "{args:?}"
        );
    }
}

/// A link in the place of a lock or a journal is nobody's file to write to.
#[test]
fn locks_and_journals_do_not_follow_links() {
    let place = Workplace::new();
    place.write("prompts.jsonl", "{\"prompt\": \"1+1=\"}\n");
    let precious = place.write("precious.txt", "all of it");
    fs::create_dir(place.path("run")).unwrap();
    for (link, args) in [
        ("run/.lock", &["train", "recipe.toml"][..]),
        (
            "out.jsonl.journal",
            &[
                "sample",
                "model",
                "--prompts",
                "prompts.jsonl",
                "--out",
                "out.jsonl",
                "--restart",
            ],
        ),
    ] {
        std::os::unix::fs::symlink(&precious, place.path(link)).unwrap();
        place.iwsft(args).fails(2, &["a link", "remove it"]);
        assert_eq!(place.read("precious.txt"), "all of it", "{args:?}");
    }
}

#[test]
fn a_folder_that_goes_away_under_a_run_is_a_clear_failure() {
    let place = Workplace::new();
    let mut command = place.command(&arguments("run", &[]));
    let errors = place.path("said.txt");
    command.stderr(fs::File::create(&errors).unwrap());
    let mut child = command.spawn().unwrap();
    wait_for(&mut child, "a checkpoint", || logged(&place, "run") > 9);
    fs::rename(place.path("run"), place.path("gone")).unwrap();
    let status = child.wait().unwrap();
    let said = fs::read_to_string(errors).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    let error = said
        .lines()
        .find(|line| line.starts_with("error: "))
        .unwrap();
    assert!(error.contains("/run/"), "{error}");
    assert!(error.contains("No such file"), "{error}");
    // What was moved away is whole, and the run goes on from there.
    let kept = place.checkpoints("gone");
    assert!(!kept.is_empty());
    fs::rename(place.path("gone"), place.path("run")).unwrap();
    place.iwsft(&["train", "run", "--resume"]).succeeds();
    assert_eq!(place.checkpoints("run").last(), Some(&120));
}

#[test]
fn a_damaged_checkpoint_is_named_and_an_earlier_one_resumes_to_the_same_bytes() {
    let place = Workplace::new();
    let (_, objective) = OBJECTIVES[1];
    place.iwsft(&arguments("whole", objective)).succeeds();
    let mut child = place.spawn(&arguments("run", objective));
    wait_for(&mut child, "two checkpoints", || logged(&place, "run") > 30);
    kill(&place, "run", child);
    let last = place.checkpoints("run").pop().unwrap();
    let newest = place.path(format!("run/checkpoints/step-{last:08}"));
    let state = newest.join("trainer.safetensors");
    let bytes = fs::read(&state).unwrap();
    fs::write(&state, &bytes[..bytes.len() / 2]).unwrap();
    place
        .iwsft(&["train", "run", "--resume"])
        .fails(2, &["trainer.safetensors is damaged", "earlier"]);
    fs::remove_dir_all(newest).unwrap();
    place.iwsft(&["train", "run", "--resume"]).succeeds();
    assert_same(&place, "run", "whole");
    assert_eq!(number(&place.metrics("run", "step")[119], "step"), 120.0);
}

/// Sends a signal to a run and its message.
fn signal(child: &Child, signal: &str) {
    let pid = child.id().to_string();
    let sent = Command::new("kill").args([signal, &pid]).status();
    assert!(sent.unwrap().success());
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    let place = Workplace::new();
    let train = place.command(&arguments("run", &[]));
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]);
    shell.arg(train.get_program()).args(train.get_args());
    shell.current_dir(place.root());
    let mut child = shell.spawn().unwrap();
    wait_for(&mut child, "a step", || logged(&place, "run") > 5);
    signal(&child, "-HUP");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(place.checkpoints("run").last(), Some(&120));
}

#[test]
fn a_signal_that_comes_twice_at_once_still_saves() {
    let place = Workplace::new();
    for name in ["-TERM", "-INT"] {
        let run = &name[1..];
        let mut child = place.spawn(&arguments(run, &[]));
        wait_for(&mut child, "a step", || logged(&place, run) > 5);
        signal(&child, name);
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(130));
        let last = place.checkpoints(run).pop();
        assert_eq!(last, Some(logged(&place, run) as u64), "{name}");
    }
}
