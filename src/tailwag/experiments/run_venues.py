"""What several venues did in a run: prices and basis, what arbitrage traded and earned, what waited for blocks, and the gain apart and together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tailwag.experiments.report_tables import table
from tailwag.experiments.report_view import Document
from tailwag.experiments.run_report_words import dollars
from tailwag.figures.numbers import money, price
from tailwag.kernels.arrays import FloatArray
from tailwag.sim.agents.arbitrageur import Arbitrageur
from tailwag.sim.blocks import paths_per_block
from tailwag.sim.ledger import PART
from tailwag.sim.metrics_sentences import usd
from tailwag.sim.run import Run
from tailwag.sim.scenario import Scenario, starting_gain
from tailwag.sim.state import Outcome
from tailwag.sim.venues_block import VenuesBlock, run_venues_block
from tailwag.sim.venues_chain import Waiting
from tailwag.sim.venues_engine import VenuesPlan, plan_venues
from tailwag.sim.venues_home import leg_paths, venues_of
from tailwag.units import HOURS_PER_YEAR

MOST_PATHS = 256
"""Venues are looked at on so many paths of a run, the first ones."""
BPS = 1e4
SAME_USD = 1e-9
"""Legs that differ by less than this share of what they traded are the same coins."""
COSTS = ("spread_usd", "fees_usd", "gas_usd")


def run_venues(run: Run) -> dict[str, Any] | None:
    """Each venue's prices and basis over home, each arbitrageur's trades and profit; None where there is one venue."""
    if run.scenario.elsewhere is None:
        return None
    plan = plan_venues(venues_of(run.scenario), seed=run.seed)
    paths = min(run.paths, MOST_PATHS, paths_per_block(run.scenario.grid.steps))
    block = run_venues_block(plan, 0, paths, keep_agents=True)
    return {
        "paths": paths,
        "combined_impact_per_usd": combined_impact_per_usd(run.scenario),
        "combined_gain": combined_gain(run.scenario),
        "venues": [_venue(plan, block, place) for place in range(len(block.venues))],
        "arbitrageurs": [_arbitrageur(plan, block, arbitrageur) for arbitrageur in plan.venues.arbitrageurs],
    }


def combined_impact_per_usd(scenario: Scenario) -> float:
    """Log move of all prices per USD where arbitrage is free and has no limit: depths add, 1 / sum(1 / lambda); 0 with an endless depth."""
    slopes = [market.impact.small_signal_per_usd(market.spot_usd) for market in _markets(scenario)]
    return 0.0 if min(slopes) == 0.0 else 1.0 / math.fsum(1.0 / slope for slope in slopes)


def combined_gain(scenario: Scenario) -> float:
    """Loop gain at the start of everybody's gamma on all venues against their combined depth: what arbitrage without a limit makes of them."""
    gammas = [agent.starting_dollar_gamma_usd(market.spot_usd) for market in _markets(scenario) for agent in market.agents]
    return -combined_impact_per_usd(scenario) * math.fsum(gammas) + 0.0


def _markets(scenario: Scenario) -> list[Scenario]:
    return [scenario] if scenario.elsewhere is None else [venue.scenario for venue in venues_of(scenario).venues]


def _venue(plan: VenuesPlan, block: VenuesBlock, place: int) -> dict[str, Any]:
    venue, one, told = plan.venues.venues[place], plan.plans[place], block.venues[place]
    basis = block.basis_log(plan, place)[:, 1:] * BPS
    last = one.scenario.spot_usd * np.exp(told.log_price[:, -1])
    years = one.scenario.grid.horizon_years
    vol = np.sqrt((np.diff(told.log_price, axis=1) ** 2).sum(axis=1) / years)
    funding = sum((agent.pnl_usd[PART["funding_usd"]] for agent in told.agents), start=np.zeros(block.paths))
    return {
        "venue": venue.name,
        "instrument": venue.instrument,
        "mark": venue.mark,
        "in_index": venue.counts_in_index,
        "spot_usd": one.scenario.spot_usd,
        "impact_per_usd": one.scenario.impact.small_signal_per_usd(one.scenario.spot_usd),
        "gain_alone": starting_gain(venue.scenario) + 0.0,
        "last_price_usd": _mean(last),
        "realised_vol": _mean(vol),
        "traded_usd": _mean(sum((agent.turnover_usd for agent in told.agents), start=np.zeros(block.paths))),
        "basis_bps": {
            "mean": _mean(basis.mean(axis=1)),
            "mean_absolute": _mean(np.abs(basis).mean(axis=1)),
            "standard_deviation": float(basis.std()),
            "largest": float(np.abs(basis).max()),
        },
        "funding_received_usd": _mean(funding) if venue.funding is not None else None,
        "chain": _chain(block.waiting[place], venue.chain.block_seconds) if venue.chain is not None else None,
        "settlement": _settlement(plan, block, place),
    }


