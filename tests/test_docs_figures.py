"""Figures of real data that the pages quote, computed again from the files: a page that quotes another number fails here."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tailwag as tw
from tailwag.exposure import Book, exposure_totals, priced_book
from tailwag.market.clock import parse_time_ns
from tailwag.positioning import infer_positions
from tailwag.surface import fit_surface

pytestmark = pytest.mark.realdata

DOCS = Path(__file__).resolve().parents[1] / "docs"
REST = "deribit-rest/gamma-data-btc-2025-11-19T11-21-13-295Z.json"
SPX = "spx-gex/spx_20240107_phammings.csv"
BN, M = 1e9, 1e6


@pytest.fixture(scope="module")
def data() -> Path:
    folder = os.environ.get("TAILWAG_DATA")
    if not folder or not (Path(folder) / "INDEX.md").is_file():
        pytest.skip("set TAILWAG_DATA to the folder of real market data to run this")
    return Path(folder)


def says(page: str, *quoted: str) -> None:
    """Every quoted figure stands in the page, whatever its line breaks."""
    text = re.sub(r"\s+", " ", (DOCS / page).read_text(encoding="utf-8"))
    for words in quoted:
        assert words in text, f"{page} does not say {words!r}"


# SPX, 7 January 2024


@pytest.fixture(scope="module")
def spx(data: Path) -> Any:
    return tw.load(data / SPX, currency="SPX")


def spx_document(market: Any, **options: Any) -> Any:
    from tailwag.experiments.measure import MeasureOptions

    chosen = {"dynamics": "sticky-strike", "rules": (tw.LongCallsShortPuts(),), "spot_range": (0.8, 1.2), "spot_levels": 60, **options}
    return tw.measure(market, MeasureOptions(**chosen)).document()


@pytest.fixture(scope="module")
def spx_steps(spx: Any) -> dict[str, Any]:
    weekdays = {"day_count": "busdays-262"}
    return {
        "file": spx_document(spx, gamma="file", **weekdays),
        "flat": spx_document(spx, **weekdays),
        "carry": spx_document(spx, forward="market", **weekdays),
        "calendar": spx_document(spx, forward="market", spot_levels=5),  # its total alone is quoted
    }


def net(document: Any) -> float:
    return float(document["exposure"]["gex_usd_per_pct"]) / BN


def test_the_two_published_totals_and_the_steps_between_them(spx: Any, spx_steps: dict[str, Any]) -> None:
    chain = spx.chain
    held = np.where(chain.is_call, 1.0, -1.0) * np.nan_to_num(chain.open_interest_coin) * spx.spot_usd**2 / 100.0 / BN
    with_iv = chain.usable & (chain.iv > 0.0)
    same_rows = float((held * np.nan_to_num(chain.gamma_published))[with_iv].sum())
    figures = [net(spx_steps["flat"]), net(spx_steps["carry"]), net(spx_steps["calendar"]), same_rows, net(spx_steps["file"])]
    shown = [f"{value:.2f}" for value in figures]
    assert shown == ["-20.85", "-11.36", "-11.24", "-11.02", "-11.00"]
    says("explanation/why-numbers-differ.md", *(f"| {value} |" for value in shown))
    flat, carry, calendar, same, column = figures
    says(
        "explanation/why-numbers-differ.md",
        f"Of {column - flat:.2f} Bn, {carry - flat:.2f} are the forward",
        f"the day count {calendar - carry:.2f}",
        f"{same - calendar:.2f}; and {column - same:.2f}",
    )
    says("how-to/published-sp500-gamma.md", *(f"| {value} Bn |" for value in (shown[4], shown[0], shown[1])))
    rows = int((chain.usable & ~with_iv & (np.nan_to_num(chain.gamma_published) > 0) & (held != 0)).sum())
    says("explanation/why-numbers-differ.md", f"{rows} held rows")


def test_gross_agrees_and_flips_follow_the_forward(spx_steps: dict[str, Any]) -> None:
    column, flat, carry = (spx_steps[name] for name in ("file", "flat", "carry"))
    by_right = {row["right"]: row["gex_usd_per_pct"] / BN for row in flat["exposure"]["by_right"]}
    says(
        "explanation/why-numbers-differ.md",
        f"{column['exposure']['gross_gex_usd_per_pct'] / BN:.1f} Bn from the column",
        f"{flat['exposure']['gross_gex_usd_per_pct'] / BN:.1f} Bn from the formula",
        f"{by_right['call']:+.1f} Bn of calls against {by_right['put']:+.1f} Bn of puts",
    )
    flips = [f"{document['levels']['flips'][0]['spot_usd']:,.1f}" for document in (column, flat, carry)]
    assert flips == ["4,734.7", "4,734.7", "4,717.4"]
    for page in ("how-to/published-sp500-gamma.md", "explanation/flips.md"):
        says(page, flips[0], flips[2])


def test_the_gap_by_strike(spx: Any) -> None:
    """Black-Scholes gammas by a formula of this test's own, on spot and on the forwards of put-call parity."""
    scipy_stats = pytest.importorskip("scipy.stats")
    from tailwag.market.clock import years_to_expiry
    from tailwag.surface import forward_curve

    chain, spot = spx.chain, spx.spot_usd
    years = years_to_expiry(chain.expiry_ns, chain.as_of_ns, day_count="busdays-262")
    parity = forward_curve(chain, spx.futures).rows(chain)[0]
    held = np.where(chain.is_call, 1.0, -1.0) * np.nan_to_num(chain.open_interest_coin) * spot**2 / 100.0 / BN
    good = chain.usable & (chain.iv > 0.0)

    def gammas(forward: Any, years: Any = years) -> Any:
        with np.errstate(all="ignore"):
            deviation = chain.iv * np.sqrt(years)
            found = scipy_stats.norm.pdf(np.log(forward / chain.strike_usd) / deviation + 0.5 * deviation) / (spot * deviation)
        return np.where(good, np.nan_to_num(found), 0.0)

    columns = [gammas(spot), gammas(parity), np.where(chain.usable, np.nan_to_num(chain.gamma_published), 0.0)]
    where = chain.strike_usd / spot
    zones = {"below 97 % of spot": where < 0.97, "97 to 103 %": (where >= 0.97) & (where < 1.03), "above 103 %": where >= 1.03}
    for zone, rows in zones.items():
        for name, right in (("puts", -1), ("calls", 1)):
            sums = [float((held * gamma)[rows & (chain.right == right)].sum()) for gamma in columns]
            says("explanation/why-numbers-differ.md", f"| {zone} | {name} | " + " | ".join(f"{value:+.1f}" for value in sums) + " |")
    calendar = years_to_expiry(chain.expiry_ns, chain.as_of_ns)
    flat, carry = (float((held * np.round(gamma, 4)).sum()) for gamma in (columns[0], gammas(parity, calendar)))
    says("explanation/why-numbers-differ.md", f"-20.85 to {flat:.2f}, and -11.24 to {carry:.2f}")
    march = float(np.median(parity[np.array([name.startswith("SPX240315") for name in chain.instrument])])) / spot - 1.0
    december = float(np.median(parity[np.array([name.startswith("SPX241220") for name in chain.instrument])])) / spot - 1.0
    says(
        "explanation/why-numbers-differ.md", f"{march:.1%} for March".replace("%", " %"), f"{december:.1%} for December".replace("%", " %")
    )


