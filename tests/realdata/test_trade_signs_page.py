"""Figures of docs/evidence/trade-signs.md, computed again from the signed-trade files: a page that quotes another number fails here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tailwag.errors import FileFormatError
from tailwag.experiments.study.trade_signs_run import TradesRequest, trade_signs

pytestmark = pytest.mark.realdata
ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "evidence" / "trade-signs.md"
EXPIRIES = ("29DEC17", "25DEC20", "26MAR21", "31DEC21", "30DEC22", "31MAR23")


def path_of(data: Path, expiry: str) -> str:
    return str(data / "deribit-trades" / f"trades_BTC_{expiry}_calls.parquet")


def text_of_page() -> str:
    return re.sub(r"\s+", " ", PAGE.read_text(encoding="utf-8"))


def pct(share: float) -> str:
    return f"{100 * share:.0f} %"


def reach(low: float, high: float) -> str:
    return f"{100 * low:.0f} to {100 * high:.0f} %"


def named(expiry: str) -> str:
    return f"{int(expiry[:-5])} {expiry[-5:-2].capitalize()} 20{expiry[-2:]}"


def rows(expiry: str, file: dict[str, Any]) -> list[str]:
    """The rows of the page's tables that are this file's."""
    naive, otm, short = file["rules"]
    told, wrong = naive["differs"], file["wrong_sides"]
    gamma, chance = told["gamma"], wrong[-1]
    bounds = reach(gamma["at_least"], gamma["at_most"]) if file["assumed_share"] else "-"
    net = f"{naive['net_gamma']['differing']} of {naive['net_gamma']['days']}"
    first = [
        named(expiry),
        f"{file['trades']:,}",
        str(file["options"]),
        *(pct(told[weight]["share"]) for weight in ("options", "contracts", "gamma")),
        reach(gamma["low"], gamma["high"]),
        reach(chance["low"], chance["high"]),
        net,
    ]
    blocks = [pct(file["assumed_share"]), pct(gamma["share"])]
    blocks += [pct(file[key]["gamma"]) for key in ("blocks_as_printed", "blocks_turned_round")] if file["assumed_share"] else ["-", "-"]
    second = [named(expiry), *blocks, bounds]
    third = [named(expiry)]
    for rule in (naive, otm, short):
        third += [f"{pct(rule['differs']['gamma']['share'])} ({reach(rule['differs']['gamma']['low'], rule['differs']['gamma']['high'])})"]
    fourth = [named(expiry), *(f"{100 * one['differs']:.0f} / {100 * one['undecided']:.0f}" for one in wrong[1:])]
    return ["| " + " | ".join(row) + " |" for row in (first, second, third, fourth)]


def quoted(data: Path, expiry: str) -> dict[str, Any]:
    """The file's document, after its rows have been found on the page."""
    file = trade_signs(TradesRequest((path_of(data, expiry),)))["files"][0]
    page = text_of_page()
    for row in rows(expiry, file):
        assert row in page, row
    return file


def test_the_smallest_files_say_what_the_page_says(data: Path) -> None:
    assert quoted(data, "29DEC17")["assumed_share"] == 0.0
    quoted(data, "25DEC20")
    half_day = trade_signs(TradesRequest((str(data / "deribit-trades" / "Deribit_20220101.csv"),)))["files"][0]
    shares = [pct(half_day["rules"][0]["differs"][weight]["share"]) for weight in ("options", "contracts", "gamma")]
    chance = half_day["wrong_sides"][-1]
    assert (
        f"{half_day['trades']:,} trades left of {half_day['trades'] + half_day['repeats']:,} in {half_day['options']} options: "
        f"{shares[0]} of options, {shares[1]} of contracts, {shares[2]} of gamma ({reach(chance['low'], chance['high'])} by chance)"
    ) in text_of_page()


@pytest.mark.slow
@pytest.mark.parametrize("expiry", EXPIRIES[2:])
def test_every_other_file_says_what_the_page_says(data: Path, expiry: str) -> None:
    quoted(data, expiry)


def test_how_much_of_the_options_life_the_files_hold(data: Path) -> None:
    """The venue numbers each option's trades from 1."""
    missing = {}
    for expiry in EXPIRIES:
        numbers = pl.read_parquet(path_of(data, expiry), columns=["instrument_name", "trade_seq"])
        each = numbers.group_by("instrument_name").agg(
            pl.col("trade_seq").max().alias("last"), pl.col("trade_seq").n_unique().alias("there")
        )
        missing[expiry] = (int((each["last"] - each["there"]).sum()), int((each["last"] > each["there"]).sum()))
    gaps = {expiry: found for expiry, found in missing.items() if found[0]}
    assert set(gaps) == {"31DEC21", "31MAR23"}
    (early, early_options), (late, late_options) = gaps["31DEC21"], gaps["31MAR23"]
    assert (early_options, late_options) == (2, 1)
    assert f"{early:,} of two options of 31 December 2021 and {late:,} of one of 31 March 2023" in text_of_page()


def test_an_empty_download_is_refused_by_name(data: Path) -> None:
    with pytest.raises(FileFormatError, match=r"BTC-26MAR21-90000-C\.json"):
        trade_signs(TradesRequest((str(data / "deribit-trades" / "raw" / "BTC-26MAR21-90000-C.json"),)))


def test_one_strike_from_json_is_that_strike_of_the_parquet(data: Path) -> None:
    """The venue's own reply and the collected file give the same inventory of an option."""
    from tailwag.experiments.study.trade_signs import daily_book, option_prints
    from tailwag.sources.trades_files import load_trades

    one = daily_book(option_prints(load_trades(data / "deribit-trades" / "raw" / "BTC-29DEC17-10000-C.json"), currency="BTC"))
    all_of_them = daily_book(option_prints(load_trades(path_of(data, "29DEC17")), currency="BTC"))
    place = [option.name for option in all_of_them.prints.options].index("BTC-29DEC17-10000-C")
    days = [int(end) for end in all_of_them.end_ns]
    shared = [days.index(int(end)) for end in one.end_ns]
    assert one.held_coin[:, 0].tolist() == pytest.approx(all_of_them.held_coin[shared, place].tolist(), abs=1e-9)
