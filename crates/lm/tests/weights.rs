//! Safetensors checkpoints: what is loaded, refused and written.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use half::{bf16, f16};
use iwsft_engine::{Layout, Tensor};
use iwsft_lm::weights::{self, WeightType, copy_model_files, load, save_end_tokens};
use iwsft_lm::{LmError, ModelConfig, Tokenizer};
use proptest::prelude::*;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

fn save(
    folder: &Path,
    layout: &Layout,
    values: &[f32],
    kind: WeightType,
    max_shard_bytes: usize,
) -> Result<(), LmError> {
    weights::save(
        folder,
        layout,
        Tensor::from_host(values).all(),
        kind,
        max_shard_bytes,
    )
}

fn config(model_type: &str, tied: bool) -> Value {
    json!({
        "model_type": model_type,
        "hidden_size": 8,
        "intermediate_size": 12,
        "max_position_embeddings": 64,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": tied,
        "vocab_size": 16
    })
}

fn model(model_type: &str, tied: bool) -> ModelConfig {
    let text = config(model_type, tied).to_string();
    ModelConfig::from_json(&text, Path::new("config.json")).unwrap()
}

/// Distinct values that every element type holds exactly.
fn exact(len: usize) -> Vec<f32> {
    (0..len).map(|index| (index % 251) as f32 - 125.0).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn what_is_saved_is_what_is_loaded_in_every_type_whole_and_in_shards() {
    for family in ["llama", "qwen2", "qwen3"] {
        let layout = model(family, false).layout();
        let values = exact(layout.len());
        for kind in [WeightType::F32, WeightType::Bf16, WeightType::F16] {
            for max_bytes in [usize::MAX, 1000, 0] {
                let folder = tempfile::tempdir().unwrap();
                save(folder.path(), &layout, &values, kind, max_bytes).unwrap();
                assert_eq!(load(folder.path(), &layout).unwrap(), values);
                let index = folder.path().join("model.safetensors.index.json");
                assert_eq!(index.exists(), max_bytes < usize::MAX);
            }
        }
    }
}

#[test]
fn a_second_save_leaves_nothing_of_the_first() {
    let layout = model("llama", false).layout();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    let (first, second) = (exact(layout.len()), vec![0.5; layout.len()]);
    let whole = ["model.safetensors", "notes.txt"];
    save(folder.path(), &layout, &first, WeightType::F32, 1000).unwrap();
    assert!(names(folder.path()).len() > 3);
    save(folder.path(), &layout, &second, WeightType::F32, usize::MAX).unwrap();
    assert_eq!(names(folder.path()), whole);
    save(folder.path(), &layout, &first, WeightType::F32, 2000).unwrap();
    assert!(!names(folder.path()).contains(&whole[0].to_owned()));
    assert_eq!(load(folder.path(), &layout).unwrap(), first);
}

#[test]
fn a_saved_file_is_read_by_the_reference_reader() {
    let layout = model("qwen2", false).layout();
    let folder = tempfile::tempdir().unwrap();
    save(
        folder.path(),
        &layout,
        &exact(layout.len()),
        WeightType::Bf16,
        usize::MAX,
    )
    .unwrap();
    let bytes = fs::read(folder.path().join("model.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.len(), layout.parameters().len());
    for parameter in layout.parameters() {
        let view = tensors.tensor(&parameter.name).unwrap();
        assert_eq!(
            (view.dtype(), view.shape()),
            (Dtype::BF16, parameter.shape.as_slice())
        );
    }
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(metadata.metadata().as_ref().unwrap()["format"], "pt");
}

#[test]
fn a_value_beyond_the_type_is_refused_and_the_old_file_stays() {
    let layout = model("llama", false).layout();
    let folder = tempfile::tempdir().unwrap();
    let mut values = exact(layout.len());
    save(folder.path(), &layout, &values, WeightType::F16, usize::MAX).unwrap();
    let before = fs::read(folder.path().join("model.safetensors")).unwrap();
    values[5] = 70000.0;
    let error = save(folder.path(), &layout, &values, WeightType::F16, usize::MAX).unwrap_err();
    assert!(error.to_string().contains("70000"), "{error}");
    assert_eq!(
        fs::read(folder.path().join("model.safetensors")).unwrap(),
        before
    );
    assert_eq!(names(folder.path()), ["model.safetensors"]);
    save(
        folder.path(),
        &layout,
        &values,
        WeightType::Bf16,
        usize::MAX,
    )
    .unwrap();
    let error = save(folder.path(), &layout, &values[1..], WeightType::F32, 0).unwrap_err();
    assert!(matches!(error, LmError::BufferLength { .. }));
}

/// Tensors to write with the reference writer: name, type, shape, bytes.
type Raw = (String, Dtype, Vec<usize>, Vec<u8>);

fn raw(config: &ModelConfig) -> Vec<Raw> {
    config
        .layout()
        .parameters()
        .iter()
        .map(|parameter| {
            let values = exact(config.layout().len())[parameter.range.clone()].to_vec();
            let bytes = values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            (
                parameter.name.clone(),
                Dtype::F32,
                parameter.shape.clone(),
                bytes,
            )
        })
        .collect()
}

fn write(path: &Path, tensors: &[Raw]) {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        (
            name.clone(),
            TensorView::new(*dtype, shape.clone(), bytes).unwrap(),
        )
    });
    fs::write(
        path,
        safetensors::serialize(views, None::<HashMap<_, _>>).unwrap(),
    )
    .unwrap();
}

/// What loading says after `change` has been done to an intact file's tensors.
fn after(change: impl FnOnce(&mut Vec<Raw>)) -> Result<Vec<f32>, LmError> {
    let config = model("llama", true);
    let folder = tempfile::tempdir().unwrap();
    let mut tensors = raw(&config);
    change(&mut tensors);
    write(&folder.path().join("model.safetensors"), &tensors);
    load(folder.path(), &config.layout())
}

#[test]
fn tensors_that_are_not_those_of_the_model_are_refused_by_name() {
    assert!(after(|_| {}).is_ok());
    let missing = after(|tensors| {
        tensors.retain(|tensor| tensor.0 != "model.norm.weight");
    });
    assert!(
        matches!(missing, Err(LmError::TensorMissing { name, .. }) if name == "model.norm.weight")
    );
    let shape = after(|tensors| tensors[0].2.reverse());
    let text = shape.unwrap_err().to_string();
    assert!(
        text.contains("[8, 16]") && text.contains("[16, 8]"),
        "{text}"
    );
    let extra = after(|tensors| {
        tensors.push((
            "model.layers.2.norm".into(),
            Dtype::F32,
            vec![1],
            vec![0; 4],
        ));
    });
    assert!(
        matches!(extra, Err(LmError::TensorUnexpected { name, .. }) if name == "model.layers.2.norm")
    );
    for dtype in [Dtype::F64, Dtype::I64] {
        let kind = after(|tensors| {
            tensors[0].1 = dtype;
            tensors[0].3 = vec![0; 16 * 8 * 8];
        });
        assert!(
            kind.unwrap_err()
                .to_string()
                .contains("supported are F32, BF16 and F16")
        );
    }
    let frequencies = "model.layers.0.self_attn.rotary_emb.inv_freq".to_owned();
    assert!(after(|tensors| tensors.push((frequencies, Dtype::F32, vec![1], vec![0; 4]))).is_ok());
}

#[test]
fn a_stored_head_of_a_tied_model_must_be_the_embedding() {
    let head = |change: bool| {
        after(|tensors| {
            let mut bytes = tensors[0].3.clone();
            bytes[0] ^= u8::from(change);
            tensors.push(("lm_head.weight".into(), Dtype::F32, vec![16, 8], bytes));
        })
    };
    assert!(head(false).is_ok());
    assert!(matches!(head(true), Err(LmError::TiedHeadDiffers { .. })));
}

#[test]
fn half_precision_is_widened_exactly() {
    let bits: Vec<u16> = (0..128).map(|index| index * 509).collect();
    for dtype in [Dtype::BF16, Dtype::F16] {
        let loaded = after(|tensors| {
            tensors[0].1 = dtype;
            tensors[0].3 = bits.iter().flat_map(|bits| bits.to_le_bytes()).collect();
        })
        .unwrap();
        for (found, bits) in loaded.iter().zip(&bits) {
            let expected = if dtype == Dtype::F16 {
                f16::from_bits(*bits).to_f32()
            } else {
                bf16::from_bits(*bits).to_f32()
            };
            assert!(found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan()));
        }
    }
}

