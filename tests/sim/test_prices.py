"""Every price model against prices, moments and counts that independent code computed; each check is shown to fail on a wrong model."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailwag.kernels.arrays import FloatArray
from tailwag.sim.dynamics import Bates, Bootstrap, Gbm, HawkesJumps, Heston, Kou, Merton, PriceModel, StudentT

ANSWERS = json.loads((Path(__file__).parents[1] / "answers" / "models.json").read_text())
KINDS = {"heston": Heston, "bates": Bates, "merton": Merton, "kou": Kou}
BLOCK = 25_000


def rows(*kinds: str) -> list[Any]:
    return [pytest.param(kind, row, id=f"{kind} {row['name']}") for kind in kinds for row in ANSWERS[kind]]


def row_of(kind: str, name: str) -> dict[str, Any]:
    return next(row for row in ANSWERS[kind] if row["name"] == name)


def grid(years: float, steps: int, *, exponent: float = 1.0) -> FloatArray:
    """Step lengths; an exponent above 1 makes them shorter towards the end."""
    return np.diff(years * (1.0 - (1.0 - np.arange(steps + 1) / steps) ** exponent))


def run(model: PriceModel, lengths: FloatArray, paths: int, *, first_path: int = 0, seed: int = 20_260_101) -> tuple[FloatArray, Any]:
    """(ln S_T/S_0, final state) of a block of paths."""
    total, state = np.zeros(paths), model.init(paths)
    for step, length in enumerate(lengths, start=1):
        moves, state = model.increments(state, step=step, step_years=float(length), seed=seed, first_path=first_path)
        total += moves
    return total, state


class Call:
    """Sums from which a call's price, corrected by the forward, and its standard error follow; blocks add up."""

    def __init__(self, row: dict[str, Any]) -> None:
        self.forward = row["spot"] * math.exp(row["rate"] * row["years"])
        self.discounted = row["spot"]
        self.strike = row["strike"] / self.forward
        self.theory = row["price"]
        self.sums = np.zeros(6)

    def add(self, moves: FloatArray) -> None:
        ratio = np.exp(moves)
        paid = np.maximum(ratio - self.strike, 0.0)
        self.sums += [ratio.size, paid.sum(), (paid**2).sum(), ratio.sum(), (ratio**2).sum(), (paid * ratio).sum()]

    def result(self) -> tuple[float, float, float]:
        """(z, relative bias, relative standard error) of the call, S_T being the control variate."""
        n, paid, paid_2, ratio, ratio_2, both = self.sums / np.array([1.0, *[self.sums[0]] * 5])
        spread, joint = ratio_2 - ratio**2, both - paid * ratio
        estimate = self.discounted * (paid - joint / spread * (ratio - 1.0))
        error = self.discounted * math.sqrt((paid_2 - paid**2 - joint**2 / spread) / n)
        return (estimate - self.theory) / error, estimate / self.theory - 1.0, error / self.theory

    def forward_z(self) -> float:
        n, ratio, ratio_2 = self.sums[0], self.sums[3] / self.sums[0], self.sums[4] / self.sums[0]
        return float((ratio - 1.0) / math.sqrt((ratio_2 - ratio**2) / n))


STEPS = {
    "Broadie-Kaya 1": 64,
    "Broadie-Kaya 2": 40,
    "Andersen I": 160,
    "Andersen II": 80,
    "Andersen III": 80,
    "Broadie-Kaya SVJ": 100,
}


def price(kind: str, row: dict[str, Any], *, model: PriceModel | None = None, exponent: float = 1.0) -> Call:
    paths = 250_000 if row["strike"] > 1.09 * row["spot"] else 125_000
    model = model or KINDS[kind](*row["numbers"], drift_per_year="martingale")
    call = Call(row)
    steps = STEPS.get(row["name"], 16) if kind in ("heston", "bates") else 2
    for first in range(0, paths, BLOCK):
        call.add(run(model, grid(row["years"], steps, exponent=exponent), BLOCK, first_path=first)[0])
    return call


@pytest.mark.parametrize(("kind", "row"), rows("heston", "bates", "merton", "kou"))
def test_option_prices_and_the_forward(kind: str, row: dict[str, Any]) -> None:
    call = price(kind, row)
    z, _, error = call.result()
    assert abs(z) < 4.0
    assert error < 0.01
    assert abs(call.forward_z()) < 4.0


