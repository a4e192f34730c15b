"""What a user holds in Python: every noun says itself in a sentence, gives a frame of the right length, and draws where there is something to see."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tailwag as tw
from tailwag.errors import RuleError

KINDS = ("measured", "snapshot", "surface", "profile", "gain")


@pytest.fixture(scope="module")
def measured() -> Any:
    options = tw.MeasureOptions(dynamics="sticky-strike", liquidity="given", depth_usd_per_pct=40e6)
    return tw.measure(tw.demo(seed=7), options)


def nouns(measured: Any) -> dict[str, Any]:
    snapshot, profile, book = measured.snapshot, measured.profiles[0], measured.profiles[0].book
    laws = {law.name: law for law in tw.impacts_from_snapshot(snapshot)}
    assert snapshot.trades is not None
    return {
        "snapshot": (snapshot, len(snapshot.chain)),
        "chain": (snapshot.chain, len(snapshot.chain)),
        "futures": (snapshot.futures, len(snapshot.futures)),
        "order book": (snapshot.books[0], snapshot.books[0].bid_coin.size + snapshot.books[0].ask_coin.size),
        "trades": (snapshot.trades, len(snapshot.trades)),
        "surface": (measured.surface, len(measured.surface.smiles)),
        "smile": (measured.surface.smiles[0], len(measured.surface.smiles[0].points)),
        "forwards": (measured.surface.forwards, len(measured.surface.forwards)),
        "ssvi": (measured.surface.ssvi, measured.surface.ssvi.theta.size),
        "positions": (tw.infer_positions(snapshot, rule=tw.ShortAll()), len(snapshot.chain)),
        "book": (book, len(book)),
        "totals": (profile.totals, 1),
        "by expiry": (tw.by_expiry(book), len(np.unique(book.chain.expiry_ns[book.usable]))),
        "profile": (profile, profile.spot_usd.size),
        "levels": (profile.levels, None),
        "flows": (tw.hedge_flows(profile, **tw.scenario_grid([-3.0, 0.0, 3.0], [0.0], [0.0])), 3),
        "forward view": (tw.forward_view(profile, hours=(1.0, 6.0), after_expiries=False), 2),
        "calendar": (tw.flow_calendar(profile, snapshot.futures), None),
        "book law": (laws["book"], laws["book"].bids.distance_pct.size + laws["book"].asks.distance_pct.size),
        "gain": (measured.gain, len(measured.gain.by_law)),
        "measurement": (measured, len(measured.profiles)),
        "own book": (tw.read_own_book("instrument,amount_usd\nBTC-PERPETUAL,1000\n", profile, futures=snapshot.futures), None),
        "trade": (tw.trade_effect("100 BTC-PERPETUAL", profile, futures=snapshot.futures), None),
    }


def test_every_noun_is_a_sentence_and_a_frame(measured: Any) -> None:
    for name, (noun, rows) in nouns(measured).items():
        said = str(noun)
        assert len(said) > 20, name
        assert not said.startswith(f"{type(noun).__name__}("), f"{name} prints its fields, not a sentence"
        assert "nan" not in said.lower().split(), name
        frame = noun.to_frame()
        assert frame.height > 0, name
        assert rows is None or frame.height == rows, name
        holes = [column.name for column in frame.iter_columns() if column.dtype.is_float() and column.is_nan().any()]
        assert not holes, f"{name}: NaN where null is meant in {holes}"


def test_nouns_draw_what_they_hold(measured: Any) -> None:
    held = {name: noun for name, (noun, _) in nouns(measured).items()}
    calendar = held["calendar"].plot()
    removed = held["calendar"].to_frame()["gross_gex_removed_usd_per_pct"].drop_nulls()
    taken = np.concatenate([np.asarray(trace.x, dtype=float) for trace in calendar.data if trace.name == "taken away"])
    left = np.concatenate([np.asarray(trace.x, dtype=float) for trace in calendar.data if trace.name == "left afterwards"])
    # what is left before the first expiry is today's gross: all of it expires at last
    assert left[0] + taken[0] == pytest.approx(measured.profiles[0].totals.gross_gex_usd_per_pct / 1e6)
    assert sorted(taken * 1e6) == pytest.approx(sorted(removed.to_list()))
    assert len(held["surface"].plot().data) == 2
    assert [trace.name for trace in held["smile"].plot().data][-1] == "fit"
    assert len(held["profile"].plot().data) >= 1
    assert len(held["flows"].plot().data) >= 1
    assert len(held["forward view"].plot().data) >= 1
    assert len(held["by expiry"].plot().data) >= 1
    assert len(measured.plot().data) > len(held["profile"].plot().data)  # the gain is drawn beside the exposure


def test_a_gain_draws_rules_laws_and_spots(measured: Any) -> None:
    who, laws = measured.gain.plot("rule"), measured.gain.plot("law")
    words = " ".join(str(note.text) for note in who.layout.annotations)
    assert "long-calls-short-puts" in words
    assert "customers-sell-otm" in words
    assert "$40.0m per 1 %" in " ".join(str(note.text) for note in laws.layout.annotations)
    with pytest.raises(RuleError, match="'rule', 'law' or 'spot'"):
        measured.gain.plot("venue")


def test_a_measurement_lists_one_row_per_rule(measured: Any) -> None:
    frame = measured.to_frame()
    assert frame["rule"].to_list() == [profile.book.rule for profile in measured.profiles]
    assert frame["gain"].to_list() == pytest.approx((-frame["gex_usd_per_pct"] / 40e6).to_list())


@pytest.fixture(scope="module")
def two_gains() -> Any:
    found = {}
    for currency, depth_usd in (("BTC", 40e6), ("ETH", 15e6)):
        snapshot = tw.demo(seed=7, currency=currency)
        surface = tw.fit_surface(snapshot)
        held = tw.infer_positions(snapshot, rule=tw.ShortAll())
        profile = tw.exposure_profile(held, surface, dynamics="sticky-strike", spot_levels=41)
        found[currency] = tw.loop_gain(profile, tw.LinearImpact(depth_usd), move_pct=1.0, hedge_share=0.3)
    return found


def test_markets_that_do_not_touch_keep_their_own_gains(two_gains: Any) -> None:
    apart = tw.joint_gain(two_gains, cross_moves=np.eye(2))
    assert np.diagonal(apart.gain).tolist() == pytest.approx([gain.value for gain in two_gains.values()])
    assert apart.spectral_radius == pytest.approx(max(abs(gain.value) for gain in two_gains.values()))
    assert "BTC, ETH" in str(apart)


def test_flow_in_one_market_moves_the_other(two_gains: Any) -> None:
    btc, eth = (gain.value for gain in two_gains.values())
    joint = tw.joint_gain(two_gains, cross_moves=[[1.0, 0.3], [0.9, 1.0]])
    # a BTC move of 1 % makes BTC dealers trade what moves BTC by g_btc %, and ETH by 0.9 times that
    assert joint.gain[1, 0] == pytest.approx(0.9 * btc)
    assert joint.gain[0, 1] == pytest.approx(0.3 * eth)
    root = ((btc - eth) ** 2 + 4 * 0.9 * 0.3 * btc * eth) ** 0.5
    assert joint.largest_real_part == pytest.approx((btc + eth + root) / 2)
    frame = joint.to_frame()
    assert frame.filter((frame["asset"] == "ETH") & (frame["moved_by"] == "BTC"))["gain"].item() == joint.gain[1, 0]


@pytest.mark.parametrize("cross", [[[1.0]], [[0.5, 0.0], [0.0, 1.0]], [1.0, 1.0]])
def test_a_joint_gain_needs_every_cross_move(two_gains: Any, cross: Any) -> None:
    with pytest.raises(RuleError, match="ones on the diagonal"):
        tw.joint_gain(two_gains, cross_moves=cross)


def test_a_joint_gain_needs_every_depth(two_gains: Any) -> None:
    from tailwag.liquidity import UnknownImpact

    silent = tw.loop_gain(two_gains["ETH"].inputs, UnknownImpact("none", "nobody looked"), move_pct=1.0)
    with pytest.raises(RuleError, match=r"ETH has no depth \(.*nobody looked"):
        tw.joint_gain({"BTC": two_gains["BTC"], "ETH": silent}, cross_moves=np.eye(2))
