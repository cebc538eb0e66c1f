//! Recipes and files that cannot work: each is refused with what, where and
//! the remedy, as a user's mistake, and leaves nothing behind.
//!
//! `hostile/` has one recipe a mistake, whose `# expect:` lines are parts of
//! the message, and the data files and templates that they name.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod fixture;

use std::fs;
use std::path::Path;

use fixture::{Workplace, config, write_json, write_model, write_weights};
use serde_json::json;

/// Where the hostile recipes are.
const HOSTILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hostile");

/// A workplace with every hostile file and model, and the recipes' names.
fn hostile() -> (Workplace, Vec<String>) {
    let place = Workplace::new();
    let mut recipes = Vec::new();
    for entry in fs::read_dir(HOSTILE).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        fs::copy(entry.path(), place.path(&name)).unwrap();
        recipes.extend(name.strip_suffix(".toml").map(str::to_owned));
    }
    recipes.sort();
    write_models(&place);
    (place, recipes)
}

/// Model folders that each lack something.
fn write_models(place: &Workplace) {
    for (model, missing) in [
        ("no-config", "config.json"),
        ("no-tokenizer", "tokenizer.json"),
        ("no-weights", "model.safetensors"),
        ("no-template", "chat_template.jinja"),
    ] {
        write_model(&place.path(model), 1);
        fs::remove_file(place.path(model).join(missing)).unwrap();
    }
    let changed = |model: &str, key: &str, value: serde_json::Value| {
        write_model(&place.path(model), 1);
        let mut config = config();
        config[key] = value;
        write_json(&place.path(model).join("config.json"), &config);
    };
    changed("other-family", "model_type", json!("gpt2"));
    changed("other-shape", "intermediate_size", json!(66));
    // Sizes that would take all memory, were they believed.
    changed("huge-vocabulary", "vocab_size", json!(2_147_483_648_u64));
    changed("huge-heads", "head_dim", json!(2_147_483_648_u64));
    changed("many-layers", "num_hidden_layers", json!(10_000));
    changed("other-vocabulary", "vocab_size", json!(64));
    write_weights(&place.path("other-vocabulary"), 1, |value| value);

    write_model(&place.path("cut-weights"), 1);
    let weights = place.path("cut-weights/model.safetensors");
    let whole = fs::read(&weights).unwrap();
    fs::write(&weights, &whole[..whole.len() / 2]).unwrap();

    write_model(&place.path("large-tokenizer"), 1);
    let path = place.path("large-tokenizer/tokenizer.json");
    let text = fs::read_to_string(&path).unwrap();
    let mut tokenizer: serde_json::Value = serde_json::from_str(&text).unwrap();
    tokenizer["model"]["vocab"]["@"] = json!(48);
    write_json(&path, &tokenizer);
}

/// The parts of the message that a recipe's `# expect:` lines ask for.
fn expectations(recipe: &str) -> Vec<&str> {
    recipe
        .lines()
        .filter_map(|line| line.strip_prefix("# expect: "))
        .collect()
}

