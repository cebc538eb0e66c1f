use proptest::prelude::*;

use super::*;

fn lengths(batches: &[MicroBatch], list: &[(usize, usize)]) -> Vec<Vec<usize>> {
    let length = |index: usize| list.iter().find(|(i, _)| *i == index).unwrap().1;
    batches
        .iter()
        .map(|batch| batch.trajectories.iter().map(|&i| length(i)).collect())
        .collect()
}

#[test]
fn the_fullest_batch_with_room_is_taken() {
    // After 7 and 6, the 3 fits both, and fills the first.
    let list = [(0, 3), (1, 6), (2, 7), (3, 4)];
    let batches = pack(&list, 10);
    assert_eq!(lengths(&batches, &list), [vec![7, 3], vec![6, 4]]);
}

#[test]
fn a_trajectory_above_the_budget_is_alone() {
    let batches = pack(&[(4, 2), (5, 11), (6, 0)], 10);
    assert_eq!(batches[0].trajectories, [5]);
    assert_eq!(batches[0].tokens, 11);
    assert_eq!(batches[1].trajectories, [4, 6]);
    assert_eq!(batches.len(), 2);
}

#[test]
fn equal_lengths_keep_the_order_given() {
    let batches = pack(&[(9, 5), (1, 5), (4, 5), (2, 5)], 10);
    assert_eq!(batches[0].trajectories, [9, 1]);
    assert_eq!(batches[1].trajectories, [4, 2]);
}

#[test]
fn nothing_packs_into_nothing() {
    assert!(pack(&[], 10).is_empty());
}

/// The fewest batches, by trying every assignment.
fn fewest(lengths: &[usize], room: &mut Vec<usize>, budget: usize) -> usize {
    let Some((&length, rest)) = lengths.split_first() else {
        return room.len();
    };
    room.push(budget - length);
    let mut best = fewest(rest, room, budget);
    room.pop();
    for batch in 0..room.len() {
        if room[batch] >= length {
            room[batch] -= length;
            best = best.min(fewest(rest, room, budget));
            room[batch] += length;
        }
    }
    best
}

proptest! {
    #[test]
    fn each_index_comes_once_and_the_budget_is_kept(
        lengths in proptest::collection::vec(0_usize..60, 0..80),
        budget in 0_usize..50,
    ) {
        // Indices are names, not places: give them a gap.
        let list: Vec<_> = lengths.iter().enumerate().map(|(i, &l)| (3 * i + 1, l)).collect();
        let batches = pack(&list, budget);
        let mut indices: Vec<_> =
            batches.iter().flat_map(|batch| &batch.trajectories).copied().collect();
        indices.sort_unstable();
        prop_assert_eq!(indices, list.iter().map(|(i, _)| *i).collect::<Vec<_>>());
        for (batch, members) in batches.iter().zip(super::tests::lengths(&batches, &list)) {
            prop_assert_eq!(batch.tokens, members.iter().sum::<usize>());
            prop_assert!(batch.tokens <= budget || members.len() == 1);
        }
    }

    #[test]
    fn at_most_one_batch_is_half_empty(
        lengths in proptest::collection::vec(1_usize..=50, 0..80),
    ) {
        let list: Vec<_> = lengths.iter().copied().enumerate().collect();
        let batches = pack(&list, 50);
        prop_assert!(batches.iter().filter(|batch| batch.tokens <= 25).count() <= 1);
        let sum: usize = lengths.iter().sum();
        prop_assert!(batches.len() >= sum.div_ceil(50));
    }

    #[test]
    fn no_more_than_eleven_ninths_of_the_fewest_batches_plus_one(
        lengths in proptest::collection::vec(1_usize..=20, 1..9),
    ) {
        let list: Vec<_> = lengths.iter().copied().enumerate().collect();
        let found = pack(&list, 20).len();
        let fewest = fewest(&lengths, &mut Vec::new(), 20);
        prop_assert!(9 * found <= 11 * fewest + 9, "{} of {}", found, fewest);
    }
}
