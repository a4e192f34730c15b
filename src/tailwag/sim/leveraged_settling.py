"""What a venue does to accounts that are kept as rows: what it would buy at a price, what a cleared step closes, and funding.

Compiled code settles a path; where its insurance fund is not enough (a hard path), the plain rules of `tailwag.sim.leveraged_accounts` do.
"""

from __future__ import annotations

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray
from tailwag.kernels.leverage import Paths, close_paths, close_whole, edges_of, wanted_amounts
from tailwag.margin.rulebook import Rulebook
from tailwag.sim.leveraged_accounts import closing, market_order, settle, wanted
from tailwag.sim.leveraged_rows import Heap, Rows, columns_of, with_room


def order_of(
    rows: Rows, rules: Rulebook, reached: IntArray, *, own_usd: FloatArray, before_usd: FloatArray, mark_usd: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    """What the venue buys on the reached paths, and its slope by log price, (reached,), as `market_order` says it of columns.

    ``own_usd``, ``before_usd``, ``mark_usd`` (reached,): the venue's own price if the step cleared there, the price before trading, and the mark that it
    liquidates on (None: its own price).
    """
    mark, fill = own_usd if mark_usd is None else mark_usd, 0.5 * (before_usd + own_usd)
    amount, slope, hard = np.zeros(own_usd.size), np.zeros(own_usd.size), np.zeros(own_usd.size, dtype=np.bool_)
    any_hard = wanted_amounts(rows.heap.venue, rows.heap.book, rows.paths, reached, mark, fill, amount, slope, hard)
    slope = slope if mark_usd is None else np.zeros(own_usd.size)  # a mark from elsewhere stays where it is
    if any_hard:
        chosen = np.flatnonzero(hard)
        theirs, before, looked_at = own_usd[chosen], before_usd[chosen], None if mark_usd is None else mark_usd[chosen]
        some = columns_of(rows, reached[chosen])
        amount[chosen], slope[chosen] = market_order(some, rules, own_usd=theirs, before_usd=before, mark_usd=looked_at)
    return amount, slope


def settled(rows: Rows, rules: Rulebook, prices: tuple[FloatArray, FloatArray], touched: IntArray) -> Rows:
    """The rows after the touched paths were settled; ``prices`` (paths,) each: the mark that the venue liquidates on, and that of its fills."""
    return (_in_rounds if rows.heap.venue.rounds else _whole)(rows, rules, prices, touched)


def charged(rows: Rows, rate: FloatArray | float, spot_usd: FloatArray) -> Rows:
    """Longs paid ``rate`` (paths,) of their value to shorts: every bankruptcy value of a path moves by what one unit paid."""
    each = (spot_usd if rows.heap.venue.linear else 1.0 / spot_usd) * rate
    return rows._replace(paths=rows.paths._replace(drift=rows.paths.drift + each), outside=rows.outside + rows.net * each)


def _in_rounds(rows: Rows, rules: Rulebook, prices: tuple[FloatArray, FloatArray], touched: IntArray) -> Rows:
    """Every touched path gets a new row."""
    rows, first = with_room(rows, touched.size)
    heap, before, bad_debt, hard = rows.heap, rows.paths, rows.bad_debt.copy(), np.zeros(rows.net.size, dtype=np.bool_)
    after = Paths(before.row.copy(), before.drift.copy(), before.factor, before.fund.copy(), before.pointer.copy(), before.edge.copy())
    close_paths(heap.venue, heap.book, before, touched, first, prices, after, bad_debt, hard)
    borne = _settled_plainly(rows, rules, prices, (touched, first), (after, bad_debt, hard)) if hard.any() else rows.borne
    net = rows.net.copy()
    net[touched] = _net_of(heap, after.row[touched])
    return rows._replace(paths=after, bad_debt=bad_debt, net=net, borne=borne)


def _whole(rows: Rows, rules: Rulebook, prices: tuple[FloatArray, FloatArray], touched: IntArray) -> Rows:
    """What went is written down; only a path on which the fund is not enough gets a new row."""
    heap, before, hard = rows.heap, rows.paths, np.zeros(rows.net.size, dtype=np.bool_)
    after = before._replace(fund=before.fund.copy(), pointer=before.pointer.copy(), edge=before.edge.copy())
    closed, net, bad_debt, borne = rows.closed.copy(), rows.net.copy(), rows.bad_debt.copy(), rows.borne
    written, done = (after.pointer, after.edge, after.fund, closed, net, bad_debt), 0
    with heap.lock:
        while done < touched.size:
            begin = (done, heap.entries)
            done, heap.entries = close_whole(heap.venue, heap.book, heap.log, before, touched, begin, prices, written, hard)
            if done < touched.size:
                heap.lengthen()
    if hard.any():
        chosen = np.flatnonzero(hard)
        rows, first = with_room(rows, chosen.size)
        after = after._replace(row=rows.paths.row.copy(), drift=rows.paths.drift.copy())
        borne = _settled_plainly(rows, rules, prices, (chosen, first), (after, bad_debt, hard))
        closed[chosen], net[chosen] = -1, _net_of(rows.heap, after.row[chosen])
    return rows._replace(paths=after, closed=closed, bad_debt=bad_debt, net=net, borne=borne)


def _net_of(heap: Heap, rows: IntArray) -> FloatArray:
    """Longs less shorts of some rows, in units of size."""
    return np.asarray((heap.side[heap.places, 0] * heap.book.rows[rows, : heap.side.size]).sum(axis=1))


def _settled_plainly(
    rows: Rows,
    rules: Rulebook,
    prices: tuple[FloatArray, FloatArray],
    kept: tuple[IntArray, int],
    found: tuple[Paths, FloatArray, BoolArray],
) -> tuple[FloatArray, FloatArray]:
    """Hard paths by the plain rules, written into the rows that were kept for them; what the other side bore of all paths: only here does it bear anything."""
    (touched, first), (after, bad_debt, hard) = kept, found
    numbers = np.flatnonzero(hard[touched])
    chosen, heap = touched[numbers], rows.heap
    some, mark, fill = columns_of(rows, chosen), prices[0][chosen], prices[1][chosen]
    closed = closing(some, rules, wanted(some, rules, mark), mark_usd=mark, fill_usd=fill)
    done, _ = settle(some, rules, closed, mark_usd=mark, fill_usd=fill)
    count, book = heap.side.size, heap.book
    book.rows[first + numbers, :count] = done.size[heap.places].T
    book.rows[first + numbers, count : 2 * count] = done.wallet[heap.places].T
    book.rows[first + numbers, 2 * count :] = book.rows[rows.paths.row[chosen], 2 * count :]
    after.row[chosen], after.drift[chosen], after.fund[chosen], bad_debt[chosen] = first + numbers, 0.0, done.fund, done.bad_debt
    edges_of(heap.venue, book, chosen, after)
    deleveraged_usd, shared = (part.copy() for part in rows.borne)
    deleveraged_usd[chosen], shared[chosen] = done.deleveraged_usd, done.shared
    return deleveraged_usd, shared
