"""The sentence of an options pool: what it traded, and why a pool that traded nothing did not."""

from __future__ import annotations

from typing import Any

import pytest

from tailwag.experiments.run_amm import options_pool_sentences


def entry(sold: float, paths: int) -> dict[str, Any]:
    told = {"sold_coin": sold, "bought_coin": 0.0, "fees_usd": 45.4, "share_value": 1.0021, "starved_share": 0.0}
    means = {figure: {"value": value, "standard_error": None} for figure, value in told.items()}
    return {"agent": "our pool", "mode": "managed", "deposit_usd": 3e7, "paths": paths, **means}


@pytest.mark.parametrize(
    ("sold", "paths", "said"),
    [
        (0.0, 4, "our pool (managed pool of $30.0m): traded no option; no order came that it may take"),
        (0.0, 1, "(one path)"),
        (131.0, 4, "sold 131 coin of options and bought 0, took $45.4 in fees, and a share of 1 ended at 1.0021 (mean of 4 paths)."),
        (131.0, 1, "1.0021 (one path)."),
    ],
)
def test_a_pool_says_what_it_traded_or_why_it_did_not(sold: float, paths: int, said: str) -> None:
    (sentence,) = options_pool_sentences([entry(sold, paths)])
    assert said in sentence
    assert ("traded no option" in sentence) == (sold == 0.0)


@pytest.mark.parametrize(
    ("stale_usd", "said"), [(4_400.0, ", lost $4.4k to quotes at an old price"), (-4_400.0, ", gained $4.4k by quotes at")]
)
def test_stale_quotes_lose_or_gain_in_words(stale_usd: float, said: str) -> None:
    money = {"stale_usd": {"value": stale_usd, "standard_error": None}, "lvr_usd": {"value": 900.0, "standard_error": None}}
    (sentence,) = options_pool_sentences([{**entry(131.0, 4), "mode": "oracle", **money}])
    assert said in sentence
