"""A settlement-window manipulator: it trades inside the 30-minute settlement average against options that it holds, and unwinds afterwards."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from tailwag.errors import InputError
from tailwag.hedging.policies import NoHedge
from tailwag.kernels.arrays import FloatArray
from tailwag.sim.agents.empty_answers import HedgesNothing
from tailwag.sim.agents.protocol import Account, Draws, Market, Move, OptionStep, Orders, Trader, View
from tailwag.sim.book_trader import BookState, BookTrader
from tailwag.sim.option_book import WINDOW_YEARS, OptionBook
from tailwag.units import HOURS_PER_YEAR

MINUTES_PER_YEAR = 60.0 * HOURS_PER_YEAR
SAME_YEARS = 1e-12


@dataclass(frozen=True, slots=True)
class SettlementManipulator:
    """Holds ``options`` unhedged and buys ``push_usd`` (+) evenly through the settlement window of their first averaged expiry, then sells it evenly
    within ``unwind_minutes``.

    It pushes where price is within ``reach_log`` of a strike of that expiry as the window opens, and leaves it where it is not.  Its profit is that of options and trades together; the
    difference to ``push_usd = 0`` on the same seeds is what the push earns, delta m Q - C Q^2 - 2 c |Q| under linear impact (see
    :mod:`tailwag.sim.settlement_push`).  It follows a clock and answers no price, so its loop gain is 0.
    InputError where no option settles on an average.
    """

    name: str
    options: OptionBook
    delay_steps: int
    push_usd: float
    unwind_minutes: float
    reach_log: float = math.inf

    def __post_init__(self) -> None:
        if self.delay_steps < 0 or int(self.delay_steps) != self.delay_steps:
            raise InputError(f"agent {self.name!r}: expected delay_steps as a whole number of 0 or more, got {self.delay_steps}")
        if not abs(self.push_usd) < 1e15:
            raise InputError(f"agent {self.name!r}: expected push_usd in USD, + buys, got {self.push_usd:g}")
        if not 0.0 < self.unwind_minutes < 1e9:
            raise InputError(f"agent {self.name!r}: expected unwind_minutes above 0, got {self.unwind_minutes:g}")
        if not self.reach_log > 0.0:
            raise InputError(
                f"agent {self.name!r}: expected reach_log above 0, got {self.reach_log:g}; 0.01 pushes within 1 % of a strike only"
            )
        if not (self.options.averaged & (self.options.expiry_years > 0.0)).any():
            raise InputError(
                f"agent {self.name!r}: expected an option that settles on an average, got none; there is no window to trade in"
            )

    policy = property(lambda self: NoHedge(), doc="Its options are not hedged.")
    hedge_share = property(lambda self: 0.0, doc="Nothing is hedged.")
    speed = property(lambda self: 1.0, doc="Slices are traded whole.")
    after_expiry = property(lambda self: "unwind", doc="Nothing is held for options that have left.")
    vega_hedge_share = property(lambda self: 0.0, doc="No vega is hedged.")
    iv = property(lambda self: 0.0, doc="Options state theirs row by row.")

    @property
    def expiry_years(self) -> float:
        """The settlement that it pushes: the first averaged expiry."""
        return float(self.options.expiry_years[self.options.averaged & (self.options.expiry_years > 0.0)].min())

    def content(self) -> str:
        """Everything but the name."""
        rest = [getattr(self, entry.name) for entry in fields(self) if entry.name not in ("name", "options")]
        return repr(["settlement manipulator", self.options.digest(), *rest])

    def starting_dollar_gamma_usd(self, spot_usd: float) -> float:
        """None: it follows a clock."""
        return 0.0

    def starting_flow_response_usd(self, spot_usd: float) -> float:
        """None: it follows a clock."""
        return 0.0

    def at_work(self, market: Market) -> Trader:
        """With its slices laid on the grid; InputError where the run does not hold the window and the unwinding."""
        return ManipulatorTrader(self, market)


@dataclass(frozen=True, slots=True)
class PushState:
    """The options' own memory, and the coin that is bought through the window, (paths,); zero where it does not push."""

    book: BookState
    coin: FloatArray


