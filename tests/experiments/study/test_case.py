"""A case told from made tables and candles: every figure again by loops, nothing of later times in a snapshot's row, and words that cannot be meant."""

from __future__ import annotations

import hashlib
import io
import json
import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.cli.command import refused, tailwag

from tailwag.errors import EmptyChainError, FileFormatError, InputError
from tailwag.experiments.study.case import CaseRequest, case
from tailwag.experiments.study.case_page import case_html
from tailwag.experiments.study.case_picture import case_png, spans
from tailwag.experiments.study.case_sentences import NO_TEST
from tailwag.experiments.study.case_words import print_case
from tailwag.market.clock import format_time

HOUR = 3_600 * 10**9
QUARTER = HOUR // 4
DAY = 24 * HOUR
START = 1_770_076_800 * 10**9
"""2026-02-03T00:00:00Z."""
RULES = {"long-calls-short-puts": (-60e6, -40e6, 20e6, 30e6), "short-all": (-300e6,) * 4, "customers-sell-otm": (-10e6, 50e6, 40e6, 0.0)}
KNOWN = (START + 5 * HOUR, START + 11 * HOUR + 7 * 60 * 10**9, START + 23 * HOUR, START + 30 * HOUR)


ALSO = {
    "snapshots.parquet": [f"gross_gamma_{right}_{side}_usd_per_pct" for right in ("calls", "puts") for side in ("below", "above")],
    "panel.parquet": [f"{part}flow_{way}_1pct_usd" for part in ("", "expiring_") for way in ("down", "up")],
}
"""Columns that a history has and a case does not tell."""


def price_at(step: int) -> float:
    """The close of the step-th quarter of an hour: a slow wave, and a fall of 3 % in the hour that ends 20 hours in."""
    return 70_000.0 * math.exp(0.01 * math.sin(step / 9.0) - (0.03 if step >= 80 else 0.03 * max(step - 76, 0) / 4.0))


def candles(folder: Path, *, first: int = -200, last: int = 160, missing: tuple[int, ...] = ()) -> Path:
    """Candle k opens k quarters after the start and closes at ``price_at(k + 1)``."""
    rows = [f"{(START + k * QUARTER) // 10**6},{price_at(k + 1)!r},1" for k in range(first, last) if k not in missing]
    path = folder / "candles.csv"
    path.write_text("timestamp,close,volume\n" + "\n".join(rows) + "\n")
    return path


def history(folder: Path, *, depth: float | None = 5e8, rules: dict[str, tuple[float, ...]] = RULES) -> Path:
    """Four snapshots of BTC and a refused one, as tailwag history build writes them."""
    snapshots, panel = [], []
    for place, known in enumerate(KNOWN):
        snapshots.append(
            {
                "snapshot": f"BTC-{place}",
                "currency": "BTC",
                "status": "ok",
                "known_ns": known,
                "crawl_start_ns": known - 600 * 10**9,
                "spot_usd": 70_000.0 + place,
                "atm_iv_1d": None if place == 1 else 0.5,
                "atm_iv_7d": 0.55,
                "gross_gamma_usd_per_pct": 300e6,
                "next_expiry_gross_gamma_usd_per_pct": 30e6 * (place + 1),
                "next_expiry_ns": START + (8 if place == 0 else 32) * HOUR,
                "largest_strike_usd": 75_000.0,
                "largest_strike_open_interest_coin": 900.0,
                "near_strike_usd": 70_000.0,
                "masked_share": 0.0,
            }
        )
        for rule, gex in rules.items():
            for dynamics in ("sticky-strike", "sticky-moneyness"):
                panel.append(
                    {
                        "snapshot": f"BTC-{place}",
                        "currency": "BTC",
                        "rule": rule,
                        "law": "given",
                        "dynamics": dynamics,
                        "gex_usd_per_pct": gex[place],
                        "gain": None if depth is None else -gex[place] / depth,
                        "gain_low": -gex[place] / 5e8 - 0.1 if rule == "short-all" and depth else None,
                        "gain_high": -gex[place] / 5e8 + 0.1 if rule == "short-all" and depth else None,
                        "sign": "amplifying",
                        "flip_usd": None if rule == "short-all" else 72_000.0,
                        "flip_distance_log": None if rule == "short-all" else math.log(72_000.0 / 70_000.0),
                        "expiring_gamma_usd_per_pct": 0.1 * gex[place],
                        "flow_down_5pct_usd": 5.0 * gex[place],
                        "flow_up_5pct_usd": -5.0 * gex[place],
                    }
                )
    snapshots.append({**snapshots[0], "snapshot": "BTC-refused", "status": "refused", "known_ns": START + 12 * HOUR})
    told: dict[str, Any] = {}
    for name, rows in {"snapshots.parquet": snapshots, "panel.parquet": panel}.items():
        data = io.BytesIO()
        frame = pl.DataFrame(rows, infer_schema_length=None).with_columns(pl.lit(0.0).alias(column) for column in ALSO[name])
        frame.write_parquet(data)
        (folder / name).write_bytes(data.getvalue())
        told[name] = {"rows": len(rows), "sha256": hashlib.sha256(data.getvalue()).hexdigest()}
    (folder / "history.json").write_text(json.dumps({"schema": "tailwag.history/1", "tables": told}))
    return folder


