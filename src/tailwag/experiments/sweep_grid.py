"""Sweep files: a base scenario, a grid of changes and seeds become checked points, each a scenario of its own."""

from __future__ import annotations

import copy
import hashlib
import itertools
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tailwag.errors import FileFormatError, InputError, TimeError, UnitError
from tailwag.experiments.scenario_files import NamedFiles, ScenarioFile, read_scenario
from tailwag.experiments.scenario_market import impact_model, time_grid
from tailwag.experiments.scenario_tables import Table, nearest, shown
from tailwag.experiments.scenario_writer import toml_value
from tailwag.experiments.sweep_axes import Axis, agent_names, read_axes, spelled
from tailwag.sources.opening import RawFile, read_file

KEYS = ("base", "scenario", "grid", "seeds", "refused")
REFUSED = ("refuse", "record")
LIMIT_BYTES = 16 * 1024 * 1024
MOST_POINTS = 10_000
MOST_TASKS = 100_000
MOST_SEED = 2**63 - 1
POINT_NAME = "scenario"

Counting = Callable[[int, int], None] | None


@dataclass(frozen=True, slots=True)
class Point:
    """One place of the grid: its setting of every axis, the scenario as text, the files it names by digest, or why it cannot run."""

    number: int
    settings: tuple[Any, ...]
    text: str
    files: tuple[tuple[str, str], ...] = ()
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Grid:
    """A sweep file read and checked: axes, seeds, points in grid order (the first axis slowest), and the bytes of every named file."""

    name: str
    axes: tuple[Axis, ...]
    seeds: tuple[int, ...]
    refused: str
    points: tuple[Point, ...]
    agents: tuple[str, ...]
    files: Mapping[str, RawFile] = field(default_factory=dict)

    def described(self, point: Point) -> str:
        """A point in words: every axis with its value."""
        return ", ".join(f"{axis.name} = {setting_text(value)}" for axis, value in zip(self.axes, point.settings, strict=True))


def setting_text(value: Any) -> str:
    """One setting as a message or a column of text shows it.

    >>> setting_text(0.5), setting_text({"kind": "every-step"})
    ('0.5', '{kind = "every-step"}')
    """
    return f"{value:.6g}" if isinstance(value, float) else value if isinstance(value, str) else toml_value(value)


def load_grid(path: str | os.PathLike[str], *, checked: Counting = None) -> Grid:
    """Read a sweep file, its base scenario and every file that is named; every point is read as the scenario it is.

    ``checked(done, total)`` is told after each point.  InputError for anything that cannot run; under ``refused = "record"`` a point that the
    scenario refuses is kept with the reason.
    """
    raw = read_file(path, limit_bytes=LIMIT_BYTES)
    folder = os.path.dirname(os.path.abspath(os.fspath(path)))
    try:
        return _grid(raw, folder, checked)
    except InputError as error:
        raise type(error)(f"{raw.name}: {error}") from None


def _grid(raw: RawFile, folder: str, checked: Counting) -> Grid:
    top = Table("the sweep", _parsed(raw))
    top.only(*KEYS)
    base, folder = _base(top, folder)
    if not isinstance(top.values.get("grid", {}), Mapping):
        raise InputError(f"[grid]: expected a table of axes, got {shown(top.values['grid'])}; write [grid] on a line of its own")
    axes = read_axes(top.values.get("grid", {}), base)
    seeds = _seeds(top, base)
    count = _count(axes, seeds)
    refused = top.text("refused", "refuse", choices=REFUSED, hint="record keeps a point that cannot run as an outcome")
    files: dict[str, RawFile] = {}
    points = []
    for number, settings in enumerate(itertools.product(*(axis.values for axis in axes))):
        points.append(_point(number, settings, _Base(base, axes, folder, files)))
        if checked is not None:
            checked(number + 1, count)
    grid = Grid(raw.name, axes, seeds, refused, tuple(points), tuple(agent_names(base)), files)
    _refuse_points(grid)
    return grid


