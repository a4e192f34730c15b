"""The desk behind a real monitor: what the monitor calls stale is stale for the rules, sources of one coin are kept apart."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.service.alerts_world import Bin, at_ns, measured, only, told
from tests.service.live_service import Memory, Script, VirtualTime, bench, market

from tailwag.service.alerts import AlertDesk, AlertObserver, AlertState, Channel, Courier, evaluate
from tailwag.service.staleness import Health, SourceState
from tailwag.sources.store.disk import SystemDisk


def published(source: str, document: dict[str, Any]) -> Any:
    return SimpleNamespace(source=source, document=document)


def test_the_observer_returns_what_the_desk_decided(tmp_path: Path) -> None:
    now = [0.0]
    fine = Health(SourceState.OK, 0.0, 10.0)
    silent = Health(SourceState.STALE, 12.0, 10.0, ("no snapshot for 12 s",))
    with AlertDesk(tmp_path, only("stale", "gain"), send=Bin()) as desk:
        observer = AlertObserver(desk, Courier(desk, clock=lambda: at_ns(now[0])), clock=lambda: at_ns(now[0]))
        assert observer(published("deribit:BTC", measured(0)), fine) == []
        now[0] = 0.2
        (alert,) = observer(published("deribit:BTC", measured(0, gain=0.9)), silent)
        assert {"id", "at", "key", "severity", "sentence", "phase"} <= set(alert)
        assert alert["key"] == "deribit:BTC/stale"
        assert "Data are stale: no snapshot for 12 s, 12 s old" in alert["sentence"]
        # another source is not held up by it, and a fresh one of the same coin neither
        assert observer(published("okx:BTC", measured(0.1, gain=0.9)), fine)[0]["key"] == "okx:BTC/gain"
        assert [item["key"] for item in observer(published("deribit:BTC", measured(0.2, gain=0.9)), fine)] == [
            "deribit:BTC/stale",
            "deribit:BTC/gain",
        ]


def test_without_the_stale_rule_doubtful_data_still_fire_nothing() -> None:
    documents = {"BTC": measured(0, gain=0.9)}
    assert evaluate(AlertState(), documents, only("gain"), at_ns=at_ns(0), stale={"BTC": "silent"}).alerts == ()
    assert told(evaluate(AlertState(), documents, only("gain"), at_ns=at_ns(0)).alerts) == [("BTC/gain", "raised")]


def stale_desk(folder: Path, *scripts: Script) -> tuple[Any, AlertDesk]:
    """A monitor in virtual time whose publications go to a desk with nothing but the rule about stale data."""
    desk = AlertDesk(folder, only("stale"), send=Bin())
    clock = [lambda: 0]
    observer = AlertObserver(desk, Courier(desk, clock=lambda: clock[0]()), clock=lambda: clock[0]())
    here = bench(*scripts, observers=(observer,))
    clock[0] = here.time.world().clock
    return here, desk


def alerts_of(here: Any) -> list[tuple[str, str]]:
    return [(frame["key"], frame["phase"]) for kind, _, frame in here.frames if kind == "alert"]


def test_a_first_measurement_that_takes_seconds_is_no_alert(tmp_path: Path) -> None:
    script = Script(items=[market(0.0)])
    here, desk = stale_desk(tmp_path, script)
    with desk:
        here.monitor.turn("one")
        here.pass_seconds(6.6)
        here.monitor.measure_one()
        assert here.state() == "stale", "not ok for that"
        here.feed(script, market(7.0))
        assert here.state() == "ok"
        here.pass_seconds(3.0)
        assert alerts_of(here) == []
        here.pass_seconds(3.0)  # it has spoken: from now on its silence is told in seconds
        here.feed(script, market(14.0))
        assert alerts_of(here) == [("one/stale", "raised"), ("one/stale", "cleared")]


def test_a_source_that_never_spoke_is_told_once_its_first_time_is_up(tmp_path: Path) -> None:
    script, slow = Script("mute"), Script("slow", every_seconds=60.0)
    here, desk = stale_desk(tmp_path, script, slow)
    with desk:
        here.pass_seconds(59.0)
        assert alerts_of(here) == []
        here.pass_seconds(2.0)
        assert alerts_of(here) == [("mute/stale", "raised")]
        assert "none have come yet" in here.board.alerts()[0]["sentence"]
        here.pass_seconds(118.0)
        assert alerts_of(here) == [("mute/stale", "raised")]
        here.pass_seconds(3.0)
        assert alerts_of(here) == [("mute/stale", "raised"), ("slow/stale", "raised")]
        here.feed(script, market(182.0))
        assert alerts_of(here)[2:] == [("mute/stale", "cleared")]


def test_a_source_whose_every_measurement_is_too_late_is_told(tmp_path: Path) -> None:
    script = Script()
    here, desk = stale_desk(tmp_path, script)
    with desk:
        for second in range(0, 70, 7):
            script.items.append(market(float(second)))
            here.monitor.turn("one")
            here.pass_seconds(7.0)
            here.monitor.measure_one()
        assert alerts_of(here) == [("one/stale", "raised")]


def test_a_full_disk_is_told_through_the_channel(tmp_path: Path) -> None:
    """The recorder refuses, so nothing is published; the journal refuses too; the alert about it goes out and says so."""

    class Full(SystemDisk):
        full = False

        def write_at(self, descriptor: int, data: bytes, offset: int) -> None:
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")
            super().write_at(descriptor, data, offset)

    disk, sent, keeper, script = Full(), Bin(), Memory(), Script()
    channel = Channel("desk", url="json://127.0.0.1/desk")
    with AlertDesk(tmp_path, replace(only("stale"), channels=(channel,)), send=sent, disk=disk) as desk:
        clock = VirtualTime().world().clock
        here = bench(script, keeper=keeper, observers=(AlertObserver(desk, Courier(desk, clock=clock), clock=clock),))
        here.feed(script, market(0.0))
        disk.full = keeper.refusing = True
        here.feed(script, market(1.0))
        here.pass_seconds(6.0)
        for _ in range(3):
            desk.deliver(channel, at_ns=clock())
        (message,) = sent.taken
        assert "no space left" in message.body
        assert "could not be written down: it may come again after a restart" in message.body
        assert "observer failed" not in here.log.getvalue()
