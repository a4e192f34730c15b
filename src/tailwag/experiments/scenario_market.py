"""The market's tables of a scenario file: times, impact, vol and costs."""

from __future__ import annotations

from tailwag.errors import UnitError
from tailwag.experiments.scenario_tables import Table
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import MINUTES_PER_YEAR, ImpactModel, ReactiveDepth, SquareRootLaw
from tailwag.sim.scenario import Costs, VolDynamics

LEAST_DAYS, MOST_DAYS = 1e-5, 36_500.0
"""From a second to a century."""
MOST_HOURS = 24.0 * MOST_DAYS
"""The same century, for what a file counts in hours: no expiry and no epoch is further away."""
MOST_USD = 1e15
MOST_GAS_USD = 1e6
MOST_PER_USD = 1e-3
"""A market that moves 0.1 % for one dollar does not exist; such a number is a depth, not an impact."""

PERMANENT = ("permanent_per_usd", "permanent_per_coin")
TRANSIENT = ("transient_per_usd", "transient_per_coin")
POWER = ("exponent", "power_unit_minutes", "power_horizon_minutes")
SQUARE_ROOT = ("daily_volume_usd", "daily_vol", "y", "crossover_usd")
IMPACT_KEYS = (
    *PERMANENT,
    *TRANSIENT,
    "transient_half_life_minutes",
    "kernel",
    *POWER,
    "law",
    *SQUARE_ROOT,
    "depth_reacts",
    "limit_usd_per_step",
)


def time_grid(run: Table) -> TimeGrid:
    """[run] horizon_days with step_minutes, or with time_grid = {kind = "graded", steps, exponent}."""
    days = run.number("horizon_days", least=LEAST_DAYS, most=MOST_DAYS, hint="days to simulate, 1 is 24 hours")
    run.exclusive("step_minutes", "time_grid")
    if "time_grid" not in run:
        minutes = run.number("step_minutes", least=0.0, above=True, hint="minutes between clearings, or time_grid for steps that get finer")
        with run.named():
            return TimeGrid.uniform(horizon_days=days, step_minutes=minutes)
    graded = run.table("time_grid")
    graded.only("kind", "steps", "exponent")
    graded.text("kind", choices=("graded",))
    steps = graded.whole("steps", least=1, hint="the number of steps up to the horizon")
    exponent = graded.number("exponent", hint="from 1 (uniform) to 10; 4 resolves a pin at the strike")
    with graded.named():
        return TimeGrid.graded(horizon_days=days, steps=steps, exponent=exponent)


def impact_model(table: Table, grid: TimeGrid) -> ImpactModel:
    """[impact]: what stays, what passes, the square-root law, depth that reacts, and the most that one step can absorb."""
    _refuse_depth(table)
    table.only(*IMPACT_KEYS)
    table.exclusive(*PERMANENT)
    table.exclusive(*TRANSIENT)
    law = table.text("law", "linear", choices=("linear", "square-root"))
    if law == "linear" and not any(key in table for key in (*PERMANENT, *TRANSIENT)):
        raise table.refuse(
            "expected permanent_per_usd, permanent_per_coin, transient_per_usd, transient_per_coin or law = 'square-root', got none; "
            "permanent_per_usd = 0.01 / depth, where depth is the USD that move the price 1 %, and 0 for a price that hedging does not move"
        )
    kernel = table.text("kernel", "exponential", choices=("exponential", "power"))
    _refuse_idle(table, law, kernel)
    passing = _power(table, grid) if kernel == "power" else _half_life(table)
    with table.named():
        return ImpactModel(
            permanent_per_usd=_slope(table, "permanent_per_usd"),
            permanent_per_coin=_slope(table, "permanent_per_coin"),
            transient_per_usd=_slope(table, "transient_per_usd"),
            transient_per_coin=_slope(table, "transient_per_coin"),
            kernel=kernel,  # type: ignore[arg-type]
            transient_half_life_minutes=passing.get("transient_half_life_minutes"),
            power_exponent=passing.get("power_exponent"),
            power_unit_minutes=passing.get("power_unit_minutes"),
            power_horizon_minutes=passing.get("power_horizon_minutes"),
            square_root=_square_root(table) if law == "square-root" else None,
            depth_reacts=_depth(table),
            limit_usd_per_step=table.maybe("limit_usd_per_step", least=0.0, above=True, hint="USD that the market can absorb in one step"),
        )


def _refuse_depth(table: Table) -> None:
    """A depth is what measurements and command lines state; here it is its inverse."""
    if "depth_usd_per_pct" in table:
        depth = table.number("depth_usd_per_pct", least=1.0)
        raise table.refuse(f"depth_usd_per_pct is no key here; write permanent_per_usd = {0.01 / depth:.6g}, which is 0.01 / depth")


