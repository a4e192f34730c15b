"""Scenario files: a TOML file, and the files it names, become one Scenario with its paths, seed, digest and stated assumptions."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any

from tailwag.errors import FileFormatError, InputError
from tailwag.experiments.scenario_agent_setting import Setting
from tailwag.experiments.scenario_agents import read_agents
from tailwag.experiments.scenario_auctions import EVERY, auction_note, auction_steps, refuse_late_accounts
from tailwag.experiments.scenario_book import checked_measurement, measured_book
from tailwag.experiments.scenario_doubts import doubts, spot_note
from tailwag.experiments.scenario_market import costs, impact_model, time_grid, vol_dynamics
from tailwag.experiments.scenario_options import option_terms
from tailwag.experiments.scenario_prices import price_model, starting_vol
from tailwag.experiments.scenario_source import Source, source_of
from tailwag.experiments.scenario_tables import Table, nearest, shown
from tailwag.experiments.scenario_venues import places, with_venues
from tailwag.sim.blocks import ARRAYS_KEPT, paths_per_block
from tailwag.sim.engine import plan_run
from tailwag.sim.option_book import OptionBook
from tailwag.sim.run import KEPT_BYTES
from tailwag.sim.scenario import CLEARINGS, MOST_PATHS, Scenario
from tailwag.sim.venues_engine import plan_venues
from tailwag.sim.venues_home import everybody, venues_of
from tailwag.sources.opening import RawFile, read_file
from tailwag.sources.strict_json import parse_json

LIMIT_BYTES = 16 * 1024 * 1024
"""A scenario file larger than this lists what a measured book should hold."""
BLOCK_LIMIT_BYTES = 2 * 2**30
"""What the trajectories of one block may take."""
TABLES = ("run", "price", "vol", "impact", "costs", "options", "venue", "agent", "output")
RUN_KEYS = ("horizon_days", "step_minutes", "time_grid", "start", "paths", "seed", "clearing", "stop_log_move", "halt_log_move", EVERY)


@dataclass(frozen=True, slots=True)
class Overrides:
    """What a caller says in place of the file's [run]; None leaves the file's word."""

    hours: float | None = None
    paths: int | None = None
    seed: int | None = None
    clearing: str | None = None

    @property
    def stated(self) -> dict[str, Any]:
        """Only what was said, by name."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self) if getattr(self, entry.name) is not None}


NOTHING_SAID = Overrides()


@dataclass(frozen=True, slots=True)
class ScenarioFile:
    """A scenario file read and checked: the scenario, how often it runs, and what it was made of.

    ``sha256`` is of the file's bytes, ``files`` the same of every file that it names; ``notes`` are assumptions in sentences; ``vol_is``
    says whether [price] states the fundamental vol or the observed one, which already holds the hedgers' feedback.
    """

    name: str
    scenario: Scenario
    paths: int
    seed: int
    write_paths: bool
    vol_is: str
    text: str
    sha256: str
    source: Source
    files: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    overrides: Overrides = NOTHING_SAID


class NamedFiles:
    """Files that a scenario names, read from its own folder and remembered by their digests; ``given`` ones are not on disk yet."""

    def __init__(self, folder: str, given: Mapping[str, RawFile] | None = None) -> None:
        self.folder = folder
        self.given = given or {}
        self.digests: dict[str, str] = {}
        self.measured: dict[str, tuple[str, Mapping[str, Any]]] = {}

    def read(self, table: Table, path: str) -> RawFile:
        """The bytes of a file beside the scenario or in a folder below it; whatever leads elsewhere is refused."""
        parts = path.replace("\\", "/").split("/")
        if not path or os.path.isabs(path) or path.startswith("\\") or ":" in parts[0] or any(part in ("", ".", "..") for part in parts):
            raise table.refuse(
                f"expected a file beside the scenario or in a folder below it, got {shown(path)}; copy it there and give its name"
            )
        if path in self.given:
            self.digests[path] = self.given[path].sha256
            return self.given[path]
        whole = os.path.join(self.folder, *parts)
        inside = os.path.realpath(self.folder)
        if os.path.commonpath((inside, os.path.realpath(whole))) != inside:
            raise table.refuse(f"{shown(path)} leads out of the scenario's folder by a link; copy the file there")
        with table.named():
            raw = read_file(whole)
        self.digests["/".join(parts)] = raw.sha256
        return raw

    def book(self, table: Table, path: str, start_ns: int, *, spot_usd: float) -> tuple[OptionBook, tuple[str, ...]]:
        """A measured book by the name of its file, for a run that starts at ``spot_usd``."""
        raw = self.read(table, path)
        with table.named():
            document = checked_measurement(parse_json(raw), raw.name)
            book, notes = measured_book(document, raw.name, start_ns)
        self.measured[path] = (raw.sha256, document)
        return book, (*spot_note(table, raw.name, float(document["spot_usd"]), spot_usd), *notes)


