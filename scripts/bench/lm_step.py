#!/usr/bin/env python3
"""Times one training step of a language model: PyTorch + transformers against iwsft.

Usage (from the repository root):

    pip install -r scripts/requirements.txt
    python scripts/bench/lm_step.py                      # all sizes, Markdown table
    python scripts/bench/lm_step.py --sizes h128 --steps 30 --json
    python scripts/bench/lm_step.py --programs sft,iw    # iw-SFT against SFT only

For every size this script writes a Qwen2 model with seeded random weights and a
batch of seeded random tokens to a temporary folder, then starts one process per
program:

    torch   this file with `--child torch`: transformers in f32, attention `sdpa`
    sft     target/release/examples/lm_step MODEL_DIR TOKENS.safetensors
    iw      the same with `--iw`: preset iw-sft-llm, reference log-probabilities
            computed once from the weights at the start

The Rust example is built first (`cargo build --release -p iwsft --example
lm_step`) unless `--binary` names it.

All do the same work: forward over the whole batch, mean negative log-likelihood
of all next tokens, backward, global-norm clip at 1.0, AdamW (lr 1e-4, betas 0.9
and 0.95, eps 1e-8, weight decay 1e-4 on matrices only), always the same batch.
PyTorch uses `fused=True`, as the Trainer of transformers does.

Steps alternate (A B C, B C A, ...) so that other load on the machine hits all
alike; only one process computes at a time. A process reads commands from
standard input, one a line, and answers `step` and `memory` with one JSON line:

    step    -> {"loss": L, "seconds": S}        one training step, L before the update
    memory  -> {"peak_bytes": P, "baseline_bytes": B}
               the process's peak resident size, and what it was before the model was
               built (PyTorch: after all imports); also awaited once before the first step
    quit    -> exits

Memory in the table is peak minus baseline. Seconds are the process's own.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("torch", "sft", "iw")
WARM_UP = 3
# Steps whose losses are compared, from the first update on.
COMPARED = 8
MIB = 1024 * 1024


@dataclass(frozen=True)
class Size:
    """A model and its batch; letters as in crates/engine/src/lib.rs."""

    name: str
    d: int
    layers: int
    h: int
    k: int
    f: int
    v: int
    batch: int
    length: int
    tied: bool = False

    @property
    def label(self) -> str:
        tied = ", tied" if self.tied else ""
        return (
            f"h{self.d}/L{self.layers}/heads{self.h}/kv{self.k}/ff{self.f}/V{self.v}"
            f" {self.batch}x{self.length}{tied}"
        )


SIZES = [
    Size("h128", d=128, layers=4, h=4, k=2, f=384, v=512, batch=16, length=128),
    Size("h256", d=256, layers=4, h=8, k=4, f=768, v=4096, batch=8, length=256),
    Size("h896", d=896, layers=4, h=14, k=2, f=4864, v=32000, batch=2, length=512),
    Size("h896-tied", d=896, layers=4, h=14, k=2, f=4864, v=32000, batch=2, length=512, tied=True),
]
DEFAULT_SIZES = ("h128", "h256", "h896")


# --- The PyTorch process ------------------------------------------------------


def status_bytes(field: str) -> int:
    """A memory figure of this process, for example `VmHWM`."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"/proc/self/status has no {field}: this benchmark needs Linux")


def torch_child(model_dir: Path, tokens_file: Path, threads: int) -> None:
    """Serves the line protocol with transformers."""
    import torch
    import transformers
    from safetensors.numpy import load_file
    from transformers import Qwen2ForCausalLM

    baseline = status_bytes("VmRSS")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(threads)
    model = Qwen2ForCausalLM.from_pretrained(
        model_dir, dtype=torch.float32, attn_implementation="sdpa"
    ).train()
    model.config.use_cache = False
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    optimizer = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": 1e-4},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=1e-4,
        betas=(0.9, 0.95),
        eps=1e-8,
        fused=True,
    )
    tokens = torch.from_numpy(load_file(tokens_file)["tokens"].astype("int64"))  # [b, t]

    def step() -> dict:
        start = time.perf_counter()
        loss = model(input_ids=tokens, labels=tokens).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return {"loss": loss.item(), "seconds": time.perf_counter() - start}

    for line in sys.stdin:
        command = line.strip()
        if command == "step":
            answer = step()
        elif command == "memory":
            answer = {"peak_bytes": status_bytes("VmHWM"), "baseline_bytes": baseline}
        elif command == "quit":
            return
        else:
            raise SystemExit(f"unknown command {command!r}")
        print(json.dumps(answer), flush=True)


# --- The driver ---------------------------------------------------------------


