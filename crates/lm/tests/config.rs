//! `config.json`: what is read and what is refused.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use std::path::Path;

use iwsft_lm::{Family, LmError, ModelConfig};
use serde_json::{Value, json};

/// A small configuration in the spelling of transformers 5.
fn config(model_type: &str) -> Value {
    let architecture = match model_type {
        "qwen2" => "Qwen2ForCausalLM",
        "qwen3" => "Qwen3ForCausalLM",
        "mistral" => "MistralForCausalLM",
        _ => "LlamaForCausalLM",
    };
    json!({
        "architectures": [architecture],
        "attention_dropout": 0.0,
        "bos_token_id": 1,
        "dtype": "float32",
        "eos_token_id": [2, 3],
        "hidden_act": "silu",
        "hidden_size": 8,
        "initializer_range": 0.02,
        "intermediate_size": 12,
        "max_position_embeddings": 64,
        "model_type": model_type,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-6,
        "rope_parameters": { "rope_theta": 10000.0, "rope_type": "default" },
        "sliding_window": null,
        "tie_word_embeddings": false,
        "transformers_version": "5.23.0",
        "use_cache": true,
        "vocab_size": 16
    })
}

fn read(config: &Value) -> Result<ModelConfig, LmError> {
    ModelConfig::from_json(&config.to_string(), Path::new("m/config.json"))
}

fn with(model_type: &str, key: &str, value: Value) -> Value {
    let mut config = config(model_type);
    config[key] = value;
    config
}

fn without(model_type: &str, key: &str) -> Value {
    let mut config = config(model_type);
    config.as_object_mut().unwrap().shift_remove(key);
    config
}

#[test]
fn every_family_is_read_with_its_switches() {
    for (name, family, bias, norm) in [
        ("llama", Family::Llama, false, false),
        ("qwen2", Family::Qwen2, true, false),
        ("qwen3", Family::Qwen3, false, true),
        ("mistral", Family::Mistral, false, false),
    ] {
        let read = read(&with(name, "head_dim", json!(6))).unwrap();
        assert_eq!(read.family, family);
        assert_eq!((read.qkv_bias, read.qk_norm), (bias, norm));
        assert_eq!((read.heads, read.kv_heads, read.head_dim), (4, 2, 6));
        assert_eq!(
            (read.bos_token_id, read.eos_token_ids),
            (Some(1), vec![2, 3])
        );
        assert_eq!(Value::Object(read.raw), with(name, "head_dim", json!(6)));
    }
}

#[test]
fn both_spellings_of_the_rotary_embedding_mean_the_same() {
    let scaling = json!({
        "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192, "rope_type": "llama3"
    });
    let mut new = config("llama");
    new["rope_parameters"] = scaling.clone();
    new["rope_parameters"]["rope_theta"] = json!(500000.0);
    let mut old = without("llama", "rope_parameters");
    old["rope_theta"] = json!(500000.0);
    old["rope_scaling"] = scaling;
    let (new, old) = (read(&new).unwrap(), read(&old).unwrap());
    assert_eq!(new.rope_scaling, old.rope_scaling);
    assert!(new.rope_scaling.is_some());
    assert_eq!(new.rope_theta.to_bits(), old.rope_theta.to_bits());
    // A file that says nothing means the first Llama's base.
    let bare = read(&without("llama", "rope_parameters")).unwrap();
    assert_eq!((bare.rope_theta, bare.rope_scaling), (10_000.0, None));
}

#[test]
fn llama_3_frequencies_are_those_of_transformers() {
    let mut config = with("llama", "head_dim", json!(32));
    config["rope_parameters"] = json!({
        "rope_theta": 500000.0, "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 8192
    });
    // ROPE_INIT_FUNCTIONS["llama3"] of transformers 5.23, in f32.
    let expected = [
        1.0,
        0.44036662578582764,
        0.193922758102417,
        0.08539710193872452,
        0.03760603070259094,
        0.016560440883040428,
        0.00729266507551074,
        0.0032114461064338684,
        0.0005248460220173001,
        7.784655463183299e-05,
        3.428102354519069e-05,
        1.5096217794052791e-05,
        6.647869668086059e-06,
        2.927499735960737e-06,
        1.289173155782919e-06,
        5.677088097399974e-07,
    ];
    let found = read(&config).unwrap().rope_inverse_frequencies();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found / expected - 1.0).abs() < 1e-6, "{found} {expected}");
    }
}

