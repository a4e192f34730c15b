"""One market with every kind of agent on several venues, as the text of a scenario file; and markets drawn at random from its parts."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

HEAD = """\
[run]
horizon_days = {days}
step_minutes = {minutes}
start = 2026-02-05T04:00:00Z
paths = 24
seed = {seed}
clearing = "{clearing}"

[price]
model = "merton"
spot_usd = 60000
vol = {vol}
jumps_per_year = {jumps}
jump_mean = -0.03
jump_std = 0.04

[vol]
spot_vol_beta = {beta}
mean_reversion_per_day = 0.5

[impact]
permanent_per_usd = {impact}
transient_per_usd = 1e-11
transient_half_life_minutes = 20

[costs]
fee_bps = 2
half_spread_bps = 1
gas_usd = 3
internal_crossing = {crossing}

[options]
iv = 0.8
skew = -0.2
settlement = "{settlement}"
"""

VENUES = """
[[venue]]
name = "spot"

[[venue]]
name = "perp"
instrument = "perp"
rules = "binance-btcusdt"
rules_at = 2026-02-05T00:00:00Z
mark = "mark"
impact = {{permanent_per_usd = {impact}}}
costs = {{fee_bps = 4, half_spread_bps = 0.5}}

[[venue]]
name = "inverse"
instrument = "perp"
rules = "deribit-btc"
rules_at = 2026-02-05T00:00:00Z
mark = "index"
impact = {{permanent_per_usd = 6e-11}}
costs = {{fee_bps = 5}}

[[venue]]
name = "march"
instrument = "future"
carry_per_year = 0.05
expiry_days = 50
impact = {{permanent_per_usd = 8e-11}}
costs = {{fee_bps = 3}}

[[venue]]
name = "pool"
impact = {{permanent_per_usd = 2e-10}}
costs = {{fee_bps = 5}}
chain = {{block_seconds = 120, capacity_usd_per_block = 400000, others_usd_per_block = 100000, others_usd_per_log_move = 2e6}}
"""

SLIDE = '{right = "put", strike_usd = 57000, days = 0.25, contracts = -1500, iv = 0.8, settlement = "average-30min"}'
LATER = '{right = "call", strike_usd = 62000, days = 7, contracts = -1200, iv = 0.7, settlement = "average-30min", skew = -0.1}'
SOLD_CALL = '{right = "call", strike_usd = 63000, days = 3, contracts = -400, iv = 0.8, settlement = "average-30min"}'
SOLD_PUT = '{right = "put", strike_usd = 58500, days = 0.1, contracts = -300, iv = 0.8, settlement = "average-30min"}'


def _own(r: random.Random) -> random.Random:
    """Numbers of an agent's own, which leave those of the others as they were."""
    return random.Random(r.getstate()[1][0])


