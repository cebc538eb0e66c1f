use super::*;
use std::path::Path;

fn at(line: u64) -> Location {
    Location {
        file: Path::new("rows.jsonl").into(),
        line,
    }
}

fn trajectory(line: u64, tokens: &[u32], step_weight: &[f32]) -> Trajectory {
    Trajectory {
        tokens: tokens.to_vec(),
        step_weight: step_weight.to_vec(),
        reward: None,
        score: None,
        weight: 1.0,
        ref_log_probs: None,
        at: at(line),
    }
}

fn three() -> Vec<Trajectory> {
    let mut list = vec![
        trajectory(1, &[5, 6, 7], &[0.0, 0.0, 1.0]),
        trajectory(2, &[8, 9], &[0.0, 0.5]),
        trajectory(4, &[1, 2, 3, 4], &[0.0, 1.0, 0.0, 2.0]),
    ];
    list[0].reward = Some(1.0);
    list[1].score = Some(0.25);
    list[1].weight = 3.0;
    list[2].ref_log_probs = Some(vec![-0.5, -0.75]);
    list
}

fn dataset(list: Vec<Trajectory>) -> Dataset {
    let mut dataset = Dataset::new();
    for trajectory in list {
        dataset.push(trajectory).unwrap();
    }
    dataset
}

#[test]
fn accessors_return_what_was_pushed() {
    let data = dataset(three());
    assert_eq!(data.len(), 3);
    assert_eq!(data.total_tokens(), 9);
    for (i, pushed) in three().into_iter().enumerate() {
        assert_eq!(data.tokens(i), pushed.tokens);
        assert_eq!(data.step_weight(i), pushed.step_weight);
        assert_eq!(data.length(i), pushed.tokens.len());
        assert_eq!(data.reward(i), pushed.reward);
        assert_eq!(data.score(i), pushed.score);
        assert_eq!(data.weight(i), pushed.weight);
        assert_eq!(data.ref_log_probs(i), pushed.ref_log_probs.as_deref());
        assert_eq!(data.at(i), &pushed.at);
    }
    assert_eq!([data.steps(0), data.steps(1), data.steps(2)], [1, 1, 2]);
}

#[test]
fn the_first_token_never_carries_loss() {
    let data = dataset(vec![trajectory(1, &[1, 2], &[1.0, 1.0])]);
    assert_eq!(data.step_weight(0), [0.0, 1.0]);
    assert_eq!(data.steps(0), 1);
}

#[test]
fn appending_equals_pushing_one_after_the_other() {
    let mut list = three();
    let tail = list.split_off(1);
    let mut data = dataset(list);
    data.append(dataset(tail));
    let whole = dataset(three());
    assert_eq!(data.fingerprint(), whole.fingerprint());
    assert_eq!(data.ref_log_probs(2), whole.ref_log_probs(2));
    assert_eq!(data.at(2), whole.at(2));
}

#[test]
fn every_part_of_the_data_changes_the_fingerprint_and_its_place_does_not() {
    let changes: [fn(&mut Vec<Trajectory>); 11] = [
        |list| list[0].tokens[1] = 60,
        |list| list[0].step_weight[1] = 1.0,
        |list| list[0].reward = Some(0.5),
        |list| list[0].reward = None,
        |list| list[1].score = Some(0.5),
        |list| list[1].weight = 1.0,
        |list| list[2].ref_log_probs = Some(vec![-0.5, -0.5]),
        |list| list[2].ref_log_probs = None,
        |list| list.swap(0, 1),
        |list| list.truncate(2),
        // The same numbers under another name.
        |list| list[0].score = list[0].reward.take(),
    ];
    let whole = dataset(three()).fingerprint();
    let mut seen = vec![whole];
    for change in changes {
        let mut list = three();
        change(&mut list);
        let changed = dataset(list).fingerprint();
        assert!(!seen.contains(&changed), "change {}", seen.len());
        seen.push(changed);
    }
    let mut moved = three();
    moved[0].at = at(99);
    assert_eq!(dataset(moved).fingerprint(), whole);
}

#[test]
fn unsound_trajectories_are_refused_by_name_and_change_nothing() {
    type Damage = fn(&mut Trajectory);
    let breaks: [(Damage, &str); 9] = [
        (|t| t.tokens.push(1), "4 tokens but 3 step weights"),
        (|t| t.step_weight[2] = f32::NAN, "`step_weight[2]` is NaN"),
        (|t| t.step_weight[1] = -1.0, "`step_weight[1]` is -1"),
        (|t| t.step_weight[2] = 0.0, "no token that carries loss"),
        (|t| t.reward = Some(f32::INFINITY), "`reward` is inf"),
        (|t| t.score = Some(-0.5), "`score` is -0.5"),
        (|t| t.weight = -2.0, "`weight` is -2"),
        (
            |t| t.ref_log_probs = Some(vec![]),
            "has 0 numbers, expected 1",
        ),
        (
            |t| t.ref_log_probs = Some(vec![f32::NAN]),
            "`ref_log_probs[0]` is NaN",
        ),
    ];
    let mut data = dataset(three());
    let before = data.fingerprint();
    for (damage, expected) in breaks {
        let mut bad = trajectory(11, &[5, 6, 7], &[0.0, 0.0, 1.0]);
        damage(&mut bad);
        let message = data.push(bad).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
        assert!(message.contains("rows.jsonl:11"), "{message}");
        assert_eq!(data.fingerprint(), before);
    }
}

#[test]
fn quality_is_the_score_where_there_is_one_and_else_the_reward() {
    let with = |numbers: [(Option<f32>, Option<f32>); 2]| {
        let list = numbers.iter().map(|&(reward, score)| Trajectory {
            reward,
            score,
            ..trajectory(6, &[1, 2], &[0.0, 1.0])
        });
        dataset(list.collect())
            .qualities()
            .map_err(|e| e.to_string())
    };
    let both = [(Some(1.0), Some(0.5)), (Some(0.0), Some(0.25))];
    assert_eq!(with(both), Ok(vec![0.5, 0.25]));
    assert_eq!(
        with([(Some(1.0), None), (Some(0.0), None)]),
        Ok(vec![1.0, 0.0])
    );
    let mixed = with([(Some(1.0), Some(0.5)), (Some(1.0), None)]).unwrap_err();
    assert!(mixed.starts_with("rows.jsonl:6: has no score"), "{mixed}");
    let negative = with([(Some(1.0), None), (Some(-1.0), None)]).unwrap_err();
    assert!(negative.contains("`reward` is -1"), "{negative}");
}
