"""A study's document as a reader needs it: what the plan calls rejected, which sizes the data can exclude, and rows for pictures and tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tailwag.figures.numbers import MINUS

Document = Mapping[str, Any]
PRIMARY, OUT_OF_SAMPLE = "reversal", "out-of-sample"
GIVEN, PLANNED = "given", "as planned"
LEVEL = 0.05
SECONDARY = 6
"""How many secondary hypotheses the plan has."""


def number(value: float) -> str:
    """Three significant digits with a true minus.

    >>> number(-0.01234), number(1.0), number(0)
    ('−0.0123', '1.00', '0')
    """
    return f"{value:#.3g}".replace("-", MINUS) if value else "0"


def p_value(value: float) -> str:
    """A p-value to three digits, and never 0.

    >>> p_value(0.0), p_value(0.0421)
    ('below 0.0001', '0.0421')
    """
    return "below 0.0001" if value < 1e-4 else f"{value:.3g}"


def between(low: float, high: float) -> str:
    """An interval in words.

    >>> between(-1.0, 0.5)
    '−1.00 to 0.500'
    """
    return f"{number(low)} to {number(high)}"


@dataclass(frozen=True, slots=True)
class Interval:
    """One estimate as a picture shows it: its 95 % interval over blocks, the bootstrap's, the smallest effect seen in four of five samples, and the prediction.

    ``rejected``: whether 0 is rejected after the plan's correction; None for what is descriptive.
    """

    name: str
    value: float
    low: float
    high: float
    seen_at: float
    block: tuple[float, float] | None = None
    predicted: float | None = None
    rejected: bool | None = None

    def over(self, unit: float) -> Interval:
        """The same in another unit, which may be below 0.

        >>> Interval("a", 1.0, -1.0, 3.0, 2.0).over(-2.0)
        Interval(name='a', value=-0.5, low=-1.5, high=0.5, seen_at=1.0, block=None, predicted=None, rejected=None)
        """
        low, high = sorted((self.low / unit, self.high / unit))
        block = None if self.block is None else (min(one / unit for one in self.block), max(one / unit for one in self.block))
        predicted = None if self.predicted is None else self.predicted / unit
        return replace(
            self, value=self.value / unit, low=low, high=high, seen_at=self.seen_at / abs(unit), block=block, predicted=predicted
        )


def interval(name: str, estimate: Document, *, predicted: float | None = None, rejected: bool | None = None) -> Interval:
    """An estimate of the document under a name."""
    ends = estimate["block_low"], estimate["block_high"]
    block = None if None in ends else ends
    value, low, high, seen_at = (float(estimate[key]) for key in ("value", "low", "high", "seen_at"))
    return Interval(name, value, low, high, seen_at, block=block, predicted=predicted, rejected=rejected)


def first_of(entry: Document | None) -> Document | None:
    """The coefficient that a hypothesis is about, None where it was refused."""
    return next(iter(entry["estimates"]), None) if entry else None


@dataclass(frozen=True, slots=True)
class Judged:
    """A hypothesis as the plan judges it.

    ``alone``: its p-value is below 5 % (the primary: both intervals leave 0 out).  ``rejected``: so after Holm's correction, where the document holds all
    six.  ``against``: the estimate has the other sign than was predicted.  ``size_inside``: whether the predicted size lies in the interval, None where
    none was predicted.
    """

    alone: bool
    rejected: bool
    corrected: bool
    against: bool
    size_inside: bool | None


def judged(document: Document, entry: Document) -> Judged:
    """Judge one hypothesis that has an estimate."""
    one, told = entry["estimates"][0], document.get("rejected")
    name, primary = entry["name"], entry["name"] == PRIMARY
    alone = bool(one["rejects_zero"]) if primary else bool(one["p_value"] < LEVEL)
    ruled = alone if told is None else bool({**told["primary"], **told["secondary"]}.get(name, alone))
    wanted = -1.0 if entry["predicted"] < 0 else 1.0
    sized = first_of(sized_by(entry))
    inside = None if not entry["predicted"] or sized is None else bool(sized["low"] <= entry["predicted"] <= sized["high"])
    return Judged(alone, ruled, primary or told is not None, bool(one["value"] * wanted < 0.0), inside)


def sized_by(entry: Document) -> Document:
    """The regression for which a size was predicted: that of vol without implied vol among its controls, the others as they are."""
    return dict(entry.get("without_implied_vol") or entry)


LABELS = {
    "reversal": "reversal: the next 15 minutes",
    "realised-vol": "realised-vol: the next day",
    "realised-vol-1h": "realised-vol-1h: the next hour",
    "shocks": "shocks: the hour after one",
    "expiry": "expiry: 08:00 UTC",
    "pinning": "pinning: at 08:00 UTC",
    OUT_OF_SAMPLE: "out-of-sample: vol forecast",
}
"""Each hypothesis as a picture calls it."""


def glance(document: Document) -> tuple[list[Interval], list[Interval]]:
    """All hypotheses in the plan's order, the primary first: in units of their prediction, and, where none was made, of the smallest effect seen."""
    predicted, others = [], []
    for entry in document["hypotheses"]:
        for row in _rows(document, entry):
            if entry["predicted"]:
                predicted.append(row.over(entry["predicted"]))
            elif row.seen_at > 0.0:
                others.append(row.over(row.seen_at))
    forecast = document.get("out_of_sample")
    if forecast and not forecast["refused"] and forecast["clark_west"]["seen_at"] > 0.0:
        row = interval(LABELS[OUT_OF_SAMPLE], forecast["clark_west"], rejected=_forecast_rejected(document))
        others.append(row.over(row.seen_at))
    return predicted, others


