"""The one boundary between what a source sent and what may enter a sum: every row leaves with its codes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tailwag.errors import InstrumentNameError, UnitError
from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray
from tailwag.market.chain import Chain
from tailwag.market.clock import valid_time, years_to_expiry
from tailwag.market.codes import RowCode
from tailwag.market.instrument import LARGEST_STRIKE_USD, collateral, parse_option

SMALLEST_VOL, LARGEST_VOL, EXTREME_VOL = 1e-4, 100.0, 5.0
"""Below the first a volatility is zero to every venue's precision; above the second it is no volatility; from the third it is remarked."""
LARGEST_AMOUNT = 1e12
"""No price in USD and no open interest in coin comes near; a larger number is damage and would swamp every sum."""
SMALLEST_PRICE_USD = 1e-9
"""No underlying is cheaper; a smaller number is damage, and ratios to it would overflow."""
LARGEST_NUMBER_SENT = 1e6
"""Beyond it a volatility is damage in any unit, and says nothing of units."""
MEDIAN_VOL = (0.02, 10.0)
"""A chain whose median volatility lies outside is in another unit than its source declares."""
MIXED_UNITS = (50.0, 250.0)
"""A volatility that differs from its chain's median by a factor in this band is in another unit; real wings stay within 5."""
FORWARD_GAP, FORWARD_GAP_PER_YEAR = 0.05, 0.25
"""A forward further from the index than the larger of 5 % and 25 % a year is remarked (docs/explanation/masks-and-faults)."""
_CLAIMS = (
    "right",
    "strike_usd",
    "expiry_ns",
    "coin_per_contract",
    "open_interest_contracts",
    "bid_quoted",
    "ask_quoted",
    "mark_quoted",
    "iv",
    "underlying_usd",
)
_BARE = RowCode.NAME_INVALID | RowCode.UNKNOWN_CURRENCY


def validated(chain: Chain) -> Chain:
    """The chain with every code its rows deserve, added to those the source set; numbers that cannot be numbers become missing.

    Rows are never dropped, reordered or mended. Calling it twice changes nothing.

    >>> chain = Chain.from_columns(currency="BTC", as_of_ns=1763551236870000000, instrument=["BTC-28NOV25-90000-C"], right=[1],
    ...     strike_usd=[90000.0], expiry_ns=[1764316800000000000], coin_per_contract=[1.0], open_interest_contracts=[5.0], iv=[-0.5])
    >>> [code.code for code in RowCode if validated(chain).has(code)[0]]
    ['iv_nonpositive', 'no_quotes', 'mark_missing']

    Raises UnitError where the volatilities can only be in another unit than declared (all of them, or some among others).
    """
    if len(chain) == 0:
        return chain
    _refuse_wrong_vol_unit(chain)
    codes = _structure(chain) | _amounts(chain) | _vols(chain) | _quotes(chain)
    chain = _without_impossible_numbers(chain)
    codes |= _price_bounds(chain) | _forward_gap(chain) | _repeats(chain)
    bare = (chain.codes & int(_BARE)) != 0
    return chain.with_columns(codes=chain.codes | np.where(bare, 0, codes))


def chain_doubts(chain: Chain) -> tuple[str, ...]:
    """One sentence for each doubt about the whole chain that its codes give reason for, worst first.

    Masked open interest is named from 0.1 % on, or wherever two rows contradict each other.
    """
    sentences = []
    shares = {share.code: share for share in chain.shares(within=~RowCode(0))}
    for code, sentence in _DOUBTS.items():
        share = shares.get(code.code)
        if share is not None:
            sentences.append(sentence.format(n=share.instruments, share=f"{100 * share.open_interest_share:.2g} %"))
    return tuple(sentences)