#[test]
fn a_missing_required_field_is_named() {
    for key in [
        "model_type",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "vocab_size",
        "max_position_embeddings",
        "rms_norm_eps",
    ] {
        let error = read(&without("llama", key)).unwrap_err().to_string();
        assert!(
            error.contains(key) && error.contains("m/config.json"),
            "{error}"
        );
    }
}

#[test]
fn a_value_that_is_not_supported_is_refused_with_key_and_value() {
    for (family, key, value) in [
        ("llama", "model_type", json!("gpt2")),
        (
            "llama",
            "architectures",
            json!(["LlamaForSequenceClassification"]),
        ),
        ("llama", "hidden_act", json!("gelu")),
        ("llama", "attention_bias", json!(true)),
        ("llama", "mlp_bias", json!(true)),
        ("llama", "attention_dropout", json!(0.1)),
        (
            "llama",
            "quantization_config",
            json!({ "quant_method": "gptq" }),
        ),
        ("llama", "sliding_window", json!(4096)),
        ("llama", "num_key_value_heads", json!(3)),
        ("llama", "head_dim", json!(5)),
        ("llama", "hidden_size", json!(0)),
        ("llama", "hidden_size", json!(-8)),
        ("llama", "hidden_size", json!(8.5)),
        ("llama", "vocab_size", json!("16")),
        ("llama", "num_hidden_layers", json!(2_000_000)),
        ("llama", "rms_norm_eps", json!(0)),
        ("llama", "tie_word_embeddings", json!(1)),
        ("llama", "eos_token_id", json!("</s>")),
        ("llama", "rope_parameters", json!("default")),
        ("llama", "auto_map", json!({ "AutoModel": "x.y" })),
        ("llama", "partial_rotary_factor", json!(0.5)),
        ("qwen2", "use_mrope", json!(true)),
        (
            "qwen2",
            "layer_types",
            json!(["full_attention", "sliding_attention"]),
        ),
        ("qwen3", "layer_types", json!(["full_attention"])),
        ("qwen3", "attention_bias", json!(true)),
        ("mistral", "sliding_window", json!(0)),
    ] {
        let error = read(&with(family, key, value.clone())).unwrap_err();
        assert!(matches!(error, LmError::ConfigValue { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains(key) && text.contains(&value.to_string()),
            "{text}"
        );
    }
}

#[test]
fn rotary_embeddings_that_are_not_supported_are_refused() {
    for (key, value, named) in [
        ("rope_type", json!("yarn"), "rope_parameters.rope_type"),
        ("type", json!("linear"), "rope_parameters.type"),
        ("factor", json!(2.0), "rope_parameters.factor"),
        (
            "partial_rotary_factor",
            json!(0.5),
            "rope_parameters.partial_rotary_factor",
        ),
        ("rope_type", json!("llama3"), "rope_parameters.factor"),
    ] {
        let mut config = config("llama");
        config["rope_parameters"][key] = value;
        let error = read(&config).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
    let mut twice = config("llama");
    twice["rope_scaling"] = json!({ "rope_type": "default", "rope_theta": 5e5 });
    assert!(
        read(&twice)
            .unwrap_err()
            .to_string()
            .contains("rope_parameters is set as well")
    );
    let theta = with("llama", "rope_theta", json!(5e5));
    assert!(read(&theta).unwrap_err().to_string().contains("rope_theta"));
}

#[test]
fn an_unknown_field_is_refused_with_its_value() {
    let error = read(&with("qwen3", "num_experts", json!(8))).unwrap_err();
    assert!(matches!(error, LmError::ConfigUnknown { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("`num_experts`") && text.contains("value 8"),
        "{text}"
    );
    for (key, value) in [
        ("logit_scale", json!(0.5)),
        ("final_logit_softcapping", json!(30.0)),
        ("residual_multiplier", json!(0.22)),
        ("no_rope_layers", json!([1, 0])),
        ("num_nextn_predict_layers", json!(1)),
    ] {
        let error = read(&with("llama", key, value)).unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
    }
}

#[test]
fn a_field_that_cannot_change_the_result_is_no_reason_to_refuse() {
    for (key, value) in [
        ("unk_token_id", json!(0)),
        ("mask_token_id", json!(3)),
        ("eos_token", json!("</s>")),
        ("_model_name_or_path", json!("a/b")),
        ("_name_or_path", json!("x")),
        ("unsloth_version", json!("2025.1")),
        ("pretraining_tp", json!(4)),
        ("problem_type", json!("regression")),
        ("chunk_size_feed_forward", json!(2)),
        ("tie_encoder_decoder", json!(true)),
        ("is_decoder", json!(true)),
        ("id2label", json!({"0": "a"})),
        ("max_new_tokens", json!(512)),
        ("repetition_penalty", json!(1.1)),
        ("torch_dtype", json!("bfloat16")),
        ("layer_types", json!(["full_attention", "full_attention"])),
        ("max_window_layers", json!(28)),
        ("use_sliding_window", json!(false)),
        ("num_experts", json!(null)),
        ("architectures", json!([])),
    ] {
        for family in ["llama", "qwen2", "qwen3", "mistral"] {
            let config = with(family, key, value.clone());
            read(&config).unwrap_or_else(|error| panic!("{family}: {error}"));
        }
    }
}

/// Every field that transformers 5.23 writes of itself, for configurations and for
/// the settings of generation that older files keep beside them.
#[test]
fn every_default_that_transformers_writes_is_read() {
    let written: Value = serde_json::from_str(
        r#"{
        "_name_or_path": "", "chunk_size_feed_forward": 0, "dtype": null,
        "id2label": {"0": "LABEL_0", "1": "LABEL_1"}, "is_encoder_decoder": false,
        "label2id": {"LABEL_0": 0, "LABEL_1": 1}, "output_attentions": false,
        "output_hidden_states": false, "problem_type": null, "return_dict": true,
        "transformers_version": "5.23.0", "attention_dropout": 0.0, "use_cache": true,
        "pad_token_id": null, "max_length": 20, "min_length": 0, "do_sample": false,
        "early_stopping": false, "num_beams": 1, "num_beam_groups": 1, "diversity_penalty": 0.0,
        "temperature": 1.0, "top_k": 50, "top_p": 1.0, "typical_p": 1.0, "min_p": null,
        "repetition_penalty": 1.0, "length_penalty": 1.0, "no_repeat_ngram_size": 0,
        "encoder_no_repeat_ngram_size": 0, "bad_words_ids": null, "num_return_sequences": 1,
        "output_scores": false, "return_dict_in_generate": false, "forced_bos_token_id": null,
        "forced_eos_token_id": null, "remove_invalid_values": false,
        "exponential_decay_length_penalty": null, "suppress_tokens": null,
        "begin_suppress_tokens": null, "torchscript": false, "use_bfloat16": false,
        "pruned_heads": {}, "cross_attention_hidden_size": null, "add_cross_attention": false,
        "finetuning_task": null, "tokenizer_class": null, "prefix": null, "sep_token_id": null,
        "decoder_start_token_id": null, "task_specific_params": null, "tf_legacy_loss": false,
        "renormalize_logits": false, "cache_implementation": "static", "stop_strings": ["x"],
        "guidance_scale": 1.5, "watermarking_config": {}, "token_healing": false
    }"#,
    )
    .unwrap();
    for family in ["llama", "qwen2", "qwen3", "mistral"] {
        let mut config = config(family);
        for (key, value) in written.as_object().unwrap() {
            config[key] = value.clone();
        }
        read(&config).unwrap_or_else(|error| panic!("{family}: {error}"));
    }
}

#[test]
fn old_and_new_rotary_fields_may_stand_beside_each_other_if_they_agree() {
    let scaling = json!({
        "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192, "rope_type": "llama3"
    });
    let mut both = config("llama");
    both["rope_theta"] = json!(500000.0);
    both["rope_scaling"] = scaling.clone();
    both["rope_parameters"] = scaling.clone();
    both["rope_parameters"]["rope_theta"] = json!(500000.0);
    let found = read(&both).unwrap();
    assert_eq!(found.rope_theta, 500_000.0);
    assert!(found.rope_scaling.is_some());
    both.as_object_mut().unwrap().shift_remove("rope_theta");
    assert_eq!(
        read(&both).unwrap(),
        ModelConfig {
            raw: both.as_object().unwrap().clone(),
            ..found
        }
    );
    both["rope_scaling"]["factor"] = json!(4.0);
    let error = read(&both).unwrap_err().to_string();
    assert!(error.contains("says otherwise"), "{error}");
}

#[test]
fn the_window_is_the_one_that_the_layers_use() {
    let window = |config: Value| read(&config).map(|config| config.sliding_window);
    assert_eq!(
        window(with("mistral", "sliding_window", json!(4))).unwrap(),
        Some(4)
    );
    assert_eq!(window(config("mistral")).unwrap(), None);
    // transformers' default where the file does not name the field.
    assert_eq!(
        window(without("mistral", "sliding_window")).unwrap(),
        Some(4096)
    );

    let qwen = |on: bool, from: u32| {
        let mut config = with("qwen2", "sliding_window", json!(4));
        config["use_sliding_window"] = json!(on);
        config["max_window_layers"] = json!(from);
        config
    };
    assert_eq!(window(qwen(false, 0)).unwrap(), None);
    assert_eq!(window(qwen(true, 0)).unwrap(), Some(4));
    assert_eq!(window(qwen(true, 2)).unwrap(), None);
    assert!(
        window(qwen(true, 1))
            .unwrap_err()
            .to_string()
            .contains("max_window_layers")
    );
    let mut listed = qwen(true, 1);
    listed["layer_types"] = json!(["sliding_attention", "sliding_attention"]);
    assert_eq!(window(listed).unwrap(), Some(4));
}

#[test]
fn text_that_is_no_json_object_is_refused_with_the_file() {
    for text in ["", "[]", "{\"hidden_size\": }", "null"] {
        let error = ModelConfig::from_json(text, Path::new("m/config.json")).unwrap_err();
        assert!(error.to_string().contains("m/config.json"), "{error}");
    }
    let error = ModelConfig::from_folder(Path::new("/nonexistent")).unwrap_err();
    assert!(
        error.to_string().contains("/nonexistent/config.json"),
        "{error}"
    );
}

#[test]
fn projections_that_are_multiplied_together_lie_together() {
    for family in ["llama", "qwen2", "qwen3", "mistral"] {
        let layout = read(&config(family)).unwrap().layout();
        let adjacent = |names: &[&str]| {
            for pair in names.windows(2) {
                let find = |name: &str| layout.get(&format!("model.layers.1.{name}")).unwrap();
                assert_eq!(find(pair[0]).range.end, find(pair[1]).range.start);
            }
        };
        let proj = |kind: &str| ["q", "k", "v"].map(|name| format!("self_attn.{name}_proj.{kind}"));
        adjacent(&proj("weight").each_ref().map(String::as_str));
        adjacent(&["mlp.gate_proj.weight", "mlp.up_proj.weight"]);
        if family == "qwen2" {
            adjacent(&proj("bias").each_ref().map(String::as_str));
        }
        assert_eq!(
            layout.get("lm_head.weight").unwrap().range.end,
            layout.len()
        );
    }
    let tied = read(&with("llama", "tie_word_embeddings", json!(true)))
        .unwrap()
        .layout();
    assert!(tied.get("lm_head.weight").is_none());
}
