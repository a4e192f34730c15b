"""What a scenario's comparison reads from every path: outcomes, the first events, who moved the price, who gained and lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tailwag.experiments.scenario_hedging import hedging_columns
from tailwag.experiments.scenario_late_prices import late_loss_usd
from tailwag.experiments.scenario_pools import pool_columns
from tailwag.experiments.scenario_squeezes import squeezed_usd
from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray
from tailwag.sim.agents.arbitrageur import Arbitrageur
from tailwag.sim.agents.ladder import LiquidationLadder
from tailwag.sim.agents.leveraged import LeveragedTraders
from tailwag.sim.option_book import WINDOW_YEARS, OptionBook
from tailwag.sim.scenario import Scenario
from tailwag.sim.state import BlockPaths, Borne, Outcome
from tailwag.sim.venues_home import everybody, movers_of_home
from tailwag.units import HOURS_PER_YEAR

LIQUIDATED: tuple[type, ...] = (LiquidationLadder, LeveragedTraders)
"""Agents whose every trade is a liquidation; a new kind of leveraged agent is added here."""
EVENTS = ("liquidation", "dislocation", "depth_exhausted", "runaway", "halted")
"""Events in the order in which two of one step are told."""
LIQUIDITY = "liquidity providers"
REST = "the market's own answer"
SAME_TIME = 1e-9
DUST_USD = 1e-6


@dataclass(frozen=True, slots=True)
class Measure:
    """One outcome of a path: its name, what it is in words, its unit (share, log, vol, gain, usd), and what more of it is: "harm", "good" or "cost"."""

    name: str
    words: str
    unit: str
    more_is: str


MEASURES: tuple[Measure, ...] = (
    Measure("stopped", "paths that run away or exhaust the depth", "share", "harm"),
    Measure("halted", "paths on which trading is halted", "share", "cost"),
    Measure("largest_excess", "largest push away from the fundamental price", "log", "harm"),
    Measure("largest_fall", "deepest fall from a maximum on the way", "share", "harm"),
    Measure("realised_vol", "realised vol a year", "vol", "harm"),
    Measure("at_strike", "paths at the strike as the settlement window opens", "share", "harm"),
    Measure("settles_at_strike", "paths that settle at the strike", "share", "harm"),
    Measure("liquidated_usd", "liquidated", "usd", "harm"),
    Measure("fund_paid_usd", "paid by insurance funds beyond the fees they took", "usd", "harm"),
    Measure("bad_debt_usd", "bad debt that nobody paid", "usd", "harm"),
    Measure("deleveraged_usd", "closed against the other side (deleveraged)", "usd", "harm"),
    Measure("shared_usd", "losses shared among the winners", "usd", "harm"),
    Measure("called", "paths on which a margined book is called", "share", "harm"),
    Measure("taken_share", "of the options of margined books taken over", "share", "harm"),
    Measure("squeezed_usd", "earned by the squeeze, marked at the last price", "usd", "harm"),
    Measure("late_loss_usd", "lost by pools to quotes at a late price, beyond their fees", "usd", "harm"),
    Measure("lvr_usd", "lost by pools to arbitrage against rebalancing (LVR)", "usd", "harm"),
    Measure("arbitrage_kept_usd", "kept by pools' arbitrageurs after fees", "usd", "harm"),
    Measure("pool_fees_usd", "fees earned by pools", "usd", "good"),
    Measure("mean_pool_fee", "fee of pools, mean over time", "share", "cost"),
    Measure("largest_step_usd", "largest net flow of one step", "usd", "harm"),
    Measure("hedged_usd", "traded by hedgers", "usd", "cost"),
    Measure("arbitraged_usd", "traded by arbitrageurs, both legs", "usd", "cost"),
    Measure("mishedge_usd", "mis-hedge of all hedgers, root mean square over time", "usd", "cost"),
    Measure("hedge_cost_usd", "paid by dealers for hedging: spreads, fees, gas, funding", "usd", "cost"),
    Measure("hedge_push", "largest push of a venue on which dealers hedge, away from its fundamental price", "log", "harm"),
    Measure("hedge_gain", "loop gain at the start of dealers' gamma against their own venue's depth", "gain", "harm"),
    Measure("hedge_margin_usd", "margin on dealers' largest positions", "usd", "cost"),
    Measure("margin_per_gamma", "margin per dollar of gamma hedged", "share", "cost"),
)
"""Outcomes of every path, in the order of a comparison's rows; the profit of each agent comes after them."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What a story looks for on every path: the strike (None: none) and how near price must be at its expiry, and from which distance from fundamental and how much liquidated there is an event."""

    strike_usd: float | None
    strike_bps: float
    dislocation_log: float
    liquidation_usd: float = 0.0


Columns = dict[str, FloatArray]


