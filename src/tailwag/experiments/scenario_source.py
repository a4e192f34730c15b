"""Where a run's numbers come from: a measurement or a hand, whose depth and by which law, who was assumed to be short."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tailwag.liquidity.money import dollars
from tailwag.sim.impact import ImpactModel

Document = Mapping[str, Any]
SAME = 1e-9
"""Depths that differ by less than this share are one depth, written out and read back."""
STATED, NO_IMPACT = "stated", "none"
LAW_WORDS = {
    "book": "the order book, which answers for minutes and only as far as it reaches",
    "square-root": "the square-root law, which answers for hours",
    "given": "a depth stated to the measurement",
    STATED: "as stated",
}


@dataclass(frozen=True, slots=True)
class Source:
    """What a run is of.  ``kind``: measurement (its book is one that was measured) or scenario (all stated by hand).

    ``depth_usd_per_pct`` is what moves this run's price 1 % at once, None where nothing does; ``depth_law`` is stated, none, or the law of the
    measurement that gives this very depth.  ``headline_`` is what the measurement's own headline takes.  None: not known or not measured.
    """

    kind: str
    name: str
    sha256: str
    currency: str | None = None
    synthetic: bool = False
    sign_undetermined: bool = False
    rule: str | None = None
    depth_usd_per_pct: float | None = None
    depth_law: str = STATED
    headline_gain: float | None = None
    headline_depth_usd_per_pct: float | None = None
    headline_law: str | None = None

    def to_document(self) -> dict[str, Any]:
        """Plain values, in this order."""
        return asdict(self)

    @property
    def notes(self) -> tuple[str, ...]:
        """That the measurement's headline is of another depth than the run, where it is."""
        other, gain = self.headline_depth_usd_per_pct, self.headline_gain
        if other is None or gain is None or self.depth_usd_per_pct is None or _same(other, self.depth_usd_per_pct):
            return ()
        return (
            f"{self.name}: this run's depth is {dollars(self.depth_usd_per_pct)} per 1 % ({LAW_WORDS.get(self.depth_law, self.depth_law)}); the "
            f"measurement's headline G = {gain:.2f} takes {dollars(other)} ({LAW_WORDS.get(str(self.headline_law), str(self.headline_law))})",
        )


def source_of(scenario: tuple[str, str], measured: Mapping[str, tuple[str, Document]], impact: ImpactModel, spot_usd: float) -> Source:
    """The source of a scenario (name, sha256) whose agents hold measured books, by name: each its sha256 and its document.

    With several books the first gives name, rule and headline; one that is synthetic or of undetermined sign makes the run so.
    """
    per_usd = impact.small_signal_per_usd(spot_usd)
    depth = 0.01 / per_usd if per_usd > 0.0 else None
    if not measured:
        return Source("scenario", *scenario, depth_usd_per_pct=depth, depth_law=NO_IMPACT if depth is None else STATED)
    documents = [document for _, document in measured.values()]
    name, (sha256, first) = next(iter(measured.items()))
    gain, assumed = _part(first, "gain"), _part(first, "assumptions")
    rules, currency, law = assumed.get("rules"), first.get("currency"), gain.get("law")
    return Source(
        "measurement",
        name,
        sha256,
        currency=currency if isinstance(currency, str) else None,
        synthetic=any(bool(_part(document, "source").get("synthetic")) for document in documents),
        sign_undetermined=any(_part(document, "gain").get("regime") == "undetermined" for document in documents),
        rule=str(rules[0]) if isinstance(rules, list) and rules else None,
        depth_usd_per_pct=depth,
        depth_law=NO_IMPACT if depth is None else _law(gain, depth),
        headline_gain=_number(gain.get("value")),
        headline_depth_usd_per_pct=_number(gain.get("depth_usd_per_pct")),
        headline_law=law if isinstance(law, str) else None,
    )


def _law(gain: Document, depth: float) -> str:
    """The law of the measurement that gives this depth, else 'stated'."""
    rows = gain.get("by_law")
    for row in [gain, *(rows if isinstance(rows, list) else [])]:
        known = _number(row.get("depth_usd_per_pct")) if isinstance(row, Mapping) else None
        if known is not None and _same(known, depth):
            return str(row.get("law") or STATED)
    return STATED


def _same(one: float, other: float) -> bool:
    return abs(one / other - 1.0) < SAME


def _part(document: Document, key: str) -> Document:
    found = document.get(key)
    return found if isinstance(found, Mapping) else {}


def _number(value: Any) -> float | None:
    """A positive or negative number; None for anything else, 0 included."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value != 0 else None
