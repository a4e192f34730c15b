"""A service whose store is taken away, or is compacted under it: a sentence and a return, and the same past as before."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.service.live_service import NOON_NS, OPTIONS, SECOND_NS, live_service, market

from tailwag.errors import StoreError
from tailwag.market.clock import format_time
from tailwag.service.archive import Archive
from tailwag.service.compacting import Compacting
from tailwag.service.monitor import World
from tailwag.sources.store import Recorder, verify_store

SNAPSHOTS, RECORDS = 3, 14


def at(second: float) -> str:
    return format_time(NOON_NS + round(second * SECOND_NS))


def test_a_store_that_is_taken_away_is_said_in_a_sentence_and_found_again(tmp_path: Path) -> None:
    folder, aside = tmp_path / "store", tmp_path / "aside"
    with live_service(folder, first=SNAPSHOTS) as live, httpx.Client(base_url=live.address, verify=False, timeout=20.0) as client:
        paths = ("/api/v1/measure", "/api/v1/whatif")
        folder.rename(aside)
        for path in paths:
            answer = client.get(path, params={"at": at(1.2)})
            assert (answer.status_code, set(answer.json())) == (503, {"error"}), answer.text
            assert str(tmp_path) not in answer.text
        live.feed(market(float(SNAPSHOTS)))  # is not acknowledged: nobody could find it again
        assert client.get("/api/v1/measure/latest").json()["as_of"] == at(SNAPSHOTS - 1)
        for path in ("/api/v1/history?field=gain.value", "/api/v1/sources", "/healthz", "/"):
            assert client.get(path).status_code == 200, path
        aside.rename(folder)
        live.feed(market(SNAPSHOTS + 1.0))
        assert client.get("/api/v1/measure/latest").json()["as_of"] == at(SNAPSHOTS + 1)
        for path in paths:
            answer = client.get(path, params={"at": at(1.2)})
            assert (answer.status_code, answer.json()["as_of"]) == (200, at(1)), answer.text
    assert verify_store(folder).damaged == ()
    assert "Traceback" not in live.log.getvalue()


@pytest.mark.parametrize("again", [False, True])
def test_what_is_written_to_a_store_without_a_name_is_not_acknowledged(tmp_path: Path, again: bool) -> None:
    folder = tmp_path / "store"
    with Recorder(folder) as recorder:
        recorder.append_payload(b"first", as_of_ns=1, received_ns=1)
        folder.rename(tmp_path / "aside")
        if again:
            folder.mkdir()
        with pytest.raises(StoreError, match="gone from under its recorder"):
            recorder.append_payload(b"second", as_of_ns=2, received_ns=1)


def test_the_past_is_the_same_while_the_store_is_compacted_beside_the_recording(tmp_path: Path) -> None:
    """Readers with an index of before, and of every moment since, while a thread compacts after nearly each record."""
    world = World(time.time_ns, time.monotonic, lambda _seconds: over.is_set())
    over, wrong, said = threading.Event(), list[Any](), list[str]()

    class Log:
        def info(self, event: str, **_facts: Any) -> None:
            said.append(event)

        warning = info

    with Recorder(tmp_path, segment_bytes=1) as recorder:
        compacting, archive, last = Compacting(recorder, world=world, log=Log()), Archive(tmp_path, OPTIONS), [0]
        recorder.append(market(0.0), received_ns=1)
        old = archive.index(1)

        def read() -> None:
            draw = random.Random(1)
            while not over.is_set():
                number = draw.randint(0, last[0])
                for entry in (archive.index(number + 1).at(NOON_NS + number * SECOND_NS), old.at(NOON_NS)):
                    second = entry.record.seq - 1
                    if archive.snapshot(entry).as_of_ns != NOON_NS + second * SECOND_NS or second not in (number, 0):
                        wrong.append((entry.record.seq, number))

        reader = threading.Thread(target=read)
        compacting.start()
        reader.start()
        for number in range(1, RECORDS):
            recorder.append(market(float(number)), received_ns=1)
            last[0] = number
        deadline = time.monotonic() + 60.0
        while said.count("compacted") < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        over.set()
        reader.join(30.0)
        compacting.finish()
    assert not reader.is_alive()
    assert (wrong, set(said)) == ([], {"compacted"})
    assert len(list(tmp_path.glob("segment-*-*.tws"))) >= 1
    assert verify_store(tmp_path).damaged == ()
    assert [entry.record.as_of_ns for entry in archive.index(RECORDS).entries] == [
        NOON_NS + number * SECOND_NS for number in range(RECORDS)
    ]


def test_a_disk_that_refuses_to_compact_is_told_and_tried_when_more_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory: list[tuple[str, dict[str, Any]]] = []

    class Log:
        def info(self, event: str, **facts: Any) -> None:
            memory.append((event, facts))

        warning = info

    world = World(time.time_ns, time.monotonic, lambda _seconds: True)
    with Recorder(tmp_path, segment_bytes=1) as recorder:
        compacting = Compacting(recorder, world=world, log=Log())
        for number in range(3):
            recorder.append_payload(b"x" * 100, as_of_ns=number, received_ns=1)
        with monkeypatch.context() as broken:

            def full(_self: Recorder) -> None:
                raise StoreError("the disk is full")

            broken.setattr(Recorder, "compact", full)
            assert not compacting.step()
        assert not compacting.step(), "nothing was closed since"
        recorder.append_payload(b"y", as_of_ns=9, received_ns=1)
        assert compacting.step()
    assert [event for event, _ in memory] == ["not compacted", "compacted"]
    assert memory[0][1] == {"reason": "the disk is full"}
