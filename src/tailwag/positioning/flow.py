"""Dealer inventory from signed trades: the other side of what takers bought."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tailwag.errors import RuleError
from tailwag.kernels.arrays import BoolArray, FloatArray, TextArray, frozen
from tailwag.market.chain import Chain
from tailwag.market.recorded_flow import RecordedFlow
from tailwag.market.trades import Trades
from tailwag.positioning.held import Positions

Blocks = Literal["exclude", "maker-side"]
CITATION = "signed taker flow (the sign rule of Glassnode's taker-flow gamma and Amberdata's dealer inventory)"


def dealer_coin(taker_coin: FloatArray, is_block: BoolArray, liquidated: TextArray, *, blocks: Blocks) -> FloatArray:
    """What dealers bought where takers bought ``taker_coin`` (signed, on blocks by the printed direction), (n,).

    Dealers are the makers: the sign turns.  Where the maker was liquidated the customer is the maker, and it does not; where both sides
    were there is no dealer.  Blocks count nothing, or as printed.

    >>> kinds = np.array(["", "T", "M", "MT", ""], dtype=object)
    >>> dealer_coin(np.ones(5), np.array([False] * 4 + [True]), kinds, blocks="exclude") + 0.0
    array([-1., -1.,  1.,  0.,  0.])
    """
    signed = np.where(liquidated == "M", taker_coin, -taker_coin)
    signed = np.where(liquidated == "MT", 0.0, signed)
    return np.where(is_block, taker_coin if blocks == "maker-side" else 0.0, signed)


@dataclass(frozen=True, slots=True)
class FlowRule:
    """Dealers hold the other side of what takers bought, as accumulated from signed trades and never more than the open interest.

    ``blocks``: the direction printed on a block trade is the maker's side, not aggression in the order book; ``"exclude"`` leaves blocks
    out, ``"maker-side"`` believes that the printed side is the dealer's.  A trade in which the maker was liquidated has the customer on the
    maker's side, so its sign turns; one where both sides were liquidated has no dealer and is left out.
    """

    trades: Trades
    blocks: Blocks = "exclude"
    label: str = "trades"

    @property
    def name(self) -> str:
        """``flow:FILE``."""
        return f"flow:{self.label}"

    def dealer_signs(self) -> FloatArray:
        """What dealers did in each trade, (n,): +1 bought, -1 sold, 0 not counted."""
        trades = self.trades
        return dealer_coin(trades.taker_sign.astype(np.float64), trades.is_block, trades.liquidated, blocks=self.blocks)

    def infer(self, chain: Chain, *, forward_usd: FloatArray | None = None) -> Positions:
        """Dealer = the sum of dealers' signed amounts per instrument up to the chain's time, held within +- open interest."""
        counted, traded, trades_known = self._net_by_row(chain)
        if len(chain) and not trades_known:
            raise RuleError(
                f"{self.name}: none of its {len(self.trades)} trades is in an option listed here, up to this time; "
                "give trades of this chain's instruments, or another rule"
            )
        held, clipped = _held(counted, chain)
        total = float(chain.counted_open_interest_coin().sum())
        covered = float(chain.counted_open_interest_coin()[traded].sum()) / total if total > 0 else 0.0
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
            CITATION,
            f"takers are customers and makers are dealers; what did not trade counts as not held (the flow explains {explained:.1%} of open interest)",
            notes=notes,
        )

    def _net_by_row(self, chain: Chain) -> tuple[FloatArray, Any, int]:
        trades = self.trades
        rows = _rows(chain, trades.venue, trades.instrument)
        amount = np.where(np.isfinite(trades.amount_coin), trades.amount_coin, 0.0) * self.dealer_signs()
        known = (rows >= 0) & (trades.time_ns <= chain.as_of_ns)
        net = np.zeros(len(chain))
        np.add.at(net, rows[known], amount[known])
        traded = np.zeros(len(chain), dtype=bool)
        traded[rows[known & (amount != 0.0)]] = True
        return net, traded, int(known.sum())


@dataclass(frozen=True, slots=True)
class RecordedFlowRule:
    """Dealers hold the other side of what takers bought in every trade that a store has recorded, within +- open interest.

    ``read(currency, as_of_ns)`` gives the store's flow up to a time.  Signs are those of :class:`FlowRule`.  What was not recorded counts
    as not held, and the notes and the assumption say how much that may be.  With ``stated_only`` a flow that covers no span of time is
    refused: its source never said that nothing is missing.
    """

    read: Callable[[str, int], RecordedFlow]
    label: str
    blocks: Blocks = "exclude"
    stated_only: bool = False

    @property
    def name(self) -> str:
        """``flow:STORE``."""
        return f"flow:{self.label}"

    def infer(self, chain: Chain, *, forward_usd: FloatArray | None = None) -> Positions:
        """Dealer = the sum of dealers' signed amounts per instrument over the recorded trades, held within +- open interest."""
        flow = self.read(chain.currency, chain.as_of_ns)
        rows = _rows(chain, flow.venue, flow.instrument)
        known = rows >= 0
        if len(chain) and not known.any():
            raise RuleError(
                f"{self.name}: no trade in an option listed here was recorded up to this time; "
                "record a source with trades (deribit:BTC), fill the store with tailwag trades backfill, or give another rule"
            )
        if self.stated_only and not flow.coverage.spans:
            raise RuleError(f"{self.name}: its source does not say for which time its trades are all there are; give another rule")
        net = np.zeros(len(chain))
        np.add.at(net, rows[known], dealer_coin(flow.taker_coin, flow.is_block, flow.liquidated, blocks=self.blocks)[known])
        held, clipped = _held(net, chain)
        explained = _share(np.abs(held[chain.usable]).sum(), chain)
        return Positions(
            chain,
            frozen(np.where(chain.usable, held, np.nan)),
            self.name,
            CITATION,
            f"takers are customers and makers are dealers; {flow.coverage.sentence()}, and what was not recorded counts as not held "
            f"(the flow explains {explained:.1%} of open interest)",
            notes=self._notes(flow, chain, clipped=clipped, counted=int(flow.trades[known].sum()), explained=explained),
        )

    def _notes(self, flow: RecordedFlow, chain: Chain, *, clipped: int, counted: int, explained: float) -> tuple[str, ...]:
        coverage = flow.coverage
        interest = chain.counted_open_interest_coin()
        keys = zip(chain.venue.tolist(), chain.instrument.tolist(), strict=True)
        whole = np.fromiter((key in flow.whole_life for key in keys), dtype=bool, count=len(chain))
        share = coverage.explained_share
        changes = (
            "no change of open interest seen yet"
            if share is None
            else f"recorded volume can explain {share:.1%} of the changes of open interest"
        )
        damaged = f"; {coverage.damaged_records} records of the store could not be read" if coverage.damaged_records else ""
        return (
            f"{counted:,} recorded trades in listed instruments (blocks: {self.blocks}), {coverage.sentence()}{damaged}",
            f"instruments recorded since nobody held them have {_share(interest[whole].sum(), chain):.1%} of open interest, "
            f"the flow itself explains {explained:.1%} of it, {clipped} instruments held at their open interest; {changes}",
        )


def _rows(chain: Chain, venues: TextArray, instruments: TextArray) -> Any:
    """The chain's row of each (venue, instrument), -1 for none; where no venue is known the first row of the name."""
    row_of = {(venue, name): row for row, (venue, name) in reversed(list(enumerate(zip(chain.venue, chain.instrument, strict=True))))}
    any_venue = {name: row for row, name in reversed(list(enumerate(chain.instrument)))}
    # venues share spellings: a trade whose venue is known counts only for that venue's contract
    keys = zip(venues, instruments, strict=True)
    return np.array([row_of.get((venue, name), -1) if venue else any_venue.get(name, -1) for venue, name in keys], dtype=np.int64)


def _held(net: FloatArray, chain: Chain) -> tuple[FloatArray, int]:
    """Nobody holds more than the open interest; and how many instruments are held at it."""
    limit = np.where(np.isfinite(chain.open_interest_coin), np.maximum(chain.open_interest_coin, 0.0), 0.0)
    return np.clip(net, -limit, limit), int((np.abs(net) > limit).sum())


def _share(coin: Any, chain: Chain) -> float:
    total = float(chain.counted_open_interest_coin().sum())
    return float(coin) / total if total > 0 else 0.0
