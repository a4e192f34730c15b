"""Order books from files: the venue's own procedure, checked against a book that is simply kept, and against the venue's best quotes."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailwag.errors import FileFormatError
from tailwag.market.book import OrderBook
from tailwag.sources.order_books import from_deribit_order_book, load_books

MS = 1_723_161_256_000


def deribit(name: str, bids: list[list[Any]], asks: list[list[Any]], **more: Any) -> dict[str, Any]:
    return {"instrument_name": name, "timestamp": MS, "bids": bids, "asks": asks, **more}


class TestDeribit:
    def test_inverse_amounts_are_usd_and_become_coin_at_their_own_level(self) -> None:
        """50,000 USD at 50,000 and 40,000 USD at 40,000 are one coin each."""
        book = from_deribit_order_book(deribit("BTC-PERPETUAL", [[40_000.0, 40_000.0], [39_000.0, 39_000.0]], [[50_000.0, 50_000.0]]))
        assert book.bid_coin.tolist() == [1.0, 1.0]
        assert book.ask_coin.tolist() == [1.0]
        assert (book.kind, book.venue, book.as_of_ns, book.complete) == ("perp", "deribit", MS * 1_000_000, False)

    def test_linear_amounts_are_coin(self) -> None:
        book = from_deribit_order_book(deribit("BTC_USDC-PERPETUAL", [[40_000.0, 2.5]], [[40_001.0, 1.5]]))
        assert (book.bid_coin.tolist(), book.ask_coin.tolist()) == ([2.5], [1.5])

    def test_option_prices_are_coin_and_become_usd_at_the_forward(self) -> None:
        book = from_deribit_order_book(deribit("BTC-27MAR26-60000-C", [[0.05, 10.0]], [[0.06, 2.0]], underlying_price=70_000.0))
        assert book.kind == "option"
        assert book.bid_price_usd[0] == pytest.approx(3_500.0)
        assert book.ask_coin.tolist() == [2.0]

    def test_linear_option_prices_are_usd(self) -> None:
        book = from_deribit_order_book(deribit("SOL_USDC-27MAR26-160-C", [[5.0, 10.0]], [[6.0, 2.0]], underlying_price=150.0))
        assert book.bid_price_usd.tolist() == [5.0]

    def test_a_json_rpc_envelope_and_a_list_of_books(self, tmp_path: Path) -> None:
        one, two = (
            deribit("BTC-PERPETUAL", [[40_000.0, 10.0]], [[40_001.0, 10.0]]),
            deribit("BTC-27MAR26", [[41_000.0, 10.0]], [[41_001.0, 10.0]]),
        )
        (tmp_path / "books.json").write_text(json.dumps([{"jsonrpc": "2.0", "result": one}, {"result": two}]))
        assert [(book.instrument, book.kind) for book in load_books(tmp_path / "books.json")] == [
            ("BTC-PERPETUAL", "perp"),
            ("BTC-27MAR26", "future"),
        ]

    def test_a_book_later_than_asked_for_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "b.json").write_text(json.dumps(deribit("BTC-PERPETUAL", [[40_000.0, 10.0]], [[40_001.0, 10.0]])))
        assert len(load_books(tmp_path / "b.json", at_ns=MS * 1_000_000)) == 1
        with pytest.raises(FileFormatError, match="later than the time"):
            load_books(tmp_path / "b.json", at_ns=MS * 1_000_000 - 1)

    @pytest.mark.parametrize(
        "payload",
        [
            deribit("BTC-PERPETUAL", [["x", 1.0]], [[40_001.0, 1.0]]),
            deribit("BTC-PERPETUAL", [[40_000.0]], [[40_001.0, 1.0]]),
            deribit("BTC-PERPETUAL", [[0.0, 1.0]], [[40_001.0, 1.0]]),
            deribit("BTC-PERPETUAL", [[40_000.0, -1.0]], [[40_001.0, 1.0]]),
            deribit("BTC-PERPETUAL", [[40_000.0, True]], [[40_001.0, 1.0]]),
            deribit("BTC-27MAR26-60000-C", [[0.05, 1.0]], [[0.06, 1.0]]),
            deribit("<script>", [], []),
            {**deribit("BTC-PERPETUAL", [[40_000.0, 1.0]], [[40_001.0, 1.0]]), "timestamp": 17},
        ],
    )
    def test_damaged_replies_are_refused(self, payload: dict[str, Any]) -> None:
        with pytest.raises(FileFormatError, match="order book of"):
            from_deribit_order_book(payload)


class Market:
    """A book that is simply kept, and what Binance would have sent about it: the oracle shares no code with the reader."""

    def __init__(self, seed: int, *, futures: bool) -> None:
        self.rng = np.random.default_rng(seed)
        self.futures = futures
        self.bids = {100_00 - step: 1 + step for step in range(1, 200)}
        self.asks = {100_00 + step: 1 + step for step in range(1, 200)}
        self.last_id, self.clock_ms = 1000, MS

    def event(self) -> dict[str, Any]:
        previous = self.last_id
        first = previous + (int(self.rng.integers(1, 50)) if self.futures else 1)
        self.last_id = first + int(self.rng.integers(0, 5))
        self.clock_ms += 10
        changes: dict[str, list[list[str]]] = {"b": [], "a": []}
        for key, side, sign in (("b", self.bids, -1), ("a", self.asks, 1)):
            for distance in self.rng.choice(np.arange(1, 260), size=4, replace=False):
                price, amount = 100_00 + sign * int(distance), int(self.rng.integers(0, 4))
                side.pop(price, None)
                if amount:
                    side[price] = amount
                changes[key].append([f"{price / 100:.2f}", f"{amount}.000"])
        plain = {"e": "depthUpdate", "E": self.clock_ms, "s": "BTCUSDT", "U": first, "u": self.last_id, **changes}
        return {**plain, "pu": previous} if self.futures else plain

    def snapshot(self, levels: int = 100) -> dict[str, Any]:
        best = {"bids": sorted(self.bids, reverse=True)[:levels], "asks": sorted(self.asks)[:levels]}
        rows = {key: [[f"{price / 100:.2f}", str({**self.bids, **self.asks}[price])] for price in prices] for key, prices in best.items()}
        return {"lastUpdateId": self.last_id, "E": self.clock_ms, **rows} if self.futures else {"lastUpdateId": self.last_id, **rows}

    def within(self, window: tuple[float, float]) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        bids = [(price / 100, float(amount)) for price, amount in sorted(self.bids.items(), reverse=True) if price / 100 >= window[0]]
        asks = [(price / 100, float(amount)) for price, amount in sorted(self.asks.items()) if price / 100 <= window[1]]
        return bids, asks


def line(message: dict[str, Any]) -> str:
    wrapped = message if "lastUpdateId" in message else {"stream": "btcusdt@depth@0ms", "data": message}
    return f"1723161256172216566 {json.dumps(wrapped, separators=(',', ':'))}"


def capture(folder: Path, messages: list[dict[str, Any]]) -> Path:
    noise = '1723161256172216567 {"stream":"btcusdt@trade","data":{"e":"trade","p":"1","q":"NaN"}}'
    with gzip.open(folder / "capture.gz", "wt") as stream:
        stream.write("\n".join([noise, *(line(message) for message in messages)]) + "\n")
    return folder / "capture.gz"


def recorded(
    seed: int, *, futures: bool, before: int = 6, after: int = 40, late: int = 3
) -> tuple[list[dict[str, Any]], Market, dict[str, Any]]:
    """Events, a snapshot that arrives ``late`` events after it was taken, and more events."""
    market = Market(seed, futures=futures)
    messages = [market.event() for _ in range(before)]
    snapshot = market.snapshot()
    messages += [market.event() for _ in range(late)]
    messages.append(snapshot)
    messages += [market.event() for _ in range(after)]
    return messages, market, snapshot


def window_of(snapshot: dict[str, Any]) -> tuple[float, float]:
    return float(snapshot["bids"][-1][0]), float(snapshot["asks"][-1][0])


def sides(book: OrderBook) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    return list(zip(book.bid_price_usd.tolist(), book.bid_coin.tolist())), list(zip(book.ask_price_usd.tolist(), book.ask_coin.tolist()))


class TestBinanceCapture:
    @pytest.mark.parametrize("futures", [True, False])
    @pytest.mark.parametrize("seed", range(12))
    def test_the_assembled_book_is_the_book_that_was(self, tmp_path: Path, seed: int, futures: bool) -> None:
        messages, market, snapshot = recorded(seed, futures=futures)
        (book,) = load_books(capture(tmp_path, messages))
        assert sides(book) == market.within(window_of(snapshot))
        assert (book.kind, book.as_of_ns) == ("perp" if futures else "spot", market.clock_ms * 1_000_000)
        assert not book.complete

    def test_levels_outside_the_snapshot_do_not_count_as_depth(self, tmp_path: Path) -> None:
        """Diffs name prices beyond the 100 levels of the snapshot; the book must end where the snapshot's knowledge ends."""
        messages, market, snapshot = recorded(1, futures=True)
        (book,) = load_books(capture(tmp_path, messages))
        assert min(market.bids) / 100 < window_of(snapshot)[0]
        assert book.bid_price_usd[-1] >= window_of(snapshot)[0]
        assert book.depth_usd(1.5) == (None, None)

    @pytest.mark.parametrize("futures", [True, False])
    def test_the_book_at_a_time(self, tmp_path: Path, futures: bool) -> None:
        messages, _, snapshot = recorded(2, futures=futures, after=40)
        market = Market(2, futures=futures)
        for _ in range(20):
            market.event()
        (book,) = load_books(capture(tmp_path, messages), at_ns=market.clock_ms * 1_000_000)
        assert sides(book) == market.within(window_of(snapshot))

    @pytest.mark.parametrize("futures", [True, False])
    @pytest.mark.parametrize("fault", ["drop", "repeat", "swap"])
    def test_200_faults_are_seen_and_never_a_wrong_book(self, tmp_path: Path, futures: bool, fault: str) -> None:
        rng = np.random.default_rng(8)
        for seed in range(34):
            messages, market, _ = recorded(seed, futures=futures, after=12)
            place = int(rng.integers(10, len(messages) - 2))
            if fault == "drop":
                del messages[place]
            elif fault == "repeat":
                messages.insert(place, messages[place])
            else:
                messages[place], messages[place + 1] = messages[place + 1], messages[place]
            with pytest.raises(FileFormatError, match="updates are missing"):
                load_books(capture(tmp_path, messages))
            messages += [market.snapshot(), market.event(), market.event()]
            (book,) = load_books(capture(tmp_path, messages))
            assert sides(book) == market.within(window_of(messages[-3])), "a fresh snapshot heals the book"

    def test_without_a_snapshot_there_is_no_book(self, tmp_path: Path) -> None:
        messages, _, _ = recorded(3, futures=False)
        with pytest.raises(FileFormatError, match="expected a REST snapshot"):
            load_books(capture(tmp_path, [message for message in messages if "lastUpdateId" not in message]))

    def test_before_the_snapshot_there_is_no_book(self, tmp_path: Path) -> None:
        messages, _, _ = recorded(3, futures=True)
        with pytest.raises(FileFormatError, match="expected a REST snapshot"):
            load_books(capture(tmp_path, messages), at_ns=MS * 1_000_000)

    def test_a_snapshot_older_than_every_update_does_not_start_a_book(self, tmp_path: Path) -> None:
        market = Market(4, futures=True)
        early = market.snapshot()
        missed = [market.event() for _ in range(5)]
        assert missed
        with pytest.raises(FileFormatError, match=r"the book is unknown|expected a REST snapshot"):
            load_books(capture(tmp_path, [early, *(market.event() for _ in range(5))]))

    def test_coin_margined_contracts_become_coin_at_their_own_level(self, tmp_path: Path) -> None:
        """A BTC contract is 100 USD: 500 contracts at 50,000 are one coin."""
        snapshot = {"lastUpdateId": 10, "E": MS, "bids": [["50000.0", "500"]], "asks": [["62500.0", "1250"]]}
        event = {"e": "depthUpdate", "E": MS + 1, "s": "BTCUSD_PERP", "ps": "BTCUSD", "U": 9, "u": 11, "pu": 8, "b": [], "a": []}
        (book,) = load_books(capture(tmp_path, [snapshot, event]))
        assert (book.bid_coin.tolist(), book.ask_coin.tolist(), book.kind) == ([1.0], [2.0], "perp")

    def test_two_instruments_in_one_capture_are_refused(self, tmp_path: Path) -> None:
        messages, _, _ = recorded(5, futures=True)
        with pytest.raises(FileFormatError, match="two instruments"):
            load_books(capture(tmp_path, [*messages, {**messages[-1], "s": "ETHUSDT"}]))

    @pytest.mark.parametrize("scar", ["truncate", "text", "field", "number"])
    def test_damaged_lines_are_named(self, tmp_path: Path, scar: str) -> None:
        messages, _, _ = recorded(6, futures=True)
        lines = [line(message) for message in messages]
        lines[12] = {
            "truncate": lines[12][:90],
            "text": "x@depth",
            "field": lines[12].replace('"pu"', '"pX"').replace('"U"', '"V"'),
            "number": lines[12].replace('.000"', '.x"'),
        }[scar]
        (tmp_path / "c.txt").write_text("\n".join(lines))
        with pytest.raises(FileFormatError, match=r"c\.txt:13"):
            load_books(tmp_path / "c.txt")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"trades": []}')
    with pytest.raises(FileFormatError, match="get_order_book reply or a raw Binance capture"):
        load_books(tmp_path / "x.json")


