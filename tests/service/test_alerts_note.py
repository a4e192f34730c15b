"""The daily note: once a day after 08:00 UTC, with what the expiry removed, as a picture that can be looked at."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.service.alerts_world import Bin, at_ns, iso, measured, only, told

from tailwag.service.alerts import AlertDesk, AlertSettings, AlertState, Channel, default_settings, evaluate
from tailwag.service.alerts.card import note_card
from tailwag.service.alerts.state import state_from

EIGHT = 17.5 * 60  # minutes from the first document to 2026-09-16 08:00 UTC
EXPIRING = {iso(EIGHT): (1.5e8, 0.5), iso(EIGHT + 1440): (1e8, 0.5), iso(EIGHT + 14400): (7.5e8, 0.5)}
LEFT = dict(list(EXPIRING.items())[1:])


def noted(*steps: tuple[float, dict[str, Any]], settings: AlertSettings | None = None) -> list[Any]:
    base = only()
    chosen = settings or replace(base, note=replace(base.note, enabled=True))
    state, alerts = AlertState(), []
    for minutes, changes in steps:
        step = evaluate(state, {"BTC": measured(minutes, **changes)}, chosen, at_ns=at_ns(minutes))
        state = state_from(json.loads(json.dumps(step.state.document())))
        alerts += step.alerts
    return alerts


BEFORE = {"expiries": EXPIRING, "gain": -0.4}
AFTER = {"expiries": LEFT, "gain": 0.3, "gross": 8.5e8}


def test_one_note_a_day_says_what_the_expiry_removed() -> None:
    settle = {"expiries": EXPIRING, "gain": -0.4}
    steps = [(0, BEFORE), (EIGHT - 1, BEFORE), (EIGHT + 1, settle), (EIGHT + 5, AFTER), (EIGHT + 6, AFTER), (EIGHT + 100, AFTER)]
    (note,) = noted(*steps)
    assert note.key == "BTC/note/2026-09-16T08:00:00Z"
    assert note.sentence == (
        "After 08:00 UTC: the expiry took away $150m of gross gamma per 1 %. Regime amplifying, loop gain +0.30 (before: −0.40), "
        "nearest flip $90,000, spot $100,000."
    )
    assert note.evidence["removed"]["share"] == pytest.approx(0.15)
    assert note.evidence["before"]["regime"] == "damping"
    assert note.evidence["after"]["regime"] == "amplifying"


def test_the_next_day_has_its_own_note() -> None:
    day = [(EIGHT + 1439, AFTER), (EIGHT + 1446, {**AFTER, "expiries": dict(list(LEFT.items())[1:])})]
    first, second = noted((EIGHT - 1, BEFORE), (EIGHT + 6, AFTER), *day)
    assert first.id != second.id
    assert second.evidence["removed"]["gross_gex_usd_per_pct"] == 1e8


def test_a_start_after_the_expiry_says_that_it_was_not_measured() -> None:
    (note,) = noted((EIGHT + 30, AFTER))
    assert "what the expiry took away was not measured" in note.sentence


def test_a_start_long_after_the_expiry_sends_no_old_note() -> None:
    assert noted((EIGHT + 200, AFTER), (EIGHT + 210, AFTER)) == []
    assert noted((EIGHT - 2000, BEFORE), (EIGHT + 6, AFTER))[-1].evidence["removed"]["known"] is False


def test_a_day_without_an_expiry_says_so() -> None:
    (note,) = noted((EIGHT - 1, {"expiries": LEFT}), (EIGHT + 6, AFTER))
    assert "no option expired" in note.sentence


def test_unknown_values_are_named_unknown() -> None:
    (note,) = noted((EIGHT - 1, {**BEFORE, "gain": None}), (EIGHT + 6, {**AFTER, "gain": None, "flips": [], "spot": None, "regime": None}))
    assert "Regime unknown, loop gain unknown, no flip known, spot n/a" in note.sentence
    assert note_card(note.evidence)[:4] == b"\x89PNG"


def test_stale_data_make_no_note() -> None:
    settings = replace(only("stale"), note=default_settings().note)
    documents = {"BTC": measured(EIGHT + 6, **AFTER)}
    step = evaluate(AlertState(), documents, settings, at_ns=at_ns(EIGHT + 30))
    assert told(step.alerts) == [("BTC/stale", "raised")]


def test_the_note_goes_out_with_its_card_also_after_a_restart(tmp_path: Path) -> None:
    from PIL import Image

    channel, sent = Channel("desk", url="json://127.0.0.1/x"), Bin()
    base = only()
    settings = replace(base, note=replace(base.note, enabled=True), channels=(channel,))
    with AlertDesk(tmp_path, settings, send=sent) as desk:
        desk.observe({"BTC": measured(EIGHT - 1, **BEFORE)}, at_ns=at_ns(EIGHT - 1))
        assert len(desk.observe({"BTC": measured(EIGHT + 6, **AFTER)}, at_ns=at_ns(EIGHT + 6))) == 1
    with AlertDesk(tmp_path, settings, send=sent) as desk:
        desk.deliver(channel, at_ns=at_ns(EIGHT + 7))
    (message,) = sent.taken
    assert message.picture is not None
    assert message.picture_name == "tailwag-btc-2026-09-16.png"
    picture = Image.open(io.BytesIO(message.picture))
    assert picture.size == (1200, 675)
    assert len(picture.convert("RGB").getcolors(maxcolors=1 << 20) or []) > 50


def test_a_card_that_cannot_be_drawn_does_not_keep_the_note_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_note: object) -> bytes:
        raise ValueError("no font")

    monkeypatch.setattr("tailwag.service.alerts.card.note_card", broken)
    channel, sent = Channel("desk", url="json://127.0.0.1/x"), Bin()
    base = only()
    with AlertDesk(tmp_path, replace(base, note=replace(base.note, enabled=True), channels=(channel,)), send=sent) as desk:
        desk.observe({"BTC": measured(EIGHT + 6, **AFTER)}, at_ns=at_ns(EIGHT + 6))
        desk.deliver(channel, at_ns=at_ns(EIGHT + 7))
    assert "The card could not be drawn: ValueError" in sent.taken[0].body