def _settlement(plan: VenuesPlan, block: VenuesBlock, place: int) -> dict[str, Any] | None:
    """How a future settled inside the run, on the paths that reached its expiry: the mean of the index, and how far its last price was from it."""
    expiry, told = plan.expiries[place], block.settled[place]
    if expiry is None or told is None or not told.price_usd.any():
        return None
    reached = told.price_usd > 0.0
    price_usd, last = told.price_usd[reached], told.last_usd[reached]
    return {
        "hours": float(plan.plans[place].scenario.grid.years[expiry.step]) * HOURS_PER_YEAR,
        "samples": expiry.count,
        "paths": int(reached.sum()),
        "price_usd": _mean(price_usd),
        "last_basis_bps": _mean(np.abs(np.log(last / price_usd)) * BPS),
    }


def _chain(waiting: Waiting | None, block_seconds: float) -> dict[str, Any] | None:
    if waiting is None:
        return None
    return {
        "block_seconds": block_seconds,
        "delay_seconds": _mean(waiting.mean_delay_seconds),
        "executed_usd": _mean(waiting.served_usd),
        "longest_queue_usd": _mean(waiting.most_usd),
    }


def _arbitrageur(plan: VenuesPlan, block: VenuesBlock, arbitrageur: Arbitrageur) -> dict[str, Any]:
    legs = leg_paths(plan.venues, arbitrageur, block.venues)
    profit = legs[0].pnl_usd.sum(axis=0) + legs[1].pnl_usd.sum(axis=0)
    costs = -sum((leg.pnl_usd[PART[name]] for leg in legs for name in COSTS), start=np.zeros(block.paths))
    held = [np.asarray(leg.position_coin) for leg in legs]
    return {
        "agent": arbitrageur.name,
        "between": list(arbitrageur.legs),
        "capital_usd": arbitrageur.capital_usd if math.isfinite(arbitrageur.capital_usd) else None,
        "traded_usd": _mean(legs[0].turnover_usd + legs[1].turnover_usd),
        "profit_usd": _mean(profit),
        "costs_usd": _mean(costs),
        "funding_usd": _mean(legs[0].pnl_usd[PART["funding_usd"]] + legs[1].pnl_usd[PART["funding_usd"]]),
        "largest_gross_usd": _mean(legs[0].peak_position_usd + legs[1].peak_position_usd),
        "largest_open_coin": _mean(np.abs(held[0] + held[1]).max(axis=1)),
        "left_open": _left_open(plan, block, arbitrageur),
    }


def _left_open(plan: VenuesPlan, block: VenuesBlock, arbitrageur: Arbitrageur) -> dict[str, Any]:
    """What stands in one leg only when a path ends: a halt takes the other leg's fill, and the end of the run takes what is on its way."""
    legs = leg_paths(plan.venues, arbitrageur, block.venues)
    open_coin = legs[0].final_position_coin + legs[1].final_position_coin
    place = [venue.name for venue in plan.venues.venues].index(arbitrageur.first)
    last_usd = plan.plans[place].scenario.spot_usd * np.exp(block.venues[place].log_price[:, -1])
    traded = np.maximum(legs[0].turnover_usd, legs[1].turnover_usd)
    left = np.where(np.abs(open_coin) * last_usd > SAME_USD * traded, np.abs(open_coin) * last_usd, 0.0)
    stopped = block.venues[place].outcome != int(Outcome.FINISHED)
    return {"paths": int((left > 0.0).sum()), "stopped_paths": int((stopped & (left > 0.0)).sum()), "usd": _mean(left)}


def _mean(amounts: FloatArray) -> dict[str, float | None]:
    error = float(amounts.std(ddof=1) / math.sqrt(amounts.size)) if amounts.size > 1 else None
    return {"value": float(amounts.mean()), "standard_error": error}


