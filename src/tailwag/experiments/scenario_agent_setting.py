"""What the readers of agents share: the rest of the file that an agent's table may need, and what every reader hands back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tailwag.experiments.scenario_tables import Table
from tailwag.sim.agents.protocol import Agent
from tailwag.sim.option_book import OptionBook


@dataclass(frozen=True, slots=True)
class Setting:
    """What an agent's table may need to know of the rest of the file: start, first price, the vol an unstated iv stands for, how to read books, when it ends."""

    start_ns: int | None
    spot_usd: float
    vol: float
    read_book: Callable[[Table, str, int], tuple[OptionBook, tuple[str, ...]]]
    horizon_years: float


Read = tuple[Agent, tuple[str, ...]]
"""An agent, and sentences that say what was assumed for it."""
Reader = Callable[[Table, str, Setting], Read]
"""``reader(table, name, setting)``: one kind's table as an agent; it refuses keys that the kind does not know."""
