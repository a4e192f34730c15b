"""What a picture of a sweep shows: one figure over one or two axes, every other axis held at one value, which is said."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tailwag.errors import InputError
from tailwag.experiments.scenario_tables import nearest, shown
from tailwag.experiments.sweep_axes import GAIN
from tailwag.experiments.sweep_sentences import RUNAWAY_SHARE, shown_setting

SURVIVORS = ("amplification", "realised_vol", "vol_of_vol")
"""Figures of the paths that finished: where many run away, the survivors say little, and a picture shows the share that ran away instead."""
SHARES = ("runaway_probability", "realised_vol", "fundamental_vol", "vol_of_vol", "mean_drawdown")
"""Figures that are read in per cent."""
UNITS = {
    "_usd_per_day": "USD a day",
    "_usd": "USD",
    "_steps": "steps",
    "_minutes": "minutes",
    "_days": "days",
    "_bps": "bps",
    "_per_usd": "per USD",
}
TITLES = {
    "amplification": "amplification: vol with hedging over vol without",
    "runaway_probability": "share of paths that run away",
    "realised_vol": "realised vol with hedging, a year",
    "fundamental_vol": "vol without hedging, a year",
    "vol_of_vol": "spread of realised vol over paths, a year",
    "mean_drawdown": "mean of the largest fall from a maximum",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user asked to see; None is left to the sweep."""

    x: str | None = None
    y: str | None = None
    value: str = "amplification"
    where: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Slice:
    """Cells of one figure: rows along ``y`` (one row without a name where there is one axis), columns along ``x``, and what is held fixed.

    Shapes: ``values``, ``errors``, ``runaway`` (rows, columns); None where unknown.  ``runaway`` is the share of paths that ran away.
    """

    x: str
    y: str | None
    value: str
    held: dict[str, Any]
    x_values: tuple[Any, ...]
    y_values: tuple[Any, ...]
    values: tuple[tuple[float | None, ...], ...]
    errors: tuple[tuple[float | None, ...], ...]
    runaway: tuple[tuple[float | None, ...], ...]
    refused: tuple[tuple[bool, ...], ...]

    @property
    def threshold(self) -> float:
        """What divides the colours: 1 for amplification, one half for runaway, nothing earned for money, else the middle."""
        if self.value == "amplification":
            return 1.0
        if self.value == "runaway_probability":
            return 0.5
        known = [value for row in self.values for value in row if value is not None]
        if self.value.endswith("pnl_usd") or not known:
            return 0.0
        return 0.5 * (min(known) + max(known))

    def ran_away(self, row: int, column: int) -> bool:
        """Whether a cell shows the share that ran away in place of a figure of the paths that did not."""
        share = self.runaway[row][column]
        return self.value in SURVIVORS and share is not None and share > RUNAWAY_SHARE


def sliced(document: Mapping[str, Any], asked: Asked) -> Slice:
    """The cells that were asked for; what is not asked is chosen: axes of several values in grid order, others at their first value.

    InputError for an axis, a figure or a value that the sweep does not have.
    """
    axes = {axis["name"]: axis["values"] for axis in document["axes"]}
    x, y, held = chosen(asked, axes, tuple(document["points"][0]["figures"]))
    x_values, y_values = tuple(axes[x]), tuple(axes[y]) if y else (None,)
    wanted = [[{**held, x: across, **({y: up} if y else {})} for across in x_values] for up in y_values]
    by_settings = {_key(point["settings"]): point for point in document["points"]}
    cells = [[by_settings[_key(settings)] for settings in row] for row in wanted]

    def table(name: str, part: str) -> tuple[tuple[float | None, ...], ...]:
        return tuple(tuple(cell["figures"].get(name, {}).get(part) for cell in row) for row in cells)

    refused = tuple(tuple(cell["refused"] is not None for cell in row) for row in cells)
    values, errors, runaway = table(asked.value, "value"), table(asked.value, "standard_error"), table("runaway_probability", "value")
    fixed = {name: value for name, value in held.items() if len(axes[name]) > 1}
    return Slice(x, y, asked.value, fixed, x_values, y_values, values, errors, runaway, refused)


def chosen(asked: Asked, axes: Mapping[str, Sequence[Any]], figures: Sequence[str]) -> tuple[str, str | None, dict[str, Any]]:
    """The axes of the picture and the values at which the others are held; InputError as ``sliced``, before anything runs."""
    if asked.value not in figures:
        raise InputError(f"--value expects one of {', '.join(figures)}, got {shown(asked.value)}{nearest(asked.value, figures)}")
    held = _held(asked.where, axes)
    x, y = _shown_axes(asked, axes, held)
    for name, values in axes.items():
        if name not in (x, y):
            held.setdefault(name, values[0])
    return x, y, held


