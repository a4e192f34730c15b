"""One step of the option market: every taker's orders meet every maker's quotes, and premium changes hands.

Takers come in the order of what they are, each with its orders as it states them; makers quote anew for every order, on what they hold by then.
An agent does not meet its own quote, and a contract that one side has no slot for is not traded on that path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import BoolArray, FloatArray
from tailwag.sim.agents.protocol import Account, Draws, View
from tailwag.sim.option_market import OptionFill, OptionOrder, Quote, matched
from tailwag.sim.option_model import VEGA, Contract, Mark, OptionModel


class OptionTaker(Protocol):
    """A trader that sends option orders; ``traded`` is called after each, with 0 coin where nothing met it."""

    def option_orders(self, view: View, account: Account, state: Any, draw: Draws) -> tuple[OptionOrder, ...]:
        """Orders for this step, at the price before trading."""
        ...

    def traded(self, fill: OptionFill, state: Any) -> Any:
        """The state after a trade."""
        ...


class OptionMaker(Protocol):
    """A trader that quotes; ``traded`` is called after each trade against its quote."""

    def quote(self, view: View, contract: Contract, model_price_usd: FloatArray, model_vega_usd: FloatArray, state: Any) -> Quote:
        """Two prices and sizes for one contract."""
        ...

    def traded(self, fill: OptionFill, state: Any) -> Any:
        """The state after a trade."""
        ...


class OrderMaker(Protocol):
    """A maker whose price depends on how much is asked for and on its own account: it has ``quote_order`` in the place of ``quote``."""

    def quote_order(self, view: View, account: Account, order: OptionOrder, mark: Mark, state: Any) -> Quote:
        """The price of this order's coin (its limit is not told); ``account`` is as the step began, without option premium of the step."""
        ...

    def traded(self, fill: OptionFill, state: Any) -> Any:
        """The state after a trade."""
        ...


@dataclass(frozen=True, slots=True)
class OptionDesk:
    """One agent as the option market meets it, and what its trades of the step came to: premium paid (+) and edge, USD (paths,)."""

    name: str
    trader: Any
    account: Account
    draw: Draws
    memory: Any
    premium_usd: FloatArray | float = 0.0
    edge_usd: FloatArray | float = 0.0

    @property
    def takes(self) -> bool:
        """Whether it sends orders."""
        return hasattr(self.trader, "option_orders")

    @property
    def makes(self) -> bool:
        """Whether it quotes."""
        return hasattr(self.trader, "quote") or hasattr(self.trader, "quote_order")

    @property
    def trades(self) -> bool:
        """Whether it takes or makes at all."""
        return self.takes or self.makes

    def room(self, contract: Contract) -> BoolArray:
        """Paths on which it can hold a contract; a trader that does not say (``option_room(contract, state)``) can always."""
        told = getattr(self.trader, "option_room", None)
        return np.ones(contract.strike_usd.shape, dtype=bool) if told is None else np.asarray(told(contract, self.memory), dtype=bool)


@dataclass(slots=True)
class Round:
    """A step's trading as it goes on; ``desks`` change with every trade."""

    model: OptionModel
    view: View
    recent_usd: Sequence[FloatArray]
    desks: list[OptionDesk] = field(default_factory=list)


def trade_options(model: OptionModel, view: View, recent_usd: Sequence[FloatArray], desks: Sequence[OptionDesk]) -> list[OptionDesk]:
    """All option trades of one step at the price before trading, in the order of the desks; the desks after them.

    ``recent_usd``: cleared prices of the last 30 minutes, the newest last, for contracts inside their settlement window.
    """
    now = Round(model, view, recent_usd, list(desks))
    for place, desk in enumerate(desks):
        if desk.takes:
            taker = now.desks[place]
            orders = taker.trader.option_orders(view, taker.account, taker.memory, taker.draw)
            for order in checked_option_orders(taker.name, orders, view):
                _meet(now, place, order)
    return now.desks


