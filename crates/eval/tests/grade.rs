//! What the graders take for equal and what not, rule by rule, and that no text
//! makes them fail.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use std::time::{Duration, Instant};

use iwsft_eval::grade::{Extraction, Grader, Kind, Mode, Reason};
use proptest::prelude::*;

fn lenient(gold: &str, answer: &str) -> Reason {
    Grader::default().compare(gold, answer)
}

fn strict(gold: &str, answer: &str) -> Reason {
    let grader = Grader {
        mode: Mode::Strict,
        ..Grader::default()
    };
    grader.compare(gold, answer)
}

/// Equal in both modes, whichever of the two is the gold answer.
fn equal(pairs: &[(&str, &str)]) {
    for &(a, b) in pairs {
        for (gold, answer) in [(a, b), (b, a)] {
            assert!(
                lenient(gold, answer).is_right(),
                "lenient {gold} ~ {answer}"
            );
            assert!(strict(gold, answer).is_right(), "strict {gold} ~ {answer}");
        }
    }
}

/// Equal in lenient mode alone.
fn equal_for_the_lenient(pairs: &[(&str, &str)]) {
    for &(gold, answer) in pairs {
        assert!(
            lenient(gold, answer).is_right(),
            "lenient {gold} ~ {answer}"
        );
        assert!(!strict(gold, answer).is_right(), "strict {gold} ~ {answer}");
    }
}

fn different(pairs: &[(&str, &str)]) {
    for &(a, b) in pairs {
        for (gold, answer) in [(a, b), (b, a)] {
            let reason = lenient(gold, answer);
            assert!(!reason.is_right(), "lenient {gold} ~ {answer}: {reason:?}");
            let reason = strict(gold, answer);
            assert!(!reason.is_right(), "strict {gold} ~ {answer}: {reason:?}");
        }
    }
}

#[test]
fn numbers_are_equal_however_they_are_written() {
    equal(&[
        ("7", "7.0"),
        ("0.25", ".25"),
        ("2500", "2,500"),
        ("2500000", r"2{,}500{,}000"),
        ("2500", r"2,\!500"),
        ("2500", "2 500"),
        ("-3", "−3"),
        ("1200", "1.2e3"),
        ("0.00045", r"4.5 \times 10^{-4}"),
        (r"\frac{7}{8}", "7/8"),
        (r"\frac78", "0.875"),
        (r"\dfrac{-7}{8}", r"-\tfrac{7}{8}"),
        (r"2\frac{3}{4}", "2.75"),
        ("2 3/4", "11/4"),
        (r"0.\overline{27}", r"\frac{3}{11}"),
        (r"0.8\overline{3}", "5/6"),
        (r"\$45", "45"),
        (r"312_7", "312_{7}"),
        ("12_{10}", "12"),
        ("4!", "24"),
        (r"\binom{6}{3}", "20"),
        (r"\lceil 2.1 \rceil", "3"),
    ]);
    different(&[
        ("7", "7.01"),
        ("7", "-7"),
        ("0.5", "0.05"),
        ("2500", "25000"),
        ("2500", "2, 500"),
        (r"312_7", "312_8"),
        (r"312_7", "156"),
        ("100000000000000000000", "100000000000000000001"),
        ("2^{200}", "2^{200}+1"),
    ]);
}

#[test]
fn exact_arithmetic_decides_polynomials_quotients_and_roots() {
    for (gold, answer) in [
        ("(a+b)^2", "a^2 + 2ab + b^2"),
        (r"\frac{x^2-9}{x-3}", "x+3"),
        (r"\frac{1}{x} + \frac{1}{y}", r"\frac{x+y}{xy}"),
        (r"\sqrt{12}", r"2\sqrt{3}"),
        (r"\frac{6}{\sqrt{3}}", r"2\sqrt3"),
        (r"\sqrt{10}", r"\sqrt2 \cdot \sqrt5"),
        (r"\frac{1}{1+\sqrt{2}}", r"\sqrt{2}-1"),
        (r"\sqrt[3]{54}", r"3\sqrt[3]{2}"),
        (r"(2+i)(2-i)", "5"),
        (r"\frac{1}{i}", "-i"),
        (r"\frac{3\pi}{6}", r"\frac{\pi}{2}"),
        ("9^9^9^9", "9^{9^{9^9}}"),
    ] {
        assert_eq!(lenient(gold, answer), Reason::Exact, "{gold} ~ {answer}");
    }
    different(&[
        ("(a+b)^2", "a^2+b^2"),
        ("x+3", "x-3"),
        ("2x+1", "2y+1"),
        (r"\sqrt{12}", r"3\sqrt{2}"),
        ("9^9^9^9", "9^9^9^8"),
        ("1/0", "2/0"),
    ]);
}

