"""A desk's own book beside the market's flows, its limits, and what one more trade does: python examples/own_book.py"""

from __future__ import annotations

import tailwag as tw
from tailwag.exposure import GexLimits, read_holdings, read_own_book, scenario_grid, trade_effect

BOOK = """instrument,contracts,amount_usd
BTC-25SEP26-100000-C,-250,
BTC-25SEP26-90000-P,120,
BTC-PERPETUAL,,5000000
"""
TRADE = "+200 BTC-25SEP26-100000-C"


def main() -> None:
    market = tw.demo()
    surface = tw.fit_surface(market)
    held = tw.infer_positions(market, rule=tw.LongCallsShortPuts(), forward_usd=surface.forward_usd)
    profile = tw.exposure_profile(held, surface, dynamics="sticky-strike")
    limits = GexLimits(max_strike_usd_per_pct=1e6)

    scenarios = scenario_grid([-3.0, 3.0], [-5.0, 0.0, 5.0], [1.0])

    own = read_own_book(BOOK, profile, futures=market.futures, limits=limits, scenarios=scenarios)
    print(own)
    for row in own.to_frame().iter_rows(named=True):
        crowd = "with the crowd" if row["buy_usd"] * row["market_buy_usd"] > 0 else "against it"
        print(
            f"spot {row['spot_move_pct']:+g} %, vol {row['vol_move_volpt']:+g} points, 1 h: I trade {row['buy_usd']:+12,.0f} USD, "
            f"dealers {row['market_buy_usd']:+14,.0f} USD, {crowd}"
        )

    effect = trade_effect(TRADE, profile, held=read_holdings(BOOK), futures=market.futures, limits=limits)
    print(effect)
    print(f"limits exceeded: {len(own.breaches)} before the trade, {len(effect.own_after.breaches)} after")


if __name__ == "__main__":
    main()
