//! What a shell and `man` get to know, and what the program says of itself and
//! of the machine.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod fixture;

use std::fs;

use fixture::Workplace;

#[test]
fn completions_know_the_commands_in_every_shell() {
    let place = Workplace::new();
    for shell in ["bash", "zsh", "fish"] {
        let ended = place.iwsft(&["completions", shell]).succeeds();
        for word in ["quickstart", "report", "resume", "tensorboard"] {
            assert!(ended.stdout.contains(word), "{shell}: no {word}");
        }
        assert!(ended.stderr.is_empty(), "{ended}");
    }
    let ended = place.iwsft(&["completions", "csh"]);
    assert_eq!(ended.status, Some(2), "{ended}");
    assert!(ended.stderr.contains("bash"), "{ended}");
}

#[test]
fn every_command_has_a_man_page() {
    let place = Workplace::new();
    place.iwsft(&["man", "--out", "share/man1"]).succeeds();
    let names = fs::read_dir(place.path("share/man1")).unwrap();
    let names: Vec<_> = names
        .map(|each| each.unwrap().file_name().into_string().unwrap())
        .collect();
    let help = place.iwsft(&["--help"]).succeeds().stdout;
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let mut count = 1;
    for line in commands.take_while(|line| !line.is_empty()) {
        // Further lines of a description are indented more.
        let Some(name) = line
            .strip_prefix("  ")
            .filter(|rest| !rest.starts_with(' '))
        else {
            continue;
        };
        let name = name.split_whitespace().next().unwrap();
        if name != "help" {
            assert!(
                names.contains(&format!("iwsft-{name}.1")),
                "{name}: {names:?}"
            );
            count += 1;
        }
    }
    assert!(names.len() >= count && count > 8, "{names:?}");
    let page = place.read("share/man1/iwsft-train.1");
    assert!(
        page.contains(".TH") && page.contains("tensorboard"),
        "{page}"
    );

    place.write("file", "a letter");
    place
        .iwsft(&["man", "--out", "file/man1"])
        .fails(1, &["file/man1"]);
}

#[test]
fn the_doctor_finds_the_sums_right_and_says_what_there_is() {
    let place = Workplace::new();
    let ended = place.iwsft(&["doctor", "--json"]).succeeds();
    let checks = ended.json();
    let of = |name: &str| {
        let check = checks.iter().find(|check| check["name"] == name);
        check.unwrap_or_else(|| panic!("no {name} in {ended}"))
    };
    for name in ["matrix product", "product in bf16", "bandit"] {
        assert_eq!(of(name)["state"], "ok", "{ended}");
    }
    assert!(
        of("memory")["advice"]
            .as_str()
            .unwrap()
            .contains("parameters")
    );
    for name in ["processor", "kernels", "disk", "GPU", "MuJoCo"] {
        assert_ne!(of(name)["state"], "wrong", "{ended}");
    }
    let mut command = place.command(&["doctor", "--json"]);
    command.env("IWSFT_CPU", "portable");
    let ended = place.run(command).succeeds();
    assert!(ended.stdout.contains("portable in use"), "{ended}");
}

#[test]
fn the_long_version_tells_the_kernels_and_the_short_one_does_not() {
    let place = Workplace::new();
    let long = place.iwsft(&["--version"]).succeeds().stdout;
    for word in [
        env!("CARGO_PKG_VERSION"),
        "kernels: ",
        "portable",
        "f32",
        "bf16",
    ] {
        assert!(long.contains(word), "no {word} in {long}");
    }
    let short = place.iwsft(&["-V"]).succeeds().stdout;
    assert_eq!(short, format!("iwsft {}\n", env!("CARGO_PKG_VERSION")));
}
