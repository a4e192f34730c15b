"""The series: exact, sealed into files that prove themselves, whole again after a crash, filled in from the store."""

from __future__ import annotations

import gc
import itertools
import math
import random
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from tests.service.live_service import NOON_NS, OPTIONS, SECOND_NS, bench, market

import tailwag as tw
from tailwag.positioning import parse_rule
from tailwag.service.field_thinning import bucket_width_ns, thinned
from tailwag.service.filling import Filler
from tailwag.service.publish import Publication
from tailwag.service.realised import realised_vols
from tailwag.service.series import Point, Series, assumptions_digest, value_at
from tailwag.sources.store.history import History
from tailwag.sources.store.recorder import Recorder

FAR = 1 << 62


@pytest.fixture
def series(tmp_path: Path) -> Iterator[Series]:
    with closing(Series(tmp_path, rows_in_a_file=4)) as made:
        yield made


def published(number: int, *, second: float | None = None, source: str = "one", **fields: object) -> Publication:
    document = {"gain": {"value": number / 3.0, "regime": "damping"}, **fields}
    when = NOON_NS + round((number if second is None else second) * SECOND_NS)
    return Publication(source, "BTC", number, when, when, document, None, 0, "abc")


def values(series: Series, field: str = "gain.value", **more: object) -> list[object]:
    asked = {"source": "one", "from_ns": 0, "to_ns": FAR, "limit": 100, **more}
    return [point.value for point in series.points(field, **asked)[0]]  # type: ignore[arg-type]


def test_rows_come_back_bit_for_bit_from_journal_and_files(series: Series, tmp_path: Path) -> None:
    for number in range(1, 11):
        series.append(published(number))
    assert values(series) == [number / 3.0 for number in range(1, 11)]
    assert values(series, "gain.regime") == ["damping"] * 10
    assert len(list(tmp_path.glob("rows-*.parquet"))) == 2
    with closing(Series(tmp_path, rows_in_a_file=4)) as again:
        assert values(again) == values(series)
        assert again.seqs() == set(range(1, 11))


def test_ranges_pages_and_sources(series: Series) -> None:
    for number in range(1, 8):
        series.append(published(number, source="one" if number % 2 else "two"))
    second = [NOON_NS + number * SECOND_NS for number in range(8)]
    assert values(series, source="two") == [2 / 3.0, 4 / 3.0, 2.0]
    assert values(series, from_ns=second[3], to_ns=second[5]) == [1.0, 5 / 3.0]
    points, following = series.points("gain.value", source="one", from_ns=0, to_ns=FAR, limit=2)
    assert points == [Point(second[1], 1, 1 / 3.0), Point(second[3], 3, 1.0)]
    assert following == second[5]
    assert series.seq_at("two", second[5]) == 4
    assert series.seq_at("two", second[1]) is None


def test_of_equal_times_the_one_recorded_last_counts_and_order_of_writing_does_not(series: Series) -> None:
    for number, second in ((3, 5.0), (1, 2.0), (4, 5.0), (2, 1.0), (5, 0.5)):
        series.append(published(number, second=second))
    assert values(series) == [5 / 3.0, 2 / 3.0, 1 / 3.0, 4 / 3.0]


def test_a_field_may_be_null_change_its_kind_or_be_absent(series: Series) -> None:
    for number, value in enumerate((1, None, "text", True, 2.5), start=1):
        series.append(published(number, odd=value) if number != 4 else published(number, odd=value, other=1))
    assert values(series, "odd") == [1.0, None, "text", True, 2.5]
    assert values(series, "other") == [None, None, None, 1.0, None]
    assert values(series, "never") == [None] * 5
    assert series.knows("odd")
    assert not series.knows("never")


@pytest.mark.parametrize("torn", [1, 7, 60])
def test_a_torn_journal_loses_only_its_last_line(tmp_path: Path, torn: int) -> None:
    with closing(Series(tmp_path)) as first:
        for number in range(1, 4):
            first.append(published(number))
    journal = tmp_path / "newest.jsonl"
    journal.write_bytes(journal.read_bytes()[:-torn])
    with closing(Series(tmp_path)) as again:
        assert values(again) == [1 / 3.0, 2 / 3.0]
        again.append(published(3))
    with closing(Series(tmp_path)) as third:
        assert values(third) == [1 / 3.0, 2 / 3.0, 1.0]


