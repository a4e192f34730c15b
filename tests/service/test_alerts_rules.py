"""The alert rules: each fires, holds and clears where it must; unknown changes nothing; the state alone decides."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest
from tests.service.alerts_world import at_ns, iso, measured, only, told, used

from tailwag.service.alerts import AlertSettings, AlertState, Evaluation, default_settings, evaluate
from tailwag.service.alerts.reading import read_measurement, vol_at_tenor
from tailwag.service.alerts.state import state_from


class Tape:
    """Feeds documents one after the other and remembers what was told; the state goes through JSON each time, as over a restart."""

    def __init__(self, settings: AlertSettings) -> None:
        self.settings, self.state = settings, AlertState()
        self.last: Evaluation | None = None

    def play(self, minutes: float, *, age: float | None = 0.0, now: float | None = None, other: Any = None, **changes: Any) -> list[Any]:
        documents = {"BTC": measured(minutes, **changes)}
        if other is not None:
            documents["ETH"] = other
        ages = {} if age is None else dict.fromkeys(documents, age)
        self.last = evaluate(self.state, documents, self.settings, at_ns=at_ns(minutes if now is None else now), age_seconds=ages)
        self.state = state_from(json.loads(json.dumps(self.last.state.document())))
        return told(self.last.alerts)

    @property
    def sentence(self) -> str:
        assert self.last is not None
        return self.last.alerts[-1].sentence

    @property
    def held(self) -> str:
        assert self.last is not None
        return " | ".join(self.last.held)


def quick(*names: str) -> AlertSettings:
    base = only(*names)
    return replace(base, rules={name: replace(rule, cool_down_ns=0) for name, rule in base.rules.items()})


LEVELLED = [
    # rule, key, beyond the on level, between, beyond the off level
    ("gain", "BTC/gain", {"gain": 0.6}, {"gain": 0.45}, {"gain": 0.3}),
    ("gain", "BTC/gain", {"gain": -0.6}, {"gain": -0.45}, {"gain": 0.1}),
    ("flip", "BTC/flip", {"flips": [99_200.0]}, {"flips": [101_200.0]}, {"flips": [98_000.0]}),
    ("sign", "BTC/sign", {"rules": {"a": 5e6, "b": -6e5}}, {"rules": {"a": 3e5, "b": -6e5}}, {"rules": {"a": 5e6, "b": -1e5}}),
    ("limit", "BTC/limit/strike/100000/used", {"my_book": used(85)}, {"my_book": used(75)}, {"my_book": used(60)}),
    ("wall", "BTC/call-wall", {"spot": 110_200.0}, {"spot": 109_900.0}, {"spot": 109_000.0}),
    ("wall", "BTC/put-wall", {"spot": 79_000.0}, {"spot": 80_100.0}, {"spot": 81_000.0}),
]


@pytest.mark.parametrize(("rule", "key", "on", "between", "off"), LEVELLED)
def test_a_rule_fires_once_beyond_on_holds_between_and_clears_beyond_off(rule: str, key: str, on: Any, between: Any, off: Any) -> None:
    tape = Tape(quick(rule))
    quiet = {"my_book": used(10)} if rule == "limit" else {}
    assert tape.play(0, **quiet) == []
    assert tape.play(1, **{**quiet, **between}) == []
    assert tape.play(2, **{**quiet, **on}) == [(key, "raised")]
    assert tape.play(3, **{**quiet, **on}) == []
    assert tape.play(4, **{**quiet, **between}) == []
    assert tape.play(5, **{**quiet, **off}) == [(key, "cleared")]
    assert tape.play(6, **{**quiet, **between}) == []
    assert tape.play(7, **{**quiet, **on}) == [(key, "raised")]


UNKNOWN = [
    ("gain", {"gain": 0.6}, {"gain": None}, "no depth is known"),
    ("jump", {"gain": 0.9}, {"gain": None}, "no depth is known"),
    ("flip", {"flips": [99_500.0]}, {"spot": None}, "spot is unknown"),
    ("flip", {"flips": [99_500.0]}, {"flips": [], "flip_status": "edge"}, "edge"),
    ("sign", {"rules": {"a": 5e7, "b": -6e7}}, {"rules": {"a": 5e7, "b": None}}, "unknown"),
    ("sign", {"rules": {"a": 5e7, "b": -6e7}}, {"gross": None}, "unknown"),
    ("limit", {"my_book": used(85)}, {"my_book": None}, "no book"),
    ("wall", {"spot": 111_000.0}, {"spot": None}, "spot is unknown"),
    ("expiry", {"gain": 0.6, "expiries": {iso(120): (1e8, 0.5)}}, {"gain": None, "expiries": {iso(120): (1e8, 0.5)}}, "no depth"),
]


@pytest.mark.parametrize(("rule", "on", "unknown", "why"), UNKNOWN)
def test_an_unknown_value_neither_fires_nor_clears_and_says_so(rule: str, on: Any, unknown: Any, why: str) -> None:
    tape = Tape(quick(rule))
    assert tape.play(0) == []
    assert tape.play(1, **unknown) == []  # it does not fire
    assert len(tape.play(2, **on)) == 1
    before = {key for key, condition in tape.state.conditions.items() if condition.on}
    assert tape.play(3, **unknown) == []  # it does not clear
    assert {key for key, condition in tape.state.conditions.items() if condition.on} == before
    assert "stays on" in tape.held
    assert why in tape.held


def test_values_that_are_no_numbers_are_unknown() -> None:
    document = measured(0, gain=0.9)
    document["gain"]["value"], document["spot_usd"], document["exposure"] = float("nan"), "100000", []
    reading = read_measurement(document)
    assert (reading.gain, reading.spot_usd, reading.gex_usd_per_pct, reading.expiries) == (None, None, None, ())


def test_the_regime_is_told_from_the_last_known_one_and_only_when_clear() -> None:
    tape = Tape(quick("regime"))
    assert tape.play(0, gain=-0.2) == []
    assert tape.play(1, gain=None) == []
    assert tape.play(2, gain=0.01) == []  # amplifying by a hair
    assert tape.play(3, gain=0.3) == [("BTC/regime", "event")]
    assert "from damping to amplifying: loop gain +0.30" in tape.sentence
    assert tape.play(4, gain=1.01) == []
    assert tape.play(5, gain=1.2) == [("BTC/regime", "event")]
    assert tape.last is not None
    assert tape.last.alerts[0].severity == "critical"
    assert tape.play(6, gain=0.2, regime="undetermined") == [("BTC/regime", "event")]


def test_without_a_depth_the_regime_is_judged_by_the_exposure() -> None:
    tape = Tape(quick("regime"))
    tape.play(0, gain=None, regime="damping")
    assert tape.play(1, gain=None, regime="amplifying", gex=-1e6) == []
    assert tape.play(2, gain=None, regime="amplifying", gex=-1e8) == [("BTC/regime", "event")]
    assert "no depth is known" in tape.sentence


def test_a_jump_is_measured_over_the_window_not_the_last_step() -> None:
    tape = Tape(quick("jump"))
    assert [tape.play(minute, gain=0.1 * minute) for minute in range(3)] == [[], [], []]
    assert tape.play(3, gain=0.35) == [("BTC/jump", "raised")]
    assert "from 0.000 to +0.35 within 3 minutes" in tape.sentence
    assert tape.play(17, gain=0.36) == [("BTC/jump", "cleared")]  # what was known a quarter of an hour ago is near again
    slow = Tape(quick("jump"))
    assert [alert for minute in range(0, 100, 20) for alert in slow.play(minute, gain=minute / 100)] == []


def test_a_fast_source_does_not_fill_the_memory() -> None:
    tape = Tape(quick("jump"))
    draw = random.Random(3)
    for step in range(600):
        tape.play(step / 100, gain=draw.uniform(-0.01, 0.01))
    assert len(tape.state.memory("BTC").gains) <= 110


def test_a_wall_that_moves_behind_spot_was_not_broken() -> None:
    tape = Tape(quick("wall"))
    assert tape.play(0, spot=100_000.0, call_wall=110_000.0) == []
    assert tape.play(1, spot=100_000.0, call_wall=95_000.0) == []
    assert tape.play(2, spot=112_000.0, call_wall=95_000.0) == []


def test_a_wall_that_moves_on_as_it_breaks_is_told_and_then_replaced() -> None:
    tape = Tape(quick("wall"))
    assert tape.play(0, spot=109_900.0, call_wall=110_000.0) == []
    assert tape.play(1, spot=110_500.0, call_wall=115_000.0) == [("BTC/call-wall", "raised")]
    assert "$110,500 is 0.45 % above $110,000" in tape.sentence
    assert tape.play(2, spot=110_600.0, call_wall=115_000.0) == [("BTC/call-wall", "cleared")]
    assert "now stands at $115,000" in tape.sentence
    assert tape.play(3, spot=115_200.0, call_wall=115_000.0) == [("BTC/call-wall", "raised")]


def test_no_flip_left_is_known_and_clears() -> None:
    tape = Tape(quick("flip"))
    tape.play(0, flips=[99_500.0])
    assert tape.play(1, flips=[]) == [("BTC/flip", "cleared")]


def test_an_expiry_is_told_with_a_large_gain_and_is_over_when_it_passes() -> None:
    tape = Tape(quick("expiry"))
    soon = {iso(300): (1e8, 0.5), iso(3000): (2e8, 0.5)}
    key = f"BTC/expiry/{iso(300)}"
    assert tape.play(0, gain=0.6, expiries=soon) == []  # five hours away
    assert tape.play(70, gain=0.1, expiries=soon) == []
    assert tape.play(80, gain=0.6, expiries=soon) == [(key, "raised")]
    assert "3.67 h away with loop gain at +0.60: it takes away $100m" in tape.sentence
    assert tape.play(90, gain=0.25, expiries=soon) == []
    assert tape.play(301, gain=0.6, expiries={iso(3000): (2e8, 0.5)}) == [(key, "cleared")]
    assert tape.state.conditions == {}


def test_a_limit_escalates_when_it_is_exceeded_and_ends_with_the_position() -> None:
    tape = Tape(quick("limit"))
    key = "BTC/limit/strike/100000"
    assert tape.play(0, my_book=used(85)) == [(f"{key}/used", "raised")]
    assert tape.play(1, my_book=used(100)) == []
    assert tape.play(2, my_book=used(120)) == [(f"{key}/breached", "raised")]
    assert tape.last is not None
    assert tape.last.alerts[0].severity == "critical"
    assert tape.play(3, my_book=used(98)) == []
    assert tape.play(4, my_book=used(94)) == [(f"{key}/breached", "cleared")]
    assert tape.play(5, my_book={"limits": []}) == [(f"{key}/used", "cleared")]
    assert tape.play(6, my_book=used(None)) == []


def test_stale_data_silence_the_other_rules_and_are_told_both_ways() -> None:
    tape = Tape(quick("stale", "gain"))
    assert tape.play(0, age=None) == []
    assert tape.play(0, age=None, now=3.5, gain=0.9) == [("BTC/stale", "raised")]
    assert "210 s old (limit 180 s)" in tape.sentence
    assert "wait while data are stale" in tape.held
    assert tape.play(4, age=None, now=6, gain=0.9) == []  # 120 s: between the levels
    assert tape.play(6, age=None, now=6.5, gain=0.9) == [("BTC/stale", "cleared"), ("BTC/gain", "raised")]
    assert tape.play(7, age=400.0, now=7) == [("BTC/stale", "raised")]  # the receiver knows better than the document


def test_a_source_that_never_spoke_is_stale_too() -> None:
    step = evaluate(AlertState(), {"BTC": {}}, only("stale"), at_ns=at_ns(0), age_seconds={"BTC": 500.0})
    assert told(step.alerts) == [("BTC/stale", "raised")]
    assert "none have come yet" in step.alerts[0].sentence


def test_data_from_the_future_have_no_known_age() -> None:
    tape = Tape(quick("stale"))
    tape.play(0, age=None, now=10)
    assert tape.play(60, age=None, now=11) == []
    assert "ahead of this clock" in tape.held


def test_an_older_document_tells_nothing() -> None:
    tape = Tape(quick("gain"))
    tape.play(5)
    assert tape.play(4, gain=0.9) == []
    assert "left out" in tape.held


def vol_settings(**levels: float) -> AlertSettings:
    base = quick("vol")
    rule = replace(base.rules["vol"], extra={"usual_volpt": 15.0, "tenor_days": 14.0}, **levels)
    return replace(base, rules={**base.rules, "vol": rule})


def eth(minutes: float, iv: float | None) -> dict[str, Any]:
    return measured(minutes, currency="ETH", expiries={"2026-09-25T08:00:00Z": (1e8, iv), "2026-12-25T09:00:00Z": (2e8, iv)})


def test_the_vols_of_two_coins_part_and_come_together() -> None:
    tape = Tape(vol_settings())
    btc = {"expiries": {"2026-09-25T08:00:00Z": (1e8, 0.5), "2026-12-25T09:00:00Z": (2e8, 0.5)}}
    assert tape.play(0, other=eth(0, 0.65), **btc) == []
    assert tape.play(1, other=eth(1, 0.74), **btc) == [("BTC-ETH/vol", "raised")]
    assert "14-day implied vol of ETH 74.0 % less BTC 50.0 % is +24.0 vol points, +9.0 from the usual +15" in tape.sentence
    assert tape.play(2, other=eth(2, None), **btc) == []
    assert "stays on: ETH has no at-the-money vol" in tape.held
    assert tape.play(3, **btc) == []
    assert "no fresh measurement of ETH" in tape.held
    assert tape.play(20, other=eth(4, 0.65), **btc) == []
    assert "960 s apart" in tape.held
    assert tape.play(21, other=eth(21, 0.58), **btc) == []
    assert tape.play(22, other=eth(22, 0.64), **btc) == [("BTC-ETH/vol", "cleared")]


def test_vol_at_a_tenor_is_linear_in_total_variance() -> None:
    near, far = at_ns(0) + 5 * 86_400 * 10**9, at_ns(0) + 20 * 86_400 * 10**9
    reading = read_measurement(measured(0, expiries={iso(5 * 1440): (1.0, 0.4), iso(20 * 1440): (1.0, 0.8)}))
    assert [row.at_ns for row in reading.expiries] == [near, far]
    found = vol_at_tenor(reading, at_ns=at_ns(0), tenor_days=10.0)
    assert found == pytest.approx(((0.16 * 5 + (0.64 * 20 - 0.16 * 5) / 3) / 10) ** 0.5, rel=1e-12)
    assert vol_at_tenor(reading, at_ns=at_ns(0), tenor_days=4.0) is None
    assert vol_at_tenor(reading, at_ns=at_ns(0), tenor_days=21.0) is None


# how often people are told


def test_within_the_cool_down_nothing_is_raised_and_what_lasts_is_raised_after_it() -> None:
    tape = Tape(only("gain"))  # 15 minutes
    assert tape.play(0, gain=0.6) == [("BTC/gain", "raised")]
    assert tape.play(1, gain=0.1) == [("BTC/gain", "cleared")]
    assert tape.play(2, gain=0.6) == []
    assert tape.play(3, gain=0.1) == []  # nobody was told, so nobody is told that it is over
    assert tape.play(4, gain=0.6) == []
    assert tape.play(15, gain=0.45) == [("BTC/gain", "raised")]  # it is still on
    assert "It came and went once since the last alert." in tape.sentence
    assert tape.play(16, gain=0.1) == [("BTC/gain", "cleared")]


def test_a_clock_that_was_set_back_keeps_nothing_quiet_for_longer_than_the_cool_down() -> None:
    tape = Tape(only("gain"))
    tape.play(600, gain=0.6)
    state = replace(tape.state, memories={})
    for minute, expected in ((0, 0), (1, 0), (16, 1)):
        gain = 0.1 if minute == 0 else 0.6
        step = evaluate(state, {"BTC": measured(minute, gain=gain)}, tape.settings, at_ns=at_ns(minute))
        state = step.state
        assert len([alert for alert in step.alerts if alert.phase == "raised"]) == expected


def test_a_trembling_value_rings_once() -> None:
    draw = random.Random(11)
    tape = Tape(quick("gain"))
    rung = [alert for minute in range(300) for alert in tape.play(minute, gain=0.5 + draw.uniform(-0.09, 0.09))]
    assert rung == [("BTC/gain", "raised")]


def test_one_level_instead_of_two_would_ring_often() -> None:
    draw = random.Random(11)
    base = quick("gain")
    tape = Tape(replace(base, rules={**base.rules, "gain": replace(base.rules["gain"], off=0.5)}))
    assert len([alert for minute in range(300) for alert in tape.play(minute, gain=0.5 + draw.uniform(-0.09, 0.09))]) > 50


def test_repeating_a_step_changes_nothing() -> None:
    settings = default_settings()
    first = evaluate(AlertState(), {"BTC": measured(0, gain=0.8)}, settings, at_ns=at_ns(0))
    again = evaluate(first.state, {"BTC": measured(0, gain=0.8)}, settings, at_ns=at_ns(0))
    assert first.alerts
    assert again.alerts == ()
    assert again.state == first.state


def test_the_same_inputs_give_the_same_alerts_to_the_bit() -> None:
    draws = [(minute, random.Random(minute).uniform(-1.2, 1.2)) for minute in range(60)]
    runs = []
    for _ in range(2):
        tape, seen = Tape(only("gain", "jump", "regime")), []
        for minute, gain in draws:
            tape.play(minute, gain=gain)
            assert tape.last is not None
            seen += [alert.document() for alert in tape.last.alerts]
        runs.append(seen)
    assert runs[0] == runs[1]
    names = [alert["id"] for alert in runs[0]]
    assert len(names) == len(set(names)) > 10


def test_severity_and_silence_at_the_end_follow_the_settings() -> None:
    base = quick("gain")
    rule = replace(base.rules["gain"], severity="critical", tell_cleared=False)
    tape = Tape(replace(base, rules={**base.rules, "gain": rule}))
    tape.play(0, gain=0.6)
    assert tape.last is not None
    assert tape.last.alerts[0].severity == "critical"
    assert tape.play(1, gain=0.1) == []
    assert tape.play(2, gain=0.6) == [("BTC/gain", "raised")]


def test_synthetic_and_degraded_data_are_named_in_the_alert() -> None:
    tape = Tape(quick("gain"))
    tape.play(0, gain=0.6, synthetic=True, degraded=["the perp did not answer"])
    assert tape.sentence.startswith("SYNTHETIC demo data: ")
    assert tape.sentence.endswith("Data are degraded: the perp did not answer")


def test_two_currencies_do_not_disturb_each_other() -> None:
    settings = quick("gain")
    both = {"BTC": measured(0, gain=0.6), "ETH": measured(0, gain=0.1, currency="ETH")}
    step = evaluate(AlertState(), both, settings, at_ns=at_ns(0))
    assert told(step.alerts) == [("BTC/gain", "raised")]
    both["ETH"] = measured(1, gain=-0.9, currency="ETH")
    assert told(evaluate(step.state, both, settings, at_ns=at_ns(1)).alerts) == [("ETH/gain", "raised")]
