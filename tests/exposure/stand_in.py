"""A stand-in for a fitted surface: forwards as given, one analytic smile for all rows, quotes kept as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tailwag.market.chain import Chain
from tailwag.market.codes import NO_VENUE_VOL
from tailwag.positioning import Positions, PositionsFile
from tailwag.units import NS_PER_DAY

AT_NS = 1_763_551_200_000_000_000  # 2025-11-19T11:20:00Z


@dataclass(frozen=True)
class Dynamics:
    name: str
    ratio: float


STICKY_STRIKE = Dynamics("sticky-strike", 1.0)
STICKY_MONEYNESS = Dynamics("sticky-moneyness", 0.0)


@dataclass(frozen=True)
class RowVols:
    iv: Any
    iv_source: Any
    codes: Any


@dataclass(frozen=True)
class StandInSurface:
    """vol(k) = level + skew k, k = ln(K / F): rows keep their quoted vol and move along the line."""

    chain: Chain
    forward_usd: Any
    skew: float = 0.0

    def row_vols(self, vol: str) -> RowVols:
        return RowVols(self.chain.iv, np.full(len(self.chain), "venue", dtype=object), self.chain.codes)

    def moved_vols(self, iv: Any, log_moves: Any, dynamics: Any) -> Any:
        return iv[None, :] - self.skew * (1.0 - dynamics.ratio) * np.asarray(log_moves)[:, None]


def chain_of(right: Any, strike_usd: Any, days: Any, iv: Any, open_interest: Any, *, spot_usd: float = 60_000.0, **columns: Any) -> Chain:
    """A BTC chain from plain columns; everything broadcasts."""
    right, strike_usd, days, iv, open_interest = np.broadcast_arrays(right, strike_usd, days, iv, open_interest)
    size = right.size
    columns.setdefault("codes", np.where(np.isfinite(iv) & (iv > 0), 0, int(NO_VENUE_VOL) & (1 << 21)))
    columns.setdefault("venue", np.full(size, "deribit", dtype=object))
    return Chain.from_columns(
        currency="BTC",
        as_of_ns=AT_NS,
        instrument=[f"row-{i}" for i in range(size)],
        right=right.ravel(),
        strike_usd=strike_usd.ravel(),
        expiry_ns=AT_NS + np.rint(np.asarray(days, dtype=float).ravel() * NS_PER_DAY).astype(np.int64),
        iv=iv.ravel(),
        open_interest_contracts=open_interest.ravel(),
        coin_per_contract=np.ones(size),
        index_usd=np.full(size, spot_usd),
        underlying_usd=np.full(size, spot_usd),
        **columns,
    )


def held(chain: Chain, position_coin: Any) -> Positions:
    """These very positions, row by row."""
    position = np.where(chain.usable, np.broadcast_to(position_coin, len(chain)).astype(float), np.nan)
    return Positions(chain, position, "stated", "test", "as stated")


def surface_of(chain: Chain, *, forward_usd: Any = None, skew: float = 0.0) -> StandInSurface:
    forward = chain.underlying_usd if forward_usd is None else np.broadcast_to(forward_usd, len(chain)).astype(float)
    return StandInSurface(chain, forward, skew)


__all__ = ["AT_NS", "STICKY_MONEYNESS", "STICKY_STRIKE", "PositionsFile", "chain_of", "held", "surface_of"]
