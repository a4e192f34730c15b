"""The monitor: what is recorded, what is measured, what is skipped, and that one bad source harms no other."""

from __future__ import annotations

import json
import random

import numpy as np
import orjson
import pytest
from tests.service.live_service import NOON_NS, OPTIONS, Memory, Script, bench, market

import tailwag as tw
from tailwag.errors import StoreError, VenueError
from tailwag.market.codes import RowCode
from tailwag.service.monitor import SourcePlan
from tailwag.sources.feeds import Feed


def measures(bench_frames: list) -> list[dict]:
    return [frame for kind, _, frame in bench_frames if kind == "measure"]


def test_a_snapshot_is_recorded_then_measured_then_published_with_every_key() -> None:
    script = Script()
    here = bench(script)
    snapshot = market(3.0)
    here.feed(script, snapshot)
    (frame,) = measures(here.frames)
    document = tw.measure(snapshot, OPTIONS).document()
    wanted = {
        "type",
        "source",
        "currency",
        "seq",
        "as_of",
        "age_s",
        "max_age_s",
        "source_state",
        "reasons",
        "quarantined",
        "silent",
        "skipped",
    }
    assert wanted | {"code_hash", "published_at", "summary"} == set(frame)
    assert (frame["seq"], frame["as_of"], frame["source_state"], frame["currency"]) == (1, "2026-09-15T14:30:03Z", "ok", "BTC")
    assert frame["summary"]["gain"]["value"] == document["gain"]["value"]
    assert frame["summary"]["headline"] == document["headline"]
    published, _ = here.board.sources()["one"]
    assert orjson.loads(orjson.dumps(published.document)) == orjson.loads(orjson.dumps(document))
    assert len(frame["code_hash"]) == 16
    assert frame["summary"]["levels"]["nearest_flip"] is None or "distance_pct" in frame["summary"]["levels"]["nearest_flip"]
    assert [row["spot_move_pct"] for row in frame["summary"]["flows"]] == [-5, -3, -1, 1, 3, 5]


def test_the_newest_wins_and_what_was_skipped_is_counted_and_still_recorded() -> None:
    script = Script(items=[market(float(second)) for second in range(7)])
    here = bench(script)
    for _ in range(7):
        here.monitor.turn("one")
    assert here.monitor.measure_one()
    assert not here.monitor.measure_one()
    (frame,) = measures(here.frames)
    assert (frame["seq"], frame["skipped"], frame["as_of"]) == (7, 6, "2026-09-15T14:30:06Z")
    assert [snapshot.as_of_ns for snapshot in here.keeper.kept] == [NOON_NS + second * 10**9 for second in range(7)]
    assert b'tailwag_snapshots_skipped_total{source="one"} 6.0' in here.metrics.text()


def test_sources_take_turns_and_a_busy_one_cannot_crowd_out_another() -> None:
    busy, calm = Script("busy", [market(float(second)) for second in range(9)]), Script("calm", [market(0.0)])
    here = bench(busy, calm)
    here.monitor.turn("busy")
    here.monitor.turn("calm")
    for _ in range(8):
        here.monitor.turn("busy")
    here.monitor.measure_one()
    here.monitor.measure_one()
    assert [source for kind, source, _ in here.frames if kind == "measure"] == ["busy", "calm"]


def test_a_failing_source_backs_off_and_is_opened_again_while_the_other_goes_on() -> None:
    bad, good = Script("bad"), Script("good")
    here = bench(bad, good)
    pauses = []
    for second in range(12):
        bad.items.append(VenueError("Deribit answered 503") if second % 2 else RuntimeError("secret internals"))
        pauses.append(here.monitor.turn("bad"))
        here.feed(good, market(float(second)))
    assert [frame["seq"] for frame in measures(here.frames)] == list(range(1, 13))
    assert bad.opened == 12
    assert pauses == sorted(pauses)
    assert pauses[0] <= 1.0
    assert pauses[-1] == 60.0
    assert "secret internals" not in here.log.getvalue()
    assert "Deribit answered 503" in here.log.getvalue()
    here.feed(bad, market(50.0))
    assert here.state("bad") == "ok"
    assert here.monitor.turn("bad") is not None


def test_an_ended_replay_is_not_opened_again_and_goes_stale() -> None:
    script = Script(items=[market(0.0)])
    here = bench(script)
    here.monitor._sources["one"].plan = script.plan(ends=True)
    assert here.monitor.turn("one") == 1.0
    here.monitor.measure_one()
    assert here.monitor.turn("one") is None
    assert script.opened == 1
    here.pass_seconds(5.0)
    assert here.state() == "stale"
    assert here.board.sources()["one"][1].reasons == ("the source has ended",)


def test_what_is_not_durable_is_not_published_and_a_freed_disk_is_enough() -> None:
    script, disk = Script(), Memory(refusing=True)
    here = bench(script, keeper=disk)
    here.feed(script, market(0.0))
    assert measures(here.frames) == []
    here.pass_seconds(5.0)
    assert here.state() == "stale"
    assert "no space left" in here.board.sources()["one"][1].reasons[0]
    disk.refusing = False
    here.feed(script, market(6.0))
    assert [frame["seq"] for frame in measures(here.frames)] == [1]
    assert here.state() == "ok"


def test_a_snapshot_that_cannot_be_measured_does_not_stop_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script()
    here = bench(script)
    here.feed(script, market(0.0))
    with monkeypatch.context() as patched:
        patched.setattr("tailwag.experiments.measure.measure", lambda *_: (_ for _ in ()).throw(ZeroDivisionError("division by zero")))
        here.feed(script, market(1.0))
    here.feed(script, market(2.0))
    assert [frame["seq"] for frame in measures(here.frames)] == [1, 3]
    assert '"reason": "internal error (ZeroDivisionError)"' in here.log.getvalue()


