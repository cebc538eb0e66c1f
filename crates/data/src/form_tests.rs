use std::path::Path;

use serde_json::json;

use super::*;
use crate::findings::Findings;
use crate::row::Row;
use crate::template::Template;

fn parse(row: Value, columns: Value) -> Result<Row, DataError> {
    let at = Location {
        file: Path::new("rows.jsonl").into(),
        line: 7,
    };
    let columns = serde_json::from_value(columns).unwrap();
    Row::parse(at, row.as_object().unwrap().clone(), &columns)
}

fn read(row: Value) -> Row {
    parse(row, json!({})).unwrap()
}

fn refusal(row: Value) -> String {
    parse(row, json!({})).unwrap_err().to_string()
}

/// A conversation's messages.
fn messages(row: &Row) -> Value {
    match &row.content {
        Content::Messages(messages) => crate::message::write_messages(messages),
        other => panic!("{other:?}"),
    }
}

/// A plain pair.
fn pair(row: &Row) -> (&str, &str) {
    match &row.content {
        Content::PromptCompletion {
            prompt: Text::Plain(prompt),
            completion: Text::Plain(completion),
        } => (prompt, completion),
        other => panic!("{other:?}"),
    }
}

fn said(row: &Row) -> String {
    let mut findings = Findings::default();
    findings.add(row);
    findings.lines().join("\n")
}

#[test]
fn alpaca_asks_the_instruction_and_below_it_the_input() {
    let row =
        read(json!({"instruction": "Say it in French.", "input": "Good day", "output": "Bonjour"}));
    assert_eq!(
        messages(&row),
        json!([
            {"role": "user", "content": "Say it in French.\nGood day"},
            {"role": "assistant", "content": "Bonjour"},
        ])
    );
    assert_eq!(
        said(&row),
        "read as Alpaca: the user says `instruction`, and below it `input` where there is one"
    );
    for row in [
        json!({"instruction": "Hi", "input": "", "output": "Hello."}),
        json!({"instruction": "Hi", "input": null, "output": "Hello.", "history": []}),
        json!({"instruction": "Hi", "output": "Hello.", "history": "[]", "system": ""}),
        json!({"instruction": "", "input": "Hi", "output": "Hello."}),
        json!({"instruction": "Hi", "response": "Hello."}),
    ] {
        let expected =
            json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]);
        assert_eq!(messages(&read(row)), expected);
    }
    // Dolly's names for the same.
    let row = read(json!({"instruction": "Which?", "context": "A, B", "response": "A"}));
    assert_eq!(messages(&row)[0]["content"], "Which?\nA, B");
}

#[test]
fn alpaca_begins_with_its_system_and_its_history() {
    let row = read(json!({
        "system": "Be kind.",
        "history": [["Hi", "Hello."], ["How are you?", "Well."]],
        "instruction": "And?",
        "output": "And you?",
    }));
    let expected = [
        ("system", "Be kind."),
        ("user", "Hi"),
        ("assistant", "Hello."),
        ("user", "How are you?"),
        ("assistant", "Well."),
        ("user", "And?"),
        ("assistant", "And you?"),
    ];
    let expected: Vec<Value> = expected
        .map(|(role, content)| json!({"role": role, "content": content}))
        .into();
    assert_eq!(messages(&row), json!(expected));
    assert!(said(&row).contains("the turns of `history` come before"));
    for history in [
        json!([["Hi"]]),
        json!(["Hi", "Hello."]),
        json!("Hi"),
        json!({}),
    ] {
        let message = refusal(json!({"instruction": "a", "output": "b", "history": history}));
        assert!(
            message.contains("`history") && message.contains("pairs of texts"),
            "{message}"
        );
    }
}

#[test]
fn alpaca_is_plain_text_line_by_line_for_a_model_without_a_template() {
    let row = json!({
        "system": "Be kind.",
        "history": [["Hi", "Hello."]],
        "instruction": "Say it in French.",
        "input": "Good day",
        "output": "Bonjour",
    });
    let (prompt, completion) = read(row).plain_pair().unwrap();
    assert_eq!(
        prompt,
        "Be kind.\nHi\nHello.\nSay it in French.\nGood day\n"
    );
    assert_eq!(completion, "Bonjour");
    let share_gpt = json!({"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."}]});
    assert_eq!(read(share_gpt).plain_pair(), None);
}

