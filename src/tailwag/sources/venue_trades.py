"""Option trades in a live reply: the same reading as of saved files."""

from __future__ import annotations

from typing import Any

from tailwag.errors import FileFormatError
from tailwag.market.trades import Trades

_COLUMNS = (
    "trade_id",
    "timestamp",
    "instrument_name",
    "direction",
    "amount",
    "price",
    "iv",
    "index_price",
    "block_trade_id",
    "liquidation",
    "combo_id",
    "combo_trade_id",
)
_TEXT = ("trade_id", "instrument_name", "direction", "block_trade_id", "liquidation", "combo_id", "combo_trade_id")


def deribit_trades(reply: Any) -> Trades:
    """Signed trades in a ``get_last_trades_by_currency`` reply, each once, in time order.

    Raises FileFormatError (a kind of InputError) where the reply holds no list of trades.
    """
    import polars as pl

    from tailwag.sources.trades_files import trades_from_frame

    result = reply.get("result") if isinstance(reply, dict) else None
    records = result.get("trades") if isinstance(result, dict) else None
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise FileFormatError("expected a list of trades under result, got something else")
    if not records:
        return Trades.from_columns(trade_id=[], instrument=[])  # nothing traded, which is no doubt
    cells = {name: [record.get(name) for record in records] for name in _COLUMNS}
    try:
        columns = {
            name: pl.Series(name, [None if cell is None else str(cell) for cell in values] if name in _TEXT else values, strict=False)
            for name, values in cells.items()
        }
        return trades_from_frame(pl.DataFrame({name: series for name, series in columns.items() if series.null_count() < len(records)}))
    except (TypeError, pl.exceptions.PolarsError) as trouble:
        raise FileFormatError(f"a trade holds something that is no number ({ascii(str(trouble))[:80]})") from None
