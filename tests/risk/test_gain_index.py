"""The daily index from single observations: which count, what the day says, and when it says nothing."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tailwag.risk.gain_index import DEFINITION, Observation, index_day, quoted

MINUTE_NS = 60 * 10**9
DAY_NS = 20_000 * 86_400 * 10**9
BEFORE, AFTER = 6 * 60 + 30, 8 * 60 + 30


def seen(minute: float, gain: float | None = 0.2, **changes: object) -> Observation:
    gex = -1e6 if gain is None else -gain * 1e8
    one = Observation(DAY_NS + round(minute * MINUTE_NS), (gex, gex / 2), (gain, gain and gain / 2), None, 6e9, 30e9, 0.01, 9e4, "one")
    return replace(one, **changes)  # type: ignore[arg-type]


def marks(start: int, count: int = 12, gain: float = 0.2, **changes: object) -> list[Observation]:
    return [seen(start + 5 * mark + 2, gain + 0.01 * mark, **changes) for mark in range(count)]


def middle(values: list[float]) -> float:
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def test_the_value_is_the_median_after_expiry_and_the_step_is_what_the_expiry_changed() -> None:
    found = index_day(DAY_NS, "BTC", [*marks(BEFORE, gain=0.5), *marks(AFTER, gain=0.2)]).document()
    assert found["loop_gain"] == pytest.approx(middle([0.2 + 0.01 * mark for mark in range(12)]), rel=1e-9)
    assert found["loop_gain_before_expiry"] == pytest.approx(0.3 + found["loop_gain"], rel=1e-9)
    assert found["expiry_step"] == pytest.approx(-0.3, rel=1e-9)
    assert (found["regime"], found["reason"], found["hedged_oi_ratio"]) == ("amplifying", None, 0.2)
    assert [rule["loop_gain"] for rule in found["after_expiry"]["by_rule"]] == pytest.approx([found["loop_gain"], found["loop_gain"] / 2])
    assert found["sources"] == ["one"]


def test_a_mark_counts_once_with_its_last_snapshot_in_whatever_order_they_come() -> None:
    burst = [seen(AFTER + 1 + second / 60, 9.0) for second in range(50)]
    all_of_them = [*burst, *marks(AFTER, gain=0.2)]
    expected = index_day(DAY_NS, "BTC", marks(AFTER, gain=0.2))
    random.Random(5).shuffle(all_of_them)
    assert index_day(DAY_NS, "BTC", all_of_them).after == expected.after
    assert index_day(DAY_NS, "BTC", all_of_them).after.measured == 12


@pytest.mark.parametrize(("minute", "inside"), [(510.0, True), (509.9999, False), (569.9999, True), (570.0, False), (450.0, False)])
def test_windows_hold_their_start_and_not_their_end(minute: float, inside: bool) -> None:
    five = [seen(AFTER + 5 * mark + 1) for mark in range(1, 6)]
    extra = seen(minute)
    assert index_day(DAY_NS, "BTC", [*five, extra]).after.measured == 5 + inside


def test_a_third_of_the_marks_says_nothing_and_half_of_them_does() -> None:
    short = index_day(DAY_NS, "BTC", marks(AFTER, 5)).document()
    assert (short["loop_gain"], short["regime"]) == (None, None)
    assert short["reason"] == short["hedged_oi_reason"] == "5 of 12 five-minute marks were measured, 6 are needed"
    assert short["hedged_oi_ratio"] is None
    assert short["after_expiry"]["by_rule"][0] == {"rule": DEFINITION.rules[0], "gex_usd_per_pct": None, "loop_gain": None}
    assert index_day(DAY_NS, "BTC", marks(AFTER, 6)).after.loop_gain is not None


def test_a_snapshot_that_masks_a_tenth_counts_and_one_that_masks_more_does_not() -> None:
    found = index_day(DAY_NS, "BTC", [*marks(AFTER, 6, masked_share=0.1), *[seen(AFTER + 31 + n, masked_share=0.1001) for n in (0, 6)]])
    assert (found.after.measured, found.after.left_out) == (6, 2)


def test_an_earlier_sound_snapshot_of_a_mark_stands_in_for_a_masked_one() -> None:
    late = [seen(AFTER + 5 * mark + 4, 7.0, masked_share=0.5) for mark in range(12)]
    assert index_day(DAY_NS, "BTC", [*marks(AFTER), *late]).after.loop_gain == index_day(DAY_NS, "BTC", marks(AFTER)).after.loop_gain


def test_where_the_rules_disagree_there_is_no_value_and_both_gains_stand() -> None:
    split = marks(AFTER, gex_usd_per_pct=(-2e7, 3e7), loop_gain=(0.1, -0.15))
    found = index_day(DAY_NS, "BTC", split).document()
    assert (found["loop_gain"], found["regime"]) == (None, "undetermined")
    assert "disagree" in found["reason"]
    assert [rule["loop_gain"] for rule in found["after_expiry"]["by_rule"]] == [0.1, -0.15]
    assert found["hedged_oi_ratio"] == 0.2


@pytest.mark.parametrize(
    ("gex", "gain", "regime"), [(-1e7, 0.99, "amplifying"), (-1e9, 1.0, "runaway"), (1e7, -0.3, "damping"), (1e9, -1.5, "damping")]
)
def test_the_regime_is_the_sign_of_the_gamma_and_whether_it_runs_away(gex: float, gain: float, regime: str) -> None:
    same = marks(AFTER, gex_usd_per_pct=(gex, gex), loop_gain=(gain, gain))
    assert index_day(DAY_NS, "BTC", same).after.regime == regime


def test_without_a_volume_there_is_neither_gain_nor_ratio_and_it_says_so() -> None:
    dry = marks(AFTER, loop_gain=(None, None), gain_reason="no 24 h volume", daily_volume_usd=None)
    found = index_day(DAY_NS, "BTC", dry).document()
    assert (found["loop_gain"], found["regime"], found["reason"]) == (None, "amplifying", "no 24 h volume")
    assert (found["hedged_oi_ratio"], found["hedged_oi_reason"]) == (None, "no 24 h volume in the source")


def test_a_book_that_nobody_holds_has_no_sign() -> None:
    empty = marks(AFTER, gex_usd_per_pct=(0.0, 0.0), loop_gain=(0.0, 0.0))
    assert index_day(DAY_NS, "BTC", empty).after.regime == "undetermined"


def test_other_days_do_not_count() -> None:
    tomorrow = [replace(one, at_ns=one.at_ns + 86_400 * 10**9) for one in marks(AFTER)]
    assert index_day(DAY_NS, "BTC", tomorrow).after.measured == 0


def test_a_quoted_number_has_nine_digits_and_no_negative_zero() -> None:
    assert quoted(0.1234567894999) == 0.123456789
    assert str(quoted(-0.0)) == "0.0"
    assert quoted(float("nan")) is None
