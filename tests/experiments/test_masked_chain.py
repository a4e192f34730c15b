"""A chain masked whole is unknown: nulls with a reason, never zeros; one that nobody holds is empty, and its zeros are true."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from tests.experiments.masked_chain import chain_rows, masked_document, measurement_of

from tailwag.experiments.report import report_html

MEASURES = ("gex_usd_per_pct", "gross_gex_usd_per_pct", "vanna_usd_per_volpt", "charm_usd_per_day", "delta_usd", "vega_usd_per_volpt")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return masked_document()


def numbers_of(value: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Every number below a value with where it stands."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from numbers_of(part, f"{path}.{key}")
    elif isinstance(value, list):
        for part in value:
            yield from numbers_of(part, f"{path}[]")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield path, float(value)


def test_the_only_numbers_left_are_what_was_stated(document: dict[str, Any]) -> None:
    told = {path for key in ("exposure", "profile", "flows", "gain", "bands", "forward") for path, _ in numbers_of(document[key], key)}
    stated = {"gain.move_pct", "gain.hedge_share", "exposure.by_strike[].strike_usd", "exposure.by_expiry[].forward_usd"}
    assert told <= stated | {f"exposure.by_{group}[].open_interest_coin" for group in ("expiry", "strike", "venue", "right")}
    assert all(math.isfinite(value) for _, value in numbers_of(document))
    json.dumps(document, allow_nan=False)


def test_every_null_has_its_reason_and_the_status_is_degraded(document: dict[str, Any]) -> None:
    assert document["status"] == "degraded"
    assert len(document["degraded"]) == 1
    assert {document["exposure"][name] for name in MEASURES} == {None}
    assert document["exposure"]["empty"] is False
    assert document["levels"]["flip_status"] is None
    assert document["levels"]["flips"] == []
    gain = document["gain"]
    reasons = [document["exposure"]["reason"], document["levels"]["flips_reason"], gain["reason"], document["degraded"][0]]
    reasons += [gain[f"{name}_reason"] for name in ("repriced", "vanna", "band", "amplification")]
    reasons += [row["reason"] for key in ("by_rule", "by_law", "hedged_open_interest_to_liquidity") for row in gain[key]]
    assert all("every option that holds open interest (100 % of it) is masked (iv_nonpositive 100%)" in why for why in reasons)
    assert {row["gex_usd_per_pct"] for row in gain["by_rule"]} == {None}
    assert document["assumptions"]["liquidity"] == {
        "law": "given",
        "from": "given",
        "source": document["assumptions"]["liquidity"]["source"],
    }


def test_the_headline_says_that_all_is_masked_and_why_and_nothing_else(document: dict[str, Any]) -> None:
    assert len(document["headline"]) == 1
    line = document["headline"][0]
    assert line.startswith("Unknown: every option that holds open interest (100 % of it) is masked (iv_nonpositive 100%)")
    assert not any(word in line for word in ("No flip", "draws", "damps", "short gamma"))


def test_python_gives_no_number_either() -> None:
    found = measurement_of(chain_rows(), depth_usd_per_pct=400e6)
    assert found.gain.value is None
    assert all(math.isnan(value) for value in (found.gain.gex_usd_per_pct, found.profiles[0].totals.gex_usd_per_pct))
    assert found.profiles[0].levels.flip_status is None
    assert "masked (iv_nonpositive)" in str(found.profiles[0].totals)
    assert found.to_frame()["gex_usd_per_pct"].null_count() == len(found.profiles)
    from tailwag.exposure import exposure_bands, forward_view, hedge_flows

    assert math.isnan(hedge_flows(found.profiles[0], move_pct=3.0).buy_usd[0])
    assert {item.flip_status for item in forward_view(found.profiles[0]).projections} == {None}
    assert exposure_bands(found.profiles[0]) is None


def test_the_draws_of_a_mixture_are_unknown_too() -> None:
    from tailwag.exposure import exposure_bands
    from tailwag.positioning import parse_rule

    found = measurement_of(chain_rows(), rules=(parse_rule("mixture:short-all@0.5+long-all@0.5"),))
    assert found.document()["bands"] is None
    assert exposure_bands(found.profiles[0]) is None


def test_rows_that_nobody_holds_do_not_make_a_masked_chain_known() -> None:
    rows = chain_rows()
    rows[0] |= {"mark_iv": 60.0, "mark_price": 0.1, "open_interest": 0.0}
    found = measurement_of(rows).document()
    assert found["exposure"]["gex_usd_per_pct"] is None
    assert found["status"] == "degraded"


def test_one_held_row_that_is_priced_is_a_measurement() -> None:
    rows = chain_rows()
    rows[0] |= {"mark_iv": 60.0, "mark_price": 0.1}
    found = measurement_of(rows).document()
    assert found["exposure"]["gross_gex_usd_per_pct"] > 0.0
    assert "reason" not in found["exposure"]
    assert found["levels"]["flip_status"] is not None


@pytest.mark.parametrize("words", [{"iv": 60.0, "mark": 0.1}, {"iv": 0.0, "mark": 0.0}], ids=["priced", "masked"])
def test_items_13_and_14_a_chain_that_nobody_holds_is_empty_masked_or_not(words: dict[str, float]) -> None:
    found = measurement_of(chain_rows(open_interest=0.0, **words)).document()
    assert {found["exposure"][name] for name in MEASURES} == {0.0}
    assert found["exposure"]["empty"] is True
    assert "reason" not in found["exposure"]
    assert found["levels"]["flips"] == []
    assert "no open interest" in found["headline"][0]


def test_a_sign_is_never_laid_at_draws_that_no_rule_has() -> None:
    from tailwag.experiments.headline import headline
    from tailwag.experiments.report_view import answer

    document = measurement_of(chain_rows(iv=60.0, mark=0.1)).document()
    document["gain"]["regime"], document["bands"] = "undetermined", None
    for row in document["gain"]["by_rule"]:
        row["gex_usd_per_pct"] = 0.0
    assert "net gamma at this spot is zero" in headline(document)[0]
    assert answer(document).regime_meaning == "net gamma is zero at this spot"


def test_the_page_shows_it(document: dict[str, Any]) -> None:
    page = report_html(document)
    assert "is masked (iv_nonpositive 100%)" in page
    assert "disagree" not in page


def test_a_desks_book_in_a_chain_masked_whole_is_unpriced_and_not_worth_nothing() -> None:
    block = measurement_of(chain_rows(), own_book="instrument,contracts\nBTC-27MAR26-70000-C,10\n").document()["my_book"]
    assert set(block["greeks"].values()) == {None}
    assert [row["instrument"] for row in block["unpriced"]] == ["BTC-27MAR26-70000-C"]
