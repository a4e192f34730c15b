"""A portfolio insurer as in 1987: it copies a put on its own holding by trading, sells what falls, and owns no option."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Protocol

import numpy as np

from tailwag.errors import InputError, UnitError
from tailwag.hedging.policies import CharmOnly, EveryStep, Leland, NoHedge, Policy, Zakamouline
from tailwag.kernels.arrays import FloatArray
from tailwag.sim.agents.empty_answers import HedgesNoVega
from tailwag.sim.agents.protocol import Account, Draws, Market, Move, Orders, Trader, View
from tailwag.sim.hedge_terms import decide
from tailwag.sim.net_delta import DirectNetDelta
from tailwag.sim.option_book import OptionBook

DAYS_PER_YEAR = 365.0
LEAST_YEARS = 1.0 / (DAYS_PER_YEAR * 86_400.0)
"""A second: the time that a copied put has left at its horizon and after it, where the holding is all or nothing."""
SCAN_SHARE = 0.25
UNREAD_VOL = 1.0
"""A policy that an insurer may follow reads no implied vol."""


class Rule(Protocol):
    """How much of the holding is in the market: coin per USD of holding at the start, and its slope per unit of log price.

    ``relative`` is the price over the first price, ``wealth`` the holding's worth over its first worth, before the trade of the moment, and
    ``carried`` the part of that wealth that moves with the price.  (paths,) arrays.
    """

    def exposure(self, relative: FloatArray, wealth: FloatArray, carried: FloatArray, years: float) -> tuple[FloatArray, FloatArray]: ...

    def scale_log(self, years: float) -> float: ...


@dataclass(frozen=True, slots=True)
class SyntheticPut:
    """Hold N(d1) of the coin, the rest in cash: the delta of the holding with a put at ``floor_share`` of the first price, ``days`` long.

    d1 = (ln(S / K) + iv^2 tau / 2) / (iv sqrt(tau)), no interest.  Who starts with the holding alone ends near max(S_T, K) less the
    put's first price, which the trades pay for.  At its end the rule is all or nothing, and stays.

    >>> coin, slope = SyntheticPut(floor_share=0.9, iv=0.2, days=365.0).exposure(np.ones(1), np.ones(1), np.ones(1), 0.0)
    >>> round(float(coin[0]), 6), round(float(slope[0]), 6)
    (0.734606, 1.638955)
    """

    floor_share: float
    iv: float
    days: float

    def __post_init__(self) -> None:
        _floor(self.floor_share, most=2.0)
        if not 0.01 <= self.iv <= 10.0:
            raise UnitError(f"expected iv as a decimal from 0.01 to 10, got {self.iv:g}; 0.2 is 20 %")
        if not 0.0 < self.days <= 36_500.0:
            raise InputError(f"expected days above 0 and at most 36,500, got {self.days:g}; the copied put ends so long after the start")

    def exposure(self, relative: FloatArray, wealth: FloatArray, carried: FloatArray, years: float) -> tuple[FloatArray, FloatArray]:
        """N(d1) and n(d1) / (iv sqrt(tau)), per coin of holding."""
        ends = self.days / DAYS_PER_YEAR
        call = OptionBook.single("call", strike_usd=self.floor_share, expiry_years=ends, contracts_coin=1.0, iv=self.iv)
        now = np.array([min(years, ends - LEAST_YEARS)])
        return DirectNetDelta(call, now, 1.0).at(0, np.log(relative), np.zeros(relative.shape))

    def scale_log(self, years: float) -> float:
        """The put's standard deviation: the delta is smooth over a part of it."""
        return self.iv * float(np.sqrt(max(self.days / DAYS_PER_YEAR - years, LEAST_YEARS)))


