"""Fault scripts: read strictly, seeded, each fault seen in what comes out; and the clock that follows the data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tailwag.errors import InputError, VenueError
from tailwag.market.codes import RowCode
from tailwag.market.snapshot import Snapshot
from tailwag.sources.demo_moving import moving_demo
from tailwag.sources.fault_script import ANSWERS, GARBLES, KINDS, FaultScript, fault_script_from
from tailwag.sources.faulty_feed import FaultyFeed, MarketClock
from tailwag.sources.opening import RawFile

START_NS = 1_789_482_600_000_000_000
SECOND_NS = 1_000_000_000


def script(text: str) -> FaultScript:
    return fault_script_from(RawFile("outage.toml", text.encode(), ""))


def fault(**keys: object) -> str:
    return "[[fault]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())


def minute(rank: int) -> Snapshot:
    snapshot = moving_demo(START_NS + 60 * rank * SECOND_NS)
    rows = np.isin(snapshot.chain.expiry_ns, np.unique(snapshot.chain.expiry_ns)[1:4])
    return snapshot.with_parts(chain=snapshot.chain.select(np.flatnonzero(rows)), books=snapshot.books[:1], trades=None)


MINUTES = [minute(rank) for rank in range(10)]


def played(text: str, *, snapshots: list[Snapshot] = MINUTES) -> list[tuple[float, object]]:
    """(virtual minute of the clock, minute of the snapshot or None or the error) of each turn."""
    clock = MarketClock()
    feed = FaultyFeed(iter(snapshots), script(text), clock=clock)
    found: list[tuple[float, object]] = []
    while True:
        try:
            one: object = next(feed)
        except StopIteration:
            return found
        except VenueError as trouble:
            one = trouble
        at = (clock() - START_NS) / SECOND_NS / 60.0
        found.append((at, (one.as_of_ns - START_NS) / SECOND_NS / 60.0 if isinstance(one, Snapshot) else one))


def only(text: str, rank: int = 5) -> Snapshot:
    found = next(FaultyFeed(iter([MINUTES[rank]]), script(text)))
    assert isinstance(found, Snapshot)
    return found


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "[[fault]]"),
        ("sed = 1\n" + fault(kind="drop"), "'sed'"),
        ("seed = 1.5\n" + fault(kind="drop"), "1.5"),
        ("seed = true\n" + fault(kind="drop"), "True"),
        (fault(kind="dorp"), "'dorp'"),
        (fault(kind="drop", seconds=3), "'seconds'"),
        (fault(kind="drop", chance=1.5), "1.5"),
        (fault(kind="drop", chance=True), "True"),
        (fault(kind="delay"), "seconds is missing"),
        (fault(kind="delay", seconds=0), "got 0"),
        (fault(kind="delay", seconds="9"), "'9'"),
        (fault(kind="skew-clock", seconds=1e9), "1000000000.0"),
        (fault(kind="fail", answer="504"), "'504'"),
        (fault(kind="fail"), "answer expects"),
        (fault(kind="garble", what="iv"), "'iv'"),
        (fault(kind="lose-rows", share=0), "got 0"),
        (fault(kind="drop", **{"from": "2026-02-05T10:00:00"}), "no offset"),
        (fault(kind="drop", **{"from": "2026-02-05T10:00:00Z", "to": "2026-02-05T09:00:00Z"}), "after from"),
        (fault(kind="drop", **{"from": "2026-02-05T10:00:00Z", "from_seconds": 3}), "got both"),
        ("[[fault]\n", "no TOML"),
        ("fault = 3", "[[fault]]"),
        ("[[fault]]\nkind = 'drop'\nchance = nan\n", "nan"),
    ],
)
def test_a_script_with_a_mistake_is_refused_in_one_sentence(text: str, named: str) -> None:
    with pytest.raises(InputError) as refused:
        script(text)
    sentence = str(refused.value)
    assert named in sentence
    assert sentence.startswith("outage.toml")
    assert "\n" not in sentence


def test_without_faults_a_replay_is_what_it_was_on_its_own_clock() -> None:
    clock = MarketClock()
    feed = FaultyFeed(iter(MINUTES), clock=clock)
    for snapshot in MINUTES:
        assert next(feed) is snapshot
        assert clock() == snapshot.as_of_ns


def test_dropped_snapshots_bring_nothing_and_the_window_is_half_open() -> None:
    found = played(fault(kind="drop", from_seconds=120, for_seconds=180))
    assert [one for _, one in found] == [0, 1, None, None, None, 5, 6, 7, 8, 9]
    assert [at for at, _ in found] == list(range(10))


def test_a_window_may_be_stated_in_utc() -> None:
    text = fault(kind="drop", **{"from": "2026-09-15T14:32:00Z", "to": "2026-09-15T14:33:00Z"})
    assert [one for _, one in played(text)][2] is None
    assert [one for _, one in played(text)].count(None) == 1


def test_a_delayed_snapshot_comes_late_behind_those_that_overtook_it() -> None:
    found = played(fault(kind="delay", seconds=150, from_seconds=120, for_seconds=60))
    assert found == [(0, 0), (1, 1), (2, None), (3, 3), (4, 4), (4.5, 2), (5, 5), (6, 6), (7, 7), (8, 8), (9, 9)]


def test_what_is_still_under_way_at_the_end_arrives() -> None:
    assert played(fault(kind="delay", seconds=600, from_seconds=540))[-1] == (19, 9)
    assert played(fault(kind="reorder", from_seconds=540))[-1][1] == 9


def test_reordered_and_duplicated_snapshots() -> None:
    assert [one for _, one in played(fault(kind="reorder", from_seconds=120, for_seconds=60))][:6] == [0, 1, None, 3, 2, 4]
    assert [one for _, one in played(fault(kind="duplicate", times=2, from_seconds=540))] == [*range(10), 9, 9]


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_failing_turn_is_told_as_the_venue_client_tells_it_and_its_wait_is_kept(answer: str) -> None:
    found = played(fault(kind="fail", answer=answer, retry_after_seconds=120, from_seconds=120, for_seconds=60))
    assert isinstance(found[2][1], VenueError)
    assert "wish to wait 120 s" in str(found[2][1])
    assert [one for _, one in found][3:6] == [None, 4, 5]


def test_a_timeout_costs_time() -> None:
    assert played(fault(kind="fail", answer="timeout", from_seconds=540))[-1][0] == pytest.approx(9 + 10 / 60)


def test_a_frozen_venue_repeats_its_numbers_under_new_times() -> None:
    feed = FaultyFeed(iter(MINUTES), script(fault(kind="freeze", from_seconds=120, for_seconds=180)))
    found = [next(feed) for _ in range(10)]
    assert [one.as_of_ns for one in found] == [one.as_of_ns for one in MINUTES]
    for rank in (3, 4):
        assert found[rank].spot_usd == MINUTES[2].spot_usd
        assert np.array_equal(found[rank].chain.mark_quoted, MINUTES[2].chain.mark_quoted, equal_nan=True)
        assert found[rank].chain.as_of_ns == MINUTES[rank].as_of_ns
    assert found[5].spot_usd == MINUTES[5].spot_usd


def test_lost_rows_and_expiries_are_gone_and_nothing_else() -> None:
    whole = MINUTES[5].chain
    rest = only(fault(kind="lose-expiries", expiries=2)).chain
    nearest = sorted(set(whole.expiry_ns.tolist()))[:2]
    assert set(rest.expiry_ns.tolist()) == set(whole.expiry_ns.tolist()) - set(nearest)
    some = only(fault(kind="lose-rows", share=0.3)).chain
    assert 0.5 * len(whole) < len(some) < 0.9 * len(whole)
    assert set(some.instrument.tolist()) < set(whole.instrument.tolist())


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("iv-negative", RowCode.IV_NONPOSITIVE),
        ("iv-missing", RowCode.IV_MISSING),
        ("quotes-crossed", RowCode.CROSSED),
        ("open-interest-missing", RowCode.OI_MISSING),
        ("open-interest-negative", RowCode.OI_NEGATIVE),
    ],
)
def test_garbled_numbers_carry_the_code_that_a_reader_gives_them(what: str, code: RowCode) -> None:
    chain = only(fault(kind="garble", what=what, share=0.2)).chain
    assert 0.03 * len(chain) < chain.has(code).sum() < 0.4 * len(chain)
    assert not MINUTES[5].chain.has(code).any()


@pytest.mark.parametrize("share", [0.1, 1.0])
def test_volatilities_in_per_cent_are_refused_whole_as_from_a_venue(share: float) -> None:
    with pytest.raises(VenueError, match=r"in one unit|in the unit"):
        only(fault(kind="garble", what="iv-percent", share=share))


def test_a_wild_spot_reaches_the_snapshot() -> None:
    assert only(fault(kind="garble", what="spot-times-ten")).spot_usd == pytest.approx(10.0 * MINUTES[5].spot_usd, rel=1e-3)
    none = only(fault(kind="garble", what="spot-zero"))
    assert np.isnan(none.chain.index_usd).all()
    assert any("no index price" in doubt for doubt in none.degraded)


def test_a_wrong_clock_shows_in_what_is_received_and_is_told() -> None:
    clock = MarketClock()
    feed = FaultyFeed(iter(MINUTES), script(fault(kind="skew-clock", seconds=-3600, from_seconds=60, for_seconds=60)), clock=clock)
    received = []
    for _ in range(3):
        snapshot = next(feed)
        received.append((clock() - snapshot.as_of_ns) // SECOND_NS)
    assert received == [0, -3600, 0]
    text = fault(kind="skew-clock", seconds=3600)
    assert "the local clock is 3,600.0 s ahead of" in only(text).degraded[0]


def test_every_rehearsed_snapshot_says_that_it_is_one() -> None:
    feed = FaultyFeed(iter(MINUTES), script(fault(kind="duplicate", chance=0.5) + fault(kind="delay", seconds=90, chance=0.5)))
    found = [one for one in feed if one is not None]
    assert len(found) > 10
    assert all(one.source.synthetic and one.source.name.endswith(" with faults") for one in found)
    assert all(one.notes.count("a rehearsal: replayed with the faults of outage.toml") == 1 for one in found)


def test_chances_are_seeded_and_one_fault_does_not_move_another() -> None:
    many = [MINUTES[0].with_parts(as_of_ns=START_NS + rank * SECOND_NS) for rank in range(400)]
    half = fault(kind="drop", chance=0.5)
    lost = [one is None for _, one in played("seed = 3\n" + half, snapshots=many)]
    assert 150 < sum(lost) < 250
    assert lost == [one is None for _, one in played("seed = 3\n" + half, snapshots=many)]
    assert lost != [one is None for _, one in played("seed = 4\n" + half, snapshots=many)]
    assert lost == [one is None for _, one in played("seed = 3\n" + half + fault(kind="skew-clock", seconds=5), snapshots=many)]


def test_a_fault_may_be_for_one_source() -> None:
    named = [one.with_parts(source=type(one.source)("x", name)) for one, name in zip(MINUTES, ["okx:BTC", "deribit:BTC"] * 5, strict=True)]
    assert [one for _, one in played(fault(kind="drop", source="okx"), snapshots=named)] == [None, 1, None, 3, None, 5, None, 7, None, 9]


def test_the_page_names_every_kind_word_and_key() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs/how-to/replay-with-faults.md").read_text(encoding="utf-8")
    keys = (
        "seed",
        "from",
        "to",
        "from_seconds",
        "for_seconds",
        "chance",
        "source",
        "times",
        "seconds",
        "share",
        "expiries",
        "what",
        "answer",
    )
    for word in (*KINDS, *ANSWERS, *GARBLES, *keys, "retry_after_seconds"):
        assert f"`{word}`" in text, word


def tailwag(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "tailwag", *words], capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
def test_a_day_is_rehearsed_without_waiting(tmp_path: Path) -> None:
    from tailwag.sources.snapshot_file import save
    from tailwag.sources.store.history import History

    (tmp_path / "files").mkdir()
    for snapshot in MINUTES:
        save(snapshot, tmp_path / "files" / f"{snapshot.as_of_ns}.parquet")
    (tmp_path / "outage.toml").write_text(
        fault(kind="fail", answer="503", from_seconds=60, for_seconds=120)
        + fault(kind="delay", seconds=90, from_seconds=300, for_seconds=60)
    )
    done = tailwag(
        "record",
        f"replay:{tmp_path / 'files'}",
        "--store",
        str(tmp_path / "store"),
        "--clock",
        "market",
        "--faults",
        str(tmp_path / "outage.toml"),
    )
    assert done.returncode == 0, done.stderr
    assert "HTTP 503" in done.stderr
    assert "recording again" in done.stderr
    assert "faults: 1 delay, 2 fail" in done.stderr
    history = History.open(tmp_path / "store")
    assert [(one.record.as_of_ns - START_NS) // SECOND_NS // 60 for one in history.entries] == [0, 3, 4, 6, 5, 7, 8, 9]
    late = {
        (one.record.as_of_ns - START_NS) // SECOND_NS: (one.record.received_ns - one.record.as_of_ns) // SECOND_NS
        for one in history.entries
    }
    assert late.pop(300) == 90
    assert set(late.values()) == {0}


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["demo", "--clock", "market"], "--clock market needs one source"),
        (["demo", "--faults", "x.toml"], "--faults needs one source"),
        (["replay:a", "replay:b", "--clock", "market"], "needs one source"),
        (["replay:a", "--clock", "moon"], "wall or market"),
        (["replay:a", "--clock", "market", "--every", "2"], "leave --every out"),
    ],
)
def test_the_command_refuses_what_has_no_times_of_its_own(
    words: list[str], named: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from tailwag.cli import main

    with pytest.raises(SystemExit) as ended:
        main(["record", *words, "--store", str(tmp_path / "store")])
    assert ended.value.code == 2
    assert named in capsys.readouterr().err
