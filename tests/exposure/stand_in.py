"""A stand-in for a fitted surface: forwards as given, one analytic smile for all rows, quotes kept as they are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tailwag.exposure import Profile, exposure_profile
from tailwag.market.chain import Chain
from tailwag.market.codes import NO_VENUE_VOL, RowCode
from tailwag.positioning import Positions
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
class LineSmile:
    """One expiry's smile for options that are not listed."""

    venue: str
    expiry_ns: int
    forward_usd: float
    level: float
    skew: float

    def vol(self, k: Any) -> Any:
        return self.level + self.skew * np.asarray(k)


@dataclass(frozen=True)
class StandInSurface:
    """Rows keep their quoted vol; smile(k) = skew x + curvature x^2 with x = k + quoted_log_move, k = ln(K / F).

    ``quoted_log_move``: how far forwards have moved since the quotes' smile was read, each strike's quote kept.
    """

    chain: Chain
    forward_usd: Any
    skew: float = 0.0
    curvature: float = 0.0
    quoted_log_move: float = 0.0
    smiles: tuple[LineSmile, ...] = ()
    stand_in_iv: float = float("nan")

    def row_vols(self, vol: str) -> RowVols:
        chain = self.chain
        missing = chain.has(RowCode.IV_MISSING | RowCode.IV_NONPOSITIVE) & bool(np.isfinite(self.stand_in_iv))
        source = np.where(missing, "surface", "venue").astype(object)
        return RowVols(
            np.where(missing, self.stand_in_iv, chain.iv), source, np.where(missing, chain.codes & ~int(NO_VENUE_VOL), chain.codes)
        )

    def moved_vols(self, iv: Any, log_moves: Any, dynamics: Any) -> Any:
        x = np.log(self.chain.strike_usd / self.forward_usd) + self.quoted_log_move
        moved = x - (1.0 - dynamics.ratio) * np.asarray(log_moves)[:, None]
        return iv + self.skew * (moved - x) + self.curvature * (moved**2 - x**2)


def chain_of(right: Any, strike_usd: Any, days: Any, iv: Any, open_interest: Any, *, spot_usd: float = 60_000.0, **columns: Any) -> Chain:
    """A BTC chain from plain columns; everything broadcasts."""
    right, strike_usd, days, iv, open_interest = np.broadcast_arrays(right, strike_usd, days, iv, open_interest)
    size = right.size
    columns.setdefault(
        "codes", np.where(np.isfinite(iv), np.where(iv > 0, 0, int(RowCode.IV_NONPOSITIVE)), int(RowCode.IV_MISSING)).ravel()
    )
    columns.setdefault("venue", np.full(size, "deribit", dtype=object))
    return Chain.from_columns(
        currency="BTC",
        as_of_ns=AT_NS,
        instrument=columns.pop("instrument", [f"row-{i}" for i in range(size)]),
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


def surface_of(chain: Chain, *, forward_usd: Any = None, **smile: Any) -> StandInSurface:
    forward = chain.underlying_usd if forward_usd is None else np.broadcast_to(forward_usd, len(chain)).astype(float)
    return StandInSurface(chain, forward, **smile)


def profile_of(
    chain: Chain, position_coin: Any, *, dynamics: Dynamics = STICKY_STRIKE, surface: StandInSurface | None = None, **options: Any
) -> Profile:
    return exposure_profile(held(chain, position_coin), surface or surface_of(chain), dynamics=dynamics, **options)


def black_delta(right: Any, forward: Any, strike: Any, years: Any, vol: Any) -> Any:
    """Delta by the textbook, from math.erf: shares nothing with the package."""
    sd = vol * np.sqrt(years)
    return right * cdf(right * (np.log(forward / strike) / sd + sd / 2.0))


cdf = np.vectorize(lambda x: 0.5 * (1.0 + math.erf(x / math.sqrt(2.0))), otypes=[float])


def demo_chain(seed: int = 3, rows: int = 120, **columns: Any) -> Chain:
    """A random chain of calls and puts from half a day to a year."""
    rng = np.random.default_rng(seed)
    days = rng.choice([0.5, 2.0, 9.0, 30.0, 90.0, 365.0], rows)
    strikes = rng.choice(np.arange(40_000.0, 90_000.0, 2_500.0), rows)
    return chain_of(rng.choice([-1, 1], rows), strikes, days, rng.uniform(0.3, 0.9, rows), rng.uniform(0.0, 500.0, rows), **columns)