@pytest.mark.parametrize(
    ("kind", "name"),
    [("heston", "Broadie-Kaya 1"), ("heston", "crypto calm"), ("bates", "crypto SVJ"), ("merton", "crypto"), ("kou", "crypto")],
)
def test_option_prices_on_a_graded_grid(kind: str, name: str) -> None:
    call = price(kind, row_of(kind, name), exponent=2.0)
    assert abs(call.result()[0]) < 4.0
    assert abs(call.forward_z()) < 4.0


WRONG = {
    "no -v/2": ("heston", "Broadie-Kaya 2", lambda m: replace(m, drift_per_year=0.0)),
    "rho turned": ("heston", "Broadie-Kaya 1", lambda m: replace(m, rho=-m.rho)),
    "xi 15 % too high": ("heston", "Broadie-Kaya 1", lambda m: replace(m, xi=1.15 * m.xi)),
    "theta 4 % too high": ("heston", "Broadie-Kaya 2", lambda m: replace(m, theta=1.04 * m.theta)),
    "no jumps": ("bates", "Broadie-Kaya SVJ", lambda m: Heston(m.v0, m.kappa, m.theta, m.xi, m.rho, "martingale")),
    "drift -vol^2/2 only": ("merton", "crypto", lambda m: replace(m, drift_per_year=-(m.vol**2) / 2)),
    "jump mean turned": ("merton", "steady", lambda m: replace(m, jump_mean=-m.jump_mean)),
    "up and down exchanged": ("kou", "Kou 2002", lambda m: replace(m, up_rate=m.down_rate, down_rate=m.up_rate)),
    "rate 15 % too low": ("kou", "crypto", lambda m: replace(m, jumps_per_year=0.85 * m.jumps_per_year)),
}


@pytest.mark.parametrize("flaw", WRONG)
def test_a_wrong_model_is_seen(flaw: str) -> None:
    kind, name, spoil = WRONG[flaw]
    row = row_of(kind, name)
    call = price(kind, row, model=spoil(KINDS[kind](*row["numbers"], drift_per_year="martingale")))
    assert abs(call.result()[0]) > 4.0 or abs(call.forward_z()) > 4.0


FULL = [  # kind, rows of one model, steps, millions of paths
    ("heston", ["Broadie-Kaya 1"], 64, 10),
    ("heston", ["Broadie-Kaya 2"], 40, 8),
    ("heston", ["Andersen I"], 640, 8),
    ("heston", ["Andersen II"], 480, 26),
    ("heston", ["Andersen III"], 80, 16),
    ("heston", ["crypto A 60k", "crypto A 50k", "crypto A 75k"], 12, 280),
    ("bates", ["Broadie-Kaya SVJ"], 160, 6),
    ("merton", ["steady"], 1, 60),
    ("merton", ["in the money"], 1, 40),
    ("merton", ["crypto"], 1, 60),
    ("kou", ["Kou 2002"], 1, 60),
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "names", "steps", "millions"), FULL, ids=lambda value: value[0] if isinstance(value, list) else None)
def test_full_size_bias_below_three_standard_errors_and_five_in_ten_thousand(
    kind: str, names: list[str], steps: int, millions: int
) -> None:
    found = [row_of(kind, name) for name in names]
    model = KINDS[kind](*found[0]["numbers"], drift_per_year="martingale")
    calls = [Call(row) for row in found]
    lengths = grid(found[0]["years"], steps)
    with ThreadPoolExecutor(2) as pool:
        for moves, _ in pool.map(lambda first: run(model, lengths, BLOCK, first_path=first), range(0, millions * 1_000_000, BLOCK)):
            for call in calls:
                call.add(moves)
    for call in calls:
        z, bias, error = call.result()
        print(f"{kind} {call.theory:.8f}: bias {bias:+.2e}, se {error:.1e}, z {z:+.2f}, forward z {call.forward_z():+.2f}")
        assert error < 2.6e-4
        assert abs(z) < 3.0
        assert abs(bias) < 5e-4
        assert abs(call.forward_z()) < 4.0