def _rows(document: Document, entry: Document) -> Iterator[Interval]:
    one, other = first_of(entry), first_of(entry.get("without_implied_vol"))
    if one is not None:
        yield interval(
            LABELS.get(entry["name"], str(entry["name"])), one, predicted=_own_size(entry), rejected=judged(document, entry).rejected
        )
    if other is not None:
        yield interval(f"{entry['name']}, no implied vol", other, predicted=entry["predicted"] or None)


def _own_size(entry: Document) -> float | None:
    """The size predicted for a hypothesis' own regression: none where implied vol, which may price the hedging, is among its controls."""
    return None if "without_implied_vol" in entry else entry["predicted"] or None


def _forecast_rejected(document: Document) -> bool:
    told = document.get("rejected")
    found = document["out_of_sample"]["clark_west"]["p_value"] < LEVEL
    return bool(told["secondary"].get(OUT_OF_SAMPLE, found) if told else found)


def forecast_rejected(document: Document) -> bool | None:
    """Whether the forecast with the gain is called better, None where there is none."""
    told = document.get("out_of_sample")
    return None if not told or told["refused"] else _forecast_rejected(document)


def unanswered(document: Document) -> list[str]:
    """The hypotheses that could not be estimated."""
    names = [entry["name"] for entry in document["hypotheses"] if not entry["estimates"]]
    told = document.get("out_of_sample")
    return names + ([OUT_OF_SAMPLE] if told and told["refused"] else [])


def assumed_name(document: Document, row: Document) -> str:
    """What one set of assumptions has otherwise than the plan's.

    >>> planned = {"assumptions": {"rule": "long-calls-short-puts", "dynamics": "sticky-strike"}}
    >>> assumed_name(planned, {"rule": "short-all", "dynamics": "sticky-strike", "depth": "by volume", "later_minutes": 20.0})
    'short-all, depth by volume, known 20 min later'
    """
    own = document["assumptions"]
    told = [row[key] for key in ("rule", "dynamics") if row[key] != own[key]]
    told += [f"depth {row['depth']}"] if row["depth"] != GIVEN else []
    told += [f"known {row['later_minutes']:g} min later"] if row.get("later_minutes") else []
    return ", ".join(map(str, told)) or PLANNED


def assumptions_of(document: Document, entry: Document) -> list[Interval]:
    """A hypothesis under the plan's assumptions and, where they could be had, under the others."""
    one = first_of(entry)
    if one is None:
        return []
    rows = [interval(PLANNED, one, predicted=_own_size(entry), rejected=judged(document, entry).rejected)]
    return rows + [
        interval(assumed_name(document, row), row["estimate"]) for row in entry["other_assumptions"] if row["estimate"] is not None
    ]


def rank(placebo: Document) -> tuple[int, int]:
    """The true figure's place among its placebos and itself, 1 the farthest from 0.

    >>> rank({"share_as_far": 0.001, "placebos": 999})
    (1, 1000)
    """
    among = int(placebo["placebos"]) + 1
    return round(placebo["share_as_far"] * among), among
