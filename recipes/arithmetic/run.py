#!/usr/bin/env python3
"""The replication: ten methods from the same start, with the same budget, over seeds.

From the repository root, with nothing but Python's standard library:

    cargo build --release
    python3 recipes/arithmetic/run.py                     # about an hour on two cores
    python3 recipes/arithmetic/run.py --seeds 3 --methods sft,iw-sft --ablation-seeds 0
    python3 recipes/arithmetic/run.py --table             # of what has finished

Each seed has its own problems, base model, samples and order of data, all in
`runs/arithmetic/seed-N`. Everything there is made by commands of iwsft, which are
printed and kept in `log.txt`. The result of a finished command is kept in `steps/`: run
again, the program goes on where it stopped. Tables and pictures come at the end.
"""

import argparse
import concurrent.futures
import shlex
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent))
import results  # noqa: E402
import task  # noqa: E402
from steps import Steps, anew  # noqa: E402

SIZES = {"traces": 12000, "validation": 200, "problems": 1500, "test": 500}
DRAWS = 4  # completions of each problem

# Recipe, data, and what is changed of the recipe.
RIGHT, SCORED = "right.jsonl", "scored.jsonl"


def tuned(data, **objective):
    return "fine-tune.toml", data, {f"objective.{key}": value for key, value in objective.items()}


METHODS = {
    "sft": tuned(RIGHT, preset="sft"),
    "iw-sft": tuned(RIGHT, preset="iw-sft-llm"),
    "iw-sft-step": tuned(RIGHT, preset="iw-sft-llm-step"),
    "sft-q": tuned(SCORED, preset="sft", quality="resample"),
    "iw-sft-q": tuned(SCORED, preset="iw-sft-llm", quality="resample"),
    "dft": tuned(RIGHT, preset="dft"),
    "psft": tuned(RIGHT, preset="psft"),
    "asft": tuned(RIGHT, preset="asft"),
    "expert-iteration": ("expert-iteration.toml", None, {}),
    "grpo": ("grpo.toml", None, {}),
}
IW = {"preset": "iw-sft-llm"}
ABLATIONS = {
    "temperature-10": tuned(RIGHT, **IW, temperature=10),
    "temperature-30": tuned(RIGHT, **IW, temperature=30),
    "sum": tuned(RIGHT, **IW, length="sum"),
    "sum-clip-2": tuned(RIGHT, **IW, length="sum", clip="[0.0, 2.0]"),
    "sum-clip-none": tuned(RIGHT, **IW, length="sum", clip="[0.0, inf]"),
    "temperature-10-ema": tuned(RIGHT, **IW, temperature=10, q="{ ema = 0.9 }"),
    "temperature-10-lagged": tuned(RIGHT, **IW, temperature=10, q="{ lagged = 8 }"),
    "sft-q-weight": tuned(SCORED, preset="sft", quality="weight"),
    "iw-sft-q-weight": tuned(SCORED, **IW, quality="weight"),
}
# How much more often slips happen to those who write the traces, and what is then tuned.
CARELESS = {"careless-0.5": 0.5, "careless-1.5": 1.5}
CARELESS_METHODS = ("sft", "iw-sft")


