"""Hedging gamma and vega with listed options: the cheapest amounts that make a book neutral, or neutral enough.

Minimise sum of half_spread_i |amount_i| so that the book's dollar gamma and vega end inside +- a stated tolerance. A linear programme with
two range constraints has a best corner that uses at most two options, so all single options and all pairs are tried at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import FloatArray, frozen
from tailwag.liquidity.money import dollars

PARALLEL = 1e-12
"""Two options whose gamma/vega ratios agree to this are one and the same hedge."""
ROUNDING = 1e-9
"""Slack, as a share of the book's own greek, that floating point may take."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Listed options on offer, per coin of option held long: greeks, mid price and half-spread.

    Shapes: (options,).  ``gamma_usd`` is dollar gamma S^2 Gamma, ``vega_usd`` per 1.00 of vol, ``delta_coin`` the hedge delta.
    ``half_spread_usd``: half the quoted spread plus fees, what one coin of option costs to trade either way.
    """

    names: tuple[str, ...]
    gamma_usd: FloatArray
    vega_usd: FloatArray
    delta_coin: FloatArray
    price_usd: FloatArray
    half_spread_usd: FloatArray

    @classmethod
    def from_columns(
        cls,
        names: Sequence[str],
        *,
        gamma_usd: Sequence[float] | FloatArray,
        vega_usd: Sequence[float] | FloatArray,
        delta_coin: Sequence[float] | FloatArray,
        price_usd: Sequence[float] | FloatArray,
        half_spread_usd: Sequence[float] | FloatArray,
    ) -> Candidates:
        """Candidates from plain columns of one length.

        Raises InputError where a column has another length than ``names``, a number is not finite, or a half-spread is negative: leave
        options without a quote out.
        """
        columns = {"gamma_usd": gamma_usd, "vega_usd": vega_usd, "delta_coin": delta_coin, "price_usd": price_usd}
        arrays = {name: frozen(column) for name, column in {**columns, "half_spread_usd": half_spread_usd}.items()}
        for name, array in arrays.items():
            if array.shape != (len(names),):
                raise InputError(f"expected {len(names)} numbers in {name}, one per option, got shape {array.shape}")
            bad = ~np.isfinite(array) | ((array < 0.0) if name == "half_spread_usd" else False)
            if bad.any():
                first = int(np.argmax(bad))
                raise InputError(
                    f"{names[first]}: expected a finite {name}{', 0 or more' if name == 'half_spread_usd' else ''}, got {array[first]}"
                )
        return cls(tuple(names), **arrays)


@dataclass(frozen=True, slots=True)
class OptionHedge:
    """The cheapest trade in listed options, what it costs, and what it leaves.

    ``amount_coin`` (options,): + buy, - sell.  ``cost_usd``: half-spreads paid.  ``premium_usd``: paid (+) or received (-) at mid.  The
    residual greeks are the book's after the trade; the delta is then hedged in the underlying.
    """

    names: tuple[str, ...]
    amount_coin: FloatArray
    cost_usd: float
    premium_usd: float
    residual_gamma_usd: float
    residual_vega_usd: float
    residual_delta_coin: float

    def __str__(self) -> str:
        legs = [
            f"{'buy' if x > 0 else 'sell'} {abs(x):,.4g} {name}" for name, x in zip(self.names, self.amount_coin, strict=True) if x != 0.0
        ]
        then = f"leaves dollar gamma {dollars(self.residual_gamma_usd)} and vega {dollars(0.01 * self.residual_vega_usd)} per vol point"
        delta = (
            f"hedge {abs(self.residual_delta_coin):,.4g} coin {'long' if self.residual_delta_coin > 0 else 'short'} delta in the underlying"
        )
        return f"{' and '.join(legs) or 'trade no option'}: costs {dollars(self.cost_usd)} in half-spreads; {then}; {delta}"


def cheapest_hedge(
    candidates: Candidates,
    *,
    gamma_usd: float,
    vega_usd: float,
    delta_coin: float,
    gamma_within_usd: float,
    vega_within_usd: float,
) -> OptionHedge:
    """The least-cost option trade that brings a book's dollar gamma and vega inside a tolerance of zero.

    ``gamma_usd``, ``vega_usd``, ``delta_coin``: the book's greeks, long +.  ``gamma_within_usd``, ``vega_within_usd``: 0 for exactly neutral,
    inf for a greek that may be anything.  Of equally cheap trades the smaller one is taken, then the one listed first.

    >>> options = Candidates.from_columns(["near", "far"], gamma_usd=[4e5, 2e5], vega_usd=[1e3, 2e3], delta_coin=[0.5, 0.5],
    ...                                   price_usd=[900.0, 1800.0], half_spread_usd=[9.0, 12.0])
    >>> hedge = cheapest_hedge(options, gamma_usd=-8e6, vega_usd=-2e4, delta_coin=0.0, gamma_within_usd=0.0, vega_within_usd=0.0)
    >>> hedge.amount_coin.tolist(), hedge.cost_usd
    ([20.0, 0.0], 180.0)

    Raises InputError where no option, or pair of options, can do it.
    """
    book, within = np.array([gamma_usd, vega_usd]), np.array([gamma_within_usd, vega_within_usd])
    if not (np.isfinite([gamma_usd, vega_usd, delta_coin]).all() and (within >= 0.0).all()):
        raise InputError(
            f"expected finite greeks and tolerances of 0 or more, got {gamma_usd}, {vega_usd}, {delta_coin} within {gamma_within_usd}, {vega_within_usd}"
        )
    amount = np.zeros(len(candidates.names))
    if not (np.abs(book) <= within).all():
        _fill_cheapest(amount, candidates, book, within)
    residual = _clean(book + _greeks(candidates) @ amount, book)
    return OptionHedge(
        names=candidates.names,
        amount_coin=frozen(amount),
        cost_usd=float(candidates.half_spread_usd @ np.abs(amount)),
        premium_usd=float(candidates.price_usd @ amount),
        residual_gamma_usd=float(residual[0]),
        residual_vega_usd=float(residual[1]),
        residual_delta_coin=delta_coin + float(candidates.delta_coin @ amount),
    )


def _greeks(candidates: Candidates) -> FloatArray:
    return np.array([candidates.gamma_usd, candidates.vega_usd])


def _clean(residual: FloatArray, book: FloatArray) -> FloatArray:
    return np.where(np.abs(residual) <= ROUNDING * np.abs(book), 0.0, residual)


def _fill_cheapest(amount: FloatArray, candidates: Candidates, book: FloatArray, within: FloatArray) -> None:
    """Write the best corner's amounts into ``amount``."""
    greeks, spread = _greeks(candidates), candidates.half_spread_usd
    trades = [_singles(greeks, book, within), _pairs(greeks, book, within)]
    legs = np.concatenate([legs for legs, _ in trades])
    sizes = np.concatenate([sizes for _, sizes in trades])
    if not len(legs):
        raise InputError(
            f"none of the {len(candidates.names)} options, and no two of them, bring dollar gamma {dollars(float(book[0]))} and vega "
            f"{dollars(0.01 * float(book[1]))} per vol point inside the tolerances; offer options of another expiry or strike, or allow a wider tolerance"
        )
    cost = np.sum(spread[legs] * np.abs(sizes), axis=1)
    best = np.lexsort((np.sum(np.abs(sizes), axis=1), cost))[0]
    amount[legs[best, 0]] += sizes[best, 0]
    amount[legs[best, 1]] += sizes[best, 1]


