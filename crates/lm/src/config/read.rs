//! Reading `config.json` in the spellings of transformers 4 and 5.

use std::path::Path;

use iwsft_files::read_text;
use serde_json::{Map, Value, json};

use super::fields::Fields;
use super::{Family, Llama3RopeScaling, ModelConfig};
use crate::error::LmError;
use crate::file::{io_error, parse_json};

/// Base of the rotary embedding where a file names none, as in transformers.
const DEFAULT_ROPE_THETA: f64 = 10_000.0;

/// Bounds that only a damaged file exceeds; they keep all products within `usize`.
const MAX_LAYERS: usize = 10_000;
const MAX_PARAMETERS: u128 = 1 << 48;

impl ModelConfig {
    /// Reads `config.json` in a model folder.
    ///
    /// # Errors
    /// When the file cannot be read, and as [`Self::from_json`].
    pub fn from_folder(folder: &Path) -> Result<Self, LmError> {
        let path = folder.join("config.json");
        let text = read_text(&path).map_err(io_error(&path, "read"))?;
        Self::from_json(&text, &path)
    }

    /// Reads the text of a `config.json`; `path` is what messages call it.
    ///
    /// # Errors
    /// When the text is no JSON object, a required field is missing, a field has
    /// a value that is not supported, sizes contradict each other, or a field is
    /// unknown.
    pub fn from_json(text: &str, path: &Path) -> Result<Self, LmError> {
        read(&parse_json(text, path)?, path)
    }
}

fn read(raw: &Map<String, Value>, path: &Path) -> Result<ModelConfig, LmError> {
    let mut fields = Fields::new(path, "", raw);
    let family = family(&mut fields)?;

    let hidden_size = fields.required_size("hidden_size")?;
    let layers = fields.required_size("num_hidden_layers")?;
    let heads = fields.required_size("num_attention_heads")?;
    let kv_heads = kv_heads(&mut fields, family, heads)?;
    let head_dim = head_dim(&mut fields, family, hidden_size, heads)?;
    let feed_forward = fields.required_size("intermediate_size")?;
    let vocab_size = fields.required_size("vocab_size")?;
    let max_position = fields.required_size("max_position_embeddings")?;
    #[allow(clippy::cast_possible_truncation)]
    let rms_norm_eps = fields.required_positive("rms_norm_eps")? as f32;
    let (rope_theta, rope_scaling) = rope(&mut fields, family, path)?;
    let tied_head = fields.flag("tie_word_embeddings", false)?;
    let sliding_window = sliding_window(&mut fields, family, layers)?;
    let bos_token_id = fields.token("bos_token_id")?;
    let eos_token_ids = fields.tokens("eos_token_id")?;
    switches_off(&mut fields)?;
    if layers > MAX_LAYERS {
        return Err(fields.refuse(
            "num_hidden_layers",
            format!("at most {MAX_LAYERS} layers are supported"),
        ));
    }
    let wide = |size: usize| size as u128;
    let heads_width = wide(heads + 2 * kv_heads) * wide(head_dim);
    let per_layer = wide(hidden_size) * (2 * heads_width + 3 * wide(feed_forward));
    let parameters = wide(layers) * per_layer + 2 * wide(vocab_size) * wide(hidden_size);
    if parameters > MAX_PARAMETERS {
        return Err(fields.refuse(
            "hidden_size",
            format!("with the other sizes it implies about {parameters} parameters, which no machine holds"),
        ));
    }
    fields.finish(family.model_type())?;

    Ok(ModelConfig {
        family,
        hidden_size,
        layers,
        heads,
        kv_heads,
        head_dim,
        feed_forward,
        vocab_size,
        rms_norm_eps,
        rope_theta,
        rope_scaling,
        max_position,
        tied_head,
        qkv_bias: family == Family::Qwen2,
        qk_norm: family == Family::Qwen3,
        sliding_window,
        bos_token_id,
        eos_token_ids,
        raw: raw.clone(),
    })
}

fn family(fields: &mut Fields<'_>) -> Result<Family, LmError> {
    let types = Family::ALL.map(Family::model_type).join(", ");
    let found = fields
        .text("model_type")?
        .ok_or_else(|| fields.missing("model_type", &format!("one of {types}")))?;
    let family = Family::ALL
        .into_iter()
        .find(|family| family.model_type() == found)
        .ok_or_else(|| fields.refuse("model_type", format!("supported are {types}")))?;
    let architecture = family.architecture();
    fields.only(
        "architectures",
        &[json!([architecture]), json!([])],
        &format!("only [\"{architecture}\"] is supported for model_type {found}"),
    )?;
    Ok(family)
}

