"""Whose trades a run's added vol is of: hedging alone, or also liquidations and what others trade."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MovedBy:
    """Which trades move price in a run; the subject of the sentence that says what they add to vol.

    >>> str(MovedBy()), str(MovedBy(liquidations=True)), str(MovedBy(hedging=False, other=True))
    ('Hedging', 'Hedging and liquidations', 'Trading')
    >>> str(MovedBy(liquidations=True, other=True)), str(MovedBy(hedging=False, liquidations=True))
    ('Hedging, liquidations and other trading', 'Liquidations')
    """

    hedging: bool = True
    liquidations: bool = False
    other: bool = False

    @property
    def is_hedging_alone(self) -> bool:
        """Nobody but hedgers trades."""
        return self.hedging and not (self.liquidations or self.other)

    @property
    def plural(self) -> bool:
        """Whether "add" follows the subject, not "adds"."""
        return self.liquidations or (self.hedging and self.other)

    def verb(self, stem: str) -> str:
        """The verb of the subject.

        >>> MovedBy().verb("add"), MovedBy(liquidations=True).verb("take")
        ('adds', 'take')
        """
        return stem if self.plural else f"{stem}s"

    def __str__(self) -> str:
        if self.other and not (self.hedging or self.liquidations):
            return "Trading"
        named = [
            words
            for words, there in (("hedging", self.hedging), ("liquidations", self.liquidations), ("other trading", self.other))
            if there
        ]
        *first, last = named or ["hedging"]
        said = f"{', '.join(first)} and {last}" if first else last
        return said[:1].upper() + said[1:]


HEDGING = MovedBy()
