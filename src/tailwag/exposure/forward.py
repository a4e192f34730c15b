"""Looking ahead with nothing moving but time: what the exposure becomes, and when flow is due."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tailwag.exposure.book import SETTLEMENT_WINDOW_NS, Book
from tailwag.exposure.flips import Flip, FlipStatus, book_flips, flip_status
from tailwag.exposure.profile import Profile
from tailwag.exposure.reprice import exposures_of as in_report_units
from tailwag.exposure.reprice import hours_to_ns, net_on_grid, vols_on_grid
from tailwag.exposure.totals import by_expiry
from tailwag.kernels.arrays import FloatArray
from tailwag.market.clock import format_time
from tailwag.units import NS_PER_DAY, NS_PER_HOUR

if TYPE_CHECKING:
    import polars
    from plotly.graph_objects import Figure

    from tailwag.figures.palette import Theme
    from tailwag.market.snapshot import Futures

FORWARD_HOURS = (1.0, 6.0, 24.0)
FUNDING_HOURS_UTC = (0, 8, 16)
FUNDING_AHEAD_NS = NS_PER_DAY


@dataclass(frozen=True, slots=True)
class Projection:
    """The book at one later time, spot and volatilities unchanged, expired options gone; ``event`` says why this time."""

    hours: float
    at_ns: int
    event: str
    gex_usd_per_pct: float
    gross_gex_usd_per_pct: float
    vanna_usd_per_volpt: float
    charm_usd_per_day: float
    flip_status: FlipStatus | None
    flips: tuple[Flip, ...]

    @property
    def flips_usd(self) -> tuple[float, ...]:
        """Spots of all flips at that time."""
        return tuple(flip.spot_usd for flip in self.flips)

    def __str__(self) -> str:
        where = ", ".join(f"{spot:,.0f}" for spot in self.flips_usd) or "none"
        return f"{self.event} ({format_time(self.at_ns)}): GEX {self.gex_usd_per_pct / 1e6:+,.1f} M USD per 1 %, flips {where}"


@dataclass(frozen=True, slots=True)
class ForwardView:
    """Projections in time order."""

    projections: tuple[Projection, ...]

    def __len__(self) -> int:
        return len(self.projections)

    def __str__(self) -> str:
        return "; ".join(str(projection) for projection in self.projections) or "nothing ahead"

    def plot(self, *, theme: Theme = "light") -> Figure:
        """GEX at each later time, as an interactive figure."""
        from tailwag.figures import forward_view as drawn

        return drawn([item.event for item in self.projections], [item.gex_usd_per_pct for item in self.projections], theme=theme)

    def to_frame(self) -> polars.DataFrame:
        """One row per projection; flips as a list."""
        import polars as pl

        kept = (
            "hours",
            "event",
            "gex_usd_per_pct",
            "gross_gex_usd_per_pct",
            "vanna_usd_per_volpt",
            "charm_usd_per_day",
            "flip_status",
            "flips_usd",
        )
        rows = [{"at": format_time(item.at_ns), **{name: getattr(item, name) for name in kept}} for item in self.projections]
        return pl.DataFrame(
            [{**row, "flips_usd": list(row["flips_usd"])} for row in rows], schema_overrides={"flips_usd": pl.List(pl.Float64)}
        )


@dataclass(frozen=True, slots=True)
class CalendarEvent:
    """A time at which flow is due: 'expiry', 'settlement-average' (from ``at_ns`` until ``until_ns``) or 'funding'.

    GEX removed is today's, of the options that expire; None where the event removes none.
    """

    at_ns: int
    until_ns: int
    event: str
    gross_gex_removed_usd_per_pct: float | None
    gex_removed_usd_per_pct: float | None
    open_interest_removed_coin: float | None

    def __str__(self) -> str:
        taken = (
            ""
            if self.gross_gex_removed_usd_per_pct is None
            else f": takes {self.gross_gex_removed_usd_per_pct / 1e6:,.1f} M USD per 1 % of gross gamma away"
        )
        return f"{format_time(self.at_ns)} {self.event}{taken}"


@dataclass(frozen=True, slots=True)
class FlowCalendar:
    """Events in time order, seen from ``at_ns`` when the book's gross GEX was ``gross_gex_usd_per_pct``."""

    events: tuple[CalendarEvent, ...]
    at_ns: int
    gross_gex_usd_per_pct: float

    def __len__(self) -> int:
        return len(self.events)

    def __str__(self) -> str:
        return "; ".join(str(event) for event in self.events) or "no events ahead"

    def plot(self, *, theme: Theme = "light") -> Figure:
        """What each expiry takes away and what is left afterwards, as an interactive figure."""
        from tailwag.figures import flow_calendar as drawn

        removed = [item.gross_gex_removed_usd_per_pct for item in self.events]
        return drawn(
            [format_time(item.at_ns) for item in self.events],
            [item.event for item in self.events],
            np.array([np.nan if gross is None else gross for gross in removed]),
            as_of=format_time(self.at_ns),
            gross_usd_per_pct=self.gross_gex_usd_per_pct,
            theme=theme,
        )

    def to_frame(self) -> polars.DataFrame:
        """One row per event."""
        import polars as pl

        kept = ("event", "gross_gex_removed_usd_per_pct", "gex_removed_usd_per_pct", "open_interest_removed_coin")
        numbers = dict.fromkeys(kept[1:], pl.Float64())
        rows = [
            {"at": format_time(item.at_ns), "until": format_time(item.until_ns), **{n: getattr(item, n) for n in kept}}
            for item in self.events
        ]
        return pl.DataFrame(rows, schema={"at": pl.String(), "until": pl.String(), "event": pl.String(), **numbers})


