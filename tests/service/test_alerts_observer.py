"""The desk behind a real monitor: what the monitor calls stale is stale for the rules, sources of one coin are kept apart."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.service.alerts_world import Bin, at_ns, measured, only, told

from tailwag.service.alerts import AlertDesk, AlertObserver, AlertState, Courier, evaluate
from tailwag.service.staleness import Health, SourceState


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
