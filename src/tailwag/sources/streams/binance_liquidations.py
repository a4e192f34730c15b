"""Binance's forced orders: those that no recorded snapshot holds yet, as the rest of the house counts liquidations."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tailwag.market.liquidations import Liquidations
from tailwag.units import NS_PER_SECOND

MOST_KEPT = 1_000
_NS_PER_MILLISECOND = NS_PER_SECOND // 1000
_SIGNS = {"BUY": 1, "SELL": -1}


class _Forced(NamedTuple):
    time_ns: int
    order_sign: int
    amount_usd: float
    amount_coin: float
    price_usd: float


@dataclass(slots=True)
class ForcedOrders:
    """Forced orders of one instrument that no kept snapshot holds, each once, the newest :data:`MOST_KEPT`.

    The venue pushes at most one order a second and instrument: the sum is what was seen, never all there was.
    """

    _orders: deque[_Forced] = field(default_factory=lambda: deque(maxlen=MOST_KEPT))
    _offered: tuple[_Forced, ...] = ()

    def take(self, order: dict[str, Any], *, usd_per_contract: float) -> None:
        """One ``o`` of a ``forceOrder`` event: side ``S`` of the order itself (SELL closes a long), filled ``z`` at the average ``ap``.

        Amounts are coin, or contracts of ``usd_per_contract`` where that is above 0.

        Raises ValueError, KeyError or TypeError for an order of another shape.
        """
        price = _amount(order["ap"]) or _amount(order["p"])
        filled = _amount(order["z"]) or _amount(order["q"])
        time_ms = order["T"]
        if not (price and filled) or isinstance(time_ms, bool) or not isinstance(time_ms, int):
            raise ValueError("a forced order without a price, an amount or a time")
        usd = filled * (usd_per_contract or price)
        self._orders.append(_Forced(time_ms * _NS_PER_MILLISECOND, _SIGNS[order["S"]], usd, usd / price, price))

    def offered(self, symbol: str) -> Liquidations:
        """The orders that wait, in time order; the same again until :meth:`kept`."""
        self._offered = tuple(self._orders)
        rows = sorted(self._offered)
        columns = {name: [getattr(order, name) for order in rows] for name in _Forced._fields}
        return Liquidations.from_columns(instrument=[symbol] * len(rows), venue=["binance"] * len(rows), **columns)

    def kept(self) -> None:
        """What was offered last is on disk."""
        gone = {id(order) for order in self._offered}
        left = [order for order in self._orders if id(order) not in gone]
        self._orders.clear()
        self._orders.extend(left)
        self._offered = ()


def _amount(text: Any) -> float:
    value = float(text)
    if not 0.0 <= value < 1e15:
        raise ValueError(f"expected an amount, got {ascii(text)[:30]}")
    return value
