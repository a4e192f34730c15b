"""Staleness: a silent source, and a silent option among busy ones, are told within five seconds; only a believed snapshot clears it."""

from __future__ import annotations

import random

import numpy as np
import pytest
from tests.service.live_service import SECOND_NS, Script, VirtualTime, bench, market

from tailwag.errors import InputError
from tailwag.service.staleness import Freshness, SourceState

PROMISED_SECONDS = 5.0


@pytest.mark.parametrize("every_seconds", [0.25, 1.0, 60.0])
def test_a_silent_source_is_told_within_five_seconds_of_when_it_was_expected(every_seconds: float) -> None:
    script = Script(every_seconds=every_seconds)
    here = bench(script)
    here.feed(script, market(0.0))
    while here.state() == "ok":
        here.pass_seconds(0.5)
        assert here.time.seconds <= every_seconds + PROMISED_SECONDS
    assert here.state() == "stale"
    assert here.time.seconds > every_seconds, "not before it was expected"
    last = here.frames[-1]
    assert (last[0], last[2]["source_state"]) == ("heartbeat", "stale")
    assert last[2]["age_s"] == here.time.seconds


def test_two_hundred_silent_options_among_busy_ones() -> None:
    chance = random.Random(11)
    whole = market(0.0)
    held = whole.chain.counted_open_interest_coin()
    names = [str(name) for name, coins in zip(whole.chain.instrument, held, strict=True) if coins > 0.0]
    for case in range(200):
        silent = tuple(chance.sample(names, chance.randint(1, 6)))
        interval = chance.choice([0.5, 1.0, 2.0])
        watch = Freshness(interval_seconds=interval, started_at=0.0)
        at = _run(watch, whole, silent, interval)
        health = watch.health(at)
        assert health.state is SourceState.DEGRADED, f"case {case}"
        assert health.silent_instruments == len(silent)
        share = held[np.isin(whole.chain.instrument, silent)].sum() / held.sum()
        assert health.silent_open_interest_share == pytest.approx(share, rel=1e-12)
        watch.believe(whole, arrived_at=at)
        assert watch.health(at).state is SourceState.OK, "heard again, all is well"


def _run(watch: Freshness, whole, silent: tuple[str, ...], interval: float) -> float:
    """Everything once, then everything but the silent ones: told with the first snapshot that lacks them, which holds too little already."""
    chain = whole.chain
    rest = whole.with_parts(chain=chain.select(np.flatnonzero(~np.isin(chain.instrument, silent))))
    watch.believe(whole, arrived_at=0.0)
    assert watch.health(interval).state is SourceState.OK, "not before it was expected"
    watch.believe(rest, arrived_at=interval)
    return interval


def test_an_option_that_expires_is_not_silent() -> None:
    whole = market(0.0)
    first = int(whole.chain.expiry_ns.min())
    rest = whole.chain.select(np.flatnonzero(whole.chain.expiry_ns > first))
    watch = Freshness(interval_seconds=1.0, started_at=0.0)
    watch.believe(whole.with_parts(as_of_ns=first - 2 * SECOND_NS), arrived_at=0.0)
    for second in range(1, 20):
        watch.believe(whole.with_parts(chain=rest, as_of_ns=first + (second - 2) * SECOND_NS), arrived_at=float(second))
    assert watch.health(19.0).state is SourceState.OK


def test_a_delisted_option_is_forgotten_after_a_day() -> None:
    whole = market(0.0)
    rest = whole.with_parts(chain=whole.chain.select(np.arange(10, len(whole.chain))))
    watch = Freshness(interval_seconds=3600.0, started_at=0.0)
    watch.believe(whole, arrived_at=0.0)
    watch.believe(rest, arrived_at=80_000.0)
    assert watch.health(80_000.0).state is SourceState.DEGRADED
    watch.believe(rest, arrived_at=86_500.0)
    assert watch.health(86_500.0).state is SourceState.OK


def test_only_a_believed_snapshot_clears_staleness() -> None:
    script = Script()
    here = bench(script)
    here.feed(script, market(0.0))
    here.pass_seconds(6.0)
    assert here.state() == "stale"
    empty = market(6.0).with_parts(chain=market(6.0).chain.select(np.array([], dtype=np.int64)))
    for doubtful in (empty, market(0.0), market(-3.0), market(7.0).with_parts(spot_usd=float("nan")), None):
        here.feed(script, doubtful)
        here.pass_seconds(0.5)
        assert here.state() == "stale"
    here.feed(script, market(8.0))
    here.pass_seconds(0.5)
    assert here.state() == "ok"


