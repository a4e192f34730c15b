"""The hedging loop once more, in plain Python: one path at a time, floats and lists, every rule spelled out, nothing shared with the product.

It is slow and simple on purpose. Clearing is brute force: walk from the price before trading in the direction of the net flow, in small even
steps, until the price that the flow makes is met; then halve the bracket. Deltas are `math.erf`. Written from the public contract of
`tailwag simulate` (docs/reference/scenario-files.md, docs/explanation/simulated-loop.md); where that text leaves a choice the choice is named
in a comment, so that a disagreement with the engine is a disagreement of meaning.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

SCAN_STEPS_PER_LOG = 4_000.0  # first-root search: 2.5 basis points a step
YEAR_DAYS = 365.0
SECOND_YEARS = 1.0 / (365.0 * 86_400.0)


@dataclass
class Row:
    """One line of an option book; `skew` moves its vol with ln spot, `ratio` is forward over spot."""

    call: bool
    strike: float
    expiry_years: float
    contracts: float
    iv: float
    skew: float = 0.0
    ratio: float = 1.0


@dataclass
class Hedger:
    """One hedged book and its rule: `gamma_usd` or `rows`; `half_width` is in `width_unit`; `grid_steps` are the steps of a time grid."""

    delay: int
    gamma_usd: float | None = None
    iv: float = 0.0
    rows: list[Row] = field(default_factory=list)
    policy: str = "every-step"  # | "grid" | "band" | "none"
    grid_steps: set[int] = field(default_factory=set)
    half_width: float = 0.0
    width_unit: str = "usd"  # | "coin"
    centre: bool = False
    speed: float = 1.0
    share: float = 1.0
    hold: bool = False


@dataclass
class Market:
    """Everything else: increments are given, one list a path. Exponential transient impact keeps `keep[t]` of itself over step t."""

    spot: float
    years: list[float]
    clearing: str
    hedgers: list[Hedger]
    permanent_usd: float = 0.0
    permanent_coin: float = 0.0
    transient_usd: float = 0.0
    transient_coin: float = 0.0
    half_life_years: float = math.inf
    limit_usd: float | None = None
    stop: float = 0.7
    halt: float | None = None
    beta: float = 0.0
    reversion_per_day: float = 0.0
    fee_bps: float = 0.0
    half_spread_bps: float = 0.0
    gas_usd: float = 0.0


@dataclass
class Book:
    """One hedger's account on one path; `kept` is the hedge of options that have gone (under hold), `lent` the delta of a constant-gamma book."""

    coin: float = 0.0
    cash: float = 0.0
    bought_usd: float = 0.0
    kept: dict[int, float] = field(default_factory=dict)
    lent: float = 0.0
    option_gain: float = 0.0
    flight: list = field(default_factory=list)
    start_value: float = 0.0


@dataclass
class Told:
    """What happened on one path: log price and fundamental by step, per hedger flows (USD), positions (coin), cash and total P&L."""

    log_price: list
    fundamental: list
    coin: list
    flow_usd: list
    cash: list
    pnl: list
    outcome: str


def normal_cdf(d: float) -> float:
    return 0.5 * math.erfc(-d / math.sqrt(2.0))


def row_vol(row: Row, x: float, shift: float) -> float:
    """The skew is followed to half a unit of ln spot either way, and no vol is below 1 %."""
    return max(row.iv + row.skew * min(max(x, -0.5), 0.5) + shift, 0.01)


def row_delta(row: Row, spot0: float, x: float, left: float, shift: float) -> float:
    """Black's delta on the forward at the row's own vol: coin of underlying for each contract."""
    forward = spot0 * math.exp(x) * row.ratio
    deviation = row_vol(row, x, shift) * math.sqrt(left)
    d1 = math.log(forward / row.strike) / deviation + 0.5 * deviation
    return normal_cdf(d1) if row.call else normal_cdf(d1) - 1.0


def row_value(row: Row, spot0: float, x: float, left: float, shift: float) -> float:
    forward = spot0 * math.exp(x) * row.ratio
    sign = 1.0 if row.call else -1.0
    deviation = row_vol(row, x, shift) * math.sqrt(left)
    d1 = math.log(forward / row.strike) / deviation + 0.5 * deviation
    return sign * (forward * normal_cdf(sign * d1) - row.strike * normal_cdf(sign * (d1 - deviation)))


