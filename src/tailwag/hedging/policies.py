"""Hedging policies in one place: what they see, what they answer, the rules themselves, and how files and command lines spell them.

>>> policy = policy_from_text("band:2e6usd")
>>> policy, str(policy)
(Band(half_width_usd=2000000.0, half_width_coin=None, target='edge'), 'band of +-2.0 M USD, to the edge')
"""

from __future__ import annotations

from tailwag.hedging.cost_aware import Leland, WhalleyWilmott, Zakamouline
from tailwag.hedging.decision import Decision, GapUnit, HedgeView, Policy
from tailwag.hedging.rebalancing import AtTimes, Band, CharmOnly, EveryStep, NoHedge, Predictive
from tailwag.hedging.spelling import POLICY_SPELLINGS, policy_from_mapping, policy_from_text, policy_to_mapping, policy_to_text

__all__ = [
    "POLICY_SPELLINGS",
    "AtTimes",
    "Band",
    "CharmOnly",
    "Decision",
    "EveryStep",
    "GapUnit",
    "HedgeView",
    "Leland",
    "NoHedge",
    "Policy",
    "Predictive",
    "WhalleyWilmott",
    "Zakamouline",
    "policy_from_mapping",
    "policy_from_text",
    "policy_to_mapping",
    "policy_to_text",
]
