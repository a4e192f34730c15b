"""A strategy short a squared perpetual that anybody may re-hedge by a public rule: after so long or after such a move, whichever is first."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from tailwag.errors import InputError, RuleError, UnitError
from tailwag.kernels.arrays import BoolArray, FloatArray, zero_row
from tailwag.kernels.booking import row
from tailwag.kernels.thresholds import due_or_far
from tailwag.sim.agents.empty_answers import HedgesNoVega
from tailwag.sim.agents.protocol import Account, Draws, Market, Move, OptionStep, Orders, Trader, View
from tailwag.units import HOURS_PER_YEAR

SAME_TIME = 1e-9
NEARLY = 1.0 - 1e-9


def everlasting_power(power: float, *, vol: float, funding_years: float, rate: float = 0.0) -> float:
    """Fair mark of an everlasting claim on S^power over S^power itself: 1 / (2 exp(-f (p - 1) (r + p vol^2 / 2)) - 1), funded every f years.

    It is the sum of claims that settle in 1, 2, 3 ... funding periods, halved in size each time.
    Source: White and Bankman-Fried 2021, Everlasting options; White, Robinson, Koticha, Leone, Gauba and Krishnan 2021, Power perpetuals.

    >>> round(everlasting_power(2.0, vol=0.6, funding_years=1 / 365), 8)
    1.00197553

    RuleError where the sum has no end: a claim that grows by half or more in a funding period has no fair price.
    """
    shrinks = 2.0 * math.exp(-funding_years * (power - 1.0) * (rate + 0.5 * power * vol * vol)) - 1.0
    if not shrinks > 0.0:
        raise RuleError(
            f"expected a claim that less than doubles in a funding period of {funding_years:g} years, got vol {vol:g}; shorten it"
        )
    return 1.0 / shrinks


@dataclass(frozen=True, slots=True)
class TimeOrThreshold:
    """The public rule: hedge once ``every_hours`` have passed since the last hedge, or price has moved by ``move_share`` since then.

    Anybody can compute it, so anybody knows when and in which direction the next hedge will trade.

    >>> print(TimeOrThreshold(24.0, 0.01))
    after 24 h or a 1 % move, whichever is first

    Raises InputError for hours that are not positive or a move below 0 (0 hedges in every step that moves).
    """

    every_hours: float
    move_share: float

    def __post_init__(self) -> None:
        if not self.every_hours > 0.0:
            raise InputError(f"expected every_hours above 0, got {self.every_hours:g}; inf never hedges by the clock")
        if not self.move_share >= 0.0:
            raise InputError(f"expected move_share of 0 or more, got {self.move_share:g}; 0.01 is 1 %")

    def __str__(self) -> str:
        return f"after {self.every_hours:g} h or a {100 * self.move_share:g} % move, whichever is first"

    def due(self, since_years: FloatArray, since_log: FloatArray) -> BoolArray:
        """Whether the hedge may be called, (paths,): time and log move since the last one."""
        paths, share = np.broadcast(since_years, since_log).size, self.move_share * (1.0 - SAME_TIME)
        age, moved = row(since_years, paths), row(since_log, paths)
        fell, rose = (math.log1p(-share) if share < 1.0 else -math.inf), math.log1p(share)
        due, far = np.empty(paths, dtype=np.bool_), np.empty(paths, dtype=np.int64)
        oldest = (self.every_hours / HOURS_PER_YEAR) * (1.0 - SAME_TIME)
        number = due_or_far(age, moved, oldest, (NEARLY * fell, NEARLY * rose), due, far)
        far = far[:number]  # nearer than that the move is certainly smaller
        moves = moved[far]
        due[far] |= (np.abs(np.expm1(moves)) >= share) & (moves != 0.0)
        return due

    def levels_usd(self, hedged_at_usd: float) -> tuple[float, float]:
        """The prices below and above at which the next hedge becomes due before its time.

        >>> TimeOrThreshold(24.0, 0.01).levels_usd(60_000.0)
        (59400.0, 60600.0)
        """
        return hedged_at_usd * (1.0 - self.move_share), hedged_at_usd * (1.0 + self.move_share)


@dataclass(frozen=True, slots=True)
class PerpFunding:
    """How a squared perpetual pays its shorts: the mark over the index, clamped, wears off within ``period_hours``.

    >>> terms = PerpFunding(period_hours=420.0, least_ratio=0.8, most_ratio=1.4)
    >>> round(terms.rate_per_year(0.6), 6), round(terms.rate_per_year(5.0), 4)
    (0.36, 7.0178)
    """

    period_hours: float
    least_ratio: float
    most_ratio: float

    def __post_init__(self) -> None:
        if not self.period_hours > 0.0 or not 0.0 < self.least_ratio <= 1.0 <= self.most_ratio:
            raise InputError(
                f"expected period_hours above 0 and mark over index clamped around 1, got {self.period_hours:g} h and "
                f"{self.least_ratio:g} to {self.most_ratio:g}"
            )

    def rate_per_year(self, iv: float) -> float:
        """What a short earns a year per USD of its value when the mark trades at implied vol ``iv``: iv^2, up to the clamp."""
        period = self.period_hours / HOURS_PER_YEAR
        return min(max(iv * iv, math.log(self.least_ratio) / period), math.log(self.most_ratio) / period)


@dataclass(frozen=True, slots=True)
class Crab:
    """Short a squared perpetual worth ``notional_usd`` at the start, delta-hedged by a public time-or-threshold rule.

    Value of the short -N (S / S0)^2 e^(-funding t): delta -2 N S / S0^2 coin, dollar gamma -2 N (S / S0)^2; it earns funding and pays the
    squared moves between hedges.  The keeper sees a cleared price and trades at the next block, so ``delay_steps`` is 1 or more.
    ``hedged_hours_ago`` and ``hedged_at_log`` (log of the price over the first one): when and where it was hedged last; two strategies of one rule that
    begin alike are hedged in the same steps for ever.  Raises UnitError or InputError for numbers out of range.
    """

    name: str
    delay_steps: int
    notional_usd: float
    iv: float
    rule: TimeOrThreshold
    funding: PerpFunding
    stream: int = 0
    hedged_hours_ago: float = 0.0
    hedged_at_log: float = 0.0

    def __post_init__(self) -> None:
        if self.delay_steps < 1 or int(self.delay_steps) != self.delay_steps:
            raise InputError(
                f"agent {self.name!r}: expected delay_steps of 1 or more, got {self.delay_steps}; a keeper trades after the price it has seen"
            )
        if not 0.0 < self.notional_usd < 1e15:
            raise UnitError(f"agent {self.name!r}: expected notional_usd above 0 and below 1e15, got {self.notional_usd:g}")
        if not 0.0 <= self.iv <= 10.0:
            raise UnitError(f"agent {self.name!r}: expected iv as a decimal from 0 to 10, got {self.iv:g}; 0.6 is 60 %")
        if not 0.0 <= self.hedged_hours_ago < self.rule.every_hours:
            raise InputError(
                f"agent {self.name!r}: expected its last hedge from 0 to {self.rule.every_hours:g} hours before the start, got "
                f"{self.hedged_hours_ago:g}; its rule would have called since"
            )
        if self.hedged_at_log != 0.0 and not abs(math.expm1(-self.hedged_at_log)) < self.rule.move_share:
            raise InputError(
                f"agent {self.name!r}: expected its last hedge within {100 * self.rule.move_share:g} % of the first price, got "
                f"{100 * math.expm1(self.hedged_at_log):+.3g} %; its rule would have called since"
            )

    @property
    def policy(self) -> TimeOrThreshold:
        """The public rule."""
        return self.rule

    def content(self) -> str:
        """Everything but the name."""
        last = ("hedged_hours_ago", "hedged_at_log")
        said = ["crab", *(getattr(self, entry.name) for entry in fields(self) if entry.name not in ("name", *last))]
        began = [getattr(self, name) for name in last]
        return repr([*said, *began] if any(began) else said)

    def starting_dollar_gamma_usd(self, spot_usd: float) -> float:
        """-2 N."""
        return -2.0 * self.notional_usd

    def at_work(self, market: Market) -> Trader:
        """Ready to be hedged."""
        return CrabTrader(self, market)


@dataclass(frozen=True, slots=True)
class Owed:
    """What the short owes at a step and its prices, kept for who asks for that there again.  (paths,)."""

    step: int
    log_price: FloatArray
    usd: FloatArray


@dataclass(frozen=True, slots=True)
class CrabState:
    """When and where the last hedge was called, whether one is called now, and what the short owes.  (paths,)."""

    hedged_years: FloatArray
    hedged_log: FloatArray
    called: BoolArray
    owed: Owed | None = None


@dataclass(frozen=True, slots=True)
class CrabTrader(HedgesNoVega):
    """The strategy and its keepers at work."""

    agent: Crab
    market: Market

    def init(self, paths: int, draw: Draws | None = None) -> CrabState:
        """Hedged at the start, or when and where it was hedged last."""
        ago, at = self.agent.hedged_hours_ago / HOURS_PER_YEAR, self.agent.hedged_at_log
        return CrabState(np.full(paths, -ago), np.full(paths, at), np.zeros(paths, dtype=np.bool_))

    def start_coin(self, state: CrabState) -> FloatArray:
        """Long the coin that the short lacks."""
        worth = self._worth(0, state.hedged_log, state)
        return np.asarray(2.0 * worth / (self.market.spot_usd * np.exp(state.hedged_log)))

    def act(self, view: View, account: Account, state: CrabState, draw: Draws) -> Orders:
        """Where the rule has called, close the whole gap."""
        nothing, called = zero_row(view.log_price.size), np.flatnonzero(state.called & view.live)
        if not called.size:
            return Orders(usd=nothing, coin=nothing)
        target = 2.0 * self._worth(view.step, view.log_price, state)[called] / view.spot_usd[called]
        coin = np.zeros(nothing.shape)
        coin[called] = target - account.position_coin[called] - account.flight_coin[called]
        return Orders(usd=nothing, coin=coin)

    def dollar_gamma_usd(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: CrabState) -> FloatArray:
        """-2 N (S / S0)^2, less what funding has worn off."""
        return np.asarray(-2.0 * self._worth(step, log_price, state))

    def options(self, move: Move, state: CrabState) -> tuple[OptionStep, CrabState]:
        """Change of the short's value: delta, then gamma against funding; the rest is the residual.  The rule looks at the cleared price."""
        before, after = self._worth(move.step - 1, move.log_before, state), self._worth(move.step, move.log_price, state)
        funding, share = self.agent.funding.rate_per_year(self.agent.iv) * move.step_years, move.spot_usd / move.spot_before_usd - 1.0
        delta = np.where(move.live, -2.0 * before * share, 0.0)
        gamma_theta = np.where(move.live, before * (funding - share * share), 0.0)
        nothing = zero_row(after.size)
        step = OptionStep(delta, gamma_theta, nothing, nothing, np.where(move.live, before - after, 0.0), nothing)
        return step, self._called(move, state, Owed(move.step, move.log_price, after))

    def gap_usd(
        self, step: int, log_price: FloatArray, spot_usd: FloatArray, vol_shift: FloatArray, account: Account, state: CrabState
    ) -> FloatArray:
        """USD still to be bought to be free of delta."""
        return np.asarray((2.0 * self._worth(step, log_price, state) / spot_usd - account.position_coin) * spot_usd)

    def _called(self, move: Move, state: CrabState, owed: Owed) -> CrabState:
        now = float(self.market.grid.years[move.step])
        called = move.live & self.agent.rule.due(now - state.hedged_years, move.log_price - state.hedged_log)
        chosen = np.flatnonzero(called)
        if not chosen.size:
            return CrabState(state.hedged_years, state.hedged_log, called, owed)
        years, log_price = state.hedged_years.copy(), state.hedged_log.copy()
        years[chosen], log_price[chosen] = now, move.log_price[chosen]
        return CrabState(years, log_price, called, owed)

    def _worth(self, step: int, log_price: FloatArray, state: CrabState) -> FloatArray:
        """N (S / S0)^2 e^(-funding t), what the short owes."""
        if state.owed is not None and state.owed.step == step and state.owed.log_price is log_price:
            return state.owed.usd
        worn = math.exp(-self.agent.funding.rate_per_year(self.agent.iv) * float(self.market.grid.years[step]))
        return np.asarray(self.agent.notional_usd * worn * np.exp(2.0 * log_price))