def request(folder: Path, *, start: int = START, end: int = START + 36 * HOUR, **more: Any) -> CaseRequest:
    return CaseRequest(str(history(folder)), str(candles(folder, **more)), start, end)


def vol_by_loop(known: int) -> float:
    """The past day's: returns of quarters that begin and end within it."""
    last = (known - START) // QUARTER
    first = -((START - (known - DAY)) // QUARTER) if known - DAY < START else -(-(known - DAY - START) // QUARTER)
    moves = [math.log(price_at(k + 1) / price_at(k)) for k in range(first, last)]
    return math.sqrt(sum(move * move for move in moves) / len(moves) * 365 * 96)


def test_every_snapshot_has_the_price_and_the_past_of_its_time(tmp_path: Path) -> None:
    document = case(request(tmp_path))
    assert [one["snapshot"] for one in document["snapshots"]] == [f"BTC-{place}" for place in range(4)]
    for known, one in zip(KNOWN, document["snapshots"], strict=True):
        assert one["known"] == format_time(known)
        assert one["price_usd"] == pytest.approx(price_at((known - START) // QUARTER), rel=1e-12)
        assert one["trailing_vol_1d"] == pytest.approx(vol_by_loop(known), rel=1e-9)
    assert [one["expiring_share"] for one in document["snapshots"]] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert [one["atm_iv_1d"] for one in document["snapshots"]] == [0.5, None, 0.5, 0.5]


def test_a_sign_is_what_published_rules_agree_on(tmp_path: Path) -> None:
    """The bound does not vote; opposite signs, and a sign against nothing, are undetermined."""
    document = case(request(tmp_path))
    assert [one["sign"] for one in document["snapshots"]] == ["amplifying", "undetermined", "damping", "undetermined"]
    assert "amplifying in 1, damping in 1, undetermined in 2" in document["headline"][1]
    assert "long-calls-short-puts: gain −0.060 to +0.12, amplifying in 2 of 4." in document["headline"]
    assert document["headline"][-1] == NO_TEST
    assert [one["rules"][2]["gain_low"] for one in document["snapshots"]] == pytest.approx([0.5] * 4)
    bound = tmp_path / "bound"
    bound.mkdir()
    history(bound, rules={"short-all": RULES["short-all"]})
    alone = case(CaseRequest(str(bound), str(candles(tmp_path)), START, START + DAY))
    assert {one["sign"] for one in alone["snapshots"]} == {"amplifying"}


def test_expiries_are_as_the_last_snapshot_before_saw_them(tmp_path: Path) -> None:
    first, second = case(request(tmp_path))["expiries"]
    assert (first["expiry"], first["seen_at"], first["share_of_gross_gamma"]) == (format_time(START + 8 * HOUR), format_time(KNOWN[0]), 0.1)
    assert (second["expiry"], second["seen_at"]) == (format_time(START + 32 * HOUR), format_time(KNOWN[3]))
    assert second["price_usd"] == pytest.approx(price_at(128), rel=1e-12)
    assert second["distance_log"] == pytest.approx(math.log(price_at(128) / 75_000.0))


def test_the_fastest_hour_and_what_stood_before_and_after_it(tmp_path: Path) -> None:
    document = case(request(tmp_path))
    moments = document["moments"]
    assert moments["fastest_hour"]["from"] == format_time(START + 19 * HOUR)
    assert moments["fastest_hour"]["log_return"] == pytest.approx(math.log(price_at(80) / price_at(76)), rel=1e-9)
    assert (moments["beginning"], moments["before"], moments["after"], moments["end"]) == (0, 1, 2, 3)
    told = document["price"]
    closes = {k: price_at(k) for k in range(1, 145)}
    lowest = min(closes, key=lambda k: closes[k])
    assert (told["low_at"], told["low_usd"]) == (format_time(START + lowest * QUARTER), pytest.approx(closes[lowest], rel=1e-12))
    assert (told["first_usd"], told["last_usd"]) == (pytest.approx(price_at(1), rel=1e-12), pytest.approx(price_at(144), rel=1e-12))


def test_no_snapshot_knows_what_came_later(tmp_path: Path) -> None:
    whole = case(request(tmp_path))["snapshots"]
    for last in (150, 121, 93):
        early = case(request(tmp_path, last=last))["snapshots"]
        over = START + last * QUARTER
        count = sum(known <= over for known in KNOWN)
        assert early[:count] == whole[:count]


def test_gaps_in_candles_are_no_prices(tmp_path: Path) -> None:
    gap = tuple(range(10, 40))
    document = case(request(tmp_path, missing=gap))
    assert [one["price_usd"] is None for one in document["snapshots"]] == [True, False, False, False]
    assert document["price"]["missing"] == 30
    assert document["snapshots"][2]["trailing_vol_1d"] is None
    assert document["expiries"][0]["price_usd"] is None
    assert document["expiries"][0]["distance_log"] is None
    print_case(document, file=io.StringIO())
    nothing = CaseRequest(str(tmp_path), str(candles(tmp_path, last=-60)), START, START + DAY)
    with pytest.raises(InputError, match="no candle from 2026-02-03"):
        case(nothing)


def test_a_history_without_a_depth_has_signs_and_no_gain(tmp_path: Path) -> None:
    document = case(CaseRequest(str(history(tmp_path, depth=None)), str(candles(tmp_path)), START, START + DAY))
    assert any("No gain: " in line for line in document["headline"])
    printed = io.StringIO()
    print_case(document, file=printed)
    assert "n/a" in printed.getvalue()


def test_what_cannot_be_told_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmptyChainError, match="no measured snapshot of BTC was known from 2026-02-08"):
        case(request(tmp_path, start=START + 5 * DAY, end=START + 6 * DAY))
    with pytest.raises(InputError, match="--to after --from"):
        request(tmp_path, end=START)
    with pytest.raises(InputError, match="at most 62 days"):
        request(tmp_path, end=START + 63 * DAY)
    (tmp_path / "panel.parquet").write_bytes((tmp_path / "snapshots.parquet").read_bytes())
    with pytest.raises(FileFormatError, match="another SHA-256"):
        case(CaseRequest(str(tmp_path), str(candles(tmp_path)), START, START + DAY))


def test_the_command_prints_and_writes(tmp_path: Path) -> None:
    words = ("study", "case", "--panel", history(tmp_path), "--candles", candles(tmp_path))
    span = ("--from", format_time(START), "--to", format_time(START + 36 * HOUR))
    document = tailwag(*words, *span, "--json", "-").document
    assert document == case(request(tmp_path))
    printed = io.StringIO()
    print_case(document, file=printed)
    assert tailwag(*words, *span).out.decode() == printed.getvalue()
    assert all(len(line) <= 100 for line in printed.getvalue().splitlines())
    assert "they differ" in printed.getvalue()
    assert "needs --from" in refused(*words)
    assert "takes no files" in refused(*words, "more.json")
    assert "takes no --from" in refused("study", "reversal", "--panel", "p", "--candles", "c", *span)
    assert "no offset" in refused(*words, "--from", "2026-02-03", "--to", "2026-02-04")


@pytest.mark.slow
def test_the_page_and_the_picture_show_the_document(tmp_path: Path) -> None:
    document = case(request(tmp_path))
    assert case_png(document)[:8] == b"\x89PNG\r\n\x1a\n"
    page = case_html(document)
    assert NO_TEST in page
    assert "G long-calls-short-puts" in page
    assert "http://" not in page.split("<script", maxsplit=1)[0]
    assert [sign for _, _, sign in spans(document)] == [one["sign"] for one in document["snapshots"]]
    assert spans(document)[-1][1] == document["to"]
    names = [tmp_path / "case.png", tmp_path / "case.html"]
    words = ("study", "case", "--panel", tmp_path, "--candles", candles(tmp_path), "--from", format_time(START))
    assert tailwag(*words, "--to", format_time(START + 36 * HOUR), "--png", names[0], "--html", names[1]).code == 0
    assert names[0].read_bytes() == case_png(document)
    assert names[1].read_text() == page