def load_scenario(path: str | os.PathLike[str], *, overrides: Overrides = NOTHING_SAID) -> ScenarioFile:
    """Read a scenario file and the files it names; every key is checked, and what cannot run is refused in one sentence.

    InputError classes for what the user can mend: what was expected, what came, what to do.
    """
    raw = read_file(path, limit_bytes=LIMIT_BYTES)
    return read_scenario(raw, os.path.dirname(os.path.abspath(os.fspath(path))), overrides=overrides)


def read_scenario(
    raw: RawFile, folder: str, *, overrides: Overrides = NOTHING_SAID, given: Mapping[str, RawFile] | None = None
) -> ScenarioFile:
    """The scenario that a file's bytes describe; files that it names lie in ``folder`` unless they are ``given``."""
    text = _decoded(raw)
    top = _with_overrides(_parsed(raw.name, text), overrides)
    for key in top:
        if key not in TABLES:
            raise InputError(
                f"{raw.name}: unknown table {shown(key)}{nearest(key, TABLES)}; a scenario has {', '.join(f'[{name}]' for name in TABLES)}"
            )
    named = NamedFiles(folder, given)
    try:
        made = _made(top, named)
    except InputError as error:
        raise type(error)(f"{raw.name}: {error}") from None
    scenario: Scenario = made["scenario"]
    source = source_of((raw.name, raw.sha256), named.measured, scenario.impact, scenario.spot_usd)
    made["notes"] = (*made["notes"], *source.notes)
    return ScenarioFile(
        name=raw.name,
        text=text,
        sha256=raw.sha256,
        files=dict(sorted(named.digests.items())),
        overrides=overrides,
        source=source,
        **made,
    )


def _decoded(raw: RawFile) -> str:
    try:
        return raw.data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{raw.name}: expected UTF-8 text, byte {error.start} is not; save the scenario as UTF-8") from None


