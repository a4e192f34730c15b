"""Insurance fund, socialised losses and the order of deleveraging: identities, a slow twin, and Binance's quoted numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailwag.errors import InputError
from tailwag.margin.deleveraging import deleveraged, leverage_pnl
from tailwag.margin.insurance import cover, socialised

AMOUNT = st.floats(0.0, 1e6)


@given(AMOUNT, AMOUNT, AMOUNT)
def test_the_fund_pays_what_it_has_and_no_more(fund: float, fees: float, shortfall: float) -> None:
    paid = cover(fund, fees=fees, shortfall=shortfall)
    assert float(paid.fund) >= 0.0
    assert float(paid.paid + paid.unpaid) == pytest.approx(shortfall, abs=1e-9)
    assert float(paid.fund + paid.paid) == pytest.approx(fund + fees, abs=1e-9)
    assert float(paid.fund) == 0.0 or float(paid.unpaid) == 0.0  # never unpaid while there is money


@given(AMOUNT, st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6))
def test_losses_are_shared_in_proportion_to_profits(unpaid: float, profits: list[float]) -> None:
    borne = socialised([unpaid], [[profit] for profit in profits])[:, 0]
    won = [max(profit, 0.0) for profit in profits]
    assert borne.sum() == pytest.approx(min(unpaid, sum(won)), abs=1e-6)
    assert (borne <= np.array(won) + 1e-9).all()
    for one, share in zip(won, borne):
        assert share * sum(won) == pytest.approx(one * borne.sum(), abs=1e-3)


def slow_queue(sizes: list[float], ranks: list[float], wanted: float) -> list[float]:
    """The queue as a trader would draw it: take from the top until there is enough."""
    taken = dict.fromkeys(range(len(sizes)), 0.0)
    for place in sorted((p for p in taken if ranks[p] > 0.0), key=lambda p: -ranks[p]):
        taken[place] = min(sizes[place], wanted)
        wanted -= taken[place]
    return list(taken.values())


@settings(max_examples=60)
@given(st.lists(st.tuples(AMOUNT, st.floats(0.0, 10.0)), min_size=1, max_size=7), AMOUNT)
def test_the_highest_rank_is_closed_first(book: list[tuple[float, float]], wanted: float) -> None:
    sizes, ranks = [size for size, _ in book], [rank for _, rank in book]
    found = deleveraged([[size] for size in sizes], [[rank] for rank in ranks], [wanted])[:, 0]
    assert found == pytest.approx(slow_queue(sizes, ranks, wanted), abs=1e-6)


def test_paths_have_queues_of_their_own() -> None:
    found = deleveraged([[1.0, 1.0], [1.0, 1.0]], [[0.2, 0.9], [0.5, 0.1]], [1.0, 1.0])
    assert found.tolist() == [[0.0, 1.0], [1.0, 0.0]]
    with pytest.raises(InputError):
        deleveraged([[1.0]], [[1.0], [2.0]], [1.0])


def test_rank_is_profit_on_collateral_times_margin_ratio() -> None:
    """A trader's own numbers: 40.2 of profit on 4.27 of wallet at a margin ratio of 13.42 % rank 1.26; losers and the ruined rank 0."""
    rank = leverage_pnl(unrealised=40.2, wallet=4.27, maintenance=0.1342 * (4.27 + 40.2), floor=1.0)
    assert float(rank) == pytest.approx(40.2 / 4.27 * 0.1342, rel=1e-12)
    assert float(leverage_pnl(unrealised=2.0, wallet=0.5, maintenance=0.1, floor=1.0)) == pytest.approx(2.0 * 0.1 / 2.5)
    assert float(leverage_pnl(unrealised=-1.0, wallet=10.0, maintenance=1.0, floor=1.0)) == 0.0
    assert float(leverage_pnl(unrealised=1.0, wallet=-3.0, maintenance=1.0, floor=1.0)) == 0.0
    more, less = (float(leverage_pnl(unrealised=profit, wallet=10.0, maintenance=1.0, floor=1.0)) for profit in (5.0, 4.0))
    assert more > less
