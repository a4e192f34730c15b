"""The answer in plain sentences: what a trader reads before any table."""

from __future__ import annotations

from typing import Any

from tailwag.liquidity.money import dollars

DAMPING, AMPLIFYING = "damping", "amplifying"


def headline(document: dict[str, Any]) -> list[str]:
    """Sentences that answer, in order: damping or amplifying, how strongly, where it flips, what must trade, what expiry removes, how sure.

    Every number in them is one of the document's.
    """
    if document["chain"]["open_interest_coin"] == 0.0:
        return [sentence for sentence in (_regime(document), _doubts(document)) if sentence]
    if document["exposure"].get("reason"):
        return [_unknown(document), *([f"DEGRADED: {' '.join(document['degraded'])}"] if len(document["degraded"]) > 1 else [])]
    parts = [_regime(document), _strength(document), _flip(document), _flows(document), _next_expiry(document), _doubts(document)]
    return [sentence for sentence in parts if sentence]


def _regime(document: dict[str, Any]) -> str:
    gain = document["gain"]
    by_rule = gain["by_rule"]
    made = "SYNTHETIC demo data: " if document["source"]["synthetic"] else ""
    if document["chain"]["open_interest_coin"] == 0.0:
        return f"{made}no open interest in this chain: there is nothing to hedge."
    if gain["hedge_share"] == 0.0:
        return f"{made}nothing of the book is hedged (hedge share 0): there is no loop."
    if gain["regime"] == "undetermined":
        if len({_side(rule["gex_usd_per_pct"]) for rule in by_rule}) == 1:
            bands = document["bands"]
            if bands is None and not by_rule[0]["gex_usd_per_pct"]:
                return f"{made}sign undetermined: net gamma at this spot is zero under {', '.join(rule['rule'] for rule in by_rule)}."
            share = "some" if bands is None else f"{bands['short_gamma_share']:.0%}"
            return f"{made}sign undetermined: {by_rule[0]['rule']} has dealers short gamma in {share} of its draws and long in the others."
        sides = ", ".join(f"{rule['rule']} {_side(rule['gex_usd_per_pct'])}" for rule in by_rule)
        return f"{made}sign undetermined: {sides}; who is short decides, and this data does not say."
    verb = {
        "damping": "Hedging damps moves",
        "amplifying": "Hedging feeds moves",
        "runaway": "RUNAWAY: hedging feeds moves faster than this market absorbs them",
    }[gain["regime"]]
    under = by_rule[0]["rule"] if len(by_rule) == 1 else f"all of {', '.join(rule['rule'] for rule in by_rule)}"
    return f"{made}{verb} in {document['currency']} at {document['spot_usd']:,.0f} USD (under {under})."


def _unknown(document: dict[str, Any]) -> str:
    """All open interest is masked: that and why, and no fact about a market that nobody can see."""
    made = "SYNTHETIC demo data: " if document["source"]["synthetic"] else ""
    return f"{made}Unknown: {document['exposure']['reason']}."


def _side(gex: float | None) -> str:
    if gex is None or gex == 0.0:
        return "neutral"
    return DAMPING if gex > 0 else AMPLIFYING


def _strength(document: dict[str, Any]) -> str:
    gain, rule = document["gain"], document["assumptions"]["rules"][0]
    gex = document["exposure"]["gex_usd_per_pct"]
    if gex is None:
        return ""
    deed = "sell" if gex > 0 else "buy"
    flow = f"Under {rule} dealers {deed} {_money(abs(gex) * gain['hedge_share'])} when spot rises 1 %"
    if gain["value"] is None:
        need = gain["break_even_depth_usd_per_pct"]
        reason = gain.get("reason") or "no liquidity is known"
        if not gex < 0:
            return f"{flow}; loop gain unknown ({reason})."
        return f"{flow}; the loop runs away where less than {_money(need)} moves the price 1 % (break-even depth; {reason})."
    times = gain["amplification"]
    if times is None:
        effect = "has no finite amplification: the loop runs away"
    else:
        effect = f"amplifies a shock {times:.2f} times" if times > 1.0 else f"damps a shock to {times:.2f} of its size"
    return f"{flow}, against {_money(gain['depth_usd_per_pct'])} of depth per 1 % ({gain['law']}): loop gain G = {gain['value']:+.3f}, which {effect}."


def _flip(document: dict[str, Any]) -> str:
    levels, spot = document["levels"], document["spot_usd"]
    flips = levels["flips"]
    if not flips:
        if not document["profile"]:
            return ""
        low, high = document["profile"][0]["spot_usd"], document["profile"][-1]["spot_usd"]
        return f"No flip between {low:,.0f} and {high:,.0f} USD."
    near = min(flips, key=lambda flip: abs(flip["spot_usd"] - spot))
    others = "" if len(flips) == 1 else f" ({len(flips)} flips in all)"
    edge = " at the edge of the range" if levels["flip_status"] == "edge" else ""
    return f"The nearest flip is {near['spot_usd']:,.0f} USD, {100 * (near['spot_usd'] / spot - 1):+.1f} % from spot{edge}{others}."


def _flows(document: dict[str, Any]) -> str:
    wanted = {(3.0, 0.0): None, (-3.0, 0.0): None, (-3.0, 5.0): None}
    for row in document["flows"]:
        key = (float(row["spot_move_pct"]), float(row["vol_move_volpt"]))
        if row["hours"] == 1.0 and key in wanted:
            # the flows are the whole book's; the sentence is about what is hedged of it, as the ones before it
            wanted[key] = None if row["buy_usd"] is None else row["buy_usd"] * document["gain"]["hedge_share"]
    if any(value is None for value in wanted.values()):
        return ""
    up, down, crash = (wanted[key] for key in ((3.0, 0.0), (-3.0, 0.0), (-3.0, 5.0)))
    return f"Within the hour hedgers {_deed(up)} if spot rises 3 %, {_deed(down)} if it falls 3 %, and {_deed(crash)} if it falls 3 % with vol up 5 points."


def _deed(usd: float | None) -> str:
    if usd is None:
        return "trade an unknown amount"
    return f"{'buy' if usd >= 0 else 'sell'} {_money(abs(usd))}"


def _next_expiry(document: dict[str, Any]) -> str:
    expiries = [
        event for event in document["calendar"] if event["event"] == "expiry" and event.get("gross_gex_removed_usd_per_pct") is not None
    ]
    gross = document["exposure"]["gross_gex_usd_per_pct"]
    if not expiries or not gross:
        return ""
    first = expiries[0]
    gone = first["gross_gex_removed_usd_per_pct"]
    return f"The next expiry, {first['at']}, takes away {_money(gone)} of gross gamma per 1 % ({gone / gross:.0%} of all)."


def _doubts(document: dict[str, Any]) -> str:
    share = document["chain"]["masked_open_interest_share"]
    masked = f"{share:.1%} of open interest is masked. " if share and share >= 0.0005 else ""
    degraded = f"DEGRADED: {' '.join(document['degraded'])}" if document["degraded"] else ""
    return f"{masked}{degraded}".strip()


def _money(usd: float | None) -> str:
    return "an unknown amount" if usd is None else dollars(usd)