def _meet(now: Round, place: int, order: OptionOrder) -> None:
    """One order against the quotes of all makers but the taker itself."""
    contract, view = order.contract, now.view
    average = now.model.average_before(contract.expiry_step, view.step, now.recent_usd)
    mark = now.model.mark(contract, view.step, view.log_price, view.vol_shift, average_usd=average)
    room = now.desks[place].room(contract)
    wanted = np.where(view.live, order.coin, 0.0)
    offered = OptionOrder(contract, np.where(room, wanted, 0.0), order.limit_price_usd, order.auction)
    makers = [at for at, desk in enumerate(now.desks) if at != place and desk.makes]
    asked = OptionOrder(contract, offered.coin)
    quotes = [_quote(now.desks[at], view, asked, mark) for at in makers]
    coin, price = matched(offered, quotes) if quotes else (np.zeros((0, wanted.size)), np.zeros((0, wanted.size)))
    for at, sold, at_usd in zip(makers, coin, price):
        if sold.any():
            _trade(now, at, OptionFill(contract, -sold, np.where(sold != 0.0, at_usd, mark.price_usd), mark))
    bought, paid = _total(coin), _total(coin * price)
    mean = np.where(bought != 0.0, paid / np.where(bought != 0.0, bought, 1.0), mark.price_usd)
    _trade(now, place, OptionFill(contract, bought, mean, mark, wanted, np.where(room, 0.0, np.abs(wanted))))


def _trade(now: Round, at: int, fill: OptionFill) -> None:
    desk = now.desks[at]
    now.desks[at] = OptionDesk(
        desk.name,
        desk.trader,
        desk.account,
        desk.draw,
        desk.trader.traded(fill, desk.memory),
        desk.premium_usd + fill.premium_usd,
        desk.edge_usd + fill.edge_usd,
    )


def _quote(desk: OptionDesk, view: View, order: OptionOrder, mark: Mark) -> Quote:
    """A maker's quote, with no size where it has no slot for the contract."""
    contract = order.contract
    if hasattr(desk.trader, "quote_order"):
        answer = desk.trader.quote_order(view, desk.account, order, mark, desk.memory)
    else:
        answer = desk.trader.quote(view, contract, mark.price_usd, mark.greeks[VEGA], desk.memory)
    quote, room = checked_quote(desk.name, answer, view), desk.room(contract)
    return Quote(quote.bid_usd, quote.ask_usd, np.where(room, quote.bid_coin, 0.0), np.where(room, quote.ask_coin, 0.0))


def _total(rows: FloatArray) -> FloatArray:
    total = np.zeros(rows.shape[1])
    for row in rows:
        total = total + row
    return total


def checked_option_orders(name: str, orders: object, view: View) -> tuple[OptionOrder, ...]:
    """The option orders of agent ``name`` as they are; InputError for what is no order, an expiry gone by, or amounts that are no numbers."""
    if not isinstance(orders, tuple) or not all(isinstance(order, OptionOrder) for order in orders):
        raise InputError(f"agent {name!r}: expected option_orders() to answer with a tuple of OptionOrder, got {type(orders).__name__}")
    for order in orders:
        if order.contract.expiry_step <= view.step:
            raise InputError(
                f"agent {name!r}: expected an option that expires after step {view.step}, got one of step {order.contract.expiry_step}; "
                "let orders for it end a step earlier"
            )
        limit = np.zeros(view.live.shape) if order.limit_price_usd is None else order.limit_price_usd
        for word, amount in (("strike_usd", order.contract.strike_usd), ("coin", order.coin), ("limit_price_usd", limit)):
            if np.shape(amount) != view.live.shape or np.isnan(amount).any() or (word == "coin" and np.isinf(amount).any()):
                raise InputError(
                    f"agent {name!r}: expected an option order with one {word} for each of {view.live.size} paths, got shape "
                    f"{np.shape(amount)} or a value that is no number; order 0 coin where it wants nothing"
                )
    return orders


def checked_quote(name: str, quote: object, view: View) -> Quote:
    """The quote of agent ``name`` as it is; InputError for what is no quote, a bid above the ask, a price or size below 0, or no number."""
    if not isinstance(quote, Quote):
        raise InputError(
            f"agent {name!r}: expected quote() to answer with a Quote, got {type(quote).__name__}; Quote.none(paths) quotes nothing"
        )
    for word in ("bid_usd", "ask_usd", "bid_coin", "ask_coin"):
        value = getattr(quote, word)
        if np.shape(value) != view.live.shape or not (np.isfinite(value) & (np.asarray(value) >= 0.0)).all():
            raise InputError(
                f"agent {name!r}: expected a quote with one {word} of 0 or more for each of {view.live.size} paths, got shape "
                f"{np.shape(value)} or a value below 0 or without end; quote size 0 where it wants no trade"
            )
    if (quote.bid_usd > quote.ask_usd).any():
        raise InputError(f"agent {name!r}: expected a bid at or below the ask, got a crossed quote; widen it or quote one side only")
    return quote
