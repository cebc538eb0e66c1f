use std::convert::Infallible;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::row::{Content, Location};

fn row(line: u64, text: &str) -> Row {
    Row {
        at: Location {
            file: Arc::from(Path::new("rows.jsonl")),
            line,
        },
        content: Content::Text(text.to_owned()),
        tools: None,
        reward: None,
        score: None,
        weight: 1.0,
        ref_log_probs: None,
        completion_tokens: None,
        id: None,
        form: crate::Form::Usual,
        system: None,
        draw: None,
        unread: Vec::new(),
    }
}

/// One token a letter; capitals carry loss, and what shouts cannot be learnt.
fn letters(row: &Row) -> Result<Encoded, Infallible> {
    let Content::Text(text) = &row.content else {
        panic!("a test row of another form");
    };
    Ok(Encoded {
        tokens: text.chars().map(u32::from).collect(),
        step_weight: text
            .chars()
            .map(|letter| f32::from(u8::from(letter.is_uppercase())))
            .collect(),
        straddles: text.contains('|'),
        unlearnable: text.contains('!').then(|| format!("{text} is loud")),
    })
}

fn build(rows: Vec<Row>, rules: &Rules) -> Result<(Dataset, Report), String> {
    Dataset::build(
        Path::new("rows.jsonl"),
        rows.into_iter().map(Ok),
        letters,
        rules,
    )
    .map_err(|error| error.to_string())
}

fn texts(data: &Dataset) -> Vec<String> {
    (0..data.len())
        .map(|i| {
            let letters = data.tokens(i).iter().map(|&token| char::from_u32(token));
            letters.collect::<Option<String>>().unwrap()
        })
        .collect()
}

fn rows(texts: &[&str]) -> Vec<Row> {
    (1..)
        .zip(texts)
        .map(|(line, text)| row(line, text))
        .collect()
}

#[test]
fn rows_that_cannot_be_learnt_are_an_error_at_the_end_or_dropped_and_listed_with_the_reason() {
    let list = || rows(&["aB", "cD!", "e", "F!"]);
    let message = build(list(), &Rules::default()).unwrap_err();
    assert!(message.starts_with("2 row(s)"), "{message}");
    assert!(message.contains("rows.jsonl:2: cD! is loud"), "{message}");
    assert!(message.contains("rows.jsonl:4: F! is loud"), "{message}");
    assert!(message.contains("unlearnable = \"skip\""), "{message}");

    let rules = Rules {
        unlearnable: Unlearnable::Skip,
        empty_mask: EmptyMask::Skip,
        ..Rules::default()
    };
    let (data, report) = build(list(), &rules).unwrap();
    assert_eq!(texts(&data), ["aB"]);
    assert_eq!((report.unlearnable, report.empty_mask), (2, 1));
    let said = report.to_string();
    assert!(said.contains("dropped, cannot be learnt"), "{said}");
    assert!(said.contains("rows.jsonl:4: F! is loud"), "{said}");

    let many = (0..25).map(|i| row(i + 1, "A!")).collect();
    let message = build(many, &Rules::default()).unwrap_err();
    assert!(message.contains("and 15 more"), "{message}");
    let mut both = report.clone();
    both.merge(&report);
    assert_eq!((both.unlearnable, both.unlearnable_at.len()), (4, 4));
}

#[test]
fn trajectories_keep_the_order_of_the_rows_over_many_chunks() {
    let list: Vec<Row> = (0..3000).map(|i| row(i + 1, &format!("a{i}B"))).collect();
    let (data, report) = build(list, &Rules::default()).unwrap();
    assert_eq!(report.kept, 3000);
    for i in [0, 1, 1023, 1024, 2047, 2048, 2999] {
        assert_eq!(data.at(i).line, i as u64 + 1);
        assert_eq!(texts(&data)[i], format!("a{i}B"));
    }
}

#[test]
fn kept_rows_with_a_token_across_the_border_are_counted_and_the_first_is_named() {
    let list = rows(&["aB", "a|B", "a|", "ab|BBBBB", "c|D"]);
    let rules = Rules {
        empty_mask: EmptyMask::Skip,
        max_length: Some(4),
        too_long: TooLong::Drop,
        ..Rules::default()
    };
    let (_, mut report) = build(list, &rules).unwrap();
    assert_eq!((report.kept, report.straddling), (3, 2));
    let said = report.to_string();
    assert!(
        said.contains("2 rows have a token that straddles the border"),
        "{said}"
    );
    assert!(said.contains("(the first is rows.jsonl:2)"), "{said}");
    let (_, one) = build(rows(&["a|B"]), &rules).unwrap();
    assert!(
        one.to_string().contains("1 row has a token that straddles"),
        "{one}"
    );
    report.merge(&one);
    assert_eq!((report.straddling, report.straddling_at.len()), (3, 3));
    let (_, none) = build(rows(&["aB"]), &rules).unwrap();
    assert!(!none.to_string().contains("straddles"), "{none}");
}

