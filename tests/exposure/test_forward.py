"""Looking ahead: projections equal a book priced at that time, and the calendar takes away what it says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.exposure.stand_in import AT_NS, STICKY_MONEYNESS, chain_of, demo_chain, profile_of, surface_of

from tailwag.exposure import flow_calendar, forward_view
from tailwag.market.clock import parse_time_ns
from tailwag.market.snapshot import Futures
from tailwag.units import NS_PER_HOUR


def test_a_projection_is_the_book_measured_at_that_time() -> None:
    chain = demo_chain(seed=8)
    position = np.where(chain.right > 0, 1.0, -1.0) * chain.open_interest_coin
    profile = profile_of(chain, position, dynamics=STICKY_MONEYNESS, surface=surface_of(chain, skew=-0.1))
    view = forward_view(profile, hours=(6.0, 24.0), after_expiries=False)
    for item, hours in zip(view.projections, (6, 24), strict=True):
        alive = chain.expiry_ns > AT_NS + hours * NS_PER_HOUR
        later = chain.select(np.flatnonzero(alive))
        later = later.with_columns(expiry_ns=later.expiry_ns - hours * NS_PER_HOUR)
        again = profile_of(later, position[alive], dynamics=STICKY_MONEYNESS, surface=surface_of(later, skew=-0.1))
        assert item.gex_usd_per_pct == pytest.approx(again.totals.gex_usd_per_pct, rel=1e-11)
        assert item.gross_gex_usd_per_pct == pytest.approx(again.totals.gross_gex_usd_per_pct, rel=1e-11)
        assert item.vanna_usd_per_volpt == pytest.approx(again.totals.vanna_usd_per_volpt, rel=1e-11)
        assert item.charm_usd_per_day == pytest.approx(again.totals.charm_usd_per_day, rel=1e-11)
        assert item.flips_usd == pytest.approx([flip.spot_usd for flip in again.levels.flips], rel=1e-10)
        assert item.flip_status == again.levels.flip_status
    assert np.sum(~(chain.expiry_ns > AT_NS + 24 * NS_PER_HOUR)) > 5


def test_just_after_an_expiry_it_is_gone() -> None:
    chain = chain_of([1, 1], 60_000.0, [2.0, 30.0], 0.6, [100.0, 10.0])
    view = forward_view(profile_of(chain, [-100.0, -10.0]))
    assert [item.event for item in view.projections] == [
        "+1 h",
        "+6 h",
        "+24 h",
        "after expiry 2025-11-21T11:20:00Z",
        "after expiry 2025-12-19T11:20:00Z",
    ]
    before, after, end = (view.projections[index].gross_gex_usd_per_pct for index in (2, 3, 4))
    years = 28.0 / 365.0
    gamma = math.exp(-0.5 * (0.3 * math.sqrt(years)) ** 2) / math.sqrt(2 * math.pi) / (60_000.0 * 0.6 * math.sqrt(years))
    assert after == pytest.approx(10.0 * gamma * 60_000.0**2 / 100.0, rel=1e-12)
    assert before > 5.0 * after
    assert (end, view.projections[4].flips_usd) == (0.0, ())
    assert view.to_frame().shape[0] == 5
    assert "after expiry" in str(view)


def test_an_option_inside_its_settlement_average_is_projected_with_it() -> None:
    chain = chain_of(1, 60_000.0, 1.0 / 24.0 + 10.0 / 1440.0, 0.6, 10.0)  # in an hour, ten minutes are left
    item = forward_view(profile_of(chain, -10.0), hours=(1.0,), after_expiries=False).projections[0]
    assert item.gross_gex_usd_per_pct == pytest.approx(10.0 * 88.0088 / 60_000.0 * 60_000.0**2 / 100.0, rel=1e-5)


def test_the_calendar_removes_what_each_expiry_holds() -> None:
    chain = demo_chain()
    position = np.where(chain.right > 0, 1.0, -1.0) * chain.open_interest_coin
    profile = profile_of(chain, position)
    events = [event for event in flow_calendar(profile).events if event.event == "expiry"]
    assert [event.at_ns for event in events] == sorted(set(chain.expiry_ns.tolist()))
    assert math.fsum(event.gross_gex_removed_usd_per_pct or 0.0 for event in events) == pytest.approx(profile.totals.gross_gex_usd_per_pct)
    assert math.fsum(event.gex_removed_usd_per_pct or 0.0 for event in events) == pytest.approx(profile.totals.gex_usd_per_pct)
    assert math.fsum(event.open_interest_removed_coin or 0.0 for event in events) == pytest.approx(math.fsum(chain.open_interest_coin))


def test_crypto_settles_on_the_half_hour_before_and_shares_do_not() -> None:
    eight = (parse_time_ns("2025-11-21T08:00:00Z") - AT_NS) / (24 * NS_PER_HOUR)
    crypto = chain_of(1, 60_000.0, eight, 0.6, 10.0)
    events = flow_calendar(profile_of(crypto, 1.0)).events
    assert [event.event for event in events] == ["settlement-average", "expiry"]
    assert events[0].at_ns == parse_time_ns("2025-11-21T07:30:00Z")
    assert events[0].until_ns == parse_time_ns("2025-11-21T08:00:00Z")
    shares = chain_of(1, 60_000.0, eight, 0.6, 10.0, venue=np.array(["cboe"], dtype=object), settlement=["linear"])
    assert [event.event for event in flow_calendar(profile_of(shares, 1.0)).events] == ["expiry"]


def test_funding_comes_three_times_a_day_where_there_is_a_perp() -> None:
    profile = profile_of(chain_of(1, 60_000.0, 30.0, 0.6, 10.0), 1.0)
    perp = Futures.from_columns(instrument=["BTC-PERPETUAL"], kind=["perp"])
    times = [event.at_ns for event in flow_calendar(profile, perp).events if event.event == "funding"]
    assert times == [parse_time_ns(text) for text in ("2025-11-19T16:00:00Z", "2025-11-20T00:00:00Z", "2025-11-20T08:00:00Z")]
    dated = Futures.from_columns(instrument=["BTC-26DEC25"], kind=["future"])
    assert not [event for event in flow_calendar(profile, dated).events if event.event == "funding"]
    assert flow_calendar(profile, perp).to_frame()["event"].to_list().count("funding") == 3
    assert "expiry: takes" in str(flow_calendar(profile, perp))


def test_an_expiry_whose_rows_are_all_masked_removes_an_unknown_amount() -> None:
    chain = chain_of(1, 60_000.0, [2.0, 30.0], [0.0, 0.6], 10.0)
    expiries = [event for event in flow_calendar(profile_of(chain, -1.0)).events if event.event == "expiry"]
    assert expiries[0].gross_gex_removed_usd_per_pct is None
    assert expiries[1].gross_gex_removed_usd_per_pct is not None
