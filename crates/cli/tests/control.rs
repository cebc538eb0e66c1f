//! `iwsft control` as a user runs it, with MuJoCo and without.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod fixture;

use std::fs;

use fixture::{Ended, Workplace};

/// Runs `iwsft control`, with `LIBMUJOCO` as given; none leaves it as it is.
fn control(place: &Workplace, args: &[&str], library: Option<&str>) -> Ended {
    let mut command = place.command(&[&["control"], args].concat());
    if let Some(library) = library {
        command.env("LIBMUJOCO", library);
    }
    place.run(command)
}

#[test]
fn environments_are_listed_whether_or_not_they_can_be_made() {
    let place = Workplace::new();
    let table = control(&place, &["environments"], Some("/nowhere")).succeeds();
    assert!(table.stdout.contains("environment"), "{table}");
    let lines = control(&place, &["environments", "--json"], Some("/nowhere")).succeeds();
    let lines = lines.json();
    assert_eq!(lines.len() + 2, table.stdout.lines().count(), "{table}");
    let find = |name| {
        lines
            .iter()
            .find(|line| line["environment"] == name)
            .unwrap()
    };
    let ant = find("Ant-v5");
    assert_eq!(
        (&ant["observation_size"], &ant["action_size"]),
        (&105.into(), &8.into())
    );
    assert_eq!(ant["needs_mujoco"], true);
    assert_eq!(find("CartPole-v1")["choices"], 2);
    assert!(find("Pendulum-v1")["choices"].is_null());
}

#[test]
fn the_doctor_says_what_is_missing_and_which_command_installs_it() {
    let place = Workplace::new();
    let args = ["doctor", "--seconds", "0"];
    let told = control(&place, &args, Some("/nowhere")).succeeds();
    for part in ["LIBMUJOCO=/nowhere", "pip install mujoco=="] {
        assert!(told.stdout.contains(part), "{part}: {told}");
    }
    for line in told.stdout.lines() {
        let expected = match line.split('-').next() {
            Some("Hopper" | "HalfCheetah" | "Walker2d" | "Ant") => "needs MuJoCo",
            Some("Pendulum" | "CartPole" | "MountainCarContinuous" | "PointMaze") => "yes",
            _ => continue,
        };
        assert!(line.contains(expected), "{line}");
    }
    let lines = control(&place, &[&args[..], &["--json"]].concat(), Some("/nowhere"));
    let lines = lines.succeeds().json();
    assert!(lines[0]["mujoco"].is_null() && lines[0]["install"].is_string());
    let works = lines.iter().filter(|line| line["works"] == true);
    assert_eq!((lines.len(), works.count()), (15, 6));
}

#[test]
fn a_file_that_is_no_library_is_named_with_the_reason() {
    let place = Workplace::new();
    let file = place.write("libmujoco.so", "not a library");
    let args = ["doctor", "--environment", "Hopper-v4", "--seconds", "0"];
    // The file, and the folder that it is in.
    for library in [file.as_path(), place.root()] {
        let told = control(&place, &args, Some(library.to_str().unwrap())).succeeds();
        let expected = format!("{}: cannot be loaded", file.display());
        assert!(told.stdout.contains(&expected), "{told}");
    }
}

#[test]
fn the_doctor_refuses_what_it_does_not_know() {
    let place = Workplace::new();
    let wrong = ["doctor", "--environment", "hopper-v4"];
    control(&place, &wrong, Some("/nowhere")).fails(2, &["did you mean `Hopper-v4`?"]);
    let wrong = ["doctor", "--seconds", "NaN"];
    control(&place, &wrong, None).fails(2, &["--seconds NaN"]);
}

#[test]
fn the_doctor_steps_what_it_finds_and_leaves_no_file() {
    let place = Workplace::new();
    let args = ["doctor", "--json", "--seconds", "0.01"];
    let told = control(&place, &args, None).succeeds();
    let lines = told.json();
    let has_mujoco = lines[0]["mujoco"] == lines[0]["expected"];
    if !has_mujoco {
        eprintln!("skipped for MuJoCo's robots: {}", lines[0]);
    }
    for line in &lines[1..] {
        let name = line["environment"].as_str().unwrap();
        let is_robot = !["CartPole", "MountainCar", "Pendulum", "PointMaze"]
            .iter()
            .any(|classic| name.starts_with(classic));
        if has_mujoco || !is_robot {
            assert_eq!(line["works"], true, "{told}");
            assert!(line["steps_per_second"].as_f64().unwrap() > 0.0, "{told}");
        }
    }
    // MuJoCo would leave MUJOCO_LOG.TXT.
    let left: Vec<_> = fs::read_dir(place.root()).unwrap().collect();
    let untouched = Workplace::new();
    let expected = fs::read_dir(untouched.root()).unwrap().count();
    assert_eq!(left.len(), expected, "{left:?}");
}