#[test]
fn of_several_errors_the_first_in_the_file_is_returned() {
    let long = row(2, "aBBBBBBBBB");
    let rules = Rules {
        max_length: Some(4),
        min_reward: Some(0.0),
        ..Rules::default()
    };
    let good = |line| Row {
        reward: Some(1.0),
        ..row(line, "aB")
    };
    let long = Row {
        reward: Some(1.0),
        ..long
    };
    let message = build(vec![good(1), long, row(3, "aB")], &rules).unwrap_err();
    assert!(message.starts_with("rows.jsonl:2: 10 tokens"), "{message}");
    let message = build(vec![good(1), row(3, "aB"), good(4)], &rules).unwrap_err();
    assert!(
        message.starts_with("rows.jsonl:3: has no reward"),
        "{message}"
    );
}

#[test]
fn an_error_of_the_encoder_names_the_row() {
    let failing = |row: &Row| match row.at.line {
        2 => Err("no such role"),
        _ => Ok(letters(row).unwrap()),
    };
    let list = rows(&["aB", "aB", "aB"]).into_iter().map(Ok);
    let error = Dataset::build(Path::new("x"), list, failing, &Rules::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "rows.jsonl:2: the row cannot be turned into tokens: no such role"
    );
}

#[test]
fn long_rows_are_refused_dropped_or_cut_from_the_right() {
    let list = || rows(&["aB", "abcdE", "aBcdE"]);
    let rules = |too_long| Rules {
        max_length: Some(3),
        too_long,
        ..Rules::default()
    };
    let message = build(list(), &rules(TooLong::Error)).unwrap_err();
    assert!(
        message.starts_with("rows.jsonl:2: 5 tokens, expected at most 3"),
        "{message}"
    );

    let (data, report) = build(list(), &rules(TooLong::Drop)).unwrap();
    assert_eq!(texts(&data), ["aB"]);
    assert_eq!((report.too_long, report.kept, report.rows_read), (2, 1, 3));

    // Of the second row no capital is left, so it is of no use.
    let (data, report) = build(list(), &rules(TooLong::Truncate)).unwrap();
    assert_eq!(texts(&data), ["aB", "aBc"]);
    assert_eq!(report.truncated_away, 1);
    assert_eq!((report.truncated, report.tokens_cut), (1, 2));
    assert_eq!((report.tokens, report.loss_tokens), (5, 2));
    assert_eq!((report.shortest, report.longest), (2, 3));
}

#[test]
fn stored_log_probs_must_fit_the_whole_row_and_are_cut_with_it() {
    let rules = Rules {
        max_length: Some(3),
        too_long: TooLong::Truncate,
        ..Rules::default()
    };
    let with = |numbers: &[f32]| Row {
        ref_log_probs: Some(numbers.to_vec()),
        ..row(1, "aBCDE")
    };
    let (data, _) = build(vec![with(&[-1.0, -2.0, -3.0, -4.0])], &rules).unwrap();
    assert_eq!(data.ref_log_probs(0), Some([-1.0, -2.0].as_slice()));
    let message = build(vec![with(&[-1.0, -2.0])], &rules).unwrap_err();
    assert!(
        message.contains("`ref_log_probs` has 2 numbers, expected 4"),
        "{message}"
    );
}

#[test]
fn rows_without_loss_are_counted_and_ten_listed() {
    // A capital at the start carries no loss: nothing predicts it.
    let texts: Vec<&str> = std::iter::repeat_n(["aB", "ab", "A", ""], 4)
        .flatten()
        .collect();
    let message = build(rows(&texts), &Rules::default()).unwrap_err();
    assert!(message.starts_with("12 row(s) have no token"), "{message}");
    assert!(
        message.contains("rows.jsonl:2, rows.jsonl:3, rows.jsonl:4, rows.jsonl:6"),
        "{message}"
    );
    assert!(message.contains("rows.jsonl:14 and 2 more"), "{message}");

    let rules = Rules {
        empty_mask: EmptyMask::Skip,
        ..Rules::default()
    };
    let (data, report) = build(rows(&texts), &rules).unwrap();
    assert_eq!(data.len(), 4);
    assert_eq!(report.empty_mask, 12);
    assert_eq!(report.empty_mask_at.len(), 10);
}

