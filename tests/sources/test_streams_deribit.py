"""Deribit's stream as a state machine on a clock of the test's, against a simulated exchange of independent code."""

from __future__ import annotations

import json
import random
from dataclasses import fields
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from tests.sources.deribit_exchange import PERP, Exchange, Line, Virtual
from tests.sources.deribit_replies import AS_OF_MS

from tailwag.market.codes import RowCode
from tailwag.market.snapshot import Snapshot, Source
from tailwag.sources.deribit import snapshot_from_payload
from tailwag.sources.streams.deribit_session import DeribitSession
from tailwag.sources.streams.wire import INVALID_DATA, Close, Send
from tailwag.sources.venue_deribit import snapshot_from_deribit

BOOK = f"book.{PERP}.100ms"


def live(exchange: Exchange | None = None, **how: Any) -> Virtual:
    """A session that has just become live."""
    world = Virtual(exchange or Exchange(), DeribitSession("BTC"), **how)
    assert world.run(20.0, until=lambda: world.session.live(world.now)), world.session.doubts(world.now)
    return world


def note(channel: str, data: Any) -> str:
    return json.dumps({"jsonrpc": "2.0", "method": "subscription", "params": {"channel": channel, "data": data}})


def snapshot_of(world: Virtual, *, kept: bool = True) -> Snapshot:
    snapshot = world.snapshot()
    assert snapshot is not None, world.session.doubts(world.now)
    if kept:
        world.session.kept()
    return snapshot


def same_columns(one: Any, other: Any, *, but: tuple[str, ...] = ()) -> None:
    for field in fields(one):
        if field.name not in but:
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name), err_msg=field.name)


def everything_said(world: Virtual) -> dict[str, Any]:
    """Every channel says what is true now; the tickers by instrument."""
    now, exchange = world.exchange.tickers(), world.exchange
    index = {"timestamp": exchange.now_ms, "price": exchange.index_usd, "index_name": "btc_usd"}
    world.hand_in([note(f"ticker.{name}.100ms", ticker) for name, ticker in now.items()])
    world.hand_in([note("deribit_price_index.btc_usd", index)])
    return now


# the numbers


def test_a_streamed_chain_and_a_polled_one_of_the_same_tickers_are_the_same_snapshot() -> None:
    world = live()
    now = everything_said(world)
    streamed = snapshot_of(world)
    polled = snapshot_from_payload(
        {"replies": [{"jsonrpc": "2.0", "result": ticker} for ticker in now.values()], "index_price": world.exchange.index_usd},
        currency="BTC",
        source=Source("deribit-rest", "x"),
    )
    assert len(streamed.chain) == 30
    assert streamed.as_of_ns == world.exchange.now_ms * 1_000_000
    same_columns(streamed.chain, polled.chain)
    same_columns(streamed.futures, polled.futures)
    assert streamed.spot_usd == polled.spot_usd
    assert streamed.degraded == polled.degraded == ()


def test_a_streamed_chain_and_a_polled_summary_differ_in_the_greeks_only_that_summaries_do_not_hold() -> None:
    one_sided = "BTC-27MAR26-50000-C"
    exchange = Exchange()
    rows = exchange.rows
    exchange.rows = lambda: {name: {**row, "bid_price": None} if name == one_sided else row for name, row in rows().items()}  # type: ignore[method-assign]
    world = live(exchange)
    everything_said(world)
    streamed = snapshot_of(world)
    summaries = [{**row, "index_price": exchange.index_usd} for row in exchange.rows().values()]
    book = {**exchange.book_snapshot(), "bids": [list(level) for level in exchange.bids.items()]}
    book["asks"] = [list(level) for level in exchange.asks.items()]
    payloads = {
        "options": {"jsonrpc": "2.0", "result": summaries},
        "index": {"jsonrpc": "2.0", "result": {"index_price": exchange.index_usd}},
        "book": {"jsonrpc": "2.0", "result": book},
    }
    polled = snapshot_from_deribit(payloads, currency="BTC", source=Source("deribit-live", "x"))
    same_columns(streamed.chain, polled.chain, but=("delta_published", "gamma_published", "vega_published"))
    assert bool(streamed.chain.has(RowCode.ONE_SIDED)[streamed.chain.instrument.tolist().index(one_sided)])
    same_columns(streamed.books[0], polled.books[0])


