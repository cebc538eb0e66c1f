use std::convert::Infallible;

use proptest::prelude::*;

use super::*;

fn sources(shares: &[Option<f64>]) -> Vec<Source> {
    shares
        .iter()
        .enumerate()
        .map(|(k, &share)| Source {
            path: format!("{k}.jsonl").into(),
            share,
            columns: Columns::default(),
        })
        .collect()
}

fn draws(shares: &[f64], counts: &[usize]) -> Vec<usize> {
    let sources = sources(&shares.iter().copied().map(Some).collect::<Vec<_>>());
    let mixture = Mixture::new(&sources, counts).unwrap();
    mixture.pools().iter().map(|pool| pool.draws).collect()
}

#[test]
fn without_shares_an_epoch_is_everything_once() {
    let mixture = Mixture::new(&sources(&[None, None]), &[3, 4]).unwrap();
    assert_eq!(mixture, Mixture::whole(7));
    assert_eq!(mixture.epoch_length(), 7);
}

#[test]
fn the_source_that_runs_out_first_is_seen_once_as_a_whole() {
    assert_eq!(draws(&[0.5, 0.5], &[100, 1000]), [100, 100]);
    assert_eq!(draws(&[3.0, 1.0], &[300, 1000]), [300, 100]);
    assert_eq!(draws(&[0.3, 0.7], &[3, 700]), [3, 7]);
    // A share too small for one row still gets one.
    assert_eq!(draws(&[1e-9, 1.0], &[5, 10]), [1, 10]);
    assert_eq!(draws(&[f64::MAX, f64::MAX], &[5, 10]), [5, 5]);
}

#[test]
fn shares_for_some_sources_only_or_not_above_zero_are_refused() {
    let refuse = |shares: &[Option<f64>]| {
        Mixture::new(&sources(shares), &[1, 1])
            .unwrap_err()
            .to_string()
    };
    assert!(refuse(&[Some(1.0), None]).starts_with("0.jsonl has a share and 1.jsonl has none"));
    assert!(refuse(&[Some(1.0), Some(0.0)]).starts_with("1.jsonl: share = 0"));
    assert!(refuse(&[Some(1.0), Some(f64::NAN)]).contains("share = NaN"));
    assert!(refuse(&[Some(f64::INFINITY), Some(1.0)]).contains("share = inf"));
}

#[test]
fn loading_joins_the_sources_in_order_with_a_report_each() {
    let folder = tempfile::tempdir().unwrap();
    let mut list = sources(&[Some(1.0), Some(1.0)]);
    for (source, text) in list
        .iter_mut()
        .zip(["{\"text\":\"ab\"}\n", "{\"body\":\"cdef\"}\n"])
    {
        source.path = folder.path().join(&source.path);
        std::fs::write(&source.path, text).unwrap();
    }
    list[1].columns.text = Some("body".to_owned());
    let bytes = |row: &Row| {
        let crate::Content::Text(text) = &row.content else {
            panic!("{row:?}");
        };
        Ok::<_, Infallible>(Encoded {
            tokens: text.bytes().map(u32::from).collect(),
            step_weight: vec![1.0; text.len()],
            ..Encoded::default()
        })
    };
    let (data, mixture, reports) =
        Mixture::load(&list, |_, row| bytes(row), &Rules::default()).unwrap();
    assert_eq!((data.length(0), data.length(1)), (2, 4));
    assert_eq!(mixture.pools()[1].trajectories, 1..2);
    let mut total = reports[0].clone();
    total.merge(&reports[1]);
    assert_eq!((total.tokens, total.longest, total.shortest), (6, 4, 2));

    let nothing = Mixture::load(&[], |_, row| bytes(row), &Rules::default()).unwrap_err();
    assert!(matches!(nothing, DataError::NoSources));
}

proptest! {
    #[test]
    fn no_source_is_repeated_within_an_epoch_and_shares_are_met(
        list in proptest::collection::vec((0.05_f64..1.0, 1_usize..500), 1..6),
    ) {
        let (shares, counts): (Vec<f64>, Vec<usize>) = list.into_iter().unzip();
        let drawn = draws(&shares, &counts);
        let total: usize = drawn.iter().sum();
        let sum: f64 = shares.iter().sum();
        for ((&drawn, &count), share) in drawn.iter().zip(&counts).zip(&shares) {
            prop_assert!((1..=count).contains(&drawn));
            // Rounding of each source, and of the total, to whole rows.
            let slack = shares.len() as f64 / 2.0 + 1.5;
            prop_assert!((drawn as f64 - share / sum * total as f64).abs() <= slack);
        }
        // Half a row may be missing from the source that runs out.
        prop_assert!(drawn.iter().zip(&counts).any(|(drawn, count)| drawn + 1 >= *count));
    }
}