#[test]
fn a_shard_index_that_does_not_fit_is_refused() {
    let config = model("llama", false);
    let layout = config.layout();
    let fresh = || {
        let folder = tempfile::tempdir().unwrap();
        save(
            folder.path(),
            &layout,
            &exact(layout.len()),
            WeightType::F32,
            1000,
        )
        .unwrap();
        folder
    };
    let index = "model.safetensors.index.json";

    let folder = fresh();
    let shard = names(folder.path())
        .into_iter()
        .find(|name| name.starts_with("model-00002"))
        .unwrap();
    fs::remove_file(folder.path().join(&shard)).unwrap();
    let error = load(folder.path(), &layout).unwrap_err().to_string();
    assert!(error.contains(&shard), "{error}");

    for (map, expected) in [
        (json!({ "a": "../other.safetensors" }), "without a folder"),
        (json!({}), "names no shard"),
    ] {
        let folder = fresh();
        let content = json!({ "metadata": {}, "weight_map": map }).to_string();
        fs::write(folder.path().join(index), content).unwrap();
        let error = load(folder.path(), &layout).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    let folder = fresh();
    let twice = raw(&config);
    write(&folder.path().join("a.safetensors"), &twice);
    write(&folder.path().join("b.safetensors"), &twice[..1]);
    let map = json!({ "weight_map": { "x": "a.safetensors", "y": "b.safetensors" } });
    fs::write(folder.path().join(index), map.to_string()).unwrap();
    let error = load(folder.path(), &layout).unwrap_err().to_string();
    assert!(error.contains("another shard as well"), "{error}");
}

#[test]
fn a_folder_without_weights_says_what_is_there_instead() {
    let layout = model("llama", false).layout();
    let folder = tempfile::tempdir().unwrap();
    let error = load(folder.path(), &layout).unwrap_err().to_string();
    assert!(error.contains("model.safetensors.index.json"), "{error}");
    fs::write(folder.path().join("pytorch_model.bin"), "").unwrap();
    let error = load(folder.path(), &layout).unwrap_err().to_string();
    assert!(error.contains("found pytorch_model.bin"), "{error}");
}

#[test]
fn what_stands_in_place_of_a_models_files_is_told() {
    let layout = model("llama", false).layout();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";
    let wide: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    let refused = |name: &str, error: LmError, part: &str| {
        let start = format!("{}: ", folder.path().join(name).display());
        let message = error.to_string();
        assert!(matches!(error, LmError::Disguised { .. }), "{message}");
        assert!(
            message.starts_with(&start) && message.contains(part),
            "{message}"
        );
    };
    for (bytes, part) in [
        (
            pointer.as_bytes(),
            "is a Git LFS pointer, not the file: git lfs pull",
        ),
        (b"<!doctype html><html>", "is a page of a web site"),
        (b"", "is empty"),
        (b"PK\x03\x04 a pickle in a zip", "is a ZIP archive"),
        (&[0; 100], "begins with zero bytes"),
    ] {
        write("model.safetensors", bytes);
        let error = load(folder.path(), &layout).unwrap_err();
        refused("model.safetensors", error, part);
    }
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    write("model.safetensors.index.json", pointer.as_bytes());
    let error = load(folder.path(), &layout).unwrap_err();
    refused("model.safetensors.index.json", error, "git lfs pull");
    for (bytes, part) in [(pointer.as_bytes(), "git lfs pull"), (&wide, "UTF-16")] {
        write("config.json", bytes);
        let error = ModelConfig::from_folder(folder.path()).unwrap_err();
        refused("config.json", error, part);
        write("tokenizer.json", bytes);
        let error = Tokenizer::from_folder(folder.path()).unwrap_err();
        refused("tokenizer.json", error, part);
    }
    // A byte order mark is none of these.
    let marked = format!("\u{feff}{}", config("llama", false));
    write("config.json", marked.as_bytes());
    ModelConfig::from_folder(folder.path()).unwrap();
}

proptest! {
    #[test]
    fn damage_never_panics_and_lost_bytes_are_noticed(cut in 0usize..6000, at in 0usize..6000, flip in 1u8..=255) {
        let config = model("llama", false);
        let layout = config.layout();
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), &layout, &exact(layout.len()), WeightType::F32, usize::MAX).unwrap();
        let path = folder.path().join("model.safetensors");
        let intact = fs::read(&path).unwrap();

        fs::write(&path, &intact[..cut.min(intact.len() - 1)]).unwrap();
        prop_assert!(load(folder.path(), &layout).is_err());

        let mut changed = intact.clone();
        changed[at.min(intact.len() - 1)] ^= flip;
        fs::write(&path, &changed).unwrap();
        // A changed number is a number; whatever else changed must be an error.
        if let Ok(values) = load(folder.path(), &layout) {
            prop_assert_eq!(values.len(), layout.len());
        }
    }
}