AGENTS: dict[str, Callable[[random.Random], str]] = {
    "dealer": lambda r: (
        f"""
kind = "dealer"
name = "dealers"
options = [{SLIDE}, {LATER}]
{r.choice(['policy = "every-step"', 'policy = {kind = "every-step"}'])}
delay_steps = {r.choice([0, 1])}
"""
    ),
    "constant dealer": lambda r: (
        f"""
kind = "dealer"
name = "constant dealer"
gamma_usd = {r.uniform(-2e9, 1e9)}
iv = 0.7
policy = {{kind = "band", half_width_usd = 2e5}}
delay_steps = {r.choice([0, 2])}
speed = {r.uniform(0.3, 1.0)}
"""
    ),
    "maker": lambda r: (
        """
kind = "dealer"
name = "maker"
gamma_usd = -4e8
policy = {kind = "grid", every_minutes = 20, jitter_minutes = 5}
delay_steps = 1
execution = {kind = "maker", fill_probability = 0.4}
"""
    ),
    "patient": lambda r: (
        """
kind = "dealer"
name = "patient"
gamma_usd = -4e8
policy = {kind = "predictive"}
delay_steps = 3
execution = {kind = "twap", slices = 4}
instrument = {kind = "perp", funding_per_year = 0.1, margin_share = 0.05}
"""
    ),
    "scalper": lambda r: (
        f"""
kind = "scalper"
name = "scalper"
options = [{{right = "call", strike_usd = 60500, days = 3, contracts = {r.uniform(100, 900)}, iv = 0.75}}]
policy = {{kind = "whalley-wilmott", risk_aversion_per_usd = 1e-6, cost_bps = 3}}
delay_steps = 1
"""
    ),
    "ladder": lambda r: (
        f"""
kind = "liquidation-ladder"
name = "ladder"
delay_steps = {r.choice([0, 1])}
density_usd = 4e8
clusters = [{{distance_log = -0.02, width_log = 0.005, notional_usd = 2e7}}]
levels_per_log = 100
level_usd = 5e5
"""
    ),
    "whole": lambda r: (
        f"""
kind = "leveraged-traders"
name = "whole"
venue = "binance-btcusdt"
rules_at = 2026-02-05T00:00:00Z
delay_steps = {r.choice([0, 0, 1])}
open_interest_usd = {r.uniform(5e8, 3e9)}
longs = [{{leverage = 10, share = 0.3}}, {{leverage = 50, share = 0.3}}, {{leverage = 100, share = 0.1}}]
shorts = [{{leverage = 5, share = 0.2}}, {{leverage = 20, share = 0.2}}, {{leverage = 75, share = 0.1}}]
account_usd = 40000
accounts = 6
entries = "{r.choice(["even", "drawn"])}"
fund_usd = {r.choice([0.0, 1e5, 1e7])}
premium_share = 0.0003
"""
    ),
    "rounds": lambda r: (
        f"""
kind = "leveraged-traders"
name = "rounds"
venue = "{r.choice(["deribit-btc", "deribit-btc-usdc"])}"
rules_at = 2026-02-05T00:00:00Z
delay_steps = {r.choice([0, 1])}
open_interest_usd = {r.uniform(5e8, 2e9)}
longs = [{{leverage = 10, share = 0.2}}, {{leverage = 40, share = 0.4}}]
shorts = [{{leverage = 20, share = 0.3}}, {{leverage = 40, share = 0.1}}]
account_usd = 80000
accounts = 5
fund_usd = {r.choice([0.0, 2e5])}
"""
    ),
    "cpmm": lambda r: (
        f"""
kind = "cpmm"
name = "cpmm"
value_usd = {r.uniform(5e7, 4e8)}
fee_bps = 5
dynamic_fee = {{bps_per_vol = 10, half_life_minutes = 60, start_vol = 0.6, most_bps = 60}}
block_minutes = 10
delay_steps = {r.choice([0, 1])}
"""
    ),
    "range": lambda r: (
        """
kind = "cpmm"
name = "range"
value_usd = 5e7
range_usd = [58000, 62500]
fee_bps = 10
delay_steps = 0
"""
    ),
    "lp-hedger": lambda r: (
        f"""
kind = "lp-hedger"
name = "owner"
value_usd = 2e8
range_usd = [50000, 70000]
fee_bps = 5
two_way_usd_per_day = 2e7
policy = {{kind = "every-step"}}
hedge_share = {r.uniform(0.5, 1.0)}
delay_steps = {r.choice([0, 1])}
"""
    ),
    "crab": lambda r: (
        """
kind = "crab"
name = "crab"
notional_usd = 5e7
policy = {kind = "time-or-threshold", every_hours = 2, move_share = 0.01}
delay_steps = 1
"""
    ),
    "insurer": lambda r: (
        f"""
kind = "insurer"
name = "insurers"
holding_usd = 4e8
rule = {r.choice(['{kind = "put", floor_share = 0.95, iv = 0.6, days = 60}', '{kind = "proportion", floor_share = 0.85, multiplier = 3, most_share = 1}'])}
policy = {{kind = "band", half_width_usd = 2e5}}
delay_steps = {r.choice([0, 1])}
"""
    ),
    "momentum": lambda r: (
        f"""
kind = "momentum"
name = "followers"
usd_per_log = {r.choice([-1.0, 1.0]) * r.uniform(2e8, 1e9)}
half_life_minutes = 60
most_usd = 2e7
delay_steps = {r.choice([0, 1])}
"""
    ),
    "hawkes": lambda r: (
        f"""
kind = "hawkes"
name = "order flow"
background_per_hour = 12
children = {r.uniform(0.0, 0.9)}
half_life_minutes = 15
order_usd = 8e5
same_side_share = 0.8
delay_steps = {r.choice([0, 1])}
"""
    ),
    "manipulator": lambda r: (
        f"""
kind = "manipulator"
name = "pusher"
options = [{{right = "call", strike_usd = 60000, days = 0.083333333333333333, contracts = 1500, iv = 0.8, settlement = "average-30min"}}]
push_usd = {r.uniform(-2e7, 2e7)}
unwind_minutes = 40
delay_steps = {r.choice([0, 1])}
"""
    ),
    "predator": lambda r: (
        f"""
kind = "predator"
name = "searcher"
sees_flow_share = {r.uniform(0.2, 1.0)}
ahead = 0.7
most_usd = 1e7
unwinds = "{r.choice(["into", "after"])}"
delay_steps = {r.choice([0, 1])}
"""
    ),
    "quoting-dealer": lambda r: (
        f"""
kind = "quoting-dealer"
name = "desk"
policy = {{kind = "every-step"}}
delay_steps = {r.choice([0, 1])}
half_spread_volpt = {r.uniform(0.5, 3.0)}
size_coin = 900
vega_skew_volpt = 0.4
gamma_skew_volpt = 0.02
least_half_spread_bps = 1
expiry_limit_coin = 5000
slots = {r.choice([3, 16])}
"""
    ),
    "second desk": lambda r: (
        """
kind = "quoting-dealer"
name = "second desk"
policy = {kind = "band", half_width_usd = 1e6}
delay_steps = 1
half_spread_volpt = 1.5
size_coin = 1500
vega_skew_volpt = 0.2
"""
    ),
    "calls": lambda r: (
        f"""
kind = "vault"
name = "calls"
sells = "covered-calls"
assets_coin = {r.uniform(500, 4000)}
first_epoch_hours = 0
epoch_hours = 3
auction_after_hours = 0.5
strike_delta = 0.2
strike_step_usd = 250
reserve_share = 0.3
jitter_hours = {r.choice([0, 0.5])}
performance_fee_share = 0.1
management_fee_per_year = 0.02
delay_steps = {r.choice([0, 1])}
"""
    ),
    "puts": lambda r: (
        f"""
kind = "vault"
name = "puts"
sells = "cash-secured-puts"
assets_usd = {r.uniform(2e7, 1e8)}
first_epoch_hours = 0
epoch_hours = 2
auction_after_hours = 0.25
strike_delta = 0.3
strike_step_usd = 500
reserve_share = 0.2
tranches = {r.choice([1, 2])}
tranche_hours = 0.5
most_strike_share = {r.choice([0.5, 1.0])}
performance_fee_share = 0.1
delay_steps = 1
stream = 1
"""
    ),
    "static pool": lambda r: (
        f"""
kind = "options-amm"
name = "static pool"
mode = "static"
deposit_usd = {r.uniform(1e7, 4e7)}
option_fee_share = 0.02
spot_fee_share = 0.001
delay_steps = 1
"""
    ),
    "dynamic pool": lambda r: (
        f"""
kind = "options-amm"
name = "dynamic pool"
mode = "dynamic"
deposit_usd = {r.uniform(1e7, 4e7)}
standard_size_coin = 20
spot_fee_share = 0.0003
hedge_margin_share = 0.5
delay_steps = 1
"""
    ),
    "managed pool": lambda r: (
        f"""
kind = "options-amm"
name = "managed pool"
mode = "managed"
deposit_usd = 3e7
standard_size_coin = 20
spot_fee_share = 0.0003
hedge_margin_share = 0.5
policy = {{kind = "every-step"}}
delay_steps = {r.choice([0, 1])}
"""
    ),
    "oracle pool": lambda r: (
        """
kind = "options-amm"
name = "oracle pool"
mode = "oracle"
deposit_usd = 3e7
option_fee_share = 0.01
spot_fee_share = 0.001
lag_seconds = 900
delay_steps = 1
"""
    ),
    "stale-taker": lambda r: (
        f"""
kind = "stale-taker"
name = "stale taker"
coin = {r.uniform(20, 200)}
strike_step_usd = 500
first_expiry_hours = 2
expiry_every_hours = 2
least_hours = 0.5
"""
    ),
    "call buyers": lambda r: (
        f"""
kind = "option-flow"
name = "call buyers"
who = "retail-call-buyers"
orders_per_hour = {r.uniform(1, 12)}
coin = 60
strike_step_usd = 500
first_expiry_hours = 3
expiry_every_hours = 3
least_hours = 0.5
"""
    ),
    "same-day buyers": lambda r: (
        """
kind = "option-flow"
name = "same-day buyers"
who = "zero-dte-buyers"
orders_per_hour = 20
coin = 40
size_law = "pareto"
tail_exponent = 1.5
strike_step_usd = 1000
first_expiry_hours = 4
stops_hours = 3.5
slots = 4
stream = 1
"""
    ),
    "squeezer": lambda r: (
        f"""
kind = "squeezer"
name = "squeezer"
delay_steps = {r.choice([0, 1])}
buys = "{r.choice(["calls", "puts"])}"
premium_usd = {r.choice([0.0, 1e6])}
push_usd = {r.uniform(1e6, 4e7)}
strike_delta = 0.3
most_over_model = 0.5
expiry_hours = {r.choice([4, 9])}
buys_hours = [0, 0.5]
pushes_hours = [0.5, 1.5]
sells_options_hours = [2, 2.5]
sells_spot_hours = [2, 3]
"""
    ),
    "block-seller": lambda r: (
        f"""
kind = "block-seller"
name = "block seller"
delay_steps = {r.choice([0, 1])}
block_usd = {r.uniform(1e6, 4e7)}
at_log = {r.choice([-0.005, 0.005])}
slices = {r.choice([1, 3])}
"""
    ),
    "margined": lambda r: (
        f"""
kind = "margined-book"
name = "margined sellers"
venue = "deribit-btc"
rules_at = 2026-02-05T00:00:00Z
margin = "cross"
options = [{SOLD_CALL}, {SOLD_PUT}]
collateral_usd = {_own(r).choice([5e6, 6e6])}
accounts = {_own(r).choice([1, 20])}
hedge_share = {_own(r).choice([0.2, 1.0])}
backstop_hedge_share = {_own(r).choice([0.0, 0.5])}
delay_steps = {_own(r).choice([0, 1])}
fund_usd = {_own(r).choice([0.0, 1e5])}
"""
    ),
    "two purses": lambda r: (
        f"""
kind = "margined-book"
name = "two purses"
venue = "deribit-btc"
rules_at = 2026-02-05T00:00:00Z
margin = "isolated"
options = [{SOLD_CALL}]
collateral_usd = 7e6
hedge_collateral_share = {_own(r).choice([0.02, 0.019])}
accounts = 10
backstop_hedge_share = 1
delay_steps = {_own(r).choice([0, 1])}
fund_usd = 1e5
stream = 1
"""
    ),
}
"""Agents of home, by a name of this table's own."""

