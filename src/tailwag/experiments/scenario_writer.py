"""Scenario files written out: every number in full, every assumption with a remark on where it came from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tailwag.errors import TailwagError

LONGEST_REMARK = 400


@dataclass(frozen=True, slots=True)
class Line:
    """One key, its value, and why it is what it is."""

    key: str
    value: Any
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """One table with its lines; ``header`` with its brackets."""

    header: str
    lines: tuple[Line, ...]


def scenario_text(title: Sequence[str], sections: Sequence[Section]) -> str:
    """The text of a scenario file, ASCII only; the same words give the same bytes.

    >>> print(scenario_text(["Made by hand."], [Section("[price]", (Line("vol", 0.6, "stated"),))]), end="")
    # Made by hand.
    <BLANKLINE>
    [price]
    vol = 0.6  # stated
    """
    head = "".join(f"# {remark(sentence)}\n" for sentence in title)
    return head + "".join(f"\n{section.header}\n" + "".join(_line(line) for line in section.lines) for section in sections)


def _line(line: Line) -> str:
    return f"{line.key} = {toml_value(line.value)}" + (f"  # {remark(line.remark)}" if line.remark else "") + "\n"


def toml_value(value: Any) -> str:
    """A value as TOML spells it, numbers to the last bit.

    >>> toml_value(1e-10), toml_value(True), toml_value({"kind": "band", "half_width_usd": 2e6})
    ('1e-10', 'true', '{kind = "band", half_width_usd = 2000000.0}')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TailwagError("a scenario was to be written with a number that is not finite; please report this with the input file")
        return repr(value)
    if isinstance(value, str):
        return '"' + "".join(_letter(letter) for letter in value) + '"'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {toml_value(part)}" for key, part in value.items()) + "}"
    return "[" + ", ".join(toml_value(part) for part in value) + "]"


def _letter(letter: str) -> str:
    if letter in '"\\':
        return f"\\{letter}"
    return letter if letter.isascii() and letter.isprintable() else f"\\U{ord(letter):08X}"


def remark(text: str) -> str:
    """A remark on one line, ASCII, without control characters."""
    shown = "".join(letter for letter in str(text) if letter.isprintable())
    return shown[:LONGEST_REMARK].encode("ascii", "backslashreplace").decode()