def test_trades_come_once_and_forced_ones_of_the_perp_as_liquidations() -> None:
    exchange = Exchange()
    for _ in range(3):
        exchange.trade("option")
    world = live(exchange)
    first = snapshot_of(world)
    assert first.trades is not None
    assert first.trades.trade_id.tolist() == [row["trade_id"] for row in exchange.trades["option"]]
    new = exchange.trade("option", direction="sell")
    exchange.trade("future")
    forced = exchange.trade("future", liquidation="MT", direction="buy", amount=7_000.0, price=70_000.0)
    world.run(0.3)
    world.hand_in([note("trades.option.BTC.100ms", [new])])
    second = snapshot_of(world)
    assert second.trades is not None
    assert second.liquidations is not None
    assert second.trades.trade_id.tolist() == [new["trade_id"]]
    assert second.trades.taker_sign.tolist() == [-1]
    assert second.trades.iv.tolist() == [0.55]
    assert world.session.counters()["trades_repeated"] == 1
    assert second.liquidations.trade_id.tolist() == [forced["trade_id"]] * 2
    assert second.liquidations.order_sign.tolist() == [1, -1]
    assert second.liquidations.amount_usd.tolist() == [7_000.0] * 2
    assert second.liquidations.amount_coin.tolist() == [0.1] * 2
    third = snapshot_of(world)
    assert third.trades is not None
    assert len(third.trades) == 0


def test_trades_beyond_the_bound_are_said_to_be_missing_and_not_claimed() -> None:
    world = live()
    world.run(8.0)
    before = snapshot_of(world).trades
    assert before is not None
    row = world.exchange.trade("option")
    world.run(0.2)
    dropped_ms = world.exchange.now_ms
    many = [{**row, "trade_id": f"m{number}"} for number in range(25_000)]
    world.hand_in([note("trades.option.BTC.100ms", many)])
    shown = snapshot_of(world, kept=False)
    assert any("came while no snapshot was kept" in doubt for doubt in shown.degraded)
    world.run(6.0)
    later = snapshot_of(world)
    assert any("are not all recorded; tailwag trades backfill closes the gap" in doubt for doubt in later.degraded)
    assert later.trades is not None
    assert later.trades.covered[0].from_ns == (row["timestamp"] + 1) * 1_000_000
    assert row["timestamp"] <= dropped_ms
    assert snapshot_of(world).degraded == ()


def test_a_trade_that_cannot_be_read_leaves_a_hole() -> None:
    world = live()
    world.run(8.0)
    snapshot_of(world)
    at_ms = world.exchange.now_ms
    world.hand_in([note("trades.option.BTC.100ms", [{**world.exchange.trade("option"), "amount": "many"}])])
    world.exchange.trades["option"].clear()
    world.run(6.0)
    spans = snapshot_of(world).trades
    assert spans is not None
    assert min(span.from_ns for span in spans.covered) > at_ms * 1_000_000


def printed(world: Virtual, rng: random.Random) -> None:
    """Coin-settled trades, USDC-settled ones, and those of another currency."""
    names = list(world.exchange.rows())
    for _ in range(rng.randrange(0, 4)):
        name = rng.choice(names)
        other = name.replace("BTC-", rng.choice(["BTC_USDC-", "ETH_USDC-"]), 1)
        world.exchange.trade("option", instrument_name=rng.choice([name, other]), timestamp=world.exchange.now_ms - rng.randrange(0, 900))