#[test]
fn naming_alpacas_columns_means_alpacas_prompt() {
    let row = json!({"instruction": "Say it in French.", "input": "Good day", "output": "Bonjour"});
    let columns = json!({"prompt": "instruction", "completion": "output"});
    let read = parse(row.clone(), columns).unwrap();
    assert_eq!(pair(&read), ("Say it in French.\nGood day", "Bonjour"));
    assert!(said(&read).contains("`input`"), "{}", said(&read));
    let without = json!({"prompt": "instruction", "completion": "output", "input": ""});
    assert_eq!(
        pair(&parse(row, without).unwrap()),
        ("Say it in French.", "Bonjour")
    );
    let columns = json!({"prompt": "q", "input": "about", "completion": "a"});
    let row = json!({"q": "Which?", "about": "A, B", "a": "A"});
    assert_eq!(pair(&parse(row, columns).unwrap()), ("Which?\nA, B", "A"));
    // Elsewhere an input is not part of a prompt.
    let row = json!({"prompt": "a", "completion": "b", "input": "c"});
    assert_eq!(pair(&parse(row, json!({})).unwrap()), ("a", "b"));
}

#[test]
fn a_text_beside_alpaca_is_another_form_unless_it_repeats_the_row() {
    let row = |text: &str| json!({"instruction": "Add 2 and 2.", "input": "", "output": "4.", "text": text});
    let repeats = read(row("### Instruction:\nAdd 2 and 2.\n### Response:\n4."));
    assert_eq!(messages(&repeats)[1]["content"], "4.");
    assert_eq!(repeats.unread, [""; 0]);
    let message = refusal(row("Once upon a time"));
    assert!(
        message.contains("has both `text` and `instruction`"),
        "{message}"
    );
    assert!(
        message.contains("columns = { text = \"text\" }"),
        "{message}"
    );
}

