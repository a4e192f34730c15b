"""Market impact as the simulation needs it: what a step's net flow does to the price, what passes, and how depth reacts.

The pieces are pure transitions over a block of paths.  One step reads: ``pull`` (passing impact decays), ``move`` (the step's flow moves the
price), ``absorb`` (the flow is remembered, depth reacts).  With permanent and passing linear impact the price is then
x_t = F_t + permanent + D_t, F being the exogenous sum and D the passing part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

import numpy as np

from tailwag.errors import RuleError
from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray, frozen
from tailwag.kernels.clearing import excess_rows
from tailwag.liquidity.arbitrage import Decay, ExponentialDecay, PowerDecay, scan_for_arbitrage, square_root_warning
from tailwag.liquidity.laws import Impact, LinearImpact, SquareRootImpact, SumImpact
from tailwag.liquidity.propagator import ExponentialSum, fit_power_kernel, greatest_response
from tailwag.sim.impact_laws import ReactiveDepth, SquareRootLaw, not_negative, positive
from tailwag.units import HOURS_PER_YEAR

__all__ = ["MINUTES_PER_YEAR", "ImpactModel", "ImpactState", "Kernel", "PassingImpact", "ReactiveDepth", "SquareRootLaw"]

MINUTES_PER_YEAR = 60.0 * HOURS_PER_YEAR
Kernel = Literal["exponential", "power"]
Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class PassingImpact:
    """One more passing effect beside the model's own, made by adding two models whose impact passes at different speeds."""

    per_usd: float
    per_coin: float
    half_life_minutes: float | None
    kernel: Kernel
    power_exponent: float | None
    power_unit_minutes: float | None
    power_horizon_minutes: float | None


@dataclass(frozen=True, slots=True)
class ImpactState:
    """What impact remembers between steps: ``transient`` (terms, paths) log price, ``depth_log`` (paths,) <= 0, ``signed_flow_usd`` (paths,)."""

    transient: FloatArray
    depth_log: FloatArray
    signed_flow_usd: FloatArray


