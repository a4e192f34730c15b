"""Tables of a scenario file, read strictly: every key is known, of its type and in its unit, or the file is refused in one sentence."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from tailwag.errors import InputError, UnitError
from tailwag.market.clock import parse_time_ns

LONGEST_NAME = 60
LEAST_SIZE, MOST_SIZE = 1e-18, 1e18
"""No number of a market is smaller or larger, whatever its unit: impact per USD is about 1e-11, turnover about 1e11."""
MOST_VOL = 10.0
"""No market's volatility is above 1,000 %; a larger number is a percentage."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a scenario file: where it stands, and its values as TOML gave them.

    >>> Table("[run]", {"seed": 7}).whole("seed", least=0)
    7

    Every reader raises InputError (UnitError where only the unit can be wrong): what was expected, what came, what to do.
    """

    place: str
    values: Mapping[str, Any]

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def refuse(self, sentence: str) -> InputError:
        """The error that names this table and says ``sentence``."""
        return InputError(f"{self.place}: {sentence}")

    def only(self, *allowed: str) -> None:
        """Refuse a key that is none of these, naming the nearest that is."""
        for key in self.values:
            if key not in allowed:
                raise self.refuse(f"unknown key {shown(key)}{nearest(key, allowed)}; it takes {', '.join(allowed)}")

    def exclusive(self, *keys: str) -> None:
        """Refuse two keys that say the same thing."""
        given = [key for key in keys if key in self.values]
        if len(given) > 1:
            raise self.refuse(f"expected one of {', '.join(keys)}, got {' and '.join(given)}; leave all but one out")

    def needed(self, key: str, why: str = "") -> Any:
        """The value of a key that has no default."""
        if key not in self.values:
            raise self.refuse(f"{key} is missing; {why or 'it has no default, state it'}")
        return self.values[key]

    def number(
        self,
        key: str,
        default: float | None = None,
        *,
        least: float = -math.inf,
        most: float = math.inf,
        above: bool = False,
        hint: str = "",
    ) -> float:
        """A finite number within bounds; ``above``: the least itself is refused.  Without a default the key is required."""
        if default is not None and key not in self.values:
            return default
        value = self._sized(key, self._finite(key, self.needed(key, hint and f"expected {hint}"), hint))
        if not least <= value <= most or (above and value == least):
            raise self.refuse(f"expected {key} {_bounds(least, most, above)}, got {value:g}" + (f"; {hint}" if hint else ""))
        return value

    def maybe(self, key: str, *, least: float = -math.inf, most: float = math.inf, above: bool = False, hint: str = "") -> float | None:
        """A number within bounds, or None where the key is not given."""
        return self.number(key, least=least, most=most, above=above, hint=hint) if key in self.values else None

    def vol(self, key: str, default: float | None = None) -> float:
        """A volatility as a decimal: 60 for 0.60 is found out."""
        if default is not None and key not in self.values:
            return default
        value = self._finite(key, self.needed(key, "expected a volatility as a decimal, 0.6 is 60 %"), "0.6 is 60 %")
        if value > MOST_VOL:
            raise UnitError(f"{self.place}: expected {key} as a decimal, got {value:g}; write {value / 100:g} for {value:g} %")
        if value < 0.0:
            raise self.refuse(f"expected {key} of 0 or more, got {value:g}; 0.6 is 60 %")
        return value

    def whole(self, key: str, default: int | None = None, *, least: int, most: int = 2**63 - 1, hint: str = "") -> int:
        """A whole number within bounds; 10000.0 and 1e4 are taken for 10,000."""
        if default is not None and key not in self.values:
            return default
        value = self._finite(key, self.needed(key, hint), hint or "a whole number")
        given = self.values[key]
        if value != math.floor(value):
            raise self.refuse(f"expected {key} as a whole number, got {value:g}")
        found = given if isinstance(given, int) else int(value)
        if not least <= found <= most:
            raise self.refuse(f"expected {key} from {least:,} to {most:,}, got {shown(found)}" + (f"; {hint}" if hint else ""))
        return found

    def text(self, key: str, default: str | None = None, *, choices: Collection[str] = (), hint: str = "") -> str:
        """A text, one of ``choices`` where there are any."""
        if default is not None and key not in self.values:
            return default
        wanted = f"one of {', '.join(choices)}" if choices else "a text"
        value = self.needed(key, hint or f"expected {wanted}")
        if not isinstance(value, str):
            raise self.refuse(f"expected {key} as {wanted} in quotes, got {shown(value)}" + (f"; {hint}" if hint else ""))
        if choices and value not in choices:
            raise self.refuse(f"expected {key} as {wanted}, got {shown(value)}{nearest(value, choices)}" + (f"; {hint}" if hint else ""))
        return value

    def truth(self, key: str, default: bool) -> bool:
        """true or false."""
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise self.refuse(f"expected {key} as true or false, got {shown(value)}; write it without quotes")
        return value

    def time_ns(self, key: str) -> int | None:
        """UTC nanoseconds of a time with its offset, in quotes or as TOML writes times; None where the key is not given."""
        if key not in self.values:
            return None
        value = self.values[key]
        if isinstance(value, datetime):
            value = value.isoformat() if value.tzinfo is None else value.astimezone(UTC).isoformat()
        if not isinstance(value, str):
            raise self.refuse(f"expected {key} as a time such as 2026-03-27T08:00:00Z, got {shown(value)}; give day, hour and offset")
        with self.named():
            return parse_time_ns(value)

    def table(self, key: str, default: Mapping[str, Any] | None = None) -> Table:
        """A table inside this one, named by its key."""
        value = self.values.get(key, default)
        if not isinstance(value, Mapping):
            raise self.refuse(
                f"expected {key} as a table, got {shown(value)}" if key in self.values else f"{key} is missing; it is a table"
            )
        return Table(f"{self.place} {key}", value)

    def tables(self, key: str) -> list[Table]:
        """A list of tables inside this one, named by key and number from 1."""
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(part, Mapping) for part in value):
            raise self.refuse(f"expected {key} as a list of tables, got {shown(value)}")
        return [Table(f"{self.place} {key} {number}", part) for number, part in enumerate(value, start=1)]

    @contextmanager
    def named(self) -> Iterator[None]:
        """Put this table's name before what the parts of a scenario say when they refuse to be made."""
        try:
            yield
        except InputError as error:
            if str(error).startswith(self.place):
                raise
            raise type(error)(f"{self.place}: {error}") from None

    def _finite(self, key: str, value: Any, hint: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refuse(f"expected {key} as a number, got {shown(value)}" + (f"; {hint}" if hint else "; write it without quotes"))
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self.refuse(f"expected {key} as a finite number, got {shown(value)}; state a number or leave the key out")
        return number if isinstance(value, int) else self._sized(key, number)

    def _sized(self, key: str, number: float) -> float:
        if number != 0.0 and not LEAST_SIZE <= abs(number) <= MOST_SIZE:
            raise self.refuse(
                f"expected {key} of a size from {LEAST_SIZE:g} to {MOST_SIZE:g} (or 0), got {number:g}; no market has such a number"
            )
        return number


def shown(value: Any) -> str:
    """A value of the user's, short and in ASCII, as a message may print it; days and times as the file writes them."""
    try:
        text = value.isoformat() if isinstance(value, date | time) else ascii(_times_as_text(value))
    except ValueError:  # an integer of more digits than Python prints
        return "a number of thousands of digits"
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 3]}..."


def _times_as_text(value: Any) -> Any:
    if isinstance(value, list):
        return [_times_as_text(part) for part in value]
    if isinstance(value, Mapping):
        return {key: _times_as_text(part) for key, part in value.items()}
    return value.isoformat() if isinstance(value, date | time) else value


def nearest(word: str, known: Collection[str]) -> str:
    """' (did you mean ...?)' where one of the known names is near.

    >>> nearest("horizon_day", ["horizon_days", "seed"])
    ' (did you mean horizon_days?)'
    """
    found = difflib.get_close_matches(str(word)[:LONGEST_NAME], known, n=1)
    return f" (did you mean {found[0]}?)" if found else ""


def _bounds(least: float, most: float, above: bool) -> str:
    low = f"above {least:g}" if above else f"of {least:g} or more"
    if math.isinf(most):
        return low
    if math.isinf(least):
        return f"of at most {most:g}"
    return f"{low} and at most {most:g}" if above else f"from {least:g} to {most:g}"