#[test]
fn random_points_decide_what_exact_arithmetic_does_not() {
    for (gold, answer) in [
        (r"\sin(2x)", r"2 \sin x \cos x"),
        (r"\sec^2 t - 1", r"\tan^2 t"),
        (r"\ln(ab)", r"\ln a + \ln b"),
        (r"4^{n}", r"2^{2n}"),
        (r"\log_3 81", "4"),
        (r"e^{-i\pi}", "-1"),
        (r"\sqrt{3+2\sqrt{2}}", r"1+\sqrt{2}"),
        (r"x\sqrt{x}", r"x^{3/2}"),
        (r"\cos\frac{\pi}{5}", r"\frac{1+\sqrt5}{4}"),
    ] {
        assert_eq!(lenient(gold, answer), Reason::Numeric, "{gold} ~ {answer}");
    }
    different(&[
        (r"\sin(2x)", r"2 \sin x"),
        (r"\log_3 81", "3"),
        (r"f(x+1)", r"f(x)+1"),
    ]);
    equal(&[
        ("f(1+x)", "f(x+1)"),
        (r"\sum_{k=1}^{n} a_k b_k", r"\sum_{k=1}^{n} b_k a_k"),
    ]);
}

#[test]
fn intervals_sets_and_inequalities_are_sets_of_numbers() {
    equal(&[
        (r"(-\infty, 4]", r"\left(-\infty,4\right]"),
        (r"[0,1) \cup (2,3)", r"(2,3)\cup[0,1)"),
        (r"[0, \frac{1}{2}]", "[0, 0.5]"),
        (r"\{3, 1, 2\}", r"\{1,2,3\}"),
        (r"\mathbb{R} \setminus \{0\}", r"(-\infty,0)\cup(0,\infty)"),
        (r"x \ge 4", r"4 \leq x"),
        ("x < 2", "2x < 4"),
        ("x < 2", "-x > -2"),
        (r"\emptyset", r"\{\}"),
    ]);
    equal_for_the_lenient(&[
        (r"[1,5)", r"1 \le x < 5"),
        (r"5 > x \ge 1", "[1,5)"),
        (r"x \in [1,5)", "[1,5)"),
        (r"x \ne 7", r"(-\infty,7) \cup (7,\infty)"),
        (r"x < -1 \text{ or } x > 1", r"(-\infty,-1)\cup(1,\infty)"),
        (r"|x| > 1", r"(-\infty,-1)\cup(1,\infty)"),
        (r"|x| \le 3", "[-3,3]"),
        (r"x \in \{2, 5\}", "2, 5"),
        (r"\{2, 5\}", r"5 \text{ and } 2"),
    ]);
    different(&[
        ("[0,1]", "[0,1)"),
        ("[0,1]", "[0,2]"),
        ("x < 2", "x > 2"),
        ("x < 2", r"x \le 2"),
        ("x < 2", "y < 2"),
        (r"\{1,2\}", r"\{1,2,3\}"),
        (r"(-\infty, 4)", r"(4, \infty)"),
    ]);
}

