"""Tables and pictures of the runs that have finished."""

import json
from pathlib import Path

import paired
import pictures
from runs import finished, mean, mean_curve, tested

NAMES = {
    "base": "start",
    "sft": "SFT",
    "iw-sft": "iw-SFT",
    "iw-sft-step": "iw-SFT, step",
    "sft-q": "SFT(Q)",
    "iw-sft-q": "iw-SFT(Q)",
    "dft": "DFT",
    "psft": "PSFT",
    "asft": "ASFT",
    "expert-iteration": "expert iteration",
    "grpo": "GRPO",
}
# Compared beside SFT with each of the others.
PAIRS = [
    ("iw-sft", "iw-sft-step"),
    ("iw-sft", "dft"),
    ("iw-sft", "psft"),
    ("iw-sft", "asft"),
    ("iw-sft", "sft-q"),
    ("iw-sft-q", "sft-q"),
]
LAST = 25  # training steps that the figures of the end are averaged over


def percent(values):
    value, half = paired.mean_and_half_width([100.0 * value for value in values])
    return f"{value:.1f}" + ("" if half is None else f" ± {half:.1f}")


def points(differences):
    value, half = paired.mean_and_half_width([100.0 * value for value in differences])
    interval = "" if half is None else f" ({value - half:+.1f} to {value + half:+.1f})"
    return f"{value:+.1f}{interval}"


def figure(values, form="{:.4f}"):
    return "-" if None in values else form.format(mean(values))


def share(of):
    return figure([100.0 * run.end("effective_share", LAST) for run in of.values()], "{:.1f} %")


def markdown(heads, lines):
    """A table; all columns but the first are figures."""
    align = ["---"] + ["---:"] * (len(heads) - 1)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [heads, align, *lines])


def differences(runs, first, second):
    """Of the expected reward, seed by seed, in the seeds that have both."""
    both = runs[first].keys() & runs[second].keys()
    return [runs[first][world].drawn - runs[second][world].drawn for world in sorted(both)]


def accuracy(runs):
    heads = ["method", "seeds", "right, drawn %", "right, greedy %", "validation NLL"]
    lines = [
        [
            NAMES[name],
            str(len(of)),
            percent([run.drawn for run in of.values()]),
            percent([run.greedy for run in of.values()]),
            figure([run.validation() for run in of.values()]),
        ]
        for name, of in runs.items()
    ]
    return markdown(heads, lines)


def comparisons(runs):
    """Paired by seed; p-values of all pairs together after Holm."""
    pairs = [(name, "sft") for name in runs if name != "sft"]
    pairs += [pair for pair in PAIRS if all(name in runs for name in pair)]
    found = [(pair, differences(runs, *pair)) for pair in pairs]
    found = [(pair, of_pair) for pair, of_pair in found if len(of_pair) > 1]
    if not found:
        return "None: that takes two seeds."
    p = [paired.p_value(of_pair) for _, of_pair in found]
    lines = []
    for ((first, second), of_pair), raw, adjusted in zip(found, p, paired.holm(p)):
        said = "cannot be told"
        if adjusted < 0.05:
            said = "better" if mean(of_pair) > 0 else "worse"
        names = f"{NAMES[first]} against {NAMES[second]}"
        lines.append([names, points(of_pair), f"{raw:.2g}", f"{adjusted:.2g}", said])
    return markdown(["pair", "points (95 %)", "p", "p, Holm", "the first is"], lines)


def budgets(runs):
    heads = ["method", "answers drawn", "tokens drawn", "steps"]
    heads += ["answers trained on", "tokens trained on"]
    lines = []
    for name, of in runs.items():
        if name != "base":
            columns = zip(*(run.budget() for run in of.values()))
            lines.append([NAMES[name], *(f"{mean(column):,.0f}" for column in columns)])
    return markdown(heads, lines)


def weights_and_bounds(runs):
    heads = ["method", "effective sample", "weights", "log-ratio", "SFT's gap", "iw-SFT's gap"]
    lines = []
    for name, of in runs.items():
        if name in ("base", "grpo"):  # no data whose rewards the bounds are of
            continue
        low, high = zip(*(run.weights(LAST) for run in of.values()))
        keys = ("log_ratio", "sft_gap", "iw_sft_gap")
        ends = [figure([run.end(key, LAST) for run in of.values()]) for key in keys]
        lines.append([NAMES[name], share(of), f"{min(low):.2f} to {max(high):.2f}", *ends])
    return markdown(heads, lines)


