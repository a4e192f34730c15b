"""Recorded prices: realised vol is that of what was recorded, before and after a restart; what was passed over is measured later."""

from __future__ import annotations

import math
import random
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from tests.service.live_service import NOON_NS, OPTIONS, SECOND_NS, Bench, Script, bench, market
from tests.service.test_monitor_series import vol_by_hand

from tailwag.errors import VenueError
from tailwag.service.field_history import field_history, recorded_prices
from tailwag.service.filling import LOOK_SECONDS, Filler
from tailwag.service.prices import Prices
from tailwag.service.series import Series, _Layouts
from tailwag.sources.store.history import History
from tailwag.sources.store.recorder import Recorder

if TYPE_CHECKING:
    from tailwag.service.api import Service

FAR = 1 << 62
DAY_NS = 86_400 * SECOND_NS


def prices_of(series: Series) -> list[tuple[int, float | str | bool | None]]:
    points, following = recorded_prices(series, "one", 0, FAR)
    assert following is None
    return [(point.seq, point.value) for point in points]


def watched(here: Bench, script: Script, seconds: range, *, measured_every: int) -> list[float]:
    """Every snapshot is recorded, only some are measured; the prices as they were given."""
    given = []
    for second in seconds:
        snapshot = market(float(second), spot_ratio=1.0 + 0.001 * math.sin(second))
        given.append(snapshot.spot_usd)
        script.items.append(snapshot)
        here.monitor.turn("one")
        if second % measured_every == 0:
            here.monitor.measure_one()
    return given


def test_every_recorded_price_counts_measured_or_not_and_a_restart_changes_nothing(tmp_path: Path) -> None:
    script = Script()
    with Recorder(tmp_path / "store") as recorder, closing(Series(tmp_path / "series")) as series:
        here = bench(script, keeper=recorder, rows=series)
        given = watched(here, script, range(12), measured_every=4)
        assert prices_of(series) == list(enumerate(given, start=1))
        assert len(series.seqs()) == 3
    with closing(Series(tmp_path / "series")) as again:
        assert prices_of(again) == list(enumerate(given, start=1))


def test_the_api_tells_the_vol_of_recorded_prices_before_and_after_a_restart(tmp_path: Path) -> None:
    script, seconds = Script(), range(0, 45 * 100, 100)
    with closing(Series(tmp_path)) as series:
        here = bench(script, rows=series)
        given = watched(here, script, seconds, measured_every=1_500)
        before = vols(series)
    prices = [(NOON_NS + second * SECOND_NS, price) for second, price in zip(seconds, given, strict=True)]
    expected = [vol_by_hand(prices[: place + 1], at, 60) for place, (at, _) in enumerate(prices)]
    assert before == [None if one is None else pytest.approx(one, rel=1e-8) for one in expected]
    assert before[-1] is not None
    with closing(Series(tmp_path)) as again:
        assert vols(again) == before


def vols(series: Series) -> list[float | str | bool | None]:
    service = cast("Service", SimpleNamespace(series=series))
    page = field_history(service, "realised_vol_1h", source="one", newest=None, span_ns=(0, FAR), limit=100)
    return [point.value for point in page.points]


def test_a_price_that_was_not_believed_counts_nowhere_whether_measured_later_or_not(tmp_path: Path) -> None:
    script = Script()
    with Recorder(tmp_path / "store") as recorder, closing(Series(tmp_path / "series")) as series:
        here = bench(script, keeper=recorder, rows=series)
        for second, ratio in ((0.0, 1.0), (1.0, 3.0), (2.0, 1.0)):
            here.feed(script, market(second, spot_ratio=ratio))
        assert [seq for seq, _ in prices_of(series)] == [1, 3]
        filler = filler_of(here, tmp_path / "store", series)
        assert not filler.price_one()
        assert not filler.fill_one()


def filler_of(here: Bench, store: Path, series: Series, *, following: bool = False) -> Filler:
    again = (lambda: History.open(store)) if following else None
    return Filler(
        History.open(store),
        series,
        OPTIONS,
        names=("one",),
        world=here.time.world(),
        log=here.monitor._log,
        again=again,
        idle=here.monitor.idle,
    )


def test_a_lost_journal_of_prices_is_read_again_from_the_store(tmp_path: Path) -> None:
    script = Script()
    with Recorder(tmp_path / "store") as recorder, closing(Series(tmp_path / "series")) as series:
        here = bench(script, keeper=recorder, rows=series)
        given = watched(here, script, range(6), measured_every=3)
    for path in (tmp_path / "series" / "prices").iterdir():
        path.unlink()
    with closing(Series(tmp_path / "series")) as series:
        assert [seq for seq, _ in prices_of(series)] == [1, 4]  # what was measured counts meanwhile
        filler = filler_of(here, tmp_path / "store", series)
        while filler.price_one():
            pass
        assert prices_of(series) == list(enumerate(given, start=1))


