//! What a run refuses before it begins.

// Clippy takes only `#[test]` functions for tests, not what they call.
#![allow(clippy::unwrap_used)]

mod tabular;

use std::sync::atomic::AtomicBool;

use iwsft_objective::{Objective, ObjectiveSpec, Preset, Quality};
use iwsft_train::{LogProbs, ReferenceKey, RunFolder, TrainConfig, TrainError, Training};
use tabular::{Raw, Sequences, Tabular, config, job, objective};

#[test]
fn a_resume_with_another_setting_is_refused_with_its_name_and_both_values() {
    let train = Sequences::random(14, 1);
    let base = config();
    let files = Raw::exact();
    let sft = objective(Preset::Sft);
    let home = tempfile::tempdir().unwrap();
    let run = home.path().join("run");
    let mut policy = Tabular::new();
    let folder = RunFolder::create(&run).unwrap();
    let first = job(&mut policy, &train, &sft, &base, &files);
    Training::new(first, folder)
        .unwrap()
        .run(&mut (), &AtomicBool::new(false))
        .unwrap();

    let mut refused = |train: &Sequences, objective: &Objective, config: TrainConfig| {
        let job = job(&mut policy, train, objective, &config, &files);
        let folder = RunFolder::open(&run).unwrap();
        match Training::resume(job, folder).map(|_| ()) {
            Err(TrainError::Changed { differences, .. }) => differences
                .into_iter()
                .map(|d| (d.key, d.before, d.now))
                .collect(),
            Err(other) => panic!("{other}"),
            Ok(()) => Vec::new(),
        }
    };
    let change = |key: &str, before: &str, now: &str| -> (String, String, String) {
        (key.into(), before.into(), now.into())
    };

    assert_eq!(refused(&train, &sft, base.clone()), []);
    let batch_size = 7;
    let found = refused(
        &train,
        &sft,
        TrainConfig {
            batch_size,
            ..base.clone()
        },
    );
    assert!(
        found.contains(&change("train.batch_size", "4", "7")),
        "{found:?}"
    );
    let learning_rate = 0.25;
    let found = refused(
        &train,
        &sft,
        TrainConfig {
            learning_rate,
            ..base.clone()
        },
    );
    assert_eq!(found, [change("train.learning_rate", "0.5", "0.25")]);
    let found = refused(
        &train,
        &sft,
        TrainConfig {
            seed: 9,
            ..base.clone()
        },
    );
    assert!(found.contains(&change("train.seed", "0", "9")), "{found:?}");
    let found = refused(&train, &objective(Preset::Dft), base.clone());
    assert!(
        found.contains(&change("objective.method", "sft", "dft")),
        "{found:?}"
    );
    let found = refused(&Sequences::random(14, 2), &sft, base);
    let keys: Vec<_> = found.iter().map(|(key, ..)| key.as_str()).collect();
    assert_eq!(keys, ["data"]);
}

#[test]
fn data_that_nothing_can_be_learnt_from_is_refused_with_the_reason() {
    let (files, config) = (Raw::exact(), config());
    let by = |quality| {
        tabular::spec(ObjectiveSpec {
            quality: Some(quality),
            ..Preset::Sft.spec()
        })
    };
    let refusal = |train: &Sequences, objective: &Objective| {
        let mut policy = Tabular::new();
        let home = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(&home.path().join("run")).unwrap();
        let job = job(&mut policy, train, objective, &config, &files);
        let outcome = Training::new(job, folder).map(|_| ());
        outcome.err().map(|error| error.to_string())
    };
    let mut train = Sequences::random(4, 1);
    train.quality = vec![0.0; 4];
    let error = refusal(&train, &by(Quality::Weight)).unwrap();
    assert!(
        error.contains("nothing can be learnt from 4 of 4"),
        "{error}"
    );
    assert!(error.contains("4 with quality 0"), "{error}");
    assert!(refusal(&train, &by(Quality::Resample)).is_some());
    assert_eq!(refusal(&train, &by(Quality::Off)), None);
    train.weight = vec![0.0; 4];
    let error = refusal(&train, &by(Quality::Off)).unwrap();
    assert!(error.contains("4 with weight 0"), "{error}");
    train.weight[3] = 0.5;
    assert_eq!(refusal(&train, &by(Quality::Off)), None);
}

#[test]
fn a_run_that_drew_by_quality_in_the_order_of_the_file_is_not_gone_on_with() {
    let mut train = Sequences::random(8, 1);
    train.quality = (0..8).map(|i| i as f32).collect();
    let drawn = tabular::spec(ObjectiveSpec {
        quality: Some(Quality::Resample),
        ..Preset::Sft.spec()
    });
    let (files, config) = (Raw::exact(), config());
    let home = tempfile::tempdir().unwrap();
    let run = home.path().join("run");
    let mut policy = Tabular::new();
    let folder = RunFolder::create(&run).unwrap();
    let first = job(&mut policy, &train, &drawn, &config, &files);
    Training::new(first, folder)
        .unwrap()
        .run(&mut (), &AtomicBool::new(false))
        .unwrap();
    // As earlier versions wrote it.
    let last = iwsft_train::checkpoint::latest(&run).unwrap().unwrap();
    let record = last.path.join("trainer.json");
    let mut old: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
    let settings = old["settings"].as_object_mut().unwrap();
    settings.remove("order.by_quality").unwrap();
    settings["order"] = "0".into();
    std::fs::write(&record, old.to_string()).unwrap();
    let again = job(&mut policy, &train, &drawn, &config, &files);
    let resumed = Training::resume(again, RunFolder::open(&run).unwrap());
    let error = resumed.map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("order.by_quality"), "{error}");
    assert!(error.contains("shuffled for every epoch"), "{error}");
}

#[test]
fn an_objective_without_its_reference_is_refused_before_the_first_step() {
    let train = Sequences::random(4, 1);
    let (files, config) = (Raw::exact(), config());
    let mut policy = Tabular::new();
    let home = tempfile::tempdir().unwrap();
    let iw_sft = objective(Preset::IwSftLlm);
    let folder = || RunFolder::create(&home.path().join("a"));
    let mut without = job(&mut policy, &train, &iw_sft, &config, &files);
    without.reference = None;
    let error = Training::new(without, folder().unwrap())
        .map(|_| ())
        .unwrap_err();
    assert!(
        matches!(error, TrainError::MissingReference { .. }),
        "{error}"
    );

    let other = Sequences::random(5, 1);
    let mut wrong = job(&mut policy, &train, &iw_sft, &config, &files);
    wrong.reference = Some(tabular::reference(&other));
    let folder = RunFolder::create(&home.path().join("b")).unwrap();
    let error = Training::new(wrong, folder).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("5 trajectories"), "{error}");
}

#[test]
fn a_stale_reference_cache_is_refused_and_a_fresh_one_is_what_was_scored() {
    let train = Sequences::random(6, 1);
    let scores = tabular::reference(&train);
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("reference.safetensors");
    let hash = |text: &str| blake3::hash(text.as_bytes()).to_string();
    let key = ReferenceKey {
        model: hash("model"),
        tokenizer: hash("tokenizer"),
        template: hash("template"),
        data: train.tokens.len().to_string(),
    };
    scores.save(&path, &key).unwrap();
    let loaded = LogProbs::load(&path, &key).unwrap().unwrap();
    assert_eq!(loaded, scores);
    loaded.check(&train).unwrap();
    let key = ReferenceKey {
        template: hash("another template"),
        ..key
    };
    let error = LogProbs::load(&path, &key).unwrap_err();
    assert!(error.to_string().contains("another template ("), "{error}");
}