_DOUBTS = {
    RowCode.DUPLICATE_CONFLICT: "{n} rows contradict another row of the same instrument and are masked ({share} of open interest)",
    RowCode.OI_MISSING: "{n} rows have no open interest, which is not zero: their exposure is unknown",
    RowCode.OI_NEGATIVE: "{n} rows have a negative open interest and are masked",
    RowCode.NAME_INVALID: "{n} rows have no valid instrument name and are masked ({share} of open interest)",
    RowCode.UNKNOWN_CURRENCY: "{n} rows belong to an unknown currency and are masked ({share} of open interest)",
    RowCode.ABOVE_CAP: "{n} rows are priced above what an option can be worth and are masked ({share} of open interest)",
    RowCode.FORWARD_DISAGREES: "{n} rows have a forward that disagrees with the index ({share} of open interest); the forward is used",
}


def _bits(rows: BoolArray, code: RowCode) -> IntArray:
    return np.where(rows, int(code), 0)


def _structure(chain: Chain) -> IntArray:
    """Codes of what a row says it is: right, strike, expiry, style."""
    in_time = valid_time(chain.expiry_ns)
    strike = chain.strike_usd
    with np.errstate(invalid="ignore"):
        strike_bad = ~((strike > 0.0) & (strike <= LARGEST_STRIKE_USD))
    return (
        _bits(np.abs(chain.right) != 1, RowCode.RIGHT_INVALID)
        | _bits(~in_time, RowCode.TIME_INVALID)
        | _bits(strike_bad, RowCode.STRIKE_INVALID)
        | _bits(in_time & (chain.expiry_ns < chain.as_of_ns), RowCode.EXPIRED)
        | _bits(in_time & (chain.expiry_ns == chain.as_of_ns), RowCode.AT_EXPIRY)
        | _bits(chain.style == "american", RowCode.AMERICAN)
    )


def _amounts(chain: Chain) -> IntArray:
    """Codes of open interest and contract size; missing is not zero."""
    contracts, size = chain.open_interest_contracts, chain.coin_per_contract
    with np.errstate(invalid="ignore", over="ignore"):
        believable = (contracts <= LARGEST_AMOUNT) & (np.nan_to_num(contracts * size, nan=0.0) <= LARGEST_AMOUNT)
        negative = contracts < 0.0
        size_bad = ~((size > 0.0) & (size <= LARGEST_AMOUNT))
    return (
        _bits(~believable & ~negative, RowCode.OI_MISSING)
        | _bits(negative, RowCode.OI_NEGATIVE)
        | _bits(size_bad, RowCode.MULTIPLIER_MISSING)
    )


def _vols(chain: Chain) -> IntArray:
    """Codes of the venue's volatility."""
    iv = chain.iv
    with np.errstate(invalid="ignore"):
        nonpositive = iv < SMALLEST_VOL
        believable = iv <= LARGEST_VOL
        extreme = iv >= EXTREME_VOL
    return (
        _bits(~believable & ~nonpositive, RowCode.IV_MISSING)
        | _bits(nonpositive, RowCode.IV_NONPOSITIVE)
        | _bits(extreme, RowCode.IV_EXTREME)
    )


def _quotes(chain: Chain) -> IntArray:
    """Notes on bid, ask and mark; a price of 0 is no quote."""
    with np.errstate(invalid="ignore"):
        has_bid, has_ask, has_mark = (
            (price > 0.0) & (price <= LARGEST_AMOUNT) for price in (chain.bid_quoted, chain.ask_quoted, chain.mark_quoted)
        )
        odd = [(price < 0.0) | (price > LARGEST_AMOUNT) for price in (chain.bid_quoted, chain.ask_quoted, chain.mark_quoted)]
        crossed = has_bid & has_ask & (chain.bid_quoted > chain.ask_quoted)
    return (
        _bits(odd[0] | odd[1] | odd[2], RowCode.QUOTE_INVALID)
        | _bits(crossed, RowCode.CROSSED)
        | _bits(has_bid ^ has_ask, RowCode.ONE_SIDED)
        | _bits(~has_bid & ~has_ask, RowCode.NO_QUOTES)
        | _bits(~has_mark, RowCode.MARK_MISSING)
    )


