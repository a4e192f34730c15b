"""The process that compiles the kernels computes the same bits as later ones, which load them: a rerun gives the same bytes from the first run on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MEASURED = """
import hashlib
import orjson
import tailwag as tw
from tailwag.experiments.measure import measure
from tailwag.experiments.options import MeasureOptions
from tailwag.sources.demo_moving import moving_demo
document = measure(moving_demo(1_790_000_000_000_000_000, currency="BTC"), MeasureOptions(dynamics="sticky-moneyness", vol="surface")).document()
print({name: hashlib.sha256(orjson.dumps(part)).hexdigest()[:12] for name, part in document.items()})
"""
SIMULATED = """
import hashlib
import tailwag as tw
snapshot = tw.demo()
profile = tw.exposure_profile(tw.infer_positions(snapshot, rule=tw.ShortAll()), tw.fit_surface(snapshot), dynamics="sticky-strike")
gain = tw.loop_gain(profile, tw.LinearImpact(depth_usd_per_pct=4e9), move_pct=1)
scenario = tw.Scenario.from_measurement(profile, gain.impact, hours=12, vol=0.5, policy=tw.Band(half_width_usd=2e6), clearing="implicit", delay_steps=0)
print(hashlib.sha256(repr(tw.simulate(scenario, paths=64, seed=7).metrics).encode()).hexdigest())
"""
LEVERAGED = """
import hashlib
import tailwag as tw
from tailwag.experiments.scenario_switches import chosen_switch
from tailwag.margin.rulebook import rulebook
from tailwag.market.clock import parse_time_ns
from tailwag.sim.agents.leveraged import LeveragedTraders
from tailwag.sim.dynamics import Gbm
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.leverage_buckets import buckets_from_open_interest
from tailwag.sim.scenario import Scenario
from tailwag.sources.rules import load_rules
words = []
for venue in ("deribit_btc", "binance_btcusdt"):
    mix = buckets_from_open_interest(2e9, longs={20.0: 0.3, 50.0: 0.1}, shorts={25.0: 0.3}, account_usd=1e5)
    rules = rulebook(load_rules(f"margin_{venue}"), parse_time_ns("2026-02-05T00:00:00Z"))
    traders = LeveragedTraders("traders", 0, mix, rules, fund_usd=1e6, premium_share=0.001, entries="drawn")
    grid = TimeGrid.uniform(horizon_days=0.1, step_minutes=1.0)
    scenario = Scenario(6e4, grid, Gbm(2.0), ImpactModel(permanent_per_usd=1e-11), (traders,), "implicit")
    words.append(repr(tw.simulate(chosen_switch("dynamic-margin")(scenario), paths=64, seed=7).metrics))
print(hashlib.sha256("".join(words).encode()).hexdigest())
"""


@pytest.mark.slow
@pytest.mark.parametrize("program", [MEASURED, SIMULATED, LEVERAGED], ids=["measured", "simulated", "leveraged"])
def test_compiling_and_loading_give_the_same_bits(tmp_path: Path, program: str) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    seen = [
        subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert seen[0] == seen[1] != ""
