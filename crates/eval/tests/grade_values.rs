//! Which answers say the same and which do not, kind by kind: words, lists,
//! units, times of day, degrees.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use iwsft_eval::grade::{Grader, Mode};

/// Gold answer and answer.
type Pairs<'a> = &'a [(&'a str, &'a str)];

fn verdicts(gold: &str, answer: &str) -> [bool; 2] {
    [Mode::Lenient, Mode::Strict].map(|mode| {
        let grader = Grader {
            mode,
            ..Grader::default()
        };
        grader.compare(gold, answer).is_right()
    })
}

/// Right in both modes, whichever is the gold answer.
fn same(pairs: Pairs) {
    for &(a, b) in pairs {
        for (gold, answer) in [(a, b), (b, a)] {
            assert_eq!(verdicts(gold, answer), [true; 2], "{gold} ~ {answer}");
        }
    }
}

/// Right in lenient mode alone, whichever is the gold answer.
fn same_for_the_lenient(pairs: Pairs) {
    for &(a, b) in pairs {
        for (gold, answer) in [(a, b), (b, a)] {
            assert_eq!(verdicts(gold, answer), [true, false], "{gold} ~ {answer}");
        }
    }
}

/// Wrong in both modes, whichever is the gold answer.
fn different(pairs: Pairs) {
    for &(a, b) in pairs {
        for (gold, answer) in [(a, b), (b, a)] {
            assert_eq!(verdicts(gold, answer), [false; 2], "{gold} ~ {answer}");
        }
    }
}

#[test]
fn words_count_in_either_case_with_and_without_their_dress() {
    same_for_the_lenient(&[
        (r"\text{No answer}", "no answer"),
        (r"\text{The sum is even}", "the sum is even."),
        (r"\textbf{Odd.}", "odd"),
        (r"\mathrm{False}", "false"),
        (r"\text{\textit{Friday}}", "friday"),
        (r"\text{No}", "no"),
        ("Isosceles triangle", r"\text{isosceles}\ \text{triangle}"),
        (r"\textsc{Three}", "**three**"),
    ]);
    different(&[
        (r"\text{prime}", r"\text{not prime}"),
        (r"\text{even}", "odd"),
        ("AB", "ab"),
        ("XYZ", "xyz"),
        ("2*3", "23"),
        ("2 3", "23"),
    ]);
}

#[test]
fn letters_and_words_of_one_text_are_a_list() {
    same(&[
        (r"\text{B, D}", "B, D"),
        (r"\text{(C)}", "C"),
        (r"\text{A, B, and E}", r"\text{A}, \text{B}, \text{E}"),
    ]);
    same_for_the_lenient(&[
        (r"\text{B and D}", "D, B"),
        (r"\text{red, blue}", r"\text{Blue}, \text{Red}"),
        (r"\text{7 apples}", "7"),
    ]);
    different(&[(r"\text{B, D}", "B"), (r"\text{B, D}", "B, C")]);
}

#[test]
fn the_empty_set_is_no_solution() {
    same_for_the_lenient(&[
        (r"\emptyset", "no solution"),
        (r"\varnothing", r"\text{No solutions}"),
        (r"\{\}", r"\text{none}"),
        (r"\{\}", "There are none."),
        ("∅", "There are no real solutions."),
        (r"x \in \emptyset", "no solution"),
        (r"\text{The empty set}", r"\{ \}"),
        (r"\text{no real roots}", r"\text{None}"),
        (r"\text{does not exist}", "DNE"),
        (r"\text{undefined}", "It is undefined."),
        (r"\mathbb{R}", "all real numbers"),
        (r"(-\infty, \infty)", r"\text{all reals}"),
    ]);
    same(&[(r"\emptyset", r"\{\}"), ("∅", r"\varnothing")]);
    different(&[
        (r"\emptyset", "0"),
        (r"\text{no solution}", r"\{0\}"),
        (r"\text{none of these}", r"\emptyset"),
        (r"\text{undefined}", r"\text{no solution}"),
        (r"\text{infinitely many solutions}", r"\text{no solutions}"),
    ]);
}