@pytest.mark.parametrize("ratio", [10.0, 0.1, 2.5])
def test_a_jump_of_spot_is_stale_at_once_until_confirmed(ratio: float) -> None:
    script = Script()
    here = bench(script)
    here.feed(script, market(0.0))
    seen = []
    for second in range(1, 4):
        here.feed(script, market(float(second), spot_ratio=ratio))
        here.pass_seconds(0.5)
        seen.append(here.state())
    assert seen == ["stale", "stale", "ok"]
    assert [frame["seq"] for kind, _, frame in here.frames if kind == "measure"] == [1, 4]
    assert len(here.keeper.kept) == 4, "doubtful snapshots are kept too"


def test_one_wild_tick_is_passed_over() -> None:
    script = Script()
    here = bench(script)
    here.feed(script, market(0.0))
    here.feed(script, market(1.0, spot_ratio=10.0))
    here.feed(script, market(2.0))
    here.pass_seconds(0.5)
    assert here.state() == "ok"
    spots = [frame["summary"]["spot_usd"] for kind, _, frame in here.frames if kind == "measure"]
    assert max(spots) / min(spots) < 1.1


def test_the_wall_clock_may_jump_and_ages_do_not() -> None:
    script = Script()
    here = bench(script)
    here.feed(script, market(0.0))
    for jump_seconds in (-3_600, 86_400):
        here.time.offset_ns += jump_seconds * SECOND_NS
        here.pass_seconds(0.5)
        health = here.board.sources()["one"][1]
        assert str(health.state) == "ok"
        assert 0.0 <= health.age_seconds <= 1.5


def test_masked_open_interest_degrades_with_its_share() -> None:
    whole = market(0.0)
    iv = np.array(whole.chain.iv)
    heavy = int(np.argmax(whole.chain.open_interest_contracts))
    broken = np.array(whole.chain.open_interest_contracts)
    share = broken[heavy] / broken.sum()
    from tailwag.market.validate import validated

    strikes = np.array(whole.chain.strike_usd)
    strikes[heavy] = -1.0
    script = Script()
    here = bench(script)
    here.feed(script, whole.with_parts(chain=validated(whole.chain.with_columns(strike_usd=strikes, iv=iv))))
    frame = here.frames[-1][2]
    assert frame["source_state"] == "degraded"
    assert frame["quarantined"]["instruments"] >= 1
    assert frame["quarantined"]["open_interest_share"] == pytest.approx(share, rel=1e-9)
    assert any("masked" in reason for reason in frame["reasons"])


def test_before_the_first_snapshot_a_source_is_stale_and_says_why() -> None:
    script = Script()
    here = bench(script)
    assert here.state() == "stale"
    assert [(kind, frame["source_state"], frame["seq"]) for kind, _, frame in here.frames] == [("heartbeat", "stale", 0)]
    here.pass_seconds(0.5)
    assert here.board.sources()["one"][1].reasons == ("starting: no snapshot has been measured yet",)
    here.pass_seconds(60.0)
    assert here.board.sources()["one"][1].reasons == ("no snapshot has been measured yet",)
    assert VirtualTime().world().wait(1.0) is False


def test_why_nothing_has_come_yet_is_told_with_the_next_look() -> None:
    script = Script(items=[InputError("expected a demo currency (BTC, ETH), got 'DOGE'")])
    here = bench(script)
    here.monitor.turn("one")
    here.pass_seconds(0.5)
    assert here.board.sources()["one"][1].reasons == ("expected a demo currency (BTC, ETH), got 'DOGE'",)
    assert here.frames[-1][2]["reasons"] == ["expected a demo currency (BTC, ETH), got 'DOGE'"]


def test_a_source_that_was_never_live_is_starting_for_a_minute_or_three_intervals_and_never_ok() -> None:
    for every_seconds, first_seconds in ((1.0, 60.0), (60.0, 180.0)):
        watch = Freshness(interval_seconds=every_seconds, started_at=100.0)
        for after in (0.0, 30.0, first_seconds - 0.5):
            health = watch.health(100.0 + after)
            assert (health.state, health.starting) == (SourceState.STALE, True)
        health = watch.health(100.0 + first_seconds)
        assert (health.state, health.starting) == (SourceState.STALE, False)


def test_a_source_that_was_live_is_never_starting_again() -> None:
    watch = Freshness(interval_seconds=1.0, started_at=0.0)
    watch.believe(market(0.0), arrived_at=0.5)
    assert watch.health(1.0).state is SourceState.OK
    health = watch.health(5.0)
    assert (health.state, health.starting) == (SourceState.STALE, False)