ELSEWHERE: dict[str, Callable[[random.Random], str]] = {
    "perp traders": lambda r: (
        f"""
kind = "leveraged-traders"
name = "perp traders"
trades_on = "perp"
venue = "binance-btcusdt"
rules_at = 2026-02-05T00:00:00Z
delay_steps = {r.choice([0, 1])}
open_interest_usd = 2e9
longs = [{{leverage = 20, share = 0.3}}, {{leverage = 50, share = 0.4}}]
shorts = [{{leverage = 10, share = 0.3}}, {{leverage = 50, share = 0.2}}]
account_usd = 40000
accounts = 6
fund_usd = {r.choice([0.0, 2e6])}
"""
    ),
    "inverse traders": lambda r: (
        """
kind = "leveraged-traders"
name = "inverse traders"
trades_on = "inverse"
venue = "deribit-btc"
rules_at = 2026-02-05T00:00:00Z
delay_steps = 1
open_interest_usd = 8e8
longs = [{leverage = 40, share = 0.5}]
shorts = [{leverage = 25, share = 0.3}]
account_usd = 80000
accounts = 6
fund_usd = 1e5
"""
    ),
    "perp sellers": lambda r: (
        f"""
kind = "margined-book"
name = "perp sellers"
trades_on = "inverse"
venue = "deribit-btc"
rules_at = 2026-02-05T00:00:00Z
margin = "isolated"
options = [{SOLD_CALL}]
collateral_usd = 7e6
hedge_collateral_share = 0.019
accounts = 10
backstop_hedge_share = 0.5
delay_steps = {_own(r).choice([0, 1])}
fund_usd = 0
stream = 2
"""
    ),
    "perp dealers": lambda r: (
        """
kind = "dealer"
name = "perp dealers"
trades_on = "perp"
gamma_usd = -1.5e9
policy = {kind = "every-step"}
delay_steps = 1
"""
    ),
    "chain hedger": lambda r: (
        """
kind = "dealer"
name = "chain hedger"
trades_on = "pool"
gamma_usd = -3e8
policy = {kind = "every-step"}
delay_steps = 1
"""
    ),
    "basis": lambda r: (
        f"""
kind = "arbitrageur"
name = "basis"
between = ["spot", "perp"]
capital_usd = {r.choice([2e7, 5e8])}
latency_steps = 1
speed = 0.8
"""
    ),
    "perps": lambda r: (
        """
kind = "arbitrageur"
name = "perps"
between = ["perp", "inverse"]
capital_usd = 1e8
holding_days = 3
return_per_year = 0.05
"""
    ),
    "march": lambda r: (
        """
kind = "arbitrageur"
name = "march"
between = ["spot", "march"]
margin_bps = 1
"""
    ),
    "dex": lambda r: (
        """
kind = "arbitrageur"
name = "dex"
between = ["spot", "pool"]
latency_steps = 2
"""
    ),
}
"""Agents that need venues, and arbitrageurs between them."""


