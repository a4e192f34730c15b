"""Play a scenario over several assets: what hedging does to every vol, to the correlation and to each price, and each switch on the same seeds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from tailwag.errors import InputError
from tailwag.experiments.run_document import versions
from tailwag.experiments.scenario_assets import AssetFile
from tailwag.experiments.scenario_assets_path import shown_paths
from tailwag.experiments.scenario_compare import mean_of
from tailwag.experiments.scenario_tables import nearest, shown
from tailwag.kernels.arrays import FloatArray
from tailwag.sim.assets import AssetBlock, AssetDealer, AssetScenario, run_asset_block
from tailwag.sim.assets_loop import plan_assets
from tailwag.sim.blocks import paths_per_block
from tailwag.sim.state import Outcome
from tailwag.units import HOURS_PER_YEAR

SCHEMA = "tailwag.scenario-assets/1"
CLEAR = 3.0
"""Standard errors beyond which a difference is called one."""
ROUNDING = 1e-12
Document = dict[str, Any]
Columns = dict[str, FloatArray]
"""By the name of an outcome, one number for every path, (paths,)."""

SWITCHES = {
    "own-hedge": "Every desk hedges each asset in itself",
    "flip-gamma": "Every desk holds the other side of the same options",
    "without": "The markets without one desk (each in turn where none is named)",
}
"""What may be changed in a scenario over several assets, by name."""


@dataclass(frozen=True, slots=True)
class AssetTwin:
    """A scenario with one thing changed, as a comparison runs it."""

    label: str
    sentence: str
    scenario: AssetScenario


def asset_twins(scenario: AssetScenario, words: Sequence[str] = ()) -> tuple[AssetTwin, ...]:
    """The scenario under each switch, every one where none is named; InputError for a switch or a desk that there is not."""
    return tuple(twin for word in (words or SWITCHES) for twin in _twins(scenario, word))


def play_assets(file: AssetFile, twins: Sequence[AssetTwin] = (), *, paths: int, seed: int, threads: int = 1) -> Document:
    """Run the scenario and its twins on the same shocks; the document is the same to the byte for any number of threads."""
    base = asset_columns(file.scenario, paths=paths, seed=seed, threads=threads)
    compared = [_compared(base, asset_columns(twin.scenario, paths=paths, seed=seed, threads=threads), twin) for twin in twins]
    document: Document = {
        "scenario": {
            "name": file.name,
            "sha256": file.sha256,
            "sentence": file.sentence,
            "question": file.question,
            "sources": list(file.sources),
        },
        "paths": paths,
        "seed": seed,
        "versions": versions(),
        "assets": list(file.scenario.assets),
        "gain": file.scenario.gain.tolist(),
        "spectral_radius": file.scenario.spectral_radius,
        "market": _market(file.scenario),
        "desks": [_desk(file.scenario, desk) for desk in file.scenario.dealers],
        "shown_paths": shown_paths(file.scenario, base, seed=seed),
        "outcomes": [{"outcome": name, **mean_of(values).to_document()} for name, values in base.items()],
        "comparisons": compared,
        "notes": [*file.scenario.notes, "options earn no time value here: profits say differences between runs, and no level"],
    }
    return {"schema": SCHEMA, "headline": list(_headline(document)), **document}


def _market(scenario: AssetScenario) -> Document:
    """What was assumed of the market itself, in the units of a scenario file."""
    vol = np.sqrt(np.diagonal(scenario.covariance))
    safe = np.where(vol > 0.0, vol, 1.0)
    return {
        "hours": scenario.grid.horizon_years * HOURS_PER_YEAR,
        "steps": scenario.grid.steps,
        "clearing": scenario.clearing,
        "stop_log_move": scenario.stop_log_move,
        "spot_usd": scenario.spot_usd.tolist(),
        "vol": vol.tolist(),
        "correlation": (scenario.covariance / np.outer(safe, safe)).tolist(),
        "impact_per_usd": scenario.impact_per_usd.tolist(),
    }


def _desk(scenario: AssetScenario, desk: AssetDealer) -> Document:
    """One desk: what it holds, what it hedges with, and its part of the gain, which sums with the others' to ``gain``."""
    return {
        "name": desk.name,
        "gamma_usd": desk.gamma_usd.tolist(),
        "hedge_ratio": np.asarray(desk.hedge_ratio).tolist(),
        "delay_steps": desk.delay_steps,
        "gain": (-(scenario.impact_per_usd @ desk.hedged_gamma_usd)).tolist(),
    }


def asset_columns(scenario: AssetScenario, *, paths: int, seed: int, threads: int = 1) -> Columns:
    """Outcomes of every path, in the order of the paths.

    ``vol:A``, ``vol_alone:A``: realised vol a year with and without hedging; ``correlation:A,B``, ``correlation_alone:A,B`` of one-step moves;
    ``push:A``: largest log distance from where price would stand with nobody hedging; ``runaway``; ``pnl:DESK`` in USD.
    """
    plan, size = plan_assets(scenario, seed=seed), paths_per_block(scenario.grid.steps * len(scenario.assets))
    spans = [(first, min(size, paths - first)) for first in range(0, paths, size)]
    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(lambda span: _columns(scenario, run_asset_block(plan, *span)), spans))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _columns(scenario: AssetScenario, block: AssetBlock) -> Columns:
    found: Columns = {"runaway": (block.outcome == int(Outcome.RUNAWAY)).astype(np.float64)}
    for suffix, log_price in (("", block.log_price), ("_alone", block.fundamental_log)):
        products = np.einsum("iap,ibp->abp", *(2 * [np.diff(log_price, axis=0)]))
        for place, name in enumerate(scenario.assets):
            found[f"vol{suffix}:{name}"] = np.sqrt(products[place, place] / scenario.grid.horizon_years)
        for first, second in combinations(range(len(scenario.assets)), 2):
            name = f"correlation{suffix}:{scenario.assets[first]},{scenario.assets[second]}"
            found[name] = products[first, second] / np.sqrt(products[first, first] * products[second, second])
    push = np.abs(block.log_price - block.fundamental_log).max(axis=0)
    found |= {f"push:{name}": push[place] for place, name in enumerate(scenario.assets)}
    return found | {f"pnl:{dealer.name}": dealer.pnl_usd.sum(axis=0) for dealer in block.dealers}