@pytest.mark.parametrize("row", ANSWERS["variance_moments"], ids=lambda row: f"xi{row['numbers'][3]}-rho{row['numbers'][4]}")
def test_mean_and_variance_of_hestons_variance(row: dict[str, Any]) -> None:
    model, steps, n = Heston(*row["numbers"]), 24, 100_000
    lengths = grid(row["years"], steps, exponent=1.5)
    integral, state = np.zeros(n), model.init(n)
    square = np.zeros(n)
    for step, length in enumerate(lengths, start=1):
        moves, new = model.increments(state, step=step, step_years=float(length), seed=5, first_path=0)
        integral += 0.5 * length * (state[0] + new[0])
        square += moves**2
        state = new
    v = state[0]
    assert abs(v.mean() - row["mean"]) < 4 * (row["variance"] / n) ** 0.5
    fourth = ((v - row["mean"]) ** 4).mean()
    assert abs(((v - row["mean"]) ** 2).mean() - row["variance"]) < 4 * ((fourth - row["variance"] ** 2) / n) ** 0.5
    assert model.vol_over(row["years"]) == pytest.approx(row["mean_over_time"] ** 0.5, rel=1e-9)
    if row["numbers"][1] * lengths.max() < 0.1:  # otherwise the trapezoid through E v is no mean over time
        assert abs(integral.mean() / row["years"] - row["mean_over_time"]) < 4 * integral.std() / row["years"] / n**0.5
        assert abs(square.mean() / row["years"] - row["mean_over_time"]) < 4 * square.std() / row["years"] / n**0.5


def hawkes(row: dict[str, Any]) -> HawkesJumps:
    return HawkesJumps(
        vol=0.0,
        base_jumps_per_year=row["base"],
        branching_ratio=row["branching"],
        decay_per_year=row["decay"],
        jump_mean=-0.01,
        jump_std=0.02,
    )


def counts_of(model: HawkesJumps, row: dict[str, Any], n: int, *, cuts: int = 3) -> FloatArray:
    """Jumps of n paths in `years`, from the mean rate or after a long run to forget it."""
    state = model.init(n)
    if row["start"] == "stationary":
        _, state = model.jumps(state, step=1, step_years=10.0 / (row["decay"] * (1.0 - row["branching"])), seed=19, first_path=0)
    total = np.zeros(n)
    for cut, length in enumerate(grid(row["years"], cuts, exponent=1.7)):
        counts, state = model.jumps(state, step=2 + cut, step_years=float(length), seed=19, first_path=0)
        total += counts
    return total


def hawkes_z(model: HawkesJumps, row: dict[str, Any], n: int) -> tuple[float, float, float]:
    """(z of the mean, z of the variance, relative error of the variance)."""
    counts = counts_of(model, row, n)
    variance = ((counts - row["mean"]) ** 2).mean()
    error = (((counts - row["mean"]) ** 4).mean() - variance**2) ** 0.5 / n**0.5
    return (counts.mean() - row["mean"]) / (row["variance"] / n) ** 0.5, (variance - row["variance"]) / error, error / row["variance"]


@pytest.mark.parametrize("row", ANSWERS["hawkes"], ids=lambda row: f"n{row['branching']}-T{row['years']}-{row['start']}")
def test_hawkes_counts_have_the_exact_mean_and_variance(row: dict[str, Any]) -> None:
    n = 150_000 if row["mean"] < 2 else 25_000 if row["mean"] > 60 else 80_000
    mean_z, variance_z, error = hawkes_z(hawkes(row), row, n)
    assert abs(mean_z) < 4.0
    assert abs(variance_z) < 4.0
    assert error < 0.01


def test_hawkes_rate_on_long_paths() -> None:
    """Rate 1.25 with standard error sqrt(rate kappa^2/T), and the Fano factor tends to kappa^2 = 6.25."""
    row = {"base": 0.5, "branching": 0.6, "decay": 2.0, "years": 1000.0, "start": "stationary"}
    counts = counts_of(hawkes(row), row, 1000, cuts=2)
    years = 1000 * row["years"]
    assert abs(counts.sum() / years - 1.25) < 4 * (1.25 * 6.25 / years) ** 0.5
    assert counts.var() / counts.mean() == pytest.approx(6.25, abs=4 * 6.25 * (2 / 1000) ** 0.5)


