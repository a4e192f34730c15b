"""Dated, sourced rule tables of venues: which figure was in force on which day, and who says so."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from tailwag.errors import InputError
from tailwag.market.clock import format_time, parse_time_ns


@dataclass(frozen=True, slots=True)
class DatedRule:
    """One figure, the moment from which it holds, and its source."""

    value: float
    valid_from_ns: int
    source: str


@dataclass(frozen=True, slots=True)
class RuleTable:
    """Figures of one rule for several subjects (currencies, contracts), each a list in time order.

    A subject named ``*`` stands for every subject that has no list of its own.
    """

    name: str
    unit: str
    rows: Mapping[str, tuple[DatedRule, ...]]

    def in_force(self, subject: str, at_ns: int) -> DatedRule:
        """The figure that held for ``subject`` at ``at_ns``.

        Raises InputError for an unknown subject, and for a time before the first dated figure: it is not known, and not guessed.
        """
        rules = self.rows.get(subject) or self.rows.get("*")
        if not rules:
            known = ", ".join(sorted(self.rows))
            raise InputError(f"rule table {self.name} knows {known}, not {subject[:40]!a}; add a dated, sourced row for it")
        held = [rule for rule in rules if rule.valid_from_ns <= at_ns]
        if not held:
            first = format_time(rules[0].valid_from_ns)
            raise InputError(
                f"rule table {self.name}: {subject} is known from {first}, asked for {format_time(at_ns)}; add the earlier figure with its source"
            )
        return held[-1]


@lru_cache
def load_rules(name: str) -> RuleTable:
    """The rule table ``rule_tables/<name>.toml`` of this package.

    >>> from tailwag.market.clock import parse_time_ns
    >>> load_rules("okx_option_multipliers").in_force("BTC", parse_time_ns("2026-07-04T12:00:00Z")).value
    0.01

    Raises InputError if there is no such table or it is malformed.
    """
    if not name.isidentifier():
        raise InputError(f"expected the name of a rule table such as okx_option_multipliers, got {name[:40]!a}")
    file = resources.files("tailwag.sources") / "rule_tables" / f"{name}.toml"
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"there is no rule table {name}; see sources/rule_tables") from None
    return parse_rules(text, name=name)


def parse_rules(text: str, *, name: str) -> RuleTable:
    """A rule table from TOML: ``unit = "..."`` and rows ``[[SUBJECT]] value = ..., valid_from = "...Z", source = "..."``.

    Raises InputError naming the row that is incomplete, undated, unsourced or out of order.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"rule table {name}: {error}; mend the TOML") from None
    unit = document.pop("unit", "")
    rows = {subject: tuple(_rule(name, subject, entry) for entry in entries) for subject, entries in document.items()}
    for subject, rules in rows.items():
        dates = [rule.valid_from_ns for rule in rules]
        if dates != sorted(set(dates)):
            raise InputError(f"rule table {name}: the rows of {subject} are not in time order, each date once; sort them")
    return RuleTable(name, str(unit), rows)


def _rule(name: str, subject: str, entry: Any) -> DatedRule:
    wanted = {"value", "valid_from", "source"}
    if not isinstance(entry, dict) or set(entry) != wanted or not entry["source"] or isinstance(entry["value"], (bool, str)):
        raise InputError(
            f"rule table {name}: every row of {subject} needs a number value, valid_from and a source, got {ascii(entry)[:120]}"
        )
    return DatedRule(float(entry["value"]), parse_time_ns(str(entry["valid_from"])), str(entry["source"]))