def _twins(scenario: AssetScenario, word: str) -> Iterator[AssetTwin]:
    name, _, rest = word.strip().partition(":")
    if name not in SWITCHES or (rest and name != "without"):
        raise InputError(
            f"expected a switch for several assets ({', '.join(SWITCHES)}; without:agent=NAME), got {shown(word)}{nearest(name, SWITCHES)}"
        )
    if name != "without":
        changed = tuple(
            replace(one, hedge_ratio=None) if name == "own-hedge" else replace(one, gamma_usd=-one.gamma_usd) for one in scenario.dealers
        )
        yield AssetTwin(name, SWITCHES[name], replace(scenario, dealers=changed))
        return
    names = [one.name for one in scenario.dealers]
    key, _, wanted = rest.partition("=")
    if rest and (key != "agent" or wanted not in names):
        raise InputError(f"switch without: expected agent=NAME, one of {', '.join(names)}, got {shown(rest)}{nearest(wanted, names)}")
    for left in [wanted] if rest else names:
        kept = tuple(one for one in scenario.dealers if one.name != left)
        yield AssetTwin(f"without:agent={left}", f"The markets without {left}", replace(scenario, dealers=kept))


def _compared(base: Mapping[str, FloatArray], other: Mapping[str, FloatArray], twin: AssetTwin) -> Document:
    rows = [_difference(name, values, other[name]) for name, values in base.items() if name in other and "_alone" not in name]
    return {"switch": twin.label, "sentence": twin.sentence, "outcomes": rows}


def _difference(name: str, base: FloatArray, other: FloatArray) -> Document:
    change = mean_of(other - base)
    value, error = float(change.value or 0.0), float(change.standard_error or 0.0)
    differs = abs(value) > ROUNDING * max(1.0, float(np.abs(base).max()))
    z = value / error if differs and error > 0.0 else None
    verdict = "nothing" if not differs else "unclear" if z is not None and abs(z) < CLEAR else "higher" if value > 0.0 else "lower"
    return {
        "outcome": name,
        "base": mean_of(base).to_document(),
        "switched": mean_of(other).to_document(),
        "difference": change.to_document(),
        "z": z,
        "verdict": verdict,
    }


def _headline(document: Document) -> Iterator[str]:
    values = {row["outcome"]: row for row in document["outcomes"]}
    name, names = document["scenario"]["name"], document["assets"]
    vols = (f"{one} {percents(values[f'vol_alone:{one}'])} -> {percents(values[f'vol:{one}'])}" for one in names)
    yield f"{name}: realised vol a year without and with hedging: {', '.join(vols)}; mean of {document['paths']:,} paths, seed {document['seed']}"
    for first, second in combinations(names, 2):
        alone, hedged = (values[f"correlation{suffix}:{first},{second}"] for suffix in ("_alone", ""))
        yield f"Correlation of {first} and {second}: {plain(alone)} without hedging, {plain(hedged)} with it"
    pushed = ", ".join(f"{one} {percents(values[f'push:{one}'])}" for one in names)
    yield f"Pushed from where it would stand with nobody hedging, at the furthest: {pushed}"
    if values["runaway"]["value"]:
        yield f"Runs away: {percents(values['runaway'])} of paths"
    for row in document["comparisons"]:
        yield f"{row['switch']}: {'; '.join(_told(row)) or 'changes nothing that is clear'}"


def _told(row: Document) -> Iterator[str]:
    for one in row["outcomes"]:
        kind, _, of = one["outcome"].partition(":")
        if kind in ("vol", "push", "correlation") and one["verdict"] in ("higher", "lower"):
            said = plain(one["difference"], signed=True) if kind == "correlation" else points(one["difference"])
            yield f"{kind} of {of.replace(',', ' and ')} {said}"


def percents(row: Document) -> str:
    """An estimate in per cent with its standard error.

    >>> percents({"value": 0.67503, "standard_error": 0.0015})
    '67.50 +- 0.15 %'
    """
    return f"{_pair(row, 100.0, signed=False)} %"


def points(row: Document) -> str:
    """A difference of two numbers in per cent, in points."""
    return f"{_pair(row, 100.0, signed=True)} points"


def plain(row: Document, *, signed: bool = False) -> str:
    """An estimate as it is with its standard error."""
    return _pair(row, 1.0, signed=signed)


def _pair(row: Document, scale: float, *, signed: bool) -> str:
    value, error = scale * (row["value"] or 0.0), scale * (row["standard_error"] or 0.0)
    digits = max(0, 1 - math.floor(math.log10(error))) if error > 0.0 else 2
    return f"{value:{'+' if signed else ''}.{digits}f} +- {error:.{digits}f}"
