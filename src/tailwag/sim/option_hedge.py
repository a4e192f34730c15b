"""Hedging a dealer's gamma or vega with listed options before the run: bought once, at the start, and then delta-hedged like the rest.

The rules "gamma-neutral" and "vega-neutral" are what a dealer does to its book, not when it trades coin: the options it buys stand in the book
from the start, their half-spread is booked as a cost of the start, and its own policy re-hedges the delta of all of it.  The hedge is static:
as time passes and the price moves, gamma and vega come back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tailwag.errors import InputError, UnitError
from tailwag.hedging.portfolio import Candidates, OptionHedge, cheapest_hedge
from tailwag.kernels.arrays import FloatArray, frozen
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.option_book import OptionBook, book_greeks
from tailwag.units import VOLPT

__all__ = ["NEUTRALITIES", "ListedOptions", "NeutralBook", "neutral_dealer", "neutralised"]

NEUTRALITIES: dict[str, tuple[bool, bool]] = {
    "gamma-neutral": (True, False),
    "vega-neutral": (False, True),
    "gamma-vega-neutral": (True, True),
}
"""What each rule makes zero: (gamma, vega)."""
ROUNDING = 1e-13
"""A greek below this share of the book's gross is none: nobody trades against the last digit of a sum."""
MOST_HALF_SPREAD_VOLPT = 100.0
DAYS_PER_YEAR = 365.0


@dataclass(frozen=True, slots=True, eq=False)
class ListedOptions:
    """Options on offer: one coin of each row of ``options``, at its vol plus or minus ``half_spread_volpt`` vol points, (n,).

    >>> listed = ListedOptions.from_book(OptionBook.single(strike_usd=6e4, expiry_years=30 / 365, contracts_coin=-9.0, iv=0.6),
    ...                                  half_spread_volpt=0.5)
    >>> listed.names, listed.options.contracts_coin.tolist()
    (('call 60000 30 d',), [1.0])

    Raises InputError for another number of names or spreads than options, UnitError for a half-spread below 0 or above 100 vol points.
    """

    names: tuple[str, ...]
    options: OptionBook
    half_spread_volpt: FloatArray

    def __post_init__(self) -> None:
        spreads = frozen(self.half_spread_volpt)
        if spreads.shape != (self.options.rows,) or len(self.names) != self.options.rows:
            raise InputError(
                f"expected a name and a half-spread for each of {self.options.rows} listed options, got {len(self.names)} names and "
                f"spreads of shape {spreads.shape}"
            )
        if not ((spreads >= 0.0) & (spreads <= MOST_HALF_SPREAD_VOLPT)).all():
            raise UnitError(
                f"expected half-spreads from 0 to {MOST_HALF_SPREAD_VOLPT:g} vol points, got {spreads.tolist()[:5]}; 0.5 is half a point"
            )
        object.__setattr__(self, "half_spread_volpt", spreads)
        object.__setattr__(self, "options", replace(self.options, contracts_coin=np.ones(self.options.rows)))

    @classmethod
    def from_book(cls, book: OptionBook, *, half_spread_volpt: Any, names: Sequence[str] | None = None) -> ListedOptions:
        """The options of a measured book as what is on offer: settled rows left out, each distinct option once.

        ``half_spread_volpt``: one number, or one for each row of the book.
        """
        spreads = np.broadcast_to(np.asarray(half_spread_volpt, dtype=np.float64), (book.rows,))
        columns = np.column_stack([book.expiry_years, book.strike_usd, book.right, book.iv, book.forward_ratio, book.skew, book.averaged])
        kept = np.sort(np.unique(columns, axis=0, return_index=True)[1])
        kept = kept[book.expiry_years[kept] > 0.0]
        chosen = np.zeros(book.rows, dtype=bool)
        chosen[kept] = True
        options = book.where(chosen)
        called = _names(options) if names is None else tuple(name for name, keep in zip(names, chosen, strict=True) if keep)
        return cls(called, options, spreads[chosen])

    def candidates(self, spot_usd: float) -> Candidates:
        """Greeks, prices and half-spreads in USD at the start; half-spread = vega x half_spread_volpt / 100."""
        rows = np.eye(self.options.rows, dtype=bool)
        each = np.array([_greeks(self.options.where(row), spot_usd) for row in rows]).reshape(-1, 4).T
        price, delta, gamma_usd, vega = each
        return Candidates.from_columns(
            self.names,
            gamma_usd=gamma_usd,
            vega_usd=vega,
            delta_coin=delta,
            price_usd=price,
            half_spread_usd=np.maximum(vega, 0.0) * self.half_spread_volpt * VOLPT,
        )