fn kv_heads(fields: &mut Fields<'_>, family: Family, heads: usize) -> Result<usize, LmError> {
    let key = "num_key_value_heads";
    let kv_heads = match fields.size(key)? {
        Some(kv_heads) => kv_heads,
        // The first Llama had as many as query heads and no such field; the other
        // families' defaults in transformers are those of one particular model.
        None if family == Family::Llama || fields.names(key) => heads,
        None => return Err(fields.missing(key, "a whole number above 0")),
    };
    if heads.is_multiple_of(kv_heads) {
        Ok(kv_heads)
    } else {
        Err(fields.refuse(
            key,
            format!("it must divide num_attention_heads, which is {heads}"),
        ))
    }
}

fn head_dim(
    fields: &mut Fields<'_>,
    family: Family,
    hidden_size: usize,
    heads: usize,
) -> Result<usize, LmError> {
    let head_dim = match fields.size("head_dim")? {
        Some(head_dim) => head_dim,
        None if family == Family::Qwen3 && !fields.names("head_dim") => 128,
        None if hidden_size.is_multiple_of(heads) => hidden_size / heads,
        None => {
            return Err(fields.refuse(
                "num_attention_heads",
                format!("without head_dim it must divide hidden_size, which is {hidden_size}"),
            ));
        }
    };
    if head_dim.is_multiple_of(2) {
        Ok(head_dim)
    } else {
        Err(fields.refuse(
            "head_dim",
            format!(
                "the width of a head must be even for the rotary embedding, and it is {head_dim}"
            ),
        ))
    }
}

/// Base and scaling of the rotary embedding: `rope_theta` and `rope_scaling`
/// (transformers 4) or `rope_parameters` (transformers 5). A file that has both must
/// say the same twice.
fn rope(
    fields: &mut Fields<'_>,
    family: Family,
    path: &Path,
) -> Result<(f64, Option<Llama3RopeScaling>), LmError> {
    let outer_theta = fields.positive("rope_theta")?;
    let mut read = |key, prefix| match fields.value(key) {
        None => Ok(None),
        Some(Value::Object(map)) => {
            rope_of(Fields::new(path, prefix, map), family, outer_theta).map(Some)
        }
        Some(_) => Err(fields.refuse(key, "it must be null or an object")),
    };
    let old = read("rope_scaling", "rope_scaling.")?;
    let new = read("rope_parameters", "rope_parameters.")?;
    if let (Some(old), Some(new)) = (&old, &new)
        && (old.1 != new.1 || matches!((old.0, new.0), (Some(old), Some(new)) if old != new))
    {
        return Err(fields.refuse(
            "rope_scaling",
            "rope_parameters is set as well and says otherwise; keep the one that applies",
        ));
    }
    let theta = [&new, &old].into_iter().flatten().find_map(|rope| rope.0);
    let scaling = new.or(old).and_then(|rope| rope.1);
    Ok((theta.or(outer_theta).unwrap_or(DEFAULT_ROPE_THETA), scaling))
}

/// Base and scaling as one object says.
fn rope_of(
    mut inner: Fields<'_>,
    family: Family,
    outer_theta: Option<f64>,
) -> Result<(Option<f64>, Option<Llama3RopeScaling>), LmError> {
    let theta = inner.positive("rope_theta")?;
    if let (Some(outer), Some(theta)) = (outer_theta, theta)
        && outer.to_bits() != theta.to_bits()
    {
        return Err(inner.refuse("rope_theta", format!("rope_theta outside of it is {outer}")));
    }
    inner.only(
        "partial_rotary_factor",
        &[json!(1)],
        "only 1 (the whole head is rotated) is supported",
    )?;
    let (kind_key, kind) = match (inner.text("rope_type")?, inner.text("type")?) {
        (Some(new), Some(old)) if new != old => {
            return Err(inner.refuse("type", format!("rope_type is \"{new}\"")));
        }
        (Some(new), _) => ("rope_type", new),
        (None, Some(old)) => ("type", old),
        (None, None) => ("rope_type", "default"),
    };
    let scaling = match kind {
        "default" => None,
        "llama3" => Some(llama3(&mut inner)?),
        _ => {
            return Err(inner.refuse(kind_key, "supported are \"default\" and \"llama3\""));
        }
    };
    inner.finish(family.model_type())?;
    Ok((theta, scaling))
}

