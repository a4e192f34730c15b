"""A venue's reply in which every row lost its volatility: it lists and holds as ever, and nothing of it can be priced."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

STRIKES = (60_000, 70_000, 80_000)
EXPIRY = "27MAR26"


def chain_rows(*, iv: float = 0.0, mark: float = 0.0, open_interest: float = 100.0) -> list[dict[str, Any]]:
    """Deribit rows; as they come, masked whole."""
    return [
        {
            "instrument_name": f"BTC-{EXPIRY}-{strike}-{right}",
            "base_currency": "BTC",
            "quote_currency": "BTC",
            "underlying_index": f"BTC-{EXPIRY}",
            "underlying_price": 70_050.0,
            "estimated_delivery_price": 70_000.0,
            "interest_rate": 0.0,
            "mark_iv": iv,
            "mark_price": mark,
            "bid_price": None,
            "ask_price": None,
            "mid_price": None,
            "last": None,
            "volume": 0.0,
            "volume_usd": 0.0,
            "open_interest": open_interest,
            "creation_timestamp": 1_774_008_000_000,
        }
        for strike in STRIKES
        for right in "CP"
    ]


def measurement_of(rows: list[dict[str, Any]], **options: Any) -> Any:
    """What the product makes of such rows."""
    import tailwag as tw

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chain.json"
        path.write_text(json.dumps(rows))
        return tw.measure(tw.load(path), tw.MeasureOptions(dynamics="sticky-strike", **options))


def masked_document() -> dict[str, Any]:
    """The document of a chain that is masked whole, with a depth stated."""
    found: dict[str, Any] = measurement_of(chain_rows(), depth_usd_per_pct=400e6).document()
    return found
