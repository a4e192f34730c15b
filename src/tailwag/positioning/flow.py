"""Dealer inventory from signed trades: the other side of what takers bought."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tailwag.errors import RuleError
from tailwag.kernels.arrays import FloatArray, frozen
from tailwag.market.chain import Chain
from tailwag.market.trades import Trades
from tailwag.positioning.held import Positions


@dataclass(frozen=True, slots=True)
class FlowRule:
    """Dealers hold the other side of what takers bought, as accumulated from signed trades and never more than the open interest.

    ``blocks``: the direction printed on a block trade is the maker's side, not aggression in the order book; ``"exclude"`` leaves blocks
    out, ``"maker-side"`` believes that the printed side is the dealer's.  A trade in which the maker was liquidated has the customer on the
    maker's side, so its sign turns; one where both sides were liquidated has no dealer and is left out.
    """

    trades: Trades
    blocks: Literal["exclude", "maker-side"] = "exclude"
    label: str = "trades"

    @property
    def name(self) -> str:
        """``flow:FILE``."""
        return f"flow:{self.label}"

    def dealer_signs(self) -> FloatArray:
        """What dealers did in each trade, (n,): +1 bought, -1 sold, 0 not counted."""
        trades = self.trades
        sign = -trades.taker_sign.astype(np.float64)
        sign = np.where(trades.liquidated == "M", -sign, sign)
        sign = np.where(trades.liquidated == "MT", 0.0, sign)
        block = trades.taker_sign.astype(np.float64) if self.blocks == "maker-side" else np.zeros(len(trades))
        return np.where(trades.is_block, block, sign)

    def infer(self, chain: Chain, *, forward_usd: FloatArray | None = None) -> Positions:
        """Dealer = the sum of dealers' signed amounts per instrument up to the chain's time, held within +- open interest."""
        counted, traded, trades_known = self._net_by_row(chain)
        if len(chain) and not trades_known:
            raise RuleError(
                f"{self.name}: none of its {len(self.trades)} trades is in an option listed here, up to this time; "
                "give trades of this chain's instruments, or another rule"
            )
        limit = np.where(np.isfinite(chain.open_interest_coin), np.maximum(chain.open_interest_coin, 0.0), 0.0)
        held = np.clip(counted, -limit, limit)
        total = float(chain.counted_open_interest_coin().sum())
        covered = float(chain.counted_open_interest_coin()[traded].sum()) / total if total > 0 else 0.0
        clipped = int((np.abs(counted) > limit).sum())
        explained = float(np.abs(held[chain.usable]).sum()) / total if total > 0 else 0.0
        used = self.dealer_signs() != 0
        notes = (
            f"{int(used.sum())} of {len(self.trades)} trades counted ({self.trades.repeats_removed} repeats removed before, blocks: {self.blocks}), "
            f"{trades_known} of them in listed instruments; instruments that traded at all hold {covered:.1%} of open interest, the flow itself explains {explained:.1%} of it; "
            f"{clipped} instruments held at their open interest",
        )
        return Positions(
            chain,
            frozen(np.where(chain.usable, held, np.nan)),
            self.name,
            "signed taker flow (the sign rule of Glassnode's taker-flow gamma and Amberdata's dealer inventory)",
            f"takers are customers and makers are dealers; what did not trade counts as not held (the flow explains {explained:.1%} of open interest)",
            notes=notes,
        )

    def _net_by_row(self, chain: Chain) -> tuple[FloatArray, Any, int]:
        row_of = {(venue, name): row for row, (venue, name) in reversed(list(enumerate(zip(chain.venue, chain.instrument, strict=True))))}
        any_venue = {name: row for row, name in reversed(list(enumerate(chain.instrument)))}
        trades = self.trades
        # venues share spellings: a trade whose venue is known counts only for that venue's contract
        keys = zip(trades.venue, trades.instrument, strict=True)
        rows = np.array([row_of.get((venue, name), -1) if venue else any_venue.get(name, -1) for venue, name in keys], dtype=np.int64)
        amount = np.where(np.isfinite(trades.amount_coin), trades.amount_coin, 0.0) * self.dealer_signs()
        known = (rows >= 0) & (trades.time_ns <= chain.as_of_ns)
        net = np.zeros(len(chain))
        np.add.at(net, rows[known], amount[known])
        traded = np.zeros(len(chain), dtype=bool)
        traded[rows[known & (amount != 0.0)]] = True
        return net, traded, int(known.sum())
