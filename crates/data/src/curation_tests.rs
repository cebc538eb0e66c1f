use super::*;
use proptest::prelude::*;

/// Rows with these completions, of one prompt.
pub(super) fn answers(completions: &[&str]) -> Candidates {
    let row = |completion: &&str| Candidate {
        prompt: "prompt".to_owned(),
        completion: (*completion).to_owned(),
        ..Candidate::default()
    };
    Candidates::new(completions.iter().map(row).collect())
}

/// Rows with these rewards, each of a prompt of its own.
pub(super) fn rewarded(rewards: &[f32]) -> Candidates {
    let row = |(i, &reward): (usize, &f32)| Candidate {
        prompt: format!("prompt {i}"),
        completion: "answer".to_owned(),
        reward: Some(reward),
        ..Candidate::default()
    };
    Candidates::new(rewards.iter().enumerate().map(row).collect())
}

/// Four attempts at each prompt, right (1) or wrong (0).
pub(super) fn attempts(prompts: &[[u8; 4]]) -> Candidates {
    let mut rows = Vec::new();
    for (prompt, attempts) in prompts.iter().enumerate() {
        for (i, &reward) in attempts.iter().enumerate() {
            rows.push(Candidate {
                prompt: format!("prompt {prompt}"),
                completion: format!("attempt {i}"),
                reward: Some(f32::from(reward)),
                ..Candidate::default()
            });
        }
    }
    Candidates::new(rows)
}

fn rows() -> impl Strategy<Value = Candidates> {
    let row = (
        0..6_u8,
        "([ab] ?){0,8}",
        0..=4_u8,
        prop::option::of(0..3_u8),
    )
        .prop_map(|(prompt, completion, reward, score)| Candidate {
            prompt: format!("prompt {prompt}"),
            completion,
            reward: Some(f32::from(reward) / 4.0),
            score: score.map(f32::from),
            ..Candidate::default()
        });
    prop::collection::vec(row, 1..40).prop_map(Candidates::new)
}

/// Every rule that must leave alone what it left once. Balance is not among
/// the rules that must leave anything.
fn selections() -> Vec<Box<dyn Rule>> {
    let mut contamination = Contamination::new(3, true);
    contamination.add("evaluation", ["prompt 3", "a b a b"]);
    vec![
        Box::new(Length {
            unit: LengthUnit::Chars,
            min: Some(2),
            max: Some(6),
        }),
        Box::new(contamination),
        Box::new(Duplicates),
        Box::new(NearDuplicates::default()),
        Box::new(PassRate { min: 0.2, max: 0.9 }),
        Box::new(RewardRange {
            min: Some(0.5),
            max: Some(0.75),
        }),
        Box::new(BestOfK { at_most: 2 }),
        Box::new(MaxPerPrompt {
            at_most: 2,
            seed: 3,
        }),
        Box::new(BalanceDifficulty { bins: 3, seed: 3 }),
    ]
}

proptest! {
    #[test]
    fn rules_invent_nothing_keep_the_order_and_a_second_time_change_nothing(rows in rows()) {
        let all: Vec<usize> = (0..rows.len()).collect();
        for rule in selections() {
            let once = rule.apply(&rows, &all).unwrap().rows;
            prop_assert!(once.iter().all(|&row| row < rows.len()), "{}", rule.name());
            prop_assert!(once.is_sorted_by(|a, b| a < b), "{}: {once:?}", rule.name());
            let twice = rule.apply(&rows, &once).unwrap().rows;
            prop_assert_eq!(&twice, &once, "{}", rule.name());
        }
    }

    #[test]
    fn steps_account_for_every_row(rows in rows()) {
        let mut rules = selections();
        rules.push(Box::new(Percentiles { above: vec![10.0, 60.0], of: PercentileOf::Reward }));
        for rule in rules {
            let rule = [rule];
            let Ok(curated) = curate(&rows, &rule) else { continue };
            let step = &curated.steps[0];
            prop_assert_eq!(step.before, rows.len());
            prop_assert_eq!(step.left, curated.kept.len());
            let mut distinct = curated.kept.clone();
            distinct.dedup();
            prop_assert_eq!(step.removed.len() + distinct.len(), rows.len());
            prop_assert!(step.removed.iter().all(|row| !distinct.contains(row)));
            prop_assert_eq!(step.prompts_left, rows.prompts_of(&curated.kept));
            prop_assert!(curated.kept.is_sorted());
        }
    }
}

#[test]
fn where_nothing_is_left_the_rule_that_removed_the_most_is_named() {
    let rows = rewarded(&[0.0, 0.0, 0.5]);
    let range = |min| RewardRange {
        min: Some(min),
        max: None,
    };
    let rules: [Box<dyn Rule>; 2] = [Box::new(range(0.5)), Box::new(range(1.0))];
    let error = curate(&rows, &rules).unwrap_err().to_string();
    for part in ["none of the 3 rows", "reward (at least 0.5)", "most, 2"] {
        assert!(error.contains(part), "{part} in {error}");
    }
}
