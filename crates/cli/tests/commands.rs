//! The commands of `iwsft`, each run as a user runs it.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod fixture;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use fixture::{Workplace, conversations, number, sums, write_json, write_model, write_weights};
use safetensors::SafeTensors;
use serde_json::{Value, json};

/// Everything that a finished run must have left, and that its log is whole.
fn assert_complete(place: &Workplace, run: &str, steps: u64) {
    for file in [
        "recipe.toml",
        "metrics.jsonl",
        "model/config.json",
        "model/model.safetensors",
        "model/tokenizer.json",
        "model/tokenizer_config.json",
        "model/chat_template.jinja",
    ] {
        assert!(place.exists(&format!("{run}/{file}")), "{run}/{file}");
    }
    let lines = place.metrics(run, "step");
    let found: Vec<_> = lines.iter().map(|line| line["step"].as_u64()).collect();
    let expected: Vec<_> = (1..=steps).map(Some).collect();
    assert_eq!(found, expected, "{run}");
    assert_eq!(place.checkpoints(run).last(), Some(&steps), "{run}");
    assert!(place.parameters(run).iter().all(|value| value.is_finite()));
}

#[test]
fn sft_trains_to_the_end_and_lowers_the_validation_loss() {
    let place = Workplace::new();
    let sets = ["train.steps=40", "train.validate_every=10"];
    place.train("run", &sets).succeeds();
    assert_complete(&place, "run", 40);
    let nll: Vec<f64> = place
        .metrics("run", "validation")
        .iter()
        .map(|line| number(line, "nll"))
        .collect();
    assert_eq!(nll.len(), 5, "before the first step and every 10: {nll:?}");
    // The random start spreads over 48 tokens: ln 48 = 3.9.
    assert!(nll[0] > 3.0 && nll[4] < 0.6 * nll[0], "{nll:?}");
    let first = &place.metrics("run", "step")[0];
    assert!(first["j"].is_null(), "there is no reference: {first}");
    assert_eq!(number(first, "weight_max"), 1.0);
}

#[test]
fn iw_sft_trains_to_the_end_from_weights_of_one_and_reports_its_bounds() {
    let place = Workplace::new();
    let objectives: [(&str, &[&str]); 6] = [
        ("trajectory", &["objective.preset=iw-sft-llm"]),
        ("step", &["objective.preset=iw-sft-llm-step"]),
        (
            "resample",
            &["objective.preset=iw-sft-llm", "objective.quality=resample"],
        ),
        (
            "ema",
            &["objective.preset=iw-sft-llm", "objective.q={ ema = 0.5 }"],
        ),
        (
            "lagged",
            &["objective.preset=iw-sft-llm", "objective.q={ lagged = 4 }"],
        ),
        (
            "bf16",
            &["objective.preset=iw-sft-llm", "model.save_as=bf16"],
        ),
    ];
    for (run, sets) in objectives {
        place.train(run, sets).succeeds();
        if run != "bf16" {
            assert_complete(&place, run, 12);
        }
        let steps = place.metrics(run, "step");
        // q is the reference at first, whichever q it is; only rounding differs
        // between scoring the data and training on it.
        for key in ["weight_min", "weight_mean", "weight_max"] {
            assert!((number(&steps[0], key) - 1.0).abs() < 1e-5, "{run}: {key}");
        }
        let last = &steps[11];
        assert!(number(last, "weight_max") > 1.05, "{run}: {last}");
        assert!(number(last, "effective_sample_size") <= 6.0 * 17.0);
        for bound in ["sft_bound", "iw_sft_bound"] {
            let slack = 1e-6 * number(last, "j").abs();
            assert!(
                number(last, bound) <= number(last, "j") + slack,
                "{run}: {last}"
            );
        }
        // With q = p the bound is tight; an older q leaves a gap.
        let gap = number(last, "iw_sft_gap");
        let older = ["ema", "lagged"].contains(&run);
        assert_eq!(gap > 1e-6, older, "{run}: {gap}");
        assert!(number(last, "sft_gap") > gap, "{run}: {last}");
    }
    let [own, resampled] = ["trajectory", "resample"].map(|run| place.parameters(run));
    assert_ne!(own, resampled);
}

