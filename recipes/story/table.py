"""Prints the table of docs/results/story.md from the logs of the runs.

Usage (from the repository root, standard library only):

    python3 recipes/story/table.py
"""

import json
import pathlib

RUNS = ["base", "sft", "iw-sft", "sft-q", "iw-sft-q"]
LAST = 100  # steps that the figures of training are averaged over


def main() -> None:
    folder = pathlib.Path(__file__).parent / "runs"
    print(
        "| run | steps | validation NLL before | after | J | SFT bound | iw-SFT bound "
        "| weights | effective sample |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- | ---: |")
    for name in RUNS:
        lines = (folder / name / "metrics.jsonl").read_text().splitlines()
        records = [json.loads(line) for line in lines]
        nll = [record["nll"] for record in records if record["kind"] == "validation"]
        steps = [record for record in records if record["kind"] == "step"]
        last = steps[-LAST:]

        def mean(key: str) -> str:
            values = [record[key] for record in last]
            return "-" if None in values else f"{sum(values) / len(values):.4f}"

        lowest = min(record["weight_min"] for record in last)
        highest = max(record["weight_max"] for record in last)
        share = sum(record["effective_share"] for record in last) / len(last)
        print(
            f"| {name} | {len(steps)} | {nll[0]:.4f} | {nll[-1]:.4f} "
            f"| {mean('j')} | {mean('sft_bound')} | {mean('iw_sft_bound')} "
            f"| {lowest:.2f} to {highest:.2f} | {100 * share:.1f} % |"
        )


if __name__ == "__main__":
    main()