@dataclass(frozen=True, slots=True)
class ImpactModel:
    """What a step's net flow does to the log price: a part that stays, a part that passes, depth that reacts.

    ``permanent_*`` and ``transient_*`` are log price per USD or per coin traded (each per USD or per coin, not both).  The passing part fades
    with ``transient_half_life_minutes``, or as (1 + age / ``power_unit_minutes``)^-``power_exponent``, held as a sum of exponentials that
    follows it to ``power_fit.greatest_relative_error`` (at most 0.1 %) up to ``power_horizon_minutes``.  ``square_root`` stays.  Under
    ``depth_reacts`` every slope is divided by the depth share as it stood before the step.  More than ``limit_usd_per_step`` in one step
    exhausts the book.

    The same net flow is always given in both units, ``flow_usd`` and ``flow_coin`` (paths,); each coefficient reads its own.

    >>> model = ImpactModel(permanent_per_usd=1e-11, transient_per_usd=3e-11, transient_half_life_minutes=30.0)
    >>> move, per_usd, per_coin = model.move(model.init(1), np.array([1e8]), np.array([1666.7]))
    >>> round(float(move[0]), 6), round(float(per_usd[0]) * 1e11, 6), float(per_coin[0])
    (0.004, 4.0, 0.0)

    Raises RuleError, in one sentence, for any combination that has no meaning.
    """

    permanent_per_usd: float = 0.0
    permanent_per_coin: float = 0.0
    transient_per_usd: float = 0.0
    transient_per_coin: float = 0.0
    transient_half_life_minutes: float | None = None
    kernel: Kernel = "exponential"
    power_exponent: float | None = None
    power_unit_minutes: float | None = None
    power_horizon_minutes: float | None = None
    square_root: SquareRootLaw | None = None
    depth_reacts: ReactiveDepth | None = None
    limit_usd_per_step: float | None = None
    also_passing: tuple[PassingImpact, ...] = ()
    power_fit: ExponentialSum | None = field(init=False, repr=False, compare=False)
    rates_per_minute: FloatArray = field(init=False, repr=False, compare=False)
    passing_per_usd: FloatArray = field(init=False, repr=False, compare=False)
    passing_per_coin: FloatArray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_model(self)
        parts = [_passing_terms(part) for part in (*_own_passing(self), *self.also_passing)]
        fits = [fit for _, _, _, fit in parts if fit is not None]
        object.__setattr__(self, "power_fit", fits[0] if fits else None)
        for position, name in enumerate(("rates_per_minute", "passing_per_usd", "passing_per_coin")):
            joined = np.concatenate([part[position] for part in parts]) if parts else np.zeros(0)
            object.__setattr__(self, name, frozen(joined))

    @classmethod
    def from_law(cls, law: Impact) -> ImpactModel:
        """The simulated form of a measured law: linear depth becomes permanent impact, the square root keeps its crossover; sums add.

        lambda = 0.01 / depth per 1 %.  RuleError for a law that names no number at every flow (a book, an unknown).
        """
        if isinstance(law, SumImpact):
            parts = [cls.from_law(part) for part in law.parts]
            return sum(parts[1:], start=parts[0])
        if isinstance(law, LinearImpact):
            return cls(permanent_per_usd=0.01 / law.linear_depth_usd_per_pct)
        if isinstance(law, SquareRootImpact):
            root = SquareRootLaw(law.daily_volume_usd, law.daily_vol, crossover_usd=law.crossover_usd, y=law.y)  # type: ignore[arg-type]
            return cls(square_root=root)
        raise RuleError(f"expected a linear or square-root law to simulate, got {law.name}; read its depth at one flow and state it")

    @property
    def is_linear(self) -> bool:
        """Whether a step's move is proportional to its flow (depth that reacts changes the slope between steps only)."""
        return self.square_root is None

    @property
    def full_depth(self) -> tuple[float, float]:
        """Log move per USD and per coin of the linear part at full depth."""
        return self.permanent_per_usd + float(self.passing_per_usd.sum()), self.permanent_per_coin + float(self.passing_per_coin.sum())

    @property
    def passes(self) -> bool:
        """Whether any part of the impact decays."""
        return self.rates_per_minute.size > 0

    def init(self, paths: int) -> ImpactState:
        """Nothing traded yet: no passing impact, full depth."""
        return ImpactState(np.zeros((self.rates_per_minute.size, paths)), np.zeros(paths), np.zeros(paths))

    def pull(self, state: ImpactState, step_years: float) -> tuple[FloatArray, ImpactState]:
        """Log move (paths,) by which earlier impact falls back before anybody trades, and the state after it: below 0 where D > 0.

        pull = sum_i (rho_i - 1) D_i with rho_i = exp(-rate_i step).
        """
        kept = np.exp(-self.rates_per_minute * (step_years * MINUTES_PER_YEAR))
        left = kept[:, None] * state.transient
        return np.asarray((left - state.transient).sum(axis=0)), replace(state, transient=left)

    def move(self, state: ImpactState, flow_usd: FloatArray, flow_coin: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Log move of buying the net flow now, and its slopes per USD and per coin, all (paths,)."""
        thin = np.exp(-state.depth_log)
        per_usd = np.full_like(thin, self.permanent_per_usd + float(self.passing_per_usd.sum()))
        per_coin = np.full_like(thin, self.permanent_per_coin + float(self.passing_per_coin.sum()))
        moved = per_usd * flow_usd + per_coin * flow_coin
        if self.square_root is not None:
            moved = moved + self.square_root.log_move(flow_usd)
            per_usd = per_usd + self.square_root.slope_per_usd(flow_usd)
        return moved * thin, per_usd * thin, per_coin * thin

    def excess(
        self, answers: FloatArray, chosen: IntArray, fixed: FloatArray, market: FloatArray, log_price: FloatArray, out: FloatArray
    ) -> None:
        """Write what the chosen paths' flow would move beyond ``log_price``, and its slope less 1, to ``out`` (2, paths).

        ``answers`` (demands, 4, chosen): USD, coin and their slopes; ``fixed`` (2, paths): other orders in USD and in coin; ``market`` (3, paths): price
        before trading, its log, one over the depth share.
        """
        per_usd, per_coin = self.full_depth
        if self.square_root is None:
            excess_rows(answers, chosen, fixed, market, per_usd, per_coin, log_price, out)
            return
        spot, log_pre, thin = market[:, chosen]
        usd, coin, slope_usd, slope_coin = np.add.reduce(answers, axis=0)
        usd, coin = fixed[0, chosen] + usd, fixed[1, chosen] + coin
        flow_usd, flow_coin = usd + coin * spot, coin + usd / spot
        moved = per_usd * flow_usd + per_coin * flow_coin + self.square_root.log_move(flow_usd)
        steep = (per_usd + self.square_root.slope_per_usd(flow_usd)) * thin
        slope = steep * (slope_usd + slope_coin * spot) + per_coin * thin * (slope_coin + slope_usd / spot)
        out[0, chosen], out[1, chosen] = log_pre + moved * thin - log_price[chosen], slope - 1.0

    def absorb(
        self, state: ImpactState, flow_usd: FloatArray, flow_coin: FloatArray, log_return: FloatArray, step_years: float
    ) -> ImpactState:
        """State after the step: passing terms take the flow (at the depth it met), depth reacts to the step's log return and flow."""
        added = np.multiply.outer(self.passing_per_usd, flow_usd) + np.multiply.outer(self.passing_per_coin, flow_coin)
        transient = state.transient + added * np.exp(-state.depth_log)
        if self.depth_reacts is None:
            return replace(state, transient=transient)
        depth_log, signed_flow_usd = _react(self.depth_reacts, state, flow_usd, log_return, step_years)
        return ImpactState(transient, depth_log, signed_flow_usd)

    def exhausted(self, flow_usd: FloatArray) -> BoolArray:
        """Paths (paths,) whose net flow of this step is more than the book can take."""
        if self.limit_usd_per_step is None:
            return np.zeros(np.shape(flow_usd), dtype=np.bool_)
        return np.asarray(np.abs(flow_usd) > self.limit_usd_per_step)

    def small_signal_per_usd(self, spot_usd: float) -> float:
        """Log move per USD of a vanishing flow at this spot and full depth: the lambda of the same-step loop gain."""
        per_coin = self.permanent_per_coin + float(self.passing_per_coin.sum())
        root = 0.0 if self.square_root is None else self.square_root.slope_at_zero_per_usd
        return self.permanent_per_usd + float(self.passing_per_usd.sum()) + root + per_coin / spot_usd

    def lasting_per_usd(self, spot_usd: float) -> float:
        """Log move per USD of a vanishing flow that is still there when all passing impact is gone: the lambda of the long-run gain."""
        root = 0.0 if self.square_root is None else self.square_root.slope_at_zero_per_usd
        return self.permanent_per_usd + root + self.permanent_per_coin / spot_usd

    def any_delay_per_usd(self, spot_usd: float, *, step_years: float) -> float:
        """Greatest log move per USD over all rhythms of flow: a book with |Gamma$| times this below 1 is stable at any delay and speed.

        lasting + sum_i transient_i 2 / (1 + rho_i), reached by flow that alternates every step; full depth.  Small-gain theorem.
        """
        passing = self.passing_per_usd + self.passing_per_coin / spot_usd
        return self.lasting_per_usd(spot_usd) + greatest_response(self.rates_per_minute * (step_years * MINUTES_PER_YEAR), passing)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of results must know about this law, one sentence each; empty for linear impact with constant depth."""
        notes = [] if self.square_root is None else [square_root_warning()]
        if self.depth_reacts is not None:
            notes.append(
                "depth changes with the market, so buying into a deep book and selling into a thin one moves the price for good: lasting "
                "impact is no longer free of profitable round trips"
            )
        return tuple(notes)

    def __add__(self, other: ImpactModel) -> ImpactModel:
        """Two effects of one and the same flow: moves add.  RuleError where two parts cannot be one (two square roots, two reacting depths)."""
        limits = [limit for limit in (self.limit_usd_per_step, other.limit_usd_per_step) if limit is not None]
        if not _own_passing(self):
            first, second = other, self
        else:
            first, second = self, other
        return replace(
            first,
            permanent_per_usd=self.permanent_per_usd + other.permanent_per_usd,
            permanent_per_coin=self.permanent_per_coin + other.permanent_per_coin,
            square_root=_only_one("square root", self.square_root, other.square_root),
            depth_reacts=_only_one("reacting depth", self.depth_reacts, other.depth_reacts),
            limit_usd_per_step=min(limits) if limits else None,
            also_passing=(*first.also_passing, *_own_passing(second), *second.also_passing),
        )


def _own_passing(model: ImpactModel) -> tuple[PassingImpact, ...]:
    if model.transient_per_usd == 0.0 and model.transient_per_coin == 0.0:
        return ()
    return (
        PassingImpact(
            model.transient_per_usd,
            model.transient_per_coin,
            model.transient_half_life_minutes,
            model.kernel,
            model.power_exponent,
            model.power_unit_minutes,
            model.power_horizon_minutes,
        ),
    )


def _passing_terms(part: PassingImpact) -> tuple[FloatArray, FloatArray, FloatArray, ExponentialSum | None]:
    """Rates per minute, log move per USD and per coin of every exponential term, and the fit behind them."""
    if part.kernel == "exponential":
        positive("transient_half_life_minutes", part.half_life_minutes)
        rate = math.log(2.0) / float(part.half_life_minutes or 1.0)
        return np.array([rate]), np.array([part.per_usd]), np.array([part.per_coin]), None
    unit_minutes, horizon_minutes = _power_scales(part)
    fit = fit_power_kernel(float(part.power_exponent or 0.0), horizon_minutes / unit_minutes)
    return fit.rates_per_unit / unit_minutes, fit.weights * part.per_usd, fit.weights * part.per_coin, fit


def _power_scales(part: PassingImpact) -> tuple[float, float]:
    positive("power_exponent", part.power_exponent)
    positive("power_unit_minutes", part.power_unit_minutes)
    positive("power_horizon_minutes", part.power_horizon_minutes)
    return float(part.power_unit_minutes or 1.0), float(part.power_horizon_minutes or 1.0)


def _react(
    depth: ReactiveDepth, state: ImpactState, flow_usd: FloatArray, log_return: FloatArray, step_years: float
) -> tuple[FloatArray, FloatArray]:
    kept = 0.5 ** (step_years * MINUTES_PER_YEAR / depth.half_life_minutes)
    signed_flow_usd = kept * state.signed_flow_usd + (1.0 - kept) * flow_usd
    fallen = depth.vol_sensitivity * np.abs(log_return) + depth.flow_sensitivity_per_usd * np.abs(signed_flow_usd)
    return np.clip(kept * state.depth_log - fallen, math.log(depth.floor), 0.0), np.asarray(signed_flow_usd)


def _check_model(model: ImpactModel) -> None:
    for name in ("permanent_per_usd", "permanent_per_coin", "transient_per_usd", "transient_per_coin"):
        not_negative(name, getattr(model, name))
    for kind in ("permanent", "transient"):
        if getattr(model, f"{kind}_per_usd") > 0.0 and getattr(model, f"{kind}_per_coin") > 0.0:
            raise RuleError(f"expected {kind} impact per USD or per coin, got both; keep the one that your estimate was made in")
    if model.kernel not in ("exponential", "power"):
        raise RuleError(f"expected kernel exponential or power, got {model.kernel!r}")
    if model.limit_usd_per_step is not None:
        positive("limit_usd_per_step", model.limit_usd_per_step)
    if not _own_passing(model):
        _check_nothing_passes(model)


def _check_nothing_passes(model: ImpactModel) -> None:
    """A decay stated beside the square root alone would be a law against which a round trip earns; beside nothing it has no effect."""
    if model.square_root is None:
        return
    decay: Decay | None = None
    if model.kernel == "power" or model.power_exponent is not None:
        decay = PowerDecay(model.power_exponent or 0.5, unit=model.power_unit_minutes or 1.0)
    elif model.transient_half_life_minutes is not None:
        decay = ExponentialDecay(model.transient_half_life_minutes)
    if decay is not None:
        reason = scan_for_arbitrage(decay, 0.5).sentence.partition(": ")[2].partition(": ")[0]
        raise RuleError(
            f"expected a square-root law that stays, got one that fades: {reason}; let it stay, and add a linear transient_per_usd"
        )


def _only_one(name: str, first: Part | None, second: Part | None) -> Part | None:
    if first is not None and second is not None:
        raise RuleError(f"expected a {name} in at most one of two impacts that are added, got two; keep one")
    return second if first is None else first
