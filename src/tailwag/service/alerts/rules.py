"""The rules about one measurement: regime, sign, flip, gain, jump.  Pure: a view in, findings out; no rule sees a clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tailwag.figures.numbers import gain_text, money, percent, price
from tailwag.service.alerts.alert import Finding, Severity
from tailwag.service.alerts.reading import Reading
from tailwag.service.alerts.settings import RuleSettings
from tailwag.service.alerts.state import Condition, Memory
from tailwag.units import NS_PER_MINUTE


@dataclass(frozen=True, slots=True)
class View:
    """All that a rule may look at: this reading, what the earlier ones left, what is on, the rule's own settings, and the time it is."""

    reading: Reading
    memory: Memory
    conditions: Mapping[str, Condition]
    rule: RuleSettings
    at_ns: int

    def on(self, key: str) -> bool:
        """Whether this condition is on."""
        return self.conditions.get(key, Condition()).on

    def active(self, value: float, *, falling: bool = False) -> bool | None:
        """Beyond the on level True, beyond the off level False, between the two None."""
        return between(value, self.rule.on, self.rule.off, falling=falling)


def between(value: float, on: float, off: float, *, falling: bool = False) -> bool | None:
    """Two levels instead of one, so that a value that trembles around a level does not ring.

    >>> between(0.6, 0.5, 0.4), between(0.45, 0.5, 0.4), between(0.3, 0.5, 0.4), between(0.8, 1.0, 1.5, falling=True)
    (True, None, False, True)
    """
    if falling:
        return True if value <= on else False if value > off else None
    return True if value >= on else False if value < off else None


def regime_rule(view: View) -> Iterator[Finding]:
    """The regime is another than the one last told, and not by a hair."""
    was, now, key = view.memory.regime, view.reading.regime, f"{view.reading.name}/regime"
    if now is None:
        yield unknown(view, key, "regime", "the document names no regime")
        return
    if was is None or was == now:
        yield Finding(key, "regime", view.reading.currency, False, "info", "")
        return
    margin = _regime_margin(view.reading, was, now)
    if margin is None:
        yield unknown(view, key, "regime", f"from {was} to {now}, but the gain that would tell how clearly is unknown")
        return
    severity: Severity = "critical" if now == "runaway" else "warning" if now in ("amplifying", "undetermined") else "info"
    yield Finding(
        key,
        "regime",
        view.reading.currency,
        True if margin >= view.rule.on else None,
        severity,
        f"The regime changed from {was} to {now}: {_gain_words(view.reading)}, net GEX {money(view.reading.gex_usd_per_pct, signed=True)} per 1 %"
        f" at spot {price(view.reading.spot_usd)}.",
        evidence={"from": was, "to": now, "gain": view.reading.gain, "gex_usd_per_pct": view.reading.gex_usd_per_pct},
    )


def _regime_margin(reading: Reading, was: str, now: str) -> float | None:
    """How far the gain lies beyond the boundary that was crossed; a change to or from undetermined is one of signs, which cross at once."""
    if "undetermined" in (was, now):
        return 1.0
    if reading.gain is None:
        # without a depth there is no gain, and the regime is the sign of the exposure
        share = _share_pct(reading.gex_usd_per_pct, reading.gross_gex_usd_per_pct)
        return None if share is None else abs(share) / 100.0
    return abs(reading.gain - 1.0) if "runaway" in (was, now) else abs(reading.gain)


def sign_rule(view: View) -> Iterator[Finding]:
    """The rules that say who is short disagree on the sign, by more than a trace."""
    reading, key = view.reading, f"{view.reading.name}/sign"
    if len(reading.rule_gex_usd_per_pct) < 2:
        return
    gross, known = reading.gross_gex_usd_per_pct, [(name, gex) for name, gex in reading.rule_gex_usd_per_pct if gex is not None]
    if gross is None or len(known) < len(reading.rule_gex_usd_per_pct):
        yield unknown(view, key, "sign", "the exposure under a rule is unknown")
        return
    most, least = max(known, key=lambda pair: pair[1]), min(known, key=lambda pair: pair[1])
    weaker_pct = max(0.0, min(most[1], -least[1])) / gross * 100.0
    yield Finding(
        key,
        "sign",
        reading.currency,
        view.active(weaker_pct),
        "warning",
        f"The rules disagree on the sign: {most[0]} has dealers long gamma ({money(most[1], signed=True)} per 1 %, damping), {least[0]} short"
        f" ({money(least[1], signed=True)}, amplifying); the weaker side is {weaker_pct:.2f} % of gross gamma.",
        f"The rules agree on the sign again: net GEX from {money(least[1], signed=True)} to {money(most[1], signed=True)} per 1 %.",
        {"gex_usd_per_pct_by_rule": dict(known), "weaker_side_share_pct": weaker_pct},
    )


