"""Twenty-four simulated hours of a bad exchange and many short ones: nothing wrong is published as ok, nothing piles up, and good data are ok."""

from __future__ import annotations

import ast
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.gates.sizes import gate_seed, gate_size
from tests.gates.venues import soak_rest, soak_stream
from tests.gates.venues.exchange_world import Exchange
from tests.gates.venues.soak_bench import Bench, VirtualWorld, soak_bench
from tests.gates.venues.soak_rest import UNDETECTABLE_TURNS, Fetched, RestVenue, Weather
from tests.gates.venues.soak_stream import SLOW, Streamed, StreamVenue

from tailwag.service.monitor import SourcePlan
from tailwag.sources.feeds import Feed
from tailwag.sources.streams.backoff import Backoff
from tailwag.sources.streams.deribit_session import DeribitSession, DeribitTiming

pytestmark = pytest.mark.slow
DAY, HOUR, MINUTE = 86_400.0, 3_600.0, 60.0
REST, STREAM = "deribit:BTC", "deribit-ws:BTC"
LEAST_OK_SHARE = 0.95
OUR_CLOCK = {"our clock +1 d": 86_400.0, "our clock +1 h": HOUR, "our clock -1 h": -HOUR}


@dataclass
class Soaked:
    """What one soak left behind."""

    bench: Bench
    verdict: dict[str, Any]
    weather: Weather
    clean: Counter[str]
    """How the source stood at turns that no fault of the last few could have touched."""
    rolls: int
    venue: Any


def rest_soak(folder: Path, *, seed: int, seconds: float, instruments: int, every_seconds: float = 10.0 * MINUTE) -> Soaked:
    """Polled through the real venue client."""
    exchange, clean = Exchange(seed, instruments=instruments), Counter[str]()
    venue = RestVenue(exchange, VirtualWorld(), random.Random(f"venue/{seed}"))
    weather = Weather(random.Random(f"weather/{seed}"), names=tuple(soak_rest.FAULTS), clean_turns=(1, 4), fault_turns=(1, 2))

    def plans(clock: VirtualWorld) -> list[SourcePlan]:
        venue.clock, clock.on_pass = clock, exchange.advance
        return [SourcePlan(REST, lambda: Feed(REST, Fetched(venue), None), every_seconds, every_seconds, live=True)]

    with soak_bench(folder, plans) as bench:
        venue.bench = bench
        bench.weighed = seconds > HOUR
        while bench.clock.seconds < seconds or (seconds >= DAY and weather.unseen):
            venue.fault = bench.fault = weather.next_turn()
            bench.excused = venue.fault == "frozen rows" and weather.turns_in <= UNDETECTABLE_TURNS
            bench.clock.wall_offset_seconds = OUR_CLOCK.get(venue.fault, 0.0)
            began = bench.clock.seconds
            pause = bench.monitor.turn(REST)
            assert pause is not None
            bench.measure_all()
            bench.monitor.watch()
            if weather.clean_since > 3:
                clean[bench.state(REST)] += 1
            bench.weigh()
            bench.watched(max(began + pause - bench.clock.seconds, 0.0), step=min(MINUTE, every_seconds / 4.0))
        return Soaked(bench, bench.oracle.verdict(), weather, clean, exchange.rolls, venue)


