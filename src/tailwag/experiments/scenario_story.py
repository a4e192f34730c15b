"""A scenario with its story: what it asks, what to look at, where its figures come from, and which switches apply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tailwag.errors import InputError
from tailwag.experiments.scenario_outcomes import MEASURES
from tailwag.experiments.scenario_switches import SWITCHES
from tailwag.experiments.scenario_tables import Table

STORY_KEYS = (
    "sentence",
    "story",
    "question",
    "look_at",
    "answer",
    "harm",
    "strike_usd",
    "strike_bps",
    "dislocation_log",
    "liquidation_usd",
    "switches",
)
DATA_KEYS = ("chain", "at", "currency", "rule", "daily_volume_usd", "daily_vol", "candles")
SIDES = ("more", "less")


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a scenario and where it comes from: a measurement, a venue's page, or an assumption that says so."""

    figure: str
    said: str


@dataclass(frozen=True, slots=True)
class RealData:
    """Real market data that a scenario is made of, relative to the folder that TAILWAG_DATA names; ``at`` is the chain's moment."""

    chain: str
    at: str
    currency: str
    rule: str
    daily_volume_usd: float
    daily_vol: float
    candles: str


@dataclass(frozen=True, slots=True)
class Story:
    """What a scenario of the library is about; ``scenario`` holds the tables of its scenario file.

    ``answer``: the outcome (see ``MEASURES``) that the first sentence gives; ``harm``: whether "more" or "less" of it is the harm.  ``strike_usd``: price
    is at the strike within ``strike_bps`` at its expiry.  ``dislocation_log``: price this far from where it would stand with nobody hedging is
    an event, and so is more than ``liquidation_usd`` liquidated.  ``switch_parameters`` by switch, where they differ from the switch's own.
    """

    name: str
    sentence: str
    story: str
    question: str
    look_at: tuple[str, ...]
    answer: str
    harm: str
    dislocation_log: float
    switches: tuple[str, ...]
    sources: tuple[Figure, ...]
    scenario: Mapping[str, Any]
    strike_usd: float | None = None
    strike_bps: float = 25.0
    liquidation_usd: float = 0.0
    data: RealData | None = None
    switch_parameters: Mapping[str, Mapping[str, Any]] | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """Files of real market data, relative to TAILWAG_DATA."""
        return () if self.data is None else (self.data.chain, self.data.candles)

    def to_document(self) -> dict[str, Any]:
        """Plain values for reports and for ``scenario list``."""
        return {
            "name": self.name,
            "sentence": self.sentence,
            "story": self.story,
            "question": self.question,
            "look_at": list(self.look_at),
            "answer": self.answer,
            "harm": self.harm,
            "dislocation_log": self.dislocation_log,
            "liquidation_usd": self.liquidation_usd,
            "strike_usd": self.strike_usd,
            "strike_bps": self.strike_bps,
            "needs": list(self.needs),
            "switches": list(self.switches),
            "sources": [{"figure": one.figure, "said": one.said} for one in self.sources],
        }


def read_story(name: str, top: Mapping[str, Any]) -> Story:
    """The story that a library file's tables tell; InputError names the file and the key where one is missing, unknown or of another type."""
    whole = Table(name, top)
    whole.only("story", "source", "data", "switch", "scenario")
    told = Table(f"{name} [story]", whole.table("story").values)
    told.only(*STORY_KEYS)
    known = {switch.name for switch in SWITCHES}
    return Story(
        name=name,
        sentence=told.text("sentence"),
        story=" ".join(told.text("story").split()),
        question=told.text("question"),
        look_at=_texts(told, "look_at"),
        answer=told.text("answer", choices=tuple(measure.name for measure in MEASURES)),
        harm=told.text("harm", choices=SIDES),
        dislocation_log=told.number("dislocation_log", least=0.0, above=True),
        switches=_texts(told, "switches", choices=known),
        sources=_sources(whole),
        scenario=dict(whole.table("scenario").values),
        strike_usd=told.maybe("strike_usd", least=0.0, above=True),
        strike_bps=told.number("strike_bps", 25.0, least=0.0, above=True),
        liquidation_usd=told.number("liquidation_usd", 0.0, least=0.0),
        data=_data(whole.table("data")) if "data" in whole else None,
        switch_parameters=dict(whole.table("switch", {}).values),
    )


def _texts(table: Table, key: str, *, choices: set[str] | None = None) -> tuple[str, ...]:
    found = table.needed(key)
    if not isinstance(found, list) or not found or not all(isinstance(one, str) for one in found):
        raise InputError(f"{table.place}: expected {key} as a list of texts, got {found!a}"[:300])
    unknown = [one for one in found if choices is not None and one not in choices]
    if unknown:
        raise InputError(f"{table.place}: expected {key} out of {', '.join(sorted(choices or ()))}, got {unknown[0]!a}")
    return tuple(found)


def _sources(whole: Table) -> tuple[Figure, ...]:
    rows = whole.tables("source")
    if not rows:
        raise InputError(f"{whole.place}: expected a [[source]] for the figures of the scenario, got none; say where each comes from")
    for row in rows:
        row.only("figure", "said")
    return tuple(Figure(row.text("figure"), row.text("said")) for row in rows)


def _data(table: Table) -> RealData:
    table.only(*DATA_KEYS)
    texts = {key: table.text(key) for key in ("chain", "at", "currency", "rule", "candles")}
    return RealData(**texts, daily_volume_usd=table.number("daily_volume_usd"), daily_vol=table.vol("daily_vol"))