@pytest.mark.parametrize("seed", [4, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (0, 1, 2, 3, 5))])
def test_what_is_claimed_is_whole_and_touches_over_lost_connections_refusals_and_a_disk_that_refuses(seed: int) -> None:
    rng = random.Random(seed)
    exchange = Exchange(strikes=(60_000,), expiries=("27MAR26",), page=rng.choice([8, 50, 1_000]))
    began_ms = exchange.now_ms
    for back_ms in range(1, 40):
        exchange.trade("option", timestamp=began_ms - 600_000 + back_ms)
    world = live(exchange)
    kept: list[Snapshot] = []
    claims: list[tuple[int, set[str]]] = []

    def keep(snapshot: Snapshot) -> None:
        kept.append(snapshot)
        assert snapshot.trades is not None
        known = set(snapshot.trades.trade_id.tolist()) | (claims[-1][1] if claims else set())
        claims.append((max((span.to_ns for span in snapshot.trades.covered), default=0), known))

    for step in range(1_500):
        world.step()
        printed(world, rng)
        if rng.random() < 0.004:
            world.lose(wait=rng.choice([0.5, 5.0, 20.0]))
        history = "public/get_last_trades_by_currency_and_time"
        if step % 200 == 0:
            exchange.errors = {history: 11_051} if rng.random() < 0.3 else {}
        snapshot = world.snapshot() if step % 20 == 0 else None
        if snapshot is not None and rng.random() < 0.7:  # else the disk refuses
            world.session.kept()
            keep(snapshot)
    exchange.errors = {}
    assert world.run(60.0, until=lambda: world.session.live(world.now) and not world.session.doubts(world.now))
    world.run(30.0)
    keep(snapshot_of(world))
    spans = [(span.from_ns, span.to_ns) for one in kept if one.trades is not None for span in one.trades.covered]
    assert all(one[1] == other[0] for one, other in pairwise(spans))
    assert spans[0][0] == spans[0][0] // 1_000_000 * 1_000_000 <= (began_ms - 23 * 3_600_000) * 1_000_000
    assert spans[-1][1] >= (exchange.now_ms - 6_000) * 1_000_000
    given = [name for one in kept if one.trades is not None for name in one.trades.trade_id.tolist()]
    wanted = {row["trade_id"] for row in exchange.trades["option"] if "ETH" not in row["instrument_name"]}
    inside = {
        row["trade_id"]
        for row in exchange.trades["option"]
        if row["trade_id"] in wanted and spans[0][0] <= row["timestamp"] * 1_000_000 < spans[-1][1]
    }
    at_ns = {row["trade_id"]: row["timestamp"] * 1_000_000 for row in exchange.trades["option"] if row["trade_id"] in inside}
    for to_ns, known in claims:
        assert {name for name, time_ns in at_ns.items() if time_ns < to_ns} <= known, "claimed, and yet to come"
    assert len(inside) > 500
    assert inside <= set(given) <= wanted
    assert len(given) == len(set(given)), "what was kept is not given again"


def test_a_channel_that_is_kept_back_claims_nothing() -> None:
    exchange = Exchange(strikes=(60_000,), expiries=("27MAR26",), kept_back={"trades.option.USDC.100ms"})
    world = live(exchange)
    world.run(30.0)
    trades = snapshot_of(world).trades
    assert trades is not None
    assert trades.covered == ()


def test_a_stream_goes_on_where_the_store_ends() -> None:
    exchange = Exchange(strikes=(60_000,), expiries=("27MAR26",))
    missed = exchange.trade("option", timestamp=exchange.now_ms - 3_600_000)
    for _ in range(1_001):
        exchange.trade("option")
    from_ns = (exchange.now_ms - 7_200_000) * 1_000_000
    world = Virtual(exchange, DeribitSession("BTC"))
    world.session.resume(from_ns)
    world.run(20.0)
    trades = snapshot_of(world).trades
    assert trades is not None
    assert trades.covered[0].from_ns == from_ns
    assert missed["trade_id"] in trades.trade_id.tolist()
    paused = Virtual(Exchange(strikes=(60_000,), expiries=("27MAR26",)), DeribitSession("BTC"))
    paused.session.resume(from_ns - 8 * 86_400 * 1_000_000_000)
    paused.run(20.0)
    late = snapshot_of(paused)
    assert any("are not all recorded" in doubt for doubt in late.degraded)
    assert late.trades is not None
    assert late.trades.covered[0].from_ns > from_ns - 86_400 * 1_000_000_000


