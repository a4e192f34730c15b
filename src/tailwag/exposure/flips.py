"""Flips: the spots at which the repriced net gamma of the book changes sign."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tailwag.exposure.book import Book
from tailwag.exposure.reprice import HeldGamma, SmileDynamicsLike, live_rows
from tailwag.exposure.roots import SignChange, profile_signs, refine_roots, sign_changes
from tailwag.kernels.arrays import FloatArray, IntArray

FlipStatus = Literal["none", "one", "many", "edge"]
NEGATIVE_TO_POSITIVE = "negative-to-positive"
POSITIVE_TO_NEGATIVE = "positive-to-negative"
NEAR_NODES = np.array([-4.0, -2.5, -1.5, -0.75, 0.0, 0.75, 1.5, 2.5, 4.0])
"""Where, in standard deviations of the log, a strike about to expire is looked at besides the grid: its gamma may be narrower than a cell."""
NEAR_STRIKES = 64
EDGE_ZERO = 1e-9
"""On the outermost spot, net gamma below this share of gross is a crossing right there, as far as a refined root can tell."""


@dataclass(frozen=True, slots=True)
class Flip:
    """One spot at which net GEX changes sign; ``crossing`` as spot rises; ``at_edge``: in the first or last cell of the spot range."""

    spot_usd: float
    crossing: str
    at_edge: bool = False

    def __str__(self) -> str:
        return f"{self.spot_usd:,.2f} USD ({self.crossing} as spot rises{', at the edge of the range' if self.at_edge else ''})"


def flip_status(flips: tuple[Flip, ...]) -> FlipStatus:
    """'none'; 'one'; 'many'; 'edge' when the only crossing lies in the outermost cell of the range, so that its other side is unseen."""
    if not flips:
        return "none"
    if len(flips) > 1:
        return "many"
    return "edge" if flips[0].at_edge else "one"


def nearest_flip(flips: tuple[Flip, ...], spot_usd: float) -> Flip | None:
    """The flip closest to ``spot_usd``; None without any."""
    return min(flips, key=lambda flip: abs(flip.spot_usd - spot_usd), default=None)


def book_flips(
    book: Book,
    spots_usd: FloatArray,
    *,
    dynamics: SmileDynamicsLike,
    ahead_ns: int = 0,
    quote_move: float = 0.0,
    vols: FloatArray | None = None,
) -> tuple[Flip, ...]:
    """All flips within the range of ``spots_usd`` (g,), by repricing the book ``ahead_ns`` from now.

    The grid is completed around strikes whose remaining gamma is narrower than its cells; each crossing is then refined by repricing.
    ``vols``: volatilities on the grid where the caller has them.
    """
    weights = np.stack([book.position_coin, np.abs(book.position_coin)])
    held = HeldGamma.of(book, weights, dynamics=dynamics, ahead_ns=ahead_ns, quote_move=quote_move)

    def both(spots: FloatArray, known: FloatArray | None = None) -> FloatArray:
        return held.at(spots / book.spot_usd, vols=known)

    near = _near_expiry_spots(book, spots_usd, ahead_ns)
    scanned, first = np.unique(np.concatenate([spots_usd, near]), return_index=True)
    net, gross = np.concatenate([both(spots_usd, vols), both(near)], axis=1)[:, first]
    cells = (float(spots_usd[1]), float(spots_usd[-2])) if spots_usd.size > 2 else (float("inf"), float("-inf"))
    return flips_of(scanned, net, gross, lambda spots: both(spots)[0], inner=cells)


def flips_of(
    spots_usd: FloatArray,
    net: FloatArray,
    gross: FloatArray,
    reprice: Callable[[FloatArray], FloatArray],
    *,
    inner: tuple[float, float],
) -> tuple[Flip, ...]:
    """Flips of a scanned profile; ``inner``: the spots between which a crossing is clear of the edges.

    A crossing between two points is refined by ``reprice``; one with exact zeros between is put in their middle; a zero that is touched
    and not crossed is no flip; a zero at the very end of the range is one, at the edge.
    """
    signs = profile_signs(net, gross)
    changes = sign_changes(signs)
    roots = _roots(spots_usd, signs, changes, reprice)
    found = [
        Flip(root, NEGATIVE_TO_POSITIVE if change.rising else POSITIVE_TO_NEGATIVE, not inner[0] <= root <= inner[1])
        for root, change in zip(roots, changes, strict=True)
    ]
    return tuple(sorted(found + _end_zeros(spots_usd, net, gross, signs), key=lambda flip: flip.spot_usd))


def _roots(
    spots_usd: FloatArray, signs: IntArray, changes: tuple[SignChange, ...], reprice: Callable[[FloatArray], FloatArray]
) -> list[float]:
    left = np.array([change.left for change in changes], dtype=np.int64)
    right = np.array([change.right for change in changes], dtype=np.int64)
    if not left.size:
        return []
    middle = 0.5 * (spots_usd[np.minimum(left + 1, right)] + spots_usd[np.maximum(right - 1, left)])
    refined = refine_roots(reprice, spots_usd[left], spots_usd[right])
    return [float(value) for value in np.where(right - left > 1, middle, refined)]


def _end_zeros(spots_usd: FloatArray, net: FloatArray, gross: FloatArray, signs: IntArray) -> list[Flip]:
    """A net of zero on the outermost point, where gamma is: the sign beyond is unseen, so the crossing is taken from inside."""
    peak = float(np.max(gross, initial=0.0))
    ends = []
    for end, inside in ((0, 1), (signs.size - 1, signs.size - 2)) if signs.size > 1 else ():
        zero = abs(net[end]) <= EDGE_ZERO * gross[end] and gross[end] > EDGE_ZERO * peak
        if zero and signs[inside] != 0 and signs[end] != -signs[inside]:
            rising = (signs[inside] > 0) == (end == 0)
            ends.append(Flip(float(spots_usd[end]), NEGATIVE_TO_POSITIVE if rising else POSITIVE_TO_NEGATIVE, True))
    return ends


def _near_expiry_spots(book: Book, spots_usd: FloatArray, ahead_ns: int) -> FloatArray:
    live = live_rows(book, ahead_ns)
    rows = np.concatenate([live.plain, live.settling])
    left_years = np.concatenate([live.plain_years, live.settling_years])
    width = book.iv[rows] * np.sqrt(left_years)
    cell = float(np.max(np.diff(np.log(spots_usd)), initial=0.0))
    narrow = width < 2.0 * cell
    if not narrow.any():
        return np.zeros(0)
    strike_spots = book.chain.strike_usd[rows[narrow]] * book.spot_usd / book.forward_usd[rows[narrow]]
    centres, first = np.unique(strike_spots, return_index=True)
    near = np.argsort(np.abs(np.log(centres / book.spot_usd)), kind="stable")[:NEAR_STRIKES]
    nodes = (centres[near, None] * np.exp(width[narrow][first[near], None] * NEAR_NODES)).ravel()
    return np.asarray(nodes[(nodes > spots_usd[0]) & (nodes < spots_usd[-1])])