@pytest.fixture
def real_books() -> Path:
    if not os.environ.get("TAILWAG_DATA"):
        pytest.skip("TAILWAG_DATA is not set: no real captures here")
    return Path(os.environ["TAILWAG_DATA"]) / "ws-books"


def streams(path: Path, name: str) -> list[dict[str, Any]]:
    with gzip.open(path, "rt") as stream:
        return [json.loads(text.partition(" ")[2])["data"] for text in stream if name in text[:80]]


@pytest.mark.realdata
class TestRealCaptures:
    def test_the_usdm_capture_reaches_a_quarter_of_a_per_cent(self, real_books: Path) -> None:
        (book,) = load_books(real_books / "usdm_btcusdt_20240808.gz", at_ns=1_723_161_257_000_000_000)
        assert (book.venue, book.instrument, book.kind) == ("binance", "BTCUSDT", "perp")
        assert 0.2 < book.reach_pct < 0.3
        assert book.depth_usd(1.0) == (None, None)
        assert all(usd is not None and 5e6 < usd < 12e6 for usd in book.depth_usd(0.1))

    def test_what_the_snapshot_covered_is_all_that_is_known_minutes_later(self, real_books: Path) -> None:
        """The price fell 0.22 % towards the edge of the window: the bid side then reaches almost nowhere, and says so."""
        (book,) = load_books(real_books / "usdm_btcusdt_20240808.gz")
        assert book.side_reach_pct.bid is not None
        assert book.side_reach_pct.bid < 0.05
        assert book.depth_usd(0.1).bid is None
        assert book.depth_usd(1.0) == (None, None)

    def test_the_coin_margined_capture_reaches_one_per_cent_in_100_usd_contracts(self, real_books: Path) -> None:
        (book,) = load_books(real_books / "cm_btcusd_perp_20240808.gz", at_ns=1_723_161_259_000_000_000)
        assert 1.0 < book.reach_pct < 1.2
        contracts = book.ask_coin * book.ask_price_usd / 100.0
        assert contracts == pytest.approx(np.round(contracts), abs=1e-6)

    def test_the_spot_capture_has_no_snapshot_and_gives_no_book(self, real_books: Path) -> None:
        with pytest.raises(FileFormatError, match="expected a REST snapshot"):
            load_books(real_books / "spot_btcusdt_20240809.gz")

    @pytest.mark.parametrize("moments", [4, pytest.param(10, marks=pytest.mark.slow)])
    @pytest.mark.parametrize("name", ["usdm_btcusdt_20240808.gz", "cm_btcusd_perp_20240808.gz"])
    def test_the_top_of_the_book_is_the_venues_own_best_quote(self, real_books: Path, name: str, moments: int) -> None:
        """The last best quote whose update id is not beyond the book's last one is the book's top, price and amount."""
        quotes, depth = streams(real_books / name, "@bookTicker"), streams(real_books / name, "@depth")
        quote_ids = np.array([quote["u"] for quote in quotes])
        usd = 100.0 if name.startswith("cm") else 0.0
        checked = 0
        for event in [depth[place] for place in np.linspace(len(depth) // 20, len(depth) // 2, moments).astype(int)]:
            last = [other for other in depth if other["E"] <= event["E"]][-1]
            (book,) = load_books(real_books / name, at_ns=event["E"] * 1_000_000)
            quote = quotes[int(np.searchsorted(quote_ids, last["u"], side="right")) - 1]
            bid, ask = book.bid_price_usd[0], book.ask_price_usd[0]
            amounts = (book.bid_coin[0] * (bid / usd if usd else 1.0), book.ask_coin[0] * (ask / usd if usd else 1.0))
            assert (bid, ask) == (float(quote["b"]), float(quote["a"]))
            assert amounts == pytest.approx((float(quote["B"]), float(quote["A"])), rel=1e-12)
            checked += 1
        assert checked == moments