@dataclass(frozen=True, slots=True)
class ConstantProportion:
    """Hold ``multiplier`` times the cushion of wealth over the floor, at most ``most_share`` of wealth and never short (CPPI).

    exposure E = min(m (V - F), most_share V), 0 where V <= F; F = floor_share of the first wealth.  A move dx makes it buy m (m - 1) (V - F) dx USD.

    >>> coin, slope = ConstantProportion(floor_share=0.8, multiplier=3.0).exposure(np.ones(1), np.ones(1), np.full(1, 0.6), 0.0)
    >>> round(float(coin[0]), 6), round(float(slope[0]), 6)
    (0.6, 1.2)
    """

    floor_share: float
    multiplier: float
    most_share: float = 1.0

    def __post_init__(self) -> None:
        _floor(self.floor_share, most=1.0)
        if not 1.0 <= self.multiplier <= 100.0:
            raise InputError(
                f"expected a multiplier from 1 to 100, got {self.multiplier:g}; 1 over it is the fall that reaches the floor at once"
            )
        if not 0.0 < self.most_share <= 10.0:
            raise InputError(f"expected most_share above 0 and at most 10, got {self.most_share:g}; 1 borrows nothing")

    def exposure(self, relative: FloatArray, wealth: FloatArray, carried: FloatArray, years: float) -> tuple[FloatArray, FloatArray]:
        """Exposure over the relative price; its slope is minus what does not move with the price, times the multiplier or the cap."""
        cushion = self.multiplier * (wealth - self.floor_share)
        capped = cushion > self.most_share * wealth
        coin = np.where(capped, self.most_share * wealth, cushion)
        still = np.where(capped, self.most_share * (wealth - carried), self.multiplier * (wealth - carried - self.floor_share))
        out = np.where(capped, wealth, cushion) <= 0.0
        return np.where(out, 0.0, coin) / relative, np.where(out, 0.0, -still) / relative

    def scale_log(self, years: float) -> float:
        """A fall of 1 / m takes the whole cushion."""
        return 1.0 / self.multiplier


@dataclass(frozen=True, slots=True)
class PortfolioInsurer:
    """Insures ``holding_usd`` by trading it: buys rises and sells falls, like a dealer who is short the put that it copies.

    ``rule``: :class:`SyntheticPut` or :class:`ConstantProportion`.  Wealth is the holding with all its trades and costs.  ``policy``, ``speed`` and ``delay_steps``
    are those of a dealer.  Its profit is that of the holding it insures, in the market and out of it; the put it copies is nobody's option.
    Raises InputError for a holding that is none, a speed outside (0, 2], a delay below 0, or a policy that needs options.
    """

    name: str
    rule: SyntheticPut | ConstantProportion
    holding_usd: float
    delay_steps: int
    policy: Policy = field(default_factory=EveryStep)
    speed: float = 1.0
    stream: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.holding_usd < 1e15:
            raise InputError(f"agent {self.name!r}: expected holding_usd above 0, got {self.holding_usd:g}; what is insured, in USD")
        if self.delay_steps < 0 or int(self.delay_steps) != self.delay_steps:
            raise InputError(f"agent {self.name!r}: expected delay_steps as a whole number of 0 or more, got {self.delay_steps}")
        if not 0.0 < self.speed <= 2.0:
            raise InputError(f"agent {self.name!r}: expected speed above 0 and at most 2, got {self.speed:g}")
        if isinstance(self.policy, Leland | Zakamouline | CharmOnly | NoHedge):
            raise InputError(
                f"agent {self.name!r}: policy {str(self.policy)!r} wants options, an insurer owns none; use every-step or a band"
            )

    hedge_share = property(lambda self: 1.0, doc="The whole rule is followed.")
    after_expiry = property(lambda self: "hold", doc="At its horizon the copied put leaves all or nothing in the market.")
    vega_hedge_share = property(lambda self: 0.0, doc="It has no options, so no vega.")
    iv = property(lambda self: UNREAD_VOL, doc="None that a policy reads; the copied put's own is the rule's.")

    def content(self) -> str:
        """Everything but the name."""
        return repr(["insurer", *(getattr(self, entry.name) for entry in fields(self) if entry.name != "name")])

    def starting_dollar_gamma_usd(self, spot_usd: float) -> float:
        """Minus what it buys per unit of log price: -holding n(d1) / (iv sqrt(tau)), or -m (m - 1) times the cushion; short gamma."""
        _, slope = self.at_start()
        return -self.holding_usd * slope

    def starting_flow_response_usd(self, spot_usd: float) -> float:
        """USD bought per unit of log price at the start, + buys rises."""
        return -self.starting_dollar_gamma_usd(spot_usd)

    def at_start(self) -> tuple[float, float]:
        """Share of the holding that is in the market at the start, and its slope per unit of log price."""
        one = np.ones(1)
        share, _ = self.rule.exposure(one, one, one, 0.0)
        share, slope = self.rule.exposure(one, one, share, 0.0)
        return float(share[0]), float(slope[0])

    def at_work(self, market: Market) -> Trader:
        """Ready to insure."""
        return InsurerTrader(self, market.spot_usd, self.at_start()[0], tuple(market.grid.years.tolist()))


