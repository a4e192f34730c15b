"""The desk: what is decided is on disk before anything follows, nothing is lost over a restart, nothing known to be sent is sent again."""

from __future__ import annotations

import errno
import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tests.service.alerts_world import SECOND_NS, Bin, at_ns, measured, only, told

from tailwag.errors import StoreBusyError
from tailwag.service.alerts import AlertDesk, AlertSettings, Channel
from tailwag.service.alerts.delivery import Message, Outcome
from tailwag.service.alerts.settings import DeliverySettings
from tailwag.sources.store.disk import SystemDisk

DESK = Channel("desk", url="json://127.0.0.1/desk")
MAIL = Channel("mail", url="json://127.0.0.1/mail")


def settings(*channels: Channel, **delivery: object) -> AlertSettings:
    base = only("gain")
    rules = {name: replace(rule, cool_down_ns=0) for name, rule in base.rules.items()}
    return replace(base, rules=rules, channels=channels or (DESK,), delivery=replace(DeliverySettings(), **delivery))  # type: ignore[arg-type]


def ring(desk: AlertDesk, step: int) -> list[tuple[str, str]]:
    """Even steps raise, odd ones clear: each step is one alert."""
    return told(desk.observe({"BTC": measured(step, gain=0.6 if step % 2 == 0 else 0.1)}, at_ns=at_ns(step)))


def drain(desk: AlertDesk, channel: Channel = DESK, *, minutes: float = 100.0, most: int = 500) -> float:
    """Deliver with a clock that jumps to whenever the desk wants to be called again."""
    now_ns = at_ns(minutes)
    for _ in range(most):
        due_ns = desk.deliver(channel, at_ns=now_ns)
        if due_ns is None:
            return (now_ns - at_ns(minutes)) / SECOND_NS
        now_ns = max(now_ns, due_ns)
    raise AssertionError("the queue never drained")


def test_alerts_arrive_in_order_once_over_any_number_of_restarts(tmp_path: Path) -> None:
    sent = Bin()
    for step in range(6):
        with AlertDesk(tmp_path, settings(), send=sent) as desk:
            assert len(ring(desk, step)) == 1
            if step % 3 == 2:
                drain(desk)
    assert [message.title.split(" (")[0] for message in sent.taken] == ["tailwag BTC: gain", "tailwag BTC: over: gain"] * 3
    assert len(set(sent.keys)) == 6
    with AlertDesk(tmp_path, settings(), send=sent) as desk:
        assert desk.deliver(DESK, at_ns=at_ns(500)) is None
        assert [item["deliveries"]["desk"]["status"] for item in desk.history()] == ["sent"] * 6


def test_what_was_raised_before_a_restart_is_not_raised_again(tmp_path: Path) -> None:
    with AlertDesk(tmp_path, settings(), send=Bin()) as desk:
        assert ring(desk, 0) == [("BTC/gain", "raised")]
    with AlertDesk(tmp_path, settings(), send=Bin()) as desk:
        assert told(desk.observe({"BTC": measured(1, gain=0.7)}, at_ns=at_ns(1))) == []
        assert ring(desk, 3) == [("BTC/gain", "cleared")]


