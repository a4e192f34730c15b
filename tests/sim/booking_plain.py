"""One step in one account in plain NumPy: what the compiled books must hold to the bit."""

from __future__ import annotations

import numpy as np

from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.loop_rows import DUST_SHARE, DUST_USD
from tailwag.sim.agents.protocol import Move, OptionStep
from tailwag.sim.ledger import PART, Booked, Fill, Holding, Terms

BPS = 1e-4


def book_step(
    holding: Holding, fill: Fill, option: OptionStep | None, move: Move, terms: Terms, *, open_share: FloatArray | float = 1.0
) -> Booked:
    """One step in one account: the position carried, the fill marked at the new price, costs, funding and options.

    ``open_share``: the part of the fill that met the market, not another agent; only it pays fees and spread.
    carry = position (S_t - S_{t-1}); execution = coin bought (S_t - fill price), the half-lambda term of a linear market.
    """
    value = fill.coin * move.fill_usd
    position = holding.position_coin + fill.coin
    peak = np.maximum(holding.peak_position_usd, np.abs(position) * move.spot_usd)
    traded = np.abs(value) > DUST_USD + DUST_SHARE * peak
    open_value = np.abs(value) * open_share
    spread = terms.costs.half_spread_bps * BPS * open_value * (-1.0 if terms.makes else 1.0)
    fees = terms.costs.fee_bps * BPS * open_value
    gas = np.where(traded, terms.costs.gas_usd, 0.0)
    funding = np.where(move.live, terms.funding_per_year * move.step_years * holding.position_coin * move.spot_before_usd, 0.0)
    paid = 0.0 if option is None else option.paid_usd
    after = Holding(
        position,
        holding.cash_usd - value - spread - fees - gas - funding + paid,
        holding.bought_usd + fill.usd,
        tuple(holding.pnl_usd + _parts(holding, fill, option, move, (spread, fees, gas, funding))),
        holding.turnover_usd + np.abs(value),
        holding.trades + traded,
        holding.gap_squared_years,
        peak,
    )
    return Booked(after, fees + gas, value + spread + funding)


def _parts(
    holding: Holding, fill: Fill, option: OptionStep | None, move: Move, costs: tuple[FloatArray, FloatArray, FloatArray, FloatArray]
) -> FloatArray:
    """The step's profit by cause, (parts, paths); what the options' greeks do not explain is the residual."""
    parts = np.zeros(holding.pnl_usd.shape)
    spread, fees, gas, funding = costs
    parts[PART["delta_usd"]] = holding.position_coin * (move.spot_usd - move.spot_before_usd)
    parts[PART["execution_usd"]] = fill.coin * (move.spot_usd - move.fill_usd)
    parts[PART["spread_usd"]], parts[PART["fees_usd"]] = -spread, -fees
    parts[PART["gas_usd"]], parts[PART["funding_usd"]] = -gas, -funding
    if option is not None:
        parts[PART["delta_usd"]] += option.delta_usd
        for name in ("gamma_theta_usd", "vanna_usd", "vega_usd"):
            parts[PART[name]] = getattr(option, name)
        explained = option.delta_usd + option.gamma_theta_usd + option.vanna_usd + option.vega_usd - option.fees_usd
        parts[PART["fees_usd"]] -= option.fees_usd
        parts[PART["residual_usd"]] = option.total_usd - explained
    return parts
