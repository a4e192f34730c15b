"""Laws of market impact: by how many per cent a flow of dollars moves the price, and where each law comes from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from tailwag.errors import RuleError, UnitError
from tailwag.liquidity.money import dollars

if TYPE_CHECKING:
    from tailwag.market.snapshot import Snapshot

FULL_MOVE_PCT = 100.0
LEAST_DEPTH_USD = 1e-6
"""No market is shallower; a smaller number is a slip, and gains under it would leave the numbers that a computer holds."""


@runtime_checkable
class Impact(Protocol):
    """How far a flow moves the price; one verb.

    ``name`` is the law as reports print it, ``source`` one sentence saying where its numbers come from.
    """

    @property
    def name(self) -> str:
        """The law as reports print it: book, square-root, long-run, given."""
        ...

    @property
    def source(self) -> str:
        """One sentence: where the numbers come from and what is assumed."""
        ...

    def price_move_pct(self, flow_usd: float) -> float | None:
        """Per cent, without sign, by which buying (+) or selling (-) ``flow_usd`` moves the price; None where unknown."""
        ...


def depth_usd_per_pct(impact: Impact, flow_usd: float) -> float | None:
    """Secant depth: dollars per 1 % of price move at a flow of this size, |flow| / move; None where the law does not know.

    A linear law has one depth; the square-root law is deep for large moves and shallow for small ones, so its depth belongs to a flow.
    At zero flow the slope at zero is returned where the law has one.

    >>> round(depth_usd_per_pct(SquareRootImpact(10e9, 0.031405), 57.5655e6) / 1e6, 1)
    241.6
    """
    if isinstance(impact, LinearImpact):
        return impact.linear_depth_usd_per_pct
    if flow_usd == 0.0:
        slope = getattr(impact, "depth_at_zero_usd_per_pct", None)
        return None if slope is None else float(slope)
    move = impact.price_move_pct(flow_usd)
    return None if move is None or not move > 0.0 else abs(flow_usd) / move


def unknown_reason(impact: Impact, flow_usd: float) -> str:
    """Why this law names no price move for this flow: a sentence for the output.

    >>> unknown_reason(UnknownImpact("book", "no order book in the source"), 1e6)
    'no order book in the source'
    """
    explain = getattr(impact, "reason", None)
    if callable(explain):
        return str(explain(flow_usd))
    return f"the {impact.name} law gives no price move for a flow of {dollars(flow_usd)}"


def doubt_at_move(impact: Impact, move_pct: float) -> str | None:
    """Why this law must not be asked about a move of this size (a book that does not reach that far); None if it may.

    >>> doubt_at_move(LinearImpact(2e8, source="desk estimate"), 1.0) is None
    True
    """
    explain = getattr(impact, "doubt_at_move", None)
    return explain(move_pct) if callable(explain) else None


@dataclass(frozen=True, slots=True, init=False)
class LinearImpact:
    """Twice the flow, twice the move: a stated number of dollars per 1 %.

    move [%] = |flow| / depth.  Units: USD per 1 %.  RuleError if the depth is not a positive number.

    >>> LinearImpact(200e6, source="desk estimate").price_move_pct(-50e6)
    0.25
    """

    linear_depth_usd_per_pct: float
    source: str
    name: str

    def __init__(self, depth_usd_per_pct: float, *, source: str = "stated by the user", name: str = "given") -> None:
        _positive("depth_usd_per_pct", depth_usd_per_pct, "state the dollars that move the price 1 %")
        if depth_usd_per_pct < LEAST_DEPTH_USD:
            raise RuleError(f"expected depth_usd_per_pct of {LEAST_DEPTH_USD:g} USD or more, got {depth_usd_per_pct}; state it in dollars")
        object.__setattr__(self, "linear_depth_usd_per_pct", float(depth_usd_per_pct))
        object.__setattr__(self, "source", source)
        object.__setattr__(self, "name", name)

    @property
    def depth_at_zero_usd_per_pct(self) -> float:
        """Dollars per 1 % for a vanishing flow: the same as for any other."""
        return self.linear_depth_usd_per_pct

    def price_move_pct(self, flow_usd: float) -> float:
        """Per cent, without sign."""
        return abs(flow_usd) / self.linear_depth_usd_per_pct

    def depth_usd_per_pct(self, flow_usd: float = 0.0) -> float:
        """Dollars per 1 %, whatever the flow."""
        return self.linear_depth_usd_per_pct

    def __add__(self, other: Impact) -> SumImpact:
        return SumImpact((self, other))

    def __str__(self) -> str:
        return f"{self.name}: {dollars(self.linear_depth_usd_per_pct)} per 1 % ({self.source})"


@dataclass(frozen=True, slots=True)
class SquareRootImpact:
    """The empirical law for hours: four times the flow, twice the move.

    move = Y * daily_vol * sqrt(flow / daily_volume).  Below ``crossover_usd`` the move is linear in the flow and meets the square root
    there (the slope halves at the joint); without it the pure law has no finite slope at zero, so a small loop has no gain of its own.
    Units: USD, daily vol as a decimal (0.0314).  Source: Toth et al. 2011; Y is about 1.

    >>> round(100 * SquareRootImpact(10e9, 0.031405).price_move_pct(100e6), 3)    # basis points
    31.405

    Raises RuleError for a volume, vol, Y or crossover that is not a positive number, UnitError for a daily vol above 1.
    """

    daily_volume_usd: float
    daily_vol: float
    y: float = 1.0
    crossover_usd: float | None = None
    basis: str = "volume and vol stated by the user"
    name: str = "square-root"

    def __post_init__(self) -> None:
        _positive("daily_volume_usd", self.daily_volume_usd, "give the market's volume of one day")
        _positive("daily_vol", self.daily_vol, "give the vol of one day as a decimal")
        _positive("y", self.y, "the law's constant is about 1")
        if self.daily_vol >= 1.0:
            raise UnitError(
                f"expected daily_vol as a decimal of one day such as 0.031, got {self.daily_vol}; divide per cent by 100 and annual vol by sqrt(365)"
            )
        if self.crossover_usd is not None:
            _positive("crossover_usd", self.crossover_usd, "leave it out for the pure square root")

    @classmethod
    def from_snapshot(
        cls, snapshot: Snapshot, *, y: float = 1.0, daily_vol: float | None = None, crossover_usd: float | None = None
    ) -> SquareRootImpact:
        """The law from the snapshot's own 24 h volume (spot, perps, dated futures) and at-the-money vol, both named in ``source``.

        ``daily_vol`` replaces the chain's at-the-money vol / sqrt(365).  RuleError if the snapshot holds no volume or no vol.
        """
        from tailwag.liquidity.volume import square_root_from_snapshot

        return square_root_from_snapshot(snapshot, y=y, daily_vol=daily_vol, crossover_usd=crossover_usd)

    @property
    def terms(self) -> str:
        """The law's own numbers."""
        return f"ADV {dollars(self.daily_volume_usd)}, daily vol {100 * self.daily_vol:.2f} %, Y={self.y:g}"

    @property
    def source(self) -> str:
        """The law with its numbers, and where they come from."""
        joint = "" if self.crossover_usd is None else f", linear below {dollars(self.crossover_usd)}"
        return f"square-root law, {self.terms}{joint}; {self.basis}"

    @property
    def depth_at_zero_usd_per_pct(self) -> float | None:
        """Dollars per 1 % for a vanishing flow: the linear part's depth, None under the pure law (it has no slope at zero)."""
        return None if self.crossover_usd is None else self.crossover_usd / self._root_pct(self.crossover_usd)

    def price_move_pct(self, flow_usd: float) -> float:
        """Per cent, without sign."""
        size = abs(flow_usd)
        joint = self.crossover_usd
        return self._root_pct(size) if joint is None or size >= joint else self._root_pct(joint) * size / joint

    def depth_usd_per_pct(self, flow_usd: float) -> float | None:
        """Secant dollars per 1 % at this flow."""
        return depth_usd_per_pct(self, flow_usd)

    def reason(self, flow_usd: float) -> str:
        """Why there is no depth: only a zero flow under the pure law."""
        return "the square-root law has no finite slope at zero flow; state a crossover to give it one"

    def _root_pct(self, size_usd: float) -> float:
        return FULL_MOVE_PCT * self.y * self.daily_vol * math.sqrt(size_usd / self.daily_volume_usd)

    def __add__(self, other: Impact) -> SumImpact:
        return SumImpact((self, other))

    def __str__(self) -> str:
        return f"{self.name}: {self.source}"