class Process:
    """One program under test, spoken to line by line."""

    def __init__(self, program: str, command: list[str], threads: int):
        self.program = program
        self.losses: list[float] = []
        self.seconds: list[float] = []
        environment = os.environ | {
            "OMP_NUM_THREADS": str(threads),
            "RAYON_NUM_THREADS": str(threads),
        }
        self.child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
            bufsize=1,
        )

    def ask(self, command: str) -> dict:
        try:
            self.child.stdin.write(command + "\n")
            self.child.stdin.flush()
        except BrokenPipeError:
            pass  # the missing answer below reports the exit status
        answer = self.child.stdout.readline()
        if not answer:
            raise SystemExit(
                f"{self.program}: no answer to `{command}`, exit status {self.child.wait()}"
            )
        return json.loads(answer)

    def step(self) -> None:
        answer = self.ask("step")
        self.losses.append(answer["loss"])
        self.seconds.append(answer["seconds"])

    def memory(self) -> int:
        """Peak beyond the baseline, in bytes."""
        answer = self.ask("memory")
        return answer["peak_bytes"] - answer["baseline_bytes"]

    def quit(self) -> None:
        self.child.stdin.write("quit\n")
        self.child.stdin.close()
        if self.child.wait() != 0:
            raise SystemExit(f"{self.program}: exit status {self.child.returncode}")

    def end(self) -> None:
        """Ends the process if an error left it running."""
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()


def write_inputs(size: Size, folder: Path, seed: int) -> tuple[Path, Path]:
    """The model folder and the tokens `[b, t]` (u32) of one size."""
    import numpy as np
    import torch
    from safetensors.numpy import save_file
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(seed)
    config = Qwen2Config(
        hidden_size=size.d,
        num_hidden_layers=size.layers,
        num_attention_heads=size.h,
        num_key_value_heads=size.k,
        intermediate_size=size.f,
        vocab_size=size.v,
        max_position_embeddings=2048,
        tie_word_embeddings=size.tied,
    )
    model_dir, tokens_file = folder / size.name, folder / f"{size.name}.safetensors"
    Qwen2ForCausalLM(config).save_pretrained(model_dir)
    generator = np.random.default_rng(seed)
    tokens = generator.integers(size.v, size=(size.batch, size.length), dtype=np.uint32)
    save_file({"tokens": tokens}, tokens_file)
    return model_dir, tokens_file


def measure(size: Size, arguments: argparse.Namespace, folder: Path) -> dict:
    """All programs on one size, interleaved."""
    model_dir, tokens_file = write_inputs(size, folder, arguments.seed)
    inputs = [str(model_dir), str(tokens_file)]
    torch_command = [sys.executable, str(Path(__file__).resolve()), "--child", "torch"]
    options = ["--recompute"] if arguments.recompute else []
    if arguments.micro_tokens:
        options.append(str(arguments.micro_tokens))
    commands = {
        "torch": [*torch_command, "--threads", str(arguments.threads), *inputs],
        "sft": [str(arguments.binary), *inputs, *options],
        "iw": [str(arguments.binary), *inputs, *options, "--iw"],
    }
    processes: list[Process] = []
    try:
        for program in arguments.programs:
            process = Process(program, commands[program], arguments.threads)
            processes.append(process)
            process.memory()  # answered once the model is built: none builds while one steps
        for round_ in range(WARM_UP + arguments.steps):
            first = round_ % len(processes)
            for process in processes[first:] + processes[:first]:
                process.step()
            times = ", ".join(f"{p.program} {p.seconds[-1] * 1e3:.1f} ms" for p in processes)
            print(f"{size.name} step {round_ + 1}: {times}", file=sys.stderr)
        memory = {process.program: process.memory() for process in processes}
        for process in processes:
            process.quit()
    finally:
        for process in processes:
            process.end()
    return summary(size, processes, memory, arguments)


def summary(
    size: Size,
    processes: list[Process],
    memory: dict[str, int],
    arguments: argparse.Namespace,
) -> dict:
    """Medians, ratios and raw figures of one size; what was not run is missing."""
    seconds = {p.program: p.seconds[WARM_UP:] for p in processes}
    losses = {p.program: p.losses for p in processes}
    result = {
        "size": size.name,
        "model": size.label,
        "threads": arguments.threads,
        "steps": arguments.steps,
        "recompute": arguments.recompute,
        "median_ms": {p: statistics.median(s) * 1e3 for p, s in seconds.items()},
        "memory_mib": {p: m / MIB for p, m in memory.items()},
        "seconds": seconds,
        "losses": losses,
    }
    if "torch" in seconds and "sft" in seconds:
        ms, mib = result["median_ms"], result["memory_mib"]
        result["time_ratio"] = ms["sft"] / ms["torch"]
        result["memory_ratio"] = mib["sft"] / mib["torch"]
        pairs = zip(losses["torch"][:COMPARED], losses["sft"][:COMPARED], strict=True)
        result["loss_difference"] = max(abs(a - b) for a, b in pairs)
    if "iw" in seconds and "sft" in seconds:
        # Neighbours in time share the machine's mood, so compare round by round.
        pairs = zip(seconds["iw"], seconds["sft"], strict=True)
        result["iw_ratio"] = statistics.median(iw / sft for iw, sft in pairs)
    return result


