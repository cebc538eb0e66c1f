//! `[objective]` as recipes write it.

use iwsft_objective::{
    Length, Method, Objective, ObjectiveError, ObjectiveSpec, Preset, Proposal, Quality, Reduction,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Recipe {
    objective: Objective,
}

fn resolve(toml: &str) -> Result<Objective, ObjectiveError> {
    let spec: ObjectiveSpec = toml::from_str(toml).expect("a spec");
    spec.resolve()
}

fn refusal(toml: &str) -> String {
    resolve(toml).expect_err(toml).to_string()
}

#[test]
fn a_recipe_may_write_out_every_key() {
    let recipe: Recipe = toml::from_str(
        "[objective]
        method = 'iw-sft'
        temperature = 2.0
        clip = [0.5, 4.0]
        length = 'sum'
        reduction = 'token'
        self_normalise = true
        q = { lagged = 50 }
        quality = 'resample'",
    )
    .expect("a valid recipe");
    let expected = Objective {
        method: Method::IwSft,
        temperature: 2.0,
        clip: Some([0.5, 4.0]),
        length: Length::Sum,
        reduction: Reduction::Token,
        self_normalise: true,
        q: Proposal::Lagged(50),
        quality: Quality::Resample,
    };
    assert_eq!(recipe.objective, expected);
}

#[test]
fn presets_have_the_values_of_the_published_programs() {
    let llm = resolve("preset = 'iw-sft-llm'").expect("a preset");
    let expected = Objective {
        method: Method::IwSft,
        temperature: 1.0,
        clip: Some([0.0, 16.0]),
        length: Length::Mean,
        reduction: Reduction::TrajectoryMean,
        self_normalise: false,
        q: Proposal::Current,
        quality: Quality::Off,
    };
    assert_eq!(llm, expected);
    let step = resolve("preset = 'iw-sft-llm-step'").expect("a preset");
    let expected_step = Objective {
        method: Method::IwSftStep,
        clip: Some([0.2, 1.8]),
        ..expected.clone()
    };
    assert_eq!(step, expected_step);
    let control = resolve("preset = 'iw-sft-control'").expect("a preset");
    let expected_control = Objective {
        temperature: 10.0,
        clip: Some([0.0, 1000.0]),
        self_normalise: true,
        q: Proposal::Ema(0.9),
        ..expected.clone()
    };
    assert_eq!(control, expected_control);
    let control_step = resolve("preset = 'iw-sft-control-step'").expect("a preset");
    let expected_control_step = Objective {
        method: Method::IwSftStep,
        clip: Some([0.0, 2.0]),
        ..expected_control
    };
    assert_eq!(control_step, expected_control_step);
}

#[test]
fn the_presets_by_quality_are_sft_and_iw_sft_on_rows_drawn_by_quality() {
    for (preset, plain) in [("sft-q", "sft"), ("iw-sft-q", "iw-sft-llm")] {
        let written_out = format!("preset = '{plain}'\nquality = 'resample'");
        let short = resolve(&format!("preset = '{preset}'"));
        assert_eq!(short, resolve(&written_out));
        assert_eq!(short.expect("a preset").quality, Quality::Resample);
        let weighted = resolve(&format!("preset = '{preset}'\nquality = 'weight'"));
        assert_eq!(weighted.expect("a preset").quality, Quality::Weight);
    }
}

#[test]
fn single_keys_override_a_preset() {
    let objective = resolve("preset = 'iw-sft-control'\nq = 'current'\nclip = [0, 5]")
        .expect("a valid objective");
    assert_eq!(objective.q, Proposal::Current);
    assert_eq!(objective.clip, Some([0.0, 5.0]));
    assert_eq!(objective.temperature, 10.0);
}

#[test]
fn a_method_alone_means_the_preset_of_its_name() {
    for (method, preset) in [
        ("sft", "sft"),
        ("iw-sft", "iw-sft-llm"),
        ("iw-sft-step", "iw-sft-llm-step"),
        ("dft", "dft"),
        ("psft", "psft"),
        ("asft", "asft"),
    ] {
        assert_eq!(
            resolve(&format!("method = '{method}'")),
            resolve(&format!("preset = '{preset}'"))
        );
    }
}

#[test]
fn a_method_over_a_preset_drops_what_it_has_no_use_for() {
    let objective =
        resolve("preset = 'iw-sft-control'\nmethod = 'sft'").expect("a valid objective");
    assert_eq!((objective.clip, objective.q), (None, Proposal::Current));
    assert!(objective.self_normalise);
}

#[test]
fn what_is_written_resolves_to_the_same_objective() {
    let mut specs: Vec<ObjectiveSpec> = Preset::ALL.into_iter().map(Preset::spec).collect();
    for spec in &mut specs {
        if spec.preset == Some(Preset::PAlpha) {
            spec.alpha = Some(0.25);
        }
    }
    let open = toml::from_str("method = 'iw-sft'\nclip = [0.5, inf]\nq = { lagged = 3 }");
    specs.push(open.expect("a spec"));
    for spec in specs {
        let recipe = Recipe {
            objective: spec.resolve().expect("a valid objective"),
        };
        let text = toml::to_string(&recipe).expect("TOML");
        assert_eq!(toml::from_str::<Recipe>(&text).expect(&text), recipe);
    }
}

#[test]
fn the_names_of_presets_are_those_that_recipes_use() {
    for preset in Preset::ALL {
        let spec: ObjectiveSpec =
            toml::from_str(&format!("preset = '{}'", preset.name())).expect("a preset");
        assert_eq!(spec.preset, Some(preset));
    }
    for toml in [
        "method = 'sft'",
        "method = 'p-alpha'\nalpha = 1",
        "method = 'psft'",
        "method = 'asft'",
    ] {
        let name = resolve(toml).expect(toml).method.name();
        assert!(toml.starts_with(&format!("method = '{name}'")));
    }
}

#[test]
fn unknown_keys_and_names_are_refused_with_the_valid_ones() {
    for (toml, wanted) in [
        ("preset = 'sft'\nclipp = [0, 1]", "`clipp`"),
        ("preset = 'iw-sft'", "`iw-sft-llm`"),
        ("method = 'iwsft'", "`iw-sft-step`"),
        ("preset = 'sft'\nquality = 'on'", "`resample`"),
        ("preset = 'psft'\nq = { every = 3 }", "`lagged`"),
        ("preset = 'psft'\nq = { lagged = -3 }", "-3"),
    ] {
        let message = toml::from_str::<ObjectiveSpec>(toml)
            .expect_err(toml)
            .to_string();
        assert!(message.contains(wanted), "{toml}: {message}");
    }
}

#[test]
fn invalid_values_and_combinations_are_refused_by_key_and_remedy() {
    let clips = "expected [low, high]";
    for (toml, key, remedy) in [
        ("temperature = 1.0", "`preset`", "preset = \"sft\""),
        (
            "preset = 'sft'\ntemperature = 0.0",
            "temperature",
            "above 0",
        ),
        ("preset = 'sft'\ntemperature = inf", "temperature", "finite"),
        ("preset = 'sft'\ntemperature = nan", "temperature", "finite"),
        ("method = 'iw-sft'\nclip = [2, 1]", "clip", clips),
        ("method = 'iw-sft'\nclip = [-1, 1]", "clip", clips),
        ("method = 'iw-sft'\nclip = [0, 0]", "clip", clips),
        ("method = 'iw-sft'\nclip = [inf, inf]", "clip", clips),
        ("method = 'iw-sft'\nclip = [nan, 1]", "clip", clips),
        ("preset = 'sft'\nclip = [0, 1]", "clip", "remove it"),
        ("preset = 'psft'\nclip = [0, 1]", "clip", "remove it"),
        (
            "preset = 'dft'\nq = { ema = 0.9 }",
            "q",
            "or use \"iw-sft\"",
        ),
        ("method = 'iw-sft'\nq = { ema = 1.0 }", "q.ema", "below 1"),
        ("method = 'iw-sft'\nq = { ema = -0.1 }", "q.ema", "from 0"),
        (
            "method = 'iw-sft'\nq = { lagged = 0 }",
            "q.lagged",
            "at least 1",
        ),
        ("preset = 'p-alpha'", "alpha", "0 is SFT"),
        ("preset = 'p-alpha'\nalpha = -1.0", "alpha", "at least 0"),
        ("preset = 'dft'\nalpha = 1.0", "alpha", "or use \"p-alpha\""),
        (
            "preset = 'sft'\nepsilon = 0.1",
            "epsilon",
            "or use \"psft\"",
        ),
        ("preset = 'psft'\nepsilon = -0.1", "epsilon", "at least 0"),
        ("preset = 'asft'\nlambda = -0.1", "lambda", "at least 0"),
        ("preset = 'dft'\nlambda = 0.1", "lambda", "or use \"asft\""),
        (
            "preset = 'asft'\nself_normalise = true",
            "self_normalise",
            "remove it",
        ),
        ("preset = 'psft'\nq = 'current'", "q", "lagged = 8"),
    ] {
        let message = refusal(toml);
        assert!(message.contains(key), "{toml}: {message}");
        assert!(message.contains(remedy), "{toml}: {message}");
    }
}

#[test]
fn a_file_with_an_invalid_objective_is_refused_with_the_same_words() {
    let text = "[objective]\npreset = 'psft'\nq = 'current'";
    let message = toml::from_str::<Recipe>(text).expect_err(text).to_string();
    assert!(message.contains(&refusal("preset = 'psft'\nq = 'current'")));
}
