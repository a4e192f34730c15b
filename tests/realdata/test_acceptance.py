"""What the measurement must say of real chains: totals, signs, published figures, and agreement with the venue's own greeks."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from tailwag.experiments.measure import MeasureOptions, measure
from tailwag.experiments.report_json import strict_json
from tailwag.kernels.black import black_greeks
from tailwag.market.clock import parse_time_ns, years_to_expiry
from tailwag.positioning import LongCallsShortPuts
from tailwag.sources import load

pytestmark = pytest.mark.realdata

REST = "deribit-rest/gamma-data-btc-2025-11-19T11-21-13-295Z.json"
SPX = "spx-gex/spx_20240107_phammings.csv"


def document(path: Path, *, currency: str = "BTC", at: str | None = None, **options):
    snapshot = load(path, currency=currency, at_ns=None if at is None else parse_time_ns(at))
    found = measure(snapshot, MeasureOptions(**{"dynamics": "sticky-strike", **options})).document()
    strict_json(found)
    return found


def test_rest_file_counts_every_option_and_all_open_interest(data):
    found = document(data / REST)
    assert found["chain"]["instruments"] == 760
    assert found["chain"]["expiries"] == 11
    assert found["chain"]["open_interest_coin"] == pytest.approx(453_737.4, abs=1e-6)
    assert found["as_of"].startswith("2025-11-19T11:20:36.87")
    assert found["spot_usd"] == 91_630.07
    assert found["source"]["kind"] == "deribit-rest"


@pytest.mark.parametrize("at", ["2026-02-05T16:00:00Z", "2026-02-06T05:00:00Z", "2026-02-06T16:00:00Z", "2026-03-27T05:00:00Z"])
def test_crash_and_expiry_print_sign_undetermined(data, at):
    month = at[:7]
    found = document(data / f"deribit-chains/deribit_chain_{month}.parquet", at=at)
    assert found["gain"]["regime"] == "undetermined"
    assert found["headline"][0].startswith("sign undetermined: long-calls-short-puts amplifying, customers-sell-otm damping")


def test_the_forward_view_shows_what_the_march_expiry_takes_away(data):
    found = document(data / "deribit-chains/deribit_chain_2026-03.parquet", at="2026-03-27T05:00:00Z")
    gone = next(event for event in found["calendar"] if event["event"] == "expiry")
    after = next(row for row in found["forward"] if row["event"] == "after expiry 2026-03-27T08:00:00Z")
    assert gone["at"] == "2026-03-27T08:00:00Z"
    assert gone["gross_gex_removed_usd_per_pct"] > 0.3 * found["exposure"]["gross_gex_usd_per_pct"]
    assert after["gross_gex_usd_per_pct"] < 0.75 * found["exposure"]["gross_gex_usd_per_pct"]


@pytest.mark.parametrize(("gamma", "total"), [("file", -11.00e9), ("model", -20.85e9)])
def test_published_spx_totals_and_flip(data, gamma, total):
    found = document(
        data / SPX,
        currency="SPX",
        rules=(LongCallsShortPuts(),),
        gamma=gamma,
        day_count="busdays-262",
        spot_range=(0.8, 1.2),
        spot_levels=60,
    )
    assert found["exposure"]["gex_usd_per_pct"] == pytest.approx(total, abs=0.005e9)
    assert found["levels"]["flip_status"] == "one"
    assert found["levels"]["flips"][0]["spot_usd"] == pytest.approx(4_734.5, abs=0.5)


def test_okx_open_interest_is_in_coin(data):
    found = document(data / "okx-deribit-daily/okx_daily_2026-07-04_2026-08-22.parquet")
    assert 10_000 < found["chain"]["open_interest_coin"] < 100_000
    assert found["chain"]["venues"] == ["okx"]
    assert {row["source"] for row in found["surface"]["forwards"]} == {"put-call-parity"}


def test_two_venues_merge_with_their_own_contract_sizes(data):
    found = document(data / "okx-deribit-daily")
    by_venue = found["chain"]["open_interest_coin_by_venue"]
    assert set(by_venue) == {"deribit", "okx"}
    assert by_venue["deribit"] > 5 * by_venue["okx"] > 50_000
    total = sum(row["gross_gex_usd_per_pct"] for row in found["exposure"]["by_venue"])
    assert total == pytest.approx(found["exposure"]["gross_gex_usd_per_pct"], rel=1e-12)


def test_black_delta_agrees_with_deribits_own(data):
    """Recomputed from the file's own IV; the crawl is not simultaneous, so a small difference is the market's move."""
    gaps, days = [], []
    for month, at in (("2026-02", "2026-02-05T16:00:00Z"), ("2026-03", "2026-03-27T05:00:00Z"), ("2026-05", "2026-05-15T00:00:00Z")):
        snapshot = load(data / f"deribit-chains/deribit_chain_{month}.parquet", at_ns=parse_time_ns(at))
        chain = snapshot.chain
        years = years_to_expiry(chain.expiry_ns, chain.as_of_ns)
        rows = chain.priced & np.isfinite(chain.delta_published) & (years > 0)
        delta = black_greeks(chain.right[rows], chain.underlying_usd[rows], chain.strike_usd[rows], years[rows], chain.iv[rows])[1]
        gaps.append(np.abs(delta - chain.delta_published[rows]))
        days.append(365 * years[rows])
    gap, day = np.concatenate(gaps), np.concatenate(days)
    assert gap.size > 2_000
    assert np.median(gap) <= 2e-4
    assert np.quantile(gap[day > 30], 0.99) <= 5e-3
    assert np.quantile(gap, 0.99) <= 1.5e-2


def test_the_public_gamma_exposure_of_the_file_is_unsigned_gamma_times_a_hundred(data):
    """What the file's own gamma_exposure is: |gamma| rounded to 1e-5 times OI times 100; no sign, no S^2, no liquidity."""
    import json

    published = json.loads((data / REST).read_text())["gammaByExpiration"]
    rows = [row for expiry in published.values() for row in expiry["instruments"]]
    assert len(rows) == 686
    assert all(row["gamma_exposure"] >= 0 for row in rows)
    chain = load(data / REST).chain
    place = {name: index for index, name in enumerate(chain.instrument)}
    index = np.array([place[row["instrument_name"]] for row in rows])
    years = years_to_expiry(chain.expiry_ns[index], chain.as_of_ns)
    gamma = black_greeks(chain.right[index], chain.underlying_usd[index], chain.strike_usd[index], years, chain.iv[index])[2]
    stated = np.array([row["gamma_exposure"] for row in rows])
    ours = 100.0 * chain.open_interest_coin[index] * gamma
    # rounding gamma to 1e-5 costs up to 5e-6 of gamma, that is 5e-4 of OI in their unit
    assert (np.abs(stated - ours) <= 6.5e-4 * chain.open_interest_coin[index] + 1e-9).mean() > 0.95
    assert math.isclose(stated.sum(), ours.sum(), rel_tol=0.2)
