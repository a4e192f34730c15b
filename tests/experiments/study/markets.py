"""Simulated markets for the study: many short histories with a known gain, and what each hypothesis says of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tailwag.experiments.study.expiry import expiry_design
from tailwag.experiments.study.inference import Design
from tailwag.experiments.study.known import Known
from tailwag.experiments.study.pinning import Pins, pins
from tailwag.experiments.study.realised import realised_design
from tailwag.experiments.study.returns import Returns, grid_returns
from tailwag.experiments.study.reversal import reversal_design, shocks_design
from tailwag.experiments.study.simulated import (
    START_NS,
    STEP_MINUTES,
    SimulatedHistory,
    gain_path,
    simulated_moves,
    stretched,
    uninformed,
)
from tailwag.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE

STEP_NS = int(STEP_MINUTES * NS_PER_MINUTE)
HALF_DAY, DAY = 48, 96
HALF_DAYS = 340
"""150 days after the 20 whose trend is among the controls."""


def gains_of(runs: int, segments: int, seed: int, **spread: float) -> np.ndarray:
    draw = np.random.default_rng(seed)
    return np.stack([gain_path(segments, draw, **spread) for _ in range(runs)])


def late_histories(
    runs: int, *, seed: int, segments: int = HALF_DAYS, known: np.ndarray | None = None, still: bool = False
) -> Iterator[SimulatedHistory]:
    """Half days of late hedging with a gain each; ``known`` says other gains than those at work; ``still``: nobody hedges."""
    gains = gains_of(runs, segments, seed) * (not still)
    moves = simulated_moves(gains.ravel(), HALF_DAY, late=True, seed=seed).reshape(runs, segments, HALF_DAY)
    for run in range(runs):
        made = stretched(moves[run], gains[run], gap=True)
        yield made if known is None else SimulatedHistory(made.returns, replace(made.known, gain=known[run]))


def reversals(runs: int, *, seed: int, unrelated: bool = False, still: bool = False) -> Iterator[Design]:
    known = gains_of(runs, HALF_DAYS, seed + 1_000) if unrelated or still else None
    for made in late_histories(runs, seed=seed, known=known, still=still):
        yield reversal_design(made.known, made.returns, most_age_hours=13)


def vols(
    runs: int, *, seed: int, hours: int = 24, unrelated: bool = False, implied: bool = False, blind: bool = False, days: int = 180
) -> Iterator[Design]:
    """Days of hedging in the step of the move, each with a gain; implied vol is left out, knows everything (``implied``), or nothing (``blind``)."""
    gains = gains_of(runs, days, seed, persistence=0.8)
    moves = simulated_moves(gains.ravel(), DAY, late=False, seed=seed).reshape(runs, days, DAY)
    others = gains_of(runs, days, seed + 1_000, persistence=0.8)
    for run in range(runs):
        made = stretched(moves[run], gains[run], gap=False)
        known = replace(made.known, gain=others[run]) if unrelated else made.known
        if implied:
            noise = np.exp(np.random.default_rng(seed + run).normal(0.0, 0.05, days))
            known = replace(known, atm_iv_1d=0.6 / (1.0 - gains[run]) * noise)
        yield realised_design(known, made.returns, hours=hours, gain_below=0.9, implied=implied or blind)


def expiries(runs: int, *, seed: int, unrelated: bool = False, days: int = 150) -> Iterator[Design]:
    """Days whose gain changes at 08:00: the part that expires is drawn beside the part that stays."""
    before, after = gains_of(runs, days, seed, persistence=0.0), gains_of(runs, days, seed + 1, persistence=0.0)
    early = simulated_moves(before.ravel(), 32, late=False, seed=seed).reshape(runs, days, 32)
    later = simulated_moves(after.ravel(), 64, late=False, seed=seed + 2).reshape(runs, days, 64)
    said = (
        (gains_of(runs, days, seed + 3, persistence=0.0), gains_of(runs, days, seed + 4, persistence=0.0)) if unrelated else (before, after)
    )
    for run in range(runs):
        price = np.concatenate([[0.0], np.cumsum(np.concatenate([early[run], later[run]], axis=1))])
        returns = grid_returns(START_NS - STEP_NS + STEP_NS * np.arange(price.size), np.exp(price), STEP_NS)
        known = with_expiry(said[0][run], said[0][run] - said[1][run])
        yield expiry_design(known, returns, most_age_hours=12, gain_below=0.9)


def with_expiry(gains: np.ndarray, expiring: np.ndarray) -> Known:
    """Known an hour after midnight, with the day's expiry at 08:00."""
    midnight = START_NS + NS_PER_DAY * np.arange(gains.size)
    told = uninformed(midnight + NS_PER_HOUR, gains)
    share = 0.1 + 0.05 * np.cos(2.0 * np.arange(gains.size))
    return replace(told, expiring_gain=expiring, expiring_gross_gain=share * told.gross_gain, next_expiry_ns=midnight + 8 * NS_PER_HOUR)


