"""Feeds: what a SOURCE word of the recorder gives, in which order and at which pace, with a clock that is only told."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from tests.sources.chain_files import AS_OF, parquet_bytes, rows
from tests.sources.deribit_replies import reply, summaries

from tailwag.errors import FileFormatError, InputError
from tailwag.sources.demo import DEFAULT_AS_OF_NS, demo
from tailwag.sources.feeds import Surroundings, open_feed, replay_moments
from tailwag.sources.snapshot_file import save
from tailwag.units import NS_PER_HOUR, NS_PER_SECOND


@dataclass
class World:
    """Time passes only where somebody sleeps."""

    now_ns: int = DEFAULT_AS_OF_NS
    slept: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_ns += round(seconds * NS_PER_SECOND)

    @property
    def around(self) -> Surroundings:
        return Surroundings(lambda: self.now_ns, self.sleep, self.said.append)


def hourly(folder: Path, hours: list[int]) -> Path:
    folder.mkdir()
    for hour in hours:
        save(demo(seed=hour, as_of_ns=DEFAULT_AS_OF_NS + hour * NS_PER_HOUR), folder / f"{9 - hour}.parquet")
    return folder


def test_a_replay_is_paced_by_the_times_of_its_snapshots(tmp_path: Path) -> None:
    world = World()
    feed = open_feed(f"replay:{hourly(tmp_path / 'files', [0, 3, 1])}", world.around, speed=60.0)
    hours = []
    for snapshot in feed.snapshots:
        assert snapshot is not None
        hours.append((snapshot.as_of_ns - DEFAULT_AS_OF_NS) // NS_PER_HOUR)
        world.now_ns += 7 * NS_PER_SECOND  # recording takes its time, which the next pause makes up for
    assert (hours, world.slept) == ([0, 1, 3], [53.0, 113.0])


def test_a_file_of_many_crawls_is_played_crawl_by_crawl(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    crawls = [row for hour in range(3) for row in rows(at=AS_OF + timedelta(hours=hour), snapshot=f"20260320T{12 + hour}0000Z")]
    (tmp_path / "files" / "chains.parquet").write_bytes(parquet_bytes(crawls))
    moments = replay_moments(str(tmp_path / "files"), World().around)
    assert [moment.as_of_ns - moments[0].as_of_ns for moment in moments] == [0, NS_PER_HOUR, 2 * NS_PER_HOUR]


def test_what_holds_no_chain_is_left_out_and_named_and_damage_stops(tmp_path: Path) -> None:
    folder, world = hourly(tmp_path / "files", [0]), World()
    (folder / "notes.txt").write_text("by hand\n")
    (folder / "reply.json").write_text(json.dumps(reply(summaries())))
    assert len(replay_moments(str(folder), world.around)) == 2
    assert world.said == ["notes.txt left out, it holds no chain"]
    data = (folder / "9.parquet").read_bytes()
    (folder / "9.parquet").write_bytes(data[:60_000] + bytes(9) + data[60_009:])
    with pytest.raises(FileFormatError, match=r"9\.parquet"):
        replay_moments(str(folder), world.around)


def test_a_file_under_every_is_given_when_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "now.parquet"
    save(demo(seed=1), path)
    feed = open_feed(str(path), World().around, again=True)
    given = [next(feed.snapshots) is not None, next(feed.snapshots) is not None]
    save(demo(seed=2), path)
    assert [*given, next(feed.snapshots) is not None] == [True, False, True]


def test_the_demo_is_the_market_of_the_clock() -> None:
    world = World()
    feed = open_feed("demo", world.around)
    first = next(feed.snapshots)
    world.sleep(60.0)
    second = next(feed.snapshots)
    assert first is not None
    assert second is not None
    assert second.as_of_ns - first.as_of_ns == 60 * NS_PER_SECOND
    assert first.spot_usd != second.spot_usd


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found no snapshot with BTC options"):
        open_feed(f"replay:{tmp_path}", World().around)


def test_a_folder_of_links_is_refused_with_what_links_are(tmp_path: Path) -> None:
    hourly(tmp_path / "files", [0])
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "now.parquet").symlink_to(tmp_path / "files" / "9.parquet")
    with pytest.raises(InputError, match="links in it are not followed"):
        open_feed(f"replay:{tmp_path / 'links'}", World().around)
    with pytest.raises(FileFormatError, match="links in it are not followed"):
        open_feed(str(tmp_path / "links"), World().around)


def test_a_word_that_is_none_is_told_all_the_words() -> None:
    with pytest.raises(InputError) as refused:
        open_feed("nonsense:BTC", World().around)
    for word in ("demo", "replay:FOLDER", "deribit,", "deribit-ws", "binance-ws", "deribit:BTC+binance-ws:BTC"):
        assert word in str(refused.value)
