#!/usr/bin/env python3
"""Checks that transformers loads a folder written by iwsft and computes the same logits.

Usage (from the repository root):

    pip install -r scripts/requirements.txt
    cargo build --release -p iwsft
    python scripts/check_transformers.py RUN_FOLDER/model
    python scripts/check_transformers.py MODEL_FOLDER --text "Once upon a time" --binary PATH

For every text it runs `iwsft logits MODEL_FOLDER --text TEXT --out FILE`, which
writes `tokens [n]` (u32) and `logits [n, v]` (f32), and compares with
the tokenizers library and AutoModelForCausalLM in f32: the tokens must be equal and
max |a - b| / max |b| of the logits at most `--tolerance`.

Exit status: 0 if all agree, 1 if one does not or a program fails, 2 for a
wrong command line.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.numpy import load_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

ROOT = Path(__file__).resolve().parents[1]
TEXTS = [
    "Once upon a time there was a little dog named Max.",
    "What is 12 * 7? Let's see: 10 * 7 = 70, 2 * 7 = 14, so the answer is 84.",
    "Two\nlines,  two spaces, a tab\t, and caf\u00e9 \u2014 \u6570\u5b66 \U0001f642.",
]


def iwsft_logits(binary: Path, folder: Path, text: str) -> tuple[np.ndarray, np.ndarray]:
    """Tokens `[n]` and logits `[n, v]` as iwsft computes them."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "logits.safetensors"
        command = [binary, "logits", folder, "--text", text, "--out", out]
        finished = subprocess.run([str(part) for part in command])
        if finished.returncode != 0:
            raise SystemExit(1)  # the program has said why
        tensors = load_file(out)
    return tensors["tokens"], tensors["logits"]


def compare(
    model: torch.nn.Module, expected_tokens: list[int], tokens: np.ndarray, logits: np.ndarray
) -> float | str:
    """The relative error of the logits, or what is wrong before they can be compared."""
    if tokens.tolist() != expected_tokens:
        return f"tokens differ: iwsft {tokens.tolist()}, tokenizers {expected_tokens}"
    with torch.no_grad():
        reference = model(input_ids=torch.tensor([expected_tokens])).logits[0].numpy()
    if logits.shape != reference.shape:
        return f"shapes differ: iwsft {logits.shape}, transformers {reference.shape}"
    return float(np.abs(logits - reference).max() / np.abs(reference).max())


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="model folder: config.json, weights, tokenizer")
    parser.add_argument("--binary", type=Path, default=ROOT / "target/release/iwsft")
    parser.add_argument("--text", action="append", help="repeatable (default: three built in)")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    arguments = parser.parse_args()
    if not (arguments.folder / "config.json").is_file():
        parser.error(f"{arguments.folder} has no config.json")
    if not arguments.binary.is_file():
        parser.error(f"{arguments.binary} is missing: run `cargo build --release` first")

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    # The file as it is: some tokenizer classes of transformers 5 rebuild it, and
    # then treat characters outside the vocabulary differently.
    tokenizer = Tokenizer.from_file(str(arguments.folder / "tokenizer.json"))
    model, report = AutoModelForCausalLM.from_pretrained(
        arguments.folder, dtype=torch.float32, output_loading_info=True
    )
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report.get(problem):
            print(f"FAIL {arguments.folder}: {problem} {sorted(report[problem])}")
            return 1
    model.eval()

    failed = False
    for text in arguments.text or TEXTS:
        tokens, logits = iwsft_logits(arguments.binary, arguments.folder, text)
        result = compare(model, tokenizer.encode(text).ids, tokens, logits)
        agrees = isinstance(result, float) and result <= arguments.tolerance
        failed |= not agrees
        detail = result if isinstance(result, str) else f"relative error {result:.2e}"
        print(f"{'ok  ' if agrees else 'FAIL'} {len(tokens)} tokens, {detail}: {text!r}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