def forward_view(profile: Profile, *, hours: tuple[float, ...] = FORWARD_HOURS, after_expiries: bool = True) -> ForwardView:
    """Exposure and flips at each of ``hours`` from now and just after each expiry: spot and vols stand still, time rolls.

    An option past its expiry is gone; one inside its settlement average has the average's greeks, the average filling at today's spot.
    """
    book = profile.book
    times = {hours_to_ns(hour): f"+{hour:g} h" for hour in hours}
    if after_expiries:
        later = np.unique(book.chain.expiry_ns[book.usable & (book.chain.expiry_ns > book.at_ns)])
        times |= {int(expiry) - book.at_ns: f"after expiry {format_time(int(expiry))}" for expiry in later}
    vols = vols_on_grid(book, profile.spot_usd / book.spot_usd, profile.dynamics)
    return ForwardView(tuple(projected(profile, ahead_ns, event, vols=vols) for ahead_ns, event in sorted(times.items())))


def projected(profile: Profile, ahead_ns: int, event: str = "", *, vols: FloatArray | None = None) -> Projection:
    """The book ``ahead_ns`` nanoseconds from now with spot and volatilities unchanged; NaN and no status where all of it is masked."""
    book, here = profile.book, np.ones(1)
    signed, unsigned = (
        in_report_units(
            net_on_grid(book, here, dynamics=profile.dynamics, ahead_ns=ahead_ns, weights=weights)[0], np.array([book.spot_usd])
        )
        for weights in (book.position_coin, np.where(book.usable, book.open_interest_coin, 0.0))
    )
    flips = book_flips(book, profile.spot_usd, dynamics=profile.dynamics, ahead_ns=ahead_ns, vols=vols)
    unknown = math.nan if book.is_unpriced else 0.0
    return Projection(
        hours=ahead_ns / NS_PER_HOUR,
        at_ns=book.at_ns + ahead_ns,
        event=event,
        gex_usd_per_pct=float(signed["gex_usd_per_pct"][0]) + unknown,
        gross_gex_usd_per_pct=float(unsigned["gex_usd_per_pct"][0]) + unknown,
        vanna_usd_per_volpt=float(signed["vanna_usd_per_volpt"][0]) + unknown,
        charm_usd_per_day=float(signed["charm_usd_per_day"][0]) + unknown,
        flip_status=None if book.is_unpriced else flip_status(flips),
        flips=flips,
    )


def flow_calendar(profile: Profile, futures: Futures | None = None) -> FlowCalendar:
    """Expiries with the gamma they take away, their 30-minute settlement averages, and funding times of the next 24 hours.

    Settlement averages only where the venue settles on one (07:30 to 08:00 UTC for crypto); funding at 00, 08 and 16 UTC where
    ``futures`` hold a perp.
    """
    events = _expiry_events(profile.book) + _funding_events(profile.book, futures)
    in_order = tuple(sorted(events, key=lambda item: (item.at_ns, item.event)))
    return FlowCalendar(in_order, profile.book.at_ns, profile.totals.gross_gex_usd_per_pct)


def _expiry_events(book: Book) -> list[CalendarEvent]:
    table, events = by_expiry(book), []
    for index, expiry in enumerate(table.key.tolist()):
        if expiry < book.at_ns:
            continue
        gross, net = (float(column[index]) for column in (table.gross_gex_usd_per_pct, table.gex_usd_per_pct))
        known = np.isfinite(gross)
        taken = (gross if known else None, net if known else None, float(table.open_interest_coin[index]))
        events.append(CalendarEvent(expiry, expiry, "expiry", *taken))
        if bool(book.settles_on_average[book.chain.expiry_ns == expiry].any()):
            events.append(CalendarEvent(expiry - SETTLEMENT_WINDOW_NS, expiry, "settlement-average", None, None, None))
    return events


def _funding_events(book: Book, futures: Futures | None) -> list[CalendarEvent]:
    if futures is None or not bool(np.any(futures.kind == "perp")):
        return []
    midnight = book.at_ns // NS_PER_DAY * NS_PER_DAY
    times = [midnight + day * NS_PER_DAY + hour * NS_PER_HOUR for day in (0, 1, 2) for hour in FUNDING_HOURS_UTC]
    return [CalendarEvent(at, at, "funding", None, None, None) for at in times if book.at_ns < at <= book.at_ns + FUNDING_AHEAD_NS]