@dataclass(frozen=True, slots=True)
class SumImpact:
    """One flow, several effects: the price moves of the parts add (a part that stays and a part that passes, for instance).

    >>> both = LinearImpact(200e6, source="passing") + LinearImpact(200e6, source="lasting")
    >>> both.price_move_pct(100e6)
    1.0
    """

    parts: tuple[Impact, ...]

    @property
    def name(self) -> str:
        """The parts' names joined with +."""
        return "+".join(part.name for part in self.parts)

    @property
    def source(self) -> str:
        """The parts' sources, each with its name."""
        return "; plus ".join(part.source for part in self.parts)

    @property
    def depth_at_zero_usd_per_pct(self) -> float | None:
        """Dollars per 1 % for a vanishing flow, None if one part has no slope there."""
        depths = [getattr(part, "depth_at_zero_usd_per_pct", None) for part in self.parts]
        return None if any(depth is None for depth in depths) else 1.0 / sum(1.0 / depth for depth in depths if depth is not None)

    def price_move_pct(self, flow_usd: float) -> float | None:
        """Per cent, without sign; None if one part does not know."""
        moves = [part.price_move_pct(flow_usd) for part in self.parts]
        return None if any(move is None for move in moves) else math.fsum(move for move in moves if move is not None)

    def depth_usd_per_pct(self, flow_usd: float) -> float | None:
        """Secant dollars per 1 % at this flow."""
        return depth_usd_per_pct(self, flow_usd)

    def reason(self, flow_usd: float) -> str:
        """The reason of the first part that does not know."""
        silent = [part for part in self.parts if part.price_move_pct(flow_usd) is None]
        return unknown_reason(silent[0] if silent else self.parts[0], flow_usd)

    def doubt_at_move(self, move_pct: float) -> str | None:
        """The first doubt of any part about a move of this size."""
        doubts = [doubt_at_move(part, move_pct) for part in self.parts]
        return next((doubt for doubt in doubts if doubt), None)

    def __add__(self, other: Impact) -> SumImpact:
        return SumImpact((*self.parts, other))

    def __str__(self) -> str:
        return f"{self.name}: {self.source}"


