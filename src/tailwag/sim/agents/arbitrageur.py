"""The arbitrageur between two venues: it buys where a coin is cheap and sells the same coins where it is dear, down to what trading costs.

It is no agent of one market: it decides between steps from both venues' public prices, and works on each through a leg that has its own
account there, pays that venue's costs, and sends nothing by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tailwag.errors import InputError
from tailwag.figures.numbers import money
from tailwag.kernels.arrays import FloatArray
from tailwag.sim.agents.empty_answers import HedgesNothing, HoldsNoOptions
from tailwag.sim.agents.protocol import Account, Draws, Market, Orders, Trader, View, no_orders

MOST_DAYS = 365.0
MOST_REFINEMENTS = 60
DAYS_PER_YEAR = 365.0
GROSS_LEGS = 2.0
"""A position of one USD stands in two legs: capital is tied up in both."""


@dataclass(frozen=True, slots=True)
class Arbitrageur:
    """Buys on one of two venues and sells on the other once their prices differ by more than trading costs.

    ``capital_usd``: the most that both legs together may be worth (gross, orders on their way included; inf = no limit).
    ``latency_steps``: from seeing the prices to the orders' arrival.  ``speed``: share of the excess difference closed by one decision.
    ``margin_bps``: what it wants beside fees and half-spreads of both legs.  ``holding_days`` > 0: it counts on funding staying as it is for so
    long (cash-and-carry) and wants ``return_per_year`` on its gross legs over that time.

    >>> Arbitrageur("arb", "spot", "perp", capital_usd=5e7, latency_steps=1).legs
    ('spot', 'perp')

    Raises InputError for a venue named twice, or a number that makes no sense.
    """

    name: str
    first: str
    second: str
    capital_usd: float
    latency_steps: int
    speed: float = 1.0
    margin_bps: float = 0.0
    holding_days: float = 0.0
    return_per_year: float = 0.0

    def __post_init__(self) -> None:
        said = f"arbitrageur {self.name!r}"
        if self.first == self.second:
            raise InputError(f"{said}: expected two different venues, got {self.first!r} twice")
        if not self.capital_usd >= 0.0:
            raise InputError(f"{said}: expected capital_usd of 0 or more, got {self.capital_usd:g}; inf is no limit")
        if self.latency_steps < 1 or int(self.latency_steps) != self.latency_steps:
            raise InputError(
                f"{said}: expected latency_steps as a whole number of 1 or more, got {self.latency_steps}; prices are seen once cleared"
            )
        if not 0.0 < self.speed <= 1.0:
            raise InputError(f"{said}: expected speed above 0 and at most 1, got {self.speed:g}")
        if not (math.isfinite(self.margin_bps) and 0.0 <= self.margin_bps <= 1_000.0):
            raise InputError(f"{said}: expected margin_bps from 0 to 1,000, got {self.margin_bps:g}; 1 basis point is 0.01 %")
        if not 0.0 <= self.holding_days <= MOST_DAYS or not 0.0 <= self.return_per_year <= 10.0:
            raise InputError(
                f"{said}: expected holding_days from 0 to {MOST_DAYS:g} and return_per_year from 0 to 10, got {self.holding_days:g} and {self.return_per_year:g}"
            )
        if self.return_per_year > 0.0 and self.holding_days == 0.0:
            raise InputError(f"{said}: return_per_year is read with holding_days only; state how long a position is held, such as 7")

    def __str__(self) -> str:
        limit = f"with up to {money(self.capital_usd)} in both legs" if math.isfinite(self.capital_usd) else "without a limit of capital"
        return f"arbitrage between {self.first} and {self.second} {limit}, {self.latency_steps} step(s) late"

    @property
    def legs(self) -> tuple[str, str]:
        """The two venues."""
        return self.first, self.second

    @property
    def delay_steps(self) -> int:
        """As other agents call its latency."""
        return self.latency_steps

    def starting_dollar_gamma_usd(self, spot_usd: float) -> float:
        """None: it answers a difference of prices, not a move that all venues share."""
        return 0.0

    def leg(self, venue: str, delay_steps: int) -> ArbitrageLeg:
        """The account and the orders on one of the two venues, which arrive there ``delay_steps`` late."""
        return ArbitrageLeg(self.name, delay_steps, self, venue)


@dataclass(frozen=True, slots=True)
class ArbitrageLeg:
    """An arbitrageur's account on one venue; its orders come from between the venues, so that alone it does nothing."""

    name: str
    delay_steps: int
    arbitrageur: Arbitrageur
    venue: str

    def __str__(self) -> str:
        return str(self.arbitrageur)

    def content(self) -> str:
        """Everything but the name."""
        arbitrageur = self.arbitrageur
        stated = [getattr(arbitrageur, name) for name in Arbitrageur.__slots__ if name != "name"]
        return repr(["arbitrage-leg", self.delay_steps, self.venue, stated])

    def starting_dollar_gamma_usd(self, spot_usd: float) -> float:
        """None: it answers a difference of prices, not a move that all venues share."""
        return 0.0

    def starting_flow_response_usd(self, spot_usd: float) -> float:
        """None: see starting_dollar_gamma_usd."""
        return 0.0

    def at_work(self, market: Market) -> Trader:
        """Ready, with nothing to do of its own."""
        return _LegTrader()


class _LegTrader(HedgesNothing, HoldsNoOptions):
    """No orders, no options, no gap."""

    __slots__ = ()

    def init(self, paths: int, draw: Draws) -> FloatArray:
        return np.zeros(paths)

    def start_coin(self, state: FloatArray) -> FloatArray:
        return state

    def act(self, view: View, account: Account, state: FloatArray, draw: Draws) -> Orders:
        return no_orders(view.log_price.size)


