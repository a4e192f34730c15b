"""The accounts of a run's option vaults: premium, payoff, what stayed unsold, what they made against holding; and what an epoch did to the market."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tailwag.figures.numbers import money
from tailwag.kernels.arrays import FloatArray
from tailwag.sim.blocks import paths_per_block
from tailwag.sim.metrics_sentences import usd
from tailwag.sim.run import Run
from tailwag.sim.vault_record import EpochWindow, VaultRecord, record_vaults

MOST_PATHS = 256
"""Vaults' accounts are kept on so many paths of a run, the first ones."""
FIGURES = (
    "premium_usd",
    "model_usd",
    "payoff_usd",
    "fee_usd",
    "open_usd",
    "holding_usd",
    "coin_usd",
    "against_holding_usd",
    "residual_usd",
    "offered_coin",
    "sold_coin",
    "unsold_share",
    "assets",
)
LEAST_UNSOLD, LEAST_OWED_USD = 0.005, 0.5
"""What is less goes without saying."""
WINDOW = ("gain_before", "gain_after", "largest_flow_usd", "flow_usd", "pin", "nearest_strike_bps")


def vaults(run: Run) -> list[dict[str, Any]]:
    """One entry for each vault in the order of the file, means with standard errors; the first one also has the epoch's window of the market.

    With several venues: home's vaults, where the option market is, and the window of home's market.
    """
    paths = min(run.paths, MOST_PATHS, paths_per_block(run.scenario.grid.steps))
    records, window = record_vaults(run.scenario, seed=run.seed, paths=paths)
    found = [_entry(record, paths) for record in records]
    if found and window is not None:
        found[0]["epoch_window"] = epoch_window(window)
    return found


def epoch_window(window: EpochWindow) -> dict[str, Any]:
    """An epoch's window as means with standard errors."""
    return {figure: _mean(getattr(window, figure)) for figure in WINDOW}


def _entry(record: VaultRecord, paths: int) -> dict[str, Any]:
    agent = record.agent
    return {
        "agent": agent.name,
        "paths": paths,
        "sells": "covered-calls" if agent.right > 0 else "cash-secured-puts",
        "unit": agent.unit,
        "assets_start": agent.assets,
        **{figure: _mean(getattr(record, figure)) for figure in FIGURES},
    }


def _mean(amounts: FloatArray) -> dict[str, float | None]:
    error = float(amounts.std(ddof=1) / math.sqrt(amounts.size)) if amounts.size > 1 else None
    return {"value": float(amounts.mean()), "standard_error": error}


def vault_sentences(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """What each vault earned and paid, and what its epoch did to the market's gain."""
    told = [_sentence(entry) for entry in found]
    windows = [entry["epoch_window"] for entry in found if "epoch_window" in entry]
    return told + [_window_sentence(window) for window in windows]


def _sentence(entry: Mapping[str, Any]) -> str:
    unsold, owed = entry["unsold_share"]["value"], -entry["open_usd"]["value"]
    over = "one path" if entry["paths"] == 1 else f"mean of {entry['paths']} paths"
    if not entry["sold_coin"]["value"]:
        why = "nobody bid at its reserve or above" if entry["offered_coin"]["value"] else "no auction of its own lies in the run"
        return f"{entry['agent']}: sold nothing, for {why} ({over})."
    rest = f"; {_unsold(unsold)} of what it offered found no bid" if unsold > LEAST_UNSOLD else ""
    still = f", owes {money(owed)} on options that are still open" if owed > LEAST_OWED_USD else ""
    return (
        f"{entry['agent']}: took {money(entry['premium_usd']['value'])} of premium ({money(entry['model_usd']['value'])} by the model), paid out "
        f"{usd(entry['payoff_usd'])} and {money(entry['fee_usd']['value'])} in fees{still}, and made {usd(entry['against_holding_usd'])} against "
        f"holding its assets{rest} ({over})."
    )


def _unsold(share: float) -> str:
    return f"{100.0 * share:.0f} %" if share < 1.0 - LEAST_UNSOLD else "nearly all"


def _window_sentence(window: Mapping[str, Any]) -> str:
    before, after = window["gain_before"]["value"], window["gain_after"]["value"]
    return (
        f"Vault auctions took the loop gain from {before:.3g} to {after:.3g}, with up to {usd(window['largest_flow_usd'])} of net flow in one step; "
        f"the last day before expiry moved {window['pin']['value']:.2f} times as much as the fundamental price."
    )
