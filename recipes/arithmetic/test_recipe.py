"""Tests of the task and of the statistics. From the repository root:

python3 -m unittest discover -s recipes/arithmetic
"""

import json
import math
import random
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import paired  # noqa: E402
import task  # noqa: E402


def value(text):
    """Computes one side of an equation from its text alone."""
    total = 0
    for term in text.replace("-", "+-").split("+"):
        factors = [int(factor) for factor in term.split("*")]
        total += math.prod(factors)
    return total


class Task(unittest.TestCase):
    def problems(self, count=2000):
        rng = random.Random(1)
        return [task.Problem.draw(rng) for _ in range(count)]

    def test_every_right_step_is_a_true_equation_and_the_last_is_the_answer(self):
        for problem in self.problems():
            steps = problem.steps()
            self.assertEqual(problem.answer, value(problem.prompt.removesuffix("=")))
            self.assertEqual(steps[-1], str(problem.answer), problem.prompt)
            for step in steps:
                if "=" in step:
                    left, right = step.split("=")
                    self.assertEqual(value(left), int(right), f"{problem.prompt} {step}")

    def test_columns_carry_and_borrow(self):
        steps = task.completion(task.Problem(37, 4, "-", 58).steps())
        self.assertEqual(steps, " 7*4=28 3*4+2=14 148 8-8=0 14-5=9 1-0-1=0 90")

    def test_each_slip_shows(self):
        def work(slip):
            return task.completion(task.Problem(37, 4, "-", 59).steps(slip.__eq__))

        right = " 7*4=28 3*4+2=14 148 18-9=9 14-5-1=8 1-0-1=0 89"
        self.assertEqual(task.completion(task.Problem(37, 4, "-", 59).steps()), right)
        self.assertIn(" 3*4=12 128 ", work("multiplied without what was carried"))
        self.assertIn(" 14-5=9 1-0=1 199", work("subtracted without what was borrowed"))
        self.assertIn(" 7*4=27 ", work("miscounted"))
        self.assertIn(" 148 148 ", work("repeated"))

    def test_the_judge_counts_the_answer_the_steps_and_brevity(self):
        problem = task.Problem(11, 2, "+", 11)
        steps = problem.steps()
        self.assertEqual(steps, ["1*2=2", "1*2=2", "22", "2+1=3", "2+1=3", "33"])
        of = lambda text: task.judge(problem, text)  # noqa: E731
        self.assertEqual(of(task.completion(steps)), {"reward": 1.0, "score": 1.0})
        self.assertEqual(of(" 33"), {"reward": 1.0, "score": 0.5})
        self.assertEqual(of(" 1*2=2 1*2=3 32"), {"reward": 0.0, "score": 1 / 12})
        self.assertEqual(of(""), {"reward": 0.0, "score": 0.0})

    def test_a_prompt_reads_back_as_its_problem(self):
        for problem in self.problems(200):
            self.assertEqual(vars(task.Problem.parse(problem.prompt)), vars(problem))

    def test_no_problem_occurs_twice_and_a_seed_gives_the_same(self):
        sizes = {"traces": 300, "validation": 20, "problems": 100, "test": 50}

        def written(seed):
            with tempfile.TemporaryDirectory() as folder:
                task.write_data(Path(folder), seed, sizes, 1.0)
                return {name: (Path(folder) / f"{name}.jsonl").read_text() for name in sizes}

        files = written(3)
        lines = [json.loads(line) for text in files.values() for line in text.splitlines()]
        self.assertEqual(len(lines), sum(sizes.values()))
        self.assertEqual(len({line["prompt"] for line in lines}), len(lines))
        self.assertEqual(files, written(3))
        self.assertNotEqual(files["test"], written(4)["test"])


class Statistics(unittest.TestCase):
    def test_student_with_one_and_two_degrees_has_closed_forms(self):
        for t in (0.01, 0.5, 1.0, 3.0, 40.0):
            of_one = 1.0 - 2.0 / math.pi * math.atan(t)
            of_two = 1.0 - t / math.sqrt(2.0 + t * t)
            self.assertAlmostEqual(paired.two_sided(t, 1), of_one, places=12)
            self.assertAlmostEqual(paired.two_sided(-t, 2), of_two, places=12)

    def test_quantiles_are_those_of_the_tables(self):
        for freedom, expected in {1: 12.706, 2: 4.303, 9: 2.262, 120: 1.980}.items():
            self.assertAlmostEqual(paired.quantile(freedom), expected, places=3)

    def test_an_interval_and_its_test_agree(self):
        mean, half = paired.mean_and_half_width([0.1, 0.3, 0.2, 0.5])
        shifted = [value - mean + half for value in [0.1, 0.3, 0.2, 0.5]]
        self.assertAlmostEqual(paired.p_value(shifted), 0.05, places=9)

    def test_holm_keeps_order_and_never_lowers(self):
        self.assertEqual(paired.holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])
        self.assertEqual(paired.holm([0.5, 0.9]), [1.0, 1.0])


if __name__ == "__main__":
    unittest.main()
