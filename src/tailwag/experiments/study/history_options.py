"""What a history is measured under: several rules, liquidity laws and smile dynamics at once, all else as in one measurement."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any

from tailwag.errors import InputError, RuleError
from tailwag.experiments.laws import LAWS
from tailwag.experiments.options import MeasureOptions, refuse_impossible
from tailwag.positioning import Rule, parse_rule
from tailwag.positioning.spelling import RULE_SPELLINGS
from tailwag.surface import parse_dynamics
from tailwag.units import NS_PER_MINUTE

CITED_RULES = ("long-calls-short-puts", "customers-sell-otm")
PUBLICATION_DELAY_MINUTES = 10.0
LONGEST_DELAY_MINUTES = 7 * 24 * 60.0
NO_LAW = "none"
HINDSIGHT = ("flow:", "positions:")
"""Rules that read a file of the user's: it also holds what came after each snapshot."""
VOL_SOURCES, DAY_COUNTS, FORWARDS = ("venue", "surface"), ("act-365", "busdays-262"), (None, "market", "index")


@dataclass(frozen=True, slots=True)
class HistoryOptions:
    """Every assumption of a history; rules, laws and dynamics are spelled as on the command line, each combination is a row of the panel.

    ``laws`` empty: 'given' where a depth is stated and 'square-root' where a daily volume is; with neither, one row that names no gain and why.
    ``publication_delay_minutes``: a snapshot whose crawl states no end counts as known this long after its start.
    """

    rules: tuple[str, ...] = CITED_RULES
    laws: tuple[str, ...] = ()
    dynamics: tuple[str, ...] = ("sticky-strike",)
    vol: str = "venue"
    day_count: str = "act-365"
    forward: str | None = None
    depth_usd_per_pct: float | None = None
    daily_volume_usd: float | None = None
    daily_vol: float | None = None
    impact_y: float = 1.0
    crossover_usd: float | None = None
    move_pct: float = 1.0
    hedge_share: float = 1.0
    draws: int = 400
    draw_correlation: float = 0.0
    seed: int = 7
    publication_delay_minutes: float = PUBLICATION_DELAY_MINUTES
    measured: MeasureOptions = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _refuse(self)
        object.__setattr__(self, "rules", tuple(dict.fromkeys(rule.name for rule in self.parsed_rules())))
        object.__setattr__(self, "dynamics", tuple(dict.fromkeys(parse_dynamics(text).name for text in self.dynamics)))
        object.__setattr__(self, "laws", tuple(dict.fromkeys(self.laws)) or self._default_laws())
        object.__setattr__(self, "measured", self._measure_options())
        refuse_impossible(self.measured)

    def parsed_rules(self) -> tuple[Rule, ...]:
        """The rules as objects; RuleError for one that is unknown or needs hindsight."""
        return tuple(
            parse_rule(_point_in_time(text), draws=self.draws, correlation=self.draw_correlation, seed=self.seed) for text in self.rules
        )

    @property
    def publication_delay_ns(self) -> int:
        """As whole nanoseconds."""
        return round(self.publication_delay_minutes * NS_PER_MINUTE)

    def document(self) -> dict[str, Any]:
        """The assumptions as plain values."""
        known = asdict(self)
        del known["measured"]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in known.items()}

    @property
    def digest(self) -> str:
        """Of every assumption: two histories share it only where they can stand in one panel."""
        return sha256(repr(sorted(self.document().items())).encode()).hexdigest()

    def _default_laws(self) -> tuple[str, ...]:
        found = [name for name, stated in (("given", self.depth_usd_per_pct), ("square-root", self.daily_volume_usd)) if stated is not None]
        return tuple(found) or (NO_LAW,)

    def _measure_options(self) -> MeasureOptions:
        return MeasureOptions(
            dynamics=self.dynamics[0],
            vol=self.vol,
            day_count=self.day_count,
            forward=self.forward,
            depth_usd_per_pct=self.depth_usd_per_pct,
            daily_volume_usd=self.daily_volume_usd,
            daily_vol=self.daily_vol,
            impact_y=self.impact_y,
            crossover_usd=self.crossover_usd,
            move_pct=self.move_pct,
            hedge_share=self.hedge_share,
        )


def _point_in_time(text: str) -> str:
    if any(part.startswith(HINDSIGHT) for part in (text, *text.removeprefix("mixture:").split("+"))):
        raise RuleError(
            f"positioning rule {text[:80]!a} reads a file that also holds what came after each snapshot, so it has no place in a history; "
            f"use one of {RULE_SPELLINGS.split(', flow:')[0]}, mixture:RULE@0.6+RULE@0.4"
        )
    return text


def _refuse(options: HistoryOptions) -> None:
    if not options.rules or not options.dynamics:
        raise RuleError("a history expects one rule and one smile dynamics at least; leave the option out for the default")
    for law in options.laws:
        if law not in (*LAWS, NO_LAW):
            raise RuleError(f"liquidity law {law[:40]!a} is unknown; use one of {', '.join(LAWS)}")
    if "given" in options.laws and options.depth_usd_per_pct is None:
        raise RuleError("--law given expects --depth-usd-per-pct, the one-sided USD that moves the price 1 %")
    for name, allowed in (("vol", VOL_SOURCES), ("day_count", DAY_COUNTS), ("forward", FORWARDS)):
        if getattr(options, name) not in allowed:
            words = ", ".join(str(word) for word in allowed if word)
            raise RuleError(f"{name} {str(getattr(options, name))[:40]!a} is unknown; use one of {words}")
    if not 0.0 < options.move_pct < 100.0 or not 0.0 < options.hedge_share <= 1.0:
        raise RuleError(
            f"expected a move between 0 and 100 % and a hedge share above 0 and up to 1, got {options.move_pct} and {options.hedge_share}"
        )
    delay = options.publication_delay_minutes
    if not (math.isfinite(delay) and 0.0 <= delay <= LONGEST_DELAY_MINUTES):
        raise InputError(f"--publication-delay expects minutes from 0 to {LONGEST_DELAY_MINUTES:,.0f}, got {delay}; 10 is the default")
