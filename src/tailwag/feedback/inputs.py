"""What a gain needs to know about a book, in plain numbers, and how to read it off a profile."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tailwag.kernels.arrays import FloatArray
from tailwag.market.clock import format_time

if TYPE_CHECKING:
    from tailwag.exposure import Profile
    from tailwag.exposure.book import Book


@dataclass(frozen=True, slots=True)
class GainInputs:
    """A hedged book as the loop sees it.  Only spot and GEX are needed; each further number unlocks one further answer.

    ``gex_usd_per_pct`` is signed (+ dealers long gamma).  ``smile_gex_usd_per_pct`` is what the smile's own move adds to it,
    sum position * vanna * beta_row * S / 100, under ``dynamics``.  ``repriced_flow_usd`` answers moves in per cent (m,) with what a fully
    hedged book buys (m,), in USD at the current spot.  ``by_expiry`` and ``by_strike`` pair a label with its signed GEX.
    ``profile_*`` are (g,), spot ascending.  ``draws_gex_usd_per_pct`` (d,) carries the doubt about who is short.
    """

    spot_usd: float
    gex_usd_per_pct: float
    rule: str = "stated"
    dynamics: str = "stated"
    vanna_usd_per_volpt: float | None = None
    smile_gex_usd_per_pct: float | None = None
    repriced_flow_usd: Callable[[FloatArray], FloatArray] | None = None
    by_expiry: tuple[tuple[str, float], ...] = ()
    by_strike: tuple[tuple[float, float], ...] = ()
    profile_spot_usd: FloatArray | None = None
    profile_gex_usd_per_pct: FloatArray | None = None
    draws_gex_usd_per_pct: FloatArray | None = None


def gain_inputs(profile: Profile | GainInputs) -> GainInputs:
    """Read a profile; plain inputs pass through.

    The repriced flow and the draws are today's book, so the numeraire that the profile shows changes nothing here.
    """
    if isinstance(profile, GainInputs):
        return profile
    from tailwag.exposure.totals import gex_by

    book = profile.book
    return GainInputs(
        spot_usd=float(book.spot_usd),
        gex_usd_per_pct=profile.totals.gex_usd_per_pct,
        rule=book.rule,
        dynamics=str(profile.dynamics.name),
        vanna_usd_per_volpt=profile.totals.vanna_usd_per_volpt,
        smile_gex_usd_per_pct=_smile_gex(profile),
        repriced_flow_usd=lambda moves_pct: _repriced_flow(profile, moves_pct),
        by_expiry=tuple((format_time(expiry_ns), gex) for expiry_ns, gex in gex_by(book, "expiry")),
        by_strike=gex_by(book, "strike"),
        profile_spot_usd=profile.spot_usd,
        profile_gex_usd_per_pct=profile.gex_usd_per_pct,
        draws_gex_usd_per_pct=_draws_gex(book),
    )


def _smile_gex(profile: Profile) -> float | None:
    """sum position * vanna * (d vol / d ln S) * S / 100 over counted rows; rows without a smile keep their vol."""
    from tailwag.exposure.totals import MEASURES, row_exposures

    if profile.dynamics.ratio == 1.0:
        return 0.0
    implied = getattr(profile.book.surface, "spot_vol_beta", None)
    if implied is None:  # a stand-in that only moves vols
        return None
    vanna = row_exposures(profile.book)[MEASURES.index("vanna_usd_per_volpt")]
    return math.fsum((vanna * np.nan_to_num(implied(profile.dynamics))).tolist())


def _repriced_flow(profile: Profile, moves_pct: FloatArray) -> FloatArray:
    from tailwag.exposure.profile import exposures_on

    spot = float(profile.book.spot_usd)
    spots = spot * np.concatenate([[1.0], 1.0 + np.asarray(moves_pct, dtype=np.float64) / 100.0])
    order = np.argsort(spots)
    delta_coin = np.empty_like(spots)
    delta_coin[order] = exposures_on(profile.book, spots[order], dynamics=profile.dynamics, numeraire="usd")["delta_usd"] / spots[order]
    flow: FloatArray = -(delta_coin[1:] - delta_coin[0]) * spot
    return flow


def _draws_gex(book: Book) -> FloatArray | None:
    if book.draws is None:
        return None
    order = book.chain.order_by_contents  # a permuted file gives the same bits
    per_coin = np.where(book.counted, np.nan_to_num(book.gamma), 0.0)[order] * float(book.spot_usd) ** 2 / 100.0
    gex: FloatArray = np.nan_to_num(np.asarray(book.draws, dtype=np.float64)[:, order]) @ per_coin
    return gex
