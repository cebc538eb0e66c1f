"""What a finished run of one method and one seed has to say."""

import json


class Run:
    """One method of one seed, from its folder and the results of its commands."""

    def __init__(self, world, name):
        self.world, self.name, self.folder = world, name, world / name
        self.printed = self.result(name)
        self.drawn = self.result(f"eval-{name}-drawn")[-1]["value"]
        self.greedy = self.result(f"eval-{name}-greedy")[-1]["value"]
        rounds = sorted(self.folder.glob("round-*/run")) or [self.folder]
        # Of all rounds, one behind the other.
        self.metrics = [
            json.loads(line)
            for run in rounds
            for line in (run / "metrics.jsonl").read_text().splitlines()
        ]
        self.steps = [line for line in self.metrics if line["kind"] == "step"]

    def result(self, step):
        """The lines that a command printed."""
        kept = self.world / "steps" / f"{step}.json"
        return [json.loads(line) for line in kept.read_text().splitlines()]

    def end(self, key, last):
        """Mean of a figure over the last steps; None where it is not reported."""
        values = [line[key] for line in self.steps[-last:]]
        return None if None in values else mean(values)

    def weights(self, last):
        """The smallest and the largest in the last steps."""
        steps = self.steps[-last:]
        low = min(line["weight_min"] for line in steps)
        return low, max(line["weight_max"] for line in steps)

    def budget(self):
        """Answers and tokens drawn; steps, answers and tokens trained on."""
        if self.name == "grpo":
            keys = ("completions", "tokens_sampled", "tokens_trained")
            drawn, sampled, trained = (self.printed[-1][key] for key in keys)
        elif self.name == "expert-iteration":
            keys = ("samples", "tokens_sampled", "tokens_trained")
            rounds = [line for line in self.printed if line["samples"]]
            drawn, sampled, trained = (sum(line[key] for line in rounds) for key in keys)
        else:
            sample = self.result("sample")[-1]
            drawn, sampled = sample["completions"], sample["tokens"]
            trained = self.printed[-1]["tokens"]
        rows = sum(line["trajectories"] for line in self.steps)
        return drawn, sampled, len(self.steps), rows, trained

    def validation(self):
        """The last plain NLL of traces without slips; None where it was not asked for."""
        found = [line["nll"] for line in self.metrics if line["kind"] == "validation"]
        return found[-1] if found else None

    def learning(self):
        """Share of right answers against the percentage of the training that is done."""
        if self.name == "expert-iteration":
            values = [line["evaluation"]["value"] for line in self.printed]
            return [(100.0 * n / (len(values) - 1), value) for n, value in enumerate(values)]
        lines = [line for line in self.metrics if line["kind"] == "eval"]
        last = lines[-1]["step"]
        return [(100.0 * line["step"] / last, line["metrics"][0]["value"]) for line in lines]

    def course(self, key, width=10):
        """A figure of the steps, averaged over the last few."""
        values = [line[key] for line in self.steps]
        return [(end, mean(values[max(0, end - width) : end])) for end in range(1, len(values) + 1)]


def finished(worlds, name):
    """Runs of the worlds where this method has been tested, by folder."""
    there = [world for world in worlds if tested(world, name)]
    return {world: Run(world, name) for world in there}


def tested(world, name):
    return (world / "steps" / f"eval-{name}-greedy.json").exists()


def mean(values):
    return sum(values) / len(values)


def mean_curve(curves):
    """The mean over seeds of curves with the same x."""
    return [(column[0][0], mean([y for _, y in column])) for column in zip(*curves)]
