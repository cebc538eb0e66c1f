#!/usr/bin/env python3
r"""Runs the recipes of this folder on collected data sets, and makes tables of them.

From the repository root:

    iwsft control collect data/hopper --environment Hopper-v4
    python recipes/gym/run.py --tasks hopper                  # everything, for days
    python recipes/gym/run.py --tasks hopper --sets medium-replay --quick \
        --set train.precision=bf16
    python recipes/gym/run.py --table                         # of what has finished

    iwsft control record data/pendulum/recorded.hdf5
    python recipes/gym/run.py --tasks pendulum --sets recorded    # minutes

Each method of each data set is a run `runs/gym/TASK/SET/METHOD`; finished ones are
left as they are, others go on where they stopped. Behaviour cloning comes first: what
the paper's methods start from and refer to is its policy of the same seed.

`--quick` divides the published numbers of steps (see QUICK) such that a data set takes
half an hour to an hour on two cores. The table says which numbers were used.
"""

import argparse
import json
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import paired  # noqa: E402

ENVIRONMENTS = {
    "hopper": "Hopper-v4",
    "halfcheetah": "HalfCheetah-v4",
    "walker2d": "Walker2d-v4",
    "pendulum": "Pendulum-v1",
}
SETS = ("medium-replay", "medium", "medium-expert", "recorded", "replay")
# In the order of the table; those behind the first two start from the first.
METHODS = {
    "bc": "BC",
    "filtered-bc": "10%BC",
    "sft": "SFT",
    "iw-sft": "iw-SFT",
    "iw-sft-step": "iw-SFT-step",
    "sft-q": "SFT(Q)",
    "iw-sft-q": "iw-SFT(Q)",
    "td3-bc": "TD3+BC",
    "iql": "IQL",
    "awac": "AWAC",
    "cql": "CQL",
    "rebrac": "ReBRAC",
}
FROM_START = ("sft", "iw-sft", "iw-sft-step", "sft-q", "iw-sft-q")
# Actor's and critics' penalty (arXiv 2305.09836).
REBRAC = {
    ("halfcheetah", "medium"): (0.001, 0.01),
    ("halfcheetah", "medium-replay"): (0.01, 0.001),
    ("halfcheetah", "medium-expert"): (0.01, 0.1),
    ("hopper", "medium"): (0.01, 0.01),
    ("hopper", "medium-replay"): (0.05, 0.5),
    ("hopper", "medium-expert"): (0.1, 0.01),
    ("walker2d", "medium"): (0.05, 0.1),
    ("walker2d", "medium-replay"): (0.05, 0.01),
    ("walker2d", "medium-expert"): (0.01, 0.01),
}
# Settings of --quick for each recipe.
CLONING = {"train.steps": 1000, "train.batch_size": 16}
# Fewer steps than the published 2,000 at 4e-5, so larger ones: as much in all.
TUNING = {
    "train.steps": 300,
    "train.batch_size": 16,
    "train.learning_rate": 2.7e-4,
    "train.warmup": 45,
    "environment.every": 100,
}
QUICK = {
    "bc": CLONING,
    "filtered-bc": CLONING,
    **dict.fromkeys(FROM_START, TUNING),
    "td3-bc": {"baseline.steps": 20000, "environment.every": 4000},
    "iql": {"baseline.steps": 20000, "environment.every": 4000},
    "awac": {"baseline.steps": 20000, "environment.every": 4000},
    "cql": {"baseline.steps": 2000, "environment.every": 500},
    "rebrac": {
        "baseline.steps": 10000,
        "baseline.batch_size": 256,
        "environment.every": 2000,
    },
}
# A pendulum needs far less: these are always used for it.
BASELINES = ("td3-bc", "iql", "awac", "cql", "rebrac")
SMALL = {
    **dict.fromkeys(
        ("bc", "filtered-bc"),
        {
            "policy.hidden": "[64, 64]",
            "train.steps": 500,
            "train.batch_size": 16,
            "environment.every": 100,
        },
    ),
    **dict.fromkeys(
        FROM_START,
        {
            "policy.hidden": "[64, 64]",
            "train.steps": 500,
            "train.batch_size": 32,
            "train.learning_rate": 3e-4,
            "train.warmup": 50,
            "environment.every": 100,
        },
    ),
    **dict.fromkeys(
        BASELINES,
        {
            "baseline.hidden": "[64, 64]",
            "baseline.batch_size": 256,
            "baseline.steps": 20000,
            "environment.every": 2000,
        },
    ),
}
SMALL["cql"] = SMALL["cql"] | {"baseline.steps": 3000, "environment.every": 500}