def everything(*, venues: bool = True, seed: int = 11, hours: float = 7.5, minutes: float = 10, only: Sequence[str] | None = None) -> str:
    """Every kind of agent at once (or ``only`` some), over 3 hours or more."""
    r = random.Random(5)
    numbers = {"days": hours / 24, "minutes": minutes, "seed": seed, "clearing": "implicit", "vol": 0.9, "jumps": 600, "beta": -0.5}
    head = HEAD.format(**numbers, impact=2e-11, crossing="true", settlement="average-30min")
    chosen = {**AGENTS, **(ELSEWHERE if venues else {})}
    names = [name for name in chosen if only is None or name in only]
    return head + (VENUES.format(impact=3e-11) if venues else "") + _tables(chosen, names, r)


def prompt(text: str) -> str:
    """The same market with leveraged traders who are liquidated in the step of the move, as auctions demand it."""
    head, *agents = text.split("\n[[agent]]")
    told = [re.sub(r"delay_steps = \d", "delay_steps = 0", agent) if 'kind = "leveraged-traders"' in agent else agent for agent in agents]
    return "\n[[agent]]".join([head, *told])


def at_random(number: int) -> str:
    """A market of some of the agents, with numbers of its own; the same text for the same number."""
    r = random.Random(number)
    venues = r.random() < 0.4
    clearing = "implicit" if venues else r.choice(["implicit", "implicit", "lagged", "damped"])
    names = r.sample(list(AGENTS), r.randint(3, len(AGENTS)))
    if clearing == "damped":
        names = [name for name in names if name not in ("whole", "rounds", "ladder", "patient", "margined", "two purses")] or ["dealer"]
    chosen: dict[str, Callable[[random.Random], str]] = {name: AGENTS[name] for name in names}
    if venues:
        chosen |= {name: ELSEWHERE[name] for name in r.sample(list(ELSEWHERE), r.randint(2, len(ELSEWHERE)))}
    head = HEAD.format(
        days=0.25,
        minutes=r.choice([10, 15]),
        seed=number,
        clearing=clearing,
        vol=r.uniform(0.3, 1.2),
        jumps=r.choice([0.001, 300, 1500]),
        beta=r.choice([0.0, -0.8]),
        impact=r.uniform(2e-11, 5e-11) if clearing == "lagged" else r.uniform(3e-12, 1.1e-11),
        crossing=r.choice(["true", "false"]),
        settlement=r.choice(["average-30min", "spot"]),
    )
    text = head + (VENUES.format(impact=r.uniform(1e-11, 4e-11)) if venues else "") + _tables(chosen, list(chosen), r)
    return late(text, exactly=clearing == "damped") if clearing != "implicit" else text


def late(text: str, *, exactly: bool) -> str:
    """The same market with every order a step late at least, or exactly, as clearing otherwise than in the step demands it."""
    return re.sub(r"delay_steps = \d" if exactly else "delay_steps = 0", "delay_steps = 1", text)


def shuffled(text: str, seed: int) -> str:
    """The same file with its agents in another order and under other names."""
    head, *agents = text.split("\n[[agent]]")
    random.Random(seed).shuffle(agents)
    renamed = []
    for number, agent in enumerate(agents):
        lines = [f'name = "x{number}"' if line.startswith("name = ") else line for line in agent.splitlines()]
        renamed.append("\n".join(lines) + "\n")
    return "\n[[agent]]".join([head, *renamed])


def _tables(chosen: dict[str, Callable[[random.Random], str]], names: list[str], r: random.Random) -> str:
    return "".join(f"\n[[agent]]{chosen[name](r)}" for name in names)