def shocked(runs: int, *, seed: int, unrelated: bool = False, still: bool = False, days: int = 170) -> Iterator[Design]:
    """Hours whose hedging arrives an hour late: steps of an hour, told in quarters that share the hour's move."""
    gains = gains_of(runs, days, seed) * (not still)
    moves = simulated_moves(gains.ravel(), 24, late=True, seed=seed).reshape(runs, days * 24)
    said = gains_of(runs, days, seed + 1_000) if unrelated or still else gains
    for run in range(runs):
        quarters = np.repeat(moves[run] / 4.0, 4)
        returns = grid_returns(
            START_NS - STEP_NS + STEP_NS * np.arange(quarters.size + 1), np.exp(np.concatenate([[0.0], np.cumsum(quarters)])), STEP_NS
        )
        known = uninformed(START_NS + NS_PER_DAY * np.arange(days), said[run])
        yield shocks_design(known, returns, most_age_hours=25)


def drawn_to_strikes(*, seed: int, pull: float, days: int = 150) -> tuple[Pins, Returns]:
    """Twelve hours to each expiry, in which price goes ``pull`` of the way to the strike beside chance."""
    draw = np.random.default_rng(seed)
    spot, cells, price = 0.0, [], []
    strikes, spots = np.empty(days), np.empty(days)
    for day in range(days):
        spots[day], strikes[day] = spot, spot + draw.uniform(0.004, 0.02) * draw.choice([-1.0, 1.0])
        moves = draw.normal(0.0, 0.5 * np.sqrt(1.0 / 365 / 96), 96)
        moves[:48] += pull * (strikes[day] - spot) / 48
        cells.extend(range(day * 96, day * 96 + 96))
        price.extend(spot + np.cumsum(moves))
        spot = price[-1]
    evening = START_NS - 4 * NS_PER_HOUR
    returns = grid_returns(evening + STEP_NS * np.asarray(cells), np.exp(np.asarray(price)), STEP_NS)
    told = uninformed(evening + NS_PER_DAY * np.arange(days), np.zeros(days), iv=0.5)
    known = replace(
        told,
        spot_usd=np.exp(spots),
        near_strike_usd=np.exp(strikes),
        next_expiry_ns=evening + NS_PER_DAY * np.arange(days) + 12 * NS_PER_HOUR,
    )
    return pins(known, returns, most_age_hours=1), returns


def shocked_early(runs: int, *, seed: int, days: int = 170) -> Iterator[Design]:
    """Hours whose hedging arrives a quarter of an hour late already."""
    for run in range(runs):
        gains = gain_path(days, np.random.default_rng(seed + run))
        made = stretched(simulated_moves(gains, DAY, late=True, seed=seed + run), gains, gap=False)
        yield shocks_design(made.known, made.returns, most_age_hours=25)


def lasting_vols(runs: int, *, seed: int, hours: int, days: int = 180) -> Iterator[Design]:
    """Days whose vol lasts, amplified in the step of the move by a gain of each day; implied vol is left out."""
    for run in range(runs):
        draw = np.random.default_rng(seed + run)
        gains, level, moves = gain_path(days, draw, persistence=0.8), 0.0, []
        for gain in gains:
            moves.append(0.5 * np.exp(level) / (1.0 - gain) * np.sqrt(1.0 / 365 / DAY) * draw.normal(size=DAY))
            level = 0.95 * level + draw.normal(0.0, 0.12)
        price = np.concatenate([[0.0], np.cumsum(np.concatenate(moves))])
        returns = grid_returns(START_NS - STEP_NS + STEP_NS * np.arange(price.size), np.exp(price), STEP_NS)
        yield realised_design(
            uninformed(START_NS + NS_PER_DAY * np.arange(days), gains), returns, hours=hours, gain_below=0.9, implied=False
        )
