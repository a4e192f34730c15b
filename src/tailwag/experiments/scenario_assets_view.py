"""A played scenario over several assets as a page and a card need it: its answer in a sentence, rows for the figures, and short names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from tailwag.experiments.run_report_words import percent, value_of
from tailwag.figures.effects import shade
from tailwag.figures.numbers import MINUS

Document = dict[str, Any]
MOST_COLUMNS = 9
"""Pairs of assets that the picture of gains shows side by side; beyond, all desks together."""
MOST_TOLD = 3
"""Correlations that one sentence has room for."""
EVERYBODY = "everybody together"


@dataclass(frozen=True, slots=True)
class Changed:
    """A number of the markets without and with hedging, by asset or pair, in the unit of its axis."""

    labels: tuple[str, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]
    text: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """Whose hedging moves which asset when which asset moves: log moves for a unit one, shaded by size, orange where it amplifies."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    shades: tuple[tuple[float | None, ...], ...]
    text: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Switched:
    """What each switch changes in one outcome."""

    title: str
    axis: str
    labels: tuple[str, ...]
    values: tuple[float, ...]
    errors: tuple[float, ...]
    verdicts: tuple[str, ...]
    text: tuple[str, ...]


def answer_of(document: Document) -> str:
    """What hedging does to every vol and correlation, in one sentence of round numbers; their errors stand in the tables."""
    vols = vol_changes(document)
    said = ", ".join(f"{name} from {before:.1f} to {after:.1f} %" for name, before, after in zip(vols.labels, vols.before, vols.after))
    pairs = correlation_changes(document)
    told = ", ".join(f"of {name} from {before:.3f} to {after:.3f}" for name, before, after in zip(pairs.labels, pairs.before, pairs.after))
    alone = told.removeprefix(f"of {pairs.labels[0]} ") if len(pairs.labels) == 1 else told
    which = "their correlation" if len(pairs.labels) == 1 else "the correlation"
    return f"Hedging takes realised vol of {said}" + (f"; {which} {alone}" if 0 < len(pairs.labels) <= MOST_TOLD else "")


def vol_changes(document: Document) -> Changed:
    """Realised vol of every asset in per cent a year."""
    names = document["assets"]
    return _changed(document, "vol", names, names, 100.0, "{:.1f} % to {:.1f} %")


def correlation_changes(document: Document) -> Changed:
    """The correlation of one-step moves of every pair."""
    pairs = list(combinations(document["assets"], 2))
    return _changed(
        document, "correlation", [",".join(pair) for pair in pairs], [" and ".join(pair) for pair in pairs], 1.0, "{:.3f} to {:.3f}"
    )


def _changed(document: Document, kind: str, keys: Sequence[str], labels: Sequence[str], scale: float, form: str) -> Changed:
    values = {row["outcome"]: row["value"] for row in document["outcomes"]}
    before, after = ([scale * values[f"{kind}{suffix}:{key}"] for key in keys] for suffix in ("_alone", ""))
    return Changed(tuple(labels), tuple(before), tuple(after), tuple(form.format(*both) for both in zip(before, after)))


def gain_grid(document: Document) -> Grid:
    """A row for each desk and one for all, a column for each pair "A moves B"; with many assets all desks together, assets against assets."""
    names, desks = document["assets"], [(desk["name"], desk["gain"]) for desk in document["desks"]]
    if len(names) ** 2 <= MOST_COLUMNS:
        pairs = [(cause, moved) for cause in range(len(names)) for moved in range(len(names))]
        columns = [f"{names[cause]} moves {names[moved]}" if cause != moved else f"{names[cause]} itself" for cause, moved in pairs]
        rows = [(name, [gain[moved][cause] for cause, moved in pairs]) for name, gain in [(EVERYBODY, document["gain"]), *desks]]
    else:
        columns = [f"{name} moves" for name in names]
        rows = [(f"{name} answers", document["gain"][place]) for place, name in enumerate(names)]
    largest = max((abs(value) for _, values in rows for value in values), default=0.0)
    return Grid(
        tuple(name for name, _ in rows),
        tuple(columns),
        tuple(tuple(_shade(value, largest) for value in values) for _, values in rows),
        tuple(tuple(_gain_words(value) for value in values) for _, values in rows),
    )


def _shade(value: float, largest: float) -> float:
    """Orange where hedging adds to the move, as harm is in the other pictures; full for the largest of the grid."""
    if abs(value) < 0.5e-3 or largest == 0.0:
        return 0.0
    return shade(-value / largest, "harms" if value > 0.0 else "helps")


