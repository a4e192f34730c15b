"""Why the simulated dollar gamma of a book is not 100 times its measured GEX: forward over spot, and the settlement average."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tailwag.experiments.measure import measure
from tailwag.experiments.options import MeasureOptions
from tailwag.experiments.report_json import strict_json
from tailwag.experiments.scenario_book import measured_book
from tailwag.hedging.policies import EveryStep
from tailwag.market.clock import parse_time_ns
from tailwag.sim.agents.dealer import Dealer
from tailwag.sources.demo import demo

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "explanation" / "why-numbers-differ.md").read_text(encoding="utf-8")
AVERAGE_YEARS = 20 / (365 * 24 * 60)


def test_forward_over_spot_and_the_settlement_average_are_all_of_it() -> None:
    document = json.loads(strict_json(measure(demo(), MeasureOptions(dynamics="sticky-strike")).document()))
    book, _ = measured_book(document, "demo", parse_time_ns(document["as_of"]))
    spot, gex = document["spot_usd"], document["exposure"]["gex_usd_per_pct"]

    def gamma_usd(*, by_forward: bool, averaged: bool) -> float:
        years = book.expiry_years - (AVERAGE_YEARS * book.averaged if averaged else 0.0)
        width = book.iv * np.sqrt(years)
        d1 = np.log(book.forward_ratio * spot / book.strike_usd) / width + width / 2
        density = np.exp(-d1 * d1 / 2) / np.sqrt(2 * np.pi) / width
        return float((book.contracts_coin * spot * density / (book.forward_ratio if by_forward else 1.0)).sum())

    steps = [
        gamma_usd(by_forward=True, averaged=False),
        gamma_usd(by_forward=False, averaged=False),
        gamma_usd(by_forward=False, averaged=True),
    ]
    simulated = Dealer("dealers", EveryStep(), 0, options=book).starting_dollar_gamma_usd(spot)
    assert steps[0] == pytest.approx(100.0 * gex, rel=1e-9)
    assert steps[2] == pytest.approx(simulated, rel=1e-9)
    assert [f"{step / 1e9:.2f}" for step in steps] == ["11.22", "11.33", "11.33"]
    assert (f"{100 * (simulated / steps[0] - 1):.2f}", f"{100 * (steps[2] / steps[1] - 1):.2f}") == ("0.93", "-0.02")
    for figure in ("11.22 Bn", "11.33 Bn", "0.93 % more", "(-0.02 %)", f"{gex / 1e6:.1f} M USD per 1 %"):
        assert figure in PAGE
    assert f"{100 * (book.forward_ratio.min() - 1):.2f} % for the next expiry" in PAGE
    assert f"{100 * (book.forward_ratio.max() - 1):.0f} % for the one of nine months" in PAGE