LogMove = Callable[[FloatArray], tuple[FloatArray, FloatArray]]
"""``log_move(coin)`` -> log move of buying so many coins at once on a venue now, and its slope per coin; (paths,)."""
FundingYear = Callable[[FloatArray], FloatArray]
"""``funding(premium_share)`` -> what a long pays a year as a share of its value; (paths,)."""


@dataclass(frozen=True, slots=True)
class LegView:
    """What an arbitrageur sees of one venue.  Shapes: (paths,); + is long, + buys.

    ``fair_log``: log of its price less the basis that is fair now.  ``cost_share``: fee and half-spread.  ``held_coin``: what it holds there
    and has on its way there, of which ``flight_coin`` is on its way.  ``index_weight``: the part of the index that this venue's price is.
    """

    fair_log: FloatArray
    spot_usd: FloatArray
    held_coin: FloatArray
    flight_coin: FloatArray
    log_move: LogMove
    cost_share: float
    gas_usd: float = 0.0
    premium_share: FloatArray | None = None
    funding: FundingYear | None = None
    index_weight: float = 0.0


def decide(arbitrageur: Arbitrageur, first: LegView, second: LegView) -> FloatArray:
    """Coins to buy on the first venue and sell on the second, (paths,); + where the second is the dearer.

    The excess of the difference over costs is closed as far as both depths say it takes, orders on their way counted; nothing where the
    gain, excess x coins less half of the move, would not pay the gas of both legs; never more than the capital allows.
    """
    gap = second.fair_log + second.log_move(second.flight_coin)[0] - first.fair_log - first.log_move(first.flight_coin)[0]
    threshold = first.cost_share + second.cost_share + arbitrageur.margin_bps * 1e-4
    side, excess = _excess(arbitrageur, first, second, gap, threshold)
    coin, moved = _closing_coin(first, second, side, arbitrageur.speed * excess)
    gain_usd = np.abs(coin) * 0.5 * (first.spot_usd + second.spot_usd) * (excess - 0.5 * moved)
    coin = np.where(gain_usd > first.gas_usd + second.gas_usd, coin, 0.0)
    return _within_capital(arbitrageur, first, second, coin)


def _excess(arbitrageur: Arbitrageur, first: LegView, second: LegView, gap: FloatArray, threshold: float) -> tuple[FloatArray, FloatArray]:
    """Side (+1: the second venue is dear) and by how much the difference should shrink, (paths,) each."""
    years = arbitrageur.holding_days / DAYS_PER_YEAR
    if years == 0.0:
        return np.sign(gap), np.maximum(np.abs(gap) - threshold, 0.0)
    wanted = threshold + GROSS_LEGS * arbitrageur.return_per_year * years
    zero = np.zeros(gap.shape)
    up, down = _shares(first, second, zero)
    index = first.index_weight * up - second.index_weight * down

    def promised(shrunk: FloatArray) -> FloatArray:
        """What a USD sold on the second venue and bought on the first earns once the difference has shrunk by so much."""
        carry = _carry(second, (-down - index) * shrunk) - _carry(first, (up - index) * shrunk)
        return gap - shrunk + years * carry

    now = promised(zero)
    side = np.sign(now)
    low, high = zero, np.where(np.abs(now) > wanted, np.abs(now), 0.0)
    for _ in range(MOST_REFINEMENTS):
        middle = 0.5 * (low + high)
        above = side * promised(side * middle) > wanted
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return side, low


def _carry(leg: LegView, moved: FloatArray) -> FloatArray:
    """Funding a year of a long on this venue once its premium over the index has moved by so much."""
    if leg.funding is None or leg.premium_share is None:
        return np.zeros(moved.shape)
    return leg.funding(leg.premium_share + moved)


def _shares(first: LegView, second: LegView, zero: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Which part of a shrinking difference each venue's price does."""
    slopes = [leg.log_move(zero)[1] for leg in (first, second)]
    total = slopes[0] + slopes[1]
    part = np.where(total > 0.0, slopes[0] / np.where(total > 0.0, total, 1.0), 0.5)
    return part, 1.0 - part


def _closing_coin(first: LegView, second: LegView, side: FloatArray, wanted: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Coins (signed) whose purchase on one venue and sale on the other moves the difference by ``wanted``, and the move; Newton from 0.

    Both laws are concave in size, so that Newton's steps come from below and never overshoot; one step is exact for linear depth.
    """
    coin, moved = np.zeros(wanted.shape), np.zeros(wanted.shape)
    for _ in range(MOST_REFINEMENTS):
        bought, sold = first.log_move(side * coin), second.log_move(-side * coin)
        moved, slope = side * (bought[0] - sold[0]), bought[1] + sold[1]
        lacks = wanted - moved
        step = np.where((lacks > 1e-15) & (slope > 0.0), lacks / np.where(slope > 0.0, slope, 1.0), 0.0)
        if not step.any():
            break
        coin = coin + step
    return side * coin, moved


def _within_capital(arbitrageur: Arbitrageur, first: LegView, second: LegView, coin: FloatArray) -> FloatArray:
    """As much of an order as keeps both legs within the capital; orders that make the position smaller always pass."""
    most = arbitrageur.capital_usd / (first.spot_usd + second.spot_usd)
    held = first.held_coin
    return np.where(coin > 0.0, np.minimum(coin, np.maximum(most - held, 0.0)), np.maximum(coin, np.minimum(-most - held, 0.0)))