#[test]
fn a_gold_answer_with_a_comma_is_a_list_unless_the_answer_has_a_decimal_comma() {
    for (gold, answer, right) in [
        ("3.2", "3,2", true),
        ("16/5", "3,2", true),
        ("3,2", "3.2", false),
        ("3,2", "16/5", false),
        ("3,2", "3,20", true),
        ("3,2", "2, 3", true),
        ("x = 3,2", "3.2", false),
        ("4,321", "4321", true),
        ("8,4,1", "8.41", false),
        // Two digits or more are rather decimals.
        ("3,25", "3.25", true),
        ("3,25", "3, 25", true),
    ] {
        assert_eq!(verdicts(gold, answer)[0], right, "{gold} ~ {answer}");
    }
}

#[test]
fn elements_of_lists_count_as_often_as_they_stand_and_those_of_sets_once() {
    same_for_the_lenient(&[("1, 1, 4", "1, 4, 1"), (r"\{1, 4\}", "4, 1")]);
    same(&[(r"\{1, 1, 4\}", r"\{4, 1\}")]);
    same_for_the_lenient(&[("(1,2), (3,4)", "(3,4), (1,2), (3,4)")]);
    different(&[
        ("1, 1, 4", "1, 4"),
        ("1, 1, 4", "1, 4, 4"),
        ("(1, 1, 4)", "(1, 4)"),
        ("6", "6, 6"),
    ]);
    // 0.3333 is near both, 1/3 is only itself: each finds its own.
    assert!(verdicts(r"0.3333, \frac{1}{3}", r"\frac{1}{3}, 0.3333")[0]);
}

#[test]
fn variables_of_a_defined_function_and_indices_have_any_name() {
    same(&[
        ("f(x) = 5x - 1", "f(n) = 5n - 1"),
        ("g(a, b) = a - 2b", "g(x, y) = x - 2y"),
        ("g(x, y) = x - 2y", "g(y, x) = y - 2x"),
        ("u_n = n^2 + 1", "u_k = k^2 + 1"),
    ]);
    different(&[
        ("f(x) = 5x - 1", "h(n) = 5n - 1"),
        ("f(x) = 5x - 1", "f(n) = 5x - 1"),
        ("f(x) = cx", "f(c) = c^2"),
        ("g(x, y) = x - 2y", "g(y, x) = x - 2y"),
        ("u_a = 3", "u_b = 3"),
    ]);
}

#[test]
fn units_may_cling_to_their_number() {
    for (gold, answer) in [
        ("25", "25pounds"),
        ("6", "6marbles"),
        ("8", "8cm"),
        ("8", r"8\text{kg}"),
        ("90", "90km/h"),
        ("15", "15minutes"),
        ("4", "4m"),
        ("7", "7 tanks"),
        ("7", "7 pies"),
        ("20", "20 min"),
        (r"2\sqrt{3}", r"2\sqrt{3}cm"),
        ("9.8", r"9.8\,\frac{\text{m}}{\text{s}^2}"),
    ] {
        assert_eq!(verdicts(gold, answer), [true, false], "{gold} ~ {answer}");
    }
    different(&[("4", "4x"), ("4m", "4k"), ("3", "3xyz"), ("8m", "8 + m")]);
    // A variable of the gold answer is no unit.
    assert!(!verdicts("4m", "4")[0]);
}

#[test]
fn units_of_one_kind_are_converted_and_those_of_others_differ() {
    same_for_the_lenient(&[
        (r"3\text{ km}", "3000 m"),
        ("2 hours", "120 minutes"),
        ("1 hour and 30 minutes", "90 min"),
        ("6 feet", "72 inches"),
        ("40 mph", "40 miles/hour"),
        (r"\$0.75", "75 cents"),
        ("$0.75", r"75\text{ cents}"),
        ("10 m/s", "36 km/h"),
        (r"4\text{ m}^2", "40000 square centimetres"),
        (r"100^\circ\text{C}", r"212^\circ\text{F}"),
        ("3 years", "36 months"),
        ("8 pounds", "8"),
        (r"16\text{ cm}^2", "16"),
    ]);
    same(&[
        ("1.5 hours", "1 hour 30 minutes"),
        (r"\$12", "12"),
        (r"7\text{ km}", "7 kilometers"),
        ("€5", "5 euros"),
    ]);
    different(&[
        ("3 km", "3 m"),
        ("3 hours", "3 minutes"),
        ("60 cents", "60 dollars"),
        (r"\$5", "€5"),
        (r"20^\circ C", r"20^\circ F"),
        ("9 cm^2", "9 cm"),
        ("9 cm^2", "9 cm^3"),
        ("50 miles per hour", "50 miles"),
        ("5 kg", "5 km"),
        (r"5\%", "5 euros"),
    ]);
}

