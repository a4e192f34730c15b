"""What the rules remember: which conditions are on, what was told, and the last values that were known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tailwag.service.alerts.alert import Finding, Phase
from tailwag.service.alerts.reading import Reading
from tailwag.service.alerts.settings import RuleSettings

MOST_GAINS = 240
"""Samples of the gain that the jump rule may keep for one currency."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One watched thing: whether it is on, whether people were told so, since when, and until when it stays quiet."""

    on: bool = False
    told: bool = False
    since_ns: int = 0
    quiet_until_ns: int = 0
    suppressed: int = 0
    """Times that it went on and off again within the cool-down, so that nobody was told."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What one source's last documents leave to the next: values that were known, so that an unknown one changes nothing.

    ``gains``: (time, gain) within the jump rule's window.  Walls are those that spot has not crossed; of a broken wall, the broken one.
    ``last`` is the last reading outside the settling time of an expiry, as :func:`reading_left` writes it.
    """

    as_of_ns: int = 0
    regime: str | None = None
    gains: tuple[tuple[int, float], ...] = ()
    call_wall_usd: float | None = None
    put_wall_usd: float | None = None
    last: Mapping[str, Any] = field(default_factory=dict)
    noted_ns: int = 0
    """The 08:00 UTC for which the daily note was sent or left out."""


@dataclass(frozen=True, slots=True)
class AlertState:
    """All that a restart needs to go on as if nothing had happened."""

    conditions: Mapping[str, Condition] = field(default_factory=dict)
    memories: Mapping[str, Memory] = field(default_factory=dict)
    serial: int = 0
    """Alerts made so far."""

    def memory(self, name: str) -> Memory:
        """What is remembered of a source."""
        return self.memories.get(name, Memory())

    def document(self) -> dict[str, Any]:
        """As the journal writes it."""
        return {
            "conditions": {key: asdict(condition) for key, condition in self.conditions.items()},
            "memories": {key: asdict(memory) for key, memory in self.memories.items()},
            "serial": self.serial,
        }


def state_from(document: Mapping[str, Any]) -> AlertState:
    """The state that :meth:`AlertState.document` wrote, also after it went through JSON.

    >>> import json
    >>> state = AlertState({"BTC/gain": Condition(on=True)}, {"BTC": Memory(gains=((1, 0.5),))}, 1)
    >>> state_from(json.loads(json.dumps(state.document()))) == state
    True
    """
    memories = {
        key: Memory(**{**memory, "gains": tuple((int(at), float(gain)) for at, gain in memory["gains"])})
        for key, memory in document["memories"].items()
    }
    return AlertState({key: Condition(**value) for key, value in document["conditions"].items()}, memories, int(document["serial"]))


def stepped(condition: Condition, finding: Finding, rule: RuleSettings, *, at_ns: int) -> tuple[Condition, Phase | None, int]:
    """The condition after a finding, what people must be told (None: nothing), and how often it came and went untold.

    On beyond the on level, off beyond the off level, unchanged in between and where the value is unknown.  Within ``cool_down_ns`` of the
    last time that people were told, nothing is raised; a condition that is still on when the cool-down ends is raised then.
    """
    if finding.active is True:
        return _on(condition, finding, rule, at_ns)
    if finding.active is False and condition.on:
        return _off(condition, finding, rule)
    # between the levels or unknown: what was on stays on, and is told once its cool-down ends
    return _on(condition, finding, rule, at_ns) if condition.on and not condition.told and not finding.unknown else (condition, None, 0)


def _on(condition: Condition, finding: Finding, rule: RuleSettings, at_ns: int) -> tuple[Condition, Phase | None, int]:
    since_ns = condition.since_ns if condition.on else at_ns
    # a clock that was set back must not keep an alert quiet for longer than its cool-down
    quiet_until_ns = min(condition.quiet_until_ns, at_ns + rule.cool_down_ns)
    if condition.told or at_ns < quiet_until_ns:
        return replace(condition, on=True, since_ns=since_ns, quiet_until_ns=quiet_until_ns), None, 0
    until_ns = at_ns + rule.cool_down_ns
    if not finding.cleared:
        return Condition(quiet_until_ns=until_ns), "event", condition.suppressed
    return Condition(True, True, since_ns, until_ns), "raised", condition.suppressed


def _off(condition: Condition, finding: Finding, rule: RuleSettings) -> tuple[Condition, Phase | None, int]:
    if condition.told:
        return Condition(quiet_until_ns=condition.quiet_until_ns), "cleared" if rule.tell_cleared else None, 0
    return Condition(quiet_until_ns=condition.quiet_until_ns, suppressed=condition.suppressed + 1), None, 0


def idle(condition: Condition, *, at_ns: int) -> bool:
    """Whether nothing would be lost by forgetting this condition."""
    return not condition.on and not condition.suppressed and at_ns >= condition.quiet_until_ns


def reading_left(reading: Reading) -> dict[str, Any]:
    """What the daily note wants to know of the reading before the expiry."""
    return {
        "as_of_ns": reading.as_of_ns,
        "spot_usd": reading.spot_usd,
        "regime": reading.regime,
        "gain": reading.gain,
        "gex_usd_per_pct": reading.gex_usd_per_pct,
        "gross_gex_usd_per_pct": reading.gross_gex_usd_per_pct,
        "nearest_flip_usd": reading.nearest_flip_usd,
        "expiries": [
            {name: getattr(row, name) for name in ("at_ns", "gex_usd_per_pct", "gross_gex_usd_per_pct", "open_interest_coin")}
            for row in reading.expiries[:2]
        ],
    }
