//! `iwsft grade` as a user runs it: with its own rules and with a program.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod fixture;

use std::fs;

use fixture::{Ended, Workplace, json_lines};
use serde_json::{Value, json};

const ROWS: &str = r#"{"prompt": "2+2?", "completion": "It is \\boxed{4}.", "answer": "4", "id": 1}
{"prompt": "1/2?", "completion": [{"role": "assistant", "content": "The answer is 0.5."}], "answer": "\\frac{1}{2}"}
{"messages": [{"role": "user", "content": "3?"}, {"role": "assistant", "content": "I count 5"}], "answer": 3}
{"completion": "no idea", "answer": "She has 3 + 4 = 7\n#### 7"}
"#;

/// A program that grades; it stands in the workplace.
fn program(place: &Workplace, name: &str, text: &str) -> String {
    place.write(name, text);
    format!("sh {name}")
}

fn grade(place: &Workplace, args: &[&str]) -> Ended {
    place.write("rows.jsonl", ROWS);
    let mut all = vec!["grade", "rows.jsonl", "--out", "graded.jsonl", "--force"];
    all.extend(args);
    place.iwsft(&all)
}

fn column(rows: &[Value], name: &str) -> Vec<Value> {
    rows.iter().map(|row| row[name].clone()).collect()
}

#[test]
fn rows_come_back_with_reward_and_answer_and_all_that_they_had() {
    let place = Workplace::new();
    let ended = grade(&place, &[]).succeeds();
    for part in [
        "rows",
        "4",
        "50.0 %",
        "found by boxed",
        "found by line",
        "graded.jsonl",
    ] {
        assert!(ended.stdout.contains(part), "no {part:?} in {ended}");
    }
    let graded = place.lines("graded.jsonl");
    assert_eq!(
        column(&graded, "reward"),
        [json!(1), json!(1), json!(0), json!(0)]
    );
    let found = [json!("4"), json!("0.5"), json!("5"), json!("no idea")];
    assert_eq!(column(&graded, "extracted"), found);
    for (before, mut after) in json_lines(ROWS).into_iter().zip(graded) {
        let object = after.as_object_mut().unwrap();
        object.remove("reward");
        object.remove("extracted");
        assert_eq!(before, after);
    }
}

#[test]
fn json_counts_the_same_and_lists_wrong_answers() {
    let place = Workplace::new();
    let ended = grade(&place, &["--json", "--show-wrong", "1"]).succeeds();
    let [line] = &ended.json()[..] else {
        panic!("{ended}");
    };
    assert_eq!((&line["rows"], &line["right"]), (&json!(4), &json!(2)));
    assert_eq!(line["share"], 0.5);
    assert_eq!(
        line["found"],
        json!({"boxed": 1, "answer-phrase": 1, "last-number": 1, "line": 1})
    );
    let [wrong] = &line["wrong"].as_array().unwrap()[..] else {
        panic!("{line}");
    };
    assert_eq!(wrong["at"], "rows.jsonl:3");
    assert_eq!(
        (&wrong["gold"], &wrong["extracted"]),
        (&json!("3"), &json!("5"))
    );
    assert_eq!(wrong["reason"], "different");
    let shown = grade(&place, &["--show-wrong", "5"]).succeeds();
    assert!(shown.stdout.contains("rows.jsonl:4: gold "), "{shown}");
}

#[test]
fn kinds_modes_rules_and_columns_are_the_users_choice() {
    let place = Workplace::new();
    place.write(
        "choice.jsonl",
        "{\"label\": \"B\", \"text\": \"I would say (B)\", \"reward\": 7}\n",
    );
    let args = [
        "grade",
        "choice.jsonl",
        "--out",
        "out.jsonl",
        "--kind",
        "choice",
        "--answer-column",
        "label",
        "--completion-column",
        "text",
        "--reward-column",
        "right",
        "--extracted-column",
        "letter",
    ];
    place.iwsft(&args).succeeds();
    let expected = json!({
        "label": "B", "text": "I would say (B)", "reward": 7, "right": 1, "letter": "B",
    });
    assert_eq!(place.lines("out.jsonl"), [expected]);

    grade(
        &place,
        &["--mode", "strict", "--extract", "boxed,last-number"],
    )
    .succeeds();
    let rewards = column(&place.lines("graded.jsonl"), "reward");
    assert_eq!(rewards, [json!(1), json!(1), json!(0), json!(0)]);
    grade(&place, &["--extract", "hash"]).succeeds();
    assert_eq!(
        column(&place.lines("graded.jsonl"), "extracted"),
        vec![Value::Null; 4]
    );
}

