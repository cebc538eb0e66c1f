#!/usr/bin/env python3
"""Times environment steps: Gymnasium's vector environments against iwsft's.

Usage (from the repository root):

    pip install -r scripts/requirements.txt
    cargo build --release
    python scripts/bench/environments.py                       # all robots, a table
    python scripts/bench/environments.py --environments Hopper-v5 Pendulum-v1 --rounds 5 --json

Three programs step the same number of environments with random actions and begin
a new episode where one ends:

    iwsft   `iwsft control doctor --count N --threads T`, on T threads
    sync    gymnasium.vector.SyncVectorEnv, one process
    async   gymnasium.vector.AsyncVectorEnv, one process an environment

A fourth, `physics`, is the same as `sync` but counts only the time inside of MuJoCo's
own `mj_step`, and multiplies by the number of threads: no program that leaves the
physics as they are can be faster than that.

Both sides use the MuJoCo of the Python that runs this file. Each measurement is a
process of its own; rounds alternate between the programs (A B C, B C A, ...), so
that other load on the machine hits all alike. The table has medians over the
rounds, in steps a second, and how many times the better of Gymnasium's two iwsft is.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = ("iwsft", "sync", "async", "physics")
ROBOTS = [f"{robot}-{rules}" for robot in ("Hopper", "HalfCheetah", "Walker2d", "Ant") for rules in ("v4", "v5")]


def gymnasium_steps(kind, name, count, seconds):
    """Steps a second of one of Gymnasium's vector environments."""
    import gymnasium

    vector = {"sync": gymnasium.vector.SyncVectorEnv, "async": gymnasium.vector.AsyncVectorEnv}[kind]
    environments = vector([lambda: gymnasium.make(name)] * count)
    environments.reset(seed=0)
    space = environments.action_space
    space.seed(0)
    # Drawing actions is not what is timed; a few hundred are drawn before.
    actions = [space.sample() for _ in range(256)]
    for action in actions[:10]:
        environments.step(action)
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        environments.step(actions[steps // count % len(actions)])
        steps += count
    rate = steps / (time.perf_counter() - start)
    environments.close()
    return rate


def physics_steps(name, count, seconds):
    """Steps a second of which nothing is timed but MuJoCo's part; 0 where it has none."""
    import mujoco

    step, spent, calls = mujoco.mj_step, 0.0, 0

    def timed(*args, **kwargs):
        nonlocal spent, calls
        start = time.perf_counter()
        step(*args, **kwargs)
        spent += time.perf_counter() - start
        calls += 1

    mujoco.mj_step = timed
    gymnasium_steps("sync", name, count, seconds)
    return calls / spent if calls else 0.0


def measure(program, name, args, folder):
    """Steps a second of one program, in a process of its own."""
    count, seconds = str(args.count), str(args.seconds)
    if program == "iwsft":
        command = [args.binary.resolve(), "--threads", str(args.threads), "control", "doctor", "--json"]
        command += ["--environment", name, "--count", count, "--seconds", seconds]
    else:
        command = [sys.executable, "-W", "ignore", __file__, "--threads", str(args.threads)]
        command += ["--child", program, name, count, seconds]
    environment = os.environ | {"VIRTUAL_ENV": sys.prefix, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{program} {name}: {done.stderr.strip()}")
    line = json.loads(done.stdout.splitlines()[-1])
    if line.get("error"):
        sys.exit(f"{program} {name}: {line['error']}")
    return line["steps_per_second"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--environments", nargs="+", default=ROBOTS, metavar="NAME")
    parser.add_argument("--count", type=int, default=8, help="environments that are stepped together")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of iwsft")
    parser.add_argument("--seconds", type=float, default=2.0, help="of one measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/iwsft")
    parser.add_argument("--json", action="store_true", help="print JSON lines instead of a table")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        kind, name, count, seconds = args.child
        count, seconds = int(count), float(seconds)
        if kind == "physics":
            rate = physics_steps(name, count, seconds) * args.threads
        else:
            rate = gymnasium_steps(kind, name, count, seconds)
        print(json.dumps({"steps_per_second": rate}))
        return
    if not args.json:
        print(f"{args.count} environments, {args.threads} threads, {args.rounds} rounds, steps a second\n")
        print(f"| environment | {' | '.join(PROGRAMS)} | times |\n| --- |{' ---: |' * (len(PROGRAMS) + 1)}")
    # MuJoCo's Python package leaves MUJOCO_LOG.TXT where it runs.
    with tempfile.TemporaryDirectory() as folder:
        for name in args.environments:
            rates = {program: [] for program in PROGRAMS}
            for round in range(args.rounds):
                first = round % len(PROGRAMS)
                for program in PROGRAMS[first:] + PROGRAMS[:first]:
                    rates[program].append(measure(program, name, args, folder))
            medians = {program: statistics.median(rate) for program, rate in rates.items()}
            times = medians["iwsft"] / max(medians["sync"], medians["async"])
            if args.json:
                print(json.dumps({"environment": name, "steps_per_second": rates, "times": times}), flush=True)
            else:
                cells = " | ".join(f"{medians[program]:.0f}" for program in PROGRAMS)
                print(f"| {name} | {cells} | {times:.1f} |", flush=True)


if __name__ == "__main__":
    main()