def test_what_this_run_passed_over_is_measured_when_nothing_waits_and_never_before(tmp_path: Path) -> None:
    script = Script()
    with Recorder(tmp_path / "store") as recorder, closing(Series(tmp_path / "series")) as series:
        here = bench(script, keeper=recorder, rows=series)
        filler = filler_of(here, tmp_path / "store", series, following=True)
        watched(here, script, range(9), measured_every=4)
        script.items.append(market(9.0))
        here.monitor.turn("one")
        for _ in range(20):
            assert filler.step() is not None
        assert series.seqs() == {1, 5, 9}  # the tenth waits: nothing else begins
        here.monitor.measure_one()
        for _ in range(20):
            rest = filler.step()
        assert series.seqs() == set(range(1, 11))
        assert rest == LOOK_SECONDS
        assert len(prices_of(series)) == 10


def test_nothing_is_idle_while_a_snapshot_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    import tailwag.experiments.measure as measuring

    script, seen = Script(items=[market(0.0)]), []
    here = bench(script)

    def watching(*_: object) -> None:
        seen.append(here.monitor.idle())
        raise VenueError("measured no more")

    monkeypatch.setattr(measuring, "measure", watching)
    assert here.monitor.idle()
    here.monitor.turn("one")
    assert not here.monitor.idle()
    here.monitor.measure_one()
    assert seen == [False]
    assert here.monitor.idle()


def test_rows_over_days_sources_and_any_order_come_back_in_order_of_time(tmp_path: Path) -> None:
    draw, prices = random.Random(3), Prices(tmp_path)
    told = [(seq, NOON_NS + draw.randrange(3 * DAY_NS), draw.uniform(1.0, 1e5), draw.choice(["one", "two"])) for seq in range(1, 201)]
    for seq, at_ns, price, source in told:
        prices.record(source, seq=seq, as_of_ns=at_ns, spot_usd=price)
    assert len(list(tmp_path.iterdir())) in (3, 4)
    for again in (prices, Prices(tmp_path)):
        span = (NOON_NS + DAY_NS // 2, NOON_NS + 2 * DAY_NS)
        wanted = sorted((at, seq, price) for seq, at, price, source in told if source == "two" and span[0] <= at <= span[1])
        rows, following = again.of("two", from_ns=span[0], to_ns=span[1], limit=10)
        found = list(zip(rows["as_of_ns"].tolist(), rows["seq"].tolist(), rows["spot_usd"].tolist(), strict=True))
        assert found == wanted[:10]
        assert following == wanted[10][0]
        assert again.seqs().tolist() == list(range(1, 201))
        assert set(again.seqs(span[1]).tolist()) >= {seq for seq, at, _, _ in told if at >= span[1]}


def test_a_damaged_row_and_a_torn_end_cost_themselves_only(tmp_path: Path) -> None:
    prices = Prices(tmp_path)
    for seq in range(1, 6):
        prices.record("one", seq=seq, as_of_ns=NOON_NS + seq, spot_usd=100.0 + seq)
    (path,) = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    data[40 * 2 + 20] ^= 1
    path.write_bytes(bytes(data[:-3]))
    again = Prices(tmp_path)
    assert again.seqs().tolist() == [1, 2, 4]
    again.record("one", seq=5, as_of_ns=NOON_NS + 5, spot_usd=105.0)
    assert again.seqs().tolist() == [1, 2, 4, 5]


def test_a_reader_beside_the_writer_sees_whole_rows_only(tmp_path: Path) -> None:
    prices = Prices(tmp_path)

    def write() -> None:
        for seq in range(1, 301):
            prices.record("one", seq=seq, as_of_ns=NOON_NS + seq, spot_usd=float(seq))

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        rows, _ = prices.of("one", from_ns=0, to_ns=FAR, limit=1_000)
        assert rows["seq"].tolist() == list(range(1, len(rows) + 1))
    writer.join()
    assert len(prices.seqs()) == 300


def test_rows_in_memory_share_their_fields_and_texts() -> None:
    layouts = _Layouts()
    rows = [
        {
            "seq": seq,
            "as_of_ns": seq,
            "source": "one",
            "code_hash": "abc",
            "fields": {"a.b": 1.5, "text": "".join(["wo", "rd"]), "none": None},
        }
        for seq in (1, 2)
    ]
    first, second = (layouts.packed(row) for row in rows)
    assert first["fields"].places is second["fields"].places
    assert first["fields"].get("text") is second["fields"].get("text")
    assert dict(first["fields"].items()) == rows[0]["fields"]
    assert "a.b" in first["fields"]
    assert first["fields"].get("absent") is None
    assert replace(first["fields"]) == second["fields"]