#[test]
fn sharegpt_speaks_under_other_names() {
    let row = read(json!({
        "conversations": [
            {"from": "human", "value": "Hi"},
            {"from": "gpt", "value": "Hello.", "weight": 0.5},
            {"from": "USER", "value": "Bye"},
            {"from": "Assistant", "value": "Bye."},
        ],
        "system": "Be kind.",
    }));
    assert_eq!(
        messages(&row),
        json!([
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello.", "weight": 0.5},
            {"role": "user", "content": "Bye"},
            {"role": "assistant", "content": "Bye."},
        ])
    );
    assert_eq!(
        said(&row),
        "read as ShareGPT: messages with `from` and `value`"
    );
    // The same under `messages`, or under a name that is given.
    let list = json!([{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."}]);
    assert_eq!(read(json!({"messages": list})).form, Form::ShareGpt);
    let named = parse(json!({"talk": list}), json!({"messages": "talk"})).unwrap();
    assert_eq!(messages(&named)[0]["role"], "user");
    // Usual messages under ShareGPT's name.
    let usual =
        json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]);
    let row = read(json!({"conversations": usual}));
    assert_eq!((messages(&row), row.form), (usual, Form::Conversation));
    let half = json!([{"role": "human", "content": "Hi"}, {"role": "gpt", "value": "Hello."}]);
    assert_eq!(
        messages(&read(json!({"messages": half})))[1],
        json!({"role": "assistant", "content": "Hello."})
    );
}

#[test]
fn sharegpts_functions_are_called_as_templates_know_it() {
    let row = read(json!({
        "conversations": [
            {"from": "human", "value": "1 + 2?"},
            {"from": "function_call", "value": "{\"name\": \"add\", \"arguments\": {\"x\": 1, \"y\": 2}}"},
            {"from": "observation", "value": "3"},
            {"from": "gpt", "value": "It is 3."},
        ],
        "tools": "[{\"name\": \"add\", \"parameters\": {}}]",
    }));
    let call =
        json!({"type": "function", "function": {"name": "add", "arguments": {"x": 1, "y": 2}}});
    assert_eq!(
        messages(&row)[1],
        json!({"role": "assistant", "content": "", "tool_calls": [call]})
    );
    assert_eq!(messages(&row)[2], json!({"role": "tool", "content": "3"}));
    let tool = json!({"type": "function", "function": {"name": "add", "parameters": {}}});
    assert_eq!(row.tools, Some(json!([tool])));
    let two = "[{\"name\": \"a\", \"arguments\": {}}, {\"name\": \"b\", \"arguments\": {}}]";
    let row =
        read(json!({"conversations": [{"from": "function_call", "value": two}], "tools": ""}));
    assert_eq!(messages(&row)[0]["tool_calls"][1]["function"]["name"], "b");
    assert_eq!(row.tools, None);
    for (value, reason) in [
        ("add(1, 2)", "is not JSON"),
        ("{\"x\": 1}", "without a `name`"),
    ] {
        let message =
            refusal(json!({"conversations": [{"from": "function_call", "value": value}]}));
        assert!(
            message.contains("rows.jsonl:7: `conversations[0]`"),
            "{message}"
        );
        assert!(message.contains(reason), "{message}");
    }
}

#[test]
fn an_unknown_speaker_is_named() {
    let message = refusal(json!({"conversations": [
        {"from": "human", "value": "Hi"},
        {"from": "narrator", "value": "She waves."},
    ]}));
    assert!(
        message.contains("`conversations[1]` is from \"narrator\""),
        "{message}"
    );
    let message = refusal(json!({"conversations": [{"from": 3, "value": "Hi"}]}));
    assert!(
        message.contains("`conversations[0].from` is the number 3"),
        "{message}"
    );
    let message = refusal(json!({"conversations": [{"from": "human"}]}));
    assert!(
        message.contains("`conversations[0]` has no content"),
        "{message}"
    );
}

#[test]
fn a_system_column_begins_a_conversation_that_has_no_system_yet() {
    let user = json!({"role": "user", "content": "Hi"});
    let answer = json!({"role": "assistant", "content": "Hello."});
    let system = json!({"role": "system", "content": "Be kind."});
    let row = read(json!({"messages": [user, answer], "system": "Be kind."}));
    assert_eq!(messages(&row), json!([system, user, answer]));
    let row = read(json!({"messages": [system, user, answer], "system": "Be kind."}));
    assert_eq!(messages(&row), json!([system, user, answer]));
    let message = refusal(json!({"messages": [system, user, answer], "system": "Be cruel."}));
    assert!(message.contains("`system` is another text"), "{message}");
    assert!(message.contains("columns = { system = \"\" }"), "{message}");
    let off = json!({"system": ""});
    let row = parse(
        json!({"messages": [user, answer], "system": "Be kind."}),
        off,
    )
    .unwrap();
    assert_eq!(messages(&row), json!([user, answer]));
    let row = read(json!({"prompt": [user], "completion": [answer], "system": "Be kind."}));
    let Content::PromptCompletion {
        prompt: Text::Messages(prompt),
        ..
    } = &row.content
    else {
        panic!("{row:?}");
    };
    assert!(prompt[0].is_of("system"));
    let row = read(json!({"prompt": "Hi", "completion": "Hello.", "system": "Be kind."}));
    assert_eq!(row.system.as_deref(), Some("Be kind."));
    // What is no text is somebody else's column.
    let row = read(json!({"prompt": "Hi", "completion": "Hello.", "system": 3}));
    assert_eq!(row.system, None);
}

#[test]
fn a_drawn_row_stays_as_it_was_drawn() {
    let user = json!({"role": "user", "content": "Hi"});
    let answer = json!({"role": "assistant", "content": "Hello."});
    let row = read(json!({
        "prompt": [user], "completion": [answer], "draw": 0,
        "system": "Be kind.", "input": "of the problem", "answer": "5", "label": true,
    }));
    let Content::PromptCompletion {
        prompt: Text::Messages(prompt),
        ..
    } = &row.content
    else {
        panic!("{row:?}");
    };
    assert_eq!((prompt.len(), row.is_drawn()), (1, true));
    assert_eq!(said(&row), "");
}

#[test]
fn data_of_preferences_and_labels_are_refused_with_what_to_name() {
    let list = |answer: &str| json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": answer}]);
    let human = json!([{"from": "human", "value": "Hi"}]);
    for (row, remedy) in [
        (
            json!({"prompt": "Hi", "chosen": "Hello.", "rejected": "No."}),
            json!({"prompt": "prompt", "completion": "chosen"}),
        ),
        (
            json!({"instruction": "Hi", "input": "", "chosen": "Hello.", "rejected": "No."}),
            json!({"prompt": "instruction", "completion": "chosen"}),
        ),
        (
            json!({"conversations": human, "chosen": {"from": "gpt", "value": "Hello."}, "rejected": {"from": "gpt", "value": "No."}}),
            json!({"prompt": "conversations", "completion": "chosen"}),
        ),
        (
            json!({"chosen": list("Hello."), "rejected": list("No.")}),
            json!({"messages": "chosen"}),
        ),
        (
            json!({"prompt": "Hi", "chosen": list("Hello."), "rejected": list("No.")}),
            json!({"messages": "chosen"}),
        ),
        (
            json!({"chosen": "Human: Hi Assistant: Hello.", "rejected": "Human: Hi Assistant: No."}),
            json!({"text": "chosen"}),
        ),
    ] {
        let message = refusal(row.clone());
        assert!(message.contains("`chosen` and `rejected`"), "{message}");
        for (key, column) in remedy.as_object().unwrap() {
            assert!(message.contains(&format!("{key} = {column}")), "{message}");
        }
        // The remedy works, and says nothing of the answer that is left.
        let read = parse(row, remedy).unwrap();
        assert!(!read.unread.contains(&"rejected"), "{read:?}");
    }
    for (row, column) in [
        (json!({"messages": list("No."), "label": false}), "label"),
        (
            json!({"prompt": "Hi", "completion": "No.", "label": false}),
            "label",
        ),
        (
            json!({"instruction": "Hi", "output": "No.", "kto_tag": true}),
            "kto_tag",
        ),
    ] {
        let message = refusal(row.clone());
        assert!(
            message.contains(&format!("columns = {{ reward = \"{column}\" }}")),
            "{message}"
        );
        let read = parse(row.clone(), json!({"reward": column})).unwrap();
        assert!(read.reward.is_some());
        assert_eq!(parse(row, json!({"reward": ""})).unwrap().reward, None);
    }
    // Any other label is only a column.
    read(json!({"prompt": "a", "completion": "b", "label": 3}));
    read(json!({"text": "a", "label": true}));
}

#[test]
fn text_that_is_not_read_is_named_with_its_rows() {
    let mut findings = Findings::default();
    for row in [
        json!({"prompt": "a", "completion": "b", "context": "c", "reasoning": "", "score": 1}),
        json!({"prompt": "a", "completion": "b", "context": "c", "history": [["a", "b"]], "topic": "x"}),
        json!({"text": "a", "question": null, "images": []}),
    ] {
        findings.add(&read(row));
    }
    let [line] = &findings.lines()[..] else {
        panic!("{findings:?}");
    };
    assert!(
        line.contains("`context` (2 of 3 rows), `history` (1 of 3 rows); "),
        "{line}"
    );
    let row = parse(
        json!({"q": "a", "a": "b", "answer": "1"}),
        json!({"prompt": "q", "completion": "a", "id": "answer"}),
    );
    assert_eq!(row.unwrap().unread, [""; 0]);
}

#[test]
fn a_template_makes_the_prompt_of_several_columns() {
    let at = Location {
        file: Path::new("rows.jsonl").into(),
        line: 7,
    };
    let columns = |template: &str| Columns {
        template: Some(Template::parse(template).unwrap()),
        completion: Some("answer".to_owned()),
        ..Columns::default()
    };
    let object =
        json!({"question": "2 + 2?", "context": "Sums", "answer": "4", "text": "left alone"});
    let object = object.as_object().unwrap();
    let row = Row::parse(
        at.clone(),
        object.clone(),
        &columns("{context}: {question}\n"),
    )
    .unwrap();
    assert_eq!(pair(&row), ("Sums: 2 + 2?\n", "4"));
    assert_eq!(row.unread, ["text"]);
    let error = Row::parse(at, object.clone(), &columns("{q}"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("the template: no column `q`"), "{error}");
}

#[test]
fn columns_that_may_be_meant_are_named() {
    let message = refusal(json!({"question": "2 + 2?", "answer": "4", "level": 3}));
    assert!(
        message.contains("columns = { prompt = \"question\", completion = \"answer\" }"),
        "{message}"
    );
    let message = refusal(json!({"problem": "2 + 2?", "completion": "4"}));
    assert!(
        message.contains("has `completion` but no `prompt`")
            && message.contains("columns = { prompt = \"problem\" }"),
        "{message}"
    );
    let message = refusal(json!({"prompt": "2 + 2?"}));
    assert!(message.contains("use `text`"), "{message}");
    let message = refusal(json!({"level": 3}));
    assert!(
        message.ends_with("name the columns in `columns`"),
        "{message}"
    );
}
