"""Forwards: the best source wins and is named, parity recovers what is hidden, doubts are flagged and nothing is guessed in silence."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.surface.market import AT_NS, SPOT, expiry_columns, snapshot

from tailwag.market.chain import Chain
from tailwag.market.codes import RowCode
from tailwag.market.snapshot import Futures, Snapshot
from tailwag.surface import ForwardCurve, forward_curve
from tailwag.units import NS_PER_DAY


def forward_of(days: float, basis_per_year: float = 0.06) -> float:
    return SPOT * math.exp(basis_per_year * days / 365)


def curve(made: Snapshot, futures: Futures | None = None) -> ForwardCurve:
    return forward_curve(made.chain, futures)


class TestSource:
    def test_the_venues_own_future(self) -> None:
        found = curve(snapshot(expiry_columns(7), expiry_columns(30)))
        assert found.source.tolist() == ["future", "future"]
        assert found.forward_usd == pytest.approx([forward_of(7), forward_of(30)])

    def test_a_synthetic_underlying_is_called_so(self) -> None:
        assert curve(snapshot(expiry_columns(7), expiry_columns(30), underlying_name="SYN.BTC-7")).source.tolist() == ["synthetic"] * 2

    def test_unnamed_underlyings_that_vary_are_the_venues_own(self) -> None:
        found = curve(snapshot(expiry_columns(7), expiry_columns(30), underlying_name=""))
        assert found.source.tolist() == ["synthetic"] * 2
        assert found.forward_usd == pytest.approx([forward_of(7), forward_of(30)])

    def test_one_underlying_for_all_expiries_is_the_index_and_parity_is_better(self) -> None:
        found = curve(snapshot(expiry_columns(7), expiry_columns(180), underlying_name="", underlying_usd=SPOT))
        assert found.source.tolist() == ["put-call-parity"] * 2
        assert found.forward_usd == pytest.approx([forward_of(7), forward_of(180)], rel=1e-4)

    def test_index_price_is_the_index_only_when_nothing_is_better(self) -> None:
        named = {"underlying_name": "index_price", "underlying_usd": SPOT}
        assert curve(snapshot(expiry_columns(30), **named)).source.tolist() == ["put-call-parity"]
        bare = curve(snapshot(expiry_columns(30), **named, bid_quoted=np.nan, ask_quoted=np.nan, mark_quoted=np.nan))
        assert (bare.source.tolist(), bare.forward_usd.tolist()) == (["index"], [SPOT])

    def test_index_price_beside_named_futures_is_still_the_index(self) -> None:
        """A crawl: the near expiry has no future, its rows carry the index of slightly different moments."""
        drifting = [SPOT * (1 + 1e-5 * i) for i in range(50)]
        far = expiry_columns(30)
        made = snapshot(
            expiry_columns(7),
            far,
            underlying_name=["index_price"] * 50 + far["underlying_name"],
            underlying_usd=drifting + far["underlying_usd"],
        )
        found = curve(made)
        assert found.source.tolist() == ["put-call-parity", "future"]
        assert found.forward_usd == pytest.approx([forward_of(7), forward_of(30)], rel=1e-4)

    def test_a_dated_future_of_the_venue_beats_parity(self) -> None:
        futures = Futures.from_columns(
            instrument=["BTC-30"], venue=["deribit"], kind=["future"], expiry_ns=[AT_NS + 30 * NS_PER_DAY], mark_usd=[91_234.0]
        )
        found = curve(snapshot(expiry_columns(30), underlying_usd=np.nan), futures)
        assert (found.source.tolist(), found.forward_usd.tolist()) == (["future"], [91_234.0])

    def test_american_options_take_spot(self) -> None:
        found = curve(snapshot(expiry_columns(30, settlement="linear"), style="american", underlying_usd=np.nan))
        assert (found.source.tolist(), found.forward_usd.tolist()) == (["index"], [SPOT])

    def test_a_crawls_median_is_taken(self) -> None:
        made = snapshot(expiry_columns(30))
        drifting = made.chain.underlying_usd * (1 + np.linspace(-0.02, 0.02, len(made.chain)))
        assert curve(snapshot(expiry_columns(30), underlying_usd=drifting)).forward_usd[0] == pytest.approx(forward_of(30), rel=1e-3)

    def test_nothing_at_all_is_missing_with_a_code(self) -> None:
        made = snapshot(expiry_columns(30), expiry_columns(60))
        far = made.chain.expiry_ns > AT_NS + 40 * NS_PER_DAY
        blank = {
            name: np.where(far, np.nan, getattr(made.chain, name))
            for name in ("underlying_usd", "index_usd", "bid_quoted", "ask_quoted", "mark_quoted")
        }
        chain = made.chain.with_columns(**{**blank, "index_usd": np.full(far.size, np.nan)})
        found = forward_curve(chain)
        assert found.source.tolist() == ["future", ""]
        forward, codes = found.rows(chain)
        assert np.isnan(forward[far]).all()
        assert (codes[far] == int(RowCode.FORWARD_MISSING)).all()
        assert (codes[~far] == 0).all()


class TestParity:
    @pytest.mark.parametrize("settlement", ["inverse", "linear"])
    @pytest.mark.parametrize("basis", [-0.2, 0.0, 0.1])
    def test_recovers_the_hidden_forward(self, settlement: str, basis: float) -> None:
        made = snapshot(expiry_columns(60, basis_per_year=basis, settlement=settlement, noise_vol=0.01), underlying_usd=np.nan)
        found = curve(made)
        assert found.source.tolist() == ["put-call-parity"]
        assert found.forward_usd[0] == pytest.approx(forward_of(60, basis), rel=2e-4)

    def test_reads_marks_where_quotes_are_one_sided(self) -> None:
        assert curve(snapshot(expiry_columns(60), underlying_usd=np.nan, bid_quoted=np.nan)).forward_usd[0] == pytest.approx(
            forward_of(60), rel=1e-9
        )

    def test_finds_the_discount_of_dollar_options(self) -> None:
        made = snapshot(expiry_columns(365, settlement="linear", rate=0.05, reach=1.0), underlying_usd=np.nan)
        found = curve(made)
        assert found.discount[0] == pytest.approx(math.exp(-0.05), rel=1e-3)
        assert found.forward_usd[0] == pytest.approx(forward_of(365), rel=1e-3)

    def test_the_discount_matters_where_no_strike_is_at_the_money(self) -> None:
        """All strikes below the forward: F = K + (C - P) / D, and forgetting D would cost 5 % of the gap."""
        made = snapshot(expiry_columns(365, settlement="linear", rate=0.05, reach=0.6, strikes=41), underlying_usd=np.nan)
        chain = made.chain.select(made.chain.strike_usd < 0.95 * forward_of(365))
        assert forward_curve(chain).forward_usd[0] == pytest.approx(forward_of(365), rel=3e-4)

    def test_two_pairs_are_too_few(self) -> None:
        assert curve(snapshot(expiry_columns(60, strikes=2), underlying_usd=np.nan)).source.tolist() == ["index"]

    def test_an_absurd_parity_gives_way_to_the_index(self) -> None:
        """Stale quotes of another price level: 40 % away in a week is no basis."""
        made = snapshot(expiry_columns(7), underlying_usd=np.nan, index_usd=SPOT * 1.4)
        assert (curve(made).source.tolist(), curve(made).forward_usd.tolist()) == (["index"], [SPOT * 1.4])

    def test_one_wild_pair_does_not_move_it(self) -> None:
        made = snapshot(expiry_columns(60), underlying_usd=np.nan)
        wild = made.chain.ask_quoted.copy()
        wild[24] *= 3
        assert curve(snapshot(expiry_columns(60), underlying_usd=np.nan, ask_quoted=wild)).forward_usd[0] == pytest.approx(
            forward_of(60), rel=1e-4
        )


class TestDoubts:
    def test_an_ordinary_basis_is_no_doubt(self) -> None:
        """4.6 % to September is ordinary; the allowance is the larger of 5 % and 25 % a year."""
        for days, basis, flagged in [(300, 0.056, False), (7, 2.3, False), (7, 3.0, True), (300, 0.28, True)]:
            made = snapshot(expiry_columns(days, basis_per_year=basis))
            codes = curve(made).rows(made.chain)[1]
            assert bool((codes == int(RowCode.FORWARD_DISAGREES)).all()) is flagged, (days, basis)

    def test_a_row_without_a_readable_expiry_has_no_forward(self) -> None:
        whole = snapshot(expiry_columns(7)).chain
        chain = whole.with_columns(expiry_ns=[0, *whole.expiry_ns[1:].tolist()], codes=[int(RowCode.TIME_INVALID), *[0] * 49])
        forward, codes = forward_curve(chain).rows(chain)
        assert np.isnan(forward[0])
        assert np.isfinite(forward[1:]).all()
        assert codes.tolist() == [int(RowCode.FORWARD_MISSING), *[0] * 49]

    def test_an_empty_chain_has_an_empty_curve(self) -> None:
        chain = Chain.from_columns(currency="BTC", as_of_ns=AT_NS, instrument=[])
        found = forward_curve(chain)
        assert len(found) == 0
        assert found.rows(chain)[0].shape == (0,)
        assert str(found).startswith("no forward")

    def test_prints_its_sources(self) -> None:
        assert "1 from future, 1 from synthetic" in str(
            curve(snapshot(expiry_columns(7), expiry_columns(30), underlying_name=["BTC-7"] * 50 + ["SYN.BTC-30"] * 50))
        )

    def test_venues_keep_their_own_forwards(self) -> None:
        found = curve(snapshot(expiry_columns(30), expiry_columns(30, venue="okx", basis_per_year=0.12), expiry_columns(60, venue="okx")))
        assert list(zip(found.venue.tolist(), found.forward_usd.round(4).tolist()))[:2] == [
            ("deribit", round(forward_of(30), 4)),
            ("okx", round(forward_of(30, 0.12), 4)),
        ]
