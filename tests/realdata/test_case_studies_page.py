"""Figures of docs/evidence/case-studies.md, measured again from the recorded chains and candles: a page that quotes another number fails here."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest

from tailwag.experiments.study.case import CaseRequest, case
from tailwag.experiments.study.case_sentences import NO_TEST
from tailwag.experiments.study.history import build_history
from tailwag.experiments.study.history_options import HistoryOptions
from tailwag.figures.numbers import gain_text, money, percent, price
from tailwag.market.clock import parse_time_ns
from tailwag.units import NS_PER_HOUR

pytestmark = pytest.mark.realdata
PAGE = Path(__file__).resolve().parents[2] / "docs" / "evidence" / "case-studies.md"
RULES = ("long-calls-short-puts", "short-all", "customers-sell-otm")
DYNAMICS = ("sticky-strike", "sticky-moneyness")
OPTIONS = HistoryOptions(rules=RULES, dynamics=DYNAMICS, depth_usd_per_pct=5e8)
WINDOWS = {
    "2026-01-30": ("2026-01-29", "2026-02-01"),
    "2026-02-05": ("2026-02-03", "2026-02-09"),
    "2026-03-27": ("2026-03-26", "2026-03-29"),
}
CANDLES = "prices/ocean_BTCUSDT_15m_2025-08_2026-05.csv.gz"
MOMENTS = {"beginning": "first", "before": "before", "after": "after", "end": "last"}


def told(data: Path, folder: Path, name: str) -> dict[str, Any]:
    """The case, from the snapshots of its window alone."""
    start, end = (parse_time_ns(f"{day}T00:00:00Z") for day in WINDOWS[name])
    month = data / "deribit-chains" / f"deribit_chain_{name[:7]}.parquet"
    build_history([str(month)], folder, OPTIONS, span_ns=(start - NS_PER_HOUR, end))
    return case(CaseRequest(str(folder), str(data / CANDLES), start, end))


def clock(text: str) -> str:
    return f"{int(text[8:10])} {('Jan', 'Feb', 'Mar')[int(text[5:7]) - 1]} {text[11:16]}"


def gains(one: dict[str, Any]) -> list[str]:
    return [gain_text(next(row["gain"] for row in one["rules"] if row["rule"] == rule)) for rule in RULES]


def snapshot_row(one: dict[str, Any]) -> str:
    cells = [
        clock(one["known"]),
        price(one["price_usd"]),
        percent(one["trailing_vol_1d"], decimals=0),
        percent(one["atm_iv_1d"], decimals=0),
        {"undetermined": "differ"}.get(one["sign"], one["sign"]),
        *gains(one),
        percent(one["expiring_share"], decimals=0),
        price(one["largest_strike_usd"]),
    ]
    return "| " + " | ".join(cells) + " |"


def both(rows: list[dict[str, Any]], key: str, shown: Any) -> str:
    """A figure under each dynamics, once where they say the same."""
    texts = [shown(row[key]) for row in rows]
    return texts[0] if texts[0] == texts[1] else " / ".join(texts)


def moment_rows(document: dict[str, Any]) -> list[str]:
    found = []
    for key, title in MOMENTS.items():
        one = document["snapshots"][document["moments"][key]]
        for rule in RULES:
            rows = [next(row for row in one["rules"] if (row["rule"], row["dynamics"]) == (rule, dynamics)) for dynamics in DYNAMICS]
            cells = [
                f"{title}, {clock(one['known'])}",
                f"`{rule}`",
                money(rows[0]["gex_usd_per_pct"], signed=True),
                gain_text(rows[0]["gain"]),
                both(rows, "flip_usd", lambda flip: "none" if flip is None else price(flip)),
                both(rows, "flip_distance_log", lambda log: "-" if log is None else percent(math.expm1(log), signed=True)),
                both(rows, "flow_down_5pct_usd", lambda flow: money(flow, signed=True)),
                both(rows, "flow_up_5pct_usd", lambda flow: money(flow, signed=True)),
            ]
            found.append("| " + " | ".join(cells) + " |")
    return found


def shown(name: str, document: dict[str, Any]) -> list[dict[str, Any]]:
    """The snapshots that the page prints: all, or of the longest case those of its two days and both ends."""
    shots = document["snapshots"]
    return (
        shots
        if name != "2026-02-05"
        else [shots[0], *(one for one in shots if one["known"][:10] in ("2026-02-05", "2026-02-06")), shots[-1]]
    )


def says(document: dict[str, Any], name: str) -> None:
    page = re.sub(r"\s+", " ", PAGE.read_text(encoding="utf-8").replace("\\$", "$"))
    quoted = [snapshot_row(one) for one in shown(name, document)] + moment_rows(document)
    quoted += [line for line in document["headline"] if line != NO_TEST]
    for line in quoted:
        assert re.sub(r"\s+", " ", line) in page, line


def test_the_expiry_of_january(data: Path, tmp_path: Path) -> None:
    says(told(data, tmp_path, "2026-01-30"), "2026-01-30")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["2026-02-05", "2026-03-27"])
def test_the_crash_of_february_and_the_expiry_of_march(data: Path, tmp_path: Path, name: str) -> None:
    says(told(data, tmp_path, name), name)