#[test]
fn quality_as_a_weight_multiplies_the_loss_of_each_trajectory() {
    let place = Workplace::new();
    let weighted = ["objective.quality=weight", "train.steps=4"];
    place.train("weighted", &weighted).succeeds();
    assert_complete(&place, "weighted", 4);
    for line in place.metrics("weighted", "step") {
        let (least, most) = (number(&line, "weight_min"), number(&line, "weight_max"));
        assert!(least >= 1.0 && most <= 3.0 && most > least, "{line}");
    }
    place.train("plain", &["train.steps=4"]).succeeds();
    assert_ne!(place.parameters("weighted"), place.parameters("plain"));
}

#[test]
fn json_is_one_line_on_standard_output_and_all_else_goes_to_standard_error() {
    let place = Workplace::new();
    let ended = place.train("table", &[]).succeeds();
    assert!(ended.stdout.contains("validation nll after"), "{ended}");

    let ended = place.iwsft(&["train", "recipe.toml", "--json"]).succeeds();
    let [summary] = &ended.json()[..] else {
        panic!("{ended}");
    };
    assert_eq!(summary["steps"], 12);
    assert_eq!(summary["model"], json!(place.path("run/model")));
    let steps = place.metrics("run", "step");
    let nll = place.metrics("run", "validation");
    for (key, logged) in [
        ("loss", number(&steps[11], "loss")),
        ("nll", number(&steps[11], "nll")),
        ("tokens", number(&steps[11], "total_tokens")),
        ("validation_nll_before", number(&nll[0], "nll")),
        ("validation_nll", number(&nll[1], "nll")),
    ] {
        assert_eq!(number(summary, key), logged, "{key}");
    }
    assert!(ended.stderr.contains("training data"), "{ended}");
}

#[test]
fn the_result_does_not_depend_on_how_steps_are_packed() {
    let place = Workplace::new();
    let sizes = ["16", "64", "4096"];
    for size in sizes {
        let micro_tokens = format!("train.micro_tokens={size}");
        let sets = ["objective.preset=iw-sft-llm", &micro_tokens];
        place.train(size, &sets).succeeds();
    }
    let passes = |run: &str| number(&place.metrics(run, "step")[0], "micro_batches");
    assert!(passes("16") > passes("64") && passes("64") > passes("4096"));
    let [base, others @ ..] = sizes;
    for other in others {
        let pairs = place.metrics(base, "step");
        for (a, b) in pairs.iter().zip(place.metrics(other, "step")) {
            for key in ["loss", "nll", "j", "weight_max"] {
                let (a, b) = (number(a, key), number(&b, key));
                assert!((a - b).abs() <= 1e-6 * a.abs(), "{other}: {key} {a} {b}");
            }
        }
        let (a, b) = (place.parameters(base), place.parameters(other));
        let norm = |values: &mut dyn Iterator<Item = f32>| {
            values
                .map(|v| f64::from(v) * f64::from(v))
                .sum::<f64>()
                .sqrt()
        };
        let difference = norm(&mut a.iter().zip(&b).map(|(a, b)| a - b));
        let relative = difference / norm(&mut a.iter().copied());
        assert!(relative <= 1e-6, "{other}: {relative}");
    }
}

#[test]
fn conversations_are_trained_on_through_the_chat_template() {
    let place = Workplace::new();
    place.write("train.jsonl", &conversations(1, 20));
    place.write("validation.jsonl", &conversations(2, 8));
    place
        .train("run", &["objective.preset=iw-sft-llm"])
        .succeeds();
    assert_complete(&place, "run", 12);
    let shown = place.iwsft(&["inspect", "recipe.toml"]).succeeds().stdout;
    assert!(
        shown.contains("user: 7+8=\nassistant:[[ so 15<eos>]]"),
        "{shown}"
    );
}

#[test]
fn conversations_whose_words_the_template_cuts_away_are_refused_or_counted_and_left_out() {
    let place = Workplace::new();
    let template = place.read("model/chat_template.jinja");
    assert!(template.contains("message.content"), "{template}");
    let cut = template.replace("message.content", "message.content.split('|')[-1]");
    place.write("model/chat_template.jinja", &cut);
    let row = |answer: &str| {
        let messages = json!([
            {"role": "user", "content": "1+1="},
            {"role": "assistant", "content": answer},
        ]);
        format!("{}\n", json!({ "messages": messages }))
    };
    place.write("train.jsonl", &(row("so 2").repeat(12) + &row("add|so 2")));
    let fragments = [
        "1 row(s)",
        "train.jsonl:13",
        "message 1",
        "add",
        "unlearnable = \"skip\"",
    ];
    place.train("refused", &[]).fails(2, &fragments);
    let skipped = place
        .train("run", &["data.unlearnable=skip", "data.validation="])
        .succeeds();
    for part in ["dropped, cannot be learnt", "train.jsonl:13"] {
        assert!(skipped.stderr.contains(part), "no {part:?} in {skipped}");
    }
}