#[test]
fn every_hostile_recipe_is_refused_with_its_reason_and_leaves_nothing_behind() {
    let (place, recipes) = hostile();
    assert!(recipes.len() >= 60, "{recipes:?}");
    let mut complaints = Vec::new();
    for recipe in recipes {
        let file = format!("{recipe}.toml");
        let text = place.read(&file);
        let expected = expectations(&text);
        assert!(!expected.is_empty(), "{file} expects nothing");
        let ended = place.iwsft(&["train", &file]);
        let missing: Vec<_> = expected
            .into_iter()
            .filter(|fragment| !ended.stderr.contains(fragment))
            .collect();
        let errors = ended.stderr.lines();
        let errors = errors.filter(|line| line.starts_with("error: ")).count();
        if ended.status != Some(2) || !missing.is_empty() || errors != 1 {
            complaints.push(format!("{file}: does not say {missing:?}\n{ended}"));
        }
        if !ended.stdout.is_empty() || place.exists(&format!("runs/{recipe}")) {
            complaints.push(format!("{file}: leaves something behind\n{ended}"));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn score_and_inspect_refuse_the_same_mistakes() {
    let (place, _) = hostile();
    let cases: [(&str, &[&str]); 6] = [
        ("misspelt-key.toml", &["did you mean `learning_rate`?"]),
        ("missing-file.toml", &["nowhere.jsonl"]),
        ("missing-model.toml", &["no such model folder"]),
        ("broken-json.toml", &["broken.jsonl:2"]),
        ("broken-template.toml", &["broken.jinja"]),
        (
            "chat-without-template.toml",
            &["chat.jsonl:1", "no chat template"],
        ),
    ];
    for (recipe, fragments) in cases {
        for command in ["score", "inspect"] {
            let rows: &[&str] = if command == "inspect" {
                &["--rows", "9"]
            } else {
                &[]
            };
            let args = [&[command, recipe], rows].concat();
            place.iwsft(&args).fails(2, fragments);
        }
    }
}

#[test]
fn a_recipe_that_is_not_there_or_no_recipe_is_named() {
    let place = Workplace::new();
    place
        .iwsft(&["train", "no.toml"])
        .fails(2, &["no.toml", "cannot read the recipe"]);
    fs::write(place.path("bytes.toml"), [0xFF, 0xFE, 0x00]).unwrap();
    place
        .iwsft(&["train", "bytes.toml"])
        .fails(2, &["bytes.toml"]);
    place.write("empty.toml", "");
    place
        .iwsft(&["train", "empty.toml"])
        .fails(2, &["empty.toml", "missing field"]);
    place
        .iwsft(&["train", "model"])
        .fails(2, &["model/recipe.toml"]);
    place
        .iwsft(&["train", "train.jsonl"])
        .fails(2, &["train.jsonl"]);
}

#[test]
fn a_refused_command_line_is_a_users_mistake() {
    let place = Workplace::new();
    for args in [
        &["trian"][..],
        &["train"],
        &["train", "recipe.toml", "--stes", "x"],
        &["bandit", "--updates", "0"],
        &["bandit", "--learning-rate", "-1"],
    ] {
        let ended = place.iwsft(args);
        assert_eq!(ended.status, Some(2), "{args:?}: {ended}");
        assert!(ended.stderr.starts_with("error: "), "{args:?}: {ended}");
    }
}

#[test]
fn files_named_by_hostile_recipes_are_all_there() {
    // Otherwise a recipe is refused for another reason than the one it is for.
    for entry in fs::read_dir(HOSTILE).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let names = text.split('"').skip(1).step_by(2);
        for name in names.filter(|name| name.ends_with(".jsonl") || name.ends_with(".jinja")) {
            let generated = ["train.jsonl", "nowhere.jsonl", "nowhere.jinja"].contains(&name);
            let there = Path::new(HOSTILE).join(name).exists();
            assert!(generated || there, "{}: {name}", path.display());
        }
    }
}

#[test]
fn nothing_of_the_working_folder_is_executed() {
    let place = Workplace::new();
    // Python looks for modules in the working folder first, unless it is told not to.
    for module in ["sysconfig.py", "site.py", "os.py"] {
        place.write(module, "open('EXECUTED', 'w')");
    }
    // A search path with an empty entry leads here.
    place.write("python3", "#!/bin/sh\ntouch EXECUTED\n");
    let program = place.path("python3");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    place.write("libmujoco.so", "no library");
    let mut command = place.command(&["control", "doctor", "--seconds", "0.01", "Pendulum"]);
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!(":.:{path}"));
    command.env("LD_LIBRARY_PATH", ":");
    for variable in ["LIBMUJOCO", "VIRTUAL_ENV", "CONDA_PREFIX"] {
        command.env_remove(variable);
    }
    let ended = place.run(command);
    assert!(!place.exists("EXECUTED"), "{ended}");
    assert!(!ended.to_string().contains("no library"), "{ended}");
}

#[test]
fn what_the_outside_world_says_never_commands_a_terminal() {
    const COMMANDS: &str = "\x1b]0;X\x07\x1b[2J\u{9b}2J";
    let place = Workplace::new();
    let named = format!("a{COMMANDS}.jsonl");
    let row = json!({"completion": COMMANDS, "answer": "1", "id": COMMANDS});
    place.write(&named, &format!("{row}\n"));
    place.write(
        "bad.toml",
        &format!("[model]\npath = \"{}\"", "x\\u001b]0;X\\u0007"),
    );
    let grade = ["grade", &named, "--out", "out.jsonl", "--show-wrong", "1"];
    let missing = format!("{COMMANDS}.toml");
    for arguments in [
        &grade[..],
        &["curate", &named, "--out", "o.jsonl"],
        &["train", "bad.toml"],
        &["train", &missing],
        &["sample", &missing, "--prompt", "x"],
        &["eval", "model", "--benchmark", COMMANDS, "--out", "r"],
        &["report", COMMANDS],
    ] {
        let ended = place.iwsft(arguments);
        let told = format!("{}{}", ended.stdout, ended.stderr);
        let commands = |c: char| c.is_control() && c != '\n' && c != '\t';
        assert!(!told.contains(commands), "{arguments:?}: {told:?}");
    }
}

#[test]
fn sizes_that_the_weights_do_not_have_are_refused_before_they_take_memory() {
    let (place, _) = hostile();
    for (model, fragments) in [
        (
            "huge-vocabulary",
            &["model.embed_tokens.weight", "config.json implies"][..],
        ),
        ("huge-heads", &["q_proj", "config.json implies"]),
        ("many-layers", &["model.layers.", "is missing"]),
    ] {
        // 2 GB of address space are far less than any of these sizes.
        let sample = place.command(&["sample", model, "--prompt", "x"]);
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", "ulimit -v 2000000; exec \"$0\" \"$@\""]);
        shell.arg(sample.get_program()).args(sample.get_args());
        shell.current_dir(place.root());
        place.run(shell).fails(2, fragments);
    }
}