@dataclass(frozen=True, slots=True)
class UnknownImpact:
    """A law that cannot speak here, kept in the list so that the output says why instead of leaving it out.

    >>> UnknownImpact("book", "no order book in the source").price_move_pct(1e6) is None
    True
    """

    name: str
    why: str

    @property
    def source(self) -> str:
        """There is none."""
        return "none"

    def price_move_pct(self, flow_usd: float) -> None:
        """Unknown."""
        return

    def reason(self, flow_usd: float) -> str:
        """Why the law is silent."""
        return self.why

    def __add__(self, other: Impact) -> SumImpact:
        return SumImpact((self, other))

    def __str__(self) -> str:
        return f"{self.name}: unknown, {self.why}"


def permanent_impact(per_usd: float, *, source: str) -> LinearImpact:
    """The move that does not revert, from lambda: relative price move per dollar (a permanent impact must be linear, else a round trip pays).

    depth = 0.01 / lambda.  Source: Huberman and Stanzl 2004.

    >>> round(permanent_impact(3.1e-11, source="event study").depth_usd_per_pct() / 1e6, 1)
    322.6
    """
    _positive("permanent_per_usd", per_usd, "give the lasting relative price move per dollar, such as 3e-11")
    return LinearImpact(0.01 / per_usd, source=f"lasting part, linear, {per_usd:.3g} per USD; {source}", name="long-run")


def lasting_impact(law: SquareRootImpact, *, permanent_share: float) -> LinearImpact:
    """The part of the square-root law that is still there after days: a stated share of the move that a full day's volume makes, linear.

    lambda = share * Y * daily_vol / daily_volume: the law read at its own daily scale (flow = one day's volume), where hours end and days
    begin.  No share is assumed for you, because none can be read off a snapshot.  RuleError unless 0 < share <= 1.

    >>> round(lasting_impact(SquareRootImpact(10e9, 0.031405), permanent_share=0.5).depth_usd_per_pct() / 1e9, 2)
    6.37
    """
    if not 0.0 < permanent_share <= 1.0:
        raise RuleError(
            f"expected permanent_share above 0 and up to 1, got {permanent_share}; leave the long-run law out where nothing stays"
        )
    per_usd = permanent_share * law.y * law.daily_vol / law.daily_volume_usd
    return permanent_impact(per_usd, source=f"{permanent_share:.0%} of the square-root law at one day's volume ({law.terms})")


def _positive(name: str, value: float, remedy: str) -> None:
    if not (math.isfinite(value) and value > 0.0):
        raise RuleError(f"expected {name} above 0, got {value}; {remedy}")