@dataclass(frozen=True, slots=True)
class InsurerTrader(HedgesNoVega):
    """The insurer at work; its memory is the wealth that its rule would have without costs and delay, over the first wealth, (paths,)."""

    agent: PortfolioInsurer
    spot_usd: float
    start_share: float
    years: tuple[float, ...]

    def init(self, paths: int, draw: Draws | None = None) -> FloatArray:
        """The whole holding."""
        return np.ones(paths)

    def start_coin(self, state: FloatArray) -> FloatArray:
        """The part of the holding that the rule puts into the market."""
        return np.full(state.shape, self.start_share * self._coins())

    def act(self, view: View, account: Account, state: FloatArray, draw: Draws) -> Orders:
        """Close the gap in coin between what the rule says and what is held or on its way."""
        owned = account.position_coin + account.flight_coin
        target, slope = self._target(view.time_years, view.log_price, account)
        decision = decide(
            self.agent,
            view,
            draw,
            gap=target - owned,
            unit="coin",
            dollar_gamma_usd=-slope * view.spot_usd,
            vol=np.full(owned.shape, UNREAD_VOL),
            years_left=float("inf"),
        )
        nothing = np.zeros(owned.shape)
        if self.agent.delay_steps:
            return Orders(usd=nothing, coin=decision.speed * (target - owned - decision.offset))

        def demand(log_price: FloatArray, vol_shift: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
            there, steepness = self._target(view.time_years, log_price, account)
            return nothing, decision.speed * (there - owned - decision.offset), nothing, decision.speed * steepness

        scale = SCAN_SHARE * self.agent.rule.scale_log(view.time_years)
        return Orders(usd=nothing, coin=nothing, demand=demand, scale_log=np.where(decision.active, scale, np.inf))

    def dollar_gamma_usd(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: FloatArray) -> FloatArray:
        """Minus what it buys per unit of log price there, for a wealth without costs and delay."""
        relative = np.exp(log_price)
        share, _ = self.agent.rule.exposure(relative, state, state, self.years[step])
        _, slope = self.agent.rule.exposure(relative, state, share * relative, self.years[step])
        return np.asarray(-self.agent.holding_usd * slope * relative)

    def options(self, move: Move, state: FloatArray) -> tuple[None, FloatArray]:
        """No options; wealth without costs and delay follows the price."""
        before = np.exp(move.log_before)
        share, _ = self.agent.rule.exposure(before, state, state, self.years[move.step - 1])
        return None, np.where(move.live, state + share * (np.exp(move.log_price) - before), state)

    def gap_usd(
        self, step: int, log_price: FloatArray, spot_usd: FloatArray, vol_shift: FloatArray, account: Account, state: FloatArray
    ) -> FloatArray:
        """USD still to be bought, orders in flight not counted as bought."""
        return np.asarray((self._target(self.years[step], log_price, account)[0] - account.position_coin) * spot_usd)

    def _coins(self) -> float:
        return self.agent.holding_usd / self.spot_usd

    def _target(self, years: float, log_price: FloatArray, account: Account) -> tuple[FloatArray, FloatArray]:
        """Coin to hold, and its slope per unit of log price; wealth at that price is what is held before the trade."""
        relative, holding = np.exp(log_price), self.agent.holding_usd
        carried = account.position_coin * self.spot_usd * relative / holding
        wealth = 1.0 - self.start_share + account.cash_usd / holding + carried
        share, slope = self.agent.rule.exposure(relative, wealth, carried, years)
        return share * self._coins(), slope * self._coins()


def _floor(share: float, *, most: float) -> None:
    if not 0.0 < share <= most:
        raise UnitError(f"expected floor_share above 0 and at most {most:g}, got {share:g}; 0.9 insures nine tenths of the holding")
