"""The [price] table of a scenario file: which model moves the price when nobody hedges, and what its vol means."""

from __future__ import annotations

import math
from dataclasses import MISSING, fields, replace
from typing import Any, Protocol

from tailwag.errors import InputError
from tailwag.experiments.candles import Candles, candle_returns, read_candles
from tailwag.experiments.scenario_tables import Table
from tailwag.sim.dynamics import Bates, Bootstrap, Gbm, HawkesJumps, Heston, Kou, Merton, PriceModel, Replay, StudentT, expected_vol
from tailwag.sim.grid import TimeGrid
from tailwag.sources.opening import RawFile
from tailwag.units import HOURS_PER_YEAR

MODELS: dict[str, Any] = {
    "gbm": Gbm,
    "heston": Heston,
    "merton": Merton,
    "kou": Kou,
    "bates": Bates,
    "student-t": StudentT,
    "hawkes": HawkesJumps,
}
FROM_CANDLES = ("bootstrap", "replay")
VOL_IS = ("fundamental", "observed", "uncalibrated")
UNCALIBRATED = "[price]: the vol is an observed one, taken as fundamental without calibration: it holds the hedgers' feedback already, which counts twice"
COMMON = ("model", "spot_usd", "vol_is", "uncalibrated_because")
MOST_SPOT_USD = 1e12
SAME_LENGTH = 1e-6

BOUNDS: dict[str, tuple[float, float]] = {
    "kappa": (1e-6, 1e5),
    "xi": (1e-6, 1e3),
    "jumps_per_year": (0.0, 1e8),
    "base_jumps_per_year": (0.0, 1e8),
    "decay_per_year": (0.0, 1e9),
    "up_rate": (0.0, 1e6),
    "down_rate": (0.1, 1e6),
    "degrees_of_freedom": (0.0, 1e6),
}
"""Numbers beyond which a model computes nothing; what a model itself refuses is narrower."""
HINTS = {
    "vol": "a decimal per year, 0.6 is 60 %",
    "v0": "the variance per year at the start, 0.36 is a vol of 60 %",
    "theta": "the long-run variance per year, 0.36 is a vol of 60 %",
    "kappa": "how fast variance reverts, per year",
    "xi": "the vol of variance",
    "rho": "the correlation of price and variance, -1 to 1",
    "jumps_per_year": "jumps expected a year",
    "jump_mean": "the mean log jump, -0.02 is 2 % down",
    "jump_std": "the standard deviation of log jumps",
    "degrees_of_freedom": "above 2; 4 has the tails of hourly crypto returns",
}


class Reads(Protocol):
    """How a table reads a file that it names."""

    def read(self, table: Table, path: str) -> RawFile:
        """The bytes of the file."""
        ...


def price_model(table: Table, grid: TimeGrid, named: Reads, start_ns: int | None) -> tuple[float, PriceModel, str, tuple[str, ...]]:
    """[price]: the first price, the model, what its vol is (one of VOL_IS), and what was assumed, in sentences."""
    kind = table.text("model", choices=(*MODELS, *FROM_CANDLES))
    spot_usd = table.number("spot_usd", least=0.0, most=MOST_SPOT_USD, above=True, hint="the price at the start in USD")
    vol_is = table.text("vol_is", "fundamental", choices=VOL_IS)
    said = _uncalibrated(table, vol_is)
    model, notes = _from_candles(table, kind, grid, named, start_ns) if kind in FROM_CANDLES else (_stated(table, kind), ())
    _refuse_impossible(table, model, grid, vol_is)
    return spot_usd, model, vol_is, (*notes, *said)


def _uncalibrated(table: Table, vol_is: str) -> tuple[str, ...]:
    """That an observed vol is taken as fundamental, and why where the file says why."""
    if vol_is == "uncalibrated":
        why = table.text("uncalibrated_because", "")
        return (f"{UNCALIBRATED}; no fundamental vol explains it: {why}" if why else UNCALIBRATED,)
    if "uncalibrated_because" in table:
        raise table.refuse("uncalibrated_because goes with vol_is = 'uncalibrated'; add that or leave it out")
    return ()


