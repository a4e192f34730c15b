"""The order of a gate's tests: its longest begin first, each on a worker of its own, so that the others run beside them and not after."""

from __future__ import annotations

from pathlib import Path

import pytest


def longest_first(items: list[pytest.Item], folder: Path, longest: tuple[str, ...], *, quick: tuple[str, ...]) -> None:
    """Order the tests of one folder alone, in place, by the beginnings of their names: the longest, the quick ones, the others.

    A worker is given some tests at once from the front, at least two, and keeps what it was given: between two of the longest lie quick ones.
    """
    places = [place for place, item in enumerate(items) if item.path.parent == folder]
    mine = [items[place] for place in places]
    heavy = [item for name in longest for item in mine if item.name.startswith(name)]
    light = sorted((item for item in mine if item not in heavy), key=lambda item: not item.name.startswith(quick))
    for place, item in zip(places, _apart(heavy, light, batch=_given_at_once(mine)), strict=True):
        items[place] = item


def _given_at_once(mine: list[pytest.Item]) -> int:
    """The first share of a worker, where these tests are all that is run."""
    workers = getattr(mine[0].config, "workerinput", {}).get("workercount", 1) if mine else 1
    return max(len(mine) // (4 * workers), 2)


def _apart(heavy: list[pytest.Item], light: list[pytest.Item], *, batch: int) -> list[pytest.Item]:
    ordered: list[pytest.Item] = []
    for item in heavy:
        ordered.append(item)
        between, light = light[: batch - 1], light[batch - 1 :]
        ordered += between
    return ordered + light
