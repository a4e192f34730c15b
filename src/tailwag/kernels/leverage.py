"""Leveraged accounts in compiled code: only accounts whose liquidation price lies between the old price and the new one are looked at.

Each path's accounts stand in groups of one side and one maintenance margin, sorted inside each by the price at which they are bankrupt, nearest first;
`pointer` says how many of a group are gone for good.  So a price that reaches nobody costs one comparison a group, and one that liquidates costs as many
steps as it liquidates accounts.  Funding moves every bankruptcy value of a path by the same amount (`drift`), so it is not booked account by account
before an account is closed.  A path on which the fund is not enough is left to the plain rules (`hard`).

Rows are written once and never again: who changes a path writes a new row, so that an earlier state stays what it was.  A venue that liquidates whole
positions needs no new row: each position that goes is one entry of a log that refers to the one before it on its path.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray
from tailwag.kernels.normal import logarithm

__all__ = [
    "BRINK_SHARE",
    "DUST_SHARE",
    "NEAR",
    "Book",
    "Closings",
    "Paths",
    "Venue",
    "close_paths",
    "close_whole",
    "edges_of",
    "reach_of",
    "unwound",
    "wanted_amounts",
]

DUST_SHARE = 1e-12
"""A position that a round leaves smaller than this part of what it was is closed."""
BRINK_SHARE = 1e-4
"""A position that would be sold with less left than this part of its value begins to count as bankrupt.

