"""Time: only moments with an offset enter, and years to expiry are linear."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tailwag.errors import RuleError, TimeError
from tailwag.market.clock import epoch_ns, format_time, parse_time_ns, valid_time, years_to_expiry
from tailwag.market.instrument import parse_option
from tailwag.units import NS_PER_DAY, NS_PER_SECOND, NS_PER_YEAR


@pytest.mark.parametrize("text", ["2026-03-27T08:00:00", "2026-03-27", "2026-03-27 08:00"])
def test_item_26_a_naive_time_is_refused(text: str) -> None:
    with pytest.raises(TimeError, match="no offset"):
        parse_time_ns(text)


@pytest.mark.parametrize("text", ["2026-03-27T08:00:00Z", "2026-03-27T09:00:00+01:00", "2026-03-27T03:30:00-04:30", "20260327T080000Z"])
def test_item_26_an_aware_time_is_one_moment(text: str) -> None:
    assert parse_time_ns(text) == int(datetime(2026, 3, 27, 8, tzinfo=UTC).timestamp()) * NS_PER_SECOND


@pytest.mark.parametrize(
    "text", ["", "now", "0", "1774598400", "2026-13-01T00:00:00Z", "2026-03-27T08:00:00Z\0", "٢٠٢٦-03-27T08:00:00Z", "9" * 10_000]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(TimeError) as refusal:
        parse_time_ns(text)
    assert str(refusal.value).isascii()
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize("text", ["1970-01-01T00:00:00Z", "2008-12-31T23:59:59Z", "2100-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00"])
def test_item_29_a_time_outside_2009_to_2100_is_refused(text: str) -> None:
    with pytest.raises(TimeError, match="2009 to 2100"):
        parse_time_ns(text)


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/London", "Australia/Sydney", "UTC"])
@pytest.mark.parametrize("name", ["BTC-29MAR26-60000-C", "BTC-25OCT26-60000-C", "BTC-8MAR26-60000-C", "BTC-1NOV26-60000-C"])
def test_item_27_expiries_do_not_move_with_summer_time(zone: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=parse_option(name).expiry_ns // NS_PER_SECOND)
    assert (moment.hour, moment.minute, moment.second) == (8, 0, 0)
    assert parse_time_ns(moment.astimezone(ZoneInfo(zone)).isoformat()) == parse_option(name).expiry_ns


def test_item_28_a_leap_second_is_the_next_second() -> None:
    before, leap, after = (parse_time_ns(text) for text in ("2016-12-31T23:59:59Z", "2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"))
    assert before < leap <= after
    assert leap == after


@pytest.mark.parametrize(
    ("count", "valid"),
    [
        pytest.param(1_774_598_400_000, True, id="item-29-milliseconds"),
        pytest.param(1_774_598_400, False, id="item-29-seconds"),
        pytest.param(1_774_598_400_000_000, False, id="item-29-microseconds"),
        pytest.param(1_774_598_400_000_000_000, False, id="item-29-nanoseconds"),
        pytest.param(0, False, id="item-29-zero-is-neither-now-nor-1970"),
        pytest.param(-1, False, id="item-29-negative"),
        pytest.param(float("nan"), False, id="item-29-nan"),
        pytest.param(float("inf"), False, id="item-29-inf"),
        pytest.param(1e300, False, id="item-29-1e300"),
    ],
)
def test_item_29_counts_in_another_unit_are_no_time(count: float, valid: bool) -> None:
    time_ns = epoch_ns([count])
    assert bool(time_ns[0]) is valid
    assert bool(valid_time(time_ns)[0]) is valid


def test_item_32_years_are_linear_to_a_microsecond_over_five_years() -> None:
    start = parse_time_ns("2026-03-20T11:59:59.999999Z")
    rng = np.random.Generator(np.random.Philox(32))
    steps = rng.integers(0, 5 * NS_PER_YEAR, size=2_000)
    years = years_to_expiry(start + steps, start)
    exact_us = steps / 1_000
    assert np.max(np.abs(years * (NS_PER_YEAR / 1_000) - exact_us)) < 1.0
    one_day = years_to_expiry(start + steps + NS_PER_DAY, start) - years
    assert np.allclose(one_day, 1 / 365, rtol=0, atol=1e-12)


def test_item_32_nothing_is_rounded_to_days_or_seconds() -> None:
    start = parse_time_ns("2026-03-20T08:00:00Z")
    assert years_to_expiry(np.array([start + 1_000]), start)[0] == pytest.approx(1e-6 / (365 * 86_400), rel=1e-12)
    assert years_to_expiry(np.array([start - NS_PER_DAY // 2]), start)[0] == pytest.approx(-0.5 / 365, rel=1e-12)


def test_business_days_count_at_least_one() -> None:
    friday = parse_time_ns("2024-01-05T21:00:00Z")
    days = np.array([parse_time_ns(text) for text in ("2024-01-05T21:00:00Z", "2024-01-08T21:00:00Z", "2024-01-12T21:00:00Z")])
    assert (years_to_expiry(days, friday, day_count="busdays-262") * 262).tolist() == [1.0, 1.0, 5.0]


def test_an_unknown_day_count_is_refused() -> None:
    with pytest.raises(RuleError, match="30-360"):
        years_to_expiry(np.array([0]), 0, day_count="30-360")


@pytest.mark.parametrize("text", ["2026-03-27T08:00:00Z", "2025-11-19T11:20:36.870123Z"])
def test_times_print_as_they_are_read(text: str) -> None:
    assert format_time(parse_time_ns(text)) == text