# Deribit, 19 November 2025


@pytest.fixture(scope="module")
def deribit_books(data: Path) -> tuple[Book, Book]:
    market = tw.load(data / REST)
    surface = fit_surface(market)
    held = [
        infer_positions(market, rule=rule, forward_usd=surface.forward_usd) for rule in (tw.LongCallsShortPuts(), tw.CustomersSellOtm())
    ]
    return priced_book(held[0], surface, spot_usd=market.spot_usd), priced_book(held[1], surface, spot_usd=market.spot_usd)


def test_our_figures_of_the_saved_deribit_file(deribit_books: tuple[Book, Book]) -> None:
    first, second = (exposure_totals(book) for book in deribit_books)
    shown = [f"{value / M:+.1f} M" for value in (first.gex_usd_per_pct, second.gex_usd_per_pct)]
    gross = f"{first.gross_gex_usd_per_pct / M:.1f} M"
    says("how-to/save-and-measure-deribit.md", f"| {shown[0]} | {shown[1]} |", f"| {gross} | {gross} |")
    says("explanation/why-numbers-differ.md", f"gross GEX {gross}", f"{shown[0]} (long-calls-short-puts), {shown[1]} (customers-sell-otm)")
    chain, forward = deribit_books[0].chain, deribit_books[0].forward_usd
    out = np.where(chain.is_call, chain.strike_usd > forward, chain.strike_usd < forward)
    share = chain.open_interest_coin[out].sum() / chain.open_interest_coin.sum()
    says("explanation/who-is-short.md", f"({100 * share:.0f} % in the file of 2025-11-19)")


