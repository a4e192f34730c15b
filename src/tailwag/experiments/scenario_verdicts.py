"""What many paired differences amount to: helps, nothing or harms for each, and which of them stay clear when all are counted."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import NormalDist
from typing import Any

from tailwag.experiments.scenario_compare import CLEAR, LEAST

FAMILY_ERROR = 0.05
"""How often one difference or more among all would be called real by chance alone."""
HELPS, NOTHING, HARMS = "helps", "nothing", "harms"
Document = dict[str, Any]


def two_sided_p(z: float | None) -> float:
    """Probability of a z this large or larger by chance, 1 where there is none.

    >>> round(two_sided_p(-1.959964), 6), two_sided_p(None)
    (0.05, 1.0)
    """
    return 1.0 if z is None else math.erfc(abs(z) / math.sqrt(2.0))


def largest_bonferroni_z(count: int) -> float | None:
    """The z from which a difference is real even as the best of ``count``: Phi^-1(1 - 0.05 / (2 count)); None for none.

    >>> round(largest_bonferroni_z(100), 3)
    3.481
    """
    return NormalDist().inv_cdf(1.0 - FAMILY_ERROR / (2.0 * count)) if count else None


def holm(p_values: Iterable[float], *, family_error: float = FAMILY_ERROR) -> list[bool]:
    """Which of many differences are real at a family error: Holm's step-down, the k-th smallest p against family_error / (count - k).

    >>> holm([0.01, 0.04, 0.03])
    [True, False, False]

    Source: Holm 1979, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 65 to 70.
    """
    values = list(p_values)
    found, order = [False] * len(values), sorted(range(len(values)), key=values.__getitem__)
    for rank, place in enumerate(order):
        if values[place] > family_error / (len(values) - rank):
            break
        found[place] = True
    return found


def effect_of(cell: Document) -> str:
    """One word for a cell: what the switch does to the harm, beyond three standard errors and the solver's tolerance.

    >>> effect_of({"unit": "usd", "harm": "more", "z": -4.0, "difference": {"value": -1e6}})
    'helps'
    """
    change, z = cell["difference"]["value"], cell["z"]
    if not change or abs(change) < LEAST[cell["unit"]] or (z is not None and abs(z) <= CLEAR):
        return NOTHING
    return HARMS if (change > 0.0) == (cell["harm"] == "more") else HELPS


def judged(cells: list[Document]) -> None:
    """Write ``effect``, ``p`` and ``stays`` (clear under Holm over all cells) into every cell."""
    for cell in cells:
        cell["effect"] = effect_of(cell)
        same = cell["paths_that_differ"] == 0 or abs(cell["difference"]["value"] or 0.0) < LEAST[cell["unit"]]
        cell["p"] = 1.0 if same else two_sided_p(cell["z"])
    for cell, stays in zip(cells, holm(cell["p"] for cell in cells)):
        cell["stays"] = stays
