"""Linear regression with errors that stand serial dependence and unequal variances: robust intervals, a bootstrap by blocks of time, and power."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tailwag.errors import InputError, MissingPackageError
from tailwag.kernels.arrays import FloatArray, IntArray

LEAST_BLOCKS = 6


@dataclass(frozen=True, slots=True)
class Design:
    """A regression: ``outcome`` (n,), ``regressors`` (n, k) with their ``names``, ``time_ns`` (n,) rising, and what was left out by reason."""

    outcome: FloatArray
    regressors: FloatArray
    names: tuple[str, ...]
    time_ns: Any
    left_out: dict[str, int]

    def __post_init__(self) -> None:
        if self.regressors.shape != (self.outcome.size, len(self.names)):
            raise InputError(f"expected {len(self.names)} columns of {self.outcome.size} rows, got {self.regressors.shape}")


@dataclass(frozen=True, slots=True)
class Estimate:
    """One coefficient: its value, standard error over blocks of time, 95 % interval and two-sided p-value, the bootstrap's interval, and power.

    ``seen_at``: the smallest true effect that a test at 5 % sees in 80 % of samples, of either sign.
    """

    name: str
    value: float
    error: float
    low: float
    high: float
    p_value: float
    rows: int
    blocks: int
    seen_at: float
    block_low: float | None = None
    block_high: float | None = None

    def document(self) -> dict[str, Any]:
        """As plain values, with the decision."""
        return {**asdict(self), "rejects_zero": self.rejects_zero}

    @property
    def rejects_zero(self) -> bool:
        """Whether the robust interval, and the bootstrap's where there is one, both leave 0 out on the same side."""
        bounds = [(self.low, self.high)] + (
            [] if self.block_low is None or self.block_high is None else [(self.block_low, self.block_high)]
        )
        return all(low > 0.0 for low, _ in bounds) or all(high < 0.0 for _, high in bounds)


def robust_fit(design: Design, *, block_ns: int) -> tuple[Estimate, ...]:
    """Least squares whose errors come from leaving out one block of time after another, one estimate for each column.

    variance = (B - 1) / B * sum over blocks b of (beta without b - beta)^2 with B blocks of ``block_ns``, Student's t with B - 1 degrees of freedom:
    rows of one block may depend on each other in any way, and have any variances.  InputError where there are too few rows or blocks, or
    columns that say the same.  Source: MacKinnon, Nielsen and Webb (2023), Journal of Applied Econometrics 38, 671-694 (their CV3).
    """
    student = _student()
    blocks = block_of(design, block_ns)
    _refuse(design, blocks)
    squares, products = _moments(design, blocks)
    value = np.linalg.solve(squares.sum(axis=0), products.sum(axis=0))
    without = np.linalg.solve(squares.sum(axis=0) - squares, (products.sum(axis=0) - products)[:, :, None])[:, :, 0]
    count = len(squares)
    error = np.sqrt((count - 1) / count * ((without - value) ** 2).sum(axis=0))
    reach = student.ppf(0.975, count - 1) * error
    p_value = 2.0 * student.sf(np.abs(value) / np.maximum(error, 1e-300), count - 1)
    power = student.ppf(0.975, count - 1) + student.ppf(0.8, count - 1)
    return tuple(
        Estimate(
            name,
            float(value[k]),
            float(error[k]),
            float(value[k] - reach[k]),
            float(value[k] + reach[k]),
            float(p_value[k]),
            design.outcome.size,
            count,
            power * float(error[k]),
        )
        for k, name in enumerate(design.names)
    )


@dataclass(frozen=True, slots=True)
class _Student:
    """Student's t: quantiles and upper tails, from scipy's special functions, which load faster than its statistics."""

    special: Any

    def ppf(self, share: float, freedom: int) -> float:
        return float(self.special.stdtrit(freedom, share))

    def sf(self, value: FloatArray, freedom: int) -> FloatArray:
        return np.asarray(self.special.stdtr(freedom, -np.asarray(value)))


def _student() -> _Student:
    """Only a study needs scipy."""
    try:
        from scipy import special
    except ImportError:
        raise MissingPackageError("tailwag study needs the package scipy; pip install 'tailwag[study]'") from None
    return _Student(special)


