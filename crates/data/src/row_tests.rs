use super::*;
use proptest::prelude::*;

fn at(line: u64) -> Location {
    Location {
        file: Path::new("rows.jsonl").into(),
        line,
    }
}

fn parse(json: &str) -> Result<Row, DataError> {
    parse_with(json, &Columns::default())
}

fn parse_with(json: &str, columns: &Columns) -> Result<Row, DataError> {
    let object = serde_json::from_str(json).unwrap();
    Row::parse(at(7), object, columns)
}

#[test]
fn a_location_is_a_line_or_in_parquet_a_row_or_the_file_as_a_whole() {
    assert_eq!(at(7).to_string(), "rows.jsonl:7");
    assert_eq!(at(0).to_string(), "rows.jsonl");
    let file: Arc<Path> = Path::new("rows.PARQUET").into();
    assert_eq!(
        Location { file, line: 3 }.to_string(),
        "rows.PARQUET: row 3"
    );
}

#[test]
fn rewards_may_be_bools_and_numbers_of_either_sign() {
    let reward = |json: &str| parse(json).unwrap().reward;
    assert_eq!(reward(r#"{"text": "", "reward": true}"#), Some(1.0));
    assert_eq!(reward(r#"{"text": "", "reward": false}"#), Some(0.0));
    assert_eq!(reward(r#"{"text": "", "reward": -2.5}"#), Some(-2.5));
    assert_eq!(reward(r#"{"text": "", "reward": null}"#), None);
    assert_eq!(reward(r#"{"text": ""}"#), None);
}

#[test]
fn a_message_keeps_every_field_but_its_weight_and_its_nulls() {
    let row = parse(
        r#"{"messages": [{"role": "assistant", "content": null, "weight": 0.25, "name": null,
            "reasoning_content": "hm", "tool_calls": [{"arguments": {"x": null}}]}]}"#,
    )
    .unwrap();
    let Content::Messages(messages) = row.content else {
        panic!("{row:?}");
    };
    assert_eq!(messages[0].weight, Some(0.25));
    assert_eq!(
        messages[0].value,
        json!({"role": "assistant", "content": null, "reasoning_content": "hm",
               "tool_calls": [{"arguments": {"x": null}}]})
    );
}

#[test]
fn renamed_columns_are_read_and_the_other_forms_ignored() {
    let columns: Columns =
        serde_json::from_str(r#"{"prompt": "problem", "reward": "correct"}"#).unwrap();
    let row = parse_with(
        r#"{"problem": "a", "completion": "b", "correct": true, "text": 5, "reward": "no"}"#,
        &columns,
    )
    .unwrap();
    assert_eq!(
        row.content,
        Content::PromptCompletion {
            prompt: Text::Plain("a".to_owned()),
            completion: Text::Plain("b".to_owned()),
        }
    );
    assert_eq!(row.reward, Some(1.0));
}

#[test]
fn two_fields_may_read_one_column() {
    let columns: Columns = serde_json::from_str(r#"{"score": "reward"}"#).unwrap();
    let row = parse_with(r#"{"text": "a", "reward": 0.5}"#, &columns).unwrap();
    assert_eq!((row.reward, row.score), (Some(0.5), Some(0.5)));
}

#[test]
fn a_column_that_is_off_is_not_even_checked() {
    let columns: Columns = serde_json::from_str(r#"{"score": ""}"#).unwrap();
    let row = parse_with(r#"{"text": "a", "score": "five stars"}"#, &columns).unwrap();
    assert_eq!(row.score, None);
}

#[test]
fn tools_pass_through_and_numbers_make_names() {
    let row = parse(r#"{"text": "a", "tools": [{"name": "add"}], "id": 12}"#).unwrap();
    assert_eq!(row.tools, Some(json!([{"name": "add"}])));
    assert_eq!(row.id.as_deref(), Some("12"));
}

#[test]
fn long_strings_are_cut_in_messages_at_a_character() {
    let found = describe(&json!("ä".repeat(100)));
    assert_eq!(found, format!("the string \"{}...\"", "ä".repeat(40)));
}

#[test]
fn completion_tokens_stand_beside_a_prompt_and_its_completion_only() {
    let row = parse(r#"{"prompt": "a", "completion": "b", "completion_tokens": [7, 0]}"#);
    assert_eq!(row.unwrap().completion_tokens, Some(vec![7, 0]));
    // Elsewhere the column is somebody else's; many files count tokens in it.
    let row = parse(r#"{"text": "a", "completion_tokens": 12}"#);
    assert_eq!(row.unwrap().completion_tokens, None);
    for (tokens, found) in [
        ("12", "`completion_tokens` is the number 12"),
        ("[1, -2]", "`completion_tokens[1]` is the number -2"),
        ("[4294967296]", "`completion_tokens[0]` is the number"),
        ("[1.5]", "`completion_tokens[0]` is the number 1.5"),
    ] {
        let json = format!(r#"{{"prompt": "", "completion": "", "completion_tokens": {tokens}}}"#);
        let message = parse(&json).unwrap_err().to_string();
        assert!(message.contains(found), "{message}");
    }
}

fn finite() -> impl Strategy<Value = f32> {
    prop_oneof![
        -1e3_f32..1e3,
        proptest::num::f32::NORMAL,
        proptest::num::f32::SUBNORMAL
    ]
}

fn message() -> impl Strategy<Value = Message> {
    (
        any::<String>(),
        any::<String>(),
        proptest::option::of(finite()),
        proptest::option::of(any::<i64>()),
    )
        .prop_map(|(role, content, weight, extra)| {
            let mut value = json!({"role": role, "content": content});
            if let Some(extra) = extra {
                value["tool_calls"] = json!([{"x": extra}]);
            }
            Message {
                value,
                weight: weight.map(f32::abs),
            }
        })
}

fn any_content() -> impl Strategy<Value = Content> {
    let messages = || proptest::collection::vec(message(), 1..4);
    prop_oneof![
        messages().prop_map(Content::Messages),
        any::<String>().prop_map(Content::Text),
        any::<(String, String)>().prop_map(|(prompt, completion)| Content::PromptCompletion {
            prompt: Text::Plain(prompt),
            completion: Text::Plain(completion),
        }),
        (messages(), messages()).prop_map(|(prompt, completion)| Content::PromptCompletion {
            prompt: Text::Messages(prompt),
            completion: Text::Messages(completion),
        }),
    ]
}

prop_compose! {
    /// Any row that could have been read.
    fn any_row()(
        content in any_content(),
        tools in proptest::option::of(any::<Vec<u8>>()),
        reward in proptest::option::of(finite()),
        score in proptest::option::of(finite()),
        weight in prop_oneof![Just(1.0), finite()],
        ref_log_probs in proptest::option::of(proptest::collection::vec(finite(), 0..5)),
        completion_tokens in proptest::option::of(any::<Vec<u32>>()),
        draw in proptest::option::of(any::<u64>()),
        system in proptest::option::of("[a-z]{1,9}"),
        id in proptest::option::of(any::<String>()),
    ) -> Row {
        let pair = matches!(content, Content::PromptCompletion { .. });
        let plain = matches!(content, Content::PromptCompletion { prompt: Text::Plain(_), .. });
        let drawn = draw.is_some() || pair && completion_tokens.is_some();
        Row {
            at: at(1),
            content,
            form: Form::Usual,
            system: system.filter(|_| plain && !drawn),
            tools: tools.map(Value::from),
            reward,
            score: score.map(f32::abs),
            weight: weight.abs(),
            ref_log_probs,
            completion_tokens: completion_tokens.filter(|_| pair),
            draw,
            id,
            unread: Vec::new(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn rows_written_as_jsonl_and_as_a_list_are_read_back_equal(
        rows in proptest::collection::vec(any_row(), 1..6),
        pretty in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let objects: Vec<Value> = rows.iter().map(|row| Value::Object(row.to_object())).collect();
        let lines: String = objects.iter().map(|object| format!("{object}\n")).collect();
        let list = if pretty {
            serde_json::to_string_pretty(&objects).unwrap()
        } else {
            Value::from(objects).to_string()
        };
        for (name, text) in [("rows.jsonl", lines), ("rows.json", list)] {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            let read: Vec<Row> = crate::read(&path, &Columns::default())
                .unwrap()
                .map(|row| Row { at: at(1), ..row.unwrap() })
                .collect();
            prop_assert_eq!(&read, &rows);
        }
    }
}