def command(arguments, task, set_, method, run):
    """The command that begins or resumes a run."""
    if (run / "recipe.toml").exists():
        return [arguments.iwsft, "control", "train", str(run), "--resume"]
    found = sorted((arguments.data / task).glob(f"{set_}.*"))
    if not found:
        raise SystemExit(f"{arguments.data / task}: no {set_}.hdf5; see the top of this file")
    data = found[0].resolve()
    values = {
        "data.path": data,
        "environment.name": ENVIRONMENTS[task],
        "seeds": arguments.seeds,
    }
    if method in FROM_START:
        values["policy.start"] = (run.parent / "bc").resolve()
        values["behaviour_cloning"] = ""
    if method == "rebrac" and (task, set_) in REBRAC:
        actor, critic = REBRAC[task, set_]
        values |= {"baseline.actor_penalty": actor, "baseline.critic_penalty": critic}
    if task == "pendulum":
        values |= SMALL[method]
    elif arguments.quick:
        values |= QUICK[method]
    values |= dict(pair.split("=", 1) for pair in arguments.set)
    sets = [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
    recipe = HERE / f"{method}.toml"
    return [arguments.iwsft, "control", "train", str(recipe), "--run", str(run), *sets]


def steps(run):
    """Steps and batch of a run, as its recipe has them."""
    recipe = tomllib.loads((run / "recipe.toml").read_text())
    section = recipe.get("baseline") or recipe["train"]
    return f"{section['steps']} x {section['batch_size']}"


def figure(found):
    """A score, or a return where no scale is known, with its interval."""
    kind = found.get("score") or found["return"]
    low, high = kind["interval"]
    return f"{kind['value']:.1f} ({low:.1f} to {high:.1f})"


def overview(runs):
    """LAST of each method on each data set with a score, as Markdown."""
    sets = [(task, set_) for task in ENVIRONMENTS for set_ in SETS
            if any((runs / task / set_).glob("*/results.json"))]
    lines = []
    for method, name in METHODS.items():
        cells = []
        for task, set_ in sets:
            file = runs / task / set_ / method / "results.json"
            last = json.loads(file.read_text())["last"] if file.exists() else {}
            score = last.get("score")
            cells.append(f"{score['value']:.1f}" if score else "")
        lines.append([name, *cells])
    scored = [column for column in range(1, len(sets) + 1) if any(row[column] for row in lines)]
    header = ["LAST", *(f"{task} {set_}" for task, set_ in sets)]
    kept = [[row[0], *(row[column] for column in scored)] for row in [header, *lines]]
    kept = [row for row in kept if any(row[1:])]
    kept.insert(1, ["---", *["---:"] * len(scored)])
    return [f"| {' | '.join(row)} |" for row in kept] if scored else []


def table(runs):
    """Of all data sets with finished runs, as Markdown."""
    lines = overview(runs)
    for task in ENVIRONMENTS:
        for set_ in SETS:
            folder = runs / task / set_
            found = {m: folder / m for m in METHODS if (folder / m / "results.json").exists()}
            if not found:
                continue
            lines += [f"\n### {task} {set_}\n", "| method | steps x batch | seeds | LAST | BEST |"]
            lines.append("| --- | ---: | ---: | ---: | ---: |")
            for method, run in found.items():
                result = json.loads((run / "results.json").read_text())
                cells = [METHODS[method], steps(run), str(len(result["seeds"]))]
                cells += [figure(result[key]) for key in ("last", "best")]
                lines.append(f"| {' | '.join(cells)} |")
            lines += comparisons(folder)
    return "\n".join(lines)


# Compared in the tables: does the first fare better than the second?
PAIRS = (
    ("iw-sft", "sft"),
    ("iw-sft-step", "sft"),
    ("iw-sft-q", "sft-q"),
    ("sft-q", "sft"),
    ("sft-q", "filtered-bc"),
    ("iw-sft", "td3-bc"),
    ("iw-sft", "iql"),
    ("iw-sft-q", "td3-bc"),
    ("iw-sft-q", "iql"),
)


def by_seed(run):
    """LAST of each seed: its score, or its return where no scale is known."""
    results = json.loads((run / "results.json").read_text())["seeds"]
    lasts = {each["seed"]: each["last"] for each in results}
    return {seed: last["return"] if last["score"] is None else last["score"]
            for seed, last in lasts.items()}


def comparisons(folder):
    """Paired t-tests over the seeds that both methods of a pair have, as Markdown."""
    found = []
    for first, second in PAIRS:
        runs = [folder / method for method in (first, second)]
        if all((run / "results.json").exists() for run in runs):
            ours, others = [by_seed(run) for run in runs]
            seeds = sorted(ours.keys() & others.keys())
            found.append((first, second, [ours[seed] - others[seed] for seed in seeds]))
    found = [pair for pair in found if len(pair[2]) > 1]
    if not found:
        return []
    p_values = [paired.p_value(differences) for *_, differences in found]
    lines = ["\n| pair, LAST | difference (95 %) | p | p, Holm |", "| --- | ---: | ---: | ---: |"]
    rows = zip(found, p_values, paired.holm(p_values))
    for (first, second, differences), p, adjusted in rows:
        mean, half = paired.mean_and_half_width(differences)
        lines.append(
            f"| {METHODS[first]} against {METHODS[second]} | {mean:+.1f} ({mean - half:+.1f} to "
            f"{mean + half:+.1f}) | {p:.2g} | {adjusted:.2g} |"
        )
    return lines


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", default=",".join(ENVIRONMENTS))
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="far fewer steps than published")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of collections")
    parser.add_argument("--runs", type=Path, default=Path("runs/gym"))
    parser.add_argument("--iwsft", default=str(ROOT / "target/release/iwsft"))
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="for every recipe"
    )
    parser.add_argument("--table", action="store_true", help="only print the table")
    arguments = parser.parse_args()
    methods = [m for m in METHODS if m in arguments.methods.split(",")]
    if not arguments.table:
        for task in arguments.tasks.split(","):
            for set_ in arguments.sets.split(","):
                for method in methods:
                    run = arguments.runs / task / set_ / method
                    if (run / "results.json").exists():
                        continue
                    line = command(arguments, task, set_, method, run)
                    print("+", *line, file=sys.stderr, flush=True)
                    subprocess.run(line, check=True)
    print(table(arguments.runs))


if __name__ == "__main__":
    main()