def _targets(book: FloatArray, within: FloatArray, greek: int) -> FloatArray:
    """The changes (0, 1 or 2 of them) that bring one greek just inside its tolerance, from either side."""
    return np.unique([-book[greek] - within[greek], -book[greek] + within[greek]]) if math.isfinite(within[greek]) else np.empty(0)


def _singles(greeks: FloatArray, book: FloatArray, within: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Legs (trades, 2) and sizes of all one-option trades that put one greek on its bound and leave the other inside."""
    legs, sizes = [np.empty((0, 2), dtype=np.int64)], [np.empty((0, 2))]
    for greek in (0, 1):
        useful = np.flatnonzero(greeks[greek])
        for target in _targets(book, within, greek):
            size = target / greeks[greek, useful]
            other = book[1 - greek] + greeks[1 - greek, useful] * size
            fits = np.abs(other) <= within[1 - greek] + ROUNDING * np.abs(book[1 - greek])
            legs.append(np.column_stack([useful[fits], useful[fits]]))
            sizes.append(np.column_stack([size[fits], np.zeros(int(fits.sum()))]))
    return np.concatenate(legs), np.concatenate(sizes)


def _pairs(greeks: FloatArray, book: FloatArray, within: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Legs (trades, 2) and sizes of all two-option trades that put both greeks on a bound."""
    first, second = np.triu_indices(greeks.shape[1], k=1)
    (g1, v1), (g2, v2) = greeks[:, first], greeks[:, second]
    straight, crossed = g1 * v2, g2 * v1
    apart = np.abs(straight - crossed) > PARALLEL * (np.abs(straight) + np.abs(crossed))
    first, second, g1, v1, g2, v2 = (x[apart] for x in (first, second, g1, v1, g2, v2))
    determinant = g1 * v2 - g2 * v1
    legs, sizes = [np.empty((0, 2), dtype=np.int64)], [np.empty((0, 2))]
    for gamma in _targets(book, within, 0):
        for vega in _targets(book, within, 1):
            legs.append(np.column_stack([first, second]))
            sizes.append(np.column_stack([(gamma * v2 - vega * g2) / determinant, (vega * g1 - gamma * v1) / determinant]))
    return np.concatenate(legs), np.concatenate(sizes)
