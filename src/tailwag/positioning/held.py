"""What every rule gives, the dealers' signed holding of each option, and the protocol of a rule."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tailwag.kernels.arrays import FloatArray, frozen
from tailwag.market.chain import Chain
from tailwag.market.snapshot import Snapshot

if TYPE_CHECKING:
    import polars


@dataclass(frozen=True, slots=True)
class Positions:
    """The dealers' signed holding of every listed option under one rule.

    Shapes: ``position_coin`` (n,), NaN on quarantined rows; ``draws`` (d, n) or None where the rule carries no uncertainty.
    Units: coin.  Sign: + dealers long, - dealers short.
    """

    chain: Chain
    position_coin: FloatArray
    rule: str
    citation: str
    assumption: str
    draws: FloatArray | None = None
    notes: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        held = self.position_coin[np.isfinite(self.position_coin)]
        long_coin, short_coin = float(held[held > 0].sum()), float(-held[held < 0].sum())
        name = self.chain.currency
        return f"{self.rule}: dealers long {long_coin:,.0f} and short {short_coin:,.0f} {name} of options; {self.assumption}"

    def to_frame(self) -> polars.DataFrame:
        """One row per listed option: instrument, position in coin (null where masked), open interest in coin."""
        import polars as pl

        return pl.DataFrame(
            {
                "instrument": pl.Series(list(self.chain.instrument), dtype=pl.String),
                "position_coin": pl.Series(self.position_coin).fill_nan(None),
                "open_interest_coin": pl.Series(self.chain.open_interest_coin).fill_nan(None),
            }
        )


class Rule(Protocol):
    """A named assumption about who is short."""

    @property
    def name(self) -> str:
        """How the command line spells it."""
        ...

    def infer(self, chain: Chain, *, forward_usd: FloatArray | None = None) -> Positions:
        """The dealers' positions; ``forward_usd`` (n,) is needed by rules that ask what is in the money."""
        ...


def infer_positions(snapshot: Snapshot | Chain, *, rule: Rule, forward_usd: FloatArray | None = None) -> Positions:
    """The dealers' signed positions in every listed option under ``rule`` (coin, long +).

    ``forward_usd`` (n,): each row's forward; without it a rule that needs one takes the venue's own underlying price of the row.

    >>> from tailwag.positioning import LongCallsShortPuts
    >>> chain = Chain.from_columns(currency="BTC", as_of_ns=0, instrument=["C", "P"], right=[1, -1], open_interest_contracts=[5.0, 3.0],
    ...                            coin_per_contract=[1.0, 1.0])
    >>> infer_positions(chain, rule=LongCallsShortPuts()).position_coin
    array([ 5., -3.])
    """
    chain = snapshot.chain if isinstance(snapshot, Snapshot) else snapshot
    return rule.infer(chain, forward_usd=forward_usd)


def signed_open_interest(chain: Chain, sign: Any, *, rule: str, citation: str, assumption: str) -> Positions:
    """Positions of ``sign`` times each usable row's open interest, for a rule that gives every option a sign (or a share)."""
    position = np.where(chain.usable, np.asarray(sign, dtype=np.float64) * chain.open_interest_coin, np.nan)
    return Positions(chain, frozen(position), rule, citation, assumption)
