"""From a measurement to the scenario that simulates it: a TOML text that says where each assumption came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tailwag.errors import InputError, UnitError
from tailwag.experiments.scenario_book import checked_measurement
from tailwag.experiments.scenario_files import Overrides
from tailwag.experiments.scenario_tables import MOST_VOL
from tailwag.experiments.scenario_writer import LONGEST_REMARK, Line, Section, scenario_text
from tailwag.liquidity.money import dollars
from tailwag.market.clock import parse_time_ns
from tailwag.sim.scenario import CLEARINGS
from tailwag.units import NS_PER_HOUR

BOOK_NAME = "measure.json"
HOURS, PATHS, SEED, CLEARING = 24.0, 10_000, 7, "implicit"
"""What the command takes where nothing is said; the scenario that it writes states each."""
STEP_MINUTES, LEAST_STEPS = 5.0, 12
MOST_HOURS = 24.0 * 3650


@dataclass(frozen=True, slots=True)
class Stated:
    """What is stated in place of the measurement: depth in USD per 1 %, observed vol as a decimal; None takes the measurement's.

    ``uncalibrated``: why no fundamental vol could be found under which the closed loop shows the observed one; "" where it can.
    """

    depth_usd_per_pct: float | None = None
    vol: float | None = None
    uncalibrated: str = ""


def scenario_from_measurement(document: Any, *, name: str, overrides: Overrides, stated: Stated) -> str:
    """The text of the scenario that a measurement asks for.

    The book as it is, hedged every step by its hedge share; impact 0.01 / depth per USD, all of it permanent; the vol of the nearest expiry
    beyond the horizon, taken as observed.  InputError where the measurement knows no price, time, depth or vol; the message says what to give.
    """
    measured = checked_measurement(document, name)
    start = _start(measured, name)
    spot_usd = measured.get("spot_usd")
    if isinstance(spot_usd, bool) or not isinstance(spot_usd, int | float):
        raise InputError(f"{name}: the measurement states no price, so there is nothing to simulate; measure a chain that does")
    hours = _hours(overrides.hours)
    steps = max(LEAST_STEPS, round(hours * 60.0 / STEP_MINUTES))
    depth, depth_from = _depth(measured, name, stated.depth_usd_per_pct)
    vol, vol_from = _vol(measured, name, stated.vol, parse_time_ns(start) + round(hours * NS_PER_HOUR))
    clearing = overrides.clearing or CLEARING
    if clearing not in CLEARINGS:
        raise InputError(f"expected clearing one of {', '.join(CLEARINGS)}, got {clearing[:40]!a}")
    run = Section(
        "[run]",
        (
            Line("start", start, "the measurement's as_of"),
            Line("horizon_days", hours / 24.0, _chosen(overrides.hours, "24 hours unless stated")),
            Line("step_minutes", hours * 60.0 / steps, "how often the market clears"),
            Line("paths", PATHS if overrides.paths is None else overrides.paths, _chosen(overrides.paths, "10,000 unless stated")),
            Line("seed", SEED if overrides.seed is None else overrides.seed, _chosen(overrides.seed, "7 unless stated")),
            Line("clearing", clearing, "orders are sized at the price they clear at" if clearing == "implicit" else "stated"),
        ),
    )
    price = Section(
        "[price]",
        (
            Line("model", "gbm"),
            Line("spot_usd", float(spot_usd), "the measurement's spot_usd"),
            Line("vol", vol, vol_from),
            *_vol_is(stated.uncalibrated),
        ),
    )
    impact = Section("[impact]", (Line("permanent_per_usd", 0.01 / depth, depth_from),))
    return scenario_text(_title(measured, name), (run, price, *_beta(measured), impact, _agent(measured, clearing), _output()))


def _vol_is(uncalibrated: str) -> tuple[Line, ...]:
    if uncalibrated:
        remark = "the observed vol, which holds the hedgers' feedback already, counted twice for want of better"
        return Line("vol_is", "uncalibrated", remark), Line("uncalibrated_because", uncalibrated[:LONGEST_REMARK])
    return (Line("vol_is", "observed", "observed vol already holds the hedgers' feedback: the fundamental vol is calibrated to it"),)


def _title(document: Mapping[str, Any], name: str) -> tuple[str, ...]:
    headline = document.get("headline")
    said = [str(sentence) for sentence in headline] if isinstance(headline, list) else []
    return (f"Written by tailwag simulate from {name}. Edit it freely and run it: tailwag simulate scenario.toml --out OUT", *said)


def _start(document: Mapping[str, Any], name: str) -> str:
    start = document.get("as_of")
    if not isinstance(start, str):
        raise InputError(f"{name}: the measurement states no time, so its options have no time left; measure a chain that does")
    parse_time_ns(start)
    return start


def _hours(hours: float | None) -> float:
    found = HOURS if hours is None else hours
    if not 0.0 < found <= MOST_HOURS:
        raise InputError(f"expected hours above 0 and at most {MOST_HOURS:g}, got {found:g}; time runs forward")
    return found


def _chosen(value: Any, words: str) -> str:
    return words if value is None else "stated"


def _depth(document: Mapping[str, Any], name: str, stated: float | None) -> tuple[float, str]:
    """USD that move the price 1 %, and where the number came from."""
    if stated is not None:
        if not 1.0 <= stated <= 1e18:
            raise InputError(f"expected a depth from 1 to 1e18 USD per 1 %, got {stated:g}; 40e6 is 40 million dollars")
        return stated, f"0.01 / depth, depth {dollars(stated)} per 1 % (stated); all of it stays"
    gain = document.get("gain")
    known: Mapping[str, Any] = gain if isinstance(gain, Mapping) else {}
    depth, law = known.get("depth_usd_per_pct"), known.get("law")
    measured = float(depth) if isinstance(depth, int | float) and not isinstance(depth, bool) and depth > 0.0 else None
    hours = None if measured is not None and law != "book" else _law_of_hours(known)
    if hours is not None:
        beside = "" if measured is None else f"; the order book's {dollars(measured)} answer for minutes and only as far as it reaches"
        return hours, f"0.01 / depth, depth {dollars(hours)} per 1 % of the square-root law, which answers for hours{beside}"
    if measured is None:
        raise InputError(
            f"{name}: the measurement knows no depth, and how far a dollar moves the price decides the answer; give --depth-usd-per-pct"
        )
    doubt = "; a book refills within minutes, so that impact which stays is an upper bound" if law == "book" else "; all of it stays"
    return measured, f"0.01 / depth, depth {dollars(measured)} per 1 % ({known.get('source')}){doubt}"


def _law_of_hours(gain: Mapping[str, Any]) -> float | None:
    """Depth of the square-root law at the measured move, where it is known."""
    rows = gain.get("by_law")
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, Mapping) and row.get("law") == "square-root" and isinstance(row.get("depth_usd_per_pct"), float):
            return float(row["depth_usd_per_pct"])
    return None


def _vol(document: Mapping[str, Any], name: str, stated: float | None, end_ns: int) -> tuple[float, str]:
    """The at-the-money vol of the nearest expiry beyond the horizon, else of the last one before it."""
    if stated is not None:
        if not 0.0 < stated <= MOST_VOL:
            raise UnitError(f"expected a vol as a decimal a year, above 0 and at most {MOST_VOL:g}, got {stated:g}; 0.55 is 55 %")
        return stated, "stated"
    exposure = document.get("exposure")
    rows = exposure.get("by_expiry") if isinstance(exposure, Mapping) else None
    known = [
        (parse_time_ns(row["expiry"]), float(row["atm_iv"]), row["expiry"])
        for row in rows or []
        if isinstance(row, Mapping) and isinstance(row.get("expiry"), str) and isinstance(row.get("atm_iv"), float) and row["atm_iv"] > 0.0
    ]
    if not known:
        raise InputError(f"{name}: the measurement knows no at-the-money vol; give --vol, such as 0.55 for 55 % a year")
    beyond = [row for row in sorted(known) if row[0] >= end_ns]
    _, vol, expiry = beyond[0] if beyond else max(known)
    return (
        vol,
        f"at-the-money vol of {expiry}, {'the nearest expiry beyond the horizon' if beyond else 'the last expiry, all end before the horizon'}",
    )


def _beta(document: Mapping[str, Any]) -> tuple[Section, ...]:
    assumptions = document.get("assumptions")
    beta = assumptions.get("spot_vol_beta") if isinstance(assumptions, Mapping) else None
    if isinstance(beta, bool) or not isinstance(beta, int | float):
        return ()
    return (Section("[vol]", (Line("spot_vol_beta", float(beta), "the measurement's --spot-vol-beta"),)),)


def _agent(document: Mapping[str, Any], clearing: str) -> Section:
    assumptions = document.get("assumptions")
    assumed: Mapping[str, Any] = assumptions if isinstance(assumptions, Mapping) else {}
    rules = assumed.get("rules")
    rule = rules[0] if isinstance(rules, list) and rules else "an unnamed rule"
    share = assumed.get("hedge_share")
    late = "same-step hedging" if clearing == "implicit" else "one step late, as this clearing wants"
    return Section(
        "[[agent]]",
        (
            Line("kind", "dealer"),
            Line("name", "dealers"),
            Line("book", BOOK_NAME, f"who is short: {rule}, an assumption; smile dynamics {assumed.get('dynamics')}"),
            Line("hedge_share", float(share) if isinstance(share, int | float) else 1.0, "the measurement's hedge_share"),
            Line("policy", {"kind": "every-step"}, "every step; a band or a slower hedge spreads the flow out"),
            Line("delay_steps", 0 if clearing == "implicit" else 1, late),
        ),
    )


def _output() -> Section:
    return Section("[output]", (Line("paths", False, "true writes every path to paths.npz"),))