#[test]
fn tuples_keep_their_order_and_lists_do_so_for_the_strict() {
    equal(&[
        ("(2, -3)", r"\left( 2, -3 \right)"),
        ("(1/2, 4)", "(0.5, 4)"),
        (r"\langle 1, 2, 3 \rangle", "(1,2,3)"),
        ("1, 2, 3", "1,2,3"),
        ("4, 9", "4 and 9"),
        ("x=1, y=2; x=3, y=4", "(1,2), (3,4)"),
        (r"3 \pm \sqrt{2}", r"3-\sqrt{2}, 3+\sqrt{2}"),
        (r"\pm 4", "-4, 4"),
    ]);
    equal_for_the_lenient(&[
        ("4, 9", "9, 4"),
        ("4, 9", "9 and 4"),
        ("(1,2), (3,4)", "(3,4) and (1,2)"),
        ("a=1, b=2", "1, 2"),
        ("a=1, b=2", "(1, 2)"),
    ]);
    different(&[
        ("(2,-3)", "(-3,2)"),
        ("4, 9", "4"),
        ("4, 9", "4, 9, 9.5"),
        (r"\pm 4", "4"),
        ("a=1, b=2", "2, 1"),
    ]);
}

#[test]
fn equations_are_equal_to_their_multiples_and_name_their_value() {
    equal(&[
        ("2x - 4y = 6", "x - 2y = 3"),
        ("y = 3x + 1", "y - 3x - 1 = 0"),
        ("x = 2 + 2 = 4", "x = 4"),
        ("y = e^{2x}", "2y = 2e^{x}e^{x}"),
    ]);
    equal_for_the_lenient(&[
        ("x = 5", "5"),
        ("5", "x = 5"),
        ("y = 3x + 1", "3x + 1"),
        ("f(x) = x^2", "x^2"),
        (r"\angle ABC = 40^\circ", "40"),
        ("AB : CD = 2 : 3", "2:3"),
        ("5", "2 + 3 = 5"),
        (r"\frac{2}{3}", r"\frac{2}{3} \approx 0.667"),
        ("(x,y) = (1,2)", "(1,2)"),
    ]);
    different(&[
        ("x + y = 5", "5"),
        ("x = 5", "y = 5"),
        ("2x = 10", "10"),
        ("y = 3x + 1", "y = 3x - 1"),
        ("3 = 2a + b", "2a + b"),
    ]);
}

#[test]
fn matrices_are_compared_entry_by_entry() {
    equal(&[
        (
            r"\begin{pmatrix} 1 & 1/2 \\ 0 & 3 \end{pmatrix}",
            r"\begin{bmatrix} 1 & 0.5 \\ 0 & 3 \end{bmatrix}",
        ),
        (
            r"\begin{pmatrix} 3 & 1 \\ 1 & 2 \end{pmatrix}",
            r"\begin{pmatrix} 1 & 1 \\ 1 & 0 \end{pmatrix} + \begin{pmatrix} 2 & 0 \\ 0 & 2 \end{pmatrix}",
        ),
        (
            r"\begin{pmatrix} 19 & 22 \\ 43 & 50 \end{pmatrix}",
            r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}\begin{pmatrix} 5 & 6 \\ 7 & 8 \end{pmatrix}",
        ),
        (
            r"\begin{pmatrix} 2 \\ 4 \end{pmatrix}",
            r"2 \begin{pmatrix} 1 \\ 2 \end{pmatrix}",
        ),
    ]);
    equal_for_the_lenient(&[(r"\begin{pmatrix} 2 \\ 4 \end{pmatrix}", "(2, 4)")]);
    different(&[
        (
            r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}",
            r"\begin{pmatrix} 1 & 3 \\ 2 & 4 \end{pmatrix}",
        ),
        (
            r"\begin{pmatrix} 1 & 2 \end{pmatrix}",
            r"\begin{pmatrix} 1 & 2 & 3 \end{pmatrix}",
        ),
    ]);
}

#[test]
fn the_lenient_drop_units_and_percent_signs_and_round() {
    equal_for_the_lenient(&[
        (r"12 \text{ cm}^2", "12"),
        ("12", "12 square metres"),
        ("9.81", r"9.81\ \text{m}/\text{s}^2"),
        ("3.6", "3.6 km/h"),
        (r"35^\circ", "35"),
        (r"18\%", "18"),
        (r"18\%", "0.18"),
        ("0.18", "18 percent"),
        ("213_4", "213"),
        (r"\frac{2}{7}", "0.2857"),
        (r"\frac{2}{3}", "0.66666"),
        (r"\sqrt{2}", "1.41421"),
        ("1.4142", r"\sqrt{2}"),
        ("12.35", "12.3456"),
        ("1.5", "1,5"),
    ]);
    different(&[
        (r"\frac{2}{7}", "0.29"),
        (r"\frac{2}{7}", "0.2858"),
        ("5", "5.0001"),
        ("5", "4.99999"),
        ("0.5", "0.45"),
        ("12.35", "12.36"),
    ]);
    let hundredths = Grader {
        decimals: 2,
        ..Grader::default()
    };
    assert_eq!(hundredths.compare(r"\frac{2}{7}", "0.29"), Reason::Rounded);
}