#[test]
fn a_file_is_replaced_only_when_asked() {
    let place = Workplace::new();
    place.write("rows.jsonl", ROWS);
    place
        .iwsft(&["grade", "rows.jsonl", "--out", "./rows.jsonl"])
        .fails(2, &["rows.jsonl", "--in-place"]);
    assert_eq!(place.read("rows.jsonl"), ROWS);
    place.write("graded.jsonl", "mine\n");
    place
        .iwsft(&["grade", "rows.jsonl", "--out", "graded.jsonl"])
        .fails(2, &["graded.jsonl", "is there already", "--force"]);
    let judge = program(&place, "judge.sh", "while read -r line; do echo 1; done");
    place
        .iwsft(&[
            "grade",
            "rows.jsonl",
            "--out",
            "graded.jsonl",
            "--command",
            &judge,
        ])
        .fails(2, &["graded.jsonl", "is there already", "--force"]);
    assert_eq!(place.read("graded.jsonl"), "mine\n");
    place
        .iwsft(&["grade", "rows.jsonl", "--out", "graded.jsonl", "--force"])
        .succeeds();
    assert_eq!(place.lines("graded.jsonl").len(), 4);
    place.iwsft(&["grade", "rows.jsonl"]).fails(2, &["--out"]);
    place
        .iwsft(&["grade", "rows.jsonl", "--in-place"])
        .succeeds();
    assert_eq!(place.lines("rows.jsonl").len(), 4);
    // Rewards that are there are not lost by accident.
    let graded = place.read("rows.jsonl");
    place
        .iwsft(&["grade", "rows.jsonl", "--in-place"])
        .fails(2, &["rows.jsonl:1", "`reward`", "--replace"]);
    assert_eq!(place.read("rows.jsonl"), graded);
    place
        .iwsft(&["grade", "rows.jsonl", "--in-place", "--replace"])
        .succeeds();
    assert_eq!(place.read("rows.jsonl"), graded);
}

#[test]
fn rows_that_cannot_be_graded_are_refused_before_any_is() {
    let place = Workplace::new();
    let cases: [(&str, &[&str]); 6] = [
        (
            r#"{"completion": "4"}"#,
            &["`answer`", "missing", "--answer-column", "`completion`"],
        ),
        (
            r#"{"completion": "4", "answer": ["4", "5"]}"#,
            &[
                "`answer`",
                "a list of 2 answers",
                "--gold any",
                "--gold all",
            ],
        ),
        (
            r#"{"answer": "4", "text": "4"}"#,
            &["`completion`", "missing", "--completion-column"],
        ),
        (
            r#"{"answer": "4", "messages": []}"#,
            &["`messages`", "a list"],
        ),
        (
            r#"{"answer": "4", "completion": 4}"#,
            &["`completion`", "a number"],
        ),
        ("{\"answer\": ", &["bad.jsonl:2"]),
    ];
    for (line, fragments) in cases {
        place.write(
            "bad.jsonl",
            &format!("{}\n{line}\n", ROWS.lines().next().unwrap()),
        );
        let ended = place.iwsft(&["grade", "bad.jsonl", "--out", "out.jsonl"]);
        let ended = ended.fails(2, &["bad.jsonl:2"]).fails(2, fragments);
        assert!(ended.stdout.is_empty(), "{ended}");
        assert!(!place.exists("out.jsonl"));
    }
    let cases: [(&[&str], &str); 6] = [
        (&["--kind", "maths"], "math"),
        (&["--extract", "boxes"], "boxed"),
        (&["--time-limit", "0"], "--time-limit"),
        (&["--time-limit", "NaN"], "--time-limit"),
        (&["--restart"], "--command"),
        (&["--command", "true", "--mode", "strict"], "--mode"),
    ];
    for (args, fragment) in cases {
        let ended = grade(&place, args);
        assert_eq!(ended.status, Some(2), "{ended}");
        assert!(ended.stderr.contains(fragment), "no {fragment} in {ended}");
        assert!(!place.exists("graded.jsonl"));
    }
    for (out, fragment) in [("no/where/out.jsonl", "out.jsonl"), ("out.txt", ".txt")] {
        let ended = place.iwsft(&["grade", "rows.jsonl", "--out", out]);
        assert_ne!(ended.status, Some(0), "{ended}");
        assert!(ended.stderr.contains(fragment), "{ended}");
    }
}

