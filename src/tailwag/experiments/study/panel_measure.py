"""One snapshot into rows: what is the same under every assumption, and one row for each rule, law and smile dynamics.

Surface, greeks and laws are worked out once; a rule adds its signs, a dynamics its flips and flows, a law its gain.  The numbers are those
of ``tailwag measure`` under the same assumptions, to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.errors import EmptyChainError
from tailwag.experiments.laws import NO_LIQUIDITY, _all_laws
from tailwag.experiments.masked import masked_sentence
from tailwag.experiments.measure import _forwards, _worst
from tailwag.experiments.study.history_options import HistoryOptions
from tailwag.experiments.study.panel_snapshot import Row, hedged_usd, next_expiry_ns, number, snapshot_columns
from tailwag.exposure import priced_book
from tailwag.exposure.flips import book_flips, nearest_flip
from tailwag.exposure.flows import book_flows
from tailwag.exposure.greeks import DELTA
from tailwag.exposure.profile import spot_grid
from tailwag.exposure.reprice import net_on_grid, vols_on_grid
from tailwag.exposure.totals import exposure_totals, gex_by
from tailwag.feedback import GainInputs, loop_gain
from tailwag.feedback.inputs import _draws_gex
from tailwag.kernels.arrays import FloatArray, frozen
from tailwag.liquidity import SquareRootImpact, UnknownImpact
from tailwag.positioning import infer_positions
from tailwag.surface import fit_surface, parse_dynamics
from tailwag.surface.fit import _surface

if TYPE_CHECKING:
    from tailwag.exposure import Book
    from tailwag.liquidity import Impact
    from tailwag.market.snapshot import Snapshot
    from tailwag.surface import RowVols, Smile, SmileDynamics, Surface

FLOW_MOVES_PCT = (-5.0, -4.0, -3.0, -2.0, -1.0, 1.0, 2.0, 3.0, 4.0, 5.0)
SHARED_SPOTS = len(FLOW_MOVES_PCT)
"""Fewer spots than these are one rule's own."""
EXPIRING_FLOWS = ("expiring_flow_down_1pct_usd", "expiring_flow_up_1pct_usd")
SIGNS = {"damping": "damping", "amplifying": "amplifying", "runaway": "amplifying", "undetermined": "undetermined"}


@dataclass(frozen=True, slots=True)
class Measured:
    """The columns of one snapshot that hold whatever is assumed, and its rows of the panel."""

    snapshot: Row
    panel: tuple[Row, ...]


def flow_column(move_pct: float) -> str:
    """The column of a move.

    >>> flow_column(-5.0), flow_column(1.0)
    ('flow_down_5pct_usd', 'flow_up_1pct_usd')
    """
    return f"flow_{'down' if move_pct < 0 else 'up'}_{abs(move_pct):g}pct_usd"


def measured(snapshot: Snapshot, options: HistoryOptions) -> Measured:
    """Measure one snapshot under every combination of assumptions.

    Raises EmptyChainError where nothing can be told of it: no row, every row masked, or all open interest masked.
    """
    _refuse_empty(snapshot)
    surface = surface_of(snapshot, options)
    books = list(_books(snapshot, _Remembering(surface), options))
    if books[0].is_unknown:
        raise EmptyChainError(masked_sentence(books[0]))
    known = {law.name: law for law in _all_laws(snapshot, options.measured)}
    root = known.get("square-root")
    hedged = hedged_usd(books[0], options.hedge_share)
    ratio = hedged / root.daily_volume_usd if isinstance(root, SquareRootImpact) else None
    laws = {name: _law(name, known) for name in options.laws}
    rows = [{**row, "hedged_oi_ratio": ratio} for book in books for row in _rows(book, laws, options)]
    return Measured(snapshot_columns(snapshot, books[0], hedged), tuple(rows))


def surface_of(snapshot: Snapshot, options: HistoryOptions) -> Surface:
    """Forwards of every row, and fitted smiles where anything asks for one: another vol than the venue's, a row without, or a smile that moves."""
    chain, curve = snapshot.chain, _forwards(snapshot, options.measured)
    moves = any(parse_dynamics(name).ratio != 1.0 for name in options.dynamics)
    missing = bool(np.any(chain.usable & ~(np.isfinite(chain.iv) & (chain.iv > 0.0))))
    if moves or missing or options.vol != "venue":
        return fit_surface(snapshot, forwards=curve, day_count=options.day_count)
    return _surface(chain, curve, curve.entry_of(chain), [], ())


def _refuse_empty(snapshot: Snapshot) -> None:
    chain = snapshot.chain
    if not len(chain):
        raise EmptyChainError("no option of the currency in this snapshot")
    if not bool(chain.usable.any()):
        raise EmptyChainError(f"all {len(chain)} rows are masked ({_worst(snapshot)})")


def _law(name: str, known: Mapping[str, Impact]) -> Impact:
    return known[name] if name in known else UnknownImpact(name, NO_LIQUIDITY)


