"""Two sources on one page: what the monitor passed over of one of them is filled into its own past, never into that of the other."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from tests.service.live_service import NOON_NS, OPTIONS, bench, market

from tailwag.service.filling import Filler
from tailwag.service.series import Series
from tailwag.sources.store.history import History
from tailwag.sources.store.recorder import Recorder

DAY_NS = 86_400_000_000_000


def test_what_was_passed_over_of_a_file_is_not_filled_into_the_demo(tmp_path: Path) -> None:
    """Both hold a made-up market, so that a snapshot itself does not tell one from the other."""
    names = ("demo", "desk.twag")
    here = bench()
    with Recorder(tmp_path / "store") as recorder, closing(Series(tmp_path / "series")) as series:
        for second, name in enumerate(("demo", "desk.twag", "desk.twag", "demo")):
            snapshot = market(float(second), seed=7 if name == "demo" else 11)
            seq = recorder.append(snapshot, received_ns=snapshot.as_of_ns).seq
            series.priced(name, snapshot, seq=seq)
        filler = Filler(History.open(tmp_path / "store"), series, OPTIONS, names=names, world=here.time.world(), log=here.monitor._log)
        while filler.fill_one():
            pass
        found = {
            name: [point.seq for point in series.points("spot_usd", source=name, from_ns=0, to_ns=NOON_NS + DAY_NS, limit=9)[0]]
            for name in names
        }
    assert found == {"demo": [1, 4], "desk.twag": [2, 3]}