def venue_sentences(found: Mapping[str, Any] | None) -> list[str]:
    """The gain apart and together, what each arbitrageur traded and earned, and what waited for blocks."""
    if found is None:
        return []
    alone = ", ".join(f"{row['venue']} {row['gain_alone']:.2f}" for row in found["venues"])
    told = [f"Loop gain of each venue by itself: {alone}; with arbitrage without limit {found['combined_gain']:.2f} on all."]
    told += [*map(_traded, found["arbitrageurs"]), *(_waited(row) for row in found["venues"] if row["chain"] is not None)]
    return told + [_settled(row) for row in found["venues"] if row["settlement"] is not None]


def _traded(row: Mapping[str, Any]) -> str:
    first, second = row["between"]
    return (
        f"{row['agent']}: traded {usd(row['traded_usd'])} between {first} and {second} on average, earned {usd(row['profit_usd'])} "
        f"after {money(row['costs_usd']['value'])} of costs.{_left_words(row['left_open'])}"
    )


def _left_words(left: Mapping[str, Any]) -> str:
    """On how many paths one leg is left over; nothing where none is."""
    if not left["paths"]:
        return ""
    stopped = f", {left['stopped_paths']} of them stopped before the other leg was filled" if left["stopped_paths"] else ""
    return f" One leg was left at the end of {left['paths']} path{'s' if left['paths'] > 1 else ''}{stopped}: {usd(left['usd'])} on average over all paths."


def _waited(row: Mapping[str, Any]) -> str:
    chain = row["chain"]
    return (
        f"{row['venue']}: orders waited {chain['delay_seconds']['value']:.3g} s for room in a block on average beside the blocks of "
        f"{chain['block_seconds']:g} s; the longest queue was {usd(chain['longest_queue_usd'])}."
    )


def _settled(row: Mapping[str, Any]) -> str:
    one = row["settlement"]
    return (
        f"{row['venue']}: settled after {one['hours']:.4g} h at {price(one['price_usd']['value'])} on average, the mean of {one['samples']} index prices; "
        f"its last price was {one['last_basis_bps']['value']:.2g} bp from that."
    )


def venue_tables(document: Document) -> str:
    """Venues and arbitrageurs as two tables; nothing for one venue."""
    found = document.get("venues")
    if not isinstance(found, Mapping):
        return ""
    paths = f"mean of {found['paths']} paths, ± one standard error"
    rows = [
        [
            row["venue"],
            row["instrument"],
            money(0.01 / row["impact_per_usd"]) if row["impact_per_usd"] else "no limit",
            f"{row['gain_alone']:.3f}",
            price(row["last_price_usd"]["value"]),
            f"{100 * row['realised_vol']['value']:.1f} %",
            f"{row['basis_bps']['mean_absolute']['value']:.2f}",
            f"{row['basis_bps']['largest']:.1f}",
            dollars(row["traded_usd"]),
            "" if row["chain"] is None else f"{row['chain']['delay_seconds']['value']:.3g} s",
            ""
            if row["settlement"] is None
            else f"after {row['settlement']['hours']:.4g} h, {row['settlement']['last_basis_bps']['value']:.2g} bp off",
        ]
        for row in found["venues"]
    ]
    head = [
        "venue",
        "instrument",
        "moves 1 %",
        "gain alone",
        "last price",
        "realised vol",
        "basis, bp",
        "largest, bp",
        "traded by agents",
        "wait",
        "settled",
    ]
    between = [
        [
            row["agent"],
            " and ".join(row["between"]),
            "no limit" if row["capital_usd"] is None else money(row["capital_usd"]),
            dollars(row["largest_gross_usd"]),
            dollars(row["traded_usd"]),
            dollars(row["profit_usd"], signed=True),
            dollars(row["costs_usd"]),
            dollars(row["funding_usd"], signed=True),
            f"{dollars(row['left_open']['usd'])} ({row['left_open']['paths']} paths)" if row["left_open"]["paths"] else "nothing",
        ]
        for row in found["arbitrageurs"]
    ]
    named = ["", "between", "capital", "largest gross legs", "traded", "profit", "costs", "funding received", "left in one leg"]
    basis = "Venues; basis is the mean size of the distance to home's price, less what is fair"
    return table(f"{basis}; {paths}", head, rows) + table(f"Arbitrage, {paths}", named, between)
