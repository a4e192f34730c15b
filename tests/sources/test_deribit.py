"""Deribit replies: however they were saved they give one and the same chain, and each damaged row its code."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.sources.deribit_replies import (
    AS_OF_MS,
    AS_OF_NS,
    DROP,
    EXPIRIES,
    INDEX_USD,
    STRIKES,
    instrument,
    perpetual,
    reply,
    summaries,
    summary,
    ticker,
)

from tailwag.errors import EmptyChainError, FileFormatError, TimeError, UnitError
from tailwag.market.codes import RowCode
from tailwag.market.snapshot import Snapshot
from tailwag.sources import load


def _load(value: Any, tmp_path: Path, **options: Any) -> Snapshot:
    path = tmp_path / "chain.json"
    path.write_text(json.dumps(value))
    return load(path, **options)


def _codes(snapshot: Snapshot, name: str) -> set[str]:
    row = snapshot.chain.instrument.tolist().index(name)
    return {code.code for code in RowCode if snapshot.chain.has(code)[row]}


def _tickers() -> list[dict[str, Any]]:
    return [ticker(expiry, strike, letter) for expiry in EXPIRIES for strike in STRIKES for letter in "CP"]


NAMES = [row["instrument_name"] for row in summaries()]
SHAPES: dict[str, Any] = {
    "bare list": summaries(),
    "result": {"result": summaries()},
    "JSON-RPC": reply(summaries()),
    "list of envelopes": [reply(summaries()[:20]), reply(summaries()[20:])],
    "instruments and summaries": {"instruments": reply([instrument(name) for name in NAMES]), "summaries": reply(summaries())},
    "wrapper with raw data": {
        "timestamp": "2026-03-20T12:09:00.000Z",
        "indexPrice": INDEX_USD,
        "gammaByExpiration": {
            "a": {
                "instruments": [
                    {"instrument_name": name, "gamma": 1.0, "open_interest": 5, "mark_price": 1, "mark_iv": 0.5} for name in NAMES
                ]
            }
        },
        "rawData": {"instruments": [instrument(name) for name in NAMES], "bookSummary": summaries()},
    },
    "list of tickers": _tickers(),
    "tickers by name": {row["instrument_name"]: reply(row) for row in _tickers()},
    "tickers and summaries": {"tickers": _tickers(), "book_summary": summaries()},
    "order books": [{**row, "bids": [[row["best_bid_price"], 3.0]], "asks": [], "change_id": 5} for row in _tickers()],
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_every_way_of_saving_gives_the_same_chain(shape: Any, tmp_path: Path) -> None:
    snapshot, plain = _load(shape, tmp_path), _load(summaries(), tmp_path)
    assert snapshot.as_of_ns == AS_OF_NS
    assert snapshot.spot_usd == INDEX_USD
    assert sorted(snapshot.chain.instrument.tolist()) == sorted(NAMES)
    order, plain_order = np.argsort(snapshot.chain.instrument), np.argsort(plain.chain.instrument)
    for column in ("strike_usd", "expiry_ns", "right", "open_interest_contracts", "mark_quoted", "iv", "underlying_usd", "index_usd"):
        assert getattr(snapshot.chain, column)[order].tolist() == getattr(plain.chain, column)[plain_order].tolist(), column
    assert not snapshot.chain.codes.any()
    assert snapshot.degraded == ()


def test_the_numbers_are_deribits_in_our_units(tmp_path: Path) -> None:
    chain = _load([summary("26JUN26", 70_000, "C", mark_iv=55.1, open_interest=226.1)], tmp_path).chain
    assert chain.iv[0] == pytest.approx(0.551, abs=1e-15)
    assert chain.open_interest_coin[0] == 226.1
    assert (chain.right[0], chain.strike_usd[0], chain.settlement[0], chain.venue[0]) == (1, 70_000.0, "inverse", "deribit")
    assert chain.underlying_name[0] == "BTC-26JUN26"


def test_a_ticker_brings_greeks_and_the_index(tmp_path: Path) -> None:
    chain = _load(reply(ticker("26JUN26", 70_000, "C", index_price=70_001.0)), tmp_path).chain
    assert (chain.delta_published[0], chain.gamma_published[0], chain.vega_published[0]) == (0.5, 0.00002, 30.0)
    assert chain.index_usd[0] == 70_001.0
    assert chain.volume_contracts[0] == 2.0


def test_as_of_is_the_earliest_quote_not_the_wrappers_time(tmp_path: Path) -> None:
    rows = summaries()
    rows[3]["creation_timestamp"] -= 7
    snapshot = _load({"timestamp": "2026-03-20T13:00:00Z", "bookSummary": rows}, tmp_path)
    assert snapshot.as_of_ns == AS_OF_NS - 7_000_000


def test_spot_is_the_median_index_of_the_rows(tmp_path: Path) -> None:
    rows = [summary("26JUN26", strike, "C", estimated_delivery_price=70_000.0 + strike / 1000) for strike in STRIKES]
    assert _load(rows, tmp_path).spot_usd == 70_070.0


def test_a_wrappers_index_wins_where_the_rows_agree(tmp_path: Path) -> None:
    snapshot = _load({"indexPrice": 70_003.5, "bookSummary": summaries()}, tmp_path)
    assert (snapshot.spot_usd, snapshot.degraded) == (70_003.5, ())


@pytest.mark.parametrize("stated", [0, -70_000.0, 700_000.0, 7_000], ids=["zero", "negative", "ten times", "a tenth"])
def test_item_22_a_spot_that_the_rows_refute_is_not_used(stated: float, tmp_path: Path) -> None:
    snapshot = _load({"indexPrice": stated, "bookSummary": summaries()}, tmp_path)
    assert snapshot.spot_usd == INDEX_USD
    assert "disagrees" in snapshot.degraded[0]


def test_item_22_one_rows_tenfold_index_is_outvoted(tmp_path: Path) -> None:
    rows = summaries()
    rows[7]["estimated_delivery_price"] = 10 * INDEX_USD
    snapshot = _load(rows, tmp_path)
    assert snapshot.spot_usd == INDEX_USD
    assert "1 rows state an index" in snapshot.degraded[0]


def test_item_22_without_any_index_the_nearest_forward_stands_in_and_says_so(tmp_path: Path) -> None:
    rows = [summary("26JUN26", 70_000, "C", estimated_delivery_price=None), summary("27MAR26", 70_000, "C", estimated_delivery_price=0)]
    snapshot = _load(rows, tmp_path)
    assert snapshot.spot_usd == rows[1]["underlying_price"]
    assert "no index price" in snapshot.degraded[0]


def test_without_any_price_of_the_underlying_nothing_can_be_valued(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="index price or a forward"):
        _load([summary("26JUN26", 70_000, "C", estimated_delivery_price=DROP, underlying_price=DROP)], tmp_path)


ROW = "BTC-26JUN26-65000-C"
ROW_FAULTS = [
    pytest.param({"mark_iv": 0}, {"iv_nonpositive"}, id="item-04-iv-zero"),
    pytest.param({"mark_iv": -50.0}, {"iv_nonpositive"}, id="item-05-iv-negative"),
    pytest.param({"mark_iv": None}, {"iv_missing"}, id="item-06-iv-null"),
    pytest.param({"mark_iv": ""}, {"iv_missing"}, id="item-06-iv-empty-text"),
    pytest.param({"mark_iv": DROP}, {"iv_missing"}, id="item-06-iv-not-there"),
    pytest.param({"mark_iv": 1000.0}, {"iv_extreme"}, id="item-07-iv-1000-percent"),
    pytest.param({"bid_price": 0.3}, {"crossed"}, id="item-09-crossed"),
    pytest.param({"bid_price": None}, {"one_sided"}, id="item-10-one-sided"),
    pytest.param({"mark_price": 1.2}, {"above_cap"}, id="item-12-above-one-coin"),
    pytest.param({"open_interest": None}, {"oi_missing"}, id="item-13-oi-null"),
    pytest.param({"open_interest": DROP}, {"oi_missing"}, id="item-13-oi-not-there"),
    pytest.param({"open_interest": -1}, {"oi_negative"}, id="item-13-oi-negative"),
    pytest.param({"open_interest": True}, {"oi_missing"}, id="item-13-oi-true"),
    pytest.param({"open_interest": "12,5"}, {"oi_missing"}, id="item-13-oi-no-number"),
    pytest.param({"open_interest": 0}, set(), id="item-13-oi-zero"),
    pytest.param({"underlying_price": 61_000.0}, {"forward_disagrees"}, id="item-21-forward-off"),
    pytest.param({"creation_timestamp": 0}, {"time_invalid"}, id="item-29-time-zero"),
    pytest.param({"creation_timestamp": AS_OF_MS // 1000}, {"time_invalid"}, id="item-29-time-in-seconds"),
    pytest.param({"creation_timestamp": AS_OF_MS * 1000}, {"time_invalid"}, id="item-29-time-in-microseconds"),
    pytest.param({"creation_timestamp": AS_OF_MS - 86_400_000 * 400}, {"time_invalid"}, id="item-29-time-a-year-off"),
]


@pytest.mark.parametrize(("changes", "expected"), ROW_FAULTS)
def test_a_damaged_row_gets_its_code_and_the_others_none(changes: dict[str, Any], expected: set[str], tmp_path: Path) -> None:
    rows = [row for row in summaries() if row["instrument_name"] != ROW]
    snapshot = _load([*rows[:10], summary("26JUN26", 65_000, "C", **changes), *rows[10:]], tmp_path)
    assert len(snapshot.chain) == len(NAMES)
    assert snapshot.as_of_ns == AS_OF_NS
    assert _codes(snapshot, ROW) == expected
    assert (snapshot.chain.codes[snapshot.chain.instrument != ROW] == 0).all()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"strike": 1e308}, {"strike_invalid"}, id="item-20-strike-1e308"),
        pytest.param({"strike": 0}, {"strike_invalid"}, id="item-20-strike-zero"),
        pytest.param({"strike": -65_000}, {"strike_invalid"}, id="item-20-strike-negative"),
        pytest.param({"strike": "6e4"}, {"strike_invalid"}, id="item-20-strike-exponent-text"),
        pytest.param({"strike": 66_000}, {"strike_invalid"}, id="item-20-strike-contradicts-the-name"),
        pytest.param({"expiration_timestamp": 1_782_460_800}, {"time_invalid"}, id="item-29-expiry-in-seconds"),
        pytest.param({"expiration_timestamp": 0}, {"time_invalid"}, id="item-29-expiry-zero"),
        pytest.param({"option_type": "put"}, {"right_invalid"}, id="right-contradicts-the-name"),
    ],
)
def test_a_listing_that_contradicts_the_name_is_masked(changes: dict[str, Any], expected: set[str], tmp_path: Path) -> None:
    listing = [instrument(name, **(changes if name == ROW else {})) for name in NAMES]
    snapshot = _load({"instruments": listing, "bookSummary": summaries()}, tmp_path)
    assert expected <= _codes(snapshot, ROW)
    assert not snapshot.chain.usable[snapshot.chain.instrument == ROW].any()
    assert (snapshot.chain.codes[snapshot.chain.instrument != ROW] == 0).all()


def test_item_01_an_expired_row_is_masked_and_its_time_never_clamped(tmp_path: Path) -> None:
    late = AS_OF_MS + 21 * 3_600_000
    snapshot = _load([{**row, "creation_timestamp": late} for row in summaries()], tmp_path)
    expired = snapshot.chain.has(RowCode.EXPIRED)
    assert set(snapshot.chain.instrument[expired]) == {name for name in NAMES if "21MAR26" in name}
    assert (snapshot.chain.expiry_ns[expired] < snapshot.as_of_ns).all()


def test_item_08_decimals_where_deribit_sends_percent_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnitError):
        _load([{**row, "mark_iv": row["mark_iv"] / 100} for row in summaries()], tmp_path)
    with pytest.raises(UnitError):
        _load([{**row, "mark_iv": row["mark_iv"] / (100 if place % 2 else 1)} for place, row in enumerate(summaries())], tmp_path)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(reply([]), id="item-14-empty-reply"),
        pytest.param({"result": []}, id="item-14-empty-result"),
        pytest.param({"indexPrice": 70_000.0, "rawData": {"instruments": [], "bookSummary": []}}, id="item-14-empty-wrapper"),
    ],
)
def test_item_14_a_recognised_reply_without_rows_is_empty(value: Any, tmp_path: Path) -> None:
    snapshot = _load(value, tmp_path)
    assert len(snapshot.chain) == 0
    assert snapshot.notes[0].startswith("empty")


@pytest.mark.parametrize("value", [[], {}, "", 5, None, [1, 2], {"a": 1}, [[]], {"candles": [[1, 2]]}], ids=str)
def test_item_14_an_unknown_shape_is_refused(value: Any, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"chain\.json"):
        _load(value, tmp_path)


def test_item_15_repeats_are_counted_once_or_masked(tmp_path: Path) -> None:
    same = _load([*summaries(), summary("26JUN26", 65_000, "C")], tmp_path)
    assert same.chain.has(RowCode.DUPLICATE).sum() == 1
    assert same.degraded == ()
    other = _load([*summaries(), summary("26JUN26", 65_000, "C", open_interest=1.0)], tmp_path)
    assert other.chain.has(RowCode.DUPLICATE_CONFLICT).sum() == 2
    assert "contradict" in other.degraded[0]


def test_item_16_combos_do_not_count_their_legs_twice(tmp_path: Path) -> None:
    combo = {**summary("26JUN26", 65_000, "C"), "instrument_name": "BTC-CS-26JUN26-60000_70000", "open_interest": 1e6}
    snapshot = _load([*summaries(), combo], tmp_path)
    assert len(snapshot.chain) == len(NAMES)
    assert "1 combos left out" in snapshot.notes[0]


def test_item_17_an_unknown_currency_is_masked_and_the_others_keep_working(tmp_path: Path) -> None:
    strange = {**summary("26JUN26", 65_000, "C"), "instrument_name": "WAGMI-26JUN26-65000-C"}
    ether = {**summary("26JUN26", 65_000, "C"), "instrument_name": "ETH-26JUN26-65000-C"}
    snapshot = _load([*summaries(), strange, ether], tmp_path)
    assert len(snapshot.chain) == len(NAMES) + 1
    assert _codes(snapshot, "WAGMI-26JUN26-65000-C") == {"unknown_currency"}
    assert "unknown currency" in snapshot.degraded[0]
    assert snapshot.chain.usable.sum() == len(NAMES)


def test_item_18_linear_options_stay_in_the_chain_with_their_settlement(tmp_path: Path) -> None:
    linear = {
        **summary("26JUN26", 65_000, "C", mark_price=9_000.0, bid_price=8_900.0, ask_price=9_100.0, quote_currency="USDC"),
        "instrument_name": "BTC_USDC-26JUN26-65000-C",
    }
    snapshot = _load([*summaries(), linear], tmp_path)
    assert _codes(snapshot, "BTC_USDC-26JUN26-65000-C") == set()
    assert _codes(snapshot, ROW) == set()
    assert snapshot.chain.settlement[-1] == "linear"
    usd = snapshot.chain.quoted_in_usd(snapshot.chain.mark_quoted)
    assert usd[-1] == 9_000.0
    inverse = snapshot.chain.instrument.tolist().index(ROW)
    assert usd[inverse] == snapshot.chain.mark_quoted[inverse] * snapshot.chain.underlying_usd[inverse]


def test_item_19_settlement_is_fixed_by_the_instruments_metadata(tmp_path: Path) -> None:
    snapshot = _load({"instruments": [instrument(ROW, instrument_type="linear")], "bookSummary": summaries()}, tmp_path)
    assert snapshot.chain.settlement[snapshot.chain.instrument == ROW].tolist() == ["linear"]


@pytest.mark.parametrize("name", ["BTC-PERPETUAL", "BTC-PERP"])
def test_item_33_every_spelling_of_the_perp_is_a_perp(name: str, tmp_path: Path) -> None:
    snapshot = _load([*summaries(), perpetual(instrument_name=name)], tmp_path)
    assert snapshot.futures.kind.tolist() == ["perp"]
    assert len(snapshot.chain) == len(NAMES)


def test_item_33_an_unknown_name_is_masked(tmp_path: Path) -> None:
    snapshot = _load([*summaries(), perpetual(instrument_name="BTC-ETERNAL")], tmp_path)
    assert _codes(snapshot, "BTC-ETERNAL") == {"name_invalid"}


HOSTILE_NAMES = [
    "<script>alert(1)</script>",
    "=cmd|'/c calc'!A1",
    "-1+1",
    "\tBTC",
    "\u202eCTB",
    "a\0b",
    "x" * 10_000,
    "BTC-27MAR26-٦٠٠-C",
    "BTC-27MAR26-60000-C\n",
]


@pytest.mark.parametrize("name", [*HOSTILE_NAMES, 5, None, ["BTC"], {"a": 1}], ids=lambda name: f"item-34-{ascii(name)[:20]}")
def test_item_34_a_hostile_name_is_masked_and_counted(name: Any, tmp_path: Path) -> None:
    rows = summaries()
    rows[5]["instrument_name"] = name
    snapshot = _load(rows, tmp_path)
    assert len(snapshot.chain) == len(NAMES)
    assert snapshot.chain.has(RowCode.NAME_INVALID).sum() == 1
    assert "no valid instrument name" in snapshot.degraded[0]


def test_a_row_that_is_no_object_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="entry 4 of 55"):
        _load(reply([*summaries()[:3], None, *summaries()[3:]]), tmp_path)


def test_listed_but_not_quoted_is_masked_not_dropped(tmp_path: Path) -> None:
    snapshot = _load({"instruments": [instrument(name) for name in NAMES], "bookSummary": summaries()[1:]}, tmp_path)
    assert len(snapshot.chain) == len(NAMES)
    assert "oi_missing" in _codes(snapshot, NAMES[0])
    assert any("no open interest" in doubt for doubt in snapshot.degraded)


def test_instruments_alone_have_no_open_interest(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="get_book_summary_by_currency"):
        _load(reply([instrument(name) for name in NAMES]), tmp_path)


def test_futures_alone_hold_no_options(tmp_path: Path) -> None:
    with pytest.raises(EmptyChainError, match="kind=option"):
        _load(reply([perpetual()]), tmp_path)


def test_another_currency_is_named(tmp_path: Path) -> None:
    with pytest.raises(EmptyChainError, match=r"no ETH option.*BTC"):
        _load(summaries(), tmp_path, currency="ETH")


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"jsonrpc": "2.0", "error": {"code": 10028, "message": "too_many_requests"}}, id="error"),
        pytest.param({"jsonrpc": "2.0", "error": {"code": 10028, "message": "x"}, "result": summaries()}, id="item-49-error-and-result"),
    ],
)
def test_an_error_reply_is_told_as_one(value: Any, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="10028"):
        _load(value, tmp_path)


def test_quotes_without_any_time_need_one_from_the_user(tmp_path: Path) -> None:
    rows = [summary("26JUN26", strike, "C", creation_timestamp=DROP) for strike in STRIKES]
    with pytest.raises(TimeError, match="--at"):
        _load(rows, tmp_path)
    assert _load(rows, tmp_path, at_ns=AS_OF_NS).as_of_ns == AS_OF_NS


def test_a_time_before_the_only_snapshot_finds_nothing(tmp_path: Path) -> None:
    assert _load(summaries(), tmp_path, at_ns=AS_OF_NS).as_of_ns == AS_OF_NS
    with pytest.raises(EmptyChainError, match="later"):
        _load(summaries(), tmp_path, at_ns=AS_OF_NS - 1)


def test_futures_are_in_usd_whatever_their_settlement(tmp_path: Path) -> None:
    linear = perpetual(instrument_name="BTC_USDC-PERPETUAL", open_interest=100.0, mark_price=70_000.0, volume_usd=None, volume_notional=5e6)
    dated = perpetual(instrument_name="BTC-26JUN26", open_interest=50_000_000, mark_price=71_000.0, funding_8h=None)
    futures = _load([*summaries(), perpetual(), linear, dated], tmp_path).futures
    assert futures.instrument.tolist() == ["BTC-PERPETUAL", "BTC_USDC-PERPETUAL", "BTC-26JUN26"]
    assert futures.open_interest_usd.tolist() == [1e9, 7e6, 5e7]
    assert futures.volume_24h_usd.tolist() == [3.5e8, 5e6, 3.5e8]
    assert futures.settlement.tolist() == ["inverse", "linear", "inverse"]
    assert futures.expiry_ns.tolist() == [0, 0, int(EXPIRIES["26JUN26"].timestamp()) * 10**9]
    assert futures.funding_8h[0] == 0.0001
    assert math.isnan(futures.funding_8h[2])