#[test]
fn words_are_compared_without_their_dress() {
    equal(&[
        (r"\text{even}", "even"),
        (r"\text{(B)}", "(B)"),
        (r"\mathrm{E}", "E"),
        ("f'", "f'"),
    ]);
    equal_for_the_lenient(&[
        (r"\text{Tuesday}", "tuesday"),
        ("no solution", "No solution."),
    ]);
    different(&[("even", "odd"), ("E", "F"), ("Paris", "Parish")]);
}

#[test]
fn each_rule_finds_the_answer_where_it_stands() {
    use Extraction::*;
    for (rule, text, found) in [
        (
            Boxed,
            r"So $\boxed{\frac{1}{2}}$, not \boxed{3}.",
            Some("3"),
        ),
        (Boxed, r"$x = \boxed{2}$ or $x = \boxed{5}$", Some("2, 5")),
        (
            Boxed,
            r"First \boxed{2}. After much more thought about it: \boxed{5}",
            Some("5"),
        ),
        (Boxed, r"\boxed{a {b} \} c} d", Some(r"a {b} \} c")),
        (Boxed, r"\boxed 7", Some("7")),
        (Boxed, r"\boxed{12 and no end", Some("12 and no end")),
        (Boxed, "nothing", None),
        (Hash, "2 + 2 = 4\n#### 4\n", Some("4")),
        (
            FinalAnswer,
            "Final Answer: The final answer is $3x$. I hope so.",
            Some("$3x$"),
        ),
        (
            FinalAnswer,
            "**Final answer:** 3.5 m\nThanks",
            Some("3.5 m"),
        ),
        (
            FinalAnswer,
            "Final answer:\n\\[\n\\boxed{9}\n\\]",
            Some("9"),
        ),
        (
            AnswerPhrase,
            "The answer is 12 because 3 * 4 = 12.",
            Some("12"),
        ),
        (AnswerPhrase, "La réponse est 7.", Some("7")),
        (AnswerPhrase, "答案是：42。", Some("42")),
        (
            AnswerPhrase,
            "Answer: the train leaves at 9 from A",
            Some("9"),
        ),
        (
            AnswerPhrase,
            "The answer is then what we found: 4 + 4 = 8 apples",
            Some("8"),
        ),
        (
            LastNumber,
            "It costs $5 and then $1,250.50.",
            Some("1,250.50"),
        ),
        (LastNumber, "From 7 - 3 = 4 we get 4/5 of it", Some("4/5")),
        (LastNumber, "Thus $x = 3$ for all n", Some("$x = 3$")),
        (
            LastNumber,
            "It is minus five, or -5, in A4 and x^2",
            Some("-5"),
        ),
        (LastNumber, "no digits", None),
        (LastMath, r"Let $n$ be \(2k\), then stop.", Some("2k")),
        (LastMath, "It is $5 here and $6 there", None),
        (LastLine, "one\ntwo\n\n", Some("two")),
        (Formula, "x^2 + 1", Some("x^2 + 1")),
        (Formula, "the square of it", None),
        (Line, "the square of it", Some("the square of it")),
        (Whole, " a\nb ", Some("a\nb")),
        (Whole, " \n", None),
    ] {
        let grader = Grader {
            extract: vec![rule],
            ..Grader::default()
        };
        let verdict = grader.grade("0", text);
        assert_eq!(verdict.extracted.as_deref(), found, "{rule:?} in {text}");
        assert_eq!(verdict.found_by, found.map(|_| rule), "{rule:?} in {text}");
    }
}

