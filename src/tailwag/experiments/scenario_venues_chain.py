"""chain of a [[venue]]: when its blocks come, what they hold, and what a trade pays for its place, from dated tables or as stated."""

from __future__ import annotations

import math

from tailwag.experiments.scenario_tables import Table
from tailwag.sim.venues_chain import Chain
from tailwag.sources.rules import RuleTable, load_rules

NETWORKS = ("ethereum", "base")
KEYS = (
    "network",
    "block_seconds",
    "capacity_usd_per_block",
    "block_share",
    "trade_usd",
    "others_usd_per_block",
    "others_usd_per_log_move",
    "gas_price_gwei",
    "gas_coin_usd",
)
GWEI = 1e-9


def chain_of(venue: Table, start_ns: int | None) -> tuple[Chain, float | None]:
    """The chain, and the gas of one trade in USD where the file states a gas price; InputError for keys that nothing would read."""
    table = Table(f"{venue.place} chain", venue.table("chain").values)
    table.only(*KEYS)
    table.exclusive("network", "block_seconds")
    table.exclusive("capacity_usd_per_block", "block_share")
    rules, at_ns = _network(table, start_ns)
    with table.named():
        chain = Chain(
            block_seconds=table.number("block_seconds", least=0.0, above=True, hint="seconds between blocks, or network = 'ethereum'")
            if rules is None
            else rules.in_force("block_seconds", at_ns).value,
            capacity_usd_per_block=_capacity(table, rules, at_ns),
            others_usd_per_block=table.number("others_usd_per_block", 0.0, least=0.0),
            others_usd_per_log_move=table.number("others_usd_per_log_move", 0.0, least=0.0),
        )
    return chain, _gas_usd(table, venue, rules, at_ns)


def _network(table: Table, start_ns: int | None) -> tuple[RuleTable | None, int]:
    if "network" not in table:
        for key in ("block_share", "trade_usd", "gas_price_gwei", "gas_coin_usd"):
            if key in table:
                raise table.refuse(f"{key} is read with network only; add network = 'ethereum' or leave {key} out")
        return None, 0
    name = table.text("network", choices=NETWORKS)
    if start_ns is None:
        raise table.refuse("a network's figures change with time: state [run] start, or block_seconds in place of network")
    return load_rules(f"chain_{name}"), start_ns


def _capacity(table: Table, rules: RuleTable | None, at_ns: int) -> float:
    """As stated, or as many swaps as fit into a share of a block, times the size of one; no limit where nothing is said."""
    if "block_share" not in table:
        if "trade_usd" in table:
            raise table.refuse("trade_usd is read with block_share only; add that or leave trade_usd out")
        return table.number("capacity_usd_per_block", math.inf, least=0.0, above=True, hint="USD of trades that one block holds")
    share = table.number(
        "block_share", least=0.0, most=1.0, above=True, hint="part of a block's gas that these trades can get, 0.1 is 10 %"
    )
    size = table.number("trade_usd", least=0.0, above=True, hint="USD of one swap")
    assert rules is not None  # refused before
    swaps = math.floor(share * rules.in_force("block_gas", at_ns).value / rules.in_force("swap_gas", at_ns).value)
    if swaps < 1:
        raise table.refuse(f"expected a block_share that holds one swap at least, got {share:g}; raise it")
    return swaps * size


def _gas_usd(table: Table, venue: Table, rules: RuleTable | None, at_ns: int) -> float | None:
    if "gas_price_gwei" not in table:
        if "gas_coin_usd" in table:
            raise table.refuse("gas_coin_usd is read with gas_price_gwei only; add that or leave it out")
        return None
    if "gas_usd" in venue.table("costs", {}).values:
        raise table.refuse("expected gas_price_gwei here or gas_usd in costs, got both; leave one out")
    price = table.number("gas_price_gwei", least=0.0, hint="gwei for a unit of gas, 2 is cheap, 200 a rush")
    coin = table.number("gas_coin_usd", least=0.0, above=True, hint="USD of the coin that gas is paid in")
    assert rules is not None  # refused before
    return rules.in_force("swap_gas", at_ns).value * price * GWEI * coin
