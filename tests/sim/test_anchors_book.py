"""Books of options in the loop: the conservation law of permanent impact, pinning, the settlement average, and laws that are not linear."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.stats import kstest, kurtosis, norm
from tests.sim.anchors import SPOT, VOL

from tailwag.hedging.policies import CharmOnly, EveryStep
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.blocks import run_block
from tailwag.sim.dynamics import Gbm
from tailwag.sim.engine import init, market_gain, plan_run
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.option_book import OptionBook
from tailwag.sim.scenario import Scenario
from tailwag.sim.state import BlockPaths

WEEK = 7 / 365
SLOW = pytest.mark.slow
CONTRACTS = 1000.0


def book(strikes: dict[float, float], *, years: float = WEEK, averaged: bool = False) -> OptionBook:
    """Calls: log strike -> contracts held, + long."""
    rows = [
        OptionBook.single(
            "call", strike_usd=SPOT * math.exp(log_strike), expiry_years=years, contracts_coin=held, iv=VOL, averaged=averaged
        )
        for log_strike, held in strikes.items()
    ]
    total = rows[0]
    for row in rows[1:]:
        total = total.merged(row)
    return total


def scenario(options: OptionBook, a: float, *, grid: TimeGrid, clearing: str = "implicit", **changes) -> Scenario:  # type: ignore[no-untyped-def]
    """Dealers of a book whose full hedge of CONTRACTS coins moves the log price by ``a``."""
    delay = {"implicit": 0, "lagged": 1, "damped": 1}[clearing]
    dealer = Dealer("dealer", changes.pop("policy", EveryStep()), delay, options=options, **changes)
    return Scenario(
        spot_usd=SPOT,
        grid=grid,
        price=Gbm(vol=VOL),
        impact=ImpactModel(permanent_per_coin=a / CONTRACTS),
        agents=(dealer,),
        clearing=clearing,
        stop_log_move=2.0,
    )


def run(plan_of: Scenario, paths: int, *, seed: int = 2) -> list[BlockPaths]:
    plan = plan_run(plan_of, seed=seed, full_pnl=False)
    return [run_block(plan, first, 1000) for first in range(0, paths, 1000)]


def ends(blocks: list[BlockPaths]) -> np.ndarray:
    return np.concatenate([block.log_price[:, -1] for block in blocks])


# T3: the conservation law


def hedge(x: np.ndarray, left: np.ndarray | float) -> np.ndarray:
    """N(d1) of a call struck at the start, by SciPy."""
    spread = VOL * np.sqrt(left)
    return norm.cdf(x / spread + 0.5 * spread)


def stopped_grid(steps: int) -> TimeGrid:
    """Seven days but one hour, in ``steps``."""
    return TimeGrid.uniform(horizon_days=7.0 - 1 / 24, step_minutes=167 * 60 / steps)


@pytest.mark.parametrize("a", [0.005, -0.02, -0.05, -0.10, 0.02])
def test_t3_conservation_law_holds_on_every_path(a: float) -> None:
    """x_t - A phi(x_t, t) = x_0 - A phi(x_0, 0) + sigma W_t; A > 0 is dealers short."""
    block = run(scenario(book({0.0: -math.copysign(CONTRACTS, a)}), abs(a), grid=stopped_grid(168)), 1000)[0]
    left = WEEK - block.time_years
    law = block.log_price - a * hedge(block.log_price, left) + a * hedge(np.zeros(1), WEEK)
    assert np.abs(law - block.fundamental_log).max() < 1e-10
    wrong = block.log_price + a * hedge(block.log_price, left) - a * hedge(np.zeros(1), WEEK)
    assert np.abs(wrong - block.fundamental_log).max() > 1e-4


def exact_cdf(a: float):  # type: ignore[no-untyped-def]
    left = 1 / (365 * 24)
    return lambda x: norm.cdf((x - a * hedge(x, left) + a * hedge(np.zeros(1), WEEK)) / (VOL * np.sqrt(WEEK - left)))


@pytest.mark.parametrize(
    ("a", "spread", "paths"),
    [(-0.05, 0.064363, 2_000)]
    + [
        pytest.param(a, spread, 20_000, marks=SLOW)
        for a, spread in ((0.005, 0.084846), (-0.02, 0.075111), (-0.05, 0.064363), (-0.10, 0.048746))
    ],
)
def test_t3_terminal_law_of_implicit_clearing(a: float, spread: float, paths: int) -> None:
    found = ends(run(scenario(book({0.0: -math.copysign(CONTRACTS, a)}), abs(a), grid=stopped_grid(336)), paths))
    assert kstest(found, exact_cdf(a)).statistic < 1.358 / math.sqrt(paths) * 1.2
    tails = kurtosis(found, fisher=False)
    assert found.std() == pytest.approx(spread, rel=4.0 * math.sqrt((tails - 1.0) / (4.0 * paths)))
    assert kstest(found, exact_cdf(-a if abs(a) > 0.01 else -4 * a)).statistic > 1.95 / math.sqrt(paths)


@pytest.mark.parametrize(
    ("a", "least", "grids"),
    [(-0.05, 0.08, (336,)), *(pytest.param(a, least, (336, 1344), marks=SLOW) for a, least in ((-0.05, 0.08), (-0.10, 0.17)))],
)
def test_t3_late_hedging_misses_the_law_near_expiry_and_damped_does_not(a: float, least: float, grids: tuple[int, ...]) -> None:
    """One step late, long gamma with |g| > 1 hunts, and no finer grid helps; the damped market of speed 1/(1 - g) does not hunt.

    The late scheme of the literature ends with its last order filled: a last step without time lets it arrive.
    """
    paths = 3000
    for steps in grids:
        years = stopped_grid(steps).years
        late = scenario(book({0.0: CONTRACTS}), abs(a), grid=TimeGrid(np.append(years, years[-1] + 1e-12)), clearing="lagged")
        damped = replace(late, clearing="damped")
        assert kstest(ends(run(late, paths)), exact_cdf(a)).statistic > least
        assert kstest(ends(run(damped, paths)), exact_cdf(a)).statistic < 1.95 / math.sqrt(paths)  # 99.9 %


# T4: pinning by charm alone


PINNED = 0.02 * VOL * math.sqrt(WEEK)


def pinned(blocks: list[BlockPaths], log_strike: float, width: float = PINNED) -> tuple[float, float]:
    hits = np.abs(ends(blocks) - log_strike) < width
    return float(hits.mean()), math.sqrt(hits.mean() * (1.0 - hits.mean()) / hits.size)


def charm_probability(strikes: dict[float, float]) -> float:
    """1 - exp(-sum A f(K)), f the density of the log price."""
    spread = VOL * math.sqrt(WEEK)
    return 1.0 - math.exp(-sum(a * norm.pdf(log_strike / spread) / spread for log_strike, a in strikes.items()))


GRADED = TimeGrid.graded(horizon_days=7.0, steps=200, exponent=4.0)


@pytest.mark.parametrize(
    ("a", "log_strike", "printed", "paths"),
    [
        (0.10, 0.0, 0.381295, 2_000),
        *(pytest.param(*row, 5_000, marks=SLOW) for row in ((0.10, 0.0, 0.381295), (0.2, 0.03, None), (0.10, -0.05, 0.330092))),
    ],
)
def test_t4_pinning_probability_of_time_decay(a: float, log_strike: float, printed: float | None, paths: int) -> None:
    theory = charm_probability({log_strike: a})
    assert printed is None or theory == pytest.approx(printed, abs=5e-7)
    share, error = pinned(run(scenario(book({log_strike: CONTRACTS}), a, grid=GRADED, policy=CharmOnly()), paths), log_strike)
    assert error <= 0.05 * theory
    assert abs(share - theory) < 4.0 * error + (0.004 if log_strike == 0.0 else 0.009)
    assert abs(share - charm_probability({log_strike: -0.5 * a if a > 0.15 else 0.4 * a})) > 4.0 * error + 0.009


@pytest.mark.slow
@pytest.mark.parametrize(("a", "log_strike"), [(0.02, 0.0), (0.05, 0.0), (0.10, 0.0), (0.05, -0.05), (0.10, -0.05)])
def test_t4_at_full_size(a: float, log_strike: float) -> None:
    theory = charm_probability({log_strike: a})
    share, error = pinned(run(scenario(book({log_strike: CONTRACTS}), a, grid=GRADED, policy=CharmOnly()), 200_000), log_strike)
    assert error <= 0.01 * theory
    assert abs(share - theory) < 4.0 * error + (0.004 if log_strike == 0.0 else 0.009)


@pytest.mark.parametrize("paths", [2_000, pytest.param(5_000, marks=SLOW)])
def test_t4_two_strikes_share_the_paths(paths: int) -> None:
    """Long at two strikes: 1 - exp(-sum A_i f(K_i)) = .42889."""
    a = {-0.05: 0.05, 0.03: 0.08}
    theory = charm_probability(a)
    assert theory == pytest.approx(0.42889, abs=2e-5) or charm_probability({0.05: 0.05, -0.03: 0.08}) == pytest.approx(0.42889, abs=2e-5)
    options = book({strike: CONTRACTS * share / 0.1 for strike, share in a.items()})
    blocks = run(scenario(options, 0.1, grid=GRADED, policy=CharmOnly()), paths)
    found = [pinned(blocks, strike) for strike in a]
    share, error = sum(value for value, _ in found), math.hypot(*(err for _, err in found))
    assert abs(share - theory) < 4.0 * error + 0.013


@pytest.mark.parametrize("paths", [2_000, pytest.param(3_000, marks=SLOW)])
def test_t4_short_gamma_repels(paths: int) -> None:
    """Dealers short: nobody is pinned, and the density at the strike is below the normal one."""
    share, error = pinned(run(scenario(book({0.0: -CONTRACTS}), 0.10, grid=GRADED, policy=CharmOnly()), paths), 0.0)
    normal = norm.cdf(0.02) - norm.cdf(-0.02)
    assert share < normal - 4.0 * error or share == 0.0
    assert normal > 4.0 * math.sqrt(normal / paths)


# T5: the full loop pins, and the pin is undone when hedges are unwound


def atom(a: float, x0: float) -> float:
    """P(S_T = K) = Phi((A - m)/v) - Phi(-m/v), m = x0 + A N(d1)."""
    spread = VOL * math.sqrt(WEEK)
    mean = x0 + a * norm.cdf(x0 / spread + 0.5 * spread)
    return float(norm.cdf((a - mean) / spread) - norm.cdf(-mean / spread))


@pytest.mark.parametrize(
    ("a", "x0", "printed", "paths"),
    [
        (0.10, 0.0, 0.452580, 2_000),
        *(pytest.param(*row, 4_000, marks=SLOW) for row in ((0.10, 0.0, 0.452580), (0.15, -0.03, None), (0.10, 0.05, 0.318552))),
    ],
)
def test_t5_full_hedging_pins_with_an_atom(a: float, x0: float, printed: float | None, paths: int) -> None:
    theory = atom(a, x0)
    assert printed is None or theory == pytest.approx(printed, abs=5e-7)
    share, error = pinned(run(scenario(book({-x0: CONTRACTS}), a, grid=GRADED), paths), -x0, width=4e-4)
    assert abs(share - theory) < 4.0 * error + 0.004
    assert abs(share - atom(0.7 * a, x0)) > 4.0 * error


@pytest.mark.slow
@pytest.mark.parametrize(("a", "x0"), [(0.02, 0.0), (0.05, 0.0), (0.10, 0.0), (0.02, 0.05), (0.05, 0.05), (0.10, 0.05)])
def test_t5_at_full_size(a: float, x0: float) -> None:
    theory = atom(a, x0)
    share, error = pinned(run(scenario(book({-x0: CONTRACTS}), a, grid=GRADED), 130_000), -x0, width=4e-4)
    assert error <= 0.01 * theory
    assert abs(share - theory) < 4.0 * error + 0.004


def test_t5_pin_reverses_after_cash_settlement() -> None:
    """The hedge is unwound after the fixing, so that x_post = x_0 + sigma W + A N(d1(x_0)) whatever happened at the strike."""
    a, after = 0.10, 20
    fixing = TimeGrid.graded(horizon_days=7.0, steps=200, exponent=4.0).years
    grid = TimeGrid(np.concatenate((fixing, WEEK + np.arange(1, after + 1) * 5 / (1440 * 365))))
    block = run(scenario(book({0.0: CONTRACTS}), a, grid=grid), 1000)[0]
    at_fixing = np.abs(block.log_price[:, 200]) < 4e-4
    assert at_fixing.mean() > 0.3
    unwound = block.log_price[:, 201:] - block.fundamental_log[:, 201:]
    assert np.abs(unwound - a * norm.cdf(0.5 * VOL * math.sqrt(WEEK))).max() < 1e-10
    assert (np.abs(block.log_price[:, 201]) < 4e-4).mean() < 0.02


@pytest.mark.parametrize("paths", [2_000, pytest.param(4_000, marks=SLOW)])
def test_t5_short_gamma_has_no_atom(paths: int) -> None:
    """Dealers short: a band below the strike is bistable, and nobody rests at the strike."""
    share, _ = pinned(run(scenario(book({0.0: -CONTRACTS}), 0.05, grid=GRADED), paths), 0.0, width=4e-4)
    assert share < 0.01


# T6: the settlement average caps the loop


@pytest.mark.parametrize(("a", "cap"), [(0.001, 0.1524), (0.005, 0.7622), (0.02, 3.0487)])
def test_t6_average_caps_the_gain(a: float, cap: float) -> None:
    """At the strike, half an hour before expiry, g = A sqrt(3)/(sigma sqrt(2 pi W)); without the average it passes every bound."""
    window = 30 / (1440 * 365)
    for minutes, averaged in ((30.0, True), (1.0, True), (1.0, False)):
        years = 60 / (1440 * 365)
        grid = TimeGrid(np.array([0.0, years - minutes / (1440 * 365), years]))
        plan = plan_run(
            replace(scenario(book({0.0: CONTRACTS}, years=years, averaged=averaged), a, grid=grid), clearing="implicit"), seed=0
        )
        state = init(plan, 0, 1)
        state = replace(state, step=1)
        gain = abs(float(market_gain(plan, state, 1, np.zeros(1), np.zeros(1))[0]))
        left = minutes / (1440 * 365)
        if averaged:
            theory = a * math.sqrt(3.0 * left) / (VOL * window * math.sqrt(2.0 * math.pi))
            assert minutes < 30.0 or theory == pytest.approx(cap, abs=5e-5)
        else:
            theory = a / (VOL * math.sqrt(2.0 * math.pi * left))
        assert gain == pytest.approx(theory, rel=2e-3)


@pytest.mark.parametrize(("a", "minutes"), [(0.001, 0.2324), (0.005, 5.8092), (0.02, 92.95), (0.05, 580.9)])
def test_t6_gain_without_average_reaches_one_at_its_time(a: float, minutes: float) -> None:
    """tau* = (A/(sigma sqrt(2 pi)))^2."""
    years = 0.01
    grid = TimeGrid(np.array([0.0, years - minutes / (1440 * 365), years]))
    plan = plan_run(scenario(book({0.0: -CONTRACTS}, years=years), a, grid=grid, clearing="lagged"), seed=0)
    gain = float(market_gain(plan, init(plan, 0, 1), 1, np.zeros(1), np.zeros(1))[0])
    assert gain == pytest.approx(1.0, rel=1e-3)


# T7: impact that is not linear in the speed of trading


@dataclass(frozen=True, slots=True)
class Pace:
    """The years of a step, where the engine looks for depth: speed is coin per year, so a short step is a thin market."""

    depth_log: np.ndarray


@dataclass(frozen=True, slots=True)
class RatePower:
    """Permanent impact that grows with a power of the speed of trading: drift = scale |dQ/dt|^exponent, in coin and years."""

    scale: float
    exponent: float
    limit: None = None

    def init(self, paths: int) -> Pace:
        return Pace(np.zeros(paths))

    def pull(self, state: Pace, step_years: float) -> tuple[np.ndarray, Pace]:
        return np.zeros(1), Pace(np.full(state.depth_log.shape, -math.log(step_years)))

    def move(self, state: Pace, flow_usd: np.ndarray, flow_coin: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        years = np.exp(-state.depth_log)
        speed = np.abs(flow_coin) / years
        moved = np.sign(flow_coin) * self.scale * years * speed**self.exponent
        slope = self.scale * self.exponent * np.maximum(speed, 1e-12) ** (self.exponent - 1.0)
        return moved, np.zeros(flow_coin.shape), slope

    def excess(
        self, answers: np.ndarray, chosen: np.ndarray, fixed: np.ndarray, market: np.ndarray, log_price: np.ndarray, out: np.ndarray
    ) -> None:
        spot, log_pre, years = market[:, chosen]
        usd, coin, slope_usd, slope_coin = answers.sum(axis=0)
        flow_coin = fixed[1, chosen] + coin + (fixed[0, chosen] + usd) / spot
        moved, _, slope = self.move(Pace(-np.log(years)), flow_coin * spot, flow_coin)
        out[0, chosen], out[1, chosen] = log_pre + moved - log_price[chosen], slope * (slope_coin + slope_usd / spot) - 1.0

    def absorb(self, state: Pace, *_: object) -> Pace:
        return state

    def exhausted(self, flow_usd: np.ndarray) -> np.ndarray:
        return np.zeros(flow_usd.shape, dtype=bool)

    def small_signal_per_usd(self, spot_usd: float) -> float:
        return 0.0


def pinning_by_log_time(
    exponent: float, paths: int, *, reach: tuple[int, ...] = (2, 4, 6, 8), c: float = 1.0, seed: int = 4
) -> dict[int, float]:
    """P(|ln(S/K)| < sigma sqrt(tau)) at s = ln(T/tau), for charm flow whose impact is |dQ/dt|^exponent.

    With z = y/(sigma sqrt(tau)) the charm speed is |z| phi(z)/(2 tau); the scale makes the drift of z in log time
    -c e^{(p - 1/2) s} (|z| e^{-z^2/2})^p, so that p = 1 pins with probability 1 - e^{-2c} in the end.
    """
    years, steps_per_unit = 1.0, 40
    left = years * np.exp(-np.arange(reach[-1] * steps_per_unit + 1) / steps_per_unit)
    grid = TimeGrid(years - left)
    options = OptionBook.single("call", strike_usd=SPOT, expiry_years=years, contracts_coin=1.0, iv=VOL)
    scale = c * VOL * (2.0 * math.sqrt(2.0 * math.pi)) ** exponent * years ** (exponent - 0.5)
    base = Scenario(
        spot_usd=SPOT,
        grid=grid,
        price=Gbm(vol=VOL),
        impact=RatePower(scale, exponent),  # type: ignore[arg-type]
        agents=(Dealer("dealer", CharmOnly(), 0, options=options),),
        clearing="implicit",
        stop_log_move=5.0,
    )
    plan = plan_run(base, seed=seed, full_pnl=False)
    parts = [run_block(plan, first, 1000).log_price for first in range(0, paths, 1000)]
    prices = np.concatenate(parts)
    return {s: float((np.abs(prices[:, s * steps_per_unit]) < VOL * np.sqrt(left[s * steps_per_unit])).mean()) for s in reach}


@pytest.mark.parametrize(
    ("exponent", "marks", "paths"),
    [
        pytest.param(0.25, {2: 0.5977, 4: 0.3281, 6: 0.1587, 8: 0.0696}, 2000, marks=SLOW),
        pytest.param(0.5, {2: 0.6352, 4: 0.4673, 6: 0.3503, 8: 0.2631}, 2000, marks=SLOW),
        pytest.param(0.75, {2: 0.6837, 4: 0.6942, 6: 0.7549, 8: 0.7709}, 2000, marks=SLOW),
        pytest.param(1.0, {2: 0.7418, 4: 0.8573, 6: 0.8646, 8: 0.8647}, 2000, marks=SLOW),
        pytest.param(1.0, {2: 0.7418, 4: 0.8573, 6: 0.8646, 8: 0.8647}, 400, marks=SLOW),
        (1.0, {2: 0.7418, 4: 0.8573}, 400),
    ],
)
def test_t7_pinning_needs_impact_steeper_than_the_square_root(exponent: float, marks: dict[int, float], paths: int) -> None:
    """The answers come from a finite-volume solution of the same diffusion in log time; p = 1/2 fades without an atom."""
    found = pinning_by_log_time(exponent, paths, reach=tuple(marks))
    for s, theory in marks.items():
        assert abs(found[s] - theory) < 4.0 * math.sqrt(theory * (1.0 - theory) / paths) + 0.006
    if exponent <= 0.5:
        assert found[8] < 0.8 * found[4]
    else:
        assert found[max(marks)] > found[max(marks) // 2] - 0.03


def test_t7_without_impact_the_price_diffuses_away() -> None:
    found = pinning_by_log_time(1.0, 2000, c=0.0)
    for s, theory in {2: 0.3076, 4: 0.1086, 6: 0.0398}.items():
        assert abs(found[s] - theory) < 4.0 * math.sqrt(theory * (1.0 - theory) / 2000) + 0.0035