def _refuse_impossible(table: Table, model: PriceModel, grid: TimeGrid, vol_is: str) -> None:
    """What a grid and a model cannot do together shows in one step, before a run begins."""
    try:
        with table.named():
            if not starting_vol(model, grid) > 0.0 and vol_is == "observed":
                raise InputError("expected a vol above 0 where it is observed, got 0; a price that stands still has nothing to calibrate")
            for step in (1, grid.steps):
                model.increments(model.init(1), step=step, step_years=float(grid.step_years[step - 1]), seed=0, first_path=0)
    except ArithmeticError:
        raise table.refuse(
            "expected numbers of a market, got one so large or so small that no price comes of it; check the units"
        ) from None


def starting_vol(model: PriceModel, grid: TimeGrid) -> float:
    """The vol that the model expects over the run: what an option's vol is taken to be where a file does not say."""
    return expected_vol(model, grid.horizon_years)


def _stated(table: Table, kind: str) -> PriceModel:
    made = MODELS[kind]
    names = [entry.name for entry in fields(made) if entry.default is MISSING]
    table.only(*COMMON, *names, "drift_per_year")
    numbers: dict[str, Any] = {name: _number(table, name) for name in names}
    with table.named():
        model: PriceModel = made(**numbers, drift_per_year=_drift(table))
    return model


def _number(table: Table, name: str) -> float:
    least, most = BOUNDS.get(name, (-math.inf, math.inf))
    return table.number(name, least=least, most=most, hint=HINTS.get(name, ""))


def _drift(table: Table) -> float | str:
    drift = table.values.get("drift_per_year", 0.0)
    if isinstance(drift, str):
        return drift
    return table.number("drift_per_year", 0.0, hint='the drift of ln S per year, or "martingale"')


def _from_candles(table: Table, kind: str, grid: TimeGrid, named: Reads, start_ns: int | None) -> tuple[PriceModel, tuple[str, ...]]:
    own = ("block_hours", "demean") if kind == "bootstrap" else ()
    table.only(*COMMON, "file", *own)
    raw = named.read(table, table.text("file", hint="a CSV of candles beside this file, with a time and a close"))
    with table.named():
        candles = read_candles(raw)
        return _bootstrap(table, candles, raw.name) if kind == "bootstrap" else _replay(table, candles, grid, start_ns)


def _bootstrap(table: Table, candles: Candles, name: str) -> tuple[PriceModel, tuple[str, ...]]:
    returns, gaps = candle_returns(candles)
    hours = table.number(
        "block_hours", least=0.0, above=True, hint="the mean length of a stretch that is kept together; 24 keeps vol clusters"
    )
    model = Bootstrap(returns, candle_years=candles.candle_years, block_hours=hours, demean=table.truth("demean", True))
    said = f"{name}: {returns.size:,} candles of {candles.candle_years * HOURS_PER_YEAR * 60:g} minutes at a vol of {100 * model.annual_vol:.1f} % a year"
    return model, (f"{said}; {gaps} returns over gaps are left out" if gaps else said,)


def _replay(table: Table, candles: Candles, grid: TimeGrid, start_ns: int | None) -> tuple[PriceModel, tuple[str, ...]]:
    if not grid.is_uniform or abs(float(grid.step_years[0]) / candles.candle_years - 1.0) > SAME_LENGTH:
        raise table.refuse(
            f"a replay's steps are its candles, expected step_minutes = {candles.candle_years * HOURS_PER_YEAR * 60:g}; set it in [run]"
        )
    known = candles.since(start_ns)
    # gaps after the end of the run are none of its business
    returns, gaps = candle_returns(replace(known, time_ns=known.time_ns[: grid.steps + 1], close_usd=known.close_usd[: grid.steps + 1]))
    if known.time_ns.size <= grid.steps:
        raise table.refuse(
            f"expected {grid.steps + 1:,} candles from the start on, one more than steps, got {known.time_ns.size:,}; "
            "shorten the run or move [run] start back"
        )
    if gaps:
        raise table.refuse(f"expected candles without gaps, got {gaps}; fill them, or take model = 'bootstrap', which leaves them out")
    return Replay(returns, years=grid.horizon_years), (
        "the price replays one history, so that all paths are alike but for the hedgers' own draws",
    )


def price_kind(model: PriceModel) -> str:
    """How scenario files spell a model.

    >>> price_kind(Gbm(vol=0.6))
    'gbm'
    """
    spellings = {**MODELS, "bootstrap": Bootstrap, "replay": Replay}
    return next((kind for kind, made in spellings.items() if type(model) is made), type(model).__name__)
