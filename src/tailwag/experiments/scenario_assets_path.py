"""Two paths of a scenario over several assets, step by step: every price with and without hedging, and what each desk has bought of what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tailwag.kernels.arrays import FloatArray
from tailwag.sim.assets import AssetScenario
from tailwag.sim.assets_loop import AssetState, init_assets, plan_assets, step_assets
from tailwag.units import HOURS_PER_YEAR

Document = dict[str, Any]


def shown_paths(scenario: AssetScenario, columns: Mapping[str, FloatArray], *, seed: int) -> list[Document]:
    """The path whose largest push from fundamental is the median one, and the path that is pushed furthest; one path where they are the same.

    ``columns``: outcomes by path with ``push:A`` of every asset.  Prices in USD, ``bought_usd`` by desk and asset since the start, + bought,
    assets that a desk never trades left out; a path that was stopped ends there.
    """
    push = np.max([columns[f"push:{name}"] for name in scenario.assets], axis=0)
    order = np.argsort(push, kind="stable")
    chosen = {"furthest": int(order[-1]), "median": int(order[(order.size - 1) // 2])}
    return [
        {"which": which, "path": path, **shown_path(scenario, seed=seed, path=path)}
        for which, path in chosen.items()
        if which == "furthest" or path != chosen["furthest"]
    ]


def shown_path(scenario: AssetScenario, *, seed: int, path: int) -> Document:
    """One path as it was simulated: shocks are numbered by path, so it runs alone as it ran among others."""
    states = list(_states(scenario, seed, path))
    last, plan = states[-1], plan_assets(scenario, seed=seed)
    kept = states[: int(last.stopped_step[0]) + 1]
    order = sorted(range(len(plan.dealers)), key=plan.positions.__getitem__)
    return {
        "outcome": int(last.outcome[0]),
        "hours": [HOURS_PER_YEAR * float(years) for years in scenario.grid.years[: len(kept)]],
        "assets": [
            {
                "asset": name,
                "price_usd": _prices(scenario, place, [state.log_price for state in kept]),
                "fundamental_usd": _prices(scenario, place, [state.fundamental_log for state in kept]),
            }
            for place, name in enumerate(scenario.assets)
        ],
        "bought_usd": {plan.dealers[seat].name: _bought(scenario, kept, seat) for seat in order},
    }


def _states(scenario: AssetScenario, seed: int, path: int) -> Iterator[AssetState]:
    plan = plan_assets(scenario, seed=seed)
    state = init_assets(plan, path, 1)
    yield state
    for _ in range(scenario.grid.steps):
        state = step_assets(plan, state)
        yield state


def _prices(scenario: AssetScenario, asset: int, logs: list[FloatArray]) -> list[float]:
    return [float(scenario.spot_usd[asset] * np.exp(log[asset, 0])) for log in logs]


def _bought(scenario: AssetScenario, states: list[AssetState], seat: int) -> Document:
    held = np.stack([state.dealers[seat].bought_usd[:, 0] for state in states])
    return {name: held[:, place].tolist() for place, name in enumerate(scenario.assets) if held[:, place].any()}
