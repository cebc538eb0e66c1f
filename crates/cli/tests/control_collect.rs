//! `iwsft control collect` and `render` as a user runs them.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod fixture;

use std::fs;

use fixture::{Ended, Workplace};

/// A collection that is done in no time: three episodes, and little networks.
fn collect(place: &Workplace, folder: &str, further: &[&str]) -> Ended {
    let folder = place.path(folder);
    let mut args = vec!["control", "collect", folder.to_str().unwrap(), "--json"];
    args.extend(["--environment", "Pendulum-v1", "--hidden", "16,16"]);
    args.extend(["--batch-size", "16", "--random-steps", "150"]);
    if !further.contains(&"--evaluate-every") {
        args.extend(["--evaluate-every", "200"]);
    }
    args.extend(["--episodes", "2", "--set-steps", "400"]);
    args.extend(further);
    place.iwsft(&args)
}

#[test]
fn a_collection_has_the_sets_of_d4rl() {
    let place = Workplace::new();
    let told = collect(&place, "data", &["--steps", "600"])
        .succeeds()
        .json();
    let result = &told[0];
    assert_eq!(result["learned_steps"], 600);
    assert_eq!(result["mujoco"], serde_json::Value::Null);
    assert_eq!(result["evaluations"].as_array().unwrap().len(), 3);
    let best = |key: &str| result[key]["return"].as_f64().unwrap();
    assert!(best("expert") >= best("medium"));
    let steps: Vec<(String, u64)> = result["sets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|set| {
            let name = set["name"].as_str().unwrap().to_owned();
            (name, set["steps"].as_u64().unwrap())
        })
        .collect();
    let medium = result["medium"]["step"].as_u64().unwrap();
    let expected = [
        ("random", 400),
        ("medium", 400),
        ("expert", 400),
        ("medium-expert", 800),
        ("medium-replay", medium),
    ];
    assert_eq!(
        steps,
        expected.map(|(name, steps)| (name.to_owned(), steps))
    );

    // Each is read as any other data; what was done lies within the bounds.
    for (name, steps) in expected {
        let file = place.path(format!("data/{name}.hdf5"));
        place.write(
            "read.toml",
            &format!(
                "seeds = 1\n[data]\npath = '{}'\n[policy]\nhidden = [8]\n[objective]\npreset = 'sft'\n\
                 [train]\nsteps = 1\nbatch_size = 2\nwarmup = 0\n[environment]\nname = 'Pendulum-v1'\n\
                 episodes = 2\nfinal_episodes = 2",
                file.display()
            ),
        );
        let recipe = place.path("read.toml");
        let run = place.path(name);
        let args = ["control", "train", recipe.to_str().unwrap(), "--run"];
        let told = place
            .iwsft(&[&args[..], &[run.to_str().unwrap()]].concat())
            .succeeds();
        let said = &told.stderr;
        assert!(
            said.contains(&format!("data: {} episodes", steps / 200)),
            "{said}"
        );
        assert!(!said.contains("beyond the bounds"), "{said}");
    }
}

#[test]
fn a_collection_goes_on_bit_for_bit() {
    let place = Workplace::new();
    collect(&place, "whole", &["--steps", "600"]).succeeds();
    // Stopped behind its second episode, and then made longer.
    collect(&place, "pieces", &["--steps", "400"]).succeeds();
    for set in [
        "random",
        "medium",
        "expert",
        "medium-expert",
        "medium-replay",
    ] {
        fs::remove_file(place.path(format!("pieces/{set}.hdf5"))).unwrap();
    }
    collect(&place, "pieces", &["--steps", "600"]).succeeds();
    for file in [
        "learned-600.safetensors",
        "policies/step-600/model.safetensors",
        "expert.hdf5",
    ] {
        let [whole, pieces] = ["whole", "pieces"]
            .map(|folder| fs::read(place.path(format!("{folder}/{file}"))).unwrap());
        assert!(whole == pieces, "{file} differs");
    }
    let other = ["--steps", "800", "--seed", "1"];
    collect(&place, "pieces", &other).fails(2, &["other settings"]);
    let none = ["--steps", "200", "--evaluate-every", "500"];
    collect(&place, "none", &none).fails(2, &["--evaluate-every"]);
}

