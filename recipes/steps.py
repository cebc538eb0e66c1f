"""Commands of iwsft, one after the other, each run once: shared by the drivers of
`recipes/arithmetic` and `recipes/gsm8k`."""

import json
import shlex
import subprocess
import sys
from pathlib import Path


class Steps:
    """Commands of one folder. The lines that a command printed are kept in
    `steps/NAME.json`, the commands and their messages in `log.txt`."""

    def __init__(self, folder, iwsft, threads):
        self.folder, self.iwsft, self.threads = folder, iwsft, threads
        (folder / "steps").mkdir(parents=True, exist_ok=True)

    def path(self, name):
        return str(self.folder / name)

    def run(self, name, *arguments):
        """Runs `iwsft ARGUMENTS --json` unless its result is there; returns what it
        printed, line by line."""
        kept = self.folder / "steps" / f"{name}.json"
        if not kept.exists():
            line = [self.iwsft, *arguments, "--threads", str(self.threads)]
            shown = shlex.join(line)
            print("+", shown, file=sys.stderr, flush=True)
            with open(self.folder / "log.txt", "a") as log:
                print(f"\n$ {shown}", file=log, flush=True)
                done = subprocess.run([*line, "--json"], stdout=subprocess.PIPE, stderr=log)
            if done.returncode:
                raise SystemExit(f"{shown}\nended with {done.returncode}: see {log.name}")
            # Either all of a result is there or nothing.
            part = kept.with_suffix(".part")
            part.write_bytes(done.stdout)
            part.replace(kept)
        return [json.loads(line) for line in kept.read_text().splitlines()]

    def train(self, name, recipe, values):
        """A run `NAME` of a recipe with other values, or what is left of one."""
        kind = {"grpo": "rl", "expert-iteration": "iterate"}.get(recipe.stem, "train")
        run = self.folder / name
        # `iwsft iterate` goes on by itself.
        if kind != "iterate" and (run / "recipe.toml").exists():
            return self.run(name, kind, str(run), "--resume")
        sets = [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
        return self.run(name, kind, str(recipe), "--run", str(run), *sets)

    def evaluate(self, name, model, how, *options):
        """Answers of a model to the folder's benchmark."""
        out = self.path(f"eval/{name}-{how}")
        where = ["--benchmark", self.path("benchmark.toml"), "--out", out]
        again = anew(Path(out) / "results.json")
        return self.run(f"eval-{name}-{how}", "eval", str(model), *where, *options, *again)


def anew(path):
    """Replaces what a command left that never came to its end."""
    return ["--restart"] if Path(path).exists() else []