def _without_impossible_numbers(chain: Chain) -> Chain:
    """The chain with what is no believable number taken as missing: the codes are set already, and no sum may overflow on it."""
    blanked: dict[str, Any] = {}

    def keep(name: str, inside: BoolArray) -> None:
        values: FloatArray = getattr(chain, name)
        if not bool((inside | np.isnan(values)).all()):
            blanked[name] = np.where(inside, values, np.nan)

    with np.errstate(invalid="ignore", over="ignore"):
        contracts = chain.open_interest_contracts
        in_coin = np.abs(np.nan_to_num(contracts * chain.coin_per_contract, nan=0.0))
        keep("open_interest_contracts", (np.abs(contracts) <= LARGEST_AMOUNT) & (in_coin <= LARGEST_AMOUNT))
        keep("coin_per_contract", (chain.coin_per_contract > 0.0) & (chain.coin_per_contract <= LARGEST_AMOUNT))
        keep("strike_usd", (chain.strike_usd > 0.0) & (chain.strike_usd <= LARGEST_STRIKE_USD))
        keep("iv", np.abs(chain.iv) <= LARGEST_VOL)
        for name in ("bid_quoted", "ask_quoted", "mark_quoted", "volume_contracts"):
            keep(name, (getattr(chain, name) >= 0.0) & (getattr(chain, name) <= LARGEST_AMOUNT))
        for name in ("underlying_usd", "index_usd", "estimated_delivery_usd"):
            keep(name, (getattr(chain, name) >= SMALLEST_PRICE_USD) & (getattr(chain, name) <= LARGEST_AMOUNT))
        for name in ("delta_published", "gamma_published", "vega_published"):
            keep(name, np.abs(getattr(chain, name)) <= LARGEST_AMOUNT)
    return chain.with_columns(**blanked) if blanked else chain


def _price_bounds(chain: Chain) -> IntArray:
    """Codes of prices that no volatility explains, on the row's own forward: above the cap, below intrinsic value."""
    forward = np.where(np.isnan(chain.underlying_usd), chain.index_usd, chain.underlying_usd)
    inverse = chain.settlement == "inverse"
    strike = chain.strike_usd
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        price = np.where(chain.mark_quoted > 0.0, chain.mark_quoted, chain.bid_quoted)
        unit = np.where(inverse, forward, 1.0)
        spot_or_forward = np.fmax(forward, chain.index_usd)
        call_cap = np.where(inverse, 1.0, np.where(chain.style == "american", spot_or_forward, forward))
        cap = np.where(chain.right > 0, call_cap, strike / unit)
        intrinsic = np.maximum(chain.right * (forward - strike), 0.0) / unit
        # a tenth of the finest tick: marks are rounded
        slack = 1e-5 * np.where(inverse, 1.0, forward)
        above = price > cap * (1.0 + 1e-9)
        below = (chain.mark_quoted > 0.0) & (chain.mark_quoted < intrinsic - slack)
    return _bits(above, RowCode.ABOVE_CAP) | _bits(below, RowCode.UNRESOLVABLE_BELOW_INTRINSIC)


def _forward_gap(chain: Chain) -> IntArray:
    """Note where a row's forward and the chain's index are further apart than carry explains."""
    known = chain.index_usd[np.isfinite(chain.index_usd)]
    if known.size == 0:
        return np.zeros(len(chain), dtype=np.int64)
    years = np.maximum(years_to_expiry(chain.expiry_ns, chain.as_of_ns), 0.0)
    allowed = np.maximum(FORWARD_GAP, FORWARD_GAP_PER_YEAR * years)
    with np.errstate(invalid="ignore"):
        apart = np.abs(chain.underlying_usd / float(np.median(known)) - 1.0) > allowed
    return _bits(apart & valid_time(chain.expiry_ns), RowCode.FORWARD_DISAGREES)


