"""Sweep files for tests: a small one that runs in a moment, and how to change a line of it."""

from __future__ import annotations

from pathlib import Path

from tests.experiments.scenario_texts import changed

GRID = """\
seeds = 2

[grid]
gain = [-0.5, 0.5]
"agent.desk.delay_steps" = [1, 2]

[scenario.run]
horizon_days = 0.25
step_minutes = 15
paths = 16
seed = 7
clearing = "lagged"

[scenario.price]
model = "gbm"
spot_usd = 60000
vol = 0.6

[scenario.impact]
permanent_per_usd = 1e-10

[[scenario.agent]]
kind = "dealer"
name = "desk"
gamma_usd = 0
iv = 0.6
policy = {kind = "every-step"}
delay_steps = 1
"""


def saved_grid(folder: Path, *swaps: tuple[str, str], name: str = "grid.toml") -> Path:
    """The sweep file in ``folder``, each old part replaced once."""
    path = folder / name
    path.write_text(changed(*swaps, text=GRID), encoding="utf-8")
    return path
