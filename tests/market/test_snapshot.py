"""Snapshots: frozen, labelled, and honest about where they come from."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tailwag.market.chain import Chain
from tailwag.market.snapshot import Futures, Snapshot, Source


def snapshot(*, synthetic: bool = False) -> Snapshot:
    chain = Chain.from_columns(
        currency="BTC",
        as_of_ns=1_774_598_400_000_000_000,
        instrument=["A", "B"],
        venue=["okx", "deribit"],
        coin_per_contract=[0.01, 1.0],
        open_interest_contracts=[100.0, 2.0],
    )
    return Snapshot("BTC", 1_774_598_400_000_000_000, 70_000.0, chain, Futures.from_columns(), Source("test", "here", synthetic=synthetic))


def test_it_reads_as_a_sentence_with_open_interest_in_coin() -> None:
    """100 contracts of 0.01 and 2 of 1 make 3 coin."""
    assert str(snapshot()) == "BTC at 2026-03-27T08:00:00Z: 2 options on deribit, okx, spot 70,000.00 USD, 3 BTC open interest"


def test_synthetic_data_say_so_first() -> None:
    assert str(snapshot(synthetic=True)).startswith("SYNTHETIC BTC")


def test_nothing_of_it_can_be_changed() -> None:
    market = snapshot()
    with pytest.raises(dataclasses.FrozenInstanceError):
        market.spot_usd = 1.0  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        market.chain.strike_usd[0] = 1.0


def test_parts_are_replaced_in_a_copy() -> None:
    market = snapshot()
    other = market.with_parts(notes=("x",))
    assert (market.notes, other.notes) == ((), ("x",))
    assert other.chain is market.chain


def test_futures_columns_are_missing_not_zero() -> None:
    futures = Futures.from_columns(instrument=["BTC-PERPETUAL"], mark_usd=[70_000.0])
    assert np.isnan(futures.open_interest_usd[0])
    assert futures.expiry_ns[0] == 0
    with pytest.raises(TypeError, match="no column basis"):
        Futures.from_columns(instrument=["X"], basis=[1.0])
