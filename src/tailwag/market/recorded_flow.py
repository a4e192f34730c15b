"""Recorded flow: what takers bought and sold of each option over all the trades that were recorded, and how much of the market that is."""

from __future__ import annotations

from dataclasses import dataclass

from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray, TextArray
from tailwag.market.clock import format_time
from tailwag.units import NS_PER_HOUR


@dataclass(frozen=True, slots=True)
class FlowCoverage:
    """What the recorded trades are known to be whole for, and what they are not.  Amounts in coin, times in UTC nanoseconds."""

    spans: tuple[tuple[str, int, int], ...]
    """(venue, from, to), half open and in order: of these every trade was recorded.  Between two of a venue lies a gap."""
    trades: int
    """Distinct trades counted."""
    repeats: int
    """Prints of a trade that had been recorded before."""
    damaged_records: int
    """Records of the store that could not be read."""
    open_interest_change_coin: float
    """Sum of |change of open interest| over instruments and pairs of snapshots."""
    unexplained_change_coin: float
    """The part of it beyond the volume recorded between the same two snapshots: trades that are missing."""

    @property
    def gaps(self) -> tuple[tuple[str, int, int], ...]:
        """(venue, from, to) between two spans of one venue.

        >>> FlowCoverage((("x", 0, 2), ("x", 5, 9), ("y", 1, 3)), 0, 0, 0, 0.0, 0.0).gaps
        (('x', 2, 5),)
        """
        pairs = zip(self.spans, self.spans[1:], strict=False)
        return tuple((one[0], one[2], after[1]) for one, after in pairs if one[0] == after[0] and after[1] > one[2])

    @property
    def explained_share(self) -> float | None:
        """Share of all changes of open interest that recorded volume can explain; None before anything has changed."""
        if self.open_interest_change_coin <= 0.0:
            return None
        return 1.0 - self.unexplained_change_coin / self.open_interest_change_coin

    def sentence(self) -> str:
        """Spans and gaps in words.

        >>> print(FlowCoverage((), 0, 0, 0, 0.0, 0.0).sentence())
        no span of time is known to be recorded whole
        """
        if not self.spans:
            return "no span of time is known to be recorded whole"
        first, last = min(span[1] for span in self.spans), max(span[2] for span in self.spans)
        hours = sum(gap[2] - gap[1] for gap in self.gaps) / NS_PER_HOUR
        missing = f"with {len(self.gaps)} gaps of {hours:,.1f} hours in all" if self.gaps else "without a gap"
        return f"recorded from {format_time(first)} to {format_time(last)} {missing}"


@dataclass(frozen=True, slots=True)
class RecordedFlow:
    """Signed volume per option and kind of trade, over every trade up to ``as_of_ns``.  Shapes: every column (k,).

    One row for each (venue, instrument, whether a block, which side was liquidated) that traded; expired options are not in it.
    ``taker_coin`` is what takers bought less what they sold (on blocks, what the printed direction says).
    """

    currency: str
    as_of_ns: int
    venue: TextArray
    instrument: TextArray
    is_block: BoolArray
    liquidated: TextArray
    taker_coin: FloatArray
    trades: IntArray
    whole_life: frozenset[tuple[str, str]]
    """(venue, instrument) of options of which every trade was recorded since nobody held any."""
    coverage: FlowCoverage

    def __len__(self) -> int:
        return int(self.instrument.size)

    def __str__(self) -> str:
        return f"{self.coverage.trades:,} trades of {self.currency} options up to {format_time(self.as_of_ns)}, {self.coverage.sentence()}"
