//! Where the answer stands in what models write: boxes, announcements, thoughts,
//! lists of boxes, letters of choices, and right answers that are several.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use iwsft_eval::grade::{Extraction, Gold, Grader, Kind, Mode, Reason, Several};

/// What a grader of `kind` finds in each text.
#[track_caller]
fn finds(kind: Kind, cases: &[(&str, Option<&str>)]) {
    let grader = Grader {
        kind,
        ..Grader::default()
    };
    let mut wrong = Vec::new();
    for &(text, expected) in cases {
        let verdict = grader.grade("?", text);
        if verdict.extracted.as_deref() != expected {
            let (found, rule) = (verdict.extracted, verdict.found_by);
            wrong.push(format!("{text:?}: {found:?} by {rule:?}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn right(gold: &str, text: &str) -> bool {
    Grader::default().grade(gold, text).right
}

#[test]
fn a_passing_mention_of_the_answer_wins_over_nothing() {
    let box_of_9 = [
        "The final answer must be a fraction.",
        "The final answer is a number from 1 to 20.",
        "The final answer has 2 digits.",
        "I will put the final answer in \\boxed{}.",
        "Put your final answer inside \\boxed{...}.",
        "Final answer format: \\boxed{answer}.",
        "Is the final answer 8?",
        "So the final answer would be 8? No.",
        "If the final answer is 8, then x is 3.",
        "The final answer is not 8.",
        "The answer is 8, or so it seems.",
        "Final answer: 8",
        "The final answer is in the box below.",
        "The final answer is what we look for, with 3 unknowns.",
    ];
    for mention in box_of_9 {
        let text = format!("{mention}\n\nIt comes to $\\boxed{{9}}$.");
        finds(Kind::Math, &[(&text, Some("9"))]);
        let without_box = format!("{mention}\n\nIt comes to 9 in the end.");
        if !mention.contains("8, or") && mention != "Final answer: 8" {
            finds(Kind::Math, &[(&without_box, Some("9"))]);
        }
    }
    for mention in [
        "The final answer has 2 digits.",
        "Note that the final answer is 2 digits long.",
        "The final answer is rounded to 2 decimals.",
        "The final answer is less than 20, as required.",
        "The final answer is an integer between 000 and 999.",
        "The final answer is odd.",
        "This is my final answer.",
        "The final answer is correct to 2 significant figures.",
        "That is the final answer. It took 4 steps.",
        "(The answer is put into \\boxed{}.)",
        "The answer is 9 because 4 + 5 = 9.",
    ] {
        let text = format!("It comes to $\\boxed{{9}}$.\n\n{mention}");
        finds(Kind::Math, &[(&text, Some("9"))]);
    }
}

#[test]
fn the_last_box_is_the_answer_unless_another_final_one_is_stated_behind_it() {
    finds(
        Kind::Math,
        &[
            ("The final answer is 3. No: \\boxed{4}", Some("4")),
            (
                "\\boxed{255} so far. Final Answer: The final answer is $10,455$. I hope so.",
                Some("$10,455$"),
            ),
            ("First \\boxed{3}.\n\n**Final answer:** 4", Some("4")),
            ("First \\boxed{3}.\n\n### Final Answer\n\n$4$", Some("$4$")),
            (
                "First \\boxed{3}. The final answer is therefore $x = 4$.",
                Some("$x = 4$"),
            ),
            (
                "First \\boxed{3}. The final answer is \\boxed{4}.",
                Some("4"),
            ),
            (
                "First \\boxed{3}. The final answer is 4 apples.",
                Some("4 apples"),
            ),
            ("First \\boxed{3}. The answer is 4.", Some("3")),
            (
                "First \\boxed{3}. Wait, that is wrong. The answer is 4.",
                Some("4"),
            ),
            (
                "First \\boxed{3}. I made a mistake: the correct answer is 4.",
                Some("4"),
            ),
            ("\\boxed{4}. Had I added, that would be wrong.", Some("4")),
            // Boxes that hold no answer, and those that were cut off.
            ("It is \\boxed{4}, put into \\boxed{} as asked.", Some("4")),
            (
                "It is \\boxed{4}, put into \\boxed{\\text{your answer}}.",
                Some("4"),
            ),
            ("It is \\boxed{4}, put into \\boxed{\\ldots}.", Some("4")),
            (
                "It is \\boxed{4} or more exactly \\boxed{\\frac{4",
                Some("4"),
            ),
            ("It is \\boxed{\\frac{7}{2}", Some("\\frac{7}{2}")),
            ("It is \\boxed{\\{\\}}", Some("\\{\\}")),
            (
                "Nothing but \\boxed{} and words",
                Some("Nothing but \\boxed{} and words"),
            ),
        ],
    );
    // Whoever orders the rules gets their order.
    let text = "The final answer is 3, in other words \\boxed{4}. The final answer is 5.";
    for (rules, found) in [
        (&[Extraction::Boxed, Extraction::FinalAnswer][..], "4"),
        (&[Extraction::FinalAnswer, Extraction::Boxed], "5"),
    ] {
        let grader = Grader {
            extract: rules.to_vec(),
            ..Grader::default()
        };
        assert_eq!(grader.grade("?", text).extracted.as_deref(), Some(found));
    }
}

#[test]
fn an_announcement_states_the_value_that_follows() {
    finds(
        Kind::Math,
        &[
            ("The final answer is: 7 cm", Some("7 cm")),
            ("The final answer to the question is 7.", Some("7")),
            ("The final answer, in metres, is 7.", Some("7")),
            (
                "The final answer is the sum of the digits of 204, which is 6.",
                Some("6"),
            ),
            ("Final answer: the train leaves at 9.", Some("9")),
            (
                "Final Answer: The largest $n$ is 34. I hope it is correct.",
                Some("34"),
            ),
            ("Answer: 3 + 4 = 7 apples", Some("7")),
            (
                "Answer: There are 3 apples and 4 pears.\nIn total 7.",
                Some("7"),
            ),
            ("La réponse finale est 7.", Some("7")),
            ("The answer is not 5. It is 6.", Some("6")),
            ("The answer is 5. The answer makes sense.", Some("5")),
            ("The answer is 5. So the answer is right.", Some("5")),
            (
                "#### Step 1: add 3\n3 + 4 = 7\n#### Step 2: conclude\nIt is 7.",
                Some("7"),
            ),
            ("3 + 4 = 7\n#### 7", Some("7")),
            ("<answer>7</answer>", Some("7")),
            (
                "I give my answer in <answer> </answer> tags. <answer>It is 7 apples",
                Some("7"),
            ),
            ("It may be 3 of 8. <answer>\\boxed{7}</answer>", Some("7")),
            (" 7+8=15 3+5+1=9 95 15-9=6 9-0-1=8 86", Some("86")),
            ("It is 4", Some("4")),
            ("x = 2 500", Some("x = 2 500")),
            ("x = 2 1/2", Some("x = 2 1/2")),
        ],
    );
    finds(
        Kind::Exact,
        &[
            (
                "The answer is the Battle of Little Big Horn.",
                Some("the Battle of Little Big Horn"),
            ),
            ("<think>Rome?</think>Paris", Some("Paris")),
            ("<answer> Paris </answer>", Some("Paris")),
            (r"So it is $\boxed{\text{Paris}}$.", Some("Paris")),
        ],
    );
}

#[test]
fn what_is_thought_is_not_the_answer() {
    finds(
        Kind::Math,
        &[
            (
                "<think>So the final answer would be 12.</think>It takes \\boxed{9} minutes",
                Some("9"),
            ),
            (
                "<think>**Final Answer**\n\\boxed{8}\nwait, 9</think>\n\n9",
                Some("9"),
            ),
            ("Perhaps \\boxed{8}.</think>The answer is 9.", Some("9")),
            ("[THINK]\\boxed{8}[/THINK]9", Some("9")),
            (
                "<|channel|>analysis<|message|>\\boxed{8}<|end|><|start|>assistant<|channel|>final<|message|>9",
                Some("9"),
            ),
            ("<think>\\boxed{8}</think>", None),
            ("<think>\\boxed{8}", None),
            ("<think>\\boxed{8}</think>\n \n", None),
        ],
    );
    finds(
        Kind::Choice,
        &[
            ("<think>A? The answer is (A).</think>So (B).", Some("B")),
            ("<think>It must be (A).", None),
            ("The answer is (A)? No.</think>B", Some("B")),
        ],
    );
    let thought = Grader::default().grade("8", "<think>So \\boxed{8}");
    assert_eq!(thought.reason, Reason::ThoughtsOnly);
    assert!(Reason::ThoughtsOnly.is_unread());
    assert_eq!(Grader::default().grade("8", "").reason, Reason::NoAnswer);
    // Longer thoughts than are looked at for an answer.
    let long = format!("<think>{}The final answer is 8", "so ".repeat(50_000));
    assert_eq!(
        Grader::default().grade("8", &long).reason,
        Reason::ThoughtsOnly
    );
    assert!(right("9", &format!("{long}</think>9")));
    // A gold answer with thoughts of its own.
    assert!(right("<think>\\boxed{8}</think>\\boxed{9}", "9"));
    let whole = Grader {
        extract: vec![Extraction::Whole],
        ..Grader::default()
    };
    assert!(whole.grade("9", "<think>8</think> 9").right);
}

#[test]
fn boxes_are_one_list_where_the_text_joins_them() {
    for text in [
        "$x=\\boxed{4}$, $x=\\boxed{7}$",
        "$x=\\boxed{4}$ and $x=\\boxed{7}$",
        "$x=\\boxed{4}$ or $x=\\boxed{7}$",
        "$x = \\boxed{4}$; $y = \\boxed{7}$",
        "$x_1=\\boxed{4}, x_2=\\boxed{7}$",
        "$x = \\boxed{4}$ $y = \\boxed{7}$",
        "$x = \\boxed{4}$\n$y = \\boxed{7}$",
        "\\[\\alpha=\\boxed{4},\\quad\\beta=\\boxed{7}\\]",
        "\\begin{align*} a &= \\boxed{4} \\\\ b &= \\boxed{7} \\end{align*}",
        "$f(1)=\\boxed{4}$, and $f(2)=\\boxed{7}$",
        "(a) $\\boxed{4}$ (b) $\\boxed{7}$",
        "(a) $\\boxed{4}$\n(b) $\\boxed{7}$",
        "1. \\boxed{4}\n2. \\boxed{7}",
        "- \\boxed{4}\n- \\boxed{7}",
        "\\boxed{4} und \\boxed{7}",
        "\\boxed{4}、\\boxed{7}",
        "$\\boxed{4}$ and $\\boxed{7}$, not $\\boxed{}$",
    ] {
        finds(Kind::Math, &[(text, Some("4, 7"))]);
    }
    for text in [
        "So $x = \\boxed{4}$. Then $y = \\boxed{7}$",
        "$x = \\boxed{4}$\n\n$y = \\boxed{7}$",
        "$x = \\boxed{4}$\n$x = \\boxed{7}$",
        "$\\boxed{4} = \\boxed{7}$",
        "$\\boxed{4} \\approx \\boxed{7}$",
        "\\boxed{4}, which is \\boxed{7}",
        "\\boxed{4}, so $x = \\boxed{7}$",
        "Step 1 gives \\boxed{4}, from which we get for all \\boxed{7}",
    ] {
        finds(Kind::Math, &[(text, Some("7"))]);
    }
    finds(
        Kind::Math,
        &[
            ("$x=\\boxed{4}$, $y=\\boxed{4}$", Some("4, 4")),
            ("\\boxed{4} \\boxed{4}", Some("4")),
        ],
    );
    assert!(right("4, 7", "$x=\\boxed{7}$, $x=\\boxed{4}$"));
    assert!(right("(4, 7)", "$x=\\boxed{4}$ and $y=\\boxed{7}$"));
}

#[test]
fn a_letter_in_front_of_a_value_is_the_choice_and_not_the_value() {
    let value = [
        r"\boxed{\textbf{(D)}\ 12}",
        r"\boxed{\textbf{(D) } 12}",
        r"\boxed{\text{(D) 12}}",
        r"\boxed{\text{D. }12}",
        r"\boxed{(D)\ 12}",
        r"\boxed{\mathrm{(D)}~12}",
        "The answer is (D) 12.",
        "The answer is $\\textbf{(D)}\\ 12$.",
    ];
    let choice = Grader {
        kind: Kind::Choice,
        ..Grader::default()
    };
    for text in value {
        assert!(right("12", text), "{text}");
        assert!(!right("13", text), "{text}");
        assert!(right("D", text), "{text}");
        assert!(!right("C", text), "{text}");
        assert!(choice.grade("D", text).right, "{text}");
        assert!(choice.grade(r"\textbf{(D)}\ 12", text).right, "{text}");
        assert!(!choice.grade("C", text).right, "{text}");
    }
    for gold in [r"\textbf{(D)}\ 12", "(D) 12", r"$\text{(D) 12}$"] {
        for answer in [
            "12",
            r"\boxed{12}",
            "D",
            r"\boxed{\text{(D)}}",
            "The answer is 12.",
        ] {
            assert!(right(gold, answer), "{gold} ~ {answer}");
        }
        assert!(!right(gold, r"\boxed{\text{C}}"), "{gold}");
        assert!(!right(gold, "13"), "{gold}");
    }
    finds(
        Kind::Choice,
        &[
            (r"\boxed{\text{Option D}}", Some("D")),
            (r"\boxed{\text{The answer is (D)}}", Some("D")),
            (
                r"\boxed{D}. The final answer is a letter from A to D.",
                Some("D"),
            ),
            (
                "The final answer must be one of A, B, C.\n\n**C**",
                Some("C"),
            ),
            ("The answer is not A. I choose (C).", Some("C")),
            (r"The final answer is $\text{(C)}$", Some("C")),
            (r"Not \boxed{B}. The final answer is (C).", Some("C")),
            (
                "The final answer is for sure D, it can't be A or B",
                Some("D"),
            ),
        ],
    );
    // Mathematics with letters of its own stays as it is.
    assert!(!right("7", "\\boxed{(A) + 7}"));
    assert!(right("A+7", "\\boxed{(A) + 7}"));
}

#[test]
fn right_answers_may_be_several_any_or_all_of_which_are_asked_for() {
    let of = |several| {
        let answers = ["4", r"\frac{1}{2}"].map(str::to_owned).to_vec();
        Gold::Several(answers, several)
    };
    let grade = |kind, several, text: &str| {
        let grader = Grader {
            kind,
            ..Grader::default()
        };
        grader.grade_against(&of(several), text).right
    };
    use Several::{All, Any};
    for (several, text, expected) in [
        (Any, "\\boxed{4}", true),
        (Any, "\\boxed{0.5}", true),
        (Any, "\\boxed{5}", false),
        (Any, "\\boxed{4, 0.5}", false),
        (All, "\\boxed{4}", false),
        (All, "\\boxed{0.5, 4}", true),
        (All, "$x=\\boxed{4}$ or $x=\\boxed{0.5}$", true),
        (All, "\\boxed{4, 0.5, 5}", false),
    ] {
        assert_eq!(
            grade(Kind::Math, several, text),
            expected,
            "{several:?} {text}"
        );
    }
    let cities = Gold::Several(vec!["Paris".to_owned(), "New York".to_owned()], All);
    for (text, mode, expected) in [
        ("new york and Paris", Mode::Lenient, true),
        ("Paris, New York", Mode::Strict, true),
        ("Paris", Mode::Lenient, false),
        ("Paris, New York, and Rome", Mode::Lenient, false),
    ] {
        let grader = Grader {
            kind: Kind::Exact,
            mode,
            ..Grader::default()
        };
        assert_eq!(
            grader.grade_against(&cities, text).right,
            expected,
            "{text}"
        );
    }
}
