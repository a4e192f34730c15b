"""One book, many depths: where it damps, amplifies and runs away: python examples/gain_over_depths.py"""

from __future__ import annotations

import tailwag as tw


def main() -> None:
    market = tw.demo()
    surface = tw.fit_surface(market)
    held = tw.infer_positions(market, rule=tw.ShortAll(), forward_usd=surface.forward_usd)
    profile = tw.exposure_profile(held, surface, dynamics="sticky-strike")

    print(f"all options short: {profile.totals.gex_usd_per_pct / 1e6:+,.0f} M USD per 1 %")
    print(f"{'depth, M USD per 1 %':>22}{'G':>9}{'a shock of 1 % ends as':>26}  regime")
    for depth_usd_per_pct in (250e6, 500e6, 1e9, 2e9, 4e9):
        gain = tw.loop_gain(profile, tw.LinearImpact(depth_usd_per_pct, source="assumed"), move_pct=1)
        ends = "nothing finite" if gain.amplification is None else f"{gain.amplification:.2f} %"
        print(f"{depth_usd_per_pct / 1e6:>22,.0f}{gain.value:>9.3f}{ends:>26}  {gain.regime}")

    print("\nand by size of the move under the square-root law, where depth depends on the flow:")
    root = tw.SquareRootImpact.from_snapshot(market)
    for move_pct in (0.5, 1, 2, 5):
        print(f"  {move_pct:>4} %: G = {tw.loop_gain(profile, root, move_pct=move_pct).value:.3f}")


if __name__ == "__main__":
    main()
