"""The axes of a sweep: which keys of a scenario vary, over which values, read strictly from the [grid] of a sweep file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from tailwag.errors import InputError
from tailwag.experiments.scenario_tables import Table, nearest, shown

GAIN = "gain"
"""The derived axis: the dollar gamma of one dealer, stated as its loop gain."""
RANGE_KEYS = ("from", "to", "points", "scale")
GAIN_KEYS = ("agent", "values", *RANGE_KEYS)
SCALES = ("linear", "log")
MOST_AXES = 8
MOST_VALUES = 10_000
OWN_TABLES = ("run", "price", "vol", "impact", "costs")
NOT_SWEPT = {"run.seed": "state seeds = [..] at the top of the file", "output": "a sweep keeps no paths"}
ALIKE = ({"a text", "a table"}, {"a text", "a time"})
"""Kinds that a scenario reads as the same thing: a policy by its spelling or as a table, a time in quotes or without."""
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Axis:
    """One thing that varies: its name in the table, its values in order, and the way to it inside the scenario.

    ``place`` is the keys from the scenario's top to the value (an agent by its number); for the gain it ends at that agent's gamma_usd.
    """

    name: str
    values: tuple[Any, ...]
    place: tuple[str | int, ...]

    @property
    def is_gain(self) -> bool:
        """Whether the values are loop gains of one dealer."""
        return self.name == GAIN

    @property
    def is_number(self) -> bool:
        """Whether the values are numbers, which a picture can put to scale."""
        return kind_of(self.values[0]) == "a number"


def read_axes(grid: Mapping[str, Any], scenario: Mapping[str, Any]) -> tuple[Axis, ...]:
    """The axes of [grid] in the order of the file; every path must be stated in the base scenario, so that it says what it varies.

    InputError for a path that is not there, values of another type, an empty list, a value twice, or a range that is none.

    >>> [axis.name for axis in read_axes({"price.vol": [0.4, 0.6]}, {"price": {"vol": 0.5}})]
    ['price.vol']
    """
    axes = tuple(_axis(path, value, scenario) for path, value in _flat(grid, ""))
    if not axes:
        raise InputError('[grid]: expected one axis at least, got none; write "price.vol" = [0.4, 0.6] or gain = [0.5, 1.5]')
    if len(axes) > MOST_AXES:
        raise InputError(f"[grid]: expected at most {MOST_AXES} axes, got {len(axes)}; hold some of them fixed in the base scenario")
    _refuse_overlaps(axes)
    return axes


def _refuse_overlaps(axes: tuple[Axis, ...]) -> None:
    for place, one in enumerate(axes):
        for other in axes[:place]:
            shorter = min(len(one.place), len(other.place))
            if one.place[:shorter] == other.place[:shorter]:
                raise InputError(f"[grid]: {other.name} and {one.name} set the same number; leave one out")


def _flat(grid: Mapping[str, Any], before: str) -> Iterator[tuple[str, Any]]:
    """Paths and what stands at them: keys in quotes, or tables inside tables as unquoted dots make them."""
    for key, value in grid.items():
        path = f"{before}{key}"
        if isinstance(value, Mapping) and path != GAIN and not set(value) & set(RANGE_KEYS):
            if not value:
                raise InputError(f"[grid]: {path} is empty; give it a list of values, or from, to and points")
            yield from _flat(value, f"{path}.")
        else:
            yield path, value


def _axis(path: str, value: Any, scenario: Mapping[str, Any]) -> Axis:
    if path == GAIN:
        return _gain_axis(value, scenario)
    place, base = _found(path, scenario)
    values = _values(path, value)
    wanted = kind_of(base)
    for one in values:
        if kind_of(one) != wanted and {kind_of(one), wanted} not in ALIKE:
            raise InputError(
                f"[grid]: expected {path} as {wanted}, as in the base scenario, got {shown(one)}; write every value as {wanted}"
            )
    return Axis(path, values, place)


def _gain_axis(value: Any, scenario: Mapping[str, Any]) -> Axis:
    names = agent_names(scenario)
    held = [place for place, agent in enumerate(_agents(scenario)) if "gamma_usd" in agent]
    chosen = held
    if isinstance(value, Mapping):
        table = Table("[grid] gain", value)
        table.only(*GAIN_KEYS)
        table.exclusive("values", "from")
        if "agent" in value:
            name = table.text("agent", choices=names, hint="the dealer whose gamma_usd the gain sets")
            chosen = [names.index(name)]
        value = value["values"] if "values" in value else {key: part for key, part in value.items() if key != "agent"}
    if len(chosen) != 1 or chosen[0] not in held:
        raise InputError(
            f"[grid]: expected gain to name one dealer that states gamma_usd in the base scenario, got {len(chosen) if chosen != held else len(held)} "
            f"of {', '.join(map(shown, names)) or 'no agents'}; write gain = {{agent = NAME, values = [..]}}, and gamma_usd = 0 at that dealer"
        )
    values = _values(GAIN, value)
    for one in values:
        if kind_of(one) != "a number":
            raise InputError(f"[grid]: expected gain as a number, short gamma above 0, got {shown(one)}; 0.5 is half of a runaway")
    return Axis(GAIN, tuple(map(float, values)), ("agent", chosen[0], "gamma_usd"))


def _values(path: str, value: Any) -> tuple[Any, ...]:
    if isinstance(value, Mapping):
        return _range(Table(f"[grid] {path}", value))
    if not isinstance(value, list):
        raise InputError(
            f"[grid]: expected {path} as a list of values, or {{from, to, points, scale}}, got {shown(value)}; write [{shown(value)}]"
        )
    if not value:
        raise InputError(f"[grid]: {path} has no values; give it one at least, or leave the axis out")
    if len(value) > MOST_VALUES:
        raise InputError(f"[grid]: expected at most {MOST_VALUES:,} values of {path}, got {len(value):,}; split the sweep")
    spelled = [_spelled(path, one) for one in value]
    for place, one in enumerate(spelled):
        if one in spelled[:place]:
            raise InputError(f"[grid]: {path} names {shown(one)} twice; leave one out")
    return tuple(spelled)


def _range(table: Table) -> tuple[float | int, ...]:
    """``points`` values from ``from`` to ``to``, both included: evenly apart, or by equal factors (log), to 12 digits."""
    table.only(*RANGE_KEYS)
    first, last = (table.number(key, hint=f"the {word} value") for key, word in (("from", "first"), ("to", "last")))
    count = table.whole("points", least=2, most=MOST_VALUES, hint="how many values, both ends included")
    scale = table.text("scale", "linear", choices=SCALES, hint="log: by equal factors")
    if first == last:
        raise table.refuse(f"expected to different from from, got {first:g} twice; write [{first:g}] for one value")
    if scale == "log" and not (first > 0.0 and last > 0.0):
        raise table.refuse(f"a log scale needs both ends above 0, got {first:g} and {last:g}; take scale = 'linear'")
    steps = count - 1
    if scale == "log":
        inner = [first * (last / first) ** (k / steps) for k in range(1, steps)]
    else:
        inner = [((steps - k) * first + k * last) / steps for k in range(1, steps)]
        # ends of opposite signs meet in a rounding, not in nothing
        inner = [0.0 if abs(value) < 1e-12 * max(abs(first), abs(last)) else value for value in inner]
    values = (first, *(float(f"{value:.12g}") for value in inner), last)
    whole = all(isinstance(table.values[key], int) for key in ("from", "to")) and all(value == int(value) for value in values)
    return tuple(map(int, values)) if whole else values


def _found(path: str, scenario: Mapping[str, Any]) -> tuple[tuple[str | int, ...], Any]:
    """The keys that lead to a path, and what the base says there."""
    for start, advice in NOT_SWEPT.items():
        if path == start or path.startswith(f"{start}."):
            raise InputError(f"[grid]: {path} is no axis; {advice}")
    known = dict(_paths(scenario))
    if path not in known:
        raise InputError(
            f"[grid]: {shown(path)} is nowhere in the base scenario{nearest(path, known)}; an axis varies a key that the base states: add it "
            "there, or mend the path (TABLE.KEY, or agent.NAME.KEY)"
        )
    return known[path]


def _paths(scenario: Mapping[str, Any]) -> Iterator[tuple[str, tuple[tuple[str | int, ...], Any]]]:
    for name in OWN_TABLES:
        yield from _below(name, (name,), scenario.get(name, {}))
    for number, (name, agent) in enumerate(zip(agent_names(scenario), _agents(scenario), strict=True)):
        yield from _below(f"agent.{name}", ("agent", number), agent)


def _below(path: str, place: tuple[str | int, ...], value: Any) -> Iterator[tuple[str, tuple[tuple[str | int, ...], Any]]]:
    if len(place) > (2 if place[0] == "agent" else 1):
        yield path, (place, value)
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _below(f"{path}.{key}", (*place, key), part)


def _agents(scenario: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    agents = scenario.get("agent", [])
    return [agent for agent in agents if isinstance(agent, Mapping)] if isinstance(agents, list) else []


def agent_names(scenario: Mapping[str, Any]) -> list[str]:
    """The agents' names in the order of the scenario; one without a name has the one that the run gives it."""
    return [str(agent.get("name", f"{agent.get('kind')}-{number}")) for number, agent in enumerate(_agents(scenario), start=1)]


