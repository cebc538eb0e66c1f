#!/usr/bin/env python3
"""Reads with h5py and Minari what crates/data wrote.

Converts each committed fixture of recorded episodes to the D4RL and the Minari
layout with the crate's example, opens the results with h5py and, where it is
installed, with Minari, and compares every number. Prints one line a file, and
fails at the first difference.

    pip install h5py numpy "minari[hdf5]" pillow
    python scripts/check_episodes.py
"""

import pathlib
import subprocess
import tempfile

import h5py
import numpy as np

try:
    import minari
except ImportError:
    minari = None

ROOT = pathlib.Path(__file__).parents[1]
FIXTURES = ROOT / "crates/data/tests/fixtures/episodes"


def convert(source, to):
    command = ["cargo", "run", "--quiet", "-p", "iwsft-data", "--example", "convert_episodes"]
    subprocess.run([*command, "--", source, to], cwd=ROOT, check=True, capture_output=True)


def same(found, expected, what):
    assert np.array_equal(found, expected), f"{what}: {found} is not {expected}"


def check_d4rl(path, table):
    with h5py.File(path) as file:
        assert sorted(file) == sorted(table), sorted(file)
        for name, expected in table.items():
            column = file[name]
            assert column.dtype == expected.dtype, (name, column.dtype)
            assert column.compression == "gzip" and column.shuffle, name
            same(column[()], expected, name)


def check_minari(folder, table, episodes):
    with h5py.File(folder / "data/main_data.hdf5") as file:
        assert len(file) == len(episodes)
    if minari is None:
        return
    data_set = minari.MinariDataset(folder / "data")
    assert (data_set.total_episodes, data_set.total_steps) == (len(episodes), 23)
    for episode, rows in zip(data_set.iterate_episodes(), episodes):
        last = table["next_observations"][rows][-1:]
        same(episode.observations, np.vstack([table["observations"][rows], last]), "observations")
        same(episode.actions, table["actions"][rows], "actions")
        same(episode.rewards, table["rewards"][rows], "rewards")
        same(episode.terminations, table["terminals"][rows], "terminations")
        same(episode.truncations, table["timeouts"][rows], "truncations")


def main():
    for source in sorted(FIXTURES.glob("*/*")):
        if source.name == "numbered.npz":
            continue
        with np.load(source.parent / "table.npz") as archive:
            table = dict(archive)
        # A step that is both is written as a terminal.
        table["timeouts"] = table["timeouts"] & ~table["terminals"]
        ends = np.flatnonzero(table["terminals"] | table["timeouts"]) + 1
        cuts = [0, *ends.tolist(), 23]
        episodes = [slice(start, end) for start, end in zip(cuts, cuts[1:])]
        with tempfile.TemporaryDirectory() as folder:
            to = pathlib.Path(folder)
            convert(source, to / "table.hdf5")
            check_d4rl(to / "table.hdf5", table)
            convert(source, to / "minari")
            check_minari(to / "minari", table, episodes)
        readers = "h5py" if minari is None else "h5py and Minari"
        print(f"{source.relative_to(FIXTURES)}: read by {readers}")


if __name__ == "__main__":
    main()
