"""Measure one chain and print the answer: python examples/measure_a_chain.py [FILE] [DEPTH_USD_PER_PCT]

Without a file it measures the synthetic demo market. FILE is anything that `tailwag measure` reads.
"""

from __future__ import annotations

import sys

import tailwag as tw
from tailwag.experiments.measure import MeasureOptions


def main(arguments: list[str]) -> None:
    market = tw.load(arguments[0]) if arguments else tw.demo()
    depth_usd_per_pct = float(arguments[1]) if len(arguments) > 1 else None
    print(market)
    document = tw.measure(market, MeasureOptions(dynamics="sticky-strike", depth_usd_per_pct=depth_usd_per_pct)).document()
    for sentence in document["headline"]:
        print("*", sentence)
    gain = document["gain"]
    print(f"regime {gain['regime']}, break-even depth {gain['break_even_depth_usd_per_pct']:,.0f} USD per 1 %")


if __name__ == "__main__":
    main(sys.argv[1:])