def _repeats(chain: Chain) -> IntArray:
    """Codes of instruments listed twice, under one name or two."""
    codes = np.zeros(len(chain), dtype=np.int64)
    skipped = ((chain.codes & int(RowCode.NAME_INVALID)) != 0).tolist()
    first: dict[tuple[str, str], int] = {}
    groups: dict[int, list[int]] = {}
    for row, key in enumerate(zip(chain.venue.tolist(), chain.instrument.tolist())):
        if not skipped[row] and first.setdefault(key, row) != row:
            groups.setdefault(first[key], []).append(row)
    for start, others in groups.items():
        if all(_same_claims(chain, start, other) for other in others):
            codes[others] |= int(RowCode.DUPLICATE)
        else:
            codes[[start, *others]] |= int(RowCode.DUPLICATE_CONFLICT)
    return codes | _aliases(chain, list(first.values()))


def _same_claims(chain: Chain, one: int, other: int) -> bool:
    if chain.settlement[one] != chain.settlement[other]:
        return False
    return all(np.array_equal(getattr(chain, name)[one], getattr(chain, name)[other], equal_nan=True) for name in _CLAIMS)


def _aliases(chain: Chain, rows: list[int]) -> IntArray:
    """ALIAS on every later name of a contract that one venue lists under several."""
    codes = np.zeros(len(chain), dtype=np.int64)
    columns = (chain.venue, chain.expiry_ns, chain.strike_usd, chain.right, chain.settlement)
    seen: dict[tuple[Any, ...], list[int]] = {}
    for row, key in enumerate(zip(*(column.tolist() for column in columns))):
        seen.setdefault(key, []).append(row)
    if len(seen) == len(chain):
        return codes
    allowed = set(rows)
    for group in seen.values():
        named: dict[tuple[Any, ...], str] = {}
        for row in (member for member in group if member in allowed) if len(group) > 1 else ():
            contract = _contract(chain.instrument[row])
            if contract is not None and named.setdefault(contract, chain.instrument[row]) != chain.instrument[row]:
                codes[row] |= int(RowCode.ALIAS)
    return codes


def _contract(name: str) -> tuple[Any, ...] | None:
    try:
        option = parse_option(name)
    except InstrumentNameError:
        return None
    return (option.currency, option.expiry_ns, option.strike_usd, option.right, collateral(name))


def _refuse_wrong_vol_unit(chain: Chain) -> None:
    """UnitError where the volatilities of a venue can only be in another unit than decimals; a chain is never half converted."""
    for venue in sorted(set(chain.venue.tolist())):
        rows = (chain.venue == venue) & (chain.iv > SMALLEST_VOL) & (chain.iv < LARGEST_NUMBER_SENT)
        iv = chain.iv[rows]
        if iv.size == 0:
            continue
        middle = float(np.median(iv))
        if not MEDIAN_VOL[0] <= middle <= MEDIAN_VOL[1] and middle >= 1e-3:
            raise UnitError(
                f"expected {venue or 'the'} volatilities in the unit its format declares, got a median of {100 * middle:.4g} %; "
                "the whole chain is refused: save the venue's numbers unchanged (percent and decimals differ by 100)"
            )
        ratio = np.maximum(iv / middle, middle / iv)
        mixed = (ratio >= MIXED_UNITS[0]) & (ratio <= MIXED_UNITS[1])
        if iv.size >= 3 and mixed.any():
            name = chain.instrument[rows][mixed][0]
            raise UnitError(
                f"expected volatilities in one unit, got {int(mixed.sum())} of {iv.size} about 100 times off the median of {100 * middle:.4g} % "
                f"(first {name[:60]!a}: {100 * iv[mixed][0]:.4g} %); the whole chain is refused: save the venue's numbers unchanged"
            )