@pytest.mark.parametrize("flaw", [{"branching_ratio": 0.56}, {"decay_per_year": 1.2}, {"base_jumps_per_year": 0.51}])
def test_a_wrong_hawkes_process_is_seen(flaw: dict[str, float]) -> None:
    row = next(row for row in ANSWERS["hawkes"] if row["base"] == 0.5 and row["years"] == 10.0 and row["start"] == "stationary")
    assert max(np.abs(hawkes_z(replace(hawkes(row), **flaw), row, 80_000)[:2])) > 4.0


def test_hawkes_keeps_the_forward() -> None:
    model = HawkesJumps(0.4, 20.0, 0.7, 300.0, -0.03, 0.05, "martingale")
    call = Call({"spot": 1.0, "strike": 1.0, "rate": 0.0, "years": 0.1, "price": 1.0})
    spoilt = Call({"spot": 1.0, "strike": 1.0, "rate": 0.0, "years": 0.1, "price": 1.0})
    for first in range(0, 100_000, BLOCK):
        call.add(run(model, grid(0.1, 12, exponent=2.0), BLOCK, first_path=first)[0])
        spoilt.add(run(replace(model, drift_per_year=-0.08), grid(0.1, 12), BLOCK, first_path=first)[0])
    assert abs(call.forward_z()) < 4.0
    assert abs(spoilt.forward_z()) > 4.0


@pytest.mark.parametrize("row", ANSWERS["student"], ids=lambda row: f"nu{row['degrees']}")
def test_student_steps_have_the_stated_vol_and_tails(row: dict[str, Any]) -> None:
    n, dt = 500_000, 1 / 105_120
    moves, _ = run(StudentT(0.6, row["degrees"]), np.array([dt]), n)
    x = moves / (0.6 * dt**0.5)
    assert abs(np.abs(x).mean() - row["mean_size"]) < 4 * ((1 - row["mean_size"] ** 2) / n) ** 0.5
    assert abs((np.abs(x) > 3).mean() - row["beyond_three"]) < 4 * (row["beyond_three"] / n) ** 0.5
    assert abs(x.mean()) < 4 / n**0.5
    if row["degrees"] > 4:
        assert abs((x**2).mean() - 1.0) < 4 * ((row["kurtosis"] - 1) / n) ** 0.5
    if row["degrees"] > 12:
        fourth = x**4
        assert abs(fourth.mean() - row["kurtosis"]) < 4 * fourth.std() / n**0.5
        assert fourth.std() / n**0.5 / row["kurtosis"] < 0.01
        assert row["kurtosis"] == pytest.approx(3 + 6 / (row["degrees"] - 4), rel=1e-9)


def test_student_tails_tell_degrees_of_freedom_apart() -> None:
    row = ANSWERS["student"][0]
    x = run(StudentT(1.0, 3.3), np.array([1.0]), 500_000)[0]
    assert abs(np.abs(x).mean() - row["mean_size"]) > 4 * ((1 - row["mean_size"] ** 2) / x.size) ** 0.5


def candles(n: int = 600) -> FloatArray:
    """Returns with clusters of volatility, skew and a mean."""
    rng = np.random.default_rng(8)
    size = np.exp(np.convolve(rng.standard_normal(n + 23), np.ones(24) / 24**0.5, "valid") * 0.5)
    return np.asarray(0.004 * size * (rng.standard_normal(n) - 0.3 * (rng.random(n) < 0.05)) + 0.0004)


def circular(values: FloatArray, lag: int) -> float:
    centred = values - values.mean()
    return float((centred * np.roll(centred, -lag)).mean())


HOUR = 1 / 8760


def bootstrap_path(model: Bootstrap, n: int, steps: int, *, per_step: int = 1) -> FloatArray:
    state, rows = model.init(n), []
    for step in range(1, steps + 1):
        moves, state = model.increments(state, step=step, step_years=per_step * HOUR, seed=3, first_path=0)
        rows.append(moves)
    return np.array(rows)