def _key(settings: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, repr(value)) for name, value in settings.items()))


def _held(words: Sequence[str], axes: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    held: dict[str, Any] = {}
    for word in words:
        name, equals, text = (part.strip() for part in word.partition("="))
        if not equals or name not in axes:
            raise InputError(f"--where expects AXIS=VALUE with an axis of {', '.join(axes)}, got {shown(word)}{nearest(name, axes)}")
        if name in held:
            raise InputError(f"--where names {name} twice; leave one out")
        held[name] = _matching(name, text, axes[name])
    return held


def _matching(name: str, text: str, values: Sequence[Any]) -> Any:
    for value in values:
        same = isinstance(value, int | float) and not isinstance(value, bool) and _number(text) == value
        if same or text in (str(value), shown_setting(value)):
            return value
    raise InputError(f"--where: {name} takes {', '.join(map(shown_setting, values[:20]))} in this sweep, got {shown(text)}")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _shown_axes(asked: Asked, axes: Mapping[str, Sequence[Any]], held: Mapping[str, Any]) -> tuple[str, str | None]:
    for option, name in (("--x", asked.x), ("--y", asked.y)):
        if name is not None and name not in axes:
            raise InputError(f"{option} expects one of {', '.join(axes)}, got {shown(name)}{nearest(name, axes)}")
        if name is not None and name in held:
            raise InputError(f"{option} and --where both name {name}; leave one out")
    if asked.x is not None and asked.x == asked.y:
        raise InputError(f"--x and --y both name {asked.x}; leave one out, or name another axis")
    taken = {*held, *filter(None, (asked.x, asked.y))}
    free = [name for name in axes if name not in taken]
    free = [name for name in free if len(axes[name]) > 1] or ([] if asked.x else free[:1])
    # a gain lies along the bottom, as it does in the theory of the loop
    free.sort(key=lambda name: name != GAIN)
    x = asked.x or (free.pop(0) if free else None)
    if x is None:
        raise InputError("--where and --y leave no axis for --x; leave one of them out")
    return x, asked.y or (free.pop(0) if free else None)


def places(values: Sequence[Any]) -> tuple[list[float], list[str] | None]:
    """Where values stand on an axis, evenly apart: to scale where they are evenly spaced numbers, else one after the other with labels.

    >>> places([0.0, 0.5, 1.0])
    ([0.0, 0.5, 1.0], None)
    >>> places([1, 2, 5])
    ([0.0, 1.0, 2.0], ['1', '2', '5'])
    """
    numbers = [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) == len(values) > 1:
        steps = [after - before for before, after in itertools.pairwise(numbers)]
        if all(steps[0] * step > 0.0 and math.isclose(step, steps[0], rel_tol=1e-6) for step in steps):
            return numbers, None
    return [float(place) for place in range(len(values))], [shown_setting(value) for value in values]


def title_of(name: str) -> str:
    """An axis or a figure as a picture names it, with its unit.

    >>> title_of("agent.desk.delay_steps"), title_of("gain"), title_of("desk.pnl_usd")
    ('delay of desk, steps', 'loop gain (short gamma above 0)', 'pnl of desk, USD')
    """
    if name in TITLES:
        return TITLES[name]
    if name == GAIN:
        return "loop gain (short gamma above 0)"
    owner, _, key = name.removeprefix("agent.").rpartition(".")
    unit = next((ending for ending in UNITS if key.endswith(ending)), "")
    words = key.removesuffix(unit).replace("_", " ") + (f" of {owner}" if owner else "")
    return f"{words}, {UNITS[unit]}" if unit else words


def held_text(held: Mapping[str, Any]) -> str:
    """What is held fixed, in words; empty where nothing is.

    >>> held_text({"price.vol": 0.6})
    'held at price.vol = 0.6'
    """
    return "held at " + ", ".join(f"{name} = {shown_setting(value)}" for name, value in held.items()) if held else ""


def cell_text(found: Slice, row: int, column: int) -> str:
    """What stands in one cell: the figure, how many ran away, or that it was refused."""
    if found.refused[row][column]:
        return "refused"
    if found.ran_away(row, column):
        return f"{100.0 * float(found.runaway[row][column] or 0.0):.0f} % run away"
    value = found.values[row][column]
    return "unknown" if value is None else figure_text(found.value, value)


def figure_text(name: str, value: float) -> str:
    """A figure of a sweep in three digits, money in its own.

    >>> figure_text("amplification", 1.15338), figure_text("runaway_probability", 0.25), figure_text("desk.pnl_usd", -1.5e6)
    ('1.15', '25 %', '−$1.50m')
    """
    from tailwag.figures.numbers import money

    if name.endswith(("_usd", "_usd_per_day")):
        return money(value)
    return f"{100.0 * value:.3g} %" if name in SHARES else f"{value:.3g}"
