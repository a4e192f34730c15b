"""Scenario files over several assets: who is short gamma in which, and what each desk hedges with."""

from __future__ import annotations

import hashlib
import os
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np

from tailwag.errors import FileFormatError, InputError
from tailwag.experiments.scenario_tables import Table, shown
from tailwag.sim.assets import AssetDealer, AssetScenario, TimeGrid, covariance_per_year, proxy_beta, proxy_hedge
from tailwag.sources.opening import RawFile, read_file

LIMIT_BYTES = 1024 * 1024
LEAST_VARIANCE = "least-variance"
TABLES = ("story", "run", "assets", "dealer", "source")


@dataclass(frozen=True, slots=True)
class AssetFile:
    """A scenario file over several assets, read and checked: the scenario, how often it runs, its story and its sources."""

    name: str
    scenario: AssetScenario
    paths: int
    seed: int
    sha256: str
    sentence: str
    question: str
    sources: tuple[dict[str, str], ...]


def asset_library_names() -> tuple[str, ...]:
    """The scenarios of the library that hold several assets.

    >>> asset_library_names()
    ('btc-eth-contagion',)
    """
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in _folder().iterdir() if entry.name.endswith(".toml")))


def asset_library_text(name: str) -> bytes:
    """The file of one of them."""
    return bytes((_folder() / f"{name}.toml").read_bytes())


def asset_library() -> tuple[AssetFile, ...]:
    """Every scenario of the library that holds several assets."""
    return tuple(file for file in map(open_assets, asset_library_names()) if file is not None)


def open_assets(word: str) -> AssetFile | None:
    """The asset scenario of that name in the library, or in a file of that name; None where it is none of either.

    A file is one if it has a table [assets].  InputError classes for what in it cannot be.
    """
    if word in asset_library_names():
        data = asset_library_text(word)
        return read_assets(RawFile(f"{word}.toml", data, hashlib.sha256(data).hexdigest()))
    if not os.path.isfile(word):
        return None
    raw = read_file(word, limit_bytes=LIMIT_BYTES)
    return read_assets(raw) if "assets" in _parsed(raw) else None


def read_assets(raw: RawFile) -> AssetFile:
    """The asset scenario that a file's bytes describe; every key is checked."""
    top = _parsed(raw)
    try:
        whole = Table("the file", top)
        whole.only(*TABLES)
        run, story = (_table(top, name) for name in ("run", "story"))
        run.only("horizon_days", "step_minutes", "paths", "seed", "clearing", "stop_log_move")
        story.only("sentence", "question")
        name = os.path.basename(raw.name).removesuffix(".toml")
        return AssetFile(
            name,
            _scenario(top, run),
            run.whole("paths", least=2, most=1_000_000),
            run.whole("seed", least=0),
            raw.sha256,
            story.text("sentence", name),
            story.text("question", ""),
            tuple({key: str(value) for key, value in source.items()} for source in top.get("source", [])),
        )
    except InputError as error:
        raise type(error)(f"{raw.name}: {error}") from None


def _scenario(top: dict[str, Any], run: Table) -> AssetScenario:
    assets = _table(top, "assets")
    assets.only("names", "spot_usd", "vol", "correlation", "impact_per_usd")
    names = assets.needed("names")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise assets.refuse(f"expected names as a list of texts, got {shown(names)}")
    covariance = covariance_per_year(_numbers(assets, "vol"), np.asarray(_numbers(assets, "correlation")))
    tables = [Table(f"[[dealer]] {number}", values) for number, values in enumerate(top.get("dealer", []), start=1)]
    return AssetScenario(
        assets=tuple(names),
        spot_usd=_numbers(assets, "spot_usd"),
        grid=TimeGrid.uniform(horizon_days=run.number("horizon_days"), step_minutes=run.number("step_minutes")),
        covariance=covariance,
        impact_per_usd=_numbers(assets, "impact_per_usd"),
        dealers=tuple(_dealer(table, tuple(names), covariance) for table in tables),
        clearing=run.text("clearing", choices=("implicit", "lagged")),
        stop_log_move=run.number("stop_log_move", 0.7),
    )


def _dealer(table: Table, names: tuple[str, ...], covariance: Any) -> AssetDealer:
    """``gamma_usd``: one number for each asset, or their matrix; ``hedge``: which asset's delta is held in which."""
    table.only("name", "gamma_usd", "hedge", "delay_steps")
    gamma = np.asarray(_numbers(table, "gamma_usd"))
    ratio = _hedge(table, names, covariance) if "hedge" in table else None
    return AssetDealer(table.text("name"), np.diag(gamma) if gamma.ndim == 1 else gamma, table.whole("delay_steps", least=0), ratio)


def _hedge(table: Table, names: tuple[str, ...], covariance: Any) -> Any:
    value = table.needed("hedge")
    if not isinstance(value, dict):
        raise table.refuse(f'expected hedge = {{of = "ETH", in = "BTC", beta = 1.0}}, got {shown(value)}')
    hedge = Table(f"{table.place} hedge", value)
    hedge.only("of", "in", "beta")
    of, held_in = (names.index(hedge.text(key, choices=names)) for key in ("of", "in"))
    if of == held_in:
        raise hedge.refuse("expected two different assets; leave hedge out where an asset is hedged in itself")
    if hedge.needed("beta", f'state it, or "{LEAST_VARIANCE}"') == LEAST_VARIANCE:
        return proxy_hedge(len(names), of=of, held_in=held_in, beta=proxy_beta(covariance, of=of, held_in=held_in))
    return proxy_hedge(len(names), of=of, held_in=held_in, beta=hedge.number("beta"))


def _numbers(table: Table, key: str) -> Any:
    """A number, a list of them, or a matrix; anything else is refused."""
    value = table.needed(key)
    try:
        found = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise table.refuse(f"expected {key} as numbers, got {shown(value)}") from None
    if not np.isfinite(found).all():
        raise table.refuse(f"expected {key} as finite numbers, got {shown(value)}")
    return found.tolist()


def _table(top: dict[str, Any], name: str) -> Table:
    value = top.get(name, {})
    if not isinstance(value, dict):
        raise InputError(f"[{name}]: expected a table, got {shown(value)}")
    return Table(f"[{name}]", value)


def _parsed(raw: RawFile) -> dict[str, Any]:
    try:
        return tomllib.loads(raw.data.decode("utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise FileFormatError(f"{raw.name}: expected TOML in UTF-8, {str(error)[:200]}; see the scenario files of the reference") from None


def _folder() -> Any:
    return files("tailwag.experiments.library") / "assets"
