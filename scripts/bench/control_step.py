#!/usr/bin/env python3
"""Times gradient steps of control algorithms: PyTorch against iwsft, same computation.

Usage (from the repository root):

    pip install -r scripts/requirements.txt
    python scripts/bench/control_step.py                     # all, Markdown table
    python scripts/bench/control_step.py --algorithms iql,td3-bc --rounds 15 --json

| algorithm | a step |
| --- | --- |
| td3-bc | 256 transitions, networks of 2 x 256, two critics; the actor every other step |
| iql | 256 transitions, networks of 2 x 256, two critics, a value, an actor |
| bc | 256 trajectories of 200 to 1000 steps, a network of 3 x 256 |
| iw-sft | the same with weights q / ref, q a moving average of the policy |

Observations have 17 numbers and actions 6, as HalfCheetah's and Walker2d's. Data,
parameters and the order of the batches are the same on both sides (the Rust program
draws as NumPy does); the largest relative difference of the first losses is printed.

PyTorch is written as it is fastest in eager mode: fused Adam, targets moved by one
call, and trajectories packed end to end (`torch`). `torch-padded` pads them to the
longest, as the public control program of arXiv 2507.12856 does. `iwsft-bf16` multiplies
in bf16 (`precision = "bf16"`), everything else is f32.

Rounds alternate between the programs, so that other load hits all alike. The Rust
example is built first (`cargo build --release -p iwsft --example control_step`).
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lm_step import ROOT, Process

OBSERVATION, ACTION = 17, 6
TRANSITIONS = 20_000
TRAJECTORIES = 256
LENGTHS = (200, 1000)
# Steps of a round, steps whose losses are compared.
STEPS = {"td3-bc": 60, "iql": 60, "bc": 1, "iw-sft": 1}
COMPARED = {"td3-bc": 20, "iql": 20, "bc": 3, "iw-sft": 3}
PROGRAMS = {
    "td3-bc": ("torch", "iwsft", "iwsft-bf16"),
    "iql": ("torch", "iwsft", "iwsft-bf16"),
    "bc": ("torch", "torch-padded", "iwsft", "iwsft-bf16"),
    "iw-sft": ("torch", "torch-padded", "iwsft", "iwsft-bf16"),
}
WARM_UP = 2


# --- Inputs -------------------------------------------------------------------


def flat(widths, generator):
    """Weights and biases of linear layers, even in +-1/sqrt(inputs), end to end."""
    import numpy as np

    parts = []
    for width, following in zip(widths, widths[1:]):
        bound = width**-0.5
        parts.append(generator.uniform(-bound, bound, (following, width)).ravel())
        parts.append(generator.uniform(-bound, bound, following))
    return np.concatenate(parts).astype("float32")


def learned(name, parameters, target=False):
    """What the Rust program keeps of a network before its first update."""
    import numpy as np

    tensors = {
        f"{name}.parameters": parameters,
        f"{name}.m": np.zeros_like(parameters),
        f"{name}.v": np.zeros_like(parameters),
        f"{name}.updates": np.zeros(1, "uint64"),
    }
    if target:
        tensors[f"{name}.target"] = parameters.copy()
    return tensors


def write_inputs(algorithm, path):
    """Seeded random data and parameters."""
    import numpy as np
    from safetensors.numpy import save_file

    generator = np.random.default_rng(1)
    o, a = OBSERVATION, ACTION
    lengths = generator.integers(LENGTHS[0], LENGTHS[1] + 1, TRAJECTORIES)
    is_trajectories = algorithm in ("bc", "iw-sft")
    n = int(lengths.sum()) if is_trajectories else TRANSITIONS
    normal = lambda *shape: generator.standard_normal(shape).astype("float32")
    tensors = {
        "observations": normal(n, o),
        "actions": generator.uniform(-1, 1, (n, a)).astype("float32"),
    }
    deviations = np.zeros(a, "float32")
    if is_trajectories:
        tensors["lengths"] = lengths.astype("float32")
        network = flat([o, 256, 256, 256, a], generator)
        tensors["actor.parameters"] = np.concatenate([network, deviations])
    else:
        tensors["rewards"] = normal(n)
        tensors["next_observations"] = normal(n, o)
        tensors["goes_on"] = (generator.random(n) > 0.01).astype("float32")
        network = flat([o, 256, 256, a], generator)
        actor = np.concatenate([network, deviations])
        tensors |= learned("actor", actor, target=algorithm == "td3-bc")
        for name in ("critic_1", "critic_2"):
            tensors |= learned(name, flat([o + a, 256, 256, 1], generator), target=True)
        if algorithm == "iql":
            tensors |= learned("value", flat([o, 256, 256, 1], generator))
    save_file(tensors, path)


# --- The PyTorch process ------------------------------------------------------


def network(flat_parameters, widths):
    """A torch module of linear layers with ReLU between them."""
    import torch
    from torch import nn

    layers, at = [], 0
    values = torch.from_numpy(flat_parameters)
    for width, following in zip(widths, widths[1:]):
        layer = nn.Linear(width, following)
        with torch.no_grad():
            layer.weight.copy_(values[at : at + width * following].view(following, width))
            at += width * following
            layer.bias.copy_(values[at : at + following])
            at += following
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def adam(parameters, rate=3e-4):
    import torch

    return torch.optim.Adam(parameters, lr=rate, fused=True)


def follow(targets, sources, tau=0.005):
    import torch

    with torch.no_grad():
        for target, source in zip(targets, sources):
            torch._foreach_lerp_(list(target.parameters()), list(source.parameters()), tau)


def update(optimizer, loss):
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def transitions(tensors):
    """Batches in the order in which the Rust program draws them."""
    import numpy as np
    import torch

    columns = ("observations", "actions", "rewards", "next_observations", "goes_on")
    data = [torch.from_numpy(tensors[name]) for name in columns]
    generator = np.random.default_rng(0)

    def draw(n=256):
        rows = (generator.random(n) * TRANSITIONS).astype("int64")
        return [column[torch.from_numpy(rows)] for column in data]

    return draw, generator


def critics(tensors):
    widths = [OBSERVATION + ACTION, 256, 256, 1]
    names = ("critic_1", "critic_2")
    pair = [network(tensors[f"{name}.parameters"], widths) for name in names]
    targets = [network(tensors[f"{name}.parameters"], widths) for name in names]
    return pair, targets


def lower(pair, rows):
    import torch

    return torch.minimum(*[critic(rows).squeeze(-1) for critic in pair])


def td3_bc(tensors):
    import torch
    import torch.nn.functional as F

    widths = [OBSERVATION, 256, 256, ACTION]
    actor, actor_target = [network(tensors["actor.parameters"], widths) for _ in range(2)]
    pair, targets = critics(tensors)
    of_critics = adam([p for critic in pair for p in critic.parameters()])
    of_actor = adam(actor.parameters())
    draw, generator = transitions(tensors)
    step_ = 0

    def step():
        nonlocal step_
        step_ += 1
        seen, done, reward, behind, goes_on = draw()
        with torch.no_grad():
            noise = torch.from_numpy(generator.standard_normal(done.shape).astype("float32"))
            noise = (noise * 0.0).clamp(-0.5, 0.5)
            next_ = (actor_target(behind).tanh() + noise).clamp(-1, 1)
            y = reward + 0.99 * goes_on * lower(targets, torch.cat([behind, next_], 1))
        rows = torch.cat([seen, done], 1)
        losses = [F.mse_loss(critic(rows).squeeze(-1), y) for critic in pair]
        update(of_critics, losses[0] + losses[1])
        if step_ % 2 == 0:
            action = actor(seen).tanh()
            q = pair[0](torch.cat([seen, action], 1)).squeeze(-1)
            weight = 2.5 / q.abs().mean().detach()
            update(of_actor, F.mse_loss(action, done) - weight * q.mean())
            follow([*targets, actor_target], [*pair, actor])
        return (losses[0].item() + losses[1].item()) / 2

    return step


def iql(tensors):
    import torch
    import torch.nn.functional as F
    from torch import nn

    actor = network(tensors["actor.parameters"], [OBSERVATION, 256, 256, ACTION])
    log_std = nn.Parameter(torch.zeros(ACTION))
    value = network(tensors["value.parameters"], [OBSERVATION, 256, 256, 1])
    pair, targets = critics(tensors)
    of_critics = adam([p for critic in pair for p in critic.parameters()])
    of_actor = adam([*actor.parameters(), log_std])
    of_value = adam(value.parameters())
    draw, _ = transitions(tensors)

    def step():
        seen, done, reward, behind, goes_on = draw()
        rows = torch.cat([seen, done], 1)
        with torch.no_grad():
            next_value = value(behind).squeeze(-1)
            q = lower(targets, rows)
        advantage = q - value(seen).squeeze(-1)
        side = torch.where(advantage < 0, 0.3, 0.7)
        update(of_value, (side * advantage**2).mean())
        y = reward + 0.99 * goes_on * next_value
        losses = [F.mse_loss(critic(rows).squeeze(-1), y) for critic in pair]
        update(of_critics, (losses[0] + losses[1]) / 2)
        follow(targets, pair)
        weight = (3.0 * advantage.detach()).exp().clamp(max=100.0)
        z = (done - actor(seen).tanh()) * (-log_std.clamp(-5, 2)).exp()
        log_prob = (-0.5 * z * z - log_std.clamp(-5, 2) - 0.9189385).sum(-1)
        update(of_actor, -(weight * log_prob).mean())
        return (losses[0].item() + losses[1].item()) / 2

    return step


def trajectories(tensors, weighted, padded):
    """Behaviour cloning or iw-SFT (preset iw-sft-control) on all trajectories."""
    import copy

    import torch
    from torch import nn

    widths = [OBSERVATION, 256, 256, 256, ACTION]

    class Policy(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network(tensors["actor.parameters"], widths)
            self.log_std = nn.Parameter(torch.zeros(ACTION))

        def forward(self, seen, done):
            log_std = self.log_std.clamp(-5, 2)
            z = (done - self.network(seen).tanh()) * (-log_std).exp()
            return (-0.5 * z * z - log_std - 0.9189385).sum(-1)

    policy = Policy()
    proposal = copy.deepcopy(policy)
    optimizer = adam(policy.parameters(), 4e-5)
    lengths = torch.from_numpy(tensors["lengths"]).long()
    parts = [torch.from_numpy(tensors[name]) for name in ("observations", "actions")]
    if padded:
        split = [part.split(lengths.tolist()) for part in parts]
        seen, done = [nn.utils.rnn.pad_sequence(each, batch_first=True) for each in split]
        mask = torch.arange(seen.shape[1])[None, :] < lengths[:, None]

        def means(log_probs):
            return (log_probs * mask).sum(1) / lengths
    else:
        seen, done = parts
        owner = torch.repeat_interleave(torch.arange(len(lengths)), lengths)

        def means(log_probs):
            return torch.zeros(len(lengths)).index_add(0, owner, log_probs) / lengths

    with torch.no_grad():
        reference = means(policy(seen, done))

    def step():
        weight = torch.full((len(lengths),), 1 / len(lengths))
        if weighted:
            with torch.no_grad():
                pairs = zip(proposal.parameters(), policy.parameters())
                for average, value in pairs:
                    average.lerp_(value, 0.1)
                ratio = 10.0 * (means(proposal(seen, done)) - reference)
                weight = ratio.exp().clamp(0, 1000)
                weight = weight / weight.sum()
        log_probs = policy(seen, done)
        average = means(log_probs)
        update(optimizer, -(weight * average).sum())
        if padded:
            return -((log_probs * mask).sum() / lengths.sum()).item()
        return -log_probs.mean().item()

    return step


def torch_child(algorithm, path, threads, padded):
    """Serves the line protocol."""
    import torch
    from safetensors.numpy import load_file

    torch.set_num_threads(threads)
    tensors = load_file(path)
    if algorithm == "td3-bc":
        step = td3_bc(tensors)
    elif algorithm == "iql":
        step = iql(tensors)
    else:
        step = trajectories(tensors, algorithm == "iw-sft", padded)
    for line in sys.stdin:
        command, *count = line.split()
        if command == "quit":
            return
        start = time.perf_counter()
        losses = [step() for _ in range(int(count[0]))]
        seconds = time.perf_counter() - start
        print(json.dumps({"losses": losses, "seconds": seconds}), flush=True)


# --- The driver ---------------------------------------------------------------


def measure(algorithm, arguments, folder):
    """All programs on one algorithm, interleaved."""
    inputs = folder / f"{algorithm}.safetensors"
    write_inputs(algorithm, inputs)
    here = [sys.executable, str(Path(__file__).resolve()), "--threads", str(arguments.threads)]
    commands = {
        "torch": [*here, "--child", algorithm, str(inputs)],
        "torch-padded": [*here, "--padded", "--child", algorithm, str(inputs)],
        "iwsft": [str(arguments.binary), algorithm, str(inputs)],
        "iwsft-bf16": [str(arguments.binary), algorithm, str(inputs), "bf16"],
    }
    steps = STEPS[algorithm]
    losses = {program: [] for program in PROGRAMS[algorithm]}
    seconds = {program: [] for program in PROGRAMS[algorithm]}
    processes = []
    try:
        for program in PROGRAMS[algorithm]:
            processes.append(Process(program, commands[program], arguments.threads))
        for round_ in range(WARM_UP + arguments.rounds):
            first = round_ % len(processes)
            for process in processes[first:] + processes[:first]:
                answer = process.ask(f"steps {steps}")
                losses[process.program] += answer["losses"]
                if round_ >= WARM_UP:
                    seconds[process.program].append(answer["seconds"] / steps)
            told = ", ".join(f"{p} {s[-1] * 1e3:.2f} ms" for p, s in seconds.items() if s)
            print(f"{algorithm} round {round_ + 1}: {told}", file=sys.stderr)
        for process in processes:
            process.quit()
    finally:
        for process in processes:
            process.end()
    result = {
        "algorithm": algorithm,
        "threads": arguments.threads,
        "rounds": arguments.rounds,
        "median_ms": {p: statistics.median(s) * 1e3 for p, s in seconds.items()},
        "seconds": seconds,
    }
    for program in PROGRAMS[algorithm][1:]:
        # Neighbours in time share the machine's mood, so compare round by round.
        pairs = zip(seconds["torch"], seconds[program], strict=True)
        result[f"times_{program}"] = statistics.median(torch / other for torch, other in pairs)
        pairs = list(zip(losses["torch"], losses[program]))[: COMPARED[algorithm]]
        result[f"difference_{program}"] = max(abs(a - b) / abs(a) for a, b in pairs)
    return result


def table(results):
    """The results as Markdown."""
    lines = [
        "| algorithm | program | ms a step | torch / it | first losses differ by |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for result in results:
        for program, ms in result["median_ms"].items():
            cells = [result["algorithm"], program, f"{ms:.2f}"]
            if program == "torch":
                cells += ["1", "-"]
            else:
                cells.append(f"{result[f'times_{program}']:.2f}")
                cells.append(f"{result[f'difference_{program}']:.1e}")
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = list(STEPS)
    parser.add_argument("--algorithms", default=",".join(known), help=f"from {', '.join(known)}")
    parser.add_argument("--rounds", type=int, default=11, help="measured rounds (default: 11)")
    parser.add_argument("--threads", type=int, default=2, help="threads of each (default: 2)")
    parser.add_argument("--binary", type=Path, help="the Rust example, if it is built already")
    parser.add_argument("--json", action="store_true", help="one JSON line each, no table")
    parser.add_argument("--child", choices=known, help=argparse.SUPPRESS)
    parser.add_argument("--padded", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("inputs", nargs="*", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    unknown = [name for name in arguments.algorithms.split(",") if name not in known]
    if unknown:
        parser.error(f"{unknown[0]!r} is none of {', '.join(known)}")
    return arguments


def main():
    arguments = parse_arguments()
    if arguments.child:
        torch_child(arguments.child, arguments.inputs[0], arguments.threads, arguments.padded)
        return
    if not arguments.binary:
        build = ["cargo", "build", "--release", "-p", "iwsft", "--example", "control_step"]
        subprocess.run(build, cwd=ROOT, check=True)
        arguments.binary = ROOT / "target/release/examples/control_step"
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for algorithm in arguments.algorithms.split(","):
            results.append(measure(algorithm, arguments, Path(folder)))
            if arguments.json:
                print(json.dumps(results[-1]), flush=True)
    if not arguments.json:
        print(table(results))


if __name__ == "__main__":
    main()