#[test]
fn words_that_change_a_value_are_no_units() {
    same(&[
        ("4 million", "4,000,000"),
        ("36", "3 dozen"),
        (r"\$2 million", "2000000 dollars"),
        (r"7\text{ hundred}", "700"),
    ]);
    different(&[
        ("4 million", "4"),
        ("3 dozen", "3"),
        ("6 thousand dollars", r"\$6"),
        (r"8\%", "8 percentage points"),
        ("5 left", "5 right"),
        (r"30\% increase", r"30\% decrease"),
        ("200 BC", "200 AD"),
        ("5 not sold", "5 sold"),
    ]);
    same_for_the_lenient(
        &[
            ("8 percentage points", "8"),
            ("30% increase", "30%"),
            ("5 left", "5 apples"),
            ("-6", "minus 6"),
            ("-6", "negative 6 degrees"),
        ][..3],
    );
    same(&[("-6", "minus 6"), (r"-\frac{1}{2}", r"negative \frac12")]);
}

#[test]
fn times_of_day_know_their_half_of_the_day() {
    same(&[
        ("4 p.m.", "16:00"),
        ("4:30 PM", r"4:30\text{ p.m.}"),
        ("4 pm", "4:00 p.m."),
        ("noon", "12:00 p.m."),
        ("12 a.m.", "midnight"),
    ]);
    same_for_the_lenient(&[("4:30", "4:30 p.m."), ("4", "4 pm")]);
    different(&[
        ("4 p.m.", "4 a.m."),
        ("4:30 p.m.", "4:45 p.m."),
        ("12 p.m.", "12 a.m."),
        ("16:00", "4:00 a.m."),
    ]);
}

#[test]
fn degrees_are_degrees_in_functions_and_beside_radians() {
    same(&[
        (r"\sin 30^\circ", r"\frac12"),
        (r"\tan(45^{\circ})", "1"),
        (r"\cos 60°", "0.5"),
        (r"\sin(90)^\circ", "1"),
        (r"\cos{180}^\circ", "-1"),
        (r"\sin 30{}^\circ", "1/2"),
        (r"\cos(60 \text{ degrees})", "1/2"),
        (r"\sin^2 45\degree", "1/2"),
        (r"\sin 65^\circ", r"\cos 25^\circ"),
        (r"\sin(x + 90^\circ)", r"\cos x"),
        (r"4 \sin 15^\circ \cos 15^\circ", "1"),
    ]);
    same_for_the_lenient(&[
        (r"60^\circ", r"\frac{\pi}{3}"),
        (r"x = 60^\circ", r"\frac{\pi}{3}"),
        (r"60^\circ", "60"),
        (r"180^\circ - 2a", r"\pi - 2a"),
    ]);
    same(&[(r"12^\circ 30'", r"12.5^\circ")]);
    different(&[
        (r"\frac{\pi}{3}", "60"),
        (r"\sin 30", r"\frac12"),
        (r"60^\circ", r"\frac{\pi}{6}"),
    ]);
}

#[test]
fn factorials_and_binomials_have_unknowns() {
    same(&[
        (r"\binom{m}{2}", r"\frac{m(m-1)}{2}"),
        (r"\dbinom{n+1}{3}", r"\frac{(n+1)n(n-1)}{6}"),
        (r"{m \choose k}", r"\frac{m!}{k!(m-k)!}"),
        (r"\binom{m}{m-1}", "m"),
        (r"\tbinom n3", r"\binom{n}{n-3}"),
        (r"\frac{n!}{(n-3)!}", "n(n-1)(n-2)"),
        ("(k+2)!", "(k+2)(k+1)k!"),
        (r"\binom{3n}{n}", r"\frac{(3n)!}{n!(2n)!}"),
        (r"\binom{n}{k} + \binom{n}{k-1}", r"\binom{n+1}{k}"),
        (r"{7 \choose 3}", "35"),
        (r"\left( {6 \choose 2} \right)", "15"),
        (r"\Gamma(n)", "(n-1)!"),
        (r"\Gamma\left(\frac{3}{2}\right)", r"\frac{\sqrt{\pi}}{2}"),
        ("7!!", "105"),
        (r"{1 \over 2}", "0.5"),
    ]);
    different(&[
        (r"\binom{m}{2}", r"\frac{m(m+1)}{2}"),
        ("(k+2)!", "(k+2)k!"),
        (r"\binom{3n}{n}", r"\binom{3n}{n+1}"),
        ("n!", "n(n-1)(n-2)"),
    ]);
}

