"""Prepares real graded answers for the recipes in this folder.

Usage (from the repository root, standard library only):

    python3 recipes/story/prepare.py ../shared/data/traces/scored_answers.jsonl.gz

Reads answers of language models to GSM8K and MATH problems, each with a reward
of 0 or 1, and writes `data/train.jsonl` and `data/validation.jsonl` beside this
file. The split is by problem, so that no problem is in both. Every row gets a
`score`, the quality for SFT(Q) and iw-SFT(Q): 0 for a wrong answer, and
1 - p/2 for a right one, where p is the share of right answers to its problem,
so that the right answers to hard problems count up to twice as much.
"""

import collections
import gzip
import hashlib
import json
import pathlib
import sys

VALIDATION_SHARE = 0.1


def is_validation(problem_id: str) -> bool:
    digest = hashlib.sha256(problem_id.encode()).digest()
    return int.from_bytes(digest[:8], "big") < VALIDATION_SHARE * 2**64


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with gzip.open(sys.argv[1], "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    rewards = collections.defaultdict(list)
    for row in rows:
        rewards[row["problem_id"]].append(row["reward"])
    folder = pathlib.Path(__file__).parent / "data"
    folder.mkdir(exist_ok=True)
    counts = collections.Counter()
    files = {name: (folder / f"{name}.tmp").open("w") for name in ("train", "validation")}
    for row in rows:
        of_problem = rewards[row["problem_id"]]
        rate = sum(of_problem) / len(of_problem)
        name = "validation" if is_validation(row["problem_id"]) else "train"
        # What is validated is how well right answers are predicted.
        if name == "validation" and not row["reward"]:
            continue
        prepared = {
            "prompt": f"Problem: {row['problem'].strip()}\nAnswer:",
            "completion": f" {row['completion'].strip()}",
            "reward": row["reward"],
            "score": row["reward"] * (1 - rate / 2),
            "id": f"{row['problem_id']}/{row['model']}",
        }
        files[name].write(json.dumps(prepared, ensure_ascii=False) + "\n")
        counts[name] += 1
    for name, file in files.items():
        file.close()
        (folder / f"{name}.tmp").rename(folder / f"{name}.jsonl")
        print(f"{folder / name}.jsonl: {counts[name]} rows")


if __name__ == "__main__":
    main()