# the protocol


def test_nothing_is_given_before_every_list_and_channel_has_been_answered() -> None:
    exchange = Exchange(unanswered={"public/get_instruments"})
    world = Virtual(exchange, DeribitSession("BTC"))
    assert not world.run(8.0, until=lambda: world.snapshot() is not None)
    exchange.unanswered.clear()
    assert world.run(20.0, until=lambda: world.snapshot() is not None)
    assert world.session.counters()["calls_unanswered"] >= 3


def test_channels_are_asked_for_in_batches_that_the_venue_allows() -> None:
    exchange = Exchange(strikes=tuple(range(40_000, 140_000, 500)), ticker_every_ms=2_000)
    world = Virtual(exchange, DeribitSession("BTC"))
    world.run(8.0, until=lambda: world.session.live(world.now))
    batches = [len(asked["params"]["channels"]) for asked in exchange.requests if asked["method"] == "public/subscribe"]
    assert len(snapshot_of(world).chain) == 1_200
    assert sum(batches) == 1_200 + 1 + 8
    assert max(batches) <= 200
    assert len(batches) <= world.now / 0.3


def test_test_requests_are_answered_and_a_dead_connection_is_left_within_fifteen_seconds() -> None:
    world = live()
    world.run(60.0)
    assert world.closes == []
    assert len(world.connects) == 1
    assert sum(asked["method"] == "public/test" for asked in world.exchange.requests) >= 5
    world.exchange.dead = True
    died = world.now
    assert world.run(5.0, until=lambda: world.snapshot() is None)
    assert world.now - died <= 5.0
    assert world.run(15.0, until=lambda: len(world.connects) == 2)
    assert world.now - died <= 15.0
    world.exchange.dead = False
    assert world.run(30.0, until=lambda: world.snapshot() is not None)


@pytest.mark.parametrize(
    "message",
    [
        {"id": 987_654, "result": "ok"},
        {"id": True, "result": "ok"},
        {"id": None, "result": "ok"},
        {"id": "1", "result": "ok"},
        {"method": "subscription", "params": {"channel": "ticker.BTC-1JAN27-1-C.100ms", "data": {}}},
        {"method": "subscription", "params": {"channel": 5, "data": {}}},
        {"method": "subscription", "params": [1]},
        {"method": "subscription"},
        {"method": "something", "params": {}},
        {"method": "subscription", "params": {"channel": "trades.option.BTC.100ms", "data": [{"trade_id": 5}, None, "x"]}},
        {"method": "subscription", "params": {"channel": "deribit_price_index.btc_usd", "data": {"index_name": "eth_usd", "price": 1}}},
        {"method": "subscription", "params": {"channel": "platform_state", "data": {"price_index": "sol_usdc", "locked": True}}},
        {},
    ],
)
def test_messages_that_answer_nothing_asked_are_dropped(message: dict[str, Any]) -> None:
    world = live()
    before = snapshot_of(world)
    world.hand_in([json.dumps({"jsonrpc": "2.0", **message})])
    assert world.closes == []
    same_columns(snapshot_of(world).chain, before.chain)


