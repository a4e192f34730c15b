"""Several assets at once: who is short gamma in which, what each is hedged with, and whose flow moves what."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from tailwag.errors import InputError, UnitError
from tailwag.kernels.arrays import FloatArray, frozen
from tailwag.sim.grid import TimeGrid
from tailwag.sim.scenario import MOST_LOG_MOVE, Costs

__all__ = ["AssetDealer", "AssetScenario", "covariance_per_year", "proxy_beta", "proxy_hedge"]

CLEARINGS = ("implicit", "lagged")
MOST_ASSETS = 50
MOST_VARIANCE = 100.0
SYMMETRIC_WITHIN = 1e-9
MOST_IMPACT = 1e-2


def covariance_per_year(vols: Sequence[float], correlation: Any) -> FloatArray:
    """Covariance of log prices per year from vols (decimal) and one correlation for all pairs, or their matrix.

    >>> covariance_per_year([0.6, 0.8], 0.8).round(3).tolist()
    [[0.36, 0.384], [0.384, 0.64]]

    Raises UnitError for vol 60 instead of 0.60, InputError for what is no correlation matrix.
    """
    vol = np.asarray(vols, dtype=np.float64)
    if vol.ndim != 1 or not np.isfinite(vol).all() or (vol < 0.0).any():
        raise InputError(f"expected one vol of 0 or more for each asset, got {list(vols)}")
    if (vol > math.sqrt(MOST_VARIANCE)).any():
        raise UnitError(f"expected vols as decimals, got {vol.max():g}; write 60 % as 0.60")
    given = np.asarray(correlation, dtype=np.float64)
    matrix = np.where(np.eye(vol.size, dtype=bool), 1.0, given) if given.ndim == 0 else given
    if matrix.shape != (vol.size, vol.size) or not (np.abs(matrix) <= 1.0).all() or not (np.diagonal(matrix) == 1.0).all():
        raise InputError(f"expected a correlation between -1 and 1, or a matrix of them with ones on the diagonal, got {given.tolist()}")
    return np.asarray(vol[:, None] * matrix * vol)


def proxy_beta(covariance: Any, *, of: int, held_in: int) -> float:
    """USD of asset ``held_in`` that best hedge one USD of asset ``of``: their covariance over the variance of what is held.

    >>> round(proxy_beta(covariance_per_year([0.6, 0.8], 0.8), of=1, held_in=0), 4)
    1.0667
    """
    matrix = np.asarray(covariance, dtype=np.float64)
    return float(matrix[held_in, of] / matrix[held_in, held_in])


def proxy_hedge(assets: int, *, of: int, held_in: int, beta: float) -> FloatArray:
    """Hedge ratios (a, a) of a dealer who hedges every asset in itself, but ``of`` in ``held_in``, ``beta`` USD for each USD.

    >>> proxy_hedge(2, of=1, held_in=0, beta=0.9).tolist()
    [[1.0, 0.9], [0.0, 0.0]]
    """
    ratio = np.eye(assets)
    ratio[:, of] = 0.0
    ratio[held_in, of] = beta
    return ratio


@dataclass(frozen=True, slots=True, eq=False)
class AssetDealer:
    """Holds constant dollar gammas over several assets and hedges each asset's delta in itself, or in another one.

    flow = -hedge_ratio @ gamma_usd @ dx: USD bought of each asset after log moves dx.  An ETH book hedged with BTC has
    ``hedge_ratio[BTC, ETH] = beta`` and buys -beta Gamma$_ETH dx_ETH of BTC.  Its options earn (dx' gamma_usd dx - tr(gamma_usd C) dt) / 2
    beside their delta, C being ``implied_covariance`` per year (zero: no theta is charged).
    Shapes: (a, a) each; ``gamma_usd`` symmetric, + long.  ``delay_steps``: 0 trades in the step of the move.
    Raises InputError for anything else.
    """

    name: str
    gamma_usd: FloatArray
    delay_steps: int
    hedge_ratio: FloatArray | None = None
    implied_covariance: FloatArray | None = None

    def __post_init__(self) -> None:
        gamma = _square(f"agent {self.name!r}: gamma_usd", self.gamma_usd, None)
        if (np.abs(gamma - gamma.T) > SYMMETRIC_WITHIN * np.abs(gamma).max(initial=0.0)).any():
            raise InputError(
                f"agent {self.name!r}: expected a symmetric gamma_usd, got {gamma.tolist()}; it is the second derivative of one book's "
                "value: say what is hedged with what in hedge_ratio"
            )
        if self.delay_steps < 0 or int(self.delay_steps) != self.delay_steps:
            raise InputError(f"agent {self.name!r}: expected delay_steps as a whole number of 0 or more, got {self.delay_steps}")
        size = len(gamma)
        ratio = np.eye(size) if self.hedge_ratio is None else self.hedge_ratio
        implied = np.zeros((size, size)) if self.implied_covariance is None else self.implied_covariance
        object.__setattr__(self, "gamma_usd", gamma)
        object.__setattr__(self, "hedge_ratio", _square(f"agent {self.name!r}: hedge_ratio", ratio, size))
        object.__setattr__(self, "implied_covariance", _square(f"agent {self.name!r}: implied_covariance", implied, size))

    @property
    def hedged_gamma_usd(self) -> FloatArray:
        """hedge_ratio @ gamma_usd: USD sold of each asset (row) after a unit log move of another (column)."""
        assert self.hedge_ratio is not None
        return np.asarray(self.hedge_ratio @ self.gamma_usd)

    def content(self) -> str:
        """Everything but the name, as text."""
        values = [getattr(self, entry.name) for entry in fields(self) if entry.name != "name"]
        return repr([value.tolist() if isinstance(value, np.ndarray) else value for value in values])


@dataclass(frozen=True, slots=True, eq=False)
class AssetScenario:
    """Everything that decides a run over several assets: starts, times, correlated exogenous moves, cross-impact, dealers, clearing.

    ``covariance``: of exogenous log moves per year.  ``impact_per_usd[i, j]``: log move of asset i per USD bought of j; it stays.
    ``clearing``: "implicit" (orders without delay are sized at the price they clear at) or "lagged" (every delay >= 1).
    ``stop_log_move``: a path in which an asset is further than this from its start is a runaway and is stopped there.
    Shapes: ``spot_usd`` (a,), matrices (a, a).  Raises InputError or UnitError where the parts cannot go together.
    """

    assets: tuple[str, ...]
    spot_usd: FloatArray
    grid: TimeGrid
    covariance: FloatArray
    impact_per_usd: FloatArray
    dealers: tuple[AssetDealer, ...]
    clearing: str
    costs: Costs = field(default_factory=Costs)
    stop_log_move: float = 0.7

    def __post_init__(self) -> None:
        size = len(self.assets)
        if not 1 <= size <= MOST_ASSETS or len(set(self.assets)) != size:
            raise InputError(f"expected 1 to {MOST_ASSETS} assets of different names, got {list(self.assets)}")
        spot = frozen(self.spot_usd)
        if spot.shape != (size,) or not (np.isfinite(spot) & (spot > 0.0)).all():
            raise InputError(f"expected a price above 0 for each of {size} assets, got {spot.tolist()}")
        object.__setattr__(self, "spot_usd", spot)
        object.__setattr__(self, "covariance", _covariance(self.covariance, size))
        object.__setattr__(self, "impact_per_usd", _impact(self.impact_per_usd, size))
        if self.clearing not in CLEARINGS:
            raise InputError(f"expected clearing one of {', '.join(CLEARINGS)}, got {self.clearing!r}")
        if not 0.0 < self.stop_log_move <= MOST_LOG_MOVE:
            raise InputError(f"expected stop_log_move above 0 and at most {MOST_LOG_MOVE:g} (log price), got {self.stop_log_move:g}")
        _refuse_dealers(self)

    @property
    def gain(self) -> FloatArray:
        """G = -impact_per_usd @ (all hedged dollar gamma): the log move of each asset (row) that hedging a unit log move of another causes."""
        return self._gain_of(self.dealers)

    @property
    def same_step_gain(self) -> FloatArray:
        """The gain of those who trade in the step of the move."""
        return self._gain_of([dealer for dealer in self.dealers if dealer.delay_steps == 0])

    @property
    def spectral_radius(self) -> float:
        """Largest size of an eigenvalue of the gain: below 1, hedges one step late settle."""
        return float(np.abs(np.linalg.eigvals(self.gain)).max())

    @property
    def largest_real_part(self) -> float:
        """Largest real part of an eigenvalue of the gain: below 1, hedges in the same step settle."""
        return float(np.linalg.eigvals(self.gain).real.max())

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know of these numbers, in sentences."""
        uneven = np.abs(self.impact_per_usd - self.impact_per_usd.T)
        if uneven.max() <= SYMMETRIC_WITHIN * np.abs(self.impact_per_usd).max():
            return ()
        first, second = np.unravel_index(int(uneven.argmax()), uneven.shape)
        return (
            f"impact_per_usd is not symmetric: buying 1 million of {self.assets[first]} and of {self.assets[second]}, and selling both in "
            f"the same order, earns {1e12 * uneven.max():,.2f} USD (or, the other way round, loses it); measured cross-impact should be made "
            "symmetric where a strategy could live on that",
        )

    def _gain_of(self, dealers: Sequence[AssetDealer]) -> FloatArray:
        total = np.zeros(self.impact_per_usd.shape)
        for dealer in sorted(dealers, key=AssetDealer.content):
            total = total + dealer.hedged_gamma_usd
        return np.asarray(-(self.impact_per_usd @ total))


def _refuse_dealers(scenario: AssetScenario) -> None:
    names, size = [dealer.name for dealer in scenario.dealers], len(scenario.assets)
    if len(set(names)) != len(names):
        raise InputError(f"expected agents of different names, got {sorted(names)}; rename one of them")
    for dealer in scenario.dealers:
        if len(dealer.gamma_usd) != size:
            raise InputError(f"agent {dealer.name!r}: expected gamma_usd of shape ({size}, {size}), got {dealer.gamma_usd.shape}")
        if dealer.delay_steps > scenario.grid.steps or (scenario.clearing == "lagged" and dealer.delay_steps < 1):
            least = 1 if scenario.clearing == "lagged" else 0
            raise InputError(
                f"agent {dealer.name!r}: expected delay_steps from {least} to the {scenario.grid.steps} steps of the run under "
                f"{scenario.clearing} clearing, got {dealer.delay_steps}"
            )
    if scenario.clearing == "implicit" and scenario.dealers:
        for gain in (scenario.gain, scenario.same_step_gain):
            largest = float(np.linalg.eigvals(gain).real.max())
            if largest >= 1.0:
                raise InputError(
                    f"expected a gain matrix whose eigenvalues have real parts below 1 under implicit clearing, got {largest:.3g}: there is no "
                    "clearing price; deepen the markets, cut the gamma, or take clearing = 'lagged' to watch it run away"
                )


def _covariance(values: Any, size: int) -> FloatArray:
    matrix = _square("covariance", values, size)
    if (np.abs(matrix - matrix.T) > SYMMETRIC_WITHIN * np.abs(matrix).max(initial=0.0)).any():
        raise InputError(f"expected a symmetric covariance, got {matrix.tolist()}")
    if (np.diagonal(matrix) > MOST_VARIANCE).any():
        raise UnitError(f"expected variances a year as decimals, got {np.diagonal(matrix).max():g}; a vol of 60 % is 0.36")
    if np.linalg.eigvalsh(matrix).min() < -SYMMETRIC_WITHIN * np.abs(matrix).max(initial=0.0):
        raise InputError(
            f"expected a covariance that a market can have (no negative eigenvalue), got {matrix.tolist()}; lower a correlation"
        )
    return matrix


def _impact(values: Any, size: int) -> FloatArray:
    matrix = _square("impact_per_usd", values, size)
    if (np.diagonal(matrix) < 0.0).any():
        raise InputError(
            f"expected impact_per_usd of 0 or more on the diagonal, got {np.diagonal(matrix).min():g}; buying never lowers the price"
        )
    if (np.abs(matrix) > MOST_IMPACT).any():
        raise UnitError(
            f"expected impact_per_usd as log move per USD, got {np.abs(matrix).max():g}; 40 million USD of depth per 1 % is 2.5e-10"
        )
    return matrix


def _square(name: str, values: Any, size: int | None) -> FloatArray:
    matrix = frozen(values)
    if (
        matrix.ndim != 2
        or matrix.shape[0] != matrix.shape[1]
        or (size is not None and len(matrix) != size)
        or not np.isfinite(matrix).all()
    ):
        wanted = "a square matrix" if size is None else f"a matrix of shape ({size}, {size})"
        raise InputError(f"expected {name} as {wanted} of finite numbers, one row and column per asset, got shape {matrix.shape}")
    return matrix
