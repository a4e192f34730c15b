"""Option trades from files: Deribit's parquet, JSON and CSV, each print once, with what decides whether its sign can be trusted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.errors import FileFormatError, UnitError
from tailwag.kernels.arrays import FloatArray, IntArray
from tailwag.market.clock import epoch_ns
from tailwag.market.trades import Trades
from tailwag.sources.opening import RawFile, read_file

if TYPE_CHECKING:
    import polars

_SHORT = {"q": "amount", "p": "price", "t": "timestamp"}
"""Single-letter columns of older CSV exports."""
_NEEDED = ("trade_id", "timestamp", "instrument_name", "direction", "amount", "price")
_IDENTITY = ("trade_id", "timestamp", "instrument_name")
_TEXT = ("trade_id", "instrument_name", "direction", "block_trade_id", "liquidation", "combo_id", "combo_trade_id")
_NUMBERS = ("amount", "price", "iv", "index_price")
_SAME = ("instrument_name", "timestamp", "direction", "amount", "price")
"""Two prints of one trade id must agree on these."""
_INVERSE_FUTURE = r"^[A-Z0-9]+-(?:PERPETUAL|PERP|[0-9]{1,2}[A-Z]{3}[0-9]{2})$"
_SMALLEST_PERCENT = 3.0
"""A file whose median volatility is below 3 per cent can only hold decimals."""


def load_trades(path: str | os.PathLike[str]) -> Trades:
    """Option trades from a file: parquet, CSV, or JSON (``{"trades": [...]}``, Deribit's ``get_last_trades_*`` reply, or a list).

    Raises FileFormatError if the file holds no trades or two prints of one trade id that differ, UnitError for times or volatilities in
    another unit than Deribit's (milliseconds, per cent).
    """
    raw = read_file(path)
    frame = _parquet(raw) if raw.data[:4] == b"PAR1" else _json(raw) if _looks_like_json(raw.data) else _csv(raw)
    try:
        return trades_from_frame(frame)
    except (FileFormatError, UnitError) as error:
        raise type(error)(f"{raw.name}: {error}") from None


def trades_from_frame(frame: polars.DataFrame) -> Trades:
    """Trades from a table with Deribit's column names (or the single letters q, p, t), in time order, each trade id once.

    ``iv`` is per cent there and decimal here, 0 meaning none; amounts of inverse perps and futures are USD there and coin here.

    Raises FileFormatError for a missing column or contradicting repeats, UnitError for another unit.
    """
    table = _with_names(frame)
    once = _each_id_once(table)
    time_ns = epoch_ns(once["timestamp"].to_numpy())
    if (time_ns == 0).any():
        bad = once["timestamp"][int(np.argmax(time_ns == 0))]
        raise UnitError(f"expected timestamps in milliseconds between 2009 and 2100, got {bad!r}; convert the column")
    trades = Trades.from_columns(
        trade_id=once["trade_id"].to_list(),
        instrument=once["instrument_name"].to_list(),
        repeats_removed=table.height - once.height,
        time_ns=time_ns,
        taker_sign=_signs(once),
        amount_coin=_amount_coin(once),
        price_quoted=once["price"].to_numpy(),
        iv=_decimal_iv(once["iv"].to_numpy()),
        index_usd=once["index_price"].to_numpy(),
        is_block=_given(once, "block_trade_id"),
        is_combo=_given(once, "combo_id") | _given(once, "combo_trade_id"),
        liquidated=once["liquidation"].fill_null("").to_list(),
        venue=["deribit"] * once.height,
    )
    return trades.select(_time_order(trades))


def _looks_like_json(data: bytes) -> bool:
    """A quotation mark starts both a JSON string (what an empty download looks like) and a CSV whose header is quoted."""
    first_line = data[:4096].lstrip().partition(b"\n")[0]
    return first_line[:1] in (b"{", b"[") or (first_line[:1] == b'"' and b'",' not in first_line)


def _with_names(frame: polars.DataFrame) -> polars.DataFrame:
    import polars as pl

    names = {short: full for short, full in _SHORT.items() if short in frame.columns and full not in frame.columns}
    table = frame.rename(names)
    missing = [name for name in _NEEDED if name not in table.columns]
    if missing:
        raise FileFormatError(
            f"expected trades with the columns {', '.join(_NEEDED)}, got none named {', '.join(missing)}; save Deribit's reply unchanged"
        )
    absent = [pl.lit(None, dtype=pl.String).alias(name) for name in (*_TEXT, *_NUMBERS) if name not in table.columns]
    table = table.with_columns(absent)
    casts = (
        [pl.col(name).cast(pl.String) for name in _TEXT]
        + [pl.col(name).cast(pl.Float64) for name in _NUMBERS]
        + [pl.col("timestamp").cast(pl.Int64)]
    )
    try:
        table = table.with_columns(casts)
    except pl.exceptions.PolarsError as error:
        raise FileFormatError(
            f"a trade holds something that is no number ({ascii(str(error))[:120]}); save Deribit's reply unchanged"
        ) from None
    holes = [name for name in _IDENTITY if table[name].null_count()]
    if holes:
        raise FileFormatError(f"{table[holes[0]].null_count()} trades have no {holes[0]}; save Deribit's reply unchanged")
    return table


def _each_id_once(table: polars.DataFrame) -> polars.DataFrame:
    import polars as pl

    once = table.unique("trade_id", keep="first", maintain_order=True)
    if once.height < table.height:
        versions = table.select("trade_id", *_SAME).unique()
        if versions.height > once.height:
            bad = versions.filter(pl.col("trade_id").is_duplicated())["trade_id"][0]
            raise FileFormatError(
                f"trade id {ascii(bad)[:40]} stands for two different trades; which one is right is unknown, take a clean copy"
            )
    return once


def _signs(table: polars.DataFrame) -> IntArray:
    import polars as pl

    sign = table.select(pl.col("direction").replace_strict({"buy": 1, "sell": -1}, default=0, return_dtype=pl.Int64))["direction"]
    return np.asarray(sign.to_numpy(), dtype=np.int64)


def _amount_coin(table: polars.DataFrame) -> FloatArray:
    in_usd = table["instrument_name"].str.contains(_INVERSE_FUTURE).to_numpy()
    amount, price = table["amount"].to_numpy(), table["price"].to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        coin = np.where(in_usd, amount / price, amount)
    return np.where(np.isfinite(coin) & (amount > 0.0), coin, np.nan)


def _decimal_iv(percent: FloatArray) -> FloatArray:
    known = percent[np.isfinite(percent) & (percent > 0.0)]
    if known.size >= 10 and float(np.median(known)) < _SMALLEST_PERCENT:
        raise UnitError(
            f"expected volatility in per cent (55.1), got a median of {float(np.median(known)):.4g}; multiply the iv column by 100"
        )
    return np.where(np.isfinite(percent) & (percent > 0.0), percent / 100.0, np.nan)


def _given(table: polars.DataFrame, column: str) -> Any:
    return (table[column].is_not_null() & (table[column] != "")).fill_null(False).to_numpy()


def _time_order(trades: Trades) -> IntArray:
    """By time; within one millisecond by the number in the trade id, which the venue counts up."""
    digits = np.array(["".join(filter(str.isdigit, name))[-18:] or "0" for name in trades.trade_id.tolist()], dtype=object)
    return np.lexsort((digits.astype(np.int64), trades.time_ns))


def _parquet(raw: RawFile) -> polars.DataFrame:
    import polars as pl

    from tailwag.sources.tables import open_parquet, read_columns

    opened = open_parquet(raw)
    wanted = [name for name in opened.schema_arrow.names if name in {*_TEXT, *_NUMBERS, "timestamp", *_SHORT}]
    frame = pl.from_arrow(read_columns(opened, raw, wanted))
    assert isinstance(frame, pl.DataFrame)
    return frame


def _csv(raw: RawFile) -> polars.DataFrame:
    import polars as pl

    from tailwag.sources.tables import header_of, read_table

    names = {name.strip('"') for name in header_of(raw)}
    needed = tuple(name for name in ("trade_id", "instrument_name", "direction") if name not in names)
    if needed:
        raise FileFormatError(f"{raw.name}: expected trades with the columns {', '.join(_NEEDED)}, got none named {', '.join(needed)}")
    table = read_table(raw, required=("trade_id", "instrument_name", "direction"))
    wanted = {name: cells for name, cells in table.columns.items() if name in {*_TEXT, *_NUMBERS, "timestamp", *_SHORT}}
    return pl.DataFrame({name: pl.Series(cells, dtype=pl.String).replace("", None) for name, cells in wanted.items()})


def _json(raw: RawFile) -> polars.DataFrame:
    import polars as pl

    from tailwag.sources.strict_json import parse_json

    records = _records(parse_json(raw))
    if records is None:
        raise FileFormatError(
            f'{raw.name}: expected {{"trades": [...]}} or a Deribit get_last_trades reply, got neither (an empty download?); fetch it again'
        )
    wanted = (*_TEXT, *_NUMBERS, "timestamp")
    columns: dict[str, list[Any]] = {name: [record.get(name) for record in records] for name in wanted}
    kept = {name: cells for name, cells in columns.items() if name in _NEEDED or any(cell is not None for cell in cells)}
    try:
        return pl.DataFrame({name: _series(name, cells) for name, cells in kept.items()})
    except (TypeError, pl.exceptions.PolarsError):
        raise FileFormatError(
            f"{raw.name}: a trade holds something that is neither text nor number; save Deribit's reply unchanged"
        ) from None


def _series(name: str, cells: list[Any]) -> polars.Series:
    import polars as pl

    if name in _TEXT:
        return pl.Series(name, [None if cell is None else str(cell) for cell in cells], dtype=pl.String)
    if any(isinstance(cell, bool | str | list | dict) for cell in cells):
        raise TypeError(name)
    return pl.Series(name, cells, dtype=pl.Int64 if name == "timestamp" else pl.Float64)


def _records(value: Any) -> list[dict[str, Any]] | None:
    """The trades in a reply; a combo print is replaced by its legs, which are what options changed hands."""
    if isinstance(value, dict):
        inner = value.get("result", value.get("trades"))
        return None if inner is None else _records(inner)
    if not isinstance(value, list) or not all(isinstance(record, dict) for record in value):
        return None
    return [part for record in value for part in _legs(record)]


def _legs(record: dict[str, Any]) -> list[dict[str, Any]]:
    legs = record.get("legs")
    if not isinstance(legs, list) or not legs:
        return [record]
    parent = {"combo_id": record.get("combo_id") or record.get("instrument_name"), "block_trade_id": record.get("block_trade_id")}
    return [{**parent, **{key: cell for key, cell in leg.items() if cell is not None}} for leg in legs if isinstance(leg, dict)]
