"""Fetch a live chain, keep it, measure it: python examples/live_venue.py [deribit|okx|bybit|binance] [BTC|ETH]

Needs the network and ccxt (pip install ".[live]"); without either it says so and stops.
"""

from __future__ import annotations

import sys
import time

import tailwag as tw
from tailwag.errors import MissingPackageError, VenueError
from tailwag.experiments.measure import MeasureOptions


def main(arguments: list[str]) -> int:
    venue, currency = [*arguments, "deribit", "BTC"][:2] if len(arguments) != 1 else [arguments[0], "BTC"]
    try:
        market = tw.fetch(venue, currency, clock=time.time_ns, progress=lambda text: print("...", text))
    except (MissingPackageError, VenueError) as trouble:
        print(f"no live data: {trouble}")
        return 1
    tw.save(market, f"{venue}-{currency}.parquet")
    print(market)
    for sentence in tw.measure(market, MeasureOptions(dynamics="sticky-strike")).document()["headline"]:
        print("*", sentence)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
