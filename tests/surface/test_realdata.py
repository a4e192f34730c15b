"""Real chains: every expiry gets a finite smile with a sensible residual, and forwards that the market itself confirms."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tailwag.market.clock import parse_time_ns
from tailwag.market.snapshot import Snapshot
from tailwag.surface import Surface, fit_surface

pytestmark = pytest.mark.realdata

REST = "deribit-rest/gamma-data-btc-2025-11-19T11-21-13-295Z.json"
CRAWL = "deribit-chains/deribit_chain_2026-{month}.parquet"
Load = Callable[..., Snapshot]


@pytest.fixture(scope="module")
def load() -> Load:
    root = os.environ.get("TAILWAG_DATA")
    if not root:
        pytest.skip("TAILWAG_DATA is unset: it names the folder of optional real market data")

    def loader(path: str, currency: str = "BTC", at: str | None = None) -> Snapshot:
        from tailwag.sources import load as read

        return read(Path(root) / path, currency=currency, at_ns=None if at is None else parse_time_ns(at))

    return loader


def is_sane(surface: Surface) -> None:
    for smile in surface.smiles:
        low, high = smile.quoted_range
        vols = smile.vol(np.linspace(low, high, 101))
        assert np.isfinite(vols).all(), smile
        assert (vols > 0.01).all(), smile
        assert (vols < 30.0).all(), smile
    with_smile = surface.smile_of_row >= 0
    assert np.isfinite(surface.row_vols("surface").iv[with_smile]).all()
    moved = surface.moved_vols(surface.fitted_vols(), np.linspace(-0.7, 0.4, 12), "sticky-moneyness")[:, with_smile]
    assert np.isfinite(moved).all()
    assert (moved > 0.0).all()
    json.dumps(surface.document(), allow_nan=False)


def test_deribit_rest_eleven_smiles_within_a_vol_point(load: Load) -> None:
    surface = fit_surface(load(REST))
    is_sane(surface)
    assert len(surface.smiles) == 11
    residuals = {smile.expiry_ns: round(smile.rmse_volpt, 2) for smile in surface.smiles}
    assert max(residuals.values()) < 0.8, residuals
    assert float(np.median(list(residuals.values()))) < 0.35, residuals
    assert min(smile.inside_share or 0.0 for smile in surface.smiles) > 0.8
    assert all(smile.butterfly_min_g >= 0.0 for smile in surface.smiles)
    assert surface.calendar_violations == ()
    assert set(surface.forwards.source) == {"future", "synthetic"}
    near = np.abs(surface.log_moneyness) < 0.1
    assert float(np.median(np.abs(surface.fitted_vols() - surface.chain.iv)[near])) < 0.003


@pytest.mark.parametrize("currency", ["BTC", "ETH"])
@pytest.mark.parametrize(
    ("month", "at"),
    [("02", "2026-02-05T23:59:00Z"), ("02", "2026-02-06T12:00:00Z"), ("03", "2026-03-27T07:59:59Z"), ("05", "2026-05-20T00:00:00Z")],
)
def test_crawls_of_the_crash_and_of_an_expiry_day(load: Load, currency: str, month: str, at: str) -> None:
    surface = fit_surface(load(CRAWL.format(month=month), currency, at))
    is_sane(surface)
    assert len(surface.smiles) >= 9
    beyond_a_day = [smile.rmse_volpt for smile in surface.smiles if smile.years > 2 / 365]
    assert float(np.median(beyond_a_day)) < 1.0
    assert sum(smile.model in ("svi", "svi-repaired") for smile in surface.smiles) >= len(surface.smiles) - 1
    sources = {expiry: source for _, expiry, _, source in surface.forwards}
    assert set(sources.values()) <= {"future", "synthetic", "put-call-parity"}
    for smile in surface.smiles:
        near = (surface.chain.expiry_ns == smile.expiry_ns) & np.isfinite(surface.chain.underlying_usd)
        exact = sources[smile.expiry_ns] != "put-call-parity"  # there the venue sends its index, and has no future
        assert smile.forward_usd == pytest.approx(float(np.median(surface.chain.underlying_usd[near])), rel=1e-12 if exact else 2e-3)


@pytest.mark.parametrize("currency", ["BTC", "ETH"])
def test_okx_sends_its_index_so_parity_gives_the_forwards(load: Load, currency: str) -> None:
    okx = fit_surface(load("okx-deribit-daily/okx_daily_2026-07-04_2026-08-22.parquet", currency))
    is_sane(okx)
    assert set(okx.forwards.source) == {"put-call-parity"}
    deribit = fit_surface(load("okx-deribit-daily/deribit_daily_2026-07-04_2026-08-22.parquet", currency))
    assert "index" not in set(deribit.forwards.source)
    there = {(expiry // 86_400_000_000_000): forward for _, expiry, forward, _ in deribit.forwards}
    shared = [
        (forward, there[expiry // 86_400_000_000_000]) for _, expiry, forward, _ in okx.forwards if expiry // 86_400_000_000_000 in there
    ]
    assert len(shared) >= 8
    apart = np.array([abs(mine / theirs - 1.0) for mine, theirs in shared])
    assert apart.max() < 8e-3  # the two venues' marks of next June differ by this much
    assert float(np.median(apart)) < 1e-3
    assert float(np.median([smile.rmse_volpt for smile in okx.smiles])) < 1.0


def test_spx_forwards_discounts_and_smiles(load: Load) -> None:
    surface = fit_surface(load("spx-gex/spx_20240107_phammings.csv", "SPX"))
    is_sane(surface)
    assert len(surface.smiles) > 50
    assert float(np.median([smile.rmse_volpt for smile in surface.smiles])) < 0.3
    curve = surface.forwards
    year = int(np.argmin(np.abs(curve.years - 1.0)))
    rate = -np.log(curve.discount[year]) / curve.years[year]
    assert 0.045 < rate < 0.056  # one-year USD rates of January 2024
    assert 1.02 < curve.forward_usd[year] / curve.index_usd[year] < 1.045  # rates less dividends


def test_spy_is_american_and_takes_spot(load: Load) -> None:
    surface = fit_surface(load("spx-gex/spy_20250925_ralpheboy.csv", "SPY"))
    is_sane(surface)
    assert set(surface.forwards.source) == {"index"}