#[test]
fn the_files_of_a_model_go_along_and_the_type_is_what_was_saved() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(from.path().join("tokenizer.json"), "{}").unwrap();
    fs::write(from.path().join("chat_template.jinja"), "é").unwrap();
    fs::write(from.path().join("optimizer.pt"), "no").unwrap();
    for (key, other) in [("dtype", "torch_dtype"), ("torch_dtype", "dtype")] {
        let mut config = config("llama", false);
        config[key] = json!("float32");
        fs::write(from.path().join("config.json"), config.to_string()).unwrap();
        copy_model_files(from.path(), to.path(), WeightType::Bf16).unwrap();
        let text = fs::read_to_string(to.path().join("config.json")).unwrap();
        let copied: Value = serde_json::from_str(&text).unwrap();
        config[key] = json!("bfloat16");
        assert_eq!(copied, config);
        assert!(copied.get(other).is_none());
    }
    assert_eq!(
        names(to.path()),
        ["chat_template.jinja", "config.json", "tokenizer.json"]
    );
    assert_eq!(
        fs::read(to.path().join("chat_template.jinja")).unwrap(),
        "é".as_bytes()
    );
    let empty = tempfile::tempdir().unwrap();
    assert!(copy_model_files(empty.path(), to.path(), WeightType::F32).is_err());
}

#[test]
fn end_tokens_are_written_where_generation_looks_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("generation_config.json");
    let save = || {
        save_end_tokens(folder.path(), &[7, 9]).unwrap();
        serde_json::from_str::<Value>(&fs::read_to_string(&path).unwrap()).unwrap()
    };
    let config = json!({ "bos_token_id": 1, "eos_token_id": 7, "hidden_size": 4 });
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let made = json!({ "bos_token_id": 1, "eos_token_id": [7, 9] });
    assert_eq!(
        save(),
        made,
        "a file that is missing says what config.json does"
    );
    let before = json!({ "eos_token_id": 7, "top_k": 5 });
    fs::write(&path, before.to_string()).unwrap();
    assert_eq!(save(), json!({ "eos_token_id": [7, 9], "top_k": 5 }));
}
