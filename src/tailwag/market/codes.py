"""Why a row is masked or remarkable: one bit per reason, so that nothing is ever dropped without one."""

from __future__ import annotations

from enum import IntFlag


class RowCode(IntFlag):
    """Reasons attached to a row of a chain; several may hold at once.

    The first group quarantines the row (its exposure is unknown, so it is left out of sums and its open interest reported); the second
    only says that the row has no usable venue volatility (a fitted smile may stand in); the third are notes.
    """

    # quarantine
    NAME_INVALID = 1 << 0
    UNKNOWN_CURRENCY = 1 << 1
    TIME_INVALID = 1 << 2
    STRIKE_INVALID = 1 << 3
    RIGHT_INVALID = 1 << 4
    EXPIRED = 1 << 5
    OI_MISSING = 1 << 6
    OI_NEGATIVE = 1 << 7
    ABOVE_CAP = 1 << 8
    DUPLICATE = 1 << 9
    DUPLICATE_CONFLICT = 1 << 10
    ALIAS = 1 << 11
    FORWARD_MISSING = 1 << 12
    SETTLING = 1 << 13
    MULTIPLIER_MISSING = 1 << 14
    # no usable volatility from the venue
    IV_MISSING = 1 << 20
    IV_NONPOSITIVE = 1 << 21
    # notes
    AT_EXPIRY = 1 << 30
    PIN_RISK = 1 << 31
    IV_EXTREME = 1 << 32
    CROSSED = 1 << 33
    ONE_SIDED = 1 << 34
    NO_QUOTES = 1 << 35
    UNRESOLVABLE_BELOW_INTRINSIC = 1 << 36
    FORWARD_DISAGREES = 1 << 37
    MARK_MISSING = 1 << 38
    AMERICAN = 1 << 39
    QUOTE_INVALID = 1 << 40

    @property
    def code(self) -> str:
        """The code as reports print it.

        >>> RowCode.IV_NONPOSITIVE.code
        'iv_nonpositive'
        """
        return str(self.name).lower()


QUARANTINE = RowCode((1 << 20) - 1)
"""Every code that takes a row out of the sums whatever volatility is used."""
NO_VENUE_VOL = RowCode.IV_MISSING | RowCode.IV_NONPOSITIVE
"""Codes that take a row out unless a fitted smile stands in for its volatility."""