def stream_soak(
    folder: Path, *, seed: int, seconds: float, instruments: int, timing: DeribitTiming = SLOW, rounds_a_turn: int = 1
) -> Soaked:
    """Streamed through the real session: a round of messages, then a turn of the monitor."""
    exchange, clean = Exchange(seed, instruments=instruments), Counter[str]()
    backoff = Backoff(random.Random(f"backoff/{seed}"))
    session = DeribitSession("BTC", timing=timing)
    venue = StreamVenue(exchange, VirtualWorld(), session, backoff, random.Random(f"venue/{seed}"))
    weather = Weather(random.Random(f"weather/{seed}"), names=tuple(soak_stream.FAULTS), clean_turns=(2, 3), fault_turns=(1, 2))
    turn_seconds = 12.0 * MINUTE if timing is SLOW else 1.5 * MINUTE

    def plans(clock: VirtualWorld) -> list[SourcePlan]:
        venue.clock, clock.on_pass = clock, exchange.advance
        return [SourcePlan(STREAM, lambda: Feed(STREAM, Streamed(venue), None), turn_seconds, turn_seconds, live=True)]

    with soak_bench(folder, plans) as bench:
        venue.bench = bench
        bench.weighed = seconds > HOUR
        while bench.clock.seconds < seconds or (seconds >= DAY and weather.unseen):
            venue.fault = bench.fault = weather.next_turn()
            bench.clock.wall_offset_seconds = OUR_CLOCK.get(venue.fault, 0.0)
            if venue.fault in soak_stream.WHEN_ASKED and weather.turns_in == 1:
                venue.cut()
            _connection_time(venue, turn_seconds, rounds_a_turn)
            # what a lost or garbled ticker would have said is unknown until the next one, so the market stands while rounds repeat
            exchange.standing = True
            for rank in range(rounds_a_turn):
                if rank:
                    venue.step(3.75)
                truth = exchange.truth()
                bench.truth(truth)
                venue.round(truth)
                venue.step(0.0)
            exchange.standing = False
            assert bench.monitor.turn(STREAM) is not None
            bench.measure_all()
            bench.monitor.watch()
            if weather.clean_since > 2:
                clean[bench.state(STREAM)] += 1
            bench.weigh()
        return Soaked(bench, bench.oracle.verdict(), weather, clean, exchange.rolls, venue)


def _connection_time(venue: StreamVenue, turn_seconds: float, rounds: int) -> None:
    """The time between two rounds: finely at first, when connections are made and channels asked for."""
    fine = 0.1 if venue.fault == "closed at once, 10 a second" else 1.0
    left = turn_seconds - (rounds - 1) * 3.75
    for _ in range(round(20.0 / fine)):
        venue.step(fine)
    while left > 20.0 + 1e-9:
        step = min(60.0, left - 20.0)
        left -= step
        venue.step(step)
        assert venue.bench is not None
        venue.bench.monitor.watch()


# what every soak must show


def assert_sound(soaked: Soaked, names: Mapping[str, int]) -> None:
    print(table(soaked, names))
    verdict = soaked.verdict
    assert verdict["wrongs"] == 0, "\n".join(verdict["wrong"])
    assert verdict["modules"] == []
    assert soaked.bench.deepest_queue <= 1
    assert soaked.clean["ok"] >= LEAST_OK_SHARE * soaked.clean.total(), soaked.clean


def table(soaked: Soaked, names: Mapping[str, int]) -> str:
    """Faults injected, what the oracle found wrong, and what was published."""
    lines = [f"{'fault (item)':38} turns |  ok  degraded | frames stale | wrong: flagged, before it could be known"]
    for name in ("", *names):
        one = soaked.verdict["by_fault"].get(name or "none", {})
        label = f"{name} ({names[name]})" if name else "none"
        counts = [one.get(f"published {state}", 0) for state in ("ok", "degraded")]
        wrong = [one.get(f"wrong {what}", 0) for what in ("and flagged", "before it could be known")]
        turns = soaked.weather.injected[name] if name else ""
        lines.append(f"{label:38} {turns:5} | {counts[0]:3} {counts[1]:9} | {one.get('told stale', 0):12} | {wrong[0]:4}, {wrong[1]}")
    met = soaked.bench.log.counts
    return "\n".join([*lines, str(soaked.verdict["counts"]), f"clean turns: {dict(soaked.clean)}; {dict(met)}; rolls: {soaked.rolls}"])


def assert_every_fault(soaked: Soaked, *, seconds: float) -> None:
    assert seconds < DAY or not set(soaked.weather.names) - set(soaked.weather.injected)


def assert_flat(bench: Bench, *, seconds: float) -> None:
    assert max(bench.descriptors[1:]) - min(bench.descriptors[1:]) <= 3
    if seconds < 12 * HOUR:
        return
    slope = bench.megabytes_per_day(after_seconds=seconds / 4.0)
    print(
        f"resident {bench.memory[0][1]:.0f} to {bench.memory[-1][1]:.0f} MB, {slope:+.2f} MB a day after the warm-up; {bench.descriptors[-1]} descriptors"
    )
    assert slope <= 5.0


