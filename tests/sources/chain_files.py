"""Made-up chain files in the columns of the recorded Deribit chains, for tests: nothing here was ever observed."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tests.sources.deribit_replies import AS_OF, EXPIRIES, INDEX_USD, summaries

Row = dict[str, Any]
ALL_NAMES = [row["instrument_name"] for row in summaries()]


def rows(*, at: datetime = AS_OF, snapshot: str = "20260320T120000Z", currency: str = "BTC") -> list[Row]:
    """One crawl: each row with an index of its own, as a crawl has."""
    made = []
    for place, known in enumerate(summaries()):
        name = known["instrument_name"].replace("BTC", currency)
        _, expiry, strike, letter = name.split("-")
        made.append(
            {
                "timestamp": at,
                "instrument_name": name,
                "underlying": known["underlying_price"],
                "underlying_name": f"SYN.{currency}-{expiry}",
                "option_type": "call" if letter == "C" else "put",
                "strike": float(strike),
                "expiry_datetime": EXPIRIES[expiry],
                "bid_price": known["bid_price"],
                "ask_price": known["ask_price"],
                "mark_price": known["mark_price"],
                "implied_volatility": known["mark_iv"] / 100,
                "delta": 0.5,
                "vega": 30.0,
                "open_interest": known["open_interest"],
                "volume": 1.0,
                "currency": currency,
                "index_price": INDEX_USD + place,
                "volume_usd": 1.0,
                "snapshot": snapshot,
            }
        )
    return made


def timeline() -> list[Row]:
    """Three crawls of BTC and ETH, an hour apart, the last one not the last in the file."""
    moments = [AS_OF + timedelta(hours=hours) for hours in (0, 2, 1)]
    return [
        row
        for at in moments
        for currency in ("BTC", "ETH")
        for row in rows(at=at, snapshot=at.strftime("%Y%m%dT%H%M%SZ"), currency=currency)
    ]


SCHEMA = pa.schema(
    [
        pa.field(
            name,
            pa.timestamp("us", "UTC")
            if name in ("timestamp", "expiry_datetime")
            else pa.string()
            if isinstance(value, str)
            else pa.float64(),
        )
        for name, value in rows()[0].items()
    ]
)


def parquet_bytes(made: list[Row], *, schema: pa.Schema = SCHEMA, **options: Any) -> bytes:
    """The rows as Parquet with page checksums."""
    sink = io.BytesIO()
    kept = [{name: row.get(name) for name in schema.names} for row in made]
    pq.write_table(pa.Table.from_pylist(kept, schema=schema), sink, write_page_checksum=True, **options)
    return sink.getvalue()


def csv_bytes(made: list[Row], *, leave_out: tuple[str, ...] = ("snapshot",)) -> bytes:
    """The rows as CSV, times in ISO 8601."""
    sink = io.StringIO(newline="")
    names = [name for name in made[0] if name not in leave_out]
    writer = csv.DictWriter(sink, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in made:
        writer.writerow({name: value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value for name, value in row.items()})
    return sink.getvalue().encode()
