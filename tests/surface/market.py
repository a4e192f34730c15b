"""A made-up market whose true smile is known: quotes around it with spreads, ticks and faults as asked."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tailwag.kernels import svi
from tailwag.kernels.black import black_price
from tailwag.market.chain import Chain
from tailwag.market.snapshot import Futures, Snapshot, Source
from tailwag.units import NS_PER_DAY

AT_NS = 1_763_551_200_000_000_000  # 2025-11-19T11:20:00Z
SPOT = 90_000.0


def true_raw(years: float, *, vol: float = 0.5, rho: float = -0.3) -> np.ndarray:
    """An SSVI slice without arbitrage, inside and across expiries."""
    total = vol**2 * years
    return svi.ssvi_to_raw(total, rho, 0.8 / math.sqrt(total * (1.0 + total)))


def true_vol(log_moneyness: Any, years: float, **shape: float) -> np.ndarray:
    return np.sqrt(svi.total_variance(log_moneyness, true_raw(years, **shape)) / years)


def expiry_columns(
    days: float,
    *,
    basis_per_year: float = 0.06,
    half_spread_vol: float = 0.005,
    noise_vol: float = 0.0,
    strikes: int = 25,
    reach: float = 2.5,
    settlement: str = "inverse",
    venue: str = "deribit",
    vol_of: Callable[[np.ndarray, float], np.ndarray] = true_vol,
    rate: float = 0.0,
    seed: int = 0,
) -> dict[str, list[Any]]:
    """Calls and puts of one expiry, quoted half_spread_vol either side of the true vol (plus noise)."""
    years = days / 365.0
    forward = SPOT * math.exp(basis_per_year * years)
    deviation = float(vol_of(np.zeros(1), years)[0]) * math.sqrt(years)
    k = np.repeat(np.linspace(-reach, reach, strikes) * deviation, 2)
    strike, right = forward * np.exp(k), np.tile([1, -1], strikes)
    noise = np.random.default_rng(seed).normal(0.0, noise_vol, strikes) if noise_vol else np.zeros(strikes)
    mid = vol_of(k, years) + np.repeat(noise, 2)
    unit = 1.0 / forward if settlement == "inverse" else math.exp(-rate * years)
    bid, ask, mark = (black_price(right, forward, strike, years, mid + shift) * unit for shift in (-half_spread_vol, half_spread_vol, 0.0))
    size = strike.size
    return {
        "instrument": [f"{venue}-{days:g}-{s:.2f}-{'C' if r > 0 else 'P'}" for s, r in zip(strike, right)],
        "venue": [venue] * size,
        "right": right.tolist(),
        "strike_usd": strike.tolist(),
        "expiry_ns": [AT_NS + round(days * NS_PER_DAY)] * size,
        "settlement": [settlement] * size,
        "open_interest_contracts": [10.0] * size,
        "coin_per_contract": [1.0] * size,
        "bid_quoted": bid.tolist(),
        "ask_quoted": ask.tolist(),
        "mark_quoted": mark.tolist(),
        "iv": vol_of(k, years).tolist(),
        "underlying_usd": [forward] * size,
        "underlying_name": [f"BTC-{days:g}"] * size,
        "index_usd": [SPOT] * size,
    }


def snapshot(*expiries: dict[str, list[Any]], futures: Futures | None = None, **overrides: Any) -> Snapshot:
    """A snapshot of the given expiries; ``overrides`` replace whole columns (a value or an array)."""
    columns = {name: [value for part in expiries for value in part[name]] for name in expiries[0]}
    size = len(columns["instrument"])
    for name, value in overrides.items():
        columns[name] = [value] * size if np.isscalar(value) else list(value)
    chain = Chain.from_columns(currency="BTC", as_of_ns=AT_NS, **columns)
    return Snapshot("BTC", AT_NS, SPOT, chain, futures or Futures.from_columns(), Source("test", "made up", synthetic=True))