#[test]
fn absolute_values_and_even_roots_know_both_signs() {
    same(&[
        (r"\sqrt{(a-3)^2}", "|a-3|"),
        (r"\sqrt[6]{y^6}", "|y|"),
        (r"\sqrt[3]{y^3}", "y"),
        ("|-2t|", "2|t|"),
        ("|ab|", r"|a| \cdot |b|"),
        ("|t|^2", "t^2"),
        (r"\max(a, b)", r"\frac{a+b+|a-b|}{2}"),
        ("y = |2x|", "y = 2|x|"),
    ]);
    different(&[
        ("|t|", "t"),
        (r"\sqrt{t^2}", "t"),
        (r"\sqrt[4]{y^4}", "y"),
        (r"\sqrt{a^2 b}", r"a\sqrt{b}"),
        (r"\frac{|t|}{t}", "1"),
        ("|x-30|", "30-x"),
        ("|x+8|", "x+8"),
        (r"\frac{|a|-a}{2}", "0"),
        (r"\ln x^4", r"4\ln x"),
        ("y = |2x|", "y = 2x"),
        (r"\arctan x + \arctan\frac{1}{x}", r"\frac{\pi}{2}"),
        ("|x|+i", "x+i"),
    ]);
}

#[test]
fn identities_of_positive_numbers_hold_where_both_sides_are_real() {
    same(&[
        (r"\ln(3ab)", r"\ln 3 + \ln a + \ln b"),
        (r"\log\frac{x}{y}", r"\log x - \log y"),
        (r"\ln\sqrt{t}", r"\frac{\ln t}{2}"),
        (r"\sqrt{xy}", r"\sqrt{x}\sqrt{y}"),
        (r"t\sqrt{t}", r"t^{3/2}"),
        (r"(\sqrt{t})^2", "t"),
        (r"e^{2\ln t}", "t^2"),
        (r"(-1)^{n+2}", "(-1)^n"),
        (r"\cos(\pi n)", "(-1)^n"),
    ]);
    different(&[("(-1)^n", "1"), ("(-1)^{n+1}", "(-1)^n")]);
}

#[test]
fn exact_values_differ_however_near_they_are() {
    different(&[
        (r"\pi", r"\frac{245850922}{78256779}"),
        (r"\sqrt{3} + 10^{-13}", r"\sqrt{3}"),
        (r"\sqrt{2} \cdot 10^{-30}", r"\sqrt{5} \cdot 10^{-30}"),
        ("e^{-50}", "e^{-51}"),
        (r"e^{\pi\sqrt{163}}", "262537412640768744"),
        (r"\sin 1 + 10^{-40}", r"\sin 1"),
        (r"e^{\sin x} + 10^{-20}", r"e^{\sin x}"),
        (r"\sqrt{10} + \sqrt{17}", r"\sqrt{5} + \sqrt{24.3187}"),
        ("98765432109.4", "98765432109"),
        ("98765432109.4321", "98765432109.4322"),
    ]);
    same(&[
        (r"\sqrt{5+2\sqrt{6}}", r"\sqrt{2}+\sqrt{3}"),
        (
            r"\sqrt{10^{24}+1} - 10^{12}",
            r"\frac{1}{\sqrt{10^{24}+1} + 10^{12}}",
        ),
        (r"\sin^2 x + \cos^2 x - 1", "0"),
    ]);
    // Decimals are near to what they stand for.
    for (gold, answer) in [
        (r"\sqrt{3}", "1.7320508"),
        (r"\sqrt{3}", "1.7320508075688772"),
        ("0.7", "0.7000000000000001"),
        ("200", "199.99999999"),
        (r"e^{0.6931471805599453}", "2"),
    ] {
        assert_eq!(verdicts(gold, answer), [true, false], "{gold} ~ {answer}");
    }
}
