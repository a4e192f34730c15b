"""How often the sign of dealers' inventory from flow is not the sign that a rule gives: shares, intervals over days, and what assumptions do to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tailwag.experiments.study.inference import Design, block_bootstrap
from tailwag.experiments.study.trade_signs import FLAT_COIN, DailyBook
from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray
from tailwag.units import NS_PER_DAY

WEIGHTS = ("options", "contracts", "gamma")
"""Each open option of each day counts once, or by the contracts that dealers hold of it, or by those contracts' gamma in USD per 1 %."""
LEAST_BLOCKS = 3
WRONG_SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)


@dataclass(frozen=True, slots=True)
class Share:
    """A share of weight at which signs differ: over all days, its 95 % interval over blocks of days (None where days are too few), and day by day.

    ``at_least`` and ``at_most`` are what it could be whoever was the customer in the trades whose customer is not known.
    """

    value: float | None
    low: float | None
    high: float | None
    at_least: float | None
    at_most: float | None
    by_day: FloatArray


@dataclass(frozen=True, slots=True)
class Sampling:
    """How an interval is drawn: blocks of so many days, so many draws, and the seed."""

    block_days: int
    draws: int
    seed: int


def weights_of(book: DailyBook, held: FloatArray, weight: str) -> FloatArray:
    """Weight of each option on each day, (days, options): 0 where it is not open, flat, or (by gamma) no volatility has printed."""
    counts: BoolArray = book.open & (np.abs(held) > FLAT_COIN)
    size = np.ones(held.shape) if weight == "options" else np.abs(held)
    if weight == "gamma":
        size = size * np.nan_to_num(book.gamma_usd_per_pct)
    return np.where(counts, size, 0.0)


def differs(book: DailyBook, held: FloatArray, signs: FloatArray, weight: str) -> float | None:
    """Share of weight at which the sign of ``held`` (days, options) is not that of ``signs``; None where nothing weighs anything."""
    size = np.where(np.isnan(signs), 0.0, weights_of(book, held, weight))
    total = float(size.sum())
    return float(size[np.sign(held) != signs].sum()) / total if total > 0.0 else None


def sign_share(book: DailyBook, signs: FloatArray, weight: str, sampling: Sampling) -> Share:
    """How often flow's sign is not the rule's, with its interval and its bounds."""
    size = np.where(np.isnan(signs), 0.0, weights_of(book, book.held_coin, weight))
    other = np.sign(book.held_coin) != signs
    sure = np.abs(book.held_coin) > book.assumed_coin + FLAT_COIN
    total, differing = size.sum(axis=1), np.where(other, size, 0.0).sum(axis=1)
    whole = float(total.sum())
    if not whole > 0.0:
        return Share(None, None, None, None, None, np.full(total.shape, np.nan))
    low, high = interval(differing, total, book.end_ns, sampling)
    by_day = np.where(total > 0.0, differing / np.where(total > 0.0, total, 1.0), np.nan)
    surely = float(size[other & sure].sum()) / whole
    at_most = 1.0 - float(size[~other & sure].sum()) / whole
    return Share(float(differing.sum()) / whole, low, high, surely, at_most, by_day)


def interval(part: FloatArray, whole: FloatArray, time_ns: IntArray, sampling: Sampling) -> tuple[float | None, float | None]:
    """Middle 95 % of sum(part) / sum(whole) over samples of blocks of days, (days,) each; None where there are fewer than three blocks.

    The ratio is the least-squares slope of part / sqrt(whole) on sqrt(whole), which is how the bootstrap of the study takes it.
    """
    there = whole > 0.0
    if not there.any() or int(np.ptp(time_ns[there])) // NS_PER_DAY + 1 < LEAST_BLOCKS * sampling.block_days:
        return None, None
    root = np.sqrt(whole[there])
    design = Design(part[there] / root, root[:, None], ("share",), time_ns[there], {})
    drawn = block_bootstrap(design, block_ns=sampling.block_days * NS_PER_DAY, draws=sampling.draws, seed=sampling.seed)
    low, high = np.nanpercentile(drawn[:, 0], [2.5, 97.5])
    return float(low), float(high)


@dataclass(frozen=True, slots=True)
class NetSigns:
    """The book's net gamma on each day, USD per 1 %, + long: from flow, and as the rule would sign the same contracts; and on how many days signs differ."""

    flow_usd_per_pct: FloatArray
    rule_usd_per_pct: FloatArray
    days: int
    differing: int
    low: float | None
    high: float | None


def net_signs(book: DailyBook, signs: FloatArray, sampling: Sampling) -> NetSigns:
    """Signs of the whole book's gamma, flow against rule; days on which either is 0 are not counted."""
    size = np.where(np.isnan(signs), 0.0, weights_of(book, book.held_coin, "gamma"))
    flow, ruled = (np.sign(book.held_coin) * size).sum(axis=1), (np.nan_to_num(signs) * size).sum(axis=1)
    counts = ((flow != 0.0) & (ruled != 0.0)).astype(np.float64)
    other = np.where(np.sign(flow) != np.sign(ruled), counts, 0.0)
    low, high = interval(other, counts, book.end_ns, sampling)
    return NetSigns(flow, ruled, int(counts.sum()), int(other.sum()), low, high)


@dataclass(frozen=True, slots=True)
class WrongSides:
    """What becomes of the share if in ``share`` of the trades the customer is the maker: mean and 5 to 95 % over draws of which trades they are.

    ``undecided``: weight of the options whose sign could be either if the same share of each option's contracts had the other side, whichever they are.
    """

    share: float
    differs: float | None
    low: float | None
    high: float | None
    undecided: float | None


def wrong_sides(book: DailyBook, signs: FloatArray, weight: str, *, draws: int, seed: int) -> Iterator[WrongSides]:
    """The share of differing signs as more and more trades have the customer on the other side, drawn by chance."""
    size = weights_of(book, book.held_coin, weight)
    total = float(size.sum())
    for rank, share in enumerate(WRONG_SHARES):
        random = np.random.default_rng([seed, rank])
        found = [_turned(book, signs, weight, random, share) for _ in range(draws if share else 1)]
        values = np.array([value for value in found if value is not None])
        unsure = np.abs(book.held_coin) <= 2.0 * share * book.counted_coin + FLAT_COIN
        undecided = float(size[unsure].sum()) / total if total > 0.0 else None
        if not values.size:
            yield WrongSides(share, None, None, None, undecided)
            continue
        low, high = np.percentile(values, [5.0, 95.0])
        yield WrongSides(share, float(values.mean()), float(low), float(high), undecided)


def _turned(book: DailyBook, signs: FloatArray, weight: str, random: np.random.Generator, share: float) -> float | None:
    turned = np.where(random.random(book.prints.option.size) < share, -1.0, 1.0)
    return differs(book, book.held_with(turned * book.prints.known_coin), signs, weight)