def test_flips_of_the_saved_deribit_file(data: Path) -> None:
    from tailwag.experiments.measure import MeasureOptions

    options = MeasureOptions(dynamics="sticky-strike", rules=(tw.LongCallsShortPuts(), tw.CustomersSellOtm()))
    first, second = tw.measure(tw.load(data / REST), options).profiles
    assert len(first.levels.flips) == 1
    assert not second.levels.flips
    low, high = second.range_usd
    says("how-to/save-and-measure-deribit.md", f"| {first.levels.flips[0].spot_usd:,.0f} | none from {low:,.0f} to {high:,.0f} |")


def test_what_the_public_gamma_exposure_is(data: Path, deribit_books: tuple[Book, Book]) -> None:
    saved = json.loads((data / REST).read_text())
    spot = saved["indexPrice"]
    rows = [row for expiry in saved["gammaByExpiration"].values() for row in expiry["instruments"]]
    gamma, interest, exposure, in_usd = (
        np.array([row[name] for row in rows]) for name in ("gamma", "open_interest", "gamma_exposure", "gamma_exposure_usd")
    )
    assert np.allclose(exposure, gamma * interest * 100, rtol=1e-12)
    assert np.allclose(in_usd, exposure * spot, rtol=1e-12)
    book = deribit_books[0]
    own = dict(zip(book.chain.instrument, book.gamma, strict=True))
    mine = np.array([own[row["instrument_name"]] for row in rows])
    assert np.allclose(np.round(mine, 5), gamma, atol=1e-12)
    gross, gone = exposure_totals(book).gross_gex_usd_per_pct, gamma == 0
    idle = sum(row["open_interest"] == 0 for row in saved["rawData"]["bookSummary"])
    assert (len(rows), idle, len(saved["rawData"]["bookSummary"])) == (686, 74, 760)
    says(
        "explanation/why-numbers-differ.md",
        f"`gamma_exposure_usd` {in_usd.sum() / M:.2f} M",
        f"The ratio of the two totals, {gross / in_usd.sum():.2f}, is S / 10,000 = {spot / 1e4:.2f}",
        f"{int(gone.sum())} of the 686 rows become 0",
        f"{interest[gone].sum() / interest.sum():.1%}".replace("%", " %") + " of the open interest",
        f"{(mine * interest)[gone].sum() / (mine * interest).sum():.1%}".replace("%", " %") + " of the gamma",
        f"{round(gamma.max() / 1e-5)} of these steps",
        f"{(gamma * interest).sum() * spot**2 / 100 / M:.1f} M, against our {gross / M:.1f} M",
    )


# Deribit, 5 February 2026


def test_the_rules_disagree_in_the_crash(data: Path) -> None:
    market = tw.load(data / "deribit-chains/deribit_chain_2026-02.parquet", at_ns=parse_time_ns("2026-02-05T16:00:00Z"))
    surface = fit_surface(market)
    for rule in (tw.LongCallsShortPuts(), tw.CustomersSellOtm()):
        total = exposure_totals(priced_book(infer_positions(market, rule=rule, forward_usd=surface.forward_usd), surface))
        says("explanation/who-is-short.md", f"| {rule.name} | {total.gex_usd_per_pct / M:+.1f} M |")
    says("explanation/who-is-short.md", "2026-02-05 15:51 UTC", f"(spot {market.spot_usd:,.0f})")


@pytest.mark.slow
def test_on_how_many_days_the_rules_disagree(data: Path) -> None:
    """One chain a day at noon, January to May 2026 (a minute or two: not in the small budget)."""
    days = np.arange(np.datetime64("2026-01-01"), np.datetime64("2026-06-01"))
    signs = {}
    for day in days:
        market = tw.load(data / f"deribit-chains/deribit_chain_{str(day)[:7]}.parquet", at_ns=parse_time_ns(f"{day}T12:00:00Z"))
        surface = fit_surface(market)
        held = [
            infer_positions(market, rule=rule, forward_usd=surface.forward_usd) for rule in (tw.LongCallsShortPuts(), tw.CustomersSellOtm())
        ]
        signs[market.as_of_ns] = [exposure_totals(priced_book(each, surface)).gex_usd_per_pct > 0 for each in held]
    differ = sum(first != second for first, second in signs.values())
    says("explanation/who-is-short.md", f"on the {len(signs)} days from January to May 2026", f"differ in sign on {differ}")
