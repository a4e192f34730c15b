"""One silent option among busy ones: told within five seconds of its interval, and cleared only by a ticker that can be believed."""

from __future__ import annotations

import json
import random
from typing import Any

from tests.gates.sizes import gate_seed, gate_size
from tests.sources.deribit_exchange import Exchange, Virtual, ticker_of

from tailwag.market.codes import RowCode
from tailwag.sources.streams.deribit_session import DeribitSession, DeribitTiming

LATEST_SECONDS = 5.0
"""Beyond the interval at which a ticker is expected."""


def note(channel: str, data: Any) -> str:
    return json.dumps({"jsonrpc": "2.0", "method": "subscription", "params": {"channel": channel, "data": data}})


def unbelievable(rng: random.Random, good: dict[str, Any], now_ms: int) -> Any:
    return rng.choice(
        [
            {**good, "timestamp": now_ms - 3_600_000},
            {**good, "timestamp": now_ms + 3_600_000},
            {**good, "timestamp": "now"},
            {**good, "timestamp": True},
            {**good, "instrument_name": "BTC-27MAR26-1-C"},
            {**good, "mark_price": None},
            {**good, "open_interest": "many"},
            {**good, "mark_iv": "55"},
            {**good, "greeks": 5},
            {},
            None,
            [good],
        ]
    )


def masked(world: Virtual) -> set[str]:
    snapshot = world.snapshot()
    assert snapshot is not None
    rows = snapshot.chain.has(RowCode.TIME_INVALID)
    assert (snapshot.chain.usable == ~rows).all()
    silent = set(snapshot.chain.instrument[rows].tolist())
    interest = {name: row["open_interest"] for name, row in world.exchange.rows().items()}
    share = sum(interest[name] for name in silent) / sum(interest.values())
    said = f"{len(silent)} options with {share:.2%} of open interest have gone silent on the stream"
    assert (said in snapshot.degraded) == bool(silent)
    return silent


def test_each_silent_option_is_told_in_time_and_cleared_by_a_good_ticker_only() -> None:
    cases, rng = gate_size(small=40, full=200), random.Random(gate_seed())
    timing = DeribitTiming()
    done = 0
    while done < cases:
        exchange = Exchange(strikes=(60_000, 70_000, 80_000), seed=rng.randrange(1 << 30))
        world = Virtual(exchange, DeribitSession("BTC", timing=timing))
        assert world.run(20.0, until=lambda world=world: world.session.live(world.now))  # type: ignore[misc]
        stopped: dict[str, float] = {}
        told: dict[str, float] = {}
        for name in rng.sample(sorted(exchange.rows()), 5):
            world.run(round(rng.uniform(0.0, 2.0), 1))
            exchange.silent.add(f"ticker.{name}.")
            stopped[name] = world.now
        while world.now <= max(stopped.values()) + timing.expected + LATEST_SECONDS:
            world.run(0.5)
            silent = masked(world)
            assert silent <= set(stopped), "a busy option was called silent"
            for name in silent:
                told.setdefault(name, world.now)
        for name, at in stopped.items():
            assert told[name] - at <= timing.expected + LATEST_SECONDS
            assert told[name] - at > timing.expected - 1.0, "told before its interval was over"
        for name in stopped:
            good = ticker_of(exchange.rows()[name], exchange.now_ms, exchange.index_usd)
            world.hand_in([note(f"ticker.{name}.100ms", unbelievable(rng, good, exchange.now_ms))])
            assert name in masked(world)
            world.hand_in([note(f"ticker.{name}.100ms", good)])
            assert name not in masked(world)
        done += len(stopped)
        assert world.closes == []