def _parsed(raw: RawFile) -> dict[str, Any]:
    try:
        return tomllib.loads(raw.data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise FileFormatError(f"expected UTF-8 text, byte {error.start} is not; save the file as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise FileFormatError(f"expected TOML, {str(error)[:200]}; see how to sweep a grid") from None
    except (RecursionError, ValueError):
        raise FileFormatError("nested too deeply or a number of too many digits for a sweep; see how to sweep a grid") from None


def _base(top: Table, folder: str) -> tuple[dict[str, Any], str]:
    """The base scenario as tables, and the folder that its own files lie in."""
    top.exclusive("base", "scenario")
    if "base" not in top and "scenario" not in top:
        raise InputError('expected base = "scenario.toml" or the scenario itself under [scenario.run], [scenario.price], ..., got neither')
    if "scenario" in top:
        values = dict(top.table("scenario").values)
    else:
        name = top.text("base")
        raw = NamedFiles(folder).read(top, name)
        folder = os.path.dirname(os.path.join(folder, *name.replace("\\", "/").split("/")))
        try:
            values = _parsed(raw)
        except InputError as error:
            raise type(error)(f"base {raw.name}: {error}") from None
    if isinstance(values.get("output"), Mapping) and values["output"].get("paths") is True:
        raise InputError("[output]: paths = true would write every path of every point; a sweep keeps none, leave it out of the base")
    read: dict[str, Any] = spelled(values)
    return read, folder


def _seeds(top: Table, base: Mapping[str, Any]) -> tuple[int, ...]:
    """The seeds of every point: a list, or a number of them from the base's own on."""
    run = base.get("run", {})
    own = Table("[run]", run if isinstance(run, Mapping) else {}).whole("seed", least=0, hint="the base scenario states it")
    given = top.values.get("seeds", 1)
    if isinstance(given, list):
        rows = Table("the sweep", {f"seeds[{place}]": seed for place, seed in enumerate(given)})
        seeds = tuple(rows.whole(key, least=0, most=MOST_SEED, hint="seeds are whole numbers from 0 on") for key in rows.values)
        if not seeds or len(set(seeds)) != len(seeds):
            raise InputError(f"expected seeds as a list of different whole numbers, got {shown(given)}; write seeds = [7, 8], or seeds = 2")
        return seeds
    count = top.whole("seeds", 1, least=1, most=MOST_TASKS, hint="a number of seeds, or a list of them")
    if own > MOST_SEED - count:
        raise InputError(f"expected a [run] seed that {count - 1} more can follow, got {own}; take a smaller one")
    return tuple(range(own, own + count))


def _count(axes: tuple[Axis, ...], seeds: tuple[int, ...]) -> int:
    count = 1
    for axis in axes:
        count *= len(axis.values)
    if count > MOST_POINTS or count * len(seeds) > MOST_TASKS:
        raise InputError(
            f"expected at most {MOST_POINTS:,} points and {MOST_TASKS:,} runs, got {count:,} points and {count * len(seeds):,} runs; "
            "take fewer values or seeds, or split the sweep"
        )
    return count


@dataclass(frozen=True, slots=True)
class _Base:
    """What every point is made from; ``files`` fills with the bytes of what the points name."""

    tables: dict[str, Any]
    axes: tuple[Axis, ...]
    folder: str
    files: dict[str, RawFile]


def _point(number: int, settings: tuple[Any, ...], base: _Base) -> Point:
    tables = copy.deepcopy(base.tables)
    for axis, value in zip(base.axes, settings, strict=True):
        _put(tables, axis.place, 0.0 if axis.is_gain else value)
    reason = None
    for axis, value in zip(base.axes, settings, strict=True):
        if axis.is_gain:
            reason = _put_gain(tables, axis, value)
    text = point_text(tables)
    if reason is not None:
        return Point(number, settings, text, refused=reason)
    try:
        file = read_point(text, base.folder, base.files)
    except InputError as error:
        sentence = str(error).removeprefix(f"{POINT_NAME}: ")
        if isinstance(error, UnitError | FileFormatError | TimeError):  # a slip of the pen, never an outcome
            raise type(error)(sentence) from None
        return Point(number, settings, text, refused=sentence)
    _keep_files(file, base)
    return Point(number, settings, text, tuple(file.files.items()))


def _put(tables: Any, place: tuple[str | int, ...], value: Any) -> None:
    for key in place[:-1]:
        tables = tables[key]
    tables[place[-1]] = copy.deepcopy(value)


def _put_gain(tables: dict[str, Any], axis: Axis, gain: float) -> str | None:
    """Set the dealer's gamma so that -(impact of one USD) x hedge_share x gamma_usd = gain; or say why no gamma does."""
    try:
        run, price = (Table(f"[{name}]", tables.get(name, {})) for name in ("run", "price"))
        impact = impact_model(Table("[impact]", tables.get("impact", {})), time_grid(run))
        agent = Table("agent", tables["agent"][axis.place[1]])
        hedged = impact.small_signal_per_usd(price.number("spot_usd", least=0.0, above=True)) * agent.number("hedge_share", 1.0)
    except InputError as error:
        return str(error)
    if not hedged > 0.0:
        return (
            None if gain == 0.0 else f"a gain of {gain:g} needs impact and a hedged share above 0, got {hedged:g}; state permanent_per_usd"
        )
    _put(tables, axis.place, 0.0 if gain == 0.0 else -gain / hedged)
    return None


def point_text(tables: Mapping[str, Any]) -> str:
    """A scenario's tables as the text of a scenario file: equal tables, equal bytes, whatever the base looked like."""
    lines = []
    for name in sorted(tables):
        value = tables[name]
        parts = value if isinstance(value, list) and value and all(isinstance(part, Mapping) for part in value) else [value]
        for part in parts:
            if not isinstance(part, Mapping):
                raise InputError(
                    f"{name}: expected a table, got {shown(part)}{nearest(name, ('run', 'price', 'impact', 'agent'))}; see a scenario file"
                )
            lines.append(f"[[{name}]]" if value is not part else f"[{name}]")
            lines += [f"{key} = {toml_value(_portable(key, part[key]))}" for key in part]
            lines.append("")
    return "\n".join(lines)


def _portable(key: str, value: Any) -> Any:
    """File names with plain slashes, as their digests have them."""
    return value.replace("\\", "/") if key in ("file", "book") and isinstance(value, str) else value


def read_point(text: str, folder: str, files: Mapping[str, RawFile]) -> ScenarioFile:
    """The scenario of one point; files that are in hand are not read again."""
    data = text.encode()
    return read_scenario(RawFile(POINT_NAME, data, hashlib.sha256(data).hexdigest()), folder, given=files)


def _keep_files(file: ScenarioFile, base: _Base) -> None:
    for name, digest in file.files.items():
        if name in base.files:
            continue
        raw = read_file(os.path.join(base.folder, *name.split("/")))
        if raw.sha256 != digest:
            raise InputError(f"{name} was written to while it was read; run the sweep again when it is at rest")
        base.files[name] = raw


def _refuse_points(grid: Grid) -> None:
    refused = [point for point in grid.points if point.refused is not None]
    if not refused or (grid.refused == "record" and len(refused) < len(grid.points)):
        return
    first = refused[0]
    found = f"{len(refused):,} of {len(grid.points):,} points cannot run, the first ({grid.described(first)}): {first.refused}"
    advice = 'mend the grid, or state refused = "record" to keep such points as outcomes'
    raise InputError(f"{found}; {advice}" if grid.refused == "refuse" else f"{found}; mend the base scenario")


def named_files(grid: Grid) -> Iterator[tuple[str, str]]:
    """Every file that a point names, with its digest."""
    yield from sorted({pair for point in grid.points for pair in point.files})