def variations(runs, varied):
    """Each beside the method it is a variation of, on the seeds that have all of them."""
    seeds = set.intersection(*(set(of) for of in varied.values()))
    plain = {name: runs[name] for name in ("iw-sft", "sft-q", "iw-sft-q") if name in runs}
    of_all = {
        name: {world: run for world, run in of.items() if world in seeds}
        for name, of in (plain | varied).items()
    }
    heads = ["variation", "right, drawn %", "points (95 %)", "effective sample"]
    heads += ["SFT's gap", "iw-SFT's gap"]
    lines = []
    for name, of in of_all.items():
        of_which = name.removesuffix("-weight") if name.endswith("-weight") else "iw-sft"
        moved = "-"
        if name not in plain and of_which in of_all:
            moved = points(differences(of_all, name, of_which))
        right = percent([run.drawn for run in of.values()])
        keys = ("sft_gap", "iw_sft_gap")
        gaps = [figure([run.end(key, LAST) for run in of.values()]) for key in keys]
        lines.append([NAMES.get(name, name), right, moved, share(of), *gaps])
    return f"{len(seeds)} seeds.\n\n{markdown(heads, lines)}"


def careless(worlds, kinds, methods):
    """By the share of wrong traces that the base model imitated, on the seeds that have
    all kinds."""
    complete = [
        world
        for world in worlds
        if all(tested(world / kind, name) for kind in ["", *kinds] for name in ["base", *methods])
    ]
    if not complete:
        return "None has finished."
    lines = []
    for kind, factor in sorted({"": 1.0, **kinds}.items(), key=lambda item: item[1]):
        folders = [world / kind for world in complete]
        of = {name: finished(folders, name) for name in ("base", *methods)}
        right = [percent([run.drawn for run in runs.values()]) for runs in of.values()]
        gained = points(differences(of, methods[1], methods[0]))
        lines.append([f"x {factor:g}", percent(map(wrong_share, folders)), *right, gained])
    names = [f"{NAMES[name]} %" for name in ("base", *methods)]
    heads = ["slips", "wrong traces %", *names, "iw-SFT beyond SFT"]
    return f"{len(complete)} seeds.\n\n{markdown(heads, lines)}"


def wrong_share(folder):
    with open(folder / "traces.jsonl") as lines:
        return mean([json.loads(line)["reward"] == 0.0 for line in lines])


def draw(folder, runs, varied):
    """Pictures of the means over seeds."""
    named = {NAMES.get(name, name): of for name, of in (runs | varied).items() if name != "base"}

    def picture(name, title, across, up, chosen, of_run, label="{:.2f}"):
        lines = [
            (method, mean_curve([of_run(run) for run in named[method].values()]))
            for method in chosen
        ]
        (folder / f"{name}.svg").write_text(pictures.curves(title, across, up, lines, label))

    methods = [NAMES[name] for name in runs if name != "base"]
    title = "Right answers, drawn at temperature 1"
    picture("learning", title, "% of the training", "share", methods, lambda run: run.learning())
    offline = [name for name in methods if name not in ("GRPO", "expert iteration")]
    gap = lambda run: run.course("sft_gap")  # noqa: E731
    picture("gaps", "J minus SFT's bound", "step", "gap", offline, gap, "{:.4f}")
    weighted = [name for name in offline if name not in ("SFT", "SFT(Q)")]
    weighted += [name for name in varied if name in named and "-q-" not in name]
    effective = lambda run: run.course("effective_share")  # noqa: E731
    picture("effective-sample", "Effective sample", "step", "share", weighted, effective)


def write(folder, methods, ablations, kinds, careless_methods):
    """Writes `results.md` and the pictures into `folder`, and prints the tables."""
    folder = Path(folder).resolve()
    worlds = sorted(folder.glob("seed-*"), key=lambda path: int(path.name.removeprefix("seed-")))
    runs = {name: of for name in ["base", *methods] if (of := finished(worlds, name))}
    if "sft" not in runs:
        raise SystemExit(f"{folder}: no seed has finished SFT, which the others are compared with")
    varied = {name: of for name in ablations if (of := finished(worlds, name))}
    parts = {
        "Right answers": accuracy(runs),
        "Paired tests": comparisons(runs),
        "Budget of a seed": budgets(runs),
        f"Weights and bounds in the last {LAST} steps": weights_and_bounds(runs),
    }
    if varied:
        parts["Variations"] = variations(runs, varied)
        parts["Share of wrong traces"] = careless(worlds, kinds, careless_methods)
    text = "\n".join(f"## {title}\n\n{part}\n" for title, part in parts.items())
    (folder / "results.md").write_text(text)
    draw(folder, runs, varied)
    print(text)
