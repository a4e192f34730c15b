"""Row fuzz: whatever stands in a row, the chain keeps it and codes it, or the whole is refused with a reason; never anything else."""

from __future__ import annotations

import math
import random
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from tests.sources.deribit_replies import instrument, summaries
from tests.sources.mutations import mutated_row

from tailwag.errors import InputError
from tailwag.market.chain import Chain
from tailwag.market.codes import NO_VENUE_VOL, QUARANTINE, RowCode
from tailwag.market.snapshot import Snapshot, Source
from tailwag.sources.deribit import snapshot_from_payload

GOOD = summaries()
SHARE = 0.12
"""Of the rows of each chain, how many are mutated: enough healthy ones stay that a chain is usually read, and codes are exercised."""


def assert_fit_for_sums(chain: Chain) -> None:
    """What every consumer relies on: a row that no code takes out has finite, believable numbers wherever a sum or a report uses them."""
    usable, priced = chain.usable, chain.priced
    for name in ("strike_usd", "open_interest_contracts", "coin_per_contract"):
        values = getattr(chain, name)[usable]
        assert np.isfinite(values).all(), name
        assert (values >= 0.0).all(), name
    assert (chain.iv[priced] > 0.0).all()
    assert np.isfinite(chain.iv[priced]).all()
    assert (np.abs(chain.right[usable]) == 1).all()
    assert (chain.expiry_ns[usable] >= chain.as_of_ns).all()
    assert math.isfinite(float(chain.counted_open_interest_coin().sum()))
    for share in chain.shares(within=QUARANTINE | NO_VENUE_VOL):
        assert 0.0 <= share.open_interest_share <= 1.0
        assert share.instruments > 0
    for field in fields(Chain):
        values = getattr(chain, field.name)
        if isinstance(values, np.ndarray) and values.dtype == np.float64:
            assert not np.isinf(values).any(), field.name
            assert not (np.abs(values[np.isfinite(values)]) > 1e13).any(), field.name


def assert_readable(refusals: list[str]) -> None:
    assert all(said.isprintable() and len(said) < 600 for said in refusals), [
        said for said in refusals if not said.isprintable() or len(said) >= 600
    ][:3]


def assert_sound(snapshot: Snapshot) -> None:
    assert_fit_for_sums(snapshot.chain)
    assert len(snapshot.chain) == 0 or (math.isfinite(snapshot.spot_usd) and snapshot.spot_usd > 0.0)
    for sentence in (*snapshot.degraded, *snapshot.notes):
        assert sentence.isprintable()
        assert "nan" not in sentence.lower().split()
    for name in ("open_interest_usd", "volume_24h_usd", "mark_usd"):
        assert not np.isinf(getattr(snapshot.futures, name)).any()


def _fuzzed(draw: random.Random) -> tuple[list[dict[str, Any]], int]:
    made, changed = [], 0
    for row in GOOD:
        mutate = draw.random() < SHARE
        made.append(mutated_row(row, draw) if mutate else row)
        changed += mutate
    return made, changed


def _run(seed: int, mutated_rows: int) -> tuple[int, int, int]:
    draw = random.Random(seed)
    mutated = read = 0
    refusals: list[str] = []
    seen: set[str] = set()
    while mutated < mutated_rows:
        made, changed = _fuzzed(draw)
        value: Any = (
            made
            if draw.random() < 0.7
            else {"instruments": [mutated_row(instrument(draw.choice(GOOD)["instrument_name"]), draw)], "bookSummary": made}
        )
        mutated += changed
        try:
            snapshot = snapshot_from_payload(value, currency="BTC", source=Source("deribit-rest", "fuzz.json"))
        except InputError as refusal:
            refusals.append(str(refusal))
            continue
        read += 1
        assert_sound(snapshot)
        seen |= {code.code for code in RowCode if snapshot.chain.has(code).any()}
    expected = {
        "name_invalid",
        "oi_missing",
        "oi_negative",
        "iv_missing",
        "iv_nonpositive",
        "time_invalid",
        "above_cap",
        "crossed",
        "unknown_currency",
    }
    assert expected <= seen, expected - seen
    assert_readable(refusals)
    return mutated, read, len(refusals)


@pytest.mark.parametrize("rows", [8_000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_thousands_of_mutated_rows(rows: int) -> None:
    mutated, read, refused = _run(seed=20_000, mutated_rows=rows)
    assert mutated >= rows
    assert read > 4 * refused, "most chains with a few bad rows must still be read"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_two_hundred_thousand_mutated_rows(seed: int) -> None:
    assert _run(seed=seed, mutated_rows=20_000)[0] >= 20_000


@pytest.mark.parametrize("seed", [3])
def test_nothing_is_dropped(seed: int) -> None:
    """A row stays in the chain whatever its numbers are; only its name decides whether it belongs there."""
    draw = random.Random(seed)
    for _ in range(60):
        made = [
            {
                **mutated_row({key: value for key, value in row.items() if key != "instrument_name"}, draw),
                "instrument_name": row["instrument_name"],
                "creation_timestamp": row["creation_timestamp"],
            }
            if draw.random() < SHARE
            else row
            for row in GOOD
        ]
        try:
            snapshot = snapshot_from_payload(made, currency="BTC", source=Source("deribit-rest", "fuzz.json"))
        except InputError:
            continue
        assert snapshot.chain.instrument.tolist() == [row["instrument_name"] for row in GOOD]