@dataclass(frozen=True, slots=True, eq=False)
class NeutralBook:
    """A book with the listed options that neutralise it at the start, what they cost, and what is left.

    ``gamma_usd`` and ``vega_usd`` are the book's own, before the trade; ``hedge`` holds the amounts and what remains.
    """

    rule: str
    options: OptionBook
    hedge: OptionHedge
    gamma_usd: float
    vega_usd: float

    @property
    def cost_usd(self) -> float:
        """Half-spreads paid for the listed options; the premium is exchanged for their value."""
        return self.hedge.cost_usd

    def __str__(self) -> str:
        return f"{self.rule} at the start, once: {self.hedge}"


def neutralised(book: OptionBook, listed: ListedOptions, *, spot_usd: float, rule: str) -> NeutralBook:
    """The cheapest listed options that make a book's gamma, vega or both zero at the start, added to the book.

    ``rule``: "gamma-neutral", "vega-neutral" or "gamma-vega-neutral".

    >>> book = OptionBook.single("put", strike_usd=5e4, expiry_years=14 / 365, contracts_coin=-100.0, iv=0.7)
    >>> listed = ListedOptions.from_book(OptionBook.single(strike_usd=6e4, expiry_years=30 / 365, contracts_coin=1.0, iv=0.6),
    ...                                  half_spread_volpt=0.5)
    >>> neutral = neutralised(book, listed, spot_usd=6e4, rule="gamma-neutral")
    >>> neutral.hedge.amount_coin.round(2).tolist(), round(neutral.cost_usd), neutral.hedge.residual_gamma_usd
    ([47.37], 1619, 0.0)

    Raises InputError for another rule, and where no option or pair of options can do it.
    """
    if rule not in NEUTRALITIES:
        raise InputError(f"expected a rule of {', '.join(NEUTRALITIES)}, got {rule!r}")
    gamma, vega = NEUTRALITIES[rule]
    _, delta_coin, gamma_usd, vega_usd = _greeks(book, spot_usd)
    _, _, gross_gamma_usd, gross_vega_usd = _greeks(replace(book, contracts_coin=np.abs(book.contracts_coin)), spot_usd)
    hedge = cheapest_hedge(
        listed.candidates(spot_usd),
        gamma_usd=gamma_usd,
        vega_usd=vega_usd,
        delta_coin=delta_coin,
        gamma_within_usd=ROUNDING * abs(gross_gamma_usd) if gamma else float("inf"),
        vega_within_usd=ROUNDING * abs(gross_vega_usd) if vega else float("inf"),
    )
    traded = hedge.amount_coin != 0.0
    bought = replace(listed.options, contracts_coin=hedge.amount_coin).where(traded)
    return NeutralBook(rule, book.merged(bought) if traded.any() else book, hedge, gamma_usd, vega_usd)


def neutral_dealer(dealer: Dealer, listed: ListedOptions, *, spot_usd: float, rule: str) -> tuple[Dealer, NeutralBook]:
    """A dealer that neutralises its whole book with listed options at the start and re-hedges the delta of it all by its own policy.

    The half-spreads stand in its profit as spread paid at time 0, with liquidity providers on the other side.
    Raises InputError for a dealer of a constant gamma, which has no options to offset.
    """
    if dealer.options is None:
        raise InputError(f"agent {dealer.name!r}: {rule} hedging wants a list of options, got a constant gamma")
    neutral = neutralised(dealer.options, listed, spot_usd=spot_usd, rule=rule)
    return replace(dealer, options=neutral.options, opening_cost_usd=dealer.opening_cost_usd + neutral.cost_usd), neutral


def _greeks(book: OptionBook, spot_usd: float) -> tuple[float, float, float, float]:
    """Value, delta in coin, dollar gamma and vega per 1.00 of vol, at the start."""
    nowhere = np.zeros(1)
    found = book_greeks(book, 0.0, spot_usd, nowhere, nowhere, running_average_usd=np.full(1, spot_usd))[:, 0]
    return float(found[0]), float(found[1]), float(found[2]) * spot_usd**2, float(found[3])


def _names(options: OptionBook) -> tuple[str, ...]:
    rows = zip(options.right, options.strike_usd, options.expiry_years)
    return tuple(f"{'call' if right > 0 else 'put'} {strike:.10g} {years * DAYS_PER_YEAR:.4g} d" for right, strike, years in rows)