@pytest.mark.parametrize("row", [0, 2, 5])
def test_a_changed_digit_in_the_journal_costs_its_row_and_no_other(tmp_path: Path, row: int) -> None:
    with closing(Series(tmp_path)) as first:
        for number in range(1, 7):
            first.append(published(number))
    journal = tmp_path / "newest.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    torn = bytearray(lines[row])
    place = torn.index(b'"gain.value":') + len(b'"gain.value":')
    torn[place] ^= 1  # another digit: still JSON, still a number
    journal.write_bytes(b"".join([*lines[:row], bytes(torn), *lines[row + 1 :]]))
    with closing(Series(tmp_path)) as again:
        assert again.seqs() == set(range(1, 7)) - {row + 1}
        again.append(published(row + 1))
    with closing(Series(tmp_path)) as third:
        assert values(third) == [number / 3.0 for number in range(1, 7)]


def test_rows_of_before_they_were_sealed_are_measured_again(tmp_path: Path) -> None:
    with closing(Series(tmp_path)) as first:
        first.append(published(1))
    journal = tmp_path / "newest.jsonl"
    journal.write_bytes(journal.read_bytes().partition(b" ")[2])
    with closing(Series(tmp_path)) as again:
        assert again.seqs() == set()
    assert journal.read_bytes() == b""


def test_a_damaged_file_is_set_aside_never_read_wrong(tmp_path: Path) -> None:
    with closing(Series(tmp_path, rows_in_a_file=4)) as first:
        for number in range(1, 10):
            first.append(published(number))
    path = sorted(tmp_path.glob("rows-*.parquet"))[0]
    whole = path.read_bytes()
    right = [number / 3.0 for number in range(1, 10)]
    for place in range(4, len(whole) // 2, max(len(whole) // 40, 1)):
        data = bytearray(whole)
        data[place] ^= 0x40
        path.write_bytes(bytes(data))
        with closing(Series(tmp_path, rows_in_a_file=4)) as again:
            assert values(again) in (right, right[4:]), f"byte {place}"
        for aside in tmp_path.glob("*.damaged"):
            aside.rename(path)


def test_what_was_recorded_and_never_measured_is_filled_in(tmp_path: Path) -> None:
    snapshots = [market(float(second)) for second in range(4)]
    with Recorder(tmp_path / "store") as recorder:
        for snapshot in snapshots:
            recorder.append(snapshot, received_ns=snapshot.as_of_ns)
    here = bench()
    with closing(Series(tmp_path / "series")) as series:
        document = tw.measure(snapshots[2], OPTIONS).document()
        series.append(Publication("one", "BTC", 3, snapshots[2].as_of_ns, 0, document, None, 0, "abc"))
        world = here.time.world()
        filler = Filler(History.open(tmp_path / "store"), series, OPTIONS, names=("one",), world=world, log=here.monitor._log)
        assert [filler.fill_one() for _ in range(4)] == [True, True, True, False]
        expected = [value_at(tw.measure(snapshot, OPTIONS).document(), "gain.value") for snapshot in snapshots]
        assert values(series) == expected


def test_other_assumptions_are_another_series() -> None:
    from dataclasses import replace

    others = [
        OPTIONS,
        replace(OPTIONS, depth_usd_per_pct=4e7),
        replace(OPTIONS, rules=(parse_rule("short-all"),)),
        replace(OPTIONS, rules=(parse_rule("customers-buy:0.7"),)),
        replace(OPTIONS, dynamics="sticky-moneyness"),
    ]
    assert len({assumptions_digest(options) for options in others}) == len(others)
    assert assumptions_digest(replace(OPTIONS)) == assumptions_digest(OPTIONS)


# fewer points, realised vol, and how much is held


def point(at: int, value: object) -> Point:
    return Point(at, at, value)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(20))
