"""One exception tree; every message says what was expected, what came, and what to do.

Whoever catches :class:`TailwagError` catches everything that this package raises on purpose. :class:`InputError` is the user's to
mend (the command line exits 2 on it); all else is ours or the outside world's (exit 1).
"""

from __future__ import annotations


class TailwagError(Exception):
    """Base of every error that tailwag raises on purpose."""


class InputError(TailwagError):
    """What the user gave cannot be used; the message says what was expected, what came and what to do."""


class FileFormatError(InputError):
    """A file is damaged, of an unknown kind, or beyond a safety limit; the message names file, line and column where they are known."""


class UnitError(InputError):
    """Numbers that can only be in another unit than the declared one (percent for decimal, milliseconds for nanoseconds)."""


class TimeError(InputError):
    """A time without an offset, outside 2009 to 2100, or not a time at all."""


class InstrumentNameError(InputError):
    """A name that is no listed instrument of the venue it is said to come from."""


class RuleError(InputError):
    """An unknown or malformed positioning rule, smile dynamic, or liquidity law."""


class EmptyChainError(InputError):
    """Nothing is left to work on: no listed option of the wanted currency."""


class ProfileRangeError(InputError):
    """A move leaves the spot range that was tabulated."""


class MissingPackageError(InputError):
    """An optional dependency is not installed; the message names the extra that brings it."""


class VenueError(TailwagError):
    """A venue did not answer, or answered with something other than what it documents."""


class StoreError(TailwagError):
    """A store on disk cannot be written to or holds damage where it was read; nothing is acknowledged that is not safe."""


class StoreBusyError(StoreError):
    """Another process records to this store, or has taken it over."""
