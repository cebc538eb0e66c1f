use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::mixture::Source;

fn mixture(list: &[(f64, usize)]) -> Mixture {
    let sources: Vec<Source> = list
        .iter()
        .map(|&(share, _)| Source {
            path: PathBuf::from("a"),
            share: Some(share),
            columns: Default::default(),
        })
        .collect();
    let counts: Vec<usize> = list.iter().map(|&(_, count)| count).collect();
    Mixture::new(&sources, &counts).unwrap()
}

fn copies(order: &[usize], n: usize) -> Vec<usize> {
    let mut copies = vec![0; n];
    for &i in order {
        copies[i] += 1;
    }
    copies
}

/// The numbers come from a second program, written in Python after the
/// definition: a run that someone wants to repeat must not change its order,
/// on no platform and with no release.
#[test]
fn the_order_of_a_seed_never_changes() {
    let whole = EpochOrder::new(Mixture::whole(12), None, 42).unwrap();
    assert_eq!(whole.epoch(0), [11, 2, 10, 3, 1, 6, 7, 9, 5, 4, 8, 0]);
    assert_eq!(whole.epoch(1), [5, 2, 7, 3, 10, 4, 9, 6, 1, 11, 0, 8]);
    let quality = [1.0, 2.0, 3.0, 0.0, 1.0, 5.0];
    let drawn = EpochOrder::new(Mixture::whole(6), Some(&quality), 7).unwrap();
    assert_eq!(drawn.epoch(3), [5, 2, 4, 1, 5, 5]);
}

#[test]
fn every_place_is_equally_likely() {
    const N: usize = 5;
    const SEEDS: u64 = 20_000;
    let mut seen = [[0_u32; N]; N];
    for seed in 0..SEEDS {
        let order = EpochOrder::new(Mixture::whole(N), None, seed)
            .unwrap()
            .epoch(0);
        for (place, i) in order.into_iter().enumerate() {
            seen[place][i] += 1;
        }
    }
    // Each count is binomial with p = 1/5: five standard deviations.
    let expected = SEEDS as f64 / N as f64;
    let bound = 5.0 * (expected * (1.0 - 1.0 / N as f64)).sqrt();
    for count in seen.into_iter().flatten() {
        assert!((f64::from(count) - expected).abs() < bound, "{seen:?}");
    }
}

#[test]
fn drawing_by_quality_gives_copies_in_proportion_and_never_quality_zero() {
    let quality = [2.0, 0.0, 1.0, 1.0];
    let order = EpochOrder::new(Mixture::whole(4), Some(&quality), 3).unwrap();
    for epoch in 0..20 {
        assert_eq!(copies(&order.epoch(epoch), 4), [2, 0, 1, 1]);
    }
}

/// Equally spaced marks over the file's own order would draw every row once, or
/// each good one twice and no other.
#[test]
fn rows_that_are_good_and_bad_in_turn_are_drawn_each_by_chance() {
    let quality: Vec<f32> = (0..400).map(|i| [3.0, 1.0][i % 2]).collect();
    let order = EpochOrder::new(Mixture::whole(400), Some(&quality), 5).unwrap();
    let mut of_each = [0; 2];
    let mut together = 0;
    for epoch in 0..50 {
        let copies = copies(&order.epoch(epoch), 400);
        let bad = copies.iter().skip(1).step_by(2).sum::<usize>();
        // 100 are expected; of draws that are all alike there would be 0 or 200.
        assert!((70..=130).contains(&bad), "epoch {epoch}: {bad}");
        of_each[0] += copies[1];
        of_each[1] += copies[3];
        together += usize::from(copies[1] == copies[3]);
    }
    // Neighbours come half of the time each, and not together.
    assert!(of_each.iter().all(|n| (12..=38).contains(n)), "{of_each:?}");
    assert!((12..=38).contains(&together), "{together}");
}