def _gain_words(value: float) -> str:
    """The move in per cent that answers one of 1 %."""
    return _signed(value, 3)


def crossing(document: Document) -> str:
    """Which desk carries moves of which asset into which other most, in a sentence; none crosses where every desk keeps to its asset."""
    names = document["assets"]
    found = [
        (desk["gain"][moved][cause], desk["name"], names[cause], names[moved])
        for desk in document["desks"]
        for cause in range(len(names))
        for moved in range(len(names))
        if cause != moved
    ]
    size, desk, cause, moved = max(found, key=lambda one: abs(one[0]), default=(0.0, "", "", ""))
    if abs(size) < 0.5e-3:
        return "No hedge crosses from one asset into another."
    way = "the same way" if size > 0.0 else "the other way"
    return (
        f"When {cause} moves 1 %, hedges of the {desk} move {moved} {abs(size):.3f} % {way}: the largest link from one asset into another."
    )


def pushes(document: Document) -> str:
    """How far each asset is pushed at its furthest, in a sentence."""
    values = {row["outcome"]: row for row in document["outcomes"]}
    said = ", ".join(f"{name} {percent(values[f'push:{name}'])}" for name in document["assets"])
    ran = values["runaway"]
    return f"At its furthest price is pushed from where it would stand with nobody hedging: {said}." + (
        f" {percent(ran)} of paths run away." if ran["value"] else ""
    )


def switched(document: Document) -> tuple[Switched, ...]:
    """For each vol and correlation, what every switch changes; outcomes that no switch changes are left out."""
    found = []
    for row in document["outcomes"]:
        kind, _, of = row["outcome"].partition(":")
        if kind not in ("vol", "correlation"):
            continue
        cells = [(shown_switch(one["switch"]), _of(one, row["outcome"])) for one in document["comparisons"]]
        kept = [(label, cell) for label, cell in cells if cell is not None]
        if any(cell["verdict"] != "nothing" for _, cell in kept):
            found.append(_switched(kind, "" if kind == "correlation" and len(document["assets"]) == 2 else of, kept))
    return tuple(found)


def _switched(kind: str, of: str, kept: Sequence[tuple[str, Document]]) -> Switched:
    scale = 100.0 if kind == "vol" else 1.0
    return Switched(
        " of ".join(filter(None, ["Realised vol" if kind == "vol" else "Correlation", of.replace(",", " and ") if kind != "vol" else of])),
        "change, vol points" if kind == "vol" else "change of the correlation",
        tuple(label for label, _ in kept),
        tuple(scale * (value_of(cell["difference"]) or 0.0) for _, cell in kept),
        tuple(scale * (cell["difference"]["standard_error"] or 0.0) for _, cell in kept),
        tuple(cell["verdict"] for _, cell in kept),
        tuple(_signed(scale * (value_of(cell["difference"]) or 0.0), 2 if kind == "vol" else 3) for _, cell in kept),
    )


def _signed(change: float, digits: int) -> str:
    """A change with its sign, "0" where nothing is left of it at that many digits."""
    said = f"{abs(change):.{digits}f}"
    return f"{MINUS if change < 0.0 else '+'}{said}" if float(said) else "0"


def _of(row: Document, name: str) -> Document | None:
    return next((one for one in row["outcomes"] if one["outcome"] == name), None)


def shown_switch(label: str) -> str:
    """A switch's label as a picture has room for it.

    >>> shown_switch("without:agent=ETH desk"), shown_switch("own-hedge")
    ('without ETH desk', 'own-hedge')
    """
    return label.replace("without:agent=", "without ", 1)


def told_switches(document: Document) -> Iterator[str]:
    """What each switch does to every vol and correlation, one sentence a switch."""
    for row in document["comparisons"]:
        yield f"{shown_switch(row['switch'])}: {'; '.join(_told(row)) or 'changes nothing that is clear'}."


def _told(row: Document) -> Iterator[str]:
    for one in row["outcomes"]:
        kind, _, of = one["outcome"].partition(":")
        if one["verdict"] not in ("higher", "lower"):
            continue
        change = value_of(one["difference"]) or 0.0
        if kind == "vol":
            yield f"vol of {of} {_signed(100.0 * change, 2)} points"
        elif kind == "correlation":
            yield f"correlation of {of.replace(',', ' and ')} {_signed(change, 3)}"