#[test]
fn validation_that_rises_is_said_with_the_best_checkpoint_which_is_a_model() {
    let place = Workplace::new();
    // Nothing that is learnt helps with the validation data.
    let rows = |completion: &str| {
        let row = json!({"prompt": "1+1=", "completion": completion});
        format!("{row}\n").repeat(12)
    };
    place.write("train.jsonl", &rows("zzzzzz"));
    place.write("validation.jsonl", &rows("123456"));
    let sets = ["train.validate_every=2", "train.steps=8"];
    let ended = place.train("run", &sets).succeeds();
    for part in [
        "validation rose from the start",
        "validation was best at step 2 of 8",
        "run/checkpoints/step-00000002",
    ] {
        assert!(ended.stderr.contains(part), "no {part:?} in {ended}");
    }
    let again = ["train", "run", "--resume", "--json"];
    let ended = place.iwsft(&again).succeeds();
    let [summary] = &ended.json()[..] else {
        panic!("{ended}");
    };
    assert_eq!(summary["validation_rose"], true);
    assert_eq!(summary["best_validation_step"], 2);
    let best = summary["best_checkpoint"].as_str().unwrap();
    place
        .iwsft(&["sample", best, "--prompt", "1+1=", "--max-tokens", "3"])
        .succeeds();
    let sets = [&sets[..], &["train.keep_best=false"]].concat();
    let ended = place.train("last", &sets).succeeds();
    assert!(ended.stderr.contains("was not kept"), "{ended}");
    let ended = place.train("good", &[]);
    assert!(!ended.stderr.contains("validation was best"), "{ended}");
}

#[test]
fn a_part_of_an_epoch_is_trained_and_its_steps_are_said() {
    let place = Workplace::new();
    let recipe = fixture::RECIPE.replace("steps = 12", "epochs = 0.5");
    place.write("recipe.toml", &recipe);
    let ended = place.train("run", &[]).succeeds();
    let told = "0.5 epochs of 7 steps are 4 steps, rounded up";
    assert!(ended.stderr.contains(told), "{ended}");
    assert_complete(&place, "run", 4);
    assert!(place.read("run/recipe.toml").contains("epochs = 0.5"));
    place.train("whole", &["train.epochs=1"]).succeeds();
    assert_complete(&place, "whole", 7);
    assert!(place.read("whole/recipe.toml").contains("epochs = 1\n"));
}

#[test]
fn data_that_nothing_can_be_learnt_from_stops_the_run_before_its_first_step() {
    let place = Workplace::new();
    let rows = |column: &str| {
        let rows = fixture::json_lines(&sums(1, 10)).into_iter();
        let rows = rows.map(|mut row| {
            row[column] = json!(0);
            format!("{row}\n")
        });
        rows.collect::<String>()
    };
    place.write("train.jsonl", &rows("weight"));
    let parts = ["nothing can be learnt from 10 of 10", "10 with weight 0"];
    place.train("run", &[]).fails(2, &parts);
    assert!(!place.exists("run"));
    place.write("train.jsonl", &rows("score"));
    for quality in ["weight", "resample"] {
        let set = format!("objective.quality={quality}");
        place.train("run", &[&set]).fails(2, &["score"]);
        assert!(!place.exists("run"));
    }
}

#[test]
fn only_the_rows_with_the_least_reward_are_trained_on() {
    let place = Workplace::new();
    let ended = place
        .train(
            "run",
            &["data.min_reward=1", "train.epochs=1", "train.steps=1"],
        )
        .fails(2, &["`steps`", "`epochs`", "only one of the two"]);
    assert!(!ended.stderr.contains("rows read"), "{ended}");
    let ended = place.train("run", &["data.min_reward=1"]).succeeds();
    let words: Vec<&str> = ended.stderr.split_whitespace().collect();
    assert!(
        words
            .windows(3)
            .any(|words| words == ["below", "min_reward", "10"]),
        "{ended}"
    );
}

