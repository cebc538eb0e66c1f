#!/usr/bin/env python3
"""Word problems in real text: tiny models learn from their own right answers.

From the repository root, with nothing but Python's standard library:

    cargo build --release
    python3 recipes/gsm8k/run.py --problems gsm8k/train.jsonl --model models/story_656k
    python3 recipes/gsm8k/run.py --table                    # of what has finished

`--problems` is the TRAINING set of GSM8K, in JSON lines with `question` and `answer`:
https://github.com/openai/grade-school-math, grade_school_math/data/train.jsonl.
`--model` is a small checkpoint as a Hugging Face folder. It is one start, and the same
architecture with random weights is the other. For each start: imitate solutions to
half of the problems, try two thirds of the rest, grade, keep what is right, fine-tune
with SFT and with iw-SFT, and test on the last sixth. GSM8K's test set is not touched.

Run again, the program goes on where it stopped.
"""

import argparse
import hashlib
import json
import random
import re
import shutil
import struct
import sys
from array import array
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from steps import Steps, anew  # noqa: E402

METHODS = {
    "sft": {"objective.preset": "sft"},
    "iw-sft": {"objective.preset": "iw-sft-llm"},
    "iw-sft-step": {"objective.preset": "iw-sft-llm-step"},
}
ROLES = {"solved": 1 / 2, "tried": 1 / 3, "dev": 1 / 6}
DRAWS = 8  # answers to each tried problem


def role(question):
    """What a problem is for: decided by its text, so that no problem has two."""
    digest = hashlib.sha256(question.encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    for name, share in ROLES.items():
        if place < share:
            return name
        place -= share
    return name


def write_data(folder, source, longest):
    """`solved`, `tried` and `dev`, from GSM8K's lines, and `validation`: the solutions of
    dev. Solutions lose their calculator notes, `<<48/2=24>>`."""
    files = {name: [] for name in [*ROLES, "validation"]}
    for line in source.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        work, answer = re.sub(r"<<[^>]*>>", "", row["answer"]).rsplit("####", 1)
        prompt = f"Question: {row['question'].strip()}\nAnswer:"
        question = {"prompt": prompt, "answer": answer.strip().replace(",", "")}
        solution = {"prompt": prompt, "completion": f" {work.strip()}\n#### {question['answer']}"}
        if len(prompt) + len(solution["completion"]) > longest:
            continue
        kind = role(row["question"])
        files[kind].append(solution if kind == "solved" else question)
        if kind == "dev":
            files["validation"].append(solution)
    for name, rows in files.items():
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
        print(f"{name}: {len(rows)} problems", file=sys.stderr)


def randomise(model, folder, seed):
    """The same architecture and tokenizer with random weights: norms are 1."""
    shutil.copytree(model, folder, dirs_exist_ok=True)
    bytes_ = (model / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", bytes_[:8])
    shapes = json.loads(bytes_[8 : 8 + length])
    shapes.pop("__metadata__", None)
    rng, header, values = random.Random(seed), {}, array("f")
    for name, tensor in shapes.items():
        shape, size, begin = tensor["shape"], 1, 4 * len(values)
        for side in shape:
            size *= side
        norm = len(shape) == 1
        values.extend(1.0 if norm else rng.gauss(0.0, 0.02) for _ in range(size))
        offsets = [begin, 4 * len(values)]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": offsets}
    text = json.dumps(header).encode()
    # Not over a file whose permissions came along.
    (folder / "model.safetensors").unlink()
    whole = struct.pack("<Q", len(text)) + text + values.tobytes()
    (folder / "model.safetensors").write_bytes(whole)


def run(folder, start, arguments):
    """All commands of one start."""
    steps = Steps(folder, arguments.iwsft, arguments.threads)
    seed = str(arguments.seed)
    prepared = folder / "data-is-there"
    if not prepared.exists():
        write_data(folder, arguments.problems, arguments.longest)
        if start == "random":
            randomise(arguments.model, folder / "start", arguments.seed)
        else:
            shutil.copytree(arguments.model, folder / "start", dirs_exist_ok=True)
        shutil.copy(HERE / "benchmark.toml", folder)
        prepared.touch()
    common = {"data.validation": steps.path("validation.jsonl"), "train.seed": seed}
    of_base = {"model.path": steps.path("start"), "data.train": steps.path("solved.jsonl")}
    steps.train("base", HERE / "base.toml", common | of_base)
    base = steps.path("base/model")
    steps.evaluate("base", base, "drawn")
    samples, graded, right = map(steps.path, ("samples.jsonl", "graded.jsonl", "right.jsonl"))
    how = ["-k", str(DRAWS), "--seed", seed, "--max-tokens", "200", "--out", samples]
    prompts = ["--prompts", steps.path("tried.jsonl")]
    steps.run("sample", "sample", base, *prompts, *how, *anew(samples))
    last_number = ["--extract", "last-number", "--out", graded]
    steps.run("grade", "grade", samples, *last_number, *anew(graded))
    rules = ["--min-reward", "1", "--out", right]
    steps.run("curate", "curate", graded, *rules, *anew(right))
    of_tuned = {"model.path": base, "data.train": right}
    for name, objective in METHODS.items():
        steps.train(name, HERE / "fine-tune.toml", common | of_tuned | objective)
        steps.evaluate(name, folder / name / "model", "drawn")


def table(folder):
    """Of the starts that have finished, as Markdown."""
    lines = [
        "| start | model | right of dev, drawn (95 %) | NLL of dev's solutions "
        "| effective sample | weights | SFT's gap |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    notes = []
    for start in ("random", "checkpoint"):
        steps = folder / start / "steps"
        if not (steps / f"eval-{list(METHODS)[-1]}-drawn.json").exists():
            continue

        def of(step):
            return json.loads((steps / f"{step}.json").read_text().splitlines()[-1])

        for name in ["base", *METHODS]:
            tested, trained = of(f"eval-{name}-drawn"), of(name)
            low, high = (100.0 * value for value in tested["interval"])
            gap = trained["sft_gap"]
            cells = [
                start,
                name,
                f"{100.0 * tested['value']:.2f} % ({low:.2f} to {high:.2f})",
                f"{trained['validation_nll']:.4f}",
                f"{100.0 * trained['effective_share']:.1f} %",
                f"{trained['weight_min']:.2f} to {trained['weight_max']:.2f}",
                "-" if gap is None else f"{gap:.4f}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
        sample, grade = of("sample"), of("grade")
        notes.append(
            f"{start}: {grade['right']:,} of {sample['completions']:,} answers to "
            f"{sample['prompts']:,} tried problems were right ({100.0 * grade['share']:.2f} %); "
            f"base trained on {of('base')['tokens']:,} tokens, each fine-tuning on "
            f"{of('sft')['tokens']:,}."
        )
    return "\n".join([*lines, "", *notes])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problems", type=Path, help="GSM8K's training set, as JSON lines")
    parser.add_argument("--model", type=Path, help="Hugging Face folder of a small model")
    parser.add_argument("--longest", type=int, default=450, help="characters of a problem used")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("runs/gsm8k"))
    parser.add_argument("--iwsft", default=str(HERE.parents[1] / "target/release/iwsft"))
    parser.add_argument("--table", action="store_true", help="only print the table")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    if not arguments.table:
        for option in ("problems", "model"):
            path = getattr(arguments, option)
            if path is None or not path.exists():
                parser.error(f"--{option}: {path} is not there; --help says where to get it")
        for start in ("random", "checkpoint"):
            run(folder / start, start, arguments)
    print(table(folder))


if __name__ == "__main__":
    main()
