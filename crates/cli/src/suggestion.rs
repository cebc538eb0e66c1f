//! What somebody who misspelt a name may have meant.

/// The name among `known` that `name` is a misspelling of: a few letters away, or
/// the same with words left out or added. `None` where all are other names, or
/// where it begins several.
pub(crate) fn near<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters = |text: &str| text.to_lowercase().replace('_', "-");
    let name = letters(name);
    let distance = |known: &str| {
        let known = letters(known);
        let away = strsim::osa_distance(&name, &known);
        let shorter = name.chars().count().min(known.chars().count());
        let alike = away <= 2 && strsim::jaro_winkler(&name, &known) > 0.8;
        let misspelt = alike || away <= (shorter / 3).max(1) && away < shorter;
        (misspelt || is_part(&name, &known) || is_part(&known, &name)).then_some(away)
    };
    let known: Vec<&str> = known.into_iter().collect();
    if known
        .iter()
        .filter(|known| is_part(&name, &letters(known)))
        .count()
        > 1
    {
        return None;
    }
    let distances = known
        .into_iter()
        .filter_map(|known| Some((distance(known)?, known)));
    distances
        .min_by_key(|(away, _)| *away)
        .map(|(_, known)| known)
}

/// Whether `part` is `whole` without words at one end: `iw-sft` of `iw-sft-llm`.
fn is_part(part: &str, whole: &str) -> bool {
    let begins = whole
        .strip_prefix(part)
        .is_some_and(|rest| rest.starts_with('-'));
    let ends = whole
        .strip_suffix(part)
        .is_some_and(|rest| rest.ends_with('-'));
    !part.is_empty() && (begins || ends)
}

/// From an error about an unknown key or name, the valid one that it is near to.
pub(crate) fn nearest_key(message: &str) -> Option<String> {
    let (_, rest) = message
        .split_once("unknown field `")
        .or_else(|| message.split_once("unknown variant `"))?;
    let (unknown, expected) = rest.split_once('`')?;
    let valid = expected.split('`').skip(1).step_by(2);
    Some(format!("\ndid you mean `{}`?", near(unknown, valid)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 9] = [
        "epochs",
        "steps",
        "batch_size",
        "micro_tokens",
        "learning_rate",
        "min_reward",
        "max_length",
        "template",
        "seed",
    ];

    #[test]
    fn a_misspelt_name_is_recognised() {
        for (name, meant) in [
            ("bach_size", "batch_size"),
            ("batchsize", "batch_size"),
            ("batch-size", "batch_size"),
            ("learning_rat", "learning_rate"),
            ("Learning_Rate", "learning_rate"),
            ("min_rewards", "min_reward"),
            ("num_epochs", "epochs"),
            ("epoch", "epochs"),
            ("sede", "seed"),
            ("stesp", "steps"),
        ] {
            assert_eq!(near(name, KEYS), Some(meant), "{name}");
        }
        assert_eq!(
            near("iw-sft-ll", ["sft", "iw-sft-llm-step", "iw-sft-llm"]),
            Some("iw-sft-llm")
        );
    }

    #[test]
    fn another_name_is_not_taken_for_a_misspelling() {
        for name in [
            "temperature",
            "lora_rank",
            "max_reward_tokens_kept",
            "optimizer",
            "k",
            "",
            "gpu",
        ] {
            assert_eq!(near(name, KEYS), None, "{name}");
        }
        // Which of them is meant, the list of all names must say.
        assert_eq!(near("iw-sft", ["sft", "iw-sft-llm", "iw-sft-q"]), None);
    }

    #[test]
    fn keys_are_taken_from_the_message_about_them() {
        let message = "unknown field `bach_size`, expected one of `epochs`, `batch_size`";
        assert_eq!(
            nearest_key(message).unwrap(),
            "\ndid you mean `batch_size`?"
        );
        let message = "unknown field `optimizer`, expected `epochs` or `batch_size`";
        assert_eq!(nearest_key(message), None);
    }
}
