"""Depth from outside the chain: a depth that follows volume against a plain loop, and impact from signed flow against a market that was made."""

from __future__ import annotations

import numpy as np
import pytest

from tailwag.errors import InputError
from tailwag.experiments.study.depths import flow_depth, volume_depth, with_depth
from tailwag.experiments.study.known import Known
from tailwag.experiments.study.returns import Returns, grid_returns
from tailwag.experiments.study.simulated import START_NS, uninformed
from tailwag.units import NS_PER_DAY, NS_PER_HOUR

STEP_NS = 15 * 60 * 1_000_000_000


def market(days: int = 80) -> tuple[Returns, np.ndarray, Known]:
    draw = np.random.default_rng(4)
    cells = days * 96
    vol = np.repeat(draw.uniform(0.001, 0.004, days), 96)
    returns = grid_returns(START_NS + STEP_NS * np.arange(cells), np.exp(np.cumsum(vol * draw.normal(size=cells))), STEP_NS)
    known = uninformed(START_NS + NS_PER_DAY * np.arange(20, days) + 5 * NS_PER_HOUR + 123, np.linspace(-0.2, 0.3, days - 20))
    return returns, np.repeat(draw.uniform(1e6, 9e6, days), 96), known


def test_depth_follows_the_volume_of_thirty_days_over_their_vol() -> None:
    returns, volume, known = market()
    volume[100:130] = np.nan
    found = volume_depth(known, returns, volume, mean_usd_per_pct=3e8)
    plain = []
    for at in known.known_ns.tolist():
        end = at - at % STEP_NS
        inside = [place for place, over in enumerate(returns.end_ns.tolist()) if end - 30 * NS_PER_DAY < over <= end]
        sizes = [volume[place] for place in inside if np.isfinite(volume[place]) and np.isfinite(returns.log_return[place])]
        squares = [returns.log_return[place] ** 2 for place in inside if np.isfinite(returns.log_return[place])]
        whole = inside[0] > 0 and len(sizes) >= 0.9 * 30 * 96 if inside else False
        plain.append(np.mean(sizes) / np.sqrt(np.mean(squares)) if whole else np.nan)
    told = np.array(plain) * 3e8 / np.nanmean(plain)
    assert np.isnan(told).sum() == 10
    np.testing.assert_allclose(found, told, rtol=1e-12)
    assert np.nanmean(found) == pytest.approx(3e8)


def test_a_market_twice_as_deep_halves_every_gain() -> None:
    known = market()[2]
    deeper = with_depth(
        Known(**{name: getattr(known, name) for name in known.__slots__ if name != "parts"}, parts={"a": known.gain}), known.gain * 0 + 2
    )
    for name in ("gain", "gross_gain", "expiring_gain", "expiring_gross_gain"):
        np.testing.assert_array_equal(getattr(deeper, name), getattr(known, name) / 2)
    np.testing.assert_array_equal(deeper.parts["a"], known.gain / 2)
    np.testing.assert_array_equal(deeper.atm_iv_7d, known.atm_iv_7d)


@pytest.mark.parametrize(("impact", "hedged"), [(4e-11, 6e9), (2e-10, -1.5e9), (1e-9, 0.0)])
def test_the_hedgers_own_flow_is_taken_out_of_impact(impact: float, hedged: float) -> None:
    draw = np.random.default_rng(11)
    news, own = draw.normal(0.0, 2e-3, 300_000), draw.normal(0.0, 2e7, 300_000)
    book = hedged * draw.uniform(0.5, 1.5, news.size)
    r = (news + impact * own) / (1.0 - impact * book)
    found = flow_depth(r, book * r + own, book)
    bias = np.mean(r * (book * r + own)) / np.mean((book * r + own) ** 2) / impact
    assert found.cleaned_usd_per_pct is not None
    assert found.naive_usd_per_pct is not None
    assert found.cleaned_usd_per_pct == pytest.approx(0.01 / impact, rel=0.02)
    assert found.naive_usd_per_pct == pytest.approx(0.01 / impact / bias, rel=1e-3)
    assert np.sign(round(bias - 1.0, 2)) == np.sign(hedged), "hedgers who buy rises make the market look shallow"


def test_flow_that_moves_nothing_has_no_depth_and_too_little_is_refused() -> None:
    draw = np.random.default_rng(5)
    r = draw.normal(size=1_000)
    assert flow_depth(r, -r, np.zeros(1_000)).naive_usd_per_pct is None
    with pytest.raises(InputError, match="expected returns and signed flow of 100 candles at least, got 50"):
        flow_depth(r[:50], r[:50], np.zeros(50))
    returns, volume, known = market(40)
    with pytest.raises(InputError, match="expected candles with volume over 30 days"):
        volume_depth(known, returns, np.full(volume.size, np.nan), mean_usd_per_pct=5e8)
