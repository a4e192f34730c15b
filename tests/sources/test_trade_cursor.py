"""Trades by polling against a venue in plain lists: nothing missed, nothing claimed that was not had, whatever fails on the way."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.sources.payloads import deribit
from tests.sources.payloads.market import quotes
from tests.sources.venue_server import VenueServer, as_json, pointed_at, running

from tailwag.errors import StoreBusyError, StoreError, VenueError
from tailwag.market.chain import Chain
from tailwag.market.snapshot import Futures, Snapshot, Source
from tailwag.sources.store.history import History
from tailwag.sources.store.recorder import Recorder
from tailwag.sources.store.verify import verify_store
from tailwag.sources.trade_backfill import World, backfill_from_venue, missing_spans, recorded_spans
from tailwag.sources.trade_cursor import FIRST_MS, LONGEST_MS, METHOD, TradeCursor, recorded_until
from tailwag.sources.venues import fetch

NOW_MS = 1_770_308_580_000
MS = 1_000_000
EMPTY = Snapshot(
    "BTC", NOW_MS * MS, 95_000.0, Chain.from_columns(currency="BTC", as_of_ns=1, instrument=[]), Futures.from_columns(), Source("t", "t")
)


class Venue:
    """Trades in a list, answered page by page as the venue documents it."""

    def __init__(self, seed: int = 1, *, page: int = 7) -> None:
        self.rng, self.page, self.trades, self.fails = np.random.default_rng(seed), page, [], 0.0

    def trade(self, at_ms: int, *, name: str = "BTC-27MAR26-90000-C", **more: Any) -> dict[str, Any]:
        row = {
            "trade_id": f"{len(self.trades)}",
            "instrument_name": name,
            "timestamp": at_ms,
            "direction": "buy",
            "amount": 1.0,
            "price": 0.05,
        }
        self.trades.append(row | {"index_price": 95_000.0, "iv": 50.0} | more)
        return self.trades[-1]

    def print(self, from_ms: int, to_ms: int, count: int) -> None:
        for at_ms in self.rng.integers(from_ms, to_ms, count).tolist():
            self.trade(at_ms, name=str(self.rng.choice(["BTC-27MAR26-90000-C", "BTC_USDC-27MAR26-90000-C", "ETH_USDC-27MAR26-3000-C"])))

    def answer(self, parameters: dict[str, Any]) -> dict[str, Any]:
        low, high, asked = int(parameters["start_timestamp"]), int(parameters["end_timestamp"]), parameters["currency"]
        kind = "future" if parameters["kind"] == "future" else "option"
        fitting = [
            row
            for row in self.trades
            if low <= row["timestamp"] <= high
            and ("PERP" in row["instrument_name"]) == (kind == "future")
            and ("USDC" in row["instrument_name"]) == (asked == "USDC")
        ]
        fitting.sort(key=lambda row: row["timestamp"])
        return {"result": {"trades": fitting[: self.page], "has_more": len(fitting) > self.page}}

    def turn(self, cursor: TradeCursor, end_ms: int, *, kept: bool = True) -> Snapshot:
        plan = cursor.requests(end_ms)
        request = next(plan)
        while True:
            assert request.method == METHOD
            reply = None if self.rng.random() < self.fails else self.answer(request.parameters)
            try:
                request = plan.send(reply)
            except StopIteration:
                shown = cursor.attached(EMPTY)
                if kept:
                    cursor.kept()
                return shown


def ids(snapshots: list[Snapshot]) -> list[str]:
    return [name for one in snapshots if one.trades is not None for name in one.trades.trade_id.tolist()]


def joined_spans(snapshots: list[Snapshot]) -> list[tuple[int, int]]:
    spans = sorted((span.from_ns, span.to_ns) for one in snapshots if one.trades is not None for span in one.trades.covered)
    assert all(before[1] == after[0] for before, after in pairwise(spans)), "neither hole nor overlap"
    return [(spans[0][0], spans[-1][1])] if spans else []


@pytest.mark.parametrize("seed", [0, 1, 3, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 4, 5, 6, 7))])
def test_every_trade_comes_once_and_the_covered_spans_touch_though_requests_fail(seed: int) -> None:
    venue, cursor, shown = Venue(seed), TradeCursor("BTC"), []
    venue.fails = 0.3 if seed % 2 else 0.0
    for step in range(40):
        end_ms = NOW_MS + step * 60_000
        venue.print(end_ms - 60_000, end_ms, int(venue.rng.integers(0, 40)))
        shown.append(venue.turn(cursor, end_ms))
        (start, end), *_ = joined_spans(shown) or [(0, 0)]
        claimed = {row["trade_id"] for row in venue.trades if start <= row["timestamp"] * MS < end and "ETH" not in row["instrument_name"]}
        assert claimed <= set(ids(shown))
        lag = [one for one in shown[-1].degraded if "are taken up to" in one]
        assert bool(lag) == (end != end_ms * MS)
    venue.fails = 0.0
    shown.append(venue.turn(cursor, NOW_MS + 40 * 60_000))
    wanted = [row["trade_id"] for row in venue.trades if "ETH" not in row["instrument_name"]]
    assert sorted(ids(shown)) == sorted(wanted)
    assert joined_spans(shown) == [((NOW_MS - FIRST_MS) * MS, (NOW_MS + 40 * 60_000) * MS)]


def test_a_print_that_appears_after_its_own_time_is_still_had() -> None:
    venue, cursor = Venue(), TradeCursor("BTC")
    venue.turn(cursor, NOW_MS)
    late = venue.trade(NOW_MS - 900)
    assert ids([venue.turn(cursor, NOW_MS + 1_000)]) == [late["trade_id"]]
    assert ids([venue.turn(cursor, NOW_MS + 1_500)]) == []


def test_more_than_the_pages_of_a_turn_comes_later_and_is_claimed_later() -> None:
    venue, cursor = Venue(page=2), TradeCursor("BTC")
    for k in range(200):
        venue.trade(NOW_MS - 100_000 + 100 * k)
    first = venue.turn(cursor, NOW_MS)
    assert len(ids([first])) < 200
    assert "the next turn goes on" in first.degraded[0]
    shown = [first, *(venue.turn(cursor, NOW_MS + k) for k in range(1, 9))]
    assert sorted(ids(shown), key=int) == [str(k) for k in range(200)]
    assert joined_spans(shown) == [((NOW_MS - FIRST_MS) * MS, (NOW_MS + 8) * MS)]


def test_a_page_that_ends_within_a_millisecond_loses_nothing_of_it() -> None:
    venue = Venue(page=3)
    for at_ms in (0, 1, 1, 1, 2):
        venue.trade(NOW_MS - 1_000 + at_ms)
    assert ids([venue.turn(TradeCursor("BTC"), NOW_MS)]) == ["0", "1", "2", "3", "4"]


def test_a_turn_whose_snapshot_was_never_made_is_asked_for_again() -> None:
    venue, cursor = Venue(), TradeCursor("BTC")
    venue.turn(cursor, NOW_MS)
    venue.trade(NOW_MS + 10)
    plan = cursor.requests(NOW_MS + 1_000)
    request = next(plan)
    for _ in range(2):
        request = plan.send(venue.answer(request.parameters))
    assert ids([venue.turn(cursor, NOW_MS + 2_000)]) == ["0"]


def test_a_restart_goes_on_where_the_store_ends_and_a_long_pause_is_stated(tmp_path: Path) -> None:
    venue, first = Venue(), TradeCursor("BTC")
    venue.trade(NOW_MS - 5)
    with Recorder(tmp_path) as recorder:
        recorder.append(venue.turn(first, NOW_MS), received_ns=1)
    until = recorded_until(tmp_path)
    assert until("deribit", "BTC") == NOW_MS * MS
    assert until("deribit", "ETH") is until("okx", "BTC") is None
    venue.trade(NOW_MS + 7)
    again = venue.turn(TradeCursor("BTC", from_ns=until("deribit", "BTC")), NOW_MS + 3_600_000)
    assert again.trades is not None
    assert again.trades.covered[0].from_ns == NOW_MS * MS
    assert "1" in ids([again])
    late_ms = NOW_MS + LONGEST_MS + 1
    pause = venue.turn(TradeCursor("BTC", from_ns=NOW_MS * MS), late_ms)
    assert "are not recorded" in pause.degraded[0]
    assert pause.trades is not None
    assert pause.trades.covered[0].from_ns == (late_ms - FIRST_MS) * MS


def test_forced_trades_of_futures_are_liquidations() -> None:
    venue = Venue()
    venue.trade(NOW_MS - 9, name="BTC-PERPETUAL", direction="sell", amount=50_000.0, price=100_000.0, liquidation="T")
    venue.trade(NOW_MS - 8, name="BTC-PERPETUAL", direction="sell", amount=50_000.0, price=100_000.0)
    venue.trade(NOW_MS - 7, name="BTC-PERPETUAL", direction="sell", amount=20_000.0, price=100_000.0, liquidation="M")
    forced = venue.turn(TradeCursor("BTC"), NOW_MS).liquidations
    assert forced is not None
    assert forced.order_sign.tolist() == [-1, 1]
    assert forced.amount_usd.tolist() == [50_000.0, 20_000.0]
    assert forced.amount_coin.tolist() == [0.5, 0.2]


@pytest.fixture(scope="module")
def desk() -> Any:
    ccxt = pytest.importorskip("ccxt")
    with running() as server:
        yield server, pointed_at(ccxt.deribit({"timeout": 2_000, "enableRateLimit": False}), server.url)


def answering(server: VenueServer, venue: Venue, monkeypatch: pytest.MonkeyPatch) -> None:
    from urllib.parse import parse_qsl, urlsplit

    server.serve(deribit.routes())
    plain = server.answer

    def answer(target: str) -> Any:
        parts = urlsplit(target)
        return as_json(venue.answer(dict(parse_qsl(parts.query)))) if parts.path.endswith("currency_and_time") else plain(target)

    monkeypatch.setattr(server, "answer", answer)


def test_through_the_real_client_a_snapshot_carries_trades_and_what_they_cover(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server, client = desk
    venue, cursor = Venue(page=3), TradeCursor("BTC")
    answering(server, venue, monkeypatch)
    end_ms = int(deribit.options()["usOut"]) // 1_000
    for k in range(10):
        venue.trade(end_ms - 1_000 * k - 1, name=next(quotes()).deribit_name)
    snapshot = fetch("deribit", "BTC", exchange=client, since=cursor)
    assert snapshot.trades is not None
    assert sorted(ids([snapshot]), key=int) == [str(k) for k in range(10)]
    assert snapshot.trades.covered[0].to_ns == end_ms * MS
    assert snapshot.degraded == ()
    assert snapshot.liquidations is not None


@pytest.mark.slow
def test_a_backfill_asks_only_for_what_is_missing_and_twice_is_once(tmp_path: Path, desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server, client = desk
    venue = Venue(page=50)
    answering(server, venue, monkeypatch)
    start_ms, asked = NOW_MS - 24 * 3_600_000, []
    venue.print(start_ms, NOW_MS, 400)
    told: list[float] = []
    for span in ((start_ms, start_ms + 8 * 3_600_000), (start_ms, NOW_MS), (start_ms, NOW_MS)):
        world = World(client, lambda: (NOW_MS + 1) * MS, lambda seconds: None, asked.append)
        with Recorder(tmp_path) as recorder:
            done = backfill_from_venue(
                recorder, History.open(tmp_path), "BTC", from_ns=span[0] * MS, to_ns=span[1] * MS, world=world, progress=told.append
            )
    assert (done.trades, done.batches, done.unclaimed) == (0, 0, ())
    wanted = sorted(row["trade_id"] for row in venue.trades if "ETH" not in row["instrument_name"])
    assert sorted(History.open(tmp_path).trades().trade_id.tolist()) == wanted
    assert missing_spans(recorded_spans(History.open(tmp_path), "BTC"), start_ms * MS, NOW_MS * MS) == []
    assert verify_store(tmp_path).damaged == ()
    assert told[-1] == 1.0


@pytest.mark.slow
def test_a_span_without_a_trade_claims_nothing_and_a_broken_answer_keeps_what_came_before(
    tmp_path: Path, desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, client = desk
    venue = Venue(page=50)
    answering(server, venue, monkeypatch)
    world = World(client, lambda: NOW_MS * MS, lambda seconds: None, lambda text: None)
    start_ms = NOW_MS // 21_600_000 * 21_600_000 - 12 * 3_600_000
    venue.trade(start_ms + 5)
    with Recorder(tmp_path) as recorder:
        done = backfill_from_venue(recorder, History.open(tmp_path), "BTC", from_ns=start_ms * MS, to_ns=NOW_MS * MS, world=world)
        assert (done.trades, len(done.unclaimed)) == (1, 2)
        monkeypatch.setattr(venue, "answer", lambda parameters: {"result": {"trades": "none today"}})
        with pytest.raises(VenueError, match="run the same command again"):
            backfill_from_venue(recorder, History.open(tmp_path), "BTC", from_ns=start_ms * MS, to_ns=NOW_MS * MS, world=world)
        with pytest.raises(StoreBusyError):
            Recorder(tmp_path)
    assert len(History.open(tmp_path).trades()) == 1


@pytest.mark.parametrize("refused", [1, 3])
def test_a_turn_that_the_disk_refused_is_asked_for_again(refused: int) -> None:
    venue, cursor = Venue(), TradeCursor("BTC")
    kept = [venue.turn(cursor, NOW_MS)]
    venue.trade(NOW_MS + 10)
    for turn in range(refused):
        lost = venue.turn(cursor, NOW_MS + 1_000 * (turn + 1), kept=False)
        assert ids([lost]) == ["0"]
    venue.trade(NOW_MS + 5_500)
    kept.append(venue.turn(cursor, NOW_MS + 6_000))
    assert ids(kept) == ["0", "1"]
    assert joined_spans(kept) == [((NOW_MS - FIRST_MS) * MS, (NOW_MS + 6_000) * MS)]
    assert ids([venue.turn(cursor, NOW_MS + 7_000)]) == []


def test_the_hole_of_a_long_pause_is_stated_until_it_is_on_disk() -> None:
    venue, cursor = Venue(), TradeCursor("BTC", from_ns=(NOW_MS - LONGEST_MS - 1) * MS)
    for kept in (False, True):
        assert "are not recorded" in venue.turn(cursor, NOW_MS, kept=kept).degraded[0]
    assert venue.turn(cursor, NOW_MS + 1).degraded == ()


class Refusing:
    """A recorder whose disk refuses some of the snapshots that it is given."""

    def __init__(self, recorder: Recorder, refusals: set[int]) -> None:
        self.recorder, self.refusals, self.given = recorder, refusals, 0

    def append(self, snapshot: Snapshot, *, received_ns: int) -> Any:
        self.given += 1
        if self.given in self.refusals:
            raise StoreError("the disk is full; make room")
        return self.recorder.append(snapshot, received_ns=received_ns)


def test_through_the_monitor_a_disk_that_refuses_once_costs_no_trade(tmp_path: Path, desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from tailwag.experiments.options import MeasureOptions
    from tailwag.service.log import make_log
    from tailwag.service.metrics import Metrics
    from tailwag.service.monitor import Monitor, SourcePlan
    from tailwag.service.monitor import World as MonitorWorld
    from tailwag.service.publish import Board
    from tailwag.sources import venues
    from tailwag.sources.feeds import Surroundings, open_feed

    server, client = desk
    venue = Venue(page=3)
    answering(server, venue, monkeypatch)
    monkeypatch.setattr(venues, "open_exchange", lambda _name: client)
    end_ms = int(deribit.options()["usOut"]) // 1_000
    for k in range(10):
        venue.trade(end_ms - 1_000 * k - 1, name=next(quotes()).deribit_name)
    around = Surroundings(lambda: end_ms * MS, lambda _seconds: None, lambda _text: None)
    with Recorder(tmp_path) as recorder:
        keeper = Refusing(recorder, {1})
        world = MonitorWorld(lambda: end_ms * MS, lambda: 1.0, lambda _seconds: True)
        plan = SourcePlan("deribit:BTC", lambda: open_feed("deribit:BTC", around), every_seconds=1.0)
        monitor = Monitor(
            [plan], keeper=keeper, options=MeasureOptions("sticky-delta"), board=Board(), world=world, log=make_log(), metrics=Metrics()
        )
        for _ in range(3):
            monitor.turn("deribit:BTC")
    kept = list(History.open(tmp_path).snapshots())
    assert keeper.given == 3
    assert sorted(ids(kept), key=int) == [str(k) for k in range(10)]
    assert joined_spans(kept) == [((end_ms - FIRST_MS) * MS, end_ms * MS)]
