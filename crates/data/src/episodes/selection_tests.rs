use proptest::prelude::*;

use super::*;

#[test]
fn percentiles_are_those_of_numpy() {
    // numpy.percentile([3, 1, 10, 2], p)
    let values = [3.0, 1.0, 10.0, 2.0];
    for (percent, expected) in [
        (0.0, 1.0),
        (10.0, 1.3),
        (50.0, 2.5),
        (90.0, 7.9),
        (98.0, 9.58),
        (100.0, 10.0),
    ] {
        let found = percentile(&values, percent).unwrap();
        assert!((found - expected).abs() < 1e-12, "{percent}: {found}");
    }
    assert_eq!(percentile(&[7.0], 90.0).unwrap(), 7.0);
}

#[test]
fn the_best_come_once_for_each_percentile_they_exceed() {
    // The 90th, 95th and 98th percentiles of 0 to 100 are 90, 95 and 98, which
    // do not exceed themselves.
    let returns: Vec<f64> = (0..=100).map(f64::from).collect();
    let found = above_percentiles(&returns, &[90.0, 95.0, 98.0]).unwrap();
    let expected: Vec<usize> = (91..=100).chain(96..=100).chain(99..=100).collect();
    assert_eq!(found, expected);
}

#[test]
fn equal_returns_exceed_no_percentile_of_theirs() {
    let error = above_percentiles(&[0.3; 5], &[95.0, 90.0]).unwrap_err();
    let expected = SelectionError::NoneAbove {
        count: 5,
        lowest: 90.0,
        value: 0.3,
    };
    assert_eq!(error, expected);
}

#[test]
fn the_top_share_is_rounded_down_but_never_empty() {
    let returns = [1.0, 9.0, 5.0, 9.0, 7.0];
    assert_eq!(top_share(&returns, 0.1).unwrap(), [1]);
    assert_eq!(top_share(&returns, 0.5).unwrap(), [1, 3]);
    assert_eq!(top_share(&returns, 1.0).unwrap(), [1, 3, 4, 2, 0]);
    // 10 of 20 steps: the best episode, and the one after it, but not the third.
    let lengths = [2, 4, 2, 5, 7];
    assert_eq!(top_share_of_steps(&returns, &lengths, 0.5).unwrap(), [1, 3]);
    assert_eq!(top_share_of_steps(&returns, &lengths, 0.01).unwrap(), [1]);
}

#[test]
fn quality_is_in_proportion_to_the_shifted_return() {
    let returns = [-10.0, 0.0, 30.0];
    let min_max = quality(&returns, ReturnQuality::MinMax).unwrap();
    assert_eq!(min_max, [0.0, 0.25, 1.0]);
    let shifted = quality(&returns, ReturnQuality::Shifted(20.0)).unwrap();
    assert_eq!(shifted, [10.0, 20.0, 50.0]);
    assert_eq!(
        quality(&[5.0, 5.0], ReturnQuality::MinMax).unwrap(),
        [1.0, 1.0]
    );
    let error = quality(&returns, ReturnQuality::Shifted(5.0)).unwrap_err();
    assert!(matches!(error, SelectionError::Negative { index: 0, .. }));
}

#[test]
fn what_cannot_be_ranked_is_refused() {
    assert_eq!(percentile(&[], 5.0), Err(SelectionError::NoEpisodes));
    assert_eq!(top_share(&[], 0.5), Err(SelectionError::NoEpisodes));
    assert!(matches!(
        above_percentiles(&[1.0, f64::NAN], &[90.0]),
        Err(SelectionError::NotFinite { index: 1, .. })
    ));
    assert_eq!(
        percentile(&[1.0], 101.0),
        Err(SelectionError::Percentile { found: 101.0 })
    );
    for found in [0.0, 1.5, -0.1] {
        assert_eq!(
            top_share(&[1.0], found),
            Err(SelectionError::Share { found })
        );
    }
}

proptest! {
    #[test]
    fn the_selected_are_better_than_the_others(
        returns in proptest::collection::vec(-1e3_f64..1e3, 2..60),
        percent in 0.0_f64..99.0,
    ) {
        if let Ok(selected) = above_percentiles(&returns, &[percent]) {
            let worst = selected.iter().map(|&i| returns[i]).fold(f64::INFINITY, f64::min);
            for index in (0..returns.len()).filter(|index| !selected.contains(index)) {
                prop_assert!(returns[index] <= worst);
            }
            // No more than the share above the percentile, of distinct returns.
            let most = (1.0 - percent / 100.0) * (returns.len() - 1) as f64;
            prop_assert!(selected.len() as f64 <= most.ceil());
        }
    }
}