#[test]
fn hostile_completions_are_graded_and_wrong() {
    let place = Workplace::new();
    let rows: String = [
        "{".repeat(1 << 20),
        "9^".repeat(2000),
        "\\frac".repeat(5000),
        "\0".to_owned(),
    ]
    .iter()
    .map(|text| format!("{}\n", json!({"completion": text, "answer": "1"})))
    .collect();
    place.write("hostile.jsonl", &rows);
    place
        .iwsft(&["grade", "hostile.jsonl", "--out", "out.jsonl"])
        .succeeds();
    assert_eq!(
        column(&place.lines("out.jsonl"), "reward"),
        vec![json!(0); 4]
    );
}

#[test]
fn a_program_gives_rewards_and_other_columns() {
    let place = Workplace::new();
    let command = program(
        &place,
        "judge.sh",
        r#"while read -r line; do
            case "$line" in
                *boxed*) echo '{"reward": true, "score": 2.5}' ;;
                *) echo 0.25 ;;
            esac
        done"#,
    );
    let ended = grade(&place, &["--command", &command, "--json"]).succeeds();
    let [line] = &ended.json()[..] else {
        panic!("{ended}");
    };
    assert_eq!(line["mean_reward"], (1.0 + 0.75) / 4.0);
    let graded = place.lines("graded.jsonl");
    assert_eq!(
        column(&graded, "reward"),
        [json!(1), json!(0.25), json!(0.25), json!(0.25)]
    );
    assert_eq!(graded[0]["score"], 2.5);
    assert!(!place.exists("graded.jsonl.journal"));
}

#[test]
fn a_program_may_read_everything_before_it_answers() {
    let place = Workplace::new();
    // Far more than a pipe holds, in both directions.
    let rows: String = (0..3000)
        .map(|row| format!("{}\n", json!({"id": row, "completion": "x".repeat(200)})))
        .collect();
    place.write("many.jsonl", &rows);
    let command = program(
        &place,
        "slow.sh",
        r#"cat > all; while read -r line; do echo "{\"reward\": 1, \"note\": \"$(printf %0200d 0)\"}"; done < all"#,
    );
    // One shell builtin a line: no process is started for each.
    let args = [
        "grade",
        "many.jsonl",
        "--out",
        "out.jsonl",
        "--command",
        &command,
    ];
    place.iwsft(&args).succeeds();
    let graded = place.lines("out.jsonl");
    assert_eq!(graded.len(), 3000);
    assert!(
        graded
            .iter()
            .enumerate()
            .all(|(row, line)| line["id"] == row)
    );
}

#[test]
fn what_a_program_does_wrong_is_said_with_its_last_words() {
    let place = Workplace::new();
    let cases: [(&str, &[&str]); 8] = [
        (
            "echo oh no >&2; exit 3",
            &["exit status: 3", "line 0", "oh no"],
        ),
        (
            "read -r line; echo 1; echo enough >&2",
            &["line 1", "enough"],
        ),
        (
            "while read -r line; do echo right; done",
            &["line 1", "`right`", "a number"],
        ),
        ("while read -r line; do echo NaN; done", &["line 1", "NaN"]),
        (
            "echo 1; echo '{\"score\": 1}'; cat > /dev/null",
            &["line 2", "`reward`"],
        ),
        (
            "for i in 1 2 3 4 5; do echo 1; done; cat > /dev/null",
            &["more lines"],
        ),
        (
            "while read -r line; do echo 1; done; exit 4",
            &["exit status: 4", "all rows"],
        ),
        ("sleep 60", &["silent", "--time-limit"]),
    ];
    for (text, fragments) in cases {
        let command = program(&place, "judge.sh", text);
        let ended = grade(
            &place,
            &["--command", &command, "--time-limit", "2", "--restart"],
        );
        ended.fails(2, &["judge.sh"]).fails(2, fragments);
        assert!(!place.exists("graded.jsonl"), "{text}");
    }
    for (command, fragment) in [
        ("no-such-program --x", "cannot start `no-such-program`"),
        ("", "is empty"),
        ("sh 'unclosed", "quote"),
    ] {
        grade(&place, &["--command", command, "--restart"]).fails(2, &[fragment]);
    }
}