def test_a_day_of_a_bad_exchange_over_rest(tmp_path: Path) -> None:
    seconds = gate_size(small=3, full=24) * HOUR
    soaked = rest_soak(tmp_path, seed=gate_seed(), seconds=seconds, instruments=gate_size(small=60, full=600))
    assert_sound(soaked, soak_rest.FAULTS)
    assert_every_fault(soaked, seconds=seconds)
    assert_flat(soaked.bench, seconds=seconds)
    assert soaked.rolls == (1 if seconds > 8 * HOUR else 0)


def test_a_day_of_a_bad_exchange_over_a_stream(tmp_path: Path) -> None:
    seconds = gate_size(small=3, full=24) * HOUR
    soaked = stream_soak(tmp_path, seed=gate_seed(), seconds=seconds, instruments=gate_size(small=60, full=600))
    assert_sound(soaked, soak_stream.FAULTS)
    assert_every_fault(soaked, seconds=seconds)
    assert_flat(soaked.bench, seconds=seconds)
    assert soaked.venue.deepest <= soak_stream.BACKLOG
    assert most_in_a_minute(soaked.venue.connects) <= 12


def most_in_a_minute(times: list[float]) -> int:
    return max((sum(at <= other < at + MINUTE for other in times) for at in times), default=0)


@pytest.mark.parametrize("name", ["rest", "stream"])
def test_many_seeds_of_fifteen_minutes(name: str, tmp_path: Path) -> None:
    soak, seeds = {"rest": rest_soak, "stream": stream_soak}[name], gate_size(small=2, full=12)
    wrong, clean, injected = [], Counter[str](), Counter[str]()
    for seed in range(gate_seed() * 1_000, gate_seed() * 1_000 + seeds):
        soaked = soak(tmp_path / str(seed), seed=seed, seconds=15 * MINUTE, instruments=40, **SHORT[name])
        wrong += [f"{name} seed {seed}: {one}" for one in soaked.verdict["wrong"]]
        clean += soaked.clean
        injected += soaked.weather.injected
        assert soaked.bench.deepest_queue <= 1
    print(f"{seeds} seeds, {sum(injected.values())} faulty turns of {len(injected)} kinds; clean turns {dict(clean)}")
    assert wrong == [], "\n".join(wrong[:20])
    assert clean["ok"] >= LEAST_OK_SHARE * clean.total(), clean


SHORT: dict[str, dict[str, Any]] = {"rest": {"every_seconds": 1.5 * MINUTE}, "stream": {"timing": DeribitTiming(), "rounds_a_turn": 8}}
"""Polls every minute and a half; tickers every few seconds on the stream's own timing before each turn."""


# the oracle is no mirror


def test_the_oracle_imports_nothing_of_the_product() -> None:
    folder = Path(__file__).parent
    for name in ("oracle.py", "exchange_world.py"):
        tree = ast.parse((folder / name).read_text())
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert {one.split(".")[0] for one in imported} <= set(sys.stdlib_module_names), imported
    done = subprocess.run([sys.executable, "-I", str(folder / "oracle.py")], input=b'{"k": "end"}\n', capture_output=True, check=True)
    assert b'"modules": []' in done.stdout


@pytest.mark.parametrize("lie", ["gross_gex_usd_per_pct", "gex_usd_per_pct", "spot_usd", "touches", "as_of"])
def test_the_oracle_finds_a_lie(lie: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Bench.hear

    def lying(bench: Bench, kind: str, source: str, text: bytes) -> None:
        tell = bench.oracle.tell

        def told(**line: Any) -> None:
            if line["k"] == "frame" and line["said"]:
                if lie == "touches":
                    line["said"][lie] = [[100.0, 99.0]]
                elif lie == "as_of":
                    line["frame"][lie] = "2026-03-10T00:00:00.001Z"
                else:
                    line["said"][lie] *= 1.0 + 3e-9
            tell(**line)

        monkeypatch.setattr(bench.oracle, "tell", told)
        honest(bench, kind, source, text)
        monkeypatch.setattr(bench.oracle, "tell", tell)

    monkeypatch.setattr(Bench, "hear", lying)
    soaked = rest_soak(tmp_path, seed=gate_seed(), seconds=5 * MINUTE, instruments=60, every_seconds=MINUTE)
    assert soaked.verdict["wrongs"] >= 1