def path_columns(scenario: Scenario, block: BlockPaths, watch: Watch) -> Columns:
    """Every outcome of each path of a block, by name, (paths,) each.

    Beside ``MEASURES``: ``pnl:AGENT`` in USD, ``event:KIND`` in hours (inf: never), ``moved:AGENT`` in log price towards the largest excess,
    ``peak_hours`` its time, ``outcome`` and ``stopped_hours``.  The excess is looked at up to the step before one that stops a path.
    """
    trading = _trading_steps(block)
    excess = np.where(trading, block.log_price - block.fundamental_log, 0.0)
    peak = np.abs(excess).argmax(axis=1)
    rows = np.arange(block.paths)
    hours = (block.time_years - block.time_years[0]) * HOURS_PER_YEAR
    return {
        **_outcomes(scenario, block, np.abs(excess[rows, peak]), watch),
        **{f"pnl:{name}": value for name, value in _profits(scenario, block).items()},
        **{f"event:{kind}": value for kind, value in _events(scenario, block, excess, watch, hours).items()},
        **_movers(scenario, block, peak, excess[rows, peak]),
        "peak_hours": hours[peak],
        "peak_excess": excess[rows, peak],
        "outcome": block.outcome.astype(np.float64),
        "stopped_hours": hours[block.stopped_step],
    }


def _trading_steps(block: BlockPaths) -> BoolArray:
    """Grid times up to a path's end; the step that stops it is left out, for its price is where the run gave up."""
    gave_up = np.isin(block.outcome, (int(Outcome.RUNAWAY), int(Outcome.DEPTH_EXHAUSTED)))
    last = block.stopped_step - gave_up
    return np.asarray(np.arange(block.log_price.shape[1])[None, :] <= last[:, None])


def _outcomes(scenario: Scenario, block: BlockPaths, largest: FloatArray, watch: Watch) -> Columns:
    price = block.log_price
    moves = np.where(_trading_steps(block)[:, 1:], np.diff(price, axis=1), 0.0)
    reached = np.concatenate((np.zeros((block.paths, 1)), np.cumsum(moves, axis=1)), axis=1)
    fall = 1.0 - np.exp((reached - np.maximum.accumulate(reached, axis=1)).min(axis=1))
    years = scenario.grid.horizon_years
    liquidated, hedged, gaps = (np.zeros(block.paths) for _ in range(3))
    arbitraged = np.zeros(block.paths)
    for agent, own in zip(everybody(scenario), block.agents):
        if isinstance(agent, Arbitrageur):
            arbitraged = arbitraged + own.turnover_usd
        elif liquidates(agent):
            liquidated = liquidated + own.turnover_usd
        else:
            hedged, gaps = hedged + own.turnover_usd, gaps + np.sqrt(own.gap_squared_usd)
        liquidated = liquidated + (0.0 if own.forced_usd is None else own.forced_usd)
    stopped = np.isin(block.outcome, (int(Outcome.RUNAWAY), int(Outcome.DEPTH_EXHAUSTED)))
    found = {
        "stopped": stopped.astype(np.float64),
        "halted": (block.outcome == int(Outcome.HALTED)).astype(np.float64),
        "largest_excess": largest,
        "largest_fall": fall,
        "realised_vol": np.sqrt((moves**2).sum(axis=1) / years),
        "liquidated_usd": liquidated,
        "largest_step_usd": np.abs(block.net_flow_usd).max(axis=1),
        "hedged_usd": hedged,
        "mishedge_usd": gaps,
    }
    if scenario.elsewhere is not None:
        found["arbitraged_usd"] = arbitraged
    found |= hedging_columns(scenario, block) | _called(block) | _borne(block)
    if (squeezed := squeezed_usd(scenario, block)) is not None:
        found["squeezed_usd"] = squeezed
    if (late := late_loss_usd(scenario, block)) is not None:
        found["late_loss_usd"] = late
    found |= pool_columns(scenario, block)
    if watch.strike_usd is not None:
        for name, price_log in (("", block.log_price), ("_alone", block.fundamental_log)):
            found |= {f"{when}{name}": value for when, value in _at_strike(scenario, price_log, watch).items()}
    return found


def _called(block: BlockPaths) -> Columns:
    """Whether a margined book is called and how much of its options is taken over, all books alike; empty where there is none."""
    books = [own for own in block.agents if own.taken_share is not None and own.forced_usd is not None]
    if not books:
        return {}
    called = [(np.asarray(own.taken_share) > 0.0) | (np.asarray(own.forced_usd) > 0.0) for own in books]
    return {
        "called": np.any(called, axis=0).astype(np.float64),
        "taken_share": np.mean([np.asarray(own.taken_share) for own in books], axis=0),
    }