def kind_of(value: Any) -> str:
    """What a value of TOML is, in words.

    >>> kind_of(True), kind_of(1), kind_of("x"), kind_of([])
    ('true or false', 'a number', 'a text', 'a list')
    """
    kinds: tuple[tuple[Any, str], ...] = (
        (bool, "true or false"),
        ((int, float), "a number"),
        (str, "a text"),
        (Mapping, "a table"),
        (list, "a list"),
        ((datetime, date, time), "a time"),
    )
    return next((word for kind, word in kinds if isinstance(value, kind)), "something else")


def _spelled(path: str, value: Any) -> Any:
    """A value that can be written out again; numbers finite, keys plain, times as text."""
    if isinstance(value, float) and not -1e300 < value < 1e300:
        raise InputError(f"[grid]: expected {path} as a finite number, got {shown(value)}; state a number")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        raise InputError(f"[grid]: expected {path} as a number of fewer digits, got {shown(value)}; state a smaller one")
    return spelled(value)


def spelled(value: Any) -> Any:
    """A value of a TOML file as plain numbers, texts, lists and tables; InputError for a key that a scenario cannot have."""
    if isinstance(value, Mapping):
        strange = next((key for key in value if not _BARE_KEY.fullmatch(key)), None)
        if strange is not None:
            raise InputError(f"unknown key {shown(strange)}; keys of a scenario are plain words, see the scenario files of the reference")
        return {key: spelled(part) for key, part in value.items()}
    if isinstance(value, list):
        return [spelled(part) for part in value]
    return value.isoformat() if isinstance(value, datetime | date | time) else value