def test_bootstrap_keeps_marginal_moments() -> None:
    returns = candles()
    drawn = bootstrap_path(Bootstrap(returns, HOUR, 12.0, demean=False), 20_000, 3)
    assert set(drawn.ravel()) <= set(returns)
    for power in (1, 2, 3, 4):
        sample = (drawn[-1] ** power).mean()
        assert abs(sample - (returns**power).mean()) < 4 * (returns**power).std() / 20_000**0.5
    centred = bootstrap_path(Bootstrap(returns, HOUR, 12.0), 20_000, 1)
    assert abs(centred.mean()) < 4 * returns.std() / 20_000**0.5
    assert np.allclose(np.unique(centred), np.unique(returns - returns.mean()), rtol=0, atol=1e-18)


@pytest.mark.parametrize("block_hours", [1.0, 6.0, 48.0])
def test_bootstrap_keeps_dependence_within_blocks(block_hours: float) -> None:
    """Cov(x_0, x_k) = (1 - p)^k C(k) with C the circular covariance of the candles, for returns and for their squares."""
    returns, n = candles(), 40_000
    drawn = bootstrap_path(Bootstrap(returns, HOUR, block_hours, demean=False), n, 9)
    for transform in (lambda x: x, lambda x: x**2):
        start, mean = transform(drawn[0]) - transform(returns).mean(), transform(returns).mean()
        for lag in (1, 3, 8):
            product = start * (transform(drawn[lag]) - mean)
            expected = (1 - 1 / block_hours) ** lag * circular(transform(returns), lag)
            assert abs(product.mean() - expected) < 4 * product.std() / n**0.5
    if block_hours == 48.0:  # the same check sees the wrong block length
        product = (drawn[0] ** 2 - (returns**2).mean()) * (drawn[1] ** 2 - (returns**2).mean())
        assert abs(product.mean() - 0.5 * circular(returns**2, 1)) > 4 * product.std() / n**0.5


def test_bootstrap_steps_of_several_candles_add_them_up() -> None:
    returns, n, many = candles(), 60_000, 6
    drawn = bootstrap_path(Bootstrap(returns, HOUR, 10.0, demean=False), n, 1, per_step=many)[0]
    lags = range(1, many)
    variance = many * circular(returns, 0) + 2 * sum((many - k) * 0.9**k * circular(returns, k) for k in lags)
    centred = (drawn - many * returns.mean()) ** 2
    assert abs(centred.mean() - variance) < 4 * centred.std() / n**0.5
    assert abs(drawn.mean() - many * returns.mean()) < 4 * (variance / n) ** 0.5


def test_bootstrap_blocks_last_as_long_as_stated() -> None:
    model, n = Bootstrap(np.linspace(-0.01, 0.01, 997), HOUR, 8.0), 20_000
    state = model.init(n)
    leaps, last = np.zeros(n), None
    for step in range(1, 41):
        _, state = model.increments(state, step=step, step_years=HOUR, seed=2, first_path=0)
        if last is not None:
            leaps += state[0] != (last + 1) % 997
        last = state[0]
    p = (1 / 8) * (1 - 1 / 997)
    assert abs(leaps.mean() - 39 * p) < 4 * (39 * p * (1 - p) / n) ** 0.5


def test_gbm_is_normal_with_its_vol_and_drift() -> None:
    n, years = 100_000, 0.3
    for drift, mean in ((0.0, 0.0), (0.7, 0.21), ("martingale", -0.5 * 0.36 * 0.3)):
        total, _ = run(Gbm(0.6, drift), grid(years, 4, exponent=3.0), n)
        sd = 0.6 * years**0.5
        assert abs(total.mean() - mean) < 4 * sd / n**0.5
        assert abs(total.var() / sd**2 - 1.0) < 4 * (2 / n) ** 0.5


@pytest.mark.parametrize("drift", [0.3, "martingale"])
def test_all_steps_at_once_are_those_of_each_step(drift):
    model, years = Gbm(vol=0.7, drift_per_year=drift), np.array([0.0, 1e-5, 3e-5, 3.1e-5, 1e-3])
    whole, state = np.empty((4, 7)), model.init(7)
    model.fill(whole, years, seed=4, first_path=3)
    for step in range(1, 5):
        row, state = model.increments(state, step=step, step_years=float(years[step] - years[step - 1]), seed=4, first_path=3)
        assert row.tobytes() == whole[step - 1].tobytes()