def _books(snapshot: Snapshot, surface: _Remembering, options: HistoryOptions) -> Iterator[Book]:
    """One book for each rule; rows are priced once, and anew only for a rule that knows the holders of other rows than the first."""
    first: tuple[Book, Any] | None = None
    for rule in options.parsed_rules():
        held = infer_positions(snapshot, rule=rule, forward_usd=surface.forward_usd)
        known = np.isfinite(held.position_coin)
        if first is not None and np.array_equal(known, first[1]):
            position = frozen(np.where(first[0].counted, held.position_coin, np.nan))
            yield replace(first[0], rule=held.rule, position_coin=position, draws=held.draws)
            continue
        book = priced_book(held, surface, vol=options.vol, day_count=options.day_count, spot_usd=snapshot.spot_usd)
        first = (book, known) if first is None else first
        yield book


@dataclass(frozen=True, slots=True)
class _Remembering:
    """A surface that works out each set of moved volatilities once: every rule asks for those at the same spots."""

    surface: Surface
    known: dict[tuple[float, bytes, bytes], FloatArray] = field(default_factory=dict)

    @property
    def forward_usd(self) -> FloatArray:
        return self.surface.forward_usd

    @property
    def smiles(self) -> tuple[Smile, ...]:
        return self.surface.smiles

    def row_vols(self, vol: str) -> RowVols:
        return self.surface.row_vols(vol)

    def moved_vols(self, iv: FloatArray, log_moves: FloatArray, dynamics: SmileDynamics) -> FloatArray:
        if log_moves.size < SHARED_SPOTS:  # the search for a flip asks at spots of its own
            return self.surface.moved_vols(iv, log_moves, dynamics)
        key = (dynamics.ratio, log_moves.tobytes(), iv.tobytes())
        if key not in self.known:
            self.known[key] = frozen(self.surface.moved_vols(iv, log_moves, dynamics))
        return self.known[key]


def _rows(book: Book, laws: Mapping[str, Impact], options: HistoryOptions) -> Iterator[Row]:
    """The rows of one rule: its law's gain beside its dynamics' flips and flows."""
    totals = _totals(book)
    gains = {name: _gain(book, law, totals["gex_usd_per_pct"], options) for name, law in laws.items()}
    moved = {name: _moved(book, parse_dynamics(name)) for name in options.dynamics}
    for law, gain in gains.items():
        for dynamics, columns in moved.items():
            yield {"rule": book.rule, "law": law, "dynamics": dynamics, **totals, **gain, **columns}


def _totals(book: Book) -> Row:
    totals = exposure_totals(book)
    at_ns = next_expiry_ns(book)
    expiring = next((gex for expiry_ns, gex in gex_by(book, "expiry") if expiry_ns == at_ns), None)
    return {
        "gex_usd_per_pct": number(totals.gex_usd_per_pct),
        "vanna_usd_per_volpt": number(totals.vanna_usd_per_volpt),
        "charm_usd_per_day": number(totals.charm_usd_per_day),
        "expiring_gamma_usd_per_pct": expiring,
    }


def _gain(book: Book, law: Impact, gex_usd_per_pct: float, options: HistoryOptions) -> Row:
    inputs = GainInputs(
        spot_usd=float(book.spot_usd), gex_usd_per_pct=gex_usd_per_pct, rule=book.rule, draws_gex_usd_per_pct=_draws_gex(book)
    )
    gain = loop_gain(inputs, law, move_pct=options.move_pct, hedge_share=options.hedge_share)
    return {
        "gain": gain.value,
        "gain_low": gain.low,
        "gain_high": gain.high,
        "gain_reason": gain.reason,
        "sign": SIGNS[gain.regime],
    }


def _moved(book: Book, dynamics: SmileDynamics) -> Row:
    """What depends on how the smile moves with spot: the nearest flip within half and one and a half times spot, and the hedge flows."""
    spots = spot_grid(book.spot_usd)
    vols = vols_on_grid(book, spots / book.spot_usd, dynamics)
    flip = nearest_flip(book_flips(book, spots, dynamics=dynamics, vols=vols), book.spot_usd)
    flows = book_flows(book, dynamics=dynamics, move_pct=FLOW_MOVES_PCT)
    return {
        "flip_usd": None if flip is None else flip.spot_usd,
        "flip_distance_log": None if flip is None else math.log(flip.spot_usd / book.spot_usd),
        **{flow_column(move): number(usd) for move, usd in zip(FLOW_MOVES_PCT, flows.buy_usd.tolist(), strict=True)},
        **_expiring_flows(book, dynamics),
    }


def _expiring_flows(book: Book, dynamics: SmileDynamics) -> Row:
    """What hedgers of the next expiry alone buy when spot moves 1 % down or up; None without an expiry, or where no position is known."""
    at_ns = next_expiry_ns(book)
    rows = book.counted & (book.chain.expiry_ns == (-1 if at_ns is None else at_ns)) & np.isfinite(book.position_coin)
    if not bool(rows.any()):
        return dict.fromkeys(EXPIRING_FLOWS)
    held = np.where(rows, book.position_coin, 0.0)
    delta = net_on_grid(book, np.array([0.99, 1.0, 1.01]), dynamics=dynamics, weights=held)[0, :, DELTA]
    down, up = (-float(delta[place] - delta[1]) * float(book.spot_usd) for place in (0, 2))
    return dict(zip(EXPIRING_FLOWS, (number(down), number(up)), strict=True))