def table(results: list[dict]) -> str:
    """The results as Markdown."""

    def cell(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    lines = [
        "| size | torch ms | iwsft ms | ratio | torch MiB | iwsft MiB | ratio "
        f"| max loss difference, {COMPARED} steps | iw-SFT / SFT |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for result in results:
        ms, mib = result["median_ms"], result["memory_mib"]
        cells = [
            result["model"],
            cell(ms.get("torch"), ".1f"),
            cell(ms.get("sft"), ".1f"),
            cell(result.get("time_ratio"), ".3f"),
            cell(mib.get("torch"), ".0f"),
            cell(mib.get("sft"), ".0f"),
            cell(result.get("memory_ratio"), ".3f"),
            cell(result.get("loss_difference"), ".1e"),
            cell(result.get("iw_ratio"), ".3f"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def conditions(arguments: argparse.Namespace) -> str:
    """What the figures depend on, in a sentence or two."""
    import torch
    import transformers

    cpu = "unknown CPU"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    layers = ", iwsft recomputing layers" if arguments.recompute else ""
    if arguments.micro_tokens:
        layers += f", iwsft in passes of {arguments.micro_tokens} tokens"
    return (
        f"{cpu}, {arguments.threads} threads, f32{layers}; torch {torch.__version__}, transformers "
        f"{transformers.__version__}. Medians of {arguments.steps} interleaved steps after "
        f"{WARM_UP}; iw-SFT / SFT is the median of the rounds' ratios. Memory is peak resident "
        "size beyond that before the model (PyTorch: after the imports)."
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )

    def names(known: list[str]):
        def parse(text: str) -> list[str]:
            chosen = text.split(",")
            for name in chosen:
                if name not in known:
                    raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
            return chosen

        return parse

    parser.add_argument(
        "--sizes",
        type=names([size.name for size in SIZES]),
        default=list(DEFAULT_SIZES),
        help=f"comma-separated, from {', '.join(s.name for s in SIZES)} "
        f"(default: {','.join(DEFAULT_SIZES)})",
    )
    parser.add_argument(
        "--programs",
        type=names(list(PROGRAMS)),
        default=list(PROGRAMS),
        help=f"comma-separated, from {', '.join(PROGRAMS)} (default: all)",
    )
    parser.add_argument("--steps", type=int, default=15, help="measured steps (default: 15)")
    parser.add_argument("--threads", type=int, default=2, help="threads of each (default: 2)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and tokens (default: 0)")
    parser.add_argument("--binary", type=Path, help="the Rust example, if it is built already")
    parser.add_argument("--recompute", action="store_true", help="iwsft recomputes layers")
    parser.add_argument("--micro-tokens", type=int, help="iwsft's tokens a pass (its default)")
    parser.add_argument("--json", action="store_true", help="one JSON line a size, no table")
    parser.add_argument("--child", choices=["torch"], help=argparse.SUPPRESS)
    parser.add_argument("inputs", nargs="*", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if WARM_UP + arguments.steps < COMPARED:
        parser.error(f"--steps must be at least {COMPARED - WARM_UP}")
    if len(arguments.inputs) != (2 if arguments.child else 0):
        parser.error(f"unexpected arguments: {' '.join(map(str, arguments.inputs))}")
    return arguments


def main() -> None:
    arguments = parse_arguments()
    if arguments.child:
        torch_child(*arguments.inputs, arguments.threads)
        return
    if arguments.binary is None and set(arguments.programs) != {"torch"}:
        build = ["cargo", "build", "--release", "-p", "iwsft", "--example", "lm_step"]
        subprocess.run(build, cwd=ROOT, check=True)
        arguments.binary = ROOT / "target/release/examples/lm_step"

    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            if size.name in arguments.sizes:
                results.append(measure(size, arguments, Path(folder)))
                if arguments.json:
                    print(json.dumps(results[-1]), flush=True)
    if not arguments.json:
        print(table(results))
        print()
        print(conditions(arguments))


if __name__ == "__main__":
    main()
