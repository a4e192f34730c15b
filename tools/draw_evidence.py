"""Small drawings for the evidence pages, from the documents of `tailwag study ... --json`: a few kB each, sharp at any size.

python tools/draw_evidence.py trades signs.json docs/images/trade-signs.svg
python tools/draw_evidence.py results docs/evidence/results.json docs/images/study.svg
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

INK, MUTED, GRID, SURFACE = "#17202c", "#566272", "#e4e8ee", "#fefefe"
PAINTS = ("#c84f00", "#0072b2", "#e69f00", "#00795f", "#aa145a", "#566272", "#7a5cc8")
Point = tuple[float, float]


class Drawing:
    """Lines and words in whole units of a view box, as SVG text."""

    def __init__(self, width: int, height: int) -> None:
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="DejaVu Sans,sans-serif" font-size="13" fill="none">',
            f'<path fill="{SURFACE}" d="M0 0H{width}V{height}H0z"/>',
        ]

    def words(self, x: float, y: float, text: str, *, colour: str = MUTED, anchor: str = "", bold: bool = False) -> None:
        """Text on a baseline; anchor middle or end."""
        more = (f' text-anchor="{anchor}"' if anchor else "") + (' font-weight="bold"' if bold else "")
        self.parts.append(f'<text x="{x:.0f}" y="{y:.0f}" fill="{colour}"{more}>{text}</text>')

    def line(self, points: Sequence[Point | None], colour: str, *, width: float = 1.5, dash: str = "") -> None:
        """A line through points rounded to whole units; None breaks it."""
        path, last = "", None
        for point in points:
            if point is None:
                last = None
                continue
            at = (round(point[0]), round(point[1]))
            path += f"M{at[0]} {at[1]}" if last is None else _step(at[0] - last[0], at[1] - last[1])
            last = at
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(f'<path stroke="{colour}" stroke-width="{width:g}"{dashed} d="{path}"/>')

    def box(self, x: float, y: float, width: float, height: float, colour: str, opacity: float = 1.0) -> None:
        """A filled rectangle."""
        faint = f' fill-opacity="{opacity:g}"' if opacity < 1.0 else ""
        self.parts.append(f'<path fill="{colour}"{faint} d="M{x:.0f} {y:.0f}h{width:.0f}v{height:.0f}h{-width:.0f}z"/>')

    def dot(self, x: float, y: float, colour: str) -> None:
        """A filled point."""
        self.parts.append(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="5" fill="{colour}"/>')

    def text(self) -> str:
        """The whole file."""
        return "\n".join([*self.parts, "</svg>\n"])


def _step(across: int, down: int) -> str:
    if across and down:
        return f"l{across} {down}" if down >= 0 else f"l{across}{down}"
    return f"h{across}" if across else f"v{down}" if down else ""


def trades(document: dict[str, Any]) -> str:
    """Share of gamma with the other sign: week by week, and each file with its interval, its bounds and what chance gives."""
    drawing = Drawing(760, 560)
    drawing.words(16, 24, "Where dealers' sign from trades is not that of long-calls-short-puts", colour=INK, bold=True)
    drawing.words(16, 46, "% of gamma, week by week")
    files = [file for file in document["files"] if len(file["days"]["end"]) > 7]
    times = [[datetime.fromisoformat(end).timestamp() for end in file["days"]["end"]] for file in files]
    first, last = min(map(min, times)), max(map(max, times))
    for share in (0, 50, 100):
        height = 240 - 1.8 * share
        drawing.line([(50, height), (744, height)], INK if share == 50 else GRID, width=1, dash="2 4" if share == 50 else "")
        drawing.words(42, height + 5, str(share), anchor="end")
    for year in range(2018, 2024):
        at = 50 + 694 * (datetime.fromisoformat(f"{year}-01-01T00:00:00+00:00").timestamp() - first) / (last - first)
        drawing.words(at, 262, str(year), anchor="middle")
    for paint, file, when in zip(PAINTS, files, times):
        shares = file["days"]["differs_by_gamma"]
        kept = range(0, len(when), 7)
        drawing.line(
            [None if shares[k] is None else (50 + 694 * (when[k] - first) / (last - first), 240 - 180 * shares[k]) for k in kept], paint
        )
    drawing.words(250, 296, "% of gamma over all days")
    for place, file in enumerate(files):
        _row(drawing, 322 + 34 * place, file, PAINTS[place])
    for share in (0, 25, 50, 75, 100):
        drawing.words(250 + 4.8 * share, 526, str(share), anchor="middle")
    drawing.words(
        16, 550, "Dot and bar: share and 95 % interval. Thin line: whoever took in blocks. Grey: sides drawn by chance, 5 to 95 %."
    )
    return drawing.text()


def _row(drawing: Drawing, height: float, file: dict[str, Any], paint: str) -> None:
    gamma, chance = file["rules"][0]["differs"]["gamma"], file["wrong_sides"][-1]

    def at(share: float) -> float:
        return 250 + 480 * share

    drawing.words(16, height + 5, f"{_expiry(file['name'])}, {file['options']} calls", colour=paint)
    drawing.words(236, height + 5, f"{100 * gamma['share']:.0f} %", colour=INK, anchor="end")
    drawing.box(at(chance["low"]), height - 11, 480 * (chance["high"] - chance["low"]), 22, GRID)
    drawing.line([(at(gamma["at_least"]), height), (at(gamma["at_most"]), height)], paint, width=1)
    drawing.line([(at(gamma["low"]), height), (at(gamma["high"]), height)], paint, width=5)
    drawing.dot(at(gamma["share"]), height, paint)


def _expiry(name: str) -> str:
    return next((part for part in name.split("_") if part[:2].isdigit()), name)


SHADES = {"amplifying": "#c84f00", "damping": "#00795f", "undetermined": "#5b4a9c"}
SHADED = {"amplifying": "amplifying", "damping": "damping", "undetermined": "the published rules differ"}
RUNAWAY = "#aa145a"


def case(document: dict[str, Any]) -> str:
    """Price over what the published rules say together, and the gain under each rule, on one clock with its expiries."""
    drawing = Drawing(760, 430)
    start, end = _seconds(document["from"]), _seconds(document["to"])

    def at(text: str) -> float:
        return 50 + 700 * (_seconds(text) - start) / (end - start)

    told, shots = document["price"], document["snapshots"]
    low, high = told["low_usd"], told["high_usd"]
    known = [*(one["known"] for one in shots), document["to"]]
    for place, one in enumerate(shots):
        if place and one["sign"] == shots[place - 1]["sign"]:
            continue
        until = next((k for k in range(place, len(shots)) if shots[k]["sign"] != one["sign"]), len(shots))
        drawing.box(at(known[place]), 30, at(known[until]) - at(known[place]), 190, SHADES[one["sign"]], 0.13)
    drawing.words(50, 20, "price, thousand USD")
    across = 190.0
    for sign in dict.fromkeys(one["sign"] for one in shots):
        drawing.box(across, 9, 18, 13, SHADES[sign], 0.3)
        drawing.words(across + 24, 20, SHADED[sign], colour=INK)
        across += 60 + 7 * len(SHADED[sign])
    step = next(size for size in (500, 1000, 2000, 5000, 10000) if (high - low) / size < 6)
    for level in range(int(-(-low // step)) * step, int(high) + 1, step):
        height = 215 - 180 * (level - low) / (high - low)
        drawing.line([(50, height), (750, height)], GRID, width=1)
        drawing.words(44, height + 5, f"{level / 1000:g}", anchor="end")
    _expiries(drawing, document, at)
    drawing.line(
        [None if c is None else (at(e), 215 - 180 * (c - low) / (high - low)) for e, c in zip(told["end"], told["close_usd"])],
        INK,
        width=1.3,
    )
    _case_gains(drawing, document, [at(text) for text in known])
    for day in range(int(start // 86400), int(end // 86400)):
        moment = datetime.fromtimestamp(86400 * day, UTC)
        drawing.words(at(moment.isoformat()), 424, f"{moment.day} {moment:%b}", anchor="middle" if day * 86400 > start else "")
    return drawing.text()


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _expiries(drawing: Drawing, document: dict[str, Any], at: Callable[[str], float]) -> None:
    for one in document["expiries"]:
        share, place = one["share_of_gross_gamma"], at(one["expiry"])
        drawing.line([(place, 30), (place, 220), None, (place, 262), (place, 408)], RUNAWAY, width=round(0.7 + 6 * share, 1), dash="4 3")
        if share >= 0.15:
            drawing.words(place + 5, 45, f"{100 * share:.0f} % of gamma expires,", colour=RUNAWAY)
            drawing.words(place + 5, 61, f"most open interest at {one['largest_strike_usd']:,.0f}", colour=RUNAWAY)


def _case_gains(drawing: Drawing, document: dict[str, Any], at: list[float]) -> None:
    rules = [
        row["rule"] for row in document["snapshots"][0]["rules"] if row["dynamics"] == document["snapshots"][0]["rules"][0]["dynamics"]
    ]
    gains = {rule: [next(row["gain"] for row in one["rules"] if row["rule"] == rule) for one in document["snapshots"]] for rule in rules}
    low, high = min(map(min, gains.values())), max(map(max, gains.values()))

    def height(gain: float) -> float:
        return 404 - 140 * (gain - low) / (high - low)

    drawing.words(50, 250, "gain:")
    across = 95.0
    for paint, (rule, values) in zip(PAINTS, gains.items()):
        points = [(x, height(gain)) for place, gain in enumerate(values) for x in at[place : place + 2]]
        drawing.line(points, paint, width=2)
        drawing.words(across, 250, rule, colour=paint)
        across += 22 + 8 * len(rule)
    for level in (-0.4, 0.0, 0.4, 0.8):
        if low <= level <= high:
            drawing.line([(50, height(level)), (750, height(level))], GRID if level else INK, width=1)
            drawing.words(44, height(level) + 5, f"{level:+.1f}".replace("-", "\u2212") if level else "0", anchor="end")


ASKED = {
    "reversal": "next 15 minutes",
    "realised-vol": "vol, next day",
    "realised-vol-1h": "vol, next hour",
    "shocks": "after hourly shocks",
    "expiry": "expiry, 08:00 UTC",
    "pinning": "pinning",
    "out-of-sample": "forecast (Clark-West)",
}


def results(document: dict[str, Any]) -> str:
    """Every estimate with its interval, in units of the smallest effect that four of five samples show; diamonds where theory gives a size."""
    drawing = Drawing(760, 340)
    decisions = {**document["rejected"]["primary"], **document["rejected"]["secondary"]}
    shown = [name for name, held in decisions.items() if held]
    head = f"{len(decisions)} questions; shown: {', '.join(shown) or 'none'}"
    drawing.words(16, 24, head, colour=INK, bold=True)
    drawing.words(
        16, 46, "Right of 0: as predicted. Grey: too small to be seen in four of five such samples. Diamond: size that theory gives."
    )
    ones = {entry["name"]: (entry["estimates"][0], entry["predicted"]) for entry in document["hypotheses"]}
    rows = [(name, one, size) for name, (one, size) in ones.items()]
    rows.append(("out-of-sample", document["out_of_sample"]["clark_west"], 0.0))

    def at(share: float) -> float:
        return 390 + 90 * share

    drawing.box(at(-1.0), 62, 180, 34 * len(rows), GRID)
    drawing.line([(at(0.0), 62), (at(0.0), 62 + 34 * len(rows))], INK, width=1)
    for place, (name, one, size) in enumerate(rows):
        height, unit = 80 + 34 * place, one["seen_at"] * (-1.0 if size < 0 else 1.0)
        ends = sorted(one[end] / unit for end in ("low", "high"))
        drawing.words(16, height + 5, ASKED[name], colour=INK)
        drawing.words(280, height + 5, "shown" if decisions[name] else "not shown", anchor="end")
        paint = PAINTS[0] if decisions[name] else PAINTS[1] if place else INK
        drawing.line([(at(ends[0]), height), (at(ends[1]), height)], paint, width=5)
        drawing.dot(at(one["value"] / unit), height, paint)
        if size:
            x = at(size / unit)
            drawing.line([(x - 7, height), (x, height - 7), (x + 7, height), (x, height + 7), (x - 7, height)], RUNAWAY, width=2)
    for share in (-1, 0, 1, 2, 3):
        drawing.words(at(share), 322, str(share).replace("-", "\u2212"), anchor="middle")
    return drawing.text()


DRAWN = {"trades": trades, "case": case, "results": results}


def main(words: Sequence[str]) -> None:
    """Draw one document."""
    kind, source, target = words
    Path(target).write_text(DRAWN[kind](json.loads(Path(source).read_text())), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