def row_payoff(row: Row, spot: float) -> float:
    """Settlement is on spot, not on the forward."""
    return max(spot - row.strike if row.call else row.strike - spot, 0.0)


def row_gamma_usd(row: Row, spot0: float, x: float, left: float, shift: float) -> float:
    """S d(delta)/dx, the row's vol following spot by its skew."""
    forward, vol = spot0 * math.exp(x) * row.ratio, row_vol(row, x, shift)
    deviation = vol * math.sqrt(left)
    d1 = math.log(forward / row.strike) / deviation + 0.5 * deviation
    density = math.exp(-0.5 * d1 * d1) / math.sqrt(2.0 * math.pi)
    return spot0 * math.exp(x) * density * (1.0 / deviation - (d1 - deviation) / vol * row.skew)


def run_path(market: Market, increments: list[float]) -> Told:
    """The whole path, step by step; the outcome is `finished`, `runaway`, `halted` or `depth_exhausted`."""
    return _Path(market).run(increments)


class _Path:
    def __init__(self, market: Market) -> None:
        self.m = market
        self.x = 0.0
        self.passing = 0.0  # impact that will pass, log price
        self.shift = 0.0
        self.fundamental = 0.0
        self.step = 0
        self.outcome = "finished"
        self.books = [Book() for _ in market.hedgers]
        for book, hedger in zip(self.books, market.hedgers, strict=True):
            book.coin = self.wanted_coin(hedger, book, 0, 0.0, 0.0) if hedger.rows else 0.0
            book.start_value = self.options_value(hedger, 0.0, 0.0, fixed=False) + book.coin * market.spot
            book.flight = [0.0] * hedger.delay

    # ---- what a hedger holds and wants ---------------------------------------------------------------------------------------------
    def fixing_step(self, row: Row) -> int:
        """An option fixes at the first grid time at or after its expiry; beyond the grid: never."""
        return next((step for step, year in enumerate(self.m.years) if year > row.expiry_years - 1e-12), len(self.m.years))

    def alive(self, hedger: Hedger, step: int) -> list[Row]:
        """Rows that are still hedged in this step: the one that fixes them is their last."""
        return [row for row in hedger.rows if self.fixing_step(row) >= step]

    def left(self, row: Row, step: int) -> float:
        """Years to the fixing (the clock of an option stops two milliseconds after it), a second at least."""
        fixing = self.fixing_step(row)
        end = self.m.years[fixing] + 2e-3 * SECOND_YEARS if fixing < len(self.m.years) else row.expiry_years
        return max(end - self.m.years[step], SECOND_YEARS)

    def wanted_coin(self, hedger: Hedger, book: Book, step: int, x: float, shift: float) -> float:
        """The hedge of an option book, coin: minus the share of its Black delta."""
        deltas = [row.contracts * row_delta(row, self.m.spot, x, self.left(row, step), shift) for row in self.alive(hedger, step)]
        kept = [book.kept.get(id(row), 0.0) for row in hedger.rows if self.fixing_step(row) < step]
        return -hedger.share * math.fsum(deltas) + math.fsum(kept)

    def options_value(self, hedger: Hedger, x: float, shift: float, *, fixed: bool = True) -> float:
        """What the options are worth now; those that have fixed are cash already."""
        rows = [row for row in hedger.rows if not fixed or self.fixing_step(row) > self.step]
        return math.fsum(row.contracts * row_value(row, self.m.spot, x, self.left(row, self.step), shift) for row in rows)

    def gap(self, index: int, step: int, x: float, shift: float) -> float:
        """What is still to be bought, less what is on its way: USD for constant gamma, coin for options."""
        hedger, book = self.m.hedgers[index], self.books[index]
        if hedger.rows:
            return self.wanted_coin(hedger, book, step, x, shift) - book.coin - sum(book.flight)
        return -hedger.gamma_usd * hedger.share * x - book.bought_usd - sum(book.flight)

    def decides(self, index: int, step: int, gap: float, x: float) -> tuple[bool, float]:
        """(trades at all, gap that is left open) from the gap at the price of the decision."""
        hedger = self.m.hedgers[index]
        if hedger.policy == "none" or (hedger.policy == "grid" and step not in hedger.grid_steps):
            return False, 0.0
        if hedger.policy != "band":
            return True, 0.0
        width, spot = hedger.half_width, self.m.spot * math.exp(x)
        if hedger.rows and hedger.width_unit == "usd":
            width /= spot
        if not hedger.rows and hedger.width_unit == "coin":
            width *= spot
        if abs(gap) <= width:
            return False, 0.0
        return True, 0.0 if hedger.centre else math.copysign(width, gap)

    # ---- one step ------------------------------------------------------------------------------------------------------------------
    def keep(self, step: int) -> float:
        return 0.5 ** ((self.m.years[step] - self.m.years[step - 1]) / self.m.half_life_years)

    def shift_at(self, step: int, x: float) -> float:
        """ds = beta dx - k s dt, decay exact over the step."""
        days = (self.m.years[step] - self.m.years[step - 1]) * YEAR_DAYS
        return self.shift * math.exp(-self.m.reversion_per_day * days) + self.m.beta * (x - self.x)

    def run(self, increments: list[float]) -> Told:
        books = self.books
        told = Told([0.0], [0.0], [[b.coin for b in books]], [[0.0] * len(books)], [[0.0] * len(books)], [], "finished")
        for step, shock in enumerate(increments, start=1):
            self.fundamental += shock
            flows = self.one_step(step, shock) if self.outcome == "finished" else [0.0] * len(books)
            told.log_price.append(self.x)
            told.fundamental.append(self.fundamental)
            told.coin.append([book.coin for book in books])
            told.flow_usd.append(flows)
            told.cash.append([book.cash for book in books])
        told.outcome = self.outcome
        told.pnl = [self.total(index) for index in range(len(books))]
        return told

    def one_step(self, step: int, shock: float) -> list[float]:
        m = self.m
        pre = self.x + shock - (1.0 - self.keep(step)) * self.passing
        spot_pre = m.spot * math.exp(pre)
        sized = {}
        for index, hedger in enumerate(m.hedgers):
            if hedger.delay == 0:
                sized[index] = self.decides(index, step, self.gap(index, step, pre, self.shift_at(step, pre)), pre)

        def orders(x: float) -> list[float]:
            shift, out = self.shift_at(step, x), []
            for index, hedger in enumerate(m.hedgers):
                if hedger.delay:
                    out.append(self.books[index].flight[0])
                else:
                    trades, offset = sized[index]
                    out.append(hedger.speed * (self.gap(index, step, x, shift) - offset) if trades else 0.0)
            return out

        def flow_usd(x: float) -> list[float]:
            """A coin order counts at the price before trading, and so does the coin of a USD order."""
            return [q * spot_pre if h.rows else q for q, h in zip(orders(x), m.hedgers, strict=True)]

        def pushed(x: float) -> float:
            net = math.fsum(flow_usd(x))
            return (m.permanent_usd + m.transient_usd) * net + (m.permanent_coin + m.transient_coin) * net / spot_pre

        clear = self.first_root(pre, pushed)
        if clear is None or abs(clear) > m.stop:
            way = pushed(pre) if clear is None else clear
            return self.stopped("runaway", step, math.copysign(m.stop, way))
        if m.limit_usd is not None and abs(math.fsum(flow_usd(clear))) > m.limit_usd:
            return self.stopped("depth_exhausted", step, pre)
        return self.booked(step, clear, pre, flow_usd(clear))

    def first_root(self, pre: float, pushed: Callable[[float], float]) -> float | None:
        """The first price at rest, walking from `pre` the way the net flow pushes there."""
        push = pushed(pre)
        if push == 0.0:
            return pre
        way, low = math.copysign(1.0, push), pre
        while True:
            high = low + way / SCAN_STEPS_PER_LOG
            if way * (pre + pushed(high) - high) <= 0.0:
                break
            low = high
            if low * way > self.m.stop:
                return None
        while (middle := 0.5 * (low + high)) not in (low, high):
            if way * (pre + pushed(middle) - middle) <= 0.0:
                high = middle
            else:
                low = middle
        return high

    def stopped(self, why: str, step: int, x: float) -> list[float]:
        """Nobody trades in the step that stops a path; books are marked where it stopped."""
        self.outcome = why
        return self.booked(step, x, x, [0.0] * len(self.books))

    def booked(self, step: int, clear: float, pre: float, flows: list[float]) -> list[float]:
        m = self.m
        spot_pre, spot_new, spot_old = (m.spot * math.exp(x) for x in (pre, clear, self.x))
        fill, net, length = 0.5 * (spot_pre + spot_new), math.fsum(flows), m.years[step] - m.years[step - 1]
        self.passing = self.keep(step) * self.passing + m.transient_usd * net + m.transient_coin * net / spot_pre
        self.shift, self.step, move = self.shift_at(step, clear), step, clear - self.x
        for hedger, book, usd in zip(m.hedgers, self.books, flows, strict=True):
            coin = usd / spot_pre if hedger.rows else usd / fill  # a USD order spends its USD, a coin order buys its coin
            book.coin += coin
            book.bought_usd += usd
            rate = (m.fee_bps + m.half_spread_bps) * 1e-4
            book.cash -= coin * fill + abs(coin) * fill * rate + (m.gas_usd if coin != 0.0 else 0.0)
            if hedger.gamma_usd is not None:
                book.option_gain += book.lent * (spot_new - spot_old) + 0.5 * hedger.gamma_usd * (move**2 - hedger.iv**2 * length)
                book.lent += hedger.gamma_usd * move / fill
            if hedger.delay:
                book.flight.pop(0)
        self.x = clear
        for index in range(len(m.hedgers)):
            self.settle(index, step)
        if m.halt is not None and self.outcome == "finished" and abs(self.x) > m.halt:
            self.outcome = "halted"
        if m.clearing == "damped" and self.outcome == "finished" and self.gain(step) >= 1.0:
            self.outcome = "runaway"  # 1 / (1 - g) has no meaning: the price stays where it is
        for index, hedger in enumerate(m.hedgers):
            if hedger.delay and self.outcome == "finished":
                self.send(index, step)
        return flows

    def settle(self, index: int, step: int) -> None:
        """Pay-offs at this step's price; under `hold` the last hedge of what has gone is kept."""
        hedger, book = self.m.hedgers[index], self.books[index]
        for row in [row for row in hedger.rows if self.fixing_step(row) == step]:
            book.cash += row.contracts * row_payoff(row, self.m.spot * math.exp(self.x))
            if hedger.hold:
                book.kept[id(row)] = -hedger.share * row.contracts * row_delta(row, self.m.spot, self.x, self.left(row, step), self.shift)

    def send(self, index: int, step: int) -> None:
        """The order that answers this step; it is kept in `flight`, oldest first, one place for each step of delay."""
        hedger, book = self.m.hedgers[index], self.books[index]
        gap = self.gap(index, step, self.x, self.shift)
        trades, offset = self.decides(index, step, gap, self.x)
        speed = hedger.speed / (1.0 - self.gain(step)) if self.m.clearing == "damped" else hedger.speed
        book.flight.append(speed * (gap - offset) if trades else 0.0)

    def gain(self, step: int) -> float:
        """Loop gain of everybody together at this price, from the dollar gamma that is hedged."""
        m = self.m
        per_usd = m.permanent_usd + m.transient_usd + (m.permanent_coin + m.transient_coin) / (m.spot * math.exp(self.x))
        gammas = []
        for hedger in (hedger for hedger in m.hedgers if hedger.policy != "none"):
            gammas.append(hedger.share * (hedger.gamma_usd or 0.0))
            for row in self.alive(hedger, step):
                gammas.append(hedger.share * row.contracts * row_gamma_usd(row, m.spot, self.x, self.left(row, step), self.shift))
        return -per_usd * math.fsum(gammas)

    def total(self, index: int) -> float:
        """Total P&L in USD: options, hedge and cash, against the start."""
        hedger, book = self.m.hedgers[index], self.books[index]
        worth = self.options_value(hedger, self.x, self.shift) + book.option_gain + book.coin * self.m.spot * math.exp(self.x)
        return worth + book.cash - book.start_value