def _borne(block: BlockPaths) -> Columns:
    """Who bore what accounts on margin lacked, the sum over everybody's venues; what no venue there does is left out.

    A fund that gained paid nothing: fewer fees, where less is liquidated, are no harm, and what one fund gains pays for no other.
    """
    held = [own.borne._replace(fund_paid_usd=np.maximum(own.borne.fund_paid_usd, 0.0)) for own in block.agents if own.borne is not None]
    parts = {name: [part for one in held if (part := getattr(one, name)) is not None] for name in Borne._fields}
    return {name: np.sum(found, axis=0) for name, found in parts.items() if found}


def liquidates(agent: Any) -> bool:
    """Whether every trade of an agent is a liquidation; an agent behind a price band is what stands behind it."""
    return isinstance(getattr(agent, "inner", agent), LIQUIDATED)


def settlement_steps(scenario: Scenario) -> tuple[int, int]:
    """The step at which the settlement average of the first expiry inside the run opens, and the step of that expiry; the same where it settles on spot.

    Without an expiry both are the last step.
    """
    grid, books = (
        scenario.grid,
        [book for book in (getattr(agent, "options", None) for agent in scenario.agents) if isinstance(book, OptionBook)],
    )
    rows = [row for book in books for row in zip(book.expiry_years.tolist(), book.averaged.tolist())]
    inside = [row for row in rows if 0.0 < row[0] <= grid.horizon_years * (1.0 + SAME_TIME)]
    if not inside:
        return grid.steps, grid.steps
    years = min(row[0] for row in inside)
    opens = years - WINDOW_YEARS if any(averaged for at, averaged in inside if at == years) else years
    first, last = (int(np.searchsorted(grid.years, at + SAME_TIME * years, side="right")) - 1 for at in (opens, years))
    return max(first, 0), last


def _at_strike(scenario: Scenario, log_price: FloatArray, watch: Watch) -> Columns:
    """Whether price is near the strike as the window opens, and whether the mean of the window (the price at expiry without one) is."""
    opens, expires = settlement_steps(scenario)
    price = scenario.spot_usd * np.exp(log_price)
    settles = price[:, opens + 1 : expires + 1].mean(axis=1) if opens < expires else price[:, expires]
    found = {"at_strike": price[:, opens], "settles_at_strike": settles}
    strike, width = float(watch.strike_usd or 1.0), watch.strike_bps * 1e-4
    return {name: (np.abs(value / strike - 1.0) <= width).astype(np.float64) for name, value in found.items()}


def _profits(scenario: Scenario, block: BlockPaths) -> Columns:
    """Profit of every agent, and of the liquidity providers who are the other side of every fill."""
    last = scenario.spot_usd * np.exp(block.log_price[:, -1])
    found = {own.name: own.pnl_usd.sum(axis=0) for own in block.agents}
    return {**found, LIQUIDITY: block.liquidity_cash_usd + block.liquidity_position_coin * last}


def _events(scenario: Scenario, block: BlockPaths, excess: FloatArray, watch: Watch, hours: FloatArray) -> Columns:
    """Hours of the first event of each kind on every path, inf where there is none."""
    forced = np.zeros(block.net_flow_usd.shape)
    for agent, own in zip(everybody(scenario), block.agents):
        if liquidates(agent):
            forced = forced + np.abs(np.asarray(own.flow_usd))
    first = {
        "liquidation": _first(np.cumsum(forced, axis=1) > max(watch.liquidation_usd, DUST_USD), hours[1:]),
        "dislocation": _first(np.abs(excess) > watch.dislocation_log, hours),
    }
    ends = {kind.name.lower(): np.where(block.outcome == int(kind), hours[block.stopped_step], np.inf) for kind in Outcome}
    return {kind: first[kind] if kind in first else ends[kind] for kind in EVENTS}


def _first(happens: BoolArray, hours: FloatArray) -> FloatArray:
    return np.where(happens.any(axis=1), hours[happens.argmax(axis=1)], np.inf)


def _movers(scenario: Scenario, block: BlockPaths, peak: IntArray, excess: FloatArray) -> Columns:
    """Who moved the price towards its largest excess: impact of one USD times what each agent bought until then; the rest is impact that passed or bent.

    sum over agents + rest = |excess|, exactly; + is towards the excess.
    """
    per_usd, side = scenario.impact.small_signal_per_usd(scenario.spot_usd), np.sign(excess)
    before = np.arange(block.net_flow_usd.shape[1])[None, :] < peak[:, None]
    at_home = block.agents[: movers_of_home(scenario)]
    found = {f"moved:{own.name}": side * per_usd * np.where(before, np.asarray(own.flow_usd), 0.0).sum(axis=1) for own in at_home}
    rest = np.abs(excess)
    for value in found.values():
        rest = rest - value
    return {**found, f"moved:{REST}": rest}


def joined(parts: Mapping[int, Columns]) -> Columns:
    """Blocks of columns by first path as whole columns, in the order of the paths."""
    order = sorted(parts)
    names = parts[order[0]] if order else {}
    return {name: np.concatenate([parts[first][name] for first in order]) for name in names}
