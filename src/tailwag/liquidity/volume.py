"""Liquidity from what a snapshot knows: traded volume, at-the-money vol, and the list of laws that can or cannot speak."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tailwag.errors import RuleError
from tailwag.liquidity.ladder import BookImpact, Extrapolation
from tailwag.liquidity.laws import Impact, LinearImpact, SquareRootImpact, UnknownImpact, lasting_impact, permanent_impact
from tailwag.liquidity.money import dollars
from tailwag.market.clock import format_time
from tailwag.units import DAYS_PER_YEAR, NS_PER_DAY

if TYPE_CHECKING:
    from tailwag.market.snapshot import Snapshot

HORIZON_DAYS = 7.0
"""At-the-money vol is read at the expiry nearest to a week ahead: near enough to be of the day, far enough not to be of the hour."""


@dataclass(frozen=True, slots=True)
class DailyVolume:
    """What traded in 24 hours, and on which instruments."""

    volume_usd: float
    basis: str


def daily_volume(snapshot: Snapshot) -> DailyVolume:
    """24 h volume of every spot pair, perp and dated future of the snapshot, in USD, with the instruments counted.

    Only venues in the snapshot are counted, so the true market is deeper.  RuleError if no instrument has a volume.
    """
    futures = snapshot.futures
    volume = np.asarray(futures.volume_24h_usd, dtype=np.float64)
    counted = np.isfinite(volume) & (volume > 0.0)
    if not counted.any():
        raise RuleError(
            f"the snapshot ({snapshot.source.name}) holds no 24 h volume of any spot, perp or future; "
            "state a depth or give SquareRootImpact the day's volume yourself"
        )
    kinds = np.asarray(futures.kind)[counted]
    parts = [
        f"{int((kinds == kind).sum())} {kind} {dollars(math.fsum(volume[counted][kinds == kind]))}"
        for kind in dict.fromkeys(kinds.tolist())
    ]
    venues = ", ".join(sorted({str(venue) for venue in np.asarray(futures.venue)[counted]} - {""})) or "one venue"
    return DailyVolume(math.fsum(volume[counted]), f"24 h volume of {', '.join(parts)} on {venues}")


def atm_daily_vol(snapshot: Snapshot) -> tuple[float, str]:
    """Vol of one day from the chain: at-the-money IV of the expiry nearest to seven days ahead, over sqrt(365); with its source.

    RuleError if no row of the chain has a usable volatility and forward.
    """
    chain = snapshot.chain
    forward = np.where(np.isfinite(chain.underlying_usd) & (chain.underlying_usd > 0.0), chain.underlying_usd, snapshot.spot_usd)
    usable = chain.priced & np.isfinite(chain.iv) & (chain.iv > 0.0) & np.isfinite(chain.strike_usd) & (chain.expiry_ns > chain.as_of_ns)
    if not usable.any():
        raise RuleError("no row of the chain has a usable volatility; give daily_vol yourself, such as 0.03")
    days = (chain.expiry_ns - chain.as_of_ns) / NS_PER_DAY
    expiries = np.unique(chain.expiry_ns[usable])
    expiry = expiries[int(np.argmin(np.abs(np.log((expiries - chain.as_of_ns) / NS_PER_DAY / HORIZON_DAYS))))]
    rows = np.flatnonzero(usable & (chain.expiry_ns == expiry))
    away = np.abs(np.log(chain.strike_usd[rows] / forward[rows]))
    nearest = rows[away <= away.min() + 1e-12]
    iv = float(chain.iv[nearest].mean())
    source = f"ATM IV {100 * iv:.1f} % of {format_time(int(expiry))} ({float(days[nearest[0]]):.1f} days) / sqrt(365)"
    return iv / math.sqrt(DAYS_PER_YEAR), source


def square_root_from_snapshot(snapshot: Snapshot, *, y: float, daily_vol: float | None, crossover_usd: float | None) -> SquareRootImpact:
    """See :meth:`SquareRootImpact.from_snapshot`."""
    volume = daily_volume(snapshot)
    vol, vol_source = (daily_vol, "daily vol stated by the user") if daily_vol is not None else atm_daily_vol(snapshot)
    return SquareRootImpact(volume.volume_usd, vol, y=y, crossover_usd=crossover_usd, basis=f"{volume.basis}; {vol_source}")


def impacts_from_snapshot(
    snapshot: Snapshot,
    *,
    depth_usd_per_pct: float | None = None,
    y: float = 1.0,
    crossover_usd: float | None = None,
    permanent_share: float | None = None,
    permanent_per_usd: float | None = None,
    extrapolation: Extrapolation | None = None,
) -> tuple[Impact, ...]:
    """Every law in the order book, square-root, long-run, given: those that can speak, and those that cannot with the reason why.

    The long-run law needs ``permanent_share`` (of the square-root law) or ``permanent_per_usd``: how much of a move stays is not in any
    snapshot.  The given law appears only with ``depth_usd_per_pct``.
    """
    book = _or_unknown("book", lambda: BookImpact.from_snapshot(snapshot, extrapolation=extrapolation))
    root = _or_unknown("square-root", lambda: SquareRootImpact.from_snapshot(snapshot, y=y, crossover_usd=crossover_usd))
    laws: list[Impact] = [book, root, _long_run(root, permanent_share, permanent_per_usd)]
    if depth_usd_per_pct is not None:
        laws.append(LinearImpact(depth_usd_per_pct))
    return tuple(laws)


def _long_run(root: Impact, share: float | None, per_usd: float | None) -> Impact:
    if per_usd is not None:
        return permanent_impact(per_usd, source="stated by the user")
    if share is None:
        return UnknownImpact(
            "long-run", "how much of a move stays after days is not in the data; state permanent_share or permanent_per_usd"
        )
    if not isinstance(root, SquareRootImpact):
        return UnknownImpact("long-run", "a permanent share needs the square-root law, which has no volume here")
    return lasting_impact(root, permanent_share=share)


def _or_unknown(name: str, build: Callable[[], Impact]) -> Impact:
    try:
        return build()
    except RuleError as trouble:
        return UnknownImpact(name, str(trouble))
