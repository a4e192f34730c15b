"""Trades that no recorded snapshot holds yet, each once and no more than a bounded number; forced trades of futures as liquidations."""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import Any, TypeGuard

from tailwag.market.clock import format_time
from tailwag.market.liquidations import Liquidations
from tailwag.sources.listing import FUTURE, OPTION, kind_of
from tailwag.sources.streams.deribit_tickers import LARGEST

MOST_WAITING = 20_000
MOST_REMEMBERED = 50_000
_SIGNS = {"buy": 1, "sell": -1}

Print = dict[str, Any]


class Prints:
    """Trades of one kind (options or futures) until a snapshot with them is kept; the oldest make room, and are counted."""

    def __init__(self, currency: str, kind: str, counts: Counter[str]) -> None:
        self._currency, self._kind, self._counts = currency, kind, counts
        self._waiting: list[Print] = []
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._lost = self._offered = 0
        self.lost_until_ms = 0
        """Of the trades that made room: the time of the latest."""
        self._newest_ms = self._newest_before_ms = 0
        self._hole: tuple[int, int] | None = None

    def take(self, rows: Any) -> int:
        """Trades as the venue sent them; what is no trade is counted and dropped: how many were."""
        malformed = 0
        for row in rows if isinstance(rows, list) else [None]:
            if not _is_print(row):
                malformed += 1
            elif kind_of(row["instrument_name"], self._currency) == self._kind:
                self._remember(row)
        self._counts["trades_malformed"] += malformed
        return malformed

    def opened(self) -> None:
        """A new connection: what it has to bridge begins at the newest trade seen."""
        self._newest_before_ms = self._newest_ms

    def take_missed(self, rows: Any, *, asked: int) -> None:
        """The venue's last trades, asked for on a new connection; where even those begin too late, some were lost."""
        times = [row["timestamp"] for row in rows if _is_print(row)] if isinstance(rows, list) else []
        if self._newest_before_ms and len(times) >= asked and min(times) > self._newest_before_ms:
            self._hole = (self._newest_before_ms, min(times))
        self.take(rows)

    def _remember(self, row: Print) -> None:
        if row["trade_id"] in self._seen:
            self._counts["trades_repeated"] += 1
            return
        self._seen[row["trade_id"]] = None
        if len(self._seen) > MOST_REMEMBERED:
            self._seen.popitem(last=False)
        self._newest_ms = max(self._newest_ms, row["timestamp"])
        if self._kind == FUTURE and not row.get("liquidation"):
            return
        self._waiting.append(row)
        if len(self._waiting) > MOST_WAITING:
            dropped = len(self._waiting) // 10
            self.lost_until_ms = max(self.lost_until_ms, *(one["timestamp"] for one in self._waiting[:dropped]))
            del self._waiting[:dropped]
            self._lost, self._offered = self._lost + dropped, max(self._offered - dropped, 0)
            self._counts["trades_overflowed"] += dropped

    def offered(self) -> tuple[list[Print], tuple[str, ...]]:
        """What no kept snapshot holds, in order of time, and a sentence where some had to make room; the same again until :meth:`kept`."""
        self._offered = len(self._waiting)
        what = "option trades" if self._kind == OPTION else "liquidations"
        doubts = (f"{self._lost:,} {what} came while no snapshot was kept and are not in this one",) if self._lost else ()
        if self._hole is not None:
            start, end = (format_time(at_ms * 1_000_000) for at_ms in self._hole)
            doubts = (*doubts, f"{what} between {start} and {end} are missing: the connection was down for too long")
        return sorted(self._waiting, key=lambda row: row["timestamp"]), doubts

    def kept(self) -> None:
        """What was offered last is on disk."""
        del self._waiting[: self._offered]
        self._lost, self._offered, self._hole = 0, 0, None


def _is_print(row: Any) -> TypeGuard[Print]:
    if not isinstance(row, dict) or not isinstance(row.get("trade_id"), str) or not 0 < len(row["trade_id"]) <= 40:
        return False
    stated = row.get("timestamp")
    return (
        isinstance(stated, int)
        and 1_230_000_000_000 < stated < 4_102_444_800_000
        and isinstance(row.get("instrument_name"), str)
        and row.get("direction") in _SIGNS
        and all(_number(row.get(key)) and row[key] > 0.0 for key in ("amount", "price"))
        and all(row.get(key) is None or _number(row[key]) for key in ("iv", "index_price"))
    )


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= LARGEST


def liquidations_of(prints: list[Print]) -> Liquidations:
    """Forced trades of futures: the taker's side has the sign of the trade, the maker's the other; amounts of inverse contracts are USD."""
    rows = [(row, sign) for row in prints for sign in _forced_signs(row)]
    linear = ["_" in row["instrument_name"].split("-")[0] for row, _ in rows]
    amounts, prices = [float(row["amount"]) for row, _ in rows], [float(row["price"]) for row, _ in rows]
    return Liquidations.from_columns(
        instrument=[row["instrument_name"] for row, _ in rows],
        venue=["deribit"] * len(rows),
        time_ns=[row["timestamp"] * 1_000_000 for row, _ in rows],
        order_sign=[sign for _, sign in rows],
        amount_usd=[amount * price if coin else amount for amount, price, coin in zip(amounts, prices, linear, strict=True)],
        amount_coin=[amount if coin else amount / price for amount, price, coin in zip(amounts, prices, linear, strict=True)],
        price_usd=prices,
        trade_id=[row["trade_id"] for row, _ in rows],
    )


def _forced_signs(row: Print) -> list[int]:
    """+1 or -1 for each side of the trade that was liquidated: T the taker, M the maker."""
    taker, forced = _SIGNS[row["direction"]], str(row["liquidation"])
    return [sign for letter, sign in (("T", taker), ("M", -taker)) if letter in forced]
