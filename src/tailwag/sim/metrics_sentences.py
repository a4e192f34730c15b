"""A run's metrics as a trader would say them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tailwag.sim.moved_by import HEDGING, MovedBy

PIN_ERRORS = 3.0
"""A pin is said where hedging changes its share by more than so many standard errors."""
RESIDUAL = "residual_usd"
MONEY_STEPS = ((1e9, "bn"), (1e6, "m"), (1e3, "k"))


def sentences(document: dict[str, Any], moved_by: MovedBy = HEDGING) -> list[str]:
    """The answer first: what hedging adds to vol, where it shows, pins, tails, the hedgers' own account, and when they trade.

    ``moved_by``: whose trades they are, where not of hedgers alone.
    """
    said = [
        _outcomes(document),
        _volatility(document, moved_by),
        _signature(document),
        _momentum(document),
        _pins(document),
        _tail(document),
        *(_agent(agent) for agent in document["agents"][:2]),
        _flow(document, moved_by),
    ]
    return [sentence for sentence in said if sentence]


def calibrated_sentence(document: dict[str, Any], *, hours: float, observed_vol: float) -> str:
    """Vol over the returns that a calibration matched, with its error: the number to hold against the observed one; "" where none is measured."""
    rows = [row for row in document["horizons"] if abs(row["hours"] - hours) <= 1e-6 * hours and row["vol"]["hedged"]["value"] is not None]
    if not rows:
        return ""
    vol = rows[0]["vol"]
    return (
        f"Over {span(hours)}, the returns whose observed vol of {100 * observed_vol:.2f} % was matched, vol is {_percent(vol['hedged'])} a year "
        f"({_percent(vol['fundamental'])} with nobody hedging); vol over other returns differs from it."
    )


def part_words(part: str, pnl_split: str) -> str:
    """How a part of a profit is called: impact is a gain or loss on paper, and split at the ends alone one part holds all that delta leaves.

    >>> part_words("execution_usd", "steps"), part_words("gamma_theta_usd", "ends"), part_words("fees_usd", "ends")
    ('own impact, on paper', 'gamma, theta and all else', 'fees')
    """
    if part == "execution_usd":
        return "own impact, on paper"
    if part == "gamma_theta_usd":
        return "gamma, theta and all else" if pnl_split == "ends" else "gamma and theta"
    return part.removesuffix("_usd").replace("_", " ")


def parts_shown(agents: Sequence[Mapping[str, Any]], pnl_split: str, *, least_usd: float) -> list[str]:
    """Parts in their order, without the residual where the split at the ends leaves none: there it says nothing."""
    names = list(agents[0]["parts_usd"]) if agents else []
    hidden = pnl_split == "ends" and all(abs(agent["parts_usd"][RESIDUAL]["value"] or 0.0) < least_usd for agent in agents)
    return [name for name in names if not (hidden and name == RESIDUAL)]


def span(hours: float) -> str:
    """A horizon in words.

    >>> span(0.25), span(24.0), span(168.0)
    ('15 min', '24 h', '7 days')
    """
    if hours < 1.0:
        return f"{hours * 60.0:.3g} min"
    return f"{hours:.3g} h" if hours <= 48.0 else f"{hours / 24.0:.3g} days"


def with_error(value: float, error: float | None) -> str:
    """A number to the digits that its error allows.

    >>> with_error(12.3456, 0.412), with_error(12.3456, 1e-9), with_error(0.5, None)
    ('12.35 +- 0.41', '12.35', '0.5')
    """
    if not error or error < 5e-5 * abs(value):
        return f"{value:.4g}"
    digits = max(0, min(12, 1 - math.floor(math.log10(error))))
    return f"{value:.{digits}f} +- {error:.{digits}f}"


def usd(estimate: dict[str, Any]) -> str:
    """USD with its error in one unit.

    >>> usd({"value": -1_234_567.0, "standard_error": 4_000.0}), usd({"value": 1e-9, "standard_error": 1e-12})
    ('-$1.2346m +- $0.0040m', '$0')
    """
    value, error = estimate["value"], estimate["standard_error"] or 0.0
    if max(abs(value), error) < 0.005:
        return "$0"
    divisor, unit = next((step for step in MONEY_STEPS if max(abs(value), error) >= step[0]), (1.0, ""))
    parts = [f"${part}{unit}" for part in with_error(abs(value) / divisor, error / divisor).split(" +- ")]
    return ("-" if value < 0 else "") + " +- ".join(parts)


def _percent(estimate: dict[str, Any], *, of: float = 1.0) -> str:
    error = estimate["standard_error"]
    return f"{with_error(100.0 * estimate['value'] / of, 100.0 * error / of if error else None)} %"


def _outcomes(document: dict[str, Any]) -> str:
    stopped = {"runaway": "ran away", "depth_exhausted": "exhausted the depth", "halted": "were halted"}
    paths, finished = document["paths"], document["finished"]["count"]
    if finished == paths == 1:
        return f"The one path reached the horizon of {span(document['hours'])}; one path has no standard error."
    if finished == paths:
        return f"All {paths:,} paths reached the horizon of {span(document['hours'])}."
    parts = [
        f"{document[kind]['count']:,} {words} ({_share(document[kind]['value'])} %, 95 % interval {_share(document[kind]['low'])} to "
        f"{_share(document[kind]['high'])} %)"
        for kind, words in stopped.items()
        if document[kind]["count"]
    ]
    reached = f"{finished:,} reached the horizon of {span(document['hours'])}" if finished else "none reached the horizon"
    measured = " Vols below are of those that reached it." if finished else ""
    return f"Of {paths:,} paths {reached}; {', '.join(parts)}.{measured}"


def _share(share: float) -> str:
    """A share in per cent: two figures, and 100 only for all."""
    percent = 100.0 * share
    return f"{percent:.2g}" if percent < 99.0 else f"{percent:.4g}"


def _volatility(document: dict[str, Any], moved_by: MovedBy) -> str:
    amplification, vol = document["amplification"], document["realised_vol"]
    if amplification["value"] is None:
        return f"What {str(moved_by).lower()} {moved_by.verb('add')} to vol is unknown: {amplification['reason']}."
    change = 100.0 * (amplification["value"] - 1.0)
    error = 100.0 * (amplification["standard_error"] or 0.0)
    returns = f"of {span(document['horizons'][0]['hours'])} returns " if document["horizons"] else ""
    if document["amplification_conditional"]:
        return _survivors(document, returns)
    if abs(change) <= max(2.0 * error, 1e-9):
        return f"{moved_by} {moved_by.verb('add')} {with_error(change, error)} % to realised vol {returns}over the next {span(document['hours'])}: not distinguishable from none."
    deed = moved_by.verb("add" if change > 0.0 else "take")
    return (
        f"{moved_by} {deed} {with_error(abs(change), error)} % {'to' if change > 0.0 else 'off'} realised vol {returns}over the next "
        f"{span(document['hours'])}: {100 * vol['hedged']['value']:.1f} % a year instead of {100 * vol['fundamental']['value']:.1f} %."
    )


def _survivors(document: dict[str, Any], returns: str) -> str:
    """Where paths stopped, the others are the calmer ones: their ratio is conditional, and nobody hedging is said over all paths too."""
    amplification, vol = document["amplification"], document["realised_vol"]
    return (
        f"On the paths that reached the horizon realised vol {returns}is {100 * vol['hedged']['value']:.1f} % a year, "
        f"{with_error(amplification['value'], amplification['standard_error'])} times that of the same paths with nobody hedging "
        f"({100 * vol['fundamental']['value']:.1f} %); nobody hedging shows {_percent(document['fundamental_vol_all_paths'])} over all paths. "
        "The ratio is conditional: paths that stopped are not in it, and those left are the calmer ones."
    )


def _signature(document: dict[str, Any]) -> str:
    horizons = [one for one in document["horizons"] if one["amplification"]["value"] is not None]
    if len(horizons) < 2:
        return ""
    first, last = horizons[0], horizons[-1]
    return (
        f"{'On these paths, measured' if document['amplification_conditional'] else 'Measured'} over {span(first['hours'])} vol is {with_error(first['amplification']['value'], first['amplification']['standard_error'])} "
        f"times what it is with nobody hedging, over {span(last['hours'])} "
        f"{with_error(last['amplification']['value'], last['amplification']['standard_error'])} times."
    )


def _momentum(document: dict[str, Any]) -> str:
    """Said where the slope is there, and is another than on the same shocks with nobody hedging: what both share is chance, not hedging."""
    slope, alone = document["momentum_slope"]["hedged"], document["momentum_slope"]["fundamental"]
    if slope["value"] is None or alone["value"] is None or not slope["standard_error"]:
        return ""
    if min(abs(slope["value"]), abs(slope["value"] - alone["value"])) < 2.0 * slope["standard_error"]:
        return ""
    deed = "runs on" if slope["value"] > 0.0 else "turns back"
    return (
        f"The last window of each 24 h {deed}: {with_error(slope['value'], slope['standard_error'])} of the move of the hours before it, "
        f"{with_error(alone['value'], alone['standard_error'])} with nobody hedging."
    )


def _pins(document: dict[str, Any]) -> str:
    """The strike that hedging changes most, where it is more than chance: the largest of many differences is always large."""
    watched = document["pins"]
    if not watched:
        return ""
    changed = [pin for pin in watched if abs(pin["excess"]["value"]) > PIN_ERRORS * (pin["excess"]["standard_error"] or math.inf)]
    if not changed:
        strikes = "the strike" if len(watched) == 1 else f"any of the {len(watched)} strikes"
        return f"Whether price pins at {strikes} expiring inside the run is not distinguishable from nobody hedging on these paths."
    pin = max(changed, key=lambda one: abs(one["excess"]["value"]))
    return (
        f"Price stands within {pin['half_width_bps']:.0f} bps of {pin['strike_usd']:,.6g} USD after {span(pin['hours'])} on {_percent(pin['hedged'])} "
        f"of paths, {_percent(pin['fundamental'])} with nobody hedging."
    )


def _tail(document: dict[str, Any]) -> str:
    known = [one for one in document["exposure_long"] if one["value_at_risk"]["hedged"]["value"] is not None]
    if not known:
        return ""
    one = min(known, key=lambda tail: abs(tail["level"] - 0.99))
    least = " Runaways are marked where they were stopped, so these losses are lower bounds." if document["runaway"]["count"] else ""
    return (
        f"A long position loses {_percent(one['value_at_risk']['hedged'])} or more on the worst {100 * (1 - one['level']):.3g} % of paths "
        f"({_percent(one['value_at_risk']['fundamental'])} with nobody hedging), on average "
        f"{_percent(one['expected_shortfall']['hedged'])} there.{least}"
    )


def _agent(agent: dict[str, Any]) -> str:
    earned = agent["pnl_usd"]
    return (
        f"{agent['name']}: {'earns' if earned['value'] >= 0.0 else 'loses'} {usd({**earned, 'value': abs(earned['value'])})} on average "
        f"(spread over paths {usd(agent['pnl_deviation_usd'])}), pays {usd(agent['cost_usd'])} in spread, fees and funding for trading "
        f"{usd(agent['turnover_usd_per_day'])} a day, and is mis-hedged by {usd(agent['mishedge_rms_usd'])} (root mean square)."
    )


def _flow(document: dict[str, Any], moved_by: MovedBy) -> str:
    hours = document["flow_by_hour"]
    if len(hours) < 2 or not any(one["absolute_usd"]["value"] for one in hours):
        return ""
    busiest = max(hours, key=lambda one: one["absolute_usd"]["value"])
    return f"{'Hedgers' if moved_by.is_hedging_alone else 'Agents'} trade most from {busiest['hour_utc']:02d}:00 UTC: {usd(busiest['absolute_usd'])} an hour, net of each other."
