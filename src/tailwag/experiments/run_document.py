"""The document of one simulated run: what ran, what came out, with errors and in plain values (schema ``tailwag.run/1``)."""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import version
from platform import python_version
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.experiments.run_amm import options_pool_sentences, options_pools
from tailwag.experiments.run_liquidations import liquidation_sentences, liquidations
from tailwag.experiments.run_moved_by import NOBODY_HEDGING, movers
from tailwag.experiments.run_options import option_sentences, option_trades
from tailwag.experiments.run_pools import pool_sentences, pools
from tailwag.experiments.run_takeovers import takeover_sentences, takeovers
from tailwag.experiments.run_vaults import vault_sentences, vaults
from tailwag.experiments.run_venues import run_venues, venue_sentences
from tailwag.experiments.scenario_files import ScenarioFile
from tailwag.experiments.scenario_prices import price_kind
from tailwag.market.clock import format_time
from tailwag.sim.agents.arbitrageur import Arbitrageur
from tailwag.sim.agents.block_seller import BlockSeller
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.ladder import LiquidationLadder
from tailwag.sim.agents.leveraged import LeveragedTraders
from tailwag.sim.agents.lp_hedger import LpHedger
from tailwag.sim.agents.margined_book import MarginedBook
from tailwag.sim.agents.option_flow import OptionFlow
from tailwag.sim.agents.options_amm import OptionsAmm
from tailwag.sim.agents.pool import PoolArbitrage
from tailwag.sim.agents.power_perp import Crab
from tailwag.sim.agents.quoting_dealer import QuotingDealer
from tailwag.sim.agents.squeezer import GammaSqueezer
from tailwag.sim.calibrate import Calibration
from tailwag.sim.gain_bump import stated_gains
from tailwag.sim.metrics_sentences import calibrated_sentence, sentences
from tailwag.sim.moved_by import MovedBy
from tailwag.sim.option_book import WINDOW_YEARS, OptionBook
from tailwag.sim.scenario import Scenario, gain_with_vanna, starting_gain
from tailwag.sim.state import PNL_PARTS, Outcome
from tailwag.sim.venues_home import everybody
from tailwag.units import HOURS_PER_YEAR, NS_PER_YEAR

if TYPE_CHECKING:
    from tailwag.sim.run import Run

SCHEMA = "tailwag.run/1"


def run_document(file: ScenarioFile, run: Run, *, calibration: Calibration | None = None) -> dict[str, Any]:
    """Plain values of one run; nothing in them depends on threads, folders or the clock.  Strict JSON may be written from it as it is."""
    metrics = run.metrics.to_document()
    notes = () if calibration is None else (str(calibration),)
    liquidated, taken, accounts, places = liquidations(run), takeovers(run), pools(run), run_venues(run)
    traded, sold, quoted = option_trades(run), vaults(run), options_pools(run)
    assumed = assumptions(file, run, notes)
    agents = assumed["agents"]
    return {
        "schema": SCHEMA,
        "headline": [
            *_headline(metrics, calibration, movers(agents, metrics["agents"], called=any(entry["paths_called"] for entry in taken))),
            *liquidation_sentences(liquidated),
            *takeover_sentences(taken),
            *pool_sentences(accounts),
            *venue_sentences(places),
            *option_sentences(traded),
            *vault_sentences(sold),
            *options_pool_sentences(quoted),
        ],
        "scenario": {"sha256": file.sha256, "files": file.files, "overrides": file.overrides.stated},
        "source": file.source.to_document(),
        "seed": run.seed,
        "paths": run.paths,
        "versions": versions(),
        "engine": run.engine,
        "pnl_split": run.pnl_split,
        "assumptions": assumed,
        "calibration": _calibration(calibration),
        "outcomes": _outcomes(run, metrics),
        "pnl": [_pnl(agent) for agent in metrics["agents"]],
        "events": events(file),
        "gain_by_agent": [asdict(one) for one in stated_gains(run.scenario)],
        "liquidations": liquidated,
        "takeovers": taken,
        "pools": accounts,
        "venues": places,
        "option_trades": traded,
        "vaults": sold,
        "options_pools": quoted,
        "metrics": metrics,
    }


def _headline(metrics: dict[str, Any], calibration: Calibration | None, moved_by: MovedBy) -> list[str]:
    """The run's sentences; where an observed vol was matched, that vol comes before any other."""
    first, *others = sentences(metrics, moved_by)
    matched = (
        "" if calibration is None else calibrated_sentence(metrics, hours=calibration.horizon_hours, observed_vol=calibration.observed_vol)
    )
    meant = [] if moved_by.is_hedging_alone else [NOBODY_HEDGING]
    return [first, *([matched] if matched else []), *others[:1], *meant, *others[1:]]


def _calibration(found: Calibration | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "observed_vol": found.observed_vol,
        "fundamental_vol": found.fundamental_vol,
        "closed_vol": found.closed_vol,
        "double_counted_vol": found.double_counted_vol,
        "hours": found.horizon_hours,
        "paths": found.paths,
    }


def versions() -> dict[str, str]:
    """What was computed with: a run repeats to the bit on the same ones."""
    from tailwag import __version__

    return {"tailwag": __version__, "python": python_version(), "numpy": np.__version__, "numba": version("numba")}


