"""Pools of coin and cash in the answer of a played scenario: what arbitrage took by path, what fees paid back, and who kept the rest under each switch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tailwag.experiments.run_report_words import dollars, percent, tells
from tailwag.kernels.arrays import FloatArray
from tailwag.sim.agents.pool import PoolArbitrage
from tailwag.sim.pool_statement import pool_statement
from tailwag.sim.scenario import Scenario
from tailwag.sim.state import BlockPaths

BASE = "base"
TOLD = {
    "lvr_usd": "LVR",
    "pool_fees_usd": "fees",
    "arbitrage_kept_usd": "kept by arbitrageurs",
    "mean_pool_fee": "mean fee",
    "realised_vol": "realised vol",
    "largest_excess": "largest push",
}
"""What a switch changes of pools, in the order in which it is told."""
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Split:
    """For the base and each mitigation: the pools' loss to arbitrage, as fees paid it back and as arbitrageurs kept it, and fees of others.  (arms,)."""

    labels: tuple[str, ...]
    paid_back_usd: tuple[float, ...]
    kept_usd: tuple[float, ...]
    others_usd: tuple[float, ...]

    @property
    def parts(self) -> dict[str, tuple[float, ...]]:
        """By the name that a picture gives it; the first two together are the loss."""
        return {"kept by arbitrageurs": self.kept_usd, "paid back in fees": self.paid_back_usd, "fees of others": self.others_usd}


def pool_columns(scenario: Scenario, block: BlockPaths) -> dict[str, FloatArray]:
    """By path, (paths,): ``lvr_usd``, ``arbitrage_kept_usd``, ``pool_fees_usd`` and ``mean_pool_fee``, all pools together; empty where there are none.

    Pools are those whose arbitrageurs trade in this market.  An owner who hedges holds a share of such a pool, or of one elsewhere: his profit
    says what his share made, and it is not counted again.
    """
    terms = [agent.terms for agent in scenario.agents if isinstance(agent, PoolArbitrage)]
    if not terms:
        return {}
    told = [
        pool_statement(one, scenario.grid, block.log_price, spot_usd=scenario.spot_usd, stopped_step=block.stopped_step) for one in terms
    ]
    worth = np.array([float(one.value_start_usd[0]) for one in told])
    return {
        "lvr_usd": np.sum([one.lost_usd for one in told], axis=0),
        "arbitrage_kept_usd": np.sum([one.arbitrage_usd for one in told], axis=0),
        "pool_fees_usd": np.sum([one.arbitrage_fees_usd + one.two_way_fees_usd for one in told], axis=0),
        "mean_pool_fee": np.sum([value * one.fee_log for value, one in zip(worth, told)], axis=0) / worth.sum(),
    }


def pool_split(document: Document) -> Split | None:
    """What the picture of a pool's loss shows; None where the scenario has no pool."""
    base = {row["outcome"]: row["value"] for row in document["outcomes"]}
    if "lvr_usd" not in base:
        return None
    arms = [(BASE, base)]
    for row in document["comparisons"]:
        found = {one["outcome"]: one["switched"]["value"] for one in row["outcomes"]}
        if row["kind"] == "mitigation" and "lvr_usd" in found:
            arms.append((row["switch"], found))
    kept, lost, fees = (tuple(found[name] for _, found in arms) for name in ("arbitrage_kept_usd", "lvr_usd", "pool_fees_usd"))
    paid_back = tuple(one - other for one, other in zip(lost, kept))
    return Split(tuple(label for label, _ in arms), paid_back, kept, tuple(one - other for one, other in zip(fees, paid_back)))


def loss_sentence(document: Document) -> str:
    """What pools lost to arbitrage, what fees earned and who kept the rest; empty where there is no pool."""
    rows = {row["outcome"]: row for row in document["outcomes"]}
    if "lvr_usd" not in rows:
        return ""
    return (
        f"What arbitrage takes: pools lose {dollars(rows['lvr_usd'])} against rebalancing (LVR), of which arbitrageurs keep "
        f"{dollars(rows['arbitrage_kept_usd'])}; pools earn {dollars(rows['pool_fees_usd'])} in fees, at a mean fee of {percent(rows['mean_pool_fee'])}."
    )


def fee_sentences(document: Document) -> Iterator[str]:
    """What each mitigation that touches a pool's fees or loss changes of both, and of the price, with paired standard errors; none without a pool."""
    if all(row["outcome"] != "lvr_usd" for row in document["outcomes"]):
        return
    for row in document["comparisons"]:
        found = {one["outcome"]: one for one in row["outcomes"]}
        if row["kind"] != "mitigation" or "lvr_usd" not in found or not any(_changed(found[name]) for name in list(TOLD)[:4]):
            continue
        yield f"{row['switch']}: {', '.join(f'{words} {_said(found[name])}' for name, words in TOLD.items() if name in found)}."


def _changed(one: Document) -> bool:
    return bool(one["paths_that_differ"]) and tells(one["difference"])


def _said(one: Document) -> str:
    change = one["difference"]
    return dollars(change, signed=True) if one["unit"] == "usd" else f"{percent(change, signed=True, unit='')} points"
