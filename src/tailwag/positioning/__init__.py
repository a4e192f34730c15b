"""Who is short: Chain -> Positions by a named, cited rule; there is no default, because the rule decides the sign of everything.

Every rule gives the dealers' side, long +.  A rule is an assumption about people nobody sees: name it, vary it, print it.
"""

from __future__ import annotations

from tailwag.positioning.flow import FlowRule, RecordedFlowRule
from tailwag.positioning.held import Positions, Rule, infer_positions
from tailwag.positioning.mixture import MOST_DRAWS, Mixture
from tailwag.positioning.rules import CustomersBuy, CustomersSellOtm, LongAll, LongCallsShortPuts, ShortAll
from tailwag.positioning.spelling import RULE_SPELLINGS, parse_rule
from tailwag.positioning.stated import PositionsFile

__all__ = [
    "MOST_DRAWS",
    "RULE_SPELLINGS",
    "CustomersBuy",
    "CustomersSellOtm",
    "FlowRule",
    "LongAll",
    "LongCallsShortPuts",
    "Mixture",
    "Positions",
    "PositionsFile",
    "RecordedFlowRule",
    "Rule",
    "ShortAll",
    "infer_positions",
    "parse_rule",
]