#[test]
fn scores_are_cached_and_training_uses_them() {
    let place = Workplace::new();
    let ended = place
        .iwsft(&[
            "score",
            "recipe.toml",
            "--out",
            "reference.safetensors",
            "--json",
        ])
        .succeeds();
    let [scored] = &ended.json()[..] else {
        panic!("{ended}");
    };
    assert_eq!(scored["trajectories"], 40);
    assert!(!place.exists("run"), "scoring is no run");
    let written = fs::read(place.path("reference.safetensors")).unwrap();

    let cached = [
        "objective.preset=iw-sft-llm",
        "reference.cache=reference.safetensors",
    ];
    let ended = place.train("cached", &cached).succeeds();
    assert!(
        ended.stderr.contains("reference log-probs: from"),
        "{ended}"
    );
    let fresh = place.train("fresh", &cached[..1]).succeeds();
    assert!(
        fresh.stderr.contains("reference log-probs: computed"),
        "{fresh}"
    );
    assert!(place.weights("cached") == place.weights("fresh"));
    let nll = number(&place.metrics("cached", "validation")[0], "nll");
    assert!(
        (number(scored, "nll") - nll).abs() < 0.5,
        "of another sample: {nll}"
    );
    let after = fs::read(place.path("reference.safetensors")).unwrap();
    assert!(written == after, "using a cache does not write it");
}

#[test]
fn a_stale_cache_is_refused_by_the_part_that_changed_until_it_is_put_back() {
    let place = Workplace::new();
    place.write("train.jsonl", &conversations(1, 12));
    place.write("validation.jsonl", &conversations(2, 4));
    let cached = [
        "objective.preset=iw-sft-llm",
        "reference.cache=reference.safetensors",
        "train.steps=1",
    ];
    place.train("first", &cached).succeeds();

    let refused = |part: &str| {
        let other = format!("with another {part}");
        let fragments = [other.as_str(), "reference.safetensors", "score again"];
        place.train("refused", &cached).fails(2, &fragments);
        assert!(!place.exists("refused"), "{part}: a run folder is left");
    };
    let data = place.read("train.jsonl");
    place.write("train.jsonl", &data.replacen("15", "14", 1));
    refused("data");
    place.write("train.jsonl", &data);

    let template = place.read("model/chat_template.jinja");
    // A comment renders as nothing: the tokens are the same.
    place.write(
        "model/chat_template.jinja",
        &format!("{template}{{# v2 #}}"),
    );
    refused("template");
    place.write("model/chat_template.jinja", &template);

    write_weights(&place.path("model"), 1, |value| value * 1.0001);
    refused("model");
    write_weights(&place.path("model"), 1, |value| value);

    let tokenizer = place.read("model/tokenizer.json");
    place.write("model/tokenizer.json", &format!("{tokenizer}\n"));
    refused("tokenizer");
    place.write("model/tokenizer.json", &tokenizer);

    place.train("refused", &cached).succeeds();
}

#[test]
fn a_damaged_cache_is_refused_with_the_remedy() {
    let place = Workplace::new();
    place.write("reference.safetensors", "not one");
    let cached = [
        "objective.preset=iw-sft-llm",
        "reference.cache=reference.safetensors",
    ];
    place
        .train("run", &cached)
        .fails(2, &["reference.safetensors is damaged", "score again"]);
}

#[test]
fn another_model_or_a_column_can_be_the_reference() {
    let place = Workplace::new();
    write_model(&place.path("other"), 7);
    let sets = ["objective.preset=iw-sft-llm", "reference.model=other"];
    place.train("other-run", &sets).succeeds();
    let first = &place.metrics("other-run", "step")[0];
    assert!(number(first, "weight_max") - number(first, "weight_min") > 1e-3);

    let with_column = |add: usize| {
        let rows = fixture::json_lines(&sums(1, 10))
            .into_iter()
            .map(|mut row| {
                let answer = row["completion"].as_str().unwrap().len();
                row["ref_log_probs"] = json!(vec![-3.0; answer + 1 + add]);
                format!("{row}\n")
            });
        rows.collect::<String>()
    };
    let sets = ["objective.preset=iw-sft-llm", "reference.column=true"];
    place.write("train.jsonl", &with_column(0));
    place.train("column", &sets).succeeds();
    place.write("train.jsonl", &with_column(1));
    place
        .train("wrong", &sets)
        .fails(2, &["train.jsonl:1", "`ref_log_probs`"]);
    place.write("train.jsonl", &sums(1, 10));
    place
        .train("wrong", &sets)
        .fails(2, &["train.jsonl:1", "reference log-probabilities"]);
    let both = [sets[0], sets[1], "reference.model=other"];
    place
        .train("wrong", &both)
        .fails(2, &["`reference.column`", "`reference.model`", "keep one"]);
}