def assumptions(file: ScenarioFile, run: Run, notes: tuple[str, ...]) -> dict[str, Any]:
    """What was assumed: the market's numbers, every agent's rule, and sentences on what the data do not say."""
    scenario = run.scenario
    grid = scenario.grid
    return {
        "start": None if scenario.start_ns is None else format_time(scenario.start_ns),
        "spot_usd": scenario.spot_usd,
        "hours": grid.horizon_years * HOURS_PER_YEAR,
        "steps": grid.steps,
        "step_minutes": float(grid.step_years[0]) * HOURS_PER_YEAR * 60.0 if grid.is_uniform else None,
        "clearing": scenario.clearing,
        "auction_every_minutes": _auction_minutes(scenario),
        "price_model": price_kind(scenario.price),
        "price_vol": scenario.price.annual_vol,
        "vol_is": file.vol_is,
        "impact_per_usd": scenario.impact.small_signal_per_usd(scenario.spot_usd),
        "lasting_impact_per_usd": scenario.impact.lasting_per_usd(scenario.spot_usd),
        "starting_gain": starting_gain(scenario),
        "starting_gain_with_vanna": gain_with_vanna(scenario),
        "agents": [_agent(agent, scenario.spot_usd) for agent in everybody(scenario)],
        "notes": [*file.notes, *notes],
    }


def _auction_minutes(scenario: Scenario) -> float | None:
    """Minutes from one auction to the next; None where orders clear in every step."""
    if scenario.batch_steps == 1 or not scenario.grid.is_uniform:
        return None
    return scenario.batch_steps * float(scenario.grid.step_years[0]) * HOURS_PER_YEAR * 60.0


_KINDS: dict[type, str] = {
    Dealer: "dealer",
    LiquidationLadder: "liquidation-ladder",
    LeveragedTraders: "leveraged-traders",
    MarginedBook: "margined-book",
    PoolArbitrage: "cpmm",
    LpHedger: "lp-hedger",
    Crab: "crab",
    QuotingDealer: "quoting-dealer",
    GammaSqueezer: "squeezer",
    BlockSeller: "block-seller",
    OptionFlow: "option-flow",
    OptionsAmm: "options-amm",
    Arbitrageur: "arbitrageur",
}


def agent_kind(agent: Any) -> str:
    """The kind of a scenario file that makes such an agent; "own" where none does."""
    return _KINDS.get(type(agent), "own")


def _agent(agent: Any, spot_usd: float) -> dict[str, Any]:
    return {
        "name": agent.name,
        "kind": agent_kind(agent),
        "policy": str(getattr(agent, "policy", agent)),
        "execution": str(getattr(agent, "execution", "at the market")),
        "delay_steps": agent.delay_steps,
        "hedge_share": getattr(agent, "hedge_share", 1.0),
        "options": 0 if getattr(agent, "options", None) is None else agent.options.rows,
        "starting_dollar_gamma_usd": agent.starting_dollar_gamma_usd(spot_usd),
    }


def _outcomes(run: Run, metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """Every way a path can end, with its share and interval, none left out."""
    return [
        {"outcome": name, "paths": run.outcomes[name], "share": metrics[name], "sentence": Outcome[name.upper()].sentence}
        for name in (outcome.name.lower() for outcome in Outcome)
    ]


def _pnl(agent: dict[str, Any]) -> dict[str, Any]:
    """Mean profit of one agent in parts that sum to the total; what no part explains is the residual."""
    parts = agent["pnl_parts_usd"]
    return {"agent": agent["name"], "total_usd": agent["pnl_usd"], "parts_usd": {name: parts[name] for name in PNL_PARTS}}


def events(file: ScenarioFile) -> list[dict[str, Any]]:
    """What happens to the books inside the run: settlement averages that open, options that expire."""
    scenario = file.scenario
    found = [event for name, book in option_books(scenario) for event in _expiries(name, book, scenario)]
    return sorted(found, key=lambda event: (event["hours"], event["event"], event["agent"]))


def option_books(scenario: Scenario) -> list[tuple[str, OptionBook]]:
    """Every agent that holds options, by name."""
    held = [(agent.name, getattr(agent, "options", None)) for agent in scenario.agents]
    return [(name, book) for name, book in held if isinstance(book, OptionBook)]


def _expiries(name: str, book: OptionBook, scenario: Scenario) -> list[dict[str, Any]]:
    inside = (book.expiry_years > 0.0) & (book.expiry_years <= scenario.grid.horizon_years * (1.0 + 1e-12))
    rows = []
    for years in np.unique(book.expiry_years[inside]):
        mine = book.expiry_years == years
        held = {"agent": name, "options": int(mine.sum()), "contracts_coin": float(np.abs(book.contracts_coin[mine]).sum())}
        averaged = mine & book.averaged
        if averaged.any() and years > WINDOW_YEARS:
            rows.append({**_moment(float(years) - WINDOW_YEARS, scenario), "event": "settlement-average", **held})
        rows.append({**_moment(float(years), scenario), "event": "expiry", **held})
    return rows


def _moment(years: float, scenario: Scenario) -> dict[str, Any]:
    at = None if scenario.start_ns is None else format_time(scenario.start_ns + round(years * NS_PER_YEAR / 1000) * 1000)
    return {"hours": years * HOURS_PER_YEAR, "at": at}