#[test]
fn a_source_without_quality_is_refused() {
    let mixture = mixture(&[(1.0, 2), (1.0, 2)]);
    let error = EpochOrder::new(mixture, Some(&[1.0, 1.0, 0.0, 0.0]), 0).unwrap_err();
    let message = error.to_string();
    assert!(message.starts_with("trajectories 2 to 3 "), "{message}");
}

#[test]
fn the_largest_epoch_number_is_fine() {
    let order = EpochOrder::new(mixture(&[(1.0, 3), (1.0, 50)]), None, 0).unwrap();
    assert_eq!(order.epoch(u64::MAX).len(), 6);
}

#[test]
fn no_data_is_an_empty_epoch() {
    let order = EpochOrder::new(Mixture::whole(0), None, 0).unwrap();
    assert!(order.epoch(0).is_empty());
}

proptest! {
    #[test]
    fn every_row_is_drawn_as_often_as_its_quality_says_rounded_down_or_up(
        quality in proptest::collection::vec(prop_oneof![Just(0.0_f32), Just(1.0), 0.0_f32..9.0], 1..60),
        seed: u64,
        epoch: u64,
    ) {
        let total: f64 = quality.iter().copied().map(f64::from).sum();
        prop_assume!(total > 0.0);
        let n = quality.len();
        let order = EpochOrder::new(Mixture::whole(n), Some(&quality), seed).unwrap();
        let drawn = order.epoch(epoch);
        prop_assert_eq!(drawn.len(), n);
        for (copies, quality) in copies(&drawn, n).into_iter().zip(&quality) {
            let expected = f64::from(*quality) / total * n as f64;
            prop_assert!(copies as f64 >= (expected - 1e-9).floor());
            prop_assert!(copies as f64 <= (expected + 1e-9).ceil());
        }
    }

    #[test]
    fn an_epoch_of_everything_is_a_permutation(n in 0_usize..300, seed: u64, epoch: u64) {
        let order = EpochOrder::new(Mixture::whole(n), None, seed).unwrap();
        let mut indices = order.epoch(epoch);
        indices.sort_unstable();
        prop_assert_eq!(indices, (0..n).collect::<Vec<_>>());
    }

    #[test]
    fn the_same_seed_gives_the_same_order_and_another_epoch_or_seed_another(
        n in 20_usize..100,
        seed: u64,
        epoch in 0..u64::MAX,
    ) {
        let order = |seed| EpochOrder::new(Mixture::whole(n), None, seed).unwrap();
        let first = order(seed).epoch(epoch);
        prop_assert_eq!(&first, &order(seed).epoch(epoch));
        // By chance equal once in 20! = 2e18.
        prop_assert_ne!(&first, &order(seed).epoch(epoch + 1));
        prop_assert_ne!(&first, &order(seed.wrapping_add(1)).epoch(epoch));
    }

    #[test]
    fn over_epochs_the_trajectories_of_a_source_come_equally_often(
        list in proptest::collection::vec((0.05_f64..1.0, 1_usize..40), 1..4),
        seed: u64,
        epochs in 1_u64..12,
    ) {
        let mixture = mixture(&list);
        let n = list.iter().map(|&(_, count)| count).sum();
        let order = EpochOrder::new(mixture.clone(), None, seed).unwrap();
        let mut seen = Vec::new();
        for epoch in 0..epochs {
            let indices = order.epoch(epoch);
            prop_assert_eq!(indices.len(), mixture.epoch_length());
            seen.extend(indices);
            let copies = copies(&seen, n);
            for pool in mixture.pools() {
                let pool_copies = &copies[pool.trajectories.clone()];
                prop_assert_eq!(
                    pool_copies.iter().sum::<usize>(),
                    pool.draws * (epoch as usize + 1)
                );
                let (least, most) = (pool_copies.iter().min(), pool_copies.iter().max());
                prop_assert!(most.unwrap() - least.unwrap() <= 1);
            }
        }
    }
}
