"""Rules that sign open interest as a whole: the conventions, the bounds, a stated share, and what the literature reports."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tailwag.errors import RuleError
from tailwag.kernels.arrays import FloatArray
from tailwag.market.chain import Chain
from tailwag.positioning.held import Positions, signed_open_interest


@dataclass(frozen=True, slots=True)
class LongCallsShortPuts:
    """Dealers are long every call and short every put: the convention of most public gamma tools."""

    name: str = field(default="long-calls-short-puts", init=False)

    def infer(self, chain: Chain, *, forward_usd: FloatArray | None = None) -> Positions:
        """Dealer = + open interest of calls, - open interest of puts."""
        return signed_open_interest(
            chain,
            np.where(chain.is_call, 1.0, -1.0),
            rule=self.name,
            citation="Perfiliev, How to calculate gamma exposure (2022); SqueezeMetrics, The implied order book (2020)",
            assumption="customers sell all calls (overwriting) and buy all puts (protection)",
        )


@dataclass(frozen=True, slots=True)
class ShortAll:
    """Dealers are short every option: the worst case, which bounds the amplification."""

    name: str = field(default="short-all", init=False)

    def infer(self, chain: Chain, *, forward_usd: FloatArray | None = None) -> Positions:
        """Dealer = - open interest."""
        return signed_open_interest(
            chain, -1.0, rule=self.name, citation="bound: every contract sold by a hedger", assumption="customers are long every option"
        )


@dataclass(frozen=True, slots=True)
class LongAll:
    """Dealers are long every option: the bound on damping."""

    name: str = field(default="long-all", init=False)

    def infer(self, chain: Chain, *, forward_usd: FloatArray | None = None) -> Positions:
        """Dealer = + open interest."""
        return signed_open_interest(
            chain, 1.0, rule=self.name, citation="bound: every contract bought by a hedger", assumption="customers are short every option"
        )


@dataclass(frozen=True, slots=True)
class CustomersBuy:
    """Customers hold the long side of a stated share of open interest, whatever the contract."""

    share: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            raise RuleError(f"customers-buy needs a share between 0 and 1, got {self.share}; 0.5 means nobody is net long")

    @property
    def name(self) -> str:
        """``customers-buy:SHARE``."""
        return f"customers-buy:{self.share:g}"

    def infer(self, chain: Chain, *, forward_usd: FloatArray | None = None) -> Positions:
        """Dealer = (1 - 2 share) * open interest."""
        return signed_open_interest(
            chain,
            1.0 - 2.0 * self.share,
            rule=self.name,
            citation="stated by the user",
            assumption=f"customers hold the long side of {self.share:.0%} of every contract's open interest, dealers the other side",
        )


@dataclass(frozen=True, slots=True)
class CustomersSellOtm:
    """Customers sell options out of the money and buy those at or in the money: what the literature reports of Deribit's end users."""

    name: str = field(default="customers-sell-otm", init=False)

    def infer(self, chain: Chain, *, forward_usd: FloatArray | None = None) -> Positions:
        """Dealer = + open interest where the strike is out of the money at the row's forward, - where it is at or in the money."""
        forward = chain.underlying_usd if forward_usd is None else forward_usd
        unknown = ~np.isfinite(forward)
        if len(chain) and bool(unknown.all()):
            raise RuleError("customers-sell-otm expects each option's forward, no row has one; pass forward_usd from tailwag.forward_curve")
        out_of_the_money = np.where(chain.is_call, chain.strike_usd > forward, chain.strike_usd < forward)
        return signed_open_interest(
            chain,
            np.where(unknown, np.nan, np.where(out_of_the_money, 1.0, -1.0)),
            rule=self.name,
            citation="Alexander et al., Journal of Futures Markets (2023), as reported by third parties, on Deribit's end users",
            assumption="customers sell options out of the money and buy those at or in the money",
        )
