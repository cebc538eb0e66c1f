//! The recipes that a quickstart writes and runs.

/// A recipe: its name, and what stands in the file.
#[derive(Clone, Debug)]
pub(crate) struct NamedRecipe {
    pub(crate) name: &'static str,
    pub(crate) text: String,
}

/// The recipes that start from the base model.
pub(crate) const FINE_TUNINGS: [&str; 4] = ["sft", "iw-sft", "sft-q", "iw-sft-q"];

/// How much is trained.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// Steps from random weights to the base model.
    pub(crate) base_steps: u32,
    /// Steps of each fine-tuning.
    pub(crate) steps: u32,
    pub(crate) seed: u64,
}

/// The base model's recipe first, then those that start from its result.
pub(crate) fn recipes(budget: Budget) -> Vec<NamedRecipe> {
    let fine_tunings = [
        (
            "sft",
            "SFT: imitate the samples with a right answer.",
            "right",
            "preset = \"sft\"",
        ),
        (
            "iw-sft",
            "iw-SFT: the same samples, each weighted by how much likelier the policy\n\
             # makes it now than the base model did when it was drawn.",
            "right",
            "preset = \"iw-sft-llm\"",
        ),
        (
            "sft-q",
            "SFT(Q): draw from all samples, in proportion to their score.",
            "scored",
            "preset = \"sft\"\nquality = \"resample\"",
        ),
        (
            "iw-sft-q",
            "iw-SFT(Q): draw by score, and weight as iw-SFT does.",
            "scored",
            "preset = \"iw-sft-llm\"\nquality = \"resample\"",
        ),
    ];
    let mut recipes = vec![base(budget)];
    recipes.extend(fine_tunings.map(|(name, purpose, data, objective)| {
        let Budget { steps, seed, .. } = budget;
        let text = format!(
            r#"# {purpose}
# Run it again, from this folder: iwsft train {name}.toml --run runs/{name}-again

[model]
path = "runs/base/model"

[data]
train = "{data}.jsonl"
validation = "validation.jsonl"

[objective]
{objective}

[reference]
column = true  # the log-probs that `iwsft sample` wrote

[train]
steps = {steps}
batch_size = 32
learning_rate = 5e-4
seed = {seed}
"#
        );
        NamedRecipe { name, text }
    }));
    recipes
}

fn base(
    Budget {
        base_steps, seed, ..
    }: Budget,
) -> NamedRecipe {
    let text = format!(
        r#"# The base model: imitate every trace, whether right or wrong.
# Run it again, from this folder: iwsft train base.toml --run runs/base-again

[model]
path = "random"

[data]
train = "traces.jsonl"
validation = "validation.jsonl"

[objective]
preset = "sft"

[train]
steps = {base_steps}
batch_size = 32
learning_rate = 3e-3
final_ratio = 0.1
seed = {seed}
"#
    );
    NamedRecipe { name: "base", text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Recipe;

    #[test]
    fn every_recipe_can_be_read_and_starts_from_the_right_model() {
        let folder = tempfile::tempdir().unwrap();
        let budget = Budget {
            base_steps: 7,
            steps: 5,
            seed: 3,
        };
        for NamedRecipe { name, text } in recipes(budget) {
            let path = folder.path().join(format!("{name}.toml"));
            std::fs::write(&path, text).unwrap();
            let recipe = Recipe::read(&path, &[]).unwrap();
            let objective = recipe.objective.resolve().unwrap();
            recipe.train.validate().unwrap();
            let (start, steps) = match name {
                "base" => ("random", 7),
                _ => ("runs/base/model", 5),
            };
            assert_eq!(recipe.model.path, folder.path().join(start));
            assert_eq!(recipe.train.steps, Some(steps));
            assert_eq!(recipe.run_folder(), folder.path().join("runs").join(name));
            assert_eq!(objective.needs_reference(), name.starts_with("iw-"));
            let resampled = objective.quality == iwsft_objective::Quality::Resample;
            assert_eq!(resampled, name.ends_with("-q"));
            let data = match name {
                "base" => "traces.jsonl",
                "sft" | "iw-sft" => "right.jsonl",
                _ => "scored.jsonl",
            };
            let sources = recipe.data.sources(&recipe.data.train);
            assert_eq!(sources[0].0.path, folder.path().join(data));
        }
    }
}
