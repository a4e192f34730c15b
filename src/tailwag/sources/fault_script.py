"""Fault scripts: what shall go wrong in a replay, when and how often, as a seeded TOML file that is read strictly."""

from __future__ import annotations

import math
import random
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

from tailwag.errors import FileFormatError, InputError, TimeError
from tailwag.market.clock import parse_time_ns
from tailwag.sources.opening import RawFile, read_file
from tailwag.units import NS_PER_SECOND

LIMIT_BYTES = 1 << 20
MOST_FAULTS = 1_000
LONGEST_SECONDS = 86_400.0
ANSWERS = ("429", "503", "html", "timeout", "maintenance")
"""How a turn may fail."""
GARBLES = (
    "iv-percent",
    "iv-negative",
    "iv-missing",
    "quotes-crossed",
    "open-interest-missing",
    "open-interest-negative",
    "spot-times-ten",
    "spot-zero",
)
"""What garbling does to numbers; the two of spot strike the whole snapshot, the others a share of its rows."""


@dataclass(frozen=True, slots=True)
class _Key:
    """One key that a kind takes: bounds of a number, or the words allowed; ``default`` None: it must be stated."""

    default: float | None = None
    least: float = 0.0
    most: float = 0.0
    words: tuple[str, ...] = ()


_KINDS: Mapping[str, Mapping[str, _Key]] = {
    "drop": {},
    "duplicate": {"times": _Key(1.0, 1.0, 100.0)},
    "reorder": {},
    "delay": {"seconds": _Key(None, 0.001, LONGEST_SECONDS)},
    "freeze": {},
    "lose-rows": {"share": _Key(None, 0.000001, 1.0)},
    "lose-expiries": {"expiries": _Key(1.0, 1.0, 100.0)},
    "garble": {"what": _Key(words=GARBLES), "share": _Key(0.1, 0.000001, 1.0)},
    "skew-clock": {"seconds": _Key(None, -LONGEST_SECONDS, LONGEST_SECONDS)},
    "fail": {"answer": _Key(words=ANSWERS), "retry_after_seconds": _Key(0.0, 0.0, LONGEST_SECONDS)},
}
KINDS = tuple(_KINDS)
_EVERY = ("kind", "from", "to", "from_seconds", "for_seconds", "chance", "source")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    It strikes each snapshot whose time lies in [from, to) with probability ``chance``; ``from_seconds`` and ``for_seconds`` count from the
    first snapshot.  ``source`` limits it to snapshots whose source's name begins so.  ``numbers`` and ``words`` hold what only this kind has.
    """

    kind: str
    from_ns: int | None = None
    to_ns: int | None = None
    from_seconds: float = 0.0
    for_seconds: float = math.inf
    chance: float = 1.0
    source: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)

    def covers(self, at_ns: int, *, first_ns: int, source: str) -> bool:
        """Whether a snapshot of this time and source lies in its window."""
        if not source.startswith(self.source):
            return False
        start_ns = first_ns + round(self.from_seconds * NS_PER_SECOND) if self.from_ns is None else self.from_ns
        if self.to_ns is not None:
            return start_ns <= at_ns < self.to_ns
        return start_ns <= at_ns and (at_ns - start_ns) < self.for_seconds * NS_PER_SECOND


@dataclass(frozen=True, slots=True)
class FaultScript:
    """The faults of one rehearsal, in the order of the file; the same seed and data give the same faults."""

    seed: int
    faults: tuple[Fault, ...]
    name: str = "faults"

    def chance_for(self, place: int, at_ns: int) -> random.Random:
        """The random numbers of one fault at one snapshot: those of no other fault or time depend on them."""
        return random.Random(f"{self.seed}/{place}/{at_ns}")


def read_fault_script(path: str | PathLike[str]) -> FaultScript:
    """The fault script in a TOML file.

    Raises InputError (FileFormatError where it is no TOML): file, table and key, what was expected, what came, what to do.
    """
    return fault_script_from(read_file(path, limit_bytes=LIMIT_BYTES))


def fault_script_from(raw: RawFile) -> FaultScript:
    """As :func:`read_fault_script`, from bytes.

    >>> text = b'seed = 7\\n[[fault]]\\nkind = "drop"\\nfrom_seconds = 60\\nfor_seconds = 30\\nchance = 0.5\\n'
    >>> fault_script_from(RawFile("outage.toml", text, "")).faults[0].chance
    0.5
    """
    try:
        values = tomllib.loads(raw.data.decode("utf-8"))
    except UnicodeDecodeError:
        raise FileFormatError(f"{raw.name}: expected UTF-8 text, got other bytes; save it as UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as trouble:
        raise FileFormatError(f"{raw.name}: no TOML ({str(trouble)[:100]!a}); a key twice, a missing quote or bracket?") from None
    _only(values, ("seed", "fault"), place=raw.name)
    seed = values.get("seed", 0)
    if type(seed) is not int or abs(seed) > 1 << 63:
        raise InputError(f"{raw.name}: seed expects a whole number, got {_shown(seed)}; write such as seed = 7")
    tables = values.get("fault", [])
    if not isinstance(tables, list) or not tables or len(tables) > MOST_FAULTS or not all(isinstance(table, dict) for table in tables):
        raise InputError(f"{raw.name}: expected 1 to {MOST_FAULTS} tables [[fault]], got {_shown(tables)}; write [[fault]] above each")
    faults = tuple(_fault(table, place=f"{raw.name}: fault {rank}") for rank, table in enumerate(tables, 1))
    return FaultScript(seed, faults, raw.name)


def _fault(values: Mapping[str, Any], *, place: str) -> Fault:
    kind = values.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise InputError(f"{place}: kind expects one of {', '.join(KINDS)}, got {_shown(kind)}; choose one")
    keys = _KINDS[kind]
    _only(values, (*_EVERY, *keys), place=f"{place} ({kind})")
    place = f"{place} ({kind})"
    _refuse_two_windows(values, place=place)
    from_ns, to_ns = (_time(values, key, place=place) for key in ("from", "to"))
    if from_ns is not None and to_ns is not None and to_ns <= from_ns:
        raise InputError(f"{place}: expected to after from, got {values['from']} to {values['to']}; exchange them")
    source = values.get("source", "")
    if not isinstance(source, str) or len(source) > 200:
        raise InputError(f"{place}: source expects the beginning of a source's name in quotes, got {_shown(source)}; such as deribit")
    return Fault(
        kind,
        from_ns,
        to_ns,
        from_seconds=_number(values, "from_seconds", _Key(0.0, 0.0, 1e10), place=place),
        for_seconds=_number(values, "for_seconds", _Key(math.inf, 0.001, 1e10), place=place),
        chance=_number(values, "chance", _Key(1.0, 0.0, 1.0), place=place),
        source=source,
        numbers={name: _number(values, name, key, place=place) for name, key in keys.items() if not key.words},
        words={name: _word(values, name, key, place=place) for name, key in keys.items() if key.words},
    )


def _refuse_two_windows(values: Mapping[str, Any], *, place: str) -> None:
    for one, other in (("from", "from_seconds"), ("to", "for_seconds")):
        if one in values and other in values:
            raise InputError(f"{place}: expected {one} or {other}, got both; leave one out")


def _time(values: Mapping[str, Any], key: str, *, place: str) -> int | None:
    if key not in values:
        return None
    try:
        return parse_time_ns(str(values[key]))
    except TimeError as trouble:
        raise InputError(f"{place}: {key}: {trouble}") from None


def _number(values: Mapping[str, Any], name: str, key: _Key, *, place: str) -> float:
    value = values.get(name, key.default)
    if value is None:
        raise InputError(f"{place}: {name} is missing; state it, {key.least:g} to {key.most:g}")
    if name not in values:
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not key.least <= value <= key.most:
        raise InputError(f"{place}: {name} expects a number from {key.least:g} to {key.most:g}, got {_shown(value)}")
    return float(value)


def _word(values: Mapping[str, Any], name: str, key: _Key, *, place: str) -> str:
    value = values.get(name)
    if not isinstance(value, str) or value not in key.words:
        raise InputError(f"{place}: {name} expects one of {', '.join(key.words)}, got {_shown(value)}; choose one")
    return value


def _only(values: Mapping[str, Any], allowed: tuple[str, ...], *, place: str) -> None:
    for key in values:
        if key not in allowed:
            raise InputError(f"{place}: unknown key {key[:40]!a}; it takes {', '.join(allowed)}")


def _shown(value: Any) -> str:
    return "nothing" if value is None else ascii(value)[:60]