def _slope(table: Table, name: str) -> float:
    most = MOST_PER_USD if name.endswith("usd") else 1.0
    return table.number(name, 0.0, least=0.0, most=most, hint=_hint(name))


def _hint(name: str) -> str:
    unit = "USD" if name.endswith("usd") else "coin"
    return f"it is log price per {unit}, such as {'1e-11' if unit == 'USD' else '1e-6'}: 0.01 / depth, where depth is the {unit} that move the price 1 %"


def _refuse_idle(table: Table, law: str, kernel: str) -> None:
    """Refuse numbers that nothing would read: what a file says is used or refused, never passed over."""
    if law != "square-root":
        _needs(table, SQUARE_ROOT, "law = 'square-root'")
    if kernel != "power":
        _needs(table, POWER, "kernel = 'power'")
    else:
        _needs(table, ("transient_half_life_minutes",), "kernel = 'exponential'")
    if not any(key in table for key in TRANSIENT):
        _needs(table, ("transient_half_life_minutes", "kernel"), "transient_per_usd or transient_per_coin")


def _needs(table: Table, keys: tuple[str, ...], partner: str) -> None:
    for key in keys:
        if key in table:
            raise table.refuse(f"{key} is read with {partner} only; add that or leave {key} out")


def _half_life(table: Table) -> dict[str, float]:
    if not any(key in table for key in TRANSIENT):
        return {}
    hint = "minutes after which half of a trade's passing impact is gone"
    return {"transient_half_life_minutes": table.number("transient_half_life_minutes", least=0.0, above=True, hint=hint)}


def _power(table: Table, grid: TimeGrid) -> dict[str, float]:
    """Exponent, unit (one step unless stated) and horizon (the run's unless stated) of (1 + age / unit)^-exponent."""
    step_minutes, run_minutes = float(grid.step_years[0]) * MINUTES_PER_YEAR, grid.horizon_years * MINUTES_PER_YEAR
    return {
        "power_exponent": table.number(
            "exponent", least=0.0, above=True, hint="impact fades as (1 + age / unit)^-exponent; markets show 0.2 to 0.8"
        ),
        "power_unit_minutes": table.number("power_unit_minutes", step_minutes, least=0.0, above=True),
        "power_horizon_minutes": table.number("power_horizon_minutes", run_minutes, least=0.0, above=True),
    }


def _square_root(table: Table) -> SquareRootLaw:
    crossover = table.number(
        "crossover_usd", least=1.0, most=MOST_USD, hint="the flow below which impact is linear: without it a small loop has no gain"
    )
    return SquareRootLaw(
        daily_volume_usd=table.number("daily_volume_usd", least=1.0, most=MOST_USD, hint="USD traded a day"),
        daily_vol=table.vol("daily_vol"),
        crossover_usd=crossover,
        y=table.number("y", 1.0, least=1e-6, most=1e3),
    )


def _depth(table: Table) -> ReactiveDepth | None:
    if "depth_reacts" not in table:
        return None
    depth = table.table("depth_reacts")
    depth.only("vol_sensitivity", "flow_sensitivity_per_usd", "half_life_minutes", "floor")
    with depth.named():
        return ReactiveDepth(
            vol_sensitivity=depth.number("vol_sensitivity", least=0.0),
            flow_sensitivity_per_usd=depth.number("flow_sensitivity_per_usd", least=0.0),
            half_life_minutes=depth.number("half_life_minutes", least=0.0, above=True),
            floor=depth.number("floor", least=0.0, most=1.0, above=True, hint="the share of depth that always stays"),
        )


def vol_dynamics(table: Table) -> VolDynamics:
    """[vol]: how implied vol answers the price and vega hedging."""
    table.only("spot_vol_beta", "mean_reversion_per_day", "vega_impact_per_usd", "couple_price_vol")
    with table.named():
        return VolDynamics(
            spot_vol_beta=table.number("spot_vol_beta", 0.0),
            mean_reversion_per_day=table.number("mean_reversion_per_day", 0.0, least=0.0),
            vega_impact_per_usd=table.number("vega_impact_per_usd", 0.0, least=0.0),
            couple_price_vol=table.truth("couple_price_vol", False),
        )


def costs(table: Table) -> Costs:
    """[costs]: fee, half-spread, gas."""
    table.only("fee_bps", "half_spread_bps", "gas_usd", "internal_crossing")
    half_spread = table.number("half_spread_bps", 0.0, least=0.0)
    if half_spread > 5_000.0:
        raise UnitError(
            f"{table.place}: expected half_spread_bps up to 5,000 (half of the price), got {half_spread:g}; 1 basis point is 0.01 %"
        )
    with table.named():
        return Costs(
            fee_bps=table.number("fee_bps", 0.0),
            half_spread_bps=half_spread,
            gas_usd=table.number("gas_usd", 0.0, least=0.0, most=MOST_GAS_USD),
            internal_crossing=table.truth("internal_crossing", False),
        )
