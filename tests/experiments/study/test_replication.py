"""From snapshot to snapshot: every row of the design by hand, and what hedgers buy in each candle."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tailwag.experiments.study.replication import hedge_usd, spacing_design
from tailwag.experiments.study.returns import grid_returns
from tailwag.experiments.study.simulated import START_NS, uninformed
from tailwag.units import NS_PER_HOUR, NS_PER_YEAR

STEP_NS = 900 * 1_000_000_000


def test_every_row_is_the_next_move_on_the_last_one_times_the_gain_between() -> None:
    draw = np.random.default_rng(7)
    hours = np.cumsum(draw.choice([5.0, 6.5, 13.0], 60))
    at_ns = START_NS + (hours * NS_PER_HOUR).astype(np.int64)
    known = replace(
        uninformed(at_ns, draw.normal(-0.1, 0.2, 60)),
        spot_usd=60_000.0 * np.exp(np.cumsum(draw.normal(0.0, 0.01, 60))),
        atm_iv_7d=draw.uniform(0.3, 0.8, 60),
    )
    rows = []
    for k in range(1, 59):
        before, after = float(at_ns[k] - at_ns[k - 1]), float(at_ns[k + 1] - at_ns[k])
        if max(before, after) > 12 * NS_PER_HOUR:
            continue
        vol = float(known.atm_iv_7d[k])
        x = math.log(known.spot_usd[k] / known.spot_usd[k - 1]) / (vol * math.sqrt(before / NS_PER_YEAR))
        y = math.log(known.spot_usd[k + 1] / known.spot_usd[k]) / (vol * math.sqrt(after / NS_PER_YEAR))
        rows.append((float(known.gain[k]), float(known.gross_gain[k]), min(max(x, -5.0), 5.0), min(max(y, -5.0), 5.0)))
    gain, gross, x, y = np.array(rows).T
    design = spacing_design(known, most_gap_hours=12.0)
    assert 10 < len(rows) < 58
    np.testing.assert_allclose(design.outcome, y, rtol=1e-9)
    np.testing.assert_allclose(
        design.regressors, np.column_stack([gain * x, np.ones(x.size), (gross - gross.mean()) * x, x]), rtol=1e-9, atol=1e-12
    )
    assert design.left_out["a longer gap beside it"] == 58 - len(rows)


def test_hedgers_buy_what_moves_the_price_by_the_gain() -> None:
    """A gain of 0.2 at USD 5e8 per 1 %: USD 1e8 for each 1 % of return, of the row known as the candle opens."""
    known = uninformed(START_NS + np.array([0, 4 * STEP_NS]), np.array([0.2, -0.1]))
    returns = grid_returns(START_NS - STEP_NS + STEP_NS * np.arange(8), np.ones(8), STEP_NS)
    bought = hedge_usd(known, returns, depth_usd_per_pct=5e8, most_age_hours=12)
    assert bought.tolist()[1:] == pytest.approx([1e10] * 4 + [-5e9] * 3)
    assert math.isnan(bought[0]), "nothing was known yet"
