"""Options pools that quote at an oracle's late price, in the answer of a played scenario: their loss by path, what each kept, and a fee as a switch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tailwag.experiments.run_amm import options_pool_sentences
from tailwag.kernels.arrays import FloatArray
from tailwag.sim.agents.options_amm import OptionsAmm
from tailwag.sim.ledger import PART
from tailwag.sim.scenario import Scenario
from tailwag.sim.state import BlockPaths
from tailwag.sim.venues_home import everybody

Parameters = Mapping[str, Any]


def late_loss_usd(scenario: Scenario, block: BlockPaths) -> FloatArray | None:
    """What pools with a late price lost at their trades on each path, stale quotes less fees, (paths,); None where there are none."""
    mine = [-own.pnl_usd[PART["spread_usd"]] for agent, own in zip(everybody(scenario), block.agents) if _is_late(agent)]
    return np.sum(mine, axis=0) if mine else None


def late_price_fee(scenario: Scenario, numbers: Parameters) -> Scenario:
    """Pools with a late price ask a fee that is at least so large a share of spot."""

    def dearer(pool: OptionsAmm) -> OptionsAmm:
        return replace(pool, fees=replace(pool.fees, spot_share=max(pool.fees.spot_share, numbers["spot_share"])))

    changed = tuple(dearer(agent) if isinstance(agent, OptionsAmm) and _is_late(agent) else agent for agent in scenario.agents)
    return scenario if changed == scenario.agents else replace(scenario, agents=changed)


def pool_accounts(document: Mapping[str, Any]) -> list[str]:
    """What each options pool of a played scenario took, lost and kept, one sentence each."""
    return [one.replace("+-", "±") for one in options_pool_sentences(document["run"].get("options_pools", ()))]


def _is_late(agent: object) -> bool:
    return isinstance(agent, OptionsAmm) and agent.oracle is not None
