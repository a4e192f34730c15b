"""Draws docs/images/cross-margin.svg: one path of the run on docs/explanation/leverage-and-liquidations.md, its sellers on cross and on isolated margin.

Run: python tools/draw_margin.py
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from draw_evidence import INK, PAINTS, Drawing

from tailwag.margin.initial import initial_margin
from tailwag.margin.options import option_margin
from tailwag.margin.rulebook import rulebook
from tailwag.market.clock import parse_time_ns
from tailwag.sim.agents.margined_book import MarginedBook
from tailwag.sim.dynamics import Merton
from tailwag.sim.engine import init, plan_run, step
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.margined_terms import MarginTerms
from tailwag.sim.option_book import OptionBook
from tailwag.sim.scenario import Scenario
from tailwag.sources.rules import load_rules

TARGET = Path(__file__).resolve().parents[1] / "docs" / "images" / "cross-margin.svg"
DAY = parse_time_ns("2026-02-05T00:00:00Z")
SPOT, HOURS, PATHS, MOST = 70_000.0, 72, 200, 6.0
LEFT, RIGHT, WIDTH = 78, 700, 900
PANELS = ((50, 130), (230, 130), (410, 130))


@dataclass(frozen=True)
class Told:
    """What one arm did on all paths, (steps + 1, paths)."""

    price: Any
    ratios: tuple[Any, ...]
    hedge: Any


def market(margin: str) -> Scenario:
    """The page's market, 10 % of the collateral behind the perp where it is isolated."""
    table = load_rules("margin_deribit_btc")
    rules = rulebook(table, DAY)
    sold = OptionBook.single("call", strike_usd=73_000.0, expiry_years=7 / 365, contracts_coin=-4000.0, iv=0.6)
    asked = (option_margin(table, DAY), rules.maintenance, initial_margin(table, DAY).rule, rules.liquidation_fee_share)
    sellers = MarginedBook(
        "sellers", sold, MarginTerms(*asked, margin, accounts=80), 4.5e7, 0, 0.0, hedge_collateral_share=0.1, fund_usd=2e6
    )
    grid, price = TimeGrid.uniform(horizon_days=HOURS / 24, step_minutes=60.0), Merton(0.6, 150.0, -0.01, 0.06)
    return Scenario(SPOT, grid, price, ImpactModel(permanent_per_usd=5e-11), (sellers,), "implicit")


def played(margin: str) -> Told:
    """Every step of all paths."""
    plan = plan_run(market(margin), seed=7)
    states = [init(plan, 0, PATHS)]
    for _ in range(HOURS):
        states.append(step(plan, states[-1]))
    trader: Any = plan.seats[0].trader
    purses = [trader.purses(state.step, state.log_price, state.vol_shift, state.seats[0].memory) for state in states]
    if margin == "cross":
        kinds = ([options + perp for options, perp in purses],)
    else:
        kinds = ([options for options, _ in purses], [perp for _, perp in purses])
    ratios = tuple(np.array([_ratio(purse) for purse in kind]) for kind in kinds)
    price = np.array([SPOT * np.exp(state.log_price) for state in states])
    return Told(price, ratios, np.array([state.seats[0].memory.accounts.perp_coin for state in states]))


def _ratio(purse: Any) -> Any:
    return np.where(purse.needed_usd > 0.0, purse.equity_usd / np.where(purse.needed_usd > 0.0, purse.needed_usd, 1.0), np.nan)


def chosen(cross: Told, isolated: Told) -> int:
    """The path on which the isolated hedge falls furthest short of the other while cross margin is never called, and the price comes back."""
    calm = (cross.ratios[0] > 1.0).all(axis=0) & (cross.price[-1] > SPOT)
    short = (cross.hedge - isolated.hedge).max(axis=0)
    return int(np.argmax(np.where(calm, short, -np.inf)))


def main() -> None:
    """Draw it."""
    cross, isolated = played("cross"), played("isolated")
    path = chosen(cross, isolated)
    drawing = Drawing(WIDTH, 590)
    drawing.words(LEFT, 24, "One path, the same shocks: sellers of 4,000 calls at 73,000 and their perp hedge", colour=INK, bold=True)
    words = ("cross: one purse", "isolated: options", "isolated: perp")
    lines = (cross.ratios[0][:, path], isolated.ratios[0][:, path], isolated.ratios[1][:, path])
    panel(drawing, PANELS[0], "price, USD", [(cross.price[:, path], PAINTS[1], "cross"), (isolated.price[:, path], PAINTS[0], "isolated")])
    colours = (PAINTS[1], PAINTS[3], PAINTS[0])
    capped = [(np.where(line < MOST, line, np.nan), colour, word) for line, colour, word in zip(lines, colours, words)]
    panel(drawing, PANELS[1], "equity over maintenance margin (called at 1; none where nothing is held)", capped, level=1.0)
    hedges = [(cross.hedge[:, path], PAINTS[1], "cross"), (isolated.hedge[:, path], PAINTS[0], "isolated")]
    panel(drawing, PANELS[2], "perp held as a hedge, coin", hedges)
    for hour in range(0, HOURS + 1, 12):
        drawing.words(LEFT + (RIGHT - LEFT) * hour / HOURS, 576, f"{hour} h", anchor="middle")
    TARGET.write_text(drawing.text(), encoding="utf-8")
    print(f"path {path}: {TARGET}")


def panel(drawing: Drawing, place: tuple[int, int], title: str, lines: list[tuple[Any, str, str]], *, level: float | None = None) -> None:
    """Lines over the hours with their names at the right and three marks at the left."""
    top, height = place
    known = np.concatenate([line[np.isfinite(line)] for line, _, _ in lines])
    low, high = (0.0, MOST) if level is not None else (float(known.min()), float(known.max()))

    def at(value: float) -> float:
        return top + height - height * (value - low) / (high - low)

    drawing.words(LEFT, top, title, colour=INK)
    if level is None:
        unit = 10.0 ** math.floor(math.log10(high - low))
        low, high = math.floor(low / unit) * unit, math.ceil(high / unit) * unit
    for value in (low, 0.5 * (low + high), high):
        drawing.words(LEFT - 8, at(value) + 16, f"{value:,.0f}", anchor="end")
        drawing.line([(LEFT, at(value) + 12), (RIGHT, at(value) + 12)], "#e4e8ee", width=1)
    if level is not None:
        drawing.line([(LEFT, at(level) + 12), (RIGHT, at(level) + 12)], INK, width=1, dash="4 3")
    ends: list[tuple[float, str, str]] = []
    for line, colour, word in lines:
        points = [
            (LEFT + (RIGHT - LEFT) * hour / HOURS, at(float(value)) + 12) if np.isfinite(value) else None for hour, value in enumerate(line)
        ]
        drawing.line(points, colour, width=2)
        ends.append((next((point for point in reversed(points) if point is not None), (0.0, float(top)))[1] + 5, word, colour))
    last = -math.inf
    for end, word, colour in sorted(ends):
        last = max(end, last + 16)
        drawing.words(RIGHT + 10, last, word, colour=colour, bold=True)


if __name__ == "__main__":
    main()