#[test]
fn the_first_rule_that_finds_something_counts() {
    let grader = |extract: &[Extraction]| Grader {
        extract: extract.to_vec(),
        ..Grader::default()
    };
    let text = r"Either \boxed{3} or else the answer is 4.";
    let boxed = grader(&[Extraction::Boxed, Extraction::AnswerPhrase]);
    assert!(boxed.grade("3", text).right);
    let phrase = grader(&[Extraction::AnswerPhrase, Extraction::Boxed]);
    assert!(phrase.grade("4", text).right);
    let verdict = grader(&[Extraction::Hash]).grade("4", text);
    assert_eq!(verdict.reason, Reason::NoAnswer);
    assert_eq!(verdict.extracted, None);
}

#[test]
fn gold_answers_may_be_worked_solutions() {
    let grader = Grader::default();
    let text = "She has 3 + 4 = 7 left. The answer is 7.";
    for gold in [
        "7",
        "She has 3 + 4 = <<3+4=7>>7 apples.\n#### 7",
        r"So $\boxed{7}$.",
        "$7$",
    ] {
        assert!(grader.grade(gold, text).right, "{gold}");
    }
}

#[test]
fn choices_are_letters_wherever_they_stand() {
    let grader = Grader {
        kind: Kind::Choice,
        ..Grader::default()
    };
    for (gold, text, letter) in [
        ("B", "The answer is (B).", "B"),
        ("(B)", "B", "B"),
        ("B. Lyon", "**Answer:** B) Lyon", "B"),
        ("C", "A is wrong, B too, so I choose C", "C"),
        ("D", r"Clearly \boxed{\text{D}}", "D"),
        ("A", "A", "A"),
        ("A", "I think it must be A", "A"),
        ("E", "A cat and a dog. I would say (E), as I said.", "E"),
        ("c", "the answer is c", "C"),
    ] {
        let verdict = grader.grade(gold, text);
        assert!(verdict.right, "{gold} in {text}: {verdict:?}");
        assert_eq!(verdict.extracted.as_deref(), Some(letter), "{text}");
    }
    for (gold, text) in [
        ("B", "The answer is C"),
        ("A", "A cat sat."),
        ("B", "no idea"),
    ] {
        assert!(!grader.grade(gold, text).right, "{gold} in {text}");
    }
}

#[test]
fn exact_answers_are_compared_letter_by_letter() {
    let mut grader = Grader {
        kind: Kind::Exact,
        ..Grader::default()
    };
    assert!(grader.grade("New York", "The answer is new  york.").right);
    assert!(!grader.grade("1/2", "0.5").right);
    grader.mode = Mode::Strict;
    assert!(grader.grade("New York", "New York\n").right);
    assert!(!grader.grade("New York", "new york").right);
}