#[test]
fn an_episode_becomes_a_picture_that_moves() {
    let place = Workplace::new();
    let picture = place.path("up.svg");
    let args = ["control", "render", picture.to_str().unwrap(), "--json"];
    let told = place.iwsft(&args).succeeds().json();
    assert_eq!(
        (&told[0]["steps"], &told[0]["frames"]),
        (&200.into(), &201.into())
    );
    let text = fs::read_to_string(&picture).unwrap();
    let svg = roxmltree::Document::parse(&text).unwrap();
    let moving: Vec<_> = svg
        .descendants()
        .filter(|node| node.has_tag_name("animate"))
        .collect();
    // One rod of two ends, and a value for each frame.
    assert_eq!(moving.len(), 4);
    for animate in &moving {
        assert_eq!(animate.attribute("values").unwrap().split(';').count(), 201);
    }
    // The rule holds it at the top in the end: the tip is at 0, -1.
    let last = |name: &str| -> f64 {
        let of = |node: &&roxmltree::Node<'_, '_>| node.attribute("attributeName") == Some(name);
        let animate = moving.iter().find(of).unwrap();
        let values = animate.attribute("values").unwrap();
        values.rsplit(';').next().unwrap().parse().unwrap()
    };
    assert!(last("x2").abs() < 0.1 && last("y2") < -0.99);

    for name in ["MountainCarContinuous-v0", "PointMaze-UMaze-v0"] {
        let args = [&args[..], &["--environment", name, "--policy", "random"]].concat();
        place.iwsft(&args).succeeds();
        let text = fs::read_to_string(&picture).unwrap();
        assert!(roxmltree::Document::parse(&text).is_ok(), "{name}");
    }
    let wrong = [&args[..], &["--policy", "nobody"]].concat();
    place.iwsft(&wrong).fails(2, &["nobody"]);
    let [photograph, other] = ["up.png", "up.gif"].map(|name| place.path(name));
    let of = |file: &std::path::Path| file.to_str().unwrap().to_owned();
    let photograph = ["control", "render", &of(&photograph)];
    place.iwsft(&photograph).fails(2, &["Pendulum-v1", ".svg"]);
    let wide = [&photograph[..], &["--width", "10000"]].concat();
    place.iwsft(&wide).fails(2, &["--width 10000", "640"]);
    let other = ["control", "render", &of(&other)];
    place.iwsft(&other).fails(2, &["up.gif", ".svg", ".png"]);
}

/// Skips where there is no MuJoCo, or no OpenGL.
#[test]
fn a_robots_episode_is_photographed() {
    let place = Workplace::new();
    let picture = place.path("run.png");
    let args = [
        "control",
        "render",
        picture.to_str().unwrap(),
        "--environment=HalfCheetah-v4",
        "--policy=random",
        "--seconds=0.5",
        "--width=160",
    ];
    let done = place.iwsft(&args);
    if !picture.exists() {
        done.fails(2, &["HalfCheetah-v4 needs MuJoCo"]);
        eprintln!("skipped: there is no MuJoCo here, or no OpenGL");
        return;
    }
    done.succeeds();
    let file = fs::File::open(&picture).unwrap();
    let mut reader = png::Decoder::new(std::io::BufReader::new(file))
        .read_info()
        .unwrap();
    let info = reader.info();
    assert_eq!((info.width, info.height), (160, 120));
    let frames = info.animation_control().unwrap().num_frames as usize;
    // Ten steps of 0.05 s, and where it began.
    assert_eq!(frames, 11);
    let size = reader.output_buffer_size().unwrap();
    let photographs: Vec<Vec<u8>> = (0..frames)
        .map(|_| {
            let mut pixels = vec![0; size];
            reader.next_frame(&mut pixels).unwrap();
            pixels
        })
        .collect();
    // The sky is above, and differs from the ground; and something has moved.
    let first = &photographs[0];
    assert_ne!(first[..3], first[size - 3..]);
    let moved = first.iter().zip(&photographs[frames - 1]);
    let moved = moved.filter(|(before, after)| before.abs_diff(**after) > 20);
    assert!(moved.count() > size / 100);
}