#[test]
fn an_unwritable_run_folder_is_refused_before_training() {
    let place = Workplace::new();
    place.write("file", "a letter");
    // Below a file nobody can write, root included.
    for run in ["file", "file/run"] {
        let ended = place
            .train(run, &[])
            .fails(2, &["file", "nothing was trained"]);
        assert!(!ended.stderr.contains("rows read"), "{ended}");
    }
    assert_eq!(place.read("file"), "a letter");
}

#[test]
fn an_existing_run_is_never_overwritten() {
    let place = Workplace::new();
    place.train("run", &[]).succeeds();
    let before = (place.weights("run"), place.read("run/metrics.jsonl"));
    let ended = place
        .train("run", &["train.learning_rate=1e-3"])
        .fails(2, &["already holds a run", "resume", "another folder"]);
    assert!(!ended.stderr.contains("rows read"), "{ended}");
    assert!(before == (place.weights("run"), place.read("run/metrics.jsonl")));

    let sets = ["--set", "train.learning_rate=1e-3"];
    let resume = ["train", "run", "--resume"];
    place
        .iwsft(&[&resume[..], &sets].concat())
        .fails(2, &["`train.learning_rate` was 0.005 and is 0.001"]);
    assert!(before == (place.weights("run"), place.read("run/metrics.jsonl")));
    // Resuming what is finished changes nothing either.
    place.iwsft(&resume).succeeds();
    assert!(before == (place.weights("run"), place.read("run/metrics.jsonl")));

    place.write("papers/thesis.tex", "no run");
    place.train("papers", &[]).fails(2, &["`thesis.tex`"]);
    assert_eq!(place.read("papers/thesis.tex"), "no run");
}

#[test]
fn resuming_a_run_that_is_not_there_is_the_users_mistake() {
    let place = Workplace::new();
    place
        .iwsft(&["train", "recipe.toml", "--resume"])
        .fails(2, &["run", "--resume"]);
    assert!(!place.exists("run"));
    place
        .iwsft(&["train", "nowhere", "--resume"])
        .fails(2, &["nowhere"]);
}

#[test]
fn a_recipe_that_was_refused_can_be_run_once_it_is_right() {
    let place = Workplace::new();
    for wrong in [
        "data.train=no.jsonl",
        "model.path=nowhere",
        "data.max_length=2",
    ] {
        place.train("run", &[wrong]).fails(2, &[]);
        assert!(!place.exists("run"), "{wrong}");
    }
    place.write("run/notes.tmp", "mine");
    place.train("run", &["data.train=no.jsonl"]).fails(2, &[]);
    assert_eq!(place.read("run/notes.tmp"), "mine");
    place.train("run", &["train.steps=1"]).succeeds();
    assert_eq!(place.read("run/notes.tmp"), "mine");
}

#[test]
fn a_weight_that_is_not_a_number_stops_the_run_with_the_rows_named() {
    let place = Workplace::new();
    write_weights(&place.path("model"), 1, |_| f32::NAN);
    for (run, preset) in [("sft", "sft"), ("iw", "iw-sft-llm")] {
        let preset = format!("objective.preset={preset}");
        let ended = place.train(run, &[&preset]).fails(
            1,
            &[
                "not finite",
                "train.jsonl:",
                "no checkpoint had been written",
            ],
        );
        let named = ended.stderr.matches("train.jsonl:").count();
        assert_eq!(named, 6, "each row of the batch: {ended}");
        assert!(!place.exists(&format!("{run}/model")));
    }
}

#[test]
fn a_run_that_explodes_keeps_its_last_good_checkpoint_and_says_which() {
    let place = Workplace::new();
    let sets = [
        "train.learning_rate=1e30",
        "train.warmup=0",
        "train.checkpoint_every=1",
    ];
    let ended = place.train("run", &sets).fails(
        1,
        &["not finite at step 2", "train.jsonl:", "learning_rate"],
    );
    assert!(
        ended.stderr.contains("checkpoints/step-00000001"),
        "{ended}"
    );
    assert_eq!(place.checkpoints("run"), [1]);
    let kept = "run/checkpoints/step-00000001/model.safetensors";
    assert!(place.exists(kept));
    assert_eq!(place.metrics("run", "step").len(), 1);
}