#[test]
fn settings_are_read_by_name_and_unknown_ones_refused() {
    let read = serde_json::from_str::<Grader>;
    assert_eq!(read("{}").unwrap(), Grader::default());
    let grader = read(
        r#"{"kind": "math", "mode": "strict", "extract": ["boxed", "answer-phrase", "last-number"]}"#,
    );
    let expected = Grader {
        mode: Mode::Strict,
        extract: vec![
            Extraction::Boxed,
            Extraction::AnswerPhrase,
            Extraction::LastNumber,
        ],
        ..Grader::default()
    };
    assert_eq!(grader.unwrap(), expected);
    for wrong in [
        r#"{"kid": "math"}"#,
        r#"{"kind": "maths"}"#,
        r#"{"extract": ["box"]}"#,
    ] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

/// Far more than any answer takes, also on a slow machine with checks on.
const LONG: Duration = Duration::from_secs(20);

/// Grades as every kind in both modes, in the role of either text.
fn survives(text: &str) {
    let start = Instant::now();
    for kind in [Kind::Math, Kind::Choice, Kind::Exact] {
        for mode in [Mode::Lenient, Mode::Strict] {
            let grader = Grader {
                kind,
                mode,
                time_limit_ms: 200,
                ..Grader::default()
            };
            for (gold, answer) in [(text, "1"), ("x+1", text), (text, text)] {
                grader.grade(gold, answer);
                grader.compare(gold, answer);
            }
        }
    }
    let head: String = text.chars().take(60).collect();
    assert!(start.elapsed() < LONG, "{:?} for {head}", start.elapsed());
}

#[test]
fn hostile_texts_end_in_a_verdict() {
    let many = |part: &str, count: usize| part.repeat(count);
    let matrix = r"\begin{pmatrix}1&x\\y&1\end{pmatrix}";
    for text in [
        many("{", 1 << 20),
        many("(", 4000),
        format!("{}1{}", many("(", 1000), many(")", 1000)),
        many(r"\boxed{", 10_000),
        many(r"\frac", 800),
        many(r"\sqrt{", 600),
        many("|", 4000),
        many("-", 4000),
        many("x^", 2000),
        many("!", 4000),
        format!("5{}", many("!", 200)),
        format!("(a+b+c+d+e+f+g)^{{60}}{}", many("(a+b+c)^{60}", 50)),
        format!("1{}", many("+x^{64}y^{64}", 300)),
        "9^9^9^9^9^9".to_owned(),
        "(-9223372036854775808)^(-9223372036854775808)".to_owned(),
        "x^{-9223372036854775808}".to_owned(),
        r"\binom{500}{250}^{99999}".to_owned(),
        "1e400^{1e400}".to_owned(),
        "1e99999999999".to_owned(),
        many("7", 4000),
        format!("{}^{{99999}}", many("7", 3000)),
        many(matrix, 100),
        many(&format!("{matrix}+"), 100),
        format!(r"\begin{{pmatrix}}{}", many("&", 3000)),
        many("1,", 2000),
        many(r"\pm 1,", 600),
        many(r"\pm", 1300),
        many("x=", 2000),
        many("x<", 2000),
        many(r"\cup", 1000),
        many(r"\{1\}\cup", 400),
        many(r"\sin", 1000),
        many(r"\sin(x^2+", 400),
        many("$", 100_000),
        many(r"\[ $1$ ", 20_000),
        many(r"\(", 50_000),
        many("#### ", 50_000),
        many("the answer is ", 20_000),
        many("A ", 100_000),
        "\0\0\0".to_owned(),
        "🦀^{🦀} = \u{202e}١٢٣".to_owned(),
        "\u{feff}\u{200b} \u{a0}".to_owned(),
        r"\".to_owned(),
        r"\begin{".to_owned(),
        r"\left. \right.".to_owned(),
        many("n!", 1000),
        many(r"\binom{n}{", 900),
        many(r"\binom{n}{k}+", 300),
        many(r"{n \choose ", 300),
        many("|x|^{1/2}+", 400),
        many("e^", 2000),
        r"\sin(10^{300})".to_owned(),
        r"e^{e^{e^{e^{x}}}}".to_owned(),
        r"(10^{10})! + x!".to_owned(),
        r"\sqrt{\sqrt{\sqrt{-x}}}^{x^{x^{x}}}".to_owned(),
        r"\log_{1}(x) + \ln 0 + \arctan(i)".to_owned(),
        many("1 hour ", 500),
        many("5 km/", 500),
        many(r"\text{a, ", 400),
        many("million ", 400),
        format!("5 {}", many("cm^9", 900)),
        format!("5 {}", many("km", 1900)),
        String::new(),
    ] {
        survives(&text);
    }
}

#[test]
fn work_without_end_is_cut_off_and_said_to_be() {
    let product = "(a+b+c+d+e+f+g+h)^{9}".repeat(20);
    let grader = Grader::default();
    let reason = grader.compare(&product, &format!("{product}+1"));
    assert_eq!(reason, Reason::Limit);
    let long = "x+".repeat(4000);
    assert_eq!(grader.compare("1", &long), Reason::Limit);
}

/// Pieces of which answers are made, whole and broken.
fn fragments() -> impl Strategy<Value = String> {
    let fragment = prop_oneof![
        4 => prop::sample::select(vec![
            r"\frac", r"\sqrt", "{", "}", "(", ")", "[", "]", "^", "_", "|", "&", r"\\", ",", ";",
            r"\{", r"\}", "=", "<", r"\le", r"\ne", r"\approx", r"\in", r"\cup", r"\setminus",
            r"\pm", "+", "-", "*", "/", r"\cdot", "!", "%", r"\%", "$", "$$", r"\(", r"\)", r"\[",
            r"\]", r"\text{", r"\boxed{", r"\begin{pmatrix}", r"\end{pmatrix}", r"\left", r"\right",
            r"\infty", r"\circ", r"\sum", r"\lfloor", r"\rfloor", r"\overline", ":", "'", ".", " ",
            "\n", "####", "The answer is ", "Final answer: ", " and ", " or ", "e", "i", r"\pi",
            "f(x)", r"\sin", r"\log_", "1e9", "1,000", "0.", "cm", "percent", r"\binom", r"\choose",
            r"\over", r"^\circ", "°", r"\$", "€", " million ", " p.m.", " km/h", r"\Gamma(", "{}",
            "no solution", r"\emptyset", r"\max", r"\arcsin", "a_n=", " hours ", "30'", "minus ",
        ]).prop_map(str::to_owned),
        2 => "[a-z0-9]{1,3}",
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(fragment, 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn arbitrary_texts_end_in_a_verdict(text in any::<String>()) {
        survives(&text);
    }

    #[test]
    fn arbitrary_fragments_end_in_a_verdict(text in fragments()) {
        survives(&text);
    }

    #[test]
    fn every_answer_is_equal_to_itself_or_says_that_it_is_no_answer(text in fragments()) {
        for mode in [Mode::Lenient, Mode::Strict] {
            let reason = Grader { mode, ..Grader::default() }.compare(&text, &text);
            // Sizes of brackets that are not there say nothing.
            let bare = text.replace(r"\left", "").replace(r"\right", "");
            let empty = bare.chars().all(|c| !c.is_alphanumeric());
            prop_assert!(reason.is_right() || empty, "{text}: {reason:?}");
        }
    }

    #[test]
    fn verdicts_are_reproducible_and_agree_with_their_reason(
        gold in fragments(),
        text in fragments(),
    ) {
        let grader = Grader { time_limit_ms: 60_000, ..Grader::default() };
        let verdict = grader.grade(&gold, &text);
        prop_assert_eq!(verdict.right, verdict.reason.is_right());
        prop_assert_eq!(&verdict, &grader.grade(&gold, &text));
    }

    #[test]
    fn fractions_are_equal_exactly_when_their_values_are(
        a in -50_i64..50, b in 1_i64..50, c in -50_i64..50, d in 1_i64..50,
    ) {
        let same = a * d == c * b;
        let fraction = format!(r"\frac{{{a}}}{{{b}}}");
        prop_assert_eq!(lenient(&fraction, &format!("{c}/{d}")).is_right(), same);
        prop_assert_eq!(strict(&fraction, &format!(r"\dfrac{{{c}}}{{{d}}}")).is_right(), same);
    }

    #[test]
    fn polynomials_are_equal_exactly_when_their_coefficients_are(
        a in prop::collection::vec(-9_i64..9, 4), b in prop::collection::vec(-9_i64..9, 4),
        equal in any::<bool>(),
    ) {
        let b = if equal { a.clone() } else { b };
        let term = |(power, coefficient): (usize, &i64)| format!("({coefficient})x^{{{power}}}");
        let sum: Vec<String> = a.iter().enumerate().map(term).collect();
        // Horner's form.
        let nested = format!("{}+x*({}+x*({}+x*({})))", b[0], b[1], b[2], b[3]);
        let reason = lenient(&sum.join("+"), &nested);
        prop_assert_eq!(reason.is_right(), a == b, "{} ~ {}", sum.join("+"), nested);
    }

    #[test]
    fn numbers_are_found_and_read_in_prose(number in -1_000_000_i64..1_000_000, cents in 0_u8..100) {
        let text = format!("After 3 days he has ${number}.{cents:02} left, and is happy.");
        let verdict = Grader::default().grade(&format!("{number}.{cents:02}"), &text);
        prop_assert!(verdict.right, "{text}: {verdict:?}");
    }
}