class World(Steps):
    """One seed's data and models, in a folder."""

    def __init__(self, folder, seed, iwsft, careless=1.0):
        super().__init__(folder, iwsft, threads=1)
        self.seed, self.careless = seed, careless

    def prepare(self):
        """From nothing to curated answers of a base model."""
        data = self.folder / "data-is-there"
        if not data.exists():
            task.write_data(self.folder, self.seed, SIZES, self.careless)
            task.write_model(self.folder / "random", self.seed)
            shutil.copy(HERE / "benchmark.toml", self.folder)
            data.touch()
        values = {"model.path": "random", "data.train": "traces.jsonl"}
        self.fit("base", "base.toml", values | {"data.validation": "validation.jsonl"}, {})
        samples, graded, judged = map(self.path, ("samples.jsonl", "graded.jsonl", "judged.jsonl"))
        source = ["--prompts", self.path("problems.jsonl"), "-k", str(DRAWS)]
        how = ["--seed", str(self.seed), "--max-tokens", "96", "--out", samples]
        base = self.path("base/model")
        self.run("sample", "sample", base, *source, *how, *anew(samples))
        last_number = ["--extract", "last-number", "--out", graded]
        self.run("grade", "grade", samples, *last_number, *anew(graded))
        judge = shlex.join([sys.executable, str(HERE / "task.py")])
        # Its rewards are those of the grader; its scores say how good the steps are.
        command = ["--command", judge, "--replace", "--out", judged]
        self.run("judge", "grade", graded, *command, *anew(judged))
        right, scored = self.path(RIGHT), self.path(SCORED)
        keep_right = ["--min-reward", "1", "--out", right]
        self.run("curate-right", "curate", judged, *keep_right, *anew(right))
        self.run("curate-scored", "curate", judged, "--out", scored, *anew(scored))

    def tune(self, name, recipe, data, changes):
        """One method, and how good its model is."""
        inputs = {"model.path": "base/model", "eval.benchmark": "benchmark.toml"}
        if data is None:
            inputs["prompts.file"] = "problems.jsonl"
        else:
            inputs |= {"data.train": data, "data.validation": "validation.jsonl"}
        self.fit(name, recipe, inputs, changes)
        rounds = sorted((self.folder / name).glob("round-*/run/model"))
        self.test(name, rounds[-1] if rounds else self.folder / name / "model")

    def fit(self, name, recipe, inputs, changes):
        """A run of a recipe on files of this folder."""
        values = {key: self.path(value) for key, value in inputs.items()}
        self.train(name, HERE / recipe, values | changes | {"train.seed": self.seed})

    def test(self, name, model):
        self.evaluate(name, model, "drawn")
        self.evaluate(name, model, "greedy", "--temperature", "0", "-k", "1")


def run_seed(folder, seed, iwsft, methods, ablations):
    """Everything that is asked for of one seed."""
    world = World(folder / f"seed-{seed}", seed, iwsft)
    world.prepare()
    world.test("base", world.folder / "base/model")
    for name in methods:
        world.tune(name, *METHODS[name])
    if not ablations:
        return
    for name, ablation in ABLATIONS.items():
        world.tune(name, *ablation)
    for name, careless in CARELESS.items():
        other = World(world.folder / name, seed, iwsft, careless)
        other.prepare()
        other.test("base", other.folder / "base/model")
        for method in CARELESS_METHODS:
            other.tune(method, *METHODS[method])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument(
        "--ablation-seeds", type=int, default=3, help="seeds with ablations, from the first on"
    )
    parser.add_argument("--jobs", type=int, default=2, help="seeds at a time, a thread each")
    parser.add_argument("--folder", type=Path, default=Path("runs/arithmetic"))
    parser.add_argument("--iwsft", default=str(ROOT / "target/release/iwsft"))
    parser.add_argument("--table", action="store_true", help="only the tables and pictures")
    arguments = parser.parse_args()
    methods = arguments.methods.split(",")
    if unknown := [name for name in methods if name not in METHODS]:
        parser.error(f"--methods: no {unknown[0]}; expected some of {','.join(METHODS)}")
    if not arguments.table:
        folder = arguments.folder.resolve()
        seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
        with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
            jobs = [
                pool.submit(
                    run_seed, folder, seed, arguments.iwsft, methods,
                    index < arguments.ablation_seeds,
                )
                for index, seed in enumerate(seeds)
            ]
            try:
                for job in concurrent.futures.as_completed(jobs):
                    job.result()
            except KeyboardInterrupt:
                # The commands that ran have saved and ended: they were interrupted, too.
                pool.shutdown(cancel_futures=True)
                raise SystemExit("stopped; the same command goes on from here") from None
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    results.write(arguments.folder, methods, list(ABLATIONS), CARELESS, CARELESS_METHODS)


if __name__ == "__main__":
    main()
