"""Does a venue repeat itself?  Numbers that stand still to the last digit while time, or the index, goes on are no news."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tailwag.market.snapshot import Snapshot

FROZEN_SECONDS = 60.0
"""Nothing is called frozen sooner: a market may be quiet for a minute."""
REPEATS = 2
"""The third equal snapshot is one too many."""
SMALLEST_MOVE = 1e-4
"""A hundredth of a per cent: an index that moved less need not move a rounded forward."""
_Row = tuple[float, float, float, float]


@dataclass(slots=True)
class _Still:
    """One option's numbers (forward, volatility, mark, open interest), since when, at which spot, and how often the index has moved since."""

    row: _Row
    since: float
    spot_usd: float
    moves: int = 0


class Stillness:
    """What one source repeats; no clock of its own.

    A row whose forward, volatility, mark and open interest are the same to the last digit over two moves of the index, and for a minute, is
    frozen.  So is the whole source where the index repeats itself as well, twice and for a minute.  One repetition proves nothing.
    """

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], _Still] = {}
        self._whole: tuple[float, tuple[_Row, ...]] | None = None
        self._whole_since, self._repeats = 0.0, 0

    def doubts(self, snapshot: Snapshot, *, arrived_at: float) -> tuple[str, ...]:
        """Take a snapshot; a sentence where it, or part of it, has stood still for too long."""
        rows = _rows_of(snapshot)
        whole = (snapshot.spot_usd, tuple(rows.values()))
        repeated = bool(rows) and whole == self._whole
        self._repeats = self._repeats + 1 if repeated else 0
        if not repeated:
            self._whole, self._whole_since = whole, arrived_at
        self._follow(rows, snapshot.spot_usd, arrived_at)
        seconds = arrived_at - self._whole_since
        if self._repeats >= REPEATS and seconds >= FROZEN_SECONDS:
            return (f"frozen: the index and every option are the same to the last digit for {seconds:,.0f} s",)
        return self._frozen_rows(snapshot, arrived_at)

    def _follow(self, rows: dict[tuple[str, str], _Row], spot_usd: float, arrived_at: float) -> None:
        followed: dict[tuple[str, str], _Still] = {}
        for key, row in rows.items():
            still = self._rows.get(key)
            if still is None or still.row != row:
                followed[key] = _Still(row, arrived_at, spot_usd)
                continue
            still.moves += abs(spot_usd / still.spot_usd - 1.0) > SMALLEST_MOVE
            followed[key] = still
        self._rows = followed

    def _frozen_rows(self, snapshot: Snapshot, arrived_at: float) -> tuple[str, ...]:
        frozen = [still.row[3] for still in self._rows.values() if still.moves >= REPEATS and arrived_at - still.since >= FROZEN_SECONDS]
        total = math.fsum(snapshot.chain.counted_open_interest_coin().tolist())
        share = math.fsum(frozen) / total if total > 0.0 else 0.0
        if share <= 0.0:
            return ()
        return (f"frozen: {len(frozen)} options with {share:.2%} of open interest stand still while the index moves",)


def _rows_of(snapshot: Snapshot) -> dict[tuple[str, str], _Row]:
    """The usable rows that state a forward of their own; one without it cannot be seen to stand still."""
    chain = snapshot.chain
    numbers = zip(
        chain.underlying_usd.tolist(),
        chain.iv.tolist(),
        chain.mark_quoted.tolist(),
        chain.counted_open_interest_coin().tolist(),
        strict=True,
    )
    keys = zip(chain.venue.tolist(), chain.instrument.tolist(), strict=True)
    return {
        key: tuple(-1.0 if math.isnan(value) else value for value in row)  # type: ignore[misc]
        for key, row, usable in zip(keys, numbers, chain.usable.tolist(), strict=True)
        if usable and not math.isnan(row[0])
    }