@dataclass(frozen=True, slots=True, init=False)
class ManipulatorTrader(HedgesNothing):
    """The manipulator at work; ``share`` of its coin is traded in each step, (steps + 1,)."""

    agent: SettlementManipulator
    inner: BookTrader
    share: FloatArray
    decides: int

    def __init__(self, agent: SettlementManipulator, market: Market) -> None:
        share = push_shares(agent, market.grid.years)
        opens = int(np.argmax(share > 0.0)) if share.any() else -1
        inner = BookTrader(agent.options, agent, market)
        for name, value in (
            ("agent", agent),
            ("inner", inner),
            ("share", share),
            ("decides", -1 if opens < 0 else max(opens - max(agent.delay_steps, 1), 0)),
        ):
            object.__setattr__(self, name, value)

    def init(self, paths: int, draw: Draws | None = None) -> PushState:
        """Nothing pushed; a window that opens with the run is decided on at once."""
        start = np.full(paths, self.inner.market.spot_usd)
        return PushState(self.inner.init(paths), self._coin(start) if self.decides == 0 else np.zeros(paths))

    def start_coin(self, state: PushState) -> FloatArray:
        """Nothing held."""
        return np.zeros(state.coin.shape)

    def act(self, view: View, account: Account, state: PushState, draw: Draws) -> Orders:
        """The slice that arrives in this step, or ``delay_steps`` later."""
        arrives = view.step + self.agent.delay_steps
        share = float(self.share[arrives]) if arrives < self.share.size else 0.0
        return Orders(usd=np.zeros(state.coin.shape), coin=np.where(view.live, share * state.coin, 0.0))

    def options(self, move: Move, state: PushState) -> tuple[OptionStep, PushState]:
        """As any book of options; as the window opens it decides how much coin to push."""
        earned, book = self.inner.options(move, state.book)
        coin = np.where(move.live, self._coin(move.spot_usd), 0.0) if move.step == self.decides else state.coin
        return earned, PushState(book, coin)

    def _coin(self, spot_usd: FloatArray) -> FloatArray:
        book = self.agent.options
        strikes = book.strike_usd[book.averaged & (np.abs(book.expiry_years - self.agent.expiry_years) < SAME_YEARS)]
        away = np.abs(np.log(np.divide.outer(spot_usd, strikes))).min(axis=1)
        return np.where(away <= self.agent.reach_log, self.agent.push_usd / spot_usd, 0.0)


def push_shares(agent: SettlementManipulator, years: FloatArray) -> FloatArray:
    """Part of the push that is traded at each grid time: evenly + through the times of the average, evenly - through those of the unwinding.

    All zero where the run ends before the window opens.  InputError where it holds no time of a window that it reaches, or ends before the unwinding does.
    """
    fixes = int(np.searchsorted(years, agent.expiry_years - SAME_YEARS))
    expiry, unwinds = float(np.append(years, np.inf)[fixes]), agent.unwind_minutes / MINUTES_PER_YEAR
    if years[-1] <= agent.expiry_years - WINDOW_YEARS + SAME_YEARS:
        return np.zeros(years.size)
    inside = (years > expiry - WINDOW_YEARS + SAME_YEARS) & (years <= expiry + SAME_YEARS) & (years > 0.0)
    after = (years > expiry + SAME_YEARS) & (years <= expiry + unwinds + SAME_YEARS)
    if not inside.any() or not after.any() or years[-1] < expiry + unwinds - SAME_YEARS:
        raise InputError(
            f"agent {agent.name!r}: expected a run that holds steps of the settlement window and of the {agent.unwind_minutes:g} minutes after it; "
            "lengthen horizon_days, shorten step_minutes, or unwind longer"
        )
    return np.where(inside, 1.0 / inside.sum(), 0.0) - np.where(after, 1.0 / after.sum(), 0.0)