def test_a_reply_with_error_and_result_both_and_a_late_one_are_not_believed() -> None:
    exchange = Exchange()
    exchange.unanswered.add("public/get_instruments")
    world = Virtual(exchange, DeribitSession("BTC"))
    world.run(2.0)
    asked = [request for request in exchange.requests if request["method"] == "public/get_instruments"]
    rows = exchange.instruments("BTC", "option")
    both = {"jsonrpc": "2.0", "id": asked[0]["id"], "result": rows, "error": {"code": 1, "message": "x"}}
    world.hand_in([json.dumps(both)])
    assert world.session.counters()["replies_malformed"] == 1
    world.run(12.0)  # past the patience: asked again under another number
    late = {"jsonrpc": "2.0", "id": asked[0]["id"], "result": rows}
    before = world.session.counters().get("replies_unknown_id", 0)
    world.hand_in([json.dumps(late)])
    assert world.session.counters()["replies_unknown_id"] == before + 1
    assert not any("ticker." in channel for channel in (world.line.channels if world.line else ()))


@pytest.mark.parametrize(
    "message", [b"\x00\x01", '{"jsonrpc": "2.0", "met', "<html>maintenance</html>", "[]", "5", '{"jsonrpc": "2.0", "a": NaN}', ""]
)
def test_what_cannot_be_read_ends_the_connection(message: Any) -> None:
    world = live()
    world.hand_in([message])
    assert world.closes[-1][1] == INVALID_DATA
    assert world.snapshot() is None
    assert world.run(20.0, until=lambda: world.snapshot() is not None)


def test_too_many_requests_waits_and_comes_back() -> None:
    world = live()
    world.exchange.errors["public/test"] = 10028
    assert world.run(12.0, until=lambda: bool(world.closes))
    world.exchange.errors.clear()
    at = world.now
    assert world.snapshot() is None
    assert world.run(30.0, until=lambda: world.snapshot() is not None)
    assert world.connects[-1] - at >= 5.0
    assert world.session.counters()["errors_10028"] == 1


@pytest.mark.parametrize("code", [10041, 10047, 11051, 13503])
def test_passing_errors_are_asked_again_without_a_new_connection(code: int) -> None:
    exchange = Exchange(errors={"public/subscribe": code})
    world = Virtual(exchange, DeribitSession("BTC"))
    world.run(9.0)
    assert world.snapshot() is None
    assert world.closes == []
    asked = sum(request["method"] == "public/subscribe" for request in exchange.requests)
    assert 2 <= asked <= 8  # two requests, each a few times
    exchange.errors.clear()
    assert world.run(90.0, until=lambda: world.snapshot() is not None)
    assert len(world.connects) == 1


def test_a_locked_platform_is_not_live_and_not_left() -> None:
    world = live()
    world.exchange.locked = True
    world.run(0.3)
    assert world.snapshot() is None
    assert "locked" in world.session.doubts(world.now)[0]
    world.run(120.0)
    assert world.snapshot() is None
    assert world.closes == []
    world.exchange.locked = False
    assert world.run(1.0, until=lambda: world.snapshot() is not None)


@pytest.mark.slow
def test_channels_that_are_kept_back_are_named_and_their_options_not_believed() -> None:
    kept_back = {f"ticker.BTC-27MAR26-{strike}-C.100ms" for strike in (60_000, 70_000)}
    exchange = Exchange(kept_back=set(kept_back))
    world = Virtual(exchange, DeribitSession("BTC"))
    assert world.run(40.0, until=lambda: world.snapshot() is not None)
    snapshot = snapshot_of(world)
    masked = set(snapshot.chain.instrument[~snapshot.chain.usable].tolist())
    assert masked == {"BTC-27MAR26-60000-C", "BTC-27MAR26-70000-C"}
    assert any(doubt.startswith("2 channels are kept back by Deribit: ticker.BTC-27MAR26-60000-C") for doubt in snapshot.degraded)
    exchange.kept_back.clear()
    assert world.run(70.0, until=lambda: bool(snapshot_of(world).chain.usable.all()))
    assert not any("kept back" in doubt for doubt in snapshot_of(world).degraded)


