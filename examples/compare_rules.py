"""How far does the answer depend on who is short? Every rule on one chain: python examples/compare_rules.py [FILE]"""

from __future__ import annotations

import sys

import tailwag as tw


def main(arguments: list[str]) -> None:
    market = tw.load(arguments[0]) if arguments else tw.demo()
    surface = tw.fit_surface(market)
    rules = [tw.LongCallsShortPuts(), tw.CustomersSellOtm(), tw.CustomersBuy(0.55), tw.ShortAll(), tw.LongAll()]
    print(f"{'rule':24}{'net GEX, M USD per 1 %':>24}{'nearest flip':>16}")
    signs = set()
    for rule in rules:
        held = tw.infer_positions(market, rule=rule, forward_usd=surface.forward_usd)
        profile = tw.exposure_profile(held, surface, dynamics="sticky-strike")
        flip = profile.levels.nearest_flip
        print(f"{rule.name:24}{profile.totals.gex_usd_per_pct / 1e6:>+24,.1f}{'none' if flip is None else f'{flip.spot_usd:,.0f}':>16}")
        signs.add(profile.totals.gex_usd_per_pct > 0)
    print("the rules agree on the sign" if len(signs) == 1 else "the sign is undetermined: it is the rule that decides it")


if __name__ == "__main__":
    main(sys.argv[1:])