def test_a_reply_masked_whole_is_recorded_and_stale_at_once_and_never_published() -> None:
    script = Script()
    here = bench(script)
    sound, hidden = market(0.0), market(1.0)
    empty = np.zeros(len(hidden.chain))
    codes = hidden.chain.codes | int(RowCode.IV_NONPOSITIVE)
    hidden = hidden.with_parts(
        chain=hidden.chain.with_columns(iv=empty, mark_quoted=empty, bid_quoted=empty, ask_quoted=empty, codes=codes)
    )
    here.feed(script, sound)
    assert here.state() == "ok"
    here.feed(script, hidden)
    here.monitor.watch()
    assert here.state() == "stale"
    here.pass_seconds(1.0)
    assert here.state() == "stale"
    assert [frame["seq"] for frame in measures(here.frames)] == [1]
    assert len(here.keeper.kept) == 2
    reasons = [frame["reasons"] for kind, _, frame in here.frames if kind == "heartbeat" and frame["source_state"] == "stale"]
    assert "held no usable option" in reasons[-1][0]
    assert "iv_nonpositive 100%" in reasons[-1][0]
    script.items.append(market(2.0))
    here.monitor.turn("one")
    here.monitor.watch()
    assert here.state() == "stale", "only a snapshot that was measured clears it"
    here.monitor.measure_one()
    assert here.state() == "ok"


def test_observers_raise_alerts_and_a_broken_one_stops_nobody() -> None:
    def watcher(publication, health):
        return [{"at": "2026-09-15T14:30:00Z", "key": f"gain-{publication.seq}", "severity": "info", "sentence": f"state {health.state}"}]

    def broken(publication, health):
        raise KeyError("oops")

    script = Script()
    here = bench(script, observers=(broken, watcher))
    here.feed(script, market(0.0))
    here.pass_seconds(5.0)
    told = [frame for kind, _, frame in here.frames if kind == "alert"]
    assert [(frame["key"], frame["sentence"]) for frame in told] == [("gain-1", "state ok"), ("gain-1", "state stale")]
    assert [alert["key"] for alert in here.board.alerts()] == ["gain-1", "gain-1"]
    assert told[0]["seq"] == 1


def test_nothing_new_is_no_snapshot_and_no_failure() -> None:
    script = Script(items=[market(0.0), None, None])
    here = bench(script)
    for _ in range(3):
        assert here.monitor.turn("one") == 1.0
    assert len(here.keeper.kept) == 1
    assert "source failed" not in here.log.getvalue()


def test_queues_stay_bounded_whatever_the_order() -> None:
    chance = random.Random(5)
    scripts = [Script(f"s{rank}") for rank in range(4)]
    here = bench(*scripts)
    ready = market(0.0)
    for step in range(400):
        script = chance.choice(scripts)
        script.items.append(chance.choice([ready, None, VenueError("down"), StoreError("full")]))
        here.monitor.turn(script.name)
        assert len(here.monitor._waiting) <= len(scripts)
        if step % 50 == 0:
            here.monitor.measure_one()


def test_heartbeats_go_out_every_five_seconds_with_the_state() -> None:
    script = Script()
    here = bench(script)
    here.feed(script, market(0.0))
    here.frames.clear()
    for second in range(1, 21):
        here.pass_seconds(1.0)
        here.feed(script, market(float(second)))
    beats = [frame for kind, _, frame in here.frames if kind == "heartbeat"]
    assert len(beats) == 4
    assert all(beat["source_state"] == "ok" and beat["max_age_s"] == 4.0 and beat["age_s"] <= 1.0 for beat in beats)


def test_threads_run_and_stop() -> None:
    import threading
    import time

    from tailwag.service.monitor import World

    here = bench(Script("unused"))
    stopping = threading.Event()
    seconds = iter(range(10_000))
    plan = SourcePlan("quick", lambda: Feed("quick", iter(lambda: market(float(next(seconds))), None), None), every_seconds=0.01)
    from tailwag.service.monitor import Monitor

    monitor = Monitor(
        [plan],
        keeper=Memory(),
        options=OPTIONS,
        board=here.board,
        world=World(time.time_ns, time.monotonic, stopping.wait),
        log=here.monitor._log,
        metrics=here.metrics,
    )
    monitor.start()
    deadline = time.monotonic() + 60.0
    while len(measures(here.frames)) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    stopping.set()
    monitor.stop()
    seqs = [frame["seq"] for frame in measures(here.frames)]
    assert len(seqs) >= 4
    assert seqs == sorted(set(seqs))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("tailwag ")]


def test_the_log_is_json_and_holds_no_secret() -> None:
    import io

    from tailwag.service.log import make_log

    stream = io.StringIO()
    log = make_log(stream=stream, secrets=lambda: ("canary-4711-canary",))
    log.info(
        "asked",
        reason="used canary-4711-canary at https://user:hunter2@host/ with token=abcdef123 and Bearer zyxwv",
        token="abc",
        nested={"api_key": "k", "says": ["Authorization: Bearer qqqqq"]},
    )
    line = json.loads(stream.getvalue())
    text = stream.getvalue()
    assert all(secret not in text for secret in ("canary-4711", "hunter2", "abcdef123", "zyxwv", "qqqqq", '"abc"', '"k"'))
    assert line["event"] == "asked"