#[test]
fn text_must_end_in_an_end_token_where_one_is_required() {
    let rules = Rules {
        require_end: Some(vec![u32::from('Z')]),
        max_length: Some(2),
        too_long: TooLong::Truncate,
        ..Rules::default()
    };
    // What follows the last token with loss is the template's; and cutting a
    // row that is complete in the file is what the recipe asked for.
    let (data, _) = build(rows(&["aBZ", "aZ.", "aCcZ"]), &rules).unwrap();
    assert_eq!(texts(&data), ["aB", "aZ", "aC"]);
    let message = build(rows(&["aBZ", "aZB"]), &rules).unwrap_err();
    assert!(
        message.starts_with("rows.jsonl:2: the last token that carries loss is 66"),
        "{message}"
    );
}

#[test]
fn min_reward_keeps_rewards_that_reach_it() {
    let list = || {
        let rewards = [0.0, 0.5, 1.0, -1.0];
        let rewarded = (1..).zip(rewards).map(|(line, reward)| Row {
            reward: Some(reward),
            ..row(line, "aB")
        });
        rewarded.collect::<Vec<_>>()
    };
    let rules = |least| Rules {
        min_reward: Some(least),
        ..Rules::default()
    };
    let (data, report) = build(list(), &rules(0.5)).unwrap();
    assert_eq!([data.reward(0), data.reward(1)], [Some(0.5), Some(1.0)]);
    assert_eq!((data.len(), report.below_min_reward), (2, 2));
    let message = build(list(), &rules(2.0)).unwrap_err();
    assert!(
        message.contains("none of the 4 rows is left (below min_reward: 4)"),
        "{message}"
    );
}

#[test]
fn rules_are_read_in_the_words_of_a_recipe() {
    let rules: Rules = serde_json::from_str(
        r#"{"max_length": 8, "too_long": "truncate", "empty_mask": "skip", "min_reward": 1}"#,
    )
    .unwrap();
    assert_eq!(rules.too_long, TooLong::Truncate);
    assert_eq!(rules.empty_mask, EmptyMask::Skip);
    assert!(serde_json::from_str::<Rules>(r#"{"max_lenght": 8}"#).is_err());
}

#[test]
fn the_report_is_a_table_whose_numbers_line_up() {
    let rules = Rules {
        empty_mask: EmptyMask::Skip,
        ..Rules::default()
    };
    let (_, report) = build(rows(&["aBcdefghijkl", "ab"]), &rules).unwrap();
    let table = report.to_string();
    let (numbers, listing) = table.split_once("\nno loss tokens:\n").unwrap();
    assert_eq!(listing, "  rows.jsonl:2");
    let widths: Vec<usize> = numbers.lines().map(str::len).collect();
    assert!(widths.iter().all(|width| *width == widths[0]), "{table}");
    assert!(numbers.starts_with("rows read "), "{table}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["empty_mask_at"][0], "rows.jsonl:2");
    assert_eq!(json["longest"], 12);
}

proptest! {
    #[test]
    fn cutting_keeps_every_invariant(
        texts in proptest::collection::vec("[a-cA-C]{0,12}", 1..30),
        max_length in 0_usize..14,
    ) {
        let rules = Rules {
            max_length: Some(max_length),
            too_long: TooLong::Truncate,
            empty_mask: EmptyMask::Skip,
            ..Rules::default()
        };
        let mut list = rows(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        for (row, text) in list.iter_mut().zip(&texts) {
            let steps = text.chars().skip(1).filter(char::is_ascii_uppercase).count();
            row.ref_log_probs = (steps > 0).then(|| (0..steps).map(|t| -(t as f32)).collect());
        }
        let expected: Vec<String> = texts
            .iter()
            .map(|text| text.chars().take(max_length).collect::<String>())
            .filter(|text| text.chars().skip(1).any(|letter| letter.is_ascii_uppercase()))
            .collect();
        match build(list, &rules) {
            Err(message) => {
                prop_assert!(expected.is_empty());
                prop_assert!(message.contains("rows is left"), "{}", message);
            }
            Ok((data, report)) => {
                prop_assert_eq!(super::tests::texts(&data), expected);
                for i in 0..data.len() {
                    prop_assert!(data.length(i) <= max_length);
                    prop_assert_eq!(data.step_weight(i)[0], 0.0);
                    prop_assert_eq!(count_steps(data.step_weight(i)), data.steps(i));
                    let stored: Vec<f32> = (0..data.steps(i)).map(|t| -(t as f32)).collect();
                    prop_assert_eq!(data.ref_log_probs(i).unwrap(), stored);
                }
                let dropped = report.empty_mask + report.truncated_away;
                prop_assert_eq!(report.rows_read, report.kept + dropped);
                prop_assert_eq!(report.tokens, data.total_tokens());
            }
        }
    }
}