def test_the_listing_follows_the_roll_at_eight() -> None:
    exchange = Exchange(ticker_every_ms=1_000, now_ms=AS_OF_MS - AS_OF_MS % 86_400_000 + 86_400_000 + 8 * 3_600_000 - 30_000)
    world = live(exchange)
    assert sum("21MAR26" in name for name in snapshot_of(world).chain.instrument.tolist()) == 10
    world.run(30.0)
    exchange.delisted = {name for name in exchange.rows() if "21MAR26" in name}
    assert world.run(20.0, until=lambda: len(snapshot_of(world).chain) == 20)
    world.run(0.2)
    assert world.closes == []
    assert not any("21MAR26" in channel for channel in (world.line.channels if world.line else ()))
    assert not any("silent" in doubt for doubt in snapshot_of(world).degraded)


def test_an_empty_list_of_options_removes_nothing() -> None:
    world = live()
    world.exchange.instruments = lambda currency, kind: []  # type: ignore[method-assign]
    world.hand_in([note("instrument.state.option.BTC", {"state": "created", "instrument_name": "BTC-27MAR26-1-C"})])
    world.run(10.0)
    assert len(snapshot_of(world).chain) == 30
    assert world.session.counters()["lists_malformed"] >= 1


def test_a_clock_an_hour_off_is_said_and_changes_no_time() -> None:
    world = live(local_ahead_seconds=-3_600.0)
    snapshot = snapshot_of(world)
    assert any("3,600" in doubt and "behind" in doubt for doubt in snapshot.degraded)
    assert abs(snapshot.as_of_ns - world.exchange.now_ms * 1_000_000) <= 2 * 10**9


# silence


@pytest.mark.slow
def test_all_options_silent_is_no_snapshot_and_in_the_end_a_new_connection() -> None:
    world = live()
    world.exchange.silent.add("ticker.BTC-2")
    assert world.run(10.0, until=lambda: world.snapshot() is None)
    assert "no option" in world.session.doubts(world.now)[0]
    assert world.run(25.0, until=lambda: bool(world.closes))
    assert world.session.counters()["connections_mute"] == 1
    world.exchange.silent.clear()
    assert world.run(30.0, until=lambda: world.snapshot() is not None)


def test_a_silent_perp_keeps_its_row_without_numbers() -> None:
    world = live()
    world.exchange.silent |= {f"ticker.{PERP}", BOOK, "deribit_price_index"}
    world.run(10.0)
    snapshot = snapshot_of(world)
    assert snapshot.futures.instrument.tolist() == [PERP]
    assert np.isnan(snapshot.futures.open_interest_usd).all()
    assert np.isnan(snapshot.futures.mark_usd).all()
    assert snapshot.books == ()
    assert sum("silent" in doubt for doubt in snapshot.degraded) == 3


def test_after_a_reconnect_old_numbers_are_masked_until_heard_again() -> None:
    world = live()
    gone = "ticker.BTC-26JUN26-"
    world.exchange.silent.add(gone)
    world.run(0.5)
    assert bool(snapshot_of(world).chain.usable.all())
    world.lose()
    assert world.run(30.0, until=lambda: world.snapshot() is not None)
    snapshot = snapshot_of(world)
    unusable = set(snapshot.chain.instrument[~snapshot.chain.usable].tolist())
    assert unusable == {name for name in world.exchange.rows() if "26JUN26" in name}
    assert snapshot.chain.open_interest_contracts[~snapshot.chain.usable].min() > 0.0


# the book


def test_a_gap_takes_the_book_out_at_once_and_a_fresh_snapshot_brings_it_back() -> None:
    world = live()
    eaten: list[Any] = []

    def tamper(message: dict[str, Any]) -> list[dict[str, Any]]:
        if message["params"]["channel"] == BOOK and message["params"]["data"]["type"] == "change" and not eaten:
            eaten.append(message)
            return []
        return [message]

    world.exchange.tamper = tamper
    world.step()
    assert eaten
    kept = dict(world.exchange.bids)
    world.step()
    assert world.session.counters()["book_gap"] == 1
    snapshot = snapshot_of(world)
    assert snapshot.books, kept  # the simulated exchange answers within the step
    np.testing.assert_array_equal(snapshot.books[0].bid_price_usd, sorted(world.exchange.bids, reverse=True))