def block_of(design: Design, block_ns: int) -> IntArray:
    """Which block of time each row lies in, (n,), numbered from 0 without gaps; blocks are counted from 1970, so that more history moves none."""
    return np.unique(np.asarray(design.time_ns, dtype=np.int64) // block_ns, return_inverse=True)[1].reshape(-1)


def _moments(design: Design, blocks: IntArray) -> tuple[FloatArray, FloatArray]:
    """Sums of squares and products of each block's rows, (blocks, k, k) and (blocks, k); rows of a block lie together."""
    first = np.flatnonzero(np.concatenate([[True], np.diff(blocks) > 0]))
    x = design.regressors
    return np.add.reduceat(x[:, :, None] * x[:, None, :], first, axis=0), np.add.reduceat(x * design.outcome[:, None], first, axis=0)


def block_bootstrap(design: Design, *, block_ns: int, draws: int, seed: int) -> FloatArray:
    """Coefficients of ``draws`` samples of whole blocks of time, (draws, k): blocks of ``block_ns`` from anywhere, the end going on at the beginning.

    A row belongs to the block that its time falls in, so gaps in time stay gaps.  Source: Politis and Romano (1992), a circular block-resampling
    procedure; the percentiles of the result are the interval.
    """
    time_ns = np.asarray(design.time_ns, dtype=np.int64) - int(design.time_ns[0])
    span = int(time_ns[-1]) + 1
    blocks = max(-(-span // block_ns), 1)
    rows = np.concatenate([design.regressors, design.outcome[:, None]], axis=1)
    moments = np.concatenate(
        [np.zeros((1, rows.shape[1] ** 2)), np.cumsum((rows[:, :, None] * rows[:, None, :]).reshape(len(rows), -1), axis=0)]
    )
    starts = np.random.default_rng(seed).integers(0, span, (draws, blocks))
    first = np.searchsorted(time_ns, starts)
    last = np.searchsorted(time_ns, np.minimum(starts + block_ns, span))
    around = np.searchsorted(time_ns, np.maximum(starts + block_ns - span, 0))
    summed = (moments[last] - moments[first] + moments[around]).sum(axis=1).reshape(draws, rows.shape[1], -1)
    squares, products = summed[:, :-1, :-1], summed[:, :-1, -1:]
    found = np.full((draws, design.regressors.shape[1]), np.nan)
    solvable = np.linalg.cond(squares) < 1e14
    found[solvable] = np.linalg.solve(squares[solvable], products[solvable])[:, :, 0]
    return found


def with_blocks(estimates: Sequence[Estimate], draws: FloatArray) -> tuple[Estimate, ...]:
    """The estimates with the middle 95 % of bootstrapped coefficients (k columns) beside their robust intervals."""
    from dataclasses import replace

    low, high = np.nanpercentile(draws, [2.5, 97.5], axis=0)
    return tuple(replace(one, block_low=float(low[place]), block_high=float(high[place])) for place, one in enumerate(estimates))


def holm(p_values: dict[str, float], *, level: float = 0.05) -> dict[str, bool]:
    """Which hypotheses Holm's procedure rejects so that one false rejection among all has at most the given probability.

    Source: Holm (1979), Scandinavian Journal of Statistics 6, 65-70.

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': True, 'b': False, 'c': False}
    """
    rejected = dict.fromkeys(p_values, False)
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        if not p_values[name] <= level / (len(p_values) - rank):
            break
        rejected[name] = True
    return rejected


def _refuse(design: Design, blocks: IntArray) -> None:
    rows, columns = design.regressors.shape
    count = int(blocks[-1]) + 1 if rows else 0
    if rows < columns + 10 or count < LEAST_BLOCKS:
        told = ", ".join(f"{reason} {left:,}" for reason, left in design.left_out.items() if left) or "nothing"
        raise InputError(
            f"expected at least {columns + 10} rows that have everything, in {LEAST_BLOCKS} blocks of time, got {rows} in {count} "
            f"(left out: {told}); take a longer history"
        )
    if not (np.isfinite(design.outcome).all() and np.isfinite(design.regressors).all()):
        raise InputError("expected finite numbers in a regression, got others; leave those rows out")
    if (np.diff(design.time_ns) < 0).any():
        raise InputError("expected rows in the order of time, got others; sort them")
    rank = int(np.linalg.matrix_rank(design.regressors / np.maximum(np.abs(design.regressors).max(axis=0), 1e-300)))
    if rank < columns:
        raise InputError(
            f"expected columns that differ, got {columns} of which {columns - rank} follow from the others: {', '.join(design.names)}"
        )
