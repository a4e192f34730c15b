"""How the command line spells a rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tailwag.errors import RuleError
from tailwag.market.trades import Trades
from tailwag.positioning.flow import FlowRule
from tailwag.positioning.held import Rule
from tailwag.positioning.mixture import Mixture
from tailwag.positioning.rules import CustomersBuy, CustomersSellOtm, LongAll, LongCallsShortPuts, ShortAll
from tailwag.positioning.stated import PositionsFile

RULE_SPELLINGS = "long-calls-short-puts, short-all, long-all, customers-buy:SHARE, customers-sell-otm, flow:FILE, flow:STORE, positions:FILE, mixture:RULE@0.6+RULE@0.4"


def parse_rule(
    text: str,
    *,
    load_trades: Callable[[str], Trades] | None = None,
    load_positions: Callable[[str], Mapping[str, float]] | None = None,
    load_flow: Callable[[str], Rule | None] | None = None,
    draws: int = 400,
    correlation: float = 0.0,
    seed: int = 0,
) -> Rule:
    """The rule that a command-line spelling stands for; the caller brings the readers of files.

    ``load_flow`` is asked first what follows ``flow:``, and gives None where that is no store.

    >>> parse_rule("customers-buy:0.7").name
    'customers-buy:0.7'
    >>> parse_rule("mixture:short-all@0.6+long-all@0.4").name
    'mixture:short-all@0.6+long-all@0.4'

    Raises RuleError for an unknown or malformed rule; the message lists the spellings.
    """
    plain: dict[str, Callable[[], Rule]] = {
        "long-calls-short-puts": LongCallsShortPuts,
        "short-all": ShortAll,
        "long-all": LongAll,
        "customers-sell-otm": CustomersSellOtm,
    }
    if text in plain:
        return plain[text]()
    kind, _, rest = text.partition(":")
    if kind == "customers-buy" and rest:
        return CustomersBuy(_number(rest, text))
    recorded = load_flow(rest) if kind == "flow" and rest and load_flow else None
    if recorded is not None:
        return recorded
    if kind == "flow" and rest and load_trades:
        return FlowRule(load_trades(rest), label=_basename(rest))
    if kind == "positions" and rest and load_positions:
        return PositionsFile(load_positions(rest), label=_basename(rest))
    if kind == "mixture" and rest:
        return Mixture(
            tuple(_part(part, text, load_trades, load_positions, load_flow) for part in rest.split("+")),
            draws=draws,
            seed=seed,
            correlation=correlation,
        )
    raise RuleError(f"positioning rule {text[:80]!a} is unknown; use one of {RULE_SPELLINGS}")


def _part(part: str, text: str, load_trades: Any, load_positions: Any, load_flow: Any) -> tuple[Rule, float]:
    spelling, at, probability = part.rpartition("@")
    if not at or not spelling:
        raise RuleError(f"{text[:80]!a}: each part of a mixture is RULE@PROBABILITY, got {part[:40]!a}")
    return parse_rule(spelling, load_trades=load_trades, load_positions=load_positions, load_flow=load_flow), _number(probability, text)


def _number(digits: str, text: str) -> float:
    try:
        return float(digits)
    except ValueError:
        raise RuleError(f"{text[:80]!a}: expected a number between 0 and 1, got {digits[:20]!a}") from None


def _basename(path: str) -> str:
    return path.replace("\\", "/").rsplit("/", 1)[-1]