#[test]
fn a_program_does_not_replace_columns_by_accident() {
    let place = Workplace::new();
    let text = r#"while read -r line; do echo '{"reward": 1, "id": 0}'; done"#;
    let command = program(&place, "judge.sh", text);
    grade(&place, &["--command", &command]).fails(2, &["rows.jsonl:1", "`id`", "--replace"]);
    assert!(!place.exists("graded.jsonl"));
    grade(&place, &["--command", &command, "--replace", "--restart"]).succeeds();
    assert_eq!(place.lines("graded.jsonl")[0]["id"], 0);
}

#[test]
fn what_a_program_graded_before_it_failed_is_not_graded_again() {
    let place = Workplace::new();
    // Fails at the third row as long as there is no file `go`.
    let command = program(
        &place,
        "judge.sh",
        r#"n=0; while read -r line; do
            n=$((n + 1)); echo row >> seen
            if [ $n -gt 2 ] && [ ! -e go ]; then exit 1; fi
            echo 0.$n
        done"#,
    );
    let other = program(&place, "other.sh", "exit 1");
    grade(&place, &["--command", &other]).fails(2, &["line 0"]);
    assert!(
        !place.exists("graded.jsonl.journal"),
        "nothing to go on from"
    );
    grade(&place, &["--command", &command]).fails(2, &["line 2"]);
    grade(&place, &["--command", &other]).fails(2, &["other.sh", "--restart"]);
    assert!(place.exists("graded.jsonl.journal"));
    let journal = place.read("graded.jsonl.journal");
    fs::remove_file(place.path("seen")).unwrap();
    place.write("go", "");
    let ended = grade(&place, &["--command", &command]).succeeds();
    assert!(ended.stderr.contains("resuming behind row 2"), "{ended}");
    assert_eq!(place.read("seen").lines().count(), 2);
    let rewards = column(&place.lines("graded.jsonl"), "reward");
    assert_eq!(rewards, [json!(0.1), json!(0.2), json!(0.1), json!(0.2)]);
    assert!(!place.exists("graded.jsonl.journal"));

    // An entry that cannot be read loses its row alone, wherever it stands.
    let mut lines: Vec<&str> = journal.lines().collect();
    lines[1] = "0.1";
    place.write("graded.jsonl.journal", &(lines.join("\n") + "\n"));
    fs::remove_file(place.path("seen")).unwrap();
    fs::remove_file(place.path("graded.jsonl")).unwrap();
    let ended = grade(&place, &["--command", &command]).succeeds();
    assert!(ended.stderr.contains("graded.jsonl.journal:2"), "{ended}");
    assert!(ended.stderr.contains("is graded again"), "{ended}");
    assert_eq!(place.read("seen").lines().count(), 3);
    let rewards = column(&place.lines("graded.jsonl"), "reward");
    assert_eq!(rewards, [json!(0.1), json!(0.2), json!(0.2), json!(0.3)]);

    // As earlier versions wrote it.
    let old = format!("{}\n{{\"reward\":0.7}}\n{{\"reward\":0.8}}\n", lines[0]);
    place.write("graded.jsonl.journal", &old);
    fs::remove_file(place.path("graded.jsonl")).unwrap();
    grade(&place, &["--command", &command]).succeeds();
    let rewards = column(&place.lines("graded.jsonl"), "reward");
    assert_eq!(rewards, [json!(0.7), json!(0.8), json!(0.1), json!(0.2)]);
}

#[test]
fn the_time_limit_holds_for_a_program_that_closes_its_output_and_goes_on() {
    let place = Workplace::new();
    let text = "while read -r line; do echo 1; done; exec >&-; sleep 600 & sleep 600";
    let command = program(&place, "judge.sh", text);
    let ended = grade(&place, &["--command", &command, "--time-limit", "1"]);
    ended.fails(2, &["did not end within 1 s", "--time-limit"]);
}

/// Whether a process is there.
#[cfg(unix)]
fn is_alive(pid: &str) -> bool {
    let ended = std::process::Command::new("kill")
        .args(["-0", pid])
        .output();
    ended.unwrap().status.success()
}

