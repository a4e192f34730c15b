"""From what a user names as BOOK to the market in which its hedging is compared: a measurement, a scenario, positions, or the demo."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tailwag.errors import InputError
from tailwag.experiments.frontier_positions import desk_alone, desk_book
from tailwag.experiments.frontier_worlds import Question
from tailwag.experiments.scenario_files import Overrides, ScenarioFile, read_scenario
from tailwag.experiments.scenario_from_measurement import BOOK_NAME, Stated, scenario_from_measurement
from tailwag.experiments.simulate import calibration_of
from tailwag.hedging.policies import EveryStep
from tailwag.sim.agents.dealer import Dealer, HedgeInstrument
from tailwag.sim.grid import TimeGrid
from tailwag.sim.option_book import OptionBook
from tailwag.sim.prices_data import Replay
from tailwag.sim.scenario import Costs, Scenario
from tailwag.sources.opening import RawFile, read_file
from tailwag.sources.strict_json import parse_json
from tailwag.units import HOURS_PER_YEAR

DEMO_DEPTH_USD_PER_PCT = 400e6
FEE_BPS, HALF_SPREAD_BPS = 5.0, 1.0
"""What a taker pays where nothing is said; printed as an assumption."""
DESK = "desk"
PATHS, SEED = 2_000, 7


@dataclass(frozen=True, slots=True)
class Terms:
    """What is stated about the market, the clock and the costs in place of what the book says; None leaves it as it is."""

    hours: float | None = None
    step_minutes: float | None = None
    paths: int | None = None
    seed: int | None = None
    clearing: str | None = None
    delay_steps: int | None = None
    fee_bps: float | None = None
    half_spread_bps: float | None = None
    depth_usd_per_pct: float | None = None
    hedge_share: float | None = None
    market_share: float = 1.0
    instrument: str = "spot"
    margin_share: float = 1.0
    funding_per_year: float = 0.0
    measurement: str | None = None
    spot_usd: float | None = None
    vol: float | None = None
    at: str | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A market ready for comparison, and where its numbers came from, in sentences."""

    question: Question
    paths: int
    seed: int
    kind: str
    name: str
    sha256: str
    vol_is: str
    notes: tuple[str, ...]


def prepare_book(book: str, terms: Terms) -> Prepared:
    """Read BOOK: ``demo``, a measurement (JSON), positions (CSV) or a scenario (TOML).

    An observed vol is calibrated first, with everybody hedging as the book says.  InputError where the book cannot be read, or where a
    stated number does not go with it.
    """
    if book == "demo":
        return _from_demo(terms)
    raw = read_file(book)
    if raw.data.lstrip()[:1] == b"{":
        _refuse(terms, ("measurement", "spot_usd", "at"), f"{raw.name} is a measurement and states its own")
        return _from_measurement(raw, terms)
    if raw.name.lower().endswith(".csv"):
        return _from_positions(raw, terms)
    _refuse(terms, ("measurement", "spot_usd", "at", "vol", "depth_usd_per_pct"), f"{raw.name} is a scenario and states its own; edit it")
    folder = os.path.dirname(os.path.abspath(book))
    file = read_scenario(raw, folder, overrides=replace(_overrides(terms), clearing=None))
    return _prepared(file, terms, kind="scenario", costs=file.scenario.costs)


def _refuse(terms: Terms, names: tuple[str, ...], why: str) -> None:
    for name in names:
        if getattr(terms, name) is not None:
            raise InputError(f"--{name.replace('_', '-')} does not go with this book: {why}")


def _overrides(terms: Terms) -> Overrides:
    return Overrides(hours=terms.hours, paths=terms.paths, seed=terms.seed, clearing=terms.clearing)


def _from_demo(terms: Terms) -> Prepared:
    from tailwag.experiments.measure import measure
    from tailwag.experiments.options import MeasureOptions
    from tailwag.experiments.report_json import strict_json
    from tailwag.sources.demo import demo

    _refuse(terms, ("measurement", "spot_usd", "at"), "the demo is one moment of one market")
    depth = terms.depth_usd_per_pct or DEMO_DEPTH_USD_PER_PCT
    document = measure(demo(), MeasureOptions(dynamics="sticky-strike", liquidity="given", depth_usd_per_pct=depth)).document()
    data = strict_json(document)
    raw = RawFile("demo", data, hashlib.sha256(data).hexdigest())
    return replace(_from_measurement(raw, replace(terms, depth_usd_per_pct=depth)), kind="demo")


def _from_measurement(raw: RawFile, terms: Terms) -> Prepared:
    return _prepared(_measured(raw, parse_json(raw), terms), terms, kind="measurement", costs=_taker(), name=raw.name)


def _measured(raw: RawFile, document: Any, terms: Terms) -> ScenarioFile:
    """The scenario that a measurement asks for; its paths are fewer than those of a simulation, for it runs once for every policy."""
    overrides = replace(_overrides(terms), paths=terms.paths or PATHS)
    text = scenario_from_measurement(
        document, name=raw.name, overrides=overrides, stated=Stated(terms.depth_usd_per_pct, terms.vol)
    ).encode()
    scenario = RawFile(raw.name, text, hashlib.sha256(text).hexdigest())
    return replace(read_scenario(scenario, ".", given={BOOK_NAME: raw}), sha256=raw.sha256)