fn llama3(fields: &mut Fields<'_>) -> Result<Llama3RopeScaling, LmError> {
    let scaling = Llama3RopeScaling {
        factor: fields.required_positive("factor")?,
        low_freq_factor: fields.required_positive("low_freq_factor")?,
        high_freq_factor: fields.required_positive("high_freq_factor")?,
        original_max_position_embeddings: fields
            .required_size("original_max_position_embeddings")?,
    };
    if scaling.high_freq_factor <= scaling.low_freq_factor {
        return Err(fields.refuse(
            "high_freq_factor",
            format!(
                "it must exceed low_freq_factor, which is {}",
                scaling.low_freq_factor
            ),
        ));
    }
    Ok(scaling)
}

/// The attention window that all layers share.
fn sliding_window(
    fields: &mut Fields<'_>,
    family: Family,
    layers: usize,
) -> Result<Option<usize>, LmError> {
    let declared = fields.size("sliding_window")?;
    if matches!(family, Family::Llama | Family::Mistral) {
        fields.only(
            "use_sliding_window",
            &[json!(false)],
            "only false is supported",
        )?;
        // Says from which layer on a window is used that these families do not have.
        fields.value("max_window_layers");
    }
    let window = match family {
        Family::Llama if declared.is_none() || fields.names("use_sliding_window") => None,
        Family::Llama => {
            return Err(fields.refuse(
                "sliding_window",
                "a llama model attends to everything; only null is supported",
            ));
        }
        // The first Mistral's window is the default of transformers.
        Family::Mistral => declared.or((!fields.names("sliding_window")).then_some(4096)),
        Family::Qwen2 | Family::Qwen3 => {
            let from = fields.value("max_window_layers").map(Value::as_u64);
            if !fields.flag("use_sliding_window", false)? {
                None
            } else if fields.value("layer_types").is_some() {
                declared
            } else {
                match (declared, from) {
                    (None, _) => None,
                    (window, Some(Some(0))) => window,
                    (_, Some(Some(from))) if from >= layers as u64 => None,
                    _ => {
                        return Err(fields.refuse(
                            "max_window_layers",
                            format!(
                                "with use_sliding_window it must be 0 (all layers) or at least {layers} (none); \
                                 layers of both kinds in one model are not supported"
                            ),
                        ));
                    }
                }
            }
        }
    };
    layer_types(fields, layers, window)
}

/// Checks `layer_types` against the window, if the file has it.
fn layer_types(
    fields: &mut Fields<'_>,
    layers: usize,
    window: Option<usize>,
) -> Result<Option<usize>, LmError> {
    let Some(value) = fields.value("layer_types") else {
        return Ok(window);
    };
    let expected = format!("it must be a list of {layers} times \"full_attention\"");
    let Some(types) = value.as_array().filter(|types| types.len() == layers) else {
        return Err(fields.refuse("layer_types", expected));
    };
    let all = |kind: &str| types.iter().all(|found| found == kind);
    match window {
        Some(_) if all("sliding_attention") => Ok(window),
        // Qwen with a window declared, but no layer that uses it.
        Some(_) if all("full_attention") && fields.names("use_sliding_window") => Ok(None),
        Some(window) => Err(fields.refuse(
            "layer_types",
            format!(
                "with a window of {window} it must be a list of {layers} times \"sliding_attention\"; \
                 layers of both kinds in one model are not supported"
            ),
        )),
        None if all("full_attention") => Ok(None),
        None => Err(fields.refuse("layer_types", expected)),
    }
}

/// Fields that may be present as long as they switch nothing on.
fn switches_off(fields: &mut Fields<'_>) -> Result<(), LmError> {
    fields.only(
        "hidden_act",
        &[json!("silu"), json!("swish")],
        "only \"silu\" is supported",
    )?;
    for key in [
        "attention_dropout",
        "attn_pdrop",
        "embd_pdrop",
        "resid_pdrop",
        "hidden_dropout",
    ] {
        fields.only(key, &[json!(0)], "only 0 (no dropout) is supported")?;
    }
    for key in [
        "attention_bias",
        "mlp_bias",
        "rope_interleaved",
        "use_mrope",
        "is_encoder_decoder",
        "add_cross_attention",
    ] {
        fields.only(key, &[json!(false)], "only false is supported")?;
    }
    fields.only(
        "partial_rotary_factor",
        &[json!(1)],
        "only 1 (the whole head is rotated) is supported",
    )?;
    fields.only("pruned_heads", &[json!({})], "only {} is supported")?;
    fields.only("per_layer_config", &[json!({})], "only null is supported")?;
    fields.only(
        "quantization_config",
        &[],
        "quantized weights are not supported; use the original f32, bf16 or f16 weights",
    )?;
    fields.only(
        "auto_map",
        &[],
        "models with code of their own are not supported; remove the field if the \
         weights are those of a plain model",
    )?;
    Ok(())
}