def test_an_old_snapshot_is_ignored_and_a_crossed_change_ends_the_book() -> None:
    world = live()
    world.run(1.0)
    good = snapshot_of(world).books[0]
    world.hand_in([note(BOOK, {**world.exchange.book_snapshot(), "change_id": 1, "bids": [["new", 5.0, 10.0]]})])
    same_columns(snapshot_of(world).books[0], good)
    world.exchange.silent.add("book.")
    before = world.exchange.change_id
    change = {**world.exchange.book_change(), "prev_change_id": before, "bids": [["new", 71_000.0, 10.0]], "asks": []}
    world.hand_in([note(BOOK, change)])
    assert world.session.counters()["book_crossed"] == 1
    snapshot = snapshot_of(world)
    assert snapshot.books == ()
    assert any("fetched anew" in doubt for doubt in snapshot.degraded)
    world.exchange.silent.clear()
    assert world.run(8.0, until=lambda: bool(snapshot_of(world).books))


def mutated(rng: random.Random, value: Any, depth: int = 0) -> Any:
    """The same JSON with one place of it made something else."""
    odd: list[Any] = [None, True, -1, 0, 1e308, 2**70, "", "x" * 50, [], {}, [[]], {"a": []}, "BTC-27MAR26-60000-C", -0.0, [None] * 3]
    if depth and rng.random() < 0.25:
        return rng.choice(odd)
    if isinstance(value, dict) and value:
        key = rng.choice(sorted(value))
        if rng.random() < 0.1:
            return {other: part for other, part in value.items() if other != key}
        return {**value, key: mutated(rng, value[key], depth + 1)}
    if isinstance(value, list) and value:
        place = rng.randrange(len(value))
        return [*value[:place], mutated(rng, value[place], depth + 1), *value[place + 1 :]]
    return rng.choice(odd)


def test_damaged_messages_never_raise_and_the_stream_comes_back() -> None:
    rng = random.Random(9)
    exchange = Exchange(strikes=(60_000, 80_000), expiries=("27MAR26",))

    def tamper(message: dict[str, Any]) -> list[dict[str, Any]]:
        return [message] if rng.random() < 0.8 else [mutated(rng, message)]

    world = live(exchange)
    exchange.tamper = tamper
    for _ in range(60):
        world.run(1.0)
        exchange.trade("option")
        exchange.trade("future", liquidation=rng.choice(("T", "M")))
        answer = {"jsonrpc": "2.0", "id": rng.randrange(1, 60), "result": [1]}
        world.hand_in([json.dumps(mutated(rng, answer))])
        snapshot = world.snapshot()
        if snapshot is not None:
            assert np.isfinite(snapshot.spot_usd)
            assert len(snapshot.chain) == 4
            for book in snapshot.books:
                assert book.bid_price_usd[0] < book.ask_price_usd[0]
    exchange.tamper = None
    assert world.run(40.0, until=lambda: world.snapshot() is not None and bool(snapshot_of(world).chain.usable.all()))


def test_two_lines_of_the_simulated_exchange_follow_its_own_rules() -> None:
    """The test's own exchange is held to the rules it claims: each change follows the one before."""
    exchange = Exchange()
    line = Line(exchange)
    asked = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "public/subscribe", "params": {"channels": [BOOK]}})
    reply, first = (json.loads(text) for text in line.receive(asked))
    assert reply["result"] == [BOOK]
    last = first["params"]["data"]["change_id"]
    for _ in range(50):
        (text,) = line.advance(exchange.book_change())
        data = json.loads(text)["params"]["data"]
        assert data["prev_change_id"] == last
        last = data["change_id"]
    assert max(exchange.bids) < min(exchange.asks)


def test_actions_are_plain_values() -> None:
    assert Send("x") == Send("x")
    assert Close(1007, "y").wait_seconds == 0.0
