"""Colours that survive colour blindness, in a light and a dark set with the same names."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Theme = Literal["light", "dark"]


@dataclass(frozen=True, slots=True)
class Palette:
    """One set of colours; blue against orange and green against vermilion stay apart under the common colour-vision deficiencies.

    ``sell`` to ``buy`` are the five stops of the diverging scale whose middle is zero.
    """

    ink: str
    muted: str
    grid: str
    zero: str
    surface: str
    call: str
    put: str
    damping: str
    amplifying: str
    damping_tint: str
    amplifying_tint: str
    runaway_tint: str
    runaway: str
    pale: str
    sell: str
    sell_soft: str
    neutral: str
    buy_soft: str
    buy: str

    @property
    def diverging(self) -> list[tuple[float, str]]:
        """Plotly's colour scale from selling (0) over nothing (0.5) to buying (1)."""
        stops = (self.sell, self.sell_soft, self.neutral, self.buy_soft, self.buy)
        return [(k / 4, colour) for k, colour in enumerate(stops)]


LIGHT = Palette(
    ink="#17202c",
    muted="#566272",
    grid="#e4e8ee",
    zero="#9aa5b4",
    surface="#fefefe",
    call="#0072b2",
    put="#e69f00",
    damping="#00795f",
    amplifying="#c84f00",
    damping_tint="rgba(0,121,95,0.20)",
    amplifying_tint="rgba(200,79,0,0.20)",
    runaway_tint="rgba(170,20,90,0.13)",
    runaway="#aa145a",
    pale="#cdd5df",
    sell="#c85200",
    sell_soft="#f3b98c",
    neutral="#f3f5f7",
    buy_soft="#93c4e6",
    buy="#0b63a5",
)
DARK = Palette(
    ink="#e8edf4",
    muted="#9eabbc",
    grid="#273140",
    zero="#66748a",
    surface="#151c26",
    call="#5bb8f0",
    put="#f2b63c",
    damping="#35c9a5",
    amplifying="#ff8c4f",
    damping_tint="rgba(53,201,165,0.24)",
    amplifying_tint="rgba(255,140,79,0.24)",
    runaway_tint="rgba(240,90,160,0.20)",
    runaway="#f472ad",
    pale="#3a4658",
    sell="#d2611d",
    sell_soft="#7d431f",
    neutral="#1e2733",
    buy_soft="#23557f",
    buy="#2d84cc",
)


def palette(theme: Theme) -> Palette:
    """The colours of ``light`` or ``dark``.

    >>> palette("dark").surface
    '#151c26'
    """
    return DARK if theme == "dark" else LIGHT


def light_to_dark() -> dict[str, str]:
    """Each light colour and the dark one that takes its place: how one drawing serves both.

    >>> light_to_dark()[LIGHT.call] == DARK.call
    True
    """
    dark = asdict(DARK)
    return {colour: dark[name] for name, colour in asdict(LIGHT).items()}