def _from_positions(raw: RawFile, terms: Terms) -> Prepared:
    text = _decoded(raw)
    if terms.measurement is None:
        scenario, notes = desk_alone(text, terms, costs=_costs(_taker(), terms))
        question = Question(scenario, 1.0, (DESK,), _instrument(terms))
        return Prepared(
            question,
            terms.paths or PATHS,
            SEED if terms.seed is None else terms.seed,
            "positions",
            raw.name,
            raw.sha256,
            "fundamental",
            notes,
        )
    _refuse(terms, ("spot_usd", "at"), "the measurement states its own")
    measured = read_file(terms.measurement)
    document = parse_json(measured)
    market = _measured(measured, document, terms)
    options, notes = desk_book(text, document, measured.name, int(market.scenario.start_ns or 0))
    made = _prepared(market, terms, kind="positions", costs=_taker(), name=raw.name, desk=options)
    return replace(made, sha256=raw.sha256, notes=(*made.notes, *notes))


def _decoded(raw: RawFile) -> str:
    try:
        return raw.data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{raw.name}: expected UTF-8 text, byte {error.start} is not; save the CSV as UTF-8") from None


def _prepared(
    file: ScenarioFile, terms: Terms, *, kind: str, costs: Costs, name: str | None = None, desk: OptionBook | None = None
) -> Prepared:
    """The comparison that a scenario file asks for, with what the user stated in place of the file's words; and a desk beside its dealers.

    The vol is calibrated without the desk, whose hedging is not in what was observed.
    """
    changed = replace(file, scenario=_changed(file.scenario, terms, costs))
    scenario, vol_is, notes = _calibrated(changed)
    desks: tuple[str, ...] = ()
    if desk is not None:
        first = next((agent for agent in scenario.agents if isinstance(agent, Dealer)), None)
        late = 0 if first is None else first.delay_steps
        scenario = replace(scenario, agents=(*scenario.agents, Dealer(DESK, EveryStep(), late, options=desk)))
        desks = (DESK,)
    question = Question(scenario, terms.market_share, desks, _instrument(terms))
    said = (*file.notes, *notes, *_said(terms, kind))
    return Prepared(question, file.paths, file.seed, kind, name or file.name, file.sha256, vol_is, said)


def _calibrated(file: ScenarioFile) -> tuple[Scenario, str, tuple[str, ...]]:
    """The scenario with its fundamental vol, what its vol is, and a sentence on how it was found."""
    try:
        found = calibration_of(file)
    except InputError as error:
        return file.scenario, "fundamental", (f"the observed vol is taken as fundamental, and so counts feedback twice: {error}",)
    if found is None:
        return file.scenario, file.vol_is, ()
    return found.scenario, file.vol_is, (str(found),)


def _changed(scenario: Scenario, terms: Terms, costs: Costs) -> Scenario:
    """The scenario with another clock, clearing, costs, delay or share hedged."""
    if terms.hedge_share is not None and not 0.0 < terms.hedge_share <= 1.0:
        raise InputError(f"--hedge-share expects a share above 0 and at most 1, got {terms.hedge_share:g}; at 0 nobody hedges")
    grid = scenario.grid
    if terms.step_minutes is not None:
        if isinstance(scenario.price, Replay):
            raise InputError("--step-minutes does not go with a replay, whose steps are its candles; leave it out")
        grid = TimeGrid.uniform(horizon_days=grid.horizon_years * HOURS_PER_YEAR / 24.0, step_minutes=terms.step_minutes)
    stated = {"delay_steps": terms.delay_steps, "hedge_share": terms.hedge_share}
    words: Mapping[str, Any] = {name: value for name, value in stated.items() if value is not None}
    agents = tuple(replace(agent, **words) if isinstance(agent, Dealer) else agent for agent in scenario.agents)
    return replace(scenario, grid=grid, costs=_costs(costs, terms), agents=agents, clearing=terms.clearing or scenario.clearing)


def _taker() -> Costs:
    return Costs(FEE_BPS, HALF_SPREAD_BPS)


def _costs(costs: Costs, terms: Terms) -> Costs:
    fee = costs.fee_bps if terms.fee_bps is None else terms.fee_bps
    return replace(costs, fee_bps=fee, half_spread_bps=costs.half_spread_bps if terms.half_spread_bps is None else terms.half_spread_bps)


def _instrument(terms: Terms) -> HedgeInstrument:
    return HedgeInstrument(terms.instrument, terms.funding_per_year, terms.margin_share)


def _said(terms: Terms, kind: str) -> tuple[str, ...]:
    """Sentences on what nobody stated."""
    notes = []
    if kind != "scenario" and (terms.fee_bps is None or terms.half_spread_bps is None):
        notes.append(f"a taker's costs unless stated: fee {FEE_BPS:g} bps, half-spread {HALF_SPREAD_BPS:g} bp of the value traded")
    if kind == "demo":
        notes.append("the demo's depth unless stated: $400m per 1 %, an invented number")
    return tuple(notes)