#[test]
#[cfg(unix)]
fn what_a_grading_program_has_started_ends_with_the_command() {
    let place = Workplace::new();
    place.write("rows.jsonl", ROWS);
    let text = "sleep 600 & echo $! > pid; read -r line; echo 1; sleep 600";
    let command = program(&place, "judge.sh", text);
    let arguments = [
        "grade",
        "rows.jsonl",
        "--out",
        "graded.jsonl",
        "--command",
        &command,
    ];
    let mut child = place.spawn(&arguments);
    let started = std::time::Instant::now();
    let journal = || fs::read_to_string(place.path("graded.jsonl.journal")).unwrap_or_default();
    while journal().lines().count() < 2 {
        assert!(started.elapsed().as_secs() < 60, "no row was graded");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let pid = place.read("pid").trim().to_owned();
    assert!(is_alive(&pid));
    let id = child.id().to_string();
    let sent = std::process::Command::new("kill")
        .args(["-TERM", &id])
        .status();
    assert!(sent.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    // A process that was killed is there until its parent takes note.
    while is_alive(&pid) {
        assert!(started.elapsed().as_secs() < 60, "{pid} lives on");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(place.exists("graded.jsonl.journal"));
}

/// Rows of these completions, with these gold answers.
fn rows(pairs: &[(&str, Value)]) -> String {
    pairs
        .iter()
        .map(|(completion, answer)| {
            format!("{}\n", json!({"completion": completion, "answer": answer}))
        })
        .collect()
}

#[test]
fn thoughts_are_no_answers_and_programs_get_the_whole_text() {
    let place = Workplace::new();
    let texts = [
        (
            "<think>The final answer is 8.</think>It is \\boxed{9}.",
            json!(9),
        ),
        ("\\boxed{8}? No.</think>9", json!(9)),
        ("<think>So it must be \\boxed{9}", json!(9)),
    ];
    place.write("thoughts.jsonl", &rows(&texts));
    let args = ["grade", "thoughts.jsonl", "--out", "out.jsonl"];
    let ended = place.iwsft(&args).succeeds();
    assert!(ended.stdout.contains("1 (thoughts only 1)"), "{ended}");
    let graded = place.lines("out.jsonl");
    assert_eq!(column(&graded, "reward"), [json!(1), json!(1), json!(0)]);
    assert_eq!(graded[2]["extracted"], Value::Null);

    // A prompt may open the thoughts that its completion ends, or does not end.
    let row = |completion: &str| {
        let prompt = "4+5=<think>\n";
        format!(
            "{}\n",
            json!({"prompt": prompt, "completion": completion, "answer": "9"})
        )
    };
    place.write(
        "open.jsonl",
        &(row("8? 9.</think>9") + &row("It is \\boxed{9}")),
    );
    place
        .iwsft(&["grade", "open.jsonl", "--out", "open-graded.jsonl"])
        .succeeds();
    let rewards = column(&place.lines("open-graded.jsonl"), "reward");
    assert_eq!(rewards, [json!(1), json!(0)]);

    let command = program(
        &place,
        "judge.sh",
        r#"while read -r line; do
            case "$line" in *think*) echo 1 ;; *) echo 0 ;; esac
        done"#,
    );
    place
        .iwsft(&[&args[..], &["--force", "--command", &command]].concat())
        .succeeds();
    let rewards = column(&place.lines("out.jsonl"), "reward");
    assert_eq!(rewards, vec![json!(1); 3]);
}

#[test]
fn a_list_of_gold_answers_means_what_the_user_says() {
    let place = Workplace::new();
    let answers = [
        ("\\boxed{4}", json!(["4", "1/2"])),
        (
            "$x=\\boxed{0.5}$, $x=\\boxed{4}$",
            json!("[\"4\", \"1/2\"]"),
        ),
        ("\\boxed{4}", json!(["4"])),
    ];
    place.write("lists.jsonl", &rows(&answers));
    let rewards = |meaning: &str| {
        let args = [
            "grade",
            "lists.jsonl",
            "--out",
            "out.jsonl",
            "--force",
            "--gold",
        ];
        place.iwsft(&[&args[..], &[meaning]].concat()).succeeds();
        column(&place.lines("out.jsonl"), "reward")
    };
    assert_eq!(rewards("any"), [json!(1), json!(0), json!(1)]);
    assert_eq!(rewards("all"), [json!(0), json!(1), json!(1)]);
    let undecided = place.iwsft(&["grade", "lists.jsonl", "--out", "no.jsonl"]);
    undecided.fails(2, &["lists.jsonl:1", "--gold any", "--gold all"]);
    let letters = [
        "grade",
        "lists.jsonl",
        "--out",
        "no.jsonl",
        "--gold",
        "all",
        "--kind",
        "choice",
    ];
    place
        .iwsft(&letters)
        .fails(2, &["lists.jsonl:1", "letters"]);
}

#[test]
fn answers_that_cannot_be_read_are_said_with_the_option_that_reads_them() {
    let place = Workplace::new();
    let texts: Vec<String> = (1..=12)
        .map(|row| format!("{row} plus 1 is what?\n#### so {}", row + 1))
        .collect();
    let pairs: Vec<(&str, Value)> = (2..)
        .zip(&texts)
        .map(|(sum, text)| (&text[..], json!(sum)))
        .collect();
    place.write("odd.jsonl", &rows(&pairs));
    let ended = place.iwsft(&[
        "grade",
        "odd.jsonl",
        "--out",
        "out.jsonl",
        "--extract",
        "last-line",
    ]);
    let ended = ended.succeeds();
    for part in [
        "12 of 12 answers cannot be read (unreadable 12)",
        "--extract last-number reads 12",
    ] {
        assert!(ended.stderr.contains(part), "no {part:?} in {ended}");
    }
    assert!(ended.stdout.contains("(unreadable 12)"), "{ended}");
    let json = place
        .iwsft(&[
            "grade",
            "odd.jsonl",
            "--out",
            "json.jsonl",
            "--extract",
            "last-line",
            "--json",
        ])
        .succeeds()
        .json();
    assert_eq!(json[0]["reasons"], json!({"unreadable": 12}));
    assert_eq!(json[0]["advice"]["option"], "--extract last-number");
    assert_eq!(json[0]["advice"]["right"], 12);

    // Words against words: letter by letter.
    let cities = [("Paris", json!("Rome")), ("It is Rome", json!("Paris"))];
    place.write("cities.jsonl", &rows(&cities));
    let ended = place.iwsft(&[
        "grade",
        "cities.jsonl",
        "--out",
        "cities-graded.jsonl",
        "--extract",
        "hash",
    ]);
    let ended = ended.succeeds();
    assert!(
        ended
            .stderr
            .contains("2 of 2 answers cannot be read (no answer 2)"),
        "{ended}"
    );
    // What is read well is not commented.
    let fine = [("It is 4", json!("4")), ("It is 5", json!("6"))];
    place.write("fine.jsonl", &rows(&fine));
    let ended = place
        .iwsft(&["grade", "fine.jsonl", "--out", "fine-graded.jsonl"])
        .succeeds();
    assert!(!ended.stderr.contains("read"), "{ended}");
}

#[test]
fn numbers_pass_through_grading_and_curation_as_they_stand() {
    let place = Workplace::new();
    let kept = r#""x":10928588.983213553,"n":12345678901234567890123,"l":[1e-05,1.10]"#;
    let rows = format!(
        "{{\"prompt\":\"a\",\"completion\":\"7\",\"answer\":\"7\",{kept}}}\n\
         {{\"prompt\":\"b\",\"completion\":\"98765432109876543211\",\
         \"answer\":98765432109876543210}}\n"
    );
    place.write("rows.jsonl", &rows);
    place
        .iwsft(&["grade", "rows.jsonl", "--out", "graded.jsonl"])
        .succeeds();
    let graded = place.lines("graded.jsonl");
    // As 64-bit floats the second answer would be the gold one.
    assert_eq!(column(&graded, "reward"), [json!(1), json!(0)]);
    let curate = [
        "curate",
        "graded.jsonl",
        "--out",
        "kept.jsonl",
        "--min-reward",
        "1",
    ];
    place.iwsft(&curate).succeeds();
    let judge = program(
        &place,
        "judge.sh",
        "while read -r line; do case \"$line\" in *12345678901234567890123,*) \
         echo '{\"reward\": 1, \"seen\": 12345678901234567890123}';; *) echo 0;; esac; done",
    );
    let by_program = [
        "grade",
        "rows.jsonl",
        "--out",
        "judged.jsonl",
        "--command",
        &judge,
    ];
    place.iwsft(&by_program).succeeds();
    for name in ["graded.jsonl", "kept.jsonl", "judged.jsonl"] {
        let text = place.read(name);
        assert!(
            text.lines().next().unwrap().contains(kept),
            "{name}: {text}"
        );
    }
    let text = place.read("judged.jsonl");
    assert!(text.contains(r#""seen":12345678901234567890123"#), "{text}");
}