#[test]
fn set_changes_the_recipe_and_the_run_keeps_what_was_set() {
    let place = Workplace::new();
    let sets = [
        "train.steps=3",
        "objective.preset=dft",
        "train.schedule=constant",
    ];
    place.train("run", &sets).succeeds();
    assert_complete(&place, "run", 3);
    let kept: toml::Table = place.read("run/recipe.toml").parse().unwrap();
    assert_eq!(kept["train"]["steps"].as_integer(), Some(3));
    assert_eq!(kept["objective"]["preset"].as_str(), Some("dft"));
    assert_eq!(kept["run"].as_str(), place.path("run").to_str());

    let cases: [(&str, &[&str]); 5] = [
        (
            "train.bach_size=2",
            &["bach_size", "did you mean `batch_size`?", "--set"],
        ),
        ("modle.path=x", &["modle", "did you mean `model`?"]),
        ("train.steps", &["--set train.steps", "expected key=value"]),
        ("train.steps=many", &["steps", "many", "--set"]),
        ("model.path.x=1", &["`path` is a string"]),
    ];
    for (set, fragments) in cases {
        place.train("refused", &[set]).fails(2, fragments);
    }
    assert!(!place.exists("refused"));
}

#[test]
fn inspect_marks_the_tokens_with_loss_and_where_a_row_is_cut() {
    let place = Workplace::new();
    let rows = ["inspect", "recipe.toml", "--row", "2", "--rows", "2"];
    let shown = place.iwsft(&rows).succeeds().stdout;
    assert!(shown.contains("train.jsonl:2: ") && shown.contains("train.jsonl:3: "));
    assert!(!shown.contains("train.jsonl:1: ") && !shown.contains("train.jsonl:4: "));
    assert_eq!(shown.matches("=[[").count(), 2, "{shown}");
    assert_eq!(shown.matches("<eos>]]").count(), 2, "{shown}");
    assert!(
        !shown.contains("{{") && !shown.contains('\u{1b}'),
        "{shown}"
    );

    let cut = ["inspect", "recipe.toml", "--set", "data.max_length=6"];
    let shown = place.iwsft(&cut).succeeds().stdout;
    assert!(shown.contains("cut behind token 6"), "{shown}");
    assert!(shown.contains("7+8=[[so]]{{ 15<eos>}}"), "{shown}");

    let ended = place
        .iwsft(&[&cut[..], &["--json", "--rows", "3"]].concat())
        .succeeds();
    let lines = ended.json();
    assert_eq!(lines.len(), 3);
    let row = &lines[0];
    assert_eq!(
        row["at"],
        format!("{}:1", place.path("train.jsonl").display())
    );
    assert_eq!((&row["length"], &row["cut_at"]), (&json!(10), &json!(6)));
    assert_eq!(row["loss_tokens"], 6);
    assert_eq!(
        row["step_weight"],
        json!([0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    );
    assert_eq!(
        row["spelling"],
        json!(["7", "+", "8", "=", "s", "o", " ", "1", "5", "<eos>"])
    );
    assert_eq!((&row["reward"], &row["score"]), (&json!(1.0), &json!(1.0)));
}

#[test]
fn inspect_reads_a_data_file_with_a_model_and_refuses_rows_that_are_not_there() {
    let place = Workplace::new();
    let file = ["inspect", "train.jsonl", "--model", "model", "--chat=false"];
    let shown = place.iwsft(&file).succeeds().stdout;
    assert!(shown.contains("7+8=[[so 15<eos>]]"), "{shown}");
    place
        .iwsft(&file[..2])
        .fails(2, &["train.jsonl", "--model"]);
    let row = |row| [&file[..], &["--row", row]].concat();
    place
        .iwsft(&row("41"))
        .fails(2, &["--row 41", "only 40 rows"]);
    place.iwsft(&row("0")).fails(2, &["counted from 1"]);
}

#[test]
fn a_reader_that_stops_early_is_no_panic() {
    let place = Workplace::new();
    // Far more than a pipe holds, so that writing goes on behind the first line.
    place.write("train.jsonl", &sums(1, 4000));
    let commands: [&[&str]; 2] = [
        &["inspect", "recipe.toml", "--rows", "4000"],
        &["inspect", "recipe.toml", "--rows", "4000", "--json"],
    ];
    for args in commands {
        let mut command = place.command(args);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut reader = BufReader::with_capacity(64, child.stdout.take().unwrap());
        reader.read_line(&mut line).unwrap();
        assert!(line.contains("train.jsonl:1"), "{line}");
        drop(reader);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said, "", "{args:?}");
        assert!(
            output.status.code().is_some(),
            "{args:?}: {}",
            output.status
        );
    }
}

#[test]
fn sample_continues_a_prompt_as_text_and_as_json() {
    let place = Workplace::new();
    place.write(
        "train.jsonl",
        &"{\"prompt\": \"1+1=\", \"completion\": \"so 2\"}\n".repeat(6),
    );
    place
        .train("run", &["train.steps=60", "train.learning_rate=1e-2"])
        .succeeds();
    let prompt = ["sample", "run/model", "--prompt", "1+1="];
    let shown = place.iwsft(&prompt).succeeds();
    assert_eq!(shown.stdout, "so 2\n", "{shown}");
    let json = place.iwsft(&[&prompt[..], &["--json"]].concat()).succeeds();
    let [line] = &json.json()[..] else {
        panic!("{json}");
    };
    assert_eq!(
        (&line["prompt"], &line["completion"]),
        (&json!("1+1="), &json!("so 2"))
    );

    let limited = [&prompt[..], &["--max-tokens", "2"]].concat();
    assert_eq!(place.iwsft(&limited).succeeds().stdout, "so\n");
    place.iwsft(&[&prompt[..], &["--chat"]].concat()).succeeds();
    place
        .iwsft(&["sample", "run/model", "--prompt", ""])
        .fails(2, &["--prompt"]);
    place
        .iwsft(&["sample", "run/model", "--prompt", &"1".repeat(128)])
        .fails(2, &["128 tokens", "room for 128"]);
    place
        .iwsft(&["sample", "nowhere", "--prompt", "1"])
        .fails(2, &["nowhere", "no such model folder"]);
}

#[test]
fn logits_are_written_with_their_tokens() {
    let place = Workplace::new();
    let args = [
        "logits",
        "model",
        "--text",
        "1+1=",
        "--out",
        "logits.safetensors",
    ];
    place.iwsft(&args).succeeds();
    let bytes = fs::read(place.path("logits.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.tensor("tokens").unwrap().shape(), [4]);
    let logits = file.tensor("logits").unwrap();
    assert_eq!(logits.shape(), [4, 48]);
    let (words, _) = logits.data().as_chunks();
    assert!(
        words
            .iter()
            .all(|word| f32::from_le_bytes(*word).is_finite())
    );
    place
        .iwsft(&[
            "logits",
            "model",
            "--text",
            "",
            "--out",
            "empty.safetensors",
        ])
        .fails(2, &["--text"]);
    assert!(!place.exists("empty.safetensors"));
}

#[test]
fn the_bandit_lands_on_the_closed_forms() {
    let place = Workplace::new();
    let ended = place
        .iwsft(&["bandit", "--json", "--plot", "bandit.svg"])
        .succeeds();
    let lines = ended.json();
    for (method, right) in [("sft", 2.0 / 3.0), ("iw-sft", 1.0)] {
        let last = lines.iter().rfind(|line| line["method"] == method).unwrap();
        let reached = last["policy"][1].as_f64().unwrap();
        assert!((reached - right).abs() < 1e-3, "{last}");
    }
    let plot = place.read("bandit.svg");
    assert!(plot.starts_with("<svg") && plot.trim_end().ends_with("</svg>"));
    let table = place.iwsft(&["bandit"]).succeeds().stdout;
    assert!(table.contains("closed form 1/3 : 2/3"), "{table}");
}

#[test]
fn a_run_takes_its_model_folder_as_the_next_model() {
    let place = Workplace::new();
    place.train("first", &[]).succeeds();
    place
        .train("second", &["model.path=first/model"])
        .succeeds();
    let before = number(&place.metrics("second", "validation")[0], "nll");
    let after = number(&place.metrics("first", "validation")[1], "nll");
    assert_eq!(before, after, "the second run starts where the first ended");
    let config: serde_json::Value =
        serde_json::from_str(&place.read("first/model/config.json")).unwrap();
    assert_eq!(config, fixture::config());
    write_json(
        &place.path("first/model/config.json"),
        &json!({"model_type": "gpt2"}),
    );
    place
        .train("third", &["model.path=first/model"])
        .fails(2, &["config.json", "`model_type`", "gpt2", "llama"]);
}

/// Gives the model's tokenizer a token for two characters, and one that ends turns.
fn more_tokens(place: &Workplace) {
    let mut tokenizer: Value = serde_json::from_str(&place.read("model/tokenizer.json")).unwrap();
    tokenizer["model"]["vocab"]["=1"] = json!(46);
    tokenizer["model"]["merges"] = json!([["=", "1"]]);
    let mut turn = tokenizer["added_tokens"][0].clone();
    turn["id"] = json!(47);
    turn["content"] = json!("<turn>");
    tokenizer["added_tokens"].as_array_mut().unwrap().push(turn);
    place.write("model/tokenizer.json", &tokenizer.to_string());
}

#[test]
fn a_token_across_the_border_is_counted_before_training_and_shown_by_inspect() {
    let place = Workplace::new();
    more_tokens(&place);
    let rows = place.lines("train.jsonl");
    let across = |row: &&Value| row["completion"].as_str().unwrap().starts_with('1');
    let count = rows.iter().filter(across).count();
    let first = 1 + rows.iter().position(|row| across(&row)).unwrap();
    assert!(count > 1);
    let ended = place.train("run", &["train.steps=1"]).succeeds();
    let said = format!("{count} rows have a token that straddles the border of prompt and answer");
    let at = format!("train.jsonl:{first})");
    assert!(
        ended.stderr.contains(&said) && ended.stderr.contains(&at),
        "{ended}"
    );
    let row = first.to_string();
    let inspect = ["inspect", "recipe.toml", "--row", &row];
    let shown = place.iwsft(&inspect).succeeds();
    assert!(
        shown.stdout.contains("a token straddles the border"),
        "{shown}"
    );
    assert!(shown.stdout.contains("=[[1"), "{shown}");
    let json = place
        .iwsft(&[&inspect[..], &["--json"]].concat())
        .succeeds();
    assert_eq!(json.json()[0]["straddles"], true);
}

#[test]
fn a_turn_that_ends_with_a_token_of_its_own_ends_there_wherever_it_is_drawn() {
    let place = Workplace::new();
    more_tokens(&place);
    let template = "{% for m in messages %}{{ m.role + ':' + m.content + '<turn>\n' }}{% endfor %}\
        {% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}";
    place.write("model/chat_template.jinja", template);
    place.write(
        "train.jsonl",
        r#"{"messages": [{"role": "user", "content": "1+1"}, {"role": "assistant", "content": "2"}]}"#,
    );
    let trained = place
        .train(
            "run",
            &[
                "data.validation=",
                "data.end_token=require",
                "train.steps=80",
                "train.batch_size=1",
                "train.learning_rate=2e-2",
            ],
        )
        .succeeds();
    let said =
        "the chat template ends turns with <turn> (47), which is none of the model's end tokens";
    assert!(trained.stderr.contains(said), "{trained}");
    let saved = "<turn> (47) will be in the trained model's generation_config.json";
    assert!(trained.stderr.contains(saved), "{trained}");
    let generation = |folder: &str| -> Value {
        serde_json::from_str(&place.read(&format!("{folder}/generation_config.json"))).unwrap()
    };
    assert_eq!(generation("run/model")["eos_token_id"], json!([0, 47]));
    let ask = |model| {
        place
            .iwsft(&["sample", model, "--chat", "--prompt", "1+1", "--json"])
            .succeeds()
    };
    let answer = ask("run/model");
    let line = &answer.json()[0];
    assert_eq!(
        (&line["completion"], &line["finish"]),
        (&json!("2"), &json!("stop"))
    );
    assert!(
        !answer.stderr.contains("none of the model's end tokens"),
        "{answer}"
    );
    // Without the file that says so, the template does.
    place.write("run/model/generation_config.json", r#"{"eos_token_id": 0}"#);
    let answer = ask("run/model");
    assert_eq!(answer.json()[0], *line);
    assert!(answer.stderr.contains(said), "{answer}");
    place.write("problems.jsonl", r#"{"question": "1+1", "answer": "2"}"#);
    let eval = [
        "eval",
        "run/model",
        "--problems",
        "problems.jsonl",
        "--out",
        "results",
        "--json",
    ];
    let ended = place.iwsft(&eval).succeeds();
    assert_eq!(number(&ended.json()[0], "value"), 1.0, "{ended}");
    assert_eq!(number(&ended.json()[0], "cut_off"), 0.0, "{ended}");
    // A tokenizer whose end token generation does not know is no better off elsewhere.
    place.write("model/tokenizer_config.json", r#"{"eos_token": "<turn>"}"#);
    place.write(
        "model/generation_config.json",
        r#"{"eos_token_id": 0, "top_k": 9}"#,
    );
    let trained = place
        .train("other", &["data.validation=", "train.steps=1"])
        .succeeds();
    assert!(trained.stderr.contains(saved), "{trained}");
    assert!(!trained.stderr.contains(said), "{trained}");
    let written = json!({"eos_token_id": [0, 47], "top_k": 9});
    assert_eq!(generation("other/model"), written);
}
