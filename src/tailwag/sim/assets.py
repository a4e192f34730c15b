"""Simulate several assets whose hedgers cross: contagion of vol and correlation through an ETH book that is hedged with BTC.

>>> scenario = AssetScenario(
...     assets=("BTC", "ETH"), spot_usd=[60_000.0, 3_000.0], grid=TimeGrid.uniform(horizon_days=1.0, step_minutes=60.0),
...     covariance=covariance_per_year([0.6, 0.8], 0.8), impact_per_usd=[[3e-11, 1e-11], [1e-11, 6e-11]],
...     dealers=(AssetDealer("desk", np.diag([-5e9, -3e9]), 0),), clearing="implicit")
>>> scenario.gain.round(4).tolist()
[[0.15, 0.03], [0.05, 0.18]]
>>> run = simulate_assets(scenario, paths=200, seed=7)
>>> bool((run.step.vol > run.unhedged.vol).all())
True
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import FloatArray, IntArray
from tailwag.sim.assets_estimates import CovarianceEstimate, estimate, products_of_ends, products_over_time
from tailwag.sim.assets_loop import AssetPlan, AssetState, init_assets, plan_assets, step_assets
from tailwag.sim.assets_scenario import AssetDealer, AssetScenario, covariance_per_year, proxy_beta, proxy_hedge
from tailwag.sim.blocks import paths_per_block
from tailwag.sim.estimates import Estimate
from tailwag.sim.grid import TimeGrid
from tailwag.sim.run import KEPT_BYTES
from tailwag.sim.scenario import MOST_PATHS
from tailwag.sim.state import PNL_PARTS, Outcome

__all__ = [
    "AssetBlock",
    "AssetDealer",
    "AssetRun",
    "AssetScenario",
    "CovarianceEstimate",
    "DealerTotals",
    "TimeGrid",
    "covariance_per_year",
    "proxy_beta",
    "proxy_hedge",
    "run_asset_block",
    "simulate_assets",
]


@dataclass(frozen=True, slots=True, eq=False)
class DealerTotals:
    """One dealer over a block: by asset (assets, paths) turnover and coin at the end, profit by cause (parts, paths), cash (paths,)."""

    name: str
    turnover_usd: FloatArray
    final_position_coin: FloatArray
    pnl_usd: FloatArray
    final_cash_usd: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class AssetBlock:
    """A block of paths: log prices hedged and unhedged (steps + 1, assets, paths), how each ended, and all accounts.

    Shapes: ``liquidity_coin`` (assets, paths); cash, outcome, stopped_step (paths,).
    """

    first_path: int
    log_price: FloatArray
    fundamental_log: FloatArray
    outcome: IntArray
    stopped_step: IntArray
    dealers: tuple[DealerTotals, ...]
    liquidity_coin: FloatArray
    liquidity_usd: FloatArray
    venue_usd: FloatArray

    @property
    def coin_gap(self) -> FloatArray:
        """Coin of everybody together, (assets, paths): zero but for rounding."""
        return self.liquidity_coin + sum((dealer.final_position_coin for dealer in self.dealers), np.zeros(self.liquidity_coin.shape))

    @property
    def cash_gap_usd(self) -> FloatArray:
        """Cash of everybody together, (paths,): zero but for rounding."""
        held = sum((dealer.final_cash_usd for dealer in self.dealers), np.zeros(self.venue_usd.shape))
        return np.asarray(held + self.liquidity_usd + self.venue_usd)


@dataclass(frozen=True, slots=True, eq=False)
class AssetRun:
    """What several assets did together: covariances per step and over the whole run, hedged and not, outcomes, and what dealers earned.

    ``step``: from one-step moves; ``long_run``: from moves over the whole run; ``unhedged``: one-step moves on the same shocks with nobody
    hedging.  All of the paths that finished.  ``largest_coin_gap`` (a,) and ``largest_cash_gap_usd``: the books' worst imbalance, rounding.
    """

    scenario: AssetScenario
    paths: int
    seed: int
    step: CovarianceEstimate
    long_run: CovarianceEstimate
    unhedged: CovarianceEstimate
    outcomes: dict[str, int]
    turnover_usd_per_day: dict[str, FloatArray]
    pnl_usd: dict[str, Estimate]
    pnl_parts_usd: dict[str, dict[str, float]]
    largest_coin_gap: FloatArray
    largest_cash_gap_usd: float
    blocks: tuple[AssetBlock, ...]

    def to_document(self) -> dict[str, Any]:
        """Plain values for strict JSON."""
        return {
            "assets": list(self.scenario.assets),
            "paths": self.paths,
            "seed": self.seed,
            "clearing": self.scenario.clearing,
            "gain": self.scenario.gain.tolist(),
            "spectral_radius": self.scenario.spectral_radius,
            "largest_real_part": self.scenario.largest_real_part,
            "step": self.step.to_document(),
            "long_run": self.long_run.to_document(),
            "unhedged": self.unhedged.to_document(),
            "outcomes": self.outcomes,
            "turnover_usd_per_day": {name: turnover.tolist() for name, turnover in self.turnover_usd_per_day.items()},
            "pnl_usd": {name: profit.to_document() for name, profit in self.pnl_usd.items()},
            "pnl_parts_usd": self.pnl_parts_usd,
            "notes": list(self.scenario.notes),
        }

    def __str__(self) -> str:
        names, size = self.scenario.assets, len(self.scenario.assets)
        vols = ", ".join(
            f"{name} {100 * before:.1f} % -> {100 * after:.1f} %" for name, before, after in zip(names, self.unhedged.vol, self.step.vol)
        )
        lines = [f"vol a year without and with hedging: {vols}"]
        for first, second in ((i, j) for i in range(size) for j in range(i + 1, size)):
            lines.append(
                f"correlation of {names[first]} and {names[second]}: {self.unhedged.correlation[first, second]:.3f} without hedging, "
                f"{self.step.correlation[first, second]:.3f} +- {self.step.correlation_error[first, second]:.3f} from step to step, "
                f"{self.long_run.correlation[first, second]:.3f} +- {self.long_run.correlation_error[first, second]:.3f} over the run"
            )
        ran = self.outcomes["runaway"]
        lines.append(f"{ran:,} of {self.paths:,} paths ran away" + ("; the figures are of the others" if ran else ""))
        return "\n".join((*lines, *self.scenario.notes))


def simulate_assets(scenario: AssetScenario, *, paths: int, seed: int, threads: int = 1, keep_paths: bool = False) -> AssetRun:
    """Close the loop on ``paths`` paths of all assets together, and measure what hedging did to their covariance.

    The same to the bit for any number of threads.  InputError for counts that make no sense, for trajectories that would not fit in memory,
    and where no path finishes (there is nothing to measure).
    """
    _refuse(scenario, paths, seed, threads, keep_paths)
    plan = plan_assets(scenario, seed=seed)
    size = paths_per_block(scenario.grid.steps * len(scenario.assets))
    firsts = [(first, min(size, paths - first)) for first in range(0, paths, size)]
    one = partial(_one_block, plan, keep_paths)
    if threads == 1:
        parts = [one(first) for first in firsts]
    else:
        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(one, firsts))
    return _read(scenario, paths, seed, parts)


def run_asset_block(plan: AssetPlan, first_path: int, paths: int) -> AssetBlock:
    """Simulate ``paths`` paths from ``first_path`` on, with their trajectories."""
    state = init_assets(plan, first_path, paths)
    log_price, fundamental = [state.log_price], [state.fundamental_log]
    for _ in range(plan.scenario.grid.steps):
        state = step_assets(plan, state)
        log_price.append(state.log_price)
        fundamental.append(state.fundamental_log)
    return AssetBlock(
        first_path,
        np.stack(log_price),
        np.stack(fundamental),
        state.outcome,
        state.stopped_step,
        tuple(_totals(plan, state, plan.positions.index(place)) for place in range(len(plan.dealers))),
        state.liquidity_coin,
        state.liquidity_usd,
        state.venue_usd,
    )


def _totals(plan: AssetPlan, state: AssetState, seat: int) -> DealerTotals:
    holdings, nothing = state.dealers[seat].holdings, np.zeros(state.venue_usd.shape)
    return DealerTotals(
        plan.dealers[seat].name,
        np.stack([holding.turnover_usd for holding in holdings]),
        np.stack([holding.position_coin for holding in holdings]),
        sum((holding.pnl_usd for holding in holdings), np.zeros((len(PNL_PARTS), nothing.size))),
        sum((holding.cash_usd for holding in holdings), nothing),
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """What the run keeps of one block."""

    products: FloatArray
    outcome: IntArray
    dealers: tuple[DealerTotals, ...]
    coin_gap: FloatArray
    cash_gap_usd: float
    block: AssetBlock | None


def _one_block(plan: AssetPlan, keep: bool, span: tuple[int, int]) -> _Part:
    block = run_asset_block(plan, *span)
    products = [of(log) for of in (products_over_time, products_of_ends) for log in (block.log_price, block.fundamental_log)]
    return _Part(
        np.stack(products),
        block.outcome,
        block.dealers,
        np.abs(block.coin_gap).max(axis=1),
        float(np.abs(block.cash_gap_usd).max()),
        block if keep else None,
    )


def _read(scenario: AssetScenario, paths: int, seed: int, parts: list[_Part]) -> AssetRun:
    """Merge the blocks in their order."""
    outcome = np.concatenate([part.outcome for part in parts])
    finished = outcome == int(Outcome.FINISHED)
    if not finished.any():
        raise InputError(
            f"expected one path at least to finish, got {paths:,} runaways out of {paths:,}; the spectral radius of the gain is "
            f"{scenario.spectral_radius:.3g}: deepen the markets, cut the gamma, or shorten the run"
        )
    step, shocks, ends, shock_ends = np.concatenate([part.products for part in parts], axis=3)[..., finished]
    years = scenario.grid.horizon_years
    known: dict[str, Any] = {"controls": np.stack((shocks, shock_ends)), "expected": scenario.covariance} if finished.all() else {}
    dealers = {dealer.name: [part.dealers[place] for part in parts] for place, dealer in enumerate(scenario.dealers)}
    return AssetRun(
        scenario,
        paths,
        seed,
        estimate(step, years, **known),
        estimate(ends, years, **known),
        estimate(shocks, years),
        {kind.name.lower(): int((outcome == int(kind)).sum()) for kind in (Outcome.FINISHED, Outcome.RUNAWAY)},
        {name: _mean([own.turnover_usd for own in owns]) / (365.0 * years) for name, owns in dealers.items()},
        {name: _profit([own.pnl_usd for own in owns]) for name, owns in dealers.items()},
        {name: dict(zip(PNL_PARTS, _mean([own.pnl_usd for own in owns]).tolist())) for name, owns in dealers.items()},
        np.max([part.coin_gap for part in parts], axis=0),
        max(part.cash_gap_usd for part in parts),
        tuple(part.block for part in parts if part.block is not None),
    )


def _mean(parts: list[FloatArray]) -> FloatArray:
    return np.asarray(np.concatenate(parts, axis=1).mean(axis=1))


def _profit(parts: list[FloatArray]) -> Estimate:
    each = np.concatenate(parts, axis=1).sum(axis=0)
    if each.size < 2:
        return Estimate(float(each.mean()), None, "one path only")
    return Estimate(float(each.mean()), float(each.std(ddof=1) / np.sqrt(each.size)))


def _refuse(scenario: AssetScenario, paths: int, seed: int, threads: int, keep_paths: bool) -> None:
    if not 2 <= paths <= MOST_PATHS:
        raise InputError(f"expected 2 to {MOST_PATHS:,} paths, got {paths:,}")
    if seed < 0 or not 1 <= threads <= 1024:
        raise InputError(f"expected a seed of 0 or more and 1 to 1,024 threads, got {seed} and {threads}")
    size = len(scenario.assets)
    needed = 8 * paths * (4 * size * size + (2 * size * (scenario.grid.steps + 1) if keep_paths else 0))
    if needed > KEPT_BYTES:
        raise InputError(
            f"expected what is kept to take {KEPT_BYTES / 2**30:g} GiB at most, got {needed / 2**30:.1f} GiB; lower the paths or leave them out"
        )
