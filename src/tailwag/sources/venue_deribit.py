"""Deribit live: one request for the whole chain, more for futures, index, the perp's book, linear options and trades."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tailwag.errors import InputError
from tailwag.market.snapshot import Snapshot, Source
from tailwag.sources.deribit import snapshot_from_payload
from tailwag.sources.deribit_records import as_number
from tailwag.sources.order_books import from_deribit_order_book
from tailwag.sources.venue_replies import Payloads, Plan, Request, Venue, book_or_doubt, option_names, rows_of, time_of

if TYPE_CHECKING:
    from tailwag.sources.trade_cursor import TradeCursor

OWN_COIN = ("BTC", "ETH")
"""Currencies with coin-settled options; every other one is listed under its USDC contracts only."""
BOOK_LEVELS = 10_000
TRADE_COUNT = 1_000


def deribit_plan(currency: str, *, trades: bool = False, since: TradeCursor | None = None) -> Plan:
    """The public requests for one currency; ``trades`` asks for the last ones, ``since`` for all since its last turn."""
    summary, own, coin_settled = "publicGetGetBookSummaryByCurrency", currency in OWN_COIN, None
    if own:
        coin_settled = yield Request("options", summary, f"{currency} options", {"currency": currency, "kind": "option"}, needed=True)
        yield Request("futures", summary, f"{currency} futures", {"currency": currency, "kind": "future"})
    linear = yield Request("linear_options", summary, "USDC options", {"currency": "USDC", "kind": "option"}, needed=not own)
    index = f"{currency.lower()}_usd" if own else f"{currency.lower()}_usdc"
    yield Request("index", "publicGetGetIndexPrice", "index price", {"index_name": index})
    perp = f"{currency}-PERPETUAL" if own else f"{currency}_USDC-PERPETUAL"
    yield Request("book", "publicGetGetOrderBook", f"order book of {perp}", {"instrument_name": perp, "depth": BOOK_LEVELS})
    if trades:
        asked = {"currency": currency if own else "USDC", "kind": "option", "count": TRADE_COUNT}
        yield Request("trades", "publicGetGetLastTradesByCurrency", "option trades", asked)
    sent_us = as_number(_sent([coin_settled, linear]))
    if since is not None and sent_us > 0.0:
        # everything before the moment at which the quotes were sent: what is printed meanwhile comes with the next turn
        yield from since.requests(int(sent_us) // 1_000)


def snapshot_from_deribit(payloads: Payloads, *, currency: str, source: Source) -> Snapshot:
    """The snapshot in Deribit's replies (``options``, ``futures``, ``linear_options``, ``index``, ``book``, ``trades``), each as sent.

    Rows go through the same reader as saved files: IV in per cent, inverse prices in coin, open interest in coin.

    Raises VenueError for a reply of another shape, EmptyChainError where Deribit lists no option of the currency.
    """
    listed = [row for key in ("options", "linear_options") for row in rows_of(payloads.get(key), "result", what="Deribit options")]
    option_names([row.get("instrument_name") for row in listed], currency=currency, title="Deribit")
    index = _result(payloads.get("index"))
    replies = [payloads[key] for key in ("options", "linear_options", "futures") if payloads.get(key) is not None]
    wrapped: dict[str, Any] = {"replies": replies, "usOut": _sent(replies)}
    if isinstance(index, dict):
        wrapped["index_price"] = as_number(index.get("index_price"))
    snapshot = snapshot_from_payload(wrapped, currency=currency, source=source)
    books, doubts = ((), ()) if payloads.get("book") is None else book_or_doubt(lambda: from_deribit_order_book(payloads["book"]))
    trades, trade_doubts = _trades(payloads.get("trades"))
    return snapshot.with_parts(books=books, trades=trades, degraded=(*doubts, *trade_doubts, *snapshot.degraded))


def _trades(reply: Any) -> tuple[Any, tuple[str, ...]]:
    if reply is None:
        return None, ()
    from tailwag.sources.venue_trades import deribit_trades

    try:
        return deribit_trades(reply), ()
    except InputError as trouble:
        return None, (f"the option trades were left out: {trouble}",)


def _result(reply: Any) -> Any:
    return reply.get("result") if isinstance(reply, dict) else None


def _sent(replies: list[Any]) -> Any:
    return next((reply["usOut"] for reply in replies if isinstance(reply, dict) and "usOut" in reply), None)


DERIBIT = Venue(
    name="deribit",
    title="Deribit",
    plan=deribit_plan,
    snapshot=snapshot_from_deribit,
    time_request=Request("time", "publicGetGetTime", "the venue's clock"),
    time_ns=lambda reply: time_of(_result(reply)),
)
