#!/usr/bin/env python3
"""Checks that TensorBoard reads the event files of a run, and reads the right numbers.

Usage (from the repository root):

    pip install tensorboard==2.20.0 'setuptools<81'
    iwsft train recipe.toml --tensorboard
    python scripts/check_tensorboard.py RUN_FOLDER

Reads RUN_FOLDER/tensorboard with TensorBoard's own EventAccumulator and compares
every step of several curves with metrics.jsonl: the same steps, each once, and
the same values in f32. A resumed run must pass too.

Exit status: 0 if all agree, 1 if not, 2 for a wrong command line.
"""

import argparse
import json
import math
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

CURVES = {
    "loss/optimised": ("step", "loss"),
    "nll/train": ("step", "nll"),
    "nll/validation": ("validation", "nll"),
    "bounds/j": ("step", "j"),
    "bounds/iw_sft": ("step", "iw_sft_bound"),
    "gaps/sft": ("step", "sft_gap"),
    "weights/effective_share": ("step", "effective_share"),
    "optimizer/grad_norm": ("step", "grad_norm"),
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    run = parser.parse_args().run
    if not (run / "tensorboard").is_dir():
        parser.error(f"{run / 'tensorboard'} is missing: train with --tensorboard")
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0, "histograms": 0})
    events.Reload()
    tags = events.Tags()

    failed = False
    for tag, (kind, key) in CURVES.items():
        logged = [(r["step"], r[key]) for r in records if r["kind"] == kind and r[key] is not None]
        read = [(e.step, e.value) for e in events.Scalars(tag)] if tag in tags["scalars"] else []
        same = len(read) == len(logged) and all(
            a[0] == b[0] and math.isclose(a[1], b[1], rel_tol=1e-6, abs_tol=1e-30)
            for a, b in zip(logged, read)
        )
        failed |= not same
        print(f"{'ok  ' if same else 'FAIL'} {tag}: {len(read)} values read, {len(logged)} logged")

    histograms = events.Histograms("weights/histogram") if tags["histograms"] else []
    by_step = {r["step"]: r for r in records if r["kind"] == "step"}
    same = bool(histograms) and all(
        sum(h.histogram_value.bucket) == sum(by_step[h.step]["weight_histogram"])
        and math.isclose(h.histogram_value.max, by_step[h.step]["weight_max"])
        for h in histograms
    )
    failed |= not same
    print(f"{'ok  ' if same else 'FAIL'} weights/histogram: {len(histograms)} read")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
