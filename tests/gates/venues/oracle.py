"""The oracle of the soak: what the exchange truly held, against what was published; a process of its own that knows nothing of the product.

It reads JSON lines.  ``truth``: the exchange's rows at one time.  ``sent``: an index price or a touch of the perp that it truly sent.
``frame``: what was published, with the true time.  The last line asks for the verdict, which goes to stdout as one JSON object.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

TOLERANCE = 1e-9
SECOND_NS = 1_000_000_000
YEAR_NS = 365 * 86_400 * SECOND_NS
SETTLEMENT_NS = 30 * 60 * SECOND_NS
SLACK_SECONDS = 12.0
"""Beyond the age that a frame allows itself: what a fetch may take, and the step of the watch."""
KEPT = 4_000


def gamma(forward: float, strike: float, years: float, vol: float) -> float:
    """Of one coin of option, by its forward: phi(d1) / (F sigma sqrt T)."""
    width = vol * math.sqrt(years)
    upper = math.log(forward / strike) / width + width / 2.0
    return math.exp(-upper * upper / 2.0) / math.sqrt(2.0 * math.pi) / (forward * width)


def time_ns(text: str) -> int:
    """An ISO 8601 UTC time, to the nanosecond."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return int(datetime.fromisoformat(whole + "+00:00").timestamp()) * SECOND_NS + int((fraction + "000000000")[:9])


def near(one: float | None, other: float, scale: float = 0.0) -> bool:
    return one is not None and abs(one - other) <= TOLERANCE * max(abs(other), scale, 1e-12)


@dataclass(slots=True)
class Verdict:
    """What came out."""

    wrong: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    by_fault: dict[str, Counter[str]] = field(default_factory=dict)

    def note(self, fault: str, what: str) -> None:
        self.by_fault.setdefault(fault or "none", Counter())[what] += 1


class Oracle:
    """Dicts and plain floats only."""

    def __init__(self) -> None:
        self.truths: dict[int, dict[str, Any]] = {}
        self.order: deque[int] = deque()
        self.indices: dict[float, int] = {}
        self.touches: dict[tuple[float, float], int] = {}
        self.verdict = Verdict()

    def hear(self, line: dict[str, Any]) -> None:
        kind = line["k"]
        if kind == "truth":
            self._truth(line)
        elif kind == "sent":
            if "index" in line:
                self.indices[line["index"]] = line["at"]
            if "touch" in line:
                self.touches[tuple(line["touch"])] = line["at"]
        elif kind == "frame":
            self._frame(line)

    def _truth(self, line: dict[str, Any]) -> None:
        rows = {row[0]: row for row in line["rows"]}
        assert len(rows) == len(line["rows"])
        self.truths[line["at"]] = rows
        self.order.append(line["at"])
        if len(self.order) > KEPT:
            del self.truths[self.order.popleft()]

    def _frame(self, line: dict[str, Any]) -> None:
        frame, fault = line["frame"], line.get("fault") or ""
        state, verdict = frame["source_state"], self.verdict
        verdict.counts[f"{frame['type']} {state}"] += 1
        if frame["type"] == "measure":
            verdict.note(fault, "published " + state)
            differs = self._differences(line)
            if differs:
                verdict.counts["differ"] += 1
                if state == "ok" and line.get("excused"):
                    verdict.counts["excused"] += 1
                    verdict.note(fault, "wrong before it could be known")
                elif state == "ok":
                    verdict.wrong.append(f"{frame['as_of']} seq {frame['seq']} ({fault}) published as ok: {'; '.join(differs)}"[:400])
                else:
                    verdict.note(fault, "wrong and flagged")
            else:
                verdict.counts["agree"] += 1
        else:
            verdict.note(fault, "told " + state)
        self._age(line)

    def _age(self, line: dict[str, Any]) -> None:
        frame = line["frame"]
        if frame["age_s"] is not None and frame["age_s"] < 0.0:
            self.verdict.wrong.append(f"a negative age: {frame['age_s']}")
        if frame["source_state"] != "ok":
            return
        age = (line["at"] - time_ns(frame["as_of"])) / SECOND_NS
        if age > frame["max_age_s"] + SLACK_SECONDS:
            self.verdict.wrong.append(f"{frame['as_of']} is {age:.1f} s old and {frame['type']} says ok, at most {frame['max_age_s']} s")

    def _differences(self, line: dict[str, Any]) -> list[str]:
        """Why the published numbers are not those of what the exchange held at their time."""
        said, as_of = line["said"], time_ns(line["frame"]["as_of"])
        rows = self.truths.get(as_of)
        if rows is None:
            return ["the exchange sent nothing of that time"]
        spot = said["spot_usd"]
        if spot not in self.indices or not as_of - SECOND_NS <= self.indices[spot] <= line["at"]:
            return [f"spot {spot} was never the index"]
        found = self._exposures(rows, as_of, spot, said)
        for touch in said["touches"]:
            if touch[0] >= touch[1]:
                found.append(f"a crossed book: {touch}")
            elif tuple(touch) not in self.touches:
                found.append(f"a touch that never was: {touch}")
        return found

    def _exposures(self, rows: dict[str, Any], as_of: int, spot: float, said: dict[str, Any]) -> list[str]:
        by_expiry: dict[int, list[float]] = {}
        settling = False
        for _, expiry, strike, right, held, vol_pct, forward in rows.values():
            if expiry <= as_of:
                continue
            if expiry - as_of < SETTLEMENT_NS:
                settling = True
                continue
            part = by_expiry.setdefault(expiry, [0.0, 0.0, 0.0])
            one = gamma(forward, strike, (expiry - as_of) / YEAR_NS, vol_pct / 100.0) * spot * spot / 100.0 * held
            part[0] += right * one
            part[1] += one
            part[2] += held
        found = []
        published = {time_ns(one["expiry"]): one for one in said["by_expiry"]}
        for expiry, (net, gross, held) in by_expiry.items():
            one = published.get(expiry)
            if one is None:
                if held > 0.0:
                    found.append(f"expiry {expiry} is missing")
                continue
            for key, value in (("gex_usd_per_pct", net), ("gross_gex_usd_per_pct", gross), ("open_interest_coin", held)):
                if not near(one[key], value, 1e-3 * gross if key.startswith("gex") else 0.0):
                    found.append(f"{key} of {one['expiry']}: {one[key]} for {value}")
        strange = [one["expiry"] for expiry, one in published.items() if expiry not in by_expiry and not expiry - as_of < SETTLEMENT_NS]
        found += [f"expiry {one} does not exist" for one in strange]
        if not settling:
            gross = math.fsum(part[1] for part in by_expiry.values())
            for key, value in (("gex_usd_per_pct", math.fsum(part[0] for part in by_expiry.values())), ("gross_gex_usd_per_pct", gross)):
                if not near(said[key], value, 1e-3 * gross):
                    found.append(f"{key}: {said[key]} for {value}")
        return found


def main() -> None:
    oracle = Oracle()
    for text in sys.stdin:
        line = json.loads(text)
        if line["k"] == "end":
            break
        oracle.hear(line)
    verdict = oracle.verdict
    json.dump(
        {
            "wrong": verdict.wrong[:20],
            "wrongs": len(verdict.wrong),
            "counts": dict(verdict.counts),
            "by_fault": {name: dict(one) for name, one in sorted(verdict.by_fault.items())},
            "modules": sorted(name for name in sys.modules if name.split(".")[0] in ("tailwag", "numpy", "tests")),
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
