"""A silent channel among busy ones: told within five seconds of when it was due, polled and streamed; and clocks that jump move no age."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.gates.sizes import gate_seed, gate_size
from tests.gates.venues.exchange_world import Exchange
from tests.gates.venues.soak_bench import Bench, VirtualWorld, soak_bench
from tests.gates.venues.soak_stream import Streamed, StreamVenue
from tests.service.live_service import SECOND_NS, Script, bench, market

from tailwag.service.monitor import SourcePlan
from tailwag.service.staleness import Freshness, SourceState
from tailwag.sources.feeds import Feed
from tailwag.sources.streams.backoff import Backoff
from tailwag.sources.streams.deribit_session import DeribitSession, DeribitTiming

pytestmark = pytest.mark.slow
PROMISED_SECONDS = 5.0
WATCH_SECONDS = 0.5


def test_silent_sources_among_busy_ones() -> None:
    """The silent one is told in time, the busy ones stay as they are, and only a measured snapshot clears it."""
    chance = random.Random(f"silent/{gate_seed()}")
    ready = [market(float(second)) for second in range(4)]
    for case in range(gate_size(small=20, full=172)):
        every = chance.choice([0.5, 1.0, 2.0, 5.0])
        watches = {name: Freshness(interval_seconds=every, started_at=0.0) for name in ("busy", "silent", "other")}
        for watch in watches.values():
            watch.believe(ready[0], arrived_at=0.0)
        at, told = 0.0, None
        while told is None:
            at += WATCH_SECONDS
            if at % every == 0.0:
                for name in ("busy", "other"):
                    watches[name].believe(ready[0].with_parts(as_of_ns=ready[0].as_of_ns + round(at * SECOND_NS)), arrived_at=at)
            if watches["silent"].health(at).state is SourceState.STALE:
                told = at
            assert at <= every + PROMISED_SECONDS, f"case {case}"
        assert told > every, "not before it was due"
        assert {name: str(watch.health(at).state) for name, watch in watches.items()} == {"busy": "ok", "silent": "stale", "other": "ok"}
        old = ready[0] if chance.random() < 0.5 else ready[1].with_parts(spot_usd=ready[1].spot_usd * 10.0)
        assert watches["silent"].doubt(old, arrived_at=at)
        assert watches["silent"].health(at).state is SourceState.STALE, "what is not believed clears nothing"
        assert not watches["silent"].doubt(ready[2], arrived_at=at)
        assert watches["silent"].health(at).state is SourceState.STALE, "nor does what has only arrived"
        watches["silent"].believe(ready[2], arrived_at=at)
        assert watches["silent"].health(at).state is SourceState.OK


class StreamDesk:
    """A real session, monitor and recorder with tickers every second from a small exchange."""

    def __init__(self, bench: Bench, venue: StreamVenue) -> None:
        self.bench, self.venue, self.silent = bench, venue, frozenset[str]()
        venue._is_lost = lambda channel: any(channel.startswith(name) for name in self.silent)  # type: ignore[method-assign]
        venue.fault = "tickers lost"

    def second(self) -> None:
        """Two ticks of the connection, a round of messages, a turn of the monitor, and the watch."""
        for _ in range(2):
            self.venue.step(0.5)
            self.bench.monitor.watch()
        self.venue.round(self.venue.exchange.truth())
        self.venue.step(0.0)
        self.bench.monitor.turn("deribit-ws:BTC")
        self.bench.measure_all()

    @property
    def health(self) -> Any:
        return self.bench.board.sources()["deribit-ws:BTC"][1]


@pytest.fixture
def desk(tmp_path: Path) -> Any:
    exchange, clock = Exchange(gate_seed(), instruments=40), VirtualWorld()
    venue = StreamVenue(exchange, clock, DeribitSession("BTC", timing=DeribitTiming()), Backoff(random.Random(1)), random.Random(2))

    def plans(clock: VirtualWorld) -> list[SourcePlan]:
        venue.clock, clock.on_pass = clock, exchange.advance
        return [SourcePlan("deribit-ws:BTC", lambda: Feed("deribit-ws:BTC", Streamed(venue), None), 1.0, 1.0, live=True)]

    with soak_bench(tmp_path, plans) as made:
        venue.bench = made
        desk = StreamDesk(made, venue)
        for _ in range(8):
            desk.second()
        assert str(desk.health.state) == "ok"
        yield desk


def test_silent_ticker_channels_among_busy_ones(desk: StreamDesk) -> None:
    """One to three options say nothing more; all else goes on."""
    chance, limit = random.Random(f"channels/{gate_seed()}"), DeribitTiming().expected + PROMISED_SECONDS
    held = {name: option for name, option in desk.venue.exchange.options.items() if option.open_interest_coin > 1.0}
    for case in range(gate_size(small=1, full=6)):
        names = chance.sample(sorted(held), chance.randint(1, 3))
        desk.silent = frozenset(f"ticker.{name}." for name in names)
        began = desk.bench.clock.seconds
        while str(desk.health.state) == "ok":
            desk.second()
            assert desk.bench.clock.seconds - began <= limit, f"case {case}"
        assert str(desk.health.state) == "degraded"
        assert desk.bench.clock.seconds - began > DeribitTiming().expected
        assert any(f"{len(names)} options" in reason and "silent" in reason for reason in desk.health.reasons), desk.health.reasons
        desk.silent = frozenset()
        desk.second()
        assert str(desk.health.state) == "ok", "heard again, all is well"


@pytest.mark.parametrize("what", ["no data", "index", "perp"])
def test_a_silent_socket_index_or_perp(desk: StreamDesk, what: str) -> None:
    chance = random.Random(f"socket/{gate_seed()}")
    for _ in range(gate_size(small=1, full=2)):
        for _ in range(chance.randint(1, 3)):
            desk.second()
        desk.venue.fault = "socket open, no data" if what == "no data" else "tickers lost"
        desk.silent = {"index": frozenset({"deribit_price_index"}), "perp": frozenset({"ticker.BTC-PERPETUAL"})}.get(what, frozenset())
        began, due = desk.bench.clock.seconds, 1.0 if what == "no data" else DeribitTiming().expected
        while str(desk.health.state) == "ok":
            desk.second()
            assert desk.bench.clock.seconds - began <= due + PROMISED_SECONDS
        assert str(desk.health.state) == ("stale" if what == "no data" else "degraded")
        desk.venue.fault, desk.silent = "tickers lost", frozenset()
        for _ in range(60):
            desk.second()
            if str(desk.health.state) == "ok":
                break
        assert str(desk.health.state) == "ok", desk.health.reasons


# frozen rows


def frozen_market(second: float, *, still: Any = None, spot_ratio: float = 1.0) -> Any:
    """The market some seconds on; the rows ``still`` as they were at the start."""
    start, now = market(0.0), market(second, spot_ratio=spot_ratio)
    if still is None:
        return now
    columns = {}
    for name in ("underlying_usd", "iv", "mark_quoted", "open_interest_contracts"):
        columns[name] = np.where(still, getattr(start.chain, name), getattr(now.chain, name) * (1.0 + 1e-7 * second))
    return now.with_parts(chain=now.chain.with_columns(**columns), spot_usd=start.spot_usd * (1.0 + 1e-3 * second))


def test_a_venue_that_repeats_itself_is_degraded_after_a_minute_and_the_third_time() -> None:
    script = Script(every_seconds=30.0)
    here = bench(script)
    whole = market(0.0)
    states = []
    for turn in range(6):
        here.feed(script, whole.with_parts(as_of_ns=whole.as_of_ns + round(here.time.seconds) * SECOND_NS))
        states.append(here.state())
        here.pass_seconds(30.0)
        assert turn < 6
    assert states == ["ok", "ok", "degraded", "degraded", "degraded", "degraded"]
    assert "frozen: the index and every option are the same to the last digit for" in here.board.sources()["one"][1].reasons[0]
    moved = market(200.0)
    here.feed(script, moved)
    assert here.state() == "ok"


def test_rows_that_stand_still_while_the_index_moves_are_told_with_their_open_interest() -> None:
    script = Script(every_seconds=30.0)
    here = bench(script)
    start = market(0.0)
    expiries = np.unique(start.chain.expiry_ns)
    still = start.chain.expiry_ns == expiries[0]
    held = start.chain.counted_open_interest_coin()
    for turn in range(4):
        here.feed(script, frozen_market(30.0 * turn, still=still))
        assert here.state() == ("ok" if turn < 2 else "degraded"), turn
        here.pass_seconds(30.0)
    (reason,) = here.board.sources()["one"][1].reasons
    assert f"{held[still].sum() / held.sum():.2%}" in reason
    here.feed(script, frozen_market(130.0))
    assert here.state() == "ok"


# items 30 and 31: clocks that jump


@pytest.mark.parametrize("jump_seconds", [-3_600, 86_400])
def test_a_local_clock_that_jumps_moves_no_age_and_expires_nothing(jump_seconds: int) -> None:
    """No negative age, no mass expiry, no storm of turns; the skew is published."""
    script = Script(every_seconds=1.0)
    here = bench(script)
    here.monitor._sources["one"].plan = SourcePlan("one", script._open, every_seconds=1.0, expected_seconds=1.0, live=True)
    pauses = []
    for second in range(12):
        if second == 6:
            here.time.offset_ns += jump_seconds * SECOND_NS
        script.items.append(market(float(second)))
        pauses.append(here.monitor.turn("one"))
        while here.monitor.measure_one():
            pass
        here.pass_seconds(1.0)
        health = here.board.sources()["one"][1]
        assert 0.0 <= health.age_seconds <= 1.0
        assert health.silent_instruments == 0
        assert str(health.state) == ("ok" if second < 6 else "degraded")
    assert set(pauses) == {1.0}
    side = "behind" if jump_seconds > 0 else "ahead of"
    assert any(f"s {side} the local clock's" in reason for reason in health.reasons), health.reasons
    assert sum(kind == "measure" for kind, _, _ in here.frames) == 12
    assert sum(kind == "heartbeat" for kind, _, _ in here.frames) <= 6
    assert all(frame["age_s"] is None or frame["age_s"] >= 0.0 for _, _, frame in here.frames)


def test_a_venue_clock_that_was_set_back_is_believed_the_third_time_and_an_old_reply_never() -> None:
    script = Script(every_seconds=1.0)
    here = bench(script)
    here.feed(script, market(3_600.0))
    seen = []
    for second in range(1, 5):
        here.pass_seconds(1.0)
        here.feed(script, market(float(second)))
        seen.append(here.board.sources()["one"][0].as_of_ns == market(float(second)).as_of_ns)
    assert seen == [False, False, True, True]
    for _ in range(6):
        here.pass_seconds(0.5)
        here.feed(script, market(1.0))
    assert here.board.sources()["one"][0].as_of_ns == market(4.0).as_of_ns
    for second in (1.0, 1.5, 2.0, 2.5):  # a backlog that arrives all at once is no clock
        here.feed(script, market(100.0 * second - 1_000.0))
    assert here.board.sources()["one"][0].as_of_ns == market(4.0).as_of_ns


def test_a_reply_that_took_long_is_as_old_as_it_may_be() -> None:
    script = Script(every_seconds=60.0)
    here = bench(script)

    def slow() -> Any:
        here.time.seconds += 400.0
        yield market(0.0)

    here.monitor._sources["one"].plan = SourcePlan("one", lambda: Feed("one", slow(), None), 60.0, 60.0)
    here.monitor.turn("one")
    here.monitor.measure_one()
    assert here.state() == "stale"
    assert here.board.sources()["one"][1].age_seconds == 390.0
