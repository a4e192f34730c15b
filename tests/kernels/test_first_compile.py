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


@pytest.mark.slow
@pytest.mark.parametrize("program", [MEASURED, SIMULATED], ids=["measured", "simulated"])
def test_compiling_and_loading_give_the_same_bits(tmp_path: Path, program: str) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    seen = [
        subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert seen[0] == seen[1] != ""
