"""The agents of a scenario file: each kind has its reader; names are checked here."""

from __future__ import annotations

import re

from tailwag.errors import InputError
from tailwag.experiments.scenario_agent_amm import read_options_amm, read_stale_taker
from tailwag.experiments.scenario_agent_dealer import read_dealer
from tailwag.experiments.scenario_agent_flow import read_hawkes, read_insurer, read_manipulator, read_momentum, read_predator
from tailwag.experiments.scenario_agent_ladder import read_ladder
from tailwag.experiments.scenario_agent_leveraged import read_leveraged
from tailwag.experiments.scenario_agent_margined import read_margined
from tailwag.experiments.scenario_agent_option_flow import read_option_flow
from tailwag.experiments.scenario_agent_pools import read_crab, read_lp_hedger, read_pool
from tailwag.experiments.scenario_agent_quoting import read_quoting
from tailwag.experiments.scenario_agent_setting import Read, Reader, Setting
from tailwag.experiments.scenario_agent_squeezer import read_block_seller, read_squeezer
from tailwag.experiments.scenario_agent_vault import read_vault
from tailwag.experiments.scenario_tables import Table, nearest, shown
from tailwag.sim.agents.protocol import Agent

READERS: dict[str, Reader] = {
    "dealer": read_dealer,
    "scalper": read_dealer,
    "liquidation-ladder": read_ladder,
    "cpmm": read_pool,
    "lp-hedger": read_lp_hedger,
    "crab": read_crab,
    "leveraged-traders": read_leveraged,
    "margined-book": read_margined,
    "insurer": read_insurer,
    "momentum": read_momentum,
    "hawkes": read_hawkes,
    "manipulator": read_manipulator,
    "predator": read_predator,
    "vault": read_vault,
    "quoting-dealer": read_quoting,
    "squeezer": read_squeezer,
    "block-seller": read_block_seller,
    "option-flow": read_option_flow,
    "options-amm": read_options_amm,
    "stale-taker": read_stale_taker,
}
"""One line for each kind; its keys are the ``TERMS`` of its reader's module."""
MOST_AGENTS = 100
_NAME = re.compile(r"[\w][\w .@+-]{0,59}")
"""What agents and venues may be called: their names stand in sentences, legends and file names."""


def read_agents(tables: list[Table], setting: Setting) -> tuple[tuple[Agent, ...], tuple[str, ...]]:
    """Every [[agent]] in the order of the file, and sentences that say what was assumed for them."""
    if len(tables) > MOST_AGENTS:
        raise InputError(f"expected at most {MOST_AGENTS} agents, got {len(tables)}; join those that hedge alike")
    made = [_agent(table, number, setting) for number, table in enumerate(tables, start=1)]
    return tuple(agent for agent, _ in made), tuple(note for _, notes in made for note in notes)


def checked_name(table: Table, name: str) -> str:
    """A name that can stand in a sentence; InputError for any other."""
    if not _NAME.fullmatch(name):
        raise table.refuse(
            f"expected a name of 1 to 60 letters, digits, spaces and . _ - + @ that starts with a letter or digit, got {shown(name)}"
        )
    return name


def _agent(table: Table, number: int, setting: Setting) -> Read:
    kind = _kind(table)
    name = checked_name(table, table.text("name", f"{kind}-{number}"))
    return READERS[kind](Table(f"agent {shown(name)}", table.values), name, setting)


def _kind(table: Table) -> str:
    kind = table.text("kind", hint=f"expected one of {', '.join(READERS)}")
    if kind not in READERS:
        raise table.refuse(f"expected kind as one of {', '.join(READERS)}, got {shown(kind)}{nearest(kind, READERS)}")
    return kind