def _parsed(name: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FileFormatError(f"{name}: expected TOML, {str(error)[:200]}; see the scenario files of the reference") from None
    except (RecursionError, ValueError):
        raise FileFormatError(f"{name}: nested too deeply or a number of too many digits for a scenario; see the reference") from None


def _with_overrides(top: dict[str, Any], overrides: Overrides) -> dict[str, Any]:
    """The parsed file with the command line's words in [run]."""
    said = overrides.stated
    if not said or not isinstance(top.get("run", {}), Mapping):
        return top
    run = dict(top.get("run", {}))
    if overrides.hours is not None:
        run["horizon_days"] = overrides.hours / 24.0
    run |= {name: value for name, value in said.items() if name != "hours"}
    return {**top, "run": run}


def _made(top: dict[str, Any], named: NamedFiles) -> dict[str, Any]:
    tables = {name: _table(top, name) for name in TABLES if name not in ("agent", "venue")}
    run = tables["run"]
    run.only(*RUN_KEYS)
    grid, start_ns = time_grid(run), run.time_ns("start")
    batch_steps = auction_steps(run, grid)
    spot_usd, price, vol_is, price_notes = price_model(tables["price"], grid, named, start_ns)
    vol = starting_vol(price, grid)
    options, option_notes = option_terms(tables["options"] if "options" in top else None, vol)
    setting = Setting(start_ns, spot_usd, vol, partial(named.book, spot_usd=spot_usd), grid.horizon_years)
    listed = _agents(top)
    told = places(top, listed)
    agents, notes = read_agents(listed if told is None else told.home, setting)
    if (agents or told is not None) and "impact" not in top:
        raise InputError("[impact] is missing; how far a dollar moves the price decides the answer: state permanent_per_usd = 0.01 / depth")
    scenario = Scenario(
        spot_usd=spot_usd,
        grid=grid,
        price=price,
        impact=impact_model(tables["impact"] if "impact" in top else Table("[impact]", {"permanent_per_usd": 0.0}), grid),
        agents=agents,
        clearing=run.text("clearing", choices=CLEARINGS, hint="implicit is right near an expiry and wherever the gain is not small"),
        vol=vol_dynamics(tables["vol"]),
        costs=costs(tables["costs"]),
        start_ns=start_ns,
        stop_log_move=run.number("stop_log_move", 0.7),
        halt_log_move=run.maybe("halt_log_move"),
        batch_steps=batch_steps,
        options=options,
    )
    if told is not None:
        scenario, notes = with_venues(scenario, told, setting, notes)
    if batch_steps > 1:
        refuse_late_accounts(everybody(scenario))
    output = tables["output"]
    output.only("paths")
    paths = run.whole("paths", least=1, most=MOST_PATHS, hint="how many price paths to run")
    write_paths = output.truth("paths", False)
    _refuse_memory(scenario, paths if write_paths else 0)
    _refuse_unplanned(scenario)
    return {
        "scenario": scenario,
        "paths": paths,
        "seed": run.whole("seed", least=0, hint="the seed of every random number; the same seed gives the same bytes"),
        "write_paths": write_paths,
        "vol_is": vol_is,
        "notes": (*auction_note(batch_steps, grid), *price_notes, *option_notes, *notes, *doubts(scenario), *scenario.impact.warnings),
    }


def _refuse_memory(scenario: Scenario, kept_paths: int) -> None:
    """Refuse trajectories that would not fit: those of one block, which every run holds, and those that are to be written."""
    steps, agents = scenario.grid.steps, len(scenario.agents)
    block = 8 * paths_per_block(steps) * (steps + 1) * ARRAYS_KEPT
    if block > BLOCK_LIMIT_BYTES:
        raise InputError(
            f"[run]: {steps:,} steps would take {block / 2**30:.1f} GiB a block, the limit is {BLOCK_LIMIT_BYTES / 2**30:g} GiB; "
            "lengthen step_minutes or shorten the horizon"
        )
    written = 8 * kept_paths * (steps + 1) * (2 + agents)
    if written > KEPT_BYTES:
        raise InputError(
            f"[output]: paths = true would hold {written / 2**30:.1f} GiB ({kept_paths:,} paths of {steps:,} steps, {2 + agents} arrays), the "
            f"limit is {KEPT_BYTES / 2**30:g} GiB; lower paths, lengthen step_minutes, or leave paths = true out"
        )


def _refuse_unplanned(scenario: Scenario) -> None:
    """Refuse what an agent can only find out in its seat: hours and windows that the grid does not hold, less than an initial margin."""
    if scenario.elsewhere is None:
        plan_run(scenario, seed=0, full_pnl=False)
    else:
        plan_venues(venues_of(scenario), seed=0, full_pnl=False)


def _table(top: dict[str, Any], name: str) -> Table:
    value = top.get(name, {})
    if not isinstance(value, Mapping):
        raise InputError(f"[{name}]: expected a table, got {shown(value)}; write [{name}] on a line of its own and its keys below")
    if name in ("run", "price") and name not in top:
        raise InputError(f"[{name}] is missing; a scenario needs [run], [price], and [impact] with its agents")
    return Table(f"[{name}]", value)


def _agents(top: dict[str, Any]) -> list[Table]:
    value = top.get("agent", [])
    if not isinstance(value, list) or not all(isinstance(part, Mapping) for part in value):
        raise InputError("agent: expected a list of tables; write [[agent]] (two brackets) before each agent")
    return [Table(f"[[agent]] {number}", part) for number, part in enumerate(value, start=1)]
