"""Recorded venue messages through the live adapters: shapes that real venues sent, old versions beside current ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailwag.errors import FileFormatError
from tailwag.market.codes import RowCode
from tailwag.market.snapshot import Source
from tailwag.sources.listing import FOREIGN, FUTURE, OPTION, kind_of
from tailwag.sources.venue_binance import snapshot_from_binance
from tailwag.sources.venue_bybit import snapshot_from_bybit
from tailwag.sources.venue_deribit import snapshot_from_deribit
from tailwag.sources.venue_okx import snapshot_from_okx
from tailwag.sources.venue_replies import book_of

pytestmark = pytest.mark.realdata
SOURCE = Source("test", "capture")


def replies(path: Path) -> dict[str, Any]:
    """The JSON replies of a capture whose lines are ``url -> time: json``, by url."""
    found = {}
    for line in path.read_text().splitlines():
        head, _, body = line.partition(": ")
        url, arrow, _ = head.partition(" -> ")
        if arrow and body.startswith("{"):
            found[url] = json.loads(body)
    return found


def messages(path: Path, wanted: str) -> list[Any]:
    """Socket messages whose channel contains ``wanted``."""
    return [message for message in json.loads(path.read_text()) if wanted in str(message.get("stream") or message.get("topic"))]


class TestOkx:
    @pytest.mark.parametrize(("currency", "size"), [("BTC", 0.1), ("ETH", 1.0)])
    def test_recorded_instruments_give_contract_sizes_that_agree_with_their_names(self, data: Path, currency: str, size: float) -> None:
        recorded = replies(data / "captures/cryptofeed/OKX.0.options_only")
        instruments = next(reply for url, reply in recorded.items() if f"uly={currency}-USD" in url)
        names = [row["instId"] for row in instruments["data"]]
        stamp = {"ts": "1652458997052"}
        snapshot = snapshot_from_okx(
            {
                "instruments": instruments,
                "summary": {"code": "0", "data": [{"instId": name, "markVol": "0.9", "fwdPx": "30000", **stamp} for name in names]},
                "open_interest": {"code": "0", "data": [{"instId": name, "oi": "10", **stamp} for name in names]},
            },
            currency=currency,
            source=SOURCE,
        )
        assert len(snapshot.chain) == len(names) > 300
        assert np.all(snapshot.chain.coin_per_contract == size)
        assert snapshot.chain.open_interest_coin.sum() == pytest.approx(10 * size * len(names))
        assert snapshot.chain.usable.all()
        assert set(snapshot.chain.settlement.tolist()) == {"inverse"}

    def test_current_shapes(self, data: Path) -> None:
        folder = data / "captures/nautilus/crates/adapters/okx/test_data"
        summary = json.loads((folder / "http_get_option_summary.json").read_text())
        instruments = json.loads((folder / "http_get_instruments_option.json").read_text())
        interest = {"data": [{"instId": row["instId"], "oi": "100", "ts": row["ts"]} for row in summary["data"]]}
        payloads = {"instruments": instruments, "summary": summary, "open_interest": interest}
        chain = snapshot_from_okx(payloads, currency="BTC", source=SOURCE).chain
        priced = np.isfinite(chain.iv)
        assert priced.any()
        assert np.all(chain.iv[priced] == 0.455)
        assert np.all(chain.underlying_usd[priced] == 97_000.0)
        assert set(chain.coin_per_contract[np.isfinite(chain.coin_per_contract)]) == {0.01}
        (book,) = json.loads((folder / "http_get_order_book.json").read_text())["data"]
        read = book_of(book, venue="okx", instrument="BTC-USDT-SWAP", as_of_ns=1, coin_per_unit=0.01)
        assert read.bid_price_usd[0] == float(book["bids"][0][0])
        assert read.bid_coin[0] == pytest.approx(0.01 * float(book["bids"][0][1]))


class TestDeribit:
    def test_a_recorded_chain_as_a_live_reply(self, data: Path) -> None:
        saved = json.loads((data / "deribit-rest/gamma-data-btc-2025-11-19T11-21-13-295Z.json").read_text())
        options = {"jsonrpc": "2.0", "result": saved["rawData"]["bookSummary"]}
        chain = snapshot_from_deribit({"options": options}, currency="BTC", source=SOURCE).chain
        assert len(chain) == 760
        assert chain.open_interest_coin.sum() == pytest.approx(453_737, abs=1)
        assert 0.2 < np.nanmedian(chain.iv) < 1.5

    def test_an_instrument_list_is_no_chain_and_every_name_is_known(self, data: Path) -> None:
        for url, reply in replies(data / "captures/cryptofeed/DERIBIT.0").items():
            currency = url.split("currency=")[1].split("&")[0]
            kinds = {kind_of(row["instrument_name"], currency) for row in reply["result"]}
            assert kinds <= {OPTION, FUTURE, FOREIGN}
            if OPTION in kinds:
                with pytest.raises(FileFormatError, match="no open interest"):
                    snapshot_from_deribit({"options": reply}, currency=currency, source=SOURCE)

    def test_a_recorded_book_and_combo_trades(self, data: Path) -> None:
        folder = data / "captures/nautilus/crates/adapters/deribit/test_data"
        saved = json.loads((data / "deribit-rest/gamma-data-btc-2025-11-19T11-21-13-295Z.json").read_text())
        payloads = {
            "options": {"jsonrpc": "2.0", "result": saved["rawData"]["bookSummary"]},
            "book": json.loads((folder / "http_get_order_book.json").read_text()),
            "trades": json.loads((folder / "http_get_last_trades_option_combo.json").read_text()),
        }
        snapshot = snapshot_from_deribit(payloads, currency="BTC", source=SOURCE)
        (book,) = snapshot.books
        level = payloads["book"]["result"]["bids"][0]
        assert book.bid_coin[0] == pytest.approx(level[1] / level[0])
        assert snapshot.degraded == ()


class TestBybit:
    def test_recorded_tickers_with_zero_for_none(self, data: Path) -> None:
        names = {"bidPrice": "bid1Price", "askPrice": "ask1Price", "markPriceIv": "markIv"}
        recorded = messages(data / "captures/tardis/bybit_options.json", "tickers.")
        rows = [{names.get(key, key): value for key, value in message["data"].items()} for message in recorded]
        for currency in {row["symbol"].split("-")[0] for row in rows}:
            reply = {
                "retCode": 0,
                "result": {"list": [row for row in rows if row["symbol"].startswith(currency)]},
                "time": recorded[0]["ts"],
            }
            chain = snapshot_from_bybit({"tickers": reply}, currency=currency, source=SOURCE).chain
            assert np.all((chain.iv > 0.3) & (chain.iv < 3.0))
            assert not (chain.ask_quoted == 0.0).any()
            assert np.all(chain.underlying_usd > 0)
            assert not chain.has(RowCode.NAME_INVALID | RowCode.RIGHT_INVALID | RowCode.OI_MISSING).any()

    def test_current_list_and_book_shapes(self, data: Path) -> None:
        folder = data / "captures/nautilus/crates/adapters/bybit/test_data"
        instruments = json.loads((folder / "http_get_instruments_option.json").read_text())
        assert kind_of(instruments["result"]["list"][0]["symbol"], "ETH") == OPTION
        book = json.loads((folder / "http_get_orderbook.json").read_text())["result"]
        read = book_of(book, venue="bybit", instrument=book["s"], as_of_ns=1, sides=("b", "a"))
        assert read.ask_price_usd[0] == min(float(level[0]) for level in book["a"])


class TestBinance:
    def test_recorded_marks_of_both_versions(self, data: Path) -> None:
        keys = {"s": "symbol", "mp": "markPrice", "vo": "markIV", "d": "delta", "g": "gamma", "v": "vega"}
        rows = []
        for message in messages(data / "captures/tardis/binance_options_v2.json", "optionMarkPrice"):
            rows += [{keys[key]: value for key, value in row.items() if key in keys} for row in message["data"]]
        for message in messages(data / "captures/tardis/binance_options_v1.json", "@ticker"):
            rows.append({keys[key]: value for key, value in message["data"].items() if key in keys})
        assert rows
        for currency in {row["symbol"].split("-")[0] for row in rows}:
            mine = [row for row in rows if row["symbol"].startswith(f"{currency}-")]
            info = {"serverTime": 1_696_118_400_000, "optionSymbols": []}
            payloads = {"exchange_info": info, "marks": mine, "index": {"indexPrice": "27000"}}
            chain = snapshot_from_binance(payloads, currency=currency, source=SOURCE).chain
            known = np.isfinite(chain.iv)
            assert np.all(chain.iv[known] > 0.1)
            assert not chain.has(RowCode.NAME_INVALID).any()
            assert chain.has(RowCode.OI_MISSING).all()
            assert chain.has(RowCode.MULTIPLIER_MISSING).all()

    def test_a_vol_of_minus_one_is_missing(self, data: Path) -> None:
        (first, *_) = messages(data / "captures/tardis/binance_options_v2.json", "optionMarkPrice")
        assert first["data"][0]["b"] == "-1.0"
        row = {"symbol": "BTC-251219-89000-C", "markPrice": "1", "markIV": first["data"][0]["b"]}
        info = {"serverTime": 1_765_983_420_260, "optionSymbols": []}
        payloads = {"exchange_info": info, "marks": [row], "index": {"indexPrice": "87000"}}
        chain = snapshot_from_binance(payloads, currency="BTC", source=SOURCE).chain
        assert chain.has(RowCode.IV_MISSING).all()