class Crash(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("arrived", [True, False])
def test_a_crash_between_sending_and_recording_is_resolved_by_the_key(tmp_path: Path, arrived: bool) -> None:
    taken: list[str] = []

    def crash(message: Message, address: str, timeout_seconds: float) -> Outcome:
        if arrived:
            taken.append(message.key)
        raise Crash

    desk = AlertDesk(tmp_path, settings(), send=crash)
    ring(desk, 0)
    with pytest.raises(Crash):
        desk.deliver(DESK, at_ns=at_ns(1))
    desk.close()
    again = Bin()
    with AlertDesk(tmp_path, settings(), send=again) as desk:
        drain(desk)
    assert len(again.keys) == 1
    assert set(taken) <= set(again.keys)  # the receiver can tell that it is the same alert


def test_nothing_is_sent_before_the_journal_says_that_it_will_be(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    def look(message: Message, address: str, timeout_seconds: float) -> Outcome:
        lines = [json.loads(line) for line in (tmp_path / "alerts.journal").read_bytes().splitlines()]
        seen.append([line["kind"] for line in lines])
        return Outcome(True)

    with AlertDesk(tmp_path, settings(), send=look) as desk:
        ring(desk, 0)
        drain(desk)
    assert seen == [["decided", "sending"]]
    kinds = [json.loads(line)["kind"] for line in (tmp_path / "alerts.journal").read_bytes().splitlines()]
    assert kinds == ["decided", "sending", "sent"]


class WatchedDisk(SystemDisk):
    """Notes writes and syncs; refuses the n-th call of a kind on demand."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.refuse: set[int] = set()
        self.broken = ""

    def write_at(self, descriptor: int, data: bytes, offset: int) -> None:
        self._count("write")
        super().write_at(descriptor, data, offset)

    def sync(self, descriptor: int) -> None:
        self._count("sync")
        super().sync(descriptor)

    def _count(self, kind: str) -> None:
        self.calls.append(kind)
        if self.broken == kind:
            raise OSError(errno.ENOSPC, "No space left on device")


def test_every_line_is_synced_before_anything_follows(tmp_path: Path) -> None:
    disk, marks = WatchedDisk(), []

    def send(message: Message, address: str, timeout_seconds: float) -> Outcome:
        marks.append(list(disk.calls))
        return Outcome(True)

    with AlertDesk(tmp_path, settings(), send=send, disk=disk) as desk:
        ring(desk, 0)
        assert disk.calls == ["write", "sync"]
        drain(desk)
    assert marks == [["write", "sync"] * 2]
    assert disk.calls == ["write", "sync"] * 3


def journalled(folder: Path) -> dict[str, str]:
    """Rule and phase of each alert in a copy of the journal, read by a desk of its own, and how far it has come."""
    copy = folder.parent / f"copy-{folder.name}"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    with AlertDesk(copy, settings(), send=Bin()) as desk:
        return {f"{item['rule']} {item['phase']}": item["deliveries"]["desk"]["status"] for item in desk.history()}


@pytest.mark.parametrize("kind", ["write", "sync"])
def test_on_a_full_disk_alerts_go_out_once_say_so_and_are_written_down_when_there_is_room(tmp_path: Path, kind: str) -> None:
    disk, sent, said = WatchedDisk(), Bin(), list[str]()
    folder = tmp_path / "alerts"
    with AlertDesk(folder, settings(), send=sent, disk=disk, say=said.append) as desk:
        disk.broken = kind
        assert ring(desk, 0) == [("BTC/gain", "raised")]
        drain(desk)
        assert len(sent.keys) == 1
        assert "could not be written down: it may come again after a restart" in sent.taken[0].body
        for step in (0, 2, 4):  # the same state of the market, and more turns of the courier
            assert ring(desk, step) == []
            drain(desk)
        assert ring(desk, 5) == [("BTC/gain", "cleared")]
        drain(desk)
        assert len(sent.keys) == 2
        assert len([text for text in said if "No space left" in text]) == 1, "said once, not at each try"
        disk.broken = ""
        assert desk.deliver(DESK, at_ns=at_ns(9)) is None
        assert journalled(folder) == {"gain raised": "sent", "gain cleared": "sent"}
        assert ring(desk, 6) == [("BTC/gain", "raised")]
        drain(desk)
        assert "could not be written down" not in sent.taken[-1].body
    with AlertDesk(folder, settings(), send=sent) as desk:
        assert desk.deliver(DESK, at_ns=at_ns(19)) is None
        assert len(desk.history()) == 3
    assert len(sent.keys) == len(set(sent.keys)) == 3


def test_what_was_written_down_before_the_disk_filled_goes_out_too(tmp_path: Path) -> None:
    disk, sent = WatchedDisk(), Bin()
    with AlertDesk(tmp_path, settings(), send=sent, disk=disk) as desk:
        ring(desk, 0)
        disk.broken = "write"
        drain(desk)
        assert [message.key for message in sent.taken] == [desk.history()[0]["id"]]
        assert "could not be written down" in sent.taken[0].body
    again = Bin()
    with AlertDesk(tmp_path, settings(), send=again) as desk:  # the disk refused to the last: this run knows nothing of the sending
        drain(desk)
    assert again.keys == sent.keys, "a second sending has the same id"


def test_a_refusal_of_the_other_side_on_a_full_disk_is_tried_again_under_the_same_id(tmp_path: Path) -> None:
    disk, sent = WatchedDisk(), Bin(refuse=2)
    with AlertDesk(tmp_path, settings(), send=sent, disk=disk) as desk:
        disk.broken = "sync"
        ring(desk, 0)
        drain(desk)
        drain(desk)
    assert len(sent.tried) == 3
    assert len({message.key for message in sent.tried}) == len(sent.keys) == 1


def test_a_long_outage_of_the_disk_fills_no_memory(tmp_path: Path) -> None:
    disk, sent = WatchedDisk(), Bin()
    with AlertDesk(tmp_path, settings(history=5, queue_limit=8), send=sent, disk=disk) as desk:
        disk.broken = "write"
        for step in range(60):
            ring(desk, step)
            drain(desk)
        assert len(desk.history(most=1000)) <= 7
    assert len(sent.keys) == len(set(sent.keys)) == 60


def test_no_half_journal_is_left_to_hold_the_last_room(tmp_path: Path) -> None:
    disk = WatchedDisk()
    with AlertDesk(tmp_path, settings(), send=Bin(), disk=disk) as desk:
        disk.broken = "sync"
        ring(desk, 0)
        drain(desk)
        assert {path.name for path in tmp_path.iterdir()} <= {"lock", "alerts.journal"}


@pytest.mark.parametrize("lines_before", [0, 1])
def test_from_a_removed_folder_alerts_go_out_and_are_written_down_when_it_is_back(tmp_path: Path, lines_before: int) -> None:
    folder, sent = tmp_path / "alerts", Bin()
    with AlertDesk(folder, settings(), send=sent) as desk:
        for step in range(lines_before):
            ring(desk, step)
            drain(desk)
        folder.rename(tmp_path / "away")
        ring(desk, lines_before)
        drain(desk)
        assert len(sent.keys) == lines_before + 1
        assert "could not be written down" in sent.taken[-1].body
        assert not folder.exists(), "a folder that is gone is not made anew: it may be a disk that is not there"
        (tmp_path / "away").rename(folder)
        drain(desk)
        assert len(journalled(folder)) == lines_before + 1
    with AlertDesk(folder, settings(), send=sent) as desk:
        assert desk.deliver(DESK, at_ns=at_ns(9)) is None
    assert len(sent.keys) == lines_before + 1


def test_a_journal_that_was_taken_away_alone_is_written_anew(tmp_path: Path) -> None:
    sent = Bin()
    with AlertDesk(tmp_path, settings(), send=sent) as desk:
        ring(desk, 0)
        drain(desk)
        (tmp_path / "alerts.journal").unlink()
        ring(desk, 1)
        drain(desk)
    with AlertDesk(tmp_path, settings(), send=sent) as desk:
        assert desk.deliver(DESK, at_ns=at_ns(9)) is None
        assert len(desk.history()) == 2
    assert len(sent.keys) == 2


def test_a_folder_that_another_desk_has_made_anew_is_left_to_it(tmp_path: Path) -> None:
    folder, sent = tmp_path / "alerts", Bin()
    with AlertDesk(folder, settings(), send=sent) as desk:
        ring(desk, 0)
        drain(desk)
        shutil.rmtree(folder)
        with AlertDesk(folder, settings(), send=Bin()) as other:
            ring(other, 0)
            before = (folder / "alerts.journal").read_bytes()
            ring(desk, 1)
            drain(desk)
            assert (folder / "alerts.journal").read_bytes() == before
    assert len(sent.keys) == 2


def test_a_success_that_the_disk_refuses_to_record_is_not_sent_again_by_this_process(tmp_path: Path) -> None:
    disk = WatchedDisk()
    sent: list[str] = []

    def send(message: Message, address: str, timeout_seconds: float) -> Outcome:
        sent.append(message.key)
        disk.broken = "write"
        return Outcome(True)

    with AlertDesk(tmp_path, settings(), send=send, disk=disk) as desk:
        ring(desk, 0)
        desk.deliver(DESK, at_ns=at_ns(0))
        assert desk.deliver(DESK, at_ns=at_ns(1)) is None
        disk.broken = ""
        assert desk.deliver(DESK, at_ns=at_ns(2)) is None
    with AlertDesk(tmp_path, settings(), send=Bin()) as desk:
        assert desk.deliver(DESK, at_ns=at_ns(9)) is None
    assert len(sent) == 1


def test_failures_are_tried_again_with_growing_waits(tmp_path: Path) -> None:
    sent = Bin(refuse=4)
    with AlertDesk(tmp_path, settings(), send=sent) as desk:
        ring(desk, 0)
        waited = drain(desk)
    assert len(sent.tried) == 5
    assert {message.key for message in sent.tried} == set(sent.keys)
    assert 1 + 2 + 4 + 8 <= waited <= 2 + 4 + 8 + 16


def test_waits_go_on_over_a_restart_and_a_clock_set_back_does_not_prolong_them(tmp_path: Path) -> None:
    sent = Bin(refuse=1)
    with AlertDesk(tmp_path, settings(), send=sent) as desk:
        ring(desk, 0)
        due_ns = desk.deliver(DESK, at_ns=at_ns(10))
    with AlertDesk(tmp_path, settings(longest_backoff_seconds=5.0), send=sent) as desk:
        assert desk.deliver(DESK, at_ns=at_ns(10)) == due_ns
        assert len(sent.tried) == 1
        assert desk.deliver(DESK, at_ns=at_ns(0)) == at_ns(0) + 5 * SECOND_NS


def test_what_cannot_be_delivered_is_given_up_and_told_elsewhere(tmp_path: Path) -> None:
    ways: dict[str, Bin] = {"desk": Bin(refuse=3), "mail": Bin()}

    def send(message: Message, address: str, timeout_seconds: float) -> Outcome:
        return ways[address.rsplit("/", 1)[-1]](message, address, timeout_seconds)

    with AlertDesk(tmp_path, settings(DESK, MAIL, attempts=3), send=send) as desk:
        ring(desk, 0)
        drain(desk, DESK)
        drain(desk, MAIL)
        assert len(ways["desk"].tried) == 3
        assert [message.body.split("\n")[0] for message in ways["mail"].taken][1:] == [
            "Channel desk loses alerts: 3 attempts failed, the other side answered 500. They are in the history."
        ]
        dead = next(item for item in desk.history() if item["rule"] == "gain")
        assert dead["deliveries"]["desk"]["status"] == "dead"
        assert dead["deliveries"]["mail"]["status"] == "sent"
        ring(desk, 1)
        drain(desk, DESK)
        drain(desk, MAIL)
    assert len(ways["desk"].taken) == 1  # the later one arrives
    assert "Channel desk delivers again." in ways["mail"].taken[-1].body


def test_a_dead_letter_without_another_channel_is_said_and_kept(tmp_path: Path) -> None:
    said: list[str] = []
    with AlertDesk(tmp_path, settings(attempts=2), send=Bin(refuse=99), say=said.append) as desk:
        ring(desk, 0)
        drain(desk)
        assert [item["rule"] for item in desk.history()] == ["channel", "gain"]
        ring(desk, 1)
        drain(desk)
        assert [item["rule"] for item in desk.history()] == ["gain", "channel", "gain"]  # told once
    assert sum("loses alerts" in text for text in said) == 2


def test_a_crash_loop_does_not_try_for_ever(tmp_path: Path) -> None:
    tries = []

    def crash(message: Message, address: str, timeout_seconds: float) -> Outcome:
        tries.append(message.key)
        raise Crash

    for run in range(6):
        desk = AlertDesk(tmp_path, settings(attempts=3), send=crash)
        if run == 0:
            ring(desk, 0)
        try:
            desk.deliver(DESK, at_ns=at_ns(run))
        except Crash:
            pass
        finally:
            desk.close()
    assert len(tries) == 3


def test_the_queue_is_bounded_and_gives_up_the_least_severe_on_the_record(tmp_path: Path) -> None:
    said: list[str] = []
    with AlertDesk(tmp_path, settings(queue_limit=8), send=Bin(refuse=10_000), say=said.append) as desk:
        for step in range(40):
            ring(desk, step)
            assert desk.waiting("desk") <= 8
        waiting = [item for item in desk.history() if item["deliveries"].get("desk", {}).get("status") == "waiting"]
        assert {item["severity"] for item in waiting} == {"warning"}  # the 'over' ones went first
        assert any("queue of 8 was full" in text for text in said)


def test_channels_take_only_what_is_severe_enough_for_them(tmp_path: Path) -> None:
    sent = Bin()
    with AlertDesk(tmp_path, settings(replace(DESK, least_severity="warning")), send=sent) as desk:
        ring(desk, 0)
        ring(desk, 1)
        drain(desk)
    assert [message.severity for message in sent.taken] == ["warning"]


def test_a_channel_that_is_gone_from_the_settings_is_given_up(tmp_path: Path) -> None:
    with AlertDesk(tmp_path, settings(DESK, MAIL), send=Bin()) as desk:
        ring(desk, 0)
    with AlertDesk(tmp_path, settings(DESK), send=Bin()) as desk:
        desk.begin(at_ns=at_ns(1))
        assert desk.history()[0]["deliveries"]["mail"]["reason"] == "the settings name no such channel"
        assert desk.waiting("desk") == 1


def test_one_folder_has_one_desk(tmp_path: Path) -> None:
    with AlertDesk(tmp_path, settings()), pytest.raises(StoreBusyError, match="sends alerts from this folder"):
        AlertDesk(tmp_path, settings())


# damage


def journal_of(folder: Path, steps: int) -> list[bytes]:
    with AlertDesk(folder, settings(), send=Bin()) as desk:
        for step in range(steps):
            ring(desk, step)
            drain(desk)
    return (folder / "alerts.journal").read_bytes().splitlines(keepends=True)


def test_a_torn_last_line_is_cut_off_at_every_byte(tmp_path: Path) -> None:
    lines = journal_of(tmp_path / "whole", 2)
    whole, last = b"".join(lines[:-1]), lines[-1]
    for cut in (*range(0, len(last), 17), len(last) - 1):
        folder = tmp_path / f"cut-{cut}"
        folder.mkdir()
        (folder / "alerts.journal").write_bytes(whole + last[:cut])
        sent = Bin()
        with AlertDesk(folder, settings(), send=sent) as desk:
            drain(desk)
            assert len(desk.history()) == 2
            assert len(sent.keys) == 1  # whether it had arrived was not on the device: same id again
        with AlertDesk(folder, settings(), send=Bin()) as desk:
            assert desk.deliver(DESK, at_ns=at_ns(900)) is None


def test_damage_in_the_middle_is_told_and_the_damaged_file_is_kept(tmp_path: Path) -> None:
    lines = journal_of(tmp_path / "whole", 3)
    draw = random.Random(5)
    for turn in range(20):
        folder = tmp_path / f"turn-{turn}"
        folder.mkdir()
        broken = bytearray(b"".join(lines))
        end = len(broken) - len(lines[-1]) - len(lines[-2])
        broken[draw.randrange(end)] ^= 1 << draw.randrange(8)
        (folder / "alerts.journal").write_bytes(broken)
        sent = Bin()
        with AlertDesk(folder, settings(), send=sent) as desk:
            desk.begin(at_ns=at_ns(800))
            drain(desk, minutes=801)
            assert any(item["rule"] == "journal" for item in desk.history())
        assert (folder / "alerts.journal.damaged-1").read_bytes() == bytes(broken)
        assert any("journal was damaged" in message.body for message in sent.taken)
        with AlertDesk(folder, settings(), send=Bin()) as desk:
            desk.begin(at_ns=at_ns(900))
            assert desk.deliver(DESK, at_ns=at_ns(900)) is None


def test_a_large_journal_is_written_anew_and_forgets_nothing_that_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailwag.service.alerts.journal.REWRITE_BYTES", 10_000)
    sent = Bin()
    sizes = []
    with AlertDesk(tmp_path, settings(history=10), send=sent) as desk:
        for step in range(60):
            ring(desk, step)
            if step % 10 == 0:
                drain(desk)
            sizes.append((tmp_path / "alerts.journal").stat().st_size)
        drain(desk)
        assert len(desk.history(most=1000)) < 40
    assert max(sizes) < 60_000
    assert len(sent.keys) == len(set(sent.keys)) == 60
    with AlertDesk(tmp_path, settings(), send=Bin()) as desk:
        assert desk.deliver(DESK, at_ns=at_ns(900)) is None
        assert ring(desk, 60) == [("BTC/gain", "raised")]