def test_thinning_keeps_first_last_lowest_and_highest_of_every_bucket_and_invents_nothing(seed: int) -> None:
    draw = random.Random(seed)
    times = sorted(draw.sample(range(1_000), 200))
    points = [point(at, None if draw.random() < 0.1 else draw.choice([draw.gauss(0, 1), 50.0 * draw.random()])) for at in times]
    width = draw.choice([1, 7, 50, 400, 5_000])
    kept = thinned(points, width)
    assert set(kept) <= set(points)
    assert [one.as_of_ns for one in kept] == sorted({one.as_of_ns for one in kept})
    for bucket in {at // width for at in times}:
        inside = [one for one in points if one.as_of_ns // width == bucket]
        left = [one for one in kept if one.as_of_ns // width == bucket]
        known = [one.value for one in inside if one.value is not None]
        assert left[0] == inside[0]
        assert left[-1] == inside[-1]
        assert len(left) <= 5
        assert any(one.value is None for one in left) == any(one.value is None for one in inside)
        if known:
            values_left = [one.value for one in left if one.value is not None]
            assert (min(values_left), max(values_left)) == (min(known), max(known))  # type: ignore[type-var]


def test_texts_thin_to_their_first_and_last_and_most_is_kept() -> None:
    points = [point(at, f"state {at}") for at in range(100)]
    assert [one.as_of_ns for one in thinned(points, 50)] == [0, 49, 50, 99]
    spikes = [point(at, math.sin(at) + (40.0 if at == 777 else 0.0)) for at in range(5_000)]
    for most in (10, 50, 1_000):
        kept = thinned(spikes, bucket_width_ns(spikes, most), start_ns=spikes[0].as_of_ns)
        assert len(kept) <= most
        assert max(one.value for one in kept) == spikes[777].value  # type: ignore[type-var]


def vol_by_hand(prices: list[tuple[int, float]], at_ns: int, window_minutes: int) -> float | None:
    """The documented definition, mark by mark."""
    five = 300 * SECOND_NS

    def price(mark: int) -> float | None:
        known = [(when, value) for when, value in prices if when <= mark]
        return known[-1][1] if known and mark - known[-1][0] <= 2 * five else None

    last = at_ns // five * five
    marks = [last - five * step for step in range(window_minutes // 5 + 1)]
    pairs = [(price(later), price(earlier)) for later, earlier in itertools.pairwise(marks)]
    returns = [math.log(later / earlier) for later, earlier in pairs if later and earlier]
    if len(returns) < 0.75 * window_minutes / 5:
        return None
    return math.sqrt(sum(one**2 for one in returns) / len(returns) * 365 * 288)


@pytest.mark.parametrize("seed", range(6))
def test_realised_vol_is_its_documented_definition_over_gaps_bursts_and_odd_times(seed: int) -> None:
    draw, now, price = random.Random(seed), NOON_NS, 90_000.0
    prices: list[tuple[int, float]] = []
    for _ in range(120):
        now += round(draw.choice([1.0, 60.0, 299.0, 300.0, 301.0, 620.0, 1_800.0 if seed % 2 else 30.0]) * SECOND_NS)
        price *= math.exp(draw.gauss(0.0, 0.002))
        prices.append((now, price))
    times, spots = np.array([when for when, _ in prices]), np.array([value for _, value in prices])
    for minutes in (60, 24 * 60):
        found = realised_vols(times, spots, minutes * 60 * SECOND_NS)
        for place in range(0, len(prices), 7):
            expected = vol_by_hand(prices[: place + 1], int(times[place]), minutes)
            assert found[place] == (None if expected is None else pytest.approx(expected, rel=1e-8))


def test_realised_vol_does_not_depend_on_how_often_snapshots_are_taken() -> None:
    every_second = np.arange(NOON_NS // (300 * SECOND_NS) * 300 * SECOND_NS, NOON_NS + 7_200 * SECOND_NS, SECOND_NS)
    spots = 9e4 * np.exp(0.01 * np.sin(every_second / 3e12))
    sparse = slice(0, None, 300)
    dense_vols = realised_vols(every_second, spots, 3_600 * SECOND_NS)[sparse]
    assert dense_vols == realised_vols(every_second[sparse], spots[sparse], 3_600 * SECOND_NS)
    assert dense_vols[-1] is not None


def test_rows_in_memory_are_bounded_and_a_read_holds_nothing_back(tmp_path: Path) -> None:
    with closing(Series(tmp_path, rows_in_a_file=50)) as series:
        for number in range(1, 1_001):
            series.append(published(number))
        assert len(series._rows) < 50
        assert len(list(tmp_path.glob("rows-*.parquet"))) == 20
        values(series, limit=5_000)
        gc.collect()
        tracemalloc.start()
        for _ in range(5):
            assert len(values(series, limit=5_000)) == 1_000
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert held < 200_000