def flip_rule(view: View) -> Iterator[Finding]:
    """The price at which hedging changes sides is near."""
    reading, key = view.reading, f"{view.reading.name}/flip"
    if reading.spot_usd is None:
        yield unknown(view, key, "flip", "spot is unknown")
        return
    flip = reading.nearest_flip_usd
    if flip is None:
        if reading.flip_status == "none":
            yield Finding(
                key, "flip", reading.currency, False, "warning", "", "No flip is left: exposure has one sign over the whole profile."
            )
        else:
            yield unknown(view, key, "flip", f"the document has no flip and its status is {reading.flip_status!a}")
        return
    move = flip / reading.spot_usd - 1.0
    yield Finding(
        key,
        "flip",
        reading.currency,
        view.active(abs(move) * 100.0, falling=True),
        "warning",
        f"The nearest flip, {price(flip)}, is {percent(move, signed=True, decimals=2)} from spot {price(reading.spot_usd)} (alert within"
        f" {view.rule.on:g} %): beyond it hedging {_beyond(reading)}.",
        f"The nearest flip, {price(flip)}, is {percent(move, signed=True, decimals=2)} from spot {price(reading.spot_usd)}, beyond"
        f" {view.rule.off:g} % again.",
        {"flip_usd": flip, "spot_usd": reading.spot_usd, "distance_pct": move * 100.0},
    )


def _beyond(reading: Reading) -> str:
    gex = reading.gex_usd_per_pct
    return "changes sides" if gex is None or gex == 0.0 else "amplifies instead of damping" if gex > 0.0 else "damps instead of amplifying"


def gain_rule(view: View) -> Iterator[Finding]:
    """The loop gain is large, whichever sign it has."""
    reading, key = view.reading, f"{view.reading.name}/gain"
    if reading.gain is None:
        yield unknown(view, key, "gain", no_gain(reading))
        return
    size = abs(reading.gain)
    effect = "amplifies" if reading.gain > 0.0 else "damps"
    yield Finding(
        key,
        "gain",
        reading.currency,
        view.active(size),
        "critical" if reading.gain >= 1.0 else "warning",
        f"Loop gain is {gain_text(reading.gain)} (alert from {view.rule.on:g} either way): hedging {effect} moves, the hedging of a 1 % move"
        f" pushes the price {size:.2f} % {'further' if reading.gain > 0.0 else 'back'}.",
        f"Loop gain is {gain_text(reading.gain)}, within {view.rule.off:g} again.",
        {"gain": reading.gain, "gex_usd_per_pct": reading.gex_usd_per_pct},
    )


def jump_rule(view: View) -> Iterator[Finding]:
    """The loop gain moved far within a short time."""
    reading, key, minutes = view.reading, f"{view.reading.name}/jump", view.rule.extra["window_minutes"]
    if reading.gain is None:
        yield unknown(view, key, "jump", no_gain(reading))
        return
    now_ns = reading.as_of_ns if reading.as_of_ns is not None else view.at_ns
    earlier = [(at_ns, gain) for at_ns, gain in view.memory.gains if 0 <= now_ns - at_ns <= minutes * NS_PER_MINUTE]
    if not earlier:
        yield unknown(view, key, "jump", f"no gain is known from the {minutes:g} minutes before")
        return
    gain = reading.gain
    at_ns, then = max(earlier, key=lambda pair: abs(gain - pair[1]))
    yield Finding(
        key,
        "jump",
        reading.currency,
        view.active(abs(gain - then)),
        "warning",
        f"Loop gain jumped from {gain_text(then)} to {gain_text(gain)} within {(now_ns - at_ns) / NS_PER_MINUTE:.3g} minutes (alert from"
        f" {view.rule.on:g}).",
        f"Loop gain is {gain_text(gain)} and moved by no more than {abs(gain - then):.2f} in {minutes:g} minutes.",
        {"gain_before": then, "gain": gain, "minutes": (now_ns - at_ns) / NS_PER_MINUTE},
    )


def unknown(view: View, key: str, rule: str, why: str) -> Finding:
    """A finding that changes nothing, and says why."""
    return Finding(key, rule, view.reading.currency, None, "info", "", unknown=why)


def no_gain(reading: Reading) -> str:
    """Why there is no gain, as the document says it."""
    return f"the gain is unknown: {reading.gain_reason}" if reading.gain_reason else "the gain is unknown"


def _gain_words(reading: Reading) -> str:
    return f"loop gain {gain_text(reading.gain)}" if reading.gain is not None else no_gain(reading)


def _share_pct(part_usd: float | None, whole_usd: float | None) -> float | None:
    return None if part_usd is None or whole_usd is None else part_usd / whole_usd * 100.0
