"""The gain in a trader's words, each sentence with what it assumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tailwag.liquidity.money import dollars

if TYPE_CHECKING:
    from tailwag.feedback.gain import Gain


def gain_sentence(gain: Gain) -> str:
    """What a move forces, what that does to the price, and against which depth; the break-even depth where no depth is known."""
    if gain.value is None:
        return _break_even_sentence(gain)
    if gain.flow_usd == 0.0:
        return f"G = 0: no gamma is hedged at this spot ({_assumed(gain)})"
    deed = "buy" if gain.flow_usd > 0.0 else "sell"
    moved = abs(gain.value) * gain.move_pct
    effect = f"moves the price {moved:.2g} % further" if gain.value > 0.0 else f"takes {moved:.2g} % of it back"
    return (
        f"G = {gain.value:+.2f}: a {gain.move_pct:g} % rise makes dealers {deed} {dollars(abs(gain.flow_usd))}, which {effect}; "
        f"depth assumed {dollars(gain.depth_usd_per_pct or 0.0)} per 1 % ({gain.headline.source}); {_assumed(gain)}"
    )


def regime_sentence(gain: Gain) -> str:
    """Damping, feeding or nobody can tell, and by whose reckoning."""
    if gain.regime == "undetermined":
        return _undetermined_sentence(gain)
    if gain.regime == "damping":
        return f"Hedging damps moves here: dealers are long gamma under {_rules(gain)}, so they sell rises and buy falls"
    if gain.regime == "runaway":
        return f"Hedging runs away here: each 1 % forces a flow that moves the price {gain.value or 0.0:.2g} % (dealers short gamma under {_rules(gain)})"
    feeds = f"Hedging feeds moves here: dealers are short gamma under {_rules(gain)}, so they buy rises and sell falls"
    return feeds if gain.amplification is None else f"{feeds}; a 1 % shock becomes {gain.amplification:.2f} % if they hedge at once"


def late_sentence(gain: Gain) -> str:
    """Long gamma so large that hedging a step late overshoots."""
    if gain.value is None or gain.value >= -1.0:
        return ""
    return f"Damping only while hedges are quick: with |G| = {-gain.value:.2g} above 1, full hedges that come late overshoot and the price hunts"


def vanna_sentence(gain: Gain) -> str:
    """What the smile's own move adds."""
    if gain.with_vanna is None or gain.value is None or gain.with_vanna == gain.value:
        return ""
    basis = f"a spot-vol beta of {gain.spot_vol_beta:g}" if gain.spot_vol_beta is not None else f"the {gain.inputs.dynamics} smile"
    return f"With vanna G = {gain.with_vanna:+.2f}: under {basis} vol moves with spot and changes the hedge by {gain.with_vanna - gain.value:+.2f}"


def band_sentence(gain: Gain) -> str:
    """How far the answer moves with everything that is not known."""
    if gain.low is None or gain.high is None:
        return ""
    rules = len(gain.by_rule)
    over = f"{rules} positioning rules" if rules > 1 else "the stated doubt about positions and depth"
    return f"G lies between {gain.low:+.2f} and {gain.high:+.2f} over {over}"


def zones_sentence(gain: Gain) -> str:
    """Where it would run away, and how far that is."""
    if gain.gain_over_spot is None or gain.spot_usd is None:
        return ""
    held = "depth in USD held constant"
    low, high = float(gain.spot_usd[0]), float(gain.spot_usd[-1])
    if not gain.runaway_zones or gain.runaway_distance_pct is None:
        return f"No spot from {low:,.0f} to {high:,.0f} USD has a gain of 1 or more ({held})"
    zones = ", ".join(str(zone) for zone in gain.runaway_zones)
    away = "spot is inside" if gain.runaway_distance_pct == 0.0 else f"the nearest edge is {gain.runaway_distance_pct:+.1f} % away"
    return f"Hedging would run away at {zones}: {away} ({held})"


def _break_even_sentence(gain: Gain) -> str:
    if gain.gex_usd_per_pct == 0.0 or gain.hedge_share == 0.0:
        return f"No gain: no gamma is hedged at this spot, and {gain.reason}"
    size = dollars(gain.break_even_depth_usd_per_pct)
    deed, end = ("buy", "runs away") if gain.gex_usd_per_pct < 0.0 else ("sell", "overshoots if hedges come late")
    return f"Break-even depth {size} per 1 %: a 1 % rise makes dealers {deed} that much, so hedging {end} only in a market no deeper than this; no gain is printed because {gain.reason}"


def _undetermined_sentence(gain: Gain) -> str:
    damp = [rule.rule for rule in gain.by_rule if rule.gex_usd_per_pct > 0.0]
    feed = [rule.rule for rule in gain.by_rule if rule.gex_usd_per_pct < 0.0]
    if damp and feed:
        return f"Sign undetermined: {', '.join(feed)} amplifying, {', '.join(damp)} damping"
    if not damp and not feed:
        return "Sign undetermined: no gamma is held at this spot"
    return f"Sign undetermined: the positions drawn under {_rules(gain)} are short gamma in some draws and long in others"


def _rules(gain: Gain) -> str:
    return ", ".join(rule.rule for rule in gain.by_rule)


def _assumed(gain: Gain) -> str:
    return f"rule {gain.inputs.rule}, {gain.hedge_share:.0%} of the book hedged"