Were it bankrupt at once at 0, a sale could be too much at the price that it makes and none at the price without it: there would be no price
at which market and accounts agree.
"""
LEAST_USD, MOST_USD = 1e-290, 1e290
NEAR = 1e-12
"""Bankruptcy values this close to the level, as a share of it, are looked at too: order and rounding decide nothing."""

walking = njit(error_model="numpy", fastmath=False, cache=True, nogil=True)
inside = njit(error_model="numpy", fastmath=False, forceinline=True)


class Venue(NamedTuple):
    """The rules that all paths share; groups (g,): `side`, `share` (maintenance), and where their accounts begin and end."""

    linear: bool
    rounds: bool
    deleverages: bool
    fee_share: float
    side: FloatArray
    share: FloatArray
    first: IntArray
    last: IntArray


class Book(NamedTuple):
    """Rows of accounts, (rows, 3 n): sizes, wallets, and the order in which each group stands; `entry` (1 or paths, n) of one unit."""

    rows: FloatArray
    entry: FloatArray


class Paths(NamedTuple):
    """Where each path stands: its row, what funding moved every bankruptcy value by since that row was written, and how far its groups are gone.

    (paths,): `row`, `drift`, `factor` (of the maintenance margin), `fund`; (groups, paths): `pointer`, `edge` (bankruptcy value of the next account).
    """

    row: IntArray
    drift: FloatArray
    factor: FloatArray
    fund: FloatArray
    pointer: IntArray
    edge: FloatArray


class Closings(NamedTuple):
    """Positions that went whole, (entries,): whose, what is left in its wallet, and the entry before it on its path, -1 where there is none."""

    account: IntArray
    wallet: FloatArray
    before: IntArray


@inside
def _value(linear: bool, price: float) -> float:
    return price if linear else -1.0 / price


@inside
def _bankrupt(rows: FloatArray, entry: FloatArray, row: int, path: int, account: int, side: float) -> float:
    count = entry.shape[1]
    return float(entry[path, account] - side * rows[row, count + account] / rows[row, account])


@inside
def _wants(rounds: bool, size: float, equity: float, needed: float) -> float:
    """What is closed of an account below its margin: all of it, or in rounds what brings it back."""
    if not rounds:
        return size
    keeps = equity / needed if equity > 0.0 and needed > 0.0 else 0.0
    return size - keeps if keeps >= DUST_SHARE * size else size


@inside
def _lack(left: float, notional: float) -> float:
    """What a sale of a whole position leaves unpaid; on the brink of it a little, so that it begins without a jump."""
    brink = BRINK_SHARE * notional
    near = min(max(1.0 - left / brink, 0.0), 1.0)
    return max(-left, 0.5 * brink * near * near)


@walking
def reach_of(
    venue: Venue,
    edge: FloatArray,
    drift: FloatArray,
    factor: FloatArray,
    spot_usd: float,
    hair_log: float,
    low: FloatArray,
    high: FloatArray,
) -> None:
    """Write log prices below and above which somebody is liquidated, (paths,), a hair early; out of any reach where nobody is left."""
    low[:] = 0.0
    high[:] = np.inf
    for group in range(venue.side.size):
        rises, share, bankrupt = venue.side[group] > 0.0, venue.side[group] * venue.share[group], edge[group]
        for path in range(low.size):
            tilt, at = share * factor[path], bankrupt[path] + drift[path]
            if venue.linear:
                price = at / (1.0 - tilt)
            else:
                price = (1.0 + tilt) / -at if at < 0.0 else np.inf
                price = price if abs(bankrupt[path]) < np.inf else (0.0 if rises else np.inf)
            if rises:
                low[path] = price if price > low[path] else low[path]
            else:
                high[path] = price if price < high[path] else high[path]
    for path in range(low.size):  # the nearest price of each side, then its logarithm
        low[path] = logarithm(max(low[path], LEAST_USD) / spot_usd) + hair_log
    for path in range(low.size):
        high[path] = logarithm(min(max(high[path], LEAST_USD), MOST_USD) / spot_usd) - hair_log


@walking
def wanted_amounts(
    venue: Venue,
    book: Book,
    paths: Paths,
    reached: IntArray,
    mark_usd: FloatArray,
    fill_usd: FloatArray,
    amount: FloatArray,
    slope: FloatArray,
    hard: BoolArray,
) -> bool:
    """What the venue would buy on the reached paths if the step cleared at the mark, and its slope; True where a path is hard.

    `mark_usd`, `fill_usd` and the answers have one number for each of the reached paths.
    """
    count, any_hard = book.entry.shape[1], False
    for number in range(reached.size):
        path, mark = reached[number], mark_usd[number]
        row, drift = paths.row[path], paths.drift[path]
        value, fill = _value(venue.linear, mark), _value(venue.linear, fill_usd[number])
        size_of, entry_path = abs(value), path if book.entry.shape[0] > 1 else 0
        lack = 0.0
        for group in range(venue.side.size):
            side, share = venue.side[group], venue.share[group] * paths.factor[path]
            for place in range(venue.first[group] + paths.pointer[group, path], venue.last[group]):
                account = int(book.rows[row, 2 * count + place])
                size = book.rows[row, account]
                if size <= 0.0:
                    continue
                gap = side * (value - _bankrupt(book.rows, book.entry, row, entry_path, account, side) - drift)
                if gap - share * size_of > NEAR * size_of:
                    break
                wallet, open_at = book.rows[row, count + account] - side * size * drift, book.entry[entry_path, account]
                equity, needed = wallet + side * size * (value - open_at), share * size_of
                if equity > needed * size:
                    continue
                wants = _wants(venue.rounds, size, equity, needed)
                amount[number] -= side * wants
                if venue.rounds and equity > 0.0:
                    grows = 1.0 if venue.linear else -1.0
                    slope[number] += side * (side * size - grows * equity / size_of) / share
                if wants >= size:
                    lack += _lack(wallet + side * wants * (fill - open_at), wants * abs(fill))
        if venue.deleverages and lack > max(paths.fund[path], 0.0):
            hard[number] = True
            any_hard = True
    return any_hard


@walking
def close_paths(
    venue: Venue,
    book: Book,
    paths: Paths,
    touched: IntArray,
    first_row: int,
    prices_usd: tuple[FloatArray, FloatArray],
    after: Paths,
    bad_debt: FloatArray,
    hard: BoolArray,
) -> None:
    """Settle what is liquidated on the touched paths: new rows from `first_row` on, and `after`; hard paths are left as they were.

    `prices_usd`: mark and fill, (paths,) each.
    """
    count = book.entry.shape[1]
    mark_usd, fill_usd = prices_usd
    for number in range(touched.size):
        path = touched[number]
        old, row = paths.row[path], first_row + number
        entry_path = path if book.entry.shape[0] > 1 else 0
        value, fill = _value(venue.linear, mark_usd[path]), _value(venue.linear, fill_usd[path])
        book.rows[row] = book.rows[old]
        _book_drift(venue, book, row, paths.drift[path])
        lack, fees, lacking = 0.0, 0.0, 0.0
        for group in range(venue.side.size):
            share = venue.share[group] * paths.factor[path]
            terms = (venue.side[group], share, value, fill)
            for place in range(venue.first[group] + paths.pointer[group, path], venue.last[group]):
                account = int(book.rows[row, 2 * count + place])
                if book.rows[row, account] <= 0.0:
                    continue
                gap = terms[0] * (value - _bankrupt(book.rows, book.entry, row, entry_path, account, terms[0]))
                if gap - share * abs(value) > NEAR * abs(value):
                    break
                short, fee, missing = _close(venue, book, row, account, book.entry[entry_path, account], terms)
                lack, fees, lacking = lack + short, fees + fee, lacking + missing
        held = paths.fund[path] + fees
        paid = min(max(held, 0.0), lacking)
        if (venue.deleverages and lack > max(paths.fund[path], 0.0)) or (not venue.deleverages and lacking > paid):
            hard[path] = True
            continue
        after.row[path], after.drift[path], after.fund[path] = row, 0.0, held - paid
        bad_debt[path] += lacking - paid
        _advance(venue, book, row, entry_path, path, after)


@inside
def _book_drift(venue: Venue, book: Book, row: int, drift: float) -> None:
    """Funding since the row was written, out of every wallet."""
    count = book.entry.shape[1]
    if drift == 0.0:
        return
    for group in range(venue.side.size):
        for account in range(venue.first[group], venue.last[group]):
            book.rows[row, count + account] -= venue.side[group] * book.rows[row, account] * drift


@inside
def _close(
    venue: Venue, book: Book, row: int, account: int, open_at: float, terms: tuple[float, float, float, float]
) -> tuple[float, float, float]:
    """Close one account as far as it is below its margin: what a whole sale would lack, the fee, and what is missing after it."""
    count = book.entry.shape[1]
    side, share, value, fill = terms
    size, wallet = book.rows[row, account], book.rows[row, count + account]
    equity, needed = wallet + side * size * (value - open_at), share * abs(value)
    if equity > needed * size:
        return 0.0, 0.0, 0.0
    sold = _wants(venue.rounds, size, equity, needed)
    wallet = wallet + side * sold * (fill - open_at)
    short = _lack(wallet, sold * abs(fill)) if sold >= size else 0.0
    left = size - sold
    left = 0.0 if left <= DUST_SHARE * size else left
    fee = min(max(venue.fee_share * sold * abs(fill), 0.0), max(wallet, 0.0))
    if venue.rounds and left > 0.0:
        fee = min(fee, max(wallet + side * left * (value - open_at), 0.0))
    missing = max(-wallet, 0.0) if left == 0.0 else 0.0
    book.rows[row, account], book.rows[row, count + account] = left, wallet - fee + missing
    return short, fee, missing


@inside
def _advance(venue: Venue, book: Book, row: int, entry_path: int, path: int, after: Paths) -> None:
    """Pass by what is closed, and put what is left of a group back into order."""
    count = book.entry.shape[1]
    for group in range(venue.side.size):
        side, last = venue.side[group], venue.last[group]
        start = venue.first[group] + after.pointer[group, path]
        while start < last and book.rows[row, int(book.rows[row, 2 * count + start])] <= 0.0:
            start += 1
        after.pointer[group, path] = start - venue.first[group]
        after.edge[group, path] = -side * np.inf
        if start >= last:
            continue
        if venue.rounds:
            _sort(book, row, entry_path, start, last, side)
        account = int(book.rows[row, 2 * count + start])
        after.edge[group, path] = _bankrupt(book.rows, book.entry, row, entry_path, account, side)


@inside
def _sort(book: Book, row: int, entry_path: int, start: int, last: int, side: float) -> None:
    """Nearest to bankruptcy first; what is closed goes to the front, where the pointer passes it by.  Insertion: it is nearly sorted."""
    count = book.entry.shape[1]
    for place in range(start + 1, last):
        moving = book.rows[row, 2 * count + place]
        key, at = _key(book, row, entry_path, int(moving), side), place
        while at > start and _key(book, row, entry_path, int(book.rows[row, 2 * count + at - 1]), side) < key:
            book.rows[row, 2 * count + at] = book.rows[row, 2 * count + at - 1]
            at -= 1
        book.rows[row, 2 * count + at] = moving


@inside
def _key(book: Book, row: int, entry_path: int, account: int, side: float) -> float:
    if book.rows[row, account] <= 0.0:
        return np.inf
    return side * _bankrupt(book.rows, book.entry, row, entry_path, account, side)


@walking
def edges_of(venue: Venue, book: Book, touched: IntArray, after: Paths) -> None:
    """Order, pointers and next accounts of the touched paths from their rows alone."""
    for number in range(touched.size):
        path = touched[number]
        row, entry_path = after.row[path], path if book.entry.shape[0] > 1 else 0
        for group in range(venue.side.size):
            after.pointer[group, path] = 0
            _sort(book, row, entry_path, venue.first[group], venue.last[group], venue.side[group])
        _advance(venue, book, row, entry_path, path, after)


@walking
def close_whole(
    venue: Venue,
    book: Book,
    log: Closings,
    paths: Paths,
    touched: IntArray,
    begin: tuple[int, int],
    prices_usd: tuple[FloatArray, FloatArray],
    after: tuple[IntArray, FloatArray, FloatArray, IntArray, FloatArray, FloatArray],
    hard: BoolArray,
) -> tuple[int, int]:
    """Settle whole positions on the touched paths; the answer: how many of them were settled before the log was full, and its entries.

    `begin`: the first path to settle and the entries there are.  `after`: pointer, edge, fund, each path's newest entry, net size and bad debt, all
    written to.  Hard paths are left as they were, and so are those where order and rounding disagree about who is next.
    """
    # One loop in another: arrays handed to an inlined function are counted in and out each time, which took as long as the work itself.
    (pointers, edges, funds, heads, net, bad_debt), used, (rows, entry) = after, begin[1], book
    count, groups, each = entry.shape[1], venue.side.size, entry.shape[0] > 1
    reach, edge = np.empty(groups, dtype=np.int64), np.empty(groups)
    for number in range(begin[0], touched.size):
        if used + count > log.account.size:
            return number, used
        path = touched[number]
        value, fill, fund = _value(venue.linear, prices_usd[0][path]), _value(venue.linear, prices_usd[1][path]), paths.fund[path]
        row, drift, factor, head, first = paths.row[path], paths.drift[path], paths.factor[path], heads[path], used
        lack, fees, lacking, sold, orderly, entry_path = 0.0, 0.0, 0.0, 0.0, True, path if each else 0
        for group in range(groups):
            side, share, reach[group] = venue.side[group], venue.share[group] * factor, -1
            if _beyond(side * (value - paths.edge[group, path] - drift), share, value):
                continue
            start, last, stays = venue.first[group], venue.last[group], False
            reach[group], edge[group] = last - start, -side * np.inf
            for place in range(start + paths.pointer[group, path], last):
                account = int(rows[row, 2 * count + place])
                size, wallet, open_at = rows[row, account], rows[row, count + account], entry[entry_path, account]
                if size <= 0.0:
                    continue
                bankrupt, wallet = open_at - side * wallet / size, wallet - side * size * drift
                ends = _beyond(side * (value - bankrupt - drift), share, value)
                if ends or wallet + side * size * (value - open_at) > share * abs(value) * size:
                    if not stays:
                        reach[group], edge[group] = place - start, bankrupt
                    if ends:
                        break
                    stays = True
                    continue
                if stays:
                    orderly = False
                    break
                notional, fee = size * abs(fill), venue.fee_share * size * abs(fill)
                short, fee, missing, left = _sold_whole(wallet + side * size * (fill - open_at), notional, fee)
                log.account[used], log.wallet[used], log.before[used], head, used = account, left, head, used, used + 1
                lack, fees, lacking, sold = lack + short, fees + fee, lacking + missing, sold + side * size
        held = fund + fees
        paid = min(max(held, 0.0), lacking)
        if not orderly or (venue.deleverages and lack > max(fund, 0.0)) or (not venue.deleverages and lacking > paid):
            hard[path], used = True, first
            continue
        funds[path], heads[path] = held - paid, head
        net[path] -= sold
        bad_debt[path] += lacking - paid
        for group in range(groups):
            if reach[group] >= 0:
                pointers[group, path], edges[group, path] = reach[group], edge[group]
    return touched.size, used


@inside
def _beyond(gap: float, share: float, value: float) -> bool:
    """Whether a bankruptcy value is so far off that neither its account nor any behind it is reached."""
    return gap - share * abs(value) > NEAR * abs(value)


@inside
def _sold_whole(wallet: float, notional: float, fee: float) -> tuple[float, float, float, float]:
    """What the sale of a whole position lacks, the fee that it can pay, what is missing after it, and what is left in its wallet."""
    fee, missing = min(max(fee, 0.0), max(wallet, 0.0)), max(-wallet, 0.0)
    return _lack(wallet, notional), fee, missing, wallet - fee + missing


@walking
def unwound(log: Closings, heads: IntArray, rows: FloatArray) -> None:
    """Write into rows (paths, 3 n) what the log says went on each path."""
    count = rows.shape[1] // 3
    for path in range(heads.size):
        entry = heads[path]
        while entry >= 0:
            account = log.account[entry]
            rows[path, account], rows[path, count + account] = 0.0, log.wallet[entry]
            entry = log.before[entry]
